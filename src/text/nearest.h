/* text/nearest.h: "did you mean": the known name that is closest to a misspelt one.
 *
 *     cm_nearest n;
 *     cm_nearest_init(&n, "tmie");
 *     for (...) cm_nearest_offer(&n, name);
 *     if (cm_nearest_best(&n)) cm_error_hint(err, "did you mean %s?", cm_nearest_best(&n));
 *
 * Threads: pure functions on the caller's struct.
 */
#ifndef CM_TEXT_NEAREST_H
#define CM_TEXT_NEAREST_H

#include <stddef.h>

typedef struct cm_nearest {
    const char *want, *best; /* borrowed */
    size_t distance;
} cm_nearest;

void cm_nearest_init(cm_nearest *n, const char *want);

/* candidate is borrowed until the last cm_nearest_best. NULL is ignored. One that holds the wanted
 * name, or is held by it, with 3 letters or more, is near; of two such the shorter. */
void cm_nearest_offer(cm_nearest *n, const char *candidate);

/* The closest one offered, the first of equals; NULL when none is close enough to be meant (more
 * than a third of the letters differ). */
const char *cm_nearest_best(const cm_nearest *n);

/* Edits that turn a into b: insert, delete, replace or swap neighbours cost 2 each, another case of
 * the same ASCII letter 1. Names are compared up to 64 bytes; longer ones: SIZE_MAX unless equal.
 */
size_t cm_edit_distance(const char *a, const char *b);

#endif
