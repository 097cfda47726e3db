/* base/block.h: large data buffers, kept and reused.
 *
 * A block is memory from mmap, so that freed blocks really leave the process and never fragment the
 * heap. Released blocks are kept for the next request: in a steady state nothing is allocated per
 * chunk. Taking a block does not touch the budget: the work's own reservation covers it (see
 * budget.h). What idle blocks may occupy is what nobody has reserved, plus a fixed slack that the
 * context sets aside from max_memory; beyond that they go back to the system at once. So a block
 * must be put before the reservation that covers it is given back.
 *
 * Threads: all functions may be called from any thread.
 */
#ifndef CM_BASE_BLOCK_H
#define CM_BASE_BLOCK_H

#include <stddef.h>

#include "base/budget.h"

typedef struct cm_block_cache cm_block_cache;

/* data has nbytes bytes, page-aligned, content undefined. A zeroed cm_block is empty. */
typedef struct cm_block {
    void *data;
    size_t nbytes;
    size_t excess; /* the cache's own: bytes that nobody asked for */
} cm_block;

/* budget NULL: idle blocks occupy at most slack bytes. Otherwise at most limit - taken + slack; the
 * cache must then be freed before the budget, and hooks itself to cm_budget_on_take. */
int cm_block_cache_new(cm_budget *budget, size_t slack, cm_block_cache **out, cm_error *err);
void cm_block_cache_free(cm_block_cache *c); /* NULL is legal; all blocks have been put */

/* Get a block of nbytes or more. CM_ENOMEM. */
int cm_block_get(cm_block_cache *c, size_t nbytes, cm_block *out, cm_error *err);

/* Make *b at least nbytes large; its content is lost when it grows, and *b is empty when that
 * fails. */
int cm_block_ensure(cm_block_cache *c, cm_block *b, size_t nbytes, cm_error *err);

/* Give it back and make *b empty; an empty block is legal. */
void cm_block_put(cm_block_cache *c, cm_block *b);

/* Bytes of idle blocks, for tests and progress. */
size_t cm_block_cache_idle(const cm_block_cache *c);

#endif
