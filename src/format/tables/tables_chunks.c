/* format/tables/tables_chunks.c: chunks, one after the other, in few bytes; and a table of them.
 *
 *     gap to the index before, times two, plus one where a filter mask follows     a varint each
 *     offset, from the end of the chunk before
 *     length, minus that of the chunk before
 *     the mask
 *
 * Chunks that were written one behind the other take four bytes or so, and at most 31.
 *
 * A table keeps these bytes and makes a listed one (array/chunked.h) of them when a chunk is
 * wanted, as an HDF5 index is read only then: most tables of a thousand files are never asked. A
 * grid of one chunk, which is what files of one step have, needs none.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "format/tables/tables.h"

void cm_tables_put_chunk(cm_wire_out *w, cm_tables_chunk *previous, const cm_tables_chunk *chunk,
                         bool first)
{
    uint64_t gap = first ? chunk->index : chunk->index - previous->index - 1;
    cm_wire_put_uint(w, gap << 1 | (chunk->mask != 0));
    cm_wire_put_int(w, (int64_t)(chunk->offset - (previous->offset + previous->nbytes)));
    cm_wire_put_int(w, (int64_t)(chunk->nbytes - previous->nbytes));
    if (chunk->mask)
        cm_wire_put_uint(w, chunk->mask);
    *previous = *chunk;
}

static void take_chunk(cm_wire_in *r, cm_tables_chunk *chunk, bool first)
{
    uint64_t head = cm_wire_uint(r);
    chunk->index = first ? head >> 1 : chunk->index + (head >> 1) + 1;
    chunk->offset = chunk->offset + chunk->nbytes + (uint64_t)cm_wire_int(r);
    chunk->nbytes += (uint64_t)cm_wire_int(r);
    chunk->mask = head & 1 ? (uint32_t)cm_wire_upto(r, UINT32_MAX) : 0;
}

typedef struct packed {
    cm_table base;
    cm_context *ctx;
    int ndim;
    int64_t grid[CM_MAX_DIMS];
    uint64_t ncells, file_nbytes;
    pthread_mutex_t lock; /* guards making */
    cm_table *made;       /* atomic; NULL before */
    size_t nbytes;
    uint8_t bytes[];
} packed;

static int malformed(cm_error *err)
{
    return cm_error_set(err, CM_EDATA, "the scan table of its chunks is malformed");
}

static int add(const packed *t, cm_listed *list, const cm_tables_chunk *c, cm_error *err)
{
    int64_t coord[CM_MAX_DIMS];
    uint64_t rest = c->index;
    if (c->index >= t->ncells || c->offset > t->file_nbytes ||
        c->nbytes > t->file_nbytes - c->offset)
        return malformed(err);
    for (int i = t->ndim - 1; i >= 0; i--) {
        coord[i] = (int64_t)(rest % (uint64_t)t->grid[i]);
        rest /= (uint64_t)t->grid[i];
    }
    return cm_listed_add(list, coord, c->offset, c->nbytes, c->mask, err);
}

static int make(packed *t, cm_error *err)
{
    cm_listed *list = NULL;
    cm_table *table = NULL;
    cm_tables_chunk c = {0};
    cm_wire_in r = cm_wire_of(t->bytes, t->nbytes);
    int ret = cm_listed_new(t->ctx, t->ndim, t->grid, &list, err);
    for (bool first = true; ret == 0 && cm_wire_left(&r); first = false) {
        take_chunk(&r, &c, first);
        ret = r.bad ? malformed(err) : add(t, list, &c, err);
    }
    if (ret) {
        cm_listed_free(list);
        return ret;
    }
    ret = cm_listed_freeze(list, &table, err);
    if (ret == 0)
        __atomic_store_n(&t->made, table, __ATOMIC_RELEASE);
    return ret;
}

static int ensure(const cm_table *base, cm_table **out, cm_error *err)
{
    packed *t = (packed *)(uintptr_t)base;
    int ret = 0;
    *out = __atomic_load_n(&t->made, __ATOMIC_ACQUIRE);
    if (*out)
        return 0;
    pthread_mutex_lock(&t->lock);
    if (!t->made)
        ret = make(t, err);
    *out = t->made;
    pthread_mutex_unlock(&t->lock);
    return ret;
}

static int packed_locate(const cm_table *base, const int64_t *coord, cm_location *out,
                         cm_error *err)
{
    cm_table *made;
    int ret = ensure(base, &made, err);
    return ret ? ret : made->locate(made, coord, out, err);
}

/* Asked before anything is planned: the table takes its memory here. */
static uint64_t packed_max_nbytes(const cm_table *base)
{
    cm_table *made;
    return ensure(base, &made, NULL) ? 0 : made->max_nbytes(made);
}

static void packed_free(cm_table *base)
{
    packed *t = (packed *)base;
    if (t->made)
        t->made->free(t->made);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

/* ---- a grid of one chunk --------------------------------------------------------------------- */

typedef struct single {
    cm_table base;
    bool present;
    cm_tables_chunk chunk;
} single;

static int single_locate(const cm_table *base, const int64_t *coord, cm_location *out,
                         cm_error *err)
{
    const single *t = (const single *)base;
    (void)coord, (void)err;
    out->where = t->present ? CM_AT_RANGE : CM_AT_NOWHERE;
    out->key[0] = 0;
    out->inline_data = NULL;
    out->offset = t->chunk.offset;
    out->nbytes = t->chunk.nbytes;
    out->skip_mask = t->chunk.mask;
    return 0;
}

static uint64_t single_max_nbytes(const cm_table *base)
{
    return ((const single *)base)->chunk.nbytes;
}

static void single_free(cm_table *base)
{
    free(base);
}

static int single_new(const void *bytes, size_t nbytes, uint64_t file_nbytes, cm_table **out,
                      cm_error *err)
{
    cm_wire_in r = cm_wire_of(bytes, nbytes);
    single *t = cm_calloc(1, sizeof *t, err);
    if (!t)
        return CM_ENOMEM;
    t->base = (cm_table){single_locate, single_free, single_max_nbytes};
    t->present = nbytes > 0;
    if (t->present)
        take_chunk(&r, &t->chunk, true);
    if (r.bad || cm_wire_left(&r) || t->chunk.index || t->chunk.offset > file_nbytes ||
        t->chunk.nbytes > file_nbytes - t->chunk.offset) {
        free(t);
        return malformed(err);
    }
    *out = &t->base;
    return 0;
}

int cm_tables_chunks_new(cm_context *ctx, int ndim, const int64_t *grid, const void *bytes,
                         size_t nbytes, uint64_t file_nbytes, cm_table **out, cm_error *err)
{
    int64_t ncells = cm_shape_nelem(ndim, grid);
    size_t total;
    if (ncells < 0 || !cm_add_size(sizeof(packed), nbytes, &total))
        return malformed(err);
    if (ncells == 1)
        return single_new(bytes, nbytes, file_nbytes, out, err);
    packed *t = cm_calloc(1, total, err);
    if (!t)
        return CM_ENOMEM;
    t->base = (cm_table){packed_locate, packed_free, packed_max_nbytes};
    t->ctx = ctx;
    t->ndim = ndim;
    memcpy(t->grid, grid, (size_t)ndim * sizeof *grid);
    t->ncells = (uint64_t)ncells;
    t->file_nbytes = file_nbytes;
    t->nbytes = nbytes;
    if (nbytes)
        memcpy(t->bytes, bytes, nbytes);
    pthread_mutex_init(&t->lock, NULL);
    *out = &t->base;
    return 0;
}
