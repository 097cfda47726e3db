/* join/join.c: several datasets side by side as one.
 *
 *   dimension   which one (order.h)
 *   order       files by coordinate value, and which steps of them; from here on `first` is the
 *               first in that order, so the result does not depend on how the files were listed
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
#include "base/context_private.h"
#include "base/memory.h"
#include "cf/roles.h"
#include "join/filled.h"
#include "join/match.h"
#include "join/merge.h"
#include "join/order.h"
#include "join/rebuild.h"
#include "join/same.h"
#include "join/stack.h"

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

enum { EAGER_CELLS = 1 << 18, PIECE_NBYTES = 1200 };

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

typedef struct building {
    cm_context *ctx;
    const cm_matches *ms;
    const cm_order *order;
    size_t next; /* variable in the order of the tree */
} building;

/* Files, pieces of files and filled steps, as the axis's runs say. */
static int cut_parts(const building *b, size_t i, const cm_order_axis *axis, cm_array **arrays,
                     cm_array **parts, cm_error *err)
{
    const cm_match *m = &b->ms->items[i];
    const cm_runs *runs = &axis->runs;
    int rc = 0;
    for (size_t k = 0; rc == 0 && k < runs->n; k++) {
        const cm_run *run = &runs->items[k];
        if (run->file == CM_RUN_FILLED) {
            rc = cm_filled_array(b->ctx, b->ms, i, axis, k, arrays, &parts[k], err);
            continue;
        }
        int64_t lo[CM_MAX_DIMS] = {0}, n[CM_MAX_DIMS];
        memcpy(n, arrays[run->file]->shape, (size_t)arrays[run->file]->ndim * sizeof *n);
        lo[m->axis] = run->lo;
        n[m->axis] = run->n;
        rc = cm_array_subset(arrays[run->file], lo, n, &parts[k], err);
    }
    return rc;
}

static int refuse_length(const building *b, size_t i, int64_t have, int64_t want, cm_error *err)
{
    return cm_join_refuse(b->ms->items[i].in[0], NULL, err,
                          "the files' lengths along %s add up to %lld, those of the dimension to "
                          "%lld",
                          b->ms->dimension, (long long)have, (long long)want);
}

static int join_arrays(const building *b, size_t i, cm_array **out, cm_error *err)
{
    const cm_matches *ms = b->ms;
    const cm_match *m = &ms->items[i];
    const cm_order_axis *axis = cm_order_axis_in(b->order, m->in[0]->group);
    if (m->axis < 0) {
        *out = cm_array_ref(m->in[0]->array);
        return 0;
    }
    size_t nparts = axis && !axis->runs.whole ? axis->runs.n : 0;
    cm_array **arrays = cm_calloc(ms->n, sizeof(cm_array *), err);
    cm_array **parts = cm_calloc(nparts, sizeof(cm_array *), err);
    int rc = arrays && parts ? 0 : CM_ENOMEM;
    for (size_t k = 0; rc == 0 && k < ms->n; k++)
        rc = cm_matches_array(ms, i, k, &arrays[k], err);
    if (rc == 0 && nparts)
        rc = cut_parts(b, i, axis, arrays, parts, err);
    if (rc == 0)
        rc = cm_array_concat(nparts ? parts : arrays, nparts ? nparts : ms->n, m->axis, out, err);
    if (rc == 0 && axis && (*out)->shape[m->axis] != axis->runs.length) {
        rc = refuse_length(b, i, (*out)->shape[m->axis], axis->runs.length, err);
        cm_array_unref(*out);
        *out = NULL;
    }
    for (size_t k = 0; arrays && k < ms->n; k++)
        cm_array_unref(arrays[k]);
    for (size_t k = 0; parts && k < nparts; k++)
        cm_array_unref(parts[k]);
    free(arrays);
    free(parts);
    return rc;
}

static int build_group(building *b, const cm_group *g, cm_group *dst, cm_error *err)
{
    const cm_matches *ms = b->ms;
    int rc = cm_rebuild_group_attributes(dst, g, err);
    for (size_t i = 0; rc == 0 && i < g->ndimensions; i++) {
        const cm_dimension *d = &g->dimensions[i];
        bool joined = strcmp(d->name, ms->dimension) == 0;
        int64_t length = joined ? cm_order_axis_in(b->order, g)->runs.length : d->length;
        rc = cm_group_add_dimension(dst, d->name, length, d->unlimited, err);
    }
    for (size_t i = 0; rc == 0 && i < g->nvariables; i++) {
        cm_array *array = NULL;
        size_t item = b->next++;
        rc = join_arrays(b, item, &array, err);
        if (rc == 0)
            rc = cm_rebuild_variable(dst, ms->items[item].in[0], array, NULL, NULL, err);
    }
    for (size_t i = 0; rc == 0 && i < g->ngroups; i++) {
        cm_group *child = NULL;
        rc = cm_group_add_group(dst, g->groups[i]->name, &child, err);
        if (rc == 0)
            rc = build_group(b, g->groups[i], child, err);
    }
    return rc;
}

/* Memory of a joined dataset that is set aside in the budget. */
typedef struct set_aside {
    cm_budget *budget;
    uint64_t nbytes;
} set_aside;

static void give_back(void *owner)
{
    set_aside *p = owner;
    cm_budget_unpin(p->budget, p->nbytes);
    free(p);
}

/* For ds, until it goes; which has no owner yet. */
static int put_aside(cm_context *ctx, cm_dataset *ds, uint64_t nbytes, cm_error *err)
{
    set_aside *p = cm_calloc(1, sizeof *p, err);
    if (!p)
        return CM_ENOMEM;
    *p = (set_aside){cm_context_budget(ctx), 0};
    ds->owner = p;
    ds->owner_free = give_back;
    if (!cm_budget_pin(p->budget, nbytes)) {
        cm_error_set(err, CM_ELIMIT, "the pieces of sorted steps take %llu MB",
                     (unsigned long long)(nbytes >> 20));
        cm_error_object(err, ds->uri);
        cm_error_hint(err, "give more with --max-mem, fewer variables with --vars, or join fewer "
                           "files at a time");
        return CM_ELIMIT;
    }
    p->nbytes = nbytes;
    return 0;
}

/* Of all variables whose files are cut; each piece is an array of its own. */
static uint64_t count_pieces(const cm_matches *ms, const cm_order *order)
{
    uint64_t pieces = 0;
    for (size_t i = 0; i < ms->nitems; i++) {
        const cm_order_axis *axis = cm_order_axis_in(order, ms->items[i].in[0]->group);
        if (ms->items[i].axis >= 0 && axis && !axis->runs.whole)
            pieces += axis->runs.n;
    }
    return pieces;
}

static int build(cm_context *ctx, const cm_matches *ms, const cm_order *order,
                 const cm_report *report, cm_dataset **out, cm_error *err)
{
    cm_dataset *made = NULL;
    building b = {.ctx = ctx, .ms = ms, .order = order};
    uint64_t pieces = count_pieces(ms, order);
    char *uri = ms->n == 1 ? cm_strdup(ms->datasets[0]->uri, err)
                           : cm_sprintf(err, "%s (and %zu more)", ms->datasets[0]->uri, ms->n - 1);
    int rc =
        uri ? cm_dataset_new(ctx, uri, ms->n == 1 ? ms->datasets[0]->format : "joined", &made, err)
            : CM_ENOMEM;
    if (rc == 0 && pieces)
        rc = put_aside(ctx, made, pieces * PIECE_NBYTES, err);
    if (rc == 0) {
        made->is_array = ms->datasets[0]->is_array;
        rc = build_group(&b, ms->datasets[0]->root, made->root, err);
    }
    if (rc == 0 && !(made->joined = cm_json_copy(made->doc, report->root)))
        rc = cm_error_set(err, CM_ENOMEM, "out of memory for the report of a join");
    if (rc)
        cm_dataset_free(made);
    else
        *out = made;
    free(uri);
    return rc;
}

const cm_json *cm_dataset_join_report(const cm_dataset *ds)
{
    return ds->joined;
}

static int join_sorted(cm_context *ctx, cm_dataset *const *sorted, const cm_order *order,
                       bool static_first, const cm_report *report, cm_dataset **out, cm_error *err)
{
    cm_matches ms;
    int rc = cm_matches_make(sorted, order->n, order->dimension, static_first, &ms, err);
    if (rc == 0 && !static_first && order->n > 1)
        rc = compare_all_static(ctx, &ms, err);
    if (rc == 0)
        rc = try_all_times(ctx, &ms, err);
    if (rc == 0)
        rc = build(ctx, &ms, order, report, out, err);
    if (rc == 0) {
        cm_report_log(report);
        cm_matches_log(ctx, &ms);
    }
    cm_matches_deinit(&ms);
    return rc;
}

/* One dataset by itself needs no join unless something is to be done to its steps. */
static bool changes_one(const cm_join_options *o)
{
    return o->unsorted != CM_UNSORTED_DEFAULT || o->duplicates != CM_DUPLICATES_REFUSE ||
           o->gaps == CM_GAPS_FILL || o->gaps == CM_GAPS_REFUSE;
}

/* Files of different variables have the same times, which is not what is wrong with them. */
static void hint_at_merge(cm_dataset *const *datasets, size_t n, cm_error *err)
{
    size_t nsets = 1, *of = cm_calloc(n, sizeof *of, NULL);
    if (err && of && cm_merge_sets(datasets, n, of, &nsets, NULL) == 0 && nsets > 1) {
        err->hint[0] = 0;
        cm_error_hint(err, "the sources do not all have the same variables: --merge joins those "
                           "that have, and puts all into one");
    }
    free(of);
}

static int join_along(cm_context *ctx, cm_dataset *const *datasets, size_t n,
                      const cm_join_options *options, cm_report *report, cm_dataset **out,
                      cm_error *err)
{
    const char *dimension = NULL;
    cm_order order = {0};
    cm_dataset **sorted = cm_calloc(n, sizeof(cm_dataset *), err);
    int rc = sorted ? cm_order_dimension(ctx, datasets, n, options, &dimension, err) : CM_ENOMEM;
    if (rc == 0)
        rc = cm_order_make(ctx, datasets, n, dimension, options, report, &order, err);
    if (rc == CM_EJOIN)
        hint_at_merge(datasets, n, err);
    for (size_t k = 0; rc == 0 && k < n; k++)
        sorted[k] = datasets[order.files[k]];
    if (rc == 0)
        rc = join_sorted(ctx, sorted, &order, options->static_first, report, out, err);
    cm_order_deinit(&order);
    free(sorted);
    return rc;
}

/* Along a dimension whose coordinate is made first. */
static int join_stacked(cm_context *ctx, cm_dataset *const *datasets, size_t n,
                        const cm_join_options *options, cm_report *report, cm_dataset **out,
                        cm_error *err)
{
    cm_stack stack;
    cm_join_options along = *options;
    int rc = cm_stack_make(ctx, datasets, n, options, &stack, report, err);
    along.concat = stack.dimension;
    if (stack.labels && along.gaps == CM_GAPS_WARN)
        along.gaps = CM_GAPS_IGNORE;
    if (rc == 0)
        rc = join_along(ctx, stack.datasets, n, &along, report, out, err);
    cm_stack_deinit(&stack);
    return rc;
}

/* ---- merging --------------------------------------------------------------------------------- */

/* Datasets of one set of variables as one: *made, if a join was needed, else one of the given. */
static int join_set(cm_context *ctx, cm_dataset *const *datasets, size_t n,
                    const cm_join_options *options, cm_report *report, cm_dataset **made,
                    cm_error *err)
{
    cm_report own = {0};
    bool stacks = options->stack || options->coord;
    int rc = cm_report_init(ctx, &own, err);
    if (rc == 0 && (n > 1 || stacks || changes_one(options)))
        rc = (stacks ? join_stacked : join_along)(ctx, datasets, n, options, &own, made, err);
    else if (rc == 0)
        rc = cm_report_count(&own, "files", 1, err);
    const cm_dataset *ds = *made ? *made : datasets[0];
    cm_variable **list = NULL;
    size_t nlist = 0;
    if (rc == 0)
        rc = cm_rebuild_list(ds->root, &list, &nlist, err);
    for (size_t i = 0; rc == 0 && i < nlist; i++)
        if (cm_cf_role_of(list[i]) == CM_ROLE_DATA)
            rc = cm_report_list(&own, "variables", list[i]->path, err);
    if (rc == 0)
        rc = cm_report_nest(report, "merged", own.root, err);
    if (rc == 0)
        rc = cm_report_count(report, "files", (int64_t)n, err);
    free(list);
    cm_report_deinit(&own);
    return rc;
}

static int merge(cm_context *ctx, cm_dataset *const *datasets, size_t n,
                 const cm_join_options *options, cm_report *report, cm_dataset **out, cm_error *err)
{
    size_t nsets = 0, *of = cm_calloc(n, sizeof *of, err);
    cm_dataset **set = cm_calloc(n, sizeof(cm_dataset *), err),
               **made = cm_calloc(n, sizeof(cm_dataset *), err),
               **parts = cm_calloc(n, sizeof(cm_dataset *), err);
    const char **joined = cm_calloc(n, sizeof *joined, err);
    int rc = of && set && made && parts && joined ? cm_merge_sets(datasets, n, of, &nsets, err)
                                                  : CM_ENOMEM;
    for (size_t i = 0; rc == 0 && i < nsets; i++) {
        size_t nset = 0;
        for (size_t k = 0; k < n; k++)
            if (of[k] == i)
                set[nset++] = datasets[k];
        rc = join_set(ctx, set, nset, options, report, &made[i], err);
        parts[i] = made[i] ? made[i] : set[0];
        if (rc == 0 && made[i])
            joined[i] = cm_json_string(cm_json_get(made[i]->joined, "dimension"));
    }
    if (rc == 0)
        rc = cm_merge_make(ctx, parts, nsets, joined, options->static_first, report, out, err);
    if (rc == 0 && !((*out)->joined = cm_json_copy((*out)->doc, report->root)))
        rc = cm_error_set(err, CM_ENOMEM, "out of memory for the report of a join");
    uint64_t aside = 0;
    for (size_t i = 0; made && i < nsets; i++) { /* its arrays stay: so does what is set aside */
        set_aside *p = made[i] && made[i]->owner_free == give_back ? made[i]->owner : NULL;
        aside += p ? p->nbytes : 0;
        cm_dataset_free(made[i]);
    }
    if (rc == 0 && aside)
        rc = put_aside(ctx, *out, aside, err);
    if (rc) {
        cm_dataset_free(*out);
        *out = NULL;
    }
    free(of);
    free(set);
    free(made);
    free(parts);
    free(joined);
    return rc;
}

int cm_dataset_join(cm_context *ctx, cm_dataset *const *datasets, size_t n,
                    const cm_join_options *options, cm_dataset **out, cm_error *err)
{
    cm_join_options defaults;
    cm_report report = {0};
    cm_join_options_init(&defaults);
    if (!options)
        options = &defaults;
    *out = NULL;
    if (n == 0)
        return cm_error_set(err, CM_EINVAL, "no datasets to join");
    if (options->calendar && !options->coord)
        return cm_error_set(err, CM_EINVAL, "--calendar is that of the dates of --coord");
    if (options->merge && options->keep_first)
        return cm_error_set(err, CM_EINVAL, "--append extends along a dimension and cannot merge");
    bool stacks = options->stack || options->coord;
    if (n == 1 && !stacks && !changes_one(options))
        return cm_dataset_select(ctx, datasets[0], NULL, out, err);
    int rc = cm_context_check(ctx, err);
    if (rc == 0)
        rc = cm_report_init(ctx, &report, err);
    if (rc == 0 && options->merge)
        rc = merge(ctx, datasets, n, options, &report, out, err);
    else if (rc == 0)
        rc = (stacks ? join_stacked : join_along)(ctx, datasets, n, options, &report, out, err);
    cm_report_deinit(&report);
    return rc;
}
