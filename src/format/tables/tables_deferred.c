/* format/tables/tables_deferred.c: an array that is opened from the file itself when it is wanted.
 *
 * What tables do not describe (strings in HDF5's heaps, virtual datasets, data in other files) is
 * in them by type, shape, fill and grid only. Whoever reads such an array, or asks how it is made,
 * makes the file be opened, once for all of them; it must be of the version that was scanned, and
 * the variable must still be what it was then.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "format/format.h"
#include "format/tables/tables.h"

enum { MOST_CUTS = 1 << 20 };

struct cm_tables_later {
    int refcount; /* atomic */
    cm_context *ctx;
    cm_tables_file file; /* store ref'd, key owned */
    char *key, *uri;
    pthread_mutex_t lock; /* guards opening */
    cm_dataset *opened;   /* atomic; NULL before */
};

typedef struct deferred {
    cm_array base;
    cm_tables_later *later;
    cm_axis_grid grids[CM_MAX_DIMS];
    int64_t *cuts[CM_MAX_DIMS];
    cm_array *real; /* atomic; borrowed from later->opened; NULL before */
} deferred;

int cm_tables_later_new(cm_context *ctx, const cm_tables_file *file, const char *uri,
                        cm_tables_later **out, cm_error *err)
{
    cm_tables_later *l = cm_calloc(1, sizeof *l, err);
    if (!l)
        return CM_ENOMEM;
    l->refcount = 1;
    l->ctx = ctx;
    l->key = cm_strdup(file->key, err);
    l->uri = l->key ? cm_strdup(uri, err) : NULL;
    l->file = (cm_tables_file){cm_store_ref(file->store), l->key, file->version};
    pthread_mutex_init(&l->lock, NULL);
    if (!l->uri) {
        cm_tables_later_unref(l);
        return CM_ENOMEM;
    }
    *out = l;
    return 0;
}

static cm_tables_later *ref(cm_tables_later *l)
{
    __atomic_add_fetch(&l->refcount, 1, __ATOMIC_RELAXED);
    return l;
}

void cm_tables_later_unref(cm_tables_later *l)
{
    if (!l || __atomic_sub_fetch(&l->refcount, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    cm_dataset_free(l->opened);
    pthread_mutex_destroy(&l->lock);
    cm_store_unref(l->file.store);
    free(l->key);
    free(l->uri);
    free(l);
}

static int changed(const cm_tables_later *l, const char *what, cm_error *err)
{
    cm_error_set(err, CM_ECHANGED, "%s", what);
    cm_error_object(err, l->uri);
    cm_error_hint(err, "scan it again");
    return CM_ECHANGED;
}

static int open_it(cm_tables_later *l, cm_error *err)
{
    cm_dataset *ds = NULL;
    cm_object_version now;
    int ret = cm_format_open_object(l->ctx, l->file.store, l->key, l->uri, &ds, err);
    if (ret == 0)
        ret = l->file.store->vt->stat(l->file.store, l->key, &now, err);
    if (ret == 0 && memcmp(&now, &l->file.version, sizeof now) != 0)
        ret = changed(l, "it changed since it was scanned", err);
    if (ret)
        cm_dataset_free(ds);
    else
        __atomic_store_n(&l->opened, ds, __ATOMIC_RELEASE);
    return ret;
}

static int resolve(cm_array *a, cm_array **out, cm_error *err)
{
    deferred *d = (deferred *)a;
    cm_tables_later *l = d->later;
    *out = __atomic_load_n(&d->real, __ATOMIC_ACQUIRE);
    if (*out)
        return 0;
    pthread_mutex_lock(&l->lock);
    int ret = l->opened ? 0 : open_it(l, err);
    pthread_mutex_unlock(&l->lock);
    if (ret)
        return ret;
    const cm_variable *v = cm_group_find_variable(l->opened->root, a->path);
    if (v && v->problem) {
        if (err)
            *err = *v->problem;
        return v->problem->code;
    }
    if (!v || !cm_dtype_equal(v->array->dtype, a->dtype) || v->array->ndim != a->ndim ||
        (a->ndim && memcmp(v->array->shape, a->shape, (size_t)a->ndim * sizeof *a->shape) != 0)) {
        ret = changed(l, "is not what it was when it was scanned", err);
        cm_error_variable(err, a->path);
        return ret;
    }
    *out = v->array;
    __atomic_store_n(&d->real, v->array, __ATOMIC_RELEASE);
    return 0;
}

static int deferred_plan(cm_array *a, const cm_box *region, const cm_frame *frame, cm_sink *sink,
                         cm_error *err)
{
    cm_array *real;
    int ret = resolve(a, &real, err);
    return ret ? ret : cm_array_plan(real, region, frame, sink, err);
}

static cm_axis_grid deferred_grid(const cm_array *a, int axis)
{
    return ((const deferred *)a)->grids[axis];
}

/* What cannot be opened costs nothing: the read says why. */
static cm_read_cost deferred_cost(cm_array *a)
{
    cm_array *real;
    return resolve(a, &real, NULL) ? (cm_read_cost){0} : cm_array_cost(real);
}

static cm_array *deferred_first(const cm_array *a)
{
    cm_array *real;
    return resolve((cm_array *)(uintptr_t)a, &real, NULL) ? NULL : real;
}

static void deferred_free(cm_array *a)
{
    deferred *d = (deferred *)a;
    for (int i = 0; i < CM_MAX_DIMS; i++)
        free(d->cuts[i]);
    cm_tables_later_unref(d->later);
    cm_array_deinit(a);
    free(d);
}

static const cm_array_vt deferred_vt = {.kind = "deferred",
                                        .plan = deferred_plan,
                                        .grid = deferred_grid,
                                        .cost = deferred_cost,
                                        .free = deferred_free,
                                        .first = deferred_first,
                                        .resolve = resolve};

int cm_tables_deferred_new(cm_tables_later *later, cm_dtype dtype, int ndim, const int64_t *shape,
                           const void *fill, bool raw, const cm_axis_grid *grids, const char *path,
                           cm_array **out, cm_error *err)
{
    deferred *d = cm_calloc(1, sizeof *d, err);
    if (!d)
        return CM_ENOMEM;
    int ret =
        cm_array_init(&d->base, &deferred_vt, dtype, ndim, shape, fill, later->uri, path, err);
    d->base.raw = raw;
    d->later = ref(later);
    for (int i = 0; i < ndim && ret == 0; i++) {
        d->grids[i] = grids[i];
        d->grids[i].cuts = NULL;
        if (grids[i].ncuts == 0)
            continue;
        d->cuts[i] = cm_memdup(grids[i].cuts, (size_t)(grids[i].ncuts + 1) * sizeof(int64_t), err);
        d->grids[i].cuts = d->cuts[i];
        ret = d->cuts[i] ? 0 : CM_ENOMEM;
    }
    if (ret)
        deferred_free(&d->base);
    else
        *out = &d->base;
    return ret;
}
