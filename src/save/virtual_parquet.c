/* save/virtual_parquet.c: kerchunk Parquet: DST/VAR/refs.K.parq and DST/.zmetadata.
 *
 * Rows are gathered for one file at a time, so memory is that of record_size rows. Everything is
 * built in a directory beside the target, which gets the target's name at the end.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "format/refs/parquet.h"
#include "save/save_private.h"
#include "save/virtual.h"

typedef struct gather {
    cm_virtual *v;
    cm_store *store;
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
    g->v->nreferences += ref->kind != CM_REFERENCE_NONE;
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
    g->v->ninline++;
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

static int put_part(gather *g, cm_virtual_part *p, cm_error *err)
{
    int64_t size = g->v->options->record_size;
    int r = 0;
    for (int64_t i = 0; i < p->nchunks && r == 0; i++) {
        cm_reference ref;
        r = cm_virtual_reference(g->v, p, i, &g->bytes, &ref, err);
        if (r == 0)
            r = add_row(g, &ref, err);
        if (r == 0 && ((int64_t)g->n == size || i + 1 == p->nchunks))
            r = put_file(g, p->variable->path, i / size, err);
    }
    return r;
}

static int put_metadata(gather *g, cm_error *err)
{
    cm_json_doc *doc = NULL;
    char *text = NULL;
    size_t nbytes;
    int r = cm_virtual_metadata(g->v, &doc, err);
    cm_json *root = cm_json_doc_root(doc);
    if (r == 0 && (!cm_json_delete(root, "zarr_consolidated_format") ||
                   cm_json_set_int64(doc, root, "record_size", g->v->options->record_size) ||
                   cm_json_set(doc, root, "sources", cm_virtual_sources(g->v, doc))))
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
    most = most < v->options->record_size ? most : v->options->record_size;
    cm_buffer_init(&g.blob, UINT32_MAX);
    cm_buffer_init(&g.bytes, (size_t)1 << 32);
    cm_buffer_init(&g.out, (size_t)1 << 32);
    g.rows = cm_calloc((size_t)most, sizeof *g.rows, err);
    int r = g.rows ? cm_target_open(&save, target, sources, nsources, &to, err) : CM_ENOMEM;
    if (r == 0)
        r = cm_target_begin(to, err);
    if (r == 0)
        g.store = cm_target_store(to);
    for (size_t i = 0; i < v->nparts && r == 0; i++)
        r = put_part(&g, &v->parts[i], err);
    if (r == 0)
        r = put_metadata(&g, err);
    if (r == 0)
        r = cm_target_commit(to, err);
    for (size_t i = 0; i < g.nnames; i++)
        free(g.names[i]);
    free(g.names);
    free(g.used);
    free(g.local);
    free(g.rows);
    cm_buffer_deinit(&g.blob);
    cm_buffer_deinit(&g.bytes);
    cm_buffer_deinit(&g.out);
    cm_target_close(to);
    return r;
}
