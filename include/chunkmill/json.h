/* chunkmill/json.h: JSON that loses nothing.
 *
 * A tree of values in one arena. Numbers keep the text they were written with, so that what is read
 * and written again is the same to the byte, and 64-bit integers of either sign are exact. Key
 * order is kept. The tokens NaN, Infinity and -Infinity, which Python writes, are read and written
 * as numbers. Strings are UTF-8 without NUL-termination in principle (they may hold \u0000), but
 * each is followed by a NUL byte. Source: RFC 8259, and Python's json module for the three tokens.
 *
 * Threads: a document may be read by many threads once nobody changes it.
 */
#ifndef CHUNKMILL_JSON_H
#define CHUNKMILL_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chunkmill/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cm_json cm_json;         /* a value; lives as long as its document */
typedef struct cm_json_doc cm_json_doc; /* the arena that owns values */

typedef enum cm_json_type {
    CM_JSON_NULL,
    CM_JSON_BOOL,
    CM_JSON_NUMBER,
    CM_JSON_STRING,
    CM_JSON_ARRAY,
    CM_JSON_OBJECT
} cm_json_type;

/* An empty document; max_nbytes bounds its arena (0: 1 GiB). free(NULL) is legal. Raises
 * CM_ENOMEM. */
CM_API int cm_json_doc_new(size_t max_nbytes, cm_json_doc **out, cm_error *err) CM_MUST_CHECK;
CM_API void cm_json_doc_free(cm_json_doc *doc);
CM_API cm_json *cm_json_doc_root(const cm_json_doc *doc); /* NULL while none is set */
CM_API void cm_json_doc_set_root(cm_json_doc *doc, cm_json *root);

/* Parse text[0..nbytes) into a new document. Limits: 64 levels, the arena at most
 * max_nbytes (0: 1 GiB); a duplicate key, text after the value, invalid UTF-8, a lone surrogate
 * escape or a raw control character in a string is CM_EDATA with line and column. An exponent of
 * more than 9 digits is CM_ELIMIT. A byte order mark at the start is passed over. Raises CM_EDATA,
 * CM_ELIMIT, CM_ENOMEM. */
CM_API int cm_json_parse(const char *text, size_t nbytes, size_t max_nbytes, cm_json_doc **out,
                         cm_error *err) CM_MUST_CHECK;

/* Looking. A NULL value is allowed everywhere and behaves as null. */
CM_API cm_json_type cm_json_type_of(const cm_json *v);
CM_API bool cm_json_is(const cm_json *v, cm_json_type type); /* false for NULL */
CM_API size_t cm_json_count(const cm_json *v); /* members of an array or object, else 0 */

/* The i-th element or member value, and the i-th member's key; NULL outside. */
CM_API cm_json *cm_json_at(const cm_json *v, size_t i);
CM_API const char *cm_json_key(const cm_json *v, size_t i);

/* A member's value; NULL when it is absent or v is not an object. */
CM_API cm_json *cm_json_get(const cm_json *object, const char *key);
CM_API const char *cm_json_string(const cm_json *v); /* NULL unless a string */
CM_API size_t cm_json_string_nbytes(const cm_json *v);
CM_API bool cm_json_bool(const cm_json *v, bool otherwise);

/* Numbers: false unless the value is a number that the type holds exactly (1.0 and 1e3 are integers
 * for these; NaN is not). double: the nearest double, always true for numbers. */
CM_API bool cm_json_int64(const cm_json *v, int64_t *out);
CM_API bool cm_json_uint64(const cm_json *v, uint64_t *out);
CM_API bool cm_json_double(const cm_json *v, double *out);

/* The number as written; NULL unless a number. */
CM_API const char *cm_json_number_text(const cm_json *v);

/* True if the text of a number has no '.', 'e', and is not NaN or Infinity. */
CM_API bool cm_json_is_integer_text(const cm_json *v);

/* Deep equality; numbers are equal when their exact values are (1 == 1.0), NaN equals NaN, key
 * order is ignored. */
CM_API bool cm_json_equal(const cm_json *a, const cm_json *b);

/* Making. Each returns NULL when memory or the document's limit is out (a later cm_json_add or
 * cm_json_set with NULL then fails too, so checking the last step is enough). */
CM_API cm_json *cm_json_new_null(cm_json_doc *doc);
CM_API cm_json *cm_json_new_bool(cm_json_doc *doc, bool v);
CM_API cm_json *cm_json_new_int64(cm_json_doc *doc, int64_t v);
CM_API cm_json *cm_json_new_uint64(cm_json_doc *doc, uint64_t v);
/* The shortest text that reads back the same, as Python's repr. */
CM_API cm_json *cm_json_new_double(cm_json_doc *doc, double v);
CM_API cm_json *cm_json_new_string(cm_json_doc *doc, const char *s);
CM_API cm_json *cm_json_new_string_n(cm_json_doc *doc, const char *s, size_t nbytes);
CM_API cm_json *cm_json_new_array(cm_json_doc *doc);
CM_API cm_json *cm_json_new_object(cm_json_doc *doc);
/* Deep, number texts kept; NULL also for more than 64 levels. */
CM_API cm_json *cm_json_copy(cm_json_doc *doc, const cm_json *v);

/* Append to an array; set a member (replacing it in place, else at the end); delete a member.
 * item must belong to doc. add and set return 0 or CM_ENOMEM (also when item is NULL). */
CM_API int cm_json_add(cm_json_doc *doc, cm_json *array, cm_json *item);
CM_API int cm_json_set(cm_json_doc *doc, cm_json *object, const char *key, cm_json *item);
CM_API bool cm_json_delete(cm_json *object, const char *key);

/* Shorthands for cm_json_set of a new value. */
CM_API int cm_json_set_string(cm_json_doc *doc, cm_json *object, const char *key, const char *s);
CM_API int cm_json_set_int64(cm_json_doc *doc, cm_json *object, const char *key, int64_t v);
CM_API int cm_json_set_bool(cm_json_doc *doc, cm_json *object, const char *key, bool v);

/* Write v as text, a new NUL-terminated string of *nbytes bytes that the caller frees with free().
 * indent 0: one line, ", " and ": " as Python's json.dumps; else that many spaces a level.
 * Non-ASCII characters are written as they are. Raises CM_EDATA (a string or key that was made and
 * is not UTF-8), CM_ELIMIT (more than 64 levels), CM_ENOMEM. */
CM_API int cm_json_write(const cm_json *v, int indent, char **text, size_t *nbytes,
                         cm_error *err) CM_MUST_CHECK;

/* Shortest text of a double that reads back the same ("0.1", "1e+20", "NaN", "-Infinity", "5.0");
 * for float32 the shortest that reads back the same float. buf has 32 bytes or more. Returns buf.
 */
CM_API char *cm_double_text(double v, char *buf);
CM_API char *cm_float_text(float v, char *buf);

#ifdef __cplusplus
}
#endif
#endif
