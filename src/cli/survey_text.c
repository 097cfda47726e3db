/* cli/survey_text.c: a survey's report for people.
 *
 *     365 files, 39 variables; along time: 365 steps, 2060-01-01T00:00:00 to 2060-12-30T00:00:00
 *     rechunk: no, they do not join    virtualize: no
 *
 *     does not join
 *         tas: dtype differs: float32 in 362 files, float64 in 3 (day-010.nc, day-011.nc, ...)
 *             --skip leaves it out
 *     what to do
 *         ...
 *
 * A few lines, whatever the number of files: groups have their size and the first names; --verbose
 * gives all names, --json everything.
 */
#include "cli/survey_text.h"
#include "cli/counts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct picture {
    cm_cli *cli;
    cm_cli_out *out;
    const cm_json *report, *sources;
    const char *lists;
    size_t most; /* names, values and lines of a finding */
} picture;

static const char *text(const cm_json *object, const char *key)
{
    return cm_json_string(cm_json_get(object, key));
}

static void put_count(const picture *p, int64_t n, const char *what)
{
    cm_cli_out_format(p->out, "%" PRId64 " %s%s", n, what, cm_cli_plural(n));
}

/* ---- parts ----------------------------------------------------------------------------------- */

static void put_scalar(const picture *p, const cm_json *v)
{
    if (cm_json_string(v))
        cm_cli_out_name(p->out, cm_json_string(v));
    else if (cm_json_number_text(v))
        cm_cli_out_text(p->out, cm_json_number_text(v));
    else if (cm_json_is(v, CM_JSON_BOOL))
        cm_cli_out_text(p->out, cm_json_bool(v, false) ? "yes" : "no");
    else
        cm_cli_out_text(p->out, cm_json_is(v, CM_JSON_NULL) ? "none" : "...");
}

static void put_value(const picture *p, const char *about, const cm_json *v)
{
    bool names = strcmp(about, "dimensions") == 0;
    if (strcmp(about, "values") == 0 && cm_json_string(v)) { /* a hash, to tell them apart */
        cm_cli_out_format(p->out, "#%.8s", cm_json_string(v));
        return;
    }
    if (!cm_json_is(v, CM_JSON_ARRAY)) {
        put_scalar(p, v);
        return;
    }
    if (cm_json_count(v) == 0)
        cm_cli_out_text(p->out, "scalar");
    if (names)
        cm_cli_out_char(p->out, '(');
    for (size_t i = 0; i < cm_json_count(v); i++) {
        if (i)
            cm_cli_out_text(p->out, names ? ", " : " x ");
        if (cm_json_is(cm_json_at(v, i), CM_JSON_NULL))
            cm_cli_out_text(p->out, names ? "-" : "*");
        else
            put_scalar(p, cm_json_at(v, i));
    }
    if (names)
        cm_cli_out_char(p->out, ')');
}

/* The names of files in ranges, as many as are wanted. */
static void put_files(const picture *p, const cm_json *ranges, int64_t count)
{
    size_t shown = 0;
    for (size_t i = 0; i < cm_json_count(ranges) && shown < p->most; i++) {
        int64_t first = 0, last = -1;
        cm_json_int64(cm_json_at(cm_json_at(ranges, i), 0), &first);
        cm_json_int64(cm_json_at(cm_json_at(ranges, i), 1), &last);
        for (int64_t k = first; k <= last && shown < p->most; k++) {
            cm_cli_out_text(p->out, shown++ ? ", " : "");
            put_scalar(p, cm_json_at(p->sources, (size_t)k));
        }
    }
    if (count > (int64_t)shown)
        cm_cli_out_format(p->out, ", and %" PRId64 " more", count - (int64_t)shown);
}

static void put_group(const picture *p, const char *about, const cm_json *g, bool named)
{
    const cm_json *value = cm_json_get(g, "value"), *far = cm_json_get(g, "largest_difference");
    if (value && !cm_json_is(value, CM_JSON_BOOL) && strcmp(about, "values") != 0) {
        put_value(p, about, value);
        cm_cli_out_text(p->out, " in ");
    }
    put_count(p, cm_cli_number(g, "count"), "file");
    if (named) {
        cm_cli_out_text(p->out, " (");
        put_files(p, cm_json_get(g, "files"), cm_cli_number(g, "count"));
        cm_cli_out_char(p->out, ')');
    }
    if (!far)
        return;
    cm_cli_out_format(p->out, " in %" PRId64 " of %" PRId64 " cells", cm_cli_number(g, "differing"),
                      cm_cli_number(g, "cells"));
    double most;
    if (cm_json_double(far, &most))
        cm_cli_out_format(p->out, " by at most %.3g", most);
}

/* ---- findings -------------------------------------------------------------------------------- */

static void put_variables(const picture *p, const cm_json *list)
{
    size_t n = cm_json_count(list);
    cm_cli_out_style(p->out, CM_CLI_BOLD);
    for (size_t i = 0; i < n && i < p->most; i++) {
        const char *path = cm_json_string(cm_json_at(list, i));
        cm_cli_out_text(p->out, i ? ", " : "");
        cm_cli_out_name(p->out, path && path[0] == '/' && !strchr(path + 1, '/') ? path + 1
                                : path                                           ? path
                                                                                 : "?");
    }
    if (n > p->most)
        cm_cli_out_format(p->out, " and %zu more", n - p->most);
    cm_cli_out_style(p->out, CM_CLI_PLAIN);
    if (n)
        cm_cli_out_text(p->out, ": ");
}

static void put_event(const picture *p, const cm_json *e, const char *about)
{
    const char *from = text(e, "from"), *to = text(e, "to"), *other = text(e, "other");
    cm_cli_out_text(p->out, "        ");
    put_scalar(p, cm_json_get(e, "file"));
    if (strcmp(about, "gap") == 0)
        cm_cli_out_format(p->out, ": %" PRId64 " missing after %s of ", cm_cli_number(e, "n"),
                          from ? from : "?");
    else if (strcmp(about, "duplicate") == 0)
        cm_cli_out_format(p->out, ": %s is also in ", from ? from : "?");
    else if (strcmp(about, "overlap") == 0)
        cm_cli_out_format(p->out, ": begins at %s, to %s goes ", from ? from : "?", to ? to : "?");
    else if (strcmp(about, "direction") == 0)
        cm_cli_out_text(p->out, ": other than ");
    else if (strcmp(about, "not_monotonic") == 0)
        cm_cli_out_format(p->out, ": %s follows %s at index %" PRId64, to ? to : "?",
                          from ? from : "?", cm_cli_number(e, "n"));
    if (other)
        put_scalar(p, cm_json_get(e, "other"));
    cm_cli_out_char(p->out, '\n');
}

static void put_finding(const picture *p, const cm_json *f)
{
    const cm_json *others = cm_json_get(f, "others"), *major = cm_json_get(f, "majority");
    const cm_json *events = cm_json_get(f, "events");
    const char *about = text(f, "about"), *hint = text(f, "hint");
    size_t n = cm_json_count(others), m = cm_json_count(events);
    cm_cli_out_text(p->out, "    ");
    put_variables(p, cm_json_get(f, "variables"));
    put_scalar(p, cm_json_get(f, "message"));
    if (n || major)
        cm_cli_out_text(p->out, ": ");
    if (major) {
        put_group(p, about, major, false);
        cm_cli_out_text(p->out, n ? ", " : "");
    }
    for (size_t i = 0; i < n && i < p->most; i++) {
        cm_cli_out_text(p->out, i ? ", " : "");
        put_group(p, about, cm_json_at(others, i), true);
    }
    if (n > p->most)
        cm_cli_out_format(p->out, ", and %zu other value%s", n - p->most,
                          cm_cli_plural((int64_t)(n - p->most)));
    cm_cli_out_char(p->out, '\n');
    for (size_t i = 0; i < m && i < p->most + 2; i++)
        put_event(p, cm_json_at(events, i), about);
    if (m > p->most + 2)
        cm_cli_out_format(p->out, "        and %zu more\n", m - p->most - 2);
    if (hint) {
        cm_cli_out_style(p->out, CM_CLI_DIM);
        cm_cli_out_text(p->out, "        ");
        cm_cli_out_name(p->out, hint);
        cm_cli_out_char(p->out, '\n');
        cm_cli_out_style(p->out, CM_CLI_PLAIN);
    }
}

static void put_findings(const picture *p, size_t blocks, const char *title)
{
    const cm_json *all = cm_json_get(p->report, "findings");
    bool some = false;
    for (size_t i = 0; i < cm_json_count(all); i++) {
        const cm_json *f = cm_json_at(all, i);
        if (cm_json_count(cm_json_get(f, "blocks")) != blocks)
            continue;
        if (!some)
            cm_cli_out_format(p->out, "\n%s\n", title);
        some = true;
        put_finding(p, f);
    }
}

/* ---- the rest -------------------------------------------------------------------------------- */

static void put_head(const picture *p)
{
    const cm_json *r = p->report, *order = cm_json_get(r, "order");
    int64_t files = cm_cli_number(r, "files"), readable = cm_cli_number(r, "readable");
    put_count(p, files, "file");
    if (readable != files)
        cm_cli_out_format(p->out, ", %" PRId64 " readable", readable);
    cm_cli_out_text(p->out, ", ");
    put_count(p, (int64_t)cm_json_count(cm_json_get(r, "variables")), "variable");
    if (text(r, "dimension")) {
        cm_cli_out_text(p->out, "; along ");
        put_scalar(p, cm_json_get(r, "dimension"));
    }
    if (cm_json_is(order, CM_JSON_OBJECT)) {
        cm_cli_out_text(p->out, ": ");
        put_count(p, cm_cli_number(order, "steps"), "step");
        if (text(order, "first"))
            cm_cli_out_format(p->out, ", %s to %s", text(order, "first"),
                              text(order, "last") ? text(order, "last") : "?");
        if (text(order, "step"))
            cm_cli_out_format(p->out, ", step %s", text(order, "step"));
        if (!cm_json_bool(cm_json_get(order, "as_listed"), true))
            cm_cli_out_text(p->out, "; listed in another order");
    }
    bool joins = cm_json_bool(cm_json_get(r, "joinable"), false);
    bool refers = cm_json_bool(cm_json_get(r, "virtualizable"), false);
    cm_cli_out_text(p->out, "\nrechunk: ");
    cm_cli_out_style(p->out, joins ? CM_CLI_BOLD : CM_CLI_RED);
    cm_cli_out_text(p->out, joins ? "yes" : "no");
    cm_cli_out_style(p->out, CM_CLI_PLAIN);
    cm_cli_out_text(p->out, "   virtualize: ");
    cm_cli_out_style(p->out, refers ? CM_CLI_BOLD : CM_CLI_YELLOW);
    cm_cli_out_text(p->out, refers ? "yes" : "no");
    cm_cli_out_style(p->out, CM_CLI_PLAIN);
    cm_cli_out_char(p->out, '\n');
}

static void put_attributes(const picture *p)
{
    const cm_json *all = cm_json_get(p->report, "attributes");
    size_t n = cm_json_count(all);
    if (n == 0)
        return;
    cm_cli_out_format(p->out, "\nother attributes that differ: %zu (the first file's are kept)\n",
                      n);
    for (size_t i = 0; i < n && i < p->most + 2; i++) {
        const cm_json *a = cm_json_at(all, i), *first = cm_json_at(cm_json_get(a, "groups"), 0);
        cm_cli_out_text(p->out, "    ");
        put_scalar(p, cm_json_get(a, cm_json_get(a, "group") ? "group" : "variable"));
        cm_cli_out_char(p->out, ' ');
        put_scalar(p, cm_json_get(a, "name"));
        cm_cli_out_text(p->out, ": ");
        put_count(p, cm_cli_number(a, "values"), "value");
        if (cm_cli_number(a, "absent"))
            cm_cli_out_format(p->out, ", absent in %" PRId64, cm_cli_number(a, "absent"));
        cm_cli_out_text(p->out, ", as ");
        put_scalar(p, cm_json_get(first, "value"));
        cm_cli_out_text(p->out, " in ");
        put_scalar(p, cm_json_get(first, "example"));
        cm_cli_out_char(p->out, '\n');
    }
    if (n > p->most + 2)
        cm_cli_out_format(p->out, "    and %zu more\n", n - p->most - 2);
}

/* Lists are where --lists put them. */
static void put_command(const picture *p, const char *line)
{
    const char *from = "--files-from ", *at = p->lists ? strstr(line, from) : NULL;
    cm_cli_out_text(p->out, "        ");
    if (at) {
        size_t n = (size_t)(at - line) + strlen(from);
        cm_cli_out_format(p->out, "%.*s", (int)n, line);
        cm_cli_out_name(p->out, p->lists);
        cm_cli_out_char(p->out, '/');
        line += n;
    }
    cm_cli_out_name(p->out, line);
    cm_cli_out_char(p->out, '\n');
}

static void put_plan(const picture *p)
{
    const cm_json *all = cm_json_get(p->report, "plan");
    bool lists = false;
    if (cm_json_count(all))
        cm_cli_out_text(p->out, "\nwhat to do\n");
    for (size_t i = 0; i < cm_json_count(all); i++) {
        const cm_json *step = cm_json_at(all, i), *some = cm_json_get(step, "lists");
        const cm_json *commands = cm_json_get(step, "commands");
        cm_cli_out_text(p->out, "    ");
        put_scalar(p, cm_json_get(step, "text"));
        cm_cli_out_char(p->out, '\n');
        for (size_t k = 0; k < cm_json_count(some) && k < 12; k++) {
            const cm_json *l = cm_json_at(some, k);
            cm_cli_out_format(p->out, "        %s.txt: ", text(l, "name"));
            put_count(p, cm_cli_number(l, "count"), "file");
            cm_cli_out_text(p->out, ": ");
            put_files(p, cm_json_get(l, "files"), cm_cli_number(l, "count"));
            cm_cli_out_char(p->out, '\n');
            lists = true;
        }
        for (size_t k = 0; k < cm_json_count(commands); k++)
            put_command(p, cm_json_string(cm_json_at(commands, k)));
    }
    if (lists && !p->lists)
        cm_cli_out_text(p->out, "    (--lists DIR writes these lists of files)\n");
}

static void put_schema(const picture *p)
{
    const cm_json *same = cm_json_get(p->report, "as_schema");
    const cm_json *all = cm_json_get(p->report, "schema_differences");
    if (!same)
        return;
    cm_cli_out_format(p->out, "\nas the schema says: %s\n",
                      cm_json_bool(same, false) ? "yes" : "no");
    for (size_t i = 0; i < cm_json_count(all); i++) {
        const cm_json *d = cm_json_at(all, i), *others = cm_json_get(d, "others");
        const char *about = text(d, "about");
        cm_cli_out_text(p->out, "    ");
        put_scalar(p, cm_json_get(d, "variable"));
        cm_cli_out_format(p->out, ": %s", about);
        if (cm_json_get(d, "schema")) {
            cm_cli_out_text(p->out, " should be ");
            put_value(p, about, cm_json_get(d, "schema"));
            cm_cli_out_text(p->out, ", but is ");
        } else {
            cm_cli_out_text(p->out, ": ");
        }
        for (size_t k = 0; k < cm_json_count(others) && k < p->most; k++) {
            cm_cli_out_text(p->out, k ? ", " : "");
            put_group(p, about, cm_json_at(others, k), true);
        }
        cm_cli_out_char(p->out, '\n');
    }
}

void cm_cli_survey_text(cm_cli *cli, const cm_json *report, const char *lists)
{
    picture p = {.cli = cli,
                 .out = &cli->out,
                 .report = report,
                 .sources = cm_json_get(report, "sources"),
                 .lists = lists,
                 .most = cli->args.verbose ? SIZE_MAX - 8 : 3};
    put_head(&p);
    put_findings(&p, 2, "does not join");
    put_findings(&p, 1, "cannot be referred to");
    put_findings(&p, 0, "differs, and does no harm");
    put_attributes(&p);
    put_schema(&p);
    put_plan(&p);
}
