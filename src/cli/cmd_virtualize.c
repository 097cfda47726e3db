/* cli/cmd_virtualize.c: chunkmill virtualize SRC... DST: references instead of copies. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/counts.h"
#include "cli/jsonout.h"
#include "cli/plan_text.h"
#include "cli/sizes.h"
#include "cli/sources.h"

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

static int choose_form(const cm_cli *cli, const char *target, bool *parquet, cm_error *err)
{
    const char *form = cli->args.references;
    *parquet = form ? strcmp(form, "parquet") == 0
                    : ends_with(target, ".parq") || ends_with(target, ".parquet");
    if (form || *parquet || ends_with(target, ".json"))
        return 0;
    cm_error_set(err, CM_EINVAL, "its name does not say which form of references it is to be");
    cm_error_object(err, target);
    cm_error_hint(err, "name it .json or .parq, or add --references json or parquet");
    return CM_EINVAL;
}

/* With --append the target is the first source. */
static int list_sources(cm_cli *cli, const char *target, cm_cli_sources *s, cm_error *err)
{
    if (cli->args.append) {
        if (cli->args.concat) {
            cm_error_set(err, CM_EINVAL, "--append names the dimension already");
            cm_error_hint(err, "leave --concat out");
            return CM_EINVAL;
        }
        cli->args.concat = cli->args.append;
        cli->args.overwrite = 1;
        int ret = cm_cli_list_add(&s->names, target, strlen(target), err);
        if (ret < 0)
            return ret;
    }
    return cm_cli_sources_list(cli, cli->args.noperands - 1, s, err);
}

/* Of a dry run too: the members of the plan that are numbers of the whole, then by variable. */
static void put_json(cm_cli *cli, const cm_cli_sources *s, const char *target, bool parquet,
                     const cm_virtualize_stats *stats, const cm_json *plan, double seconds)
{
    cm_cli_json json;
    cm_cli_json_init(&json, &cli->out, false);
    cm_cli_json_object(&json);
    cm_cli_json_key(&json, "target");
    cm_cli_json_string(&json, target);
    cm_cli_json_key(&json, "form");
    cm_cli_json_string(&json, parquet ? "parquet" : "json");
    cm_cli_json_key(&json, "dry_run");
    cm_cli_json_bool(&json, cli->args.dry_run > 0);
    cm_cli_json_key(&json, "variables");
    cm_cli_json_int(&json, stats->variables);
    cm_cli_json_key(&json, "references");
    cm_cli_json_int(&json, stats->references);
    cm_cli_json_key(&json, "new");
    cm_cli_json_int(&json, stats->fresh);
    cm_cli_json_key(&json, "inlined");
    cm_cli_json_int(&json, stats->inlined);
    cm_cli_json_key(&json, "kept");
    cm_cli_json_int(&json, stats->kept);
    cm_cli_json_key(&json, "rewritten");
    cm_cli_json_int(&json, stats->rewritten);
    cm_cli_json_key(&json, "sources");
    cm_cli_json_int(&json, stats->sources);
    cm_cli_join_json(s->report, &json);
    cm_cli_json_key(&json, "plan");
    cm_cli_json_value(&json, plan);
    cm_cli_json_key(&json, "seconds");
    cm_cli_json_double(&json, (double)(int64_t)(seconds * 1000) / 1000);
    cm_cli_json_key(&json, "peak_memory");
    cm_cli_json_uint(&json, cm_cli_peak_memory());
    cm_cli_json_close(&json, '}');
}

static void note(void *user, const char *line)
{
    cm_cli_note(user, "%s", line);
}

static void put_plan(cm_cli *cli, const cm_cli_sources *s, const char *target, const cm_json *plan)
{
    static const char *const titles[] = {"variable", "how",     "shape",     "chunks",
                                         "written",  "inlined", "rewritten", "files kept"};
    static const char *const members[] = {"path",       "how",     "chunks",    "count",
                                          "references", "inlined", "rewritten", "kept"};
    static const char *const lines[][2] = {{"references", "references"}, {"of these new", "new"},
                                           {"inlined", "inlined"},       {"to files", "files"},
                                           {"rewritten", "rewritten"},   {"files kept", "kept"}};
    cm_cli_out *out = &cli->out;
    uint64_t n;
    char size[16];
    cm_cli_join_text(s->report, out);
    cm_cli_out_text(out, "target         ");
    cm_cli_out_name(out, target);
    cm_cli_out_format(out, "\n%-14s kerchunk %s\n", "form",
                      strcmp(cm_json_string(cm_json_get(plan, "form")), "json") ? "Parquet"
                                                                                : "JSON");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        if (!cm_json_uint64(cm_json_get(plan, lines[i][1]), &n) || (n == 0 && i >= 4))
            continue;
        if (i == 1 && !cli->args.append)
            continue;
        cm_cli_out_format(out, "%-14s %" PRIu64, lines[i][0], n);
        if ((i == 2 && cm_json_uint64(cm_json_get(plan, "inlined_bytes"), &n) && n) ||
            (i == 4 && cm_json_uint64(cm_json_get(plan, "rewritten_bytes"), &n)))
            cm_cli_out_format(out, ", %s%s", cm_cli_size_text(n, size, sizeof size),
                              i == 4 ? " of cells before they are encoded" : "");
        cm_cli_out_char(out, '\n');
    }
    cm_cli_out_char(out, '\n');
    cm_cli_plan_table(out, cm_json_get(plan, "variables"), titles, members,
                      sizeof titles / sizeof *titles);
}

static void say_written(cm_cli *cli, const char *target, const cm_virtualize_stats *stats,
                        double seconds)
{
    char peak[16], what[160];
    int64_t again = stats->references - stats->fresh;
    char kept[80] = "";
    if (stats->kept)
        snprintf(kept, sizeof kept, ", %" PRId64 " file%s of references kept", stats->kept,
                 cm_cli_plural(stats->kept));
    if (cli->args.append)
        snprintf(what, sizeof what, "%" PRId64 " reference%s added, %" PRId64 " written again%s",
                 stats->fresh, cm_cli_plural(stats->fresh), again, kept);
    else
        snprintf(what, sizeof what, "%" PRId64 " reference%s", stats->references,
                 cm_cli_plural(stats->references));
    cm_cli_size_text(cm_cli_peak_memory(), peak, sizeof peak);
    cm_cli_note(cli,
                "%s: %s (%" PRId64 " with their bytes) of %" PRId64 " variable%s to %" PRId64
                " file%s, %.2f s, peak memory %s",
                target, what, stats->inlined, stats->variables, cm_cli_plural(stats->variables),
                stats->sources, cm_cli_plural(stats->sources), seconds, peak);
}

static int write_references(cm_cli *cli, const cm_cli_sources *s, const char *target, cm_error *err)
{
    cm_virtualize_options options;
    cm_virtualize_stats stats;
    cm_json_doc *plan = NULL;
    cm_virtualize_options_init(&options);
    options.dry_run = cli->args.dry_run > 0;
    options.plan = cli->args.json || cli->args.dry_run ? &plan : NULL;
    size_t skip = cli->args.append ? 1 : 0; /* the target itself */
    options.overwrite = cli->args.overwrite > 0;
    options.append = cli->args.append != NULL;
    options.materialize = cli->args.materialize;
    options.note = (cm_virtual_options_note){note, cli};
    options.rebase = cm_cli_list_items(&cli->args.rebase);
    options.nrebase = cli->args.rebase.n;
    if (cli->args.inline_nbytes)
        options.inline_nbytes = cli->args.inline_nbytes;
    if (cli->args.no_inline)
        options.inline_nbytes = 0;
    if (cli->args.record_size)
        options.record_size = cli->args.record_size;
    int ret = choose_form(cli, target, &options.parquet, err);
    if (ret == 0)
        ret = cm_virtualize(cli->ctx, s->dataset, cm_cli_list_items(&s->names) + skip,
                            s->names.n - skip, target, &options, &stats, err);
    if (ret < 0)
        return ret;
    double seconds = cm_cli_now() - cli->started;
    if (cli->args.json)
        put_json(cli, s, target, options.parquet, &stats, cm_json_doc_root(plan), seconds);
    else if (cli->args.dry_run)
        put_plan(cli, s, target, cm_json_doc_root(plan));
    if (!cli->args.dry_run)
        say_written(cli, target, &stats, seconds);
    cm_json_doc_free(plan);
    return 0;
}

static int run(cm_cli *cli, cm_error *err)
{
    cm_cli_sources sources = {0};
    const char *target = cli->args.operands[cli->args.noperands - 1];
    bool parquet;
    int ret = cm_cli_begin(cli, 0, err);
    if (ret < 0)
        return ret;
    ret = cm_cli_sources_and_target(cli, err);
    if (ret == 0)
        ret = choose_form(cli, target, &parquet, err);
    if (ret == 0)
        ret = list_sources(cli, target, &sources, err);
    if (ret == 0)
        ret = cm_cli_sources_open(cli, &sources, err);
    if (ret == 0)
        ret = write_references(cli, &sources, target, err);
    cm_cli_sources_free(&sources);
    return ret;
}

static const cm_cli_option options[] = {
    {CM_CLI_HEADING, .help = "The references"},
    {CM_CLI_CHOICE, "references", 0, false, CM_CLI_AT(references), "json|parquet",
     "kerchunk's JSON (version 1) or fsspec's Parquet layout; default: as DST ends, .json, .parq "
     "or .parquet"},
    {CM_CLI_SIZE, "inline", 0, false, CM_CLI_AT(inline_nbytes), "SIZE",
     "chunks of fewer bytes are written into the references; default 512"},
    {CM_CLI_FLAG, "no-inline", 0, false, CM_CLI_AT(no_inline), NULL,
     "refer to every chunk, however small"},
    {CM_CLI_COUNT, "record-size", 0, false, CM_CLI_AT(record_size), "N",
     "references in one Parquet file; default 100000, with --append as before"},
    {CM_CLI_TEXT, "append", 0, false, CM_CLI_AT(append), "DIM",
     "DST is there: join it with the sources along DIM; of Parquet only what is new is written"},
    {CM_CLI_TEXT, "materialize", 0, false, CM_CLI_AT(materialize), "DIR",
     "rewrite the chunks that references cannot say into files in DIR, and refer to them there"},
    {CM_CLI_WORDS, "rebase", 0, false, CM_CLI_AT(rebase), "OLD=NEW",
     "SRC is references: files whose names begin with OLD are now under NEW; repeatable"},
    {CM_CLI_FLAG, "overwrite", 0, false, CM_CLI_AT(overwrite), NULL,
     "replace DST: it stays readable until the new one is whole"},
    {CM_CLI_FLAG, "dry-run", 0, false, CM_CLI_AT(dry_run), NULL,
     "print what would be written (references, inlined and rewritten chunks) and write nothing"},
    CM_CLI_SUBSET_OPTIONS,
    CM_CLI_FORMAT_OPTION,
    CM_CLI_CACHE_OPTION,
    CM_CLI_JOIN_OPTIONS,
    CM_CLI_RESOURCE_OPTIONS,
    CM_CLI_TALK_OPTIONS,
};

static const cm_cli_example examples[] = {
    {"a file as a Zarr store, without copying it", "chunkmill virtualize tas_2001.nc tas.json"},
    {"the same in Parquet, for many references", "chunkmill virtualize tas_2001.nc tas.parq"},
    {"what would be written, and does it fit?",
     "chunkmill virtualize tas_*.nc all.json --concat time --dry-run"},
    {"from one form to the other", "chunkmill virtualize tas.json copy.parq"},
    {"files of which some do not fit: their chunks are rewritten beside the references",
     "chunkmill virtualize tas_*.nc all.json --concat time --materialize all.chunks"},
    {"only the coordinates of several files, joined",
     "chunkmill virtualize tas_*.nc axes.json --skip tas --concat time"},
    {0}};

const cm_cli_command cm_cli_virtualize = {
    .name = "virtualize",
    .operands = "SRC... DST",
    .summary = "write references to the chunks of files instead of copies; several sources are "
               "joined",
    .text =
        "Reads anything that rechunk reads, and writes which bytes of which file each chunk is: "
        "kerchunk references, which xarray, zarr-python and chunkmill open as one "
        "dataset.\n\nWhat references cannot say is refused, naming file and variable: files that "
        "differ in codec, chunk shape or byte order, one that ends inside a chunk and is not the "
        "last, filter masks, codecs that no other reader has. Variables up to 1 MiB of that kind "
        "and dimension coordinates are written into the references. With --materialize DIR only "
        "the chunks that do not fit are rewritten, into files in DIR.\n\nThe references record "
        "size and time of change of every "
        "file; chunkmill verify finds those that changed or are gone.",
    .min_operands = 1,
    .max_operands = (size_t)-1,
    .options = options,
    .examples = examples,
    .run = run};
