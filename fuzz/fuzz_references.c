/* fuzz/fuzz_references.c: hostile reference files: kerchunk JSON, and Parquet (input that begins with
 * PAR1).
 *
 * No chunk is looked at: a reference may name any file of this machine.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "format/format.h"
#include "format/refs/parquet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parquet(const uint8_t *data, size_t size)
{
    cm_parquet_column c[] = {{.name = "path"},
                             {.name = "offset", .is_number = true},
                             {.name = "size", .is_number = true},
                             {.name = "raw"}};
    size_t nrows = 0, sum = 0;
    cm_error err = {0};
    cm_parquet_room room = {0};
    if (cm_budget_new((uint64_t)256 << 20, &room.budget, &err))
        abort();
    if (cm_parquet_read(data, size, 1 << 20, &room, c, 4, &nrows, &err)) {
        if (!err.message[0])
            abort();
    } else {
        for (size_t row = 0; row < nrows; row++)
            for (int k = 0; k < 4; k += 3)
                if (c[k].present && c[k].defined[row]) {
                    cm_string v = c[k].values[c[k].codes[row]];
                    sum += v.nbytes ? (size_t)v.data[0] + (size_t)v.data[v.nbytes - 1] : 0;
                }
    }
    for (int k = 0; k < 4; k++)
        cm_parquet_column_deinit(&c[k]);
    cm_budget_unpin(room.budget, room.pinned);
    cm_budget_free(room.budget);
    if (sum == SIZE_MAX)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cm_context_options options;
    cm_context *ctx = NULL;
    cm_store *store = NULL;
    cm_dataset *ds = NULL;
    cm_error err = {0};
    cm_iov iov = {data, size};
    if (size >= 4 && memcmp(data, "PAR1", 4) == 0) {
        parquet(data, size);
        return 0;
    }
    cm_context_options_init(&options);
    options.threads = 1;
    options.max_memory = (uint64_t)64 << 20;
    if (memmem(data, size, "\"gen\"", 5) && size > 2000) /* it may make a hundred million entries */
        return 0;
    if (cm_context_new(&options, &ctx, &err) || cm_store_new_memory(ctx, &store, &err))
        goto out;
    if (store->vt->put(store, "r.json", &iov, 1, 0, &err) == 0 &&
        cm_refs_open_json(ctx, store, "r.json", "memory://r.json", &ds, &err) && !err.message[0])
        abort();
out:
    cm_dataset_free(ds);
    cm_store_unref(store);
    cm_context_free(ctx);
    return 0;
}
