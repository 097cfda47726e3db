/* format/hdf5/h5_chunk_index.h: the ways in which HDF5 says where chunks are.
 *
 * Each index reads itself from the file and gives every chunk to cm_h5_chunk_add, in any order.
 * Threads: an index is read by one thread, with its own reads; nothing is shared.
 */
#ifndef CM_FORMAT_HDF5_CHUNK_INDEX_H
#define CM_FORMAT_HDF5_CHUNK_INDEX_H

#include "format/hdf5/h5_model.h"

typedef struct cm_h5_chunk_sink {
    const cm_h5_chunks_spec *spec;
    cm_listed *listed;
    int64_t grid[CM_MAX_DIMS]; /* number of chunks along each axis of the extent */
} cm_h5_chunk_sink;

/* A chunk with grid coordinate coord (none negative): ignored when it has no address or is outside
 * the extent. CM_EDATA when it is not inside the file, CM_EUNSUP when it uses an unknown filter. */
int cm_h5_chunk_add(const cm_h5_chunk_sink *sink, const int64_t *coord, uint64_t addr,
                    uint64_t nbytes, uint32_t mask, cm_error *err);

int cm_h5_index_btree1(const cm_h5_chunk_sink *sink, cm_error *err);

#endif
