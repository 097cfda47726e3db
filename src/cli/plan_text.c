/* cli/plan_text.c: totals in a few lines, then a table with one row per variable.
 *
 * Column widths are those of the longest cell. Members that a plan does not have are left out.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/plan_text.h"
#include "cli/sizes.h"

enum { COLUMNS = 7, MOST_COLUMNS = 16 };

static const char *const save_titles[COLUMNS] = {"variable", "mode",   "chunks", "shards",
                                                 "codecs",   "reread", "tasks"};
static const char *const save_members[COLUMNS] = {"path",   "mode",   "chunks", "shards",
                                                  "codecs", "reread", "tasks"};

static void cell(const cm_json *v, char *buf, size_t size)
{
    double number;
    size_t n = 0;
    snprintf(buf, size, "-");
    if (cm_json_is(v, CM_JSON_STRING)) {
        snprintf(buf, size, "%s", cm_json_string(v));
    } else if (cm_json_is(v, CM_JSON_NUMBER)) {
        if (cm_json_is_integer_text(v))
            snprintf(buf, size, "%s", cm_json_number_text(v));
        else if (cm_json_double(v, &number))
            snprintf(buf, size, "%.2f", number);
    } else if (cm_json_is(v, CM_JSON_ARRAY)) {
        for (size_t i = 0; i < cm_json_count(v) && n < size; i++) {
            const cm_json *item = cm_json_at(v, i);
            const char *text = cm_json_string(item);
            text = text ? text : cm_json_number_text(item);
            int m = snprintf(buf + n, size - n, "%s%s", i ? "x" : "", text ? text : "?");
            n += m > 0 ? (size_t)m : 0;
        }
    }
}

/* The lengths of an axis, where they differ: the longest. */
static void column(const cm_json *variable, const char *member, char *buf, size_t size)
{
    size_t n = 0;
    if (strcmp(member, "chunks") == 0 && cm_json_get(variable, "chunk_lengths"))
        n = (size_t)snprintf(buf, size, "up to ");
    cell(cm_json_get(variable, member), buf + n, size - n);
}

void cm_cli_plan_table(cm_cli_out *out, const cm_json *variables, const char *const *titles,
                       const char *const *members, size_t n)
{
    size_t widths[MOST_COLUMNS];
    char text[256];
    for (size_t c = 0; c < n; c++) {
        widths[c] = strlen(titles[c]);
        for (size_t i = 0; i < cm_json_count(variables); i++) {
            column(cm_json_at(variables, i), members[c], text, sizeof text);
            widths[c] = strlen(text) > widths[c] ? strlen(text) : widths[c];
        }
    }
    for (size_t row = 0; row <= cm_json_count(variables); row++) {
        for (size_t c = 0; c < n; c++) {
            snprintf(text, sizeof text, "%s", titles[c]);
            if (row > 0)
                column(cm_json_at(variables, row - 1), members[c], text, sizeof text);
            cm_cli_out_text(out, c ? "  " : "");
            cm_cli_out_name(out, text);
            if (c + 1 < n)
                cm_cli_out_spaces(out, widths[c] - strlen(text));
        }
        cm_cli_out_char(out, '\n');
    }
}

static void put_size(cm_cli_out *out, const cm_json *plan, const char *label, const char *member)
{
    uint64_t n;
    char text[16];
    if (cm_json_uint64(cm_json_get(plan, member), &n))
        cm_cli_out_format(out, "%-14s %s\n", label, cm_cli_size_text(n, text, sizeof text));
}

static void put_count(cm_cli_out *out, const cm_json *plan, const char *label, const char *member)
{
    const cm_json *v = cm_json_get(plan, member);
    char text[256];
    if (!v)
        return;
    cell(v, text, sizeof text);
    cm_cli_out_format(out, "%-14s %s\n", label, text);
}

void cm_cli_plan_text(cm_cli_out *out, const char *target, const cm_json *plan)
{
    cm_cli_out_text(out, "target         ");
    cm_cli_out_name(out, target);
    cm_cli_out_char(out, '\n');
    put_count(out, plan, "mode", "mode");
    put_count(out, plan, "passes", "passes");
    put_size(out, plan, "bytes read", "bytes_read");
    put_size(out, plan, "bytes written", "bytes_written");
    put_count(out, plan, "requests", "requests");
    put_count(out, plan, "objects", "objects");
    put_size(out, plan, "peak memory", "peak_memory");
    put_size(out, plan, "scratch", "scratch");
    put_count(out, plan, "tasks", "tasks");
    const cm_json *variables = cm_json_get(plan, "variables");
    if (cm_json_count(variables) > 0) {
        cm_cli_out_char(out, '\n');
        cm_cli_plan_table(out, variables, save_titles, save_members, COLUMNS);
    }
}
