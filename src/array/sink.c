/* array/sink.c: collecting pieces.
 *
 * Planning may yield millions of pieces (a year of hourly chunks at one point); the sink holds at
 * most MAX_PIECES and executes them when it is full, so a plan of any size takes bounded memory.
 * Large raw pieces (a contiguous variable is one) are cut here, so that several workers share them.
 */
#include <stdlib.h>
#include <string.h>

#include "array/bump.h"
#include "array/sink.h"
#include "base/bytes.h"
#include "base/memory.h"

enum { MAX_PIECES = 2048, RAW_PIECE_NBYTES = 8 << 20 };

int cm_sink_init(cm_sink *s, cm_context *ctx, const cm_dest *dest, cm_error *err)
{
    *s = (cm_sink){.ctx = ctx, .dest = dest};
    s->bump = cm_bump_new(64 << 10, err);
    return s->bump ? 0 : CM_ENOMEM;
}

void cm_sink_deinit(cm_sink *s)
{
    free(s->pieces);
    cm_bump_free(s->bump);
    *s = (cm_sink){0};
}

cm_context *cm_sink_context(const cm_sink *s)
{
    return s->ctx;
}

static int64_t *dup_i64(cm_sink *s, const int64_t *v, int n, cm_error *err)
{
    return cm_bump_dup(s->bump, v, (size_t)n * sizeof *v, err);
}

/* A new piece with the parts that every kind has. NULL with err set. */
static cm_piece *add(cm_sink *s, cm_piece_kind kind, cm_array *leaf, const cm_frame *frame,
                     const int64_t *lo, const int64_t *n, cm_error *err)
{
    if (s->npieces == MAX_PIECES && cm_sink_flush(s, err))
        return NULL;
    if (cm_grow(&s->pieces, &s->capacity, s->npieces + 1, sizeof *s->pieces, err))
        return NULL;
    cm_piece *p = &s->pieces[s->npieces];
    *p = (cm_piece){.kind = kind, .leaf = leaf, .nmaps = frame->nmaps};
    int nd = leaf->ndim;
    p->lo = dup_i64(s, lo, nd, err);
    p->n = dup_i64(s, n, nd, err);
    if (!p->lo || !p->n)
        return NULL;
    for (int i = 0; i < nd; i++)
        p->lo[i] += frame->shift[i];
    p->lead = frame->lead;
    if (p->lead && !(p->lead_at = dup_i64(s, frame->lead_at, p->lead, err)))
        return NULL;
    if (p->nmaps) {
        p->maps = cm_bump_dup(s->bump, frame->maps, (size_t)p->nmaps * sizeof *frame->maps, err);
        if (!p->maps)
            return NULL;
    }
    s->npieces++;
    return p;
}

int cm_sink_chunk(cm_sink *s, cm_array *leaf, const cm_frame *frame, const cm_chunk_piece *c,
                  cm_error *err)
{
    cm_piece *p = add(s, CM_PIECE_CHUNK, leaf, frame, c->lo, c->n, err);
    if (!p)
        return err->code;
    p->store = c->store;
    p->version = c->version;
    p->offset = c->offset;
    p->nbytes = c->nbytes;
    p->skip_mask = c->skip_mask;
    p->absent_is_fill = c->absent_is_fill;
    p->chain = c->chain;
    p->inline_data = c->inline_data;
    p->unpack = c->unpack;
    p->key = c->key ? cm_bump_dup(s->bump, c->key, strlen(c->key) + 1, err) : "";
    p->src = dup_i64(s, c->src_lo, leaf->ndim, err);
    return p->src && p->key ? 0 : CM_ENOMEM;
}

static int add_raw(cm_sink *s, cm_array *leaf, const cm_frame *frame, const cm_raw_piece *r,
                   const char *key, cm_error *err)
{
    cm_piece *p = add(s, CM_PIECE_RAW, leaf, frame, r->lo, r->n, err);
    if (!p)
        return err->code;
    p->store = r->store;
    p->key = key;
    p->version = r->version;
    p->offset = r->offset;
    p->object_nbytes = r->object_nbytes;
    p->stored_size = r->stored_size;
    p->big_endian = r->big_endian;
    p->absent_is_fill = r->absent_is_fill;
    p->unpack = r->unpack;
    p->src = dup_i64(s, r->strides, leaf->ndim, err);
    return p->src ? 0 : CM_ENOMEM;
}

int cm_sink_raw(cm_sink *s, cm_array *leaf, const cm_frame *frame, const cm_raw_piece *whole,
                cm_error *err)
{
    int nd = leaf->ndim;
    cm_box box = cm_box_make(nd, whole->lo, whole->n);
    int64_t cells = cm_box_nelem(&box);
    int axis = 0;
    while (axis < nd && whole->n[axis] == 1)
        axis++;
    int64_t per = axis < nd ? cells / whole->n[axis] * whole->stored_size : 0;
    int64_t step = axis < nd ? whole->n[axis] : 1;
    if (axis < nd && per < RAW_PIECE_NBYTES && cells * whole->stored_size > RAW_PIECE_NBYTES)
        step = RAW_PIECE_NBYTES / per;
    else if (axis < nd && per >= RAW_PIECE_NBYTES)
        step = 1;
    int64_t parts = axis < nd ? cm_ceil_div(whole->n[axis], step) : 1;
    for (int64_t i = 0; i < parts; i++) {
        /* A flush empties the bump memory, so each part has its own copy of the key. */
        const char *key = NULL;
        cm_raw_piece r = *whole;
        if (axis < nd) {
            r.lo[axis] += i * step;
            r.n[axis] = cm_min_i64(step, whole->n[axis] - i * step);
            r.offset += (uint64_t)(i * step) * (uint64_t)r.strides[axis];
        }
        if (s->npieces == MAX_PIECES && cm_sink_flush(s, err))
            return err->code;
        key = cm_bump_dup(s->bump, whole->key, strlen(whole->key) + 1, err);
        if (!key)
            return CM_ENOMEM;
        int e = add_raw(s, leaf, frame, &r, key, err);
        if (e)
            return e;
    }
    return 0;
}

int cm_sink_fill(cm_sink *s, cm_array *leaf, const cm_frame *frame, const int64_t *lo,
                 const int64_t *n, cm_error *err)
{
    return add(s, CM_PIECE_FILL, leaf, frame, lo, n, err) ? 0 : err->code;
}

int cm_sink_call(cm_sink *s, cm_array *leaf, const cm_frame *frame, const int64_t *lo,
                 const int64_t *n, cm_fill_fn fn, void *user, cm_error *err)
{
    cm_piece *p = add(s, CM_PIECE_CALL, leaf, frame, lo, n, err);
    if (!p)
        return err->code;
    p->fn = fn;
    p->user = user;
    p->leaf_lo = dup_i64(s, lo, leaf->ndim, err);
    return p->leaf_lo ? 0 : CM_ENOMEM;
}
