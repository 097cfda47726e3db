/* store/memory_store.c: a store in memory, for tests and for small results.
 *
 * Objects lie in a skip list ordered by key: listing a prefix is a search and a walk, and skipping
 * everything below a child is another search. An object's bytes never change: putting makes a new
 * one and drops the list's reference to the old one, so a reader that took a reference under the
 * lock copies without it. Bytes are not charged to the memory budget: who uses this store for large
 * data has decided to hold them.
 *
 * The version is a counter of puts, so an object that was deleted and put again is another one.
 * Unlike in a directory, a key may be an object and the prefix of others at once.
 *
 * The lock guards the list and the counter. Callbacks are called without it.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/memory.h"
#include "store/store.h"

enum { LEVELS = 16 };

typedef struct blob {
    _Atomic int refcount;
    uint64_t serial;
    size_t nbytes;
    uint8_t data[];
} blob;

typedef struct node {
    char *key;
    blob *content;
    int levels;
    struct node *next[LEVELS]; /* the first `levels` are there */
} node;

typedef struct memory_store {
    cm_store base;
    pthread_mutex_t lock;
    uint64_t serial;
    node *head[LEVELS];
} memory_store;

static void blob_unref(blob *b)
{
    if (b && atomic_fetch_sub(&b->refcount, 1) == 1)
        free(b);
}

/* ---- the list; all under the lock ------------------------------------------------------------ */

/* For every level the link that leads to the first node whose key is >= key. */
static void find_links(memory_store *s, const char *key, node ***links)
{
    node **from = s->head;
    for (int level = LEVELS - 1; level >= 0; level--) {
        while (from[level] && strcmp(from[level]->key, key) < 0)
            from = from[level]->next;
        links[level] = &from[level];
    }
}

static node *find_at_or_after(memory_store *s, const char *key)
{
    node **links[LEVELS];
    find_links(s, key, links);
    return *links[0];
}

static node *find(memory_store *s, const char *key)
{
    node *n = find_at_or_after(s, key);
    return n && strcmp(n->key, key) == 0 ? n : NULL;
}

static void node_free(node *n)
{
    if (n) {
        blob_unref(n->content);
        free(n->key);
        free(n);
    }
}

static node *node_new(const char *key, blob *content, cm_error *err)
{
    int levels = 1 + __builtin_ctz(cm_lookup3(key, strlen(key)) | 1u << (LEVELS - 1));
    node *n = cm_calloc(1, sizeof *n, err);
    if (!n)
        return NULL;
    n->levels = levels;
    n->key = cm_strdup(key, err);
    if (!n->key) {
        free(n);
        return NULL;
    }
    n->content = content;
    return n;
}

static void remove_node(memory_store *s, const char *key)
{
    node **links[LEVELS];
    find_links(s, key, links);
    node *n = *links[0];
    if (!n || strcmp(n->key, key) != 0)
        return;
    for (int level = 0; level < n->levels; level++)
        *links[level] = n->next[level];
    node_free(n);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* A reference to the object, and its version checked. */
static int take_blob(memory_store *s, const char *key, cm_object_version *version, blob **out,
                     cm_error *err)
{
    int r = cm_store_check_key(key, err);
    if (r)
        return r;
    pthread_mutex_lock(&s->lock);
    node *n = find(s, key);
    *out = n ? n->content : NULL;
    if (*out)
        atomic_fetch_add(&(*out)->refcount, 1);
    pthread_mutex_unlock(&s->lock);
    if (!*out)
        r = cm_error_set(err, CM_ENOTFOUND, "no such object");
    else if (version && version->id[0] && version->id[0] != (*out)->serial)
        r = cm_error_set(err, CM_ECHANGED, "changed while it was read");
    if (r) {
        blob_unref(*out);
        cm_error_object(err, key);
        return r;
    }
    if (version)
        *version = (cm_object_version){.size = (*out)->nbytes, .id = {(*out)->serial, 0, 0}};
    return 0;
}

static int memory_stat(cm_store *base, const char *key, cm_object_version *out, cm_error *err)
{
    blob *b;
    *out = (cm_object_version){0};
    int r = take_blob((memory_store *)base, key, out, &b, err);
    if (r == 0)
        blob_unref(b);
    return r;
}

static int memory_get(cm_store *base, const char *key, const cm_range *ranges, int n,
                      cm_object_version *version, cm_error *err)
{
    blob *b;
    int r = take_blob((memory_store *)base, key, version, &b, err);
    if (r)
        return r;
    for (int i = 0; i < n && r == 0; i++)
        if (ranges[i].offset > b->nbytes || ranges[i].nbytes > b->nbytes - ranges[i].offset) {
            r = cm_error_set(err, CM_EDATA,
                             "is truncated or damaged: %zu bytes at offset %llu are wanted of %zu",
                             ranges[i].nbytes, (unsigned long long)ranges[i].offset, b->nbytes);
            cm_error_object(err, key);
        }
    for (int i = 0; i < n && r == 0; i++)
        if (ranges[i].nbytes)
            memcpy(ranges[i].dst, b->data + ranges[i].offset, ranges[i].nbytes);
    blob_unref(b);
    return r;
}

static int memory_get_all(cm_store *base, const char *key,
                          void *(*alloc)(void *user, size_t nbytes, cm_error *err), void *user,
                          size_t *nbytes, cm_object_version *version, cm_error *err)
{
    blob *b;
    cm_error own, *say = err ? err : &own;
    int r = take_blob((memory_store *)base, key, version, &b, err);
    if (r)
        return r;
    cm_error_clear(say);
    void *dst = alloc(user, b->nbytes, say);
    if (!dst) {
        r = say->code ? say->code
                      : cm_error_set(say, CM_ELIMIT, "no room for %zu bytes", b->nbytes);
        cm_error_object(say, key);
    } else {
        memcpy(dst, b->data, b->nbytes);
        *nbytes = b->nbytes;
    }
    blob_unref(b);
    return r;
}

/* ---- writing --------------------------------------------------------------------------------- */

static int memory_put(cm_store *base, const char *key, const cm_iov *iov, int n, unsigned flags,
                      cm_error *err)
{
    memory_store *s = (memory_store *)base;
    size_t nbytes = 0, room;
    int r = cm_store_check_key(key, err);
    if (r)
        return r;
    for (int i = 0; i < n; i++)
        if (!cm_add_size(nbytes, iov[i].nbytes, &nbytes))
            return cm_error_set(err, CM_ENOMEM, "out of memory");
    blob *b = cm_add_size(nbytes, sizeof *b, &room) ? malloc(room) : NULL;
    if (!b)
        return cm_error_set(err, CM_ENOMEM, "out of memory (%zu bytes)", nbytes);
    *b = (blob){.refcount = 1, .nbytes = nbytes};
    for (size_t i = 0, at = 0; i < (size_t)n; at += iov[i++].nbytes)
        if (iov[i].nbytes)
            memcpy(b->data + at, iov[i].data, iov[i].nbytes);

    pthread_mutex_lock(&s->lock);
    node **links[LEVELS];
    find_links(s, key, links);
    node *there = *links[0] && strcmp((*links[0])->key, key) == 0 ? *links[0] : NULL;
    b->serial = ++s->serial;
    if (there && (flags & CM_PUT_IF_ABSENT)) {
        r = cm_error_set(err, CM_EEXIST, "exists already");
        cm_error_object(err, key);
    } else if (there) {
        blob *old = there->content;
        there->content = b;
        b = old;
    } else {
        node *fresh = node_new(key, b, err);
        r = fresh ? 0 : CM_ENOMEM;
        for (int level = 0; fresh && level < fresh->levels; level++) {
            fresh->next[level] = *links[level];
            *links[level] = fresh;
        }
        b = fresh ? NULL : b;
    }
    pthread_mutex_unlock(&s->lock);
    blob_unref(b);
    return r;
}

static int append(void *to, const void *data, size_t nbytes, cm_error *err)
{
    return cm_buffer_append(to, data, nbytes, err);
}

static int memory_put_from(cm_store *base, const char *key, cm_produce_fn produce, void *user,
                           unsigned flags, cm_error *err)
{
    cm_buffer b;
    cm_buffer_init(&b, SIZE_MAX);
    int r = produce(user, append, &b, err);
    if (!r)
        r = memory_put(base, key, &(cm_iov){b.data, b.nbytes}, 1, flags, err);
    cm_buffer_deinit(&b);
    return r;
}

static int memory_del(cm_store *base, const char *key, cm_error *err)
{
    memory_store *s = (memory_store *)base;
    int r = cm_store_check_key(key, err);
    if (r)
        return r;
    pthread_mutex_lock(&s->lock);
    remove_node(s, key);
    pthread_mutex_unlock(&s->lock);
    return 0;
}

/* prefix + "/" as a new string; "" for "". */
static int below_prefix(const char *prefix, char **out, cm_error *err)
{
    int r = *prefix ? cm_store_check_key(prefix, err) : 0;
    if (r)
        return r;
    *out = cm_sprintf(err, "%s%s", prefix, *prefix ? "/" : "");
    return *out ? 0 : CM_ENOMEM;
}

static int memory_del_prefix(cm_store *base, const char *prefix, cm_error *err)
{
    memory_store *s = (memory_store *)base;
    char *below = NULL;
    int r = below_prefix(prefix, &below, err);
    if (r)
        return r;
    size_t n = strlen(below);
    pthread_mutex_lock(&s->lock);
    if (*prefix)
        remove_node(s, prefix);
    for (node *at; (at = find_at_or_after(s, below)) && strncmp(at->key, below, n) == 0;)
        remove_node(s, at->key);
    pthread_mutex_unlock(&s->lock);
    free(below);
    return 0;
}

typedef struct child {
    char *name;
    bool is_prefix;
    uint64_t size;
} child;

/* Under the lock: the direct children of below ("a/b/"). */
static int collect(memory_store *s, const char *below, child **items, size_t *n, cm_error *err)
{
    size_t skip = strlen(below), capacity = 0;
    for (node *at = find_at_or_after(s, below); at && strncmp(at->key, below, skip) == 0;) {
        const char *name = at->key + skip, *slash = strchr(name, '/');
        if (cm_grow(items, &capacity, *n + 1, sizeof **items, err) != 0)
            return CM_ENOMEM;
        child *c = &(*items)[*n];
        *c = (child){.is_prefix = slash != NULL, .size = slash ? 0 : at->content->nbytes};
        c->name = slash ? cm_strndup(name, (size_t)(slash - name), err) : cm_strdup(name, err);
        if (!c->name)
            return CM_ENOMEM;
        ++*n;
        if (!slash) {
            at = at->next[0];
            continue;
        }
        /* past all that begins with "a/b/name/": '0' is the character after '/' */
        char *after = cm_sprintf(err, "%s%s0", below, c->name);
        if (!after)
            return CM_ENOMEM;
        at = find_at_or_after(s, after);
        free(after);
    }
    return 0;
}

static int memory_list(cm_store *base, const char *prefix, cm_list_fn fn, void *user, cm_error *err)
{
    memory_store *s = (memory_store *)base;
    child *items = NULL;
    size_t n = 0;
    char *below = NULL;
    int r = below_prefix(prefix, &below, err);
    if (r)
        return r;
    pthread_mutex_lock(&s->lock);
    r = collect(s, below, &items, &n, err);
    pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < n; i++) {
        if (r == 0)
            r = fn(user, items[i].name, items[i].is_prefix, items[i].size, err);
        free(items[i].name);
    }
    free(items);
    free(below);
    return r;
}

static int memory_sync(cm_store *base, cm_error *err)
{
    (void)base, (void)err; /* nothing outlives the process */
    return 0;
}

static void memory_free(cm_store *base)
{
    memory_store *s = (memory_store *)base;
    for (node *n = s->head[0], *next; n; n = next) {
        next = n->next[0];
        node_free(n);
    }
    pthread_mutex_destroy(&s->lock);
    free(s->base.uri);
    free(s);
}

static const cm_store_vt memory_vt = {
    .stat = memory_stat,
    .get = memory_get,
    .get_all = memory_get_all,
    .put = memory_put,
    .put_from = memory_put_from,
    .del = memory_del,
    .del_prefix = memory_del_prefix,
    .list = memory_list,
    .sync = memory_sync,
    .free = memory_free,
};

int cm_store_new_memory(cm_context *ctx, cm_store **out, cm_error *err)
{
    (void)ctx;
    *out = NULL;
    memory_store *s = cm_calloc(1, sizeof *s, err);
    if (!s)
        return CM_ENOMEM;
    s->base = (cm_store){.vt = &memory_vt, .refcount = 1};
    pthread_mutex_init(&s->lock, NULL);
    s->base.uri = cm_strdup("memory://", err);
    if (!s->base.uri) {
        memory_free(&s->base);
        return CM_ENOMEM;
    }
    *out = &s->base;
    return 0;
}
