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
    uint64_t nvisited;         /* entries looked at: no more than the file has room for */
} cm_h5_chunk_sink;

/* A chunk with grid coordinate coord (none negative): ignored when it has no address or is outside
 * the extent. CM_EDATA when it is not inside the file, CM_EUNSUP when it uses an unknown filter. */
int cm_h5_chunk_add(cm_h5_chunk_sink *sink, const int64_t *coord, uint64_t addr, uint64_t nbytes,
                    uint32_t mask, cm_error *err);

int cm_h5_index_btree1(cm_h5_chunk_sink *sink, cm_error *err);
void cm_h5_index_btree1_want(const cm_h5_chunks_spec *spec);

/* Those of layout version 4. */
int cm_h5_index_single(cm_h5_chunk_sink *sink, cm_error *err);
int cm_h5_index_implicit(cm_h5_chunk_sink *sink, cm_error *err);
int cm_h5_index_fixed(cm_h5_chunk_sink *sink, cm_error *err);
int cm_h5_index_extensible(cm_h5_chunk_sink *sink, cm_error *err);
int cm_h5_index_btree2(cm_h5_chunk_sink *sink, cm_error *err);

/* Coordinates from a chunk's number in the order of the grid of *maximal* extent; `first` is the
 * axis that counts slowest (the unlimited one of an extensible array), the others keep their order.
 */
void cm_h5_chunk_coord(const cm_h5_chunks_spec *spec, int first, uint64_t number, int64_t *coord);

/* One element of a fixed or extensible array: an address, or address, size and filter mask. */
int cm_h5_chunk_element(cm_h5_chunk_sink *sink, int first, uint64_t number, cm_h5_cursor *c,
                        size_t nbytes, bool filtered, cm_error *err);

#endif
