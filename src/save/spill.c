/* save/spill.c: the scratch file of one variable.
 *
 *     phase 0   a task reads a block of whole source chunks, each once, into pieces (block x tile),
 *               and writes every piece with one pwrite to its place
 *     phase 1   a tile's pieces lie together, so a task reads one range, and frees it
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

#include "base/bytes.h"
#include "base/memory.h"
#include "save/save_private.h"

typedef struct spill_store {
    cm_store base;
    int fd;
} spill_store;

struct cm_spill {
    spill_store store;
    struct spill_array *array;
    cm_part *part;
    int64_t width[CM_MAX_DIMS]; /* cells of a tile along each axis */
};

typedef struct cm_spill cm_spill;

typedef struct spill_array {
    cm_array base;
    cm_spill *spill;
} spill_array;

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
        lo[i] = t[i] * s->width[i];
        n[i] = cm_min_i64(s->width[i], p->shape[i] - lo[i]);
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
            int64_t lo = cm_max_i64(cut[0], t[k] * s->width[k]);
            int64_t hi = cm_min_i64(cm_min_i64(cut[1], (t[k] + 1) * s->width[k]), p->shape[k]);
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
    const cm_spill *s = a->spill;
    int nd = base->ndim;
    int64_t first[CM_MAX_DIMS], count[CM_MAX_DIMS], i[CM_MAX_DIMS] = {0}, t[CM_MAX_DIMS];
    for (int k = 0; k < nd; k++) {
        first[k] = region->lo[k] / s->width[k];
        count[k] = (region->lo[k] + region->n[k] - 1) / s->width[k] - first[k] + 1;
    }
    int r = 0;
    do {
        cm_box tile = {.ndim = nd}, part;
        for (int k = 0; k < nd; k++) {
            t[k] = first[k] + i[k];
            tile.lo[k] = t[k] * s->width[k];
            tile.n[k] = s->width[k];
        }
        if (cm_box_intersect(&tile, region, &part))
            r = plan_tile(a, &part, t, frame, sink, err);
    } while (!r && cm_next(nd, count, i));
    return r;
}

static cm_axis_grid grid(const cm_array *base, int axis)
{
    const cm_spill *s = ((const spill_array *)base)->spill;
    return (cm_axis_grid){.length = base->shape[axis], .size = s->width[axis]};
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
    for (int i = 0; i < p->ndim; i++)
        s->width[i] = p->tile[i] * p->layout.unit[i];
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
        lo[i] = task % p->boxes[i] * s->width[i];
        task /= p->boxes[i];
        n[i] = cm_min_i64(s->width[i], p->shape[i] - lo[i]);
        nbytes *= (uint64_t)n[i];
    }
    int64_t at = place(p->ndim, p->shape, lo, n) * (int64_t)p->dtype.size;
    (void)!fallocate(s->store.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, (off_t)nbytes);
}

typedef struct fill_task {
    cm_save *save;
    cm_spill *spill;
    int64_t t0[CM_MAX_DIMS], count[CM_MAX_DIMS];
    cm_tiles tiles;
    cm_tally *tally;
} fill_task;

static int write_piece(void *arg, int64_t index, int worker, cm_error *err)
{
    fill_task *f = arg;
    cm_part *p = f->spill->part;
    int64_t t[CM_MAX_DIMS], rest = index;
    cm_box piece = {.ndim = p->ndim};
    size_t nbytes = p->dtype.size;
    (void)worker;
    for (int i = p->ndim - 1; i >= 0; i--) {
        int64_t k = rest % f->count[i];
        rest /= f->count[i];
        t[i] = f->t0[i] + k;
        piece.lo[i] = f->tiles.cuts[i][k];
        piece.n[i] = f->tiles.cuts[i][k + 1] - piece.lo[i];
        nbytes *= (size_t)piece.n[i];
    }
    cm_tally_progress(f->save, f->tally, (int64_t)nbytes);
    return write_all(f->spill->store.fd, f->tiles.tile[index], nbytes,
                     piece_offset(f->spill, t, &piece), err);
}

int cm_spill_fill(cm_save *save, cm_part *p, int64_t task, int workers, cm_tally *tally,
                  cm_error *err)
{
    cm_spill *s = p->spill;
    fill_task f = {.save = save, .spill = s, .tally = tally};
    cm_dest dest = {.dtype = p->dtype, .region = {.ndim = p->ndim}, .tiles = &f.tiles};
    int64_t *cuts[CM_MAX_DIMS] = {0}, npieces = 1, i[CM_MAX_DIMS] = {0}, k = 0;
    size_t nbytes = p->dtype.size, at = 0;
    cm_block block = {0};
    int r = 0;
    for (int a = p->ndim - 1; a >= 0 && !r; a--) {
        int64_t b = task % p->nblocks[a], lo = p->block_cuts[a][b], hi = p->block_cuts[a][b + 1];
        task /= p->nblocks[a];
        dest.region.lo[a] = lo;
        dest.region.n[a] = hi - lo;
        f.t0[a] = lo / s->width[a];
        f.count[a] = f.tiles.count[a] = (hi - 1) / s->width[a] - f.t0[a] + 1;
        npieces *= f.count[a];
        nbytes *= (size_t)(hi - lo);
        cuts[a] = cm_calloc((size_t)f.count[a] + 1, sizeof(int64_t), err);
        if (!cuts[a]) {
            r = CM_ENOMEM;
            break;
        }
        for (int64_t c = 0; c <= f.count[a]; c++)
            cuts[a][c] = cm_min_i64(cm_max_i64((f.t0[a] + c) * s->width[a], lo), hi);
        f.tiles.cuts[a] = cuts[a];
    }
    if (!r && !(f.tiles.tile = cm_calloc((size_t)npieces, sizeof(void *), err)))
        r = CM_ENOMEM;
    if (!r)
        r = cm_block_get(cm_context_blocks(save->ctx), nbytes, &block, err);
    if (!r) {
        do {
            size_t n = p->dtype.size;
            for (int a = 0; a < p->ndim; a++)
                n *= (size_t)(cuts[a][i[a] + 1] - cuts[a][i[a]]);
            f.tiles.tile[k++] = (char *)block.data + at;
            at += n;
        } while (cm_next(p->ndim, f.count, i));
        r = cm_read_into(save->ctx, p->source, &dest, (uint64_t)workers * p->worker[0], workers,
                         &save->read, err);
    }
    if (!r)
        r = cm_pool_for(cm_context_pool(save->ctx), save->ctx, npieces, workers, write_piece, &f,
                        err);
    cm_block_put(cm_context_blocks(save->ctx), &block);
    free(f.tiles.tile);
    for (int a = 0; a < p->ndim; a++)
        free(cuts[a]);
    return r;
}
