/* cli/info_text.c: the tree for people, in the order in which ncdump would show it.
 *
 *     tas_2001.nc: NetCDF-4
 *     dimensions
 *         time = 365 (unlimited)
 *     variables
 *         time(time=365) float64
 *             stored: contiguous, 2.92 kB
 *             values: 2001-01-01T12:00:00 to 2001-12-31T12:00:00, step 1 day
 *             units = "days since 2001-01-01"
 *     attributes
 *         Conventions = "CF-1.8"
 *
 * Attribute types are said where JSON cannot show them (int16 5, float32 0.1); text is escaped.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/celltext.h"
#include "cli/counts.h"
#include "cli/info.h"
#include "cli/sizes.h"
#include "cli/sources.h"

enum { MOST_ITEMS = 24 }; /* of an attribute's list, without --verbose */

typedef struct picture {
    cm_cli *cli;
    cm_cli_out *out;
    cm_error *worst;
} picture;

static void put_lengths(cm_cli_out *out, const int64_t *lengths, int ndim)
{
    for (int i = 0; i < ndim; i++)
        cm_cli_out_format(out, "%s%" PRId64, i ? " x " : "", lengths[i]);
    if (ndim == 0)
        cm_cli_out_text(out, "one cell");
}

/* A scalar of an attribute: float32 in its own shortest digits. */
static void put_scalar(cm_cli_out *out, cm_dtype dtype, const cm_json *v)
{
    cm_cli_json json;
    double number;
    cm_cli_json_init(&json, out, true);
    if (dtype.kind == CM_FLOAT32 && cm_json_double(v, &number)) {
        cm_cli_json_raw(&json);
        cm_cli_out_text(out, cm_float_text((float)number, (char[40]){0}));
        return;
    }
    json.depth = 1; /* inside the line: no newline after a nested object */
    cm_cli_json_value(&json, v);
}

static void put_attribute(const picture *p, size_t indent, const cm_attribute *a)
{
    char name[CM_DTYPE_NAME];
    cm_cli_out_spaces(p->out, indent);
    cm_cli_out_name(p->out, a->name);
    cm_cli_out_text(p->out, " = ");
    if (a->dtype.kind != CM_NONE && !cm_kind_is_vlen(a->dtype.kind))
        cm_cli_out_format(p->out, "%s ", cm_dtype_name(a->dtype, name, sizeof name));
    if (!cm_json_is(a->value, CM_JSON_ARRAY)) {
        put_scalar(p->out, a->dtype, a->value);
    } else {
        size_t n = cm_json_count(a->value);
        size_t shown = n > MOST_ITEMS && !p->cli->args.verbose ? MOST_ITEMS : n;
        cm_cli_out_char(p->out, '[');
        for (size_t i = 0; i < shown; i++) {
            cm_cli_out_text(p->out, i ? ", " : "");
            put_scalar(p->out, a->dtype, cm_json_at(a->value, i));
        }
        if (shown < n)
            cm_cli_out_format(p->out, ", ... %zu in all; --verbose shows them", n);
        cm_cli_out_char(p->out, ']');
    }
    cm_cli_out_char(p->out, '\n');
}

static void put_heading(const picture *p, const cm_variable *v)
{
    char name[CM_DTYPE_NAME];
    cm_array *array = cm_variable_array(v);
    cm_cli_out_spaces(p->out, 4);
    cm_cli_out_style(p->out, CM_CLI_BOLD);
    cm_cli_out_name(p->out, cm_variable_name(v));
    cm_cli_out_style(p->out, CM_CLI_PLAIN);
    if (!array) {
        cm_cli_out_char(p->out, '\n');
        return;
    }
    cm_cli_out_char(p->out, '(');
    for (int i = 0; i < cm_array_ndim(array); i++) {
        const char *dimension = cm_variable_dimension(v, i);
        cm_cli_out_text(p->out, i ? ", " : "");
        if (dimension) {
            cm_cli_out_name(p->out, dimension);
            cm_cli_out_char(p->out, '=');
        }
        cm_cli_out_format(p->out, "%" PRId64, cm_array_shape(array)[i]);
    }
    cm_cli_out_format(p->out, ") %s\n", cm_dtype_name(cm_array_dtype(array), name, sizeof name));
}

/* Chunks of HDF5 without a filter are decoded like others, but nothing is done to their bytes. */
static bool is_uncompressed(const cm_storage *s)
{
    return s->raw || (s->codecs && strcmp(s->codecs, "none") == 0);
}

/* Decoded bytes of v, 0 when they do not fit or are not fixed. */
static uint64_t decoded_bytes(const cm_variable *v)
{
    cm_array *array = cm_variable_array(v);
    uint64_t n = cm_array_dtype(array).kind == CM_STRING ? 0 : cm_array_dtype(array).size;
    for (int i = 0; i < cm_array_ndim(array); i++)
        if (__builtin_mul_overflow(n, (uint64_t)cm_array_shape(array)[i], &n))
            return 0;
    return n;
}

static void put_counts(const picture *p, const cm_variable *v, const cm_cli_chunks *c)
{
    char size[16];
    const cm_storage *s = cm_variable_storage(v);
    const char *unit = s->shards ? "shard" : "chunk", *plural = cm_cli_plural(c->total);
    if (c->problem.code && !p->cli->args.count_chunks)
        return; /* nobody asked */
    if (c->problem.code) {
        char line[2300];
        cm_cli_out_text(p->out, ", not counted: ");
        cm_cli_out_name(p->out, cm_error_line(&c->problem, line, sizeof line));
        if (!p->worst->code)
            *p->worst = c->problem;
        return;
    }
    if (!c->counted) {
        cm_cli_out_format(p->out, ", %" PRId64 " %s%s", c->total, unit, plural);
        return;
    }
    if (s->chunks)
        cm_cli_out_format(p->out, ", %" PRId64 " of %" PRId64 " %s%s", c->present, c->total, unit,
                          plural);
    cm_cli_out_format(p->out, ", %s", cm_cli_size_text(c->stored_bytes, size, sizeof size));
    uint64_t whole = decoded_bytes(v);
    if (c->stored_bytes > 0 && whole > 0 && !is_uncompressed(s) && c->present == c->total)
        cm_cli_out_format(p->out, " of %s (%.1f : 1)", cm_cli_size_text(whole, size, sizeof size),
                          (double)whole / (double)c->stored_bytes);
}

static int put_storage(const picture *p, const cm_variable *v, cm_error *err)
{
    const cm_storage *s = cm_variable_storage(v);
    int ndim = cm_array_ndim(cm_variable_array(v));
    cm_dtype dtype = cm_array_dtype(cm_variable_array(v));
    cm_cli_chunks counts;
    int ret = cm_cli_chunks_count(p->cli, v, &counts, err);
    if (ret < 0 || !s)
        return ret;
    char name[CM_DTYPE_NAME];
    cm_cli_out_text(p->out, "        stored: ");
    if (s->stored_dtype && strcmp(s->stored_dtype, cm_dtype_name(dtype, name, sizeof name)) != 0) {
        cm_cli_out_name(p->out, s->stored_dtype);
        cm_cli_out_text(p->out, ", ");
    }
    if (s->chunks) {
        cm_cli_out_text(p->out, "chunks ");
        put_lengths(p->out, s->chunks, ndim);
    } else {
        cm_cli_out_text(p->out, "contiguous");
    }
    if (s->shards) {
        cm_cli_out_text(p->out, ", shards ");
        put_lengths(p->out, s->shards, ndim);
    }
    if (s->lengths) {
        cm_cli_out_format(p->out, " at most, of %.80s%s", s->lengths,
                          strlen(s->lengths) > 80 ? "..." : "");
    }
    if (is_uncompressed(s)) {
        cm_cli_out_text(p->out, ", uncompressed");
    } else if (s->codecs && *s->codecs) {
        cm_cli_out_text(p->out, ", ");
        cm_cli_out_name(p->out, s->codecs);
    }
    put_counts(p, v, &counts);
    cm_cli_out_char(p->out, '\n');
    return 0;
}

/* "5", not "5.0": a step is for people. */
static char *step_text(double step, char *buf)
{
    cm_double_text(step, buf);
    size_t n = strlen(buf);
    if (n > 2 && strcmp(buf + n - 2, ".0") == 0)
        buf[n - 2] = '\0';
    return buf;
}

static void put_step(const picture *p, const cm_cli_axis *a)
{
    char step[40], most[40];
    const char *space = a->unit[0] ? " " : "";
    size_t n = strlen(a->unit);
    bool one = a->step == 1 && n > 3 && a->unit[n - 1] == 's'; /* "1 day", but "1 ms" */
    if (a->regular)
        cm_cli_out_format(p->out, ", step %s%s%.*s", step_text(a->step, step), space,
                          (int)(one ? n - 1 : n), a->unit);
    else
        cm_cli_out_format(p->out, ", irregular: steps from %s to %s%s%s",
                          step_text(a->least_step, step), step_text(a->most_step, most), space,
                          a->unit);
}

static void put_axis(const picture *p, const cm_cli_axis *a)
{
    char line[2300];
    if (a->problem.code) {
        cm_cli_out_text(p->out, "        values: cannot be read: ");
        cm_cli_out_name(p->out, cm_error_line(&a->problem, line, sizeof line));
        cm_cli_out_char(p->out, '\n');
    }
    if (!a->known)
        return;
    const char *first = a->is_time ? a->first_time : a->first_text;
    const char *last = a->is_time ? a->last_time : a->last_text;
    cm_cli_out_format(p->out, "        values: %s", first);
    if (strcmp(first, last) != 0)
        cm_cli_out_format(p->out, " to %s", last);
    if (a->stepped)
        put_step(p, a);
    cm_cli_out_char(p->out, '\n');
}

static int put_variable(const picture *p, const cm_variable *v, cm_error *err)
{
    put_heading(p, v);
    const cm_error *problem = cm_variable_problem(v);
    if (problem) {
        char line[2300];
        cm_cli_out_text(p->out, "        ");
        cm_cli_out_style(p->out, CM_CLI_YELLOW);
        cm_cli_out_text(p->out, "cannot be read: ");
        cm_cli_out_name(p->out, problem->message);
        cm_cli_out_style(p->out, CM_CLI_PLAIN);
        if (problem->hint[0]) {
            snprintf(line, sizeof line, " (%s)", problem->hint);
            cm_cli_out_name(p->out, line);
        }
        cm_cli_out_char(p->out, '\n');
    } else {
        cm_cli_axis axis;
        int ret = put_storage(p, v, err);
        if (ret < 0)
            return ret;
        if (cm_cli_axis_look(p->cli, v, &axis))
            put_axis(p, &axis);
    }
    for (size_t i = 0; i < cm_variable_nattributes(v); i++)
        put_attribute(p, 8, cm_variable_attribute(v, i));
    return 0;
}

static void put_dimensions(const picture *p, const cm_group *g)
{
    if (cm_group_ndimensions(g) > 0)
        cm_cli_out_text(p->out, "dimensions\n");
    for (size_t i = 0; i < cm_group_ndimensions(g); i++) {
        const cm_dimension *d = cm_group_dimension(g, i);
        cm_cli_out_spaces(p->out, 4);
        cm_cli_out_name(p->out, d->name);
        cm_cli_out_format(p->out, " = %" PRId64 "%s\n", d->length,
                          d->unlimited ? " (unlimited)" : "");
    }
}

static int put_group(const picture *p, const cm_group *g, bool top, cm_error *err)
{
    int ret = 0;
    bool any = false;
    if (!top || cm_group_parent(g)) {
        cm_cli_out_text(p->out, "\ngroup ");
        cm_cli_out_style(p->out, CM_CLI_BOLD);
        cm_cli_out_name(p->out, cm_group_path(g));
        cm_cli_out_style(p->out, CM_CLI_PLAIN);
        cm_cli_out_char(p->out, '\n');
    }
    put_dimensions(p, g);
    for (size_t i = 0; i < cm_group_nvariables(g) && ret == 0; i++) {
        const cm_variable *v = cm_group_variable(g, i);
        if (!cm_cli_info_shows(p->cli, v))
            continue;
        cm_cli_out_text(p->out, any ? "" : "variables\n");
        any = true;
        ret = put_variable(p, v, err);
    }
    if (cm_group_nattributes(g) > 0)
        cm_cli_out_text(p->out, "attributes\n");
    for (size_t i = 0; i < cm_group_nattributes(g); i++)
        put_attribute(p, 4, cm_group_attribute(g, i));
    for (size_t i = 0; i < cm_group_ngroups(g) && ret == 0; i++)
        ret = put_group(p, cm_group_at(g, i), false, err);
    return ret;
}

int cm_cli_info_text(cm_cli *cli, const cm_dataset *ds, const cm_group *g, cm_error *worst,
                     cm_error *err)
{
    picture p = {.cli = cli, .out = &cli->out, .worst = worst};
    cm_cli_out_name(p.out, cm_dataset_uri(ds));
    cm_cli_out_text(p.out, ": ");
    cm_cli_out_name(p.out, cm_dataset_format(ds));
    cm_cli_out_char(p.out, '\n');
    cm_cli_join_text(cm_dataset_join_report(ds), p.out);
    return put_group(&p, g, true, err);
}
