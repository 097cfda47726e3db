/* format/hdf5/h5_extlink.c: external links: names in one file for objects of another.
 *
 *     a.h5    /runs/1 -> b.h5:/data      /runs/1 is a group with all that b.h5 has below /data
 *             /mean   -> c.h5:/x         /mean is a variable like /x of c.h5
 *
 * They are followed when the file's own tree is complete. Every other file is scanned once for a
 * dataset, however many links lead to it, and kept until the variables are made; links in it are
 * followed when something of it is asked for that has them. A linked dataset is a member of the
 * group that has the link, so its axes are named as that group's, and not by the scales of its own
 * file. A linked group keeps its own.
 *
 * Names are looked for beside the file that has the link, as libhdf5 does first, and, unless paths
 * are trusted, below its folder only (h5_external.c). Loops: a chain of links ends after MAX_CHAIN,
 * and a group is listed under one link only, as it is under one hard link; so the tree is finite.
 * What cannot be followed is a variable with a problem.
 */
#include <stdlib.h>

#include "base/memory.h"
#include "format/hdf5/h5_model.h"

#define MAX_FILES 4096
#define MAX_CHAIN 16

typedef struct relative {
    cm_h5_scan *scan;
    cm_dataset
        *dataset; /* what the scan's JSON belongs to; NULL for the first, which is not ours */
} relative;

struct cm_h5_family {
    relative *items;
    size_t n, capacity;
};

static int resolve_tree(cm_h5_family *f, cm_h5_scan *s, cm_h5_group *g, int chain, cm_error *err);

static bool same_store(const cm_store *a, const cm_store *b)
{
    const char *x = cm_store_local_path(a), *y = cm_store_local_path(b);
    return a == b || (x && y && strcmp(x, y) == 0);
}

static int find(cm_h5_family *f, const cm_store *store, const char *key, cm_h5_scan **out)
{
    for (size_t i = 0; i < f->n; i++) {
        const cm_h5_file *file = f->items[i].scan->file;
        if (strcmp(file->key, key) == 0 && same_store(file->store, store)) {
            *out = f->items[i].scan;
            return 1;
        }
    }
    return 0;
}

/* What people call the file: name, in the folder of the file that names it. */
static char *uri_of(const cm_h5_scan *s, const char *name, cm_error *err)
{
    const char *slash = strrchr(s->file->uri, '/');
    size_t folder = slash && *name != '/' ? (size_t)(slash - s->file->uri) + 1 : 0;
    char *uri = cm_calloc(1, folder + strlen(name) + 1, err);
    if (uri) {
        memcpy(uri, s->file->uri, folder);
        memcpy(uri + folder, name, strlen(name));
    }
    return uri;
}

/* The scan of the file that a link in s names. CM_EUNSUP when it is not there. */
static int open_relative(cm_h5_family *f, cm_h5_scan *s, const char *name, cm_h5_scan **out,
                         cm_error *err)
{
    char *key = NULL;
    s->file->elsewhere = true;
    cm_store *store;
    int rc = cm_h5_other_file(s->file, name, &store, &key, err);
    if (rc || find(f, store, key, out)) {
        cm_store_unref(store);
        free(key);
        return rc;
    }
    cm_h5_scan *scan = NULL;
    char *uri = NULL;
    if (f->n >= MAX_FILES)
        rc = cm_error_set(err, CM_ELIMIT, "external links to more than %d files", MAX_FILES);
    if (rc == 0)
        rc = cm_grow(&f->items, &f->capacity, f->n + 1, sizeof *f->items, err);
    if (rc == 0)
        scan = cm_calloc(1, sizeof *scan, err);
    if (rc == 0)
        uri = uri_of(s, name, err);
    if (rc == 0 && (!scan || !uri))
        rc = CM_ENOMEM;
    cm_dataset *ds = NULL;
    if (rc == 0)
        rc = cm_h5_scan_open(s->file->ctx, store, key, uri, s->file->level, scan, &ds, err);
    cm_store_unref(store);
    free(key);
    free(uri);
    if (!scan)
        return rc;
    if (rc) {
        cm_h5_scan_close(scan, ds);
        free(scan);
        if (rc != CM_ENOTFOUND)
            return rc;
        if (err)
            cm_error_clear(err);
        return cm_error_set(err, CM_EUNSUP, "a file that is not there");
    }
    f->items[f->n++] = (relative){.scan = scan, .dataset = ds};
    *out = scan;
    return 0;
}

static int mount(cm_h5_scan *s, cm_h5_dataset *d, cm_h5_scan *from, cm_h5_group *target,
                 cm_error *err)
{
    char path[512];
    d->hidden = true;
    if (target->mounted || target == s->root) {
        cm_context_log(s->file->ctx, CM_LOG_WARNING,
                       "%s: %s links to the group %s of %s, which is listed once", s->file->uri,
                       cm_h5_path(d->group, d->name, path, sizeof path), d->link_path,
                       d->link_file);
        return 0;
    }
    cm_h5_mount *m = cm_h5_alloc(&s->arena, sizeof *m, err);
    if (!m)
        return CM_ENOMEM;
    *m = (cm_h5_mount){.next = d->group->mounts, .name = d->name, .scan = from, .group = target};
    d->group->mounts = m;
    target->mounted = true;
    return 0;
}

/* d, the place of a link in s, becomes what the link leads to. */
static int resolve_link(cm_h5_family *f, cm_h5_scan *s, cm_h5_dataset *d, int chain, cm_error *err)
{
    cm_h5_scan *from = s;
    cm_h5_group *group = NULL;
    cm_h5_dataset *target = d;
    while (target && target->link_file && !target->scan) {
        if (chain++ == MAX_CHAIN)
            return cm_error_set(err, CM_ELIMIT, "links that lead to links, more than %d times",
                                MAX_CHAIN);
        const char *path = target->link_path;
        int rc = open_relative(f, from, target->link_file, &from, err);
        if (rc == 0 && !cm_h5_find_object(from, path, &group, &target))
            rc = cm_error_set(err, CM_EUNSUP, "nothing that is there");
        if (rc)
            return rc;
    }
    if (group) {
        int rc = mount(s, d, from, group, err);
        return rc ? rc : resolve_tree(f, from, group, chain, err);
    }
    cm_h5_dataset *next = d->next;
    const char *name = d->name;
    cm_h5_group *host = d->group;
    *d = *target;
    d->next = next;
    d->name = name;
    d->group = host;
    d->scan = target->scan ? target->scan : from;
    d->hidden = d->is_scale && d->no_variable;
    d->is_scale = d->no_variable = false;
    d->assigned_id = -1;
    d->coordinates = NULL;
    d->scales = NULL;
    d->dimensions = NULL;
    d->addr = CM_H5_UNDEF;
    return 0;
}

/* The link of d, if it is one; what is wrong with it is d's problem. */
static int try_link(cm_h5_family *f, cm_h5_scan *s, cm_h5_dataset *d, int chain, cm_error *err)
{
    cm_error why;
    why.code = 0;
    if (!d->link_file || d->scan || d->hidden || d->problem)
        return 0;
    const char *file = d->link_file, *path = d->link_path;
    int rc = resolve_link(f, s, d, chain, &why);
    if (rc == 0)
        return 0;
    if (!cm_h5_is_local(rc) && rc != CM_EIO && rc != CM_EPERM) {
        if (err)
            *err = why;
        return rc;
    }
    cm_error_prefix(&why, "external link to %.200s in the file %.200s", path, file);
    return cm_h5_keep_problem(s, d, &why, err);
}

static int resolve_tree(cm_h5_family *f, cm_h5_scan *s, cm_h5_group *g, int chain, cm_error *err)
{
    int rc = cm_context_check(s->file->ctx, err);
    for (cm_h5_dataset *d = g->first; rc == 0 && d; d = d->next)
        rc = try_link(f, s, d, chain, err);
    for (cm_h5_group *c = g->first_child; rc == 0 && c; c = c->next)
        rc = resolve_tree(f, s, c, chain, err);
    return rc;
}

int cm_h5_links_resolve(cm_h5_scan *s, cm_h5_family **out, cm_error *err)
{
    *out = NULL;
    if (!s->links_out)
        return 0;
    cm_h5_family *f = cm_calloc(1, sizeof *f, err);
    int rc = f ? cm_grow(&f->items, &f->capacity, 1, sizeof *f->items, err) : CM_ENOMEM;
    if (rc) {
        free(f);
        return rc;
    }
    *out = f;
    f->items[f->n++].scan = s;
    f->items[0].dataset = NULL;
    rc = resolve_tree(f, s, s->root, 0, err);
    for (size_t i = 1; rc == 0 && i < f->n; i++)
        rc = cm_h5_dimensions_resolve(f->items[i].scan, err);
    return rc;
}

void cm_h5_family_free(cm_h5_family *f)
{
    for (size_t i = 1; f && i < f->n; i++) {
        cm_h5_scan_close(f->items[i].scan, f->items[i].dataset);
        free(f->items[i].scan);
    }
    if (f)
        free(f->items);
    free(f);
}
