/* cli/usage.c: help texts for the terminal, 80 columns, options' explanations from column 30. */
#include <stdio.h>
#include <string.h>

#include "cli/usage.h"

enum { WIDTH = 80, COLUMN = 30 };

/* Write text in words from column `at`, further lines from `indent`. */
static void put_wrapped(cm_cli_out *out, const char *text, size_t at, size_t indent)
{
    size_t column = at;
    while (*text) {
        size_t n = strcspn(text, " \n");
        if (column > indent && column + 1 + n > WIDTH) {
            cm_cli_out_char(out, '\n');
            cm_cli_out_spaces(out, indent);
            column = indent;
        } else if (column > indent) {
            cm_cli_out_char(out, ' ');
            column++;
        }
        cm_cli_out_bytes(out, text, n);
        column += n;
        text += n;
        if (text[0] == '\n' && text[1] == '\n') {
            cm_cli_out_text(out, "\n\n");
            cm_cli_out_spaces(out, indent);
            column = indent;
        }
        text += strspn(text, " \n");
    }
    cm_cli_out_char(out, '\n');
}

char *cm_cli_option_text(const cm_cli_option *o, char *buf, size_t size)
{
    char letter[8] = "";
    if (o->letter)
        snprintf(letter, sizeof letter, "-%c, ", o->letter);
    const char *before = o->argument ? o->kind == CM_CLI_MAYBE ? " [" : " " : "";
    snprintf(buf, size, "%s--%s%s%s%s", letter, o->name, before, o->argument ? o->argument : "",
             o->kind == CM_CLI_MAYBE ? "]" : "");
    return buf;
}

static void put_option(cm_cli_out *out, const cm_cli_option *o)
{
    char text[128];
    cm_cli_option_text(o, text, sizeof text);
    size_t n = 2 + strlen(text);
    cm_cli_out_format(out, "  %s", text);
    if (n + 2 > COLUMN) {
        cm_cli_out_char(out, '\n');
        n = 0;
    }
    cm_cli_out_spaces(out, COLUMN - n);
    put_wrapped(out, o->help, COLUMN, COLUMN);
}

void cm_cli_usage(cm_cli_out *out, const cm_cli_command *c)
{
    cm_cli_out_format(out, "chunkmill %s: %s\n\nusage: chunkmill %s [options] %s\n", c->name,
                      c->summary, c->name, c->operands);
    if (c->alias)
        cm_cli_out_format(out, "       (chunkmill %s is the same command)\n", c->alias);
    cm_cli_out_char(out, '\n');
    put_wrapped(out, c->text, 0, 0);
    for (const cm_cli_option *o = c->options; o->kind != CM_CLI_END; o++) {
        if (o->kind == CM_CLI_HEADING)
            cm_cli_out_format(out, "\n%s\n", o->help);
        else if (!o->hidden)
            put_option(out, o);
    }
    if (c->examples)
        cm_cli_out_text(out, "\nExamples\n");
    for (const cm_cli_example *e = c->examples; e && e->line; e++)
        cm_cli_out_format(out, "  # %s\n  %s\n", e->what, e->line);
}

void cm_cli_usage_short(cm_cli_out *out)
{
    cm_cli_out_text(out, "usage: chunkmill COMMAND [options] ...\n");
    cm_cli_out_text(out, "commands:");
    for (const cm_cli_command *const *c = cm_cli_commands(); *c; c++)
        cm_cli_out_format(out, "%s %s", c == cm_cli_commands() ? "" : ",", (*c)->name);
    cm_cli_out_text(out, " (chunkmill help says more)\n");
}

void cm_cli_usage_all(cm_cli_out *out)
{
    cm_cli_out_text(out, "chunkmill: chunked scientific archives (NetCDF, HDF5, Zarr) to "
                         "analysis-ready Zarr cubes\n\n"
                         "usage: chunkmill COMMAND [options] ...\n"
                         "       chunkmill --version\n\n");
    for (const cm_cli_command *const *c = cm_cli_commands(); *c; c++) {
        cm_cli_out_format(out, "  %-9s ", (*c)->name);
        put_wrapped(out, (*c)->summary, 12, 12);
    }
    cm_cli_out_text(
        out, "\nchunkmill COMMAND --help says all about one. Data goes to standard output,\n"
             "messages to standard error.\n\n"
             "Exit status: 0 done; 1 failed otherwise; 2 usage; 3 bad, unsupported or\n"
             "unjoinable data; 4 differs or does not verify; 5 input, output, not found, no\n"
             "space, no permission; 6 a limit (memory, scratch, time); 130, 143 interrupted.\n");
}
