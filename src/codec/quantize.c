/* codec/quantize.c: numcodecs "quantize": floats that were rounded to so many decimal digits when
 * they were written, perhaps stored as another float type.
 *
 * Decoding is the change of the type. What was lost was lost by the writer; encoding does not round
 * again, it only stores what comes back the same.
 */
#include "codec/filter.h"

typedef struct {
    cm_filter f;
    int64_t digits;
} quantize;

static bool decode_block(const cm_filter *f, cm_filter_state *s, const uint8_t *src, size_t n,
                         uint8_t *dst)
{
    double v[CM_FILTER_BLOCK];
    (void)s;
    cm_elements_load_f64(&f->stored, src, n, v);
    return cm_elements_store_f64(&f->cells, v, n, dst);
}

static bool encode_block(const cm_filter *f, cm_filter_state *s, const uint8_t *src, size_t n,
                         uint8_t *dst)
{
    double v[CM_FILTER_BLOCK];
    (void)s;
    cm_elements_load_f64(&f->cells, src, n, v);
    return cm_elements_store_f64(&f->stored, v, n, dst);
}

static int quantize_parse(const cm_json *config, cm_dialect dialect, const cm_array_form *in,
                          cm_codec **out, cm_error *err)
{
    const char *cells = NULL, *stored = NULL;
    quantize q = {.f = {.decode = decode_block, .encode = encode_block}};
    const cm_config_field fields[] = {
        {.key = "digits", .min = -400, .max = 400, .value = &q.digits, .required = true},
        {.key = "dtype", .string = &cells, .required = dialect == CM_ZARR2, .null_allowed = true},
        {.key = "astype", .string = &stored, .null_allowed = true}};
    int r = cm_config_read(config, dialect, "quantize", fields, 3, err);
    if (!r)
        r = cm_filter_types(&q.f, "quantize", dialect, in, cells, stored, err);
    if (r)
        return r;
    if (!cm_kind_is_float(q.f.cells.kind) || !cm_kind_is_float(q.f.stored.kind))
        return cm_filter_refuse(&q.f, "quantize", err);
    if (cm_elements_equal(&q.f.cells, &q.f.stored))
        q.f.decode = q.f.encode = NULL;
    return cm_codec_copy(&cm_class_quantize, &q, sizeof q, out, err);
}

static cm_json *quantize_describe(const cm_codec *codec, cm_json_doc *doc, cm_dialect dialect)
{
    cm_json *config, *o = cm_config_describe(doc, codec->cls, codec->cls->name, dialect, &config);
    if (!o || cm_json_set_int64(doc, config, "digits", ((const quantize *)codec)->digits))
        return NULL;
    return cm_filter_describe_types(cm_filter_of(codec), doc, config, "dtype", "astype", dialect)
               ? o
               : NULL;
}

static bool quantize_equal(const cm_codec *a, const cm_codec *b, bool exactly)
{
    const quantize *x = (const quantize *)a, *y = (const quantize *)b;
    return cm_filter_equal_types(a, b) && (!exactly || x->digits == y->digits);
}

const cm_codec_class cm_class_quantize = {
    .name = "numcodecs.quantize",
    .v2_id = "quantize",
    .parse_array = quantize_parse,
    .describe = quantize_describe,
    .bound = cm_filter_encoded_size,
    .scratch = cm_no_scratch,
    .encode = cm_filter_encode,
    .decode = cm_filter_decode,
    .view = cm_filter_view,
    .has_view = cm_filter_has_view,
    .encoded_size = cm_filter_encoded_size,
    .filter = cm_filter_apply,
    .text = cm_filter_text,
    .equal = quantize_equal,
};
