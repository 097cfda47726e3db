/* join/order.c: file order by coordinate value, by name, or as given.
 *
 * File names sort day-10 before day-2, so names do not count unless one asks for it, and then their
 * numbers do. Every file's coordinate is read once (extent.h). In the usual case within a file
 * values are strictly monotonic, all files in one direction; the files are then sorted by their
 * first value, each ends before the next begins, and nothing more is read. Anything else is refused
 * here, or when an option allows it, handed to steps.h. Times are compared as instants, each file
 * by its own reference date, so no file needs another's units here.
 */
#include "join/order.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/context_private.h"
#include "base/memory.h"
#include "cf/roles.h"
#include "join/rebuild.h"

typedef struct ordering {
    cm_context *ctx;
    cm_dataset *const *datasets;
    size_t n;
    const char *dimension;
    const cm_join_options *options;
    cm_report *report;
    cm_order *out;
} ordering;

/* ---- sorting --------------------------------------------------------------------------------- */

static int ascending(const void *va, const void *vb)
{
    const cm_extent *a = va, *b = vb;
    if ((a->n == 0) != (b->n == 0))
        return a->n == 0 ? 1 : -1;
    int c = a->n == 0 ? 0 : cm_number_compare(&a->first, &b->first);
    return c ? c : (a->index > b->index) - (a->index < b->index);
}

static int descending(const void *va, const void *vb)
{
    const cm_extent *a = va, *b = vb;
    if (a->n == 0 || b->n == 0)
        return ascending(va, vb);
    int c = cm_number_compare(&b->first, &a->first);
    return c ? c : (a->index > b->index) - (a->index < b->index);
}

/* Runs of digits by their value. */
static int compare_names(const char *a, const char *b)
{
    while (*a || *b) {
        if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
            a += strspn(a, "0");
            b += strspn(b, "0");
            size_t n = strspn(a, "0123456789"), m = strspn(b, "0123456789");
            int c = n != m ? (n > m) - (n < m) : strncmp(a, b, n);
            if (c)
                return c;
            a += n;
            b += m;
        } else if (*a != *b) {
            return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
        } else {
            a++;
            b++;
        }
    }
    return 0;
}

typedef struct named {
    const char *name;
    size_t index;
} named;

static int by_name(const void *va, const void *vb)
{
    const named *a = va, *b = vb;
    int c = compare_names(a->name, b->name);
    return c ? c : (a->index > b->index) - (a->index < b->index);
}

static int order_by_name(const ordering *o, cm_error *err)
{
    named *names = cm_calloc(o->n, sizeof *names, err);
    if (!names)
        return CM_ENOMEM;
    for (size_t k = 0; k < o->n; k++)
        names[k] = (named){o->datasets[k]->uri, k};
    qsort(names, o->n, sizeof *names, by_name);
    for (size_t k = 0; k < o->n; k++)
        o->out->files[k] = names[k].index;
    free(names);
    return 0;
}

/* ---- the usual case -------------------------------------------------------------------------- */

static int find_direction(const cm_extent *e, size_t n, int *out, cm_error *err)
{
    const cm_extent *known = NULL;
    for (size_t k = 0; k < n; k++) {
        if (e[k].direction == 0)
            continue;
        if (known && known->direction != e[k].direction)
            return cm_join_refuse(e[k].v, "--unsorted sort makes all ascending", err,
                                  "the coordinate is %s, but %s in %s",
                                  e[k].direction > 0 ? "ascending" : "descending",
                                  known->direction > 0 ? "ascending" : "descending",
                                  cm_join_file(known->v));
        known = known ? known : &e[k];
    }
    *out = known ? known->direction : 1;
    return 0;
}

static int check_neighbours(const cm_extent *e, size_t n, int direction, cm_error *err)
{
    char a[48], b[48];
    for (size_t k = 1; k < n && e[k].n > 0; k++) {
        int c = cm_number_compare(&e[k].first, &e[k - 1].last) * direction;
        if (c > 0)
            continue;
        cm_extent_text(&e[k], &e[k].first, a, sizeof a);
        cm_extent_text(&e[k - 1], &e[k - 1].last, b, sizeof b);
        if (c == 0 || cm_number_compare(&e[k].first, &e[k - 1].first) == 0)
            return cm_join_refuse(
                e[k].v, "--duplicates first or last keeps one of them; --order given does not sort",
                err, "the coordinate value %s is also in %s", a, cm_join_file(e[k - 1].v));
        return cm_join_refuse(e[k].v,
                              "--unsorted sort sorts them step by step, --duplicates first or last "
                              "keeps one of equal steps",
                              err, "the coordinate begins at %s, inside of %s, which goes to %s", a,
                              cm_join_file(e[k - 1].v), b);
    }
    return 0;
}

static int check_values(const cm_extent *e, cm_error *err)
{
    char a[48], b[48];
    if (e->missing >= 0)
        return cm_join_refuse(e->v, "--order given or name does not look at it", err,
                              "the coordinate has no valid value at index %lld",
                              (long long)e->missing);
    if (e->odd < 0)
        return 0;
    return cm_join_refuse(e->v,
                          cm_number_compare(&e->odd_value, &e->odd_before) == 0
                              ? "--duplicates first or last keeps one of them"
                              : "--unsorted sort sorts the steps",
                          err, "the coordinate is not monotonic: %s follows %s at index %lld",
                          cm_extent_text(e, &e->odd_value, a, sizeof a),
                          cm_extent_text(e, &e->odd_before, b, sizeof b), (long long)e->odd);
}

/* e is in the order of joining: is it sorted, and nothing twice? */
static int check_sorted(const cm_extent *e, size_t n, cm_error *err)
{
    int direction = 1, rc = 0;
    for (size_t k = 0; rc == 0 && k < n; k++)
        rc = check_values(&e[k], err);
    if (rc == 0)
        rc = find_direction(e, n, &direction, err);
    return rc ? rc : check_neighbours(e, n, direction, err);
}

static __int128 whole_of(const cm_number *x)
{
    return x->is_int ? x->i : (__int128)x->f;
}

/* Are there holes in or between files that are sorted? */
static bool has_holes(const cm_extent *e, size_t n)
{
    cm_pace steps = {0}, months = {0};
    cm_scale scale = cm_extents_scale(e, n);
    bool monthly = scale == CM_SCALE_INSTANT;
    if (scale == CM_SCALE_REAL)
        return false;
    for (size_t k = 0; k < n && e[k].n > 0; k++) {
        cm_pace_merge(&steps, &e[k].steps);
        cm_pace_merge(&months, &e[k].months);
        monthly = monthly && e[k].monthly;
        if (k == 0)
            continue;
        __int128 a = whole_of(&e[k - 1].last), b = whole_of(&e[k].first), rest;
        int64_t from, to;
        cm_pace_add(&steps, b - a);
        monthly = monthly && cm_month_of(&e[k], a, &from, &rest) &&
                  cm_month_of(&e[k], b, &to, &rest) && from != to;
        if (monthly)
            cm_pace_add(&months, to - from);
    }
    return cm_pace_has_holes(&steps) ||
           (monthly && steps.nleast < steps.n && cm_pace_has_holes(&months));
}

/* ---- axes ------------------------------------------------------------------------------------ */

static int file_lengths(const ordering *o, const cm_group *g, int64_t *lengths, cm_error *err)
{
    for (size_t k = 0; k < o->n; k++) {
        cm_dataset *ds = o->datasets[o->out->files[k]];
        const cm_group *there = cm_group_find(ds->root, g->path);
        const cm_dimension *d = there ? cm_group_scope_dimension(there, o->dimension) : NULL;
        if (!d) {
            cm_error_set(err, CM_EJOIN, "group %s has no dimension %s, but has in %s", g->path,
                         o->dimension, g->dataset->uri);
            cm_error_object(err, ds->uri);
            return CM_EJOIN;
        }
        lengths[k] = d->length;
    }
    return 0;
}

static bool allows_cuts(const cm_join_options *o)
{
    return o->order != CM_ORDER_COORDINATE || o->duplicates != CM_DUPLICATES_REFUSE ||
           (o->unsorted != CM_UNSORTED_DEFAULT && o->unsorted != CM_UNSORTED_REFUSE);
}

static int sort_files(const ordering *o, cm_extent *e)
{
    qsort(e, o->n, sizeof *e, cm_extents_direction(e, o->n) > 0 ? ascending : descending);
    for (size_t k = 0; k < o->n; k++)
        o->out->files[k] = e[k].index;
    return 0;
}

/* e is in the order of joining. */
static int find_steps(const ordering *o, const cm_extent *e, const int64_t *lengths, cm_runs *runs,
                      cm_error *err)
{
    cm_error why = {0};
    bool given =
        o->options->order != CM_ORDER_COORDINATE &&
        (o->options->unsorted == CM_UNSORTED_DEFAULT || o->options->unsorted == CM_UNSORTED_KEEP);
    for (size_t k = 0; given && k < o->n; k++)
        if (e[k].missing >= 0) {
            int rc = cm_report_note(o->report, err,
                                    "%s: no valid value at index %lld of %s: the values are not "
                                    "looked at",
                                    e[k].v->path, (long long)e[k].missing, cm_join_file(e[k].v));
            return rc ? rc : cm_runs_whole(lengths, o->n, runs, err);
        }
    int rc = check_sorted(e, o->n, &why);
    if (rc && !allows_cuts(o->options)) {
        if (err)
            *err = why;
        return rc;
    }
    if (rc || (o->options->gaps != CM_GAPS_IGNORE && has_holes(e, o->n)))
        return cm_runs_make(o->ctx, e, o->n, o->options, runs, o->report, err);
    return cm_runs_whole(lengths, o->n, runs, err);
}

static int add_axis(const ordering *o, const cm_group *g, cm_order_axis **out, cm_error *err)
{
    cm_order *order = o->out;
    int rc = cm_grow(&order->axes, &order->capacity, order->naxes + 1, sizeof *order->axes, err);
    if (rc == 0) {
        order->axes[order->naxes] = (cm_order_axis){.group = g};
        *out = &order->axes[order->naxes++];
    }
    return rc;
}

static const cm_group *declares(const cm_group *g, const char *dimension)
{
    for (; g; g = g->parent)
        for (size_t i = 0; i < g->ndimensions; i++)
            if (strcmp(g->dimensions[i].name, dimension) == 0)
                return g;
    return NULL;
}

static bool has_axis(const cm_order *o, const cm_group *g)
{
    for (size_t i = 0; i < o->naxes; i++)
        if (o->axes[i].group == g)
            return true;
    return false;
}

/* Order by this coordinate, or check it against the order already found. */
static int order_by(const ordering *o, const cm_variable *coordinate, bool ordered, cm_error *err)
{
    cm_order_axis *axis = NULL;
    cm_extent *e = cm_calloc(o->n, sizeof *e, err), *sorted = cm_calloc(o->n, sizeof *e, err);
    int64_t *lengths = cm_calloc(o->n, sizeof *lengths, err);
    int rc = e && sorted && lengths ? cm_extents_read(o->ctx, o->datasets, o->n, coordinate, e, err)
                                    : CM_ENOMEM;
    if (rc)
        goto out;
    if (!ordered && o->options->order == CM_ORDER_COORDINATE) {
        memcpy(sorted, e, o->n * sizeof *e);
        rc = sort_files(o, sorted);
    }
    for (size_t k = 0; k < o->n; k++) {
        sorted[k] = e[o->out->files[k]];
        lengths[k] = sorted[k].n;
    }
    const cm_group *g = declares(sorted[0].v->group, o->dimension);
    if (rc == 0 && (!g || has_axis(o->out, g))) { /* another one of the same dimension */
        rc = allows_cuts(o->options) ? 0 : check_sorted(sorted, o->n, err);
        goto out;
    }
    if (rc == 0)
        rc = add_axis(o, g, &axis, err);
    if (rc == 0) {
        axis->coordinate = sorted[0].v;
        rc = find_steps(o, sorted, lengths, &axis->runs, err);
    }
out:
    free(e);
    free(sorted);
    free(lengths);
    return rc;
}

/* A group that declares the dimension without a coordinate: its files are as long as they are; or
 * where the steps of a coordinate were cut, cut alike. */
static int without_coordinate(const ordering *o, const cm_group *g, cm_error *err)
{
    cm_order_axis *axis = NULL;
    int64_t *lengths = cm_calloc(o->n, sizeof *lengths, err), *model = NULL;
    int rc = lengths ? file_lengths(o, g, lengths, err) : CM_ENOMEM;
    if (rc == 0)
        rc = add_axis(o, g, &axis, err);
    const cm_order_axis *first = rc == 0 && o->out->naxes > 1 ? &o->out->axes[0] : NULL;
    if (rc == 0 && (!first || first->runs.whole)) {
        rc = cm_runs_whole(lengths, o->n, &axis->runs, err);
    } else if (rc == 0) {
        model = cm_calloc(o->n, sizeof *model, err);
        rc = model ? file_lengths(o, first->group, model, err) : CM_ENOMEM;
        for (size_t k = 0; rc == 0 && k < o->n; k++)
            if (model[k] != lengths[k]) {
                rc = cm_error_set(err, CM_EJOIN,
                                  "steps of %s are sorted, left out or filled, but group %s has "
                                  "another %s, of %lld steps instead of %lld",
                                  first->coordinate->path, g->path, o->dimension,
                                  (long long)lengths[k], (long long)model[k]);
                cm_error_object(err, o->datasets[o->out->files[k]]->uri);
            }
        if (rc == 0)
            rc = cm_runs_copy(&first->runs, &axis->runs, err);
    }
    free(lengths);
    free(model);
    return rc;
}

/* All groups below g that declare the dimension and have no axis yet. */
static int add_others(const ordering *o, const cm_group *g, cm_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < g->ndimensions; i++)
        if (strcmp(g->dimensions[i].name, o->dimension) == 0 && !has_axis(o->out, g))
            rc = without_coordinate(o, g, err);
    for (size_t i = 0; rc == 0 && i < g->ngroups; i++)
        rc = add_others(o, g->groups[i], err);
    return rc;
}

static int tell(const ordering *o, cm_error *err)
{
    static const char *const names[] = {"coordinate", "given", "name"};
    const cm_order *out = o->out;
    bool coordinate = out->naxes && out->axes[0].coordinate;
    cm_join_order order = o->options->order;
    int rc = cm_report_text(o->report, "dimension", o->dimension, err);
    if (order == CM_ORDER_COORDINATE && !coordinate)
        order = CM_ORDER_GIVEN;
    if (rc == 0)
        rc = cm_report_text(o->report, "order", names[order], err);
    if (rc == 0)
        rc = cm_report_count(o->report, "files", (int64_t)o->n, err);
    if (rc == 0)
        rc = cm_report_count(o->report, "steps", out->naxes ? out->axes[0].runs.length : 0, err);
    bool labelled = o->options->stack || o->options->coord; /* by text: there is no order */
    if (rc == 0 && !coordinate && o->n > 1 && o->options->order == CM_ORDER_COORDINATE && !labelled)
        rc = cm_report_note(o->report, err,
                            "dimension %s has no numeric coordinate variable: the files are joined "
                            "in the order given",
                            o->dimension);
    return rc;
}

int cm_order_make(cm_context *ctx, cm_dataset *const *datasets, size_t n, const char *dimension,
                  const cm_join_options *options, cm_report *report, cm_order *out, cm_error *err)
{
    cm_variable **list = NULL;
    size_t nlist = 0;
    *out = (cm_order){.dimension = dimension, .n = n};
    ordering o = {ctx, datasets, n, dimension, options, report, out};
    out->files = cm_calloc(n, sizeof *out->files, err);
    int rc = out->files ? 0 : CM_ENOMEM;
    for (size_t k = 0; rc == 0 && k < n; k++)
        out->files[k] = k;
    if (rc == 0 && options->order == CM_ORDER_NAME)
        rc = order_by_name(&o, err);
    if (rc == 0)
        rc = cm_rebuild_list(datasets[0]->root, &list, &nlist, err);
    for (size_t i = 0; rc == 0 && i < nlist; i++)
        if (cm_extent_orders(list[i]) && strcmp(list[i]->name, dimension) == 0)
            rc = order_by(&o, list[i], out->naxes > 0, err);
    if (rc == 0)
        rc = add_others(&o, datasets[out->files[0]]->root, err);
    if (rc == 0)
        rc = tell(&o, err);
    free(list);
    return rc;
}

void cm_order_deinit(cm_order *o)
{
    for (size_t i = 0; i < o->naxes; i++)
        cm_runs_deinit(&o->axes[i].runs);
    free(o->axes);
    free(o->files);
    *o = (cm_order){0};
}

const cm_order_axis *cm_order_axis_in(const cm_order *o, const cm_group *g)
{
    for (; g; g = g->parent)
        for (size_t i = 0; i < o->naxes; i++)
            if (o->axes[i].group == g)
                return &o->axes[i];
    return NULL;
}
