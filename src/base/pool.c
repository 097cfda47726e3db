/* base/pool.c: worker threads and the parallel loop.
 *
 *   caller            job on the caller's stack         idle threads
 *   cm_pool_for ----> [n, next, running, error] <------ join the newest job that wants help
 *      works on items too; at the end leaves the list and waits until running == 0
 *
 * Invariants: a job is on the pool's list exactly while threads may join it; a thread touches a job
 * only between joining (running++) and leaving (running--), both under the pool's lock; the caller
 * returns only after it took the job off the list and saw running == 0. So a job may lie on the
 * stack.
 *
 * No deadlock: the only wait is the caller's for items that run right now. Such an item is either
 * computing or, in a loop of its own, waiting for items that run right now; the innermost always
 * proceeds. No thread ever waits for a thread to become free.
 *
 * Threads join the newest job first, which is the innermost loop: finishing it frees memory
 * soonest. Indices come from an atomic counter, so an item costs one fetch-and-add. A sleeping
 * thread costs a futex call to wake (about 5 us, more in virtual machines): the caller wakes one,
 * and each that wakes and finds the job wanting wakes the next, so that the caller's own share
 * starts at once. A thread that ran out of work looks for more during SPIN rounds (about 20 us)
 * before it sleeps: loops that follow one another closely then find their helpers awake.
 *
 * Threads are started when first wanted, not when the pool is made: a short command needs none, and
 * a process may still fork. Fewer threads than asked for (a process limit) is slower, not an error.
 * Their stacks are small and given explicitly, and they take no signals.
 */
#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/context_private.h"
#include "base/memory.h"
#include "base/pool.h"

enum { STACK_NBYTES = 1 << 20, SPIN = 400 };

typedef struct job {
    struct job *older, **link; /* list, newest first; link is NULL when off the list */
    cm_context *ctx;
    cm_work_fn fn;
    void *arg;
    int64_t n;
    _Atomic int64_t next; /* the next index to hand out; n and above: none left */
    int max_workers, joined, running;
    pthread_cond_t done;
    pthread_mutex_t error_lock;
    int64_t error_index; /* the lowest index that failed */
    int result;
    cm_error error;
} job;

struct cm_pool {
    int max_threads;
    pthread_t *threads;
    pthread_mutex_t lock; /* guards all below, and every job's list and counts */
    pthread_cond_t work;
    int nthreads, sleeping, busy;
    bool refused; /* the system gave no more threads */
    bool stop;
    job *jobs;
    _Atomic unsigned epoch; /* counts jobs put on the list: what spinning threads look at */
};

int cm_pool_new(int nthreads, cm_pool **out, cm_error *err)
{
    cm_pool *p = cm_calloc(1, sizeof *p, err);
    if (!p)
        return CM_ENOMEM;
    p->threads = cm_calloc((size_t)nthreads, sizeof *p->threads, err);
    if (!p->threads) {
        free(p);
        return CM_ENOMEM;
    }
    p->max_threads = nthreads;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    *out = p;
    return 0;
}

void cm_pool_free(cm_pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    assert(!p->jobs);
    p->stop = true;
    atomic_fetch_add(&p->epoch, 1);
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->nthreads; i++)
        pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    free(p->threads);
    free(p);
}

int cm_pool_size(const cm_pool *p)
{
    return p->max_threads;
}

/* Stop handing out, remember the failure with the lowest index. */
static void fail(job *j, int64_t i, int r, const cm_error *err)
{
    pthread_mutex_lock(&j->error_lock);
    if (j->result == 0 || i < j->error_index) {
        j->result = r;
        j->error_index = i;
        j->error = *err;
    }
    pthread_mutex_unlock(&j->error_lock);
    atomic_store(&j->next, j->n);
}

/* Run items until none is left. Never holds a lock. */
static void run_items(job *j, int worker)
{
    cm_error err;
    cm_error_clear(&err);
    for (;;) {
        /* A look first, so that the counter cannot run away over many calls. */
        if (atomic_load_explicit(&j->next, memory_order_relaxed) >= j->n)
            return;
        int64_t i = atomic_fetch_add_explicit(&j->next, 1, memory_order_relaxed);
        if (i >= j->n)
            return;
        int r = j->ctx ? cm_context_check(j->ctx, &err) : 0;
        if (r == 0)
            r = j->fn(j->arg, i, worker, &err);
        if (r) {
            fail(j, i, r, &err);
            return;
        }
    }
}

static bool wants_help(job *j)
{
    return j->joined < j->max_workers &&
           atomic_load_explicit(&j->next, memory_order_relaxed) < j->n;
}

/* Under the lock. */
static void unlink_job(job *j)
{
    if (j->link) {
        *j->link = j->older;
        if (j->older)
            j->older->link = j->link;
        j->link = NULL;
    }
}

/* Under the lock. Jobs with nothing left to hand out are taken off the list on the way. */
static job *find_job(cm_pool *p)
{
    for (job *j = p->jobs, *older; j; j = older) {
        older = j->older;
        if (wants_help(j))
            return j;
        unlink_job(j);
    }
    return NULL;
}

/* Give up the lock and watch for a new job for a while. True when there may be one. */
static bool spin_for_work(cm_pool *p)
{
    unsigned seen = atomic_load(&p->epoch);
    pthread_mutex_unlock(&p->lock);
    bool found = false;
    for (int k = 0; k < SPIN && !found; k++) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("yield");
#endif
        found = atomic_load_explicit(&p->epoch, memory_order_relaxed) != seen;
    }
    pthread_mutex_lock(&p->lock);
    return found;
}

static void *thread_main(void *arg)
{
    cm_pool *p = arg;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        job *j = find_job(p);
        if (j) {
            int worker = j->joined++;
            j->running++;
            p->busy++;
            if (wants_help(j) && p->sleeping > 0)
                pthread_cond_signal(&p->work);
            pthread_mutex_unlock(&p->lock);
            run_items(j, worker);
            pthread_mutex_lock(&p->lock);
            p->busy--;
            if (--j->running == 0)
                pthread_cond_signal(&j->done);
            continue;
        }
        if (p->stop)
            break;
        if (spin_for_work(p) || p->jobs || p->stop)
            continue;
        p->sleeping++;
        pthread_cond_wait(&p->work, &p->lock);
        p->sleeping--;
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* Under the lock: make threads until `want` idle ones could help. */
static void start_threads(cm_pool *p, int want)
{
    while (p->nthreads - p->busy < want && p->nthreads < p->max_threads && !p->refused) {
        sigset_t all, old;
        pthread_attr_t attr;
        pthread_attr_init(&attr);
        pthread_attr_setstacksize(&attr, STACK_NBYTES);
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        if (pthread_create(&p->threads[p->nthreads], &attr, thread_main, p) == 0)
            p->nthreads++;
        else
            p->refused = true;
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        pthread_attr_destroy(&attr);
    }
}

/* One item, or nobody to share with: no job, no lock. */
static int run_alone(cm_context *ctx, int64_t n, cm_work_fn fn, void *arg, cm_error *err)
{
    int r = 0;
    cm_error own;
    if (!err)
        cm_error_clear(err = &own);
    for (int64_t i = 0; i < n && r == 0; i++) {
        if (ctx)
            r = cm_context_check(ctx, err);
        if (r == 0)
            r = fn(arg, i, 0, err);
    }
    return r;
}

int cm_pool_for(cm_pool *p, cm_context *ctx, int64_t n, int max_workers, cm_work_fn fn, void *arg,
                cm_error *err)
{
    if (max_workers < 1)
        max_workers = 1;
    if (n <= 1 || max_workers == 1 || p->max_threads == 0)
        return run_alone(ctx, n, fn, arg, err);
    if (max_workers > n)
        max_workers = (int)n;

    job j = {.ctx = ctx,
             .fn = fn,
             .arg = arg,
             .n = n,
             .max_workers = max_workers,
             .joined = 1,
             .error_index = -1};
    pthread_cond_init(&j.done, NULL);
    pthread_mutex_init(&j.error_lock, NULL);

    pthread_mutex_lock(&p->lock);
    start_threads(p, max_workers - 1);
    j.older = p->jobs;
    j.link = &p->jobs;
    if (p->jobs)
        p->jobs->link = &j.older;
    p->jobs = &j;
    atomic_fetch_add(&p->epoch, 1);
    bool wake = p->sleeping > 0;
    pthread_mutex_unlock(&p->lock);
    if (wake)
        pthread_cond_signal(&p->work);

    run_items(&j, 0);

    pthread_mutex_lock(&p->lock);
    unlink_job(&j);
    while (j.running > 0)
        pthread_cond_wait(&j.done, &p->lock);
    pthread_mutex_unlock(&p->lock);

    if (j.result && err)
        *err = j.error;
    pthread_mutex_destroy(&j.error_lock);
    pthread_cond_destroy(&j.done);
    return j.result;
}
