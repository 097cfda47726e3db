/* cf/packing.h: scale_factor, add_offset, _FillValue, missing_value and _Unsigned.
 *
 * Source: CF conventions 1.11 section 8.1, NUG appendix B; the dtype of the result is xarray's
 * (xarray/coding/variables.py, _choose_float_dtype and maybe_promote), with four differences: a
 * scale or offset of integer type counts as double (xarray makes an integer array, which cannot
 * hold NaN), times are unpacked to double whatever the attributes' type (float32 cannot hold them),
 * and a fill value attribute of another type than the data is first rounded to the data's type, so
 * that 1e20 as a double masks 1e20 in float32 data; and cells are compared with fill values as
 * stored, not after rounding to float32, so that int32 and float64 fills packed by float32 scales
 * are found (xarray shows them as data).
 *
 * Threads: pure functions; the arrays are immutable.
 */
#ifndef CM_CF_PACKING_H
#define CM_CF_PACKING_H

#include "chunkmill/cf.h"
#include "dataset/dataset_private.h"

#define CM_MAX_FILLS 16

typedef struct cm_packing {
    bool scaled;          /* scale_factor or add_offset is there */
    bool masked;          /* there are fill values other than NaN */
    bool reinterpreted;   /* _Unsigned changes the sign of the stored integers */
    cm_dtype stored;      /* of the array */
    cm_dtype packed;      /* of the array with _Unsigned applied */
    cm_dtype natural;     /* what unpacking gives by itself (CM_UNPACK_AUTO) */
    double scale, offset; /* 1 and 0 when not given */
    bool has_offset;      /* add_offset is there */
    int nfills;
    uint64_t fills[CM_MAX_FILLS]; /* a cell of `packed` each, the rest zero */
} cm_packing;

/* What the variable's attributes say; the variable has an array. A variable of strings, bytes or
 * bool, or without any of the attributes, gives a packing that does nothing (natural equal to
 * stored). Raises CM_EDATA for attributes that are no numbers, CM_EUNSUP for complex numbers with
 * scale_factor or add_offset and for more than CM_MAX_FILLS fill values. */
int cm_packing_of(const cm_variable *v, cm_packing *out, cm_error *err);

/* True when unpacking changes anything. */
bool cm_packing_does(const cm_packing *p);

/* The dtype that unpacking gives: stored when it does nothing, an integer when only _Unsigned is
 * there. wide: a coordinate or a time, which is never made float32 by CM_UNPACK_FLOAT32. */
cm_dtype cm_packing_dtype(const cm_packing *p, cm_unpack mode, bool wide);

/* src unpacked to that dtype, a new array (src itself, ref'd, when there is nothing to do). Cells
 * equal to a fill value become NaN. Products and sums are rounded as numpy rounds them in xarray:
 * to the natural dtype after each step; with CM_UNPACK_FLOAT32 of a natural float64 once at the
 * end. */
int cm_array_unpack(cm_array *src, const cm_packing *p, cm_dtype to, cm_array **out, cm_error *err);

/* True when cell, one of `stored`, is one of the fill values, or NaN. */
bool cm_packing_is_missing(const cm_packing *p, const void *cell);

/* The attributes that describe packing, NULL-terminated; unpacked variables lose them. The second
 * list holds those that are in packed units, and are lost when the variable is scaled. */
extern const char *const cm_packing_attributes[];
extern const char *const cm_packed_range_attributes[];

#endif
