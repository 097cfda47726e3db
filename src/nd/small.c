/* nd/small.c: what the bits of small floats and integers mean (see chunkmill/dtype.h).
 *
 * All formats of ml_dtypes and of Zarr's extensions have one shape: sign, exponent, mantissa, with
 * subnormals; they differ in widths, bias, and in what the top codes are:
 *
 *     IEEE    the top exponent is infinity (mantissa 0) and NaN
 *     FN      finite; all ones is NaN
 *     FNUZ    finite, no negative zero: that code is the only NaN
 *     PLAIN   finite, no NaN at all (6 and 4 bits)
 *     E8M0    a power of two without sign or zero; all ones is NaN
 *     SIGNED, UNSIGNED   two's complement, or not
 *
 * Cells are a byte with the value in its lower bits; what is above does not count. These functions
 * serve printing and fill values, so the way back simply tries all codes.
 */
#include <math.h>
#include <string.h>

#include "chunkmill/dtype.h"

enum { IEEE, FN, FNUZ, PLAIN, E8M0, SIGNED, UNSIGNED };

static const struct format {
    cm_kind kind;
    uint8_t bits, mantissa, bias, style;
} formats[] = {
    {CM_BFLOAT16, 16, 7, 127, IEEE},      {CM_FLOAT8_E3M4, 8, 4, 3, IEEE},
    {CM_FLOAT8_E4M3, 8, 3, 7, IEEE},      {CM_FLOAT8_E4M3B11FNUZ, 8, 3, 11, FNUZ},
    {CM_FLOAT8_E4M3FN, 8, 3, 7, FN},      {CM_FLOAT8_E4M3FNUZ, 8, 3, 8, FNUZ},
    {CM_FLOAT8_E5M2, 8, 2, 15, IEEE},     {CM_FLOAT8_E5M2FNUZ, 8, 2, 16, FNUZ},
    {CM_FLOAT8_E8M0FNU, 8, 0, 127, E8M0}, {CM_FLOAT6_E2M3FN, 6, 3, 1, PLAIN},
    {CM_FLOAT6_E3M2FN, 6, 2, 3, PLAIN},   {CM_FLOAT4_E2M1FN, 4, 1, 1, PLAIN},
    {CM_INT2, 2, 0, 0, SIGNED},           {CM_INT4, 4, 0, 0, SIGNED},
    {CM_UINT2, 2, 0, 0, UNSIGNED},        {CM_UINT4, 4, 0, 0, UNSIGNED},
};

static const struct format *format_of(cm_kind kind)
{
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (formats[i].kind == kind)
            return &formats[i];
    return NULL;
}

static double value_of(const struct format *f, unsigned code)
{
    unsigned all = (1u << f->bits) - 1, top = 1u << (f->bits - 1);
    code &= all;
    if (f->style == UNSIGNED)
        return code;
    if (f->style == SIGNED)
        return (double)(int)code - (code & top ? (double)all + 1 : 0);
    if (f->style == E8M0)
        return code == all ? (double)NAN : ldexp(1, (int)code - f->bias);
    unsigned mantissa = code & ((1u << f->mantissa) - 1);
    unsigned exponent = (code & (top - 1)) >> f->mantissa, most = (top - 1) >> f->mantissa;
    if (f->style == IEEE && exponent == most)
        return mantissa ? (double)NAN : code & top ? -(double)INFINITY : (double)INFINITY;
    if ((f->style == FN && (code & (top - 1)) == top - 1) || (f->style == FNUZ && code == top))
        return (double)NAN;
    double v = exponent ? ldexp((double)(mantissa + (1u << f->mantissa)),
                                (int)exponent - f->bias - f->mantissa)
                        : ldexp((double)mantissa, 1 - f->bias - f->mantissa);
    return code & top ? -v : v;
}

double cm_small_value(cm_kind kind, const void *cell)
{
    const struct format *f = format_of(kind);
    uint16_t wide = 0;
    uint8_t narrow = 0;
    if (!f)
        return (double)NAN;
    if (f->bits > 8)
        memcpy(&wide, cell, 2);
    else
        memcpy(&narrow, cell, 1);
    return value_of(f, f->bits > 8 ? wide : narrow);
}

bool cm_small_from_double(cm_kind kind, double value, void *cell)
{
    const struct format *f = format_of(kind);
    if (!f)
        return false;
    unsigned n = 1u << f->bits, best = n;
    unsigned quiet = (n / 2 - 1) & ~((1u << f->mantissa) / 2 - 1);
    double distance = 0, largest = 0;
    for (unsigned code = 0; code < n; code++) {
        double v = value_of(f, code), d = fabs(v - value);
        if (isnan(value) || isnan(v)) {
            if (isnan(value) && isnan(v) && (f->style == IEEE ? code == quiet : best == n))
                best = code;
        } else if (isinf(value) || isinf(v)) {
            best = v == value ? code : best;
        } else {
            bool like = !signbit(v) == !signbit(value);
            largest = fabs(v) > largest ? fabs(v) : largest;
            if (best == n || d < distance || (d == distance && like && (v == 0 || code % 2 == 0)))
                best = code, distance = d;
        }
    }
    bool integer = f->style == SIGNED || f->style == UNSIGNED;
    if (best == n || (isfinite(value) && fabs(value) > largest) || (integer && distance > 0))
        return false;
    uint16_t wide = (uint16_t)best;
    uint8_t narrow = (uint8_t)best;
    if (f->style == SIGNED && value < 0) /* sign-extended, as ml_dtypes keeps them */
        narrow = (uint8_t)(best | (0xffu << f->bits & 0xffu));
    memcpy(cell, f->bits > 8 ? (void *)&wide : (void *)&narrow, f->bits > 8 ? 2 : 1);
    return true;
}
