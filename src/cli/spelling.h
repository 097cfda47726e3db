/* cli/spelling.h: which known word a mistyped one was meant to be. */
#ifndef CM_CLI_SPELLING_H
#define CM_CLI_SPELLING_H

#include <stddef.h>

/* Best word seen so far; start with {0}. */
typedef struct cm_cli_nearest {
    const char *word;
    size_t distance;
} cm_cli_nearest;

/* Look at one candidate. It is taken when few letters differ (a third of the longer word at most)
 * or when `typed`, three letters or more, is how it begins. */
void cm_cli_nearest_try(cm_cli_nearest *best, const char *typed, const char *candidate);

#endif
