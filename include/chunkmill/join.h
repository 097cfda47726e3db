/* chunkmill/join.h: datasets made of datasets: subsets, and several files joined along a dimension.
 *
 * Nothing is copied: the result's arrays describe their parts and are read by the same engine as
 * any other. The result keeps its own references to the arrays, so the sources may be freed before
 * it.
 */
#ifndef CHUNKMILL_JOIN_H
#define CHUNKMILL_JOIN_H

#include "chunkmill/cf.h"
#include "chunkmill/dataset.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Which part of a dataset. Lists are arrays of n strings; 0 and NULL mean no restriction. */
typedef struct cm_select_options {
    const char *group;            /* path of the group that becomes the root; NULL: "/" */
    const char *const *variables; /* names or paths to keep; their coordinates, bounds and grid
                                     mappings come along */
    size_t nvariables;
    const char *const *skip; /* names or paths to leave out; may name unreadable variables */
    size_t nskip;
    const char *const *isel; /* "time=0:100", "lat=5" (keeps the axis, length 1), "x=-10:" */
    size_t nisel;
    const char *const *sel; /* "time=2001/2010", "lat=-10:10": by coordinate value, both ends
                               included; times as ISO 8601 prefixes */
    size_t nsel;
    cm_unpack unpack; /* CF floats instead of stored values: scale_factor, add_offset, _FillValue
                         and missing_value to NaN */
} cm_select_options;

CM_API void cm_select_options_init(cm_select_options *options);

/* The chosen part of ds as a new dataset. Fails for a name that does not exist (the nearest is
 * suggested), for a dimension without the coordinate that sel needs, and when a variable that would
 * be kept cannot be read (its own error, with the hint to skip it by name). Raises CM_EINVAL,
 * CM_EUNSUP, CM_EDATA and whatever reading coordinates raises. */
CM_API int cm_dataset_select(cm_context *ctx, cm_dataset *ds, const cm_select_options *options,
                             cm_dataset **out, cm_error *err) CM_MUST_CHECK;

typedef struct cm_join_options {
    /* The dimension; NULL: the unlimited one, or the only one along which lengths or coordinate
     * values differ. */
    const char *concat;
    /* Take variables without that dimension from the first file without comparing them. */
    bool static_first;
} cm_join_options;

CM_API void cm_join_options_init(cm_join_options *options);

/* n >= 1 datasets side by side along a dimension, ordered by its coordinate's values. The datasets
 * may differ in chunk shape, codec and byte order; they must not differ in variables, dtype, other
 * dimensions' lengths, packing (scale_factor, add_offset, _FillValue, missing_value, _Unsigned) or
 * calendar. Time coordinates whose reference date or unit differ are re-encoded exactly to the
 * first file's; attributes that differ otherwise: the first file's are kept and the differences
 * logged once. Without a coordinate variable the given order is kept. Raises CM_EJOIN naming both
 * files, the variable and the option that decides it; CM_EDATA, CM_EIO, CM_ENOMEM. */
CM_API int cm_dataset_join(cm_context *ctx, cm_dataset *const *datasets, size_t n,
                           const cm_join_options *options, cm_dataset **out,
                           cm_error *err) CM_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
