/* verify/diff_array.h: comparing the cells of two arrays. */
#ifndef CM_VERIFY_DIFF_ARRAY_H
#define CM_VERIFY_DIFF_ARRAY_H

#include "array/array_private.h"
#include "verify/cells_compare.h"

/* A differing cell: its position in C order, and copies of both values (bytes for strings). */
typedef struct cm_found_diff {
    int64_t cell;
    void *a, *b;
    size_t na, nb; /* bytes */
} cm_found_diff;

typedef struct cm_array_diff {
    int64_t cells, differing;
    bool has_max;
    double max_abs;
    int nfirst;
    cm_found_diff first[CM_DIFF_FIRST]; /* the first ones in C order */
} cm_array_diff;

/* a and b have the same dtype and shape. Raises what reading raises. Free *out with
 * cm_array_diff_deinit in any case. */
int cm_array_compare(cm_context *ctx, cm_array *a, cm_array *b, double rtol, double atol,
                     cm_array_diff *out, cm_error *err);
void cm_array_diff_deinit(cm_array_diff *d);

#endif
