/* Datasets in memory for tests: variables of given cells. */
#ifndef CM_TESTS_MEMORY_DATASET_H
#define CM_TESTS_MEMORY_DATASET_H

#include "dataset/dataset_private.h"
#include "tap.h"

typedef struct held {
    size_t size;
    int nd;
    int64_t shape[CM_MAX_DIMS];
    uint8_t *cells;
} held;

static int held_fill(void *user, const int64_t *start, const int64_t *count, void *dst,
                     cm_error *err)
{
    const held *h = user;
    int64_t i[CM_MAX_DIMS] = {0};
    uint8_t *out = dst;
    (void)err;
    do {
        int64_t at = 0;
        for (int k = 0; k < h->nd; k++)
            at = at * h->shape[k] + start[k] + i[k];
        memcpy(out, h->cells + (size_t)at * h->size, h->size);
        out += h->size;
    } while (cm_next(h->nd, count, i));
    return 0;
}

static void held_release(void *user)
{
    free(((held *)user)->cells);
    free(user);
}

static inline cm_dataset *mem_file(cm_context *ctx, const char *uri)
{
    cm_dataset *ds = NULL;
    cm_error err;
    TAP_CALL(cm_dataset_new(ctx, uri, "NetCDF-4", &ds, &err), &err);
    return ds;
}

static inline void mem_dim(cm_group *g, const char *name, int64_t length, bool unlimited)
{
    cm_error err;
    TAP_CALL(cm_group_add_dimension(g, name, length, unlimited, &err), &err);
}

/* dims: names between blanks, "" for a scalar; cells are copied; chunk 0: whole axes */
static inline cm_variable *mem_var(cm_group *g, const char *name, const char *dims, cm_kind kind,
                                   const void *cells, int64_t chunk)
{
    cm_variable *v = NULL;
    cm_array *a = NULL;
    cm_error err;
    char names[256], *save = NULL;
    held *h = calloc(1, sizeof *h);
    int64_t chunks[CM_MAX_DIMS];
    size_t n = 1;
    snprintf(names, sizeof names, "%s", dims);
    TAP_CALL(cm_group_add_variable(g, name, &v, &err), &err);
    for (char *d = strtok_r(names, " ", &save); d; d = strtok_r(NULL, " ", &save)) {
        const cm_dimension *dim = cm_group_scope_dimension(g, d);
        if (!dim) {
            TAP_STR(d, "a dimension");
            abort();
        }
        TAP_CALL(cm_variable_set_dimension(v, h->nd, d, &err), &err);
        h->shape[h->nd] = dim->length;
        chunks[h->nd++] = chunk ? chunk : dim->length ? dim->length : 1;
        n *= (size_t)dim->length;
    }
    h->size = cm_dtype_of(kind, 0).size;
    h->cells = malloc(n * h->size + 1);
    if (n)
        memcpy(h->cells, cells, n * h->size);
    TAP_CALL(cm_array_from_callback(cm_dtype_of(kind, 0), h->nd, h->shape, chunks, held_fill, h,
                                    held_release, &a, &err),
             &err);
    TAP_CALL(cm_array_set_names(a, g->dataset->uri, NULL, &err), &err);
    cm_variable_set_array(v, a);
    return v;
}

static inline void mem_text(cm_variable *v, const char *name, const char *text)
{
    cm_error err;
    TAP_CALL(cm_variable_add_attribute(v, name, cm_json_new_string(v->group->dataset->doc, text),
                                       cm_dtype_of(CM_STRING, 0), &err),
             &err);
}

static inline void mem_number(cm_variable *v, const char *name, double value, cm_kind kind)
{
    cm_error err;
    cm_json_doc *doc = v->group->dataset->doc;
    cm_json *j = cm_kind_is_integer(kind) ? cm_json_new_int64(doc, (int64_t)value)
                                          : cm_json_new_double(doc, value);
    TAP_CALL(cm_variable_add_attribute(v, name, j, cm_dtype_of(kind, 0), &err), &err);
}

static inline void mem_global(cm_dataset *ds, const char *name, const char *text)
{
    cm_error err;
    TAP_CALL(cm_group_add_attribute(ds->root, name, cm_json_new_string(ds->doc, text),
                                    cm_dtype_of(CM_STRING, 0), &err),
             &err);
}

/* All cells of a variable as doubles; n is what is expected. */
static inline double *mem_doubles(cm_context *ctx, cm_dataset *ds, const char *path, size_t n)
{
    static const int64_t zeros[CM_MAX_DIMS];
    cm_error err;
    cm_variable *v = cm_group_find_variable(ds->root, path);
    double *out = calloc(n + 1, sizeof *out);
    if (!v || !v->array) {
        TAP_STR(path, "a variable");
        return out;
    }
    TAP_EQ(cm_shape_nelem(v->ndim, v->array->shape), n);
    if ((size_t)cm_shape_nelem(v->ndim, v->array->shape) != n)
        return out;
    uint8_t *cells = malloc(n * v->array->dtype.size + 1);
    TAP_CALL(cm_array_read(ctx, v->array, zeros, v->array->shape, cells, NULL, NULL, &err), &err);
    for (size_t i = 0; i < n; i++) {
        const uint8_t *c = cells + i * v->array->dtype.size;
        int8_t i8;
        uint8_t u8;
        int16_t i16;
        uint16_t u16;
        int32_t i32;
        int64_t i64;
        float f;
        switch (v->array->dtype.kind) {
        case CM_INT8: memcpy(&i8, c, 1), out[i] = i8; break;
        case CM_UINT8: memcpy(&u8, c, 1), out[i] = u8; break;
        case CM_INT16: memcpy(&i16, c, 2), out[i] = i16; break;
        case CM_UINT16: memcpy(&u16, c, 2), out[i] = u16; break;
        case CM_INT32: memcpy(&i32, c, 4), out[i] = i32; break;
        case CM_INT64: memcpy(&i64, c, 8), out[i] = (double)i64; break;
        case CM_FLOAT32: memcpy(&f, c, 4), out[i] = (double)f; break;
        default: memcpy(&out[i], c, 8); break;
        }
    }
    free(cells);
    return out;
}

#endif
