/* chunkmill/dtype.h: the types of cells.
 *
 * In memory every cell is in the machine's own byte order; byte order in files belongs to the
 * codec. A bool is one byte, 0 or 1. A complex number is two floats, real first. A variable-length
 * string is a cm_string: a view of UTF-8 bytes that somebody else owns (the reader's arena).
 */
#ifndef CHUNKMILL_DTYPE_H
#define CHUNKMILL_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chunkmill/error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CM_MAX_DIMS 32

typedef enum cm_kind {
    CM_NONE = 0,
    CM_BOOL,
    CM_INT8,
    CM_INT16,
    CM_INT32,
    CM_INT64,
    CM_UINT8,
    CM_UINT16,
    CM_UINT32,
    CM_UINT64,
    CM_FLOAT16,
    CM_FLOAT32,
    CM_FLOAT64,
    CM_COMPLEX64,
    CM_COMPLEX128,
    CM_STRING, /* variable-length UTF-8, a cm_string per cell */
    CM_BYTES   /* fixed-length bytes, size of them per cell (char arrays, HDF5 fixed strings) */
} cm_kind;

typedef struct cm_dtype {
    cm_kind kind;
    uint32_t size; /* bytes per cell in memory; 16 for CM_STRING */
} cm_dtype;

typedef struct cm_string {
    const char *data; /* not NUL-terminated; NULL only when nbytes is 0 */
    size_t nbytes;
} cm_string;

/* The dtype of a kind; size is used for CM_BYTES only. */
CM_API cm_dtype cm_dtype_of(cm_kind kind, uint32_t size);

/* "float32", "complex64", "string", "bytes12"; static or, for CM_BYTES, written into buf (24 bytes
 * or more). */
CM_API const char *cm_dtype_name(cm_dtype dtype, char *buf, size_t size);

/* The kind called name ("int16", "bool"...), CM_NONE if there is none. Not for CM_BYTES. */
CM_API cm_kind cm_kind_named(const char *name);

CM_API bool cm_dtype_equal(cm_dtype a, cm_dtype b);
CM_API bool cm_kind_is_integer(cm_kind kind); /* signed or unsigned, not bool */
CM_API bool cm_kind_is_unsigned(cm_kind kind);
CM_API bool cm_kind_is_float(cm_kind kind); /* real: 16, 32 or 64 bits */
CM_API bool cm_kind_is_complex(cm_kind kind);

/* Width in bytes of what a byte swap reverses: 8 for complex128, 1 for bool and CM_BYTES; 0 for
 * CM_STRING. */
CM_API uint32_t cm_dtype_word(cm_dtype dtype);

#ifdef __cplusplus
}
#endif
#endif
