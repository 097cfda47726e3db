/* join/report.c: see the header. */
#include "join/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/context_private.h"
#include "text/utf8.h"

static int out_of_memory(cm_error *err)
{
    return cm_error_set(err, CM_ENOMEM, "out of memory for the report of a join");
}

int cm_report_init(cm_context *ctx, cm_report *r, cm_error *err)
{
    *r = (cm_report){.ctx = ctx};
    int rc = cm_json_doc_new(0, &r->doc, err);
    if (rc)
        return rc;
    r->root = cm_json_new_object(r->doc);
    return r->root ? 0 : out_of_memory(err);
}

void cm_report_deinit(cm_report *r)
{
    cm_json_doc_free(r->doc);
    *r = (cm_report){0};
}

/* Names of files are any bytes; JSON is UTF-8. */
static cm_json *new_text(cm_report *r, const char *text)
{
    char plain[1024];
    size_t n = strlen(text);
    if (cm_utf8_valid(text, n))
        return cm_json_new_string(r->doc, text);
    snprintf(plain, sizeof plain, "%s", text);
    for (char *p = plain; *p; p++)
        if (*p & 0x80)
            *p = '?';
    return cm_json_new_string(r->doc, plain);
}

static cm_json *list_of(cm_report *r, const char *key)
{
    cm_json *list = cm_json_get(r->root, key);
    if (!list) {
        list = cm_json_new_array(r->doc);
        if (cm_json_set(r->doc, r->root, key, list))
            return NULL;
    }
    return list;
}

int cm_report_list(cm_report *r, const char *key, const char *text, cm_error *err)
{
    cm_json *list = list_of(r, key);
    if (!list || cm_json_add(r->doc, list, new_text(r, text)))
        return out_of_memory(err);
    return 0;
}

int cm_report_nest(cm_report *r, const char *key, const cm_json *other, cm_error *err)
{
    cm_json *list = list_of(r, key);
    if (!list || cm_json_add(r->doc, list, cm_json_copy(r->doc, other)))
        return out_of_memory(err);
    return 0;
}

int cm_report_text(cm_report *r, const char *key, const char *text, cm_error *err)
{
    return cm_json_set(r->doc, r->root, key, new_text(r, text)) ? out_of_memory(err) : 0;
}

int cm_report_count(cm_report *r, const char *key, int64_t n, cm_error *err)
{
    int64_t before = 0;
    (void)!cm_json_int64(cm_json_get(r->root, key), &before);
    return cm_json_set_int64(r->doc, r->root, key, before + n) ? out_of_memory(err) : 0;
}

int cm_report_note(cm_report *r, cm_error *err, const char *format, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    return cm_report_list(r, "notes", text, err);
}

void cm_report_log(const cm_report *r)
{
    const cm_json *notes = cm_json_get(r->root, "notes");
    for (size_t i = 0; i < cm_json_count(notes); i++)
        cm_context_log(r->ctx, CM_LOG_WARNING, "%s", cm_json_string(cm_json_at(notes, i)));
}
