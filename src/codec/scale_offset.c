/* codec/scale_offset.c: "scale_offset" of Zarr's registry of extensions: encoded (x - offset) *
 * scale, decoded x / scale + offset, in the arithmetic of the cells' own type.
 *
 * Floats round after each operation, as they do in C and numpy; float16 by way of float32, which
 * gives the same. Integers are exact: a result that is none of the type, or a division with a rest,
 * is an error, as the specification wants it. Small floats and integers, with which nobody
 * calculates, are refused by name.
 */
#include <math.h>
#include <string.h>

#include "codec/filter.h"
#include "codec/scalar.h"
#include "nd/half.h"

__extension__ typedef __int128 wide;

typedef struct {
    cm_filter f;
    cm_scalar offset, scale;
    bool offset_given, scale_given;
    double real_offset, real_scale;
    wide whole_offset, whole_scale;
} scale_offset;

/* ---- floats ---------------------------------------------------------------------------------- */

static bool decode_f64(const cm_filter *f, cm_filter_state *s, const uint8_t *src, size_t n,
                       uint8_t *dst)
{
    const scale_offset *x = (const scale_offset *)f;
    double v[CM_FILTER_BLOCK];
    (void)s;
    cm_elements_load_f64(&f->stored, src, n, v);
    cm_divide_add_f64(v, n, x->real_scale, x->real_offset);
    return cm_elements_store_f64(&f->cells, v, n, dst);
}

static bool encode_f64(const cm_filter *f, cm_filter_state *s, const uint8_t *src, size_t n,
                       uint8_t *dst)
{
    const scale_offset *x = (const scale_offset *)f;
    double v[CM_FILTER_BLOCK];
    (void)s;
    cm_elements_load_f64(&f->cells, src, n, v);
    cm_subtract_multiply_f64(v, n, x->real_offset, x->real_scale);
    return cm_elements_store_f64(&f->stored, v, n, dst);
}

static bool decode_f32(const cm_filter *f, cm_filter_state *s, const uint8_t *src, size_t n,
                       uint8_t *dst)
{
    const scale_offset *x = (const scale_offset *)f;
    float v[CM_FILTER_BLOCK];
    (void)s;
    cm_elements_load_f32(&f->stored, src, n, v);
    cm_divide_add_f32(v, n, (float)x->real_scale, (float)x->real_offset);
    return cm_elements_store_f32(&f->cells, v, n, dst);
}

static bool encode_f32(const cm_filter *f, cm_filter_state *s, const uint8_t *src, size_t n,
                       uint8_t *dst)
{
    const scale_offset *x = (const scale_offset *)f;
    float v[CM_FILTER_BLOCK];
    (void)s;
    cm_elements_load_f32(&f->cells, src, n, v);
    cm_subtract_multiply_f32(v, n, (float)x->real_offset, (float)x->real_scale);
    return cm_elements_store_f32(&f->stored, v, n, dst);
}

static float half(float v)
{
    return cm_half_to_float(cm_float_to_half(v));
}

static bool decode_f16(const cm_filter *f, cm_filter_state *s, const uint8_t *src, size_t n,
                       uint8_t *dst)
{
    const scale_offset *x = (const scale_offset *)f;
    double v[CM_FILTER_BLOCK];
    (void)s;
    cm_elements_load_f64(&f->stored, src, n, v);
    for (size_t i = 0; i < n; i++)
        v[i] = (double)half(half((float)v[i] / (float)x->real_scale) + (float)x->real_offset);
    return cm_elements_store_f64(&f->cells, v, n, dst);
}

static bool encode_f16(const cm_filter *f, cm_filter_state *s, const uint8_t *src, size_t n,
                       uint8_t *dst)
{
    const scale_offset *x = (const scale_offset *)f;
    double v[CM_FILTER_BLOCK];
    (void)s;
    cm_elements_load_f64(&f->cells, src, n, v);
    for (size_t i = 0; i < n; i++)
        v[i] = (double)half(half((float)v[i] - (float)x->real_offset) * (float)x->real_scale);
    return cm_elements_store_f64(&f->stored, v, n, dst);
}

/* ---- integers -------------------------------------------------------------------------------- */

static wide number_of(cm_kind kind, uint64_t bits)
{
    return kind == CM_UINT64 ? (wide)bits : (wide)(int64_t)bits;
}

static bool holds(const cm_elements *e, wide v)
{
    bool is_unsigned = cm_kind_is_unsigned(e->kind);
    wide end = (wide)1 << (8 * e->size - !is_unsigned);
    return v < end && v >= (is_unsigned ? 0 : -end);
}

static bool integers(const cm_filter *f, const uint8_t *src, size_t n, uint8_t *dst, bool decoding)
{
    const scale_offset *x = (const scale_offset *)f;
    int64_t v[CM_FILTER_BLOCK];
    bool good = true;
    cm_elements_load_i64(&f->cells, src, n, v);
    for (size_t i = 0; i < n; i++) {
        wide w = number_of(f->cells.kind, (uint64_t)v[i]);
        if (decoding) {
            good &= w % x->whole_scale == 0;
            w = w / x->whole_scale;
            good &= holds(&f->cells, w);
            w += x->whole_offset;
        } else {
            w -= x->whole_offset;
            good &= holds(&f->cells, w);
            w = good ? w * x->whole_scale : 0; /* no product of two cells overflows */
        }
        good &= holds(&f->cells, w);
        v[i] = (int64_t)w;
    }
    cm_elements_store_i64(&f->cells, v, n, dst);
    return good;
}

static bool decode_integers(const cm_filter *f, cm_filter_state *s, const uint8_t *src, size_t n,
                            uint8_t *dst)
{
    (void)s;
    return integers(f, src, n, dst, true);
}

static bool encode_integers(const cm_filter *f, cm_filter_state *s, const uint8_t *src, size_t n,
                            uint8_t *dst)
{
    (void)s;
    return integers(f, src, n, dst, false);
}

/* With a scale of 1 it is an addition, modulo the size; in that range no sum is another one. */
static bool shift(const cm_filter *f, const uint8_t *src, size_t n, uint8_t *dst, bool decoding)
{
    const scale_offset *x = (const scale_offset *)f;
    int64_t v[CM_FILTER_BLOCK];
    int64_t by = decoding ? (int64_t)x->whole_offset : -(int64_t)x->whole_offset, low, high;
    cm_elements_load_i64(&f->cells, src, n, v);
    int64_t bad = 0;
    bool is_unsigned = cm_kind_is_unsigned(f->cells.kind);
    high = ((int64_t)1 << (8 * f->cells.size - !is_unsigned)) - 1;
    low = is_unsigned ? 0 : -high - 1;
    for (size_t i = 0; i < n; i++) {
        v[i] += by;
        bad |= (high - v[i]) | (v[i] - low); /* negative when outside */
    }
    cm_elements_store_i64(&f->cells, v, n, dst);
    return bad >= 0;
}

static bool decode_shift(const cm_filter *f, cm_filter_state *s, const uint8_t *src, size_t n,
                         uint8_t *dst)
{
    (void)s;
    return shift(f, src, n, dst, true);
}

static bool encode_shift(const cm_filter *f, cm_filter_state *s, const uint8_t *src, size_t n,
                         uint8_t *dst)
{
    (void)s;
    return shift(f, src, n, dst, false);
}

/* ---- configuration --------------------------------------------------------------------------- */

static void choose(scale_offset *x)
{
    cm_kind kind = x->f.cells.kind;
    if (kind == CM_FLOAT64) {
        x->f.decode = decode_f64;
        x->f.encode = encode_f64;
    } else if (kind == CM_FLOAT32) {
        x->f.decode = decode_f32;
        x->f.encode = encode_f32;
    } else if (kind == CM_FLOAT16) {
        x->f.decode = decode_f16;
        x->f.encode = encode_f16;
    } else {
        bool plain = x->whole_scale == 1 && x->f.cells.size < 8;
        x->f.decode = plain ? decode_shift : decode_integers;
        x->f.encode = plain ? encode_shift : encode_integers;
        x->f.exact = true; /* what is no error is exact */
    }
}

static int parse(const cm_json *config, cm_dialect dialect, const cm_array_form *in, cm_codec **out,
                 cm_error *err)
{
    scale_offset x = {.offset_given = cm_json_get(config, "offset") != NULL,
                      .scale_given = cm_json_get(config, "scale") != NULL};
    const cm_config_field fields[] = {{.key = "offset"}, {.key = "scale"}};
    cm_kind kind = in->dtype.kind;
    int r = cm_config_read(config, dialect, "scale_offset", fields, 2, err);
    if (!r)
        r = cm_elements_of(in->dtype, "scale_offset", &x.f.cells, err);
    if (!r && kind == CM_BOOL)
        r = cm_error_set(err, CM_EUNSUP, "codec scale_offset: cells of type bool");
    x.f.stored = x.f.cells;
    if (!r && x.offset_given)
        r = cm_scalar_parse(cm_json_get(config, "offset"), kind, "scale_offset", "offset",
                            &x.offset, err);
    if (!r && x.scale_given)
        r = cm_scalar_parse(cm_json_get(config, "scale"), kind, "scale_offset", "scale", &x.scale,
                            err);
    if (r)
        return r;
    int64_t whole[2] = {0, 1};
    x.real_offset = x.offset_given ? cm_scalar_value(kind, &x.offset) : 0;
    x.real_scale = x.scale_given ? cm_scalar_value(kind, &x.scale) : 1;
    if (x.real_scale == 0)
        return cm_error_set(err, CM_EDATA, "codec scale_offset: scale is 0");
    if (cm_kind_is_integer(kind)) {
        if (x.offset_given)
            cm_load_i64(kind, x.offset.bytes, 1, &whole[0]);
        if (x.scale_given)
            cm_load_i64(kind, x.scale.bytes, 1, &whole[1]);
        x.whole_offset = number_of(kind, (uint64_t)whole[0]);
        x.whole_scale = number_of(kind, (uint64_t)whole[1]);
    }
    choose(&x);
    if (!x.offset_given && !x.scale_given)
        x.f.decode = x.f.encode = NULL;
    return cm_codec_copy(&cm_class_scale_offset, &x, sizeof x, out, err);
}

static cm_json *describe(const cm_codec *codec, cm_json_doc *doc, cm_dialect dialect)
{
    const scale_offset *x = (const scale_offset *)codec;
    cm_kind kind = x->f.cells.kind;
    cm_json *config, *o = cm_config_describe(doc, codec->cls, "scale_offset", dialect, &config);
    if (!o ||
        (x->offset_given &&
         cm_json_set(doc, config, "offset", cm_scalar_describe(doc, kind, &x->offset))) ||
        (x->scale_given &&
         cm_json_set(doc, config, "scale", cm_scalar_describe(doc, kind, &x->scale))))
        return NULL;
    return o;
}

/* Integers come back, or it is an error. */
static int apply(const cm_codec *codec, cm_array_form *form)
{
    (void)form;
    return cm_kind_is_integer(cm_filter_of(codec)->cells.kind) ? 0 : CM_FILTER_LOSSY;
}

static int text(const cm_codec *codec, cm_buffer *out, cm_error *err)
{
    const scale_offset *x = (const scale_offset *)codec;
    return cm_buffer_printf(out, err, "scale_offset(%g,%g)", x->real_scale, x->real_offset);
}

static bool equal(const cm_codec *a, const cm_codec *b, bool exactly)
{
    const scale_offset *x = (const scale_offset *)a, *y = (const scale_offset *)b;
    (void)exactly;
    return cm_filter_equal_types(a, b) && x->offset_given == y->offset_given &&
           x->scale_given == y->scale_given && x->offset.word == y->offset.word &&
           x->scale.word == y->scale.word;
}

const cm_codec_class cm_class_scale_offset = {
    .name = "scale_offset",
    .parse_array = parse,
    .describe = describe,
    .bound = cm_filter_encoded_size,
    .scratch = cm_no_scratch,
    .encode = cm_filter_encode,
    .decode = cm_filter_decode,
    .view = cm_filter_view,
    .has_view = cm_filter_has_view,
    .encoded_size = cm_filter_encoded_size,
    .filter = apply,
    .text = text,
    .equal = equal,
};
