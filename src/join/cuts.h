/* join/cuts.h: which indices of each dimension a selection keeps.
 *
 * --isel time=0:100 by index, --sel time=2001/2010,lat=-10:10 by coordinate value. A name stands
 * for every dimension of that name in the tree below root (nested groups may declare their own),
 * each of which gets its own range. */
#ifndef CM_JOIN_CUTS_H
#define CM_JOIN_CUTS_H

#include "chunkmill/join.h"
#include "dataset/dataset_private.h"

/* One dimension that is cut: indices lo .. lo + n. */
typedef struct cm_cut {
    const cm_dimension *dimension; /* as its group declares it */
    int64_t lo, n;
} cm_cut;

typedef struct cm_cuts {
    cm_cut *items;
    size_t n, capacity;
} cm_cuts;

/* Read the options against the tree below root. Reads coordinates for sel. *out is to be freed with
 * cm_cuts_deinit also on failure. Raises CM_EINVAL (syntax, no such dimension with the nearest
 * name, empty selection with the coordinate's range as hint, no coordinate variable, both isel and
 * sel for one dimension), CM_EUNSUP (coordinates of strings, time units not understood), and what
 * reading raises. */
int cm_cuts_parse(cm_context *ctx, cm_group *root, const cm_select_options *options, cm_cuts *out,
                  cm_error *err);
void cm_cuts_deinit(cm_cuts *r);

/* The range of axis i of v, or NULL: the whole axis. */
const cm_cut *cm_cuts_of(const cm_cuts *r, const cm_variable *v, int axis);

/* The range of a dimension as declared, or NULL. */
const cm_cut *cm_cuts_of_dimension(const cm_cuts *r, const cm_dimension *d);

#endif
