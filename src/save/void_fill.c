/* save/void_fill.c: attributes without a `_FillValue` that no cell can be.
 *
 * `_FillValue` says which cells are missing. Some files have one outside the variable's type: NaN
 * on packed integers, text on numbers. It has no effect there, but xarray refuses a whole store for
 * it, and Zarr v2 cannot hold it.
 */
#include "save/void_fill.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static bool can_be_cell(cm_dtype dtype, const cm_json *value)
{
    double number;
    if (cm_json_is(value, CM_JSON_ARRAY) && cm_json_count(value) == 1)
        value = cm_json_at(value, 0);
    if (!cm_kind_is_integer(dtype.kind) && !cm_kind_is_float(dtype.kind))
        return true;
    if (!cm_json_is(value, CM_JSON_NUMBER) || !cm_json_double(value, &number))
        return false;
    if (cm_kind_is_float(dtype.kind))
        return true;
    bool is_unsigned = cm_kind_is_unsigned(dtype.kind);
    double end = ldexp(1, 8 * (int)dtype.size - !is_unsigned); /* 2^64 - 1 rounds to 2^64 */
    return number == floor(number) && (dtype.size == 8 ? number <= end : number < end) &&
           number >= (is_unsigned ? 0 : -end);
}

int cm_leave_out_void_fill(cm_zarr_array_spec *spec, cm_attribute **copy, cm_error *err)
{
    size_t n = spec->nattributes, at = 0;
    *copy = NULL;
    while (at < n && strcmp(spec->attributes[at].name, "_FillValue") != 0)
        at++;
    if (at == n || can_be_cell(spec->dtype, spec->attributes[at].value))
        return 0;
    *copy = cm_calloc(n, sizeof **copy, err);
    if (!*copy)
        return CM_ENOMEM;
    memcpy(*copy, spec->attributes, at * sizeof **copy);
    memcpy(*copy + at, spec->attributes + at + 1, (n - at - 1) * sizeof **copy);
    spec->attributes = *copy;
    spec->nattributes = n - 1;
    return 0;
}

void cm_void_fill_line(const cm_zarr_array_spec *spec, char *line, size_t size)
{
    char name[CM_DTYPE_NAME];
    snprintf(line, size, "%.900s: its _FillValue is no %s value, so no cell has it; left out",
             spec->path, cm_dtype_name(spec->dtype, name, sizeof name));
}
