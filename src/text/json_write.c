/* text/json_write.c: a tree as text, laid out as Python's json.dumps does with the same indent.
 *
 * Only what must be escaped is: quotes, backslashes and control characters. A string that is not
 * UTF-8 cannot be said in JSON and is an error, not a replacement character.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "text/json_private.h"
#include "text/utf8.h"

typedef struct writer {
    cm_buffer out;
    int indent;
    cm_error *err;
} writer;

static int put(writer *w, const char *s, size_t nbytes)
{
    return cm_buffer_append(&w->out, s, nbytes, w->err);
}

static int new_line(writer *w, int depth)
{
    static const char spaces[] = "                                                                ";
    if (!w->indent)
        return 0;
    int r = put(w, "\n", 1);
    for (size_t left = (size_t)depth * (size_t)w->indent; r == 0 && left > 0;) {
        size_t n = left < sizeof spaces - 1 ? left : sizeof spaces - 1;
        r = put(w, spaces, n);
        left -= n;
    }
    return r;
}

static int put_escape(writer *w, unsigned char c)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    char text[8];
    const char *at = c ? strchr(from, c) : NULL;
    int n = at ? snprintf(text, sizeof text, "\\%c", to[at - from])
               : snprintf(text, sizeof text, "\\u%04x", c);
    return put(w, text, (size_t)n);
}

static int put_string(writer *w, const char *s, size_t nbytes)
{
    size_t good = cm_utf8_span(s, nbytes);
    if (good != nbytes)
        return cm_error_set(w->err, CM_EDATA, "a string is not UTF-8 (byte %zu of %zu)", good,
                            nbytes);
    int r = put(w, "\"", 1);
    for (size_t i = 0; r == 0 && i < nbytes;) {
        size_t run = i;
        while (run < nbytes && (unsigned char)s[run] >= 0x20 && s[run] != '"' && s[run] != '\\')
            run++;
        r = put(w, s + i, run - i);
        if (r == 0 && run < nbytes)
            r = put_escape(w, (unsigned char)s[run++]);
        i = run;
    }
    return r ? r : put(w, "\"", 1);
}

static int put_value(writer *w, const cm_json *v, int depth);

static int put_members(writer *w, const cm_json *v, int depth)
{
    bool object = v->type == CM_JSON_OBJECT;
    size_t n = cm_json_count(v);
    if (depth >= CM_JSON_MAX_DEPTH)
        return cm_error_set(w->err, CM_ELIMIT, "JSON of more than %d levels", CM_JSON_MAX_DEPTH);
    int r = put(w, object ? "{" : "[", 1);
    for (size_t i = 0; r == 0 && i < n; i++) {
        if (i > 0)
            r = put(w, ", ", w->indent ? 1 : 2);
        if (r == 0)
            r = new_line(w, depth + 1);
        if (r == 0 && object) {
            const cm_json_member *m = &v->u.object.members[i];
            r = put_string(w, m->key, m->key_nbytes);
            if (r == 0)
                r = put(w, ": ", 2);
        }
        if (r == 0)
            r = put_value(w, cm_json_at(v, i), depth + 1);
    }
    if (r == 0 && n > 0)
        r = new_line(w, depth);
    return r ? r : put(w, object ? "}" : "]", 1);
}

static int put_value(writer *w, const cm_json *v, int depth)
{
    switch (cm_json_type_of(v)) {
    case CM_JSON_NULL: return put(w, "null", 4);
    case CM_JSON_BOOL: return v->truth ? put(w, "true", 4) : put(w, "false", 5);
    case CM_JSON_NUMBER: return put(w, v->u.text.data, v->u.text.nbytes);
    case CM_JSON_STRING: return put_string(w, v->u.text.data, v->u.text.nbytes);
    case CM_JSON_ARRAY:
    case CM_JSON_OBJECT: return put_members(w, v, depth);
    }
    return 0;
}

int cm_json_write(const cm_json *v, int indent, char **text, size_t *nbytes, cm_error *err)
{
    writer w = {.indent = indent > 0 ? indent : 0, .err = err};
    cm_buffer_init(&w.out, SIZE_MAX - 1);
    int r = put_value(&w, v, 0);
    if (r == 0) {
        size_t n = w.out.nbytes;
        *text = cm_buffer_take_string(&w.out);
        if (*text)
            *nbytes = n;
        else
            r = cm_error_set(err, CM_ENOMEM, "out of memory (%zu bytes)", n);
    }
    cm_buffer_deinit(&w.out);
    return r;
}
