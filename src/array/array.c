/* array/array.c: what all arrays share: reference count, shape, fill value, and the calls through
 * the table of functions. The concrete arrays are chunked.c, callback.c, subset.c, concat.c and
 * map.c.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "array/array_private.h"
#include "base/memory.h"

/* dtype.size bytes; a string's bytes are copied. */
static int set_fill(cm_array *a, const void *fill, cm_error *err)
{
    size_t extra = 0;
    if (fill && cm_kind_is_vlen(a->dtype.kind))
        extra = ((const cm_string *)fill)->nbytes;
    void *p = cm_calloc(1, a->dtype.size + extra, err);
    if (!p)
        return CM_ENOMEM;
    if (fill) {
        memcpy(p, fill, a->dtype.size);
        if (cm_kind_is_vlen(a->dtype.kind)) {
            cm_string *s = p;
            char *bytes = (char *)p + a->dtype.size;
            if (extra)
                memcpy(bytes, s->data, extra);
            s->data = extra ? bytes : NULL;
        }
    }
    free(a->fill);
    a->fill = p;
    return 0;
}

/* Shape and names in one block: a cube of many files has an array for each variable of each. */
static int keep(cm_array *a, const int64_t *shape, const char *label, const char *path,
                cm_error *err)
{
    size_t lengths = (size_t)a->ndim * sizeof *shape;
    size_t n = label ? strlen(label) + 1 : 0, m = path ? strlen(path) + 1 : 0;
    char *p = cm_realloc(NULL, 1, lengths + n + m + 1, err);
    if (!p)
        return CM_ENOMEM;
    if (lengths)
        memcpy(p, shape, lengths);
    a->label = label ? memcpy(p + lengths, label, n) : NULL;
    a->path = path ? memcpy(p + lengths + n, path, m) : NULL;
    free(a->shape);
    a->shape = (int64_t *)(void *)p;
    return 0;
}

int cm_array_init(cm_array *a, const cm_array_vt *vt, cm_dtype dtype, int ndim,
                  const int64_t *shape, const void *fill, const char *label, const char *path,
                  cm_error *err)
{
    a->vt = vt;
    a->refcount = 1;
    a->dtype = dtype;
    cm_record_ref(dtype.record);
    if (ndim < 0 || ndim > CM_MAX_DIMS)
        return cm_error_set(err, CM_EUNSUP, "%d dimensions, at most %d are supported", ndim,
                            CM_MAX_DIMS);
    a->ndim = ndim;
    for (int i = 0; i < ndim; i++)
        if (shape[i] < 0)
            return cm_error_set(err, CM_EDATA, "negative length of dimension %d", i);
    if (cm_shape_nelem(ndim, shape) < 0)
        return cm_error_set(err, CM_EUNSUP, "more than 2^63 cells");
    return set_fill(a, fill, err) ? CM_ENOMEM : keep(a, shape, label, path, err);
}

int cm_array_set_names(cm_array *a, const char *label, const char *path, cm_error *err)
{
    return keep(a, a->shape, label, path, err);
}

void cm_array_deinit(cm_array *a)
{
    cm_record_unref(a->dtype.record);
    free(a->fill);
    free(a->shape);
}

cm_array *cm_array_ref(cm_array *a)
{
    __atomic_add_fetch(&a->refcount, 1, __ATOMIC_RELAXED);
    return a;
}

void cm_array_unref(cm_array *a)
{
    if (a && __atomic_sub_fetch(&a->refcount, 1, __ATOMIC_ACQ_REL) == 0)
        a->vt->free(a);
}

int cm_array_ndim(const cm_array *a)
{
    return a->ndim;
}

const int64_t *cm_array_shape(const cm_array *a)
{
    return a->shape;
}

cm_dtype cm_array_dtype(const cm_array *a)
{
    return a->dtype;
}

const void *cm_array_fill(const cm_array *a)
{
    return a->fill;
}

int cm_array_plan(cm_array *a, const cm_box *region, const cm_frame *frame, cm_sink *sink,
                  cm_error *err)
{
    assert(region->ndim == a->ndim);
    return a->vt->plan(a, region, frame, sink, err);
}

cm_axis_grid cm_array_grid(const cm_array *a, int axis)
{
    assert(axis >= 0 && axis < a->ndim);
    return a->vt->grid(a, axis);
}

cm_read_cost cm_array_cost(cm_array *a)
{
    return a->vt->cost(a);
}

int cm_array_resolve(cm_array *a, cm_array **out, cm_error *err)
{
    int r = 0;
    while (r == 0 && a->vt->resolve)
        r = a->vt->resolve(a, &a, err);
    *out = a;
    return r;
}

const cm_array *cm_array_leaf(const cm_array *a)
{
    for (const cm_array *first; a->vt->first && (first = a->vt->first(a));)
        a = first;
    return a;
}
