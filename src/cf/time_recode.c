/* cf/time_recode.c: numbers along a time axis to instants and to other units, without error.
 *
 * A number v of units u means v * u + r nanoseconds, so in units w with reference s it is
 *
 *     (v * u + (r - s)) / w.
 *
 * For integers |v| < 2^64 the numerator fits 128 bits and the question is only whether w divides
 * it.
 *
 * A finite double is m * 2^e with an integer m below 2^53, so its numerator times 2^-e is an
 * integer too, of at most some 700 bits once absurdly small numbers are refused. It is computed as
 * such (an array of 64-bit limbs), divided by w with at least 56 bits of quotient, and rounded
 * once, half to even, the remainder deciding ties. No intermediate rounding exists, so equal
 * instants of different files become equal numbers whenever a double can hold them, and order is
 * never reversed.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cf/time_units.h"
#include "chunkmill/cf.h"

typedef unsigned __int128 u128;

#define LIMBS 16
#define MAX_SHIFT 560 /* of m * 2^e: |v| >= 2^-560 */

typedef struct big {
    uint64_t limb[LIMBS]; /* little end first */
} big;

bool cm_time_units_equal(const cm_time_units *a, const cm_time_units *b)
{
    return a->calendar == b->calendar && a->unit_ns == b->unit_ns && a->reference == b->reference;
}

cm_instant cm_time_of_int(const cm_time_units *u, __int128 v)
{
    return v * u->unit_ns + u->reference;
}

bool cm_time_recode_int(const cm_time_units *from, const cm_time_units *to, __int128 v,
                        __int128 *out)
{
    __int128 n = v * from->unit_ns + (from->reference - to->reference);
    *out = n / to->unit_ns;
    return n % to->unit_ns == 0;
}

static big big_of(u128 v, int shift)
{
    big b = {{0}};
    int i = shift / 64, s = shift % 64;
    b.limb[i] = (uint64_t)v << s;
    u128 rest = s ? v >> (64 - s) : v >> 64;
    b.limb[i + 1] = (uint64_t)rest;
    b.limb[i + 2] = (uint64_t)(rest >> 64);
    return b;
}

static int big_compare(const big *a, const big *b)
{
    for (int i = LIMBS - 1; i >= 0; i--)
        if (a->limb[i] != b->limb[i])
            return a->limb[i] < b->limb[i] ? -1 : 1;
    return 0;
}

static void big_add(big *a, const big *b)
{
    u128 carry = 0;
    for (int i = 0; i < LIMBS; i++) {
        carry += (u128)a->limb[i] + b->limb[i];
        a->limb[i] = (uint64_t)carry;
        carry >>= 64;
    }
}

/* a -= b, a >= b */
static void big_subtract(big *a, const big *b)
{
    uint64_t borrow = 0;
    for (int i = 0; i < LIMBS; i++) {
        u128 d = (u128)a->limb[i] - b->limb[i] - borrow;
        a->limb[i] = (uint64_t)d;
        borrow = (uint64_t)(d >> 64) != 0;
    }
}

static int big_bits(const big *a)
{
    for (int i = LIMBS - 1; i >= 0; i--)
        if (a->limb[i])
            return 64 * i + 64 - __builtin_clzll(a->limb[i]);
    return 0;
}

static void big_shift_left(big *a, int shift)
{
    int words = shift / 64, s = shift % 64;
    for (int i = LIMBS - 1; i >= 0; i--) {
        uint64_t hi = i >= words ? a->limb[i - words] : 0;
        uint64_t lo = i > words ? a->limb[i - words - 1] : 0;
        a->limb[i] = s ? hi << s | lo >> (64 - s) : hi;
    }
}

/* a /= d; the remainder */
static uint64_t big_divide(big *a, uint64_t d)
{
    u128 rest = 0;
    for (int i = LIMBS - 1; i >= 0; i--) {
        rest = rest << 64 | a->limb[i];
        a->limb[i] = (uint64_t)(rest / d);
        rest %= d;
    }
    return (uint64_t)rest;
}

/* The 54 highest bits of q (bits many), and whether anything below them is not zero. */
static uint64_t top_bits(const big *q, int bits, bool *rest)
{
    int drop = bits - 54;
    int word = drop / 64, s = drop % 64;
    uint64_t v = q->limb[word] >> s;
    if (s && word + 1 < LIMBS)
        v |= q->limb[word + 1] << (64 - s);
    for (int i = 0; i < word; i++)
        *rest = *rest || q->limb[i];
    *rest = *rest || (s && q->limb[word] << (64 - s));
    return v & ((UINT64_C(1) << 54) - 1);
}

/* n / (w * 2^shift), rounded half to even. */
static double divide(big *n, uint64_t w, int shift, bool *exact)
{
    int bits = big_bits(n);
    *exact = true;
    if (bits == 0)
        return 0;
    int more = 56 + 64 - bits;
    if (more > 0) {
        big_shift_left(n, more);
        shift += more;
    }
    bool rest = big_divide(n, w) != 0;
    bits = big_bits(n);
    uint64_t top = top_bits(n, bits, &rest);
    uint64_t half = top & 1;
    *exact = !rest && !half;
    top >>= 1;
    if (half && (rest || (top & 1)))
        top++;
    return ldexp((double)top, bits - 53 - shift);
}

/* v = mantissa * 2^e, the mantissa odd unless e >= 0; finite v. */
static int64_t split(double v, int *e)
{
    int64_t mantissa = (int64_t)ldexp(frexp(v, e), 53);
    *e -= 53;
    while (mantissa && *e < 0 && mantissa % 2 == 0) {
        mantissa /= 2;
        ++*e;
    }
    if (mantissa == 0)
        *e = 0;
    return mantissa;
}

bool cm_time_recode_double(const cm_time_units *from, const cm_time_units *to, double v,
                           double *out, bool *exact)
{
    int e;
    int64_t mantissa = split(v, &e);
    if (e > 10 || e < -MAX_SHIFT)
        return false;
    int shift = e < 0 ? -e : 0;
    cm_instant delta = from->reference - to->reference;
    bool minus = mantissa < 0, delta_minus = delta < 0;
    u128 scaled = (u128)(minus ? -mantissa : mantissa) * (uint64_t)from->unit_ns;
    big n = big_of(scaled, e > 0 ? e : 0);
    big d = big_of(delta_minus ? -(u128)delta : (u128)delta, shift);
    if (minus == delta_minus) {
        big_add(&n, &d);
    } else if (big_compare(&n, &d) >= 0) {
        big_subtract(&n, &d);
    } else {
        big_subtract(&d, &n);
        n = d;
        minus = delta_minus;
    }
    double r = divide(&n, (uint64_t)to->unit_ns, shift, exact);
    *out = minus && r != 0 ? -r : r;
    return true;
}

/* Seconds are the coarsest, since more would hide that the axis is too imprecise. */
static int64_t resolution(const cm_time_units *u, double v, bool is_float32)
{
    if (u->unit_ns < 1000)
        return 1;
    double spacing = is_float32 ? (double)(nextafterf(fabsf((float)v), INFINITY) - fabsf((float)v))
                                : nextafter(fabs(v), INFINITY) - fabs(v);
    double ns = spacing * (double)u->unit_ns / 2;
    return ns <= 1e3 ? 1000 : ns <= 1e6 ? 1000000 : 1000000000;
}

bool cm_time_of_double(const cm_time_units *u, double v, bool is_float32, cm_instant *out)
{
    if (!isfinite(v) || fabs(v) >= 0x1p63)
        return false;
    int e;
    int64_t mantissa = split(v, &e);
    cm_date unused;
    if (e >= 0) {
        *out = cm_time_of_int(u, (__int128)v);
        return cm_date_of_instant(u->calendar, *out, &unused);
    }
    /* |mantissa * unit| < 2^108, to be divided by 2^-e and rounded to whole ticks */
    int64_t tick = resolution(u, v, is_float32);
    u128 n = (u128)(mantissa < 0 ? -mantissa : mantissa) * (uint64_t)u->unit_ns;
    cm_instant ticks = 0;
    if (-e < 90) {
        u128 d = (u128)tick << -e;
        u128 q = n / d, r = n % d;
        if (r > d - r || (r == d - r && (q & 1)))
            q++;
        ticks = (cm_instant)q;
    }
    *out = u->reference + (mantissa < 0 ? -ticks : ticks) * tick;
    return cm_date_of_instant(u->calendar, *out, &unused);
}

bool cm_time_text(double value, const char *units, const char *calendar, char *buf, size_t size)
{
    cm_time_units u;
    cm_instant t;
    if (size > 0)
        buf[0] = 0;
    return cm_time_units_parse(units, calendar, &u, NULL) == 0 &&
           cm_time_of_double(&u, value, false, &t) && cm_instant_text(u.calendar, t, buf, size);
}
