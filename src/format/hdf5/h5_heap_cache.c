/* format/hdf5/h5_heap_cache.c: global heap collections while variables are read.
 *
 * What has a variable size lies in collections, many values in each. They are read whole and kept
 * in a small cache per file, since the values of a chunk lie together in a few of them.
 *
 * The cache holds at most CACHE_NBYTES and never frees a collection that somebody looks at (refs):
 * an entry that does not fit belongs to its reader alone. The file is read outside the lock.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/memory.h"
#include "format/hdf5/h5_model.h"

#define CACHE_ENTRIES 64
#define CACHE_NBYTES (8u << 20)
#define MAX_COLLECTION (64u << 20)

typedef struct cm_h5_held entry;
struct cm_h5_held {
    uint64_t addr, stamp;
    size_t nbytes; /* all memory of it */
    int refs;      /* users; the cache itself is not one */
    bool cached;
    uint8_t *data;
    cm_h5_collection col;
};

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

int cm_h5_heap_acquire(cm_h5_file *f, uint64_t addr, entry **out, cm_error *err)
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

void cm_h5_heap_release(cm_h5_file *f, entry *e)
{
    if (!e)
        return;
    pthread_mutex_lock(&f->heaps->lock);
    bool drop = --e->refs == 0 && !e->cached;
    pthread_mutex_unlock(&f->heaps->lock);
    if (drop)
        free_entry(e);
}

uint64_t cm_h5_heap_address(const cm_h5_held *e)
{
    return e->addr;
}

int cm_h5_heap_object(const cm_h5_held *e, uint32_t index, const uint8_t **data, size_t *nbytes,
                      cm_error *err)
{
    return cm_h5_collection_object(&e->col, index, data, nbytes, err);
}
