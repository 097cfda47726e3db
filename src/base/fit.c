/* base/fit.c: a parallel loop over items whose memory is not known before.
 *
 * Items reserve what can be known (budget.h) and ask for the rest when they need it, without
 * waiting: waiting while holding is how deadlocks begin. So an item may fail only because of what
 * others held just then, and whether it does is a matter of timing. Those that failed for memory
 * are noted, and run again when nothing else runs. What fails then would fail on any day.
 *
 * `lock` guards the list.
 */
#include <pthread.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/pool.h"

typedef struct fit {
    cm_work_fn fn;
    void *arg;
    pthread_mutex_t lock;
    int64_t *again;
    size_t nagain, capacity;
} fit;

static int run_item(void *arg, int64_t i, int worker, cm_error *err)
{
    fit *f = arg;
    int r = f->fn(f->arg, i, worker, err);
    if (r != CM_ELIMIT)
        return r;
    pthread_mutex_lock(&f->lock);
    r = cm_grow(&f->again, &f->capacity, f->nagain + 1, sizeof *f->again, NULL);
    if (r == 0)
        f->again[f->nagain++] = i;
    pthread_mutex_unlock(&f->lock);
    if (r)
        return err->code;
    cm_error_clear(err);
    return 0;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static int run_again(void *arg, int64_t i, int worker, cm_error *err)
{
    const fit *f = arg;
    (void)worker;
    return f->fn(f->arg, f->again[i], CM_ALONE, err);
}

int cm_pool_for_fit(cm_pool *p, cm_context *ctx, int64_t n, int max_workers, cm_work_fn fn,
                    void *arg, cm_error *err)
{
    fit f = {.fn = fn, .arg = arg};
    pthread_mutex_init(&f.lock, NULL);
    int r = cm_pool_for(p, ctx, n, max_workers, run_item, &f, err);
    if (r == 0 && f.nagain) {
        qsort(f.again, f.nagain, sizeof *f.again, compare);
        r = cm_pool_for(p, ctx, (int64_t)f.nagain, 1, run_again, &f, err);
    }
    pthread_mutex_destroy(&f.lock);
    free(f.again);
    return r;
}
