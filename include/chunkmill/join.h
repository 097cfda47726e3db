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

/* In which order datasets stand along the dimension. */
typedef enum cm_join_order {
    CM_ORDER_COORDINATE, /* by the values of its coordinate; as given where there is none */
    CM_ORDER_GIVEN,
    CM_ORDER_NAME /* by name, numbers in it by their value: day-2 before day-10 */
} cm_join_order;

/* Coordinate values out of order inside a file, or of files that lie inside of each other. */
typedef enum cm_unsorted {
    CM_UNSORTED_DEFAULT, /* refuse with CM_ORDER_COORDINATE, else keep */
    CM_UNSORTED_REFUSE,
    CM_UNSORTED_SORT, /* step by step */
    CM_UNSORTED_KEEP  /* and say so */
} cm_unsorted;

/* The same coordinate value more than once. First and last: of the datasets as given, with
 * CM_ORDER_NAME by name. */
typedef enum cm_duplicates {
    CM_DUPLICATES_REFUSE,
    CM_DUPLICATES_FIRST,
    CM_DUPLICATES_LAST,
    CM_DUPLICATES_KEEP
} cm_duplicates;

/* Steps missing of an axis that is otherwise regular: whole numbers or times most of which are one
 * distance apart (or one number of months), and all others a multiple of it. */
typedef enum cm_gaps {
    CM_GAPS_WARN,
    CM_GAPS_REFUSE,
    CM_GAPS_FILL, /* steps of fill values are put there */
    CM_GAPS_IGNORE
} cm_gaps;

typedef struct cm_join_options {
    /* The dimension; NULL: the unlimited one, or the only one along which lengths or coordinate
     * values differ. */
    const char *concat;
    /* Take variables without that dimension from the first file without comparing them. */
    bool static_first;
    cm_join_order order;
    cm_unsorted unsorted;
    cm_duplicates duplicates;
    cm_gaps gaps;
    /* A new dimension to stack the datasets along, which none of them has: as its values coord's,
     * else those of the scalar variable of that name, else 0, 1, 2... in the order given. Data
     * variables get the dimension; coordinates of other dimensions do not, and must be equal; nor
     * do auxiliary coordinates, bounds and grid mappings, if they are equal in all. */
    const char *stack;
    /* The joined dimension's coordinate values, from elsewhere than a variable:
     *   "time=date:%Y%m%d"              a date in the file's name
     *   "member=name:r([0-9]+)i"        what a regular expression finds in it
     *   "time=attr:NAME", "VAR@NAME"    an attribute: ISO 8601, a number, a text
     *   "member=values:1,2,5"           in the order of the datasets
     * They take the place of the coordinate variable, if there is one; when the datasets have no
     * such dimension they are stacked along it. */
    const char *coord;
    const char *calendar; /* of the dates; NULL: of the variable that is replaced, else standard */
    /* The datasets may have different variables: those that have the same are joined (each set for
     * itself, along the dimension; one by itself is taken as it is), then all are put side by side.
     * What several have must be equal, bit for bit. */
    bool merge;
    bool keep_first; /* the first dataset has its own: the others extend it */
} cm_join_options;

CM_API void cm_join_options_init(cm_join_options *options);

/* n >= 1 datasets side by side along a dimension, ordered by its coordinate's values unless the
 * options say otherwise. The datasets may differ in chunk shape, codec and byte order; they must
 * not differ in variables, dtype, other dimensions' lengths, packing (scale_factor, add_offset,
 * _FillValue, missing_value, _Unsigned) or calendar. Time coordinates whose reference date or unit
 * differ are re-encoded exactly to the first file's; attributes that differ otherwise: the first
 * file's are kept and the differences logged once. Without a coordinate variable the given order is
 * kept. What is left out, moved or filled is logged.
 *
 * Filled steps hold a variable's _FillValue or missing_value, else NaN or not-a-time; a variable
 * that has none of these is refused. Their coordinates, and bounds that follow from them, are
 * computed.
 *
 * Raises CM_EJOIN naming both files, the variable and the option that decides it; CM_EDATA, CM_EIO,
 * CM_ELIMIT (too many steps to sort one by one), CM_ENOMEM. */
CM_API int cm_dataset_join(cm_context *ctx, cm_dataset *const *datasets, size_t n,
                           const cm_join_options *options, cm_dataset **out,
                           cm_error *err) CM_MUST_CHECK;

/* What cm_dataset_join did, borrowed from the dataset that it made; NULL for others. An object:
 * "dimension", "order" ("coordinate", "given", "name"), "files", "steps", "stacked" and "shared"
 * (variables, when a new dimension was made), "duplicates" (values that were there more than once),
 * "missing", "filled" (steps), "notes": lines for people. Of merged
 * ones: "merged", a list of such objects with "variables"; "files"; "shared", the variables that
 * several had. */
CM_API const cm_json *cm_dataset_join_report(const cm_dataset *ds);

#ifdef __cplusplus
}
#endif
#endif
