/* join/survey.h: what the parts of a survey share.
 *
 *   survey_keys.c    equal byte strings become equal numbers
 *   survey_values.c  the values of a static variable as a hash
 *   survey_form.c    a variable of a file -> the shape that it has: all that must agree
 *   survey_read.c    one pass over the files, in parallel: open, take the shapes, close
 *   survey_agree.c   which shapes join, by the functions that the join itself asks
 *   survey_order.c   which files follow each other: order, duplicates, overlaps, gaps
 *   save/survey*.c   which can be referred to, by the functions that write references; the report
 *
 * A file is open only while it is looked at. What stays of it is 16 bytes a variable and its
 * coordinate's ends; what stays of thousands of files alike is one stand-in a variable.
 */
#ifndef CM_JOIN_SURVEY_H
#define CM_JOIN_SURVEY_H

#include <pthread.h>

#include "chunkmill/survey.h"
#include "dataset/dataset_private.h"
#include "join/extent.h"
#include "join/survey_keys.h"

enum { CM_FORM_STATIC = -1, CM_FORM_TWICE = -2 };

/* What a variable of that path is in some of the files. Two files have the same shape when nothing
 * that the join or references look at differs, but for the length along the joined dimension. */
typedef struct cm_form {
    uint32_t variable;
    cm_variable *v; /* stands for the variable: its array cannot be read, its group's dataset has no
                       file; owned */
    uint32_t count, example; /* files that have it, the first of them */
    int axis;                /* along the joined dimension, or CM_FORM_ */
    uint32_t bounds;         /* the variable that is its bounds, or UINT32_MAX */
    bool declared;           /* its group knows the joined dimension... */
    int64_t excess;          /* ...and it is so much longer than that */
    bool hashed;
    uint64_t values[2]; /* of a static variable */
    unsigned odd;       /* CM_TOLD_ */
    bool truncated;     /* contiguous data that reach beyond the end of the file */
} cm_form;

typedef struct cm_survey_entry {
    uint32_t variable, form;
    int64_t length; /* along the joined dimension; 0: static */
} cm_survey_entry;

typedef struct cm_survey_file {
    bool opened;
    cm_error *problem; /* owned; of a file that was opened: of its reading */
    size_t n;
    cm_survey_entry *entries; /* in the order of the file, owned */
    size_t nextents;
    cm_extent *extents; /* of coordinate variables of the joined dimension; v is a shape's */
    uint32_t *extent_variables;
} cm_survey_file;

typedef struct cm_survey {
    cm_context *ctx;
    const cm_survey_options *options;
    struct cm_tables_list *sources;
    const char *const *uris; /* their names */
    size_t n;
    char *dimension; /* NULL: none could be found, and `undecided` says why */
    cm_error undecided;
    cm_survey_file *files;

    pthread_mutex_t lock; /* guards what follows while files are read */
    cm_error broken;      /* code not 0: entering failed half-way, nothing more is entered */
    cm_dataset *stands;   /* in whose root the stand-ins are */
    cm_keys paths;        /* of variables: a variable's number is its path's */
    cm_keys keys;         /* of shapes: a shape's number is its key's */
    cm_form *forms;
    size_t nforms, forms_capacity;
    cm_keys sets; /* owner and attributes, see survey_form.c  */
    uint32_t *set_counts, *set_examples;
    size_t set_capacity, example_capacity;
    cm_keys encoded; /* chunks as stored -> number of values */
    uint64_t (*values)[2];
    size_t values_capacity;
    uint64_t pinned, held; /* bytes pinned in the budget; what is to be pinned beside the keys */
} cm_survey;

/* ---- reading --------------------------------------------------------------------------------- */

/* Find the dimension and look at all files. Files that cannot be read are no error. Raises
 * CM_ENOMEM, CM_ELIMIT, CM_ECANCEL, CM_EINVAL (no variable has the dimension). */
int cm_survey_read(cm_survey *s, cm_error *err);

/* Open file k and take the part that the options choose. */
int cm_survey_open(const cm_survey *s, size_t k, cm_dataset **out, cm_error *err);

/* A variable's number; the file's entry of a variable, NULL when it has none. */
const cm_survey_entry *cm_survey_entry_of(const cm_survey_file *f, uint32_t variable);
const char *cm_survey_path(const cm_survey *s, uint32_t variable);

/* Memory that stays until the end of the survey, pinned in the budget. CM_ELIMIT. */
int cm_survey_pin(cm_survey *s, uint64_t nbytes, cm_error *err);

/* What is known of a variable, put into `key` and `set`; no lock is held. ds: the open file. */
typedef struct cm_survey_look {
    cm_buffer key, set;
    cm_form form; /* without v */
    int64_t length;
} cm_survey_look;
int cm_survey_look_at(cm_survey *s, const cm_variable *v, cm_survey_look *out, cm_error *err);

/* Number of the shape; a new one gets its stand-in. file: of the example. s->lock is held. */
int cm_survey_enter(cm_survey *s, const cm_variable *v, cm_survey_look *look, uint32_t file,
                    uint32_t *form, cm_error *err);

/* Is it an array of chunks on a regular grid, or contiguous, of which a stand-in can be made? */
bool cm_survey_is_stored(const cm_array *a);

/* What stands for an array a of form f with that length along the joined dimension: the stand-in of
 * a stand-in too. An array that is made of several is itself, ref'd. */
int cm_survey_stand_in(const cm_form *f, cm_array *a, int64_t length, cm_array **out,
                       cm_error *err);
/* a as an array whose values are changed when it is read. */
int cm_survey_changed(cm_array *a, cm_array **out, cm_error *err);
const cm_array *cm_survey_changed_source(const cm_array *a); /* NULL: it is none */

/* The attributes of a group that a survey compares, entered. s->lock is held. */
int cm_survey_enter_groups(cm_survey *s, const cm_group *g, uint32_t file, cm_buffer *scratch,
                           cm_error *err);

/* A hash of the values, any NaN as any other. form: the key of the variable's form, values apart.
 */
int cm_survey_hash(cm_survey *s, const cm_variable *v, const cm_buffer *form, uint64_t out[2],
                   cm_error *err);

/* How far apart two files' values of a static variable are. */
typedef struct cm_survey_distance {
    bool comparable; /* both were read: numbers of one type and shape */
    int64_t cells, differing;
    double largest; /* absolute difference; -1: one is NaN, or infinite */
} cm_survey_distance;

/* Opens both again. Only memory and interruptions are errors. */
int cm_survey_measure(cm_survey *s, uint32_t variable, size_t a, size_t b, cm_survey_distance *out,
                      cm_error *err);

/* ---- agreement ------------------------------------------------------------------------------- */

/* Why two forms of a variable do not stand side by side: cm_aspect (match.h), and */
enum {
    CM_CLASH_VALUES = 32,      /* of static variables */
    CM_CLASH_UNREADABLE = 64,  /* it cannot be read */
    CM_CLASH_TWICE = 128,      /* it has the joined dimension twice */
    CM_CLASH_LENGTH = 256,     /* it is not as long as the joined dimension of its file */
    CM_CLASH_CONVERSION = 512, /* times cannot be said in the first file's units */
    CM_CLASH_ABSENT = 1024
};

/* What is found along the coordinate; those before CM_EVENT_GAP do not join. */
typedef enum cm_event_kind {
    CM_EVENT_TURN,      /* not monotonic: `from` is followed by `to` at index n */
    CM_EVENT_NO_VALUE,  /* at index n */
    CM_EVENT_DIRECTION, /* the other way round than file b */
    CM_EVENT_DUPLICATE, /* it begins with `from`, which is the last or first of file b */
    CM_EVENT_OVERLAP,   /* it begins at `from`, inside of file b, which goes to `to` */
    CM_EVENT_ORDERLESS, /* it cannot be compared with the first file's */
    CM_EVENT_GAP,       /* n steps missing before `to`, after `from` of file b */
    CM_EVENT_HOLE       /* n steps missing inside */
} cm_event_kind;

typedef struct cm_survey_event {
    cm_event_kind kind;
    uint32_t variable;
    size_t a, b; /* files; b SIZE_MAX: none */
    int64_t n;
    char from[48], to[48];
} cm_survey_event;

typedef struct cm_survey_order {
    size_t *files; /* those that were opened, in the order of joining */
    size_t n;
    bool by_coordinate, as_listed;
    uint32_t coordinate; /* variable, where by_coordinate */
    int64_t steps;
    char first[48], last[48], step[64]; /* texts; step "": it has none */
    cm_survey_event *events;
    size_t nevents, capacity;
} cm_survey_order;

/* Nothing but memory fails. *out is to be freed also on failure. */
int cm_survey_find_order(cm_survey *s, cm_survey_order *out, cm_error *err);
void cm_survey_order_deinit(cm_survey_order *o);

typedef struct cm_survey_agreement {
    bool joinable;
    unsigned *clash;       /* of each form, with that of the first file in order */
    uint32_t *kinds;       /* of each file in order: files of one kind join, but for their order */
    uint32_t nkinds;       /* kinds above CM_MOST_KINDS are one */
    size_t *models;        /* the first file of each kind, a file's number */
    cm_error *conversions; /* what could not be converted, one a file */
    size_t *conversion_files;
    size_t nconversions;
    bool *converts; /* of each variable: some files' times are re-encoded */
} cm_survey_agreement;

enum { CM_MOST_KINDS = 64 };

int cm_survey_agree(cm_survey *s, const cm_survey_order *order, cm_survey_agreement *out,
                    cm_error *err);
void cm_survey_agreement_deinit(cm_survey_agreement *a);

/* The variable whose bounds `variable` is in file f, or UINT32_MAX. */
uint32_t cm_survey_parent(const cm_survey *s, const cm_survey_file *f, uint32_t variable);

#endif
