/* format/netcdf3/nc3.h: what the three parts of the NetCDF-3 driver share: the header as read
 * (nc3_header.c), where cells lie (nc3_layout.c), and the dataset made of both (nc3_open.c).
 *
 * Source: "The NetCDF Classic Format Specification" (NetCDF User's Guide, appendix B), which covers
 * CDF-1, CDF-2 (64-bit offset) and CDF-5 (64-bit data).
 */
#ifndef CM_FORMAT_NETCDF3_NC3_H
#define CM_FORMAT_NETCDF3_NC3_H

#include "base/buffer.h"
#include "store/store.h"

/* Limits of the parser: more is CM_ELIMIT. netCDF-C itself allows 1024 dimensions a variable. */
enum {
    CM_NC3_MAX_HEADER = 64 << 20, /* bytes */
    CM_NC3_MAX_ITEMS = 65536,     /* dimensions, variables, attributes of one owner */
    CM_NC3_MAX_VARIABLE_DIMS = 1024
};

enum cm_nc3_type {
    CM_NC3_BYTE = 1,
    CM_NC3_CHAR,
    CM_NC3_SHORT,
    CM_NC3_INT,
    CM_NC3_FLOAT,
    CM_NC3_DOUBLE, /* the last one of CDF-1 and CDF-2 */
    CM_NC3_UBYTE,
    CM_NC3_USHORT,
    CM_NC3_UINT,
    CM_NC3_INT64,
    CM_NC3_UINT64
};

/* A name: bytes [offset, offset + nbytes) of the header, trailing NULs left out. */
typedef struct cm_nc3_name {
    size_t offset, nbytes;
} cm_nc3_name;

typedef struct cm_nc3_attribute {
    cm_nc3_name name;
    uint32_t type;
    size_t nelem;
    size_t offset; /* of the values in the header, big-endian */
} cm_nc3_attribute;

typedef struct cm_nc3_attributes {
    cm_nc3_attribute *items;
    size_t count, capacity;
} cm_nc3_attributes;

typedef struct cm_nc3_dimension {
    cm_nc3_name name;
    int64_t length; /* as stored: 0 for the record dimension */
} cm_nc3_dimension;

typedef struct cm_nc3_variable {
    cm_nc3_name name;
    uint32_t type;
    size_t ndim;
    size_t dimids; /* offset of the list of dimension numbers in the header */
    cm_nc3_attributes attributes;
    uint64_t begin; /* file offset of the first cell */

    /* From nc3_layout.c: */
    bool record;          /* the first dimension is the record dimension */
    uint64_t slab_nbytes; /* all cells, or those of one record; without padding */
} cm_nc3_variable;

typedef struct cm_nc3_header {
    cm_buffer bytes; /* of the file from offset 0 on: the header, and perhaps more */
    size_t nbytes;   /* length of the header */
    int version;     /* 1, 2 or 5 */
    bool streaming;  /* the number of records was left open by the writer */
    int64_t nrecords;
    cm_nc3_dimension *dimensions;
    size_t ndimensions, dimensions_capacity;
    cm_nc3_attributes attributes;
    cm_nc3_variable *variables;
    size_t nvariables, variables_capacity;

    /* From nc3_layout.c: */
    int64_t record_dimension; /* number of the dimension, -1 without one */
    uint64_t record_nbytes;   /* distance between records */
    uint64_t needed_nbytes;   /* length that the file must have so that every cell is there */
} cm_nc3_header;

/* Read and check the header of object key, of which *version says size and identity. h is set up in
 * any case; free it with cm_nc3_header_deinit. Raises CM_EDATA (malformed, cut off, a name twice),
 * CM_EUNSUP (another CDF version), CM_ELIMIT, CM_ENOMEM and what the store raises. */
int cm_nc3_header_read(cm_nc3_header *h, cm_store *store, const char *key,
                       const cm_object_version *version, cm_error *err);
void cm_nc3_header_deinit(cm_nc3_header *h);

/* Number of the i-th dimension of v; checked to be one of h's. */
size_t cm_nc3_dimid(const cm_nc3_header *h, const cm_nc3_variable *v, size_t i);

/* Bytes of a value of this type; "NC_SHORT". The type is a known one. */
uint32_t cm_nc3_type_size(uint32_t type);
const char *cm_nc3_type_name(uint32_t type);

/* The name as a NUL-terminated text for messages, cut to size. Returns buf. */
const char *cm_nc3_name_text(const cm_nc3_header *h, cm_nc3_name name, char *buf, size_t size);

/* Compute sizes, the distance between records and, for a streamed file of file_nbytes, the number
 * of records; refuse variables that lie in the header or in each other. Raises CM_EDATA, CM_ENOMEM.
 */
int cm_nc3_layout(cm_nc3_header *h, uint64_t file_nbytes, cm_error *err);

#endif
