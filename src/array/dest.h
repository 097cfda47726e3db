/* array/dest.h: where the cells of a read go.
 *
 * Either one strided buffer (what the public read has), or tiles: the region is cut by positions
 * along each axis, and every tile has its own C-order memory. Tiles are how save reads straight
 * into the buffers of target chunks, or of a spill's pieces, without a second copy.
 */
#ifndef CM_ARRAY_DEST_H
#define CM_ARRAY_DEST_H

#include "array/array_private.h"

typedef struct cm_tiles {
    int64_t count[CM_MAX_DIMS];       /* tiles along each axis */
    const int64_t *cuts[CM_MAX_DIMS]; /* count + 1 increasing root coordinates */
    /* Allocated cells of each tile (>= its width); NULL: its width. */
    const int64_t *extent[CM_MAX_DIMS];
    void **tile; /* C order over count; memory of each, borrowed */
} cm_tiles;

typedef struct cm_dest {
    cm_dtype dtype;
    cm_box region; /* in root coordinates */
    char *base;    /* strided: the region's first cell */
    int64_t strides[CM_MAX_DIMS];
    const cm_tiles *tiles; /* not NULL: tiles instead of base and strides */
    cm_arena *arena;       /* for string bytes */
} cm_dest;

/* The box [lo, lo + n) of root coordinates as one strided piece of memory: true with its first
 * cell and strides, or false when it spans several tiles. */
bool cm_dest_view(const cm_dest *dest, const int64_t *lo, const int64_t *n, char **first,
                  int64_t *strides);

/* Pointer to the box's memory if it is C-contiguous there, else NULL. */
void *cm_dest_contiguous(const cm_dest *dest, const int64_t *lo, const int64_t *n);

/* Copy the box from src with src_strides, byte-swapping words. */
void cm_dest_put(const cm_dest *dest, const int64_t *lo, const int64_t *n, const void *src,
                 const int64_t *src_strides, uint32_t swap_word);

/* Set the box to one value. */
void cm_dest_fill(const cm_dest *dest, const int64_t *lo, const int64_t *n, const void *value);

/* What a read did; both are added to atomically. */
typedef struct cm_read_stats {
    int64_t nbytes;  /* decoded bytes of the chunks; raw reads count their own */
    int64_t nchunks; /* chunks decoded */
} cm_read_stats;

/* Read dest's region of array into dest. grant: bytes of budget that the caller already holds for
 * this read's scratch; 0: take it here, waiting. max_workers: at most so many at once, 0: as many
 * as the context has threads. stats: added to, may be NULL. Raises what cm_array_read does. */
int cm_read_into(cm_context *ctx, cm_array *array, const cm_dest *dest, uint64_t grant,
                 int max_workers, cm_read_stats *stats, cm_error *err);

/* Free the arena's memory, keep the arena. */
void cm_arena_reset(cm_arena *arena);

/* Let the arena use nbytes that the caller has reserved before it asks the budget for more. Called
 * before the first allocation. */
void cm_arena_grant(cm_arena *arena, uint64_t nbytes);

/* Does it hold bytes of the budget? Whoever does must not wait for more. */
bool cm_arena_holds(cm_arena *arena);

#endif
