/* join/cuts.c: selections by index and by value, as ranges of declared dimensions.
 *
 * Slices follow Python: ends may be negative (from the end), missing, or beyond the length
 * (clipped); the last is left out; there is no step. One index keeps the axis with length 1, and
 * must exist.
 */
#include "join/cuts.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "cf/roles.h"
#include "join/sel.h"
#include "text/nearest.h"

/* One "name=value" of an option. */
typedef struct item {
    char name[256];
    const char *value;
    size_t nbytes;
    bool by_value;
} item;

void cm_cuts_deinit(cm_cuts *r)
{
    free(r->items);
    *r = (cm_cuts){0};
}

const cm_cut *cm_cuts_of_dimension(const cm_cuts *r, const cm_dimension *d)
{
    for (size_t i = 0; d && i < r->n; i++)
        if (r->items[i].dimension == d)
            return &r->items[i];
    return NULL;
}

const cm_cut *cm_cuts_of(const cm_cuts *r, const cm_variable *v, int axis)
{
    if (r->n == 0 || !v->dimensions[axis])
        return NULL;
    return cm_cuts_of_dimension(r, cm_group_scope_dimension(v->group, v->dimensions[axis]));
}

static int bad_item(const item *it, const char *what, cm_error *err)
{
    cm_error_set(err, CM_EINVAL, "%s=%.*s: %s", it->name, (int)(it->nbytes > 80 ? 80 : it->nbytes),
                 it->value, what);
    return CM_EINVAL;
}

static bool parse_index(const char *text, size_t nbytes, int64_t *out)
{
    char copy[32], *end;
    if (nbytes == 0 || nbytes >= sizeof copy || text[0] == ' ' || text[0] == '+')
        return false;
    memcpy(copy, text, nbytes);
    copy[nbytes] = 0;
    long long v = strtoll(copy, &end, 10);
    *out = v;
    return *end == 0 && v > INT64_MIN / 2 && v < INT64_MAX / 2;
}

static int by_index(const item *it, int64_t length, int64_t *lo, int64_t *n, cm_error *err)
{
    const char *colon = memchr(it->value, ':', it->nbytes);
    int64_t from = 0, to = length;
    if (!colon) {
        if (!parse_index(it->value, it->nbytes, &from))
            return bad_item(it, "not an index, nor a slice such as 0:100", err);
        if (from < 0)
            from += length;
        to = from + 1;
        if (from < 0 || to > length) {
            bad_item(it, "the index is outside the dimension", err);
            cm_error_hint(err, "its length is %lld", (long long)length);
            return CM_EINVAL;
        }
    } else {
        size_t left = (size_t)(colon - it->value), right = it->nbytes - left - 1;
        if (memchr(colon + 1, ':', right))
            return bad_item(it, "slices with a step are not supported", err);
        if ((left && !parse_index(it->value, left, &from)) ||
            (right && !parse_index(colon + 1, right, &to)))
            return bad_item(it, "not an index, nor a slice such as 0:100", err);
        if (from < 0)
            from = cm_max_i64(from + length, 0);
        if (to < 0)
            to = cm_max_i64(to + length, 0);
        to = cm_min_i64(to, length);
        if (from >= to) {
            bad_item(it, "selects nothing", err);
            cm_error_hint(err, "the length of %s is %lld", it->name, (long long)length);
            return CM_EINVAL;
        }
    }
    *lo = from;
    *n = to - from;
    return 0;
}

static int add_range(cm_context *ctx, cm_group *g, const cm_dimension *d, const item *it,
                     cm_cuts *out, cm_error *err)
{
    int64_t lo = 0, n = 0;
    if (cm_cuts_of_dimension(out, d))
        return bad_item(it, "the dimension is selected twice", err);
    int rc;
    if (it->by_value) {
        cm_variable *v = cm_group_find_variable(g, it->name);
        if (!v || !cm_cf_is_coordinate(v) ||
            cm_group_scope_dimension(v->group, v->dimensions[0]) != d) {
            bad_item(it, "the dimension has no coordinate variable", err);
            cm_error_hint(err, "select by index with --isel");
            cm_error_object(err, g->dataset->uri);
            return CM_EINVAL;
        }
        rc = cm_sel_find(ctx, v, it->value, it->nbytes, &lo, &n, err);
    } else {
        rc = by_index(it, d->length, &lo, &n, err);
    }
    if (rc == 0)
        rc = cm_grow(&out->items, &out->capacity, out->n + 1, sizeof *out->items, err);
    if (rc == 0)
        out->items[out->n++] = (cm_cut){d, lo, n};
    return rc;
}

/* Every dimension of that name declared in g or below. */
static int add_in_tree(cm_context *ctx, cm_group *g, const item *it, cm_cuts *out,
                       cm_nearest *nearest, cm_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < g->ndimensions; i++) {
        cm_nearest_offer(nearest, g->dimensions[i].name);
        if (strcmp(g->dimensions[i].name, it->name) == 0)
            rc = add_range(ctx, g, &g->dimensions[i], it, out, err);
    }
    for (size_t i = 0; rc == 0 && i < g->ngroups; i++)
        rc = add_in_tree(ctx, g->groups[i], it, out, nearest, err);
    return rc;
}

static int add_item(cm_context *ctx, cm_group *root, const item *it, cm_cuts *out, cm_error *err)
{
    cm_nearest nearest;
    size_t before = out->n;
    cm_nearest_init(&nearest, it->name);
    int rc = add_in_tree(ctx, root, it, out, &nearest, err);
    for (cm_group *g = root->parent; rc == 0 && g && out->n == before; g = g->parent)
        for (size_t i = 0; rc == 0 && i < g->ndimensions; i++) {
            cm_nearest_offer(&nearest, g->dimensions[i].name);
            if (strcmp(g->dimensions[i].name, it->name) == 0)
                rc = add_range(ctx, g, &g->dimensions[i], it, out, err);
        }
    if (rc == 0 && out->n == before) {
        rc = cm_error_set(err, CM_EINVAL, "there is no dimension %s", it->name);
        cm_error_object(err, root->dataset->uri);
        if (cm_nearest_best(&nearest))
            cm_error_hint(err, "did you mean %s?", cm_nearest_best(&nearest));
    }
    return rc;
}

static int add_option(cm_context *ctx, cm_group *root, const char *option, bool by_value,
                      cm_cuts *out, cm_error *err)
{
    int rc = 0;
    for (const char *p = option; rc == 0; p++) {
        size_t nbytes = strcspn(p, ",");
        const char *equals = memchr(p, '=', nbytes);
        size_t n = equals ? (size_t)(equals - p) : 0;
        item it = {.by_value = by_value};
        if (n == 0 || n >= sizeof it.name || nbytes - n < 2)
            return cm_error_set(err, CM_EINVAL, "'%s' is not of the form %s", option,
                                by_value ? "lat=-10:10 or time=2001/2010" : "time=0:100");
        memcpy(it.name, p, n);
        it.value = equals + 1;
        it.nbytes = nbytes - n - 1;
        rc = add_item(ctx, root, &it, out, err);
        p += nbytes;
        if (*p == 0)
            break;
    }
    return rc;
}

int cm_cuts_parse(cm_context *ctx, cm_group *root, const cm_select_options *options, cm_cuts *out,
                  cm_error *err)
{
    int rc = 0;
    *out = (cm_cuts){0};
    for (size_t i = 0; rc == 0 && i < options->nisel; i++)
        rc = add_option(ctx, root, options->isel[i], false, out, err);
    for (size_t i = 0; rc == 0 && i < options->nsel; i++)
        rc = add_option(ctx, root, options->sel[i], true, out, err);
    return rc;
}
