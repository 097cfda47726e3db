/* join/stack.c: a coordinate from elsewhere, a dimension that is new; see the header.
 *
 * A file without the dimension becomes one with it, of length 1: its data variables get one more
 * axis (array/expand.c), and it gets a coordinate variable. Then stacking is joining, and
 * everything that holds for joins holds for it: order by value, duplicates, gaps, references.
 *
 * Which variables get the axis is one decision for all files. Data do, whether they differ or not:
 * to find out would be to read them. Coordinates of dimensions cannot have it. What is left,
 * auxiliary coordinates, bounds and grid mappings, is small: it is compared, and has the axis only
 * if it differs. A cube that is extended has decided before.
 */
#include "join/stack.h"

#include <stdlib.h>
#include <string.h>

#include "array/compose.h"
#include "base/context_private.h"
#include "base/memory.h"
#include "cf/roles.h"
#include "join/match.h"
#include "join/rebuild.h"
#include "join/same.h"
#include "join/supply.h"

typedef struct stacking {
    cm_context *ctx;
    cm_dataset *const *datasets;
    size_t n, first; /* of those that are made anew */
    const cm_join_options *options;
    cm_report *report;
    cm_stack *out;
    cm_supply supply;
    bool supplied, is_new;
    cm_variable **list; /* of datasets[first] */
    bool *stacked;      /* for each of them */
    size_t nlist;
} stacking;

void cm_stack_deinit(cm_stack *s)
{
    for (size_t k = 0; s->datasets && s->made && k < s->n; k++)
        if (s->made[k])
            cm_dataset_free(s->datasets[k]);
    free(s->datasets);
    free(s->made);
    free(s->dimension);
    *s = (cm_stack){0};
}

static const cm_dimension *own_dimension(const cm_group *g, const char *name)
{
    for (size_t i = 0; i < g->ndimensions; i++)
        if (strcmp(g->dimensions[i].name, name) == 0)
            return &g->dimensions[i];
    return NULL;
}

/* The first group of the tree that declares the dimension. */
static cm_group *declaring(cm_group *g, const char *name)
{
    cm_group *found = own_dimension(g, name) ? g : NULL;
    for (size_t i = 0; !found && i < g->ngroups; i++)
        found = declaring(g->groups[i], name);
    return found;
}

/* ---- which dimension ------------------------------------------------------------------------- */

static int choose_dimension(stacking *s, cm_error *err)
{
    const cm_join_options *o = s->options;
    char *name = NULL;
    int rc = o->coord ? cm_supply_name(o->coord, &name, err) : 0;
    const char *asked = o->stack ? o->stack : o->concat;
    if (rc == 0 && o->stack && o->concat)
        rc = cm_error_set(err, CM_EINVAL, "--stack %s and --concat %s: it is one of the two",
                          o->stack, o->concat);
    if (rc == 0 && asked && name && strcmp(asked, name) != 0)
        rc = cm_error_set(err, CM_EINVAL, "--coord %s: the sources are joined along %s", o->coord,
                          asked);
    if (rc == 0 && !(s->out->dimension = cm_strdup(name ? name : asked, err)))
        rc = CM_ENOMEM;
    free(name);
    return rc;
}

static int check_dimension(const stacking *s, size_t k, cm_error *err)
{
    const char *name = s->out->dimension;
    cm_dataset *ds = s->datasets[k];
    bool there = declaring(ds->root, name) != NULL;
    const cm_variable *own = cm_group_find_variable(ds->root, name);
    int rc = 0;
    if (s->is_new && there) {
        rc = cm_error_set(err, CM_EJOIN, "it has the dimension %s already", name);
        cm_error_hint(err, "--concat %s joins along it", name);
    } else if (s->is_new && own && own->ndim > 0) {
        rc = cm_error_set(err, CM_EJOIN, "it has a variable %s that is no scalar", name);
        cm_error_variable(err, own->path);
        cm_error_hint(err, "leave it out with --skip %s", name);
    } else if (!s->is_new && !there) {
        rc = cm_error_set(err, CM_EJOIN, "it has no dimension %s, but %s has", name,
                          s->datasets[s->first]->uri);
        cm_error_hint(err, "--stack %s makes one of all", name);
    }
    if (rc)
        cm_error_object(err, ds->uri);
    return rc;
}

static bool have_scalars(const stacking *s)
{
    for (size_t k = s->first; k < s->n; k++) {
        const cm_variable *v = cm_group_find_variable(s->datasets[k]->root, s->out->dimension);
        if (!v || !v->array || v->ndim != 0)
            return false;
    }
    return true;
}

static int get_values(stacking *s, cm_error *err)
{
    const cm_join_options *o = s->options;
    int rc = 0;
    s->supplied = true;
    if (o->coord) {
        rc =
            cm_supply_read(s->datasets, s->n, o->coord, o->calendar, s->first > 0, &s->supply, err);
        if (rc == 0 && o->duplicates != CM_DUPLICATES_KEEP)
            rc = cm_supply_check_texts(&s->supply, s->datasets, err);
        return rc;
    }
    if (have_scalars(s)) {
        s->supplied = false;
        return 0;
    }
    if (s->first == 0)
        return cm_supply_count(s->n, s->out->dimension, &s->supply, err);
    cm_error_set(err, CM_EINVAL, "%s has no value in the sources that are added",
                 s->out->dimension);
    cm_error_hint(err, "--coord %s=... says where it is", s->out->dimension);
    return CM_EINVAL;
}

/* ---- which variables ------------------------------------------------------------------------- */

static int is_shared(const stacking *s, const cm_variable *v, bool *shared, cm_error *err)
{
    size_t n = s->n - s->first - 1, odd = n;
    cm_array **others = cm_calloc(n, sizeof(cm_array *), err);
    if (!others)
        return CM_ENOMEM;
    *shared = true;
    for (size_t k = 0; k < n && *shared; k++) {
        cm_variable *other = cm_dataset_counterpart(s->datasets[s->first + 1 + k], v);
        *shared = other && other->array && v->array &&
                  cm_match_check(v, NULL, other, NULL, -1, CM_ASPECT_ALL, NULL) == 0;
        if (*shared && cm_cf_text(v, "units") && cm_cf_text(other, "units"))
            *shared = strcmp(cm_cf_text(v, "units"), cm_cf_text(other, "units")) == 0;
        others[k] = *shared ? other->array : NULL;
    }
    int rc = *shared ? cm_same_arrays(s->ctx, v->array, others, n, &odd, err) : 0;
    *shared = *shared && odd == n;
    free(others);
    return rc;
}

static int decide(stacking *s, cm_error *err)
{
    int rc = cm_rebuild_list(s->datasets[s->first]->root, &s->list, &s->nlist, err);
    if (rc == 0 && !(s->stacked = cm_calloc(s->nlist, sizeof *s->stacked, err)))
        rc = CM_ENOMEM;
    for (size_t i = 0; rc == 0 && i < s->nlist; i++) {
        const cm_variable *v = s->list[i];
        cm_cf_role role = cm_cf_role_of(v);
        bool shared = role == CM_ROLE_COORDINATE;
        const cm_variable *before = s->first ? cm_dataset_counterpart(s->datasets[0], v) : NULL;
        if (before) {
            shared = true;
            for (int k = 0; k < before->ndim; k++)
                shared = shared && !(before->dimensions[k] &&
                                     strcmp(before->dimensions[k], s->out->dimension) == 0);
        } else if (strcmp(v->path + 1, s->out->dimension) == 0) {
            shared = false;
        } else if (role != CM_ROLE_DATA && role != CM_ROLE_COORDINATE) {
            shared = s->options->static_first;
            if (!shared)
                rc = is_shared(s, v, &shared, err);
        }
        s->stacked[i] = !shared;
        bool replaced = s->supplied && strcmp(v->path + 1, s->out->dimension) == 0;
        if (rc == 0 && !replaced)
            rc = cm_report_list(s->report, shared ? "shared" : "stacked", v->path, err);
    }
    return rc;
}

static bool is_stacked(const stacking *s, const cm_variable *v)
{
    for (size_t i = 0; i < s->nlist; i++)
        if (strcmp(s->list[i]->path, v->path) == 0)
            return s->stacked[i];
    return true;
}

/* ---- making ---------------------------------------------------------------------------------- */

/* The variable whose place the supplied values take; not its bounds', which would count from
 * another date then. */
static int check_replaced(const stacking *s, size_t k, const cm_variable *v, cm_error *err)
{
    const cm_variable *bounds = cm_cf_bounds_of(v);
    if (!bounds)
        return 0;
    cm_error_set(err, CM_EJOIN, "these bounds belong to the values of %s that --coord replaces",
                 v->name);
    cm_error_object(err, s->datasets[k]->uri);
    cm_error_variable(err, bounds->path);
    cm_error_hint(err, "leave them out with --skip %s", bounds->name);
    return CM_EJOIN;
}

static int check_length(const stacking *s, size_t k, const cm_group *g, cm_error *err)
{
    int64_t want = own_dimension(g, s->out->dimension)->length;
    size_t have = cm_supply_length(&s->supply, k);
    if ((uint64_t)want == have)
        return 0;
    cm_error_set(err, CM_EJOIN, "--coord %s gives %zu value%s, %s has %lld steps",
                 s->options->coord, have, have == 1 ? "" : "s", s->out->dimension, (long long)want);
    cm_error_object(err, s->datasets[k]->uri);
    return CM_EJOIN;
}

static int copy_variable(const stacking *s, const cm_variable *v, cm_group *dst, cm_error *err)
{
    cm_array *array = NULL;
    if (!v->array)
        return cm_rebuild_unreadable(v, err);
    if (!s->is_new || !is_stacked(s, v))
        return cm_rebuild_variable(dst, v, cm_array_ref(v->array), NULL, NULL, err);
    int rc = cm_array_expand(v->array, &array, err);
    return rc ? rc : cm_rebuild_stacked(dst, v, s->out->dimension, array, err);
}

/* where: the group that gets the coordinate. */
static int copy_group(const stacking *s, size_t k, const cm_group *g, const cm_group *where,
                      cm_group *dst, cm_error *err)
{
    const char *name = s->out->dimension;
    int rc = cm_rebuild_group_attributes(dst, g, err);
    for (size_t i = 0; rc == 0 && i < g->ndimensions; i++)
        rc = cm_group_add_dimension(dst, g->dimensions[i].name, g->dimensions[i].length,
                                    g->dimensions[i].unlimited, err);
    if (rc == 0 && s->is_new && g == where)
        rc = cm_group_add_dimension(dst, name, 1, false, err);
    for (size_t i = 0; rc == 0 && i < g->nvariables; i++) {
        const cm_variable *v = g->variables[i];
        if (s->supplied && g == where && strcmp(v->name, name) == 0)
            rc = check_replaced(s, k, v, err);
        else
            rc = copy_variable(s, v, dst, err);
    }
    if (rc == 0 && s->supplied && g == where)
        rc = s->is_new ? 0 : check_length(s, k, g, err);
    if (rc == 0 && s->supplied && g == where)
        rc = cm_supply_variable(&s->supply, k, dst, err);
    for (size_t i = 0; rc == 0 && i < g->ngroups; i++) {
        cm_group *child = NULL;
        rc = cm_group_add_group(dst, g->groups[i]->name, &child, err);
        if (rc == 0)
            rc = copy_group(s, k, g->groups[i], where, child, err);
    }
    return rc;
}

static int make_one(const stacking *s, size_t k, cm_error *err)
{
    cm_dataset *ds = s->datasets[k], *made = NULL;
    const cm_group *where = s->is_new ? ds->root : declaring(ds->root, s->out->dimension);
    if (s->is_new && s->supplied && cm_supply_length(&s->supply, k) != 1) {
        cm_error_set(err, CM_EJOIN, "--coord %s gives %zu values, a file is one step",
                     s->options->coord, cm_supply_length(&s->supply, k));
        cm_error_object(err, ds->uri);
        return CM_EJOIN;
    }
    int rc = cm_dataset_new(s->ctx, ds->uri, ds->format, &made, err);
    if (rc)
        return rc;
    s->out->datasets[k] = made;
    s->out->made[k] = true;
    rc = copy_group(s, k, ds->root, where, made->root, err);
    if (rc)
        cm_error_object(err, ds->uri);
    return rc;
}

int cm_stack_make(cm_context *ctx, cm_dataset *const *datasets, size_t n,
                  const cm_join_options *options, cm_stack *out, cm_report *report, cm_error *err)
{
    stacking s = {.ctx = ctx,
                  .datasets = datasets,
                  .n = n,
                  .first = options->keep_first && n > 1 ? 1 : 0,
                  .options = options,
                  .report = report,
                  .out = out};
    *out = (cm_stack){.n = n};
    out->datasets = cm_calloc(n, sizeof(cm_dataset *), err);
    out->made = cm_calloc(n, sizeof *out->made, err);
    int rc = out->datasets && out->made ? choose_dimension(&s, err) : CM_ENOMEM;
    if (rc == 0)
        s.is_new = options->stack || !declaring(datasets[s.first]->root, out->dimension);
    for (size_t k = s.first; rc == 0 && k < n; k++)
        rc = check_dimension(&s, k, err);
    if (rc == 0 && !s.is_new && !options->coord)
        rc = cm_error_set(err, CM_EINVAL, "there is nothing to stack");
    if (rc == 0)
        rc = get_values(&s, err);
    out->labels = s.is_new && !(s.supplied && s.supply.kind == CM_SUPPLY_INSTANT);
    if (rc == 0 && s.is_new)
        rc = decide(&s, err);
    if (rc == 0 && s.first)
        out->datasets[0] = datasets[0];
    for (size_t k = s.first; rc == 0 && k < n; k++)
        rc = make_one(&s, k, err);
    cm_supply_deinit(&s.supply);
    free(s.list);
    free(s.stacked);
    return rc;
}
