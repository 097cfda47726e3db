/* cli/usage.h: --help, from the tables of the commands. */
#ifndef CM_CLI_USAGE_H
#define CM_CLI_USAGE_H

#include "cli/cli.h"

void cm_cli_usage(cm_cli_out *out, const cm_cli_command *command);
void cm_cli_usage_short(cm_cli_out *out); /* two lines for `chunkmill` alone */
void cm_cli_usage_all(cm_cli_out *out);   /* the list of commands */

/* "--chunks dim=n,...", "-q, --quiet". Returns buf. */
char *cm_cli_option_text(const cm_cli_option *o, char *buf, size_t size);

/* A man page, and completion scripts ("bash", "zsh"). command NULL: chunkmill(1). */
void cm_cli_man_page(cm_cli_out *out, const cm_cli_command *command);
void cm_cli_completion(cm_cli_out *out, const char *shell);

#endif
