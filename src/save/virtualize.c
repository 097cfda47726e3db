/* save/virtualize.c: references to a dataset's chunks.
 *
 *   flatten    every variable as segments of files; refusals come here, before anything is written
 *   load       the chunk tables of all segments, file by file in parallel
 *   metadata   as Zarr v2 documents, made by the Zarr writer in a store in memory
 *   write      references as they come, one after the other, into JSON or Parquet
 *
 * Sources are recorded as they were when they were opened: a file that changes while references to
 * it are made is found by the first reader.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/context_private.h"
#include "base/memory.h"
#include "format/recognise.h"
#include "save/virtual.h"
#include "save/void_fill.h"

void cm_virtualize_options_init(cm_virtualize_options *options)
{
    *options = (cm_virtualize_options){.inline_nbytes = 512};
}

static int add_parts(cm_virtual *v, cm_group *g, cm_error *err)
{
    int r = 0;
    for (size_t i = 0; i < g->nvariables && r == 0; i++) {
        cm_variable *var = g->variables[i];
        if (var->problem) {
            if (err)
                *err = *var->problem;
            cm_error_object(err, v->source->uri);
            cm_error_hint(err, "leave it out with --skip %s", var->name);
            return cm_error_variable(err, var->path), var->problem->code;
        }
        if (cm_grow(&v->parts, &v->capacity, v->nparts + 1, sizeof *v->parts, err))
            return CM_ENOMEM;
        cm_virtual_part *p = &v->parts[v->nparts++];
        *p = (cm_virtual_part){.variable = var};
        r = cm_virtual_flatten(v, p, err);
    }
    for (size_t i = 0; i < g->ngroups && r == 0; i++)
        r = add_parts(v, g->groups[i], err);
    return r;
}

/* Load the chunk tables of the k-th file of each variable. What fails will fail again, in order,
 * and then say so. */
static int load_tables(void *arg, int64_t k, int worker, cm_error *err)
{
    cm_virtual *v = arg;
    static const int64_t zero[CM_MAX_DIMS];
    (void)worker;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < v->nparts; i++) {
            const cm_virtual_part *p = &v->parts[i];
            const cm_segment *s = p->nsegments > (size_t)k ? &p->segments[k] : NULL;
            cm_location at;
            if (!s || !s->fits || p->strided || cm_shape_nelem(p->ndim, s->leaf->shape) <= 0)
                continue;
            if (pass == 0)
                cm_chunked_want(s->leaf);
            else
                (void)cm_chunked_locate(s->leaf, zero, &at, NULL);
        }
    cm_context_progress_add(v->ctx, 1);
    return cm_context_check(v->ctx, err);
}

static int load_all_tables(cm_virtual *v, cm_error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < v->nparts; i++)
        n = v->parts[i].nsegments > n ? v->parts[i].nsegments : n;
    cm_context_progress_count(v->ctx, "chunk indexes", "", "files", (int64_t)n);
    int r = cm_pool_for(cm_context_pool(v->ctx), v->ctx, (int64_t)n, cm_context_threads(v->ctx),
                        load_tables, v, err);
    for (size_t i = 0; i < v->nparts && r == 0; i++) {
        r = cm_virtual_settle(&v->parts[i], err);
        if (r)
            cm_error_variable(err, v->parts[i].variable->path);
    }
    return r;
}

static int add_groups(cm_virtual *v, const cm_group *g, cm_error *err)
{
    int r =
        cm_zarr_writer_add_group(v->writer, g->path, g->attributes.items, g->attributes.count, err);
    for (size_t i = 0; i < g->ngroups && r == 0; i++)
        r = add_groups(v, g->groups[i], err);
    return r;
}

int cm_virtual_declare(cm_virtual *v, cm_virtual_part *p, cm_error *err)
{
    const cm_variable *var = p->variable;
    const cm_virtual_options_note *note = v->options ? &v->options->note : NULL;
    cm_attribute *copy = NULL;
    cm_zarr_array_spec spec = {.path = var->path,
                               .dtype = var->array->dtype,
                               .ndim = p->ndim,
                               .shape = p->shape,
                               .chain = p->chain,
                               .dimensions = (const char *const *)var->dimensions,
                               .attributes = var->attributes.items,
                               .nattributes = var->attributes.count};
    int r = cm_leave_out_void_fill(&spec, &copy, err);
    if (r == 0 && copy && note && note->fn) {
        char line[CM_VOID_FILL_LINE];
        cm_void_fill_line(&spec, line, sizeof line);
        note->fn(note->user, line);
    }
    if (r == 0)
        r = cm_zarr_writer_add_array(v->writer, &spec, &p->target, err);
    free(copy);
    return r;
}

static int describe(cm_virtual *v, cm_error *err)
{
    int r = cm_store_new_memory(v->ctx, &v->memory, err);
    if (r == 0)
        r = cm_zarr_writer_new(v->memory, "", 2, &v->writer, err);
    if (r == 0)
        r = add_groups(v, v->source->root, err);
    for (size_t i = 0; i < v->nparts && r == 0; i++) {
        cm_virtual_part *p = &v->parts[i];
        const cm_variable *var = p->variable;
        r = cm_virtual_declare(v, p, err);
        if (r) {
            cm_error_variable(err, var->path);
            cm_error_object(err, p->nsegments ? p->segments[0].leaf->label : v->source->uri);
            cm_error_hint(err,
                          "leave it out with --skip %s, rewrite it with --materialize DIR, or copy "
                          "all with chunkmill rechunk",
                          var->name);
        }
    }
    return r ? r : cm_zarr_writer_finish(v->writer, err);
}

/* Zarr v2 has a compressor and filters; kerchunk puts all into the filters, and VirtualiZarr takes
 * only that. */
static int move_compressor(cm_json_doc *doc, cm_json *zarray, cm_error *err)
{
    cm_json *compressor = cm_json_get(zarray, "compressor"), *filters;
    if (!compressor || cm_json_is(compressor, CM_JSON_NULL))
        return 0;
    filters = cm_json_get(zarray, "filters");
    if (!cm_json_is(filters, CM_JSON_ARRAY))
        filters = cm_json_new_array(doc);
    if (!filters || cm_json_add(doc, filters, compressor) ||
        cm_json_set(doc, zarray, "filters", filters) ||
        cm_json_set(doc, zarray, "compressor", cm_json_new_null(doc)))
        return cm_error_set(err, CM_ENOMEM, "out of memory (metadata)");
    return 0;
}

int cm_virtual_metadata(cm_virtual *v, cm_json_doc **out, cm_error *err)
{
    char *text = NULL;
    size_t nbytes;
    int r = cm_store_read_text(v->memory, ".zmetadata", (size_t)1 << 30, &text, &nbytes, err);
    if (r == 0)
        r = cm_json_parse(text, nbytes, (size_t)16 << 30, out, err);
    cm_json *all = r ? NULL : cm_json_get(cm_json_doc_root(*out), "metadata");
    for (size_t i = 0; i < cm_json_count(all) && r == 0; i++)
        r = move_compressor(*out, cm_json_at(all, i), err);
    free(text);
    return r;
}

cm_json *cm_virtual_sources(cm_virtual *v, cm_json_doc *doc)
{
    cm_json *all = cm_json_new_object(doc);
    for (size_t i = 0; i < v->nversions && all; i++) {
        const cm_object_version *version = &v->versions[i];
        if (version->size == UINT64_MAX)
            continue;
        char *name = cm_sprintf(NULL, "file://%s", cm_paths_name(v->paths, (uint32_t)i));
        cm_json *pair = cm_json_new_array(doc);
        if (!name || !pair || cm_json_add(doc, pair, cm_json_new_uint64(doc, version->size)) ||
            cm_json_add(doc, pair, cm_json_new_int64(doc, (int64_t)version->id[1])) ||
            cm_json_set(doc, all, name, pair))
            all = NULL;
        free(name);
    }
    return all;
}

static int rebase(cm_virtual *v, cm_error *err)
{
    const cm_virtualize_options *o = v->options;
    if (o->nrebase && !v->source->sources)
        return cm_error_set(err, CM_EINVAL,
                            "rebasing changes references: it takes one reference source, whole");
    for (size_t i = 0; i < o->nrebase; i++) {
        const char *equals = strchr(o->rebase[i], '=');
        if (!equals || equals == o->rebase[i])
            return cm_error_set(err, CM_EINVAL, "\"%.200s\" is not OLD=NEW", o->rebase[i]);
        int r = cm_paths_rebase(v->source->sources, o->rebase[i], (size_t)(equals - o->rebase[i]),
                                equals + 1, err);
        if (r)
            return r;
    }
    return 0;
}

static int check_target(const char *target, const char *const *sources, size_t n, cm_error *err)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(sources[i], target) == 0) {
            cm_error_set(err, CM_EINVAL, "the target is a source");
            return cm_error_object(err, target), CM_EINVAL;
        }
    return 0;
}

/* JSON replaces references only. The last name may be a file of data: DST was forgotten. */
static int check_replaced(cm_virtual *v, const char *target, cm_error *err)
{
    struct stat st;
    cm_recognised is = {.content = CM_CONTENT_OTHER};
    const char *path = strncmp(target, "file://", 7) == 0 ? target + 7 : target;
    if (!v->options->overwrite || v->options->parquet || stat(path, &st) != 0)
        return 0;
    char *whole = realpath(path, NULL);
    int r = whole && S_ISREG(st.st_mode) ? cm_recognise(v->files, whole + 1, &is, err) : 0;
    free(whole);
    if (r || is.content == CM_CONTENT_REFERENCES)
        return r;
    cm_error_set(err, CM_EEXIST, "exists and is no file of references");
    cm_error_hint(err, "only references are replaced; was DST forgotten? chunkmill virtualize "
                       "SRC... DST");
    return CM_EEXIST;
}

/* Before anything is rewritten; what decides is the put at the end. */
static int check_existing(const char *target, const cm_virtualize_options *options, cm_error *err)
{
    struct stat st;
    const char *path = strncmp(target, "file://", 7) == 0 ? target + 7 : target;
    if (options->overwrite || (!options->materialize && !options->dry_run) || lstat(path, &st) != 0)
        return 0;
    return cm_error_set(err, CM_EEXIST, "exists already");
}

/* What is replaced through a symbolic link is what it points to; the link stays. */
static char *real_target(const char *target, const cm_virtualize_options *options, cm_error *err)
{
    struct stat st;
    const char *path = strncmp(target, "file://", 7) == 0 ? target + 7 : target;
    char *real = NULL, *copy;
    size_t n = strlen(path);
    char *plain = cm_strndup(path, n > 1 && path[n - 1] == '/' ? n - 1 : n, err);
    if (!plain)
        return NULL;
    if (options->overwrite && lstat(plain, &st) == 0 && S_ISLNK(st.st_mode))
        real = realpath(plain, NULL);
    copy = real ? cm_strdup(real, err) : cm_strdup(target, err);
    free(real);
    free(plain);
    return copy;
}

static void fill_stats(const cm_virtual *v, cm_virtualize_stats *stats)
{
    cm_virtual_counts total = cm_virtual_total(v);
    *stats = (cm_virtualize_stats){.variables = (int64_t)v->nparts,
                                   .references = total.references,
                                   .inlined = total.inlined,
                                   .sources = (int64_t)cm_paths_count(v->paths),
                                   .rewritten = total.rewritten,
                                   .kept = total.kept,
                                   .fresh = total.fresh};
}

int cm_virtualize(cm_context *ctx, cm_dataset *ds, const char *const *sources, size_t nsources,
                  const char *named, const cm_virtualize_options *options,
                  cm_virtualize_stats *stats, cm_error *err)
{
    cm_virtualize_options defaults;
    cm_virtualize_options_init(&defaults);
    cm_virtual v = {
        .ctx = ctx, .source = ds, .options = options ? options : &defaults, .target = named};
    if (v.options->record_size < 0 || v.options->record_size > 1 << 26)
        return cm_error_set(err, CM_EINVAL, "a record size of %lld: 1 to %d are possible",
                            (long long)v.options->record_size, 1 << 26);
    char *target = real_target(named, v.options, err);
    if (!target)
        return CM_ENOMEM;
    int r = check_target(named, sources, nsources, err);
    if (r == 0)
        r = cm_store_open_local(ctx, "/", CM_DURABLE_NONE, &v.files, err);
    if (r == 0)
        r = check_replaced(&v, target, err);
    if (r == 0)
        r = cm_paths_new(v.files, &v.paths, err);
    if (r == 0)
        r = cm_paths_new(v.files, &v.directories, err);
    if (r == 0)
        r = rebase(&v, err);
    if (r == 0)
        r = add_parts(&v, ds->root, err);
    if (r == 0)
        r = load_all_tables(&v, err);
    if (r == 0)
        r = describe(&v, err);
    if (r == 0)
        r = check_existing(target, v.options, err);
    if (r == 0)
        r = cm_virtual_rewrite(&v, target, err);
    if (r == 0)
        r = v.options->parquet ? cm_virtual_write_parquet(&v, target, sources, nsources, err)
                               : cm_virtual_write_json(&v, target, err);
    if (r == 0 && v.options->plan)
        r = cm_virtual_describe(&v, named, v.options->plan, err);
    if (r == 0 && stats)
        fill_stats(&v, stats);
    if (r == CM_EEXIST && !v.options->overwrite)
        cm_error_hint(err, "--overwrite replaces it");
    if (r)
        cm_error_object(err, named);
    cm_virtual_rewrite_end(&v, v.placed);
    for (size_t i = 0; i < v.nparts; i++)
        cm_virtual_part_deinit(&v, &v.parts[i]);
    free(v.parts);
    free(v.versions);
    for (size_t i = 0; i < v.nreal; i++)
        free(v.real[i]);
    free(v.real);
    cm_paths_unref(v.directories);
    cm_zarr_writer_free(v.writer);
    cm_store_unref(v.memory);
    cm_store_unref(v.files);
    cm_paths_unref(v.paths);
    free(target);
    return r;
}
