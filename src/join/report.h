/* join/report.h: what a join did, for people and programs.
 *
 * A JSON object (chunkmill/join.h says what is in it) and the same as lines of the log. */
#ifndef CM_JOIN_REPORT_H
#define CM_JOIN_REPORT_H

#include "chunkmill/context.h"
#include "chunkmill/json.h"

typedef struct cm_report {
    cm_context *ctx;
    cm_json_doc *doc;
    cm_json *root;
} cm_report;

int cm_report_init(cm_context *ctx, cm_report *r, cm_error *err);
void cm_report_deinit(cm_report *r);

/* A line, kept under "notes". Notes are logged when all went well, as warnings. */
int cm_report_note(cm_report *r, cm_error *err, const char *format, ...) CM_PRINTF(3, 4);
void cm_report_log(const cm_report *r);

int cm_report_text(cm_report *r, const char *key, const char *text, cm_error *err);
/* Added to what the key has. */
int cm_report_count(cm_report *r, const char *key, int64_t n, cm_error *err);
/* Append to the list under key. */
int cm_report_list(cm_report *r, const char *key, const char *text, cm_error *err);

/* other as an element of the list under key. */
int cm_report_nest(cm_report *r, const char *key, const cm_json *other, cm_error *err);

#endif
