/* tests/test_source_changes.c: a Zarr store in a directory that others change while it is read.
 *
 * What is read is what was there when the store was opened, or the read fails: chunks that were
 * removed are not fill. Chunks that were never written still are.
 */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chunkmill.h"
#include "format/format.h"
#include "scratch.h"
#include "tap.h"

enum { N = 12, CHUNK = 3 };

static cm_context *ctx;
static char root[256];

static void shell(const char *what)
{
    char command[1024];
    snprintf(command, sizeof command, "cd '%s' && %s", root, what);
    TAP_EQ(system(command), 0);
}

static void write_text(const char *name, const char *text)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", root, name);
    FILE *f = fopen(path, "w");
    TAP_OK(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

static void write_chunk(const char *layout, int y, int x)
{
    char path[600], key[64];
    int32_t cells[CHUNK * CHUNK];
    for (int i = 0; i < CHUNK * CHUNK; i++)
        cells[i] = 1 + (y * CHUNK + i / CHUNK) * N + x * CHUNK + i % CHUNK;
    snprintf(key, sizeof key, strcmp(layout, "flat") == 0 ? "c.%d.%d" : "c/%d/%d", y, x);
    snprintf(path, sizeof path, "%s/s/a/%s", root, key);
    FILE *f = fopen(path, "w");
    TAP_OK(f && fwrite(cells, sizeof cells, 1, f) == 1 && fclose(f) == 0);
}

/* Chunks (y, x) but for (1, 2) and row 2: absent from the first. Dense: all are there. */
static void make_store(const char *layout, bool dense)
{
    bool flat = strcmp(layout, "flat") == 0;
    char text[1024];
    shell("rm -rf s && mkdir -p s/a/c/0 s/a/c/1 s/a/c/3");
    snprintf(text, sizeof text,
             "{\"zarr_format\": 3, \"node_type\": \"array\", \"shape\": [%d, %d], \"data_type\": "
             "\"int32\", \"chunk_grid\": {\"name\": \"regular\", \"configuration\": "
             "{\"chunk_shape\": [%d, %d]}}, \"chunk_key_encoding\": {\"name\": \"default\", "
             "\"configuration\": {\"separator\": \"%s\"}}, \"fill_value\": -1, \"codecs\": "
             "[{\"name\": \"bytes\", \"configuration\": {\"endian\": \"little\"}}], "
             "\"dimension_names\": [\"y\", \"x\"], \"attributes\": {}}",
             N, N, CHUNK, CHUNK, flat ? "." : "/");
    write_text("s/zarr.json", "{\"zarr_format\": 3, \"node_type\": \"group\", \"attributes\": {}}");
    write_text("s/a/zarr.json", text);
    if (flat)
        shell("rm -r s/a/c");
    else if (dense)
        shell("mkdir s/a/c/2");
    for (int y = 0; y < 4; y++)
        for (int x = 0; x < 4; x++)
            if (dense || (y != 2 && (y != 1 || x != 2)))
                write_chunk(layout, y, x);
    usleep(20000); /* more than the granularity of file times */
}

static cm_dataset *open_store(cm_array **a)
{
    cm_error err = {0};
    cm_dataset *ds = NULL;
    char path[300];
    snprintf(path, sizeof path, "%s/s", root);
    TAP_CALL(cm_dataset_open(ctx, path, NULL, &ds, &err), &err);
    *a = ds ? cm_variable_array(cm_group_find_variable(cm_dataset_root(ds), "a")) : NULL;
    usleep(20000);
    return ds;
}

/* Rows [lo, hi): wrong cells where dense or sparse cells are expected, or the error. */
static int read_rows(cm_array *a, int64_t lo, int64_t hi, bool dense, cm_error *err)
{
    int32_t got[N * N];
    int wrong = 0;
    cm_error_clear(err);
    int r =
        cm_array_read(ctx, a, (int64_t[]){lo, 0}, (int64_t[]){hi - lo, N}, got, NULL, NULL, err);
    for (int64_t i = 0; i < (hi - lo) * N && !r; i++) {
        int64_t y = lo + i / N, x = i % N;
        bool there = dense || (y / CHUNK != 2 && (y / CHUNK != 1 || x / CHUNK != 2));
        wrong += got[i] != (there ? 1 + y * N + x : -1);
    }
    return r ? r : wrong;
}

static void changed(cm_array *a, int64_t lo, int64_t hi, const char *key)
{
    cm_error err = {0};
    char line[2048];
    TAP_EQ(read_rows(a, lo, hi, false, &err), CM_ECHANGED);
    cm_error_line(&err, line, sizeof line);
    if (!TAP_OK(strstr(line, key) && strstr(line, "/a")))
        printf("# %s\n", line);
}

static const char *const layouts[] = {"nested", "flat"};

static void never_written(void)
{
    for (int k = 0; k < 2; k++) {
        cm_array *a;
        cm_error err = {0};
        make_store(layouts[k], false);
        cm_dataset *ds = open_store(&a);
        TAP_EQ(read_rows(a, 0, N, false, &err), 0);
        TAP_EQ(read_rows(a, 3, 9, false, &err), 0);
        cm_dataset_free(ds);
    }
}

static void removed(void)
{
    static const struct {
        const char *layout, *command, *key;
        int64_t lo, hi, fine;
    } cases[] = {{"nested", "rm s/a/c/1/1", "c/1/", 3, 6, 0},
                 {"nested", "rm -r s/a/c/1", "c/1/", 3, 6, 0},
                 {"nested", "rm -r s/a/c/3", "c/2/", 6, 12, 3}, /* row 2 is in no directory */
                 {"nested", "rm -r s/a/c", "c/0/", 0, 3, -1},
                 {"nested", "mv s/a/c s/a/d", "c/0/", 0, 3, -1},
                 {"flat", "rm s/a/c.1.1", "c.1.", 3, 6, -1},
                 {"flat", "rm s/a/c.*", "c.0.", 0, 3, -1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cm_array *a;
        cm_error err = {0};
        make_store(cases[i].layout, false);
        cm_dataset *ds = open_store(&a);
        printf("# %s: %s\n", cases[i].layout, cases[i].command);
        TAP_EQ(read_rows(a, 0, 3, false, &err), 0);
        shell(cases[i].command);
        changed(a, cases[i].lo, cases[i].hi, cases[i].key);
        if (cases[i].fine >= 0) /* where nothing was changed it can still be read */
            TAP_EQ(read_rows(a, cases[i].fine, cases[i].fine + 3, false, &err), 0);
        cm_dataset_free(ds);
    }
}

static void added(void)
{
    for (int k = 0; k < 2; k++) {
        cm_array *a;
        cm_error err = {0};
        make_store(layouts[k], true);
        cm_dataset *ds = open_store(&a);
        write_chunk(layouts[k], 3, 7); /* beyond the shape: somebody appends */
        if (k == 0)
            shell("mkdir s/a/c/4");
        write_chunk(layouts[k], k == 0 ? 4 : 5, 0);
        TAP_EQ(read_rows(a, 0, N, true, &err), 0);
        cm_dataset_free(ds);
    }
    cm_array
        *a; /* absent chunks: in an unchanged directory they are, in a changed one nobody knows */
    cm_error err = {0};
    make_store("nested", false);
    cm_dataset *ds = open_store(&a);
    write_chunk("nested", 3, 7);
    TAP_EQ(read_rows(a, 0, N, false, &err), 0);
    write_chunk("nested", 1, 7);
    changed(a, 3, 6, "c/1/2");
    cm_dataset_free(ds);
}

/* A store that puts another document in the place of the first array's once that was read. */
typedef struct swapping {
    cm_store base;
    cm_store_vt vt;
    cm_store *real;
    bool done;
} swapping;

static int swap_stat(cm_store *s, const char *key, cm_object_version *out, cm_error *err)
{
    cm_store *real = ((swapping *)s)->real;
    return real->vt->stat(real, key, out, err);
}

static int swap_get(cm_store *s, const char *key, const cm_range *ranges, int n,
                    cm_object_version *version, cm_error *err)
{
    cm_store *real = ((swapping *)s)->real;
    return real->vt->get(real, key, ranges, n, version, err);
}

static int swap_get_all(cm_store *s, const char *key,
                        void *(*alloc)(void *user, size_t nbytes, cm_error *err), void *user,
                        size_t *nbytes, cm_object_version *version, cm_error *err)
{
    swapping *w = (swapping *)s;
    int r = w->real->vt->get_all(w->real, key, alloc, user, nbytes, version, err);
    if (r == 0 && !w->done && (strstr(key, "a/zarr.json") || strstr(key, "a/.zarray"))) {
        static const char other[] = "another document";
        w->done = true;
        r = w->real->vt->put(w->real, key, &(cm_iov){other, sizeof other}, 1, 0, err);
    }
    return r;
}

static int swap_list(cm_store *s, const char *prefix, cm_list_fn fn, void *user, cm_error *err)
{
    cm_store *real = ((swapping *)s)->real;
    return real->vt->list(real, prefix, fn, user, err);
}

static void swap_free(cm_store *s)
{
    (void)s; /* the test's own */
}

/* The version that guards an array is that of the document that was read, not of what lies there
 * when it is looked at again. */
static void replaced_once_read(void)
{
    static const char *const documents[][2] = {
        {"a/zarr.json",
         "{\"zarr_format\": 3, \"node_type\": \"array\", \"shape\": [4], \"data_type\": \"int8\", "
         "\"chunk_grid\": {\"name\": \"regular\", \"configuration\": {\"chunk_shape\": [2]}}, "
         "\"chunk_key_encoding\": {\"name\": \"default\"}, \"fill_value\": 1, \"codecs\": "
         "[{\"name\": \"bytes\"}]}"},
        {"a/.zarray",
         "{\"zarr_format\": 2, \"shape\": [4], \"chunks\": [2], \"dtype\": \"|i1\", "
         "\"compressor\": null, \"fill_value\": 1, \"order\": \"C\", \"filters\": null}"}};
    for (int format = 0; format < 2; format++)
        for (int group = 0; group < 2; group++) {
            cm_error err = {0};
            swapping w = {.vt = {.stat = swap_stat,
                                 .get = swap_get,
                                 .get_all = swap_get_all,
                                 .list = swap_list,
                                 .free = swap_free}};
            w.base = (cm_store){.vt = &w.vt, .refcount = 1, .uri = "memory://"};
            TAP_CALL(cm_store_new_memory(ctx, &w.real, &err), &err);
            const char *document = documents[format][1];
            TAP_CALL(w.real->vt->put(w.real, documents[format][0],
                                     &(cm_iov){document, strlen(document)}, 1, 0, &err),
                     &err);
            const char *group_text =
                format ? "{\"zarr_format\": 2}" : "{\"zarr_format\": 3, \"node_type\": \"group\"}";
            TAP_CALL(w.real->vt->put(w.real, format ? ".zgroup" : "zarr.json",
                                     &(cm_iov){group_text, strlen(group_text)}, 1, 0, &err),
                     &err);
            cm_dataset *ds = NULL;
            TAP_CALL(cm_zarr_open(ctx, &w.base, group ? "" : "a", "memory://s", &ds, &err), &err);
            TAP_OK(w.done);
            cm_variable *v = ds ? cm_group_variable(cm_dataset_root(ds), 0) : NULL;
            cm_array *a = v ? cm_variable_array(v) : NULL;
            int8_t cells[4];
            int64_t zero = 0, four = 4;
            if (TAP_OK(a != NULL)) {
                TAP_EQ(cm_array_read(ctx, a, &zero, &four, cells, NULL, NULL, &err), CM_ECHANGED);
                TAP_OK(strstr(err.message, "was replaced while the array was read") != NULL);
            }
            cm_dataset_free(ds);
            cm_store_unref(w.real);
        }
}

int main(void)
{
    cm_error err = {0};
    if (!scratch_make(root, sizeof root) || cm_context_new(NULL, &ctx, &err))
        return 1;
    TAP_RUN(never_written);
    TAP_RUN(removed);
    TAP_RUN(added);
    TAP_RUN(replaced_once_read);
    cm_context_free(ctx);
    return scratch_remove(root) ? tap_done() : 1;
}
