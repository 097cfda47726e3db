/* codec/crc32c.c: CRC-32C of the bytes, 4 bytes little-endian: Zarr v3 "crc32c", numcodecs
 * "crc32c".
 *
 * The checksum is behind the data. numcodecs can also put it in front ("location": "start"), which
 * the core specification's codec cannot: such a codec keeps its numcodecs name when written.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "codec/codec_private.h"

typedef struct {
    cm_codec base;
    bool at_start;
} crc32c_codec;

enum {
    NBYTES = 4,
    BLOCK = 3 << 10 /* in the first cache between summing and copying; 18 GB/s, apart 10 */
};

/* The checksum of n bytes, and the bytes copied: so they come from memory once. The buffers do not
 * overlap, or are one. */
static uint32_t sum_and_copy(uint8_t *dst, const uint8_t *src, size_t n)
{
    uint32_t sum = 0;
    for (size_t at = 0, some; at < n; at += some) {
        some = n - at < BLOCK ? n - at : BLOCK;
        sum = cm_crc32c(sum, src + at, some);
        if (dst != src)
            memcpy(dst + at, src + at, some);
    }
    return sum;
}

static bool at_start(const cm_codec *codec)
{
    return ((const crc32c_codec *)codec)->at_start;
}

static int crc32c_new(bool start, cm_codec **out, cm_error *err)
{
    crc32c_codec *c;
    int r = cm_codec_alloc(&cm_class_crc32c, sizeof *c, &c, err);
    if (r)
        return r;
    c->at_start = start;
    *out = &c->base;
    return 0;
}

int cm_codec_new_crc32c(cm_codec **out, cm_error *err)
{
    return crc32c_new(false, out, err);
}

static int crc32c_parse(const cm_json *config, cm_dialect dialect, cm_dtype dtype, cm_codec **out,
                        cm_error *err)
{
    (void)dtype;
    const char *location = "end";
    const cm_config_field field = {.key = "location", .string = &location, .null_allowed = true};
    int r = cm_config_read(config, dialect, "crc32c", &field, dialect == CM_ZARR2, err);
    if (r)
        return r;
    bool start = strcmp(location, "start") == 0;
    if (!start && strcmp(location, "end") != 0)
        return cm_error_set(err, CM_EDATA, "codec crc32c: location \"%s\" is not start or end",
                            location);
    return crc32c_new(start, out, err);
}

static cm_json *crc32c_describe(const cm_codec *codec, cm_json_doc *doc, cm_dialect dialect)
{
    if (dialect == CM_ZARR3 && !at_start(codec)) {
        cm_json *o = cm_json_new_object(doc);
        return !o || cm_json_set_string(doc, o, "name", "crc32c") ? NULL : o;
    }
    cm_json *config;
    cm_json *o = cm_config_describe(doc, &cm_class_crc32c, "numcodecs.crc32c", dialect, &config);
    if (o && at_start(codec) && cm_json_set_string(doc, config, "location", "start"))
        return NULL;
    return o;
}

static size_t crc32c_size(const cm_codec *codec, size_t n)
{
    (void)codec;
    return n + NBYTES;
}

static size_t crc32c_scratch(const cm_codec *codec, size_t n, bool encoding)
{
    (void)codec;
    (void)n;
    (void)encoding;
    return 0;
}

static int crc32c_encode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                         void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)work;
    if (capacity < NBYTES || capacity - NBYTES < nsrc)
        return cm_error_set(err, CM_EINVAL, "crc32c: %zu bytes do not fit %zu", nsrc, capacity);
    uint8_t *data = (uint8_t *)dst + (at_start(codec) ? NBYTES : 0);
    const void *from = src;
    if (at_start(codec) && src == dst && nsrc) /* in place: the data make room */
        from = memmove(data, src, nsrc);
    uint32_t sum = sum_and_copy(data, from, nsrc);
    cm_store_le32(at_start(codec) ? dst : data + nsrc, sum);
    *nout = nsrc + NBYTES;
    return 0;
}

/* Where the data are in src, and the checksum that is stored with them. */
static int parts(const cm_codec *codec, const uint8_t *src, size_t nsrc, size_t *offset,
                 size_t *nbytes, uint32_t *stored, cm_error *err)
{
    *nbytes = 0;
    if (nsrc < NBYTES)
        return cm_error_set(err, CM_EDATA, "crc32c: %zu bytes are too few for a checksum", nsrc);
    *nbytes = nsrc - NBYTES;
    *offset = at_start(codec) ? NBYTES : 0;
    *stored = cm_load_le32(src + (at_start(codec) ? 0 : *nbytes));
    return 0;
}

static int compare(uint32_t stored, uint32_t computed, size_t n, cm_error *err)
{
    return stored == computed
               ? 0
               : cm_error_set(err, CM_EDATA,
                              "crc32c: checksum is %08x, but that of the %zu bytes is %08x", stored,
                              n, computed);
}

static int crc32c_view(const cm_codec *codec, const void *src, size_t nsrc, size_t *offset,
                       size_t *nbytes, cm_error *err)
{
    uint32_t stored;
    int r = parts(codec, src, nsrc, offset, nbytes, &stored, err);
    return r ? r
             : compare(stored, cm_crc32c(0, (const uint8_t *)src + *offset, *nbytes), *nbytes, err);
}

static int crc32c_decode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                         void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)work;
    size_t offset;
    uint32_t stored;
    int r = parts(codec, src, nsrc, &offset, nout, &stored, err);
    if (r)
        return r;
    if (*nout > capacity)
        return cm_error_set(err, CM_ELIMIT, "crc32c: decodes to %zu bytes, more than %zu", *nout,
                            capacity);
    return compare(stored, sum_and_copy(dst, (const uint8_t *)src + offset, *nout), *nout, err);
}

static int crc32c_text(const cm_codec *codec, cm_buffer *out, cm_error *err)
{
    return cm_buffer_append_string(out, at_start(codec) ? "crc32c(start)" : "crc32c", err);
}

static bool crc32c_equal(const cm_codec *a, const cm_codec *b, bool exactly)
{
    (void)exactly;
    return at_start(a) == at_start(b);
}

const cm_codec_class cm_class_crc32c = {
    .name = "crc32c",
    .v2_id = "crc32c",
    .parse = crc32c_parse,
    .describe = crc32c_describe,
    .bound = crc32c_size,
    .scratch = crc32c_scratch,
    .encode = crc32c_encode,
    .decode = crc32c_decode,
    .view = crc32c_view,
    .encoded_size = crc32c_size,
    .text = crc32c_text,
    .equal = crc32c_equal,
};
