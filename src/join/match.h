/* join/match.h: the variables of many files side by side, and whether they fit. */
#ifndef CM_JOIN_MATCH_H
#define CM_JOIN_MATCH_H

#include "join/times.h"

/* What is compared. The rules of each are here and nowhere else. */
typedef enum cm_aspect {
    CM_ASPECT_DTYPE = 1,
    CM_ASPECT_DIMENSIONS = 2, /* their names, and lengths but for the joined one's */
    CM_ASPECT_PACKING = 4,    /* scale_factor, add_offset, fill values, _Unsigned */
    CM_ASPECT_UNITS = 8,      /* of other things than times */
    CM_ASPECT_TIMES = 16,     /* calendars; units that cannot be converted */
    CM_ASPECT_ALL = 31
} cm_aspect;

/* The axis of v that is the dimension; -1: it has none, or dimension is NULL. CM_EJOIN when it has
 * it twice. */
int cm_match_axis(const cm_variable *v, const char *dimension, int *axis, cm_error *err);

/* Do v and first, of different files, mean the same in the chosen aspects (cm_aspect, or'ed), so
 * that they can stand side by side along axis (-1: one for the other)? parents: the variables whose
 * bounds they are, or NULL. Values are not looked at. Raises CM_EJOIN with the first aspect, in the
 * order above, in which they differ, naming both files; and v's problem when it cannot be read. */
int cm_match_check(const cm_variable *first, const cm_variable *first_parent, const cm_variable *v,
                   const cm_variable *parent, int axis, unsigned aspects, cm_error *err);

/* Are the values of two attributes the same? A list of one is a scalar; NULL: not there. */
bool cm_match_attribute(const cm_attribute *a, const cm_attribute *b);

/* One variable of the joined dataset. */
typedef struct cm_match {
    int axis;                    /* along which it is joined; -1: static */
    size_t parent;               /* index of the variable whose bounds it is, or SIZE_MAX */
    cm_variable **in;            /* in[k]: file k's */
    bool *alike;                 /* alike[k]: it has the first file's attributes, all of them */
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
