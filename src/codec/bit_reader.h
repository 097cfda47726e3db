/* codec/bit_reader.h: numbers of some bits out of bytes, the highest bit first.
 *
 * HDF5's nbit and scaleoffset filters pack cells this way, without any padding between them. Asking
 * for more bits than there are sets bad and gives zeros; who reads a chunk looks at bad once.
 */
#ifndef CM_CODEC_BIT_READER_H
#define CM_CODEC_BIT_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct cm_bits {
    const uint8_t *p, *end;
    uint64_t held; /* the lowest nheld bits are what was taken from p and not given yet */
    unsigned nheld;
    bool bad;
} cm_bits;

/* The next n <= 32 bits. */
static inline uint64_t cm_bits_take32(cm_bits *b, unsigned n)
{
    while (b->nheld < n) {
        if (b->p == b->end) {
            b->bad = true;
            return 0;
        }
        b->held = b->held << 8 | *b->p++;
        b->nheld += 8;
    }
    b->nheld -= n;
    return b->held >> b->nheld & ((UINT64_C(1) << n) - 1);
}

/* The next n <= 64 bits. */
static inline uint64_t cm_bits_take(cm_bits *b, unsigned n)
{
    if (n <= 32)
        return cm_bits_take32(b, n);
    uint64_t high = cm_bits_take32(b, n - 32);
    return high << 32 | cm_bits_take32(b, 32);
}

#endif
