/* cli/completion.c: completion scripts for bash and zsh, from the option tables.
 *
 * `chunkmill help --completion bash` prints one; those in completions/ are made so, and a test
 * compares them. Both complete commands, options, fixed choices, and files elsewhere.
 */
#include <string.h>

#include "cli/usage.h"

static bool listed(const cm_cli_option *o)
{
    return o->kind != CM_CLI_HEADING && !o->hidden;
}

static bool takes_value(const cm_cli_option *o)
{
    return o->kind != CM_CLI_FLAG && o->kind != CM_CLI_MAYBE;
}

static void put_choices(cm_cli_out *out, const char *choices)
{
    for (const char *p = choices; *p; p++)
        cm_cli_out_char(out, *p == '|' ? ' ' : *p);
}

static void put_commands(cm_cli_out *out)
{
    for (const cm_cli_command *const *c = cm_cli_commands(); *c; c++) {
        cm_cli_out_format(out, "%s%s", c == cm_cli_commands() ? "" : " ", (*c)->name);
        if ((*c)->alias)
            cm_cli_out_format(out, " %s", (*c)->alias);
    }
}

static void bash_command(cm_cli_out *out, const cm_cli_command *c)
{
    cm_cli_out_format(out, "    %s%s%s)\n        case $previous in\n", c->name, c->alias ? "|" : "",
                      c->alias ? c->alias : "");
    for (const cm_cli_option *o = c->options; o->kind != CM_CLI_END; o++) {
        if (!listed(o) || !takes_value(o))
            continue;
        cm_cli_out_format(out, "        --%s) ", o->name);
        if (o->kind == CM_CLI_CHOICE) {
            cm_cli_out_text(out, "choices='");
            put_choices(out, o->argument);
            cm_cli_out_text(out, "' ;;\n");
        } else if (strcmp(o->name, "files-from") == 0 || strcmp(o->name, "scratch") == 0) {
            cm_cli_out_text(out, "files=1 ;;\n");
        } else {
            cm_cli_out_text(out, "return ;;\n");
        }
    }
    cm_cli_out_text(out, "        esac\n        options='");
    const char *space = "";
    for (const cm_cli_option *o = c->options; o->kind != CM_CLI_END; o++) {
        if (!listed(o))
            continue;
        cm_cli_out_format(out, "%s--%s", space, o->name);
        space = " ";
    }
    cm_cli_out_text(out, "'\n        ;;\n");
}

static void put_bash(cm_cli_out *out)
{
    cm_cli_out_text(
        out, "# bash completion for chunkmill; made by `chunkmill help --completion bash`\n"
             "_chunkmill()\n{\n"
             "    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
             "    local choices='' options='' files=''\n"
             "    COMPREPLY=()\n"
             "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
             "        COMPREPLY=($(compgen -W '");
    put_commands(out);
    cm_cli_out_text(out, " --help --version' -- \"$word\"))\n        return\n    fi\n"
                         "    case ${COMP_WORDS[1]} in\n");
    for (const cm_cli_command *const *c = cm_cli_commands(); *c; c++)
        bash_command(out, *c);
    cm_cli_out_text(out, "    esac\n"
                         "    if [ -n \"$choices\" ]; then\n"
                         "        COMPREPLY=($(compgen -W \"$choices\" -- \"$word\"))\n"
                         "    elif [ -z \"$files\" ] && [[ $word == -* ]]; then\n"
                         "        COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n"
                         "    elif [ \"${COMP_WORDS[1]}\" = help ]; then\n"
                         "        COMPREPLY=($(compgen -W '");
    put_commands(out);
    cm_cli_out_text(out, "' -- \"$word\"))\n    fi\n}\n"
                         "complete -o default -o bashdefault -F _chunkmill chunkmill\n");
}

/* Text of a zsh specification inside '...': brackets, colons and quotes mean something. */
static void put_zsh(cm_cli_out *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p == '\'')
            cm_cli_out_text(out, "'\\''");
        else if (strchr("[]:\\", *p))
            cm_cli_out_format(out, "\\%c", *p);
        else
            cm_cli_out_char(out, *p);
    }
}

static void zsh_option(cm_cli_out *out, const cm_cli_option *o)
{
    bool repeats = o->kind == CM_CLI_WORDS || o->kind == CM_CLI_COMMAS || o->kind == CM_CLI_FLAG;
    cm_cli_out_format(out, "            '%s--%s[", repeats ? "*" : "", o->name);
    put_zsh(out, o->help);
    cm_cli_out_char(out, ']');
    if (takes_value(o)) {
        cm_cli_out_char(out, ':');
        put_zsh(out, o->argument);
        cm_cli_out_char(out, ':');
        if (o->kind == CM_CLI_CHOICE) {
            cm_cli_out_char(out, '(');
            put_choices(out, o->argument);
            cm_cli_out_char(out, ')');
        } else if (strcmp(o->name, "files-from") == 0) {
            cm_cli_out_text(out, "_files");
        } else if (strcmp(o->name, "scratch") == 0) {
            cm_cli_out_text(out, "_files -/");
        }
    }
    cm_cli_out_text(out, "' \\\n");
}

static void put_zsh_script(cm_cli_out *out)
{
    cm_cli_out_text(out, "#compdef chunkmill\n"
                         "# zsh completion; made by `chunkmill help --completion zsh`\n"
                         "_chunkmill()\n{\n"
                         "    local -a commands=(\n");
    for (const cm_cli_command *const *c = cm_cli_commands(); *c; c++) {
        cm_cli_out_format(out, "        '%s:", (*c)->name);
        put_zsh(out, (*c)->summary);
        cm_cli_out_text(out, "'\n");
    }
    cm_cli_out_text(out, "    )\n"
                         "    if (( CURRENT == 2 )); then\n"
                         "        _describe command commands\n"
                         "        return\n"
                         "    fi\n"
                         "    local command=$words[2]\n"
                         "    shift words\n"
                         "    (( CURRENT-- ))\n"
                         "    case $command in\n");
    for (const cm_cli_command *const *c = cm_cli_commands(); *c; c++) {
        cm_cli_out_format(out, "    %s%s%s)\n        _arguments \\\n", (*c)->name,
                          (*c)->alias ? "|" : "", (*c)->alias ? (*c)->alias : "");
        for (const cm_cli_option *o = (*c)->options; o->kind != CM_CLI_END; o++)
            if (listed(o))
                zsh_option(out, o);
        cm_cli_out_text(out, "            '*:file:_files'\n        ;;\n");
    }
    cm_cli_out_text(out, "    esac\n}\n_chunkmill \"$@\"\n");
}

void cm_cli_completion(cm_cli_out *out, const char *shell)
{
    if (strcmp(shell, "bash") == 0)
        put_bash(out);
    else
        put_zsh_script(out);
}
