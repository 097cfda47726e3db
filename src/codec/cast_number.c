/* codec/cast_number.c: one real number from a type to another, exactly by the rules of cast_value:
 * round, then see whether it is in range.
 *
 * A number goes as a double, which holds those of every type but integers of more than 53 bits;
 * these go as integers, and to a float as a double whose last bit says whether something was cut
 * off ("round to odd"), which no later rounding to fewer bits can tell from the number itself.
 *
 * Rounding to a float of p bits: the distance of its numbers near v is a power of two, so v divided
 * by it is rounded to an integer and multiplied again, all of it exact. The exponent is not bounded
 * meanwhile; so what lies beyond the largest number by less than half a distance may still round to
 * it, and the rest is out of range. The floats of 8 bits and less have their numbers looked up
 * instead.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "codec/cast_number.h"
#include "codec/elements.h"
#include "nd/half.h"

double cm_round_as(double v, cm_rounding how)
{
    switch (how) {
    case CM_TOWARDS_ZERO: return trunc(v);
    case CM_TOWARDS_POSITIVE: return ceil(v);
    case CM_TOWARDS_NEGATIVE: return floor(v);
    case CM_NEAREST_AWAY: return round(v);
    default: return rint(v);
    }
}

/* ---- to integers ----------------------------------------------------------------------------- */

/* Bits of a kind of integer, 0 for floats. */
static unsigned integer_bits(cm_kind kind)
{
    switch (kind) {
    case CM_INT2:
    case CM_UINT2: return 2;
    case CM_INT4:
    case CM_UINT4: return 4;
    default: return cm_kind_is_integer(kind) ? 8 * cm_dtype_of(kind, 0).size : 0;
    }
}

static bool is_unsigned(cm_kind kind)
{
    return cm_kind_is_unsigned(kind) || kind == CM_UINT2 || kind == CM_UINT4;
}

static void put_integer(cm_kind kind, uint64_t v, cm_scalar *out)
{
    unsigned bits = integer_bits(kind);
    if (bits < 8) { /* a byte, sign-extended */
        v &= (1u << bits) - 1;
        if (!is_unsigned(kind) && v >> (bits - 1))
            v |= 0xffu << bits & 0xffu;
        out->bytes[0] = (uint8_t)v;
        return;
    }
    cm_put_i64(kind, bits / 8, &(int64_t){(int64_t)v}, 1, out->bytes);
}

/* A magnitude that overflows 64 bits is given modulo 2^64 with huge. */
static bool to_integer(cm_kind to, bool negative, uint64_t magnitude, bool huge,
                       cm_out_of_range range, cm_scalar *out)
{
    unsigned bits = integer_bits(to);
    uint64_t high = is_unsigned(to) ? UINT64_MAX >> (64 - bits) : UINT64_MAX >> (65 - bits);
    uint64_t low = is_unsigned(to) ? 0 : high + 1; /* magnitude of the lowest */
    bool inside = !huge && magnitude <= (negative ? low : high);
    if (!inside && range == CM_RANGE_ERROR)
        return false;
    if (!inside && range == CM_RANGE_CLAMP)
        magnitude = negative ? low : high;
    put_integer(to, negative ? 0 - magnitude : magnitude, out);
    return true;
}

static bool real_to_integer(double v, cm_kind to, cm_rounding how, cm_out_of_range range,
                            cm_scalar *out)
{
    if (!isfinite(v))
        return false;
    v = cm_round_as(v, how);
    double size = fabs(v);
    return to_integer(to, v < 0, (uint64_t)fmod(size, 0x1p64), size >= 0x1p64, range, out);
}

/* ---- to floats ------------------------------------------------------------------------------- */

static bool put_real(cm_kind to, double v, cm_scalar *out)
{
    uint32_t bits;
    float f = (float)v;
    uint16_t top;
    switch (to) {
    case CM_FLOAT64: memcpy(out->bytes, &v, 8); return true;
    case CM_FLOAT32: memcpy(out->bytes, &f, 4); return true;
    case CM_FLOAT16:
        top = cm_double_to_half(v);
        memcpy(out->bytes, &top, 2);
        return true;
    case CM_BFLOAT16:
        memcpy(&bits, &f, 4);
        top = (uint16_t)(bits >> 16);
        memcpy(out->bytes, &top, 2);
        return true;
    default: return cm_small_from_double(to, v, out->bytes);
    }
}

static bool overflow(double v, cm_kind to, cm_out_of_range range, cm_scalar *out)
{
    return range == CM_RANGE_CLAMP &&
           put_real(to, v < 0 ? -(double)INFINITY : (double)INFINITY, out);
}

/* Floats of at most 8 bits: the numbers next to v, below and above, and one of them by rounding.
 * Where there is only one of them v is out of range; how far rounding would still reach that one is
 * not said for types whose largest number is not followed by infinity. */
static bool real_to_small(double v, cm_kind to, cm_rounding how, cm_out_of_range range,
                          cm_scalar *out)
{
    double below = -(double)INFINITY, above = (double)INFINITY;
    unsigned above_code = 0;
    for (unsigned code = 0; code < 256; code++) {
        uint8_t byte = (uint8_t)code;
        double x = cm_small_value(to, &byte);
        if (isfinite(x) && x <= v && x > below)
            below = x;
        if (isfinite(x) && x >= v && x < above) {
            above = x;
            above_code = code;
        }
    }
    if (!isfinite(below) || !isfinite(above))
        return overflow(v, to, range, out);
    double middle = below + (above - below) / 2; /* exact: few bits */
    bool tie_up = how == CM_NEAREST_AWAY ? v > 0 : !(above_code & 1);
    bool nearest_up = v > middle || (v == middle && tie_up);
    bool up = how == CM_TOWARDS_POSITIVE   ? true
              : how == CM_TOWARDS_NEGATIVE ? false
              : how == CM_TOWARDS_ZERO     ? v < 0
                                           : nearest_up;
    double r = up ? above : below;
    return cm_small_from_double(to, r == 0 ? copysign(0, v) : r, out->bytes) ||
           cm_small_from_double(to, r, out->bytes);
}

/* Bits of the significand, the exponent of the smallest normal number, the largest number. */
typedef struct {
    int precision, emin;
    double most;
} float_format;

static float_format format_of(cm_kind kind)
{
    switch (kind) {
    case CM_FLOAT16: return (float_format){11, -14, 65504};
    case CM_BFLOAT16: return (float_format){8, -126, 0x1.fep127};
    case CM_FLOAT32: return (float_format){24, -126, (double)FLT_MAX};
    default: return (float_format){53, -1022, DBL_MAX};
    }
}

static bool real_to_real(double v, cm_kind to, cm_rounding how, cm_out_of_range range,
                         cm_scalar *out)
{
    if (!isfinite(v) || v == 0 || to == CM_FLOAT64) {
        double back;
        if (!put_real(to, v, out))
            return false;
        back = cm_scalar_value(to, out);
        return isnan(v) ? isnan(back) : back == v;
    }
    if (to != CM_FLOAT16 && to != CM_BFLOAT16 && to != CM_FLOAT32)
        return real_to_small(v, to, how, range, out);
    float_format f = format_of(to);
    int e;
    frexp(v, &e); /* v is in [2^(e-1), 2^e) */
    int quantum = (e - 1 < f.emin ? f.emin : e - 1) - (f.precision - 1);
    double r = ldexp(cm_round_as(ldexp(v, -quantum), how), quantum);
    if (fabs(r) > f.most)
        return overflow(v, to, range, out);
    return put_real(to, r == 0 ? copysign(0, v) : r, out);
}

/* An integer of up to 64 bits, with what does not fit 53 in the last bit. */
static double rounded_to_odd(bool negative, uint64_t magnitude)
{
    int excess = magnitude >> 53 ? 11 - __builtin_clzll(magnitude) : 0;
    uint64_t kept = magnitude >> excess;
    if (kept << excess != magnitude)
        kept |= 1;
    double v = ldexp((double)kept, excess);
    return negative ? -v : v;
}

static bool integer_to_f64(bool negative, uint64_t magnitude, cm_rounding how, cm_scalar *out)
{
    int excess = magnitude >> 53 ? 11 - __builtin_clzll(magnitude) : 0;
    uint64_t kept = magnitude >> excess, rest = magnitude & (((uint64_t)1 << excess) - 1);
    uint64_t middle = excess ? (uint64_t)1 << (excess - 1) : 1;
    bool more = how == CM_TOWARDS_POSITIVE   ? !negative && rest
                : how == CM_TOWARDS_NEGATIVE ? negative && rest
                : how == CM_TOWARDS_ZERO     ? false
                                             : rest > middle || (rest == middle && excess &&
                                                             (how == CM_NEAREST_AWAY || kept & 1));
    double v = ldexp((double)(kept + more), excess);
    return put_real(CM_FLOAT64, negative ? -v : v, out);
}

bool cm_cast_number(cm_kind from, const void *cell, cm_kind to, cm_rounding how,
                    cm_out_of_range range, cm_scalar *out)
{
    cm_scalar s = {.word = 0};
    *out = s;
    memcpy(s.bytes, cell, cm_dtype_of(from, 0).size);
    if (from != CM_INT64 && from != CM_UINT64) {
        double v = cm_scalar_value(from, &s);
        return integer_bits(to) ? real_to_integer(v, to, how, range, out)
                                : real_to_real(v, to, how, range, out);
    }
    uint64_t magnitude;
    memcpy(&magnitude, s.bytes, 8);
    bool negative = from == CM_INT64 && magnitude >> 63;
    if (negative)
        magnitude = 0 - magnitude;
    if (integer_bits(to))
        return to_integer(to, negative, magnitude, false, range, out);
    return to == CM_FLOAT64
               ? integer_to_f64(negative, magnitude, how, out)
               : real_to_real(rounded_to_odd(negative, magnitude), to, how, range, out);
}
