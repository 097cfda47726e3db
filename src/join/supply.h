/* join/supply.h: coordinate values that come from elsewhere than a coordinate variable.
 *
 *     time=date:%Y%m%d            a date in the file's name
 *     member=name:r(\d+)i         a number or text in it
 *     time=attr:time_coverage_start, level=attr:tas@level
 *                                 an attribute of the file, or of a variable of it
 *     member=values:1,2,5         listed, in the order of the files
 */
#ifndef CM_JOIN_SUPPLY_H
#define CM_JOIN_SUPPLY_H

#include "cf/time_units.h"
#include "dataset/dataset_private.h"

typedef enum cm_supply_kind {
    CM_SUPPLY_INSTANT,
    CM_SUPPLY_INTEGER,
    CM_SUPPLY_REAL,
    CM_SUPPLY_TEXT
} cm_supply_kind;

typedef struct cm_supply_value {
    bool is[4]; /* by kind: it can be read as that */
    __int128 instant;
    int64_t integer;
    double real;
    char *text; /* owned; NULL: it was no text */
} cm_supply_value;

typedef struct cm_supply {
    char *name; /* of the coordinate and its dimension */
    cm_supply_kind kind;
    cm_calendar calendar;
    char units_text[48]; /* of instants */
    cm_time_units units;
    cm_supply_value *values;
    size_t nvalues, capacity;
    size_t n;      /* datasets */
    size_t *begin; /* n + 1: dataset k has the values begin[k]..begin[k + 1]; none: it keeps its
                      own */
} cm_supply;

/* The name in a specification, as a new string. CM_EINVAL for one that is none. */
int cm_supply_name(const char *spec, char **out, cm_error *err);

/* Get every dataset's values. calendar: of dates, NULL: that of the files' own variable, else
 * standard. keep_first: the first dataset has its own. Raises CM_EINVAL and CM_EJOIN naming file
 * and specification. *out is to be freed also on failure. */
int cm_supply_read(cm_dataset *const *datasets, size_t n, const char *spec, const char *calendar,
                   bool keep_first, cm_supply *out, cm_error *err);
/* 0, 1, 2... */
int cm_supply_count(size_t n, const char *name, cm_supply *out, cm_error *err);
void cm_supply_deinit(cm_supply *s);

size_t cm_supply_length(const cm_supply *s, size_t k);

/* Dataset k's coordinate as a variable of g, whose dimension it has. */
int cm_supply_variable(const cm_supply *s, size_t k, cm_group *g, cm_error *err);

/* CM_EJOIN when two texts are the same. */
int cm_supply_check_texts(const cm_supply *s, cm_dataset *const *datasets, cm_error *err);

#endif
