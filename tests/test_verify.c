/* tests/test_verify.c: cm_verify on stores in memory whose chunks are left out and spoiled at
 * random, plain and sharded, against what was done to them; and on NetCDF-3 files. */
#include "base/bytes.h"
#include "base/hash.h"
#include "chunkmill/verify.h"
#include "faults.h"
#include "format/format.h"
#include "nc3_writer.h"
#include "store_put.h"
#include "tap.h"

static cm_context *ctx;

enum fate { GOOD, MISSING, FLIPPED, SHORT, LONG, EMPTY, FATES };

/* A two-dimensional int32 array, its chunks in a grid; what became of each chunk. */
typedef struct plan {
    int64_t shape[2], unit[2], per[2]; /* per: chunks in a shard, 1 without shards */
    bool sharded;
    enum fate fate[64][64];       /* of chunk (i, j) */
    enum fate shard_fate[64][64]; /* of shard (i, j): GOOD, MISSING, FLIPPED (its index) */
} plan;

static int64_t units(const plan *p, int k)
{
    return cm_ceil_div(p->shape[k], p->unit[k]);
}

static int64_t shards(const plan *p, int k)
{
    return cm_ceil_div(p->shape[k], p->unit[k] * p->per[k]);
}

static void put_metadata(cm_store *s, const plan *p)
{
    char text[3000], inner[700];
    const char *crc = "{\"name\": \"crc32c\"}";
    const char *bytes = "{\"name\": \"bytes\", \"configuration\": {\"endian\": \"little\"}}";
    snprintf(inner, sizeof inner, "[%s, %s]", bytes, crc);
    int n = snprintf(text, sizeof text,
                     "{\"zarr_format\": 3, \"node_type\": \"array\", \"shape\": [%lld, %lld], "
                     "\"data_type\": \"int32\", \"fill_value\": 0, \"chunk_key_encoding\": "
                     "{\"name\": \"default\"}, \"chunk_grid\": {\"name\": \"regular\", "
                     "\"configuration\": {\"chunk_shape\": [%lld, %lld]}}, \"codecs\": ",
                     (long long)p->shape[0], (long long)p->shape[1],
                     (long long)(p->unit[0] * p->per[0]), (long long)(p->unit[1] * p->per[1]));
    if (p->sharded)
        snprintf(text + n, sizeof text - (size_t)n,
                 "[{\"name\": \"sharding_indexed\", \"configuration\": {\"chunk_shape\": [%lld, "
                 "%lld], \"codecs\": %s, \"index_codecs\": %s}}]}",
                 (long long)p->unit[0], (long long)p->unit[1], inner, inner);
    else
        snprintf(text + n, sizeof text - (size_t)n, "%s}", inner);
    put(s, "v/zarr.json", text, strlen(text));
    const char *group = "{\"zarr_format\": 3, \"node_type\": \"group\"}";
    put(s, "zarr.json", group, strlen(group));
}

/* The encoded chunk (i, j) as its fate wants it; returns its size. */
static size_t encode(const plan *p, int64_t i, int64_t j, uint8_t *out, uint64_t *s)
{
    size_t n = 0;
    for (int64_t k = 0; k < p->unit[0] * p->unit[1]; k++, n += 4)
        cm_store_le32(out + n, (uint32_t)(i * 100003 + j * 1009 + k));
    cm_store_le32(out + n, cm_crc32c(0, out, n));
    n += 4;
    switch (p->fate[i][j]) {
    case FLIPPED: out[tap_random(s) % n] ^= (uint8_t)(1u << tap_random(s) % 8); break;
    case SHORT: n -= 1 + tap_random(s) % 4; break;
    case LONG: out[n++] = 0; break;
    case EMPTY: n = 0; break;
    default: break;
    }
    return n;
}

static void put_chunks(cm_store *s, const plan *p, uint64_t *seed)
{
    static uint8_t buf[1 << 16];
    char key[60];
    for (int64_t i = 0; i < units(p, 0); i++)
        for (int64_t j = 0; j < units(p, 1); j++) {
            snprintf(key, sizeof key, "v/c/%lld/%lld", (long long)i, (long long)j);
            if (p->fate[i][j] != MISSING)
                put(s, key, buf, encode(p, i, j, buf, seed));
        }
}

static void put_shard(cm_store *s, const plan *p, int64_t si, int64_t sj, uint64_t *seed)
{
    static uint8_t buf[1 << 20], index[64 * 64 * 16 + 4];
    char key[60];
    size_t at = 0, n = 0;
    for (int64_t i = si * p->per[0]; i < (si + 1) * p->per[0]; i++)
        for (int64_t j = sj * p->per[1]; j < (sj + 1) * p->per[1]; j++, n += 16) {
            bool inside = i < units(p, 0) && j < units(p, 1);
            cm_store_le64(index + n, UINT64_MAX);
            cm_store_le64(index + n + 8, UINT64_MAX);
            if (!inside || p->fate[i][j] == MISSING)
                continue;
            size_t size = encode(p, i, j, buf + at, seed);
            cm_store_le64(index + n, at);
            cm_store_le64(index + n + 8, size);
            at += size;
        }
    cm_store_le32(index + n, cm_crc32c(0, index, n));
    n += 4;
    memcpy(buf + at, index, n);
    if (p->shard_fate[si][sj] == FLIPPED)
        buf[at + tap_random(seed) % n] ^= 0x10;
    snprintf(key, sizeof key, "v/c/%lld/%lld", (long long)si, (long long)sj);
    if (p->shard_fate[si][sj] != MISSING)
        put(s, key, buf, at + n);
}

/* Whether the chunk counts as missing or bad, in the order of shards, then chunks in them. */
typedef struct tally {
    int64_t chunks, missing, bad, present;
    int nmissing, nbad;
    char missing_first[10][60], bad_first[10][60];
} tally;

static void name(const plan *p, int64_t i, int64_t j, char *out)
{
    if (p->per[0] * p->per[1] > 1)
        snprintf(out, 60, "v/c/%lld/%lld: chunk (%lld, %lld)", (long long)(i / p->per[0]),
                 (long long)(j / p->per[1]), (long long)i, (long long)j);
    else
        snprintf(out, 60, "v/c/%lld/%lld", (long long)i, (long long)j);
}

static void expect_chunk(const plan *p, int64_t i, int64_t j, bool decode, tally *t)
{
    enum fate shard = p->sharded ? p->shard_fate[i / p->per[0]][j / p->per[1]] : GOOD;
    enum fate f = shard == GOOD ? p->fate[i][j] : shard;
    t->chunks++;
    if (f == MISSING) {
        t->missing++;
        if (t->nmissing < 10)
            name(p, i, j, t->missing_first[t->nmissing++]);
    } else if (f != GOOD && (decode || shard == FLIPPED)) {
        t->bad++;
        if (t->nbad < 10)
            name(p, i, j, t->bad_first[t->nbad++]);
    } else {
        t->present++;
    }
}

static tally expect(const plan *p, bool decode)
{
    tally t = {0};
    for (int64_t si = 0; si < shards(p, 0); si++)
        for (int64_t sj = 0; sj < shards(p, 1); sj++)
            for (int64_t i = si * p->per[0]; i < (si + 1) * p->per[0]; i++)
                for (int64_t j = sj * p->per[1]; j < (sj + 1) * p->per[1]; j++)
                    if (i < units(p, 0) && j < units(p, 1))
                        expect_chunk(p, i, j, decode, &t);
    return t;
}

static int64_t number_of(const cm_json *o, const char *key)
{
    int64_t v = -1;
    cm_json_int64(cm_json_get(o, key), &v);
    return v;
}

static void check(cm_dataset *ds, const plan *p, bool decode, bool strict)
{
    cm_json_doc *doc = NULL;
    cm_error err = {0};
    TAP_CALL(cm_verify(ctx, ds, decode ? CM_VERIFY_DECODE : CM_VERIFY_PRESENCE, strict, &doc, &err),
             &err);
    const cm_json *root = doc ? cm_json_doc_root(doc) : NULL;
    const cm_json *a = cm_json_at(cm_json_get(root, "arrays"), 0);
    const cm_json *missing = cm_json_get(a, "missing_first"), *bad = cm_json_get(a, "bad_first");
    tally t = expect(p, decode);
    TAP_STR(cm_json_string(cm_json_get(root, "level")), decode ? "decode" : "presence");
    TAP_STR(cm_json_string(cm_json_get(a, "path")), "/v");
    TAP_EQ(number_of(a, "chunks"), t.chunks);
    TAP_EQ(number_of(a, "present"), t.present);
    TAP_EQ(number_of(a, "missing"), t.missing);
    TAP_EQ(number_of(a, "bad"), t.bad);
    TAP_EQ(cm_json_bool(cm_json_get(root, "ok"), false), t.bad == 0 && (t.missing == 0 || !strict));
    TAP_EQ(cm_json_count(missing), t.nmissing);
    for (int i = 0; i < t.nmissing; i++)
        TAP_STR(cm_json_string(cm_json_at(missing, (size_t)i)), t.missing_first[i]);
    TAP_EQ(cm_json_count(bad), t.nbad);
    for (int i = 0; i < t.nbad; i++) {
        const cm_json *o = cm_json_at(bad, (size_t)i);
        TAP_STR(cm_json_string(cm_json_get(o, "key")), t.bad_first[i]);
        TAP_OK(cm_json_string_nbytes(cm_json_get(o, "message")) > 0);
    }
    cm_json_doc_free(doc);
}

static plan random_plan(uint64_t *s, bool sharded)
{
    plan p = {.sharded = sharded};
    uint64_t worst = tap_random(s) % 3; /* all good, few spoiled, many */
    for (int k = 0; k < 2; k++) {
        p.unit[k] = 1 + (int64_t)(tap_random(s) % 5);
        p.per[k] = sharded ? 1 + (int64_t)(tap_random(s) % 4) : 1;
        p.shape[k] = 1 + (int64_t)(tap_random(s) % (uint64_t)(12 * p.unit[k]));
    }
    for (int i = 0; i < 64; i++)
        for (int j = 0; j < 64; j++) {
            p.fate[i][j] = worst == 0 || tap_random(s) % (worst == 1 ? 20 : 2)
                               ? GOOD
                               : (enum fate)(tap_random(s) % FATES);
            p.shard_fate[i][j] =
                worst == 0 || tap_random(s) % 5 ? GOOD : (enum fate)(tap_random(s) % 3);
        }
    return p;
}

static void random_stores(bool sharded)
{
    uint64_t s = tap_seed();
    for (int round = 0; round < 120 && !tap_failed_here; round++) {
        plan p = random_plan(&s, sharded);
        cm_store *store = NULL;
        cm_dataset *ds = NULL;
        cm_error err = {0};
        TAP_CALL(cm_store_new_memory(ctx, &store, &err), &err);
        put_metadata(store, &p);
        if (!sharded)
            put_chunks(store, &p, &s);
        for (int64_t i = 0; sharded && i < shards(&p, 0); i++)
            for (int64_t j = 0; j < shards(&p, 1); j++)
                put_shard(store, &p, i, j, &s);
        TAP_CALL(cm_zarr_open(ctx, store, "", "memory://", &ds, &err), &err);
        if (ds)
            for (int k = 0; k < 4; k++)
                check(ds, &p, k & 1, k & 2);
        cm_dataset_free(ds);
        cm_store_unref(store);
    }
}

static void plain(void)
{
    random_stores(false);
}

static void sharded(void)
{
    random_stores(true);
}

/* A shard of shards: eight cells in two shards of two chunks; chunk 2 was never written. */
static void nested_shards(void)
{
    static const char metadata[] =
        "{\"zarr_format\": 3, \"node_type\": \"array\", \"shape\": [8], \"data_type\": \"int8\", "
        "\"fill_value\": 0, \"chunk_key_encoding\": {\"name\": \"default\"}, \"chunk_grid\": "
        "{\"name\": "
        "\"regular\", \"configuration\": {\"chunk_shape\": [8]}}, \"codecs\": [{\"name\": "
        "\"sharding_indexed\", \"configuration\": {\"chunk_shape\": [4], \"index_codecs\": "
        "[{\"name\": "
        "\"bytes\", \"configuration\": {\"endian\": \"little\"}}], \"codecs\": [{\"name\": "
        "\"sharding_indexed\", \"configuration\": {\"chunk_shape\": [2], \"index_codecs\": "
        "[{\"name\": "
        "\"bytes\", \"configuration\": {\"endian\": \"little\"}}], \"codecs\": [{\"name\": "
        "\"bytes\"}]}}]}}]}";
    static const uint64_t first[] = {0, 2, 2, 2}, second[] = {UINT64_MAX, UINT64_MAX, 0, 2},
                          outer[] = {0, 36, 36, 34};
    uint8_t b[36 + 34 + 32] = {1, 2, 3, 4}, *at = b + 4;
    for (int i = 0; i < 4; i++, at += 8)
        cm_store_le64(at, first[i]);
    *at++ = 7, *at++ = 8;
    for (int i = 0; i < 4; i++, at += 8)
        cm_store_le64(at, second[i]);
    for (int i = 0; i < 4; i++, at += 8)
        cm_store_le64(at, outer[i]);
    cm_store *store = NULL;
    cm_dataset *ds = NULL;
    cm_json_doc *doc = NULL;
    cm_error err = {0};
    TAP_CALL(cm_store_new_memory(ctx, &store, &err), &err);
    put(store, "zarr.json", metadata, strlen(metadata));
    put(store, "c/0", b, sizeof b);
    TAP_CALL(cm_zarr_open(ctx, store, "", "memory://", &ds, &err), &err);
    if (ds)
        TAP_CALL(cm_verify(ctx, ds, CM_VERIFY_DECODE, false, &doc, &err), &err);
    const cm_json *a = cm_json_at(cm_json_get(doc ? cm_json_doc_root(doc) : NULL, "arrays"), 0);
    TAP_EQ(number_of(a, "chunks"), 4);
    TAP_EQ(number_of(a, "present"), 3);
    TAP_EQ(number_of(a, "missing"), 1);
    TAP_STR(cm_json_string(cm_json_at(cm_json_get(a, "missing_first"), 0)), "c/0: chunk (2)");
    cm_json_doc_free(doc);
    cm_dataset_free(ds);
    cm_store_unref(store);
}

/* ---- NetCDF-3 -------------------------------------------------------------------------------- */

static cm_json_doc *verify_file(w_bytes b, size_t n, cm_verify_level level)
{
    cm_store *store = NULL;
    cm_dataset *ds = NULL;
    cm_json_doc *doc = NULL;
    cm_error err = {0};
    TAP_CALL(cm_store_new_memory(ctx, &store, &err), &err);
    put(store, "f.nc", b.data, n);
    TAP_CALL(cm_netcdf3_open(ctx, store, "f.nc", "f.nc", &ds, &err), &err);
    if (ds)
        TAP_CALL(cm_verify(ctx, ds, level, true, &doc, &err), &err);
    cm_dataset_free(ds);
    cm_store_unref(store);
    return doc;
}

static void expect_bad(cm_json_doc *doc, size_t variable, const char *part)
{
    const cm_json *root = doc ? cm_json_doc_root(doc) : NULL, *arrays = cm_json_get(root, "arrays");
    TAP_EQ(cm_json_bool(cm_json_get(root, "ok"), part != NULL), part == NULL);
    for (size_t i = 0; i < cm_json_count(arrays); i++) {
        bool bad = part && i == variable;
        TAP_EQ(number_of(cm_json_at(arrays, i), "chunks"), 1);
        TAP_EQ(number_of(cm_json_at(arrays, i), "bad"), bad);
        if (bad) {
            const cm_json *first = cm_json_at(cm_json_get(cm_json_at(arrays, i), "bad_first"), 0);
            TAP_OK(strstr(cm_json_string(cm_json_get(first, "message")), part) != NULL);
            TAP_STR(cm_json_string(cm_json_get(first, "key")), "f.nc");
        }
    }
    cm_json_doc_free(doc);
}

static void contiguous(void)
{
    w_file f = {.version = 1, .numrecs = 4};
    int dims[] = {w_dim(&f, "t", 0), w_dim(&f, "x", 50), w_dim(&f, "len", 4)};
    w_add(&f, "fixed", 5, 1, dims + 1);
    w_add(&f, "text", 2, 1, dims + 2);
    w_add(&f, "record", 5, 2, dims);
    w_bytes b = w_write(&f);
    memcpy(b.data + f.vars[1].begin, "text", 4);
    expect_bad(verify_file(b, b.n, CM_VERIFY_PRESENCE), 0, NULL);
    expect_bad(verify_file(b, b.n, CM_VERIFY_DECODE), 0, NULL);
    expect_bad(verify_file(b, b.n - 1, CM_VERIFY_PRESENCE), 2, "truncated");
    expect_bad(verify_file(b, b.n - 1, CM_VERIFY_DECODE), 2, "truncated");
    b.data[f.vars[1].begin] = 0x80; /* no longer UTF-8 */
    expect_bad(verify_file(b, b.n, CM_VERIFY_PRESENCE), 0, NULL);
    expect_bad(verify_file(b, b.n, CM_VERIFY_DECODE), 1, "UTF-8");
    free(b.data);
}

/* What cannot be read, and arrays without cells. */
static void others(void)
{
    w_file f = {.version = 1};
    int dims[] = {w_dim(&f, "t", 0), w_dim(&f, "x", 50)};
    w_add(&f, "record", 5, 2, dims);
    w_bytes b = w_write(&f);
    cm_store *store = NULL;
    cm_dataset *ds = NULL;
    cm_json_doc *doc = NULL;
    cm_variable *v = NULL;
    cm_error err = {0}, why = {0};
    TAP_CALL(cm_store_new_memory(ctx, &store, &err), &err);
    put(store, "f.nc", b.data, b.n);
    TAP_CALL(cm_netcdf3_open(ctx, store, "f.nc", "f.nc", &ds, &err), &err);
    TAP_CALL(cm_verify(ctx, ds, CM_VERIFY_DECODE, true, &doc, &err), &err);
    TAP_OK(cm_json_bool(cm_json_get(cm_json_doc_root(doc), "ok"), false));
    cm_json_doc_free(doc);
    TAP_CALL(cm_group_add_variable(cm_dataset_root(ds), "odd", &v, &err), &err);
    cm_error_set(&why, CM_EUNSUP, "it is a compound");
    TAP_CALL(cm_variable_set_problem(v, &why, &err), &err);
    TAP_CALL(cm_verify(ctx, ds, CM_VERIFY_PRESENCE, false, &doc, &err), &err);
    const cm_json *odd = cm_json_at(cm_json_get(cm_json_doc_root(doc), "arrays"), 1);
    TAP_OK(!cm_json_bool(cm_json_get(cm_json_doc_root(doc), "ok"), true));
    TAP_STR(cm_json_string(cm_json_get(odd, "problem")), "it is a compound");
    cm_json_doc_free(doc);
    TAP_EQ(cm_verify(ctx, ds, (cm_verify_level)7, false, &doc, &err), CM_EINVAL);
    cm_dataset_free(ds);
    cm_store_unref(store);
    free(b.data);
}

/* A store with good, missing and spoiled shards. */
static cm_dataset *mixed_store(cm_store **store)
{
    uint64_t s = 5;
    plan p = {.sharded = true, .shape = {9, 9}, .unit = {2, 3}, .per = {2, 2}};
    cm_dataset *ds = NULL;
    cm_error err = {0};
    p.fate[0][1] = p.shard_fate[1][0] = MISSING;
    p.fate[1][1] = p.shard_fate[1][1] = FLIPPED;
    TAP_CALL(cm_store_new_memory(ctx, store, &err), &err);
    put_metadata(*store, &p);
    for (int64_t i = 0; i < shards(&p, 0); i++)
        for (int64_t j = 0; j < shards(&p, 1); j++)
            put_shard(*store, &p, i, j, &s);
    TAP_CALL(cm_zarr_open(ctx, *store, "", "memory://", &ds, &err), &err);
    return ds;
}

/* Every allocation on the way fails once: that is never a verdict on a chunk. */
static void out_of_memory(void)
{
    cm_store *store = NULL;
    cm_dataset *ds = mixed_store(&store);
    bool fired = true;
    int64_t n = 0;
    for (; fired && !tap_failed_here; n++) {
        cm_json_doc *doc = NULL;
        cm_error err = {0};
        fault_malloc_at(n);
        int ret = cm_verify(ctx, ds, CM_VERIFY_DECODE, false, &doc, &err);
        fired = fault_end();
        /* Keeping an index is only a favour: its failure may go unnoticed. */
        TAP_OK(ret == 0 || (fired && ret == CM_ENOMEM));
        if (doc)
            TAP_EQ(number_of(cm_json_at(cm_json_get(cm_json_doc_root(doc), "arrays"), 0), "bad"),
                   3);
        cm_json_doc_free(doc);
    }
    TAP_OK(n > 20);
    cm_dataset_free(ds);
    cm_store_unref(store);
}

static void cancelled(void)
{
    cm_store *store = NULL;
    cm_dataset *ds = mixed_store(&store);
    cm_json_doc *doc = NULL;
    cm_error err = {0};
    cm_context_cancel(ctx); /* the last thing that this context does */
    TAP_EQ(cm_verify(ctx, ds, CM_VERIFY_DECODE, false, &doc, &err), CM_ECANCEL);
    TAP_OK(doc == NULL);
    cm_dataset_free(ds);
    cm_store_unref(store);
}

int main(void)
{
    cm_error err = {0};
    cm_context_options options;
    cm_context_options_init(&options);
    options.threads = 3;
    options.max_memory = 64u << 20;
    TAP_CALL(cm_context_new(&options, &ctx, &err), &err);
    if (!ctx)
        return 1;
    TAP_RUN(plain);
    TAP_RUN(sharded);
    TAP_RUN(nested_shards);
    TAP_RUN(contiguous);
    TAP_RUN(others);
    TAP_RUN(out_of_memory);
    TAP_RUN(cancelled);
    cm_context_free(ctx);
    return tap_done();
}
