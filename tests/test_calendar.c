/* Calendars and time units: against a calendar that walks day by day, against known dates, and
 * against arithmetic in another form. */
#include <math.h>

#include "cf/time_units.h"
#include "chunkmill/join.h"
#include "tap.h"

static const cm_calendar all[] = {
    CM_STANDARD, CM_PROLEPTIC_GREGORIAN, CM_JULIAN, CM_NOLEAP, CM_ALL_LEAP, CM_360_DAY};

static bool naive_leap(cm_calendar c, int64_t y)
{
    bool no_zero = c == CM_STANDARD || c == CM_JULIAN;
    int64_t a = no_zero && y < 0 ? y + 1 : y;
    bool julian = ((a % 4) + 4) % 4 == 0;
    bool gregorian = julian && (((a % 100) + 100) % 100 != 0 || ((a % 400) + 400) % 400 == 0);
    switch (c) {
    case CM_NOLEAP: return false;
    case CM_ALL_LEAP: return true;
    case CM_360_DAY: return false;
    case CM_JULIAN: return julian;
    case CM_STANDARD: return y < 1583 ? julian : gregorian;
    default: return gregorian;
    }
}

/* The next day, the slow and obvious way. */
static void naive_next(cm_calendar c, int64_t *y, int *m, int *d)
{
    static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int n = c == CM_360_DAY ? 30 : days[*m - 1] + (*m == 2 && naive_leap(c, *y));
    if (c == CM_STANDARD && *y == 1582 && *m == 10 && *d == 4) {
        *d = 15;
        return;
    }
    if (++*d <= n)
        return;
    *d = 1;
    if (++*m <= 12)
        return;
    *m = 1;
    ++*y;
    if (*y == 0 && (c == CM_STANDARD || c == CM_JULIAN))
        *y = 1;
}

static void every_day_of_20000_years(void)
{
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        cm_calendar c = all[i];
        int64_t y = -10000, number, want, y2;
        int m = 1, d = 1, m2, d2, bad = 0;
        if (!TAP_OK(cm_calendar_day(c, y, m, d, &want)))
            continue;
        for (; y <= 10000 && bad < 3; want++) {
            bool have = cm_calendar_day(c, y, m, d, &number);
            cm_calendar_date(c, want, &y2, &m2, &d2);
            if (!have || number != want || y2 != y || m2 != m || d2 != d) {
                printf("# %s %lld-%d-%d: day %lld, want %lld; back %lld-%d-%d\n",
                       cm_calendar_name(c), (long long)y, m, d, (long long)number, (long long)want,
                       (long long)y2, m2, d2);
                bad++;
            }
            naive_next(c, &y, &m, &d);
        }
        TAP_EQ(bad, 0);
    }
}

static void dates_that_do_not_exist(void)
{
    int64_t n;
    TAP_OK(!cm_calendar_day(CM_STANDARD, 1582, 10, 5, &n));
    TAP_OK(!cm_calendar_day(CM_STANDARD, 1582, 10, 14, &n));
    TAP_OK(cm_calendar_day(CM_STANDARD, 1582, 10, 15, &n));
    TAP_OK(cm_calendar_day(CM_PROLEPTIC_GREGORIAN, 1582, 10, 10, &n));
    TAP_OK(!cm_calendar_day(CM_STANDARD, 0, 1, 1, &n));
    TAP_OK(!cm_calendar_day(CM_JULIAN, 0, 1, 1, &n));
    TAP_OK(cm_calendar_day(CM_PROLEPTIC_GREGORIAN, 0, 2, 29, &n));
    TAP_OK(!cm_calendar_day(CM_NOLEAP, 2000, 2, 29, &n));
    TAP_OK(cm_calendar_day(CM_ALL_LEAP, 2001, 2, 29, &n));
    TAP_OK(cm_calendar_day(CM_360_DAY, 2001, 2, 30, &n));
    TAP_OK(!cm_calendar_day(CM_360_DAY, 2001, 1, 31, &n));
    TAP_OK(!cm_calendar_day(CM_STANDARD, 1900, 2, 29, &n));
    TAP_OK(cm_calendar_day(CM_STANDARD, 1500, 2, 29, &n));
    TAP_OK(!cm_calendar_day(CM_STANDARD, 2000, 0, 1, &n));
    TAP_OK(!cm_calendar_day(CM_STANDARD, 2000, 13, 1, &n));
    TAP_OK(!cm_calendar_day(CM_STANDARD, CM_MAX_YEAR + 1, 1, 1, &n));
}

/* Distances between reference dates, known independently (Julian day numbers and the like). */
static void known_distances(void)
{
    static const struct {
        cm_calendar c;
        int y0, m0, d0, y1, m1, d1;
        int64_t days;
    } t[] = {{CM_PROLEPTIC_GREGORIAN, 1970, 1, 1, 2000, 1, 1, 10957},
             {CM_STANDARD, -4713, 1, 1, 2000, 1, 1, 2451545},
             {CM_JULIAN, -4713, 1, 1, 1582, 10, 5, 2299161},
             {CM_STANDARD, -4713, 1, 1, 1582, 10, 15, 2299161},
             {CM_PROLEPTIC_GREGORIAN, 1, 1, 1, 1970, 1, 1, 719162},
             {CM_STANDARD, 1, 1, 1, 1970, 1, 1, 719164},
             {CM_NOLEAP, 1850, 1, 1, 2060, 1, 1, 76650},
             {CM_360_DAY, 1850, 1, 1, 2060, 1, 1, 75600},
             {CM_ALL_LEAP, 2000, 1, 1, 2003, 3, 1, 1158}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        int64_t a = 0, b = 0;
        TAP_OK(cm_calendar_day(t[i].c, t[i].y0, t[i].m0, t[i].d0, &a));
        TAP_OK(cm_calendar_day(t[i].c, t[i].y1, t[i].m1, t[i].d1, &b));
        TAP_EQ(b - a, t[i].days);
    }
}

static void unit_texts(void)
{
    static const struct {
        const char *a, *b, *calendar; /* the same */
    } same[] = {{"days since 2000-01-01", "day since 2000-1-1 00:00:00", NULL},
                {"hours since 1900-01-01 00:00:0.0", "h since 1900-01-01T00:00Z", "gregorian"},
                {"hr since 1900-01-01", "HOURS SINCE 1900-01-01 UTC", ""},
                {"days since 2000-01-01 00:00 +02:00", "d since 1999-12-31 22:00", "noleap"},
                {"days since 2000-01-01 00:00 -6", "days since 2000-01-01 06:00:00 0:00", NULL},
                {"s since 2000-01-01 00:00:00.5 -0630", "sec since 2000-01-01 06:30:00.500", NULL},
                {"weeks since 2000", "week since 2000-01", "360_day"},
                {"months since 2000-02-30", "month since 2000-02-30T00:00:00", "360_day"},
                {"common_years since 1-1-1", "common_year since 0001-01-01", "365_day"},
                {"us since 1970-01-01", "microseconds since 1970-01-01 GMT", "julian"}};
    static const struct {
        const char *units, *calendar;
    } bad[] = {{"days", NULL},
               {"K", NULL},
               {NULL, NULL},
               {"months since 2000-01-01", "standard"},
               {"years since 2000-01-01", "360_day"},
               {"fortnights since 2000-01-01", NULL},
               {"days since 20000101", NULL},
               {"days since 2000-01-01 12", NULL},
               {"days since 2000-01-01 EST", NULL},
               {"days since 2000-01-01 24:00:00", NULL},
               {"days since 2000-01-01 00:60", NULL},
               {"days since 2000-01-01T", NULL},
               {"days since 2000-13-01", NULL},
               {"days since 2000-02-30", "standard"},
               {"days since 1582-10-10", "standard"},
               {"days since 0000-01-01", "standard"},
               {"days since -", NULL},
               {"days since ", NULL},
               {" since 2000-01-01", NULL},
               {"days since 2000-01-01 00:00:00 10:00", NULL},
               {"days since 2000-01-01", "martian"},
               {"day as %Y%m%d.%f", NULL}};
    cm_error err;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        cm_time_units a, b;
        TAP_CALL(cm_time_units_parse(same[i].a, same[i].calendar, &a, &err), &err);
        TAP_CALL(cm_time_units_parse(same[i].b, same[i].calendar, &b, &err), &err);
        if (!TAP_OK(cm_time_units_equal(&a, &b)))
            printf("# %s\n", same[i].a);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cm_time_units a;
        cm_error_clear(&err);
        TAP_EQ(cm_time_units_parse(bad[i].units, bad[i].calendar, &a, &err), CM_EUNSUP);
        if (!TAP_OK(err.message[0]))
            printf("# %s\n", bad[i].units);
    }
    TAP_OK(cm_units_are_time("months since 2000-01-01") && !cm_units_are_time("m s-1"));
    TAP_OK(!cm_units_are_time("since") && !cm_units_are_time(" since"));
}

static void random_round_trips(void)
{
    uint64_t seed = tap_seed();
    for (int k = 0; k < 200000; k++) {
        cm_calendar c = all[tap_random(&seed) % 6];
        cm_instant t = ((cm_instant)(int64_t)tap_random(&seed) * 34) + (int64_t)(tap_random(&seed));
        cm_date d;
        cm_instant back = 0;
        if (!cm_date_of_instant(c, t, &d) || !cm_instant_of_date(c, &d, &back) || back != t) {
            TAP_STR("instant -> date -> instant", "right");
            return;
        }
    }
}

/* Recoding, against instants compared in integers. */
static void recode_integers(void)
{
    uint64_t seed = tap_seed();
    static const char *units[] = {"days",         "hours",        "minutes",     "seconds",
                                  "milliseconds", "microseconds", "nanoseconds", "weeks"};
    for (int k = 0; k < 100000; k++) {
        char a_text[80], b_text[80];
        cm_time_units a, b;
        cm_error err;
        snprintf(a_text, sizeof a_text, "%s since %d-%02d-%02d %02d:00",
                 units[tap_random(&seed) % 8], (int)(tap_random(&seed) % 4000) + 1600,
                 (int)(tap_random(&seed) % 12) + 1, (int)(tap_random(&seed) % 28) + 1,
                 (int)(tap_random(&seed) % 24));
        snprintf(b_text, sizeof b_text, "%s since %d-%02d-%02d", units[tap_random(&seed) % 8],
                 (int)(tap_random(&seed) % 4000) + 1600, (int)(tap_random(&seed) % 12) + 1,
                 (int)(tap_random(&seed) % 28) + 1);
        const char *calendar = cm_calendar_name(all[k % 6]);
        TAP_CALL(cm_time_units_parse(a_text, calendar, &a, &err), &err);
        TAP_CALL(cm_time_units_parse(b_text, calendar, &b, &err), &err);
        int64_t v = (int64_t)tap_random(&seed) >> (tap_random(&seed) % 60);
        __int128 w;
        bool exact = cm_time_recode_int(&a, &b, v, &w);
        cm_instant t = cm_time_of_int(&a, v);
        if (exact ? cm_time_of_int(&b, w) != t : (t - b.reference) % b.unit_ns == 0) {
            printf("# %s: %lld -> %s\n", a_text, (long long)v, b_text);
            TAP_STR("integer recode", "right");
            return;
        }
        /* a double that holds the integer gives the same, and says whether it is exact */
        double dv = (double)(v >> 11), dw = 0;
        bool dexact = false, fits = cm_time_recode_double(&a, &b, dv, &dw, &dexact);
        exact = cm_time_recode_int(&a, &b, v >> 11, &w);
        if (!fits || (exact && (double)w != dw) || (dexact && !exact && floor(dw) == dw)) {
            printf("# %s: %.17g -> %s: %.17g\n", a_text, dv, b_text, dw);
            TAP_STR("double recode", "right");
            return;
        }
    }
}

/* Fractions: the result must be the nearest double, so both neighbours must be farther. Distances
 * are compared in long double on values chosen so that its 64 bits hold them exactly. */
static void recode_fractions(void)
{
    uint64_t seed = tap_seed();
    cm_time_units days, days2, hours, seconds;
    cm_error err;
    TAP_CALL(cm_time_units_parse("days since 1850-01-01", NULL, &days, &err), &err);
    TAP_CALL(cm_time_units_parse("days since 2000-01-01", NULL, &days2, &err), &err);
    TAP_CALL(cm_time_units_parse("hours since 2000-01-01", NULL, &hours, &err), &err);
    TAP_CALL(cm_time_units_parse("seconds since 1999-12-31", NULL, &seconds, &err), &err);
    double w;
    bool exact;
    TAP_OK(cm_time_recode_double(&days, &days2, 0.5, &w, &exact) && exact && w == 0.5 - 54786);
    TAP_OK(cm_time_recode_double(&hours, &days2, 36, &w, &exact) && exact && w == 1.5);
    TAP_OK(cm_time_recode_double(&hours, &days2, 1, &w, &exact) && !exact && w == 1.0 / 24);
    TAP_OK(cm_time_recode_double(&days2, &hours, 0.1, &w, &exact) && w == 0.1 * 24);
    TAP_OK(cm_time_recode_double(&days2, &days, 0.1, &w, &exact) && !exact && w == 54786.1);
    TAP_OK(cm_time_recode_double(&days2, &seconds, -1, &w, &exact) && exact && w == 0 &&
           !signbit(w));
    TAP_OK(cm_time_recode_double(&days2, &days2, -0.0, &w, &exact) && exact && w == 0);
    TAP_OK(cm_time_recode_double(&days2, &days, 1e-100, &w, &exact) && !exact && w == 54786);
    TAP_OK(!cm_time_recode_double(&days2, &days, 1e-200, &w, &exact));
    TAP_OK(!cm_time_recode_double(&days2, &days, 1e20, &w, &exact));
    for (int k = 0; k < 200000; k++) {
        /* days with 40 fractional bits plus an integer of days: exact in 64 bits */
        int64_t n = (int64_t)(tap_random(&seed) >> 11) - (INT64_C(1) << 52);
        double v = ldexp((double)n, -40);
        long double want = (long double)v + 54786;
        cm_time_recode_double(&days2, &days, v, &w, &exact);
        if (w != (double)want || exact != ((long double)w == want)) {
            printf("# %.17g: %.17g, want %.17Lg\n", v, w, want);
            TAP_STR("fraction", "right");
            return;
        }
    }
}

static void texts(void)
{
    static const struct {
        double v;
        const char *units, *calendar, *want;
    } t[] = {{0, "days since 2060-01-01", NULL, "2060-01-01T00:00:00"},
             {0.5, "days since 2060-01-01", "standard", "2060-01-01T12:00:00"},
             {21915.1, "days since 2000-01-01", "standard", "2060-01-01T02:24:00"},
             {1.0 / 3, "days since 2000-01-01", "noleap", "2000-01-01T08:00:00"},
             {-1, "days since 0001-01-01", "standard", "-0001-12-31T00:00:00"},
             {-1, "days since 0001-01-01", "proleptic_gregorian", "0000-12-31T00:00:00"},
             {59, "days since 2001-01-01", "360_day", "2001-02-30T00:00:00"},
             {0.25, "seconds since 2001-01-01", NULL, "2001-01-01T00:00:00.250"},
             {1500, "nanoseconds since 2001-01-01", NULL, "2001-01-01T00:00:00.000001500"},
             {1, "days since 1582-10-04", "gregorian", "1582-10-15T00:00:00"},
             {0, "days since 12345-01-01", NULL, "12345-01-01T00:00:00"}};
    char buf[40];
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        TAP_OK(cm_time_text(t[i].v, t[i].units, t[i].calendar, buf, sizeof buf));
        TAP_STR(buf, t[i].want);
    }
    TAP_OK(!cm_time_text(NAN, "days since 2000-01-01", NULL, buf, sizeof buf));
    TAP_OK(!cm_time_text(1e18, "days since 2000-01-01", NULL, buf, sizeof buf));
    TAP_OK(!cm_time_text(0, "K", NULL, buf, sizeof buf));
    TAP_OK(!cm_time_text(0, "days since 2000-01-01", NULL, buf, 5));
}

static void periods(void)
{
    static const struct {
        cm_calendar c;
        const char *text, *begin, *end;
    } t[] = {{CM_STANDARD, "2001", "2001-01-01T00:00:00", "2002-01-01T00:00:00"},
             {CM_STANDARD, "-1", "-0001-01-01T00:00:00", "0001-01-01T00:00:00"},
             {CM_NOLEAP, "-1", "-0001-01-01T00:00:00", "0000-01-01T00:00:00"},
             {CM_STANDARD, "2000-02", "2000-02-01T00:00:00", "2000-03-01T00:00:00"},
             {CM_360_DAY, "2000-12", "2000-12-01T00:00:00", "2001-01-01T00:00:00"},
             {CM_360_DAY, "2000-02-30", "2000-02-30T00:00:00", "2000-03-01T00:00:00"},
             {CM_STANDARD, "1582-10-04", "1582-10-04T00:00:00", "1582-10-15T00:00:00"},
             {CM_STANDARD, "2000-02-29T23", "2000-02-29T23:00:00", "2000-03-01T00:00:00"},
             {CM_STANDARD, "2000-02-29 23:59", "2000-02-29T23:59:00", "2000-03-01T00:00:00"},
             {CM_STANDARD, "2000-02-29T23:59:58Z", "2000-02-29T23:59:58", "2000-02-29T23:59:59"},
             {CM_STANDARD, "2000-01-01T00:00:00.5", "2000-01-01T00:00:00.500",
              "2000-01-01T00:00:00.600"}};
    static const char *bad[] = {"",
                                "x",
                                "2001-",
                                "2001-2-30",
                                "20010101",
                                "2001x",
                                "2001-01-01T",
                                "0",
                                "5000000000",
                                "1582-10-10",
                                "2001-01-01T00:00+01:00"};
    char buf[40];
    cm_instant begin, end;
    cm_error err;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        TAP_CALL(cm_time_period_parse(t[i].c, t[i].text, strlen(t[i].text), &begin, &end, &err),
                 &err);
        cm_instant_text(t[i].c, begin, buf, sizeof buf);
        TAP_STR(buf, t[i].begin);
        cm_instant_text(t[i].c, end, buf, sizeof buf);
        TAP_STR(buf, t[i].end);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (!TAP_OK(cm_time_period_parse(CM_STANDARD, bad[i], strlen(bad[i]), &begin, &end, &err) ==
                    CM_EINVAL))
            printf("# %s\n", bad[i]);
}

int main(void)
{
    TAP_RUN(every_day_of_20000_years);
    TAP_RUN(dates_that_do_not_exist);
    TAP_RUN(known_distances);
    TAP_RUN(unit_texts);
    TAP_RUN(random_round_trips);
    TAP_RUN(recode_integers);
    TAP_RUN(recode_fractions);
    TAP_RUN(texts);
    TAP_RUN(periods);
    return tap_done();
}
