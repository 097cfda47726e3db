/* join/order.h: along which dimension datasets are joined, and in which order. */
#ifndef CM_JOIN_ORDER_H
#define CM_JOIN_ORDER_H

#include "chunkmill/join.h"
#include "dataset/dataset_private.h"

/* The name of the dimension, borrowed from options or from the first dataset: the one asked for; or
 * the only unlimited one that variables have; or the only one along which lengths, or else values
 * of its coordinate, differ. Raises CM_EINVAL (no such dimension, with the nearest name), CM_EJOIN
 * (none or several to choose from, naming them). */
int cm_order_dimension(cm_context *ctx, cm_dataset *const *datasets, size_t n,
                       const cm_join_options *options, const char **out, cm_error *err);

/* order[0..n): the datasets by the values of the dimension's coordinate, ascending, or descending
 * when every file is. Without a numeric coordinate variable the order is as given and the log says
 * so. Files of length 0 come last. Where groups declare their own dimension of that name, the first
 * coordinate orders and the others must agree. Raises CM_EJOIN naming both files: duplicate or
 * overlapping values, values that are missing or not monotonic, calendars or directions that
 * differ. */
int cm_order_files(cm_context *ctx, cm_dataset *const *datasets, size_t n, const char *dimension,
                   size_t *order, cm_error *err);

#endif
