/* codec/gzip.c: gzip (RFC 1952), Zarr v3 "gzip" and numcodecs "gzip", by libdeflate.
 *
 * A chunk may be several members one after another (bgzip, pigz and Python's gzip write and read
 * such): each is decoded behind the other. Bytes that begin no member are refused, also zeros.
 * libdeflate checks each member's CRC-32 and length. Levels 0..9 are zlib's in meaning.
 */
#include <libdeflate.h>

#include "codec/codec_private.h"

typedef struct {
    cm_codec base;
    int level;
} gzip_codec;

static int level_of(const cm_codec *codec)
{
    return ((const gzip_codec *)codec)->level;
}

int cm_codec_new_gzip(int level, cm_codec **out, cm_error *err)
{
    if (level < 0 || level > 9)
        return cm_error_set(err, CM_EINVAL, "gzip: level %d is outside 0..9", level);
    gzip_codec *g;
    int r = cm_codec_alloc(&cm_class_gzip, sizeof *g, &g, err);
    if (r)
        return r;
    g->level = level;
    *out = &g->base;
    return 0;
}

static int gzip_parse(const cm_json *config, cm_dialect dialect, cm_dtype dtype, cm_codec **out,
                      cm_error *err)
{
    (void)dtype;
    int64_t level = dialect == CM_ZARR2 ? 1 : 5; /* numcodecs' and zarr-python's defaults */
    const cm_config_field field = {.key = "level", .min = -1, .max = 9, .value = &level};
    int r = cm_config_read(config, dialect, "gzip", &field, 1, err);
    return r ? r : cm_codec_new_gzip(level < 0 ? 6 : (int)level, out, err);
}

static cm_json *gzip_describe(const cm_codec *codec, cm_json_doc *doc, cm_dialect dialect)
{
    cm_json *config, *o = cm_config_describe(doc, &cm_class_gzip, "gzip", dialect, &config);
    return !o || cm_json_set_int64(doc, config, "level", level_of(codec)) ? NULL : o;
}

static size_t gzip_bound(const cm_codec *codec, size_t n)
{
    (void)codec;
    return libdeflate_gzip_compress_bound(NULL, n);
}

static size_t gzip_scratch(const cm_codec *codec, size_t n, bool encoding)
{
    (void)n;
    return encoding ? cm_deflater_nbytes(level_of(codec)) : CM_INFLATER_NBYTES;
}

static int gzip_encode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                       void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    struct libdeflate_compressor *c = cm_work_deflater(work, level_of(codec), err);
    if (!c)
        return CM_ENOMEM;
    *nout = libdeflate_gzip_compress(c, src, nsrc, dst, capacity);
    if (*nout == 0)
        return cm_error_set(err, CM_EINVAL, "gzip: %zu bytes do not fit %zu when encoded", nsrc,
                            capacity);
    return 0;
}

static int gzip_decode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                       void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)codec;
    *nout = 0;
    struct libdeflate_decompressor *d = cm_work_inflater(work, err);
    if (!d)
        return CM_ENOMEM;
    size_t at = 0, done = 0;
    do {
        size_t nin = 0, n = 0;
        enum libdeflate_result r =
            libdeflate_gzip_decompress_ex(d, (const uint8_t *)src + at, nsrc - at,
                                          (uint8_t *)dst + done, capacity - done, &nin, &n);
        if (r == LIBDEFLATE_INSUFFICIENT_SPACE)
            return cm_error_set(err, CM_ELIMIT, "gzip: decodes to more than %zu bytes", capacity);
        if (r != LIBDEFLATE_SUCCESS)
            return cm_error_set(err, CM_EDATA,
                                at ? "gzip: corrupted member or bytes left over at byte %zu of %zu"
                                   : "gzip: corrupted member at byte %zu of %zu",
                                at, nsrc);
        at += nin;
        done += n;
    } while (at < nsrc);
    *nout = done;
    return 0;
}

static int gzip_text(const cm_codec *codec, cm_buffer *out, cm_error *err)
{
    return cm_buffer_printf(out, err, "gzip:%d", level_of(codec));
}

static bool gzip_equal(const cm_codec *a, const cm_codec *b, bool exactly)
{
    return !exactly || level_of(a) == level_of(b);
}

const cm_codec_class cm_class_gzip = {
    .name = "gzip",
    .v2_id = "gzip",
    .parse = gzip_parse,
    .describe = gzip_describe,
    .bound = gzip_bound,
    .scratch = gzip_scratch,
    .encode = gzip_encode,
    .decode = gzip_decode,
    .text = gzip_text,
    .equal = gzip_equal,
};
