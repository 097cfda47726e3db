/* join/stack.h: datasets made ready for a join along a dimension whose coordinate comes from
 * elsewhere, or that is new. */
#ifndef CM_JOIN_STACK_H
#define CM_JOIN_STACK_H

#include "chunkmill/join.h"
#include "dataset/dataset_private.h"
#include "join/report.h"

typedef struct cm_stack {
    char *dimension;
    cm_dataset **datasets; /* n; those that were made are owned */
    bool *made;
    size_t n;
    bool labels; /* the values are a new dimension's, and no times: none of them need be missing */
} cm_stack;

/* Do what options->stack and options->coord ask: datasets with the dimension and its coordinate,
 * whose arrays are those of the given ones. Raises CM_EINVAL, CM_EJOIN naming file and option, and
 * what reading raises. *out is to be freed also on failure. */
int cm_stack_make(cm_context *ctx, cm_dataset *const *datasets, size_t n,
                  const cm_join_options *options, cm_stack *out, cm_report *report, cm_error *err);
void cm_stack_deinit(cm_stack *s);

#endif
