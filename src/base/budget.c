/* base/budget.c: the counter of bytes that may be taken, and the line of those who wait.
 *
 * Waiters stand in a first-in-first-out list of nodes on their own stacks. Only the head is ever
 * served: a large request at the head keeps smaller ones behind it waiting until enough has been
 * given back, which is what keeps it from starving. Whoever gives bytes back takes them for the
 * head on its behalf (`granted`), so a newcomer cannot slip in between a wake-up and the waiter's
 * return.
 *
 * Cancellation may come from a signal handler, which cannot signal a condition variable; so waiters
 * wake every WAIT_MS and look. A waiter that leaves early may have been the head that did not fit:
 * the next ones are then served.
 *
 * The mutex guards the list and every change of the numbers; these are atomic so that progress and
 * the block cache can look without it.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/budget.h"
#include "base/context_private.h"
#include "base/memory.h"

enum { WAIT_MS = 50 };

typedef struct waiter {
    struct waiter *next;
    uint64_t nbytes;
    bool granted;
    pthread_cond_t wake;
} waiter;

struct cm_budget {
    _Atomic uint64_t limit;
    void (*on_take)(void *user, uint64_t taken);
    void *user;
    _Atomic uint64_t taken, pinned, peak; /* peak: of both */
    pthread_mutex_t lock;
    waiter *head, **tail;
};

int cm_budget_new(uint64_t limit, cm_budget **out, cm_error *err)
{
    cm_budget *b = cm_calloc(1, sizeof *b, err);
    if (!b)
        return CM_ENOMEM;
    b->limit = limit;
    b->tail = &b->head;
    if (pthread_mutex_init(&b->lock, NULL) != 0) {
        free(b);
        return cm_error_set(err, CM_ENOMEM, "cannot make a lock");
    }
    *out = b;
    return 0;
}

void cm_budget_free(cm_budget *b)
{
    if (!b)
        return;
    assert(!b->head);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

void cm_budget_on_take(cm_budget *b, void (*fn)(void *user, uint64_t taken), void *user)
{
    b->on_take = fn;
    b->user = user;
}

/* Under the lock. */
static bool fits(const cm_budget *b, uint64_t nbytes)
{
    return nbytes <= b->limit - atomic_load_explicit(&b->taken, memory_order_relaxed);
}

/* Under the lock. */
static void charge(cm_budget *b, _Atomic uint64_t *which, uint64_t nbytes)
{
    atomic_fetch_add_explicit(which, nbytes, memory_order_relaxed);
    uint64_t now = atomic_load_explicit(&b->taken, memory_order_relaxed) +
                   atomic_load_explicit(&b->pinned, memory_order_relaxed);
    if (now > atomic_load_explicit(&b->peak, memory_order_relaxed))
        atomic_store_explicit(&b->peak, now, memory_order_relaxed);
}

/* Under the lock: serve the line as far as the bytes reach. */
static void serve(cm_budget *b)
{
    while (b->head && fits(b, b->head->nbytes)) {
        waiter *w = b->head;
        b->head = w->next;
        if (!b->head)
            b->tail = &b->head;
        charge(b, &b->taken, w->nbytes);
        w->granted = true;
        pthread_cond_signal(&w->wake); /* under the lock: w is gone once its owner gets the lock */
    }
}

/* Under the lock: leave the line without having been served. */
static void leave(cm_budget *b, waiter *w)
{
    waiter **p = &b->head;
    while (*p != w)
        p = &(*p)->next;
    *p = w->next;
    if (b->tail == &w->next)
        b->tail = p;
    serve(b);
}

/* Under the lock: stand in line. */
static int wait_in_line(cm_budget *b, cm_context *ctx, uint64_t nbytes, const char *what,
                        cm_error *err)
{
    waiter w = {.nbytes = nbytes};
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    int r = pthread_cond_init(&w.wake, &attr);
    pthread_condattr_destroy(&attr);
    if (r)
        return cm_error_set(err, CM_ENOMEM, "cannot make a condition variable");
    *b->tail = &w;
    b->tail = &w.next;
    while (!w.granted) {
        if (ctx && (r = cm_context_check(ctx, err)) != 0) {
            cm_error_prefix(err, "waiting for %" PRIu64 " bytes of memory for %s", nbytes, what);
            leave(b, &w);
            break;
        }
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        t.tv_nsec += WAIT_MS * 1000000L;
        if (t.tv_nsec >= 1000000000L) {
            t.tv_nsec -= 1000000000L;
            t.tv_sec++;
        }
        pthread_cond_timedwait(&w.wake, &b->lock, &t);
    }
    pthread_cond_destroy(&w.wake);
    return r;
}

int cm_budget_take(cm_budget *b, cm_context *ctx, uint64_t nbytes, const char *what, cm_error *err)
{
    if (nbytes > b->limit) {
        int r = cm_error_set(err, CM_ELIMIT,
                             "%s needs %" PRIu64 " bytes of memory at once, the budget is %" PRIu64,
                             what, nbytes, b->limit);
        cm_error_hint(err, "give more memory");
        return r;
    }
    int r = 0;
    pthread_mutex_lock(&b->lock);
    if (nbytes > b->limit) /* pinned since */
        r = cm_error_set(err, CM_ELIMIT, "%s needs %" PRIu64 " bytes of memory", what, nbytes);
    else if (!b->head && fits(b, nbytes))
        charge(b, &b->taken, nbytes);
    else
        r = wait_in_line(b, ctx, nbytes, what, err);
    pthread_mutex_unlock(&b->lock);
    if (r == 0 && b->on_take)
        b->on_take(b->user, cm_budget_taken(b));
    return r;
}

bool cm_budget_try(cm_budget *b, uint64_t nbytes)
{
    pthread_mutex_lock(&b->lock);
    bool ok = !b->head && fits(b, nbytes);
    if (ok)
        charge(b, &b->taken, nbytes);
    pthread_mutex_unlock(&b->lock);
    if (ok && b->on_take)
        b->on_take(b->user, cm_budget_taken(b));
    return ok;
}

void cm_budget_give(cm_budget *b, uint64_t nbytes)
{
    pthread_mutex_lock(&b->lock);
    uint64_t taken = atomic_load_explicit(&b->taken, memory_order_relaxed);
    assert(nbytes <= taken);
    atomic_store_explicit(&b->taken, taken - nbytes, memory_order_relaxed);
    serve(b);
    pthread_mutex_unlock(&b->lock);
}

bool cm_budget_pin(cm_budget *b, uint64_t nbytes)
{
    pthread_mutex_lock(&b->lock);
    bool ok = fits(b, nbytes);
    for (const waiter *w = b->head; w && ok; w = w->next)
        ok = w->nbytes <= b->limit - nbytes;
    if (ok) {
        b->limit -= nbytes;
        charge(b, &b->pinned, nbytes);
    }
    pthread_mutex_unlock(&b->lock);
    if (ok && b->on_take)
        b->on_take(b->user, cm_budget_taken(b));
    return ok;
}

void cm_budget_unpin(cm_budget *b, uint64_t nbytes)
{
    pthread_mutex_lock(&b->lock);
    assert(nbytes <= b->pinned);
    b->pinned -= nbytes;
    b->limit += nbytes;
    serve(b);
    pthread_mutex_unlock(&b->lock);
}

uint64_t cm_budget_pinned(const cm_budget *b)
{
    return atomic_load_explicit(&b->pinned, memory_order_relaxed);
}

uint64_t cm_budget_limit(const cm_budget *b)
{
    return atomic_load_explicit(&b->limit, memory_order_relaxed);
}

uint64_t cm_budget_taken(const cm_budget *b)
{
    return atomic_load_explicit(&b->taken, memory_order_relaxed);
}

uint64_t cm_budget_peak(const cm_budget *b)
{
    return atomic_load_explicit(&b->peak, memory_order_relaxed);
}
