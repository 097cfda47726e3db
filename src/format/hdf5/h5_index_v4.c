/* format/hdf5/h5_index_v4.c: chunk indexes of layout version 4: one chunk, no index, version 2
 * B-tree; and how the numbers of the two array indexes become coordinates.
 *
 *   single     the dataset is one chunk; the layout itself says where
 *   implicit   all chunks lie side by side, allocated early, without filters
 *   B-tree v2  two or more unlimited axes: records with coordinates in chunks
 *
 * Arrays number chunks in C order of the grid of the maximal extent, not of the present one.
 */
#include <inttypes.h>

#include "format/hdf5/h5_chunk_index.h"

static uint64_t chunks_along(const cm_h5_chunks_spec *spec, int axis)
{
    uint64_t chunk = (uint64_t)spec->chunk[axis];
    uint64_t n = spec->max[axis] / chunk + (spec->max[axis] % chunk != 0);
    return n ? n : 1;
}

void cm_h5_chunk_coord(const cm_h5_chunks_spec *spec, int first, uint64_t number, int64_t *coord)
{
    for (int i = spec->index_ndim - 1; i >= 0; i--) {
        if (i == first)
            continue;
        uint64_t n = chunks_along(spec, i);
        coord[i] = (int64_t)(number % n & INT64_MAX);
        number /= n;
    }
    coord[first] = (int64_t)(number & INT64_MAX);
}

int cm_h5_chunk_element(cm_h5_chunk_sink *sink, int first, uint64_t number, cm_h5_cursor *c,
                        size_t nbytes, bool filtered, cm_error *err)
{
    const cm_h5_chunks_spec *spec = sink->spec;
    cm_h5_cursor e = cm_h5_cursor_of(c->p, nbytes);
    if (!cm_h5_take(c, nbytes))
        return cm_error_set(err, CM_EDATA, "chunk index is cut off");
    uint64_t addr = cm_h5_address(&e, spec->file), size = spec->chunk_nbytes;
    uint32_t mask = 0;
    if (filtered) {
        size = cm_h5_uint(&e, nbytes - 4u - spec->file->nbytes_off);
        mask = cm_h5_u32(&e);
    }
    int64_t coord[CM_MAX_DIMS];
    cm_h5_chunk_coord(spec, first, number, coord);
    return cm_h5_chunk_add(sink, coord, addr, size, mask, err);
}

int cm_h5_index_single(cm_h5_chunk_sink *sink, cm_error *err)
{
    const cm_h5_chunks_spec *spec = sink->spec;
    const int64_t origin[CM_MAX_DIMS] = {0};
    return cm_h5_chunk_add(sink, origin, spec->addr,
                           spec->single_filtered ? spec->single_nbytes : spec->chunk_nbytes,
                           spec->single_filtered ? spec->single_mask : 0, err);
}

int cm_h5_index_implicit(cm_h5_chunk_sink *sink, cm_error *err)
{
    const cm_h5_chunks_spec *spec = sink->spec;
    if (spec->nfilters)
        return cm_error_set(err, CM_EDATA, "chunks without an index have filters");
    int64_t coord[CM_MAX_DIMS] = {0};
    do {
        uint64_t number = 0, at;
        for (int i = 0; i < spec->index_ndim; i++)
            if (!cm_mul_u64(number, chunks_along(spec, i), &number) ||
                !cm_add_u64(number, (uint64_t)coord[i], &number))
                return cm_error_set(err, CM_EDATA, "grid of chunks is larger than a file can be");
        if (!cm_mul_u64(number, spec->chunk_nbytes, &at) || !cm_add_u64(at, spec->addr, &at))
            return cm_error_set(err, CM_EDATA, "chunks reach beyond any file");
        int rc = cm_h5_chunk_add(sink, coord, at, spec->chunk_nbytes, 0, err);
        if (rc)
            return rc;
    } while (cm_next(spec->index_ndim, sink->grid, coord));
    return 0;
}

/* ---- version 2 B-tree ------------------------------------------------------------------------ */

/* Types 10 and 11: address, (size, mask,) coordinates. */
static int record(void *user, const uint8_t *p, size_t nbytes, cm_error *err)
{
    cm_h5_chunk_sink *sink = user;
    const cm_h5_chunks_spec *spec = sink->spec;
    size_t plain = spec->file->nbytes_off + 8 * (size_t)spec->index_ndim;
    size_t extra = nbytes - plain;
    bool filtered = spec->nfilters > 0;
    if (nbytes < plain || (filtered && (extra < 5 || extra > 12)) || (!filtered && extra))
        return cm_error_set(err, CM_EDATA, "chunk record of %zu bytes", nbytes);
    cm_h5_cursor c = cm_h5_cursor_of(p, nbytes);
    uint64_t addr = cm_h5_address(&c, spec->file), size = spec->chunk_nbytes;
    uint32_t mask = 0;
    if (filtered) {
        size = cm_h5_uint(&c, extra - 4);
        mask = cm_h5_u32(&c);
    }
    int64_t coord[CM_MAX_DIMS];
    for (int i = 0; i < spec->index_ndim; i++)
        coord[i] = (int64_t)(cm_h5_uint(&c, 8) & INT64_MAX);
    return cm_h5_chunk_add(sink, coord, addr, size, mask, err);
}

int cm_h5_index_btree2(cm_h5_chunk_sink *sink, cm_error *err)
{
    const cm_h5_chunks_spec *spec = sink->spec;
    cm_h5_reader r;
    cm_h5_reader_init(&r, spec->file);
    int rc = cm_h5_btree2_each(&r, spec->addr, spec->nfilters ? 11 : 10, record, sink, err);
    cm_h5_reader_deinit(&r);
    return rc;
}
