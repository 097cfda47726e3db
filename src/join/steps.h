/* join/steps.h: which steps of which files stand along the joined dimension.
 *
 *   files    a: 1 2 3 5    b: 4 5 6 9
 *   runs     a[0..3) b[0..1) a[3..4) b[2..3) (7, 8: filled) b[3..4)
 *
 * In the usual case a run is a whole file. Only where coordinates overlap, repeat or turn, and an
 * option says what to do then, or where holes are filled, are files cut.
 */
#ifndef CM_JOIN_STEPS_H
#define CM_JOIN_STEPS_H

#include "chunkmill/join.h"
#include "join/extent.h"
#include "join/report.h"

#define CM_RUN_FILLED SIZE_MAX

/* n steps of a file from lo on; or of cm_runs.filled. */
typedef struct cm_run {
    size_t file; /* in the order of joining; CM_RUN_FILLED */
    int64_t lo, n;
} cm_run;

typedef struct cm_runs {
    cm_run *items;
    size_t n, capacity;
    int64_t length;
    bool whole; /* every file once and whole, in order; nothing filled */
    cm_scale scale;
    __int128 *filled; /* keys of the filled steps (cm_scale_key) */
    size_t nfilled, filled_capacity;
    bool by_month;
} cm_runs;

void cm_runs_deinit(cm_runs *r);

/* lengths: of each file along the dimension. */
int cm_runs_whole(const int64_t *lengths, size_t n, cm_runs *out, cm_error *err);
int cm_runs_copy(const cm_runs *r, cm_runs *out, cm_error *err);

/* Work out the runs of n files whose coordinate's extents are e[0..n), in the order of joining.
 * What the options allow is done and said in the report; the rest is refused with CM_EJOIN naming
 * files and values. Raises CM_ELIMIT for more steps than memory has room for. *out is to be freed
 * also on failure. */
int cm_runs_make(cm_context *ctx, const cm_extent *e, size_t n, const cm_join_options *options,
                 cm_runs *out, cm_report *report, cm_error *err);

#endif
