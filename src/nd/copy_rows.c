/* nd/copy_rows.c: rows of cells: contiguous, strided, repeated, with or without a byte swap.
 *
 * Rows are often short (a chunk's edge is a few dozen cells), so a call of memcpy with a length
 * that is only known at run time would cost more than the copy: rows of up to 64 bytes are copied
 * with two or four overlapping loads and stores of fixed size.
 */
#include <string.h>

#include "base/bytes.h"
#include "nd/copy.h"
#include "nd/copy_kernels.h"

typedef struct b16 {
    uint64_t v[2];
} b16;

/* 1..64 bytes, or more through memcpy. */
static inline void copy_short(uint8_t *d, const uint8_t *s, size_t n)
{
    if (n > 64) {
        memcpy(d, s, n);
    } else if (n >= 32) {
        b16 a, b, y, z;
        memcpy(&a, s, 16);
        memcpy(&b, s + 16, 16);
        memcpy(&y, s + n - 32, 16);
        memcpy(&z, s + n - 16, 16);
        memcpy(d, &a, 16);
        memcpy(d + 16, &b, 16);
        memcpy(d + n - 32, &y, 16);
        memcpy(d + n - 16, &z, 16);
    } else if (n >= 16) {
        b16 a, z;
        memcpy(&a, s, 16);
        memcpy(&z, s + n - 16, 16);
        memcpy(d, &a, 16);
        memcpy(d + n - 16, &z, 16);
    } else if (n >= 8) {
        uint64_t a, z;
        memcpy(&a, s, 8);
        memcpy(&z, s + n - 8, 8);
        memcpy(d, &a, 8);
        memcpy(d + n - 8, &z, 8);
    } else if (n >= 4) {
        uint32_t a, z;
        memcpy(&a, s, 4);
        memcpy(&z, s + n - 4, 4);
        memcpy(d, &a, 4);
        memcpy(d + n - 4, &z, 4);
    } else {
        d[0] = s[0];
        d[n / 2] = s[n / 2];
        d[n - 1] = s[n - 1];
    }
}

/* With a constant cell the compiler turns memcpy into one load and one store. */
static inline __attribute__((always_inline)) void row_of(size_t cell, uint8_t *d, int64_t ds,
                                                         const uint8_t *s, int64_t ss, int64_t n)
{
    int64_t i = 0;
    for (; i + 4 <= n; i += 4, d += 4 * ds, s += 4 * ss) {
        memcpy(d, s, cell);
        memcpy(d + ds, s + ss, cell);
        memcpy(d + 2 * ds, s + 2 * ss, cell);
        memcpy(d + 3 * ds, s + 3 * ss, cell);
    }
    for (; i < n; i++, d += ds, s += ss)
        memcpy(d, s, cell);
}

static void row_plain(size_t cell, uint8_t *d, int64_t ds, const uint8_t *s, int64_t ss, int64_t n)
{
    switch (cell) {
    case 1: row_of(1, d, ds, s, ss, n); break;
    case 2: row_of(2, d, ds, s, ss, n); break;
    case 4: row_of(4, d, ds, s, ss, n); break;
    case 8: row_of(8, d, ds, s, ss, n); break;
    case 16: row_of(16, d, ds, s, ss, n); break;
    default:
        for (int64_t i = 0; i < n; i++, d += ds, s += ss)
            copy_short(d, s, cell);
    }
}

void cm_copy_row(size_t cell, uint32_t word, uint8_t *d, int64_t ds, const uint8_t *s, int64_t ss,
                 int64_t n)
{
    if (word == 0) {
        row_plain(cell, d, ds, s, ss, n);
    } else if (cell <= 16 && ds == (int64_t)cell) {
        /* Gather first, swap the piece while it is in the first-level cache. */
        int64_t step = 4096 / (int64_t)cell;
        for (int64_t i = 0; i < n; i += step) {
            int64_t m = cm_min_i64(step, n - i);
            row_plain(cell, d + i * ds, ds, s + i * ss, ss, m);
            cm_swap_bytes(d + i * ds, (size_t)m * cell, word);
        }
    } else {
        for (int64_t i = 0; i < n; i++, d += ds, s += ss)
            cm_copy_bytes(d, s, cell, word);
    }
}
