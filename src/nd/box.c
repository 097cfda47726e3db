/* nd/box.c: boxes of cells; see box.h.
 *
 * All of it is plain integer arithmetic on at most 32 axes. Products are checked, because shapes
 * come out of files: a product that does not fit is told by -1 or false, never wrapped. Ends of
 * boxes (lo + n) are not checked here: whoever makes a box knows that it lies inside a shape, or
 * inside the chunks that cover one, whose ends array/chunked.c checks.
 */
#include <assert.h>
#include <string.h>

#include "base/bytes.h"
#include "nd/box.h"

cm_box cm_box_make(int ndim, const int64_t *lo, const int64_t *n)
{
    assert(ndim >= 0 && ndim <= CM_MAX_DIMS);
    cm_box box;
    memset(&box, 0, sizeof box);
    box.ndim = ndim;
    for (int k = 0; k < ndim; k++) {
        box.lo[k] = lo[k];
        box.n[k] = n[k];
    }
    return box;
}

bool cm_box_intersect(const cm_box *a, const cm_box *b, cm_box *out)
{
    assert(a->ndim == b->ndim);
    int ndim = a->ndim;
    for (int k = 0; k < ndim; k++) {
        int64_t lo = cm_max_i64(a->lo[k], b->lo[k]);
        int64_t hi = cm_min_i64(a->lo[k] + a->n[k], b->lo[k] + b->n[k]);
        if (lo >= hi)
            return false;
        out->lo[k] = lo;
        out->n[k] = hi - lo;
    }
    out->ndim = ndim;
    return true;
}

bool cm_box_empty(const cm_box *a)
{
    for (int k = 0; k < a->ndim; k++)
        if (a->n[k] <= 0)
            return true;
    return false;
}

int64_t cm_box_nelem(const cm_box *a)
{
    return cm_shape_nelem(a->ndim, a->n);
}

int64_t cm_shape_nelem(int ndim, const int64_t *shape)
{
    int64_t product = 1;
    /* A zero length makes the product 0 even when the other lengths alone would overflow. */
    for (int k = 0; k < ndim; k++) {
        assert(shape[k] >= 0);
        if (shape[k] == 0)
            return 0;
    }
    for (int k = 0; k < ndim; k++)
        if (!cm_mul_i64(product, shape[k], &product))
            return -1;
    return product;
}

bool cm_strides_c(int ndim, const int64_t *shape, size_t size, int64_t *strides)
{
    if (size > INT64_MAX)
        return false;
    int64_t step = (int64_t)size;
    for (int k = ndim - 1; k >= 0; k--) {
        strides[k] = step;
        /* An axis of length zero steps as if it had one cell, so that no stride becomes zero. */
        if (!cm_mul_i64(step, shape[k] > 0 ? shape[k] : 1, &step))
            return false;
    }
    return true;
}

bool cm_next(int ndim, const int64_t *n, int64_t *i)
{
    for (int k = ndim - 1; k >= 0; k--) {
        if (++i[k] < n[k])
            return true;
        i[k] = 0;
    }
    return false;
}
