/* save/spill.c: the scratch file of one variable.
 *
 *     phase 0   a task reads a block of whole source chunks, each once, and writes every piece of
 *               it (block x tile) to its place, packing the cells on the way
 *     phase 1   a tile's pieces lie together, so a task reads one range, and frees it
 *
 * The block is plain memory in C order: a source chunk that spans it is decoded straight into it,
 * and what packing copies goes through the core's cache.
 *
 * The file is in destination order: tiles in C order of their grid, in a tile the pieces in C order
 * of the blocks, in a piece the cells in C order. Because tiles and blocks are grids, a piece's
 * place has a closed form (place()) and no index is needed. The file has no name from the moment it
 * is open, so nothing is left behind however the process ends. It is read back as an array of raw
 * pieces through the engine like any other.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "array/workspace.h"
#include "base/bytes.h"
#include "base/memory.h"
#include "nd/copy.h"
#include "save/save_private.h"

enum { PACKED = 256 << 10 }; /* bytes that are put together for one write; in the core's cache */

typedef struct spill_store {
    cm_store base;
    int fd;
} spill_store;

struct cm_spill {
    spill_store store;
    struct spill_array *array;
    cm_part *part;
};

typedef struct cm_spill cm_spill;

typedef struct spill_array {
    cm_array base;
    cm_spill *spill;
} spill_array;

/* Where tile t of an axis begins, or the last one ends; the tile that x is in. */
static int64_t tile_begin(const cm_part *p, int axis, int64_t t)
{
    int64_t unit = cm_min_i64(t * p->tile[axis], p->nunits[axis]);
    return cm_min_i64(cm_part_unit_begin(p, axis, unit), p->shape[axis]);
}

static int64_t tile_at(const cm_part *p, int axis, int64_t x)
{
    return cm_part_unit_at(p, axis, x) / p->tile[axis];
}

/* Cells before the part [lo, lo + n) of a box of shape `whole` whose parts are stored in C order of
 * a grid: those before it along axis 0, then along axis 1 within its own slab, and so on. */
static int64_t place(int ndim, const int64_t *whole, const int64_t *lo, const int64_t *n)
{
    int64_t cells = 0;
    for (int i = 0; i < ndim; i++) {
        int64_t v = lo[i];
        for (int j = 0; j < i; j++)
            v *= n[j];
        for (int j = i + 1; j < ndim; j++)
            v *= whole[j];
        cells += v;
    }
    return cells;
}

/* Byte offset of the piece `piece` (a block ∩ tile t). */
static uint64_t piece_offset(const cm_spill *s, const int64_t *t, const cm_box *piece)
{
    const cm_part *p = s->part;
    int64_t lo[CM_MAX_DIMS], n[CM_MAX_DIMS], in[CM_MAX_DIMS];
    for (int i = 0; i < p->ndim; i++) {
        lo[i] = tile_begin(p, i, t[i]);
        n[i] = tile_begin(p, i, t[i] + 1) - lo[i];
        in[i] = piece->lo[i] - lo[i];
    }
    int64_t cells = place(p->ndim, p->shape, lo, n) + place(p->ndim, n, in, piece->n);
    return (uint64_t)cells * p->dtype.size;
}

static int write_all(int fd, const char *p, size_t n, uint64_t at, cm_error *err)
{
    while (n) {
        ssize_t k = pwrite(fd, p, n, (off_t)at);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return cm_error_set_os(err, k < 0 ? errno : ENOSPC, "writing the scratch file");
        p += k;
        at += (uint64_t)k;
        n -= (size_t)k;
    }
    return 0;
}

static int get(cm_store *base, const char *key, const cm_range *ranges, int n,
               cm_object_version *version, cm_error *err)
{
    spill_store *s = (spill_store *)base;
    (void)key, (void)version;
    for (int i = 0; i < n; i++) {
        size_t done = 0;
        while (done < ranges[i].nbytes) {
            ssize_t k = pread(s->fd, (char *)ranges[i].dst + done, ranges[i].nbytes - done,
                              (off_t)(ranges[i].offset + done));
            if (k < 0 && errno == EINTR)
                continue;
            if (k < 0)
                return cm_error_set_os(err, errno, "reading the scratch file");
            if (k == 0)
                return cm_error_set(err, CM_EIO,
                                    "the scratch file is shorter than what was written");
            done += (size_t)k;
        }
    }
    return 0;
}

static const cm_store_vt spill_store_vt = {.get = get};

/* Index of the block that holds x. */
static int64_t block_of(const cm_part *p, int axis, int64_t x)
{
    int64_t a = 0, b = p->nblocks[axis];
    while (b - a > 1) {
        int64_t m = a + (b - a) / 2;
        if (p->block_cuts[axis][m] <= x)
            a = m;
        else
            b = m;
    }
    return a;
}

/* The pieces of one tile that the region touches. */
static int plan_tile(spill_array *a, const cm_box *part, const int64_t *t, const cm_frame *frame,
                     cm_sink *sink, cm_error *err)
{
    cm_spill *s = a->spill;
    cm_part *p = s->part;
    int64_t first[CM_MAX_DIMS], count[CM_MAX_DIMS], i[CM_MAX_DIMS] = {0};
    for (int k = 0; k < p->ndim; k++) {
        first[k] = block_of(p, k, part->lo[k]);
        count[k] = block_of(p, k, part->lo[k] + part->n[k] - 1) - first[k] + 1;
    }
    int r = 0;
    do {
        cm_raw_piece raw = {.store = &s->store.base,
                            .key = "spill",
                            .stored_size = p->dtype.size,
                            .big_endian = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__};
        cm_box piece = {.ndim = p->ndim};
        int64_t step = p->dtype.size;
        for (int k = 0; k < p->ndim; k++) {
            const int64_t *cut = p->block_cuts[k] + first[k] + i[k];
            int64_t lo = cm_max_i64(cut[0], tile_begin(p, k, t[k]));
            int64_t hi = cm_min_i64(cut[1], tile_begin(p, k, t[k] + 1));
            piece.lo[k] = lo;
            piece.n[k] = hi - lo;
            raw.lo[k] = cm_max_i64(lo, part->lo[k]);
            raw.n[k] = cm_min_i64(hi, part->lo[k] + part->n[k]) - raw.lo[k];
        }
        raw.offset = piece_offset(s, t, &piece);
        for (int k = p->ndim - 1; k >= 0; k--) {
            raw.strides[k] = step;
            raw.offset += (uint64_t)((raw.lo[k] - piece.lo[k]) * step);
            step *= piece.n[k];
        }
        r = cm_sink_raw(sink, &a->base, frame, &raw, err);
    } while (!r && cm_next(p->ndim, count, i));
    return r;
}

static int plan(cm_array *base, const cm_box *region, const cm_frame *frame, cm_sink *sink,
                cm_error *err)
{
    spill_array *a = (spill_array *)base;
    const cm_part *p = a->spill->part;
    int nd = base->ndim;
    int64_t first[CM_MAX_DIMS], count[CM_MAX_DIMS], i[CM_MAX_DIMS] = {0}, t[CM_MAX_DIMS];
    for (int k = 0; k < nd; k++) {
        first[k] = tile_at(p, k, region->lo[k]);
        count[k] = tile_at(p, k, region->lo[k] + region->n[k] - 1) - first[k] + 1;
    }
    int r = 0;
    do {
        cm_box tile = {.ndim = nd}, part;
        for (int k = 0; k < nd; k++) {
            t[k] = first[k] + i[k];
            tile.lo[k] = tile_begin(p, k, t[k]);
            tile.n[k] = tile_begin(p, k, t[k] + 1) - tile.lo[k];
        }
        if (cm_box_intersect(&tile, region, &part))
            r = plan_tile(a, &part, t, frame, sink, err);
    } while (!r && cm_next(nd, count, i));
    return r;
}

static cm_axis_grid grid(const cm_array *base, int axis)
{
    const cm_part *p = ((const spill_array *)base)->spill->part;
    cm_axis_grid g = {.length = base->shape[axis], .size = p->tile[axis] * p->layout.unit[axis]};
    const cm_grid_axis *list = cm_part_list(p, axis);
    if (list) { /* a spill's tiles are single units */
        g.ncuts = list->n;
        g.cuts = list->cuts;
    }
    return g;
}

static cm_read_cost cost(cm_array *base)
{
    (void)base;
    return (cm_read_cost){.max_scratch_nbytes = 1 << 20};
}

static void free_array(cm_array *base)
{
    cm_array_deinit(base);
    free(base);
}

static const cm_array_vt spill_array_vt = {
    .kind = "spill", .plan = plan, .grid = grid, .cost = cost, .free = free_array};

static int open_nameless(const char *directory, cm_error *err)
{
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    char *name = cm_sprintf(err, "%s/chunkmill-scratch-XXXXXX", directory);
    if (!name)
        return -1;
    fd = mkostemp(name, O_CLOEXEC);
    if (fd < 0)
        cm_error_set_os(err, errno, "making a scratch file in %s", directory);
    else
        unlink(name);
    free(name);
    return fd;
}

int cm_spill_open(cm_save *save, cm_part *p, cm_error *err)
{
    const char *directory = save->scratch ? save->scratch : cm_target_directory(save->target);
    uint64_t available;
    int r = cm_free_space(directory, &available, err);
    if (!r && available < p->nbytes) {
        cm_error_set(err, CM_ENOSPC, "the scratch file takes %.1f MB, %s has %.1f MB free",
                     (double)p->nbytes / 1e6, directory, (double)available / 1e6);
        cm_error_hint(err, "name another directory with --scratch, or give more with --max-mem");
        r = CM_ENOSPC;
    }
    if (r)
        return cm_error_variable(err, p->variable->path), r;
    cm_spill *s = cm_calloc(1, sizeof *s, err);
    if (!s)
        return CM_ENOMEM;
    s->store = (spill_store){{&spill_store_vt, 1, NULL}, -1};
    s->part = p;
    s->store.fd = open_nameless(directory, err);
    r = s->store.fd < 0 ? err->code : 0;
    if (!r && !(s->array = cm_calloc(1, sizeof *s->array, err)))
        r = CM_ENOMEM;
    if (!r) {
        s->array->spill = s;
        r = cm_array_init(&s->array->base, &spill_array_vt, p->dtype, p->ndim, p->shape, NULL,
                          "scratch file", p->variable->path, err);
        s->array->base.raw = true;
    }
    p->spill = s;
    if (r) {
        cm_spill_close(s);
        p->spill = NULL;
    }
    return r;
}

void cm_spill_close(cm_spill *s)
{
    if (!s)
        return;
    if (s->array)
        cm_array_unref(&s->array->base);
    if (s->store.fd >= 0)
        close(s->store.fd);
    free(s);
}

cm_array *cm_spill_array(const cm_spill *s)
{
    return &s->array->base;
}

/* The tile of phase 1 task number `task` has been written: its bytes are not needed any more. Where
 * the file system cannot free a range the file just stays as large as it is. */
void cm_spill_consumed(cm_spill *s, int64_t task)
{
    const cm_part *p = s->part;
    int64_t lo[CM_MAX_DIMS], n[CM_MAX_DIMS];
    uint64_t nbytes = p->dtype.size;
    for (int i = p->ndim - 1; i >= 0; i--) {
        int64_t t = task % p->boxes[i];
        task /= p->boxes[i];
        lo[i] = tile_begin(p, i, t);
        n[i] = tile_begin(p, i, t + 1) - lo[i];
        nbytes *= (uint64_t)n[i];
    }
    int64_t at = place(p->ndim, p->shape, lo, n) * (int64_t)p->dtype.size;
    (void)!fallocate(s->store.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, (off_t)nbytes);
}

typedef struct fill_task {
    cm_save *save;
    cm_spill *spill;
    cm_box block;
    const char *cells; /* of the block, C order */
    int64_t strides[CM_MAX_DIMS];
    int64_t t0[CM_MAX_DIMS], count[CM_MAX_DIMS]; /* tiles that it touches */
    cm_workspace **workspaces;
    cm_tally *tally;
} fill_task;

/* The box, part of one piece, packed by the worker unless its cells lie together anyway. */
static int write_part(const fill_task *f, cm_workspace *ws, const cm_box *part, uint64_t at,
                      cm_error *err)
{
    const cm_part *p = f->spill->part;
    int64_t dense[CM_MAX_DIMS], step = p->dtype.size;
    const char *cells = f->cells;
    bool together = true;
    for (int i = p->ndim - 1; i >= 0; i--) {
        dense[i] = step;
        together = together && (part->n[i] == 1 || f->strides[i] == step);
        step *= part->n[i];
        cells += (part->lo[i] - f->block.lo[i]) * f->strides[i];
    }
    if (!together) {
        cm_nd_copy(p->ndim, part->n, p->dtype.size, ws->mapped[0].data, dense, cells, f->strides,
                   0);
        cells = ws->mapped[0].data;
    }
    return write_all(f->spill->store.fd, cells, (size_t)step, at, err);
}

/* One piece, in parts of at most PACKED bytes that follow each other in the file. */
static int write_piece(void *arg, int64_t index, int worker, cm_error *err)
{
    fill_task *f = arg;
    const cm_spill *s = f->spill;
    const cm_part *p = s->part;
    int64_t t[CM_MAX_DIMS], count[CM_MAX_DIMS], width[CM_MAX_DIMS], i[CM_MAX_DIMS] = {0};
    cm_box piece = {.ndim = p->ndim};
    for (int a = p->ndim - 1; a >= 0; a--) {
        t[a] = f->t0[a] + index % f->count[a];
        index /= f->count[a];
        int64_t lo = cm_max_i64(tile_begin(p, a, t[a]), f->block.lo[a]);
        int64_t hi = cm_min_i64(tile_begin(p, a, t[a] + 1), f->block.lo[a] + f->block.n[a]);
        piece.lo[a] = lo;
        piece.n[a] = hi - lo;
    }
    int64_t room = cm_max_i64(1, PACKED / p->dtype.size), inner = 1;
    for (int a = p->ndim - 1; a >= 0; a--) {
        width[a] = cm_min_i64(piece.n[a], cm_max_i64(1, room / inner));
        count[a] = cm_ceil_div(piece.n[a], width[a]);
        inner = inner > room ? inner : inner * piece.n[a];
    }
    uint64_t at = piece_offset(s, t, &piece);
    int r = 0;
    do {
        cm_box part = {.ndim = p->ndim};
        for (int a = 0; a < p->ndim; a++) {
            part.lo[a] = piece.lo[a] + i[a] * width[a];
            part.n[a] = cm_min_i64(width[a], piece.lo[a] + piece.n[a] - part.lo[a]);
        }
        uint64_t nbytes = (uint64_t)cm_box_nelem(&part) * p->dtype.size;
        r = write_part(f, f->workspaces[worker], &part, at, err);
        at += nbytes;
        cm_tally_progress(f->save, f->tally, (int64_t)nbytes);
    } while (!r && cm_next(p->ndim, count, i));
    return r;
}

static int fill(fill_task *f, int workers, cm_error *err)
{
    cm_save *save = f->save;
    const cm_part *p = f->spill->part;
    cm_block_cache *blocks = cm_context_blocks(save->ctx);
    cm_dest dest = {.dtype = p->dtype, .region = f->block, .base = (char *)(uintptr_t)f->cells};
    memcpy(dest.strides, f->strides, sizeof dest.strides);
    int r = cm_read_into(save->ctx, p->source, &dest, (uint64_t)workers * p->worker[0], workers,
                         &save->read, err);
    for (int i = 0; i < workers && !r; i++) {
        r = cm_workspace_get(save->ctx, &f->workspaces[i], err);
        if (!r)
            r = cm_block_ensure(blocks, &f->workspaces[i]->mapped[0], PACKED + p->dtype.size, err);
    }
    if (!r)
        r = cm_pool_for(cm_context_pool(save->ctx), save->ctx, cm_shape_nelem(p->ndim, f->count),
                        workers, write_piece, f, err);
    for (int i = 0; i < workers; i++)
        cm_workspace_put(save->ctx, f->workspaces[i]);
    return r;
}

int cm_spill_fill(cm_save *save, cm_part *p, int64_t task, int workers, cm_tally *tally,
                  cm_error *err)
{
    cm_spill *s = p->spill;
    fill_task f = {.save = save, .spill = s, .block = {.ndim = p->ndim}, .tally = tally};
    int64_t step = p->dtype.size;
    for (int a = p->ndim - 1; a >= 0; a--) {
        int64_t b = task % p->nblocks[a], lo = p->block_cuts[a][b], hi = p->block_cuts[a][b + 1];
        task /= p->nblocks[a];
        f.block.lo[a] = lo;
        f.block.n[a] = hi - lo;
        f.strides[a] = step;
        step *= hi - lo;
        f.t0[a] = tile_at(p, a, lo);
        f.count[a] = tile_at(p, a, hi - 1) - f.t0[a] + 1;
    }
    cm_block block = {0};
    int r = cm_block_get(cm_context_blocks(save->ctx), (size_t)step, &block, err);
    f.cells = block.data;
    f.workspaces = cm_calloc((size_t)workers, sizeof *f.workspaces, err);
    if (!r)
        r = f.workspaces ? fill(&f, workers, err) : CM_ENOMEM;
    free(f.workspaces);
    cm_block_put(cm_context_blocks(save->ctx), &block);
    return r;
}
