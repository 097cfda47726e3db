/* save/save_private.h: the parts of a save and the files that hold them.
 *
 *   layout.c    options + source -> chunks, shards, codec of each variable
 *   lengths.c   chunks of different lengths: their spelling; where units begin
 *   axis.c      one axis: tiles over source chunks
 *   choose.c    chunks + memory -> mode and tile of each variable
 *   tasks.c     variables -> numbered tasks in batches; running them
 *   tile.c      one task of sweep or re-read: source region -> tiles -> units
 *   spill.c     the scratch file: tasks that fill it, and the array that it is read back as
 *   stream.c    one task that reads rows of a chunk, encodes and puts them as they come
 *   unit.c      tiles -> encoded chunks and shards -> put
 *   target.c    where it is written, and how it appears under its name
 *   describe.c  the plan as JSON, warnings
 *   save.c      the public functions
 */
#ifndef CM_SAVE_SAVE_PRIVATE_H
#define CM_SAVE_SAVE_PRIVATE_H

#include "array/dest.h"
#include "array/grid.h"
#include "array/workspace.h"
#include "base/context_private.h"
#include "chunkmill/save.h"
#include "dataset/dataset_private.h"
#include "format/zarr/write.h"

/* How one variable is cut and stored in the target. */
typedef struct cm_layout {
    int64_t chunk[CM_MAX_DIMS], unit[CM_MAX_DIMS]; /* unit: shard, or chunk when not sharded */
    cm_grid *grid; /* chunks of different lengths, not sharded: chunk and chain are the largest's;
                      NULL: all have one length. Owned */
    bool sharded;
    cm_chain *chain; /* of the unit: for shards the sharding chain; owned */
} cm_layout;

/* One variable of a save. Phase 0 fills a spill, phase 1 writes units. */
typedef struct cm_part {
    cm_variable *variable;
    cm_array *source; /* borrowed from the variable */
    cm_zarr_array *target;
    int ndim;
    cm_dtype dtype;
    int64_t shape[CM_MAX_DIMS];
    cm_layout layout;
    const cm_chain *chunk_chain; /* of a chunk: layout.chain or its inner */
    int64_t nunits[CM_MAX_DIMS]; /* units along each axis; 0 when the axis has no cells */
    int64_t objects;
    uint64_t nbytes; /* decoded */

    cm_save_mode mode;
    int64_t tile[CM_MAX_DIMS]; /* units of a task's box; of one step along the sliding axis */
    int slide;                 /* axis along which tasks slide, -1: none */
    double reread;
    int64_t block[CM_MAX_DIMS];       /* spill: about how many source cells a phase 0 task reads */
    int64_t *block_cuts[CM_MAX_DIMS]; /* nblocks + 1 positions; owned */
    int64_t nblocks[CM_MAX_DIMS];
    struct cm_spill *spill;
    int64_t slab; /* spill: rows of a chunk that a task holds at a time, 0: all of a unit */

    int64_t boxes[CM_MAX_DIMS]; /* phase 1 tasks along each axis */
    int64_t tasks[2];
    uint64_t memory[2]; /* bytes of cells one task holds, strings with a guess at their bytes */
    uint64_t worker[2]; /* and what each worker inside a task needs beside */
} cm_part;

/* Tasks that run side by side, numbered from first: those of parts part_first..part_last-1. */
typedef struct cm_batch {
    int64_t first, count;
    int part_first, part_last, phase;
    uint64_t memory, worker; /* the largest of any of its tasks */
} cm_batch;

typedef struct cm_target cm_target;

struct cm_save {
    cm_context *ctx;
    cm_dataset *source;
    cm_save_options options; /* its lists are the caller's: used while planning only */
    char *scratch;
    cm_target *target;
    cm_zarr_writer *writer;
    cm_part *parts;
    int nparts;
    cm_batch *batches;
    int nbatches;
    int64_t ntasks, ndone; /* ndone: the tasks below it ran */
    uint64_t memory;       /* what the tasks may use together */
    cm_json_doc *description;
    char **warnings;
    size_t nwarnings, warnings_capacity;
    cm_read_stats read;                     /* atomic */
    int64_t bytes_written, objects_written; /* atomic */
    bool committed;
    bool may_zip; /* a target named .zip is an archive */
};

/* layout.c. Every name that options use must exist: CM_EINVAL with the nearest one. */
int cm_layout_resolve(const cm_save *save, const cm_variable *v, cm_layout *out, cm_error *err);
int cm_layout_check_names(const cm_save *save, cm_error *err);

/* After all layouts: say which options had no effect on any variable. */
int cm_layout_warn(cm_save *save, cm_error *err);

/* lengths.c. Lengths as people write them, `31+28+31` or `31x3+28`: is this text such a list? */
bool cm_lengths_is_list(const char *text, size_t n);
/* Into axis, whose cells are `length`; axis NULL: only look whether it is well written. Raises
 * CM_EINVAL also when the list does not end where the axis does. */
int cm_lengths_parse(const char *option, const char *text, size_t n, int64_t length,
                     cm_grid_axis *axis, cm_error *err);

/* Where unit (chunk) i of an axis begins, not clipped by the shape; i may be their number. The unit
 * (chunk) that cell x is in. */
int64_t cm_part_unit_begin(const cm_part *part, int axis, int64_t i);
int64_t cm_part_chunk_begin(const cm_part *part, int axis, int64_t i);
int64_t cm_part_unit_at(const cm_part *part, int axis, int64_t x);
int64_t cm_part_chunk_at(const cm_part *part, int axis, int64_t x);
int64_t cm_part_chunk_length(const cm_part *part, int axis, int64_t i);
int64_t cm_part_shortest(const cm_part *part, int axis); /* unit */
/* The axis's list of lengths, NULL when it has one length. */
const cm_grid_axis *cm_part_list(const cm_part *part, int axis);
/* The part as if all its chunks were as the one at coord: part itself, or a copy in *room. */
const cm_part *cm_part_of_chunk(const cm_part *part, const int64_t *coord, cm_part *room);

/* choose.c. The grid: where the source's chunks end along an axis, as planning and running see it.
 * A contiguous array gets boundaries where runs of about 1 MiB end, so that "one source chunk"
 * means something to read at once. */
cm_axis_grid cm_part_grid(const cm_part *part, int axis);
int cm_part_choose(cm_save *save, cm_part *part, cm_error *err);

/* tasks.c */
int cm_save_number_tasks(cm_save *save, cm_error *err);
int cm_save_run_tasks(cm_save *save, int64_t first, int64_t last, cm_error *err);

/* What a task has written: added to the save when the task is done, for one that ran out of memory
 * is done again. Atomic. */
typedef struct cm_tally {
    int64_t bytes, objects, progress;
} cm_tally;
void cm_tally_progress(cm_save *save, cm_tally *tally, int64_t nbytes);

/* tile.c: one phase 1 task, reading from source (the variable's array, or its spill). workers: how
 * many may work inside, for whom the caller has reserved memory. alone: no other task runs, and
 * for strings only the workers' memory is reserved: a box that does not fit is cut into smaller
 * ones. */
int cm_tile_run(cm_save *save, cm_part *part, cm_array *source, int64_t task, int workers,
                bool alone, cm_tally *tally, cm_error *err);

/* spill.c */
int cm_spill_open(cm_save *save, cm_part *part, cm_error *err);
int cm_spill_fill(cm_save *save, cm_part *part, int64_t task, int workers, cm_tally *tally,
                  cm_error *err);
cm_array *cm_spill_array(const struct cm_spill *spill);
void cm_spill_consumed(struct cm_spill *spill, int64_t task);
void cm_spill_close(struct cm_spill *spill);

/* stream.c: one phase 1 task of a part with a slab. rows: how many a slab should have, 0 when
 * chunks cannot be encoded so, or it would save little; nbytes: of what a task then takes beside
 * its slab. */
int64_t cm_stream_rows(const cm_part *part);
uint64_t cm_stream_worker_nbytes(const cm_part *part);
int cm_stream_run(cm_save *save, cm_part *part, cm_array *source, int64_t task, cm_tally *tally,
                  cm_error *err);

/* unit.c: some units in memory, one tile per chunk, and what becomes of them. */
typedef struct cm_units {
    cm_save *save;
    cm_part *part;
    int64_t lo[CM_MAX_DIMS], n[CM_MAX_DIMS];             /* grid coordinates of the units */
    int64_t chunk_lo[CM_MAX_DIMS], chunk_n[CM_MAX_DIMS]; /* of their chunks that hold cells */
    void **tile;                                         /* chunk_n in C order */
    cm_arena *arena;                                     /* of strings; NULL for others */
    cm_tally *tally;
} cm_units;

/* Bytes of memory of one chunk's tile, the largest's: its cells, and in a shard room for the
 * encoded chunk; a multiple of a cache line. */
size_t cm_unit_tile_nbytes(const cm_part *part);
/* What encoding needs per worker. */
uint64_t cm_unit_worker_nbytes(const cm_part *part);
/* Chunks along an axis that hold cells. */
int64_t cm_unit_nchunks(const cm_part *part, int axis);
/* Set the whole tile of the chunk at coord to the fill value: one that reaches beyond the shape,
 * before it is read into. */
void cm_unit_pad(const cm_part *part, const int64_t *coord, void *tile);
/* Are chunks that hold only fill left out? */
bool cm_unit_skips_fill(const cm_save *save, const cm_part *part);
/* A unit of so many bytes was put. */
void cm_unit_count(cm_tally *tally, uint64_t nbytes);
/* Say in err, which is set, that it was about writing the unit at coord. */
int cm_unit_name_error(const cm_save *save, const cm_part *part, const int64_t *coord,
                       cm_error *err);

/* A chunk's bytes, borrowed; data NULL: only fill, left out. */
typedef struct cm_encoded {
    const void *data;
    size_t nbytes;
} cm_encoded;

/* Encode the cells of one chunk. *out points into the tile or the workspace. Of part: ndim, dtype,
 * layout.chunk, chunk_chain, worker[1]. *extra: bytes of budget taken beyond worker[1], given back
 * by release, after out is put or copied. */
int cm_unit_encode(const cm_part *part, cm_context *ctx, cm_workspace *ws, const void *tile,
                   cm_encoded *out, uint64_t *extra, cm_error *err);
void cm_unit_release(cm_context *ctx, cm_workspace *ws, uint64_t extra);

/* Encode and put all of them; the tiles' content is lost. */
int cm_units_write(cm_units *units, int workers, cm_error *err);

/* target.c. open checks, touching nothing; begin makes the directory in which it is built. */
int cm_target_open(cm_save *save, const char *target, const char *const *sources, size_t nsources,
                   cm_target **out, cm_error *err);
int cm_target_begin(cm_target *t, cm_error *err); /* make where it is built, once */
cm_store *cm_target_store(const cm_target *t);
const char *cm_target_directory(const cm_target *t); /* that the target lies in */
const char *cm_target_uri(const cm_target *t);
int cm_target_commit(cm_target *t, cm_error *err); /* give it its name */
bool cm_target_committed(const cm_target *t); /* it has its name, also when commit failed after */
void cm_target_close(cm_target *t);           /* before a commit: removes everything */
int cm_free_space(const char *directory, uint64_t *nbytes, cm_error *err);

/* describe.c */
int cm_save_describe_plan(cm_save *save, cm_error *err);
int cm_save_warn(cm_save *save, cm_error *err, const char *format, ...) CM_PRINTF(3, 4);

#endif
