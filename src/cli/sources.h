/* cli/sources.h: from names on the command line to one dataset. */
#ifndef CM_CLI_SOURCES_H
#define CM_CLI_SOURCES_H

#include "cli/cli.h"
#include "cli/jsonout.h"

typedef struct cm_cli_sources {
    cm_cli_list names;
    cm_dataset **opened; /* nopened of them: a file of scan tables stands for several */
    size_t nopened;
    cm_dataset *joined, *selected;
    cm_dataset *dataset;   /* what is to be read: one of the above */
    const cm_json *report; /* what the join did, or NULL; joined's */
} cm_cli_sources;

/* The first n operands and the lines of --files-from become names. CM_EINVAL when there are
 * none. */
int cm_cli_sources_list(const cm_cli *cli, size_t n, cm_cli_sources *s,
                        cm_error *err) CM_MUST_CHECK;

/* Of a command whose operands are SRC... DST: CM_EINVAL when only one of them is there. */
int cm_cli_sources_and_target(const cm_cli *cli, cm_error *err) CM_MUST_CHECK;

/* Open all, take the chosen part, join. Variables that cannot be read are errors here, unless they
 * are skipped by name. */
int cm_cli_sources_open(cm_cli *cli, cm_cli_sources *s, cm_error *err) CM_MUST_CHECK;
void cm_cli_sources_free(cm_cli_sources *s);

/* Open one dataset as --format says, with its name in the error. */
int cm_cli_open(cm_cli *cli, const char *uri, cm_dataset **out, cm_error *err) CM_MUST_CHECK;

/* The error of the first variable that cannot be read, with the --skip that leaves out all such, if
 * the command has that option. */
int cm_cli_require_readable(const cm_cli *cli, const cm_dataset *ds, cm_error *err) CM_MUST_CHECK;

/* Whether name is v's name or its path, with or without the first slash. */
bool cm_cli_is_named(const cm_variable *v, const char *name);

/* Whether a variable of that name is anywhere in ds; the same as an error with the nearest name. */
bool cm_cli_has_named(const cm_dataset *ds, const char *name);
int cm_cli_require_named(const cm_dataset *ds, const cm_group *g, const char *name,
                         cm_error *err) CM_MUST_CHECK;

/* The variable called name below g (a name or a path), readable. CM_EINVAL with the nearest
 * name. */
int cm_cli_find_variable(const cm_dataset *ds, const cm_group *g, const char *name,
                         const cm_variable **out, cm_error *err) CM_MUST_CHECK;

/* Do options ask for something that also one source by itself has to be joined for? */
bool cm_cli_joins(const cm_cli_args *args);

/* The options of a join as the library's. */
void cm_cli_join_options(const cm_cli_args *args, cm_join_options *out);

/* A join's report (cm_dataset_join_report) as the member "join" of an object, and as lines of text;
 * nothing when it is NULL. */
void cm_cli_join_json(const cm_json *report, cm_cli_json *json);
void cm_cli_join_text(const cm_json *report, cm_cli_out *out);
/* What was decided without being asked, on standard error. */
void cm_cli_join_note(cm_cli *cli, const cm_json *report);

/* --unpack as the library's value. */
cm_unpack cm_cli_unpack(const cm_cli_args *args);

#endif
