/* save/virtual_segments.c: a variable's array as segments of files along one axis.
 *
 *     concat(subset(A), B, C)           ->  [A from start | B | C]   chunked arrays of one file
 * each concat(A, blank, B)               ->  [A | steps that no file has | B] concat(expand(A),
 * expand(B))      ->  [A | B]   stacked: A and B lack the first axis
 *
 * A segment that lacks the axis has chunks of one step of it: the same bytes, in a chain whose
 * shape begins with 1.
 */
#include <stdlib.h>
#include <string.h>

#include "array/compose.h"
#include "base/bytes.h"
#include "base/memory.h"
#include "save/save_private.h"
#include "save/virtual.h"

void cm_segments_clear(cm_virtual_part *p)
{
    for (size_t k = 0; k < p->nsegments; k++)
        cm_chain_unref(p->segments[k].chain);
    p->nsegments = 0;
}

const int64_t *cm_segment_strides(const cm_segment *s, uint64_t *offset, uint64_t *limit)
{
    const int64_t *strides;
    return cm_array_is_chunked(s->leaf) &&
                   cm_table_is_strided(cm_chunked_table(s->leaf), offset, &strides, limit)
               ? strides
               : NULL;
}

/* The chain of an array with an axis before its own. NULL in *out when there is none. */
static int chain_with_axis(const cm_chain *c, cm_chain **out, cm_error *err)
{
    int64_t shape[CM_MAX_DIMS] = {1};
    *out = NULL;
    if (c->transposed || (c->a2b != CM_A2B_BYTES && c->a2b != CM_A2B_VLEN) ||
        c->ndim == CM_MAX_DIMS)
        return 0;
    memcpy(shape + 1, c->shape, (size_t)c->ndim * sizeof *shape);
    int r = cm_chain_new(c->dtype, c->ndim + 1, shape, out, err);
    if (r == 0) {
        (*out)->big_endian = c->big_endian;
        r = cm_layout_copy_stages(c, *out, err);
    }
    if (r) {
        cm_chain_unref(*out);
        *out = NULL;
    }
    return r;
}

static int add_segment(cm_virtual_part *p, cm_array *a, int lead, const int64_t *start,
                       int64_t begin, cm_error *err)
{
    cm_chain *chain = NULL;
    bool fits = cm_array_is_chunked(a) && !cm_chunked_is_irregular(a);
    int r = 0;
    if (fits && lead)
        r = chain_with_axis(cm_chunked_chain(a), &chain, err);
    else if (fits)
        chain = cm_chain_ref((cm_chain *)(uintptr_t)cm_chunked_chain(a));
    if (r == 0 && cm_grow(&p->segments, &p->capacity, p->nsegments + 1, sizeof *p->segments, err)) {
        cm_chain_unref(chain);
        r = CM_ENOMEM;
    }
    if (r)
        return r;
    cm_segment *s = &p->segments[p->nsegments++];
    *s = (cm_segment){.leaf = a,
                      .lead = lead,
                      .blank = cm_array_is_blank(a),
                      .chain = chain,
                      .begin = begin,
                      .path = UINT32_MAX};
    s->fits = chain || s->blank;
    memcpy(s->start, start, (size_t)p->ndim * sizeof *start);
    s->end = begin; /* the length along the axis is known when the axis is */
    return 0;
}

typedef struct collecting {
    cm_virtual_part *p;
    bool joined;
    bool
        any; /* what is no chunked array becomes a segment that does not fit, instead of an error */
} collecting;

/* An array of a file, or what is left of a composite. start: in all axes of the part. */
static int leaf(collecting *c, cm_array *a, int lead, const int64_t *start, int64_t begin,
                cm_error *err)
{
    cm_virtual_part *p = c->p;
    int r = 0;
    if (!c->any && !cm_array_is_chunked(a) && !cm_array_is_blank(a))
        return cm_virtual_refuse(a, p, err,
                                 "its values are changed when they are read (text, time units)");
    if (!c->any && cm_array_is_chunked(a) && cm_chunked_is_irregular(a))
        return cm_virtual_refuse(a, p, err, "its chunks have different lengths");
    r = add_segment(p, a, lead, start, begin, err);
    if (r == 0 && !c->any && !p->segments[p->nsegments - 1].fits)
        r = cm_virtual_refuse(a, p, err, "its chunks cannot be stacked as they are");
    return r;
}

/* Behind an expand: subsets of one array of a file. */
static int stacked(collecting *c, cm_array *a, const int64_t *start, int64_t begin, cm_error *err)
{
    const int64_t *from;
    int64_t own[CM_MAX_DIMS];
    cm_array *src;
    memcpy(own, start, (size_t)c->p->ndim * sizeof *own);
    own[0] = 0;
    int r = cm_array_resolve(a, &a, err);
    while (r == 0 && (src = cm_array_subset_source(a, &from))) {
        for (int i = 0; i < a->ndim; i++)
            own[i + 1] += from[i];
        r = cm_array_resolve(src, &a, err);
    }
    return r ? r : leaf(c, a, 1, own, begin, err);
}

static int collect(collecting *c, cm_array *a, const int64_t *start, const int64_t *count,
                   int64_t begin, cm_error *err)
{
    cm_virtual_part *p = c->p;
    cm_array *const *parts;
    const int64_t *begins, *from;
    size_t n;
    int axis, r = 0;
    int64_t inner[CM_MAX_DIMS], some[CM_MAX_DIMS];
    size_t nbytes = (size_t)a->ndim * sizeof *inner;
    memcpy(inner, start, nbytes);
    memcpy(some, count, nbytes);
    r = cm_array_resolve(a, &a, err);
    if (r)
        return r;
    cm_array *src = cm_array_subset_source(a, &from);
    if (src) {
        for (int i = 0; i < a->ndim; i++)
            inner[i] += from[i];
        return collect(c, src, inner, count, begin, err);
    }
    if ((src = cm_array_expand_source(a)) && (!c->joined || p->axis == 0))
        return stacked(c, src, start, begin, err);
    if (!cm_array_concat_parts(a, &parts, &n, &axis, &begins))
        return leaf(c, a, 0, start, begin, err);
    if (c->joined && axis != p->axis)
        return c->any ? add_segment(p, a, 0, start, begin, err)
                      : cm_virtual_refuse(a, p, err, "it is joined along two axes");
    c->joined = true;
    p->axis = axis;
    for (size_t k = 0; k < n && r == 0; k++) {
        int64_t lo = cm_max_i64(start[axis], begins[k]);
        int64_t hi = cm_min_i64(start[axis] + count[axis], begins[k + 1]);
        if (lo >= hi)
            continue;
        inner[axis] = lo - begins[k];
        some[axis] = hi - lo;
        r = collect(c, parts[k], inner, some, begin + lo - start[axis], err);
    }
    return r;
}

int cm_virtual_segments(cm_virtual_part *p, bool any, cm_error *err)
{
    static const int64_t zero[CM_MAX_DIMS];
    collecting c = {.p = p, .any = any};
    cm_array *a = p->variable->array;
    cm_segments_clear(p);
    p->axis = 0;
    int r = collect(&c, a, zero, p->shape, 0, err);
    if (r)
        return r;
    int64_t end = p->ndim ? p->shape[p->axis] : 1;
    for (size_t k = p->nsegments; k-- > 0;) {
        p->segments[k].end = end;
        end = p->segments[k].begin;
    }
    return p->nsegments ? 0 : cm_virtual_refuse(a, p, err, "it has no cells");
}
