/* join/dimension.h: along which dimension files are joined, when they are not all open at once. */
#ifndef CM_JOIN_DIMENSION_H
#define CM_JOIN_DIMENSION_H

#include "chunkmill/join.h"
#include "dataset/dataset_private.h"

/* Calls fn(arg, ds) for every file but the first, in any order, also from several threads at once;
 * stops at the first error. */
typedef int (*cm_file_fn)(void *arg, cm_dataset *ds, cm_error *err);
typedef int (*cm_each_file_fn)(void *user, cm_file_fn fn, void *arg, cm_error *err);

/* As cm_order_dimension; the other files are asked for only when the first does not tell. */
int cm_order_dimension_among(cm_context *ctx, cm_dataset *first, cm_each_file_fn each, void *user,
                             const cm_join_options *options, const char **out, cm_error *err);

#endif
