/* array/subset.c: a box of an array, seen as an array.
 *
 *   source   0 . . . start ============== start+count . . . length
 *   subset           0     ============== count
 *
 * Reading translates: a region of the subset is the same region of the source moved by `start`, and
 * the frame's shift takes the move back, so that pieces land where the reader wants them.
 *
 * The grid follows from the source's: its cuts inside the box, moved. Where the box starts on a
 * multiple of a regular chunk length the grid stays regular, which is by far the usual case (a
 * whole axis, or --isel time=0:100 with chunks of 10) and costs nothing; else the cuts are listed
 * once, at the making, since planners ask for them often. The list is bounded: an axis with more
 * than MAX_CUTS boundaries inside the box is refused, as its table would be.
 */
#include <stdlib.h>

#include "array/compose.h"
#include "base/bytes.h"
#include "base/memory.h"

#define MAX_CUTS ((int64_t)1 << 24)

typedef struct subset {
    cm_array base;
    cm_array *src;
    int64_t start[CM_MAX_DIMS];
    int64_t size[CM_MAX_DIMS];  /* regular axes */
    int64_t ncuts[CM_MAX_DIMS]; /* 0 on regular axes */
    int64_t *cuts[CM_MAX_DIMS]; /* owned; ncuts + 1 positions */
} subset;

static int subset_plan(cm_array *a, const cm_box *region, const cm_frame *frame, cm_sink *sink,
                       cm_error *err)
{
    const subset *s = (const subset *)a;
    cm_box box = *region;
    cm_frame inner = *frame;
    for (int i = 0; i < a->ndim; i++) {
        box.lo[i] += s->start[i];
        inner.shift[i] -= s->start[i];
    }
    return cm_array_plan(s->src, &box, &inner, sink, err);
}

static cm_axis_grid subset_grid(const cm_array *a, int axis)
{
    const subset *s = (const subset *)a;
    return (cm_axis_grid){.length = a->shape[axis],
                          .size = s->size[axis],
                          .ncuts = s->ncuts[axis],
                          .cuts = s->cuts[axis]};
}

static cm_read_cost subset_cost(cm_array *a)
{
    cm_read_cost cost = cm_array_cost(((subset *)a)->src);
    cost.in_place = cost.in_place && a->raw;
    return cost;
}

static void subset_free(cm_array *a)
{
    subset *s = (subset *)a;
    for (int i = 0; i < CM_MAX_DIMS; i++)
        free(s->cuts[i]);
    cm_array_unref(s->src);
    cm_array_deinit(a);
    free(s);
}

static cm_array *subset_first(const cm_array *a)
{
    return ((const subset *)a)->src;
}

static const cm_array_vt subset_vt = {.kind = "subset",
                                      .plan = subset_plan,
                                      .grid = subset_grid,
                                      .cost = subset_cost,
                                      .free = subset_free,
                                      .first = subset_first};

/* Room for `inside` positions between 0 and length, with both ends in place. */
static int64_t *new_cuts(int64_t inside, int64_t length, const cm_array *src, int axis,
                         cm_error *err)
{
    if (inside >= MAX_CUTS) {
        cm_error_set(err, CM_ELIMIT,
                     "axis %d has %lld chunk boundaries inside the subset, the limit is %lld", axis,
                     (long long)inside, (long long)MAX_CUTS);
        cm_error_hint(err, "start the subset on a multiple of the chunk length");
        cm_error_object(err, src->label);
        cm_error_variable(err, src->path);
        return NULL;
    }
    int64_t *cuts = cm_calloc((size_t)inside + 2, sizeof *cuts, err);
    if (cuts)
        cuts[inside + 1] = length;
    return cuts;
}

static int make_axis(subset *s, int axis, int64_t start, int64_t count, cm_error *err)
{
    const cm_axis_grid g = cm_array_grid(s->src, axis);
    int64_t first, inside;
    s->size[axis] = cm_max_i64(count, 1);
    if (count == 0)
        return 0;
    if (g.ncuts == 0) {
        if (start % g.size == 0) {
            s->size[axis] = g.size;
            return 0;
        }
        first = start / g.size + 1;
        int64_t last = (start + count - 1) / g.size;
        inside = last - first + 1;
    } else {
        first = 1;
        while (first < g.ncuts && g.cuts[first] <= start)
            first++;
        inside = 0;
        while (first + inside < g.ncuts && g.cuts[first + inside] < start + count)
            inside++;
    }
    if (inside <= 0)
        return 0; /* one chunk holds the whole length */
    s->cuts[axis] = new_cuts(inside, count, s->src, axis, err);
    if (!s->cuts[axis])
        return inside >= MAX_CUTS ? CM_ELIMIT : CM_ENOMEM;
    for (int64_t i = 0; i < inside; i++)
        s->cuts[axis][i + 1] = (g.ncuts ? g.cuts[first + i] : (first + i) * g.size) - start;
    s->ncuts[axis] = inside + 1;
    return 0;
}

int cm_array_subset(cm_array *src, const int64_t *start, const int64_t *count, cm_array **out,
                    cm_error *err)
{
    bool whole = true;
    *out = NULL;
    for (int i = 0; i < src->ndim; i++) {
        if (start[i] < 0 || count[i] < 0 || start[i] > src->shape[i] ||
            count[i] > src->shape[i] - start[i]) {
            cm_error_set(err, CM_EINVAL, "%lld cells from %lld of axis %d are not inside 0..%lld",
                         (long long)count[i], (long long)start[i], i, (long long)src->shape[i]);
            cm_error_object(err, src->label);
            cm_error_variable(err, src->path);
            return CM_EINVAL;
        }
        whole = whole && count[i] == src->shape[i];
    }
    if (whole) {
        *out = cm_array_ref(src);
        return 0;
    }
    subset *s = cm_calloc(1, sizeof *s, err);
    if (!s)
        return CM_ENOMEM;
    int rc = cm_array_init(&s->base, &subset_vt, src->dtype, src->ndim, count, src->fill,
                           src->label, src->path, err);
    if (rc) {
        cm_array_deinit(&s->base);
        free(s);
        return rc;
    }
    s->base.raw = src->raw;
    s->src = cm_array_ref(src);
    for (int i = 0; i < src->ndim; i++) {
        s->start[i] = start[i];
        rc = make_axis(s, i, start[i], count[i], err);
        if (rc) {
            subset_free(&s->base);
            return rc;
        }
    }
    *out = &s->base;
    return 0;
}

cm_array *cm_array_subset_source(const cm_array *a, const int64_t **start)
{
    if (a->vt != &subset_vt)
        return NULL;
    *start = ((const subset *)a)->start;
    return ((const subset *)a)->src;
}
