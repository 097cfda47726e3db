/* codec/cast_number.h: one real number from a type to another, by the rules of cast_value. */
#ifndef CM_CODEC_CAST_NUMBER_H
#define CM_CODEC_CAST_NUMBER_H

#include "codec/scalar.h"

typedef enum cm_rounding {
    CM_NEAREST_EVEN,
    CM_TOWARDS_ZERO,
    CM_TOWARDS_POSITIVE,
    CM_TOWARDS_NEGATIVE,
    CM_NEAREST_AWAY
} cm_rounding;

typedef enum cm_out_of_range { CM_RANGE_ERROR, CM_RANGE_CLAMP, CM_RANGE_WRAP } cm_out_of_range;

/* An integer value, in doubles beyond 2^52 and for infinities and NaN: v itself. */
double cm_round_as(double v, cm_rounding how);

/* from[0..size) to out. False where there is no answer: out of range with CM_RANGE_ERROR, infinity
 * or NaN to a type that has none. A NaN to a NaN is the type's usual one. */
bool cm_cast_number(cm_kind from, const void *cell, cm_kind to, cm_rounding how,
                    cm_out_of_range range, cm_scalar *out);

#endif
