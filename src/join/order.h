/* join/order.h: along which dimension datasets are joined, in which order, and which steps of
 * them. */
#ifndef CM_JOIN_ORDER_H
#define CM_JOIN_ORDER_H

#include "dataset/dataset_private.h"
#include "join/steps.h"

/* The name of the dimension, borrowed from options or from the first dataset: the one asked for; or
 * the only unlimited one that variables have; or the only one along which lengths, or else values
 * of its coordinate, differ. Raises CM_EINVAL (no such dimension, with the nearest name), CM_EJOIN
 * (none or several to choose from, naming them). */
int cm_order_dimension(cm_context *ctx, cm_dataset *const *datasets, size_t n,
                       const cm_join_options *options, const char **out, cm_error *err);

/* Groups may each declare a dimension of that name. */
typedef struct cm_order_axis {
    const cm_group *group;         /* that declares it, of the first dataset in order */
    const cm_variable *coordinate; /* of the same dataset; NULL: none that orders */
    cm_runs runs;
} cm_order_axis;

typedef struct cm_order {
    const char *dimension;
    size_t n;
    size_t *files; /* datasets in the order of joining */
    cm_order_axis *axes;
    size_t naxes, capacity;
} cm_order;

/* Find the order and the steps. By coordinate: ascending, or descending when every file is. Without
 * a numeric coordinate variable the order is as given and the log says so. Files of length 0 come
 * last. Where groups declare their own dimension of that name, the first coordinate orders and the
 * others must agree. Raises CM_EJOIN naming both files for what the options do not allow:
 * duplicate or overlapping values, values that are missing or not monotonic, calendars or
 * directions that differ. *out is to be freed also on failure. */
int cm_order_make(cm_context *ctx, cm_dataset *const *datasets, size_t n, const char *dimension,
                  const cm_join_options *options, cm_report *report, cm_order *out, cm_error *err);
void cm_order_deinit(cm_order *o);

/* The axis that the dimension means in a group of the first dataset; NULL: nobody declares it. */
const cm_order_axis *cm_order_axis_in(const cm_order *o, const cm_group *g);

#endif
