/* nd/copy_kernels.h: the inner loops of cm_nd_copy. Nothing here needs alignment. */
#ifndef CM_ND_COPY_KERNELS_H
#define CM_ND_COPY_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Copy nbytes contiguous bytes, reversing groups of word (0, 2, 4, 8) bytes. */
void cm_copy_bytes(uint8_t *dst, const uint8_t *src, size_t nbytes, uint32_t word);

/* Copy n cells of `cell` bytes from s, s + ss, ... to d, d + ds, ... */
void cm_copy_row(size_t cell, uint32_t word, uint8_t *d, int64_t ds, const uint8_t *s, int64_t ss,
                 int64_t n);

/* Transposes: cell (i, j) goes from s + j * ss + i * cell to d + i * ds + j * cell, for i < n0 and
 * j < n1, with groups of word bytes reversed. For cells of 1, 2, 4, 8 and 16 bytes. */
bool cm_transpose_can(size_t cell);
void cm_transpose(size_t cell, uint8_t *d, int64_t ds, const uint8_t *s, int64_t ss, int64_t n0,
                  int64_t n1, uint32_t word);

#endif
