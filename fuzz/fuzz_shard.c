/* fuzz/fuzz_shard.c: shards: the index, its checksum, and the inner chunks it points to.
 *
 * Byte 0 chooses the array: bit 0 index at the start, bit 1 zstd inner chunks, bit 2 nested shards,
 * bit 3 no checksum on the index. The rest is the shard. The array is read whole, cell by cell and
 * in part; whatever the bytes are, that ends with cells or with an error.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array/chunked.h"
#include "array/shard_index.h"
#include "chunkmill.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *codecs(uint8_t flags, char *buf, size_t size)
{
    const char *inner =
        flags & 2 ? "{\"name\":\"bytes\",\"configuration\":{\"endian\":\"little\"}},"
                    "{\"name\":\"zstd\",\"configuration\":{\"level\":1,\"checksum\":false}}"
                  : "{\"name\":\"bytes\",\"configuration\":{\"endian\":\"little\"}}";
    const char *index = flags & 8
                            ? "{\"name\":\"bytes\",\"configuration\":{\"endian\":\"little\"}}"
                            : "{\"name\":\"bytes\",\"configuration\":{\"endian\":\"little\"}},"
                              "{\"name\":\"crc32c\"}";
    const char *where = flags & 1 ? "start" : "end";
    char nested[1024];
    snprintf(
        nested, sizeof nested,
        "{\"name\":\"sharding_indexed\",\"configuration\":{\"chunk_shape\":[2,2],\"codecs\":[%s],"
        "\"index_codecs\":[%s],\"index_location\":\"%s\"}}",
        inner, index, where);
    snprintf(
        buf, size,
        "[{\"name\":\"sharding_indexed\",\"configuration\":{\"chunk_shape\":[4,4],\"codecs\":[%s],"
        "\"index_codecs\":[%s],\"index_location\":\"%s\"}}]",
        flags & 4 ? nested : inner, index, where);
    return buf;
}

static cm_array *make_array(cm_store *store, uint8_t flags)
{
    static const int64_t shape[] = {7, 8}, chunk[] = {8, 8};
    char text[4096];
    cm_json_doc *doc = NULL;
    cm_chain *chain = NULL;
    cm_table *table = NULL;
    cm_array *a = NULL;
    codecs(flags, text, sizeof text);
    if (cm_json_parse(text, strlen(text), 0, &doc, NULL) ||
        cm_chain_parse_v3(cm_json_doc_root(doc), cm_dtype_of(CM_UINT16, 0), 2, chunk, &chain,
                          NULL) ||
        cm_table_new_named("", 2, '/', true, &table, NULL))
        abort();
    cm_chunked_spec spec = {.dtype = cm_dtype_of(CM_UINT16, 0),
                            .ndim = 2,
                            .shape = shape,
                            .chunk = chunk,
                            .chain = chain,
                            .table = table,
                            .store = store,
                            .label = "fuzz",
                            .path = "/v"};
    if (cm_chunked_new(&spec, &a, NULL))
        abort();
    cm_json_doc_free(doc);
    return a;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static cm_context
        *ctx; /* one for all inputs: making threads for each would be most of the work */
    cm_store *store = NULL;
    if (!ctx) {
        cm_context_options o;
        cm_context_options_init(&o);
        o.threads = 1;
        o.max_memory = 64000000;
        if (cm_context_new(&o, &ctx, NULL))
            abort();
    }
    if (size < 1 || size > 1 << 16 || cm_store_new_memory(ctx, &store, NULL))
        return 0;
    cm_iov iov = {data + 1, size - 1};
    if (store->vt->put(store, "c/0/0", &iov, 1, 0, NULL))
        abort();
    cm_array *a = make_array(store, data[0]);
    uint16_t whole[7 * 8], cell;
    int64_t zero[2] = {0, 0}, n[2] = {7, 8}, one[2] = {1, 1};
    cm_error err;
    cm_error_clear(&err);
    int r = cm_array_read(ctx, a, zero, n, whole, NULL, NULL, &err);
    if ((r != 0) != (err.message[0] != 0))
        abort(); /* a code and a message come together */
    for (int64_t i = 0; i < 56; i += 5) {
        int64_t x[2] = {i / 8, i % 8};
        /* What the whole read gave, a part gives too. */
        if (cm_array_read(ctx, a, x, one, &cell, NULL, NULL, NULL) == 0 && r == 0 &&
            cell != whole[i])
            abort();
    }
    cm_shard_indexes_forget(ctx);
    cm_array_unref(a);
    cm_store_unref(store);
    return 0;
}
