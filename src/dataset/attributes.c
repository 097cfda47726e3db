/* dataset/attributes.c: lists of attributes, of groups and of variables alike.
 *
 * Most lists are short and searched in order; a file may hold tens of thousands of attributes in
 * one place, so beyond 16 a table of names is kept. Values belong to the dataset's JSON document,
 * lists and names to its tree, where a list that grows leaves its old place behind.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "dataset/dataset_private.h"

enum { TABLE_FROM = 16, FIRST = 4 };

static int64_t number_of(const cm_attributes *a, const char *name)
{
    if (a->names.nslots)
        return cm_name_table_find(&a->names, name, strlen(name));
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->items[i].name, name) == 0)
            return (int64_t)i;
    return -1;
}

const cm_attribute *cm_attributes_find(const cm_attributes *a, const char *name)
{
    int64_t i = number_of(a, name);
    return i < 0 ? NULL : &a->items[i];
}

/* The table of names anew, if the list is long enough to have one. */
static int index_names(cm_attributes *a, cm_error *err)
{
    cm_name_table_deinit(&a->names);
    int r = 0;
    for (size_t i = 0; r == 0 && i < a->count && a->count > TABLE_FROM; i++)
        r = cm_name_table_add(&a->names, a->items[i].name, (int64_t)i, err);
    if (r)
        cm_name_table_deinit(&a->names);
    return r;
}

static int make_room(cm_attributes *a, cm_bump *tree, cm_error *err)
{
    size_t nbytes, want = a->capacity ? a->capacity : FIRST / 2;
    if (a->count < a->capacity)
        return 0;
    if (!cm_mul_size(want, 2 * sizeof *a->items, &nbytes))
        return cm_error_set(err, CM_ENOMEM, "out of memory for attributes");
    cm_attribute *items = cm_bump_alloc(tree, nbytes, err);
    if (!items)
        return CM_ENOMEM;
    if (a->count)
        memcpy(items, a->items, a->count * sizeof *items);
    a->items = items;
    a->capacity = 2 * want;
    return 0;
}

int cm_attributes_set(cm_attributes *a, cm_bump *tree, const char *name, const cm_json *value,
                      cm_dtype dtype, cm_error *err)
{
    if (!value)
        return cm_error_set(err, CM_ENOMEM, "out of memory for attribute %s", name);
    int64_t at = number_of(a, name);
    if (at >= 0) {
        a->items[at].value = value;
        a->items[at].dtype = dtype;
        return 0;
    }
    const char *own =
        make_room(a, tree, err) ? NULL : cm_bump_dup(tree, name, strlen(name) + 1, err);
    if (!own)
        return CM_ENOMEM;
    size_t i = a->count++;
    a->items[i] = (cm_attribute){own, value, dtype};
    int r = 0;
    if (a->names.nslots)
        r = cm_name_table_add(&a->names, own, (int64_t)i, err);
    else if (a->count > TABLE_FROM)
        r = index_names(a, err);
    if (r)
        a->count--;
    return r;
}

void cm_attributes_deinit(cm_attributes *a)
{
    cm_name_table_deinit(&a->names);
    *a = (cm_attributes){0};
}

size_t cm_group_nattributes(const cm_group *g)
{
    return g->attributes.count;
}

const cm_attribute *cm_group_attribute(const cm_group *g, size_t i)
{
    return i < g->attributes.count ? &g->attributes.items[i] : NULL;
}

const cm_attribute *cm_group_attribute_named(const cm_group *g, const char *name)
{
    return cm_attributes_find(&g->attributes, name);
}

int cm_group_add_attribute(cm_group *g, const char *name, const cm_json *value, cm_dtype dtype,
                           cm_error *err)
{
    return cm_attributes_set(&g->attributes, g->dataset->tree, name, value, dtype, err);
}

size_t cm_variable_nattributes(const cm_variable *v)
{
    return v->attributes.count;
}

const cm_attribute *cm_variable_attribute(const cm_variable *v, size_t i)
{
    return i < v->attributes.count ? &v->attributes.items[i] : NULL;
}

const cm_attribute *cm_variable_attribute_named(const cm_variable *v, const char *name)
{
    return cm_attributes_find(&v->attributes, name);
}

int cm_variable_add_attribute(cm_variable *v, const char *name, const cm_json *value,
                              cm_dtype dtype, cm_error *err)
{
    return cm_attributes_set(&v->attributes, v->group->dataset->tree, name, value, dtype, err);
}
