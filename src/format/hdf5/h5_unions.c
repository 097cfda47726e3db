/* format/hdf5/h5_unions.c: mappings of virtual datasets whose selections are no product of axes.
 *
 *     here   [ a b c . . ]        there   [ . . a b c . . ]
 *            [ d e f . . ]                [ . . . . . . . ]
 *            [ . . . . . ]                [ d e f g h i j ]
 *            [ . g h i j ]
 *
 * Such a selection is a list of blocks. Its cells count row by row (C order), whatever the blocks
 * are, and the k-th cell here is the k-th there. So both sides are cut into runs along their last
 * axis, the runs are put in order and cut again where either side's ends, and what lies side by
 * side on both sides is put together again: most selections end as a few boxes, each a mapping of
 * its own that is a product.
 */
#include <stdlib.h>

#include "base/memory.h"
#include "format/hdf5/h5_virtual.h"

#define MAX_AXES 8          /* more are refused: rows are kept by the ten thousands */
#define MAX_ROWS (1 << 17)  /* of one selection */
#define MAX_BOXES (1 << 17) /* of one dataset's mappings */

/* Cells from lo on along the last axis. */
typedef struct row {
    int64_t lo[MAX_AXES], n;
} row;

typedef struct rows {
    row *items;
    size_t n, capacity;
    int ndim;
} rows;

typedef struct box {
    int ndim;
    int64_t lo[MAX_AXES], n[MAX_AXES];
} box;

/* Two boxes of one shape, but for leading axes of length 1. */
typedef struct pair {
    box here, there;
} pair;

typedef struct pairs {
    pair *items;
    size_t n, capacity;
} pairs;

static int add_row(rows *out, const int64_t *lo, int64_t n, cm_error *err)
{
    if (out->n == MAX_ROWS)
        return cm_error_set(err, CM_ELIMIT,
                            "virtual dataset with a selection of more than %d irregular rows",
                            MAX_ROWS);
    int rc = cm_grow(&out->items, &out->capacity, out->n + 1, sizeof *out->items, err);
    if (rc)
        return rc;
    row *r = &out->items[out->n++];
    *r = (row){.n = n};
    memcpy(r->lo, lo, (size_t)out->ndim * sizeof *lo);
    return 0;
}

/* The rows of the product of such axes, in order. */
static int product_rows(const cm_h5_run *axis, rows *out, cm_error *err)
{
    int last = out->ndim - 1, rc = 0;
    int64_t counts[MAX_AXES], k[MAX_AXES] = {0}, lo[MAX_AXES];
    for (int i = 0; i < last; i++)
        counts[i] = axis[i].count * axis[i].block;
    counts[last] = axis[last].count;
    do {
        for (int i = 0; i < last; i++)
            lo[i] = axis[i].start + k[i] / axis[i].block * axis[i].stride + k[i] % axis[i].block;
        lo[last] = axis[last].start + k[last] * axis[last].stride;
        rc = add_row(out, lo, axis[last].block, err);
    } while (rc == 0 && cm_next(out->ndim, counts, k));
    return rc;
}

static int compare(const void *a, const void *b, void *ndim)
{
    const row *x = a, *y = b;
    for (int i = 0; i < *(int *)ndim; i++)
        if (x->lo[i] != y->lo[i])
            return x->lo[i] < y->lo[i] ? -1 : 1;
    return 0;
}

static int block_rows(const cm_h5_slab *slab, rows *out, cm_error *err)
{
    int last = slab->ndim - 1, rc = 0;
    for (size_t b = 0; rc == 0 && b < slab->nblocks; b++)
        rc = product_rows(slab->blocks + b * (size_t)slab->ndim, out, err);
    if (rc == 0)
        qsort_r(out->items, out->n, sizeof *out->items, compare, &out->ndim);
    for (size_t i = 1; rc == 0 && i < out->n; i++) {
        const row *x = &out->items[i - 1], *y = &out->items[i];
        if (memcmp(x->lo, y->lo, (size_t)last * sizeof *x->lo) == 0 &&
            y->lo[last] - x->lo[last] < x->n)
            rc = cm_error_set(err, CM_EDATA, "virtual dataset's selection has cells twice");
    }
    return rc;
}

static int rows_of(const cm_h5_slab *slab, rows *out, cm_error *err)
{
    out->ndim = slab->ndim;
    if (slab->ndim > MAX_AXES)
        return cm_error_set(err, CM_EUNSUP,
                            "virtual dataset with a selection of irregular blocks, of more than "
                            "%d dimensions",
                            MAX_AXES);
    return slab->nblocks ? block_rows(slab, out, err) : product_rows(slab->axis, out, err);
}

/* A box of one row: n cells from `skip` on of r. */
static box box_of(const row *r, int ndim, int64_t skip, int64_t n)
{
    box b = {.ndim = ndim};
    for (int i = 0; i < ndim; i++) {
        b.lo[i] = r->lo[i];
        b.n[i] = 1;
    }
    b.lo[ndim - 1] += skip;
    b.n[ndim - 1] = n;
    return b;
}

static int pair_up(const rows *here, const rows *there, pairs *out, cm_error *err)
{
    size_t i = 0, k = 0;
    int64_t used = 0, taken = 0; /* of row i here, of row k there */
    while (i < here->n && k < there->n) {
        const row *a = &here->items[i], *b = &there->items[k];
        int64_t n = cm_min_i64(a->n - used, b->n - taken);
        if (cm_grow(&out->items, &out->capacity, out->n + 1, sizeof *out->items, err))
            return CM_ENOMEM;
        out->items[out->n++] =
            (pair){box_of(a, here->ndim, used, n), box_of(b, there->ndim, taken, n)};
        used += n;
        taken += n;
        if (used == a->n) {
            used = 0;
            i++;
        }
        if (taken == b->n) {
            taken = 0;
            k++;
        }
    }
    return i == here->n && k == there->n
               ? 0
               : cm_error_set(err, CM_EDATA, "virtual dataset's selections differ in size");
}

/* Does y go on where x ends along this axis, and are they alike along the others? */
static bool continues(const box *x, const box *y, int axis)
{
    for (int i = 0; i < x->ndim; i++)
        if (i != axis && (x->lo[i] != y->lo[i] || x->n[i] != y->n[i]))
            return false;
    return y->lo[axis] == x->lo[axis] + x->n[axis];
}

static void put_together(pairs *p)
{
    int nhere = p->items[0].here.ndim, nthere = p->items[0].there.ndim;
    for (int back = 1; back <= nhere && back <= nthere; back++) {
        size_t kept = 0;
        for (size_t i = 1; i < p->n; i++) {
            pair *x = &p->items[kept], *y = &p->items[i];
            if (continues(&x->here, &y->here, nhere - back) &&
                continues(&x->there, &y->there, nthere - back)) {
                x->here.n[nhere - back] += y->here.n[nhere - back];
                x->there.n[nthere - back] += y->there.n[nthere - back];
            } else {
                p->items[++kept] = *y;
            }
        }
        p->n = kept + 1;
    }
}

static int slab_of(cm_h5_arena *arena, const box *b, cm_h5_slab *out, cm_error *err)
{
    *out = (cm_h5_slab){.ndim = b->ndim};
    out->axis = cm_h5_alloc(arena, (size_t)b->ndim * sizeof *out->axis, err);
    for (int i = 0; out->axis && i < b->ndim; i++)
        out->axis[i] = (cm_h5_run){.start = b->lo[i], .stride = 1, .count = 1, .block = b->n[i]};
    return out->axis ? 0 : CM_ENOMEM;
}

/* Mapping m as boxes, behind the n that *out has already. */
static int cut(cm_h5_scan *s, const cm_h5_mapping *m, cm_h5_mapping **out, size_t *n,
               size_t *capacity, cm_error *err)
{
    rows here = {0}, there = {0};
    pairs all = {0};
    int rc = rows_of(&m->here, &here, err);
    if (rc == 0)
        rc = rows_of(&m->there, &there, err);
    if (rc == 0)
        rc = pair_up(&here, &there, &all, err);
    if (rc == 0)
        put_together(&all);
    if (rc == 0 && all.n > MAX_BOXES - *n)
        rc = cm_error_set(err, CM_ELIMIT, "virtual dataset with selections of more than %d boxes",
                          MAX_BOXES);
    if (rc == 0)
        rc = cm_grow(out, capacity, *n + all.n, sizeof **out, err);
    for (size_t i = 0; rc == 0 && i < all.n; i++) {
        cm_h5_mapping *to = &(*out)[(*n)++];
        *to = *m;
        rc = slab_of(&s->arena, &all.items[i].here, &to->here, err);
        if (rc == 0)
            rc = slab_of(&s->arena, &all.items[i].there, &to->there, err);
    }
    free(here.items);
    free(there.items);
    free(all.items);
    return rc;
}

static void lengths_of(const cm_h5_slab *slab, int64_t *out)
{
    for (int i = 0; i < slab->ndim; i++)
        out[i] = slab->axis[i].count * slab->axis[i].block;
}

/* Is one side no product, or are both, but with their cells in different shapes? */
static bool is_irregular(const cm_h5_dataset *d, const cm_h5_mapping *m)
{
    int64_t here[CM_MAX_DIMS], there[CM_MAX_DIMS];
    int from[CM_MAX_DIMS];
    if (m->none)
        return false;
    if (m->here.nblocks || m->there.nblocks)
        return true;
    if (d->grows || m->whole || m->here.ndim > MAX_AXES || m->there.ndim > m->here.ndim)
        return false;
    lengths_of(&m->here, here);
    lengths_of(&m->there, there);
    return !cm_h5_align(m->there.ndim, there, m->here.ndim, here, from);
}

int cm_h5_unions_cut(cm_h5_scan *s, cm_h5_dataset *d, cm_error *err)
{
    bool any = false;
    for (size_t i = 0; i < d->nmappings; i++)
        any = any || is_irregular(d, &d->mappings[i]);
    if (!any)
        return 0;
    cm_h5_mapping *out = NULL;
    size_t n = 0, capacity = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < d->nmappings; i++) {
        const cm_h5_mapping *m = &d->mappings[i];
        bool irregular = is_irregular(d, m);
        if (irregular && (d->grows || m->whole))
            rc = cm_error_set(err, CM_EUNSUP,
                              "virtual dataset with a selection of irregular blocks, and %s",
                              d->grows ? "one that grows" : "a source that is taken whole");
        else if (irregular)
            rc = cut(s, m, &out, &n, &capacity, err);
        else if ((rc = cm_grow(&out, &capacity, n + 1, sizeof *out, err)) == 0)
            out[n++] = *m;
    }
    cm_h5_mapping *kept = rc ? NULL : cm_h5_alloc(&s->arena, (n + 1) * sizeof *kept, err);
    if (kept) {
        memcpy(kept, out, n * sizeof *kept);
        d->mappings = kept;
        d->nmappings = n;
    }
    free(out);
    return rc ? rc : kept ? 0 : CM_ENOMEM;
}
