/* join/select.c: part of a dataset as a dataset.
 *
 *   1. every variable below the chosen group is listed, marked kept or not by name
 *   2. what a kept variable needs (coordinates, bounds, grid mappings...) is kept too, and so on,
 * also from the groups above the chosen one, whose variables its members see: those move into the
 *      new root
 *   3. skipped names are struck out; whatever is left must be readable
 *   4. --isel and --sel become ranges of dimensions
 *   5. the tree is built again from the kept variables: subset, then unpacked
 *
 * The marks live in one sorted table of pointers, so that ten thousand variables are no problem.
 */
#include <stdlib.h>
#include <string.h>

#include "array/compose.h"
#include "base/context_private.h"
#include "base/memory.h"
#include "cf/packing.h"
#include "cf/roles.h"
#include "join/cuts.h"
#include "join/rebuild.h"
#include "text/nearest.h"

typedef struct mark {
    cm_variable *v;
    bool kept, outside; /* outside: of a group above the chosen one */
} mark;

typedef struct selection {
    cm_context *ctx;
    cm_dataset *ds;
    cm_group *root; /* of ds, becomes the new root */
    const cm_select_options *options;
    mark *marks; /* sorted by pointer */
    size_t nmarks;
    cm_cuts cuts;
} selection;

void cm_select_options_init(cm_select_options *options)
{
    *options = (cm_select_options){0};
}

/* ---- which variables ------------------------------------------------------------------------- */

static int compare_marks(const void *va, const void *vb)
{
    const mark *a = va, *b = vb;
    return (a->v > b->v) - (a->v < b->v);
}

static mark *mark_of(selection *s, cm_variable *v)
{
    mark key = {.v = v};
    return bsearch(&key, s->marks, s->nmarks, sizeof key, compare_marks);
}

static int list_variables(selection *s, cm_error *err)
{
    cm_variable **inside = NULL;
    size_t n = 0, total;
    int rc = cm_rebuild_list(s->root, &inside, &n, err);
    if (rc)
        return rc;
    total = n;
    for (cm_group *g = s->root->parent; g; g = g->parent)
        total += g->nvariables;
    s->marks = cm_calloc(total, sizeof *s->marks, err);
    if (!s->marks) {
        free(inside);
        return CM_ENOMEM;
    }
    for (size_t i = 0; i < n; i++)
        s->marks[s->nmarks++].v = inside[i];
    for (cm_group *g = s->root->parent; g; g = g->parent)
        for (size_t i = 0; i < g->nvariables; i++)
            s->marks[s->nmarks++] = (mark){.v = g->variables[i], .outside = true};
    free(inside);
    qsort(s->marks, s->nmarks, sizeof *s->marks, compare_marks);
    return 0;
}

/* A name means every variable so called below the root; a path, with or without its first slash,
 * the one at that place, from the root of the dataset or from the chosen group. */
static bool is_named(const selection *s, const cm_variable *v, const char *name)
{
    if (strcmp(name, v->name) == 0 || strcmp(name, v->path) == 0 || strcmp(name, v->path + 1) == 0)
        return true;
    size_t n = strlen(s->root->path);
    return s->root->parent && strncmp(v->path, s->root->path, n) == 0 && v->path[n] == '/' &&
           strcmp(name, v->path + n + 1) == 0;
}

static int no_variable(const selection *s, const char *name, cm_error *err)
{
    cm_nearest nearest;
    cm_nearest_init(&nearest, name[0] == '/' ? name + 1 : name);
    for (size_t i = 0; i < s->nmarks; i++)
        if (!s->marks[i].outside) {
            cm_nearest_offer(&nearest, s->marks[i].v->name);
            cm_nearest_offer(&nearest, s->marks[i].v->path + 1);
        }
    cm_error_set(err, CM_EINVAL, "there is no variable %s", name);
    cm_error_object(err, s->ds->uri);
    if (cm_nearest_best(&nearest))
        cm_error_hint(err, "did you mean %s?", cm_nearest_best(&nearest));
    return CM_EINVAL;
}

static int mark_named(selection *s, const char *name, bool kept, cm_error *err)
{
    bool some = false;
    for (size_t i = 0; i < s->nmarks; i++) {
        mark *m = &s->marks[i];
        /* what lies above the chosen group can be struck out, but does not answer for a name */
        if (!is_named(s, m->v, name) || (m->outside && kept))
            continue;
        some = true;
        m->kept = kept;
    }
    return some ? 0 : no_variable(s, name, err);
}

/* Keep what the kept ones need, until nothing is added. */
static int close_over_needs(selection *s, cm_error *err)
{
    mark **queue = cm_calloc(s->nmarks, sizeof(mark *), err);
    size_t n = 0;
    int rc = queue ? 0 : CM_ENOMEM;
    for (size_t i = 0; rc == 0 && i < s->nmarks; i++)
        if (s->marks[i].kept)
            queue[n++] = &s->marks[i];
    for (size_t i = 0; rc == 0 && i < n; i++) {
        cm_variable **needs = NULL;
        size_t nneeds = 0;
        rc = cm_cf_needs(queue[i]->v, &needs, &nneeds, err);
        for (size_t k = 0; k < nneeds; k++) {
            mark *m = mark_of(s, needs[k]);
            if (m && !m->kept) {
                m->kept = true;
                queue[n++] = m;
            }
        }
        free(needs);
    }
    free(queue);
    return rc;
}

/* Would v have the same dimensions if it were in g? */
static bool sees_same_dimensions(const cm_group *g, const cm_variable *v)
{
    for (int i = 0; i < v->ndim; i++)
        if (v->dimensions[i] && cm_group_scope_dimension(g, v->dimensions[i]) !=
                                    cm_group_scope_dimension(v->group, v->dimensions[i]))
            return false;
    return true;
}

/* Variables from above move to the new root, unless a nearer one of the same name hides them or a
 * nearer dimension would give them another shape. */
static void hide_outside(selection *s)
{
    for (size_t i = 0; i < s->nmarks; i++) {
        mark *m = &s->marks[i];
        if (m->kept && m->outside &&
            (cm_cf_find(s->root, m->v->name) != m->v || !sees_same_dimensions(s->root, m->v)))
            m->kept = false;
    }
}

static int choose(selection *s, cm_error *err)
{
    const cm_select_options *o = s->options;
    int rc = list_variables(s, err);
    for (size_t i = 0; rc == 0 && i < s->nmarks && o->nvariables == 0; i++)
        s->marks[i].kept = !s->marks[i].outside;
    for (size_t i = 0; rc == 0 && i < o->nvariables; i++)
        rc = mark_named(s, o->variables[i], true, err);
    if (rc == 0)
        rc = close_over_needs(s, err);
    if (rc == 0)
        hide_outside(s);
    for (size_t i = 0; rc == 0 && i < o->nskip; i++)
        rc = mark_named(s, o->skip[i], false, err);
    for (size_t i = 0; rc == 0 && i < s->nmarks; i++)
        if (s->marks[i].kept && !s->marks[i].v->array)
            rc = cm_rebuild_unreadable(s->marks[i].v, err);
    return rc;
}

/* ---- building -------------------------------------------------------------------------------- */

static int unpack(const selection *s, const cm_variable *v, cm_array **array, bool *unpacked,
                  bool *scaled, cm_error *err)
{
    cm_packing p;
    *unpacked = *scaled = false;
    if (s->options->unpack == CM_UNPACK_NO)
        return 0;
    int rc = cm_packing_of(v, &p, err);
    if (rc == 0 && cm_packing_does(&p)) {
        cm_array *out = NULL;
        cm_dtype to = cm_packing_dtype(&p, s->options->unpack, cm_cf_role_of(v) != CM_ROLE_DATA);
        rc = cm_array_unpack(*array, &p, to, &out, err);
        cm_array_unref(*array);
        *array = out;
        *unpacked = true;
        *scaled = p.scaled;
    }
    if (rc)
        cm_error_object(err, s->ds->uri);
    return rc;
}

static int build_variable(const selection *s, cm_variable *v, cm_group *dst, cm_error *err)
{
    int64_t lo[CM_MAX_DIMS], n[CM_MAX_DIMS];
    cm_array *array = NULL;
    bool unpacked, scaled;
    for (int i = 0; i < v->ndim; i++) {
        const cm_cut *cut = cm_cuts_of(&s->cuts, v, i);
        lo[i] = cut ? cut->lo : 0;
        n[i] = cut ? cut->n : v->array->shape[i];
    }
    int rc = cm_array_subset(v->array, lo, n, &array, err);
    if (rc == 0)
        rc = unpack(s, v, &array, &unpacked, &scaled, err);
    if (rc == 0)
        rc = cm_rebuild_variable(dst, v, array, unpacked ? cm_packing_attributes : NULL,
                                 scaled ? cm_packed_range_attributes : NULL, err);
    if (rc)
        cm_error_variable(err, v->path);
    return rc;
}

static int add_dimension(const selection *s, const cm_dimension *d, cm_group *dst, cm_error *err)
{
    const cm_cut *cut = cm_cuts_of_dimension(&s->cuts, d);
    return cm_group_add_dimension(dst, d->name, cut ? cut->n : d->length, d->unlimited, err);
}

/* Is a dimension of g used by a kept variable that sees it? */
static bool is_used(const selection *s, const cm_dimension *d)
{
    for (size_t i = 0; i < s->nmarks; i++)
        for (int k = 0; s->marks[i].kept && k < s->marks[i].v->ndim; k++) {
            const cm_variable *v = s->marks[i].v;
            if (v->dimensions[k] && strcmp(v->dimensions[k], d->name) == 0 &&
                cm_group_scope_dimension(v->group, v->dimensions[k]) == d)
                return true;
        }
    return false;
}

/* Dimensions of g that the new group needs: all, or with --vars those in use. */
static int add_dimensions(const selection *s, const cm_group *g, cm_group *dst, cm_error *err)
{
    bool all = s->options->nvariables == 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < g->ndimensions; i++)
        if (all || is_used(s, &g->dimensions[i]))
            rc = add_dimension(s, &g->dimensions[i], dst, err);
    return rc;
}

static int add_outer_dimensions(const selection *s, cm_group *dst, cm_error *err)
{
    int rc = 0;
    for (const cm_group *g = s->root->parent; rc == 0 && g; g = g->parent)
        for (size_t i = 0; rc == 0 && i < g->ndimensions; i++)
            if (is_used(s, &g->dimensions[i]) &&
                cm_group_scope_dimension(s->root, g->dimensions[i].name) == &g->dimensions[i])
                rc = add_dimension(s, &g->dimensions[i], dst, err);
    return rc;
}

static bool has_kept(selection *s, cm_group *g)
{
    for (size_t i = 0; i < g->nvariables; i++)
        if (mark_of(s, g->variables[i])->kept)
            return true;
    for (size_t i = 0; i < g->ngroups; i++)
        if (has_kept(s, g->groups[i]))
            return true;
    return false;
}

static int build_group(selection *s, cm_group *g, cm_group *dst, cm_error *err)
{
    int rc = cm_rebuild_group_attributes(dst, g, err);
    if (rc == 0)
        rc = add_dimensions(s, g, dst, err);
    if (rc == 0 && g == s->root)
        rc = add_outer_dimensions(s, dst, err);
    for (size_t i = 0; rc == 0 && i < g->nvariables; i++)
        if (mark_of(s, g->variables[i])->kept)
            rc = build_variable(s, g->variables[i], dst, err);
    for (cm_group *p = g->parent; rc == 0 && g == s->root && p; p = p->parent)
        for (size_t i = 0; rc == 0 && i < p->nvariables; i++)
            if (mark_of(s, p->variables[i])->kept)
                rc = build_variable(s, p->variables[i], dst, err);
    for (size_t i = 0; rc == 0 && i < g->ngroups; i++) {
        cm_group *child = NULL;
        if (s->options->nvariables && !has_kept(s, g->groups[i]))
            continue;
        rc = cm_group_add_group(dst, g->groups[i]->name, &child, err);
        if (rc == 0)
            rc = build_group(s, g->groups[i], child, err);
    }
    return rc;
}

static void offer_groups(const cm_group *g, cm_nearest *nearest)
{
    for (size_t i = 0; i < g->ngroups; i++) {
        cm_nearest_offer(nearest, g->groups[i]->path);
        offer_groups(g->groups[i], nearest);
    }
}

static int find_root(selection *s, cm_error *err)
{
    const char *path = s->options->group;
    s->root =
        path && path[0] && strcmp(path, "/") != 0 ? cm_group_find(s->ds->root, path) : s->ds->root;
    if (s->root)
        return 0;
    cm_nearest nearest;
    cm_nearest_init(&nearest, path);
    offer_groups(s->ds->root, &nearest);
    cm_error_set(err, CM_EINVAL, "there is no group %s", path);
    cm_error_object(err, s->ds->uri);
    if (cm_nearest_best(&nearest))
        cm_error_hint(err, "did you mean %s?", cm_nearest_best(&nearest));
    return CM_EINVAL;
}

int cm_dataset_select(cm_context *ctx, cm_dataset *ds, const cm_select_options *options,
                      cm_dataset **out, cm_error *err)
{
    cm_select_options defaults;
    cm_dataset *made = NULL;
    cm_select_options_init(&defaults);
    selection s = {.ctx = ctx, .ds = ds, .options = options ? options : &defaults};
    *out = NULL;
    int rc = cm_context_check(ctx, err);
    if (rc == 0)
        rc = find_root(&s, err);
    if (rc == 0)
        rc = choose(&s, err);
    if (rc == 0)
        rc = cm_cuts_parse(ctx, s.root, s.options, &s.cuts, err);
    if (rc == 0)
        rc = cm_dataset_new(ctx, ds->uri, ds->format, &made, err);
    if (rc == 0) {
        made->is_array = ds->is_array;
        rc = build_group(&s, s.root, made->root, err);
    }
    if (rc)
        cm_dataset_free(made);
    else
        *out = made;
    cm_cuts_deinit(&s.cuts);
    free(s.marks);
    return rc;
}
