/* cf/unpack.c: the kernels that turn packed cells into floats.
 *
 * One loop per stored type and working type, made by macro: convert, compare with the fill values,
 * multiply, add. The working type is the natural dtype of the packing; products and sums are taken
 * in double and rounded to it after each step, which for float32 operands is the same as float32
 * arithmetic (53 >= 2*24 + 2 bits, Figueroa 1995) and for a double scale is what numpy does with a
 * float32 array. The multiplication and the addition are separate statements, so that no compiler
 * fuses them. Cells need no alignment: they are copied through a block on the stack.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "array/compose.h"
#include "base/memory.h"
#include "cf/packing.h"

typedef struct unpack_state {
    cm_packing packing;
    cm_dtype to;
    bool round_each; /* round to float32 after each step */
} unpack_state;

enum { BLOCK = 512 };

static float half_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, m = h & 0x3ff, bits;
    float f;
    if (exponent == 0) {
        f = (float)m * 0x1p-24f;
        return sign ? -f : f;
    }
    bits = sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | m << 13;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* Cells to doubles (exact but for 64-bit integers, which round as numpy rounds them; those of
 * float32 working type are rounded to it first), and which of them are missing. */
#define LOAD(name, type, convert)                                                                  \
    static void load_##name(const unpack_state *s, const void *src, size_t n, double *out,         \
                            uint8_t *missing)                                                      \
    {                                                                                              \
        const cm_packing *p = &s->packing;                                                         \
        type cells[BLOCK];                                                                         \
        memcpy(cells, src, n * sizeof *cells);                                                     \
        memset(missing, 0, n);                                                                     \
        for (int k = 0; k < p->nfills; k++) {                                                      \
            type fill;                                                                             \
            memcpy(&fill, &p->fills[k], sizeof fill);                                              \
            for (size_t i = 0; i < n; i++)                                                         \
                missing[i] |= cells[i] == fill;                                                    \
        }                                                                                          \
        if (s->round_each)                                                                         \
            for (size_t i = 0; i < n; i++)                                                         \
                out[i] = (double)(float)convert(cells[i]);                                         \
        else                                                                                       \
            for (size_t i = 0; i < n; i++)                                                         \
                out[i] = (double)convert(cells[i]);                                                \
    }

LOAD(i8, int8_t, )
LOAD(i16, int16_t, )
LOAD(i32, int32_t, )
LOAD(i64, int64_t, )
LOAD(u8, uint8_t, )
LOAD(u16, uint16_t, )
LOAD(u32, uint32_t, )
LOAD(u64, uint64_t, )
LOAD(f32, float, )
LOAD(f64, double, )

/* half cells compare by value too, so the fills are converted with them */
static void load_f16(const unpack_state *s, const void *src, size_t n, double *out,
                     uint8_t *missing)
{
    uint16_t cells[BLOCK];
    memcpy(cells, src, n * sizeof *cells);
    memset(missing, 0, n);
    for (size_t i = 0; i < n; i++)
        out[i] = (double)half_to_float(cells[i]);
    for (int k = 0; k < s->packing.nfills; k++) {
        uint16_t fill;
        memcpy(&fill, &s->packing.fills[k], sizeof fill);
        for (size_t i = 0; i < n; i++)
            missing[i] |= out[i] == (double)half_to_float(fill);
    }
}

typedef void (*load_fn)(const unpack_state *s, const void *src, size_t n, double *out,
                        uint8_t *missing);

static load_fn load_of(cm_kind kind)
{
    switch (kind) {
    case CM_INT8: return load_i8;
    case CM_INT16: return load_i16;
    case CM_INT32: return load_i32;
    case CM_INT64: return load_i64;
    case CM_UINT8: return load_u8;
    case CM_UINT16: return load_u16;
    case CM_UINT32: return load_u32;
    case CM_UINT64: return load_u64;
    case CM_FLOAT16: return load_f16;
    case CM_FLOAT32: return load_f32;
    default: return load_f64;
    }
}

static void scale_block(const unpack_state *s, size_t n, double *x)
{
    const double scale = s->packing.scale, offset = s->packing.offset;
    if (s->round_each) {
        for (size_t i = 0; i < n; i++)
            x[i] = (double)(float)(x[i] * scale);
        if (s->packing.has_offset)
            for (size_t i = 0; i < n; i++)
                x[i] = (double)(float)(x[i] + offset);
        return;
    }
    for (size_t i = 0; i < n; i++)
        x[i] *= scale;
    if (s->packing.has_offset)
        for (size_t i = 0; i < n; i++)
            x[i] += offset;
}

static int unpack_cells(const cm_map *map, const void *src, void *dst, int64_t n, cm_arena *arena,
                        cm_error *err)
{
    (void)arena;
    (void)err;
    const unpack_state *s = map->state;
    const size_t in = map->from.size, out = map->to.size;
    const load_fn load = load_of(s->packing.packed.kind);
    const uint8_t *from = src;
    uint8_t *to = dst;
    double x[BLOCK];
    float narrow[BLOCK];
    uint8_t missing[BLOCK];
    for (int64_t done = 0; done < n; done += BLOCK, from += BLOCK * in, to += BLOCK * out) {
        size_t m = n - done < BLOCK ? (size_t)(n - done) : BLOCK;
        load(s, from, m, x, missing);
        if (s->packing.scaled)
            scale_block(s, m, x);
        if (s->packing.masked)
            for (size_t i = 0; i < m; i++)
                x[i] = missing[i] ? (double)NAN : x[i];
        if (out == sizeof *x) {
            memcpy(to, x, m * sizeof *x);
            continue;
        }
        for (size_t i = 0; i < m; i++)
            narrow[i] = (float)x[i];
        memcpy(to, narrow, m * sizeof *narrow);
    }
    return 0;
}

/* Half floats that are only masked stay half floats. */
static int mask_halves(const cm_map *map, const void *src, void *dst, int64_t n, cm_arena *arena,
                       cm_error *err)
{
    (void)arena;
    (void)err;
    const unpack_state *s = map->state;
    memcpy(dst, src, (size_t)n * 2);
    static const uint16_t nan = 0x7e00;
    for (uint8_t *cell = dst; n > 0; n--, cell += sizeof nan)
        if (cm_packing_is_missing(&s->packing, cell))
            memcpy(cell, &nan, sizeof nan);
    return 0;
}

/* _Unsigned alone: the same bytes under the other dtype. */
static int same_bytes(const cm_map *map, const void *src, void *dst, int64_t n, cm_arena *arena,
                      cm_error *err)
{
    (void)arena;
    (void)err;
    memcpy(dst, src, (size_t)n * map->to.size);
    return 0;
}

int cm_array_unpack(cm_array *src, const cm_packing *p, cm_dtype to, cm_array **out, cm_error *err)
{
    *out = NULL;
    if (!cm_packing_does(p)) {
        *out = cm_array_ref(src);
        return 0;
    }
    unpack_state *s = cm_calloc(1, sizeof *s, err);
    if (!s)
        return CM_ENOMEM;
    s->packing = *p;
    s->to = to;
    s->round_each = p->natural.kind == CM_FLOAT32 && to.kind == CM_FLOAT32;
    cm_map_fn apply = unpack_cells;
    if (!p->scaled && !p->masked)
        apply = same_bytes;
    else if (to.kind == CM_FLOAT16)
        apply = mask_halves;
    return cm_array_map(src, to, apply, s, free, NULL, out, err);
}
