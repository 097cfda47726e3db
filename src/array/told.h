/* array/told.h: arrays that are only described: what a file's array is, without the file.
 *
 * A stand-in has the dtype, shape, fill, chunks, codec chain and, for contiguous data, the strides
 * of another array, so that it can be compared, joined and judged like it, and keeps nothing open.
 * It cannot be read.
 */
#ifndef CM_ARRAY_TOLD_H
#define CM_ARRAY_TOLD_H

#include "array/chunked.h"

/* What is odd about the chunks of an array. */
enum {
    CM_TOLD_MASK = 1,     /* some were stored with a filter mask */
    CM_TOLD_UNWRITTEN = 2 /* some were never written */
};

/* The stand-in of a chunked array, for arrays of this shape. In its table the first chunk has the
 * mask and the last was never written, if odd says so. truncated: contiguous data reach beyond the
 * end of their file. Raises CM_ENOMEM. */
int cm_array_tell(const cm_array *chunked, const int64_t *shape, unsigned odd, bool truncated,
                  cm_array **out, cm_error *err);

/* Is it the table of a stand-in, or of another's strides? */
bool cm_table_is_told(const cm_table *t, unsigned *odd);

#endif
