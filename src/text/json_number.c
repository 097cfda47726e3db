/* text/json_number.c: what the text of a JSON number is worth.
 *
 * Every finite decimal text is digits times a power of ten. Without the zeros at both ends of the
 * digits that form is unique, so exact comparison and the question "is this an int64?" need no
 * big-number arithmetic: 1, 1.0, 10e-1 and 0.1e1 all become 1 x 10^0.
 *
 * Doubles: up to 2^53 times or over a power of ten up to 10^22 is exact in one rounding (Clinger's
 * fast path); the rest goes to the C library, in the "C" locale whatever the program has set.
 */
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "text/json_private.h"
#include "text/number_text.h"

/* first..last: the digits that count, a '.' perhaps between them; ndigits without it. */
typedef struct decimal {
    bool finite, negative;
    const char *first, *last;
    size_t ndigits; /* 0: the number is zero */
    int64_t exponent;
} decimal;

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* text is a valid JSON number or one of the three tokens. */
static decimal decimal_of(const char *text)
{
    decimal d = {.finite = true};
    const char *p = text;
    d.negative = *p == '-';
    p += d.negative;
    if (!is_digit(*p)) {
        d.finite = false;
        return d;
    }
    const char *point = NULL;
    int64_t digits_after_first = 0, trailing = 0, fraction = 0;
    for (; is_digit(*p) || *p == '.'; p++) {
        if (*p == '.') {
            point = p;
            continue;
        }
        fraction += point != NULL;
        if (*p != '0') {
            if (!d.first)
                d.first = p, digits_after_first = 0;
            d.last = p;
            trailing = -1;
        }
        trailing++;
        digits_after_first++;
    }
    if (!d.first)
        return d;
    d.ndigits = (size_t)(digits_after_first - trailing);
    int64_t e = 0;
    if (*p == 'e' || *p == 'E') {
        bool minus = *++p == '-';
        p += *p == '-' || *p == '+';
        for (; is_digit(*p); p++)
            e = e * 10 + (*p - '0'); /* at most 9 digits, by the parser */
        e = minus ? -e : e;
    }
    d.exponent = e + trailing - fraction;
    return d;
}

static bool magnitude(const decimal *d, uint64_t *out)
{
    uint64_t v = 0;
    *out = 0;
    if (!d->finite)
        return false;
    if (d->ndigits == 0)
        return true;
    if (d->exponent < 0 || d->ndigits > 20 || d->exponent > 20 - (int64_t)d->ndigits)
        return false;
    for (const char *p = d->first; p <= d->last; p++)
        if (*p != '.' && (__builtin_mul_overflow(v, 10u, &v) ||
                          __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v)))
            return false;
    for (int64_t k = 0; k < d->exponent; k++)
        if (__builtin_mul_overflow(v, 10u, &v))
            return false;
    *out = v;
    return true;
}

bool cm_json_uint64(const cm_json *v, uint64_t *out)
{
    if (!cm_json_is(v, CM_JSON_NUMBER))
        return false;
    decimal d = decimal_of(v->u.text.data);
    uint64_t m;
    if (!magnitude(&d, &m) || (d.negative && m != 0))
        return false;
    *out = m;
    return true;
}

bool cm_json_int64(const cm_json *v, int64_t *out)
{
    if (!cm_json_is(v, CM_JSON_NUMBER))
        return false;
    decimal d = decimal_of(v->u.text.data);
    uint64_t m, most = d.negative ? (uint64_t)1 << 63 : INT64_MAX;
    if (!magnitude(&d, &m) || m > most)
        return false;
    *out = d.negative ? (int64_t)(0 - m) : (int64_t)m;
    return true;
}

double cm_strtod(const char *text)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* glibc: a static object */
    if (!c)
        return strtod(text, NULL);
    double v = strtod_l(text, NULL, c);
    freelocale(c);
    return v;
}

float cm_strtof(const char *text)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c)
        return strtof(text, NULL);
    float v = strtof_l(text, NULL, c);
    freelocale(c);
    return v;
}

bool cm_json_double(const cm_json *v, double *out)
{
    static const double power[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (!cm_json_is(v, CM_JSON_NUMBER))
        return false;
    const char *text = v->u.text.data;
    decimal d = decimal_of(text);
    if (!d.finite) {
        *out = text[0] == 'N' ? (double)NAN : d.negative ? -(double)INFINITY : (double)INFINITY;
        return true;
    }
    decimal digits = d;
    digits.exponent = 0;
    uint64_t m;
    if (d.ndigits == 0) {
        *out = d.negative ? -0.0 : 0.0;
    } else if (d.exponent >= -22 && d.exponent <= 22 && magnitude(&digits, &m) &&
               m <= (uint64_t)1 << 53) {
        double x = d.exponent < 0 ? (double)m / power[-d.exponent] : (double)m * power[d.exponent];
        *out = d.negative ? -x : x;
    } else {
        *out = cm_strtod(text);
    }
    return true;
}

bool cm_json_is_integer_text(const cm_json *v)
{
    if (!cm_json_is(v, CM_JSON_NUMBER))
        return false;
    const char *p = v->u.text.data;
    p += *p == '-';
    return p[strspn(p, "0123456789")] == 0;
}

bool cm_json_number_equal(const cm_json *a, const cm_json *b)
{
    decimal x = decimal_of(a->u.text.data), y = decimal_of(b->u.text.data);
    if (!x.finite || !y.finite)
        return strcmp(a->u.text.data, b->u.text.data) == 0;
    if (x.ndigits != y.ndigits)
        return false;
    if (x.ndigits == 0)
        return true;
    if (x.negative != y.negative || x.exponent != y.exponent)
        return false;
    const char *p = x.first, *q = y.first;
    for (; p <= x.last; p++, q++) {
        p += *p == '.';
        q += *q == '.';
        if (*p != *q)
            return false;
    }
    return true;
}
