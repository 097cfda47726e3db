/* save/choose.c: the mode and the tile of a variable.
 *
 * A task reads the source region under a box of target units (its tile) and writes those units. How
 * often a source chunk is read is the product over axes of how often tile boundaries cut it
 * (axis.h). Three ways:
 *   sweep   every source chunk once: tile boundaries are source boundaries on all axes, or on all
 *           but one along which the task slides and keeps unfinished units between steps
 *   reread  chunks cut by tile boundaries are read by each tile: worth it up to REREAD_MAX
 *   spill   otherwise: a scratch file between, every chunk once, every cell written and read again
 * All tiles of candidate widths that fit into memory are looked at; the fewest reads win, then the
 * smaller share of the memory, then no sliding, then sizes near LIKED. The choice depends on the
 * grids and the memory, not on the number of threads, so a plan is the same everywhere.
 *
 * REREAD_MAX: decoding zstd floats runs at 850 MB/s and core; writing a byte to the page cache and
 * reading it back costs about 0.6 of that, so from 1.6 reads on a spill is faster.
 *
 * Uncompressed sources can be read in part, so cutting them costs nothing as long as the contiguous
 * runs stay long; short runs count like cut chunks.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "save/axis.h"
#include "save/save_private.h"

#define REREAD_MAX 1.6
enum { LIKED = 16 << 20, LONG_RUN = 64 << 10, MAX_CANDIDATES = 48 };

typedef struct axis {
    int64_t candidates[MAX_CANDIDATES];
    double reread[MAX_CANDIDATES];
    int n;
    int64_t slack; /* more units in memory when sliding along this axis */
} axis;

typedef struct choice {
    int64_t tile[CM_MAX_DIMS];
    int slide, share; /* share: 0 when four such tiles fit, 1: two, 2: one */
    double reread;
    uint64_t memory;
    bool valid;
} choice;

typedef struct search {
    const cm_part *part;
    axis axes[CM_MAX_DIMS];
    uint64_t limit; /* for the cells of a tile */
    int slide;
    choice best, now;
} search;

/* Cells along axis i that `units` units take in memory: whole chunks up to the end of the shape. */
static int64_t tile_cells(const cm_part *p, int i, int64_t units)
{
    int64_t unit = p->layout.unit[i], chunk = p->layout.chunk[i];
    if (cm_part_list(p, i)) { /* each takes the longest's room */
        int64_t n;
        return cm_mul_i64(cm_min_i64(units, p->nunits[i]), chunk, &n) ? n : INT64_MAX;
    }
    int64_t whole = cm_ceil_div(cm_max_i64(p->shape[i], 1), chunk) * chunk;
    return units > whole / unit ? whole : cm_min_i64(units * unit, whole);
}

static bool better(const choice *a, const choice *b)
{
    if (!b->valid)
        return true;
    if (fabs(a->reread - b->reread) > 1e-9)
        return a->reread < b->reread;
    if (a->share != b->share)
        return a->share < b->share;
    if ((a->slide < 0) != (b->slide < 0))
        return a->slide < 0;
    double da = fabs(log2((double)a->memory / LIKED)), db = fabs(log2((double)b->memory / LIKED));
    return da < db - 1e-9;
}

/* Depth-first over the axes; memory grows with every axis, so a branch ends where it is too
 * much. */
static void consider(search *s, int i, uint64_t memory, double reread)
{
    if (memory > s->limit || (s->best.valid && reread > s->best.reread + 1e-9))
        return;
    if (i == s->part->ndim) {
        s->now.memory = memory;
        s->now.reread = reread;
        s->now.share = memory <= s->limit / 4 ? 0 : memory <= s->limit / 2 ? 1 : 2;
        s->now.slide = s->slide;
        s->now.valid = true;
        if (better(&s->now, &s->best))
            s->best = s->now;
        return;
    }
    const axis *a = &s->axes[i];
    for (int k = 0; k < a->n; k++) {
        int64_t units = a->candidates[k];
        double r = a->reread[k];
        if (i == s->slide) {
            if (r <= 1)
                continue; /* aligned: sliding gains nothing */
            units += a->slack;
            r = 1;
        }
        uint64_t m;
        if (!cm_mul_u64(memory, (uint64_t)tile_cells(s->part, i, units), &m) || m > s->limit)
            break;
        s->now.tile[i] = a->candidates[k];
        consider(s, i + 1, m, reread * r);
    }
}

cm_axis_grid cm_part_grid(const cm_part *p, int i)
{
    cm_axis_grid g = cm_array_grid(p->source, i);
    if (!p->source->raw || g.ncuts || g.size < g.length)
        return g;
    int64_t row = p->dtype.size;
    for (int k = i + 1; k < p->ndim; k++)
        row = row > (1 << 30) ? row : row * cm_max_i64(p->shape[k], 1);
    g.size = cm_max_i64(1, cm_min_i64(cm_max_i64(g.length, 1), (1 << 20) / row));
    return g;
}

static void fill_axis(const cm_part *p, axis *a, int i, int max)
{
    cm_axis_grid g = cm_part_grid(p, i);
    int64_t run = p->dtype.size; /* bytes that lie together per cell of this axis */
    for (int k = i + 1; k < p->ndim; k++) {
        cm_axis_grid inner = cm_array_grid(p->source, k);
        run = run > (1 << 30) ? run : run * cm_axis_longest(&inner);
    }
    a->n = cm_axis_candidates(&g, p->layout.unit[i], p->nunits[i], a->candidates, max);
    a->slack = cm_ceil_div(cm_axis_longest(&g), cm_part_shortest(p, i)) + 1;
    const cm_grid_axis *list = cm_part_list(p, i);
    for (int k = 0; k < a->n; k++) {
        int64_t width = a->candidates[k] * cm_part_shortest(p, i);
        bool long_runs = p->source->raw && width >= LONG_RUN / run;
        a->reread[k] = long_runs ? 1
                       : list    ? cm_axis_reread_cuts(&g, list->cuts, list->n, a->candidates[k])
                                 : cm_axis_reread(&g, width);
    }
}

static int too_large(const cm_save *save, const cm_part *p, uint64_t need, cm_error *err)
{
    const char *what = p->layout.sharded ? "shard" : "chunk";
    cm_error_set(err, CM_ELIMIT,
                 "one %s and its reading and encoding take %.1f MB, there are %.1f MB", what,
                 (double)need / 1e6, (double)save->memory / 1e6);
    cm_error_hint(err, "use smaller --%ss or at least --max-mem %.0fMB", what,
                  ceil((double)need * 1.3 / 1e6 + 32));
    cm_error_variable(err, p->variable->path);
    return CM_ELIMIT;
}

/* Boxes of the source for phase 0: whole source chunks, grown while memory allows along the axis
 * where a tile of units reaches furthest beyond them, until pieces are worth a write each. */
static void choose_blocks(cm_part *p, uint64_t limit)
{
    enum { PIECE = 128 << 10 };
    int64_t longest[CM_MAX_DIMS];
    for (int i = 0; i < p->ndim; i++) {
        cm_axis_grid g = cm_part_grid(p, i);
        p->block[i] = longest[i] = cm_axis_longest(&g);
    }
    for (;;) {
        uint64_t memory = p->dtype.size, piece = p->dtype.size;
        int grow = -1;
        double gain = 1;
        for (int i = 0; i < p->ndim; i++) {
            int64_t width = p->tile[i] * p->layout.unit[i];
            memory *= (uint64_t)p->block[i];
            piece *= (uint64_t)cm_min_i64(p->block[i], width);
            double ratio = (double)cm_min_i64(width, p->shape[i]) / (double)p->block[i];
            if (p->block[i] < p->shape[i] && ratio > gain) {
                gain = ratio;
                grow = i;
            }
        }
        if (grow < 0 || piece >= PIECE)
            return;
        uint64_t wider = (uint64_t)(p->block[grow] + longest[grow]);
        if (memory / (uint64_t)p->block[grow] * wider > limit)
            return;
        p->block[grow] = cm_min_i64((int64_t)wider, p->shape[grow]);
    }
}

/* Cut positions of the blocks: every block starts and ends at a source boundary. */
static int cut_blocks(cm_part *p, cm_error *err)
{
    for (int i = 0; i < p->ndim; i++) {
        cm_axis_grid g = cm_part_grid(p, i);
        size_t capacity = 0;
        int64_t n = 0, x = 0;
        for (;;) {
            if (cm_grow(&p->block_cuts[i], &capacity, (size_t)n + 2, sizeof(int64_t), err))
                return CM_ENOMEM;
            p->block_cuts[i][n] = x;
            if (x >= p->shape[i])
                break;
            int64_t end = cm_axis_floor(&g, cm_min_i64(x + p->block[i], p->shape[i]));
            x = end > x ? end : cm_axis_ceil(&g, x + 1);
            n++;
        }
        p->nblocks[i] = n;
    }
    return 0;
}

static int64_t longest_block(const cm_part *p, int i)
{
    int64_t longest = 1;
    for (int64_t k = 0; k < p->nblocks[i]; k++)
        longest = cm_max_i64(longest, p->block_cuts[i][k + 1] - p->block_cuts[i][k]);
    return longest;
}

/* Is every source chunk one run of its block's memory, and decoded straight into it? */
static bool chunks_span_blocks(const cm_part *p)
{
    bool together = cm_array_cost(p->source).in_place, inner = false;
    for (int i = 0; i < p->ndim; i++) {
        cm_axis_grid g = cm_part_grid(p, i);
        int64_t chunk = cm_axis_longest(&g);
        together = together && (!inner || chunk == longest_block(p, i));
        inner = inner || chunk > 1;
    }
    return together;
}

/* A chunk's memory, the pointer to it and what is noted when it is encoded. */
static uint64_t tile_nbytes(const cm_part *p)
{
    return cm_unit_tile_nbytes(p) + 32;
}

static uint64_t unit_nbytes(const cm_part *p)
{
    uint64_t n = tile_nbytes(p);
    for (int i = 0; i < p->ndim; i++)
        n *= (uint64_t)cm_min_i64(p->layout.unit[i] / p->layout.chunk[i], cm_unit_nchunks(p, i));
    return n;
}

static int choose_spill(cm_save *save, cm_part *p, uint64_t encode, uint64_t decode, cm_error *err)
{
    uint64_t unit = unit_nbytes(p), source = p->dtype.size;
    for (int i = 0; i < p->ndim; i++) {
        cm_axis_grid g = cm_part_grid(p, i);
        source *= (uint64_t)cm_axis_longest(&g);
        p->tile[i] = 1;
    }
    encode += 1 << 20;
    p->slab = 0;
    if (cm_stream_rows(p)) {
        p->slab = cm_stream_rows(p);
        unit = unit / (uint64_t)p->layout.chunk[0] * (uint64_t)p->slab;
        encode = cm_stream_worker_nbytes(p);
    }
    if (unit + encode > save->memory)
        return too_large(save, p, unit + encode, err);
    if (source + decode > save->memory)
        return too_large(save, p, source + decode, err);
    uint64_t limit = save->memory / 4;
    choose_blocks(p, limit > source + decode ? limit - decode : source);
    int r = cut_blocks(p, err);
    if (r)
        return r;
    p->mode = CM_MODE_SPILL;
    p->slide = -1;
    p->reread = 1;
    p->memory[0] = p->dtype.size;
    for (int i = 0; i < p->ndim; i++)
        p->memory[0] *= (uint64_t)longest_block(p, i);
    p->memory[1] = unit;
    p->worker[0] = decode;
    if (chunks_span_blocks(p))
        p->worker[0] -= cm_array_cost(p->source).max_chunk_nbytes;
    p->worker[1] = encode;
    return 0;
}

/* Bytes that decoding one source chunk takes, beside where its cells go. */
static uint64_t decode_cost(const cm_part *p)
{
    cm_read_cost c = cm_array_cost(p->source);
    return c.max_chunk_nbytes + c.max_encoded_nbytes + c.max_scratch_nbytes + (1 << 20);
}

static int search_tiles(const cm_save *save, const cm_part *p, uint64_t limit, choice *best,
                        cm_error *err)
{
    search *s = cm_calloc(1, sizeof *s, err);
    if (!s)
        return CM_ENOMEM;
    int wide = 0;
    s->part = p;
    s->limit = limit;
    for (int i = 0; i < p->ndim; i++)
        wide += p->nunits[i] > 1;
    for (int i = 0; i < p->ndim; i++)
        fill_axis(p, &s->axes[i], i,
                  wide <= 3   ? MAX_CANDIDATES
                  : wide == 4 ? 16
                  : wide <= 6 ? 6
                              : 3);
    /* Strings cannot be kept between steps: their bytes go when the step is written. */
    bool no_slide = cm_kind_is_vlen(p->dtype.kind) || save->options.mode == CM_MODE_REREAD;
    for (s->slide = -1; s->slide < (no_slide ? 0 : p->ndim); s->slide++)
        consider(s, 0, p->dtype.size, 1);
    *best = s->best;
    free(s);
    return 0;
}

int cm_part_choose(cm_save *save, cm_part *p, cm_error *err)
{
    uint64_t decode = decode_cost(p), encode = cm_unit_worker_nbytes(p), worker = decode + encode;
    cm_save_mode mode = save->options.mode;
    bool strings = cm_kind_is_vlen(p->dtype.kind);
    uint64_t tile = tile_nbytes(p), cells = p->dtype.size;
    for (int i = 0; i < p->ndim; i++)
        cells *= (uint64_t)p->layout.chunk[i];
    /* Tiles may be a little larger than their cells; strings have bytes elsewhere, not known
     * before. */
    uint64_t limit = save->memory > worker ? save->memory - worker : 0;
    limit = (uint64_t)((double)limit * (double)cells / (double)tile) / (strings ? 3 : 1);
    if (p->nbytes == 0) { /* no cells, no tasks */
        for (int i = 0; i < p->ndim; i++)
            p->tile[i] = 1;
        p->mode = CM_MODE_SWEEP;
        p->reread = 1;
        return 0;
    }
    choice best;
    int r = search_tiles(save, p, limit, &best, err);
    if (r)
        return r;
    bool once = best.valid && best.reread <= 1 + 1e-9;
    if (mode == CM_MODE_SWEEP && !once) {
        cm_error_set(err, CM_ELIMIT, "a sweep does not fit into %.1f MB",
                     (double)save->memory / 1e6);
        cm_error_hint(err, "give more with --max-mem, or leave out --mode");
        cm_error_variable(err, p->variable->path);
        return CM_ELIMIT;
    }
    bool spill = mode == CM_MODE_SPILL ||
                 (mode == CM_MODE_AUTO && !once && (!best.valid || best.reread > REREAD_MAX));
    if (spill && !strings && p->ndim > 0)
        return choose_spill(save, p, encode, decode, err);
    if (!best.valid)
        return too_large(save, p, (strings ? 3 : 1) * unit_nbytes(p) + worker, err);
    memcpy(p->tile, best.tile, sizeof p->tile);
    p->slide = best.slide;
    p->reread = best.reread;
    p->mode = once ? CM_MODE_SWEEP : CM_MODE_REREAD;
    p->memory[1] = best.memory / cells * tile * (strings ? 3 : 1);
    p->worker[1] = worker;
    return 0;
}
