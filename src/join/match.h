/* join/match.h: the variables of many files side by side, and whether they fit. */
#ifndef CM_JOIN_MATCH_H
#define CM_JOIN_MATCH_H

#include "join/times.h"

/* One variable of the joined dataset. */
typedef struct cm_match {
    int axis;                    /* along which it is joined; -1: static */
    size_t parent;               /* index of the variable whose bounds it is, or SIZE_MAX */
    cm_variable **in;            /* in[k]: file k's */
    struct cm_difference *diffs; /* attributes that differ, in how many files */
    size_t ndiffs, diffs_capacity;
} cm_match;

typedef struct cm_difference {
    char *name;
    size_t nfiles;
} cm_difference;

typedef struct cm_matches {
    cm_dataset *const *datasets; /* in the order of joining */
    size_t n;
    const char *dimension;
    bool static_first;
    cm_match *items; /* in the order of the first file's tree */
    size_t nitems;
    cm_difference *group_diffs; /* of all groups' attributes, as "/path" "@" name */
    size_t ngroup_diffs, group_diffs_capacity;
} cm_matches;

/* Match every variable of the first file with its namesakes and check all but the values: presence
 * both ways, dtype, dimension names and lengths, packing, units, calendar. Raises CM_EJOIN naming
 * both files, and an unreadable variable's problem. *out is to be freed with cm_matches_deinit also
 * on failure. */
int cm_matches_make(cm_dataset *const *datasets, size_t n, const char *dimension, bool static_first,
                    cm_matches *out, cm_error *err);
void cm_matches_deinit(cm_matches *m);

/* File k's array of variable i, in the units of the first file. A new reference. */
int cm_matches_array(const cm_matches *m, size_t i, size_t k, cm_array **out, cm_error *err);

/* One warning per variable and attribute that differs. */
void cm_matches_log(cm_context *ctx, const cm_matches *m);

#endif
