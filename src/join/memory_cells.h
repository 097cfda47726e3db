/* join/memory_cells.h: arrays of cells that the join itself computed: coordinates. */
#ifndef CM_JOIN_MEMORY_CELLS_H
#define CM_JOIN_MEMORY_CELLS_H

#include "dataset/dataset_private.h"

/* cells: of all of shape, C order, malloc'ed, taken also on failure. label, path: for messages. */
int cm_array_of_cells(cm_dtype dtype, int ndim, const int64_t *shape, void *cells,
                      const char *label, const char *path, cm_array **out, cm_error *err);

/* One axis of n texts, copied. */
int cm_array_of_texts(const char *const *texts, size_t n, const char *label, const char *path,
                      cm_array **out, cm_error *err);

#endif
