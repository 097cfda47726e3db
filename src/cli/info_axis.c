/* cli/info_axis.c: coordinates from end to end.
 *
 * A coordinate is small, so it is read whole, up to 8 MB and 4096 chunks; of a longer one only the
 * first and the last cell, and only where that does not decode a large chunk. Steps count as equal
 * when every cell lies on the line from the first to the last within two units in the last place of
 * its type: 0.1-degree latitudes in float32 are regular, a month of daily times with a gap is not.
 */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/celltext.h"
#include "cli/info.h"

enum { MOST_BYTES = 8 << 20, MOST_CHUNKS = 4096 };

static const char *text_attribute(const cm_variable *v, const char *name)
{
    const cm_attribute *a = cm_variable_attribute_named(v, name);
    return a ? cm_json_string(a->value) : NULL;
}

static double number_attribute(const cm_variable *v, const char *name, double otherwise)
{
    const cm_attribute *a = cm_variable_attribute_named(v, name);
    double n;
    if (!a)
        return otherwise;
    const cm_json *value = cm_json_is(a->value, CM_JSON_ARRAY) && cm_json_count(a->value) == 1
                               ? cm_json_at(a->value, 0)
                               : a->value;
    return cm_json_double(value, &n) ? n : otherwise;
}

/* Unpacked with a float32 scale a value has no more than its digits. */
static bool is_single(const cm_variable *v, cm_dtype dtype)
{
    const cm_attribute *a = cm_variable_attribute_named(v, "scale_factor");
    return dtype.kind == CM_FLOAT32 || (a && a->dtype.kind == CM_FLOAT32);
}

static void number_text(double value, bool single, char *text)
{
    if (single)
        cm_float_text((float)value, text);
    else
        cm_double_text(value, text);
}

/* The start of a string whose text is too long: so many bytes that six for each, and the quotes,
 * fit into size; no part of a character. */
static size_t cut(const cm_string *s, size_t size)
{
    size_t n = (size - 3) / 6;
    n = n < s->nbytes ? n : s->nbytes;
    while (n > 0 && n < s->nbytes && ((unsigned char)s->data[n] & 0xc0) == 0x80)
        n--;
    return n;
}

/* The cell as text, in the buffer of an output that is never flushed. False: out of memory. */
static bool cell_text(cm_dtype dtype, const void *cell, char *text, size_t size)
{
    cm_cli_out *out = malloc(sizeof *out);
    text[0] = '\0';
    if (!out)
        return false;
    cm_cli_out_init(out, -1);
    if (dtype.kind == CM_STRING) {
        cm_string s;
        memcpy(&s, cell, sizeof s);
        if (s.nbytes > size)
            s.nbytes = cut(&s, size);
        cm_cli_cell(out, dtype, &s, true);
        if (out->n >= size) {
            s.nbytes = cut(&s, size);
            cm_cli_out_init(out, -1);
            cm_cli_cell(out, dtype, &s, true);
        }
    } else if (!cm_kind_is_vlen(dtype.kind) && dtype.size <= size / 8) {
        cm_cli_cell(out, dtype, cell, true);
    }
    size_t n = out->n < size - 1 ? out->n : size - 1;
    memcpy(text, out->buf, n);
    text[n] = '\0';
    free(out);
    return true;
}

static void set_ends(const cm_variable *v, cm_dtype dtype, const void *first, const void *last,
                     cm_cli_axis *axis)
{
    double scale = number_attribute(v, "scale_factor", 1);
    double offset = number_attribute(v, "add_offset", 0);
    const char *units = text_attribute(v, "units"), *calendar = text_attribute(v, "calendar");
    axis->known = cell_text(dtype, first, axis->first_text, sizeof axis->first_text) &&
                  cell_text(dtype, last, axis->last_text, sizeof axis->last_text);
    if (!axis->known) {
        cm_error_set(&axis->problem, CM_ENOMEM, "out of memory for a coordinate");
        return;
    }
    axis->numeric = cm_cli_cell_double(dtype, first, &axis->first) &&
                    cm_cli_cell_double(dtype, last, &axis->last);
    if (!axis->numeric)
        return;
    axis->first = axis->first * scale + offset;
    axis->last = axis->last * scale + offset;
    if (scale != 1 || offset != 0) {
        number_text(axis->first, is_single(v, dtype), axis->first_text);
        number_text(axis->last, is_single(v, dtype), axis->last_text);
    }
    if (!units)
        return;
    axis->is_time =
        cm_time_text(axis->first, units, calendar, axis->first_time, sizeof axis->first_time) &&
        cm_time_text(axis->last, units, calendar, axis->last_time, sizeof axis->last_time);
    if (axis->is_time)
        snprintf(axis->unit, sizeof axis->unit, "%.*s", (int)strcspn(units, " "), units);
}

static void set_step(const cm_variable *v, cm_dtype dtype, const char *cells, int64_t n,
                     cm_cli_axis *axis)
{
    double scale = number_attribute(v, "scale_factor", 1), before = axis->first, off = 0;
    double offset = number_attribute(v, "add_offset", 0);
    if (n < 2 || !axis->numeric || !axis->known)
        return;
    axis->stepped = true;
    axis->step = (axis->last - axis->first) / (double)(n - 1);
    axis->least_step = INFINITY;
    axis->most_step = -INFINITY;
    for (int64_t i = 1; i < n; i++) {
        double value = 0;
        cm_cli_cell_double(dtype, cells + (size_t)i * dtype.size, &value);
        value = value * scale + offset;
        double step = value - before;
        before = value;
        if (!isfinite(step)) {
            axis->stepped = false;
            return;
        }
        axis->least_step = fmin(axis->least_step, step);
        axis->most_step = fmax(axis->most_step, step);
        off = fmax(off, fabs(value - (axis->first + (double)i * axis->step)));
    }
    double largest = fmax(fabs(axis->first), fabs(axis->last));
    double ulp = dtype.kind == CM_FLOAT16   ? 0x1p-10
                 : dtype.kind == CM_FLOAT32 ? (double)FLT_EPSILON
                                            : DBL_EPSILON;
    axis->regular = off <= 2 * ulp * largest;
    if (is_single(v, dtype)) /* 0.1, not 0.10000000149 */
        axis->step = strtod(cm_float_text((float)axis->step, (char[40]){0}), NULL);
}

static int read_ends(cm_cli *cli, const cm_variable *v, cm_arena *arena, cm_cli_axis *axis)
{
    cm_array *array = cm_variable_array(v);
    cm_dtype dtype = cm_array_dtype(array);
    int64_t n = cm_array_shape(array)[0], at = 0, one = 1, last = n - 1;
    char *cells = malloc(2 * (size_t)dtype.size);
    if (!cells)
        return cm_error_set(&axis->problem, CM_ENOMEM, "out of memory for two cells");
    int ret = cm_array_read(cli->ctx, array, &at, &one, cells, NULL, arena, &axis->problem);
    if (ret == 0)
        ret = cm_array_read(cli->ctx, array, &last, &one, cells + dtype.size, NULL, arena,
                            &axis->problem);
    if (ret == 0)
        set_ends(v, dtype, cells, cells + dtype.size, axis);
    free(cells);
    return ret;
}

static int read_whole(cm_cli *cli, const cm_variable *v, cm_arena *arena, cm_cli_axis *axis)
{
    cm_array *array = cm_variable_array(v);
    cm_dtype dtype = cm_array_dtype(array);
    int64_t n = cm_array_shape(array)[0], at = 0;
    char *cells = malloc((size_t)n * dtype.size);
    if (!cells)
        return cm_error_set(&axis->problem, CM_ENOMEM, "out of memory for a coordinate");
    int ret = cm_array_read(cli->ctx, array, &at, &n, cells, NULL, arena, &axis->problem);
    if (ret == 0) {
        set_ends(v, dtype, cells, cells + (size_t)(n - 1) * dtype.size, axis);
        set_step(v, dtype, cells, n, axis);
    }
    free(cells);
    return ret;
}

bool cm_cli_axis_look(cm_cli *cli, const cm_variable *v, cm_cli_axis *axis)
{
    memset(axis, 0, sizeof *axis);
    cm_array *array = cm_variable_array(v);
    if (!array || cm_array_ndim(array) != 1)
        return false;
    const char *dimension = cm_variable_dimension(v, 0);
    if (!dimension || strcmp(dimension, cm_variable_name(v)) != 0)
        return false;
    cm_dtype dtype = cm_array_dtype(array);
    int64_t n = cm_array_shape(array)[0], nchunks = 0;
    if (n == 0 || dtype.size == 0)
        return true;
    const cm_storage *storage = cm_variable_storage(v);
    int64_t chunk = storage && storage->chunks ? storage->chunks[0] : 1;
    bool small = n <= MOST_BYTES / (int64_t)dtype.size && cm_cli_chunks_total(v, &nchunks) &&
                 nchunks <= MOST_CHUNKS;
    if (!small && chunk > MOST_BYTES / (int64_t)dtype.size)
        return true;
    cm_arena *arena = NULL;
    if (cm_arena_new(cli->ctx, &arena, &axis->problem) == 0)
        (void)!(small ? read_whole(cli, v, arena, axis) : read_ends(cli, v, arena, axis));
    cm_arena_free(arena);
    return true;
}
