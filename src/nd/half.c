/* nd/half.c: half floats by integer arithmetic; see half.h.
 *
 * A half is 1 sign, 5 exponent (bias 15) and 10 fraction bits. Rounding works on the 53-bit
 * significand of a double: what is cut off is compared with one half of the last place. A float is
 * a double exactly, so there is one rounding only, from wherever the value comes. Carries out of
 * the fraction run into the exponent field, which is just what rounding up to the next power of
 * two, to the smallest normal or to infinity needs.
 */
#include <string.h>

#include "nd/half.h"

float cm_half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31,
             fraction = half & 0x3ff, bits;
    if (exponent == 31) {
        bits = sign | 0x7f800000u | fraction << 13;
    } else if (exponent != 0) {
        bits = sign | (exponent + 112) << 23 | fraction << 13;
    } else if (fraction == 0) {
        bits = sign;
    } else {
        /* Subnormal: fraction * 2^-24, normalised. */
        uint32_t shift = (uint32_t)__builtin_clz(fraction) - 21;
        bits = sign | (113 - shift) << 23 | (fraction << (shift + 13) & 0x7fffff);
    }
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

uint16_t cm_double_to_half(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    uint16_t sign = (uint16_t)(bits >> 48 & 0x8000);
    int exponent = (int)(bits >> 52 & 0x7ff);
    uint64_t fraction = bits & 0xfffffffffffffu;
    if (exponent == 0x7ff) {
        uint16_t payload = (uint16_t)(fraction >> 42);
        return (uint16_t)(sign | 0x7c00 | payload | (fraction != 0 && payload == 0));
    }
    int e = exponent - 1023; /* value = 1.fraction x 2^e */
    if (e > 15)
        return sign | 0x7c00;
    if (e < -25)
        return sign; /* below half of the smallest subnormal, 2^-25 */
    uint64_t significand = fraction | (uint64_t)1 << 52;
    int cut = e >= -14 ? 42 : 42 + (-14 - e);
    uint64_t kept = significand >> cut, rest = significand & (((uint64_t)1 << cut) - 1);
    uint64_t tie = (uint64_t)1 << (cut - 1);
    kept += rest > tie || (rest == tie && (kept & 1));
    /* A normal's kept bits hold the hidden one, worth one step of the exponent field. */
    return (uint16_t)(sign | (kept + (e >= -14 ? (uint64_t)(e + 14) << 10 : 0)));
}

uint16_t cm_float_to_half(float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    if ((bits & 0x7fffffff) > 0x7f800000) {
        /* By hand, since conversion to double would make a signalling NaN quiet. */
        uint16_t payload = (uint16_t)(bits >> 13 & 0x3ff);
        return (uint16_t)((bits >> 16 & 0x8000) | 0x7c00 | payload | (payload == 0));
    }
    return cm_double_to_half((double)v);
}
