/* format/hdf5/h5_unfold.c: types that say more than a number: arrays and enums.
 *
 * An array type is cells within a cell; read as more axes behind the dataset's own it is an
 * ordinary array, and h5py shows it so. The file's chunk indexes do not know these axes: they lie
 * whole in every chunk.
 *
 * An enum is read as its numbers. Its names would be lost, but CF has a form for them: flag_values
 * and flag_meanings, which are added unless the file has attributes of these names. Blanks in names
 * become underscores, since flag_meanings is a list with blanks between.
 */
#include <stdio.h>

#include "base/buffer.h"
#include "format/hdf5/h5_model.h"
#include "nd/copy.h"
#include "text/utf8.h"

#define MAX_FLAGS 4096 /* enums of more names stay without: nobody reads such attributes */

static bool can_unfold(const cm_h5_type *base)
{
    return !base->why[0] && !(base->cls == CM_H5_STRING && base->size == 1);
}

int cm_h5_unfold_array(cm_h5_scan *s, cm_h5_dataset *d, cm_error *err)
{
    (void)s;
    cm_h5_type t = d->type, base;
    cm_h5_space space = d->space;
    int inner = 0;
    uint64_t cells = 1;
    while (t.cls == CM_H5_ARRAY) {
        for (int i = 0; i < t.array_ndim; i++) {
            uint64_t n = cm_load_le32(t.array_lengths + 4 * i);
            if (space.ndim == CM_MAX_DIMS)
                return 0; /* refused as an array type */
            if (n == 0 || !cm_mul_u64(cells, n, &cells))
                return cm_error_set(err, CM_EDATA, "array type of length 0");
            space.dims[space.ndim] = space.max[space.ndim] = n;
            space.ndim++;
            inner++;
        }
        int rc = cm_h5_type_parse_base(&t, &base, err);
        if (rc)
            return rc;
        t = base;
    }
    if (inner == 0 || d->space.null || !can_unfold(&t))
        return 0;
    uint64_t whole;
    if (!cm_mul_u64(cells, t.size, &whole) || whole != d->type.size)
        return cm_error_set(err, CM_EDATA, "array type of %u bytes, its elements have %u",
                            d->type.size, t.size);
    d->space = space;
    d->inner_ndim = inner;
    d->type = t;
    return 0;
}

static bool has_attribute(const cm_h5_dataset *d, const char *name)
{
    for (const cm_h5_item *a = d->attributes.first; a; a = a->next)
        if (strcmp(a->name, name) == 0)
            return true;
    return false;
}

static int add_item(cm_h5_scan *s, cm_h5_dataset *d, const char *name, cm_json *value,
                    cm_dtype dtype, cm_error *err)
{
    cm_h5_item *item = cm_h5_alloc_zero(&s->arena, 1, sizeof *item, err);
    if (!item || !value)
        return cm_error_set(err, CM_ENOMEM, "out of memory for attributes");
    *item = (cm_h5_item){.name = name, .value = value, .dtype = dtype};
    if (d->attributes.last)
        d->attributes.last->next = item;
    else
        d->attributes.first = item;
    d->attributes.last = item;
    return 0;
}

int cm_h5_native_cells(cm_h5_scan *s, const cm_h5_type *t, const uint8_t *p, size_t n,
                       const uint8_t **out, cm_error *err)
{
    cm_h5_narrow u = cm_h5_narrow_of(t);
    uint32_t size = t->narrow_bits ? u.out : t->size;
    uint8_t *copy = cm_h5_alloc(&s->arena, n * size, err);
    if (!copy)
        return CM_ENOMEM;
    *out = copy;
    if (!t->narrow_bits)
        memcpy(copy, p, n * size);
    for (size_t i = 0; t->narrow_bits && i < n; i++)
        cm_h5_widen(&u, p + i * t->size, copy + i * size);
    bool host_big = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
    if (!t->narrow_bits && size > 1 && t->big_endian != host_big)
        cm_swap_bytes(copy, n * size, size);
    return 0;
}

int cm_h5_enum_flags(cm_h5_scan *s, cm_h5_dataset *d, cm_error *err)
{
    const cm_h5_type *t = &d->type;
    if (t->kind == CM_BOOL || t->why[0] || t->nnames == 0 || t->nnames > MAX_FLAGS ||
        has_attribute(d, "flag_values") || has_attribute(d, "flag_meanings"))
        return 0;
    const uint8_t *cells = NULL;
    cm_buffer text;
    cm_buffer_init(&text, 1u << 20);
    int rc = cm_h5_native_cells(s, t, t->values, t->nnames, &cells, err);
    const uint8_t *at = t->names;
    for (unsigned i = 0; rc == 0 && i < t->nnames; i++) {
        const char *name = cm_h5_type_next_name(t, &at);
        if (i)
            rc = cm_buffer_append(&text, " ", 1, err);
        for (; rc == 0 && *name; name++)
            rc = cm_buffer_append(&text, *name == ' ' ? "_" : name, 1, err);
    }
    bool is_text = rc == 0 && cm_utf8_valid((const char *)text.data, text.nbytes);
    cm_dtype dtype = cm_dtype_of(t->kind, 0);
    if (is_text)
        rc = add_item(s, d, "flag_values",
                      cm_json_from_cells(s->dataset->doc, dtype, cells, t->nnames, false), dtype,
                      err);
    if (is_text && rc == 0)
        rc = add_item(s, d, "flag_meanings",
                      cm_json_new_string_n(s->dataset->doc, (const char *)text.data, text.nbytes),
                      cm_dtype_of(CM_STRING, 0), err);
    cm_buffer_deinit(&text);
    return rc;
}
