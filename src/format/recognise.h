/* format/recognise.h: what a file is, by its content. */
#ifndef CM_FORMAT_RECOGNISE_H
#define CM_FORMAT_RECOGNISE_H

#include "store/store.h"

typedef enum cm_content {
    CM_CONTENT_OTHER, /* see name and hint */
    CM_CONTENT_HDF5,
    CM_CONTENT_NETCDF3,
    CM_CONTENT_REFERENCES, /* kerchunk JSON */
    CM_CONTENT_ZIP,
    CM_CONTENT_TABLES /* what chunkmill scan writes */
} cm_content;

typedef struct cm_recognised {
    cm_content content;
    const char *name; /* "an HDF5 file", "a GRIB file"; NULL: nothing known. Static */
    const char *hint; /* what to do about one that cannot be read, NULL: nothing known. Static */
} cm_recognised;

/* Look at the first bytes of object key, and for the HDF5 signature at offset 0 and at 512, 1024,
 * 2048... as its specification says (version 3.0, II.A). Raises what the store raises. */
int cm_recognise(cm_store *store, const char *key, cm_recognised *out, cm_error *err);

#endif
