/* nd/half.h: IEEE 754 binary16 in software. */
#ifndef CM_ND_HALF_H
#define CM_ND_HALF_H

#include <stdint.h>

/* Exact; a NaN keeps its sign and the bits of its payload. */
float cm_half_to_float(uint16_t half);

/* Round to nearest, ties to even; too large is infinity. A NaN keeps its sign and the upper bits of
 * its payload, and stays a NaN. */
uint16_t cm_float_to_half(float v);
uint16_t cm_double_to_half(double v);

#endif
