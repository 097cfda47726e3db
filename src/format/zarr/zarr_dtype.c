/* format/zarr/zarr_dtype.c: Zarr's names of types, read.
 *
 * v3 has names that are ours ("float32", "string") and objects of a name and a configuration; v2
 * has numpy typestrs ("<f4"): byte order, kind, size; and lists of fields. Byte order is the
 * codec's matter and is only passed on, but for fields of records, each of which has its own.
 * Types that are known to exist but are not read are refused by what they are, so that the user
 * learns what the store holds; nothing is ever read as "bytes that happen to have the right size".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "format/zarr/zarr_private.h"
#include "nd/copy.h"

int cm_zarr_extension(const cm_json *v, const char *member, const char **name,
                      const cm_json **config, cm_error *err)
{
    *config = NULL;
    *name = cm_json_string(v);
    if (*name)
        return 0;
    if (!cm_json_is(v, CM_JSON_OBJECT))
        return cm_error_set(
            err, CM_EDATA, "\"%s\" must be a name or an object with \"name\" and \"configuration\"",
            member);
    *name = cm_json_string(cm_json_get(v, "name"));
    if (!*name)
        return cm_error_set(err, CM_EDATA, "\"%s\": \"name\" is missing or not a string", member);
    for (size_t i = 0; i < cm_json_count(v); i++) {
        const char *key = cm_json_key(v, i);
        const cm_json *item = cm_json_at(v, i);
        if (!strcmp(key, "name"))
            continue;
        if (!strcmp(key, "configuration")) {
            if (!cm_json_is(item, CM_JSON_OBJECT))
                return cm_error_set(err, CM_EDATA, "\"%s\": \"configuration\" is not an object",
                                    member);
            *config = item;
        } else if (!strcmp(key, "must_understand")) {
            if (!cm_json_is(item, CM_JSON_BOOL))
                return cm_error_set(err, CM_EDATA, "\"%s\": \"must_understand\" is not a bool",
                                    member);
        } else {
            return cm_error_set(err, CM_EUNSUP, "\"%s\": unknown member \"%s\"", member, key);
        }
    }
    return 0;
}

enum { MAX_WIDTH = 1 << 24, MAX_DEPTH = 16, MAX_FIELDS = 4096 };

cm_dtype cm_zarr_type_stored(const cm_zarr_type *type)
{
    return type->cells == CM_ZARR_PLAIN ? type->dtype : cm_dtype_of(CM_BYTES, type->width);
}

void cm_zarr_type_deinit(cm_zarr_type *type)
{
    cm_record_unref(type->dtype.record);
    type->dtype.record = NULL;
}

/* A type that fixed-length text of an array is: strings. */
static void set_strings(cm_zarr_type *out)
{
    cm_kind kind = out->dtype.kind;
    out->cells = kind == CM_BYTES   ? CM_ZARR_BYTES
                 : kind == CM_UTF32 ? CM_ZARR_UTF32
                                    : CM_ZARR_PLAIN;
    out->width = out->cells == CM_ZARR_PLAIN ? 0 : out->dtype.size;
    if (out->cells != CM_ZARR_PLAIN)
        out->dtype = cm_dtype_of(CM_STRING, 0);
}

static int check_width(uint64_t width, const char *name, const char *member, cm_error *err)
{
    if (width > 0 && width <= MAX_WIDTH)
        return 0;
    return cm_error_set(err, CM_EUNSUP, "\"%s\": \"%.48s\" of %llu bytes is not read", member, name,
                        (unsigned long long)width);
}

/* Make a record of the n fields, whose own records are given up. */
static int finish_record(cm_field *fields, size_t n, int r, cm_dtype *out, cm_error *err)
{
    cm_record *record = NULL;
    if (r == 0)
        r = cm_record_new(fields, n, &record, err);
    for (size_t i = 0; i < n; i++)
        cm_record_unref(fields[i].dtype.record);
    free(fields);
    if (r == 0)
        *out = cm_dtype_record(CM_RECORD, record);
    return r;
}

static int new_fields(const cm_json *list, const char *member, cm_field **out, cm_error *err)
{
    if (!cm_json_is(list, CM_JSON_ARRAY) || cm_json_count(list) == 0)
        return cm_error_set(err, CM_EDATA, "\"%s\": a structure's fields are no list", member);
    if (cm_json_count(list) > MAX_FIELDS)
        return cm_error_set(err, CM_EUNSUP, "\"%s\": a structure of more than %d fields", member,
                            MAX_FIELDS);
    *out = cm_calloc(cm_json_count(list), sizeof **out, err);
    return *out ? 0 : CM_ENOMEM;
}

static const char *plain_string(const cm_json *v)
{
    const char *s = cm_json_string(v);
    return s && strlen(s) == cm_json_string_nbytes(v) ? s : NULL;
}

/* ---- v3 -------------------------------------------------------------------------------------- */

static int parse_v3(const cm_json *v, int depth, cm_dtype *out, const char **text, cm_error *err);

static int length_v3(const char *name, const cm_json *config, uint64_t *width, cm_error *err)
{
    if (!cm_json_uint64(cm_json_get(config, "length_bytes"), width) || cm_json_count(config) != 1)
        return cm_error_set(err, CM_EDATA,
                            "\"data_type\": the configuration of \"%s\" is not \"length_bytes\"",
                            name);
    return check_width(*width, name, "data_type", err);
}

static int time_v3(cm_kind kind, const char *name, const cm_json *config, cm_dtype *out,
                   cm_error *err)
{
    const char *unit = plain_string(cm_json_get(config, "unit"));
    int64_t scale;
    int is = unit ? cm_time_unit_named(!strcmp(unit, "\xce\xbcs") ? "us" : unit) : -1;
    if (is < 0 || !cm_json_int64(cm_json_get(config, "scale_factor"), &scale) || scale < 1 ||
        scale > INT32_MAX || cm_json_count(config) != 2)
        return cm_error_set(err, CM_EDATA,
                            "\"data_type\": the configuration of \"%s\" is not \"unit\" and "
                            "\"scale_factor\"",
                            name);
    *out = cm_dtype_time(kind, (cm_time_unit)is, (uint32_t)scale);
    return 0;
}

/* ["name", type], or {"name": name, "data_type": type} as the extension "struct" has it. */
static int fields_v3(const cm_json *config, int depth, cm_dtype *out, cm_error *err)
{
    const cm_json *list = cm_json_get(config, "fields");
    cm_field *fields;
    size_t n = 0;
    int r = cm_json_count(config) != 1
                ? cm_error_set(err, CM_EDATA, "\"data_type\": a structure is not only \"fields\"")
                : new_fields(list, "data_type", &fields, err);
    if (r)
        return r;
    for (; n < cm_json_count(list) && r == 0; n += r == 0) {
        const cm_json *item = cm_json_at(list, n), *type = cm_json_get(item, "data_type");
        const char *text;
        fields[n].name = plain_string(cm_json_get(item, "name"));
        if (cm_json_is(item, CM_JSON_ARRAY)) {
            fields[n].name = plain_string(cm_json_at(item, 0));
            type = cm_json_at(item, 1);
        }
        if (!fields[n].name || !type || cm_json_count(item) != 2)
            r = cm_error_set(err, CM_EDATA, "\"data_type\": field %zu is not a name and a type", n);
        else
            r = parse_v3(type, depth + 1, &fields[n].dtype, &text, err);
    }
    return finish_record(fields, n, r, out, err);
}

/* "r16": 16 raw bits. */
static bool raw_bits(const char *name, uint64_t *nbytes)
{
    char *end;
    if (name[0] != 'r' || name[1] < '1' || name[1] > '9')
        return false;
    *nbytes = strtoull(name + 1, &end, 10);
    if (*end || *nbytes % 8)
        return false;
    *nbytes /= 8;
    return true;
}

static int configured_v3(const char *name, const cm_json *config, int depth, bool *found,
                         cm_dtype *out, cm_error *err)
{
    static const struct {
        const char *name;
        cm_kind kind;
    } table[] = {{"fixed_length_utf32", CM_UTF32},
                 {"null_terminated_bytes", CM_BYTES},
                 {"raw_bytes", CM_RAW},
                 {"numpy.datetime64", CM_DATETIME64},
                 {"numpy.timedelta64", CM_TIMEDELTA64},
                 {"structured", CM_RECORD},
                 {"struct", CM_RECORD}};
    cm_kind kind = CM_NONE;
    uint64_t width;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (!strcmp(table[i].name, name))
            kind = table[i].kind;
    *found = kind != CM_NONE;
    if (!*found)
        return 0;
    if (cm_kind_is_time(kind))
        return time_v3(kind, name, config, out, err);
    if (kind == CM_RECORD)
        return fields_v3(config, depth, out, err);
    int r = length_v3(name, config, &width, err);
    if (r == 0 && kind == CM_UTF32 && width % 4)
        r = cm_error_set(err, CM_EUNSUP, "\"data_type\": \"%s\" of %llu bytes is not read", name,
                         (unsigned long long)width);
    *out = cm_dtype_of(kind, (uint32_t)width);
    return r;
}

static int parse_v3(const cm_json *v, int depth, cm_dtype *out, const char **text, cm_error *err)
{
    static const struct {
        const char *name;
        cm_kind kind;
    } others[] = {{"bytes", CM_VBYTES},
                  {"variable_length_utf8", CM_STRING},
                  {"complex_float32", CM_COMPLEX64},
                  {"complex_float64", CM_COMPLEX128}};
    const char *name;
    const cm_json *config;
    uint64_t nbytes;
    bool found;
    int r = cm_zarr_extension(v, "data_type", &name, &config, err);
    *text = "";
    if (r == 0)
        *text = name;
    if (r == 0 && depth > MAX_DEPTH)
        return cm_error_set(err, CM_EUNSUP, "\"data_type\": structures nested more than %d deep",
                            MAX_DEPTH);
    if (r == 0)
        r = configured_v3(name, config, depth, &found, out, err);
    if (r || found)
        return r;
    cm_kind kind = cm_kind_named(name);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (!strcmp(others[i].name, name))
            kind = others[i].kind;
    *out = cm_dtype_of(kind, 0);
    if (raw_bits(name, &nbytes)) {
        kind = CM_RAW;
        if ((r = check_width(nbytes, name, "data_type", err)))
            return r;
        *out = cm_dtype_of(CM_RAW, (uint32_t)nbytes);
    }
    if (kind == CM_NONE) {
        r = cm_error_set(err, CM_EUNSUP, "\"data_type\": cells of type \"%.64s\" are not read",
                         name);
        cm_error_hint(err, "leave the variable out, or convert it with zarr-python first");
        return r;
    }
    if (cm_json_count(config))
        return cm_error_set(err, CM_EUNSUP,
                            "\"data_type\": \"%s\" with a configuration (\"%.64s\")", name,
                            cm_json_key(config, 0));
    return 0;
}

int cm_zarr_type_parse_v3(const cm_json *data_type, cm_zarr_type *out, cm_error *err)
{
    const char *text;
    int r = parse_v3(data_type, 0, &out->dtype, &text, err);
    snprintf(out->text, sizeof out->text, "%s", text);
    if (r) {
        out->dtype = cm_dtype_of(CM_NONE, 0);
        return r;
    }
    set_strings(out);
    out->explicit_order = !strcmp(text, "struct");
    if (out->dtype.kind == CM_RECORD)
        out->width = out->dtype.size;
    return 0;
}

/* ---- v2 -------------------------------------------------------------------------------------- */

static cm_kind kind_of_typestr(char kind, unsigned long size)
{
    static const struct {
        char kind;
        unsigned char size;
        cm_kind is;
    } table[] = {{'b', 1, CM_BOOL},      {'i', 1, CM_INT8},       {'i', 2, CM_INT16},
                 {'i', 4, CM_INT32},     {'i', 8, CM_INT64},      {'u', 1, CM_UINT8},
                 {'u', 2, CM_UINT16},    {'u', 4, CM_UINT32},     {'u', 8, CM_UINT64},
                 {'f', 2, CM_FLOAT16},   {'f', 4, CM_FLOAT32},    {'f', 8, CM_FLOAT64},
                 {'c', 8, CM_COMPLEX64}, {'c', 16, CM_COMPLEX128}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].kind == kind && table[i].size == size)
            return table[i].is;
    return CM_NONE;
}

/* What follows "<M8": nothing, or "[25s]". */
static bool time_of_typestr(cm_kind kind, const char *s, cm_dtype *out)
{
    char unit[16];
    char *end = NULL;
    if (!*s) {
        *out = cm_dtype_of(kind, 0);
        return true;
    }
    if (*s != '[')
        return false;
    unsigned long scale = s[1] >= '0' && s[1] <= '9' ? strtoul(s + 1, &end, 10) : 1;
    s = end ? end : s + 1;
    size_t n = strcspn(s, "]");
    if (s[n] != ']' || s[n + 1] || n >= sizeof unit || scale < 1 || scale > INT32_MAX)
        return false;
    memcpy(unit, s, n);
    unit[n] = 0;
    int is = cm_time_unit_named(unit);
    if (is < 0)
        return false;
    *out = cm_dtype_time(kind, (cm_time_unit)is, (uint32_t)scale);
    return true;
}

static int typestr(const char *s, cm_dtype *out, bool *big, cm_error *err)
{
    cm_kind small = cm_kind_named(s);
    *big = s[0] == '>';
    if (cm_kind_is_small(small)) { /* tensorstore's */
        *out = cm_dtype_of(small, 0);
        return 0;
    }
    if (!s[0] || !strchr("<>|", s[0]))
        return cm_error_set(err, CM_EDATA, "\"dtype\": \"%.64s\" does not begin with <, > or |", s);
    if ((s[1] == 'M' || s[1] == 'm') && s[2] == '8') {
        if (!time_of_typestr(s[1] == 'M' ? CM_DATETIME64 : CM_TIMEDELTA64, s + 3, out))
            return cm_error_set(err, CM_EDATA, "\"dtype\": \"%.64s\" is not a time", s);
        return s[0] != '|' ? 0
                           : cm_error_set(err, CM_EDATA,
                                          "\"dtype\": \"%.64s\" does not say the byte order", s);
    }
    char *end = NULL;
    unsigned long size = s[1] && s[2] >= '0' && s[2] <= '9' ? strtoul(s + 2, &end, 10) : 0;
    if (!end || *end)
        size = 0;
    if (s[1] == 'S' || s[1] == 'V' || (s[1] == 'U' && s[0] != '|')) {
        int r =
            check_width(size > MAX_WIDTH ? size : size * (s[1] == 'U' ? 4 : 1), s, "dtype", err);
        *out = cm_dtype_of(s[1] == 'S'   ? CM_BYTES
                           : s[1] == 'V' ? CM_RAW
                                         : CM_UTF32,
                           (uint32_t)(s[1] == 'U' ? 4 * size : size));
        return r;
    }
    cm_kind kind = kind_of_typestr(s[1], size);
    if (kind == CM_NONE)
        return strchr("fciubOU", s[1]) && s[1]
                   ? cm_error_set(err, CM_EUNSUP, "\"dtype\": \"%.64s\": %s are not read", s,
                                  s[1] == 'O'   ? "objects within structures"
                                  : s[1] == 'U' ? "text without byte order"
                                                : "numbers of that size")
                   : cm_error_set(err, CM_EDATA, "\"dtype\": \"%.64s\" is not a type", s);
    *out = cm_dtype_of(kind, 0);
    if (s[0] == '|' && cm_dtype_word(*out) > 1)
        return cm_error_set(err, CM_EDATA, "\"dtype\": \"%.64s\" does not say the byte order", s);
    return 0;
}

static int fields_v2(const cm_json *list, int depth, cm_dtype *out, cm_error *err);

/* [name, type] or [name, type, shape]; sub: CM_MAX_DIMS lengths. */
static int field_v2(const cm_json *item, int depth, cm_field *f, int64_t *sub, cm_error *err)
{
    size_t n = cm_json_is(item, CM_JSON_ARRAY) ? cm_json_count(item) : 0;
    f->name = plain_string(cm_json_at(item, 0));
    if ((n != 2 && n != 3) || !f->name)
        return cm_error_set(err, CM_EDATA,
                            "\"dtype\": a field is not [name, type] or [name, type, "
                            "shape]");
    const cm_json *type = cm_json_at(item, 1), *shape = cm_json_at(item, 2);
    const char *s = plain_string(type);
    int r =
        s ? typestr(s, &f->dtype, &f->big_endian, err) : fields_v2(type, depth + 1, &f->dtype, err);
    if (r || n == 2)
        return r;
    if (!cm_json_is(shape, CM_JSON_ARRAY) || cm_json_count(shape) > CM_MAX_DIMS)
        return cm_error_set(err, CM_EDATA, "\"dtype\": field \"%.64s\": the shape is no list",
                            f->name);
    f->ndim = (int)cm_json_count(shape);
    f->shape = sub;
    for (int i = 0; i < f->ndim; i++)
        if (!cm_json_int64(cm_json_at(shape, (size_t)i), &sub[i]) || sub[i] < 1)
            return cm_error_set(err, CM_EDATA,
                                "\"dtype\": field \"%.64s\": the shape is no list "
                                "of lengths",
                                f->name);
    return 0;
}

static int fields_v2(const cm_json *list, int depth, cm_dtype *out, cm_error *err)
{
    cm_field *fields;
    size_t n = 0;
    if (depth > MAX_DEPTH)
        return cm_error_set(err, CM_EUNSUP, "\"dtype\": structures nested more than %d deep",
                            MAX_DEPTH);
    int r = new_fields(list, "dtype", &fields, err);
    if (r)
        return r;
    int64_t *shapes = cm_calloc(cm_json_count(list), CM_MAX_DIMS * sizeof *shapes, err);
    if (!shapes)
        r = CM_ENOMEM;
    for (; n < cm_json_count(list) && r == 0; n++)
        r = field_v2(cm_json_at(list, n), depth, &fields[n], shapes + n * CM_MAX_DIMS, err);
    r = finish_record(fields, n, r, out, err);
    free(shapes);
    return r;
}

/* '|O': what the first filter makes of objects. */
static int objects_v2(const cm_json *filters, cm_zarr_type *out, cm_error *err)
{
    const cm_json *first = cm_json_at(filters, 0);
    const char *id = cm_json_string(cm_json_get(first, "id"));
    out->dtype = cm_dtype_of(CM_STRING, 0);
    if (id && !strcmp(id, "vlen-bytes")) {
        out->dtype = cm_dtype_of(CM_VBYTES, 0);
    } else if (id && !strcmp(id, "vlen-array")) {
        const char *s = plain_string(cm_json_get(first, "dtype"));
        cm_field element = {.name = "element"};
        cm_record *record;
        int r = s ? typestr(s, &element.dtype, &element.big_endian, err)
                  : cm_error_set(err, CM_EDATA, "filter \"vlen-array\" has no dtype");
        if (r == 0 && element.big_endian && cm_dtype_word(element.dtype) > 1)
            r = cm_error_set(err, CM_EUNSUP, "filter \"vlen-array\": big-endian lists");
        if (r == 0)
            r = cm_record_new(&element, 1, &record, err);
        if (r) {
            out->dtype = cm_dtype_of(CM_NONE, 0);
            return r;
        }
        out->dtype = cm_dtype_record(CM_SEQUENCE, record);
    }
    return 0;
}

int cm_zarr_type_parse_v2(const cm_json *dtype, const cm_json *filters, cm_zarr_type *out,
                          cm_error *err)
{
    const char *s = plain_string(dtype);
    int r;
    if (cm_json_is(dtype, CM_JSON_ARRAY)) {
        snprintf(out->text, sizeof out->text, "structured");
        r = fields_v2(dtype, 0, &out->dtype, err);
        if (r)
            out->dtype = cm_dtype_of(CM_NONE, 0);
        if (r == 0 && cm_record_swaps(out->dtype.record, false)) {
            out->cells = CM_ZARR_SWAPPED;
            out->width = out->dtype.size;
        }
        return r;
    }
    if (!s)
        return cm_error_set(err, CM_EDATA, "\"dtype\" must be a string or a list of fields");
    snprintf(out->text, sizeof out->text, "%s", s);
    if (s[0] && strchr("<>|", s[0]) && !strcmp(s + 1, "O"))
        return objects_v2(filters, out, err);
    r = typestr(s, &out->dtype, &out->big_endian, err);
    if (r) {
        out->dtype = cm_dtype_of(CM_NONE, 0);
        return r;
    }
    set_strings(out);
    return 0;
}
