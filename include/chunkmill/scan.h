/* chunkmill/scan.h: scan tables: what opening files found out, kept.
 *
 * The scan of a file is a function from the file to a table of its chunks. cm_scan writes the
 * tables of many files into one, where the files are; cm_dataset_open_sources takes such a file in
 * the place of the files themselves, in another process or on another machine. A cache is the same
 * kind of file, kept up to date by cm_dataset_open_sources itself.
 *
 * A dataset that comes out of tables is equal to the opened file. Cells are read from the file,
 * which must be the one that was scanned (size, time of change, inode): else CM_ECHANGED. Small
 * variables are in the tables. Format: docs/formats/tables.md.
 *
 * Threads: as cm_dataset_open.
 */
#ifndef CHUNKMILL_SCAN_H
#define CHUNKMILL_SCAN_H

#include "chunkmill/dataset.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cm_scan_options {
    bool overwrite; /* replace the target if it is there */
} cm_scan_options;

CM_API void cm_scan_options_init(cm_scan_options *options);

typedef struct cm_scan_stats {
    uint64_t files, variables, chunks;
    uint64_t deferred; /* variables that will be opened from their file when they are wanted */
    uint64_t nbytes;   /* of the target */
} cm_scan_stats;

/* Write the tables of n files (NetCDF-3, NetCDF-4, HDF5; or tables, which are taken over) to
 * target, in this order. The target appears only when it is whole. Raises CM_EUNSUP (a Zarr store,
 * references: they need none), CM_EEXIST, and what opening and reading raise: the first file that
 * fails, in the order given, ends it. stats may be NULL. */
CM_API int cm_scan(cm_context *ctx, const char *const *uris, size_t n, const char *target,
                   const cm_scan_options *options, cm_scan_stats *stats,
                   cm_error *err) CM_MUST_CHECK;

typedef struct cm_sources_options {
    const char *format; /* as cm_dataset_open's */
    /* A file that keeps the tables of what was opened, by path, size, time of change and inode;
     * NULL: none. Made when it is not there; a damaged one is a warning in the log. Not used with a
     * format. */
    const char *cache;
} cm_sources_options;

CM_API void cm_sources_options_init(cm_sources_options *options);

typedef struct cm_sources_stats {
    size_t cached; /* taken from the cache */
    size_t opened; /* files that were opened themselves */
} cm_sources_stats;

/* cm_dataset_open of n uris, on the context's threads. Files of tables stand for as many datasets
 * as they hold files, in their order. *out: *nout datasets, each the caller's, in memory that
 * cm_sources_free frees together with them. On failure, which is that of the first uri that failed,
 * nothing is open. stats may be NULL. Raises what cm_dataset_open raises,
 * CM_ECHANGED for a file that is another one than was scanned, CM_EINVAL for a cache that is
 * another kind of file. */
CM_API int cm_dataset_open_sources(cm_context *ctx, const char *const *uris, size_t n,
                                   const cm_sources_options *options, cm_dataset ***out,
                                   size_t *nout, cm_sources_stats *stats,
                                   cm_error *err) CM_MUST_CHECK;
CM_API void cm_sources_free(cm_dataset **datasets, size_t n); /* NULL is legal, also among them */

#ifdef __cplusplus
}
#endif
#endif
