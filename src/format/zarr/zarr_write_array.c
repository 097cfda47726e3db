/* format/zarr/zarr_write_array.c: the documents of one array that is written.
 *
 * The members come in zarr-python's order, so that a diff with its stores is short. What a format
 * cannot say exactly is refused here, before any chunk is written: v2 has no shards, no transpose
 * but the full reversal ("order": "F"), and one member for both the fill value and `_FillValue`.
 *
 * v2's pipeline is filters and one compressor, and many readers expect a real compressor there; so
 * the last stage becomes the compressor if it compresses, and all others are filters.
 */
#include <string.h>

#include "base/memory.h"
#include "format/zarr/zarr_write_private.h"

/* ---- `_FillValue` and fill_value ------------------------------------------------------------- */

static const cm_json *mask_of(const cm_zarr_array_spec *spec)
{
    for (size_t i = 0; i < spec->nattributes; i++)
        if (!strcmp(spec->attributes[i].name, "_FillValue")) {
            const cm_json *v = spec->attributes[i].value;
            /* an array of one value is that value */
            return cm_json_is(v, CM_JSON_ARRAY) && cm_json_count(v) == 1 ? cm_json_at(v, 0) : v;
        }
    return NULL;
}

/* The text of a number is kept where it can be. */
static cm_json *fill_value_v2(cm_json_doc *doc, cm_dtype dtype, const cm_json *mask,
                              const cm_zarr_cell *cell)
{
    double value;
    bool finite =
        cm_json_is(mask, CM_JSON_NUMBER) && cm_json_double(mask, &value) && value - value == 0;
    if (finite && (cm_kind_is_float(dtype.kind) ||
                   (cm_kind_is_integer(dtype.kind) && cm_json_is_integer_text(mask))))
        return cm_json_copy(doc, mask);
    return cm_zarr_fill_describe(doc, dtype, 2, cell->bytes);
}

/* Types with rules of their own have no `_FillValue`: the source's fill value, else zeros or NaT.
 */
static int fill_other(cm_zarr_array *a, const cm_zarr_array_spec *spec, cm_error *err)
{
    const cm_string *s = spec->fill;
    bool vlen = cm_kind_is_vlen(spec->dtype.kind);
    size_t extra = s && vlen ? s->nbytes : 0;
    char *cell = cm_calloc(1, spec->dtype.size + extra, err);
    if (!cell)
        return CM_ENOMEM;
    a->fill_other = cell;
    a->may_skip = spec->dtype.kind != CM_SEQUENCE;
    if (spec->fill)
        memcpy(cell, spec->fill, spec->dtype.size);
    else if (cm_kind_is_time(spec->dtype.kind))
        memcpy(cell, &(int64_t){INT64_MIN}, sizeof(int64_t));
    if (extra) {
        memcpy(cell + sizeof *s, s->data, extra);
        memcpy(cell, &(cm_string){cell + sizeof *s, extra}, sizeof *s);
    }
    return 0;
}

static int fill_v2(cm_zarr_array *a, cm_json_doc *doc, const cm_zarr_array_spec *spec,
                   cm_json **out, cm_error *err)
{
    const cm_json *mask = mask_of(spec);
    if (cm_zarr_fill_is_other(spec->dtype)) {
        int other = fill_other(a, spec, err);
        *out = other ? NULL : cm_zarr_fill_describe_other(doc, spec->dtype, 2, a->fill_other);
        return other;
    }
    if (!mask || cm_json_is(mask, CM_JSON_NULL)) {
        *out = cm_json_new_null(doc);
        return 0;
    }
    int r = cm_zarr_fill_parse(mask, spec->dtype, 2, &a->fill, err);
    if (r) {
        char name[CM_DTYPE_NAME];
        cm_error_set(err, CM_EUNSUP,
                     "`_FillValue` is not a value of type %s, and Zarr v2 keeps it as "
                     "the array's fill value",
                     cm_dtype_name(spec->dtype, name, sizeof name));
        cm_error_hint(err, "write Zarr v3");
        return CM_EUNSUP;
    }
    a->may_skip = true;
    *out = fill_value_v2(doc, spec->dtype, mask, &a->fill);
    return 0;
}

static void fill_v3(cm_zarr_array *a, const cm_zarr_array_spec *spec)
{
    const cm_json *mask = mask_of(spec);
    a->may_skip = true;
    if (spec->fill)
        memcpy(a->fill.bytes, spec->fill, spec->dtype.size);
    else if (!mask || cm_zarr_fill_parse(mask, spec->dtype, 3, &a->fill, NULL))
        cm_zarr_fill_default(spec->dtype, &a->fill);
}

/* The cell's string must not depend on the caller's memory. */
static int own_fill(cm_zarr_array *a, cm_error *err)
{
    if (a->dtype.kind != CM_STRING || !a->fill.string.nbytes)
        return 0;
    a->fill_string = cm_strndup(a->fill.string.data, a->fill.string.nbytes, err);
    a->fill.string.data = a->fill_string;
    return a->fill_string ? 0 : CM_ENOMEM;
}

/* ---- parts ----------------------------------------------------------------------------------- */

static cm_json *lengths(cm_json_doc *doc, int ndim, const int64_t *n)
{
    cm_json *list = cm_json_new_array(doc);
    for (int i = 0; i < ndim && list; i++)
        if (cm_json_add(doc, list, cm_json_new_int64(doc, n[i])))
            list = NULL;
    return list;
}

static cm_json *names(cm_json_doc *doc, const cm_zarr_array_spec *spec)
{
    cm_json *list = cm_json_new_array(doc);
    for (int i = 0; i < spec->ndim && list; i++) {
        const char *name = spec->dimensions[i];
        if (cm_json_add(doc, list, name ? cm_json_new_string(doc, name) : cm_json_new_null(doc)))
            list = NULL;
    }
    return list;
}

/* No names at all are no list; an array without axes always has its (empty) list. */
static bool has_names(const cm_zarr_array_spec *spec)
{
    if (spec->ndim == 0)
        return true;
    for (int i = 0; i < spec->ndim && spec->dimensions; i++)
        if (spec->dimensions[i])
            return true;
    return false;
}

static cm_json *named(cm_json_doc *doc, const char *name, const char *member, cm_json *value)
{
    cm_json *v = cm_json_new_object(doc), *config = cm_json_new_object(doc);
    if (!v || !config || cm_json_set_string(doc, v, "name", name) ||
        cm_json_set(doc, config, member, value) || cm_json_set(doc, v, "configuration", config))
        return NULL;
    return v;
}

cm_json *cm_zarr_attributes_describe(cm_json_doc *doc, const cm_attribute *attributes, size_t n)
{
    cm_json *object = cm_json_new_object(doc);
    for (size_t i = 0; i < n && object; i++)
        if (cm_json_set(doc, object, attributes[i].name, cm_json_copy(doc, attributes[i].value)))
            object = NULL;
    return object;
}

static char separator_of(const cm_zarr_array *a, const cm_zarr_array_spec *spec)
{
    return spec->separator ? spec->separator : a->format == 3 ? '/' : '.';
}

/* "regular", or "rectilinear" with its lengths (zarr-extensions, chunk-grids/rectilinear). */
static cm_json *grid_of(cm_json_doc *doc, const cm_zarr_array_spec *spec)
{
    if (!spec->grid)
        return named(doc, "regular", "chunk_shape", lengths(doc, spec->ndim, spec->chain->shape));
    cm_json *v = cm_json_new_object(doc), *config = cm_json_new_object(doc);
    if (!v || !config || cm_json_set_string(doc, v, "name", "rectilinear") ||
        cm_json_set_string(doc, config, "kind", "inline") ||
        cm_json_set(doc, config, "chunk_shapes", cm_grid_describe(spec->grid, doc)) ||
        cm_json_set(doc, v, "configuration", config))
        return NULL;
    return v;
}

/* ---- v3 -------------------------------------------------------------------------------------- */

static int describe_v3(cm_zarr_array *a, cm_json_doc *doc, const cm_zarr_array_spec *spec,
                       cm_error *err)
{
    const char separator[2] = {separator_of(a, spec), 0};
    const cm_json *mask = mask_of(spec);
    cm_json *attributes = cm_zarr_attributes_describe(doc, spec->attributes, spec->nattributes);
    cm_json *v = cm_json_new_object(doc), *type = NULL, *fill;
    bool other = cm_zarr_fill_is_other(spec->dtype);
    int r = cm_zarr_type_describe(doc, spec->dtype, 3, false, &type, err);
    if (r == 0 && other)
        r = fill_other(a, spec, err);
    if (r)
        return r;
    if (!other)
        fill_v3(a, spec);
    fill = other ? cm_zarr_fill_describe_other(doc, spec->dtype, 3, a->fill_other)
                 : cm_zarr_fill_describe(doc, spec->dtype, 3, a->fill.bytes);
    if (mask && attributes && !other &&
        cm_json_set(doc, attributes, "_FillValue", cm_zarr_mask_encode(doc, spec->dtype, mask)))
        attributes = NULL;
    if (!v || cm_json_set(doc, v, "shape", lengths(doc, spec->ndim, spec->shape)) ||
        cm_json_set(doc, v, "data_type", type) ||
        cm_json_set(doc, v, "chunk_grid", grid_of(doc, spec)) ||
        cm_json_set(doc, v, "chunk_key_encoding",
                    named(doc, "default", "separator", cm_json_new_string(doc, separator))) ||
        cm_json_set(doc, v, "fill_value", fill) ||
        cm_json_set(doc, v, "codecs", cm_chain_describe_v3(spec->chain, doc)) ||
        cm_json_set(doc, v, "attributes", attributes) ||
        (has_names(spec) && cm_json_set(doc, v, "dimension_names", names(doc, spec))) ||
        cm_json_set_int64(doc, v, "zarr_format", 3) ||
        cm_json_set_string(doc, v, "node_type", "array") ||
        cm_json_set(doc, v, "storage_transformers", cm_json_new_array(doc)))
        return cm_error_set(err, CM_ENOMEM, "out of memory (metadata)");
    a->document = v;
    return own_fill(a, err);
}

/* ---- v2 -------------------------------------------------------------------------------------- */

/* 'C', 'F', or 0 for an order of axes that v2 has no word for. */
static char order_of(const cm_chain *chain)
{
    bool same = true, reversed = true;
    for (int i = 0; i < chain->ndim && chain->transposed; i++) {
        same = same && chain->order[i] == i;
        reversed = reversed && chain->order[i] == chain->ndim - 1 - i;
    }
    return same ? 'C' : reversed ? 'F' : 0;
}

static bool compresses(const cm_codec *codec)
{
    static const char *const ids[] = {"blosc", "zstd", "gzip", "zlib", "lz4", "bz2", "lzma"};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        if (!strcmp(codec->cls->v2_id, ids[i]))
            return true;
    return false;
}

static int pipeline_v2(cm_json_doc *doc, const cm_chain *chain, cm_json **filters,
                       cm_json **compressor, cm_error *err)
{
    /* json2 and categorize take objects themselves. */
    bool vlen = chain->a2b == CM_A2B_VLEN && !(chain->nstages && chain->stages[0]->cls->filter);
    const char *object_codec = chain->dtype.kind == CM_VBYTES     ? "vlen-bytes"
                               : chain->dtype.kind == CM_SEQUENCE ? "vlen-array"
                                                                  : "vlen-utf8";
    int n = chain->nstages;
    for (int i = 0; i < n; i++)
        if (!chain->stages[i]->cls->v2_id)
            return cm_error_set(err, CM_EUNSUP, "Zarr v2 has no codec \"%s\"",
                                chain->stages[i]->cls->name);
    bool last = n && compresses(chain->stages[n - 1]);
    int nfilters = last ? n - 1 : n;
    *compressor = last ? chain->stages[n - 1]->cls->describe(chain->stages[n - 1], doc, CM_ZARR2)
                       : cm_json_new_null(doc);
    *filters = vlen || nfilters ? cm_json_new_array(doc) : cm_json_new_null(doc);
    if (vlen && *filters) {
        cm_json *id = cm_json_new_object(doc);
        if (!id || cm_json_set_string(doc, id, "id", object_codec) ||
            cm_json_add(doc, *filters, id))
            *filters = NULL;
        if (chain->dtype.kind == CM_SEQUENCE && *filters) {
            cm_json *element;
            int r = cm_zarr_type_describe(doc, chain->dtype.record->fields[0].dtype, 2, false,
                                          &element, err);
            if (r)
                return r;
            if (cm_json_set(doc, id, "dtype", element))
                *filters = NULL;
        }
    }
    for (int i = 0; i < nfilters && *filters; i++)
        if (cm_json_add(doc, *filters,
                        chain->stages[i]->cls->describe(chain->stages[i], doc, CM_ZARR2)))
            *filters = NULL;
    return *filters && *compressor ? 0 : cm_error_set(err, CM_ENOMEM, "out of memory (metadata)");
}

static int describe_v2(cm_zarr_array *a, cm_json_doc *doc, const cm_zarr_array_spec *spec,
                       cm_error *err)
{
    const char separator[2] = {separator_of(a, spec), 0};
    const char order[2] = {order_of(spec->chain), 0};
    cm_json *v = cm_json_new_object(doc), *fill = NULL, *dtype = NULL;
    cm_json *filters = NULL, *compressor = NULL;
    cm_json *zattrs = cm_zarr_attributes_describe(doc, spec->attributes, spec->nattributes);
    if (spec->chain->a2b == CM_A2B_SHARDING)
        return cm_error_set(err, CM_EUNSUP, "Zarr v2 has no shards");
    if (spec->grid)
        return cm_error_set(err, CM_EUNSUP, "Zarr v2 has no chunks of different lengths");
    if (!order[0])
        return cm_error_set(err, CM_EUNSUP, "Zarr v2 has no transpose but the full reversal");
    int r = fill_v2(a, doc, spec, &fill, err);
    if (r == 0)
        r = pipeline_v2(doc, spec->chain, &filters, &compressor, err);
    if (r)
        return r;
    r = cm_zarr_type_describe(doc, spec->dtype, 2, spec->chain->big_endian, &dtype, err);
    if (r)
        return r;
    if (!cm_zarr_fill_is_other(spec->dtype))
        cm_json_delete(zattrs, "_FillValue");
    if (!v || !zattrs ||
        (has_names(spec) && cm_json_set(doc, zattrs, "_ARRAY_DIMENSIONS", names(doc, spec))) ||
        cm_json_set(doc, v, "shape", lengths(doc, spec->ndim, spec->shape)) ||
        cm_json_set(doc, v, "chunks", lengths(doc, spec->ndim, spec->chain->shape)) ||
        cm_json_set(doc, v, "dtype", dtype) || cm_json_set(doc, v, "fill_value", fill) ||
        cm_json_set_string(doc, v, "order", order) || cm_json_set(doc, v, "filters", filters) ||
        cm_json_set_string(doc, v, "dimension_separator", separator) ||
        cm_json_set(doc, v, "compressor", compressor) ||
        cm_json_set_int64(doc, v, "zarr_format", 2))
        return cm_error_set(err, CM_ENOMEM, "out of memory (metadata)");
    a->document = v;
    a->zattrs = zattrs;
    return own_fill(a, err);
}

/* HDF5's filters can come in an order that no reader of Zarr takes: a shuffle after a checksum. */
static int check_shuffles(const cm_chain *c, int format, cm_error *err)
{
    if (c->a2b == CM_A2B_SHARDING)
        return check_shuffles(c->inner, format, err);
    bool known = c->a2b == CM_A2B_BYTES;
    int flags, nfilters = cm_chain_filters(c, &flags);
    if (format == 3 && (nfilters < 0 || (flags & CM_FILTER_BIG) || (nfilters && c->big_endian))) {
        cm_error_set(err, CM_EUNSUP,
                     "filters of big-endian numbers, or after other codecs, are not "
                     "written to Zarr v3");
        cm_error_hint(err, "name another codec");
        return CM_EUNSUP;
    }
    size_t nbytes = known ? cm_chain_stored_nbytes(c) : 0;
    for (int i = 0; i < c->nstages; i++) {
        const cm_codec *s = c->stages[i];
        uint32_t width = cm_codec_shuffle_width(s);
        if (width > 1 && (!known || nbytes % width)) {
            cm_error_set(err, CM_EUNSUP,
                         "a shuffle of %u-byte elements after %s is not readable by others", width,
                         i ? c->stages[i - 1]->cls->name : "strings");
            cm_error_hint(err, "name another codec");
            return CM_EUNSUP;
        }
        known = known && s->cls->encoded_size;
        nbytes = known ? s->cls->encoded_size(s, nbytes) : 0;
    }
    return 0;
}

int cm_zarr_array_describe(cm_zarr_array *a, cm_json_doc *doc, const cm_zarr_array_spec *spec,
                           cm_error *err)
{
    const cm_chain *chain = spec->chain;
    if (spec->dtype.kind == CM_NONE)
        return cm_error_set(err, CM_EUNSUP, "cells of no type are not written to Zarr");
    if (!chain || chain->ndim != spec->ndim || !cm_dtype_equal(chain->dtype, spec->dtype) ||
        chain->a2b == CM_A2B_CUSTOM)
        return cm_error_set(err, CM_EINVAL, "the codec chain is not of this array");
    if (spec->separator && spec->separator != '.' && spec->separator != '/')
        return cm_error_set(err, CM_EINVAL, "separator '%c' is neither '.' nor '/'",
                            spec->separator);
    int r = check_shuffles(chain, a->format, err);
    for (size_t i = 0; spec->grid && i < spec->grid->nchains && !r; i++)
        r = check_shuffles(spec->grid->chains[i], a->format, err);
    if (r)
        return r;
    return a->format == 3 ? describe_v3(a, doc, spec, err) : describe_v2(a, doc, spec, err);
}
