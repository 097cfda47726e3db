/* format/hdf5/h5_model.h: what a file holds, between parsing and the dataset.
 *
 * The scan (h5_scan.c) turns object headers into this tree. h5_dimensions.c gives every axis its
 * dimension by netCDF's rules. h5_variable.c makes the variables of it. All of it lies in one arena
 * and is gone when the dataset is open; JSON values are already the dataset's.
 */
#ifndef CM_FORMAT_HDF5_MODEL_H
#define CM_FORMAT_HDF5_MODEL_H

#include "base/buffer.h"
#include "dataset/dataset_private.h"
#include "format/hdf5/h5_heap.h"
#include "format/hdf5/h5_record.h"

typedef struct cm_h5_group cm_h5_group;
typedef struct cm_h5_dataset cm_h5_dataset;

typedef struct cm_h5_dimension {
    struct cm_h5_dimension *next; /* of the group, in order of making */
    cm_h5_group *group;
    const char *name;
    int64_t length;
    bool unlimited;
    int64_t id;    /* netCDF's number of it */
    uint64_t addr; /* of the scale dataset, CM_H5_UNDEF for a phony one */
    bool used;     /* an axis that the outside sees has it, or it has a coordinate variable */
    bool hidden;   /* it ends char arrays only */
} cm_h5_dimension;

typedef struct cm_h5_item {
    struct cm_h5_item *next;
    const char *name;
    cm_json *value;
    cm_dtype dtype;
} cm_h5_item;

/* A piece of a dataset's bytes in another file; nbytes UINT64_MAX: all that follow. */
typedef struct cm_h5_slot {
    const char *name;
    uint64_t offset, nbytes;
} cm_h5_slot;

typedef struct cm_h5_items {
    cm_h5_item *first, *last;
} cm_h5_items;

struct cm_h5_dataset {
    cm_h5_dataset *next; /* in the group */
    cm_h5_group *group;
    const char *name;
    uint64_t addr;
    cm_error *problem; /* why it cannot be read; then only what was understood is set */

    cm_h5_type type;
    const uint8_t *type_bytes; /* the message that type points into */
    size_t type_nbytes;
    bool has_type, has_space;
    cm_h5_space space;
    cm_h5_layout layout;
    cm_h5_fill fill;
    bool external; /* the data are in slots of other files */
    unsigned nslots;
    cm_h5_slot *slots;
    struct cm_h5_mapping *mappings; /* of a virtual dataset */
    size_t nmappings;
    bool grows;                        /* some have no end */
    const char *link_file, *link_path; /* an external link leads to it, or should */
    struct cm_h5_scan *scan; /* of the file that it is in; NULL: of the tree that it is in */
    int inner_ndim;          /* the last axes of space, and of chunks, are those of an array type */
    uint32_t stored_size;    /* bytes of a cell as layout and fill value have it: a whole array */
    int nfilters;
    cm_h5_filter *filters;
    cm_h5_items attributes;

    /* netCDF's and the dimension scale interface's own attributes */
    bool is_scale;        /* CLASS is DIMENSION_SCALE */
    bool no_variable;     /* NAME says that it is only a dimension */
    bool hidden;          /* not listed */
    int64_t assigned_id;  /* _Netcdf4Dimid, -1 */
    int32_t *coordinates; /* _Netcdf4Coordinates: ids, space.ndim of them, or NULL */
    uint64_t *scales;     /* DIMENSION_LIST: address of each axis' scale or CM_H5_UNDEF, or NULL */

    cm_h5_dimension **dimensions; /* space.ndim of them, by h5_dimensions.c; NULL: unnamed */
};

/* A soft link, to be followed when the whole tree is known. */
typedef struct cm_h5_alias {
    struct cm_h5_alias *next;
    cm_h5_dataset *placeholder; /* in the group's list, in the link's place */
    const char *target;
} cm_h5_alias;

/* A group of another file, under a name of this one. */
typedef struct cm_h5_mount {
    struct cm_h5_mount *next;
    const char *name;
    struct cm_h5_scan *scan;
    cm_h5_group *group;
} cm_h5_mount;

/* Another name of a group, by a soft link or a second hard link. */
typedef struct cm_h5_byname {
    struct cm_h5_byname *next;
    const char *name;
    cm_h5_group *group;
} cm_h5_byname;

struct cm_h5_group {
    cm_h5_group *next, *parent, *first_child, *last_child;
    const char *name;
    uint64_t addr;
    int depth;
    cm_h5_dataset *first, *last;
    cm_h5_dimension *first_dimension, *last_dimension;
    cm_h5_items attributes;
    cm_h5_alias *aliases;
    cm_h5_mount *mounts; /* groups of other files that external links lead to */
    bool mounted;
    bool open; /* it is being listed: a link in it may lead to it */
    cm_h5_byname *bynames;
    cm_group *made; /* by h5_open.c; NULL: not listed */
};

/* A committed datatype. */
typedef struct cm_h5_named {
    struct cm_h5_named *next;
    const cm_h5_group *group;
    const char *name;
    uint64_t addr;
} cm_h5_named;

/* An attribute that is read at the end of the scan, since references are in it. */
typedef struct cm_h5_deferred {
    struct cm_h5_deferred *next;
    cm_h5_item *item;
    uint64_t addr; /* of the object */
    size_t number; /* of its attributes */
    const char *path;
} cm_h5_deferred;

/* Addresses of all objects and the paths that they have; counted, immutable. */
typedef struct cm_h5_paths cm_h5_paths;

typedef struct cm_h5_scan {
    cm_h5_reader reader;
    cm_h5_arena arena;
    cm_h5_file *file;
    cm_dataset *dataset;
    cm_h5_header header;    /* of the object at work */
    cm_h5_attributes found; /* its attributes */
    cm_h5_map groups;       /* groups seen: address -> pointer */
    cm_h5_map names;        /* for soft links: hash of group and name -> the last dataset of that */
    cm_h5_map collections;  /* global heap collections: address -> cm_h5_collection */
    size_t collections_nbytes;
    cm_h5_group *root;
    size_t nobjects;
    size_t nvalues;  /* cells of attributes that are not simple lists */
    int64_t next_id; /* of dimensions */
    cm_h5_named *types;
    cm_h5_deferred *first_deferred, *last_deferred;
    bool links_out;     /* there are external links */
    bool refers;        /* something in the file is a reference: */
    cm_h5_paths *paths; /* then known at the end of the scan */
    bool netcdf;        /* netCDF-4 wrote the file */
    /* Of the variable made last: its filters' dataset (NULL: no filters), codecs and their text
     * (NULL before somebody asks). Owned but for the first. */
    const cm_h5_dataset *filtered;
    cm_chain *chain;
    char *chain_text;
} cm_h5_scan;

/* Read the whole tree. Objects that cannot be read are datasets with a problem; only I/O errors,
 * lack of memory and an unreadable root group are returned. */
int cm_h5_scan_file(cm_h5_scan *s, cm_error *err);
void cm_h5_scan_deinit(cm_h5_scan *s);

/* Open a file and scan it, as a source of virtual datasets: *ds holds what the scan's JSON belongs
 * to. Close both with cm_h5_scan_close, after failures too. */
int cm_h5_scan_open(cm_context *ctx, cm_store *store, const char *key, const char *uri, int level,
                    cm_h5_scan *s, cm_dataset **ds, cm_error *err);
void cm_h5_scan_close(cm_h5_scan *s, cm_dataset *ds);

/* The dataset at an absolute path (a leading "/" may be missing), soft links followed; NULL when
 * there is none. */
const cm_h5_dataset *cm_h5_find_dataset(cm_h5_scan *s, const char *path);

/* The same for groups as well. False when there is nothing. */
bool cm_h5_find_object(cm_h5_scan *s, const char *path, cm_h5_group **group,
                       cm_h5_dataset **dataset);

/* Give the virtual datasets at and below g that grow with their sources the extent that they have
 * now. */
int cm_h5_growing_resolve(cm_h5_scan *s, cm_h5_group *g, cm_error *err);

/* Follow all external links of s, and of the files that they lead to; these stay open in *out,
 * which is NULL when there are none, and must be freed after failures too. Their dimensions are
 * resolved, those of s are not. */
typedef struct cm_h5_family cm_h5_family;
int cm_h5_links_resolve(cm_h5_scan *s, cm_h5_family **out, cm_error *err);
void cm_h5_family_free(cm_h5_family *f); /* NULL is legal */

/* Note why d cannot be read, unless something is noted already. */
int cm_h5_keep_problem(cm_h5_scan *s, cm_h5_dataset *d, const cm_error *why, cm_error *err);

/* Paths through `name` in g lead to the group `to`. */
int cm_h5_add_byname(cm_h5_scan *s, cm_h5_group *g, const char *name, cm_h5_group *to,
                     cm_error *err);

/* Follow all soft links at and below g. */
int cm_h5_aliases_resolve(cm_h5_scan *s, cm_h5_group *g, cm_error *err);

/* "/a/b/name" of an object; written into buf. */
const char *cm_h5_path(const cm_h5_group *g, const char *name, char *buf, size_t size);

/* True for errors that belong to one object; others end the opening. */
static inline bool cm_h5_is_local(int code)
{
    return code == CM_EDATA || code == CM_EUNSUP || code == CM_ELIMIT;
}

/* Give every axis of every dataset its dimension. */
int cm_h5_dimensions_resolve(cm_h5_scan *s, cm_error *err);

/* True for single characters whose last axis is the length of strings. Dimensions are resolved. */
bool cm_h5_is_char_array(const cm_h5_dataset *d);

/* True for such an array when every chunk has its strings whole: only then can it be read. */
bool cm_h5_has_whole_strings(const cm_h5_dataset *d);

/* The JSON value of an attribute. *why is NULL, or says why the value is a null instead (static or
 * in buf). Names the attribute's peculiarities in the log. */
int cm_h5_attribute_value(cm_h5_scan *s, const cm_h5_attribute *a, const char *path,
                          cm_json **value, cm_dtype *dtype, cm_error *err);

/* The bytes of one variable-length element (at p in the file's form) at scan time; *nbytes counts
 * bytes of elements of `size`. Empty for null ones. */
int cm_h5_scan_vlen(cm_h5_scan *s, const uint8_t *p, size_t size, const uint8_t **data,
                    size_t *nbytes, cm_error *err);

/* The bytes of a global heap object. */
int cm_h5_scan_heap_object(cm_h5_scan *s, uint64_t addr, uint32_t index, const uint8_t **data,
                           size_t *nbytes, cm_error *err);

/* From the finished tree. */
int cm_h5_paths_new(const cm_h5_scan *s, cm_h5_paths **out, cm_error *err);
cm_h5_paths *cm_h5_paths_ref(cm_h5_paths *p);
void cm_h5_paths_unref(cm_h5_paths *p); /* NULL is legal */

/* Append the text of a reference to an object (its bytes), or of one to a region (those of the heap
 * object that it leads to); see h5_reference.c. */
int cm_h5_reference_text(const cm_h5_paths *p, const cm_h5_file *f, bool region,
                         const uint8_t *bytes, size_t nbytes, cm_buffer *out, cm_error *err);

/* The heap object that a region reference leads to; *addr 0: a null reference. */
int cm_h5_region_place(const cm_h5_file *f, const uint8_t *cell, size_t nbytes, uint64_t *addr,
                       uint32_t *index, cm_error *err);

#define CM_H5_MAX_COLLECTIONS (16u << 20) /* bytes of indexes that are kept */
void cm_h5_scan_drop_collections(cm_h5_scan *s);

/* UTF-8 of bytes that claim to be text, in the arena: as they are, or taken as Latin-1 with a
 * warning in the log that names `what` at path. */
int cm_h5_text(cm_h5_scan *s, const void *bytes, size_t nbytes, const char *path, const char *what,
               const char **out, size_t *nout, cm_error *err);

/* An array type's axes become the dataset's last ones, its element type the dataset's; header bytes
 * are still there. Types that stay as they are: unreadable ones. */
int cm_h5_unfold_array(cm_h5_scan *s, cm_h5_dataset *d, cm_error *err);

/* Give an enum's names and values as CF has them, unless there are attributes of these names:
 * flag_values of the cells' type, flag_meanings with blanks between the names. */
int cm_h5_enum_flags(cm_h5_scan *s, cm_h5_dataset *d, cm_error *err);

/* n numbers of type t as cells of memory, in the arena. */
int cm_h5_native_cells(cm_h5_scan *s, const cm_h5_type *t, const uint8_t *p, size_t n,
                       const uint8_t **out, cm_error *err);

/* d->slots from the external file list m. */
int cm_h5_external_parse(cm_h5_scan *s, const cm_h5_message *m, cm_h5_dataset *d, cm_error *err);

/* The store (ref'd) and key (malloc'ed) of the file of that name, which f has. CM_EUNSUP when it is
 * not below f's own folder and paths are not trusted. */
int cm_h5_sibling(const cm_h5_file *f, const char *name, cm_store **store, char **key,
                  cm_error *err);

/* The same for links and virtual datasets: an absolute name that is not there is looked for beside
 * f. */
int cm_h5_other_file(const cm_h5_file *f, const char *name, cm_store **store, char **key,
                     cm_error *err);

/* Make a variable of a dataset in group g. s: of the file that it is in; doc: of g's dataset. */
int cm_h5_variable_make(cm_h5_scan *s, const cm_h5_dataset *d, cm_group *g, cm_json_doc *doc,
                        cm_error *err);

/* value, which is in s's document, in doc. NULL when out of memory. */
static inline const cm_json *cm_h5_value_in(const cm_h5_scan *s, const cm_json *value,
                                            cm_json_doc *doc)
{
    return s->dataset->doc == doc ? value : cm_json_copy(doc, value);
}

/* Is there a codec for the filter? */
bool cm_h5_filter_known(const cm_h5_filter *t);

/* "filter 32013 (zfp)"; written into buf. */
const char *cm_h5_filter_name(const cm_h5_filter *t, char *buf, size_t size);

/* The codec of a filter that is known; cell: bytes of a cell. CM_EDATA, CM_EUNSUP for parameters
 * that cannot be, or are of a kind that is not known. */
struct cm_codec;
int cm_h5_filter_codec(const cm_h5_filter *t, uint32_t cell, struct cm_codec **out, cm_error *err);

/* Leave the filters that are known, n of them, as chain->note; and append the stages that a note
 * says, and the note itself, to a chain without any. CM_EDATA for a note that is none. */
int cm_h5_filters_note(const cm_h5_filter *filters, int n, uint32_t cell, cm_chain *chain,
                       cm_error *err);
int cm_h5_filters_restore(const void *note, size_t nbytes, cm_chain *chain, cm_error *err);

/* ---- arrays ---------------------------------------------------------------------------------- */

/* A table of chunks that is read from the file when it is first asked. */
typedef struct cm_h5_chunks_spec {
    cm_h5_file *file; /* ref'd */
    int ndim;         /* axes of the table */
    int index_ndim;   /* axes of the file's index: one more for char arrays, with one chunk along it
                       */
    int nlengths;     /* of each of these, at least as many as axes of either; copied: */
    const int64_t *shape; /* the dataset's own extent: chunks wholly outside do not count */
    const int64_t *outer; /* ndim lengths that will be asked for, at least shape's */
    const int64_t *chunk;
    const uint64_t *max;   /* maximal extent; UINT64_MAX: unlimited */
    uint64_t chunk_nbytes; /* decoded */
    uint64_t addr;         /* of the index; what follows is as in cm_h5_layout */
    uint64_t single_nbytes;
    uint32_t single_mask;
    uint8_t index;
    bool single_filtered, edges_unfiltered;
    int nfilters;
    uint32_t unknown;         /* bit i: filter i is not known and must be skipped by every chunk */
    const char *unknown_name; /* of the first of those; copied */
} cm_h5_chunks_spec;

int cm_h5_chunks_new(const cm_h5_chunks_spec *spec, cm_table **out, cm_error *err);

/* Read it now instead of on first use. */
int cm_h5_chunks_load(cm_table *t, cm_error *err);

/* inner (taken) seen with ndim axes: axis i is its axis from[i], or has one chunk (-1). */
int cm_h5_lifted_table_new(cm_table *inner, int ndim, const int *from, cm_table **out,
                           cm_error *err);

/* A table that has nothing: storage that was never allocated. */
int cm_h5_nowhere_new(cm_table **out, cm_error *err);

/* shape >= the array's along every axis, `fill` (of its dtype) beyond: a netCDF variable that has
 * fewer records than its unlimited dimension. inner is taken, also on failure. */
int cm_h5_extended_new(cm_array *inner, const int64_t *shape, const void *fill, cm_array **out,
                       cm_error *err);

/* The array inside one that was made so; NULL for all others. */
cm_array *cm_h5_extended_inside(const cm_array *a);

/* How stored cells become cells, for what is not a number: the owner and unpack of a chunked spec.
 * CM_A2B_CUSTOM chains. */
enum cm_h5_cells {
    CM_H5_CELLS_FIXED_STRING,
    CM_H5_CELLS_VLEN_STRING,
    CM_H5_CELLS_BOOL,
    CM_H5_CELLS_NARROW,
    CM_H5_CELLS_RECORD,
    CM_H5_CELLS_SEQUENCE,
    CM_H5_CELLS_REFERENCE,
    CM_H5_CELLS_REGION,
    CM_H5_CELLS_WORDED
};

/* How cells of a type that no dtype holds become text; h5_worded.c. Counted, immutable. */
typedef struct cm_h5_wording cm_h5_wording;

typedef struct cm_h5_unpacker {
    cm_h5_file *file; /* ref'd */
    enum cm_h5_cells cells;
    uint32_t size; /* bytes of a stored cell */
    uint32_t
        used;    /* of those, the ones that are the value (char arrays in chunks that are wider) */
    int padding; /* enum cm_h5_padding */
    cm_h5_narrow narrow;
    const cm_h5_moves *moves; /* of records, and of what sequences are made of; ref'd */
    cm_h5_paths *paths;       /* of references; ref'd */
    cm_h5_wording *wording;   /* ref'd */
} cm_h5_unpacker;

/* Compounds that have values of variable size or references in them, and sequences of such. */
bool cm_h5_type_needs_words(const cm_h5_type *t);

/* For the type that the message describes, or that of the cells of its array type; paths for the
 * references in it. CM_EUNSUP, CM_EDATA, CM_ELIMIT for what cannot be read, named. */
int cm_h5_wording_new(const cm_h5_file *f, const uint8_t *message, size_t nbytes,
                      cm_h5_paths *paths, cm_h5_wording **out, cm_error *err);
cm_h5_wording *cm_h5_wording_ref(cm_h5_wording *w);
void cm_h5_wording_unref(cm_h5_wording *w); /* NULL is legal */

/* One cell's text, malloc'ed. CM_ELIMIT when the budget has no room for it. */
int cm_h5_wording_text(const cm_h5_wording *w, cm_h5_file *f, const uint8_t *cell, char **text,
                       size_t *nbytes, cm_error *err);
int cm_h5_worded_unpack(const cm_h5_unpacker *u, const uint8_t *p, cm_string *dst, int64_t n,
                        cm_arena *arena, cm_error *err);

/* A copy of *like on the heap, with its file ref'd. */
int cm_h5_unpacker_new(const cm_h5_unpacker *like, cm_h5_unpacker **out, cm_error *err);
void cm_h5_unpacker_free(void *unpacker);
int cm_h5_unpack(cm_array *leaf, const void *stored, void *dst, int64_t n, cm_arena *arena,
                 cm_error *err);

/* What an unpacker that needs no file is; false for all others. And one of that, CM_EDATA for a
 * note that is none or cells of another kind. */
bool cm_h5_unpacker_note(const cm_array *leaf, uint32_t note[4]);
int cm_h5_unpacker_of_note(const uint32_t note[4], cm_dtype dtype, cm_h5_unpacker **out,
                           cm_error *err);

/* Global heap collections kept for reading variables; one cache per file (h5_heap_cache.c). What is
 * acquired stays until it is released (NULL is legal). Threads: any. */
typedef struct cm_h5_held cm_h5_held;
int cm_h5_heap_cache_new(cm_h5_heap_cache **out, cm_error *err);
void cm_h5_heap_cache_free(cm_h5_heap_cache *c);
int cm_h5_heap_acquire(cm_h5_file *f, uint64_t addr, cm_h5_held **out, cm_error *err);
void cm_h5_heap_release(cm_h5_file *f, cm_h5_held *e);
uint64_t cm_h5_heap_address(const cm_h5_held *e);
int cm_h5_heap_object(const cm_h5_held *e, uint32_t index, const uint8_t **data, size_t *nbytes,
                      cm_error *err);

#endif
