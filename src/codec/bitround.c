/* codec/bitround.c: "bitround", numcodecs' and that of Zarr's registry of extensions: numbers of
 * which only so many bits were kept when they were written.
 *
 * Decoding has nothing to do, whatever the type; encoding does not round again.
 */
#include "codec/filter.h"

typedef struct {
    cm_filter f;
    int64_t keepbits;
} bitround;

static int bitround_parse(const cm_json *config, cm_dialect dialect, const cm_array_form *in,
                          cm_codec **out, cm_error *err)
{
    bitround b = {.keepbits = 0};
    const cm_config_field field = {
        .key = "keepbits", .max = 400, .value = &b.keepbits, .required = true};
    int r = cm_config_read(config, dialect, "bitround", &field, 1, err);
    if (r)
        return r;
    cm_kind kind = in->dtype.kind;
    bool number = cm_kind_is_integer(kind) || cm_kind_is_float(kind) || cm_kind_is_complex(kind) ||
                  cm_kind_is_time(kind) || kind == CM_BFLOAT16;
    char name[CM_DTYPE_NAME];
    if (!number)
        return cm_error_set(err, CM_EUNSUP, "codec bitround: cells of type %s",
                            cm_dtype_name(in->dtype, name, sizeof name));
    b.f.cells = (cm_elements){.kind = kind, .size = in->dtype.size};
    b.f.stored = b.f.cells;
    return cm_codec_copy(&cm_class_bitround, &b, sizeof b, out, err);
}

static cm_json *bitround_describe(const cm_codec *codec, cm_json_doc *doc, cm_dialect dialect)
{
    cm_json *config, *o = cm_config_describe(doc, codec->cls, codec->cls->name, dialect, &config);
    return !o || cm_json_set_int64(doc, config, "keepbits", ((const bitround *)codec)->keepbits)
               ? NULL
               : o;
}

static int bitround_text(const cm_codec *codec, cm_buffer *out, cm_error *err)
{
    return cm_buffer_printf(out, err, "bitround(%d)", (int)((const bitround *)codec)->keepbits);
}

static bool bitround_equal(const cm_codec *a, const cm_codec *b, bool exactly)
{
    const bitround *x = (const bitround *)a, *y = (const bitround *)b;
    return x->f.cells.size == y->f.cells.size && (!exactly || x->keepbits == y->keepbits);
}

const cm_codec_class cm_class_bitround = {
    .name = "numcodecs.bitround",
    .v2_id = "bitround",
    .parse_array = bitround_parse,
    .describe = bitround_describe,
    .bound = cm_filter_encoded_size,
    .scratch = cm_no_scratch,
    .encode = cm_filter_encode,
    .decode = cm_filter_decode,
    .view = cm_filter_view,
    .has_view = cm_filter_has_view,
    .encoded_size = cm_filter_encoded_size,
    .filter = cm_filter_apply,
    .text = bitround_text,
    .equal = bitround_equal,
};
