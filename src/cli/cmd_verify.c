/* cli/cmd_verify.c: chunkmill verify STORE: is every chunk there, and does it decode. */
#include <inttypes.h>
#include <string.h>

#include "cli/counts.h"
#include "cli/jsonout.h"
#include "cli/sources.h"

static void put_name(cm_cli_out *out, const cm_json *text)
{
    const char *s = cm_json_string(text);
    cm_cli_out_name(out, s ? s : "?");
}

static void put_array(cm_cli_out *out, const cm_json *a)
{
    const cm_json *missing = cm_json_get(a, "missing_first"), *bad = cm_json_get(a, "bad_first");
    cm_cli_out_style(out, CM_CLI_BOLD);
    put_name(out, cm_json_get(a, "path"));
    cm_cli_out_style(out, CM_CLI_PLAIN);
    int64_t chunks = cm_cli_number(a, "chunks");
    cm_cli_out_format(
        out, ": %" PRId64 " chunk%s, %" PRId64 " present, %" PRId64 " missing, %" PRId64 " bad\n",
        chunks, cm_cli_plural(chunks), cm_cli_number(a, "present"), cm_cli_number(a, "missing"),
        cm_cli_number(a, "bad"));
    for (size_t i = 0; i < cm_json_count(missing); i++) {
        cm_cli_out_text(out, "    missing: ");
        put_name(out, cm_json_at(missing, i));
        cm_cli_out_char(out, '\n');
    }
    for (size_t i = 0; i < cm_json_count(bad); i++) {
        cm_cli_out_text(out, "    bad: ");
        put_name(out, cm_json_get(cm_json_at(bad, i), "key"));
        cm_cli_out_text(out, ": ");
        put_name(out, cm_json_get(cm_json_at(bad, i), "message"));
        cm_cli_out_char(out, '\n');
    }
}

static void put_report(cm_cli_out *out, const cm_json *report)
{
    const cm_json *arrays = cm_json_get(report, "arrays");
    int64_t chunks = 0, missing = 0, bad = 0;
    size_t n = cm_json_count(arrays);
    for (size_t i = 0; i < n; i++) {
        const cm_json *a = cm_json_at(arrays, i);
        put_array(out, a);
        chunks += cm_cli_number(a, "chunks");
        missing += cm_cli_number(a, "missing");
        bad += cm_cli_number(a, "bad");
    }
    const cm_json *sources = cm_json_get(report, "sources");
    const cm_json *gone = cm_json_get(sources, "bad_first");
    int64_t files = cm_cli_number(sources, "count");
    if (sources)
        cm_cli_out_format(out, "sources: %" PRId64 " file%s, %" PRId64 " gone or changed\n", files,
                          cm_cli_plural(files), cm_cli_number(sources, "bad"));
    for (size_t i = 0; i < cm_json_count(gone); i++) {
        cm_cli_out_text(out, "    bad: ");
        put_name(out, cm_json_get(cm_json_at(gone, i), "message"));
        cm_cli_out_char(out, '\n');
    }
    cm_cli_out_format(
        out, "%s: %zu array%s, %" PRId64 " chunk%s, %" PRId64 " missing, %" PRId64 " bad\n",
        cm_json_bool(cm_json_get(report, "ok"), false) ? "ok" : "not ok", n,
        cm_cli_plural((int64_t)n), chunks, cm_cli_plural(chunks), missing, bad);
}

static int run(cm_cli *cli, cm_error *err)
{
    const char *level = cli->args.level, *uri = cli->args.operands[0];
    cm_dataset *ds = NULL;
    cm_json_doc *doc = NULL;
    int ret = cm_cli_begin(cli, 0, err);
    if (ret == 0)
        ret = cm_cli_open(cli, uri, &ds, err);
    if (ret == 0)
        ret = cm_cli_require_readable(cli, ds, err);
    if (ret == 0)
        ret = cm_verify(cli->ctx, ds,
                        level && strcmp(level, "presence") == 0 ? CM_VERIFY_PRESENCE
                                                                : CM_VERIFY_DECODE,
                        cli->args.strict > 0, &doc, err);
    if (ret == 0) {
        const cm_json *report = cm_json_doc_root(doc);
        cm_cli_json json;
        cm_cli_json_init(&json, &cli->out, false);
        if (cli->args.json)
            cm_cli_json_value(&json, report);
        else
            put_report(&cli->out, report);
        cli->status = cm_json_bool(cm_json_get(report, "ok"), false) ? 0 : 4;
    } else if (ret != CM_ECANCEL) {
        cm_error_object(err, uri);
    }
    cm_json_doc_free(doc);
    cm_dataset_free(ds);
    return ret;
}

static const cm_cli_option options[] = {
    {CM_CLI_HEADING, .help = "What is checked"},
    {CM_CLI_CHOICE, "level", 0, false, CM_CLI_AT(level), "presence|decode",
     "presence: is every chunk there; decode (default): does it also decode to the right size, "
     "checksums included"},
    {CM_CLI_FLAG, "strict", 0, false, CM_CLI_AT(strict), NULL,
     "missing chunks, which read as the fill value, are failures too"},
    CM_CLI_FORMAT_OPTION,
    CM_CLI_RESOURCE_OPTIONS,
    CM_CLI_TALK_OPTIONS,
};

static const cm_cli_example examples[] = {
    {"does every chunk of a store decode? (after the first example of rechunk)",
     "chunkmill verify tas.zarr"},
    {"is every chunk there?", "chunkmill verify --level presence --strict tas.zarr"},
    {0}};

const cm_cli_command cm_cli_verify = {
    .name = "verify",
    .operands = "STORE",
    .summary = "look for chunks that are missing or do not decode",
    .text = "Looks at every chunk of every array of a store or file. A missing chunk is counted "
            "and reads as the fill value; one that does not decode is bad. Exit status 4 when "
            "something is bad, with --strict also when something is missing.\n\nIt does not know "
            "what the values should be: chunkmill diff compares them with the sources.",
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .examples = examples,
    .run = run};
