/* cli/survey_text.h: a survey's report for people. */
#ifndef CM_CLI_SURVEY_TEXT_H
#define CM_CLI_SURVEY_TEXT_H

#include "cli/cli.h"

/* lists: the directory where lists of files were written, or NULL. */
void cm_cli_survey_text(cm_cli *cli, const cm_json *report, const char *lists);

#endif
