/* format/hdf5/h5_value.c: attribute values as JSON.
 *
 * Values come out as netCDF4-python gives them: one value is a scalar (also when it is stored as an
 * array of one), several are a list, a fixed string loses its NUL bytes. Arrays of two or more
 * dimensions, which netCDF does not have, are nested lists. Enums are their numbers, h5py's bools
 * true and false.
 *
 * Nothing vanishes: an attribute of a type that JSON cannot hold (compounds, references, ...) is
 * there with the value null and dtype CM_NONE, and a warning in the log says why. Text that is not
 * UTF-8 is taken as Latin-1, byte for code point, with a warning.
 */
#include <stdio.h>
#include <stdlib.h>

#include "format/hdf5/h5_model.h"
#include "nd/copy.h"
#include "text/utf8.h"

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

/* What is needed to turn cell after cell of one attribute into JSON. */
typedef struct values {
    cm_h5_scan *s;
    const cm_h5_attribute *a;
    const char *path;
    cm_dtype dtype;
    const uint8_t *cells; /* native; for strings as in the file */
    cm_error *err;
    int rc;
} values;

static cm_json *fail(values *v, int rc)
{
    v->rc = rc;
    return NULL;
}

static cm_json *string_at(values *v, size_t i)
{
    const cm_h5_attribute *a = v->a;
    const uint8_t *p = a->data + i * a->type.size;
    uint8_t *stripped = NULL;
    size_t n = a->type.size;
    if (a->type.vlen_string) {
        int rc = cm_h5_scan_vlen(v->s, p, 1, &p, &n, v->err);
        if (rc)
            return fail(v, rc);
        const uint8_t *nul = memchr(p, 0, n);
        n = nul ? (size_t)(nul - p) : n;
    } else {
        bool spaces = a->type.padding == CM_H5_SPACE_PADDED;
        n = cm_h5_string_length(p, n, spaces ? CM_H5_SPACE_PADDED : CM_H5_NUL_PADDED);
        if (memchr(p, 0, n)) {
            stripped = cm_h5_alloc(&v->s->arena, n, v->err);
            if (!stripped)
                return fail(v, CM_ENOMEM);
            size_t k = 0;
            for (size_t b = 0; b < n; b++)
                if (p[b])
                    stripped[k++] = p[b];
            p = stripped;
            n = k;
        }
    }
    if (!cm_utf8_valid((const char *)p, n)) {
        char what[96];
        snprintf(what, sizeof what, "attribute %.*s",
                 (int)(a->name_nbytes < 60 ? a->name_nbytes : 60), a->name);
        const char *text;
        int rc = cm_h5_text(v->s, p, n, v->path, what, &text, &n, v->err);
        if (rc)
            return fail(v, rc);
        p = (const uint8_t *)text;
    }
    cm_json *j = cm_json_new_string_n(v->s->dataset->doc, (const char *)p, n);
    return j ? j : fail(v, cm_error_set(v->err, CM_ENOMEM, "out of memory for attributes"));
}

/* Cells [at, at + n) as a list, or as a scalar. */
static cm_json *row(values *v, size_t at, size_t n, bool scalar)
{
    cm_json_doc *doc = v->s->dataset->doc;
    cm_json *j;
    if (v->dtype.kind != CM_STRING) {
        j = cm_json_from_cells(doc, v->dtype, v->cells + at * v->dtype.size, n, scalar);
    } else if (scalar) {
        return string_at(v, at);
    } else {
        j = cm_json_new_array(doc);
        for (size_t i = 0; j && i < n; i++) {
            cm_json *item = string_at(v, at + i);
            if (!item)
                return NULL;
            if (cm_json_add(doc, j, item))
                j = NULL;
        }
    }
    return j ? j : fail(v, cm_error_set(v->err, CM_ENOMEM, "out of memory for attributes"));
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
    return j ? j : fail(v, cm_error_set(v->err, CM_ENOMEM, "out of memory for attributes"));
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

int cm_h5_attribute_value(cm_h5_scan *s, const cm_h5_attribute *a, const char *path,
                          cm_json **value, cm_dtype *dtype, cm_error *err)
{
    bool text = a->type.cls == CM_H5_STRING || a->type.vlen_string;
    if (!text && a->type.kind == CM_NONE)
        return unreadable(s, a, path, a->type.why, value, dtype, err);
    cm_error why;
    why.code = 0;
    values v = {.s = s, .a = a, .path = path, .err = &why};
    int64_t nelem = 0;
    cm_h5_space_nelem(&a->space, &nelem);
    v.dtype = cm_dtype_of(text ? CM_STRING : a->type.kind, 0);
    if (v.dtype.kind == CM_BOOL && !only_zero_and_one(a->data, a->nbytes))
        v.dtype = cm_dtype_of(CM_INT8, 0);
    if (!text)
        v.rc = native(&v, &why);
    *dtype = v.dtype;
    *value = NULL;
    if (v.rc == 0) {
        if (text && a->space.null)
            *value = cm_json_new_string(s->dataset->doc, "");
        else if (a->space.ndim > 1)
            *value = nested(&v, 0, 0, (size_t)nelem);
        else
            *value = row(&v, 0, (size_t)nelem, nelem == 1);
    }
    if (*value)
        return 0;
    if (cm_h5_is_local(v.rc))
        return unreadable(s, a, path, why.message, value, dtype, err);
    if (err)
        *err = why;
    return v.rc ? v.rc : cm_error_set(err, CM_ENOMEM, "out of memory for attributes");
}
