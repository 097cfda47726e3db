/* base/block.h: large data buffers, kept and reused.
 *
 * A block is memory from mmap, so that freed blocks really leave the process and never fragment the
 * heap. Released blocks are kept for the next request as long as the kept bytes stay under the
 * cache's limit: in a steady state nothing is allocated per chunk. Taking a block does not touch
 * the budget: the work's own reservation covers it (see budget.h); kept idle blocks are bounded by
 * the cache's limit, which the context sets aside from max_memory.
 *
 * Threads: all functions may be called from any thread.
 */
#ifndef CM_BASE_BLOCK_H
#define CM_BASE_BLOCK_H

#include <stddef.h>

#include "chunkmill/error.h"

typedef struct cm_block_cache cm_block_cache;

/* data has at least nbytes bytes, page-aligned, content undefined. A zeroed cm_block is empty. */
typedef struct cm_block {
    void *data;
    size_t nbytes;
} cm_block;

int cm_block_cache_new(size_t max_idle, cm_block_cache **out, cm_error *err);
void cm_block_cache_free(cm_block_cache *c);

/* Get a block of nbytes or more. CM_ENOMEM. */
int cm_block_get(cm_block_cache *c, size_t nbytes, cm_block *out, cm_error *err);

/* Make *b at least nbytes large; its content is lost when it grows. */
int cm_block_ensure(cm_block_cache *c, cm_block *b, size_t nbytes, cm_error *err);

/* Give it back and make *b empty; an empty block is legal. */
void cm_block_put(cm_block_cache *c, cm_block *b);

#endif
