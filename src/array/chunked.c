/* array/chunked.c: the chunked array: metadata and chunk table -> pieces.
 *
 *     table     chain              pieces
 *     strided   no stages          raw cells at offset + sum(i * stride)
 *     any       no stages, bytes   raw cells inside the chunk's bytes: any box without the rest
 *     any       stages             the encoded chunk
 *     any       sharding           the shard's index first (cached), then the inner chunks' ranges;
 *                                  nested shards recurse with the inner chunk as the shard
 *
 * The grid starts at zero; the last chunks may reach beyond the shape. Where chunks are of
 * different lengths (array/grid.h) each has the chain of its own shape. A chunk at CM_AT_NOWHERE,
 * an absent object, or an empty shard entry reads as the fill value.
 */
#include <stdlib.h>
#include <string.h>

#include "array/chunked.h"
#include "array/shard_index.h"
#include "array/sink.h"
#include "base/bytes.h"
#include "base/memory.h"

typedef struct chunked {
    cm_array base;
    cm_chain *chain;
    cm_grid *irregular; /* or NULL */
    cm_table *table;
    cm_store *store;
    const char *key, *guard_key; /* behind the lengths */
    cm_object_version version, guard;
    int64_t *chunk, *unit; /* ndim lengths, in `lengths`; unit: innermost chunk, what is decoded at
                              once */
    int (*unpack)(cm_array *leaf, const void *stored, void *dst, int64_t n, cm_arena *arena,
                  cm_error *err);
    void *owner;
    void (*owner_release)(void *owner);
    bool strided;
    int64_t lengths[];
} chunked;

/* One chunk or nested shard while planning: its bytes and the box of cells it covers. */
typedef struct node {
    const cm_chain *chain;
    const char *key;
    cm_object_version version;
    uint64_t offset, nbytes; /* nbytes UINT64_MAX: the whole object */
    uint32_t skip_mask;
    bool absent_is_fill;
    const void *inline_data;
    int64_t origin[CM_MAX_DIMS]; /* array coordinates of its first cell */
} node;

typedef struct planner {
    chunked *a;
    const cm_box *region;
    const cm_frame *frame;
    cm_sink *sink;
} planner;

static int plan_node(const planner *pl, const node *nd, cm_error *err);

/* The cells of the node that are wanted: region ∩ node. They exist, by construction. */
static cm_box wanted(const planner *pl, const node *nd)
{
    cm_box box = cm_box_make(pl->a->base.ndim, nd->origin, nd->chain->shape), out;
    if (!cm_box_intersect(&box, pl->region, &out))
        out.n[0] = 0;
    return out;
}

/* Strides in bytes of a chunk's cells as stored, by array axis. */
static void stored_strides(const cm_chain *c, int64_t *strides)
{
    int64_t step = c->stored_size;
    for (int i = c->ndim - 1; i >= 0; i--) {
        int axis = c->transposed ? c->order[i] : i;
        strides[axis] = step;
        step *= c->shape[axis];
    }
}

static int plan_leaf(const planner *pl, const node *nd, cm_error *err)
{
    chunked *a = pl->a;
    const cm_chain *c = nd->chain;
    cm_box box = wanted(pl, nd);
    size_t nbytes = sizeof(int64_t) * (size_t)a->base.ndim;
    if (c->nstages == 0 && c->a2b != CM_A2B_VLEN && !nd->inline_data) {
        cm_raw_piece r = {.store = a->store,
                          .key = nd->key,
                          .version = nd->version,
                          .big_endian = c->big_endian,
                          .absent_is_fill = nd->absent_is_fill,
                          .stored_size = c->stored_size,
                          .unpack = a->unpack};
        uint64_t stored = cm_chain_stored_nbytes(c);
        if (nd->nbytes == UINT64_MAX)
            r.object_nbytes = stored;
        else if (nd->nbytes != stored)
            return cm_error_set(err, CM_EDATA, "chunk at byte %llu has %llu bytes, %llu are needed",
                                (unsigned long long)nd->offset, (unsigned long long)nd->nbytes,
                                (unsigned long long)stored);
        stored_strides(c, r.strides);
        r.offset = nd->offset;
        for (int i = 0; i < a->base.ndim; i++)
            r.offset += (uint64_t)((box.lo[i] - nd->origin[i]) * r.strides[i]);
        memcpy(r.lo, box.lo, nbytes);
        memcpy(r.n, box.n, nbytes);
        return cm_sink_raw(pl->sink, &a->base, pl->frame, &r, err);
    }
    cm_chunk_piece p = {.store = a->store,
                        .key = nd->key,
                        .version = nd->version,
                        .offset = nd->offset,
                        .nbytes = nd->nbytes,
                        .skip_mask = nd->skip_mask,
                        .absent_is_fill = nd->absent_is_fill,
                        .chain = c,
                        .inline_data = nd->inline_data,
                        .unpack = a->unpack};
    for (int i = 0; i < a->base.ndim; i++)
        p.src_lo[i] = box.lo[i] - nd->origin[i];
    memcpy(p.lo, box.lo, nbytes);
    memcpy(p.n, box.n, nbytes);
    return cm_sink_chunk(pl->sink, &a->base, pl->frame, &p, err);
}

static int plan_fill(const planner *pl, const node *nd, cm_error *err)
{
    cm_box box = wanted(pl, nd);
    return cm_sink_fill(pl->sink, &pl->a->base, pl->frame, box.lo, box.n, err);
}

/* Visit the grid cells of `size` (from origin) that the box touches: *i runs over *count from
 * *first. */
static void grid_range(int ndim, const int64_t *origin, const int64_t *size, const cm_box *box,
                       int64_t *first, int64_t *count)
{
    for (int k = 0; k < ndim; k++) {
        first[k] = (box->lo[k] - origin[k]) / size[k];
        count[k] = (box->lo[k] + box->n[k] - 1 - origin[k]) / size[k] - first[k] + 1;
    }
}

static int plan_shard(const planner *pl, const node *nd, cm_error *err)
{
    int ndim = pl->a->base.ndim;
    const cm_chain *inner = nd->chain->inner;
    cm_shard_index *index = NULL;
    if (nd->inline_data || nd->chain->nstages)
        return cm_error_set(err, CM_EUNSUP, "a sharded chunk inside another codec");
    uint64_t before = pl->sink->grant, held = cm_shard_index_cost(nd->chain);
    int r =
        cm_shard_index_get(cm_sink_context(pl->sink), pl->a->store, nd->key, nd->offset, nd->nbytes,
                           &nd->version, nd->chain, nd->absent_is_fill, before > 0, &index, err);
    if (r)
        return cm_error_prefix(err, "chunk %s", nd->key), r;
    if (index->absent) {
        cm_shard_index_release(index);
        return plan_fill(pl, nd, err);
    }
    if (before) /* pieces that are read before the index goes have the rest */
        pl->sink->grant = before > held ? before - held : 1;
    cm_box box = wanted(pl, nd);
    int64_t first[CM_MAX_DIMS], count[CM_MAX_DIMS], i[CM_MAX_DIMS] = {0};
    grid_range(ndim, nd->origin, inner->shape, &box, first, count);
    do {
        node in = {.chain = inner, .key = nd->key, .version = index->version};
        uint64_t at = 0;
        for (int k = 0; k < ndim; k++) {
            int64_t per = nd->chain->shape[k] / inner->shape[k];
            at = at * (uint64_t)per + (uint64_t)(first[k] + i[k]);
            in.origin[k] = nd->origin[k] + (first[k] + i[k]) * inner->shape[k];
        }
        in.offset = index->entries[2 * at];
        in.nbytes = index->entries[2 * at + 1];
        if (in.offset == UINT64_MAX && in.nbytes == UINT64_MAX) {
            r = plan_fill(pl, &in, err);
        } else {
            in.offset += nd->offset;
            r = plan_node(pl, &in, err);
        }
    } while (!r && cm_next(ndim, count, i));
    cm_shard_index_release(index);
    pl->sink->grant = before;
    return r;
}

static int plan_node(const planner *pl, const node *nd, cm_error *err)
{
    return nd->chain->a2b == CM_A2B_SHARDING ? plan_shard(pl, nd, err) : plan_leaf(pl, nd, err);
}

static int plan_strided(const planner *pl, cm_error *err)
{
    chunked *a = pl->a;
    uint64_t offset, limit;
    const int64_t *strides;
    int nd = a->base.ndim;
    cm_table_is_strided(a->table, &offset, &strides, &limit);
    cm_raw_piece r = {.store = a->store,
                      .key = a->key,
                      .version = a->version,
                      .offset = offset,
                      .big_endian = a->chain->big_endian,
                      .stored_size = a->chain->stored_size,
                      .unpack = a->unpack};
    uint64_t last = r.stored_size, step;
    bool fits = true;
    for (int i = 0; i < nd; i++) {
        r.lo[i] = pl->region->lo[i];
        r.n[i] = pl->region->n[i];
        r.strides[i] = strides[i];
        fits = fits && cm_mul_u64((uint64_t)r.lo[i], (uint64_t)strides[i], &step) &&
               cm_add_u64(r.offset, step, &r.offset) &&
               cm_mul_u64((uint64_t)(r.n[i] - 1), (uint64_t)strides[i], &step) &&
               cm_add_u64(last, step, &last);
    }
    uint64_t end = 0;
    if (!fits || !cm_add_u64(r.offset, last, &end) || end > limit)
        return cm_error_set(err, CM_EDATA,
                            "its data reach to byte %llu, but the file has %llu (it is truncated)",
                            (unsigned long long)end, (unsigned long long)limit);
    return cm_sink_raw(pl->sink, &a->base, pl->frame, &r, err);
}

/* The chunks that the region touches. */
static void chunk_range(const chunked *a, const cm_box *region, int64_t *first, int64_t *count)
{
    static const int64_t zero[CM_MAX_DIMS];
    if (!a->irregular) {
        grid_range(a->base.ndim, zero, a->chunk, region, first, count);
        return;
    }
    for (int k = 0; k < a->base.ndim; k++) {
        const cm_grid_axis *axis = &a->irregular->axes[k];
        first[k] = cm_grid_find(axis, region->lo[k]);
        count[k] = cm_grid_find(axis, region->lo[k] + region->n[k] - 1) - first[k] + 1;
    }
}

static int plan(cm_array *base, const cm_box *region, const cm_frame *frame, cm_sink *sink,
                cm_error *err)
{
    chunked *a = (chunked *)base;
    planner pl = {a, region, frame, sink};
    int r = 0;
    if (a->strided) {
        r = plan_strided(&pl, err);
    } else {
        int64_t first[CM_MAX_DIMS], count[CM_MAX_DIMS], i[CM_MAX_DIMS] = {0};
        chunk_range(a, region, first, count);
        cm_location loc;
        do {
            int64_t coord[CM_MAX_DIMS];
            node nd = {.chain = NULL};
            for (int k = 0; k < base->ndim; k++)
                coord[k] = first[k] + i[k];
            nd.chain = cm_chunked_at(base, coord, nd.origin);
            r = a->table->locate(a->table, coord, &loc, err);
            if (r)
                break;
            nd.key = loc.key[0] ? loc.key : a->key;
            nd.offset = loc.offset;
            bool whole = loc.where == CM_AT_OBJECT || loc.where == CM_AT_WHOLE;
            nd.nbytes = whole ? UINT64_MAX : loc.nbytes;
            if (whole)
                nd.offset = 0;
            nd.skip_mask = loc.skip_mask;
            nd.absent_is_fill = loc.where == CM_AT_OBJECT;
            nd.inline_data = loc.where == CM_AT_MEMORY ? loc.inline_data : NULL;
            nd.version = a->version;
            r = loc.where == CM_AT_NOWHERE ? plan_fill(&pl, &nd, err) : plan_node(&pl, &nd, err);
        } while (!r && cm_next(base->ndim, count, i));
    }
    if (r) {
        cm_error_object(err, base->label);
        cm_error_variable(err, base->path);
    }
    return r;
}

static cm_axis_grid grid(const cm_array *base, int axis)
{
    const chunked *a = (const chunked *)base;
    cm_axis_grid g = {.length = base->shape[axis], .size = a->unit[axis]};
    /* Shards of different lengths are all multiples of their chunks, which are alike. */
    if (a->irregular && !a->irregular->axes[axis].size && a->chain->a2b != CM_A2B_SHARDING) {
        g.ncuts = a->irregular->axes[axis].n;
        g.cuts = a->irregular->axes[axis].cuts;
    }
    return g;
}

static const cm_chain *innermost(const cm_chain *c)
{
    while (c->a2b == CM_A2B_SHARDING)
        c = c->inner;
    return c;
}

static cm_read_cost cost(cm_array *base)
{
    const chunked *a = (const chunked *)base;
    const cm_chain *c = innermost(a->chain);
    cm_read_cost r = {0};
    /* Reads the table of a listed one: what it takes of the memory is gone before anybody plans. */
    uint64_t known = a->table->max_nbytes ? a->table->max_nbytes(a->table) : 0;
    if (base->raw) {
        r.max_scratch_nbytes = (1 << 20) + cm_shard_index_cost(a->chain);
        r.in_place = true;
        return r;
    }
    size_t stored = cm_chain_stored_nbytes(c);
    if (c->a2b == CM_A2B_VLEN) /* a guess: larger ones ask for more when they are decoded */
        stored = (8 << 20) + (size_t)cm_shape_nelem(c->ndim, c->shape) * sizeof(cm_string);
    r.max_chunk_nbytes = stored;
    r.max_encoded_nbytes = c->a2b == CM_A2B_VLEN ? 1 << 20 : cm_chain_bound(c, stored);
    if (c == a->chain && known && known < r.max_encoded_nbytes)
        r.max_encoded_nbytes = known;
    r.max_scratch_nbytes =
        cm_chain_decode_scratch(c, stored) + (1 << 20) + cm_shard_index_cost(a->chain);
    r.in_place = c == a->chain && c->a2b == CM_A2B_BYTES && !a->unpack && !cm_chain_reorders(c) &&
                 !a->irregular;
    for (int i = 0; i < base->ndim; i++)
        r.in_place = r.in_place && base->shape[i] % c->shape[i] == 0;
    return r;
}

static void free_chunked(cm_array *base)
{
    chunked *a = (chunked *)base;
    if (a->table)
        a->table->free(a->table);
    cm_chain_unref(a->chain);
    cm_grid_free(a->irregular);
    cm_store_unref(a->store);
    if (a->owner_release)
        a->owner_release(a->owner);
    cm_array_deinit(base);
    free(a);
}

static const cm_array_vt chunked_vt = {
    .kind = "chunked", .plan = plan, .grid = grid, .cost = cost, .free = free_chunked};

int cm_chunked_new(const cm_chunked_spec *spec, cm_array **out, cm_error *err)
{
    bool fits = spec->ndim >= 0 && spec->ndim <= CM_MAX_DIMS; /* cm_array_init refuses others */
    size_t ndim = fits ? (size_t)spec->ndim : 0;
    size_t nkey = spec->key ? strlen(spec->key) + 1 : 0;
    size_t nguard = spec->guard_key ? strlen(spec->guard_key) + 1 : 0;
    chunked *a = cm_calloc(1, sizeof *a + 2 * ndim * sizeof *a->lengths + nkey + nguard, err);
    if (!a) {
        spec->table->free(spec->table);
        cm_chain_unref(spec->chain);
        cm_grid_free(spec->grid);
        return CM_ENOMEM;
    }
    a->chunk = a->lengths;
    a->unit = a->lengths + ndim;
    char *keys = (char *)(a->unit + ndim);
    if (spec->key)
        a->key = memcpy(keys, spec->key, nkey);
    if (spec->guard_key)
        a->guard_key = memcpy(keys + nkey, spec->guard_key, nguard);
    a->chain = spec->chain;
    a->irregular = spec->grid;
    a->table = spec->table;
    if (spec->store)
        a->store = cm_store_ref(spec->store);
    int r = cm_array_init(&a->base, &chunked_vt, spec->dtype, spec->ndim, spec->shape, spec->fill,
                          spec->label, spec->path, err);
    if (r)
        goto fail;
    a->guard = spec->guard;
    for (const cm_chain *c = spec->chain; c->a2b == CM_A2B_SHARDING; c = c->inner)
        if (c->transposed || c->nstages) { /* a parser leaves none transposed */
            r = cm_error_set(err, CM_EUNSUP, "shards that are %s",
                             c->transposed ? "transposed" : "compressed as a whole");
            goto fail;
        }
    a->version = spec->version;
    a->unpack = spec->unpack;
    uint64_t offset, limit;
    const int64_t *strides;
    a->strided = cm_table_is_strided(spec->table, &offset, &strides, &limit);
    const cm_chain *inner = innermost(spec->chain);
    a->base.raw = inner->nstages == 0 && inner->a2b != CM_A2B_VLEN;
    for (int i = 0; i < spec->ndim; i++) {
        if (spec->chunk[i] < 1) {
            r = cm_error_set(err, CM_EDATA, "chunk length %lld along axis %d",
                             (long long)spec->chunk[i], i);
            goto fail;
        }
        int64_t end; /* of the last chunk, which may lie beyond the shape */
        if (!cm_mul_i64(cm_ceil_div(cm_max_i64(spec->shape[i], 1), spec->chunk[i]), spec->chunk[i],
                        &end)) {
            r = cm_error_set(err, CM_EUNSUP, "chunks of %lld reach beyond 2^63 along axis %d",
                             (long long)spec->chunk[i], i);
            goto fail;
        }
        a->chunk[i] = spec->chunk[i];
        a->unit[i] = a->strided ? spec->chunk[i] : inner->shape[i];
    }
    a->owner = spec->owner;
    a->owner_release = spec->owner_release;
    *out = &a->base;
    return 0;
fail:
    free_chunked(&a->base);
    return r;
}

static const chunked *as_chunked(const cm_array *a)
{
    return a->vt == &chunked_vt ? (const chunked *)a : NULL;
}

void *cm_chunked_owner(const cm_array *a)
{
    return as_chunked(a)->owner;
}

bool cm_array_is_chunked(const cm_array *a)
{
    return a->vt == &chunked_vt;
}

const cm_chain *cm_chunked_chain(const cm_array *a)
{
    return as_chunked(a)->chain;
}

const int64_t *cm_chunked_chunk(const cm_array *a)
{
    return as_chunked(a)->chunk;
}

bool cm_chunked_is_irregular(const cm_array *a)
{
    return as_chunked(a)->irregular != NULL;
}

int64_t cm_chunked_count(const cm_array *base, int axis)
{
    const chunked *a = as_chunked(base);
    return a->irregular ? a->irregular->axes[axis].n
                        : cm_ceil_div(base->shape[axis], a->chunk[axis]);
}

const cm_chain *cm_chunked_at(const cm_array *base, const int64_t *coord, int64_t *origin)
{
    const chunked *a = (const chunked *)base;
    for (int k = 0; k < base->ndim; k++)
        origin[k] =
            a->irregular ? cm_grid_begin(&a->irregular->axes[k], coord[k]) : coord[k] * a->chunk[k];
    return a->irregular ? cm_grid_chain(a->irregular, coord) : a->chain;
}

int cm_chunked_locate(const cm_array *a, const int64_t *coord, cm_location *out, cm_error *err)
{
    const chunked *c = as_chunked(a);
    return c->table->locate(c->table, coord, out, err);
}

bool cm_chunked_unpacks(const cm_array *a)
{
    return as_chunked(a)->unpack != NULL;
}

bool cm_chunked_unpacks_by(const cm_array *a,
                           int (*unpack)(cm_array *leaf, const void *stored, void *dst, int64_t n,
                                         cm_arena *arena, cm_error *err))
{
    return as_chunked(a)->unpack == unpack;
}

cm_store *cm_chunked_store(const cm_array *a)
{
    return as_chunked(a)->store;
}

const char *cm_chunked_key(const cm_array *a)
{
    return as_chunked(a)->key;
}

cm_object_version cm_chunked_version(const cm_array *a)
{
    return as_chunked(a)->version;
}

const cm_table *cm_chunked_table(const cm_array *a)
{
    return as_chunked(a)->table;
}

void cm_chunked_want(const cm_array *a)
{
    const cm_table *t = ((const chunked *)a)->table;
    if (t->want)
        t->want(t);
}

const char *cm_chunked_guard(const cm_array *a, cm_object_version *version)
{
    *version = ((const chunked *)a)->guard;
    return ((const chunked *)a)->guard_key;
}

int cm_chunked_check(const cm_array *base, cm_error *err)
{
    const chunked *a = as_chunked(base);
    cm_object_version now;
    if (!a->guard_key)
        return 0;
    int r = a->store->vt->stat(a->store, a->guard_key, &now, err);
    if (r && r != CM_ENOTFOUND)
        return r;
    if (!r && memcmp(&now, &a->guard, sizeof now) == 0)
        return 0;
    cm_error_clear(err);
    cm_error_set(err, CM_ECHANGED, "%s was %s while the array was read", a->guard_key,
                 r ? "removed" : "replaced");
    return CM_ECHANGED;
}
