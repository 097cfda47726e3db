/* join/same.h: are arrays equal cell by cell, in bounded memory. */
#ifndef CM_JOIN_SAME_H
#define CM_JOIN_SAME_H

#include "array/array_private.h"

/* The first array of others[0..n) that differs from first: *odd, or n when all are equal. All have
 * first's dtype and shape. Bits count, except that any NaN equals any NaN; strings by content.
 * Reads first once and the others in parallel, block by block, a few MB at a time. An entry that is
 * first itself, or NULL, counts as equal. On an error *odd says which array it is about (n: first).
 */
int cm_same_arrays(cm_context *ctx, cm_array *first, cm_array *const *others, size_t n, size_t *odd,
                   cm_error *err);

#endif
