/* bench/chunkmill_bench.c: reading a Zarr array in the ways that other engines are measured.
 *
 *   chunkmill-bench read-all PATH                    the whole array into fresh memory
 *   chunkmill-bench chunks PATH [--concurrency N]    chunk by chunk (shard by shard), N at once
 *   chunkmill-bench inner PATH [--concurrency N]     inner chunk by inner chunk of a sharded array
 *   chunkmill-bench files DIR [--concurrency N]      every variable of every file, N files at once
 *   chunkmill-bench floor DIR                        read(2) of every file into fresh memory
 *                                                    on two threads: nobody is faster
 *
 * One JSON line: in_s, seconds from making the context to the last cell; gb_s of decoded cells. It
 * is a small program over the public C API, as a user would write it.
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "chunkmill.h"

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *fresh(size_t nbytes)
{
    void *p = mmap(NULL, nbytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    madvise(p, nbytes, MADV_HUGEPAGE);
    return p;
}

static int fail(const cm_error *err)
{
    char line[2048];
    fprintf(stderr, "chunkmill-bench: %s\n", cm_error_line(err, line, sizeof line));
    return 1;
}

static cm_variable *first_variable(const cm_group *g)
{
    if (cm_group_nvariables(g))
        return cm_group_variable(g, 0);
    for (size_t i = 0; i < cm_group_ngroups(g); i++) {
        cm_variable *v = first_variable(cm_group_at(g, i));
        if (v)
            return v;
    }
    return NULL;
}

typedef struct boxes {
    cm_context *ctx;
    cm_array *array;
    int64_t step[CM_MAX_DIMS], grid[CM_MAX_DIMS], total;
    atomic_llong next;
    size_t nbytes;
    atomic_int failed;
} boxes;

static void *reader(void *arg)
{
    boxes *b = arg;
    int nd = cm_array_ndim(b->array);
    const int64_t *shape = cm_array_shape(b->array);
    void *buffer = fresh(b->nbytes);
    for (;;) {
        int64_t i = atomic_fetch_add(&b->next, 1), lo[CM_MAX_DIMS], n[CM_MAX_DIMS];
        if (i >= b->total || b->failed)
            break;
        for (int k = nd - 1; k >= 0; k--) {
            lo[k] = i % b->grid[k] * b->step[k];
            n[k] = lo[k] + b->step[k] > shape[k] ? shape[k] - lo[k] : b->step[k];
            i /= b->grid[k];
        }
        cm_error err;
        cm_error_clear(&err);
        if (cm_array_read(b->ctx, b->array, lo, n, buffer, NULL, NULL, &err))
            b->failed = fail(&err);
    }
    munmap(buffer, b->nbytes);
    return NULL;
}

static int read_boxes(cm_context *ctx, cm_array *a, const int64_t *step, int concurrency)
{
    boxes b = {.ctx = ctx, .array = a, .total = 1, .nbytes = cm_array_dtype(a).size};
    pthread_t threads[256];
    for (int i = 0; i < cm_array_ndim(a); i++) {
        b.step[i] = step[i];
        b.grid[i] = (cm_array_shape(a)[i] + step[i] - 1) / step[i];
        b.total *= b.grid[i];
        b.nbytes *= (size_t)step[i];
    }
    for (int i = 0; i < concurrency; i++)
        pthread_create(&threads[i], NULL, reader, &b);
    for (int i = 0; i < concurrency; i++)
        pthread_join(threads[i], NULL);
    return b.failed;
}

static int read_array(const char *what, const char *path, int concurrency)
{
    cm_error err;
    cm_context *ctx = NULL;
    cm_dataset *ds = NULL;
    double t = now();
    cm_error_clear(&err);
    if (cm_context_new(NULL, &ctx, &err) || cm_dataset_open(ctx, path, NULL, &ds, &err))
        return fail(&err);
    cm_variable *v = first_variable(cm_dataset_root(ds));
    cm_array *a = v ? cm_variable_array(v) : NULL;
    if (!a) {
        fprintf(stderr, "chunkmill-bench: %s holds no readable array\n", path);
        return 1;
    }
    const cm_storage *s = cm_variable_storage(v);
    int64_t zero[CM_MAX_DIMS] = {0};
    double nbytes = cm_array_dtype(a).size;
    for (int i = 0; i < cm_array_ndim(a); i++)
        nbytes *= (double)cm_array_shape(a)[i];
    int r;
    if (strcmp(what, "read-all") == 0) {
        void *p = fresh((size_t)nbytes);
        r = cm_array_read(ctx, a, zero, cm_array_shape(a), p, NULL, NULL, &err) ? fail(&err) : 0;
    } else {
        bool shards = strcmp(what, "chunks") == 0 && s->shards;
        r = read_boxes(ctx, a, shards ? s->shards : s->chunks, concurrency);
    }
    t = now() - t;
    printf("{\"in_s\": %.4f, \"gb_s\": %.3f}\n", t, nbytes / t / 1e9);
    cm_dataset_free(ds);
    cm_context_free(ctx);
    return r;
}

/* ---- many files ------------------------------------------------------------------------------ */

typedef struct files {
    char **paths;
    size_t n, nbytes;
    size_t *offsets, *sizes;
    char *memory; /* the floor's */
    atomic_size_t next;
    cm_context *ctx;
    atomic_llong decoded;
    atomic_int failed;
} files;

static void find_files(files *f, const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    while (d && (e = readdir(d))) {
        char path[4096];
        struct stat st;
        int k = snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        if (e->d_name[0] == '.' || k >= (int)sizeof path || stat(path, &st))
            continue;
        if (S_ISDIR(st.st_mode)) {
            find_files(f, path);
            continue;
        }
        f->paths = realloc(f->paths, (f->n + 1) * sizeof *f->paths);
        f->offsets = realloc(f->offsets, (f->n + 1) * sizeof *f->offsets);
        f->sizes = realloc(f->sizes, (f->n + 1) * sizeof *f->sizes);
        f->paths[f->n] = strdup(path);
        f->offsets[f->n] = f->nbytes;
        f->sizes[f->n++] = (size_t)st.st_size;
        f->nbytes += (size_t)st.st_size;
    }
    if (d)
        closedir(d);
}

/* Every variable of a group and of those below it, whole, into memory that grows as needed. */
static int read_group(cm_context *ctx, const cm_group *g, void **memory, size_t *room,
                      double *nbytes, cm_error *err)
{
    int64_t zero[CM_MAX_DIMS] = {0};
    int r = 0;
    for (size_t i = 0; i < cm_group_nvariables(g) && !r; i++) {
        cm_array *a = cm_variable_array(cm_group_variable(g, i));
        cm_arena *arena = NULL;
        if (!a)
            continue;
        size_t n = cm_array_dtype(a).size;
        for (int k = 0; k < cm_array_ndim(a); k++)
            n *= (size_t)cm_array_shape(a)[k];
        if (n > *room) {
            free(*memory);
            *memory = malloc(*room = n);
        }
        if (cm_array_dtype(a).kind == CM_STRING)
            r = cm_arena_new(ctx, &arena, err);
        if (!r)
            r = cm_array_read(ctx, a, zero, cm_array_shape(a), *memory, NULL, arena, err);
        cm_arena_free(arena);
        *nbytes += (double)n;
    }
    for (size_t i = 0; i < cm_group_ngroups(g) && !r; i++)
        r = read_group(ctx, cm_group_at(g, i), memory, room, nbytes, err);
    return r;
}

static void *file_reader(void *arg)
{
    files *f = arg;
    void *memory = NULL;
    size_t room = 0;
    double nbytes = 0;
    for (size_t i; (i = atomic_fetch_add(&f->next, 1)) < f->n && !f->failed;) {
        cm_dataset *ds = NULL;
        cm_error err;
        cm_error_clear(&err);
        int r = cm_dataset_open(f->ctx, f->paths[i], NULL, &ds, &err);
        if (!r)
            r = read_group(f->ctx, cm_dataset_root(ds), &memory, &room, &nbytes, &err);
        if (r)
            f->failed = fail(&err);
        cm_dataset_free(ds);
    }
    free(memory);
    atomic_fetch_add(&f->decoded, (long long)nbytes);
    return NULL;
}

static int read_files(const char *dir, int concurrency)
{
    files f = {0};
    pthread_t threads[256];
    cm_error err;
    find_files(&f, dir);
    double t = now();
    cm_error_clear(&err);
    if (cm_context_new(NULL, &f.ctx, &err))
        return fail(&err);
    for (int i = 0; i < concurrency; i++)
        pthread_create(&threads[i], NULL, file_reader, &f);
    for (int i = 0; i < concurrency; i++)
        pthread_join(threads[i], NULL);
    t = now() - t;
    printf("{\"in_s\": %.4f, \"gb_s\": %.3f, \"files\": %zu}\n", t, (double)f.decoded / t / 1e9,
           f.n);
    cm_context_free(f.ctx);
    return f.failed;
}

/* ---- the floor ------------------------------------------------------------------------------- */

static void *floor_reader(void *arg)
{
    files *f = arg;
    for (size_t i; (i = atomic_fetch_add(&f->next, 1)) < f->n;) {
        int fd = open(f->paths[i], O_RDONLY);
        size_t done = 0;
        for (ssize_t k = 1; k > 0 && done<f->sizes[i]; done += k> 0 ? (size_t)k : 0)
            k = read(fd, f->memory + f->offsets[i] + done, f->sizes[i] - done);
        close(fd);
    }
    return NULL;
}

static int read_floor(const char *dir)
{
    files f = {0};
    pthread_t threads[2];
    find_files(&f, dir);
    double t = now();
    f.memory = fresh(f.nbytes + 1);
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, floor_reader, &f);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    t = now() - t;
    printf("{\"in_s\": %.4f, \"gb_s\": %.3f, \"files\": %zu}\n", t, (double)f.nbytes / t / 1e9,
           f.n);
    return 0;
}

int main(int argc, char **argv)
{
    long concurrency = 2;
    bool good = argc == 3;
    if (argc == 5 && strcmp(argv[3], "--concurrency") == 0) {
        concurrency = strtol(argv[4], NULL, 10);
        good = concurrency >= 1 && concurrency <= 256;
    }
    if (good && strcmp(argv[1], "files") == 0)
        return read_files(argv[2], (int)concurrency);
    if (good && strcmp(argv[1], "floor") == 0)
        return read_floor(argv[2]);
    if (good &&
        (!strcmp(argv[1], "read-all") || !strcmp(argv[1], "chunks") || !strcmp(argv[1], "inner")))
        return read_array(argv[1], argv[2], (int)concurrency);
    fprintf(stderr,
            "usage: chunkmill-bench read-all|chunks|inner|files|floor PATH [--concurrency N]\n");
    return 2;
}
