/* array/map.c: an array with every value changed on the way out: unpacking, other time units, bytes
 * to strings.
 *
 * Shape and chunks are the source's. The map is pushed on the frame's stack and the question goes
 * on to the source: the executor runs the stack from the leaf outwards on the decoded cells, so any
 * number of maps costs one pass each over a chunk that is in cache, and no extra chunk buffers. The
 * stack is bounded (MAX_MAPS); deeper compositions are refused by name when read.
 *
 * A map of a raw array stays raw: any box of it can still be read without decoding more than it.
 */
#include <stdlib.h>
#include <string.h>

#include "array/compose.h"
#include "base/memory.h"

#define MAX_MAPS ((int)(sizeof((cm_frame *)0)->maps / sizeof((cm_frame *)0)->maps[0]))

typedef struct mapped {
    cm_array base;
    cm_array *src;
    cm_map map;
    void *state;
    void (*state_free)(void *state);
} mapped;

static int mapped_plan(cm_array *a, const cm_box *region, const cm_frame *frame, cm_sink *sink,
                       cm_error *err)
{
    mapped *m = (mapped *)a;
    if (frame->nmaps >= MAX_MAPS) {
        cm_error_set(err, CM_ELIMIT, "more than %d changes of values on top of each other",
                     MAX_MAPS);
        cm_error_object(err, a->label);
        cm_error_variable(err, a->path);
        return CM_ELIMIT;
    }
    cm_frame inner = *frame;
    inner.maps[inner.nmaps++] = &m->map;
    return cm_array_plan(m->src, region, &inner, sink, err);
}

static cm_axis_grid mapped_grid(const cm_array *a, int axis)
{
    return cm_array_grid(((const mapped *)a)->src, axis);
}

static cm_read_cost mapped_cost(cm_array *a)
{
    cm_read_cost cost = cm_array_cost(((mapped *)a)->src);
    cost.in_place = cost.in_place && a->raw;
    return cost;
}

static void mapped_free(cm_array *a)
{
    mapped *m = (mapped *)a;
    if (m->state_free)
        m->state_free(m->state);
    cm_array_unref(m->src);
    cm_array_deinit(a);
    free(m);
}

static cm_array *mapped_first(const cm_array *a)
{
    return ((const mapped *)a)->src;
}

static const cm_array_vt mapped_vt = {.kind = "map",
                                      .plan = mapped_plan,
                                      .grid = mapped_grid,
                                      .cost = mapped_cost,
                                      .free = mapped_free,
                                      .first = mapped_first,
                                      .first_is_whole = true};

/* The fill that src's fill becomes, in new memory of to.size bytes. */
static int map_fill(const cm_map *map, const cm_array *src, void **out, cm_error *err)
{
    static const cm_string empty;
    void *fill = cm_calloc(1, map->to.size, err);
    int rc = fill ? 0 : CM_ENOMEM;
    if (rc == 0 && cm_kind_is_vlen(map->to.kind))
        memcpy(fill, &empty, sizeof empty);
    else if (rc == 0)
        rc = map->apply(map, src->fill, fill, 1, NULL, err);
    if (rc) {
        cm_error_object(err, src->label);
        cm_error_variable(err, src->path);
        free(fill);
        fill = NULL;
    }
    *out = fill;
    return rc;
}

int cm_array_map(cm_array *src, cm_dtype to, cm_map_fn apply, void *state,
                 void (*state_free)(void *state), const void *fill, cm_array **out, cm_error *err)
{
    void *made = NULL;
    int rc = CM_ENOMEM;
    *out = NULL;
    mapped *m = cm_calloc(1, sizeof *m, err);
    if (!m)
        goto out;
    m->map = (cm_map){.from = src->dtype, .to = to, .apply = apply, .state = state};
    if (!fill) {
        rc = map_fill(&m->map, src, &made, err);
        if (rc)
            goto out;
        fill = made;
    }
    rc = cm_array_init(&m->base, &mapped_vt, to, src->ndim, src->shape, fill, src->label, src->path,
                       err);
    if (rc)
        goto out;
    m->base.raw = src->raw;
    m->src = cm_array_ref(src);
    m->state = state;
    m->state_free = state_free;
    *out = &m->base;
    m = NULL;
out:
    if (rc && state_free)
        state_free(state);
    free(made);
    if (m)
        cm_array_deinit(&m->base);
    free(m);
    return rc;
}

cm_array *cm_array_map_source(const cm_array *a)
{
    return a->vt == &mapped_vt ? ((const mapped *)a)->src : NULL;
}

bool cm_array_map_applies(const cm_array *a, cm_map_fn apply)
{
    return a->vt == &mapped_vt && ((const mapped *)a)->map.apply == apply;
}
