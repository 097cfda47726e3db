/* codec/astype.c: numcodecs "astype": numbers stored as another type.
 *
 * Integers wrap around, as numpy's casts do. Between integers of 64 bits and floats, and to or from
 * bool, numpy's result depends on its release or the CPU: refused by name.
 */
#include "codec/filter.h"

static bool whole(const cm_elements *from, const cm_elements *to, const uint8_t *src, size_t n,
                  uint8_t *dst)
{
    int64_t v[CM_FILTER_BLOCK];
    cm_elements_load_i64(from, src, n, v);
    cm_elements_store_i64(to, v, n, dst);
    return true;
}

static bool real(const cm_elements *from, const cm_elements *to, const uint8_t *src, size_t n,
                 uint8_t *dst)
{
    double v[CM_FILTER_BLOCK];
    cm_elements_load_f64(from, src, n, v);
    return cm_elements_store_f64(to, v, n, dst);
}

static bool cast(const cm_elements *from, const cm_elements *to, const uint8_t *src, size_t n,
                 uint8_t *dst)
{
    bool floats = cm_kind_is_float(from->kind) || cm_kind_is_float(to->kind);
    return floats ? real(from, to, src, n, dst) : whole(from, to, src, n, dst);
}

static bool decode_block(const cm_filter *f, cm_filter_state *s, const uint8_t *src, size_t n,
                         uint8_t *dst)
{
    (void)s;
    return cast(&f->stored, &f->cells, src, n, dst);
}

static bool encode_block(const cm_filter *f, cm_filter_state *s, const uint8_t *src, size_t n,
                         uint8_t *dst)
{
    (void)s;
    return cast(&f->cells, &f->stored, src, n, dst);
}

static bool wide(const cm_elements *e)
{
    return e->size == 8 && !cm_kind_is_float(e->kind);
}

static int astype_parse(const cm_json *config, cm_dialect dialect, const cm_array_form *in,
                        cm_codec **out, cm_error *err)
{
    const char *cells = NULL, *stored = NULL;
    cm_filter f = {.decode = decode_block, .encode = encode_block};
    const cm_config_field fields[] = {
        {.key = "decode_dtype", .string = &cells, .null_allowed = true},
        {.key = "encode_dtype", .string = &stored, .required = true}};
    int r = cm_config_read(config, dialect, "astype", fields, 2, err);
    if (!r)
        r = cm_filter_types(&f, "astype", dialect, in, cells, stored, err);
    if (r)
        return r;
    bool mixed = cm_kind_is_float(f.cells.kind) != cm_kind_is_float(f.stored.kind);
    if ((mixed && (wide(&f.cells) || wide(&f.stored))) || f.cells.kind == CM_BOOL ||
        f.stored.kind == CM_BOOL)
        return cm_filter_refuse(&f, "astype", err);
    if (cm_elements_equal(&f.cells, &f.stored))
        f.decode = f.encode = NULL;
    return cm_codec_copy(&cm_class_astype, &f, sizeof f, out, err);
}

static cm_json *astype_describe(const cm_codec *codec, cm_json_doc *doc, cm_dialect dialect)
{
    cm_json *config, *o = cm_config_describe(doc, codec->cls, codec->cls->name, dialect, &config);
    return o && cm_filter_describe_types(cm_filter_of(codec), doc, config, "decode_dtype",
                                         "encode_dtype", dialect)
               ? o
               : NULL;
}

static bool astype_equal(const cm_codec *a, const cm_codec *b, bool exactly)
{
    (void)exactly;
    return cm_filter_equal_types(a, b);
}

const cm_codec_class cm_class_astype = {
    .name = "numcodecs.astype",
    .v2_id = "astype",
    .parse_array = astype_parse,
    .describe = astype_describe,
    .bound = cm_filter_encoded_size,
    .scratch = cm_no_scratch,
    .encode = cm_filter_encode,
    .decode = cm_filter_decode,
    .view = cm_filter_view,
    .has_view = cm_filter_has_view,
    .encoded_size = cm_filter_encoded_size,
    .filter = cm_filter_apply,
    .text = cm_filter_text,
    .equal = astype_equal,
};
