/* format/hdf5/h5_json.c: cells of any type as JSON.
 *
 * One writer for attributes (h5_value.c) and for variables that have no other form (h5_worded.c).
 * The type is walked beside the bytes; what has a variable size is followed into the heaps, each
 * collection held as long as something below it is at work. All sequences may lie in one heap
 * object, and have sequences in it again, so a small file could ask for any number of values: they
 * are counted for attributes, and bounded by the document's size for cells.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "format/hdf5/h5_json.h"
#include "nd/copy.h"
#include "text/utf8.h"

#define MAX_LEVELS 60 /* of lists and objects in each other: JSON has 64 */

static cm_json *fail(cm_h5_json *j, int rc)
{
    j->rc = rc;
    return NULL;
}

cm_json *cm_h5_json_made(cm_h5_json *j, cm_json *v)
{
    return v || j->rc ? v : fail(j, cm_error_set(j->err, CM_ENOMEM, "out of memory for JSON"));
}

/* ---- heaps ----------------------------------------------------------------------------------- */

/* An object of a global heap; *held to be given back. */
static int heap_object(cm_h5_json *j, uint64_t addr, uint32_t index, const uint8_t **data,
                       size_t *nbytes, cm_h5_held **held)
{
    *held = NULL;
    if (j->scan)
        return cm_h5_scan_heap_object(j->scan, addr, index, data, nbytes, j->err);
    int rc = cm_h5_heap_acquire(j->file, addr, held, j->err);
    return rc ? rc : cm_h5_heap_object(*held, index, data, nbytes, j->err);
}

static void give_back(cm_h5_json *j, cm_h5_held *held)
{
    cm_h5_heap_release(j->file, held);
}

/* The elements, of `size` bytes each, of the sequence or string whose cell is at p. */
static int elements(cm_h5_json *j, const uint8_t *p, size_t size, const uint8_t **data, size_t *n,
                    cm_h5_held **held)
{
    cm_h5_cursor c = cm_h5_cursor_of(p, 8u + j->file->nbytes_off);
    uint64_t count = cm_h5_u32(&c), addr = cm_h5_address(&c, j->file);
    uint32_t index = cm_h5_u32(&c);
    size_t have;
    *data = (const uint8_t *)"";
    *n = 0;
    *held = NULL;
    if (count == 0 || addr == 0 || addr == CM_H5_UNDEF)
        return 0;
    int rc = heap_object(j, addr, index, data, &have, held);
    if (rc == 0 && count > have / size)
        rc = cm_error_set(j->err, CM_EDATA, "variable-length value is longer than its heap object");
    *n = (size_t)count;
    return rc;
}

/* ---- text ------------------------------------------------------------------------------------ */

/* Text that is not UTF-8 as Latin-1, in the scan's arena. */
static int as_latin1(cm_h5_json *j, const uint8_t **p, size_t *n)
{
    const cm_h5_attribute *a = j->attribute;
    char what[96];
    const char *text;
    snprintf(what, sizeof what, "attribute %.*s", (int)(a->name_nbytes < 60 ? a->name_nbytes : 60),
             a->name);
    int rc = cm_h5_text(j->scan, *p, *n, j->path, what, &text, n, j->err);
    *p = (const uint8_t *)text;
    return rc;
}

/* What escaping makes of control characters is six times as long: a cell's text is bounded too. */
static bool has_room(cm_h5_json *j, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        j->nescaped += p[i] < 0x20 ? 5 : 0;
    return j->nescaped <= j->max_escaped;
}

static cm_json *text(cm_h5_json *j, const uint8_t *p, size_t n)
{
    if (!cm_utf8_valid((const char *)p, n)) {
        int rc = j->scan ? as_latin1(j, &p, &n)
                         : cm_error_set(j->err, CM_EDATA, "a string of %zu bytes is not UTF-8", n);
        if (rc)
            return fail(j, rc);
    }
    if (!j->scan && !has_room(j, p, n))
        return cm_h5_json_made(j, NULL);
    return cm_h5_json_made(j, cm_json_new_string_n(j->doc, (const char *)p, n));
}

/* An attribute's fixed string: NULs are not there, wherever they are. */
static cm_json *without_nuls(cm_h5_json *j, const cm_h5_type *t, const uint8_t *p)
{
    bool spaces = t->padding == CM_H5_SPACE_PADDED;
    size_t n = cm_h5_string_length(p, t->size, spaces ? CM_H5_SPACE_PADDED : CM_H5_NUL_PADDED);
    if (!memchr(p, 0, n))
        return text(j, p, n);
    uint8_t *kept = cm_h5_alloc(&j->scan->arena, n, j->err);
    if (!kept)
        return fail(j, CM_ENOMEM);
    size_t k = 0;
    for (size_t b = 0; b < n; b++)
        if (p[b])
            kept[k++] = p[b];
    return text(j, kept, k);
}

static cm_json *string(cm_h5_json *j, const cm_h5_type *t, const uint8_t *p)
{
    if (t->vlen_string) {
        cm_h5_held *held;
        size_t n;
        int rc = elements(j, p, 1, &p, &n, &held);
        const uint8_t *nul = rc ? NULL : memchr(p, 0, n);
        cm_json *v = rc ? fail(j, rc) : text(j, p, nul ? (size_t)(nul - p) : n);
        give_back(j, held);
        return v;
    }
    if (j->scan)
        return without_nuls(j, t, p);
    int padding = t->size == 1 ? CM_H5_NUL_PADDED : t->padding;
    return text(j, p, cm_h5_string_length(p, t->size, padding));
}

static cm_json *opaque(cm_h5_json *j, const cm_h5_type *t, const uint8_t *p)
{
    static const char digits[] = "0123456789abcdef";
    size_t n = 2 * (size_t)t->size;
    if (!j->scan && n > j->max_escaped)
        return cm_h5_json_made(j, NULL);
    char *hex = cm_calloc(1, n, j->err);
    if (!hex)
        return fail(j, CM_ENOMEM);
    for (size_t i = 0; i < t->size; i++) {
        hex[2 * i] = digits[p[i] >> 4];
        hex[2 * i + 1] = digits[p[i] & 15];
    }
    cm_json *v = cm_h5_json_made(j, cm_json_new_string_n(j->doc, hex, n));
    free(hex);
    return v;
}

static cm_json *reference(cm_h5_json *j, const cm_h5_type *t, const uint8_t *p)
{
    size_t n = t->size;
    uint64_t addr = 1;
    uint32_t index;
    int rc = 0;
    cm_h5_held *held = NULL;
    if (t->reference) {
        rc = cm_h5_region_place(j->file, p, t->size, &addr, &index, j->err);
        if (rc == 0 && addr)
            rc = heap_object(j, addr, index, &p, &n, &held);
    }
    cm_buffer out;
    cm_buffer_init(&out, 16u << 20);
    if (rc == 0 && addr)
        rc = cm_h5_reference_text(j->paths, j->file, t->reference, p, n, &out, j->err);
    cm_json *v =
        rc ? fail(j, rc)
           : cm_h5_json_made(j, cm_json_new_string_n(j->doc, (const char *)out.data, out.nbytes));
    cm_buffer_deinit(&out);
    give_back(j, held);
    return v;
}

/* ---- many ------------------------------------------------------------------------------------ */

/* Cells along the axes `lengths`, ndim of them of 4 bytes each in a file's order; *p moves on. */
static cm_json *cells_along(cm_h5_json *j, const uint32_t *lengths, int ndim, const cm_h5_type *t,
                            const uint8_t **p)
{
    if (ndim == 0) {
        cm_json *v = cm_h5_json_cell(j, t, *p);
        *p += t->size;
        return v;
    }
    cm_json *list = cm_json_new_array(j->doc);
    for (uint32_t i = 0; list && i < lengths[0]; i++) {
        cm_json *item = cells_along(j, lengths + 1, ndim - 1, t, p);
        if (!item)
            return NULL;
        if (cm_json_add(j->doc, list, item))
            list = NULL;
    }
    return cm_h5_json_made(j, list);
}

/* The element type and the lengths of an array type; lengths has room for UINT8_MAX. */
static int array_of(const cm_h5_type *t, cm_h5_type *base, uint32_t *lengths, cm_error *err)
{
    int rc = cm_h5_type_parse_base(t, base, err);
    uint64_t nbytes = base->size;
    for (int i = 0; rc == 0 && i < t->array_ndim; i++) {
        lengths[i] = cm_load_le32(t->array_lengths + 4 * i);
        if (!cm_mul_u64(nbytes, lengths[i], &nbytes) || nbytes == 0)
            rc = cm_error_set(err, CM_EDATA, "array type of length 0");
    }
    if (rc == 0 && nbytes != t->size)
        rc = cm_error_set(err, CM_EDATA, "array type of %u bytes, its elements have %u", t->size,
                          base->size);
    return rc;
}

static cm_json *array(cm_h5_json *j, const cm_h5_type *t, const uint8_t *p)
{
    uint32_t lengths[UINT8_MAX];
    cm_h5_type base;
    int rc = array_of(t, &base, lengths, j->err);
    return rc ? fail(j, rc) : cells_along(j, lengths, t->array_ndim, &base, &p);
}

static cm_json *sequence(cm_h5_json *j, const cm_h5_type *t, const uint8_t *p)
{
    cm_h5_type base;
    cm_h5_held *held;
    size_t n;
    if (t->size != 8u + j->file->nbytes_off)
        return fail(
            j, cm_error_set(j->err, CM_EDATA, "variable-length sequence of %u bytes", t->size));
    int rc = elements(j, p, t->base_size, &p, &n, &held);
    cm_json *v = rc || n ? NULL : cm_h5_json_made(j, cm_json_new_array(j->doc));
    if (rc == 0 && n)
        rc = cm_h5_type_parse_base(t, &base, j->err);
    uint32_t length = (uint32_t)n;
    if (rc)
        fail(j, rc);
    else if (n)
        v = cells_along(j, &length, 1, &base, &p);
    give_back(j, held);
    return v;
}

static cm_json *compound(cm_h5_json *j, const cm_h5_type *t, const uint8_t *p)
{
    cm_json *object = cm_json_new_object(j->doc);
    cm_h5_cursor c = cm_h5_type_members(t);
    for (unsigned i = 0; object && i < t->nmembers; i++) {
        cm_h5_member m;
        int rc = cm_h5_type_next_member(t, &c, &m, j->err);
        if (rc)
            return fail(j, rc);
        if (!cm_utf8_valid(m.name, strlen(m.name)) || cm_json_get(object, m.name))
            return fail(j, cm_error_set(j->err, CM_EUNSUP,
                                        "compound whose member %u has a name that is there "
                                        "already, or is not UTF-8",
                                        i));
        const uint8_t *at = p + m.offset;
        cm_json *value = cells_along(j, m.lengths, m.ndim, &m.type, &at);
        if (!value)
            return NULL;
        if (cm_json_set(j->doc, object, m.name, value))
            object = NULL;
    }
    return cm_h5_json_made(j, object);
}

static cm_json *number(cm_h5_json *j, const cm_h5_type *t, const uint8_t *p)
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
    if (t->kind == CM_BOOL && native[0] > 1) {
        if (!j->scan)
            return fail(j, cm_error_set(j->err, CM_EDATA, "a bool has the value %u", native[0]));
        dtype = cm_dtype_of(CM_INT8, 0);
    }
    return cm_h5_json_made(j, cm_json_from_cells(j->doc, dtype, native, 1, true));
}

cm_json *cm_h5_json_cell(cm_h5_json *j, const cm_h5_type *t, const uint8_t *p)
{
    if (++*j->nvalues > j->max_values)
        return fail(j, cm_error_set(j->err, CM_ELIMIT, "attributes of more than %zu values",
                                    j->max_values));
    if (t->why[0])
        return fail(j, cm_error_set(j->err, CM_EUNSUP, "%s", t->why));
    if (t->cls == CM_H5_STRING || t->vlen_string)
        return string(j, t, p);
    if (t->kind != CM_NONE)
        return number(j, t, p);
    switch (t->cls) {
    case CM_H5_COMPOUND: return compound(j, t, p);
    case CM_H5_ARRAY: return array(j, t, p);
    case CM_H5_VLEN: return sequence(j, t, p);
    case CM_H5_OPAQUE: return opaque(j, t, p);
    case CM_H5_REFERENCE: return reference(j, t, p);
    default: return fail(j, cm_error_set(j->err, CM_EUNSUP, "HDF5 class %u", t->cls));
    }
}

/* ---- before any cell is read ----------------------------------------------------------------- */

static int check(const cm_h5_file *f, const cm_h5_type *t, int level, cm_error *err);

static int check_members(const cm_h5_file *f, const cm_h5_type *t, int level, cm_error *err)
{
    cm_h5_cursor c = cm_h5_type_members(t);
    cm_h5_member m;
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < t->nmembers; i++) {
        rc = cm_h5_type_next_member(t, &c, &m, err);
        if (rc)
            return rc;
        rc = cm_utf8_valid(m.name, strlen(m.name))
                 ? check(f, &m.type, level + 1 + m.ndim, err)
                 : cm_error_set(err, CM_EUNSUP, "a name that is not UTF-8");
        if (rc)
            cm_error_prefix(err, "compound's member \"%.64s\"", m.name);
    }
    return rc;
}

static int check(const cm_h5_file *f, const cm_h5_type *t, int level, cm_error *err)
{
    cm_h5_type base;
    uint32_t lengths[UINT8_MAX];
    int rc = 0;
    if (level > MAX_LEVELS)
        return cm_error_set(err, CM_ELIMIT, "type of more than %d levels", MAX_LEVELS);
    if (t->why[0])
        return cm_error_set(err, CM_EUNSUP, "HDF5 %s", t->why);
    switch (t->cls) {
    case CM_H5_STRING:
        return t->padding <= CM_H5_SPACE_PADDED
                   ? 0
                   : cm_error_set(err, CM_EUNSUP, "strings with padding %u", t->padding);
    case CM_H5_VLEN:
        if (t->size != 8u + f->nbytes_off)
            return cm_error_set(err, CM_EDATA, "variable-length values of %u bytes", t->size);
        rc = t->vlen_string ? 0 : cm_h5_type_parse_base(t, &base, err);
        return rc || t->vlen_string ? rc : check(f, &base, level + 1, err);
    case CM_H5_ARRAY:
        rc = array_of(t, &base, lengths, err);
        return rc ? rc : check(f, &base, level + t->array_ndim, err);
    case CM_H5_REFERENCE:
        return t->size == f->nbytes_off + (t->reference ? 4u : 0u)
                   ? 0
                   : cm_error_set(err, CM_EDATA, "references of %u bytes", t->size);
    case CM_H5_COMPOUND: return t->kind == CM_NONE ? check_members(f, t, level, err) : 0;
    default: return 0;
    }
}

int cm_h5_json_check(const cm_h5_file *f, const cm_h5_type *t, cm_error *err)
{
    return check(f, t, 0, err);
}
