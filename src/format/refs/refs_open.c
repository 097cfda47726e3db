/* format/refs/refs_open.c: kerchunk's JSON as a dataset.
 *
 * The metadata keys (.zgroup, .zarray, .zattrs, zarr.json) become a Zarr hierarchy in memory, which
 * the Zarr driver opens; each array's chunk keys become a table of references. So everything that
 * reading Zarr knows of types, codecs and fill values holds here too. What differs from a store is
 * one thing: an object that is named must be there. A chunk without a reference reads as fill, one
 * whose file is gone is an error.
 *
 *     "a/b/.zarray": "{...}"               metadata, as text or as JSON
 *     "a/b/0.1": [url, offset, length]     a range
 *     "a/b/0.2": [url]                     a whole object
 *     "a/b/0.3": "text" or "base64:..."    the bytes themselves
 *
 * Nothing is looked at before it is wanted: URLs that cannot be read are the error of the first
 * read that needs one, so that `info` works for references to anything.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/context_private.h"
#include "base/memory.h"
#include "format/refs/refs.h"
#include "text/base64.h"

enum { TREE = 8 }; /* bytes of a tree of JSON values for one of text, about */
static const size_t max_text = (size_t)4 << 30, max_metadata = (size_t)256 << 20;

typedef struct opening {
    cm_context *ctx;
    cm_store *objects;
    cm_paths *paths;
    cm_refs_json json;
    cm_buffer buf; /* rendered URLs, decoded base64 */
    /* Entries of neighbouring chunks name the same object: the last URL and its number. */
    const char *last;
    size_t nlast;
    uint32_t last_id;
    uint64_t pinned;
} opening;

/* ---- values ---------------------------------------------------------------------------------- */

/* Inline bytes of a text value; base64 is decoded into o->buf. */
static int inline_bytes(opening *o, const cm_json *value, const void **data, size_t *nbytes,
                        cm_error *err)
{
    const char *s = cm_json_string(value);
    *data = s;
    *nbytes = cm_json_string_nbytes(value);
    if (strncmp(s, "base64:", 7) != 0)
        return 0;
    o->buf.nbytes = 0;
    int r = cm_buffer_reserve(&o->buf, *nbytes, err);
    if (r)
        return r;
    if (!cm_base64_decode(s + 7, *nbytes - 7, o->buf.data, nbytes))
        return cm_error_set(err, CM_EDATA, "malformed base64");
    *data = o->buf.data;
    return 0;
}

static int path_id(opening *o, const char *s, size_t nbytes, uint32_t *id, cm_error *err)
{
    if (o->last && o->nlast == nbytes && memcmp(s, o->last, nbytes) == 0) {
        *id = o->last_id;
        return 0;
    }
    int r = cm_paths_add(o->paths, s, nbytes, id, err);
    o->last = r ? NULL : s;
    o->nlast = nbytes;
    o->last_id = *id;
    return r;
}

static int url_id(opening *o, const cm_json *url, uint32_t *id, cm_error *err)
{
    const char *s = cm_json_string(url);
    if (!s || !*s)
        return cm_error_set(err, CM_EDATA, "a reference without a URL");
    if (!o->json.templates || !strstr(s, "{{"))
        return path_id(o, s, cm_json_string_nbytes(url), id, err);
    o->buf.nbytes = 0;
    int r = cm_refs_render(s, o->json.templates, NULL, 0, &o->buf, err);
    return r ? r : cm_paths_add(o->paths, (const char *)o->buf.data, o->buf.nbytes, id, err);
}

/* [url] or [url, offset, length]. */
static int range_of(opening *o, const cm_json *value, uint32_t *id, uint64_t *offset,
                    uint64_t *nbytes, bool *whole, cm_error *err)
{
    size_t n = cm_json_count(value);
    *whole = n == 1;
    if (!cm_json_is(value, CM_JSON_ARRAY) || (n != 1 && n != 3) ||
        (n == 3 && (!cm_json_uint64(cm_json_at(value, 1), offset) ||
                    !cm_json_uint64(cm_json_at(value, 2), nbytes))))
        return cm_error_set(err, CM_EDATA, "neither a text nor [url] nor [url, offset, length]");
    return url_id(o, cm_json_at(value, 0), id, err);
}

/* ---- chunk tables ---------------------------------------------------------------------------- */

/* The numbers of a chunk key; false when it is none. */
static bool chunk_coord(const char *s, const cm_zarr_place *p, int64_t *coord)
{
    if (p->default_keys) {
        if (*s++ != 'c')
            return false;
        if (p->ndim == 0)
            return *s == 0;
        if (*s++ != p->separator)
            return false;
    } else if (p->ndim == 0) {
        return strcmp(s, "0") == 0;
    }
    for (int i = 0; i < p->ndim; i++) {
        if (*s < '0' || *s > '9' || (*s == '0' && s[1] >= '0' && s[1] <= '9'))
            return false;
        for (coord[i] = 0; *s >= '0' && *s <= '9'; s++)
            if (coord[i] > (INT64_MAX - 9) / 10)
                return false;
            else
                coord[i] = 10 * coord[i] + (*s - '0');
        if (*s != (i + 1 < p->ndim ? p->separator : 0))
            return false;
        s++;
    }
    return true;
}

/* Numbers and separators, but no chunk key of this array: of another separator, say, or of another
 * number of axes. */
static bool is_like_chunk(const char *s)
{
    s += s[0] == 'c' && (s[1] == '/' || s[1] == '.') ? 2 : 0;
    return *s && s[strspn(s, "0123456789./")] == 0;
}

static int add_chunk(opening *o, const cm_zarr_place *p, cm_referenced *t, uint64_t index,
                     const cm_json *value, cm_error *err)
{
    uint32_t id;
    uint64_t offset = 0, nbytes = 0;
    bool whole;
    if (cm_json_is(value, CM_JSON_STRING)) {
        const void *data;
        size_t n;
        if (p->sharded)
            return cm_error_set(err, CM_EUNSUP, "a shard whose bytes are in the reference file");
        int r = inline_bytes(o, value, &data, &n, err);
        return r ? r : cm_referenced_add_inline(t, index, data, n, err);
    }
    int r = range_of(o, value, &id, &offset, &nbytes, &whole, err);
    if (r)
        return r;
    return whole ? cm_referenced_add_whole(t, index, id, err)
                 : cm_referenced_add(t, index, id, offset, nbytes, err);
}

/* The first entry whose key is not before prefix. */
static size_t lower_bound(const cm_refs_json *j, const char *prefix)
{
    size_t lo = 0, hi = j->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (strcmp(j->entries[mid].key, prefix) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

typedef struct filling {
    opening *o;
    const cm_zarr_place *p;
    cm_referenced *table;
    const char *prefix;
    size_t length;
    int64_t grid[CM_MAX_DIMS];
    size_t outside, strange; /* keys that are left out */
} filling;

/* The number of the chunk that key says. False when it is none, or none of the grid. */
static bool chunk_index(filling *f, const char *key, uint64_t *index)
{
    int64_t coord[CM_MAX_DIMS] = {0};
    if (!chunk_coord(key + f->length, f->p, coord)) {
        f->strange += is_like_chunk(key + f->length);
        return false; /* metadata, or nothing that a Zarr reader would ask for */
    }
    *index = 0;
    for (int k = 0; k < f->p->ndim; k++) {
        if (coord[k] >= f->grid[k]) {
            f->outside++;
            return false;
        }
        *index = *index * (uint64_t)f->grid[k] + (uint64_t)coord[k];
    }
    return true;
}

static int fill_ranges(filling *f, const cm_refs_bucket *b, cm_error *err)
{
    const cm_refs_ranges *all = &f->o->json.ranges;
    int r = 0;
    for (size_t i = 0; b && i < b->n && r == 0; i++) {
        const cm_refs_range *e = &all->items[all->order[b->first + i]];
        uint64_t index;
        uint32_t id;
        if (strncmp(e->key, f->prefix, f->length) != 0 || !chunk_index(f, e->key, &index))
            continue;
        r = path_id(f->o, e->url, strlen(e->url), &id, err);
        if (r == 0)
            r = cm_referenced_add(f->table, index, id, e->offset, e->nbytes, err);
        if (r)
            cm_error_prefix(err, "\"%.200s\"", e->key);
    }
    return r;
}

static int fill_table(filling *f, size_t first, size_t end, const cm_refs_bucket *b, cm_error *err)
{
    opening *o = f->o;
    int r = fill_ranges(f, b, err);
    for (size_t i = first; i < end && r == 0; i++) {
        const cm_refs_entry *e = &o->json.entries[i];
        uint64_t index;
        if (!chunk_index(f, e->key, &index))
            continue;
        r = add_chunk(o, f->p, f->table, index, e->value, err);
        if (r)
            cm_error_prefix(err, "\"%.200s\"", e->key);
    }
    if (r == 0 && f->outside)
        cm_context_log(o->ctx, CM_LOG_WARNING,
                       "/%s: %zu references lie outside its shape and are left out", f->p->path,
                       f->outside);
    if (r == 0 && f->strange)
        cm_context_log(o->ctx, CM_LOG_WARNING,
                       "/%s: %zu references have keys that are not of its chunks (\"dimension_"
                       "separator\"?) and are left out",
                       f->p->path, f->strange);
    return r;
}

static int make_table(void *user, const cm_zarr_place *p, cm_table **out, cm_error *err)
{
    opening *o = user;
    filling f = {.o = o, .p = p};
    char *prefix = cm_sprintf(err, "%s%s", p->path, *p->path ? "/" : "");
    if (!prefix)
        return CM_ENOMEM;
    f.prefix = prefix;
    f.length = strlen(prefix);
    const cm_refs_bucket *b = cm_refs_ranges_find(&o->json.ranges, p->path);
    size_t first = lower_bound(&o->json, prefix), end = first;
    while (end < o->json.n && !strncmp(o->json.entries[end].key, prefix, f.length))
        end++;
    for (int i = 0; i < p->ndim; i++)
        f.grid[i] = cm_ceil_div(p->shape[i], p->chunk[i]);
    int r = cm_referenced_new(o->ctx, p->ndim, f.grid, o->paths, end - first + (b ? b->n : 0),
                              &f.table, err);
    if (r == 0)
        r = fill_table(&f, first, end, b, err);
    free(prefix);
    if (r == 0)
        return cm_referenced_freeze(f.table, out, err);
    cm_referenced_free(f.table);
    return r;
}

/* ---- metadata -------------------------------------------------------------------------------- */

static const char *last_part(const char *key)
{
    const char *slash = strrchr(key, '/');
    return slash ? slash + 1 : key;
}

/* A metadata document that lies in a file of its own. */
static int read_document(opening *o, const cm_json *value, char **text, size_t *nbytes,
                         cm_error *err)
{
    uint32_t id;
    uint64_t offset = 0, n = 0;
    bool whole;
    const char *key;
    int r = range_of(o, value, &id, &offset, &n, &whole, err);
    if (r == 0)
        r = cm_paths_key(o->paths, id, &key, err);
    if (r)
        return r;
    if (whole)
        return cm_store_read_text(o->objects, key, max_metadata, text, nbytes, err);
    if (n > max_metadata)
        return cm_error_set(err, CM_ELIMIT, "a document of %" PRIu64 " bytes", n);
    *text = cm_calloc(1, (size_t)n + 1, err);
    cm_object_version version = {0};
    cm_range range = {offset, (size_t)n, *text};
    *nbytes = (size_t)n;
    return *text ? o->objects->vt->get(o->objects, key, &range, 1, &version, err) : CM_ENOMEM;
}

/* Its text into a JSON value of doc. */
static int document(opening *o, const cm_json *value, cm_json_doc *doc, cm_json **out,
                    cm_error *err)
{
    char *text = NULL;
    const void *data;
    size_t nbytes;
    cm_json_doc *own = NULL;
    int r = 0;
    if (cm_json_is(value, CM_JSON_OBJECT)) {
        *out = cm_json_copy(doc, value);
        return *out ? 0 : cm_error_set(err, CM_ENOMEM, "out of memory (metadata)");
    }
    if (cm_json_is(value, CM_JSON_STRING)) {
        r = inline_bytes(o, value, &data, &nbytes, err);
    } else {
        r = read_document(o, value, &text, &nbytes, err);
        data = text;
    }
    if (r == 0)
        r = cm_json_parse(data, nbytes, 4 * max_metadata, &own, err);
    if (r == 0 && !(*out = cm_json_copy(doc, cm_json_doc_root(own))))
        r = cm_error_set(err, CM_ENOMEM, "out of memory (metadata)");
    cm_json_doc_free(own);
    free(text);
    return r;
}

static int put_document(cm_store *store, const char *key, const cm_json *v, cm_error *err)
{
    char *text = NULL;
    size_t nbytes;
    int r = cm_json_write(v, 0, &text, &nbytes, err);
    cm_iov iov = {text, nbytes};
    if (r == 0)
        r = store->vt->put(store, key, &iov, 1, 0, err);
    free(text);
    return r;
}

int cm_refs_put_consolidated(cm_store *store, cm_json_doc *doc, cm_json *documents, cm_error *err)
{
    cm_json *root = cm_json_new_object(doc);
    if (cm_json_set_int64(doc, root, "zarr_consolidated_format", 1) ||
        cm_json_set(doc, root, "metadata", documents))
        return cm_error_set(err, CM_ENOMEM, "out of memory (metadata)");
    return put_document(store, ".zmetadata", root, err);
}

/* v2: everything as consolidated metadata, since groups may be left out. v3: as it is. */
static int put_metadata(opening *o, cm_store *store, cm_error *err)
{
    cm_json_doc *doc = NULL;
    bool some = false;
    int r = cm_json_doc_new(0, &doc, err);
    if (r)
        return r;
    cm_json *all = cm_json_new_object(doc), *v;
    for (size_t i = 0; i < o->json.n && r == 0; i++) {
        const cm_refs_entry *e = &o->json.entries[i];
        const char *name = last_part(e->key);
        bool v3 = !strcmp(name, "zarr.json");
        if (!v3 && strcmp(name, ".zarray") && strcmp(name, ".zgroup") && strcmp(name, ".zattrs"))
            continue;
        r = document(o, e->value, doc, &v, err);
        if (r == 0 && v3)
            r = put_document(store, e->key, v, err);
        else if (r == 0 && cm_json_set(doc, all, e->key, v))
            r = cm_error_set(err, CM_ENOMEM, "out of memory (metadata)");
        if (r)
            cm_error_prefix(err, "\"%.200s\"", e->key);
        some = some || !v3;
    }
    if (r == 0 && some)
        r = cm_refs_put_consolidated(store, doc, all, err);
    cm_json_doc_free(doc);
    return r;
}

/* ---- opening --------------------------------------------------------------------------------- */

int cm_refs_paths(cm_context *ctx, cm_store *store, const char *from, cm_paths **paths,
                  cm_store **objects, cm_error *err)
{
    const char *local = cm_store_local_path(store);
    char *directory = cm_sprintf(err, "%s/%s", local ? local : "/", local ? from : ".");
    void *resolver = NULL;
    *paths = NULL;
    int r = directory ? 0 : CM_ENOMEM;
    if (r == 0)
        r = cm_store_open_local(ctx, "/", CM_DURABLE_NONE, objects, err);
    if (r == 0)
        r = cm_paths_new(*objects, paths, err);
    if (r == 0)
        r = cm_refs_resolver_new(directory, &resolver, err);
    if (r == 0)
        cm_paths_set_resolve(*paths, cm_refs_resolve, resolver, free);
    free(directory);
    return r;
}

int cm_refs_expect(cm_paths *paths, const cm_json *sources, cm_error *err)
{
    int r = 0;
    for (size_t i = 0; i < cm_json_count(sources) && r == 0; i++) {
        const char *url = cm_json_key(sources, i);
        const cm_json *v = cm_json_at(sources, i);
        uint64_t size;
        int64_t mtime = INT64_MIN;
        uint32_t id;
        if (!url || !cm_json_is(v, CM_JSON_ARRAY) || !cm_json_uint64(cm_json_at(v, 0), &size))
            continue; /* a member of this name that is not ours */
        cm_json_int64(cm_json_at(v, 1), &mtime);
        r = cm_paths_add(paths, url, strlen(url), &id, err);
        if (r == 0)
            cm_paths_expect(paths, id, size, mtime);
    }
    return r;
}

/* What reading takes beside the tables, for as long as it lasts. */
static int reserve(opening *o, uint64_t nbytes, cm_error *err)
{
    if (!cm_budget_pin(cm_context_budget(o->ctx), nbytes)) {
        cm_error_set(err, CM_ELIMIT, "no memory left to read the references (%.1f MB)",
                     (double)(o->pinned + nbytes) / 1e6);
        cm_error_hint(err, "give more with --max-mem; Parquet takes less");
        return CM_ELIMIT;
    }
    o->pinned += nbytes;
    return 0;
}

static int read_text(opening *o, cm_store *store, const char *key, char **text, cm_error *err)
{
    cm_object_version version = {0};
    size_t nbytes;
    int r = store->vt->stat(store, key, &version, err);
    if (r == 0)
        r = reserve(o, version.size, err);
    if (r == 0)
        r = cm_store_read_text(store, key, max_text, text, &nbytes, err);
    if (r == 0)
        r = cm_refs_json_parse(*text, nbytes, &o->json, err);
    if (r == 0)
        r = reserve(o,
                    o->json.ranges.capacity * sizeof(cm_refs_range) +
                        o->json.ranges.n * sizeof(uint32_t) + TREE * o->json.nrest,
                    err);
    return r;
}

int cm_refs_open_json(cm_context *ctx, cm_store *store, const char *key, const char *uri,
                      cm_dataset **out, cm_error *err)
{
    opening o = {.ctx = ctx};
    cm_store *metadata = NULL;
    char *text = NULL;
    cm_buffer_init(&o.buf, max_text);
    int r = cm_refs_paths(ctx, store, ".", &o.paths, &o.objects, err);
    if (r == 0)
        r = read_text(&o, store, key, &text, err);
    if (r == 0)
        r = cm_refs_expect(o.paths, o.json.sources, err);
    if (r == 0)
        r = cm_store_new_memory(ctx, &metadata, err);
    if (r == 0)
        r = put_metadata(&o, metadata, err);
    cm_zarr_elsewhere elsewhere = {"kerchunk JSON", o.objects, make_table, &o};
    if (r == 0)
        r = cm_zarr_open_elsewhere(ctx, metadata, uri, &elsewhere, out, err);
    if (r == 0)
        (*out)->sources = cm_paths_ref(o.paths);
    else
        cm_error_object(err, uri);
    cm_store_unref(metadata);
    cm_store_unref(o.objects);
    cm_paths_unref(o.paths);
    cm_refs_json_deinit(&o.json);
    cm_buffer_deinit(&o.buf);
    free(text);
    cm_budget_unpin(cm_context_budget(ctx), o.pinned);
    return r;
}
