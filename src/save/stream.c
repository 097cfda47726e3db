/* save/stream.c: one task that writes a chunk without ever holding it whole.
 *
 *     spill   |-------|-------|-------|---|     rows of the chunk, a slab at a time
 *                 v       v       v     v
 *     codec   ================================  in the order of storage
 *                 v         v           v
 *     object  ----------------------------      put as it is made
 *
 * What a task takes is a slab and the encoder's window, whatever the size of the chunk: so as many
 * run side by side as there are cores where two whole chunks would not fit, and a chunk may be
 * larger than the memory. Only reading back a spill is cheap enough for this: a source chunk that
 * several slabs touch would be decoded for each.
 */
#include <string.h>

#include "array/workspace.h"
#include "base/bytes.h"
#include "nd/copy.h"
#include "save/save_private.h"

enum { SLAB = 256 << 10, READING = 1 << 20 };

typedef struct stream {
    cm_save *save;
    cm_part *part;
    cm_array *source;
    cm_workspace *ws;
    char *slab;
    int64_t coord[CM_MAX_DIMS];
    int64_t fill_rows; /* the first so many rows are known to be fill */
    cm_tally *tally;
    uint64_t written;
    cm_write_fn write; /* the store's */
    void *to;
} stream;

static int64_t row_nbytes(const cm_part *p)
{
    return cm_shape_nelem(p->ndim - 1, p->layout.chunk + 1) * p->dtype.size;
}

int64_t cm_stream_rows(const cm_part *p)
{
    if (p->ndim < 1 || p->layout.sharded || p->layout.grid || cm_kind_is_vlen(p->dtype.kind) ||
        !cm_chain_streams(p->chunk_chain))
        return 0;
    int64_t rows = cm_max_i64(1, SLAB / row_nbytes(p));
    return rows <= p->layout.chunk[0] / 4 ? rows : 0;
}

uint64_t cm_stream_worker_nbytes(const cm_part *p)
{
    size_t chunk = (size_t)(p->layout.chunk[0] * row_nbytes(p));
    return READING + cm_chain_stream_scratch(p->chunk_chain, chunk);
}

/* Rows [row, row + n) of the chunk, with fill where it reaches beyond the shape. */
static int read_slab(stream *s, int64_t row, int64_t n, cm_error *err)
{
    const cm_part *p = s->part;
    cm_dest dest = {.dtype = p->dtype, .region = {.ndim = p->ndim}, .base = s->slab};
    int64_t rows[CM_MAX_DIMS];
    bool beyond = false;
    memcpy(rows, p->layout.chunk, sizeof rows);
    rows[0] = n;
    cm_strides_c(p->ndim, rows, p->dtype.size, dest.strides);
    for (int i = 0; i < p->ndim; i++) {
        int64_t lo = s->coord[i] * p->layout.chunk[i] + (i == 0 ? row : 0);
        dest.region.lo[i] = lo;
        dest.region.n[i] = cm_max_i64(0, cm_min_i64(rows[i], p->shape[i] - lo));
        beyond = beyond || dest.region.n[i] < rows[i];
    }
    if (beyond || row < s->fill_rows)
        cm_nd_fill(p->ndim, rows, p->dtype.size, s->slab, dest.strides,
                   cm_zarr_array_fill(p->target));
    if (row < s->fill_rows)
        return 0;
    return cm_read_into(s->save->ctx, s->source, &dest, READING, 1, NULL, err);
}

/* How many rows, from the first on, hold only fill, in whole slabs. */
static int count_fill_rows(stream *s, int64_t *rows, cm_error *err)
{
    const cm_part *p = s->part;
    const void *fill = cm_zarr_array_fill(p->target);
    for (*rows = 0; *rows < p->layout.chunk[0]; *rows += p->slab) {
        int64_t n = cm_min_i64(p->slab, p->layout.chunk[0] - *rows);
        int r = read_slab(s, *rows, n, err);
        if (r)
            return r;
        size_t cells = (size_t)(n * row_nbytes(p)) / p->dtype.size;
        if (!cm_nd_all_equal(s->slab, cells, p->dtype.size, fill))
            return 0;
    }
    return 0;
}

static int count_and_write(void *to, const void *data, size_t nbytes, cm_error *err)
{
    stream *s = to;
    s->written += nbytes;
    return s->write(s->to, data, nbytes, err);
}

static int produce(void *user, cm_write_fn write, void *to, cm_error *err)
{
    stream *s = user;
    const cm_part *p = s->part;
    const cm_chain *c = p->chunk_chain;
    int64_t length = p->layout.chunk[0];
    s->write = write;
    s->to = to;
    s->written = 0;
    int r = cm_chain_stream_begin(c, s->ws->codecs, (size_t)(length * row_nbytes(p)), err);
    for (int64_t row = 0; row < length && !r; row += p->slab) {
        int64_t n = cm_min_i64(p->slab, length - row);
        size_t nbytes = (size_t)(n * row_nbytes(p));
        r = read_slab(s, row, n, err);
        if (r)
            break;
        if (cm_chain_reorders(c))
            cm_swap_bytes(s->slab, nbytes, cm_dtype_word(p->dtype));
        r = cm_chain_stream_feed(c, s->ws->codecs, s->slab, nbytes, row + n == length,
                                 count_and_write, s, err);
        cm_tally_progress(s->save, s->tally, (int64_t)nbytes);
    }
    return r;
}

static int put(stream *s, cm_error *err)
{
    cm_part *p = s->part;
    cm_store *store = cm_target_store(s->save->target);
    char key[1024];
    int r = 0;
    if (cm_unit_skips_fill(s->save, p))
        r = count_fill_rows(s, &s->fill_rows, err);
    if (r)
        return r;
    if (s->fill_rows >= p->layout.chunk[0]) {
        cm_tally_progress(s->save, s->tally, p->layout.chunk[0] * row_nbytes(p));
        return 0;
    }
    r = cm_zarr_array_key(p->target, s->coord, key, err);
    if (!r)
        r = store->vt->put_from(store, key, produce, s, 0, err);
    if (!r)
        cm_unit_count(s->tally, s->written);
    return r;
}

int cm_stream_run(cm_save *save, cm_part *p, cm_array *source, int64_t task, cm_tally *tally,
                  cm_error *err)
{
    stream s = {.save = save, .part = p, .source = source, .tally = tally};
    cm_block_cache *blocks = cm_context_blocks(save->ctx);
    cm_block block = {0};
    for (int i = p->ndim - 1; i >= 0; i--) {
        s.coord[i] = task % p->boxes[i];
        task /= p->boxes[i];
    }
    int r = cm_workspace_get(save->ctx, &s.ws, err);
    if (!r)
        r = cm_block_get(blocks, (size_t)(p->slab * row_nbytes(p)), &block, err);
    s.slab = block.data;
    if (!r)
        r = put(&s, err);
    cm_block_put(blocks, &block);
    cm_workspace_put(save->ctx, s.ws);
    return r ? cm_unit_name_error(save, p, s.coord, err) : 0;
}
