/* codec/lzma.c: numcodecs "lzma": .xz (format 1) or .lzma (format 2) files, by liblzma.
 *
 * Decoding takes what Python's lzma takes: several .xz streams one after another, with padding.
 * liblzma is given a limit of memory, since a header may ask for a dictionary of 4 GiB. Raw streams
 * (format 3) and chains of filters of one's own are refused by name.
 */
#include <lzma.h>

#include "codec/codec_private.h"

enum { XZ = 1, ALONE = 2 };
/* Preset 9 needs 65 MiB; what is charged must be enough for what is taken. */
#define MEMORY_LIMIT ((uint64_t)72 << 20)

typedef struct {
    cm_codec base;
    int format, check, preset; /* check -1: the format's own; preset -1: liblzma's 6 */
} lzma_codec;

static const lzma_codec *of(const cm_codec *codec)
{
    return (const lzma_codec *)codec;
}

static uint32_t preset_of(const lzma_codec *l)
{
    return l->preset < 0 ? 6 : (uint32_t)l->preset;
}

static int lzma_parse(const cm_json *config, cm_dialect dialect, cm_dtype dtype, cm_codec **out,
                      cm_error *err)
{
    (void)dtype;
    int64_t format = XZ, check = -1, preset = -1;
    const cm_json *filters = cm_json_get(config, "filters");
    const cm_config_field fields[] = {
        {.key = "format", .min = 0, .max = 3, .value = &format},
        {.key = "check", .min = -1, .max = 15, .value = &check},
        {.key = "preset", .min = 0, .max = UINT32_MAX, .value = &preset, .null_allowed = true},
        {.key = "filters"},
    };
    int r = cm_config_read(config, dialect, "lzma", fields, 4, err);
    bool extreme = preset >= 0 && (uint64_t)preset & LZMA_PRESET_EXTREME;
    if (r)
        return r;
    if (filters && !cm_json_is(filters, CM_JSON_NULL))
        return cm_error_set(err, CM_EUNSUP, "codec lzma: filters");
    if (format != XZ && format != ALONE)
        return cm_error_set(err, CM_EUNSUP, "codec lzma: format %d", (int)format);
    if (preset > 9 && (!extreme || (preset & 0x7fffffff) > 9))
        return cm_error_set(err, CM_EDATA, "codec lzma: preset %lld", (long long)preset);
    if (check > 0 && !lzma_check_is_supported((lzma_check)check))
        return cm_error_set(err, CM_EUNSUP, "codec lzma: check %d", (int)check);
    lzma_codec *l;
    r = cm_codec_alloc(&cm_class_lzma, sizeof *l, &l, err);
    if (r)
        return r;
    l->format = (int)format;
    l->check = (int)check;
    l->preset =
        extreme ? (int)(preset & 0x7fffffff) : (int)preset; /* the level's bytes decode alike */
    *out = &l->base;
    return 0;
}

static cm_json *lzma_describe(const cm_codec *codec, cm_json_doc *doc, cm_dialect dialect)
{
    const lzma_codec *l = of(codec);
    cm_json *config,
        *o = cm_config_describe(doc, &cm_class_lzma, "numcodecs.lzma", dialect, &config);
    return !o || cm_json_set_int64(doc, config, "format", l->format) ||
                   cm_json_set_int64(doc, config, "check", l->check) ||
                   cm_json_set(doc, config, "preset",
                               l->preset < 0 ? cm_json_new_null(doc)
                                             : cm_json_new_int64(doc, l->preset)) ||
                   cm_json_set(doc, config, "filters", cm_json_new_null(doc))
               ? NULL
               : o;
}

/* .lzma has no stored blocks: incompressible bytes grow. */
static size_t lzma_bound(const cm_codec *codec, size_t n)
{
    return of(codec)->format == XZ ? lzma_stream_buffer_bound(n) : n + n / 64 + 4096;
}

static size_t lzma_scratch(const cm_codec *codec, size_t n, bool encoding)
{
    (void)n;
    uint64_t m = encoding ? lzma_easy_encoder_memusage(preset_of(of(codec))) : MEMORY_LIMIT;
    return m < SIZE_MAX ? (size_t)m : SIZE_MAX;
}

/* Run a stream that was set up to its end. */
static int run(lzma_stream *s, const void *src, size_t nsrc, void *dst, size_t capacity,
               size_t *nout, lzma_ret *ret)
{
    s->next_in = src;
    s->avail_in = nsrc;
    s->next_out = dst;
    s->avail_out = capacity;
    do
        *ret = lzma_code(s, LZMA_FINISH);
    while (*ret == LZMA_OK && s->avail_out);
    *nout = capacity - s->avail_out;
    return *ret == LZMA_STREAM_END ? 0 : -1;
}

static int lzma_encode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                       void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)work;
    const lzma_codec *l = of(codec);
    lzma_stream s = LZMA_STREAM_INIT;
    lzma_options_lzma options;
    lzma_ret ret;
    lzma_check check = l->check < 0 ? LZMA_CHECK_CRC64 : (lzma_check)l->check;
    if (l->format == XZ)
        ret = lzma_easy_encoder(&s, preset_of(l), check);
    else
        ret = lzma_lzma_preset(&options, preset_of(l)) ? LZMA_OPTIONS_ERROR
                                                       : lzma_alone_encoder(&s, &options);
    *nout = 0;
    int r = ret == LZMA_OK ? run(&s, src, nsrc, dst, capacity, nout, &ret) : -1;
    lzma_end(&s);
    if (r && ret == LZMA_MEM_ERROR)
        return cm_error_set(err, CM_ENOMEM, "lzma: out of memory");
    return r ? cm_error_set(err, CM_EINVAL, "lzma: %zu bytes do not fit %zu when encoded", nsrc,
                            capacity)
             : 0;
}

static int lzma_decode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                       void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)work;
    lzma_stream s = LZMA_STREAM_INIT;
    uint8_t beyond;
    *nout = 0;
    lzma_ret ret = of(codec)->format == XZ
                       ? lzma_stream_decoder(&s, MEMORY_LIMIT, LZMA_CONCATENATED)
                       : lzma_alone_decoder(&s, MEMORY_LIMIT);
    int r = ret == LZMA_OK ? run(&s, src, nsrc, dst, capacity, nout, &ret) : -1;
    if (r && ret == LZMA_OK) { /* full: is there one more byte, or only the end? */
        s.next_out = &beyond;
        s.avail_out = 1;
        do
            ret = lzma_code(&s, LZMA_FINISH);
        while (ret == LZMA_OK && s.avail_out);
        if (s.avail_out == 0)
            r = CM_ELIMIT;
        else
            r = ret == LZMA_STREAM_END ? 0 : -1;
    }
    size_t left = s.avail_in;
    lzma_end(&s);
    if (r == CM_ELIMIT)
        return cm_error_set(err, CM_ELIMIT, "lzma: decodes to more than %zu bytes", capacity);
    if (r && ret == LZMA_MEM_ERROR)
        return cm_error_set(err, CM_ENOMEM, "lzma: out of memory");
    if (r && ret == LZMA_MEMLIMIT_ERROR)
        return cm_error_set(err, CM_EUNSUP,
                            "lzma: a stream whose dictionary is larger than preset 9 makes it");
    if (r || left)
        return cm_error_set(err, CM_EDATA, "lzma: corrupted stream near byte %zu of %zu",
                            nsrc - left, nsrc);
    return 0;
}

static int lzma_text(const cm_codec *codec, cm_buffer *out, cm_error *err)
{
    return cm_buffer_printf(out, err, "lzma:%u", preset_of(of(codec)));
}

static bool lzma_equal(const cm_codec *a, const cm_codec *b, bool exactly)
{
    const lzma_codec *x = of(a), *y = of(b);
    return x->format == y->format && (!exactly || (x->check == y->check && x->preset == y->preset));
}

const cm_codec_class cm_class_lzma = {
    .name = "numcodecs.lzma",
    .v2_id = "lzma",
    .parse = lzma_parse,
    .describe = lzma_describe,
    .bound = lzma_bound,
    .scratch = lzma_scratch,
    .encode = lzma_encode,
    .decode = lzma_decode,
    .text = lzma_text,
    .equal = lzma_equal,
};
