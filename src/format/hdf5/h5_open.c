/* format/hdf5/h5_open.c: cm_hdf5_open: an HDF5 or netCDF-4 file as a dataset.
 *
 *     superblock -> scan of the object headers (h5_scan.c) -> other files (h5_extlink.c)
 *                -> dimensions (h5_dimensions.c) -> variables (h5_variable.c)
 *
 * There is no libhdf5 here and so no global lock: any number of files are opened at once, and a
 * file is read from any number of threads. Opening reads object headers, links and attributes;
 * chunk indexes are read when a variable is first read. What was opened is one version of the file;
 * when it is replaced, reads are CM_ECHANGED.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "format/format.h"
#include "format/hdf5/h5_model.h"

#define MAX_MOUNTS 16 /* groups behind external links, one inside the other */

void cm_h5_file_unref(cm_h5_file *f)
{
    if (!f || __atomic_sub_fetch(&f->refcount, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    cm_h5_heap_cache_free(f->heaps);
    cm_h5_roots_deinit(&f->roots);
    cm_store_unref(f->store);
    free(f->key);
    free(f->uri);
    free(f);
}

static int new_file(cm_context *ctx, cm_store *store, const char *key, const char *uri,
                    cm_h5_file **out, cm_error *err)
{
    cm_h5_file *f = cm_calloc(1, sizeof *f, err);
    if (!f)
        return CM_ENOMEM;
    f->refcount = 1;
    pthread_mutex_init(&f->roots.lock, NULL);
    f->ctx = ctx;
    f->store = cm_store_ref(store);
    f->key = cm_strdup(key, err);
    f->uri = cm_strdup(uri, err);
    f->nbytes_off = f->nbytes_len = 8;
    int rc = f->key && f->uri ? cm_h5_heap_cache_new(&f->heaps, err) : CM_ENOMEM;
    if (rc == 0)
        rc = store->vt->stat(store, key, &f->version, err);
    f->size = f->version.size;
    if (rc) {
        cm_h5_file_unref(f);
        return rc;
    }
    *out = f;
    return 0;
}

static int by_id(const void *a, const void *b)
{
    const cm_h5_dimension *const *x = a, *const *y = b;
    return (*x)->id < (*y)->id ? -1 : (*x)->id > (*y)->id;
}

static bool has_dimension(const cm_group *g, const char *name)
{
    for (size_t i = 0; i < cm_group_ndimensions(g); i++)
        if (strcmp(cm_group_dimension(g, i)->name, name) == 0)
            return true;
    return false;
}

/* Those of g; outer: of a group around out, whose names may be there already and whose axes without
 * names are its own. */
static int emit_dimensions(const cm_h5_group *g, cm_group *out, bool outer, cm_error *err)
{
    size_t n = 0, i = 0;
    for (const cm_h5_dimension *x = g->first_dimension; x; x = x->next)
        n++;
    if (n == 0)
        return 0;
    const cm_h5_dimension **sorted = cm_calloc(n, sizeof *sorted, err);
    if (!sorted)
        return CM_ENOMEM;
    for (const cm_h5_dimension *x = g->first_dimension; x; x = x->next)
        sorted[i++] = x;
    qsort(sorted, n, sizeof *sorted, by_id);
    int rc = 0;
    for (i = 0; rc == 0 && i < n; i++)
        if (!sorted[i]->hidden &&
            !(outer && (sorted[i]->addr == CM_H5_UNDEF || has_dimension(out, sorted[i]->name))))
            rc = cm_group_add_dimension(out, sorted[i]->name, sorted[i]->length,
                                        sorted[i]->unlimited, err);
    free(sorted);
    return rc;
}

static int emit_group(cm_h5_scan *s, cm_h5_group *g, cm_group *out, cm_json_doc *doc, int mounts,
                      cm_error *err);

/* A group of another file: with the dimensions of the groups around it there. */
static int emit_mount(cm_h5_scan *s, const cm_h5_mount *m, cm_group *out, cm_json_doc *doc,
                      int mounts, cm_error *err)
{
    cm_group *child;
    if (m->group->open) {
        cm_context_log(s->file->ctx, CM_LOG_WARNING,
                       "%s: the external link %s leads to a group that it lies in, which is listed "
                       "once",
                       s->file->uri, m->name);
        return 0;
    }
    if (mounts == MAX_MOUNTS) {
        cm_context_log(s->file->ctx, CM_LOG_WARNING,
                       "%s: the group behind the external link %s is left out: it is the %dth one "
                       "inside the other",
                       s->file->uri, m->name, MAX_MOUNTS + 1);
        return 0;
    }
    int rc = cm_group_add_group(out, m->name, &child, err);
    if (rc == 0)
        rc = emit_group(m->scan, m->group, child, doc, mounts + 1, err);
    for (const cm_h5_group *g = m->group->parent; rc == 0 && g; g = g->parent)
        rc = emit_dimensions(g, child, true, err);
    return rc;
}

static int emit_group(cm_h5_scan *s, cm_h5_group *g, cm_group *out, cm_json_doc *doc, int mounts,
                      cm_error *err)
{
    g->open = true;
    if (!g->made)
        g->made = out;
    int rc = emit_dimensions(g, out, false, err);
    for (const cm_h5_item *a = g->attributes.first; rc == 0 && a; a = a->next) {
        const cm_json *value = cm_h5_value_in(s, a->value, doc);
        rc = value ? cm_group_add_attribute(out, a->name, value, a->dtype, err)
                   : cm_error_set(err, CM_ENOMEM, "out of memory for attributes");
    }
    for (const cm_h5_dataset *d = g->first; rc == 0 && d; d = d->next)
        if (!d->hidden && !(d->is_scale && d->no_variable))
            rc = cm_h5_variable_make(d->scan ? d->scan : s, d, out, doc, err);
    for (cm_h5_group *c = g->first_child; rc == 0 && c; c = c->next) {
        cm_group *child;
        rc = cm_group_add_group(out, c->name, &child, err);
        if (rc == 0)
            rc = emit_group(s, c, child, doc, mounts, err);
    }
    for (const cm_h5_mount *m = g->mounts; rc == 0 && m; m = m->next)
        rc = emit_mount(s, m, out, doc, mounts, err);
    g->open = false;
    return rc;
}

/* Other names of groups, when all groups are there. *any: there are some. */
static int emit_bynames(const cm_h5_group *g, int mounts, bool *any, cm_error *err)
{
    int rc = 0;
    for (const cm_h5_byname *b = g->bynames; rc == 0 && b; b = b->next)
        if (g->made && b->group->made) {
            rc = cm_group_add_alias(g->made, b->name, b->group->made, err);
            *any = true;
        }
    for (const cm_h5_group *c = g->first_child; rc == 0 && c; c = c->next)
        rc = emit_bynames(c, mounts, any, err);
    for (const cm_h5_mount *m = g->mounts; rc == 0 && m && mounts < MAX_MOUNTS; m = m->next)
        rc = emit_bynames(m->group, mounts + 1, any, err);
    return rc;
}

int cm_h5_scan_open(cm_context *ctx, cm_store *store, const char *key, const char *uri, int level,
                    cm_h5_scan *s, cm_dataset **ds, cm_error *err)
{
    cm_h5_file *f = NULL;
    int rc = new_file(ctx, store, key, uri, &f, err);
    if (rc)
        return rc;
    f->level = level;
    s->file = f;
    cm_h5_reader_init(&s->reader, f);
    rc = cm_h5_superblock_read(&s->reader, f, err);
    if (rc == 0)
        rc = cm_dataset_new(ctx, uri, "HDF5", ds, err);
    if (rc)
        return rc;
    s->dataset = *ds;
    return cm_h5_scan_file(s, err);
}

void cm_h5_scan_close(cm_h5_scan *s, cm_dataset *ds)
{
    cm_h5_file *f = s->file;
    cm_h5_scan_deinit(s);
    cm_h5_file_unref(f);
    cm_dataset_free(ds);
}

int cm_hdf5_open(cm_context *ctx, cm_store *store, const char *key, const char *uri,
                 cm_dataset **out, cm_error *err)
{
    cm_dataset *ds = NULL;
    cm_h5_scan s = {0};
    cm_h5_family *others = NULL;
    int rc = cm_h5_scan_open(ctx, store, key, uri, 0, &s, &ds, err);
    if (rc == 0)
        rc = cm_h5_growing_resolve(&s, s.root, err);
    if (rc == 0)
        rc = cm_h5_links_resolve(&s, &others, err);
    if (rc == 0)
        rc = cm_h5_dimensions_resolve(&s, err);
    if (rc == 0)
        rc = emit_group(&s, s.root, ds->root, ds->doc, 0, err);
    bool bynames = false;
    if (rc == 0)
        rc = emit_bynames(s.root, 0, &bynames, err);
    if (rc == 0 && s.netcdf)
        snprintf(ds->format, sizeof ds->format, "NetCDF-4");
    if (rc == 0)
        ds->elsewhere = s.file->elsewhere || bynames; /* tables do not have these */
    cm_h5_family_free(others);
    cm_h5_scan_close(&s, rc ? ds : NULL);
    if (rc) {
        cm_error_object(err, uri);
        return rc;
    }
    *out = ds;
    return 0;
}
