/* verify/blocks.c: cutting arrays for a pass over all cells.
 *
 * A block should hold whole chunks, or chunks are decoded more than once; it should be large enough
 * that the fixed cost of a read does not count, and small enough that all threads have one. So it
 * starts as one chunk of the array with the larger chunks (per axis) and grows along the last axes
 * up to a target; a chunk that is too large for the budget is cut along the first axes, which costs
 * decoding it again but keeps the promise on memory.
 */
#include "verify/blocks.h"
#include "base/bytes.h"
#include "base/context_private.h"

enum { TARGET = 8 << 20, LEAST = 64 << 10, GROUP_ROOM = 8 << 20 };

static int64_t widest(cm_axis_grid g)
{
    int64_t w = 1;
    for (int64_t i = 0; i < g.ncuts; i++)
        w = cm_max_i64(w, g.cuts[i + 1] - g.cuts[i]);
    return g.ncuts ? w : g.size;
}

static uint64_t cells_of(const cm_blocks *b)
{
    uint64_t n = 1;
    for (int i = 0; i < b->ndim; i++)
        if (!cm_mul_u64(n, (uint64_t)b->size[i], &n))
            return UINT64_MAX;
    return n;
}

/* Cut the block to at most `most` cells, slowest axes first. */
static void shrink(cm_blocks *b, uint64_t most)
{
    for (int i = 0; i < b->ndim; i++) {
        uint64_t n = cells_of(b);
        if (n <= most)
            return;
        uint64_t other = n / (uint64_t)b->size[i];
        uint64_t fit = n == UINT64_MAX || other == 0 ? 1 : most / other;
        b->size[i] = fit < 1 ? 1 : cm_min_i64(b->size[i], (int64_t)fit);
    }
}

/* Let it grow in whole steps of its first size to about `target` cells, fastest axes first. */
static void grow(cm_blocks *b, uint64_t target)
{
    for (int i = b->ndim - 1; i >= 0; i--) {
        uint64_t n = cells_of(b), times = n ? target / n : 0;
        if (times < 2)
            return;
        int64_t all = cm_ceil_div(b->shape[i], b->size[i]);
        int64_t m = times > (uint64_t)all ? all : (int64_t)times;
        b->size[i] = cm_min_i64(b->shape[i], b->size[i] * m);
        if (b->size[i] < b->shape[i])
            return;
    }
}

void cm_blocks_init(cm_blocks *b, cm_context *ctx, cm_array *const *arrays, int narrays)
{
    uint64_t limit = cm_budget_limit(cm_context_budget(ctx));
    int threads = cm_context_threads(ctx);
    uint64_t cell = arrays[0]->dtype.size;
    /* The bytes of strings are beside their views: count on some. */
    uint64_t weight = cm_kind_is_vlen(arrays[0]->dtype.kind) ? 8 * cell : cell;
    *b = (cm_blocks){.ndim = arrays[0]->ndim, .n = 1};
    for (int k = 0; k < narrays; k++) {
        cm_read_cost c = cm_array_cost(arrays[k]);
        uint64_t grant = c.max_chunk_nbytes + c.max_encoded_nbytes + c.max_scratch_nbytes;
        b->grant = grant > b->grant ? grant : b->grant;
    }
    bool empty = false;
    for (int i = 0; i < b->ndim; i++) {
        int64_t step = 1;
        b->shape[i] = arrays[0]->shape[i];
        empty |= b->shape[i] == 0;
        for (int k = 0; k < narrays; k++)
            if (!arrays[k]->raw)
                step = cm_max_i64(step, widest(cm_array_grid(arrays[k], i)));
        b->size[i] = cm_max_i64(1, cm_min_i64(step, b->shape[i]));
    }
    b->workers = 1;
    if (empty) {
        b->n = 0;
        return;
    }
    uint64_t target = limit / (uint64_t)(16 * threads);
    target = target > TARGET ? TARGET : target < LEAST ? LEAST : target;
    shrink(b, limit / 8 / weight);
    grow(b, target / weight);
    b->nbytes = cells_of(b) * cell;
    b->grant += limit / 16 < GROUP_ROOM ? limit / 16 : GROUP_ROOM;
    uint64_t each = cm_blocks_reservation(b, narrays), fit = limit / 2 / each;
    b->workers = fit < 1 ? 1 : fit < (uint64_t)threads ? (int)fit : threads;
    for (int i = 0; i < b->ndim; i++) {
        b->count[i] = cm_ceil_div(b->shape[i], b->size[i]);
        b->n *= b->count[i]; /* fits: at most the number of cells */
    }
}

cm_box cm_blocks_box(const cm_blocks *b, int64_t i)
{
    cm_box box = {.ndim = b->ndim};
    for (int k = b->ndim - 1; k >= 0; k--) {
        box.lo[k] = i % b->count[k] * b->size[k];
        box.n[k] = cm_min_i64(b->size[k], b->shape[k] - box.lo[k]);
        i /= b->count[k];
    }
    return box;
}

uint64_t cm_blocks_reservation(const cm_blocks *b, int narrays)
{
    return (uint64_t)narrays * b->nbytes + b->grant + 2 * 4096;
}
