/* cli/plan_text.h: the plan of a save for people. */
#ifndef CM_CLI_PLAN_TEXT_H
#define CM_CLI_PLAN_TEXT_H

#include "cli/outstream.h"

/* plan: as cm_save_describe gives it. */
/* One row for each of variables, an array of objects: their members under titles, n columns. */
void cm_cli_plan_table(cm_cli_out *out, const cm_json *variables, const char *const *titles,
                       const char *const *members, size_t n);

void cm_cli_plan_text(cm_cli_out *out, const char *target, const cm_json *plan);

#endif
