/* cf/calendar.h: the calendars of the CF conventions, exactly.
 *
 * Source: CF conventions 1.11, section 4.4.1; years as in cftime and ISO 8601: standard and julian
 * have no year 0 (year -1 is followed by year 1), the others have one.
 *
 * Threads: pure functions.
 */
#ifndef CM_CF_CALENDAR_H
#define CM_CF_CALENDAR_H

#include <stdbool.h>
#include <stdint.h>

typedef enum cm_calendar {
    CM_STANDARD, /* Julian until 1582-10-04, then Gregorian from 1582-10-15 */
    CM_PROLEPTIC_GREGORIAN,
    CM_JULIAN,
    CM_NOLEAP,   /* 365 days */
    CM_ALL_LEAP, /* 366 days */
    CM_360_DAY   /* twelve months of 30 days */
} cm_calendar;

#define CM_NS_PER_SECOND INT64_C(1000000000)
#define CM_NS_PER_DAY (86400 * CM_NS_PER_SECOND)
#define CM_MAX_YEAR INT64_C(1000000000) /* of either sign */

typedef struct cm_date {
    int64_t year;
    int month, day;           /* from 1 */
    int hour, minute, second; /* 0..23, 0..59, 0..59: CF calendars have no leap seconds */
    int ns;
} cm_date;

/* Nanoseconds since the calendar's own day 0; only comparable within one calendar. 128 bits hold
 * every 64-bit count of any unit exactly. */
typedef __int128 cm_instant;

/* The calendar called name: NULL, "", "standard", "gregorian", "proleptic_gregorian", "julian",
 * "noleap", "365_day", "all_leap", "366_day", "360_day", in any case. false for others. */
bool cm_calendar_named(const char *name, cm_calendar *out);
const char *cm_calendar_name(cm_calendar c);

/* The year after a year, skipping a missing year 0. */
int64_t cm_calendar_next_year(cm_calendar c, int64_t year);

/* Day number of a date, false when the calendar does not have it (2001-02-29, 1582-10-10 in
 * standard, year 0 where there is none) or the year is beyond CM_MAX_YEAR. */
bool cm_calendar_day(cm_calendar c, int64_t year, int month, int day, int64_t *out);

/* And back, for any day number that cm_calendar_day gives. */
void cm_calendar_date(cm_calendar c, int64_t number, int64_t *year, int *month, int *day);

/* The same with the time of day. false as cm_calendar_day, or when the time of day is not one, or
 * the instant is beyond CM_MAX_YEAR. The way back stops before that year, so that what it gives has
 * nine digits and a year after it. */
bool cm_instant_of_date(cm_calendar c, const cm_date *date, cm_instant *out);
bool cm_date_of_instant(cm_calendar c, cm_instant t, cm_date *out);

#endif
