/* cli/celltext.h: cells as text that reads back to the same bits. */
#ifndef CM_CLI_CELLTEXT_H
#define CM_CLI_CELLTEXT_H

#include "chunkmill/dtype.h"
#include "cli/outstream.h"

/* Write one cell. Numbers as the shortest text that reads back the same (any NaN is NaN); strings
 * and fixed bytes quoted as in JSON, bytes without their trailing NULs, and as 0x... in hexadecimal
 * digits when they are not UTF-8. json: complex numbers are [re, im] instead of re+imj, such
 * bytes are {"hex": "..."}. */
void cm_cli_cell(cm_cli_out *out, cm_dtype dtype, const void *cell, bool json);

/* The same for kinds that are neither ordinary numbers nor strings: times as numpy prints them,
 * records as (a, b) or, in JSON, objects, opaque bytes as hex. */
void cm_cli_cell_other(cm_cli_out *out, cm_dtype dtype, const void *cell, bool json);

/* 0x... or {"hex": "..."}. */
void cm_cli_cell_hex(cm_cli_out *out, const char *bytes, size_t n, bool json);

/* The cell as a double: false for types without one (strings, bytes, complex). */
bool cm_cli_cell_double(cm_dtype dtype, const void *cell, double *v);

#endif
