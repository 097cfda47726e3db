/* save/save.c: the public functions: plan, run, commit.
 *
 *     plan     dataset -> parts (one per variable): layout, target array, mode, tile, tasks. No
 *              cell is read and nothing is written.
 *     run      the target's directory is made when the first task starts
 *     commit   metadata, then the target gets its name
 *
 * Each step may fail without harm: until the commit's rename nobody can see the target, and
 * cm_save_free removes what was written.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "save/save_private.h"
#include "save/void_fill.h"

void cm_save_options_init(cm_save_options *options)
{
    *options = (cm_save_options){.zarr_format = 3};
}

static size_t count_variables(const cm_group *g)
{
    size_t n = g->nvariables;
    for (size_t i = 0; i < g->ngroups; i++)
        n += count_variables(g->groups[i]);
    return n;
}

static void load_tables(const cm_group *g)
{
    for (size_t i = 0; i < g->nvariables; i++)
        if (g->variables[i]->array)
            (void)cm_array_cost(g->variables[i]->array);
    for (size_t i = 0; i < g->ngroups; i++)
        load_tables(g->groups[i]);
}

static int add_array(cm_save *save, cm_part *p, cm_error *err)
{
    cm_variable *v = p->variable;
    cm_attribute *copy = NULL;
    const cm_array *leaf = cm_array_leaf(p->source);
    bool zarr3 = strcmp(save->source->format, "Zarr v3") == 0 && leaf == p->source;
    cm_zarr_array_spec spec = {.path = save->source->is_array ? "/" : v->path,
                               .dtype = p->dtype,
                               .ndim = p->ndim,
                               .shape = p->shape,
                               .chain = p->layout.chain,
                               .grid = p->layout.grid,
                               .fill = zarr3 || p->dtype.kind >= CM_BYTES ? cm_array_fill(p->source)
                                                                          : NULL,
                               .dimensions = (const char *const *)v->dimensions,
                               .attributes = v->attributes.items,
                               .nattributes = v->attributes.count};
    int r = cm_leave_out_void_fill(&spec, &copy, err);
    if (!r && copy) {
        char line[CM_VOID_FILL_LINE];
        cm_void_fill_line(&spec, line, sizeof line);
        r = cm_save_warn(save, err, "%s", line);
    }
    if (!r)
        r = cm_zarr_writer_add_array(save->writer, &spec, &p->target, err);
    free(copy);
    return r;
}

static int plan_variable(cm_save *save, cm_variable *v, cm_error *err)
{
    cm_part *p = &save->parts[save->nparts];
    if (v->problem) {
        if (err)
            *err = *v->problem;
        cm_error_hint(err, "leave it out with --skip %s", v->name);
        cm_error_object(err, cm_dataset_uri(save->source));
        return cm_error_variable(err, v->path), v->problem->code;
    }
    *p = (cm_part){.variable = v,
                   .source = v->array,
                   .ndim = v->array->ndim,
                   .dtype = v->array->dtype,
                   .slide = -1};
    save->nparts++;
    int64_t nbytes = p->dtype.size;
    for (int i = 0; i < p->ndim; i++) {
        p->shape[i] = v->array->shape[i];
        /* Room for chunks that reach beyond the shape. */
        if (!cm_mul_i64(nbytes, p->shape[i], &nbytes) || nbytes > INT64_MAX / 2) {
            cm_error_set(err, CM_EUNSUP, "more than 2^62 bytes");
            return cm_error_variable(err, v->path), CM_EUNSUP;
        }
    }
    p->nbytes = (uint64_t)nbytes;
    int r = cm_layout_resolve(save, v, &p->layout, err);
    if (r)
        return cm_error_variable(err, v->path), r;
    p->chunk_chain = p->layout.sharded ? p->layout.chain->inner : p->layout.chain;
    p->objects = 1;
    for (int i = 0; i < p->ndim; i++) {
        p->nunits[i] =
            p->layout.sharded ? cm_ceil_div(p->shape[i], p->layout.unit[i]) : cm_unit_nchunks(p, i);
        p->objects *= p->nunits[i];
    }
    r = add_array(save, p, err);
    if (!r)
        r = cm_part_choose(save, p, err);
    if (r == CM_EUNSUP || r == CM_EDATA)
        cm_error_object(err, cm_dataset_uri(save->source));
    if (r)
        cm_error_variable(err, v->path);
    return r;
}

static int plan_group(cm_save *save, cm_group *g, cm_error *err)
{
    int r = save->source->is_array
                ? 0
                : cm_zarr_writer_add_group(save->writer, g->path, g->attributes.items,
                                           g->attributes.count, err);
    if (r) {
        cm_error_object(err, cm_dataset_uri(save->source));
        cm_error_variable(err, g->path);
    }
    for (size_t i = 0; i < g->nvariables && !r; i++)
        r = plan_variable(save, g->variables[i], err);
    for (size_t i = 0; i < g->ngroups && !r; i++)
        r = plan_group(save, g->groups[i], err);
    return r;
}

static int check_options(const cm_save_options *o, cm_error *err)
{
    if (o->zarr_format != 2 && o->zarr_format != 3)
        return cm_error_set(err, CM_EINVAL, "there is no Zarr version %d (--zarr 2 or 3)",
                            o->zarr_format);
    if (o->durability < 0 || o->durability > 2)
        return cm_error_set(err, CM_EINVAL, "durability must be none, file or dir");
    return 0;
}

int cm_save_plan(cm_context *ctx, cm_dataset *ds, const char *const *sources, size_t nsources,
                 const char *target, const cm_save_options *options, cm_save **out, cm_error *err)
{
    cm_error local;
    if (!err)
        cm_error_clear(err = &local);
    int r = check_options(options, err);
    cm_save *save = r ? NULL : cm_calloc(1, sizeof *save, err);
    if (!save)
        return r ? r : CM_ENOMEM;
    save->ctx = ctx;
    save->source = ds;
    save->options = *options;
    save->may_zip = true;
    /* Chunk tables stay in the memory: those that there are come first. A part of the rest may sit
     * in caches of indexes. */
    load_tables(ds->root);
    save->memory = cm_budget_limit(cm_context_budget(ctx)) / 16 * 15;
    save->parts = cm_calloc(count_variables(ds->root) + 1, sizeof *save->parts, err);
    if (!save->parts || (options->scratch && !(save->scratch = cm_strdup(options->scratch, err))))
        r = CM_ENOMEM;
    if (!r)
        r = cm_target_open(save, target, sources, nsources, &save->target, err);
    if (!r)
        r = cm_layout_check_names(save, err);
    if (!r)
        r = cm_zarr_writer_new(cm_target_store(save->target), "", options->zarr_format,
                               &save->writer, err);
    if (!r)
        r = plan_group(save, ds->root, err);
    if (!r)
        r = cm_layout_warn(save, err);
    if (!r)
        r = cm_save_number_tasks(save, err);
    if (!r)
        r = cm_save_describe_plan(save, err);
    if (r) {
        cm_save_free(save);
        return r;
    }
    *out = save;
    return 0;
}

const cm_json *cm_save_describe(const cm_save *save)
{
    return cm_json_doc_root(save->description);
}

const char *cm_save_warning(const cm_save *save, size_t i)
{
    return i < save->nwarnings ? save->warnings[i] : NULL;
}

int64_t cm_save_ntasks(const cm_save *save)
{
    return save->ntasks;
}

/* Bytes that uncompressed variables will surely take. How small the others become is not known
 * before. */
static uint64_t least_stored(const cm_save *save)
{
    uint64_t n = 0;
    for (int i = 0; i < save->nparts; i++) {
        const cm_part *p = &save->parts[i];
        if (p->chunk_chain->nstages == 0 && !cm_kind_is_vlen(p->dtype.kind) &&
            !save->options.skip_empty)
            n += p->nbytes;
    }
    return n;
}

static int check_space(const cm_save *save, cm_error *err)
{
    uint64_t available, needed = least_stored(save), decoded = 0;
    int r = cm_free_space(cm_target_directory(save->target), &available, err);
    if (r)
        return r;
    for (int i = 0; i < save->nparts; i++)
        decoded += save->parts[i].nbytes;
    if (available < needed) {
        cm_error_set(err, CM_ENOSPC, "the store takes at least %.1f MB, there are %.1f MB free",
                     (double)needed / 1e6, (double)available / 1e6);
        cm_error_hint(err, "free some space, or compress with --codec");
        return cm_error_object(err, cm_target_uri(save->target));
    }
    if (available < decoded)
        cm_context_log(
            save->ctx, CM_LOG_WARNING,
            "%s: %.1f MB free for %.1f MB of cells: it is enough only if they compress well",
            cm_target_uri(save->target), (double)available / 1e6, (double)decoded / 1e6);
    return 0;
}

int cm_save_run(cm_save *save, int64_t first, int64_t last, cm_error *err)
{
    cm_error local;
    if (!err)
        cm_error_clear(err = &local);
    if (first < 0 || last > save->ntasks || first > last)
        return cm_error_set(err, CM_EINVAL, "tasks %lld..%lld of %lld", (long long)first,
                            (long long)last, (long long)save->ntasks);
    /* A spill that is not full would be read as zeros, and a unit that nobody wrote as fill. */
    if (first != save->ndone)
        return cm_error_set(err, CM_EINVAL, "tasks from %lld on, but %lld is the next one",
                            (long long)first, (long long)save->ndone);
    int64_t total = 0;
    for (int i = 0; i < save->nparts; i++)
        total += (int64_t)save->parts[i].nbytes * (save->parts[i].mode == CM_MODE_SPILL ? 2 : 1);
    cm_context_progress_begin(save->ctx, "write", "", total);
    int r = check_space(save, err);
    if (!r)
        r = cm_target_begin(save->target, err);
    if (!r)
        r = cm_save_run_tasks(save, first, last, err);
    if (!r)
        save->ndone = last;
    return r;
}

int cm_save_commit(cm_save *save, cm_error *err)
{
    cm_error local;
    if (!err)
        cm_error_clear(err = &local);
    if (save->ndone < save->ntasks)
        return cm_error_set(err, CM_EINVAL, "task %lld of %lld did not run", (long long)save->ndone,
                            (long long)save->ntasks);
    int r = cm_context_check(save->ctx, err);
    if (!r)
        r = cm_target_begin(save->target, err);
    if (!r)
        r = cm_zarr_writer_finish(save->writer, err);
    if (!r)
        r = cm_target_commit(save->target, err);
    if (r)
        cm_error_object(err, cm_target_uri(save->target));
    return r;
}

void cm_save_get_stats(const cm_save *save, cm_save_stats *out)
{
    *out = (cm_save_stats){
        .bytes_read = __atomic_load_n(&save->read.nbytes, __ATOMIC_RELAXED),
        .bytes_written = __atomic_load_n(&save->bytes_written, __ATOMIC_RELAXED),
        .chunks_read = __atomic_load_n(&save->read.nchunks, __ATOMIC_RELAXED),
        .objects_written = __atomic_load_n(&save->objects_written, __ATOMIC_RELAXED),
    };
}

void cm_save_free(cm_save *save)
{
    if (!save)
        return;
    for (int i = 0; i < save->nparts; i++) {
        cm_part *p = &save->parts[i];
        cm_spill_close(p->spill);
        cm_chain_unref(p->layout.chain);
        cm_grid_free(p->layout.grid);
        for (int a = 0; a < p->ndim; a++)
            free(p->block_cuts[a]);
    }
    cm_zarr_writer_free(save->writer);
    cm_target_close(save->target);
    cm_json_doc_free(save->description);
    for (size_t i = 0; i < save->nwarnings; i++)
        free(save->warnings[i]);
    free(save->warnings);
    free(save->batches);
    free(save->parts);
    free(save->scratch);
    free(save);
}
