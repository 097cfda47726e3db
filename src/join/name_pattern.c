/* join/name_pattern.c: see the header.
 *
 * A name in which a pattern finds two different values is refused: names of archives have two dates
 * more often than one (19500101-19541231), and the first would be as good a guess as the second.
 * The date matcher walks pattern and text together and tries every place and every length of a
 * star; patterns and names are short.
 */
#include "join/name_pattern.h"

#include <ctype.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"

enum { LONGEST = 4096, MOST_STARS = 2 };

/* The part of a name that patterns look at: what is behind the last slash, slashes at the end left
 * out; all of it when the pattern has a slash. *nbytes: its length. */
static const char *subject_of(const char *name, const char *pattern, size_t *nbytes)
{
    size_t n = strlen(name);
    while (n > 1 && name[n - 1] == '/')
        n--;
    *nbytes = n;
    if (strchr(pattern, '/'))
        return name;
    const char *slash = memrchr(name, '/', n);
    if (!slash)
        return name;
    *nbytes = n - (size_t)(slash + 1 - name);
    return slash + 1;
}

static int not_found(const char *pattern, const char *name, size_t n, const char *what,
                     cm_error *err)
{
    return cm_error_set(err, CM_EINVAL, "the pattern '%.120s' %s '%.*s'", pattern, what,
                        n > 200 ? 200 : (int)n, name);
}

/* ---- dates ----------------------------------------------------------------------------------- */

static const char *const months[] = {"January",   "February", "March",    "April",
                                     "May",       "June",     "July",     "August",
                                     "September", "October",  "November", "December"};

typedef struct fields {
    cm_date date;
    int day_of_year; /* 0: none */
} fields;

typedef struct finder {
    cm_calendar calendar;
    const char *begin, *end; /* of the text */
    int nfound, nbad;
    cm_instant found;
} finder;

static int digits_of(char directive)
{
    return directive == 'Y' ? 4 : directive == 'j' ? 3 : strchr("ymdHMS", directive) ? 2 : 0;
}

/* %f counts from one digit on. */
static bool is_digits(char directive)
{
    return digits_of(directive) > 0 || directive == 'f';
}

static bool to_instant(const fields *f, cm_calendar c, cm_instant *out)
{
    int64_t first, number;
    cm_date d = f->date;
    if (f->day_of_year) {
        int64_t year;
        if (!cm_calendar_day(c, d.year, 1, 1, &first))
            return false;
        number = first + f->day_of_year - 1;
        cm_calendar_date(c, number, &year, &d.month, &d.day);
        if (year != d.year)
            return false;
    }
    return cm_instant_of_date(c, &d, out);
}

static void take(finder *x, const fields *f)
{
    cm_instant t;
    if (!to_instant(f, x->calendar, &t))
        x->nbad++;
    else if (x->nfound == 0 || t != x->found)
        x->nfound++, x->found = t;
}

static bool number(const char *text, const char *end, int n, int *out)
{
    *out = 0;
    for (int i = 0; i < n; i++) {
        if (text + i >= end || !isdigit((unsigned char)text[i]))
            return false;
        *out = *out * 10 + (text[i] - '0');
    }
    return true;
}

static void set_field(fields *f, char directive, int v)
{
    switch (directive) {
    case 'Y': f->date.year = v; break;
    case 'y': f->date.year = v < 69 ? 2000 + v : 1900 + v; break;
    case 'm': f->date.month = v; break;
    case 'd': f->date.day = v; break;
    case 'H': f->date.hour = v; break;
    case 'M': f->date.minute = v; break;
    case 'S': f->date.second = v; break;
    default: f->day_of_year = v ? v : -1; break;
    }
}

/* The month that text begins with: its length, 0 when there is none. */
static size_t month_name(const char *text, const char *end, bool whole, int *month)
{
    for (int i = 0; i < 12; i++) {
        size_t n = whole ? strlen(months[i]) : 3;
        if ((size_t)(end - text) >= n && strncasecmp(text, months[i], n) == 0) {
            *month = i + 1;
            return n;
        }
    }
    return 0;
}

/* p: what is left of the pattern, checked before; from here on. */
static void match(finder *x, const char *p, const char *text, fields f)
{
    for (; *p; p++) {
        int v, n;
        if (*p == '*') {
            for (; text <= x->end; text++)
                match(x, p + 1, text, f);
            return;
        }
        if (*p != '%' || p[1] == '%') {
            p += *p == '%';
            if (text >= x->end || (*p != '?' && *p != *text))
                return;
            text++;
            continue;
        }
        p++;
        if (*p == 'f') {
            for (n = 9; n > 0 && !number(text, x->end, n, &v);)
                n--;
            if (n == 0)
                return;
            text += n;
            for (; n < 9; n++)
                v *= 10;
            f.date.ns = v;
        } else if (*p == 'b' || *p == 'B') {
            size_t m = month_name(text, x->end, *p == 'B', &f.date.month);
            if (m == 0)
                return;
            text += m;
        } else {
            n = digits_of(*p);
            if (!number(text, x->end, n, &v))
                return;
            set_field(&f, *p, v);
            text += n;
        }
        /* the end of the pattern must be the end of the number */
        if (!p[1] && is_digits(*p) && text < x->end && isdigit((unsigned char)*text))
            return;
    }
    take(x, &f);
}

static int check_pattern(const char *pattern, cm_error *err)
{
    bool year = false;
    int stars = 0;
    if (strlen(pattern) > LONGEST)
        return cm_error_set(err, CM_EINVAL, "a pattern of more than %d bytes", LONGEST);
    for (const char *p = pattern; *p; p++) {
        stars += *p == '*';
        if (*p != '%')
            continue;
        p++;
        if (!*p || !strchr("YymdHMSjfbB%", *p)) {
            cm_error_set(err, CM_EINVAL, "%%%c in '%.120s' is not understood", *p ? *p : ' ',
                         pattern);
            cm_error_hint(err, "a date's parts are %%Y %%y %%m %%d %%j %%H %%M %%S %%f %%b %%B");
            return CM_EINVAL;
        }
        year = year || *p == 'Y' || *p == 'y';
    }
    if (stars > MOST_STARS)
        return cm_error_set(err, CM_EINVAL, "a pattern with more than %d stars", MOST_STARS);
    return year ? 0 : cm_error_set(err, CM_EINVAL, "'%.120s' has no year (%%Y)", pattern);
}

int cm_name_date(const char *pattern, const char *name, cm_calendar calendar, cm_instant *out,
                 cm_error *err)
{
    size_t n;
    const char *text = subject_of(name, pattern, &n);
    finder x = {.calendar = calendar, .begin = text, .end = text + n};
    bool first_is_digit = pattern[0] == '%' && pattern[1] && is_digits(pattern[1]);
    int rc = check_pattern(pattern, err);
    if (rc)
        return rc;
    if (n > LONGEST)
        return cm_error_set(err, CM_EINVAL, "a name of more than %d bytes", LONGEST);
    for (const char *at = text; at <= x.end; at++) {
        if (first_is_digit && at > text && isdigit((unsigned char)at[-1]))
            continue;
        match(&x, pattern, at, (fields){.date = {.month = 1, .day = 1}});
    }
    *out = x.found;
    if (x.nfound == 1)
        return 0;
    if (x.nfound == 0) {
        not_found(pattern, text, n,
                  x.nbad ? "finds no date of the calendar in" : "finds no date in", err);
        return CM_EINVAL;
    }
    not_found(pattern, text, n, "finds several dates in", err);
    cm_error_hint(err, "give it more of the name, as in '_%s-'", pattern);
    return CM_EINVAL;
}

/* ---- other values ---------------------------------------------------------------------------- */

/* \d, \w and \s, which POSIX does not have. In brackets they are left as they are. */
static char *posix_pattern(const char *pattern, cm_error *err)
{
    char *out = cm_calloc(strlen(pattern) + 1, 16, err), *to = out;
    bool brackets = false;
    for (const char *p = pattern; out && *p; p++) {
        const char *with = NULL;
        if (p[0] == '\\' && p[1] && !brackets) {
            with = p[1] == 'd'   ? "[0-9]"
                   : p[1] == 'w' ? "[[:alnum:]_]"
                   : p[1] == 's' ? "[[:space:]]"
                                 : NULL;
            if (!with)
                *to++ = *p;
            p++;
        }
        if (with) {
            memcpy(to, with, strlen(with));
            to += strlen(with);
        } else {
            brackets = *p == '[' ? true : *p == ']' ? false : brackets;
            *to++ = *p;
        }
    }
    return out;
}

static int search(const regex_t *re, const char *pattern, const char *subject, char **out,
                  cm_error *err)
{
    regmatch_t m[2];
    size_t at = 0, n = strlen(subject);
    char *found = NULL;
    while (at <= n && regexec(re, subject + at, 2, m, at ? REG_NOTBOL : 0) == 0) {
        regmatch_t *g = &m[re->re_nsub];
        size_t length = g->rm_so < 0 ? 0 : (size_t)(g->rm_eo - g->rm_so);
        const char *text = subject + at + (g->rm_so < 0 ? 0 : g->rm_so);
        if (found && (strlen(found) != length || strncmp(found, text, length) != 0)) {
            free(found);
            not_found(pattern, subject, n, "finds several values in", err);
            cm_error_hint(err, "give it more of the name");
            return CM_EINVAL;
        }
        if (!found && !(found = cm_strndup(text, length, err)))
            return CM_ENOMEM;
        at += (size_t)(m[0].rm_eo > 0 ? m[0].rm_eo : 1);
    }
    if (!found)
        return not_found(pattern, subject, n, "finds nothing in", err);
    *out = found;
    return 0;
}

int cm_name_text(const char *pattern, const char *name, char **out, cm_error *err)
{
    regex_t re;
    size_t n;
    char why[160];
    const char *text = subject_of(name, pattern, &n);
    *out = NULL;
    if (strlen(pattern) > LONGEST || n > LONGEST)
        return cm_error_set(err, CM_EINVAL, "a pattern or name of more than %d bytes", LONGEST);
    char *subject = cm_strndup(text, n, err), *posix = posix_pattern(pattern, err);
    int rc = subject && posix ? 0 : CM_ENOMEM;
    int bad = rc ? 0 : regcomp(&re, posix, REG_EXTENDED);
    if (rc == 0 && bad) {
        regerror(bad, &re, why, sizeof why);
        rc = cm_error_set(err, CM_EINVAL, "'%.120s' is no regular expression: %s", pattern, why);
    } else if (rc == 0) {
        if (re.re_nsub > 1)
            rc = cm_error_set(err, CM_EINVAL, "'%.120s' has %zu groups, one is the value", pattern,
                              re.re_nsub);
        else
            rc = search(&re, pattern, subject, out, err);
        regfree(&re);
    }
    free(subject);
    free(posix);
    return rc;
}
