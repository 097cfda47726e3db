/* array/shard_index.c: the cache of shard indexes.
 *
 * An index that is used is charged to the budget from before its bytes are read until it is
 * released, or covered by what its reader has reserved; the cache charges what it keeps.
 *
 * A hash table of lists with an LRU order over all entries; an entry that is in use survives its
 * eviction by its reference count. Bytes are charged to the budget with cm_budget_try: when the
 * budget is out the oldest entries go first, and if even that does not help the index is simply not
 * kept. Loading happens outside the lock; two threads may load the same index at once, which costs
 * one read and cannot give two different answers for one version.
 *
 * `lock` guards all of struct cache; entries are immutable but for refcount (atomic).
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "array/shard_index.h"
#include "array/workspace.h"
#include "base/context_private.h"
#include "base/memory.h"
#include "nd/box.h"
#include "nd/copy.h"

enum { BUCKETS = 1024, MAX_INDEX = 1 << 28 };

typedef struct entry {
    struct entry *chain;         /* same bucket */
    struct entry *older, *newer; /* LRU list */
    cm_store *store;
    uint64_t base, nbytes; /* of the shard: one in another may begin at the same byte */
    uint32_t hash;
    size_t charged;
    cm_shard_index *index;
    char key[];
} entry;

typedef struct cache {
    pthread_mutex_t lock;
    cm_context *ctx;
    entry *buckets[BUCKETS];
    entry *oldest, *newest;
    uint64_t charged, limit;
} cache;

static void *make(cm_context *ctx, cm_error *err)
{
    cache *c = cm_calloc(1, sizeof *c, err);
    if (!c)
        return NULL;
    pthread_mutex_init(&c->lock, NULL);
    c->ctx = ctx;
    c->limit = cm_budget_limit(cm_context_budget(ctx)) / 16;
    return c;
}

void cm_shard_index_release(cm_shard_index *index)
{
    if (index && __atomic_sub_fetch(&index->refcount, 1, __ATOMIC_ACQ_REL) == 0) {
        free(index->entries);
        if (index->charged)
            cm_budget_give(cm_context_budget(index->ctx), index->charged);
        free(index);
    }
}

static void remove_entry(cache *c, entry *e)
{
    entry **p = &c->buckets[e->hash % BUCKETS];
    while (*p != e)
        p = &(*p)->chain;
    *p = e->chain;
    if (e->older)
        e->older->newer = e->newer;
    else
        c->oldest = e->newer;
    if (e->newer)
        e->newer->older = e->older;
    else
        c->newest = e->older;
    c->charged -= e->charged;
    cm_budget_give(cm_context_budget(c->ctx), e->charged);
    cm_store_unref(e->store);
    cm_shard_index_release(e->index);
    free(e);
}

static void forget(cache *c)
{
    while (c->oldest)
        remove_entry(c, c->oldest);
}

static void destroy(void *p)
{
    cache *c = p;
    forget(c);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

void cm_shard_indexes_forget(cm_context *ctx)
{
    cache *c = cm_context_slot(ctx, CM_SLOT_SHARD_INDEXES, make, destroy, NULL);
    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    forget(c);
    pthread_mutex_unlock(&c->lock);
}

static uint32_t hash_of(const cm_store *store, const char *key, uint64_t base)
{
    uint64_t h = 1469598103934665603u ^ (uintptr_t)store ^ base * 0x9e3779b97f4a7c15u;
    for (const char *k = key; *k; k++)
        h = (h ^ (uint8_t)*k) * 1099511628211u;
    return (uint32_t)(h ^ h >> 32);
}

/* With the lock held: find and make it the newest. */
static entry *find(cache *c, uint32_t hash, const cm_store *store, const char *key, uint64_t base,
                   uint64_t nbytes)
{
    for (entry *e = c->buckets[hash % BUCKETS]; e; e = e->chain) {
        if (e->hash != hash || e->store != store || e->base != base || e->nbytes != nbytes ||
            strcmp(e->key, key) != 0)
            continue;
        if (e->newer) {
            e->newer->older = e->older;
            if (e->older)
                e->older->newer = e->newer;
            else
                c->oldest = e->newer;
            e->older = c->newest;
            e->newer = NULL;
            c->newest->newer = e;
            c->newest = e;
        }
        return e;
    }
    return NULL;
}

/* With the lock held: keep index, unless memory is short. */
static void keep(cache *c, uint32_t hash, cm_store *store, const char *key, uint64_t base,
                 uint64_t nbytes, cm_shard_index *index)
{
    size_t charged = sizeof(entry) + strlen(key) + 1 + sizeof *index + index->nchunks * 16;
    cm_budget *budget = cm_context_budget(c->ctx);
    entry *old = find(c, hash, store, key, base, nbytes);
    if (old)
        remove_entry(c, old);
    if (charged > c->limit)
        return;
    while (c->charged + charged > c->limit && c->oldest)
        remove_entry(c, c->oldest);
    while (!cm_budget_try(budget, charged)) {
        if (!c->oldest)
            return;
        remove_entry(c, c->oldest);
    }
    entry *e = calloc(1, sizeof *e + strlen(key) + 1);
    if (!e) {
        cm_budget_give(budget, charged);
        return;
    }
    memcpy(e->key, key, strlen(key) + 1);
    e->store = cm_store_ref(store);
    e->base = base;
    e->nbytes = nbytes;
    e->hash = hash;
    e->charged = charged;
    e->index = index;
    __atomic_add_fetch(&index->refcount, 1, __ATOMIC_RELAXED);
    e->chain = c->buckets[hash % BUCKETS];
    c->buckets[hash % BUCKETS] = e;
    e->older = c->newest;
    if (c->newest)
        c->newest->newer = e;
    else
        c->oldest = e;
    c->newest = e;
    c->charged += charged;
}

/* Entries must lie inside the shard, or be empty. */
static int check_entries(const cm_shard_index *x, uint64_t shard_nbytes, cm_error *err)
{
    for (size_t i = 0; i < x->nchunks; i++) {
        uint64_t o = x->entries[2 * i], n = x->entries[2 * i + 1];
        if (o == UINT64_MAX && n == UINT64_MAX)
            continue;
        if (n > shard_nbytes || o > shard_nbytes - n)
            return cm_error_set(
                err, CM_EDATA,
                "shard index: inner chunk %zu lies at %llu+%llu, outside the shard's %llu bytes", i,
                (unsigned long long)o, (unsigned long long)n, (unsigned long long)shard_nbytes);
    }
    return 0;
}

/* What decoding an index needs beside its entries. */
static size_t middle_nbytes(const cm_chain *ic)
{
    size_t stored = cm_chain_stored_nbytes(ic), n = cm_chain_middle_nbytes(ic, stored);
    return ic->transposed && n < stored ? stored : n;
}

/* Entries that lie along other axes than the grid's go into C order: `room` is as large. */
static void put_in_order(const cm_chain *ic, uint64_t *entries, uint64_t *room)
{
    int64_t shape[CM_MAX_DIMS], dense[CM_MAX_DIMS], from[CM_MAX_DIMS], to[CM_MAX_DIMS];
    for (int i = 0; i < ic->ndim; i++)
        shape[i] = ic->shape[ic->order[i]];
    cm_strides_c(ic->ndim, shape, 8, dense);
    for (int i = 0; i < ic->ndim; i++)
        from[ic->order[i]] = dense[i];
    cm_strides_c(ic->ndim, ic->shape, 8, to);
    memcpy(room, entries, cm_chain_stored_nbytes(ic));
    cm_nd_copy(ic->ndim, ic->shape, 8, entries, to, room, from, 0);
}

static int decode(cm_context *ctx, const cm_chain *chain, const void *data, size_t nbytes,
                  cm_shard_index *x, cm_error *err)
{
    const cm_chain *ic = chain->index;
    size_t stored = cm_chain_stored_nbytes(ic), n = 0;
    void *middle = NULL;
    cm_workspace *ws = NULL;
    int r = CM_ENOMEM;
    x->nchunks = stored / 16;
    x->entries = cm_calloc(x->nchunks, 16, err);
    middle = cm_calloc(1, middle_nbytes(ic), err);
    if (!x->entries || !middle)
        goto out;
    r = cm_workspace_get(ctx, &ws, err);
    if (!r && ic->nstages)
        r = cm_chain_decode(ic, ws->codecs, 0, data, nbytes, x->entries, stored, &n, middle, err);
    else if (!r && nbytes != stored)
        r = cm_error_set(err, CM_EDATA, "%zu bytes where %zu are needed", nbytes, stored);
    else if (!r)
        memcpy(x->entries, data, stored);
    if (r)
        cm_error_prefix(err, "shard index");
    else if (ic->big_endian != (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__))
        cm_swap_bytes(x->entries, stored, 8);
    if (!r && ic->transposed)
        put_in_order(ic, x->entries, middle);
out:
    cm_workspace_put(ctx, ws);
    free(middle);
    return r;
}

/* Of one index: as stored, decoded, and on the way. */
static uint64_t one_cost(const cm_chain *chain)
{
    size_t stored = cm_chain_stored_nbytes(chain->index);
    return cm_chain_fixed_nbytes(chain->index) + (uint64_t)stored + middle_nbytes(chain->index);
}

uint64_t cm_shard_index_cost(const cm_chain *chain)
{
    uint64_t n = 0;
    for (; chain->a2b == CM_A2B_SHARDING; chain = chain->inner)
        n += one_cost(chain);
    return n;
}

/* Take the bytes of an index, from those of cached ones if need be. */
static int charge(cache *c, cm_shard_index *x, uint64_t nbytes, cm_error *err)
{
    cm_budget *budget = cm_context_budget(c->ctx);
    bool ok = cm_budget_try(budget, nbytes);
    pthread_mutex_lock(&c->lock);
    while (!ok && c->oldest) {
        remove_entry(c, c->oldest);
        ok = cm_budget_try(budget, nbytes);
    }
    pthread_mutex_unlock(&c->lock);
    if (ok) {
        x->charged = nbytes;
        return 0;
    }
    cm_error_set(err, CM_ELIMIT, "no memory left for a shard's index (%.1f MB)",
                 (double)nbytes / 1e6);
    cm_error_hint(err, "give more with --max-mem");
    return CM_ELIMIT;
}

static int load(cm_context *ctx, cm_store *store, const char *key, uint64_t base, uint64_t nbytes,
                const cm_object_version *version, const cm_chain *chain, bool absent_is_fill,
                cm_shard_index *x, cm_error *err)
{
    size_t encoded = cm_chain_fixed_nbytes(chain->index);
    if (encoded == 0 || encoded > MAX_INDEX)
        return cm_error_set(err, CM_EUNSUP, "a shard index of %zu bytes", encoded);
    int r = 0;
    void *buffer = NULL;
    cm_object_version v = *version;
    if (nbytes == UINT64_MAX) {
        cm_object_version now;
        r = store->vt->stat(store, key, &now, err);
        if (r == CM_ENOTFOUND && absent_is_fill) {
            x->absent = true;
            return cm_store_check_absent(store, key, err);
        }
        if (r)
            return r;
        nbytes = now.size;
        v = now;
    }
    if (nbytes < encoded)
        return cm_error_set(err, CM_EDATA, "a shard of %llu bytes, shorter than its index of %zu",
                            (unsigned long long)nbytes, encoded);
    buffer = cm_calloc(1, encoded, err);
    if (!buffer)
        return CM_ENOMEM;
    cm_range range = {base + (chain->index_at_start ? 0 : nbytes - encoded), encoded, buffer};
    r = store->vt->get(store, key, &range, 1, &v, err);
    if (!r)
        r = decode(ctx, chain, buffer, encoded, x, err);
    if (!r)
        r = check_entries(x, nbytes, err);
    x->version = v;
    free(buffer);
    return r;
}

int cm_shard_index_get(cm_context *ctx, cm_store *store, const char *key, uint64_t base,
                       uint64_t nbytes, const cm_object_version *version, const cm_chain *chain,
                       bool absent_is_fill, bool granted, cm_shard_index **out, cm_error *err)
{
    cache *c = cm_context_slot(ctx, CM_SLOT_SHARD_INDEXES, make, destroy, err);
    if (!c)
        return CM_ENOMEM;
    uint32_t hash = hash_of(store, key, base);
    cm_shard_index *x = NULL;
    pthread_mutex_lock(&c->lock);
    entry *e = find(c, hash, store, key, base, nbytes);
    static const cm_object_version any;
    /* another array may have had this key: an index of another length is not ours */
    if (e && e->index->nchunks == cm_chain_stored_nbytes(chain->index) / 16 &&
        (memcmp(version, &any, sizeof any) == 0 ||
         memcmp(version, &e->index->version, sizeof any) == 0)) {
        x = e->index;
        __atomic_add_fetch(&x->refcount, 1, __ATOMIC_RELAXED);
    }
    pthread_mutex_unlock(&c->lock);
    if (x) {
        *out = x;
        return 0;
    }
    x = cm_calloc(1, sizeof *x, err);
    if (!x)
        return CM_ENOMEM;
    x->refcount = 1;
    x->ctx = ctx;
    int r = granted ? 0 : charge(c, x, one_cost(chain), err);
    if (!r)
        r = load(ctx, store, key, base, nbytes, version, chain, absent_is_fill, x, err);
    if (r) {
        cm_shard_index_release(x);
        return r;
    }
    if (!x->absent) {
        pthread_mutex_lock(&c->lock);
        keep(c, hash, store, key, base, nbytes, x);
        pthread_mutex_unlock(&c->lock);
    }
    *out = x;
    return 0;
}
