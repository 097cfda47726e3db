/* format/zarr/write.h: the metadata of a Zarr store that a save fills.
 *
 * A writer collects groups and arrays, says under which keys the chunks (shards) of each array go
 * and what unwritten cells are, and at the end puts every metadata document. It never touches chunk
 * data. Nothing is put before cm_zarr_writer_finish: until then the target does not look like a
 * Zarr store, and a save that dies leaves nothing that opens.
 *
 *     cm_zarr_writer_new -> add_group, add_array ... -> (the caller puts chunks) -> finish -> free
 *
 * What is written is what xarray itself writes for the same variables opened with decode_cf=False
 * (xarray/backends/zarr.py), so that xarray cannot tell the difference:
 *   dimension names   v3 `dimension_names`, v2 attribute `_ARRAY_DIMENSIONS`
 *   `_FillValue`      v2: becomes the array's fill_value, without it fill_value is null;
 *                     v3: stays an attribute (floats as base64 of 8 bytes, little-endian)
 *   consolidated      v2 `.zmetadata`, v3 inline in the root's zarr.json, by depth, then name
 * One difference is deliberate: xarray invents a `_FillValue` of NaN for floats that have none; a
 * copy does not.
 *
 * Threads: one thread builds and finishes a writer; the functions of a cm_zarr_array may then be
 * called from any thread.
 */
#ifndef CM_FORMAT_ZARR_WRITE_H
#define CM_FORMAT_ZARR_WRITE_H

#include "array/chunked.h"
#include "chunkmill/dataset.h"
#include "codec/codec.h"
#include "store/store.h"

typedef struct cm_zarr_writer cm_zarr_writer;
typedef struct cm_zarr_array cm_zarr_array; /* owned by its writer */

typedef struct cm_zarr_array_spec {
    const char *path; /* "/tas", "/a/b/tas"; a missing leading '/' is allowed. "/": the array is the
                         root of what is written, and all of it */
    cm_dtype dtype;   /* everything but CM_BYTES and CM_NONE */
    int ndim;
    const int64_t *shape;
    cm_chain *chain; /* ref'd. chain->shape is the shape of one stored object: the chunk's, or for a
                        sharding chain the shard's; lengths >= 1, may exceed the shape */
    const void *fill; /* v3: the array's fill_value, one native cell, copied; NULL chooses: the
                         `_FillValue` attribute if it is a value of dtype, else NaN for floats, 0,
                         false, "". Pass cm_array_fill() of a source that is itself a
                         Zarr v3 array, else NULL. v2: ignored, since there `_FillValue` decides */
    const char *const *dimensions;  /* ndim names, NULL where unnamed; NULL: no names at all */
    const cm_attribute *attributes; /* copied; with `_FillValue`, without dimension names */
    size_t nattributes;
    char separator; /* between the parts of chunk keys, '.' or '/'; 0: '/' for v3, '.' for v2 */
} cm_zarr_array_spec;

/* A writer for a hierarchy whose root is the group `prefix` of store ("" is the top; no slashes at
 * its ends). store is ref'd. Raises CM_EINVAL (zarr_format is not 2 or 3, bad prefix), CM_ENOMEM.
 */
int cm_zarr_writer_new(cm_store *store, const char *prefix, int zarr_format, cm_zarr_writer **out,
                       cm_error *err);
void cm_zarr_writer_free(cm_zarr_writer *w); /* NULL is legal */

/* Set the attributes of the group at path ("/" is the root, "/a/b"), making it and its parents when
 * they are not there. Groups without attributes of their own need no call: add_array makes parents.
 * Raises CM_EINVAL (a name that Zarr reserves: "", only dots, "zarr.json", ".zarray"...),
 * CM_EEXIST (an array has that path), CM_EUNSUP (an attribute whose name is not UTF-8), CM_ENOMEM.
 */
int cm_zarr_writer_add_group(cm_zarr_writer *w, const char *path, const cm_attribute *attributes,
                             size_t nattributes, cm_error *err);

/* Add an array. *out is borrowed from the writer and may be NULL. Raises CM_EINVAL, CM_EEXIST as
 * add_group, and for a second node where the root is an array; CM_EUNSUP with the variable's path
 * for what the format cannot say exactly: CM_BYTES; in v2 sharding, a transpose other than a full
 * reversal, a codec without numcodecs id, a
 * `_FillValue` that is not a value of the array's type. */
int cm_zarr_writer_add_array(cm_zarr_writer *w, const cm_zarr_array_spec *spec, cm_zarr_array **out,
                             cm_error *err);

/* Put all metadata documents: deepest nodes first, in each v2 node the attributes first; then the
 * consolidated ones; last of all the root group's, which makes it a store. May be called again
 * after a failure. Raises what the store's put raises, CM_ENOMEM. */
int cm_zarr_writer_finish(cm_zarr_writer *w, cm_error *err);

/* The key in the store of the object at grid coordinate coord (ndim values), 1024 bytes. */
int cm_zarr_array_key(const cm_zarr_array *a, const int64_t *coord, char *key, cm_error *err);

/* What unwritten cells read as: one native cell, never NULL, used to pad edge chunks. */
const void *cm_zarr_array_fill(const cm_zarr_array *a);

/* False when objects that hold only fill must be written all the same: v2 with fill_value null,
 * where readers may take anything for absent ones. */
bool cm_zarr_array_may_skip_fill(const cm_zarr_array *a);

/* The array's own document (v3 zarr.json, v2 .zarray), and in v2 its attributes (.zattrs; NULL in
 * v3): final from add_array on. For tests. */
const cm_json *cm_zarr_array_document(const cm_zarr_array *a);
const cm_json *cm_zarr_array_zattrs(const cm_zarr_array *a);

#endif
