/* array/callback.c: an array whose cells the caller computes; see cm_array_from_callback. */
#include <stdlib.h>
#include <string.h>

#include "array/array_private.h"
#include "base/bytes.h"
#include "base/memory.h"

typedef struct callback {
    cm_array base;
    int64_t chunk[CM_MAX_DIMS];
    cm_fill_fn fn;
    void *user;
    void (*release)(void *user);
} callback;

/* One piece per chunk that the region touches, clipped to the region: fn is asked for no more than
 * is wanted. */
static int plan(cm_array *base, const cm_box *region, const cm_frame *frame, cm_sink *sink,
                cm_error *err)
{
    callback *a = (callback *)base;
    int nd = base->ndim;
    int64_t first[CM_MAX_DIMS], count[CM_MAX_DIMS], i[CM_MAX_DIMS] = {0};
    for (int k = 0; k < nd; k++) {
        first[k] = region->lo[k] / a->chunk[k];
        count[k] = (region->lo[k] + region->n[k] - 1) / a->chunk[k] - first[k] + 1;
    }
    int r = 0;
    do {
        int64_t lo[CM_MAX_DIMS], n[CM_MAX_DIMS];
        for (int k = 0; k < nd; k++) {
            int64_t from = (first[k] + i[k]) * a->chunk[k];
            lo[k] = cm_max_i64(from, region->lo[k]);
            n[k] = cm_min_i64(from + a->chunk[k], region->lo[k] + region->n[k]) - lo[k];
        }
        r = cm_sink_call(sink, base, frame, lo, n, a->fn, a->user, err);
    } while (!r && cm_next(nd, count, i));
    return r;
}

static cm_axis_grid grid(const cm_array *base, int axis)
{
    return (cm_axis_grid){.length = base->shape[axis],
                          .size = ((const callback *)base)->chunk[axis]};
}

static cm_read_cost cost(cm_array *base)
{
    const callback *a = (const callback *)base;
    uint64_t n = base->dtype.size;
    for (int i = 0; i < base->ndim; i++)
        n *= (uint64_t)cm_min_i64(a->chunk[i], cm_max_i64(base->shape[i], 1));
    return (cm_read_cost){.max_chunk_nbytes = n, .max_scratch_nbytes = 1 << 20};
}

static void free_callback(cm_array *base)
{
    callback *a = (callback *)base;
    if (a->release)
        a->release(a->user);
    cm_array_deinit(base);
    free(a);
}

static const cm_array_vt callback_vt = {
    .kind = "callback", .plan = plan, .grid = grid, .cost = cost, .free = free_callback};

int cm_array_from_callback(cm_dtype dtype, int ndim, const int64_t *shape, const int64_t *chunk,
                           cm_fill_fn fn, void *user, void (*release)(void *user), cm_array **out,
                           cm_error *err)
{
    if (cm_kind_is_vlen(dtype.kind) || dtype.kind == CM_NONE)
        return cm_error_set(err, CM_EINVAL, "a callback array cannot hold strings");
    callback *a = cm_calloc(1, sizeof *a, err);
    if (!a)
        return CM_ENOMEM;
    int r = cm_array_init(&a->base, &callback_vt, dtype, ndim, shape, NULL, "callback", NULL, err);
    for (int i = 0; i < ndim && !r; i++) {
        a->chunk[i] = chunk ? chunk[i] : cm_max_i64(shape[i], 1);
        if (a->chunk[i] < 1)
            r = cm_error_set(err, CM_EINVAL, "chunk length %lld along axis %d",
                             (long long)a->chunk[i], i);
    }
    if (r) {
        free_callback(&a->base);
        return r;
    }
    a->fn = fn;
    a->user = user;
    a->release = release;
    *out = &a->base;
    return 0;
}
