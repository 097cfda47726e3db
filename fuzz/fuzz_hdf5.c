/* fuzz/fuzz_hdf5.c: hostile HDF5 files.
 *
 * The input is a file, whole. What opens is walked completely and every variable is read: all of it
 * when it is small, else its first and its last cell. Under libFuzzer checksums are not verified
 * (FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION), or no mutation would come past them.
 */
#include <stdint.h>
#include <stdlib.h>

#include "format/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SMALL = 4096, MAX_VARIABLES = 64 };

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

static void walk(cm_context *ctx, const cm_group *g, int *left)
{
    for (size_t i = 0; i < cm_group_nvariables(g) && *left > 0; i++, --*left) {
        const cm_variable *v = cm_group_variable(g, i);
        if (cm_variable_array(v))
            read_variable(ctx, cm_variable_array(v));
        else if (!cm_variable_problem(v) || !cm_variable_problem(v)->message[0])
            abort();
    }
    for (size_t i = 0; i < cm_group_ngroups(g) && *left > 0; i++)
        walk(ctx, cm_group_at(g, i), left);
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
    int ret = cm_hdf5_open(ctx, store, "f", "f", &ds, &err);
    if ((ret != 0) != (err.message[0] != 0) || (ret == 0) != (ds != NULL))
        abort();
    int left = MAX_VARIABLES;
    if (ds)
        walk(ctx, cm_dataset_root(ds), &left);
out:
    cm_dataset_free(ds);
    cm_store_unref(store);
    return 0;
}
