/* chunkmill/dataset.h: a file or store as a tree of groups with variables, dimensions and
 * attributes.
 *
 * cm_dataset_open recognises the format by content: Zarr v2 and v3 directories, NetCDF-3,
 * NetCDF-4/HDF5, kerchunk references in JSON and Parquet. Groups, variables and attributes are
 * borrowed from the dataset and live as long as it.
 *
 * Threads: a dataset may be looked at and read from many threads at once.
 */
#ifndef CHUNKMILL_DATASET_H
#define CHUNKMILL_DATASET_H

#include "chunkmill/array.h"
#include "chunkmill/json.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cm_dataset cm_dataset;
typedef struct cm_group cm_group;
typedef struct cm_variable cm_variable;

/* An attribute: its value as JSON, and the type that it has in the file (CM_NONE where the format
 * has none, as in Zarr: JSON's own; CM_STRING for text). A scalar is a JSON scalar, several values
 * are an array. float32 values are written as the double that equals them. */
typedef struct cm_attribute {
    const char *name;
    const cm_json *value;
    cm_dtype dtype;
} cm_attribute;

typedef struct cm_dimension {
    const char *name;
    int64_t length;
    bool unlimited;
} cm_dimension;

/* Open uri read-only. uri: a path or file:// URI of a NetCDF-3, NetCDF-4, HDF5 file or a Zarr
 * directory, or kerchunk references. format: "zarr", "hdf5", "netcdf3", "kerchunk" or NULL to look
 * at the content. A variable that cannot be read is in the tree with its reason
 * (cm_variable_problem). Raises CM_ENOTFOUND, CM_EUNSUP (no known format, what the file is if
 * known), CM_EDATA (malformed), CM_EIO, CM_EPERM, CM_ENOMEM. */
CM_API int cm_dataset_open(cm_context *ctx, const char *uri, const char *format, cm_dataset **out,
                           cm_error *err) CM_MUST_CHECK;

CM_API void cm_dataset_free(cm_dataset *ds); /* NULL is legal */

/* What it was opened from; for people. */
CM_API const char *cm_dataset_uri(const cm_dataset *ds);

/* "Zarr v3", "Zarr v2", "NetCDF-4", "HDF5", "NetCDF-3 64-bit offset", "joined"... */
CM_API const char *cm_dataset_format(const cm_dataset *ds);
CM_API cm_group *cm_dataset_root(const cm_dataset *ds);

/* A group: its name, its place in the tree, and what is in it, by number in the order of the file;
 * a number that is not below the count is a mistake of the caller. The root has no parent (NULL).
 * cm_group_dimension gives the dimensions that the group itself defines. attribute_named: NULL when
 * there is none. */

CM_API const char *cm_group_name(const cm_group *g); /* "" for the root */
CM_API const char *cm_group_path(const cm_group *g); /* "/" or "/a/b" */
CM_API cm_group *cm_group_parent(const cm_group *g);
CM_API size_t cm_group_ngroups(const cm_group *g);
CM_API cm_group *cm_group_at(const cm_group *g, size_t i);
CM_API size_t cm_group_nvariables(const cm_group *g);
CM_API cm_variable *cm_group_variable(const cm_group *g, size_t i);
CM_API size_t cm_group_ndimensions(const cm_group *g);
CM_API const cm_dimension *cm_group_dimension(const cm_group *g, size_t i);
CM_API size_t cm_group_nattributes(const cm_group *g);
CM_API const cm_attribute *cm_group_attribute(const cm_group *g, size_t i);
CM_API const cm_attribute *cm_group_attribute_named(const cm_group *g, const char *name);

/* By path from this group: "tas", "a/b/tas", "/tas". NULL when there is none. */
CM_API cm_group *cm_group_find(const cm_group *g, const char *path);
CM_API cm_variable *cm_group_find_variable(const cm_group *g, const char *path);

CM_API const char *cm_variable_name(const cm_variable *v);
CM_API const char *cm_variable_path(const cm_variable *v); /* "/a/b/tas" */
CM_API cm_group *cm_variable_group(const cm_variable *v);

/* The array, borrowed; NULL when the variable cannot be read, and then cm_variable_problem says why
 * (else NULL). */
CM_API cm_array *cm_variable_array(const cm_variable *v);
CM_API const cm_error *cm_variable_problem(const cm_variable *v);

/* Dimension name of an axis (0 <= axis < ndim); NULL for a Zarr array without names. */
CM_API const char *cm_variable_dimension(const cm_variable *v, int axis);

/* As those of a group. */
CM_API size_t cm_variable_nattributes(const cm_variable *v);
CM_API const cm_attribute *cm_variable_attribute(const cm_variable *v, size_t i);
CM_API const cm_attribute *cm_variable_attribute_named(const cm_variable *v, const char *name);

/* How it is stored. chunks and shards: ndim lengths or NULL (contiguous; not sharded). codecs: one
 * line for people. */
typedef struct cm_storage {
    const int64_t *chunks, *shards;
    const char *codecs;
    const char *stored_dtype; /* as the format names it: "<f4", "H5T_STD_I16BE", "NC_SHORT" */
    bool raw;                 /* uncompressed bytes that are read without decoding */
    /* Where chunks (shards) have different lengths: those of each axis as a JSON list, in which
     * [v, n] is n times v; chunks and shards are then the largest. Else NULL. */
    const char *lengths;
} cm_storage;
CM_API const cm_storage *cm_variable_storage(const cm_variable *v);

/* How many chunks (shards) there are along an axis; 1 for contiguous arrays with cells. 0 for a
 * variable that cannot be read. */
CM_API int64_t cm_variable_chunk_count(const cm_variable *v, int axis);

/* Where one chunk (for sharded arrays: one shard) is. present false: never written. */
typedef struct cm_chunk_info {
    bool present;
    char key[1024]; /* object in the store, or the file */
    uint64_t offset, nbytes;
    uint32_t filter_mask;
} cm_chunk_info;

/* Look at the chunk (shard) with grid coordinate coord (ndim values). For stores of one object per
 * chunk this asks the store. Raises CM_EINVAL (outside the grid; no grid: contiguous arrays have
 * one chunk, coordinate all zero), CM_EUNSUP (a variable that is joined or computed has no chunks
 * of its own; an unreadable one gives its problem), CM_EIO, CM_EDATA. */
CM_API int cm_variable_chunk_info(cm_context *ctx, const cm_variable *v, const int64_t *coord,
                                  cm_chunk_info *out, cm_error *err) CM_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
