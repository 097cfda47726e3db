/* dataset/attributes.c: lists of attributes, of groups and of variables alike.
 *
 * Most lists are short and searched in order; a file may hold tens of thousands of attributes in
 * one place, so beyond 16 a table of names is kept. Values belong to the dataset's JSON document,
 * names to the list.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "dataset/dataset_private.h"

enum { TABLE_FROM = 16 };

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

int cm_attributes_set(cm_attributes *a, const char *name, const cm_json *value, cm_dtype dtype,
                      cm_error *err)
{
    if (!value)
        return cm_error_set(err, CM_ENOMEM, "out of memory for attribute %s", name);
    int64_t at = number_of(a, name);
    if (at >= 0) {
        a->items[at].value = value;
        a->items[at].dtype = dtype;
        return 0;
    }
    if (cm_grow(&a->items, &a->capacity, a->count + 1, sizeof *a->items, err) != 0)
        return CM_ENOMEM;
    char *own = cm_strdup(name, err);
    if (!own)
        return CM_ENOMEM;
    size_t i = a->count++;
    a->items[i] = (cm_attribute){own, value, dtype};
    int r = 0;
    if (a->names.nslots)
        r = cm_name_table_add(&a->names, own, (int64_t)i, err);
    else if (a->count > TABLE_FROM)
        r = index_names(a, err);
    if (r) {
        a->count--;
        free(own);
    }
    return r;
}

void cm_attributes_deinit(cm_attributes *a)
{
    for (size_t i = 0; i < a->count; i++)
        free((char *)a->items[i].name);
    free(a->items);
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
    return cm_attributes_set(&g->attributes, name, value, dtype, err);
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
    return cm_attributes_set(&v->attributes, name, value, dtype, err);
}
