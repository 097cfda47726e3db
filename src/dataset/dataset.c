/* dataset/dataset.c: the tree of groups: building it, walking it, finding things by path.
 *
 * Groups are allocations of their own, variables and names lie in the dataset's memory: pointers
 * handed out stay good while the tree grows. A group has one hash table of its children's names
 * (groups and variables share one name space, as in every format we read) and one of its
 * dimensions', so that ten thousand variables in a group cost no more than ten thousand times one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "dataset/dataset_private.h"
#include "text/utf8.h"

enum { TREE_SLAB = 8 << 10 }; /* a file of 40 variables has some 20 KB */

/* ---- making and freeing ---------------------------------------------------------------------- */

/* Another name of a group (links of HDF5). */
typedef struct cm_group_alias {
    struct cm_group_alias *next;
    cm_group *target;
    char name[];
} cm_group_alias;

static void group_free(cm_group *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->ngroups; i++)
        group_free(g->groups[i]);
    for (size_t i = 0; i < g->nvariables; i++)
        cm_variable_free(g->variables[i]);
    for (cm_group_alias *a = g->aliases, *next; a; a = next) {
        next = a->next;
        free(a);
    }
    cm_attributes_deinit(&g->attributes);
    cm_name_table_deinit(&g->children);
    cm_name_table_deinit(&g->dimension_names);
    free(g->groups);
    free(g->variables);
    free(g->dimensions);
    free(g);
}

static char *keep(cm_bump *tree, const char *name, cm_error *err)
{
    return cm_bump_dup(tree, name, strlen(name) + 1, err);
}

char *cm_dataset_path(cm_bump *tree, const char *group, const char *name, cm_error *err)
{
    size_t n = strlen(group), m = strlen(name);
    char *p = cm_bump_alloc(tree, n + m + 2, err);
    if (p) {
        memcpy(p, group, n);
        p[n] = '/';
        memcpy(p + n + 1, name, m + 1);
    }
    return p;
}

static cm_group *group_new(cm_dataset *ds, cm_group *parent, const char *name, cm_error *err)
{
    cm_group *g = cm_calloc(1, sizeof *g, err);
    if (!g)
        return NULL;
    g->dataset = ds;
    g->parent = parent;
    g->name = keep(ds->tree, name, err);
    g->path = cm_dataset_path(ds->tree, parent && parent->parent ? parent->path : "", name, err);
    if (!g->name || !g->path) {
        group_free(g);
        return NULL;
    }
    return g;
}

int cm_dataset_new(cm_context *ctx, const char *uri, const char *format, cm_dataset **out,
                   cm_error *err)
{
    cm_dataset *ds = cm_calloc(1, sizeof *ds, err);
    int r = ds ? 0 : CM_ENOMEM;
    if (r)
        goto out;
    ds->ctx = ctx;
    snprintf(ds->format, sizeof ds->format, "%s", format);
    ds->uri = cm_strdup(uri, err);
    ds->tree = ds->uri ? cm_bump_new(TREE_SLAB, err) : NULL;
    ds->root = ds->tree ? group_new(ds, NULL, "", err) : NULL;
    r = ds->root ? cm_json_doc_new(0, &ds->doc, err) : CM_ENOMEM;
    if (r == 0)
        *out = ds;
out:
    if (r)
        cm_dataset_free(ds);
    return r;
}

void cm_dataset_free(cm_dataset *ds)
{
    if (!ds)
        return;
    group_free(ds->root);
    cm_bump_free(ds->tree);
    cm_json_doc_free(ds->doc);
    cm_paths_unref(ds->sources);
    if (ds->owner_free)
        ds->owner_free(ds->owner);
    free(ds->uri);
    free(ds);
}

/* ---- adding ---------------------------------------------------------------------------------- */

static int check_name(const cm_group *g, const char *what, const char *name, cm_error *err)
{
    if (!name[0])
        return cm_error_set(err, CM_EDATA, "group %s holds a %s without a name", g->path, what);
    if (strchr(name, '/'))
        return cm_error_set(err, CM_EDATA, "group %s holds a %s whose name has a slash: %s",
                            g->path, what, name);
    if (!cm_utf8_valid(name, strlen(name)))
        return cm_error_set(err, CM_EDATA, "group %s holds a %s whose name is not UTF-8", g->path,
                            what);
    return 0;
}

static int check_child(const cm_group *g, const char *what, const char *name, cm_error *err)
{
    int r = check_name(g, what, name, err);
    if (r == 0 && cm_name_table_find(&g->children, name, strlen(name)) >= 0)
        r = cm_error_set(err, CM_EDATA, "group %s holds the name %s twice", g->path, name);
    return r;
}

int cm_group_add_group(cm_group *g, const char *name, cm_group **out, cm_error *err)
{
    int r = check_child(g, "group", name, err);
    if (r)
        return r;
    if (cm_grow(&g->groups, &g->groups_capacity, g->ngroups + 1, sizeof *g->groups, err) != 0)
        return CM_ENOMEM;
    cm_group *child = group_new(g->dataset, g, name, err);
    if (!child)
        return CM_ENOMEM;
    r = cm_name_table_add(&g->children, child->name, 2 * (int64_t)g->ngroups, err);
    if (r) {
        group_free(child);
        return r;
    }
    g->groups[g->ngroups++] = child;
    *out = child;
    return 0;
}

int cm_group_add_variable(cm_group *g, const char *name, cm_variable **out, cm_error *err)
{
    int r = check_child(g, "variable", name, err);
    if (r)
        return r;
    if (cm_grow(&g->variables, &g->variables_capacity, g->nvariables + 1, sizeof *g->variables,
                err) != 0)
        return CM_ENOMEM;
    cm_variable *v;
    r = cm_variable_new(g, name, NULL, &v, err);
    if (r == 0)
        r = cm_name_table_add(&g->children, v->name, 2 * (int64_t)g->nvariables + 1, err);
    if (r)
        return r;
    g->variables[g->nvariables++] = v;
    *out = v;
    return 0;
}

int cm_group_add_dimension(cm_group *g, const char *name, int64_t length, bool unlimited,
                           cm_error *err)
{
    int r = check_name(g, "dimension", name, err);
    if (r)
        return r;
    if (length < 0)
        return cm_error_set(err, CM_EDATA, "dimension %s of group %s has length %lld", name,
                            g->path, (long long)length);
    if (cm_name_table_find(&g->dimension_names, name, strlen(name)) >= 0)
        return cm_error_set(err, CM_EDATA, "group %s holds the dimension %s twice", g->path, name);
    if (cm_grow(&g->dimensions, &g->dimensions_capacity, g->ndimensions + 1, sizeof *g->dimensions,
                err) != 0)
        return CM_ENOMEM;
    const char *own = keep(g->dataset->tree, name, err);
    if (!own)
        return CM_ENOMEM;
    r = cm_name_table_add(&g->dimension_names, own, (int64_t)g->ndimensions, err);
    if (r)
        return r;
    g->dimensions[g->ndimensions++] = (cm_dimension){own, length, unlimited};
    return 0;
}

/* ---- looking --------------------------------------------------------------------------------- */

const char *cm_dataset_uri(const cm_dataset *ds)
{
    return ds->uri;
}

const char *cm_dataset_format(const cm_dataset *ds)
{
    return ds->format;
}

cm_group *cm_dataset_root(const cm_dataset *ds)
{
    return ds->root;
}

const char *cm_group_name(const cm_group *g)
{
    return g->name;
}

const char *cm_group_path(const cm_group *g)
{
    return g->path;
}

cm_group *cm_group_parent(const cm_group *g)
{
    return g->parent;
}

size_t cm_group_ngroups(const cm_group *g)
{
    return g->ngroups;
}

cm_group *cm_group_at(const cm_group *g, size_t i)
{
    return i < g->ngroups ? g->groups[i] : NULL;
}

size_t cm_group_nvariables(const cm_group *g)
{
    return g->nvariables;
}

cm_variable *cm_group_variable(const cm_group *g, size_t i)
{
    return i < g->nvariables ? g->variables[i] : NULL;
}

size_t cm_group_ndimensions(const cm_group *g)
{
    return g->ndimensions;
}

const cm_dimension *cm_group_dimension(const cm_group *g, size_t i)
{
    return i < g->ndimensions ? &g->dimensions[i] : NULL;
}

const cm_dimension *cm_group_scope_dimension(const cm_group *g, const char *name)
{
    for (size_t nbytes = strlen(name); g; g = g->parent) {
        int64_t i = cm_name_table_find(&g->dimension_names, name, nbytes);
        if (i >= 0)
            return &g->dimensions[i];
    }
    return NULL;
}

int cm_group_add_alias(cm_group *g, const char *name, cm_group *target, cm_error *err)
{
    size_t n = strlen(name) + 1;
    cm_group_alias *a = cm_calloc(1, sizeof *a + n, err);
    if (!a)
        return CM_ENOMEM;
    memcpy(a->name, name, n);
    a->target = target;
    a->next = g->aliases;
    g->aliases = a;
    return 0;
}

/* The group of that name, n bytes, in g; NULL when there is none. */
static const cm_group *child_group(const cm_group *g, const char *name, size_t n)
{
    int64_t child = cm_name_table_find(&g->children, name, n);
    if (child >= 0)
        return child % 2 == 0 ? g->groups[child / 2] : NULL;
    for (const cm_group_alias *a = g->aliases; a; a = a->next)
        if (strncmp(a->name, name, n) == 0 && !a->name[n])
            return a->target;
    return NULL;
}

/* Follow the parts of path through groups. With `last`, stop before the last part and give it.
 * Empty parts (doubled slashes) count for nothing. NULL when a part is no group. */
static const cm_group *walk(const cm_group *g, const char *path, const char **last)
{
    if (*path == '/')
        g = g->dataset->root;
    for (;;) {
        path += strspn(path, "/");
        size_t n = strcspn(path, "/");
        if (last && path[n] == 0) {
            *last = path;
            return g;
        }
        if (n == 0)
            return g;
        g = child_group(g, path, n);
        if (!g)
            return NULL;
        path += n;
    }
}

cm_group *cm_group_find(const cm_group *g, const char *path)
{
    return (cm_group *)walk(g, path, NULL);
}

cm_variable *cm_group_find_variable(const cm_group *g, const char *path)
{
    const char *name;
    g = walk(g, path, &name);
    if (!g)
        return NULL;
    int64_t child = cm_name_table_find(&g->children, name, strlen(name));
    return child >= 0 && child % 2 == 1 ? g->variables[child / 2] : NULL;
}

cm_variable *cm_dataset_counterpart(const cm_dataset *ds, const cm_variable *v)
{
    if (ds->is_array && v->group->dataset->is_array && ds->root->nvariables == 1)
        return ds->root->variables[0];
    return cm_group_find_variable(ds->root, v->path);
}
