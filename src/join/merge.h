/* join/merge.h: datasets of different variables as one. */
#ifndef CM_JOIN_MERGE_H
#define CM_JOIN_MERGE_H

#include "dataset/dataset_private.h"
#include "join/report.h"

/* Which datasets have the same variables: of[k] is the number of dataset k's set, counted in the
 * order in which sets appear. *nsets: how many. of has room for n. */
int cm_merge_sets(cm_dataset *const *datasets, size_t n, size_t *of, size_t *nsets, cm_error *err);

/* All variables of n datasets side by side in one. What several have must be the same in dtype,
 * dimensions, packing, units and values (times after conversion); variables without any of the
 * dimensions in `joined` (n names, NULL: none) may differ in values when static_first is set.
 * Dimensions of one name must have one length. Attributes are the first one's, differences logged.
 * Raises CM_EJOIN naming both datasets. */
int cm_merge_make(cm_context *ctx, cm_dataset *const *datasets, size_t n, const char *const *joined,
                  bool static_first, cm_report *report, cm_dataset **out, cm_error *err);

#endif
