/* format/tables/tables_cache.c: the cache of scans.
 *
 * A source whose path, size, inode and both times of change, the file's (mtime) and the system's
 * (ctime), are those of an entry is that entry's dataset; nothing of the file is read. The file's
 * time can be set back by whoever writes it (rsync, cp -p, touch -r do); the system's cannot, but
 * it means nothing on another machine: tables that travel do not have it. All others are opened,
 * and their entries noted; at the end, if there are any, the cache is written anew: the old entries
 * but for those of the same paths, then the new ones. It is put under its name when it is whole, so
 * that processes that use one cache at the same time see the old one or the new one; the last one's
 * stays, and what the other scanned is scanned again some day. Entries of files that are gone stay:
 * nobody looks for them.
 *
 * A file that changed less than two seconds before it was looked at is not noted: a change within
 * the same tick of the file system's clock would leave its time as it is, and some clocks tick
 * every two seconds. So are files whose time is in the future. The system's time ticks with the
 * kernel's clock, 10 ms at most: a tenth of a second is enough there.
 *
 * Entries of another version of the program are not used: it may have read the file otherwise.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/context_private.h"
#include "base/memory.h"
#include "format/format.h"
#include "format/tables/tables_cache.h"
#include "store/local.h"

enum { SETTLED_S = 2, SETTLED_SYSTEM_NS = 100000000 };

struct cm_tables_cache {
    cm_context *ctx;
    char *path;
    cm_tables *old;        /* NULL: none */
    size_t *slots;         /* of entries of old by path, number + 1 or 0: open addressing */
    size_t nslots;         /* a power of two */
    bool *replaced;        /* entries of old */
    cm_tables_item *items; /* by source */
    _Atomic bool *noting;  /* the item of that source is made, or was */
    size_t n;
};

/* ---- finding --------------------------------------------------------------------------------- */

static size_t hash(const char *s)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (; *s; s++)
        h = (h ^ (uint8_t)*s) * 0x100000001b3u;
    return (size_t)(h ^ h >> 32);
}

static int index_entries(cm_tables_cache *c, cm_error *err)
{
    size_t n = cm_tables_count(c->old), size = 16;
    while (size < 2 * n)
        size *= 2;
    c->slots = cm_calloc(size, sizeof *c->slots, err);
    c->replaced = cm_calloc(n, sizeof *c->replaced, err);
    if (!c->slots || !c->replaced)
        return CM_ENOMEM;
    c->nslots = size;
    for (size_t i = 0; i < n; i++) {
        size_t at = hash(cm_tables_entry_at(c->old, i)->path) & (size - 1);
        while (c->slots[at])
            at = (at + 1) & (size - 1);
        c->slots[at] = i + 1;
    }
    return 0;
}

/* The number of the entry of path; SIZE_MAX when there is none. */
static size_t find(const cm_tables_cache *c, const char *path)
{
    if (!c->nslots)
        return SIZE_MAX;
    for (size_t at = hash(path) & (c->nslots - 1); c->slots[at]; at = (at + 1) & (c->nslots - 1))
        if (strcmp(cm_tables_entry_at(c->old, c->slots[at] - 1)->path, path) == 0)
            return c->slots[at] - 1;
    return SIZE_MAX;
}

/* ---- opening --------------------------------------------------------------------------------- */

/* 0 when path is a file of tables, whole or not, or empty, or not there. *empty: the latter two. */
static int check_kind(const char *path, bool *empty, cm_error *err)
{
    char head[8];
    *empty = true;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0)
        return cm_error_set_os(err, errno, "cannot open the cache");
    ssize_t n = read(fd, head, sizeof head);
    close(fd);
    if (n == 0)
        return 0;
    *empty = false;
    if (n > 0 && memcmp(head, CM_TABLES_MAGIC, (size_t)n) == 0)
        return 0;
    cm_error_set(err, CM_EINVAL, "is no cache of scans: it would be overwritten");
    cm_error_hint(err, "name a file that is not there, or remove this one");
    return CM_EINVAL;
}

static int open_old(cm_tables_cache *c, cm_error *err)
{
    cm_tables_place place;
    cm_store *store = NULL;
    int ret = cm_tables_place_of(c->path, &place, err);
    if (ret)
        return ret;
    ret = cm_store_open_local(c->ctx, place.directory, CM_DURABLE_NONE, &store, err);
    if (ret == 0)
        ret = cm_tables_open(c->ctx, store, place.key, c->path, &c->old, err);
    cm_store_unref(store);
    cm_tables_place_deinit(&place);
    return ret;
}

int cm_tables_cache_open(cm_context *ctx, const char *path, size_t n, cm_tables_cache **out,
                         cm_error *err)
{
    cm_tables_cache *c = cm_calloc(1, sizeof *c, err);
    cm_error why = {0};
    char line[512];
    bool empty = true;
    *out = NULL;
    if (!c)
        return CM_ENOMEM;
    c->ctx = ctx;
    c->n = n;
    c->path = cm_strdup(path, err);
    c->items = c->path ? cm_calloc(n, sizeof *c->items, err) : NULL;
    c->noting = c->items ? cm_calloc(n, sizeof *c->noting, err) : NULL;
    int ret = c->noting ? check_kind(path, &empty, err) : CM_ENOMEM;
    if (ret == 0 && !empty && open_old(c, &why)) {
        if (why.code == CM_ENOMEM || why.code == CM_ECANCEL)
            ret = why.code;
        else
            cm_context_log(ctx, CM_LOG_WARNING, "the cache is not used, and made anew: %s",
                           cm_error_line(&why, line, sizeof line));
        if (ret && err)
            *err = why;
    }
    if (ret == 0 && c->old && strcmp(cm_tables_program(c->old), cm_version()) != 0) {
        cm_tables_free(c->old);
        c->old = NULL;
    }
    if (ret == 0 && c->old)
        ret = index_entries(c, err);
    if (ret) {
        cm_error_object(err, path);
        cm_tables_cache_free(c);
        return ret;
    }
    *out = c;
    return 0;
}

void cm_tables_cache_free(cm_tables_cache *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n && c->items; i++)
        cm_tables_item_deinit(&c->items[i]);
    cm_tables_free(c->old);
    free(c->items);
    free((void *)c->noting);
    free(c->slots);
    free(c->replaced);
    free(c->path);
    free(c);
}

/* ---- one source ------------------------------------------------------------------------------ */

static uint64_t nanoseconds(const struct timespec *t)
{
    return (uint64_t)t->tv_sec * 1000000000u + (uint64_t)t->tv_nsec;
}

static bool is_settled(const struct stat *st)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t age = (int64_t)now.tv_sec - (int64_t)st->st_mtim.tv_sec;
    return age > SETTLED_S &&
           nanoseconds(&now) > nanoseconds(&st->st_ctim) + (uint64_t)SETTLED_SYSTEM_NS;
}

static cm_object_version version_of(const struct stat *st)
{
    return (cm_object_version){.size = (uint64_t)st->st_size,
                               .id = {st->st_ino, nanoseconds(&st->st_mtim), 0}};
}

/* Is the file still what the entry is of? */
static bool is_of(const cm_tables_entry *e, const struct stat *st)
{
    cm_object_version now = version_of(st);
    return memcmp(&now, &e->version, sizeof now) == 0 && e->ctime_ns == nanoseconds(&st->st_ctim);
}

/* Out of the cache; *out stays NULL when the entry is not there, or not good. */
static int take_cached(cm_tables_cache *c, const char *uri, const char *path, const struct stat *st,
                       cm_dataset **out, cm_error *err)
{
    cm_error why = {0};
    char line[512];
    size_t i = find(c, path);
    if (i == SIZE_MAX)
        return 0;
    if (!is_of(cm_tables_entry_at(c->old, i), st))
        return 0;
    int ret = cm_tables_dataset(c->old, i, uri, true, out, &why);
    if (ret == 0)
        return 0;
    *out = NULL;
    if (ret == CM_ENOMEM || ret == CM_ECANCEL || ret == CM_EINVAL) {
        if (err)
            *err = why;
        return ret;
    }
    if (ret == CM_ECHANGED) /* a large cache that another process replaced meanwhile */
        return 0;
    cm_context_log(c->ctx, CM_LOG_WARNING, "%s: an entry of the cache is not used: %s", c->path,
                   cm_error_line(&why, line, sizeof line));
    return 0;
}

/* Note what was opened. That it cannot be is no failure of the opening. */
static int note(cm_tables_cache *c, size_t i, const cm_tables_place *place, cm_dataset *ds,
                const struct stat *st, cm_error *err)
{
    cm_tables_file file = {.key = place->key, .version = version_of(st)};
    cm_error why = {0};
    if (atomic_exchange(&c->noting[i], true))
        return 0;
    int ret = cm_store_open_local(c->ctx, place->directory, CM_DURABLE_NONE, &file.store, &why);
    if (ret == 0)
        ret = cm_tables_make(c->ctx, ds, &file, place->path, &c->items[i], &why);
    c->items[i].entry.ctime_ns = nanoseconds(&st->st_ctim);
    cm_store_unref(file.store);
    if (ret != CM_ENOMEM && ret != CM_ECANCEL)
        return 0;
    if (err)
        *err = why;
    return ret;
}

int cm_tables_cache_dataset(cm_tables_cache *c, size_t i, const char *uri, cm_dataset **out,
                            bool *cached, cm_error *err)
{
    cm_tables_place place;
    struct stat st;
    *out = NULL;
    *cached = false;
    bool local = cm_tables_place_of(uri, &place, NULL) == 0;
    bool file = local && stat(place.path, &st) == 0 && S_ISREG(st.st_mode);
    int ret = file ? take_cached(c, uri, place.path, &st, out, err) : 0;
    *cached = ret == 0 && *out;
    if (ret == 0 && !*out) {
        ret = cm_format_open(c->ctx, uri, NULL, out, err);
        if (ret == 0 && file && is_settled(&st) && !cm_tables_carried(*out))
            ret = note(c, i, &place, *out, &st, err);
        if (ret) {
            cm_dataset_free(*out);
            *out = NULL;
        }
    }
    if (local)
        cm_tables_place_deinit(&place);
    return ret;
}

bool cm_tables_cache_knows(const cm_tables_cache *c, const char *uri)
{
    cm_tables_place place;
    struct stat st;
    if (cm_tables_place_of(uri, &place, NULL))
        return false;
    size_t i = stat(place.path, &st) == 0 ? find(c, place.path) : SIZE_MAX;
    cm_tables_place_deinit(&place);
    return i != SIZE_MAX && is_of(cm_tables_entry_at(c->old, i), &st);
}

/* ---- writing --------------------------------------------------------------------------------- */

static int put_old(cm_tables_cache *c, cm_tables_writer *w, cm_error *err)
{
    int ret = 0;
    for (size_t i = 0; c->old && i < cm_tables_count(c->old) && ret == 0; i++) {
        void *bytes = NULL;
        cm_error why = {0};
        if (c->replaced[i])
            continue;
        ret = cm_tables_read(c->old, i, &bytes, &why);
        if (ret == CM_EDATA || ret == CM_ECHANGED) { /* damaged, or the old one was replaced */
            ret = 0;
            continue;
        }
        if (ret == 0)
            ret = cm_tables_put(w, cm_tables_entry_at(c->old, i), bytes, &why);
        if (ret && err)
            *err = why;
        free(bytes);
    }
    return ret;
}

static int produce(void *user, cm_write_fn write, void *to, cm_error *err)
{
    cm_tables_cache *c = user;
    cm_tables_writer w;
    int ret = cm_tables_begin(&w, write, to, err);
    if (ret == 0)
        ret = put_old(c, &w, err);
    for (size_t i = 0; i < c->n && ret == 0; i++)
        if (c->items[i].bytes)
            ret = cm_tables_put(&w, &c->items[i].entry, c->items[i].bytes, err);
    if (ret == 0)
        ret = cm_tables_end(&w, err);
    cm_tables_writer_deinit(&w);
    return ret;
}

/* Of two sources of one path the first one's entry stays, and the old one goes. */
static int by_path(const void *a, const void *b)
{
    const cm_tables_item *const *x = a, *const *y = b;
    int order = strcmp((*x)->path, (*y)->path);
    return order ? order : (*x < *y ? -1 : *x > *y);
}

static int settle(cm_tables_cache *c, size_t *nnew, cm_error *err)
{
    cm_tables_item **sorted = cm_calloc(c->n, sizeof *sorted, err);
    size_t n = 0;
    if (!sorted)
        return CM_ENOMEM;
    for (size_t i = 0; i < c->n; i++)
        if (c->items[i].bytes)
            sorted[n++] = &c->items[i];
    if (n)
        qsort(sorted, n, sizeof *sorted, by_path);
    *nnew = n;
    for (size_t i = 0; i < n; i++) {
        size_t old = find(c, sorted[i]->path);
        if (old != SIZE_MAX)
            c->replaced[old] = true;
    }
    for (size_t i = n; i-- > 1;)
        if (strcmp(sorted[i]->path, sorted[i - 1]->path) == 0) {
            cm_tables_item_deinit(sorted[i]);
            sorted[i] = sorted[i - 1];
        }
    free(sorted);
    return 0;
}

int cm_tables_cache_save(cm_tables_cache *c, cm_error *err)
{
    cm_tables_place place;
    cm_store *store = NULL;
    cm_error why = {0};
    char line[512];
    size_t nnew;
    int ret = settle(c, &nnew, err);
    if (ret || nnew == 0)
        return ret;
    ret = cm_tables_place_of(c->path, &place, &why);
    if (ret == 0) {
        ret = cm_store_open_local(c->ctx, place.directory, CM_DURABLE_NONE, &store, &why);
        if (ret == 0)
            cm_local_sweep(place.directory, place.key, false);
        if (ret == 0)
            ret = store->vt->put_from(store, place.key, produce, c, 0, &why);
        cm_store_unref(store);
        cm_tables_place_deinit(&place);
    }
    if (ret == CM_ENOMEM || ret == CM_ECANCEL) {
        if (err)
            *err = why;
        return ret;
    }
    if (ret)
        cm_context_log(c->ctx, CM_LOG_WARNING, "the cache %s was not written: %s", c->path,
                       cm_error_line(&why, line, sizeof line));
    return 0;
}
