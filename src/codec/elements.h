/* codec/elements.h: numbers of a named type inside bytes, for the filters that change values. */
#ifndef CM_CODEC_ELEMENTS_H
#define CM_CODEC_ELEMENTS_H

#include "codec/codec_private.h"

typedef struct cm_elements {
    cm_kind kind; /* bool, an integer or a float */
    uint32_t size;
    bool big_endian;
    char name[24]; /* as the configuration has it */
} cm_elements;

/* "<f4", "|u1" or "float32". CM_EUNSUP for what is no number. */
int cm_elements_parse(const char *name, const char *codec, cm_elements *out, cm_error *err);

/* The same of a cell's type, in little-endian order. */
int cm_elements_of(cm_dtype dtype, const char *codec, cm_elements *out, cm_error *err);

/* "<f4" */
cm_json *cm_elements_describe(const cm_elements *e, cm_json_doc *doc);

bool cm_elements_equal(const cm_elements *a, const cm_elements *b);
void cm_elements_make_little(cm_elements *e);

/* n numbers at src in this machine's order: src itself, or room (n * size bytes) with a copy. And
 * the way back, in place. */
const void *cm_elements_native(const cm_elements *e, const void *src, size_t n, void *room);
void cm_elements_to_order(const cm_elements *e, void *data, size_t n);

/* n numbers at src, of any alignment. i64: for bool and integers, unsigned ones by their bits. */
void cm_elements_load_i64(const cm_elements *e, const void *src, size_t n, int64_t *out);
void cm_elements_load_f64(const cm_elements *e, const void *src, size_t n, double *out);
void cm_elements_load_f32(const cm_elements *e, const void *src, size_t n,
                          float *out); /* CM_FLOAT32 */

/* Back: integers wrap around; doubles are rounded to floats once, and cut to integers. False when a
 * double is no number that the integer can be: what C and numpy make of it is anybody's guess. */
void cm_elements_store_i64(const cm_elements *e, const int64_t *v, size_t n, void *dst);
bool cm_elements_store_f64(const cm_elements *e, const double *v, size_t n, void *dst);
bool cm_elements_store_f32(const cm_elements *e, const float *v, size_t n,
                           void *dst); /* CM_FLOAT32 */

/* ---- loops over native numbers (element_kernels.c) ------------------------------------------- */

/* The buffers do not overlap. f64: false for a kind that they do not know, float16 among them; and
 * put_f64 for a number that the kind cannot be. */
void cm_load_i64(cm_kind kind, const void *src, size_t n, int64_t *out);
bool cm_load_f64(cm_kind kind, const void *src, size_t n, double *out);
void cm_put_i64(cm_kind kind, uint32_t size, const int64_t *v, size_t n, void *dst);
bool cm_put_f64(cm_kind kind, const double *v, size_t n, void *dst);

/* Is `to` a narrower integer than `from`, or float32 of float64? Then narrow stores n numbers so,
 * and says whether each is the same, to the bit, when it is made wide again. */
bool cm_narrows(cm_kind from, cm_kind to);
bool cm_narrow(cm_kind from, cm_kind to, const void *src, size_t n, void *dst);

/* Are a[i] and b[i] the same in the bits of mask, for all i? */
bool cm_alike(const int64_t *a, const int64_t *b, size_t n, int64_t mask);

/* d[i] = v[i + 1] - v[i] for i < n. True when v[i] + d[i] is v[i + 1] to the bit for all, and no
 * NaN. */
bool cm_steps_f32(const float *v, size_t n, float *d);
bool cm_steps_f64(const double *v, size_t n, double *d);

/* In place: v / divisor + summand; (v - minus) * factor; the nearest integer, ties to even. Each
 * operation rounds. */
void cm_divide_add_f32(float *v, size_t n, float divisor, float summand);
void cm_divide_add_f64(double *v, size_t n, double divisor, double summand);
void cm_subtract_multiply_f32(float *v, size_t n, float minus, float factor);
void cm_subtract_multiply_f64(double *v, size_t n, double minus, double factor);
void cm_round_even(double *v, size_t n);

/* Floats to integers of 32 bits or fewer (fixed_kernels.c): round((v - minus) * factor); what the
 * integer cannot be becomes the nearest that it can, a NaN the least. True when all of them come
 * back to the bit, as integer / factor + minus in doubles, then rounded to the float. can_fix: is
 * there a kernel for the two kinds? The _scalar one is the reference. */
bool cm_can_fix(cm_kind floats, cm_kind integers);
bool cm_fix(cm_kind floats, cm_kind integers, const void *src, size_t n, double minus,
            double factor, void *dst);
bool cm_fix_scalar(cm_kind floats, cm_kind integers, const void *src, size_t n, double minus,
                   double factor, void *dst);

/* Integers of 1, 2, 4 or 8 bytes, modulo their size. differences: each less the one before it, the
 * first less `before`; returns the last one. The buffers do not overlap. prefix_sum: the other way;
 * returns the last sum; src may be dst. */
uint64_t cm_differences(const void *src, void *dst, size_t n, uint32_t size, uint64_t before);
uint64_t cm_prefix_sum(const void *src, void *dst, size_t n, uint32_t size, uint64_t before);

#endif
