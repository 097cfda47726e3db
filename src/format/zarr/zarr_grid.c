/* format/zarr/zarr_grid.c: the chunk grid "rectilinear" (zarr-extensions, chunk-grids/rectilinear).
 *
 *     "chunk_shapes": [[31, 28, 31], 72, [[10, 4], 7]]
 *
 * An axis is one length, or a list of lengths in which [v, n] stands for n times v. Lengths must
 * reach the end of the axis; chunks that begin beyond it hold nothing and are left out, however
 * many there are. A grid of which every axis turns out to have one length is a regular one.
 *
 * The codecs are parsed once for every combination of lengths, since a codec may depend on its
 * chunk's shape. Months of days have four, which is what such grids are made for; what has more
 * than MAX_SHAPES is refused.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "format/zarr/zarr_private.h"

enum { MAX_SHAPES = 4096, MAX_CHUNKS = 1 << 22 };

typedef struct edges {
    int64_t *items;
    size_t n, capacity;
    int64_t end; /* of the last, at most the axis's length where it reaches beyond */
    bool full;   /* the axis's end is reached */
} edges;

/* n times v, as many as begin before length. */
static int add_run(edges *e, int64_t v, int64_t n, int64_t length, cm_error *err)
{
    while (n-- > 0 && e->end < length) {
        if (e->n == MAX_CHUNKS)
            return cm_error_set(err, CM_ELIMIT, "more than %d chunks along an axis", MAX_CHUNKS);
        if (cm_grow(&e->items, &e->capacity, e->n + 1, sizeof *e->items, err))
            return CM_ENOMEM;
        e->items[e->n++] = v;
        e->end = v < length - e->end ? e->end + v : length;
        e->full = e->end == length;
        if (e->full && v > INT64_MAX / 2 - length) /* where it ends must be a number */
            return cm_error_set(err, CM_EUNSUP, "a chunk of %" PRId64 " cells", v);
    }
    return 0;
}

static int parse_list(const cm_json *v, int axis, int64_t length, edges *e, cm_error *err)
{
    int r = 0;
    for (size_t i = 0; i < cm_json_count(v) && r == 0; i++) {
        const cm_json *item = cm_json_at(v, i);
        int64_t value = 0, n = 1;
        bool good = cm_json_is(item, CM_JSON_ARRAY)
                        ? cm_json_count(item) == 2 && cm_json_int64(cm_json_at(item, 0), &value) &&
                              cm_json_int64(cm_json_at(item, 1), &n)
                        : cm_json_int64(item, &value);
        if (!good || value < 1 || n < 1)
            return cm_error_set(err, CM_EDATA,
                                "\"chunk_shapes\": axis %d: element %zu is neither a length nor a "
                                "run [length, times]",
                                axis, i);
        r = add_run(e, value, n, length, err);
    }
    if (r == 0 && e->end < length)
        r = cm_error_set(err, CM_EDATA,
                         "\"chunk_shapes\": axis %d: the lengths end at %" PRId64 " of %" PRId64,
                         axis, e->end, length);
    return r;
}

static int parse_axis(const cm_json *v, int axis, int64_t length, cm_grid_axis *a, cm_error *err)
{
    edges e = {0};
    int r = 0;
    if (cm_json_is(v, CM_JSON_NUMBER)) {
        if (!cm_json_int64(v, &a->size) || a->size < 1)
            return cm_error_set(err, CM_EDATA,
                                "\"chunk_shapes\": axis %d is not a length of 1 or more", axis);
        a->nlengths = 1;
        a->n = length / a->size + (length % a->size != 0);
        return 0;
    }
    if (!cm_json_is(v, CM_JSON_ARRAY))
        return cm_error_set(err, CM_EDATA,
                            "\"chunk_shapes\": axis %d is neither a length nor a list", axis);
    r = parse_list(v, axis, length, &e, err);
    if (r == 0 && e.n == 0) { /* an axis of length 0 */
        a->size = 1;
        a->nlengths = 1;
    } else if (r == 0) {
        r = cm_grid_axis_list(a, e.items, e.n, length, err);
    }
    free(e.items);
    return r;
}

int cm_zarr_grid_parse(const cm_json *config, cm_zarr_meta *m, cm_error *err)
{
    const cm_json *shapes = cm_json_get(config, "chunk_shapes");
    const char *kind = cm_json_string(cm_json_get(config, "kind"));
    uint64_t combinations = 1;
    bool regular = true;
    for (size_t i = 0; i < cm_json_count(config); i++)
        if (strcmp(cm_json_key(config, i), "kind") != 0 &&
            strcmp(cm_json_key(config, i), "chunk_shapes") != 0)
            return cm_error_set(err, CM_EUNSUP,
                                "\"chunk_grid\": unknown configuration member \"%.100s\"",
                                cm_json_key(config, i));
    if (!kind || strcmp(kind, "inline") != 0)
        return cm_error_set(err, kind ? CM_EUNSUP : CM_EDATA,
                            "\"chunk_grid\": a rectilinear grid of kind \"%.64s\"",
                            kind ? kind : "");
    if (!cm_json_is(shapes, CM_JSON_ARRAY) || cm_json_count(shapes) != (size_t)m->ndim)
        return cm_error_set(err, CM_EDATA, "\"chunk_shapes\" is not a list of %d axes", m->ndim);
    cm_grid *g = m->grid = cm_calloc(1, sizeof *g, err);
    if (!g)
        return CM_ENOMEM;
    g->ndim = m->ndim;
    for (int i = 0; i < m->ndim; i++) {
        cm_grid_axis *a = &g->axes[i];
        int r = parse_axis(cm_json_at(shapes, (size_t)i), i, m->shape[i], a, err);
        if (r)
            return r;
        combinations *= a->nlengths;
        if (combinations > MAX_SHAPES)
            return cm_error_set(err, CM_EUNSUP,
                                "a rectilinear grid of more than %d different chunk shapes",
                                MAX_SHAPES);
        m->chunk[i] = a->size ? a->size : a->lengths[a->nlengths - 1];
        regular = regular && a->size;
    }
    m->grid_shapes = shapes;
    if (regular) {
        cm_grid_free(g);
        m->grid = NULL;
        return 0;
    }
    g->chains = cm_calloc((size_t)combinations, sizeof *g->chains, err);
    return g->chains ? 0 : CM_ENOMEM;
}

int cm_zarr_grid_chains(cm_zarr_meta *m, int (*make)(cm_zarr_meta *m, const void *from, cm_error *),
                        const void *from, cm_error *err)
{
    cm_grid *g = m->grid;
    size_t n = 1;
    int r = 0;
    for (int i = 0; i < m->ndim; i++)
        n *= g->axes[i].nlengths;
    for (size_t i = 0; i < n && r == 0; i++) {
        cm_chain_unref(m->chain);
        m->chain = NULL;
        cm_grid_combination(g, i, m->chunk);
        r = make(m, from, err);
        if (r == 0)
            g->chains[g->nchains++] = cm_chain_ref(m->chain);
    }
    return r; /* the last combination is the largest */
}
