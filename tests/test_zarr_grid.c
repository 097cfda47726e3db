/* tests/test_zarr_grid.c: rectilinear chunk grids: random ones against a function of the position,
 * whole and in regions, sharded and not, joined; and what is no such grid.
 */
#include "array/array_private.h"
#include "array/chunked.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "codec/codec.h"
#include "format/format.h"
#include "tap.h"

static cm_context *ctx;

enum { MAX_CHUNKS = 12, MAX_CELLS = 20000 };

typedef struct axis {
    int64_t length, n, edges[MAX_CHUNKS]; /* n chunks, also those beyond the end */
} axis;

typedef struct layout {
    int ndim;
    axis axes[3];
    int64_t inner[3]; /* of a shard's chunks; 0: not sharded */
    bool big;
} layout;

static uint32_t value_at(const int64_t *x)
{
    return (uint32_t)(x[0] * 1000003 + x[1] * 1009 + x[2] + 17);
}

/* A chunk as it is stored, of n cells from lo, its own shape also beyond the array. */
static void put_cells(const layout *l, const int64_t *lo, const int64_t *n, cm_buffer *out)
{
    int64_t i[3] = {0};
    do {
        int64_t x[3] = {0};
        uint8_t b[4];
        for (int k = 0; k < l->ndim; k++)
            x[k] = lo[k] + i[k];
        cm_store_le32(b, l->big ? __builtin_bswap32(value_at(x)) : value_at(x));
        cm_buffer_append(out, b, 4, NULL);
    } while (cm_next(l->ndim, n, i));
}

static void put_shard(const layout *l, const int64_t *lo, const int64_t *n, cm_buffer *out)
{
    int64_t count[3], i[3] = {0}, at[3] = {0};
    cm_buffer index;
    cm_buffer_init(&index, 1 << 20);
    for (int k = 0; k < l->ndim; k++)
        count[k] = n[k] / l->inner[k];
    do {
        uint8_t b[16];
        for (int k = 0; k < l->ndim; k++)
            at[k] = lo[k] + i[k] * l->inner[k];
        cm_store_le64(b, out->nbytes);
        put_cells(l, at, l->inner, out);
        cm_store_le64(b + 8, out->nbytes - cm_load_le64(b));
        cm_buffer_append(&index, b, 16, NULL);
    } while (cm_next(l->ndim, count, i));
    uint8_t crc[4];
    cm_store_le32(crc, cm_crc32c(0, index.data, index.nbytes));
    cm_buffer_append(&index, crc, 4, NULL);
    cm_buffer_append(out, index.data, index.nbytes, NULL);
    cm_buffer_deinit(&index);
}

static void put_chunks(cm_store *s, const layout *l, uint64_t *seed, bool *missing)
{
    int64_t n[3], i[3] = {0};
    for (int k = 0; k < l->ndim; k++)
        n[k] = l->axes[k].n;
    size_t number = 0;
    do {
        char key[64] = "a/c";
        int64_t lo[3] = {0}, size[3];
        cm_buffer b;
        cm_error err = {0};
        cm_buffer_init(&b, 1 << 26);
        for (int k = 0; k < l->ndim; k++) {
            for (int64_t c = 0; c < i[k]; c++)
                lo[k] += l->axes[k].edges[c];
            size[k] = l->axes[k].edges[i[k]];
            sprintf(key + strlen(key), "/%lld", (long long)i[k]);
        }
        missing[number] = tap_random(seed) % 8 == 0;
        if (!missing[number++]) {
            if (l->inner[0])
                put_shard(l, lo, size, &b);
            else
                put_cells(l, lo, size, &b);
            TAP_CALL(s->vt->put(s, key, &(cm_iov){b.data, b.nbytes}, 1, 0, &err), &err);
        }
        cm_buffer_deinit(&b);
    } while (cm_next(l->ndim, n, i));
}

/* Lists, runs and single lengths, whatever says the same. */
static void describe_axis(const axis *a, uint64_t *seed, cm_buffer *out)
{
    bool same = true;
    for (int64_t i = 1; i < a->n; i++)
        same = same && a->edges[i] == a->edges[0];
    if (same && tap_random(seed) % 2) {
        cm_buffer_printf(out, NULL, "%lld", (long long)a->edges[0]);
        return;
    }
    cm_buffer_printf(out, NULL, "[");
    for (int64_t i = 0; i < a->n;) {
        int64_t run = 1;
        while (i + run < a->n && a->edges[i + run] == a->edges[i] && tap_random(seed) % 4)
            run++;
        bool list = run > 1 || tap_random(seed) % 3 == 0;
        cm_buffer_printf(out, NULL, list ? "%s[%lld, %lld]" : "%s%lld", i ? ", " : "",
                         (long long)a->edges[i], (long long)run);
        i += run;
    }
    cm_buffer_printf(out, NULL, "]");
}

static void put_document(cm_store *s, const layout *l, uint64_t *seed)
{
    cm_buffer b;
    cm_error err = {0};
    cm_buffer_init(&b, 1 << 20);
    cm_buffer_printf(&b, NULL, "{\"zarr_format\": 3, \"node_type\": \"array\", \"shape\": [");
    for (int k = 0; k < l->ndim; k++)
        cm_buffer_printf(&b, NULL, "%s%lld", k ? ", " : "", (long long)l->axes[k].length);
    cm_buffer_printf(&b, NULL,
                     "], \"data_type\": \"uint32\", \"chunk_grid\": {\"name\": \"rectilinear\", "
                     "\"configuration\": {\"kind\": \"inline\", \"chunk_shapes\": [");
    for (int k = 0; k < l->ndim; k++) {
        cm_buffer_printf(&b, NULL, k ? ", " : "");
        describe_axis(&l->axes[k], seed, &b);
    }
    cm_buffer_printf(&b, NULL,
                     "]}}, \"chunk_key_encoding\": {\"name\": \"default\"}, \"fill_value\": 5, "
                     "\"codecs\": [");
    char bytes[100];
    snprintf(bytes, sizeof bytes, "{\"name\": \"bytes\", \"configuration\": {\"endian\": \"%s\"}}",
             l->big ? "big" : "little");
    if (l->inner[0]) {
        cm_buffer_printf(&b, NULL,
                         "{\"name\": \"sharding_indexed\", \"configuration\": {\"chunk_shape\": [");
        for (int k = 0; k < l->ndim; k++)
            cm_buffer_printf(&b, NULL, "%s%lld", k ? ", " : "", (long long)l->inner[k]);
        cm_buffer_printf(&b, NULL,
                         "], \"codecs\": [%s], \"index_codecs\": [{\"name\": \"bytes\", "
                         "\"configuration\": {\"endian\": \"little\"}}, {\"name\": \"crc32c\"}]}}",
                         bytes);
    } else {
        cm_buffer_printf(&b, NULL, "%s", bytes);
    }
    cm_buffer_printf(&b, NULL, "]}");
    TAP_CALL(s->vt->put(s, "a/zarr.json", &(cm_iov){b.data, b.nbytes}, 1, 0, &err), &err);
    cm_buffer_deinit(&b);
    static const char group[] = "{\"zarr_format\": 3, \"node_type\": \"group\"}";
    TAP_CALL(s->vt->put(s, "zarr.json", &(cm_iov){group, sizeof group - 1}, 1, 0, &err), &err);
}

static void random_layout(layout *l, uint64_t *seed)
{
    *l = (layout){.ndim = 1 + (int)(tap_random(seed) % 3), .big = tap_random(seed) % 2};
    bool sharded = tap_random(seed) % 3 == 0;
    for (int k = 0; k < l->ndim; k++) {
        axis *a = &l->axes[k];
        int64_t unit = sharded ? 1 + (int64_t)(tap_random(seed) % 3) : 1, sum = 0;
        int64_t most = tap_random(seed) % 4 ? 9 : 1;
        l->inner[k] = sharded ? unit : 0;
        a->n = 1 + (int64_t)(tap_random(seed) % (l->ndim == 1 ? MAX_CHUNKS : 5));
        for (int64_t i = 0; i < a->n; i++) {
            a->edges[i] = i && tap_random(seed) % 2
                              ? a->edges[i - 1]
                              : unit * (1 + (int64_t)(tap_random(seed) % (uint64_t)most));
            sum += a->edges[i];
        }
        a->length = tap_random(seed) % 2 ? sum : 1 + (int64_t)(tap_random(seed) % (uint64_t)sum);
    }
}

static uint32_t want_at(const layout *l, const bool *missing, const int64_t *x)
{
    size_t number = 0;
    for (int k = 0; k < l->ndim; k++) {
        int64_t at = 0, i = 0;
        while (at + l->axes[k].edges[i] <= x[k])
            at += l->axes[k].edges[i++];
        number = number * (size_t)l->axes[k].n + (size_t)i;
    }
    return missing[number] ? 5 : value_at(x);
}

static void check_region(cm_array *a, const layout *l, const bool *missing, const int64_t *lo,
                         const int64_t *n)
{
    static uint32_t cells[MAX_CELLS];
    cm_error err = {0};
    int64_t i[3] = {0}, at = 0, wrong = 0;
    if (cm_shape_nelem(l->ndim, n) > MAX_CELLS)
        return;
    TAP_CALL(cm_array_read(ctx, a, lo, n, cells, NULL, NULL, &err), &err);
    do {
        int64_t x[3] = {0};
        for (int k = 0; k < l->ndim; k++)
            x[k] = lo[k] + i[k];
        wrong += cells[at++] != want_at(l, missing, x);
    } while (cm_next(l->ndim, n, i));
    TAP_EQ(wrong, 0);
}

static void random_grids(void)
{
    uint64_t seed = tap_seed();
    int irregular = 0;
    for (int round = 0; round < 300; round++) {
        layout l;
        bool missing[MAX_CHUNKS * MAX_CHUNKS * MAX_CHUNKS];
        cm_store *s = NULL;
        cm_dataset *ds = NULL;
        cm_error err = {0};
        random_layout(&l, &seed);
        TAP_CALL(cm_store_new_memory(ctx, &s, &err), &err);
        put_document(s, &l, &seed);
        put_chunks(s, &l, &seed, missing);
        TAP_CALL(cm_zarr_open(ctx, s, "", "memory://grid", &ds, &err), &err);
        cm_variable *v = ds ? cm_group_find_variable(cm_dataset_root(ds), "a") : NULL;
        cm_array *a = v ? cm_variable_array(v) : NULL;
        if (!TAP_OK(a != NULL) && v && cm_variable_problem(v))
            printf("# %s\n", cm_variable_problem(v)->message);
        for (int k = 0; k < 6 && a; k++) {
            int64_t lo[3] = {0}, n[3];
            for (int d = 0; d < l.ndim; d++) {
                lo[d] = k ? (int64_t)(tap_random(&seed) % (uint64_t)l.axes[d].length) : 0;
                n[d] = k ? 1 + (int64_t)(tap_random(&seed) % (uint64_t)(l.axes[d].length - lo[d]))
                         : l.axes[d].length;
            }
            check_region(a, &l, missing, lo, n);
        }
        irregular += a && cm_chunked_is_irregular(a);
        for (int d = 0; d < l.ndim && a; d++) { /* chunks that hold cells */
            int64_t n = 0, end = 0;
            while (end < l.axes[d].length)
                end += l.axes[d].edges[n++];
            TAP_EQ(cm_variable_chunk_count(v, d), n);
            cm_axis_grid g = cm_array_grid(a, d);
            TAP_OK(!g.ncuts || (g.ncuts == n && g.cuts[0] == 0 && g.cuts[n] == l.axes[d].length));
        }
        cm_dataset_free(ds);
        cm_store_unref(s);
    }
    TAP_OK(irregular > 150);
}

static void refused(const char *shape, const char *config, int code, const char *words)
{
    char text[2000];
    cm_store *s = NULL;
    cm_dataset *ds = NULL;
    cm_error err = {0};
    snprintf(text, sizeof text,
             "{\"zarr_format\": 3, \"node_type\": \"array\", \"shape\": %s, \"data_type\": "
             "\"uint32\", \"chunk_grid\": {\"name\": \"rectilinear\", \"configuration\": %s}, "
             "\"chunk_key_encoding\": {\"name\": \"default\"}, \"fill_value\": 0, \"codecs\": "
             "[{\"name\": \"bytes\", \"configuration\": {\"endian\": \"little\"}}]}",
             shape, config);
    TAP_CALL(cm_store_new_memory(ctx, &s, &err), &err);
    TAP_CALL(s->vt->put(s, "zarr.json", &(cm_iov){text, strlen(text)}, 1, 0, &err), &err);
    TAP_CALL(cm_zarr_open(ctx, s, "", "memory://grid", &ds, &err), &err);
    cm_variable *v = ds ? cm_group_variable(cm_dataset_root(ds), 0) : NULL;
    const cm_error *why = v ? cm_variable_problem(v) : NULL;
    if (code == 0) {
        TAP_OK(v && !why);
    } else if (!TAP_OK(why && why->code == code && strstr(why->message, words))) {
        printf("# %s: want %s: %s\n", config, words, why ? why->message : "no problem");
    }
    cm_dataset_free(ds);
    cm_store_unref(s);
}

static void refused_grids(void)
{
#define SHAPES(list) "{\"kind\": \"inline\", \"chunk_shapes\": " list "}"
    refused("[10]", SHAPES("[[3, 7]]"), 0, "");
    refused("[10]", SHAPES("[[3, 7, 5, [2, 1000000000000]]]"), 0, ""); /* chunks beyond the end */
    refused("[0]", SHAPES("[[3, 7]]"), 0, "");
    refused("[0]", SHAPES("[[]]"), 0, "");
    refused("[]", SHAPES("[]"), 0, "");
    refused("[10]", SHAPES("[[9223372036854775807]]"), CM_EUNSUP, "a chunk of");
    refused("[10]", SHAPES("[[]]"), CM_EDATA, "end at 0 of 10");
    refused("[10]", SHAPES("[[3, 6]]"), CM_EDATA, "end at 9 of 10");
    refused("[10]", SHAPES("[[3, 0, 7]]"), CM_EDATA, "element 1");
    refused("[10]", SHAPES("[[3, -1, 9]]"), CM_EDATA, "element 1");
    refused("[10]", SHAPES("[[3, 7.5]]"), CM_EDATA, "element 1");
    refused("[10]", SHAPES("[[[3, 4, 5]]]"), CM_EDATA, "element 0");
    refused("[10]", SHAPES("[[[3, 0], 10]]"), CM_EDATA, "element 0");
    refused("[10]", SHAPES("[0]"), CM_EDATA, "axis 0");
    refused("[10]", SHAPES("[\"3\"]"), CM_EDATA, "axis 0");
    refused("[10]", SHAPES("[3, 3]"), CM_EDATA, "list of 1 axes");
    refused("[10]", SHAPES("3"), CM_EDATA, "list of 1 axes");
    refused("[10]", "{\"kind\": \"file\", \"chunk_shapes\": [[10]]}", CM_EUNSUP, "kind \"file\"");
    refused("[10]", "{\"chunk_shapes\": [[10]]}", CM_EDATA, "kind");
    refused("[10]", "{\"kind\": \"inline\", \"chunk_shapes\": [[10]], \"x\": 1}", CM_EUNSUP,
            "\"x\"");
    refused("[1000000000000]", SHAPES("[[2, [1, 999999999999]]]"), CM_ELIMIT, "more than");
    /* 100 x 100 lengths */
    char text[1500] = "{\"kind\": \"inline\", \"chunk_shapes\": [";
    for (int k = 0; k < 2; k++) {
        for (int i = 1; i <= 100; i++)
            sprintf(text + strlen(text), "%s%d", i > 1 ? "," : k ? ",[" : "[", i);
        strcat(text, "]");
    }
    strcat(text, "]}");
    refused("[5050, 5050]", text, CM_EUNSUP, "different chunk shapes");
#undef SHAPES
}

int main(void)
{
    cm_context_options options;
    cm_error err = {0};
    cm_context_options_init(&options);
    options.threads = 2;
    if (cm_context_new(&options, &ctx, &err))
        return 1;
    TAP_RUN(random_grids);
    TAP_RUN(refused_grids);
    cm_context_free(ctx);
    return tap_done();
}
