/* join/filled.h: the cells of steps that no file has. */
#ifndef CM_JOIN_FILLED_H
#define CM_JOIN_FILLED_H

#include "join/match.h"
#include "join/order.h"

/* The part of variable i of ms that belongs to run number `run` of the axis, which is a filled one.
 * arrays: those of all files, in the first one's units. The axis's coordinate gets the missing
 * values, bounds of it what follows from their neighbours, everything else its fill value. Raises
 * CM_EJOIN for a variable that has no value for it, naming what to do; what reading bounds
 * raises. */
int cm_filled_array(cm_context *ctx, const cm_matches *ms, size_t i, const cm_order_axis *axis,
                    size_t run, cm_array *const *arrays, cm_array **out, cm_error *err);

#endif
