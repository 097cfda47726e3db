/* cli/main.c: the program: finds the command, runs it, turns its error into a line and a status.
 *
 * Order of the last steps: the command cleans up after itself (a save that did not commit removes
 * what it wrote), standard output is flushed and checked (data that nobody could write is an error,
 * whatever the command thought), then the error is said.
 *
 * stdout is data and stderr is people. The error is always a line on stderr; with --json also an
 * object on stdout, unless half a document stands there already.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/jsonout.h"
#include "cli/spelling.h"
#include "cli/usage.h"

const cm_cli_command *const *cm_cli_commands(void)
{
    static const cm_cli_command *const all[] = {
        &cm_cli_info,   &cm_cli_values, &cm_cli_scan,   &cm_cli_rechunk, &cm_cli_virtualize,
        &cm_cli_survey, &cm_cli_diff,   &cm_cli_verify, &cm_cli_help,    NULL};
    return all;
}

const cm_cli_command *cm_cli_command_named(const char *name)
{
    for (const cm_cli_command *const *c = cm_cli_commands(); *c; c++)
        if (strcmp((*c)->name, name) == 0 || ((*c)->alias && strcmp((*c)->alias, name) == 0))
            return *c;
    return NULL;
}

int cm_cli_unknown_command(const char *name, cm_error *err)
{
    cm_cli_nearest best = {0};
    cm_error_set(err, CM_EINVAL, "unknown command '%s'", name);
    for (const cm_cli_command *const *c = cm_cli_commands(); *c; c++) {
        cm_cli_nearest_try(&best, name, (*c)->name);
        if ((*c)->alias)
            cm_cli_nearest_try(&best, name, (*c)->alias);
    }
    if (best.word)
        cm_error_hint(err, "did you mean %s?", best.word);
    else
        cm_error_hint(err, "chunkmill help lists the commands");
    return CM_EINVAL;
}

/* A closed 0, 1 or 2 would be the number of the next file that is opened, and text for people
 * would go into it. What is opened here cannot be written (1, 2), so that the loss is noticed. */
static void guard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) == -1 && errno == EBADF && open("/dev/null", O_RDONLY) != fd)
            exit(5);
}

static void prepare_process(void)
{
    guard_descriptors();
    signal(SIGPIPE, SIG_IGN); /* seen as EPIPE, after a save has cleaned up */
#if defined(__GLIBC__)
    /* glibc gives each thread an arena of its own and keeps what is freed: the peak would lie far
     * above the budget. Large blocks go back to the system at once. */
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_MMAP_THRESHOLD, 256 << 10);
    mallopt(M_TRIM_THRESHOLD, 1 << 20);
#endif
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max; /* ten thousand sources may be open at once */
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

static bool wants_json(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--json") == 0)
            return true;
    return false;
}

static bool wants_color(const char *choice, int fd)
{
    if (choice && strcmp(choice, "auto") != 0)
        return strcmp(choice, "always") == 0;
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(fd) && !(no && *no) && !(term && strcmp(term, "dumb") == 0);
}

static int check_operands(const cm_cli *cli, cm_error *err)
{
    const cm_cli_command *c = cli->command;
    size_t n = cli->args.noperands;
    if (n >= c->min_operands && n <= c->max_operands)
        return 0;
    if (n < c->min_operands)
        cm_error_set(err, CM_EINVAL, n == 0 ? "needs %s" : "needs %s: something is missing",
                     c->operands);
    else
        cm_error_set(err, CM_EINVAL, "takes only %s: what is '%s'?", c->operands,
                     cli->args.operands[c->max_operands]);
    cm_error_hint(err, "chunkmill %s --help", c->name);
    return CM_EINVAL;
}

static int run_command(cm_cli *cli, int argc, char **argv, cm_error *err)
{
    int ret = cm_cli_args_parse(cli->command->options, argc, argv, &cli->args, err);
    if (ret == 0 && cli->args.help) {
        cm_cli_usage(&cli->out, cli->command);
        return 0;
    }
    if (ret == 0)
        ret = check_operands(cli, err);
    if (ret < 0) {
        cm_error_object(err, cli->command->name);
        return ret;
    }
    cli->out.paint = wants_color(cli->args.color, STDOUT_FILENO);
    cli->paint_stderr = wants_color(cli->args.color, STDERR_FILENO);
    cm_cli_progress_deinit(&cli->progress);
    cm_cli_progress_init(&cli->progress, !cli->args.quiet && !cli->args.no_progress);
    ret = cli->command->run(cli, err);
    cm_cli_end(cli);
    return ret;
}

static int dispatch(cm_cli *cli, int argc, char **argv, cm_error *err)
{
    const char *first = argv[1];
    if (strcmp(first, "--version") == 0 || strcmp(first, "-V") == 0) {
        cm_cli_out_format(&cli->out, "chunkmill %s\n", cm_version());
        return 0;
    }
    if (strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0)
        first = "help";
    if (first[0] == '-') {
        cm_error_set(err, CM_EINVAL, "%s is no command", first);
        cm_error_hint(err, "the command comes first: chunkmill COMMAND [options]");
        return CM_EINVAL;
    }
    cli->command = cm_cli_command_named(first);
    if (!cli->command)
        return cm_cli_unknown_command(first, err);
    return run_command(cli, argc - 2, argv + 2, err);
}

static void say_error(cm_cli *cli, const cm_error *err, bool json, int status)
{
    char line[2300];
    cm_error ignored; /* err is the one to report */
    if (cm_cli_out_flush(&cli->out, &ignored) < 0)
        json = false;
    cm_cli_error(cli, cm_error_line(err, line, sizeof line));
    if (json && (cli->out.put == 0 || cli->json_lines)) {
        cm_cli_json writer;
        cm_cli_json_init(&writer, &cli->out, cli->json_lines);
        cm_cli_json_object(&writer);
        cm_cli_json_key(&writer, "error");
        cm_cli_json_error(&writer, err, status);
        cm_cli_json_close(&writer, '}');
        (void)!cm_cli_out_flush(&cli->out, &ignored);
    }
}

int main(int argc, char **argv)
{
    cm_cli cli = {.started = cm_cli_now()};
    cm_error err;
    int status = 0;
    prepare_process();
    cm_error_clear(&err);
    cm_cli_out_init(&cli.out, STDOUT_FILENO);
    cm_cli_progress_init(&cli.progress, false);
    cli.paint_stderr = wants_color(NULL, STDERR_FILENO);
    if (argc < 2) {
        cm_cli_out people;
        cm_cli_out_init(&people, STDERR_FILENO);
        cm_cli_usage_short(&people);
        (void)!cm_cli_out_flush(&people, NULL);
        return 2;
    }
    int ret = dispatch(&cli, argc, argv, &err);
    if (ret == 0)
        ret = cm_cli_out_flush(&cli.out, &err);
    if (ret < 0) {
        int number = cm_cli_interrupt_signal();
        status = ret == CM_ECANCEL && number ? 128 + number : cm_code_exit(ret);
        if (cli.out.os_errno == EPIPE && err.os_errno == EPIPE)
            status = 128 + SIGPIPE; /* the reader has enough: `chunkmill values ... | head` */
        else
            say_error(&cli, &err, wants_json(argc, argv), status);
    } else {
        status = cli.status;
    }
    cm_cli_args_free(&cli.args);
    cm_cli_progress_deinit(&cli.progress);
    return status;
}
