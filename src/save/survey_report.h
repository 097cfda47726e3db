/* save/survey_report.h: what the parts of a survey's report share.
 *
 *   survey.c           the public function
 *   survey_virtual.c   which variables can be referred to
 *   survey_facets.c    what a form is, thing by thing, as JSON
 *   survey_groups.c    files by what their variables are
 *   survey_findings.c  what is wrong, for what, with whom
 *   survey_plan.c      what to do about it
 *   survey_schema.c    the majority, and files against it
 */
#ifndef CM_SAVE_SURVEY_REPORT_H
#define CM_SAVE_SURVEY_REPORT_H

#include "join/survey.h"

/* One thing that a variable is. */
typedef struct cm_facet {
    const char *name;
    unsigned clash; /* what of cm_survey_agreement.clash it explains */
    bool storage;   /* it matters to references only */
    bool of_values; /* it is not worth a line where it does no harm */
} cm_facet;

enum { CM_MOST_FACETS = 24 };
extern const cm_facet cm_facets[]; /* ended by a NULL name */

/* What a form is in facet i, as a value of doc; NULL: nothing to be said. */
cm_json *cm_survey_facet(const cm_survey *s, const cm_form *f, size_t i, cm_json_doc *doc);

/* Files whose variable has one value of a facet. */
typedef struct cm_survey_group {
    const cm_json *value;
    uint32_t count, example;
    unsigned clash; /* of its forms, as far as the facet explains it */
    uint32_t number;
} cm_survey_group;

typedef struct cm_survey_groups {
    cm_survey_group *items; /* the largest first; equal ones: the first file's first */
    size_t n, capacity;
    uint32_t *head,
        *next; /* files of group `number`: head[number], next[that]...; UINT32_MAX ends */
} cm_survey_groups;

typedef struct cm_survey_report {
    cm_survey *s;
    cm_survey_order order;
    cm_survey_agreement agreement;
    bool *refused;      /* of each variable: references cannot say it */
    cm_error *refusals; /* and why */
    bool virtualizable;
    bool asked; /* the verdict is that of a join with options: these say why not */
    cm_error cannot_join, cannot_refer;
    uint32_t **forms; /* of each variable: its forms */
    size_t *nforms;
    cm_json_doc *doc;
    cm_json *root, *findings, *plan;
} cm_survey_report;

/* survey_asked.c: the verdict by joining with options->join. r->refused is there. */
int cm_survey_ask(cm_survey_report *r, cm_error *err);

int cm_survey_judge_references(cm_survey_report *r, cm_error *err);

int cm_survey_group_by(cm_survey_report *r, uint32_t variable, size_t facet, cm_survey_groups *out,
                       cm_error *err);
void cm_survey_groups_deinit(cm_survey_groups *g);

/* Number of files that have the variable. */
uint32_t cm_survey_presence(const cm_survey_report *r, uint32_t variable);

/* {"count", "example", "files": [[first, last]...]} of those files for which in[] is true. */
cm_json *cm_survey_some_files(cm_survey_report *r, const bool *in);

/* The same for the i-th of the groups, with its value or null. */
cm_json *cm_survey_group_json(cm_survey_report *r, const cm_survey_groups *groups, size_t i);

int cm_survey_put_variables(cm_survey_report *r, cm_error *err);
int cm_survey_put_attributes(cm_survey_report *r, cm_error *err);
int cm_survey_put_findings(cm_survey_report *r, cm_error *err);
int cm_survey_put_plan(cm_survey_report *r, cm_error *err);
int cm_survey_put_schema(cm_survey_report *r, cm_error *err);
int cm_survey_check_schema(cm_survey_report *r, const cm_json *schema, cm_error *err);

int cm_survey_no_memory(cm_error *err);

#endif
