/* format/format.h: one driver per format; store -> dataset. */
#ifndef CM_FORMAT_FORMAT_H
#define CM_FORMAT_FORMAT_H

#include "dataset/dataset_private.h"

/* A driver opens object `key` of store (a file; for Zarr the store itself with key "" or a group
 * path below it). uri is for messages. The datasets' arrays keep their own references to store. */
int cm_zarr_open(cm_context *ctx, cm_store *store, const char *key, const char *uri,
                 cm_dataset **out, cm_error *err);

/* Where in an archive the hierarchy is: "" or the name of its one folder, to be freed. CM_EUNSUP
 * when it is at neither. */
int cm_zarr_archive_root(cm_store *archive, char **out, cm_error *err);

int cm_hdf5_open(cm_context *ctx, cm_store *store, const char *key, const char *uri,
                 cm_dataset **out, cm_error *err);
int cm_netcdf3_open(cm_context *ctx, cm_store *store, const char *key, const char *uri,
                    cm_dataset **out, cm_error *err);

int cm_refs_open_json(cm_context *ctx, cm_store *store, const char *key, const char *uri,
                      cm_dataset **out, cm_error *err);
/* Is there a .zmetadata with a record_size below key? */
int cm_refs_is_parquet(cm_store *store, const char *key, bool *is, cm_error *err);
int cm_refs_open_parquet(cm_context *ctx, cm_store *store, const char *key, const char *uri,
                         cm_dataset **out, cm_error *err);

/* CM_BYTES to CM_STRING, as both NetCDF drivers need it for char variables: a map array (src is
 * taken, also on failure) whose cells are src's without trailing NULs. Bytes that are not UTF-8 are
 * CM_EDATA when read. */
int cm_array_bytes_to_string(cm_array *src, cm_array **out, cm_error *err);

/* The array that a was made of so, borrowed; NULL when it was not. */
cm_array *cm_array_bytes_of_string(const cm_array *a);

/* cm_dataset_open, but a file of scan tables is a dataset that carries them
 * (format/tables/tables_file.h). */
int cm_format_open(cm_context *ctx, const char *uri, const char *format, cm_dataset **out,
                   cm_error *err);

/* The path that a name means, tidied; the caller frees it. */
int cm_format_local_path(const char *uri, char **out, cm_error *err);

/* A file, whatever its content says it is. */
int cm_format_open_object(cm_context *ctx, cm_store *store, const char *key, const char *uri,
                          cm_dataset **out, cm_error *err);

#endif
