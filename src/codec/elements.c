/* codec/elements.c: numbers of a named type inside bytes.
 *
 * Filters work in blocks: they load some hundred numbers into an array of int64 or double, do what
 * they do and store them. So there is one switch for a block and not for a number, and the
 * compiler vectorises the loops. Every integer up to 32 bits is exact as a double; 64-bit ones go
 * as int64 where they can, and filters refuse the mixes in which they would be rounded twice.
 */
#include <math.h>
#include <string.h>

#include "codec/elements.h"
#include "nd/copy.h"
#include "nd/half.h"

int cm_elements_of(cm_dtype dtype, const char *codec, cm_elements *out, cm_error *err)
{
    char name[CM_DTYPE_NAME];
    bool number =
        dtype.kind == CM_BOOL || cm_kind_is_integer(dtype.kind) || cm_kind_is_float(dtype.kind);
    if (!number)
        return cm_error_set(err, CM_EUNSUP, "codec %s: cells of type %s", codec,
                            cm_dtype_name(dtype, name, sizeof name));
    *out = (cm_elements){.kind = dtype.kind, .size = dtype.size};
    char letter = dtype.kind == CM_BOOL             ? 'b'
                  : cm_kind_is_float(dtype.kind)    ? 'f'
                  : cm_kind_is_unsigned(dtype.kind) ? 'u'
                                                    : 'i';
    const char text[] = {dtype.size == 1 ? '|' : '<', letter, (char)('0' + dtype.size), 0};
    memcpy(out->name, text, sizeof text);
    return 0;
}

int cm_elements_parse(const char *name, const char *codec, cm_elements *out, cm_error *err)
{
    cm_kind kind = cm_kind_named(name);
    bool big = false;
    if (kind == CM_NONE && name[0] && strchr("<>|=", name[0]) && name[1] && name[2] && !name[3]) {
        for (int k = CM_BOOL; k <= CM_FLOAT64 && kind == CM_NONE; k++) {
            cm_elements e;
            if (cm_elements_of(cm_dtype_of((cm_kind)k, 0), codec, &e, NULL) == 0 &&
                strcmp(e.name + 1, name + 1) == 0)
                kind = (cm_kind)k;
        }
        big = name[0] == '>';
    }
    if (kind == CM_NONE)
        return cm_error_set(err, CM_EUNSUP, "codec %s: numbers of type \"%.32s\"", codec, name);
    int r = cm_elements_of(cm_dtype_of(kind, 0), codec, out, err);
    if (r == 0 && big && out->size > 1) {
        out->big_endian = true;
        out->name[0] = '>';
    }
    return r;
}

cm_json *cm_elements_describe(const cm_elements *e, cm_json_doc *doc)
{
    return cm_json_new_string(doc, e->name);
}

bool cm_elements_equal(const cm_elements *a, const cm_elements *b)
{
    return a->kind == b->kind && a->big_endian == b->big_endian;
}

/* ---- loading --------------------------------------------------------------------------------- */

enum { BLOCK = 512 };

static bool swapped(const cm_elements *e)
{
    return e->size > 1 && e->big_endian != (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
}

#define EACH(type, expression)                                                                     \
    do {                                                                                           \
        for (size_t i = 0; i < n; i++) {                                                           \
            type v;                                                                                \
            memcpy(&v, p + i * sizeof v, sizeof v);                                                \
            out[i] = (expression);                                                                 \
        }                                                                                          \
    } while (0)

static void load_i64(const cm_elements *e, const uint8_t *p, size_t n, int64_t *out)
{
    switch (e->kind) {
    case CM_INT8: EACH(int8_t, v); break;
    case CM_INT16: EACH(int16_t, v); break;
    case CM_INT32: EACH(int32_t, v); break;
    case CM_UINT16: EACH(uint16_t, v); break;
    case CM_UINT32: EACH(uint32_t, v); break;
    case CM_INT64:
    case CM_UINT64: EACH(int64_t, v); break;
    default: EACH(uint8_t, v); break;
    }
}

static void load_f64(const cm_elements *e, const uint8_t *p, size_t n, double *out)
{
    switch (e->kind) {
    case CM_FLOAT16: EACH(uint16_t, (double)cm_half_to_float(v)); break;
    case CM_FLOAT32: EACH(float, (double)v); break;
    case CM_FLOAT64: EACH(double, v); break;
    case CM_INT8: EACH(int8_t, v); break;
    case CM_INT16: EACH(int16_t, v); break;
    case CM_INT32: EACH(int32_t, v); break;
    case CM_UINT16: EACH(uint16_t, v); break;
    case CM_UINT32: EACH(uint32_t, v); break;
    case CM_INT64: EACH(int64_t, (double)v); break;
    case CM_UINT64: EACH(uint64_t, (double)v); break;
    default: EACH(uint8_t, v); break;
    }
}

/* Other byte orders go through a block in ours. */
#define LOADER(name, load, type)                                                                   \
    void name(const cm_elements *e, const void *src, size_t n, type *out)                          \
    {                                                                                              \
        uint8_t block[BLOCK * 8];                                                                  \
        const uint8_t *p = src;                                                                    \
        if (!swapped(e)) {                                                                         \
            load(e, p, n, out);                                                                    \
            return;                                                                                \
        }                                                                                          \
        for (size_t at = 0, some; at < n; at += some) {                                            \
            some = n - at < BLOCK ? n - at : BLOCK;                                                \
            memcpy(block, p + at * e->size, some * e->size);                                       \
            cm_swap_bytes(block, some * e->size, e->size);                                         \
            load(e, block, some, out + at);                                                        \
        }                                                                                          \
    }

LOADER(cm_elements_load_i64, load_i64, int64_t)
LOADER(cm_elements_load_f64, load_f64, double)

/* ---- storing --------------------------------------------------------------------------------- */

#define PUT(type, expression)                                                                      \
    do {                                                                                           \
        for (size_t i = 0; i < n; i++) {                                                           \
            type x = (expression);                                                                 \
            memcpy(p + i * sizeof x, &x, sizeof x);                                                \
        }                                                                                          \
    } while (0)

void cm_elements_store_i64(const cm_elements *e, const int64_t *v, size_t n, void *dst)
{
    uint8_t *p = dst;
    if (e->kind == CM_BOOL)
        PUT(uint8_t, v[i] != 0);
    else if (e->size == 1)
        PUT(uint8_t, (uint8_t)v[i]);
    else if (e->size == 2)
        PUT(uint16_t, (uint16_t)v[i]);
    else if (e->size == 4)
        PUT(uint32_t, (uint32_t)v[i]);
    else
        PUT(int64_t, v[i]);
    if (swapped(e))
        cm_swap_bytes(dst, n * e->size, e->size);
}

/* lo <= trunc(v) < end for every one; false for NaN. */
static bool inside(const double *v, size_t n, double lo, double end)
{
    bool good = true;
    for (size_t i = 0; i < n; i++)
        good &= v[i] > lo - 1 && v[i] < end;
    return good;
}

bool cm_elements_store_f64(const cm_elements *e, const double *v, size_t n, void *dst)
{
    uint8_t *p = dst;
    if (e->kind == CM_FLOAT64) {
        PUT(double, v[i]);
    } else if (e->kind == CM_FLOAT32) {
        PUT(float, (float)v[i]);
    } else if (e->kind == CM_FLOAT16) {
        PUT(uint16_t, cm_double_to_half(v[i]));
    } else if (e->kind == CM_BOOL || e->size == 8) {
        return false;
    } else {
        bool is_unsigned = cm_kind_is_unsigned(e->kind);
        double end = ldexp(1, 8 * (int)e->size - !is_unsigned);
        if (!inside(v, n, is_unsigned ? 0 : -end, end))
            return false;
        if (e->size == 1)
            PUT(uint8_t, (uint8_t)(int64_t)v[i]);
        else if (e->size == 2)
            PUT(uint16_t, (uint16_t)(int64_t)v[i]);
        else
            PUT(uint32_t, (uint32_t)(int64_t)v[i]);
    }
    if (swapped(e))
        cm_swap_bytes(dst, n * e->size, e->size);
    return true;
}
