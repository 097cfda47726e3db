/* cf/time_parse.c: time units and ISO 8601 prefixes as text.
 *
 * One scanner of numbers and one of dates serve both. Nothing is guessed: what is not understood to
 * the last character is refused with its text, since a reference date read wrongly shifts a whole
 * archive in silence. Two readings that peers disagree about are therefore refused: "20000101"
 * (packed date or year twenty million: five and more digits alone need a sign) and a lone hour
 * after the date ("2000-01-01 12", which cftime ignores and UDUNITS takes as noon) unless it is
 * zero.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cf/time_units.h"

static const struct {
    const char *name; /* singular, the plural is allowed too */
    int64_t ns;
} units_table[] = {{"day", CM_NS_PER_DAY},
                   {"d", CM_NS_PER_DAY},
                   {"hour", 3600 * CM_NS_PER_SECOND},
                   {"hr", 3600 * CM_NS_PER_SECOND},
                   {"h", 3600 * CM_NS_PER_SECOND},
                   {"minute", 60 * CM_NS_PER_SECOND},
                   {"min", 60 * CM_NS_PER_SECOND},
                   {"second", CM_NS_PER_SECOND},
                   {"sec", CM_NS_PER_SECOND},
                   {"s", CM_NS_PER_SECOND},
                   {"millisecond", 1000000},
                   {"millisec", 1000000},
                   {"msec", 1000000},
                   {"ms", 1000000},
                   {"microsecond", 1000},
                   {"microsec", 1000},
                   {"usec", 1000},
                   {"us", 1000},
                   {"nanosecond", 1},
                   {"nanosec", 1},
                   {"nsec", 1},
                   {"ns", 1},
                   {"week", 7 * CM_NS_PER_DAY}};

typedef struct scan {
    const char *p, *end;
} scan;

static bool at(const scan *s, char c)
{
    return s->p < s->end && *s->p == c;
}

static bool eat(scan *s, char c)
{
    if (!at(s, c))
        return false;
    s->p++;
    return true;
}

static void eat_spaces(scan *s)
{
    while (s->p < s->end && isspace((unsigned char)*s->p))
        s->p++;
}

/* 1..max digits, no more following. */
static bool number(scan *s, int max, int64_t *out, int *ndigits)
{
    int n = 0;
    *out = 0;
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9') {
        if (++n > max)
            return false;
        *out = *out * 10 + (*s->p++ - '0');
    }
    if (ndigits)
        *ndigits = n;
    return n > 0;
}

static bool small(scan *s, int *out)
{
    int64_t v;
    if (!number(s, 2, &v, NULL))
        return false;
    *out = (int)v;
    return true;
}

/* Digits after the point, at most nine that are not zero. */
static bool fraction(scan *s, int *ns, int *ndigits)
{
    int unit = 100000000;
    *ns = *ndigits = 0;
    for (; s->p < s->end && *s->p >= '0' && *s->p <= '9'; s->p++) {
        *ns += (*s->p - '0') * unit;
        if (unit == 0 && *s->p != '0')
            return false;
        unit /= 10;
        if (*ndigits < 9)
            ++*ndigits;
    }
    return true;
}

/* How far a date was given. */
typedef enum depth {
    NO_DATE,
    TO_YEAR,
    TO_MONTH,
    TO_DAY,
    TO_HOUR,
    TO_MINUTE,
    TO_SECOND,
    TO_FRACTION
} depth;

/* [-+]Y[-M[-D[( |T)h[:m[:s[.f]]]]]]; stops after what belongs to it. NO_DATE: malformed. */
static depth scan_date(scan *s, cm_date *d, int *fraction_digits)
{
    *d = (cm_date){.month = 1, .day = 1};
    *fraction_digits = 0;
    bool negative = eat(s, '-');
    int ndigits;
    bool sign = negative || eat(s, '+');
    if (!number(s, 9, &d->year, &ndigits))
        return NO_DATE;
    if (negative)
        d->year = -d->year;
    if (!eat(s, '-'))
        return ndigits > 4 && !sign ? NO_DATE : TO_YEAR;
    if (!small(s, &d->month))
        return NO_DATE;
    if (!eat(s, '-'))
        return TO_MONTH;
    if (!small(s, &d->day))
        return NO_DATE;
    scan mark = *s;
    bool letter = eat(s, 'T') || eat(s, 't');
    if (!letter)
        eat_spaces(s);
    if (s->p >= s->end || !isdigit((unsigned char)*s->p) || s->p == mark.p) {
        *s = mark;
        return TO_DAY;
    }
    if (!small(s, &d->hour))
        return NO_DATE;
    if (!eat(s, ':'))
        return TO_HOUR;
    if (!small(s, &d->minute))
        return NO_DATE;
    if (!eat(s, ':'))
        return TO_MINUTE;
    if (!small(s, &d->second))
        return NO_DATE;
    if (!eat(s, '.'))
        return TO_SECOND;
    return fraction(s, &d->ns, fraction_digits) ? TO_FRACTION : NO_DATE;
}

static bool eat_word(scan *s, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(s->end - s->p) < n || strncasecmp(s->p, word, n) != 0)
        return false;
    s->p += n;
    return true;
}

/* Zone after a date: nothing, Z, UTC, GMT, 0:00, or a signed offset. Minutes east of UTC. */
static bool scan_zone(scan *s, int *minutes)
{
    *minutes = 0;
    eat_spaces(s);
    if (s->p == s->end)
        return true;
    bool plus = eat(s, '+'), minus = !plus && eat(s, '-');
    if (!plus && !minus) {
        if (eat_word(s, "UTC") || eat_word(s, "GMT") || eat_word(s, "Z"))
            ;
        else if (!eat_word(s, "00:00") && !eat_word(s, "0:00") && !eat_word(s, "0"))
            return false;
    } else {
        int64_t v;
        int ndigits, m = 0;
        if (!number(s, 4, &v, &ndigits))
            return false;
        if (ndigits > 2) {
            m = (int)(v % 100);
            v /= 100;
        } else if (eat(s, ':') && !small(s, &m)) {
            return false;
        }
        if (v > 18 || m > 59)
            return false;
        *minutes = ((int)v * 60 + m) * (minus ? -1 : 1);
    }
    eat_spaces(s);
    return s->p == s->end;
}

/* The word "since" between blanks, after another word; *after is what follows it. */
static const char *find_since(const char *units, const char **after)
{
    while (isspace((unsigned char)*units))
        units++;
    for (const char *p = units; *p; p++)
        if (isspace((unsigned char)*p) && strncasecmp(p + 1, "since", 5) == 0 &&
            isspace((unsigned char)p[6])) {
            *after = p + 7;
            return p;
        }
    return NULL;
}

bool cm_units_are_time(const char *units)
{
    const char *after;
    return units && find_since(units, &after) != NULL;
}

static bool word_is(const char *word, size_t n, const char *name)
{
    return strlen(name) == n && strncasecmp(word, name, n) == 0;
}

static int parse_unit(const char *word, size_t n, cm_calendar calendar, int64_t *ns, cm_error *err)
{
    size_t singular = n > 2 && (word[n - 1] == 's' || word[n - 1] == 'S') ? n - 1 : n;
    for (size_t i = 0; i < sizeof units_table / sizeof *units_table; i++)
        if (word_is(word, n, units_table[i].name) || word_is(word, singular, units_table[i].name)) {
            *ns = units_table[i].ns;
            return 0;
        }
    if (word_is(word, singular, "month") && calendar == CM_360_DAY) {
        *ns = 30 * CM_NS_PER_DAY;
        return 0;
    }
    if (word_is(word, singular, "common_year") && calendar == CM_NOLEAP) {
        *ns = 365 * CM_NS_PER_DAY;
        return 0;
    }
    if (word_is(word, singular, "month") || word_is(word, singular, "year") ||
        word_is(word, singular, "common_year"))
        return cm_error_set(err, CM_EUNSUP, "a %.*s has no fixed length in the %s calendar",
                            (int)singular, word, cm_calendar_name(calendar));
    return cm_error_set(err, CM_EUNSUP, "'%.*s' is not a unit of time", n > 64 ? 64 : (int)n, word);
}

int cm_time_units_parse(const char *units, const char *calendar, cm_time_units *out, cm_error *err)
{
    const char *after = NULL;
    *out = (cm_time_units){0};
    if (!cm_calendar_named(calendar, &out->calendar))
        return cm_error_set(err, CM_EUNSUP, "calendar '%.64s' is not known", calendar);
    const char *since = units ? find_since(units, &after) : NULL;
    if (!since)
        return cm_error_set(err, CM_EUNSUP, "units '%.64s' are not a time since a date",
                            units ? units : "");
    const char *word = units;
    while (isspace((unsigned char)*word))
        word++;
    while (since > word && isspace((unsigned char)since[-1]))
        since--;
    int rc = parse_unit(word, (size_t)(since - word), out->calendar, &out->unit_ns, err);
    if (rc)
        return rc;
    scan s = {after, after + strlen(after)};
    cm_date d;
    int digits, zone;
    eat_spaces(&s);
    depth how = scan_date(&s, &d, &digits);
    if (how == NO_DATE || (how == TO_HOUR && d.hour != 0) || !scan_zone(&s, &zone))
        return cm_error_set(err, CM_EUNSUP, "the reference date '%.64s' is not understood", after);
    if (!cm_instant_of_date(out->calendar, &d, &out->reference))
        return cm_error_set(err, CM_EUNSUP,
                            "the reference date '%.64s' does not exist in the %s calendar", after,
                            cm_calendar_name(out->calendar));
    out->reference -= (cm_instant)zone * 60 * CM_NS_PER_SECOND;
    return 0;
}

static cm_instant period_end(cm_calendar c, cm_date d, depth how, int fraction_digits,
                             cm_instant begin)
{
    cm_instant tick = 1;
    switch (how) {
    case TO_YEAR: d.year = cm_calendar_next_year(c, d.year); break;
    case TO_MONTH:
        if (++d.month > 12) {
            d.month = 1;
            d.year = cm_calendar_next_year(c, d.year);
        }
        break;
    case TO_DAY: return begin + CM_NS_PER_DAY;
    case TO_HOUR: return begin + 3600 * CM_NS_PER_SECOND;
    case TO_MINUTE: return begin + 60 * CM_NS_PER_SECOND;
    case TO_SECOND: return begin + CM_NS_PER_SECOND;
    default:
        for (int i = fraction_digits; i < 9; i++)
            tick *= 10;
        return begin + tick;
    }
    cm_instant end = begin;
    (void)cm_instant_of_date(c, &d, &end); /* the caller left room below CM_MAX_YEAR */
    return end;
}

int cm_time_period_parse(cm_calendar calendar, const char *text, size_t nbytes, cm_instant *begin,
                         cm_instant *end, cm_error *err)
{
    scan s = {text, text + nbytes};
    cm_date d;
    int digits, zone;
    int shown = nbytes > 64 ? 64 : (int)nbytes;
    depth how = scan_date(&s, &d, &digits);
    if (how != NO_DATE && how < TO_HOUR ? s.p != s.end : !scan_zone(&s, &zone) || zone != 0)
        how = NO_DATE;
    if (how == NO_DATE)
        return cm_error_set(err, CM_EINVAL,
                            "'%.*s' is not a date such as 2001, 2001-02-28 or "
                            "2001-02-28T12:30",
                            shown, text);
    if (d.year >= CM_MAX_YEAR || !cm_instant_of_date(calendar, &d, begin))
        return cm_error_set(err, CM_EINVAL, "the date %.*s does not exist in the %s calendar",
                            shown, text, cm_calendar_name(calendar));
    *end = period_end(calendar, d, how, digits, *begin);
    return 0;
}

bool cm_instant_text(cm_calendar calendar, cm_instant t, char *buf, size_t size)
{
    cm_date d;
    if (!cm_date_of_instant(calendar, t, &d))
        return false;
    int n = snprintf(buf, size, "%s%04lld-%02d-%02dT%02d:%02d:%02d", d.year < 0 ? "-" : "",
                     d.year < 0 ? -(long long)d.year : (long long)d.year, d.month, d.day, d.hour,
                     d.minute, d.second);
    if (n < 0 || (size_t)n >= size)
        return false;
    if (d.ns == 0)
        return true;
    int width = d.ns % 1000 ? 9 : d.ns % 1000000 ? 6 : 3;
    int shown = width == 9 ? d.ns : width == 6 ? d.ns / 1000 : d.ns / 1000000;
    int m = snprintf(buf + n, size - (size_t)n, ".%0*d", width, shown);
    return m > 0 && (size_t)n + (size_t)m < size;
}
