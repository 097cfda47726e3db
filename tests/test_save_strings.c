/* tests/test_save_strings.c: saves of strings that take far more memory than the plan could know.
 *
 * How long strings are is known when they are read. A save, a comparison, a check and the reading
 * of one string fit into a memory that holds a fraction of the strings; whether they do must not
 * depend on how many threads there are and which is faster. Every string is read back.
 */
#include <stdlib.h>
#include <unistd.h>

#include "array/dest.h"
#include "base/bytes.h"
#include "chunkmill.h"
#include "format/format.h"
#include "scratch.h"
#include "store/store.h"
#include "tap.h"
#include "verify/diff_array.h"
#include "verify/verify_array.h"

static char root[256];

typedef struct field {
    int64_t shape[2], chunk[2];
    size_t most;      /* bytes of a string */
    int64_t long_one; /* cell of a string of 3 MB; -1: none */
} field;

/* The string of a cell: length and letters follow from where it is. */
static size_t length_at(const field *f, int64_t cell)
{
    return cell == f->long_one ? 3000000 : (size_t)(cell * 7919 % 1009) * f->most / 1009;
}

static void string_at(const field *f, int64_t cell, char *to)
{
    size_t n = length_at(f, cell);
    for (size_t i = 0; i < n; i++)
        to[i] = (char)('a' + (cell * 31 + (int64_t)i * 7) % 26);
}

static bool good(int r, const cm_error *err)
{
    TAP_CALL(r, err);
    return r == 0;
}

static void put_chunk(cm_store *store, const field *f, int64_t y, int64_t x)
{
    cm_error err = {0};
    char key[64];
    size_t n = 4;
    int64_t ny = f->chunk[0], nx = f->chunk[1];
    for (int pass = 0; pass < 2; pass++) {
        static char *bytes;
        char *p = bytes;
        for (int64_t i = 0; i < ny * nx; i++) {
            int64_t r = y * ny + i / nx, c = x * nx + i % nx;
            bool inside = r < f->shape[0] && c < f->shape[1];
            int64_t cell = r * f->shape[1] + c;
            size_t len = inside ? length_at(f, cell) : 0;
            if (pass == 0) {
                n += 4 + len;
                continue;
            }
            if (i == 0) {
                cm_store_le32(p, (uint32_t)(ny * nx));
                p += 4;
            }
            cm_store_le32(p, (uint32_t)len);
            if (inside)
                string_at(f, cell, p + 4);
            p += 4 + len;
        }
        if (pass == 0) {
            bytes = malloc(n);
        } else {
            sprintf(key, "v/c/%lld/%lld", (long long)y, (long long)x);
            TAP_CALL(store->vt->put(store, key, &(cm_iov){bytes, n}, 1, 0, &err), &err);
            free(bytes);
        }
    }
}

static cm_store *make_source(cm_context *ctx, const field *f)
{
    cm_error err = {0};
    cm_store *store = NULL;
    char text[1024];
    const char *group = "{\"zarr_format\": 3, \"node_type\": \"group\", \"attributes\": {}}";
    TAP_CALL(cm_store_new_memory(ctx, &store, &err), &err);
    sprintf(text,
            "{\"zarr_format\": 3, \"node_type\": \"array\", \"shape\": [%lld, %lld], "
            "\"data_type\": \"string\", \"chunk_grid\": {\"name\": \"regular\", \"configuration\": "
            "{\"chunk_shape\": [%lld, %lld]}}, \"chunk_key_encoding\": {\"name\": \"default\"}, "
            "\"fill_value\": \"\", \"codecs\": [{\"name\": \"vlen-utf8\"}], \"dimension_names\": "
            "[\"y\", \"x\"], \"attributes\": {}}",
            (long long)f->shape[0], (long long)f->shape[1], (long long)f->chunk[0],
            (long long)f->chunk[1]);
    TAP_CALL(store->vt->put(store, "zarr.json", &(cm_iov){group, strlen(group)}, 1, 0, &err), &err);
    TAP_CALL(store->vt->put(store, "v/zarr.json", &(cm_iov){text, strlen(text)}, 1, 0, &err), &err);
    for (int64_t y = 0; y < cm_ceil_div(f->shape[0], f->chunk[0]); y++)
        for (int64_t x = 0; x < cm_ceil_div(f->shape[1], f->chunk[1]); x++)
            put_chunk(store, f, y, x);
    return store;
}

/* Wrong strings of the whole array, read with plenty of memory. */
static int64_t count_wrong(cm_array *a, const field *f, cm_error *err)
{
    cm_context *ctx = NULL;
    cm_arena *arena = NULL;
    int64_t zero[2] = {0}, n = f->shape[0] * f->shape[1], wrong = -1;
    cm_string *got = calloc((size_t)n, sizeof *got);
    char *want = malloc(3000001);
    if (cm_context_new(NULL, &ctx, err) == 0 && cm_arena_new(ctx, &arena, err) == 0 &&
        cm_array_read(ctx, a, zero, f->shape, got, NULL, arena, err) == 0) {
        wrong = 0;
        for (int64_t i = 0; i < n; i++) {
            size_t len = length_at(f, i);
            string_at(f, i, want);
            wrong += got[i].nbytes != len || (len && memcmp(got[i].data, want, len) != 0);
        }
    }
    free(got);
    free(want);
    cm_arena_free(arena);
    cm_context_free(ctx);
    return wrong;
}

typedef struct setting {
    const char *chunks, *shards, *codec;
    uint64_t memory;
    int threads, format;
} setting;

static int save_one(cm_context *ctx, cm_dataset *ds, const char *path, const setting *s,
                    cm_save_stats *stats, cm_error *err)
{
    cm_save *save = NULL;
    cm_save_options o;
    cm_save_options_init(&o);
    o.chunks = &s->chunks;
    o.nchunks = 1;
    o.shards = &s->shards;
    o.nshards = s->shards != NULL;
    o.codecs = &s->codec;
    o.ncodecs = 1;
    o.zarr_format = s->format;
    o.overwrite = true;
    int r = cm_save_plan(ctx, ds, NULL, 0, path, &o, &save, err);
    if (!r)
        r = cm_save_run(save, 0, cm_save_ntasks(save), err);
    if (!r)
        r = cm_save_commit(save, err);
    if (!r)
        cm_save_get_stats(save, stats);
    cm_save_free(save);
    return r;
}

static void check_one(const field *f, const setting *s, cm_store *store)
{
    cm_context_options co;
    cm_context *ctx = NULL;
    cm_dataset *source = NULL, *target = NULL;
    cm_save_stats stats = {0};
    cm_error err = {0};
    char path[300];
    sprintf(path, "%s/out", root);
    cm_context_options_init(&co);
    co.threads = s->threads;
    co.max_memory = s->memory;
    printf("# %d threads, %.0f MB, chunks %s, shards %s, %s\n", s->threads, (double)s->memory / 1e6,
           s->chunks, s->shards ? s->shards : "-", s->codec);
    if (!good(cm_context_new(&co, &ctx, &err), &err) ||
        !good(cm_zarr_open(ctx, store, "", "memory://source", &source, &err), &err))
        goto out;
    if (!good(save_one(ctx, source, path, s, &stats, &err), &err) ||
        !good(cm_dataset_open(ctx, path, NULL, &target, &err), &err))
        goto out;
    cm_variable *v = cm_group_find_variable(cm_dataset_root(target), "v");
    cm_variable *u = cm_group_find_variable(cm_dataset_root(source), "v");
    cm_array *a = cm_variable_array(v), *b = cm_variable_array(u);
    TAP_EQ(count_wrong(a, f, &err), 0);
    cm_array_diff diff;
    if (good(cm_array_compare(ctx, b, a, 0, 0, &diff, &err), &err))
        TAP_EQ(diff.differing, 0);
    cm_array_diff_deinit(&diff);
    cm_array_check check;
    if (good(cm_array_check_chunks(ctx, a, CM_VERIFY_DECODE, &check, &err), &err)) {
        TAP_EQ(check.present, check.chunks);
        TAP_OK(s->shards || stats.objects_written == check.chunks);
    }
    cm_array_check_deinit(&check);
    TAP_OK(s->shards || cm_context_memory_now(ctx) == 0); /* indexes of shards are kept */
    TAP_OK(cm_context_memory_peak(ctx) <= s->memory);
out:
    cm_dataset_free(source);
    cm_dataset_free(target);
    cm_context_free(ctx);
}

/* 60 MB of strings behind 1.6 MB of views. */
static void more_than_memory(void)
{
    field f = {{100, 1000}, {10, 100}, 1200, -1};
    cm_context *ctx = NULL;
    cm_error err = {0};
    TAP_CALL(cm_context_new(NULL, &ctx, &err), &err);
    cm_store *store = make_source(ctx, &f);
    const setting settings[] = {
        {"y=25,x=50", NULL, "none", 32000000, 4, 3},
        {"y=7,x=33", NULL, "zstd:1", 40000000, 2, 2},
        {"y=100,x=13", NULL, "none", 32000000, 1, 3},
        {"y=5,x=50", "y=25,x=100", "zstd:1", 40000000, 3, 3},
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        check_one(&f, &settings[i], store);
    cm_store_unref(store);
    cm_context_free(ctx);
}

/* One long string among short ones, and chunks of many. */
static void one_long(void)
{
    field f = {{40, 900}, {3, 900}, 300, 17 * 900 + 450};
    cm_context *ctx = NULL;
    cm_error err = {0};
    TAP_CALL(cm_context_new(NULL, &ctx, &err), &err);
    cm_store *store = make_source(ctx, &f);
    const setting settings[] = {
        {"y=1,x=4", NULL, "none", 32000000, 4, 3},
        {"y=40,x=90", NULL, "gzip:1", 40000000, 4, 3},
        {"y=1,x=90", "y=4,x=900", "none", 40000000, 4, 3},
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        check_one(&f, &settings[i], store);
    cm_store_unref(store);
    cm_context_free(ctx);
}

/* A unit that does not fit is refused, and says what to do; nobody waits for ever. */
static void too_large(void)
{
    field f = {{100, 1000}, {10, 100}, 1200, -1};
    cm_context_options co;
    cm_context *ctx = NULL;
    cm_dataset *ds = NULL;
    cm_save_stats stats;
    cm_error err = {0};
    setting s = {"y=100,x=1000", NULL, "none", 40000000, 3, 3};
    char path[300], line[2048];
    sprintf(path, "%s/large", root);
    cm_context_options_init(&co);
    co.threads = s.threads;
    co.max_memory = s.memory;
    TAP_CALL(cm_context_new(&co, &ctx, &err), &err);
    cm_store *store = make_source(ctx, &f);
    TAP_CALL(cm_zarr_open(ctx, store, "", "memory://source", &ds, &err), &err);
    TAP_EQ(save_one(ctx, ds, path, &s, &stats, &err), CM_ELIMIT);
    cm_error_line(&err, line, sizeof line);
    TAP_OK(strstr(line, "/v") && strstr(line, "--max-mem"));
    printf("# %s\n", line);

    cm_arena *arena = NULL; /* one read of all, and one after another into one arena */
    cm_array *a = cm_variable_array(cm_group_find_variable(cm_dataset_root(ds), "v"));
    cm_string *got = calloc(100 * 1000, sizeof *got);
    cm_error_clear(&err);
    TAP_CALL(cm_arena_new(ctx, &arena, &err), &err);
    TAP_EQ(cm_array_read(ctx, a, (int64_t[]){0, 0}, f.shape, got, NULL, arena, &err), CM_ELIMIT);
    int r = 0;
    for (int64_t y = 0; y < 100 && !r; y++) {
        cm_error_clear(&err);
        r = cm_array_read(ctx, a, (int64_t[]){y, 0}, (int64_t[]){1, 1000}, got, NULL, arena, &err);
    }
    TAP_EQ(r, CM_ELIMIT);
    cm_arena_free(arena);
    TAP_EQ(cm_context_memory_now(ctx), 0);
    free(got);
    cm_dataset_free(ds);
    cm_store_unref(store);
    cm_context_free(ctx);
}

int main(void)
{
    if (!scratch_make(root, sizeof root))
        return 1;
    TAP_RUN(more_than_memory);
    TAP_RUN(one_long);
    TAP_RUN(too_large);
    return scratch_remove(root) ? tap_done() : 1;
}
