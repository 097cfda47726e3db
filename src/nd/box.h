/* nd/box.h: boxes of cells, and index arithmetic on them. */
#ifndef CM_ND_BOX_H
#define CM_ND_BOX_H

#include <stdbool.h>
#include <stdint.h>

#include "chunkmill/dtype.h"

/* The cells lo[i] <= x[i] < lo[i] + n[i]. ndim 0 is one cell. */
typedef struct cm_box {
    int ndim;
    int64_t lo[CM_MAX_DIMS], n[CM_MAX_DIMS];
} cm_box;

/* The box [lo, lo + n) of ndim axes. */
cm_box cm_box_make(int ndim, const int64_t *lo, const int64_t *n);

/* *out = a and b; false (and *out undefined) when they share no cell. */
bool cm_box_intersect(const cm_box *a, const cm_box *b, cm_box *out);
bool cm_box_empty(const cm_box *a);

/* Number of cells, -1 on overflow of int64_t (negative lengths are a bug). */
int64_t cm_box_nelem(const cm_box *a);

/* Number of cells of a shape, -1 on overflow. */
int64_t cm_shape_nelem(int ndim, const int64_t *shape);

/* C-order strides in bytes of a shape. false on overflow. */
bool cm_strides_c(int ndim, const int64_t *shape, size_t size, int64_t *strides);

/* Odometer over the cells of box `n` (lengths, all >= 1), last axis fastest: i[] is advanced; false
 * after the last. Start from all zeros. For ndim 0 false at once (there is one cell). */
bool cm_next(int ndim, const int64_t *n, int64_t *i);

#endif
