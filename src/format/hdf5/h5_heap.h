/* format/hdf5/h5_heap.h: the heaps and B-trees under groups, attributes and strings. */
#ifndef CM_FORMAT_HDF5_HEAP_H
#define CM_FORMAT_HDF5_HEAP_H

#include "format/hdf5/h5_message.h"

/* ---- version 2 B-trees ----------------------------------------------------------------------- */

typedef int (*cm_h5_record_fn)(void *user, const uint8_t *record, size_t nbytes, cm_error *err);

/* Call fn for every record of the tree whose header is at addr, in the tree's order. type: record
 * type that it must be of. A return of fn that is not 0 stops. */
int cm_h5_btree2_each(cm_h5_reader *r, uint64_t addr, int type, cm_h5_record_fn fn, void *user,
                      cm_error *err);

/* ---- fractal heap ---------------------------------------------------------------------------- */

typedef struct cm_h5_fractal {
    uint64_t addr;
    unsigned id_nbytes;
    bool checksums; /* direct blocks have one */
    uint32_t max_managed;
    uint64_t huge_tree;
    unsigned width;
    uint64_t start_block, max_direct;
    unsigned heap_bits;
    uint64_t root;
    unsigned root_rows;                    /* 0: the root is a direct block */
    unsigned offset_nbytes, length_nbytes; /* of a managed object's id */
    cm_h5_map verified;                    /* direct blocks whose checksum was seen to be right */
} cm_h5_fractal;

int cm_h5_fractal_open(cm_h5_reader *r, uint64_t addr, cm_h5_fractal *h, cm_error *err);
void cm_h5_fractal_close(cm_h5_fractal *h);

/* The object that the id (nid bytes) names. */
int cm_h5_fractal_get(cm_h5_reader *r, cm_h5_fractal *h, const uint8_t *id, size_t nid,
                      const uint8_t **data, size_t *nbytes, cm_error *err);

/* ---- local heap ------------------------------------------------------------------------------ */

typedef struct cm_h5_local {
    const uint8_t *data;
    uint64_t nbytes, free; /* free: where its first free block is; each has the next one's place and
                            * its size, `width` bytes each */
    unsigned width;
} cm_h5_local;

int cm_h5_local_open(cm_h5_reader *r, uint64_t addr, cm_h5_local *h, cm_error *err);

/* Is the byte at offset in a free block? */
bool cm_h5_local_is_free(const cm_h5_local *h, uint64_t offset);

/* The NUL-terminated string at offset; NULL with CM_EDATA. */
const char *cm_h5_local_string(const cm_h5_local *h, uint64_t offset, cm_error *err);

/* ---- global heap ----------------------------------------------------------------------------- */

/* Where the objects of one collection are: index -> offset and size. */
typedef struct cm_h5_collection {
    const uint8_t *data;
    size_t nbytes;
    uint32_t *at; /* at[2 * index], at[2 * index + 1]: offset and size; offset 0: no such object */
    uint32_t n;
} cm_h5_collection;

/* Bytes of the collection that begins with p (at least 16 + nbytes_len of them); CM_EDATA. */
int cm_h5_collection_nbytes(const cm_h5_file *f, const uint8_t *p, size_t have, uint64_t *nbytes,
                            cm_error *err);

/* Index the collection's nbytes at data. c->at is malloc'ed; free() it. */
int cm_h5_collection_index(const cm_h5_file *f, const uint8_t *data, size_t nbytes,
                           cm_h5_collection *c, cm_error *err);

/* Object `index` of an indexed collection. CM_EDATA. */
int cm_h5_collection_object(const cm_h5_collection *c, uint32_t index, const uint8_t **data,
                            size_t *nbytes, cm_error *err);

/* ---- groups and attributes ------------------------------------------------------------------- */

typedef struct cm_h5_links {
    cm_h5_link *items;
    size_t n, capacity;
    bool ordered; /* by creation, else by name */
} cm_h5_links;

/* Every link of the group with header h, in the order in which netCDF lists them. Strings are in
 * the arena; items is malloc'ed. */
int cm_h5_group_links(cm_h5_reader *r, const cm_h5_header *h, cm_h5_arena *arena, cm_h5_links *out,
                      cm_error *err);

/* True when the header is a group's. */
bool cm_h5_header_is_group(const cm_h5_header *h);

/* Every attribute of an object, in order of creation if that is known, else as stored. items is
 * malloc'ed; what it points at belongs to the reader. */
typedef struct cm_h5_attributes {
    cm_h5_attribute *items;
    size_t n, capacity;
} cm_h5_attributes;

int cm_h5_attributes_read(cm_h5_reader *r, const cm_h5_header *h, cm_h5_attributes *out,
                          cm_error *err);

#endif
