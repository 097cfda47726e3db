/* join/rebuild.c: copying parts of one dataset into another; see rebuild.h.
 *
 * Selecting and joining both make a new tree beside the old one. Names and attribute values are
 * copied, arrays are references: the new tree stays readable when the old one is freed.
 */
#include "join/rebuild.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static bool listed(const char *name, const char *const *list)
{
    for (; list && *list; list++)
        if (strcmp(name, *list) == 0)
            return true;
    return false;
}

static cm_json *copy_value(cm_group *dst, const cm_attribute *a, cm_error *err)
{
    cm_json *value = cm_json_copy(dst->dataset->doc, a->value);
    if (!value)
        cm_error_set(err, CM_ENOMEM, "out of memory for attribute %s", a->name);
    return value;
}

int cm_rebuild_group_attributes(cm_group *dst, const cm_group *src, cm_error *err)
{
    for (size_t i = 0; i < cm_group_nattributes(src); i++) {
        const cm_attribute *a = cm_group_attribute(src, i);
        cm_json *value = copy_value(dst, a, err);
        int rc = value ? cm_group_add_attribute(dst, a->name, value, a->dtype, err) : CM_ENOMEM;
        if (rc)
            return rc;
    }
    return 0;
}

static int copy_attributes(cm_variable *dst, const cm_variable *src, const char *const *without,
                           const char *const *without_too, cm_error *err)
{
    for (size_t i = 0; i < cm_variable_nattributes(src); i++) {
        const cm_attribute *a = cm_variable_attribute(src, i);
        if (listed(a->name, without) || listed(a->name, without_too))
            continue;
        cm_json *value = copy_value(dst->group, a, err);
        int rc = value ? cm_variable_add_attribute(dst, a->name, value, a->dtype, err) : CM_ENOMEM;
        if (rc)
            return rc;
    }
    return 0;
}

int cm_rebuild_variable(cm_group *dst, const cm_variable *src, cm_array *array,
                        const char *const *without, const char *const *without_too, cm_error *err)
{
    cm_variable *v = NULL;
    int rc = cm_group_add_variable(dst, src->name, &v, err);
    if (rc) {
        cm_array_unref(array);
        return rc;
    }
    cm_variable_set_array(v, array);
    for (int i = 0; rc == 0 && i < src->ndim; i++)
        rc = cm_variable_set_dimension(v, i, src->dimensions[i], err);
    if (rc == 0)
        rc = copy_attributes(v, src, without, without_too, err);
    const cm_storage *s = &src->storage;
    if (rc == 0)
        rc = cm_variable_set_storage(v, src->ndim, s->chunks, s->shards, s->codecs, s->stored_dtype,
                                     array->raw, err);
    return rc;
}

int cm_rebuild_stacked(cm_group *dst, const cm_variable *src, const char *dimension,
                       cm_array *array, cm_error *err)
{
    cm_variable *v = NULL;
    int64_t chunks[CM_MAX_DIMS + 1] = {1}, shards[CM_MAX_DIMS + 1] = {1};
    const cm_storage *s = &src->storage;
    int rc = cm_group_add_variable(dst, src->name, &v, err);
    if (rc) {
        cm_array_unref(array);
        return rc;
    }
    cm_variable_set_array(v, array);
    rc = cm_variable_set_dimension(v, 0, dimension, err);
    for (int i = 0; rc == 0 && i < src->ndim; i++)
        rc = cm_variable_set_dimension(v, i + 1, src->dimensions[i], err);
    if (rc == 0)
        rc = copy_attributes(v, src, NULL, NULL, err);
    for (int i = 0; i < src->ndim; i++) {
        chunks[i + 1] = s->chunks ? s->chunks[i] : 1;
        shards[i + 1] = s->shards ? s->shards[i] : 1;
    }
    if (rc == 0)
        rc = cm_variable_set_storage(v, src->ndim + 1, s->chunks ? chunks : NULL,
                                     s->shards ? shards : NULL, s->codecs, s->stored_dtype,
                                     array->raw, err);
    return rc;
}

typedef struct list {
    cm_variable **items;
    size_t n, capacity;
} list;

/* Depth is bounded by the formats' own limits on nested groups. */
static int collect(cm_group *g, list *l, cm_error *err)
{
    int rc = cm_grow(&l->items, &l->capacity, l->n + g->nvariables, sizeof(cm_variable *), err);
    for (size_t i = 0; rc == 0 && i < g->nvariables; i++)
        l->items[l->n++] = g->variables[i];
    for (size_t i = 0; rc == 0 && i < g->ngroups; i++)
        rc = collect(g->groups[i], l, err);
    return rc;
}

int cm_rebuild_list(cm_group *g, cm_variable ***out, size_t *n, cm_error *err)
{
    list l = {0};
    int rc = collect(g, &l, err);
    if (rc) {
        free(l.items);
        l = (list){0};
    }
    *out = l.items;
    *n = l.n;
    return rc;
}

int cm_rebuild_unreadable(const cm_variable *v, cm_error *err)
{
    cm_error none = {.code = CM_EUNSUP, .message = "cannot be read"};
    const cm_error *why = v->problem ? v->problem : &none;
    if (err)
        *err = *why;
    cm_error_object(err, v->group->dataset->uri);
    cm_error_variable(err, v->path);
    cm_error_hint(err, "leave it out with --skip %s", v->path + 1);
    return why->code;
}
