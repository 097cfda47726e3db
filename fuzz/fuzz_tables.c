/* fuzz/fuzz_tables.c: hostile scan tables: a file of them (input that begins with their magic), or one
 * entry as it is when it is unpacked.
 *
 * The file that an entry is of lies in memory and is as long as it may be, so that places in it are
 * inside; arrays that would be opened from it fail there. Entries of a file of tables are unpacked, and
 * only small bytes at hand are read: they may name any file of this machine.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "format/tables/tables_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILE_NBYTES = 16384, MOST_CELLS = 4096 };

static void look(cm_context *ctx, const cm_group *g, bool read)
{
    static const int64_t zeros[CM_MAX_DIMS];
    for (size_t i = 0; i < g->nvariables; i++) {
        const cm_variable *v = g->variables[i];
        cm_array *a = v->array;
        cm_chunk_info info;
        cm_error err = {0};
        if (!a == !v->problem)
            abort();
        int64_t n = a ? cm_shape_nelem(a->ndim, a->shape) : 0;
        if (!a || n < 1 || !read)
            continue;
        if (cm_variable_chunk_info(ctx, v, zeros, &info, &err) && !err.message[0])
            abort();
        if (n <= MOST_CELLS && a->dtype.size <= 64 && !cm_kind_is_vlen(a->dtype.kind)) {
            void *cells = malloc((size_t)n * a->dtype.size);
            if (cells && cm_array_read(ctx, a, zeros, a->shape, cells, NULL, NULL, &err) &&
                !err.message[0])
                abort();
            free(cells);
        }
    }
    for (size_t i = 0; i < g->ngroups; i++)
        look(ctx, g->groups[i], read);
}

static void entry(cm_context *ctx, cm_store *store, const uint8_t *data, size_t size)
{
    static const uint8_t zeros[FILE_NBYTES];
    cm_tables_file file = {.store = store, .key = "f"};
    cm_iov iov = {zeros, sizeof zeros};
    cm_dataset *ds = NULL;
    cm_error err = {0};
    if (store->vt->put(store, "f", &iov, 1, 0, &err) ||
        store->vt->stat(store, "f", &file.version, &err))
        return;
    if (cm_tables_unpack(ctx, data, size, &file, "memory://f", &ds, &err)) {
        if (!err.message[0] || ds)
            abort();
        return;
    }
    look(ctx, ds->root, true);
    cm_dataset_free(ds);
}

static void whole(cm_context *ctx, cm_store *store, const uint8_t *data, size_t size)
{
    cm_tables *t = NULL;
    cm_iov iov = {data, size};
    cm_error err = {0};
    if (store->vt->put(store, "t", &iov, 1, 0, &err))
        return;
    if (cm_tables_open(ctx, store, "t", "memory://t", &t, &err)) {
        if (!err.message[0] || t)
            abort();
        return;
    }
    for (size_t i = 0; i < cm_tables_count(t); i++) {
        cm_dataset *ds = NULL;
        cm_error_clear(&err);
        if (cm_tables_dataset(t, i, NULL, true, &ds, &err) && !err.message[0])
            abort();
        if (ds)
            look(ctx, ds->root, false);
        cm_dataset_free(ds);
    }
    cm_tables_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cm_context_options options;
    cm_context *ctx = NULL;
    cm_store *store = NULL;
    cm_error err = {0};
    cm_context_options_init(&options);
    options.threads = 1;
    options.max_memory = (uint64_t)64 << 20;
    if (cm_context_new(&options, &ctx, &err) == 0 && cm_store_new_memory(ctx, &store, &err) == 0) {
        if (size >= 8 && memcmp(data, CM_TABLES_MAGIC, 8) == 0)
            whole(ctx, store, data, size);
        else
            entry(ctx, store, data, size);
    }
    cm_store_unref(store);
    cm_context_free(ctx);
    return 0;
}
