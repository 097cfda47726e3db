/* codec/utf8.c: is this valid UTF-8? (RFC 3629)
 *
 * Almost all text in archives is ASCII, so eight bytes at a time are passed over while no top bit
 * is set; the rest goes by the table of well-formed sequences (Unicode standard, table 3-7), in
 * which only the second byte's range depends on the first.
 */
#include <string.h>

#include "codec/codec.h"

/* Length of the sequence that lead begins, and the range of its second byte; 0 if it begins none.
 */
static size_t sequence(uint8_t lead, uint8_t *low, uint8_t *high)
{
    *low = 0x80;
    *high = 0xbf;
    if (lead >= 0xc2 && lead <= 0xdf)
        return 2;
    if (lead >= 0xe0 && lead <= 0xef) {
        if (lead == 0xe0)
            *low = 0xa0; /* below: overlong */
        else if (lead == 0xed)
            *high = 0x9f; /* above: surrogates */
        return 3;
    }
    if (lead >= 0xf0 && lead <= 0xf4) {
        if (lead == 0xf0)
            *low = 0x90; /* below: overlong */
        else if (lead == 0xf4)
            *high = 0x8f; /* above: over U+10FFFF */
        return 4;
    }
    return 0;
}

bool cm_utf8_valid(const char *s, size_t nbytes)
{
    const uint8_t *p = (const uint8_t *)s;
    size_t i = 0;
    while (i < nbytes) {
        uint64_t word;
        if (nbytes - i >= sizeof word) {
            memcpy(&word, p + i, sizeof word);
            if (!(word & 0x8080808080808080u)) {
                i += sizeof word;
                continue;
            }
        }
        if (p[i] < 0x80) {
            i++;
            continue;
        }
        uint8_t low, high;
        size_t n = sequence(p[i], &low, &high);
        if (n == 0 || n > nbytes - i || p[i + 1] < low || p[i + 1] > high)
            return false;
        for (size_t k = 2; k < n; k++)
            if ((p[i + k] & 0xc0) != 0x80)
                return false;
        i += n;
    }
    return true;
}
