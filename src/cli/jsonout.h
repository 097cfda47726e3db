/* cli/jsonout.h: JSON written as it comes, without a tree in memory. */
#ifndef CM_CLI_JSONOUT_H
#define CM_CLI_JSONOUT_H

#include "cli/outstream.h"

/* The caller opens and closes in pairs, gives a key before each member of an object, and nests at
 * most 127 deep (deeper levels lose their line breaks, not their commas). */
typedef struct cm_cli_json {
    cm_cli_out *out;
    int depth;
    bool flat; /* one line */
    bool after_key;
    bool filled[128];  /* the level has a member */
    bool inline_[128]; /* the level is written on one line */
} cm_cli_json;

void cm_cli_json_init(cm_cli_json *json, cm_cli_out *out, bool flat);
void cm_cli_json_object(cm_cli_json *json); /* { */
void cm_cli_json_array(cm_cli_json *json);  /* [ */
void cm_cli_json_row(cm_cli_json *json);    /* [ of an array on one line */
void cm_cli_json_close(cm_cli_json *json, char bracket);
void cm_cli_json_key(cm_cli_json *json, const char *key);
void cm_cli_json_string(cm_cli_json *json, const char *text); /* NULL is null */
void cm_cli_json_int(cm_cli_json *json, int64_t v);
void cm_cli_json_uint(cm_cli_json *json, uint64_t v);
void cm_cli_json_double(cm_cli_json *json, double v);
void cm_cli_json_bool(cm_cli_json *json, bool v);
void cm_cli_json_null(cm_cli_json *json);
void cm_cli_json_value(cm_cli_json *json, const cm_json *v); /* deep, number texts kept */
void cm_cli_json_shape(cm_cli_json *json, const int64_t *lengths, int ndim); /* NULL is null */

/* Begin a value that the caller writes to json->out itself. */
void cm_cli_json_raw(cm_cli_json *json);

/* {"object", "variable", "message", "hint", "code"}; parts that do not apply are null. exit_code <
 * 0: left out. */
void cm_cli_json_error(cm_cli_json *json, const cm_error *err, int exit_code);

#endif
