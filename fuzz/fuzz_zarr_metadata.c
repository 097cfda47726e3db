/* fuzz/fuzz_zarr_metadata.c: hostile Zarr metadata.
 *
 * The input becomes the documents of a store in memory. Its first line says under which keys, the
 * rest is split at lines that hold only "---":
 *
 *     zarr.json a/zarr.json
 *     {"zarr_format": 3, ...}
 *     ---
 *     {"zarr_format": 3, ...}
 *
 * What opens is walked completely, small arrays are read, and all of it is written again by the
 * metadata writer and opened once more: a store that opened must survive that.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "format/format.h"
#include "format/zarr/write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Puts the documents; keys that a store refuses are left out. */
static void fill_store(cm_store *store, char *text)
{
    char *end = strchr(text, '\n'), *rest = end ? end + 1 : text + strlen(text), *save = NULL;
    if (end)
        *end = 0;
    for (char *key = strtok_r(text, " ", &save); key; key = strtok_r(NULL, " ", &save)) {
        char *split = strstr(rest, "\n---\n");
        size_t n = split ? (size_t)(split - rest) : strlen(rest);
        if (cm_store_check_key(key, NULL) == 0) {
            cm_iov iov = {rest, n};
            if (store->vt->put(store, key, &iov, 1, 0, NULL))
                return;
        }
        rest = split ? split + 5 : rest + n;
    }
}

static void read_small(cm_context *ctx, cm_array *a)
{
    const int64_t *shape = cm_array_shape(a);
    int64_t start[CM_MAX_DIMS] = {0}, count[CM_MAX_DIMS], n = 1;
    for (int i = 0; i < cm_array_ndim(a); i++) {
        count[i] = cm_min_i64(shape[i], 2);
        n *= count[i];
        if (n > 4096)
            return;
    }
    cm_arena *arena = NULL;
    void *cells = calloc((size_t)n + 1, cm_array_dtype(a).size);
    if (n > 0 && cells && cm_arena_new(ctx, &arena, NULL) == 0 &&
        cm_array_read(ctx, a, start, count, cells, NULL, arena, NULL) == 0) {
        /* only that it comes back */
    }
    cm_arena_free(arena);
    free(cells);
}

static int copy_group(cm_context *ctx, cm_zarr_writer *w, const cm_group *g)
{
    cm_error err;
    int r = cm_zarr_writer_add_group(w, cm_group_path(g), g->attributes.items, g->attributes.count,
                                     &err);
    for (size_t i = 0; i < cm_group_nvariables(g); i++) {
        const cm_variable *v = cm_group_variable(g, i);
        cm_array *a = cm_variable_array(v);
        if (!a) {
            if (!cm_variable_problem(v) || !cm_variable_problem(v)->message[0])
                abort();
            continue;
        }
        read_small(ctx, a);
        cm_zarr_array_spec spec = {.path = v->path,
                                   .dtype = cm_array_dtype(a),
                                   .ndim = v->ndim,
                                   .shape = v->shape,
                                   .chain =
                                       cm_chain_ref((cm_chain *)(uintptr_t)cm_chunked_chain(a)),
                                   .fill = cm_array_fill(a),
                                   .dimensions = (const char *const *)v->dimensions,
                                   .attributes = v->attributes.items,
                                   .nattributes = v->attributes.count};
        int added = cm_zarr_writer_add_array(w, &spec, NULL, &err);
        cm_chain_unref(spec.chain);
        if (added && added != CM_EUNSUP && added != CM_EINVAL)
            abort();
    }
    for (size_t i = 0; i < cm_group_ngroups(g) && r == 0; i++)
        r = copy_group(ctx, w, cm_group_at(g, i));
    return r;
}

static void copy(cm_context *ctx, const cm_dataset *ds, int format)
{
    cm_store *store = NULL;
    cm_zarr_writer *w = NULL;
    cm_dataset *again = NULL;
    cm_error err;
    cm_error_clear(&err);
    if (cm_store_new_memory(ctx, &store, &err) == 0 &&
        cm_zarr_writer_new(store, "", format, &w, &err) == 0 &&
        copy_group(ctx, w, cm_dataset_root(ds)) == 0) {
        if (cm_zarr_writer_finish(w, &err) == 0 &&
            cm_zarr_open(ctx, store, "", "memory://again", &again, &err))
            abort();
    }
    cm_dataset_free(again);
    cm_zarr_writer_free(w);
    cm_store_unref(store);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cm_context_options options;
    cm_context *ctx = NULL;
    cm_store *store = NULL;
    cm_dataset *ds = NULL;
    cm_error err;
    cm_error_clear(&err);
    cm_context_options_init(&options);
    options.threads = 1;
    options.max_memory = (uint64_t)64 << 20;
    char *text = malloc(size + 1);
    if (!text || cm_context_new(&options, &ctx, &err) || cm_store_new_memory(ctx, &store, &err))
        goto out;
    memcpy(text, data, size);
    text[size] = 0;
    fill_store(store, text);
    if (cm_zarr_open(ctx, store, "", "memory://fuzz", &ds, &err) == 0) {
        copy(ctx, ds, 3);
        copy(ctx, ds, 2);
    } else if (!err.message[0]) {
        abort();
    }
out:
    cm_dataset_free(ds);
    cm_store_unref(store);
    cm_context_free(ctx);
    free(text);
    return 0;
}
