/* format/zarr/zarr_private.h: what the parts of the Zarr driver share.
 *
 * Reading goes in three steps, one file each: zarr_tree.c finds the nodes of a hierarchy and their
 * documents; zarr_v2.c and zarr_v3.c turn an array's document into a cm_zarr_meta; zarr_open.c
 * makes the dataset from both. Fill values and types (zarr_fill.c, zarr_dtype.c) serve reading and
 * writing.
 */
#ifndef CM_FORMAT_ZARR_PRIVATE_H
#define CM_FORMAT_ZARR_PRIVATE_H

#include "array/grid.h"
#include "codec/codec.h"
#include "format/format.h"

/* One native cell. string: for CM_STRING the cell is a cm_string into a JSON document that outlives
 * it. */
typedef union cm_zarr_cell {
    unsigned char bytes[16];
    cm_string string;
    double align;
    uint64_t word[2];
} cm_zarr_cell;

/* ---- zarr_dtype.c ---------------------------------------------------------------------------- */

/* How cells of a type lie in a chunk. */
typedef enum cm_zarr_cells {
    CM_ZARR_PLAIN,  /* the dtype's own bytes, or vlen-utf8 */
    CM_ZARR_BYTES,  /* fixed-length bytes that are text, numpy's S */
    CM_ZARR_UTF32,  /* fixed-length UTF-32, numpy's U */
    CM_ZARR_SWAPPED /* records with fields in the other byte order */
} cm_zarr_cells;

typedef struct cm_zarr_type {
    cm_dtype dtype; /* in memory; CM_STRING for the text cells. Its record is referred to */
    cm_zarr_cells cells;
    uint32_t width;      /* bytes of a stored cell that is not plain, else 0 */
    bool big_endian;     /* v2; v3 has it in the codecs */
    bool explicit_order; /* v3 "struct": the bytes codec must say the byte order */
    char text[64];       /* its name for people */
} cm_zarr_type;

/* v3 "data_type" and v2 "dtype" (a numpy typestr). CM_EUNSUP names types that are known but not
 * read. */
int cm_zarr_type_parse_v3(const cm_json *data_type, cm_zarr_type *out, cm_error *err);
int cm_zarr_type_parse_v2(const cm_json *dtype, const cm_json *filters, cm_zarr_type *out,
                          cm_error *err);
void cm_zarr_type_deinit(cm_zarr_type *type);

/* The dtype that chains are parsed for. */
cm_dtype cm_zarr_type_stored(const cm_zarr_type *type);

/* "<f4", "|O", {"name": "numpy.datetime64", ...}: v2's dtype, v3's data_type. CM_EUNSUP for what
 * the format has no word for, CM_ENOMEM. */
int cm_zarr_type_describe(cm_json_doc *doc, cm_dtype dtype, int format, bool big_endian,
                          cm_json **out, cm_error *err);

/* An extension point of v3: a string, or {"name", "configuration", "must_understand"}. *config is
 * NULL when absent; other members are CM_EDATA. member is for messages. */
int cm_zarr_extension(const cm_json *v, const char *member, const char **name,
                      const cm_json **config, cm_error *err);

/* ---- zarr_fill.c ----------------------------------------------------------------------------- */

/* "fill_value" (not null) of format 2 or 3 to a cell. Not for CM_ZARR_BYTES. */
int cm_zarr_fill_parse(const cm_json *v, cm_dtype dtype, int format, cm_zarr_cell *cell,
                       cm_error *err);

/* The same for CM_ZARR_BYTES, whose fill values are base64. *owned holds the bytes; free it. */
int cm_zarr_fill_parse_bytes(const cm_json *v, cm_zarr_cell *cell, char **owned, cm_error *err);

/* Other cells than numbers, bools and strings: fill values of their own rules. parse: *cell is a
 * new block of dtype.size bytes (and a string's bytes), to be freed by the caller also on failure.
 */
bool cm_zarr_fill_is_other(cm_dtype dtype);
int cm_zarr_fill_parse_other(const cm_json *v, cm_dtype dtype, int format, void **cell,
                             cm_error *err);
cm_json *cm_zarr_fill_describe_other(cm_json_doc *doc, cm_dtype dtype, int format,
                                     const void *cell);

/* And back. NULL when out of memory. */
cm_json *cm_zarr_fill_describe(cm_json_doc *doc, cm_dtype dtype, int format, const void *cell);

/* What the cells of a new v3 array are by default: NaN for floats, else zero, as xarray has it. */
void cm_zarr_fill_default(cm_dtype dtype, cm_zarr_cell *cell);

/* v3's attribute `_FillValue` as stored, to the model's; and the model's as it is stored. A value
 * that is not of the encoding is copied. NULL when out of memory. */
cm_json *cm_zarr_mask_decode(cm_json_doc *doc, const cm_zarr_type *type, const cm_json *stored);
cm_json *cm_zarr_mask_encode(cm_json_doc *doc, cm_dtype dtype, const cm_json *model);

/* v2's fill_value as the model's `_FillValue`: "NaN" becomes the number, base64 the text that is in
 * cell. NULL: out of memory. */
cm_json *cm_zarr_mask_from_v2(cm_json_doc *doc, const cm_zarr_type *type, const cm_json *fill,
                              const cm_zarr_cell *cell);

/* True when v can be the typed `_FillValue` of dtype: a number, [re, im], bool, string. */
bool cm_zarr_mask_is_typed(cm_dtype dtype, const cm_json *v);

/* ---- zarr_tree.c ----------------------------------------------------------------------------- */

typedef struct cm_zarr_node {
    char *path; /* "" for the root, "a/b" */
    bool is_array;
    const cm_json *document;   /* zarr.json, .zarray or .zgroup; NULL: a group that has none */
    const cm_json *attributes; /* v2 .zattrs, NULL without */
    cm_object_version version; /* of an array's own document, when that was read */
    cm_error *problem;         /* an array whose documents cannot be read */
} cm_zarr_node;

/* The nodes of a hierarchy, parents before children. */
typedef struct cm_zarr_tree {
    int format;
    bool consolidated;
    cm_zarr_node *nodes;
    size_t nnodes, nodes_capacity;
    cm_json_doc **docs; /* the documents' owners */
    size_t ndocs, docs_capacity;
} cm_zarr_tree;

/* Find them, below key. out is deinit'ed by the caller also on failure. */
int cm_zarr_tree_load(cm_context *ctx, cm_store *store, const char *key, cm_zarr_tree *out,
                      cm_error *err);
void cm_zarr_tree_deinit(cm_zarr_tree *t);

/* key + "/" + name, without a slash when either is empty; NULL with err set. */
char *cm_zarr_key_join(const char *key, const char *name, cm_error *err);

/* "/a/b" or "a/b" -> number of parts. */
size_t cm_zarr_depth(const char *path);

/* ---- zarr_v2.c, zarr_v3.c: one array's document ---------------------------------------------- */

typedef struct cm_zarr_meta {
    int ndim; /* -1 until known */
    int64_t shape[CM_MAX_DIMS];
    int64_t chunk[CM_MAX_DIMS]; /* of a stored object; the largest of an irregular grid */
    cm_grid *grid;              /* owned; NULL when regular */
    const cm_json *grid_shapes; /* "chunk_shapes" as they are in the document */
    const cm_json *names;       /* array of ndim strings or nulls, or NULL */
    bool qualified;             /* names are NCZarr paths: only the last part counts */
    const cm_json *attributes;  /* object or NULL */
    cm_zarr_type type;          /* kind CM_NONE until known */
    const cm_json *fill;        /* NULL when null */
    cm_zarr_cell cell;
    char *cell_text;  /* owned, the bytes of a cell that JSON does not hold */
    void *cell_other; /* owned, a cell of another kind: instead of cell */
    cm_chain *chain;  /* owned */
    char separator;
    bool separator_given; /* v2: else it is a guess */
    bool default_keys;    /* v3's "default" chunk keys, else v2's */
    bool by_netcdf; /* v2: netCDF-C wrote the hierarchy, as its root says; set by the caller */
} cm_zarr_meta;

/* Everything that was found before a failure stays set (shape, names, attributes). The caller
 * unrefs the chain, also on failure. */
int cm_zarr_meta_parse_v2(const cm_json *zarray, const cm_json *zattrs, cm_zarr_meta *out,
                          cm_error *err);
int cm_zarr_meta_parse_v3(const cm_json *document, cm_zarr_meta *out, cm_error *err);

void cm_zarr_meta_deinit(cm_zarr_meta *m);

/* shared by both: "shape", and chunk lengths for a known shape. */
int cm_zarr_shape_parse(const cm_json *v, cm_zarr_meta *m, cm_error *err);
int cm_zarr_chunk_parse(const cm_json *v, const char *member, cm_zarr_meta *m, cm_error *err);

/* zarr_grid.c: the configuration of a rectilinear grid, for a known shape, into chunk and grid;
 * then the chains, by make for each of the chunk shapes in m->chunk. m->chain is the largest's. */
int cm_zarr_grid_parse(const cm_json *config, cm_zarr_meta *m, cm_error *err);
int cm_zarr_grid_chains(cm_zarr_meta *m, int (*make)(cm_zarr_meta *m, const void *from, cm_error *),
                        const void *from, cm_error *err);

/* "fill_value" by the type's rule into fill and one of the cells. */
int cm_zarr_meta_fill(const cm_json *v, int format, cm_zarr_meta *m, cm_error *err);

/* ---- zarr_open.c: hierarchies whose chunks are elsewhere --------------------------------------
 */

/* What one array's chunk table is made for. */
typedef struct cm_zarr_place {
    const char *path; /* "" for the root, "a/b" */
    int ndim;
    const int64_t *shape, *chunk; /* chunk: of a stored object */
    char separator;
    bool default_keys; /* as in cm_zarr_meta */
    bool sharded;
} cm_zarr_place;

typedef struct cm_zarr_elsewhere {
    const char *format; /* of the dataset, "Kerchunk JSON" */
    cm_store *objects;  /* where the tables' keys are */
    int (*make)(void *user, const cm_zarr_place *place, cm_table **out, cm_error *err);
    void *user;
} cm_zarr_elsewhere;

/* As cm_zarr_open, the documents from store's root, the chunks from elsewhere. */
int cm_zarr_open_elsewhere(cm_context *ctx, cm_store *store, const char *uri,
                           const cm_zarr_elsewhere *elsewhere, cm_dataset **out, cm_error *err);

/* ---- zarr_text.c: text and swapped records, unpacked ----------------------------------------- */

/* Make the chain, parsed for cm_zarr_type_stored, one of strings. */
int cm_zarr_text_chain(cm_zarr_meta *m, int format, cm_error *err);

/* Set unpack and owner of spec. The caller frees spec->owner when no array is made. */
int cm_zarr_text_apply(const cm_zarr_meta *m, cm_chunked_spec *spec, cm_error *err);

/* Attributes that are hidden from the user: v2's dimension names, NCZarr's own. */
bool cm_zarr_attribute_hidden(const char *name, int format, bool is_array);

#endif
