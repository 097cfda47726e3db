/* codec/bit_kernels.h: bools to bits and back, for the packbits codecs (bit_kernels.c). */
#ifndef CM_CODEC_BIT_KERNELS_H
#define CM_CODEC_BIT_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* n bools, a byte each, to (n + 7) / 8 bytes; the rest of the last one is 0. msb: the first bool is
 * the uppermost bit of the first byte, as numpy.packbits has it; else the lowest. False when a byte
 * is neither 0 nor 1. The buffers do not overlap. */
bool cm_pack_bools(const uint8_t *src, size_t n, bool msb, uint8_t *dst);
void cm_unpack_bools(const uint8_t *src, size_t n, bool msb, uint8_t *dst);

#endif
