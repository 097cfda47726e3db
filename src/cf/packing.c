/* cf/packing.c: what the packing attributes of a variable say.
 *
 * The result's dtype follows xarray, so that what is unpacked here equals what xarray reads from
 * the packed file:
 *
 *     scale and offset of one float type   that type, but float64 for packed 32-bit integers
 *     an offset otherwise                  float64
 *     a scale only                         the scale's type
 *     only a fill value                    float32 for integers up to 16 bits, floats as they are,
 *                                          else float64
 *     only _Unsigned                       the integer of the other sign
 *
 * In Zarr an attribute is a JSON number, a double for xarray too. A float variable whose only fill
 * value is NaN keeps its own type even when scaled: xarray takes such an attribute for a promise
 * that the type was chosen already.
 */
#include "cf/packing.h"

#include <string.h>

#include "cf/time_units.h"

const char *const cm_packing_attributes[] = {"scale_factor",  "add_offset", "_FillValue",
                                             "missing_value", "_Unsigned",  NULL};
const char *const cm_packed_range_attributes[] = {"valid_range", "valid_min", "valid_max", NULL};

static int bad_attribute(const cm_variable *v, const char *name, cm_error *err)
{
    cm_error_set(err, CM_EDATA, "attribute %s is not a number", name);
    cm_error_variable(err, v->path);
    return CM_EDATA;
}

/* A numeric attribute: one number, or a list of one. *type: its dtype, double where the format has
 * none. */
static int get_number(const cm_variable *v, const char *name, bool *has, double *value,
                      cm_kind *type, cm_error *err)
{
    const cm_attribute *a = cm_variable_attribute_named(v, name);
    *has = a != NULL;
    if (!a)
        return 0;
    const cm_json *j = a->value;
    if (cm_json_is(j, CM_JSON_ARRAY) && cm_json_count(j) == 1)
        j = cm_json_at(j, 0);
    if (!cm_json_is(j, CM_JSON_NUMBER) || !cm_json_double(j, value))
        return bad_attribute(v, name, err);
    *type = a->dtype.kind == CM_FLOAT32 ? CM_FLOAT32 : CM_FLOAT64;
    return 0;
}

static cm_kind other_sign(cm_kind kind)
{
    switch (kind) {
    case CM_INT8: return CM_UINT8;
    case CM_INT16: return CM_UINT16;
    case CM_INT32: return CM_UINT32;
    case CM_INT64: return CM_UINT64;
    case CM_UINT8: return CM_INT8;
    case CM_UINT16: return CM_INT16;
    case CM_UINT32: return CM_INT32;
    case CM_UINT64: return CM_INT64;
    default: return kind;
    }
}

static void apply_unsigned(const cm_variable *v, cm_packing *p)
{
    const cm_attribute *a = cm_variable_attribute_named(v, "_Unsigned");
    const char *text = a ? cm_json_string(a->value) : NULL;
    if (!text || !cm_kind_is_integer(p->stored.kind))
        return;
    bool is_unsigned = cm_kind_is_unsigned(p->stored.kind);
    if ((strcmp(text, "true") == 0 && !is_unsigned) ||
        (strcmp(text, "false") == 0 && is_unsigned)) {
        p->reinterpreted = true;
        p->packed = cm_dtype_of(other_sign(p->stored.kind), 0);
    }
}

static bool is_nan_cell(cm_kind kind, const void *cell)
{
    float f;
    double d;
    uint16_t h;
    switch (kind) {
    case CM_FLOAT16: memcpy(&h, cell, sizeof h); return (h & 0x7fff) > 0x7c00;
    case CM_FLOAT32: memcpy(&f, cell, sizeof f); return f != f;
    case CM_FLOAT64: memcpy(&d, cell, sizeof d); return d != d;
    default: return false;
    }
}

/* A fill value as a cell of `packed`: given in the stored type, or with _Unsigned in the other one.
 * What fits neither can equal no cell, but asks for floats all the same. */
static bool fill_cell(const cm_packing *p, const cm_json *j, uint64_t *cell)
{
    *cell = 0;
    return cm_cell_from_json(j, p->stored, cell) ||
           (p->reinterpreted && cm_cell_from_json(j, p->packed, cell));
}

static int add_fills(const cm_variable *v, const char *name, cm_packing *p, bool *present,
                     cm_error *err)
{
    const cm_attribute *a = cm_variable_attribute_named(v, name);
    if (!a)
        return 0;
    bool list = cm_json_is(a->value, CM_JSON_ARRAY);
    size_t n = list ? cm_json_count(a->value) : 1;
    for (size_t i = 0; i < n; i++) {
        const cm_json *j = list ? cm_json_at(a->value, i) : a->value;
        uint64_t cell;
        if (!cm_json_is(j, CM_JSON_NUMBER) && !cm_json_is(j, CM_JSON_STRING))
            return bad_attribute(v, name, err);
        bool fits = fill_cell(p, j, &cell);
        if (!fits && cm_json_is(j, CM_JSON_STRING))
            return bad_attribute(v, name, err);
        double value = 0;
        if (fits ? is_nan_cell(p->packed.kind, &cell)
                 : (cm_json_double(j, &value), value != value)) {
            *present = *present || cm_kind_is_float(p->stored.kind);
            continue;
        }
        *present = p->masked = true;
        if (!fits)
            continue;
        bool known = false;
        for (int k = 0; k < p->nfills; k++)
            known = known || p->fills[k] == cell;
        if (known)
            continue;
        if (p->nfills == CM_MAX_FILLS) {
            cm_error_set(err, CM_EUNSUP, "more than %d fill values", CM_MAX_FILLS);
            cm_error_variable(err, v->path);
            return CM_EUNSUP;
        }
        p->fills[p->nfills++] = cell;
    }
    return 0;
}

static cm_kind scaled_kind(const cm_packing *p, bool has_scale, cm_kind scale, cm_kind offset)
{
    if (has_scale && p->has_offset && scale == offset)
        return cm_kind_is_integer(p->packed.kind) && p->packed.size == 4 ? CM_FLOAT64 : scale;
    return p->has_offset ? CM_FLOAT64 : scale;
}

static cm_kind masked_kind(cm_kind kind, uint32_t size)
{
    if (cm_kind_is_float(kind))
        return kind;
    return size <= 2 ? CM_FLOAT32 : CM_FLOAT64;
}

static bool is_time(const cm_variable *v)
{
    const cm_attribute *a = cm_variable_attribute_named(v, "units");
    return a && cm_units_are_time(cm_json_string(a->value));
}

int cm_packing_of(const cm_variable *v, cm_packing *out, cm_error *err)
{
    cm_packing *p = out;
    cm_dtype stored = v->array->dtype;
    *p = (cm_packing){.stored = stored, .packed = stored, .natural = stored, .scale = 1};
    bool has_scale = false, has_fill = false;
    cm_kind scale_kind = CM_FLOAT64, offset_kind = CM_FLOAT64;
    if (!cm_kind_is_integer(stored.kind) && !cm_kind_is_float(stored.kind)) {
        if (cm_kind_is_complex(stored.kind) && (cm_variable_attribute_named(v, "scale_factor") ||
                                                cm_variable_attribute_named(v, "add_offset"))) {
            cm_error_set(err, CM_EUNSUP, "complex numbers with scale_factor or add_offset");
            cm_error_variable(err, v->path);
            return CM_EUNSUP;
        }
        return 0;
    }
    apply_unsigned(v, p);
    p->natural = p->packed;
    int rc = get_number(v, "scale_factor", &has_scale, &p->scale, &scale_kind, err);
    if (rc == 0)
        rc = get_number(v, "add_offset", &p->has_offset, &p->offset, &offset_kind, err);
    if (rc == 0)
        rc = add_fills(v, "missing_value", p, &has_fill, err);
    if (rc == 0)
        rc = add_fills(v, "_FillValue", p, &has_fill, err);
    if (rc)
        return rc;
    p->scaled = has_scale || p->has_offset;
    cm_kind kind = p->packed.kind;
    if (p->scaled && (p->masked || !has_fill))
        kind = scaled_kind(p, has_scale, scale_kind, offset_kind);
    else if (p->masked)
        kind = masked_kind(kind, p->packed.size);
    if ((p->scaled || p->masked) && is_time(v))
        kind = CM_FLOAT64;
    p->natural = cm_dtype_of(kind, 0);
    return 0;
}

bool cm_packing_does(const cm_packing *p)
{
    return p->scaled || p->masked || p->reinterpreted;
}

cm_dtype cm_packing_dtype(const cm_packing *p, cm_unpack mode, bool wide)
{
    if (!p->scaled && !p->masked)
        return p->natural;
    if (mode == CM_UNPACK_FLOAT64)
        return cm_dtype_of(CM_FLOAT64, 0);
    if (mode == CM_UNPACK_FLOAT32 && !wide)
        return cm_dtype_of(CM_FLOAT32, 0);
    return p->natural;
}

bool cm_packing_is_missing(const cm_packing *p, const void *cell)
{
    if (is_nan_cell(p->stored.kind, cell))
        return true;
    uint64_t bits = 0;
    memcpy(&bits, cell, p->stored.size);
    for (int k = 0; k < p->nfills; k++)
        if (p->fills[k] == bits)
            return true;
    /* 0.0 and -0.0 are one value */
    uint64_t sign = UINT64_C(1) << (8 * p->stored.size - 1);
    if (cm_kind_is_float(p->stored.kind) && (bits == 0 || bits == sign))
        for (int k = 0; k < p->nfills; k++)
            if ((p->fills[k] | sign) == sign)
                return true;
    return false;
}
