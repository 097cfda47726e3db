/* cli/cmd_info.c: chunkmill info URI...
 *
 * A variable that cannot be read is shown with its reason and is no failure: info is what one runs
 * to find that out.
 */
#include "cli/info.h"
#include "cli/sources.h"

bool cm_cli_info_shows(const cm_cli *cli, const cm_variable *v)
{
    const cm_cli_list *vars = &cli->args.vars;
    for (size_t i = 0; i < vars->n; i++)
        if (cm_cli_is_named(v, vars->items[i]))
            return true;
    return vars->n == 0;
}

static int check_names(const cm_cli *cli, const cm_dataset *ds, const cm_group *g, cm_error *err)
{
    int ret = 0;
    for (size_t i = 0; i < cli->args.vars.n && ret == 0; i++)
        ret = cm_cli_require_named(ds, g, cli->args.vars.items[i], err);
    return ret;
}

static int list_chunks(cm_cli *cli, const cm_dataset *ds, const cm_group *g, cm_error *err)
{
    const cm_variable *v = NULL;
    int ret = cm_cli_find_variable(ds, g, cli->args.chunk_list, &v, err);
    if (ret == 0)
        ret = cm_cli_chunks_list(cli, v, err);
    if (ret < 0) {
        cm_error_object(err, cm_dataset_uri(ds));
        cm_error_variable(err, cli->args.chunk_list);
    }
    return ret;
}

static int show(cm_cli *cli, const cm_dataset *ds, const cm_group *g, cm_error *err)
{
    cm_error worst;
    cm_error_clear(&worst);
    int ret = check_names(cli, ds, g, err);
    if (ret == 0 && cli->args.chunk_list)
        ret = list_chunks(cli, ds, g, err);
    else if (ret == 0 && cli->args.json)
        ret = cm_cli_info_json(cli, ds, g, &worst, err);
    else if (ret == 0)
        ret = cm_cli_info_text(cli, ds, g, &worst, err);
    if (ret == 0 && worst.code) { /* --chunks could not count what it was asked to */
        *err = worst;
        cm_error_object(err, cm_dataset_uri(ds));
        ret = worst.code;
    }
    return ret;
}

/* Of several sources each must be readable, as for rechunk; --group and --vars apply to each. */
static int show_joined(cm_cli *cli, cm_error *err)
{
    cm_cli_sources sources = {0};
    int ret = cm_cli_sources_list(cli, cli->args.noperands, &sources, err);
    if (ret == 0)
        ret = cm_cli_sources_open(cli, &sources, err);
    if (ret == 0)
        ret = show(cli, sources.dataset, cm_dataset_root(sources.dataset), err);
    cm_cli_sources_free(&sources);
    return ret;
}

static int run(cm_cli *cli, cm_error *err)
{
    cm_dataset *ds = NULL;
    const cm_group *g;
    int ret = cm_cli_begin(cli, 0, err);
    if (ret == 0 && (cli->args.noperands > 1 || cm_cli_joins(&cli->args)))
        return show_joined(cli, err);
    if (ret == 0 && cli->args.noperands == 0) {
        cm_error_set(err, CM_EINVAL, "needs %s", cli->command->operands);
        cm_error_hint(err, "chunkmill %s --help", cli->command->name);
        return CM_EINVAL;
    }
    if (ret == 0)
        ret = cm_cli_open(cli, cli->args.operands[0], &ds, err);
    if (ret < 0)
        goto out;
    g = cm_dataset_root(ds);
    if (cli->args.group)
        g = cm_group_find(g, cli->args.group);
    if (!g) {
        ret = cm_error_set(err, CM_EINVAL, "no group '%s'", cli->args.group);
        cm_error_object(err, cli->args.operands[0]);
        goto out;
    }
    ret = show(cli, ds, g, err);
out:
    cm_dataset_free(ds);
    return ret;
}

static const cm_cli_option options[] = {
    {CM_CLI_HEADING, .help = "What is shown"},
    {CM_CLI_FLAG, "chunks", 0, false, CM_CLI_AT(count_chunks), NULL,
     "count present and total chunks and stored bytes, however many there are; of sharded arrays: "
     "shards"},
    {CM_CLI_TEXT, "chunk-list", 0, false, CM_CLI_AT(chunk_list), "VAR",
     "instead of the tree: coordinate, offset, length, filter mask and key of every present chunk, "
     "one a line"},
    {CM_CLI_COMMAS, "vars", 0, false, CM_CLI_AT(vars), "a,b", "only these variables"},
    {CM_CLI_COMMAS, "skip", 0, false, CM_CLI_AT(skip), "a,b",
     "of several sources, leave these variables out; needed for those that cannot be read"},
    {CM_CLI_TEXT, "group", 0, false, CM_CLI_AT(group), "/path", "only this group and those below"},
    CM_CLI_FORMAT_OPTION,
    CM_CLI_JOIN_OPTIONS,
    CM_CLI_CACHE_OPTION,
    CM_CLI_RESOURCE_OPTIONS,
    CM_CLI_TALK_OPTIONS,
};

static const cm_cli_example examples[] = {
    {"what is in a file", "chunkmill info tas_2001.nc"},
    {"how the chunks lie in it", "chunkmill info --chunk-list tas tas_2001.nc"},
    {"what many files are together", "chunkmill info tas_*.nc --concat time"},
    {"names and shapes for a script", "chunkmill info --json tas_2001.nc"},
    {0}};

const cm_cli_command cm_cli_info = {
    .name = "info",
    .operands = "URI...",
    .summary = "show groups, dimensions, variables, chunks, codecs and attributes",
    .text = "Like ncdump -h and h5dump -pH in one, for every format that chunkmill reads. One-"
            "dimensional coordinates are shown with first and last value and step, times decoded "
            "with their calendar. Other data are not read.\n\nA variable that cannot be read is "
            "shown with the reason. Several sources are joined, and what the join did is said.",
    .min_operands = 0,
    .max_operands = (size_t)-1,
    .options = options,
    .examples = examples,
    .run = run};
