/* dataset/variable.c: one variable of a dataset: its array or its problem, its names, its
 * storage. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "array/chunked.h"
#include "base/memory.h"
#include "dataset/dataset_private.h"

static const char *keep(cm_variable *v, const char *s, cm_error *err)
{
    return cm_bump_dup(v->group->dataset->tree, s, strlen(s) + 1, err);
}

int cm_variable_new(cm_group *g, const char *name, const char *path, cm_variable **out,
                    cm_error *err)
{
    cm_bump *tree = g->dataset->tree;
    cm_variable *v = cm_bump_zero(tree, sizeof *v, err);
    *out = v;
    if (!v)
        return CM_ENOMEM;
    v->group = g;
    v->name = keep(v, name, err);
    v->path =
        path ? keep(v, path, err) : cm_dataset_path(tree, g->parent ? g->path : "", name, err);
    return v->name && v->path ? 0 : CM_ENOMEM;
}

void cm_variable_free(cm_variable *v)
{
    if (!v)
        return;
    if (v->array)
        cm_array_unref(v->array);
    cm_attributes_deinit(&v->attributes);
    free(v->problem);
}

const char *cm_variable_name(const cm_variable *v)
{
    return v->name;
}

const char *cm_variable_path(const cm_variable *v)
{
    return v->path;
}

cm_group *cm_variable_group(const cm_variable *v)
{
    return v->group;
}

cm_array *cm_variable_array(const cm_variable *v)
{
    return v->array;
}

const cm_error *cm_variable_problem(const cm_variable *v)
{
    return v->problem;
}

const char *cm_variable_dimension(const cm_variable *v, int axis)
{
    return axis >= 0 && axis < CM_MAX_DIMS ? v->dimensions[axis] : NULL;
}

const cm_storage *cm_variable_storage(const cm_variable *v)
{
    return &v->storage;
}

void cm_variable_set_array(cm_variable *v, cm_array *array)
{
    assert(array->ndim <= CM_MAX_DIMS);
    if (v->array)
        cm_array_unref(v->array);
    free(v->problem);
    v->problem = NULL;
    v->array = array;
    v->ndim = array->ndim;
    memcpy(v->shape, array->shape, (size_t)array->ndim * sizeof *v->shape);
}

int cm_variable_set_problem(cm_variable *v, const cm_error *why, cm_error *err)
{
    cm_error *own = cm_memdup(why, sizeof *why, err);
    if (!own)
        return CM_ENOMEM;
    if (own->code == 0) /* a variable without an array has a reason */
        cm_error_set(own, CM_EUNSUP, "cannot be read");
    cm_error_object(own, v->group->dataset->uri);
    cm_error_variable(own, v->path);
    free(v->problem);
    v->problem = own;
    if (v->array)
        cm_array_unref(v->array);
    v->array = NULL;
    return 0;
}

int cm_variable_set_dimension(cm_variable *v, int axis, const char *name, cm_error *err)
{
    assert(axis >= 0 && axis < CM_MAX_DIMS);
    const char *own = name ? keep(v, name, err) : NULL;
    if (name && !own)
        return CM_ENOMEM;
    v->dimensions[axis] = own;
    return 0;
}

int cm_variable_set_storage(cm_variable *v, int ndim, const int64_t *chunks, const int64_t *shards,
                            const char *codecs, const char *stored_dtype, bool raw, cm_error *err)
{
    assert(ndim >= 0 && ndim <= CM_MAX_DIMS);
    size_t nbytes = (size_t)ndim * sizeof *chunks;
    cm_storage s = {.raw = raw};
    cm_bump *tree = v->group->dataset->tree;
    s.chunks = chunks ? cm_bump_dup(tree, chunks, nbytes, err) : NULL;
    s.shards = shards ? cm_bump_dup(tree, shards, nbytes, err) : NULL;
    s.codecs = keep(v, codecs ? codecs : "", err);
    s.stored_dtype = keep(v, stored_dtype ? stored_dtype : "", err);
    if ((chunks && !s.chunks) || (shards && !s.shards) || !s.codecs || !s.stored_dtype)
        return CM_ENOMEM;
    v->storage = s;
    return 0;
}

int cm_variable_set_lengths(cm_variable *v, const char *lengths, cm_error *err)
{
    const char *own = lengths ? keep(v, lengths, err) : NULL;
    if (lengths && !own)
        return CM_ENOMEM;
    v->storage.lengths = own;
    return 0;
}

int64_t cm_variable_chunk_count(const cm_variable *v, int axis)
{
    const int64_t *unit = v->storage.shards ? v->storage.shards : v->storage.chunks;
    if (!v->array)
        return 0;
    if (cm_array_is_chunked(v->array) && cm_chunked_is_irregular(v->array))
        return cm_chunked_count(v->array, axis);
    int64_t n = v->array->shape[axis];
    return !unit ? n > 0 : unit[axis] > 0 ? n / unit[axis] + (n % unit[axis] != 0) : 0;
}
