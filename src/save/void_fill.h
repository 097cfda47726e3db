/* save/void_fill.h: attributes without a `_FillValue` that no cell can be. */
#ifndef CM_SAVE_VOID_FILL_H
#define CM_SAVE_VOID_FILL_H

#include "format/zarr/write.h"

enum { CM_VOID_FILL_LINE = 1024 };

/* Takes a `_FillValue` that is no value of spec->dtype out of spec->attributes. *copy: the list
 * that spec then borrows, its elements borrowed of the old one, freed by the caller with free; NULL
 * when nothing is left out. CM_ENOMEM. */
int cm_leave_out_void_fill(cm_zarr_array_spec *spec, cm_attribute **copy, cm_error *err);

/* What people are told of it: a line of at most CM_VOID_FILL_LINE bytes. */
void cm_void_fill_line(const cm_zarr_array_spec *spec, char *line, size_t size);

#endif
