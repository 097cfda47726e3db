/* codec/fletcher32.c: HDF5's fletcher32 filter and numcodecs "fletcher32": a checksum of 4 bytes,
 * little-endian, behind the data.
 *
 * HDF5 before 1.6.3 wrote the two bytes of each half in the other order on little-endian machines;
 * libhdf5 (H5Zfletcher32.c) still accepts both, and so does this.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "codec/codec_private.h"

enum { NBYTES = 4 };

int cm_codec_new_fletcher32(cm_codec **out, cm_error *err)
{
    return cm_codec_alloc(&cm_class_fletcher32, sizeof **out, out, err);
}

static int fletcher32_parse(const cm_json *config, cm_dialect dialect, cm_dtype dtype,
                            cm_codec **out, cm_error *err)
{
    (void)dtype;
    int r = cm_config_read(config, dialect, "fletcher32", NULL, 0, err);
    return r ? r : cm_codec_new_fletcher32(out, err);
}

static cm_json *fletcher32_describe(const cm_codec *codec, cm_json_doc *doc, cm_dialect dialect)
{
    (void)codec;
    cm_json *config;
    return cm_config_describe(doc, &cm_class_fletcher32, "numcodecs.fletcher32", dialect, &config);
}

static size_t fletcher32_size(const cm_codec *codec, size_t n)
{
    (void)codec;
    return n + NBYTES;
}

static size_t fletcher32_scratch(const cm_codec *codec, size_t n, bool encoding)
{
    (void)codec;
    (void)n;
    (void)encoding;
    return 0;
}

static int fletcher32_encode(const cm_codec *codec, cm_codec_work *work, const void *src,
                             size_t nsrc, void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)codec;
    (void)work;
    if (capacity < NBYTES || capacity - NBYTES < nsrc)
        return cm_error_set(err, CM_EINVAL, "fletcher32: %zu bytes do not fit %zu", nsrc, capacity);
    if (src != dst && nsrc)
        memcpy(dst, src, nsrc);
    cm_store_le32((uint8_t *)dst + nsrc, cm_fletcher32(dst, nsrc));
    *nout = nsrc + NBYTES;
    return 0;
}

static int fletcher32_view(const cm_codec *codec, const void *src, size_t nsrc, size_t *offset,
                           size_t *nbytes, cm_error *err)
{
    (void)codec;
    if (nsrc < NBYTES)
        return cm_error_set(err, CM_EDATA, "fletcher32: %zu bytes are too few for a checksum",
                            nsrc);
    *offset = 0;
    *nbytes = nsrc - NBYTES;
    uint32_t stored = cm_load_le32((const uint8_t *)src + *nbytes);
    uint32_t computed = cm_fletcher32(src, *nbytes);
    uint32_t swapped = (computed & 0x00ff00ffu) << 8 | (computed & 0xff00ff00u) >> 8;
    if (stored != computed && stored != swapped)
        return cm_error_set(err, CM_EDATA,
                            "fletcher32: checksum is %08x, but that of the %zu bytes is %08x",
                            stored, *nbytes, computed);
    return 0;
}

static int fletcher32_decode(const cm_codec *codec, cm_codec_work *work, const void *src,
                             size_t nsrc, void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)work;
    *nout = 0;
    size_t offset, n;
    int r = fletcher32_view(codec, src, nsrc, &offset, &n, err);
    if (r)
        return r;
    *nout = n;
    if (n > capacity)
        return cm_error_set(err, CM_ELIMIT, "fletcher32: decodes to %zu bytes, more than %zu", n,
                            capacity);
    if (n)
        memcpy(dst, src, n);
    return 0;
}

static int fletcher32_text(const cm_codec *codec, cm_buffer *out, cm_error *err)
{
    (void)codec;
    return cm_buffer_append_string(out, "fletcher32", err);
}

static bool fletcher32_equal(const cm_codec *a, const cm_codec *b, bool exactly)
{
    (void)a;
    (void)b;
    (void)exactly;
    return true;
}

const cm_codec_class cm_class_fletcher32 = {
    .name = "numcodecs.fletcher32",
    .v2_id = "fletcher32",
    .parse = fletcher32_parse,
    .describe = fletcher32_describe,
    .bound = fletcher32_size,
    .scratch = fletcher32_scratch,
    .encode = fletcher32_encode,
    .decode = fletcher32_decode,
    .view = fletcher32_view,
    .encoded_size = fletcher32_size,
    .text = fletcher32_text,
    .equal = fletcher32_equal,
};
