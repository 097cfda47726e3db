/* format/hdf5/h5_strings.c: stored cells that are not numbers in memory's form: strings, sequences,
 * bools, and integers that fill their bytes only in part.
 *
 * Fixed strings are cut at their padding. Variable strings are 4 bytes of length, the address of a
 * global heap collection and an index into it; the collections are read whole and kept in a small
 * cache per file, since the strings of a chunk lie together in a few of them. Every string must be
 * UTF-8, else the read is CM_EDATA: a string that is not text could not be written to any Zarr
 * store. Sequences lie in the same heaps, their length a number of elements; what these are is
 * h5_record.c's. A bool must be 0 or 1.
 *
 * The cache holds at most CACHE_NBYTES and never frees a collection that somebody looks at (refs):
 * an entry that does not fit belongs to its reader alone. The file is read outside the lock.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/memory.h"
#include "format/hdf5/h5_model.h"
#include "text/utf8.h"

#define CACHE_ENTRIES 64
#define CACHE_NBYTES (8u << 20)
#define MAX_COLLECTION (64u << 20)
#define MAX_TEXT (256u << 20) /* of the references of one block of cells */

typedef struct entry {
    uint64_t addr, stamp;
    size_t nbytes; /* all memory of it */
    int refs;      /* users; the cache itself is not one */
    bool cached;
    uint8_t *data;
    cm_h5_collection col;
} entry;

struct cm_h5_heap_cache {
    pthread_mutex_t lock; /* guards everything below, and refs, stamp, cached of entries */
    entry *entries[CACHE_ENTRIES];
    size_t n, nbytes;
    uint64_t clock;
};

int cm_h5_heap_cache_new(cm_h5_heap_cache **out, cm_error *err)
{
    *out = cm_calloc(1, sizeof **out, err);
    if (!*out)
        return CM_ENOMEM;
    pthread_mutex_init(&(*out)->lock, NULL);
    return 0;
}

static void free_entry(entry *e)
{
    if (e) {
        free(e->col.at);
        free(e->data);
        free(e);
    }
}

void cm_h5_heap_cache_free(cm_h5_heap_cache *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n; i++)
        free_entry(c->entries[i]);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static int load(cm_h5_file *f, uint64_t addr, entry **out, cm_error *err)
{
    uint64_t at, nbytes;
    uint8_t head[16];
    if (!cm_add_u64(f->base, addr, &at) || at > f->size || f->size - at < sizeof head)
        return cm_error_set(err, CM_EDATA, "global heap at %" PRIu64 " is not inside the file",
                            addr);
    cm_object_version version = f->version;
    cm_range range = {at, sizeof head, head};
    int rc = f->store->vt->get(f->store, f->key, &range, 1, &version, err);
    if (rc == 0)
        rc = cm_h5_collection_nbytes(f, head, sizeof head, &nbytes, err);
    if (rc)
        return rc;
    if (nbytes > f->size - at)
        return cm_error_set(err, CM_EDATA, "global heap at %" PRIu64 " is not inside the file",
                            addr);
    if (nbytes > MAX_COLLECTION)
        return cm_error_set(err, CM_ELIMIT, "global heap collection of %" PRIu64 " bytes", nbytes);
    entry *e = cm_calloc(1, sizeof *e, err);
    if (!e)
        return CM_ENOMEM;
    e->addr = addr;
    e->data = cm_calloc(1, (size_t)nbytes, err);
    range = (cm_range){at, (size_t)nbytes, e->data};
    rc = e->data ? f->store->vt->get(f->store, f->key, &range, 1, &version, err) : CM_ENOMEM;
    if (rc == 0)
        rc = cm_h5_collection_index(f, e->data, (size_t)nbytes, &e->col, err);
    if (rc) {
        free_entry(e);
        return rc;
    }
    e->nbytes = sizeof *e + (size_t)nbytes + 8 * (size_t)e->col.n;
    *out = e;
    return 0;
}

static entry *lookup(cm_h5_heap_cache *c, uint64_t addr)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->entries[i]->addr == addr) {
            c->entries[i]->stamp = ++c->clock;
            c->entries[i]->refs++;
            return c->entries[i];
        }
    return NULL;
}

/* Make room for nbytes by dropping what was not used for longest. False: cannot be. */
static bool make_room(cm_h5_heap_cache *c, size_t nbytes)
{
    if (nbytes > CACHE_NBYTES / 2)
        return false;
    while (c->n == CACHE_ENTRIES || c->nbytes + nbytes > CACHE_NBYTES) {
        size_t oldest = CACHE_ENTRIES;
        for (size_t i = 0; i < c->n; i++)
            if (c->entries[i]->refs == 0 &&
                (oldest == CACHE_ENTRIES || c->entries[i]->stamp < c->entries[oldest]->stamp))
                oldest = i;
        if (oldest == CACHE_ENTRIES)
            return false;
        c->nbytes -= c->entries[oldest]->nbytes;
        free_entry(c->entries[oldest]);
        c->entries[oldest] = c->entries[--c->n];
    }
    return true;
}

static int acquire(cm_h5_file *f, uint64_t addr, entry **out, cm_error *err)
{
    cm_h5_heap_cache *c = f->heaps;
    pthread_mutex_lock(&c->lock);
    *out = lookup(c, addr);
    pthread_mutex_unlock(&c->lock);
    if (*out)
        return 0;
    entry *e = NULL;
    int rc = load(f, addr, &e, err);
    if (rc)
        return rc;
    pthread_mutex_lock(&c->lock);
    *out = lookup(c, addr); /* another thread may have been faster */
    if (!*out) {
        *out = e;
        e->refs = 1;
        e->stamp = ++c->clock;
        e->cached = make_room(c, e->nbytes);
        if (e->cached) {
            c->entries[c->n++] = e;
            c->nbytes += e->nbytes;
        }
        e = NULL;
    }
    pthread_mutex_unlock(&c->lock);
    free_entry(e);
    return 0;
}

static void release(cm_h5_file *f, entry *e)
{
    if (!e)
        return;
    pthread_mutex_lock(&f->heaps->lock);
    bool drop = --e->refs == 0 && !e->cached;
    pthread_mutex_unlock(&f->heaps->lock);
    if (drop)
        free_entry(e);
}

/* ---- cells ----------------------------------------------------------------------------------- */

static int check_text(const cm_string *s, cm_error *err)
{
    return cm_utf8_valid(s->data, s->nbytes)
               ? 0
               : cm_error_set(err, CM_EDATA, "a string of %zu bytes is not UTF-8", s->nbytes);
}

/* Views of bytes that go away become the arena's; `moves`: lists of such cells. */
static int to_arena(const cm_h5_moves *moves, cm_string *s, int64_t n, cm_arena *arena,
                    cm_error *err)
{
    size_t total = 0, stored = moves ? cm_h5_moves_stored(moves) : 1;
    size_t native = moves ? cm_h5_moves_dtype(moves).size : 1;
    for (int64_t i = 0; i < n; i++)
        if (!cm_add_size(total, s[i].nbytes / stored * native, &total))
            return cm_error_set(err, CM_ELIMIT, "strings are larger than memory can be");
    if (total == 0)
        return 0;
    char *p = cm_arena_alloc(arena, total, err);
    if (!p)
        return err && err->code ? err->code : CM_ELIMIT;
    int rc = 0;
    for (int64_t i = 0; rc == 0 && i < n; i++) {
        if (s[i].nbytes == 0)
            continue;
        size_t count = s[i].nbytes / stored;
        if (moves)
            rc = cm_h5_moves_run(moves, (const uint8_t *)s[i].data, p, count, err);
        else
            memcpy(p, s[i].data, count);
        s[i] = (cm_string){p, count * native};
        p += count * native;
    }
    return rc;
}

static int unpack_fixed(const cm_h5_unpacker *u, const uint8_t *p, cm_string *dst, int64_t n,
                        cm_arena *arena, cm_error *err)
{
    int rc = 0;
    for (int64_t i = 0; rc == 0 && i < n; i++, p += u->size) {
        size_t length = cm_h5_string_length(p, u->used, u->padding);
        dst[i] = (cm_string){length ? (const char *)p : NULL, length};
        rc = check_text(&dst[i], err);
    }
    return rc ? rc : to_arena(NULL, dst, n, arena, err);
}

/* A string's text ends at a NUL; a sequence has all its bytes. */
static int one_variable(const cm_h5_unpacker *u, const entry *e, uint32_t index, uint64_t count,
                        cm_string *out, cm_error *err)
{
    const uint8_t *data;
    size_t have, size = u->moves ? cm_h5_moves_stored(u->moves) : 1;
    int rc = cm_h5_collection_object(&e->col, index, &data, &have, err);
    if (rc)
        return rc;
    if (count > have / size)
        return cm_error_set(err, CM_EDATA, "%s of %" PRIu64 " in a heap object of %zu bytes",
                            u->moves ? "sequence" : "string", count, have);
    const uint8_t *nul = u->moves ? NULL : memchr(data, 0, (size_t)count);
    size_t n = nul ? (size_t)(nul - data) : (size_t)count * size;
    *out = (cm_string){n ? (const char *)data : NULL, n};
    return u->moves ? 0 : check_text(out, err);
}

static int unpack_variable(const cm_h5_unpacker *u, const uint8_t *p, cm_string *dst, int64_t n,
                           cm_arena *arena, cm_error *err)
{
    cm_h5_file *f = u->file;
    entry *e = NULL;
    int64_t first = 0; /* of the cells whose bytes are e's */
    int rc = 0;
    for (int64_t i = 0; rc == 0 && i < n; i++, p += u->size) {
        cm_h5_cursor c = cm_h5_cursor_of(p, u->size);
        uint64_t nbytes = cm_h5_u32(&c), addr = cm_h5_address(&c, f);
        uint32_t index = cm_h5_u32(&c);
        dst[i] = (cm_string){0};
        if (nbytes == 0 || addr == 0 || addr == CM_H5_UNDEF)
            continue;
        if (!e || e->addr != addr) {
            rc = e ? to_arena(u->moves, dst + first, i - first, arena, err) : 0;
            release(f, e);
            e = NULL;
            first = i;
            if (rc == 0)
                rc = acquire(f, addr, &e, err);
        }
        if (rc == 0)
            rc = one_variable(u, e, index, nbytes, &dst[i], err);
    }
    if (rc == 0 && e)
        rc = to_arena(u->moves, dst + first, n - first, arena, err);
    release(f, e);
    return rc;
}

/* The text of one reference, behind what is in `text` already. */
static int one_reference(const cm_h5_unpacker *u, const uint8_t *p, cm_buffer *text, cm_error *err)
{
    if (u->cells == CM_H5_CELLS_REFERENCE)
        return cm_h5_reference_text(u->paths, u->file, false, p, u->size, text, err);
    uint64_t addr;
    uint32_t index;
    const uint8_t *data;
    size_t n;
    entry *e = NULL;
    int rc = cm_h5_region_place(u->file, p, u->size, &addr, &index, err);
    if (rc || addr == 0)
        return rc;
    rc = acquire(u->file, addr, &e, err);
    if (rc == 0)
        rc = cm_h5_collection_object(&e->col, index, &data, &n, err);
    if (rc == 0)
        rc = cm_h5_reference_text(u->paths, u->file, true, data, n, text, err);
    release(u->file, e);
    return rc;
}

static int unpack_references(const cm_h5_unpacker *u, const uint8_t *p, cm_string *dst, int64_t n,
                             cm_arena *arena, cm_error *err)
{
    cm_buffer text;
    cm_buffer_init(&text, MAX_TEXT);
    int rc = 0;
    for (int64_t i = 0; rc == 0 && i < n; i++, p += u->size) {
        size_t before = text.nbytes;
        rc = one_reference(u, p, &text, err);
        dst[i] = (cm_string){NULL, text.nbytes - before};
    }
    const char *at = (const char *)text.data;
    for (int64_t i = 0; rc == 0 && i < n; i++)
        if (dst[i].nbytes) { /* all may be empty, and then there is no text at all */
            dst[i].data = at;
            at += dst[i].nbytes;
        }
    if (rc == 0)
        rc = to_arena(NULL, dst, n, arena, err);
    cm_buffer_deinit(&text);
    return rc;
}

static int unpack_bool(const uint8_t *p, uint8_t *dst, int64_t n, cm_error *err)
{
    for (int64_t i = 0; i < n; i++)
        if (p[i] > 1)
            return cm_error_set(err, CM_EDATA, "a bool has the value %u", p[i]);
    memcpy(dst, p, (size_t)n);
    return 0;
}

int cm_h5_unpack(cm_array *leaf, const void *stored, void *dst, int64_t n, cm_arena *arena,
                 cm_error *err)
{
    const cm_h5_unpacker *u = cm_chunked_owner(leaf);
    switch (u->cells) {
    case CM_H5_CELLS_FIXED_STRING: return unpack_fixed(u, stored, dst, n, arena, err);
    case CM_H5_CELLS_VLEN_STRING: return unpack_variable(u, stored, dst, n, arena, err);
    case CM_H5_CELLS_NARROW:
        for (int64_t i = 0; i < n; i++)
            cm_h5_widen(&u->narrow, (const uint8_t *)stored + i * u->size,
                        (uint8_t *)dst + i * u->size);
        return 0;
    case CM_H5_CELLS_RECORD: return cm_h5_moves_run(u->moves, stored, dst, (size_t)n, err);
    case CM_H5_CELLS_SEQUENCE: return unpack_variable(u, stored, dst, n, arena, err);
    case CM_H5_CELLS_REFERENCE:
    case CM_H5_CELLS_REGION: return unpack_references(u, stored, dst, n, arena, err);
    default: return unpack_bool(stored, dst, n, err);
    }
}

int cm_h5_unpacker_new(const cm_h5_unpacker *like, cm_h5_unpacker **out, cm_error *err)
{
    *out = cm_memdup(like, sizeof *like, err);
    if (!*out)
        return CM_ENOMEM;
    cm_h5_file_ref(like->file);
    cm_h5_moves_ref(like->moves);
    cm_h5_paths_ref(like->paths);
    return 0;
}

void cm_h5_unpacker_free(void *unpacker)
{
    cm_h5_unpacker *u = unpacker;
    if (u) {
        cm_h5_file_unref(u->file);
        cm_h5_moves_unref(u->moves);
        cm_h5_paths_unref(u->paths);
        free(u);
    }
}
