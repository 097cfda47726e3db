/* format/zarr/zarr_v2.c: .zarray and .zattrs of an array (zarr-specs v2).
 *
 * Dimension names are not part of v2. xarray keeps them in the attribute `_ARRAY_DIMENSIONS`,
 * NCZarr in `_NCZARR_ARRAY` ("dimrefs", full paths) in .zarray or, since netcdf-c 4.9.3, in
 * .zattrs; both are looked at in that order.
 *
 * The members that the specification demands must be there; "compressor" and "filters" may be
 * missing, which means what null does, to zarr-python 3 as well. Members that it does not know are
 * refused by name, but for those that begin with '_', which are others' private notes (NCZarr), and
 * for "attributes" and "dimension_names", which VirtualiZarr writes and which say again what
 * .zattrs says.
 *
 * netCDF-C up to now (4.10) shuffles by the size of the type, but writes "elementsize": 0 for it,
 * which numcodecs takes for no shuffling: zarr-python reads noise from such stores. What netCDF-C
 * wrote, by the marks that it leaves, is read as it meant it; without marks nobody knows, and the
 * array is refused.
 */
#include <string.h>

#include "base/memory.h"
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
    const cm_json *places[] = {
        cm_json_get(zarray, "_NCZARR_ARRAY"), cm_json_get(zarray, "_nczarr_array"),
        cm_json_get(zattrs, "_NCZARR_ARRAY"), cm_json_get(zattrs, "_nczarr_array")};
    const size_t n = sizeof places / sizeof places[0];
    for (size_t i = 0; i < n; i++)
        m->by_netcdf = m->by_netcdf || places[i];
    if (names) {
        if (!are_names(names, m->ndim))
            return cm_error_set(err, CM_EDATA,
                                ".zattrs: \"_ARRAY_DIMENSIONS\" is not an array of %d names",
                                m->ndim);
        m->names = names;
        return 0;
    }
    for (size_t i = 0; i < n && !m->names; i++) {
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
    static const char *const needed[] = {"zarr_format", "shape", "chunks",     "dtype",
                                         "fill_value",  "order", "compressor", "filters"};
    const size_t n = sizeof needed / sizeof needed[0], optional = 2;
    for (size_t k = 0; k < n - optional; k++)
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

static bool shuffles_by_nothing(const cm_json *codec)
{
    const char *id = cm_json_string(cm_json_get(codec, "id"));
    int64_t size = 1;
    return id && !strcmp(id, "shuffle") &&
           cm_json_int64(cm_json_get(codec, "elementsize"), &size) && size == 0;
}

static int set_elementsize(cm_json_doc *doc, cm_json *codec, const cm_zarr_meta *m)
{
    uint32_t size = m->type.width ? m->type.width : m->type.dtype.size;
    return shuffles_by_nothing(codec) ? cm_json_set_int64(doc, codec, "elementsize", size) : 0;
}

/* Replace filters and compressor by copies in *doc where netCDF-C's shuffle is among them. */
static int mend_shuffle(const cm_zarr_meta *m, const cm_json **filters, const cm_json **compressor,
                        cm_json_doc **doc, cm_error *err)
{
    size_t n = cm_json_is(*filters, CM_JSON_ARRAY) ? cm_json_count(*filters) : 0;
    bool found = shuffles_by_nothing(*compressor);
    for (size_t i = 0; i < n; i++)
        found = found || shuffles_by_nothing(cm_json_at(*filters, i));
    if (!found)
        return 0;
    if (!m->by_netcdf) {
        cm_error_set(err, CM_EUNSUP,
                     "shuffle of \"elementsize\" 0, which to netCDF-C is the type's size and to "
                     "numcodecs no shuffling");
        cm_error_hint(err, "if netCDF wrote it, name the store's root, which says so");
        return CM_EUNSUP;
    }
    int r = cm_json_doc_new(1 << 20, doc, err);
    cm_json *own = r ? NULL : cm_json_copy(*doc, *filters), *item;
    cm_json *last = r || !*compressor ? NULL : cm_json_copy(*doc, *compressor);
    if (r)
        return r;
    for (size_t i = 0; i < n && r == 0; i++) {
        item = own ? cm_json_at(own, i) : NULL;
        r = item ? set_elementsize(*doc, item, m) : CM_ENOMEM;
    }
    if (r == 0 && last)
        r = set_elementsize(*doc, last, m);
    if (r || (n && !own) || (*compressor && !last))
        return cm_error_set(err, CM_ENOMEM, "out of memory (filters)");
    *filters = n ? own : *filters;
    *compressor = last;
    return 0;
}

/* "fill_value": null. zarr-python 3 reads chunks that are absent as the type's default, and leaves
 * out chunks that hold nothing else: zeros, but NaT of times. The specification lets them be
 * anything. */
static int no_fill(cm_zarr_meta *m, cm_error *err)
{
    const int64_t nat = INT64_MIN;
    if (!cm_kind_is_time(m->type.dtype.kind))
        return 0;
    m->cell_other = cm_calloc(1, sizeof nat, err);
    if (!m->cell_other)
        return CM_ENOMEM;
    memcpy(m->cell_other, &nat, sizeof nat);
    return 0;
}

static int parse_cells(const cm_json *zarray, cm_zarr_meta *m, cm_error *err)
{
    const char *order = cm_json_string(cm_json_get(zarray, "order"));
    const cm_json *separator = cm_json_get(zarray, "dimension_separator");
    const cm_json *filters = cm_json_get(zarray, "filters");
    const cm_json *compressor = cm_json_get(zarray, "compressor");
    cm_json_doc *mended = NULL;
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
    m->separator_given = s != NULL;
    const cm_json *fill = cm_json_get(zarray, "fill_value");
    r = cm_json_is(fill, CM_JSON_NULL) ? no_fill(m, err) : cm_zarr_meta_fill(fill, 2, m, err);
    if (r)
        return r;
    r = mend_shuffle(m, &filters, &compressor, &mended, err);
    if (r == 0)
        r = cm_chain_parse_v2(filters, compressor, *order,
                              m->type.cells == CM_ZARR_PLAIN && m->type.big_endian,
                              cm_zarr_type_stored(&m->type), m->ndim, m->chunk, &m->chain, err);
    cm_json_doc_free(mended);
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
