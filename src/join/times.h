/* join/times.h: what the numbers of a variable mean as times, and whether two files can agree. */
#ifndef CM_JOIN_TIMES_H
#define CM_JOIN_TIMES_H

#include "cf/time_units.h"
#include "dataset/dataset_private.h"

typedef struct cm_times {
    bool is_time; /* the units are "X since Y" */
    bool known;   /* and understood: units is set */
    cm_time_units units;
    const char *units_text, *calendar_text; /* borrowed from the attributes */
} cm_times;

/* parent: the variable whose bounds v is, or NULL: bounds without units of their own have their
 * parent's. */
void cm_times_of(const cm_variable *v, const cm_variable *parent, cm_times *out);

/* 0 when v's numbers mean the same as first's, or can be made to (*differ tells). Else CM_EJOIN
 * naming both files: other calendars, other units that are not understood, packed times. */
int cm_times_match(const cm_variable *first, const cm_times *first_times, const cm_variable *v,
                   const cm_times *times, bool *differ, cm_error *err);

/* v's array with its times in first's units: v's own array, ref'd, where they agree. */
int cm_times_array(const cm_variable *first, const cm_times *first_times, const cm_variable *v,
                   const cm_times *times, cm_array **out, cm_error *err);

/* CM_EJOIN about v, with first's file in the message after `but ... in`. hint may be NULL. */
int cm_join_refuse(const cm_variable *v, const char *hint, cm_error *err, const char *format, ...)
    CM_PRINTF(4, 5);
const char *cm_join_file(const cm_variable *v);

#endif
