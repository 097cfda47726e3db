/* format/refs/parquet_read.c: flat columns out of a Parquet file in memory.
 *
 *     "PAR1"  pages of column 0  pages of column 1 ...  footer (Thrift)  its length u32  "PAR1"
 *
 * A column's pages lie one after the other: a dictionary page first if there is one, then data
 * pages (of either version). Every size in headers and footer is checked against what is there
 * before it is used. The rows of a byte column are codes into a list of values: the dictionary's,
 * or for PLAIN pages each value for itself, so that a name that ten thousand rows share is handled
 * once.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "format/refs/parquet.h"

enum { INT32 = 1, INT64 = 2, BYTE_ARRAY = 6 };                /* physical types */
enum { PLAIN = 0, PLAIN_DICTIONARY = 2, RLE_DICTIONARY = 8 }; /* encodings */
enum { PAGE_DATA = 0, PAGE_DICTIONARY = 2, PAGE_DATA2 = 3 };
enum { MAX_COLUMNS = 256, MAX_PAGE = 1 << 30 };

typedef struct chunk {
    cm_string name;
    int64_t type, codec, nvalues, total, data_at, dictionary_at;
    bool nested;
} chunk;

typedef struct page {
    int64_t type, raw, packed, nvalues, encoding, levels_nbytes, repeats_nbytes;
    bool compressed;
} page;

typedef struct reader {
    const uint8_t *file;
    size_t nbytes, nrows, first; /* first row of the row group at hand */
    size_t group_rows;
    cm_string names[MAX_COLUMNS];
    bool optional[MAX_COLUMNS];
    size_t nleaves;
    cm_parquet_column *columns;
    size_t ncolumns;
    cm_parquet_room *room;
} reader;

static int malformed(const char *what, cm_error *err)
{
    return cm_error_set(err, CM_EDATA, "Parquet: %s", what);
}

/* Before memory is taken. */
static int charge(reader *r, size_t n, size_t each, cm_error *err)
{
    uint64_t nbytes;
    if (!cm_mul_u64(n, each, &nbytes))
        return malformed("more values than memory can hold", err);
    if (r->room->budget && !cm_budget_pin(r->room->budget, nbytes)) {
        cm_error_set(err, CM_ELIMIT,
                     "Parquet: no memory left to read it (%.1f MB and more; is it damaged?)",
                     (double)(r->room->pinned + nbytes) / 1e6);
        cm_error_hint(err, "give more with --max-mem");
        return CM_ELIMIT;
    }
    r->room->pinned += nbytes;
    return 0;
}

void cm_parquet_column_deinit(cm_parquet_column *c)
{
    for (size_t i = 0; i < c->nblocks; i++)
        free(c->blocks[i]);
    free(c->blocks);
    free(c->defined);
    free(c->numbers);
    free(c->codes);
    free(c->values);
    *c = (cm_parquet_column){.name = c->name, .is_number = c->is_number};
}

/* ---- the footer ------------------------------------------------------------------------------ */

static void schema_element(cm_thrift *t, reader *r, size_t i)
{
    int last = 0, id, type;
    int64_t repetition = 0;
    cm_string name = {"", 0};
    while ((type = cm_thrift_field(t, &last, &id)) != CM_THRIFT_STOP) {
        if (id == 3 && type == CM_THRIFT_I32)
            repetition = cm_thrift_int(t);
        else if (id == 4 && type == CM_THRIFT_BINARY)
            name = cm_thrift_binary(t);
        else
            cm_thrift_skip(t, type);
    }
    if (i == 0)
        return; /* the root */
    r->names[r->nleaves] = name;
    r->optional[r->nleaves++] = repetition == 1;
}

static void column_metadata(cm_thrift *t, chunk *c)
{
    int last = 0, id, type, inner;
    while ((type = cm_thrift_field(t, &last, &id)) != CM_THRIFT_STOP) {
        int64_t *to = id == 1    ? &c->type
                      : id == 4  ? &c->codec
                      : id == 5  ? &c->nvalues
                      : id == 7  ? &c->total
                      : id == 9  ? &c->data_at
                      : id == 11 ? &c->dictionary_at
                                 : NULL;
        if (to && (type == CM_THRIFT_I32 || type == CM_THRIFT_I64)) {
            *to = cm_thrift_int(t);
        } else if (id == 3 && type == CM_THRIFT_LIST) {
            size_t n = cm_thrift_list(t, &inner);
            c->nested = n != 1 || inner != CM_THRIFT_BINARY;
            for (size_t i = 0; i < n && !t->bad; i++)
                if (c->nested)
                    cm_thrift_skip(t, inner);
                else
                    c->name = cm_thrift_binary(t);
        } else {
            cm_thrift_skip(t, type);
        }
    }
}

static int read_chunk(reader *r, const chunk *c, cm_parquet_column *to, bool optional,
                      cm_error *err);

static int column_chunk(cm_thrift *t, reader *r, cm_error *err)
{
    int last = 0, id, type;
    chunk c = {.type = -1};
    bool elsewhere = false;
    while ((type = cm_thrift_field(t, &last, &id)) != CM_THRIFT_STOP) {
        if (id == 3 && type == CM_THRIFT_STRUCT)
            column_metadata(t, &c);
        else
            cm_thrift_skip(t, type);
        elsewhere = elsewhere || id == 1;
    }
    if (t->bad || c.nested)
        return t->bad ? malformed("the footer ends early", err) : 0;
    for (size_t i = 0; i < r->ncolumns; i++) {
        cm_parquet_column *to = &r->columns[i];
        if (strlen(to->name) != c.name.nbytes || memcmp(to->name, c.name.data, c.name.nbytes) != 0)
            continue;
        if (elsewhere)
            return malformed("a column in another file", err);
        bool optional = false;
        for (size_t k = 0; k < r->nleaves; k++)
            if (r->names[k].nbytes == c.name.nbytes &&
                !memcmp(r->names[k].data, c.name.data, c.name.nbytes))
                optional = r->optional[k];
        int ret = read_chunk(r, &c, to, optional, err);
        if (ret)
            cm_error_prefix(err, "column \"%s\"", to->name);
        return ret;
    }
    return 0;
}

/* The number of rows comes after the columns: so twice. */
static int row_group(cm_thrift *t, reader *r, cm_error *err)
{
    cm_thrift ahead = *t;
    int last = 0, id, type, inner, ret = 0;
    int64_t rows = -1;
    while ((type = cm_thrift_field(&ahead, &last, &id)) != CM_THRIFT_STOP)
        if (id == 3 && type == CM_THRIFT_I64)
            rows = cm_thrift_int(&ahead);
        else
            cm_thrift_skip(&ahead, type);
    if (ahead.bad || rows < 0 || (uint64_t)rows > r->nrows - r->first)
        return malformed("row groups that do not make up the rows", err);
    r->group_rows = (size_t)rows;
    last = 0;
    while (ret == 0 && (type = cm_thrift_field(t, &last, &id)) != CM_THRIFT_STOP) {
        if (id != 1 || type != CM_THRIFT_LIST) {
            cm_thrift_skip(t, type);
            continue;
        }
        size_t n = cm_thrift_list(t, &inner);
        for (size_t i = 0; i < n && ret == 0; i++)
            ret = inner == CM_THRIFT_STRUCT ? column_chunk(t, r, err)
                                            : malformed("a malformed footer", err);
    }
    r->first += r->group_rows;
    return ret;
}

/* ---- pages ----------------------------------------------------------------------------------- */

static void page_struct(cm_thrift *t, page *p, int kind)
{
    int last = 0, id, type;
    while ((type = cm_thrift_field(t, &last, &id)) != CM_THRIFT_STOP) {
        int64_t *to = id == 1                              ? &p->nvalues
                      : id == (kind == PAGE_DATA2 ? 4 : 2) ? &p->encoding
                      : kind == PAGE_DATA2 && id == 5      ? &p->levels_nbytes
                      : kind == PAGE_DATA2 && id == 6      ? &p->repeats_nbytes
                                                           : NULL;
        if (to && type == CM_THRIFT_I32)
            *to = cm_thrift_int(t);
        else if (kind == PAGE_DATA2 && id == 7)
            p->compressed = type == CM_THRIFT_TRUE;
        else
            cm_thrift_skip(t, type);
    }
}

static int page_header(cm_thrift *t, page *p, cm_error *err)
{
    int last = 0, id, type;
    *p = (page){.type = -1, .raw = -1, .packed = -1, .nvalues = -1, .compressed = true};
    while ((type = cm_thrift_field(t, &last, &id)) != CM_THRIFT_STOP) {
        int64_t *to = id == 1 ? &p->type : id == 2 ? &p->raw : id == 3 ? &p->packed : NULL;
        if (to && type == CM_THRIFT_I32)
            *to = cm_thrift_int(t);
        else if (type == CM_THRIFT_STRUCT && (id == 5 || id == 7 || id == 8))
            page_struct(t, p, id == 5 ? PAGE_DATA : id == 7 ? PAGE_DICTIONARY : PAGE_DATA2);
        else
            cm_thrift_skip(t, type);
    }
    if (t->bad || p->raw < 0 || p->packed < 0 || p->raw > MAX_PAGE || p->nvalues < 0 ||
        p->packed > t->end - t->at || p->levels_nbytes < 0 || p->repeats_nbytes < 0 ||
        p->levels_nbytes + p->repeats_nbytes > p->packed ||
        p->levels_nbytes + p->repeats_nbytes > p->raw)
        return malformed("a malformed page header", err);
    return 0;
}

/* PLAIN byte arrays: each a u32 length and its bytes. */
static int plain_values(reader *r, cm_parquet_column *c, const uint8_t *at, size_t nbytes, size_t n,
                        cm_error *err)
{
    if (n > nbytes / 4)
        return malformed("a page's values end early", err);
    if (charge(r, n, 2 * sizeof *c->values, err))
        return CM_ELIMIT;
    if (cm_grow(&c->values, &c->values_capacity, c->nvalues + n, sizeof *c->values, err))
        return CM_ENOMEM;
    for (; n; n--) {
        if (nbytes < 4 || cm_load_le32(at) > nbytes - 4)
            return malformed("a page's values end early", err);
        size_t length = cm_load_le32(at);
        c->values[c->nvalues++] = (cm_string){(const char *)at + 4, length};
        at += 4 + length;
        nbytes -= 4 + length;
    }
    return 0;
}

/* The dictionary of numbers stays as it is: 4 or 8 bytes each. */
typedef struct dictionary {
    size_t first, n; /* of the column's values; or n numbers at data */
    const uint8_t *data;
    size_t width;
} dictionary;

static int put_number(cm_parquet_column *c, size_t row, const uint8_t *at, size_t width)
{
    c->numbers[row] = width == 8 ? (int64_t)cm_load_le64(at) : (int32_t)cm_load_le32(at);
    return 0;
}

static int coded_rows(cm_parquet_column *c, const dictionary *d, size_t first, size_t n,
                      const uint8_t *at, size_t nbytes, size_t ndefined, uint32_t *codes,
                      cm_error *err)
{
    if (ndefined && nbytes == 0)
        return malformed("a page's values end early", err);
    int r = ndefined ? cm_parquet_hybrid(at + 1, nbytes - 1, at[0], codes, ndefined, err) : 0;
    for (size_t i = 0, k = 0; i < n && r == 0; i++) {
        if (!c->defined[first + i])
            continue;
        if (codes[k] >= d->n)
            return malformed("a code beyond the dictionary", err);
        if (c->is_number)
            put_number(c, first + i, d->data + codes[k] * d->width, d->width);
        else
            c->codes[first + i] = (uint32_t)(d->first + codes[k]);
        k++;
    }
    return r;
}

static int plain_rows(reader *rd, cm_parquet_column *c, size_t width, size_t first, size_t n,
                      const uint8_t *at, size_t nbytes, size_t ndefined, cm_error *err)
{
    size_t base = c->nvalues;
    if (c->is_number && ndefined > nbytes / width)
        return malformed("a page's values end early", err);
    if (c->nvalues + ndefined > UINT32_MAX)
        return malformed("more than 2^32 values", err);
    int r = c->is_number ? 0 : plain_values(rd, c, at, nbytes, ndefined, err);
    for (size_t i = 0, k = 0; i < n && r == 0; i++) {
        if (!c->defined[first + i])
            continue;
        if (c->is_number)
            put_number(c, first + i, at + k * width, width);
        else
            c->codes[first + i] = (uint32_t)(base + k);
        k++;
    }
    return r;
}

static int data_page(reader *rd, cm_parquet_column *c, const dictionary *d, const page *p,
                     size_t first, const uint8_t *at, size_t nbytes, bool optional, size_t width,
                     cm_error *err)
{
    size_t n = (size_t)p->nvalues, ndefined = 0;
    int r = charge(rd, n, sizeof(uint32_t), err);
    uint32_t *scratch = r ? NULL : cm_calloc(n, sizeof *scratch, err);
    if (r == 0 && !scratch)
        r = CM_ENOMEM;
    if (r == 0)
        memset(c->defined + first, 1, n);
    if (r == 0 && optional) {
        size_t length = p->type == PAGE_DATA2 ? (size_t)p->levels_nbytes
                        : nbytes >= 4         ? cm_load_le32(at)
                                              : SIZE_MAX;
        size_t skip = p->type == PAGE_DATA2 ? 0 : 4;
        if (length > nbytes - skip)
            r = malformed("definition levels that end early", err);
        if (r == 0)
            r = cm_parquet_hybrid(at + skip, length, 1, scratch, n, err);
        for (size_t i = 0; i < n && r == 0; i++)
            c->defined[first + i] = (uint8_t)scratch[i];
        if (r == 0) {
            at += skip + length;
            nbytes -= skip + length;
        }
    }
    for (size_t i = 0; i < n && r == 0; i++)
        ndefined += c->defined[first + i];
    if (r == 0 && (p->encoding == PLAIN_DICTIONARY || p->encoding == RLE_DICTIONARY))
        r = coded_rows(c, d, first, n, at, nbytes, ndefined, scratch, err);
    else if (r == 0 && p->encoding == PLAIN)
        r = plain_rows(rd, c, width, first, n, at, nbytes, ndefined, err);
    else if (r == 0)
        r = cm_error_set(err, CM_EUNSUP, "Parquet: pages of encoding %d", (int)p->encoding);
    free(scratch);
    return r;
}

/* A page's bytes without compression, in a block of the column. Levels of version 2 are not
 * compressed. */
static int unpack(reader *r, cm_parquet_column *c, const page *p, int codec, const uint8_t *src,
                  uint8_t **out, cm_error *err)
{
    size_t head = (size_t)(p->levels_nbytes + p->repeats_nbytes), raw = (size_t)p->raw;
    /* zstd and snappy pack at most about 1 : 30000; more is made up. */
    if (raw > ((size_t)1 << 20) && raw / 40000 > (size_t)p->packed)
        return malformed("a page that claims to be too large", err);
    if (charge(r, raw, 1, err))
        return CM_ELIMIT;
    if (cm_grow(&c->blocks, &c->blocks_capacity, c->nblocks + 1, sizeof *c->blocks, err))
        return CM_ENOMEM;
    uint8_t *to = cm_calloc(1, raw, err);
    if (!to)
        return CM_ENOMEM;
    c->blocks[c->nblocks++] = *out = to;
    memcpy(to, src, head);
    return cm_parquet_decompress(p->compressed ? codec : CM_PARQUET_PLAIN, src + head,
                                 (size_t)p->packed - head, to + head, raw - head, err);
}

static int take_dictionary(reader *r, cm_parquet_column *c, const page *p, const uint8_t *data,
                           size_t width, dictionary *d, cm_error *err)
{
    size_t n = (size_t)p->nvalues;
    if (p->encoding != PLAIN && p->encoding != PLAIN_DICTIONARY)
        return cm_error_set(err, CM_EUNSUP, "Parquet: a dictionary of encoding %d",
                            (int)p->encoding);
    *d = (dictionary){c->nvalues, n, data, width};
    if (!c->is_number)
        return plain_values(r, c, data, (size_t)p->raw, n, err);
    return n > (size_t)p->raw / width ? malformed("a dictionary that ends early", err) : 0;
}

static int make_room(reader *r, cm_parquet_column *c, cm_error *err)
{
    if (c->present)
        return 0;
    if (charge(r, r->nrows, 1 + (c->is_number ? sizeof *c->numbers : sizeof *c->codes), err))
        return CM_ELIMIT;
    c->present = true;
    c->defined = cm_calloc(r->nrows, 1, err);
    if (c->is_number)
        c->numbers = cm_calloc(r->nrows, sizeof *c->numbers, err);
    else
        c->codes = cm_calloc(r->nrows, sizeof *c->codes, err);
    return c->defined && (c->numbers || c->codes) ? 0 : CM_ENOMEM;
}

/* A column without any value may be of any type (pandas gives pyarrow its "null"): then it is as
 * good as absent. */
static int read_other_type(reader *r, const chunk *c, const cm_parquet_column *to, bool optional,
                           cm_error *err)
{
    cm_parquet_column other = {.name = to->name, .is_number = !to->is_number};
    int ret = read_chunk(r, c, &other, optional, err);
    for (size_t i = 0; i < r->group_rows && ret == 0; i++)
        if (other.defined[r->first + i])
            ret = cm_error_set(err, CM_EUNSUP, "Parquet: values of physical type %d", (int)c->type);
    cm_parquet_column_deinit(&other);
    return ret;
}

static int read_chunk(reader *r, const chunk *c, cm_parquet_column *to, bool optional,
                      cm_error *err)
{
    bool number = c->type == INT32 || c->type == INT64;
    size_t width = c->type == INT32 ? 4 : 8, row = r->first, end = r->first + r->group_rows;
    int64_t at =
        c->dictionary_at > 0 && c->dictionary_at < c->data_at ? c->dictionary_at : c->data_at;
    if (!number && c->type != BYTE_ARRAY)
        return cm_error_set(err, CM_EUNSUP, "Parquet: values of physical type %d", (int)c->type);
    if (number != to->is_number)
        return read_other_type(r, c, to, optional, err);
    if (at < 4 || c->total < 0 || (uint64_t)at > r->nbytes ||
        (uint64_t)c->total > r->nbytes - (uint64_t)at)
        return malformed("a column that is not inside the file", err);
    int ret = make_room(r, to, err);
    cm_thrift t = {.at = r->file + at, .end = r->file + at + c->total};
    dictionary d = {0};
    while (ret == 0 && row < end) {
        page p;
        uint8_t *data;
        ret = page_header(&t, &p, err);
        if (ret == 0)
            ret = unpack(r, to, &p, (int)c->codec, t.at, &data, err);
        if (ret)
            break;
        t.at += p.packed;
        if (p.type == PAGE_DICTIONARY) {
            ret = take_dictionary(r, to, &p, data, width, &d, err);
        } else if (p.type == PAGE_DATA || p.type == PAGE_DATA2) {
            if (p.repeats_nbytes || (uint64_t)p.nvalues > end - row)
                return malformed("pages with more values than rows", err);
            ret = data_page(r, to, &d, &p, row, data, (size_t)p.raw, optional, width, err);
            row += (size_t)p.nvalues;
        }
    }
    return ret;
}

/* ---- the file -------------------------------------------------------------------------------- */

static int footer(cm_thrift *t, reader *r, size_t max_rows, cm_error *err)
{
    cm_thrift ahead = *t;
    int last = 0, id, type, inner, ret = 0;
    int64_t rows = -1;
    while ((type = cm_thrift_field(&ahead, &last, &id)) != CM_THRIFT_STOP) {
        if (id == 3 && type == CM_THRIFT_I64) {
            rows = cm_thrift_int(&ahead);
        } else if (id == 2 && type == CM_THRIFT_LIST) {
            size_t n = cm_thrift_list(&ahead, &inner);
            if (n > MAX_COLUMNS)
                return cm_error_set(err, CM_ELIMIT, "Parquet: more than %d columns", MAX_COLUMNS);
            for (size_t i = 0; i < n && !ahead.bad; i++)
                schema_element(&ahead, r, i);
        } else {
            cm_thrift_skip(&ahead, type);
        }
    }
    if (ahead.bad || rows < 0)
        return malformed("a malformed footer", err);
    if ((uint64_t)rows > max_rows)
        return cm_error_set(err, CM_ELIMIT, "Parquet: %lld rows, at most %zu are expected",
                            (long long)rows, max_rows);
    r->nrows = (size_t)rows;
    last = 0;
    while (ret == 0 && (type = cm_thrift_field(t, &last, &id)) != CM_THRIFT_STOP) {
        if (id != 4 || type != CM_THRIFT_LIST) {
            cm_thrift_skip(t, type);
            continue;
        }
        size_t n = cm_thrift_list(t, &inner);
        for (size_t i = 0; i < n && ret == 0; i++)
            ret = inner == CM_THRIFT_STRUCT ? row_group(t, r, err)
                                            : malformed("a malformed footer", err);
    }
    if (ret == 0 && r->first != r->nrows)
        ret = malformed("row groups that do not make up the rows", err);
    return ret;
}

int cm_parquet_read(const uint8_t *file, size_t nbytes, size_t max_rows, cm_parquet_room *room,
                    cm_parquet_column *columns, size_t ncolumns, size_t *nrows, cm_error *err)
{
    if (nbytes < 12 || memcmp(file, "PAR1", 4) != 0 || memcmp(file + nbytes - 4, "PAR1", 4) != 0)
        return malformed("no Parquet file, or a truncated one", err);
    size_t length = cm_load_le32(file + nbytes - 8);
    if (length > nbytes - 12)
        return malformed("a footer that is not inside the file", err);
    reader r = {.file = file,
                .nbytes = nbytes - 8 - length,
                .columns = columns,
                .ncolumns = ncolumns,
                .room = room};
    cm_thrift t = {.at = file + nbytes - 8 - length, .end = file + nbytes - 8};
    int ret = footer(&t, &r, max_rows, err);
    *nrows = r.nrows;
    return ret;
}
