/* nd/transpose.c: the plane kernels of transposing copies.
 *
 * Three sizes of blocks. copy.c hands over planes of about 1024 x 1024 bytes, so that rows are long
 * enough for the hardware's prefetch and a plane stays in the second-level cache. A plane is walked
 * in squares of one cache line by one cache line: every line of the source is read once and every
 * line of the destination written once while it is in the first-level cache, even when strides are
 * powers of two and rows fall on each other there. While one strip of squares is done the lines of
 * the next are asked for. A square is made of tiles that are transposed in registers: N rows of 16
 * bytes, log2(N) stages, each of which interleaves row k with row k + N/2:
 *
 *     a0 a1 a2 a3      a0 c0 a1 c1      a0 b0 c0 d0
 *     b0 b1 b2 b3  ->  a2 c2 a3 c3  ->  a1 b1 c1 d1
 *     c0 c1 c2 c3      b0 d0 b1 d1      a2 b2 c2 d2
 *     d0 d1 d2 d3      b2 d2 b3 d3      a3 b3 c3 d3
 *
 * Vectors are the compiler's own, 16 bytes, which every 64-bit CPU has (SSE2, NEON).
 *
 * Measured (bench/bench_copy.c, gcc 12 -O2, EPYC, GB/s of cells copied; memcpy 19). Plain loops
 * over planes of 256 bytes, then this: 4-byte cells 3000 x 4000 5.3 and 8.0 (7.0 with a byte swap);
 * 2048 x 4096 2.1 and 7.0; (365,180,180) to (y,x,t) 5.6 and 8.2; a chunk of (32,48,48), in cache,
 * 13 and 44; 1-byte cells 3000 x 4000 2.2 and 9.4. Tried and left out: going along the source
 * instead (10 on large planes, but 3 when strides are powers of two, and 30 in cache); the source
 * strip in contiguous scratch first (6). Wider vectors would not help: shuffles are not the limit.
 */
#include <string.h>

#include "base/bytes.h"
#include "nd/copy.h"
#include "nd/copy_kernels.h"

bool cm_transpose_can(size_t cell)
{
    return cell == 1 || cell == 2 || cell == 4 || cell == 8 || cell == 16;
}

typedef uint8_t v1 __attribute__((vector_size(16)));
typedef uint16_t v2 __attribute__((vector_size(16)));
typedef uint32_t v4 __attribute__((vector_size(16)));
typedef uint64_t v8 __attribute__((vector_size(16)));

/* Interleave the lower or upper halves of two rows of cells of 1, 2, 4, 8 bytes. */
#define LO1(a, b)                                                                                  \
    __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define HI1(a, b)                                                                                  \
    __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#define LO2(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define HI2(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#define LO4(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define HI4(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#define LO8(a, b) __builtin_shufflevector(a, b, 0, 2)
#define HI8(a, b) __builtin_shufflevector(a, b, 1, 3)

/* The bytes of each cell reversed, by shifts (see swap.c). */
#define SWAP1(x) (x)
#define SWAP2(x) ((x) << 8 | (x) >> 8)
#define SWAP4(x) ((v4)SWAP2((v2)(x)) << 16 | (v4)SWAP2((v2)(x)) >> 16)
#define SWAP8(x) ((v8)SWAP4((v4)(x)) << 32 | (v8)SWAP4((v4)(x)) >> 32)

#define UNROLL _Pragma("GCC unroll 16")

/* One stage: the n rows of `from` interleaved into `to`. */
#define STAGE(bytes, n, from, to)                                                                  \
    UNROLL for (int k = 0; k < (n) / 2; k++)                                                       \
    {                                                                                              \
        (to)[2 * k] = LO##bytes((from)[k], (from)[k + (n) / 2]);                                   \
        (to)[2 * k + 1] = HI##bytes((from)[k], (from)[k + (n) / 2]);                               \
    }

#define INLINE static inline __attribute__((always_inline))

/* tileB: n x n cells of B bytes, swapped or not; the stages leave the result in `result`. */
#define TILE(bytes, n, stages, result)                                                             \
    INLINE void tile##bytes(uint8_t *d, int64_t ds, const uint8_t *s, int64_t ss, bool swap)       \
    {                                                                                              \
        v##bytes r[n], t[n];                                                                       \
        UNROLL for (int k = 0; k < (n); k++)                                                       \
        {                                                                                          \
            memcpy(&r[k], s + k * ss, 16);                                                         \
            r[k] = swap ? SWAP##bytes(r[k]) : r[k];                                                \
        }                                                                                          \
        stages UNROLL for (int k = 0; k < (n); k++) memcpy(d + k * ds, &(result)[k], 16);          \
    }

TILE(1, 16, STAGE(1, 16, r, t) STAGE(1, 16, t, r) STAGE(1, 16, r, t) STAGE(1, 16, t, r), r)
TILE(2, 8, STAGE(2, 8, r, t) STAGE(2, 8, t, r) STAGE(2, 8, r, t), t)
TILE(4, 4, STAGE(4, 4, r, t) STAGE(4, 4, t, r), r)
TILE(8, 2, STAGE(8, 2, r, t), t)

INLINE void tile16(uint8_t *d, int64_t ds, const uint8_t *s, int64_t ss, bool swap)
{
    (void)ds, (void)ss, (void)swap;
    memcpy(d, s, 16);
}

/* The edges that are no whole tile, cell by cell. */
INLINE void cells(size_t cell, uint8_t *d, int64_t ds, const uint8_t *s, int64_t ss, int64_t n0,
                  int64_t n1)
{
    int64_t step = (int64_t)cell;
    for (int64_t i = 0; i < n0; i++)
        for (int64_t j = 0; j < n1; j++)
            memcpy(d + i * ds + j * step, s + j * ss + i * step, cell);
}

typedef void (*tile_fn)(uint8_t *d, int64_t ds, const uint8_t *s, int64_t ss, bool swap);

/* A plane, with the tile function, its n and swap known when compiled. Only whole tiles: m0 and m1
 * are multiples of n. */
INLINE void squares(size_t cell, int64_t n, tile_fn tile, bool swap, uint8_t *d, int64_t ds,
                    const uint8_t *s, int64_t ss, int64_t m0, int64_t m1)
{
    int64_t step = (int64_t)cell, line = 64 / step;
    for (int64_t ii = 0; ii < m0; ii += line) {
        int64_t i1 = cm_min_i64(ii + line, m0);
        for (int64_t jj = 0; jj < m1; jj += line) {
            int64_t j1 = cm_min_i64(jj + line, m1);
            for (int64_t j = jj; j < j1 && i1 < m0; j++)
                __builtin_prefetch(s + j * ss + i1 * step);
            for (int64_t i = ii; i < i1; i += n)
                for (int64_t j = jj; j < j1; j += n)
                    tile(d + i * ds + j * step, ds, s + j * ss + i * step, ss, swap);
        }
    }
}

INLINE void plane(size_t cell, int64_t n, tile_fn tile, uint8_t *d, int64_t ds, const uint8_t *s,
                  int64_t ss, int64_t n0, int64_t n1, uint32_t word)
{
    int64_t step = (int64_t)cell, m0 = n0 - n0 % n, m1 = n1 - n1 % n;
    bool in_tile = word == cell && cell <= 8;
    if (in_tile)
        squares(cell, n, tile, true, d, ds, s, ss, m0, m1);
    else
        squares(cell, n, tile, false, d, ds, s, ss, m0, m1);
    if (m1 < n1)
        cells(cell, d + m1 * step, ds, s + m1 * ss, ss, m0, n1 - m1);
    if (m0 < n0)
        cells(cell, d + m0 * ds, ds, s + m0 * step, ss, n0 - m0, n1);
    /* What the tiles have not swapped: the edges, or words that are parts of cells. */
    for (int64_t i = 0; word && i < n0; i++) {
        int64_t from = in_tile && i < m0 ? m1 : 0;
        cm_swap_bytes(d + i * ds + from * step, (size_t)((n1 - from) * step), word);
    }
}

void cm_transpose(size_t cell, uint8_t *d, int64_t ds, const uint8_t *s, int64_t ss, int64_t n0,
                  int64_t n1, uint32_t word)
{
    switch (cell) {
    case 1: plane(1, 16, tile1, d, ds, s, ss, n0, n1, word); break;
    case 2: plane(2, 8, tile2, d, ds, s, ss, n0, n1, word); break;
    case 4: plane(4, 4, tile4, d, ds, s, ss, n0, n1, word); break;
    case 8: plane(8, 2, tile8, d, ds, s, ss, n0, n1, word); break;
    case 16: plane(16, 1, tile16, d, ds, s, ss, n0, n1, word); break;
    default: break;
    }
}
