/* save/unit.c: from cells in memory to objects in the store.
 *
 * A chunk that is its own object is encoded into a worker's scratch and put. The chunks of a shard
 * are encoded one by one and laid back over their own cells, which are not needed any more (tiles
 * of sharded variables have room for the encoder's bound); so a shard in the making takes hardly
 * more memory than its cells. It is then put as one list of pieces with its index before or after.
 *
 * Inner chunks beyond the array's shape are not written: their index entries say "never written".
 */
#include <stdlib.h>
#include <string.h>

#include "array/shard_index.h"
#include "array/workspace.h"
#include "base/bytes.h"
#include "base/memory.h"
#include "nd/copy.h"
#include "save/save_private.h"

typedef struct work {
    cm_units *units;
    cm_workspace **workspaces;
    cm_encoded *chunks; /* sharded: one per tile */
} work;

static size_t chunk_nelem(const cm_part *p)
{
    return (size_t)cm_shape_nelem(p->ndim, p->layout.chunk);
}

size_t cm_unit_tile_nbytes(const cm_part *p)
{
    size_t cells = chunk_nelem(p) * p->dtype.size;
    size_t bound = cm_kind_is_vlen(p->dtype.kind) || !p->layout.sharded
                       ? 0
                       : cm_chain_bound(p->chunk_chain, cells);
    return ((bound > cells ? bound : cells) + 63) & ~(size_t)63;
}

uint64_t cm_unit_worker_nbytes(const cm_part *p)
{
    const cm_chain *c = p->chunk_chain;
    uint64_t stored = (uint64_t)chunk_nelem(p) * p->dtype.size, n = 64 << 10;
    if (c->nstages)
        n += cm_chain_bound(c, stored) + cm_chain_encode_scratch(c, stored);
    if (p->layout.sharded) /* its index, twice on the way, and the list of what is put */
        n += 2 * cm_shard_index_cost(p->layout.chain);
    return cm_chain_reorders(c) || cm_kind_is_vlen(p->dtype.kind) ? n + stored : n;
}

int64_t cm_unit_nchunks(const cm_part *p, int axis)
{
    const cm_grid_axis *list = cm_part_list(p, axis);
    return list ? list->n : cm_ceil_div(p->shape[axis], p->layout.chunk[axis]);
}

void cm_unit_pad(const cm_part *part, const int64_t *coord, void *tile)
{
    cm_part room;
    const cm_part *p = cm_part_of_chunk(part, coord, &room);
    int64_t dense[CM_MAX_DIMS];
    cm_strides_c(p->ndim, p->layout.chunk, p->dtype.size, dense);
    cm_nd_fill(p->ndim, p->layout.chunk, p->dtype.size, tile, dense, cm_zarr_array_fill(p->target));
}

static bool only_fill(const cm_part *p, const void *tile)
{
    const void *fill = cm_zarr_array_fill(p->target);
    size_t n = chunk_nelem(p);
    if (!cm_kind_is_vlen(p->dtype.kind))
        return cm_nd_all_equal(tile, n, p->dtype.size, fill);
    const cm_string *s = tile, *f = fill;
    for (size_t i = 0; i < n; i++)
        if (s[i].nbytes != f->nbytes || (f->nbytes && memcmp(s[i].data, f->data, f->nbytes) != 0))
            return false;
    return true;
}

/* Strings as vlen-utf8, in ws->decoded. *extra: bytes of budget that this and encoding them take
 * beyond what the task reserved for a worker; cm_unit_release gives them back. */
static int serialize_strings(const cm_part *p, cm_context *ctx, cm_workspace *ws, const void *tile,
                             size_t *nbytes, uint64_t *extra, cm_error *err)
{
    const cm_chain *c = p->chunk_chain;
    size_t n = cm_vlen_encoded_nbytes(tile, chunk_nelem(p));
    if (n > SIZE_MAX / 4)
        return cm_error_set(err, CM_EUNSUP, "a string of more than 4 GiB");
    uint64_t need = n;
    if (c->nstages)
        need += cm_chain_bound(c, n) + cm_chain_encode_scratch(c, n);
    if (need > p->worker[1]) {
        if (!cm_budget_try(cm_context_budget(ctx), need - p->worker[1])) {
            cm_error_set(err, CM_ELIMIT, "no memory left to encode %zu bytes of strings", n);
            cm_error_hint(err, "use smaller --chunks or give more with --max-mem");
            return CM_ELIMIT;
        }
        *extra = need - p->worker[1];
    }
    int r = cm_block_ensure(cm_context_blocks(ctx), &ws->decoded, n, err);
    if (!r)
        cm_vlen_encode(tile, chunk_nelem(p), ws->decoded.data);
    *nbytes = n;
    return r;
}

void cm_unit_release(cm_context *ctx, cm_workspace *ws, uint64_t extra)
{
    if (!extra)
        return;
    cm_block_put(cm_context_blocks(ctx), &ws->decoded);
    cm_block_put(cm_context_blocks(ctx), &ws->encoded);
    cm_block_put(cm_context_blocks(ctx), &ws->middle);
    cm_budget_give(cm_context_budget(ctx), extra);
}

int cm_unit_encode(const cm_part *p, cm_context *ctx, cm_workspace *ws, const void *tile,
                   cm_encoded *out, uint64_t *extra, cm_error *err)
{
    cm_block_cache *blocks = cm_context_blocks(ctx);
    const cm_chain *c = p->chunk_chain;
    const void *src = tile;
    size_t n = chunk_nelem(p) * p->dtype.size;
    int r = 0;
    if (cm_kind_is_vlen(p->dtype.kind)) {
        r = serialize_strings(p, ctx, ws, tile, &n, extra, err);
        src = ws->decoded.data;
    } else if (cm_chain_reorders(c)) {
        r = cm_block_ensure(blocks, &ws->decoded, n, err);
        if (r)
            return r;
        int64_t from[CM_MAX_DIMS], to[CM_MAX_DIMS], step = p->dtype.size;
        cm_strides_c(p->ndim, p->layout.chunk, p->dtype.size, from);
        for (int i = p->ndim - 1; i >= 0; i--) {
            int a = c->transposed ? c->order[i] : i;
            to[a] = step;
            step *= p->layout.chunk[a];
        }
        bool swap = c->big_endian != (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
        uint32_t word = cm_dtype_word(p->dtype);
        cm_nd_copy(p->ndim, p->layout.chunk, p->dtype.size, ws->decoded.data, to, tile, from,
                   swap && word > 1 ? word : 0);
        src = ws->decoded.data;
    }
    *out = (cm_encoded){src, n};
    if (r || !c->nstages)
        return r;
    size_t room = cm_chain_bound(c, n);
    r = cm_block_ensure(blocks, &ws->encoded, room, err);
    if (!r)
        r = cm_block_ensure(blocks, &ws->middle, cm_chain_middle_nbytes(c, n), err);
    if (!r)
        r = cm_chain_encode(c, ws->codecs, src, n, ws->encoded.data, room, &out->nbytes,
                            ws->middle.data, err);
    out->data = ws->encoded.data;
    return r;
}

int cm_unit_name_error(const cm_save *save, const cm_part *p, const int64_t *coord, cm_error *err)
{
    char key[1024];
    if (cm_zarr_array_key(p->target, coord, key, NULL) == 0)
        cm_error_prefix(err, "writing %s", key);
    if (err->code == CM_ENOSPC)
        cm_error_hint(err, "free some space and run it again; nothing was left behind");
    cm_error_object(err, cm_target_uri(save->target));
    return cm_error_variable(err, p->variable->path);
}

void cm_unit_count(cm_tally *tally, uint64_t nbytes)
{
    __atomic_add_fetch(&tally->bytes, (int64_t)nbytes, __ATOMIC_RELAXED);
    __atomic_add_fetch(&tally->objects, 1, __ATOMIC_RELAXED);
}

static int put(work *w, const int64_t *coord, const cm_iov *iov, int n, cm_error *err)
{
    char key[1024];
    cm_store *store = cm_target_store(w->units->save->target);
    int r = cm_zarr_array_key(w->units->part->target, coord, key, err);
    if (!r)
        r = store->vt->put(store, key, iov, n, 0, err);
    size_t total = 0;
    for (int i = 0; i < n; i++)
        total += iov[i].nbytes;
    if (!r)
        cm_unit_count(w->units->tally, total);
    return r;
}

bool cm_unit_skips_fill(const cm_save *save, const cm_part *p)
{
    return save->options.skip_empty && cm_zarr_array_may_skip_fill(p->target);
}

static void coordinate(int ndim, int64_t index, const int64_t *lo, const int64_t *n, int64_t *coord)
{
    for (int i = ndim - 1; i >= 0; i--) {
        coord[i] = lo[i] + index % n[i];
        index /= n[i];
    }
}

/* One chunk: its own object, or kept for its shard. */
static int do_chunk(void *arg, int64_t index, int worker, cm_error *err)
{
    work *w = arg;
    cm_units *u = w->units;
    cm_part *p = u->part;
    void *tile = u->tile[index];
    cm_encoded e = {0};
    uint64_t extra = 0;
    int64_t coord[CM_MAX_DIMS];
    coordinate(p->ndim, index, u->chunk_lo, u->chunk_n, coord);
    int r = 0;
    cm_part room;
    const cm_part *own = cm_part_of_chunk(p, coord, &room);
    if (!cm_unit_skips_fill(u->save, p) || !only_fill(own, tile))
        r = cm_unit_encode(own, u->save->ctx, w->workspaces[worker], tile, &e, &extra, err);
    if (!r && e.data && !p->layout.sharded) {
        cm_iov iov = {e.data, e.nbytes};
        r = put(w, coord, &iov, 1, err);
    } else if (!r && e.data) {
        void *to = tile;
        if (cm_kind_is_vlen(p->dtype.kind) && !(to = cm_arena_alloc(u->arena, e.nbytes, err)))
            r = err->code;
        if (!r && e.data != to)
            memcpy(to, e.data, e.nbytes);
        w->chunks[index] = (cm_encoded){to, e.nbytes};
    }
    cm_unit_release(u->save->ctx, w->workspaces[worker], extra);
    cm_tally_progress(u->save, u->tally, (int64_t)(chunk_nelem(own) * p->dtype.size));
    return r ? cm_unit_name_error(u->save, p, coord, err) : 0;
}

/* The index of a shard, encoded, in a new block of memory. */
static int encode_index(work *w, cm_workspace *ws, uint64_t *entries, size_t nchunks, void **out,
                        size_t *nbytes, cm_error *err)
{
    const cm_chain *ic = w->units->part->layout.chain->index;
    size_t n = nchunks * 16, room = cm_chain_bound(ic, n);
    void *middle = cm_calloc(1, cm_chain_middle_nbytes(ic, n), err);
    void *to = cm_calloc(1, room, err);
    int r = middle && to ? 0 : CM_ENOMEM;
    if (!r && ic->big_endian != (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__))
        cm_swap_bytes(entries, n, 8);
    if (!r && ic->nstages) {
        r = cm_chain_encode(ic, ws->codecs, entries, n, to, room, nbytes, middle, err);
    } else if (!r) {
        memcpy(to, entries, n);
        *nbytes = n;
    }
    free(middle);
    if (r) {
        free(to);
        to = NULL;
    }
    *out = to;
    return r;
}

/* Put the shard at `coord` together from its encoded chunks. */
static int put_shard(work *w, cm_workspace *ws, const int64_t *coord, cm_error *err)
{
    cm_units *u = w->units;
    cm_part *p = u->part;
    const cm_chain *chain = p->layout.chain;
    int64_t per[CM_MAX_DIMS], i[CM_MAX_DIMS] = {0};
    int64_t nchunks = 1;
    for (int a = 0; a < p->ndim; a++)
        nchunks *= per[a] = p->layout.unit[a] / p->layout.chunk[a];
    uint64_t *entries = cm_calloc((size_t)nchunks, 16, err);
    cm_iov *iov = cm_calloc((size_t)nchunks + 1, sizeof *iov, err);
    void *index = NULL;
    size_t index_nbytes = cm_chain_fixed_nbytes(chain->index);
    int n = 0, r = entries && iov ? 0 : CM_ENOMEM;
    if (r)
        goto out;
    uint64_t at = chain->index_at_start ? index_nbytes : 0;
    int64_t k = 0;
    iov[0] = (cm_iov){0};
    n = chain->index_at_start;
    do {
        int64_t tile = 0;
        bool inside = true;
        for (int a = 0; a < p->ndim; a++) {
            int64_t c = coord[a] * per[a] + i[a] - u->chunk_lo[a];
            inside = inside && c < u->chunk_n[a];
            tile = tile * u->chunk_n[a] + c;
        }
        const cm_encoded *e = inside ? &w->chunks[tile] : NULL;
        entries[2 * k] = entries[2 * k + 1] = UINT64_MAX;
        if (e && e->data) {
            entries[2 * k] = at;
            entries[2 * k + 1] = e->nbytes;
            iov[n++] = (cm_iov){e->data, e->nbytes};
            at += e->nbytes;
        }
        k++;
    } while (cm_next(p->ndim, per, i));
    if (n == chain->index_at_start && cm_unit_skips_fill(u->save, p))
        goto out;
    r = encode_index(w, ws, entries, (size_t)nchunks, &index, &index_nbytes, err);
    if (r)
        goto out;
    iov[chain->index_at_start ? 0 : n] = (cm_iov){index, index_nbytes};
    r = put(w, coord, iov, chain->index_at_start ? n : n + 1, err);
out:
    free(index);
    free(entries);
    free(iov);
    return r;
}

static int do_shard(void *arg, int64_t number, int worker, cm_error *err)
{
    work *w = arg;
    int64_t coord[CM_MAX_DIMS];
    coordinate(w->units->part->ndim, number, w->units->lo, w->units->n, coord);
    int r = put_shard(w, w->workspaces[worker], coord, err);
    return r ? cm_unit_name_error(w->units->save, w->units->part, coord, err) : 0;
}

int cm_units_write(cm_units *u, int workers, cm_error *err)
{
    cm_context *ctx = u->save->ctx;
    cm_pool *pool = cm_context_pool(ctx);
    work w = {.units = u};
    int64_t ntiles = cm_shape_nelem(u->part->ndim, u->chunk_n);
    int r = CM_ENOMEM;
    w.workspaces = cm_calloc((size_t)workers, sizeof *w.workspaces, err);
    if (u->part->layout.sharded)
        w.chunks = cm_calloc((size_t)ntiles, sizeof *w.chunks, err);
    if (!w.workspaces || (u->part->layout.sharded && !w.chunks))
        goto out;
    r = 0;
    for (int i = 0; i < workers && !r; i++)
        r = cm_workspace_get(ctx, &w.workspaces[i], err);
    if (!r)
        r = cm_pool_for(pool, ctx, ntiles, workers, do_chunk, &w, err);
    if (!r && u->part->layout.sharded)
        r = cm_pool_for(pool, ctx, cm_shape_nelem(u->part->ndim, u->n), workers, do_shard, &w, err);
out:
    for (int i = 0; i < workers && w.workspaces; i++)
        cm_workspace_put(ctx, w.workspaces[i]);
    free(w.workspaces);
    free(w.chunks);
    return r;
}
