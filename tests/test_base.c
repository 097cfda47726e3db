/* tests/test_base.c: budget, pool, blocks, context, checksums. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/context_private.h"
#include "base/hash.h"
#include "base/machine.h"
#include "base/memory.h"
#include "scratch.h"
#include "tap.h"

static uint64_t seed;

static cm_context *new_context(int threads, uint64_t memory)
{
    cm_error err = {0};
    cm_context_options o;
    cm_context_options_init(&o);
    o.threads = threads;
    o.max_memory = memory;
    cm_context *ctx = NULL;
    TAP_CALL(cm_context_new(&o, &ctx, &err), &err);
    return ctx;
}

static void nap(int ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
    nanosleep(&t, NULL);
}

/* ---- checksums ------------------------------------------------------------------------------- */

static void known_checksums(void)
{
    uint8_t zeros[32] = {0}, up[32];
    for (int i = 0; i < 32; i++)
        up[i] = (uint8_t)i;
    TAP_EQ(cm_crc32c(0, "123456789", 9), 0xe3069283); /* the check value of the catalogues */
    TAP_EQ(cm_crc32c(0, zeros, 32), 0x8a9136aa);      /* RFC 3720 B.4 */
    TAP_EQ(cm_crc32c(0, up, 32), 0x46dd794e);
    TAP_EQ(cm_crc32c(cm_crc32c(0, up, 7), up + 7, 25), 0x46dd794e);
    TAP_EQ(cm_crc32c_scalar(0, up, 32), 0x46dd794e);
    TAP_EQ(cm_lookup3("", 0), 0xdeadbeef);
    TAP_EQ(cm_lookup3("Four score and seven years ago", 30), 0x17770551); /* Jenkins' own test */
}

static void crc32c_equals_reference(void)
{
    uint64_t state = seed;
    uint8_t data[16384 + 16];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)tap_random(&state);
    for (int k = 0; k < 3000; k++) {
        size_t at = tap_random(&state) % 16, n = tap_random(&state) % (k < 500 ? 40 : 16385);
        uint32_t start = (uint32_t)tap_random(&state);
        TAP_EQ(cm_crc32c(start, data + at, n), cm_crc32c_scalar(start, data + at, n));
    }
}

/* The definition with 64-bit sums that are reduced once. */
static uint32_t fletcher_naive(const uint8_t *p, size_t n)
{
    uint64_t s1 = 0, s2 = 0;
    for (size_t i = 0; i < n; i += 2) {
        s1 = (s1 + ((uint64_t)p[i] << 8 | (i + 1 < n ? p[i + 1] : 0))) % 65535;
        s2 = (s2 + s1) % 65535;
    }
    return (uint32_t)(s2 << 16 | s1);
}

static void fletcher32_by_definition(void)
{
    uint64_t state = seed;
    enum { MOST = 5000 };
    uint8_t data[MOST];
    for (int k = 0; k < 2000; k++) {
        size_t n = tap_random(&state) % MOST;
        for (size_t i = 0; i < n; i++)
            data[i] = k % 3 ? (uint8_t)tap_random(&state) : 0xff;
        uint32_t got = cm_fletcher32(data, n), want = fletcher_naive(data, n);
        /* ones' complement sums: 0xffff and 0 are the same number */
        TAP_EQ((got & 0xffff) % 65535, want & 0xffff);
        TAP_EQ((got >> 16) % 65535, want >> 16);
    }
}

/* ---- budget ---------------------------------------------------------------------------------- */

static void budget_counts(void)
{
    cm_error err = {0};
    cm_budget *b = NULL;
    TAP_CALL(cm_budget_new(1000, &b, &err), &err);
    TAP_EQ(cm_budget_take(b, NULL, 1001, "chunk c/0/7 of /tas", &err), CM_ELIMIT);
    TAP_OK(strstr(err.message, "chunk c/0/7 of /tas") && strstr(err.message, "1001"));
    cm_error_clear(&err);
    TAP_CALL(cm_budget_take(b, NULL, 1000, "a", &err), &err);
    TAP_OK(!cm_budget_try(b, 1));
    TAP_OK(cm_budget_try(b, 0));
    cm_budget_give(b, 400);
    TAP_OK(cm_budget_try(b, 400));
    TAP_EQ(cm_budget_taken(b), 1000);
    cm_budget_give(b, 1000);
    TAP_EQ(cm_budget_taken(b), 0);
    TAP_EQ(cm_budget_peak(b), 1000);
    TAP_EQ(cm_budget_limit(b), 1000);
    cm_budget_free(b);
    cm_budget_free(NULL);
}

typedef struct taker {
    cm_budget *b;
    cm_context *ctx;
    uint64_t nbytes;
    _Atomic int *turn;
    int got, result;
    _Atomic int begun;
    pthread_t thread;
} taker;

static void *take_one(void *arg)
{
    taker *t = arg;
    t->begun = 1;
    t->result = cm_budget_take(t->b, t->ctx, t->nbytes, "t", NULL);
    t->got = atomic_fetch_add(t->turn, 1);
    return NULL;
}

/* Start a taker and wait until it waits, however busy the machine is. */
static void stand_in_line(taker *t)
{
    pthread_create(&t->thread, NULL, take_one, t);
    while (!t->begun)
        nap(1);
    nap(150);
}

/* A large request in front of small ones is served first, though the small ones would fit. */
static void budget_is_first_come_first_served(void)
{
    cm_budget *b = NULL;
    TAP_EQ(cm_budget_new(100, &b, NULL), 0);
    TAP_OK(cm_budget_try(b, 60));
    _Atomic int turn = 0;
    taker big = {b, NULL, 90, &turn}, small = {b, NULL, 10, &turn};
    stand_in_line(&big);
    stand_in_line(&small);
    TAP_EQ(turn, 0);
    TAP_OK(!cm_budget_try(b, 10)); /* nor does try jump the line */
    cm_budget_give(b, 50);         /* 90 fit now, and 10 not beside them: 10 are still taken */
    pthread_join(big.thread, NULL);
    TAP_EQ(big.got, 0);
    TAP_EQ(cm_budget_taken(b), 100);
    cm_budget_give(b, 10);
    pthread_join(small.thread, NULL);
    TAP_EQ(small.got, 1);
    cm_budget_give(b, 100);
    TAP_EQ(cm_budget_taken(b), 0);
    cm_budget_free(b);
}

static cm_context *signalled;

static void on_signal(int sig)
{
    (void)sig;
    cm_context_cancel(signalled);
}

/* The head of the line is cancelled from a signal handler; who stood behind it is served. */
static void budget_wait_is_cancelled_by_a_signal(void)
{
    cm_context *ctx = new_context(1, 0);
    cm_budget *b = NULL;
    TAP_EQ(cm_budget_new(100, &b, NULL), 0);
    TAP_OK(cm_budget_try(b, 60));
    _Atomic int turn = 0;
    taker big = {b, ctx, 90, &turn}, small = {b, NULL, 40, &turn};
    stand_in_line(&big);
    stand_in_line(&small);
    TAP_EQ(turn, 0);
    signalled = ctx;
    struct sigaction act = {.sa_handler = on_signal};
    sigaction(SIGUSR1, &act, NULL);
    raise(SIGUSR1);
    pthread_join(big.thread, NULL);
    pthread_join(small.thread, NULL);
    TAP_EQ(big.result, CM_ECANCEL);
    TAP_EQ(small.result, 0);
    TAP_EQ(cm_budget_taken(b), 100);
    cm_budget_give(b, 100);
    cm_budget_free(b);
    cm_context_free(ctx);
}

typedef struct shared_use {
    cm_budget *b;
    uint64_t seed;
    _Atomic int64_t used;
    _Atomic int over;
} shared_use;

static void *use_budget(void *arg)
{
    shared_use *u = arg;
    uint64_t state = u->seed ^ (uint64_t)pthread_self();
    for (int k = 0; k < 2000; k++) {
        int64_t n = (int64_t)(tap_random(&state) % 100 + 1);
        if (cm_budget_take(u->b, NULL, (uint64_t)n, "x", NULL) != 0)
            u->over++;
        if (atomic_fetch_add(&u->used, n) + n > 100)
            u->over++;
        if (k % 16 == 0)
            sched_yield();
        atomic_fetch_sub(&u->used, n);
        cm_budget_give(u->b, (uint64_t)n);
    }
    return NULL;
}

static void budget_is_never_exceeded(void)
{
    shared_use u = {.seed = seed};
    TAP_EQ(cm_budget_new(100, &u.b, NULL), 0);
    pthread_t t[8];
    for (int i = 0; i < 8; i++)
        pthread_create(&t[i], NULL, use_budget, &u);
    for (int i = 0; i < 8; i++)
        pthread_join(t[i], NULL);
    TAP_EQ(u.over, 0);
    TAP_EQ(cm_budget_taken(u.b), 0);
    TAP_OK(cm_budget_peak(u.b) <= 100);
    cm_budget_free(u.b);
}

/* ---- pool ------------------------------------------------------------------------------------ */

typedef struct loop {
    cm_pool *pool;
    cm_context *ctx;
    int64_t n;
    int max_workers, depth;
    _Atomic int *seen;      /* per index */
    _Atomic int in_use[64]; /* per worker */
    _Atomic int64_t bad, started;
    int64_t fail_at;
} loop;

static int visit(void *arg, int64_t i, int worker, cm_error *err)
{
    loop *l = arg;
    l->started++;
    if (worker < 0 || worker >= l->max_workers || atomic_fetch_add(&l->in_use[worker], 1) != 0)
        l->bad++;
    if (l->seen)
        l->seen[i]++;
    int r = 0;
    if (l->depth > 0) {
        loop inner = {.pool = l->pool, .n = 7, .max_workers = 5, .depth = l->depth - 1};
        inner.fail_at = -1;
        r = cm_pool_for(l->pool, l->ctx, inner.n, inner.max_workers, visit, &inner, err);
        if (inner.started != 7 || inner.bad)
            l->bad++;
    }
    atomic_fetch_sub(&l->in_use[worker], 1);
    if (l->fail_at == i)
        return cm_error_set(err, CM_EDATA, "item %d", (int)i);
    return r;
}

static void pool_visits_each_item_once(void)
{
    uint64_t state = seed;
    static const int sizes[] = {0, 1, 2, 3, 15};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        cm_error err = {0};
        cm_pool *p = NULL;
        TAP_CALL(cm_pool_new(sizes[s], &p, &err), &err);
        TAP_EQ(cm_pool_size(p), sizes[s]);
        for (int k = 0; k < 60; k++) {
            int64_t n = (int64_t)(tap_random(&state) % 300);
            _Atomic int seen[300] = {0};
            loop l = {.pool = p, .n = n, .seen = seen, .fail_at = -1};
            l.max_workers = (int)(tap_random(&state) % 20) + 1;
            TAP_CALL(cm_pool_for(p, NULL, n, l.max_workers, visit, &l, &err), &err);
            TAP_EQ(l.bad, 0);
            TAP_EQ(l.started, n);
            for (int64_t i = 0; i < n; i++)
                TAP_EQ(seen[i], 1);
        }
        cm_pool_free(p);
    }
    cm_pool_free(NULL);
}

static void pool_nests(void)
{
    for (int threads = 0; threads < 5; threads++) {
        cm_error err = {0};
        cm_pool *p = NULL;
        TAP_CALL(cm_pool_new(threads, &p, &err), &err);
        loop l = {.pool = p, .n = 11, .max_workers = 4, .depth = 3, .fail_at = -1};
        TAP_CALL(cm_pool_for(p, NULL, l.n, l.max_workers, visit, &l, &err), &err);
        TAP_EQ(l.bad, 0);
        TAP_EQ(l.started, 11);
        cm_pool_free(p);
    }
}

static void *nest_from_here(void *arg)
{
    for (int k = 0; k < 20; k++) {
        loop l = {.pool = arg, .n = 9, .max_workers = 4, .depth = 2, .fail_at = -1};
        TAP_EQ(cm_pool_for(arg, NULL, l.n, l.max_workers, visit, &l, NULL), 0);
        TAP_EQ(l.bad, 0);
    }
    return NULL;
}

static void pool_serves_many_callers(void)
{
    cm_pool *p = NULL;
    TAP_EQ(cm_pool_new(3, &p, NULL), 0);
    pthread_t t[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, nest_from_here, p);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    cm_pool_free(p);
}

static void pool_stops_at_an_error(void)
{
    cm_pool *p = NULL;
    TAP_EQ(cm_pool_new(3, &p, NULL), 0);
    for (int k = 0; k < 100; k++) {
        cm_error err = {0};
        loop l = {.pool = p, .n = 1000000, .max_workers = k % 4 + 1, .fail_at = k * 3};
        TAP_EQ(cm_pool_for(p, NULL, l.n, l.max_workers, visit, &l, &err), CM_EDATA);
        char want[32];
        snprintf(want, sizeof want, "item %d", k * 3);
        TAP_STR(err.message, want);
        TAP_OK(l.started > k * 3 && l.started < 1000000);
    }
    loop l = {.pool = p, .n = 100, .max_workers = 4, .fail_at = 50};
    TAP_EQ(cm_pool_for(p, NULL, l.n, l.max_workers, visit, &l, NULL), CM_EDATA);
    cm_pool_free(p);
}

static int cancel_at_100(void *arg, int64_t i, int worker, cm_error *err)
{
    (void)worker, (void)err;
    if (i == 100)
        cm_context_cancel(arg);
    return 0;
}

static void pool_stops_when_cancelled(void)
{
    cm_context *ctx = new_context(4, 0);
    cm_error err = {0};
    TAP_OK(!cm_context_cancelled(ctx));
    TAP_EQ(cm_pool_for(cm_context_pool(ctx), ctx, INT64_C(1) << 40, 4, cancel_at_100, ctx, &err),
           CM_ECANCEL);
    TAP_OK(cm_context_cancelled(ctx));
    TAP_EQ(err.code, CM_ECANCEL);
    TAP_EQ(cm_pool_for(cm_context_pool(ctx), ctx, 1, 4, cancel_at_100, ctx, NULL), CM_ECANCEL);
    cm_context_free(ctx);
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static size_t resident(void)
{
    long pages = 0, ignored;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%ld %ld", &ignored, &pages) != 2)
        pages = 0;
    if (f)
        fclose(f);
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void blocks_are_reused(void)
{
    cm_error err = {0};
    cm_block_cache *c = NULL;
    TAP_CALL(cm_block_cache_new(NULL, 64 << 20, &c, &err), &err);
    cm_block b = {0}, other = {0};
    TAP_CALL(cm_block_get(c, 5 << 20, &b, &err), &err);
    TAP_OK(b.nbytes >= 5 << 20);
    TAP_EQ((uintptr_t)b.data % 4096, 0);
    memset(b.data, 7, b.nbytes);
    void *was = b.data;
    cm_block_put(c, &b);
    TAP_OK(!b.data && b.nbytes == 0);
    TAP_EQ(cm_block_cache_idle(c), 5 << 20);
    TAP_CALL(cm_block_get(c, (5 << 20) - 100000, &b, &err), &err);
    TAP_OK(b.data == was);
    TAP_EQ(cm_block_cache_idle(c), 0);
    TAP_CALL(cm_block_get(c, 1, &other, &err), &err);
    TAP_OK(other.data != was);
    TAP_CALL(cm_block_ensure(c, &other, 100000, &err), &err);
    TAP_OK(other.nbytes >= 100000);
    was = other.data;
    TAP_CALL(cm_block_ensure(c, &other, 4000, &err), &err);
    TAP_OK(other.data == was);
    cm_block_put(c, &other);
    cm_block_put(c, &b);
    cm_block_put(c, &b);
    TAP_CALL(cm_block_get(c, 0, &b, &err), &err);
    TAP_OK(b.data != NULL);
    cm_block_put(c, &b);
    TAP_EQ(cm_block_get(c, SIZE_MAX - 10, &b, &err), CM_ENOMEM);
    TAP_EQ(cm_block_get(c, (size_t)1 << 60, &b, &err), CM_ENOMEM);
    TAP_OK(!b.data && b.nbytes == 0);
    cm_block_cache_free(c);
    cm_block_cache_free(NULL);
}

/* Random use within the budget: content survives, idle obeys the rule, nothing leaks. */
static void blocks_stay_within_the_budget(void)
{
    uint64_t state = seed;
    cm_error err = {0};
    cm_budget *budget = NULL;
    cm_block_cache *c = NULL;
    const size_t limit = 40 << 20, slack = 5 << 20;
    size_t before = resident(), most = 0;
    TAP_CALL(cm_budget_new(limit, &budget, &err), &err);
    TAP_CALL(cm_block_cache_new(budget, slack, &c, &err), &err);
    enum { N = 12 };
    cm_block blocks[N] = {0};
    size_t size[N] = {0};
    for (int k = 0; k < 4000; k++) {
        int i = (int)(tap_random(&state) % N);
        if (blocks[i].data) {
            uint8_t *p = blocks[i].data;
            TAP_OK(p[0] == (uint8_t)i && p[size[i] - 1] == (uint8_t)i &&
                   p[size[i] / 2] == (uint8_t)i);
            cm_block_put(c, &blocks[i]);
            cm_budget_give(budget, size[i]);
        } else {
            size[i] = (size_t)1 << tap_random(&state) % 24;
            size[i] += tap_random(&state) % size[i];
            if (!cm_budget_try(budget, size[i]))
                continue;
            TAP_CALL(cm_block_get(c, size[i], &blocks[i], &err), &err);
            memset(blocks[i].data, i, size[i]);
        }
        TAP_OK(cm_block_cache_idle(c) + cm_budget_taken(budget) <= limit + slack);
        if (k % 64 == 0) {
            size_t now = resident();
            most = now > most ? now : most;
        }
    }
    printf("# resident grew by %zu kB at most, limit %zu kB\n", (most - before) / 1024,
           (limit + slack) / 1024);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    TAP_OK(most <= before + limit + slack + (1 << 20));
#endif
    TAP_OK(cm_budget_try(budget, limit - cm_budget_taken(budget))); /* somebody else takes all */
    TAP_OK(cm_block_cache_idle(c) <= slack);
    for (int i = 0; i < N; i++)
        cm_block_put(c, &blocks[i]);
    TAP_OK(cm_block_cache_idle(c) <= slack);
    cm_block_cache_free(c);
    cm_budget_free(budget);
}

static int use_block(void *arg, int64_t i, int worker, cm_error *err)
{
    cm_block b = {0};
    (void)worker;
    int r = cm_block_get(arg, (size_t)(i % 97 + 1) * 3000, &b, err);
    if (r == 0) {
        memset(b.data, (int)i, b.nbytes);
        r = ((uint8_t *)b.data)[b.nbytes - 1] == (uint8_t)i ? 0 : CM_EDATA;
    }
    cm_block_put(arg, &b);
    return r;
}

static void blocks_from_many_threads(void)
{
    cm_context *ctx = new_context(4, 20000000);
    cm_error err = {0};
    TAP_CALL(
        cm_pool_for(cm_context_pool(ctx), ctx, 3000, 4, use_block, cm_context_blocks(ctx), &err),
        &err);
    cm_context_free(ctx);
}

/* ---- context --------------------------------------------------------------------------------- */

static void context_options_are_checked(void)
{
    cm_error err = {0};
    cm_context_options o;
    cm_context *ctx = NULL;
    cm_context_options_init(&o);
    o.max_memory = 7999999;
    TAP_EQ(cm_context_new(&o, &ctx, &err), CM_EINVAL);
    o.max_memory = 8000000;
    o.threads = 1025;
    TAP_EQ(cm_context_new(&o, &ctx, &err), CM_EINVAL);
    o.threads = -1;
    TAP_EQ(cm_context_new(&o, &ctx, &err), CM_EINVAL);
    TAP_OK(!ctx);
    for (int threads = 1; threads <= 1024; threads *= 32)
        for (uint64_t memory = 8000000; memory < 100000000000u; memory *= 10) {
            ctx = new_context(threads, memory);
            uint64_t limit = cm_budget_limit(cm_context_budget(ctx));
            TAP_EQ(cm_context_threads(ctx), threads);
            TAP_EQ(cm_pool_size(cm_context_pool(ctx)), threads - 1);
            TAP_EQ(cm_context_max_memory(ctx), memory);
            TAP_OK(limit >= memory / 2 && limit <= memory - memory / 16);
            cm_context_free(ctx);
        }
    TAP_CALL(cm_context_new(NULL, &ctx, &err), &err);
    TAP_OK(cm_context_max_memory(ctx) >= 64000000 && cm_context_max_memory(ctx) <= 16000000000u);
    TAP_OK(cm_context_threads(ctx) >= 1);
    cm_context_free(ctx);
    cm_context_free(NULL);
    TAP_OK(strlen(cm_version()) >= 5);
}

static _Atomic int made, destroyed;

static void *make_thing(cm_context *ctx, cm_error *err)
{
    (void)ctx;
    if (made++ == 0) {
        cm_error_set(err, CM_ENOMEM, "not at first");
        return NULL;
    }
    nap(10);
    return cm_calloc(1, 8, err);
}

static void destroy_thing(void *p)
{
    destroyed++;
    free(p);
}

static int get_slot(void *arg, int64_t i, int worker, cm_error *err)
{
    (void)i, (void)worker;
    return cm_context_slot(arg, CM_SLOT_WORKSPACES, make_thing, destroy_thing, err) ? 0 : CM_ENOMEM;
}

static void context_slot_is_made_once(void)
{
    cm_context *ctx = new_context(4, 0);
    cm_error err = {0};
    TAP_EQ(get_slot(ctx, 0, 0, &err), CM_ENOMEM);
    TAP_STR(err.message, "not at first");
    TAP_CALL(cm_pool_for(cm_context_pool(ctx), ctx, 100, 4, get_slot, ctx, &err), &err);
    TAP_EQ(made, 2);
    cm_context_free(ctx);
    TAP_EQ(destroyed, 1);
}

typedef struct heard {
    int reports, lines, inside, overlap;
    int64_t done, total, backwards;
    char variable[64], counted[16], line[64];
} heard;

static void hear_progress(void *user, const cm_progress *p)
{
    heard *h = user;
    h->overlap += h->inside++ != 0;
    h->reports++;
    h->backwards += p->done < h->done;
    h->done = p->done;
    h->total = p->total;
    snprintf(h->variable, sizeof h->variable, "%s", p->variable);
    snprintf(h->counted, sizeof h->counted, "%s", p->counted ? p->counted : "bytes");
    h->inside--;
}

static void hear_log(void *user, cm_log_level level, const char *line)
{
    heard *h = user;
    (void)level;
    h->lines++;
    snprintf(h->line, sizeof h->line, "%s", line);
}

static int add_progress(void *arg, int64_t i, int worker, cm_error *err)
{
    (void)worker, (void)err;
    if (i % 10 == 0)
        nap(1);
    cm_context_progress_add(arg, 5);
    return 0;
}

static void progress_and_log_are_heard(void)
{
    heard h = {0};
    cm_context_options o;
    cm_context_options_init(&o);
    o.threads = 4;
    o.progress = hear_progress;
    o.progress_user = &h;
    o.log = hear_log;
    o.log_user = &h;
    cm_context *ctx = NULL;
    TAP_EQ(cm_context_new(&o, &ctx, NULL), 0);
    cm_context_progress_begin(ctx, "read", "/tas", 10000);
    TAP_EQ(h.reports, 1);
    TAP_EQ(cm_pool_for(cm_context_pool(ctx), ctx, 2000, 4, add_progress, ctx, NULL), 0);
    TAP_EQ(h.done, 10000);
    TAP_EQ(h.total, 10000);
    TAP_EQ(h.overlap, 0);
    TAP_EQ(h.backwards, 0);
    TAP_OK(h.reports >= 2 && h.reports < 30);
    TAP_STR(h.variable, "/tas");
    TAP_STR(h.counted, "bytes");
    cm_context_progress_count(ctx, "open", "", "files", 2000);
    TAP_STR(h.counted, "bytes"); /* work that is over in a moment says nothing at first */
    h.done = 0;
    TAP_EQ(cm_pool_for(cm_context_pool(ctx), ctx, 400, 4, add_progress, ctx, NULL), 0);
    TAP_STR(h.counted, "files");
    TAP_EQ(h.total, 2000);
    TAP_EQ(h.done, 2000);
    cm_context_log(ctx, CM_LOG_INFO, "chunk %d", 17);
    TAP_STR(h.line, "chunk 17");
    cm_context_free(ctx);
}

/* ---- the machine ----------------------------------------------------------------------------- */

static char fake[256];

static void put_file(const char *path, const char *text)
{
    char whole[512];
    snprintf(whole, sizeof whole, "%s/%s", fake, path);
    for (char *s = whole + strlen(fake) + 1; (s = strchr(s, '/')); s++) {
        *s = 0;
        mkdir(whole, 0777);
        *s = '/';
    }
    FILE *f = fopen(whole, "w");
    if (!TAP_OK(f))
        return;
    fputs(text, f);
    fclose(f);
}

static void new_fake_root(void)
{
    TAP_OK(scratch_make(fake, sizeof fake));
}

static void remove_fake_root(void)
{
    TAP_OK(scratch_remove(fake));
}

static void limits_of_cgroup_2(void)
{
    new_fake_root();
    TAP_EQ(cm_machine_memory(fake), 0);
    TAP_EQ(cm_machine_cpu_quota(fake), 0);
    put_file("proc/meminfo", "MemTotal: 9000 kB\nMemFree: 100 kB\nMemAvailable:    8000 kB\n");
    TAP_EQ(cm_machine_memory(fake), 8000 * 1024);
    put_file("proc/self/cgroup", "0::/job/step\n");
    put_file("sys/fs/cgroup/job/step/memory.max", "max\n");
    put_file("sys/fs/cgroup/job/step/cpu.max", "max 100000\n");
    put_file("sys/fs/cgroup/job/memory.max", "5000000\n");
    TAP_EQ(cm_machine_memory(fake), 5000000); /* the level above counts */
    put_file("sys/fs/cgroup/job/memory.current", "3000000\n");
    put_file("sys/fs/cgroup/job/memory.stat", "anon 5\ninactive_file 1000000\nactive_file 3\n");
    TAP_EQ(cm_machine_memory(fake), 3000000);
    TAP_EQ(cm_machine_cpu_quota(fake), 0);
    put_file("sys/fs/cgroup/job/cpu.max", "250000 100000\n");
    TAP_EQ(cm_machine_cpu_quota(fake), 3);
    put_file("sys/fs/cgroup/cpu.max", "50000 100000\n");
    TAP_EQ(cm_machine_cpu_quota(fake), 1);
    put_file("sys/fs/cgroup/memory.max", "99999999999999999999999999\n"); /* nonsense: no bound */
    TAP_EQ(cm_machine_memory(fake), 3000000);
    remove_fake_root();
}

static void limits_of_cgroup_1(void)
{
    new_fake_root();
    put_file("proc/self/cgroup",
             "12:pids:/x\n4:cpu,cpuacct:/slurm/uid_1\n3:memory:/slurm/uid_1\n1:name=systemd:/a\n");
    put_file("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put_file("sys/fs/cgroup/memory/slurm/uid_1/memory.limit_in_bytes", "7000000\n");
    put_file("sys/fs/cgroup/memory/slurm/uid_1/memory.usage_in_bytes", "2000000\n");
    put_file("sys/fs/cgroup/memory/slurm/uid_1/memory.stat",
             "cache 9\ntotal_inactive_file 500000\n");
    put_file("sys/fs/cgroup/cpu/slurm/uid_1/cpu.cfs_quota_us", "400000\n");
    put_file("sys/fs/cgroup/cpu/slurm/uid_1/cpu.cfs_period_us", "100000\n");
    put_file("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    put_file("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    TAP_EQ(cm_machine_memory(fake), 5500000);
    TAP_EQ(cm_machine_cpu_quota(fake), 4);
    remove_fake_root();
}

int main(void)
{
    seed = tap_seed();
    TAP_RUN(known_checksums);
    TAP_RUN(crc32c_equals_reference);
    TAP_RUN(fletcher32_by_definition);
    TAP_RUN(budget_counts);
    TAP_RUN(budget_is_first_come_first_served);
    TAP_RUN(budget_wait_is_cancelled_by_a_signal);
    TAP_RUN(budget_is_never_exceeded);
    TAP_RUN(pool_visits_each_item_once);
    TAP_RUN(pool_nests);
    TAP_RUN(pool_serves_many_callers);
    TAP_RUN(pool_stops_at_an_error);
    TAP_RUN(pool_stops_when_cancelled);
    TAP_RUN(blocks_are_reused);
    TAP_RUN(blocks_stay_within_the_budget);
    TAP_RUN(blocks_from_many_threads);
    TAP_RUN(context_options_are_checked);
    TAP_RUN(context_slot_is_made_once);
    TAP_RUN(progress_and_log_are_heard);
    TAP_RUN(limits_of_cgroup_2);
    TAP_RUN(limits_of_cgroup_1);
    return tap_done();
}
