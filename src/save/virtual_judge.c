/* save/virtual_judge.c: would cm_virtualize refuse this variable, and why; without writing.
 *
 * The same steps: flatten, describe, and the chunks. Chunks are looked at one by one only where the
 * table is a file's own; a stand-in (array/told.h) has what is odd in its first and last chunk.
 */
#include <string.h>

#include "array/told.h"
#include "base/bytes.h"
#include "base/context_private.h"
#include "save/virtual.h"
#include "save/virtual_judge.h"

static int describe(cm_virtual *v, cm_virtual_part *p, cm_error *err)
{
    int rc = cm_store_new_memory(v->ctx, &v->memory, err);
    if (rc == 0)
        rc = cm_zarr_writer_new(v->memory, "", 2, &v->writer, err);
    if (rc == 0)
        rc = cm_virtual_declare(v, p, err);
    return rc;
}

/* Chunk number of a place in the joined array. */
static int64_t index_at(const cm_virtual_part *p, const int64_t *cell)
{
    int64_t index = 0;
    for (int i = 0; i < p->ndim; i++)
        index = index * p->grid[i] + cell[i] / p->chunk[i];
    return index;
}

static int look_at(cm_virtual *v, cm_virtual_part *p, const cm_segment *s, const int64_t *at,
                   cm_buffer *bytes, cm_error *err)
{
    int64_t cell[CM_MAX_DIMS] = {0};
    cm_location loc;
    cm_reference unused;
    loc.where = CM_AT_NOWHERE;
    loc.skip_mask = 0;
    int rc = cm_chunked_locate(s->leaf, at, &loc, err);
    if (rc || (loc.where != CM_AT_NOWHERE && !loc.skip_mask))
        return rc;
    for (int i = 0; i < p->ndim; i++)
        cell[i] = at[i] * p->chunk[i] - s->start[i] + (i == p->axis ? s->begin : 0);
    return cm_virtual_reference(v, p, index_at(p, cell), bytes, &unused, err);
}

static int look_at_segment(cm_virtual *v, cm_virtual_part *p, const cm_segment *s, cm_error *err)
{
    int64_t grid[CM_MAX_DIMS], last[CM_MAX_DIMS], at[CM_MAX_DIMS] = {0};
    unsigned odd = 0;
    cm_buffer bytes;
    int rc = 0;
    bool told = cm_table_is_told(cm_chunked_table(s->leaf), &odd);
    for (int i = 0; i < p->ndim; i++) {
        grid[i] = cm_ceil_div(s->leaf->shape[i], p->chunk[i]);
        last[i] = grid[i] - 1;
        if (grid[i] < 1)
            return 0;
    }
    if (told && !odd)
        return 0;
    cm_buffer_init(&bytes, 1 << 20);
    if (told) {
        rc = look_at(v, p, s, at, &bytes, err);
        if (rc == 0)
            rc = look_at(v, p, s, last, &bytes, err);
    } else {
        do
            rc = look_at(v, p, s, at, &bytes, err);
        while (rc == 0 && cm_next(p->ndim, grid, at));
    }
    cm_buffer_deinit(&bytes);
    return rc;
}

/* Contiguous data that do not end in their file: the last row is asked for. */
static int look_at_rows(cm_virtual *v, cm_virtual_part *p, const cm_segment *s, cm_error *err)
{
    int64_t cell[CM_MAX_DIMS] = {0};
    uint64_t offset, limit;
    const int64_t *strides;
    cm_reference unused;
    cm_buffer bytes;
    if (!cm_table_is_strided(cm_chunked_table(s->leaf), &offset, &strides, &limit) || limit > 0)
        return 0;
    if (p->ndim)
        cell[p->axis] = s->begin;
    cm_buffer_init(&bytes, 1 << 20);
    int rc = cm_virtual_reference(v, p, index_at(p, cell), &bytes, &unused, err);
    cm_buffer_deinit(&bytes);
    return rc;
}

int cm_virtual_judge(cm_context *ctx, cm_dataset *ds, cm_variable *variable, cm_error *err)
{
    cm_virtualize_options options;
    cm_virtualize_options_init(&options);
    cm_virtual v = {.ctx = ctx, .source = ds, .options = &options};
    cm_virtual_part part = {.variable = variable};
    int rc = cm_virtual_flatten(&v, &part, err);
    if (rc == 0)
        rc = cm_virtual_settle(&part, err);
    if (rc == 0)
        rc = describe(&v, &part, err);
    for (size_t k = 0; rc == 0 && !part.native && k < part.nsegments; k++)
        rc = part.segments[k].blank ? 0
             : part.strided         ? look_at_rows(&v, &part, &part.segments[k], err)
                                    : look_at_segment(&v, &part, &part.segments[k], err);
    cm_virtual_part_deinit(&v, &part);
    cm_zarr_writer_free(v.writer);
    cm_store_unref(v.memory);
    return rc;
}
