/* format/hdf5/h5_softlink.c: soft links.
 *
 * They are followed when the tree is complete, by name inside it: the path of a link can only lead
 * through groups that the scan has seen. A link to a dataset becomes a variable like it, under the
 * link's name. One to a group is not listed, or all that is in it would be there twice, without end
 * if the link is in that group: it is another name by which paths find the group, and so is a
 * second hard link. One that leads nowhere, or round in circles, is a variable with a problem.
 */
#include "format/hdf5/h5_model.h"

#define MAX_SOFT_LINKS 16 /* followed for one name */

typedef struct place {
    cm_h5_group *group;
    cm_h5_dataset *dataset;
} place;

static const cm_h5_alias *alias_of(const cm_h5_group *g, const cm_h5_dataset *d)
{
    for (const cm_h5_alias *a = g->aliases; a; a = a->next)
        if (a->placeholder == d)
            return a;
    return NULL;
}

static uint64_t name_key(const cm_h5_group *g, const char *name, size_t n)
{
    uint64_t hash = 0xcbf29ce484222325u ^ (uint64_t)(uintptr_t)g;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ (uint8_t)name[i]) * 0x100000001b3u;
    return hash == CM_H5_UNDEF ? 0 : hash;
}

static int index_names(cm_h5_scan *s, const cm_h5_group *g, cm_error *err)
{
    int rc = 0;
    for (cm_h5_dataset *d = g->first; rc == 0 && d; d = d->next)
        rc = cm_h5_map_put(&s->names, name_key(g, d->name, strlen(d->name)), (uintptr_t)d, err);
    for (const cm_h5_group *c = g->first_child; rc == 0 && c; c = c->next)
        rc = index_names(s, c, err);
    return rc;
}

/* The dataset (or placeholder of a link) in g; groups of 10^5 members are not walked each time. */
static cm_h5_dataset *member(const cm_h5_scan *s, const cm_h5_group *g, const char *name, size_t n)
{
    uint64_t at;
    if (s->names.n && !cm_h5_map_get(&s->names, name_key(g, name, n), &at))
        return NULL;
    cm_h5_dataset *d = s->names.n ? (cm_h5_dataset *)(uintptr_t)at : g->first;
    if (s->names.n && d->group == g && strncmp(d->name, name, n) == 0 && !d->name[n])
        return d;
    for (d = g->first; d && (strncmp(d->name, name, n) != 0 || d->name[n]); d = d->next)
        ;
    return d;
}

/* Follow path from g; *left soft links may be met on the way. False when there is nothing. */
static bool follow(cm_h5_scan *s, cm_h5_group *g, const char *path, int *left, place *out)
{
    *out = (place){.group = *path == '/' ? s->root : g};
    while (*path) {
        path += strspn(path, "/");
        size_t n = strcspn(path, "/");
        if (n == 0 || (n == 1 && *path == '.')) {
            path += n;
            continue;
        }
        cm_h5_group *at = out->group;
        if (!at)
            return false; /* a dataset has no children */
        *out = (place){0};
        for (cm_h5_group *c = at->first_child; c && !out->group; c = c->next)
            if (strncmp(c->name, path, n) == 0 && !c->name[n])
                out->group = c;
        for (cm_h5_byname *b = at->bynames; b && !out->group; b = b->next)
            if (strncmp(b->name, path, n) == 0 && !b->name[n])
                out->group = b->group;
        if (!out->group)
            out->dataset = member(s, at, path, n);
        if (!out->group && !out->dataset)
            return false;
        const cm_h5_alias *alias = out->dataset ? alias_of(at, out->dataset) : NULL;
        if (alias && ((*left)-- <= 0 || !follow(s, at, alias->target, left, out)))
            return false;
        path += n;
    }
    return true;
}

const cm_h5_dataset *cm_h5_find_dataset(cm_h5_scan *s, const char *path)
{
    int left = MAX_SOFT_LINKS;
    place to;
    return follow(s, s->root, path, &left, &to) ? to.dataset : NULL;
}

bool cm_h5_find_object(cm_h5_scan *s, const char *path, cm_h5_group **group,
                       cm_h5_dataset **dataset)
{
    int left = MAX_SOFT_LINKS;
    place to;
    bool there = follow(s, s->root, path, &left, &to);
    *group = there ? to.group : NULL;
    *dataset = there ? to.dataset : NULL;
    return there;
}

int cm_h5_add_byname(cm_h5_scan *s, cm_h5_group *g, const char *name, cm_h5_group *to,
                     cm_error *err)
{
    char path[512], own[512];
    cm_h5_byname *b = cm_h5_alloc(&s->arena, sizeof *b, err);
    if (!b)
        return CM_ENOMEM;
    *b = (cm_h5_byname){.next = g->bynames, .name = name, .group = to};
    g->bynames = b;
    cm_context_log(s->file->ctx, CM_LOG_WARNING,
                   "%s: %s is another name of the group %s, where its members are listed",
                   s->file->uri, cm_h5_path(g, name, path, sizeof path),
                   cm_h5_path(to, NULL, own, sizeof own));
    return 0;
}

/* The placeholder becomes a copy of the dataset, under its own name. */
static int resolve_alias(cm_h5_scan *s, cm_h5_group *g, cm_h5_alias *a, cm_error *err)
{
    cm_h5_dataset *d = a->placeholder;
    int left = MAX_SOFT_LINKS;
    place to;
    if (!follow(s, g, a->target, &left, &to)) {
        cm_error why;
        why.code = 0;
        cm_error_set(&why, CM_EUNSUP, "soft link to %s, which is not in the file", a->target);
        return cm_h5_keep_problem(s, d, &why, err);
    }
    if (to.group) {
        d->hidden = true; /* the group is listed where it is */
        return cm_h5_add_byname(s, g, d->name, to.group, err);
    }
    cm_h5_dataset *next = d->next;
    const char *name = d->name;
    *d = *to.dataset;
    d->next = next;
    d->name = name;
    d->group = g;
    if (d->is_scale) { /* the dimension is made once, where the dataset is */
        d->hidden = d->no_variable;
        d->is_scale = false;
        if (!d->coordinates && d->space.ndim == 1)
            d->scales = &to.dataset->addr;
    }
    return 0;
}

int cm_h5_aliases_resolve(cm_h5_scan *s, cm_h5_group *g, cm_error *err)
{
    int rc = g == s->root ? index_names(s, g, err) : 0;
    for (cm_h5_alias *a = g->aliases; rc == 0 && a; a = a->next)
        rc = resolve_alias(s, g, a, err);
    for (cm_h5_group *c = g->first_child; rc == 0 && c; c = c->next)
        rc = cm_h5_aliases_resolve(s, c, err);
    return rc;
}
