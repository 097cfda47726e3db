/* nd/copy.h: strided copy, transpose and byte swap of N-dimensional boxes.
 *
 * All strides are in bytes and may be negative or, in the source, zero. Neither side needs
 * alignment. Source and destination must not overlap. Axes are reordered and merged first, so that
 * the innermost loop is as long as it can be.
 *
 * Threads: pure functions.
 */
#ifndef CM_ND_COPY_H
#define CM_ND_COPY_H

#include <stddef.h>
#include <stdint.h>

#include "chunkmill/dtype.h"

/* Copy n[0] x ... x n[ndim-1] cells of `size` bytes. swap_word: 0 copies bytes as they are; 2, 4 or
 * 8 reverses every group of that many bytes in a cell (size must be a multiple). */
void cm_nd_copy(int ndim, const int64_t *n, size_t size, void *dst, const int64_t *dst_strides,
                const void *src, const int64_t *src_strides, uint32_t swap_word);

/* Set every cell of the box to the value of `size` bytes. */
void cm_nd_fill(int ndim, const int64_t *n, size_t size, void *dst, const int64_t *dst_strides,
                const void *value);

/* Reverse groups of `word` (2, 4, 8) bytes in place. */
void cm_swap_bytes(void *data, size_t nbytes, uint32_t word);

/* n contiguous records: reverse the words of every field that is stored in the other byte order
 * than the machine's: those whose big_endian says so. all: as if each one were big-endian. */
void cm_record_swap(const cm_record *record, void *records, size_t n, bool all);

/* Is there a field for cm_record_swap to do? */
bool cm_record_swaps(const cm_record *record, bool all);

/* True when every one of nelem contiguous cells equals value bit for bit. */
bool cm_nd_all_equal(const void *data, size_t nelem, size_t size, const void *value);

#endif
