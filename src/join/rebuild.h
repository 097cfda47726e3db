/* join/rebuild.h: copying parts of one dataset into another.
 *
 * Attribute values are copied into the new dataset's document, so the source may go. */
#ifndef CM_JOIN_REBUILD_H
#define CM_JOIN_REBUILD_H

#include "dataset/dataset_private.h"

int cm_rebuild_group_attributes(cm_group *dst, const cm_group *src, cm_error *err);

/* A variable of src's name, dimension names, attributes and storage notes in dst, holding array
 * (taken, also on failure). without: up to two NULL-terminated lists (NULL: none) of attributes
 * that are left out. */
int cm_rebuild_variable(cm_group *dst, const cm_variable *src, cm_array *array,
                        const char *const *without, const char *const *without_too, cm_error *err);

/* The same with `dimension` before src's own, which array has too. */
int cm_rebuild_stacked(cm_group *dst, const cm_variable *src, const char *dimension,
                       cm_array *array, cm_error *err);

/* All variables of a group and of those below it, in file order. *list: malloc'ed, of borrowed
 * variables. */
int cm_rebuild_list(cm_group *g, cm_variable ***list, size_t *n, cm_error *err);

/* "v cannot be kept": its problem with the hint to skip it. Returns its code. */
int cm_rebuild_unreadable(const cm_variable *v, cm_error *err);

#endif
