/* join/filled.c: the cells of steps that no file has; see the header.
 *
 * A reader must be able to tell them from data. So they hold what the variable's own attributes
 * call missing; floats without such an attribute hold NaN, times NaT; and other variables have
 * nothing that could stand there and are refused. What is known is not missing: the coordinate's
 * own values, and bounds that lie around them as those of both neighbours do around theirs.
 */
#include "join/filled.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "array/compose.h"
#include "base/bytes.h"
#include "base/memory.h"
#include "cf/packing.h"
#include "cf/roles.h"
#include "join/memory_cells.h"

typedef struct filling {
    cm_context *ctx;
    const cm_matches *ms;
    size_t item;
    const cm_variable *v; /* of the first file */
    const cm_order_axis *axis;
    const cm_run *run;
    size_t index;
    cm_array *const *arrays;
    cm_extent units; /* only times, of v or of the variable whose bounds it is */
} filling;

/* ---- computed cells -------------------------------------------------------------------------- */

static bool store_integer(cm_dtype dtype, __int128 v, void *cell)
{
    uint64_t bits = (uint64_t)v;
    bool is_signed = !cm_kind_is_unsigned(dtype.kind);
    __int128 limit = (__int128)1 << (8 * dtype.size - is_signed);
    if (v >= limit || v < (is_signed ? -limit : 0))
        return false;
    for (uint32_t i = 0; i < dtype.size; i++)
        ((uint8_t *)cell)[__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? dtype.size - 1 - i : i] =
            (uint8_t)(bits >> (8 * i));
    return true;
}

/* A key as a cell of v; false when v's type and units cannot say it. */
static bool store_key(const filling *f, cm_dtype dtype, __int128 key, void *cell)
{
    const cm_time_units *units = &f->units.times.units;
    bool instant = f->axis->runs.scale == CM_SCALE_INSTANT, exact;
    cm_time_units own = {.calendar = units->calendar, .unit_ns = 1, .reference = 0};
    __int128 whole = key;
    double d = (double)key;
    if (cm_kind_is_integer(dtype.kind))
        return (!instant || cm_time_recode_int(&own, units, key, &whole)) &&
               store_integer(dtype, whole, cell);
    own.reference = key;
    if (instant && !cm_time_recode_double(&own, units, 0, &d, &exact))
        return false;
    if (dtype.kind == CM_FLOAT64) {
        memcpy(cell, &d, sizeof d);
        return true;
    }
    float narrow = (float)d;
    memcpy(cell, &narrow, sizeof narrow);
    return dtype.kind == CM_FLOAT32 && (double)narrow == d;
}

static int refuse(const filling *f, cm_error *err, const char *why)
{
    return cm_join_refuse(f->v, "--gaps warn or ignore joins without filling, --skip leaves it out",
                          err, "steps are missing, and %s", why);
}

static int take_cells(const filling *f, int ndim, const int64_t *shape, void *cells, cm_array **out,
                      cm_error *err)
{
    return cm_array_of_cells(f->v->array->dtype, ndim, shape, cells, cm_join_file(f->v), f->v->path,
                             out, err);
}

static int check_plain(const filling *f, cm_packing *packing, cm_error *err)
{
    cm_kind kind = f->v->array->dtype.kind;
    int rc = cm_packing_of(f->v, packing, err);
    if (rc == 0 && (packing->scaled || packing->reinterpreted))
        rc = refuse(f, err, "its packed values cannot be computed");
    if (rc == 0 && !cm_kind_is_integer(kind) && kind != CM_FLOAT32 && kind != CM_FLOAT64)
        rc = refuse(f, err, "its values cannot be computed");
    return rc;
}

static int coordinate_cells(const filling *f, cm_array **out, cm_error *err)
{
    cm_packing packing;
    cm_dtype dtype = f->v->array->dtype;
    int rc = check_plain(f, &packing, err);
    uint8_t *cells = rc ? NULL : cm_calloc((size_t)f->run->n, dtype.size, err);
    if (!cells)
        return rc ? rc : CM_ENOMEM;
    for (int64_t k = 0; rc == 0 && k < f->run->n; k++) {
        uint8_t *cell = cells + (size_t)k * dtype.size;
        if (!store_key(f, dtype, f->axis->runs.filled[f->run->lo + k], cell) ||
            cm_packing_is_missing(&packing, cell))
            rc = refuse(f, err, "its type and units cannot say when they are");
    }
    if (rc) {
        free(cells);
        return rc;
    }
    return take_cells(f, 1, &f->run->n, cells, out, err);
}

/* ---- bounds ---------------------------------------------------------------------------------- */

/* The keys of `count` cells from index lo of the first axis of an array of one or two axes. */
static int read_keys(const filling *f, cm_array *array, int64_t lo, int64_t count, __int128 *keys,
                     bool *known, cm_error *err)
{
    double room[2];
    int64_t start[2] = {lo, 0}, n[2] = {1, count};
    uint8_t *cells = (uint8_t *)room;
    int rc = cm_array_read(f->ctx, array, start, n, cells, NULL, NULL, err);
    for (int64_t k = 0; rc == 0 && k < count; k++) {
        cm_number x;
        cm_number_of_cell(array->dtype.kind, cells + (size_t)k * array->dtype.size, &x);
        x = cm_extent_number(&f->units, &x);
        *known = *known && !x.missing && (x.is_int || x.f == trunc(x.f));
        keys[k] = *known ? cm_scale_key(CM_SCALE_WHOLE, &x) : 0;
    }
    return rc;
}

/* The coordinate's value at a step of a file and the bounds there. */
static int read_neighbour(const filling *f, const cm_run *run, int64_t index, __int128 *at,
                          __int128 *bounds, bool *known, cm_error *err)
{
    cm_array *coordinate = NULL;
    size_t parent = f->ms->items[f->item].parent;
    int rc = cm_matches_array(f->ms, parent, run->file, &coordinate, err);
    if (rc == 0)
        rc = read_keys(f, coordinate, index, 1, at, known, err);
    if (rc == 0)
        rc = read_keys(f, f->arrays[run->file], index, 2, bounds, known, err);
    cm_array_unref(coordinate);
    return rc;
}

static int bounds_cells(const filling *f, cm_array **out, cm_error *err)
{
    const cm_runs *runs = &f->axis->runs;
    const cm_run *before = f->run - 1, *after = f->run + 1;
    const __int128 *keys = runs->filled + f->run->lo;
    __int128 ta, tb, a[2], b[2];
    bool known = true;
    cm_packing packing;
    cm_dtype dtype = f->v->array->dtype;
    int64_t n = f->run->n, shape[2] = {n, 2};
    int rc = check_plain(f, &packing, err);
    if (rc == 0)
        rc = read_neighbour(f, before, before->lo + before->n - 1, &ta, a, &known, err);
    if (rc == 0)
        rc = read_neighbour(f, after, after->lo, &tb, b, &known, err);
    uint8_t *cells = rc ? NULL : cm_calloc((size_t)n, 2 * dtype.size, err);
    if (!cells)
        return rc ? rc : CM_ENOMEM;
    bool begins = a[0] == ta && b[0] == tb && a[1] == keys[0];
    bool ends = a[1] == ta && b[1] == tb && b[0] == keys[n - 1];
    bool same = a[0] - ta == b[0] - tb && a[1] - ta == b[1] - tb && !runs->by_month;
    for (int64_t k = 0; known && k < n; k++) {
        __int128 lo = keys[k] + (a[0] - ta), hi = keys[k] + (a[1] - ta);
        if (!same && begins) {
            lo = keys[k];
            hi = k + 1 < n ? keys[k + 1] : tb;
        } else if (!same && ends) {
            lo = k ? keys[k - 1] : ta;
            hi = keys[k];
        }
        uint8_t *cell = cells + (size_t)(2 * k) * dtype.size;
        known = (same || begins || ends) && store_key(f, dtype, lo, cell) &&
                store_key(f, dtype, hi, cell + dtype.size);
    }
    if (!known) {
        free(cells);
        return refuse(f, err, "its bounds do not follow from those of the neighbours");
    }
    return take_cells(f, 2, shape, cells, out, err);
}

/* ---- everything else ------------------------------------------------------------------------- */

/* What stands for missing in v: a cell of its type. false: nothing does. */
static bool missing_cell(const cm_variable *v, cm_dtype dtype, void *cell, cm_string *text)
{
    static const char *const names[] = {"_FillValue", "missing_value"};
    const float nan32[2] = {NAN, NAN};
    const double nan64[2] = {NAN, NAN};
    const uint16_t nan16 = 0x7e00;
    for (size_t i = 0; i < 2; i++) {
        const cm_attribute *a = cm_variable_attribute_named(v, names[i]);
        const cm_json *value = a ? a->value : NULL;
        if (cm_json_is(value, CM_JSON_ARRAY) && cm_json_count(value) == 1)
            value = cm_json_at(value, 0);
        if (dtype.kind == CM_STRING && cm_json_string(value)) {
            *text = (cm_string){cm_json_string(value), cm_json_string_nbytes(value)};
            memcpy(cell, text, sizeof *text);
            return true;
        }
        if (value && !cm_kind_is_vlen(dtype.kind) && cm_cell_from_json(value, dtype, cell))
            return true;
    }
    switch (dtype.kind) {
    case CM_FLOAT16: memcpy(cell, &nan16, 2); return true;
    case CM_FLOAT32: memcpy(cell, nan32, 4); return true;
    case CM_FLOAT64: memcpy(cell, nan64, 8); return true;
    case CM_COMPLEX64: memcpy(cell, nan32, 8); return true;
    case CM_COMPLEX128: memcpy(cell, nan64, 16); return true;
    case CM_DATETIME64:
    case CM_TIMEDELTA64: memcpy(cell, &(int64_t){INT64_MIN}, 8); return true;
    default: return false;
    }
}

static int blank_cells(const filling *f, cm_array **out, cm_error *err)
{
    int64_t shape[CM_MAX_DIMS], chunk[CM_MAX_DIMS];
    const cm_array *model = f->arrays[f->run[-1].file];
    const int axis = f->ms->items[f->item].axis;
    cm_string text;
    uint8_t room[64], *cell = room;
    if (model->dtype.size > sizeof room || !missing_cell(f->v, model->dtype, cell, &text))
        return refuse(f, err, "it has no _FillValue that could stand there");
    for (int i = 0; i < model->ndim; i++) {
        shape[i] = i == axis ? f->run->n : model->shape[i];
        chunk[i] = cm_max_i64(shape[i], 1);
    }
    cm_axis_grid grid = cm_array_grid(model, axis);
    if (grid.ncuts == 0)
        chunk[axis] = cm_min_i64(grid.size, cm_max_i64(model->shape[axis], 1));
    return cm_array_blank(model->dtype, model->ndim, shape, chunk, cell, "a missing step",
                          f->v->path, out, err);
}

int cm_filled_array(cm_context *ctx, const cm_matches *ms, size_t i, const cm_order_axis *axis,
                    size_t run, cm_array *const *arrays, cm_array **out, cm_error *err)
{
    const cm_match *m = &ms->items[i];
    filling f = {.ctx = ctx,
                 .ms = ms,
                 .item = i,
                 .v = m->in[0],
                 .axis = axis,
                 .run = &axis->runs.items[run],
                 .index = run,
                 .arrays = arrays};
    const cm_variable *parent = m->parent == SIZE_MAX ? NULL : ms->items[m->parent].in[0];
    cm_times_of(f.v, parent, &f.units.times);
    f.units.by_instant = axis->runs.scale == CM_SCALE_INSTANT;
    if (f.v == axis->coordinate)
        return coordinate_cells(&f, out, err);
    if (parent && parent == axis->coordinate && f.v->ndim == 2 && m->axis == 0 &&
        f.v->array->shape[1] == 2)
        return bounds_cells(&f, out, err);
    return blank_cells(&f, out, err);
}
