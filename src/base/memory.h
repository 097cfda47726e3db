/* base/memory.h: allocation with checked sizes.
 *
 * Small things (metadata, tables) come from malloc through these, so that sizes cannot overflow and
 * a failure is an error with a text. Large data buffers come from the context's block cache
 * (base/block.h), which is charged to the budget. Memory from here is freed with free().
 */
#ifndef CM_BASE_MEMORY_H
#define CM_BASE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "chunkmill/error.h"

/* n * size bytes, zeroed, at least 1 byte; NULL with CM_ENOMEM set in err on failure or
 * overflow. */
void *cm_calloc(size_t n, size_t size, cm_error *err);

/* Resize p to n * size bytes; on failure p stays valid and NULL comes back. New bytes are not
 * zeroed. */
void *cm_realloc(void *p, size_t n, size_t size, cm_error *err);

/* Copies; NULL with CM_ENOMEM set on failure. strdup of NULL is NULL without an error. */
char *cm_strdup(const char *s, cm_error *err);
char *cm_strndup(const char *s, size_t nbytes, cm_error *err);
void *cm_memdup(const void *p, size_t nbytes, cm_error *err);

/* A new string by format; NULL with CM_ENOMEM set on failure. */
char *cm_sprintf(cm_error *err, const char *format, ...) CM_PRINTF(2, 3);

/* Grow the array *items of *capacity items of `size` bytes so that it holds need. Returns 0 or
 * CM_ENOMEM. */
int cm_grow(void *items_pointer, size_t *capacity, size_t need, size_t size, cm_error *err);

#endif
