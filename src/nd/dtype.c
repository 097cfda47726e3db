/* nd/dtype.c: the table of cell types; see chunkmill/dtype.h.
 *
 * One row per kind. A word is what a byte swap reverses: a complex number is two words.
 */
#include <stdio.h>
#include <string.h>

#include "chunkmill/dtype.h"

enum { SIGNED = 1, UNSIGNED = 2, FLOAT = 4, COMPLEX = 8 };

static const struct kind_row {
    const char *name;
    uint8_t size, word, flags;
} kind_table[] = {
    [CM_NONE] = {"none", 0, 0, 0},
    [CM_BOOL] = {"bool", 1, 1, 0},
    [CM_INT8] = {"int8", 1, 1, SIGNED},
    [CM_INT16] = {"int16", 2, 2, SIGNED},
    [CM_INT32] = {"int32", 4, 4, SIGNED},
    [CM_INT64] = {"int64", 8, 8, SIGNED},
    [CM_UINT8] = {"uint8", 1, 1, UNSIGNED},
    [CM_UINT16] = {"uint16", 2, 2, UNSIGNED},
    [CM_UINT32] = {"uint32", 4, 4, UNSIGNED},
    [CM_UINT64] = {"uint64", 8, 8, UNSIGNED},
    [CM_FLOAT16] = {"float16", 2, 2, FLOAT},
    [CM_FLOAT32] = {"float32", 4, 4, FLOAT},
    [CM_FLOAT64] = {"float64", 8, 8, FLOAT},
    [CM_COMPLEX64] = {"complex64", 8, 4, COMPLEX},
    [CM_COMPLEX128] = {"complex128", 16, 8, COMPLEX},
    [CM_STRING] = {"string", sizeof(cm_string), 0, 0},
    [CM_BYTES] = {"bytes", 0, 1, 0},
};

enum { NKINDS = sizeof kind_table / sizeof kind_table[0] };

static const struct kind_row *row_of(cm_kind kind)
{
    return (unsigned)kind < NKINDS ? &kind_table[kind] : &kind_table[CM_NONE];
}

cm_dtype cm_dtype_of(cm_kind kind, uint32_t size)
{
    return (cm_dtype){kind, kind == CM_BYTES ? size : row_of(kind)->size};
}

const char *cm_dtype_name(cm_dtype dtype, char *buf, size_t size)
{
    if (dtype.kind != CM_BYTES)
        return row_of(dtype.kind)->name;
    snprintf(buf, size, "bytes%u", (unsigned)dtype.size);
    return buf;
}

cm_kind cm_kind_named(const char *name)
{
    for (int k = CM_BOOL; k < NKINDS; k++)
        if (k != CM_BYTES && strcmp(kind_table[k].name, name) == 0)
            return (cm_kind)k;
    return CM_NONE;
}

bool cm_dtype_equal(cm_dtype a, cm_dtype b)
{
    return a.kind == b.kind && a.size == b.size;
}

bool cm_kind_is_integer(cm_kind kind)
{
    return (row_of(kind)->flags & (SIGNED | UNSIGNED)) != 0;
}

bool cm_kind_is_unsigned(cm_kind kind)
{
    return (row_of(kind)->flags & UNSIGNED) != 0;
}

bool cm_kind_is_float(cm_kind kind)
{
    return (row_of(kind)->flags & FLOAT) != 0;
}

bool cm_kind_is_complex(cm_kind kind)
{
    return (row_of(kind)->flags & COMPLEX) != 0;
}

uint32_t cm_dtype_word(cm_dtype dtype)
{
    return row_of(dtype.kind)->word;
}
