/* base/buffer.h: a growable byte string with a mandatory maximum.
 *
 * init never allocates and cannot fail; deinit is legal after it, twice, and on a zeroed struct.
 * data is NULL while empty. Growth doubles. Going over max is CM_ELIMIT, out of memory CM_ENOMEM;
 * both leave the content as it was.
 */
#ifndef CM_BASE_BUFFER_H
#define CM_BASE_BUFFER_H

#include <stddef.h>
#include <stdint.h>

#include "chunkmill/error.h"

/* Where bytes go that are made piece by piece: takes the next nbytes, or says why not. */
typedef int (*cm_write_fn)(void *to, const void *data, size_t nbytes, cm_error *err);

typedef struct cm_buffer {
    uint8_t *data;
    size_t nbytes, capacity, max;
} cm_buffer;

void cm_buffer_init(cm_buffer *b, size_t max);
void cm_buffer_deinit(cm_buffer *b);

/* Make room for nbytes more. */
int cm_buffer_reserve(cm_buffer *b, size_t nbytes, cm_error *err);
int cm_buffer_append(cm_buffer *b, const void *data, size_t nbytes, cm_error *err);
int cm_buffer_append_string(cm_buffer *b, const char *s, cm_error *err);
int cm_buffer_printf(cm_buffer *b, cm_error *err, const char *format, ...) CM_PRINTF(3, 4);

/* The content as a NUL-terminated string that the caller frees; b becomes empty. NULL when out of
 * memory. */
char *cm_buffer_take_string(cm_buffer *b);

#endif
