/* array/blank.c: an array of one value: the steps that no file has.
 *
 * Every region of it is one fill piece. It is raw, since any part of it costs what that part costs,
 * and so takes no side where a concatenation looks for chunk boundaries across its axis; along it,
 * it shows the boundaries that it was given, so that a regular grid of parts stays regular.
 */
#include <stdlib.h>
#include <string.h>

#include "array/compose.h"
#include "base/bytes.h"
#include "base/memory.h"

typedef struct blank {
    cm_array base;
    int64_t chunk[CM_MAX_DIMS];
} blank;

static int blank_plan(cm_array *a, const cm_box *region, const cm_frame *frame, cm_sink *sink,
                      cm_error *err)
{
    return cm_sink_fill(sink, a, frame, region->lo, region->n, err);
}

static cm_axis_grid blank_grid(const cm_array *a, int axis)
{
    return (cm_axis_grid){.length = a->shape[axis], .size = ((const blank *)a)->chunk[axis]};
}

static cm_read_cost blank_cost(cm_array *a)
{
    return (cm_read_cost){.in_place = true,
                          .max_scratch_nbytes = cm_kind_is_vlen(a->dtype.kind) ? 1 << 20 : 0};
}

static void blank_free(cm_array *a)
{
    cm_array_deinit(a);
    free(a);
}

static const cm_array_vt blank_vt = {.kind = "blank",
                                     .plan = blank_plan,
                                     .grid = blank_grid,
                                     .cost = blank_cost,
                                     .free = blank_free};

bool cm_array_is_blank(const cm_array *a)
{
    return a->vt == &blank_vt;
}

int cm_array_blank(cm_dtype dtype, int ndim, const int64_t *shape, const int64_t *chunk,
                   const void *fill, const char *label, const char *path, cm_array **out,
                   cm_error *err)
{
    *out = NULL;
    blank *b = cm_calloc(1, sizeof *b, err);
    if (!b)
        return CM_ENOMEM;
    int rc = cm_array_init(&b->base, &blank_vt, dtype, ndim, shape, fill, label, path, err);
    for (int i = 0; rc == 0 && i < ndim; i++) {
        b->chunk[i] = chunk ? chunk[i] : cm_max_i64(shape[i], 1);
        if (b->chunk[i] < 1)
            rc = cm_error_set(err, CM_EINVAL, "chunk length %lld along axis %d",
                              (long long)b->chunk[i], i);
    }
    if (rc) {
        blank_free(&b->base);
        return rc;
    }
    b->base.raw = true;
    *out = &b->base;
    return 0;
}
