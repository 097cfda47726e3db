/* dataset/chunk_info.c: where one chunk of a variable is.
 *
 * The chunk table knows for files; where every chunk is an object of its own only the store knows
 * whether it is there and how long it is. A contiguous variable is one chunk, whose length is that
 * of its cells: the records of a NetCDF-3 record variable are not in one piece, and offset is that
 * of the first.
 */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "dataset/dataset_private.h"

/* shape: of the variable, whose chunks are those of a. */
static int check_coord(const cm_array *a, const int64_t *shape, const int64_t *coord, bool strided,
                       cm_error *err)
{
    const int64_t *chunk = cm_chunked_chunk(a);
    bool irregular = cm_chunked_is_irregular(a);
    for (int k = 0; k < a->ndim; k++) {
        int64_t grid = strided     ? 1
                       : irregular ? cm_chunked_count(a, k)
                                   : cm_ceil_div(shape[k], chunk[k]);
        if (coord[k] < 0 || coord[k] >= grid)
            return cm_error_set(err, CM_EINVAL,
                                "chunk coordinate %lld on axis %d is outside the grid of %lld",
                                (long long)coord[k], k, (long long)grid);
    }
    return 0;
}

static int in_store(const cm_array *a, const char *key, cm_chunk_info *out, cm_error *err)
{
    cm_store *s = cm_chunked_store(a);
    cm_object_version version;
    cm_error why = {0};
    int r = s->vt->stat(s, key, &version, &why);
    if (r == CM_ENOTFOUND)
        return 0; /* never written: present stays false */
    if (r) {
        if (err)
            *err = why;
        return r;
    }
    out->present = true;
    out->nbytes = version.size;
    return 0;
}

static int of_strided(const cm_array *a, uint64_t offset, cm_chunk_info *out, cm_error *err)
{
    int64_t n = cm_shape_nelem(a->ndim, a->shape);
    const char *key = cm_chunked_key(a);
    if (n < 0 || !cm_mul_u64((uint64_t)n, cm_chunked_chain(a)->stored_size, &out->nbytes))
        return cm_error_set(err, CM_ELIMIT, "more than 2^63 cells");
    out->present = true;
    out->offset = offset;
    snprintf(out->key, sizeof out->key, "%s", key ? key : "");
    return 0;
}

static int of_chunked(const cm_array *a, const int64_t *shape, const int64_t *coord,
                      cm_chunk_info *out, cm_error *err)
{
    uint64_t offset, limit;
    const int64_t *strides;
    bool strided = cm_table_is_strided(cm_chunked_table(a), &offset, &strides, &limit);
    int r = check_coord(a, shape, coord, strided, err);
    if (r)
        return r;
    for (int k = 0; k < a->ndim && !strided; k++)
        if (coord[k] >= cm_chunked_count(a, k))
            return 0; /* the variable is longer than what was stored of it */
    if (strided)
        return of_strided(a, offset, out, err);
    cm_location at;
    memset(&at, 0, sizeof at);
    r = cm_chunked_locate(a, coord, &at, err);
    if (r)
        return r;
    const char *key = at.key[0] || !cm_chunked_key(a) ? at.key : cm_chunked_key(a);
    snprintf(out->key, sizeof out->key, "%s", key);
    switch (at.where) {
    case CM_AT_NOWHERE: return 0;
    case CM_AT_OBJECT:
    case CM_AT_WHOLE: return in_store(a, key, out, err);
    case CM_AT_RANGE: out->offset = at.offset; break;
    case CM_AT_MEMORY: break;
    }
    out->present = true;
    out->nbytes = at.nbytes;
    out->filter_mask = at.skip_mask;
    return 0;
}

int cm_variable_chunk_info(cm_context *ctx, const cm_variable *v, const int64_t *coord,
                           cm_chunk_info *out, cm_error *err)
{
    (void)ctx;
    memset(out, 0, sizeof *out);
    if (!v->array) {
        if (err && v->problem)
            *err = *v->problem;
        return v->problem ? v->problem->code
                          : cm_error_set(err, CM_EUNSUP, "the variable has no array");
    }
    /* Other values (text out of characters, say), or more of them: the same chunks. */
    cm_array *opened;
    int r = cm_array_resolve(v->array, &opened, err);
    if (r)
        return r;
    const cm_array *a = opened;
    while (a->vt->first_is_whole)
        a = a->vt->first(a);
    if (!cm_array_is_chunked(a)) {
        cm_error_set(err, CM_EUNSUP, "the variable is put together (%s): no chunks of its own",
                     a->vt->kind);
        cm_error_variable(err, v->path);
        return CM_EUNSUP;
    }
    r = of_chunked(a, v->array->shape, coord, out, err);
    if (r) {
        cm_error_object(err, v->group->dataset->uri);
        cm_error_variable(err, v->path);
    }
    return r;
}
