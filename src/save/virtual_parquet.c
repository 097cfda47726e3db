/* save/virtual_parquet.c: kerchunk Parquet: DST/VAR/refs.K.parq and DST/.zmetadata.
 *
 * Rows are gathered for one file at a time, so memory is that of record_size rows. Everything is
 * built in a directory beside the target, which gets the target's name at the end.
 *
 * When the target is appended to, chunks of the variables that grow along their first axis keep
 * their numbers, and so do all of those that do not grow:
 *
 *     refs.0.parq  refs.1.parq  refs.2.parq (part)  |  new chunks
 *     linked       linked       written             written
 *
 * Files whose rows stay as they are get a second name in the new directory instead of being read
 * and written. So appending costs what is new, and the old references are whole at each moment.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "format/refs/parquet.h"
#include "format/refs/refs.h"
#include "save/save_private.h"
#include "save/virtual.h"

typedef struct gather {
    cm_virtual *v;
    cm_store *store;
    const char *old;     /* appended to: the directory of the references that are there */
    cm_json_doc *before; /* and their .zmetadata */
    int64_t record_size;
    cm_parquet_row *rows;
    size_t n;
    uint32_t *local; /* of each path: its number in this file + 1 */
    size_t nlocal, local_capacity;
    char **names; /* of this file, "file://..." */
    uint32_t *used;
    size_t nnames, names_capacity, used_capacity;
    cm_buffer blob, bytes, out;
} gather;

/* The number of a path in the file at hand. */
static int local_path(gather *g, uint32_t path, uint32_t *out, cm_error *err)
{
    if (path >= g->nlocal) {
        if (cm_grow(&g->local, &g->local_capacity, (size_t)path + 1, sizeof *g->local, err))
            return CM_ENOMEM;
        memset(g->local + g->nlocal, 0, (g->local_capacity - g->nlocal) * sizeof *g->local);
        g->nlocal = g->local_capacity;
    }
    if (!g->local[path]) {
        if (cm_grow(&g->names, &g->names_capacity, g->nnames + 1, sizeof *g->names, err) ||
            cm_grow(&g->used, &g->used_capacity, g->nnames + 1, sizeof *g->used, err))
            return CM_ENOMEM;
        char *name = cm_sprintf(err, "file://%s", cm_paths_name(g->v->paths, path));
        if (!name)
            return CM_ENOMEM;
        g->names[g->nnames] = name;
        g->used[g->nnames++] = path;
        g->local[path] = (uint32_t)g->nnames;
    }
    *out = g->local[path] - 1;
    return 0;
}

static int add_row(gather *g, const cm_reference *ref, cm_error *err)
{
    cm_parquet_row *row = &g->rows[g->n++];
    *row = (cm_parquet_row){0};
    switch (ref->kind) {
    case CM_REFERENCE_NONE: return 0;
    case CM_REFERENCE_RANGE:
        row->offset = ref->offset;
        row->nbytes = ref->nbytes;
        /* fall through */
    case CM_REFERENCE_WHOLE: row->kind = 1; return local_path(g, ref->path, &row->path, err);
    case CM_REFERENCE_ODD:
    case CM_REFERENCE_INLINE: break;
    }
    row->kind = 2;
    row->path = (uint32_t)g->blob.nbytes;
    row->nbytes = ref->nbytes;
    return cm_buffer_append(&g->blob, ref->data, (size_t)ref->nbytes, err);
}

static int put_file(gather *g, const char *path, int64_t k, cm_error *err)
{
    char *key = cm_sprintf(err, "%s/refs.%lld.parq", path + 1, (long long)k);
    g->out.nbytes = 0;
    int r = key ? cm_parquet_write(g->rows, g->n, (const char *const *)g->names, g->nnames,
                                   g->blob.data, &g->out, err)
                : CM_ENOMEM;
    cm_iov iov = {g->out.data, g->out.nbytes};
    if (r == 0)
        r = g->store->vt->put(g->store, key, &iov, 1, 0, err);
    for (size_t i = 0; i < g->nnames; i++) {
        g->local[g->used[i]] = 0;
        free(g->names[i]);
    }
    g->nnames = g->n = 0;
    g->blob.nbytes = 0;
    free(key);
    return r;
}

/* Is the segment's array the variable of the target as it is now? */
static bool is_of_target(const gather *g, const cm_virtual_part *p, const cm_segment *s)
{
    char theirs[PATH_MAX], ours[PATH_MAX], real[2][PATH_MAX];
    const char *store, *prefix;
    int64_t size;
    if (!s->fits || !cm_array_is_chunked(s->leaf) ||
        !cm_refs_parquet_place(cm_chunked_table(s->leaf), &size, &store, &prefix) ||
        size != g->record_size)
        return false;
    for (int i = 0; i < p->ndim; i++)
        if (s->start[i] || s->leaf->shape[i] != (i == p->axis ? s->end - s->begin : p->shape[i]))
            return false;
    int n = snprintf(theirs, sizeof theirs, "%s/%s", store, prefix);
    int m = snprintf(ours, sizeof ours, "%s%s", g->old, p->variable->path);
    return n > 0 && m > 0 && (size_t)n < sizeof theirs && (size_t)m < sizeof ours &&
           realpath(theirs, real[0]) && realpath(ours, real[1]) && !strcmp(real[0], real[1]);
}

/* How many of the part's files stay as they are. */
static int64_t unchanged(const gather *g, const cm_virtual_part *p)
{
    if (!g->old || p->native || !p->nsegments || !is_of_target(g, p, &p->segments[0]))
        return 0;
    int64_t rows = p->nchunks;
    if (p->nsegments > 1)
        rows = p->axis ? 0 : p->segments[0].end / p->chunk[0] * (p->nchunks / p->grid[0]);
    if (p->nrewritten && p->rewritten[0].index < rows)
        rows = p->rewritten[0].index;
    return rows == p->nchunks ? cm_ceil_div(rows, g->record_size) : rows / g->record_size;
}

/* Give the target's file a second name. False when that is not possible: it is written then. */
static bool link_file(const gather *g, const char *path, int64_t k)
{
    char from[PATH_MAX], to[PATH_MAX];
    const char *building = cm_store_local_path(g->store);
    int n = snprintf(from, sizeof from, "%s%s/refs.%lld.parq", g->old, path, (long long)k);
    int m = snprintf(to, sizeof to, "%s%s/refs.%lld.parq", building, path, (long long)k);
    if (n < 0 || m < 0 || (size_t)n >= sizeof from || (size_t)m >= sizeof to)
        return false;
    for (char *s = to + strlen(building) + 1; (s = strchr(s, '/')); s++) {
        *s = 0;
        mkdir(to, 0777);
        *s = '/';
    }
    return link(from, to) == 0;
}

static int put_part(gather *g, cm_virtual_part *p, cm_error *err)
{
    int64_t size = g->record_size, nfiles = cm_ceil_div(p->nchunks, size), kept = unchanged(g, p);
    int r = 0;
    cm_context_progress_count(g->v->ctx, "write", p->variable->path, "files of references", nfiles);
    for (int64_t k = 0; k < nfiles && r == 0; k++) {
        cm_context_progress_add(g->v->ctx, 1);
        r = cm_context_check(g->v->ctx, err);
        if (r)
            break;
        if (k < kept && link_file(g, p->variable->path, k)) {
            p->counts.kept++;
            continue;
        }
        int64_t end = cm_min_i64((k + 1) * size, p->nchunks);
        for (int64_t i = k * size; i < end && r == 0; i++) {
            cm_reference ref;
            r = cm_virtual_reference(g->v, p, i, &g->bytes, &ref, err);
            if (r == 0)
                r = add_row(g, &ref, err);
        }
        if (r == 0)
            r = put_file(g, p->variable->path, k, err);
    }
    return r;
}

/* What put_part would do. */
static int plan_part(gather *g, cm_virtual_part *p, cm_error *err)
{
    int64_t size = g->record_size, kept = unchanged(g, p);
    p->counts.kept = cm_min_i64(kept, cm_ceil_div(p->nchunks, size));
    return cm_virtual_count(g->v, p, cm_min_i64(kept * size, p->nchunks), err);
}

/* The references that are appended to: their .zmetadata. */
static int read_old(gather *g, const char *target, cm_error *err)
{
    cm_store *store = NULL;
    char *text = NULL;
    size_t nbytes;
    const char *path = strncmp(target, "file://", 7) == 0 ? target + 7 : target;
    int r = cm_store_open_local(g->v->ctx, path, CM_DURABLE_NONE, &store, err);
    if (r == 0)
        r = cm_store_read_text(store, ".zmetadata", (size_t)1 << 30, &text, &nbytes, err);
    if (r == 0)
        r = cm_json_parse(text, nbytes, (size_t)16 << 30, &g->before, err);
    const cm_json *size = cm_json_get(cm_json_doc_root(g->before), "record_size");
    if (r == 0 && !g->record_size && !cm_json_int64(size, &g->record_size))
        r = cm_error_set(err, CM_EDATA, ".zmetadata: no \"record_size\"");
    g->old = path;
    free(text);
    cm_store_unref(store);
    return r;
}

/* What they recorded of their sources. */
static int add_old_sources(const gather *g, cm_json_doc *doc, cm_json *sources, cm_error *err)
{
    const cm_json *theirs = cm_json_get(cm_json_doc_root(g->before), "sources");
    for (size_t i = 0; i < cm_json_count(theirs); i++) {
        const char *name = cm_json_key(theirs, i);
        if (!cm_json_get(sources, name) &&
            cm_json_set(doc, sources, name, cm_json_copy(doc, cm_json_at(theirs, i))))
            return cm_error_set(err, CM_ENOMEM, "out of memory (sources)");
    }
    return 0;
}

static int put_metadata(gather *g, cm_error *err)
{
    cm_json_doc *doc = NULL;
    char *text = NULL;
    size_t nbytes = 0;
    int r = cm_virtual_metadata(g->v, &doc, err);
    cm_json *root = cm_json_doc_root(doc), *sources = r ? NULL : cm_virtual_sources(g->v, doc);
    if (r == 0 && sources && g->before)
        r = add_old_sources(g, doc, sources, err);
    if (r == 0 && (!cm_json_delete(root, "zarr_consolidated_format") ||
                   cm_json_set_int64(doc, root, "record_size", g->record_size) ||
                   cm_json_set(doc, root, "sources", sources)))
        r = cm_error_set(err, CM_ENOMEM, "out of memory (metadata)");
    if (r == 0)
        r = cm_json_write(root, 0, &text, &nbytes, err);
    cm_iov iov = {text, nbytes};
    if (r == 0)
        r = g->store->vt->put(g->store, ".zmetadata", &iov, 1, 0, err);
    free(text);
    cm_json_doc_free(doc);
    return r;
}

int cm_virtual_write_parquet(cm_virtual *v, const char *target, const char *const *sources,
                             size_t nsources, cm_error *err)
{
    gather g = {.v = v};
    cm_target *to = NULL;
    int64_t most = 1;
    cm_save save = {.ctx = v->ctx}; /* what a target looks at */
    cm_save_options_init(&save.options);
    save.options.overwrite = v->options->overwrite;
    for (size_t i = 0; i < v->nparts; i++)
        most = v->parts[i].nchunks > most ? v->parts[i].nchunks : most;
    g.record_size = v->options->record_size;
    int r = v->options->append ? read_old(&g, target, err) : 0;
    if (r)
        return r;
    if (!g.record_size)
        g.record_size = 100000;
    v->record_size = g.record_size;
    most = most < g.record_size ? most : g.record_size;
    cm_buffer_init(&g.blob, UINT32_MAX);
    cm_buffer_init(&g.bytes, (size_t)1 << 32);
    cm_buffer_init(&g.out, (size_t)1 << 32);
    g.rows = cm_calloc((size_t)most, sizeof *g.rows, err);
    r = g.rows ? cm_target_open(&save, target, sources, nsources, &to, err) : CM_ENOMEM;
    for (size_t i = 0; v->options->dry_run && i < v->nparts && r == 0; i++)
        r = plan_part(&g, &v->parts[i], err);
    if (r || v->options->dry_run)
        goto out;
    r = cm_target_begin(to, err);
    if (r == 0)
        g.store = cm_target_store(to);
    for (size_t i = 0; i < v->nparts && r == 0; i++)
        r = put_part(&g, &v->parts[i], err);
    if (r == 0)
        r = put_metadata(&g, err);
    if (r == 0)
        r = cm_target_commit(to, err);
    v->placed = cm_target_committed(to);
out:
    for (size_t i = 0; i < g.nnames; i++)
        free(g.names[i]);
    free(g.names);
    free(g.used);
    free(g.local);
    free(g.rows);
    cm_json_doc_free(g.before);
    cm_buffer_deinit(&g.blob);
    cm_buffer_deinit(&g.bytes);
    cm_buffer_deinit(&g.out);
    cm_target_close(to);
    return r;
}
