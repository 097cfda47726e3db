/* array/read.c: the executor: pieces -> groups -> fetch, decode, scatter, on all threads.
 *
 *   plan            the array lists its pieces in the sink (no data is read)
 *   group           chunk pieces whose byte ranges are neighbours in one object become one fetch
 *   reserve         memory for as many workers as fit, in one request at the root
 *   run             workers take groups in order: one get, then decode and scatter piece by piece;
 *                   neighbours of one chunk (sorted steps of a joined file) are decoded once
 *
 * Nothing in `run` waits for memory or for another group, so reads may be nested in tasks that hold
 * reservations, and in parallel loops, without any order among them.
 *
 * An array of many objects (Zarr) is looked at once more after its chunks were read: chunks of a
 * store that was removed or replaced meanwhile are absent, or another array's. And a chunk that is
 * absent is fill only when the store says that it cannot have been there when it was opened.
 *
 * An object that changes between the reading of its index and of its chunks (CM_ECHANGED) makes the
 * whole read start again with fresh indexes, a few times.
 */
#include <stdlib.h>
#include <string.h>

#include "array/bump.h"
#include "array/chunked.h"
#include "array/shard_index.h"
#include "array/sink.h"
#include "base/bytes.h"
#include "base/memory.h"

enum { MAX_GROUP = 4 << 20, MAX_GAP = 64 << 10, RETRIES = 4 };

typedef struct group {
    size_t first, count;     /* in the order of pieces */
    uint64_t offset, nbytes; /* the fetch; whole object when nbytes is UINT64_MAX */
} group;

typedef struct run {
    cm_sink *sink;
    const cm_piece **order;
    group *groups;
    size_t ngroups;
    cm_workspace **workspaces;
    int workers;
    uint64_t encoded_room; /* per worker, what the reservation counts for encoded bytes */
} run;

/* The group that is done as the i-th. Workers that go along side by side would touch the same pages
 * of the destination, and wait for each other where those are new: so each gets a stretch of its
 * own. A page of a (1024, 1024, 1024) array of two bytes holds two rows of four shards. */
static int64_t in_stretches(const run *u, int64_t i)
{
    int64_t length = (int64_t)u->ngroups / u->workers;
    return i < length * u->workers ? i % u->workers * length + i / u->workers : i;
}

static bool is_range(const cm_piece *p)
{
    return p->kind == CM_PIECE_CHUNK && !p->inline_data && p->nbytes != UINT64_MAX;
}

/* Ranges first, by object and offset, then the others in the order of planning. */
static int compare(const void *va, const void *vb)
{
    const cm_piece *a = *(const cm_piece *const *)va, *b = *(const cm_piece *const *)vb;
    bool ra = is_range(a), rb = is_range(b);
    if (ra != rb)
        return ra ? -1 : 1;
    if (ra) {
        if (a->store != b->store)
            return a->store < b->store ? -1 : 1;
        int k = a->key == b->key ? 0 : strcmp(a->key, b->key);
        if (k)
            return k;
        if (a->offset != b->offset)
            return a->offset < b->offset ? -1 : 1;
    }
    return a < b ? -1 : a > b;
}

static bool joins(const group *g, const cm_piece *last, const cm_piece *p, uint64_t max_group)
{
    if (!is_range(last) || !is_range(p) || last->store != p->store ||
        strcmp(last->key, p->key) != 0 ||
        memcmp(&last->version, &p->version, sizeof p->version) != 0)
        return false;
    uint64_t end = g->offset + g->nbytes, new_end;
    if (!cm_add_u64(p->offset, p->nbytes, &new_end) || p->offset > end + MAX_GAP)
        return false;
    return new_end <= end || new_end - g->offset <= max_group;
}

/* max_group: bytes that a group may have at most, unless it is one piece. */
static int make_groups(run *u, int workers, uint64_t max_group, cm_error *err)
{
    cm_sink *s = u->sink;
    uint64_t total = 0;
    for (size_t i = 0; i < s->npieces; i++) {
        u->order[i] = &s->pieces[i];
        if (is_range(&s->pieces[i]) && s->pieces[i].nbytes < UINT64_MAX / 2 - total)
            total += s->pieces[i].nbytes;
    }
    if (s->npieces > 1)
        qsort(u->order, s->npieces, sizeof *u->order, compare);
    uint64_t share = total / (uint64_t)(workers * 4);
    max_group = share < max_group ? share : max_group;
    for (size_t i = 0; i < s->npieces; i++) {
        const cm_piece *p = u->order[i];
        group *g = u->ngroups ? &u->groups[u->ngroups - 1] : NULL;
        if (g && joins(g, u->order[i - 1], p, max_group)) {
            if (p->offset + p->nbytes > g->offset + g->nbytes)
                g->nbytes = p->offset + p->nbytes - g->offset;
            g->count++;
            continue;
        }
        if (is_range(p) && p->offset > UINT64_MAX - p->nbytes)
            return cm_error_set(err, CM_EDATA, "byte range beyond 2^64");
        u->groups[u->ngroups++] = (group){i, 1, p->offset, p->nbytes};
    }
    return 0;
}

typedef struct encoded_room {
    const run *u;
    cm_workspace *ws;
    uint64_t extra; /* taken from the budget beyond the reservation */
} encoded_room;

static void *encoded_alloc(void *user, size_t nbytes, cm_error *err)
{
    encoded_room *e = user;
    cm_context *ctx = e->u->sink->ctx;
    if (nbytes > e->u->encoded_room + e->extra) {
        uint64_t more = nbytes - e->u->encoded_room - e->extra;
        if (!cm_budget_try(cm_context_budget(ctx), more)) {
            cm_error_set(err, CM_ELIMIT, "%zu encoded bytes do not fit into the memory budget",
                         nbytes);
            cm_error_hint(err, "give more with --max-mem");
            return NULL;
        }
        e->extra += more;
    }
    return cm_block_ensure(cm_context_blocks(ctx), &e->ws->encoded, nbytes ? nbytes : 1, err) == 0
               ? e->ws->encoded.data
               : NULL;
}

static void count_done(const cm_sink *s, const cm_piece *p)
{
    if (!s->stats)
        return;
    int64_t nbytes, chunks = 0;
    if (p->kind == CM_PIECE_CHUNK) {
        nbytes = (int64_t)cm_chain_stored_nbytes(p->chain);
        chunks = 1;
    } else {
        cm_box box = cm_box_make(p->leaf->ndim, p->lo, p->n);
        nbytes = cm_box_nelem(&box) * p->leaf->dtype.size;
    }
    __atomic_add_fetch(&s->stats->nbytes, nbytes, __ATOMIC_RELAXED);
    __atomic_add_fetch(&s->stats->nchunks, chunks, __ATOMIC_RELAXED);
}

static int name_error(const cm_piece *p, cm_error *err)
{
    if ((p->kind == CM_PIECE_CHUNK && p->nbytes == UINT64_MAX && !p->inline_data) ||
        (p->kind == CM_PIECE_RAW && p->absent_is_fill))
        cm_error_prefix(err, "chunk %s", p->key);
    else if (p->kind == CM_PIECE_CHUNK && !p->inline_data)
        cm_error_prefix(err, "chunk at bytes %llu..%llu of %s", (unsigned long long)p->offset,
                        (unsigned long long)p->offset + p->nbytes, p->key);
    cm_error_object(err, p->leaf->label);
    return cm_error_variable(err, p->leaf->path);
}

static int run_group(void *arg, int64_t index, int worker, cm_error *err)
{
    run *u = arg;
    cm_sink *s = u->sink;
    const group *g = &u->groups[in_stretches(u, index)];
    cm_workspace *ws = u->workspaces[worker];
    const cm_piece *p = u->order[g->first];
    encoded_room room = {u, ws, 0};
    const char *data = NULL;
    size_t nbytes = 0;
    int r = 0;
    bool absent = false;
    if (p->kind == CM_PIECE_CHUNK && !p->inline_data) {
        cm_object_version version = p->version;
        if (p->nbytes == UINT64_MAX) {
            r = p->store->vt->get_all(p->store, p->key, encoded_alloc, &room, &nbytes, &version,
                                      err);
            data = ws->encoded.data;
        } else if ((data = encoded_alloc(&room, (size_t)g->nbytes, err))) {
            cm_range range = {g->offset, (size_t)g->nbytes, ws->encoded.data};
            r = p->store->vt->get(p->store, p->key, &range, 1, &version, err);
        } else {
            r = err->code;
        }
        if (r == CM_ENOTFOUND && p->absent_is_fill) {
            absent = true;
            r = cm_store_check_absent(p->store, p->key, err);
        }
    }
    const cm_piece *last = NULL;
    for (size_t i = 0; i < g->count && !r; i++) {
        p = u->order[g->first + i];
        const cm_piece *before = last && cm_piece_same_chunk(s, last, p) ? last : NULL;
        if (p->kind == CM_PIECE_RAW)
            r = cm_piece_raw(s, p, ws, err);
        else if (p->kind == CM_PIECE_CALL)
            r = cm_piece_call(s, p, ws, err);
        else if (p->kind == CM_PIECE_FILL || absent)
            r = cm_piece_fill(s, p, ws, err);
        else if (p->inline_data)
            r = cm_piece_decode(s, p, NULL, ws, p->inline_data, (size_t)p->nbytes, err);
        else if (p->nbytes == UINT64_MAX)
            r = cm_piece_decode(s, p, NULL, ws, data, nbytes, err);
        else
            r = cm_piece_decode(s, p, before, ws, data + (p->offset - g->offset), (size_t)p->nbytes,
                                err);
        last = p;
        if (!r && !before)
            count_done(s, p);
    }
    if (room.extra) {
        cm_block_put(cm_context_blocks(s->ctx), &ws->encoded);
        cm_budget_give(cm_context_budget(s->ctx), room.extra);
    }
    return r ? name_error(p, err) : 0;
}

/* Memory for the workers: what the caller granted, or from the budget for as many workers as there
 * is room for, waiting only for one, and not even for that when strings that were read before are
 * charged: nobody else may have anything to give. *workers may shrink; *taken is what to give
 * back. */
static int reserve(run *u, uint64_t each, int *workers, uint64_t *taken, cm_error *err)
{
    cm_sink *s = u->sink;
    cm_budget *budget = cm_context_budget(s->ctx);
    *taken = 0;
    if (s->grant) {
        uint64_t n = each ? s->grant / each : 1;
        if (n < 1 && !cm_budget_try(budget, each - s->grant)) {
            cm_error_set(err, CM_ELIMIT, "a chunk needs %llu bytes to decode, %llu are left",
                         (unsigned long long)each, (unsigned long long)s->grant);
            cm_error_hint(err, "give more with --max-mem");
            return CM_ELIMIT;
        }
        if (n < 1)
            *taken = each - s->grant;
        *workers = n < 1 ? 1 : n < (uint64_t)*workers ? (int)n : *workers;
        return 0;
    }
    for (; *workers > 1; *workers -= 1)
        if (cm_budget_try(budget, each * (uint64_t)*workers)) {
            *taken = each * (uint64_t)*workers;
            return 0;
        }
    int r = 0;
    if (!s->dest->arena || !cm_arena_holds(s->dest->arena)) {
        r = cm_budget_take(budget, s->ctx, each, "decoding one chunk", err);
    } else if (!cm_budget_try(budget, each)) {
        r = cm_error_set(err, CM_ELIMIT, "no memory left to decode one more chunk of strings");
        cm_error_hint(err, "give more with --max-mem");
    }
    if (!r)
        *taken = each;
    return r;
}

/* After the reading: are the arrays still those that were opened? Once for pieces in a row. */
static int check_leaves(const cm_sink *s, cm_error *err)
{
    const cm_array *last = NULL;
    for (size_t i = 0; i < s->npieces; i++) {
        const cm_array *leaf = s->pieces[i].leaf;
        int r = leaf != last && cm_array_is_chunked(leaf) ? cm_chunked_check(leaf, err) : 0;
        last = leaf;
        if (r) {
            cm_error_object(err, leaf->label);
            return cm_error_variable(err, leaf->path);
        }
    }
    return 0;
}

int cm_sink_flush(cm_sink *s, cm_error *err)
{
    if (!s->npieces)
        return 0;
    run u = {.sink = s};
    uint64_t taken = 0, scratch = 0;
    int workers = s->max_workers, r = CM_ENOMEM;
    u.order = cm_calloc(s->npieces, sizeof *u.order, err);
    u.groups = cm_calloc(s->npieces, sizeof *u.groups, err);
    u.workspaces = cm_calloc((size_t)workers, sizeof *u.workspaces, err);
    if (!u.order || !u.groups || !u.workspaces)
        goto out;
    for (size_t i = 0; i < s->npieces; i++) {
        uint64_t n = cm_piece_scratch(s, &s->pieces[i]);
        uint64_t e = is_range(&s->pieces[i]) ? 0 : cm_piece_encoded(&s->pieces[i]);
        scratch = n > scratch ? n : scratch;
        u.encoded_room = e > u.encoded_room ? e : u.encoded_room;
    }
    /* Groups must not make a worker need more than its part of what the caller reserved. */
    uint64_t part = s->grant / (uint64_t)workers, most = MAX_GROUP;
    if (s->grant && part < scratch + most)
        most = part > scratch ? part - scratch : 0;
    r = make_groups(&u, workers, most, err);
    if (r)
        goto out;
    for (size_t i = 0; i < u.ngroups; i++)
        if (is_range(u.order[u.groups[i].first]) && u.groups[i].nbytes > u.encoded_room)
            u.encoded_room = u.groups[i].nbytes;
    if ((size_t)workers > u.ngroups)
        workers = (int)u.ngroups;
    if (scratch > UINT64_MAX / 4096 || u.encoded_room > UINT64_MAX / 4096) {
        r = cm_error_set(err, CM_EDATA, "a chunk of more than 2^52 bytes");
        goto out;
    }
    r = reserve(&u, scratch + u.encoded_room, &workers, &taken, err);
    for (int i = 0; i < workers && !r; i++)
        r = cm_workspace_get(s->ctx, &u.workspaces[i], err);
    u.workers = workers;
    if (!r)
        r = cm_pool_for(cm_context_pool(s->ctx), s->ctx, (int64_t)u.ngroups, workers, run_group, &u,
                        err);
    if (!r)
        r = check_leaves(s, err);
    for (int i = 0; i < s->max_workers; i++)
        cm_workspace_put(s->ctx, u.workspaces[i]);
    if (taken)
        cm_budget_give(cm_context_budget(s->ctx), taken);
out:
    s->npieces = 0;
    cm_bump_reset(s->bump);
    free(u.order);
    free(u.groups);
    free(u.workspaces);
    return r;
}

int cm_read_into(cm_context *ctx, cm_array *array, const cm_dest *dest, uint64_t grant,
                 int max_workers, cm_read_stats *stats, cm_error *err)
{
    cm_error local;
    if (!err)
        cm_error_clear(err = &local);
    if (cm_box_empty(&dest->region))
        return 0;
    int r = 0;
    for (int attempt = 0; attempt < RETRIES; attempt++) {
        cm_sink sink;
        cm_frame frame = {.nmaps = 0};
        r = cm_sink_init(&sink, ctx, dest, err);
        if (r)
            return r;
        sink.grant = grant;
        sink.stats = stats;
        sink.max_workers = max_workers > 0 ? max_workers : cm_context_threads(ctx);
        r = cm_array_plan(array, &dest->region, &frame, &sink, err);
        if (!r)
            r = cm_sink_flush(&sink, err);
        cm_sink_deinit(&sink);
        if (r != CM_ECHANGED)
            break;
        cm_shard_indexes_forget(ctx);
        if (attempt + 1 < RETRIES)
            cm_error_clear(err);
    }
    if (r) {
        cm_error_object(err, array->label);
        cm_error_variable(err, array->path);
    }
    return r;
}

int cm_array_read(cm_context *ctx, cm_array *array, const int64_t *start, const int64_t *count,
                  void *dst, const int64_t *strides, cm_arena *arena, cm_error *err)
{
    int nd = array->ndim;
    for (int i = 0; i < nd; i++)
        if (start[i] < 0 || count[i] < 0 || start[i] > array->shape[i] - count[i]) {
            cm_error_set(err, CM_EINVAL, "%lld cells from %lld of axis %d are not inside 0..%lld",
                         (long long)count[i], (long long)start[i], i, (long long)array->shape[i]);
            return cm_error_variable(err, array->path), CM_EINVAL;
        }
    if (cm_kind_is_vlen(array->dtype.kind) && !arena)
        return cm_error_set(err, CM_EINVAL, "reading strings needs an arena");
    cm_dest dest = {.dtype = array->dtype,
                    .region = cm_box_make(nd, start, count),
                    .base = dst,
                    .arena = arena};
    if (strides)
        memcpy(dest.strides, strides, (size_t)nd * sizeof *strides);
    else if (!cm_strides_c(nd, count, array->dtype.size, dest.strides))
        return cm_error_set(err, CM_EINVAL, "a region of more than 2^63 bytes");
    return cm_read_into(ctx, array, &dest, 0, 0, NULL, err);
}
