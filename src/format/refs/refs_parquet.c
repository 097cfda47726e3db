/* format/refs/refs_parquet.c: references in Parquet, the layout of fsspec's LazyReferenceMapper.
 *
 *     R/.zmetadata             {"metadata": {v2 documents}, "record_size": N}
 *     R/PATH/refs.K.parq       rows K * N ... of array PATH, one for each chunk in C order:
 *                              path, offset, size, raw
 *
 * raw is the chunk itself; offset and size both 0 mean the whole object; neither path nor raw: no
 * such chunk. Columns that would be empty may be left out. A file is read when the first of its
 * chunks is wanted, or a plan is made, into a table of references of its own (16 bytes a row,
 * pinned in the budget), under the lock of the array.
 *
 * In fsspec a file that is not there is as good as one without references: its chunks read as fill.
 * Where .zmetadata has our "sources" we know that every file was written, and miss one that is
 * gone.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/context_private.h"
#include "base/memory.h"
#include "format/refs/parquet.h"
#include "format/refs/refs.h"

enum { MAX_RECORD = 1 << 26 };
static const size_t max_file = (size_t)2 << 30, max_metadata = (size_t)1 << 30;

/* What the arrays of a dataset share. */
typedef struct opening {
    cm_context *ctx;
    cm_store *store; /* where refs.K.parq are; ref'd by each table */
    const char *key; /* the directory in it */
    cm_paths *paths;
    int64_t record_size;
    bool complete;
} opening;

typedef struct lazy {
    cm_table base;
    cm_context *ctx;
    cm_store *store;
    cm_paths *paths;
    char *prefix; /* key of the array's directory */
    int64_t record_size;
    bool complete, sharded;
    int ndim;
    int64_t grid[CM_MAX_DIMS];
    uint64_t ncells;
    pthread_mutex_t lock; /* guards loading */
    size_t nparts;
    cm_table **parts; /* each atomic; NULL before it is loaded */
} lazy;

enum { PATH, OFFSET, SIZE, RAW, NCOLUMNS };

/* The numbers of the names of a column's values. */
static int intern(cm_paths *paths, const cm_parquet_column *c, uint32_t **out, cm_error *err)
{
    uint32_t *ids = cm_calloc(c->nvalues, sizeof *ids, err);
    *out = ids;
    if (!ids)
        return CM_ENOMEM;
    for (size_t i = 0; i < c->nvalues; i++) {
        cm_string v = c->values[i];
        ids[i] = UINT32_MAX;
        if (v.nbytes == 0)
            continue; /* some writers pad with empty names */
        if (i && c->values[i - 1].nbytes == v.nbytes &&
            !memcmp(c->values[i - 1].data, v.data, v.nbytes)) {
            ids[i] = ids[i - 1];
            continue;
        }
        int r = cm_paths_add(paths, v.data, v.nbytes, &ids[i], err);
        if (r)
            return r;
    }
    return 0;
}

static int add_row(const lazy *t, cm_referenced *to, const cm_parquet_column *c,
                   const uint32_t *ids, size_t row, cm_error *err)
{
    if (c[RAW].present && c[RAW].defined[row]) {
        cm_string v = c[RAW].values[c[RAW].codes[row]];
        if (t->sharded)
            return cm_error_set(err, CM_EUNSUP, "a shard whose bytes are in the reference file");
        return cm_referenced_add_inline(to, row, v.data, v.nbytes, err);
    }
    if (!c[PATH].present || !c[PATH].defined[row])
        return 0;
    uint32_t id = ids[c[PATH].codes[row]];
    if (id == UINT32_MAX)
        return 0;
    bool there = c[OFFSET].present && c[OFFSET].defined[row];
    int64_t offset = there ? c[OFFSET].numbers[row] : 0;
    there = c[SIZE].present && c[SIZE].defined[row];
    int64_t size = there ? c[SIZE].numbers[row] : 0;
    if (offset < 0 || size < 0)
        return cm_error_set(err, CM_EDATA, "row %zu has a negative offset or size", row);
    if (offset == 0 && size == 0)
        return cm_referenced_add_whole(to, row, id, err);
    return cm_referenced_add(to, row, id, (uint64_t)offset, (uint64_t)size, err);
}

/* A file has rows up to its record size or the last chunk: fewer would read as fill. */
static int check_rows(const lazy *t, size_t k, size_t nrows, cm_error *err)
{
    uint64_t size = (uint64_t)t->record_size, left = t->ncells - k * size;
    uint64_t needed = left < size ? left : size;
    return nrows >= needed ? 0
                           : cm_error_set(err, CM_EDATA, "%zu rows where %" PRIu64 " are needed",
                                          nrows, needed);
}

static int make_part(const lazy *t, size_t k, const uint8_t *file, size_t nbytes, cm_table **out,
                     cm_error *err)
{
    cm_parquet_column c[NCOLUMNS] = {{.name = "path"},
                                     {.name = "offset", .is_number = true},
                                     {.name = "size", .is_number = true},
                                     {.name = "raw"}};
    uint32_t *ids = NULL;
    cm_referenced *part = NULL;
    size_t n = 0;
    cm_parquet_room room = {.budget = cm_context_budget(t->ctx)};
    int r = cm_parquet_read(file, nbytes, (size_t)t->record_size, &room, c, NCOLUMNS, &n, err);
    if (r == 0)
        r = check_rows(t, k, n, err);
    if (r == 0)
        r = intern(t->paths, &c[PATH], &ids, err);
    int64_t grid[1] = {(int64_t)n};
    if (r == 0)
        r = cm_referenced_new(t->ctx, 1, grid, t->paths, n, &part, err);
    for (size_t row = 0; row < n && r == 0; row++)
        r = add_row(t, part, c, ids, row, err);
    if (r == 0) {
        r = cm_referenced_freeze(part, out, err);
        part = NULL;
    }
    cm_referenced_free(part);
    for (int i = 0; i < NCOLUMNS; i++)
        cm_parquet_column_deinit(&c[i]);
    free(ids);
    cm_budget_unpin(room.budget, room.pinned);
    return r;
}

static int load_part(const lazy *t, size_t k, cm_table **out, cm_error *err)
{
    char *text = NULL,
         *key = cm_sprintf(err, "%s%srefs.%zu.parq", t->prefix, *t->prefix ? "/" : "", k);
    size_t nbytes = 0;
    cm_object_version version = {0};
    cm_budget *budget = cm_context_budget(t->ctx);
    int r = key ? t->store->vt->stat(t->store, key, &version, err) : CM_ENOMEM;
    bool pinned = r == 0 && cm_budget_pin(budget, version.size);
    if (r == 0 && !pinned) {
        r = cm_error_set(err, CM_ELIMIT, "no memory left to read its %.1f MB",
                         (double)version.size / 1e6);
        cm_error_hint(err, "give more with --max-mem");
    }
    if (r == 0)
        r = cm_store_read_text(t->store, key, max_file, &text, &nbytes, err);
    if (r == CM_ENOTFOUND && !t->complete) {
        cm_error_clear(err);
        int64_t none[1] = {0};
        cm_referenced *empty = NULL;
        r = cm_referenced_new(t->ctx, 1, none, t->paths, 0, &empty, err);
        if (r == 0)
            r = cm_referenced_freeze(empty, out, err);
    } else if (r == 0) {
        r = make_part(t, k, (const uint8_t *)text, nbytes, out, err);
    }
    if (r && key)
        cm_error_prefix(err, "%s", key);
    free(text);
    if (pinned)
        cm_budget_unpin(budget, version.size);
    free(key);
    return r;
}

static int part_at(lazy *t, size_t k, cm_table **out, cm_error *err)
{
    int r = 0;
    *out = __atomic_load_n(&t->parts[k], __ATOMIC_ACQUIRE);
    if (*out)
        return 0;
    pthread_mutex_lock(&t->lock);
    if (!t->parts[k]) {
        cm_table *made;
        r = load_part(t, k, &made, err);
        if (r == 0)
            __atomic_store_n(&t->parts[k], made, __ATOMIC_RELEASE);
    }
    *out = t->parts[k];
    pthread_mutex_unlock(&t->lock);
    return r;
}

static int locate(const cm_table *base, const int64_t *coord, cm_location *out, cm_error *err)
{
    lazy *t = (lazy *)(uintptr_t)base;
    uint64_t index = 0;
    cm_table *part;
    for (int i = 0; i < t->ndim; i++)
        index = index * (uint64_t)t->grid[i] + (uint64_t)coord[i];
    int r = part_at(t, (size_t)(index / (uint64_t)t->record_size), &part, err);
    if (r)
        return r;
    int64_t row = (int64_t)(index % (uint64_t)t->record_size);
    if ((uint64_t)row < cm_referenced_ncells(part))
        return part->locate(part, &row, out, err);
    out->where = CM_AT_NOWHERE; /* of a file that is not there */
    out->key[0] = 0;
    out->inline_data = NULL;
    return 0;
}

/* Planners ask once, and read next. All files are read here, before the memory is divided: it then
 * has no table to find room for while tasks run. 0 (not known) when that fails: the read will say
 * why. */
static uint64_t max_nbytes(const cm_table *base)
{
    lazy *t = (lazy *)(uintptr_t)base;
    uint64_t most = 0;
    bool known = true;
    for (size_t k = 0; k < t->nparts; k++) {
        cm_table *part;
        if (part_at(t, k, &part, NULL))
            return 0;
        uint64_t n = part->max_nbytes(part);
        known = known && (n || cm_referenced_ncells(part) == 0);
        most = n > most ? n : most;
    }
    return known ? most : 0;
}

static void free_lazy(cm_table *base)
{
    lazy *t = (lazy *)base;
    for (size_t i = 0; t->parts && i < t->nparts; i++)
        if (t->parts[i])
            t->parts[i]->free(t->parts[i]);
    free(t->parts);
    free(t->prefix);
    pthread_mutex_destroy(&t->lock);
    cm_store_unref(t->store);
    cm_paths_unref(t->paths);
    free(t);
}

bool cm_refs_parquet_place(const cm_table *base, int64_t *record_size, const char **store,
                           const char **prefix)
{
    const lazy *t = (const lazy *)base;
    if (base->free != free_lazy || !(*store = cm_store_local_path(t->store)))
        return false;
    *prefix = t->prefix;
    *record_size = t->record_size;
    return true;
}

static int make_table(void *user, const cm_zarr_place *p, cm_table **out, cm_error *err)
{
    const opening *o = user;
    lazy *t = cm_calloc(1, sizeof *t, err);
    if (!t)
        return CM_ENOMEM;
    t->base = (cm_table){.locate = locate, .free = free_lazy, .max_nbytes = max_nbytes};
    t->ctx = o->ctx;
    t->store = cm_store_ref(o->store);
    t->paths = cm_paths_ref(o->paths);
    pthread_mutex_init(&t->lock, NULL);
    t->record_size = o->record_size;
    t->complete = o->complete;
    t->sharded = p->sharded;
    t->ndim = p->ndim;
    for (int i = 0; i < p->ndim; i++)
        t->grid[i] = cm_ceil_div(p->shape[i], p->chunk[i]);
    int64_t n = cm_shape_nelem(p->ndim, t->grid);
    char *directory = cm_zarr_key_join(o->key, p->path, err);
    int r = directory ? 0 : CM_ENOMEM;
    t->prefix = directory;
    if (r == 0 && (n < 0 || cm_ceil_div(n, t->record_size) > (1 << 24)))
        r = cm_error_set(err, CM_ELIMIT, "a grid of more chunks than 2^24 files hold");
    if (r == 0) {
        t->ncells = (uint64_t)n;
        t->nparts = (size_t)cm_ceil_div(n, t->record_size);
        t->parts = cm_calloc(t->nparts, sizeof *t->parts, err);
        r = t->parts ? 0 : CM_ENOMEM;
    }
    if (r)
        free_lazy(&t->base);
    else
        *out = &t->base;
    return r;
}

/* ---- opening --------------------------------------------------------------------------------- */

static int read_metadata(cm_store *store, const char *key, cm_json_doc **doc, cm_error *err)
{
    char *text = NULL, *full = cm_zarr_key_join(key, ".zmetadata", err);
    size_t nbytes;
    int r = full ? cm_store_read_text(store, full, max_metadata, &text, &nbytes, err) : CM_ENOMEM;
    if (r == 0)
        r = cm_json_parse(text, nbytes, 16 * max_metadata, doc, err);
    free(text);
    free(full);
    return r;
}

/* What is no document at all is left to the Zarr driver; out of memory and the like is not "no". */
int cm_refs_is_parquet(cm_store *store, const char *key, bool *is, cm_error *err)
{
    cm_json_doc *doc = NULL;
    cm_error why = {0};
    int r = read_metadata(store, key, &doc, &why);
    *is = r == 0 && cm_json_get(cm_json_doc_root(doc), "record_size") != NULL;
    cm_json_doc_free(doc);
    if (r != CM_ENOMEM && r != CM_ECANCEL && r != CM_EIO)
        return 0;
    if (err)
        *err = why;
    return r;
}

/* The documents as consolidated metadata of a store in memory. Values may be texts of JSON. */
static int put_metadata(cm_store *to, cm_json_doc *doc, cm_json *metadata, cm_error *err)
{
    int r = 0;
    for (size_t i = 0; i < cm_json_count(metadata) && r == 0; i++) {
        const cm_json *v = cm_json_at(metadata, i);
        cm_json_doc *own = NULL;
        if (!cm_json_is(v, CM_JSON_STRING))
            continue;
        r = cm_json_parse(cm_json_string(v), cm_json_string_nbytes(v), 0, &own, err);
        cm_json *copy = r ? NULL : cm_json_copy(doc, cm_json_doc_root(own));
        if (r == 0 && cm_json_set(doc, metadata, cm_json_key(metadata, i), copy))
            r = cm_error_set(err, CM_ENOMEM, "out of memory (metadata)");
        cm_json_doc_free(own);
    }
    return r ? r : cm_refs_put_consolidated(to, doc, metadata, err);
}

int cm_refs_open_parquet(cm_context *ctx, cm_store *store, const char *key, const char *uri,
                         cm_dataset **out, cm_error *err)
{
    opening o = {.ctx = ctx, .store = store, .key = key};
    cm_store *objects = NULL, *metadata = NULL;
    cm_json_doc *doc = NULL;
    int r = cm_refs_paths(ctx, store, "..", &o.paths, &objects, err);
    if (r == 0)
        r = read_metadata(store, key, &doc, err);
    cm_json *root = cm_json_doc_root(doc), *documents = cm_json_get(root, "metadata");
    const cm_json *sources = cm_json_get(root, "sources");
    if (r == 0 && (!cm_json_int64(cm_json_get(root, "record_size"), &o.record_size) ||
                   o.record_size < 1 || o.record_size > MAX_RECORD))
        r = cm_error_set(err, CM_EDATA, ".zmetadata: \"record_size\" is not a number from 1 to %d",
                         MAX_RECORD);
    if (r == 0 && !cm_json_is(documents, CM_JSON_OBJECT))
        r = cm_error_set(err, CM_EDATA, ".zmetadata: \"metadata\" is not an object");
    o.complete = cm_json_is(sources, CM_JSON_OBJECT);
    if (r == 0)
        r = cm_refs_expect(o.paths, sources, err);
    if (r == 0)
        r = cm_store_new_memory(ctx, &metadata, err);
    if (r == 0)
        r = put_metadata(metadata, doc, documents, err);
    cm_zarr_elsewhere elsewhere = {"kerchunk Parquet", objects, make_table, &o};
    if (r == 0)
        r = cm_zarr_open_elsewhere(ctx, metadata, uri, &elsewhere, out, err);
    if (r == 0)
        (*out)->sources = cm_paths_ref(o.paths);
    else
        cm_error_object(err, uri);
    cm_json_doc_free(doc);
    cm_store_unref(metadata);
    cm_store_unref(objects);
    cm_paths_unref(o.paths);
    return r;
}
