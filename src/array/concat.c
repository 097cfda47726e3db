/* array/concat.c: several arrays side by side along one axis.
 *
 *   parts    |---0---|-1-|------2------|
 *   begin    0       b1  b2            b3 = length
 *
 * A region is cut at the part boundaries; a binary search finds its first part, so one part of ten
 * thousand costs the same as one of ten. Parts of length 0 own nothing and are never asked.
 *
 * The grid. Along the joined axis the cuts are all parts' cuts, moved, and the boundaries between
 * parts; when every part has the same regular chunk length and every part but the last is a
 * multiple of it (daily files with one chunk a day), the grid stays regular and no list is made.
 * Along the other axes parts may have different chunks, and the grid has the boundaries common to
 * all of them: so a box between cuts holds only whole chunks of every part, which is what planners
 * want to know. For regular grids that is the least common multiple. Parts that are raw take no
 * side there, since any box of them reads at its own cost; the common case, all equal, is one
 * comparison per part.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array/compose.h"
#include "base/bytes.h"
#include "base/memory.h"

#define MAX_CUTS ((int64_t)1 << 24)

typedef struct axis_cuts {
    int64_t size, ncuts;
    int64_t *cuts; /* owned */
} axis_cuts;

typedef struct concat {
    cm_array base;
    int axis;
    size_t nparts;
    cm_array **parts;
    int64_t *begin; /* nparts + 1 */
    axis_cuts grid[CM_MAX_DIMS];
} concat;

/* The last part that begins at or before x: the one that holds x, since empty parts before it begin
 * there too. */
static size_t find_part(const concat *c, int64_t x)
{
    size_t lo = 0, hi = c->nparts;
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (c->begin[mid] <= x)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

static int concat_plan(cm_array *a, const cm_box *region, const cm_frame *frame, cm_sink *sink,
                       cm_error *err)
{
    const concat *c = (const concat *)a;
    const int ax = c->axis;
    const int64_t end = region->lo[ax] + region->n[ax];
    for (size_t k = find_part(c, region->lo[ax]); k < c->nparts && c->begin[k] < end; k++) {
        int64_t lo = cm_max_i64(region->lo[ax], c->begin[k]);
        int64_t hi = cm_min_i64(end, c->begin[k + 1]);
        if (lo >= hi)
            continue;
        cm_box box = *region;
        cm_frame inner = *frame;
        box.lo[ax] = lo - c->begin[k];
        box.n[ax] = hi - lo;
        inner.shift[ax] += c->begin[k];
        int rc = cm_array_plan(c->parts[k], &box, &inner, sink, err);
        if (rc)
            return rc;
    }
    return 0;
}

static cm_axis_grid concat_grid(const cm_array *a, int axis)
{
    const axis_cuts *g = &((const concat *)a)->grid[axis];
    return (cm_axis_grid){
        .length = a->shape[axis], .size = g->size, .ncuts = g->ncuts, .cuts = g->cuts};
}

/* Do chunks of part k span as much of the other axes as the grid's do? */
static bool spans_grid(const concat *c, size_t k)
{
    for (int i = 0; i < c->base.ndim; i++) {
        cm_axis_grid g = cm_array_grid(c->parts[k], i);
        if (i != c->axis && (g.ncuts || c->grid[i].ncuts || g.size != c->grid[i].size))
            return false;
    }
    return true;
}

static cm_read_cost concat_cost(cm_array *a)
{
    const concat *c = (const concat *)a;
    cm_read_cost most = {.in_place = true};
    for (size_t k = 0; k < c->nparts; k++) {
        if (c->begin[k] == c->begin[k + 1])
            continue;
        cm_read_cost one = cm_array_cost(c->parts[k]);
        if (one.max_chunk_nbytes > most.max_chunk_nbytes)
            most.max_chunk_nbytes = one.max_chunk_nbytes;
        if (one.max_encoded_nbytes > most.max_encoded_nbytes)
            most.max_encoded_nbytes = one.max_encoded_nbytes;
        if (one.max_scratch_nbytes > most.max_scratch_nbytes)
            most.max_scratch_nbytes = one.max_scratch_nbytes;
        most.in_place = most.in_place && one.in_place && (c->parts[k]->raw || spans_grid(c, k));
    }
    return most;
}

/* Also for one that is only half made. */
static void concat_free(cm_array *a)
{
    concat *c = (concat *)a;
    for (size_t k = 0; c->parts && k < c->nparts; k++)
        cm_array_unref(c->parts[k]);
    for (int i = 0; i < CM_MAX_DIMS; i++)
        free(c->grid[i].cuts);
    free(c->parts);
    free(c->begin);
    cm_array_deinit(a);
    free(c);
}

static cm_array *concat_first(const cm_array *a)
{
    return ((const concat *)a)->parts[0];
}

static const cm_array_vt concat_vt = {.kind = "concat",
                                      .plan = concat_plan,
                                      .grid = concat_grid,
                                      .cost = concat_cost,
                                      .free = concat_free,
                                      .first = concat_first};

/* ---- grids ----------------------------------------------------------------------------------- */

static int too_many(const concat *c, int axis, cm_error *err)
{
    cm_error_set(err, CM_ELIMIT, "axis %d of the joined array has more than %lld chunk boundaries",
                 axis, (long long)MAX_CUTS);
    cm_error_object(err, c->base.label);
    cm_error_variable(err, c->base.path);
    return CM_ELIMIT;
}

/* Number of chunks along the axis of a grid. */
static int64_t grid_count(const cm_axis_grid *g)
{
    if (g->length == 0)
        return 0;
    return g->ncuts ? g->ncuts : cm_ceil_div(g->length, g->size);
}

/* Position of cut i, 0 <= i <= count. */
static int64_t grid_cut(const cm_axis_grid *g, int64_t i)
{
    return g->ncuts ? g->cuts[i] : cm_min_i64(i * g->size, g->length);
}

/* Along the joined axis: regular if all parts fit one pattern. */
static bool joined_regular(const concat *c, int64_t *size)
{
    int64_t s = 0;
    for (size_t k = 0; k < c->nparts; k++) {
        int64_t length = c->begin[k + 1] - c->begin[k];
        if (length == 0)
            continue;
        cm_axis_grid g = cm_array_grid(c->parts[k], c->axis);
        if (g.ncuts)
            return false;
        bool last = c->begin[k + 1] == c->begin[c->nparts];
        /* The last part may be one short chunk, whatever its chunk length is called. */
        if (s == 0)
            s = last ? g.size : cm_min_i64(g.size, length);
        else if (cm_min_i64(g.size, length) != s && !(last && length <= s && g.size >= length))
            return false;
        if (!last && length % s != 0)
            return false;
    }
    *size = s ? s : 1;
    return true;
}

static int joined_axis(concat *c, cm_error *err)
{
    axis_cuts *out = &c->grid[c->axis];
    if (joined_regular(c, &out->size))
        return 0;
    int64_t total = 0;
    for (size_t k = 0; k < c->nparts; k++) {
        cm_axis_grid g = cm_array_grid(c->parts[k], c->axis);
        total += grid_count(&g); /* at most the length, which fits */
        if (total > MAX_CUTS)
            return too_many(c, c->axis, err);
    }
    out->cuts = cm_calloc((size_t)total + 1, sizeof *out->cuts, err);
    if (!out->cuts)
        return CM_ENOMEM;
    int64_t n = 0;
    for (size_t k = 0; k < c->nparts; k++) {
        cm_axis_grid g = cm_array_grid(c->parts[k], c->axis);
        for (int64_t i = 0; i < grid_count(&g); i++)
            out->cuts[n++] = c->begin[k] + grid_cut(&g, i);
    }
    out->cuts[n] = c->begin[c->nparts];
    out->ncuts = n;
    return 0;
}

static bool same_grid(const cm_axis_grid *a, const axis_cuts *b)
{
    if (a->ncuts != b->ncuts)
        return false;
    if (a->ncuts == 0)
        return cm_min_i64(a->size, cm_max_i64(a->length, 1)) ==
               cm_min_i64(b->size, cm_max_i64(a->length, 1));
    return memcmp(a->cuts, b->cuts, ((size_t)a->ncuts + 1) * sizeof *a->cuts) == 0;
}

/* Replace g by the boundaries that it has in common with other. */
static int common_cuts(concat *c, int axis, const cm_axis_grid *other, cm_error *err)
{
    axis_cuts *mine = &c->grid[axis];
    const int64_t length = c->base.shape[axis];
    if (mine->ncuts == 0 && other->ncuts == 0) {
        int64_t lcm;
        int64_t step = mine->size / cm_gcd_i64(mine->size, other->size);
        if (!cm_mul_i64(step, other->size, &lcm) || lcm > length)
            lcm = cm_max_i64(length, 1);
        mine->size = lcm;
        return 0;
    }
    const cm_axis_grid old = {
        .length = length, .size = mine->size, .ncuts = mine->ncuts, .cuts = mine->cuts};
    int64_t na = grid_count(&old), nb = grid_count(other), n = 0;
    int64_t most = cm_min_i64(na, nb);
    if (most > MAX_CUTS)
        return too_many(c, axis, err);
    int64_t *cuts = cm_calloc((size_t)most + 1, sizeof *cuts, err);
    if (!cuts)
        return CM_ENOMEM;
    for (int64_t i = 0, j = 0; i <= na && j <= nb;) {
        int64_t a = grid_cut(&old, i), b = grid_cut(other, j);
        if (a == b)
            cuts[n++] = a;
        i += a <= b;
        j += b <= a;
    }
    free(mine->cuts);
    mine->cuts = cuts;
    mine->ncuts = n - 1; /* both ends are common: n >= 2 since length > 0 */
    return 0;
}

static int other_axis(concat *c, int axis, cm_error *err)
{
    axis_cuts *mine = &c->grid[axis];
    const int64_t length = c->base.shape[axis];
    bool some = false;
    mine->size = cm_max_i64(length, 1);
    if (length == 0)
        return 0;
    for (size_t k = 0; k < c->nparts; k++) {
        if (c->begin[k] == c->begin[k + 1] || (c->parts[k]->raw && !c->base.raw))
            continue;
        cm_axis_grid g = cm_array_grid(c->parts[k], axis);
        if (some && same_grid(&g, mine))
            continue;
        int rc = 0;
        if (!some && g.ncuts == 0) {
            mine->size = g.size;
        } else if (!some) {
            mine->cuts = cm_memdup(g.cuts, ((size_t)g.ncuts + 1) * sizeof *g.cuts, err);
            mine->ncuts = g.ncuts;
            rc = mine->cuts ? 0 : CM_ENOMEM;
        } else {
            rc = common_cuts(c, axis, &g, err);
        }
        if (rc)
            return rc;
        some = true;
    }
    return 0;
}

/* ---- making ---------------------------------------------------------------------------------- */

static int differs(const cm_array *first, const cm_array *odd, cm_error *err, const char *what,
                   const char *have, const char *want)
{
    cm_error_set(err, CM_EJOIN, "%s is %s, but %s in %s", what, have, want,
                 first->label ? first->label : "the first part");
    cm_error_object(err, odd->label);
    cm_error_variable(err, odd->path);
    return CM_EJOIN;
}

static int check_part(const cm_array *first, const cm_array *part, int axis, cm_error *err)
{
    char a[64], b[64], what[64];
    if (!cm_dtype_equal(first->dtype, part->dtype))
        return differs(first, part, err, "dtype", cm_dtype_name(part->dtype, a, sizeof a),
                       cm_dtype_name(first->dtype, b, sizeof b));
    if (first->ndim != part->ndim) {
        snprintf(a, sizeof a, "%d", part->ndim);
        snprintf(b, sizeof b, "%d", first->ndim);
        return differs(first, part, err, "the number of dimensions", a, b);
    }
    for (int i = 0; i < first->ndim; i++)
        if (i != axis && first->shape[i] != part->shape[i]) {
            snprintf(what, sizeof what, "the length of axis %d", i);
            snprintf(a, sizeof a, "%lld", (long long)part->shape[i]);
            snprintf(b, sizeof b, "%lld", (long long)first->shape[i]);
            return differs(first, part, err, what, a, b);
        }
    return 0;
}

static int set_parts(concat *c, cm_array *const *parts, size_t n, int64_t *shape, bool *raw,
                     cm_error *err)
{
    c->parts = cm_calloc(n, sizeof *c->parts, err);
    c->begin = cm_calloc(n + 1, sizeof *c->begin, err);
    if (!c->parts || !c->begin)
        return CM_ENOMEM;
    *raw = true;
    for (size_t k = 0; k < n; k++) {
        int rc = check_part(parts[0], parts[k], c->axis, err);
        if (rc)
            return rc;
        if (!cm_add_i64(c->begin[k], parts[k]->shape[c->axis], &c->begin[k + 1]))
            return cm_error_set(err, CM_ELIMIT, "the joined axis is longer than 2^63 cells");
        c->parts[c->nparts++] = cm_array_ref(parts[k]);
        *raw = *raw && (parts[k]->raw || c->begin[k] == c->begin[k + 1]);
    }
    memcpy(shape, parts[0]->shape, (size_t)parts[0]->ndim * sizeof *shape);
    shape[c->axis] = c->begin[n];
    return 0;
}

int cm_array_concat(cm_array *const *parts, size_t n, int axis, cm_array **out, cm_error *err)
{
    int64_t shape[CM_MAX_DIMS];
    bool raw;
    *out = NULL;
    if (n == 0 || axis < 0 || axis >= parts[0]->ndim)
        return cm_error_set(err, CM_EINVAL, "nothing to join along axis %d", axis);
    concat *c = cm_calloc(1, sizeof *c, err);
    if (!c)
        return CM_ENOMEM;
    c->axis = axis;
    int rc = set_parts(c, parts, n, shape, &raw, err);
    if (rc)
        goto out;
    rc = cm_array_init(&c->base, &concat_vt, parts[0]->dtype, parts[0]->ndim, shape, parts[0]->fill,
                       parts[0]->label, parts[0]->path, err);
    if (rc)
        goto out;
    c->base.raw = raw;
    for (int i = 0; rc == 0 && i < c->base.ndim; i++)
        rc = i == axis ? joined_axis(c, err) : other_axis(c, i, err);
out:
    if (rc)
        concat_free(&c->base);
    else
        *out = &c->base;
    return rc;
}

bool cm_array_concat_parts(const cm_array *a, cm_array *const **parts, size_t *n, int *axis,
                           const int64_t **begins)
{
    if (a->vt != &concat_vt)
        return false;
    const concat *c = (const concat *)a;
    *parts = c->parts;
    *n = c->nparts;
    *axis = c->axis;
    *begins = c->begin;
    return true;
}
