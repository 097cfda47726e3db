/* codec/shuffle.c: byte shuffle: HDF5's shuffle filter and numcodecs "shuffle".
 *
 * Byte j of all elements, then byte j + 1 of all elements. Bytes behind the last whole element are
 * copied as they are (HDF5; numcodecs never writes such). Element size 0 or 1 is a copy. The work
 * is done in shuffle_kernels.c.
 */
#include <string.h>

#include "codec/codec_private.h"

typedef struct {
    cm_codec base;
    uint32_t size;
} shuffle_codec;

static uint32_t size_of(const cm_codec *codec)
{
    return ((const shuffle_codec *)codec)->size;
}

uint32_t cm_codec_shuffle_width(const cm_codec *codec)
{
    return codec->cls == &cm_class_shuffle ? size_of(codec) : 1;
}

int cm_codec_new_shuffle(uint32_t typesize, cm_codec **out, cm_error *err)
{
    shuffle_codec *s;
    int r = cm_codec_alloc(&cm_class_shuffle, sizeof *s, &s, err);
    if (r)
        return r;
    s->size = typesize;
    *out = &s->base;
    return 0;
}

static int shuffle_parse(const cm_json *config, cm_dialect dialect, cm_dtype dtype, cm_codec **out,
                         cm_error *err)
{
    /* In a v2 filter an absent size is numcodecs' default of 4; zarr-python fills in the type's
     * size when it opens a v3 array with numcodecs.shuffle, whose configuration has no id. */
    bool v2 = dialect == CM_ZARR2 && cm_json_get(config, "id");
    int64_t size = v2 ? 4 : cm_kind_is_vlen(dtype.kind) ? 1 : dtype.size;
    const cm_config_field field = {
        .key = "elementsize", .max = UINT32_MAX, .value = &size, .null_allowed = !v2};
    int r = cm_config_read(config, dialect, "shuffle", &field, 1, err);
    return r ? r : cm_codec_new_shuffle((uint32_t)size, out, err);
}

static cm_json *shuffle_describe(const cm_codec *codec, cm_json_doc *doc, cm_dialect dialect)
{
    cm_json *config;
    cm_json *o = cm_config_describe(doc, &cm_class_shuffle, "numcodecs.shuffle", dialect, &config);
    return !o || cm_json_set_int64(doc, config, "elementsize", size_of(codec)) ? NULL : o;
}

static size_t shuffle_size(const cm_codec *codec, size_t n)
{
    (void)codec;
    return n;
}

static size_t shuffle_scratch(const cm_codec *codec, size_t n, bool encoding)
{
    (void)codec;
    (void)n;
    (void)encoding;
    return 0;
}

static int run(const cm_codec *codec, void (*kernel)(const void *, void *, size_t, size_t),
               const void *src, size_t nsrc, void *dst, size_t capacity, size_t *nout,
               cm_error *err)
{
    *nout = nsrc;
    if (nsrc > capacity)
        return cm_error_set(err, CM_ELIMIT, "shuffle: %zu bytes are more than %zu", nsrc, capacity);
    size_t size = size_of(codec), nelem = size > 1 ? nsrc / size : 0, whole = nelem * size;
    if (nelem)
        kernel(src, dst, nelem, size);
    if (whole < nsrc)
        memcpy((uint8_t *)dst + whole, (const uint8_t *)src + whole, nsrc - whole);
    return 0;
}

static int shuffle_encode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                          void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)work;
    return run(codec, cm_shuffle, src, nsrc, dst, capacity, nout, err);
}

static int shuffle_decode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                          void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)work;
    return run(codec, cm_unshuffle, src, nsrc, dst, capacity, nout, err);
}

static int shuffle_text(const cm_codec *codec, cm_buffer *out, cm_error *err)
{
    return cm_buffer_printf(out, err, "shuffle:%u", size_of(codec));
}

static bool shuffle_equal(const cm_codec *a, const cm_codec *b, bool exactly)
{
    (void)exactly;
    return size_of(a) == size_of(b);
}

const cm_codec_class cm_class_shuffle = {
    .name = "numcodecs.shuffle",
    .v2_id = "shuffle",
    .parse = shuffle_parse,
    .describe = shuffle_describe,
    .bound = shuffle_size,
    .scratch = shuffle_scratch,
    .encode = shuffle_encode,
    .decode = shuffle_decode,
    .encoded_size = shuffle_size,
    .text = shuffle_text,
    .equal = shuffle_equal,
};
