/* save/tile.c: one task of the phase that writes: a box of units, read once, encoded, put.
 *
 * The region under the box is read straight into the memory of the target's chunks (dest.h, tiles),
 * so between decoder and encoder there is one copy at most. A sliding task goes along one axis in
 * steps:
 *
 *     source chunks   |-------|-------|-------|-------|
 *     target units    |-----|-----|-----|-----|-----|-|
 *     step            read up to the next source boundary, write what is whole, keep the rest
 *
 * Unit rows live in a ring of slots, row r in slot r % nslots, so what is kept need not be moved.
 *
 * How long strings are is known when they are read. The plan counts on twice the bytes of their
 * views, which the task has reserved, and what they take beyond that is taken from what is free. A
 * task that finds nothing free is run again when no other runs (tasks.c), and its box is cut in two
 * as long as it does not fit, down to one unit. That reads source chunks again, but it needs no
 * more memory than one unit and one source chunk do.
 */
#include <stdlib.h>
#include <string.h>

#include "array/shard_index.h"
#include "base/bytes.h"
#include "base/memory.h"
#include "save/axis.h"
#include "save/save_private.h"

typedef struct tile_task {
    cm_save *save;
    cm_part *part;
    cm_array *source;
    int workers;
    int64_t lo[CM_MAX_DIMS], n[CM_MAX_DIMS];             /* box in units, all of the sliding axis */
    int64_t chunk_lo[CM_MAX_DIMS], chunk_n[CM_MAX_DIMS]; /* the same in chunks that hold cells */
    int64_t per[CM_MAX_DIMS];                            /* chunks of a unit */
    int axis;                                            /* along which rows are counted */
    int64_t nslots, rest; /* unit rows in memory; chunks of a chunk row */
    size_t pitch;
    cm_block block;
    void **pointers;
    int64_t *cuts[CM_MAX_DIMS], *extents[CM_MAX_DIMS];
    cm_arena *arena;
    bool alone;
    uint64_t taken; /* alone: from the budget, for the block */
    cm_tally *tally;
} tile_task;

/* Memory of the chunk at grid coordinate c: slot of its unit row, then C order over the others. */
static char *chunk_memory(const tile_task *t, const int64_t *c)
{
    int64_t row = c[t->axis], per = t->per[t->axis],
            index = row / per % t->nslots * per + row % per;
    for (int i = 0; i < t->part->ndim; i++)
        if (i != t->axis)
            index = index * t->chunk_n[i] + (c[i] - t->chunk_lo[i]);
    return (char *)t->block.data + (size_t)index * t->pitch;
}

/* Pointers of the chunks lo..lo+n in C order; new ones at the edge get the fill value. */
static void point(const tile_task *t, const int64_t *lo, const int64_t *n, int64_t pad_from)
{
    int64_t i[CM_MAX_DIMS] = {0}, c[CM_MAX_DIMS], k = 0;
    int nd = t->part->ndim;
    do {
        bool edge = false;
        for (int a = 0; a < nd; a++) {
            c[a] = lo[a] + i[a];
            edge = edge || cm_part_chunk_begin(t->part, a, c[a] + 1) > t->part->shape[a];
        }
        t->pointers[k] = nd ? chunk_memory(t, c) : t->block.data;
        if (edge && (nd == 0 || c[t->axis] >= pad_from))
            cm_unit_pad(t->part, c, t->pointers[k]);
        k++;
    } while (cm_next(nd, n, i));
}

static int read_rows(tile_task *t, int64_t from, int64_t to, int64_t pad_from, cm_error *err)
{
    cm_part *p = t->part;
    cm_tiles tiles = {.tile = t->pointers};
    cm_dest dest = {.dtype = p->dtype, .tiles = &tiles, .arena = t->arena};
    int64_t lo[CM_MAX_DIMS];
    dest.region.ndim = p->ndim;
    for (int i = 0; i < p->ndim; i++) {
        int64_t a = i == t->axis ? from : cm_part_chunk_begin(p, i, t->chunk_lo[i]);
        int64_t end = cm_part_chunk_begin(p, i, t->chunk_lo[i] + t->chunk_n[i]);
        int64_t b = i == t->axis ? to : cm_min_i64(end, p->shape[i]);
        lo[i] = cm_part_chunk_at(p, i, a);
        tiles.count[i] = cm_part_chunk_at(p, i, b - 1) + 1 - lo[i];
        tiles.cuts[i] = t->cuts[i];
        tiles.extent[i] = t->extents[i];
        for (int64_t k = 0; k <= tiles.count[i]; k++)
            t->cuts[i][k] = cm_min_i64(cm_part_chunk_begin(p, i, lo[i] + k), p->shape[i]);
        for (int64_t k = 0; k < tiles.count[i]; k++)
            t->extents[i][k] = cm_part_chunk_length(p, i, lo[i] + k);
        dest.region.lo[i] = a;
        dest.region.n[i] = b - a;
    }
    point(t, lo, tiles.count, pad_from);
    return cm_read_into(t->save->ctx, t->source, &dest, (uint64_t)t->workers * p->worker[1],
                        t->workers, p->mode == CM_MODE_SPILL ? NULL : &t->save->read, err);
}

static int write_rows(tile_task *t, int64_t first, int64_t last, cm_error *err)
{
    cm_part *p = t->part;
    cm_units u = {
        .save = t->save, .part = p, .tile = t->pointers, .arena = t->arena, .tally = t->tally};
    for (int i = 0; i < p->ndim; i++) {
        bool rows = i == t->axis;
        u.lo[i] = rows ? first : t->lo[i];
        u.n[i] = rows ? last - first : t->n[i];
        u.chunk_lo[i] = u.lo[i] * t->per[i];
        u.chunk_n[i] = cm_min_i64(u.n[i] * t->per[i], cm_unit_nchunks(p, i) - u.chunk_lo[i]);
    }
    point(t, u.chunk_lo, u.chunk_n, INT64_MAX);
    return cm_units_write(&u, t->workers, err);
}

static int prepare(tile_task *t, cm_error *err)
{
    cm_part *p = t->part;
    int64_t count = 1;
    t->axis = p->slide >= 0 ? p->slide : 0;
    t->nslots = 1;
    t->pitch = cm_unit_tile_nbytes(p);
    for (int i = 0; i < p->ndim; i++) {
        t->per[i] = p->layout.unit[i] / p->layout.chunk[i];
        t->chunk_lo[i] = t->lo[i] * t->per[i];
        t->chunk_n[i] = cm_min_i64(t->n[i] * t->per[i], cm_unit_nchunks(p, i) - t->chunk_lo[i]);
        int64_t held = t->chunk_n[i];
        if (i == t->axis) {
            t->nslots = t->n[i];
            if (p->slide >= 0) {
                cm_axis_grid g = cm_part_grid(p, i);
                int64_t slack = cm_ceil_div(cm_axis_longest(&g), cm_part_shortest(p, i)) + 1;
                t->nslots = cm_min_i64(t->n[i], p->tile[i] + slack);
            }
            held = cm_min_i64(held, t->nslots * t->per[i]);
        }
        count *= held;
        t->cuts[i] = cm_calloc((size_t)held + 2, sizeof(int64_t), err);
        t->extents[i] = cm_calloc((size_t)held + 2, sizeof(int64_t), err);
        if (!t->cuts[i] || !t->extents[i])
            return CM_ENOMEM;
    }
    t->pointers = cm_calloc((size_t)count, sizeof *t->pointers, err);
    if (!t->pointers)
        return CM_ENOMEM;
    if (cm_kind_is_vlen(p->dtype.kind)) {
        int r = cm_arena_new(t->save->ctx, &t->arena, err);
        if (r)
            return r;
        uint64_t cells = (uint64_t)count * t->pitch;
        if (!t->alone) {
            cm_arena_grant(t->arena, p->memory[1] > cells ? p->memory[1] - cells : 0);
        } else if (cm_budget_try(cm_context_budget(t->save->ctx), cells)) {
            t->taken = cells;
        } else {
            cm_error_set(err, CM_ELIMIT, "no memory left for %lld strings",
                         (long long)(cells / p->dtype.size));
            return CM_ELIMIT;
        }
    }
    return cm_block_get(cm_context_blocks(t->save->ctx), (size_t)count * t->pitch, &t->block, err);
}

static int slide(tile_task *t, cm_error *err)
{
    cm_part *p = t->part;
    int a = t->axis;
    cm_axis_grid g = cm_part_grid(p, a);
    int64_t have = 0, padded = 0;
    int r = 0;
    for (int64_t first = 0; first < p->nunits[a] && !r; first += p->tile[a]) {
        int64_t last = cm_min_i64(first + p->tile[a], p->nunits[a]);
        int64_t need = cm_min_i64(cm_part_unit_begin(p, a, last), p->shape[a]);
        if (need > have) {
            int64_t to = cm_axis_ceil(&g, need);
            r = read_rows(t, have, to, padded, err);
            have = to;
            padded = cm_part_chunk_at(p, a, to - 1) + 1;
        }
        if (!r)
            r = write_rows(t, first, last, err);
    }
    return r;
}

/* The box of units [lo, lo + n). */
static int run_box(const tile_task *task, const int64_t *lo, const int64_t *n, cm_error *err)
{
    tile_task t = *task;
    cm_part *p = t.part;
    cm_save *save = t.save;
    memcpy(t.lo, lo, sizeof t.lo);
    memcpy(t.n, n, sizeof t.n);
    int r = prepare(&t, err);
    if (!r && p->slide >= 0) {
        r = slide(&t, err);
    } else if (!r) {
        int64_t from = p->ndim ? cm_part_unit_begin(p, 0, t.lo[0]) : 0;
        int64_t to =
            p->ndim ? cm_min_i64(cm_part_unit_begin(p, 0, t.lo[0] + t.n[0]), p->shape[0]) : 1;
        r = read_rows(&t, from, to, 0, err);
        if (!r)
            r = write_rows(&t, t.lo[0], t.lo[0] + t.n[0], err);
    }
    cm_block_put(cm_context_blocks(save->ctx), &t.block);
    cm_arena_free(t.arena);
    if (t.taken)
        cm_budget_give(cm_context_budget(save->ctx), t.taken);
    free(t.pointers);
    for (int i = 0; i < p->ndim; i++) {
        free(t.cuts[i]);
        free(t.extents[i]);
    }
    return r;
}

/* The box, in halves where it is too large. */
static int run_parts(const tile_task *t, const int64_t *lo, const int64_t *n, cm_error *err)
{
    int64_t part_lo[CM_MAX_DIMS], part_n[CM_MAX_DIMS];
    cm_tally before = *t->tally;
    int axis = -1;
    cm_shard_indexes_forget(t->save->ctx); /* they may have gathered in any order */
    int r = run_box(t, lo, n, err);
    for (int i = 0; i < t->part->ndim; i++)
        if (n[i] > 1 && (axis < 0 || n[i] > n[axis]))
            axis = i;
    if (r != CM_ELIMIT || axis < 0)
        return r;
    cm_error_clear(err);
    cm_tally_progress(t->save, t->tally, before.progress - t->tally->progress);
    *t->tally = before;
    memcpy(part_lo, lo, sizeof part_lo);
    memcpy(part_n, n, sizeof part_n);
    part_n[axis] = n[axis] / 2;
    r = run_parts(t, part_lo, part_n, err);
    part_lo[axis] += part_n[axis];
    part_n[axis] = n[axis] - part_n[axis];
    return r ? r : run_parts(t, part_lo, part_n, err);
}

int cm_tile_run(cm_save *save, cm_part *p, cm_array *source, int64_t task, int workers, bool alone,
                cm_tally *tally, cm_error *err)
{
    tile_task t = {.save = save, .part = p, .source = source, .workers = workers, .tally = tally};
    t.alone = alone && cm_kind_is_vlen(p->dtype.kind);
    int64_t lo[CM_MAX_DIMS] = {0}, n[CM_MAX_DIMS] = {0};
    for (int i = p->ndim - 1; i >= 0; i--) {
        int64_t b = task % p->boxes[i];
        task /= p->boxes[i];
        lo[i] = i == p->slide ? 0 : b * p->tile[i];
        n[i] = i == p->slide ? p->nunits[i] : cm_min_i64(p->tile[i], p->nunits[i] - lo[i]);
    }
    return t.alone ? run_parts(&t, lo, n, err) : run_box(&t, lo, n, err);
}
