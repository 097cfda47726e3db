/* verify/blocks.h: an array cut into boxes that are read one at a time, in parallel. */
#ifndef CM_VERIFY_BLOCKS_H
#define CM_VERIFY_BLOCKS_H

#include "array/array_private.h"

typedef struct cm_blocks {
    int ndim;
    int64_t shape[CM_MAX_DIMS]; /* of the array */
    int64_t size[CM_MAX_DIMS];  /* of a block; the last ones are clipped */
    int64_t count[CM_MAX_DIMS]; /* blocks along each axis */
    int64_t n;                  /* all blocks; 0 for an array without cells */
    uint64_t nbytes;            /* of the cells of a whole block */
    int workers;                /* how many may be at work at once within the budget */
    uint64_t grant;             /* scratch for reading a block, part of each worker's reservation */
} cm_blocks;

/* Cut the common shape of narrays arrays (each of a worker's buffers holds a block of one of them)
 * so that blocks follow the larger chunks, and size the workers to half the context's budget. */
void cm_blocks_init(cm_blocks *b, cm_context *ctx, cm_array *const *arrays, int narrays);

/* The i-th block, in C order. */
cm_box cm_blocks_box(const cm_blocks *b, int64_t i);

/* What a worker takes from the budget before it starts: buffers for narrays blocks and scratch. */
uint64_t cm_blocks_reservation(const cm_blocks *b, int narrays);

#endif
