/* save/survey_asked.c: the verdict when the survey was given options of a join.
 *
 * The rules of a survey, asked of one example of each kind of file, are those of a join without
 * options. With options the question is another one, and it is put to the functions themselves: all
 * files are opened at once, cm_dataset_join joins them with these very options, and cm_virtualize
 * looks at every chunk of what comes out without writing. So the verdict is theirs, whatever the
 * options are; memory is theirs too.
 *
 * What the survey found besides stays in the report. Where the files join, none of it is in the
 * way.
 */
#include <stdlib.h>
#include <string.h>

#include "base/context_private.h"
#include "base/memory.h"
#include "chunkmill/virtualize.h"
#include "save/survey_report.h"
#include "save/virtual_judge.h"

typedef struct asked {
    cm_survey *s;
    cm_dataset **opened;
} asked;

static int open_one(void *arg, int64_t i, int worker, cm_error *err)
{
    asked *a = arg;
    (void)worker;
    return cm_survey_open(a->s, (size_t)i, &a->opened[i], err);
}

static const cm_variable *first_problem(const cm_group *g)
{
    const cm_variable *found = NULL;
    for (size_t i = 0; i < g->nvariables && !found; i++)
        found = g->variables[i]->problem ? g->variables[i] : NULL;
    for (size_t i = 0; i < g->ngroups && !found; i++)
        found = first_problem(g->groups[i]);
    return found;
}

/* As the commands do: a variable that cannot be read is left out by name or not at all. */
static int require_readable(const asked *a, cm_error *err)
{
    for (size_t k = 0; k < a->s->n; k++) {
        const cm_variable *v = first_problem(a->opened[k]->root);
        if (!v)
            continue;
        if (err)
            *err = *v->problem;
        cm_error_object(err, a->s->uris[k]);
        return cm_error_variable(err, v->path), v->problem->code;
    }
    return 0;
}

static bool ends_all(int rc)
{
    return rc == CM_ENOMEM || rc == CM_ECANCEL;
}

/* All variables that references cannot say, for those who want to leave them out. */
static int mark_refused(cm_survey_report *r, cm_dataset *joined, const cm_group *g, cm_error *err)
{
    int rc = 0;
    for (size_t i = 0; i < g->nvariables && rc == 0; i++) {
        cm_error why = {0};
        bool refused = cm_virtual_judge(r->s->ctx, joined, g->variables[i], &why) != 0 ||
                       strcmp(g->variables[i]->path, r->cannot_refer.variable) == 0;
        if (ends_all(why.code)) {
            rc = why.code;
            if (err)
                *err = why;
        }
        for (uint32_t v = 0; refused && v < r->s->paths.n; v++)
            if (strcmp(cm_survey_path(r->s, v), g->variables[i]->path) == 0)
                r->refused[v] = true;
    }
    for (size_t i = 0; i < g->ngroups && rc == 0; i++)
        rc = mark_refused(r, joined, g->groups[i], err);
    return rc;
}

/* Nothing is written, and no name is taken: the target has none. */
static int refer(cm_survey_report *r, cm_dataset *joined, cm_error *err)
{
    cm_virtualize_options options;
    cm_virtualize_options_init(&options);
    options.dry_run = true;
    cm_error_clear(&r->cannot_refer);
    int rc = cm_virtualize(r->s->ctx, joined, NULL, 0, "", &options, NULL, &r->cannot_refer);
    if (ends_all(rc)) {
        if (err)
            *err = r->cannot_refer;
        return rc;
    }
    r->virtualizable = rc == 0;
    return rc ? mark_refused(r, joined, joined->root, err) : 0;
}

int cm_survey_ask(cm_survey_report *r, cm_error *err)
{
    cm_survey *s = r->s;
    asked a = {.s = s};
    cm_dataset *joined = NULL;
    cm_error *why = &r->cannot_join;
    cm_pool *pool = cm_context_pool(s->ctx);
    cm_error_clear(why);
    r->asked = true;
    r->agreement.joinable = r->virtualizable = false;
    a.opened = cm_calloc(s->n, sizeof *a.opened, err);
    if (!a.opened)
        return CM_ENOMEM;
    int rc = cm_pool_for(pool, s->ctx, (int64_t)s->n, cm_pool_size(pool) + 1, open_one, &a, why);
    if (rc == 0)
        rc = require_readable(&a, why);
    if (rc == 0 && (s->n > 1 || !s->options->join->merge))
        rc = cm_dataset_join(s->ctx, a.opened, s->n, s->options->join, &joined, why);
    if (ends_all(rc) && err)
        *err = *why;
    r->agreement.joinable = rc == 0;
    rc = rc == 0 ? refer(r, joined ? joined : a.opened[0], err) : ends_all(rc) ? rc : 0;
    cm_dataset_free(joined);
    for (size_t k = 0; k < s->n; k++)
        cm_dataset_free(a.opened[k]);
    free(a.opened);
    return rc;
}
