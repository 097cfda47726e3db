/* format/tables/tables_dtype.c: a type of cells as bytes.
 *
 *     kind, size, unit, scale | records and sequences: fields (name, type, axes, byte order)
 *
 * What comes back is one that the rest of the program could have made: sizes are compared with
 * those of the kind, and records are made by the function that makes all of them.
 */
#include <stdlib.h>

#include "base/memory.h"
#include "format/tables/tables.h"

enum { MOST_DEPTH = 16, MOST_FIELDS = 64 << 10, LAST_KIND = (int)CM_UINT4 };

void cm_tables_put_dtype(cm_wire_out *w, cm_dtype dtype)
{
    if ((int)dtype.kind > LAST_KIND && w->status == 0)
        w->status = cm_error_set(w->err, CM_EUNSUP, "cells of a type that scan tables do not have");
    cm_wire_put_uint(w, dtype.kind);
    cm_wire_put_uint(w, dtype.size);
    if (cm_kind_is_time(dtype.kind)) {
        cm_wire_put_uint(w, dtype.unit);
        cm_wire_put_uint(w, dtype.scale);
    }
    if (dtype.kind != CM_RECORD && dtype.kind != CM_SEQUENCE)
        return;
    const cm_record *record = dtype.record;
    cm_wire_put_uint(w, record ? record->nfields : 0);
    for (size_t i = 0; record && i < record->nfields; i++) {
        const cm_field *f = &record->fields[i];
        cm_wire_put_string(w, f->name);
        cm_tables_put_dtype(w, f->dtype);
        cm_wire_put_uint(w, (uint64_t)f->ndim);
        for (int k = 0; k < f->ndim; k++)
            cm_wire_put_uint(w, (uint64_t)f->shape[k]);
        cm_wire_put_uint(w, f->big_endian);
    }
}

static bool take(cm_wire_in *r, cm_dtype *dtype, const cm_record **record, int depth,
                 cm_error *err);

static bool take_field(cm_wire_in *r, cm_field *f, int depth, cm_error *err)
{
    const cm_record *record = NULL;
    int64_t *shape = cm_calloc(CM_MAX_DIMS, sizeof *shape, err);
    f->shape = shape;
    f->name = shape ? cm_wire_string(r, err) : NULL;
    if (!f->name)
        return false;
    bool ok = take(r, &f->dtype, &record, depth + 1, err);
    f->dtype.record = record; /* the field's reference until its record has one */
    if (!ok)
        return false;
    f->ndim = (int)cm_wire_upto(r, CM_MAX_DIMS);
    for (int k = 0; k < f->ndim; k++)
        shape[k] = (int64_t)cm_wire_upto(r, INT64_MAX);
    f->big_endian = cm_wire_upto(r, 1) != 0;
    return !r->bad;
}

static bool take_record(cm_wire_in *r, const cm_record **out, int depth, cm_error *err)
{
    size_t n = cm_wire_count(r, 5);
    if (n > MOST_FIELDS || depth >= MOST_DEPTH)
        cm_wire_fail(r);
    cm_field *fields = r->bad ? NULL : cm_calloc(n, sizeof *fields, err);
    cm_record *record = NULL;
    bool ok = fields != NULL;
    for (size_t i = 0; i < n && ok; i++)
        ok = take_field(r, &fields[i], depth, err);
    if (ok) {
        int ret = cm_record_new(fields, n, &record, err);
        if (ret && ret != CM_ENOMEM)
            cm_wire_fail(r);
    }
    for (size_t i = 0; fields && i < n; i++) {
        cm_record_unref(fields[i].dtype.record);
        free((char *)(uintptr_t)fields[i].name);
        free((int64_t *)(uintptr_t)fields[i].shape);
    }
    free(fields);
    *out = record;
    return record != NULL;
}

static bool take(cm_wire_in *r, cm_dtype *dtype, const cm_record **record, int depth, cm_error *err)
{
    *record = NULL;
    *dtype = cm_dtype_of(CM_NONE, 0);
    cm_kind kind = (cm_kind)cm_wire_upto(r, LAST_KIND);
    uint32_t size = (uint32_t)cm_wire_upto(r, UINT32_MAX), unit = 0, scale = 0;
    if (cm_kind_is_time(kind)) {
        unit = (uint32_t)cm_wire_upto(r, CM_UNIT_AS);
        scale = (uint32_t)cm_wire_upto(r, UINT32_MAX);
    }
    if (r->bad)
        return false;
    if (kind == CM_RECORD || kind == CM_SEQUENCE) {
        if (!take_record(r, record, depth, err))
            return false;
        *dtype = cm_dtype_record(kind, *record);
    } else if (cm_kind_is_time(kind)) {
        *dtype = cm_dtype_time(kind, (cm_time_unit)unit, scale);
        dtype->unit = unit;
        dtype->scale = scale;
    } else {
        *dtype = cm_dtype_of(kind, size);
    }
    uint32_t word = cm_dtype_word(*dtype);
    if (dtype->size != size || (word > 1 && size % word))
        cm_wire_fail(r);
    return !r->bad;
}

bool cm_tables_take_dtype(cm_wire_in *r, cm_dtype *dtype, const cm_record **record, cm_error *err)
{
    bool ok = take(r, dtype, record, 0, err);
    if (!ok) {
        cm_record_unref(*record);
        *record = NULL;
    }
    return ok;
}
