/* nd/copy_reference.c: the naive strided copy that the fast one is held to.
 *
 * One cell at a time, offsets computed anew for every cell, no cleverness: what it does can be
 * checked by reading it.
 */
#include "nd/box.h"
#include "nd/copy.h"

void cm_nd_copy_reference(int ndim, const int64_t *n, size_t size, void *dst,
                          const int64_t *dst_strides, const void *src, const int64_t *src_strides,
                          uint32_t swap_word)
{
    for (int k = 0; k < ndim; k++)
        if (n[k] <= 0)
            return;
    size_t word = swap_word ? swap_word : 1;
    int64_t i[CM_MAX_DIMS] = {0};
    do {
        int64_t to = 0, from = 0;
        for (int k = 0; k < ndim; k++) {
            to += i[k] * dst_strides[k];
            from += i[k] * src_strides[k];
        }
        uint8_t *d = (uint8_t *)dst + to;
        const uint8_t *s = (const uint8_t *)src + from;
        for (size_t b = 0; b < size; b++)
            d[b] = s[b / word * word + (word - 1 - b % word)];
    } while (cm_next(ndim, n, i));
}
