/* format/hdf5/h5_message.h: object headers and what their messages say.
 *
 * Every parser here takes bytes that a reader or a header handed out and fills a struct; pointers
 * in those structs point at the same bytes and live as long. Malformed bytes are CM_EDATA, features
 * that this reader does not know are CM_EUNSUP, by name. Source: HDF5 File Format Specification
 * Version 3.0, sections III and IV.
 */
#ifndef CM_FORMAT_HDF5_MESSAGE_H
#define CM_FORMAT_HDF5_MESSAGE_H

#include "chunkmill/dtype.h"
#include "format/hdf5/h5_reader.h"

enum cm_h5_message_type {
    CM_H5_DATASPACE = 0x01,
    CM_H5_LINK_INFO = 0x02,
    CM_H5_DATATYPE = 0x03,
    CM_H5_FILL_OLD = 0x04,
    CM_H5_FILL = 0x05,
    CM_H5_LINK = 0x06,
    CM_H5_EXTERNAL = 0x07,
    CM_H5_LAYOUT = 0x08,
    CM_H5_FILTERS = 0x0b,
    CM_H5_ATTRIBUTE = 0x0c,
    CM_H5_SHARED_TABLE = 0x0f,
    CM_H5_CONTINUATION = 0x10,
    CM_H5_SYMBOL_TABLE = 0x11,
    CM_H5_BTREE_K = 0x13,
    CM_H5_ATTRIBUTE_INFO = 0x15,
    CM_H5_LAST_KNOWN = 0x18
};

typedef struct cm_h5_message {
    uint16_t type;
    uint16_t order; /* creation order of an attribute, if the header tracks it */
    uint8_t flags;  /* bit 1: shared: the bytes say where the message is */
    uint32_t nbytes;
    const uint8_t *data;
    uint64_t at; /* address of data */
} cm_h5_message;

#define CM_H5_SHARED 0x02u

typedef struct cm_h5_header {
    uint64_t addr;
    uint8_t version, flags;
    cm_h5_message *messages;
    size_t n, capacity;
} cm_h5_header;

/* Read the object header at addr with all its continuations. h is zeroed or was used before (its
 * memory is used again). */
int cm_h5_header_read(cm_h5_reader *r, uint64_t addr, cm_h5_header *h, cm_error *err);
void cm_h5_header_deinit(cm_h5_header *h);

/* The first message of the type, NULL when there is none. */
const cm_h5_message *cm_h5_header_find(const cm_h5_header *h, int type);

/* A message's own bytes: m's, or, being shared, those of the message in another header that it
 * names (a committed datatype), or of the one in the file's heap of shared messages. */
int cm_h5_message_bytes(cm_h5_reader *r, int type, unsigned flags, const uint8_t *data,
                        size_t nbytes, cm_h5_cursor *out, cm_error *err);

/* The object with this id (nid bytes) in the heap of shared messages of the type. */
int cm_h5_shared_message(cm_h5_reader *r, int type, const uint8_t *id, size_t nid,
                         const uint8_t **data, size_t *nbytes, cm_error *err);

/* ---- datatype -------------------------------------------------------------------------------- */

enum cm_h5_class {
    CM_H5_FIXED,
    CM_H5_FLOAT,
    CM_H5_TIME,
    CM_H5_STRING,
    CM_H5_BITFIELD,
    CM_H5_OPAQUE,
    CM_H5_COMPOUND,
    CM_H5_REFERENCE,
    CM_H5_ENUM,
    CM_H5_VLEN,
    CM_H5_ARRAY,
    CM_H5_COMPLEX
};

enum cm_h5_padding { CM_H5_NUL_TERMINATED, CM_H5_NUL_PADDED, CM_H5_SPACE_PADDED };

typedef struct cm_h5_type {
    uint8_t cls;
    uint32_t size; /* bytes of a cell in the file */
    cm_kind kind;  /* integers, floats, complex, bool: cells are these in some byte order; of other
                      enums the kind of their numbers; else CM_NONE */
    bool big_endian;
    uint8_t padding;  /* CM_H5_STRING */
    bool vlen_string; /* CM_H5_VLEN of characters */
    uint8_t base_cls; /* CM_H5_VLEN, CM_H5_ARRAY */
    uint32_t base_size;
    /* Integers that fill their bytes only in part: so many bits, so far up. 0: all of them. */
    uint8_t narrow_bits, narrow_shift;
    /* CM_H5_ARRAY: lengths, ndim of them of 4 bytes each; and, as of CM_H5_VLEN, where its base
     * type is described. */
    uint8_t array_ndim;
    const uint8_t *array_lengths, *array_base, *array_end;
    /* CM_H5_COMPOUND: where its members are described. */
    uint16_t nmembers;
    uint8_t version;
    const uint8_t *members, *members_end;
    bool refers;        /* is a reference, or has some in it */
    uint8_t reference;  /* CM_H5_REFERENCE: 0 to an object, 1 to a region, else of a newer kind */
    const uint8_t *tag; /* CM_H5_OPAQUE: so many bytes, the name that its writer gave it */
    uint8_t tag_nbytes;
    /* CM_H5_ENUM: names, one after the other, and values of base_size bytes each. */
    uint16_t nnames;
    bool names_padded; /* to multiples of 8 bytes */
    const uint8_t *names, *values;
    char why[96]; /* not empty: why cells of this type cannot be read; names the type */
} cm_h5_type;

/* Parse one datatype and move c behind it. */
int cm_h5_type_parse(cm_h5_cursor *c, cm_h5_type *out, cm_error *err);

/* The type of an array's or a sequence's elements. */
int cm_h5_type_parse_base(const cm_h5_type *t, cm_h5_type *out, cm_error *err);

/* One member of a compound. lengths: old files have arrays without an array type, of ndim axes. */
typedef struct cm_h5_member {
    const char *name;
    uint32_t offset;
    int ndim;
    uint32_t lengths[4];
    uint32_t nbytes; /* all of it */
    cm_h5_type type;
} cm_h5_member;

/* Walk a compound's t->nmembers members: begin with cm_h5_type_members. */
cm_h5_cursor cm_h5_type_members(const cm_h5_type *t);
int cm_h5_type_next_member(const cm_h5_type *t, cm_h5_cursor *c, cm_h5_member *out, cm_error *err);

/* The next name of an enum, and move *names behind it; the first is at t->names. */
const char *cm_h5_type_next_name(const cm_h5_type *t, const uint8_t **names);

/* "H5T_STD_I16BE", "H5T_STRING (12 bytes)"... written into buf. */
const char *cm_h5_type_name(const cm_h5_type *t, char *buf, size_t size);

/* ---- other messages -------------------------------------------------------------------------- */

typedef struct cm_h5_space {
    int ndim;
    bool null;                                    /* no cells at all, and no shape */
    uint64_t dims[CM_MAX_DIMS], max[CM_MAX_DIMS]; /* max UINT64_MAX: unlimited */
} cm_h5_space;

int cm_h5_space_parse(const cm_h5_file *f, cm_h5_cursor *c, cm_h5_space *out, cm_error *err);

/* Number of cells; false when it does not fit int64_t. */
bool cm_h5_space_nelem(const cm_h5_space *s, int64_t *nelem);

typedef struct cm_h5_fill {
    bool user;      /* a value was given: data, nbytes */
    bool undefined; /* declared to have none: never written cells mean nothing */
    const uint8_t *data;
    uint32_t nbytes;
} cm_h5_fill;

/* type: CM_H5_FILL or CM_H5_FILL_OLD. */
int cm_h5_fill_parse(int type, cm_h5_cursor c, cm_h5_fill *out, cm_error *err);

enum cm_h5_layout_class { CM_H5_COMPACT, CM_H5_CONTIGUOUS, CM_H5_CHUNKED, CM_H5_VIRTUAL };

enum cm_h5_index {
    CM_H5_INDEX_BTREE1,
    CM_H5_INDEX_SINGLE,
    CM_H5_INDEX_IMPLICIT,
    CM_H5_INDEX_FIXED,
    CM_H5_INDEX_EXTENSIBLE,
    CM_H5_INDEX_BTREE2
};

typedef struct cm_h5_layout {
    uint8_t version;
    uint8_t cls;
    uint64_t addr;       /* of the data or the chunk index */
    uint64_t nbytes;     /* contiguous: size of the data, CM_H5_UNDEF where the message has none */
    const uint8_t *data; /* compact */
    uint64_t data_at;    /* offset of data in the file, 0: not known */
    uint8_t index;       /* enum cm_h5_index */
    bool edges_unfiltered; /* partial edge chunks are stored without filters */
    int ndim;              /* chunked: of the chunk, without the element size */
    uint64_t chunk[CM_MAX_DIMS];
    uint32_t element; /* bytes of a cell as the layout says */
    bool single_filtered;
    uint64_t single_nbytes;
    uint32_t single_mask;
    uint8_t page_bits;   /* fixed array */
    uint32_t heap_index; /* virtual: of the mappings, in the global heap collection at addr */
} cm_h5_layout;

int cm_h5_layout_parse(const cm_h5_file *f, const cm_h5_message *m, cm_h5_layout *out,
                       cm_error *err);

typedef struct cm_h5_filter {
    uint16_t id, flags; /* bit 0: optional */
    uint16_t nvalues;
    uint32_t values[8]; /* the first of them */
    const uint8_t *raw; /* all of them, 4 bytes each, little-endian */
    char name[32];      /* cut, printable */
} cm_h5_filter;

#define CM_H5_MAX_FILTERS 32

/* Parse a filter pipeline; filters has room for CM_H5_MAX_FILTERS. */
int cm_h5_filters_parse(cm_h5_cursor c, cm_h5_filter *filters, int *n, cm_error *err);

enum cm_h5_link_kind { CM_H5_LINK_HARD, CM_H5_LINK_SOFT, CM_H5_LINK_EXTERNAL, CM_H5_LINK_OTHER };

typedef struct cm_h5_link {
    const char *name;
    uint8_t kind, type; /* type as in the file */
    uint64_t addr;      /* hard */
    const char *target; /* soft: path; external: path in the other file */
    const char *file;   /* external */
    int64_t order;
} cm_h5_link;

/* Parse a link message; strings are copied into the arena. */
int cm_h5_link_parse(const cm_h5_file *f, const uint8_t *data, size_t nbytes, cm_h5_arena *arena,
                     cm_h5_link *out, cm_error *err);

typedef struct cm_h5_attribute {
    const char *name; /* not NUL-terminated */
    size_t name_nbytes;
    cm_h5_type type;
    cm_h5_space space;
    const uint8_t *data; /* all cells */
    size_t nbytes;
    uint64_t order; /* of creation, then of storage */
} cm_h5_attribute;

int cm_h5_attribute_parse(cm_h5_reader *r, const uint8_t *data, size_t nbytes, cm_h5_attribute *out,
                          cm_error *err);

#endif
