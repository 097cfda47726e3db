/* nd/copy.c: the strided copy that every cell of every read and every save goes through.
 *
 * The box is first brought into a normal form, in which most copies are simple:
 *
 *   1. axes of length 1 go; an axis that runs backwards in the destination is turned around (on
 * both sides), so that destination strides are positive;
 *   2. axes are sorted by destination stride, the smallest last;
 *   3. neighbours that step alike on both sides become one axis;
 *   4. an innermost axis that is contiguous on both sides joins the cell: a "cell" is then a whole
 *      row, however long.
 *
 * What is left is one of three things. Cells of any size whose last axis is also the best one for
 * the source: rows are copied one after the other (copy_nested). Small cells whose order differs
 * between the sides, a transpose in the widest sense: blocks that fill whole cache lines on both
 * sides (copy_blocked), with the kernels of transpose.c inside. Nothing at all: one row.
 *
 * A byte swap is done on the way when rows are copied; in a transpose, on the rows of the tile just
 * just written, which are still in the first-level cache: fewer kernels, and memory sees one pass.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "nd/copy.h"
#include "nd/copy_kernels.h"

typedef struct axis {
    int64_t n, ds, ss; /* length, destination and source stride in bytes */
} axis;

typedef struct copy_plan {
    int naxes;
    axis axes[CM_MAX_DIMS];
    size_t cell; /* bytes */
    uint32_t word;
    uint8_t *dst;
    const uint8_t *src;
} copy_plan;

/* Steps 1 to 4 above. false when there is nothing to copy. */
static bool normalise(copy_plan *p, int ndim, const int64_t *n, const int64_t *ds,
                      const int64_t *ss)
{
    axis *ax = p->axes;
    int naxes = 0;
    for (int k = 0; k < ndim; k++) {
        if (n[k] <= 0)
            return false;
        if (n[k] == 1)
            continue;
        axis a = {n[k], ds[k], ss[k]};
        if (a.ds < 0) {
            p->dst += a.ds * (a.n - 1);
            p->src += a.ss * (a.n - 1);
            a.ds = -a.ds;
            a.ss = -a.ss;
        }
        int at = naxes++;
        for (; at > 0 && ax[at - 1].ds < a.ds; at--)
            ax[at] = ax[at - 1];
        ax[at] = a;
    }
    int last = naxes - 1;
    for (int k = naxes - 2; k >= 0; k--) {
        /* ax[last] is the axis under construction, everything behind it is done. */
        axis *inner = &ax[last];
        if (ax[k].ds == inner->ds * inner->n && ax[k].ss == inner->ss * inner->n)
            inner->n *= ax[k].n;
        else
            ax[--last] = ax[k];
    }
    if (naxes > 0) {
        p->naxes = naxes - last;
        memmove(ax, ax + last, (size_t)p->naxes * sizeof *ax);
        const axis *inner = &ax[p->naxes - 1];
        if (inner->ds == (int64_t)p->cell && inner->ss == inner->ds) {
            p->cell *= (size_t)inner->n;
            p->naxes--;
        }
    }
    return true;
}

/* Copy n0 x n1 cells; axis 1 is the inner one. */
static void copy_plane(const copy_plan *p, uint8_t *d, const uint8_t *s, const axis *a0,
                       const axis *a1)
{
    for (int64_t i = 0; i < a0->n; i++)
        cm_copy_row(p->cell, p->word, d + i * a0->ds, a1->ds, s + i * a0->ss, a1->ss, a1->n);
}

/* Source order agrees with destination order, or cells are so large that order does not matter. */
static void copy_nested(const copy_plan *p)
{
    static const axis one = {1, 0, 0};
    int outer = p->naxes - 2;
    const axis *a1 = &p->axes[p->naxes - 1];
    const axis *a0 = outer >= 0 ? &p->axes[outer] : &one;
    int64_t i[CM_MAX_DIMS] = {0};
    uint8_t *d = p->dst;
    const uint8_t *s = p->src;
    for (;;) {
        copy_plane(p, d, s, a0, a1);
        int k = outer - 1;
        for (; k >= 0; k--) {
            const axis *a = &p->axes[k];
            d += a->ds;
            s += a->ss;
            if (++i[k] < a->n)
                break;
            d -= a->ds * a->n;
            s -= a->ss * a->n;
            i[k] = 0;
        }
        if (k < 0)
            return;
    }
}

/* Lengths of the blocks: along the axes that are innermost on either side, until a block covers
 * `want` bytes of that side's memory in one piece or nearly so; 1 along the other axes. */
static void choose_blocks(const copy_plan *p, int64_t want, int64_t *block)
{
    bool used[CM_MAX_DIMS] = {false};
    for (int k = 0; k < p->naxes; k++)
        block[k] = 1;
    int64_t covered = (int64_t)p->cell;
    for (int k = p->naxes - 1; k >= 0 && covered < want; k--) {
        block[k] = cm_min_i64(p->axes[k].n, cm_ceil_div(want, covered));
        covered *= block[k];
    }
    covered = (int64_t)p->cell;
    while (covered < want) {
        int best = -1;
        for (int k = 0; k < p->naxes; k++)
            if (!used[k] && p->axes[k].ss != 0 &&
                (best < 0 || llabs(p->axes[k].ss) < llabs(p->axes[best].ss)))
                best = k;
        if (best < 0)
            break;
        used[best] = true;
        int64_t length = cm_min_i64(p->axes[best].n, cm_ceil_div(want, covered));
        block[best] = cm_max_i64(block[best], length);
        covered *= length;
    }
}

/* One tile: all axes of the block but `a` (inner in the destination) and `b` (inner in the source)
 * are walked, and the kernel does a plane of those two. e: lengths of this block. */
static void copy_tile(const copy_plan *p, const int64_t *e, int a, int b, uint8_t *d,
                      const uint8_t *s)
{
    axis a0 = p->axes[b], a1 = p->axes[a];
    a0.n = e[b];
    a1.n = e[a];
    int64_t cell = (int64_t)p->cell;
    bool transpose = a1.ds == cell && a0.ss == cell && cm_transpose_can(p->cell);
    int64_t i[CM_MAX_DIMS] = {0};
    for (;;) {
        if (transpose) {
            cm_transpose(p->cell, d, a0.ds, s, a1.ss, a0.n, a1.n, p->word);
        } else {
            copy_plane(p, d, s, &a0, &a1);
        }
        int k = p->naxes - 1;
        for (; k >= 0; k--) {
            if (k == a || k == b)
                continue;
            d += p->axes[k].ds;
            s += p->axes[k].ss;
            if (++i[k] < e[k])
                break;
            d -= p->axes[k].ds * e[k];
            s -= p->axes[k].ss * e[k];
            i[k] = 0;
        }
        if (k < 0)
            return;
    }
}

static void copy_blocked(const copy_plan *p, int a, int b)
{
    int64_t block[CM_MAX_DIMS], at[CM_MAX_DIMS] = {0}, e[CM_MAX_DIMS];
    choose_blocks(p, p->cell < 4 ? 512 : 1024, block);
    for (;;) {
        uint8_t *d = p->dst;
        const uint8_t *s = p->src;
        for (int k = 0; k < p->naxes; k++) {
            e[k] = cm_min_i64(block[k], p->axes[k].n - at[k]);
            d += at[k] * p->axes[k].ds;
            s += at[k] * p->axes[k].ss;
        }
        copy_tile(p, e, a, b, d, s);
        int k = p->naxes - 1;
        for (; k >= 0; k--) {
            at[k] += block[k];
            if (at[k] < p->axes[k].n)
                break;
            at[k] = 0;
        }
        if (k < 0)
            return;
    }
}

void cm_nd_copy(int ndim, const int64_t *n, size_t size, void *dst, const int64_t *dst_strides,
                const void *src, const int64_t *src_strides, uint32_t swap_word)
{
    assert(ndim >= 0 && ndim <= CM_MAX_DIMS);
    assert(swap_word <= 1 || size % swap_word == 0);
    copy_plan p; /* field by field: clearing all axes would cost more than a small copy */
    p.naxes = 0;
    p.cell = size;
    p.word = swap_word > 1 ? swap_word : 0;
    p.dst = dst;
    p.src = src;
    if (size == 0 || !normalise(&p, ndim, n, dst_strides, src_strides))
        return;
    if (p.naxes == 0) {
        cm_copy_bytes(p.dst, p.src, p.cell, p.word);
        return;
    }
    int a = p.naxes - 1, b = a;
    for (int k = p.naxes - 1; k >= 0; k--)
        if (p.axes[k].ss != 0 && (p.axes[b].ss == 0 || llabs(p.axes[k].ss) < llabs(p.axes[b].ss)))
            b = k;
    /* A source that is constant along the inner axis streams into the destination as it is. */
    if (b == a || p.axes[a].ss == 0 || p.cell >= 64)
        copy_nested(&p);
    else
        copy_blocked(&p, a, b);
}
