/* array/chunked_lead.h: see chunked_lead.c. */
#ifndef CM_ARRAY_CHUNKED_LEAD_H
#define CM_ARRAY_CHUNKED_LEAD_H

#include "array/array_private.h"

/* leaf (cm_array_is_chunked) with one more axis, of length 1, before its own; it keeps a reference.
 * Raises CM_EUNSUP (shards, cells of a format's own, chunks of different lengths, too many axes),
 * CM_ENOMEM. */
int cm_chunked_with_lead(cm_array *leaf, cm_array **out, cm_error *err);

#endif
