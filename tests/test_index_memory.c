/* tests/test_index_memory.c: chunk tables and shard indexes count as memory like cells do: what
 * does not fit is refused by name, and nothing is left of them when they are gone.
 */
#include <stdlib.h>
#include <unistd.h>

#include "array/chunked.h"
#include "base/bytes.h"
#include "base/context_private.h"
#include "chunkmill.h"
#include "format/format.h"
#include "scratch.h"
#include "store/store.h"
#include "tap.h"

static cm_context *new_context(uint64_t memory, int threads)
{
    cm_context_options o;
    cm_context *ctx = NULL;
    cm_error err = {0};
    cm_context_options_init(&o);
    o.max_memory = memory;
    o.threads = threads;
    TAP_CALL(cm_context_new(&o, &ctx, &err), &err);
    return ctx;
}

/* What is pinned makes the limit smaller, for those who wait too. */
static void pinned(void)
{
    cm_budget *b = NULL;
    cm_error err = {0};
    TAP_CALL(cm_budget_new(1000, &b, &err), &err);
    TAP_OK(cm_budget_pin(b, 600));
    TAP_EQ(cm_budget_limit(b), 400);
    TAP_EQ(cm_budget_pinned(b), 600);
    TAP_EQ(cm_budget_peak(b), 600);
    TAP_OK(!cm_budget_pin(b, 401));
    TAP_EQ(cm_budget_take(b, NULL, 401, "too much", &err), CM_ELIMIT);
    TAP_CALL(cm_budget_take(b, NULL, 300, "enough", &err), &err);
    TAP_OK(!cm_budget_pin(b, 101));
    TAP_OK(cm_budget_pin(b, 100));
    TAP_OK(!cm_budget_try(b, 1));
    TAP_EQ(cm_budget_peak(b), 1000);
    cm_budget_unpin(b, 100);
    TAP_OK(cm_budget_try(b, 100));
    cm_budget_give(b, 400);
    cm_budget_unpin(b, 600);
    TAP_EQ(cm_budget_limit(b), 1000);
    TAP_EQ(cm_budget_taken(b), 0);
    cm_budget_free(b);
}

static int fill_table(cm_context *ctx, int64_t grid, int64_t step, cm_table **out, cm_error *err)
{
    cm_listed *l = NULL;
    *out = NULL;
    int r = cm_listed_new(ctx, 1, &grid, &l, err);
    for (int64_t i = 0; i < grid && !r; i += step)
        r = cm_listed_add(l, &i, (uint64_t)i * 10, 10, 0, err);
    if (!r)
        return cm_listed_freeze(l, out, err);
    cm_listed_free(l);
    return r;
}

static void tables(void)
{
    cm_context *ctx = new_context(16000000, 1);
    cm_error err = {0};
    cm_table *t;
    uint64_t limit = cm_budget_limit(cm_context_budget(ctx));
    TAP_CALL(fill_table(ctx, 100000, 1, &t, &err), &err);
    TAP_EQ(cm_context_memory_now(ctx), 1600000); /* dense */
    TAP_EQ(cm_budget_limit(cm_context_budget(ctx)), limit - 1600000);
    t->free(t);
    TAP_CALL(fill_table(ctx, 1000000, 100, &t, &err), &err);
    TAP_EQ(cm_context_memory_now(ctx), 240000); /* sparse */
    t->free(t);
    TAP_EQ(fill_table(ctx, 2000000, 1, &t, &err), CM_ELIMIT);
    TAP_OK(strstr(err.message, "table of its chunks"));
    TAP_EQ(cm_context_memory_now(ctx), 0);
    TAP_OK(cm_context_memory_peak(ctx) <= 16000000);
    TAP_EQ(cm_budget_limit(cm_context_budget(ctx)), limit);
    cm_context_free(ctx);
}

/* Random tables against a list of what was added; at most 24 bytes a chunk, 20 when nearly all of
 * the grid is there. */
static void random_tables(void)
{
    enum { MOST = 300 };
    cm_context *ctx = new_context(16000000, 1);
    uint64_t seed = tap_seed();
    for (int round = 0; round < 400; round++) {
        int64_t grid[2] = {1 + (int64_t)(tap_random(&seed) % 20),
                           1 + (int64_t)(tap_random(&seed) % 15)};
        int64_t n = grid[0] * grid[1], order[MOST];
        uint64_t percent = tap_random(&seed) % 101, count = 0, longs = 0;
        cm_location want[MOST], got;
        cm_listed *l = NULL;
        cm_table *t = NULL;
        cm_error err = {0};
        TAP_CALL(cm_listed_new(ctx, 2, grid, &l, &err), &err);
        for (int64_t i = 0; i < n; i++) {
            int64_t other = (int64_t)(tap_random(&seed) % (uint64_t)(i + 1));
            order[i] = order[other];
            order[other] = i;
        }
        memset(want, 0, sizeof want);
        for (int64_t k = 0; k < n; k++) {
            int64_t i = round % 2 ? order[k] : k, coord[2] = {i / grid[1], i % grid[1]};
            cm_location *w = &want[i];
            if (tap_random(&seed) % 100 >= percent)
                continue;
            w->where = CM_AT_RANGE;
            w->offset = tap_random(&seed) >> 2;
            w->nbytes = tap_random(&seed) >> (tap_random(&seed) % 20 ? 40 : 30);
            w->nbytes += tap_random(&seed) % 50 ? 0 : (uint64_t)UINT32_MAX - w->nbytes % 2;
            w->skip_mask = (uint32_t)tap_random(&seed);
            count++;
            longs += w->nbytes >= UINT32_MAX;
            TAP_CALL(cm_listed_add(l, coord, w->offset, w->nbytes, w->skip_mask, &err), &err);
        }
        TAP_CALL(cm_listed_freeze(l, &t, &err), &err);
        uint64_t now = (uint64_t)cm_context_memory_now(ctx) - 16 * longs;
        TAP_OK(now <= 24 * count && (10 * count < 8 * (uint64_t)n || now <= 20 * count));
        for (int64_t i = 0; i < n; i++) {
            int64_t coord[2] = {i / grid[1], i % grid[1]};
            got.skip_mask = 0;
            TAP_CALL(t->locate(t, coord, &got, &err), &err);
            TAP_OK(got.where == want[i].where &&
                   (got.where == CM_AT_NOWHERE ||
                    (got.offset == want[i].offset && got.nbytes == want[i].nbytes &&
                     got.skip_mask == want[i].skip_mask)));
        }
        t->free(t);
    }
    TAP_EQ(cm_context_memory_now(ctx), 0);
    cm_context_free(ctx);
}

enum { INNER = 1 << 20 }; /* inner chunks of one cell: an index of 16 MiB */

static cm_store *sharded_store(cm_context *ctx)
{
    cm_error err = {0};
    cm_store *store = NULL;
    const char *group = "{\"zarr_format\": 3, \"node_type\": \"group\", \"attributes\": {}}";
    const char *array =
        "{\"zarr_format\": 3, \"node_type\": \"array\", \"shape\": [1048576], \"data_type\": "
        "\"uint8\", \"chunk_grid\": {\"name\": \"regular\", \"configuration\": {\"chunk_shape\": "
        "[1048576]}}, \"chunk_key_encoding\": {\"name\": \"default\"}, \"fill_value\": 7, "
        "\"codecs\": [{\"name\": \"sharding_indexed\", \"configuration\": {\"chunk_shape\": [1], "
        "\"codecs\": [{\"name\": \"bytes\"}], \"index_codecs\": [{\"name\": \"bytes\", "
        "\"configuration\": {\"endian\": \"little\"}}]}}], \"attributes\": {}}";
    size_t nbytes = 1 + (size_t)INNER * 16;
    uint8_t *shard = malloc(nbytes);
    memset(shard, 0xff, nbytes);
    shard[0] = 42; /* the only inner chunk is the last one */
    cm_store_le64(shard + 1 + (size_t)(INNER - 1) * 16, 0);
    cm_store_le64(shard + 1 + (size_t)(INNER - 1) * 16 + 8, 1);
    TAP_CALL(cm_store_new_memory(ctx, &store, &err), &err);
    TAP_CALL(store->vt->put(store, "zarr.json", &(cm_iov){group, strlen(group)}, 1, 0, &err), &err);
    TAP_CALL(store->vt->put(store, "v/zarr.json", &(cm_iov){array, strlen(array)}, 1, 0, &err),
             &err);
    TAP_CALL(store->vt->put(store, "v/c/0", &(cm_iov){shard, nbytes}, 1, 0, &err), &err);
    free(shard);
    return store;
}

static int read_end(cm_context *ctx, cm_store *store, cm_error *err)
{
    cm_dataset *ds = NULL;
    uint8_t got[3] = {0};
    int r = cm_zarr_open(ctx, store, "", "memory://s", &ds, err);
    if (r)
        return r;
    cm_array *a = cm_variable_array(cm_group_find_variable(cm_dataset_root(ds), "v"));
    r = cm_array_read(ctx, a, (int64_t[]){INNER - 3}, (int64_t[]){3}, got, NULL, NULL, err);
    TAP_OK(r || (got[0] == 7 && got[1] == 7 && got[2] == 42));
    cm_dataset_free(ds);
    return r;
}

static int plan_save(cm_context *ctx, cm_store *store, cm_error *err)
{
    cm_dataset *ds = NULL;
    cm_save *save = NULL;
    cm_save_options o;
    char path[300], root[256];
    if (!scratch_make(root, sizeof root))
        return CM_EIO;
    snprintf(path, sizeof path, "%s/out", root);
    cm_save_options_init(&o);
    const char *chunks = "v:1048576";
    o.chunks = &chunks;
    o.nchunks = 1;
    int r = cm_zarr_open(ctx, store, "", "memory://s", &ds, err);
    if (!r)
        r = cm_save_plan(ctx, ds, NULL, 0, path, &o, &save, err);
    if (!r)
        r = cm_save_run(save, 0, cm_save_ntasks(save), err);
    cm_save_free(save);
    cm_dataset_free(ds);
    rmdir(root);
    return r;
}

static void shard_indexes(void)
{
    cm_context *small = new_context(16000000, 2), *large = new_context(128000000, 2);
    cm_store *store = sharded_store(large);
    cm_error err = {0};
    char line[2048];
    TAP_EQ(read_end(small, store, &err), CM_ELIMIT);
    cm_error_line(&err, line, sizeof line);
    if (!TAP_OK(strstr(line, "/v") && strstr(line, "v/c/0") && strstr(line, "index")))
        printf("# %s\n", line);
    TAP_EQ(cm_context_memory_now(small), 0);
    TAP_EQ(plan_save(small, store, &err), CM_ELIMIT);
    cm_error_line(&err, line, sizeof line);
    if (!TAP_OK(strstr(line, "/v") && strstr(line, "--max-mem")))
        printf("# %s\n", line);
    cm_error_clear(&err);
    TAP_CALL(read_end(large, store, &err), &err);
    TAP_OK(cm_context_memory_peak(large) >= (uint64_t)INNER * 32);
    TAP_EQ(cm_context_memory_now(large), 0); /* too large to be kept */
    TAP_CALL(plan_save(large, store, &err), &err);
    TAP_OK(cm_context_memory_peak(large) <= 128000000);
    cm_store_unref(store);
    cm_context_free(small);
    cm_context_free(large);
}

int main(void)
{
    TAP_RUN(pinned);
    TAP_RUN(tables);
    TAP_RUN(random_tables);
    TAP_RUN(shard_indexes);
    return tap_done();
}
