/* array/array_private.h: what an array says to the engine.
 *
 * An array never reads cells. Asked for a region, it says which pieces make it up: for each, a box,
 * where its bytes lie, the codec chain that decodes them, and where the box lands in the region of
 * the root, the array that the caller reads. The engine (array/read.c) collects the pieces in a
 * sink, reserves memory, fetches byte ranges in coalesced batches, decodes and scatters. A
 * composite (a concatenation, a subset, a change of values) passes the question on to its parts
 * with a changed frame; so any depth of composition ends as one flat list of leaf pieces and
 * nothing blocks inside something else.
 */
#ifndef CM_ARRAY_ARRAY_PRIVATE_H
#define CM_ARRAY_ARRAY_PRIVATE_H

#include "chunkmill/array.h"
#include "codec/codec.h"
#include "nd/box.h"
#include "store/store.h"

typedef struct cm_sink cm_sink;

/* A change of values on the way from a leaf to the root: unpacking, other time units, bytes to
 * strings. Immutable once made; owned by the array that applies it. */
typedef struct cm_map {
    cm_dtype from, to;
    /* n contiguous native cells. Strings go to the arena. Returns 0 or CM_E* (a value that cannot
     * be mapped exactly is CM_EDATA with the value in the message). */
    int (*apply)(const struct cm_map *map, const void *src, void *dst, int64_t n, cm_arena *arena,
                 cm_error *err);
    const void *state;
} cm_map;

/* How coordinates and values of an array become those of the root. Every array in a composition has
 * the root's axes, in the same order, but for the first `lead` of them. */
typedef struct cm_frame {
    int64_t shift[CM_MAX_DIMS]; /* root coordinate = array coordinate + shift; axes of the array */
    int lead;                   /* axes of the root before those of the array (array/expand.c) */
    int64_t lead_at[CM_MAX_DIMS]; /* the root's only coordinate along each */
    int nmaps;
    const cm_map *maps[8]; /* maps[nmaps-1] is applied first (nearest to the leaf) */
} cm_frame;

/* Upper bounds of what reading one chunk takes, for planners. All bytes. */
typedef struct cm_read_cost {
    uint64_t max_chunk_nbytes;   /* decoded, of the largest; 0 where any part can be read alone */
    uint64_t max_encoded_nbytes; /* encoded; exact where the table knows it */
    uint64_t max_scratch_nbytes; /* of the codecs */
    /* Every chunk lies whole inside the shape and is decoded straight into memory that holds it in
     * one run: max_chunk_nbytes are then not needed beside it. */
    bool in_place;
} cm_read_cost;

/* Where chunk boundaries lie along one axis: what planners cut by. Either regular: 0, size,
 * 2*size... (clipped by length), or a list of ncuts+1 increasing positions from 0 to length. raw:
 * byte ranges of any box can be read without decoding more than it (uncompressed): boundaries are
 * only advice. */
typedef struct cm_axis_grid {
    int64_t length, size;
    int64_t ncuts;       /* 0: regular */
    const int64_t *cuts; /* borrowed from the array */
} cm_axis_grid;

typedef struct cm_array_vt {
    const char *kind; /* "chunked", "concat", "subset", "map", "callback", for messages and tests */

    /* Say what the region (in this array's coordinates, inside its shape, not empty) needs: call
     * cm_sink_* for leaves, cm_array_plan for parts. */
    int (*plan)(cm_array *a, const cm_box *region, const cm_frame *frame, cm_sink *sink,
                cm_error *err);

    /* The grid along an axis, never failing. Composites with irregular parts own the cut list. */
    cm_axis_grid (*grid)(const cm_array *a, int axis);

    /* Upper bounds for any region of the array. May touch no data; called once by planners. */
    cm_read_cost (*cost)(cm_array *a);

    void (*free)(cm_array *a); /* frees the struct too */

    /* The first of the arrays that it is made of; NULL for leaves. */
    cm_array *(*first)(const cm_array *a);

    /* Stands for an array that is opened when it is wanted: open it. *out is borrowed. NULL for all
     * others. Its first() is the same, or NULL where that fails. */
    int (*resolve)(cm_array *a, cm_array **out, cm_error *err);

    /* first() has the same chunks at the same places of the grid; what lies beyond it is fill. */
    bool first_is_whole;
} cm_array_vt;

/* Concrete arrays begin with this. */
struct cm_array {
    const cm_array_vt *vt;
    int refcount; /* atomic */
    cm_dtype dtype;
    int ndim;
    int64_t *shape; /* ndim lengths, owned; label and path follow in the same block */
    void *fill; /* dtype.size bytes, owned (malloc); a cm_string's bytes follow in the same block */
    bool raw;   /* see cm_axis_grid */
    const char *label; /* for messages: the file or store, may be NULL */
    const char *path;  /* and the variable's path, e.g. "/tas" */
};

/* Fill in the common part. fill NULL: all zero bytes (for strings: the empty string). label and
 * path are copied, may be NULL. */
int cm_array_init(cm_array *a, const cm_array_vt *vt, cm_dtype dtype, int ndim,
                  const int64_t *shape, const void *fill, const char *label, const char *path,
                  cm_error *err);
/* Replace the names. */
int cm_array_set_names(cm_array *a, const char *label, const char *path, cm_error *err);
void cm_array_deinit(cm_array *a); /* what init made; the concrete free calls it, then free(a) */

int cm_array_plan(cm_array *a, const cm_box *region, const cm_frame *frame, cm_sink *sink,
                  cm_error *err);
cm_axis_grid cm_array_grid(const cm_array *a, int axis);
cm_read_cost cm_array_cost(cm_array *a);

/* The array that a stands for, opened if need be; a itself for all but such. *out is borrowed.
 * Whoever looks at how an array is made asks this first. */
int cm_array_resolve(cm_array *a, cm_array **out, cm_error *err);

/* The first leaf of a composition; a itself when it is one. */
const cm_array *cm_array_leaf(const cm_array *a);

/* ---- leaves say what they need --------------------------------------------------------------- */

/* An encoded chunk: bytes [offset, offset + nbytes) of key in store; nbytes UINT64_MAX: the whole
 * object, which may be absent when absent_is_fill. Decoded by chain (not a sharding one), it holds
 * chunk_shape cells; the box [src_lo, src_lo + n) of it (in chunk coordinates) lands at lo +
 * frame->shift in the root, lo in the leaf's coordinates. version: all zero or the version that the
 * offset is from. key, version are copied; store, chain and leaf are borrowed until the sink is
 * flushed, and live as long as the leaf. */
typedef struct cm_chunk_piece {
    cm_store *store;
    const char *key;
    cm_object_version version;
    uint64_t offset, nbytes;
    uint32_t skip_mask;
    bool absent_is_fill;
    const cm_chain *chain;
    int64_t src_lo[CM_MAX_DIMS], lo[CM_MAX_DIMS], n[CM_MAX_DIMS];
    const void *inline_data; /* not NULL: the encoded bytes themselves (nbytes of them), no store */
    /* Stored cells that are not the dtype's bytes (CM_A2B_CUSTOM): turn n stored cells into n dtype
     * cells. state is the leaf. NULL otherwise. */
    int (*unpack)(cm_array *leaf, const void *stored, void *dst, int64_t n, cm_arena *arena,
                  cm_error *err);
} cm_chunk_piece;
int cm_sink_chunk(cm_sink *sink, cm_array *leaf, const cm_frame *frame, const cm_chunk_piece *piece,
                  cm_error *err);

/* Uncompressed cells at offset + sum(i * stride) for cell i = 0.. of the box: any part may be read
 * alone. big_endian as stored. */
typedef struct cm_raw_piece {
    cm_store *store;
    const char *key;
    cm_object_version version;
    uint64_t offset;              /* of the first cell of the box */
    int64_t strides[CM_MAX_DIMS]; /* bytes in the object, >= 0, per axis of the array */
    bool big_endian;
    bool absent_is_fill;
    int64_t lo[CM_MAX_DIMS], n[CM_MAX_DIMS];
    uint32_t stored_size;
    uint64_t object_nbytes; /* not 0: the object must have exactly this many bytes */
    int (*unpack)(cm_array *leaf, const void *stored, void *dst, int64_t n, cm_arena *arena,
                  cm_error *err);
} cm_raw_piece;
int cm_sink_raw(cm_sink *sink, cm_array *leaf, const cm_frame *frame, const cm_raw_piece *piece,
                cm_error *err);

/* Cells that were never written: the leaf's fill. */
int cm_sink_fill(cm_sink *sink, cm_array *leaf, const cm_frame *frame, const int64_t *lo,
                 const int64_t *n, cm_error *err);

/* Cells that a function computes, C order. */
int cm_sink_call(cm_sink *sink, cm_array *leaf, const cm_frame *frame, const int64_t *lo,
                 const int64_t *n, cm_fill_fn fn, void *user, cm_error *err);

/* The context that the read runs in (for loading indexes). */
cm_context *cm_sink_context(const cm_sink *sink);

/* nbytes of memory for string bytes. Thread-safe. NULL with err set (CM_ELIMIT: the budget is
 * out). */
void *cm_arena_alloc(cm_arena *arena, size_t nbytes, cm_error *err);

#endif
