/* format/zarr/zarr_tree.c: which nodes a store has, and their documents.
 *
 * Consolidated metadata (v3: inside the root's zarr.json; v2: .zmetadata) is believed when it is
 * there, as every reader does: one read instead of one per node. Without it the store is listed
 * level by level. The nodes come out in the same order either way, parents first.
 *
 *     v3   zarr.json        per node, says group or array, holds attributes
 *     v2   .zgroup/.zarray  per node, and .zattrs
 *
 * A store with both formats (`zarr migrate` leaves such) is read as v3, as zarr-python does.
 *
 * An array's folder is never listed: what lies beside its chunks is not part of the hierarchy. A
 * broken document of an array becomes that array's problem; a broken one of a group would hide
 * everything below it, so it fails the whole. Consolidated keys come from outside and are checked
 * like any key before one is used to build a name: no "..", no absolute paths.
 */
#include <stdlib.h>
#include <string.h>

#include "base/context_private.h"
#include "base/memory.h"
#include "format/zarr/zarr_private.h"

enum { MAX_DEPTH = 64, MAX_NODES = 1 << 20 };
static const size_t max_document = (size_t)256 << 20;

/* ---- documents ------------------------------------------------------------------------------- */

char *cm_zarr_key_join(const char *key, const char *name, cm_error *err)
{
    return cm_sprintf(err, "%s%s%s", key, *key && *name ? "/" : "", name);
}

size_t cm_zarr_depth(const char *path)
{
    size_t n = 0;
    for (const char *p = path; *p; p++)
        n += *p != '/' && (p == path || p[-1] == '/');
    return n;
}

/* Read and parse key/name. *out stays NULL when there is no such object. The document belongs to t.
 * version: of what was read; may be NULL. */
static int load(cm_zarr_tree *t, cm_store *store, const char *key, const char *name,
                const cm_json **out, cm_object_version *version, cm_error *err)
{
    cm_object_version found;
    char *text = NULL, *full = cm_zarr_key_join(key, name, err);
    size_t nbytes = 0;
    cm_json_doc *doc = NULL;
    int r = full ? 0 : CM_ENOMEM;
    *out = NULL;
    if (r)
        goto out;
    r = cm_store_read_version(store, full, max_document, &text, &nbytes, &found, err);
    if (r == CM_ENOTFOUND) {
        cm_error_clear(err);
        r = 0;
        goto out;
    }
    if (r)
        goto out;
    r = cm_grow(&t->docs, &t->docs_capacity, t->ndocs + 1, sizeof *t->docs, err);
    if (r)
        goto out;
    r = cm_json_parse(text, nbytes, 4 * max_document, &doc, err);
    if (r) {
        cm_error_prefix(err, "%s", full);
        goto out;
    }
    t->docs[t->ndocs++] = doc;
    if (version)
        *version = found;
    *out = cm_json_doc_root(doc);
    if (!cm_json_is(*out, CM_JSON_OBJECT))
        r = cm_error_set(err, CM_EDATA, "%s is not a JSON object", full);
out:
    free(text);
    free(full);
    return r;
}

static bool exists(cm_store *store, const char *key, const char *name)
{
    cm_object_version version;
    char *full = cm_zarr_key_join(key, name, NULL);
    bool there = full && store->vt->stat(store, full, &version, NULL) == 0;
    free(full);
    return there;
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static int add_node(cm_zarr_tree *t, const char *path, cm_zarr_node **out, cm_error *err)
{
    if (t->nnodes >= MAX_NODES)
        return cm_error_set(err, CM_ELIMIT, "more than %d groups and arrays", MAX_NODES);
    if (cm_zarr_depth(path) > MAX_DEPTH)
        return cm_error_set(err, CM_ELIMIT, "%.200s: groups nested deeper than %d", path,
                            MAX_DEPTH);
    int r = cm_grow(&t->nodes, &t->nodes_capacity, t->nnodes + 1, sizeof *t->nodes, err);
    if (r)
        return r;
    cm_zarr_node *node = &t->nodes[t->nnodes];
    *node = (cm_zarr_node){.path = cm_strdup(path, err)};
    if (!node->path)
        return CM_ENOMEM;
    t->nnodes++;
    *out = node;
    return 0;
}

static int set_problem(cm_zarr_node *node, const cm_error *why, cm_error *err)
{
    node->problem = cm_memdup(why, sizeof *why, err);
    return node->problem ? 0 : CM_ENOMEM;
}

/* What only this array suffers from; everything else stops the open. */
static bool is_local(int code)
{
    return code == CM_EDATA || code == CM_EUNSUP || code == CM_ELIMIT;
}

void cm_zarr_tree_deinit(cm_zarr_tree *t)
{
    for (size_t i = 0; i < t->nnodes; i++) {
        free(t->nodes[i].path);
        free(t->nodes[i].problem);
    }
    for (size_t i = 0; i < t->ndocs; i++)
        cm_json_doc_free(t->docs[i]);
    free(t->nodes);
    free(t->docs);
    *t = (cm_zarr_tree){0};
}

/* ---- consolidated ---------------------------------------------------------------------------- */

static int check_path(const char *path, const char *key, cm_error *err)
{
    if (!*path)
        return 0;
    int r = cm_store_check_key(path, err);
    if (r == CM_EINVAL)
        r = cm_error_set(err, CM_EDATA, "consolidated metadata: \"%.200s\" is not a valid key",
                         key);
    return r;
}

static int consolidated_v3(cm_zarr_tree *t, const cm_json *metadata, cm_error *err)
{
    for (size_t i = 0; i < cm_json_count(metadata); i++) {
        const char *path = cm_json_key(metadata, i);
        const cm_json *document = cm_json_at(metadata, i);
        const char *type = cm_json_string(cm_json_get(document, "node_type"));
        cm_zarr_node *node;
        if (!*path) /* some writers list the root itself */
            continue;
        int r = check_path(path, path, err);
        if (r)
            return r;
        if (!type || (strcmp(type, "array") != 0 && strcmp(type, "group") != 0))
            return cm_error_set(err, CM_EDATA,
                                "consolidated metadata: \"%.200s\": \"node_type\" is neither "
                                "\"array\" nor \"group\"",
                                path);
        r = add_node(t, path, &node, err);
        if (r)
            return r;
        node->is_array = !strcmp(type, "array");
        node->document = document;
    }
    return 0;
}

/* "a/b/.zarray" -> "a/b" and ".zarray"; NULL when the key is not of a metadata document. */
static const char *split_v2(const char *key, char **path, cm_error *err)
{
    const char *slash = strrchr(key, '/');
    const char *name = slash ? slash + 1 : key;
    if (strcmp(name, ".zarray") != 0 && strcmp(name, ".zgroup") != 0 &&
        strcmp(name, ".zattrs") != 0)
        return *path = NULL, NULL;
    *path = cm_strndup(key, slash ? (size_t)(slash - key) : 0, err);
    return name;
}

typedef struct sorted_key {
    const char *key;
    const cm_json *value;
    size_t path_nbytes;
} sorted_key;

static int by_path(const void *a, const void *b)
{
    const sorted_key *x = a, *y = b;
    size_t n = x->path_nbytes < y->path_nbytes ? x->path_nbytes : y->path_nbytes;
    int c = n ? memcmp(x->key, y->key, n) : 0;
    if (c)
        return c;
    if (x->path_nbytes != y->path_nbytes)
        return x->path_nbytes < y->path_nbytes ? -1 : 1;
    return strcmp(x->key, y->key);
}

static int add_document_v2(cm_zarr_tree *t, const char *key, const cm_json *value, cm_error *err)
{
    char *path;
    int r = 0;
    const char *name = split_v2(key, &path, err);
    if (!name)
        return 0;
    if (!path)
        return CM_ENOMEM;
    /* keys are sorted by path: the node is the last one or not there yet */
    cm_zarr_node *node = t->nnodes ? &t->nodes[t->nnodes - 1] : NULL;
    r = check_path(path, key, err);
    if (r == 0 && (!node || strcmp(node->path, path) != 0))
        r = add_node(t, path, &node, err);
    if (r)
        goto out;
    if (!cm_json_is(value, CM_JSON_OBJECT)) {
        r = cm_error_set(err, CM_EDATA, ".zmetadata: \"%.200s\" is not an object", key);
    } else if (!strcmp(name, ".zattrs")) {
        node->attributes = value;
    } else if (node->document) {
        r = cm_error_set(err, CM_EDATA, ".zmetadata: \"%.200s\" is both an array and a group",
                         path);
    } else {
        node->document = value;
        node->is_array = !strcmp(name, ".zarray");
    }
out:
    free(path);
    return r;
}

static int consolidated_v2(cm_zarr_tree *t, const cm_json *zmetadata, cm_error *err)
{
    const cm_json *metadata = cm_json_get(zmetadata, "metadata");
    int64_t version = 0;
    if (!cm_json_int64(cm_json_get(zmetadata, "zarr_consolidated_format"), &version) ||
        version != 1)
        return cm_error_set(err, CM_EUNSUP, ".zmetadata: \"zarr_consolidated_format\" is not 1");
    if (!cm_json_is(metadata, CM_JSON_OBJECT))
        return cm_error_set(err, CM_EDATA, ".zmetadata: \"metadata\" is not an object");
    size_t n = cm_json_count(metadata);
    sorted_key *keys = cm_calloc(n, sizeof *keys, err);
    if (!keys)
        return CM_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const char *key = cm_json_key(metadata, i), *slash = strrchr(key, '/');
        keys[i] = (sorted_key){key, cm_json_at(metadata, i), slash ? (size_t)(slash - key) : 0};
    }
    qsort(keys, n, sizeof *keys, by_path);
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++)
        r = add_document_v2(t, keys[i].key, keys[i].value, err);
    free(keys);
    return r;
}

/* ---- listing --------------------------------------------------------------------------------- */

typedef struct names {
    char **names;
    size_t n, capacity;
} names;

static int collect(void *user, const char *name, bool is_prefix, uint64_t size, cm_error *err)
{
    names *list = user;
    (void)size;
    if (!is_prefix)
        return 0;
    if (list->n >= MAX_NODES)
        return cm_error_set(err, CM_ELIMIT, "more than %d groups and arrays", MAX_NODES);
    int r = cm_grow(&list->names, &list->capacity, list->n + 1, sizeof *list->names, err);
    if (r == 0 && !(list->names[list->n] = cm_strdup(name, err)))
        r = CM_ENOMEM;
    list->n += r == 0;
    return r;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The documents of the node at key/path. *kind: 'a', 'g' or 0 when nothing is there. */
static int probe_v3(cm_zarr_tree *t, cm_store *store, const char *full, cm_zarr_node *node,
                    char *kind, cm_error *err)
{
    *kind = 0;
    int r = load(t, store, full, "zarr.json", &node->document, &node->version, err);
    if (r || !node->document)
        return r;
    const char *type = cm_json_string(cm_json_get(node->document, "node_type"));
    if (type && !strcmp(type, "array"))
        *kind = 'a';
    else if (type && !strcmp(type, "group"))
        *kind = 'g';
    else
        return cm_error_set(err, CM_EDATA,
                            "%s/zarr.json: \"node_type\" is neither \"array\" nor \"group\"", full);
    return 0;
}

static int probe_v2(cm_zarr_tree *t, cm_store *store, const char *full, cm_zarr_node *node,
                    char *kind, cm_error *err)
{
    *kind = 'a'; /* so that a broken .zarray is an array's problem */
    int r = load(t, store, full, ".zarray", &node->document, &node->version, err);
    if (r == 0 && !node->document) {
        *kind = 'g';
        r = load(t, store, full, ".zgroup", &node->document, NULL, err);
        if (r == 0 && !node->document) {
            *kind = 0;
            return 0;
        }
    }
    return r ? r : load(t, store, full, ".zattrs", &node->attributes, NULL, err);
}

static int add_child(cm_context *ctx, cm_zarr_tree *t, cm_store *store, const char *key,
                     const char *path, cm_error *err)
{
    cm_error local = {0};
    cm_zarr_node found = {0}, *node;
    char kind = 0, *full = cm_zarr_key_join(key, path, err);
    if (!full)
        return CM_ENOMEM;
    int r = t->format == 3 ? probe_v3(t, store, full, &found, &kind, &local)
                           : probe_v2(t, store, full, &found, &kind, &local);
    bool problem = r && is_local(r) && kind != 'g';
    if (r && !problem) {
        if (err)
            *err = local;
        goto out;
    }
    r = 0;
    if (!kind && !problem) {
        if (t->format == 3 && (exists(store, full, ".zarray") || exists(store, full, ".zgroup")))
            cm_context_log(ctx, CM_LOG_WARNING,
                           "%s: %s is Zarr v2 inside a Zarr v3 group and is left out", store->uri,
                           full);
        if (t->format == 2 && exists(store, full, "zarr.json"))
            cm_context_log(ctx, CM_LOG_WARNING,
                           "%s: %s is Zarr v3 inside a Zarr v2 group and is left out", store->uri,
                           full);
        goto out;
    }
    r = add_node(t, path, &node, err);
    if (r)
        goto out;
    node->is_array = problem || kind == 'a';
    node->document = found.document;
    node->version = found.version;
    node->attributes = found.attributes;
    if (problem)
        r = set_problem(node, &local, err);
out:
    free(full);
    return r;
}

/* Appends to the nodes while it walks them: breadth first, so parents come first. */
static int list_nodes(cm_context *ctx, cm_zarr_tree *t, cm_store *store, const char *key,
                      cm_error *err)
{
    int r = 0;
    for (size_t i = 0; i < t->nnodes && r == 0; i++) {
        if (t->nodes[i].is_array)
            continue;
        names list = {0};
        char *full = cm_zarr_key_join(key, t->nodes[i].path, err);
        r = full ? store->vt->list(store, full, collect, &list, err) : CM_ENOMEM;
        if (list.n)
            qsort(list.names, list.n, sizeof *list.names, by_name);
        for (size_t k = 0; k < list.n && r == 0; k++) {
            char *path = cm_zarr_key_join(t->nodes[i].path, list.names[k], err);
            r = path ? cm_context_check(ctx, err) : CM_ENOMEM;
            if (r == 0)
                r = add_child(ctx, t, store, key, path, err);
            free(path);
        }
        for (size_t k = 0; k < list.n; k++)
            free(list.names[k]);
        free(list.names);
        free(full);
    }
    return r;
}

/* ---- putting in order ------------------------------------------------------------------------ */

static int by_depth(const void *a, const void *b)
{
    const cm_zarr_node *x = a, *y = b;
    size_t dx = cm_zarr_depth(x->path), dy = cm_zarr_depth(y->path);
    return dx != dy ? (dx < dy ? -1 : 1) : strcmp(x->path, y->path);
}

static int find_sorted(const void *key, const void *item)
{
    const cm_zarr_node *x = key, *y = item;
    return by_depth(x, y);
}

/* Add the groups above nodes[i] that no document names. Duplicates are possible: see complete(). */
static int add_parents(cm_zarr_tree *t, size_t i, size_t known, cm_error *err)
{
    int r = 0;
    char *slash, *path = cm_strdup(t->nodes[i].path, err);
    if (!path)
        return CM_ENOMEM;
    while (r == 0 && (slash = strrchr(path, '/'))) {
        *slash = 0;
        cm_zarr_node wanted = {.path = path}, *node;
        node = bsearch(&wanted, t->nodes, known, sizeof wanted, find_sorted);
        if (node && node->is_array)
            r = cm_error_set(err, CM_EDATA, "\"%.200s\" lies below the array \"%.200s\"",
                             t->nodes[i].path, path);
        /* siblings are neighbours, so this catches nearly all repetitions */
        if (node || (t->nnodes > known && !strcmp(t->nodes[t->nnodes - 1].path, path)))
            break;
        r = add_node(t, path, &node, err);
    }
    free(path);
    return r;
}

/* Consolidated documents may leave out groups (v2 had implicit ones): make them. Nothing lies below
 * an array. */
static int complete(cm_zarr_tree *t, cm_error *err)
{
    qsort(t->nodes, t->nnodes, sizeof *t->nodes, by_depth);
    size_t known = t->nnodes, kept = 0;
    int r = 0;
    for (size_t i = 0; i < known && r == 0; i++)
        r = add_parents(t, i, known, err);
    qsort(t->nodes, t->nnodes, sizeof *t->nodes, by_depth);
    for (size_t i = 0; i < t->nnodes; i++) {
        if (kept && !strcmp(t->nodes[kept - 1].path, t->nodes[i].path))
            free(t->nodes[i].path);
        else
            t->nodes[kept++] = t->nodes[i];
    }
    t->nnodes = kept;
    return r;
}

static int load_v3(cm_context *ctx, cm_zarr_tree *t, cm_store *store, const char *key,
                   const cm_json *document, const cm_object_version *version, cm_error *err)
{
    const char *type = cm_json_string(cm_json_get(document, "node_type"));
    const cm_json *consolidated = cm_json_get(document, "consolidated_metadata");
    cm_zarr_node *root;
    if (exists(store, key, ".zgroup") || exists(store, key, ".zarray"))
        cm_context_log(ctx, CM_LOG_WARNING, "%s: there is Zarr v2 and Zarr v3 metadata; v3 is read",
                       store->uri);
    if (!type || (strcmp(type, "array") != 0 && strcmp(type, "group") != 0))
        return cm_error_set(err, CM_EDATA,
                            "zarr.json: \"node_type\" is neither \"array\" nor \"group\"");
    t->format = 3;
    int r = add_node(t, "", &root, err);
    if (r)
        return r;
    root->document = document;
    root->is_array = !strcmp(type, "array");
    root->version = *version;
    if (root->is_array)
        return 0;
    const char *kind = cm_json_string(cm_json_get(consolidated, "kind"));
    const cm_json *metadata = cm_json_get(consolidated, "metadata");
    if (kind && !strcmp(kind, "inline") && cm_json_is(metadata, CM_JSON_OBJECT)) {
        t->consolidated = true;
        r = consolidated_v3(t, metadata, err);
        return r ? r : complete(t, err);
    }
    if (cm_json_is(consolidated, CM_JSON_OBJECT))
        cm_context_log(ctx, CM_LOG_WARNING,
                       "%s: consolidated metadata of an unknown kind is ignored", store->uri);
    return list_nodes(ctx, t, store, key, err);
}

static int load_v2(cm_context *ctx, cm_zarr_tree *t, cm_store *store, const char *key,
                   cm_error *err)
{
    const cm_json *zmetadata, *zarray, *zgroup, *zattrs;
    cm_zarr_node *root;
    cm_object_version version = {0};
    int r = load(t, store, key, ".zmetadata", &zmetadata, NULL, err);
    if (r)
        return r;
    t->format = 2;
    if (zmetadata) {
        t->consolidated = true;
        r = consolidated_v2(t, zmetadata, err);
        if (r == 0 && (!t->nnodes || *t->nodes[0].path))
            r = add_node(t, "", &root, err);
        return r ? r : complete(t, err);
    }
    if ((r = load(t, store, key, ".zarray", &zarray, &version, err)) ||
        (r = load(t, store, key, ".zgroup", &zgroup, NULL, err)))
        return r;
    if (!zarray && !zgroup)
        return cm_error_set(err, CM_ENOTFOUND,
                            "no Zarr group or array here (no zarr.json, .zgroup, .zarray)");
    if (zarray && zgroup)
        return cm_error_set(err, CM_EDATA, "both .zarray and .zgroup are there");
    if ((r = load(t, store, key, ".zattrs", &zattrs, NULL, err)) ||
        (r = add_node(t, "", &root, err)))
        return r;
    root->document = zarray ? zarray : zgroup;
    root->attributes = zattrs;
    root->is_array = zarray != NULL;
    root->version = version;
    return root->is_array ? 0 : list_nodes(ctx, t, store, key, err);
}

int cm_zarr_tree_load(cm_context *ctx, cm_store *store, const char *key, cm_zarr_tree *out,
                      cm_error *err)
{
    *out = (cm_zarr_tree){0};
    const cm_json *document;
    cm_object_version version = {0};
    int r = load(out, store, key, "zarr.json", &document, &version, err);
    if (r)
        return r;
    return document ? load_v3(ctx, out, store, key, document, &version, err)
                    : load_v2(ctx, out, store, key, err);
}
