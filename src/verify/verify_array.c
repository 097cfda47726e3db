/* verify/verify_array.c: is every chunk of an array there, and does it decode.
 *
 *   array                      what counts as a chunk          where presence is looked up
 *   chunked                    chunk                           table, then the object's size
 *   sharded                    innermost chunk of a shard      shard's index
 *   contiguous (strided)       the whole variable              end of its data against the file
 *   composite                  block (verify/blocks.c)         nowhere: only decoding tells
 *
 * Arrays with changed values are looked at through to the array below, and read as they are, so
 * that a value that cannot be mapped (a string that is not UTF-8) is a bad chunk too.
 *
 * Work is handed out in items of at most SLICE chunks of one shard, in parallel. An item reserves
 * the memory of one chunk before it starts and reads its chunks one after the other; a chunk too
 * large for the budget is read in parts. What it found counts when the item is done: one whose
 * strings did not fit beside the others' is done again when they are (base/fit.c).
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array/chunked.h"
#include "array/compose.h"
#include "array/dest.h"
#include "array/shard_index.h"
#include "base/bytes.h"
#include "base/context_private.h"
#include "base/memory.h"
#include "verify/blocks.h"
#include "verify/verify_array.h"

enum { SLICE = 512 };

typedef struct cm_checker {
    cm_context *ctx;
    cm_array *array; /* what is read */
    cm_array *leaf;  /* the chunked array below it */
    bool decode;
    uint64_t room, grant; /* bytes for cells and scratch of one read */
    int workers;

    /* The grid: shards (chunks) of the array, chunks of a shard. */
    int64_t unit[CM_MAX_DIMS];      /* innermost chunk */
    int64_t shards[CM_MAX_DIMS];    /* along each axis */
    int64_t per_shard[CM_MAX_DIMS]; /* chunks along each axis of a shard */
    int64_t nper_shard, nslices;    /* chunks in a shard, items in a shard */

    pthread_mutex_t lock; /* guards out */
    cm_array_check *out;
} checker;

/* Whether this failure says something about the chunk, and not about this run of the program. */
static bool is_verdict(int code)
{
    return code != CM_ENOMEM && code != CM_ELIMIT && code != CM_ECANCEL && code != CM_ECHANGED;
}

/* ---- keeping what was found ------------------------------------------------------------------ */

static void drop(cm_found_chunk *c)
{
    free(c->key);
    free(c->message);
}

static int keep(cm_found_chunks *list, int64_t order, const char *key, const char *message,
                cm_error *err)
{
    int at = list->n;
    while (at > 0 && list->first[at - 1].order > order)
        at--;
    if (at == CM_VERIFY_FIRST)
        return 0;
    cm_found_chunk c = {.order = order, .key = cm_strdup(key, err)};
    if (c.key && message)
        c.message = cm_strdup(message, err);
    if (!c.key || (message && !c.message)) {
        drop(&c);
        return CM_ENOMEM;
    }
    if (list->n == CM_VERIFY_FIRST)
        drop(&list->first[--list->n]);
    memmove(&list->first[at + 1], &list->first[at], (size_t)(list->n - at) * sizeof c);
    list->first[at] = c;
    list->n++;
    return 0;
}

typedef enum cm_chunk_state { PRESENT, MISSING, BAD } state;

/* message: of a bad one. */
static int count(cm_array_check *out, state s, int64_t order, const char *key, const char *message,
                 cm_error *err)
{
    out->chunks++;
    *(s == PRESENT ? &out->present : s == MISSING ? &out->missing : &out->bad) += 1;
    if (s == PRESENT)
        return 0;
    return keep(s == MISSING ? &out->missing_first : &out->bad_first, order, key,
                s == BAD ? message : NULL, err);
}

static int keep_all(cm_found_chunks *list, const cm_found_chunks *more, cm_error *err)
{
    int ret = 0;
    for (int i = 0; i < more->n && ret == 0; i++)
        ret = keep(list, more->first[i].order, more->first[i].key, more->first[i].message, err);
    return ret;
}

static int merge(checker *c, const cm_array_check *found, cm_error *err)
{
    pthread_mutex_lock(&c->lock);
    c->out->chunks += found->chunks;
    c->out->present += found->present;
    c->out->missing += found->missing;
    c->out->bad += found->bad;
    int ret = keep_all(&c->out->missing_first, &found->missing_first, err);
    if (ret == 0)
        ret = keep_all(&c->out->bad_first, &found->bad_first, err);
    pthread_mutex_unlock(&c->lock);
    return ret;
}

/* ---- reading --------------------------------------------------------------------------------- */

typedef struct cm_worker_space {
    cm_block buf;
    cm_arena *arena;
    bool alone;
    int64_t progress;
    cm_array_check found;
} space;

static int read_box(checker *c, const cm_box *box, space *s, cm_error *err);

static int read_halves(checker *c, const cm_box *box, space *s, cm_error *err)
{
    cm_box part = *box;
    int axis = 0;
    while (box->n[axis] == 1)
        axis++;
    int64_t half = box->n[axis] / 2;
    part.n[axis] = half;
    int ret = read_box(c, &part, s, err);
    part.lo[axis] += half;
    part.n[axis] = box->n[axis] - half;
    return ret ? ret : read_box(c, &part, s, err);
}

/* Read the box and forget it; in parts when it is larger than the room, or its strings than what is
 * free. The caller holds room and grant. */
static int read_box(checker *c, const cm_box *box, space *s, cm_error *err)
{
    cm_array *a = c->array;
    int64_t n = cm_box_nelem(box);
    if (n > 1 && (uint64_t)n > c->room / a->dtype.size)
        return read_halves(c, box, s, err);
    cm_dest dest = {.dtype = a->dtype, .region = *box, .arena = s->arena};
    if (!cm_strides_c(box->ndim, box->n, a->dtype.size, dest.strides))
        return cm_error_set(err, CM_EINVAL, "a block of more than 2^63 bytes");
    int ret = cm_block_ensure(cm_context_blocks(c->ctx), &s->buf, (size_t)n * a->dtype.size, err);
    if (ret)
        return ret;
    dest.base = s->buf.data;
    ret = cm_read_into(c->ctx, a, &dest, c->grant, 1, NULL, err);
    cm_arena_reset(s->arena);
    if (ret == CM_ELIMIT && s->alone && cm_kind_is_vlen(a->dtype.kind) && n > 1) {
        cm_error_clear(err);
        return read_halves(c, box, s, err);
    }
    s->progress += n * a->dtype.size;
    cm_context_progress_add(c->ctx, n * a->dtype.size);
    return ret;
}

/* ---- one chunk ------------------------------------------------------------------------------- */

static bool is_empty(const uint64_t *entry)
{
    return entry[0] == UINT64_MAX && entry[1] == UINT64_MAX;
}

/* Is the chunk at `at` (cells from the shard's origin) in the shard of chain at [base, nbytes)?
 * Follows nested shards. */
static int find_in_shard(checker *c, const char *key, const cm_chain *chain, uint64_t base,
                         uint64_t nbytes, bool absent_is_fill, const int64_t *at, bool *present,
                         cm_error *err)
{
    cm_object_version version = {0};
    int64_t rel[CM_MAX_DIMS];
    memcpy(rel, at, sizeof rel);
    *present = true;
    while (chain->a2b == CM_A2B_SHARDING) {
        cm_shard_index *index = NULL;
        uint64_t i = 0;
        int ret = cm_shard_index_get(c->ctx, cm_chunked_store(c->leaf), key, base, nbytes, &version,
                                     chain, absent_is_fill, c->decode, &index, err);
        if (ret)
            return ret;
        *present = !index->absent;
        for (int k = 0; k < chain->ndim; k++) {
            int64_t inner = chain->inner->shape[k];
            i = i * (uint64_t)(chain->shape[k] / inner) + (uint64_t)(rel[k] / inner);
            rel[k] %= inner;
        }
        if (*present) {
            *present = !is_empty(index->entries + 2 * i);
            base += *present ? index->entries[2 * i] : 0;
            nbytes = index->entries[2 * i + 1];
            version = index->version;
        }
        cm_shard_index_release(index);
        if (!*present)
            return 0;
        chain = chain->inner;
        absent_is_fill = false;
    }
    return 0;
}

/* Is the object, or the range of it, there? */
static int find_object(checker *c, const cm_location *loc, const char *key, bool *present,
                       cm_error *err)
{
    cm_store *store = cm_chunked_store(c->leaf);
    cm_object_version version;
    *present = loc->where != CM_AT_NOWHERE;
    if (loc->where == CM_AT_NOWHERE || loc->where == CM_AT_MEMORY)
        return 0;
    int ret = store->vt->stat(store, key, &version, err);
    if (ret == CM_ENOTFOUND && loc->where == CM_AT_OBJECT) {
        *present = false;
        return cm_store_check_absent(store, key, err);
    }
    uint64_t end;
    if (ret == 0 && loc->where == CM_AT_RANGE &&
        (!cm_add_u64(loc->offset, loc->nbytes, &end) || end > version.size))
        ret = cm_error_set(err, CM_EDATA, "bytes %llu + %llu lie beyond the end of the file (%llu)",
                           (unsigned long long)loc->offset, (unsigned long long)loc->nbytes,
                           (unsigned long long)version.size);
    return ret;
}

static void name_chunk(const checker *c, const cm_location *loc, const char *key, const int64_t *lo,
                       char *out, size_t size)
{
    size_t n = 0;
    if (loc->where == CM_AT_OBJECT && c->nper_shard == 1) {
        snprintf(out, size, "%s", key);
        return;
    }
    n = (size_t)snprintf(out, size, "%s%schunk (", key, *key ? ": " : "");
    for (int k = 0; k < c->leaf->ndim && n < size; k++)
        n += (size_t)snprintf(out + n, size - n, "%s%lld", k ? ", " : "",
                              (long long)(lo[k] / c->unit[k]));
    if (n < size)
        snprintf(out + n, size - n, ")");
}

/* lo: first cell of the chunk, in the array. */
static int check_chunk(checker *c, const cm_location *loc, const int64_t *coord, const int64_t *lo,
                       int64_t order, space *s, cm_error *err)
{
    int64_t origin[CM_MAX_DIMS];
    const cm_chain *chain = cm_chunked_at(c->leaf, coord, origin);
    bool sharded = chain->a2b == CM_A2B_SHARDING;
    const char *key = loc->key[0] ? loc->key : cm_chunked_key(c->leaf);
    char name[1400];
    bool present = true;
    cm_box box = {.ndim = c->leaf->ndim};
    int64_t at[CM_MAX_DIMS] = {0};
    key = key ? key : "";
    for (int k = 0; k < box.ndim; k++) {
        box.lo[k] = lo[k];
        box.n[k] = cm_min_i64(sharded ? c->unit[k] : chain->shape[k], c->leaf->shape[k] - lo[k]);
        at[k] = lo[k] - origin[k];
    }
    name_chunk(c, loc, key, lo, name, sizeof name);
    int ret = 0;
    if (chain->a2b == CM_A2B_SHARDING && loc->where == CM_AT_OBJECT)
        ret = find_in_shard(c, key, chain, 0, UINT64_MAX, true, at, &present, err);
    else
        ret = find_object(c, loc, key, &present, err);
    if (ret == 0 && present && chain->a2b == CM_A2B_SHARDING && loc->where == CM_AT_RANGE)
        ret = find_in_shard(c, key, chain, loc->offset, loc->nbytes, false, at, &present, err);
    if (ret == 0 && present && c->decode)
        ret = read_box(c, &box, s, err);
    if (ret && !is_verdict(ret))
        return ret;
    return count(&s->found,
                 ret       ? BAD
                 : present ? PRESENT
                           : MISSING,
                 order, name, err->message, err);
}

/* ---- items ----------------------------------------------------------------------------------- */

static int check_slice(checker *c, int64_t shard, int64_t first, int64_t end, space *s,
                       cm_error *err)
{
    int ndim = c->leaf->ndim;
    int64_t coord[CM_MAX_DIMS] = {0}, origin[CM_MAX_DIMS] = {0}, rest = shard;
    cm_location loc;
    for (int k = ndim - 1; k >= 0; k--) {
        coord[k] = rest % c->shards[k];
        rest /= c->shards[k];
    }
    const cm_chain *chain = cm_chunked_at(c->leaf, coord, origin);
    int located = cm_chunked_locate(c->leaf, coord, &loc, err), ret = 0;
    if (located && !is_verdict(located))
        return located;
    for (int64_t i = first; i < end && ret == 0; i++) {
        int64_t lo[CM_MAX_DIMS] = {0}, j = i;
        bool inside = true;
        for (int k = ndim - 1; k >= 0; k--) {
            lo[k] = origin[k] + j % c->per_shard[k] * c->unit[k];
            inside &= lo[k] < c->leaf->shape[k] && lo[k] - origin[k] < chain->shape[k];
            j /= c->per_shard[k];
        }
        if (!inside) /* the shard reaches beyond the array */
            continue;
        int64_t order = shard * c->nper_shard + i;
        if (located) {
            char name[1400];
            loc = (cm_location){.where = CM_AT_NOWHERE};
            name_chunk(c, &loc, "", lo, name, sizeof name);
            ret = count(&s->found, BAD, order, name, err->message, err);
        } else {
            cm_error_clear(err);
            ret = check_chunk(c, &loc, coord, lo, order, s, err);
        }
    }
    return ret;
}

static uint64_t reservation(const checker *c)
{
    return c->decode ? c->room + c->grant : 0;
}

static int with_space(checker *c, int (*work)(checker *c, int64_t i, space *s, cm_error *err),
                      int64_t i, int worker, cm_error *err)
{
    space s = {.alone = worker == CM_ALONE};
    uint64_t reserved = reservation(c);
    int ret = 0;
    if (reserved)
        ret = cm_budget_take(cm_context_budget(c->ctx), c->ctx, reserved, "checking a chunk", err);
    if (ret)
        return ret;
    ret = cm_arena_new(c->ctx, &s.arena, err);
    if (ret == 0)
        ret = work(c, i, &s, err);
    if (ret == 0)
        ret = merge(c, &s.found, err);
    else
        cm_context_progress_add(c->ctx, -s.progress);
    cm_array_check_deinit(&s.found);
    cm_block_put(cm_context_blocks(c->ctx), &s.buf);
    cm_arena_free(s.arena);
    if (reserved)
        cm_budget_give(cm_context_budget(c->ctx), reserved);
    return ret;
}

static int slice_work(checker *c, int64_t i, space *s, cm_error *err)
{
    int64_t slice = i % c->nslices, first = slice * SLICE;
    return check_slice(c, i / c->nslices, first, cm_min_i64(first + SLICE, c->nper_shard), s, err);
}

static int slice_item(void *arg, int64_t i, int worker, cm_error *err)
{
    return with_space(arg, slice_work, i, worker, err);
}

/* ---- arrays ---------------------------------------------------------------------------------- */

/* Memory for one read at a time of at most `cells` cells. */
static void plan_memory(checker *c, uint64_t cells)
{
    cm_read_cost cost = cm_array_cost(c->array); /* may read a table, which makes the limit less */
    uint64_t limit = cm_budget_limit(cm_context_budget(c->ctx)), cell = c->array->dtype.size;
    uint64_t most = c->array->raw ? 8 << 20 : limit / 4;
    most = most > limit / 8 && c->array->raw ? limit / 8 : most;
    c->room = cells < most / cell ? cells * cell : most;
    c->room = c->room < 4096 ? 4096 : c->room;
    c->grant = cost.max_chunk_nbytes + cost.max_encoded_nbytes + cost.max_scratch_nbytes +
               (limit / 16 < (8 << 20) ? limit / 16 : 8 << 20);
    uint64_t fit = limit / 2 / (c->room + c->grant);
    int threads = cm_context_threads(c->ctx);
    c->workers = fit < 1 ? 1 : fit < (uint64_t)threads ? (int)fit : threads;
}

static int check_grid(checker *c, cm_error *err)
{
    int ndim = c->leaf->ndim;
    int64_t nshards = 1, items;
    uint64_t cells = 1;
    const int64_t *chunk = cm_chunked_chunk(c->leaf);
    c->nper_shard = 1;
    for (int k = 0; k < ndim; k++) {
        if (c->leaf->shape[k] == 0)
            return 0;
        c->unit[k] = cm_array_grid(c->leaf, k).size;
        c->shards[k] = cm_chunked_count(c->leaf, k);
        c->per_shard[k] = chunk[k] / c->unit[k];
        if (!cm_mul_i64(nshards, c->shards[k], &nshards) ||
            !cm_mul_i64(c->nper_shard, c->per_shard[k], &c->nper_shard) ||
            !cm_mul_u64(cells, (uint64_t)c->unit[k], &cells))
            return cm_error_set(err, CM_EUNSUP, "more than 2^63 chunks");
    }
    c->nslices = cm_ceil_div(c->nper_shard, SLICE);
    if (!cm_mul_i64(nshards, c->nslices, &items) ||
        !cm_mul_i64(nshards, c->nper_shard, &(int64_t){0}))
        return cm_error_set(err, CM_EUNSUP, "more than 2^63 chunks");
    plan_memory(c, cells);
    return cm_pool_for_fit(cm_context_pool(c->ctx), c->ctx, items,
                           c->decode ? c->workers : cm_context_threads(c->ctx), slice_item, c, err);
}

/* Block by block: contiguous and composite arrays. */
static int block_item(void *arg, int64_t i, int worker, cm_error *err);

typedef struct cm_block_check {
    checker c;
    cm_blocks blocks;
} block_check;

static int block_work(checker *c, int64_t i, space *s, cm_error *err)
{
    cm_box box = cm_blocks_box(&((block_check *)c)->blocks, i);
    return read_box(c, &box, s, err);
}

static int block_item(void *arg, int64_t i, int worker, cm_error *err)
{
    return with_space(arg, block_work, i, worker, err);
}

static int read_blocks(checker *c, cm_error *err)
{
    block_check b = {.c = *c};
    cm_blocks_init(&b.blocks, c->ctx, &c->array, 1);
    b.c.room = b.blocks.nbytes < 4096 ? 4096 : b.blocks.nbytes;
    b.c.grant = b.blocks.grant;
    return cm_pool_for_fit(cm_context_pool(c->ctx), c->ctx, b.blocks.n, b.blocks.workers,
                           block_item, &b, err);
}

/* Does the last cell of a strided array lie in the file as it is now? */
static int check_strided(checker *c, cm_error *err)
{
    const cm_array *a = c->leaf;
    uint64_t offset, limit, step;
    const int64_t *strides;
    cm_object_version version;
    cm_table_is_strided(cm_chunked_table(a), &offset, &strides, &limit);
    cm_store *store = cm_chunked_store(a);
    int ret = store->vt->stat(store, cm_chunked_key(a), &version, err);
    if (ret)
        return ret;
    bool fits = cm_add_u64(offset, cm_chunked_chain(a)->stored_size, &offset);
    for (int k = 0; k < a->ndim && fits; k++)
        fits = cm_mul_u64((uint64_t)(a->shape[k] - 1), (uint64_t)strides[k], &step) &&
               cm_add_u64(offset, step, &offset);
    if (fits && offset <= version.size)
        return 0;
    return cm_error_set(err, CM_EDATA,
                        "its data reach to byte %llu, but the file has %llu (it is truncated)",
                        (unsigned long long)offset, (unsigned long long)version.size);
}

/* An array that counts as one chunk. */
static int check_whole(checker *c, bool strided, cm_error *err)
{
    int64_t cells = cm_shape_nelem(c->array->ndim, c->array->shape);
    if (cells == 0)
        return 0;
    int ret = strided ? check_strided(c, err) : 0;
    if (ret == 0 && c->decode)
        ret = read_blocks(c, err);
    if (ret && !is_verdict(ret))
        return ret;
    const char *key = strided ? cm_chunked_key(c->leaf) : "";
    return count(c->out, ret ? BAD : PRESENT, 0, key, err->message, err);
}

int cm_array_check_chunks(cm_context *ctx, cm_array *array, cm_verify_level level,
                          cm_array_check *out, cm_error *err)
{
    cm_error local;
    err = err ? err : &local;
    cm_error_clear(err);
    *out = (cm_array_check){.chunks = 0};
    cm_array *leaf = array;
    for (cm_array *below; (below = cm_array_map_source(leaf));)
        leaf = below;
    checker c = {.ctx = ctx, .array = array, .leaf = leaf, .out = out};
    c.decode = level == CM_VERIFY_DECODE;
    pthread_mutex_init(&c.lock, NULL);
    int64_t nbytes = cm_shape_nelem(array->ndim, array->shape);
    nbytes = c.decode && nbytes > 0 && cm_mul_i64(nbytes, array->dtype.size, &nbytes) ? nbytes : 0;
    cm_context_progress_begin(ctx, "verify", array->path ? array->path : "", nbytes);
    bool chunked = cm_array_is_chunked(leaf);
    bool strided = chunked && cm_table_is_strided(cm_chunked_table(leaf), &(uint64_t){0},
                                                  &(const int64_t *){NULL}, &(uint64_t){0});
    int ret = chunked && !strided ? check_grid(&c, err) : check_whole(&c, strided, err);
    if (ret == 0)
        cm_error_clear(err);
    pthread_mutex_destroy(&c.lock);
    return ret;
}

void cm_array_check_deinit(cm_array_check *check)
{
    for (int i = 0; i < check->missing_first.n; i++)
        drop(&check->missing_first.first[i]);
    for (int i = 0; i < check->bad_first.n; i++)
        drop(&check->bad_first.first[i]);
    *check = (cm_array_check){.chunks = 0};
}
