/* format/zarr/zarr_dtype_write.c: the names of types that are written.
 *
 * v3's names are the core specification's, else those that zarr-python registers. What a version
 * has no word for is refused by name: v2 has none for small floats, v3 none for sub-arrays within
 * structures and for sequences.
 */
#include <stdio.h>
#include <string.h>

#include "format/zarr/zarr_private.h"

static int no_memory(cm_error *err)
{
    return cm_error_set(err, CM_ENOMEM, "out of memory (metadata)");
}

static int refuse(cm_dtype dtype, int format, cm_error *err)
{
    char name[CM_DTYPE_NAME];
    cm_error_set(err, CM_EUNSUP, "Zarr v%d has no word for cells of type %s", format,
                 cm_dtype_name(dtype, name, sizeof name));
    return CM_EUNSUP;
}

/* ---- v2 -------------------------------------------------------------------------------------- */

static char letter_of(cm_dtype dtype)
{
    switch (dtype.kind) {
    case CM_BOOL: return 'b';
    case CM_BYTES: return 'S';
    case CM_RAW: return 'V';
    case CM_UTF32: return 'U';
    case CM_DATETIME64: return 'M';
    case CM_TIMEDELTA64: return 'm';
    default: break;
    }
    if (cm_kind_is_integer(dtype.kind))
        return cm_kind_is_unsigned(dtype.kind) ? 'u' : 'i';
    return cm_kind_is_float(dtype.kind) ? 'f' : cm_kind_is_complex(dtype.kind) ? 'c' : 0;
}

static int typestr(cm_dtype dtype, bool big_endian, char *text, size_t size, cm_error *err)
{
    char letter = letter_of(dtype);
    char order = cm_dtype_word(dtype) <= 1 ? '|' : big_endian ? '>' : '<';
    if (cm_kind_is_vlen(dtype.kind)) {
        snprintf(text, size, "|O");
        return 0;
    }
    if (!letter)
        return refuse(dtype, 2, err);
    int n =
        snprintf(text, size, "%c%c%u", order, letter, letter == 'U' ? dtype.size / 4 : dtype.size);
    if (!cm_kind_is_time(dtype.kind) || (dtype.unit == CM_UNIT_GENERIC && dtype.scale == 1))
        return 0;
    if (dtype.scale == 1)
        snprintf(text + n, size - (size_t)n, "[%s]", cm_time_unit_name(dtype.unit));
    else
        snprintf(text + n, size - (size_t)n, "[%u%s]", dtype.scale, cm_time_unit_name(dtype.unit));
    return 0;
}

static int describe_v2(cm_json_doc *doc, cm_dtype dtype, bool big_endian, cm_json **out,
                       cm_error *err);

static int field_v2(cm_json_doc *doc, const cm_field *f, cm_json **out, cm_error *err)
{
    cm_json *pair = cm_json_new_array(doc), *type, *shape = NULL;
    int r = describe_v2(doc, f->dtype, false, &type, err);
    if (r)
        return r;
    if (f->ndim) {
        shape = cm_json_new_array(doc);
        for (int i = 0; i < f->ndim; i++)
            if (cm_json_add(doc, shape, cm_json_new_int64(doc, f->shape[i])))
                return no_memory(err);
    }
    if (cm_json_add(doc, pair, cm_json_new_string(doc, f->name)) || cm_json_add(doc, pair, type) ||
        (f->ndim && cm_json_add(doc, pair, shape)))
        return no_memory(err);
    *out = pair;
    return 0;
}

static int describe_v2(cm_json_doc *doc, cm_dtype dtype, bool big_endian, cm_json **out,
                       cm_error *err)
{
    char text[48];
    int r = 0;
    if (dtype.kind != CM_RECORD) {
        r = typestr(dtype, big_endian, text, sizeof text, err);
        if (r == 0 && !(*out = cm_json_new_string(doc, text)))
            r = no_memory(err);
        return r;
    }
    *out = cm_json_new_array(doc);
    for (size_t i = 0; i < dtype.record->nfields && r == 0; i++) {
        cm_json *field = NULL;
        r = field_v2(doc, &dtype.record->fields[i], &field, err);
        if (r == 0 && cm_json_add(doc, *out, field))
            r = no_memory(err);
    }
    return r;
}

/* ---- v3 -------------------------------------------------------------------------------------- */

static int describe_v3(cm_json_doc *doc, cm_dtype dtype, cm_json **out, cm_error *err);

static int fields_v3(cm_json_doc *doc, cm_dtype dtype, cm_json *config, cm_error *err)
{
    cm_json *list = cm_json_new_array(doc);
    if (cm_json_set(doc, config, "fields", list))
        return no_memory(err);
    for (size_t i = 0; i < dtype.record->nfields; i++) {
        const cm_field *f = &dtype.record->fields[i];
        cm_json *pair = cm_json_new_array(doc), *type;
        if (f->ndim) {
            refuse(dtype, 3, err);
            cm_error_prefix(err, "field \"%.64s\" is an array", f->name);
            cm_error_hint(err, "write Zarr v2");
            return CM_EUNSUP;
        }
        int r = describe_v3(doc, f->dtype, &type, err);
        if (r)
            return r;
        if (cm_json_add(doc, pair, cm_json_new_string(doc, f->name)) ||
            cm_json_add(doc, pair, type) || cm_json_add(doc, list, pair))
            return no_memory(err);
    }
    return 0;
}

static int describe_v3(cm_json_doc *doc, cm_dtype dtype, cm_json **out, cm_error *err)
{
    char buf[CM_DTYPE_NAME];
    const char *name = dtype.kind == CM_UTF32         ? "fixed_length_utf32"
                       : dtype.kind == CM_BYTES       ? "null_terminated_bytes"
                       : dtype.kind == CM_RAW         ? "raw_bytes"
                       : dtype.kind == CM_DATETIME64  ? "numpy.datetime64"
                       : dtype.kind == CM_TIMEDELTA64 ? "numpy.timedelta64"
                       : dtype.kind == CM_RECORD      ? "structured"
                                                      : NULL;
    if (dtype.kind == CM_SEQUENCE || dtype.kind == CM_NONE)
        return refuse(dtype, 3, err);
    if (!name) {
        *out = cm_json_new_string(doc, cm_dtype_name(dtype, buf, sizeof buf));
        return *out ? 0 : no_memory(err);
    }
    cm_json *v = cm_json_new_object(doc), *config = cm_json_new_object(doc);
    int r = 0;
    if (cm_json_set_string(doc, v, "name", name) || cm_json_set(doc, v, "configuration", config))
        return no_memory(err);
    if (cm_kind_is_time(dtype.kind)) {
        if (cm_json_set_string(doc, config, "unit", cm_time_unit_name(dtype.unit)) ||
            cm_json_set_int64(doc, config, "scale_factor", dtype.scale))
            r = no_memory(err);
    } else if (dtype.kind == CM_RECORD) {
        r = fields_v3(doc, dtype, config, err);
    } else if (cm_json_set_int64(doc, config, "length_bytes", dtype.size)) {
        r = no_memory(err);
    }
    *out = v;
    return r;
}

int cm_zarr_type_describe(cm_json_doc *doc, cm_dtype dtype, int format, bool big_endian,
                          cm_json **out, cm_error *err)
{
    return format == 3 ? describe_v3(doc, dtype, out, err)
                       : describe_v2(doc, dtype, big_endian, out, err);
}
