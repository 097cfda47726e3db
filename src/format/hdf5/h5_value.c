/* format/hdf5/h5_value.c: attribute values as JSON.
 *
 * Values come out as netCDF4-python gives them: one value is a scalar (also when it is stored as an
 * array of one), several are a list, a fixed string loses its NUL bytes. Arrays of two or more
 * dimensions, which netCDF does not have, are nested lists. Enums are their numbers, h5py's bools
 * true and false. Compounds are objects of their members, array types and sequences lists, opaque
 * bytes text of two hexadecimal digits each, references the text that h5_reference.c makes of them.
 *
 * Nothing vanishes: an attribute that cannot be read is there with the value null and dtype
 * CM_NONE, and a warning in the log says why. Text that is not UTF-8 is taken as Latin-1, byte for
 * code point, with a warning. All sequences of an attribute may lie in one heap object, so a small
 * file could ask for any number of values: they are counted.
 */
#include <stdio.h>
#include <stdlib.h>

#include "format/hdf5/h5_model.h"
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

/* What is needed to turn cell after cell of one attribute into JSON. */
typedef struct values {
    cm_h5_scan *s;
    const cm_h5_attribute *a;
    const char *path;
    bool simple; /* numbers: */
    cm_dtype dtype;
    const uint8_t *cells; /* native */
    cm_error *err;
    int rc;
} values;

static cm_json *fail(values *v, int rc)
{
    v->rc = rc;
    return NULL;
}

/* What making JSON gave, which is NULL without memory. */
static cm_json *made(values *v, cm_json *j)
{
    return j || v->rc ? j
                      : fail(v, cm_error_set(v->err, CM_ENOMEM, "out of memory for attributes"));
}

static cm_json *string_at(values *v, const cm_h5_type *t, const uint8_t *p)
{
    const cm_h5_attribute *a = v->a;
    uint8_t *stripped = NULL;
    size_t n = t->size;
    if (t->vlen_string) {
        int rc = cm_h5_scan_vlen(v->s, p, 1, &p, &n, v->err);
        if (rc)
            return fail(v, rc);
        const uint8_t *nul = memchr(p, 0, n);
        n = nul ? (size_t)(nul - p) : n;
    } else {
        bool spaces = t->padding == CM_H5_SPACE_PADDED;
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
    return made(v, cm_json_new_string_n(v->s->dataset->doc, (const char *)p, n));
}

static cm_json *cell(values *v, const cm_h5_type *t, const uint8_t *p);

/* Cells along the axes `lengths`, ndim of them of 4 bytes each in a file's order; *p moves on. */
static cm_json *cells_along(values *v, const uint32_t *lengths, int ndim, const cm_h5_type *t,
                            const uint8_t **p)
{
    if (ndim == 0) {
        cm_json *j = cell(v, t, *p);
        *p += t->size;
        return j;
    }
    cm_json_doc *doc = v->s->dataset->doc;
    cm_json *list = cm_json_new_array(doc);
    for (uint32_t i = 0; list && i < lengths[0]; i++) {
        cm_json *item = cells_along(v, lengths + 1, ndim - 1, t, p);
        if (!item)
            return NULL;
        if (cm_json_add(doc, list, item))
            list = NULL;
    }
    return made(v, list);
}

static cm_json *array(values *v, const cm_h5_type *t, const uint8_t *p)
{
    uint32_t lengths[UINT8_MAX];
    cm_h5_type base;
    uint64_t nbytes;
    int rc = cm_h5_type_parse_base(t, &base, v->err);
    nbytes = base.size;
    for (int i = 0; rc == 0 && i < t->array_ndim; i++) {
        lengths[i] = cm_load_le32(t->array_lengths + 4 * i);
        if (!cm_mul_u64(nbytes, lengths[i], &nbytes) || nbytes == 0)
            rc = cm_error_set(v->err, CM_EDATA, "array type of length 0");
    }
    if (rc == 0 && nbytes != t->size)
        rc = cm_error_set(v->err, CM_EDATA, "array type of %u bytes, its elements have %u", t->size,
                          base.size);
    return rc ? fail(v, rc) : cells_along(v, lengths, t->array_ndim, &base, &p);
}

static cm_json *sequence(values *v, const cm_h5_type *t, const uint8_t *p)
{
    cm_h5_type base;
    size_t n = 0;
    int rc = cm_h5_type_parse_base(t, &base, v->err);
    if (rc == 0 && t->size != 8u + v->s->file->nbytes_off)
        rc = cm_error_set(v->err, CM_EDATA, "variable-length sequence of %u bytes", t->size);
    if (rc == 0)
        rc = cm_h5_scan_vlen(v->s, p, base.size, &p, &n, v->err);
    if (rc)
        return fail(v, rc);
    uint32_t length = (uint32_t)(n / base.size);
    return cells_along(v, &length, 1, &base, &p);
}

static cm_json *compound(values *v, const cm_h5_type *t, const uint8_t *p)
{
    cm_json_doc *doc = v->s->dataset->doc;
    cm_json *object = cm_json_new_object(doc);
    cm_h5_cursor c = cm_h5_type_members(t);
    for (unsigned i = 0; object && i < t->nmembers; i++) {
        cm_h5_member m;
        int rc = cm_h5_type_next_member(t, &c, &m, v->err);
        if (rc)
            return fail(v, rc);
        if (!cm_utf8_valid(m.name, strlen(m.name)) || cm_json_get(object, m.name))
            return fail(v, cm_error_set(v->err, CM_EUNSUP,
                                        "compound whose member %u has a name that is there "
                                        "already, or is not UTF-8",
                                        i));
        const uint8_t *at = p + m.offset;
        cm_json *value = cells_along(v, m.lengths, m.ndim, &m.type, &at);
        if (!value)
            return NULL;
        if (cm_json_set(doc, object, m.name, value))
            object = NULL;
    }
    return made(v, object);
}

static cm_json *opaque(values *v, const cm_h5_type *t, const uint8_t *p)
{
    static const char digits[] = "0123456789abcdef";
    char *text = cm_h5_alloc(&v->s->arena, 2 * (size_t)t->size, v->err);
    if (!text)
        return fail(v, CM_ENOMEM);
    for (size_t i = 0; i < t->size; i++) {
        text[2 * i] = digits[p[i] >> 4];
        text[2 * i + 1] = digits[p[i] & 15];
    }
    return made(v, cm_json_new_string_n(v->s->dataset->doc, text, 2 * (size_t)t->size));
}

static cm_json *reference(values *v, const cm_h5_type *t, const uint8_t *p)
{
    const cm_h5_file *f = v->s->file;
    size_t n = t->size;
    uint64_t addr = 1;
    uint32_t index;
    int rc = 0;
    if (t->reference) {
        rc = cm_h5_region_place(f, p, t->size, &addr, &index, v->err);
        if (rc == 0 && addr)
            rc = cm_h5_scan_heap_object(v->s, addr, index, &p, &n, v->err);
    }
    cm_buffer text;
    cm_buffer_init(&text, 16u << 20);
    if (rc == 0 && addr)
        rc = cm_h5_reference_text(v->s->paths, f, t->reference, p, n, &text, v->err);
    cm_json *j = rc ? fail(v, rc)
                    : made(v, cm_json_new_string_n(v->s->dataset->doc, (const char *)text.data,
                                                   text.nbytes));
    cm_buffer_deinit(&text);
    return j;
}

static cm_json *number(values *v, const cm_h5_type *t, const uint8_t *p)
{
    uint8_t native[16] = {0};
    cm_dtype dtype = cm_dtype_of(t->kind, 0);
    uint32_t word = cm_dtype_word(dtype);
    bool host_big = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
    cm_h5_narrow narrow = cm_h5_narrow_of(t);
    if (t->narrow_bits)
        cm_h5_widen(&narrow, p, native);
    else
        memcpy(native, p, dtype.size);
    if (!t->narrow_bits && word > 1 && t->big_endian != host_big)
        cm_swap_bytes(native, dtype.size, word);
    if (t->kind == CM_BOOL && native[0] > 1)
        dtype = cm_dtype_of(CM_INT8, 0);
    return made(v, cm_json_from_cells(v->s->dataset->doc, dtype, native, 1, true));
}

/* One cell of any type. */
static cm_json *cell(values *v, const cm_h5_type *t, const uint8_t *p)
{
    if (++v->s->nvalues > MAX_VALUES)
        return fail(
            v, cm_error_set(v->err, CM_ELIMIT, "attributes of more than %d values", MAX_VALUES));
    if (t->why[0])
        return fail(v, cm_error_set(v->err, CM_EUNSUP, "%s", t->why));
    if (t->cls == CM_H5_STRING || t->vlen_string)
        return string_at(v, t, p);
    if (t->kind != CM_NONE)
        return number(v, t, p);
    switch (t->cls) {
    case CM_H5_COMPOUND: return compound(v, t, p);
    case CM_H5_ARRAY: return array(v, t, p);
    case CM_H5_VLEN: return sequence(v, t, p);
    case CM_H5_OPAQUE: return opaque(v, t, p);
    case CM_H5_REFERENCE: return reference(v, t, p);
    default: return fail(v, cm_error_set(v->err, CM_EUNSUP, "HDF5 class %u", t->cls));
    }
}

/* Cells [at, at + n) as a list, or as a scalar. */
static cm_json *row(values *v, size_t at, size_t n, bool scalar)
{
    cm_json_doc *doc = v->s->dataset->doc;
    const cm_h5_type *t = &v->a->type;
    if (v->simple)
        return made(v, cm_json_from_cells(doc, v->dtype, v->cells + at * v->dtype.size, n, scalar));
    if (scalar)
        return cell(v, t, v->a->data + at * t->size);
    cm_json *j = cm_json_new_array(doc);
    for (size_t i = 0; j && i < n; i++) {
        cm_json *item = cell(v, t, v->a->data + (at + i) * t->size);
        if (!item)
            return NULL;
        if (cm_json_add(doc, j, item))
            j = NULL;
    }
    return made(v, j);
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
    return made(v, j);
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
    values v = {.s = s, .a = a, .path = path, .simple = t->kind != CM_NONE, .err = &why};
    int64_t nelem = 0;
    cm_h5_space_nelem(&a->space, &nelem);
    v.dtype = dtype_of(t, &why);
    if (v.simple && v.dtype.kind == CM_BOOL && !only_zero_and_one(a->data, a->nbytes))
        v.dtype = cm_dtype_of(CM_INT8, 0);
    if (v.simple)
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
