/* codec/bitshuffle.c: the bit transposition behind blosc's bitshuffle.
 *
 * nelem elements of size bytes become 8 * size rows of nelem / 8 bytes; row j * 8 + b holds bit b
 * of byte j of every element, element 8 i + k in bit k of the row's byte i. nelem is a multiple
 * of 8.
 *
 * It is three passes over a block that fits the second-level cache, two of which are byte shuffles:
 *
 *     bytes of the elements into planes            cm_shuffle by size
 *     8 bytes of a plane are an 8 x 8 bit matrix:  transpose each
 *     the matrices' bytes into rows                cm_shuffle by 8, plane by plane
 *
 * and back in the other order. The matrices are transposed as in Hacker's Delight, 7-3: three
 * exchanges of bits across 7, 14 and 28 places.
 */
#include <string.h>

#include "codec/codec_private.h"

static inline uint64_t transposed(uint64_t x)
{
    uint64_t t = (x ^ x >> 7) & 0x00aa00aa00aa00aau;
    x ^= t ^ t << 7;
    t = (x ^ x >> 14) & 0x0000cccc0000ccccu;
    x ^= t ^ t << 14;
    t = (x ^ x >> 28) & 0x00000000f0f0f0f0u;
    return x ^ t ^ t << 28;
}

static void transpose_words(uint8_t *p, size_t nwords)
{
    for (size_t i = 0; i < nwords; i++) {
        uint64_t x; /* bit b of byte a, a and b exchanged: the byte order makes no difference */
        memcpy(&x, p + 8 * i, sizeof x);
        x = transposed(x);
        memcpy(p + 8 * i, &x, sizeof x);
    }
}

#if defined(__x86_64__) || defined(__i386__)

#include <immintrin.h>

__attribute__((target("avx2"))) static size_t transpose_words_avx2(uint8_t *p, size_t nwords)
{
    const __m256i m7 = _mm256_set1_epi64x(0x00aa00aa00aa00aa);
    const __m256i m14 = _mm256_set1_epi64x(0x0000cccc0000cccc);
    const __m256i m28 = _mm256_set1_epi64x(0x00000000f0f0f0f0);
    size_t i = 0;
    for (; i + 4 <= nwords; i += 4) {
        __m256i *at = (__m256i *)(void *)(p + 8 * i);
        __m256i x = _mm256_loadu_si256(at);
        __m256i t = _mm256_and_si256(_mm256_xor_si256(x, _mm256_srli_epi64(x, 7)), m7);
        x = _mm256_xor_si256(x, _mm256_xor_si256(t, _mm256_slli_epi64(t, 7)));
        t = _mm256_and_si256(_mm256_xor_si256(x, _mm256_srli_epi64(x, 14)), m14);
        x = _mm256_xor_si256(x, _mm256_xor_si256(t, _mm256_slli_epi64(t, 14)));
        t = _mm256_and_si256(_mm256_xor_si256(x, _mm256_srli_epi64(x, 28)), m28);
        x = _mm256_xor_si256(x, _mm256_xor_si256(t, _mm256_slli_epi64(t, 28)));
        _mm256_storeu_si256(at, x);
    }
    return i;
}

static void transpose_fast(uint8_t *p, size_t nwords)
{
    size_t done = __builtin_cpu_supports("avx2") ? transpose_words_avx2(p, nwords) : 0;
    transpose_words(p + 8 * done, nwords - done);
}

#else

static void transpose_fast(uint8_t *p, size_t nwords)
{
    transpose_words(p, nwords);
}

#endif

void cm_bitshuffle(const void *src, void *dst, void *tmp, size_t nelem, size_t size)
{
    uint8_t *planes = tmp, *rows = dst;
    if (size == 1)
        memcpy(planes, src, nelem);
    else
        cm_shuffle(src, planes, nelem, size);
    transpose_fast(planes, nelem / 8 * size);
    for (size_t j = 0; j < size; j++)
        cm_shuffle(planes + j * nelem, rows + j * nelem, nelem / 8, 8);
}

void cm_bitunshuffle(const void *src, void *dst, void *tmp, size_t nelem, size_t size)
{
    const uint8_t *rows = src;
    uint8_t *planes = size == 1 ? dst : tmp;
    for (size_t j = 0; j < size; j++)
        cm_unshuffle(rows + j * nelem, planes + j * nelem, nelem / 8, 8);
    transpose_fast(planes, nelem / 8 * size);
    if (size > 1)
        cm_unshuffle(planes, dst, nelem, size);
}
