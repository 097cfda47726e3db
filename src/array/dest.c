/* array/dest.c: scattering into strided memory or tiles; see dest.h.
 *
 * Everything goes through cm_dest_view, which finds the one piece of memory that holds a box, if
 * there is one: always for a strided destination, for tiles when the box lies in one of them. A box
 * across tiles is cut at their boundaries and each part goes its own way.
 */
#include <string.h>

#include "array/dest.h"
#include "nd/copy.h"

/* Index of the tile along an axis that holds coordinate x: cuts[i] <= x < cuts[i + 1]. */
static int64_t tile_of(const int64_t *cuts, int64_t count, int64_t x)
{
    int64_t a = 0, b = count;
    while (b - a > 1) {
        int64_t m = a + (b - a) / 2;
        if (cuts[m] <= x)
            a = m;
        else
            b = m;
    }
    return a;
}

/* First cell and strides of the box, which lies inside tile t. */
static char *tile_view(const cm_dest *d, const int64_t *t, const int64_t *lo, int64_t *strides)
{
    const cm_tiles *tiles = d->tiles;
    int nd = d->region.ndim;
    int64_t index = 0, step = d->dtype.size, offset = 0;
    for (int i = 0; i < nd; i++)
        index = index * tiles->count[i] + t[i];
    for (int i = nd - 1; i >= 0; i--) {
        const int64_t *cut = tiles->cuts[i] + t[i];
        int64_t extent = tiles->extent[i] ? tiles->extent[i][t[i]] : cut[1] - cut[0];
        strides[i] = step;
        offset += (lo[i] - cut[0]) * step;
        step *= extent;
    }
    return (char *)tiles->tile[index] + offset;
}

bool cm_dest_view(const cm_dest *d, const int64_t *lo, const int64_t *n, char **first,
                  int64_t *strides)
{
    int nd = d->region.ndim;
    if (!d->tiles) {
        int64_t offset = 0;
        for (int i = 0; i < nd; i++) {
            strides[i] = d->strides[i];
            offset += (lo[i] - d->region.lo[i]) * d->strides[i];
        }
        *first = d->base + offset;
        return true;
    }
    int64_t t[CM_MAX_DIMS];
    for (int i = 0; i < nd; i++) {
        t[i] = tile_of(d->tiles->cuts[i], d->tiles->count[i], lo[i]);
        if (lo[i] + n[i] > d->tiles->cuts[i][t[i] + 1])
            return false;
    }
    *first = tile_view(d, t, lo, strides);
    return true;
}

void *cm_dest_contiguous(const cm_dest *d, const int64_t *lo, const int64_t *n)
{
    char *first;
    int64_t strides[CM_MAX_DIMS];
    if (!cm_dest_view(d, lo, n, &first, strides))
        return NULL;
    int64_t step = d->dtype.size;
    for (int i = d->region.ndim - 1; i >= 0; i--) {
        if (n[i] != 1 && strides[i] != step)
            return NULL;
        step *= n[i];
    }
    return first;
}

/* Call fn for each tile that the box touches, with the part of the box in it. */
typedef void (*part_fn)(const cm_dest *d, const int64_t *n, char *dst, const int64_t *strides,
                        const int64_t *offset, void *arg);

static void each_part(const cm_dest *d, const int64_t *lo, const int64_t *n, part_fn fn, void *arg)
{
    int nd = d->region.ndim;
    char *first;
    int64_t strides[CM_MAX_DIMS], offset[CM_MAX_DIMS] = {0};
    for (int i = 0; i < nd; i++)
        if (n[i] <= 0)
            return;
    if (cm_dest_view(d, lo, n, &first, strides)) {
        fn(d, n, first, strides, offset, arg);
        return;
    }
    int64_t t0[CM_MAX_DIMS], nt[CM_MAX_DIMS], i[CM_MAX_DIMS] = {0};
    for (int k = 0; k < nd; k++) {
        t0[k] = tile_of(d->tiles->cuts[k], d->tiles->count[k], lo[k]);
        nt[k] = tile_of(d->tiles->cuts[k], d->tiles->count[k], lo[k] + n[k] - 1) - t0[k] + 1;
    }
    do {
        int64_t t[CM_MAX_DIMS], plo[CM_MAX_DIMS], pn[CM_MAX_DIMS];
        for (int k = 0; k < nd; k++) {
            t[k] = t0[k] + i[k];
            const int64_t *cut = d->tiles->cuts[k] + t[k];
            int64_t a = lo[k] > cut[0] ? lo[k] : cut[0];
            int64_t b = lo[k] + n[k] < cut[1] ? lo[k] + n[k] : cut[1];
            plo[k] = a;
            pn[k] = b - a;
            offset[k] = a - lo[k];
        }
        char *p = tile_view(d, t, plo, strides);
        fn(d, pn, p, strides, offset, arg);
    } while (cm_next(nd, nt, i));
}

struct put {
    const char *src;
    const int64_t *strides;
    uint32_t swap;
};

static void put_part(const cm_dest *d, const int64_t *n, char *dst, const int64_t *strides,
                     const int64_t *offset, void *arg)
{
    struct put *p = arg;
    const char *src = p->src;
    for (int i = 0; i < d->region.ndim; i++)
        src += offset[i] * p->strides[i];
    cm_nd_copy(d->region.ndim, n, d->dtype.size, dst, strides, src, p->strides, p->swap);
}

void cm_dest_put(const cm_dest *d, const int64_t *lo, const int64_t *n, const void *src,
                 const int64_t *src_strides, uint32_t swap_word)
{
    struct put p = {src, src_strides, swap_word};
    each_part(d, lo, n, put_part, &p);
}

static void fill_part(const cm_dest *d, const int64_t *n, char *dst, const int64_t *strides,
                      const int64_t *offset, void *arg)
{
    (void)offset;
    cm_nd_fill(d->region.ndim, n, d->dtype.size, dst, strides, arg);
}

void cm_dest_fill(const cm_dest *d, const int64_t *lo, const int64_t *n, const void *value)
{
    each_part(d, lo, n, fill_part, (void *)(uintptr_t)value);
}
