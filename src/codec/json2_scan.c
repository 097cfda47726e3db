/* codec/json2_scan.c: the numbers of a json2 chunk straight from its text.
 *
 *     [[1,2],[3,4],"<i4",[2,2]]
 *
 * A tree of such a text is twenty times its cells and took most of the time. Here the end is read
 * first (the shape, and the type before it), then number by number; a block of them is stored at
 * once. Only what encoders write is understood, and of that all: integers, decimals, exponents,
 * NaN, Infinity, true and false, lists in any nesting, spaces. Everything else is left to the tree,
 * so there is no error here, only "not mine": a number that its type cannot be, say.
 *
 * Doubles as in text/json_number.c: up to 2^53 over a power of ten up to 10^22 is exact in one
 * rounding, the rest goes to the C library.
 */
#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "codec/json2_scan.h"
#include "text/number_text.h"

enum { BLOCK = 512 /* numbers */, MOST_DIGITS = 19 /* never more than a uint64 */ };

typedef struct {
    const char *p, *end; /* what is left; end is not the text's end, so *end can be read */
    cm_elements e;
    int64_t least;
    uint64_t most;
} scanner;

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static bool word(scanner *s, const char *text)
{
    size_t n = strlen(text);
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, text, n) != 0)
        return false;
    s->p += n;
    return true;
}

/* Digits, at least one; the value is good while there are no more than MOST_DIGITS. */
static int digits(scanner *s, uint64_t *value)
{
    const char *begin = s->p;
    uint64_t v = *value;
    while (is_digit(*s->p)) /* *end is none */
        v = v * 10 + (uint64_t)(*s->p++ - '0');
    *value = v;
    return s->p - begin < 1000 ? (int)(s->p - begin) : 1000;
}

static bool integer(scanner *s, int64_t *out)
{
    bool negative = *s->p == '-';
    uint64_t v = 0;
    s->p += negative;
    const char *first = s->p;
    int n = digits(s, &v);
    if (n < 1 || n > MOST_DIGITS || (n > 1 && *first == '0') || *s->p == '.' || *s->p == 'e' ||
        *s->p == 'E')
        return false;
    if (negative ? v > 0 - (uint64_t)s->least : v > s->most)
        return false;
    *out = (int64_t)(negative ? 0 - v : v);
    return true;
}

static bool decimal(scanner *s, double *out)
{
    static const double power[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const char *begin = s->p;
    bool negative = *begin == '-', exponent = false;
    uint64_t v = 0;
    s->p += negative;
    const char *first = s->p;
    int n = digits(s, &v), fraction = 0;
    if (n == 0) {
        bool nan = !negative && word(s, "NaN");
        *out = nan ? (double)NAN : negative ? -(double)INFINITY : (double)INFINITY;
        return nan || word(s, "Infinity");
    }
    if (n > 1 && *first == '0')
        return false;
    if (*s->p == '.') {
        s->p++;
        fraction = digits(s, &v);
        if (!fraction)
            return false;
    }
    if (*s->p == 'e' || *s->p == 'E') {
        uint64_t ignored = 0;
        exponent = true;
        s->p++;
        s->p += *s->p == '+' || *s->p == '-';
        int length = digits(s, &ignored);
        if (length < 1 || length > 9)
            return false;
    }
    if (!exponent && n + fraction <= MOST_DIGITS && v <= (uint64_t)1 << 53 && fraction <= 22)
        *out = negative ? -((double)v / power[fraction]) : (double)v / power[fraction];
    else
        *out = cm_strtod(begin); /* ends where this did, at the latest at the type's comma */
    return true;
}

static bool boolean(scanner *s, int64_t *out)
{
    *out = *s->p == 't';
    return word(s, *out ? "true" : "false");
}

/* Read up to BLOCK numbers and the lists around them; *depth is that of the lists, *after says
 * whether a value has just ended. */
static bool block(scanner *s, int *depth, bool *after, int64_t *whole, double *real, size_t *n)
{
    bool floats = cm_kind_is_float(s->e.kind), bools = s->e.kind == CM_BOOL;
    for (*n = 0; s->p < s->end;) {
        char c = *s->p;
        if (is_space(c)) {
            s->p++;
        } else if (*after) {
            if (c != ',' && (c != ']' || --*depth < 1))
                return false;
            *after = c == ']';
            s->p++;
        } else if (c == '[') {
            if (++*depth > CM_MAX_DIMS)
                return false;
            s->p++;
        } else {
            if (*n == BLOCK)
                return true;
            if (*depth < 1)
                return false;
            if (!(floats  ? decimal(s, &real[*n])
                  : bools ? boolean(s, &whole[*n])
                          : integer(s, &whole[*n])))
                return false;
            *after = true;
            ++*n;
        }
    }
    return true;
}

/* The end of the text, backwards: ,"TYPE",[2,2]] and the number of cells. s->end is then at the
 * comma before the type. */
static bool ending(scanner *s, const char *text, size_t n, size_t nelem)
{
    char name[24];
    const char *p = text + n;
    while (p > text && is_space(p[-1]))
        p--;
    if (p - text < 8 || *--p != ']' || *--p != ']')
        return false;
    const char *close = p;
    while (p > text && *p != '[')
        p--;
    size_t cells = 1;
    scanner shape = {.p = p + 1, .end = close, .most = INT64_MAX};
    while (shape.p < close) {
        int64_t length;
        while (*shape.p == ' ')
            shape.p++;
        if (!integer(&shape, &length) || !cm_mul_size(cells, (size_t)length, &cells) ||
            (*shape.p != ',' && shape.p != close) || (*shape.p == ',' && shape.p + 1 == close))
            return false;
        shape.p += shape.p < close;
    }
    while (p > text && is_space(p[-1]))
        p--;
    if (cells != nelem || p - text < 4 || *--p != ',' || *--p != '"')
        return false;
    const char *last = p;
    while (p > text && p[-1] != '"')
        p--;
    size_t length = (size_t)(last - p);
    if (p - text < 3 || length >= sizeof name || memchr(p, '\\', length))
        return false;
    memcpy(name, p, length);
    name[length] = 0;
    p--;
    while (p > text && is_space(p[-1]))
        p--;
    if (p == text || *--p != ',')
        return false;
    s->end = p;
    return cm_elements_parse(name, "json2", &s->e, NULL) == 0;
}

bool cm_json2_scan(const char *text, size_t n, size_t nelem, uint32_t width, uint8_t *dst)
{
    int64_t whole[BLOCK];
    double real[BLOCK];
    scanner s = {.p = text};
    int depth = 0;
    bool after = false;
    size_t done = 0;
    if (!ending(&s, text, n, nelem) || s.e.size != width)
        return false;
    bool natural = cm_kind_is_unsigned(s.e.kind);
    s.least = natural ? 0 : INT64_MIN >> (64 - 8 * width);
    s.most = UINT64_MAX >> (64 - 8 * width + (natural ? 0 : 1));
    while (s.p < s.end) {
        size_t some;
        if (!block(&s, &depth, &after, whole, real, &some) || some > nelem - done)
            return false;
        uint8_t *to = dst + done * width;
        if (!cm_kind_is_float(s.e.kind))
            cm_elements_store_i64(&s.e, whole, some, to);
        else if (!cm_elements_store_f64(&s.e, real, some, to))
            return false;
        done += some;
    }
    return done == nelem && depth == 1 && after;
}
