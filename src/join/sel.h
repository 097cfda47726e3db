/* join/sel.h: indices by coordinate value. */
#ifndef CM_JOIN_SEL_H
#define CM_JOIN_SEL_H

#include "dataset/dataset_private.h"

/* The indices of the 1-D coordinate variable whose values lie in `text`, both ends included:
 * "-10:10", "5", "3:" for numbers; "2001/2010", "2001-02", "/2005-06-30T12" for times, where a
 * partial date is the whole of its period. They must be contiguous. *n is at least 1. Raises
 * CM_EINVAL (syntax; nothing selected, with the coordinate's range in the hint; not contiguous),
 * CM_EUNSUP (strings, unknown time units) and what reading raises. */
int cm_sel_find(cm_context *ctx, const cm_variable *coordinate, const char *text, size_t nbytes,
                int64_t *lo, int64_t *n, cm_error *err);

#endif
