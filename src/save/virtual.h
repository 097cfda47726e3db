/* save/virtual.h: what the parts of writing references share.
 *
 *   virtual_flatten.c  a variable's array as segments of files, or why references cannot say it
 *   virtual_model.c    with materialize: what most segments have in common, the others do not fit
 *   virtual_emit.c     segments -> one reference a chunk, in C order of the grid
 *   virtual_rewrite.c  chunks that references cannot say, rewritten into files of their own
 *   virtual_json.c     references -> kerchunk JSON
 *   virtual_parquet.c  references -> kerchunk Parquet
 *   virtual_plan.c     how many of what, before or after
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
    cm_array *leaf; /* borrowed; a chunked array if `fits`, else any */
    bool fits;      /* its chunks can be referred to where they lie on the part's grid */
    bool blank;     /* nobody stores it: there is nothing to refer to */
    int64_t begin, end;
    int64_t start[CM_MAX_DIMS];
    uint32_t path; /* of the leaf's own object, once known; UINT32_MAX before. Of a store of many
                      objects: of its metadata document */
} cm_segment;

/* Chunk number index, rewritten. */
typedef struct cm_rewritten {
    int64_t index;
    uint64_t offset, nbytes;
    bool small; /* in the part's `small_chunks`, not in the file */
} cm_rewritten;

typedef struct cm_virtual_counts {
    int64_t references; /* written in this run */
    int64_t fresh;      /* of these: to chunks that the target, appended to, did not have */
    int64_t inlined;    /* of these: the bytes themselves */
    int64_t rewritten;  /* chunks */
    int64_t kept;       /* Parquet files */
    uint64_t inlined_nbytes, rewritten_nbytes;
} cm_virtual_counts;

typedef struct cm_virtual_part {
    cm_variable *variable;
    int ndim, axis; /* axis: that segments lie along; 0 for one segment */
    int64_t shape[CM_MAX_DIMS], chunk[CM_MAX_DIMS], grid[CM_MAX_DIMS];
    int64_t nchunks;
    cm_segment *segments;
    size_t nsegments, capacity;
    cm_array **views; /* owned: stacked files' arrays with the new axis */
    size_t nviews, views_capacity;
    bool strided; /* the segments are contiguous, cut into chunks of rows */
    int row_axis; /* and along which axis; those before it have chunks of 1 */
    uint64_t chunk_nbytes;
    bool small;  /* at most CM_VIRTUAL_NATIVE bytes */
    bool native; /* one chunk, written into the references as little-endian cells */
    cm_chain *chain;
    cm_zarr_array *target;   /* borrowed from the writer */
    cm_error why;            /* code not 0: why some segments do not fit */
    cm_rewritten *rewritten; /* by index */
    size_t nrewritten, rewritten_capacity;
    uint32_t rewritten_path;
    cm_buffer small_chunks; /* rewritten ones that are written into the references */
    uint64_t pinned;        /* bytes of budget, for both */
    cm_virtual_counts counts;
} cm_virtual_part;

typedef enum cm_reference_kind {
    CM_REFERENCE_NONE,
    CM_REFERENCE_RANGE,
    CM_REFERENCE_WHOLE,
    CM_REFERENCE_INLINE,
    CM_REFERENCE_ODD /* cannot be said */
} cm_reference_kind;

/* Why a reference is odd. */
typedef enum cm_odd {
    CM_ODD_SEGMENT, /* its file does not fit, or the chunk lies across the grid of its file */
    CM_ODD_MASK,    /* a filter mask */
    CM_ODD_FILL,    /* never written, and its cells are not what a missing reference reads as */
    CM_ODD_ARCHIVE  /* compressed by the archive that it is in */
} cm_odd;

typedef struct cm_reference {
    cm_reference_kind kind;
    uint32_t path;
    uint64_t offset, nbytes;
    const void *data;
    cm_odd odd;
    const cm_segment *segment;
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
    cm_paths *directories; /* of stores, as they are named; real[i]: what the i-th really is */
    char **real;
    size_t nreal, real_capacity;
    const char *last_directory; /* neighbouring chunks are mostly of one file */
    char last_key[1024];
    uint32_t last_id;
    cm_store *memory; /* the metadata documents */
    cm_zarr_writer *writer;
    struct cm_rewriting *rewriting; /* what was written beside the references */
    bool placed;         /* the new references have the target's name, whatever failed after */
    const char *target;  /* as the caller named it */
    int64_t record_size; /* of Parquet, once known */
} cm_virtual;

/* Fill in segments, chunk and chain, or native; reads no chunk table. Raises CM_EUNSUP naming file
 * and variable, and the hint what to do; with materialize, segments that do not fit are marked so
 * instead. */
int cm_virtual_flatten(cm_virtual *v, cm_virtual_part *p, cm_error *err);
/* After the chunk tables are loaded: a small variable may turn out to be native. Fills in grid and
 * nchunks. */
int cm_virtual_settle(cm_virtual_part *p, cm_error *err);
void cm_virtual_part_deinit(cm_virtual *v, cm_virtual_part *p);

/* The segments are contiguous: set chunk and chain to chunks of rows. The length of each segment is
 * taken into account, only those that fit must have whole rows. Raises as flatten. */
int cm_virtual_chunk_rows(cm_virtual_part *p, cm_error *err);
const int64_t *cm_segment_strides(const cm_segment *s, uint64_t *offset, uint64_t *limit);

/* A settled variable into v->writer; what is left out of its attributes is noted. */
int cm_virtual_declare(cm_virtual *v, cm_virtual_part *p, cm_error *err);

/* virtual_model.c: choose chunk and chain that most cells have, say which segments fit. */
int cm_virtual_model(cm_virtual *v, cm_virtual_part *p, cm_error *err);
/* Do Zarr v2 and numcodecs have words for the chain? 0, CM_EUNSUP. */
int cm_virtual_check_chain(cm_virtual *v, const cm_virtual_part *p, cm_chain *chain, cm_error *err);

/* virtual_rewrite.c: after the metadata are described. Chunks that cannot be said are written into
 * files in options->materialize; then references to them are like others. keep: the files stay,
 * since the references were written. */
int cm_virtual_rewrite(cm_virtual *v, const char *target, cm_error *err);
void cm_virtual_rewrite_end(cm_virtual *v, bool keep);

/* Where chunk number index of p is, or that it is odd; nothing is inlined. */
int cm_virtual_locate(cm_virtual *v, cm_virtual_part *p, int64_t index, cm_buffer *bytes,
                      cm_reference *out, cm_error *err);

/* The number of a file's name, absolute. version NULL: it is not recorded as a source; zero: looked
 * up. */
int cm_virtual_name(cm_virtual *v, cm_store *store, const char *key,
                    const cm_object_version *version, uint32_t *id, cm_error *err);

/* Chunk number index of p. bytes: where inline bytes go, made empty first. */
int cm_virtual_reference(cm_virtual *v, cm_virtual_part *p, int64_t index, cm_buffer *bytes,
                         cm_reference *out, cm_error *err);

/* virtual_plan.c: count a reference that is written; count those that would be, of the chunks from
 * `first` on; the sums; and all as a document, freed by the caller. */
void cm_virtual_tally(const cm_virtual *v, cm_virtual_part *p, const cm_reference *ref);
int cm_virtual_count(cm_virtual *v, cm_virtual_part *p, int64_t first, cm_error *err);
cm_virtual_counts cm_virtual_total(const cm_virtual *v);
int cm_virtual_describe(const cm_virtual *v, const char *target, cm_json_doc **out, cm_error *err);

/* The metadata, parsed: {"metadata": {...}}; freed by the caller. */
int cm_virtual_metadata(cm_virtual *v, cm_json_doc **out, cm_error *err);

/* {"file:///a": [size, mtime_ns], ...} as a value of doc. */
cm_json *cm_virtual_sources(cm_virtual *v, cm_json_doc *doc);

int cm_virtual_write_json(cm_virtual *v, const char *target, cm_error *err);
int cm_virtual_write_parquet(cm_virtual *v, const char *target, const char *const *sources,
                             size_t nsources, cm_error *err);

#endif
