/* codec/chain_parse_v2.c: a chain from Zarr v2's order, filters and compressor.
 *
 * Encoding applies the filters in the order of the list, then the compressor. Only filters that
 * work on bytes are known, and vlen-utf8 as the first filter of an object array; numcodecs' filters
 * that change values (delta, fixedscaleoffset, quantize, ...) are refused by name. Order 'F' is a
 * transpose with all axes reversed.
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

static int add_stage(cm_chain *c, const cm_json *v, const char *what, cm_error *err)
{
    const char *id;
    int r = read_id(v, what, &id, err);
    if (r)
        return r;
    const cm_codec_class *cls = cm_codec_class_named(id, CM_ZARR2);
    if (!cls) {
        r = cm_error_set(err, CM_EUNSUP, "%s \"%s\" is not supported", what, id);
        cm_buffer names;
        cm_buffer_init(&names, sizeof err->hint);
        if (cm_codec_names(CM_ZARR2, &names, NULL) == 0)
            cm_error_hint(err, "known: %.*s", (int)names.nbytes, (const char *)names.data);
        cm_buffer_deinit(&names);
        return r;
    }
    /* What a filter gives out is plain bytes to numcodecs: blosc's type size follows the cells only
     * when blosc comes first. */
    bool cells = c->nstages == 0 && c->a2b == CM_A2B_BYTES;
    cm_codec *codec;
    r = cls->parse(v, CM_ZARR2, cells ? c->dtype : cm_dtype_of(CM_UINT8, 0), &codec, err);
    return r ? r : cm_chain_append(c, codec, err);
}

static int set_vlen(cm_chain *c, const cm_json *filters, cm_error *err)
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
    if (strcmp(id, want) != 0) {
        r = cm_error_set(err, CM_EUNSUP, "object codec \"%s\" is not supported", id);
        cm_error_hint(err, "only vlen-utf8, vlen-bytes and vlen-array are");
        return r;
    }
    c->a2b = CM_A2B_VLEN;
    c->stored_size = 0;
    c->endian_given = false;
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
    if (cm_kind_is_vlen(dtype.kind))
        r = set_vlen(c, filters, err);
    for (size_t i = cm_kind_is_vlen(dtype.kind); i < cm_json_count(filters) && !r; i++)
        r = add_stage(c, cm_json_at(filters, i), "filter", err);
    if (!r && compressor && !cm_json_is(compressor, CM_JSON_NULL))
        r = add_stage(c, compressor, "compressor", err);
    if (r)
        cm_chain_unref(c);
    else
        *out = c;
    return r;
}
