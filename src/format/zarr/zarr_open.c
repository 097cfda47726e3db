/* format/zarr/zarr_open.c: a Zarr hierarchy as a dataset.
 *
 * The tree's nodes become groups and variables in order, parents first. A variable whose metadata
 * is broken or uses what is not read stays in the dataset with its problem, with as much of its
 * shape, dimensions and attributes as could be understood.
 *
 * Zarr has no dimensions of its own: each group gets those that its own variables name, with the
 * length of the first variable that names one. That two variables disagree is legal in Zarr and not
 * for a reader to mend.
 *
 * `_FillValue` is an ordinary typed attribute here, whatever the store (see zarr_fill.c). In v2 it
 * is the array's fill_value.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "format/zarr/zarr_private.h"

typedef struct opening {
    cm_context *ctx;
    cm_store *store;
    const char *key, *uri;
    const cm_zarr_tree *tree;
    cm_dataset *ds;
    const cm_zarr_elsewhere *elsewhere; /* NULL: the chunks are in store */
} opening;

/* ---- attributes and dimensions --------------------------------------------------------------- */

static int group_attributes(const opening *o, cm_group *g, const cm_json *attributes, cm_error *err)
{
    int r = 0;
    for (size_t i = 0; i < cm_json_count(attributes) && r == 0; i++) {
        const char *name = cm_json_key(attributes, i);
        if (cm_zarr_attribute_hidden(name, o->tree->format, false))
            continue;
        cm_json *value = cm_json_copy(o->ds->doc, cm_json_at(attributes, i));
        r = value ? cm_group_add_attribute(g, name, value, cm_dtype_of(CM_NONE, 0), err)
                  : cm_error_set(err, CM_ENOMEM, "out of memory (attributes)");
    }
    return r;
}

static int add_attribute(cm_variable *v, const char *name, cm_json *value, cm_dtype dtype,
                         cm_error *err)
{
    return value ? cm_variable_add_attribute(v, name, value, dtype, err)
                 : cm_error_set(err, CM_ENOMEM, "out of memory (attributes)");
}

static int variable_attributes(const opening *o, cm_variable *v, const cm_zarr_meta *m,
                               cm_error *err)
{
    const cm_dtype none = cm_dtype_of(CM_NONE, 0);
    cm_json_doc *doc = o->ds->doc;
    int format = o->tree->format, r = 0;
    for (size_t i = 0; i < cm_json_count(m->attributes) && r == 0; i++) {
        const char *name = cm_json_key(m->attributes, i);
        const cm_json *stored = cm_json_at(m->attributes, i);
        if (cm_zarr_attribute_hidden(name, format, true))
            continue;
        bool mask = !strcmp(name, "_FillValue") && m->type.dtype.kind != CM_NONE &&
                    !cm_zarr_fill_is_other(m->type.dtype);
        cm_json *value = mask && format == 3 ? cm_zarr_mask_decode(doc, &m->type, stored)
                                             : cm_json_copy(doc, stored);
        bool typed = mask && cm_zarr_mask_is_typed(m->type.dtype, value);
        r = add_attribute(v, name, value, typed ? m->type.dtype : none, err);
    }
    if (r || format == 3 || !m->fill || m->type.dtype.kind == CM_NONE ||
        cm_zarr_fill_is_other(m->type.dtype))
        return r;
    cm_json *value = cm_zarr_mask_from_v2(doc, &m->type, m->fill, &m->cell);
    return add_attribute(v, "_FillValue", value,
                         cm_zarr_mask_is_typed(m->type.dtype, value) ? m->type.dtype : none, err);
}

static int variable_dimensions(cm_variable *v, const cm_zarr_meta *m, cm_error *err)
{
    int r = 0;
    v->ndim = m->ndim;
    memcpy(v->shape, m->shape, sizeof v->shape);
    for (int i = 0; i < m->ndim && m->names && r == 0; i++) {
        const cm_json *item = cm_json_at(m->names, (size_t)i);
        const char *name = cm_json_string(item), *slash;
        if (!name || strlen(name) != cm_json_string_nbytes(item))
            continue;
        if (m->qualified && (slash = strrchr(name, '/')))
            name = slash + 1;
        if (!*name)
            continue;
        r = cm_variable_set_dimension(v, i, name, err);
        if (r == 0 && !strchr(name, '/') &&
            cm_name_table_find(&v->group->dimension_names, name, strlen(name)) < 0)
            r = cm_group_add_dimension(v->group, name, m->shape[i], false, err);
    }
    return r;
}

/* The array's own document as its guard, of the version that was read. In consolidated hierarchies
 * it was not: then of the version that is there now, and there is none where it cannot be looked
 * at; it may be gone, and what keeps us from it keeps us from the chunks too. */
static int find_guard(const opening *o, const cm_zarr_node *node, cm_object_version *version,
                      char **key, cm_error *err)
{
    char *prefix = cm_zarr_key_join(o->key, node->path, err);
    *key = prefix ? cm_zarr_key_join(prefix, o->tree->format == 3 ? "zarr.json" : ".zarray", err)
                  : NULL;
    free(prefix);
    if (!*key)
        return CM_ENOMEM;
    static const cm_object_version unread;
    *version = node->version;
    if (memcmp(version, &unread, sizeof unread) == 0 &&
        o->store->vt->stat(o->store, *key, version, NULL) != 0) {
        free(*key);
        *key = NULL;
    }
    return 0;
}

/* ---- one array ------------------------------------------------------------------------------- */

typedef struct looking {
    char separator; /* 0: nothing was found that tells */
} looking;

/* "12/..." or "12.34": the first that tells ends the listing. */
static int look_at_name(void *user, const char *name, bool is_prefix, uint64_t size, cm_error *err)
{
    looking *l = user;
    size_t digits = strspn(name, "0123456789");
    (void)size, (void)err;
    if (digits && !name[digits] && is_prefix)
        l->separator = '/';
    else if (digits && name[digits] == '.' && !is_prefix)
        l->separator = '.';
    return l->separator ? 1 : 0;
}

/* v2 without "dimension_separator": chunks in folders were written by stores that knew by
 * themselves (zarr-python's NestedDirectoryStore before 2.8, an FSStore told so). Read by the other
 * keys such an array would be nothing but fill. */
static int look_for_separator(const opening *o, const char *prefix, cm_zarr_meta *m, cm_error *err)
{
    looking l = {0};
    if (o->tree->format != 2 || m->separator_given || m->ndim < 2)
        return 0;
    int r = o->store->vt->list(o->store, prefix, look_at_name, &l, err);
    if (l.separator)
        m->separator = l.separator;
    return r == 1 ? 0 : r;
}

static int make_table(const opening *o, const cm_zarr_node *node, cm_zarr_meta *m, cm_table **out,
                      cm_error *err)
{
    if (o->elsewhere && m->grid)
        return cm_error_set(err, CM_EUNSUP, "references to a rectilinear chunk grid");
    if (o->elsewhere) {
        cm_zarr_place place = {node->path,
                               m->ndim,
                               m->shape,
                               m->chunk,
                               m->separator,
                               m->default_keys,
                               m->chain->a2b == CM_A2B_SHARDING};
        return o->elsewhere->make(o->elsewhere->user, &place, out, err);
    }
    char *prefix = cm_zarr_key_join(o->key, node->path, err);
    int r = prefix ? look_for_separator(o, prefix, m, err) : CM_ENOMEM;
    if (r == 0)
        r = cm_table_new_named(prefix, m->ndim, m->separator, m->default_keys, out, err);
    free(prefix);
    return r;
}

/* The lengths of an irregular grid, as they are in the document. */
static int name_grid(cm_variable *v, const cm_zarr_meta *m, cm_error *err)
{
    size_t nbytes;
    char *text = NULL;
    int r = cm_json_write(m->grid_shapes, 0, &text, &nbytes, err);
    if (r == 0)
        r = cm_variable_set_lengths(v, text, err);
    free(text);
    return r;
}

static int make_array(const opening *o, const cm_zarr_node *node, cm_variable *v, cm_zarr_meta *m,
                      cm_error *err)
{
    cm_table *table = NULL;
    cm_array *array = NULL;
    char *text = NULL, *guard_key = NULL;
    bool irregular;
    cm_object_version guard = {0};
    const cm_chain *chain = m->chain;
    const int64_t *chunks = m->chunk, *shards = NULL;
    int r = make_table(o, node, m, &table, err);
    if (r == 0 && !(text = cm_chain_text(chain, err)))
        r = CM_ENOMEM;
    if (r == 0 && !o->elsewhere)
        r = find_guard(o, node, &guard, &guard_key, err);
    if (r) {
        if (table)
            table->free(table);
        goto out;
    }
    if (chain->a2b == CM_A2B_SHARDING) {
        chunks = chain->inner->shape;
        shards = m->chunk;
    }
    cm_chunked_spec spec = {.dtype = m->type.dtype,
                            .ndim = m->ndim,
                            .shape = m->shape,
                            .chunk = m->chunk,
                            .fill = cm_zarr_fill_is_other(m->type.dtype) ? m->cell_other
                                                                         : m->cell.bytes,
                            .chain = cm_chain_ref(m->chain),
                            .grid = m->grid,
                            .table = table,
                            .store = o->elsewhere ? o->elsewhere->objects : o->store,
                            .guard_key = guard_key,
                            .guard = guard,
                            .label = o->uri,
                            .path = v->path};
    if (m->type.cells != CM_ZARR_PLAIN && (r = cm_zarr_text_apply(m, &spec, err))) {
        cm_chain_unref(spec.chain);
        table->free(table);
        goto out;
    }
    irregular = m->grid != NULL;
    m->grid = NULL; /* taken */
    r = cm_chunked_new(&spec, &array, err);
    if (r && spec.owner)
        spec.owner_release(spec.owner);
    if (r == 0)
        r = cm_variable_set_storage(v, m->ndim, chunks, shards, text, m->type.text, array->raw,
                                    err);
    if (r == 0 && irregular)
        r = name_grid(v, m, err);
    if (r) {
        cm_array_unref(array);
        goto out;
    }
    cm_variable_set_array(v, array);
out:
    free(text);
    free(guard_key);
    return r;
}

/* A failure that is this variable's own becomes its problem; others (memory) fail the open. */
static int settle(const opening *o, cm_variable *v, int r, cm_error *why, cm_error *err)
{
    if (r == 0)
        return 0;
    cm_error_object(why, o->uri);
    cm_error_variable(why, v->path);
    if (r == CM_EDATA || r == CM_EUNSUP || r == CM_ELIMIT || r == CM_EINVAL)
        return cm_variable_set_problem(v, why, err);
    if (err)
        *err = *why;
    return r;
}

/* Marks of netCDF-C at the root, in all of its modes and versions. */
static bool is_by_netcdf(const cm_zarr_tree *tree)
{
    static const char *const marks[] = {"_NCProperties", "_nczarr_superblock", "_NCZARR_SUPERBLOCK",
                                        "_nczarr_group", "_NCZARR_GROUP"};
    const cm_zarr_node *root = tree->nnodes ? &tree->nodes[0] : NULL;
    for (size_t i = 0; i < sizeof marks / sizeof marks[0] && root && tree->format == 2; i++)
        if (cm_json_get(root->attributes, marks[i]) || cm_json_get(root->document, marks[i]))
            return true;
    return false;
}

static int add_array(const opening *o, const cm_zarr_node *node, cm_group *parent, const char *name,
                     cm_error *err)
{
    cm_variable *v;
    cm_zarr_meta m = {.ndim = -1, .by_netcdf = is_by_netcdf(o->tree)};
    cm_error why = {0};
    int described = 0, r = cm_group_add_variable(parent, name, &v, err);
    if (r)
        return r;
    if (node->problem) {
        why = *node->problem;
        return settle(o, v, why.code, &why, err);
    }
    r = o->tree->format == 3 ? cm_zarr_meta_parse_v3(node->document, &m, &why)
                             : cm_zarr_meta_parse_v2(node->document, node->attributes, &m, &why);
    if (m.ndim >= 0)
        described = variable_dimensions(v, &m, err);
    if (described == 0)
        described = variable_attributes(o, v, &m, err);
    if (described == 0 && r == 0)
        r = make_array(o, node, v, &m, &why);
    cm_zarr_meta_deinit(&m);
    return described ? described : settle(o, v, r, &why, err);
}

/* ---- the tree -------------------------------------------------------------------------------- */

static int check_group(const cm_zarr_node *node, int format, const cm_json **attributes,
                       cm_error *err)
{
    static const char *const known[] = {"zarr_format", "node_type", "attributes",
                                        "consolidated_metadata"};
    int64_t version;
    *attributes = node->attributes;
    if (!node->document)
        return 0;
    if (!cm_json_int64(cm_json_get(node->document, "zarr_format"), &version) || version != format)
        return cm_error_set(err, CM_EDATA, "group \"/%.200s\": \"zarr_format\" is not %d",
                            node->path, format);
    if (format == 2)
        return 0;
    for (size_t i = 0; i < cm_json_count(node->document); i++) {
        const char *key = cm_json_key(node->document, i);
        const cm_json *must = cm_json_get(cm_json_at(node->document, i), "must_understand");
        bool found = cm_json_is(must, CM_JSON_BOOL) && !cm_json_bool(must, true);
        for (size_t k = 0; k < 4 && !found; k++)
            found = !strcmp(key, known[k]);
        if (!found)
            return cm_error_set(err, CM_EUNSUP, "group \"/%.200s\": unknown member \"%.100s\"",
                                node->path, key);
    }
    *attributes = cm_json_get(node->document, "attributes");
    if (*attributes && !cm_json_is(*attributes, CM_JSON_OBJECT))
        return cm_error_set(err, CM_EDATA, "group \"/%.200s\": \"attributes\" is not an object",
                            node->path);
    return 0;
}

/* The last part of a URI as the name of an array that has none, "array" when there is none. */
static char *name_of_uri(const char *uri, cm_error *err)
{
    size_t n = strlen(uri);
    while (n && uri[n - 1] == '/')
        n--;
    size_t start = n;
    while (start && uri[start - 1] != '/' && uri[start - 1] != ':')
        start--;
    return n > start ? cm_strndup(uri + start, n - start, err) : cm_strdup("array", err);
}

static int add_group(const opening *o, const cm_zarr_node *node, cm_group *parent, const char *name,
                     cm_error *err)
{
    const cm_json *attributes;
    cm_group *g = o->ds->root;
    int r = check_group(node, o->tree->format, &attributes, err);
    if (r == 0 && *node->path)
        r = cm_group_add_group(parent, name, &g, err);
    return r ? r : group_attributes(o, g, attributes, err);
}

static int add_node(const opening *o, const cm_zarr_node *node, cm_error *err)
{
    const char *slash = strrchr(node->path, '/');
    const char *name = slash ? slash + 1 : node->path;
    cm_group *parent = o->ds->root;
    char *own_name = NULL;
    int r = 0;
    if (slash) {
        char *path = cm_strndup(node->path, (size_t)(slash - node->path), err);
        if (!path)
            return CM_ENOMEM;
        parent = cm_group_find(o->ds->root, path);
        free(path);
        if (!parent)
            return cm_error_set(err, CM_EDATA, "\"%.200s\" lies below something that is no group",
                                node->path);
    }
    if (!*node->path && node->is_array) {
        o->ds->is_array = true;
        name = own_name = name_of_uri(o->uri, err);
        if (!own_name)
            return CM_ENOMEM;
    }
    r = node->is_array ? add_array(o, node, parent, name, err)
                       : add_group(o, node, parent, name, err);
    free(own_name);
    return r;
}

static int open_tree(opening *o, cm_dataset **out, cm_error *err)
{
    cm_zarr_tree tree;
    o->tree = &tree;
    int r = cm_zarr_tree_load(o->ctx, o->store, o->key, &tree, err);
    const char *format = tree.format == 3 ? "Zarr v3" : "Zarr v2";
    if (r == 0)
        r = cm_dataset_new(o->ctx, o->uri, o->elsewhere ? o->elsewhere->format : format, &o->ds,
                           err);
    for (size_t i = 0; i < tree.nnodes && r == 0; i++)
        r = add_node(o, &tree.nodes[i], err);
    cm_zarr_tree_deinit(&tree);
    if (r) {
        cm_error_object(err, o->uri);
        cm_dataset_free(o->ds);
        return r;
    }
    *out = o->ds;
    return 0;
}

int cm_zarr_open(cm_context *ctx, cm_store *store, const char *key, const char *uri,
                 cm_dataset **out, cm_error *err)
{
    opening o = {ctx, store, key ? key : "", uri, NULL, NULL, NULL};
    return open_tree(&o, out, err);
}

int cm_zarr_open_elsewhere(cm_context *ctx, cm_store *store, const char *uri,
                           const cm_zarr_elsewhere *elsewhere, cm_dataset **out, cm_error *err)
{
    opening o = {ctx, store, "", uri, NULL, NULL, elsewhere};
    return open_tree(&o, out, err);
}
