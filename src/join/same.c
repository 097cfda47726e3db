/* join/same.c: the values of static variables, compared across files.
 *
 * Latitudes and land masks must be the same in all files of an archive, and nobody checks. Here
 * they are read and compared bit for bit (but a NaN equals every NaN): the outer loop goes over
 * blocks of the first array (whole chunk rows where that fits BLOCK_NBYTES, so that no chunk is
 * decoded twice), the inner one over the other files on all threads. So the first is read once,
 * memory is one block per thread and one, and small variables, the usual case, cost one read per
 * file.
 *
 * Buffers come from malloc and not from the budget: the reads inside take what they need at the
 * root, and nobody may take more while holding some. Strings are charged as they are read, so there
 * what reading takes is reserved before. Where they do not fit, one thread does it, and then with
 * ever smaller blocks.
 */
#include "join/same.h"
#include "array/dest.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/context_private.h"
#include "base/memory.h"

enum { BLOCK_NBYTES = 2 << 20, MAX_WORKERS = 16 };

typedef struct scratch {
    void *cells;
    cm_arena *arena;
} scratch;

typedef struct same {
    cm_context *ctx;
    cm_array *first;
    cm_array *const *others;
    size_t n;
    int64_t step[CM_MAX_DIMS]; /* block shape */
    cm_box box;                /* the present block */
    size_t ncells;
    uint64_t grant; /* of each read; 0: it takes its own */
    scratch mine, workers[MAX_WORKERS];
    size_t odd, failed; /* the lowest index so far, atomic; n: none */
} same;

static bool cells_equal(cm_dtype dtype, const uint8_t *a, const uint8_t *b, size_t n)
{
    if (cm_kind_is_vlen(dtype.kind)) {
        for (size_t i = 0; i < n; i++, a += sizeof(cm_string), b += sizeof(cm_string)) {
            cm_string x, y;
            memcpy(&x, a, sizeof x);
            memcpy(&y, b, sizeof y);
            if (x.nbytes != y.nbytes || (x.nbytes && memcmp(x.data, y.data, x.nbytes) != 0))
                return false;
        }
        return true;
    }
    size_t nbytes = n * dtype.size;
    if (memcmp(a, b, nbytes) == 0)
        return true;
    if (!cm_kind_is_float(dtype.kind) && !cm_kind_is_complex(dtype.kind))
        return false;
    size_t word = cm_dtype_word(dtype);
    for (size_t i = 0; i < nbytes; i += word) {
        if (memcmp(a + i, b + i, word) == 0)
            continue;
        float f, g;
        double d, e;
        if (word == 2) {
            uint16_t h, k;
            memcpy(&h, a + i, 2);
            memcpy(&k, b + i, 2);
            if ((h & 0x7fff) <= 0x7c00 || (k & 0x7fff) <= 0x7c00)
                return false;
        } else if (word == 4) {
            memcpy(&f, a + i, 4);
            memcpy(&g, b + i, 4);
            if (f == f || g == g)
                return false;
        } else {
            memcpy(&d, a + i, 8);
            memcpy(&e, b + i, 8);
            if (d == d || e == e)
                return false;
        }
    }
    return true;
}

/* Block shape: axes are cut from the first on, to multiples of the chunk where possible. */
static void choose_step(same *s)
{
    const cm_array *a = s->first;
    int64_t limit = BLOCK_NBYTES / (a->dtype.size ? a->dtype.size : 1), cells = 1;
    for (int i = 0; i < a->ndim; i++)
        s->step[i] = a->shape[i];
    for (int i = 0; i < a->ndim; i++) {
        cells = cm_shape_nelem(a->ndim, s->step);
        if (cells <= limit)
            break;
        int64_t fits = cm_max_i64(limit / (cells / s->step[i]), 1);
        cm_axis_grid g = cm_array_grid(a, i);
        s->step[i] = g.ncuts == 0 && g.size <= fits ? fits / g.size * g.size : fits;
    }
    s->ncells = (size_t)cm_shape_nelem(a->ndim, s->step);
}

static int scratch_begin(same *s, scratch *w, cm_error *err)
{
    const cm_dtype dtype = s->first->dtype;
    if (!w->cells && !(w->cells = cm_calloc(s->ncells, dtype.size, err)))
        return CM_ENOMEM;
    if (!cm_kind_is_vlen(dtype.kind))
        return 0;
    cm_arena_free(w->arena);
    w->arena = NULL;
    return cm_arena_new(s->ctx, &w->arena, err);
}

static void scratch_end(scratch *w)
{
    free(w->cells);
    cm_arena_free(w->arena);
}

static void lower(size_t *least, size_t i)
{
    size_t now = __atomic_load_n(least, __ATOMIC_RELAXED);
    while (i < now &&
           !__atomic_compare_exchange_n(least, &now, i, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

static int read_box(const same *s, cm_array *a, scratch *w, cm_error *err)
{
    cm_dest dest = {.dtype = a->dtype, .region = s->box, .base = w->cells, .arena = w->arena};
    cm_strides_c(a->ndim, s->box.n, a->dtype.size, dest.strides);
    return cm_read_into(s->ctx, a, &dest, s->grant, s->grant ? 1 : 0, NULL, err);
}

static int compare_one(void *arg, int64_t i, int worker, cm_error *err)
{
    same *s = arg;
    cm_array *other = s->others[i];
    scratch *w = &s->workers[worker];
    if (!other || other == s->first || (size_t)i > __atomic_load_n(&s->odd, __ATOMIC_RELAXED))
        return 0;
    int rc = scratch_begin(s, w, err);
    if (rc == 0)
        rc = read_box(s, other, w, err);
    if (rc)
        lower(&s->failed, (size_t)i);
    else if (!cells_equal(s->first->dtype, s->mine.cells, w->cells, (size_t)cm_box_nelem(&s->box)))
        lower(&s->odd, (size_t)i);
    if (w->arena)
        cm_arena_reset(w->arena);
    return rc;
}

/* All blocks, with so many workers. */
static int compare_all(same *s, int workers, cm_error *err)
{
    int64_t count[CM_MAX_DIMS], i[CM_MAX_DIMS] = {0};
    int rc = 0, nd = s->first->ndim;
    uint64_t reserved = s->grant * (uint64_t)workers;
    cm_budget *budget = cm_context_budget(s->ctx);
    if (reserved && (rc = cm_budget_take(budget, s->ctx, reserved, "comparing strings", err)) != 0)
        return rc;
    for (int k = 0; k < nd; k++)
        count[k] = cm_ceil_div(s->first->shape[k], s->step[k]);
    do {
        s->box.ndim = nd;
        for (int k = 0; k < nd; k++) {
            s->box.lo[k] = i[k] * s->step[k];
            s->box.n[k] = cm_min_i64(s->step[k], s->first->shape[k] - s->box.lo[k]);
        }
        rc = scratch_begin(s, &s->mine, err);
        if (rc == 0)
            rc = read_box(s, s->first, &s->mine, err);
        if (rc == 0)
            rc = cm_pool_for(cm_context_pool(s->ctx), s->ctx, (int64_t)s->n, workers, compare_one,
                             s, err);
    } while (rc == 0 && s->odd == s->n && cm_next(nd, count, i));
    if (s->mine.arena)
        cm_arena_reset(s->mine.arena);
    if (reserved)
        cm_budget_give(budget, reserved);
    return rc;
}

/* What one read takes, and how many may read at once so that half of the memory is left for
 * strings. */
static int reserve_for_strings(same *s, int workers)
{
    uint64_t limit = cm_budget_limit(cm_context_budget(s->ctx));
    for (size_t i = 0; i <= s->n; i++) {
        cm_array *a = i < s->n ? s->others[i] : s->first;
        cm_read_cost c = {0};
        if (a)
            c = cm_array_cost(a);
        uint64_t n = c.max_chunk_nbytes + c.max_encoded_nbytes + c.max_scratch_nbytes + (1 << 20);
        s->grant = n > s->grant ? n : s->grant;
    }
    uint64_t fit = limit / 2 / s->grant;
    return fit < 1 ? 1 : fit < (uint64_t)workers ? (int)fit : workers;
}

int cm_same_arrays(cm_context *ctx, cm_array *first, cm_array *const *others, size_t n, size_t *odd,
                   cm_error *err)
{
    cm_error local;
    if (!err)
        cm_error_clear(err = &local);
    same s = {.ctx = ctx, .first = first, .others = others, .n = n, .odd = n, .failed = n};
    bool strings = cm_kind_is_vlen(first->dtype.kind);
    *odd = n;
    if (n == 0 || cm_shape_nelem(first->ndim, first->shape) == 0)
        return 0;
    choose_step(&s);
    int workers = cm_pool_size(cm_context_pool(ctx)) + 1;
    if (workers > MAX_WORKERS)
        workers = MAX_WORKERS;
    if (strings)
        workers = reserve_for_strings(&s, workers);
    int rc = compare_all(&s, workers, err), axis = 0;
    while (rc == CM_ELIMIT && strings && axis < first->ndim) {
        cm_error_clear(err);
        if (workers == 1 && s.step[axis] > 1)
            s.step[axis] = cm_ceil_div(s.step[axis], 2);
        while (axis < first->ndim && s.step[axis] == 1)
            axis++;
        workers = 1;
        s.odd = s.failed = n;
        rc = compare_all(&s, 1, err);
    }
    *odd = rc ? s.failed : s.odd;
    scratch_end(&s.mine);
    for (int k = 0; k < MAX_WORKERS; k++)
        scratch_end(&s.workers[k]);
    return rc;
}
