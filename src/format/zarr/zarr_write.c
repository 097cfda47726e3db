/* format/zarr/zarr_write.c: collects the nodes of a store and puts their documents, last of all.
 *
 * The order of finish is what makes an interrupted save harmless. A reader finds a store by its
 * root: so the deepest nodes are put first, then the consolidated metadata, and the root group's
 * document last. In v3 the last two are one object, so the switch is atomic; in v2 a store appears
 * with .zgroup, when .zmetadata is already there.
 *
 * A root that is an array has its own document and nothing else, as zarr-python writes it.
 *
 * Consolidated metadata is ordered as zarr-python has it, by depth, then by name; nested groups in
 * v3 get an empty consolidated member of their own there, which tells zarr-python that the flat map
 * knows them, so that it does not go and list.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "format/zarr/zarr_write_private.h"
#include "text/utf8.h"

typedef struct node {
    char *path;           /* "" for the root, "a/b" */
    cm_zarr_array *array; /* NULL for groups */
    cm_json *attributes;  /* of a group */
} node;

struct cm_zarr_writer {
    cm_store *store;
    char *prefix;
    int format;
    cm_json_doc *doc;
    node *nodes;
    size_t nnodes, nodes_capacity;
    cm_zarr_array **arrays; /* owned, in order of adding */
    size_t narrays, arrays_capacity;
};

/* ---- nodes ----------------------------------------------------------------------------------- */

static bool only_dots(const char *part, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (part[i] != '.')
            return false;
    return true;
}

static bool reserved(const char *part, size_t n)
{
    static const char *const names[] = {"zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i]) == n && !memcmp(names[i], part, n))
            return true;
    return only_dots(part, n); /* "" too */
}

static int check_path(const char *path, cm_error *err)
{
    const char *p = path;
    if (!*p)
        return 0;
    for (;;) {
        const char *end = strchrnul(p, '/');
        if (reserved(p, (size_t)(end - p)))
            return cm_error_set(err, CM_EINVAL, "\"%.200s\" is not a name that Zarr allows", path);
        if (!*end)
            return cm_store_check_key(path, err);
        p = end + 1;
    }
}

static node *find(const cm_zarr_writer *w, const char *path)
{
    for (size_t i = 0; i < w->nnodes; i++)
        if (!strcmp(w->nodes[i].path, path))
            return &w->nodes[i];
    return NULL;
}

static int add_node(cm_zarr_writer *w, const char *path, cm_zarr_array *array, cm_json *attributes,
                    cm_error *err)
{
    int r = cm_grow(&w->nodes, &w->nodes_capacity, w->nnodes + 1, sizeof *w->nodes, err);
    if (r)
        return r;
    char *own = cm_strdup(path, err);
    if (!own)
        return CM_ENOMEM;
    w->nodes[w->nnodes++] = (node){own, array, attributes};
    return 0;
}

/* The groups above path, which is checked. */
static int add_parents(cm_zarr_writer *w, const char *path, cm_error *err)
{
    int r = 0;
    for (const char *slash = strchr(path, '/'); slash && r == 0; slash = strchr(slash + 1, '/')) {
        char *parent = cm_strndup(path, (size_t)(slash - path), err);
        const node *there = parent ? find(w, parent) : NULL;
        if (!parent) {
            r = CM_ENOMEM;
        } else if (there && there->array) {
            r = cm_error_set(err, CM_EEXIST, "\"/%.200s\" is an array, nothing can be below it",
                             parent);
        } else if (!there) {
            cm_json *none = cm_json_new_object(w->doc);
            r = none ? add_node(w, parent, NULL, none, err)
                     : cm_error_set(err, CM_ENOMEM, "out of memory (metadata)");
        }
        free(parent);
    }
    return r;
}

int cm_zarr_writer_new(cm_store *store, const char *prefix, int zarr_format, cm_zarr_writer **out,
                       cm_error *err)
{
    int r = *prefix ? cm_store_check_key(prefix, err) : 0;
    if (r)
        return r;
    if (zarr_format != 2 && zarr_format != 3)
        return cm_error_set(err, CM_EINVAL, "there is no Zarr format %d", zarr_format);
    cm_zarr_writer *w = cm_calloc(1, sizeof *w, err);
    if (!w)
        return CM_ENOMEM;
    w->store = cm_store_ref(store);
    w->format = zarr_format;
    w->prefix = cm_strdup(prefix, err);
    r = w->prefix ? cm_json_doc_new(0, &w->doc, err) : CM_ENOMEM;
    cm_json *none = r == 0 ? cm_json_new_object(w->doc) : NULL;
    if (r == 0)
        r = none ? add_node(w, "", NULL, none, err)
                 : cm_error_set(err, CM_ENOMEM, "out of memory (metadata)");
    if (r)
        cm_zarr_writer_free(w);
    else
        *out = w;
    return r;
}

static void free_array(cm_zarr_array *a)
{
    if (!a)
        return;
    if (a->keys)
        a->keys->free(a->keys);
    free(a->path);
    free(a->key_prefix);
    free(a->fill_string);
    free(a->fill_other);
    free(a);
}

void cm_zarr_writer_free(cm_zarr_writer *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->nnodes; i++)
        free(w->nodes[i].path);
    for (size_t i = 0; i < w->narrays; i++)
        free_array(w->arrays[i]);
    free(w->nodes);
    free(w->arrays);
    free(w->prefix);
    cm_json_doc_free(w->doc);
    cm_store_unref(w->store);
    free(w);
}

/* Before any chunk is written, not when the documents are. */
static int check_attributes(const cm_attribute *attributes, size_t n, cm_error *err)
{
    for (size_t i = 0; i < n; i++) {
        const char *name = attributes[i].name;
        size_t nbytes = strlen(name), good = cm_utf8_span(name, nbytes);
        if (good < nbytes)
            return cm_error_set(err, CM_EUNSUP,
                                "attribute \"%.*s...\" has a name that is not UTF-8",
                                (int)(good < 200 ? good : 200), name);
    }
    return 0;
}

/* An array at the root is alone. */
static int check_root(const cm_zarr_writer *w, bool array_to_come, cm_error *err)
{
    if (w->nodes[0].array || (array_to_come && w->nnodes > 1))
        return cm_error_set(err, CM_EEXIST, "nothing can be beside an array at the root");
    return 0;
}

int cm_zarr_writer_add_group(cm_zarr_writer *w, const char *path, const cm_attribute *attributes,
                             size_t nattributes, cm_error *err)
{
    path += *path == '/';
    int r = check_path(path, err);
    if (r == 0)
        r = check_root(w, false, err);
    if (r == 0)
        r = check_attributes(attributes, nattributes, err);
    if (r == 0)
        r = add_parents(w, path, err);
    if (r)
        return r;
    node *there = find(w, path);
    if (there && there->array)
        return cm_error_set(err, CM_EEXIST, "\"/%.200s\" is an array", path);
    cm_json *own = cm_zarr_attributes_describe(w->doc, attributes, nattributes);
    if (!own)
        return cm_error_set(err, CM_ENOMEM, "out of memory (metadata)");
    if (!there)
        return add_node(w, path, NULL, own, err);
    there->attributes = own;
    return 0;
}

static int name_array(cm_zarr_writer *w, cm_zarr_array *a, const char *path,
                      const cm_zarr_array_spec *spec, cm_error *err)
{
    char separator = spec->separator ? spec->separator : w->format == 3 ? '/' : '.';
    if (!(a->path = cm_sprintf(err, "/%s", path)) ||
        !(a->key_prefix = cm_zarr_key_join(w->prefix, path, err)))
        return CM_ENOMEM;
    return cm_table_new_named(a->key_prefix, spec->ndim, separator, w->format == 3, &a->keys, err);
}

int cm_zarr_writer_add_array(cm_zarr_writer *w, const cm_zarr_array_spec *spec, cm_zarr_array **out,
                             cm_error *err)
{
    const char *path = spec->path + (*spec->path == '/');
    cm_zarr_array *a = NULL;
    int r = check_path(path, err);
    if (r == 0)
        r = check_root(w, !*path, err);
    if (r == 0)
        r = check_attributes(spec->attributes, spec->nattributes, err);
    if (r == 0)
        r = add_parents(w, path, err);
    if (r == 0 && *path && find(w, path))
        r = cm_error_set(err, CM_EEXIST, "\"/%.200s\" is there already", path);
    if (r == 0)
        r = cm_grow(&w->arrays, &w->arrays_capacity, w->narrays + 1, sizeof *w->arrays, err);
    if (r)
        goto out;
    a = cm_calloc(1, sizeof *a, err);
    if (!a)
        return CM_ENOMEM;
    a->format = w->format;
    a->dtype = spec->dtype;
    if ((r = cm_zarr_array_describe(a, w->doc, spec, err)) ||
        (r = name_array(w, a, path, spec, err)) ||
        (r = *path ? add_node(w, path, a, NULL, err) : 0))
        goto out;
    if (!*path)
        w->nodes[0].array = a;
    w->arrays[w->narrays++] = a;
    if (out)
        *out = a;
out:
    if (r) {
        cm_error_variable(err, spec->path);
        free_array(a);
    }
    return r;
}

/* ---- finish ---------------------------------------------------------------------------------- */

static int by_depth(const void *a, const void *b)
{
    const node *x = a, *y = b;
    size_t dx = cm_zarr_depth(x->path), dy = cm_zarr_depth(y->path);
    return dx != dy ? (dx < dy ? -1 : 1) : strcmp(x->path, y->path);
}

static int put(const cm_zarr_writer *w, const char *path, const char *name, const cm_json *v,
               int indent, cm_error *err)
{
    char *text = NULL, *key = NULL, *folder = cm_zarr_key_join(w->prefix, path, err);
    size_t nbytes = 0;
    int r = folder && (key = cm_zarr_key_join(folder, name, err)) ? 0 : CM_ENOMEM;
    if (r == 0)
        r = cm_json_write(v, indent, &text, &nbytes, err);
    if (r == 0)
        r = w->store->vt->put(w->store, key, &(cm_iov){text, nbytes}, 1, 0, err);
    free(text);
    free(key);
    free(folder);
    return r;
}

static cm_json *inline_metadata(cm_json_doc *doc, cm_json *metadata)
{
    cm_json *v = cm_json_new_object(doc);
    if (!v || cm_json_set_string(doc, v, "kind", "inline") ||
        cm_json_set_bool(doc, v, "must_understand", false) ||
        cm_json_set(doc, v, "metadata", metadata))
        return NULL;
    return v;
}

/* A group's zarr.json; consolidated may be NULL: without. */
static cm_json *group_v3(cm_json_doc *doc, const node *n, cm_json *consolidated)
{
    cm_json *v = cm_json_new_object(doc);
    if (!v || cm_json_set(doc, v, "attributes", cm_json_copy(doc, n->attributes)) ||
        cm_json_set_int64(doc, v, "zarr_format", 3) ||
        (consolidated && cm_json_set(doc, v, "consolidated_metadata", consolidated)) ||
        cm_json_set_string(doc, v, "node_type", "group"))
        return NULL;
    return v;
}

static cm_json *root_v3(const cm_zarr_writer *w, cm_json_doc *doc)
{
    cm_json *metadata = cm_json_new_object(doc);
    for (size_t i = 1; i < w->nnodes && metadata; i++) {
        const node *n = &w->nodes[i];
        cm_json *v = n->array ? cm_json_copy(doc, n->array->document)
                              : group_v3(doc, n, inline_metadata(doc, cm_json_new_object(doc)));
        if (cm_json_set(doc, metadata, n->path, v))
            metadata = NULL;
    }
    cm_json *consolidated = metadata ? inline_metadata(doc, metadata) : NULL;
    return consolidated ? group_v3(doc, &w->nodes[0], consolidated) : NULL;
}

static int finish_v3(const cm_zarr_writer *w, cm_json_doc *doc, cm_error *err)
{
    int r = 0;
    if (w->nodes[0].array)
        return put(w, "", "zarr.json", w->nodes[0].array->document, 2, err);
    for (size_t i = w->nnodes; i-- > 1 && r == 0;) {
        const node *n = &w->nodes[i];
        const cm_json *v = n->array ? n->array->document : group_v3(doc, n, NULL);
        r = v ? put(w, n->path, "zarr.json", v, 2, err)
              : cm_error_set(err, CM_ENOMEM, "out of memory (metadata)");
    }
    if (r)
        return r;
    const cm_json *root = root_v3(w, doc);
    return root ? put(w, "", "zarr.json", root, 2, err)
                : cm_error_set(err, CM_ENOMEM, "out of memory (metadata)");
}

/* metadata[path/name] = copy of v */
static int set_v2(cm_json_doc *doc, cm_json *metadata, const char *path, const char *name,
                  const cm_json *v, cm_error *err)
{
    char *key = cm_zarr_key_join(path, name, err);
    int r = key ? cm_json_set(doc, metadata, key, cm_json_copy(doc, v)) : CM_ENOMEM;
    free(key);
    return r ? cm_error_set(err, CM_ENOMEM, "out of memory (metadata)") : 0;
}

static int finish_v2(const cm_zarr_writer *w, cm_json_doc *doc, cm_error *err)
{
    cm_json *zgroup = cm_json_new_object(doc), *metadata = cm_json_new_object(doc);
    cm_json *zmetadata = cm_json_new_object(doc);
    int r = 0;
    if (!zgroup || !metadata || !zmetadata || cm_json_set_int64(doc, zgroup, "zarr_format", 2) ||
        cm_json_set(doc, zmetadata, "metadata", metadata) ||
        cm_json_set_int64(doc, zmetadata, "zarr_consolidated_format", 1))
        return cm_error_set(err, CM_ENOMEM, "out of memory (metadata)");
    for (size_t i = 0; i < w->nnodes && r == 0; i++) {
        const node *n = &w->nodes[i];
        const cm_json *v = n->array ? n->array->document : zgroup;
        const cm_json *zattrs = n->array ? n->array->zattrs : n->attributes;
        const char *name = n->array ? ".zarray" : ".zgroup";
        if ((r = set_v2(doc, metadata, n->path, name, v, err)) == 0)
            r = set_v2(doc, metadata, n->path, ".zattrs", zattrs, err);
    }
    for (size_t i = w->nnodes; i-- > 0 && r == 0;) {
        const node *n = &w->nodes[i];
        if ((r = put(w, n->path, ".zattrs", n->array ? n->array->zattrs : n->attributes, 4, err)))
            break;
        if (n->array)
            r = put(w, n->path, ".zarray", n->array->document, 4, err);
        else if (i)
            r = put(w, n->path, ".zgroup", zgroup, 4, err);
    }
    if (w->nodes[0].array)
        return r;
    if (r == 0)
        r = put(w, "", ".zmetadata", zmetadata, 0, err);
    return r ? r : put(w, "", ".zgroup", zgroup, 4, err);
}

int cm_zarr_writer_finish(cm_zarr_writer *w, cm_error *err)
{
    cm_json_doc *doc = NULL; /* for what only this call needs */
    qsort(w->nodes, w->nnodes, sizeof *w->nodes, by_depth);
    int r = cm_json_doc_new(0, &doc, err);
    if (r == 0)
        r = w->format == 3 ? finish_v3(w, doc, err) : finish_v2(w, doc, err);
    cm_json_doc_free(doc);
    return r;
}

/* ---- looking --------------------------------------------------------------------------------- */

int cm_zarr_array_key(const cm_zarr_array *a, const int64_t *coord, char *key, cm_error *err)
{
    return cm_named_key(a->keys, coord, key, err);
}

const void *cm_zarr_array_fill(const cm_zarr_array *a)
{
    return a->fill_other ? a->fill_other : a->fill.bytes;
}

bool cm_zarr_array_may_skip_fill(const cm_zarr_array *a)
{
    return a->may_skip;
}

const cm_json *cm_zarr_array_document(const cm_zarr_array *a)
{
    return a->document;
}

const cm_json *cm_zarr_array_zattrs(const cm_zarr_array *a)
{
    return a->zattrs;
}
