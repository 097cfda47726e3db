/* join/supply.c: see the header.
 *
 * Every value is read as all that it may be: an instant, a whole number, a number, a text. What all
 * files' values can be, the first in that order, is what the coordinate is; so r1, r2 are numbers
 * and r1, r1b are texts, and not each file's for itself. Instants become whole days since
 * 1970-01-01, or the largest smaller unit that all are whole numbers of: the same date is the same
 * number in every archive, so that cubes can be extended.
 */
#include "join/supply.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cf/roles.h"
#include "join/memory_cells.h"
#include "join/name_pattern.h"

enum { LONGEST_TEXT = 4096 };

static int bad_spec(const char *spec, const char *what, cm_error *err)
{
    cm_error_set(err, CM_EINVAL, "--coord '%.200s': %s", spec, what);
    cm_error_hint(err, "time=date:%%Y%%m%%d, member=name:r([0-9]+), time=attr:NAME or "
                       "member=values:1,2,3");
    return CM_EINVAL;
}

int cm_supply_name(const char *spec, char **out, cm_error *err)
{
    const char *equals = strchr(spec, '=');
    *out = NULL;
    if (!equals || equals == spec || memchr(spec, '/', (size_t)(equals - spec)))
        return bad_spec(spec, "it does not begin with a dimension's name and =", err);
    *out = cm_strndup(spec, (size_t)(equals - spec), err);
    return *out ? 0 : CM_ENOMEM;
}

size_t cm_supply_length(const cm_supply *s, size_t k)
{
    return s->begin[k + 1] - s->begin[k];
}

void cm_supply_deinit(cm_supply *s)
{
    for (size_t i = 0; i < s->nvalues; i++)
        free(s->values[i].text);
    free(s->values);
    free(s->begin);
    free(s->name);
    *s = (cm_supply){0};
}

/* ---- one value ------------------------------------------------------------------------------- */

static int add_value(cm_supply *s, const cm_supply_value *v, cm_error *err)
{
    int rc = cm_grow(&s->values, &s->capacity, s->nvalues + 1, sizeof *s->values, err);
    if (rc == 0)
        s->values[s->nvalues++] = *v;
    return rc;
}

/* 20010203T0405[06[.5]][Z], ISO 8601's short form, as its long one; other texts as they are, with T
 * for a blank between date and time. */
static void long_form(const char *text, char *out, size_t size)
{
    size_t date = strspn(text, "0123456789"), time = 0;
    if (date == 8 && text[8] == 'T')
        time = strspn(text + 9, "0123456789");
    if (time == 4 || time == 6) {
        int n = snprintf(out, size, "%.4s-%.2s-%.2sT%.2s:%.2s", text, text + 4, text + 6, text + 9,
                         text + 11);
        snprintf(out + n, size - (size_t)n, time == 6 ? ":%s" : "%s", text + 13);
        return;
    }
    snprintf(out, size, "%s", text);
    char *blank = strchr(out, ' ');
    if (blank && isdigit((unsigned char)blank[1]))
        *blank = 'T';
}

/* dates: it may be one. */
static int add_text(cm_supply *s, const char *text, bool dates, cm_error *err)
{
    cm_supply_value v = {.is = {[CM_SUPPLY_TEXT] = true}};
    char iso[64], *end;
    cm_instant after;
    while (isspace((unsigned char)*text))
        text++;
    size_t n = strlen(text);
    while (n > 0 && isspace((unsigned char)text[n - 1]))
        n--;
    if (n > LONGEST_TEXT)
        return cm_error_set(err, CM_EINVAL, "a text of more than %d bytes", LONGEST_TEXT);
    v.text = cm_strndup(text, n, err);
    if (!v.text)
        return CM_ENOMEM;
    bool number = n > 0 && (isdigit((unsigned char)text[n - 1]) || text[n - 1] == '.') &&
                  strspn(v.text, "+-.0123456789eE") == n;
    errno = 0;
    v.integer = number ? strtoll(v.text, &end, 10) : 0;
    v.is[CM_SUPPLY_INTEGER] = number && *end == 0 && errno == 0;
    errno = 0;
    v.real = number ? strtod(v.text, &end) : 0;
    v.is[CM_SUPPLY_REAL] = number && *end == 0 && errno == 0;
    size_t digits = strspn(v.text, "0123456789");
    if (dates && n < sizeof iso - 8 &&
        ((digits == 4 && v.text[4] == '-') || (digits == 8 && v.text[8] == 'T'))) {
        long_form(v.text, iso, sizeof iso);
        v.is[CM_SUPPLY_INSTANT] =
            cm_time_period_parse(s->calendar, iso, strlen(iso), &v.instant, &after, NULL) == 0;
    }
    int rc = add_value(s, &v, err);
    if (rc)
        free(v.text);
    return rc;
}

static int add_json(cm_supply *s, const cm_json *j, cm_error *err)
{
    if (cm_json_string(j))
        return add_text(s, cm_json_string(j), true, err);
    cm_supply_value v = {0};
    v.is[CM_SUPPLY_INTEGER] = cm_json_is_integer_text(j) && cm_json_int64(j, &v.integer);
    v.is[CM_SUPPLY_REAL] = cm_json_double(j, &v.real);
    if (!v.is[CM_SUPPLY_REAL])
        return cm_error_set(err, CM_EINVAL, "the attribute is neither text nor a number");
    return add_value(s, &v, err);
}

/* ---- sources of values ----------------------------------------------------------------------- */

static int from_attribute(cm_supply *s, const cm_dataset *ds, const char *spec, cm_error *err)
{
    const cm_attribute *a = NULL;
    const char *at = strrchr(spec, '@');
    if (at) {
        char *path = cm_strndup(spec, (size_t)(at - spec), err);
        if (!path)
            return CM_ENOMEM;
        const cm_variable *v = cm_group_find_variable(ds->root, path);
        const cm_group *g = v ? NULL : cm_group_find(ds->root, path);
        a = v   ? cm_variable_attribute_named(v, at + 1)
            : g ? cm_group_attribute_named(g, at + 1)
                : NULL;
        free(path);
    } else {
        a = cm_group_attribute_named(ds->root, spec);
    }
    if (!a)
        return cm_error_set(err, CM_EINVAL, "there is no attribute %.120s", spec);
    if (!cm_json_is(a->value, CM_JSON_ARRAY))
        return add_json(s, a->value, err);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < cm_json_count(a->value); i++)
        rc = add_json(s, cm_json_at(a->value, i), err);
    return rc;
}

static int from_list(cm_supply *s, const char *list, size_t k, size_t n, cm_error *err)
{
    size_t items = 1;
    for (const char *p = list; *p; p++)
        items += *p == ',';
    if (items != n)
        return cm_error_set(err, CM_EINVAL, "%zu values for %zu sources", items, n);
    for (; k > 0; k--)
        list = strchr(list, ',') + 1;
    char *one = cm_strndup(list, strcspn(list, ","), err);
    int rc = one ? add_text(s, one, true, err) : CM_ENOMEM;
    free(one);
    return rc;
}

/* k of n: of the datasets that are supplied. */
static int read_one(cm_supply *s, const cm_dataset *ds, const char *spec, size_t k, size_t n,
                    cm_error *err)
{
    const char *source = strchr(spec, '=') + 1, *rest = strchr(source, ':');
    size_t kind = rest ? (size_t)(rest - source) : 0;
    if (!rest || !rest[1])
        return bad_spec(spec, "it does not say where values come from", err);
    rest++;
    if (kind == 4 && strncmp(source, "date", 4) == 0) {
        cm_supply_value v = {.is = {[CM_SUPPLY_INSTANT] = true}};
        int rc = cm_name_date(rest, ds->uri, s->calendar, &v.instant, err);
        return rc ? rc : add_value(s, &v, err);
    }
    if (kind == 4 && strncmp(source, "name", 4) == 0) {
        char *text = NULL;
        int rc = cm_name_text(rest, ds->uri, &text, err);
        if (rc == 0)
            rc = add_text(s, text, false, err);
        free(text);
        return rc;
    }
    if (kind == 4 && strncmp(source, "attr", 4) == 0)
        return from_attribute(s, ds, rest, err);
    if (kind == 6 && strncmp(source, "values", 6) == 0)
        return from_list(s, rest, k, n, err);
    return bad_spec(spec, "values come from date, name, attr or values", err);
}

/* ---- all ------------------------------------------------------------------------------------- */

static int choose_kind(cm_supply *s, cm_dataset *const *datasets, const char *spec, cm_error *err)
{
    for (int kind = 0; kind < 4; kind++) {
        bool all = true;
        for (size_t i = 0; i < s->nvalues; i++)
            all = all && s->values[i].is[kind];
        s->kind = (cm_supply_kind)kind;
        if (all)
            return 0;
    }
    size_t i = 0, k = 0;
    while (i + 1 < s->nvalues && s->values[i].is[CM_SUPPLY_TEXT] == s->values[0].is[CM_SUPPLY_TEXT])
        i++;
    while (s->begin[k + 1] <= i)
        k++;
    cm_error_set(err, CM_EJOIN, "--coord '%.200s': the value is %s here, but not in all sources",
                 spec, s->values[i].is[CM_SUPPLY_TEXT] ? "a text" : "a number");
    cm_error_object(err, datasets[k]->uri);
    return CM_EJOIN;
}

static int choose_unit(cm_supply *s, cm_error *err)
{
    static const char *const units[] = {"days",         "hours",        "minutes",    "seconds",
                                        "milliseconds", "microseconds", "nanoseconds"};
    for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
        bool all = true;
        snprintf(s->units_text, sizeof s->units_text, "%s since 1970-01-01", units[u]);
        int rc = cm_time_units_parse(s->units_text, cm_calendar_name(s->calendar), &s->units, err);
        if (rc)
            return rc;
        for (size_t i = 0; i < s->nvalues && all; i++)
            all = (s->values[i].instant - s->units.reference) % s->units.unit_ns == 0;
        if (all)
            break;
    }
    for (size_t i = 0; i < s->nvalues; i++) {
        __int128 n = (s->values[i].instant - s->units.reference) / s->units.unit_ns;
        if (n > INT64_MAX || n < INT64_MIN)
            return cm_error_set(err, CM_EINVAL, "%s: a date that is no 64-bit number of %s",
                                s->name, s->units_text);
        s->values[i].integer = (int64_t)n;
    }
    return 0;
}

static int choose_calendar(cm_supply *s, const cm_dataset *ds, const char *calendar, cm_error *err)
{
    const cm_variable *own = cm_group_find_variable(ds->root, s->name);
    if (!calendar && own)
        calendar = cm_cf_text(own, "calendar");
    if (cm_calendar_named(calendar, &s->calendar))
        return 0;
    return cm_error_set(err, CM_EINVAL, "--calendar: '%.64s' is no calendar", calendar);
}

int cm_supply_read(cm_dataset *const *datasets, size_t n, const char *spec, const char *calendar,
                   bool keep_first, cm_supply *out, cm_error *err)
{
    size_t skipped = keep_first ? 1 : 0;
    *out = (cm_supply){.n = n};
    int rc = cm_supply_name(spec, &out->name, err);
    if (rc == 0 && !(out->begin = cm_calloc(n + 1, sizeof *out->begin, err)))
        rc = CM_ENOMEM;
    if (rc == 0)
        rc = choose_calendar(out, datasets[n > skipped ? skipped : 0], calendar, err);
    for (size_t k = skipped; rc == 0 && k < n; k++) {
        rc = read_one(out, datasets[k], spec, k - skipped, n - skipped, err);
        out->begin[k + 1] = out->nvalues;
        if (rc)
            cm_error_object(err, datasets[k]->uri);
    }
    if (rc == 0)
        rc = choose_kind(out, datasets, spec, err);
    if (rc == 0 && out->kind == CM_SUPPLY_INSTANT)
        rc = choose_unit(out, err);
    return rc;
}

int cm_supply_count(size_t n, const char *name, cm_supply *out, cm_error *err)
{
    *out = (cm_supply){.n = n, .kind = CM_SUPPLY_INTEGER};
    out->name = cm_strdup(name, err);
    out->begin = cm_calloc(n + 1, sizeof *out->begin, err);
    int rc = out->name && out->begin ? 0 : CM_ENOMEM;
    for (size_t k = 0; rc == 0 && k < n; k++) {
        rc = add_value(out, &(cm_supply_value){.integer = (int64_t)k}, err);
        out->begin[k + 1] = out->nvalues;
    }
    return rc;
}

/* ---- variables ------------------------------------------------------------------------------- */

static int make_array(const cm_supply *s, size_t k, const char *label, const char *path,
                      cm_array **out, cm_error *err)
{
    size_t n = cm_supply_length(s, k);
    const cm_supply_value *values = s->values + s->begin[k];
    int64_t length = (int64_t)n;
    if (s->kind == CM_SUPPLY_TEXT) {
        const char **texts = cm_calloc(n, sizeof *texts, err);
        for (size_t i = 0; texts && i < n; i++)
            texts[i] = values[i].text;
        int rc = texts ? cm_array_of_texts(texts, n, label, path, out, err) : CM_ENOMEM;
        free(texts);
        return rc;
    }
    uint8_t *cells = cm_calloc(n, 8, err);
    if (!cells)
        return CM_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        if (s->kind == CM_SUPPLY_REAL)
            memcpy(cells + 8 * i, &values[i].real, 8);
        else
            memcpy(cells + 8 * i, &values[i].integer, 8);
    }
    cm_dtype dtype = cm_dtype_of(s->kind == CM_SUPPLY_REAL ? CM_FLOAT64 : CM_INT64, 0);
    return cm_array_of_cells(dtype, 1, &length, cells, label, path, out, err);
}

static int add_attribute(cm_variable *v, const char *name, const char *text, cm_error *err)
{
    cm_json *value = cm_json_new_string(v->group->dataset->doc, text);
    if (!value)
        return cm_error_set(err, CM_ENOMEM, "out of memory for attribute %s", name);
    return cm_variable_add_attribute(v, name, value, cm_dtype_of(CM_STRING, 0), err);
}

int cm_supply_variable(const cm_supply *s, size_t k, cm_group *g, cm_error *err)
{
    cm_variable *v = NULL;
    cm_array *array = NULL;
    int rc = cm_group_add_variable(g, s->name, &v, err);
    if (rc == 0)
        rc = make_array(s, k, g->dataset->uri, v->path, &array, err);
    if (rc)
        return rc;
    cm_variable_set_array(v, array);
    rc = cm_variable_set_dimension(v, 0, s->name, err);
    if (rc == 0 && s->kind == CM_SUPPLY_INSTANT) {
        rc = add_attribute(v, "units", s->units_text, err);
        if (rc == 0)
            rc = add_attribute(v, "calendar", cm_calendar_name(s->calendar), err);
        if (rc == 0)
            rc = add_attribute(v, "standard_name", "time", err);
    }
    return rc;
}

typedef struct labelled {
    const char *text;
    size_t index;
} labelled;

static int compare_texts(const void *va, const void *vb)
{
    const labelled *a = va, *b = vb;
    int c = strcmp(a->text, b->text);
    return c ? c : (a->index > b->index) - (a->index < b->index);
}

int cm_supply_check_texts(const cm_supply *s, cm_dataset *const *datasets, cm_error *err)
{
    int rc = 0;
    if (s->kind != CM_SUPPLY_TEXT || s->nvalues < 2)
        return 0;
    labelled *all = cm_calloc(s->nvalues, sizeof *all, err);
    if (!all)
        return CM_ENOMEM;
    for (size_t k = 0; k < s->n; k++)
        for (size_t i = s->begin[k]; i < s->begin[k + 1]; i++)
            all[i] = (labelled){s->values[i].text, k};
    qsort(all, s->nvalues, sizeof *all, compare_texts);
    for (size_t i = 1; rc == 0 && i < s->nvalues; i++)
        if (strcmp(all[i].text, all[i - 1].text) == 0) {
            rc = cm_error_set(err, CM_EJOIN, "%s is '%.120s', as in %s", s->name, all[i].text,
                              datasets[all[i - 1].index]->uri);
            cm_error_object(err, datasets[all[i].index]->uri);
            cm_error_hint(err, "--duplicates keep stacks both");
        }
    free(all);
    return rc;
}
