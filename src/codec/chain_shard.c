/* codec/chain_shard.c: a sharding chain around a chunk's, for arrays that we write ourselves: the
 * index at the end, little-endian with a crc32c, as every writer of shards does by default.
 */
#include <string.h>

#include "codec/codec_private.h"

int cm_chain_new_sharding(cm_chain *inner, const int64_t *shape, cm_chain **out, cm_error *err)
{
    cm_chain *c = NULL;
    cm_codec *crc = NULL;
    int64_t counts[CM_MAX_DIMS];
    int r = 0;
    if (inner->ndim >= CM_MAX_DIMS)
        r = cm_error_set(err, CM_EUNSUP, "shards of an array of %d dimensions", inner->ndim);
    for (int i = 0; i < inner->ndim && !r; i++) {
        counts[i] = shape[i] / inner->shape[i];
        if (counts[i] < 1 || shape[i] % inner->shape[i])
            r = cm_error_set(err, CM_EINVAL, "a shard's length is no multiple of the chunk's");
    }
    if (!r) /* not cm_chain_new, which refuses strings: their bytes are the inner chain's matter */
        r = cm_chain_alloc(inner->dtype, inner->ndim, shape, &c, err);
    if (!r) {
        c->a2b = CM_A2B_SHARDING;
        c->inner = cm_chain_ref(inner);
        counts[inner->ndim] = 2;
        r = cm_chain_new(cm_dtype_of(CM_UINT64, 0), inner->ndim + 1, counts, &c->index, err);
    }
    if (!r)
        r = cm_codec_new_crc32c(&crc, err);
    if (!r)
        r = cm_chain_append(c->index, crc, err);
    cm_chain_unref(inner);
    if (r) {
        cm_chain_unref(c);
        return r;
    }
    *out = c;
    return 0;
}
