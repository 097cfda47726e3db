/* codec/utf32_cell.c: text in cells of fixed width: four bytes a character, filled up with zeros.
 */
#include <string.h>

#include "base/bytes.h"
#include "codec/utf32_cell.h"

uint32_t cm_utf8_next(const char *s, size_t *i)
{
    unsigned char c = (unsigned char)s[*i];
    unsigned extra = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;
    uint32_t point = extra ? c & (0x3fu >> extra) : c;
    for (unsigned k = 1; k <= extra; k++)
        point = point << 6 | ((unsigned char)s[*i + k] & 0x3f);
    *i += 1 + extra;
    return point;
}

bool cm_utf32_cell(const char *s, size_t n, uint32_t width, bool big_endian, uint8_t *cell)
{
    size_t i = 0, used = 0;
    memset(cell, 0, width);
    for (; i < n && used < width; used += 4) {
        uint32_t point = cm_utf8_next(s, &i);
        cm_store_le32(cell + used, big_endian ? __builtin_bswap32(point) : point);
    }
    return i == n;
}
