/* save/axis.c: one axis: boundaries, mean number of reads, candidate widths; see axis.h.
 *
 * A grid is either regular or a list of cuts (joined files); only the first three functions know
 * which. Means over many tiles are taken from the first 100,000, and candidates are at most 128
 * before thinning, so that planning takes milliseconds for an axis of any length.
 */
#include <stdlib.h>

#include "base/bytes.h"
#include "save/axis.h"

/* Index of the last cut <= x. */
static int64_t cut_before(const cm_axis_grid *g, int64_t x)
{
    int64_t a = 0, b = g->ncuts;
    while (a < b) {
        int64_t m = a + (b - a + 1) / 2;
        if (g->cuts[m] <= x)
            a = m;
        else
            b = m - 1;
    }
    return a;
}

int64_t cm_axis_floor(const cm_axis_grid *g, int64_t x)
{
    if (x >= g->length)
        return g->length;
    return g->ncuts ? g->cuts[cut_before(g, x)] : x / g->size * g->size;
}

int64_t cm_axis_ceil(const cm_axis_grid *g, int64_t x)
{
    if (x >= g->length)
        return g->length;
    int64_t f = cm_axis_floor(g, x);
    if (f == x)
        return x;
    if (!g->ncuts)
        return cm_min_i64(f + g->size, g->length);
    return g->cuts[cut_before(g, x) + 1];
}

int64_t cm_axis_longest(const cm_axis_grid *g)
{
    int64_t longest = 1;
    if (!g->ncuts)
        return cm_max_i64(1, cm_min_i64(g->size, g->length));
    for (int64_t i = 0; i < g->ncuts; i++)
        longest = cm_max_i64(longest, g->cuts[i + 1] - g->cuts[i]);
    return longest;
}

double cm_axis_reread(const cm_axis_grid *g, int64_t width)
{
    if (g->length <= 0 || width >= g->length)
        return 1;
    if (!g->ncuts && width % g->size == 0)
        return 1;
    double covered = 0;
    int64_t tiles = cm_ceil_div(g->length, width), end = 0;
    /* The first 100,000 tiles of a nearly periodic pattern say as much as all of them. */
    int64_t some = cm_min_i64(tiles, 100000);
    for (int64_t i = 0; i < some; i++) {
        int64_t lo = i * width;
        end = cm_min_i64(lo + width, g->length);
        covered += (double)(cm_axis_ceil(g, end) - cm_axis_floor(g, lo));
    }
    return covered / (double)end;
}

double cm_axis_reread_cuts(const cm_axis_grid *g, const int64_t *cuts, int64_t nunits, int64_t per)
{
    if (g->length <= 0 || per >= nunits)
        return 1;
    double covered = 0;
    int64_t end = 0, tiles = 0;
    for (int64_t u = 0; u < nunits && tiles < 100000; u += per, tiles++) {
        end = cuts[cm_min_i64(u + per, nunits)];
        covered += (double)(cm_axis_ceil(g, end) - cm_axis_floor(g, cuts[u]));
    }
    return covered / (double)end;
}

static int compare(const void *va, const void *vb)
{
    int64_t a = *(const int64_t *)va, b = *(const int64_t *)vb;
    return a < b ? -1 : a > b;
}

int cm_axis_candidates(const cm_axis_grid *g, int64_t unit, int64_t nunits, int64_t *out, int max)
{
    static const int64_t small[] = {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 24};
    int64_t all[128];
    int n = 0;
    for (size_t i = 0; i < sizeof small / sizeof *small; i++)
        all[n++] = small[i];
    for (int64_t u = 32; u < nunits && n < 90; u += u / 2)
        all[n++] = u;
    all[n++] = nunits;
    if (!g->ncuts) {
        int64_t align = g->size / cm_gcd_i64(g->size, unit); /* units per common boundary */
        for (int64_t k = 1; k <= 16 && align < nunits / k; k *= 2)
            all[n++] = align * k;
    }
    qsort(all, (size_t)n, sizeof *all, compare);
    int kept = 0;
    for (int i = 0; i < n; i++)
        if (all[i] <= nunits && (kept == 0 || all[i] != all[kept - 1]))
            all[kept++] = all[i];
    /* Too many: keep the ends and thin the middle evenly. */
    for (int i = 0; i < kept && i < max; i++)
        out[i] = all[kept <= max ? i : (int)((int64_t)i * (kept - 1) / (max - 1))];
    return kept < max ? kept : max;
}
