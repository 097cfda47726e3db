/* codec/utf32_cell.h: text in cells of fixed width, as numpy's 'U' has it. */
#ifndef CM_CODEC_UTF32_CELL_H
#define CM_CODEC_UTF32_CELL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The character at s[*i], which is valid UTF-8; *i moves behind it. */
uint32_t cm_utf8_next(const char *s, size_t *i);

/* s[0..n), valid UTF-8, into a cell of width bytes, the rest of it zeros. False when it was cut. */
bool cm_utf32_cell(const char *s, size_t n, uint32_t width, bool big_endian, uint8_t *cell);

#endif
