/* cli/counts.h: numbers out of a report, which is JSON that the library made, and their plurals. */
#ifndef CM_CLI_COUNTS_H
#define CM_CLI_COUNTS_H

#include "chunkmill/json.h"

/* The member's whole number; 0 for one that is not there. */
int64_t cm_cli_number(const cm_json *object, const char *key);

/* "s" behind the name of what is counted, but for one of it. */
const char *cm_cli_plural(int64_t n);

#endif
