/* format/refs/parquet.h: the part of Parquet that reference files use: flat columns of whole
 * numbers and byte strings.
 *
 * Source: the apache/parquet-format specification (parquet.thrift, Encodings.md, Compression.md),
 * the Thrift compact protocol, and google/snappy's format_description.txt.
 *
 * Threads: no shared state.
 */
#ifndef CM_FORMAT_PARQUET_H
#define CM_FORMAT_PARQUET_H

#include "base/budget.h"
#include "base/buffer.h"
#include "chunkmill/dtype.h"

/* ---- parquet_thrift.c: the compact protocol ---------------------------------------------------
 */

enum cm_thrift_type {
    CM_THRIFT_STOP,
    CM_THRIFT_TRUE,
    CM_THRIFT_FALSE,
    CM_THRIFT_BYTE,
    CM_THRIFT_I16,
    CM_THRIFT_I32,
    CM_THRIFT_I64,
    CM_THRIFT_DOUBLE,
    CM_THRIFT_BINARY,
    CM_THRIFT_LIST,
    CM_THRIFT_SET,
    CM_THRIFT_MAP,
    CM_THRIFT_STRUCT
};

/* A place in bytes. bad: something was malformed; from then on everything reads as zero or empty,
 * so that a caller checks once. */
typedef struct cm_thrift {
    const uint8_t *at, *end;
    int depth;
    bool bad;
} cm_thrift;

/* Walk a struct: last starts at 0; returns the type of the next field and sets *id, CM_THRIFT_STOP
 * at the end. */
int cm_thrift_field(cm_thrift *t, int *last, int *id);
void cm_thrift_skip(cm_thrift *t, int type);
uint64_t cm_thrift_varint(cm_thrift *t);
int64_t cm_thrift_int(cm_thrift *t);
cm_string cm_thrift_binary(cm_thrift *t);
size_t cm_thrift_list(cm_thrift *t, int *type); /* its length, at most the bytes that are left */

/* Writing: a field's header, then its value. */
int cm_thrift_put_field(cm_buffer *b, int *last, int id, int type, cm_error *err);
int cm_thrift_put_varint(cm_buffer *b, uint64_t v, cm_error *err);
int cm_thrift_put_int(cm_buffer *b, int64_t v, cm_error *err);
int cm_thrift_put_binary(cm_buffer *b, const void *data, size_t nbytes, cm_error *err);
int cm_thrift_put_list(cm_buffer *b, size_t n, int type, cm_error *err);

/* ---- parquet_page.c: what is inside pages ------------------------------------------------------
 */

enum cm_parquet_codec { CM_PARQUET_PLAIN = 0, CM_PARQUET_SNAPPY = 1, CM_PARQUET_ZSTD = 6 };

/* nbytes decoded into dst. Raises CM_EUNSUP (other codecs), CM_EDATA. */
int cm_parquet_decompress(int codec, const uint8_t *src, size_t nsrc, uint8_t *dst, size_t nbytes,
                          cm_error *err);

/* n values of `width` bits, run-length or bit-packed, into out. */
int cm_parquet_hybrid(const uint8_t *src, size_t nsrc, int width, uint32_t *out, size_t n,
                      cm_error *err);

/* ---- parquet_read.c ----------------------------------------------------------------------------
 */

/* A column of nrows. Numbers: numbers[row]. Byte strings: values[codes[row]]. defined[row] false:
 * null. */
typedef struct cm_parquet_column {
    const char *name; /* in */
    bool is_number;   /* in */
    bool present;     /* the file has it */
    uint8_t *defined;
    int64_t *numbers;
    uint32_t *codes;
    cm_string *values; /* their bytes lie in blocks, or in the file's */
    size_t nvalues, values_capacity;
    uint8_t **blocks;
    size_t nblocks, blocks_capacity;
} cm_parquet_column;

/* What columns take, pinned in a budget page by page: a small file may claim to hold a lot. The
 * caller unpins it when the columns are gone, also after a failure. budget NULL: no limit. */
typedef struct cm_parquet_room {
    cm_budget *budget;
    uint64_t pinned;
} cm_parquet_room;

/* Read the columns that are asked for; others are passed over. file must outlive the columns.
 * max_rows: more are CM_ELIMIT, and so is what does not fit into the room. The caller deinits the
 * columns also on failure. */
int cm_parquet_read(const uint8_t *file, size_t nbytes, size_t max_rows, cm_parquet_room *room,
                    cm_parquet_column *columns, size_t ncolumns, size_t *nrows, cm_error *err);
void cm_parquet_column_deinit(cm_parquet_column *c);

/* ---- parquet_write.c ---------------------------------------------------------------------------
 */

/* One row: kind 0 none, 1 a range or a whole object (offset and nbytes 0), 2 raw bytes. */
typedef struct cm_parquet_row {
    uint64_t offset, nbytes;
    uint32_t path; /* into names; of raw rows: where its bytes begin in blob */
    uint8_t kind;
} cm_parquet_row;

/* The file of n rows, appended to out: columns path, offset, size, and raw when some row is. names:
 * those that the rows use. Raises CM_ELIMIT (more than 1 GiB of raw bytes), CM_ENOMEM. */
int cm_parquet_write(const cm_parquet_row *rows, size_t n, const char *const *names, size_t nnames,
                     const uint8_t *blob, cm_buffer *out, cm_error *err);

#endif
