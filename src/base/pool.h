/* base/pool.h: worker threads and the parallel loop.
 *
 * cm_pool_for runs fn(arg, i, worker) for i in 0..n-1. The caller works too; idle pool threads join
 * in. So it may be called from inside another loop's fn: nobody waits for a free thread, only for
 * items that are already running. Indices are handed out in increasing order. The first error stops
 * the handing out, and is what comes back; cancellation of the context is checked before every
 * item. `worker` is in 0..max_workers-1 and no two items run at once with the same number: it
 * indexes scratch space.
 *
 * Threads: any thread may call cm_pool_for at any time.
 */
#ifndef CM_BASE_POOL_H
#define CM_BASE_POOL_H

#include <stdint.h>

#include "chunkmill/context.h"

typedef struct cm_pool cm_pool;

/* Do item i. err is never NULL, whatever the caller of the loop passed. */
typedef int (*cm_work_fn)(void *arg, int64_t i, int worker, cm_error *err);

/* nthreads threads beside the callers (0 is legal: everything runs in the caller). */
int cm_pool_new(int nthreads, cm_pool **out, cm_error *err);
void cm_pool_free(cm_pool *p);
int cm_pool_size(const cm_pool *p);

/* max_workers: at most so many at once, the caller included. err NULL is legal. */
int cm_pool_for(cm_pool *p, cm_context *ctx, int64_t n, int max_workers, cm_work_fn fn, void *arg,
                cm_error *err);

enum { CM_ALONE = -1 };

/* The same for items that may turn out to need more memory than they reserved. One that fails with
 * CM_ELIMIT, because others had what it needed, is done again with worker CM_ALONE: after all
 * others, one by one, in increasing order. So whether the loop succeeds does not depend on what ran
 * side by side. fn must bear being called again for such an item. (fit.c) */
int cm_pool_for_fit(cm_pool *p, cm_context *ctx, int64_t n, int max_workers, cm_work_fn fn,
                    void *arg, cm_error *err);

#endif
