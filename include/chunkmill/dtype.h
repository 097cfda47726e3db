/* chunkmill/dtype.h: the types of cells.
 *
 * In memory every cell is in the machine's own byte order; byte order in files belongs to the
 * codec. A bool is one byte, 0 or 1. A complex number is two floats, real first. A variable-length
 * string is a cm_string: a view of UTF-8 bytes that somebody else owns (the reader's arena); so are
 * variable-length bytes and sequences, without the UTF-8.
 *
 * A record's fields lie one behind the other without gaps, each in the machine's byte order; a
 * driver whose files have gaps or another order rearranges them. The small floats and integers (8
 * bits and less, one byte a cell) and bfloat16 are carried bit for bit; nothing calculates with
 * them.
 *
 * Who owns a cm_record: arrays and codec chains hold a reference, so a dtype that was taken from
 * one is good as long as that is.
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
    CM_STRING,     /* variable-length UTF-8, a cm_string per cell */
    CM_BYTES,      /* fixed-length bytes, size of them per cell (char arrays, HDF5 fixed strings) */
    CM_DATETIME64, /* int64 of scale * unit since 1970-01-01T00:00, INT64_MIN: not a time */
    CM_TIMEDELTA64, /* the same as a duration */
    CM_UTF32,       /* fixed-length text, size / 4 code points per cell, filled up with NULs */
    CM_RAW,         /* size opaque bytes per cell */
    CM_RECORD,      /* record->fields; size is their sum */
    CM_VBYTES,      /* variable-length bytes, a cm_string per cell */
    CM_SEQUENCE,    /* variable-length list of cells of record->fields[0].dtype, a cm_string */
    CM_BFLOAT16,
    CM_FLOAT8_E3M4,
    CM_FLOAT8_E4M3,
    CM_FLOAT8_E4M3B11FNUZ,
    CM_FLOAT8_E4M3FN,
    CM_FLOAT8_E4M3FNUZ,
    CM_FLOAT8_E5M2,
    CM_FLOAT8_E5M2FNUZ,
    CM_FLOAT8_E8M0FNU,
    CM_FLOAT6_E2M3FN,
    CM_FLOAT6_E3M2FN,
    CM_FLOAT4_E2M1FN,
    CM_INT2,
    CM_INT4,
    CM_UINT2,
    CM_UINT4
} cm_kind;

/* numpy's units of time. */
typedef enum cm_time_unit {
    CM_UNIT_GENERIC = 0,
    CM_UNIT_YEAR,
    CM_UNIT_MONTH,
    CM_UNIT_WEEK,
    CM_UNIT_DAY,
    CM_UNIT_HOUR,
    CM_UNIT_MINUTE,
    CM_UNIT_SECOND,
    CM_UNIT_MS,
    CM_UNIT_US,
    CM_UNIT_NS,
    CM_UNIT_PS,
    CM_UNIT_FS,
    CM_UNIT_AS
} cm_time_unit;

typedef struct cm_record cm_record;

typedef struct cm_dtype {
    cm_kind kind;
    uint32_t size;           /* bytes per cell in memory; 16 for strings, bytes, sequences */
    uint32_t unit;           /* CM_DATETIME64, CM_TIMEDELTA64: a cm_time_unit, else 0 */
    uint32_t scale;          /* of them: how many units one step is, 1 or more; else 0 */
    const cm_record *record; /* CM_RECORD and CM_SEQUENCE, else NULL; borrowed, see above */
} cm_dtype;

/* One field of a record. ndim 0: one cell; else a C-order array of such cells. */
typedef struct cm_field {
    const char *name;
    cm_dtype dtype; /* of fixed size; may be a record */
    int ndim;
    const int64_t *shape;
    uint32_t offset; /* in the record, bytes; cm_record_new sets it */
    uint32_t nbytes; /* of the whole field; cm_record_new sets it */
    bool big_endian; /* how a driver's file has it: a note for cm_record_swap, not of the type */
} cm_field;

struct cm_record {
    uint32_t refcount; /* atomic */
    uint32_t nbytes;   /* of one record */
    size_t nfields;
    const cm_field *fields;
};

typedef struct cm_string {
    const char *data; /* not NUL-terminated; NULL only when nbytes is 0 */
    size_t nbytes;
} cm_string;

/* The dtype of a kind; size is used for CM_BYTES, CM_RAW and CM_UTF32 only. Times are generic. */
CM_API cm_dtype cm_dtype_of(cm_kind kind, uint32_t size);

/* CM_DATETIME64 or CM_TIMEDELTA64 in steps of scale * unit. */
CM_API cm_dtype cm_dtype_time(cm_kind kind, cm_time_unit unit, uint32_t scale);

/* The dtype of records (kind CM_RECORD) or of sequences (CM_SEQUENCE, whose record has one field,
 * the element). record is borrowed. */
CM_API cm_dtype cm_dtype_record(cm_kind kind, const cm_record *record);

/* A record of these fields, names, shapes and all copied; offset and nbytes are calculated. The
 * caller has the one reference. Raises CM_EDATA (no fields, a name twice (but for "", padding), a
 * length below 1), CM_EUNSUP (a field of variable size, more than 65,536 fields, records in records
 * more than 16 deep), CM_ELIMIT (a record over 16 MiB), CM_ENOMEM. */
CM_API int cm_record_new(const cm_field *fields, size_t nfields, cm_record **out, cm_error *err);
CM_API const cm_record *cm_record_ref(const cm_record *record); /* NULL is legal */
CM_API void cm_record_unref(const cm_record *record);
CM_API bool cm_record_equal(const cm_record *a, const cm_record *b);

/* Room for any name; longer ones (records of many fields) end in "...". */
#define CM_DTYPE_NAME 200

/* "float32", "string", "bytes12", "datetime64[25s]", "record{a: float32, b: int16[3]}"; static or
 * written into buf (24 bytes or more; CM_DTYPE_NAME for all of it). */
CM_API const char *cm_dtype_name(cm_dtype dtype, char *buf, size_t size);

/* The kind called name ("int16", "bool"...), CM_NONE if there is none. Only for kinds that are a
 * dtype by themselves: not for bytes, raw, utf32, times, records, sequences. */
CM_API cm_kind cm_kind_named(const char *name);

/* "ns", "generic"; NULL for a number that is no unit. And back: -1 when there is none. */
CM_API const char *cm_time_unit_name(uint32_t unit);
CM_API int cm_time_unit_named(const char *name);

CM_API bool cm_dtype_equal(cm_dtype a, cm_dtype b);
CM_API bool cm_kind_is_integer(cm_kind kind); /* signed or unsigned, not bool */
CM_API bool cm_kind_is_unsigned(cm_kind kind);
CM_API bool cm_kind_is_float(cm_kind kind); /* real: 16, 32 or 64 bits */
CM_API bool cm_kind_is_complex(cm_kind kind);
CM_API bool cm_kind_is_time(cm_kind kind);  /* datetime64 or timedelta64 */
CM_API bool cm_kind_is_vlen(cm_kind kind);  /* a cm_string per cell: strings, bytes, sequences */
CM_API bool cm_kind_is_small(cm_kind kind); /* bfloat16, float8, float6, float4, int2, int4... */

/* The value of a cell of a small kind, exact. */
CM_API double cm_small_value(cm_kind kind, const void *cell);

/* The cell nearest to value, ties to even. False for what the kind cannot be: too large, NaN or
 * infinity where there is none, for integers anything but itself. */
CM_API bool cm_small_from_double(cm_kind kind, double value, void *cell);

/* Width in bytes of what a byte swap reverses: 8 for complex128, 1 for bool, CM_BYTES and records;
 * 0 for variable-length cells. */
CM_API uint32_t cm_dtype_word(cm_dtype dtype);

#ifdef __cplusplus
}
#endif
#endif
