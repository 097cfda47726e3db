/* cli/progress_line.h: the line that shows how far long work is. */
#ifndef CM_CLI_PROGRESS_LINE_H
#define CM_CLI_PROGRESS_LINE_H

#include <pthread.h>

#include "chunkmill/context.h"

typedef struct cm_cli_progress {
    pthread_mutex_t mutex; /* guards the rest and the terminal's line */
    bool enabled, shown;
    const char *stage;
    double stage_began; /* cm_progress.seconds when the stage was first seen */
    int64_t stage_done; /* and what was done by then */
} cm_cli_progress;

/* enabled: only when standard error is a terminal, too. */
void cm_cli_progress_init(cm_cli_progress *line, bool enabled);
void cm_cli_progress_deinit(cm_cli_progress *line);

/* A cm_progress_fn; user is a cm_cli_progress. */
void cm_cli_progress_report(void *user, const cm_progress *progress);

/* Take the line away. */
void cm_cli_progress_clear(cm_cli_progress *line);

/* Write whole lines to standard error in the place of the progress line. */
void cm_cli_progress_print(cm_cli_progress *line, const char *text, size_t nbytes);

#endif
