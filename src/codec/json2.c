/* codec/json2.c: numcodecs "json2": a chunk as the text of a JSON list: its cells, nested as the
 * chunk's axes are, then numpy's name of their type, then the chunk's shape.
 *
 *     ["foo","bar","|O",[2]]        [[1,2],[3,4],"<i4",[2,2]]
 *
 * Cells are strings ('O' and 'U'), numbers or bools; an object that is something else has no type
 * here and is refused by name. Decoded strings lie as vlen-utf8 has them. The text's type says how
 * numbers lie, and must be as wide as the array's.
 *
 * Numbers are read straight from the text where it is as encoders write it (json2_scan.c).
 * Otherwise the tree of the text is in memory meanwhile. Its size follows from the number of cells,
 * which the chunk's shape says: a text of more values than that is an error as soon as the room for
 * them is used up.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "codec/elements.h"
#include "codec/json2_scan.h"
#include "codec/utf32_cell.h"
#include "text/utf8.h"

enum {
    PER_CELL = 96,      /* bytes of a tree for each value, its place in a list with it */
    NUMBER_NBYTES = 48, /* of the longest number with what is around it */
    SLACK = 64 << 10
};

typedef struct {
    cm_codec base;
    bool strings;         /* of variable length */
    bool number;          /* encoding numbers */
    uint32_t width;       /* bytes of a cell of another type */
    cm_elements elements; /* numbers */
    size_t nelem;
} json2;

static const json2 *of(const cm_codec *codec)
{
    return (const json2 *)codec;
}

/* ---- configuration --------------------------------------------------------------------------- */

static int parse(const cm_json *config, cm_dialect dialect, const cm_array_form *in, cm_codec **out,
                 cm_error *err)
{
    const char *encoding = "utf-8";
    /* How the encoder wrote it; JSON is JSON. */
    const cm_config_field fields[] = {{.key = "encoding", .string = &encoding},
                                      {.key = "skipkeys"},
                                      {.key = "ensure_ascii"},
                                      {.key = "check_circular"},
                                      {.key = "allow_nan"},
                                      {.key = "sort_keys"},
                                      {.key = "indent"},
                                      {.key = "separators"},
                                      {.key = "strict"}};
    char name[CM_DTYPE_NAME];
    json2 j = {.strings = in->dtype.kind == CM_STRING, .width = in->dtype.size, .nelem = 1};
    int r = cm_config_read(config, dialect, "json2", fields, 9, err);
    if (!r && strcmp(encoding, "utf-8") != 0 && strcmp(encoding, "utf8") != 0 &&
        strcmp(encoding, "ascii") != 0)
        r = cm_error_set(err, CM_EUNSUP, "codec json2: text in \"%.32s\"", encoding);
    if (!r && in->ndim < 0)
        r = cm_error_set(err, CM_EUNSUP, "codec json2 behind another filter");
    bool vlen = cm_kind_is_vlen(in->dtype.kind);
    j.number = cm_elements_of(in->dtype, "json2", &j.elements, NULL) == 0;
    if (!r && !j.strings && !j.number && (vlen || in->dtype.kind != CM_BYTES))
        r = cm_error_set(err, CM_EUNSUP, "codec json2: cells of type %s",
                         cm_dtype_name(in->dtype, name, sizeof name));
    if (r)
        return r;
    if (j.number && in->big_endian && in->dtype.size > 1) {
        j.elements.big_endian = true;
        j.elements.name[0] = '>';
    }
    for (int i = 0; i < in->ndim; i++)
        if (!cm_mul_size(j.nelem, (size_t)in->shape[i], &j.nelem) || j.nelem > PTRDIFF_MAX / 1024)
            return cm_error_set(err, CM_ELIMIT, "codec json2: too many cells");
    return cm_codec_copy(&cm_class_json2, &j, sizeof j, out, err);
}

static cm_json *describe(const cm_codec *codec, cm_json_doc *doc, cm_dialect dialect)
{
    cm_json *config, *o = cm_config_describe(doc, codec->cls, codec->cls->name, dialect, &config);
    cm_json *separators = cm_json_new_array(doc);
    if (!o || !separators || cm_json_set_string(doc, config, "encoding", "utf-8") ||
        cm_json_set_bool(doc, config, "skipkeys", false) ||
        cm_json_set_bool(doc, config, "ensure_ascii", true) ||
        cm_json_set_bool(doc, config, "check_circular", true) ||
        cm_json_set_bool(doc, config, "allow_nan", true) ||
        cm_json_set(doc, config, "indent", cm_json_new_null(doc)) ||
        cm_json_add(doc, separators, cm_json_new_string(doc, ",")) ||
        cm_json_add(doc, separators, cm_json_new_string(doc, ":")) ||
        cm_json_set(doc, config, "separators", separators) ||
        cm_json_set_bool(doc, config, "sort_keys", true) ||
        cm_json_set_bool(doc, config, "strict", true))
        return NULL;
    return o;
}

/* ---- sizes ----------------------------------------------------------------------------------- */

static size_t bound(const cm_codec *codec, size_t n)
{
    /* A string's byte takes six at most ("\u0001"), its length of four bytes becomes quotes. */
    size_t each = of(codec)->strings ? 6 : 0, all = SLACK;
    size_t cells = of(codec)->strings ? 0 : n / (of(codec)->width ? of(codec)->width : 1);
    if (n > PTRDIFF_MAX / 64)
        return SIZE_MAX;
    all += n * each + cells * (of(codec)->number ? NUMBER_NBYTES : 3 * of(codec)->width + 16);
    return all;
}

static size_t tree_nbytes(const json2 *j, size_t ntext)
{
    return j->nelem * PER_CELL + ntext + SLACK;
}

static size_t scratch(const cm_codec *codec, size_t n, bool encoding)
{
    size_t text = bound(codec, n);
    return encoding || text > PTRDIFF_MAX / 4 ? 0
                                              : tree_nbytes(of(codec), text + text / 64 + SLACK);
}

/* ---- decoding -------------------------------------------------------------------------------- */

typedef struct {
    const json2 *j;
    cm_elements e;
    uint32_t width; /* 'U': bytes of a cell, else 0 */
    bool big;
    uint8_t *out;
    size_t at, capacity, n; /* out[at] is next; n cells so far */
    bool strings;
} sink;

static int bad(cm_error *err, const char *what)
{
    return cm_error_set(err, CM_EDATA, "json2: %s", what);
}

/* Even without room the size is counted, so that the caller knows how much there is. */
static uint8_t *take(sink *s, size_t nbytes)
{
    uint8_t *p = s->at <= s->capacity && nbytes <= s->capacity - s->at ? s->out + s->at : NULL;
    s->at += nbytes; /* no overflow: at most the text's bytes and 4 or width for each value */
    return p;
}

static int put_string(sink *s, const cm_json *v, cm_error *err)
{
    const char *text = cm_json_string(v);
    size_t n = cm_json_string_nbytes(v);
    uint8_t *p;
    if (!text) {
        cm_error_set(err, CM_EUNSUP, "json2: object %zu of a chunk is no string", s->n);
        cm_error_hint(err, "only strings have a type");
        return CM_EUNSUP;
    }
    if (s->strings) {
        if (n > UINT32_MAX)
            return bad(err, "a string of more than 4 GiB");
        p = take(s, 4 + n);
        if (p)
            cm_store_le32(p, (uint32_t)n);
        if (p && n)
            memcpy(p + 4, text, n);
        return 0;
    }
    p = take(s, s->width);
    if (p && !cm_utf32_cell(text, n, s->width, s->big, p))
        return bad(err, "a string is longer than its cell");
    return 0;
}

static int put_number(sink *s, const cm_json *v, cm_error *err)
{
    int64_t i = 0;
    uint64_t u = 0;
    double d = 0;
    bool good, real = cm_kind_is_float(s->e.kind);
    uint8_t cell[8];
    if (s->e.kind == CM_BOOL) {
        good = cm_json_is(v, CM_JSON_BOOL);
        i = cm_json_bool(v, false);
    } else if (real) {
        good = cm_json_double(v, &d);
    } else if (s->e.kind == CM_UINT64) {
        good = cm_json_uint64(v, &u);
        i = (int64_t)u;
    } else {
        good = cm_json_int64(v, &i);
    }
    if (good && real) {
        good = cm_elements_store_f64(&s->e, &d, 1, cell);
    } else if (good) {
        int64_t back;
        cm_elements_store_i64(&s->e, &i, 1, cell);
        cm_elements_load_i64(&s->e, cell, 1, &back);
        good = back == i;
    }
    if (!good)
        return cm_error_set(err, CM_EDATA, "json2: value %zu of a chunk is no %s", s->n, s->e.name);
    uint8_t *p = take(s, s->e.size);
    if (p)
        memcpy(p, cell, s->e.size);
    return 0;
}

/* The values of a list and of the lists in it, at most 32 deep. */
static int put_list(sink *s, const cm_json *list, size_t count, int depth, cm_error *err)
{
    int r = 0;
    if (depth > CM_MAX_DIMS)
        return bad(err, "lists nested too deep");
    for (size_t i = 0; i < count && !r; i++) {
        const cm_json *v = cm_json_at(list, i);
        if (cm_json_is(v, CM_JSON_ARRAY)) {
            r = put_list(s, v, cm_json_count(v), depth + 1, err);
            continue;
        }
        if (s->n == s->j->nelem)
            return bad(err, "more values than the chunk has");
        r = s->strings || s->width ? put_string(s, v, err) : put_number(s, v, err);
        s->n++;
    }
    return r;
}

/* What the text says that its values are. */
static int read_type(sink *s, const char *name, cm_error *err)
{
    const json2 *j = s->j;
    size_t n = name ? strlen(name) : 0;
    if (!name || n > 16)
        return bad(err, "no type at the end");
    if (j->strings) {
        s->strings = true;
        return strcmp(name, "|O") == 0 ? 0 : bad(err, "the type at the end is not |O");
    }
    if (n > 2 && strchr("<>=|", name[0]) && name[1] == 'U') {
        s->width = (uint32_t)strtoul(name + 2, NULL, 10) * 4;
        s->big = name[0] == '>';
        return s->width == j->width && s->width ? 0 : bad(err, "strings of another length");
    }
    int r = cm_elements_parse(name, "json2", &s->e, err);
    return r ? r : j->number && s->e.size == j->width ? 0 : bad(err, "values of another type");
}

static int decode_tree(const json2 *j, const cm_json *list, uint8_t *dst, size_t capacity,
                       size_t *nout, cm_error *err)
{
    size_t count = cm_json_count(list);
    if (!cm_json_is(list, CM_JSON_ARRAY) || count < 2 ||
        !cm_json_is(cm_json_at(list, count - 1), CM_JSON_ARRAY))
        return bad(err, "not a list of values, a type and a shape");
    const cm_json *shape = cm_json_at(list, count - 1);
    size_t cells = 1;
    for (size_t i = 0; i < cm_json_count(shape); i++) {
        uint64_t length;
        if (!cm_json_uint64(cm_json_at(shape, i), &length) || length > SIZE_MAX ||
            !cm_mul_size(cells, (size_t)length, &cells))
            return bad(err, "the shape at the end is none");
    }
    if (cells != j->nelem)
        return cm_error_set(err, CM_EDATA, "json2: %zu cells instead of %zu", cells, j->nelem);
    sink s = {.j = j, .out = dst, .capacity = capacity};
    int r = read_type(&s, cm_json_string(cm_json_at(list, count - 2)), err);
    if (!r && s.strings) {
        uint8_t *p = take(&s, 4);
        if (p)
            cm_store_le32(p, (uint32_t)j->nelem);
    }
    if (!r)
        r = put_list(&s, list, count - 2, 1, err);
    if (!r && s.n != j->nelem)
        r = bad(err, "fewer values than the chunk has");
    if (r)
        return r;
    *nout = s.at;
    return s.at > capacity
               ? cm_error_set(err, CM_ELIMIT, "json2: decodes to %zu bytes, more than %zu", s.at,
                              capacity)
               : 0;
}

static int decode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                  void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)work;
    const json2 *j = of(codec);
    cm_json_doc *doc = NULL;
    *nout = 0;
    if (j->nelem > UINT32_MAX)
        return cm_error_set(err, CM_ELIMIT, "json2: %zu cells", j->nelem);
    if (j->number && j->nelem <= capacity / j->width &&
        cm_json2_scan(src, nsrc, j->nelem, j->width, dst)) {
        *nout = j->nelem * j->width;
        return 0;
    }
    int r = cm_json_parse(src, nsrc, tree_nbytes(j, nsrc), &doc, err);
    if (r) {
        cm_error_prefix(err, "json2");
        if (r == CM_ELIMIT && err)
            err->code = CM_EDATA; /* more values than there are cells */
        return r == CM_ELIMIT ? CM_EDATA : r;
    }
    r = decode_tree(j, cm_json_doc_root(doc), dst, capacity, nout, err);
    cm_json_doc_free(doc);
    return r;
}

/* ---- encoding -------------------------------------------------------------------------------- */

/* s as a JSON string of ASCII, as Python writes it; returns its end. */
static char *put_quoted(char *q, const char *s, size_t n)
{
    static const char hex[] = "0123456789abcdef", letters[] = "btn?fr";
    *q++ = '"';
    for (size_t i = 0; i < n;) {
        uint32_t point = cm_utf8_next(s, &i), units[2] = {0, 0};
        if (point >= 0x20 && point < 0x7f) {
            if (point == '"' || point == '\\')
                *q++ = '\\';
            *q++ = (char)point;
            continue;
        }
        if (point >= 8 && point <= 13 && point != 11) {
            *q++ = '\\';
            *q++ = letters[point - 8];
            continue;
        }
        units[0] = point;
        if (point > 0xffff) {
            units[0] = 0xd800 + ((point - 0x10000) >> 10);
            units[1] = 0xdc00 + ((point - 0x10000) & 0x3ff);
        }
        for (int k = 0; k < 2 && (k == 0 || units[1]); k++) {
            *q++ = '\\';
            *q++ = 'u';
            for (int shift = 12; shift >= 0; shift -= 4)
                *q++ = hex[units[k] >> shift & 15];
        }
    }
    *q++ = '"';
    return q;
}

static int encode_strings(const uint8_t *p, size_t nsrc, char **at, cm_error *err)
{
    const uint8_t *end = p + nsrc;
    size_t n = nsrc >= 4 ? cm_load_le32(p) : 0;
    p += 4;
    for (size_t i = 0; i < n; i++) {
        size_t nbytes = end - p >= 4 ? cm_load_le32(p) : SIZE_MAX;
        if (nbytes > (size_t)(end - p) - 4 || end - p < 4 ||
            !cm_utf8_valid((const char *)p + 4, nbytes))
            return cm_error_set(err, CM_EINVAL, "json2: string %zu is none", i);
        *at = put_quoted(*at, (const char *)p + 4, nbytes);
        *(*at)++ = ',';
        p += 4 + nbytes;
    }
    return 0;
}

/* v in decimal; returns its end. printf is ten times slower. */
static char *put_decimal(char *q, uint64_t v)
{
    char digits[20];
    int n = 0;
    do
        digits[n++] = (char)('0' + v % 10);
    while ((v /= 10) != 0);
    while (n)
        *q++ = digits[--n];
    return q;
}

static int encode_numbers(const json2 *j, const uint8_t *p, size_t n, char **at, cm_error *err)
{
    for (size_t i = 0; i < n; i++, p += j->width) {
        int64_t v;
        double d;
        char text[40];
        if (cm_kind_is_float(j->elements.kind)) {
            uint8_t again[8];
            cm_elements_load_f64(&j->elements, p, 1, &d);
            double plain = isnan(d) ? (double)NAN : d;
            if (!cm_elements_store_f64(&j->elements, &plain, 1, again) ||
                memcmp(again, p, j->width) != 0) {
                cm_error_set(err, CM_EUNSUP, "json2 would change a NaN");
                cm_error_hint(err, "choose another --codec");
                return CM_EUNSUP;
            }
            cm_double_text(plain, text);
        } else {
            cm_elements_load_i64(&j->elements, p, 1, &v);
            if (j->elements.kind == CM_BOOL && (v & ~(int64_t)1))
                return cm_error_set(err, CM_EUNSUP, "json2: a bool that is neither 0 nor 1");
            if (j->elements.kind != CM_BOOL) {
                bool negative = v < 0 && j->elements.kind != CM_UINT64;
                if (negative)
                    *(*at)++ = '-';
                *at = put_decimal(*at, negative ? 0 - (uint64_t)v : (uint64_t)v);
                *(*at)++ = ',';
                continue;
            }
            snprintf(text, sizeof text, "%s", v ? "true" : "false");
        }
        *at += snprintf(*at, NUMBER_NBYTES, "%s,", text);
    }
    return 0;
}

static int encode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                  void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)work;
    const json2 *j = of(codec);
    char *at = dst;
    *nout = 0;
    if (capacity < bound(codec, nsrc))
        return cm_error_set(err, CM_EINVAL, "json2: %zu bytes do not fit", nsrc);
    if (!j->strings && !j->number)
        return cm_error_set(err, CM_EUNSUP, "json2 of fixed-length text is not written");
    *at++ = '[';
    int r = j->strings ? encode_strings(src, nsrc, &at, err)
                       : encode_numbers(j, src, nsrc / j->width, &at, err);
    if (r)
        return r;
    size_t n = j->strings ? (nsrc >= 4 ? cm_load_le32(src) : 0) : nsrc / j->width;
    at += snprintf(at, 128, "\"%s\",[%zu]]", j->strings ? "|O" : j->elements.name, n);
    *nout = (size_t)(at - (char *)dst);
    return 0;
}

static int filter(const cm_codec *codec, cm_array_form *form)
{
    (void)codec;
    (void)form;
    return CM_FILTER_LOSSY | CM_FILTER_BYTES;
}

static int text(const cm_codec *codec, cm_buffer *out, cm_error *err)
{
    (void)codec;
    return cm_buffer_append_string(out, "json2", err);
}

static bool equal(const cm_codec *a, const cm_codec *b, bool exactly)
{
    const json2 *x = of(a), *y = of(b);
    (void)exactly;
    return x->strings == y->strings && x->width == y->width && x->nelem == y->nelem &&
           x->elements.kind == y->elements.kind && x->elements.big_endian == y->elements.big_endian;
}

const cm_codec_class cm_class_json2 = {
    .name = "numcodecs.json2",
    .v2_id = "json2",
    .parse_array = parse,
    .describe = describe,
    .bound = bound,
    .scratch = scratch,
    .encode = encode,
    .decode = decode,
    .filter = filter,
    .text = text,
    .equal = equal,
};
