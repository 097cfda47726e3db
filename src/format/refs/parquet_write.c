/* format/refs/parquet_write.c: a Parquet file of references.
 *
 * One row group, one data page a column (version 1), zstd. Names are a dictionary; offsets and
 * sizes are plain; raw bytes are plain and optional. This is the form that fsspec writes, which
 * fastparquet, pyarrow and GDAL read.
 */
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "format/refs/parquet.h"

enum { INT64 = 2, BYTE_ARRAY = 6 };
enum { PLAIN = 0, RLE = 3, RLE_DICTIONARY = 8 };
enum { PAGE_DATA = 0, PAGE_DICTIONARY = 2 };
enum { MAX_PAGE = 1 << 30 };

typedef struct column {
    const char *name;
    int type, encoding;
    bool optional;
    int64_t dictionary_at, data_at, end, raw_total;
} column;

static int put_le32(cm_buffer *b, uint32_t v, cm_error *err)
{
    uint8_t bytes[4];
    cm_store_le32(bytes, v);
    return cm_buffer_append(b, bytes, 4, err);
}

/* Runs of equal values: definition levels are mostly one run. */
static int put_runs(cm_buffer *b, const uint8_t *v, size_t n, cm_error *err)
{
    int r = 0;
    for (size_t i = 0, end; i < n && r == 0; i = end) {
        for (end = i + 1; end < n && v[end] == v[i];)
            end++;
        r = cm_thrift_put_varint(b, (uint64_t)(end - i) << 1, err);
        if (r == 0)
            r = cm_buffer_append(b, &v[i], 1, err);
    }
    return r;
}

/* Dictionary codes: their width, then one run, or groups of eight. */
static int put_codes(cm_buffer *b, const uint32_t *v, size_t n, uint32_t most, cm_error *err)
{
    uint8_t width = 0;
    while (width < 32 && (uint64_t)most >> width)
        width++;
    if (width == 0)
        width = 1;
    bool same = true;
    for (size_t i = 1; i < n && same; i++)
        same = v[i] == v[0];
    int r = cm_buffer_append(b, &width, 1, err);
    if (r || n == 0)
        return r;
    if (same) {
        uint8_t bytes[4];
        cm_store_le32(bytes, v[0]);
        r = cm_thrift_put_varint(b, (uint64_t)n << 1, err);
        return r ? r : cm_buffer_append(b, bytes, (size_t)(width + 7) / 8, err);
    }
    size_t groups = (n + 7) / 8;
    r = cm_thrift_put_varint(b, (uint64_t)groups << 1 | 1, err);
    if (r == 0)
        r = cm_buffer_reserve(b, groups * width + 8, err);
    if (r)
        return r;
    uint64_t bits = 0;
    int nbits = 0;
    uint8_t *to = b->data + b->nbytes;
    for (size_t i = 0; i < 8 * groups; i++) {
        bits |= (uint64_t)(i < n ? v[i] : 0) << nbits;
        for (nbits += width; nbits >= 8; nbits -= 8, bits >>= 8)
            *to++ = (uint8_t)bits;
    }
    b->nbytes = (size_t)(to - b->data);
    return 0;
}

/* ---- pages ----------------------------------------------------------------------------------- */

static int put_page(cm_buffer *out, int type, size_t nvalues, int encoding, const cm_buffer *page,
                    column *c, cm_error *err)
{
    if (page->nbytes > MAX_PAGE)
        return cm_error_set(err, CM_ELIMIT, "more than 1 GiB of references in one file");
    size_t bound = ZSTD_compressBound(page->nbytes), before = out->nbytes;
    void *packed = cm_calloc(bound, 1, err);
    if (!packed)
        return CM_ENOMEM;
    size_t n = ZSTD_compress(packed, bound, page->data ? page->data : packed, page->nbytes, 1);
    int last = 0, inner = 0;
    int r = ZSTD_isError(n) ? cm_error_set(err, CM_ENOMEM, "zstd failed") : 0;
    int64_t head[3] = {type, (int64_t)page->nbytes, (int64_t)n};
    for (int i = 0; i < 3 && r == 0; i++) {
        r = cm_thrift_put_field(out, &last, i + 1, CM_THRIFT_I32, err);
        if (r == 0)
            r = cm_thrift_put_int(out, head[i], err);
    }
    if (r == 0)
        r = cm_thrift_put_field(out, &last, type == PAGE_DATA ? 5 : 7, CM_THRIFT_STRUCT, err);
    int64_t body[4] = {(int64_t)nvalues, encoding, RLE, RLE};
    for (int i = 0; i < (type == PAGE_DATA ? 4 : 2) && r == 0; i++) {
        r = cm_thrift_put_field(out, &inner, i + 1, CM_THRIFT_I32, err);
        if (r == 0)
            r = cm_thrift_put_int(out, body[i], err);
    }
    if (r == 0)
        r = cm_buffer_append(out, "\0\0", 2, err); /* the ends of both structs */
    if (r == 0) {
        c->raw_total += (int64_t)(out->nbytes - before + page->nbytes);
        r = cm_buffer_append(out, packed, n, err);
    }
    free(packed);
    return r;
}

static int put_levels(cm_buffer *page, const uint8_t *defined, size_t n, cm_error *err)
{
    size_t at = page->nbytes;
    int r = put_le32(page, 0, err);
    if (r == 0)
        r = put_runs(page, defined, n, err);
    if (r == 0)
        cm_store_le32(page->data + at, (uint32_t)(page->nbytes - at - 4));
    return r;
}

static int put_bytes(cm_buffer *page, const void *data, size_t nbytes, cm_error *err)
{
    int r = put_le32(page, (uint32_t)nbytes, err);
    return r ? r : cm_buffer_append(page, data, nbytes, err);
}

typedef struct table {
    const cm_parquet_row *rows;
    size_t n;
    const char *const *names;
    size_t nnames;
    const uint8_t *blob;
    cm_buffer *out, page;
    uint8_t *defined;
    uint32_t *codes;
} table;

static int put_paths(table *t, column *c, cm_error *err)
{
    size_t n = 0;
    int r = 0;
    c->dictionary_at = (int64_t)t->out->nbytes;
    t->page.nbytes = 0;
    for (size_t i = 0; i < t->nnames && r == 0; i++)
        r = put_bytes(&t->page, t->names[i], strlen(t->names[i]), err);
    if (r == 0)
        r = put_page(t->out, PAGE_DICTIONARY, t->nnames, PLAIN, &t->page, c, err);
    c->data_at = (int64_t)t->out->nbytes;
    t->page.nbytes = 0;
    for (size_t i = 0; i < t->n; i++) {
        t->defined[i] = t->rows[i].kind == 1;
        if (t->defined[i])
            t->codes[n++] = t->rows[i].path;
    }
    if (r == 0)
        r = put_levels(&t->page, t->defined, t->n, err);
    if (r == 0)
        r = put_codes(&t->page, t->codes, n, t->nnames ? (uint32_t)t->nnames - 1 : 0, err);
    return r ? r : put_page(t->out, PAGE_DATA, t->n, RLE_DICTIONARY, &t->page, c, err);
}

static int put_numbers(table *t, column *c, bool sizes, cm_error *err)
{
    c->data_at = (int64_t)t->out->nbytes;
    t->page.nbytes = 0;
    int r = cm_buffer_reserve(&t->page, 8 * t->n + 1, err);
    for (size_t i = 0; i < t->n && r == 0; i++) {
        const cm_parquet_row *row = &t->rows[i];
        cm_store_le64(t->page.data + 8 * i, row->kind != 1 ? 0 : sizes ? row->nbytes : row->offset);
    }
    t->page.nbytes = r ? 0 : 8 * t->n;
    return r ? r : put_page(t->out, PAGE_DATA, t->n, PLAIN, &t->page, c, err);
}

static int put_raw(table *t, column *c, cm_error *err)
{
    c->data_at = (int64_t)t->out->nbytes;
    t->page.nbytes = 0;
    for (size_t i = 0; i < t->n; i++)
        t->defined[i] = t->rows[i].kind == 2;
    int r = put_levels(&t->page, t->defined, t->n, err);
    for (size_t i = 0; i < t->n && r == 0; i++)
        if (t->defined[i])
            r = put_bytes(&t->page, t->blob + t->rows[i].path, (size_t)t->rows[i].nbytes, err);
    return r ? r : put_page(t->out, PAGE_DATA, t->n, PLAIN, &t->page, c, err);
}

/* ---- the footer ------------------------------------------------------------------------------ */

static int put_i(cm_buffer *b, int *last, int id, int type, int64_t v, cm_error *err)
{
    int r = cm_thrift_put_field(b, last, id, type, err);
    return r ? r : cm_thrift_put_int(b, v, err);
}

static int put_text(cm_buffer *b, int *last, int id, const char *s, cm_error *err)
{
    int r = cm_thrift_put_field(b, last, id, CM_THRIFT_BINARY, err);
    return r ? r : cm_thrift_put_binary(b, s, strlen(s), err);
}

static int put_stop(cm_buffer *b, cm_error *err)
{
    return cm_buffer_append(b, "", 1, err);
}

/* converted type 0: UTF8 */
static int put_schema(cm_buffer *b, const column *c, int ncolumns, cm_error *err)
{
    int last = 0, r = cm_thrift_put_list(b, (size_t)ncolumns + 1, CM_THRIFT_STRUCT, err);
    if (r || (r = put_text(b, &last, 4, "schema", err)) ||
        (r = put_i(b, &last, 5, CM_THRIFT_I32, ncolumns, err)) || (r = put_stop(b, err)))
        return r;
    for (int i = 0; i < ncolumns && r == 0; i++) {
        last = 0;
        if ((r = put_i(b, &last, 1, CM_THRIFT_I32, c[i].type, err)) ||
            (r = put_i(b, &last, 3, CM_THRIFT_I32, c[i].optional, err)) ||
            (r = put_text(b, &last, 4, c[i].name, err)) ||
            (i == 0 && (r = put_i(b, &last, 6, CM_THRIFT_I32, 0, err))) || (r = put_stop(b, err)))
            return r;
    }
    return r;
}

/* Statistics that say so: without them fastparquet makes floating point of whole numbers. */
static int put_no_nulls(cm_buffer *b, int *last, cm_error *err)
{
    int inner = 0, r = cm_thrift_put_field(b, last, 12, CM_THRIFT_STRUCT, err);
    if (r == 0)
        r = put_i(b, &inner, 3, CM_THRIFT_I64, 0, err);
    return r ? r : put_stop(b, err);
}

static int put_column(cm_buffer *b, const column *c, size_t n, cm_error *err)
{
    int last = 0, m = 0, r;
    int64_t begin = c->dictionary_at ? c->dictionary_at : c->data_at;
    if ((r = put_i(b, &last, 2, CM_THRIFT_I64, begin, err)) ||
        (r = cm_thrift_put_field(b, &last, 3, CM_THRIFT_STRUCT, err)) ||
        (r = put_i(b, &m, 1, CM_THRIFT_I32, c->type, err)) ||
        (r = cm_thrift_put_field(b, &m, 2, CM_THRIFT_LIST, err)) ||
        (r = cm_thrift_put_list(b, c->dictionary_at ? 3 : 2, CM_THRIFT_I32, err)) ||
        (r = cm_thrift_put_int(b, PLAIN, err)) || (r = cm_thrift_put_int(b, RLE, err)) ||
        (c->dictionary_at && (r = cm_thrift_put_int(b, RLE_DICTIONARY, err))) ||
        (r = cm_thrift_put_field(b, &m, 3, CM_THRIFT_LIST, err)) ||
        (r = cm_thrift_put_list(b, 1, CM_THRIFT_BINARY, err)) ||
        (r = cm_thrift_put_binary(b, c->name, strlen(c->name), err)) ||
        (r = put_i(b, &m, 4, CM_THRIFT_I32, CM_PARQUET_ZSTD, err)) ||
        (r = put_i(b, &m, 5, CM_THRIFT_I64, (int64_t)n, err)) ||
        (r = put_i(b, &m, 6, CM_THRIFT_I64, c->raw_total, err)) ||
        (r = put_i(b, &m, 7, CM_THRIFT_I64, c->end - begin, err)) ||
        (r = put_i(b, &m, 9, CM_THRIFT_I64, c->data_at, err)) ||
        (c->dictionary_at && (r = put_i(b, &m, 11, CM_THRIFT_I64, c->dictionary_at, err))) ||
        (!c->optional && (r = put_no_nulls(b, &m, err))) || (r = put_stop(b, err)))
        return r;
    return put_stop(b, err);
}

static int put_footer(cm_buffer *b, const column *c, int ncolumns, size_t n, cm_error *err)
{
    int last = 0, g = 0, r;
    int64_t total = 0;
    size_t begin = b->nbytes;
    for (int i = 0; i < ncolumns; i++)
        total += c[i].raw_total;
    if ((r = put_i(b, &last, 1, CM_THRIFT_I32, 1, err)) ||
        (r = cm_thrift_put_field(b, &last, 2, CM_THRIFT_LIST, err)) ||
        (r = put_schema(b, c, ncolumns, err)) ||
        (r = put_i(b, &last, 3, CM_THRIFT_I64, (int64_t)n, err)) ||
        (r = cm_thrift_put_field(b, &last, 4, CM_THRIFT_LIST, err)) ||
        (r = cm_thrift_put_list(b, 1, CM_THRIFT_STRUCT, err)) ||
        (r = cm_thrift_put_field(b, &g, 1, CM_THRIFT_LIST, err)) ||
        (r = cm_thrift_put_list(b, (size_t)ncolumns, CM_THRIFT_STRUCT, err)))
        return r;
    for (int i = 0; i < ncolumns && r == 0; i++)
        r = put_column(b, &c[i], n, err);
    if (r || (r = put_i(b, &g, 2, CM_THRIFT_I64, total, err)) ||
        (r = put_i(b, &g, 3, CM_THRIFT_I64, (int64_t)n, err)) || (r = put_stop(b, err)) ||
        (r = put_text(b, &last, 6, "chunkmill", err)) || (r = put_stop(b, err)))
        return r;
    r = put_le32(b, (uint32_t)(b->nbytes - begin), err);
    return r ? r : cm_buffer_append(b, "PAR1", 4, err);
}

int cm_parquet_write(const cm_parquet_row *rows, size_t n, const char *const *names, size_t nnames,
                     const uint8_t *blob, cm_buffer *out, cm_error *err)
{
    column c[4] = {{"path", BYTE_ARRAY, RLE_DICTIONARY, true, 0, 0, 0, 0},
                   {"offset", INT64, PLAIN, false, 0, 0, 0, 0},
                   {"size", INT64, PLAIN, false, 0, 0, 0, 0},
                   {"raw", BYTE_ARRAY, PLAIN, true, 0, 0, 0, 0}};
    table t = {.rows = rows, .n = n, .names = names, .nnames = nnames, .blob = blob, .out = out};
    bool raw = false;
    for (size_t i = 0; i < n && !raw; i++)
        raw = rows[i].kind == 2;
    int ncolumns = raw ? 4 : 3;
    cm_buffer_init(&t.page, (size_t)2 << 30);
    t.defined = cm_calloc(n, 1, err);
    t.codes = cm_calloc(n, sizeof *t.codes, err);
    int r = t.defined && t.codes ? cm_buffer_append(out, "PAR1", 4, err) : CM_ENOMEM;
    for (int i = 0; i < ncolumns && r == 0; i++) {
        r = i == 0   ? put_paths(&t, &c[i], err)
            : i == 3 ? put_raw(&t, &c[i], err)
                     : put_numbers(&t, &c[i], i == 2, err);
        c[i].end = (int64_t)out->nbytes;
    }
    if (r == 0)
        r = put_footer(out, c, ncolumns, n, err);
    cm_buffer_deinit(&t.page);
    free(t.defined);
    free(t.codes);
    return r;
}
