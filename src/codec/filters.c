/* codec/filters.c: numcodecs' filters that change values: astype, quantize, bitround,
 * fixedscaleoffset, delta.
 *
 * In Zarr v3 they stand before the codec that makes bytes, in v2 they are filters; either way they
 * map an array of one type, lying as bytes, to one of another type and the same length, so here
 * they are stages like all others whose sizes are known.
 *
 *     decode    astype      the stored type to the other
 *               quantize    the same (what it lost, it lost when it was written)
 *               bitround    nothing
 *               fixed...    stored / scale + offset, to the other type
 *               delta       sums, integers modulo their size, floats one after another in their own
 *                           precision as numpy.cumsum has it
 *
 * Encoding is what keeps decode(encode(x)) = x, or an error: a cell that would come back as another
 * one is refused by name, so that copying a store with the codecs it has loses nothing. quantize
 * and bitround therefore do not round again. What numpy itself makes of a conversion that is not
 * defined (NaN to an integer, a float beyond it) nobody can know: an error.
 */
#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "codec/elements.h"

enum { BLOCK = 512 };

typedef struct {
    cm_codec base;
    cm_elements cells, stored; /* decoded and encoded */
    double scale, offset;      /* fixedscaleoffset */
    int64_t number;            /* quantize's digits, bitround's keepbits */
} filter;

static const filter *of(const cm_codec *codec)
{
    return (const filter *)codec;
}

static const char *id_of(const cm_codec *codec)
{
    return codec->cls->v2_id;
}

static bool is_float(const cm_elements *e)
{
    return cm_kind_is_float(e->kind);
}

/* ---- configurations -------------------------------------------------------------------------- */

static int number_of(const cm_json *config, const char *key, const char *codec, double *out,
                     cm_error *err)
{
    if (!cm_json_double(cm_json_get(config, key), out) || !isfinite(*out) || fabs(*out) > 0x1p53)
        return cm_error_set(err, CM_EDATA, "codec %s: %s is not a number", codec, key);
    return 0;
}

/* Mixes in which numpy rounds otherwise than by way of a double, or nobody knows how. */
static int check_types(const cm_codec_class *cls, const filter *f, cm_error *err)
{
    const cm_elements *a = &f->stored, *b = &f->cells;
    bool wide = (a->size == 8 && !is_float(a)) || (b->size == 8 && !is_float(b));
    bool mixed = is_float(a) != is_float(b);
    bool good = true;
    if (cls == &cm_class_astype)
        good = !(mixed && wide) && a->kind != CM_BOOL && b->kind != CM_BOOL;
    else if (cls == &cm_class_quantize)
        good = is_float(a) && is_float(b);
    else if (cls == &cm_class_bitround)
        good = is_float(a);
    else if (cls == &cm_class_fixedscaleoffset)
        good = !wide && a->kind != CM_BOOL && b->kind != CM_BOOL && a->kind != CM_FLOAT16 &&
               f->scale != 0;
    else
        good = is_float(a) || is_float(b) ? a->kind == b->kind && a->kind != CM_FLOAT16
                                          : a->kind != CM_BOOL && b->kind != CM_BOOL;
    return good ? 0
                : cm_error_set(err, CM_EUNSUP, "codec %s: from %s to %s", cls->v2_id, b->name,
                               a->name);
}

static int parse(const cm_codec_class *cls, const cm_json *config, cm_dialect dialect,
                 cm_dtype dtype, cm_codec **out, cm_error *err)
{
    bool astype = cls == &cm_class_astype, bitround = cls == &cm_class_bitround;
    bool fixed = cls == &cm_class_fixedscaleoffset, quantize = cls == &cm_class_quantize;
    const char *cells = NULL, *stored = NULL;
    filter f = {.number = -1};
    cm_config_field fields[4];
    size_t n = 0;
    memset(fields, 0, sizeof fields);
    if (!bitround) {
        fields[n++] = (cm_config_field){.key = astype ? "decode_dtype" : "dtype",
                                        .string = &cells,
                                        .required = dialect == CM_ZARR2 && !astype,
                                        .null_allowed = true};
        fields[n++] = (cm_config_field){.key = astype ? "encode_dtype" : "astype",
                                        .string = &stored,
                                        .required = astype,
                                        .null_allowed = true};
    }
    if (bitround || quantize)
        fields[n++] = (cm_config_field){.key = bitround ? "keepbits" : "digits",
                                        .min = bitround ? 0 : -400,
                                        .max = 400,
                                        .value = &f.number,
                                        .required = true};
    if (fixed) {
        fields[n++] = (cm_config_field){.key = "scale", .required = true};
        fields[n++] = (cm_config_field){.key = "offset", .required = true};
    }
    int r = cm_config_read(config, dialect, cls->v2_id, fields, n, err);
    if (!r)
        r = cells ? cm_elements_parse(cells, cls->v2_id, &f.cells, err)
                  : cm_elements_of(dtype, cls->v2_id, &f.cells, err);
    f.stored = f.cells;
    if (!r && stored)
        r = cm_elements_parse(stored, cls->v2_id, &f.stored, err);
    if (!r && fixed)
        r = number_of(config, "scale", cls->v2_id, &f.scale, err);
    if (!r && fixed)
        r = number_of(config, "offset", cls->v2_id, &f.offset, err);
    if (!r)
        r = check_types(cls, &f, err);
    filter *made;
    if (!r)
        r = cm_codec_alloc(cls, sizeof *made, &made, err);
    if (r)
        return r;
    f.base = made->base;
    *made = f;
    *out = &made->base;
    return 0;
}

static cm_json *describe(const cm_codec *codec, cm_json_doc *doc, cm_dialect dialect)
{
    const filter *f = of(codec);
    bool astype = codec->cls == &cm_class_astype, bitround = codec->cls == &cm_class_bitround;
    cm_json *config, *o = cm_config_describe(doc, codec->cls, codec->cls->name, dialect, &config);
    if (!o)
        return NULL;
    if (bitround || codec->cls == &cm_class_quantize)
        if (cm_json_set_int64(doc, config, bitround ? "keepbits" : "digits", f->number))
            return NULL;
    if (codec->cls == &cm_class_fixedscaleoffset &&
        (cm_json_set(doc, config, "scale", cm_json_new_double(doc, f->scale)) ||
         cm_json_set(doc, config, "offset", cm_json_new_double(doc, f->offset))))
        return NULL;
    if (!bitround && (cm_json_set(doc, config, astype ? "decode_dtype" : "dtype",
                                  cm_elements_describe(&f->cells, doc)) ||
                      cm_json_set(doc, config, astype ? "encode_dtype" : "astype",
                                  cm_elements_describe(&f->stored, doc))))
        return NULL;
    return o;
}

/* ---- values ---------------------------------------------------------------------------------- */

typedef struct {
    uint64_t sum; /* delta's, of what came before */
    float sum32;
    double sum64;
} state;

/* Nothing to do: then not even a NaN's bits may change. */
static bool is_identity(const filter *f)
{
    return f->base.cls != &cm_class_delta && f->base.cls != &cm_class_fixedscaleoffset &&
           cm_elements_equal(&f->cells, &f->stored);
}

/* n <= BLOCK stored numbers to cells. */
static bool decode_block(const filter *f, state *s, const uint8_t *src, size_t n, uint8_t *dst)
{
    union {
        int64_t i[BLOCK];
        double d[BLOCK];
    } v;
    const cm_codec_class *cls = f->base.cls;
    if (is_identity(f)) {
        memcpy(dst, src, n * f->cells.size);
        return true;
    }
    if (cls == &cm_class_delta && !is_float(&f->cells)) {
        cm_elements_load_i64(&f->stored, src, n, v.i);
        for (size_t i = 0; i < n; i++)
            v.i[i] = (int64_t)(s->sum += (uint64_t)v.i[i]);
        cm_elements_store_i64(&f->cells, v.i, n, dst);
        return true;
    }
    if (cls != &cm_class_fixedscaleoffset && !is_float(&f->stored) && !is_float(&f->cells)) {
        cm_elements_load_i64(&f->stored, src, n, v.i);
        cm_elements_store_i64(&f->cells, v.i, n, dst);
        return true;
    }
    cm_elements_load_f64(&f->stored, src, n, v.d);
    if (cls == &cm_class_delta && f->cells.kind == CM_FLOAT32)
        for (size_t i = 0; i < n; i++)
            v.d[i] = (double)(s->sum32 += (float)v.d[i]);
    else if (cls == &cm_class_delta)
        for (size_t i = 0; i < n; i++)
            v.d[i] = s->sum64 += v.d[i];
    else if (cls == &cm_class_fixedscaleoffset && f->stored.kind == CM_FLOAT32)
        for (size_t i = 0; i < n; i++)
            v.d[i] = (double)((float)v.d[i] / (float)f->scale + (float)f->offset);
    else if (cls == &cm_class_fixedscaleoffset)
        for (size_t i = 0; i < n; i++)
            v.d[i] = v.d[i] / f->scale + f->offset;
    return cm_elements_store_f64(&f->cells, v.d, n, dst);
}

static bool encode_block(const filter *f, state *s, const uint8_t *src, size_t n, uint8_t *dst)
{
    union {
        int64_t i[BLOCK];
        double d[BLOCK];
    } v;
    const cm_codec_class *cls = f->base.cls;
    bool delta = cls == &cm_class_delta;
    if (is_identity(f)) {
        memcpy(dst, src, n * f->cells.size);
        return true;
    }
    if (cls != &cm_class_fixedscaleoffset && !is_float(&f->stored) && !is_float(&f->cells)) {
        cm_elements_load_i64(&f->cells, src, n, v.i);
        for (size_t i = 0; i < n && delta; i++) {
            uint64_t x = (uint64_t)v.i[i];
            v.i[i] = (int64_t)(x - s->sum);
            s->sum = x;
        }
        cm_elements_store_i64(&f->stored, v.i, n, dst);
        return true;
    }
    cm_elements_load_f64(&f->cells, src, n, v.d);
    if (delta)
        for (size_t i = 0; i < n; i++) {
            double x = v.d[i];
            v.d[i] =
                f->cells.kind == CM_FLOAT32 ? (double)((float)x - (float)s->sum64) : x - s->sum64;
            s->sum64 = x;
        }
    else if (cls == &cm_class_fixedscaleoffset)
        for (size_t i = 0; i < n; i++)
            v.d[i] = rint((v.d[i] - f->offset) * f->scale);
    return cm_elements_store_f64(&f->stored, v.d, n, dst);
}

static int decode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                  void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)work;
    const filter *f = of(codec);
    size_t n = nsrc / f->stored.size;
    state s = {0, -0.0f, -0.0}; /* what -0 is added to stays itself, -0 too */
    *nout = 0;
    if (nsrc % f->stored.size)
        return cm_error_set(err, CM_EDATA, "%s: %zu bytes are no multiple of %u", id_of(codec),
                            nsrc, f->stored.size);
    if (n > capacity / f->cells.size) {
        *nout = n * f->cells.size;
        return cm_error_set(err, CM_ELIMIT, "%s: decodes to %zu numbers, more than %zu",
                            id_of(codec), n, capacity / f->cells.size);
    }
    for (size_t at = 0, some; at < n; at += some) {
        some = n - at < BLOCK ? n - at : BLOCK;
        if (!decode_block(f, &s, (const uint8_t *)src + at * f->stored.size, some,
                          (uint8_t *)dst + at * f->cells.size))
            return cm_error_set(err, CM_EDATA,
                                "%s: a stored number is none that %s can be, near number %zu",
                                id_of(codec), f->cells.name, at);
    }
    *nout = n * f->cells.size;
    return 0;
}

static int encode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                  void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)work;
    const filter *f = of(codec);
    size_t n = nsrc / f->cells.size;
    state there = {0}, back = {0, -0.0f, -0.0};
    uint8_t again[BLOCK * 8];
    *nout = 0;
    if (nsrc % f->cells.size || n > capacity / f->stored.size)
        return cm_error_set(err, CM_EINVAL, "%s: %zu bytes do not fit", id_of(codec), nsrc);
    for (size_t at = 0, some; at < n; at += some) {
        const uint8_t *from = (const uint8_t *)src + at * f->cells.size;
        uint8_t *to = (uint8_t *)dst + at * f->stored.size;
        some = n - at < BLOCK ? n - at : BLOCK;
        if (!encode_block(f, &there, from, some, to) || !decode_block(f, &back, to, some, again) ||
            memcmp(again, from, some * f->cells.size) != 0) {
            cm_error_set(err, CM_EUNSUP, "%s would change a cell near number %zu of a chunk",
                         id_of(codec), at);
            cm_error_hint(err, "choose another --codec");
            return CM_EUNSUP;
        }
    }
    *nout = n * f->stored.size;
    return 0;
}

/* ---- sizes and text -------------------------------------------------------------------------- */

static size_t encoded_size(const cm_codec *codec, size_t n)
{
    const filter *f = of(codec);
    return n / f->cells.size * f->stored.size;
}

static size_t no_scratch(const cm_codec *codec, size_t n, bool encoding)
{
    (void)codec;
    (void)n;
    (void)encoding;
    return 0;
}

static int text(const cm_codec *codec, cm_buffer *out, cm_error *err)
{
    const filter *f = of(codec);
    if (codec->cls == &cm_class_bitround)
        return cm_buffer_printf(out, err, "bitround(%d)", (int)f->number);
    return cm_buffer_printf(out, err, "%s(%s,%s)", id_of(codec), f->cells.name, f->stored.name);
}

static bool equal(const cm_codec *a, const cm_codec *b, bool exactly)
{
    const filter *x = of(a), *y = of(b);
    return cm_elements_equal(&x->cells, &y->cells) && cm_elements_equal(&x->stored, &y->stored) &&
           x->scale == y->scale && x->offset == y->offset && (!exactly || x->number == y->number);
}

static int filter_of(const cm_codec *codec, uint32_t *from, uint32_t *to)
{
    const filter *f = of(codec);
    *from = f->cells.size;
    *to = f->stored.size;
    bool exact = codec->cls == &cm_class_delta && !is_float(&f->cells);
    return (exact ? 0 : CM_FILTER_LOSSY) |
           (f->cells.big_endian || f->stored.big_endian ? CM_FILTER_BIG : 0);
}

#define FILTER(id)                                                                                 \
    static int parse_##id(const cm_json *config, cm_dialect dialect, cm_dtype dtype,               \
                          cm_codec **out, cm_error *err)                                           \
    {                                                                                              \
        return parse(&cm_class_##id, config, dialect, dtype, out, err);                            \
    }                                                                                              \
    const cm_codec_class cm_class_##id = {.name = "numcodecs." #id,                                \
                                          .v2_id = #id,                                            \
                                          .parse = parse_##id,                                     \
                                          .describe = describe,                                    \
                                          .bound = encoded_size,                                   \
                                          .scratch = no_scratch,                                   \
                                          .encode = encode,                                        \
                                          .decode = decode,                                        \
                                          .encoded_size = encoded_size,                            \
                                          .text = text,                                            \
                                          .equal = equal,                                          \
                                          .filter = filter_of}

FILTER(astype);
FILTER(quantize);
FILTER(bitround);
FILTER(fixedscaleoffset);
FILTER(delta);
