/* array/chunked.h: the one chunked array of every format, and its chunk tables.
 *
 * A format makes a cm_chunked_spec: shape, dtype, a codec chain per chunk and a table that says
 * where each chunk's bytes are. Reading, sharding, edge chunks, fill values and filter masks are
 * then done here, once.
 */
#ifndef CM_ARRAY_CHUNKED_H
#define CM_ARRAY_CHUNKED_H

#include "array/array_private.h"
#include "array/grid.h"

/* Where a chunk is. */
typedef enum cm_where {
    CM_AT_NOWHERE, /* never written: reads as fill */
    CM_AT_OBJECT,  /* the whole object `key` of the store, which may be absent (reads as fill) */
    CM_AT_WHOLE,   /* the same, and it must be there */
    CM_AT_RANGE,   /* [offset, offset + nbytes) of key; must be there */
    CM_AT_MEMORY   /* the nbytes at inline_data; offset: where they also are in the array's own
                      object, 0: not known */
} cm_where;

typedef struct cm_location {
    cm_where where;
    char key[1024]; /* CM_AT_OBJECT, _WHOLE: the object; CM_AT_RANGE: the same, "" for the array's
                       own */
    uint64_t offset, nbytes;
    uint32_t skip_mask;
    const void *inline_data;
} cm_location;

/* A chunk table: a function from a chunk's grid coordinate to its location. Immutable or internally
 * locked; called from many threads. */
typedef struct cm_table {
    /* coord: ndim grid indices inside the grid. */
    int (*locate)(const struct cm_table *t, const int64_t *coord, cm_location *out, cm_error *err);
    void (*free)(struct cm_table *t);
    /* Most bytes of a chunk as stored, for planners; NULL where the table does not know. */
    uint64_t (*max_nbytes)(const struct cm_table *t);
    /* Its index will be asked for soon: those of one object that are wanted together may be fetched
     * together. A hint; NULL where it would say nothing. */
    void (*want)(const struct cm_table *t);
} cm_table;

typedef struct cm_chunked_spec {
    cm_dtype dtype; /* in memory */
    int ndim;
    const int64_t *shape;
    const int64_t *chunk; /* chunk (shard) shape; lengths >= 1; may exceed the shape */
    const void *fill;     /* dtype.size bytes or NULL for zeros */
    cm_chain *chain;      /* taken */
    cm_grid *grid; /* of chunks of different lengths, taken; NULL: regular. chunk and chain are then
                      the largest */
    cm_table *table; /* taken; freed with table->free */
    cm_store *store; /* ref'd */
    const char *key; /* the one object of CM_AT_RANGE tables (a file), else NULL; copied */
    /* Of that object: reads insist on it. Zero for stores of many objects. */
    cm_object_version version;
    /* For stores of many objects: one that says what the array is (its metadata), and its version
     * when it was read. NULL: none. Chunks that are absent read as fill, so nothing else would tell
     * a store that was removed or replaced from one without them. */
    const char *guard_key; /* copied */
    cm_object_version guard;
    const char *label, *path; /* for messages: file or store URI, and variable path; copied */
    /* CM_A2B_CUSTOM only: n stored cells into dst, as in cm_chunk_piece. */
    int (*unpack)(cm_array *leaf, const void *stored, void *dst, int64_t n, cm_arena *arena,
                  cm_error *err);
    void *owner;                        /* for unpack: cm_chunked_owner(leaf) */
    void (*owner_release)(void *owner); /* called at the end; may be NULL */
} cm_chunked_spec;

/* chain, table are taken also on failure. Raises CM_EDATA (a chunk length below 1), CM_EUNSUP (too
 * many dimensions or cells, chunks that end beyond 2^63, shards that are transposed, which no
 * parser makes, or compressed), CM_ENOMEM. */
int cm_chunked_new(const cm_chunked_spec *spec, cm_array **out, cm_error *err);

/* The parts of a chunked array, borrowed; only for arrays of which cm_array_is_chunked is true. */
void *cm_chunked_owner(const cm_array *a);
bool cm_array_is_chunked(const cm_array *a);
const cm_chain *cm_chunked_chain(const cm_array *a);
const int64_t *cm_chunked_chunk(const cm_array *a);    /* ndim lengths (shards for sharded ones); of
                                                          the largest where they differ */
bool cm_chunked_is_irregular(const cm_array *a);       /* do they differ? */
int64_t cm_chunked_count(const cm_array *a, int axis); /* chunks (shards) along the axis */
/* Where the chunk (shard) at coord begins, and its chain, whose shape is the chunk's own. */
const cm_chain *cm_chunked_at(const cm_array *a, const int64_t *coord, int64_t *origin);
int cm_chunked_locate(const cm_array *a, const int64_t *coord, cm_location *out, cm_error *err);
void cm_chunked_want(const cm_array *a); /* see cm_table */
cm_store *cm_chunked_store(const cm_array *a);
bool cm_chunked_unpacks(const cm_array *a); /* has the spec an unpack? */
bool cm_chunked_unpacks_by(const cm_array *a,
                           int (*unpack)(cm_array *leaf, const void *stored, void *dst, int64_t n,
                                         cm_arena *arena, cm_error *err));

/* Is the array still what was opened? Looks at its guard. Raises CM_ECHANGED, and what stat raises.
 */
int cm_chunked_check(const cm_array *a, cm_error *err);
const char *cm_chunked_guard(const cm_array *a, cm_object_version *version); /* NULL: none */
const char *cm_chunked_key(const cm_array *a);
cm_object_version cm_chunked_version(const cm_array *a); /* of that object */
const cm_table *cm_chunked_table(const cm_array *a);

/* Ready-made tables. */

/* A contiguous or NetCDF-3-like array: one "chunk" is any box; cell i is at offset + sum(i[k] *
 * strides[k]) of the spec's key. Pass chunk = shape (each at least 1). Reads never fetch more than
 * they need. nbytes_limit: size of the object; regions beyond it are CM_EDATA when read ("file is
 * truncated"). */
int cm_table_new_strided(int ndim, uint64_t offset, const int64_t *strides, uint64_t nbytes_limit,
                         cm_table **out, cm_error *err);
bool cm_table_is_strided(const cm_table *t, uint64_t *offset, const int64_t **strides,
                         uint64_t *nbytes_limit);

/* A compact dataset: its bytes (copied), and where they begin in the spec's key, 0: not known. */
int cm_table_new_memory(const void *data, size_t nbytes, uint64_t at, cm_table **out,
                        cm_error *err);

/* Chunks listed one by one: HDF5 B-trees. Grow it while parsing, then freeze. grid: number of
 * chunks along each axis. Memory: 16 bytes per cell of the grid, or 24 per chunk where less than
 * two thirds of it are occupied; decided at freeze. They are pinned in ctx's budget
 * (base/budget.h), which outlives the table: CM_ELIMIT where they do not fit. */
typedef struct cm_listed cm_listed;
int cm_listed_new(cm_context *ctx, int ndim, const int64_t *grid, cm_listed **out, cm_error *err);
/* coord outside the grid, or given twice, is CM_EDATA. */
int cm_listed_add(cm_listed *l, const int64_t *coord, uint64_t offset, uint64_t nbytes,
                  uint32_t skip_mask, cm_error *err);
int cm_listed_freeze(cm_listed *l, cm_table **out, cm_error *err); /* takes l, also on failure */
void cm_listed_free(cm_listed *l);

/* Zarr: key = prefix + "/" + chunk key (no "/" for prefix ""). separator '.' or '/'; v3_default:
 * "c" + separator + ...; 0-d arrays: "c" (v3 default) or "0" (v2). */
int cm_table_new_named(const char *prefix, int ndim, char separator, bool v3_default,
                       cm_table **out, cm_error *err);

/* Write the key of a chunk into key (1024 bytes). */
int cm_named_key(const cm_table *named, const int64_t *coord, char *key, cm_error *err);

#endif
