/* codec/fixedscaleoffset.c: numcodecs "fixedscaleoffset": stored = round((x - offset) * scale), as
 * another type; decoded: stored / scale + offset.
 *
 * numpy's arithmetic to the bit: integers are divided as doubles, float32 in its own precision.
 * Integers of 64 bits and float16 are refused by name: numpy rounds those more than once.
 */
#include <math.h>

#include "codec/filter.h"

typedef struct {
    cm_filter f;
    double scale, offset;
} fixed;

static bool decode_block(const cm_filter *f, cm_filter_state *s, const uint8_t *src, size_t n,
                         uint8_t *dst)
{
    const fixed *x = (const fixed *)f;
    union {
        double d[CM_FILTER_BLOCK];
        float f[CM_FILTER_BLOCK];
    } v;
    (void)s;
    if (f->stored.kind == CM_FLOAT32) {
        cm_elements_load_f32(&f->stored, src, n, v.f);
        cm_divide_add_f32(v.f, n, (float)x->scale, (float)x->offset);
        if (f->cells.kind == CM_FLOAT32)
            return cm_elements_store_f32(&f->cells, v.f, n, dst);
        double wide[CM_FILTER_BLOCK];
        for (size_t i = 0; i < n; i++)
            wide[i] = (double)v.f[i];
        return cm_elements_store_f64(&f->cells, wide, n, dst);
    }
    cm_elements_load_f64(&f->stored, src, n, v.d);
    cm_divide_add_f64(v.d, n, x->scale, x->offset);
    return cm_elements_store_f64(&f->cells, v.d, n, dst);
}

static bool encode_block(const cm_filter *f, cm_filter_state *s, const uint8_t *src, size_t n,
                         uint8_t *dst)
{
    const fixed *x = (const fixed *)f;
    double v[CM_FILTER_BLOCK];
    (void)s;
    cm_elements_load_f64(&f->cells, src, n, v);
    cm_subtract_multiply_f64(v, n, x->offset, x->scale);
    cm_round_even(v, n);
    return cm_elements_store_f64(&f->stored, v, n, dst);
}

/* One pass that rounds and looks whether it comes back. */
static bool encode_checked(const cm_filter *f, cm_filter_state *s, const uint8_t *src, size_t n,
                           uint8_t *dst)
{
    const fixed *x = (const fixed *)f;
    uint8_t native[CM_FILTER_BLOCK * 8];
    (void)s;
    const void *from = cm_elements_native(&f->cells, src, n, native);
    bool good = cm_fix(f->cells.kind, f->stored.kind, from, n, x->offset, x->scale, dst);
    cm_elements_to_order(&f->stored, dst, n);
    return good;
}

static int number_of(const cm_json *config, const char *key, double *out, cm_error *err)
{
    if (!cm_json_double(cm_json_get(config, key), out) || !isfinite(*out) || fabs(*out) > 0x1p53)
        return cm_error_set(err, CM_EDATA, "codec fixedscaleoffset: %s is not a number", key);
    return 0;
}

static bool wide(const cm_elements *e)
{
    return e->size == 8 && !cm_kind_is_float(e->kind);
}

static int fixed_parse(const cm_json *config, cm_dialect dialect, const cm_array_form *in,
                       cm_codec **out, cm_error *err)
{
    const char *cells = NULL, *stored = NULL, *id = "fixedscaleoffset";
    fixed x = {.f = {.decode = decode_block, .encode = encode_block}};
    const cm_config_field fields[] = {
        {.key = "dtype", .string = &cells, .required = dialect == CM_ZARR2, .null_allowed = true},
        {.key = "astype", .string = &stored, .null_allowed = true},
        {.key = "scale", .required = true},
        {.key = "offset", .required = true}};
    int r = cm_config_read(config, dialect, id, fields, 4, err);
    if (!r)
        r = cm_filter_types(&x.f, id, dialect, in, cells, stored, err);
    if (!r)
        r = number_of(config, "scale", &x.scale, err);
    if (!r)
        r = number_of(config, "offset", &x.offset, err);
    if (r)
        return r;
    const cm_elements *a = &x.f.stored, *b = &x.f.cells;
    if (wide(a) || wide(b) || a->kind == CM_BOOL || b->kind == CM_BOOL || a->kind == CM_FLOAT16 ||
        x.scale == 0)
        return cm_filter_refuse(&x.f, id, err);
    if (cm_can_fix(b->kind, a->kind)) {
        x.f.encode = encode_checked;
        x.f.exact = true;
    }
    return cm_codec_copy(&cm_class_fixedscaleoffset, &x, sizeof x, out, err);
}

static cm_json *fixed_describe(const cm_codec *codec, cm_json_doc *doc, cm_dialect dialect)
{
    const fixed *x = (const fixed *)codec;
    cm_json *config, *o = cm_config_describe(doc, codec->cls, codec->cls->name, dialect, &config);
    if (!o || cm_json_set(doc, config, "scale", cm_json_new_double(doc, x->scale)) ||
        cm_json_set(doc, config, "offset", cm_json_new_double(doc, x->offset)))
        return NULL;
    return cm_filter_describe_types(&x->f, doc, config, "dtype", "astype", dialect) ? o : NULL;
}

static bool fixed_equal(const cm_codec *a, const cm_codec *b, bool exactly)
{
    const fixed *x = (const fixed *)a, *y = (const fixed *)b;
    (void)exactly;
    return cm_filter_equal_types(a, b) && x->scale == y->scale && x->offset == y->offset;
}

const cm_codec_class cm_class_fixedscaleoffset = {
    .name = "numcodecs.fixedscaleoffset",
    .v2_id = "fixedscaleoffset",
    .parse_array = fixed_parse,
    .describe = fixed_describe,
    .bound = cm_filter_encoded_size,
    .scratch = cm_no_scratch,
    .encode = cm_filter_encode,
    .decode = cm_filter_decode,
    .encoded_size = cm_filter_encoded_size,
    .filter = cm_filter_apply,
    .text = cm_filter_text,
    .equal = fixed_equal,
};
