/* codec/element_kernels.c: loops over numbers: conversions, differences, sums, the arithmetic of
 * the filters.
 *
 * The loops are in element_loops.h and compiled twice on x86: for any CPU and for AVX2, chosen in
 * each call. GCC makes vectors of them when it optimises more than this project does elsewhere,
 * hence the attribute; contraction is off, for a fused multiply-add rounds once where numpy rounds
 * twice.
 *
 * A running sum depends on all numbers before it, so it is done in registers of 16 bytes: shifted
 * by one, two, four, eight bytes and added, a register holds the sums inside of it, and the sum of
 * all before is added to it. That is one addition and one broadcast a register that wait for the
 * one before.
 */
#include <math.h>
#include <string.h>

#include "codec/elements.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(__GNUC__) && !defined(__clang__)
#define FAST optimize("O3", "fp-contract=off")
#else
#define FAST
#endif

#define LOOP(name) any_##name
#define LOOPS_FOR __attribute__((FAST))
#include "codec/element_loops.h" // NOLINT(readability-duplicate-include)

#if defined(__x86_64__)
#define LOOP(name) avx2_##name
#if defined(__clang__)
#define LOOPS_FOR __attribute__((target("avx2")))
#else
#define LOOPS_FOR __attribute__((target("avx2"), FAST))
#endif
#include "codec/element_loops.h" // NOLINT(readability-duplicate-include)
#define RUN(name, ...)                                                                             \
    (__builtin_cpu_supports("avx2") ? avx2_##name(__VA_ARGS__) : any_##name(__VA_ARGS__))
#else
#define RUN(name, ...) any_##name(__VA_ARGS__)
#endif

void cm_load_i64(cm_kind kind, const void *src, size_t n, int64_t *out)
{
    switch (kind) {
    case CM_INT8: RUN(i64_of_i8, src, n, out); break;
    case CM_INT16: RUN(i64_of_i16, src, n, out); break;
    case CM_INT32: RUN(i64_of_i32, src, n, out); break;
    case CM_UINT16: RUN(i64_of_u16, src, n, out); break;
    case CM_UINT32: RUN(i64_of_u32, src, n, out); break;
    case CM_INT64:
    case CM_UINT64: memcpy(out, src, n * 8); break;
    default: RUN(i64_of_u8, src, n, out); break;
    }
}

bool cm_load_f64(cm_kind kind, const void *src, size_t n, double *out)
{
    switch (kind) {
    case CM_FLOAT32: RUN(f64_of_f32, src, n, out); break;
    case CM_FLOAT64: memcpy(out, src, n * 8); break;
    case CM_INT8: RUN(f64_of_i8, src, n, out); break;
    case CM_INT16: RUN(f64_of_i16, src, n, out); break;
    case CM_INT32: RUN(f64_of_i32, src, n, out); break;
    case CM_INT64: RUN(f64_of_i64, src, n, out); break;
    case CM_UINT16: RUN(f64_of_u16, src, n, out); break;
    case CM_UINT32: RUN(f64_of_u32, src, n, out); break;
    case CM_UINT64: RUN(f64_of_u64, src, n, out); break;
    case CM_BOOL:
    case CM_UINT8: RUN(f64_of_u8, src, n, out); break;
    default: return false;
    }
    return true;
}

void cm_put_i64(cm_kind kind, uint32_t size, const int64_t *v, size_t n, void *dst)
{
    if (kind == CM_BOOL)
        RUN(bool_from_i64, v, n, dst);
    else if (size == 1)
        RUN(i8_from_i64, v, n, dst);
    else if (size == 2)
        RUN(i16_from_i64, v, n, dst);
    else if (size == 4)
        RUN(i32_from_i64, v, n, dst);
    else
        memcpy(dst, v, n * 8);
}

bool cm_put_f64(cm_kind kind, const double *v, size_t n, void *dst)
{
    switch (kind) {
    case CM_FLOAT64: memcpy(dst, v, n * 8); return true;
    case CM_FLOAT32: RUN(f32_from_f64, v, n, dst); return true;
    case CM_INT8:
        if (!RUN(inside, v, n, -129, 128))
            return false;
        RUN(i8_from_f64, v, n, dst);
        return true;
    case CM_UINT8:
        if (!RUN(inside, v, n, -1, 256))
            return false;
        RUN(i8_from_f64, v, n, dst);
        return true;
    case CM_INT16:
        if (!RUN(inside, v, n, -32769, 32768))
            return false;
        RUN(i16_from_f64, v, n, dst);
        return true;
    case CM_UINT16:
        if (!RUN(inside, v, n, -1, 65536))
            return false;
        RUN(i16_from_f64, v, n, dst);
        return true;
    case CM_INT32:
        if (!RUN(inside, v, n, -2147483649.0, 2147483648.0))
            return false;
        RUN(i32_from_f64, v, n, dst);
        return true;
    case CM_UINT32:
        if (!RUN(inside, v, n, -1, 4294967296.0))
            return false;
        RUN(u32_from_f64, v, n, dst);
        return true;
    default: return false;
    }
}

bool cm_narrows(cm_kind from, cm_kind to)
{
    uint32_t wide = cm_dtype_of(from, 0).size, narrow = cm_dtype_of(to, 0).size;
    return (from == CM_FLOAT64 && to == CM_FLOAT32) ||
           (cm_kind_is_integer(from) && cm_kind_is_integer(to) && narrow < wide);
}

bool cm_narrow(cm_kind from, cm_kind to, const void *src, size_t n, void *dst)
{
    uint32_t wide = cm_dtype_of(from, 0).size;
    if (from == CM_FLOAT64)
        return RUN(narrow_f64, src, n, dst);
    switch (to) {
    case CM_INT8:
        return wide == 2   ? RUN(n2_i1, src, n, dst)
               : wide == 4 ? RUN(n4_i1, src, n, dst)
                           : RUN(n8_i1, src, n, dst);
    case CM_UINT8:
        return wide == 2   ? RUN(n2_u1, src, n, dst)
               : wide == 4 ? RUN(n4_u1, src, n, dst)
                           : RUN(n8_u1, src, n, dst);
    case CM_INT16: return wide == 4 ? RUN(n4_i2, src, n, dst) : RUN(n8_i2, src, n, dst);
    case CM_UINT16: return wide == 4 ? RUN(n4_u2, src, n, dst) : RUN(n8_u2, src, n, dst);
    case CM_INT32: return RUN(n8_i4, src, n, dst);
    default: return RUN(n8_u4, src, n, dst);
    }
}

bool cm_alike(const int64_t *a, const int64_t *b, size_t n, int64_t mask)
{
    return RUN(alike, a, b, n, mask);
}

bool cm_steps_f32(const float *v, size_t n, float *d)
{
    return RUN(steps_f32, v, n, d);
}

bool cm_steps_f64(const double *v, size_t n, double *d)
{
    return RUN(steps_f64, v, n, d);
}

void cm_divide_add_f32(float *v, size_t n, float divisor, float summand)
{
    RUN(divide_add_f32, v, n, divisor, summand);
}

void cm_divide_add_f64(double *v, size_t n, double divisor, double summand)
{
    RUN(divide_add_f64, v, n, divisor, summand);
}

void cm_subtract_multiply_f32(float *v, size_t n, float minus, float factor)
{
    RUN(subtract_multiply_f32, v, n, minus, factor);
}

void cm_subtract_multiply_f64(double *v, size_t n, double minus, double factor)
{
    RUN(subtract_multiply_f64, v, n, minus, factor);
}

void cm_round_even(double *v, size_t n)
{
    RUN(round_even, v, n);
}

/* ---- differences and sums -------------------------------------------------------------------- */

static inline uint64_t load(const uint8_t *p, uint32_t size)
{
    uint16_t two;
    uint32_t four;
    uint64_t eight;
    switch (size) {
    case 1: return *p;
    case 2: memcpy(&two, p, 2); return two;
    case 4: memcpy(&four, p, 4); return four;
    default: memcpy(&eight, p, 8); return eight;
    }
}

static inline void store(uint8_t *p, uint64_t v, uint32_t size)
{
    uint16_t two = (uint16_t)v;
    uint32_t four = (uint32_t)v;
    switch (size) {
    case 1: *p = (uint8_t)v; break;
    case 2: memcpy(p, &two, 2); break;
    case 4: memcpy(p, &four, 4); break;
    default: memcpy(p, &v, 8);
    }
}

uint64_t cm_differences(const void *src, void *dst, size_t n, uint32_t size, uint64_t before)
{
    const uint8_t *p = src;
    if (n == 0)
        return before;
    if (size == 1)
        RUN(differ8, p, dst, n);
    else if (size == 2)
        RUN(differ16, p, dst, n);
    else if (size == 4)
        RUN(differ32, p, dst, n);
    else
        RUN(differ64, p, dst, n);
    store(dst, load(p, size) - before, size);
    return load(p + (n - 1) * size, size);
}

#define INLINE static inline __attribute__((always_inline))

INLINE uint64_t sum_scalar(const uint8_t *p, uint8_t *q, size_t n, uint32_t size, uint64_t sum)
{
    for (size_t i = 0; i < n; i++) {
        sum += load(p + i * size, size);
        store(q + i * size, sum, size);
    }
    return sum;
}

#if defined(__x86_64__)

INLINE __m128i add(__m128i a, __m128i b, uint32_t size)
{
    return size == 1   ? _mm_add_epi8(a, b)
           : size == 2 ? _mm_add_epi16(a, b)
           : size == 4 ? _mm_add_epi32(a, b)
                       : _mm_add_epi64(a, b);
}

/* The last number in all places. */
INLINE __m128i last_of(__m128i v, uint32_t size)
{
    if (size == 1)
        v = _mm_unpackhi_epi8(v, v); /* the upper 16 bits are the last number twice */
    if (size <= 2)
        v = _mm_shufflehi_epi16(v, 0xff);
    return size == 8 ? _mm_unpackhi_epi64(v, v) : _mm_shuffle_epi32(v, 0xff);
}

INLINE uint64_t sum_vector(const uint8_t *p, uint8_t *q, size_t n, uint32_t size, uint64_t sum)
{
    size_t step = 16 / size, i = 0;
    __m128i before = size == 1   ? _mm_set1_epi8((char)sum)
                     : size == 2 ? _mm_set1_epi16((short)sum)
                     : size == 4 ? _mm_set1_epi32((int)sum)
                                 : _mm_set1_epi64x((long long)sum);
    for (; i + step <= n; i += step) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + i * size));
        if (size == 1)
            v = _mm_add_epi8(v, _mm_slli_si128(v, 1));
        if (size <= 2)
            v = add(v, _mm_slli_si128(v, 2), size);
        if (size <= 4)
            v = add(v, _mm_slli_si128(v, 4), size);
        v = add(v, _mm_slli_si128(v, 8), size);
        __m128i all = last_of(v, size); /* does not wait for the sum before */
        _mm_storeu_si128((__m128i *)(void *)(q + i * size), add(v, before, size));
        before = add(before, all, size);
    }
    uint8_t bytes[16];
    _mm_storeu_si128((__m128i *)(void *)bytes, before);
    return sum_scalar(p + i * size, q + i * size, n - i, size, load(bytes, size));
}

#else
#define sum_vector sum_scalar
#endif

uint64_t cm_prefix_sum(const void *src, void *dst, size_t n, uint32_t size, uint64_t before)
{
    switch (size) {
    case 1: return sum_vector(src, dst, n, 1, before);
    case 2: return sum_vector(src, dst, n, 2, before);
    case 4: return sum_vector(src, dst, n, 4, before);
    default: return sum_vector(src, dst, n, 8, before);
    }
}
