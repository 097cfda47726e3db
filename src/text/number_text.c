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

/* v > 0 and finite. */
static digits shortest(double v, bool single)
{
    int sure = single ? 6 : 15, most = single ? 9 : 17, exponent;
    bool power_of_two = frexp(v, &exponent) == 0.5;
    bool subnormal = v < (single ? 0x1p-126 : 0x1p-1022);
    digits g = {.n = 0};
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
    else if (v < 1e15 && v == (double)(int64_t)v && !single)
        snprintf(p, 32, "%lld.0", (long long)v);
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
