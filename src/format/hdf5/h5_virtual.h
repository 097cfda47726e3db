/* format/hdf5/h5_virtual.h: datasets that are made of others (VDS). */
#ifndef CM_FORMAT_HDF5_VIRTUAL_H
#define CM_FORMAT_HDF5_VIRTUAL_H

#include "format/hdf5/h5_model.h"

/* Cells of one axis: count blocks of `block` cells, one every `stride`, from start. count or block
 * is CM_H5_OPEN where the selection has no end, until h5_growing.c gives it one. */
#define CM_H5_OPEN INT64_MAX
typedef struct cm_h5_run {
    int64_t start, stride, count, block;
} cm_h5_run;

static inline bool cm_h5_run_is_open(const cm_h5_run *r)
{
    return r->count == CM_H5_OPEN || r->block == CM_H5_OPEN;
}

/* A selection: the product of its axes, one of them open at most. ndim 0: not given, everything.
 * While nblocks is not 0: all cells of so many blocks, ndim axes each; cm_h5_unions_cut makes
 * products of these. */
typedef struct cm_h5_slab {
    int ndim;
    cm_h5_run *axis;
    size_t nblocks;
    const cm_h5_run *blocks;
} cm_h5_slab;

typedef struct cm_h5_mapping {
    const char *file; /* ".": the same */
    const char *path;
    bool counted; /* the names have %b in them, and %% for % */
    bool none;    /* selects nothing */
    bool whole;   /* there is everything that the source has */
    cm_h5_slab there, here;
} cm_h5_mapping;

/* d->mappings from the bytes of the heap object. d->space is known. CM_EUNSUP for selections that
 * are not read. */
int cm_h5_mappings_parse(cm_h5_scan *s, cm_h5_dataset *d, const uint8_t *data, size_t nbytes,
                         cm_error *err);

/* Mappings with selections of irregular blocks become several that are products. d->grows is known.
 * CM_EUNSUP, CM_ELIMIT for those that cannot, CM_EDATA for such as have no sense. */
int cm_h5_unions_cut(cm_h5_scan *s, cm_h5_dataset *d, cm_error *err);

/* The array that d's mappings make; fill: of its dtype; path: the variable's. */
int cm_h5_virtual_new(cm_h5_scan *s, const cm_h5_dataset *d, cm_dtype dtype, const void *fill,
                      const char *path, cm_array **out, cm_error *err);

/* Where the axes of a source dataset go: the shape that each has selected, one after the other, is
 * that of the selection here, but for axes of length 1 here. The axis of the source, or -1, for
 * each axis here; false when they do not match. */
bool cm_h5_align(int nthere, const int64_t *there, int nhere, const int64_t *here, int *from);

/* The dataset as an array of ndim axes: axis i is its axis from[i], or has length 1 (-1). Its
 * dimensions are not resolved: it is as long as the file says. */
int cm_h5_lifted_array(cm_h5_scan *s, const cm_h5_dataset *d, int ndim, const int *from,
                       cm_array **out, cm_error *err);

#endif
