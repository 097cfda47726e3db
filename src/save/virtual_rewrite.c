/* save/virtual_rewrite.c: chunks that references cannot say, written natively beside them.
 *
 *     cube.json                         "tas/7.0.0": ["file:///m/cube.json-...chunks", 81920, 4096]
 *     m/cube.json-1a2b.tas.5e6f.chunks  chunk | chunk | chunk ...
 *
 * One file for each variable that has such chunks. They are read through the variable's own array,
 * so they are the cells that a copy would have, and encoded by the chain that all its chunks have.
 * A batch of them is read and encoded in parallel, within memory that is taken before; then their
 * bytes are written in order. A file has its name only when it is whole, and a new one each time:
 * references of an earlier run stay right until they are replaced. When a run fails its files go;
 * when it replaced references, files that only those used go (they are found by their name, which
 * holds the target's and a hash of its directory). Those of a killed run go with the next run that
 * replaces.
 *
 * Chunks that were never written differ in nothing but their place; the first one is written, the
 * others refer to it.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "array/workspace.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/memory.h"
#include "nd/copy.h"
#include "save/save_private.h"
#include "save/virtual.h"
#include "store/local.h"

struct cm_rewriting {
    cm_store *store;
    char *prefix; /* of the names of all files of this target */
    char *stamp;  /* of this run's */
    char **keys;  /* files of this run */
    size_t nkeys, capacity;
};

typedef struct item {
    int64_t index;
    bool fill; /* never written: cells are leaf's fill */
    bool same; /* as the last one that was `fill` */
    const cm_array *leaf;
    void *data; /* encoded; malloc'ed */
    size_t nbytes;
} item;

typedef struct batch {
    cm_virtual *v;
    cm_virtual_part *p;
    cm_part part; /* what encoding wants to know */
    int64_t next; /* the first chunk that was not looked at */
    int64_t told; /* as progress, of these */
    item *items;
    size_t n, room;
    uint64_t each; /* memory of one item */
    uint64_t decode;
    cm_workspace **workspaces;
    int workers;
    const cm_array *last_fill; /* of the last `fill` */
    cm_rewritten fill_at;      /* where it was written */
    cm_buffer bytes;
    uint64_t offset;  /* in the file */
    uint64_t written; /* there or kept in memory */
} batch;

/* ---- one chunk ------------------------------------------------------------------------------- */

static int read_cells(batch *b, const item *t, void *cells, cm_arena *arena, cm_error *err)
{
    cm_virtual_part *p = b->p;
    cm_array *a = p->variable->array;
    cm_dest dest = {.dtype = a->dtype, .base = cells, .arena = arena};
    int64_t index = t->index, lo[CM_MAX_DIMS], n[CM_MAX_DIMS];
    cm_strides_c(p->ndim, p->chunk, a->dtype.size, dest.strides);
    cm_nd_fill(p->ndim, p->chunk, a->dtype.size, cells, dest.strides,
               t->fill ? t->leaf->fill : cm_zarr_array_fill(p->target));
    if (t->fill)
        return 0;
    for (int i = p->ndim - 1; i >= 0; i--) {
        lo[i] = index % p->grid[i] * p->chunk[i];
        n[i] = cm_min_i64(p->chunk[i], p->shape[i] - lo[i]);
        index /= p->grid[i];
    }
    dest.region = cm_box_make(p->ndim, lo, n);
    return cm_read_into(b->v->ctx, a, &dest, b->decode, 1, NULL, err);
}

static int do_item(void *arg, int64_t i, int worker, cm_error *err)
{
    batch *b = arg;
    item *t = &b->items[i];
    cm_context *ctx = b->v->ctx;
    cm_workspace *ws = b->workspaces[worker == CM_ALONE ? 0 : worker];
    cm_block cells = {0};
    cm_arena *arena = NULL;
    cm_encoded e = {0};
    uint64_t extra = 0;
    if (t->same)
        return 0;
    int r = cm_block_get(cm_context_blocks(ctx), cm_unit_tile_nbytes(&b->part), &cells, err);
    if (r == 0 && cm_kind_is_vlen(b->part.dtype.kind))
        r = cm_arena_new(ctx, &arena, err);
    if (r == 0)
        r = read_cells(b, t, cells.data, arena, err);
    if (r == 0)
        r = cm_unit_encode(&b->part, ctx, ws, cells.data, &e, &extra, err);
    if (r == 0 && !(t->data = malloc(e.nbytes + 1)))
        r = cm_error_set(err, CM_ENOMEM, "out of memory");
    if (r == 0)
        memcpy(t->data, e.data, e.nbytes);
    t->nbytes = e.nbytes;
    cm_unit_release(ctx, ws, extra);
    cm_arena_free(arena);
    cm_block_put(cm_context_blocks(ctx), &cells);
    return r;
}

/* ---- a batch --------------------------------------------------------------------------------- */

/* Take so much of the budget for as long as the part lives. */
static int pin(batch *b, uint64_t more, cm_error *err)
{
    if (!cm_budget_pin(cm_context_budget(b->v->ctx), more)) {
        cm_error_set(err, CM_ELIMIT, "no memory left for the list of rewritten chunks (%zu)",
                     b->p->nrewritten);
        cm_error_hint(err, "give more with --max-mem");
        return CM_ELIMIT;
    }
    b->p->pinned += more;
    return 0;
}

static int note_place(batch *b, const cm_rewritten *at, cm_error *err)
{
    cm_virtual_part *p = b->p;
    if (p->nrewritten == p->rewritten_capacity) {
        size_t want = p->nrewritten ? 2 * p->nrewritten : 64;
        uint64_t more = (want - p->rewritten_capacity) * sizeof *p->rewritten;
        if (pin(b, more, err))
            return CM_ELIMIT;
        if (cm_grow(&p->rewritten, &p->rewritten_capacity, want, sizeof *p->rewritten, err))
            return CM_ENOMEM;
    }
    p->rewritten[p->nrewritten++] = *at;
    return 0;
}

/* Chunks of fewer bytes than are worth a reference stay in memory, for the references. */
static int keep_small(batch *b, const item *t, cm_rewritten *at, cm_error *err)
{
    cm_buffer *to = &b->p->small_chunks;
    *at = (cm_rewritten){t->index, to->nbytes, t->nbytes, true};
    b->written += t->nbytes;
    int r = pin(b, t->nbytes, err);
    return r ? r : cm_buffer_append(to, t->data, t->nbytes, err);
}

static int write_out(batch *b, cm_write_fn write, void *to, cm_error *err)
{
    int r = 0;
    for (size_t i = 0; i < b->n && r == 0; i++) {
        const item *t = &b->items[i];
        cm_rewritten at = {t->index, b->offset, t->nbytes, false};
        if (t->same) {
            at = b->fill_at;
            at.index = t->index;
        } else if (t->nbytes < b->v->options->inline_nbytes) {
            r = keep_small(b, t, &at, err);
        } else {
            r = write(to, t->data, t->nbytes, err);
            b->offset += t->nbytes;
            b->written += t->nbytes;
        }
        if (t->fill)
            b->fill_at = at;
        if (r == 0)
            r = note_place(b, &at, err);
    }
    return r;
}

static int run_batch(batch *b, cm_write_fn write, void *to, cm_error *err)
{
    cm_context *ctx = b->v->ctx;
    uint64_t taken = b->n * b->each;
    int r = cm_budget_take(cm_context_budget(ctx), ctx, taken, b->p->variable->path, err);
    if (r)
        return r;
    r = cm_pool_for_fit(cm_context_pool(ctx), ctx, (int64_t)b->n, b->workers, do_item, b, err);
    if (r == 0)
        r = write_out(b, write, to, err);
    cm_context_progress_add(ctx, b->next - b->told);
    b->told = b->next;
    for (size_t i = 0; i < b->n; i++)
        free(b->items[i].data);
    b->n = 0;
    cm_budget_give(cm_context_budget(ctx), taken);
    return r;
}

/* The next chunks that are odd. */
static int gather(batch *b, cm_error *err)
{
    int r = 0;
    while (b->next < b->p->nchunks && b->n < b->room && r == 0) {
        cm_reference ref;
        r = cm_context_check(b->v->ctx, err);
        if (r == 0)
            r = cm_virtual_locate(b->v, b->p, b->next, &b->bytes, &ref, err);
        if (r == 0 && ref.kind == CM_REFERENCE_ODD) {
            item *t = &b->items[b->n++];
            *t = (item){.index = b->next, .leaf = ref.segment->leaf};
            t->fill = ref.odd == CM_ODD_FILL && !cm_kind_is_vlen(b->part.dtype.kind);
            t->same = t->fill && b->last_fill &&
                      !memcmp(b->last_fill->fill, t->leaf->fill, b->part.dtype.size);
            if (t->fill)
                b->last_fill = t->leaf;
            if (!b->p->why.code)
                cm_error_set(&b->p->why, CM_EUNSUP, "%s",
                             ref.odd == CM_ODD_MASK      ? "chunks with a filter mask"
                             : ref.odd == CM_ODD_ARCHIVE ? "chunks compressed in a zip archive"
                                                         : "chunks that were never written and do "
                                                           "not read as _FillValue");
            cm_error_object(&b->p->why, t->leaf->label);
        }
        b->next++;
    }
    return r;
}

static int produce(void *user, cm_write_fn write, void *to, cm_error *err)
{
    batch *b = user;
    int r = 0;
    while (b->n && r == 0) {
        r = run_batch(b, write, to, err);
        if (r == 0)
            r = gather(b, err);
    }
    return r;
}

/* ---- a variable ------------------------------------------------------------------------------ */

/* How many chunks at a time, and what each takes. */
static int measure(batch *b, cm_error *err)
{
    cm_virtual_part *p = b->p;
    cm_read_cost c = cm_array_cost(p->variable->array); /* may read tables, which pins memory */
    b->part = (cm_part){.variable = p->variable,
                        .source = p->variable->array,
                        .target = p->target,
                        .ndim = p->ndim,
                        .dtype = p->variable->array->dtype,
                        .chunk_chain = p->chain};
    memcpy(b->part.shape, p->shape, sizeof p->shape);
    memcpy(b->part.layout.chunk, p->chunk, sizeof p->chunk);
    memcpy(b->part.layout.unit, p->chunk, sizeof p->chunk);
    uint64_t tile = cm_unit_tile_nbytes(&b->part);
    b->decode = c.max_chunk_nbytes + c.max_encoded_nbytes + c.max_scratch_nbytes + (1 << 20);
    b->part.worker[1] = cm_unit_worker_nbytes(&b->part);
    b->each = tile + b->decode + b->part.worker[1] + cm_chain_bound(p->chain, tile);
    uint64_t limit = cm_budget_limit(cm_context_budget(b->v->ctx)) / 2;
    size_t threads = (size_t)cm_context_threads(b->v->ctx);
    uint64_t fit = limit / b->each;
    b->room = fit < 1 ? 1 : fit < 8 * threads ? (size_t)fit : 8 * threads;
    b->workers = (int)(b->room < threads ? b->room : threads);
    b->items = cm_calloc(b->room, sizeof *b->items, err);
    b->workspaces = cm_calloc((size_t)b->workers, sizeof(cm_workspace *), err);
    int r = b->items && b->workspaces ? 0 : CM_ENOMEM;
    for (int i = 0; i < b->workers && r == 0; i++)
        r = cm_workspace_get(b->v->ctx, &b->workspaces[i], err);
    return r;
}

static char *file_name(const struct cm_rewriting *w, const char *path, cm_error *err)
{
    char *key = cm_sprintf(err, "%s%.100s.%s.chunks", w->prefix, path + 1, w->stamp);
    for (char *s = key; s && *s; s++)
        if (*s == '/')
            *s = '.';
    return key;
}

static void say(const batch *b, uint64_t nbytes)
{
    const cm_virtual_options_note *note = &b->v->options->note;
    char line[1400];
    if (!note->fn)
        return;
    snprintf(line, sizeof line, "%s: %zu of %" PRId64 " chunk%s rewritten, %.1f MB: %.300s%s%.800s",
             b->p->variable->path, b->p->nrewritten, b->p->nchunks, b->p->nchunks == 1 ? "" : "s",
             (double)nbytes / 1e6, b->p->why.object, b->p->why.object[0] ? ": " : "",
             b->p->why.message);
    note->fn(note->user, line);
}

static int rewrite_part(cm_virtual *v, cm_virtual_part *p, cm_error *err)
{
    struct cm_rewriting *w = v->rewriting;
    batch b = {.v = v, .p = p};
    cm_object_version any = {0};
    char *key = NULL;
    cm_buffer_init(&b.bytes, (size_t)1 << 32);
    cm_buffer_init(&p->small_chunks, (size_t)1 << 32);
    int r = measure(&b, err);
    cm_context_progress_count(v->ctx, "rewrite", p->variable->path, "chunks", p->nchunks);
    if (r == 0)
        r = gather(&b, err);
    if (r || b.n == 0)
        goto out;
    key = file_name(w, p->variable->path, err);
    if (!key || cm_grow(&w->keys, &w->capacity, w->nkeys + 1, sizeof *w->keys, err)) {
        r = CM_ENOMEM;
        goto out;
    }
    r = w->store->vt->put_from(w->store, key, produce, &b, CM_PUT_IF_ABSENT, err);
    if (r)
        goto out;
    if (b.offset) {
        w->keys[w->nkeys++] = key;
        r = cm_virtual_name(v, w->store, key, &any, &p->rewritten_path, err);
        key = NULL;
    } else { /* all were small */
        r = w->store->vt->del(w->store, key, err);
    }
    p->counts.rewritten = (int64_t)p->nrewritten;
    p->counts.rewritten_nbytes = b.written;
    say(&b, b.written);
out:
    free(key);
    for (int i = 0; i < b.workers && b.workspaces; i++)
        cm_workspace_put(v->ctx, b.workspaces[i]);
    free(b.workspaces);
    free(b.items);
    cm_buffer_deinit(&b.bytes);
    return r;
}

/* ---- all ------------------------------------------------------------------------------------- */

/* Is path, or what of it is there, in the directory `in`? A directory that replaces another one as
 * a whole cannot hold what stays. */
static bool lies_in(const char *path, const char *in)
{
    size_t n = strlen(in);
    return strncmp(path, in, n) == 0 && (path[n] == 0 || path[n] == '/');
}

static int begin(cm_virtual *v, const char *target, cm_error *err)
{
    struct cm_rewriting *w = cm_calloc(1, sizeof *w, err);
    const char *path = strncmp(target, "file://", 7) == 0 ? target + 7 : target;
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    char *directory = slash ? cm_strndup(path, slash == path ? 1 : (size_t)(slash - path), err)
                            : cm_strdup(".", err);
    char *real = directory ? realpath(directory, NULL) : NULL;
    const char *place = real ? real : directory;
    struct timespec now;
    int r = CM_ENOMEM;
    v->rewriting = w;
    if (!w || !place)
        goto out;
    char target_real[PATH_MAX];
    bool fits = (size_t)snprintf(target_real, sizeof target_real, "%s/%s", place, base) <
                sizeof target_real;
    char *own = realpath(v->options->materialize, NULL);
    bool in = lies_in(v->options->materialize, path) || (fits && own && lies_in(own, target_real));
    free(own);
    if (in) {
        r = cm_error_set(err, CM_EINVAL, "--materialize: %.400s lies in the target",
                         v->options->materialize);
        goto out;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t stamp = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    w->stamp = cm_sprintf(err, "%" PRIx64 "-%ld", stamp, (long)getpid());
    w->prefix = cm_sprintf(err, "%.100s-%08x.", base, cm_lookup3(place, strlen(place)));
    if (w->stamp && w->prefix)
        r = cm_store_open_local(v->ctx, v->options->materialize, CM_DURABLE_NONE, &w->store, err);
    if (r == 0)
        cm_local_sweep(v->options->materialize, w->prefix, true);
out:
    free(real);
    free(directory);
    return r;
}

int cm_virtual_rewrite(cm_virtual *v, const char *target, cm_error *err)
{
    if (!v->options->materialize || v->options->dry_run)
        return 0;
    int r = begin(v, target, err);
    for (size_t i = 0; i < v->nparts && r == 0; i++) {
        cm_virtual_part *p = &v->parts[i];
        if (p->native)
            continue;
        r = rewrite_part(v, p, err);
        if (r)
            cm_error_variable(err, p->variable->path);
    }
    return r;
}

typedef struct sweep {
    cm_virtual *v;
    char **old;
    size_t n, capacity;
} sweep;

static int is_old(void *user, const char *name, bool is_prefix, uint64_t size, cm_error *err)
{
    sweep *s = user;
    const struct cm_rewriting *w = s->v->rewriting;
    size_t n = strlen(w->prefix), length = strlen(name);
    (void)size, (void)err;
    if (is_prefix || strncmp(name, w->prefix, n) != 0 || length < n + 7 ||
        strcmp(name + length - 7, ".chunks") != 0)
        return 0;
    for (size_t i = 0; i < cm_paths_count(s->v->paths); i++) {
        const char *used = strrchr(cm_paths_name(s->v->paths, (uint32_t)i), '/');
        if (used && strcmp(used + 1, name) == 0)
            return 0;
    }
    char *copy = cm_strdup(name, NULL);
    if (!copy || cm_grow(&s->old, &s->capacity, s->n + 1, sizeof *s->old, NULL))
        free(copy);
    else
        s->old[s->n++] = copy;
    return 0;
}

/* Also after Ctrl-C: by a store without a context. */
void cm_virtual_rewrite_end(cm_virtual *v, bool keep)
{
    struct cm_rewriting *w = v->rewriting;
    cm_store *store = NULL;
    sweep s = {.v = v};
    if (!w)
        return;
    if (w->store &&
        cm_store_open_local(NULL, v->options->materialize, CM_DURABLE_NONE, &store, NULL) == 0) {
        for (size_t i = 0; i < w->nkeys && !keep; i++)
            store->vt->del(store, w->keys[i], NULL);
        if (keep && v->options->overwrite && !v->options->append)
            store->vt->list(store, "", is_old, &s, NULL);
        for (size_t i = 0; i < s.n; i++) {
            store->vt->del(store, s.old[i], NULL);
            free(s.old[i]);
        }
    }
    free(s.old);
    cm_store_unref(store);
    cm_store_unref(w->store);
    for (size_t i = 0; i < w->nkeys; i++)
        free(w->keys[i]);
    free(w->keys);
    free(w->prefix);
    free(w->stamp);
    free(w);
    v->rewriting = NULL;
}
