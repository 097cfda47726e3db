/* format/zarr/zarr_dtype.c: Zarr's names of types.
 *
 * v3 has names that are ours ("float32", "string"), v2 has numpy typestrs ("<f4"): byte order,
 * kind, size. Byte order is the codec's matter and is only passed on. Types that are known to exist
 * but are not read are refused by what they are, so that the user learns what the store holds;
 * nothing is ever read as "bytes that happen to have the right size".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/zarr/zarr_private.h"

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

enum { MAX_WIDTH = 1 << 24 };

cm_dtype cm_zarr_type_stored(const cm_zarr_type *type)
{
    return type->cells == CM_ZARR_PLAIN ? type->dtype : cm_dtype_of(CM_BYTES, type->width);
}

/* Fixed-length text of width bytes. */
static int set_text(cm_zarr_type *out, cm_zarr_cells cells, uint64_t width, const char *member,
                    cm_error *err)
{
    if (width == 0 || width > MAX_WIDTH || (cells == CM_ZARR_UTF32 && width % 4))
        return cm_error_set(err, CM_EUNSUP, "\"%s\": \"%.48s\" of %llu bytes is not read", member,
                            out->text, (unsigned long long)width);
    out->dtype = cm_dtype_of(CM_STRING, 0);
    out->cells = cells;
    out->width = (uint32_t)width;
    return 0;
}

static int fixed_length_v3(const char *name, const cm_json *config, cm_zarr_type *out,
                           cm_error *err)
{
    uint64_t width;
    if (!cm_json_uint64(cm_json_get(config, "length_bytes"), &width) || cm_json_count(config) != 1)
        return cm_error_set(err, CM_EDATA,
                            "\"data_type\": the configuration of \"%s\" is not \"length_bytes\"",
                            name);
    return set_text(out, !strcmp(name, "fixed_length_utf32") ? CM_ZARR_UTF32 : CM_ZARR_BYTES, width,
                    "data_type", err);
}

int cm_zarr_type_parse_v3(const cm_json *data_type, cm_zarr_type *out, cm_error *err)
{
    const char *name;
    const cm_json *config;
    int r = cm_zarr_extension(data_type, "data_type", &name, &config, err);
    if (r)
        return r;
    snprintf(out->text, sizeof out->text, "%s", name);
    if (!strcmp(name, "fixed_length_utf32") || !strcmp(name, "null_terminated_bytes"))
        return fixed_length_v3(name, config, out, err);
    cm_kind kind = cm_kind_named(name);
    if (kind == CM_NONE || kind == CM_BYTES) {
        r = cm_error_set(err, CM_EUNSUP, "\"data_type\": cells of type \"%.64s\" are not read",
                         name);
        cm_error_hint(err, "leave the variable out, or convert it with zarr-python first");
        return r;
    }
    if (cm_json_count(config))
        return cm_error_set(err, CM_EUNSUP,
                            "\"data_type\": \"%s\" with a configuration (\"%.64s\")", name,
                            cm_json_key(config, 0));
    out->dtype = cm_dtype_of(kind, 0);
    return 0;
}

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

static const char *unread_typestr(char kind)
{
    switch (kind) {
    case 'M': return "datetime64";
    case 'm': return "timedelta64";
    case 'S':
    case 'U': return "text of that size or without byte order";
    case 'V': return "raw bytes";
    case 'f':
    case 'c':
    case 'i':
    case 'u':
    case 'b': return "numbers of that size";
    default: return NULL;
    }
}

int cm_zarr_type_parse_v2(const cm_json *dtype, cm_zarr_type *out, cm_error *err)
{
    if (cm_json_is(dtype, CM_JSON_ARRAY)) {
        snprintf(out->text, sizeof out->text, "structured");
        return cm_error_set(err, CM_EUNSUP, "\"dtype\": structured cells are not read");
    }
    const char *s = cm_json_string(dtype);
    if (!s)
        return cm_error_set(err, CM_EDATA, "\"dtype\" must be a string");
    snprintf(out->text, sizeof out->text, "%s", s);
    out->big_endian = s[0] == '>';
    if (!s[0] || !strchr("<>|", s[0]))
        return cm_error_set(err, CM_EDATA, "\"dtype\": \"%.64s\" does not begin with <, > or |", s);
    if (!strcmp(s + 1, "O")) {
        out->dtype = cm_dtype_of(CM_STRING, 0);
        return 0;
    }
    char *end = NULL;
    unsigned long size = s[1] && s[2] >= '0' && s[2] <= '9' ? strtoul(s + 2, &end, 10) : 0;
    if (!end || *end)
        size = 0;
    if (size && s[1] == 'S')
        return set_text(out, CM_ZARR_BYTES, size, "dtype", err);
    if (size && s[1] == 'U' && s[0] != '|')
        return set_text(out, CM_ZARR_UTF32, size > MAX_WIDTH ? size : 4 * size, "dtype", err);
    cm_kind kind = kind_of_typestr(s[1], size);
    if (kind == CM_NONE) {
        const char *what = unread_typestr(s[1]);
        return what ? cm_error_set(err, CM_EUNSUP, "\"dtype\": \"%.64s\": %s are not read", s, what)
                    : cm_error_set(err, CM_EDATA, "\"dtype\": \"%.64s\" is not a type", s);
    }
    out->dtype = cm_dtype_of(kind, 0);
    if (s[0] == '|' && cm_dtype_word(out->dtype) > 1)
        return cm_error_set(err, CM_EDATA, "\"dtype\": \"%.64s\" does not say the byte order", s);
    return 0;
}

void cm_zarr_dtype_text_v2(cm_dtype dtype, bool big_endian, char *text)
{
    char kind = 'i';
    if (dtype.kind == CM_STRING) {
        memcpy(text, "|O", 3);
        return;
    }
    if (dtype.kind == CM_BOOL)
        kind = 'b';
    else if (cm_kind_is_unsigned(dtype.kind))
        kind = 'u';
    else if (cm_kind_is_float(dtype.kind))
        kind = 'f';
    else if (cm_kind_is_complex(dtype.kind))
        kind = 'c';
    char order = cm_dtype_word(dtype) <= 1 ? '|' : big_endian ? '>' : '<';
    snprintf(text, 16, "%c%c%u", order, kind, dtype.size);
}
