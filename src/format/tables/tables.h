/* format/tables/tables.h: scan tables: what opening a file found out, as bytes.
 *
 * An entry is one file: its tree, for each variable what its array is made of and where its chunks
 * are, and the bytes of small variables. cm_tables_pack makes it of an opened file, and
 * cm_tables_unpack makes a dataset of it that is equal to the opened file, without looking at the
 * file. docs/formats/tables.md describes the bytes.
 */
#ifndef CM_FORMAT_TABLES_TABLES_H
#define CM_FORMAT_TABLES_TABLES_H

#include "base/wire.h"
#include "chunkmill/scan.h"
#include "dataset/dataset_private.h"

/* The file that an entry is of. */
typedef struct cm_tables_file {
    cm_store *store; /* the directory it lies in */
    const char *key; /* its name there */
    cm_object_version version;
} cm_tables_file;

typedef struct cm_tables_counts {
    uint64_t variables, chunks;
    uint64_t deferred; /* variables that are opened from the file itself when they are wanted */
    uint64_t embedded; /* bytes of cells */
} cm_tables_counts;

/* What the parts of an entry begin with. */
enum {
    CM_TABLES_PROBLEM,  /* no array: why */
    CM_TABLES_CHUNKED,  /* chunks in the file */
    CM_TABLES_DEFERRED, /* anything: opened from the file when wanted */
    CM_TABLES_EXTENDED, /* one of these, and fill beyond it */
    CM_TABLES_TEXT,     /* characters of one of these as strings */
    CM_TABLES_KINDS
};
enum {
    CM_TABLES_STRIDED,
    CM_TABLES_NOWHERE,
    CM_TABLES_LISTED,
    CM_TABLES_MEMORY,
    CM_TABLES_LAYOUTS
};

/* Append the entry of ds, which was opened from file. Reads the chunk indexes and the small
 * variables. Raises CM_EUNSUP (a dataset whose arrays are not in one file), CM_ECHANGED, and what
 * reading raises. */
int cm_tables_pack(cm_context *ctx, cm_dataset *ds, const cm_tables_file *file, cm_wire_out *w,
                   cm_tables_counts *counts);

/* The dataset again. uri: for messages, and what it says it was opened from. CM_EDATA for bytes
 * that no pack makes. */
int cm_tables_unpack(cm_context *ctx, const void *bytes, size_t nbytes, const cm_tables_file *file,
                     const char *uri, cm_dataset **out, cm_error *err);

/* ---- parts of them --------------------------------------------------------------------------- */

void cm_tables_put_dtype(cm_wire_out *w, cm_dtype dtype);
/* *record is the caller's reference, or NULL. false: r is bad, or memory is out (then err says). */
bool cm_tables_take_dtype(cm_wire_in *r, cm_dtype *dtype, const cm_record **record, cm_error *err);

/* Bytes of the file that are wanted beside the tables. */
typedef struct cm_tables_range {
    uint64_t offset, nbytes;
} cm_tables_range;

typedef struct cm_tables_packer {
    cm_context *ctx;
    const cm_tables_file *file;
    cm_wire_out *w;
    cm_tables_counts *counts;
    cm_wire_out listing; /* scratch */
    cm_table *nowhere;   /* one of HDF5's, to know others by */
    cm_tables_range *ranges;
    size_t nranges, capacity;
} cm_tables_packer;

/* The array; its byte ranges are added to p->ranges. */
void cm_tables_pack_array(cm_tables_packer *p, cm_array *a);

typedef struct cm_tables_unpacker {
    cm_context *ctx;
    const cm_tables_file *file;
    const char *uri;
    cm_store *store;               /* with the bytes that came along */
    struct cm_tables_later *later; /* the file itself, when it is wanted */
    cm_chain *chain;               /* the last one: most variables of a file share it; owned */
    cm_wire_in r;
} cm_tables_unpacker;

/* The array of v. CM_EDATA. */
int cm_tables_unpack_array(cm_tables_unpacker *u, const char *path, cm_array **out, cm_error *err);

/* A table of the n chunks that bytes (copied) list, which are looked at when one is wanted; grid
 * cells in all. CM_EDATA then for what is not inside the file. */
int cm_tables_chunks_new(cm_context *ctx, int ndim, const int64_t *grid, const void *bytes,
                         size_t nbytes, uint64_t file_nbytes, cm_table **out, cm_error *err);

/* One chunk of a listing: read, and written. */
typedef struct cm_tables_chunk {
    uint64_t index, offset, nbytes;
    uint32_t mask;
} cm_tables_chunk;

/* previous: zeroed for the first one, then the one before. */
void cm_tables_put_chunk(cm_wire_out *w, cm_tables_chunk *previous, const cm_tables_chunk *chunk,
                         bool first);

/* ---- arrays that are opened later ------------------------------------------------------------ */

/* The file, opened when the first of them is wanted; counted. */
typedef struct cm_tables_later cm_tables_later;
int cm_tables_later_new(cm_context *ctx, const cm_tables_file *file, const char *uri,
                        cm_tables_later **out, cm_error *err);
void cm_tables_later_unref(cm_tables_later *later); /* NULL is legal */

/* grids: ndim of them; their cuts are copied. */
int cm_tables_deferred_new(cm_tables_later *later, cm_dtype dtype, int ndim, const int64_t *shape,
                           const void *fill, bool raw, const cm_axis_grid *grids, const char *path,
                           cm_array **out, cm_error *err);

#endif
