/* tests/test_dataset.c: the tree: names, paths, dimensions, attributes, storage, problems; large
 * groups in linear time. */
#include "dataset/dataset_private.h"
#include "faults.h"
#include "tap.h"

static cm_error err;

static cm_dataset *make(void)
{
    cm_dataset *ds = NULL;
    TAP_CALL(cm_dataset_new(NULL, "file:///a.nc", "NetCDF-4", &ds, &err), &err);
    return ds;
}

static void tree(void)
{
    cm_dataset *ds = make();
    cm_group *root = cm_dataset_root(ds), *a = NULL, *b = NULL, *none = NULL;
    cm_variable *tas = NULL, *deep = NULL, *no = NULL;
    TAP_STR(cm_dataset_uri(ds), "file:///a.nc");
    TAP_STR(cm_dataset_format(ds), "NetCDF-4");
    TAP_CALL(cm_group_add_group(root, "a", &a, &err), &err);
    TAP_CALL(cm_group_add_group(a, "b b", &b, &err), &err);
    TAP_CALL(cm_group_add_variable(root, "tas", &tas, &err), &err);
    TAP_CALL(cm_group_add_variable(b, "t\xc3\xa9", &deep, &err), &err);
    TAP_STR(cm_group_path(root), "/");
    TAP_STR(cm_group_name(root), "");
    TAP_STR(cm_group_path(b), "/a/b b");
    TAP_STR(cm_variable_path(tas), "/tas");
    TAP_STR(cm_variable_path(deep), "/a/b b/t\xc3\xa9");
    TAP_OK(cm_group_parent(b) == a && cm_group_parent(root) == NULL);
    TAP_OK(cm_variable_group(deep) == b);

    TAP_OK(cm_group_find(root, "/") == root && cm_group_find(b, "/") == root);
    TAP_OK(cm_group_find(root, "") == root && cm_group_find(b, "") == b);
    TAP_OK(cm_group_find(root, "a/b b") == b && cm_group_find(root, "/a//b b/") == b);
    TAP_OK(cm_group_find(a, "b b") == b && cm_group_find(a, "/b b") == NULL);
    TAP_OK(cm_group_find(root, "tas") == NULL && cm_group_find(root, "tas/x") == NULL);
    TAP_OK(cm_group_find_variable(root, "tas") == tas);
    TAP_OK(cm_group_find_variable(b, "/tas") == tas && cm_group_find_variable(b, "tas") == NULL);
    TAP_OK(cm_group_find_variable(root, "a/b b/t\xc3\xa9") == deep);
    TAP_OK(cm_group_find_variable(a, "b b/t\xc3\xa9") == deep);
    TAP_OK(!cm_group_find_variable(root, "a") && !cm_group_find_variable(root, "") &&
           !cm_group_find_variable(root, "/") && !cm_group_find_variable(root, "tas/") &&
           !cm_group_find_variable(root, "x/tas") && !cm_group_find_variable(root, "ta"));

    TAP_EQ(cm_group_add_group(root, "tas", &none, &err), CM_EDATA);
    TAP_EQ(cm_group_add_group(root, "a", &none, &err), CM_EDATA);
    TAP_EQ(cm_group_add_variable(root, "a", &no, &err), CM_EDATA);
    TAP_OK(strstr(err.message, "twice") != NULL);
    TAP_EQ(cm_group_add_variable(root, "", &no, &err), CM_EDATA);
    TAP_EQ(cm_group_add_variable(root, "x/y", &no, &err), CM_EDATA);
    TAP_EQ(cm_group_add_variable(root, "x\xff", &no, &err), CM_EDATA);
    TAP_EQ(cm_group_ngroups(root), 1);
    TAP_EQ(cm_group_nvariables(root), 1);
    TAP_OK(cm_group_at(root, 0) == a && !cm_group_at(root, 1));
    TAP_OK(cm_group_variable(root, 0) == tas && !cm_group_variable(root, 1));
    cm_dataset_free(ds);
    cm_dataset_free(NULL);
}

static void dimensions(void)
{
    cm_dataset *ds = make();
    cm_group *root = cm_dataset_root(ds), *a = NULL;
    cm_variable *time = NULL;
    TAP_CALL(cm_group_add_group(root, "a", &a, &err), &err);
    TAP_CALL(cm_group_add_variable(root, "time", &time, &err), &err);
    TAP_CALL(cm_group_add_dimension(root, "time", 0, true, &err), &err);
    TAP_CALL(cm_group_add_dimension(root, "x", 5, false, &err), &err);
    TAP_CALL(cm_group_add_dimension(a, "x", 7, false, &err), &err);
    TAP_EQ(cm_group_add_dimension(a, "x", 7, false, &err), CM_EDATA);
    TAP_EQ(cm_group_add_dimension(a, "y", -1, false, &err), CM_EDATA);
    TAP_EQ(cm_group_scope_dimension(a, "x")->length, 7);
    TAP_EQ(cm_group_scope_dimension(root, "x")->length, 5);
    TAP_OK(cm_group_scope_dimension(a, "time")->unlimited);
    TAP_OK(cm_group_scope_dimension(a, "nope") == NULL);
    TAP_EQ(cm_group_ndimensions(root), 2);
    TAP_STR(cm_group_dimension(root, 1)->name, "x");
    TAP_OK(cm_group_dimension(root, 2) == NULL);
    TAP_CALL(cm_variable_set_dimension(time, 0, "time", &err), &err);
    TAP_STR(cm_variable_dimension(time, 0), "time");
    TAP_CALL(cm_variable_set_dimension(time, 0, NULL, &err), &err);
    TAP_OK(!cm_variable_dimension(time, 0) && !cm_variable_dimension(time, 31) &&
           !cm_variable_dimension(time, 32) && !cm_variable_dimension(time, -1));
    cm_dataset_free(ds);
}

/* Against a plain list. */
static void attributes(void)
{
    enum { KEYS = 60 };
    uint64_t rng = tap_seed();
    int key_of[KEYS], value_of[KEYS];
    size_t n = 0;
    cm_dataset *ds = make();
    cm_variable *v = NULL;
    TAP_CALL(cm_group_add_variable(cm_dataset_root(ds), "v", &v, &err), &err);
    for (int step = 0; step < 5000 && tap_failed_here < 5; step++) {
        int k = (int)(tap_random(&rng) % KEYS);
        char name[16];
        snprintf(name, sizeof name, "a%d", k);
        size_t at = 0;
        while (at < n && key_of[at] != k)
            at++;
        TAP_CALL(cm_variable_add_attribute(v, name, cm_json_new_int64(ds->doc, step),
                                           cm_dtype_of(CM_INT32, 0), &err),
                 &err);
        if (at == n)
            key_of[n++] = k;
        value_of[at] = step;
        TAP_EQ(cm_variable_nattributes(v), n);
        for (size_t i = 0; i < n; i++) {
            int64_t value = -1;
            snprintf(name, sizeof name, "a%d", key_of[i]);
            const cm_attribute *a = cm_variable_attribute_named(v, name);
            if (TAP_OK(a && a == cm_variable_attribute(v, i)))
                TAP_OK(cm_json_int64(a->value, &value) && value == value_of[i]);
        }
        TAP_OK(cm_variable_attribute(v, n) == NULL && !cm_variable_attribute_named(v, "a"));
    }
    cm_group *root = cm_dataset_root(ds);
    TAP_EQ(cm_group_add_attribute(root, "x", NULL, cm_dtype_of(CM_NONE, 0), &err), CM_ENOMEM);
    TAP_CALL(cm_group_add_attribute(root, "x", cm_json_new_string(ds->doc, "y"),
                                    cm_dtype_of(CM_STRING, 0), &err),
             &err);
    TAP_STR(cm_json_string(cm_group_attribute_named(root, "x")->value), "y");
    TAP_STR(cm_group_attribute(root, 0)->name, "x");
    TAP_EQ(cm_group_nattributes(root), 1);
    cm_dataset_free(ds);
}

static int count_up(void *user, const int64_t *start, const int64_t *count, void *dst,
                    cm_error *why)
{
    (void)user, (void)start, (void)count, (void)dst, (void)why;
    return 0;
}

static void arrays_and_problems(void)
{
    cm_dataset *ds = make();
    cm_variable *v = NULL;
    cm_array *array = NULL;
    int64_t shape[2] = {3, 4}, chunks[2] = {2, 2}, coord[2] = {0, 0};
    cm_chunk_info info;
    cm_error why = {0};
    TAP_CALL(cm_group_add_variable(cm_dataset_root(ds), "v", &v, &err), &err);
    cm_error_set(&why, CM_EUNSUP, "filter szip");
    TAP_CALL(cm_variable_set_problem(v, &why, &err), &err);
    TAP_STR(cm_variable_problem(v)->message, "filter szip");
    TAP_STR(cm_variable_problem(v)->object, "file:///a.nc");
    TAP_STR(cm_variable_problem(v)->variable, "/v");
    TAP_OK(cm_variable_array(v) == NULL);
    TAP_EQ(cm_variable_chunk_info(NULL, v, coord, &info, &err), CM_EUNSUP);
    TAP_STR(err.message, "filter szip");
    TAP_CALL(cm_array_from_callback(cm_dtype_of(CM_INT32, 0), 2, shape, NULL, count_up, NULL, NULL,
                                    &array, &err),
             &err);
    cm_variable_set_array(v, array);
    TAP_OK(cm_variable_array(v) == array && cm_variable_problem(v) == NULL);
    TAP_OK(v->ndim == 2 && v->shape[1] == 4);
    TAP_EQ(cm_variable_chunk_info(NULL, v, coord, &info, &err), CM_EUNSUP);
    TAP_OK(!cm_variable_storage(v)->chunks && !cm_variable_storage(v)->raw);
    TAP_CALL(cm_variable_set_storage(v, 2, chunks, NULL, "zstd", "<i4", false, &err), &err);
    TAP_CALL(cm_variable_set_storage(v, 2, chunks, shape, "zstd", "<i4", true, &err), &err);
    const cm_storage *s = cm_variable_storage(v);
    TAP_OK(s->chunks[1] == 2 && s->shards[1] == 4 && s->raw);
    TAP_STR(s->codecs, "zstd");
    TAP_STR(s->stored_dtype, "<i4");
    cm_dataset_free(ds);
}

static int build(cm_error *why)
{
    cm_dataset *ds = NULL;
    cm_group *g = NULL;
    cm_variable *v = NULL;
    cm_error problem = {0};
    int64_t chunks[2] = {2, 3};
    char name[16];
    cm_error_set(&problem, CM_EUNSUP, "szip");
    int r = cm_dataset_new(NULL, "file:///a.nc", "NetCDF-4", &ds, why);
    if (r == 0)
        r = cm_group_add_group(ds->root, "g", &g, why);
    for (int i = 0; r == 0 && i < 40; i++) {
        snprintf(name, sizeof name, "v%d", i);
        r = cm_group_add_variable(g, name, &v, why);
        if (r == 0)
            r = cm_group_add_dimension(g, name, i, false, why);
        if (r == 0)
            r = cm_group_add_attribute(g, name, cm_json_new_int64(ds->doc, i),
                                       cm_dtype_of(CM_INT32, 0), why);
        if (r == 0)
            r = cm_variable_set_dimension(v, 0, name, why);
        if (r == 0)
            r = cm_variable_set_storage(v, 2, chunks, chunks, "zstd", "<i4", false, why);
        if (r == 0)
            r = cm_variable_set_problem(v, &problem, why);
    }
    /* Whatever was built can be walked, and what is in it is found. */
    for (size_t i = 0; g && i < g->nvariables; i++)
        TAP_OK(cm_group_find_variable(ds->root, g->variables[i]->path) == g->variables[i]);
    for (size_t i = 0; g && i < cm_group_nattributes(g); i++)
        TAP_OK(cm_group_attribute_named(g, cm_group_attribute(g, i)->name) ==
               cm_group_attribute(g, i));
    cm_dataset_free(ds);
    return r;
}

static void no_memory(void)
{
    for (int64_t at = 0;; at++) {
        cm_error why = {0};
        fault_malloc_at(at);
        int r = build(&why);
        bool fired = fault_end();
        TAP_EQ(r, fired ? CM_ENOMEM : 0);
        TAP_EQ(why.code, r);
        if (!fired) {
            TAP_OK(at > 50);
            break;
        }
    }
}

static void large_groups(void)
{
    enum { N = 100000 };
    struct timespec t0, t1;
    char name[40];
    clock_gettime(CLOCK_MONOTONIC, &t0);
    cm_dataset *ds = make();
    cm_group *root = cm_dataset_root(ds), *g;
    cm_variable *v;
    int bad = 0;
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "child_%d", i);
        bad += i % 2 ? cm_group_add_group(root, name, &g, &err) != 0
                     : cm_group_add_variable(root, name, &v, &err) != 0;
        bad += cm_group_add_dimension(root, name, i, false, &err) != 0;
        bad += cm_group_add_attribute(root, name, cm_json_new_int64(ds->doc, i),
                                      cm_dtype_of(CM_INT32, 0), &err) != 0;
    }
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "/child_%d", i);
        g = cm_group_find(root, name);
        v = cm_group_find_variable(root, name);
        bad +=
            i % 2 ? !g || v || strcmp(g->path, name) != 0 : g || !v || strcmp(v->path, name) != 0;
        const cm_dimension *d = cm_group_scope_dimension(root, name + 1);
        bad += !d || d->length != i;
        int64_t value;
        const cm_attribute *a = cm_group_attribute_named(root, name + 1);
        bad += !a || !cm_json_int64(a->value, &value) || value != i;
    }
    clock_gettime(CLOCK_MONOTONIC, &t1);
    double seconds = (double)(t1.tv_sec - t0.tv_sec) + 1e-9 * (double)(t1.tv_nsec - t0.tv_nsec);
    TAP_EQ(bad, 0);
    printf("# %d children built and found in %.3f s\n", N, seconds);
    TAP_OK(seconds < 20); /* quadratic would be minutes */
    cm_dataset_free(ds);
}

int main(void)
{
    TAP_RUN(tree);
    TAP_RUN(dimensions);
    TAP_RUN(attributes);
    TAP_RUN(arrays_and_problems);
    TAP_RUN(no_memory);
    TAP_RUN(large_groups);
    return tap_done();
}
