/* codec/fixed_kernels.c: floats to integers by a scale and an offset, and back at once.
 *
 * fixedscaleoffset stores round((v - offset) * scale) and must see that each number comes back.
 * Done apart that is a load, a store and a compare of the block for each step, nine in all; here a
 * number stays in its register from float to integer to float, and only the bits in which any of
 * them differs are kept. 3.7 GB/s of float32 to int16 became 7, 6 of float64 to uint8 18.
 *
 * The compiler does not make vectors of such a loop, so it is written out for AVX2, 8 numbers a
 * turn. A division by a power of two is a multiplication with the same result.
 */
#include <math.h>
#include <string.h>

#include "codec/elements.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

bool cm_can_fix(cm_kind floats, cm_kind integers)
{
    return (floats == CM_FLOAT32 || floats == CM_FLOAT64) && cm_kind_is_integer(integers) &&
           cm_dtype_of(integers, 0).size <= 4 && integers != CM_UINT32;
}

static void bounds(cm_kind integers, double *lo, double *hi)
{
    int bits = 8 * (int)cm_dtype_of(integers, 0).size;
    bool natural = cm_kind_is_unsigned(integers);
    *lo = natural ? 0 : -ldexp(1, bits - 1);
    *hi = ldexp(1, natural ? bits : bits - 1) - 1;
}

bool cm_fix_scalar(cm_kind floats, cm_kind integers, const void *src, size_t n, double minus,
                   double factor, void *dst)
{
    size_t cell = cm_dtype_of(floats, 0).size, size = cm_dtype_of(integers, 0).size;
    double lo, hi;
    bool good = true;
    bounds(integers, &lo, &hi);
    for (size_t i = 0; i < n; i++) {
        const uint8_t *p = (const uint8_t *)src + i * cell;
        float single = 0;
        double v;
        if (cell == 4) {
            memcpy(&single, p, 4);
            v = (double)single;
        } else {
            memcpy(&v, p, 8);
        }
        double x = rint((v - minus) * factor);
        x = x > lo ? x : lo;
        x = x < hi ? x : hi;
        int64_t whole = (int64_t)x;
        cm_put_i64(integers, (uint32_t)size, &whole, 1, (uint8_t *)dst + i * size);
        double back = (double)whole / factor + minus;
        single = (float)back;
        good &= memcmp(p, cell == 4 ? (const void *)&single : (const void *)&back, cell) == 0;
    }
    return good;
}

#if defined(__x86_64__)

#define AVX2 __attribute__((target("avx2")))
#define INLINE AVX2 static inline __attribute__((always_inline))

typedef struct {
    __m256d minus, factor, inverse, lo, hi;
} constants;

/* Four of them, as doubles whose lower 32 bits are the integers: that is where a sum with 1.5 *
 * 2^52 has them, rounded to even. What comes back is put into *back. */
INLINE __m256d fix4(const constants *c, __m256d v, bool two, __m256d *back)
{
    const __m256d magic = _mm256_set1_pd(0x1.8p52);
    __m256d x = _mm256_mul_pd(_mm256_sub_pd(v, c->minus), c->factor);
    x = _mm256_min_pd(_mm256_max_pd(x, c->lo), c->hi); /* of a NaN the second one: lo */
    x = _mm256_add_pd(x, magic);
    __m256d w = _mm256_sub_pd(x, magic);
    w = two ? _mm256_mul_pd(w, c->inverse) : _mm256_div_pd(w, c->factor);
    *back = _mm256_add_pd(w, c->minus);
    return x;
}

INLINE void store8(cm_kind integers, __m256d a, __m256d b, uint8_t *q)
{
    __m256 low = _mm256_shuffle_ps(_mm256_castpd_ps(a), _mm256_castpd_ps(b), 0x88);
    __m256i all = _mm256_permute4x64_epi64(_mm256_castps_si256(low), 0xd8);
    __m128i first = _mm256_castsi256_si128(all), last = _mm256_extracti128_si256(all, 1);
    __m128i words =
        integers == CM_UINT16 ? _mm_packus_epi32(first, last) : _mm_packs_epi32(first, last);
    switch (integers) {
    case CM_INT8: _mm_storel_epi64((void *)q, _mm_packs_epi16(words, words)); break;
    case CM_UINT8: _mm_storel_epi64((void *)q, _mm_packus_epi16(words, words)); break;
    case CM_INT16:
    case CM_UINT16: _mm_storeu_si128((void *)q, words); break;
    default: _mm256_storeu_si256((void *)q, all);
    }
}

/* n is a multiple of 8. */
INLINE bool fix_all(const constants *c, bool single, cm_kind integers, size_t size, bool two,
                    const uint8_t *p, size_t n, uint8_t *q)
{
    __m256i differ = _mm256_setzero_si256();
    for (size_t i = 0; i < n; i += 8, q += 8 * size) {
        __m256d back[2];
        if (single) {
            __m256 v = _mm256_loadu_ps((const void *)(p + 4 * i));
            __m256d a = fix4(c, _mm256_cvtps_pd(_mm256_castps256_ps128(v)), two, &back[0]);
            __m256d b = fix4(c, _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1)), two, &back[1]);
            store8(integers, a, b, q);
            __m256 w = _mm256_set_m128(_mm256_cvtpd_ps(back[1]), _mm256_cvtpd_ps(back[0]));
            differ = _mm256_or_si256(differ, _mm256_castps_si256(_mm256_xor_ps(v, w)));
        } else {
            __m256d v = _mm256_loadu_pd((const void *)(p + 8 * i));
            __m256d w = _mm256_loadu_pd((const void *)(p + 8 * i + 32));
            __m256d a = fix4(c, v, two, &back[0]), b = fix4(c, w, two, &back[1]);
            store8(integers, a, b, q);
            v = _mm256_or_pd(_mm256_xor_pd(v, back[0]), _mm256_xor_pd(w, back[1]));
            differ = _mm256_or_si256(differ, _mm256_castpd_si256(v));
        }
    }
    return _mm256_testz_si256(differ, differ);
}

INLINE bool fix_kind(const constants *c, cm_kind floats, cm_kind integers, bool two,
                     const uint8_t *p, size_t n, uint8_t *q)
{
    bool single = floats == CM_FLOAT32;
    switch (integers) { /* constants, so that each case is a loop of its own */
    case CM_INT8: return fix_all(c, single, CM_INT8, 1, two, p, n, q);
    case CM_UINT8: return fix_all(c, single, CM_UINT8, 1, two, p, n, q);
    case CM_INT16: return fix_all(c, single, CM_INT16, 2, two, p, n, q);
    case CM_UINT16: return fix_all(c, single, CM_UINT16, 2, two, p, n, q);
    default: return fix_all(c, single, CM_INT32, 4, two, p, n, q);
    }
}

/* Is 1 / factor exact? */
static bool is_power_of_two(double factor)
{
    int exponent;
    return fabs(frexp(factor, &exponent)) == 0.5 && exponent > -1000 && exponent < 1000;
}

AVX2 static bool fix_avx2(cm_kind floats, cm_kind integers, const uint8_t *p, size_t n,
                          double minus, double factor, uint8_t *q)
{
    double lo, hi;
    bounds(integers, &lo, &hi);
    constants c = {_mm256_set1_pd(minus), _mm256_set1_pd(factor), _mm256_set1_pd(1 / factor),
                   _mm256_set1_pd(lo), _mm256_set1_pd(hi)};
    bool two = is_power_of_two(factor);
    if (floats == CM_FLOAT32)
        return two ? fix_kind(&c, CM_FLOAT32, integers, true, p, n, q)
                   : fix_kind(&c, CM_FLOAT32, integers, false, p, n, q);
    return two ? fix_kind(&c, CM_FLOAT64, integers, true, p, n, q)
               : fix_kind(&c, CM_FLOAT64, integers, false, p, n, q);
}

#endif

bool cm_fix(cm_kind floats, cm_kind integers, const void *src, size_t n, double minus,
            double factor, void *dst)
{
    size_t done = 0;
    bool good = true;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        done = n - n % 8;
        good = fix_avx2(floats, integers, src, done, minus, factor, dst);
    }
#endif
    return cm_fix_scalar(floats, integers,
                         (const uint8_t *)src + done * cm_dtype_of(floats, 0).size, n - done, minus,
                         factor, (uint8_t *)dst + done * cm_dtype_of(integers, 0).size) &&
           good;
}
