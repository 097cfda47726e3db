/* codec/categorize.c: numcodecs "categorize": strings as the numbers of their labels, from 1 on.
 *
 * What is 0, or no label's number, is the empty string, as numcodecs reads it. Decoded, strings lie
 * as vlen-utf8 has them ('O', variable length) or as UTF-32 in cells of fixed width ('U').
 *
 *     labels ["cold", "warm"]     cells "warm" "cold" ""     stored 2 1 0
 *
 * Encoding refuses a string that is none of the labels.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "codec/elements.h"
#include "codec/utf32_cell.h"

enum { MAX_LABELS = 1 << 20 };

typedef struct {
    uint32_t at, nbytes; /* in text */
    uint32_t number;     /* its own: sorting moves it */
} label;

typedef struct {
    cm_codec base;
    cm_elements stored;
    uint32_t width;  /* of a 'U' cell, bytes; 0: variable length */
    bool big_endian; /* 'U' */
    uint32_t nlabels;
    uint32_t *sorted; /* numbers of the labels (from 0), by their text; behind the labels */
    char *text;       /* behind those */
    label labels[];
} categorize;

static const categorize *of(const cm_codec *codec)
{
    return (const categorize *)codec;
}

/* ---- configuration --------------------------------------------------------------------------- */

static int by_text(const void *a, const void *b, void *context)
{
    const categorize *c = context;
    const label *x = &c->labels[*(const uint32_t *)a], *y = &c->labels[*(const uint32_t *)b];
    size_t n = x->nbytes < y->nbytes ? x->nbytes : y->nbytes;
    int d = n ? memcmp(c->text + x->at, c->text + y->at, n) : 0;
    if (d == 0)
        d = (x->nbytes > y->nbytes) - (x->nbytes < y->nbytes);
    return d ? d : (x->number > y->number) - (x->number < y->number);
}

/* A cell's bytes of one label; 'U': cut to the width, as numpy does. */
static size_t cell_of(const char *s, size_t n, uint32_t width, bool big, uint8_t *out)
{
    if (!width) {
        if (n)
            memcpy(out, s, n);
        return n;
    }
    cm_utf32_cell(s, n, width, big, out);
    return width;
}

/* "|O" or "<U8"; *width 0 for the first. */
static int read_dtype(const char *s, uint32_t *width, bool *big, cm_error *err)
{
    bool order = s[0] && strchr("<>|=", s[0]);
    const char *t = s + order;
    *width = 0;
    *big = s[0] == '>';
    if (!strcmp(t, "O") || !strcmp(s, "object"))
        return 0;
    unsigned long n = t[0] == 'U' && t[1] >= '1' && t[1] <= '9' ? strtoul(t + 1, NULL, 10) : 0;
    if (n == 0 || n > 1u << 20 || strspn(t + 1, "0123456789") != strlen(t + 1))
        return cm_error_set(err, CM_EUNSUP, "codec categorize: strings of type \"%.32s\"", s);
    *width = (uint32_t)n * 4;
    return 0;
}

static int check_labels(const cm_json *list, size_t *total, cm_error *err)
{
    *total = 0;
    if (!cm_json_is(list, CM_JSON_ARRAY))
        return cm_error_set(err, CM_EDATA, "codec categorize: labels is not a list");
    if (cm_json_count(list) > MAX_LABELS)
        return cm_error_set(err, CM_ELIMIT, "codec categorize: more than %d labels", MAX_LABELS);
    for (size_t i = 0; i < cm_json_count(list); i++) {
        const cm_json *v = cm_json_at(list, i);
        if (!cm_json_string(v))
            return cm_error_set(err, CM_EDATA, "codec categorize: a label is not a string");
        *total += cm_json_string_nbytes(v);
    }
    return *total > INT32_MAX
               ? cm_error_set(err, CM_ELIMIT, "codec categorize: labels of %zu bytes", *total)
               : 0;
}

static int build(const cm_json *list, const cm_elements *stored, uint32_t width, bool big,
                 cm_codec **out, cm_error *err)
{
    size_t total, n = cm_json_count(list), at = 0;
    int r = check_labels(list, &total, err);
    categorize *c;
    if (!r)
        r = cm_codec_alloc(&cm_class_categorize,
                           sizeof *c + n * (sizeof(label) + sizeof(uint32_t)) + total + 1, &c, err);
    if (r)
        return r;
    c->stored = *stored;
    c->width = width;
    c->big_endian = big;
    c->nlabels = (uint32_t)n;
    c->sorted = (uint32_t *)(void *)(c->labels + n);
    c->text = (char *)(c->sorted + n);
    for (uint32_t i = 0; i < n; i++) {
        const cm_json *v = cm_json_at(list, i);
        size_t nbytes = cm_json_string_nbytes(v);
        c->labels[i] = (label){(uint32_t)at, (uint32_t)nbytes, i};
        c->sorted[i] = i;
        if (nbytes)
            memcpy(c->text + at, cm_json_string(v), nbytes);
        at += nbytes;
    }
    if (n)
        qsort_r(c->sorted, n, sizeof *c->sorted, by_text, c);
    *out = &c->base;
    return 0;
}

static int parse(const cm_json *config, cm_dialect dialect, const cm_array_form *in, cm_codec **out,
                 cm_error *err)
{
    const char *cells = NULL, *stored = "|u1";
    const cm_config_field fields[] = {{.key = "labels", .required = true},
                                      {.key = "dtype", .string = &cells, .required = true},
                                      {.key = "astype", .string = &stored, .null_allowed = true}};
    uint32_t width = 0;
    bool big = false;
    cm_elements e;
    char name[CM_DTYPE_NAME];
    int r = cm_config_read(config, dialect, "categorize", fields, 3, err);
    if (!r)
        r = read_dtype(cells, &width, &big, err);
    if (!r)
        r = cm_elements_parse(stored, "categorize", &e, err);
    if (r)
        return r;
    if (!cm_kind_is_integer(e.kind))
        return cm_error_set(err, CM_EUNSUP, "codec categorize: numbers of type \"%.32s\"", stored);
    bool fits = width ? !cm_kind_is_vlen(in->dtype.kind) && in->dtype.size == width
                      : in->dtype.kind == CM_STRING;
    if (!fits)
        return cm_error_set(err, CM_EUNSUP,
                            "codec categorize: strings \"%.32s\" of cells of type %s", cells,
                            cm_dtype_name(in->dtype, name, sizeof name));
    if (dialect == CM_ZARR3)
        cm_elements_make_little(&e);
    return build(cm_json_get(config, "labels"), &e, width, big, out, err);
}

static cm_json *describe(const cm_codec *codec, cm_json_doc *doc, cm_dialect dialect)
{
    const categorize *c = of(codec);
    cm_json *config, *o = cm_config_describe(doc, codec->cls, codec->cls->name, dialect, &config);
    cm_json *list = cm_json_new_array(doc);
    cm_elements e = c->stored;
    char cells[24] = "|O";
    if (dialect == CM_ZARR3)
        cm_elements_make_little(&e);
    if (c->width)
        snprintf(cells, sizeof cells, "%cU%u", c->big_endian ? '>' : '<', c->width / 4);
    for (uint32_t i = 0; i < c->nlabels && list; i++)
        if (cm_json_add(doc, list,
                        cm_json_new_string_n(doc, c->text + c->labels[i].at, c->labels[i].nbytes)))
            return NULL;
    return !o || cm_json_set(doc, config, "labels", list) ||
                   cm_json_set_string(doc, config, "dtype", cells) ||
                   cm_json_set(doc, config, "astype", cm_elements_describe(&e, doc))
               ? NULL
               : o;
}

/* ---- values ---------------------------------------------------------------------------------- */

static const label *label_of(const categorize *c, int64_t number)
{
    uint64_t i = (uint64_t)number - 1;
    return i < c->nlabels ? &c->labels[i] : NULL;
}

static int decode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                  void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)work;
    const categorize *c = of(codec);
    size_t n = nsrc / c->stored.size, total = c->width ? 0 : 4;
    int64_t v[256];
    uint8_t *out = dst;
    *nout = 0;
    if (nsrc % c->stored.size || (!c->width && n > UINT32_MAX))
        return cm_error_set(err, CM_EDATA, "categorize: %zu bytes are no multiple of %u", nsrc,
                            c->stored.size);
    for (int writing = 0; writing < 2; writing++) {
        if (writing && total > capacity) {
            *nout = total;
            return cm_error_set(err, CM_ELIMIT, "categorize: decodes to %zu bytes, more than %zu",
                                total, capacity);
        }
        if (writing && !c->width) {
            cm_store_le32(out, (uint32_t)n);
            out += 4;
        }
        for (size_t at = 0, some; at < n; at += some) {
            some = n - at < 256 ? n - at : 256;
            cm_elements_load_i64(&c->stored, (const uint8_t *)src + at * c->stored.size, some, v);
            for (size_t i = 0; i < some; i++) {
                const label *l = label_of(c, v[i]);
                uint32_t nbytes = l ? l->nbytes : 0;
                if (!writing) {
                    if (!cm_add_size(total, c->width ? c->width : 4 + (size_t)nbytes, &total))
                        return cm_error_set(err, CM_ELIMIT, "categorize: too many strings");
                    continue;
                }
                if (!c->width) {
                    cm_store_le32(out, nbytes);
                    out += 4;
                }
                out += cell_of(l ? c->text + l->at : "", nbytes, c->width, c->big_endian, out);
            }
        }
    }
    *nout = total;
    return 0;
}

/* The number of a string: the last of the labels that are alike, as numcodecs has it; 0 for none.
 */
static uint32_t number_of(const categorize *c, const uint8_t *cell, size_t n)
{
    uint32_t low = 0, high = c->nlabels; /* the first label that is greater */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const label *l = &c->labels[c->sorted[middle]];
        size_t k = l->nbytes < n ? l->nbytes : n;
        int d = k ? memcmp(c->text + l->at, cell, k) : 0;
        if (d > 0 || (d == 0 && l->nbytes > n))
            high = middle;
        else
            low = middle + 1;
    }
    if (low == 0)
        return 0;
    const label *l = &c->labels[c->sorted[low - 1]];
    return l->nbytes == n && (!n || !memcmp(c->text + l->at, cell, n)) ? l->number + 1 : 0;
}

/* 'U': by trying; such arrays are read, and hardly ever written with this codec. */
static uint32_t number_of_cell(const categorize *c, const uint8_t *cell, uint8_t *room)
{
    for (uint32_t i = c->nlabels; i-- > 0;) {
        cell_of(c->text + c->labels[i].at, c->labels[i].nbytes, c->width, c->big_endian, room);
        if (!memcmp(room, cell, c->width))
            return i + 1;
    }
    return 0;
}

static bool all_zero(const uint8_t *p, size_t n)
{
    return n == 0 || (p[0] == 0 && !memcmp(p, p + 1, n - 1));
}

static int encode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                  void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    const categorize *c = of(codec);
    const uint8_t *p = src, *end = p + nsrc;
    uint8_t *room = c->width ? cm_work_bytes(work, c->width, err) : NULL;
    *nout = 0;
    if (c->width && !room)
        return CM_ENOMEM;
    size_t n = c->width ? nsrc / c->width : nsrc >= 4 ? cm_load_le32(p) : 0;
    if (n > capacity / c->stored.size)
        return cm_error_set(err, CM_EINVAL, "categorize: %zu strings do not fit", n);
    p += c->width ? 0 : 4;
    for (size_t i = 0; i < n; i++) {
        bool whole = (size_t)(end - p) >= (c->width ? c->width : 4);
        size_t nbytes = !whole ? 0 : c->width ? c->width : cm_load_le32(p);
        p += c->width ? 0 : 4;
        if (!whole || nbytes > (size_t)(end - p))
            return cm_error_set(err, CM_EINVAL, "categorize: string %zu is cut off", i);
        uint32_t number = c->width ? number_of_cell(c, p, room) : number_of(c, p, nbytes);
        int64_t v = number, back;
        uint8_t *to = (uint8_t *)dst + i * c->stored.size;
        cm_elements_store_i64(&c->stored, &v, 1, to);
        cm_elements_load_i64(&c->stored, to, 1, &back);
        if (back != v || (!number && !all_zero(p, nbytes)) || (!number && !c->width && nbytes)) {
            cm_error_set(err, CM_EUNSUP, "categorize: string %zu of a chunk is none of the labels",
                         i);
            cm_error_hint(err, "choose another --codec");
            return CM_EUNSUP;
        }
        p += nbytes;
    }
    *nout = n * c->stored.size;
    return 0;
}

static size_t bound(const cm_codec *codec, size_t n)
{
    const categorize *c = of(codec);
    return n / (c->width ? c->width : 4) * c->stored.size + 8;
}

static size_t scratch(const cm_codec *codec, size_t n, bool encoding)
{
    (void)n;
    return encoding ? of(codec)->width : 0;
}

static int filter(const cm_codec *codec, cm_array_form *form)
{
    form->dtype = cm_dtype_of(of(codec)->stored.kind, 0);
    return CM_FILTER_LOSSY | (of(codec)->stored.big_endian ? CM_FILTER_BIG : 0);
}

static int text(const cm_codec *codec, cm_buffer *out, cm_error *err)
{
    return cm_buffer_printf(out, err, "categorize(%u)", of(codec)->nlabels);
}

static bool equal(const cm_codec *a, const cm_codec *b, bool exactly)
{
    const categorize *x = of(a), *y = of(b);
    (void)exactly;
    if (!cm_elements_equal(&x->stored, &y->stored) || x->width != y->width ||
        x->big_endian != y->big_endian || x->nlabels != y->nlabels)
        return false;
    for (uint32_t i = 0; i < x->nlabels; i++) {
        const label *l = &x->labels[i], *m = &y->labels[i];
        if (l->nbytes != m->nbytes ||
            (l->nbytes && memcmp(x->text + l->at, y->text + m->at, l->nbytes) != 0))
            return false;
    }
    return true;
}

const cm_codec_class cm_class_categorize = {
    .name = "numcodecs.categorize",
    .v2_id = "categorize",
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
