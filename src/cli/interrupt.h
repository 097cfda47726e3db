/* cli/interrupt.h: Ctrl-C stops the work, cleans up, and then ends the program. */
#ifndef CM_CLI_INTERRUPT_H
#define CM_CLI_INTERRUPT_H

#include "chunkmill/context.h"

/* From now on SIGINT, SIGTERM and SIGHUP cancel the work of ctx; a second one of the same kind
 * kills at once. Signals that were ignored when the program started stay ignored. */
void cm_cli_interrupt_attach(cm_context *ctx);

/* Before ctx is freed: signals are only noted. */
void cm_cli_interrupt_detach(void);

/* The signal that came, or 0. */
int cm_cli_interrupt_signal(void);

#endif
