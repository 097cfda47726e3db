/* codec/astype.c: numcodecs "astype": numbers stored as another type.
 *
 * Integers wrap around, as numpy's casts do. Between integers of 64 bits and floats, and to or from
 * bool, numpy's result depends on its release or the CPU: refused by name.
 */
#include "codec/filter.h"

static bool decode_block(const cm_filter *f, cm_filter_state *s, const uint8_t *src, size_t n,
                         uint8_t *dst)
{
    union {
        int64_t i[CM_FILTER_BLOCK];
        double d[CM_FILTER_BLOCK];
    } v;
    (void)s;
    if (cm_kind_is_float(f->cells.kind) || cm_kind_is_float(f->stored.kind)) {
        cm_elements_load_f64(&f->stored, src, n, v.d);
        return cm_elements_store_f64(&f->cells, v.d, n, dst);
    }
    cm_elements_load_i64(&f->stored, src, n, v.i);
    cm_elements_store_i64(&f->cells, v.i, n, dst);
    return true;
}

static bool encode_narrow(const cm_filter *f, cm_filter_state *s, const uint8_t *src, size_t n,
                          uint8_t *dst)
{
    uint8_t native[CM_FILTER_BLOCK * 8];
    (void)s;
    const void *from = cm_elements_native(&f->cells, src, n, native);
    bool good = cm_narrow(f->cells.kind, f->stored.kind, from, n, dst);
    cm_elements_to_order(&f->stored, dst, n);
    return good;
}

/* Where cells and what they are loaded as are the same thing, it is enough to load again what was
 * stored: not so for NaNs of float32, which may change on the way to a double. */
static bool encode_block(const cm_filter *f, cm_filter_state *s, const uint8_t *src, size_t n,
                         uint8_t *dst)
{
    union {
        int64_t i[CM_FILTER_BLOCK];
        double d[CM_FILTER_BLOCK];
    } v, w;
    (void)s;
    if (cm_kind_is_float(f->cells.kind) || cm_kind_is_float(f->stored.kind)) {
        cm_elements_load_f64(&f->cells, src, n, v.d);
        if (!cm_elements_store_f64(&f->stored, v.d, n, dst))
            return false;
        if (!f->exact)
            return true;
        cm_elements_load_f64(&f->stored, dst, n, w.d);
    } else {
        cm_elements_load_i64(&f->cells, src, n, v.i);
        cm_elements_store_i64(&f->stored, v.i, n, dst);
        cm_elements_load_i64(&f->stored, dst, n, w.i);
    }
    return cm_alike(v.i, w.i, n, -1);
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
    f.exact = f.cells.kind == CM_FLOAT64 ||
              !(cm_kind_is_float(f.cells.kind) || cm_kind_is_float(f.stored.kind));
    if (cm_narrows(f.cells.kind, f.stored.kind))
        f.encode = encode_narrow;
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
