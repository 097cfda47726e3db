/* Numbers as text: the shortest digits that read back, against printf and strtod in a loop.
 *
 * Floats and doubles of all bit patterns, and those that are decimals of few digits, which take
 * another way. Also what lies at the edges of both: powers of ten and of two, their neighbours,
 * the middles between two floats. CM_SEED gives another seed.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chunkmill/json.h"
#include "tap.h"

static uint64_t rng;

static uint64_t next(void)
{
    return tap_random(&rng);
}

/* The digits of a text without sign, point, exponent and the zeros at both ends. */
static void significant(const char *text, char *out)
{
    size_t n = 0;
    for (; *text && *text != 'e'; text++)
        if (*text >= '0' && *text <= '9' && (n > 0 || *text != '0'))
            out[n++] = *text;
    while (n > 1 && out[n - 1] == '0')
        n--;
    out[n] = '\0';
}

static bool equals(const char *text, double v, bool single)
{
    return single ? strtof(text, NULL) == (float)v : strtod(text, NULL) == v;
}

/* Does cm_float_text or cm_double_text give the digits that the smallest precision of printf gives?
 * A power of two may have fewer digits than printf's nearest. */
static bool is_shortest(double v, bool single)
{
    char text[40], mine[40], theirs[40], want[40];
    int p = 1, exponent;
    single ? cm_float_text((float)v, text) : cm_double_text(v, text);
    do
        snprintf(want, sizeof want, "%.*e", p - 1, v);
    while (!equals(want, v, single) && ++p <= 17);
    significant(text, mine);
    significant(want, theirs);
    bool even = fabs(frexp(v, &exponent)) == 0.5;
    bool good = equals(text, v, single) && (text[0] == '-') == !!signbit(v) &&
                (even ? strlen(mine) <= strlen(theirs) : strcmp(mine, theirs) == 0);
    if (!good)
        printf("# %a: %s, want the digits of %s\n", v, text, want);
    return good;
}

static double double_of(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static double float_of(uint32_t bits)
{
    float v;
    memcpy(&v, &bits, sizeof v);
    return (double)v;
}

/* A decimal of 1 to 17 digits somewhere between 1e-30 and 1e30. */
static double decimal(void)
{
    char text[64];
    uint64_t n = next() >> (next() % 61);
    snprintf(text, sizeof text, "%llue%d", (unsigned long long)(n % 100000000000000000u),
             (int)(next() % 61) - 40);
    return strtod(text, NULL);
}

static void random_numbers(void)
{
    int bad = 0;
    for (int i = 0; i < 100000 && bad < 10; i++) {
        double d = double_of(next()), f = float_of((uint32_t)next()), n = decimal();
        if (isfinite(d))
            bad += !is_shortest(d, false);
        if (isfinite(f))
            bad += !is_shortest(f, true);
        bad += !is_shortest(n, false);
        bad += !is_shortest((double)(float)n, true);
        bad += !is_shortest((double)(float)((double)(next() % 400000) / 1000 - 100), true);
    }
    TAP_EQ(bad, 0);
}

static void edges(void)
{
    int bad = 0;
    for (int e = -45; e <= 38; e++) {
        char text[16];
        snprintf(text, sizeof text, "1e%d", e);
        double ten = strtod(text, NULL), two = ldexp(1, 3 * e);
        for (int near = -3; near <= 3; near++) {
            double d = ten, t = two;
            float f = strtof(text, NULL), g = (float)two;
            for (int k = 0; k < abs(near); k++) {
                d = nextafter(d, near < 0 ? -INFINITY : INFINITY);
                t = nextafter(t, near < 0 ? -INFINITY : INFINITY);
                f = nextafterf(f, near < 0 ? -INFINITY : INFINITY);
                g = nextafterf(g, near < 0 ? -INFINITY : INFINITY);
            }
            bad += !is_shortest(d, false) + !is_shortest(t, false);
            bad += f != 0 && isfinite(f) && !is_shortest((double)f, true);
            bad += g != 0 && isfinite(g) && !is_shortest((double)g, true);
        }
    }
    for (int i = 0; i < 10000; i++) { /* 7 and 8 digits around the middle of two floats */
        float f = (float)float_of((uint32_t)(0x3f000000u + (next() & 0x3ffffff)));
        double middle = ((double)f + (double)nextafterf(f, INFINITY)) / 2;
        bad += !is_shortest((double)(float)middle, true) + !is_shortest(middle, false);
    }
    TAP_EQ(bad, 0);
}

int main(void)
{
    rng = tap_seed();
    TAP_RUN(random_numbers);
    TAP_RUN(edges);
    return tap_done();
}
