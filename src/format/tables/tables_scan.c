/* format/tables/tables_scan.c: scanning files, and cm_scan, which writes the entries of many.
 *
 * Files are scanned some at a time, in parallel, and written in the order given, so memory holds
 * the entries of one batch and the index. The target is put whole or not at all by the store.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "array/workspace.h"
#include "base/memory.h"
#include "format/format.h"
#include "format/tables/tables_file.h"
#include "format/tables/tables_layout.h"
#include "store/local.h"

enum { BATCH_PER_THREAD = 8 };

void cm_tables_item_deinit(cm_tables_item *item)
{
    free(item->path);
    free(item->uri);
    free(item->bytes);
    *item = (cm_tables_item){0};
}

void cm_tables_place_deinit(cm_tables_place *p)
{
    free(p->path);
    free(p->directory);
    *p = (cm_tables_place){0};
}

int cm_tables_place_of(const char *uri, cm_tables_place *out, cm_error *err)
{
    char real[PATH_MAX];
    *out = (cm_tables_place){0};
    int ret = cm_format_local_path(uri, &out->directory, err);
    if (ret)
        return ret;
    char *slash = strrchr(out->directory, '/');
    char *key = cm_strdup(slash ? slash + 1 : out->directory, err);
    if (!key) {
        cm_tables_place_deinit(out);
        return CM_ENOMEM;
    }
    if (!slash)
        memcpy(out->directory, ".", 2); /* it had a name, and a NUL */
    else
        slash[slash == out->directory] = 0;
    if (!realpath(out->directory, real)) {
        ret = cm_error_set_os(err, errno, "cannot open");
        cm_error_object(err, uri);
    } else {
        out->path = cm_sprintf(err, "%s/%s", strcmp(real, "/") ? real : "", key);
        ret = out->path ? 0 : CM_ENOMEM;
    }
    free(key);
    if (ret)
        cm_tables_place_deinit(out);
    else
        out->key = strrchr(out->path, '/') + 1;
    return ret;
}

/* ---- one file -------------------------------------------------------------------------------- */

static int compress(cm_context *ctx, cm_tables_item *item, cm_error *err)
{
    cm_tables_entry *e = &item->entry;
    cm_workspace *ws = NULL;
    cm_codec *zstd = NULL;
    size_t n = 0;
    int ret = cm_codec_new_zstd(CM_TABLES_LEVEL, false, &zstd, err);
    if (ret)
        return ret;
    size_t room = zstd->cls->bound(zstd, (size_t)e->unpacked);
    void *bytes = malloc(room);
    ret = bytes ? cm_workspace_get(ctx, &ws, err)
                : cm_error_set(err, CM_ENOMEM, "out of memory (%zu bytes)", room);
    if (ret == 0)
        ret = zstd->cls->encode(zstd, ws->codecs, item->bytes, (size_t)e->unpacked, bytes, room, &n,
                                err);
    cm_workspace_put(ctx, ws);
    cm_codec_free(zstd);
    if (ret == 0 && n < e->unpacked) {
        void *less = realloc(bytes, n);
        free(item->bytes);
        item->bytes = less ? less : bytes;
        e->nbytes = n;
    } else {
        free(bytes);
    }
    e->crc = cm_crc32c(0, item->bytes, (size_t)e->nbytes);
    return ret;
}

int cm_tables_make(cm_context *ctx, cm_dataset *ds, const cm_tables_file *file, const char *path,
                   cm_tables_item *item, cm_error *err)
{
    cm_wire_out w;
    *item = (cm_tables_item){.path = cm_strdup(path, err)};
    item->uri = item->path ? cm_strdup(ds->uri, err) : NULL;
    item->entry = (cm_tables_entry){.path = item->path, .uri = item->uri, .version = file->version};
    cm_wire_init(&w, CM_TABLES_LARGEST_ENTRY, err);
    int ret = item->uri ? cm_tables_pack(ctx, ds, file, &w, &item->entry.counts) : CM_ENOMEM;
    item->bytes = w.bytes.data;
    item->entry.nbytes = item->entry.unpacked = w.bytes.nbytes;
    if (ret == 0)
        ret = compress(ctx, item, err);
    if (ret)
        cm_tables_item_deinit(item);
    return ret;
}

/* Open a file and make its entry. A file of tables needs none: *out is the dataset that carries
 * them, else NULL. */
static int scan_file(cm_context *ctx, const char *uri, cm_tables_item *item, cm_dataset **out,
                     cm_error *err)
{
    cm_tables_place place;
    cm_tables_file file = {0};
    cm_dataset *ds = NULL;
    struct stat st;
    int ret = cm_tables_place_of(uri, &place, err);
    if (ret)
        return ret;
    if (stat(place.path, &st) == 0 && !S_ISREG(st.st_mode)) {
        ret = cm_error_set(err, CM_EUNSUP, "not a file: scan tables hold NetCDF and HDF5 files");
        cm_error_hint(err, "a Zarr store needs none: name it itself");
    }
    file.key = place.key;
    if (ret == 0)
        ret = cm_store_open_local(ctx, place.directory, CM_DURABLE_NONE, &file.store, err);
    if (ret == 0)
        ret = file.store->vt->stat(file.store, file.key, &file.version, err);
    if (ret == 0)
        ret = cm_format_open_object(ctx, file.store, file.key, uri, &ds, err);
    if (ret == 0 && !cm_tables_carried(ds))
        ret = cm_tables_make(ctx, ds, &file, place.path, item, err);
    cm_store_unref(file.store);
    cm_tables_place_deinit(&place);
    if (ret)
        cm_error_object(err, uri);
    if (ret == 0 && cm_tables_carried(ds))
        *out = ds;
    else
        cm_dataset_free(ds);
    return ret;
}

/* ---- many ------------------------------------------------------------------------------------ */

/* What one name gave: an entry, or, of a file of tables, the dataset that carries it. */
typedef struct result {
    cm_tables_item item;
    cm_dataset *carrier;
} result;

typedef struct scanning {
    cm_context *ctx;
    const char *const *uris;
    size_t n, first; /* of the batch */
    result *results;
    size_t batch;
    cm_scan_stats *stats;
} scanning;

static int scan_one(void *arg, int64_t i, int worker, cm_error *err)
{
    scanning *s = arg;
    result *r = &s->results[i];
    (void)worker;
    int ret = scan_file(s->ctx, s->uris[s->first + (size_t)i], &r->item, &r->carrier, err);
    cm_context_progress_add(s->ctx, 1);
    return ret;
}

static void count(scanning *s, const cm_tables_entry *e)
{
    s->stats->files++;
    s->stats->variables += e->counts.variables;
    s->stats->chunks += e->counts.chunks;
    s->stats->deferred += e->counts.deferred;
}

static int put_result(scanning *s, cm_tables_writer *w, const result *r, cm_error *err)
{
    cm_tables *t = r->carrier ? cm_tables_carried(r->carrier) : NULL;
    int ret = 0;
    if (!t) {
        count(s, &r->item.entry);
        return cm_tables_put(w, &r->item.entry, r->item.bytes, err);
    }
    for (size_t i = 0; i < cm_tables_count(t) && ret == 0; i++) {
        void *bytes = NULL;
        ret = cm_tables_read(t, i, &bytes, err);
        cm_tables_entry entry = *cm_tables_entry_at(t, i);
        entry.ctime_ns = 0; /* of a cache: no other machine knows it */
        if (ret == 0)
            ret = cm_tables_put(w, &entry, bytes, err);
        if (ret == 0)
            count(s, cm_tables_entry_at(t, i));
        free(bytes);
    }
    return ret;
}

static int run_batch(scanning *s, size_t n, cm_tables_writer *w, cm_error *err)
{
    cm_pool *pool = cm_context_pool(s->ctx);
    int ret = cm_pool_for(pool, s->ctx, (int64_t)n, cm_pool_size(pool) + 1, scan_one, s, err);
    for (size_t i = 0; i < n; i++) {
        if (ret == 0)
            ret = put_result(s, w, &s->results[i], err);
        cm_tables_item_deinit(&s->results[i].item);
        cm_dataset_free(s->results[i].carrier);
        s->results[i].carrier = NULL;
    }
    return ret;
}

static int produce(void *user, cm_write_fn write, void *to, cm_error *err)
{
    scanning *s = user;
    cm_tables_writer w;
    int ret = cm_tables_begin(&w, write, to, err);
    cm_context_progress_count(s->ctx, "scan", "", "files", (int64_t)s->n);
    for (s->first = 0; s->first < s->n && ret == 0;) {
        size_t n = s->n - s->first < s->batch ? s->n - s->first : s->batch;
        ret = run_batch(s, n, &w, err);
        s->first += n;
    }
    if (ret == 0)
        ret = cm_tables_end(&w, err);
    s->stats->nbytes = w.at;
    cm_tables_writer_deinit(&w);
    return ret;
}

void cm_scan_options_init(cm_scan_options *options)
{
    *options = (cm_scan_options){0};
}

/* Is the target one of the sources? Replacing it would take away what it is about. */
static int check_target(const scanning *s, const char *path, cm_error *err)
{
    struct stat target, st;
    if (stat(path, &target) != 0)
        return 0;
    for (size_t i = 0; i < s->n; i++)
        if (stat(s->uris[i], &st) == 0 && st.st_dev == target.st_dev &&
            st.st_ino == target.st_ino) {
            cm_error_set(err, CM_EINVAL, "the target is one of the sources");
            return CM_EINVAL;
        }
    if (S_ISREG(target.st_mode))
        return 0;
    return cm_error_set(err, CM_EEXIST, "exists, and is not a file");
}

int cm_scan(cm_context *ctx, const char *const *uris, size_t n, const char *target,
            const cm_scan_options *options, cm_scan_stats *stats, cm_error *err)
{
    cm_scan_options defaults;
    cm_scan_stats own;
    cm_tables_place place;
    cm_store *store = NULL;
    cm_scan_options_init(&defaults);
    options = options ? options : &defaults;
    stats = stats ? stats : &own;
    *stats = (cm_scan_stats){0};
    scanning s = {.ctx = ctx, .uris = uris, .n = n, .stats = stats};
    s.batch = (size_t)(cm_pool_size(cm_context_pool(ctx)) + 1) * BATCH_PER_THREAD;
    int ret = cm_tables_place_of(target, &place, err);
    if (ret)
        return ret;
    s.results = cm_calloc(s.batch, sizeof *s.results, err);
    ret = s.results ? check_target(&s, place.path, err) : CM_ENOMEM;
    struct stat st;
    if (ret == 0 && !options->overwrite && stat(place.path, &st) == 0) {
        ret = cm_error_set(err, CM_EEXIST, "exists already");
        cm_error_hint(err, "--overwrite replaces it");
    }
    if (ret == 0)
        ret = cm_store_open_local(ctx, place.directory, CM_DURABLE_NONE, &store, err);
    if (ret == 0)
        cm_local_sweep(place.directory, place.key, false);
    if (ret == 0)
        ret = store->vt->put_from(store, place.key, produce, &s,
                                  options->overwrite ? 0 : CM_PUT_IF_ABSENT, err);
    if (ret)
        cm_error_object(err, target);
    cm_store_unref(store);
    cm_tables_place_deinit(&place);
    free(s.results);
    return ret;
}
