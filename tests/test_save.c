/* tests/test_save.c: whole saves against callback arrays whose values depend on position.
 *
 * Random shapes, source chunks, target chunks, shards, modes, memory limits and threads; the target
 * is read back and every cell compared with what the callback says.
 */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chunkmill.h"
#include "dataset/dataset_private.h"
#include "scratch.h"
#include "tap.h"

static uint64_t seed;

typedef struct field {
    int ndim;
    int64_t shape[4];
    int64_t fill_below; /* cells before this index of axis 0 hold the fill value */
} field;

static uint32_t value_at(const field *f, const int64_t *x)
{
    uint64_t v = 0;
    if (f->ndim && x[0] < f->fill_below)
        return 0;
    for (int i = 0; i < f->ndim; i++)
        v = v * (uint64_t)f->shape[i] + (uint64_t)x[i];
    return (uint32_t)(v * 2654435761u);
}

static int fill(void *user, const int64_t *start, const int64_t *count, void *dst, cm_error *err)
{
    field *f = user;
    uint32_t *p = dst;
    int64_t i[4] = {0}, x[4];
    (void)err;
    do {
        for (int k = 0; k < f->ndim; k++)
            x[k] = start[k] + i[k];
        *p++ = value_at(f, x);
    } while (cm_next(f->ndim, count, i));
    return 0;
}

static int64_t between(int64_t lo, int64_t hi)
{
    return lo + (int64_t)(tap_random(&seed) % (uint64_t)(hi - lo + 1));
}

static char *spec_of(int ndim, const int64_t *n, char *buf)
{
    int at = 0;
    for (int i = 0; i < ndim; i++)
        at += sprintf(buf + at, "%sd%d=%lld", i ? "," : "v:", i, (long long)n[i]);
    return buf;
}

static int check(cm_context *ctx, const char *path, const field *f, cm_error *err)
{
    cm_dataset *ds = NULL;
    int64_t zero[4] = {0}, n = 1, i[4] = {0}, bad = 0;
    int r = cm_dataset_open(ctx, path, NULL, &ds, err);
    if (r)
        return r;
    cm_variable *v = cm_group_find_variable(cm_dataset_root(ds), "v");
    for (int k = 0; k < f->ndim; k++)
        n *= f->shape[k];
    uint32_t *got = calloc((size_t)n + 1, 4), *p = got;
    if (v && v->array)
        r = cm_array_read(ctx, v->array, zero, f->shape, got, NULL, NULL, err);
    else
        r = cm_error_set(err, CM_EDATA, "no array");
    if (!r && n)
        do
            bad += *p++ != value_at(f, i);
        while (cm_next(f->ndim, f->shape, i));
    if (!r && bad)
        r = cm_error_set(err, CM_EDIFF, "%lld of %lld cells differ", (long long)bad, (long long)n);
    free(got);
    cm_dataset_free(ds);
    return r;
}

/* All tasks in two ranges, which can come in no other order. */
static int run_in_two(cm_save *save, cm_error *err)
{
    int64_t n = cm_save_ntasks(save), half = between(0, n);
    int r = cm_save_run(save, 0, half, err);
    if (r)
        return r;
    TAP_EQ(cm_save_run(save, half + 1, half + 1, NULL), CM_EINVAL);
    TAP_EQ(cm_save_run(save, -1, half, NULL), CM_EINVAL);
    if (half > 0)
        TAP_EQ(cm_save_run(save, 0, n, NULL), CM_EINVAL);
    if (half < n)
        TAP_EQ(cm_save_commit(save, NULL), CM_EINVAL);
    return cm_save_run(save, half, n, err);
}

static const char *const mode_names[] = {"auto", "sweep", "reread", "spill"};

static int one(const char *path, int mode, uint64_t memory, int threads, const field *f,
               const int64_t *source, const int64_t *chunk, const int64_t *shard, int format,
               const char *codec, bool skip_empty, cm_error *err)
{
    cm_context_options co;
    cm_context *ctx = NULL;
    cm_dataset *ds = NULL;
    cm_array *a = NULL;
    cm_variable *v;
    cm_save *save = NULL;
    cm_save_options so;
    char chunks[256], shards[256], name[16];
    cm_context_options_init(&co);
    co.threads = threads;
    co.max_memory = memory;
    int r = cm_context_new(&co, &ctx, err);
    if (!r)
        r = cm_dataset_new(ctx, "memory", "callback", &ds, err);
    if (!r)
        r = cm_group_add_variable(ds->root, "v", &v, err);
    if (!r)
        r = cm_array_from_callback(cm_dtype_of(CM_UINT32, 0), f->ndim, f->shape, source, fill,
                                   (void *)(uintptr_t)f, NULL, &a, err);
    if (!r) {
        cm_variable_set_array(v, a);
        for (int i = 0; i < f->ndim && !r; i++) {
            sprintf(name, "d%d", i);
            r = cm_variable_set_dimension(v, i, name, err);
        }
    }
    cm_save_options_init(&so);
    const char *c = spec_of(f->ndim, chunk, chunks),
               *s = shard ? spec_of(f->ndim, shard, shards) : NULL;
    so.chunks = &c;
    so.nchunks = f->ndim > 0;
    so.shards = &s;
    so.nshards = shard != NULL && f->ndim > 0;
    so.codecs = &codec;
    so.ncodecs = 1;
    so.zarr_format = format;
    so.mode = (cm_save_mode)mode;
    so.overwrite = true;
    so.skip_empty = skip_empty;
    if (!r)
        r = cm_save_plan(ctx, ds, NULL, 0, path, &so, &save, err);
    if (!r)
        r = run_in_two(save, err);
    if (!r)
        r = cm_save_commit(save, err);
    cm_save_free(save);
    cm_dataset_free(ds);
    if (!r)
        r = check(ctx, path, f, err);
    cm_context_free(ctx);
    return r;
}

static char root[256];

static void random_saves(void)
{
    static const char *const codecs[] = {"none", "zstd:1", "blosc:lz4:5:shuffle", "gzip:1"};
    int done = 0, refused = 0;
    for (int round = 0; round < 400; round++) {
        field f = {.ndim = (int)between(0, 4)};
        int64_t source[4], chunk[4], shard[4];
        uint64_t started = seed;
        bool sharded = between(0, 2) == 0;
        int format = sharded ? 3 : (int)between(2, 3);
        int mode = (int)between(0, 3);
        for (int i = 0; i < f.ndim; i++) {
            f.shape[i] = between(0, 12) == 0 ? 0
                                             : between(1, f.ndim == 1   ? 300
                                                          : f.ndim == 2 ? 60
                                                                        : 20);
            source[i] = between(1, f.shape[i] + 3);
            chunk[i] = between(1, f.shape[i] > 1 ? f.shape[i] : 1);
            shard[i] = chunk[i] * between(1, 4);
        }
        char path[300];
        sprintf(path, "%s/s%d", root, round % 4);
        cm_error err;
        cm_error_clear(&err);
        int r = one(path, mode, 16000000 + (uint64_t)between(0, 100000000), (int)between(1, 4), &f,
                    source, chunk, sharded ? shard : NULL, format, codecs[between(0, 3)],
                    between(0, 1), &err);
        if (r == CM_ELIMIT && mode == 1) {
            refused++;
            continue;
        }
        done++;
        if (!TAP_OK(r == 0)) {
            char line[2048];
            printf("# round %d (seed %llu) mode %s format %d: %s\n", round,
                   (unsigned long long)started, mode_names[mode], format,
                   cm_error_line(&err, line, sizeof line));
        }
    }
    printf("# %d saves, %d refused\n", done, refused);
    TAP_OK(done > 300);
}

/* Arrays that do not fit: sliding sweeps, re-reads and spills with the least memory there is. */
static void larger_than_memory(void)
{
    static const struct {
        int ndim;
        int64_t shape[4], source[4], chunk[4];
    } cases[] = {{2, {4001, 1500}, {97, 1500}, {100, 1500}},
                 {2, {1500, 4001}, {1500, 97}, {1500, 100}},
                 {2, {3000, 2500}, {211, 190}, {199, 230}},
                 {3, {700, 90, 120}, {1, 90, 120}, {700, 7, 9}},
                 {3, {90, 300, 300}, {7, 300, 300}, {90, 10, 31}},
                 {2, {6000, 1000}, {6000, 1}, {3, 1000}},
                 {1, {7000003}, {1000003}, {999983}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int mode = 0; mode < 4; mode++) {
            field f = {.ndim = cases[i].ndim};
            memcpy(f.shape, cases[i].shape, sizeof f.shape);
            char path[300];
            sprintf(path, "%s/l", root);
            cm_error err;
            cm_error_clear(&err);
            int r = one(path, mode, i == 6 ? 64000000 : 16000000, 2, &f, cases[i].source,
                        cases[i].chunk, NULL, 3, "zstd:1", false, &err);
            if (r && !(mode == 1 && r == CM_ELIMIT)) {
                char line[2048];
                TAP_OK(r == 0);
                printf("# case %zu mode %s: %s\n", i, mode_names[mode],
                       cm_error_line(&err, line, sizeof line));
            } else {
                printf("# case %zu mode %s: %s\n", i, mode_names[mode], r ? "refused" : "done");
            }
        }
}

/* Chunks of more than a megabyte that come out of a spill are read, encoded and put in slabs. */
static void chunks_in_slabs(void)
{
    static const char *const codecs[] = {"none", "zstd:1", "zstd:9", "blosc:lz4:5:shuffle"};
    for (int round = 0; round < 40; round++) {
        field f = {.ndim = (int)between(1, 3)};
        int64_t source[4] = {0}, chunk[4] = {0};
        uint64_t started = seed;
        int64_t inner = 1;
        for (int i = f.ndim - 1; i > 0; i--) {
            chunk[i] = between(1, 25);
            f.shape[i] = chunk[i] * between(0, 2) + between(1, 20);
            source[i] = between(1, f.shape[i]);
            inner *= chunk[i];
        }
        chunk[0] = (1 << 18) / inner + between(0, 20000);
        f.shape[0] = chunk[0] * between(0, 1) + between(1, chunk[0]);
        source[0] = between(1 + f.shape[0] / 40, f.shape[0]);
        f.fill_below = between(0, 1) ? between(0, f.shape[0]) : 0;
        char path[300];
        sprintf(path, "%s/c", root);
        cm_error err;
        cm_error_clear(&err);
        int r = one(path, CM_MODE_SPILL, 160000000, 2, &f, source, chunk, NULL, (int)between(2, 3),
                    codecs[between(0, 3)], between(0, 1), &err);
        if (!TAP_OK(r == 0)) {
            char line[2048];
            printf("# round %d (seed %llu): %s\n", round, (unsigned long long)started,
                   cm_error_line(&err, line, sizeof line));
        }
    }
}

static int make_directory(const char *name, const char *file)
{
    char path[400];
    FILE *f;
    if (mkdir(name, 0777) != 0)
        return -1;
    snprintf(path, sizeof path, "%s/%s", name, file);
    f = fopen(path, "w");
    return f ? fclose(f) : -1;
}

/* A store that is to be replaced may be gone when the new one is whole, or another thing. */
static void replaced_meanwhile(void)
{
    for (int other = 0; other < 2; other++) {
        char path[300], old[300], file[400];
        snprintf(path, sizeof path, "%s/r%d", root, other);
        snprintf(old, sizeof old, "%s/old%d", root, other);
        TAP_EQ(make_directory(path, "zarr.json"), 0);
        cm_context *ctx = NULL;
        cm_dataset *ds = NULL;
        cm_save *save = NULL;
        cm_save_options so;
        cm_error err = {0};
        cm_save_options_init(&so);
        so.overwrite = true;
        TAP_CALL(cm_context_new(NULL, &ctx, &err), &err);
        TAP_CALL(cm_dataset_new(ctx, "memory", "callback", &ds, &err), &err);
        TAP_CALL(cm_save_plan(ctx, ds, NULL, 0, path, &so, &save, &err), &err);
        TAP_CALL(cm_save_run(save, 0, cm_save_ntasks(save), &err), &err);
        TAP_EQ(rename(path, old), 0);
        if (other)
            TAP_EQ(make_directory(path, "precious"), 0);
        TAP_EQ(cm_save_commit(save, &err), other ? CM_EEXIST : 0);
        cm_save_free(save);
        snprintf(file, sizeof file, "%s/%s", path, other ? "precious" : "zarr.json");
        TAP_EQ(access(file, F_OK), 0);
        cm_dataset_free(ds);
        cm_context_free(ctx);
    }
}

int main(void)
{
    seed = tap_seed();
    if (!scratch_make(root, sizeof root))
        return 1;
    TAP_RUN(random_saves);
    TAP_RUN(larger_than_memory);
    TAP_RUN(chunks_in_slabs);
    TAP_RUN(replaced_meanwhile);
    return scratch_remove(root) ? tap_done() : 1;
}
