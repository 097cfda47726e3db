/* cli/cmd_scan.c: chunkmill scan FILE... --out TABLES: what opening files finds out, in one file.
 */
#include <inttypes.h>

#include "cli/counts.h"
#include "cli/jsonout.h"
#include "cli/sizes.h"
#include "cli/sources.h"

static void put_json(cm_cli *cli, const char *target, const cm_scan_stats *stats, double seconds)
{
    cm_cli_json json;
    cm_cli_json_init(&json, &cli->out, false);
    cm_cli_json_object(&json);
    cm_cli_json_key(&json, "target");
    cm_cli_json_string(&json, target);
    cm_cli_json_key(&json, "files");
    cm_cli_json_uint(&json, stats->files);
    cm_cli_json_key(&json, "variables");
    cm_cli_json_uint(&json, stats->variables);
    cm_cli_json_key(&json, "chunks");
    cm_cli_json_uint(&json, stats->chunks);
    cm_cli_json_key(&json, "deferred");
    cm_cli_json_uint(&json, stats->deferred);
    cm_cli_json_key(&json, "bytes");
    cm_cli_json_uint(&json, stats->nbytes);
    cm_cli_json_key(&json, "seconds");
    cm_cli_json_double(&json, (double)(int64_t)(seconds * 1000) / 1000);
    cm_cli_json_key(&json, "peak_memory");
    cm_cli_json_uint(&json, cm_cli_peak_memory());
    cm_cli_json_close(&json, '}');
}

static void say_done(cm_cli *cli, const cm_scan_stats *stats, double seconds)
{
    char size[16], peak[16];
    cm_cli_size_text(stats->nbytes, size, sizeof size);
    cm_cli_size_text(cm_cli_peak_memory(), peak, sizeof peak);
    cm_cli_note(cli,
                "%s: %" PRIu64 " file%s, %" PRIu64 " variable%s, %" PRIu64
                " chunk%s, %s, %.2f s, peak memory %s",
                cli->args.out, stats->files, cm_cli_plural((int64_t)stats->files), stats->variables,
                cm_cli_plural((int64_t)stats->variables), stats->chunks,
                cm_cli_plural((int64_t)stats->chunks), size, seconds, peak);
    if (stats->deferred && cli->args.verbose)
        cm_cli_note(cli, "%" PRIu64 " variable%s will be opened from the files when wanted",
                    stats->deferred, cm_cli_plural((int64_t)stats->deferred));
}

static int run(cm_cli *cli, cm_error *err)
{
    cm_cli_sources sources = {0};
    cm_scan_options options;
    cm_scan_stats stats;
    if (!cli->args.out) {
        cm_error_set(err, CM_EINVAL, "needs --out, the file that is written");
        cm_error_object(err, cli->command->name);
        cm_error_hint(err, "chunkmill scan %s", cli->command->operands);
        return CM_EINVAL;
    }
    cm_scan_options_init(&options);
    options.overwrite = cli->args.overwrite > 0;
    int ret = cm_cli_begin(cli, 0, err);
    if (ret == 0)
        ret = cm_cli_sources_list(cli, cli->args.noperands, &sources, err);
    if (ret == 0)
        ret = cm_scan(cli->ctx, cm_cli_list_items(&sources.names), sources.names.n, cli->args.out,
                      &options, &stats, err);
    cm_cli_progress_clear(&cli->progress);
    if (ret == 0) {
        double seconds = cm_cli_now() - cli->started;
        if (cli->args.json)
            put_json(cli, cli->args.out, &stats, seconds);
        say_done(cli, &stats, seconds);
    }
    cm_cli_sources_free(&sources);
    return ret;
}

static const cm_cli_option options_table[] = {
    {CM_CLI_HEADING, .help = "The tables"},
    {CM_CLI_TEXT, "out", 'o', false, CM_CLI_AT(out), "TABLES", "the file that is written"},
    {CM_CLI_FLAG, "overwrite", 0, false, CM_CLI_AT(overwrite), NULL,
     "replace TABLES: the old one stays until the new one is whole"},
    {CM_CLI_TEXT, "files-from", 0, false, CM_CLI_AT(files_from), "LIST",
     "read more file names from a file, one a line; - is standard input"},
    CM_CLI_RESOURCE_OPTIONS,
    CM_CLI_TALK_OPTIONS,
};

static const cm_cli_example examples[] = {
    {"scan where the files are", "chunkmill scan tas_2001.nc --out 2001.tables"},
    {"put several together", "chunkmill scan 2001.tables tas_2002.nc --out all.tables"},
    {"and use them in the place of the files", "chunkmill virtualize all.tables cube.json"},
    {0}};

const cm_cli_command cm_cli_scan = {
    .name = "scan",
    .operands = "FILE... --out TABLES",
    .summary = "write down what opening files finds out, for other processes to use",
    .text =
        "Opens NetCDF and HDF5 files, reads where their chunks are and the coordinates, and writes "
        "all that into one small file. Every command that reads sources takes it in the place of "
        "the files, in their order, without opening them: workers scan where the files are, and "
        "one process joins.\n\nThe result is the same as with the files themselves. Values are "
        "read from the files, which must still be the ones that were scanned: size, time of "
        "change and inode are compared.\n\nTables among the FILEs are taken over, so that tables "
        "can be put together.",
    .min_operands = 0,
    .max_operands = (size_t)-1,
    .options = options_table,
    .examples = examples,
    .run = run};
