/* fuzz/fuzz_time.c: time units and ISO 8601 prefixes: whatever is understood must be consistent.
 *
 * Input: one byte (calendar), eight (a double), the text. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cf/time_units.h"
#include "chunkmill/join.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes);

static void check(bool truth)
{
    if (!truth)
        abort();
}

/* The text of an instant names the same instant. */
static void check_text(cm_calendar c, cm_instant t)
{
    char text[40];
    cm_instant begin, end;
    check(cm_instant_text(c, t, text, sizeof text));
    check(cm_time_period_parse(c, text, strlen(text), &begin, &end, NULL) == 0);
    check(begin == t && end > t);
}

static void check_units(const cm_time_units *u, double v)
{
    cm_instant t;
    cm_time_units days;
    double back = 0, w = 0;
    bool exact, exact_back;
    if (cm_time_of_double(u, v, false, &t))
        check_text(u->calendar, t);
    if (!isfinite(v) ||
        cm_time_units_parse("days since 2000-01-01", cm_calendar_name(u->calendar), &days, NULL))
        return;
    if (cm_time_recode_double(u, &days, v, &w, &exact) && exact &&
        cm_time_recode_double(&days, u, w, &back, &exact_back))
        check(exact_back && back == v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    if (nbytes < 9 || nbytes > 500)
        return 0;
    cm_calendar c = (cm_calendar)(data[0] % 6);
    char text[512];
    double v;
    cm_instant begin, end;
    cm_time_units u;
    memcpy(&v, data + 1, sizeof v);
    memcpy(text, data + 9, nbytes - 9);
    text[nbytes - 9] = 0;
    if (cm_time_period_parse(c, text, strlen(text), &begin, &end, NULL) == 0) {
        check(begin < end);
        check_text(c, begin);
    }
    if (cm_time_units_parse(text, cm_calendar_name(c), &u, NULL) == 0) {
        check(cm_units_are_time(text) && u.unit_ns > 0);
        check_units(&u, v);
    }
    return 0;
}
