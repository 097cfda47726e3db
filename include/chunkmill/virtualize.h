/* chunkmill/virtualize.h: references instead of copies.
 *
 * A dataset's chunks stay where they are; what is written says for each chunk which bytes of which
 * file it is, in kerchunk's JSON (version 1) or fsspec's Parquet layout, which xarray, zarr-python
 * and this library open.
 *
 * Threads: as cm_array_read.
 */
#ifndef CHUNKMILL_VIRTUALIZE_H
#define CHUNKMILL_VIRTUALIZE_H

#include "chunkmill/dataset.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Called with a line for people. */
typedef struct cm_virtual_options_note {
    void (*fn)(void *user, const char *line);
    void *user;
} cm_virtual_options_note;

typedef struct cm_virtualize_options {
    bool parquet;           /* else JSON */
    uint64_t inline_nbytes; /* chunks below so many bytes are written into the references; 512 */
    int64_t record_size;    /* Parquet: references in a file; 0: as those that are appended to, else
                               100000 */
    bool overwrite;         /* replace the target if it is there */
    bool append; /* ds is the target as it is now joined with more: Parquet files of references
                    that stay as they are become the new ones' too; with overwrite */
    const char *const *rebase; /* "OLD=NEW": source names (of a dataset that is itself references)
                                  that begin with OLD begin with NEW instead */
    size_t nrebase;
    bool dry_run;       /* look at everything, refuse what would be refused, and write nothing */
    cm_json_doc **plan; /* what is, or would be, written: an object with "target", "form",
                           "record_size" (Parquet), "files", "references", "new" (of these: to
                           chunks that the target, appended to, did not have), "inlined",
                           "inlined_bytes", "rewritten", "rewritten_bytes" (of a dry run: of cells,
                           before they are encoded), "kept" (Parquet files), and "variables", each
                           with "path", "how" ("chunks", "rows" of contiguous data, "inline"),
                           "chunks" (their shape), "count" (of chunks) and those numbers. Freed by
                           the caller; NULL: not wanted */
    const char *materialize;      /* chunks that references cannot say are rewritten into files in
                                     this directory, one file a variable; NULL: they are refused */
    cm_virtual_options_note note; /* of each such variable: how many, and why */
} cm_virtualize_options;

CM_API void cm_virtualize_options_init(cm_virtualize_options *options);

typedef struct cm_virtualize_stats {
    int64_t variables, references, inlined, sources, rewritten;
    int64_t kept;  /* Parquet files of references that were there and stay as they are */
    int64_t fresh; /* of references: to chunks that the target, appended to, did not have */
} cm_virtualize_stats;

/* Write references to the chunks of ds. sources: names of what ds was opened from, which the target
 * must not be. Chunks of variables up to 1 MiB that references cannot say, and dimension
 * coordinates of that size, are written into the references. The target appears only when it is
 * whole. Raises CM_EUNSUP naming file and variable for what the format cannot express (codecs,
 * chunk shapes or byte orders that differ along the joined axis, a file that ends inside a chunk
 * and is not the last, filter masks, codecs without a numcodecs counterpart, values that are
 * changed on reading), which materialize rewrites instead, CM_EEXIST, and what opening, reading and
 * writing raise. stats may be NULL.
 */
CM_API int cm_virtualize(cm_context *ctx, cm_dataset *ds, const char *const *sources,
                         size_t nsources, const char *target, const cm_virtualize_options *options,
                         cm_virtualize_stats *stats, cm_error *err) CM_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
