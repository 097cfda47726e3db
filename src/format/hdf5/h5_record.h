/* format/hdf5/h5_record.h: stored cells of any fixed size as cells of memory. */
#ifndef CM_FORMAT_HDF5_RECORD_H
#define CM_FORMAT_HDF5_RECORD_H

#include "format/hdf5/h5_message.h"

#define CM_H5_MAX_CELL (16u << 20) /* bytes of one: as records have it (chunkmill/dtype.h) */

/* How the cells of one HDF5 type become cells of a dtype. Immutable, counted. */
typedef struct cm_h5_moves cm_h5_moves;

/* For a compound, or anything that may be a member of one: CM_EUNSUP, with the member's name, for
 * what has no fixed size or is not read. */
int cm_h5_moves_new(const cm_h5_type *t, cm_h5_moves **out, cm_error *err);
const cm_h5_moves *cm_h5_moves_ref(const cm_h5_moves *m);
void cm_h5_moves_unref(const cm_h5_moves *m); /* NULL is legal */

/* What the cells become; the record in it is the moves'. */
cm_dtype cm_h5_moves_dtype(const cm_h5_moves *m);
uint32_t cm_h5_moves_stored(const cm_h5_moves *m); /* bytes of a stored cell */

/* True when stored cells are cells of memory as they are. */
bool cm_h5_moves_plain(const cm_h5_moves *m);

/* n stored cells, one behind the other, into dst. CM_EDATA for what cannot be: a bool of 2. */
int cm_h5_moves_run(const cm_h5_moves *m, const uint8_t *stored, void *dst, size_t n,
                    cm_error *err);

/* The dtype of an opaque type: h5py's times, else raw bytes. */
cm_dtype cm_h5_opaque_dtype(const cm_h5_type *t, bool *big_endian);

/* One cell of an integer that does not fill its bytes, or has 3, 5, 6 or 7 of them, as a native
 * integer of `out` bytes. */
typedef struct cm_h5_narrow {
    uint32_t size, out;
    uint8_t bits, shift;
    bool is_signed, big_endian;
} cm_h5_narrow;

cm_h5_narrow cm_h5_narrow_of(const cm_h5_type *t);
void cm_h5_widen(const cm_h5_narrow *u, const uint8_t *stored, uint8_t *cell);

/* Length of a fixed string's value. */
size_t cm_h5_string_length(const uint8_t *p, size_t size, int padding);

#endif
