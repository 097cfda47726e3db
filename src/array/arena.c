/* array/arena.c: memory for the bytes of strings.
 *
 * Slabs of doubling size up to 1 MiB, charged slab by slab: first to what the owner reserved for
 * them (cm_arena_grant), then to the budget. A string larger than a slab gets its own, and when no
 * whole slab is left, strings get slabs that just hold them. Allocation never waits for the budget:
 * a reader may already hold a reservation, and waiting while holding is how deadlocks begin (see
 * base/budget.h). When the budget is out the read fails by name, with CM_ELIMIT; base/fit.c makes
 * that independent of what else runs.
 *
 * `lock` guards every field while many allocate; reset, grant and free are their owner's, when
 * nobody reads.
 */
#include <pthread.h>
#include <stdlib.h>

#include "array/array_private.h"
#include "base/context_private.h"
#include "base/memory.h"

typedef struct slab {
    struct slab *next;
    size_t nbytes, used;
    char data[];
} slab;

struct cm_arena {
    pthread_mutex_t lock;
    cm_context *ctx;
    slab *slabs;
    uint64_t grant, used, charged; /* used: of the grant; charged: to the budget */
    size_t next_size;
};

int cm_arena_new(cm_context *ctx, cm_arena **out, cm_error *err)
{
    cm_arena *a = cm_calloc(1, sizeof *a, err);
    if (!a)
        return CM_ENOMEM;
    pthread_mutex_init(&a->lock, NULL);
    a->ctx = ctx;
    a->next_size = 4096;
    *out = a;
    return 0;
}

void cm_arena_reset(cm_arena *a)
{
    while (a->slabs) {
        slab *s = a->slabs;
        a->slabs = s->next;
        free(s);
    }
    if (a->charged)
        cm_budget_give(cm_context_budget(a->ctx), a->charged);
    a->charged = a->used = 0;
    a->next_size = 4096;
}

void cm_arena_grant(cm_arena *a, uint64_t nbytes)
{
    a->grant = nbytes;
}

void cm_arena_free(cm_arena *a)
{
    if (!a)
        return;
    cm_arena_reset(a);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

bool cm_arena_holds(cm_arena *a)
{
    pthread_mutex_lock(&a->lock);
    bool holds = a->charged > 0;
    pthread_mutex_unlock(&a->lock);
    return holds;
}

/* From the grant as far as it reaches. */
static bool charge(cm_arena *a, size_t nbytes)
{
    uint64_t left = a->grant - a->used, own = nbytes < left ? nbytes : left;
    if (nbytes > own && !cm_budget_try(cm_context_budget(a->ctx), nbytes - own))
        return false;
    a->used += own;
    a->charged += nbytes - own;
    return true;
}

static slab *add_slab(cm_arena *a, size_t nbytes, cm_error *err)
{
    size_t size = a->next_size, least = (nbytes + 4095) & ~(size_t)4095;
    if (least < nbytes || nbytes > SIZE_MAX / 2) {
        cm_error_set(err, CM_ELIMIT, "%zu bytes of strings", nbytes);
        return NULL;
    }
    if (size < nbytes)
        size = least;
    else if (a->next_size < (1u << 20))
        a->next_size *= 2;
    if (!charge(a, size)) {
        if (size == least || !charge(a, size = least)) {
            cm_error_set(err, CM_ELIMIT, "no memory left for %zu bytes of strings", nbytes);
            cm_error_hint(err, "give more with --max-mem");
            return NULL;
        }
    }
    slab *s = malloc(sizeof *s + size);
    if (!s) { /* what was charged is given back with the arena */
        cm_error_set(err, CM_ENOMEM, "out of memory (%zu bytes)", size);
        return NULL;
    }
    *s = (slab){.next = a->slabs, .nbytes = size};
    a->slabs = s;
    return s;
}

void *cm_arena_alloc(cm_arena *a, size_t nbytes, cm_error *err)
{
    void *p = NULL;
    pthread_mutex_lock(&a->lock);
    slab *s = a->slabs;
    if (!s || s->nbytes - s->used < nbytes)
        s = add_slab(a, nbytes, err);
    if (s) {
        p = s->data + s->used;
        s->used += nbytes;
    }
    pthread_mutex_unlock(&a->lock);
    return p;
}
