/* array/grid.c: chunk grids whose chunks have different lengths: looking up. */
#include <stdlib.h>

#include "array/grid.h"

void cm_grid_free(cm_grid *g)
{
    if (!g)
        return;
    for (int i = 0; i < g->ndim; i++) {
        free(g->axes[i].cuts);
        free(g->axes[i].kinds);
        free(g->axes[i].lengths);
    }
    for (size_t i = 0; i < g->nchains; i++)
        cm_chain_unref(g->chains[i]);
    free(g->chains);
    free(g);
}

int64_t cm_grid_find(const cm_grid_axis *axis, int64_t x)
{
    if (axis->size)
        return x / axis->size;
    int64_t lo = 0, hi = axis->n;
    while (hi - lo > 1) {
        int64_t mid = lo + (hi - lo) / 2;
        if (axis->cuts[mid] <= x)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

int64_t cm_grid_begin(const cm_grid_axis *axis, int64_t i)
{
    return axis->size ? i * axis->size : axis->cuts[i];
}

const cm_chain *cm_grid_chain(const cm_grid *g, const int64_t *coord)
{
    size_t at = 0;
    for (int k = 0; k < g->ndim; k++) {
        const cm_grid_axis *axis = &g->axes[k];
        at = at * axis->nlengths + (axis->size ? 0 : axis->kinds[coord[k]]);
    }
    return g->chains[at];
}

void cm_grid_combination(const cm_grid *g, size_t i, int64_t *shape)
{
    for (int k = g->ndim - 1; k >= 0; k--) {
        const cm_grid_axis *axis = &g->axes[k];
        shape[k] = axis->size ? axis->size : axis->lengths[i % axis->nlengths];
        i /= axis->nlengths;
    }
}
