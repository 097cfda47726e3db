/* array/bump.h: memory handed out in order and given back all at once: a sink's keys and boxes. */
#ifndef CM_ARRAY_BUMP_H
#define CM_ARRAY_BUMP_H

#include <stddef.h>

#include "chunkmill/error.h"

typedef struct cm_bump cm_bump;

cm_bump *cm_bump_new(cm_error *err);
void cm_bump_free(cm_bump *b);
void *cm_bump_dup(cm_bump *b, const void *p, size_t nbytes, cm_error *err); /* 8-byte aligned */
void cm_bump_reset(cm_bump *b); /* keeps the first slab */

#endif
