/* dataset/variable.c: one variable of a dataset: its array or its problem, its names, its
 * storage. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "array/chunked.h"
#include "base/memory.h"
#include "dataset/dataset_private.h"

static void free_storage(cm_storage *s)
{
    free((int64_t *)s->chunks);
    free((char *)(uintptr_t)s->lengths);
    free((int64_t *)s->shards);
    free((char *)s->codecs);
    free((char *)s->stored_dtype);
    *s = (cm_storage){0};
}

void cm_variable_free(cm_variable *v)
{
    if (!v)
        return;
    if (v->array)
        cm_array_unref(v->array);
    for (int i = 0; i < CM_MAX_DIMS; i++)
        free(v->dimensions[i]);
    cm_attributes_deinit(&v->attributes);
    free_storage(&v->storage);
    free(v->problem);
    free(v->name);
    free(v->path);
    free(v);
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
    char *own = cm_strdup(name, err);
    if (name && !own)
        return CM_ENOMEM;
    free(v->dimensions[axis]);
    v->dimensions[axis] = own;
    return 0;
}

int cm_variable_set_storage(cm_variable *v, int ndim, const int64_t *chunks, const int64_t *shards,
                            const char *codecs, const char *stored_dtype, bool raw, cm_error *err)
{
    assert(ndim >= 0 && ndim <= CM_MAX_DIMS);
    size_t nbytes = (size_t)ndim * sizeof *chunks;
    cm_storage s = {.raw = raw};
    s.chunks = chunks ? cm_memdup(chunks, nbytes, err) : NULL;
    s.shards = shards ? cm_memdup(shards, nbytes, err) : NULL;
    s.codecs = cm_strdup(codecs ? codecs : "", err);
    s.stored_dtype = cm_strdup(stored_dtype ? stored_dtype : "", err);
    if ((chunks && !s.chunks) || (shards && !s.shards) || !s.codecs || !s.stored_dtype) {
        free_storage(&s);
        return CM_ENOMEM;
    }
    free_storage(&v->storage);
    v->storage = s;
    return 0;
}

int cm_variable_set_lengths(cm_variable *v, const char *lengths, cm_error *err)
{
    char *own = cm_strdup(lengths, err);
    if (lengths && !own)
        return CM_ENOMEM;
    free((char *)(uintptr_t)v->storage.lengths);
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
