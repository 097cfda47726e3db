/* base/bytes.h: numbers out of and into byte strings, and size arithmetic that cannot overflow.
 *
 * File bytes are only ever looked at through these loads: no struct is laid over them. The caller
 * has checked that the bytes are there (see cm_cursor for parsers, which checks by itself).
 */
#ifndef CM_BASE_BYTES_H
#define CM_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t cm_load_le16(const void *p)
{
    const uint8_t *b = p;
    return (uint16_t)(b[0] | b[1] << 8);
}

static inline uint32_t cm_load_le32(const void *p)
{
    const uint8_t *b = p;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static inline uint64_t cm_load_le64(const void *p)
{
    return (uint64_t)cm_load_le32(p) | (uint64_t)cm_load_le32((const uint8_t *)p + 4) << 32;
}

/* n bytes, 0 <= n <= 8, little-endian: HDF5's variable-width sizes and offsets. */
static inline uint64_t cm_load_le(const void *p, size_t n)
{
    const uint8_t *b = p;
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v |= (uint64_t)b[i] << (8 * i);
    return v;
}

static inline uint16_t cm_load_be16(const void *p)
{
    const uint8_t *b = p;
    return (uint16_t)(b[0] << 8 | b[1]);
}

static inline uint32_t cm_load_be32(const void *p)
{
    const uint8_t *b = p;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | (uint32_t)b[3];
}

static inline uint64_t cm_load_be64(const void *p)
{
    return (uint64_t)cm_load_be32(p) << 32 | (uint64_t)cm_load_be32((const uint8_t *)p + 4);
}

static inline void cm_store_le32(void *p, uint32_t v)
{
    uint8_t *b = p;
    for (int i = 0; i < 4; i++)
        b[i] = (uint8_t)(v >> (8 * i));
}

static inline void cm_store_le64(void *p, uint64_t v)
{
    uint8_t *b = p;
    for (int i = 0; i < 8; i++)
        b[i] = (uint8_t)(v >> (8 * i));
}

/* Checked arithmetic: true when the exact result fits in *out. */
static inline bool cm_mul_size(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}
static inline bool cm_add_size(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}
static inline bool cm_mul_i64(int64_t a, int64_t b, int64_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}
static inline bool cm_add_i64(int64_t a, int64_t b, int64_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}
static inline bool cm_mul_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}
static inline bool cm_add_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

static inline int64_t cm_min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}
static inline int64_t cm_max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}
/* ceil(a / b) for a >= 0, b > 0 */
static inline int64_t cm_ceil_div(int64_t a, int64_t b)
{
    return a / b + (a % b != 0);
}
/* The greatest common divisor of a, b >= 0; the other one when one is 0. */
static inline int64_t cm_gcd_i64(int64_t a, int64_t b)
{
    while (b) {
        int64_t r = a % b;
        a = b;
        b = r;
    }
    return a;
}

#endif
