/* array/bump.h: memory handed out in order and given back all at once: a sink's keys and boxes, a
 * dataset's names. */
#ifndef CM_ARRAY_BUMP_H
#define CM_ARRAY_BUMP_H

#include <stddef.h>

#include "chunkmill/error.h"

typedef struct cm_bump cm_bump;

/* It grows by nbytes at a time. */
cm_bump *cm_bump_new(size_t nbytes, cm_error *err);
void cm_bump_free(cm_bump *b);
void *cm_bump_alloc(cm_bump *b, size_t nbytes, cm_error *err); /* 8-byte aligned, not zeroed */
void *cm_bump_zero(cm_bump *b, size_t nbytes, cm_error *err);
void *cm_bump_dup(cm_bump *b, const void *p, size_t nbytes, cm_error *err);
void cm_bump_reset(cm_bump *b); /* keeps the first slab */

#endif
