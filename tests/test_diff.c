/* tests/test_diff.c: cm_diff on arrays from callbacks with differences planted at random, against a
 * comparison cell by cell; and on datasets that differ in all other ways. */
#include <math.h>

#include "chunkmill/verify.h"
#include "dataset/dataset_private.h"
#include "faults.h"
#include "format/format.h"
#include "tap.h"
#include "verify/cells_compare.h"

static cm_context *ctx;

/* ---- arrays in memory ------------------------------------------------------------------------ */

typedef struct cells {
    int ndim;
    int64_t shape[4], n;
    cm_dtype dtype;
    char *data;
} cells;

static int copy_box(void *user, const int64_t *start, const int64_t *count, void *dst,
                    cm_error *err)
{
    const cells *c = user;
    (void)err;
    int64_t i[4] = {0}, n = 1;
    for (int k = 0; k < c->ndim; k++)
        n *= count[k];
    for (int64_t j = 0; j < n; j++) {
        int64_t at = 0;
        for (int k = 0; k < c->ndim; k++)
            at = at * c->shape[k] + start[k] + i[k];
        memcpy((char *)dst + (size_t)j * c->dtype.size, c->data + (size_t)at * c->dtype.size,
               c->dtype.size);
        cm_next(c->ndim, count, i);
    }
    return 0;
}

static cm_array *array_of(cells *c, const int64_t *chunk)
{
    cm_array *a = NULL;
    cm_error err = {0};
    TAP_CALL(
        cm_array_from_callback(c->dtype, c->ndim, c->shape, chunk, copy_box, c, NULL, &a, &err),
        &err);
    return a;
}

/* A dataset with one variable /v, or none when array is NULL. */
static cm_dataset *dataset_of(cm_array *array, const char *const *dims)
{
    cm_dataset *ds = NULL;
    cm_variable *v = NULL;
    cm_error err = {0};
    TAP_CALL(cm_dataset_new(ctx, "test", "test", &ds, &err), &err);
    if (!array)
        return ds;
    TAP_CALL(cm_group_add_variable(cm_dataset_root(ds), "v", &v, &err), &err);
    cm_variable_set_array(v, array);
    for (int i = 0; dims && i < cm_array_ndim(array); i++)
        TAP_CALL(cm_variable_set_dimension(v, i, dims[i], &err), &err);
    return ds;
}

static cm_json_doc *diff(cm_dataset *a, cm_dataset *b, const cm_diff_options *options)
{
    cm_json_doc *doc = NULL;
    cm_error err = {0};
    TAP_CALL(cm_diff(ctx, a, b, options, &doc, &err), &err);
    return doc;
}

static bool equal_of(const cm_json_doc *doc)
{
    return cm_json_bool(cm_json_get(cm_json_doc_root(doc), "equal"), false);
}

static const cm_json *variable_of(const cm_json_doc *doc, size_t i)
{
    return cm_json_at(cm_json_get(cm_json_doc_root(doc), "variables"), i);
}

static int64_t number_of(const cm_json *o, const char *key)
{
    int64_t v = -1;
    cm_json_int64(cm_json_get(o, key), &v);
    return v;
}

/* ---- planted differences --------------------------------------------------------------------- */

static const cm_kind kinds[] = {CM_BOOL,    CM_INT8,    CM_INT16,     CM_INT32,     CM_INT64,
                                CM_UINT8,   CM_UINT16,  CM_UINT32,    CM_UINT64,    CM_FLOAT16,
                                CM_FLOAT32, CM_FLOAT64, CM_COMPLEX64, CM_COMPLEX128};

static double to_double(cm_kind kind, const void *p)
{
    float f;
    double d;
    if (kind == CM_FLOAT32)
        return memcpy(&f, p, 4), (double)f;
    return memcpy(&d, p, 8), d;
}

/* The naive oracle for one pair; *abs is set for ints up to 32 bits and floats of 32 and 64. */
static bool naive_equal(cm_dtype t, const char *a, const char *b, double *abs)
{
    int64_t x = 0, y = 0;
    *abs = -1;
    if (memcmp(a, b, t.size) == 0)
        return true;
    if (t.kind == CM_FLOAT32 || t.kind == CM_FLOAT64) {
        double p = to_double(t.kind, a), q = to_double(t.kind, b);
        if (isnan(p) || isnan(q))
            return isnan(p) && isnan(q);
        *abs = fabs(p - q);
        return false;
    }
    if (t.kind == CM_COMPLEX64 || t.kind == CM_COMPLEX128) {
        cm_dtype part = cm_dtype_of(t.kind == CM_COMPLEX64 ? CM_FLOAT32 : CM_FLOAT64, 0);
        double ignore;
        return naive_equal(part, a, b, &ignore) &&
               naive_equal(part, a + part.size, b + part.size, &ignore);
    }
    if (t.kind == CM_FLOAT16) {
        uint16_t p, q;
        memcpy(&p, a, 2), memcpy(&q, b, 2);
        return (p & 0x7fff) > 0x7c00 && (q & 0x7fff) > 0x7c00;
    }
    if (t.size <= 4) {
        uint32_t shift = 64 - 8 * t.size;
        memcpy(&x, a, t.size), memcpy(&y, b, t.size);
        if (!cm_kind_is_unsigned(t.kind)) {
            x = (int64_t)((uint64_t)x << shift) >> shift;
            y = (int64_t)((uint64_t)y << shift) >> shift;
        }
        *abs = fabs((double)(x - y));
    }
    return false;
}

static void random_cells(cells *c, uint64_t *s)
{
    for (size_t i = 0; i < (size_t)c->n * c->dtype.size; i++)
        c->data[i] = (char)(c->dtype.kind == CM_BOOL ? tap_random(s) & 1 : tap_random(s));
}

/* Spoil a cell of b: other bits, another NaN, the other zero. */
static void plant(const cells *a, cells *b, int64_t i, uint64_t *s)
{
    size_t size = a->dtype.size;
    char *x = a->data + (size_t)i * size, *y = b->data + (size_t)i * size;
    uint64_t what = tap_random(s) % 4;
    if (a->dtype.kind == CM_BOOL) {
        *y = !*x;
    } else if (what == 0 && a->dtype.kind == CM_FLOAT64) {
        double nan1 = NAN, zero = 0;
        memcpy(x, &nan1, 8), memcpy(y, tap_random(s) % 2 ? &nan1 : &zero, 8);
        y[0] ^= 1; /* another payload, or the least number */
    } else if (what == 1 && a->dtype.kind == CM_FLOAT32) {
        float plus = 0, minus = -plus;
        memcpy(x, &plus, 4), memcpy(y, &minus, 4);
    } else {
        y[tap_random(s) % size] ^= (char)(1 + tap_random(s) % 255);
    }
}

static void check_against_naive(const cells *a, const cells *b, const cm_json *v)
{
    int64_t differing = 0;
    double max = -1;
    const cm_json *first = cm_json_get(v, "first");
    for (int64_t i = 0; i < a->n; i++) {
        double abs;
        bool equal = naive_equal(a->dtype, a->data + (size_t)i * a->dtype.size,
                                 b->data + (size_t)i * a->dtype.size, &abs);
        max = abs > max ? abs : max;
        if (equal)
            continue;
        if (differing < 10) {
            const cm_json *index = cm_json_get(cm_json_at(first, (size_t)differing), "index");
            int64_t at = 0;
            TAP_EQ(cm_json_count(index), a->ndim);
            for (int k = 0; k < a->ndim; k++) {
                int64_t x = -1;
                cm_json_int64(cm_json_at(index, (size_t)k), &x);
                at = at * a->shape[k] + x;
            }
            TAP_EQ(at, i);
        }
        differing++;
    }
    TAP_EQ(number_of(v, "differing"), differing);
    TAP_EQ(number_of(v, "cells"), a->n);
    TAP_EQ(cm_json_count(first), differing < 10 ? differing : 10);
    TAP_EQ(cm_json_bool(cm_json_get(v, "equal"), differing), differing == 0);
    double told = -1;
    cm_json_double(cm_json_get(v, "max_abs_difference"), &told);
    if (max >= 0)
        TAP_OK(told == max);
}

static void planted(void)
{
    uint64_t s = tap_seed();
    for (int round = 0; round < 400 && !tap_failed_here; round++) {
        cells a = {.ndim = (int)(tap_random(&s) % 5), .n = 1}, b;
        int64_t ca[4], cb[4];
        a.dtype = cm_dtype_of(kinds[tap_random(&s) % (sizeof kinds / sizeof kinds[0])], 0);
        for (int k = 0; k < a.ndim; k++) {
            a.shape[k] = 1 + (int64_t)(tap_random(&s) % 12);
            ca[k] = 1 + (int64_t)(tap_random(&s) % 12);
            cb[k] = 1 + (int64_t)(tap_random(&s) % 12);
            a.n *= a.shape[k];
        }
        b = a;
        size_t nbytes = (size_t)a.n * a.dtype.size;
        a.data = malloc(nbytes), b.data = malloc(nbytes);
        random_cells(&a, &s);
        memcpy(b.data, a.data, nbytes);
        uint64_t nplants = round % 3 == 0 ? 0 : round % 3 == 1 ? 1 + tap_random(&s) % 3 : 40;
        for (uint64_t i = 0; i < nplants; i++)
            plant(&a, &b, (int64_t)(tap_random(&s) % (uint64_t)a.n), &s);
        cm_dataset *da = dataset_of(array_of(&a, ca), NULL),
                   *db = dataset_of(array_of(&b, cb), NULL);
        cm_json_doc *doc = diff(da, db, NULL);
        if (doc)
            check_against_naive(&a, &b, variable_of(doc, 0));
        cm_json_doc_free(doc);
        cm_dataset_free(da);
        cm_dataset_free(db);
        free(a.data);
        free(b.data);
    }
}

/* More cells than the budget holds, in blocks that are columns, so that the first differences in C
 * order come from many of them. */
enum { ROWS = 8000, COLUMNS = 3000, STEP = 700001 };

static int ramp(void *user, const int64_t *start, const int64_t *count, void *dst, cm_error *err)
{
    int32_t *out = dst;
    (void)err;
    for (int64_t i = 0; i < count[0]; i++)
        for (int64_t j = 0; j < count[1]; j++) {
            int64_t at = (start[0] + i) * COLUMNS + start[1] + j;
            *out++ = (int32_t)at + (user && at % STEP == 5 ? 7 : 0);
        }
    return 0;
}

static void bounded_memory(void)
{
    int64_t shape[] = {ROWS, COLUMNS}, ca[] = {ROWS, 7}, cb[] = {4000, 5}, none;
    cm_context_options options;
    cm_context_options_init(&options);
    options.threads = 3;
    options.max_memory = 24 << 20;
    cm_context *small = NULL, *saved = ctx;
    cm_error err = {0};
    TAP_CALL(cm_context_new(&options, &small, &err), &err);
    cm_array *a = NULL, *b = NULL;
    TAP_CALL(
        cm_array_from_callback(cm_dtype_of(CM_INT32, 0), 2, shape, ca, ramp, NULL, NULL, &a, &err),
        &err);
    TAP_CALL(
        cm_array_from_callback(cm_dtype_of(CM_INT32, 0), 2, shape, cb, ramp, &none, NULL, &b, &err),
        &err);
    ctx = small;
    cm_dataset *da = dataset_of(a, NULL), *db = dataset_of(b, NULL);
    cm_json_doc *doc = diff(da, db, NULL);
    TAP_EQ(number_of(variable_of(doc, 0), "differing"), (ROWS * COLUMNS - 6) / STEP + 1);
    TAP_EQ(number_of(variable_of(doc, 0), "max_abs_difference"), 7);
    for (int k = 0; k < 10; k++) {
        const cm_json *f = cm_json_at(cm_json_get(variable_of(doc, 0), "first"), (size_t)k);
        const cm_json *index = cm_json_get(f, "index");
        int64_t row = -1, column = -1;
        cm_json_int64(cm_json_at(index, 0), &row);
        cm_json_int64(cm_json_at(index, 1), &column);
        TAP_EQ(row * COLUMNS + column, 5 + (int64_t)k * STEP);
        TAP_EQ(number_of(f, "b"), number_of(f, "a") + 7);
    }
    TAP_OK(cm_context_memory_peak(small) <= 24 << 20);
    TAP_EQ(cm_context_memory_now(small), 0);
    cm_json_doc_free(doc);
    cm_dataset_free(da);
    cm_dataset_free(db);
    ctx = saved;
    cm_context_free(small);
}

/* ---- everything else ------------------------------------------------------------------------- */

static cells doubles(double *v, int64_t n)
{
    return (cells){
        .ndim = 1, .shape = {n}, .n = n, .dtype = cm_dtype_of(CM_FLOAT64, 0), .data = (char *)v};
}

static void tolerances(void)
{
    double x[] = {1, 100, INFINITY, NAN, 5, 0, INFINITY},
           y[] = {1.05, 109, 1, NAN, NAN, -0.0, INFINITY};
    cells a = doubles(x, 7), b = doubles(y, 7);
    cm_dataset *da = dataset_of(array_of(&a, NULL), NULL),
               *db = dataset_of(array_of(&b, NULL), NULL);
    cm_diff_options o;
    cm_diff_options_init(&o);
    cm_json_doc *doc = diff(da, db, &o);
    TAP_EQ(number_of(variable_of(doc, 0), "differing"), 5); /* 0 and -0 too */
    cm_json_doc_free(doc);
    o.rtol = 0.1;
    doc = diff(da, db, &o);
    TAP_EQ(number_of(variable_of(doc, 0), "differing"), 2); /* the infinity, the NaN */
    cm_json_doc_free(doc);
    o.rtol = 0, o.atol = 0.1;
    doc = diff(da, db, &o);
    TAP_EQ(number_of(variable_of(doc, 0), "differing"), 3);
    cm_json_doc_free(doc);
    cm_error err = {0};
    o.atol = -1;
    TAP_EQ(cm_diff(ctx, da, db, &o, &doc, &err), CM_EINVAL);
    cm_dataset_free(da);
    cm_dataset_free(db);
}

static void strings(void)
{
    char x[] = "aa\0bb\0"
               "c\0\0",
         y[] = "aa\0bc\0"
               "c\0\0";
    cells a = {.ndim = 1, .shape = {3}, .n = 3, .dtype = cm_dtype_of(CM_BYTES, 3), .data = x},
          b = a;
    b.data = y;
    cm_array *sa = NULL, *sb = NULL;
    cm_error err = {0};
    TAP_CALL(cm_array_bytes_to_string(array_of(&a, NULL), &sa, &err), &err);
    TAP_CALL(cm_array_bytes_to_string(array_of(&b, NULL), &sb, &err), &err);
    cm_dataset *da = dataset_of(sa, NULL), *db = dataset_of(sb, NULL);
    cm_json_doc *doc = diff(da, db, NULL);
    const cm_json *v = variable_of(doc, 0), *f = cm_json_at(cm_json_get(v, "first"), 0);
    TAP_EQ(number_of(v, "differing"), 1);
    TAP_STR(cm_json_string(cm_json_get(f, "a")), "bb");
    TAP_STR(cm_json_string(cm_json_get(f, "b")), "bc");
    TAP_OK(cm_json_is(cm_json_get(v, "max_abs_difference"), CM_JSON_NULL));
    cm_json_doc_free(doc);
    cm_dataset_free(da);
    cm_dataset_free(db);
}

static void problem(cm_array *a, const char *const *dims_a, cm_array *b, const char *const *dims_b,
                    const char *text)
{
    cm_dataset *da = dataset_of(a, dims_a), *db = dataset_of(b, dims_b);
    cm_json_doc *doc = diff(da, db, NULL);
    TAP_OK(!equal_of(doc));
    TAP_EQ(cm_json_count(cm_json_get(cm_json_doc_root(doc), "variables")), 1);
    TAP_STR(cm_json_string(cm_json_get(variable_of(doc, 0), "problem")), text);
    TAP_STR(cm_json_string(cm_json_get(variable_of(doc, 0), "path")), "/v");
    cm_json_doc_free(doc);
    cm_dataset_free(da);
    cm_dataset_free(db);
}

static void declarations(void)
{
    double x[] = {1, 2, 3, 4};
    static const char *const lat[] = {"lat", "lon"}, *const lon[] = {"lon", NULL};
    cells a = doubles(x, 4), b = a, c = a;
    b.ndim = 2, b.shape[0] = b.shape[1] = 2;
    c.dtype = cm_dtype_of(CM_INT64, 0);
    problem(array_of(&a, NULL), NULL, array_of(&b, NULL), NULL, "shape (4) and (2, 2)");
    problem(array_of(&a, NULL), NULL, array_of(&c, NULL), NULL, "dtype float64 and int64");
    problem(array_of(&b, NULL), lat, array_of(&b, NULL), lon,
            "dimensions (lat, lon) and (lon, unnamed)");
    problem(array_of(&a, NULL), NULL, NULL, NULL, "missing in the second");
    problem(NULL, NULL, array_of(&a, NULL), NULL, "missing in the first");
}

static void empty_arrays(void)
{
    cells a = {.ndim = 2, .shape = {0, 5}, .n = 0, .dtype = cm_dtype_of(CM_INT8, 0), .data = ""};
    cm_dataset *da = dataset_of(array_of(&a, NULL), NULL),
               *db = dataset_of(array_of(&a, NULL), NULL);
    cm_json_doc *doc = diff(da, db, NULL);
    TAP_OK(equal_of(doc));
    TAP_EQ(number_of(variable_of(doc, 0), "cells"), 0);
    cm_json_doc_free(doc);
    cm_dataset_free(da);
    cm_dataset_free(db);
}

static void attribute(cm_dataset *ds, bool on_variable, const char *name, cm_json *value)
{
    cm_error err = {0};
    cm_variable *v = cm_group_find_variable(cm_dataset_root(ds), "/v");
    cm_dtype none = {.kind = CM_NONE};
    TAP_CALL(on_variable ? cm_variable_add_attribute(v, name, value, none, &err)
                         : cm_group_add_attribute(cm_dataset_root(ds), name, value, none, &err),
             &err);
}

static void attributes(void)
{
    double x[] = {1};
    cells a = doubles(x, 1);
    cm_error err = {0};
    cm_group *g = NULL;
    cm_dataset *da = dataset_of(array_of(&a, NULL), NULL),
               *db = dataset_of(array_of(&a, NULL), NULL);
    attribute(da, true, "units", cm_json_new_string(da->doc, "K"));
    attribute(db, true, "units", cm_json_new_string(db->doc, "K"));
    attribute(da, true, "n", cm_json_new_int64(da->doc, 1));
    attribute(db, true, "n", cm_json_new_double(db->doc, 1.0)); /* equal as JSON */
    attribute(da, true, "scale", cm_json_new_int64(da->doc, 1));
    attribute(db, true, "scale", cm_json_new_int64(db->doc, 2));
    attribute(da, false, "title", cm_json_new_string(da->doc, "t"));
    TAP_CALL(cm_group_add_group(cm_dataset_root(db), "g", &g, &err), &err);
    TAP_CALL(cm_group_add_attribute(g, "x", cm_json_new_null(db->doc), (cm_dtype){0}, &err), &err);
    cm_json_doc *doc = diff(da, db, NULL);
    TAP_OK(equal_of(doc)); /* not asked for */
    cm_json_doc_free(doc);
    cm_diff_options o;
    cm_diff_options_init(&o);
    o.attributes = true;
    doc = diff(da, db, &o);
    char *text = NULL;
    size_t n;
    TAP_OK(!equal_of(doc));
    TAP_CALL(cm_json_write(cm_json_get(cm_json_doc_root(doc), "attributes"), 0, &text, &n, &err),
             &err);
    TAP_STR(text, "[{\"path\": \"/v\", \"name\": \"scale\", \"a\": 1, \"b\": 2}, "
                  "{\"path\": \"/\", \"name\": \"title\", \"a\": \"t\", \"b\": null}, "
                  "{\"path\": \"/g\", \"name\": \"x\", \"a\": null, \"b\": null}]");
    free(text);
    cm_json_doc_free(doc);
    cm_dataset_free(da);
    cm_dataset_free(db);
}

static int fails(void *user, const int64_t *start, const int64_t *count, void *dst, cm_error *err)
{
    (void)user, (void)start, (void)count, (void)dst;
    return cm_error_set(err, CM_EIO, "the disk is gone");
}

static void errors(void)
{
    double x[] = {1};
    cells a = doubles(x, 1);
    cm_error err = {0}, why = {0};
    cm_array *bad = NULL;
    cm_json_doc *doc = NULL;
    TAP_CALL(cm_array_from_callback(a.dtype, 1, a.shape, NULL, fails, NULL, NULL, &bad, &err),
             &err);
    cm_dataset *da = dataset_of(array_of(&a, NULL), NULL), *db = dataset_of(bad, NULL);
    TAP_EQ(cm_diff(ctx, da, db, NULL, &doc, &err), CM_EIO);
    TAP_OK(doc == NULL && strstr(err.message, "the disk is gone"));
    cm_dataset_free(db);
    db = dataset_of(NULL, NULL);
    cm_variable *v = NULL;
    TAP_CALL(cm_group_add_variable(cm_dataset_root(db), "v", &v, &err), &err);
    cm_error_set(&why, CM_EUNSUP, "it is a compound");
    TAP_CALL(cm_variable_set_problem(v, &why, &err), &err);
    TAP_EQ(cm_diff(ctx, da, db, NULL, &doc, &err), CM_EUNSUP);
    TAP_STR(err.variable, "/v");
    cm_dataset_free(da);
    cm_dataset_free(db);
}

/* Differences that only exact arithmetic gets right. */
static void large_differences(void)
{
    int64_t p = INT64_MIN, q = INT64_MAX;
    uint64_t u = UINT64_MAX, w = 0;
    cm_cells_diff d;
    cm_cells_compare(cm_dtype_of(CM_INT64, 0), &p, &q, 1, 0, 0, &d);
    TAP_OK(d.max_abs == 18446744073709551615.0);
    cm_cells_compare(cm_dtype_of(CM_UINT64, 0), &u, &w, 1, 0, 0, &d);
    TAP_OK(d.max_abs == 18446744073709551615.0);
    uint16_t h[] = {0x3c00}, k[] = {0xbc00}; /* 1 and -1 */
    cm_cells_compare(cm_dtype_of(CM_FLOAT16, 0), h, k, 1, 0, 0, &d);
    TAP_OK(d.max_abs == 2 && d.differing == 1);
    float z[] = {3, 4}, o[] = {0, 0};
    cm_cells_compare(cm_dtype_of(CM_COMPLEX64, 0), z, o, 1, 0, 0, &d);
    TAP_OK(d.max_abs == 5);
}

/* Every allocation on the way fails once. */
static void out_of_memory(void)
{
    double x[40], y[40];
    for (int i = 0; i < 40; i++)
        x[i] = i, y[i] = i % 3 ? i : -1 - i;
    cells a = doubles(x, 40), b = doubles(y, 40);
    int64_t chunk = 7;
    cm_dataset *da = dataset_of(array_of(&a, &chunk), NULL);
    cm_dataset *db = dataset_of(array_of(&b, &chunk), NULL);
    cm_diff_options o;
    cm_diff_options_init(&o);
    o.attributes = true;
    attribute(da, true, "units", cm_json_new_string(da->doc, "K"));
    bool fired = true;
    int64_t n = 0;
    for (; fired && !tap_failed_here; n++) {
        cm_json_doc *doc = NULL;
        cm_error err = {0};
        fault_malloc_at(n);
        int ret = cm_diff(ctx, da, db, &o, &doc, &err);
        fired = fault_end();
        TAP_EQ(ret, fired ? CM_ENOMEM : 0);
        TAP_OK((doc != NULL) == (ret == 0));
        cm_json_doc_free(doc);
    }
    TAP_OK(n > 20);
    cm_dataset_free(da);
    cm_dataset_free(db);
}

int main(void)
{
    cm_error err = {0};
    cm_context_options options;
    cm_context_options_init(&options);
    options.threads = 2;
    options.max_memory = 128u << 20;
    TAP_CALL(cm_context_new(&options, &ctx, &err), &err);
    if (!ctx)
        return 1;
    TAP_RUN(planted);
    TAP_RUN(bounded_memory);
    TAP_RUN(tolerances);
    TAP_RUN(strings);
    TAP_RUN(declarations);
    TAP_RUN(empty_arrays);
    TAP_RUN(attributes);
    TAP_RUN(errors);
    TAP_RUN(large_differences);
    TAP_RUN(out_of_memory);
    cm_context_free(ctx);
    return tap_done();
}
