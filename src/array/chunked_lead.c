/* array/chunked_lead.c: a chunked array seen with one more axis, of length 1, before its own.
 *
 * The same chunks at the same places: a table that drops the first coordinate and asks the array's
 * own, and a chain for chunks with the axis. References to stacked files are made of it; reading
 * goes another way (expand.c), which also works for arrays that are not chunked.
 */
#include <stdlib.h>
#include <string.h>

#include "array/chunked.h"
#include "array/chunked_lead.h"
#include "base/memory.h"

typedef struct lead_table {
    cm_table base;
    cm_array *leaf;
} lead_table;

static int lead_locate(const cm_table *t, const int64_t *coord, cm_location *out, cm_error *err)
{
    return cm_chunked_locate(((const lead_table *)t)->leaf, coord + 1, out, err);
}

static void lead_free(cm_table *t)
{
    cm_array_unref(((lead_table *)t)->leaf);
    free(t);
}

static void lead_want(const cm_table *t)
{
    cm_chunked_want(((const lead_table *)t)->leaf);
}

static int make_table(cm_array *leaf, cm_table **out, cm_error *err)
{
    uint64_t offset, limit;
    const int64_t *own;
    int64_t strides[CM_MAX_DIMS + 1] = {0};
    if (cm_table_is_strided(cm_chunked_table(leaf), &offset, &own, &limit)) {
        memcpy(strides + 1, own, (size_t)leaf->ndim * sizeof *own);
        return cm_table_new_strided(leaf->ndim + 1, offset, strides, limit, out, err);
    }
    lead_table *t = cm_calloc(1, sizeof *t, err);
    if (!t)
        return CM_ENOMEM;
    t->base = (cm_table){.locate = lead_locate, .free = lead_free, .want = lead_want};
    t->leaf = cm_array_ref(leaf);
    *out = &t->base;
    return 0;
}

int cm_chunked_with_lead(cm_array *leaf, cm_array **out, cm_error *err)
{
    int64_t shape[CM_MAX_DIMS + 1] = {1}, chunk[CM_MAX_DIMS + 1] = {1};
    cm_object_version guard = {0};
    const char *guard_key = cm_chunked_guard(leaf, &guard);
    *out = NULL;
    if (cm_chunked_is_irregular(leaf))
        return cm_error_set(err, CM_EUNSUP, "its chunks have different lengths");
    memcpy(shape + 1, leaf->shape, (size_t)leaf->ndim * sizeof *shape);
    memcpy(chunk + 1, cm_chunked_chunk(leaf), (size_t)leaf->ndim * sizeof *chunk);
    cm_chunked_spec spec = {.dtype = leaf->dtype,
                            .ndim = leaf->ndim + 1,
                            .shape = shape,
                            .chunk = chunk,
                            .fill = leaf->fill,
                            .store = cm_chunked_store(leaf),
                            .key = cm_chunked_key(leaf),
                            .version = cm_chunked_version(leaf),
                            .guard_key = guard_key,
                            .guard = guard,
                            .label = leaf->label,
                            .path = leaf->path};
    int rc = cm_chain_with_lead((cm_chain *)(uintptr_t)cm_chunked_chain(leaf), &spec.chain, err);
    if (rc == 0)
        rc = make_table(leaf, &spec.table, err);
    if (rc) {
        cm_chain_unref(spec.chain);
        return rc;
    }
    return cm_chunked_new(&spec, out, err);
}
