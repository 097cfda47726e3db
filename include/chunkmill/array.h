/* chunkmill/array.h: an array, whatever holds it: shape, dtype, and reading any region of it.
 *
 * An array may be a Zarr array, an HDF5 or NetCDF-3 variable, a concatenation of ten thousand of
 * them, a subset, or a callback into the caller's memory. Reading is one call; decoding runs on the
 * context's threads.
 *
 * Arrays are counted references: cm_array_ref and cm_array_unref. An array obtained from a dataset
 * is borrowed and lives as long as the dataset, unless it is ref'd.
 *
 * Threads: an array may be read from any number of threads at once.
 */
#ifndef CHUNKMILL_ARRAY_H
#define CHUNKMILL_ARRAY_H

#include "chunkmill/context.h"
#include "chunkmill/dtype.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cm_array cm_array;

/* Memory for the bytes of variable-length strings that a read returns; charged to the context's
 * budget, grows in steps, freed as one and before the context. free(NULL) is legal. Raises
 * CM_ENOMEM. Threads: several reads may fill one arena at once. */
typedef struct cm_arena cm_arena;
CM_API int cm_arena_new(cm_context *ctx, cm_arena **out, cm_error *err) CM_MUST_CHECK;
CM_API void cm_arena_free(cm_arena *arena);

CM_API cm_array *cm_array_ref(cm_array *array);
CM_API void cm_array_unref(cm_array *array); /* NULL is legal */

CM_API int cm_array_ndim(const cm_array *array);
CM_API const int64_t *cm_array_shape(const cm_array *array); /* ndim lengths, borrowed */
CM_API cm_dtype cm_array_dtype(const cm_array *array);

/* The value of cells that were never written, dtype.size bytes, borrowed (for CM_STRING a
 * cm_string). */
CM_API const void *cm_array_fill(const cm_array *array);

/* Read the region [start, start+count) into dst.
 *
 * start, count: ndim values each, in cells; the region must lie inside the shape (CM_EINVAL
 * otherwise). dst: the caller's memory for the first cell of the region; strides: ndim distances in
 * bytes between neighbours along each axis, NULL for C order without gaps. Strides must not make
 * cells overlap. arena: owns the bytes of the strings read; required for CM_STRING, else ignored.
 * Raises whatever the source raises: CM_EDATA with the key of the chunk that does not decode,
 * CM_EIO, CM_ELIMIT for a chunk that is larger than the memory budget, CM_ECHANGED, CM_ECANCEL. On
 * an error the content of dst is undefined.
 */
CM_API int cm_array_read(cm_context *ctx, cm_array *array, const int64_t *start,
                         const int64_t *count, void *dst, const int64_t *strides, cm_arena *arena,
                         cm_error *err) CM_MUST_CHECK;

/* A source of cells that the caller computes: fill the box [start, start+count) (ndim values each)
 * of the array at dst, C order without gaps. May be called from several threads at once. Returns 0
 * or a CM_E* code with err set. */
typedef int (*cm_fill_fn)(void *user, const int64_t *start, const int64_t *count, void *dst,
                          cm_error *err);

/* An array of the caller's cells. chunk: the boxes that fn is asked for, ndim lengths >= 1; NULL:
 * the whole array at once. release(user) is called when the last reference goes; NULL is legal. Not
 * for CM_STRING. Raises CM_EINVAL, CM_ENOMEM; on failure release is not called. */
CM_API int cm_array_from_callback(cm_dtype dtype, int ndim, const int64_t *shape,
                                  const int64_t *chunk, cm_fill_fn fn, void *user,
                                  void (*release)(void *user), cm_array **out,
                                  cm_error *err) CM_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
