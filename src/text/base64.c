/* text/base64.c: base64, of fill values, references and chunks.
 *
 * Decoding takes only the canonical form, so a text decodes exactly when encoding gives it back,
 * and a `_FillValue` can be told from one that merely looks like base64. Each character is a value
 * whose top bit says that it is none of the alphabet; these bits are gathered and looked at once.
 */
#include "text/base64.h"

#include <string.h>

const char cm_base64_digits[65] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

enum { NONE = 0x80 };

size_t cm_base64_nbytes(size_t n)
{
    return (n + 2) / 3 * 4;
}

void cm_base64_encode(const void *data, size_t n, char *out)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < n; i += 3, out += 4) {
        size_t left = n - i;
        uint32_t group = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
                         (left > 2 ? p[i + 2] : 0u);
        out[0] = cm_base64_digits[group >> 18];
        out[1] = cm_base64_digits[group >> 12 & 63];
        out[2] = left > 1 ? cm_base64_digits[group >> 6 & 63] : '=';
        out[3] = left > 2 ? cm_base64_digits[group & 63] : '=';
    }
}

/* The value of each character, NONE for others. */
static void make_values(uint8_t *values)
{
    memset(values, NONE, 256);
    for (uint8_t i = 0; i < 64; i++)
        values[(uint8_t)cm_base64_digits[i]] = i;
}

/* Groups of four without padding, three bytes each. */
static bool decode_groups(const uint8_t *p, size_t ngroups, uint8_t *out, const uint8_t *values)
{
    uint8_t seen = 0;
    for (size_t i = 0; i < ngroups; i++, p += 4, out += 3) {
        uint8_t a = values[p[0]], b = values[p[1]], c = values[p[2]], d = values[p[3]];
        seen |= a | b | c | d;
        uint32_t v = (uint32_t)a << 18 | (uint32_t)b << 12 | (uint32_t)c << 6 | d;
        out[0] = (uint8_t)(v >> 16);
        out[1] = (uint8_t)(v >> 8);
        out[2] = (uint8_t)v;
    }
    return !(seen & NONE);
}

bool cm_base64_decode_size(const char *s, size_t n, size_t *nbytes)
{
    *nbytes = n / 4 * 3;
    if (n % 4)
        return false;
    if (n && s[n - 1] == '=')
        *nbytes -= s[n - 2] == '=' ? 2 : 1;
    return true;
}

bool cm_base64_decode(const char *s, size_t n, void *out, size_t *nbytes)
{
    uint8_t values[256], last[4], bytes[3];
    if (!cm_base64_decode_size(s, n, nbytes))
        return false;
    if (n == 0)
        return true;
    size_t head = n / 4 - 1, pad = n / 4 * 3 - *nbytes;
    make_values(values);
    memcpy(last, s + n - 4, 4);
    memset(last + 4 - pad, 'A', pad);
    if (!decode_groups((const uint8_t *)s, head, out, values) ||
        !decode_groups(last, 1, bytes, values) || (pad > 0 && bytes[2]) || (pad > 1 && bytes[1]))
        return false;
    memcpy((uint8_t *)out + 3 * head, bytes, 3 - pad);
    return true;
}
