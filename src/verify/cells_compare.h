/* verify/cells_compare.h: are two runs of cells equal, and where do they differ first. */
#ifndef CM_VERIFY_CELLS_COMPARE_H
#define CM_VERIFY_CELLS_COMPARE_H

#include <stdbool.h>
#include <stdint.h>

#include "chunkmill/dtype.h"

enum { CM_DIFF_FIRST = 10 };

typedef struct cm_cells_diff {
    int64_t differing;
    int nfirst;
    int64_t first[CM_DIFF_FIRST]; /* the first differing cells, increasing */
    bool has_max;                 /* numbers were compared that are not NaN */
    double max_abs;               /* largest |a - b| of cells that are not bit for bit equal */
} cm_cells_diff;

/* Compare n contiguous native cells. rtol, atol both 0: bit for bit, but any NaN equals any NaN (in
 * complex numbers part by part). Otherwise floats and complex parts are equal also when both are
 * finite and |a - b| <= atol + rtol * |b|. Strings are compared by content. */
void cm_cells_compare(cm_dtype dtype, const void *a, const void *b, int64_t n, double rtol,
                      double atol, cm_cells_diff *out);

#endif
