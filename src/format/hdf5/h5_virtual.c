/* format/hdf5/h5_virtual.c: virtual datasets: an array whose cells are those of others.
 *
 *     here   [ a a a | b b b | fill | c c c ]        mapping: these cells here are those cells
 * there
 *
 * A mapping is separable: along each axis, the k-th selected cell here is the k-th there. Cut where
 * either side jumps, an axis becomes runs that are contiguous on both sides, and a mapping a
 * product of boxes. Asked for a region, the array lists the boxes inside it, gives each to its
 * source, and fills what none has. Mappings may overlap, and then the last one counts, as in
 * libhdf5, which writes one over the other; pieces of a read run at once, so here every cell is
 * planned once: the region is halved at the boxes' edges until few are left, and what one box has
 * is cut away from the others.
 *
 * Sources are opened when a region first needs them, since thousands of files may be named and few
 * be read. One that is not there is fill, as libhdf5 has it; one that is damaged is an error, which
 * libhdf5 hides. A source may be virtual itself; a chain of them ends after MAX_LEVELS.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "format/hdf5/h5_virtual.h"

#define MAX_LEVELS 8
#define MAX_BOXES (1 << 16) /* of one region */
#define MAX_PARTS (1 << 20) /* that a region is cut into */
#define MAX_HALVINGS 200    /* of a region, one inside the other */
#define FEW 8
#define MAX_EDGES (1 << 18) /* of one axis, for planners */

typedef struct source {
    char *file, *path;
    uint64_t turned; /* how mappings turn its axes; 0: they take it whole */
    bool tried;
    cm_array *array; /* lifted; NULL: is not there */
    int from[CM_MAX_DIMS];
    int ndim; /* own */
} source;

typedef struct mapping {
    uint32_t source;
    bool whole;
    cm_h5_slab here, there; /* axes are in the array's memory */
} mapping;

typedef struct vds {
    cm_array base;
    cm_h5_file *file;
    pthread_mutex_t lock; /* guards tried and what follows it, of all sources */
    source *sources;
    mapping *mappings;
    cm_h5_run *runs; /* of all mappings */
    size_t nsources, nmappings;
    int64_t ncuts[CM_MAX_DIMS]; /* where mappings begin and end along each axis; 0: not listed */
    int64_t *cuts[CM_MAX_DIMS];
} vds;

/* ---- sources --------------------------------------------------------------------------------- */

bool cm_h5_align(int nthere, const int64_t *there, int nhere, const int64_t *here, int *from)
{
    int k = nthere - 1;
    for (int i = nhere - 1; i >= 0; i--) {
        bool same = k >= 0 && here[i] == there[k];
        if (!same && here[i] != 1)
            return false;
        from[i] = same ? k-- : -1;
    }
    return k < 0;
}

static int64_t selected(const cm_h5_run *r)
{
    return r->count * r->block;
}

/* How the source's axes lie in mapping m. */
static int orient(const vds *v, const mapping *m, int nsource, const int64_t *shape, int *from,
                  cm_error *err)
{
    int64_t here[CM_MAX_DIMS], there[CM_MAX_DIMS];
    const source *s = &v->sources[m->source];
    bool good = m->whole || m->there.ndim == nsource;
    for (int i = 0; i < v->base.ndim; i++)
        here[i] = selected(&m->here.axis[i]);
    for (int i = 0; good && i < nsource; i++) {
        const cm_h5_run *r = m->whole ? NULL : &m->there.axis[i];
        there[i] = r ? selected(r) : shape[i];
        good = !r || r->start + (r->count - 1) * r->stride + r->block <= shape[i];
    }
    if (!good)
        return cm_error_set(err, CM_EDATA,
                            "virtual dataset's source %s in %s is smaller than what is taken of it",
                            s->path, s->file);
    if (!cm_h5_align(nsource, there, v->base.ndim, here, from))
        return cm_error_set(err, CM_EUNSUP,
                            "virtual dataset's source %s in %s has its cells in another shape",
                            s->path, s->file);
    return 0;
}

static int make_source(vds *v, source *s, cm_h5_scan *scan, const cm_h5_dataset *d,
                       const mapping *m, cm_error *err)
{
    int64_t shape[CM_MAX_DIMS];
    if (d->problem) {
        if (err)
            *err = *d->problem;
        return d->problem->code;
    }
    for (int i = 0; i < d->space.ndim; i++)
        shape[i] = (int64_t)d->space.dims[i];
    s->ndim = d->space.ndim;
    int rc = orient(v, m, s->ndim, shape, s->from, err);
    if (rc == 0)
        rc = cm_h5_lifted_array(scan, d, v->base.ndim, s->from, &s->array, err);
    if (rc == 0 && !cm_dtype_equal(s->array->dtype, v->base.dtype)) {
        char a[24], b[24];
        rc = cm_error_set(err, CM_EUNSUP, "virtual dataset of %s with a source of %s",
                          cm_dtype_name(v->base.dtype, a, sizeof a),
                          cm_dtype_name(s->array->dtype, b, sizeof b));
        cm_array_unref(s->array);
        s->array = NULL;
    }
    return rc;
}

static int open_source(vds *v, source *s, const mapping *m, cm_error *err)
{
    cm_h5_file *f = v->file;
    char *key = NULL;
    cm_h5_scan scan = {0};
    cm_dataset *ds = NULL;
    if (f->level >= MAX_LEVELS)
        return cm_error_set(err, CM_ELIMIT, "virtual datasets are nested more than %d levels",
                            MAX_LEVELS);
    bool same = strcmp(s->file, ".") == 0;
    cm_store *store = NULL;
    int rc = same ? 0 : cm_h5_other_file(f, s->file, &store, &key, err);
    if (rc)
        return rc;
    rc = cm_h5_scan_open(f->ctx, same ? f->store : store, same ? f->key : key,
                         same ? f->uri : s->file, f->level + 1, &scan, &ds, err);
    if (rc == CM_ENOTFOUND) {
        if (err)
            cm_error_clear(err);
        rc = 0;
    } else if (rc == 0) {
        const cm_h5_dataset *d = cm_h5_find_dataset(&scan, s->path);
        rc = d ? make_source(v, s, &scan, d, m, err) : 0;
    }
    cm_h5_scan_close(&scan, ds);
    cm_store_unref(store);
    free(key);
    return rc ? cm_error_object(err, same ? f->uri : s->file), rc : 0;
}

/* The source of a mapping, *out NULL when it is not there; from: its axes. */
static int source_of(vds *v, const mapping *m, cm_array **out, const int **from, cm_error *err)
{
    source *s = &v->sources[m->source];
    pthread_mutex_lock(&v->lock);
    int rc = s->tried ? 0 : open_source(v, s, m, err);
    s->tried = rc == 0;
    pthread_mutex_unlock(&v->lock);
    *out = s->array;
    *from = s->from;
    if (rc || !s->array)
        return rc;
    int64_t shape[CM_MAX_DIMS];
    int other[CM_MAX_DIMS];
    for (int i = 0; i < v->base.ndim; i++)
        if (s->from[i] >= 0)
            shape[s->from[i]] = s->array->shape[i];
    rc = orient(v, m, s->ndim, shape, other, err);
    if (rc == 0 && memcmp(other, s->from, (size_t)v->base.ndim * sizeof *other) != 0)
        rc = cm_error_set(err, CM_EUNSUP, "virtual dataset takes %s in %s in two orientations",
                          s->path, s->file);
    return rc;
}

/* ---- boxes ----------------------------------------------------------------------------------- */

typedef struct piece {
    cm_box here;             /* in the array */
    int64_t lo[CM_MAX_DIMS]; /* in the source */
    cm_array *source;        /* NULL: fill */
    const int *from;
} piece;

typedef struct pieces {
    piece *items;
    size_t n, capacity;
} pieces;

static int64_t position(const cm_h5_run *r, int64_t k)
{
    return r->start + k / r->block * r->stride + k % r->block;
}

/* One axis of a mapping inside [lo, lo + n): the numbers of its parts of `step` cells. */
typedef struct parts {
    int64_t step, first, count;
} parts;

/* The least part that ends behind `at`. */
static int64_t part_behind(const cm_h5_run *r, int64_t step, int64_t nparts, int64_t at)
{
    int64_t lo = 0, hi = nparts;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (position(r, mid * step) + step > at)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

static parts parts_inside(const cm_h5_run *here, int64_t there_block, int64_t lo, int64_t n)
{
    parts p = {.step = there_block ? cm_gcd_i64(here->block, there_block) : here->block};
    int64_t all = selected(here) / p.step;
    p.first = part_behind(here, p.step, all, lo);
    int64_t end = part_behind(here, p.step, all, lo + n - 1);
    p.count = end - p.first;
    if (end < all && position(here, end * p.step) < lo + n)
        p.count++;
    return p;
}

static int add_piece(pieces *out, const piece *p, cm_error *err)
{
    if (out->n == MAX_BOXES)
        return cm_error_set(err, CM_ELIMIT, "virtual dataset has more than %d boxes in a region",
                            MAX_BOXES);
    int rc = cm_grow(&out->items, &out->capacity, out->n + 1, sizeof *p, err);
    if (rc == 0)
        out->items[out->n++] = *p;
    return rc;
}

/* All boxes of mapping m that share cells with the region, clipped to it. */
static int boxes_of(vds *v, const mapping *m, const cm_box *region, pieces *out, cm_error *err)
{
    int ndim = v->base.ndim;
    parts axis[CM_MAX_DIMS];
    int64_t counts[CM_MAX_DIMS], k[CM_MAX_DIMS] = {0};
    for (int i = 0; i < ndim; i++) { /* is there anything? before the source is opened */
        axis[i] = parts_inside(&m->here.axis[i], 0, region->lo[i], region->n[i]);
        if (axis[i].count <= 0)
            return 0;
    }
    piece p = {.here.ndim = ndim};
    int rc = source_of(v, m, &p.source, &p.from, err);
    if (rc)
        return rc;
    for (int i = 0; i < ndim; i++) {
        int from = p.source ? p.from[i] : -1;
        int64_t block = from < 0 || m->whole ? 0 : m->there.axis[from].block;
        axis[i] = parts_inside(&m->here.axis[i], block, region->lo[i], region->n[i]);
        counts[i] = axis[i].count;
    }
    do {
        for (int i = 0; i < ndim; i++) {
            int64_t cell = (axis[i].first + k[i]) * axis[i].step;
            int64_t at = position(&m->here.axis[i], cell), n = axis[i].step;
            int from = p.source ? p.from[i] : -1;
            int64_t there = from < 0   ? cell
                            : m->whole ? cell
                                       : position(&m->there.axis[from], cell);
            int64_t cut = cm_max_i64(0, region->lo[i] - at);
            p.here.lo[i] = at + cut;
            p.here.n[i] = cm_min_i64(at + n, region->lo[i] + region->n[i]) - p.here.lo[i];
            p.lo[i] = from < 0 ? 0 : there + cut;
        }
        rc = add_piece(out, &p, err);
    } while (rc == 0 && cm_next(ndim, counts, k));
    return rc;
}

/* ---- plan ------------------------------------------------------------------------------------ */

typedef struct planning {
    vds *v;
    size_t nparts;
    int depth;
    const cm_frame *frame;
    cm_sink *sink;
    const piece *all;
} planning;

static int too_many(cm_error *err)
{
    return cm_error_set(err, CM_ELIMIT, "virtual dataset's mappings overlap in too many ways");
}

static int emit(planning *x, const piece *p, const cm_box *box, cm_error *err)
{
    if (++x->nparts > MAX_PARTS)
        return too_many(err);
    if (!p || !p->source)
        return cm_sink_fill(x->sink, &x->v->base, x->frame, box->lo, box->n, err);
    cm_frame frame = *x->frame;
    cm_box there = *box;
    for (int i = 0; i < box->ndim; i++) {
        there.lo[i] = p->lo[i] + (box->lo[i] - p->here.lo[i]);
        frame.shift[i] += box->lo[i] - there.lo[i];
    }
    return cm_array_plan(p->source, &there, &frame, x->sink, err);
}

static int cover(planning *x, const cm_box *region, const uint32_t *list, size_t n, cm_error *err);

/* The last of the list takes what it has; what is around it is left to the others. */
static int peel(planning *x, const cm_box *region, const uint32_t *list, size_t n, cm_error *err)
{
    const piece *p = &x->all[list[n - 1]];
    cm_box rest = *region, own;
    if (!cm_box_intersect(region, &p->here, &own))
        return cover(x, region, list, n - 1, err);
    int rc = 0;
    for (int i = 0; rc == 0 && i < region->ndim; i++) {
        cm_box part = rest;
        part.n[i] = own.lo[i] - rest.lo[i];
        if (part.n[i] > 0)
            rc = cover(x, &part, list, n - 1, err);
        part.lo[i] = own.lo[i] + own.n[i];
        part.n[i] = rest.lo[i] + rest.n[i] - part.lo[i];
        if (rc == 0 && part.n[i] > 0)
            rc = cover(x, &part, list, n - 1, err);
        rest.lo[i] = own.lo[i];
        rest.n[i] = own.n[i];
    }
    return rc ? rc : emit(x, p, &own, err);
}

/* An edge of one of the boxes inside the region, about in the middle of the list. */
static bool find_cut(const planning *x, const cm_box *region, const uint32_t *list, size_t n,
                     int *axis, int64_t *at)
{
    for (size_t k = 0; k < n; k++) {
        const cm_box *b = &x->all[list[(n / 2 + k) % n]].here;
        for (int i = 0; i < region->ndim; i++) {
            int64_t edges[2] = {b->lo[i], b->lo[i] + b->n[i]};
            for (int e = 0; e < 2; e++)
                if (edges[e] > region->lo[i] && edges[e] < region->lo[i] + region->n[i]) {
                    *axis = i;
                    *at = edges[e];
                    return true;
                }
        }
    }
    return false;
}

/* Plan the region: every cell once. list: those that may have cells of it, in order. */
static int cover(planning *x, const cm_box *region, const uint32_t *list, size_t n, cm_error *err)
{
    if (n == 0)
        return emit(x, NULL, region, err);
    int axis;
    int64_t at;
    if (n <= FEW || !find_cut(x, region, list, n, &axis, &at))
        return peel(x, region, list, n, err);
    if (x->depth == MAX_HALVINGS)
        return too_many(err);
    uint32_t *part = cm_calloc(n, sizeof *part, err);
    if (!part)
        return CM_ENOMEM;
    int rc = 0;
    x->depth++;
    for (int side = 0; rc == 0 && side < 2; side++) {
        cm_box half = *region, shared;
        half.n[axis] = side ? region->lo[axis] + region->n[axis] - at : at - region->lo[axis];
        half.lo[axis] = side ? at : region->lo[axis];
        size_t m = 0;
        for (size_t k = 0; k < n; k++)
            if (cm_box_intersect(&half, &x->all[list[k]].here, &shared))
                part[m++] = list[k];
        rc = cover(x, &half, part, m, err);
    }
    x->depth--;
    free(part);
    return rc;
}

static int virtual_plan(cm_array *a, const cm_box *region, const cm_frame *frame, cm_sink *sink,
                        cm_error *err)
{
    vds *v = (vds *)a;
    pieces all = {0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < v->nmappings; i++)
        rc = boxes_of(v, &v->mappings[i], region, &all, err);
    uint32_t *list = rc ? NULL : cm_calloc(all.n + 1, sizeof *list, err);
    if (rc == 0 && !list)
        rc = CM_ENOMEM;
    for (size_t i = 0; rc == 0 && i < all.n; i++)
        list[i] = (uint32_t)i;
    planning x = {.v = v, .frame = frame, .sink = sink, .all = all.items};
    if (rc == 0)
        rc = cover(&x, region, list, all.n, err);
    free(list);
    free(all.items);
    return rc;
}

/* Without opening sources nothing is known of their chunks, but they end where mappings do. */
static cm_axis_grid virtual_grid(const cm_array *a, int axis)
{
    const vds *v = (const vds *)a;
    return (cm_axis_grid){.length = a->shape[axis],
                          .size = cm_max_i64(a->shape[axis], 1),
                          .ncuts = v->ncuts[axis],
                          .cuts = v->cuts[axis]};
}

static cm_read_cost virtual_cost(cm_array *a)
{
    vds *v = (vds *)a;
    cm_read_cost most = {0};
    for (size_t i = 0; i < v->nmappings; i++) {
        cm_array *array;
        const int *from;
        if (source_of(v, &v->mappings[i], &array, &from, NULL) || !array)
            continue; /* the read will say why */
        cm_read_cost c = cm_array_cost(array);
        if (c.max_chunk_nbytes > most.max_chunk_nbytes)
            most.max_chunk_nbytes = c.max_chunk_nbytes;
        if (c.max_encoded_nbytes > most.max_encoded_nbytes)
            most.max_encoded_nbytes = c.max_encoded_nbytes;
        if (c.max_scratch_nbytes > most.max_scratch_nbytes)
            most.max_scratch_nbytes = c.max_scratch_nbytes;
    }
    return most;
}

static void virtual_free(cm_array *a)
{
    vds *v = (vds *)a;
    for (size_t i = 0; i < v->nsources; i++) {
        cm_array_unref(v->sources[i].array);
        free(v->sources[i].file);
        free(v->sources[i].path);
    }
    for (int i = 0; i < CM_MAX_DIMS; i++)
        free(v->cuts[i]);
    pthread_mutex_destroy(&v->lock);
    cm_h5_file_unref(v->file);
    free(v->sources);
    free(v->mappings);
    free(v->runs);
    cm_array_deinit(a);
    free(v);
}

static const cm_array_vt virtual_vt = {.kind = "virtual",
                                       .plan = virtual_plan,
                                       .grid = virtual_grid,
                                       .cost = virtual_cost,
                                       .free = virtual_free};

/* ---- making ---------------------------------------------------------------------------------- */

/* A number for the axes of here that axes of the source become: the same source seen in two ways is
 * two sources. */
static uint64_t turn_of(const cm_h5_mapping *m)
{
    int64_t here[CM_MAX_DIMS], there[CM_MAX_DIMS];
    int from[CM_MAX_DIMS];
    for (int i = 0; i < m->here.ndim; i++)
        here[i] = selected(&m->here.axis[i]);
    for (int i = 0; i < m->there.ndim; i++)
        there[i] = selected(&m->there.axis[i]);
    if (m->whole || !cm_h5_align(m->there.ndim, there, m->here.ndim, here, from))
        return 0;
    uint64_t used = UINT64_C(1) << 63;
    for (int i = 0; i < m->here.ndim; i++) /* they keep their order */
        used |= (uint64_t)(from[i] >= 0) << i;
    return used;
}

static int add_source(vds *v, const cm_h5_mapping *m, cm_h5_map *seen, uint32_t *out, cm_error *err)
{
    uint64_t turned = turn_of(m), hash = 0xcbf29ce484222325u ^ turned, at;
    for (const char *p = m->file; *p; p++)
        hash = (hash ^ (uint8_t)*p) * 0x100000001b3u;
    for (const char *p = m->path; *p; p++)
        hash = (hash ^ (uint8_t)*p) * 0x100000001b3u;
    hash = hash == CM_H5_UNDEF ? 0 : hash;
    if (cm_h5_map_get(seen, hash, &at) && strcmp(v->sources[at].file, m->file) == 0 &&
        strcmp(v->sources[at].path, m->path) == 0 && v->sources[at].turned == turned) {
        *out = (uint32_t)at;
        return 0;
    }
    source *s = &v->sources[v->nsources];
    *out = (uint32_t)v->nsources++;
    s->turned = turned;
    s->file = cm_strdup(m->file, err);
    s->path = cm_strdup(m->path, err);
    return s->file && s->path ? cm_h5_map_put(seen, hash, *out, err) : CM_ENOMEM;
}

static cm_h5_slab keep_slab(const cm_h5_slab *slab, cm_h5_run **at)
{
    cm_h5_slab out = {.ndim = slab->ndim, .axis = *at};
    if (slab->ndim)
        memcpy(*at, slab->axis, (size_t)slab->ndim * sizeof **at);
    *at += slab->ndim;
    return out;
}

static int keep_mappings(vds *v, const cm_h5_dataset *d, cm_error *err)
{
    size_t nruns = 0;
    for (size_t i = 0; i < d->nmappings; i++)
        nruns += (size_t)d->mappings[i].here.ndim + (size_t)d->mappings[i].there.ndim;
    v->runs = cm_calloc(nruns + 1, sizeof *v->runs, err);
    v->mappings = cm_calloc(d->nmappings + 1, sizeof *v->mappings, err);
    v->sources = cm_calloc(d->nmappings + 1, sizeof *v->sources, err);
    if (!v->runs || !v->mappings || !v->sources)
        return CM_ENOMEM;
    cm_h5_map seen = {0};
    cm_h5_run *at = v->runs;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < d->nmappings; i++) {
        const cm_h5_mapping *m = &d->mappings[i];
        if (m->none)
            continue;
        mapping *to = &v->mappings[v->nmappings++];
        *to = (mapping){.whole = m->whole};
        to->here = keep_slab(&m->here, &at);
        to->there = keep_slab(&m->there, &at);
        rc = add_source(v, m, &seen, &to->source, err);
    }
    cm_h5_map_deinit(&seen);
    return rc;
}

static int by_value(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* The edges of all blocks along an axis, unless they are more than planners should look at. */
static int make_cuts(vds *v, int axis, cm_error *err)
{
    int64_t length = v->base.shape[axis], n = 2;
    for (size_t i = 0; i < v->nmappings; i++) {
        n += 2 * cm_min_i64(v->mappings[i].here.axis[axis].count, MAX_EDGES);
        if (n > MAX_EDGES)
            return 0;
    }
    int64_t *cuts = cm_calloc((size_t)n, sizeof *cuts, err);
    if (!cuts)
        return CM_ENOMEM;
    size_t k = 0;
    cuts[k++] = 0;
    cuts[k++] = length;
    for (size_t i = 0; i < v->nmappings; i++) {
        const cm_h5_run *r = &v->mappings[i].here.axis[axis];
        for (int64_t b = 0; b < r->count; b++) {
            cuts[k++] = cm_min_i64(r->start + b * r->stride, length);
            cuts[k++] = cm_min_i64(r->start + b * r->stride + r->block, length);
        }
    }
    qsort(cuts, k, sizeof *cuts, by_value);
    size_t kept = 1;
    for (size_t i = 1; i < k; i++)
        if (cuts[i] != cuts[kept - 1])
            cuts[kept++] = cuts[i];
    v->cuts[axis] = cuts;
    v->ncuts[axis] = kept > 2 ? (int64_t)kept - 1 : 0;
    return 0;
}

int cm_h5_virtual_new(cm_h5_scan *s, const cm_h5_dataset *d, cm_dtype dtype, const void *fill,
                      const char *path, cm_array **out, cm_error *err)
{
    int64_t shape[CM_MAX_DIMS];
    for (int i = 0; i < d->space.ndim; i++)
        shape[i] = (int64_t)d->space.dims[i];
    vds *v = cm_calloc(1, sizeof *v, err);
    int rc = v ? cm_array_init(&v->base, &virtual_vt, dtype, d->space.ndim, shape, fill,
                               s->file->uri, path, err)
               : CM_ENOMEM;
    if (rc) {
        free(v);
        return rc;
    }
    pthread_mutex_init(&v->lock, NULL);
    v->file = cm_h5_file_ref(s->file);
    rc = keep_mappings(v, d, err);
    for (int i = 0; rc == 0 && i < d->space.ndim; i++)
        rc = make_cuts(v, i, err);
    if (rc) {
        virtual_free(&v->base);
        return rc;
    }
    *out = &v->base;
    return 0;
}
