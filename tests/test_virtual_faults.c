/* tests/test_virtual_faults.c: references are written while each allocation and each system call
 * fails once, and while the process is killed at each of the calls.
 *
 * Whatever fails, the cube is what it was (absent, or the old one) or the new one, with the cells
 * that it must have; what says that it succeeded did; and nothing else is left, neither beside the
 * target nor among the files of rewritten chunks. After a kill something may be left beside it: the
 * next run must work, and take away what was left of the target. JSON and Parquet: new, replaced,
 * appended to, with rewritten chunks.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "chunkmill.h"
#include "dataset/dataset_private.h"
#include "faults.h"
#include "scratch.h"
#include "store/local.h"
#include "store_put.h"
#include "tap.h"

enum { ROWS = 4, NARROW = 5, WIDE = 36000, MOST = 4 };

/* Files "0" and "1" are alike; "2" and "3" are wide, so that two of them are too large to be
 * written into the references, and have chunks of different shapes. -1 ends a list. */
typedef struct kind {
    const char *name, *target;
    int before[MOST]; /* the cube that is there; -1 first: none */
    int sources[MOST];
    int after[MOST];
    bool overwrite, append, materialize, no_exchange;
} kind;

static const kind kinds[] = {
    {"json", "t.json", {-1}, {0, 1, -1}, {0, 1, -1}, false, false, false, false},
    {"json, overwrite", "t.json", {1, -1}, {0, 1, -1}, {0, 1, -1}, true, false, false, false},
    {"json, append", "t.json", {0, -1}, {1, -1}, {0, 1, -1}, true, true, false, false},
    {"json, materialize", "t.json", {3, 2, -1}, {2, 3, -1}, {2, 3, -1}, true, false, true, false},
    {"parquet", "t.parq", {-1}, {0, 1, -1}, {0, 1, -1}, false, false, false, false},
    {"parquet, overwrite", "t.parq", {1, -1}, {0, 1, -1}, {0, 1, -1}, true, false, false, false},
    {"parquet, append", "t.parq", {0, 1, -1}, {1, -1}, {0, 1, 1, -1}, true, true, false, false},
    {"parquet, append in two steps",
     "t.parq",
     {0, 1, -1},
     {1, -1},
     {0, 1, 1, -1},
     true,
     true,
     false,
     true},
    {"parquet, materialize", "t.parq", {-1}, {2, 3, -1}, {2, 3, -1}, false, false, true, false},
    {"parquet, append, materialize",
     "t.parq",
     {2, 3, -1},
     {3, -1},
     {2, 3, 3, -1},
     true,
     true,
     true,
     false},
};

static char root[256];

static char *path_of(const char *name, char *path)
{
    snprintf(path, 512, "%s/%s", root, name);
    return path;
}

static int32_t cell(int file, int y, int x)
{
    return file * 1000000 + y * 100000 + x;
}

#define ARRAY(shape, chunks, names)                                                                \
    "{\"zarr_format\": 3, \"node_type\": \"array\", \"shape\": " shape                             \
    ", \"data_type\": \"int32\", \"chunk_grid\": {\"name\": \"regular\", \"configuration\": "      \
    "{\"chunk_shape\": " chunks "}}, \"chunk_key_encoding\": {\"name\": \"default\"}, "            \
    "\"fill_value\": 0, \"codecs\": [{\"name\": \"bytes\", \"configuration\": "                    \
    "{\"endian\": \"little\"}}], \"dimension_names\": " names "}"

/* n: grows along y; m: does not, and is small enough to be written into the references. */
static void make_source(int file)
{
    cm_store *s = NULL;
    cm_error err = {0};
    char path[512], name[8], key[64];
    int ny = file == 3 ? 1 : 2, nx = file < 2 ? NARROW : WIDE;
    uint8_t *chunk = malloc((size_t)(4 * ny * nx));
    sprintf(name, "%d", file);
    TAP_CALL(cm_store_open_local(NULL, path_of(name, path), 0, &s, &err), &err);
    put_text(s, "zarr.json", "{\"zarr_format\": 3, \"node_type\": \"group\", \"attributes\": {}}");
    put_text(s, "m/zarr.json", ARRAY("[3]", "[3]", "[\"z\"]"));
    put_text(s, "n/zarr.json",
             file < 2   ? ARRAY("[4, 5]", "[2, 5]", "[\"y\", \"x\"]")
             : file < 3 ? ARRAY("[4, 36000]", "[2, 36000]", "[\"y\", \"x\"]")
                        : ARRAY("[4, 36000]", "[1, 36000]", "[\"y\", \"x\"]"));
    for (int i = 0; i < 3; i++)
        cm_store_le32(chunk + 4 * i, (uint32_t)(7 * i));
    put(s, "m/c/0", chunk, 12);
    for (int y = 0; y < ROWS; y += ny) {
        for (int i = 0; i < ny * nx; i++)
            cm_store_le32(chunk + 4 * i, (uint32_t)cell(file, y + i / nx, i % nx));
        sprintf(key, "n/c/%d/0", y / ny);
        put(s, key, chunk, (size_t)(4 * ny * nx));
    }
    free(chunk);
    cm_store_unref(s);
}

static cm_context *new_context(cm_error *err)
{
    cm_context *ctx = NULL;
    cm_context_options o;
    cm_context_options_init(&o);
    o.threads = 1;
    o.max_memory = 64000000;
    return cm_context_new(&o, &ctx, err) ? NULL : ctx;
}

/* Write the references; files: what they are to. */
static int virtualize(const kind *k, const int *files, bool append, cm_error *err)
{
    char target[512], directory[512], names[MOST + 1][512];
    cm_dataset *opened[MOST + 1] = {NULL}, *joined = NULL;
    const char *sources[MOST + 1];
    size_t n = 0;
    cm_virtualize_options o;
    cm_join_options jo;
    path_of(k->target, target);
    cm_virtualize_options_init(&o);
    o.parquet = strstr(target, ".parq") != NULL;
    o.inline_nbytes = 16;
    o.record_size = o.parquet ? 3 : 0;
    o.overwrite = k->overwrite;
    o.append = append;
    o.materialize = k->materialize ? path_of("m", directory) : NULL;
    cm_join_options_init(&jo);
    jo.concat = "y";
    jo.keep_first = append;
    cm_error_clear(err);
    cm_context *ctx = new_context(err);
    int r = ctx ? 0 : err->code;
    if (r == 0 && append)
        r = cm_dataset_open(ctx, target, NULL, &opened[n], err);
    n += append;
    for (int i = 0; r == 0 && files[i] >= 0; i++, n++) {
        snprintf(names[n], sizeof names[n], "%.400s/%d", root, files[i]);
        r = cm_dataset_open(ctx, names[n], NULL, &opened[n], err);
        sources[n - append] = names[n];
    }
    if (r == 0)
        r = cm_dataset_join(ctx, opened, n, &jo, &joined, err);
    if (r == 0)
        r = cm_virtualize(ctx, joined, sources, n - append, target, &o, NULL, err);
    cm_dataset_free(joined);
    for (size_t i = 0; i < MOST + 1; i++)
        cm_dataset_free(opened[i]);
    cm_context_free(ctx);
    return r;
}

/* Is the target the cube of these files, cell by cell? */
static bool is_cube(cm_context *ctx, const kind *k, const int *files)
{
    char path[512];
    static const int64_t zeros[2];
    int32_t m[3] = {0}, *cells = malloc(sizeof *cells * MOST * ROWS * WIDE);
    cm_dataset *ds = NULL;
    cm_error err = {0};
    int64_t nrows = 0, nx = files[0] < 2 ? NARROW : WIDE;
    while (files[nrows] >= 0)
        nrows++;
    nrows *= ROWS;
    bool good = cm_dataset_open(ctx, path_of(k->target, path), NULL, &ds, &err) == 0;
    cm_variable *vn = good ? cm_group_find_variable(cm_dataset_root(ds), "n") : NULL;
    cm_variable *vm = good ? cm_group_find_variable(cm_dataset_root(ds), "m") : NULL;
    good = vn && vm && vn->array && vn->array->shape[0] == nrows && vn->array->shape[1] == nx;
    good = good && !cm_array_read(ctx, cm_variable_array(vn), zeros, (int64_t[]){nrows, nx}, cells,
                                  NULL, NULL, &err);
    good = good &&
           !cm_array_read(ctx, cm_variable_array(vm), zeros, (int64_t[]){3}, m, NULL, NULL, &err);
    for (int64_t y = 0; good && y < nrows; y++)
        for (int x = 0; good && x < nx; x++)
            good = cells[y * nx + x] == cell(files[y / ROWS], (int)(y % ROWS), x);
    free(cells);
    cm_dataset_free(ds);
    return good && m[0] == 0 && m[1] == 7 && m[2] == 14;
}

/* ---- the directory --------------------------------------------------------------------------- */

static void empty(const char *path)
{
    cm_error err = {0};
    struct stat st;
    if (lstat(path, &st) == 0 && unlink(path) != 0)
        TAP_CALL(cm_local_remove_tree(path, &err), &err);
}

/* Names in the directory that do not belong there; they are removed if asked to. */
static int strangers(bool remove)
{
    char path[512];
    int n = 0;
    DIR *d = opendir(root);
    for (struct dirent *e; d && (e = readdir(d));) {
        const char *s = e->d_name;
        if ((s[0] >= '0' && s[0] <= '3' && !s[1]) || !strcmp(s, ".") || !strcmp(s, "..") ||
            !strcmp(s, "m") || !strcmp(s, "t.json") || !strcmp(s, "t.parq"))
            continue;
        n++;
        if (remove)
            empty(path_of(s, path));
    }
    closedir(d);
    return n;
}

static int rewritten_files(void)
{
    char path[512];
    int n = 0;
    DIR *d = opendir(path_of("m", path));
    for (struct dirent *e; d && (e = readdir(d));)
        n += e->d_name[0] != '.' || strlen(e->d_name) > 2;
    if (d)
        closedir(d);
    return n;
}

/* Make everything as it is before. */
static void prepare(const kind *k)
{
    char path[512];
    cm_error err = {0};
    empty(path_of(k->target, path));
    empty(path_of("m", path));
    strangers(true);
    if (k->before[0] >= 0)
        TAP_CALL(virtualize(k, k->before, false, &err), &err);
}

/* 0 neither, 1 as before, 2 the new cube. */
static int state(cm_context *ctx, const kind *k)
{
    char path[512];
    if (access(path_of(k->target, path), F_OK) != 0)
        return k->before[0] < 0;
    if (is_cube(ctx, k, k->after))
        return 2;
    return k->before[0] >= 0 && is_cube(ctx, k, k->before);
}

/* ---- failing --------------------------------------------------------------------------------- */

static bool check(const kind *k, int is, int files_before, int r, const cm_error *err)
{
    int files = rewritten_files(), beside = strangers(true);
    if (r && is == 2 && strstr(err->message, "is left beside it"))
        beside = 0;
    if (r && !err->message[0])
        return false;
    if (beside || !is || (r == 0 && is != 2))
        return false;
    if (!k->materialize || files == files_before + (is == 2 && (!k->overwrite || k->append)))
        return true;
    return is == 2 && files > files_before && !k->append; /* a file could not be found to go */
}

static void run_kind(cm_context *ctx, const kind *k, int os_errno)
{
    int64_t failed = 0, n = 0;
    bool dirty = true;
    for (bool fired = true; fired; n++) {
        cm_error err;
        if (dirty)
            prepare(k);
        int files_before = rewritten_files();
        if (os_errno)
            fault_call_at(n, os_errno);
        else
            fault_malloc_at(n);
        fault_no_renameat2(k->no_exchange);
        int r = virtualize(k, k->sources, k->append, &err);
        fired = fault_end();
        failed += r != 0;
        int is = state(ctx, k);
        bool good = check(k, is, files_before, r, &err) && (fired || r == 0);
        dirty = !good || r == 0 || is != 1;
        if (r && !os_errno)
            good = good && r == CM_ENOMEM;
        if (!TAP_OK(good)) {
            char line[2048];
            printf("# %s, %s %lld: %s\n", k->name, os_errno ? "call" : "allocation", (long long)n,
                   r ? cm_error_line(&err, line, sizeof line) : "no error");
        }
    }
    printf("# %s: %lld %s, failed at %lld of them\n", k->name, (long long)n - 1,
           os_errno ? "calls" : "allocations", (long long)failed);
    TAP_OK(failed > (os_errno ? 10 : 100));
}

static void allocations(void)
{
    cm_error err = {0};
    cm_context *ctx = new_context(&err);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        run_kind(ctx, &kinds[i], 0);
    cm_context_free(ctx);
}

static void calls(void)
{
    cm_error err = {0};
    cm_context *ctx = new_context(&err);
    static const int errnos[] = {EIO, ENOSPC, EACCES};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        run_kind(ctx, &kinds[i], errnos[i % 3]);
    cm_context_free(ctx);
}

/* ---- killed ---------------------------------------------------------------------------------- */

/* Under a sanitizer a fork is slow, and a killed process tells nothing of its memory. */
#ifdef __SANITIZE_ADDRESS__
enum { KILL_STEP = 5 };
#else
enum { KILL_STEP = 1 };
#endif
enum { AGAIN_STEP = 4 };

/* true: the child was killed at its n-th call. */
static bool killed_at(const kind *k, int64_t n)
{
    int status = 0;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        cm_error err;
        fault_kill_at(n);
        fault_no_renameat2(k->no_exchange);
        int r = virtualize(k, k->sources, k->append, &err);
        fault_end();
        _exit(r ? 1 : 0);
    }
    TAP_OK(child > 0 && waitpid(child, &status, 0) == child);
    TAP_OK(WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
    return WIFSIGNALED(status);
}

static void kill_kind(cm_context *ctx, const kind *k)
{
    int64_t n = 0, olds = 0;
    cm_error err;
    bool dirty = true;
    for (bool killed = true; killed; n += KILL_STEP) {
        if (dirty)
            prepare(k);
        dirty = true;
        killed = killed_at(k, n);
        int is = state(ctx, k);
        /* Where two directories cannot be exchanged there is a moment without any: the old cube is
         * whole beside it. */
        if (!is && k->no_exchange && killed) {
            char path[512];
            bool absent = access(path_of(k->target, path), F_OK) != 0;
            TAP_OK(absent && strangers(false) == 2);
            continue;
        }
        olds += is == 1;
        if (!TAP_OK(is == 2 || (is == 1 && killed)))
            printf("# %s, killed at call %lld\n", k->name, (long long)n);
        if (is == 1 && n / KILL_STEP % AGAIN_STEP) {
            dirty = false;
            strangers(true);
        } else if (is == 1) { /* and the next run works, and sweeps */
            TAP_CALL(virtualize(k, k->sources, k->append, &err), &err);
            TAP_EQ(state(ctx, k), 2);
            TAP_EQ(strangers(false), 0);
        }
    }
    printf("# %s: killed at up to %lld calls, %lld times before the new one\n", k->name,
           (long long)n, (long long)olds);
    TAP_OK(olds > 2);
}

static void kills(void)
{
    cm_error err = {0};
    cm_context *ctx = new_context(&err);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        kill_kind(ctx, &kinds[i]);
    cm_context_free(ctx);
}

int main(void)
{
    if (!scratch_make(root, sizeof root))
        return 1;
    for (int i = 0; i < 4; i++)
        make_source(i);
    TAP_RUN(allocations);
    TAP_RUN(calls);
    TAP_RUN(kills);
    return scratch_remove(root) ? tap_done() : 1;
}
