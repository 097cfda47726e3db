/* cli/manual.c: man pages in man(7) macros, from the same tables as --help.
 *
 * `chunkmill help --man COMMAND` prints one; those in docs/man are made so, and a test compares
 * them. No date in them: the same source gives the same page.
 */
#include <stdio.h>
#include <string.h>

#include "cli/usage.h"

/* Text with what roff would interpret escaped. */
static void put(cm_cli_out *out, const char *text)
{
    bool begins = true;
    for (const char *p = text; *p; p++) {
        if (*p == '\\')
            cm_cli_out_text(out, "\\e");
        else if (*p == '-')
            cm_cli_out_text(out, "\\-");
        else if (begins && (*p == '.' || *p == '\''))
            cm_cli_out_format(out, "\\&%c", *p);
        else
            cm_cli_out_char(out, *p);
        begins = *p == '\n';
    }
}

static void put_line(cm_cli_out *out, const char *macro, const char *text)
{
    cm_cli_out_text(out, macro);
    put(out, text);
    cm_cli_out_char(out, '\n');
}

static void put_paragraphs(cm_cli_out *out, const char *text)
{
    for (const char *p = text; *p;) {
        const char *end = strstr(p, "\n\n");
        size_t n = end ? (size_t)(end - p) : strlen(p);
        char paragraph[4096];
        snprintf(paragraph, sizeof paragraph, "%.*s", (int)n, p);
        put_line(out, "", paragraph);
        if (!end)
            break;
        cm_cli_out_text(out, ".PP\n");
        p = end + 2;
    }
}

static void put_title(cm_cli_out *out, const char *name, const char *summary)
{
    cm_cli_out_format(out, ".TH \"%s\" \"1\" \"\" \"chunkmill %s\" \"chunkmill\"\n.SH NAME\n", name,
                      cm_version());
    put(out, name);
    cm_cli_out_text(out, " \\- ");
    put_line(out, "", summary);
}

static const char licence[] = ".SH COPYRIGHT\nThe chunkmill authors. Licence: Apache\\-2.0.\n";

static void put_status(cm_cli_out *out)
{
    static const char *const rows[][2] = {
        {"0", "done"},
        {"1", "failed in a way not listed here"},
        {"2", "usage: an option, a name or a value is wrong"},
        {"3", "data that are malformed, not supported, or cannot be joined"},
        {"4", "differs, or does not verify"},
        {"5", "input or output failed, not found, exists already, no space, no permission"},
        {"6", "over a limit: memory, scratch space, time"},
        {"130, 143", "interrupted by SIGINT, SIGTERM; what was written is removed"},
        {"141", "the reader of standard output went away"}};
    cm_cli_out_text(out, ".SH EXIT STATUS\n");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        put_line(out, ".TP\n", rows[i][0]);
        put_line(out, "", rows[i][1]);
    }
}

static void put_options(cm_cli_out *out, const cm_cli_option *table)
{
    cm_cli_out_text(out, ".SH OPTIONS\n");
    for (const cm_cli_option *o = table; o->kind != CM_CLI_END; o++) {
        if (o->hidden)
            continue;
        if (o->kind == CM_CLI_HEADING) {
            put_line(out, ".SS ", o->help);
            continue;
        }
        char text[128];
        put_line(out, ".TP\n.B ", cm_cli_option_text(o, text, sizeof text));
        put_line(out, "", o->help);
    }
}

static void put_command(cm_cli_out *out, const cm_cli_command *c)
{
    char name[64];
    snprintf(name, sizeof name, "chunkmill-%s", c->name);
    put_title(out, name, c->summary);
    cm_cli_out_text(out, ".SH SYNOPSIS\n.B ");
    cm_cli_out_format(out, "chunkmill %s\n", c->name);
    put_line(out, "", "[options] ");
    put_line(out, "", c->operands);
    cm_cli_out_text(out, ".SH DESCRIPTION\n");
    put_paragraphs(out, c->text);
    if (c->alias)
        cm_cli_out_format(out, ".PP\n.B chunkmill %s\nis the same command.\n", c->alias);
    put_options(out, c->options);
    if (c->examples)
        cm_cli_out_text(out, ".SH EXAMPLES\n");
    for (const cm_cli_example *e = c->examples; e && e->line; e++) {
        put_line(out, ".PP\n", e->what);
        put_line(out, ".PP\n.nf\n.RS\n", e->line);
        cm_cli_out_text(out, ".RE\n.fi\n");
    }
    put_status(out);
    cm_cli_out_text(out, licence);
    cm_cli_out_text(out, ".SH SEE ALSO\n.BR chunkmill (1)\n");
}

static void put_program(cm_cli_out *out)
{
    put_title(out, "chunkmill", "chunked scientific archives to analysis-ready Zarr cubes");
    cm_cli_out_text(out, ".SH SYNOPSIS\n.B chunkmill\nCOMMAND [options] ...\n.SH DESCRIPTION\n");
    put_paragraphs(out, "chunkmill reads NetCDF-3, NetCDF-4, HDF5 and Zarr, joins many files along "
                        "a dimension, and writes Zarr with the chunks one wants, in bounded "
                        "memory.\n\nSources are named by path or file:// URI; their format is "
                        "recognised by content.");
    cm_cli_out_text(out, ".SH COMMANDS\n");
    for (const cm_cli_command *const *c = cm_cli_commands(); *c; c++) {
        put_line(out, ".TP\n.B ", (*c)->name);
        put_line(out, "", (*c)->summary);
    }
    put_status(out);
    cm_cli_out_text(out, ".SH ENVIRONMENT\n.TP\nNO_COLOR\nno colours, when it is not empty\n"
                         ".TP\nSLURM_MEM_PER_NODE, SLURM_MEM_PER_CPU with SLURM_CPUS_ON_NODE\n"
                         "the batch job's memory; half of it bounds the default of ");
    put_line(out, "", "--max-mem");
    cm_cli_out_text(out, licence);
    cm_cli_out_text(out, ".SH SEE ALSO\n");
    for (const cm_cli_command *const *c = cm_cli_commands(); *c; c++)
        if (*c != &cm_cli_help)
            cm_cli_out_format(out, "%s.BR chunkmill\\-%s (1)", c == cm_cli_commands() ? "" : ",\n",
                              (*c)->name);
    cm_cli_out_char(out, '\n');
}

void cm_cli_man_page(cm_cli_out *out, const cm_cli_command *command)
{
    if (command)
        put_command(out, command);
    else
        put_program(out);
}
