/* nd/fill.c: one value into many cells, and the question whether many cells are one value.
 *
 * Fill writes a pattern of whole cells, about 4 KB, into the first row and copies that from the
 * first-level cache. Equality compares the first cell with the value and the rest of the memory
 * with itself shifted by one cell: if every cell equals the one before it, all equal the first.
 * Both run at the speed of memcpy and memcmp for every size of cell.
 */
#include <string.h>

#include "nd/box.h"
#include "nd/copy.h"

enum { PATTERN = 4096 };

static void fill_contiguous(uint8_t *d, size_t nbytes, size_t size, const uint8_t *value)
{
    if (size == 1 || (memcmp(value, value + 1, size - 1) == 0)) {
        memset(d, value[0], nbytes);
        return;
    }
    memcpy(d, value, size);
    size_t done = size;
    while (done < nbytes) {
        size_t step = done < PATTERN ? done : PATTERN / size * size;
        if (step < size)
            step = size;
        if (step > nbytes - done)
            step = nbytes - done;
        memcpy(d + done, d, step);
        done += step;
    }
}

void cm_nd_fill(int ndim, const int64_t *n, size_t size, void *dst, const int64_t *dst_strides,
                const void *value)
{
    /* Sort by stride so that whatever is contiguous becomes one run. */
    int64_t m[CM_MAX_DIMS], ds[CM_MAX_DIMS];
    uint8_t *d = dst;
    int k = 0;
    for (int i = 0; i < ndim; i++) {
        if (n[i] <= 0)
            return;
        if (n[i] == 1)
            continue;
        int64_t stride = dst_strides[i];
        if (stride < 0) {
            d += stride * (n[i] - 1);
            stride = -stride;
        }
        int at = k++;
        for (; at > 0 && ds[at - 1] < stride; at--) {
            m[at] = m[at - 1];
            ds[at] = ds[at - 1];
        }
        m[at] = n[i];
        ds[at] = stride;
    }
    size_t run = size;
    while (k > 0 && ds[k - 1] == (int64_t)run)
        run *= (size_t)m[--k];
    if (run == 0)
        return;
    if (k == 0 || run > PATTERN) {
        int64_t i[CM_MAX_DIMS] = {0};
        do {
            int64_t offset = 0;
            for (int j = 0; j < k; j++)
                offset += i[j] * ds[j];
            fill_contiguous(d + offset, run, size, value);
        } while (cm_next(k, m, i));
        return;
    }
    /* Short runs: fill one, then copy it everywhere (the run itself is copied onto no other). */
    uint8_t row[PATTERN];
    static const int64_t zero[CM_MAX_DIMS];
    fill_contiguous(row, run, size, value);
    cm_nd_copy(k, m, run, d, ds, row, zero, 0);
}

bool cm_nd_all_equal(const void *data, size_t nelem, size_t size, const void *value)
{
    if (nelem == 0 || size == 0)
        return true;
    const uint8_t *p = data;
    return memcmp(p, value, size) == 0 && memcmp(p, p + size, (nelem - 1) * size) == 0;
}
