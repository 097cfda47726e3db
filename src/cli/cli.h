/* cli/cli.h: the program: its commands, and what every command is given.
 *
 * The program is built over the public API only (include/chunkmill).
 */
#ifndef CM_CLI_CLI_H
#define CM_CLI_CLI_H

#include "chunkmill.h"
#include "cli/args.h"
#include "cli/outstream.h"
#include "cli/progress_line.h"

typedef struct cm_cli cm_cli;

typedef struct cm_cli_example {
    const char *what, *line;
} cm_cli_example;

/* A command is a constant; --help, the man page and completions are made of it. */
typedef struct cm_cli_command {
    const char *name;
    const char *alias;    /* or NULL */
    const char *operands; /* "SRC... DST" */
    const char *summary;  /* one line, no full stop */
    const char *text;     /* paragraphs separated by empty lines */
    size_t min_operands, max_operands;
    const cm_cli_option *options;
    const cm_cli_example *examples; /* ended by a NULL line */
    int (*run)(cm_cli *cli, cm_error *err);
} cm_cli_command;

extern const cm_cli_command cm_cli_info, cm_cli_values, cm_cli_scan, cm_cli_rechunk,
    cm_cli_virtualize, cm_cli_survey, cm_cli_diff, cm_cli_verify, cm_cli_help;

/* NULL-terminated. */
const cm_cli_command *const *cm_cli_commands(void);
const cm_cli_command *cm_cli_command_named(const char *name); /* or alias; NULL if none */

/* The error for a name that is no command, with the nearest. */
int cm_cli_unknown_command(const char *name, cm_error *err);

struct cm_cli {
    const cm_cli_command *command;
    cm_cli_args args;
    cm_cli_out out;    /* standard output */
    bool paint_stderr; /* colours there */
    bool json_lines;   /* the JSON on standard output is one value a line, so one more may follow */
    int status;        /* exit status of a command that succeeded; 4 for a difference */
    uint64_t max_memory;
    double started; /* cm_cli_now() */
    cm_context *ctx;
    cm_cli_progress progress;
};

/* Make cli->ctx from --max-mem and --threads; `reserve` bytes of the memory are for the command's
 * own buffers. Signals cancel the context from here on. */
int cm_cli_begin(cm_cli *cli, uint64_t reserve, cm_error *err) CM_MUST_CHECK;
void cm_cli_end(cm_cli *cli);

/* The memory that --max-mem or else the machine and the batch job grant. *reason: why, for
 * people. */
uint64_t cm_cli_memory(const cm_cli *cli, const char **reason);

/* A line on standard error for people, unless --quiet. */
void cm_cli_note(cm_cli *cli, const char *format, ...) CM_PRINTF(2, 3);
void cm_cli_warn(cm_cli *cli, const char *format, ...) CM_PRINTF(2, 3);

/* The line of an error, also with --quiet. */
void cm_cli_error(cm_cli *cli, const char *line);

/* CM_ECANCEL after a signal; for loops of our own. */
int cm_cli_check(const cm_cli *cli, cm_error *err) CM_MUST_CHECK;

double cm_cli_now(void);           /* seconds of the monotonic clock */
uint64_t cm_cli_peak_memory(void); /* bytes: most memory that the process ever had resident */

#endif
