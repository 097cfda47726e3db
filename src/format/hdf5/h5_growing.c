/* format/hdf5/h5_growing.c: virtual datasets that grow with their sources.
 *
 *     one source     here [start + k * stride ...) without an end  <-  there, without an end
 *     counted        here block k                                  <-  file name with k for %b
 *
 * How long such an axis is depends on what the sources have today, so they are looked at when the
 * file is opened (libhdf5 does the same), and the mappings become finite ones: as many cells as the
 * source has, or as many blocks as there are sources in a row. The axis ends where the last of them
 * ends (libhdf5's default view, "last available"), but not before what the finite mappings need.
 * Where a selection ends inside a block, the cells of that block are mappings of their own.
 *
 * Only the file that was asked for is looked at like this: a growing dataset in a file that another
 * one leads to is refused when it is read.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "format/hdf5/h5_virtual.h"

#define MAX_LOOKS 16384 /* at sources, for one dataset */
#define MAX_SINGLE 4096 /* mappings of one cell for what does not fill a block */

typedef struct growing {
    cm_h5_scan *s;
    cm_h5_dataset *d;
    cm_h5_mapping *out;
    size_t n, capacity, nlooks;
    int64_t end[CM_MAX_DIMS]; /* of all mappings along each axis */
    bool grows[CM_MAX_DIMS];
} growing;

static int open_axis(const cm_h5_slab *slab)
{
    for (int i = 0; i < slab->ndim; i++)
        if (cm_h5_run_is_open(&slab->axis[i]))
            return i;
    return -1;
}

/* ---- sources --------------------------------------------------------------------------------- */

/* The shape of a source; *there false when there is none. */
static int look(growing *g, const char *file, const char *path, cm_h5_space *space, bool *there,
                cm_error *err)
{
    cm_h5_scan *s = g->s;
    cm_h5_file *f = s->file;
    cm_h5_scan other = {0}, *scan = s;
    cm_dataset *ds = NULL;
    char *key = NULL;
    *there = false;
    if (++g->nlooks > MAX_LOOKS)
        return cm_error_set(err, CM_ELIMIT, "virtual dataset that grows with more than %d sources",
                            MAX_LOOKS);
    bool same = strcmp(file, ".") == 0;
    f->elsewhere = f->elsewhere || !same;
    cm_store *store = NULL;
    int rc = same ? 0 : cm_h5_other_file(f, file, &store, &key, err);
    if (rc == 0 && !same) {
        scan = &other;
        rc = cm_h5_scan_open(f->ctx, store, key, file, f->level + 1, &other, &ds, err);
    }
    cm_store_unref(store);
    free(key);
    const cm_h5_dataset *d = rc ? NULL : cm_h5_find_dataset(scan, path);
    if (d && d->problem) {
        if (err)
            *err = *d->problem;
        rc = d->problem->code;
    } else if (d) {
        *there = d->has_space && !d->space.null;
        *space = d->space;
        if (d->grows)
            rc = cm_error_set(err, CM_EUNSUP, "virtual dataset that grows with another one");
    }
    if (!same)
        cm_h5_scan_close(&other, ds);
    if (rc == CM_ENOTFOUND) {
        if (err)
            cm_error_clear(err);
        rc = 0;
    }
    return rc;
}

/* The name with k for %b, in the arena. */
static char *counted_name(cm_h5_scan *s, const char *name, uint64_t k, cm_error *err)
{
    char number[24];
    snprintf(number, sizeof number, "%" PRIu64, k);
    cm_buffer text;
    cm_buffer_init(&text, 1u << 20);
    int rc = 0;
    for (; rc == 0 && *name; name++) {
        if (name[0] == '%' && name[1] == 'b')
            rc = cm_buffer_append_string(&text, number, err);
        else
            rc = cm_buffer_append(&text, name, 1, err);
        name += name[0] == '%' && (name[1] == 'b' || name[1] == '%');
    }
    char *out =
        rc ? NULL
           : cm_h5_alloc_string(&s->arena, text.data ? (char *)text.data : "", text.nbytes, err);
    cm_buffer_deinit(&text);
    return out;
}

/* ---- mappings -------------------------------------------------------------------------------- */

static cm_h5_slab copy_slab(cm_h5_scan *s, const cm_h5_slab *slab, cm_error *err)
{
    cm_h5_slab out = {slab->ndim, NULL};
    if (slab->ndim)
        out.axis = cm_h5_alloc(&s->arena, (size_t)slab->ndim * sizeof *out.axis, err);
    if (out.axis)
        memcpy(out.axis, slab->axis, (size_t)slab->ndim * sizeof *out.axis);
    return out;
}

/* A copy of m, to be changed. */
static int add(growing *g, const cm_h5_mapping *m, cm_h5_mapping **out, cm_error *err)
{
    int rc = cm_grow(&g->out, &g->capacity, g->n + 1, sizeof *g->out, err);
    if (rc)
        return rc;
    cm_h5_mapping *to = &g->out[g->n];
    *to = *m;
    to->here = copy_slab(g->s, &m->here, err);
    to->there = copy_slab(g->s, &m->there, err);
    if (!to->here.axis || (m->there.ndim && !to->there.axis))
        return CM_ENOMEM;
    g->n++;
    *out = to;
    return 0;
}

static void take_end(growing *g, const cm_h5_mapping *m)
{
    for (int i = 0; i < m->here.ndim; i++) {
        const cm_h5_run *r = &m->here.axis[i];
        g->end[i] = cm_max_i64(g->end[i], r->start + (r->count - 1) * r->stride + r->block);
    }
}

/* Cells of an open axis that begin below `length`. */
static int64_t cells_below(const cm_h5_run *r, int64_t length)
{
    if (length <= r->start)
        return 0;
    int64_t room = length - r->start;
    if (r->block == CM_H5_OPEN)
        return room;
    return room / r->stride * r->block + cm_min_i64(room % r->stride, r->block);
}

/* Blocks that touch have no cells between them: no need to keep them apart. */
static bool is_dense(const cm_h5_run *r)
{
    return r->block == CM_H5_OPEN || r->block == r->stride;
}

/* n selected cells of an open axis from cell `first` on, which begins a block. */
static cm_h5_run part_of(const cm_h5_run *r, int64_t first, int64_t n)
{
    if (is_dense(r))
        return (cm_h5_run){.start = r->start + first, .stride = 1, .count = 1, .block = n};
    int64_t start = r->start + first / r->block * r->stride + first % r->block;
    if (n <= r->block - first % r->block)
        return (cm_h5_run){.start = start, .stride = 1, .count = 1, .block = n};
    return (cm_h5_run){
        .start = start, .stride = r->stride, .count = n / r->block, .block = r->block};
}

static int64_t whole_blocks(const cm_h5_run *a, const cm_h5_run *b, int64_t n)
{
    int64_t x = is_dense(a) ? 1 : a->block, y = is_dense(b) ? 1 : b->block;
    int64_t larger = cm_max_i64(x, y), smaller = cm_min_i64(x, y);
    if (larger % smaller != 0)
        return 0;
    return n / larger * larger;
}

/* One source whose end is the mapping's. */
static int with_source(growing *g, const cm_h5_mapping *m, int here, cm_error *err)
{
    cm_h5_space space;
    cm_h5_mapping *to;
    bool there;
    int other = open_axis(&m->there);
    int rc = look(g, m->file, m->path, &space, &there, err);
    if (rc || !there)
        return rc;
    if (other < 0 || space.ndim != m->there.ndim)
        return cm_error_set(err, CM_EUNSUP,
                            "virtual dataset that grows, and its source %s in %s does not", m->path,
                            m->file);
    const cm_h5_run *a = &m->here.axis[here], *b = &m->there.axis[other];
    uint64_t most = (uint64_t)INT64_MAX / 4 / (uint64_t)cm_max_i64(a->stride, b->stride);
    if (space.dims[other] > most)
        return cm_error_set(err, CM_ELIMIT, "virtual dataset of more than 2^63 cells");
    int64_t n = cells_below(b, (int64_t)space.dims[other]), whole = whole_blocks(a, b, n);
    if (n - whole > MAX_SINGLE)
        return cm_error_set(err, CM_EUNSUP, "virtual dataset with blocks that match too seldom");
    for (int64_t at = 0; rc == 0 && at < n;) {
        int64_t count = at == 0 && whole ? whole : 1;
        rc = add(g, m, &to, err);
        if (rc == 0) {
            to->here.axis[here] = part_of(a, at, count);
            to->there.axis[other] = part_of(b, at, count);
            take_end(g, to);
        }
        at += count;
    }
    return rc;
}

/* A source for each block, as many as there are in a row. */
static int with_counted(growing *g, const cm_h5_mapping *m, int here, cm_error *err)
{
    const cm_h5_run *r = &m->here.axis[here];
    cm_h5_mapping *to;
    cm_h5_space space;
    bool there = true;
    int rc = 0;
    if (r->block == CM_H5_OPEN || open_axis(&m->there) >= 0)
        return cm_error_set(err, CM_EDATA, "virtual dataset with counted sources without an end");
    for (int64_t k = 0; rc == 0 && there; k++) {
        char *file = counted_name(g->s, m->file, (uint64_t)k, err);
        char *path = counted_name(g->s, m->path, (uint64_t)k, err);
        rc = file && path ? look(g, file, path, &space, &there, err) : CM_ENOMEM;
        if (rc == 0 && there)
            rc = add(g, m, &to, err);
        if (rc || !there)
            break;
        to->file = file;
        to->path = path;
        to->counted = false;
        to->here.axis[here] = (cm_h5_run){
            .start = r->start + k * r->stride, .stride = 1, .count = 1, .block = r->block};
        take_end(g, to);
        rc = cm_context_check(g->s->file->ctx, err);
    }
    return rc;
}

static int finite(growing *g, const cm_h5_mapping *m, cm_error *err)
{
    cm_h5_mapping *to;
    int here = open_axis(&m->here);
    if (here >= 0)
        g->grows[here] = true;
    if (m->none)
        return 0;
    if (here >= 0)
        return m->counted ? with_counted(g, m, here, err) : with_source(g, m, here, err);
    if (m->counted || open_axis(&m->there) >= 0)
        return cm_error_set(err, CM_EUNSUP,
                            "virtual dataset whose sources are counted or grow, and it does not");
    take_end(g, m);
    return add(g, m, &to, err);
}

static int grow(cm_h5_scan *s, cm_h5_dataset *d, cm_error *err)
{
    growing g = {.s = s, .d = d};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < d->nmappings; i++)
        rc = finite(&g, &d->mappings[i], err);
    cm_h5_mapping *kept = rc ? NULL : cm_h5_alloc(&s->arena, (g.n + 1) * sizeof *kept, err);
    if (rc == 0 && !kept)
        rc = CM_ENOMEM;
    if (rc == 0) {
        if (g.n)
            memcpy(kept, g.out, g.n * sizeof *kept);
        d->mappings = kept;
        d->nmappings = g.n;
        for (int i = 0; i < d->space.ndim; i++)
            if (g.grows[i])
                d->space.dims[i] = (uint64_t)g.end[i];
        d->grows = false;
    }
    free(g.out);
    return rc;
}

int cm_h5_growing_resolve(cm_h5_scan *s, cm_h5_group *g, cm_error *err)
{
    int rc = 0;
    for (cm_h5_dataset *d = g->first; rc == 0 && d; d = d->next) {
        cm_error why;
        why.code = 0;
        if (!d->grows || d->problem || d->scan)
            continue;
        rc = grow(s, d, &why);
        if (cm_h5_is_local(rc))
            rc = cm_h5_keep_problem(s, d, &why, err);
        else if (rc && err)
            *err = why;
    }
    for (cm_h5_group *c = g->first_child; rc == 0 && c; c = c->next)
        rc = cm_h5_growing_resolve(s, c, err);
    return rc;
}
