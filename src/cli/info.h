/* cli/info.h: what `chunkmill info` knows of a variable beyond its metadata. */
#ifndef CM_CLI_INFO_H
#define CM_CLI_INFO_H

#include "cli/cli.h"
#include "cli/jsonout.h"

/* A 1-D coordinate (a variable named like its dimension) from end to end. */
typedef struct cm_cli_axis {
    bool known;            /* first and last were read */
    bool numeric;          /* the numbers below mean something */
    bool stepped, regular; /* all cells were read; their steps are equal within rounding */
    double first, last;    /* scale_factor and add_offset applied */
    double step, least_step, most_step;
    bool is_time;
    char first_text[96], last_text[96]; /* cells as JSON: "5.0", "\"north\"" */
    char first_time[40], last_time[40];
    char unit[32];    /* of the step: "days" for a time, else "" */
    cm_error problem; /* code != 0: why it could not be read */
} cm_cli_axis;

/* Chunks of a variable; of shards where it has them. */
typedef struct cm_cli_chunks {
    bool counted;
    int64_t total, present;
    uint64_t stored_bytes;
    cm_error problem;
} cm_cli_chunks;

/* True when v is a coordinate; then axis is filled. Reads nothing larger than 8 MB. */
bool cm_cli_axis_look(cm_cli *cli, const cm_variable *v, cm_cli_axis *axis);

/* Number of chunks (shards) of v. false: more than 2^63. */
bool cm_cli_chunks_total(const cm_variable *v, int64_t *total);

/* Count them when that was asked for (--chunks) or costs little. CM_ECANCEL only; what else fails
 * is in chunks->problem. */
int cm_cli_chunks_count(cm_cli *cli, const cm_variable *v, cm_cli_chunks *chunks,
                        cm_error *err) CM_MUST_CHECK;

/* Write the location of every present chunk of v. */
int cm_cli_chunks_list(cm_cli *cli, const cm_variable *v, cm_error *err) CM_MUST_CHECK;

/* Whether --vars leaves v in the picture. */
bool cm_cli_info_shows(const cm_cli *cli, const cm_variable *v);

/* The tree from g down. *worst: the first problem that a count met. */
int cm_cli_info_text(cm_cli *cli, const cm_dataset *ds, const cm_group *g, cm_error *worst,
                     cm_error *err) CM_MUST_CHECK;
int cm_cli_info_json(cm_cli *cli, const cm_dataset *ds, const cm_group *g, cm_error *worst,
                     cm_error *err) CM_MUST_CHECK;

#endif
