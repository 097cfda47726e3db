/* join/match.c: what must be equal in all files, and what may differ.
 *
 * Must be equal: the set of variables; dtype; dimension names and, off the joined dimension,
 * lengths; packing attributes, since cells of two packings side by side would be decoded by one;
 * units, since kelvin after Celsius is wrong data too (spellings of the same unit are not told
 * apart beyond letter case and degrees north/east; times since other dates are converted);
 * calendars. Static variables are exempt with --static first.
 *
 * May differ: every other attribute. The first file's stay, and each difference is counted and
 * logged once at the end, not per file.
 *
 * Lookups go by path through the groups' name tables, so the cost is files times variables times
 * attributes. Mostly a variable has the same attributes in all files, in the same order: one walk
 * along both lists says so, and then nothing about attributes is left to compare, which halved the
 * time of joining 365 files of 39 variables.
 */
#include "join/match.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/context_private.h"
#include "base/memory.h"
#include "cf/packing.h"
#include "cf/roles.h"
#include "join/rebuild.h"

/* ---- attributes ------------------------------------------------------------------------------ */

static const cm_json *scalar_of(const cm_json *v)
{
    return cm_json_is(v, CM_JSON_ARRAY) && cm_json_count(v) == 1 ? cm_json_at(v, 0) : v;
}

bool cm_match_attribute(const cm_attribute *a, const cm_attribute *b)
{
    if (!a || !b)
        return a == b;
    return cm_json_equal(scalar_of(a->value), scalar_of(b->value));
}

static int count_difference(cm_difference **list, size_t *n, size_t *capacity, const char *name,
                            cm_error *err)
{
    for (size_t i = 0; i < *n; i++)
        if (strcmp((*list)[i].name, name) == 0) {
            (*list)[i].nfiles++;
            return 0;
        }
    int rc = cm_grow(list, capacity, *n + 1, sizeof **list, err);
    char *own = rc ? NULL : cm_strdup(name, err);
    if (!own)
        return CM_ENOMEM;
    (*list)[(*n)++] = (cm_difference){own, 1};
    return 0;
}

/* The same attributes in the same order. */
static bool all_equal(const cm_variable *a, const cm_variable *b)
{
    size_t n = cm_variable_nattributes(a);
    if (n != cm_variable_nattributes(b))
        return false;
    for (size_t i = 0; i < n; i++) {
        const cm_attribute *x = cm_variable_attribute(a, i), *y = cm_variable_attribute(b, i);
        if (strcmp(x->name, y->name) != 0 || !cm_json_equal(x->value, y->value))
            return false;
    }
    return true;
}

static int compare_attributes(cm_match *m, const cm_variable *v, bool times_agree, cm_error *err)
{
    const cm_variable *first = m->in[0];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < cm_variable_nattributes(first); i++) {
        const cm_attribute *a = cm_variable_attribute(first, i);
        const cm_attribute *b = cm_variable_attribute_named(v, a->name);
        bool converted = times_agree && b && strcmp(a->name, "units") == 0;
        if (!converted && !cm_match_attribute(a, b))
            rc = count_difference(&m->diffs, &m->ndiffs, &m->diffs_capacity, a->name, err);
    }
    for (size_t i = 0; rc == 0 && i < cm_variable_nattributes(v); i++) {
        const cm_attribute *b = cm_variable_attribute(v, i);
        if (!cm_variable_attribute_named(first, b->name))
            rc = count_difference(&m->diffs, &m->ndiffs, &m->diffs_capacity, b->name, err);
    }
    return rc;
}

static int count_group(cm_matches *m, const cm_group *g, const char *name, cm_error *err)
{
    char full[512];
    snprintf(full, sizeof full, "%s@%s", g->path, name);
    return count_difference(&m->group_diffs, &m->ngroup_diffs, &m->group_diffs_capacity, full, err);
}

static int compare_groups(cm_matches *m, const cm_group *first, const cm_group *g, cm_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < cm_group_nattributes(first); i++) {
        const cm_attribute *a = cm_group_attribute(first, i);
        if (!cm_match_attribute(a, g ? cm_group_attribute_named(g, a->name) : NULL))
            rc = count_group(m, first, a->name, err);
    }
    for (size_t i = 0; rc == 0 && g && i < cm_group_nattributes(g); i++) {
        const cm_attribute *b = cm_group_attribute(g, i);
        if (!cm_group_attribute_named(first, b->name))
            rc = count_group(m, first, b->name, err);
    }
    for (size_t i = 0; rc == 0 && i < first->ngroups; i++)
        rc = compare_groups(m, first->groups[i],
                            g ? cm_group_find(g, first->groups[i]->name) : NULL, err);
    return rc;
}

void cm_matches_log(cm_context *ctx, const cm_matches *m)
{
    for (size_t i = 0; i < m->nitems; i++)
        for (size_t k = 0; k < m->items[i].ndiffs; k++)
            cm_context_log(ctx, CM_LOG_WARNING,
                           "%s: attribute %s differs in %zu of %zu files, the first file's is kept",
                           m->items[i].in[0]->path, m->items[i].diffs[k].name,
                           m->items[i].diffs[k].nfiles, m->n);
    for (size_t k = 0; k < m->ngroup_diffs; k++) {
        const char *full = m->group_diffs[k].name, *at = strrchr(full, '@');
        cm_context_log(ctx, CM_LOG_WARNING,
                       "%.*s: attribute %s differs in %zu of %zu files, the first file's is kept",
                       at ? (int)(at - full) : 0, full, at ? at + 1 : full,
                       m->group_diffs[k].nfiles, m->n);
    }
}

/* ---- checks ---------------------------------------------------------------------------------- */

static const char *const by_skip = "leave the variable out with --skip, or choose with --vars";

static int check_packing(const cm_variable *first, const cm_variable *v, cm_error *err)
{
    for (const char *const *name = cm_packing_attributes; *name; name++) {
        const cm_attribute *a = cm_variable_attribute_named(first, *name);
        const cm_attribute *b = cm_variable_attribute_named(v, *name);
        if (cm_match_attribute(a, b))
            continue;
        char *have = NULL, *want = NULL;
        size_t nbytes;
        if (b)
            (void)!cm_json_write(b->value, 0, &have, &nbytes, NULL);
        if (a)
            (void)!cm_json_write(a->value, 0, &want, &nbytes, NULL);
        int rc = cm_join_refuse(v, "--unpack reads each file by its own packing", err,
                                "%s is %.64s, but %.64s in %s", *name,
                                have ? have
                                : b  ? "other"
                                     : "not there",
                                want ? want
                                : a  ? "other"
                                     : "not there",
                                cm_join_file(first));
        free(have);
        free(want);
        return rc;
    }
    return 0;
}

/* The unit without blanks at the ends; the spellings of degrees north and east made one. Letter
 * case counts (mPa is not MPa). */
static void normal_unit(const char *text, char *out, size_t size)
{
    while (isspace((unsigned char)*text))
        text++;
    snprintf(out, size, "%s", text);
    size_t n = strlen(out);
    while (n > 0 && isspace((unsigned char)out[n - 1]))
        out[--n] = 0;
    if (strncasecmp(out, "degree", 6) == 0) {
        const char *rest = out + 6;
        rest += *rest == 's';
        rest += *rest == '_';
        bool north = strcasecmp(rest, "north") == 0 || strcasecmp(rest, "n") == 0;
        bool east = strcasecmp(rest, "east") == 0 || strcasecmp(rest, "e") == 0;
        if (north || east)
            snprintf(out, size, north ? "degrees_north" : "degrees_east");
    }
}

static int check_units(const cm_variable *first, const cm_variable *v, cm_error *err)
{
    const char *a = cm_cf_text(first, "units"), *b = cm_cf_text(v, "units");
    char x[256], y[256];
    if (!a || !b || cm_units_are_time(a))
        return 0;
    normal_unit(a, x, sizeof x);
    normal_unit(b, y, sizeof y);
    if (strcmp(x, y) == 0)
        return 0;
    return cm_join_refuse(v, by_skip, err, "units are '%.64s', but '%.64s' in %s", b, a,
                          cm_join_file(first));
}

static int check_dimensions(const cm_variable *first, const cm_variable *v, int axis, cm_error *err)
{
    if (v->ndim != first->ndim)
        return cm_join_refuse(v, by_skip, err, "it has %d dimensions, but %d in %s", v->ndim,
                              first->ndim, cm_join_file(first));
    for (int i = 0; i < v->ndim; i++) {
        const char *a = first->dimensions[i], *b = v->dimensions[i];
        if (strcmp(a ? a : "", b ? b : "") != 0)
            return cm_join_refuse(v, by_skip, err, "dimension %d is called %s, but %s in %s", i,
                                  b ? b : "nothing", a ? a : "nothing", cm_join_file(first));
        if (i != axis && v->array->shape[i] != first->array->shape[i])
            return cm_join_refuse(v, "select the same part of both with --isel or --sel", err,
                                  "the length of dimension %s is %lld, but %lld in %s", b ? b : "?",
                                  (long long)v->array->shape[i], (long long)first->array->shape[i],
                                  cm_join_file(first));
    }
    return 0;
}

static int check_dtype(const cm_variable *first, const cm_variable *v, int axis, cm_error *err)
{
    char have[CM_DTYPE_NAME], want[CM_DTYPE_NAME];
    if (cm_dtype_equal(v->array->dtype, first->array->dtype))
        return 0;
    return cm_join_refuse(
        v,
        axis < 0 ? "--static first takes the first file's"
                 : "--unpack float64 makes packed numbers one type",
        err, "dtype is %s, but %s in %s", cm_dtype_name(v->array->dtype, have, sizeof have),
        cm_dtype_name(first->array->dtype, want, sizeof want), cm_join_file(first));
}

static int check_times(const cm_variable *first, const cm_variable *first_parent,
                       const cm_variable *v, const cm_variable *parent, cm_error *err)
{
    cm_times a, b;
    bool differ;
    cm_times_of(first, first_parent, &a);
    cm_times_of(v, parent, &b);
    return cm_times_match(first, &a, v, &b, &differ, err);
}

int cm_match_check(const cm_variable *first, const cm_variable *first_parent, const cm_variable *v,
                   const cm_variable *parent, int axis, unsigned aspects, cm_error *err)
{
    int rc = 0;
    if (!v->array)
        return cm_rebuild_unreadable(v, err);
    if (aspects & CM_ASPECT_DTYPE)
        rc = check_dtype(first, v, axis, err);
    if (rc == 0 && aspects & CM_ASPECT_DIMENSIONS)
        rc = check_dimensions(first, v, axis, err);
    if (rc == 0 && aspects & CM_ASPECT_PACKING)
        rc = check_packing(first, v, err);
    if (rc == 0 && aspects & CM_ASPECT_UNITS)
        rc = check_units(first, v, err);
    if (rc == 0 && aspects & CM_ASPECT_TIMES)
        rc = check_times(first, first_parent, v, parent, err);
    return rc;
}

int cm_match_axis(const cm_variable *v, const char *dimension, int *axis, cm_error *err)
{
    *axis = -1;
    for (int i = 0; dimension && i < v->ndim; i++) {
        if (!v->dimensions[i] || strcmp(v->dimensions[i], dimension) != 0)
            continue;
        if (*axis >= 0)
            return cm_join_refuse(v, by_skip, err, "it has the dimension %s twice", dimension);
        *axis = i;
    }
    return 0;
}

/* ---- making ---------------------------------------------------------------------------------- */

static int missing(const char *path, const cm_dataset *where, const cm_dataset *other,
                   cm_error *err)
{
    cm_error_set(err, CM_EJOIN, "the variable is missing, but is in %s", other->uri);
    cm_error_object(err, where->uri);
    cm_error_variable(err, path);
    cm_error_hint(err, "leave it out with --skip %s; --merge joins files of different variables",
                  path + 1);
    return CM_EJOIN;
}

static void find_parents(cm_matches *ms)
{
    for (size_t i = 0; i < ms->nitems; i++)
        ms->items[i].parent = SIZE_MAX;
    for (size_t i = 0; i < ms->nitems; i++) {
        const cm_variable *bounds = cm_cf_bounds_of(ms->items[i].in[0]);
        for (size_t k = 0; bounds && k < ms->nitems; k++)
            if (ms->items[k].in[0] == bounds)
                ms->items[k].parent = i;
    }
}

static const cm_variable *parent_of(const cm_matches *ms, const cm_match *m, size_t k)
{
    return m->parent == SIZE_MAX ? NULL : ms->items[m->parent].in[k];
}

/* Its times, if it has any, count the same way in file k as in the first. */
static bool same_times(const cm_matches *ms, const cm_match *m, size_t k)
{
    return m->alike[k] && (m->parent == SIZE_MAX || ms->items[m->parent].alike[k]);
}

static int check_match(const cm_matches *ms, const cm_match *m, size_t k, unsigned aspects,
                       cm_error *err)
{
    const cm_variable *v = m->in[k];
    if (m->axis < 0 && ms->static_first)
        return v->array ? 0 : cm_rebuild_unreadable(v, err);
    return cm_match_check(m->in[0], parent_of(ms, m, 0), v, parent_of(ms, m, k), m->axis, aspects,
                          err);
}

/* A variable of file k that the first file does not have. */
static int check_surplus(const cm_matches *ms, size_t k, cm_error *err)
{
    cm_variable **list = NULL;
    size_t n = 0;
    int rc = cm_rebuild_list(ms->datasets[k]->root, &list, &n, err);
    for (size_t i = 0; rc == 0 && n != ms->nitems && i < n; i++)
        if (!cm_dataset_counterpart(ms->datasets[0], list[i]))
            rc = missing(list[i]->path, ms->datasets[0], ms->datasets[k], err);
    free(list);
    return rc;
}

static int match_file(cm_matches *ms, size_t k, cm_error *err)
{
    cm_dataset *ds = ms->datasets[k];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ms->nitems; i++) {
        cm_match *m = &ms->items[i];
        m->in[k] = cm_dataset_counterpart(ds, m->in[0]);
        m->alike[k] = m->in[k] && all_equal(m->in[0], m->in[k]);
        unsigned aspects = CM_ASPECT_DTYPE | CM_ASPECT_DIMENSIONS;
        if (!m->alike[k])
            aspects |= CM_ASPECT_PACKING | CM_ASPECT_UNITS;
        rc = m->in[k] ? check_match(ms, m, k, aspects, err)
                      : missing(m->in[0]->path, ds, ms->datasets[0], err);
    }
    if (rc == 0)
        rc = check_surplus(ms, k, err);
    for (size_t i = 0; rc == 0 && i < ms->nitems; i++) {
        cm_match *m = &ms->items[i];
        cm_times times;
        if (!same_times(ms, m, k))
            rc = check_match(ms, m, k, CM_ASPECT_TIMES, err);
        if (rc || m->alike[k])
            continue;
        cm_times_of(m->in[0], parent_of(ms, m, 0), &times);
        rc = compare_attributes(m, m->in[k], times.is_time, err);
    }
    if (rc == 0)
        rc = compare_groups(ms, ms->datasets[0]->root, ds->root, err);
    return rc;
}

int cm_matches_make(cm_dataset *const *datasets, size_t n, const char *dimension, bool static_first,
                    cm_matches *out, cm_error *err)
{
    cm_variable **list = NULL;
    size_t nlist = 0;
    *out = (cm_matches){
        .datasets = datasets, .n = n, .dimension = dimension, .static_first = static_first};
    int rc = cm_rebuild_list(datasets[0]->root, &list, &nlist, err);
    if (rc == 0 && !(out->items = cm_calloc(nlist, sizeof *out->items, err)))
        rc = CM_ENOMEM;
    for (size_t i = 0; rc == 0 && i < nlist; i++) {
        cm_match *m = &out->items[out->nitems++];
        m->in = cm_calloc(n, sizeof *m->in, err);
        m->alike = m->in ? cm_calloc(n, sizeof *m->alike, err) : NULL;
        if (!m->alike) {
            rc = CM_ENOMEM;
        } else {
            m->in[0] = list[i];
            m->alike[0] = true;
        }
        if (rc == 0 && !list[i]->array)
            rc = cm_rebuild_unreadable(list[i], err);
        if (rc == 0)
            rc = cm_match_axis(list[i], dimension, &m->axis, err);
    }
    if (rc == 0)
        find_parents(out);
    for (size_t k = 1; rc == 0 && k < n; k++)
        rc = match_file(out, k, err);
    free(list);
    return rc;
}

static void free_differences(cm_difference *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(list[i].name);
    free(list);
}

void cm_matches_deinit(cm_matches *m)
{
    for (size_t i = 0; i < m->nitems; i++) {
        free(m->items[i].in);
        free(m->items[i].alike);
        free_differences(m->items[i].diffs, m->items[i].ndiffs);
    }
    free(m->items);
    free_differences(m->group_diffs, m->ngroup_diffs);
    *m = (cm_matches){0};
}

int cm_matches_array(const cm_matches *ms, size_t i, size_t k, cm_array **out, cm_error *err)
{
    const cm_match *m = &ms->items[i];
    cm_times first, times;
    if (same_times(ms, m, k)) {
        *out = cm_array_ref(m->in[k]->array);
        return 0;
    }
    cm_times_of(m->in[0], parent_of(ms, m, 0), &first);
    cm_times_of(m->in[k], parent_of(ms, m, k), &times);
    return cm_times_array(m->in[0], &first, m->in[k], &times, out, err);
}
