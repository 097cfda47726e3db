/* cli/cmd_rechunk.c: chunkmill rechunk SRC... DST, the same as convert.
 *
 * Open, select, join, plan, run, commit; the library does each, this file says what happened. What
 * was written is removed by cm_save_free unless the save committed, so every way out of here after
 * an error or Ctrl-C leaves no half store under the target's name.
 *
 * A forgotten target is the dangerous mistake here: `rechunk a.nc b.nc` must not take b.nc for a
 * place to write to. So a last operand that is a file, or that can be opened as anything but Zarr,
 * is refused with a message that says so, before any source is looked at. So is a name that ends
 * as those of other formats do, since a directory of that name is not what was wanted, and one like
 * lat=10, which is the rest of --chunks time=365 lat=10.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "cli/counts.h"
#include "cli/jsonout.h"
#include "cli/plan_text.h"
#include "cli/sizes.h"
#include "cli/sources.h"

static const char *path_of(const char *uri)
{
    return strncmp(uri, "file://", 7) == 0 ? uri + 7 : uri;
}

static bool ends_as_other_format(const char *name)
{
    static const char *const endings[] = {".nc", ".nc3", ".nc4", ".cdf", ".h5", ".hdf5"};
    size_t n = strlen(name);
    if (n > 5 && strcasecmp(name + n - 5, ".zip/") == 0)
        return true; /* a file or a directory? */
    while (n > 0 && name[n - 1] == '/')
        n--;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t m = strlen(endings[i]);
        if (n > m && strncasecmp(name + n - m, endings[i], m) == 0)
            return true;
    }
    return false;
}

/* lat=10 */
static bool is_length(const char *name)
{
    size_t n = strcspn(name, "=/.");
    if (n == 0 || name[n] != '=')
        return false;
    const char *number = name + n + 1 + (name[n + 1] == '-');
    return isdigit((unsigned char)*number) && !number[strspn(number, "0123456789")];
}

static int check_name(cm_cli *cli, const char *target, cm_error *err)
{
    if (is_length(target)) {
        cm_error_set(err, CM_EINVAL, "the last name is where the new Zarr store goes");
        cm_error_hint(err, "lengths are parted by commas: --chunks time=365,lat=10");
    } else if (ends_as_other_format(target)) {
        cm_error_set(err, CM_EINVAL, "%s writes Zarr, a directory or a zip archive",
                     cli->command->name);
        cm_error_hint(err, "give it another name, such as NAME.zarr or NAME.zarr.zip");
    } else {
        return 0;
    }
    cm_error_object(err, target);
    return CM_EINVAL;
}

static int check_target(cm_cli *cli, const char *target, cm_error *err)
{
    struct stat st;
    cm_dataset *ds = NULL;
    cm_error why;
    if (stat(path_of(target), &st) != 0)
        return check_name(cli, target, err);
    size_t n = strlen(target);
    bool archive = n > 4 && strcasecmp(target + n - 4, ".zip") == 0;
    if (S_ISDIR(st.st_mode) || archive)
        return 0; /* what may be replaced, and when, the save says */
    if (cm_dataset_open(cli->ctx, target, NULL, &ds, &why) == 0)
        cm_error_set(err, CM_EINVAL,
                     "the last name is where the new Zarr store goes, but this is a %s file",
                     cm_dataset_format(ds));
    else
        cm_error_set(err, CM_EINVAL,
                     "the last name is where the new Zarr store goes, but this is "
                     "a file");
    cm_dataset_free(ds);
    cm_error_object(err, target);
    cm_error_hint(err, "was DST forgotten? chunkmill %s SRC... DST", cli->command->name);
    return CM_EINVAL;
}

static void fill_options(const cm_cli_args *args, cm_save_options *o)
{
    cm_save_options_init(o);
    o->chunks = cm_cli_list_items(&args->chunks);
    o->nchunks = args->chunks.n;
    o->shards = cm_cli_list_items(&args->shards);
    o->nshards = args->shards.n;
    o->codecs = cm_cli_list_items(&args->codecs);
    o->ncodecs = args->codecs.n;
    o->overwrite = args->overwrite > 0;
    o->scratch = args->scratch;
    if (args->zarr)
        o->zarr_format = args->zarr[0] - '0';
    if (args->empty_chunks)
        o->skip_empty = strcmp(args->empty_chunks, "skip") == 0;
    if (args->mode)
        o->mode = strcmp(args->mode, "sweep") == 0    ? CM_MODE_SWEEP
                  : strcmp(args->mode, "reread") == 0 ? CM_MODE_REREAD
                                                      : CM_MODE_SPILL;
    if (args->durability)
        o->durability = strcmp(args->durability, "none") == 0   ? 0
                        : strcmp(args->durability, "file") == 0 ? 1
                                                                : 2;
}

static void put_json(cm_cli *cli, const cm_cli_sources *s, const char *target, const cm_save *save,
                     const cm_save_stats *stats, double seconds)
{
    cm_cli_json json;
    cm_cli_json_init(&json, &cli->out, false);
    cm_cli_json_object(&json);
    cm_cli_json_key(&json, "target");
    cm_cli_json_string(&json, target);
    cm_cli_json_key(&json, "dry_run");
    cm_cli_json_bool(&json, stats == NULL);
    cm_cli_json_key(&json, "max_memory");
    cm_cli_json_uint(&json, cli->max_memory);
    cm_cli_json_key(&json, "threads");
    cm_cli_json_int(&json, cm_context_threads(cli->ctx));
    cm_cli_json_key(&json, "warnings");
    cm_cli_json_array(&json);
    for (size_t i = 0; cm_save_warning(save, i); i++)
        cm_cli_json_string(&json, cm_save_warning(save, i));
    cm_cli_json_close(&json, ']');
    cm_cli_join_json(s->report, &json);
    cm_cli_json_key(&json, "plan");
    cm_cli_json_value(&json, cm_save_describe(save));
    if (stats) {
        cm_cli_json_key(&json, "bytes_read");
        cm_cli_json_int(&json, stats->bytes_read);
        cm_cli_json_key(&json, "bytes_written");
        cm_cli_json_int(&json, stats->bytes_written);
        cm_cli_json_key(&json, "chunks_read");
        cm_cli_json_int(&json, stats->chunks_read);
        cm_cli_json_key(&json, "objects_written");
        cm_cli_json_int(&json, stats->objects_written);
        cm_cli_json_key(&json, "seconds");
        cm_cli_json_double(&json, (double)(int64_t)(seconds * 1000) / 1000);
        cm_cli_json_key(&json, "peak_memory");
        cm_cli_json_uint(&json, cm_cli_peak_memory());
    }
    cm_cli_json_close(&json, '}');
}

static void put_summary(cm_cli *cli, const char *target, const cm_save_stats *stats, double seconds)
{
    char in[16], out[16], rate[16], peak[16], limit[16];
    uint64_t nread = stats->bytes_read > 0 ? (uint64_t)stats->bytes_read : 0;
    uint64_t nwritten = stats->bytes_written > 0 ? (uint64_t)stats->bytes_written : 0;
    cm_cli_size_text(nread, in, sizeof in);
    cm_cli_size_text(nwritten, out, sizeof out);
    cm_cli_size_text(seconds > 0 ? (uint64_t)((double)nread / seconds) : nread, rate, sizeof rate);
    cm_cli_size_text(cm_cli_peak_memory(), peak, sizeof peak);
    cm_cli_size_text(cli->max_memory, limit, sizeof limit);
    cm_cli_note(cli, "%s: read %s, wrote %s in %lld object%s, %.*f s (%s/s), peak memory %s of %s",
                target, in, out, (long long)stats->objects_written,
                cm_cli_plural(stats->objects_written), seconds < 10 ? 2 : 0, seconds, rate, peak,
                limit);
}

/* Not before there is a plan: what cannot be done ends in one line, which says why. */
static void say_resources(cm_cli *cli)
{
    const char *reason;
    char size[16];
    int threads = cm_context_threads(cli->ctx);
    uint64_t memory = cm_cli_memory(cli, &reason);
    cm_cli_note(cli, "memory at most %s (%s), %d thread%s",
                cm_cli_size_text(memory, size, sizeof size), reason, threads,
                cm_cli_plural(threads));
}

static int plan_and_run(cm_cli *cli, const cm_cli_sources *s, const char *target, cm_error *err)
{
    cm_save *save = NULL;
    cm_save_options options;
    cm_save_stats stats;
    double seconds;
    fill_options(&cli->args, &options);
    int ret = cm_save_plan(cli->ctx, s->dataset, cm_cli_list_items(&s->names), s->names.n, target,
                           &options, &save, err);
    if (ret < 0) {
        if (ret == CM_EEXIST) {
            cm_error_object(err, target);
            cm_error_hint(err, "--overwrite replaces a Zarr store");
        }
        goto out;
    }
    say_resources(cli);
    for (size_t i = 0; cm_save_warning(save, i); i++)
        cm_cli_warn(cli, "%s", cm_save_warning(save, i));
    if (cli->args.dry_run) {
        if (cli->args.json)
            put_json(cli, s, target, save, NULL, 0);
        else {
            cm_cli_join_text(s->report, &cli->out);
            cm_cli_plan_text(&cli->out, target, cm_save_describe(save));
        }
        goto out;
    }
    ret = cm_save_run(save, 0, cm_save_ntasks(save), err);
    if (ret == 0)
        ret = cm_save_commit(save, err);
    if (ret < 0)
        goto out;
    seconds = cm_cli_now() - cli->started;
    cm_save_get_stats(save, &stats);
    if (cli->args.json)
        put_json(cli, s, target, save, &stats, seconds);
    put_summary(cli, target, &stats, seconds);
out:
    cm_save_free(save);
    return ret;
}

static int run(cm_cli *cli, cm_error *err)
{
    cm_cli_sources sources = {0};
    const char *target = cli->args.operands[cli->args.noperands - 1];
    int ret = cm_cli_begin(cli, 0, err);
    if (ret < 0)
        return ret;
    ret = cm_cli_sources_and_target(cli, err);
    if (ret == 0)
        ret = check_target(cli, target, err);
    if (ret == 0)
        ret = cm_cli_sources_list(cli, cli->args.noperands - 1, &sources, err);
    if (ret == 0) {
        ret = cm_cli_sources_open(cli, &sources, err);
        if (ret == CM_ENOTFOUND && cli->args.noperands > 2)
            cm_error_hint(err, "all names but the last, %s, are sources", target);
    }
    if (ret == 0)
        ret = plan_and_run(cli, &sources, target, err);
    cm_cli_sources_free(&sources);
    return ret;
}

static const cm_cli_option options[] = {
    {CM_CLI_HEADING, .help = "The new store"},
    {CM_CLI_WORDS, "chunks", 0, false, CM_CLI_AT(chunks), "dim=n,...",
     "chunk lengths by dimension name (time=365,lat=72; -1: the whole axis), by position (365,72,"
     "72), for one variable (VAR:time=10), of different lengths (time=31+28+31, or 31x2+28), or "
     "auto, auto:16MB; repeatable. Dimensions not named keep the source's chunks"},
    {CM_CLI_WORDS, "shards", 0, false, CM_CLI_AT(shards), "dim=n,...",
     "Zarr v3 shards, multiples of the chunks; dimensions not named: one chunk"},
    {CM_CLI_WORDS, "codec", 0, false, CM_CLI_AT(codecs), "CODEC",
     "blosc:zstd:5:shuffle, zstd:3, gzip:6, none, keep (the source's); VAR=CODEC for one variable; "
     "default: a Zarr source's own, else blosc:zstd:3:shuffle"},
    {CM_CLI_CHOICE, "zarr", 0, false, CM_CLI_AT(zarr), "3|2", "format version; default 3"},
    {CM_CLI_CHOICE, "empty-chunks", 0, false, CM_CLI_AT(empty_chunks), "write|skip",
     "chunks that hold only the fill value; default write, so that anyone can check completeness"},
    {CM_CLI_FLAG, "overwrite", 0, false, CM_CLI_AT(overwrite), NULL,
     "replace an existing Zarr store: it stays readable until the new one is whole"},
    {CM_CLI_CHOICE, "durability", 0, false, CM_CLI_AT(durability), "none|file|dir",
     "fsync nothing, files, or files and directories"},
    CM_CLI_SUBSET_OPTIONS,
    CM_CLI_UNPACK_OPTION,
    CM_CLI_FORMAT_OPTION,
    CM_CLI_CACHE_OPTION,
    CM_CLI_JOIN_OPTIONS,
    CM_CLI_RESOURCE_OPTIONS,
    {CM_CLI_TEXT, "scratch", 0, false, CM_CLI_AT(scratch), "DIR",
     "where a spill file may lie; default: beside the target"},
    {CM_CLI_CHOICE, "mode", 0, false, CM_CLI_AT(mode), "sweep|reread|spill",
     "force a plan instead of taking the cheapest"},
    {CM_CLI_FLAG, "dry-run", 0, false, CM_CLI_AT(dry_run), NULL,
     "print the plan (mode, passes, bytes, objects, peak memory, scratch) and write nothing"},
    CM_CLI_TALK_OPTIONS,
};

static const cm_cli_example examples[] = {
    {"yearly files to one cube with long time chunks",
     "chunkmill rechunk tas_*.nc tas.zarr --chunks time=365,lat=36,lon=36"},
    {"what would be done", "chunkmill rechunk tas_*.nc plan.zarr --chunks time=-1 --dry-run"},
    {"sources named in a list",
     "ls tas_*.nc | chunkmill rechunk --files-from - list.zarr --max-mem 512MB"},
    {"a part, unpacked, in shards",
     "chunkmill rechunk tas_2001.nc part.zarr --sel lat=-30:30 --unpack float32 "
     "--chunks time=30 --shards time=120"},
    {0}};

const cm_cli_command cm_cli_rechunk = {
    .name = "rechunk",
    .alias = "convert",
    .operands = "SRC... DST",
    .summary = "read anything, write Zarr with the chunks one wants; several sources are joined",
    .text =
        "Reads NetCDF-3, NetCDF-4, HDF5 or Zarr and writes one Zarr store. The plan is made "
        "first and is printable; every source chunk is read as few times as the memory allows, "
        "and every target object is written once.\n\nDST appears only when it is whole: after "
        "an error or Ctrl-C nothing is left under its name. One that ends with .zip becomes a zip "
        "archive. Arrays below 1 MB, and "
        "1-D coordinates and bounds up to 16 MiB, are one chunk unless named with VAR:.",
    .min_operands = 1,
    .max_operands = (size_t)-1,
    .options = options,
    .examples = examples,
    .run = run};
