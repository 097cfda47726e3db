/* format/zarr/zarr_write_private.h: what the two halves of the metadata writer share. */
#ifndef CM_FORMAT_ZARR_WRITE_PRIVATE_H
#define CM_FORMAT_ZARR_WRITE_PRIVATE_H

#include "format/zarr/write.h"
#include "format/zarr/zarr_private.h"

struct cm_zarr_array {
    int format;
    char *path, *key_prefix;
    cm_dtype dtype;
    cm_table *keys;
    cm_zarr_cell fill;
    char *fill_string; /* owns the bytes of a string fill */
    void *fill_other;  /* owned; the cell of a type whose rules are its own, instead of fill */
    bool may_skip;
    cm_json *document, *zattrs; /* in the writer's document */
};

/* Fill in document, zattrs, fill and may_skip. format is set. Raises CM_EUNSUP, CM_EINVAL,
 * CM_ENOMEM. */
int cm_zarr_array_describe(cm_zarr_array *a, cm_json_doc *doc, const cm_zarr_array_spec *spec,
                           cm_error *err);

/* A JSON object of attributes, values copied; NULL when out of memory. */
cm_json *cm_zarr_attributes_describe(cm_json_doc *doc, const cm_attribute *attributes, size_t n);

#endif
