/* dataset/dataset_private.h: how formats build a dataset.
 *
 * A tree in memory of its own, given back as a whole: variables, their names and the lists of
 * attributes lie side by side, since ten thousand files have a tree each. What is replaced is left
 * behind. Strings are copied in. The values of attributes live in one JSON document per dataset. A
 * format driver makes an empty dataset, adds groups, dimensions, variables and attributes in file
 * order, and hands it out; one thread does.
 */
#ifndef CM_DATASET_DATASET_PRIVATE_H
#define CM_DATASET_DATASET_PRIVATE_H

#include "array/array_private.h"
#include "array/bump.h"
#include "array/chunked.h"
#include "array/paths.h"
#include "chunkmill/dataset.h"
#include "dataset/name_table.h"

/* A list of attributes; names beyond the first 16 are found through a table. */
typedef struct cm_attributes {
    cm_attribute *items; /* they and their names: the dataset's memory */
    size_t count, capacity;
    cm_name_table names; /* empty while count <= 16 */
} cm_attributes;

struct cm_group {
    cm_dataset *dataset;
    cm_group *parent;
    const char *name, *path;
    cm_group **groups;
    size_t ngroups, groups_capacity;
    cm_variable **variables;
    size_t nvariables, variables_capacity;
    cm_dimension *dimensions;
    size_t ndimensions, dimensions_capacity;
    cm_name_table children; /* groups (2 * i) and variables (2 * i + 1) share one name space */
    cm_name_table dimension_names;  /* i */
    struct cm_group_alias *aliases; /* other names of groups, for finding; in no list */
    cm_attributes attributes;
};

struct cm_variable {
    cm_group *group;
    const char *name, *path;
    cm_array *array;   /* owned reference or NULL */
    cm_error *problem; /* owned or NULL; exactly one of array and problem is set when the driver is
                          done */
    int ndim;          /* also known for most unreadable variables */
    int64_t shape[CM_MAX_DIMS];
    const char *dimensions[CM_MAX_DIMS]; /* NULL where unnamed */
    cm_attributes attributes;
    cm_storage storage; /* cm_variable_set_storage copies */
};

struct cm_dataset {
    cm_context *ctx;
    char *uri;
    char format[48];
    cm_json_doc *doc; /* owns all attribute values */
    cm_bump *tree;    /* variables, names, lists of attributes */
    cm_group *root;
    bool is_array; /* a lone array, as Zarr stores may be: the root has one variable, whose name is
                      only the URI's, and nothing else */
    bool
        elsewhere; /* what opening found also depends on other files than the one that was opened */
    cm_paths *sources;     /* of references: the objects that they point to; else NULL; owned */
    const cm_json *joined; /* of doc: what a join did; NULL for others */
    void *owner;           /* the driver's or join's own state, freed last with owner_free */
    void (*owner_free)(void *owner);
};

/* An empty dataset with a root group. */
int cm_dataset_new(cm_context *ctx, const char *uri, const char *format, cm_dataset **out,
                   cm_error *err);

/* Names: any UTF-8 without '/' or NUL, not empty; duplicates in one group are CM_EDATA. A group and
 * a variable of one name in one group are duplicates too; a dimension is not. */
int cm_group_add_group(cm_group *g, const char *name, cm_group **out, cm_error *err);

/* Paths through `name` in g lead into target, which is of the same dataset. Nobody lists it. */
int cm_group_add_alias(cm_group *g, const char *name, cm_group *target, cm_error *err);
int cm_group_add_dimension(cm_group *g, const char *name, int64_t length, bool unlimited,
                           cm_error *err);
int cm_group_add_variable(cm_group *g, const char *name, cm_variable **out, cm_error *err);

/* The dimension that name means in g: g's own, else the parent's and so on. NULL when there is
 * none. */
const cm_dimension *cm_group_scope_dimension(const cm_group *g, const char *name);

/* value must belong to ds->doc (make it with cm_json_new_* on it, or cm_json_copy). Replaces one of
 * the same name in place. */
int cm_group_add_attribute(cm_group *g, const char *name, const cm_json *value, cm_dtype dtype,
                           cm_error *err);
int cm_variable_add_attribute(cm_variable *v, const char *name, const cm_json *value,
                              cm_dtype dtype, cm_error *err);

/* JSON value of n native cells of a numeric, bool or complex dtype (complex: [re, im]); one cell
 * gives a scalar when scalar is true. float32 as the double that equals it. NULL when out of
 * memory. */
cm_json *cm_json_from_cells(cm_json_doc *doc, cm_dtype dtype, const void *cells, size_t n,
                            bool scalar);

/* The other way: one cell of dtype from a JSON scalar (number, or for complex [re, im]; "NaN",
 * "Infinity", "-Infinity" strings too). false when it does not fit exactly (float32: nearest is
 * accepted). Not for strings. */
bool cm_cell_from_json(const cm_json *v, cm_dtype dtype, void *cell);

/* For attributes.c and dataset.c only. */
const cm_attribute *cm_attributes_find(const cm_attributes *a, const char *name);
int cm_attributes_set(cm_attributes *a, cm_bump *tree, const char *name, const cm_json *value,
                      cm_dtype dtype, cm_error *err);
void cm_attributes_deinit(cm_attributes *a);

/* A variable in the memory of g's dataset that is not in the tree; path NULL: below g. It is freed
 * before the dataset. */
int cm_variable_new(cm_group *g, const char *name, const char *path, cm_variable **out,
                    cm_error *err);
void cm_variable_free(cm_variable *v);
/* "GROUP/NAME" in tree; group "" for the root. NULL when out of memory. */
char *cm_dataset_path(cm_bump *tree, const char *group, const char *name, cm_error *err);

/* The variable of ds that is to be joined or compared with v: the one of the same path; of two lone
 * arrays the only one. NULL when there is none. */
cm_variable *cm_dataset_counterpart(const cm_dataset *ds, const cm_variable *v);

/* Give the variable its array (takes the reference) and its ndim and shape from it. */
void cm_variable_set_array(cm_variable *v, cm_array *array);
/* Or the reason why it cannot be read. object and variable parts are filled in when empty. */
int cm_variable_set_problem(cm_variable *v, const cm_error *why, cm_error *err);
int cm_variable_set_dimension(cm_variable *v, int axis, const char *name, cm_error *err);
int cm_variable_set_storage(cm_variable *v, int ndim, const int64_t *chunks, const int64_t *shards,
                            const char *codecs, const char *stored_dtype, bool raw, cm_error *err);
/* After it: the storage's lengths. */
int cm_variable_set_lengths(cm_variable *v, const char *lengths, cm_error *err);

#endif
