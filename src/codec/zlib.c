/* codec/zlib.c: zlib streams (RFC 1950), HDF5's deflate filter, numcodecs "zlib", by libdeflate.
 *
 * libdeflate decodes two to three times as fast as zlib and needs the whole stream and a
 * destination of known size, which is what a chunk is. It checks the Adler-32. One stream, nothing
 * behind it.
 */
#include <libdeflate.h>

#include "codec/codec_private.h"

typedef struct {
    cm_codec base;
    int level;
} zlib_codec;

static int level_of(const cm_codec *codec)
{
    return ((const zlib_codec *)codec)->level;
}

int cm_codec_new_zlib(int level, cm_codec **out, cm_error *err)
{
    if (level < 0 || level > 9)
        return cm_error_set(err, CM_EINVAL, "zlib: level %d is outside 0..9", level);
    zlib_codec *z;
    int r = cm_codec_alloc(&cm_class_zlib, sizeof *z, &z, err);
    if (r)
        return r;
    z->level = level;
    *out = &z->base;
    return 0;
}

static int zlib_parse(const cm_json *config, cm_dialect dialect, cm_dtype dtype, cm_codec **out,
                      cm_error *err)
{
    (void)dtype;
    int64_t level = 1; /* numcodecs' default */
    const cm_config_field field = {.key = "level", .min = -1, .max = 9, .value = &level};
    int r = cm_config_read(config, dialect, "zlib", &field, 1, err);
    return r ? r : cm_codec_new_zlib(level < 0 ? 6 : (int)level, out, err);
}

static cm_json *zlib_describe(const cm_codec *codec, cm_json_doc *doc, cm_dialect dialect)
{
    cm_json *config;
    cm_json *o = cm_config_describe(doc, &cm_class_zlib, "numcodecs.zlib", dialect, &config);
    return !o || cm_json_set_int64(doc, config, "level", level_of(codec)) ? NULL : o;
}

static size_t zlib_bound(const cm_codec *codec, size_t n)
{
    (void)codec;
    return libdeflate_zlib_compress_bound(NULL, n);
}

static size_t zlib_scratch(const cm_codec *codec, size_t n, bool encoding)
{
    (void)n;
    return encoding ? cm_deflater_nbytes(level_of(codec)) : CM_INFLATER_NBYTES;
}

static int zlib_encode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                       void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    struct libdeflate_compressor *c = cm_work_deflater(work, level_of(codec), err);
    if (!c)
        return CM_ENOMEM;
    *nout = libdeflate_zlib_compress(c, src, nsrc, dst, capacity);
    if (*nout == 0)
        return cm_error_set(err, CM_EINVAL, "zlib: %zu bytes do not fit %zu when encoded", nsrc,
                            capacity);
    return 0;
}

static int zlib_decode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                       void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)codec;
    *nout = 0;
    struct libdeflate_decompressor *d = cm_work_inflater(work, err);
    if (!d)
        return CM_ENOMEM;
    size_t nin = 0, n = 0;
    enum libdeflate_result r = libdeflate_zlib_decompress_ex(d, src, nsrc, dst, capacity, &nin, &n);
    if (r == LIBDEFLATE_INSUFFICIENT_SPACE)
        return cm_error_set(err, CM_ELIMIT, "zlib: decodes to more than %zu bytes", capacity);
    if (r != LIBDEFLATE_SUCCESS)
        return cm_error_set(err, CM_EDATA, "zlib: corrupted stream (%zu bytes)", nsrc);
    if (nin != nsrc)
        return cm_error_set(err, CM_EDATA, "zlib: %zu bytes left over after a stream of %zu",
                            nsrc - nin, nin);
    *nout = n;
    return 0;
}

static int zlib_text(const cm_codec *codec, cm_buffer *out, cm_error *err)
{
    return cm_buffer_printf(out, err, "zlib:%d", level_of(codec));
}

static bool zlib_equal(const cm_codec *a, const cm_codec *b, bool exactly)
{
    return !exactly || level_of(a) == level_of(b);
}

const cm_codec_class cm_class_zlib = {
    .name = "numcodecs.zlib",
    .v2_id = "zlib",
    .parse = zlib_parse,
    .describe = zlib_describe,
    .bound = zlib_bound,
    .scratch = zlib_scratch,
    .encode = zlib_encode,
    .decode = zlib_decode,
    .text = zlib_text,
    .equal = zlib_equal,
};
