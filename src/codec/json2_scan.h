/* codec/json2_scan.h: the numbers of a json2 chunk straight from its text. */
#ifndef CM_CODEC_JSON2_SCAN_H
#define CM_CODEC_JSON2_SCAN_H

#include "codec/elements.h"

/* Put the nelem numbers or bools of this text into dst, as the type says that the text has at its
 * end, which must be `width` bytes wide. False when anything is not as every encoder of numbers
 * writes it: dst is then undefined and the caller reads the text in the ordinary way, which knows
 * all of JSON and what is wrong with it. Never true for a text that is not JSON. */
bool cm_json2_scan(const char *text, size_t n, size_t nelem, uint32_t width, uint8_t *dst);

#endif
