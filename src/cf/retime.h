/* cf/retime.h: an array of times in the units of another.
 *
 * Threads: arrays are immutable once made.
 */
#ifndef CM_CF_RETIME_H
#define CM_CF_RETIME_H

#include "cf/packing.h"
#include "cf/time_units.h"

/* src, times in `from`, as times in `to` (same calendar, checked here by assert), same dtype.
 * Missing cells (NaN, infinite, fill values of the packing) stay as they are.
 *
 *   integers  exact or CM_EDATA with the value: when the instant is no whole number of units,
 *             does not fit the dtype, or would become a fill value
 *   float64   the double nearest to the exact value (cf/time_units.h)
 *   float32   exact or CM_EDATA: its 24 bits are too few to round in silence
 *
 * The packing must not be scaled. Raises CM_EUNSUP for other dtypes and scaled ones, CM_ENOMEM. */
int cm_array_retime(cm_array *src, const cm_packing *packing, const cm_time_units *from,
                    const cm_time_units *to, cm_array **out, cm_error *err);

#endif
