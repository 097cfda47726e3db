/* codec/cast_value.c: "cast_value" of Zarr's registry of extensions: each number as another type,
 * by its value.
 *
 * First the map of single values, then rounding, then what to do out of range (cast_number.c). The
 * same rules hold for decoding, the types exchanged. Where both types fit into doubles a block is
 * rounded and checked at once; only when a number is out of range, or a type is not of that kind,
 * each one goes by itself.
 *
 * A value that a map names matches by value: any NaN matches NaN, 0 matches -0; the first match
 * counts.
 */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "codec/cast_number.h"
#include "codec/filter.h"

enum { MAX_ENTRIES = 1024 };

typedef struct {
    cm_scalar from, to;
} entry;

typedef struct {
    cm_filter f;
    cm_rounding rounding;
    cm_out_of_range range;
    bool rounding_given, map_given[2];
    size_t nentries[2]; /* encoding, decoding: those of decoding are behind the others */
    entry entries[];
} cast;

static const char *const roundings[] = {"nearest-even", "towards-zero", "towards-positive",
                                        "towards-negative", "nearest-away"};
static const char *const ranges[] = {NULL, "clamp", "wrap"};

/* ---- values ---------------------------------------------------------------------------------- */

static bool wide(cm_kind kind)
{
    return kind == CM_INT64 || kind == CM_UINT64;
}

static bool is_integer(cm_kind kind)
{
    return cm_kind_is_integer(kind) || kind == CM_INT2 || kind == CM_INT4 || kind == CM_UINT2 ||
           kind == CM_UINT4;
}

static bool matches(cm_kind kind, const cm_scalar *key, const uint8_t *cell)
{
    cm_scalar s = {.word = 0};
    memcpy(s.bytes, cell, cm_dtype_of(kind, 0).size);
    if (wide(kind))
        return s.word == key->word;
    double a = cm_scalar_value(kind, &s), b = cm_scalar_value(kind, key);
    return a == b || (isnan(a) && isnan(b));
}

static bool one(const cast *c, bool encoding, const uint8_t *src, uint8_t *dst)
{
    const cm_elements *from = encoding ? &c->f.cells : &c->f.stored;
    const cm_elements *to = encoding ? &c->f.stored : &c->f.cells;
    const entry *e = c->entries + (encoding ? 0 : c->nentries[0]);
    cm_scalar out;
    for (size_t k = 0; k < c->nentries[!encoding]; k++)
        if (matches(from->kind, &e[k].from, src)) {
            memcpy(dst, e[k].to.bytes, to->size);
            return true;
        }
    bool good = cm_cast_number(from->kind, src, to->kind, c->rounding, c->range, &out);
    memcpy(dst, out.bytes, to->size);
    return good;
}

/* Does the machine's own rounding of doubles to a float type do what is wanted? */
static bool fits_float(const cast *c, const cm_elements *from, const cm_elements *to,
                       const double *v, size_t n)
{
    if (to->kind != CM_FLOAT32)
        return to->kind == CM_FLOAT64;
    if (from->kind == CM_FLOAT32 || from->size <= 2)
        return true; /* exact */
    int bad = c->rounding != CM_NEAREST_EVEN;
    for (size_t i = 0; i < n; i++) /* what rounds to infinity and is none */
        bad |= (fabs(v[i]) >= 0x1.ffffffp127) & (fabs(v[i]) <= 0x1.fffffffffffffp1023);
    return !bad;
}

/* All at once, where both types fit into doubles. The source's numbers that the map names are
 * replaced before by what they become, so that they cannot be out of range, and put once more
 * afterwards, for a NaN's bits. False: something was out of range, or a type is not for this. */
static bool together(const cast *c, bool encoding, const uint8_t *src, size_t n, uint8_t *dst)
{
    const cm_elements *from = encoding ? &c->f.cells : &c->f.stored;
    const cm_elements *to = encoding ? &c->f.stored : &c->f.cells;
    const entry *e = c->entries + (encoding ? 0 : c->nentries[0]);
    size_t nentries = c->nentries[!encoding];
    double v[CM_FILTER_BLOCK];
    uint8_t match[CM_FILTER_BLOCK];
    if (wide(to->kind) || wide(from->kind) || nentries > 8 || !cm_load_f64(from->kind, src, n, v))
        return false;
    if (nentries)
        memset(match, 0, n);
    for (size_t k = nentries; k-- > 0;) {
        double key = cm_scalar_value(from->kind, &e[k].from);
        bool nan = isnan(key);
        for (size_t i = 0; i < n; i++)
            if (nan ? isnan(v[i]) : v[i] == key)
                match[i] = (uint8_t)(k + 1);
    }
    for (size_t i = 0; i < n && nentries; i++)
        if (match[i])
            v[i] = cm_scalar_value(to->kind, &e[match[i] - 1].to);
    if (is_integer(to->kind)) {
        if (c->rounding == CM_NEAREST_EVEN)
            cm_round_even(v, n);
        else
            for (size_t i = 0; i < n; i++)
                v[i] = cm_round_as(v[i], c->rounding);
    } else if (!fits_float(c, from, to, v, n)) {
        return false;
    }
    if (!cm_put_f64(to->kind, v, n, dst))
        return false;
    for (size_t i = 0; i < n && nentries; i++)
        if (match[i])
            memcpy(dst + i * to->size, e[match[i] - 1].to.bytes, to->size);
    return true;
}

static bool convert(const cast *c, bool encoding, const uint8_t *src, size_t n, uint8_t *dst)
{
    const cm_elements *from = encoding ? &c->f.cells : &c->f.stored;
    const cm_elements *to = encoding ? &c->f.stored : &c->f.cells;
    uint8_t room[CM_FILTER_BLOCK * 8];
    const uint8_t *p = cm_elements_native(from, src, n, room);
    bool good = together(c, encoding, p, n, dst);
    if (!good) {
        good = true;
        for (size_t i = 0; i < n && good; i++)
            good = one(c, encoding, p + i * from->size, dst + i * to->size);
    }
    cm_elements_to_order(to, dst, n);
    return good;
}

static bool decode_block(const cm_filter *f, cm_filter_state *s, const uint8_t *src, size_t n,
                         uint8_t *dst)
{
    (void)s;
    return convert((const cast *)f, false, src, n, dst);
}

static bool encode_block(const cm_filter *f, cm_filter_state *s, const uint8_t *src, size_t n,
                         uint8_t *dst)
{
    (void)s;
    return convert((const cast *)f, true, src, n, dst);
}

/* ---- configuration --------------------------------------------------------------------------- */

static int word_of(const cm_json *config, const char *key, const char *const *words, int nwords,
                   int *out, cm_error *err)
{
    const cm_json *v = cm_json_get(config, key);
    const char *s = cm_json_string(v);
    if (!v)
        return 0;
    for (int i = 0; i < nwords && s; i++)
        if (words[i] && strcmp(words[i], s) == 0) {
            *out = i;
            return 0;
        }
    return cm_error_set(err, CM_EDATA, "codec cast_value: %s \"%.32s\"", key, s ? s : "?");
}

static int read_map(const cm_json *list, cast *c, bool encoding, entry *out, cm_error *err)
{
    cm_kind from = encoding ? c->f.cells.kind : c->f.stored.kind;
    cm_kind to = encoding ? c->f.stored.kind : c->f.cells.kind;
    if (list && !cm_json_is(list, CM_JSON_ARRAY))
        return cm_error_set(err, CM_EDATA, "codec cast_value: scalar_map is not of lists");
    int r = 0;
    for (size_t i = 0; i < cm_json_count(list) && !r; i++) {
        const cm_json *pair = cm_json_at(list, i);
        if (!cm_json_is(pair, CM_JSON_ARRAY) || cm_json_count(pair) != 2)
            return cm_error_set(err, CM_EDATA, "codec cast_value: scalar_map is not of pairs");
        r = cm_scalar_parse(cm_json_at(pair, 0), from, "cast_value", "a number of scalar_map",
                            &out[i].from, err);
        if (!r)
            r = cm_scalar_parse(cm_json_at(pair, 1), to, "cast_value", "a number of scalar_map",
                                &out[i].to, err);
    }
    return r;
}

/* "scalar_map": {"encode": [[1, 2], ...], "decode": ...}; lists[0] and [1] are borrowed. */
static int map_lists(const cm_json *map, const cm_json **lists, cm_error *err)
{
    const cm_config_field fields[] = {{.key = "encode"}, {.key = "decode"}};
    int r = cm_config_read(map, CM_ZARR3, "cast_value", fields, 2, err);
    lists[0] = cm_json_get(map, "encode");
    lists[1] = cm_json_get(map, "decode");
    if (!r && (cm_json_count(lists[0]) > MAX_ENTRIES || cm_json_count(lists[1]) > MAX_ENTRIES))
        r = cm_error_set(err, CM_ELIMIT, "codec cast_value: more than %d numbers in scalar_map",
                         MAX_ENTRIES);
    return r;
}

static int number_type(const char *name, cm_elements *out, cm_error *err)
{
    cm_kind kind = cm_kind_named(name);
    char text[CM_DTYPE_NAME];
    if (!cm_scalar_kind(kind))
        return cm_error_set(err, CM_EUNSUP, "codec cast_value: numbers of type \"%.32s\"", name);
    *out = (cm_elements){.kind = kind, .size = cm_dtype_of(kind, 0).size};
    const char *known = cm_dtype_name(cm_dtype_of(kind, 0), text, sizeof text);
    size_t n = strlen(known) < sizeof out->name ? strlen(known) : sizeof out->name - 1;
    memcpy(out->name, known, n);
    return 0;
}

static int read_types(const char *target, const cm_array_form *in, cast *c, cm_error *err)
{
    char name[CM_DTYPE_NAME];
    int r = number_type(cm_dtype_name(in->dtype, name, sizeof name), &c->f.cells, err);
    if (!r)
        r = number_type(target, &c->f.stored, err);
    if (!r && c->range == CM_RANGE_WRAP && !is_integer(c->f.stored.kind))
        r = cm_error_set(err, CM_EDATA, "codec cast_value: out_of_range \"wrap\" to %s", target);
    return r;
}

static int parse(const cm_json *config, cm_dialect dialect, const cm_array_form *in, cm_codec **out,
                 cm_error *err)
{
    const char *target = NULL;
    const cm_json *map = cm_json_get(config, "scalar_map"), *lists[2] = {NULL, NULL};
    const cm_config_field fields[] = {{.key = "data_type", .string = &target, .required = true},
                                      {.key = "rounding"},
                                      {.key = "out_of_range"},
                                      {.key = "scalar_map"}};
    int rounding = 0, range = 0;
    int r = cm_config_read(config, dialect, "cast_value", fields, 4, err);
    if (!r)
        r = word_of(config, "rounding", roundings, 5, &rounding, err);
    if (!r && !cm_json_is(cm_json_get(config, "out_of_range"), CM_JSON_NULL))
        r = word_of(config, "out_of_range", ranges, 3, &range, err);
    if (!r && map && !cm_json_is(map, CM_JSON_NULL))
        r = map_lists(map, lists, err);
    if (r)
        return r;
    size_t n[2] = {cm_json_count(lists[0]), cm_json_count(lists[1])};
    cast *c;
    r = cm_codec_alloc(&cm_class_cast_value, sizeof *c + (n[0] + n[1]) * sizeof(entry), &c, err);
    if (r)
        return r;
    c->f.decode = decode_block;
    c->f.encode = encode_block;
    c->rounding = (cm_rounding)rounding;
    c->range = (cm_out_of_range)range;
    c->rounding_given = cm_json_get(config, "rounding") != NULL;
    c->nentries[0] = n[0];
    c->nentries[1] = n[1];
    c->map_given[0] = lists[0] != NULL;
    c->map_given[1] = lists[1] != NULL;
    r = read_types(target, in, c, err);
    if (!r)
        r = read_map(lists[0], c, true, c->entries, err);
    if (!r)
        r = read_map(lists[1], c, false, c->entries + n[0], err);
    if (r)
        cm_codec_free(&c->f.base);
    else
        *out = &c->f.base;
    return r;
}

static cm_json *describe_map(const cast *c, bool encoding, cm_json_doc *doc)
{
    cm_json *list = cm_json_new_array(doc);
    const entry *e = c->entries + (encoding ? 0 : c->nentries[0]);
    cm_kind from = encoding ? c->f.cells.kind : c->f.stored.kind;
    cm_kind to = encoding ? c->f.stored.kind : c->f.cells.kind;
    for (size_t i = 0; i < c->nentries[!encoding] && list; i++) {
        cm_json *pair = cm_json_new_array(doc);
        if (!pair || cm_json_add(doc, pair, cm_scalar_describe(doc, from, &e[i].from)) ||
            cm_json_add(doc, pair, cm_scalar_describe(doc, to, &e[i].to)) ||
            cm_json_add(doc, list, pair))
            return NULL;
    }
    return list;
}

static cm_json *describe(const cm_codec *codec, cm_json_doc *doc, cm_dialect dialect)
{
    const cast *c = (const cast *)codec;
    cm_json *config, *o = cm_config_describe(doc, codec->cls, "cast_value", dialect, &config), *map;
    if (!o || cm_json_set_string(doc, config, "data_type", c->f.stored.name) ||
        (c->rounding_given &&
         cm_json_set_string(doc, config, "rounding", roundings[c->rounding])) ||
        (c->range && cm_json_set_string(doc, config, "out_of_range", ranges[c->range])))
        return NULL;
    if (!c->map_given[0] && !c->map_given[1])
        return o;
    map = cm_json_new_object(doc);
    if (!map || (c->map_given[0] && cm_json_set(doc, map, "encode", describe_map(c, true, doc))) ||
        (c->map_given[1] && cm_json_set(doc, map, "decode", describe_map(c, false, doc))) ||
        cm_json_set(doc, config, "scalar_map", map))
        return NULL;
    return o;
}

static int text(const cm_codec *codec, cm_buffer *out, cm_error *err)
{
    return cm_buffer_printf(out, err, "cast_value(%s)", cm_filter_of(codec)->stored.name);
}

static bool equal(const cm_codec *a, const cm_codec *b, bool exactly)
{
    const cast *x = (const cast *)a, *y = (const cast *)b;
    (void)exactly;
    if (!cm_filter_equal_types(a, b) || x->rounding != y->rounding || x->range != y->range ||
        x->nentries[0] != y->nentries[0] || x->nentries[1] != y->nentries[1])
        return false;
    for (size_t i = 0; i < x->nentries[0] + x->nentries[1]; i++)
        if (x->entries[i].from.word != y->entries[i].from.word ||
            x->entries[i].to.word != y->entries[i].to.word)
            return false;
    return true;
}

const cm_codec_class cm_class_cast_value = {
    .name = "cast_value",
    .parse_array = parse,
    .describe = describe,
    .bound = cm_filter_encoded_size,
    .scratch = cm_no_scratch,
    .encode = cm_filter_encode,
    .decode = cm_filter_decode,
    .encoded_size = cm_filter_encoded_size,
    .filter = cm_filter_apply,
    .text = text,
    .equal = equal,
};
