/* array/expand.c: an array with one more axis, of length 1, before its own: what files are stacked
 * by.
 *
 * Its only index along the new axis is noted in the frame and taken off the region; the source is
 * asked in its own axes, and the executor puts the noted coordinates before those of the pieces
 * when it delivers their cells (exec.c). So leaves and codecs know nothing of it.
 */
#include <stdlib.h>
#include <string.h>

#include "array/compose.h"
#include "base/memory.h"

typedef struct expanded {
    cm_array base;
    cm_array *src;
} expanded;

static int expanded_plan(cm_array *a, const cm_box *region, const cm_frame *frame, cm_sink *sink,
                         cm_error *err)
{
    cm_frame inner = *frame;
    cm_box box = cm_box_make(a->ndim - 1, region->lo + 1, region->n + 1);
    inner.lead_at[inner.lead++] = region->lo[0] + frame->shift[0];
    memmove(inner.shift, frame->shift + 1, (size_t)(a->ndim - 1) * sizeof *inner.shift);
    return cm_array_plan(((expanded *)a)->src, &box, &inner, sink, err);
}

static cm_axis_grid expanded_grid(const cm_array *a, int axis)
{
    if (axis == 0)
        return (cm_axis_grid){.length = 1, .size = 1};
    return cm_array_grid(((const expanded *)a)->src, axis - 1);
}

static cm_read_cost expanded_cost(cm_array *a)
{
    return cm_array_cost(((expanded *)a)->src);
}

static void expanded_free(cm_array *a)
{
    cm_array_unref(((expanded *)a)->src);
    cm_array_deinit(a);
    free(a);
}

static cm_array *expanded_first(const cm_array *a)
{
    return ((const expanded *)a)->src;
}

static const cm_array_vt expanded_vt = {.kind = "expand",
                                        .plan = expanded_plan,
                                        .grid = expanded_grid,
                                        .cost = expanded_cost,
                                        .free = expanded_free,
                                        .first = expanded_first};

int cm_array_expand(cm_array *src, cm_array **out, cm_error *err)
{
    int64_t shape[CM_MAX_DIMS + 1] = {1};
    *out = NULL;
    expanded *e = cm_calloc(1, sizeof *e, err);
    if (!e)
        return CM_ENOMEM;
    memcpy(shape + 1, src->shape, (size_t)src->ndim * sizeof *shape);
    int rc = cm_array_init(&e->base, &expanded_vt, src->dtype, src->ndim + 1, shape, src->fill,
                           src->label, src->path, err);
    if (rc) {
        cm_array_deinit(&e->base);
        free(e);
        return rc;
    }
    e->base.raw = src->raw;
    e->src = cm_array_ref(src);
    *out = &e->base;
    return 0;
}

cm_array *cm_array_expand_source(const cm_array *a)
{
    return a->vt == &expanded_vt ? ((const expanded *)a)->src : NULL;
}
