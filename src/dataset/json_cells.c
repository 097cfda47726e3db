/* dataset/json_cells.c: cells as JSON and back, exactly.
 *
 * Integers go through their 64-bit forms and never through a double. float32 and float16 become the
 * double that equals them, as Python writes them; back, a decimal text is rounded once, straight to
 * the type. A finite text that only infinity could hold does not fit.
 */
#include <math.h>
#include <string.h>

#include "dataset/dataset_private.h"
#include "nd/cell.h"
#include "nd/half.h"
#include "text/number_text.h"

/* ---- cells to JSON --------------------------------------------------------------------------- */

static cm_json *real_to_json(cm_json_doc *doc, cm_kind kind, const uint8_t *p)
{
    uint16_t h;
    float f;
    double d;
    switch (kind) {
    case CM_FLOAT16:
        memcpy(&h, p, sizeof h);
        return cm_json_new_double(doc, (double)cm_half_to_float(h));
    case CM_FLOAT32: memcpy(&f, p, sizeof f); return cm_json_new_double(doc, (double)f);
    default: memcpy(&d, p, sizeof d); return cm_json_new_double(doc, d);
    }
}

static cm_json *cell_to_json(cm_json_doc *doc, cm_dtype dtype, const uint8_t *p)
{
    if (dtype.kind == CM_BOOL)
        return cm_json_new_bool(doc, *p != 0);
    if (cm_kind_is_float(dtype.kind))
        return real_to_json(doc, dtype.kind, p);
    if (cm_kind_is_complex(dtype.kind)) {
        cm_kind part = dtype.kind == CM_COMPLEX64 ? CM_FLOAT32 : CM_FLOAT64;
        cm_json *pair = cm_json_new_array(doc);
        int r = cm_json_add(doc, pair, real_to_json(doc, part, p));
        if (r == 0)
            r = cm_json_add(doc, pair, real_to_json(doc, part, p + dtype.size / 2));
        return r == 0 ? pair : NULL;
    }
    if (cm_kind_is_unsigned(dtype.kind))
        return cm_json_new_uint64(doc, (uint64_t)cm_cell_integer(dtype.kind, p));
    if (cm_kind_is_time(dtype.kind))
        return cm_json_new_int64(doc, (int64_t)cm_cell_integer(CM_INT64, p));
    if (cm_kind_is_integer(dtype.kind))
        return cm_json_new_int64(doc, (int64_t)cm_cell_integer(dtype.kind, p));
    return NULL;
}

cm_json *cm_json_from_cells(cm_json_doc *doc, cm_dtype dtype, const void *cells, size_t n,
                            bool scalar)
{
    const uint8_t *p = cells;
    if (scalar && n == 1)
        return cell_to_json(doc, dtype, p);
    cm_json *list = cm_json_new_array(doc);
    for (size_t i = 0; i < n; i++)
        if (cm_json_add(doc, list, cell_to_json(doc, dtype, p + i * dtype.size)) != 0)
            return NULL;
    return list;
}

/* ---- JSON to a cell -------------------------------------------------------------------------- */

/* The special values by name, as a string or as a token. */
static bool special(const cm_json *v, double *out)
{
    const char *s = cm_json_is(v, CM_JSON_STRING) ? cm_json_string(v) : cm_json_number_text(v);
    if (!s || (cm_json_is(v, CM_JSON_STRING) && cm_json_string_nbytes(v) != strlen(s)))
        return false;
    if (strcmp(s, "NaN") == 0)
        *out = (double)NAN;
    else if (strcmp(s, "Infinity") == 0)
        *out = (double)INFINITY;
    else if (strcmp(s, "-Infinity") == 0)
        *out = -(double)INFINITY;
    else
        return false;
    return true;
}

static bool real_from_json(const cm_json *v, cm_kind kind, uint8_t *p)
{
    double d = 0;
    bool named = special(v, &d);
    if (!named && !cm_json_double(v, &d))
        return false;
    if (kind == CM_FLOAT64) {
        memcpy(p, &d, sizeof d);
        return named || isfinite(d);
    }
    if (kind == CM_FLOAT32) {
        float f = named ? (float)d : cm_strtof(cm_json_number_text(v));
        memcpy(p, &f, sizeof f);
        return named || isfinite(f);
    }
    uint16_t h = cm_double_to_half(d);
    memcpy(p, &h, sizeof h);
    return named || (h & 0x7c00) != 0x7c00;
}

static bool signed_from_json(const cm_json *v, size_t size, uint8_t *p)
{
    int64_t i, most = (int64_t)(((uint64_t)1 << (8 * size - 1)) - 1);
    if (!cm_json_int64(v, &i) || i > most || i < -most - 1)
        return false;
    int8_t a = (int8_t)i;
    int16_t b = (int16_t)i;
    int32_t c = (int32_t)i;
    memcpy(p,
           size == 1   ? (void *)&a
           : size == 2 ? (void *)&b
           : size == 4 ? (void *)&c
                       : (void *)&i,
           size);
    return true;
}

static bool unsigned_from_json(const cm_json *v, size_t size, uint8_t *p)
{
    uint64_t u, most = UINT64_MAX >> (64 - 8 * size);
    if (!cm_json_uint64(v, &u) || u > most)
        return false;
    uint8_t a = (uint8_t)u;
    uint16_t b = (uint16_t)u;
    uint32_t c = (uint32_t)u;
    memcpy(p,
           size == 1   ? (void *)&a
           : size == 2 ? (void *)&b
           : size == 4 ? (void *)&c
                       : (void *)&u,
           size);
    return true;
}

bool cm_cell_from_json(const cm_json *v, cm_dtype dtype, void *cell)
{
    uint8_t *p = cell;
    uint64_t u;
    if (cm_kind_is_float(dtype.kind))
        return real_from_json(v, dtype.kind, p);
    if (cm_kind_is_complex(dtype.kind)) {
        cm_kind part = dtype.kind == CM_COMPLEX64 ? CM_FLOAT32 : CM_FLOAT64;
        return cm_json_is(v, CM_JSON_ARRAY) && cm_json_count(v) == 2 &&
               real_from_json(cm_json_at(v, 0), part, p) &&
               real_from_json(cm_json_at(v, 1), part, p + dtype.size / 2);
    }
    if (dtype.kind == CM_BOOL) {
        bool yes = cm_json_bool(v, false);
        if (!cm_json_is(v, CM_JSON_BOOL)) {
            if (!cm_json_uint64(v, &u) || u > 1)
                return false;
            yes = u == 1;
        }
        *p = yes;
        return true;
    }
    if (cm_kind_is_unsigned(dtype.kind))
        return unsigned_from_json(v, dtype.size, p);
    return (cm_kind_is_integer(dtype.kind) || cm_kind_is_time(dtype.kind)) &&
           signed_from_json(v, dtype.size, p);
}
