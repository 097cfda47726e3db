/* array/table_strided.c: the formula table: cell i lies at offset + sum(i[k] * strides[k]) of one
 * object. Contiguous HDF5, and NetCDF-3, whose record variables have a stride of one record along
 * axis 0.
 */
#include <stdlib.h>
#include <string.h>

#include "array/chunked.h"
#include "base/memory.h"

typedef struct strided {
    cm_table base;
    uint64_t offset, limit;
    int64_t strides[CM_MAX_DIMS];
} strided;

static int locate(const cm_table *t, const int64_t *coord, cm_location *out, cm_error *err)
{
    const strided *s = (const strided *)t;
    (void)coord, (void)err;
    out->where = CM_AT_RANGE;
    out->key[0] = 0;
    out->offset = s->offset;
    out->nbytes = s->limit > s->offset ? s->limit - s->offset : 0;
    out->skip_mask = 0;
    out->inline_data = NULL;
    return 0;
}

static void free_strided(cm_table *t)
{
    free(t);
}

int cm_table_new_strided(int ndim, uint64_t offset, const int64_t *strides, uint64_t nbytes_limit,
                         cm_table **out, cm_error *err)
{
    for (int i = 0; i < ndim; i++)
        if (strides[i] < 0)
            return cm_error_set(err, CM_EDATA, "negative distance between cells");
    strided *s = cm_calloc(1, sizeof *s, err);
    if (!s)
        return CM_ENOMEM;
    s->base.locate = locate;
    s->base.free = free_strided;
    s->offset = offset;
    s->limit = nbytes_limit;
    memcpy(s->strides, strides, (size_t)ndim * sizeof *strides);
    *out = &s->base;
    return 0;
}

bool cm_table_is_strided(const cm_table *t, uint64_t *offset, const int64_t **strides,
                         uint64_t *nbytes_limit)
{
    if (t->free != free_strided)
        return false;
    const strided *s = (const strided *)t;
    *offset = s->offset;
    *strides = s->strides;
    *nbytes_limit = s->limit;
    return true;
}
