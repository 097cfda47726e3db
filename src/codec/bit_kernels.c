/* codec/bit_kernels.c: bools to bits and back.
 *
 * With SSE2, 16 bools are shifted so that each one's value is its byte's sign, and the signs are
 * gathered by one instruction; back, each byte of bits is spread over eight bytes and each of these
 * keeps its own bit. Both put the first bool lowest; the other order is a reversal of the bits in
 * each byte, done for eight bytes at once. Elsewhere a multiplication gathers and spreads eight
 * bools.
 */
#include <string.h>

#include "base/bytes.h"
#include "codec/bit_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* The bits of each byte in the other order. */
static inline uint64_t reversed(uint64_t x)
{
    x = (x >> 4 & 0x0f0f0f0f0f0f0f0fu) | (x & 0x0f0f0f0f0f0f0f0fu) << 4;
    x = (x >> 2 & 0x3333333333333333u) | (x & 0x3333333333333333u) << 2;
    return (x >> 1 & 0x5555555555555555u) | (x & 0x5555555555555555u) << 1;
}

/* Eight bools of 0 or 1, the first one lowest, to eight bits: no two products meet in the upper
 * byte. */
static inline uint8_t gather(uint64_t x)
{
    return (uint8_t)(x * 0x0102040810204080u >> 56);
}

static inline uint64_t spread(uint8_t bits)
{
    uint64_t x = bits * 0x0101010101010101u & 0x8040201008040201u;
    return (x + 0x7f7f7f7f7f7f7f7fu) >> 7 & 0x0101010101010101u; /* 1 where not 0: see below */
}

/* In spread(), a byte is 0 or one bit; adding 0x7f carries into its top bit unless it was 0, but a
 * byte of 0x80 would carry into the next one. So the top bit's byte is looked at by itself. */
static inline uint64_t spread_all(uint8_t bits)
{
    return spread(bits & 0x7f) | (uint64_t)(bits >> 7) << 56;
}

#if defined(__x86_64__)
/* As below, 32 at a time; for msb the bytes of each eight are exchanged first. Returns how many. */
__attribute__((target("avx2"))) static size_t pack_avx2(const uint8_t *src, size_t n, bool msb,
                                                        uint8_t *dst, uint64_t *seen)
{
    const __m256i backwards = _mm256_broadcastsi128_si256(
        _mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
    const __m256i straight = _mm256_broadcastsi128_si256(
        _mm_set_epi8(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
    const __m256i order = msb ? backwards : straight;
    __m256i all = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(src + i));
        all = _mm256_or_si256(all, v);
        v = _mm256_slli_epi16(_mm256_shuffle_epi8(v, order), 7);
        uint32_t bits = (uint32_t)_mm256_movemask_epi8(v);
        memcpy(dst + i / 8, &bits, sizeof bits); /* little-endian here; four stores otherwise */
    }
    uint64_t parts[4];
    _mm256_storeu_si256((__m256i *)(void *)parts, all);
    *seen = parts[0] | parts[1] | parts[2] | parts[3];
    return i;
}
#endif

bool cm_pack_bools(const uint8_t *src, size_t n, bool msb, uint8_t *dst)
{
    size_t i = 0;
    uint64_t seen = 0;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2"))
        i = pack_avx2(src, n, msb, dst, &seen);
    __m128i all = _mm_setzero_si128();
    for (; i + 64 <= n; i += 64) {
        uint64_t bits = 0;
#pragma GCC unroll 4
        for (int k = 0; k < 4; k++) {
            __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(src + i + 16 * k));
            all = _mm_or_si128(all, v);
            bits |= (uint64_t)(uint16_t)_mm_movemask_epi8(_mm_slli_epi16(v, 7)) << 16 * k;
        }
        bits = msb ? reversed(bits) : bits;
        memcpy(dst + i / 8, &bits, sizeof bits);
    }
    uint64_t halves[2];
    memcpy(halves, &all, sizeof halves);
    seen |= halves[0] | halves[1];
#endif
    for (; i + 8 <= n; i += 8) {
        uint64_t v = cm_load_le64(src + i);
        seen |= v;
        v &= 0x0101010101010101u;
        dst[i / 8] = msb ? (uint8_t)reversed(gather(v)) : gather(v);
    }
    if (i < n) {
        uint8_t rest[8] = {0};
        memcpy(rest, src + i, n - i);
        uint64_t v = cm_load_le64(rest);
        seen |= v;
        v &= 0x0101010101010101u;
        dst[i / 8] = msb ? (uint8_t)reversed(gather(v)) : gather(v);
    }
    return !(seen & 0xfefefefefefefefeu);
}

void cm_unpack_bools(const uint8_t *src, size_t n, bool msb, uint8_t *dst)
{
    size_t i = 0;
#if defined(__x86_64__)
    const __m128i low = _mm_set1_epi64x((long long)0x8040201008040201u);
    const __m128i high = _mm_set1_epi64x(0x0102040810204080);
    const __m128i own = msb ? high : low, one = _mm_set1_epi8(1);
    for (; i + 64 <= n; i += 64) {
        __m128i v = _mm_loadl_epi64((const __m128i *)(const void *)(src + i / 8));
        v = _mm_unpacklo_epi8(v, v); /* each byte twice */
        __m128i four[2] = {_mm_unpacklo_epi16(v, v), _mm_unpackhi_epi16(v, v)};
#pragma GCC unroll 4
        for (int k = 0; k < 4; k++) {
            __m128i w = four[k / 2];
            w = k % 2 ? _mm_unpackhi_epi32(w, w) : _mm_unpacklo_epi32(w, w);
            w = _mm_cmpeq_epi8(_mm_and_si128(w, own), own);
            _mm_storeu_si128((__m128i *)(void *)(dst + i + 16 * k), _mm_and_si128(w, one));
        }
    }
#endif
    for (; i < n; i += 8) {
        uint8_t bits = msb ? (uint8_t)reversed(src[i / 8]) : src[i / 8], eight[8];
        cm_store_le64(eight, spread_all(bits));
        memcpy(dst + i, eight, n - i < 8 ? n - i : 8);
    }
}
