/* format/refs/refs.h: what the parts of the reference driver share.
 *
 * References are a Zarr hierarchy whose metadata are at hand and whose chunks are ranges of other
 * files. refs_scan.c takes the simple references out of kerchunk's JSON, refs_json.c reads all else
 * of it into a list of entries, refs_template.c expands its
 * templates, refs_parquet.c reads the Parquet form, refs_open.c makes the dataset and its chunk
 * tables, refs_url.c says which local file a URL means.
 */
#ifndef CM_FORMAT_REFS_H
#define CM_FORMAT_REFS_H

#include "array/referenced.h"
#include "format/format.h"
#include "format/zarr/zarr_private.h"

/* ---- refs_scan.c ----------------------------------------------------------------------------- */

/* A simple reference: [offset, offset + nbytes) of url. */
typedef struct cm_refs_range {
    const char *key, *url; /* in the text of the file */
    uint64_t offset;
    uint32_t nbytes, bucket;
} cm_refs_range;

/* Those whose keys have the same directory, for which parts that are numbers do not count. */
typedef struct cm_refs_bucket {
    const char *name;
    size_t nbytes, first, n; /* first: in order */
} cm_refs_bucket;

typedef struct cm_refs_ranges {
    cm_refs_range *items;
    size_t n, capacity;
    uint32_t *order; /* items by bucket, else as in the file; after group */
    cm_refs_bucket *buckets;
    size_t nbuckets, buckets_capacity;
    uint32_t *slots, last; /* a hash table of the buckets */
    size_t nslots;
} cm_refs_ranges;

/* Take them out: those of the file's object and of its member "refs". text: nbytes and a NUL; it is
 * changed, and the ranges' texts lie in it. rest: what is left, as JSON if text was; appended. */
int cm_refs_scan(char *text, size_t nbytes, cm_buffer *rest, cm_refs_ranges *root,
                 cm_refs_ranges *refs, cm_error *err);
int cm_refs_ranges_group(cm_refs_ranges *r, cm_error *err);

/* The bucket that holds, among others, all that have path as their directory; NULL: none have. */
const cm_refs_bucket *cm_refs_ranges_find(const cm_refs_ranges *r, const char *path);
void cm_refs_ranges_deinit(cm_refs_ranges *r);

/* ---- refs_json.c ----------------------------------------------------------------------------- */

typedef struct cm_refs_entry {
    const char *key;      /* "time/0", ".zgroup" */
    const cm_json *value; /* text, an object (metadata), [url] or [url, offset, length] */
} cm_refs_entry;

typedef struct cm_refs_json {
    cm_json_doc *doc;  /* the file; owned */
    cm_json_doc *made; /* what `gen` makes, NULL without; owned */
    const cm_json *templates;
    const cm_json *sources; /* our own record of the sources, see refs_open.c; NULL without */
    cm_refs_entry *entries; /* sorted by key */
    size_t n, capacity;
    cm_refs_ranges ranges; /* the simple references, which are no entries */
    size_t nrest;          /* bytes of text that were parsed */
} cm_refs_json;

/* text: the file, nbytes and a NUL; it is changed, and freed by the caller after deinit. out is
 * deinit'ed by the caller also on failure. Raises CM_EDATA, CM_EUNSUP (a version that is neither 0
 * nor 1, templates), CM_ELIMIT, CM_ENOMEM.
 */
int cm_refs_json_parse(char *text, size_t nbytes, cm_refs_json *out, cm_error *err);
void cm_refs_json_deinit(cm_refs_json *j);

/* ---- refs_template.c ------------------------------------------------------------------------- */

/* A variable of `gen`. */
typedef struct cm_refs_variable {
    const char *name;
    const char *text; /* NULL: value */
    int64_t value;
} cm_refs_variable;

/* text with every {{expression}} replaced, appended to out. templates: object of texts, or NULL;
 * those that hold {{ themselves are functions of named arguments. */
int cm_refs_render(const char *text, const cm_json *templates, const cm_refs_variable *variables,
                   size_t n, cm_buffer *out, cm_error *err);

/* ---- refs_url.c ------------------------------------------------------------------------------ */

/* A resolver for cm_paths: URLs and paths to keys of the store of "/". directory: where relative
 * paths begin; copied. */
int cm_refs_resolver_new(const char *directory, void **out, cm_error *err);
int cm_refs_resolve(void *resolver, const char *name, char **key, cm_error *err);

/* ---- refs_open.c ----------------------------------------------------------------------------- */

/* New paths below "/", relative ones from `from` (".", "..") in store's directory. *objects: the
 * store of "/"; unref. */
int cm_refs_paths(cm_context *ctx, cm_store *store, const char *from, cm_paths **paths,
                  cm_store **objects, cm_error *err);

/* Put documents, {key: document} of doc, into store as a consolidated .zmetadata. */
int cm_refs_put_consolidated(cm_store *store, cm_json_doc *doc, cm_json *documents, cm_error *err);

/* Enter what "sources" records: {url: [size, mtime_ns]}. NULL is none. */
int cm_refs_expect(cm_paths *paths, const cm_json *sources, cm_error *err);

/* ---- refs_parquet.c -------------------------------------------------------------------------- */

/* Where the files of the references that t is are: store/prefix/refs.K.parq. False when t is no
 * table of Parquet references in local files. */
bool cm_refs_parquet_place(const cm_table *t, int64_t *record_size, const char **store,
                           const char **prefix);

#endif
