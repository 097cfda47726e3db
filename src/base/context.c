/* base/context.c: the object that owns threads, memory, log, progress and the wish to stop.
 *
 * How max_memory is divided, so that the whole process stays below it:
 *
 *     max_memory = budget limit                what work reserves: data buffers
 *                + a sixteenth                 idle blocks kept while the budget is full (block.c)
 *                + 12 MB + 256 KB per thread   the program, its heap, page tables, thread stacks;
 *                                              a sixteenth of max_memory at most
 *
 * Below 200 MB the last part is too small for what it is there for; the process may then be up to
 * 32 MB above max_memory.
 *
 * Cancelling stores one atomic flag and nothing else, so a signal handler may do it: those who wait
 * (budget.c) look at the flag every 50 ms, those who work look before every item.
 *
 * Callbacks of the caller, log and progress, run under one lock each, never two at once. Progress
 * is an atomic sum; who adds to it looks at the clock only every so often and reports when a tenth
 * of a second went by and nobody else is reporting.
 */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/context_private.h"
#include "base/memory.h"

enum { MAX_THREADS = 1024 };

static const uint64_t min_memory = 8000000, own_memory = 12000000, thread_memory = 256000;
static const int64_t report_every_ns = 100000000;

typedef struct slot {
    pthread_mutex_t lock; /* held while the object is made */
    _Atomic(void *) object;
    void (*destroy)(void *);
} slot;

struct cm_context {
    atomic_int cancelled;
    int threads;
    uint64_t max_memory;
    bool trust_paths;
    cm_budget *budget;
    cm_block_cache *blocks;
    cm_pool *pool;
    slot slots[CM_SLOT_COUNT];

    cm_log_fn log;
    void *log_user;
    pthread_mutex_t callback_lock; /* no two callbacks at once; guards stage, variable, began_ns */
    cm_progress_fn progress;
    void *progress_user;
    const char *stage, *counted;
    char variable[256];
    int64_t began_ns;
    _Atomic int64_t done, total, next_report_ns;
};

bool cm_context_trusts_paths(const cm_context *ctx)
{
    return ctx->trust_paths;
}

void cm_context_options_init(cm_context_options *options)
{
    *options = (cm_context_options){0};
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* The part of max_memory that work may reserve. */
static uint64_t budget_limit(uint64_t max_memory, int threads)
{
    uint64_t aside = own_memory + (uint64_t)threads * thread_memory;
    if (aside > max_memory / 16)
        aside = max_memory / 16;
    return max_memory - max_memory / 16 - aside;
}

int cm_context_new(const cm_context_options *options, cm_context **out, cm_error *err)
{
    cm_context_options o;
    if (options)
        o = *options;
    else
        cm_context_options_init(&o);
    *out = NULL;
    if (o.threads < 0 || o.threads > MAX_THREADS)
        return cm_error_set(err, CM_EINVAL, "number of threads must be 0 to %d", MAX_THREADS);
    if (o.max_memory != 0 && o.max_memory < min_memory)
        return cm_error_set(err, CM_EINVAL, "memory limit must be at least 8 MB");

    cm_context *ctx = cm_calloc(1, sizeof *ctx, err);
    if (!ctx)
        return CM_ENOMEM;
    ctx->threads = o.threads ? o.threads : cm_threads_default();
    ctx->max_memory = o.max_memory ? o.max_memory : cm_memory_default();
    ctx->trust_paths = o.trust_paths;
    ctx->log = o.log;
    ctx->log_user = o.log_user;
    ctx->progress = o.progress;
    ctx->progress_user = o.progress_user;
    ctx->stage = "";
    pthread_mutex_init(&ctx->callback_lock, NULL);
    for (int i = 0; i < CM_SLOT_COUNT; i++)
        pthread_mutex_init(&ctx->slots[i].lock, NULL);

    uint64_t limit = budget_limit(ctx->max_memory, ctx->threads);
    int r = cm_budget_new(limit, &ctx->budget, err);
    if (r == 0)
        r = cm_block_cache_new(ctx->budget, (size_t)(ctx->max_memory / 16), &ctx->blocks, err);
    if (r == 0)
        r = cm_pool_new(ctx->threads - 1, &ctx->pool, err); /* the caller is the other one */
    if (r) {
        cm_context_free(ctx);
        return r;
    }
    *out = ctx;
    return 0;
}

void cm_context_free(cm_context *ctx)
{
    if (!ctx)
        return;
    for (int i = 0; i < CM_SLOT_COUNT; i++) {
        slot *s = &ctx->slots[i];
        void *object = atomic_load(&s->object);
        if (object)
            s->destroy(object);
        pthread_mutex_destroy(&s->lock);
    }
    cm_pool_free(ctx->pool);
    cm_block_cache_free(ctx->blocks);
    cm_budget_free(ctx->budget);
    pthread_mutex_destroy(&ctx->callback_lock);
    free(ctx);
}

void cm_context_cancel(cm_context *ctx)
{
    atomic_store_explicit(&ctx->cancelled, 1, memory_order_relaxed);
}

bool cm_context_cancelled(const cm_context *ctx)
{
    return atomic_load_explicit(&ctx->cancelled, memory_order_relaxed) != 0;
}

int cm_context_check(const cm_context *ctx, cm_error *err)
{
    return cm_context_cancelled(ctx) ? cm_error_set(err, CM_ECANCEL, "interrupted") : 0;
}

int cm_context_threads(const cm_context *ctx)
{
    return ctx->threads;
}

uint64_t cm_context_max_memory(const cm_context *ctx)
{
    return ctx->max_memory;
}

uint64_t cm_context_memory_now(const cm_context *ctx)
{
    return cm_budget_taken(ctx->budget) + cm_budget_pinned(ctx->budget);
}

uint64_t cm_context_memory_peak(const cm_context *ctx)
{
    return cm_budget_peak(ctx->budget);
}

const char *cm_version(void)
{
    return CM_VERSION_TEXT;
}

cm_pool *cm_context_pool(cm_context *ctx)
{
    return ctx->pool;
}

cm_budget *cm_context_budget(cm_context *ctx)
{
    return ctx->budget;
}

cm_block_cache *cm_context_blocks(cm_context *ctx)
{
    return ctx->blocks;
}

void *cm_context_slot(cm_context *ctx, enum cm_context_slot which,
                      void *(*make)(cm_context *, cm_error *), void (*destroy)(void *),
                      cm_error *err)
{
    slot *s = &ctx->slots[which];
    void *object = atomic_load_explicit(&s->object, memory_order_acquire);
    if (object)
        return object;
    pthread_mutex_lock(&s->lock);
    object = atomic_load_explicit(&s->object, memory_order_relaxed);
    if (!object) {
        object = make(ctx, err);
        s->destroy = destroy;
        atomic_store_explicit(&s->object, object, memory_order_release);
    }
    pthread_mutex_unlock(&s->lock);
    return object;
}

void cm_context_log(cm_context *ctx, cm_log_level level, const char *format, ...)
{
    if (!ctx->log)
        return;
    char line[2048];
    va_list ap;
    va_start(ap, format);
    vsnprintf(line, sizeof line, format, ap);
    va_end(ap);
    pthread_mutex_lock(&ctx->callback_lock);
    ctx->log(ctx->log_user, level, line);
    pthread_mutex_unlock(&ctx->callback_lock);
}

/* Under the callback lock. */
static void report(cm_context *ctx, int64_t now)
{
    cm_progress p = {.stage = ctx->stage,
                     .variable = ctx->variable,
                     .counted = ctx->counted,
                     .done = atomic_load(&ctx->done),
                     .total = atomic_load(&ctx->total),
                     .seconds = (double)(now - ctx->began_ns) * 1e-9,
                     .memory_now = cm_context_memory_now(ctx),
                     .memory_limit = ctx->max_memory};
    ctx->progress(ctx->progress_user, &p);
}

void cm_context_progress_count(cm_context *ctx, const char *stage, const char *variable,
                               const char *counted, int64_t total)
{
    if (!ctx->progress)
        return;
    pthread_mutex_lock(&ctx->callback_lock);
    ctx->stage = stage;
    ctx->counted = counted;
    snprintf(ctx->variable, sizeof ctx->variable, "%s", variable ? variable : "");
    ctx->began_ns = now_ns();
    atomic_store(&ctx->done, 0);
    atomic_store(&ctx->total, total);
    atomic_store(&ctx->next_report_ns, ctx->began_ns + report_every_ns);
    if (!counted)
        report(ctx, ctx->began_ns);
    pthread_mutex_unlock(&ctx->callback_lock);
}

void cm_context_progress_begin(cm_context *ctx, const char *stage, const char *variable,
                               int64_t total)
{
    cm_context_progress_count(ctx, stage, variable, NULL, total);
}

void cm_context_progress_add(cm_context *ctx, int64_t done)
{
    if (!ctx->progress)
        return;
    int64_t sum = atomic_fetch_add_explicit(&ctx->done, done, memory_order_relaxed) + done;
    int64_t total = atomic_load_explicit(&ctx->total, memory_order_relaxed);
    bool last = done > 0 && sum >= total && sum - done < total;
    int64_t now = now_ns();
    if (!last && now < atomic_load_explicit(&ctx->next_report_ns, memory_order_relaxed))
        return;
    if (last)
        pthread_mutex_lock(&ctx->callback_lock);
    else if (pthread_mutex_trylock(&ctx->callback_lock) != 0)
        return; /* somebody is reporting */
    if (last || now >= atomic_load(&ctx->next_report_ns)) {
        atomic_store(&ctx->next_report_ns, now + report_every_ns);
        report(ctx, now);
    }
    pthread_mutex_unlock(&ctx->callback_lock);
}
