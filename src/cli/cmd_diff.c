/* cli/cmd_diff.c: chunkmill diff SRC... STORE.
 *
 * The sources are opened as rechunk opens them, so the same options that made a store check it.
 * --isel, --sel, --unpack and --group describe what was done to the sources and therefore are not
 * applied to STORE; --vars and --skip say what is compared and are applied to both, except for
 * names that STORE does not have (they were skipped when it was made).
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/counts.h"
#include "cli/jsonout.h"
#include "cli/sources.h"

/* Those of wanted that ds has; borrowed. */
static size_t present_names(const cm_dataset *ds, const cm_cli_list *wanted, const char **names)
{
    size_t n = 0;
    for (size_t i = 0; i < wanted->n; i++)
        if (cm_cli_has_named(ds, wanted->items[i]))
            names[n++] = wanted->items[i];
    return n;
}

static int open_store(cm_cli *cli, const char *uri, cm_dataset **store, cm_error *err)
{
    const cm_cli_args *args = &cli->args;
    cm_select_options options;
    const char **names = NULL;
    cm_dataset *part = NULL;
    int ret = cm_dataset_open(cli->ctx, uri, NULL, store, err);
    if (ret < 0)
        goto out;
    if (args->vars.n + args->skip.n > 0) {
        names = calloc(args->vars.n + args->skip.n, sizeof *names);
        if (!names) {
            ret = cm_error_set(err, CM_ENOMEM, "out of memory for names");
            goto out;
        }
        cm_select_options_init(&options);
        options.variables = names;
        options.nvariables = present_names(*store, &args->vars, names);
        options.skip = names + args->vars.n;
        options.nskip = present_names(*store, &args->skip, names + args->vars.n);
        ret = cm_dataset_select(cli->ctx, *store, &options, &part, err);
        if (ret < 0)
            goto out;
        cm_dataset_free(*store);
        *store = part;
    }
    ret = cm_cli_require_readable(cli, *store, err);
out:
    if (ret < 0 && ret != CM_ECANCEL)
        cm_error_object(err, uri);
    free(names);
    return ret;
}

/* A value inside a line. */
static void put_value(cm_cli_out *out, const cm_json *v)
{
    cm_cli_json json;
    cm_cli_json_init(&json, out, true);
    json.depth = 1; /* no newline after a list */
    cm_cli_json_value(&json, v);
}

static void put_variable(cm_cli_out *out, const cm_json *v)
{
    const char *path = cm_json_string(cm_json_get(v, "path"));
    const char *problem = cm_json_string(cm_json_get(v, "problem"));
    const cm_json *first = cm_json_get(v, "first");
    const cm_json *largest = cm_json_get(v, "max_abs_difference");
    cm_cli_out_style(out, CM_CLI_BOLD);
    cm_cli_out_name(out, path ? path : "?");
    cm_cli_out_style(out, CM_CLI_PLAIN);
    cm_cli_out_text(out, ": ");
    if (problem) {
        cm_cli_out_name(out, problem);
        cm_cli_out_char(out, '\n');
        return;
    }
    cm_cli_out_format(out, "%" PRId64 " of %" PRId64 " cells differ", cm_cli_number(v, "differing"),
                      cm_cli_number(v, "cells"));
    if (cm_json_is(largest, CM_JSON_NUMBER)) {
        cm_cli_out_text(out, ", largest difference ");
        put_value(out, largest);
    }
    cm_cli_out_char(out, '\n');
    for (size_t i = 0; i < cm_json_count(first); i++) {
        const cm_json *cell = cm_json_at(first, i);
        cm_cli_out_text(out, "    ");
        put_value(out, cm_json_get(cell, "index"));
        cm_cli_out_text(out, ": ");
        put_value(out, cm_json_get(cell, "a"));
        cm_cli_out_text(out, " | ");
        put_value(out, cm_json_get(cell, "b"));
        cm_cli_out_char(out, '\n');
    }
}

static void put_attribute(cm_cli_out *out, const cm_json *a)
{
    const char *path = cm_json_string(cm_json_get(a, "path"));
    const char *name = cm_json_string(cm_json_get(a, "name"));
    cm_cli_out_name(out, path ? path : "?");
    cm_cli_out_text(out, ": attribute ");
    cm_cli_out_name(out, name ? name : "?");
    cm_cli_out_text(out, ": ");
    put_value(out, cm_json_get(a, "a"));
    cm_cli_out_text(out, " | ");
    put_value(out, cm_json_get(a, "b"));
    cm_cli_out_char(out, '\n');
}

static void put_report(cm_cli *cli, const cm_json *report)
{
    const cm_json *variables = cm_json_get(report, "variables");
    const cm_json *attributes = cm_json_get(report, "attributes");
    size_t n = cm_json_count(variables), nattributes = cm_json_count(attributes), differ = 0;
    int64_t cells = 0;
    for (size_t i = 0; i < n; i++) {
        const cm_json *v = cm_json_at(variables, i);
        cells += cm_cli_number(v, "cells");
        if (!cm_json_bool(cm_json_get(v, "equal"), false)) {
            differ++;
            put_variable(&cli->out, v);
        }
    }
    for (size_t i = 0; i < nattributes; i++)
        put_attribute(&cli->out, cm_json_at(attributes, i));
    if (cm_json_bool(cm_json_get(report, "equal"), false))
        cm_cli_out_format(&cli->out, "equal: %zu variable%s, %" PRId64 " cell%s\n", n,
                          cm_cli_plural((int64_t)n), cells, cm_cli_plural(cells));
    else
        cm_cli_out_format(&cli->out, "differ: %zu of %zu variable%s, %zu attribute%s\n", differ, n,
                          cm_cli_plural((int64_t)n), nattributes,
                          cm_cli_plural((int64_t)nattributes));
}

static int run(cm_cli *cli, cm_error *err)
{
    cm_cli_sources sources = {0};
    cm_dataset *store = NULL;
    cm_json_doc *doc = NULL;
    cm_diff_options options;
    const char *uri = cli->args.operands[cli->args.noperands - 1];
    int ret = cm_cli_begin(cli, 0, err);
    if (ret == 0)
        ret = cm_cli_sources_list(cli, cli->args.noperands - 1, &sources, err);
    if (ret == 0)
        ret = cm_cli_sources_open(cli, &sources, err);
    if (ret == 0)
        ret = open_store(cli, uri, &store, err);
    if (ret == 0) {
        cm_diff_options_init(&options);
        options.attributes = cli->args.attributes > 0;
        options.rtol = cli->args.rtol;
        options.atol = cli->args.atol;
        ret = cm_diff(cli->ctx, sources.dataset, store, &options, &doc, err);
    }
    if (ret == 0) {
        const cm_json *report = cm_json_doc_root(doc);
        cm_cli_json json;
        cm_cli_json_init(&json, &cli->out, false);
        if (cli->args.json)
            cm_cli_json_value(&json, report);
        else
            put_report(cli, report);
        cli->status = cm_json_bool(cm_json_get(report, "equal"), false) ? 0 : 4;
    }
    cm_json_doc_free(doc);
    cm_dataset_free(store);
    cm_cli_sources_free(&sources);
    return ret;
}

static const cm_cli_option options[] = {
    {CM_CLI_HEADING, .help = "What counts as equal"},
    {CM_CLI_REAL, "rtol", 0, false, CM_CLI_AT(rtol), "R",
     "floats may differ by R times the second value; default 0: bit for bit, except that any NaN "
     "equals any NaN"},
    {CM_CLI_REAL, "atol", 0, false, CM_CLI_AT(atol), "A", "floats may differ by A"},
    {CM_CLI_FLAG, "attributes", 0, false, CM_CLI_AT(attributes), NULL, "compare attributes too"},
    CM_CLI_SUBSET_OPTIONS,
    CM_CLI_UNPACK_OPTION,
    CM_CLI_FORMAT_OPTION,
    CM_CLI_JOIN_OPTIONS,
    CM_CLI_RESOURCE_OPTIONS,
    CM_CLI_TALK_OPTIONS,
};

static const cm_cli_example examples[] = {
    {"is the cube what the files say? (after the first example of rechunk)",
     "chunkmill diff tas_*.nc tas.zarr"},
    {"two files, attributes too", "chunkmill diff --attributes tas_2001.nc tas_2001.nc"},
    {0}};

const cm_cli_command cm_cli_diff = {
    .name = "diff",
    .operands = "SRC... STORE",
    .summary = "compare the values of sources with those of a store",
    .text = "Joins and selects the sources as rechunk does, and compares every variable with that "
            "of the same path in STORE: presence, dtype, shape, dimension names, and all values. "
            "--vars and --skip are for both sides; --group, --isel, --sel and --unpack only for "
            "the sources.\n\nFor every variable that differs: how many cells, the largest "
            "difference, and the first ten. Exit status 4 if anything differs.",
    .min_operands = 1,
    .max_operands = (size_t)-1,
    .options = options,
    .examples = examples,
    .run = run};
