/* array/table_referenced.c: chunks listed one by one, each in an object of its own choice.
 *
 *     entry     offset u64, nbytes u32, path u32      16 bytes
 *     dense     one entry a cell of the grid          path NOWHERE where there is none
 *     sparse    (index u64, entry), sorted            24 bytes a chunk, searched by halving
 *
 * Dense from two thirds occupied on, where it is the smaller one. What does not fit into an entry
 * is told by special lengths: WHOLE (length of the object itself), LONG (offset is the number of an
 * exception that holds both); and the path INLINE (offset is a place in the blob). Which form it is
 * is decided from the start, so that a large table is never held twice; a dense one costs at most
 * 24 bytes for every reference that was there to be added.
 */
#include <stdlib.h>
#include <string.h>

#include "array/referenced.h"
#include "base/buffer.h"
#include "base/bytes.h"
#include "base/context_private.h"
#include "base/memory.h"

#define NOWHERE UINT32_MAX
#define INLINE (UINT32_MAX - 1)
#define WHOLE UINT32_MAX
#define LONG (UINT32_MAX - 1)

typedef struct entry {
    uint64_t offset;
    uint32_t nbytes, path;
} entry;

typedef struct sparse {
    uint64_t index;
    entry e;
} sparse;

typedef struct range {
    uint64_t offset, nbytes;
} range;

struct cm_referenced {
    cm_table base;
    int ndim;
    int64_t grid[CM_MAX_DIMS];
    uint64_t ncells, max_nbytes;
    bool whole; /* some are whole objects: lengths are not known */
    cm_paths *paths;
    entry *dense;
    sparse *list;
    size_t n, capacity;
    range *longs;
    size_t nlongs, longs_capacity;
    cm_buffer blob;
    cm_budget *budget;
    uint64_t pinned;
};

static int pin(cm_referenced *t, uint64_t nbytes, cm_error *err)
{
    if (!cm_budget_pin(t->budget, nbytes)) {
        cm_error_set(err, CM_ELIMIT, "no memory left for the table of its references (%.1f MB)",
                     (double)(t->pinned + nbytes) / 1e6);
        cm_error_hint(err, "give more with --max-mem");
        return CM_ELIMIT;
    }
    t->pinned += nbytes;
    return 0;
}

/* Room for one more of a list of `each` bytes: growing doubles it. */
static int grow(cm_referenced *t, void *list, size_t *capacity, size_t n, size_t each,
                cm_error *err)
{
    if (n < *capacity)
        return 0;
    size_t want = *capacity ? 2 * *capacity : 16;
    int r = pin(t, (want - *capacity) * each, err);
    return r ? r : cm_grow(list, capacity, want, each, err);
}

void cm_referenced_free(cm_referenced *t)
{
    if (!t)
        return;
    free(t->dense);
    free(t->list);
    free(t->longs);
    cm_budget_unpin(t->budget, t->pinned);
    cm_buffer_deinit(&t->blob);
    cm_paths_unref(t->paths);
    free(t);
}

int cm_referenced_new(cm_context *ctx, int ndim, const int64_t *grid, cm_paths *paths,
                      uint64_t nexpected, cm_referenced **out, cm_error *err)
{
    int64_t n = cm_shape_nelem(ndim, grid);
    if (n < 0)
        return cm_error_set(err, CM_EDATA, "a chunk grid of more than 2^63 chunks");
    cm_referenced *t = cm_calloc(1, sizeof *t, err);
    if (!t)
        return CM_ENOMEM;
    t->budget = cm_context_budget(ctx);
    t->ndim = ndim;
    memcpy(t->grid, grid, (size_t)ndim * sizeof *grid);
    t->ncells = (uint64_t)n;
    t->paths = cm_paths_ref(paths);
    cm_buffer_init(&t->blob, (size_t)1 << 40);
    if (nexpected >= t->ncells - t->ncells / 3 && t->ncells < SIZE_MAX / sizeof(entry)) {
        int r = pin(t, t->ncells * sizeof *t->dense, err);
        if (r) {
            cm_referenced_free(t);
            return r;
        }
        t->dense = malloc((size_t)t->ncells * sizeof *t->dense + 1);
        if (!t->dense) {
            cm_referenced_free(t);
            return cm_error_set(err, CM_ENOMEM, "out of memory (a table of %llu chunks)",
                                (unsigned long long)n);
        }
        memset(t->dense, 0xff, (size_t)t->ncells * sizeof *t->dense);
    }
    *out = t;
    return 0;
}

static int add(cm_referenced *t, uint64_t index, entry e, cm_error *err)
{
    if (index >= t->ncells)
        return cm_error_set(err, CM_EDATA, "chunk %llu of a grid of %llu",
                            (unsigned long long)index, (unsigned long long)t->ncells);
    if (t->dense) {
        if (t->dense[index].path != NOWHERE)
            return cm_error_set(err, CM_EDATA, "chunk %llu is listed twice",
                                (unsigned long long)index);
        t->dense[index] = e;
        return 0;
    }
    int r = grow(t, &t->list, &t->capacity, t->n, sizeof *t->list, err);
    if (r)
        return r;
    t->list[t->n++] = (sparse){index, e};
    return 0;
}

int cm_referenced_add(cm_referenced *t, uint64_t index, uint32_t path, uint64_t offset,
                      uint64_t nbytes, cm_error *err)
{
    uint64_t end;
    if (!cm_add_u64(offset, nbytes, &end) || end > INT64_MAX)
        return cm_error_set(err, CM_EDATA, "chunk %llu reaches beyond 2^63 bytes",
                            (unsigned long long)index);
    if (nbytes > t->max_nbytes)
        t->max_nbytes = nbytes;
    if (nbytes < LONG)
        return add(t, index, (entry){offset, (uint32_t)nbytes, path}, err);
    int r = grow(t, &t->longs, &t->longs_capacity, t->nlongs, sizeof *t->longs, err);
    if (r)
        return r;
    t->longs[t->nlongs++] = (range){offset, nbytes};
    return add(t, index, (entry){t->nlongs - 1, LONG, path}, err);
}

int cm_referenced_add_whole(cm_referenced *t, uint64_t index, uint32_t path, cm_error *err)
{
    t->whole = true;
    return add(t, index, (entry){0, WHOLE, path}, err);
}

int cm_referenced_add_inline(cm_referenced *t, uint64_t index, const void *data, size_t nbytes,
                             cm_error *err)
{
    if (nbytes >= LONG)
        return cm_error_set(err, CM_ELIMIT, "more than 4 GiB of inline data");
    uint64_t at = t->blob.nbytes;
    int r = pin(t, 2 * nbytes, err); /* a buffer doubles */
    if (r == 0)
        r = cm_buffer_append(&t->blob, data, nbytes, err);
    if (r)
        return r;
    if (nbytes > t->max_nbytes)
        t->max_nbytes = nbytes;
    return add(t, index, (entry){at, (uint32_t)nbytes, INLINE}, err);
}

static int by_index(const void *va, const void *vb)
{
    const sparse *a = va, *b = vb;
    return a->index < b->index ? -1 : a->index > b->index;
}

static const entry *find(const cm_referenced *t, uint64_t index)
{
    if (t->dense)
        return t->dense[index].path == NOWHERE ? NULL : &t->dense[index];
    sparse want = {.index = index};
    const sparse *f = t->n ? bsearch(&want, t->list, t->n, sizeof *t->list, by_index) : NULL;
    return f ? &f->e : NULL;
}

uint64_t cm_referenced_ncells(const cm_table *t)
{
    return ((const cm_referenced *)t)->ncells;
}

/* The entry as it is, without looking at the object: nowhere, whole, a range (*path says of which),
 * or in memory. */
static void locate_entry(const cm_referenced *t, uint64_t index, cm_location *out, uint32_t *path)
{
    const entry *e = find(t, index);
    out->key[0] = 0;
    out->inline_data = NULL;
    out->skip_mask = 0;
    out->where = CM_AT_NOWHERE;
    if (!e)
        return;
    *path = e->path;
    out->where = e->path == INLINE ? CM_AT_MEMORY : e->nbytes == WHOLE ? CM_AT_WHOLE : CM_AT_RANGE;
    out->offset = e->offset;
    out->nbytes = e->nbytes;
    if (out->where == CM_AT_MEMORY) {
        out->inline_data = e->nbytes ? (const void *)(t->blob.data + e->offset) : "";
        out->offset = 0;
    } else if (out->where == CM_AT_WHOLE) {
        out->nbytes = UINT64_MAX;
    } else if (e->nbytes == LONG) {
        out->offset = t->longs[e->offset].offset;
        out->nbytes = t->longs[e->offset].nbytes;
    }
}

static int locate(const cm_table *base, const int64_t *coord, cm_location *out, cm_error *err)
{
    const cm_referenced *t = (const cm_referenced *)base;
    uint64_t index = 0;
    uint32_t path = 0;
    for (int i = 0; i < t->ndim; i++)
        index = index * (uint64_t)t->grid[i] + (uint64_t)coord[i];
    locate_entry(t, index, out, &path);
    if (out->where != CM_AT_RANGE && out->where != CM_AT_WHOLE)
        return 0;
    const char *key;
    int r = cm_paths_key(t->paths, path, &key, err);
    if (r)
        return r;
    size_t n = strlen(key);
    if (n >= sizeof out->key)
        return cm_error_set(err, CM_ELIMIT, "%.100s...: a name of more than %zu bytes", key,
                            sizeof out->key - 1);
    memcpy(out->key, key, n + 1);
    return 0;
}

static void free_table(cm_table *t)
{
    cm_referenced_free((cm_referenced *)t);
}

static uint64_t max_nbytes(const cm_table *base)
{
    const cm_referenced *t = (const cm_referenced *)base;
    return t->whole ? 0 : t->max_nbytes;
}

int cm_referenced_freeze(cm_referenced *t, cm_table **out, cm_error *err)
{
    bool sorted = true;
    int r = 0;
    for (size_t i = 1; i < t->n; i++)
        sorted = sorted && t->list[i - 1].index < t->list[i].index;
    if (!sorted)
        qsort(t->list, t->n, sizeof *t->list, by_index);
    for (size_t i = 1; i < t->n && !sorted && !r; i++)
        if (t->list[i - 1].index == t->list[i].index)
            r = cm_error_set(err, CM_EDATA, "chunk %llu is listed twice",
                             (unsigned long long)t->list[i].index);
    if (r) {
        cm_referenced_free(t);
        return r;
    }
    if (t->n && t->n < t->capacity) {
        sparse *less = realloc(t->list, t->n * sizeof *less);
        uint64_t spare = (t->capacity - t->n) * sizeof *less;
        if (less) {
            t->list = less;
            t->capacity = t->n;
            cm_budget_unpin(t->budget, spare);
            t->pinned -= spare;
        }
    }
    t->base = (cm_table){locate, free_table, max_nbytes};
    *out = &t->base;
    return 0;
}
