/* codec/elements.h: numbers of a named type inside bytes, for the filters that change values. */
#ifndef CM_CODEC_ELEMENTS_H
#define CM_CODEC_ELEMENTS_H

#include "codec/codec_private.h"

typedef struct cm_elements {
    cm_kind kind; /* bool, an integer or a float */
    uint32_t size;
    bool big_endian;
    char name[16]; /* as the configuration has it */
} cm_elements;

/* "<f4", "|u1" or "float32". CM_EUNSUP for what is no number. */
int cm_elements_parse(const char *name, const char *codec, cm_elements *out, cm_error *err);

/* The same of a cell's type, in little-endian order. */
int cm_elements_of(cm_dtype dtype, const char *codec, cm_elements *out, cm_error *err);

/* "<f4" */
cm_json *cm_elements_describe(const cm_elements *e, cm_json_doc *doc);

bool cm_elements_equal(const cm_elements *a, const cm_elements *b);

/* n numbers at src, of any alignment. i64: for bool and integers, unsigned ones by their bits. */
void cm_elements_load_i64(const cm_elements *e, const void *src, size_t n, int64_t *out);
void cm_elements_load_f64(const cm_elements *e, const void *src, size_t n, double *out);

/* Back: integers wrap around; doubles are rounded to floats once, and cut to integers. False when a
 * double is no number that the integer can be: what C and numpy make of it is anybody's guess. */
void cm_elements_store_i64(const cm_elements *e, const int64_t *v, size_t n, void *dst);
bool cm_elements_store_f64(const cm_elements *e, const double *v, size_t n, void *dst);

#endif
