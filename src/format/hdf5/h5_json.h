/* format/hdf5/h5_json.h: stored cells of any type as JSON, for attributes and for variables. */
#ifndef CM_FORMAT_HDF5_JSON_H
#define CM_FORMAT_HDF5_JSON_H

#include "format/hdf5/h5_model.h"

/* What turning cells into JSON needs. In attributes (scan is set) heaps are read through the scan,
 * fixed strings lose all their NULs, and text that is not UTF-8 is taken as Latin-1, with a warning
 * that names the attribute. In cells (scan is NULL) heaps are read through the file's cache, and
 * such text is CM_EDATA. */
typedef struct cm_h5_json {
    cm_h5_file *file;
    const cm_h5_paths *paths; /* of references */
    cm_json_doc *doc;
    cm_h5_scan *scan;
    const cm_h5_attribute *attribute;
    const char *path; /* of its object */
    size_t *nvalues;  /* made so far, of max_values */
    size_t max_values;
    size_t nescaped, max_escaped; /* bytes that escaping will add; cells only */
    int rc;                       /* of the first failure */
    cm_error *err;
} cm_h5_json;

/* The value of one cell: numbers, text, objects of compounds' members, lists of sequences and array
 * types, two hexadecimal digits for each opaque byte, the text of references (h5_reference.c). NULL
 * with j->rc: CM_ENOMEM also when the document is full. */
cm_json *cm_h5_json_cell(cm_h5_json *j, const cm_h5_type *t, const uint8_t *p);

/* v, or NULL with j->rc set: making JSON fails without memory only. */
cm_json *cm_h5_json_made(cm_h5_json *j, cm_json *v);

/* Can cells of the type be so read? CM_EUNSUP, CM_EDATA, CM_ELIMIT with the member's name. */
int cm_h5_json_check(const cm_h5_file *f, const cm_h5_type *t, cm_error *err);

#endif
