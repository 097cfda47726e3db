/* array/grid.c: chunk grids whose chunks have different lengths: making, looking up, writing. */
#include <stdlib.h>

#include "array/grid.h"
#include "base/memory.h"

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

static int by_length(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

int cm_grid_axis_list(cm_grid_axis *a, const int64_t *lengths, size_t n, int64_t length,
                      cm_error *err)
{
    int64_t *sorted = cm_memdup(lengths, n * sizeof *sorted, err);
    size_t kinds = 0;
    if (!sorted)
        return CM_ENOMEM;
    qsort(sorted, n, sizeof *sorted, by_length);
    for (size_t i = 0; i < n; i++)
        if (kinds == 0 || sorted[kinds - 1] != sorted[i])
            sorted[kinds++] = sorted[i];
    a->n = (int64_t)n;
    a->lengths = sorted;
    a->nlengths = (uint32_t)kinds;
    if (kinds == 1) {
        a->size = sorted[0];
        return 0;
    }
    a->cuts = cm_calloc(n + 1, sizeof *a->cuts, err);
    a->kinds = a->cuts ? cm_calloc(n, sizeof *a->kinds, err) : NULL;
    if (!a->kinds)
        return CM_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const int64_t *found = bsearch(&lengths[i], sorted, kinds, sizeof *sorted, by_length);
        a->kinds[i] = (uint32_t)(found - sorted);
        a->cuts[i + 1] = i + 1 < n ? a->cuts[i] + lengths[i] : length;
    }
    return 0;
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

int64_t cm_grid_length(const cm_grid_axis *axis, int64_t i)
{
    return axis->size ? axis->size : axis->lengths[axis->kinds[i]];
}

/* What an axis's chunks i and on have in common: how many are as long as chunk i. */
static int64_t run_length(const cm_grid_axis *a, int64_t i)
{
    int64_t n = 1;
    while (i + n < a->n && a->kinds[i + n] == a->kinds[i])
        n++;
    return n;
}

static cm_json *describe_axis(const cm_grid_axis *a, cm_json_doc *doc)
{
    if (a->size)
        return cm_json_new_int64(doc, a->size);
    cm_json *list = cm_json_new_array(doc);
    for (int64_t i = 0, n; i < a->n; i += n) {
        n = run_length(a, i);
        cm_json *item = cm_json_new_int64(doc, cm_grid_length(a, i));
        if (n > 1) {
            cm_json *run = cm_json_new_array(doc);
            if (cm_json_add(doc, run, item) || cm_json_add(doc, run, cm_json_new_int64(doc, n)))
                return NULL;
            item = run;
        }
        if (cm_json_add(doc, list, item))
            return NULL;
    }
    return list;
}

cm_json *cm_grid_describe(const cm_grid *g, cm_json_doc *doc)
{
    cm_json *list = cm_json_new_array(doc);
    for (int i = 0; i < g->ndim; i++)
        if (cm_json_add(doc, list, describe_axis(&g->axes[i], doc)))
            return NULL;
    return list;
}
