/* cf/calendar.c: dates to day numbers and back.
 *
 * Real-world calendars count in years that begin on 1 March, so that the leap day is the last of
 * its year and the month lengths before it are one linear formula: day of year = (153 m + 2) / 5
 * with m counted from March. Day 0 is 1 March of year 0 in the proleptic Gregorian count; Julian
 * dates are two days lower there. The standard calendar is the Julian one below day SWITCH and the
 * Gregorian one from it on, in the same numbers, which is what makes it one calendar. Model
 * calendars count whole years from 1 January of year 0.
 *
 * Years here are astronomical (there is a year 0); the calendars without one are renumbered at the
 * door. All divisions round down.
 */
#include "cf/calendar.h"

#include <stddef.h>
#include <strings.h>

static const struct {
    const char *name;
    cm_calendar calendar;
} names[] = {{"standard", CM_STANDARD},  {"proleptic_gregorian", CM_PROLEPTIC_GREGORIAN},
             {"julian", CM_JULIAN},      {"noleap", CM_NOLEAP},
             {"all_leap", CM_ALL_LEAP},  {"360_day", CM_360_DAY},
             {"gregorian", CM_STANDARD}, {"365_day", CM_NOLEAP},
             {"366_day", CM_ALL_LEAP},   {"", CM_STANDARD}};

bool cm_calendar_named(const char *name, cm_calendar *out)
{
    if (!name)
        name = "";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(name, names[i].name) == 0) {
            *out = names[i].calendar;
            return true;
        }
    return false;
}

const char *cm_calendar_name(cm_calendar c)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].calendar == c)
            return names[i].name;
    return "unknown";
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static int64_t floor_mod(int64_t a, int64_t b)
{
    return a - floor_div(a, b) * b;
}

static bool lacks_year_zero(cm_calendar c)
{
    return c == CM_STANDARD || c == CM_JULIAN;
}

static int64_t astronomical(cm_calendar c, int64_t year)
{
    return lacks_year_zero(c) && year < 0 ? year + 1 : year;
}

static int64_t historical(cm_calendar c, int64_t year)
{
    return lacks_year_zero(c) && year <= 0 ? year - 1 : year;
}

int64_t cm_calendar_next_year(cm_calendar c, int64_t year)
{
    return historical(c, astronomical(c, year) + 1);
}

/* y astronomical; the standard calendar has Julian leap years up to 1582 */
static bool is_leap(cm_calendar c, int64_t y)
{
    switch (c) {
    case CM_NOLEAP:
    case CM_360_DAY: return false;
    case CM_ALL_LEAP: return true;
    case CM_JULIAN: return y % 4 == 0;
    case CM_STANDARD:
        if (y <= 1582)
            return y % 4 == 0;
        break;
    case CM_PROLEPTIC_GREGORIAN: break;
    }
    return y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
}

/* Of a year that exists. October 1582 of the standard calendar: 31, though ten of them do not. */
static int days_in_month(cm_calendar c, int64_t year, int month)
{
    static const int month_days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (c == CM_360_DAY)
        return 30;
    return month_days[month - 1] + (month == 2 && is_leap(c, astronomical(c, year)));
}

static int64_t march_day(int month, int day)
{
    return (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
}

static int64_t gregorian_day(int64_t y, int month, int day)
{
    y -= month <= 2;
    return y * 365 + floor_div(y, 4) - floor_div(y, 100) + floor_div(y, 400) +
           march_day(month, day);
}

static int64_t julian_day(int64_t y, int month, int day)
{
    y -= month <= 2;
    return y * 365 + floor_div(y, 4) + march_day(month, day) - 2;
}

/* 1582-10-15 Gregorian, the day after 1582-10-04 Julian */
#define SWITCH INT64_C(578041)

static void march_date(int64_t y, int64_t day_of_year, int64_t *year, int *month, int *day)
{
    int64_t m = (5 * day_of_year + 2) / 153;
    *day = (int)(day_of_year - (153 * m + 2) / 5 + 1);
    *month = (int)(m < 10 ? m + 3 : m - 9);
    *year = y + (*month <= 2);
}

static void gregorian_date(int64_t number, int64_t *year, int *month, int *day)
{
    int64_t era = floor_div(number, 146097), d = floor_mod(number, 146097);
    int64_t y = (d - d / 1460 + d / 36524 - d / 146096) / 365;
    march_date(era * 400 + y, d - (365 * y + y / 4 - y / 100), year, month, day);
}

static void julian_date(int64_t number, int64_t *year, int *month, int *day)
{
    int64_t era = floor_div(number + 2, 1461), d = floor_mod(number + 2, 1461);
    int64_t y = (d - d / 1460) / 365;
    march_date(era * 4 + y, d - 365 * y, year, month, day);
}

/* Days before each month in years of 365 days; with a leap day from March on one more. */
static const int before_month[13] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};

bool cm_calendar_day(cm_calendar c, int64_t year, int month, int day, int64_t *out)
{
    if (year > CM_MAX_YEAR || year < -CM_MAX_YEAR || (year == 0 && lacks_year_zero(c)) ||
        month < 1 || month > 12 || day < 1 || day > days_in_month(c, year, month))
        return false;
    int64_t y = astronomical(c, year);
    switch (c) {
    case CM_PROLEPTIC_GREGORIAN: *out = gregorian_day(y, month, day); return true;
    case CM_JULIAN: *out = julian_day(y, month, day); return true;
    case CM_STANDARD:
        if (y == 1582 && month == 10 && day > 4 && day < 15)
            return false;
        *out = gregorian_day(y, month, day);
        if (*out < SWITCH)
            *out = julian_day(y, month, day);
        return true;
    case CM_NOLEAP: *out = y * 365 + before_month[month - 1] + day - 1; return true;
    case CM_ALL_LEAP: *out = y * 366 + before_month[month - 1] + (month > 2) + day - 1; return true;
    case CM_360_DAY: *out = y * 360 + (month - 1) * 30 + day - 1; return true;
    }
    return false;
}

static void model_date(cm_calendar c, int64_t number, int64_t *year, int *month, int *day)
{
    if (c == CM_360_DAY) {
        int64_t d = floor_mod(number, 360);
        *year = floor_div(number, 360);
        *month = (int)(d / 30) + 1;
        *day = (int)(d % 30) + 1;
        return;
    }
    const int leap = c == CM_ALL_LEAP;
    int64_t d = floor_mod(number, 365 + leap);
    int m = 1;
    while (m < 12 && d >= before_month[m] + (m >= 2 ? leap : 0))
        m++;
    *year = floor_div(number, 365 + leap);
    *month = m;
    *day = (int)(d - before_month[m - 1] - (m > 2 ? leap : 0)) + 1;
}

void cm_calendar_date(cm_calendar c, int64_t number, int64_t *year, int *month, int *day)
{
    if (c == CM_PROLEPTIC_GREGORIAN || (c == CM_STANDARD && number >= SWITCH))
        gregorian_date(number, year, month, day);
    else if (c == CM_STANDARD || c == CM_JULIAN)
        julian_date(number, year, month, day);
    else
        model_date(c, number, year, month, day);
    *year = historical(c, *year);
}

bool cm_instant_of_date(cm_calendar c, const cm_date *date, cm_instant *out)
{
    int64_t day;
    if (date->hour < 0 || date->hour > 23 || date->minute < 0 || date->minute > 59 ||
        date->second < 0 || date->second > 59 || date->ns < 0 || date->ns >= CM_NS_PER_SECOND ||
        !cm_calendar_day(c, date->year, date->month, date->day, &day))
        return false;
    int64_t second = ((int64_t)date->hour * 60 + date->minute) * 60 + date->second;
    *out = (cm_instant)day * CM_NS_PER_DAY + second * CM_NS_PER_SECOND + date->ns;
    return true;
}

bool cm_date_of_instant(cm_calendar c, cm_instant t, cm_date *out)
{
    const cm_instant limit = (cm_instant)366 * (CM_MAX_YEAR + 1) * CM_NS_PER_DAY;
    if (t > limit || t < -limit)
        return false;
    int64_t day = (int64_t)(t / CM_NS_PER_DAY), rest = (int64_t)(t % CM_NS_PER_DAY);
    if (rest < 0) {
        rest += CM_NS_PER_DAY;
        day--;
    }
    cm_calendar_date(c, day, &out->year, &out->month, &out->day);
    int64_t second = rest / CM_NS_PER_SECOND;
    out->ns = (int)(rest % CM_NS_PER_SECOND);
    out->second = (int)(second % 60);
    out->minute = (int)(second / 60 % 60);
    out->hour = (int)(second / 3600);
    return out->year < CM_MAX_YEAR && out->year > -CM_MAX_YEAR;
}
