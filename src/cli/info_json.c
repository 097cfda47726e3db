/* cli/info_json.c: the same tree as JSON; docs/commands/info.md describes the shape.
 *
 * Members are always there and null when they do not apply, so that a reader need not ask for
 * presence. New members may come; none changes its meaning.
 */
#include <string.h>

#include "cli/celltext.h"
#include "cli/info.h"
#include "cli/sources.h"

typedef struct writer {
    cm_cli *cli;
    cm_cli_json json;
    cm_error *worst;
} writer;

static void put_type(cm_cli_json *json, const char *key, cm_dtype dtype)
{
    char name[CM_DTYPE_NAME];
    cm_cli_json_key(json, key);
    cm_cli_json_string(json,
                       dtype.kind == CM_NONE ? NULL : cm_dtype_name(dtype, name, sizeof name));
}

static void put_attribute(cm_cli_json *json, const cm_attribute *a)
{
    cm_cli_json_key(json, a->name);
    cm_cli_json_object(json);
    put_type(json, "type", a->dtype);
    cm_cli_json_key(json, "value");
    cm_cli_json_value(json, a->value);
    cm_cli_json_close(json, '}');
}

static void put_text(cm_cli_json *json, const char *key, const char *text, bool known)
{
    cm_cli_json_key(json, key);
    if (known) {
        cm_cli_json_raw(json);
        cm_cli_out_text(json->out, text);
    } else {
        cm_cli_json_null(json);
    }
}

static void put_axis(cm_cli_json *json, const cm_cli_axis *a)
{
    cm_cli_json_object(json);
    put_text(json, "first", a->first_text, a->known && a->first_text[0]);
    put_text(json, "last", a->last_text, a->known && a->last_text[0]);
    cm_cli_json_key(json, "step");
    if (a->stepped && a->regular)
        cm_cli_json_double(json, a->step);
    else
        cm_cli_json_null(json);
    cm_cli_json_key(json, "regular");
    if (a->stepped)
        cm_cli_json_bool(json, a->regular);
    else
        cm_cli_json_null(json);
    cm_cli_json_key(json, "first_time");
    cm_cli_json_string(json, a->is_time ? a->first_time : NULL);
    cm_cli_json_key(json, "last_time");
    cm_cli_json_string(json, a->is_time ? a->last_time : NULL);
    cm_cli_json_key(json, "problem");
    if (a->problem.code)
        cm_cli_json_error(json, &a->problem, -1);
    else
        cm_cli_json_null(json);
    cm_cli_json_close(json, '}');
}

static int put_counts(writer *w, const cm_variable *v, cm_error *err)
{
    cm_cli_json *json = &w->json;
    cm_cli_chunks c;
    int ret = cm_cli_chunks_count(w->cli, v, &c, err);
    if (ret < 0)
        return ret;
    if (c.problem.code && !w->worst->code && w->cli->args.count_chunks)
        *w->worst = c.problem;
    cm_cli_json_key(json, "chunks_total");
    cm_cli_json_int(json, c.total);
    cm_cli_json_key(json, "chunks_present");
    if (c.counted)
        cm_cli_json_int(json, c.present);
    else
        cm_cli_json_null(json);
    cm_cli_json_key(json, "stored_bytes");
    if (c.counted)
        cm_cli_json_uint(json, c.stored_bytes);
    else
        cm_cli_json_null(json);
    return 0;
}

static int put_array(writer *w, const cm_variable *v, cm_array *array, cm_error *err)
{
    cm_cli_json *json = &w->json;
    const cm_storage *s = cm_variable_storage(v);
    int ndim = cm_array_ndim(array);
    put_type(json, "dtype", cm_array_dtype(array));
    cm_cli_json_key(json, "dimensions");
    cm_cli_json_row(json);
    for (int i = 0; i < ndim; i++)
        cm_cli_json_string(json, cm_variable_dimension(v, i));
    cm_cli_json_close(json, ']');
    cm_cli_json_key(json, "shape");
    cm_cli_json_shape(json, cm_array_shape(array), ndim);
    cm_cli_json_key(json, "chunks");
    cm_cli_json_shape(json, s ? s->chunks : NULL, ndim);
    cm_cli_json_key(json, "shards");
    cm_cli_json_shape(json, s ? s->shards : NULL, ndim);
    if (s && s->lengths) {
        cm_cli_json_key(json, "chunk_lengths");
        cm_cli_json_raw(json);
        cm_cli_out_text(json->out, s->lengths);
    }
    cm_cli_json_key(json, "codecs");
    cm_cli_json_string(json, s && s->codecs && *s->codecs ? s->codecs : NULL);
    cm_cli_json_key(json, "stored_dtype");
    cm_cli_json_string(json, s ? s->stored_dtype : NULL);
    cm_cli_json_key(json, "fill_value");
    if (cm_array_fill(array)) {
        cm_cli_json_raw(json);
        cm_cli_cell(json->out, cm_array_dtype(array), cm_array_fill(array), true);
    } else {
        cm_cli_json_null(json);
    }
    int ret = put_counts(w, v, err);
    if (ret < 0)
        return ret;
    cm_cli_axis axis;
    bool is_axis = cm_cli_axis_look(w->cli, v, &axis);
    cm_cli_json_key(json, "coordinate");
    if (is_axis)
        put_axis(json, &axis);
    else
        cm_cli_json_null(json);
    return 0;
}

static int put_variable(writer *w, const cm_variable *v, cm_error *err)
{
    cm_cli_json *json = &w->json;
    cm_array *array = cm_variable_array(v);
    cm_cli_json_object(json);
    cm_cli_json_key(json, "name");
    cm_cli_json_string(json, cm_variable_name(v));
    cm_cli_json_key(json, "path");
    cm_cli_json_string(json, cm_variable_path(v));
    cm_cli_json_key(json, "problem");
    if (cm_variable_problem(v))
        cm_cli_json_error(json, cm_variable_problem(v), -1);
    else
        cm_cli_json_null(json);
    int ret = array ? put_array(w, v, array, err) : 0;
    if (ret < 0)
        return ret;
    cm_cli_json_key(json, "attributes");
    cm_cli_json_object(json);
    for (size_t i = 0; i < cm_variable_nattributes(v); i++)
        put_attribute(json, cm_variable_attribute(v, i));
    cm_cli_json_close(json, '}');
    cm_cli_json_close(json, '}');
    return 0;
}

static void put_dimensions(cm_cli_json *json, const cm_group *g)
{
    cm_cli_json_key(json, "dimensions");
    cm_cli_json_array(json);
    for (size_t i = 0; i < cm_group_ndimensions(g); i++) {
        const cm_dimension *d = cm_group_dimension(g, i);
        cm_cli_json_object(json);
        cm_cli_json_key(json, "name");
        cm_cli_json_string(json, d->name);
        cm_cli_json_key(json, "length");
        cm_cli_json_int(json, d->length);
        cm_cli_json_key(json, "unlimited");
        cm_cli_json_bool(json, d->unlimited);
        cm_cli_json_close(json, '}');
    }
    cm_cli_json_close(json, ']');
}

static int put_group(writer *w, const cm_group *g, cm_error *err)
{
    cm_cli_json *json = &w->json;
    int ret = 0;
    cm_cli_json_object(json);
    cm_cli_json_key(json, "name");
    cm_cli_json_string(json, cm_group_name(g));
    cm_cli_json_key(json, "path");
    cm_cli_json_string(json, cm_group_path(g));
    put_dimensions(json, g);
    cm_cli_json_key(json, "attributes");
    cm_cli_json_object(json);
    for (size_t i = 0; i < cm_group_nattributes(g); i++)
        put_attribute(json, cm_group_attribute(g, i));
    cm_cli_json_close(json, '}');
    cm_cli_json_key(json, "variables");
    cm_cli_json_array(json);
    for (size_t i = 0; i < cm_group_nvariables(g) && ret == 0; i++)
        if (cm_cli_info_shows(w->cli, cm_group_variable(g, i)))
            ret = put_variable(w, cm_group_variable(g, i), err);
    cm_cli_json_close(json, ']');
    cm_cli_json_key(json, "groups");
    cm_cli_json_array(json);
    for (size_t i = 0; i < cm_group_ngroups(g) && ret == 0; i++)
        ret = put_group(w, cm_group_at(g, i), err);
    cm_cli_json_close(json, ']');
    cm_cli_json_close(json, '}');
    return ret;
}

int cm_cli_info_json(cm_cli *cli, const cm_dataset *ds, const cm_group *g, cm_error *worst,
                     cm_error *err)
{
    writer w = {.cli = cli, .worst = worst};
    cm_cli_json_init(&w.json, &cli->out, false);
    cm_cli_json_object(&w.json);
    cm_cli_json_key(&w.json, "uri");
    cm_cli_json_string(&w.json, cm_dataset_uri(ds));
    cm_cli_json_key(&w.json, "format");
    cm_cli_json_string(&w.json, cm_dataset_format(ds));
    cm_cli_join_json(cm_dataset_join_report(ds), &w.json);
    cm_cli_json_key(&w.json, "root");
    int ret = put_group(&w, g, err);
    cm_cli_json_close(&w.json, '}');
    return ret;
}
