/* cli/session.c: the context of a command, and what is said on standard error.
 *
 * Memory: --max-mem is for the whole process. What a command needs for buffers of its own comes off
 * before the engine gets its share. Without the option the library looks at the machine and the
 * cgroup; the batch job's limit stands in the environment, which only the program may read. Slurm
 * kills what grows beyond SLURM_MEM_PER_NODE (MB) even where no cgroup enforces it.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/interrupt.h"

double cm_cli_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

uint64_t cm_cli_peak_memory(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0 || usage.ru_maxrss < 0)
        return 0;
    return (uint64_t)usage.ru_maxrss * 1024;
}

/* Bytes of an environment variable that counts MB; 0 when it is absent or no plain number. */
static uint64_t megabytes_in(const char *name)
{
    const char *text = getenv(name);
    if (!text || *text < '0' || *text > '9')
        return 0;
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    uint64_t nbytes;
    if (errno || *end || __builtin_mul_overflow((uint64_t)n, (uint64_t)1 << 20, &nbytes))
        return 0;
    return nbytes;
}

static uint64_t job_limit(void)
{
    uint64_t node = megabytes_in("SLURM_MEM_PER_NODE");
    if (node)
        return node;
    const char *cpus = getenv("SLURM_CPUS_ON_NODE");
    uint64_t each = megabytes_in("SLURM_MEM_PER_CPU"), all;
    long n = cpus ? strtol(cpus, NULL, 10) : 0;
    if (!each || n < 1 || __builtin_mul_overflow(each, (uint64_t)n, &all))
        return 0;
    return all;
}

uint64_t cm_cli_memory(const cm_cli *cli, const char **reason)
{
    if (cli->args.max_mem) {
        *reason = "--max-mem";
        return cli->args.max_mem;
    }
    uint64_t memory = cm_memory_default(), job = job_limit();
    *reason = "half of what is available; --max-mem sets it";
    if (job && job / 2 < memory) {
        memory = job / 2 < 64000000 ? 64000000 : job / 2;
        *reason = "half of the Slurm job's; --max-mem sets it";
    }
    return memory;
}

/* Whole lines in one write, so that lines of several processes do not mix. */
static void say(cm_cli *cli, cm_cli_style style, const char *label, const char *text)
{
    char line[4096];
    const char *on = "", *off = "";
    if (cli->paint_stderr && style != CM_CLI_PLAIN) {
        on = style == CM_CLI_RED ? "\033[1;31m" : "\033[33m";
        off = "\033[0m";
    }
    char plain[3072];
    snprintf(plain, sizeof plain, "%s", text);
    for (char *c = plain; *c; c++) /* one line, and a file's text cannot command the terminal */
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
    int n = snprintf(line, sizeof line - 1, "%schunkmill:%s %s%s", on, off, label, plain);
    if (n < 0)
        return;
    size_t nbytes = (size_t)n < sizeof line - 1 ? (size_t)n : sizeof line - 2;
    line[nbytes++] = '\n';
    cm_cli_progress_print(&cli->progress, line, nbytes);
}

void cm_cli_note(cm_cli *cli, const char *format, ...)
{
    char text[3072];
    va_list ap;
    if (cli->args.quiet)
        return;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    say(cli, CM_CLI_PLAIN, "", text);
}

void cm_cli_warn(cm_cli *cli, const char *format, ...)
{
    char text[3072];
    va_list ap;
    if (cli->args.quiet)
        return;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    say(cli, CM_CLI_YELLOW, "warning: ", text);
}

void cm_cli_error(cm_cli *cli, const char *line)
{
    say(cli, CM_CLI_RED, "", line);
}

static void on_log(void *user, cm_log_level level, const char *line)
{
    cm_cli *cli = user;
    cm_log_level most = CM_LOG_WARNING;
    if (cli->args.quiet)
        most = CM_LOG_ERROR;
    else if (cli->args.verbose)
        most = cli->args.verbose > 1 ? CM_LOG_DEBUG : CM_LOG_INFO;
    if (level > most)
        return;
    if (level == CM_LOG_WARNING)
        say(cli, CM_CLI_YELLOW, "warning: ", line);
    else
        say(cli, CM_CLI_PLAIN, "", line);
}

int cm_cli_begin(cm_cli *cli, uint64_t reserve, cm_error *err)
{
    const char *reason;
    cm_context_options options;
    cm_context_options_init(&options);
    cli->max_memory = cm_cli_memory(cli, &reason);
    if (reserve >= cli->max_memory)
        return cm_error_set(err, CM_EINVAL, "--max-mem leaves no room to work in");
    options.max_memory = cli->max_memory - reserve;
    options.threads = cli->args.threads;
    options.trust_paths = cli->args.trust_paths != 0;
    options.log = on_log;
    options.log_user = cli;
    options.progress = cm_cli_progress_report;
    options.progress_user = &cli->progress;
    int ret = cm_context_new(&options, &cli->ctx, err);
    if (ret == 0)
        cm_cli_interrupt_attach(cli->ctx);
    return ret;
}

void cm_cli_end(cm_cli *cli)
{
    cm_cli_interrupt_detach();
    cm_context_free(cli->ctx);
    cli->ctx = NULL;
    cm_cli_progress_clear(&cli->progress);
}

int cm_cli_check(const cm_cli *cli, cm_error *err)
{
    (void)cli;
    return cm_cli_interrupt_signal() ? cm_error_set(err, CM_ECANCEL, "interrupted") : 0;
}
