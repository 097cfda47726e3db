/* format/hdf5/h5_extended.c: a variable with fewer records than its dimension.
 *
 *   inner       [ cells as stored ]
 *   extended    [ cells as stored | fill ]     and so on along every axis
 *
 * In netCDF-4 all variables along an unlimited dimension are as long as the longest; what a shorter
 * one lacks reads as its fill value. In the file the dataset keeps its own extent, and the cells
 * that its last chunks have beyond it mean nothing. A region is cut axis by axis: what lies beyond
 * the extent along an axis is fill, the rest goes on to the next axis, and the remaining box to the
 * inner array.
 */
#include <stdlib.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "format/hdf5/h5_model.h"

typedef struct extended {
    cm_array base;
    cm_array *inner;
} extended;

static int extended_plan(cm_array *a, const cm_box *region, const cm_frame *frame, cm_sink *sink,
                         cm_error *err)
{
    cm_array *inner = ((extended *)a)->inner;
    cm_box box = *region;
    for (int i = 0; i < a->ndim; i++) {
        int64_t end = box.lo[i] + box.n[i], have = inner->shape[i];
        if (end <= have)
            continue;
        cm_box beyond = box;
        beyond.lo[i] = cm_max_i64(box.lo[i], have);
        beyond.n[i] = end - beyond.lo[i];
        int rc = cm_sink_fill(sink, a, frame, beyond.lo, beyond.n, err);
        if (rc)
            return rc;
        box.n[i] = beyond.lo[i] - box.lo[i];
        if (box.n[i] == 0)
            return 0;
    }
    return cm_array_plan(inner, &box, frame, sink, err);
}

static cm_axis_grid extended_grid(const cm_array *a, int axis)
{
    cm_axis_grid g = cm_array_grid(((const extended *)a)->inner, axis);
    g.length = a->shape[axis];
    if (g.ncuts > 0) /* inner arrays are chunked ones: regular */
        g = (cm_axis_grid){.length = a->shape[axis], .size = cm_max_i64(a->shape[axis], 1)};
    return g;
}

static cm_read_cost extended_cost(cm_array *a)
{
    return cm_array_cost(((extended *)a)->inner);
}

static void extended_free(cm_array *a)
{
    cm_array_unref(((extended *)a)->inner);
    cm_array_deinit(a);
    free(a);
}

static cm_array *extended_first(const cm_array *a)
{
    return ((const extended *)a)->inner;
}

static const cm_array_vt extended_vt = {.kind = "extended",
                                        .plan = extended_plan,
                                        .grid = extended_grid,
                                        .cost = extended_cost,
                                        .free = extended_free,
                                        .first = extended_first,
                                        .first_is_whole = true};

int cm_h5_extended_new(cm_array *inner, const int64_t *shape, const void *fill, cm_array **out,
                       cm_error *err)
{
    *out = NULL;
    extended *e = cm_calloc(1, sizeof *e, err);
    int rc = e ? cm_array_init(&e->base, &extended_vt, inner->dtype, inner->ndim, shape, fill,
                               inner->label, inner->path, err)
               : CM_ENOMEM;
    if (rc) {
        cm_array_unref(inner);
        free(e);
        return rc;
    }
    e->inner = inner;
    e->base.raw = inner->raw;
    *out = &e->base;
    return 0;
}

cm_array *cm_h5_extended_inside(const cm_array *a)
{
    return a->vt == &extended_vt ? ((const extended *)a)->inner : NULL;
}
