/* cli/join_text.c: what a join did, for people and as JSON.
 *
 *     joined: 4 sources of 2 sets of variables
 *         tas: 2 sources along time (by coordinate value), 730 steps
 *             /time: 1 step is missing: ...
 *         pr: 2 sources along time (by coordinate value), 730 steps
 *         the same in several: time, lat, lon
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/counts.h"
#include "cli/sources.h"

enum { LINE = 1400 };

void cm_cli_join_json(const cm_json *report, cm_cli_json *json)
{
    if (!report)
        return;
    cm_cli_json_key(json, "join");
    cm_cli_json_value(json, report);
}

static void list_names(const cm_json *list, char *buf, size_t size)
{
    size_t used = 0;
    snprintf(buf, size, "%s", cm_json_count(list) ? "" : "nothing");
    for (size_t i = 0; i < cm_json_count(list) && used < size; i++) {
        int n = snprintf(buf + used, size - used, "%s%s", i ? ", " : "",
                         cm_json_string(cm_json_at(list, i)) + 1);
        used += n > 0 ? (size_t)n : 0;
    }
}

static bool is_stacked(const cm_json *report)
{
    return cm_json_get(report, "dimension") &&
           (cm_json_get(report, "stacked") || cm_json_get(report, "shared"));
}

static void stacked_text(const cm_json *report, char *buf, size_t size)
{
    char stacked[512], shared[512];
    list_names(cm_json_get(report, "stacked"), stacked, sizeof stacked);
    list_names(cm_json_get(report, "shared"), shared, sizeof shared);
    snprintf(buf, size, "stacked along %s: %s; the same in all: %s",
             cm_json_string(cm_json_get(report, "dimension")), stacked, shared);
}

static void along_text(const cm_json *report, char *buf, size_t size)
{
    const char *dimension = cm_json_string(cm_json_get(report, "dimension"));
    const char *order = cm_json_string(cm_json_get(report, "order"));
    int64_t files = cm_cli_number(report, "files"), steps = cm_cli_number(report, "steps");
    if (!dimension || !order)
        snprintf(buf, size, "%" PRId64 " source%s", files, cm_cli_plural(files));
    else
        snprintf(buf, size, "%" PRId64 " source%s along %s (%s), %" PRId64 " step%s", files,
                 cm_cli_plural(files), dimension,
                 strcmp(order, "given") == 0  ? "in the order given"
                 : strcmp(order, "name") == 0 ? "by name"
                                              : "by coordinate value",
                 steps, cm_cli_plural(steps));
}

static void put_line(cm_cli_out *out, size_t indent, const char *line)
{
    cm_cli_out_spaces(out, indent);
    cm_cli_out_name(out, line);
    cm_cli_out_char(out, '\n');
}

static void put_details(const cm_json *report, size_t indent, cm_cli_out *out)
{
    char line[LINE];
    const cm_json *notes = cm_json_get(report, "notes");
    if (is_stacked(report)) {
        stacked_text(report, line, sizeof line);
        put_line(out, indent, line);
    }
    for (size_t i = 0; i < cm_json_count(notes); i++)
        put_line(out, indent, cm_json_string(cm_json_at(notes, i)));
}

void cm_cli_join_text(const cm_json *report, cm_cli_out *out)
{
    char line[LINE], names[512], along[256];
    if (!report)
        return;
    const cm_json *merged = cm_json_get(report, "merged");
    along_text(report, along, sizeof along);
    snprintf(line, sizeof line, "joined: %s", along);
    if (merged)
        snprintf(line, sizeof line, "joined: %" PRId64 " sources of %zu sets of variables",
                 cm_cli_number(report, "files"), cm_json_count(merged));
    put_line(out, 0, line);
    for (size_t i = 0; i < cm_json_count(merged); i++) {
        const cm_json *one = cm_json_at(merged, i);
        list_names(cm_json_get(one, "variables"), names, sizeof names);
        along_text(one, along, sizeof along);
        snprintf(line, sizeof line, "%s: %s", names, along);
        put_line(out, 4, line);
        put_details(one, 8, out);
    }
    if (merged) {
        list_names(cm_json_get(report, "shared"), names, sizeof names);
        snprintf(line, sizeof line, "the same in several: %s", names);
        put_line(out, 4, line);
    }
    put_details(report, 4, out);
}

void cm_cli_join_note(cm_cli *cli, const cm_json *report)
{
    char line[LINE];
    const cm_json *merged = cm_json_get(report, "merged");
    for (size_t i = 0; i < cm_json_count(merged); i++)
        cm_cli_join_note(cli, cm_json_at(merged, i));
    if (is_stacked(report)) {
        stacked_text(report, line, sizeof line);
        cm_cli_note(cli, "%s", line);
    }
}
