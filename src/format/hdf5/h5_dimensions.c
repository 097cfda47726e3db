/* format/hdf5/h5_dimensions.c: which dimension each axis has, by netCDF-C's rules.
 *
 * A dataset with CLASS = DIMENSION_SCALE is a dimension of its group. An axis finds its dimension,
 * in this order: by number (_Netcdf4Coordinates holds the _Netcdf4Dimid of each axis), as the scale
 * itself, or by reference (DIMENSION_LIST). An axis without any gets a phony dimension: one of the
 * group that has the same length and is not yet used by the same variable, else a new one
 * phony_dim_N, N counting all dimensions of the file; child groups come before their parent, as in
 * netCDF-C's rec_match_dimscales. Here an axis also gets a phony one when netCDF-C would report a
 * wrong length or fail: the scale is not in scope, or has another length.
 *
 * An unlimited dimension is as long as the longest variable along it; shorter variables are
 * extended with fill values (h5_extended.c).
 */
#include <inttypes.h>
#include <stdio.h>

#include "format/hdf5/h5_model.h"

typedef struct resolver {
    cm_h5_scan *s;
    cm_h5_map by_id, by_addr; /* -> cm_h5_dimension */
} resolver;

static cm_h5_dimension *find(const cm_h5_map *m, uint64_t key)
{
    uint64_t p;
    return cm_h5_map_get(m, key, &p) ? (cm_h5_dimension *)(uintptr_t)p : NULL;
}

static int add_dimension(cm_h5_scan *s, cm_h5_group *g, const cm_h5_dimension *like,
                         cm_h5_dimension **out, cm_error *err)
{
    cm_h5_dimension *x = cm_h5_alloc(&s->arena, sizeof *x, err);
    if (!x)
        return CM_ENOMEM;
    *x = *like;
    x->group = g;
    x->next = NULL;
    if (g->last_dimension)
        g->last_dimension->next = x;
    else
        g->first_dimension = x;
    g->last_dimension = x;
    *out = x;
    return 0;
}

/* ---- scales ---------------------------------------------------------------------------------- */

static int declare(resolver *r, cm_h5_dataset *d, cm_error *err)
{
    cm_h5_scan *s = r->s;
    if (find(&r->by_addr, d->addr)) { /* one scale under two names is one dimension */
        d->is_scale = false;
        d->hidden = d->no_variable;
        if (!d->coordinates && d->space.ndim == 1)
            d->scales = &d->addr;
        return 0;
    }
    if (d->assigned_id >= s->next_id)
        s->next_id = d->assigned_id + 1;
    cm_h5_dimension like = {.name = d->name,
                            .length = (int64_t)d->space.dims[0],
                            .unlimited = d->space.max[0] == UINT64_MAX,
                            .id = d->assigned_id >= 0 ? d->assigned_id : s->next_id++,
                            .addr = d->addr,
                            .used = !d->no_variable},
                    *x;
    if (like.unlimited && d->no_variable)
        like.length = 0; /* the variables will tell */
    int rc = add_dimension(s, d->group, &like, &x, err);
    if (rc == 0)
        rc = cm_h5_map_put(&r->by_id, (uint64_t)x->id, (uintptr_t)x, err);
    if (rc == 0)
        rc = cm_h5_map_put(&r->by_addr, x->addr, (uintptr_t)x, err);
    return rc;
}

static int declare_group(resolver *r, cm_h5_group *g, cm_error *err)
{
    int rc = 0;
    for (cm_h5_dataset *d = g->first; rc == 0 && d; d = d->next) {
        if (!d->has_space || d->space.ndim == 0)
            d->is_scale = false;
        if (d->is_scale)
            rc = declare(r, d, err);
    }
    for (cm_h5_group *c = g->first_child; rc == 0 && c; c = c->next)
        rc = declare_group(r, c, err);
    return rc;
}

/* ---- axes ------------------------------------------------------------------------------------ */

static bool listed(const cm_h5_dataset *d)
{
    return !d->hidden && !(d->is_scale && d->no_variable) && d->has_space && !d->space.null;
}

/* x's name, looked up from g, means x. */
static bool in_scope(const cm_h5_group *g, const cm_h5_dimension *x)
{
    for (; g; g = g->parent)
        for (const cm_h5_dimension *y = g->first_dimension; y; y = y->next)
            if (y == x || strcmp(y->name, x->name) == 0)
                return y == x;
    return false;
}

static cm_h5_dimension *named(resolver *r, const cm_h5_dataset *d, int axis)
{
    cm_h5_dimension *x = NULL;
    if (d->coordinates)
        x = find(&r->by_id, (uint64_t)(int64_t)d->coordinates[axis] & INT64_MAX);
    else if (d->is_scale)
        x = axis == 0 ? find(&r->by_addr, d->addr) : NULL;
    else if (d->scales && d->scales[axis] != CM_H5_UNDEF)
        x = find(&r->by_addr, d->scales[axis]);
    return x && in_scope(d->group, x) ? x : NULL;
}

static int name_axes(resolver *r, cm_h5_group *g, cm_error *err)
{
    int rc = 0;
    for (cm_h5_dataset *d = g->first; rc == 0 && d; d = d->next) {
        if (!listed(d))
            continue;
        d->dimensions =
            cm_h5_alloc_zero(&r->s->arena, (size_t)d->space.ndim, sizeof *d->dimensions, err);
        if (!d->dimensions)
            return CM_ENOMEM;
        for (int i = 0; i < d->space.ndim; i++) {
            cm_h5_dimension *x = d->dimensions[i] = named(r, d, i);
            int64_t extent = (int64_t)d->space.dims[i];
            if (x && x->unlimited && d->space.max[i] == UINT64_MAX && extent > x->length)
                x->length = extent;
        }
    }
    for (cm_h5_group *c = g->first_child; rc == 0 && c; c = c->next)
        rc = name_axes(r, c, err);
    return rc;
}

/* Only an unlimited axis may be shorter than its dimension. */
static void check_lengths(resolver *r, cm_h5_group *g)
{
    for (cm_h5_dataset *d = g->first; d; d = d->next)
        for (int i = 0; d->dimensions && i < d->space.ndim; i++) {
            cm_h5_dimension *x = d->dimensions[i];
            if (!x || (int64_t)d->space.dims[i] == x->length ||
                (x->unlimited && d->space.max[i] == UINT64_MAX))
                continue;
            char path[512];
            cm_context_log(r->s->file->ctx, CM_LOG_WARNING,
                           "%s: %s: axis %d has length %" PRIu64 ", its dimension %s %" PRId64
                           "; it is not given that name",
                           r->s->file->uri, cm_h5_path(g, d->name, path, sizeof path), i,
                           d->space.dims[i], x->name, x->length);
            d->dimensions[i] = NULL;
        }
    for (cm_h5_group *c = g->first_child; c; c = c->next)
        check_lengths(r, c);
}

/* netCDF-C drops variables of types that it does not know before it names axes. */
static bool has_netcdf_type(const cm_h5_dataset *d)
{
    switch (d->type.cls) {
    case CM_H5_TIME:
    case CM_H5_BITFIELD:
    case CM_H5_REFERENCE:
    case CM_H5_ARRAY: return false;
    case CM_H5_VLEN: return d->type.base_cls != CM_H5_REFERENCE;
    default: return d->has_type;
    }
}

static cm_h5_dimension *matching(const cm_h5_dataset *d, int axis)
{
    bool unlimited = d->space.max[axis] == UINT64_MAX;
    for (cm_h5_dimension *x = d->group->first_dimension; x; x = x->next) {
        if (x->length != (int64_t)d->space.dims[axis] || x->unlimited != unlimited)
            continue;
        bool taken = false;
        for (int k = 0; k < d->space.ndim; k++)
            taken = taken || d->dimensions[k] == x;
        if (!taken)
            return x;
    }
    return NULL;
}

static int make_phony(resolver *r, cm_h5_dataset *d, int axis, cm_error *err)
{
    cm_h5_dimension like = {.length = (int64_t)d->space.dims[axis],
                            .unlimited = d->space.max[axis] == UINT64_MAX,
                            .addr = CM_H5_UNDEF};
    bool clash = true;
    char name[40];
    while (clash) {
        like.id = r->s->next_id++;
        snprintf(name, sizeof name, "phony_dim_%" PRId64, like.id);
        clash = false;
        for (cm_h5_dimension *x = d->group->first_dimension; x; x = x->next)
            clash = clash || strcmp(x->name, name) == 0;
    }
    like.name = cm_h5_alloc_string(&r->s->arena, name, strlen(name), err);
    return like.name ? add_dimension(r->s, d->group, &like, &d->dimensions[axis], err) : CM_ENOMEM;
}

static int phony_axes(resolver *r, cm_h5_group *g, cm_error *err)
{
    int rc = 0;
    for (cm_h5_group *c = g->first_child; rc == 0 && c; c = c->next)
        rc = phony_axes(r, c, err);
    for (cm_h5_dataset *d = g->first; rc == 0 && d; d = d->next)
        for (int i = 0; rc == 0 && d->dimensions && has_netcdf_type(d) && i < d->space.ndim; i++) {
            if (!d->dimensions[i])
                d->dimensions[i] = matching(d, i);
            if (!d->dimensions[i])
                rc = make_phony(r, d, i, err);
        }
    return rc;
}

static bool is_char(const cm_h5_dataset *d)
{
    return d->type.cls == CM_H5_STRING && d->type.size == 1 && d->space.ndim > 0 && !d->problem;
}

/* A dimension that only ends char arrays is not one of the strings they become. */
static void mark_used(cm_h5_group *g)
{
    for (cm_h5_dataset *d = g->first; d; d = d->next)
        for (int i = 0; d->dimensions && i < d->space.ndim; i++)
            if (d->dimensions[i] && !(is_char(d) && i == d->space.ndim - 1))
                d->dimensions[i]->used = true;
    for (cm_h5_group *c = g->first_child; c; c = c->next)
        mark_used(c);
}

static void mark_unused(cm_h5_group *g)
{
    for (cm_h5_dataset *d = g->first; d; d = d->next)
        if (d->dimensions && cm_h5_is_char_array(d)) {
            cm_h5_dimension *x = d->dimensions[d->space.ndim - 1];
            if (x && !x->used)
                x->hidden = true;
        }
    for (cm_h5_group *c = g->first_child; c; c = c->next)
        mark_unused(c);
}

/* As xarray decides it: char name(station, len) is a string per station, but char flag(time) beside
 * float height(time) is one per time. What netCDF did not name a dimension is a length. */
bool cm_h5_is_char_array(const cm_h5_dataset *d)
{
    if (!is_char(d))
        return false;
    const cm_h5_dimension *x = d->dimensions ? d->dimensions[d->space.ndim - 1] : NULL;
    return !x || x->addr == CM_H5_UNDEF || !x->used;
}

bool cm_h5_has_whole_strings(const cm_h5_dataset *d)
{
    int last = d->space.ndim - 1;
    if (d->dimensions && d->dimensions[last] &&
        d->dimensions[last]->length != (int64_t)d->space.dims[last])
        return false;
    return d->layout.cls != CM_H5_CHUNKED || d->layout.ndim != d->space.ndim ||
           d->layout.chunk[last] >= d->space.dims[last];
}

int cm_h5_dimensions_resolve(cm_h5_scan *s, cm_error *err)
{
    resolver r = {.s = s};
    int rc = declare_group(&r, s->root, err);
    if (rc == 0)
        rc = name_axes(&r, s->root, err);
    if (rc == 0) {
        check_lengths(&r, s->root);
        rc = phony_axes(&r, s->root, err);
    }
    if (rc == 0) {
        mark_used(s->root);
        mark_unused(s->root);
    }
    cm_h5_map_deinit(&r.by_id);
    cm_h5_map_deinit(&r.by_addr);
    return rc;
}
