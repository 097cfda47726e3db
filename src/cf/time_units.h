/* cf/time_units.h: "days since 2060-01-01": what numbers along a time axis mean, exactly.
 *
 * Units are nanoseconds, microseconds, milliseconds, seconds, minutes, hours, days, weeks (and the
 * usual abbreviations, as in UDUNITS and cftime), and where they are exact "months" in the 360_day
 * calendar and "common_years" in noleap. The reference is a date of the calendar, year of any width
 * (at most nine digits), with an optional time of day, fraction and zone (Z, UTC, GMT, +hh:mm, -hh,
 * +hhmm): "1850-1-1", "2000-01-01T12:00:00.5Z", "1970-01-01 00:00:00 -6:00".
 *
 * Integers are converted in integers. Floats are converted as the rational numbers that they are,
 * and rounded once: the result of cm_time_recode_double is the double nearest to the exact value.
 *
 * Threads: pure functions.
 */
#ifndef CM_CF_TIME_UNITS_H
#define CM_CF_TIME_UNITS_H

#include <stddef.h>

#include "cf/calendar.h"
#include "chunkmill/error.h"

typedef struct cm_time_units {
    cm_calendar calendar;
    int64_t unit_ns;
    cm_instant reference;
} cm_time_units;

/* True when units have the form "X since Y", whatever X and Y are. NULL is false. */
bool cm_units_are_time(const char *units);

/* Raises CM_EUNSUP saying what was not understood: an unknown calendar, a unit of no fixed length
 * (months, years), a reference that the calendar does not have, anything else after it. */
int cm_time_units_parse(const char *units, const char *calendar, cm_time_units *out, cm_error *err);

/* True when the same number means the same instant. */
bool cm_time_units_equal(const cm_time_units *a, const cm_time_units *b);

/* The instant of an integer: exact, any |v| < 2^64. */
cm_instant cm_time_of_int(const cm_time_units *u, __int128 v);

/* The instant of a float, rounded to what it can mean: to nanoseconds for units below a
 * microsecond, else to microseconds, or as coarse as the float's own spacing asks (milliseconds,
 * seconds). float32 values: pass their own spacing by is_float32. false when v is not finite or
 * beyond CM_MAX_YEAR. */
bool cm_time_of_double(const cm_time_units *u, double v, bool is_float32, cm_instant *out);

/* The number that means in `to` what v means in `from` (same calendar, checked by the caller).
 * int: false when there is no such integer. */
bool cm_time_recode_int(const cm_time_units *from, const cm_time_units *to, __int128 v,
                        __int128 *out);

/* double: the nearest one; *exact says whether it is the very instant. false when |v| is above 2^63
 * or so small (below 2^-500, but not 0) that it is no time. v is finite. */
bool cm_time_recode_double(const cm_time_units *from, const cm_time_units *to, double v,
                           double *out, bool *exact);

/* The period that an ISO 8601 prefix names: "2001", "2001-02", "2001-02-03", "2001-02-03T12",
 * "...T12:30", "...T12:30:15", with fraction, with Z; years of any width, with sign. *begin is its
 * first instant, *end the first one after it. Raises CM_EINVAL with what is wrong. */
int cm_time_period_parse(cm_calendar calendar, const char *text, size_t nbytes, cm_instant *begin,
                         cm_instant *end, cm_error *err);

/* "2060-01-01T00:00:00", with as many digits of a fraction (3, 6, 9) as needed. buf has 40 bytes or
 * more. false beyond CM_MAX_YEAR. */
bool cm_instant_text(cm_calendar calendar, cm_instant t, char *buf, size_t size);

#endif
