/* cli/cmd_survey.c: chunkmill survey SRC...: what differs between many files.
 *
 * The library makes the report; here are the options, the schema's file and the lists of files of
 * the plan. A schema is written only when --write says so: a name that is mistyped would otherwise
 * make a new schema where a check was wanted, and the check would always succeed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/jsonout.h"
#include "cli/sources.h"
#include "cli/survey_text.h"

enum { LONGEST_SCHEMA = 1 << 28 };

static int os_error(const char *path, cm_error *err, const char *what)
{
    cm_error_set_os(err, errno, "%s", what);
    return cm_error_object(err, path);
}

/* ---- schema ---------------------------------------------------------------------------------- */

static int read_schema(const char *path, cm_json_doc **out, cm_error *err)
{
    char *content = NULL;
    size_t n = 0, capacity = 0;
    FILE *f = fopen(path, "re");
    if (!f) {
        int missing = errno == ENOENT, ret = os_error(path, err, "cannot be read");
        if (missing)
            cm_error_hint(err, "--write makes a schema of what is found");
        return ret;
    }
    int ret = 0;
    for (size_t got = 1; ret == 0 && got > 0; n += got) {
        if (n == capacity) {
            capacity = capacity ? 2 * capacity : 1 << 16;
            char *more = capacity > LONGEST_SCHEMA ? NULL : realloc(content, capacity);
            if (!more) {
                ret = cm_error_set(err, CM_ELIMIT, "too large for a schema");
                break;
            }
            content = more;
        }
        got = fread(content + n, 1, capacity - n, f);
    }
    if (ret == 0 && ferror(f))
        ret = os_error(path, err, "cannot be read");
    if (ret == 0)
        ret = cm_json_parse(content, n, 0, out, err);
    if (ret < 0)
        cm_error_object(err, path);
    fclose(f);
    free(content);
    return ret;
}

/* Whole under its name, or not at all. */
static int write_file(const char *path, const char *content, size_t n, bool overwrite,
                      cm_error *err)
{
    char *part = NULL;
    if (asprintf(&part, "%s.part-%ld", path, (long)getpid()) < 0)
        return cm_error_set(err, CM_ENOMEM, "out of memory");
    FILE *f = fopen(part, "wxe");
    int ret = f ? 0 : os_error(path, err, "cannot be written");
    if (f) {
        bool bad = fwrite(content, 1, n, f) != n;
        bad = fclose(f) != 0 || bad;
        if (bad)
            ret = os_error(path, err, "cannot be written");
        else if (overwrite ? rename(part, path) : link(part, path))
            ret = os_error(path, err, "cannot be written");
        if (ret || !overwrite)
            unlink(part);
    }
    if (ret == CM_EEXIST)
        cm_error_hint(err, "--overwrite replaces it");
    free(part);
    return ret;
}

static int write_schema(const cm_cli *cli, const cm_json *report, cm_error *err)
{
    char *text = NULL;
    size_t n;
    int ret = cm_json_write(cm_json_get(report, "schema"), 2, &text, &n, err);
    if (ret == 0) {
        text[n] = '\n'; /* in the place of its NUL */
        ret = write_file(cli->args.schema, text, n + 1, cli->args.overwrite > 0, err);
    }
    free(text);
    return ret;
}

/* ---- lists ----------------------------------------------------------------------------------- */

static int write_list(const cm_cli *cli, const cm_json *sources, const cm_json *list, cm_error *err)
{
    const cm_json *ranges = cm_json_get(list, "files");
    const char *name = cm_json_string(cm_json_get(list, "name"));
    char *path = NULL, *text = NULL;
    size_t nbytes = 0;
    FILE *f = open_memstream(&text, &nbytes);
    int ret = f && asprintf(&path, "%s/%s.txt", cli->args.lists, name ? name : "files") >= 0
                  ? 0
                  : cm_error_set(err, CM_ENOMEM, "out of memory");
    for (size_t i = 0; ret == 0 && i < cm_json_count(ranges); i++) {
        int64_t first = 0, last = -1;
        cm_json_int64(cm_json_at(cm_json_at(ranges, i), 0), &first);
        cm_json_int64(cm_json_at(cm_json_at(ranges, i), 1), &last);
        for (int64_t k = first; k <= last; k++)
            fprintf(f, "%s\n", cm_json_string(cm_json_at(sources, (size_t)k)));
    }
    if (f && fclose(f) != 0 && ret == 0)
        ret = cm_error_set(err, CM_ENOMEM, "out of memory");
    if (ret == 0)
        ret = write_file(path, text, nbytes, cli->args.overwrite > 0, err);
    free(path);
    free(text);
    return ret;
}

static int write_lists(const cm_cli *cli, const cm_json *report, cm_error *err)
{
    const cm_json *plan = cm_json_get(report, "plan"), *sources = cm_json_get(report, "sources");
    int ret = 0;
    if (mkdir(cli->args.lists, 0777) != 0 && errno != EEXIST)
        return os_error(cli->args.lists, err, "cannot be made");
    for (size_t i = 0; ret == 0 && i < cm_json_count(plan); i++) {
        const cm_json *lists = cm_json_get(cm_json_at(plan, i), "lists");
        for (size_t k = 0; ret == 0 && k < cm_json_count(lists); k++)
            ret = write_list(cli, sources, cm_json_at(lists, k), err);
    }
    return ret;
}

/* ---------------------------------------------------------------------------------------------- */

/* Does an option of the join need to be tried? --concat and --static are the survey's own. */
static bool asks_for_join(const cm_cli_args *a)
{
    return a->order || a->unsorted || a->duplicates || a->gaps || a->stack || a->coord ||
           a->calendar || a->merge;
}

static void choose(const cm_cli *cli, const cm_json *schema, const cm_join_options *join,
                   cm_survey_options *o)
{
    const cm_cli_args *args = &cli->args;
    cm_survey_options_init(o);
    o->join = asks_for_join(args) ? join : NULL;
    o->format = args->format;
    o->cache = args->cache;
    o->concat = args->concat;
    o->static_first = args->static_rule != NULL;
    o->schema = schema;
    o->select.group = args->group;
    o->select.variables = cm_cli_list_items(&args->vars);
    o->select.nvariables = args->vars.n;
    o->select.skip = cm_cli_list_items(&args->skip);
    o->select.nskip = args->skip.n;
    o->select.unpack = cm_cli_unpack(args);
    o->select_any = args->group || args->vars.n || args->skip.n || args->unpack;
}

static int check_options(const cm_cli *cli, cm_error *err)
{
    struct stat st;
    if (cli->args.cache && cli->args.format)
        return cm_error_set(err, CM_EINVAL, "--cache and --format do not go together");
    if (cli->args.write && !cli->args.schema) {
        cm_error_set(err, CM_EINVAL, "--write needs --schema: which file is to be written?");
        return cm_error_object(err, cli->command->name);
    }
    if (cli->args.write && !cli->args.overwrite && stat(cli->args.schema, &st) == 0) {
        cm_error_set(err, CM_EEXIST, "it is there already");
        cm_error_object(err, cli->args.schema);
        return cm_error_hint(err, "--overwrite replaces it, without --write it is checked");
    }
    return 0;
}

static int report(cm_cli *cli, const cm_json *found, cm_error *err)
{
    int ret = cli->args.write ? write_schema(cli, found, err) : 0;
    if (ret == 0 && cli->args.lists)
        ret = write_lists(cli, found, err);
    if (ret < 0)
        return ret;
    if (cli->args.json) {
        cm_cli_json json;
        cm_cli_json_init(&json, &cli->out, false);
        cm_cli_json_value(&json, found);
    } else {
        cm_cli_survey_text(cli, found, cli->args.lists);
    }
    bool good = cm_json_bool(cm_json_get(found, "joinable"), false) &&
                cm_json_bool(cm_json_get(found, "as_schema"), true);
    cli->status = good ? 0 : 3;
    return 0;
}

static int run(cm_cli *cli, cm_error *err)
{
    cm_cli_sources sources = {0};
    cm_json_doc *schema = NULL, *found = NULL;
    cm_survey_options options;
    cm_join_options join;
    cm_cli_join_options(&cli->args, &join);
    int ret = check_options(cli, err);
    if (ret == 0)
        ret = cm_cli_begin(cli, 0, err);
    if (ret == 0)
        ret = cm_cli_sources_list(cli, cli->args.noperands, &sources, err);
    if (ret == 0 && cli->args.schema && !cli->args.write)
        ret = read_schema(cli->args.schema, &schema, err);
    if (ret == 0) {
        choose(cli, schema ? cm_json_doc_root(schema) : NULL, &join, &options);
        ret = cm_survey_files(cli->ctx, cm_cli_list_items(&sources.names), sources.names.n,
                              &options, &found, err);
        cm_cli_progress_clear(&cli->progress);
    }
    if (ret == 0)
        ret = report(cli, cm_json_doc_root(found), err);
    cm_json_doc_free(found);
    cm_json_doc_free(schema);
    cm_cli_sources_free(&sources);
    return ret;
}

static const cm_cli_option options[] = {
    CM_CLI_JOIN_OPTIONS,
    {CM_CLI_HEADING, .help = "Which part"},
    {CM_CLI_COMMAS, "vars", 0, false, CM_CLI_AT(vars), "a,b",
     "only these variables, with their coordinates, bounds and grid mappings"},
    {CM_CLI_COMMAS, "skip", 0, false, CM_CLI_AT(skip), "a,b", "leave these variables out"},
    {CM_CLI_TEXT, "group", 0, false, CM_CLI_AT(group), "/path", "this group becomes the root"},
    CM_CLI_UNPACK_OPTION,
    CM_CLI_FORMAT_OPTION,
    CM_CLI_CACHE_OPTION,
    {CM_CLI_HEADING, .help = "What is made of it"},
    {CM_CLI_TEXT, "schema", 0, false, CM_CLI_AT(schema), "FILE",
     "compare the files with this schema: exit status 3 when they differ from it"},
    {CM_CLI_FLAG, "write", 0, false, CM_CLI_AT(write), NULL,
     "write the schema instead: what most of the files are"},
    {CM_CLI_TEXT, "lists", 0, false, CM_CLI_AT(lists), "DIR",
     "write the lists of files that the plan names, one name a line"},
    {CM_CLI_FLAG, "overwrite", 0, false, CM_CLI_AT(overwrite), NULL,
     "replace a schema and lists that are there"},
    CM_CLI_RESOURCE_OPTIONS,
    CM_CLI_TALK_OPTIONS,
};

static const cm_cli_example examples[] = {
    {"what differs, and do they join?", "chunkmill survey tas_*.nc"},
    {"everything, for programs", "chunkmill survey tas_*.nc --json"},
    {"write down what the files are", "chunkmill survey tas_*.nc --schema tas.schema --write"},
    {"is a new file like them?", "chunkmill survey tas_2001.nc --schema tas.schema"},
    {0}};

const cm_cli_command cm_cli_survey = {
    .name = "survey",
    .operands = "SRC...",
    .summary = "what differs between many files, and can they be joined",
    .text =
        "Looks at all files once, in parallel, and groups them by everything that must agree: "
        "variables, types, dimensions, packing, units, calendars, coordinate values, and how they "
        "are stored. Names the files that are different, says whether rechunk and virtualize would "
        "take them all, and what to do if not. A file that cannot be opened is a finding and not "
        "the end. With --order, --unsorted, --duplicates, --gaps, --stack, --coord or --merge the "
        "verdict is that of a join with these options, for which all files are opened at "
        "once.\n\nExit status 0 when the files join (and are as the schema says), 3 when not.",
    .min_operands = 0,
    .max_operands = (size_t)-1,
    .options = options,
    .examples = examples,
    .run = run};
