/* codec/elements.c: numbers of a named type inside bytes.
 *
 * Filters work in blocks: they load some hundred numbers into an array of int64 or double, do what
 * they do and store them. So there is one switch for a block and not for a number, and the loops
 * (element_kernels.c) are vectors. Every integer up to 32 bits is exact as a double; 64-bit ones go
 * as int64 where they can, and filters refuse the mixes in which they would be rounded twice.
 */
#include <string.h>

#include "codec/elements.h"
#include "nd/copy.h"
#include "nd/copy_kernels.h"
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

void cm_elements_make_little(cm_elements *e)
{
    if (e->big_endian)
        e->name[0] = '<';
    e->big_endian = false;
}

/* ---- byte order ------------------------------------------------------------------------------ */

enum { BLOCK = 512 };

static uint32_t swap_of(const cm_elements *e)
{
    bool native_big = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
    return e->size > 1 && e->big_endian != native_big ? e->size : 0;
}

const void *cm_elements_native(const cm_elements *e, const void *src, size_t n, void *room)
{
    if (!swap_of(e))
        return src;
    cm_copy_bytes(room, src, n * e->size, e->size);
    return room;
}

void cm_elements_to_order(const cm_elements *e, void *data, size_t n)
{
    cm_swap_bytes(data, n * e->size, swap_of(e));
}

/* ---- loading and storing --------------------------------------------------------------------- */

static void load_f64(cm_kind kind, const void *src, size_t n, double *out)
{
    if (cm_load_f64(kind, src, n, out))
        return;
    for (size_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, (const uint8_t *)src + 2 * i, 2);
        out[i] = (double)cm_half_to_float(half);
    }
}

/* Other byte orders go through a block in ours. */
#define LOADER(name, load, type)                                                                   \
    void name(const cm_elements *e, const void *src, size_t n, type *out)                          \
    {                                                                                              \
        uint8_t block[BLOCK * 8];                                                                  \
        for (size_t at = 0, some; at < n; at += some) {                                            \
            some = !swap_of(e) || n - at < BLOCK ? n - at : BLOCK;                                 \
            load(e->kind, cm_elements_native(e, (const uint8_t *)src + at * e->size, some, block), \
                 some, out + at);                                                                  \
        }                                                                                          \
    }

LOADER(cm_elements_load_i64, cm_load_i64, int64_t)
LOADER(cm_elements_load_f64, load_f64, double)

void cm_elements_load_f32(const cm_elements *e, const void *src, size_t n, float *out)
{
    cm_copy_bytes((uint8_t *)out, src, n * 4, swap_of(e));
}

void cm_elements_store_i64(const cm_elements *e, const int64_t *v, size_t n, void *dst)
{
    cm_put_i64(e->kind, e->size, v, n, dst);
    cm_elements_to_order(e, dst, n);
}

bool cm_elements_store_f64(const cm_elements *e, const double *v, size_t n, void *dst)
{
    uint8_t *p = dst;
    if (e->kind == CM_FLOAT16) {
        for (size_t i = 0; i < n; i++) {
            uint16_t half = cm_double_to_half(v[i]);
            memcpy(p + 2 * i, &half, 2);
        }
    } else if (!cm_put_f64(e->kind, v, n, dst)) {
        return false;
    }
    cm_elements_to_order(e, dst, n);
    return true;
}

bool cm_elements_store_f32(const cm_elements *e, const float *v, size_t n, void *dst)
{
    cm_copy_bytes(dst, (const uint8_t *)v, n * 4, swap_of(e));
    return true;
}
