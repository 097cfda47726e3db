/* save/describe.c: the plan as JSON for people and programs, and its warnings.
 *
 * Bytes read and written are decoded bytes: what encoding will make of them is not known before.
 * The description is made once, when planning is done, and never changes; cm_save_get_stats tells
 * what really happened.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "save/save_private.h"

static const char *mode_name(cm_save_mode mode)
{
    return mode == CM_MODE_SWEEP ? "sweep" : mode == CM_MODE_REREAD ? "reread" : "spill";
}

int cm_save_warn(cm_save *save, cm_error *err, const char *format, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    if (cm_grow(&save->warnings, &save->warnings_capacity, save->nwarnings + 2, sizeof(char *),
                err))
        return CM_ENOMEM;
    char *s = cm_strdup(text, err);
    if (!s)
        return CM_ENOMEM;
    save->warnings[save->nwarnings++] = s;
    save->warnings[save->nwarnings] = NULL;
    return 0;
}

static cm_json *lengths(cm_json_doc *doc, int n, const int64_t *v)
{
    cm_json *a = cm_json_new_array(doc);
    for (int i = 0; i < n; i++)
        if (cm_json_add(doc, a, cm_json_new_int64(doc, v[i])))
            return NULL;
    return a;
}

static int describe_part(cm_json_doc *doc, const cm_part *p, cm_json *list, cm_error *err)
{
    cm_json *o = cm_json_new_object(doc);
    char *codecs = cm_chain_text(p->chunk_chain, err);
    int r = codecs ? 0 : CM_ENOMEM;
    if (!r)
        r = cm_json_set_string(doc, o, "path", p->variable->path) ||
            cm_json_set_string(doc, o, "mode", mode_name(p->mode)) ||
            cm_json_set(doc, o, "shape", lengths(doc, p->ndim, p->shape)) ||
            cm_json_set(doc, o, "chunks", lengths(doc, p->ndim, p->layout.chunk)) ||
            (p->layout.grid &&
             cm_json_set(doc, o, "chunk_lengths", cm_grid_describe(p->layout.grid, doc))) ||
            (p->layout.sharded &&
             cm_json_set(doc, o, "shards", lengths(doc, p->ndim, p->layout.unit))) ||
            cm_json_set_string(doc, o, "codecs", codecs) ||
            cm_json_set_int64(doc, o, "bytes", (int64_t)p->nbytes) ||
            cm_json_set(doc, o, "reread", cm_json_new_double(doc, p->reread)) ||
            cm_json_set(doc, o, "tile", lengths(doc, p->ndim, p->tile)) ||
            cm_json_set_int64(doc, o, "objects", p->objects) ||
            cm_json_set_int64(doc, o, "tasks", p->tasks[0] + p->tasks[1]) ||
            cm_json_add(doc, list, o);
    free(codecs);
    return r ? cm_error_set(err, CM_ENOMEM, "out of memory") : 0;
}

typedef struct totals {
    int64_t read, written, objects, requests, scratch, memory;
    cm_save_mode mode;
} totals;

/* Source chunks times how often each is read, and target objects. */
static int64_t requests_of(const cm_part *p)
{
    double n = p->reread;
    for (int i = 0; i < p->ndim; i++) {
        cm_axis_grid g = cm_array_grid(p->source, i);
        n *= (double)(g.ncuts ? g.ncuts : cm_ceil_div(g.length, g.size));
    }
    return (int64_t)n + p->objects + (p->mode == CM_MODE_SPILL ? p->tasks[0] + p->tasks[1] : 0);
}

static totals add_up(const cm_save *save)
{
    totals t = {.mode = CM_MODE_SWEEP};
    for (int i = 0; i < save->nparts; i++) {
        const cm_part *p = &save->parts[i];
        bool spill = p->mode == CM_MODE_SPILL;
        t.read += (int64_t)((double)p->nbytes * p->reread) + (spill ? (int64_t)p->nbytes : 0);
        t.written += (int64_t)p->nbytes * (spill ? 2 : 1);
        t.objects += p->objects;
        t.requests += requests_of(p);
        if (spill) /* one at a time */
            t.scratch = cm_max_i64(t.scratch, (int64_t)p->nbytes);
        if (p->mode > t.mode)
            t.mode = p->mode;
        for (int k = 0; k < 2; k++)
            if (p->tasks[k])
                t.memory = cm_max_i64(t.memory, (int64_t)(p->memory[k] + p->worker[k]));
    }
    return t;
}

/* Many objects, or small ones: people find out when the file system or the object store is slow. */
static int warn_small(cm_save *save, cm_error *err)
{
    int r = 0;
    for (int i = 0; i < save->nparts && !r; i++) {
        const cm_part *p = &save->parts[i];
        uint64_t mean = p->objects ? p->nbytes / (uint64_t)p->objects : 0;
        if (p->objects > 100000 || (p->objects > 1000 && mean < 1000000))
            r = cm_save_warn(save, err, "%s: %lld objects of %.*f %s on average (%s)",
                             p->variable->path, (long long)p->objects, mean < 1000 ? 0 : 1,
                             (double)mean / (mean < 1000      ? 1
                                             : mean < 1000000 ? 1e3
                                                              : 1e6),
                             mean < 1000      ? "B"
                             : mean < 1000000 ? "kB"
                                              : "MB",
                             save->options.zarr_format == 3
                                 ? "larger --chunks make fewer; --shards puts many chunks into one"
                                 : "larger --chunks make fewer; Zarr v3 has --shards");
    }
    return r;
}

int cm_save_describe_plan(cm_save *save, cm_error *err)
{
    int r = cm_json_doc_new(0, &save->description, err);
    if (r)
        return r;
    cm_json_doc *doc = save->description;
    cm_json *o = cm_json_new_object(doc), *list = cm_json_new_array(doc);
    totals t = add_up(save);
    cm_json_doc_set_root(doc, o);
    r = cm_json_set_string(doc, o, "target", cm_target_uri(save->target)) ||
        cm_json_set_int64(doc, o, "zarr_format", save->options.zarr_format) ||
        cm_json_set_string(doc, o, "mode", mode_name(t.mode)) ||
        cm_json_set_int64(doc, o, "passes", t.mode == CM_MODE_SPILL ? 2 : 1) ||
        cm_json_set_int64(doc, o, "bytes_read", t.read) ||
        cm_json_set_int64(doc, o, "bytes_written", t.written) ||
        cm_json_set_int64(doc, o, "requests", t.requests) ||
        cm_json_set_int64(doc, o, "objects", t.objects) ||
        cm_json_set_int64(doc, o, "peak_memory",
                          (int64_t)save->memory < t.memory ? (int64_t)save->memory : t.memory) ||
        cm_json_set_int64(doc, o, "scratch", t.scratch) ||
        cm_json_set_int64(doc, o, "tasks", save->ntasks) || cm_json_set(doc, o, "variables", list);
    if (r)
        return cm_error_set(err, CM_ENOMEM, "out of memory");
    for (int i = 0; i < save->nparts && !r; i++)
        r = describe_part(doc, &save->parts[i], list, err);
    return r ? r : warn_small(save, err);
}
