/* save/virtual_flatten.c: a variable's array as segments of files along one axis, and whether
 * references can say it.
 *
 *     concat(subset(A), B, C)  ->  [A from start | B | C]   each a chunked array of one file
 *     concat(expand(A), blank) ->  [A with an axis | -]     stacked files, missing steps
 *
 * A reference format has one shape of chunks, one codec chain and one byte order for an array, and
 * a regular grid that starts at zero. So
 *
 *     chunked files      equal chunk shapes and chains; every file but the last ends with a whole
 *                        chunk; a subset begins at a chunk
 *     contiguous files   chunks of rows, as many as divide every file's length, up to about 4 MiB;
 *                        the records of NetCDF-3 are not neighbours: one row each. A row is a step
 *                        of the first axis, or of a later one where that would be larger
 *
 * What does not fit is refused with the first file that does not, and the reason. Variables up to
 * CM_VIRTUAL_NATIVE bytes are written into the references instead, whatever the reason; so are
 * dimension coordinates, which every reader wants whole at once.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array/chunked_lead.h"
#include "array/compose.h"
#include "base/bytes.h"
#include "base/context_private.h"
#include "base/memory.h"
#include "save/virtual.h"

enum { ROWS_NBYTES = 4 << 20, SHORT_NBYTES = 64 << 10 };

void cm_virtual_part_deinit(cm_virtual *v, cm_virtual_part *p)
{
    free(p->segments);
    for (size_t i = 0; i < p->nviews; i++)
        cm_array_unref(p->views[i]);
    free(p->views);
    free(p->rewritten);
    cm_buffer_deinit(&p->small_chunks);
    cm_budget_unpin(cm_context_budget(v->ctx), p->pinned);
    cm_chain_unref(p->chain);
}

static int refuse(const cm_array *a, const cm_virtual_part *p, cm_error *err, const char *text)
{
    cm_error_set(err, CM_EUNSUP, "references cannot say it: %s", text);
    cm_error_object(err, a ? a->label : NULL);
    cm_error_variable(err, p->variable->path);
    cm_error_hint(err,
                  "leave it out with --skip %s, rewrite what does not fit with "
                  "--materialize DIR, or copy all with chunkmill rechunk",
                  p->variable->name);
    return CM_EUNSUP;
}

/* ---- segments -------------------------------------------------------------------------------- */

static int add_segment(cm_virtual_part *p, cm_array *a, const int64_t *start, int64_t begin,
                       cm_error *err)
{
    if (cm_grow(&p->segments, &p->capacity, p->nsegments + 1, sizeof *p->segments, err))
        return CM_ENOMEM;
    cm_segment *s = &p->segments[p->nsegments++];
    *s = (cm_segment){.leaf = a,
                      .fits = cm_array_is_chunked(a) && !cm_chunked_is_irregular(a),
                      .blank = cm_array_is_blank(a),
                      .begin = begin,
                      .path = UINT32_MAX};
    memcpy(s->start, start, (size_t)a->ndim * sizeof *start);
    s->end = begin; /* the length along the axis is known when the axis is */
    return 0;
}

/* A stacked file's array: the chunked array with the new axis, NULL when there is none. inner:
 * where the part begins, moved as subsets ask. */
static int view_of(cm_virtual_part *p, cm_array *a, int64_t *inner, cm_array **out, cm_error *err)
{
    const int64_t *from;
    cm_array *src = cm_array_expand_source(a), *below;
    *out = NULL;
    int r = cm_array_resolve(src, &src, err);
    while (r == 0 && (below = cm_array_subset_source(src, &from))) {
        for (int i = 0; i < src->ndim; i++)
            inner[i + 1] += from[i];
        r = cm_array_resolve(below, &src, err);
    }
    if (r || !cm_array_is_chunked(src))
        return r;
    r = cm_grow(&p->views, &p->views_capacity, p->nviews + 1, sizeof *p->views, err);
    if (r == 0)
        r = cm_chunked_with_lead(src, &p->views[p->nviews], err);
    if (r == 0)
        *out = p->views[p->nviews++];
    return r;
}

/* any: what is no chunked array becomes a segment that does not fit, instead of an error. */
static int collect(cm_virtual_part *p, cm_array *a, const int64_t *start, const int64_t *count,
                   int64_t begin, bool *joined, bool any, cm_error *err)
{
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
        return collect(p, src, inner, count, begin, joined, any, err);
    }
    if (cm_array_concat_parts(a, &parts, &n, &axis, &begins)) {
        if (*joined && axis != p->axis)
            return any ? add_segment(p, a, start, begin, err)
                       : refuse(a, p, err, "it is joined along two axes");
        *joined = true;
        p->axis = axis;
        for (size_t k = 0; k < n && r == 0; k++) {
            int64_t lo = cm_max_i64(start[axis], begins[k]);
            int64_t hi = cm_min_i64(start[axis] + count[axis], begins[k + 1]);
            if (lo >= hi)
                continue;
            inner[axis] = lo - begins[k];
            some[axis] = hi - lo;
            r = collect(p, parts[k], inner, some, begin + lo - start[axis], joined, any, err);
        }
        return r;
    }
    if (cm_array_expand_source(a)) {
        cm_error why = {0};
        r = view_of(p, a, inner, &src, &why);
        if (r == 0 && src)
            return collect(p, src, inner, count, begin, joined, any, err);
        if (r && r != CM_EUNSUP) {
            if (err)
                *err = why;
            return r;
        }
        if (r && !any)
            return refuse(a, p, err, why.message);
    }
    if (!cm_array_is_chunked(a) && !cm_array_is_blank(a) && !any)
        return refuse(a, p, err, "its values are changed when they are read (text, time units)");
    if (cm_array_is_chunked(a) && cm_chunked_is_irregular(a) && !any)
        return refuse(a, p, err, "its chunks have different lengths");
    return add_segment(p, a, start, begin, err);
}

/* ---- contiguous ------------------------------------------------------------------------------ */

const int64_t *cm_segment_strides(const cm_segment *s, uint64_t *offset, uint64_t *limit)
{
    const int64_t *strides;
    return cm_array_is_chunked(s->leaf) &&
                   cm_table_is_strided(cm_chunked_table(s->leaf), offset, &strides, limit)
               ? strides
               : NULL;
}

/* A row is one step along the row axis and of all axes before it, and all of those behind. Do the
 * rows of the segment have no gaps inside, and between them? */
static bool rows_are_whole(const cm_virtual_part *p, const cm_segment *s, int row_axis,
                           bool *neighbours)
{
    uint64_t offset, limit;
    const int64_t *strides = cm_segment_strides(s, &offset, &limit);
    int64_t want = s->leaf->dtype.size;
    for (int i = p->ndim - 1; i > row_axis; i--) {
        int64_t length = i == p->axis ? s->end - s->begin : p->shape[i];
        if (s->start[i] != 0 || length != s->leaf->shape[i] || (length > 1 && strides[i] != want))
            return false;
        want *= s->leaf->shape[i];
    }
    *neighbours = p->ndim == 0 || strides[row_axis] == want || s->leaf->shape[row_axis] <= 1;
    return true;
}

/* Look at all segments: the rows' size, whether they are neighbours, and what divides their number
 * in every file. */
static int look_at_rows(const cm_virtual_part *p, int row_axis, int64_t *row, bool *gaps,
                        int64_t *common, cm_error *err)
{
    *gaps = false;
    *common = 0;
    *row = p->variable->array->dtype.size;
    for (int i = row_axis + 1; i < p->ndim; i++)
        *row *= i == p->axis ? p->segments[0].end - p->segments[0].begin : p->shape[i];
    for (size_t k = 0; k < p->nsegments; k++) {
        const cm_segment *s = &p->segments[k];
        bool neighbours = true;
        if (s->fits && !rows_are_whole(p, s, row_axis, &neighbours))
            return refuse(s->leaf, p, err, "a part of each row of contiguous data");
        *gaps = *gaps || !neighbours;
        *common = cm_gcd_i64(*common, p->axis == row_axis ? s->end - s->begin
                                      : p->ndim           ? p->shape[row_axis]
                                                          : 1);
        if (p->axis > row_axis && s->end - s->begin != p->segments[0].end - p->segments[0].begin)
            return refuse(s->leaf, p, err, "its length along the joined axis differs");
    }
    return 0;
}

/* The largest divisor that makes chunks of at most ROWS_NBYTES. */
static int64_t rows_of_chunk(int64_t row, int64_t common, bool gaps)
{
    int64_t rows = 1;
    for (int64_t d = 1; !gaps && d <= common / d; d++) {
        if (common % d)
            continue;
        if (d * row <= ROWS_NBYTES && d > rows)
            rows = d;
        if (common / d * row <= ROWS_NBYTES && common / d > rows)
            rows = common / d;
    }
    return rows;
}

int cm_virtual_chunk_rows(cm_virtual_part *p, cm_error *err)
{
    int64_t common = 0, row = 0, rows;
    bool gaps = false;
    cm_error why = {0};
    int at = 0, r = look_at_rows(p, 0, &row, &gaps, &common, &why);
    /* Behind the first axis where rows are too large, or only parts of them are wanted. */
    while ((r == CM_EUNSUP || row > ROWS_NBYTES) && at + 1 < p->ndim) {
        int64_t row_in, common_in;
        bool gaps_in;
        int in = look_at_rows(p, at + 1, &row_in, &gaps_in, &common_in, NULL);
        if (r == 0 && (in || rows_of_chunk(row_in, common_in, gaps_in) * row_in < SHORT_NBYTES))
            break;
        at++;
        r = in;
        row = row_in;
        common = common_in;
        gaps = gaps_in;
    }
    if (r || (at && rows_of_chunk(row, common, gaps) * row < SHORT_NBYTES)) {
        if (!why.code)
            refuse(p->segments[0].leaf, p, &why, "a part of each row of contiguous data");
        if (err)
            *err = why;
        return why.code;
    }
    p->row_axis = at;
    for (int i = 0; i < p->ndim; i++)
        p->chunk[i] = i < at         ? 1
                      : i == p->axis ? p->segments[0].end - p->segments[0].begin
                                     : p->shape[i];
    rows = rows_of_chunk(row, common, gaps);
    if (p->ndim)
        p->chunk[at] = rows;
    p->chunk_nbytes = (uint64_t)(rows * row);
    p->strided = true;
    r = cm_chain_new(p->variable->array->dtype, p->ndim, p->chunk, &p->chain, err);
    for (size_t k = 0; k < p->nsegments && r == 0; k++)
        if (p->segments[k].fits) {
            p->chain->big_endian = cm_chunked_chain(p->segments[k].leaf)->big_endian;
            break;
        }
    return r;
}

/* ---- chunked --------------------------------------------------------------------------------- */

/* The first segment that somebody stores; NULL: none. */
static const cm_segment *first_stored(const cm_virtual_part *p)
{
    for (size_t k = 0; k < p->nsegments; k++)
        if (!p->segments[k].blank)
            return &p->segments[k];
    return NULL;
}

static int differs(const cm_virtual_part *p, const cm_segment *s, cm_error *err)
{
    const cm_array *model = first_stored(p)->leaf;
    const cm_chain *a = cm_chunked_chain(model), *b = cm_chunked_chain(s->leaf);
    char text[600], shape[2][120] = {"", ""};
    const cm_chain *both[2] = {a, b};
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < p->ndim && strlen(shape[k]) < 90; i++)
            snprintf(shape[k] + strlen(shape[k]), sizeof shape[k] - strlen(shape[k]), "%s%lld",
                     i ? " x " : "", (long long)both[k]->shape[i]);
    char *x = cm_chain_text(a, NULL), *y = cm_chain_text(b, NULL);
    snprintf(text, sizeof text, "chunks of %s as %.80s, but of %s as %.80s in %.100s", shape[1],
             y ? y : "?", shape[0], x ? x : "?", model->label ? model->label : "the first file");
    free(x);
    free(y);
    return refuse(s->leaf, p, err, text);
}

static int check_chunked(cm_virtual_part *p, cm_error *err)
{
    const cm_array *model = first_stored(p)->leaf;
    const cm_chain *first = cm_chunked_chain(model);
    char text[200];
    if (first->a2b != CM_A2B_BYTES && first->a2b != CM_A2B_VLEN)
        return refuse(model, p, err,
                      first->a2b == CM_A2B_SHARDING ? "it is sharded" : "its cells are HDF5's own");
    for (size_t k = 0; k < p->nsegments; k++) {
        const cm_segment *s = &p->segments[k];
        const cm_chain *c = s->blank ? first : cm_chunked_chain(s->leaf);
        if (!cm_chain_equal(first, c))
            return differs(p, s, err);
        for (int i = 0; i < p->ndim; i++)
            if (s->start[i] % c->shape[i])
                return refuse(s->leaf, p, err, "the part that is chosen begins inside a chunk");
        int64_t n = s->end - s->begin, size = p->ndim ? c->shape[p->axis] : 1;
        if (k + 1 < p->nsegments && n % size) {
            snprintf(
                text, sizeof text,
                "it has %lld step%s of axis %d in chunks of %lld: a partial chunk in the middle",
                (long long)n, n == 1 ? "" : "s", p->axis, (long long)size);
            return refuse(s->leaf, p, err, text);
        }
    }
    memcpy(p->chunk, first->shape, sizeof p->chunk);
    p->chain = cm_chain_ref((cm_chain *)(uintptr_t)first);
    return 0;
}

/* ---- the part -------------------------------------------------------------------------------- */

static int segments_of(cm_virtual_part *p, bool any, cm_error *err)
{
    static const int64_t zero[CM_MAX_DIMS];
    bool joined = false;
    cm_array *a = p->variable->array;
    p->nsegments = 0;
    p->axis = 0;
    int r = collect(p, a, zero, p->shape, 0, &joined, any, err);
    if (r)
        return r;
    int64_t end = p->ndim ? p->shape[p->axis] : 1;
    for (size_t k = p->nsegments; k-- > 0;) {
        p->segments[k].end = end;
        end = p->segments[k].begin;
    }
    return p->nsegments ? 0 : refuse(a, p, err, "it has no cells");
}

static int express(cm_virtual_part *p, cm_error *err)
{
    uint64_t offset, limit;
    cm_array *a = p->variable->array;
    if (a->dtype.kind == CM_BYTES)
        return refuse(a, p, err, "cells of fixed-length bytes");
    int r = segments_of(p, false, err);
    if (r)
        return r;
    const cm_segment *model = first_stored(p);
    if (!model)
        return refuse(a, p, err, "all of it is missing steps");
    bool strided = cm_segment_strides(model, &offset, &limit) != NULL;
    const cm_chain *first = cm_chunked_chain(model->leaf);
    for (size_t k = 0; k < p->nsegments; k++) {
        if (p->segments[k].blank)
            continue;
        const cm_chain *c = cm_chunked_chain(p->segments[k].leaf);
        if ((cm_segment_strides(&p->segments[k], &offset, &limit) != NULL) != strided ||
            (strided && (c->a2b != CM_A2B_BYTES || c->big_endian != first->big_endian)))
            return differs(p, &p->segments[k], err);
    }
    return strided ? cm_virtual_chunk_rows(p, err) : check_chunked(p, err);
}

/* An object of its own that is not there, or is compressed by the archive that it is in. What else
 * is wrong with it is found again when it is referred to. */
static bool is_no_object(const cm_array *leaf, const cm_location *loc)
{
    cm_store *store = cm_chunked_store(leaf);
    cm_object_version version;
    cm_place place;
    if (loc->where != CM_AT_OBJECT)
        return false;
    int r = store->vt->place ? store->vt->place(store, loc->key, &place, NULL)
                             : store->vt->stat(store, loc->key, &version, NULL);
    return r == CM_ENOTFOUND || (r == CM_EUNSUP && store->vt->place);
}

/* Of a small variable every chunk is looked at: one with a filter mask, or that was never written,
 * makes it one that is written into the references. */
static int check_chunks(const cm_virtual_part *p, cm_error *err)
{
    int r = 0;
    for (size_t k = 0; k < p->nsegments && r == 0 && !p->strided; k++) {
        const cm_array *leaf = p->segments[k].leaf;
        if (p->segments[k].blank)
            return refuse(leaf, p, err, "missing steps");
        int64_t grid[CM_MAX_DIMS], at[CM_MAX_DIMS] = {0};
        cm_location loc;
        bool some = true;
        for (int i = 0; i < p->ndim; i++) {
            grid[i] = cm_ceil_div(leaf->shape[i], p->chunk[i]);
            some = some && grid[i] > 0;
        }
        do {
            loc.skip_mask = 0;
            r = some ? cm_chunked_locate(leaf, at, &loc, err) : 0;
            if (r == 0 && some &&
                (loc.where == CM_AT_NOWHERE || loc.skip_mask || is_no_object(leaf, &loc)))
                return refuse(leaf, p, err, "a filter mask, or a chunk that was never written");
        } while (r == 0 && some && cm_next(p->ndim, grid, at));
    }
    return r;
}

static bool is_coordinate(const cm_virtual_part *p)
{
    const cm_variable *v = p->variable;
    return p->ndim == 1 && v->dimensions[0] && strcmp(v->dimensions[0], v->name) == 0;
}

/* As above; what does not fit is marked. p->why keeps the reason. */
static int express_most(cm_virtual *v, cm_virtual_part *p, cm_error *err)
{
    int r = express(p, err);
    if (r == 0)
        r = cm_virtual_check_chain(v, p, p->chain, err);
    if (r != CM_EUNSUP || p->variable->array->dtype.kind == CM_BYTES)
        return r;
    p->why = *err;
    cm_error_clear(err);
    cm_chain_unref(p->chain);
    p->chain = NULL;
    p->strided = false;
    r = segments_of(p, true, err);
    return r ? r : cm_virtual_model(v, p, err);
}

/* Write it into the references, as one chunk. */
static int make_native(cm_virtual_part *p, cm_error *err)
{
    p->native = true;
    p->nsegments = 0;
    for (int i = 0; i < p->ndim; i++)
        p->chunk[i] = cm_max_i64(p->shape[i], 1);
    cm_chain_unref(p->chain);
    p->chain = NULL;
    return cm_chain_new(p->variable->array->dtype, p->ndim, p->chunk, &p->chain, err);
}

int cm_virtual_flatten(cm_virtual *v, cm_virtual_part *p, cm_error *err)
{
    cm_array *a = p->variable->array;
    cm_error why = {0};
    p->ndim = a->ndim;
    memcpy(p->shape, a->shape, (size_t)a->ndim * sizeof *p->shape);
    int64_t n = cm_shape_nelem(a->ndim, a->shape), nbytes;
    p->small = n >= 0 && cm_mul_i64(n, a->dtype.size, &nbytes) && nbytes <= CM_VIRTUAL_NATIVE;
    bool whole = p->small && is_coordinate(p) && v->options->inline_nbytes > 0;
    bool most = v->options->materialize && !p->small;
    int r = n == 0 || whole ? CM_EUNSUP : most ? express_most(v, p, &why) : express(p, &why);
    if (r == 0 && p->small)
        r = cm_virtual_check_chain(v, p, p->chain, &why);
    if (r == CM_EUNSUP && p->small)
        r = make_native(p, &why);
    if (r && err)
        *err = why;
    return r;
}

/* Above it no list of references is of use, and asking every chunk of a grid that is nearly empty
 * would take hours. */
static const int64_t MAX_NCHUNKS = (int64_t)1 << 34;

int cm_virtual_settle(cm_virtual_part *p, cm_error *err)
{
    cm_error why = {0};
    int r = p->small && !p->native ? check_chunks(p, &why) : 0;
    if (r == CM_EUNSUP)
        r = make_native(p, &why);
    if (r && err)
        *err = why;
    p->nchunks = 1;
    for (int i = 0; i < p->ndim && r == 0; i++) {
        p->grid[i] = cm_ceil_div(p->shape[i], p->chunk[i]);
        p->nchunks *= p->grid[i];
    }
    if (r == 0 && p->nchunks > MAX_NCHUNKS)
        return cm_error_set(err, CM_ELIMIT,
                            "its grid has %" PRId64
                            " chunks: references ask each of them, and take at most %" PRId64,
                            p->nchunks, MAX_NCHUNKS);
    return r;
}
