/* save/survey.c: the public function: read, judge, report.
 *
 *   read        one pass over the files (join/survey_read.c)
 *   order       along the joined dimension's coordinate
 *   agree       with the first file in order, and into kinds
 *   references  would be refused for which variables; with options of a join: whether it joins
 *   report      findings, variables, attributes, plan, schema, as one JSON document
 */
#include <stdlib.h>
#include <string.h>

#include "base/context_private.h"
#include "base/memory.h"
#include "format/tables/tables_list.h"
#include "save/survey_report.h"

void cm_survey_options_init(cm_survey_options *options)
{
    *options = (cm_survey_options){0};
    cm_select_options_init(&options->select);
}

static int begin(cm_survey *s, cm_error *err)
{
    if (pthread_mutex_init(&s->lock, NULL))
        return cm_error_set(err, CM_ENOMEM, "no lock to be had");
    cm_error_clear(&s->undecided);
    int rc = cm_dataset_new(s->ctx, "other files", "stand-ins", &s->stands, err);
    if (rc == 0 && !(s->files = cm_calloc(s->n, sizeof *s->files, err)))
        rc = CM_ENOMEM;
    return rc;
}

static void end(cm_survey *s)
{
    for (size_t k = 0; s->files && k < s->n; k++) {
        free(s->files[k].problem);
        free(s->files[k].entries);
        free(s->files[k].extents);
        free(s->files[k].extent_variables);
    }
    for (size_t i = 0; i < s->nforms; i++)
        cm_variable_free(s->forms[i].v);
    free(s->files);
    free(s->forms);
    free(s->set_counts);
    free(s->set_examples);
    free(s->values);
    free(s->dimension);
    cm_keys_deinit(&s->paths);
    cm_keys_deinit(&s->keys);
    cm_keys_deinit(&s->sets);
    cm_keys_deinit(&s->encoded);
    cm_dataset_free(s->stands);
    cm_budget_unpin(cm_context_budget(s->ctx), s->pinned);
    pthread_mutex_destroy(&s->lock);
}

/* The forms of each variable. */
static int list_forms(cm_survey_report *r, cm_error *err)
{
    const cm_survey *s = r->s;
    r->forms = cm_calloc(s->paths.n, sizeof *r->forms, err);
    r->nforms = cm_calloc(s->paths.n, sizeof *r->nforms, err);
    if (!r->forms || !r->nforms)
        return CM_ENOMEM;
    for (size_t i = 0; i < s->nforms; i++)
        r->nforms[s->forms[i].variable]++;
    for (size_t v = 0; v < s->paths.n; v++) {
        if (!(r->forms[v] = cm_calloc(r->nforms[v], sizeof **r->forms, err)))
            return CM_ENOMEM;
        r->nforms[v] = 0;
    }
    for (size_t i = 0; i < s->nforms; i++) {
        uint32_t v = s->forms[i].variable;
        r->forms[v][r->nforms[v]++] = (uint32_t)i;
    }
    return 0;
}

static int put_order(cm_survey_report *r, cm_error *err)
{
    const cm_survey_order *o = &r->order;
    cm_json_doc *doc = r->doc;
    cm_json *order = cm_json_new_object(doc);
    if (!o->by_coordinate)
        return cm_json_set(doc, r->root, "order", cm_json_new_null(doc)) ? cm_survey_no_memory(err)
                                                                         : 0;
    if (cm_json_set_string(doc, order, "variable", cm_survey_path(r->s, o->coordinate)) ||
        cm_json_set_bool(doc, order, "as_listed", o->as_listed) ||
        cm_json_set_int64(doc, order, "steps", o->steps) ||
        (o->first[0] && cm_json_set_string(doc, order, "first", o->first)) ||
        (o->last[0] && cm_json_set_string(doc, order, "last", o->last)) ||
        (o->step[0] && cm_json_set_string(doc, order, "step", o->step)) ||
        cm_json_set(doc, r->root, "order", order))
        return cm_survey_no_memory(err);
    return 0;
}

static int put_head(cm_survey_report *r, cm_error *err)
{
    const cm_survey *s = r->s;
    cm_json_doc *doc = r->doc;
    cm_json *sources = cm_json_new_array(doc), *root = r->root;
    size_t readable = 0;
    for (size_t k = 0; k < s->n; k++) {
        readable += s->files[k].opened && !s->files[k].problem;
        if (cm_json_add(doc, sources, cm_json_new_string(doc, s->uris[k])))
            return cm_survey_no_memory(err);
    }
    if (cm_json_set_string(doc, root, "format", "chunkmill-survey") ||
        cm_json_set_int64(doc, root, "version", 1) ||
        cm_json_set_bool(doc, root, "joinable", r->agreement.joinable) ||
        cm_json_set_bool(doc, root, "virtualizable", r->virtualizable) ||
        cm_json_set_int64(doc, root, "files", (int64_t)s->n) ||
        cm_json_set_int64(doc, root, "readable", (int64_t)readable) ||
        cm_json_set(doc, root, "dimension",
                    s->dimension ? cm_json_new_string(doc, s->dimension) : cm_json_new_null(doc)) ||
        cm_json_set(doc, root, "sources", sources))
        return cm_survey_no_memory(err);
    return put_order(r, err);
}

static int report(cm_survey_report *r, cm_error *err)
{
    int rc = cm_json_doc_new((size_t)4 << 30, &r->doc, err);
    if (rc)
        return rc;
    r->root = cm_json_new_object(r->doc);
    r->findings = cm_json_new_array(r->doc);
    r->plan = cm_json_new_array(r->doc);
    if (!r->root || !r->findings || !r->plan)
        return cm_survey_no_memory(err);
    cm_json_doc_set_root(r->doc, r->root);
    rc = put_head(r, err);
    if (rc == 0)
        rc = cm_survey_put_findings(r, err);
    if (rc == 0 && cm_json_set(r->doc, r->root, "findings", r->findings))
        rc = cm_survey_no_memory(err);
    if (rc == 0)
        rc = cm_survey_put_plan(r, err);
    if (rc == 0 && cm_json_set(r->doc, r->root, "plan", r->plan))
        rc = cm_survey_no_memory(err);
    if (rc == 0)
        rc = cm_survey_put_variables(r, err);
    if (rc == 0)
        rc = cm_survey_put_attributes(r, err);
    if (rc == 0)
        rc = cm_survey_put_schema(r, err);
    if (rc == 0 && r->s->options->schema)
        rc = cm_survey_check_schema(r, r->s->options->schema, err);
    return rc;
}

static void report_deinit(cm_survey_report *r)
{
    for (size_t v = 0; r->forms && v < r->s->paths.n; v++)
        free(r->forms[v]);
    free(r->forms);
    free(r->nforms);
    free(r->refused);
    free(r->refusals);
    cm_survey_order_deinit(&r->order);
    cm_survey_agreement_deinit(&r->agreement);
    cm_json_doc_free(r->doc);
}

int cm_survey_files(cm_context *ctx, const char *const *uris, size_t n,
                    const cm_survey_options *options, cm_json_doc **out, cm_error *err)
{
    cm_survey_options chosen;
    cm_survey_options_init(&chosen);
    if (options)
        chosen = *options;
    if (chosen.join) {
        chosen.concat = chosen.join->concat;
        chosen.static_first = chosen.join->static_first;
    }
    *out = NULL;
    if (n == 0 || n > UINT32_MAX / 2)
        return cm_error_set(err, CM_EINVAL, "a survey of %zu files", n);
    if (chosen.schema && !chosen.concat) /* what it was made along */
        chosen.concat = cm_json_string(cm_json_get(chosen.schema, "dimension"));
    cm_survey s = {.ctx = ctx, .options = &chosen};
    cm_survey_report r = {.s = &s};
    int rc = cm_tables_list_new(ctx, uris, n, chosen.format, chosen.cache, &s.sources, err);
    if (rc)
        return rc;
    s.uris = cm_tables_list_names(s.sources);
    s.n = cm_tables_list_count(s.sources);
    if (s.n == 0 || s.n > UINT32_MAX / 2)
        rc = cm_error_set(err, CM_EDATA, "scan tables of %zu files", s.n);
    else
        rc = begin(&s, err);
    if (rc == 0)
        rc = cm_survey_read(&s, err);
    if (rc == 0)
        rc = cm_survey_find_order(&s, &r.order, err);
    if (rc == 0)
        rc = cm_survey_agree(&s, &r.order, &r.agreement, err);
    if (rc == 0)
        rc = cm_survey_judge_references(&r, err);
    if (rc == 0)
        rc = list_forms(&r, err);
    if (rc == 0)
        rc = report(&r, err);
    if (rc == 0)
        rc = cm_tables_list_save(s.sources, err);
    if (rc == 0) {
        *out = r.doc;
        r.doc = NULL;
    }
    report_deinit(&r);
    end(&s);
    cm_tables_list_free(s.sources);
    return rc;
}
