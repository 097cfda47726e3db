/* cli/outstream.h: text to a file descriptor, where no failed write goes unnoticed. */
#ifndef CM_CLI_OUTSTREAM_H
#define CM_CLI_OUTSTREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chunkmill/json.h"

/* The first failed write sticks: what follows is dropped, and cm_cli_out_flush reports it. */
typedef struct cm_cli_out {
    int fd;
    int os_errno; /* of the first failed write, or 0 */
    bool paint;   /* colours */
    uint64_t put; /* bytes taken so far */
    size_t n;     /* bytes that wait in buf */
    char buf[1 << 15];
} cm_cli_out;

typedef enum cm_cli_style {
    CM_CLI_PLAIN,
    CM_CLI_BOLD,
    CM_CLI_DIM,
    CM_CLI_RED,
    CM_CLI_YELLOW
} cm_cli_style;

void cm_cli_out_init(cm_cli_out *out, int fd);
void cm_cli_out_bytes(cm_cli_out *out, const char *bytes, size_t nbytes);
void cm_cli_out_text(cm_cli_out *out, const char *text);
void cm_cli_out_char(cm_cli_out *out, char c);

/* printf of at most 4095 bytes: for numbers and bounded texts. */
void cm_cli_out_format(cm_cli_out *out, const char *format, ...) CM_PRINTF(2, 3);
void cm_cli_out_spaces(cm_cli_out *out, size_t n);

/* What follows is written so, until CM_CLI_PLAIN; nothing happens without colours. */
void cm_cli_out_style(cm_cli_out *out, cm_cli_style style);

/* A JSON string with its quotes. Control characters, also U+007F to U+009F, are escaped, so that
 * text from a file cannot command the terminal. Bytes that are not UTF-8 become U+FFFD. */
void cm_cli_out_quoted(cm_cli_out *out, const char *bytes, size_t nbytes);

/* The same without quotes, for names: backslash escapes only where needed. */
void cm_cli_out_name(cm_cli_out *out, const char *text);

/* Write what waits. CM_EIO, CM_ENOSPC... naming standard output, CM_ECANCEL after a signal. */
int cm_cli_out_flush(cm_cli_out *out, cm_error *err) CM_MUST_CHECK;

/* Length in bytes of the UTF-8 character at text, 0 if there is none. */
size_t cm_cli_utf8(const char *text, size_t nbytes, uint32_t *character);

#endif
