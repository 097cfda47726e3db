/* join/extent.h: a file's coordinate from end to end, in a few numbers.
 *
 * What ordering, reporting gaps and surveys want to know of a coordinate, without keeping its
 * values. Times are compared as instants where every file's are understood.
 */
#ifndef CM_JOIN_EXTENT_H
#define CM_JOIN_EXTENT_H

#include "join/cells.h"
#include "join/times.h"

/* How far apart neighbouring values are, for values that are whole numbers or instants. Of many
 * differences: the least, how many are just that, and the greatest common divisor of all. */
typedef struct cm_pace {
    __int128 least, divisor;
    int64_t nleast, n; /* of n differences */
} cm_pace;

void cm_pace_add(cm_pace *p, __int128 difference);
void cm_pace_merge(cm_pace *p, const cm_pace *other);

/* Is it an axis of equal steps with holes: every difference is a multiple of the least, most are
 * the least, and some are not? */
bool cm_pace_has_holes(const cm_pace *p);

/* What the numbers of a coordinate are when they are compared. */
typedef enum cm_scale {
    CM_SCALE_REAL,   /* floats that are no whole numbers */
    CM_SCALE_WHOLE,  /* whole numbers */
    CM_SCALE_INSTANT /* nanoseconds of the calendar */
} cm_scale;

typedef struct cm_extent {
    const cm_variable *v;
    cm_times times;
    bool by_instant;
    size_t index; /* of the dataset, as given */
    int64_t n;
    cm_number first, last; /* instants as integers */
    int direction;         /* 1, -1: how it begins; 0: fewer than two values */
    bool rises, falls;     /* somewhere */
    int64_t odd;           /* the first index that breaks strict monotony, or -1 */
    cm_number odd_value, odd_before;
    int64_t missing; /* the first index without a valid value, or -1; nothing after it is read */
    bool whole;      /* all are whole numbers (or instants) */
    cm_pace steps;
    bool monthly; /* instants, and no two in a month */
    cm_pace months;
} cm_extent;

/* Can v say where along its dimension a cell lies: a coordinate variable of numbers? An unreadable
 * one counts, so that it is not passed over in silence. */
bool cm_extent_orders(const cm_variable *v);

/* Fill in n extents of the namesakes of coordinate in n datasets, one each, reading in parallel.
 * Raises CM_EJOIN naming both files when they cannot be compared (missing, dtype, calendar, units),
 * and what reading raises; values are judged by the caller. */
int cm_extents_read(cm_context *ctx, cm_dataset *const *datasets, size_t n,
                    const cm_variable *coordinate, cm_extent *out, cm_error *err);

/* -1 when all that are not constant only fall, else 1. */
int cm_extents_direction(const cm_extent *e, size_t n);

/* The scale of all n together. */
cm_scale cm_extents_scale(const cm_extent *e, size_t n);

/* A value of e for people. buf has 48 bytes or more. */
const char *cm_extent_text(const cm_extent *e, const cm_number *x, char *buf, size_t size);

/* x, read from e's file, as it is compared (instants where by_instant). */
cm_number cm_extent_number(const cm_extent *e, const cm_number *x);

/* One integer that sorts as the numbers of a scale do, and for people. */
__int128 cm_scale_key(cm_scale scale, const cm_number *x);
const char *cm_scale_text(cm_scale scale, const cm_extent *e, __int128 key, char *buf, size_t size);

/* Months since year 0 of an instant, and what is left: the time since the month began. */
bool cm_month_of(const cm_extent *e, __int128 instant, int64_t *month, __int128 *rest);
bool cm_instant_of_month(const cm_extent *e, int64_t month, __int128 rest, __int128 *instant);

#endif
