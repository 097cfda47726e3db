/* text/number_text.c: the shortest text of a number that reads back the same.
 *
 * printf with p significant digits gives the nearest decimal of p digits; the smallest p that reads
 * back is what we want. A normal double that has a text of 15 digits or fewer is found with p = 15
 * and its trailing zeros cut, since 15 digits always survive (6 for float); so p starts there.
 * Subnormals have fewer digits and start at 1. One trap: below a power of two the doubles are twice
 * as dense as above it, so that the nearest p-digit decimal may lie outside the interval that reads
 * back while its upper neighbour lies inside; for powers of two the neighbour is tried as well
 * (2^-44 is 5.684341886080802e-14, as Python says, and not ...8015e-14).
 *
 * Most numbers do not need printf. With p digits the value is D * 10^-k, D the integer next to
 * v * 10^k, and whether that reads back is whether it is within half a unit of v's last place.
 *
 * A double is m * 2^q, so that v * 10^k is m * 5^k * 2^(q+k), and m * 5^k is an integer of less
 * than 117 bits while k <= 27. So D and its distance are exact; half a unit is 5^k / 2 in the same
 * measure. p is 15, 16 or 17. Numbers too large for that, up to those that a float can be, have
 * k = -j < 0: D is the quotient of m * 2^(q-j), of less than 128 bits, and 5^j, so that the
 * remainder is exact, and half a unit is 2^(q-j) / 2 in its measure. (Fill values are often
 * float32's 1e20, which was a seventh of what virtualize did with a file.)
 *
 * For a float, double arithmetic will do while 10^k is exact there (k <= 22): the product is wrong
 * by less than 2^-53 of it, so D is certain unless that lies near the middle of two integers; and
 * D / 10^k is rounded as reading the text rounds it, unless it is the very middle of two floats. p
 * is 6 to 9.
 *
 * Whatever is not certain, and powers of two, take the slow way; both give the same digits.
 * Printing float32 went from 1.1 to 10 million a second, random float64 from 1.3 to 8.
 *
 * Layout as Python's repr: plain from 1e-4 to below 1e16 with at least one digit behind the point,
 * else d.ddde+XX. printf's decimal point depends on the locale and is skipped, whatever it is.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "text/json_private.h"
#include "text/number_text.h"

/* Digits without point; the value is 0.d1d2d3... x 10^point. */
typedef struct digits {
    char d[24];
    int n, point;
} digits;

static digits digits_of(double v, int precision)
{
    char text[64];
    digits g = {.n = 0};
    snprintf(text, sizeof text, "%.*e", precision - 1, v);
    const char *p = text;
    for (; *p != 'e'; p++)
        if (*p >= '0' && *p <= '9')
            g.d[g.n++] = *p;
    bool minus = *++p == '-';
    int e = 0;
    for (p++; *p; p++)
        e = e * 10 + (*p - '0');
    g.point = (minus ? -e : e) + 1;
    return g;
}

/* One more in the last digit. */
static void step_up(digits *g)
{
    int i = g->n - 1;
    while (i >= 0 && g->d[i] == '9')
        g->d[i--] = '0';
    if (i >= 0) {
        g->d[i]++;
    } else {
        g->d[0] = '1'; /* 99..9 became 100..0 */
        g->point++;
    }
}

static bool reads_back(const digits *g, double v, bool single)
{
    char text[48];
    snprintf(text, sizeof text, "%.*se%d", g->n, g->d, g->point - g->n);
    return single ? cm_strtof(text) == (float)v : cm_strtod(text) == v;
}

static const double power_of_ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                      1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                      1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
enum { MOST_POWER = sizeof power_of_ten / sizeof *power_of_ten - 1 };

/* v * 10^k and v / 10^-k, |k| <= MOST_POWER */
static double scaled(double v, int k)
{
    return k >= 0 ? v * power_of_ten[k] : v / power_of_ten[-k];
}

/* The largest e with 10^e <= v, for v within the powers; else far outside of them. */
static int decimal_exponent(double v)
{
    int binary, e;
    frexp(v, &binary);
    e = (int)floor((binary - 1) * 0.30102999566398120); /* right or one too small */
    if (e < -MOST_POWER - 1 || e >= MOST_POWER)
        return 10 * MOST_POWER;
    return v >= (e + 1 >= 0 ? power_of_ten[e + 1] : 1 / power_of_ten[-e - 1]) ? e + 1 : e;
}

/* The digits of n without the zeros at their end; its first digit has the value 10^exponent. */
static digits digits_of_integer(uint64_t n, int exponent)
{
    digits g = {.n = 0, .point = exponent + 1};
    char text[24], *end = text + sizeof text, *p = end;
    for (; n; n /= 10)
        *--p = (char)('0' + n % 10);
    while (end - p > 1 && end[-1] == '0')
        end--;
    g.n = (int)(end - p);
    memcpy(g.d, p, (size_t)g.n);
    return g;
}

static bool fast_float(double v, digits *g)
{
    int e = decimal_exponent(v);
    if (v < 0x1p-126)
        return false;
    for (int p = 6; p <= 9; p++) {
        int k = p - 1 - e;
        if (k > MOST_POWER || k < -MOST_POWER)
            return false;
        double product = scaled(v, k), n = floor(product), rest = product - n;
        if (fabs(rest - 0.5) < 1e-6)
            return false;
        n += rest > 0.5;
        double back = scaled(n, -k);
        uint64_t bits;
        memcpy(&bits, &back, sizeof bits);
        if ((bits & 0x1fffffff) == 0x10000000) /* between two floats */
            return false;
        if ((float)back == (float)v) {
            bool carried = n >= power_of_ten[p]; /* 9.999999 became 10.00000 */
            *g = digits_of_integer((uint64_t)n, e + carried);
            return true;
        }
    }
    return false;
}

static const uint64_t power_of_five[] = {1u,
                                         5u,
                                         25u,
                                         125u,
                                         625u,
                                         3125u,
                                         15625u,
                                         78125u,
                                         390625u,
                                         1953125u,
                                         9765625u,
                                         48828125u,
                                         244140625u,
                                         1220703125u,
                                         6103515625u,
                                         30517578125u,
                                         152587890625u,
                                         762939453125u,
                                         3814697265625u,
                                         19073486328125u,
                                         95367431640625u,
                                         476837158203125u,
                                         2384185791015625u,
                                         11920928955078125u,
                                         59604644775390625u,
                                         298023223876953125u,
                                         1490116119384765625u,
                                         7450580596923828125u};
enum { MOST_FIVES = sizeof power_of_five / sizeof *power_of_five - 1 };

__extension__ typedef unsigned __int128 wide;

/* m * 2^q >= 2^57 */
static bool fast_large(uint64_t m, int q, digits *g)
{
    uint64_t least = 100000000000000u;
    int e = (int)((q + 52) * 0.30102999566398120); /* of the first digit: right or one too small */
    int first = e - 14;
    if (q - first > 72 || first > MOST_FIVES)
        return false;
    e += ((wide)m << (q - first)) / power_of_five[first] >= 10 * least;
    for (int p = 15; p <= 17; p++, least *= 10) {
        int j = e + 1 - p, shift = q - j;
        if (j < 1 || j > MOST_FIVES || shift < 0)
            return false;
        wide value = (wide)m << shift, five = power_of_five[j], unit = (wide)1 << shift;
        uint64_t n = (uint64_t)(value / five);
        wide rest = value % five;
        if (n < least || n >= 10 * least)
            return false;
        bool up = 2 * rest > five; /* five is odd: never the middle */
        wide off = 2 * (up ? five - rest : rest);
        n += up;
        if (p == 17 || off < unit || (off == unit && m % 2 == 0)) {
            *g = digits_of_integer(n, e + (n == 10 * least));
            return true;
        }
    }
    return false;
}

static bool fast_double(double v, digits *g)
{
    uint64_t bits, least = 100000000000000u;
    memcpy(&bits, &v, sizeof bits);
    uint64_t m = (bits & (((uint64_t)1 << 52) - 1)) | (uint64_t)1 << 52;
    int q = (int)(bits >> 52) - 1075, e = decimal_exponent(v);
    if (q >= 5)
        return fast_large(m, q, g);
    for (int p = 15; p <= 17; p++, least *= 10) {
        int k = p - 1 - e, shift = -(q + k);
        if (k < 0 || k > MOST_FIVES || shift < 1 || shift > 120)
            return false;
        wide product = (wide)m * power_of_five[k], half = (wide)1 << (shift - 1);
        uint64_t n = (uint64_t)(product >> shift);
        wide rest = product - ((wide)n << shift);
        if (n < least || n >= 10 * least)
            return false;
        bool up = rest > half || (rest == half && n % 2 == 1);
        wide off = 2 * (up ? 2 * half - rest : rest);
        n += up;
        if (p == 17 || off < power_of_five[k] || (off == power_of_five[k] && m % 2 == 0)) {
            *g = digits_of_integer(n, e + (n == 10 * least));
            return true;
        }
    }
    return false;
}

/* v > 0 and finite. */
static digits shortest(double v, bool single)
{
    int sure = single ? 6 : 15, most = single ? 9 : 17, exponent;
    bool power_of_two = frexp(v, &exponent) == 0.5;
    bool subnormal = v < (single ? 0x1p-126 : 0x1p-1022);
    digits g = {.n = 0};
    if (!power_of_two && (single ? fast_float(v, &g) : fast_double(v, &g)))
        return g;
    for (int p = subnormal ? 1 : sure; p <= most; p++) {
        g = digits_of(v, p);
        if (reads_back(&g, v, single))
            break;
        if (power_of_two) {
            digits up = g;
            step_up(&up);
            if (reads_back(&up, v, single)) {
                g = up;
                break;
            }
        }
    }
    while (g.n > 1 && g.d[g.n - 1] == '0')
        g.n--;
    return g;
}

static char *lay_out(digits g, char *p)
{
    int e = g.point - 1;
    if (e < -4 || e >= 16) {
        *p++ = g.d[0];
        if (g.n > 1) {
            *p++ = '.';
            memcpy(p, g.d + 1, (size_t)g.n - 1);
            p += g.n - 1;
        }
        int length = snprintf(p, 8, "e%c%02d", e < 0 ? '-' : '+', e < 0 ? -e : e);
        return p + length;
    }
    if (g.point <= 0) {
        memcpy(p, "0.0000", 6);
        p += 2 - g.point;
    }
    for (int i = 0; i < g.n; i++) {
        if (i > 0 && i == g.point)
            *p++ = '.';
        *p++ = g.d[i];
    }
    for (int i = g.n; i < g.point; i++)
        *p++ = '0';
    if (g.n <= g.point) {
        *p++ = '.';
        *p++ = '0';
    }
    return p;
}

static char *number_text(double v, bool single, char *buf)
{
    char *p = buf;
    if (isnan(v))
        return memcpy(buf, "NaN", sizeof "NaN");
    if (signbit(v))
        *p++ = '-';
    v = fabs(v);
    if (isinf(v))
        memcpy(p, "Infinity", sizeof "Infinity");
    else if (v == 0)
        memcpy(p, "0.0", sizeof "0.0");
    else
        *lay_out(shortest(v, single), p) = 0;
    return buf;
}

char *cm_double_text(double v, char *buf)
{
    return number_text(v, false, buf);
}

char *cm_float_text(float v, char *buf)
{
    return number_text((double)v, true, buf);
}

cm_json *cm_json_new_double(cm_json_doc *doc, double v)
{
    char buf[32];
    cm_double_text(v, buf);
    return cm_json_new_number(doc, buf, strlen(buf));
}

cm_json *cm_json_new_int64(cm_json_doc *doc, int64_t v)
{
    char buf[32];
    int n = snprintf(buf, sizeof buf, "%lld", (long long)v);
    return cm_json_new_number(doc, buf, (size_t)n);
}

cm_json *cm_json_new_uint64(cm_json_doc *doc, uint64_t v)
{
    char buf[32];
    int n = snprintf(buf, sizeof buf, "%llu", (unsigned long long)v);
    return cm_json_new_number(doc, buf, (size_t)n);
}
