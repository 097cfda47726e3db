/* tests/test_chunk_info.c: cm_variable_chunk_info over every kind of chunk table. */
#include "array/compose.h"
#include "dataset/dataset_private.h"
#include "tap.h"

static cm_error err;
static cm_context *ctx;
static cm_store *store;

/* A variable of 2-byte cells, shape (5, 7) in chunks of (2, 3), with this table. Takes table. */
static cm_variable *variable(cm_dataset *ds, const char *name, const int64_t *chunk,
                             cm_table *table, const char *key)
{
    static const int64_t shape[2] = {5, 7};
    cm_variable *v = NULL;
    cm_chain *chain = NULL;
    cm_array *array = NULL;
    cm_dtype dtype = cm_dtype_of(CM_INT16, 0);
    TAP_CALL(cm_chain_new(dtype, 2, chunk, &chain, &err), &err);
    cm_chunked_spec spec = {.dtype = dtype,
                            .ndim = 2,
                            .shape = shape,
                            .chunk = chunk,
                            .chain = chain,
                            .table = table,
                            .store = store,
                            .key = key,
                            .label = "file",
                            .path = "/v"};
    TAP_CALL(cm_chunked_new(&spec, &array, &err), &err);
    TAP_CALL(cm_group_add_variable(cm_dataset_root(ds), name, &v, &err), &err);
    cm_variable_set_array(v, array);
    return v;
}

static const int64_t chunk23[2] = {2, 3};

/* The grid is 3 x 3: everything outside is refused, also where 64-bit arithmetic could wrap. */
static void outside(const cm_variable *v)
{
    static const int64_t bad[][2] = {{3, 0},         {0, 3},         {-1, 0}, {0, -1},
                                     {INT64_MAX, 0}, {0, INT64_MIN}, {5, 7}};
    cm_chunk_info info;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        TAP_EQ(cm_variable_chunk_info(ctx, v, bad[i], &info, &err), CM_EINVAL);
    TAP_STR(err.variable, cm_variable_path(v));
}

static void objects(void)
{
    cm_dataset *ds = NULL;
    cm_table *table = NULL;
    cm_chunk_info info;
    TAP_CALL(cm_dataset_new(ctx, "memory://", "Zarr v3", &ds, &err), &err);
    TAP_CALL(cm_table_new_named("v", 2, '/', true, &table, &err), &err);
    cm_variable *v = variable(ds, "v", chunk23, table, NULL);
    int64_t there[2] = {2, 1}, absent[2] = {0, 0};
    char key[1024];
    TAP_CALL(cm_named_key(table, there, key, &err), &err);
    cm_iov iov = {"abcde", 5};
    TAP_CALL(store->vt->put(store, key, &iov, 1, 0, &err), &err);
    TAP_CALL(cm_variable_chunk_info(ctx, v, there, &info, &err), &err);
    TAP_OK(info.present && info.offset == 0 && info.nbytes == 5);
    TAP_STR(info.key, key);
    TAP_CALL(cm_variable_chunk_info(ctx, v, absent, &info, &err), &err);
    TAP_OK(!info.present && info.nbytes == 0 && strstr(info.key, "0/0"));
    outside(v);
    cm_dataset_free(ds);
}

static void listed(void)
{
    cm_dataset *ds = NULL;
    cm_table *table = NULL;
    cm_listed *l = NULL;
    cm_chunk_info info;
    int64_t grid[2] = {3, 3}, a[2] = {0, 2}, b[2] = {2, 2}, absent[2] = {1, 1};
    TAP_CALL(cm_dataset_new(ctx, "a.h5", "HDF5", &ds, &err), &err);
    TAP_CALL(cm_listed_new(ctx, 2, grid, &l, &err), &err);
    TAP_CALL(cm_listed_add(l, a, 4096, 77, 0, &err), &err);
    TAP_CALL(cm_listed_add(l, b, (uint64_t)1 << 40, 11, 2, &err), &err);
    TAP_CALL(cm_listed_freeze(l, &table, &err), &err);
    cm_variable *v = variable(ds, "v", chunk23, table, "a.h5");
    TAP_CALL(cm_variable_chunk_info(ctx, v, a, &info, &err), &err);
    TAP_OK(info.present && info.offset == 4096 && info.nbytes == 77 && info.filter_mask == 0);
    TAP_STR(info.key, "a.h5");
    TAP_CALL(cm_variable_chunk_info(ctx, v, b, &info, &err), &err);
    TAP_OK(info.present && info.offset == (uint64_t)1 << 40 && info.nbytes == 11);
    TAP_EQ(info.filter_mask, 2);
    TAP_CALL(cm_variable_chunk_info(ctx, v, absent, &info, &err), &err);
    TAP_OK(!info.present && info.nbytes == 0 && info.offset == 0);
    outside(v);
    cm_dataset_free(ds);
}

static int negate(const cm_map *map, const void *src, void *dst, int64_t n, cm_arena *arena,
                  cm_error *why)
{
    (void)map, (void)arena, (void)why;
    for (int64_t i = 0; i < n; i++)
        ((int16_t *)dst)[i] = (int16_t) - ((const int16_t *)src)[i];
    return 0;
}

/* One chunk at coordinate zero; through a change of values too. */
static void contiguous(void)
{
    static const int64_t whole[2] = {5, 7}, strides[2] = {14, 2}, zero[2] = {0, 0};
    cm_dataset *ds = NULL;
    cm_table *table = NULL;
    cm_chunk_info info;
    TAP_CALL(cm_dataset_new(ctx, "a.nc", "NetCDF-3", &ds, &err), &err);
    TAP_CALL(cm_table_new_strided(2, 1000, strides, 5000, &table, &err), &err);
    cm_variable *v = variable(ds, "v", whole, table, "a.nc");
    for (int mapped = 0; mapped < 2; mapped++) {
        TAP_CALL(cm_variable_chunk_info(ctx, v, zero, &info, &err), &err);
        TAP_OK(info.present && info.offset == 1000 && info.nbytes == 5 * 7 * 2);
        TAP_STR(info.key, "a.nc");
        int64_t one[2] = {0, 1};
        TAP_EQ(cm_variable_chunk_info(ctx, v, one, &info, &err), CM_EINVAL);
        outside(v);
        cm_array *other = NULL;
        TAP_CALL(cm_array_map(v->array, v->array->dtype, negate, NULL, NULL, NULL, &other, &err),
                 &err);
        TAP_OK(cm_array_map_source(other) == v->array && !cm_array_map_source(v->array) == !mapped);
        cm_variable_set_array(v, other);
    }
    cm_dataset_free(ds);
}

static void in_memory(void)
{
    static const int64_t whole[2] = {5, 7}, zero[2] = {0, 0};
    uint8_t cells[70] = {1};
    cm_dataset *ds = NULL;
    cm_table *table = NULL;
    cm_chunk_info info;
    TAP_CALL(cm_dataset_new(ctx, "a.h5", "HDF5", &ds, &err), &err);
    TAP_CALL(cm_table_new_memory(cells, sizeof cells, 0, &table, &err), &err);
    cm_variable *v = variable(ds, "v", whole, table, NULL);
    TAP_CALL(cm_variable_chunk_info(ctx, v, zero, &info, &err), &err);
    TAP_OK(info.present && info.nbytes == 70);
    cm_dataset_free(ds);
}

int main(void)
{
    if (cm_context_new(NULL, &ctx, &err) != 0 || cm_store_new_memory(ctx, &store, &err) != 0) {
        printf("Bail out! %s\n", err.message);
        return 1;
    }
    TAP_RUN(objects);
    TAP_RUN(listed);
    TAP_RUN(contiguous);
    TAP_RUN(in_memory);
    cm_store_unref(store);
    cm_context_free(ctx);
    return tap_done();
}
