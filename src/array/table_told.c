/* array/table_told.c: see told.h. Locations are made up: only whether a chunk is there, and its
 * filter mask, mean anything. Contiguous data keep their own strides in the usual table, at offset
 * 0 of a file that is long enough, or empty. */
#include <stdlib.h>
#include <string.h>

#include "array/told.h"
#include "base/bytes.h"
#include "base/memory.h"

typedef struct told {
    cm_table base;
    int ndim;
    unsigned odd;
    int64_t last[CM_MAX_DIMS]; /* coordinate of the last chunk */
} told;

static int locate(const cm_table *base, const int64_t *coord, cm_location *out, cm_error *err)
{
    const told *t = (const told *)base;
    bool first = true, last = true;
    (void)err;
    for (int i = 0; i < t->ndim; i++) {
        first = first && coord[i] == 0;
        last = last && coord[i] == t->last[i];
    }
    *out = (cm_location){.where = CM_AT_RANGE, .nbytes = 1};
    if (last && t->odd & CM_TOLD_UNWRITTEN)
        out->where = CM_AT_NOWHERE;
    else if (first && t->odd & CM_TOLD_MASK)
        out->skip_mask = 1;
    return 0;
}

static void free_told(cm_table *t)
{
    free(t);
}

bool cm_table_is_told(const cm_table *t, unsigned *odd)
{
    if (t->locate != locate)
        return false;
    *odd = ((const told *)t)->odd;
    return true;
}

int cm_array_tell(const cm_array *a, const int64_t *shape, unsigned odd, bool truncated,
                  cm_array **out, cm_error *err)
{
    uint64_t offset, limit;
    const int64_t *strides;
    int64_t whole[CM_MAX_DIMS];
    cm_table *table = NULL;
    cm_chunked_spec spec = {.dtype = a->dtype,
                            .ndim = a->ndim,
                            .shape = shape,
                            .chunk = cm_chunked_chunk(a),
                            .fill = a->fill,
                            .label = a->label,
                            .path = a->path};
    *out = NULL;
    if (cm_table_is_strided(cm_chunked_table(a), &offset, &strides, &limit)) {
        for (int i = 0; i < a->ndim; i++)
            whole[i] = cm_max_i64(shape[i], 1);
        spec.chunk = whole;
        if (cm_table_new_strided(a->ndim, 0, strides, truncated ? 0 : UINT64_MAX, &table, err))
            return CM_ENOMEM;
    } else {
        told *t = cm_calloc(1, sizeof *t, err);
        if (!t)
            return CM_ENOMEM;
        t->base = (cm_table){.locate = locate, .free = free_told};
        t->ndim = a->ndim;
        t->odd = odd;
        for (int i = 0; i < a->ndim; i++)
            t->last[i] = cm_max_i64(cm_ceil_div(shape[i], spec.chunk[i]), 1) - 1;
        table = &t->base;
    }
    spec.table = table;
    spec.chain = cm_chain_ref((cm_chain *)(uintptr_t)cm_chunked_chain(a));
    return cm_chunked_new(&spec, out, err);
}
