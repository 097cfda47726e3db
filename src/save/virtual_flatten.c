/* save/virtual_flatten.c: whether references can say a variable, which is segments of files along
 * one axis (virtual_segments.c), and with which chunks and codecs.
 *
 * A reference format has one shape of chunks, one codec chain and one byte order for an array, and
 * a regular grid that starts at zero. So
 *
 *     chunked files      equal chunk shapes and chains; every file but the last ends with a whole
 *                        chunk; a subset begins at a chunk
 *     contiguous files   chunks of rows, as many as divide every file's length, up to about 4 MiB;
 *                        the records of NetCDF-3 are not neighbours: one row each
 *
 * What does not fit is refused with the first file that does not, and the reason. Variables up to
 * CM_VIRTUAL_NATIVE bytes are written into the references instead, whatever the reason; so are
 * dimension coordinates, which every reader wants whole at once.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array/compose.h"
#include "base/bytes.h"
#include "base/context_private.h"
#include "base/memory.h"
#include "save/virtual.h"

enum { ROWS_NBYTES = 4 << 20 };

void cm_virtual_part_deinit(cm_virtual *v, cm_virtual_part *p)
{
    cm_segments_clear(p);
    free(p->segments);
    free(p->rewritten);
    cm_budget_unpin(cm_context_budget(v->ctx), p->pinned);
    cm_chain_unref(p->chain);
}

int cm_virtual_refuse(const cm_array *a, const cm_virtual_part *p, cm_error *err, const char *text)
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

/* ---- contiguous ------------------------------------------------------------------------------ */

/* Do the rows of the segment have no gaps inside, and between them? */
static bool rows_are_whole(const cm_virtual_part *p, const cm_segment *s, bool *neighbours)
{
    uint64_t offset, limit;
    const int64_t *strides = cm_segment_strides(s, &offset, &limit);
    int64_t want = s->leaf->dtype.size;
    for (int i = p->ndim - 1; i > s->lead; i--) {
        int64_t length = i == p->axis ? s->end - s->begin : p->shape[i];
        if (s->start[i] != 0 || length != s->leaf->shape[i - s->lead] ||
            (length > 1 && strides[i - s->lead] != want))
            return false;
        want *= length;
    }
    *neighbours = s->leaf->ndim == 0 || strides[0] == want || s->leaf->shape[0] <= 1;
    return true;
}

int cm_virtual_chunk_rows(cm_virtual_part *p, cm_error *err)
{
    int64_t common = 0, row = p->variable->array->dtype.size, rows = 1;
    bool gaps = false;
    int lead = -1;
    for (size_t k = 0; k < p->nsegments; k++) {
        const cm_segment *s = &p->segments[k];
        bool neighbours = true, rigid = s->fits && !s->blank;
        if (rigid && lead >= 0 && s->lead != lead)
            return cm_virtual_refuse(s->leaf, p, err, "contiguous data with and without the axis");
        lead = rigid ? s->lead : lead;
        if (rigid && !rows_are_whole(p, s, &neighbours))
            return cm_virtual_refuse(s->leaf, p, err, "a part of each row of contiguous data");
        gaps = gaps || !neighbours;
        common = cm_gcd_i64(common, p->axis == 0 ? s->end - s->begin : p->ndim ? p->shape[0] : 1);
        if (p->axis > 0 && s->end - s->begin != p->segments[0].end - p->segments[0].begin)
            return cm_virtual_refuse(s->leaf, p, err, "its length along the joined axis differs");
    }
    p->row_axis = lead > 0 ? lead : 0;
    if (p->row_axis) { /* stacked: one file a step, its own first axis is cut */
        p->chunk[0] = 1;
        common = p->row_axis < p->ndim ? p->shape[p->row_axis] : 1;
    }
    for (int i = p->row_axis + 1; i < p->ndim; i++) {
        p->chunk[i] = i == p->axis ? p->segments[0].end - p->segments[0].begin : p->shape[i];
        row *= p->chunk[i];
    }
    /* the largest divisor that makes chunks of at most ROWS_NBYTES */
    for (int64_t d = 1; !gaps && d <= common / d; d++) {
        if (common % d)
            continue;
        if (d * row <= ROWS_NBYTES && d > rows)
            rows = d;
        if (common / d * row <= ROWS_NBYTES && common / d > rows)
            rows = common / d;
    }
    if (p->row_axis < p->ndim)
        p->chunk[p->row_axis] = rows;
    p->chunk_nbytes = (uint64_t)(rows * row);
    p->strided = true;
    int r = cm_chain_new(p->variable->array->dtype, p->ndim, p->chunk, &p->chain, err);
    for (size_t k = 0; k < p->nsegments && r == 0; k++)
        if (p->segments[k].fits && !p->segments[k].blank) {
            p->chain->big_endian = p->segments[k].chain->big_endian;
            break;
        }
    return r;
}

/* ---- chunked --------------------------------------------------------------------------------- */

/* The first segment that is of a file. */
static const cm_segment *model_of(const cm_virtual_part *p)
{
    size_t k = 0;
    while (k + 1 < p->nsegments && p->segments[k].blank)
        k++;
    return &p->segments[k];
}

static int differs(const cm_virtual_part *p, const cm_segment *s, cm_error *err)
{
    const cm_array *first = model_of(p)->leaf;
    const cm_chain *a = model_of(p)->chain, *b = s->chain;
    char text[600], shape[2][120] = {"", ""};
    const cm_chain *both[2] = {a, b};
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < p->ndim && strlen(shape[k]) < 90; i++)
            snprintf(shape[k] + strlen(shape[k]), sizeof shape[k] - strlen(shape[k]), "%s%lld",
                     i ? " x " : "", (long long)both[k]->shape[i]);
    char *x = cm_chain_text(a, NULL), *y = cm_chain_text(b, NULL);
    snprintf(text, sizeof text, "chunks of %s as %.80s, but of %s as %.80s in %.100s", shape[1],
             y ? y : "?", shape[0], x ? x : "?", first->label ? first->label : "the first file");
    free(x);
    free(y);
    return cm_virtual_refuse(s->leaf, p, err, text);
}

static int check_chunked(cm_virtual_part *p, cm_error *err)
{
    const cm_chain *c = model_of(p)->chain;
    char text[200];
    if (c->a2b != CM_A2B_BYTES && c->a2b != CM_A2B_VLEN)
        return cm_virtual_refuse(model_of(p)->leaf, p, err,
                                 c->a2b == CM_A2B_SHARDING ? "it is sharded"
                                                           : "its cells are HDF5's own");
    for (size_t k = 0; k < p->nsegments; k++) {
        const cm_segment *s = &p->segments[k];
        if (!s->blank && !cm_chain_equal(c, s->chain))
            return differs(p, s, err);
        for (int i = 0; i < p->ndim; i++)
            if (!s->blank && s->start[i] % c->shape[i])
                return cm_virtual_refuse(s->leaf, p, err,
                                         "the part that is chosen begins inside a chunk");
        int64_t n = s->end - s->begin, size = p->ndim ? c->shape[p->axis] : 1;
        if (k + 1 < p->nsegments && n % size) {
            snprintf(
                text, sizeof text,
                "it has %lld steps of axis %d in chunks of %lld: a partial chunk in the middle",
                (long long)n, p->axis, (long long)size);
            return cm_virtual_refuse(s->leaf, p, err, text);
        }
    }
    memcpy(p->chunk, c->shape, sizeof p->chunk);
    p->chain = cm_chain_ref((cm_chain *)(uintptr_t)c);
    return 0;
}

/* ---- the part -------------------------------------------------------------------------------- */

static int express(cm_virtual_part *p, cm_error *err)
{
    uint64_t offset, limit;
    cm_array *a = p->variable->array;
    if (a->dtype.kind == CM_BYTES)
        return cm_virtual_refuse(a, p, err, "cells of fixed-length bytes");
    int r = cm_virtual_segments(p, false, err);
    if (r)
        return r;
    if (model_of(p)->blank)
        return cm_virtual_refuse(a, p, err, "no file has it");
    bool strided = cm_segment_strides(model_of(p), &offset, &limit) != NULL;
    const cm_chain *first = model_of(p)->chain;
    for (size_t k = 0; k < p->nsegments; k++) {
        const cm_segment *s = &p->segments[k];
        if (!s->blank && ((cm_segment_strides(s, &offset, &limit) != NULL) != strided ||
                          (strided && (s->chain->a2b != CM_A2B_BYTES ||
                                       s->chain->big_endian != first->big_endian))))
            return differs(p, s, err);
    }
    return strided ? cm_virtual_chunk_rows(p, err) : check_chunked(p, err);
}

/* Of a small variable every chunk is looked at: one with a filter mask, or that was never written,
 * makes it one that is written into the references. */
static int check_chunks(const cm_virtual_part *p, cm_error *err)
{
    int r = 0;
    for (size_t k = 0; k < p->nsegments && r == 0 && !p->strided; k++) {
        const cm_segment *s = &p->segments[k];
        const cm_array *leaf = s->leaf;
        int64_t grid[CM_MAX_DIMS], at[CM_MAX_DIMS] = {0};
        cm_location loc;
        bool some = !s->blank;
        for (int i = 0; i < leaf->ndim && some; i++) {
            grid[i] = cm_ceil_div(leaf->shape[i], p->chunk[i + s->lead]);
            some = grid[i] > 0;
        }
        if (s->blank)
            return cm_virtual_refuse(leaf, p, err, "steps that no file has");
        do {
            loc.skip_mask = 0;
            r = some ? cm_chunked_locate(leaf, at, &loc, err) : 0;
            if (r == 0 && some && (loc.where == CM_AT_NOWHERE || loc.skip_mask))
                return cm_virtual_refuse(leaf, p, err,
                                         "a filter mask, or a chunk that was never written");
        } while (r == 0 && some && cm_next(leaf->ndim, grid, at));
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
    r = cm_virtual_segments(p, true, err);
    return r ? r : cm_virtual_model(v, p, err);
}

/* Write it into the references, as one chunk. */
static int make_native(cm_virtual_part *p, cm_error *err)
{
    p->native = true;
    cm_segments_clear(p);
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
    memcpy(p->shape, a->shape, sizeof p->shape);
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
    return r;
}
