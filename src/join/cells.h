/* join/cells.h: the cells of coordinates as numbers, whatever their dtype.
 *
 * Threads: a cm_numbers belongs to one thread at a time. */
#ifndef CM_JOIN_CELLS_H
#define CM_JOIN_CELLS_H

#include "cf/packing.h"
#include "cf/time_units.h"

typedef struct cm_number {
    bool missing, is_int, is_float32;
    __int128 i;
    double f;
} cm_number;

/* One native cell of an integer kind, CM_FLOAT32 or CM_FLOAT64; missing is left false. */
void cm_number_of_cell(cm_kind kind, const void *cell, cm_number *out);

/* -1, 0, 1; both of the same kind, neither missing. */
int cm_number_compare(const cm_number *a, const cm_number *b);

/* As a time: false when it is none. */
bool cm_number_instant(const cm_number *x, const cm_time_units *units, cm_instant *out);

/* For people: the shortest text that reads back the same, or the date when units is not NULL and it
 * is one. Returns buf (48 bytes or more). */
const char *cm_number_text(const cm_number *x, const cm_time_units *units, char *buf, size_t size);

/* The values of a 1-D numeric variable, unpacked when it is packed. Missing: NaN and fill values.
 * Raises CM_EUNSUP for other dtypes or numbers of dimensions, and for an unreadable variable its
 * problem. */
typedef struct cm_numbers cm_numbers;
int cm_numbers_open(cm_context *ctx, const cm_variable *v, cm_numbers **out, cm_error *err);
int cm_numbers_read(cm_numbers *s, int64_t lo, int64_t n, cm_number *out, cm_error *err);
void cm_numbers_close(cm_numbers *s); /* NULL is legal */

#endif
