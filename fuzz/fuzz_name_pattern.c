/* fuzz/fuzz_name_pattern.c: dates out of file names: what is found is a date, and is found again.
 *
 * Input: one byte (calendar), the pattern, a newline, the name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cf/time_units.h"
#include "join/name_pattern.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes);

static void check(bool truth)
{
    if (!truth)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    char text[160], name[128];
    cm_error err;
    cm_date d;
    cm_instant t, again;
    if (nbytes < 3 || nbytes >= sizeof text)
        return 0;
    cm_calendar c = (cm_calendar)(data[0] % 6);
    memcpy(text, data + 1, nbytes - 1);
    text[nbytes - 1] = 0;
    char *newline = strchr(text, '\n');
    if (!newline)
        return 0;
    *newline = 0;
    cm_error_clear(&err);
    int rc = cm_name_date(text, newline + 1, c, &t, &err);
    check((rc == 0) == (err.code == 0));
    if (rc)
        return 0;
    check(cm_date_of_instant(c, t, &d));
    if (d.year < 0 || d.year > 9999)
        return 0;
    snprintf(name, sizeof name, "x/a%04d-%02d-%02d_%02d%02d%02d.%09d.nc", (int)d.year, d.month,
             d.day, d.hour, d.minute, d.second, d.ns);
    check(cm_name_date("a%Y-%m-%d_%H%M%S.%f", name, c, &again, &err) == 0 && again == t);
    return 0;
}
