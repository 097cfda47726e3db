/* array/compose.h: arrays made of arrays: a box of one, several side by side, one with other
 * values.
 *
 * A composite holds counted references to its parts and no cells: asked for a region it passes the
 * question on with a changed frame (array_private.h). Parts are ref'd by these functions, not
 * taken: the caller still unrefs its own reference, on success and on failure.
 *
 * Threads: composites are immutable once made.
 */
#ifndef CM_ARRAY_COMPOSE_H
#define CM_ARRAY_COMPOSE_H

#include "array/array_private.h"

/* The box [start, start + count) of src as an array of shape count. start, count: ndim values;
 * lengths may be 0. The whole of src gives src itself, ref'd. Raises CM_EINVAL (box outside the
 * shape), CM_ELIMIT (more than 16 M irregular chunk boundaries on one axis), CM_ENOMEM. */
int cm_array_subset(cm_array *src, const int64_t *start, const int64_t *count, cm_array **out,
                    cm_error *err);

/* n >= 1 arrays side by side along axis, in the order given. They must have the same dtype, number
 * of axes and lengths of the other axes (CM_EJOIN, naming the labels of the first part and of the
 * odd one); chunk shapes, codecs and length along axis (0 too) are each part's own. The result's
 * fill, label and path are the first part's; cells that a part never wrote read as that part's own
 * fill. Raises CM_EINVAL (no parts, axis outside), CM_EJOIN, CM_ELIMIT, CM_ENOMEM. */
int cm_array_concat(cm_array *const *parts, size_t n, int axis, cm_array **out, cm_error *err);

/* The same cells with other values: apply is cm_map's (state comes as map->state). to: the dtype
 * that apply writes. state_free(state), may be NULL, is called when the array goes, or before a
 * failing call returns: state is taken. fill: the result's fill, to.size bytes (for CM_STRING a
 * cm_string); NULL: apply is called on src's fill (for CM_STRING: the empty string). Raises
 * CM_ENOMEM and what apply raises on the fill. */
typedef int (*cm_map_fn)(const cm_map *map, const void *src, void *dst, int64_t n, cm_arena *arena,
                         cm_error *err);
int cm_array_map(cm_array *src, cm_dtype to, cm_map_fn apply, void *state,
                 void (*state_free)(void *state), const void *fill, cm_array **out, cm_error *err);

/* The array that a was made of by cm_array_map, borrowed; NULL when a is not such an array. */
cm_array *cm_array_map_source(const cm_array *a);

/* Was it made with this function? */
bool cm_array_map_applies(const cm_array *a, cm_map_fn apply);

/* An array of one value, fill (dtype.size bytes; for CM_STRING a cm_string), that nobody stores.
 * chunk: what its grid says, ndim lengths >= 1; NULL: the whole. Raises CM_EINVAL, CM_ENOMEM. */
int cm_array_blank(cm_dtype dtype, int ndim, const int64_t *shape, const int64_t *chunk,
                   const void *fill, const char *label, const char *path, cm_array **out,
                   cm_error *err);
bool cm_array_is_blank(const cm_array *a);

/* src with one more axis, of length 1, before its others. Raises CM_EUNSUP (too many axes),
 * CM_ENOMEM. source: what an array was expanded from, borrowed; NULL when it is no such array. */
int cm_array_expand(cm_array *src, cm_array **out, cm_error *err);
cm_array *cm_array_expand_source(const cm_array *a);

/* What a composite is made of, borrowed. parts: false when a is no concatenation; begins: n + 1
 * positions along axis. subset: the array that a is a box of, and where it starts; NULL when a is
 * none.
 */
bool cm_array_concat_parts(const cm_array *a, cm_array *const **parts, size_t *n, int *axis,
                           const int64_t **begins);
cm_array *cm_array_subset_source(const cm_array *a, const int64_t **start);

#endif
