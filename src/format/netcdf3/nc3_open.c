/* format/netcdf3/nc3_open.c: a NetCDF-3 file (CDF-1, CDF-2, CDF-5) as a dataset.
 *
 * Every variable is an uncompressed array whose cells are at an offset that is linear in the index
 * (nc3_layout.c), big-endian, so the strided table serves all of them and any region is read
 * without touching more than it.
 *
 * Characters: a char variable becomes strings along its last dimension where xarray would decode it
 * so: where that dimension has no coordinate variable and is used by nothing but char variables, as
 * their last one. char name(station, len) is string name(station), char title(len) one string. Any
 * other is one string of one character per cell: char flag(station) beside float height(station).
 * So is one along the record dimension, which xarray would join too: such a string would grow with
 * the file, and files could not be concatenated along it.
 *
 * Attributes: text as netCDF4-python gives it, without NUL bytes; text that is not UTF-8 (older
 * files) is taken as ISO 8859-1, which loses nothing, and reported in the log. NC_BYTE is signed;
 * `_Unsigned` is an attribute like any other.
 *
 * In NetCDF-3 no cell is ever absent. netCDF-C reads what lies beyond the end of a truncated file
 * as zeros; here that is an error when such cells are read, and a warning when the file is opened.
 */
#include <stdlib.h>
#include <string.h>

#include "base/context_private.h"
#include "base/memory.h"
#include "format/format.h"
#include "format/netcdf3/nc3.h"
#include "nd/copy.h"
#include "text/utf8.h"

enum { MAX_STRING = 64 << 20 };

typedef struct cm_nc3_source {
    cm_context *ctx;
    cm_store *store;
    const char *key, *uri;
    cm_object_version version;
    cm_nc3_header h;
    bool *joins; /* per dimension: char cells along it, as the last one, are one string */
    cm_dataset *ds;
} source;

static cm_dtype dtype_of(uint32_t type)
{
    static const cm_kind kinds[] = {CM_NONE,   CM_INT8,    CM_BYTES,   CM_INT16,
                                    CM_INT32,  CM_FLOAT32, CM_FLOAT64, CM_UINT8,
                                    CM_UINT16, CM_UINT32,  CM_INT64,   CM_UINT64};
    return cm_dtype_of(kinds[type], 1);
}

static char *name_dup(const source *s, cm_nc3_name name, cm_error *err)
{
    return cm_strndup((const char *)s->h.bytes.data + name.offset, name.nbytes, err);
}

/* ---- attributes ------------------------------------------------------------------------------ */

/* ISO 8859-1 to UTF-8; out has room for 2 * nbytes. */
static size_t latin1_to_utf8(const uint8_t *s, size_t nbytes, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < nbytes; i++) {
        if (s[i] < 0x80) {
            out[n++] = (char)s[i];
        } else {
            out[n++] = (char)(0xc0 | s[i] >> 6);
            out[n++] = (char)(0x80 | (s[i] & 0x3f));
        }
    }
    return n;
}

static int text_value(source *s, const char *name, const cm_nc3_attribute *a, const cm_json **out,
                      cm_error *err)
{
    /* One block: the text without NULs, then room for its conversion. */
    char *text = cm_calloc(a->nelem, 3, err);
    if (!text)
        return CM_ENOMEM;
    const uint8_t *p = s->h.bytes.data + a->offset;
    bool keep = strcmp(name, "_FillValue") == 0; /* a NUL is a value there */
    size_t n = 0;
    for (size_t i = 0; i < a->nelem; i++)
        if (p[i] || keep)
            text[n++] = (char)p[i];
    const char *result = text;
    if (!cm_utf8_valid(text, n)) {
        cm_context_log(s->ctx, CM_LOG_WARNING,
                       "%s: attribute %s is not UTF-8 and was read as ISO 8859-1", s->uri, name);
        n = latin1_to_utf8((const uint8_t *)text, n, text + a->nelem);
        result = text + a->nelem;
    }
    *out = cm_json_new_string_n(s->ds->doc, result, n);
    free(text);
    return *out ? 0 : cm_error_set(err, CM_ENOMEM, "out of memory");
}

static int number_value(source *s, const cm_nc3_attribute *a, const cm_json **out, cm_error *err)
{
    uint32_t size = cm_nc3_type_size(a->type);
    void *cells = cm_memdup(s->h.bytes.data + a->offset, a->nelem * size, err);
    if (!cells)
        return CM_ENOMEM;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (size > 1)
        cm_swap_bytes(cells, a->nelem * size, size);
#endif
    *out = cm_json_from_cells(s->ds->doc, dtype_of(a->type), cells, a->nelem, a->nelem == 1);
    free(cells);
    return *out ? 0 : cm_error_set(err, CM_ENOMEM, "out of memory");
}

/* To the root group when v is NULL. */
static int add_attributes(source *s, const cm_nc3_attributes *list, cm_variable *v, cm_error *err)
{
    int ret = 0;
    for (size_t i = 0; i < list->count && ret == 0; i++) {
        const cm_nc3_attribute *a = &list->items[i];
        char *name = name_dup(s, a->name, err);
        if (!name)
            return CM_ENOMEM;
        const cm_json *value = NULL;
        cm_dtype dtype = dtype_of(a->type);
        if (a->type == CM_NC3_CHAR) {
            dtype = cm_dtype_of(CM_STRING, 0);
            ret = text_value(s, name, a, &value, err);
        } else {
            ret = number_value(s, a, &value, err);
        }
        if (ret == 0)
            ret = v ? cm_variable_add_attribute(v, name, value, dtype, err)
                    : cm_group_add_attribute(s->ds->root, name, value, dtype, err);
        free(name);
    }
    return ret;
}

/* ---- variables ------------------------------------------------------------------------------- */

/* The variable's own fill value as a native cell; false when it has none of its type. */
static bool own_fill(const source *s, const cm_nc3_variable *v, void *cell)
{
    uint32_t size = cm_nc3_type_size(v->type);
    const char *bytes = (const char *)s->h.bytes.data;
    for (size_t i = 0; i < v->attributes.count; i++) {
        const cm_nc3_attribute *a = &v->attributes.items[i];
        if (a->name.nbytes != strlen("_FillValue") || a->type != v->type || a->nelem != 1 ||
            memcmp(bytes + a->name.offset, "_FillValue", a->name.nbytes) != 0)
            continue;
        memcpy(cell, bytes + a->offset, size);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        if (size > 1)
            cm_swap_bytes(cell, size, size);
#endif
        return true;
    }
    return false;
}

/* Shape, strides and cell type in the dataset's terms: char variables lose their last axis. */
typedef struct cm_nc3_view {
    cm_dtype dtype;
    int ndim;
    int64_t shape[CM_MAX_DIMS], strides[CM_MAX_DIMS];
} view;

static int make_view(const source *s, const cm_nc3_variable *v, view *out, cm_error *err)
{
    const cm_nc3_header *h = &s->h;
    size_t ndim = v->ndim;
    *out = (view){.dtype = dtype_of(v->type)};
    if (v->type == CM_NC3_CHAR && ndim > 0 && s->joins[cm_nc3_dimid(h, v, ndim - 1)]) {
        int64_t length = h->dimensions[cm_nc3_dimid(h, v, ndim - 1)].length;
        if ((uint64_t)length > s->version.size) /* an array has a cell of memory for its fill */
            return cm_error_set(err, CM_EDATA,
                                "its strings are longer than the file (%lld characters)",
                                (long long)length);
        if (length > MAX_STRING)
            return cm_error_set(err, CM_EUNSUP,
                                "its strings are %lld characters long, at most %d are read",
                                (long long)length, MAX_STRING);
        out->dtype.size = (uint32_t)length;
        ndim--;
    }
    if (ndim > CM_MAX_DIMS)
        return cm_error_set(err, CM_EUNSUP, "it has %zu dimensions, at most %d are read", ndim,
                            CM_MAX_DIMS);
    out->ndim = (int)ndim;
    int64_t stride = out->dtype.size;
    for (int i = out->ndim - 1; i >= 0; i--) {
        int64_t length = h->dimensions[cm_nc3_dimid(h, v, (size_t)i)].length;
        bool record = i == 0 && v->record;
        out->shape[i] = record ? h->nrecords : length;
        out->strides[i] = record ? (int64_t)h->record_nbytes : stride;
        if (!record)
            stride *= length; /* at most the slab's size, which was checked */
    }
    return 0;
}

static int make_array(const source *s, const cm_nc3_variable *v, const view *w, const char *path,
                      cm_array **out, cm_error *err)
{
    int64_t chunk[CM_MAX_DIMS];
    for (int i = 0; i < w->ndim; i++)
        chunk[i] = w->shape[i] ? w->shape[i] : 1;
    uint64_t fill[2] = {0};
    bool has_fill = w->dtype.kind != CM_BYTES && own_fill(s, v, fill);
    cm_chain *chain = NULL;
    cm_table *table = NULL;
    int ret = cm_chain_new(w->dtype, w->ndim, chunk, &chain, err);
    if (ret)
        return ret;
    chain->big_endian = true;
    chain->endian_given = w->dtype.kind != CM_BYTES && w->dtype.size > 1;
    ret = cm_table_new_strided(w->ndim, v->begin, w->strides, s->version.size, &table, err);
    if (ret) {
        cm_chain_unref(chain);
        return ret;
    }
    cm_chunked_spec spec = {
        .dtype = w->dtype,
        .ndim = w->ndim,
        .shape = w->shape,
        .chunk = chunk,
        .fill = has_fill ? fill : NULL,
        .chain = chain,
        .table = table,
        .store = s->store,
        .key = s->key,
        .version = s->version,
        .label = s->uri,
        .path = path,
    };
    ret = cm_chunked_new(&spec, out, err);
    if (ret == 0 && w->dtype.kind == CM_BYTES)
        ret = cm_array_bytes_to_string(*out, out, err);
    return ret;
}

/* Which dimensions strings lie along. All variables have been added. */
static int find_string_dimensions(source *s, cm_error *err)
{
    const cm_nc3_header *h = &s->h;
    int ret = 0;
    s->joins = cm_calloc(h->ndimensions, sizeof *s->joins, err);
    if (!s->joins)
        return CM_ENOMEM;
    for (size_t i = 0; i < h->nvariables; i++)
        if (h->variables[i].type == CM_NC3_CHAR && h->variables[i].ndim > 0)
            s->joins[cm_nc3_dimid(h, &h->variables[i], h->variables[i].ndim - 1)] = true;
    for (size_t i = 0; i < h->nvariables; i++) {
        const cm_nc3_variable *v = &h->variables[i];
        size_t last = v->ndim ? cm_nc3_dimid(h, v, v->ndim - 1) : 0;
        for (size_t k = 0; k < v->ndim; k++)
            if (v->type != CM_NC3_CHAR || cm_nc3_dimid(h, v, k) != last)
                s->joins[cm_nc3_dimid(h, v, k)] = false;
    }
    for (size_t i = 0; i < h->ndimensions && ret == 0; i++) {
        if (!s->joins[i])
            continue;
        char *name = name_dup(s, h->dimensions[i].name, err);
        ret = name ? 0 : CM_ENOMEM;
        s->joins[i] =
            name && (int64_t)i != h->record_dimension && !cm_group_find_variable(s->ds->root, name);
        free(name);
    }
    return ret;
}

static int fill_variable(source *s, const cm_nc3_variable *v, cm_variable *var, cm_error *err)
{
    cm_array *array = NULL;
    view w = {.ndim = 0};
    cm_error why;
    cm_error_clear(&why);
    int ret = add_attributes(s, &v->attributes, var, err);
    if (ret)
        return ret;
    int failed = make_view(s, v, &w, &why);
    if (failed == 0)
        failed = make_array(s, v, &w, var->path, &array, &why);
    for (int i = 0; i < w.ndim && ret == 0; i++) {
        cm_nc3_name dimension = s->h.dimensions[cm_nc3_dimid(&s->h, v, (size_t)i)].name;
        char *text = name_dup(s, dimension, err);
        ret = text ? cm_variable_set_dimension(var, i, text, err) : CM_ENOMEM;
        free(text);
    }
    if (ret == 0)
        ret = cm_variable_set_storage(var, w.ndim, NULL, NULL, "none", cm_nc3_type_name(v->type),
                                      true, err);
    if (failed == 0) {
        cm_variable_set_array(var, array); /* in any case: it takes the reference */
    } else if (failed == CM_ENOMEM) {
        if (err)
            *err = why;
        ret = failed;
    } else if (ret == 0) {
        var->ndim = w.ndim;
        memcpy(var->shape, w.shape, sizeof var->shape);
        ret = cm_variable_set_problem(var, &why, err);
    }
    return ret;
}

static int build(source *s, cm_error *err)
{
    const cm_nc3_header *h = &s->h;
    const char *format = h->version == 1   ? "NetCDF-3 classic"
                         : h->version == 2 ? "NetCDF-3 64-bit offset"
                                           : "NetCDF-3 64-bit data";
    int ret = cm_dataset_new(s->ctx, s->uri, format, &s->ds, err);
    for (size_t i = 0; i < h->ndimensions && ret == 0; i++) {
        bool record = (int64_t)i == h->record_dimension;
        char *name = name_dup(s, h->dimensions[i].name, err);
        ret = name ? cm_group_add_dimension(s->ds->root, name,
                                            record ? h->nrecords : h->dimensions[i].length, record,
                                            err)
                   : CM_ENOMEM;
        free(name);
    }
    if (ret == 0)
        ret = add_attributes(s, &h->attributes, NULL, err);
    for (size_t i = 0; i < h->nvariables && ret == 0; i++) {
        cm_variable *v;
        char *name = name_dup(s, h->variables[i].name, err);
        ret = name ? cm_group_add_variable(s->ds->root, name, &v, err) : CM_ENOMEM;
        free(name);
    }
    if (ret == 0)
        ret = find_string_dimensions(s, err);
    for (size_t i = 0; i < h->nvariables && ret == 0; i++)
        ret = fill_variable(s, &h->variables[i], cm_group_variable(s->ds->root, i), err);
    return ret;
}

int cm_netcdf3_open(cm_context *ctx, cm_store *store, const char *key, const char *uri,
                    cm_dataset **out, cm_error *err)
{
    *out = NULL;
    source s = {.ctx = ctx, .store = store, .key = key, .uri = uri};
    int ret = store->vt->stat(store, key, &s.version, err);
    if (ret)
        goto out;
    ret = cm_nc3_header_read(&s.h, store, key, &s.version, err);
    if (ret == 0)
        ret = cm_nc3_layout(&s.h, s.version.size, err);
    if (ret == 0)
        ret = build(&s, err);
    if (ret)
        goto out;
    if (s.h.needed_nbytes > s.version.size)
        cm_context_log(ctx, CM_LOG_WARNING,
                       "%s: the file is truncated: its header wants %llu bytes, it has %llu; "
                       "reading what is missing will fail",
                       uri, (unsigned long long)s.h.needed_nbytes,
                       (unsigned long long)s.version.size);
    *out = s.ds;
    s.ds = NULL;
out:
    cm_dataset_free(s.ds);
    cm_nc3_header_deinit(&s.h);
    free(s.joins);
    if (ret)
        cm_error_object(err, uri);
    return ret;
}
