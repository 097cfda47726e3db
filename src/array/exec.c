/* array/exec.c: doing one piece: decode a chunk, read raw cells, fill, call; then deliver the
 * cells.
 *
 * Cells reach the destination by the shortest way that is correct:
 *
 *     a chunk that is exactly one contiguous      decoded straight into it
 *     box of native cells
 *     other chunks                                decoded to scratch, then one strided copy that
 *                                                 transposes and swaps bytes on the way
 *     uncompressed cells, contiguous on both      read(2) straight into the destination
 *     sides
 *     other uncompressed cells                    windows of WINDOW bytes, which stay in the
 *                                                 core's cache between read and copy
 *     mapped or unpacked cells                    blocks of block_cells() through two small
 *                                                 buffers
 *
 * All memory here is a worker's workspace, covered by the reservation that read.c made from
 * cm_piece_scratch. Only strings, whose decoded size nobody knows before, may take more, and they
 * never wait for it.
 */
#include <string.h>

#include "array/sink.h"
#include "base/bytes.h"
#include "nd/copy.h"

enum { WINDOW = 512 << 10, BLOCK_CELLS = 32 << 10, MAX_RANGES = 256, DIRECT_RUN = 32 << 10 };

/* ---- the destination, which may have axes before those of the leaf --------------------------- */

typedef struct rooted {
    int64_t lo[CM_MAX_DIMS], n[CM_MAX_DIMS];
} rooted;

static void root_box(const cm_piece *p, const int64_t *lo, const int64_t *n, rooted *out)
{
    const size_t nd = (size_t)p->leaf->ndim;
    for (int i = 0; i < p->lead; i++) {
        out->lo[i] = p->lead_at[i];
        out->n[i] = 1;
    }
    memcpy(out->lo + p->lead, lo, nd * sizeof *lo);
    memcpy(out->n + p->lead, n, nd * sizeof *n);
}

static void dest_put(const cm_sink *s, const cm_piece *p, const int64_t *lo, const int64_t *n,
                     const void *src, const int64_t *strides, uint32_t swap)
{
    rooted r;
    int64_t all[CM_MAX_DIMS] = {0};
    if (!p->lead) {
        cm_dest_put(s->dest, lo, n, src, strides, swap);
        return;
    }
    root_box(p, lo, n, &r);
    memcpy(all + p->lead, strides, (size_t)p->leaf->ndim * sizeof *strides);
    cm_dest_put(s->dest, r.lo, r.n, src, all, swap);
}

static void dest_fill(const cm_sink *s, const cm_piece *p, const void *value)
{
    rooted r;
    root_box(p, p->lo, p->n, &r);
    cm_dest_fill(s->dest, r.lo, r.n, value);
}

static void *dest_contiguous(const cm_sink *s, const cm_piece *p)
{
    rooted r;
    if (!p->lead)
        return cm_dest_contiguous(s->dest, p->lo, p->n);
    root_box(p, p->lo, p->n, &r);
    return cm_dest_contiguous(s->dest, r.lo, r.n);
}

static bool dest_view(const cm_sink *s, const cm_piece *p, char **first, int64_t *strides)
{
    rooted r;
    int64_t all[CM_MAX_DIMS];
    if (!p->lead)
        return cm_dest_view(s->dest, p->lo, p->n, first, strides);
    root_box(p, p->lo, p->n, &r);
    if (!cm_dest_view(s->dest, r.lo, r.n, first, all))
        return false;
    memcpy(strides, all + p->lead, (size_t)p->leaf->ndim * sizeof *strides);
    return true;
}

/* Bytes that a cell takes on its way through the maps, at the widest. */
static uint64_t map_width(const cm_piece *p)
{
    uint64_t size = p->stored_size > 16 ? p->stored_size : 16;
    if (p->leaf->dtype.size > size)
        size = p->leaf->dtype.size;
    for (int i = 0; i < p->nmaps; i++)
        if (p->maps[i]->to.size > size)
            size = p->maps[i]->to.size;
    return size;
}

/* Cells that go through the maps at a time: fewer of those that are large (long strings). */
static int64_t block_cells(const cm_piece *p)
{
    return cm_max_i64(1, BLOCK_CELLS * 16 / (int64_t)map_width(p));
}

static uint64_t map_scratch(const cm_sink *s, const cm_piece *p)
{
    if (!p->nmaps && !p->unpack && !cm_kind_is_vlen(s->dest->dtype.kind))
        return 0;
    return 2 * map_width(p) * (uint64_t)block_cells(p);
}

/* Copy the bytes of n strings that lie in scratch to the arena, in one allocation. */
static int keep_strings(cm_arena *arena, cm_string *v, int64_t n, cm_error *err)
{
    size_t total = 0;
    for (int64_t i = 0; i < n; i++)
        if (!cm_add_size(total, v[i].nbytes, &total))
            return cm_error_set(err, CM_ELIMIT, "strings of more than 2^64 bytes");
    if (!total)
        return 0;
    char *p = cm_arena_alloc(arena, total, err);
    if (!p)
        return err->code;
    for (int64_t i = 0; i < n; i++) {
        if (v[i].nbytes)
            memcpy(p, v[i].data, v[i].nbytes);
        v[i].data = p;
        p += v[i].nbytes;
    }
    return 0;
}

/* Source cells of a box on their way to the destination. */
typedef struct cells {
    const char *data;
    const int64_t *strides;
    uint32_t size, swap;   /* as stored */
    bool borrowed_strings; /* cm_strings whose bytes are in scratch */
} cells;

static int deliver_block(const cm_sink *s, const cm_piece *p, cm_workspace *ws, const cells *c,
                         const int64_t *lo, const int64_t *n, int64_t count, cm_error *err)
{
    int nd = p->leaf->ndim;
    int64_t dense[CM_MAX_DIMS];
    uint64_t half = map_scratch(s, p) / 2;
    int r = cm_block_ensure(cm_context_blocks(s->ctx), &ws->mapped[0], half, err);
    if (!r)
        r = cm_block_ensure(cm_context_blocks(s->ctx), &ws->mapped[1], half, err);
    if (r)
        return r;
    cm_strides_c(nd, n, c->size, dense);
    cm_nd_copy(nd, n, c->size, ws->mapped[0].data, dense, c->data, c->strides, c->swap);
    int at = 0;
    if (p->unpack) {
        r = p->unpack(p->leaf, ws->mapped[0].data, ws->mapped[1].data, count, s->dest->arena, err);
        at = 1;
    } else if (c->borrowed_strings) {
        r = keep_strings(s->dest->arena, ws->mapped[0].data, count, err);
    }
    for (int i = p->nmaps - 1; i >= 0 && !r; i--) {
        r = p->maps[i]->apply(p->maps[i], ws->mapped[at].data, ws->mapped[1 - at].data, count,
                              s->dest->arena, err);
        at = 1 - at;
    }
    if (r)
        return r;
    cm_strides_c(nd, n, s->dest->dtype.size, dense);
    dest_put(s, p, lo, n, ws->mapped[at].data, dense, 0);
    return 0;
}

/* The box [lo, lo + n) of root coordinates from c. */
static int deliver(const cm_sink *s, const cm_piece *p, cm_workspace *ws, const cells *c,
                   const int64_t *lo, const int64_t *n, cm_error *err)
{
    int nd = p->leaf->ndim;
    if (!p->nmaps && !p->unpack && !c->borrowed_strings) {
        dest_put(s, p, lo, n, c->data, c->strides, c->swap);
        return 0;
    }
    cm_box box = cm_box_make(nd, lo, n);
    int64_t count = cm_box_nelem(&box);
    int64_t most = block_cells(p);
    if (count <= most)
        return deliver_block(s, p, ws, c, lo, n, count, err);
    int axis = 0;
    while (n[axis] == 1)
        axis++;
    int64_t per = count / n[axis], step = per < most ? most / per : 1;
    for (int64_t i = 0; i < n[axis]; i += step) {
        cells part = *c;
        part.data += i * c->strides[axis];
        box.lo[axis] = lo[axis] + i;
        box.n[axis] = cm_min_i64(step, n[axis] - i);
        int r = deliver(s, p, ws, &part, box.lo, box.n, err);
        if (r)
            return r;
    }
    return 0;
}

/* ---- chunks ---------------------------------------------------------------------------------- */

static uint32_t swap_of(cm_dtype dtype, bool stored_big)
{
    uint32_t word = cm_dtype_word(dtype);
    bool native_big = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
    return word > 1 && stored_big != native_big ? word : 0;
}

/* Where the whole chunk may be decoded to directly, or NULL. */
static void *direct_target(const cm_sink *s, const cm_piece *p)
{
    const cm_chain *c = p->chain;
    if (c->a2b != CM_A2B_BYTES || cm_chain_reorders(c) || p->nmaps || p->unpack)
        return NULL;
    for (int i = 0; i < c->ndim; i++)
        if (p->src[i] != 0 || p->n[i] != c->shape[i])
            return NULL;
    return dest_contiguous(s, p);
}

static size_t vlen_room(const cm_piece *p)
{
    uint64_t encoded = cm_piece_encoded(p);
    return encoded > (1u << 20) ? 8 * encoded : 8u << 20;
}

uint64_t cm_piece_encoded(const cm_piece *p)
{
    if (p->kind != CM_PIECE_CHUNK || p->inline_data)
        return 0;
    if (p->nbytes != UINT64_MAX)
        return p->nbytes;
    if (p->chain->a2b == CM_A2B_VLEN)
        return 1 << 20;
    return cm_chain_bound(p->chain, cm_chain_stored_nbytes(p->chain));
}

/* A window holds at least one cell. */
static uint64_t window_nbytes(uint64_t span)
{
    return span > WINDOW ? span : WINDOW;
}

uint64_t cm_piece_scratch(const cm_sink *s, const cm_piece *p)
{
    uint64_t n = map_scratch(s, p);
    if (p->kind == CM_PIECE_RAW)
        return n + window_nbytes(p->stored_size);
    if (p->kind == CM_PIECE_CALL) {
        if (p->nmaps || !dest_contiguous(s, p)) {
            cm_box box = cm_box_make(p->leaf->ndim, p->lo, p->n);
            n += (uint64_t)cm_box_nelem(&box) * p->leaf->dtype.size;
        }
        return n;
    }
    if (p->kind != CM_PIECE_CHUNK)
        return n;
    size_t stored = cm_chain_stored_nbytes(p->chain);
    if (p->chain->a2b == CM_A2B_VLEN) {
        int64_t nelem = cm_shape_nelem(p->chain->ndim, p->chain->shape);
        stored = vlen_room(p) + (size_t)nelem * sizeof(cm_string);
    } else if (direct_target(s, p)) {
        return n + cm_chain_decode_scratch(p->chain, stored);
    }
    return n + stored + cm_chain_decode_scratch(p->chain, stored);
}

/* Decode strings: the size is not known before, so the room grows until it fits. *extra: bytes that
 * it took from the budget for that; the caller gives them back with the blocks. */
static int decode_vlen(const cm_sink *s, const cm_piece *p, cm_workspace *ws, const void *data,
                       size_t nbytes, const cm_string **out, size_t *extra, cm_error *err)
{
    cm_budget *budget = cm_context_budget(s->ctx);
    cm_block_cache *blocks = cm_context_blocks(s->ctx);
    size_t nelem = (size_t)cm_shape_nelem(p->chain->ndim, p->chain->shape);
    size_t views = nelem * sizeof(cm_string), room = vlen_room(p), n = nbytes;
    const void *bytes = data;
    int r = 0;
    for (;;) {
        r = cm_block_ensure(blocks, &ws->decoded, views + room, err);
        if (r)
            break;
        if (p->chain->nstages == 0)
            break;
        size_t mid = cm_chain_middle_nbytes(p->chain, room);
        r = cm_block_ensure(blocks, &ws->middle, mid, err);
        if (r)
            break;
        bytes = (char *)ws->decoded.data + views;
        r = cm_chain_decode(p->chain, ws->codecs, p->skip_mask, data, nbytes,
                            (char *)ws->decoded.data + views, room, &n, ws->middle.data, err);
        if (r != CM_ELIMIT)
            break;
        size_t more = n > room ? n - room : room;
        if (more > SIZE_MAX / 4 - room)
            break;
        size_t scratch = cm_chain_decode_scratch(p->chain, room + more) -
                         cm_chain_decode_scratch(p->chain, room);
        if (!cm_budget_try(budget, more + scratch)) {
            cm_error_set(err, CM_ELIMIT, "no memory left for %zu bytes of strings", room + more);
            cm_error_hint(err, "give more with --max-mem");
            break;
        }
        *extra += more + scratch;
        room += more;
    }
    if (!r)
        r = cm_vlen_decode(p->chain->dtype, bytes, n, ws->decoded.data, nelem, err);
    *out = ws->decoded.data;
    return r;
}

/* Decoded cells of the chunk as stored, in *out: in scratch or, when nothing was encoded, in
 * data. */
static int decode_cells(const cm_sink *s, const cm_piece *p, cm_workspace *ws, const void *data,
                        size_t nbytes, void *target, const void **out, cm_error *err)
{
    const cm_chain *c = p->chain;
    cm_block_cache *blocks = cm_context_blocks(s->ctx);
    size_t stored = cm_chain_stored_nbytes(c), n = 0;
    if (c->nstages == 0) {
        if (nbytes != stored)
            return cm_error_set(err, CM_EDATA, "%zu bytes where %zu are needed", nbytes, stored);
        if (target)
            memcpy(target, data, stored);
        *out = target ? target : data;
        return 0;
    }
    int r = target ? 0 : cm_block_ensure(blocks, &ws->decoded, stored, err);
    if (!r)
        r = cm_block_ensure(blocks, &ws->middle, cm_chain_middle_nbytes(c, stored), err);
    if (r)
        return r;
    void *to = target ? target : ws->decoded.data;
    *out = to;
    return cm_chain_decode(c, ws->codecs, p->skip_mask, data, nbytes, to, stored, &n,
                           ws->middle.data, err);
}

bool cm_piece_same_chunk(const cm_sink *s, const cm_piece *a, const cm_piece *b)
{
    return a->kind == CM_PIECE_CHUNK && b->kind == CM_PIECE_CHUNK && !a->inline_data &&
           !b->inline_data && a->nbytes != UINT64_MAX && a->offset == b->offset &&
           a->nbytes == b->nbytes && a->store == b->store && strcmp(a->key, b->key) == 0 &&
           a->chain == b->chain && a->skip_mask == b->skip_mask &&
           (a->chain->a2b == CM_A2B_BYTES || a->chain->a2b == CM_A2B_CUSTOM) &&
           !direct_target(s, a) && !direct_target(s, b);
}

int cm_piece_decode(const cm_sink *s, const cm_piece *p, const cm_piece *before, cm_workspace *ws,
                    const void *data, size_t nbytes, cm_error *err)
{
    const cm_chain *c = p->chain;
    int nd = c->ndim;
    cells out = {.size = c->stored_size, .swap = swap_of(c->dtype, c->big_endian)};
    const void *base = NULL;
    size_t extra = 0;
    int r;
    if (c->a2b == CM_A2B_VLEN) {
        const cm_string *views;
        r = decode_vlen(s, p, ws, data, nbytes, &views, &extra, err);
        base = views;
        out.size = sizeof(cm_string);
        out.swap = 0;
        out.borrowed_strings = true;
    } else if (before && c->nstages > 0) {
        r = 0;
        base = ws->decoded.data;
    } else {
        void *target = direct_target(s, p);
        r = decode_cells(s, p, ws, data, nbytes, target, &base, err);
        if (r || target)
            return r;
    }
    if (c->a2b == CM_A2B_CUSTOM)
        out.swap = 0;
    int64_t shape[CM_MAX_DIMS], dense[CM_MAX_DIMS], strides[CM_MAX_DIMS];
    for (int i = 0; i < nd; i++)
        shape[i] = c->shape[c->transposed ? c->order[i] : i];
    cm_strides_c(nd, shape, out.size, dense);
    for (int i = 0; i < nd; i++)
        strides[c->transposed ? c->order[i] : i] = dense[i];
    out.data = base;
    out.strides = strides;
    for (int i = 0; i < nd && !r; i++)
        out.data += p->src[i] * strides[i];
    if (!r)
        r = deliver(s, p, ws, &out, p->lo, p->n, err);
    if (extra) {
        cm_block_put(cm_context_blocks(s->ctx), &ws->decoded);
        cm_block_put(cm_context_blocks(s->ctx), &ws->middle);
        cm_budget_give(cm_context_budget(s->ctx), extra);
    }
    return r;
}

/* ---- raw cells ------------------------------------------------------------------------------- */

/* A raw piece with its axes sorted by stride, largest first. Axes from `inner` on are read as one
 * span. */
typedef struct raw {
    int axis[CM_MAX_DIMS], inner;
    int64_t step; /* indices of axis inner - 1 per window */
    int64_t span; /* bytes of one window */
} raw;

static int64_t span_of(const cm_piece *p, const raw *w, int from)
{
    int64_t span = p->stored_size;
    for (int i = from; i < p->leaf->ndim; i++)
        span += (p->n[w->axis[i]] - 1) * p->src[w->axis[i]];
    return span;
}

/* Choose the window: as many inner axes as fit into WINDOW while at least a quarter of the span is
 * wanted. */
static void choose_window(const cm_piece *p, raw *w)
{
    int nd = p->leaf->ndim;
    for (int i = 0; i < nd; i++) {
        int j = i;
        for (; j > 0 && p->src[w->axis[j - 1]] < p->src[i]; j--)
            w->axis[j] = w->axis[j - 1];
        w->axis[j] = i;
    }
    w->inner = nd;
    int64_t useful = p->stored_size;
    while (w->inner > 0) {
        int64_t n = p->n[w->axis[w->inner - 1]];
        int64_t span = span_of(p, w, w->inner - 1);
        if (span > WINDOW || (span > 4096 && useful * n < span / 4))
            break;
        useful *= n;
        w->inner--;
    }
    w->span = span_of(p, w, w->inner);
    w->step = 1;
    if (w->inner > 0) {
        int64_t stride = p->src[w->axis[w->inner - 1]];
        if (stride > 0 && useful >= stride / 4 && w->span < WINDOW)
            w->step = 1 + (WINDOW - w->span) / stride;
        w->step = cm_min_i64(w->step, p->n[w->axis[w->inner - 1]]);
        w->span += (w->step - 1) * stride;
    }
}

/* The windows gathered for one get. */
typedef struct batch {
    cm_range ranges[MAX_RANGES];
    int64_t lo[MAX_RANGES][CM_MAX_DIMS], count[MAX_RANGES];
    int n;
    size_t used;
} batch;

static int fetch(const cm_piece *p, const cm_range *ranges, int n, bool *absent, cm_error *err)
{
    cm_object_version version = p->version;
    int r = p->store->vt->get(p->store, p->key, ranges, n, &version, err);
    if (r == CM_ENOTFOUND && p->absent_is_fill) {
        *absent = true;
        return cm_store_check_absent(p->store, p->key, err);
    }
    if (!r && p->object_nbytes && version.size != p->object_nbytes)
        return cm_error_set(err, CM_EDATA, "%llu bytes where %llu are needed",
                            (unsigned long long)version.size, (unsigned long long)p->object_nbytes);
    return r;
}

static int run_batch(const cm_sink *s, const cm_piece *p, cm_workspace *ws, const raw *w, batch *b,
                     bool *absent, cm_error *err)
{
    int nd = p->leaf->ndim;
    int r = b->n ? fetch(p, b->ranges, b->n, absent, err) : 0;
    for (int i = 0; i < b->n && !r && !*absent; i++) {
        int64_t n[CM_MAX_DIMS];
        for (int k = 0; k < nd; k++)
            n[w->axis[k]] = k < w->inner ? 1 : p->n[w->axis[k]];
        if (w->inner > 0)
            n[w->axis[w->inner - 1]] = b->count[i];
        cells c = {.data = b->ranges[i].dst,
                   .strides = p->src,
                   .size = p->stored_size,
                   .swap = p->unpack ? 0 : swap_of(p->leaf->dtype, p->big_endian)};
        r = deliver(s, p, ws, &c, b->lo[i], n, err);
    }
    b->n = 0;
    b->used = 0;
    return r;
}

/* Runs that are contiguous on both sides and long: read straight into the destination. True when
 * done. */
static bool raw_direct(const cm_sink *s, const cm_piece *p, int *result, bool *absent,
                       cm_error *err)
{
    int nd = p->leaf->ndim, inner = nd;
    char *first;
    int64_t strides[CM_MAX_DIMS], run = p->stored_size, i[CM_MAX_DIMS] = {0};
    if (p->nmaps || p->unpack || swap_of(p->leaf->dtype, p->big_endian) ||
        !dest_view(s, p, &first, strides))
        return false;
    while (inner > 0 &&
           (p->n[inner - 1] == 1 || (p->src[inner - 1] == run && strides[inner - 1] == run))) {
        run *= p->n[inner - 1];
        inner--;
    }
    if (run < DIRECT_RUN && inner > 0)
        return false;
    cm_range ranges[MAX_RANGES];
    int n = 0;
    *result = 0;
    bool more = true;
    while (more && !*result && !*absent) {
        int64_t from = 0, to = 0;
        for (int k = 0; k < inner; k++) {
            from += i[k] * p->src[k];
            to += i[k] * strides[k];
        }
        ranges[n++] = (cm_range){p->offset + (uint64_t)from, (size_t)run, first + to};
        more = cm_next(inner, p->n, i);
        if (n == MAX_RANGES || !more) {
            *result = fetch(p, ranges, n, absent, err);
            n = 0;
        }
    }
    return true;
}

static int raw_windows(const cm_sink *s, const cm_piece *p, cm_workspace *ws, bool *absent,
                       cm_error *err)
{
    raw w;
    choose_window(p, &w);
    int r = cm_block_ensure(cm_context_blocks(s->ctx), &ws->decoded,
                            window_nbytes((uint64_t)w.span), err);
    if (!r) /* the batch's table is too large for the stack of a small thread */
        r = cm_block_ensure(cm_context_blocks(s->ctx), &ws->middle, sizeof(batch), err);
    if (r)
        return r;
    batch *b = ws->middle.data;
    b->n = 0;
    b->used = 0;
    int64_t i[CM_MAX_DIMS] = {0}, outer[CM_MAX_DIMS];
    for (int k = 0; k < w.inner; k++)
        outer[k] = p->n[w.axis[k]];
    if (w.inner > 0)
        outer[w.inner - 1] = cm_ceil_div(outer[w.inner - 1], w.step);
    do {
        if (b->n == MAX_RANGES || b->used + (size_t)w.span > WINDOW)
            r = run_batch(s, p, ws, &w, b, absent, err);
        if (r || *absent)
            break;
        int64_t *lo = b->lo[b->n], count = 1, from = 0, span = w.span;
        memcpy(lo, p->lo, (size_t)p->leaf->ndim * sizeof *lo);
        for (int k = 0; k < w.inner; k++) {
            int a = w.axis[k];
            int64_t x = i[k] * (k == w.inner - 1 ? w.step : 1);
            if (k == w.inner - 1) {
                count = cm_min_i64(w.step, p->n[a] - x);
                span -= (w.step - count) * p->src[a];
            }
            lo[a] += x;
            from += x * p->src[a];
        }
        b->count[b->n] = count;
        b->ranges[b->n++] = (cm_range){p->offset + (uint64_t)from, (size_t)span,
                                       (char *)ws->decoded.data + b->used};
        b->used += ((size_t)w.span + 15) & ~(size_t)15;
    } while (cm_next(w.inner, outer, i));
    return r ? r : *absent ? 0 : run_batch(s, p, ws, &w, b, absent, err);
}

int cm_piece_raw(const cm_sink *s, const cm_piece *p, cm_workspace *ws, cm_error *err)
{
    bool absent = false;
    int r = 0;
    if (!raw_direct(s, p, &r, &absent, err))
        r = raw_windows(s, p, ws, &absent, err);
    if (!r && absent)
        r = cm_piece_fill(s, p, ws, err);
    return r;
}

/* ---- fill and call --------------------------------------------------------------------------- */

int cm_piece_fill(const cm_sink *s, const cm_piece *p, cm_workspace *ws, cm_error *err)
{
    if (!p->nmaps && !cm_kind_is_vlen(p->leaf->dtype.kind)) {
        dest_fill(s, p, p->leaf->fill);
        return 0;
    }
    /* One cell through the maps, then everywhere. */
    uint64_t half = map_scratch(s, p) / 2;
    cm_block_cache *blocks = cm_context_blocks(s->ctx);
    int r = cm_block_ensure(blocks, &ws->mapped[0], half, err);
    if (!r)
        r = cm_block_ensure(blocks, &ws->mapped[1], half, err);
    if (r)
        return r;
    int at = 0;
    memcpy(ws->mapped[0].data, p->leaf->fill, p->leaf->dtype.size);
    if (cm_kind_is_vlen(p->leaf->dtype.kind))
        r = keep_strings(s->dest->arena, ws->mapped[0].data, 1, err);
    for (int i = p->nmaps - 1; i >= 0 && !r; i--) {
        r = p->maps[i]->apply(p->maps[i], ws->mapped[at].data, ws->mapped[1 - at].data, 1,
                              s->dest->arena, err);
        at = 1 - at;
    }
    if (!r)
        dest_fill(s, p, ws->mapped[at].data);
    return r;
}

int cm_piece_call(const cm_sink *s, const cm_piece *p, cm_workspace *ws, cm_error *err)
{
    void *direct = p->nmaps ? NULL : dest_contiguous(s, p);
    if (direct)
        return p->fn(p->user, p->leaf_lo, p->n, direct, err);
    cm_box box = cm_box_make(p->leaf->ndim, p->lo, p->n);
    size_t nbytes = (size_t)cm_box_nelem(&box) * p->leaf->dtype.size;
    int r = cm_block_ensure(cm_context_blocks(s->ctx), &ws->decoded, nbytes, err);
    if (!r)
        r = p->fn(p->user, p->leaf_lo, p->n, ws->decoded.data, err);
    if (r)
        return r;
    int64_t dense[CM_MAX_DIMS];
    cm_strides_c(box.ndim, p->n, p->leaf->dtype.size, dense);
    cells c = {.data = ws->decoded.data, .strides = dense, .size = p->leaf->dtype.size};
    return deliver(s, p, ws, &c, p->lo, p->n, err);
}
