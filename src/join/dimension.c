/* join/dimension.c: along which dimension files are joined when nobody says so.
 *
 * Formats with unlimited dimensions name it themselves. Else it is the dimension in which the files
 * differ: by length (months), or when lengths are equal by the values of the coordinate (days of 24
 * hours), which are then read and compared as instants or bits. One candidate is an answer; none or
 * several are an error that lists them, since a guess would build a wrong cube.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cf/roles.h"
#include "join/dimension.h"
#include "join/order.h"
#include "join/rebuild.h"
#include "join/same.h"
#include "join/times.h"
#include "text/nearest.h"

typedef struct candidates {
    const cm_dimension **items; /* one per name, in file order */
    const cm_group **groups;
    size_t n, capacity, groups_capacity;
} candidates;

/* Dimensions that some variable has, by name. */
static int add_axis(candidates *c, const cm_variable *v, int axis, cm_error *err)
{
    const char *name = v->dimensions[axis];
    const cm_dimension *d = name ? cm_group_scope_dimension(v->group, name) : NULL;
    if (!d)
        return 0;
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->items[i]->name, name) == 0)
            return 0;
    int rc = cm_grow(&c->items, &c->capacity, c->n + 1, sizeof(void *), err);
    if (rc == 0)
        rc = cm_grow(&c->groups, &c->groups_capacity, c->n + 1, sizeof(void *), err);
    if (rc == 0) {
        c->groups[c->n] = v->group;
        c->items[c->n++] = d;
    }
    return rc;
}

static int list_candidates(cm_dataset *ds, candidates *c, cm_error *err)
{
    cm_variable **list = NULL;
    size_t n = 0;
    int rc = cm_rebuild_list(ds->root, &list, &n, err);
    for (size_t i = 0; rc == 0 && i < n; i++)
        for (int k = 0; rc == 0 && k < list[i]->ndim; k++)
            rc = add_axis(c, list[i], k, err);
    free(list);
    return rc;
}

static const cm_dimension *in_file(cm_dataset *ds, const cm_group *g, const char *name)
{
    const cm_group *there = cm_group_find(ds->root, g->path);
    return there ? cm_group_scope_dimension(there, name) : NULL;
}

/* Every other file against the first: in[i] becomes true where candidate i differs. Several
 * threads may say so at once. */
typedef struct comparison {
    cm_context *ctx;
    const candidates *c;
    bool *in;
} comparison;

static int lengths_differ(void *arg, cm_dataset *ds, cm_error *err)
{
    comparison *x = arg;
    (void)err;
    for (size_t i = 0; i < x->c->n; i++) {
        const cm_dimension *d = in_file(ds, x->c->groups[i], x->c->items[i]->name);
        if (d && d->length != x->c->items[i]->length)
            __atomic_store_n(&x->in[i], true, __ATOMIC_RELAXED);
    }
    return 0;
}

/* Do the values of a dimension's coordinate differ between the first file and another? */
static int coordinate_differs(cm_context *ctx, const cm_variable *first, cm_dataset *ds,
                              bool *differ, cm_error *err)
{
    cm_times first_times, times;
    cm_variable *v = cm_dataset_counterpart(ds, first);
    cm_array *array = NULL;
    *differ = !v || !v->array || !cm_dtype_equal(v->array->dtype, first->array->dtype) ||
              v->ndim != 1 || v->array->shape[0] != first->array->shape[0];
    if (*differ)
        return 0;
    cm_times_of(first, NULL, &first_times);
    cm_times_of(v, NULL, &times);
    int rc = cm_times_array(first, &first_times, v, &times, &array, err);
    size_t odd = 0;
    cm_error why;
    cm_error_clear(&why);
    int compared = rc ? 0 : cm_same_arrays(ctx, first->array, &array, 1, &odd, &why);
    if (compared == CM_EDATA && array != v->array)
        odd = 0; /* a time that is no number in the first file's units is another time */
    else if (compared) {
        rc = compared;
        if (err)
            *err = why;
    }
    *differ = rc == 0 && odd == 0;
    cm_array_unref(array);
    return rc;
}

static int values_differ(void *arg, cm_dataset *ds, cm_error *err)
{
    comparison *x = arg;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < x->c->n; i++) {
        const cm_variable *first = cm_cf_find(x->c->groups[i], x->c->items[i]->name);
        bool differ = false;
        if (!first || !first->array || !cm_cf_is_coordinate(first) ||
            __atomic_load_n(&x->in[i], __ATOMIC_RELAXED))
            continue;
        rc = coordinate_differs(x->ctx, first, ds, &differ, err);
        if (differ)
            __atomic_store_n(&x->in[i], true, __ATOMIC_RELAXED);
    }
    return rc;
}

static int none_or_several(const candidates *c, const bool *in, const char *none,
                           const char *several, const cm_dataset *ds, cm_error *err)
{
    char names[256] = "";
    size_t used = 0;
    for (size_t i = 0; i < c->n; i++)
        if (in[i] && used < sizeof names - 1) {
            int m = snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "",
                             c->items[i]->name);
            used += m > 0 ? (size_t)m : 0;
        }
    if (names[0])
        cm_error_set(err, CM_EJOIN, "%s: %s", several, names);
    else
        cm_error_set(err, CM_EJOIN, "%s", none);
    cm_error_object(err, ds->uri);
    cm_error_hint(err, names[0] ? "say which with --concat"
                                : "--concat says which, --stack makes a new one");
    return CM_EJOIN;
}

static int asked_for(const candidates *c, const char *name, const cm_dataset *ds, const char **out,
                     cm_error *err)
{
    cm_nearest nearest;
    cm_nearest_init(&nearest, name);
    *out = name;
    for (size_t i = 0; i < c->n; i++) {
        cm_nearest_offer(&nearest, c->items[i]->name);
        if (strcmp(c->items[i]->name, name) == 0)
            return 0;
    }
    cm_error_set(err, CM_EINVAL, "no variable has a dimension %s", name);
    cm_error_object(err, ds->uri);
    if (cm_nearest_best(&nearest))
        cm_error_hint(err, "did you mean %s?", cm_nearest_best(&nearest));
    return CM_EINVAL;
}

/* The only one that is in; NULL otherwise. */
static const char *only(const candidates *c, const bool *in)
{
    const char *name = NULL;
    for (size_t i = 0; i < c->n; i++)
        if (in[i]) {
            if (name)
                return NULL;
            name = c->items[i]->name;
        }
    return name;
}

static bool any(const candidates *c, const bool *in)
{
    for (size_t i = 0; i < c->n; i++)
        if (in[i])
            return true;
    return false;
}

static int guess(cm_context *ctx, cm_dataset *first, cm_each_file_fn each, void *user,
                 const candidates *c, bool *in, const char **out, cm_error *err)
{
    comparison x = {ctx, c, in};
    for (size_t i = 0; i < c->n; i++)
        in[i] = c->items[i]->unlimited;
    *out = only(c, in);
    if (*out)
        return 0;
    if (any(c, in))
        return none_or_several(c, in, "", "several unlimited dimensions", first, err);
    int rc = each(user, lengths_differ, &x, err);
    *out = rc ? NULL : only(c, in);
    if (rc || *out)
        return rc;
    if (any(c, in))
        return none_or_several(c, in, "", "the files differ in the length of several dimensions",
                               first, err);
    rc = each(user, values_differ, &x, err);
    *out = rc ? NULL : only(c, in);
    if (rc || *out)
        return rc;
    return none_or_several(c, in, "there is no dimension along which the files differ",
                           "the files differ in the coordinates of several dimensions", first, err);
}

int cm_order_dimension_among(cm_context *ctx, cm_dataset *first, cm_each_file_fn each, void *user,
                             const cm_join_options *options, const char **out, cm_error *err)
{
    candidates c = {0};
    bool *in = NULL;
    *out = NULL;
    int rc = list_candidates(first, &c, err);
    if (rc == 0 && options->concat) {
        rc = asked_for(&c, options->concat, first, out, err);
    } else if (rc == 0) {
        in = cm_calloc(c.n, sizeof *in, err);
        rc = in ? guess(ctx, first, each, user, &c, in, out, err) : CM_ENOMEM;
    }
    free(in);
    free(c.items);
    free(c.groups);
    return rc;
}

typedef struct all_open {
    cm_dataset *const *datasets;
    size_t n;
} all_open;

static int each_open(void *user, cm_file_fn fn, void *arg, cm_error *err)
{
    const all_open *all = user;
    int rc = 0;
    for (size_t k = 1; rc == 0 && k < all->n; k++)
        rc = fn(arg, all->datasets[k], err);
    return rc;
}

int cm_order_dimension(cm_context *ctx, cm_dataset *const *datasets, size_t n,
                       const cm_join_options *options, const char **out, cm_error *err)
{
    all_open all = {datasets, n};
    return cm_order_dimension_among(ctx, datasets[0], each_open, &all, options, out, err);
}
