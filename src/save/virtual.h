/* save/virtual.h: what the parts of writing references share.
 *
 *   virtual_flatten.c  a variable's array as segments of files, or why references cannot say it
 *   virtual_emit.c     segments -> one reference a chunk, in C order of the grid
 *   virtual_json.c     references -> kerchunk JSON
 *   virtual_parquet.c  references -> kerchunk Parquet
 *   virtualize.c       the public function: metadata, sources, target
 */
#ifndef CM_SAVE_VIRTUAL_H
#define CM_SAVE_VIRTUAL_H

#include "array/paths.h"
#include "chunkmill/virtualize.h"
#include "dataset/dataset_private.h"
#include "format/zarr/write.h"

/* Variables up to this size are written into the references when references cannot say them. */
enum { CM_VIRTUAL_NATIVE = 1 << 20 };

/* The cells [begin, end) along the joined axis: the box from `start` of a file's array. */
typedef struct cm_segment {
    cm_array *leaf; /* borrowed */
    int64_t begin, end;
    int64_t start[CM_MAX_DIMS];
    uint32_t path; /* of the leaf's own object, once known; UINT32_MAX before */
} cm_segment;

typedef struct cm_virtual_part {
    cm_variable *variable;
    int ndim, axis; /* axis: that segments lie along; 0 for one segment */
    int64_t shape[CM_MAX_DIMS], chunk[CM_MAX_DIMS], grid[CM_MAX_DIMS];
    int64_t nchunks;
    cm_segment *segments;
    size_t nsegments, capacity;
    bool strided; /* the segments are contiguous, cut into chunks of rows */
    uint64_t chunk_nbytes;
    bool native; /* one chunk, written into the references as little-endian cells */
    cm_chain *chain;
    cm_zarr_array *target; /* borrowed from the writer */
} cm_virtual_part;

typedef enum cm_reference_kind {
    CM_REFERENCE_NONE,
    CM_REFERENCE_RANGE,
    CM_REFERENCE_WHOLE,
    CM_REFERENCE_INLINE
} cm_reference_kind;

typedef struct cm_reference {
    cm_reference_kind kind;
    uint32_t path;
    uint64_t offset, nbytes;
    const void *data;
} cm_reference;

typedef struct cm_virtual {
    cm_context *ctx;
    cm_dataset *source;
    const cm_virtualize_options *options;
    cm_virtual_part *parts;
    size_t nparts, capacity;
    cm_store *files;             /* of "/" */
    cm_paths *paths;             /* absolute names */
    cm_object_version *versions; /* of each path, for files; size UINT64_MAX: not recorded */
    size_t nversions, versions_capacity;
    cm_store *last_store; /* whose directory is last_directory */
    char *last_directory;
    char last_key[1024]; /* in last_store: neighbouring chunks are mostly of one file */
    uint32_t last_id;
    cm_store *memory; /* the metadata documents */
    cm_zarr_writer *writer;
    int64_t nreferences, ninline;
} cm_virtual;

/* Fill in segments, chunk and chain, or native. Raises CM_EUNSUP naming file and variable, and the
 * hint what to do. */
int cm_virtual_flatten(cm_virtual *v, cm_virtual_part *p, cm_error *err);
void cm_virtual_part_deinit(cm_virtual_part *p);

/* Chunk number index of p. bytes: where inline bytes go, made empty first. */
int cm_virtual_reference(cm_virtual *v, cm_virtual_part *p, int64_t index, cm_buffer *bytes,
                         cm_reference *out, cm_error *err);

/* The metadata, parsed: {"metadata": {...}}; freed by the caller. */
int cm_virtual_metadata(cm_virtual *v, cm_json_doc **out, cm_error *err);

/* {"file:///a": [size, mtime_ns], ...} as a value of doc. */
cm_json *cm_virtual_sources(cm_virtual *v, cm_json_doc *doc);

int cm_virtual_write_json(cm_virtual *v, const char *target, cm_error *err);
int cm_virtual_write_parquet(cm_virtual *v, const char *target, const char *const *sources,
                             size_t nsources, cm_error *err);

/* Standard base64, appended. */
int cm_virtual_base64(cm_buffer *out, const void *data, size_t nbytes, cm_error *err);

#endif
