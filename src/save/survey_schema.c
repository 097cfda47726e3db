/* save/survey_schema.c: the majority's structure, and files against it.
 *
 * {"format": "chunkmill-schema", "version": 1, "dimension": "time",
 *  "variables": {"/tas": {"dtype": "float32", "dimensions": [...], "chunks": [...], ...}}}
 *
 * What a schema does not mention is not compared: whoever does not care for chunks deletes them. A
 * variable that more than half of the files have is in it. The units of times are left out, since
 * every file may have its own reference date; so is the fill value, which is storage.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cf/roles.h"
#include "cf/time_units.h"
#include "save/survey_report.h"

static bool is_kept(const char *facet)
{
    static const char *const no[] = {"unreadable",  "length_difference", "fill",
                                     "filter_mask", "unwritten_chunks",  "truncated"};
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        if (strcmp(no[i], facet) == 0)
            return false;
    return true;
}

/* Is it a time, in some units or other? */
static bool is_time(const cm_survey_report *r, uint32_t variable)
{
    const cm_form *f = &r->s->forms[r->forms[variable][0]];
    return cm_units_are_time(cm_cf_text(f->v, "units"));
}

int cm_survey_put_schema(cm_survey_report *r, cm_error *err)
{
    const cm_survey *s = r->s;
    cm_json_doc *doc = r->doc;
    cm_json *schema = cm_json_new_object(doc), *all = cm_json_new_object(doc);
    int rc = 0;
    for (uint32_t v = 0; rc == 0 && v < s->paths.n; v++) {
        if (2 * (size_t)cm_survey_presence(r, v) <= r->order.n)
            continue;
        cm_json *o = cm_json_new_object(doc);
        for (size_t i = 0; rc == 0 && cm_facets[i].name; i++) {
            cm_survey_groups g;
            if (!is_kept(cm_facets[i].name) ||
                (strcmp(cm_facets[i].name, "units") == 0 && is_time(r, v)))
                continue;
            rc = cm_survey_group_by(r, v, i, &g, err);
            if (rc == 0 && g.items[0].value &&
                cm_json_set(doc, o, cm_facets[i].name, cm_json_copy(doc, g.items[0].value)))
                rc = cm_survey_no_memory(err);
            cm_survey_groups_deinit(&g);
        }
        if (rc == 0 && cm_json_set(doc, all, cm_survey_path(s, v), o))
            rc = cm_survey_no_memory(err);
    }
    if (rc == 0 &&
        (cm_json_set_string(doc, schema, "format", "chunkmill-schema") ||
         cm_json_set_int64(doc, schema, "version", 1) ||
         cm_json_set(doc, schema, "dimension",
                     s->dimension ? cm_json_new_string(doc, s->dimension)
                                  : cm_json_new_null(doc)) ||
         cm_json_set(doc, schema, "variables", all) || cm_json_set(doc, r->root, "schema", schema)))
        rc = cm_survey_no_memory(err);
    return rc;
}

/* ---- checking -------------------------------------------------------------------------------- */

static int differ(cm_survey_report *r, cm_json *list, const char *about, const char *variable,
                  const cm_json *want, cm_json *others, cm_error *err)
{
    cm_json_doc *doc = r->doc;
    cm_json *o = cm_json_new_object(doc);
    if (cm_json_set_string(doc, o, "about", about) ||
        cm_json_set_string(doc, o, "variable", variable) ||
        (want && cm_json_set(doc, o, "schema", cm_json_copy(doc, want))) ||
        cm_json_set(doc, o, "others", others) || cm_json_add(doc, list, o))
        return cm_survey_no_memory(err);
    return 0;
}

/* Files that have the variable, or have it not. */
static int check_presence(cm_survey_report *r, cm_json *list, const char *path, bool wanted,
                          cm_error *err)
{
    const cm_survey *s = r->s;
    uint32_t variable = UINT32_MAX;
    bool some = false, *in = cm_calloc(s->n, sizeof *in, err);
    if (!in)
        return CM_ENOMEM;
    for (uint32_t v = 0; v < s->paths.n; v++)
        if (r->nforms[v] && strcmp(cm_survey_path(s, v), path) == 0)
            variable = v;
    for (size_t k = 0; k < s->n; k++) {
        bool there = s->files[k].opened && variable != UINT32_MAX &&
                     cm_survey_entry_of(&s->files[k], variable);
        in[k] = s->files[k].opened && there != wanted;
        some = some || in[k];
    }
    cm_json *others = cm_json_new_array(r->doc);
    int rc = 0;
    if (some && cm_json_add(r->doc, others, cm_survey_some_files(r, in)))
        rc = cm_survey_no_memory(err);
    if (rc == 0 && some)
        rc = differ(r, list, wanted ? "missing" : "extra", path, NULL, others, err);
    free(in);
    return rc;
}

static int check_facet(cm_survey_report *r, cm_json *list, uint32_t variable, size_t facet,
                       const cm_json *want, cm_error *err)
{
    cm_survey_groups g;
    bool some = false;
    int rc = cm_survey_group_by(r, variable, facet, &g, err);
    cm_json *others = cm_json_new_array(r->doc);
    for (size_t i = 0; rc == 0 && i < g.n; i++) {
        if (cm_json_equal(want, g.items[i].value))
            continue;
        some = true;
        if (cm_json_add(r->doc, others, cm_survey_group_json(r, &g, i)))
            rc = cm_survey_no_memory(err);
    }
    cm_survey_groups_deinit(&g);
    if (rc == 0 && some)
        rc = differ(r, list, cm_facets[facet].name, cm_survey_path(r->s, variable), want, others,
                    err);
    return rc;
}

static int check_variable(cm_survey_report *r, cm_json *list, uint32_t variable,
                          const cm_json *want, cm_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && cm_facets[i].name; i++) {
        const cm_json *value = cm_json_get(want, cm_facets[i].name);
        bool values_unknown = strcmp(cm_facets[i].name, "values") == 0 &&
                              (!r->s->dimension || r->s->options->static_first);
        if (value && !values_unknown)
            rc = check_facet(r, list, variable, i, value, err);
        else if (strcmp(cm_facets[i].name, "unreadable") == 0)
            rc = check_facet(r, list, variable, i, NULL, err);
    }
    return rc;
}

static int unknown_facets(const cm_json *schema, cm_error *err)
{
    const cm_json *all = cm_json_get(schema, "variables");
    for (size_t v = 0; v < cm_json_count(all); v++) {
        if (!cm_json_is(cm_json_at(all, v), CM_JSON_OBJECT))
            return cm_error_set(err, CM_EINVAL, "the schema says nothing of %.100s",
                                cm_json_key(all, v));
        for (size_t i = 0; i < cm_json_count(cm_json_at(all, v)); i++) {
            const char *name = cm_json_key(cm_json_at(all, v), i);
            size_t k = 0;
            while (cm_facets[k].name && strcmp(cm_facets[k].name, name) != 0)
                k++;
            if (!cm_facets[k].name)
                return cm_error_set(err, CM_EINVAL, "the schema asks for \"%.60s\" of %.100s", name,
                                    cm_json_key(all, v));
        }
    }
    return 0;
}

int cm_survey_check_schema(cm_survey_report *r, const cm_json *schema, cm_error *err)
{
    const cm_survey *s = r->s;
    const char *format = cm_json_string(cm_json_get(schema, "format"));
    const cm_json *all = cm_json_get(schema, "variables");
    cm_json *list = cm_json_new_array(r->doc);
    if (!format || strcmp(format, "chunkmill-schema") != 0 || !cm_json_is(all, CM_JSON_OBJECT))
        return cm_error_set(err, CM_EINVAL, "it is no schema that a survey wrote");
    int rc = unknown_facets(schema, err);
    for (size_t i = 0; rc == 0 && i < cm_json_count(all); i++)
        rc = check_presence(r, list, cm_json_key(all, i), true, err);
    for (uint32_t v = 0; rc == 0 && v < s->paths.n; v++) {
        if (!r->nforms[v])
            continue;
        const char *path = cm_survey_path(s, v);
        const cm_json *want = cm_json_get(all, path);
        rc = want ? check_variable(r, list, v, want, err)
                  : check_presence(r, list, path, false, err);
    }
    bool same = rc == 0 && cm_json_count(list) == 0;
    for (size_t k = 0; k < s->n; k++)
        same = same && s->files[k].opened && !s->files[k].problem;
    if (rc == 0 && (cm_json_set_bool(r->doc, r->root, "as_schema", same) ||
                    cm_json_set(r->doc, r->root, "schema_differences", list)))
        rc = cm_survey_no_memory(err);
    return rc;
}
