/* chunkmill/save.h: write a dataset to a Zarr store with the chunks one wants, in bounded memory.
 *
 * Three steps: plan (deterministic, touches no cell), run (integer tasks, any subset in any order
 * within a phase), commit (metadata last). A store that is not committed does not look like a
 * store. Every source chunk is read as few times as memory allows, every target object is written
 * once, by one task, atomically.
 *
 * Threads: one thread at a time works on a cm_save; the work itself runs on the context's threads.
 */
#ifndef CHUNKMILL_SAVE_H
#define CHUNKMILL_SAVE_H

#include "chunkmill/dataset.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cm_save cm_save;

/* The ways to save a variable; cm_save_describe tells which was chosen. */
typedef enum cm_save_mode {
    CM_MODE_AUTO,   /* the cheapest that the memory allows */
    CM_MODE_SWEEP,  /* every source chunk is read once, and the targets under it are in memory */
    CM_MODE_REREAD, /* targets in groups; source chunks that several groups share are read again */
    CM_MODE_SPILL   /* through a scratch file: all is read once, and written and read once more */
} cm_save_mode;

typedef struct cm_save_options {
    /* Chunk lengths: "time=365,lat=72", "365,72,72", "VAR:time=10", "auto", "auto:16MB"; in
     * Zarr v3 lists that end where the axis does, "time=31x2+28" for 31, 31, 28. */
    const char *const *chunks;
    size_t nchunks;
    const char *const *shards; /* the same for shards (Zarr v3) */
    size_t nshards;
    const char *const *codecs; /* "zstd:5", "VAR=zstd:5", "none", "keep" */
    size_t ncodecs;
    int zarr_format; /* 3 (default) or 2 */
    cm_save_mode mode;
    bool skip_empty;     /* leave out chunks that hold only fill */
    bool overwrite;      /* replace an existing Zarr store: built beside it, exchanged at commit */
    const char *scratch; /* directory for the spill file; NULL: beside the target */
    int durability;      /* 0: none; 1: fsync of every file; 2: and of the directories */
} cm_save_options;

CM_API void cm_save_options_init(cm_save_options *options);

/* Make the plan. ds must outlive the cm_save. target: path or file:// URI of the store to make, a
 * zip archive when it ends with ".zip"; must not exist unless overwrite, and must not be (part of)
 * a source. sources: URIs of what ds was opened from, for that check. Raises CM_EINVAL (options; a
 * misspelt dimension with the nearest one; shards that are no multiple of the chunks), CM_EEXIST,
 * CM_ELIMIT (a chunk or shard that does not fit into memory, with the smallest that would),
 * CM_ENOSPC (scratch), CM_EPERM, CM_EUNSUP (a type that the target version cannot hold, an
 * unreadable variable). */
CM_API int cm_save_plan(cm_context *ctx, cm_dataset *ds, const char *const *sources,
                        size_t nsources, const char *target, const cm_save_options *options,
                        cm_save **out, cm_error *err) CM_MUST_CHECK;

/* The plan as JSON, borrowed: totals ("mode", "passes", "bytes_read", "bytes_written" decoded,
 * "requests", "objects", "peak_memory", "scratch", "tasks") and one element per variable ("path",
 * "mode", "chunks" (the largest), "chunk_lengths" (where they differ), "shards", "codecs", "reread"
 * (mean times that a source chunk is read), "tasks"). */
CM_API const cm_json *cm_save_describe(const cm_save *save);

/* Warnings of the plan for people, one line each; NULL past the last. */
CM_API const char *cm_save_warning(const cm_save *save, size_t i);

CM_API int64_t cm_save_ntasks(const cm_save *save);

/* Run tasks first <= t < last. Tasks that need others' spilled pieces have higher numbers: each
 * range begins where the last one ended. Raises CM_EINVAL (another range) and what reading the
 * source and writing the target raise, with the variable and the chunk; CM_ECANCEL. After an error
 * the save can only be freed. */
CM_API int cm_save_run(cm_save *save, int64_t first, int64_t last, cm_error *err) CM_MUST_CHECK;

/* After all tasks ran: write the metadata and give the store its name. Nothing can read it before.
 * Raises CM_EINVAL (tasks that did not run), CM_EIO, CM_ENOSPC, CM_EPERM, CM_EEXIST (something came
 * to lie at the target meanwhile), CM_ECANCEL. */
CM_API int cm_save_commit(cm_save *save, cm_error *err) CM_MUST_CHECK;

/* What was done so far. */
typedef struct cm_save_stats {
    int64_t bytes_read, bytes_written; /* decoded bytes of source chunks; encoded bytes put */
    int64_t chunks_read, objects_written;
} cm_save_stats;
CM_API void cm_save_get_stats(const cm_save *save, cm_save_stats *out);

/* Free; before a commit this removes what was written, and the scratch. NULL is legal. */
CM_API void cm_save_free(cm_save *save);

#ifdef __cplusplus
}
#endif
#endif
