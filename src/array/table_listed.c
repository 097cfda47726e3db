/* array/table_listed.c: chunks listed one by one, as an HDF5 index gives them.
 *
 * While growing it is an array of (linear grid index, offset, nbytes, mask), sorted at freeze.
 * Frozen, it is either
 *
 *     dense    offset u64, nbytes u32, mask u32 for every cell of the grid: 16 bytes each, with
 *              offset UINT64_MAX where no chunk was written
 *     sparse   the sorted list itself: 24 bytes a chunk, searched by halving
 *
 * whichever is smaller: dense from two thirds occupied on. Lengths of 4 GiB and more are in a list
 * of their own, their place in the entry. An unwritten chunk is CM_AT_NOWHERE. What a table takes
 * is pinned in the budget, while it grows and as long as it lives.
 */
#include <stdlib.h>
#include <string.h>

#include "array/chunked.h"
#include "base/bytes.h"
#include "base/context_private.h"
#include "base/memory.h"

#define LONG UINT32_MAX /* nbytes: offset is a place in longs */

typedef struct entry {
    uint64_t offset;
    uint32_t nbytes, mask;
} entry;

typedef struct listing {
    uint64_t index;
    entry e;
} listing;

typedef struct range {
    uint64_t offset, nbytes;
} range;

struct cm_listed {
    cm_table base;
    int ndim;
    int64_t grid[CM_MAX_DIMS];
    uint64_t ncells, max_nbytes;
    cm_budget *budget;
    uint64_t pinned;
    listing *list;
    size_t n, capacity;
    entry *dense;
    range *longs;
    size_t nlongs, longs_capacity;
};

void cm_listed_free(cm_listed *l)
{
    if (l) {
        free(l->list);
        free(l->dense);
        free(l->longs);
        cm_budget_unpin(l->budget, l->pinned);
        free(l);
    }
}

static void free_table(cm_table *t)
{
    cm_listed_free((cm_listed *)t);
}

static uint64_t max_nbytes(const cm_table *t)
{
    return ((const cm_listed *)t)->max_nbytes;
}

static int pin(cm_listed *l, uint64_t nbytes, cm_error *err)
{
    if (!cm_budget_pin(l->budget, nbytes)) {
        cm_error_set(err, CM_ELIMIT, "no memory left for the table of its chunks (%.1f MB)",
                     (double)(l->pinned + nbytes) / 1e6);
        cm_error_hint(err, "give more with --max-mem");
        return CM_ELIMIT;
    }
    l->pinned += nbytes;
    return 0;
}

static void unpin(cm_listed *l, uint64_t nbytes)
{
    cm_budget_unpin(l->budget, nbytes);
    l->pinned -= nbytes;
}

int cm_listed_new(cm_context *ctx, int ndim, const int64_t *grid, cm_listed **out, cm_error *err)
{
    int64_t n = cm_shape_nelem(ndim, grid);
    if (n < 0)
        return cm_error_set(err, CM_EDATA, "a chunk grid of more than 2^63 chunks");
    cm_listed *l = cm_calloc(1, sizeof *l, err);
    if (!l)
        return CM_ENOMEM;
    l->ndim = ndim;
    l->budget = cm_context_budget(ctx);
    memcpy(l->grid, grid, (size_t)ndim * sizeof *grid);
    l->ncells = (uint64_t)n;
    *out = l;
    return 0;
}

int cm_listed_add(cm_listed *l, const int64_t *coord, uint64_t offset, uint64_t nbytes,
                  uint32_t skip_mask, cm_error *err)
{
    uint64_t index = 0;
    for (int i = 0; i < l->ndim; i++) {
        if (coord[i] < 0 || coord[i] >= l->grid[i])
            return cm_error_set(err, CM_EDATA,
                                "chunk coordinate %lld of axis %d is outside the grid of %lld",
                                (long long)coord[i], i, (long long)l->grid[i]);
        index = index * (uint64_t)l->grid[i] + (uint64_t)coord[i];
    }
    if (l->n == l->capacity) { /* as cm_grow does: powers of two from 8 on, doubled */
        size_t want = l->capacity ? 2 * l->capacity : 8;
        while (!l->capacity && want < 64 && want < l->ncells)
            want *= 2;
        int r = pin(l, (want - l->capacity) * sizeof *l->list, err);
        if (!r)
            r = cm_grow(&l->list, &l->capacity, want, sizeof *l->list, err);
        if (r)
            return r;
    }
    entry e = {offset, (uint32_t)nbytes, skip_mask};
    if (nbytes >= LONG) {
        int r = pin(l, sizeof *l->longs, err);
        if (!r)
            r = cm_grow(&l->longs, &l->longs_capacity, l->nlongs + 1, sizeof *l->longs, err);
        if (r)
            return r;
        l->longs[l->nlongs] = (range){offset, nbytes};
        e.offset = l->nlongs++;
        e.nbytes = LONG;
    }
    l->list[l->n++] = (listing){index, e};
    if (nbytes > l->max_nbytes)
        l->max_nbytes = nbytes;
    return 0;
}

static int by_index(const void *va, const void *vb)
{
    const listing *a = va, *b = vb;
    return a->index < b->index ? -1 : a->index > b->index;
}

static int locate(const cm_table *t, const int64_t *coord, cm_location *out, cm_error *err)
{
    const cm_listed *l = (const cm_listed *)t;
    (void)err;
    uint64_t index = 0;
    for (int i = 0; i < l->ndim; i++)
        index = index * (uint64_t)l->grid[i] + (uint64_t)coord[i];
    out->key[0] = 0;
    out->inline_data = NULL;
    out->where = CM_AT_NOWHERE;
    const entry *e = NULL;
    if (l->dense) {
        e = l->dense[index].offset != UINT64_MAX ? &l->dense[index] : NULL;
    } else if (l->n) {
        listing want = {.index = index};
        const listing *f = bsearch(&want, l->list, l->n, sizeof *l->list, by_index);
        e = f ? &f->e : NULL;
    }
    if (e) {
        bool is_long = e->nbytes == LONG;
        out->where = CM_AT_RANGE;
        out->offset = is_long ? l->longs[e->offset].offset : e->offset;
        out->nbytes = is_long ? l->longs[e->offset].nbytes : e->nbytes;
        out->skip_mask = e->mask;
    }
    return 0;
}

static int make_dense(cm_listed *l, cm_error *err)
{
    if (l->ncells > SIZE_MAX / 2 / sizeof *l->dense)
        return cm_error_set(err, CM_ELIMIT, "a table of %llu chunks",
                            (unsigned long long)l->ncells);
    int r = pin(l, l->ncells * sizeof *l->dense, err);
    if (r)
        return r;
    l->dense = cm_calloc((size_t)l->ncells, sizeof *l->dense, err);
    if (!l->dense)
        return CM_ENOMEM;
    for (uint64_t i = 0; i < l->ncells; i++)
        l->dense[i].offset = UINT64_MAX;
    for (size_t i = 0; i < l->n; i++)
        l->dense[l->list[i].index] = l->list[i].e;
    free(l->list);
    l->list = NULL;
    unpin(l, l->capacity * sizeof *l->list);
    return 0;
}

int cm_listed_freeze(cm_listed *l, cm_table **out, cm_error *err)
{
    bool sorted = true;
    for (size_t i = 1; i < l->n; i++)
        sorted = sorted && l->list[i - 1].index < l->list[i].index;
    if (!sorted)
        qsort(l->list, l->n, sizeof *l->list, by_index);
    int r = 0;
    for (size_t i = 1; i < l->n && !r; i++)
        if (l->list[i - 1].index == l->list[i].index)
            r = cm_error_set(err, CM_EDATA, "chunk %llu is listed twice",
                             (unsigned long long)l->list[i].index);
    if (!r && l->ncells - l->ncells / 3 <= l->n)
        r = make_dense(l, err);
    else if (!r && l->n < l->capacity && l->n) {
        listing *less = realloc(l->list, l->n * sizeof *less);
        l->list = less ? less : l->list;
        unpin(l, less ? (l->capacity - l->n) * sizeof *less : 0);
        l->capacity = less ? l->n : l->capacity;
    }
    if (r) {
        cm_listed_free(l);
        return r;
    }
    l->base = (cm_table){locate, free_table, max_nbytes};
    *out = &l->base;
    return 0;
}
