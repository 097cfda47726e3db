/* The HDF5 reader without Python: the seed files of the fuzzer read right, damaged ones are errors,
 * threads share a lazily read index, a replaced file is noticed, and the parts that have arithmetic
 * of their own. What h5py and netCDF4 see is compared in tests/python/test_hdf5_oracle.py.
 */
#include <pthread.h>

#include "base/memory.h"
#include "faults.h"
#include "format/format.h"
#include "format/hdf5/h5_chunk_index.h"
#include "format/hdf5/h5_model.h"
#include "tap.h"

static cm_context *ctx;

/* A file of fuzz/corpus/hdf5, beside this source. */
static uint8_t *corpus(const char *name, size_t *nbytes)
{
    char path[1024];
    snprintf(path, sizeof path, "%s", __FILE__);
    char *slash = strrchr(path, '/');
    snprintf(slash, sizeof path - (size_t)(slash - path), "/../fuzz/corpus/hdf5/%s", name);
    FILE *f = fopen(path, "rb");
    uint8_t *data = malloc(1 << 20);
    *nbytes = f && data ? fread(data, 1, 1 << 20, f) : 0;
    if (!TAP_OK(*nbytes > 0))
        printf("# cannot read %s\n", path);
    if (f)
        fclose(f);
    return data;
}

static cm_store *store_of(const uint8_t *data, size_t nbytes)
{
    cm_store *store = NULL;
    cm_iov iov = {data, nbytes};
    cm_error err = {0};
    TAP_CALL(cm_store_new_memory(ctx, &store, &err), &err);
    TAP_CALL(store->vt->put(store, "f", &iov, 1, 0, &err), &err);
    return store;
}

static cm_dataset *open_bytes(const uint8_t *data, size_t nbytes, cm_error *err)
{
    cm_store *store = store_of(data, nbytes);
    cm_dataset *ds = NULL;
    int rc = cm_hdf5_open(ctx, store, "f", "file.h5", &ds, err);
    TAP_OK((rc == 0) == (ds != NULL));
    cm_store_unref(store);
    return ds;
}

static cm_dataset *open_corpus(const char *name)
{
    size_t nbytes;
    uint8_t *data = corpus(name, &nbytes);
    cm_error err = {0};
    cm_dataset *ds = open_bytes(data, nbytes, &err);
    if (!TAP_OK(ds))
        printf("# %s: %s\n", name, err.message);
    free(data);
    return ds;
}

/* All cells of a variable; NULL when it cannot be read. */
static void *read_all(const cm_variable *v, cm_arena *arena, cm_error *err)
{
    cm_array *a = v ? cm_variable_array(v) : NULL;
    static const int64_t zeros[CM_MAX_DIMS];
    if (!a)
        return NULL;
    int64_t n = cm_shape_nelem(cm_array_ndim(a), cm_array_shape(a));
    void *cells = calloc((size_t)n + 1, cm_array_dtype(a).size);
    if (cm_array_read(ctx, a, zeros, cm_array_shape(a), cells, NULL, arena, err)) {
        free(cells);
        return NULL;
    }
    return cells;
}

/* The seed files hold (37 * i + 5) of their type. */
static void check_i16(const cm_dataset *ds, const char *path, int n)
{
    cm_error err = {0};
    int16_t *cells = read_all(cm_group_find_variable(cm_dataset_root(ds), path), NULL, &err);
    if (!TAP_OK(cells))
        printf("# %s: %s\n", path, err.message);
    for (int i = 0; cells && i < n; i++)
        TAP_EQ(cells[i], 37 * i + 5);
    free(cells);
}

static void old_groups(void)
{
    cm_dataset *ds = open_corpus("old_groups");
    if (!ds)
        return;
    check_i16(ds, "/g/a", 6);
    check_i16(ds, "/soft", 6);
    check_i16(ds, "/chunked", 12);
    const cm_variable *v = cm_group_find_variable(cm_dataset_root(ds), "/chunked");
    TAP_STR(cm_variable_dimension(v, 0), "phony_dim_1");
    TAP_STR(cm_variable_dimension(v, 1), "phony_dim_2");
    TAP_OK(cm_group_dimension(cm_dataset_root(ds), 0)->unlimited);
    const cm_attribute *n = cm_group_attribute_named(cm_group_find(cm_dataset_root(ds), "/g"), "n");
    int64_t value = 0;
    TAP_OK(n && cm_json_int64(n->value, &value) && value == 3 && n->dtype.kind == CM_INT64);
    TAP_STR(cm_dataset_format(ds), "HDF5");
    cm_dataset_free(ds);
}

static void filter_masks(void)
{
    cm_dataset *ds = open_corpus("old_filters");
    if (!ds)
        return;
    cm_error err = {0};
    int32_t *x = read_all(cm_group_find_variable(cm_dataset_root(ds), "x"), NULL, &err);
    for (int i = 0; x && i < 9; i++)
        TAP_EQ(x[i], i < 6 ? 37 * (i % 3) + 5 : 7);
    TAP_OK(x);
    free(x);
    cm_dataset_free(ds);
}

static void user_block(void)
{
    cm_dataset *ds = open_corpus("user_block");
    if (!ds)
        return;
    cm_error err = {0};
    float *x = read_all(cm_group_find_variable(cm_dataset_root(ds), "x"), NULL, &err);
    for (int i = 0; x && i < 4; i++)
        TAP_EQ(x[i], 37 * i + 5);
    TAP_OK(x);
    free(x);
    cm_dataset_free(ds);
}

static void expect_strings(const cm_dataset *ds, const char *path, const char *const *want, int n)
{
    cm_error err = {0};
    cm_arena *arena = NULL;
    TAP_CALL(cm_arena_new(ctx, &arena, &err), &err);
    cm_string *s = read_all(cm_group_find_variable(cm_dataset_root(ds), path), arena, &err);
    if (!TAP_OK(s))
        printf("# %s: %s\n", path, err.message);
    for (int i = 0; s && i < n; i++) {
        TAP_EQ(s[i].nbytes, strlen(want[i]));
        TAP_OK(memcmp(s[i].nbytes ? s[i].data : "", want[i], s[i].nbytes) == 0);
    }
    free(s);
    cm_arena_free(arena);
}

static void strings_and_others(void)
{
    static const char *const vlen[] = {"a", "", "bcd"}, *const fixed[] = {"ab", "c"},
                             *const chars[] = {"hi", "you"};
    cm_dataset *ds = open_corpus("strings");
    if (!ds)
        return;
    expect_strings(ds, "/vlen", vlen, 3);
    expect_strings(ds, "/fixed", fixed, 2);
    expect_strings(ds, "/chars", chars, 2);
    cm_error err = {0};
    const cm_group *root = cm_dataset_root(ds);
    uint8_t *flags = read_all(cm_group_find_variable(root, "flags"), NULL, &err);
    TAP_OK(flags && flags[0] == 1 && flags[1] == 0);
    free(flags);
    double *waves = read_all(cm_group_find_variable(root, "waves"), NULL, &err);
    TAP_OK(waves && waves[0] == 1 && waves[1] == 2 && waves[2] == 0 && waves[3] == 3);
    free(waves);
    const cm_attribute *list = cm_group_attribute_named(root, "list");
    TAP_OK(list && cm_json_count(list->value) == 2);
    TAP_STR(list ? cm_json_string(cm_json_at(list->value, 1)) : "", "qr");
    cm_dataset_free(ds);
}

static void dense_storage(void)
{
    cm_dataset *ds = open_corpus("dense");
    if (!ds)
        return;
    const cm_group *root = cm_dataset_root(ds);
    TAP_EQ(cm_group_nvariables(root), 11);
    for (size_t i = 0; i < 10; i++) {
        char name[8];
        snprintf(name, sizeof name, "d%zu", i);
        const cm_variable *v = cm_group_variable(root, i);
        TAP_STR(cm_variable_name(v), name); /* in order of creation */
        cm_error err = {0};
        int8_t *cell = read_all(v, NULL, &err);
        TAP_OK(cell && *cell == (int8_t)i);
        free(cell);
    }
    const cm_variable *v = cm_group_find_variable(root, "d3");
    TAP_EQ(cm_variable_nattributes(v), 10);
    for (size_t i = 0; i < 10; i++) {
        int64_t value = -1;
        TAP_OK(cm_json_int64(cm_variable_attribute(v, i)->value, &value));
        TAP_EQ(value, i);
    }
    const cm_error *why = cm_variable_problem(cm_group_find_variable(root, "outside"));
    TAP_OK(why && why->code == CM_EUNSUP && strstr(why->message, "external link to /x"));
    cm_dataset_free(ds);
}

static void dimension_scales(void)
{
    cm_dataset *ds = open_corpus("scales");
    if (!ds)
        return;
    const cm_group *root = cm_dataset_root(ds);
    TAP_STR(cm_dataset_format(ds), "NetCDF-4");
    TAP_EQ(cm_group_ndimensions(root), 3);
    TAP_EQ(cm_group_nvariables(root), 3); /* t is only a dimension */
    const cm_variable *v = cm_group_find_variable(root, "v");
    static const char *const names[] = {"t", "x", "y"};
    for (int i = 0; i < 3; i++)
        TAP_STR(cm_variable_dimension(v, i), names[i]);
    const cm_dimension *t = cm_group_scope_dimension(root, "t");
    TAP_OK(t && t->unlimited && t->length == 1);
    TAP_EQ(cm_variable_nattributes(v), 0); /* bookkeeping is hidden */
    check_i16(ds, "/v", 6);
    cm_dataset_free(ds);
}

static const struct {
    const char *name;
    int n;
} indexes[] = {{"index_single", 3},
               {"index_fixed", 7},
               {"index_paged", 2100},
               {"index_extensible", 90},
               {"index_tree", 16}};

static void chunk_indexes(void)
{
    for (size_t k = 0; k < sizeof indexes / sizeof indexes[0]; k++) {
        cm_dataset *ds = open_corpus(indexes[k].name);
        cm_error err = {0};
        uint8_t *x =
            ds ? read_all(cm_group_find_variable(cm_dataset_root(ds), "x"), NULL, &err) : NULL;
        int wrong = x ? 0 : 1;
        for (int i = 0; x && i < indexes[k].n; i++)
            wrong += x[i] != (uint8_t)(37 * i + 5);
        if (!TAP_OK(wrong == 0))
            printf("# %s: %d cells are wrong %s\n", indexes[k].name, wrong, err.message);
        free(x);
        cm_dataset_free(ds);
    }
}

static void refusals(void)
{
    static const struct {
        const char *path, *why;
    } want[] = {{"/times", "cells of HDF5 time type"},
                {"/records", "compound's member \"when\": HDF5 time type"},
                {"/words", "compound's member \"when\": HDF5 time type"},
                {"/lists", "variable-length sequence of time type"}};
    cm_dataset *ds = open_corpus("refused");
    if (!ds)
        return;
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        const cm_variable *v = cm_group_find_variable(cm_dataset_root(ds), want[i].path);
        const cm_error *why = v ? cm_variable_problem(v) : NULL;
        if (!TAP_OK(why && why->code == CM_EUNSUP && strstr(why->message, want[i].why)))
            printf("# %s: %s\n", want[i].path, why ? why->message : "no problem");
        TAP_STR(why ? why->object : "", "file.h5");
        TAP_STR(why ? why->variable : "", want[i].path);
    }
    cm_dataset_free(ds);
    ds = open_corpus("types");
    if (!ds)
        return;
    static const char *const readable[] = {"x", "enum", "null", "pair", "ragged"};
    for (size_t i = 0; i < sizeof readable / sizeof readable[0]; i++) {
        const cm_variable *v = cm_group_find_variable(cm_dataset_root(ds), readable[i]);
        TAP_OK(v && cm_variable_array(v));
    }
    const cm_variable *x = cm_group_find_variable(cm_dataset_root(ds), "x");
    const cm_attribute *ref = x ? cm_variable_attribute_named(x, "ref") : NULL;
    TAP_STR(ref ? cm_json_string(ref->value) : "", "/x");
    TAP_OK(!cm_group_find_variable(cm_dataset_root(ds), "named"));
    cm_dataset_free(ds);
}

static char *json_text(const cm_json *v)
{
    char *text = NULL;
    size_t n;
    cm_error err = {0};
    TAP_CALL(cm_json_write(v, 0, &text, &n, &err), &err);
    return text;
}

/* Members are where the record has them, not where the file has them. */
static void records(void)
{
    cm_dataset *ds = open_corpus("records");
    if (!ds)
        return;
    const cm_group *root = cm_dataset_root(ds);
    const cm_variable *v = cm_group_find_variable(root, "gaps");
    cm_array *a = v ? cm_variable_array(v) : NULL;
    char name[CM_DTYPE_NAME];
    TAP_STR(a ? cm_dtype_name(cm_array_dtype(a), name, sizeof name) : "",
            "record{n: int32, at: record{x: int16, on: bool}[2], word: bytes3, raw: raw2}");
    cm_error err = {0};
    uint8_t *cells = read_all(v, NULL, &err);
    for (int i = 0; TAP_OK(cells) && i < 5; i++) {
        const uint8_t *p = cells + (size_t)i * 15;
        int32_t n;
        int16_t x[2];
        memcpy(&n, p, 4);
        memcpy(&x[0], p + 4, 2);
        memcpy(&x[1], p + 7, 2);
        TAP_EQ(n, i * 37 + 5);
        TAP_OK(x[0] == i && x[1] == -i && p[6] == i % 2 && p[9] == 1);
        TAP_OK(memcmp(p + 10, "ab\0xy", 5) == 0);
    }
    free(cells);
    const cm_attribute *at = cm_group_attribute_named(root, "record");
    char *text = at ? json_text(at->value) : NULL;
    TAP_STR(text ? text : "",
            "{\"n\": 42, \"at\": [{\"x\": 1, \"on\": true}, {\"x\": -1, \"on\": true}], "
            "\"word\": \"ab\", \"raw\": \"7879\"}");
    free(text);
    cm_dataset_free(ds);
}

/* ---- damage ---------------------------------------------------------------------------------- */

static const char *const seeds[] = {
    "old_groups", "old_filters",   "user_block", "strings", "dense",       "scales",
    "types",      "records",       "references", "refused", "index_fixed", "index_extensible",
    "index_tree", "index_implicit"};

/* Open and read everything; errors are fine, but each has a message. */
static void try_bytes(const uint8_t *data, size_t nbytes)
{
    cm_error err = {0};
    cm_arena *arena = NULL;
    cm_dataset *ds = open_bytes(data, nbytes, &err);
    if (!ds) {
        TAP_OK(err.message[0] && err.code);
        return;
    }
    TAP_CALL(cm_arena_new(ctx, &arena, &err), &err);
    const cm_group *root = cm_dataset_root(ds);
    for (size_t i = 0; i < cm_group_nvariables(root); i++) {
        const cm_variable *v = cm_group_variable(root, i);
        cm_array *a = cm_variable_array(v);
        TAP_OK((a == NULL) == (cm_variable_problem(v) != NULL));
        int64_t n = a ? cm_shape_nelem(cm_array_ndim(a), cm_array_shape(a)) : -1;
        if (n < 0 || n > 10000)
            continue;
        cm_error_clear(&err);
        void *cells = read_all(v, arena, &err);
        TAP_OK(cells || err.message[0]);
        free(cells);
    }
    cm_arena_free(arena);
    cm_dataset_free(ds);
}

static void cut_files(void)
{
    for (size_t k = 0; k < sizeof seeds / sizeof seeds[0]; k++) {
        size_t nbytes;
        uint8_t *data = corpus(seeds[k], &nbytes);
        for (size_t n = 0; n < nbytes; n += 1 + nbytes / 60) {
            uint8_t *cut = malloc(n + 1); /* its own size: a sanitizer sees what is read beyond */
            memcpy(cut, data, n);
            cm_error err = {0};
            cm_dataset *ds = open_bytes(cut, n, &err);
            TAP_OK(!ds && err.code == CM_EDATA); /* the superblock knows how long it was */
            cm_dataset_free(ds);
            free(cut);
        }
        free(data);
    }
}

static void changed_bytes(void)
{
    uint64_t state = tap_seed();
    for (size_t k = 0; k < sizeof seeds / sizeof seeds[0]; k++) {
        size_t nbytes;
        uint8_t *data = corpus(seeds[k], &nbytes);
        for (int i = 0; nbytes && i < 150; i++) {
            size_t at = tap_random(&state) % nbytes;
            uint8_t was = data[at];
            data[at] = (uint8_t)(i % 3 ? tap_random(&state) : was ^ 1u << i % 8);
            try_bytes(data, nbytes);
            data[at] = was;
        }
        free(data);
    }
}

/* In a file of version 2 structures every bit of metadata is under a checksum: whatever changes,
 * cells are right or an error, but for those in the data themselves. */
static void no_silent_change(void)
{
    size_t nbytes, wrong = 0;
    uint8_t *data = corpus("index_fixed", &nbytes);
    for (size_t at = 0; at < nbytes; at++) {
        data[at] ^= (uint8_t)(1u << at % 8);
        cm_error err = {0};
        cm_dataset *ds = open_bytes(data, nbytes, &err);
        const cm_variable *v = ds ? cm_group_find_variable(cm_dataset_root(ds), "x") : NULL;
        uint8_t *x = read_all(v, NULL, &err);
        for (int i = 0; x && i < 7; i++)
            wrong += x[i] != (uint8_t)(37 * i + 5);
        free(x);
        cm_dataset_free(ds);
        data[at] ^= (uint8_t)(1u << at % 8);
    }
    TAP_EQ(wrong, 0); /* the chunks are deflated, with their own checksum */
    free(data);
}

static size_t put(uint8_t *p, uint64_t v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(v >> 8 * i);
    return n;
}

/* A version 0 superblock for a root header at 96. */
static void put_superblock(uint8_t *p, uint64_t nbytes)
{
    memcpy(p, "\x89HDF\r\n\x1a\n", 8);
    p[13] = p[14] = 8;
    put(p + 16, 4, 2);
    put(p + 18, 16, 2);
    memset(p + 32, 0xff, 8);
    put(p + 40, nbytes, 8);
    memset(p + 48, 0xff, 8);
    put(p + 64, 96, 8);
}

static void expect_message(const uint8_t *data, size_t nbytes, const char *want)
{
    cm_error err = {0};
    cm_dataset *ds = open_bytes(data, nbytes, &err);
    TAP_OK(!ds && strstr(err.message, want));
    if (!strstr(err.message, want))
        printf("# %s\n", err.message);
    cm_dataset_free(ds);
}

static void loops(void)
{
    uint8_t data[512] = {0};
    put_superblock(data, sizeof data);
    /* a header whose continuation is itself, then one whose continuation continues in itself */
    uint8_t *h = data + 96;
    h[0] = 1;
    put(h + 2, 1, 2);
    put(h + 8, 24, 4);
    put(h + 16, CM_H5_CONTINUATION, 2);
    put(h + 18, 16, 2);
    put(h + 24, 112, 8);
    put(h + 32, 24, 8);
    expect_message(data, sizeof data, "loop");
    put(h + 24, 200, 8);
    memcpy(data + 200, h + 16, 24);
    expect_message(data, sizeof data, "loop");
    /* a group's B-tree whose child is its parent */
    put(h + 16, CM_H5_SYMBOL_TABLE, 2);
    put(h + 24, 200, 8);
    put(h + 32, 300, 8);
    memcpy(data + 200, "TREE\0\1\1\0", 8);
    put(data + 232, 200, 8);
    memcpy(data + 300, "HEAP", 4);
    put(data + 308, 16, 8);
    put(data + 324, 340, 8);
    expect_message(data, sizeof data, "no B-tree node of a group");
    /* and one that says it has more entries than the file has bytes */
    put(data + 206, 60000, 2);
    expect_message(data, sizeof data, "more nodes than fit");
}

static void not_hdf5(void)
{
    uint8_t data[2048] = {0};
    expect_message(data, sizeof data, "not an HDF5 file");
    expect_message(data, 0, "not an HDF5 file");
    put_superblock(data, sizeof data);
    data[8] = 9;
    expect_message(data, sizeof data, "superblock version 9");
    data[8] = 0;
    data[13] = 3;
    expect_message(data, sizeof data, "3-byte offsets");
    data[13] = 8;
    put(data + 40, 4096, 8);
    expect_message(data, sizeof data,
                   "file is truncated: it has 2048 bytes, its superblock says 4096");
    put(data + 40, 2048, 8);
    expect_message(data, sizeof data, "no object header at 96");
}

/* ---- sharing --------------------------------------------------------------------------------- */

typedef struct sharer {
    cm_variable *v;
    int wrong;
} sharer;

static void *read_shared(void *arg)
{
    sharer *s = arg;
    cm_error err = {0};
    for (int k = 0; k < 4; k++) {
        uint8_t *x = read_all(s->v, NULL, &err);
        s->wrong += x == NULL;
        for (int i = 0; x && i < 2100; i++)
            s->wrong += x[i] != (uint8_t)(37 * i + 5);
        free(x);
    }
    return NULL;
}

static void threads(void)
{
    for (int k = 0; k < 5; k++) {
        cm_dataset *ds = open_corpus("index_paged");
        if (!ds)
            return;
        sharer s[6];
        pthread_t t[6];
        for (int i = 0; i < 6; i++) {
            s[i] = (sharer){cm_group_find_variable(cm_dataset_root(ds), "x"), 0};
            pthread_create(&t[i], NULL, read_shared, &s[i]);
        }
        for (int i = 0; i < 6; i++) {
            pthread_join(t[i], NULL);
            TAP_EQ(s[i].wrong, 0);
        }
        cm_dataset_free(ds);
    }
}

static void replaced_file(void)
{
    size_t nbytes;
    uint8_t *data = corpus("index_fixed", &nbytes);
    cm_store *store = store_of(data, nbytes);
    cm_dataset *ds = NULL;
    cm_error err = {0};
    cm_iov iov = {data, nbytes};
    TAP_CALL(cm_hdf5_open(ctx, store, "f", "file.h5", &ds, &err), &err);
    TAP_CALL(store->vt->put(store, "f", &iov, 1, 0, &err), &err);
    void *x = ds ? read_all(cm_group_find_variable(cm_dataset_root(ds), "x"), NULL, &err) : NULL;
    TAP_OK(!x && err.code == CM_ECHANGED);
    free(x);
    cm_dataset_free(ds);
    cm_store_unref(store);
    free(data);
}

static void out_of_memory(void)
{
    for (size_t k = 0; k < sizeof seeds / sizeof seeds[0]; k++) {
        size_t nbytes;
        uint8_t *data = corpus(seeds[k], &nbytes);
        cm_store *store = store_of(data, nbytes);
        for (int64_t n = 0;; n++) {
            cm_dataset *ds = NULL;
            cm_error err = {0};
            fault_malloc_at(n);
            int rc = cm_hdf5_open(ctx, store, "f", "file.h5", &ds, &err);
            bool fired = fault_end();
            TAP_OK(rc == 0 || (fired && rc == CM_ENOMEM));
            cm_dataset_free(ds);
            if (!fired)
                break;
        }
        cm_store_unref(store);
        free(data);
    }
}

/* ---- parts ----------------------------------------------------------------------------------- */

static void string_lengths(void)
{
    const uint8_t *s = (const uint8_t *)"ab\0c \0\0  ";
    TAP_EQ(cm_h5_string_length(s, 9, CM_H5_NUL_TERMINATED), 2);
    TAP_EQ(cm_h5_string_length(s, 7, CM_H5_NUL_PADDED), 5);
    TAP_EQ(cm_h5_string_length(s, 9, CM_H5_SPACE_PADDED), 5);
    TAP_EQ(cm_h5_string_length(s, 2, CM_H5_NUL_TERMINATED), 2);
    TAP_EQ(cm_h5_string_length(s, 0, CM_H5_SPACE_PADDED), 0);
}

static void maps(void)
{
    uint64_t state = tap_seed();
    cm_h5_map m = {0};
    cm_error err = {0};
    uint64_t keys[3000], value;
    TAP_OK(!cm_h5_map_get(&m, 1, &value));
    for (size_t i = 0; i < 3000; i++) {
        keys[i] = tap_random(&state) >> tap_random(&state) % 60;
        TAP_CALL(cm_h5_map_put(&m, keys[i], i, &err), &err);
    }
    for (size_t i = 0; i < 3000; i++) {
        size_t last = i; /* the newest of equal keys counts */
        for (size_t k = i + 1; k < 3000; k++)
            if (keys[k] == keys[i])
                last = k;
        TAP_OK(cm_h5_map_get(&m, keys[i], &value) && value == last);
    }
    cm_h5_map_deinit(&m);
}

/* A chunk's number and its coordinate, against counting. */
static void chunk_numbers(void)
{
    const uint64_t max[] = {7, UINT64_MAX, 10};
    const int64_t chunk[] = {3, 5, 4};
    cm_h5_chunks_spec spec = {.index_ndim = 3, .nlengths = 3, .max = max, .chunk = chunk};
    uint64_t number = 0;
    for (int64_t j = 0; j < 5; j++)
        for (int64_t i = 0; i < 3; i++)
            for (int64_t k = 0; k < 3; k++) {
                int64_t coord[CM_MAX_DIMS];
                cm_h5_chunk_coord(&spec, 1, number++, coord);
                TAP_OK(coord[0] == i && coord[1] == j && coord[2] == k);
            }
}

static void datatypes(void)
{
    static const struct {
        uint8_t bytes[24];
        size_t n;
        const char *name;
        cm_kind kind;
    } want[] = {
        {{0x10, 8, 0, 0, 2, 0, 0, 0, 0, 0, 16, 0}, 12, "H5T_STD_I16LE", CM_INT16},
        {{0x10, 1, 0, 0, 4, 0, 0, 0, 0, 0, 32, 0}, 12, "H5T_STD_U32BE", CM_UINT32},
        {{0x10, 0, 0, 0, 4, 0, 0, 0, 0, 0, 24, 0},
         12,
         "H5T integer of 24 bits in 4 bytes LE",
         CM_UINT32},
        {{0x10, 0, 0, 0, 4, 0, 0, 0, 8, 0, 32, 0},
         12,
         "32-bit integer at bit 8 of 4 bytes",
         CM_NONE},
        {{0x11, 0x20, 31, 0, 4, 0, 0, 0, 0, 0, 32, 0, 23, 8, 0, 23, 127, 0, 0, 0},
         20,
         "H5T_IEEE_F32LE",
         CM_FLOAT32},
        {{0x11, 0x20, 15, 0, 2, 0, 0, 0, 0, 0, 16, 0, 7, 8, 0, 7, 127, 0, 0, 0},
         20,
         "2-byte float that is not IEEE (16 bits, exponent of 8)",
         CM_NONE},
        {{0x13, 1, 0, 0, 9, 0, 0, 0}, 8, "H5T_STRING (9 bytes)", CM_NONE},
    };
    char buf[96];
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        cm_h5_cursor c = cm_h5_cursor_of(want[i].bytes, want[i].n);
        cm_h5_type t;
        cm_error err = {0};
        TAP_CALL(cm_h5_type_parse(&c, &t, &err), &err);
        TAP_STR(cm_h5_type_name(&t, buf, sizeof buf), want[i].name);
        TAP_EQ(t.kind, want[i].kind);
        TAP_EQ(cm_h5_left(&c), 0);
        for (size_t n = 0; n < want[i].n; n++) { /* cut anywhere: an error */
            c = cm_h5_cursor_of(want[i].bytes, n);
            TAP_OK(cm_h5_type_parse(&c, &t, &err) == CM_EDATA || n >= 8);
        }
    }
    uint8_t nested[8 * 40]; /* vlen of vlen of vlen... */
    for (int i = 0; i < 40; i++)
        memcpy(nested + 8 * i, "\x19\0\0\0\x10\0\0\0", 8);
    cm_h5_cursor c = cm_h5_cursor_of(nested, sizeof nested);
    cm_h5_type t;
    cm_error err = {0};
    TAP_EQ(cm_h5_type_parse(&c, &t, &err), CM_ELIMIT);
}

int main(void)
{
    cm_context_options options;
    cm_context_options_init(&options);
    options.threads = 2;
    cm_error err = {0};
    if (cm_context_new(&options, &ctx, &err))
        return 1;
    TAP_RUN(old_groups);
    TAP_RUN(filter_masks);
    TAP_RUN(user_block);
    TAP_RUN(strings_and_others);
    TAP_RUN(dense_storage);
    TAP_RUN(dimension_scales);
    TAP_RUN(chunk_indexes);
    TAP_RUN(refusals);
    TAP_RUN(records);
    TAP_RUN(cut_files);
    TAP_RUN(changed_bytes);
    TAP_RUN(no_silent_change);
    TAP_RUN(loops);
    TAP_RUN(not_hdf5);
    TAP_RUN(threads);
    TAP_RUN(replaced_file);
    TAP_RUN(out_of_memory);
    TAP_RUN(string_lengths);
    TAP_RUN(maps);
    TAP_RUN(chunk_numbers);
    TAP_RUN(datatypes);
    cm_context_free(ctx);
    return tap_done();
}
