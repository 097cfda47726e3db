/* store/overlay.h: a store some bytes of one object of which are at hand.
 *
 * Reads of that object that are wholly among those bytes are answered from memory, all others and
 * everything else go to the store below. The bytes are of one version of the object, and are only
 * given to who asks for that version (or for none).
 *
 * Threads: fill it before others see it.
 */
#ifndef CM_STORE_OVERLAY_H
#define CM_STORE_OVERLAY_H

#include "store/store.h"

/* below is ref'd, key copied. */
int cm_overlay_new(cm_store *below, const char *key, const cm_object_version *version,
                   cm_store **out, cm_error *err);

/* nbytes at offset of the object are these (copied). In increasing order of offset, not
 * overlapping: CM_EDATA otherwise, or beyond the object's size. */
int cm_overlay_add(cm_store *overlay, uint64_t offset, const void *data, size_t nbytes,
                   cm_error *err);

/* The store below an overlay; s itself when it is none. */
const cm_store *cm_overlay_below(const cm_store *s);

#endif
