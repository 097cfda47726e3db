/* array/grid.h: chunk grids whose chunks have different lengths: Zarr's "rectilinear".
 *
 *     axis 0   |   31   |  28  |   31   |        listed: where each chunk begins
 *     axis 1   | 72 | 72 | 72 |                  regular: one length
 *
 * A chunk's shape is a length of each axis, so there are as many chains as there are combinations
 * of lengths, each with its own chunk shape. The last chunk of an axis may reach beyond the array.
 */
#ifndef CM_ARRAY_GRID_H
#define CM_ARRAY_GRID_H

#include "codec/codec.h"

typedef struct cm_grid_axis {
    int64_t n;         /* chunks that hold cells */
    int64_t size;      /* of all of them; 0: listed */
    int64_t *cuts;     /* n + 1 positions, from 0 to the array's length; NULL when regular */
    uint32_t *kinds;   /* of each chunk: which of the lengths */
    int64_t *lengths;  /* that occur, increasing; the chunks' own, also where they reach beyond */
    uint32_t nlengths; /* 1 at least */
} cm_grid_axis;

typedef struct cm_grid {
    int ndim;
    cm_grid_axis axes[CM_MAX_DIMS];
    cm_chain **chains; /* one for each combination of lengths, in C order; owned */
    size_t nchains;
} cm_grid;

void cm_grid_free(cm_grid *g); /* NULL is legal */

/* The chunk that cell x of the axis is in, where chunk i begins. */
int64_t cm_grid_find(const cm_grid_axis *axis, int64_t x);
int64_t cm_grid_begin(const cm_grid_axis *axis, int64_t i);

/* The chain of the chunk with these grid coordinates. */
const cm_chain *cm_grid_chain(const cm_grid *g, const int64_t *coord);

/* The shape of combination number i of the lengths. */
void cm_grid_combination(const cm_grid *g, size_t i, int64_t *shape);

#endif
