/* array/referenced.h: the table of chunks that lie in many objects: reference files. */
#ifndef CM_ARRAY_REFERENCED_H
#define CM_ARRAY_REFERENCED_H

#include "array/chunked.h"
#include "array/paths.h"

/* Fill it, then freeze. ncells: cells of the grid; nexpected: how many will be added, as far as is
 * known. Chunks are numbered in C order of the grid. Memory: 16 bytes a cell of the grid, or 24 a
 * chunk where less than two thirds are there; inline bytes once. All of it is pinned in ctx's
 * budget, which outlives the table: CM_ELIMIT where it does not fit. */
typedef struct cm_referenced cm_referenced;
int cm_referenced_new(cm_context *ctx, int ndim, const int64_t *grid, cm_paths *paths,
                      uint64_t nexpected, cm_referenced **out, cm_error *err);

/* Chunk number index is [offset, offset + nbytes) of path, or all of it, or these bytes (copied).
 * CM_EDATA for a number outside the grid or given twice. */
int cm_referenced_add(cm_referenced *t, uint64_t index, uint32_t path, uint64_t offset,
                      uint64_t nbytes, cm_error *err);
int cm_referenced_add_whole(cm_referenced *t, uint64_t index, uint32_t path, cm_error *err);
int cm_referenced_add_inline(cm_referenced *t, uint64_t index, const void *data, size_t nbytes,
                             cm_error *err);

int cm_referenced_freeze(cm_referenced *t, cm_table **out, cm_error *err); /* takes t, always */
void cm_referenced_free(cm_referenced *t);

uint64_t cm_referenced_ncells(const cm_table *t);

#endif
