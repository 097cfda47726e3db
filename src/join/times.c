/* join/times.c: see the header. Equal attribute texts need no understanding: files that all count
 * "months since 2000-01-01" join as numbers; only where texts differ must both be understood. */
#include "join/times.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cf/retime.h"
#include "cf/roles.h"

const char *cm_join_file(const cm_variable *v)
{
    return v->group->dataset->uri;
}

int cm_join_refuse(const cm_variable *v, const char *hint, cm_error *err, const char *format, ...)
{
    char text[768];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    cm_error_set(err, CM_EJOIN, "%s", text);
    cm_error_object(err, cm_join_file(v));
    cm_error_variable(err, v->path);
    if (hint)
        cm_error_hint(err, "%s", hint);
    return CM_EJOIN;
}

void cm_times_of(const cm_variable *v, const cm_variable *parent, cm_times *out)
{
    *out = (cm_times){.units_text = cm_cf_text(v, "units"),
                      .calendar_text = cm_cf_text(v, "calendar")};
    if (!out->units_text && parent)
        out->units_text = cm_cf_text(parent, "units");
    if (!out->calendar_text && parent)
        out->calendar_text = cm_cf_text(parent, "calendar");
    out->is_time = cm_units_are_time(out->units_text);
    out->known = out->is_time &&
                 cm_time_units_parse(out->units_text, out->calendar_text, &out->units, NULL) == 0;
}

static bool same_calendar(const char *a, const char *b)
{
    cm_calendar ca, cb;
    bool ka = cm_calendar_named(a, &ca), kb = cm_calendar_named(b, &cb);
    if (ka && kb)
        return ca == cb;
    return !ka && !kb && strcasecmp(a, b) == 0;
}

int cm_times_match(const cm_variable *first, const cm_times *first_times, const cm_variable *v,
                   const cm_times *times, bool *differ, cm_error *err)
{
    const cm_times *a = first_times, *b = times;
    *differ = false;
    if (!a->is_time && !b->is_time)
        return 0;
    if (a->is_time != b->is_time)
        return cm_join_refuse(v, NULL, err, "units are '%.64s', but '%.64s' in %s",
                              b->units_text ? b->units_text : "",
                              a->units_text ? a->units_text : "", cm_join_file(first));
    if (!same_calendar(a->calendar_text, b->calendar_text))
        return cm_join_refuse(v, "times of different calendars do not join", err,
                              "the calendar is %.64s, but %.64s in %s",
                              b->calendar_text ? b->calendar_text : "standard",
                              a->calendar_text ? a->calendar_text : "standard",
                              cm_join_file(first));
    if (strcmp(a->units_text, b->units_text) == 0)
        return 0;
    if (!a->known || !b->known) {
        const cm_times *bad = a->known ? b : a;
        cm_time_units unused;
        cm_error why;
        cm_error_clear(&why);
        (void)cm_time_units_parse(bad->units_text, bad->calendar_text, &unused, &why);
        return cm_join_refuse(v, NULL, err,
                              "units are '%.64s', but '%.64s' in %s, and cannot be converted: %s",
                              b->units_text, a->units_text, cm_join_file(first), why.message);
    }
    *differ = !cm_time_units_equal(&a->units, &b->units);
    return 0;
}

int cm_times_array(const cm_variable *first, const cm_times *first_times, const cm_variable *v,
                   const cm_times *times, cm_array **out, cm_error *err)
{
    bool differ;
    cm_packing packing;
    *out = NULL;
    int rc = cm_times_match(first, first_times, v, times, &differ, err);
    if (rc == 0 && !differ) {
        *out = cm_array_ref(v->array);
        return 0;
    }
    if (rc == 0)
        rc = cm_packing_of(v, &packing, err);
    if (rc)
        return rc;
    cm_error why;
    cm_error_clear(&why);
    rc = cm_array_retime(v->array, &packing, &times->units, &first_times->units, out, &why);
    if (rc == CM_EUNSUP)
        return cm_join_refuse(v, packing.scaled ? "--unpack makes them ordinary numbers" : NULL,
                              err, "units are '%.64s', but '%.64s' in %s, and %s",
                              times->units_text, first_times->units_text, cm_join_file(first),
                              why.message);
    if (rc && err)
        *err = why;
    return rc;
}
