/* cli/interrupt.c: signals.
 *
 * The handler does two things that are safe in a handler: it notes the signal and sets the
 * context's cancel flag. Everything else (removing what a save wrote, the exit status 128 + signal)
 * happens on the ordinary way out, since all work of the context then ends with CM_ECANCEL.
 * SA_RESETHAND makes the second signal deadly, for the day on which a disk hangs. No SA_RESTART: a
 * write to a pipe that nobody reads must return.
 *
 * A handler can only reach static data, so here is the program's only mutable global state.
 */
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "cli/interrupt.h"

static volatile sig_atomic_t caught;
static cm_context *_Atomic target;

static void on_signal(int number)
{
    caught = number;
    cm_context *ctx = atomic_load(&target);
    if (ctx)
        cm_context_cancel(ctx);
}

void cm_cli_interrupt_attach(cm_context *ctx)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    atomic_store(&target, ctx);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        struct sigaction before, action;
        if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler == SIG_IGN)
            continue;
        memset(&action, 0, sizeof action);
        action.sa_handler = on_signal;
        action.sa_flags = (int)SA_RESETHAND;
        sigemptyset(&action.sa_mask);
        sigaction(signals[i], &action, NULL);
    }
}

void cm_cli_interrupt_detach(void)
{
    atomic_store(&target, NULL);
}

int cm_cli_interrupt_signal(void)
{
    return caught;
}
