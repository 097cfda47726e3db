/* format/refs/refs_template.c: the part of Jinja that kerchunk files use.
 *
 *     {{name}}                 a template or a variable of `gen`
 *     {{name(a='x', b=3)}}     a template that holds {{ }} itself, rendered with these
 *     {{ (i + 1) * 4 // 3 }}   integers, + - * // %, parentheses, unary minus
 *     {{ '%03d' % i }}         a number in a text
 *     {{ 'a' + name }}, ~      joining texts
 *
 * Everything else (filters, statements, lists, true division) is refused by name: a template that
 * is half understood would name a wrong file. Source: fsspec's reference file system and its
 * specification; Jinja's documentation of expressions.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "format/refs/refs.h"

enum { MAX_DEPTH = 32, MAX_TEXT = 1 << 16, MAX_ARGUMENTS = 16 };

typedef struct value {
    bool is_text;
    int64_t number;
    cm_buffer text; /* deinit'ed by who holds it */
} value;

typedef struct parser {
    const char *at, *end, *all; /* all: for messages */
    const cm_json *templates;
    const cm_refs_variable *variables;
    size_t nvariables;
    int depth;
} parser;

static int sum(parser *p, value *v, cm_error *err);
static int render(const char *text, const cm_json *templates, const cm_refs_variable *variables,
                  size_t n, int depth, cm_buffer *out, cm_error *err);

static int refuse(const parser *p, const char *what, cm_error *err)
{
    return cm_error_set(err, CM_EUNSUP, "template \"%.200s\": %s", p->all, what);
}

static void space(parser *p)
{
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\t' || *p->at == '\n'))
        p->at++;
}

static bool take(parser *p, const char *token)
{
    size_t n = strlen(token);
    space(p);
    if ((size_t)(p->end - p->at) < n || memcmp(p->at, token, n) != 0)
        return false;
    p->at += n;
    return true;
}

static bool letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool decimal(char c)
{
    return c >= '0' && c <= '9';
}

static int name_of(parser *p, char *name, size_t size, cm_error *err)
{
    size_t n = 0;
    space(p);
    while (p->at < p->end && (letter(*p->at) || (n && decimal(*p->at)))) {
        if (n + 1 >= size)
            return refuse(p, "a name of more than 63 letters", err);
        name[n++] = *p->at++;
    }
    name[n] = 0;
    return n ? 0 : refuse(p, "this is not understood", err);
}

static int number(parser *p, value *v, cm_error *err)
{
    v->number = 0;
    while (p->at < p->end && decimal(*p->at)) {
        if (!cm_mul_i64(v->number, 10, &v->number) ||
            !cm_add_i64(v->number, *p->at - '0', &v->number))
            return refuse(p, "a number beyond 2^63", err);
        p->at++;
    }
    if (p->at < p->end && (*p->at == '.' || letter(*p->at)))
        return refuse(p, "only whole numbers are understood", err);
    return 0;
}

static int quoted(parser *p, value *v, cm_error *err)
{
    char quote = *p->at++;
    const char *start = p->at;
    while (p->at < p->end && *p->at != quote && *p->at != '\\')
        p->at++;
    if (p->at == p->end || *p->at != quote)
        return refuse(p, "a text without an end, or with an escape", err);
    v->is_text = true;
    return cm_buffer_append(&v->text, start, (size_t)(p->at++ - start), err);
}

/* The arguments of a call, then the template rendered with them. */
static int call(parser *p, const char *text, value *v, cm_error *err)
{
    cm_refs_variable arguments[MAX_ARGUMENTS];
    char names[MAX_ARGUMENTS][64];
    value values[MAX_ARGUMENTS];
    size_t n = 0;
    int r = 0;
    while (r == 0 && !take(p, ")")) {
        if (n && !take(p, ","))
            r = refuse(p, "the arguments of a call are not understood", err);
        else if (n == MAX_ARGUMENTS)
            r = refuse(p, "more than 16 arguments", err);
        if (r == 0)
            r = name_of(p, names[n], sizeof names[n], err);
        if (r == 0 && !take(p, "="))
            r = refuse(p, "an argument without a name", err);
        if (r)
            break;
        values[n] = (value){0};
        cm_buffer_init(&values[n].text, MAX_TEXT);
        r = sum(p, &values[n], err);
        if (r == 0 && values[n].is_text)
            r = cm_buffer_append(&values[n].text, "", 1, err);
        arguments[n] = (cm_refs_variable){
            names[n], values[n].is_text ? (const char *)values[n].text.data : NULL,
            values[n].number};
        n++;
    }
    v->is_text = true;
    if (r == 0)
        r = render(text, NULL, arguments, n, p->depth + 1, &v->text, err);
    while (n)
        cm_buffer_deinit(&values[--n].text);
    return r;
}

static int named(parser *p, value *v, cm_error *err)
{
    char name[64];
    int r = name_of(p, name, sizeof name, err);
    if (r)
        return r;
    for (size_t i = 0; i < p->nvariables; i++)
        if (!strcmp(p->variables[i].name, name)) {
            v->is_text = p->variables[i].text != NULL;
            v->number = p->variables[i].value;
            return v->is_text ? cm_buffer_append_string(&v->text, p->variables[i].text, err) : 0;
        }
    const char *text = cm_json_string(cm_json_get(p->templates, name));
    if (!text) {
        cm_error_set(err, CM_EDATA, "template \"%.200s\": there is no template \"%s\"", p->all,
                     name);
        return CM_EDATA;
    }
    bool function = strstr(text, "{{") != NULL;
    if (take(p, "(")) {
        if (!function)
            return refuse(p, "a template without arguments is called", err);
        return call(p, text, v, err);
    }
    if (function)
        return refuse(p, "a template with arguments is used without them", err);
    v->is_text = true;
    return cm_buffer_append_string(&v->text, text, err);
}

static int atom(parser *p, value *v, cm_error *err)
{
    if (++p->depth > MAX_DEPTH)
        return refuse(p, "nested too deep", err);
    int r;
    space(p);
    if (take(p, "(")) {
        r = sum(p, v, err);
        if (r == 0 && !take(p, ")"))
            r = refuse(p, "a bracket is not closed", err);
    } else if (take(p, "-")) {
        r = atom(p, v, err);
        if (r == 0 && (v->is_text || !cm_mul_i64(v->number, -1, &v->number)))
            r = refuse(p, "minus what is not a number", err);
    } else if (p->at < p->end && decimal(*p->at)) {
        r = number(p, v, err);
    } else if (p->at < p->end && (*p->at == '\'' || *p->at == '"')) {
        r = quoted(p, v, err);
    } else {
        r = named(p, v, err);
    }
    p->depth--;
    return r;
}

/* text % number: one %d, with a width and leading zeros as the text says. */
static int put_number(parser *p, value *v, int64_t n, cm_error *err)
{
    cm_buffer out;
    cm_buffer_init(&out, MAX_TEXT);
    int r = cm_buffer_append(&v->text, "", 1, err), done = 0;
    for (const char *s = (const char *)v->text.data; r == 0 && *s; s++) {
        if (*s != '%') {
            r = cm_buffer_append(&out, s, 1, err);
        } else if (s[1] == '%') {
            r = cm_buffer_append(&out, s++, 1, err);
        } else {
            bool zeros = s[1] == '0';
            int width = 0;
            for (s++; decimal(*s) && width < 100; s++)
                width = 10 * width + (*s - '0');
            if ((*s != 'd' && *s != 'i') || width >= 100 || done++)
                r = refuse(p, "this format of a number is not understood", err);
            else if (zeros)
                r = cm_buffer_printf(&out, err, "%0*" PRId64, width, n);
            else
                r = cm_buffer_printf(&out, err, "%*" PRId64, width, n);
        }
    }
    if (r == 0 && !done)
        r = refuse(p, "% with a text that has no %d", err);
    cm_buffer_deinit(&v->text);
    v->text = out;
    return r;
}

/* As Python has it: rounded down, the remainder with the divisor's sign. */
static int divide(parser *p, char op, int64_t b, int64_t *a, cm_error *err)
{
    if (b == 0 || (*a == INT64_MIN && b == -1))
        return refuse(p, "a division by zero", err);
    int64_t q = *a / b, m = *a % b;
    if (m && (m < 0) != (b < 0)) {
        q--;
        m += b;
    }
    *a = op == '%' ? m : q;
    return 0;
}

static int product(parser *p, value *v, cm_error *err)
{
    int r = atom(p, v, err);
    while (r == 0) {
        char op = take(p, "//") ? '/' : take(p, "*") ? '*' : take(p, "%") ? '%' : 0;
        if (!op)
            return 0;
        value b = {0};
        cm_buffer_init(&b.text, MAX_TEXT);
        r = atom(p, &b, err);
        if (r == 0 && op == '%' && v->is_text && !b.is_text)
            r = put_number(p, v, b.number, err);
        else if (r == 0 && (v->is_text || b.is_text))
            r = refuse(p, "arithmetic with texts", err);
        else if (r == 0 && op != '*')
            r = divide(p, op, b.number, &v->number, err);
        else if (r == 0 && !cm_mul_i64(v->number, b.number, &v->number))
            r = refuse(p, "a number beyond 2^63", err);
        cm_buffer_deinit(&b.text);
    }
    return r;
}

static int as_text(value *v, cm_error *err)
{
    if (v->is_text)
        return 0;
    v->is_text = true;
    return cm_buffer_printf(&v->text, err, "%" PRId64, v->number);
}

static int sum(parser *p, value *v, cm_error *err)
{
    int r = product(p, v, err);
    while (r == 0) {
        char op = take(p, "+") ? '+' : take(p, "-") ? '-' : take(p, "~") ? '~' : 0;
        if (!op)
            return 0;
        value b = {0};
        cm_buffer_init(&b.text, MAX_TEXT);
        r = product(p, &b, err);
        bool join = op == '~' || (op == '+' && v->is_text && b.is_text);
        if (r == 0 && join) {
            r = as_text(v, err);
            if (r == 0)
                r = as_text(&b, err);
            if (r == 0)
                r = cm_buffer_append(&v->text, b.text.data, b.text.nbytes, err);
        } else if (r == 0 && (v->is_text || b.is_text)) {
            r = refuse(p, "arithmetic with texts", err);
        } else if (r == 0 &&
                   !(op == '+' ? cm_add_i64(v->number, b.number, &v->number)
                               : !__builtin_sub_overflow(v->number, b.number, &v->number))) {
            r = refuse(p, "a number beyond 2^63", err);
        }
        cm_buffer_deinit(&b.text);
    }
    return r;
}

static int expression(parser *p, cm_buffer *out, cm_error *err)
{
    value v = {0};
    cm_buffer_init(&v.text, MAX_TEXT);
    int r = sum(p, &v, err);
    space(p);
    if (r == 0 && p->at != p->end)
        r = refuse(p, "this is not understood", err);
    if (r == 0)
        r = as_text(&v, err);
    if (r == 0)
        r = cm_buffer_append(out, v.text.data, v.text.nbytes, err);
    cm_buffer_deinit(&v.text);
    return r;
}

static int render(const char *text, const cm_json *templates, const cm_refs_variable *variables,
                  size_t n, int depth, cm_buffer *out, cm_error *err)
{
    parser p = {.all = text,
                .templates = templates,
                .variables = variables,
                .nvariables = n,
                .depth = depth};
    int r = 0;
    if (depth > MAX_DEPTH)
        return refuse(&p, "nested too deep", err);
    if (strstr(text, "{%") || strstr(text, "{#"))
        return refuse(&p, "statements and comments are not understood", err);
    while (r == 0) {
        const char *open = strstr(text, "{{");
        if (!open)
            return cm_buffer_append_string(out, text, err);
        r = cm_buffer_append(out, text, (size_t)(open - text), err);
        p.at = open + 2;
        p.end = strstr(p.at, "}}");
        if (!p.end)
            return refuse(&p, "{{ without }}", err);
        text = p.end + 2;
        if (r == 0)
            r = expression(&p, out, err);
    }
    return r;
}

int cm_refs_render(const char *text, const cm_json *templates, const cm_refs_variable *variables,
                   size_t n, cm_buffer *out, cm_error *err)
{
    return render(text, templates, variables, n, 0, out, err);
}
