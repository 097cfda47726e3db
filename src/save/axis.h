/* save/axis.h: one axis of a save: how tiles of target units lie over the source's chunks.
 *
 * All planning is per axis and multiplies: grids of arrays are products of their axes' grids.
 */
#ifndef CM_SAVE_AXIS_H
#define CM_SAVE_AXIS_H

#include "array/array_private.h"

/* Largest source boundary <= x, smallest >= x, for 0 <= x <= length. */
int64_t cm_axis_floor(const cm_axis_grid *g, int64_t x);
int64_t cm_axis_ceil(const cm_axis_grid *g, int64_t x);

/* Length of the longest source chunk, at least 1. */
int64_t cm_axis_longest(const cm_axis_grid *g);

/* How often a cell's chunk is read on average when the axis is read in tiles of width cells:
 * sum over tiles of (covered chunks' length) / length. 1.0 exactly when every tile boundary is a
 * source boundary. A length of 0 gives 1. */
double cm_axis_reread(const cm_axis_grid *g, int64_t width);

/* The same for tiles of `per` units each, of which unit i lies from cuts[i] to cuts[i + 1]. */
double cm_axis_reread_cuts(const cm_axis_grid *g, const int64_t *cuts, int64_t nunits, int64_t per);

/* Candidate tile widths in units (1 <= u <= nunits), increasing, at most max of them: small
 * numbers, growing ones, what aligns with a regular source, and nunits. Returns how many. */
int cm_axis_candidates(const cm_axis_grid *g, int64_t unit, int64_t nunits, int64_t *out, int max);

#endif
