/* save/virtual_model.c: what the references of a variable say when not all of its files can be
 * referred to alike.
 *
 *     A: chunks of 4, zlib   B: chunks of 4, zlib   C: chunks of 3, lz4
 *     |---|---|---|-         |---|---|              |--|--|--|
 *
 * The array gets the chunks and the codecs of the segments that hold most steps on a common grid
 * (here A: B is shifted by the end of A). Where a chunk lies on the grid of a segment like that it
 * is a reference; all others are rewritten (virtual_rewrite.c), which costs what they hold and no
 * more. Contiguous segments are one such model, with chunks of rows. When references have no words
 * for any segment (codecs, cells or shards that only one format has) every chunk is rewritten, with
 * the chunks of the first and a codec that all readers have.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "save/virtual.h"

enum { MAX_MODELS = 64, CHUNK_NBYTES = 4 << 20 };

typedef struct model {
    const cm_chain *chain; /* NULL: contiguous */
    int64_t steps;         /* of segments that lie on the grid */
    bool possible;
} model;

int cm_virtual_check_chain(cm_virtual *v, const cm_virtual_part *p, cm_chain *chain, cm_error *err)
{
    cm_store *memory = NULL;
    cm_zarr_writer *writer = NULL;
    cm_zarr_array_spec spec = {.path = "/a",
                               .dtype = p->variable->array->dtype,
                               .ndim = p->ndim,
                               .shape = p->shape,
                               .chain = chain};
    int r = cm_store_new_memory(v->ctx, &memory, err);
    if (r == 0)
        r = cm_zarr_writer_new(memory, "", 2, &writer, err);
    if (r == 0)
        r = cm_zarr_writer_add_array(writer, &spec, NULL, err);
    cm_zarr_writer_free(writer);
    cm_store_unref(memory);
    return r;
}

static bool is_strided(const cm_segment *s)
{
    uint64_t offset, limit;
    return cm_segment_strides(s, &offset, &limit) != NULL;
}

/* Do chunks of this shape lie on the grids of both the segment and the whole? */
static bool on_grid(const cm_virtual_part *p, const cm_segment *s, const int64_t *chunk)
{
    for (int i = 0; i < p->ndim; i++)
        if ((s->start[i] - (i == p->axis ? s->begin : 0)) % chunk[i])
            return false;
    return true;
}

static bool sayable(cm_virtual *v, const cm_virtual_part *p, const cm_chain *c)
{
    return (c->a2b == CM_A2B_BYTES || c->a2b == CM_A2B_VLEN) &&
           cm_virtual_check_chain(v, p, (cm_chain *)(uintptr_t)c, NULL) == 0;
}

/* The models that segments are of, at most MAX_MODELS. */
static size_t list_models(cm_virtual *v, const cm_virtual_part *p, model *models)
{
    size_t n = 0;
    for (size_t k = 0; k < p->nsegments; k++) {
        const cm_segment *s = &p->segments[k];
        if (!s->fits)
            continue;
        const cm_chain *c = cm_chunked_chain(s->leaf), *want = is_strided(s) ? NULL : c;
        size_t m = 0;
        while (m < n && !(want && models[m].chain ? cm_chain_equal(models[m].chain, want)
                                                  : models[m].chain == want))
            m++;
        if (m == MAX_MODELS)
            continue;
        if (m == n)
            models[n++] = (model){want, 0, want ? sayable(v, p, want) : c->a2b == CM_A2B_BYTES};
        if (!want || on_grid(p, s, want->shape))
            models[m].steps += s->end - s->begin;
    }
    return n;
}

/* The first contiguous segment says the byte order; those along another axis must be as long. */
static int take_rows(cm_virtual_part *p, cm_error *err)
{
    const cm_segment *first = NULL;
    bool equal = true;
    for (size_t k = 0; k < p->nsegments; k++) {
        cm_segment *s = &p->segments[k];
        s->fits = s->fits && is_strided(s) && cm_chunked_chain(s->leaf)->a2b == CM_A2B_BYTES;
        if (s->fits && !first)
            first = s;
        s->fits = s->fits && cm_chunked_chain(s->leaf)->big_endian ==
                                 cm_chunked_chain(first->leaf)->big_endian;
        equal = equal && s->end - s->begin == p->segments[0].end - p->segments[0].begin;
    }
    return p->axis > 0 && !equal ? CM_EUNSUP : cm_virtual_chunk_rows(p, err);
}

/* Nothing can be referred to. */
static int take_none(cm_virtual_part *p, cm_error *err)
{
    cm_dtype dtype = p->variable->array->dtype;
    const cm_array *leaf = p->segments[0].leaf;
    const cm_chain *c =
        cm_array_is_chunked(leaf) && !is_strided(&p->segments[0]) ? cm_chunked_chain(leaf) : NULL;
    cm_codec *codec = NULL;
    int64_t nbytes = dtype.size;
    for (int i = 0; i < p->ndim; i++) {
        p->chunk[i] = c && c->a2b != CM_A2B_SHARDING ? c->shape[i] : cm_max_i64(p->shape[i], 1);
        nbytes *= p->chunk[i]; /* fits: a shape, or a chunk that a reader decodes */
    }
    for (int i = 0; i < p->ndim && (!c || c->a2b == CM_A2B_SHARDING); i++)
        while (p->chunk[i] > 1 && nbytes > CHUNK_NBYTES) {
            nbytes /= p->chunk[i];
            p->chunk[i] = cm_ceil_div(p->chunk[i], 2);
            nbytes *= p->chunk[i];
        }
    for (size_t k = 0; k < p->nsegments; k++)
        p->segments[k].fits = false;
    p->strided = false;
    cm_chain_unref(p->chain);
    p->chain = NULL;
    int r = cm_chain_new(dtype, p->ndim, p->chunk, &p->chain, err);
    if (r == 0)
        r = cm_codec_from_spec(cm_kind_is_vlen(dtype.kind) ? "zstd:3" : "blosc:zstd:3:shuffle",
                               dtype, &codec, err);
    return r ? r : cm_chain_append(p->chain, codec, err);
}

int cm_virtual_model(cm_virtual *v, cm_virtual_part *p, cm_error *err)
{
    model models[MAX_MODELS];
    const model *best = NULL;
    size_t n = list_models(v, p, models);
    for (size_t i = 0; i < n; i++)
        if (models[i].possible && models[i].steps > (best ? best->steps : 0))
            best = &models[i];
    if (best && !best->chain) {
        int r = take_rows(p, NULL);
        if (r != CM_EUNSUP)
            return r && err ? cm_error_set(err, r, "out of memory") : r;
        best = NULL;
    }
    if (!best)
        return take_none(p, err);
    for (size_t k = 0; k < p->nsegments; k++) {
        cm_segment *s = &p->segments[k];
        s->fits =
            s->fits && !is_strided(s) && cm_chain_equal(best->chain, cm_chunked_chain(s->leaf));
    }
    memcpy(p->chunk, best->chain->shape, sizeof p->chunk);
    p->chain = cm_chain_ref((cm_chain *)(uintptr_t)best->chain);
    return 0;
}
