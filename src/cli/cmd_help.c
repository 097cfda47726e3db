/* cli/cmd_help.c: chunkmill help [COMMAND]. Hidden: --man and --completion, which make the files in
 * docs/man and completions from the tables.
 */
#include "cli/usage.h"

static int run(cm_cli *cli, cm_error *err)
{
    const cm_cli_args *args = &cli->args;
    const cm_cli_command *command = NULL;
    if (args->completion) {
        cm_cli_completion(&cli->out, args->completion);
        return 0;
    }
    if (args->noperands > 0) {
        command = cm_cli_command_named(args->operands[0]);
        if (!command)
            return cm_cli_unknown_command(args->operands[0], err);
    }
    if (args->man)
        cm_cli_man_page(&cli->out, command);
    else if (command)
        cm_cli_usage(&cli->out, command);
    else
        cm_cli_usage_all(&cli->out);
    return 0;
}

static const cm_cli_option options[] = {
    {CM_CLI_FLAG, "man", 0, true, CM_CLI_AT(man), NULL, "print the man page"},
    {CM_CLI_CHOICE, "completion", 0, true, CM_CLI_AT(completion), "bash|zsh",
     "print a completion script"},
    {CM_CLI_FLAG, "help", 'h', false, CM_CLI_AT(help), NULL, "show this help"},
    {CM_CLI_END},
};

static const cm_cli_example examples[] = {{"everything about rechunk", "chunkmill help rechunk"},
                                          {0}};

const cm_cli_command cm_cli_help = {.name = "help",
                                    .operands = "[COMMAND]",
                                    .summary = "list the commands, or explain one",
                                    .text = "Without a name it lists the commands.",
                                    .max_operands = 1,
                                    .options = options,
                                    .examples = examples,
                                    .run = run};
