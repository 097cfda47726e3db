/* fuzz/fuzz_netcdf3.c: hostile NetCDF-3 files.
 *
 * The input is a file, whole. What opens is walked completely and every variable is read: all of
 * it when it is small, else its first and its last cell.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "format/format.h"
#include "format/recognise.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SMALL = 4096 };

static void read_region(cm_context *ctx, cm_array *a, const int64_t *start, const int64_t *count,
                        int64_t n)
{
    cm_arena *arena = NULL;
    void *cells = calloc((size_t)n, cm_array_dtype(a).size);
    cm_error err;
    cm_error_clear(&err);
    if (cells && cm_arena_new(ctx, &arena, NULL) == 0) {
        int ret = cm_array_read(ctx, a, start, count, cells, NULL, arena, &err);
        if ((ret != 0) != (err.message[0] != 0))
            abort(); /* an error without a message, or the reverse */
    }
    cm_arena_free(arena);
    free(cells);
}

static void read_variable(cm_context *ctx, cm_array *a)
{
    const int64_t *shape = cm_array_shape(a);
    int64_t start[CM_MAX_DIMS] = {0}, one[CM_MAX_DIMS];
    int64_t n = cm_shape_nelem(cm_array_ndim(a), shape);
    if (n == 0)
        return;
    if (n > 0 && n <= SMALL) {
        read_region(ctx, a, start, shape, n);
        return;
    }
    for (int i = 0; i < cm_array_ndim(a); i++)
        one[i] = 1;
    read_region(ctx, a, start, one, 1);
    for (int i = 0; i < cm_array_ndim(a); i++)
        start[i] = shape[i] - 1;
    read_region(ctx, a, start, one, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static cm_context *ctx; /* one for all inputs: making threads is slow */
    cm_context_options options;
    cm_store *store = NULL;
    cm_dataset *ds = NULL;
    cm_error err;
    cm_error_clear(&err);
    cm_context_options_init(&options);
    options.threads = 1;
    options.max_memory = 64 << 20;
    if (!ctx && cm_context_new(&options, &ctx, NULL))
        return 0;
    cm_iov iov = {data, size};
    if (cm_store_new_memory(ctx, &store, NULL) || store->vt->put(store, "f", &iov, 1, 0, NULL))
        goto out;
    cm_recognised what;
    if (cm_recognise(store, "f", &what, NULL))
        abort();
    int ret = cm_netcdf3_open(ctx, store, "f", "f", &ds, &err);
    if ((ret != 0) != (err.message[0] != 0) || (ret == 0) != (ds != NULL))
        abort();
    for (size_t i = 0; ds && i < cm_group_nvariables(cm_dataset_root(ds)); i++) {
        const cm_variable *v = cm_group_variable(cm_dataset_root(ds), i);
        if (cm_variable_array(v))
            read_variable(ctx, cm_variable_array(v));
        else if (!cm_variable_problem(v))
            abort();
    }
out:
    cm_dataset_free(ds);
    cm_store_unref(store);
    return 0;
}
