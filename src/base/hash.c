/* base/hash.c: CRC-32C, lookup3 and HDF5's fletcher32.
 *
 * CRC-32C runs with the CPU's instruction where there is one (SSE 4.2, ARMv8 CRC), 8 bytes at a
 * time. An instruction takes 3 cycles and the next one waits for it, 9 GB/s at most; so on x86
 * three pieces of 1 KiB run side by side, and their checksums are joined: a checksum times x^(8 n)
 * is the one with n bytes of zeros behind. The CPU does not see that the pieces are one stream of
 * reads, so the next three are asked for meanwhile: from memory 25 GB/s instead of 12. The choice
 * is made in each call from what the compiler's runtime or the kernel knows about the CPU: two
 * instructions, no state of ours.
 *
 * fletcher32's sums are 32-bit sums of 8 lanes, lane j of the words j, j + 8, ...; with a the sum
 * of a lane and b the sum of its sums, the second sum is that of 8 b - j a over the lanes.
 *
 * lookup3 is hashlittle() of Bob Jenkins' public description (2006), read byte by byte, so that it
 * is the same for every alignment and byte order. HDF5 uses it for metadata of a few hundred bytes.
 */
#include "base/hash.h"
#include "base/bytes.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

/* Remainders of the 256 bytes by the reflected polynomial 0x82f63b78. */
static const uint32_t crc32c_table[256] = {
    0x00000000, 0xf26b8303, 0xe13b70f7, 0x1350f3f4, 0xc79a971f, 0x35f1141c, 0x26a1e7e8, 0xd4ca64eb,
    0x8ad958cf, 0x78b2dbcc, 0x6be22838, 0x9989ab3b, 0x4d43cfd0, 0xbf284cd3, 0xac78bf27, 0x5e133c24,
    0x105ec76f, 0xe235446c, 0xf165b798, 0x030e349b, 0xd7c45070, 0x25afd373, 0x36ff2087, 0xc494a384,
    0x9a879fa0, 0x68ec1ca3, 0x7bbcef57, 0x89d76c54, 0x5d1d08bf, 0xaf768bbc, 0xbc267848, 0x4e4dfb4b,
    0x20bd8ede, 0xd2d60ddd, 0xc186fe29, 0x33ed7d2a, 0xe72719c1, 0x154c9ac2, 0x061c6936, 0xf477ea35,
    0xaa64d611, 0x580f5512, 0x4b5fa6e6, 0xb93425e5, 0x6dfe410e, 0x9f95c20d, 0x8cc531f9, 0x7eaeb2fa,
    0x30e349b1, 0xc288cab2, 0xd1d83946, 0x23b3ba45, 0xf779deae, 0x05125dad, 0x1642ae59, 0xe4292d5a,
    0xba3a117e, 0x4851927d, 0x5b016189, 0xa96ae28a, 0x7da08661, 0x8fcb0562, 0x9c9bf696, 0x6ef07595,
    0x417b1dbc, 0xb3109ebf, 0xa0406d4b, 0x522bee48, 0x86e18aa3, 0x748a09a0, 0x67dafa54, 0x95b17957,
    0xcba24573, 0x39c9c670, 0x2a993584, 0xd8f2b687, 0x0c38d26c, 0xfe53516f, 0xed03a29b, 0x1f682198,
    0x5125dad3, 0xa34e59d0, 0xb01eaa24, 0x42752927, 0x96bf4dcc, 0x64d4cecf, 0x77843d3b, 0x85efbe38,
    0xdbfc821c, 0x2997011f, 0x3ac7f2eb, 0xc8ac71e8, 0x1c661503, 0xee0d9600, 0xfd5d65f4, 0x0f36e6f7,
    0x61c69362, 0x93ad1061, 0x80fde395, 0x72966096, 0xa65c047d, 0x5437877e, 0x4767748a, 0xb50cf789,
    0xeb1fcbad, 0x197448ae, 0x0a24bb5a, 0xf84f3859, 0x2c855cb2, 0xdeeedfb1, 0xcdbe2c45, 0x3fd5af46,
    0x7198540d, 0x83f3d70e, 0x90a324fa, 0x62c8a7f9, 0xb602c312, 0x44694011, 0x5739b3e5, 0xa55230e6,
    0xfb410cc2, 0x092a8fc1, 0x1a7a7c35, 0xe811ff36, 0x3cdb9bdd, 0xceb018de, 0xdde0eb2a, 0x2f8b6829,
    0x82f63b78, 0x709db87b, 0x63cd4b8f, 0x91a6c88c, 0x456cac67, 0xb7072f64, 0xa457dc90, 0x563c5f93,
    0x082f63b7, 0xfa44e0b4, 0xe9141340, 0x1b7f9043, 0xcfb5f4a8, 0x3dde77ab, 0x2e8e845f, 0xdce5075c,
    0x92a8fc17, 0x60c37f14, 0x73938ce0, 0x81f80fe3, 0x55326b08, 0xa759e80b, 0xb4091bff, 0x466298fc,
    0x1871a4d8, 0xea1a27db, 0xf94ad42f, 0x0b21572c, 0xdfeb33c7, 0x2d80b0c4, 0x3ed04330, 0xccbbc033,
    0xa24bb5a6, 0x502036a5, 0x4370c551, 0xb11b4652, 0x65d122b9, 0x97baa1ba, 0x84ea524e, 0x7681d14d,
    0x2892ed69, 0xdaf96e6a, 0xc9a99d9e, 0x3bc21e9d, 0xef087a76, 0x1d63f975, 0x0e330a81, 0xfc588982,
    0xb21572c9, 0x407ef1ca, 0x532e023e, 0xa145813d, 0x758fe5d6, 0x87e466d5, 0x94b49521, 0x66df1622,
    0x38cc2a06, 0xcaa7a905, 0xd9f75af1, 0x2b9cd9f2, 0xff56bd19, 0x0d3d3e1a, 0x1e6dcdee, 0xec064eed,
    0xc38d26c4, 0x31e6a5c7, 0x22b65633, 0xd0ddd530, 0x0417b1db, 0xf67c32d8, 0xe52cc12c, 0x1747422f,
    0x49547e0b, 0xbb3ffd08, 0xa86f0efc, 0x5a048dff, 0x8ecee914, 0x7ca56a17, 0x6ff599e3, 0x9d9e1ae0,
    0xd3d3e1ab, 0x21b862a8, 0x32e8915c, 0xc083125f, 0x144976b4, 0xe622f5b7, 0xf5720643, 0x07198540,
    0x590ab964, 0xab613a67, 0xb831c993, 0x4a5a4a90, 0x9e902e7b, 0x6cfbad78, 0x7fab5e8c, 0x8dc0dd8f,
    0xe330a81a, 0x115b2b19, 0x020bd8ed, 0xf0605bee, 0x24aa3f05, 0xd6c1bc06, 0xc5914ff2, 0x37faccf1,
    0x69e9f0d5, 0x9b8273d6, 0x88d28022, 0x7ab90321, 0xae7367ca, 0x5c18e4c9, 0x4f48173d, 0xbd23943e,
    0xf36e6f75, 0x0105ec76, 0x12551f82, 0xe03e9c81, 0x34f4f86a, 0xc69f7b69, 0xd5cf889d, 0x27a40b9e,
    0x79b737ba, 0x8bdcb4b9, 0x988c474d, 0x6ae7c44e, 0xbe2da0a5, 0x4c4623a6, 0x5f16d052, 0xad7d5351,
};

uint32_t cm_crc32c_scalar(uint32_t crc, const void *data, size_t nbytes)
{
    const uint8_t *p = data;
    crc = ~crc;
    for (size_t i = 0; i < nbytes; i++)
        crc = crc >> 8 ^ crc32c_table[(crc ^ p[i]) & 0xff];
    return ~crc;
}

#if defined(__x86_64__)
enum { STREAM = 1024 /* bytes of each of three that run side by side */ };

#define STREAMS_FOR __attribute__((target("sse4.2,pclmul")))

/* crc * x^(8 * STREAM) or, with the other factor, twice as far: the product of two of 32 bits, one
 * place too far right in 64, then reduced by the instruction, which multiplies by x^32. Hence the
 * factors are x^(8 * STREAM - 33) and x^(16 * STREAM - 33). */
STREAMS_FOR static inline uint64_t moved(uint64_t crc, uint32_t factor)
{
    __m128i product =
        _mm_clmulepi64_si128(_mm_cvtsi32_si128((int)crc), _mm_cvtsi32_si128((int)factor), 0);
    return _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

/* A multiple of 3 * STREAM bytes; crc is inverted on both sides. */
STREAMS_FOR static uint64_t crc32c_streams(uint64_t crc, const uint8_t *p, size_t nbytes)
{
    for (const uint8_t *end = p + nbytes; p < end; p += 3 * STREAM) {
        uint64_t second = 0, third = 0, words[3];
        for (size_t i = 0; i < STREAM; i += 8) {
            if (i % 64 == 0) { /* the next three; behind the end it does nothing */
                __builtin_prefetch(p + 3 * STREAM + i);
                __builtin_prefetch(p + 4 * STREAM + i);
                __builtin_prefetch(p + 5 * STREAM + i);
            }
            memcpy(&words[0], p + i, 8);
            memcpy(&words[1], p + STREAM + i, 8);
            memcpy(&words[2], p + 2 * STREAM + i, 8);
            crc = _mm_crc32_u64(crc, words[0]);
            second = _mm_crc32_u64(second, words[1]);
            third = _mm_crc32_u64(third, words[2]);
        }
        crc = moved(crc, 0xa51b6135) ^ moved(second, 0x170076fa) ^ third;
    }
    return crc;
}

__attribute__((target("sse4.2"))) static uint32_t crc32c_cpu(uint32_t crc, const uint8_t *p,
                                                             size_t nbytes)
{
    uint64_t c = ~crc;
    size_t part = __builtin_cpu_supports("pclmul") ? nbytes - nbytes % (3 * STREAM) : 0;
    c = crc32c_streams(c, p, part);
    p += part;
    nbytes -= part;
    for (; nbytes >= 8; p += 8, nbytes -= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        c = _mm_crc32_u64(c, word);
    }
    uint32_t low = (uint32_t)c;
    for (; nbytes; p++, nbytes--)
        low = _mm_crc32_u8(low, *p);
    return ~low;
}

static bool have_crc32c(void)
{
    return __builtin_cpu_supports("sse4.2");
}
#elif defined(__aarch64__) && defined(__linux__)
__attribute__((target("+crc"))) static uint32_t crc32c_cpu(uint32_t crc, const uint8_t *p,
                                                           size_t nbytes)
{
    crc = ~crc;
    for (; nbytes >= 8; p += 8, nbytes -= 8)
        crc = __builtin_aarch64_crc32cx(crc, cm_load_le64(p));
    for (; nbytes; p++, nbytes--)
        crc = __builtin_aarch64_crc32cb(crc, *p);
    return ~crc;
}

static bool have_crc32c(void)
{
    return (getauxval(AT_HWCAP) & 1ul << 7) != 0; /* HWCAP_CRC32 */
}
#else
static uint32_t crc32c_cpu(uint32_t crc, const uint8_t *p, size_t nbytes)
{
    return cm_crc32c_scalar(crc, p, nbytes);
}

static bool have_crc32c(void)
{
    return false;
}
#endif

uint32_t cm_crc32c(uint32_t crc, const void *data, size_t nbytes)
{
    return have_crc32c() ? crc32c_cpu(crc, data, nbytes) : cm_crc32c_scalar(crc, data, nbytes);
}

static uint32_t rotate(uint32_t v, int k)
{
    return v << k | v >> (32 - k);
}

uint32_t cm_lookup3(const void *data, size_t nbytes)
{
    return cm_lookup3_from(0, data, nbytes);
}

uint32_t cm_lookup3_from(uint32_t initval, const void *data, size_t nbytes)
{
    const uint8_t *p = data;
    uint32_t a = 0xdeadbeef + (uint32_t)nbytes + initval, b = a, c = a;
    if (nbytes == 0)
        return c;
    for (; nbytes > 12; p += 12, nbytes -= 12) {
        a += cm_load_le32(p);
        b += cm_load_le32(p + 4);
        c += cm_load_le32(p + 8);
        a = (a - c) ^ rotate(c, 4), c += b;
        b = (b - a) ^ rotate(a, 6), a += c;
        c = (c - b) ^ rotate(b, 8), b += a;
        a = (a - c) ^ rotate(c, 16), c += b;
        b = (b - a) ^ rotate(a, 19), a += c;
        c = (c - b) ^ rotate(b, 4), b += a;
    }
    uint8_t last[12] = {0}; /* 1..12 bytes are left: missing ones count as 0 */
    memcpy(last, p, nbytes);
    a += cm_load_le32(last);
    b += cm_load_le32(last + 4);
    c += cm_load_le32(last + 8);
    c = (c ^ b) - rotate(b, 14);
    a = (a ^ c) - rotate(c, 11);
    b = (b ^ a) - rotate(a, 25);
    c = (c ^ b) - rotate(b, 16);
    a = (a ^ c) - rotate(c, 4);
    b = (b ^ a) - rotate(a, 14);
    c = (c ^ b) - rotate(b, 24);
    return c;
}

typedef uint32_t lanes_of_4 __attribute__((vector_size(16)));

enum { LANES = 8, STEPS = 64 /* lanes cannot overflow: 64 * 65 / 2 * 65535 < 2^32 */ };

static uint32_t fold(uint64_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint32_t)sum;
}

/* STEPS * LANES words of big-endian data; even and odd words have their own lanes. */
static void fletcher_block(const uint8_t *p, uint32_t *sum1, uint32_t *sum2)
{
    lanes_of_4 even = {0}, odd = {0}, even_sums = {0}, odd_sums = {0};
    for (int i = 0; i < STEPS; i++, p += 2 * LANES) {
        lanes_of_4 w;
        memcpy(&w, p, sizeof w);
        if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) {
            even += (w & 0xff) << 8 | (w >> 8 & 0xff);
            odd += (w >> 8 & 0xff00) | w >> 24;
        } else {
            even += w >> 16;
            odd += w & 0xffff;
        }
        even_sums += even;
        odd_sums += odd;
    }
    uint64_t first = 0, second = (uint64_t)*sum1 * STEPS * LANES;
    for (unsigned j = 0; j < 4; j++) {
        first += (uint64_t)even[j] + odd[j];
        second += LANES * ((uint64_t)even_sums[j] + odd_sums[j]);
        second -= (uint64_t)(2 * j) * even[j] + (uint64_t)(2 * j + 1) * odd[j];
    }
    *sum1 = fold(*sum1 + first);
    *sum2 = fold(*sum2 + second);
}

uint32_t cm_fletcher32(const void *data, size_t nbytes)
{
    const uint8_t *p = data;
    uint32_t sum1 = 0, sum2 = 0;
    size_t words = nbytes / 2;
    for (; words >= STEPS * LANES; words -= STEPS * LANES, p += 2 * STEPS * LANES)
        fletcher_block(p, &sum1, &sum2);
    while (words) {
        size_t run = words < 360 ? words : 360; /* as many as cannot overflow 32 bits */
        words -= run;
        for (; run; run--, p += 2) {
            sum1 += cm_load_be16(p);
            sum2 += sum1;
        }
        sum1 = (sum1 & 0xffff) + (sum1 >> 16);
        sum2 = (sum2 & 0xffff) + (sum2 >> 16);
    }
    if (nbytes % 2) {
        sum1 += (uint32_t)*p << 8;
        sum2 += sum1;
        sum1 = (sum1 & 0xffff) + (sum1 >> 16);
        sum2 = (sum2 & 0xffff) + (sum2 >> 16);
    }
    sum1 = (sum1 & 0xffff) + (sum1 >> 16);
    sum2 = (sum2 & 0xffff) + (sum2 >> 16);
    return sum2 << 16 | sum1;
}
