/* text/utf8.c: checking and writing UTF-8; see utf8.h. */
#include <string.h>

#include "text/utf8.h"

static inline bool tail(uint8_t b)
{
    return (b & 0xc0) == 0x80;
}

/* Bytes of the character at p (n of them left), 0 when there is none. */
static size_t character(const uint8_t *p, size_t n)
{
    uint8_t a = p[0];
    if (a < 0x80)
        return 1;
    if (a < 0xc2)
        return 0; /* a tail byte, or an overlong form of ASCII */
    if (a < 0xe0)
        return n >= 2 && tail(p[1]) ? 2 : 0;
    if (a < 0xf0) {
        if (n < 3 || !tail(p[1]) || !tail(p[2]))
            return 0;
        bool overlong = a == 0xe0 && p[1] < 0xa0, surrogate = a == 0xed && p[1] >= 0xa0;
        return overlong || surrogate ? 0 : 3;
    }
    if (a > 0xf4 || n < 4 || !tail(p[1]) || !tail(p[2]) || !tail(p[3]))
        return 0;
    bool overlong = a == 0xf0 && p[1] < 0x90, beyond = a == 0xf4 && p[1] >= 0x90;
    return overlong || beyond ? 0 : 4;
}

size_t cm_utf8_span(const char *s, size_t nbytes)
{
    const uint8_t *p = (const uint8_t *)s;
    size_t i = 0;
    while (i < nbytes) {
        uint64_t eight;
        if (nbytes - i >= 8) {
            memcpy(&eight, p + i, 8);
            if ((eight & 0x8080808080808080u) == 0) {
                i += 8;
                continue;
            }
        }
        size_t n = character(p + i, nbytes - i);
        if (n == 0)
            return i;
        i += n;
    }
    return nbytes;
}

bool cm_utf8_valid(const char *s, size_t nbytes)
{
    return cm_utf8_span(s, nbytes) == nbytes;
}

size_t cm_utf8_put(uint32_t c, char *out)
{
    uint8_t *b = (uint8_t *)out;
    if (c < 0x80) {
        b[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        b[0] = (uint8_t)(0xc0 | c >> 6);
        b[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        b[0] = (uint8_t)(0xe0 | c >> 12);
        b[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        b[2] = (uint8_t)(0x80 | (c & 0x3f));
        return 3;
    }
    b[0] = (uint8_t)(0xf0 | c >> 18);
    b[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    b[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    b[3] = (uint8_t)(0x80 | (c & 0x3f));
    return 4;
}
