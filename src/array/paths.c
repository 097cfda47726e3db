/* array/paths.c: names of objects, interned: an open hash table over a list.
 *
 * A name's slot is never moved or freed while the table lives, so pointers into it may be used
 * without the lock. Its state goes once from new to good; a failed check is done again by the next
 * caller, since a file that is missing now may be mounted later.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "array/paths.h"
#include "base/hash.h"
#include "base/memory.h"

typedef struct cm_path {
    char *name, *key; /* key: set under the lock, once */
    char *meant;      /* by a rebase, else NULL */
    uint64_t size;
    int64_t mtime_ns;
    bool expected;
    bool good; /* atomic: key is there and what is expected holds */
} path;

struct cm_paths {
    int refcount; /* atomic */
    cm_store *store;
    cm_paths_resolve_fn resolve;
    void *user;
    void (*release)(void *user);
    struct {
        char *old, *new_prefix;
    } * rebases;
    size_t nrebases, rebases_capacity;
    pthread_mutex_t lock; /* guards all below, but for what a path says of itself */
    path **items;
    size_t n, capacity;
    uint32_t *slots; /* number + 1, 0: free */
    size_t nslots;   /* 0 or a power of two */
};

int cm_paths_new(cm_store *store, cm_paths **out, cm_error *err)
{
    cm_paths *p = cm_calloc(1, sizeof *p, err);
    if (!p)
        return CM_ENOMEM;
    p->refcount = 1;
    p->store = cm_store_ref(store);
    pthread_mutex_init(&p->lock, NULL);
    *out = p;
    return 0;
}

cm_paths *cm_paths_ref(cm_paths *p)
{
    __atomic_add_fetch(&p->refcount, 1, __ATOMIC_RELAXED);
    return p;
}

void cm_paths_unref(cm_paths *p)
{
    if (!p || __atomic_sub_fetch(&p->refcount, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (size_t i = 0; i < p->n; i++) {
        free(p->items[i]->name);
        free(p->items[i]->key);
        free(p->items[i]->meant);
        free(p->items[i]);
    }
    for (size_t i = 0; i < p->nrebases; i++) {
        free(p->rebases[i].old);
        free(p->rebases[i].new_prefix);
    }
    free(p->rebases);
    free(p->items);
    free(p->slots);
    if (p->release)
        p->release(p->user);
    pthread_mutex_destroy(&p->lock);
    cm_store_unref(p->store);
    free(p);
}

void cm_paths_set_resolve(cm_paths *p, cm_paths_resolve_fn fn, void *user, void (*release)(void *))
{
    p->resolve = fn;
    p->user = user;
    p->release = release;
}

/* file:///a and /a are the same. */
static const char *without_scheme(const char *name)
{
    return strncmp(name, "file://", 7) == 0 ? name + 7 : name;
}

static int apply_rebase(const cm_paths *p, path *item, cm_error *err)
{
    for (size_t i = 0; i < p->nrebases && !item->meant; i++) {
        const char *old = without_scheme(p->rebases[i].old), *name = without_scheme(item->name);
        size_t n = strlen(old);
        if (strncmp(name, old, n) != 0)
            continue;
        item->meant = cm_sprintf(err, "%s%s", p->rebases[i].new_prefix, name + n);
        item->mtime_ns = INT64_MIN;
        if (!item->meant)
            return CM_ENOMEM;
    }
    return 0;
}

int cm_paths_rebase(cm_paths *p, const char *old, size_t nold, const char *new_prefix,
                    cm_error *err)
{
    if (cm_grow(&p->rebases, &p->rebases_capacity, p->nrebases + 1, sizeof *p->rebases, err))
        return CM_ENOMEM;
    p->rebases[p->nrebases].old = cm_strndup(old, nold, err);
    p->rebases[p->nrebases].new_prefix = cm_strdup(new_prefix, err);
    p->nrebases++;
    int r =
        p->rebases[p->nrebases - 1].old && p->rebases[p->nrebases - 1].new_prefix ? 0 : CM_ENOMEM;
    for (size_t i = 0; i < p->n && r == 0; i++)
        r = apply_rebase(p, p->items[i], err);
    return r;
}

static size_t find_slot(const cm_paths *p, const char *name, size_t nbytes)
{
    size_t at = cm_lookup3(name, nbytes) & (p->nslots - 1);
    while (p->slots[at]) {
        const char *have = p->items[p->slots[at] - 1]->name;
        if (strlen(have) == nbytes && memcmp(have, name, nbytes) == 0)
            break;
        at = (at + 1) & (p->nslots - 1);
    }
    return at;
}

static int grow_slots(cm_paths *p, cm_error *err)
{
    size_t want = p->nslots ? 2 * p->nslots : 16;
    uint32_t *slots = cm_calloc(want, sizeof *slots, err);
    if (!slots)
        return CM_ENOMEM;
    free(p->slots);
    p->slots = slots;
    p->nslots = want;
    for (size_t i = 0; i < p->n; i++)
        slots[find_slot(p, p->items[i]->name, strlen(p->items[i]->name))] = (uint32_t)i + 1;
    return 0;
}

static int add_locked(cm_paths *p, const char *name, size_t nbytes, uint32_t *id, cm_error *err)
{
    if (2 * (p->n + 1) > p->nslots && grow_slots(p, err))
        return CM_ENOMEM;
    size_t at = find_slot(p, name, nbytes);
    if (p->slots[at]) {
        *id = p->slots[at] - 1;
        return 0;
    }
    if (p->n >= UINT32_MAX - 16)
        return cm_error_set(err, CM_ELIMIT, "references to more than 2^32 objects");
    if (cm_grow(&p->items, &p->capacity, p->n + 1, sizeof *p->items, err))
        return CM_ENOMEM;
    path *item = cm_calloc(1, sizeof *item, err);
    if (!item)
        return CM_ENOMEM;
    item->name = cm_strndup(name, nbytes, err);
    if (!item->name || apply_rebase(p, item, err)) {
        free(item->name);
        free(item->meant);
        free(item);
        return CM_ENOMEM;
    }
    p->items[p->n++] = item;
    p->slots[at] = (uint32_t)p->n;
    *id = (uint32_t)p->n - 1;
    return 0;
}

int cm_paths_add(cm_paths *p, const char *name, size_t nbytes, uint32_t *id, cm_error *err)
{
    if (nbytes == 0 || memchr(name, 0, nbytes))
        return cm_error_set(err, CM_EDATA, "a reference to an object without a proper name");
    pthread_mutex_lock(&p->lock);
    int r = add_locked(p, name, nbytes, id, err);
    pthread_mutex_unlock(&p->lock);
    return r;
}

static path *item_at(cm_paths *p, uint32_t id)
{
    pthread_mutex_lock(&p->lock);
    path *item = p->items[id];
    pthread_mutex_unlock(&p->lock);
    return item;
}

void cm_paths_expect(cm_paths *p, uint32_t id, uint64_t size, int64_t mtime_ns)
{
    path *item = item_at(p, id);
    item->expected = true;
    item->size = size;
    item->mtime_ns = mtime_ns;
}

size_t cm_paths_count(cm_paths *p)
{
    pthread_mutex_lock(&p->lock);
    size_t n = p->n;
    pthread_mutex_unlock(&p->lock);
    return n;
}

const char *cm_paths_name(cm_paths *p, uint32_t id)
{
    return item_at(p, id)->name;
}

static int compare(cm_paths *p, const path *item, cm_error *err)
{
    cm_object_version now;
    int r = p->store->vt->stat(p->store, item->key, &now, err);
    if (r == CM_ENOTFOUND) {
        cm_error_clear(err);
        cm_error_set(err, CM_ENOTFOUND, "%.400s, which is referred to, is not there",
                     item->meant ? item->meant : item->name);
        cm_error_hint(err, "if it was moved, chunkmill virtualize --rebase OLD=NEW writes new "
                           "references");
    }
    if (r || !item->expected)
        return r;
    bool size = now.size != item->size;
    if (!size && (item->mtime_ns == INT64_MIN || (int64_t)now.id[1] == item->mtime_ns))
        return 0;
    if (size)
        cm_error_set(err, CM_EDATA,
                     "%.400s has %" PRIu64 " bytes now, and had %" PRIu64
                     " when the references were made",
                     item->name, now.size, item->size);
    else
        cm_error_set(err, CM_EDATA, "%.400s was written to after the references were made",
                     item->name);
    cm_error_hint(err, "make the references again");
    return CM_EDATA;
}

int cm_paths_key(cm_paths *p, uint32_t id, const char **key, cm_error *err)
{
    path *item = item_at(p, id);
    if (__atomic_load_n(&item->good, __ATOMIC_ACQUIRE)) {
        *key = item->key;
        return 0;
    }
    int r = 0;
    char *made = NULL;
    if (p->resolve)
        r = p->resolve(p->user, item->meant ? item->meant : item->name, &made, err);
    else if (!(made = cm_strdup(item->name, err)))
        r = CM_ENOMEM;
    if (r)
        return r;
    pthread_mutex_lock(&p->lock);
    if (!item->key) {
        item->key = made;
        made = NULL;
    }
    pthread_mutex_unlock(&p->lock);
    free(made);
    r = compare(p, item, err);
    if (r)
        return r;
    __atomic_store_n(&item->good, true, __ATOMIC_RELEASE);
    *key = item->key;
    return 0;
}
