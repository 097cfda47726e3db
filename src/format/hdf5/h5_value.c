/* format/hdf5/h5_value.c: attribute values as JSON.
 *
 * Values come out as netCDF4-python gives them: one value is a scalar (also when it is stored as an
 * array of one), several are a list, a fixed string loses its NUL bytes. Arrays of two or more
 * dimensions, which netCDF does not have, are nested lists. Enums are their numbers, h5py's bools
 * true and false. What a cell of any other type is, h5_json.c says.
 *
 * Nothing vanishes: an attribute that cannot be read is there with the value null and dtype
 * CM_NONE, and a warning in the log says why. Text that is not UTF-8 is taken as Latin-1, byte for
 * code point, with a warning.
 */
#include <stdio.h>
#include <stdlib.h>

#include "format/hdf5/h5_json.h"
#include "nd/copy.h"
#include "text/utf8.h"

#define MAX_VALUES (4 << 20) /* of a file, in attributes that are not simple lists of numbers */

int cm_h5_text(cm_h5_scan *s, const void *bytes, size_t nbytes, const char *path, const char *what,
               const char **out, size_t *nout, cm_error *err)
{
    if (cm_utf8_valid(bytes, nbytes)) {
        *out = cm_h5_alloc_string(&s->arena, bytes, nbytes, err);
        *nout = nbytes;
        return *out ? 0 : CM_ENOMEM;
    }
    const uint8_t *p = bytes;
    char *text = cm_h5_alloc(&s->arena, 2 * nbytes + 1, err);
    if (!text)
        return CM_ENOMEM;
    size_t n = 0;
    for (size_t i = 0; i < nbytes; i++) {
        if (p[i] < 0x80) {
            text[n++] = (char)p[i];
        } else {
            text[n++] = (char)(0xc0 | p[i] >> 6);
            text[n++] = (char)(0x80 | (p[i] & 0x3f));
        }
    }
    text[n] = 0;
    *out = text;
    *nout = n;
    cm_context_log(s->file->ctx, CM_LOG_WARNING,
                   "%s: %s: %s \"%s\" is not UTF-8 and was read as Latin-1", s->file->uri, path,
                   what, text);
    return 0;
}

size_t cm_h5_string_length(const uint8_t *p, size_t size, int padding)
{
    const uint8_t *nul = padding == CM_H5_NUL_TERMINATED ? memchr(p, 0, size) : NULL;
    size_t n = nul ? (size_t)(nul - p) : size;
    while (padding == CM_H5_SPACE_PADDED && n > 0 && p[n - 1] == ' ')
        n--;
    while (n > 0 && p[n - 1] == 0)
        n--;
    return n;
}

/* One attribute at work. */
typedef struct values {
    cm_h5_scan *s;
    const cm_h5_attribute *a;
    cm_h5_json json;
    bool simple; /* numbers: */
    cm_dtype dtype;
    const uint8_t *cells; /* native */
} values;

/* Cells [at, at + n) as a list, or as a scalar. */
static cm_json *row(values *v, size_t at, size_t n, bool scalar)
{
    cm_json_doc *doc = v->s->dataset->doc;
    const cm_h5_type *t = &v->a->type;
    if (v->simple)
        return cm_h5_json_made(
            &v->json, cm_json_from_cells(doc, v->dtype, v->cells + at * v->dtype.size, n, scalar));
    if (scalar)
        return cm_h5_json_cell(&v->json, t, v->a->data + at * t->size);
    cm_json *j = cm_json_new_array(doc);
    for (size_t i = 0; j && i < n; i++) {
        cm_json *item = cm_h5_json_cell(&v->json, t, v->a->data + (at + i) * t->size);
        if (!item)
            return NULL;
        if (cm_json_add(doc, j, item))
            j = NULL;
    }
    return cm_h5_json_made(&v->json, j);
}

static cm_json *nested(values *v, int axis, size_t at, size_t n)
{
    const cm_h5_space *space = &v->a->space;
    if (axis == space->ndim - 1)
        return row(v, at, n, false);
    cm_json_doc *doc = v->s->dataset->doc;
    cm_json *j = cm_json_new_array(doc);
    size_t count = n ? (size_t)space->dims[axis] : 0, part = count ? n / count : 0;
    for (size_t i = 0; j && i < count; i++) {
        cm_json *item = nested(v, axis + 1, at + i * part, part);
        if (!item)
            return NULL;
        if (cm_json_add(doc, j, item))
            j = NULL;
    }
    return cm_h5_json_made(&v->json, j);
}

static bool only_zero_and_one(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] > 1)
            return false;
    return true;
}

/* Native cells of a number type; a copy when the file's byte order is the other one. */
static int native(values *v, cm_error *err)
{
    const cm_h5_attribute *a = v->a;
    uint32_t word = cm_dtype_word(v->dtype);
    bool host_big = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
    v->cells = a->data;
    if (a->type.narrow_bits && a->nbytes)
        return cm_h5_native_cells(v->s, &a->type, a->data, a->nbytes / a->type.size, &v->cells,
                                  err);
    if (word < 2 || a->type.big_endian == host_big || a->nbytes == 0)
        return 0;
    uint8_t *copy = cm_h5_alloc(&v->s->arena, a->nbytes, err);
    if (!copy)
        return CM_ENOMEM;
    memcpy(copy, a->data, a->nbytes);
    cm_swap_bytes(copy, a->nbytes, word);
    v->cells = copy;
    return 0;
}

static int unreadable(cm_h5_scan *s, const cm_h5_attribute *a, const char *path, const char *why,
                      cm_json **value, cm_dtype *dtype, cm_error *err)
{
    cm_context_log(s->file->ctx, CM_LOG_WARNING, "%s: %s: attribute %.*s has no value here: %s",
                   s->file->uri, path, (int)(a->name_nbytes < 256 ? a->name_nbytes : 256), a->name,
                   why);
    *dtype = (cm_dtype){0};
    *value = cm_json_new_null(s->dataset->doc);
    return *value ? 0 : cm_error_set(err, CM_ENOMEM, "out of memory for attributes");
}

/* What the numbers of an attribute are in the end; text for what becomes text; nothing for objects.
 */
static cm_dtype dtype_of(const cm_h5_type *t, cm_error *err)
{
    cm_h5_type at = *t, base;
    while (at.kind == CM_NONE && !at.vlen_string && !at.why[0] &&
           (at.cls == CM_H5_ARRAY || at.cls == CM_H5_VLEN) &&
           cm_h5_type_parse_base(&at, &base, err) == 0)
        at = base;
    bool text = at.cls == CM_H5_STRING || at.vlen_string || at.cls == CM_H5_OPAQUE ||
                at.cls == CM_H5_REFERENCE;
    return cm_dtype_of(text ? CM_STRING : at.kind, 0);
}

int cm_h5_attribute_value(cm_h5_scan *s, const cm_h5_attribute *a, const char *path,
                          cm_json **value, cm_dtype *dtype, cm_error *err)
{
    const cm_h5_type *t = &a->type;
    bool text = t->cls == CM_H5_STRING || t->vlen_string;
    if (t->why[0])
        return unreadable(s, a, path, t->why, value, dtype, err);
    cm_error why;
    why.code = 0;
    values v = {.s = s,
                .a = a,
                .json = {.file = s->file,
                         .paths = s->paths,
                         .doc = s->dataset->doc,
                         .scan = s,
                         .attribute = a,
                         .path = path,
                         .nvalues = &s->nvalues,
                         .max_values = MAX_VALUES,
                         .err = &why},
                .simple = t->kind != CM_NONE};
    int64_t nelem = 0;
    cm_h5_space_nelem(&a->space, &nelem);
    v.dtype = dtype_of(t, &why);
    if (v.simple && v.dtype.kind == CM_BOOL && !only_zero_and_one(a->data, a->nbytes))
        v.dtype = cm_dtype_of(CM_INT8, 0);
    if (v.simple)
        v.json.rc = native(&v, &why);
    *dtype = v.dtype;
    *value = NULL;
    if (v.json.rc == 0) {
        if (text && a->space.null)
            *value = cm_json_new_string(s->dataset->doc, "");
        else if (a->space.ndim > 1)
            *value = nested(&v, 0, 0, (size_t)nelem);
        else
            *value = row(&v, 0, (size_t)nelem, nelem == 1);
    }
    if (*value)
        return 0;
    if (cm_h5_is_local(v.json.rc))
        return unreadable(s, a, path, why.message, value, dtype, err);
    if (err)
        *err = why;
    return v.json.rc ? v.json.rc : cm_error_set(err, CM_ENOMEM, "out of memory for attributes");
}
