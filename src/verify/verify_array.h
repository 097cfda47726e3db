/* verify/verify_array.h: looking at every chunk of one array. */
#ifndef CM_VERIFY_VERIFY_ARRAY_H
#define CM_VERIFY_VERIFY_ARRAY_H

#include "array/array_private.h"
#include "chunkmill/verify.h"

enum { CM_VERIFY_FIRST = 10 };

/* A chunk to report. order: its number in C order of shards, then of chunks in the shard. */
typedef struct cm_found_chunk {
    int64_t order;
    char *key, *message; /* message NULL for a missing one */
} cm_found_chunk;

typedef struct cm_found_chunks {
    int n;
    cm_found_chunk first[CM_VERIFY_FIRST];
} cm_found_chunks;

/* chunks = present + missing + bad. */
typedef struct cm_array_check {
    int64_t chunks, present, missing, bad;
    cm_found_chunks missing_first, bad_first;
} cm_array_check;

/* Raises only what keeps the check from being done: CM_ENOMEM, CM_ELIMIT, CM_ECANCEL, CM_ECHANGED;
 * all else is a bad chunk. Free *out with cm_array_check_deinit in any case. */
int cm_array_check_chunks(cm_context *ctx, cm_array *array, cm_verify_level level,
                          cm_array_check *out, cm_error *err);
void cm_array_check_deinit(cm_array_check *check);

#endif
