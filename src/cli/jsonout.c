/* cli/jsonout.c: a streaming JSON writer, two spaces a level. */
#include <inttypes.h>

#include "cli/jsonout.h"

enum { LEVELS = 128 };

void cm_cli_json_init(cm_cli_json *json, cm_cli_out *out, bool flat)
{
    *json = (cm_cli_json){.out = out, .flat = flat};
}

static bool *filled_at(cm_cli_json *json)
{
    return &json->filled[json->depth < LEVELS ? json->depth : LEVELS - 1];
}

static bool on_one_line(const cm_cli_json *json)
{
    return json->flat || json->depth == 0 || json->depth >= LEVELS || json->inline_[json->depth];
}

static void break_line(cm_cli_json *json, int depth)
{
    cm_cli_out_char(json->out, '\n');
    cm_cli_out_spaces(json->out, 2 * (size_t)depth);
}

void cm_cli_json_raw(cm_cli_json *json)
{
    if (json->after_key) {
        json->after_key = false;
        return;
    }
    if (*filled_at(json) && json->depth > 0)
        cm_cli_out_text(json->out, on_one_line(json) ? ", " : ",");
    *filled_at(json) = true;
    if (!on_one_line(json))
        break_line(json, json->depth);
}

static void open_level(cm_cli_json *json, char bracket, bool one_line)
{
    bool inside = json->depth > 0 && json->depth < LEVELS && json->inline_[json->depth];
    cm_cli_json_raw(json);
    cm_cli_out_char(json->out, bracket);
    json->depth++;
    if (json->depth < LEVELS)
        json->inline_[json->depth] = one_line || inside;
    *filled_at(json) = false;
}

void cm_cli_json_object(cm_cli_json *json)
{
    open_level(json, '{', false);
}

void cm_cli_json_array(cm_cli_json *json)
{
    open_level(json, '[', false);
}

void cm_cli_json_row(cm_cli_json *json)
{
    open_level(json, '[', true);
}

void cm_cli_json_close(cm_cli_json *json, char bracket)
{
    bool lines = *filled_at(json) && !on_one_line(json);
    json->depth--;
    if (lines)
        break_line(json, json->depth);
    cm_cli_out_char(json->out, bracket);
    *filled_at(json) = true;
    if (json->depth == 0)
        cm_cli_out_char(json->out, '\n');
}

void cm_cli_json_key(cm_cli_json *json, const char *key)
{
    cm_cli_json_string(json, key);
    cm_cli_out_text(json->out, ": ");
    json->after_key = true;
}

void cm_cli_json_string(cm_cli_json *json, const char *text)
{
    cm_cli_json_raw(json);
    if (!text) {
        cm_cli_out_text(json->out, "null");
        return;
    }
    size_t n = 0;
    while (text[n])
        n++;
    cm_cli_out_quoted(json->out, text, n);
}

void cm_cli_json_int(cm_cli_json *json, int64_t v)
{
    cm_cli_json_raw(json);
    cm_cli_out_format(json->out, "%" PRId64, v);
}

void cm_cli_json_uint(cm_cli_json *json, uint64_t v)
{
    cm_cli_json_raw(json);
    cm_cli_out_format(json->out, "%" PRIu64, v);
}

void cm_cli_json_double(cm_cli_json *json, double v)
{
    char text[40];
    cm_cli_json_raw(json);
    cm_cli_out_text(json->out, cm_double_text(v, text));
}

void cm_cli_json_bool(cm_cli_json *json, bool v)
{
    cm_cli_json_raw(json);
    cm_cli_out_text(json->out, v ? "true" : "false");
}

void cm_cli_json_null(cm_cli_json *json)
{
    cm_cli_json_raw(json);
    cm_cli_out_text(json->out, "null");
}

void cm_cli_json_value(cm_cli_json *json, const cm_json *v)
{
    switch (cm_json_type_of(v)) {
    case CM_JSON_NULL: cm_cli_json_null(json); break;
    case CM_JSON_BOOL: cm_cli_json_bool(json, cm_json_bool(v, false)); break;
    case CM_JSON_NUMBER:
        cm_cli_json_raw(json);
        cm_cli_out_text(json->out, cm_json_number_text(v));
        break;
    case CM_JSON_STRING:
        cm_cli_json_raw(json);
        cm_cli_out_quoted(json->out, cm_json_string(v), cm_json_string_nbytes(v));
        break;
    case CM_JSON_ARRAY: {
        cm_json_type inner = cm_json_type_of(cm_json_at(v, 0));
        bool nested = inner == CM_JSON_ARRAY || inner == CM_JSON_OBJECT;
        open_level(json, '[', !nested);
        for (size_t i = 0; i < cm_json_count(v); i++)
            cm_cli_json_value(json, cm_json_at(v, i));
        cm_cli_json_close(json, ']');
        break;
    }
    case CM_JSON_OBJECT:
        cm_cli_json_object(json);
        for (size_t i = 0; i < cm_json_count(v); i++) {
            cm_cli_json_key(json, cm_json_key(v, i));
            cm_cli_json_value(json, cm_json_at(v, i));
        }
        cm_cli_json_close(json, '}');
        break;
    }
}

void cm_cli_json_shape(cm_cli_json *json, const int64_t *lengths, int ndim)
{
    if (!lengths) {
        cm_cli_json_null(json);
        return;
    }
    cm_cli_json_row(json);
    for (int i = 0; i < ndim; i++)
        cm_cli_json_int(json, lengths[i]);
    cm_cli_json_close(json, ']');
}

static void part(cm_cli_json *json, const char *key, const char *text)
{
    cm_cli_json_key(json, key);
    cm_cli_json_string(json, *text ? text : NULL);
}

void cm_cli_json_error(cm_cli_json *json, const cm_error *err, int exit_code)
{
    cm_cli_json_object(json);
    part(json, "object", err->object);
    part(json, "variable", err->variable);
    part(json, "message", err->message);
    part(json, "hint", err->hint);
    part(json, "code", cm_code_name(err->code));
    if (exit_code >= 0) {
        cm_cli_json_key(json, "exit");
        cm_cli_json_int(json, exit_code);
    }
    cm_cli_json_close(json, '}');
}
