/* tests/test_save_faults.c: whole saves in which each allocation and each system call fails once.
 *
 * Whatever fails, the target is as it was (absent, or the old store when it is to be overwritten)
 * or whole, and nothing else is left in the directory. A save that says that it succeeded did. Each
 * kind of save is small, so that every point of failure is tried: from the opening of the source to
 * the commit. Numbers and strings, Zarr v2 and v3, shards, a scratch file, flushing.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bytes.h"
#include "chunkmill.h"
#include "dataset/dataset_private.h"
#include "faults.h"
#include "scratch.h"
#include "store/store.h"
#include "store_put.h"
#include "tap.h"
#include "verify/diff_array.h"

typedef struct kind {
    const char *name, *chunks, *shards, *codec;
    int format, durability;
    cm_save_mode mode;
    bool overwrite, skip_empty, zip;
    bool no_exchange; /* the file system cannot exchange two names */
} kind;

static const kind kinds[] = {
    {"v3", "y=3,x=2", NULL, "zstd:1", 3, 0, CM_MODE_AUTO, false, false},
    {"v2, flushed", "y=7,x=5", NULL, "gzip:1", 2, 2, CM_MODE_AUTO, false, true},
    {"shards", "y=2,x=3", "y=4,x=6", "blosc:lz4:1:shuffle", 3, 1, CM_MODE_AUTO, false, false},
    {"spill", "y=7,x=1", NULL, "none", 3, 0, CM_MODE_SPILL, false, false},
    {"overwrite", "y=7,x=5", NULL, "none", 2, 0, CM_MODE_REREAD, true, false},
    {"zip", "y=3,x=2", NULL, "zstd:1", 3, 2, CM_MODE_AUTO, false, false, true},
    {"overwrite in two steps", "y=7,x=5", NULL, "none", 2, 2, CM_MODE_REREAD, true, false, false,
     true},
    {"zip, overwrite", "y=7,x=5", NULL, "none", 2, 0, CM_MODE_SPILL, true, false, true},
};

static char root[256];

static const char *target_of(const kind *k)
{
    return k->zip ? "target.zip" : "target";
}

static char *path_of(const char *name, char *path)
{
    snprintf(path, 512, "%s/%s", root, name);
    return path;
}

#define ARRAY(type, chunk, codec)                                                                  \
    "{\"zarr_format\": 3, \"node_type\": \"array\", \"shape\": [7, 5], \"data_type\": \"" type     \
    "\", \"chunk_grid\": {\"name\": \"regular\", \"configuration\": {\"chunk_shape\": " chunk      \
    "}}, \"chunk_key_encoding\": {\"name\": \"default\"}, \"fill_value\": " codec                  \
    ", \"dimension_names\": [\"y\", \"x\"], \"attributes\": {\"units\": \"K\"}}"

/* n: a variable of numbers in 4 chunks; t: one of strings in 2; seed changes every value. */
static void make_source(const char *name, int seed)
{
    cm_store *s = NULL;
    cm_error err = {0};
    char path[512], key[64];
    TAP_CALL(cm_store_open_local(NULL, path_of(name, path), 0, &s, &err), &err);
    put_text(s, "zarr.json",
             "{\"zarr_format\": 3, \"node_type\": \"group\", \"attributes\": {\"title\": \"x\"}}");
    put_text(s, "g/zarr.json", "{\"zarr_format\": 3, \"node_type\": \"group\"}");
    put_text(s, "n/zarr.json",
             ARRAY("int32", "[4, 3]",
                   "0, \"codecs\": [{\"name\": \"bytes\", \"configuration\": "
                   "{\"endian\": \"little\"}}]"));
    put_text(s, "t/zarr.json",
             ARRAY("string", "[4, 5]", "\"\", \"codecs\": [{\"name\": \"vlen-utf8\"}]"));
    for (int y = 0; y < 2; y++) {
        for (int x = 0; x < 2; x++) {
            uint8_t chunk[48];
            for (int i = 0; i < 12; i++)
                cm_store_le32(chunk + 4 * i,
                              (uint32_t)((y * 4 + i / 3) * 100 + x * 3 + i % 3 + seed));
            sprintf(key, "n/c/%d/%d", y, x);
            put(s, key, chunk, sizeof chunk);
        }
        char text[1024];
        size_t at = 4;
        cm_store_le32(text, 20);
        for (int i = 0; i < 20; i++) {
            int n = sprintf(text + at + 4, "%.*s%d", i, "abcdefghijklmnopqrst", y * 20 + i + seed);
            cm_store_le32(text + at, (uint32_t)n);
            at += 4 + (size_t)n;
        }
        sprintf(key, "t/c/%d/0", y);
        put(s, key, text, at);
    }
    cm_store_unref(s);
}

static int save(const kind *k, const char *from, cm_error *err)
{
    char source[512], target[512];
    cm_context_options co;
    cm_context *ctx = NULL;
    cm_dataset *ds = NULL;
    cm_save *s = NULL;
    cm_save_options o;
    cm_context_options_init(&co);
    co.threads = 1;
    co.max_memory = 64000000;
    cm_save_options_init(&o);
    o.chunks = &k->chunks;
    o.nchunks = 1;
    o.shards = &k->shards;
    o.nshards = k->shards != NULL;
    o.codecs = &k->codec;
    o.ncodecs = 1;
    o.zarr_format = k->format;
    o.durability = k->durability;
    o.mode = k->mode;
    o.overwrite = k->overwrite;
    o.skip_empty = k->skip_empty;
    path_of(from, source);
    path_of(target_of(k), target);
    const char *sources[] = {source};
    cm_error_clear(err);
    int r = cm_context_new(&co, &ctx, err);
    if (!r)
        r = cm_dataset_open(ctx, source, NULL, &ds, err);
    if (!r)
        r = cm_save_plan(ctx, ds, sources, 1, target, &o, &s, err);
    if (!r)
        r = cm_save_run(s, 0, cm_save_ntasks(s), err);
    if (!r)
        r = cm_save_commit(s, err);
    cm_save_free(s);
    cm_dataset_free(ds);
    cm_context_free(ctx);
    return r;
}

static bool same_variable(cm_context *ctx, cm_dataset *a, cm_dataset *b, const char *name,
                          cm_error *err)
{
    cm_array *v[2] = {NULL, NULL};
    cm_dataset *ds[2] = {a, b};
    for (int k = 0; k < 2; k++) {
        cm_variable *x = cm_group_find_variable(cm_dataset_root(ds[k]), name);
        v[k] = x ? cm_variable_array(x) : NULL;
        if (!v[k])
            return false;
    }
    cm_array_diff d;
    int r = cm_array_compare(ctx, v[0], v[1], 0, 0, &d, err);
    bool same = r == 0 && d.differing == 0 && d.cells == 35;
    cm_array_diff_deinit(&d);
    return same;
}

/* Is the target a whole copy of the source? */
static bool is_copy(cm_context *ctx, const kind *k, const char *from)
{
    char path[512];
    cm_dataset *a = NULL, *b = NULL;
    cm_error err = {0};
    bool same = cm_dataset_open(ctx, path_of(from, path), NULL, &a, &err) == 0 &&
                cm_dataset_open(ctx, path_of(target_of(k), path), NULL, &b, &err) == 0 &&
                same_variable(ctx, a, b, "n", &err) && same_variable(ctx, a, b, "t", &err) &&
                cm_group_ngroups(cm_dataset_root(b)) == 1;
    cm_dataset_free(a);
    cm_dataset_free(b);
    return same;
}

static void remove_target(const kind *k)
{
    char path[512];
    if (k->zip) {
        TAP_EQ(unlink(path_of("target.zip", path)), 0);
        return;
    }
    cm_store *s = NULL;
    cm_error err = {0};
    TAP_CALL(cm_store_open_local(NULL, path_of("target", path), 0, &s, &err), &err);
    TAP_CALL(s->vt->del_prefix(s, "", &err), &err);
    cm_store_unref(s);
}

static bool is_stranger(const char *name)
{
    return name[0] != '.' && strcmp(name, "source") != 0 && strcmp(name, "old") != 0 &&
           strcmp(name, "target") != 0 && strcmp(name, "target.zip") != 0;
}

/* How many names are in the directory that do not belong there; they are removed. */
static int strangers(void)
{
    char command[1024];
    int n = 0;
    DIR *d = opendir(root);
    for (struct dirent *e; d && (e = readdir(d));)
        if (is_stranger(e->d_name)) {
            snprintf(command, sizeof command, "rm -rf '%s/%s'", root, e->d_name);
            TAP_EQ(system(command), 0);
            n++;
        }
    closedir(d);
    return n;
}

/* After a save in which something failed, and which ended with r. */
static bool check(cm_context *ctx, const kind *k, int r, const cm_error *err)
{
    char path[512];
    bool there = access(path_of(target_of(k), path), F_OK) == 0;
    bool whole = there && is_copy(ctx, k, "source");
    bool as_it_was = k->overwrite ? there && !whole && is_copy(ctx, k, "old") : !there;
    int left = strangers();
    if (left && whole && r && strstr(err->message, "is left beside it")) /* of the old store */
        left = 0;
    return left == 0 && (whole || (r != 0 && as_it_was));
}

/* Make the target what it is before the save. */
static void prepare(const kind *k)
{
    char path[512];
    cm_error err = {0};
    kind old = {"old", "y=2,x=2", NULL, "none", 3, 0, CM_MODE_AUTO, true, false, k->zip};
    if (k->overwrite)
        TAP_CALL(save(&old, "old", &err), &err);
    else if (access(path_of(target_of(k), path), F_OK) == 0)
        remove_target(k);
}

static void run_kind(cm_context *ctx, const kind *k, int os_errno)
{
    int64_t failed = 0, n = 0;
    bool dirty = true;
    for (bool fired = true; fired; n++) {
        cm_error err;
        if (dirty)
            prepare(k);
        if (os_errno)
            fault_call_at(n, os_errno);
        else
            fault_malloc_at(n);
        fault_no_renameat2(k->no_exchange);
        int r = save(k, "source", &err);
        fired = fault_end();
        failed += r != 0;
        bool good = check(ctx, k, r, &err) && (fired || r == 0);
        if (r && !os_errno)
            good = good && r == CM_ENOMEM;
        if (r && err.message[0] == 0)
            good = false;
        if (!TAP_OK(good)) {
            char line[2048];
            printf("# %s, %s %lld: %s\n", k->name, os_errno ? "call" : "allocation", (long long)n,
                   r ? cm_error_line(&err, line, sizeof line) : "no error");
        }
        char path[512];
        dirty = k->overwrite || access(path_of(target_of(k), path), F_OK) == 0;
    }
    printf("# %s: %lld %s, the save failed at %lld of them\n", k->name, (long long)n - 1,
           os_errno ? "calls" : "allocations", (long long)failed);
    TAP_OK(failed > (os_errno ? 20 : 100));
}

static cm_context *plain_context(void)
{
    cm_context *ctx = NULL;
    cm_error err = {0};
    cm_context_options o;
    cm_context_options_init(&o);
    o.threads = 1;
    TAP_CALL(cm_context_new(&o, &ctx, &err), &err);
    return ctx;
}

static void allocations(void)
{
    cm_context *ctx = plain_context();
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        run_kind(ctx, &kinds[i], 0);
    cm_context_free(ctx);
}

static void calls(void)
{
    cm_context *ctx = plain_context();
    static const int errnos[] = {EIO, ENOSPC, EACCES, EIO, ENOSPC, ENOSPC, EIO, EIO};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        run_kind(ctx, &kinds[i], errnos[i]);
    cm_context_free(ctx);
}

int main(void)
{
    if (!scratch_make(root, sizeof root))
        return 1;
    make_source("source", 1);
    make_source("old", 5000);
    TAP_RUN(allocations);
    TAP_RUN(calls);
    return scratch_remove(root) ? tap_done() : 1;
}
