/* join/survey_measure.c: how far apart the values of two files are.
 *
 * A hash says that latitudes differ; a reader wants to know whether it is the last bit or another
 * grid. So one example of each kind is read again, the two side by side.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "join/survey.h"
#include "nd/cell.h"

enum { MOST_CELLS = 1 << 20 };

static double number(cm_kind kind, const uint8_t *cell)
{
    float f;
    double d;
    if (kind == CM_FLOAT32)
        return memcpy(&f, cell, sizeof f), (double)f;
    if (kind == CM_FLOAT64)
        return memcpy(&d, cell, sizeof d), d;
    return (double)cm_cell_integer(kind, cell);
}

static void compare(cm_dtype dtype, const uint8_t *a, const uint8_t *b, int64_t n,
                    cm_survey_distance *out)
{
    for (int64_t i = 0; i < n; i++, a += dtype.size, b += dtype.size) {
        double x = number(dtype.kind, a), y = number(dtype.kind, b);
        if (memcmp(a, b, dtype.size) == 0 || (isnan(x) && isnan(y)))
            continue;
        double far = fabs(x - y);
        out->differing++;
        if (!(far <= HUGE_VAL) || isinf(far))
            out->largest = -1;
        else if (out->largest >= 0)
            out->largest = fmax(out->largest, far);
    }
}

static int read_both(cm_survey *s, const cm_variable *a, const cm_variable *b,
                     cm_survey_distance *out, cm_error *err)
{
    int64_t lo[CM_MAX_DIMS] = {0}, n;
    cm_dtype dtype = a->array->dtype;
    bool numbers =
        cm_kind_is_integer(dtype.kind) || dtype.kind == CM_FLOAT32 || dtype.kind == CM_FLOAT64;
    n = cm_shape_nelem(a->ndim, a->array->shape);
    if (!numbers || !cm_dtype_equal(dtype, b->array->dtype) || a->ndim != b->ndim ||
        n > MOST_CELLS ||
        memcmp(a->array->shape, b->array->shape, (size_t)a->ndim * sizeof *lo) != 0)
        return 0;
    uint8_t *x = cm_calloc((size_t)n, dtype.size, err), *y = cm_calloc((size_t)n, dtype.size, err);
    int rc = x && y ? 0 : CM_ENOMEM;
    if (rc == 0)
        rc = cm_array_read(s->ctx, a->array, lo, a->array->shape, x, NULL, NULL, err);
    if (rc == 0)
        rc = cm_array_read(s->ctx, b->array, lo, b->array->shape, y, NULL, NULL, err);
    if (rc == 0) {
        out->comparable = true;
        out->cells = n;
        compare(dtype, x, y, n, out);
    }
    free(x);
    free(y);
    return rc;
}

int cm_survey_measure(cm_survey *s, uint32_t variable, size_t a, size_t b, cm_survey_distance *out,
                      cm_error *err)
{
    cm_dataset *da = NULL, *db = NULL;
    cm_error why;
    *out = (cm_survey_distance){0};
    cm_error_clear(&why);
    int rc = cm_survey_open(s, a, &da, &why);
    if (rc == 0)
        rc = cm_survey_open(s, b, &db, &why);
    if (rc == 0) {
        const char *path = cm_survey_path(s, variable);
        cm_variable *va = cm_group_find_variable(da->root, path);
        cm_variable *vb = va ? cm_dataset_counterpart(db, va) : NULL;
        if (va && vb && va->array && vb->array)
            rc = read_both(s, va, vb, out, &why);
    }
    cm_dataset_free(da);
    cm_dataset_free(db);
    if (rc != CM_ENOMEM && rc != CM_ECANCEL)
        return 0;
    if (err)
        *err = why;
    return rc;
}
