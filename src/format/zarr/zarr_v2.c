/* format/zarr/zarr_v2.c: .zarray and .zattrs of an array (zarr-specs v2).
 *
 * Dimension names are not part of v2. xarray keeps them in the attribute `_ARRAY_DIMENSIONS`,
 * NCZarr in `_NCZARR_ARRAY` ("dimrefs", full paths) in .zarray or, since netcdf-c 4.9.3, in
 * .zattrs; both are looked at in that order.
 *
 * All eight members that the specification demands must be there. Members that it does not know are
 * refused by name, but for those that begin with '_', which are others' private notes (NCZarr), and
 * for "attributes" and "dimension_names", which VirtualiZarr writes and which say again what
 * .zattrs says.
 */
#include <string.h>

#include "format/zarr/zarr_private.h"

static bool are_names(const cm_json *v, int ndim)
{
    if (!cm_json_is(v, CM_JSON_ARRAY) || cm_json_count(v) != (size_t)ndim)
        return false;
    for (int i = 0; i < ndim; i++)
        if (!cm_json_is(cm_json_at(v, (size_t)i), CM_JSON_STRING) &&
            !cm_json_is(cm_json_at(v, (size_t)i), CM_JSON_NULL))
            return false;
    return true;
}

static int parse_names(const cm_json *zarray, const cm_json *zattrs, cm_zarr_meta *m, cm_error *err)
{
    const cm_json *names = cm_json_get(zattrs, "_ARRAY_DIMENSIONS");
    if (names) {
        if (!are_names(names, m->ndim))
            return cm_error_set(err, CM_EDATA,
                                ".zattrs: \"_ARRAY_DIMENSIONS\" is not an array of %d names",
                                m->ndim);
        m->names = names;
        return 0;
    }
    const cm_json *places[] = {cm_json_get(zarray, "_NCZARR_ARRAY"),
                               cm_json_get(zattrs, "_NCZARR_ARRAY"),
                               cm_json_get(zattrs, "_nczarr_array")};
    for (size_t i = 0; i < 3 && !m->names; i++) {
        names = cm_json_get(places[i], "dimrefs");
        if (!names)
            names = cm_json_get(places[i], "dimension_references");
        if (are_names(names, m->ndim)) {
            m->names = names;
            m->qualified = true;
        }
    }
    return 0;
}

static int check_members(const cm_json *zarray, cm_error *err)
{
    static const char *const needed[] = {"zarr_format", "shape",      "chunks", "dtype",
                                         "compressor",  "fill_value", "order",  "filters"};
    const size_t n = sizeof needed / sizeof needed[0];
    for (size_t k = 0; k < n; k++)
        if (!cm_json_get(zarray, needed[k]))
            return cm_error_set(err, CM_EDATA, ".zarray: \"%s\" is missing", needed[k]);
    for (size_t i = 0; i < cm_json_count(zarray); i++) {
        const char *key = cm_json_key(zarray, i);
        bool found = key[0] == '_' || !strcmp(key, "dimension_separator") ||
                     !strcmp(key, "attributes") || !strcmp(key, "dimension_names");
        for (size_t k = 0; k < n && !found; k++)
            found = !strcmp(key, needed[k]);
        if (!found)
            return cm_error_set(err, CM_EUNSUP, ".zarray: unknown member \"%.100s\"", key);
    }
    return 0;
}

static int parse_cells(const cm_json *zarray, cm_zarr_meta *m, cm_error *err)
{
    const char *order = cm_json_string(cm_json_get(zarray, "order"));
    const cm_json *separator = cm_json_get(zarray, "dimension_separator");
    const char *s = cm_json_string(separator);
    int r;
    if ((r = cm_zarr_type_parse_v2(cm_json_get(zarray, "dtype"), cm_json_get(zarray, "filters"),
                                   &m->type, err)) ||
        (r = cm_zarr_chunk_parse(cm_json_get(zarray, "chunks"), "chunks", m, err)))
        return r;
    if (!order || (strcmp(order, "C") != 0 && strcmp(order, "F") != 0))
        return cm_error_set(err, CM_EDATA, "\"order\" is neither \"C\" nor \"F\"");
    if (separator && (!s || (strcmp(s, ".") != 0 && strcmp(s, "/") != 0)))
        return cm_error_set(err, CM_EDATA, "\"dimension_separator\" is neither \".\" nor \"/\"");
    m->separator = s ? *s : '.';
    const cm_json *fill = cm_json_get(zarray, "fill_value");
    if (!cm_json_is(fill, CM_JSON_NULL) && (r = cm_zarr_meta_fill(fill, 2, m, err)))
        return r;
    r = cm_chain_parse_v2(cm_json_get(zarray, "filters"), cm_json_get(zarray, "compressor"), *order,
                          m->type.cells == CM_ZARR_PLAIN && m->type.big_endian,
                          cm_zarr_type_stored(&m->type), m->ndim, m->chunk, &m->chain, err);
    if (r == 0 && m->type.cells != CM_ZARR_PLAIN)
        r = cm_zarr_text_chain(m, 2, err);
    else if (r == 0 && cm_kind_is_vlen(m->type.dtype.kind) && m->chain->a2b != CM_A2B_VLEN)
        r = cm_error_set(err, CM_EUNSUP,
                         "\"dtype\": \"|O\" is read only with the filter \"vlen-utf8\"");
    return r;
}

int cm_zarr_meta_parse_v2(const cm_json *zarray, const cm_json *zattrs, cm_zarr_meta *out,
                          cm_error *err)
{
    int64_t format;
    out->attributes = zattrs;
    if (!cm_json_int64(cm_json_get(zarray, "zarr_format"), &format) || format != 2)
        return cm_error_set(err, CM_EDATA, ".zarray: \"zarr_format\" is not 2");
    int r = cm_zarr_shape_parse(cm_json_get(zarray, "shape"), out, err);
    if (r == 0) {
        int names = parse_names(zarray, zattrs, out, err);
        if (names)
            return names;
        r = check_members(zarray, err);
    }
    if (r == 0 && (r = parse_cells(zarray, out, err)))
        cm_error_prefix(err, ".zarray");
    return r;
}
