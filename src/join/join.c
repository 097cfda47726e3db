/* join/join.c: several datasets side by side as one.
 *
 *   dimension   which one (order.h)
 *   order       files by coordinate value; from here on `first` is the first in that order, so the
 *               result does not depend on how the files were listed
 *   match       variables side by side, all checked but their values (match.h)
 *   static      variables without the dimension have the same values everywhere (same.h)
 *   build       the first file's tree again, with concatenated arrays (array/concat.c)
 *
 * The work is linear in files times variables; nothing stays open and no cell is read but those of
 * the coordinate and of static variables. The result holds references to arrays only.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array/compose.h"
#include "base/bytes.h"
#include "base/context_private.h"
#include "base/memory.h"
#include "join/match.h"
#include "join/order.h"
#include "join/rebuild.h"
#include "join/same.h"

void cm_join_options_init(cm_join_options *options)
{
    *options = (cm_join_options){0};
}

/* ---- static variables ------------------------------------------------------------------------ */

static int compare_static(cm_context *ctx, const cm_matches *ms, size_t i, cm_error *err)
{
    cm_array **others = cm_calloc(ms->n - 1, sizeof(cm_array *), err);
    const cm_match *m = &ms->items[i];
    size_t odd = ms->n - 1;
    int rc = others ? 0 : CM_ENOMEM;
    for (size_t k = 1; rc == 0 && k < ms->n; k++)
        rc = cm_matches_array(ms, i, k, &others[k - 1], err);
    if (rc == 0) {
        rc = cm_same_arrays(ctx, m->in[0]->array, others, ms->n - 1, &odd, err);
        const cm_variable *about = m->in[odd < ms->n - 1 ? odd + 1 : 0];
        if (rc) {
            cm_error_object(err, cm_join_file(about));
            cm_error_variable(err, about->path);
        }
    }
    if (rc == 0 && odd < ms->n - 1)
        rc = cm_join_refuse(m->in[odd + 1],
                            "--static first takes the first file's; --skip leaves it out", err,
                            "the values differ from those in %s, and the variable is not along %s",
                            cm_join_file(m->in[0]), ms->dimension);
    for (size_t k = 0; others && k < ms->n - 1; k++)
        cm_array_unref(others[k]);
    free(others);
    return rc;
}

static int compare_all_static(cm_context *ctx, const cm_matches *ms, cm_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ms->nitems; i++)
        if (ms->items[i].axis < 0)
            rc = compare_static(ctx, ms, i, err);
    return rc;
}

/* ---- converted times ------------------------------------------------------------------------- */

enum { EAGER_CELLS = 1 << 18 };

typedef struct trial {
    cm_context *ctx;
    const cm_matches *matches;
    size_t item;
} trial;

/* Read a converted array once, so that an instant that the first file's units cannot say is found
 * now and not in the last hour of a save. Large ones wait for their turn. */
static int try_times(void *arg, int64_t k, int worker, cm_error *err)
{
    (void)worker;
    const trial *t = arg;
    const cm_variable *v = t->matches->items[t->item].in[k];
    cm_array *array = NULL;
    void *cells = NULL;
    int64_t lo[CM_MAX_DIMS] = {0}, n = cm_shape_nelem(v->ndim, v->array->shape);
    int rc = cm_matches_array(t->matches, t->item, (size_t)k, &array, err);
    if (rc == 0 && array != v->array && n > 0 && n <= EAGER_CELLS) {
        cells = cm_calloc((size_t)n, array->dtype.size, err);
        rc = cells ? cm_array_read(t->ctx, array, lo, array->shape, cells, NULL, NULL, err)
                   : CM_ENOMEM;
    }
    if (rc) {
        cm_error_object(err, cm_join_file(v));
        cm_error_variable(err, v->path);
    }
    free(cells);
    cm_array_unref(array);
    return rc;
}

static int try_all_times(cm_context *ctx, const cm_matches *ms, cm_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ms->nitems; i++) {
        trial t = {ctx, ms, i};
        if (ms->items[i].axis >= 0)
            rc = cm_pool_for(cm_context_pool(ctx), ctx, (int64_t)ms->n,
                             cm_pool_size(cm_context_pool(ctx)) + 1, try_times, &t, err);
    }
    return rc;
}

/* ---- building -------------------------------------------------------------------------------- */

static int join_arrays(const cm_matches *ms, size_t i, cm_array **out, cm_error *err)
{
    const cm_match *m = &ms->items[i];
    if (m->axis < 0) {
        *out = cm_array_ref(m->in[0]->array);
        return 0;
    }
    cm_array **parts = cm_calloc(ms->n, sizeof(cm_array *), err);
    int rc = parts ? 0 : CM_ENOMEM;
    for (size_t k = 0; rc == 0 && k < ms->n; k++)
        rc = cm_matches_array(ms, i, k, &parts[k], err);
    if (rc == 0)
        rc = cm_array_concat(parts, ms->n, m->axis, out, err);
    for (size_t k = 0; parts && k < ms->n; k++)
        cm_array_unref(parts[k]);
    free(parts);
    return rc;
}

/* The joined length of the dimension as group g declares it. */
static int joined_length(const cm_matches *ms, const cm_group *g, int64_t *out, cm_error *err)
{
    *out = 0;
    for (size_t k = 0; k < ms->n; k++) {
        const cm_group *there = cm_group_find(ms->datasets[k]->root, g->path);
        const cm_dimension *d = there ? cm_group_scope_dimension(there, ms->dimension) : NULL;
        if (!d) {
            cm_error_set(err, CM_EJOIN, "group %s has no dimension %s, but has in %s", g->path,
                         ms->dimension, ms->datasets[0]->uri);
            cm_error_object(err, ms->datasets[k]->uri);
            return CM_EJOIN;
        }
        if (!cm_add_i64(*out, d->length, out))
            return cm_error_set(err, CM_ELIMIT, "the joined dimension is longer than 2^63");
    }
    return 0;
}

static int build_group(const cm_matches *ms, const cm_group *g, cm_group *dst, size_t *next,
                       cm_error *err)
{
    int rc = cm_rebuild_group_attributes(dst, g, err);
    for (size_t i = 0; rc == 0 && i < g->ndimensions; i++) {
        const cm_dimension *d = &g->dimensions[i];
        int64_t length = d->length;
        if (strcmp(d->name, ms->dimension) == 0)
            rc = joined_length(ms, g, &length, err);
        if (rc == 0)
            rc = cm_group_add_dimension(dst, d->name, length, d->unlimited, err);
    }
    for (size_t i = 0; rc == 0 && i < g->nvariables; i++) {
        const cm_match *m = &ms->items[*next];
        cm_array *array = NULL;
        rc = join_arrays(ms, (*next)++, &array, err);
        const cm_dimension *d =
            m->axis < 0 || rc ? NULL : cm_group_scope_dimension(dst, ms->dimension);
        if (d && array->shape[m->axis] != d->length) {
            rc = cm_join_refuse(m->in[0], NULL, err,
                                "the files' lengths along %s add up to %lld, those of the "
                                "dimension to %lld",
                                ms->dimension, (long long)array->shape[m->axis],
                                (long long)d->length);
            cm_array_unref(array);
        }
        if (rc == 0)
            rc = cm_rebuild_variable(dst, m->in[0], array, NULL, NULL, err);
    }
    for (size_t i = 0; rc == 0 && i < g->ngroups; i++) {
        cm_group *child = NULL;
        rc = cm_group_add_group(dst, g->groups[i]->name, &child, err);
        if (rc == 0)
            rc = build_group(ms, g->groups[i], child, next, err);
    }
    return rc;
}

static int build(cm_context *ctx, const cm_matches *ms, cm_dataset **out, cm_error *err)
{
    cm_dataset *made = NULL;
    size_t next = 0;
    char *uri = cm_sprintf(err, "%s (and %zu more)", ms->datasets[0]->uri, ms->n - 1);
    int rc = uri ? cm_dataset_new(ctx, uri, "joined", &made, err) : CM_ENOMEM;
    if (rc == 0) {
        made->is_array = ms->datasets[0]->is_array;
        rc = build_group(ms, ms->datasets[0]->root, made->root, &next, err);
    }
    if (rc)
        cm_dataset_free(made);
    else
        *out = made;
    free(uri);
    return rc;
}

static int join_sorted(cm_context *ctx, cm_dataset *const *sorted, size_t n, const char *dimension,
                       bool static_first, cm_dataset **out, cm_error *err)
{
    cm_matches ms;
    int rc = cm_matches_make(sorted, n, dimension, static_first, &ms, err);
    if (rc == 0 && !static_first)
        rc = compare_all_static(ctx, &ms, err);
    if (rc == 0)
        rc = try_all_times(ctx, &ms, err);
    if (rc == 0)
        rc = build(ctx, &ms, out, err);
    if (rc == 0)
        cm_matches_log(ctx, &ms);
    cm_matches_deinit(&ms);
    return rc;
}

int cm_dataset_join(cm_context *ctx, cm_dataset *const *datasets, size_t n,
                    const cm_join_options *options, cm_dataset **out, cm_error *err)
{
    cm_join_options defaults;
    cm_join_options_init(&defaults);
    if (!options)
        options = &defaults;
    *out = NULL;
    if (n == 0)
        return cm_error_set(err, CM_EINVAL, "no datasets to join");
    if (n == 1)
        return cm_dataset_select(ctx, datasets[0], NULL, out, err);
    const char *dimension = NULL;
    size_t *order = cm_calloc(n, sizeof *order, err);
    cm_dataset **sorted = cm_calloc(n, sizeof(cm_dataset *), err);
    int rc = order && sorted ? cm_context_check(ctx, err) : CM_ENOMEM;
    if (rc == 0)
        rc = cm_order_dimension(ctx, datasets, n, options, &dimension, err);
    if (rc == 0)
        rc = cm_order_files(ctx, datasets, n, dimension, order, err);
    for (size_t k = 0; rc == 0 && k < n; k++)
        sorted[k] = datasets[order[k]];
    if (rc == 0)
        rc = join_sorted(ctx, sorted, n, dimension, options->static_first, out, err);
    free(order);
    free(sorted);
    return rc;
}
