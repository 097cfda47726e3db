/* nd/transpose.c: the plane kernels of transposing copies. */
#include <string.h>

#include "nd/copy_kernels.h"

bool cm_transpose_can(size_t cell)
{
    return cell == 1 || cell == 2 || cell == 4 || cell == 8 || cell == 16;
}

static inline __attribute__((always_inline)) void
plane_of(size_t cell, uint8_t *d, int64_t ds, const uint8_t *s, int64_t ss, int64_t n0, int64_t n1)
{
    int64_t step = (int64_t)cell;
    for (int64_t i = 0; i < n0; i++)
        for (int64_t j = 0; j < n1; j++)
            memcpy(d + i * ds + j * step, s + j * ss + i * step, cell);
}

void cm_transpose(size_t cell, uint8_t *d, int64_t ds, const uint8_t *s, int64_t ss, int64_t n0,
                  int64_t n1)
{
    switch (cell) {
    case 1: plane_of(1, d, ds, s, ss, n0, n1); break;
    case 2: plane_of(2, d, ds, s, ss, n0, n1); break;
    case 4: plane_of(4, d, ds, s, ss, n0, n1); break;
    case 8: plane_of(8, d, ds, s, ss, n0, n1); break;
    case 16: plane_of(16, d, ds, s, ss, n0, n1); break;
    default: break;
    }
}
