/* base/block.c: mmap'ed buffers and the cache of idle ones.
 *
 * Idle blocks lie in bins by size, eight bins per power of two, newest first (warm in the CPU's
 * cache), and all together in one list by age, from whose old end they are given back to the
 * system. The links are in the first bytes of the idle blocks themselves, so putting a block cannot
 * fail.
 *
 * How much may be idle. Resident memory is what work has reserved (taken from the budget; in blocks
 * or elsewhere) plus idle blocks plus rounding: a request may be served by an idle block that is
 * larger by up to an eighth (`excess`, all of it may be resident). The rule, checked whenever one
 * of the terms grows, idle + excess + taken <= limit + slack, drops the oldest idle blocks until it
 * holds. slack is a share of max_memory that the context sets aside: without it a pipeline that
 * keeps the budget full would unmap and map every block. excess is at most an eighth of taken,
 * which is why slack is an eighth of max_memory.
 *
 * Blocks of HUGE_FROM bytes and more are aligned to 2 MiB and marked MADV_HUGEPAGE: mapping and
 * filling 16 MiB took 6.8 ms with 4 KiB pages and 0.4 ms with huge ones (virtual machine,
 * Linux 6.18). Only whole huge pages inside the mapping are huge, so resident memory does not grow
 * beyond nbytes.
 *
 * Under AddressSanitizer idle blocks are poisoned: using a block after putting it is reported.
 *
 * The mutex guards bins, list and counts; idle is atomic so that the budget's hook can look first.
 */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/block.h"
#include "base/bytes.h"
#include "base/memory.h"

#if defined(__SANITIZE_ADDRESS__)
#define CM_HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CM_HAS_ASAN 1
#endif
#endif
#ifdef CM_HAS_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

enum {
    PAGE = 4096, /* granularity of sizes; the system's pages may be larger */
    HUGE = 2 << 20,
    HUGE_FROM = 2 << 20,
    STEPS = 8,              /* bins per power of two */
    NBINS = 64 * STEPS,     /* every size_t has one */
    LOOK = 8,               /* blocks of one bin looked at */
    SMALL_EXCESS = 64 << 10 /* a block larger by this is always good enough */
};

typedef struct idle_block {
    struct idle_block *next, **link;  /* bin, newest first */
    struct idle_block *newer, *older; /* by age */
    size_t nbytes;
} idle_block;

struct cm_block_cache {
    cm_budget *budget;
    size_t slack;
    pthread_mutex_t lock;
    _Atomic size_t idle;
    size_t in_use, excess; /* bytes of blocks that are out, and what of it nobody asked for */
    idle_block *newest, *oldest;
    idle_block *bins[NBINS];
};

/* The bin whose blocks have at least the size of its lower edge; nbytes >= PAGE. */
static int bin_of(size_t nbytes)
{
    int top = 63 - __builtin_clzll((unsigned long long)nbytes);
    int step = (int)(nbytes >> (top - 3) & (STEPS - 1));
    return top * STEPS + step;
}

static void unmap(void *data, size_t nbytes)
{
    ASAN_UNPOISON_MEMORY_REGION(data, nbytes);
    munmap(data, nbytes);
}

/* Under the lock. */
static void detach(cm_block_cache *c, idle_block *b)
{
    *b->link = b->next;
    if (b->next)
        b->next->link = b->link;
    *(b->newer ? &b->newer->older : &c->newest) = b->older;
    *(b->older ? &b->older->newer : &c->oldest) = b->newer;
    c->idle -= b->nbytes;
}

/* Under the lock: drop old blocks until the rule holds. */
static void trim(cm_block_cache *c)
{
    size_t room = c->slack;
    if (c->budget) {
        uint64_t limit = cm_budget_limit(c->budget) + c->slack;
        uint64_t used = cm_budget_taken(c->budget) + c->excess;
        if (used < c->in_use) /* somebody holds blocks without a reservation */
            used = c->in_use;
        room = used < limit ? (size_t)(limit - used) : 0;
    }
    while (c->oldest && c->idle > room) {
        idle_block *b = c->oldest;
        detach(c, b);
        unmap(b, b->nbytes);
    }
}

static void drop_all(cm_block_cache *c)
{
    pthread_mutex_lock(&c->lock);
    while (c->oldest) {
        idle_block *b = c->oldest;
        detach(c, b);
        unmap(b, b->nbytes);
    }
    pthread_mutex_unlock(&c->lock);
}

static void on_take(void *user, uint64_t taken)
{
    cm_block_cache *c = user;
    if (c->idle + taken <= cm_budget_limit(c->budget))
        return;
    pthread_mutex_lock(&c->lock);
    trim(c);
    pthread_mutex_unlock(&c->lock);
}

int cm_block_cache_new(cm_budget *budget, size_t slack, cm_block_cache **out, cm_error *err)
{
    cm_block_cache *c = cm_calloc(1, sizeof *c, err);
    if (!c)
        return CM_ENOMEM;
    pthread_mutex_init(&c->lock, NULL);
    c->slack = slack;
    c->budget = budget;
    if (budget)
        cm_budget_on_take(budget, on_take, c);
    *out = c;
    return 0;
}

void cm_block_cache_free(cm_block_cache *c)
{
    if (!c)
        return;
    assert(c->in_use == 0);
    if (c->budget)
        cm_budget_on_take(c->budget, NULL, NULL);
    drop_all(c);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* Under the lock: an idle block that fits well, detached; NULL when there is none. */
static idle_block *find(cm_block_cache *c, size_t nbytes)
{
    size_t most = nbytes + (nbytes / STEPS > SMALL_EXCESS ? nbytes / STEPS : SMALL_EXCESS);
    int first = bin_of(nbytes), last = bin_of(most);
    for (int bin = first; bin <= last; bin++) {
        int looked = 0;
        for (idle_block *b = c->bins[bin]; b && looked < LOOK; b = b->next, looked++)
            if (b->nbytes >= nbytes && b->nbytes <= most) {
                detach(c, b);
                return b;
            }
    }
    return NULL;
}

static void *map(size_t nbytes)
{
    size_t whole = nbytes;
    if (nbytes >= HUGE_FROM && !cm_add_size(nbytes, HUGE, &whole))
        return NULL;
    uint8_t *p = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    if (nbytes >= HUGE_FROM) {
        size_t before = (size_t)(-(uintptr_t)p & (HUGE - 1)), after = HUGE - before;
        if (before)
            munmap(p, before);
        p += before;
        if (after)
            munmap(p + nbytes, after);
        (void)madvise(p, nbytes, MADV_HUGEPAGE); /* advice: a kernel without it is slower */
    }
    return p;
}

int cm_block_get(cm_block_cache *c, size_t nbytes, cm_block *out, cm_error *err)
{
    size_t want;
    *out = (cm_block){0};
    if (!cm_add_size(nbytes ? nbytes : 1, PAGE - 1, &want) || want > SIZE_MAX / 4)
        return cm_error_set(err, CM_ENOMEM, "out of memory (%zu bytes)", nbytes);
    want -= want % PAGE;

    pthread_mutex_lock(&c->lock);
    idle_block *b = find(c, want);
    *out = b ? (cm_block){b, b->nbytes, b->nbytes - want} : (cm_block){NULL, want, 0};
    c->excess += out->excess;
    c->in_use += out->nbytes;
    trim(c);
    pthread_mutex_unlock(&c->lock);
    if (b) {
        ASAN_UNPOISON_MEMORY_REGION(out->data, out->nbytes);
        return 0;
    }

    void *p = map(want);
    if (!p) { /* address space or the number of mappings: idle blocks hold both */
        drop_all(c);
        p = map(want);
    }
    if (!p) {
        pthread_mutex_lock(&c->lock);
        c->in_use -= want;
        pthread_mutex_unlock(&c->lock);
        *out = (cm_block){0};
        return cm_error_set(err, CM_ENOMEM, "out of memory (%zu bytes)", nbytes);
    }
    out->data = p;
    return 0;
}

int cm_block_ensure(cm_block_cache *c, cm_block *b, size_t nbytes, cm_error *err)
{
    if (b->data && b->nbytes >= nbytes)
        return 0;
    cm_block_put(c, b);
    return cm_block_get(c, nbytes, b, err);
}

void cm_block_put(cm_block_cache *c, cm_block *block)
{
    if (!block->data)
        return;
    idle_block *b = block->data;
    size_t excess = block->excess;
    b->nbytes = block->nbytes;
    ASAN_POISON_MEMORY_REGION((char *)b + sizeof *b, b->nbytes - sizeof *b);
    *block = (cm_block){0};

    pthread_mutex_lock(&c->lock);
    idle_block **bin = &c->bins[bin_of(b->nbytes)];
    b->next = *bin;
    b->link = bin;
    if (*bin)
        (*bin)->link = &b->next;
    *bin = b;
    b->newer = NULL;
    b->older = c->newest;
    *(c->newest ? &c->newest->newer : &c->oldest) = b;
    c->newest = b;
    c->idle += b->nbytes;
    c->in_use -= b->nbytes;
    c->excess -= excess;
    trim(c);
    pthread_mutex_unlock(&c->lock);
}

size_t cm_block_cache_idle(const cm_block_cache *c)
{
    return c->idle;
}
