/* format/hdf5/h5_unpacker_note.c: those unpackers that need nothing of their file, as numbers, and
 * back: fixed-length strings (char arrays among them) and bools. All others keep the file, or
 * tables of their own: for them it is asked. */
#include "base/memory.h"
#include "format/hdf5/h5_model.h"

bool cm_h5_unpacker_note(const cm_array *leaf, uint32_t note[4])
{
    if (!cm_chunked_unpacks_by(leaf, cm_h5_unpack))
        return false;
    const cm_h5_unpacker *u = cm_chunked_owner(leaf);
    if ((u->cells != CM_H5_CELLS_FIXED_STRING && u->cells != CM_H5_CELLS_BOOL) || u->moves ||
        u->paths)
        return false;
    note[0] = u->cells == CM_H5_CELLS_BOOL;
    note[1] = u->size;
    note[2] = u->used;
    note[3] = (uint32_t)u->padding;
    return true;
}

int cm_h5_unpacker_of_note(const uint32_t note[4], cm_dtype dtype, cm_h5_unpacker **out,
                           cm_error *err)
{
    cm_h5_unpacker u = {.cells = note[0] ? CM_H5_CELLS_BOOL : CM_H5_CELLS_FIXED_STRING,
                        .size = note[1],
                        .used = note[2],
                        .padding = (int)note[3]};
    bool fits = note[0] ? u.size == 1 && dtype.kind == CM_BOOL : dtype.kind == CM_STRING;
    if (!fits || u.size == 0 || u.used > u.size || note[3] > CM_H5_SPACE_PADDED)
        return cm_error_set(err, CM_EDATA, "a note of cells that is malformed");
    *out = cm_memdup(&u, sizeof u, err);
    return *out ? 0 : CM_ENOMEM;
}
