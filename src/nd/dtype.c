/* nd/dtype.c: the table of cell types; see chunkmill/dtype.h.
 *
 * One row per kind. A word is what a byte swap reverses: a complex number is two words. A record
 * has words of many widths, so that swapping one is its driver's matter and its word is 1. PARTIAL
 * kinds need more than their name to be a dtype.
 */
#include <stdio.h>
#include <string.h>

#include "chunkmill/dtype.h"

enum { SIGNED = 1, UNSIGNED = 2, FLOAT = 4, COMPLEX = 8, TIME = 16, VLEN = 32, SMALL = 64 };
enum { PARTIAL = 128 };

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
    [CM_STRING] = {"string", sizeof(cm_string), 0, VLEN},
    [CM_BYTES] = {"bytes", 0, 1, PARTIAL},
    [CM_DATETIME64] = {"datetime64", 8, 8, TIME | PARTIAL},
    [CM_TIMEDELTA64] = {"timedelta64", 8, 8, TIME | PARTIAL},
    [CM_UTF32] = {"utf32", 0, 4, PARTIAL},
    [CM_RAW] = {"raw", 0, 1, PARTIAL},
    [CM_RECORD] = {"record", 0, 1, PARTIAL},
    [CM_VBYTES] = {"variable_length_bytes", sizeof(cm_string), 0, VLEN},
    [CM_SEQUENCE] = {"sequence", sizeof(cm_string), 0, VLEN | PARTIAL},
    [CM_BFLOAT16] = {"bfloat16", 2, 2, SMALL},
    [CM_FLOAT8_E3M4] = {"float8_e3m4", 1, 1, SMALL},
    [CM_FLOAT8_E4M3] = {"float8_e4m3", 1, 1, SMALL},
    [CM_FLOAT8_E4M3B11FNUZ] = {"float8_e4m3b11fnuz", 1, 1, SMALL},
    [CM_FLOAT8_E4M3FN] = {"float8_e4m3fn", 1, 1, SMALL},
    [CM_FLOAT8_E4M3FNUZ] = {"float8_e4m3fnuz", 1, 1, SMALL},
    [CM_FLOAT8_E5M2] = {"float8_e5m2", 1, 1, SMALL},
    [CM_FLOAT8_E5M2FNUZ] = {"float8_e5m2fnuz", 1, 1, SMALL},
    [CM_FLOAT8_E8M0FNU] = {"float8_e8m0fnu", 1, 1, SMALL},
    [CM_FLOAT6_E2M3FN] = {"float6_e2m3fn", 1, 1, SMALL},
    [CM_FLOAT6_E3M2FN] = {"float6_e3m2fn", 1, 1, SMALL},
    [CM_FLOAT4_E2M1FN] = {"float4_e2m1fn", 1, 1, SMALL},
    [CM_INT2] = {"int2", 1, 1, SMALL},
    [CM_INT4] = {"int4", 1, 1, SMALL},
    [CM_UINT2] = {"uint2", 1, 1, SMALL},
    [CM_UINT4] = {"uint4", 1, 1, SMALL},
};

enum { NKINDS = sizeof kind_table / sizeof kind_table[0] };

static const char *const unit_names[] = {"generic", "Y",  "M",  "W",  "D",  "h",  "m",
                                         "s",       "ms", "us", "ns", "ps", "fs", "as"};
enum { NUNITS = sizeof unit_names / sizeof unit_names[0] };

static const struct kind_row *row_of(cm_kind kind)
{
    return (unsigned)kind < NKINDS ? &kind_table[kind] : &kind_table[CM_NONE];
}

cm_dtype cm_dtype_of(cm_kind kind, uint32_t size)
{
    bool sized = kind == CM_BYTES || kind == CM_RAW || kind == CM_UTF32;
    cm_dtype t = {.kind = kind, .size = sized ? size : row_of(kind)->size};
    t.scale = cm_kind_is_time(kind);
    return t;
}

cm_dtype cm_dtype_time(cm_kind kind, cm_time_unit unit, uint32_t scale)
{
    return (cm_dtype){.kind = kind, .size = 8, .unit = unit, .scale = scale};
}

cm_dtype cm_dtype_record(cm_kind kind, const cm_record *record)
{
    uint32_t size = kind == CM_RECORD ? record->nbytes : row_of(kind)->size;
    return (cm_dtype){.kind = kind, .size = size, .record = record};
}

const char *cm_time_unit_name(uint32_t unit)
{
    return unit < NUNITS ? unit_names[unit] : NULL;
}

int cm_time_unit_named(const char *name)
{
    for (int i = 0; i < NUNITS; i++)
        if (strcmp(unit_names[i], name) == 0)
            return i;
    return -1;
}

/* ---- names ----------------------------------------------------------------------------------- */

/* Text that stops growing at the end of its buffer. */
typedef struct {
    char *buf;
    size_t size, n;
} text;

static void put(text *t, const char *s)
{
    for (; *s && t->n + 1 < t->size; s++)
        t->buf[t->n++] = *s;
    t->buf[t->n] = 0;
    if (*s && t->size >= 4)
        memcpy(t->buf + t->size - 4, "...", 4);
}

static void put_number(text *t, int64_t n)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%lld", (long long)n);
    put(t, digits);
}

static void put_dtype(text *t, cm_dtype dtype);

static void put_field(text *t, const cm_field *f)
{
    put_dtype(t, f->dtype);
    for (int i = 0; i < f->ndim; i++) {
        put(t, i ? ", " : "[");
        put_number(t, f->shape[i]);
    }
    put(t, f->ndim ? "]" : "");
}

static void put_dtype(text *t, cm_dtype dtype)
{
    const cm_record *r = dtype.record;
    put(t, row_of(dtype.kind)->name);
    if (dtype.kind == CM_BYTES || dtype.kind == CM_RAW) {
        put_number(t, dtype.size);
    } else if (dtype.kind == CM_UTF32) {
        put(t, "x");
        put_number(t, dtype.size / 4);
    } else if (cm_kind_is_time(dtype.kind)) {
        put(t, "[");
        if (dtype.scale != 1)
            put_number(t, dtype.scale);
        put(t, dtype.unit < NUNITS ? unit_names[dtype.unit] : "?");
        put(t, "]");
    } else if (r && t->n + 1 < t->size) {
        put(t, "{");
        for (size_t i = 0; i < r->nfields && t->n + 1 < t->size; i++) {
            put(t, i ? ", " : "");
            if (dtype.kind == CM_RECORD) {
                put(t, r->fields[i].name);
                put(t, ": ");
            }
            put_field(t, &r->fields[i]);
        }
        put(t, "}");
    }
}

const char *cm_dtype_name(cm_dtype dtype, char *buf, size_t size)
{
    if (!(row_of(dtype.kind)->flags & PARTIAL))
        return row_of(dtype.kind)->name;
    text t = {buf, size, 0};
    put_dtype(&t, dtype);
    return buf;
}

cm_kind cm_kind_named(const char *name)
{
    for (int k = CM_BOOL; k < NKINDS; k++)
        if (!(kind_table[k].flags & PARTIAL) && strcmp(kind_table[k].name, name) == 0)
            return (cm_kind)k;
    return CM_NONE;
}

/* ---- questions ------------------------------------------------------------------------------- */

bool cm_dtype_equal(cm_dtype a, cm_dtype b)
{
    return a.kind == b.kind && a.size == b.size && a.unit == b.unit && a.scale == b.scale &&
           cm_record_equal(a.record, b.record);
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

bool cm_kind_is_time(cm_kind kind)
{
    return (row_of(kind)->flags & TIME) != 0;
}

bool cm_kind_is_vlen(cm_kind kind)
{
    return (row_of(kind)->flags & VLEN) != 0;
}

bool cm_kind_is_small(cm_kind kind)
{
    return (row_of(kind)->flags & SMALL) != 0;
}

uint32_t cm_dtype_word(cm_dtype dtype)
{
    return row_of(dtype.kind)->word;
}
