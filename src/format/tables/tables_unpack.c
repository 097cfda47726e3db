/* format/tables/tables_unpack.c: a dataset out of an entry (tables_pack.c says what an entry is).
 *
 * The bytes of small variables come first into an overlay of the file's directory: arrays are made
 * over that. Nothing is taken on trust: counts are compared with the bytes that are there, groups
 * are counted in depth, and names, shapes and arrays go through the functions by which the drivers
 * make theirs.
 */
#include <stdlib.h>

#include "base/memory.h"
#include "format/format.h"
#include "format/tables/tables.h"
#include "store/overlay.h"
#include "text/json_wire.h"

enum { MOST_DEPTH = 128 };

static int malformed(cm_error *err)
{
    return cm_error_set(err, CM_EDATA, "a scan table that is malformed");
}

/* Why r gave nothing. */
static int reason(const cm_wire_in *r, cm_error *err)
{
    return r->bad ? malformed(err) : cm_error_set(err, CM_ENOMEM, "out of memory");
}

static int take_attributes(cm_tables_unpacker *u, cm_attributes *list, cm_dataset *ds,
                           cm_error *err)
{
    cm_wire_in *r = &u->r;
    size_t n = cm_wire_count(r, 4);
    for (size_t i = 0; i < n && !r->bad; i++) {
        const cm_record *record = NULL;
        cm_dtype dtype;
        char *name = cm_wire_string(r, err);
        if (!name)
            return reason(r, err);
        const cm_json *value = NULL;
        int ret = cm_tables_take_dtype(r, &dtype, &record, err) ? 0 : reason(r, err);
        if (record) { /* nobody would own it */
            cm_record_unref(record);
            ret = malformed(err);
        }
        if (ret == 0 && !(value = cm_json_wire_take(r, ds->doc)))
            ret = reason(r, err);
        if (ret == 0)
            ret = cm_attributes_set(list, ds->tree, name, value, dtype, err);
        free(name);
        if (ret)
            return ret;
    }
    return r->bad || list->count != n ? malformed(err) : 0;
}

static bool take_lengths(cm_wire_in *r, int n, int64_t *lengths)
{
    bool given = cm_wire_upto(r, 1) != 0;
    for (int i = 0; i < n && given; i++)
        lengths[i] = (int64_t)cm_wire_upto(r, INT64_MAX);
    return given;
}

static int take_storage(cm_tables_unpacker *u, cm_variable *v, cm_error *err)
{
    cm_wire_in *r = &u->r;
    int64_t chunks[CM_MAX_DIMS], shards[CM_MAX_DIMS];
    bool has_chunks = take_lengths(r, v->ndim, chunks),
         has_shards = take_lengths(r, v->ndim, shards);
    char *codecs = cm_wire_string(r, err), *stored = codecs ? cm_wire_string(r, err) : NULL;
    uint64_t flags = stored ? cm_wire_upto(r, 3) : 0;
    int ret = stored && !r->bad ? 0 : reason(r, err);
    if (ret == 0 && flags & 2)
        ret = cm_variable_set_storage(v, v->ndim, has_chunks ? chunks : NULL,
                                      has_shards ? shards : NULL, codecs, stored, flags & 1, err);
    free(codecs);
    free(stored);
    return ret;
}

static bool take_text(cm_wire_in *r, char *out, size_t size)
{
    size_t n;
    const char *s = cm_wire_bytes(r, &n);
    if (n >= size || memchr(s, 0, n))
        cm_wire_fail(r);
    else
        memcpy(out, s, n); /* out is zeroed */
    return !r->bad;
}

static int take_problem(cm_tables_unpacker *u, cm_variable *v, cm_error *err)
{
    cm_wire_in *r = &u->r;
    cm_error *why = cm_calloc(1, sizeof *why, err);
    if (!why)
        return CM_ENOMEM;
    int64_t code = cm_wire_int(r), os_errno = cm_wire_int(r);
    bool ok = take_text(r, why->object, sizeof why->object) &&
              take_text(r, why->variable, sizeof why->variable) &&
              take_text(r, why->message, sizeof why->message) &&
              take_text(r, why->hint, sizeof why->hint);
    ok = ok && code < 0 && code >= CM_ECHANGED && os_errno >= 0 && os_errno < INT32_MAX;
    why->code = ok ? (int)code : 0;
    why->os_errno = ok ? (int)os_errno : 0;
    int ret = ok ? cm_variable_set_problem(v, why, err) : malformed(err);
    free(why);
    return ret;
}

static int take_variable(cm_tables_unpacker *u, cm_group *g, cm_error *err)
{
    cm_wire_in *r = &u->r;
    cm_variable *v;
    cm_array *array = NULL;
    char *name = cm_wire_string(r, err);
    if (!name)
        return reason(r, err);
    int ret = cm_group_add_variable(g, name, &v, err);
    free(name);
    if (ret)
        return ret;
    v->ndim = (int)cm_wire_upto(r, CM_MAX_DIMS);
    for (int i = 0; i < v->ndim && ret == 0; i++) {
        v->shape[i] = (int64_t)cm_wire_upto(r, INT64_MAX);
        if (!cm_wire_upto(r, 1))
            continue;
        char *dimension = cm_wire_string(r, err);
        ret = dimension ? cm_variable_set_dimension(v, i, dimension, err) : reason(r, err);
        free(dimension);
    }
    if (ret == 0)
        ret = take_attributes(u, &v->attributes, g->dataset, err);
    if (ret == 0)
        ret = take_storage(u, v, err);
    if (ret)
        return ret;
    if (cm_wire_left(r) && *r->at == CM_TABLES_PROBLEM) {
        r->at++;
        return take_problem(u, v, err);
    }
    ret = cm_tables_unpack_array(u, v->path, &array, err);
    if (ret == 0 &&
        (array->ndim != v->ndim ||
         (v->ndim && memcmp(array->shape, v->shape, (size_t)v->ndim * sizeof *v->shape) != 0)))
        ret = malformed(err);
    if (ret == 0)
        cm_variable_set_array(v, array);
    else
        cm_array_unref(array);
    return ret;
}

static int take_group(cm_tables_unpacker *u, cm_group *g, int depth, cm_error *err)
{
    cm_wire_in *r = &u->r;
    if (depth > MOST_DEPTH)
        return malformed(err);
    int ret = take_attributes(u, &g->attributes, g->dataset, err);
    size_t n = ret ? 0 : cm_wire_count(r, 3);
    for (size_t i = 0; i < n && ret == 0; i++) {
        char *name = cm_wire_string(r, err);
        int64_t length = name ? (int64_t)cm_wire_upto(r, INT64_MAX) : 0;
        bool unlimited = name && cm_wire_upto(r, 1) != 0;
        ret = !name || r->bad ? reason(r, err)
                              : cm_group_add_dimension(g, name, length, unlimited, err);
        free(name);
    }
    n = ret ? 0 : cm_wire_count(r, 8);
    for (size_t i = 0; i < n && ret == 0; i++)
        ret = take_variable(u, g, err);
    n = ret ? 0 : cm_wire_count(r, 5);
    for (size_t i = 0; i < n && ret == 0; i++) {
        cm_group *child;
        char *name = cm_wire_string(r, err);
        ret = name ? cm_group_add_group(g, name, &child, err) : reason(r, err);
        free(name);
        if (ret == 0)
            ret = take_group(u, child, depth + 1, err);
    }
    return ret ? ret : r->bad ? malformed(err) : 0;
}

/* The overlay, of what comes after the tree. */
static int take_bytes(cm_tables_unpacker *u, cm_wire_in *r, cm_error *err)
{
    uint64_t at = 0;
    size_t n = cm_wire_count(r, 2), nbytes;
    int ret = cm_overlay_new(u->file->store, u->file->key, &u->file->version, &u->store, err);
    for (size_t i = 0; i < n && ret == 0; i++) {
        uint64_t gap = cm_wire_uint(r);
        const void *p = cm_wire_bytes(r, &nbytes);
        if (r->bad || gap > u->file->version.size - at)
            return malformed(err);
        at += gap;
        ret = cm_overlay_add(u->store, at, p, nbytes, err);
        at += nbytes;
    }
    return ret ? ret : r->bad || cm_wire_left(r) ? malformed(err) : 0;
}

/* An entry is the length of its tree, the tree, and the bytes. */
static int split(cm_tables_unpacker *u, const void *bytes, size_t nbytes, cm_error *err)
{
    cm_wire_in all = cm_wire_of(bytes, nbytes);
    size_t ntree = (size_t)cm_wire_upto(&all, nbytes);
    const void *tree = cm_wire_raw(&all, ntree);
    if (all.bad)
        return malformed(err);
    u->r = cm_wire_of(tree, ntree);
    return take_bytes(u, &all, err);
}

/* An entry without a tree: the file itself, if it is the one that was scanned. */
static int open_itself(cm_tables_unpacker *u, cm_dataset **out, cm_error *err)
{
    const cm_tables_file *f = u->file;
    cm_object_version now;
    int ret = cm_format_open_object(u->ctx, f->store, f->key, u->uri, out, err);
    if (ret == 0)
        ret = f->store->vt->stat(f->store, f->key, &now, err);
    if (ret == 0 && memcmp(&now, &f->version, sizeof now) != 0)
        ret = cm_error_set(err, CM_ECHANGED, "it changed since it was scanned");
    if (ret) {
        cm_dataset_free(*out);
        *out = NULL;
        cm_error_object(err, u->uri);
    }
    return ret;
}

int cm_tables_unpack(cm_context *ctx, const void *bytes, size_t nbytes, const cm_tables_file *file,
                     const char *uri, cm_dataset **out, cm_error *err)
{
    cm_tables_unpacker u = {.ctx = ctx, .file = file, .uri = uri};
    cm_dataset *ds = NULL;
    char *format = NULL;
    *out = NULL;
    int ret = split(&u, bytes, nbytes, err);
    if (ret == 0 && cm_wire_left(&u.r) == 0) {
        cm_store_unref(u.store);
        return open_itself(&u, out, err);
    }
    if (ret == 0)
        ret = cm_tables_later_new(ctx, file, uri, &u.later, err);
    if (ret == 0) {
        format = cm_wire_string(&u.r, err);
        ret = format ? cm_dataset_new(ctx, uri, format, &ds, err) : reason(&u.r, err);
    }
    if (ret == 0)
        ret = take_group(&u, ds->root, 0, err);
    if (ret == 0 && cm_wire_left(&u.r))
        ret = malformed(err);
    free(format);
    cm_store_unref(u.store);
    cm_chain_unref(u.chain);
    cm_tables_later_unref(u.later);
    if (ret) {
        cm_dataset_free(ds);
        cm_error_object(err, uri);
        return ret;
    }
    *out = ds;
    return 0;
}
