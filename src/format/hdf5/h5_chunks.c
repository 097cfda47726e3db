/* format/hdf5/h5_chunks.c: the chunk table of a dataset, read from the file on first use.
 *
 * Opening a file looks at no chunk index: a cube of ten thousand files would read ten thousand of
 * them to print a shape. The first locate loads the index into a listed table (array/chunked.h)
 * under the table's lock, in one go and in time proportional to the number of chunks; later ones
 * only look at an atomic pointer. A load that failed is tried again by the next caller and fails
 * again with its reason.
 *
 * This file has the lazy table and the check of each entry; h5_chunk_index.h names the indexes.
 * Chunks that lie wholly outside the dataset's extent are left out, as libhdf5 never looks at them.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "format/hdf5/h5_chunk_index.h"

typedef struct lazy {
    cm_table base;
    cm_h5_chunks_spec spec; /* file ref'd, lengths and unknown_name in `lengths` */
    pthread_mutex_t lock;   /* guards loading */
    cm_table *loaded;       /* atomic; NULL before */
    uint64_t lengths[];
} lazy;

static void coord_text(const cm_h5_chunks_spec *spec, const int64_t *coord, char *buf, size_t size)
{
    size_t at = 0;
    buf[0] = 0;
    for (int i = 0; i < spec->ndim && at < size; i++)
        at += (size_t)snprintf(buf + at, size - at, "%s%" PRId64, i ? ", " : "", coord[i]);
}

/* Filters that are not known leave the chain; the bits of the others move down. */
static int translate_mask(const cm_h5_chunks_spec *spec, const char *where, uint32_t *mask,
                          cm_error *err)
{
    if (!spec->unknown)
        return 0;
    if ((*mask & spec->unknown) != spec->unknown)
        return cm_error_set(err, CM_EUNSUP, "chunk (%s) uses %s", where, spec->unknown_name);
    uint32_t out = 0;
    for (int i = 0, k = 0; i < spec->nfilters; i++)
        if (!(spec->unknown >> i & 1)) {
            out |= (*mask >> i & 1) << k;
            k++;
        }
    *mask = out;
    return 0;
}

int cm_h5_chunk_add(cm_h5_chunk_sink *sink, const int64_t *coord, uint64_t addr, uint64_t nbytes,
                    uint32_t mask, cm_error *err)
{
    const cm_h5_chunks_spec *spec = sink->spec;
    const cm_h5_file *f = spec->file;
    /* Bytes of the file that an entry takes, or where there are none, its chunk. */
    unsigned least = spec->index == CM_H5_INDEX_IMPLICIT ? 1 : f->nbytes_off;
    if (sink->nvisited++ > f->size / least)
        return cm_error_set(err, CM_EDATA, "chunk index has more entries than fit into the file");
    if (addr == CM_H5_UNDEF)
        return 0;
    bool partial = false;
    int64_t inside[CM_MAX_DIMS] = {0}; /* the axes of an array type have one chunk */
    for (int i = 0; i < spec->index_ndim; i++)
        if (coord[i] >= sink->grid[i])
            return 0;
    for (int i = 0; i < spec->index_ndim; i++)
        partial = partial || coord[i] * spec->chunk[i] > spec->shape[i] - spec->chunk[i];
    memcpy(inside, coord, (size_t)spec->index_ndim * sizeof *coord);
    if (partial && spec->edges_unfiltered)
        mask = UINT32_MAX;
    char where[256];
    uint64_t offset;
    if (!cm_add_u64(f->base, addr, &offset) || offset > f->size || nbytes > f->size - offset) {
        coord_text(spec, inside, where, sizeof where);
        return cm_error_set(err, CM_EDATA,
                            "chunk (%s) at %" PRIu64 " (%" PRIu64 " bytes) is not inside the file",
                            where, addr, nbytes);
    }
    if (spec->unknown) {
        coord_text(spec, inside, where, sizeof where);
        int rc = translate_mask(spec, where, &mask, err);
        if (rc)
            return rc;
    }
    return cm_listed_add(sink->listed, inside, offset, nbytes, mask, err);
}

static int load_index(cm_h5_chunk_sink *sink, cm_error *err)
{
    switch (sink->spec->index) {
    case CM_H5_INDEX_SINGLE: return cm_h5_index_single(sink, err);
    case CM_H5_INDEX_IMPLICIT: return cm_h5_index_implicit(sink, err);
    case CM_H5_INDEX_FIXED: return cm_h5_index_fixed(sink, err);
    case CM_H5_INDEX_EXTENSIBLE: return cm_h5_index_extensible(sink, err);
    case CM_H5_INDEX_BTREE2: return cm_h5_index_btree2(sink, err);
    default: return cm_h5_index_btree1(sink, err);
    }
}

static int load(lazy *t, cm_error *err)
{
    const cm_h5_chunks_spec *spec = &t->spec;
    cm_h5_chunk_sink sink = {.spec = spec};
    for (int i = 0; i < spec->index_ndim; i++)
        sink.grid[i] = cm_ceil_div(spec->shape[i], spec->chunk[i]);
    int64_t outer[CM_MAX_DIMS];
    for (int i = 0; i < spec->ndim; i++)
        outer[i] = cm_ceil_div(spec->outer[i], spec->chunk[i]);
    int rc = cm_listed_new(spec->file->ctx, spec->ndim, outer, &sink.listed, err);
    if (rc)
        return rc;
    rc = load_index(&sink, err);
    if (rc) {
        cm_listed_free(sink.listed);
        return rc;
    }
    cm_table *table;
    rc = cm_listed_freeze(sink.listed, &table, err);
    if (rc == 0)
        __atomic_store_n(&t->loaded, table, __ATOMIC_RELEASE);
    return rc;
}

static int ensure(lazy *t, cm_table **out, cm_error *err)
{
    int rc = 0;
    *out = __atomic_load_n(&t->loaded, __ATOMIC_ACQUIRE);
    if (*out)
        return 0;
    pthread_mutex_lock(&t->lock);
    if (!t->loaded)
        rc = load(t, err);
    *out = t->loaded;
    pthread_mutex_unlock(&t->lock);
    return rc;
}

static int lazy_locate(const cm_table *base, const int64_t *coord, cm_location *out, cm_error *err)
{
    cm_table *table;
    int rc = ensure((lazy *)(uintptr_t)base, &table, err);
    return rc ? rc : table->locate(table, coord, out, err);
}

/* Planners ask once, and read next: the index is loaded here already. 0 (not known) when it cannot
 * be: the read will say why. */
static uint64_t lazy_max_nbytes(const cm_table *base)
{
    cm_table *table;
    if (ensure((lazy *)(uintptr_t)base, &table, NULL))
        return 0;
    return table->max_nbytes ? table->max_nbytes(table) : 0;
}

static void lazy_want(const cm_table *base)
{
    const lazy *t = (const lazy *)base;
    if (t->spec.index == CM_H5_INDEX_BTREE1 && !__atomic_load_n(&t->loaded, __ATOMIC_ACQUIRE))
        cm_h5_index_btree1_want(&t->spec);
}

static void lazy_free(cm_table *base)
{
    lazy *t = (lazy *)base;
    if (t->loaded)
        t->loaded->free(t->loaded);
    pthread_mutex_destroy(&t->lock);
    cm_h5_file_unref(t->spec.file);
    free(t);
}

int cm_h5_chunks_new(const cm_h5_chunks_spec *spec, cm_table **out, cm_error *err)
{
    size_t n = (size_t)spec->nlengths, nbytes = n * sizeof(uint64_t);
    size_t nname = spec->unknown_name ? strlen(spec->unknown_name) : 0;
    lazy *t = cm_calloc(1, sizeof *t + 4 * nbytes + nname + 1, err);
    if (!t)
        return CM_ENOMEM;
    t->base = (cm_table){lazy_locate, lazy_free, lazy_max_nbytes, lazy_want};
    t->spec = *spec;
    t->spec.unknown_name = (char *)(t->lengths + 4 * n);
    if (nname)
        memcpy(t->lengths + 4 * n, spec->unknown_name, nname);
    if (n) {
        t->spec.shape = memcpy(t->lengths, spec->shape, nbytes);
        t->spec.outer = memcpy(t->lengths + n, spec->outer, nbytes);
        t->spec.chunk = memcpy(t->lengths + 2 * n, spec->chunk, nbytes);
        t->spec.max = memcpy(t->lengths + 3 * n, spec->max, nbytes);
    }
    cm_h5_file_ref(spec->file);
    pthread_mutex_init(&t->lock, NULL);
    *out = &t->base;
    return 0;
}

int cm_h5_chunks_load(cm_table *t, cm_error *err)
{
    cm_table *loaded;
    return ensure((lazy *)t, &loaded, err);
}

/* ---- more axes ------------------------------------------------------------------------------- */

typedef struct lifted {
    cm_table base;
    cm_table *inner;
    int ndim, from[CM_MAX_DIMS];
} lifted;

static int lifted_locate(const cm_table *base, const int64_t *coord, cm_location *out,
                         cm_error *err)
{
    const lifted *t = (const lifted *)base;
    int64_t own[CM_MAX_DIMS] = {0};
    for (int i = 0; i < t->ndim; i++)
        if (t->from[i] >= 0)
            own[t->from[i]] = coord[i];
    return t->inner->locate(t->inner, own, out, err);
}

static uint64_t lifted_max_nbytes(const cm_table *base)
{
    const cm_table *inner = ((const lifted *)base)->inner;
    return inner->max_nbytes ? inner->max_nbytes(inner) : 0;
}

static void lifted_want(const cm_table *base)
{
    const cm_table *inner = ((const lifted *)base)->inner;
    if (inner->want)
        inner->want(inner);
}

static void lifted_free(cm_table *base)
{
    lifted *t = (lifted *)base;
    t->inner->free(t->inner);
    free(t);
}

int cm_h5_lifted_table_new(cm_table *inner, int ndim, const int *from, cm_table **out,
                           cm_error *err)
{
    lifted *t = cm_calloc(1, sizeof *t, err);
    if (!t)
        return CM_ENOMEM;
    t->base = (cm_table){lifted_locate, lifted_free, lifted_max_nbytes, lifted_want};
    t->inner = inner;
    t->ndim = ndim;
    memcpy(t->from, from, (size_t)ndim * sizeof *from);
    *out = &t->base;
    return 0;
}

/* ---- nothing --------------------------------------------------------------------------------- */

static int nowhere_locate(const cm_table *t, const int64_t *coord, cm_location *out, cm_error *err)
{
    (void)t, (void)coord, (void)err;
    out->key[0] = 0;
    out->inline_data = NULL;
    out->where = CM_AT_NOWHERE;
    return 0;
}

static void nowhere_free(cm_table *t)
{
    free(t);
}

int cm_h5_nowhere_new(cm_table **out, cm_error *err)
{
    *out = cm_calloc(1, sizeof **out, err);
    if (!*out)
        return CM_ENOMEM;
    **out = (cm_table){.locate = nowhere_locate, .free = nowhere_free};
    return 0;
}
