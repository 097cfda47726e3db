/* format/tables/tables_file.c: reading a file of entries.
 *
 *     magic, version | entry | entry | ... | index | where the index is, its checksum, end mark
 *
 * The index has everything about an entry but its content: the file it is of, where its bytes are,
 * and their checksum. Files of up to 64 MiB, those of some ten thousand entries, are read whole
 * when they are opened: so one that is replaced meanwhile, as caches are, is no trouble. Of larger
 * ones entries are read one by one, by many threads. Between entries there may be bytes that
 * nothing points to.
 *
 * An entry is checked against its checksum before it is looked at, so that damage is an error and
 * nothing else.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "array/workspace.h"
#include "base/bytes.h"
#include "base/memory.h"
#include "format/tables/tables_file.h"
#include "format/tables/tables_layout.h"

enum { READ_WHOLE = 64 << 20, TRIES = 4 };

struct cm_tables {
    cm_context *ctx;
    cm_store *store;
    char *key, *uri, *program;
    cm_object_version version;
    uint8_t *whole;           /* all bytes, or NULL */
    cm_tables_entry *entries; /* their strings are owned */
    size_t n;
    cm_codec *zstd;
    pthread_mutex_t lock; /* guards the two below */
    char *directory;      /* of the last file, and a store of it */
    cm_store *last;
};

static int damaged(const cm_tables *t, const char *what, cm_error *err)
{
    cm_error_set(err, CM_EDATA, "%s: scan tables that are damaged or cut short", what);
    cm_error_object(err, t->uri);
    return CM_EDATA;
}

void cm_tables_free(cm_tables *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->n; i++) {
        free((char *)(uintptr_t)t->entries[i].path);
        free((char *)(uintptr_t)t->entries[i].uri);
    }
    free(t->entries);
    free(t->whole);
    cm_codec_free(t->zstd);
    cm_store_unref(t->last);
    cm_store_unref(t->store);
    pthread_mutex_destroy(&t->lock);
    free(t->directory);
    free(t->program);
    free(t->key);
    free(t->uri);
    free(t);
}

/* ---- the index ------------------------------------------------------------------------------- */

/* A string that shares its beginning with the one before. */
static char *take_name(cm_wire_in *r, const char *before, cm_error *err)
{
    size_t shared = (size_t)cm_wire_upto(r, before ? strlen(before) : 0), n;
    const char *rest = cm_wire_bytes(r, &n);
    if (memchr(rest, 0, n) || n > CM_TABLES_LONGEST_NAME - shared)
        cm_wire_fail(r);
    char *s = r->bad ? NULL : cm_calloc(shared + n + 1, 1, err);
    if (s && shared)
        memcpy(s, before, shared);
    if (s && n)
        memcpy(s + shared, rest, n);
    return s;
}

static int take_entry(cm_tables *t, cm_wire_in *r, const cm_tables_entry *before, uint64_t end,
                      cm_error *err)
{
    cm_tables_entry *e = &t->entries[t->n++];
    e->path = take_name(r, before ? before->path : NULL, err);
    e->uri = e->path ? take_name(r, before ? before->uri : NULL, err) : NULL;
    if (!e->uri)
        return r->bad ? damaged(t, "the index", err) : CM_ENOMEM;
    e->version.size = cm_wire_uint(r);
    e->version.id[0] = cm_wire_uint(r);
    e->version.id[1] = cm_wire_uint(r);
    e->ctime_ns = cm_wire_uint(r);
    e->offset = cm_wire_uint(r);
    e->nbytes = cm_wire_uint(r);
    e->unpacked = cm_wire_uint(r);
    const void *crc = cm_wire_raw(r, 4);
    e->crc = crc ? cm_load_le32(crc) : 0;
    e->counts.variables = cm_wire_uint(r);
    e->counts.chunks = cm_wire_uint(r);
    e->counts.deferred = cm_wire_uint(r);
    e->counts.embedded = cm_wire_uint(r);
    if (r->bad || e->path[0] != '/' || e->offset < CM_TABLES_HEAD || e->offset > end ||
        e->nbytes > end - e->offset || e->unpacked < e->nbytes ||
        e->unpacked > CM_TABLES_LARGEST_ENTRY)
        return damaged(t, "the index", err);
    return 0;
}

static int take_index(cm_tables *t, const void *bytes, size_t nbytes, uint64_t end, cm_error *err)
{
    cm_wire_in r = cm_wire_of(bytes, nbytes);
    t->program = cm_wire_string(&r, err);
    size_t n = cm_wire_count(&r, CM_TABLES_SHORTEST_ENTRY);
    if (!t->program || r.bad)
        return r.bad ? damaged(t, "the index", err) : CM_ENOMEM;
    t->entries = cm_calloc(n, sizeof *t->entries, err);
    int ret = t->entries ? 0 : CM_ENOMEM;
    for (size_t i = 0; i < n && ret == 0; i++)
        ret = take_entry(t, &r, i ? &t->entries[i - 1] : NULL, end, err);
    if (ret == 0 && cm_wire_left(&r))
        ret = damaged(t, "the index", err);
    return ret;
}

/* Bytes that are inside the object. */
static int get(cm_tables *t, uint64_t offset, void *dst, size_t nbytes, cm_error *err)
{
    cm_range range = {offset, nbytes, dst};
    if (t->whole) {
        memcpy(dst, t->whole + offset, nbytes);
        return 0;
    }
    return t->store->vt->get(t->store, t->key, &range, 1, &t->version, err);
}

/* Look at the object, and read all of it when it is not large. */
static int begin(cm_tables *t, cm_error *err)
{
    int ret = t->store->vt->stat(t->store, t->key, &t->version, err);
    if (ret || t->version.size > READ_WHOLE || t->version.size > cm_context_max_memory(t->ctx) / 4)
        return ret;
    uint8_t *whole = malloc((size_t)t->version.size + 1);
    if (!whole)
        return cm_error_set(err, CM_ENOMEM, "out of memory (%zu bytes)", (size_t)t->version.size);
    ret = get(t, 0, whole, (size_t)t->version.size, err);
    if (ret)
        free(whole);
    else
        t->whole = whole;
    return ret;
}

static int read_index(cm_tables *t, cm_error *err)
{
    uint8_t head[CM_TABLES_HEAD], foot[CM_TABLES_FOOT];
    uint64_t size = t->version.size, offset, nbytes;
    if (size < CM_TABLES_HEAD + CM_TABLES_FOOT)
        return damaged(t, "the whole", err);
    int ret = get(t, 0, head, sizeof head, err);
    if (ret == 0)
        ret = get(t, size - CM_TABLES_FOOT, foot, sizeof foot, err);
    if (ret)
        return ret;
    if (memcmp(head, CM_TABLES_MAGIC, 8) != 0)
        return damaged(t, "the beginning", err);
    if (cm_load_le32(head + 8) != CM_TABLES_VERSION) {
        cm_error_set(err, CM_EUNSUP, "scan tables of version %u, this program reads %d",
                     cm_load_le32(head + 8), CM_TABLES_VERSION);
        cm_error_hint(err, "scan the files again");
        cm_error_object(err, t->uri);
        return CM_EUNSUP;
    }
    offset = cm_load_le64(foot);
    nbytes = cm_load_le64(foot + 8);
    if (memcmp(foot + 24, CM_TABLES_END, 8) != 0 || offset < CM_TABLES_HEAD ||
        offset > size - CM_TABLES_FOOT || nbytes != size - CM_TABLES_FOOT - offset)
        return damaged(t, "the end", err);
    if (nbytes > CM_TABLES_LARGEST_INDEX || nbytes > cm_context_max_memory(t->ctx))
        return cm_error_set(err, CM_ELIMIT, "an index of %llu bytes", (unsigned long long)nbytes);
    void *bytes = cm_calloc((size_t)nbytes, 1, err);
    ret = bytes ? get(t, offset, bytes, (size_t)nbytes, err) : CM_ENOMEM;
    if (ret == 0 && !cm_tables_crc_ok(bytes, (size_t)nbytes, cm_load_le32(foot + 16)))
        ret = damaged(t, "the index", err);
    if (ret == 0)
        ret = take_index(t, bytes, (size_t)nbytes, offset, err);
    free(bytes);
    return ret;
}

int cm_tables_open(cm_context *ctx, cm_store *store, const char *key, const char *uri,
                   cm_tables **out, cm_error *err)
{
    cm_tables *t = cm_calloc(1, sizeof *t, err);
    *out = NULL;
    if (!t)
        return CM_ENOMEM;
    pthread_mutex_init(&t->lock, NULL);
    t->ctx = ctx;
    t->store = cm_store_ref(store);
    t->key = cm_strdup(key, err);
    t->uri = t->key ? cm_strdup(uri, err) : NULL;
    int ret = t->uri ? cm_codec_new_zstd(CM_TABLES_LEVEL, false, &t->zstd, err) : CM_ENOMEM;
    if (ret == 0)
        ret = begin(t, err);
    for (int i = 1; i < TRIES && ret == CM_ECHANGED; i++) {
        cm_error_clear(err);
        ret = begin(t, err);
    }
    if (ret == 0)
        ret = read_index(t, err);
    if (ret)
        cm_tables_free(t);
    else
        *out = t;
    return ret;
}

size_t cm_tables_count(const cm_tables *t)
{
    return t->n;
}

const cm_tables_entry *cm_tables_entry_at(const cm_tables *t, size_t i)
{
    return &t->entries[i];
}

const char *cm_tables_program(const cm_tables *t)
{
    return t->program;
}

/* ---- entries --------------------------------------------------------------------------------- */

int cm_tables_read(cm_tables *t, size_t i, void **out, cm_error *err)
{
    const cm_tables_entry *e = &t->entries[i];
    *out = NULL;
    void *bytes = malloc((size_t)e->nbytes + 1);
    if (!bytes)
        return cm_error_set(err, CM_ENOMEM, "out of memory (%llu bytes)",
                            (unsigned long long)e->nbytes);
    int ret = get(t, e->offset, bytes, (size_t)e->nbytes, err);
    if (ret == 0 && !cm_tables_crc_ok(bytes, (size_t)e->nbytes, e->crc))
        ret = damaged(t, e->uri, err);
    if (ret)
        free(bytes);
    else
        *out = bytes;
    return ret;
}

static int unpack(cm_tables *t, const cm_tables_entry *e, void **bytes, cm_error *err)
{
    cm_workspace *ws = NULL;
    size_t n = 0;
    if (e->unpacked == e->nbytes)
        return 0;
    if (e->unpacked > cm_context_max_memory(t->ctx))
        return cm_error_set(err, CM_ELIMIT, "an entry of %llu bytes",
                            (unsigned long long)e->unpacked);
    void *plain = malloc((size_t)e->unpacked);
    int ret = plain ? cm_workspace_get(t->ctx, &ws, err)
                    : cm_error_set(err, CM_ENOMEM, "out of memory (%llu bytes)",
                                   (unsigned long long)e->unpacked);
    if (ret == 0)
        ret = t->zstd->cls->decode(t->zstd, ws->codecs, *bytes, (size_t)e->nbytes, plain,
                                   (size_t)e->unpacked, &n, err);
    cm_workspace_put(t->ctx, ws);
    if (ret == CM_ELIMIT || (ret == 0 && n != e->unpacked))
        ret = damaged(t, e->uri, err);
    if (ret) {
        free(plain);
        return ret;
    }
    free(*bytes);
    *bytes = plain;
    return 0;
}

/* The store of the directory that path is in, ref'd. Files of one directory share it. */
static int directory_store(cm_tables *t, const char *path, cm_store **out, cm_error *err)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash == path ? 1 : (size_t)(slash - path);
    int ret = 0;
    pthread_mutex_lock(&t->lock);
    if (!t->last || strlen(t->directory) != n || memcmp(t->directory, path, n) != 0) {
        cm_store_unref(t->last);
        free(t->directory);
        t->last = NULL;
        t->directory = cm_strndup(path, n, err);
        ret = t->directory
                  ? cm_store_open_local(t->ctx, t->directory, CM_DURABLE_NONE, &t->last, err)
                  : CM_ENOMEM;
    }
    *out = ret ? NULL : cm_store_ref(t->last);
    pthread_mutex_unlock(&t->lock);
    return ret;
}

static int check(const cm_tables_entry *e, cm_error *err)
{
    struct stat st;
    if (stat(e->path, &st) != 0)
        return 0; /* not here: who reads its cells is told */
    if ((uint64_t)st.st_size == e->version.size && st.st_ino == e->version.id[0] &&
        (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec ==
            e->version.id[1])
        return 0;
    cm_error_set(err, CM_ECHANGED,
                 "it is not the file that was scanned: it was changed or replaced"
                 " since");
    cm_error_hint(err, "scan it again");
    cm_error_object(err, e->path);
    return CM_ECHANGED;
}

int cm_tables_dataset(cm_tables *t, size_t i, const char *uri, bool checked, cm_dataset **out,
                      cm_error *err)
{
    const cm_tables_entry *e = &t->entries[i];
    cm_tables_file file = {.version = e->version};
    void *bytes = NULL;
    *out = NULL;
    int ret = checked ? 0 : check(e, err);
    if (ret == 0)
        ret = cm_tables_read(t, i, &bytes, err);
    if (ret == 0)
        ret = unpack(t, e, &bytes, err);
    if (ret == 0)
        ret = directory_store(t, e->path, &file.store, err);
    file.key = strrchr(e->path, '/') + 1;
    if (ret == 0)
        ret = cm_tables_unpack(t->ctx, bytes, (size_t)e->unpacked, &file, uri ? uri : e->uri, out,
                               err);
    cm_store_unref(file.store);
    free(bytes);
    return ret;
}

/* ---- as a dataset ---------------------------------------------------------------------------- */

static void free_carried(void *t)
{
    cm_tables_free(t);
}

int cm_tables_carrier(cm_context *ctx, cm_tables *t, const char *uri, cm_dataset **out,
                      cm_error *err)
{
    int ret = cm_dataset_new(ctx, uri, "scan tables", out, err);
    if (ret) {
        cm_tables_free(t);
        return ret;
    }
    (*out)->owner = t;
    (*out)->owner_free = free_carried;
    return 0;
}

cm_tables *cm_tables_carried(const cm_dataset *ds)
{
    return ds->owner_free == free_carried ? ds->owner : NULL;
}
