/* array/shard_index.h: indexes of shards, loaded once and kept as long as memory allows.
 *
 * An index belongs to one version of one object. It is used only for reads that insist on that
 * version, so an index and the bytes it points to can never be of two different writes (see
 * store.h).
 */
#ifndef CM_ARRAY_SHARD_INDEX_H
#define CM_ARRAY_SHARD_INDEX_H

#include "array/array_private.h"

typedef struct cm_shard_index {
    int refcount; /* the cache's and the users' */
    cm_context *ctx;
    uint64_t charged; /* to the budget until the last reference goes */
    bool absent;      /* the object does not exist */
    cm_object_version version;
    size_t nchunks;
    /* Offset and nbytes of each inner chunk, C order; both UINT64_MAX: never written. */
    uint64_t *entries;
} cm_shard_index;

/* The index of the shard at [base, base + nbytes) of key (nbytes UINT64_MAX: the whole object),
 * which `chain` (a sharding one) describes. version: the one it must be of (zero: any). Release it
 * after use. granted: the caller has reserved cm_shard_index_cost for it; else its bytes are taken
 * from what is free. Raises CM_EDATA for an index that does not decode or points outside the shard,
 * CM_ELIMIT, CM_ECHANGED, CM_EIO. */
int cm_shard_index_get(cm_context *ctx, cm_store *store, const char *key, uint64_t base,
                       uint64_t nbytes, const cm_object_version *version, const cm_chain *chain,
                       bool absent_is_fill, bool granted, cm_shard_index **out, cm_error *err);

/* The most bytes that the indexes take through which a chunk is found: 0 without shards. */
uint64_t cm_shard_index_cost(const cm_chain *chain);
void cm_shard_index_release(cm_shard_index *index); /* NULL is legal */

/* Drop everything cached (after CM_ECHANGED). */
void cm_shard_indexes_forget(cm_context *ctx);

#endif
