/* join/name_pattern.h: dates and other values out of file names.
 *
 * Threads: pure functions. */
#ifndef CM_JOIN_NAME_PATTERN_H
#define CM_JOIN_NAME_PATTERN_H

#include "cf/calendar.h"
#include "chunkmill/error.h"

/* The date that pattern finds anywhere in name. %Y (four digits), %y (two: 1969 to 2068), %m, %d,
 * %H, %M, %S (two), %j (three: day of the year), %f (one to nine: a fraction of a second), %b and
 * %B (English months, short and whole), %% ; * is any text, ? any one character; everything else
 * stands for itself. Digits of a pattern's end do not match inside of longer numbers. Raises
 * CM_EINVAL for a pattern that is none, or finds nothing, no date of the calendar, or several
 * different ones; the message has name and pattern. */
int cm_name_date(const char *pattern, const char *name, cm_calendar calendar, cm_instant *out,
                 cm_error *err);

/* The text that an extended regular expression finds in name (\d, \w and \s are understood): its
 * only group, or all when it has none. *out: malloc'ed. Raises CM_EINVAL as above. */
int cm_name_text(const char *pattern, const char *name, char **out, cm_error *err);

#endif
