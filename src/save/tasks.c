/* save/tasks.c: numbering the tasks of all variables, and running a range of them.
 *
 * Variables whose tasks are small against the memory share one batch, so that a dataset of many
 * small variables keeps all threads busy. Every other variable is a batch of its own, or two when
 * it spills. A batch's tasks are independent; batches run one after the other.
 *
 * How many tasks run at once, and how many workers help inside each, follows from the memory when
 * they run. Every task takes all its memory before it starts. What nobody can know before (the
 * bytes of strings, chunks that take more than they should) is taken from what is free; a task for
 * which there is too little runs again when the others of its batch are done, with one worker.
 */
#include <stdlib.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "save/save_private.h"

static bool small(const cm_save *save, const cm_part *p)
{
    return p->mode != CM_MODE_SPILL && p->memory[1] + p->worker[1] <= save->memory / 8;
}

static void batch_add(cm_batch *b, const cm_part *p, int phase)
{
    b->count += p->tasks[phase];
    b->memory = p->memory[phase] > b->memory ? p->memory[phase] : b->memory;
    b->worker = p->worker[phase] > b->worker ? p->worker[phase] : b->worker;
}

int cm_save_number_tasks(cm_save *save, cm_error *err)
{
    save->batches = cm_calloc((size_t)save->nparts * 2 + 1, sizeof *save->batches, err);
    cm_part *ordered = cm_calloc((size_t)save->nparts + 1, sizeof *ordered, err);
    if (!save->batches || !ordered) {
        free(ordered);
        return CM_ENOMEM;
    }
    int nsmall = 0, n = 0;
    for (int i = 0; i < save->nparts; i++)
        if (small(save, &save->parts[i]))
            ordered[nsmall++] = save->parts[i];
    n = nsmall;
    for (int i = 0; i < save->nparts; i++)
        if (!small(save, &save->parts[i]))
            ordered[n++] = save->parts[i];
    for (int i = 0; i < save->nparts; i++)
        save->parts[i] = ordered[i];
    free(ordered);
    for (int i = 0; i < save->nparts; i++) {
        cm_part *p = &save->parts[i];
        p->tasks[0] = p->mode == CM_MODE_SPILL ? 1 : 0;
        p->tasks[1] = 1;
        for (int a = 0; a < p->ndim; a++) {
            p->boxes[a] =
                a == p->slide ? cm_min_i64(p->nunits[a], 1) : cm_ceil_div(p->nunits[a], p->tile[a]);
            p->tasks[1] *= p->boxes[a];
            p->tasks[0] *= p->mode == CM_MODE_SPILL ? p->nblocks[a] : 1;
        }
    }
    for (int i = 0; i < save->nparts;) {
        int last = i < nsmall ? nsmall : i + 1;
        for (int phase = 0; phase < 2; phase++) {
            cm_batch *b = &save->batches[save->nbatches];
            *b = (cm_batch){save->ntasks, 0, i, last, phase, 0, 0};
            for (int k = i; k < last; k++)
                batch_add(b, &save->parts[k], phase);
            save->ntasks += b->count;
            save->nbatches += b->count > 0;
        }
        i = last;
    }
    return 0;
}

typedef struct runner {
    cm_save *save;
    const cm_batch *batch;
    int64_t from; /* first task of the batch to run, counted in the batch */
    int inner;    /* workers inside a task */
} runner;

void cm_tally_progress(cm_save *save, cm_tally *tally, int64_t nbytes)
{
    __atomic_add_fetch(&tally->progress, nbytes, __ATOMIC_RELAXED);
    cm_context_progress_add(save->ctx, nbytes);
}

static void count(cm_save *save, const cm_tally *tally)
{
    __atomic_add_fetch(&save->bytes_written, tally->bytes, __ATOMIC_RELAXED);
    __atomic_add_fetch(&save->objects_written, tally->objects, __ATOMIC_RELAXED);
}

static int run_one(void *arg, int64_t i, int worker, cm_error *err)
{
    runner *u = arg;
    cm_save *save = u->save;
    int phase = u->batch->phase, k = u->batch->part_first;
    int64_t task = u->from + i;
    bool alone = worker == CM_ALONE;
    int inner = alone ? 1 : u->inner;
    cm_tally tally = {0};
    while (task >= save->parts[k].tasks[phase])
        task -= save->parts[k++].tasks[phase];
    cm_part *p = &save->parts[k];
    uint64_t nbytes = (uint64_t)inner * p->worker[phase];
    if (!alone || !cm_kind_is_vlen(p->dtype.kind)) /* see tile.c */
        nbytes += p->memory[phase];
    cm_budget *budget = cm_context_budget(save->ctx);
    int r = cm_budget_take(budget, save->ctx, nbytes, p->variable->path, err);
    if (r)
        return r;
    if (phase == 0) {
        r = cm_spill_fill(save, p, task, inner, &tally, err);
    } else {
        cm_array *source = p->spill ? cm_spill_array(p->spill) : p->source;
        r = p->slab ? cm_stream_run(save, p, source, task, &tally, err)
                    : cm_tile_run(save, p, source, task, inner, alone, &tally, err);
        if (!r && p->spill)
            cm_spill_consumed(p->spill, task);
    }
    cm_budget_give(budget, nbytes);
    if (!r)
        count(save, &tally);
    else
        cm_tally_progress(save, &tally, -tally.progress);
    if (r) {
        cm_error_object(err, cm_dataset_uri(save->source));
        cm_error_variable(err, p->variable->path);
    }
    return r;
}

static int run_batch(cm_save *save, const cm_batch *b, int64_t from, int64_t to, cm_error *err)
{
    int threads = cm_context_threads(save->ctx);
    uint64_t each = b->memory + b->worker, side = save->memory / (each ? each : 1);
    int outer = side < 1 ? 1 : side < (uint64_t)threads ? (int)side : threads;
    if (outer > to - from)
        outer = (int)(to - from);
    uint64_t room = save->memory / (uint64_t)outer - b->memory;
    uint64_t inner = b->worker ? room / b->worker : 1;
    runner u = {save, b, from, inner < 1 ? 1 : inner < (uint64_t)threads ? (int)inner : threads};
    int r = 0;
    for (int k = b->part_first; k < b->part_last && b->phase == 0 && !r; k++)
        if (!save->parts[k].spill)
            r = cm_spill_open(save, &save->parts[k], err);
    if (!r)
        r = cm_pool_for_fit(cm_context_pool(save->ctx), save->ctx, to - from, outer, run_one, &u,
                            err);
    if (!r && b->phase == 1 && to == b->count)
        for (int k = b->part_first; k < b->part_last; k++) {
            cm_spill_close(save->parts[k].spill);
            save->parts[k].spill = NULL;
        }
    return r;
}

int cm_save_run_tasks(cm_save *save, int64_t first, int64_t last, cm_error *err)
{
    int r = 0;
    for (int i = 0; i < save->nbatches && !r; i++) {
        const cm_batch *b = &save->batches[i];
        int64_t from = cm_max_i64(first, b->first), to = cm_min_i64(last, b->first + b->count);
        if (from < to)
            r = run_batch(save, b, from - b->first, to - b->first, err);
    }
    return r;
}
