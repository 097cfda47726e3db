/* join/merge.c: see the header.
 *
 * The result is built one dataset after the other: what is not there yet is added, what is there is
 * compared with what it was made from. Bits count, as for everything that joins: a time axis that
 * is off by one step, or a height of 2 m in one file and of 10 m in the other, is a conflict and
 * not a detail. Data variables that two datasets have are compared too, all of them; that is slow,
 * and the only way to know.
 */
#include "join/merge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array/compose.h"
#include "base/context_private.h"
#include "base/memory.h"
#include "cf/roles.h"
#include "join/extent.h"
#include "join/match.h"
#include "join/rebuild.h"
#include "join/same.h"

/* ---- sets ------------------------------------------------------------------------------------ */

static int compare_paths(const void *a, const void *b)
{
    return strcmp((*(cm_variable *const *)a)->path, (*(cm_variable *const *)b)->path);
}

/* All paths, sorted, in one text; a slash begins each, and none has one inside a name. */
static int paths_of(cm_dataset *ds, char **out, cm_error *err)
{
    cm_variable **list = NULL;
    size_t n = 0, nbytes = 1, at = 0;
    *out = NULL;
    int rc = cm_rebuild_list(ds->root, &list, &n, err);
    if (rc)
        return rc;
    if (n > 1)
        qsort(list, n, sizeof *list, compare_paths);
    for (size_t i = 0; i < n; i++)
        nbytes += strlen(list[i]->path) + 1;
    char *text = cm_calloc(nbytes, 1, err);
    for (size_t i = 0; text && i < n; i++) {
        size_t m = strlen(list[i]->path);
        memcpy(text + at, list[i]->path, m);
        text[at + m] = '\n';
        at += m + 1;
    }
    free(list);
    *out = text;
    return text ? 0 : CM_ENOMEM;
}

int cm_merge_sets(cm_dataset *const *datasets, size_t n, size_t *of, size_t *nsets, cm_error *err)
{
    char **sets = cm_calloc(n, sizeof(char *), err);
    int rc = sets ? 0 : CM_ENOMEM;
    *nsets = 0;
    for (size_t k = 0; rc == 0 && k < n; k++) {
        char *paths = NULL;
        size_t i = 0;
        rc = paths_of(datasets[k], &paths, err);
        while (rc == 0 && i < *nsets && strcmp(sets[i], paths) != 0)
            i++;
        of[k] = i;
        if (rc == 0 && i == *nsets) {
            sets[(*nsets)++] = paths;
            paths = NULL;
        }
        free(paths);
    }
    for (size_t i = 0; sets && i < *nsets; i++)
        free(sets[i]);
    free(sets);
    return rc;
}

/* ---- merging --------------------------------------------------------------------------------- */

typedef struct merging {
    cm_context *ctx;
    cm_dataset *const *datasets;
    size_t at; /* the dataset that is added */
    const char *const *joined;
    size_t n;
    bool static_first;
    cm_report *report;
} merging;

/* The variable of an earlier dataset with that path. */
static cm_variable *earlier(const merging *m, const char *path)
{
    cm_variable *v = NULL;
    for (size_t k = 0; !v && k < m->at; k++)
        v = cm_group_find_variable(m->datasets[k]->root, path);
    return v;
}

static const cm_variable *parent_of(const cm_variable *v)
{
    for (size_t i = 0; i < v->group->nvariables; i++)
        if (cm_cf_bounds_of(v->group->variables[i]) == v)
            return v->group->variables[i];
    return NULL;
}

static bool is_joined(const merging *m, const cm_variable *v)
{
    for (int i = 0; i < v->ndim; i++)
        for (size_t k = 0; k < m->n; k++)
            if (m->joined[k] && v->dimensions[i] && strcmp(m->joined[k], v->dimensions[i]) == 0)
                return true;
    return false;
}

static int compare_values(const merging *m, const cm_variable *first, const cm_variable *v,
                          cm_error *err)
{
    cm_times a, b;
    cm_array *array = NULL;
    size_t odd = 1;
    cm_times_of(first, parent_of(first), &a);
    cm_times_of(v, parent_of(v), &b);
    int rc = cm_times_array(first, &a, v, &b, &array, err);
    if (rc == 0)
        rc = cm_same_arrays(m->ctx, first->array, &array, 1, &odd, err);
    if (rc) {
        cm_error_object(err, cm_join_file(v));
        cm_error_variable(err, v->path);
    } else if (odd == 0) {
        rc = cm_join_refuse(v,
                            is_joined(m, v) ? "what several sources have must be equal; --skip "
                                              "leaves it out"
                                            : "--static first takes the first source's; --skip "
                                              "leaves it out",
                            err, "the values differ from those in %s", cm_join_file(first));
    }
    cm_array_unref(array);
    return rc;
}

static void log_attributes(const merging *m, const cm_variable *first, const cm_variable *v)
{
    for (size_t i = 0; i < cm_variable_nattributes(v); i++) {
        const cm_attribute *b = cm_variable_attribute(v, i);
        if (strcmp(b->name, "units") != 0 &&
            !cm_match_attribute(cm_variable_attribute_named(first, b->name), b))
            cm_context_log(m->ctx, CM_LOG_WARNING,
                           "%s: attribute %s of %s is not that of %s, which is kept", v->path,
                           b->name, cm_join_file(v), cm_join_file(first));
    }
}

static int compare_variable(const merging *m, const cm_variable *first, const cm_variable *v,
                            cm_error *err)
{
    int rc = cm_match_check(first, parent_of(first), v, parent_of(v), -1, CM_ASPECT_ALL, err);
    if (rc == 0 && !(m->static_first && !is_joined(m, v)))
        rc = compare_values(m, first, v, err);
    size_t had = 0;
    for (size_t k = 0; k < m->at; k++)
        had += cm_group_find_variable(m->datasets[k]->root, v->path) != NULL;
    if (rc == 0)
        log_attributes(m, first, v);
    return rc || had > 1 ? rc : cm_report_list(m->report, "shared", v->path, err);
}

/* "from A to B" of the coordinate of a dimension, or nothing. */
static void describe(const merging *m, const cm_group *g, const char *name, char *buf, size_t size)
{
    char a[48], b[48];
    cm_extent e;
    cm_dataset *ds = g->dataset;
    const cm_variable *v = cm_cf_find(g, name);
    buf[0] = 0;
    if (!v || !v->array || !cm_extent_orders(v) ||
        cm_extents_read(m->ctx, &ds, 1, v, &e, NULL) != 0 || e.n == 0 || e.missing >= 0)
        return;
    snprintf(buf, size, ", from %s to %s", cm_extent_text(&e, &e.first, a, sizeof a),
             cm_extent_text(&e, &e.last, b, sizeof b));
}

static int refuse_length(const merging *m, const cm_group *g, const cm_dimension *d,
                         const cm_dimension *have, cm_error *err)
{
    char a[128], b[128] = "";
    const cm_dataset *other = NULL;
    describe(m, g, d->name, a, sizeof a);
    for (size_t k = 0; !other && k < m->at; k++) {
        const cm_group *there = cm_group_find(m->datasets[k]->root, g->path);
        const cm_dimension *theirs = there ? cm_group_scope_dimension(there, d->name) : NULL;
        if (theirs && theirs->length == have->length) {
            other = m->datasets[k];
            describe(m, there, d->name, b, sizeof b);
        }
    }
    cm_error_set(err, CM_EJOIN, "the length of dimension %s is %lld%s, but %lld%s in %s", d->name,
                 (long long)d->length, a, (long long)have->length, b,
                 other ? other->uri : "another source");
    cm_error_object(err, g->dataset->uri);
    cm_error_hint(err, "variables that are merged must have the same extent");
    return CM_EJOIN;
}

static int merge_dimensions(const merging *m, const cm_group *g, cm_group *dst, cm_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < g->ndimensions; i++) {
        const cm_dimension *d = &g->dimensions[i], *have = NULL;
        for (size_t k = 0; k < dst->ndimensions; k++)
            if (strcmp(dst->dimensions[k].name, d->name) == 0)
                have = &dst->dimensions[k];
        if (have && have->length != d->length)
            rc = refuse_length(m, g, d, have, err);
        else if (!have)
            rc = cm_group_add_dimension(dst, d->name, d->length, d->unlimited, err);
    }
    return rc;
}

static int merge_attributes(const merging *m, const cm_group *g, cm_group *dst, cm_error *err)
{
    if (m->at == 0 || cm_group_nattributes(dst) == 0)
        return cm_rebuild_group_attributes(dst, g, err);
    for (size_t i = 0; i < cm_group_nattributes(g); i++) {
        const cm_attribute *a = cm_group_attribute(g, i);
        if (!cm_match_attribute(cm_group_attribute_named(dst, a->name), a))
            cm_context_log(m->ctx, CM_LOG_WARNING,
                           "%s: attribute %s of %s is not that of the first source, which is kept",
                           g->path, a->name, g->dataset->uri);
    }
    return 0;
}

static int merge_group(const merging *m, const cm_group *g, cm_group *dst, cm_error *err)
{
    int rc = merge_attributes(m, g, dst, err);
    if (rc == 0)
        rc = merge_dimensions(m, g, dst, err);
    for (size_t i = 0; rc == 0 && i < g->nvariables; i++) {
        const cm_variable *v = g->variables[i], *first = earlier(m, v->path);
        if (!v->array)
            rc = cm_rebuild_unreadable(v, err);
        else if (first)
            rc = compare_variable(m, first, v, err);
        else
            rc = cm_rebuild_variable(dst, v, cm_array_ref(v->array), NULL, NULL, err);
    }
    for (size_t i = 0; rc == 0 && i < g->ngroups; i++) {
        cm_group *child = cm_group_find(dst, g->groups[i]->name);
        if (!child)
            rc = cm_group_add_group(dst, g->groups[i]->name, &child, err);
        if (rc == 0)
            rc = merge_group(m, g->groups[i], child, err);
    }
    return rc;
}

int cm_merge_make(cm_context *ctx, cm_dataset *const *datasets, size_t n, const char *const *joined,
                  bool static_first, cm_report *report, cm_dataset **out, cm_error *err)
{
    cm_dataset *made = NULL;
    merging m = {.ctx = ctx,
                 .datasets = datasets,
                 .joined = joined,
                 .n = n,
                 .static_first = static_first,
                 .report = report};
    char *uri = cm_sprintf(err, "%s and %zu other%s", datasets[0]->uri, n - 1, n == 2 ? "" : "s");
    int rc = uri ? cm_dataset_new(ctx, uri, "joined", &made, err) : CM_ENOMEM;
    for (; rc == 0 && m.at < n; m.at++)
        rc = merge_group(&m, datasets[m.at]->root, made->root, err);
    if (rc)
        cm_dataset_free(made);
    else
        *out = made;
    free(uri);
    return rc;
}
