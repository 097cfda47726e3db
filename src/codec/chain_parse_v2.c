/* codec/chain_parse_v2.c: a chain from Zarr v2's order, filters and compressor.
 *
 * Encoding applies the filters in the order of the list, then the compressor. The first filter of
 * an object array makes bytes of the objects. Order 'F' is a transpose with all axes reversed.
 */
#include <string.h>

#include "codec/codec_private.h"

static int read_id(const cm_json *v, const char *what, const char **id, cm_error *err)
{
    const cm_json *name = cm_json_get(v, "id");
    *id = cm_json_string(name);
    if (!*id || strlen(*id) != cm_json_string_nbytes(name))
        return cm_error_set(err, CM_EDATA, "%s is not an object with an id", what);
    return 0;
}

static int add_stage(cm_chain *c, const cm_json *v, const char *what, cm_array_form *form,
                     cm_error *err)
{
    const char *id;
    int r = read_id(v, what, &id, err);
    if (r)
        return r;
    const cm_codec_class *cls = cm_codec_class_named(id, CM_ZARR2);
    if (!cls)
        return cm_codec_unknown(id, CM_ZARR2, what, err);
    cm_codec *codec;
    r = cm_codec_parse(cls, v, CM_ZARR2, form, &codec, err);
    if (r)
        return r;
    /* What a codec gives out is plain bytes to the next one: blosc's type size follows the cells
     * only when blosc comes first. Filters make numbers. */
    const cm_dtype bytes = cm_dtype_of(CM_UINT8, 0);
    int flags = cls->filter ? cls->filter(codec, form) : CM_FILTER_BYTES;
    if ((flags & CM_FILTER_BYTES) || cm_kind_is_vlen(form->dtype.kind))
        form->dtype = bytes;
    form->ndim = -1;
    return cm_chain_append(c, codec, err);
}

/* Whether the first filter is a codec of objects that is a stage (json2, categorize): *staged. */
static int set_vlen(cm_chain *c, const cm_json *filters, bool *staged, cm_error *err)
{
    const char *id;
    if (cm_json_count(filters) == 0)
        return cm_error_set(err, CM_EDATA, "an object array has no filter that makes bytes of it");
    const cm_json *first = cm_json_at(filters, 0);
    int r = read_id(first, "filter", &id, err);
    if (r)
        return r;
    const char *want = c->dtype.kind == CM_STRING   ? "vlen-utf8"
                       : c->dtype.kind == CM_VBYTES ? "vlen-bytes"
                                                    : "vlen-array";
    const cm_codec_class *cls = cm_codec_class_named(id, CM_ZARR2);
    *staged = cls && (cls == &cm_class_json2 || cls == &cm_class_categorize);
    if (!*staged && strcmp(id, want) != 0) {
        r = cm_codec_unknown(id, CM_ZARR2, "object codec", err);
        if (cls)
            cm_error_hint(err, "only vlen-utf8, vlen-bytes, vlen-array, json2, categorize are");
        return r;
    }
    c->a2b = CM_A2B_VLEN;
    c->stored_size = 0;
    c->endian_given = false;
    if (*staged)
        return 0;
    const char *element = NULL; /* vlen-array's; the caller made the dtype of it */
    const cm_config_field field = {.key = "dtype", .string = &element};
    return cm_config_read(first, CM_ZARR2, want, &field, c->dtype.kind == CM_SEQUENCE, err);
}

int cm_chain_parse_v2(const cm_json *filters, const cm_json *compressor, char order,
                      bool big_endian, cm_dtype dtype, int ndim, const int64_t *shape,
                      cm_chain **out, cm_error *err)
{
    *out = NULL;
    if (order != 'C' && order != 'F')
        return cm_error_set(err, CM_EDATA, "order is not C or F");
    if (filters && !cm_json_is(filters, CM_JSON_NULL) && !cm_json_is(filters, CM_JSON_ARRAY))
        return cm_error_set(err, CM_EDATA, "filters is not a list");
    cm_chain *c;
    int r = cm_chain_alloc(dtype, ndim, shape, &c, err);
    if (r)
        return r;
    for (int i = 0; i < ndim && order == 'F'; i++)
        c->order[i] = ndim - 1 - i;
    c->transposed = order == 'F' && ndim > 1;
    c->big_endian = big_endian;
    bool vlen = cm_kind_is_vlen(dtype.kind), staged = false;
    if (vlen)
        r = set_vlen(c, filters, &staged, err);
    cm_array_form form = {.dtype = vlen && !staged ? cm_dtype_of(CM_UINT8, 0) : dtype,
                          .big_endian = big_endian,
                          .ndim = vlen && !staged ? -1 : ndim};
    memcpy(form.shape, shape, (size_t)ndim * sizeof *shape);
    for (size_t i = vlen && !staged; i < cm_json_count(filters) && !r; i++)
        r = add_stage(c, cm_json_at(filters, i), "filter", &form, err);
    if (!r && compressor && !cm_json_is(compressor, CM_JSON_NULL))
        r = add_stage(c, compressor, "compressor", &form, err);
    if (!r && c->transposed && c->nstages && c->stages[0]->cls == &cm_class_json2)
        r = cm_error_set(err, CM_EUNSUP,
                         "filter json2 with order F: zarr-python does not read "
                         "the cells that it wrote");
    if (r)
        cm_chain_unref(c);
    else
        *out = c;
    return r;
}
