/* cli/progress_line.c: one line on the terminal, redrawn in place.
 *
 * It is drawn only while standard error is a terminal and the program is in its foreground: a job
 * that was put into the background (Ctrl-Z, bg) must not draw over the shell. Rate and time left
 * are those of the present stage, since stages differ in speed. Opening a few files is over in a
 * moment and draws nothing: a line that flickers tells nobody anything. Calls come from the
 * engine's threads, about ten a second; the mutex keeps them apart from messages.
 */
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/progress_line.h"
#include "cli/sizes.h"

void cm_cli_progress_init(cm_cli_progress *line, bool enabled)
{
    memset(line, 0, sizeof *line);
    pthread_mutex_init(&line->mutex, NULL);
    line->enabled = enabled && isatty(STDERR_FILENO);
}

void cm_cli_progress_deinit(cm_cli_progress *line)
{
    cm_cli_progress_clear(line);
    pthread_mutex_destroy(&line->mutex);
}

/* Standard error is for people: when nobody can read it there is nobody to tell. */
static void put(const char *text, size_t nbytes)
{
    while (nbytes > 0) {
        ssize_t w = write(STDERR_FILENO, text, nbytes);
        if (w <= 0)
            return;
        text += w;
        nbytes -= (size_t)w;
    }
}

static void clear_locked(cm_cli_progress *line)
{
    if (line->shown)
        put("\r\033[K", 4);
    line->shown = false;
}

void cm_cli_progress_clear(cm_cli_progress *line)
{
    pthread_mutex_lock(&line->mutex);
    clear_locked(line);
    pthread_mutex_unlock(&line->mutex);
}

void cm_cli_progress_print(cm_cli_progress *line, const char *text, size_t nbytes)
{
    pthread_mutex_lock(&line->mutex);
    clear_locked(line);
    put(text, nbytes);
    pthread_mutex_unlock(&line->mutex);
}

static const char *amount(const cm_progress *p, double n, char *buf, size_t size)
{
    n = n > 0 ? n : 0;
    if (!p->counted)
        return cm_cli_size_text((uint64_t)n, buf, size);
    snprintf(buf, size, "%.0f", n);
    return buf;
}

/* The line without escape codes. Returns buf. */
static char *line_text(const cm_cli_progress *line, const cm_progress *p, char *buf, size_t size)
{
    char done[24], total[24], rate[24], now[16], limit[16], left[24] = "?";
    double seconds = p->seconds - line->stage_began;
    double speed = seconds > 0 ? (double)(p->done - line->stage_done) / seconds : 0;
    /* the total is planned: a little more may be done */
    int64_t finished = p->total > 0 && p->done > p->total ? p->total : p->done;
    double share = p->total > 0 ? 100 * (double)finished / (double)p->total : 0;
    if (speed > 0 && p->total > 0)
        cm_cli_seconds_text((double)(p->total - finished) / speed, left, sizeof left);
    snprintf(buf, size, "%s%s%s %3.0f%%  %s of %s%s%s  %s/s  %s left  memory %s of %s", p->stage,
             p->variable && p->variable[0] ? " " : "", p->variable ? p->variable : "", share,
             amount(p, (double)finished, done, sizeof done),
             amount(p, (double)p->total, total, sizeof total), p->counted ? " " : "",
             p->counted ? p->counted : "", amount(p, speed, rate, sizeof rate), left,
             cm_cli_size_text(p->memory_now, now, sizeof now),
             cm_cli_size_text(p->memory_limit, limit, sizeof limit));
    for (char *c = buf; *c; c++) /* a variable's name must not command the terminal */
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    return buf;
}

void cm_cli_progress_report(void *user, const cm_progress *p)
{
    cm_cli_progress *line = user;
    pthread_mutex_lock(&line->mutex);
    if (!line->stage || strcmp(line->stage, p->stage) != 0 || p->done < line->stage_done) {
        line->stage = p->stage;
        line->stage_began = p->seconds;
        line->stage_done = p->done;
    }
    bool brief = p->counted && !line->shown && p->seconds < 0.3;
    if (line->enabled && !brief && tcgetpgrp(STDERR_FILENO) == getpgrp()) {
        struct winsize window;
        size_t width = 80;
        if (ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0)
            width = window.ws_col;
        char text[512], drawn[600];
        line_text(line, p, text, sizeof text);
        int n = snprintf(drawn, sizeof drawn, "\r%.*s\033[K", (int)(width < 500 ? width - 1 : 499),
                         text);
        if (n > 0)
            put(drawn, (size_t)n);
        line->shown = true;
    }
    pthread_mutex_unlock(&line->mutex);
}
