/* The parts of a survey: hashes, keys, stand-ins, and the whole on a few files that do not open. */
#include <string.h>

#include <unistd.h>

#include "array/told.h"
#include "base/hash128.h"
#include "chunkmill.h"
#include "faults.h"
#include "join/survey_keys.h"
#include "nc3_writer.h"
#include "scratch.h"
#include "tap.h"

static cm_context *ctx;

static void hash_of_known_bytes(void)
{
    /* MurmurHash3 x64 128, seed 0 */
    cm_hash128 h = {0};
    uint64_t v[2];
    cm_hash128_add(&h, "hello", 5);
    cm_hash128_value(&h, v);
    TAP_OK(v[0] == UINT64_C(0xcbd8a7b341bd9b02) && v[1] == UINT64_C(0x5b1e906a48ae1d19));
    h = (cm_hash128){0};
    cm_hash128_value(&h, v);
    TAP_OK(v[0] == 0 && v[1] == 0);
}

static void hash_in_pieces(void)
{
    uint8_t bytes[300];
    uint64_t seed = tap_seed(), whole[2], pieces[2];
    for (int round = 0; round < 300; round++) {
        cm_hash128 a = {0}, b = {0};
        size_t n = (size_t)(seed >> 33) % (sizeof bytes + 1);
        for (size_t i = 0; i < n; i++)
            bytes[i] = (uint8_t)((seed = seed * 6364136223846793005u + 1442695040888963407u) >> 56);
        cm_hash128_add(&a, bytes, n);
        for (size_t at = 0, step; at < n; at += step) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            step = (size_t)(seed >> 40) % 40;
            step = step > n - at ? n - at : step;
            cm_hash128_add(&b, bytes + at, step);
        }
        cm_hash128_value(&a, whole);
        cm_hash128_value(&b, pieces);
        TAP_OK(whole[0] == pieces[0] && whole[1] == pieces[1]);
        if (n) { /* every bit counts */
            bytes[n / 2] ^= 1;
            cm_hash128 c = {0};
            cm_hash128_add(&c, bytes, n);
            cm_hash128_value(&c, pieces);
            TAP_OK(whole[0] != pieces[0] && whole[1] != pieces[1]);
        }
    }
}

static void keys_are_numbers(void)
{
    cm_keys k = {0};
    cm_error err;
    char text[32];
    uint32_t number;
    bool added;
    cm_error_clear(&err);
    for (int round = 0; round < 2; round++)
        for (uint32_t i = 0; i < 5000; i++) {
            int n = snprintf(text, sizeof text, "key %u", i);
            TAP_CALL(cm_keys_add(&k, text, (size_t)n, &number, &added, &err), &err);
            TAP_EQ(number, i);
            TAP_EQ(added, round == 0);
        }
    TAP_CALL(cm_keys_add(&k, NULL, 0, &number, &added, &err), &err);
    TAP_EQ(number, 5000);
    TAP_OK(cm_keys_find(&k, "key 4999", 8, &number) && number == 4999);
    TAP_OK(!cm_keys_find(&k, "key 4999", 7, &number) || number == 499);
    TAP_OK(!cm_keys_find(&k, "none", 4, &number));
    size_t n;
    TAP_STR(cm_keys_at(&k, 17, &n), "key 17");
    TAP_EQ(n, 6);
    cm_keys_deinit(&k);
    TAP_OK(!cm_keys_find(&k, "key 1", 5, &number));
}

/* An array of chunks in a store that is not there. */
static cm_array *make_chunked(const int64_t *shape, const int64_t *chunk)
{
    cm_error err;
    cm_table *table = NULL;
    cm_chain *chain = NULL;
    cm_array *a = NULL;
    float fill = -1;
    cm_dtype dtype = cm_dtype_of(CM_FLOAT32, 0);
    TAP_CALL(cm_table_new_named("v", 2, '.', false, &table, &err), &err);
    TAP_CALL(cm_chain_new(dtype, 2, chunk, &chain, &err), &err);
    cm_chunked_spec spec = {.dtype = dtype,
                            .ndim = 2,
                            .shape = shape,
                            .chunk = chunk,
                            .fill = &fill,
                            .chain = chain,
                            .table = table,
                            .label = "a.nc",
                            .path = "/v"};
    TAP_CALL(cm_chunked_new(&spec, &a, &err), &err);
    return a;
}

static void stand_ins(void)
{
    const int64_t shape[] = {5, 6}, chunk[] = {2, 4}, longer[] = {9, 6};
    cm_array *real = make_chunked(shape, chunk), *a = NULL, *b = NULL;
    cm_location at;
    cm_error err;
    unsigned odd = 7;
    TAP_OK(!cm_table_is_told(cm_chunked_table(real), &odd));
    TAP_CALL(cm_array_tell(real, longer, CM_TOLD_MASK | CM_TOLD_UNWRITTEN, false, &a, &err), &err);
    cm_array_unref(real);
    TAP_CALL(cm_array_tell(a, shape, 0, false, &b, &err), &err); /* of a stand-in too */
    TAP_OK(cm_table_is_told(cm_chunked_table(a), &odd) && odd == 3);
    TAP_OK(cm_table_is_told(cm_chunked_table(b), &odd) && odd == 0);
    TAP_EQ(a->shape[0], 9);
    TAP_EQ(b->shape[0], 5);
    TAP_STR(a->label, "a.nc");
    TAP_OK(memcmp(a->fill, b->fill, 4) == 0 && *(const float *)a->fill == -1);
    TAP_OK(cm_chain_identical(cm_chunked_chain(a), cm_chunked_chain(b)));
    for (int64_t i = 0; i < 5; i++)
        for (int64_t k = 0; k < 2; k++) {
            TAP_CALL(cm_chunked_locate(a, (int64_t[]){i, k}, &at, &err), &err);
            TAP_EQ(at.where, i == 4 && k == 1 ? CM_AT_NOWHERE : CM_AT_RANGE);
            TAP_EQ(at.skip_mask, i == 0 && k == 0);
        }
    cm_array_unref(a);
    cm_array_unref(b);
}

static void strided_stand_ins(void)
{
    const int64_t shape[] = {3, 4}, strides[] = {64, 4};
    cm_error err;
    cm_table *table = NULL;
    cm_chain *chain = NULL;
    cm_array *real = NULL, *a = NULL;
    uint64_t offset, limit;
    const int64_t *found;
    cm_dtype dtype = cm_dtype_of(CM_INT32, 0);
    TAP_CALL(cm_table_new_strided(2, 1000, strides, 2000, &table, &err), &err);
    TAP_CALL(cm_chain_new(dtype, 2, shape, &chain, &err), &err);
    cm_chunked_spec spec = {
        .dtype = dtype, .ndim = 2, .shape = shape, .chunk = shape, .chain = chain, .table = table};
    TAP_CALL(cm_chunked_new(&spec, &real, &err), &err);
    for (int truncated = 0; truncated < 2; truncated++) {
        TAP_CALL(cm_array_tell(real, (int64_t[]){0, 4}, 0, truncated, &a, &err), &err);
        TAP_OK(cm_table_is_strided(cm_chunked_table(a), &offset, &found, &limit));
        TAP_EQ(found[0], 64);
        TAP_EQ(limit == 0, truncated);
        TAP_EQ(a->shape[0], 0);
        cm_array_unref(a);
    }
    cm_array_unref(real);
}

static void nothing_to_survey(void)
{
    static const char *const uris[] = {"/nowhere/a.nc", "/nowhere/b.nc"};
    cm_survey_options o;
    cm_json_doc *doc = NULL;
    cm_error err;
    cm_survey_options_init(&o);
    cm_error_clear(&err);
    TAP_EQ(cm_survey_files(ctx, uris, 0, &o, &doc, &err), CM_EINVAL);
    TAP_OK(!doc);
    TAP_CALL(cm_survey_files(ctx, uris, 2, NULL, &doc, &err), &err);
    const cm_json *r = cm_json_doc_root(doc);
    TAP_OK(!cm_json_bool(cm_json_get(r, "joinable"), true));
    TAP_OK(!cm_json_bool(cm_json_get(r, "virtualizable"), true));
    const cm_json *f = cm_json_at(cm_json_get(r, "findings"), 0);
    TAP_STR(cm_json_string(cm_json_get(f, "about")), "unreadable");
    TAP_EQ(cm_json_count(cm_json_get(r, "findings")), 1);
    TAP_STR(cm_json_string(cm_json_at(cm_json_get(r, "sources"), 1)), uris[1]);
    cm_json_doc_free(doc);
    o.format = "floppy";
    TAP_EQ(cm_survey_files(ctx, uris, 2, &o, &doc, &err), CM_EINVAL);
    TAP_EQ(cm_context_memory_now(ctx), 0);
}

/* time(time), lat(lat), v(time, lat); values depend on variable and index: times repeat from file
 * to file. */
static void write_file(const char *path, int records, const char *units, uint32_t type)
{
    w_file f = {.version = 2, .numrecs = (uint64_t)records};
    int time = w_dim(&f, "time", 0), lat = w_dim(&f, "lat", 5), both[] = {time, lat};
    w_var *v = w_add(&f, "time", 6, 1, &time);
    w_attribute(v->attrs, &v->nattrs, "units", 2, strlen(units), units);
    w_add(&f, "lat", 5, 1, &lat);
    w_add(&f, "v", type, 2, both);
    w_bytes b = w_write(&f);
    FILE *out = fopen(path, "wb");
    TAP_OK(out && fwrite(b.data, 1, b.n, out) == b.n);
    if (out)
        fclose(out);
    free(b.data);
}

/* Every allocation, and every read, failed once: an error, or a finding, and nothing leaks. */
static void faults(void)
{
    char folder[256], names[3][300];
    TAP_OK(scratch_make(folder, sizeof folder));
    const char *uris[3];
    for (int i = 0; i < 3; i++) {
        snprintf(names[i], sizeof names[i], "%s/f%d.nc", folder, i);
        uris[i] = names[i];
    }
    write_file(uris[0], 3, "days since 2001-01-01", 5);
    write_file(uris[1], 2, "days since 2001-02-01", 5);
    write_file(uris[2], 4, "days since 2001-03-01", 6);
    cm_error err;
    cm_json_doc *doc = NULL, *schema = NULL;
    cm_survey_options o;
    cm_survey_options_init(&o);
    TAP_CALL(cm_survey_files(ctx, uris, 3, &o, &schema, &err), &err);
    o.schema = cm_json_get(cm_json_doc_root(schema), "schema");
    int64_t n = 0, findings = 0;
    for (;; n++) {
        cm_error_clear(&err);
        doc = NULL;
        fault_malloc_at(n);
        int r = cm_survey_files(ctx, uris, 3, &o, &doc, &err);
        bool fired = fault_end();
        TAP_OK(r == 0 ? doc != NULL : !doc && err.code == r);
        if (fired)
            TAP_OK(r == CM_ENOMEM || r == 0);
        else
            TAP_EQ(r, 0);
        findings += fired && r == 0;
        cm_json_doc_free(doc);
        TAP_EQ(cm_context_memory_now(ctx), 0);
        if (!fired)
            break;
    }
    TAP_OK(n > 200);
    printf("# %lld allocations, %lld of them did without\n", (long long)n, (long long)findings);
    for (n = 0;; n++) {
        fault_call_at(n, 5);
        int r = cm_survey_files(ctx, uris, 3, &o, &doc, &err);
        bool fired = fault_end();
        TAP_EQ(r, 0);
        TAP_OK(!fired || !cm_json_bool(cm_json_get(cm_json_doc_root(doc), "joinable"), true));
        cm_json_doc_free(doc);
        if (!fired)
            break;
    }
    TAP_OK(n > 5);
    cm_json_doc_free(schema);
    TAP_OK(scratch_remove(folder));
}

int main(void)
{
    cm_error err;
    TAP_CALL(cm_context_new(NULL, &ctx, &err), &err);
    TAP_RUN(hash_of_known_bytes);
    TAP_RUN(hash_in_pieces);
    TAP_RUN(keys_are_numbers);
    TAP_RUN(stand_ins);
    TAP_RUN(strided_stand_ins);
    TAP_RUN(nothing_to_survey);
    TAP_RUN(faults);
    cm_context_free(ctx);
    return tap_done();
}
