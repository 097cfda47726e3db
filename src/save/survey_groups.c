/* save/survey_groups.c: files by what their variables are.
 *
 * A variable has few forms, so grouping is done over forms; the files are gone through only to say
 * which they are. Sets of files are written as ranges of source numbers, since files that differ
 * mostly lie together.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "save/survey_report.h"

int cm_survey_no_memory(cm_error *err)
{
    return cm_error_set(err, CM_ENOMEM, "out of memory (report)");
}

uint32_t cm_survey_presence(const cm_survey_report *r, uint32_t variable)
{
    uint32_t n = 0;
    for (size_t i = 0; i < r->nforms[variable]; i++)
        n += r->s->forms[r->forms[variable][i]].count;
    return n;
}

static int larger(const void *va, const void *vb)
{
    const cm_survey_group *a = va, *b = vb;
    if (a->count != b->count)
        return a->count < b->count ? 1 : -1;
    return (a->example > b->example) - (a->example < b->example);
}

/* Which group each form is in: of_form, by the number of the form. */
static int group_forms(cm_survey_report *r, uint32_t variable, size_t facet, cm_survey_groups *out,
                       uint32_t *of_form, cm_error *err)
{
    const cm_survey *s = r->s;
    cm_keys texts = {0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < r->nforms[variable]; i++) {
        uint32_t form = r->forms[variable][i], number;
        const cm_form *f = &s->forms[form];
        const cm_json *value = cm_survey_facet(s, f, facet, r->doc);
        char *text = NULL;
        size_t nbytes = 0;
        bool added;
        if (value)
            rc = cm_json_write(value, 0, &text, &nbytes, err);
        if (rc == 0)
            rc = cm_keys_add(&texts, text, nbytes, &number, &added, err);
        free(text);
        if (rc == 0 && added) {
            rc = cm_grow(&out->items, &out->capacity, out->n + 1, sizeof *out->items, err);
            if (rc == 0)
                out->items[out->n++] =
                    (cm_survey_group){.value = value, .example = f->example, .number = number};
        }
        if (rc)
            break;
        cm_survey_group *g = &out->items[number];
        g->count += f->count;
        g->clash |= r->agreement.clash[form] & cm_facets[facet].clash;
        g->example = f->example < g->example ? f->example : g->example;
        of_form[form] = number;
    }
    cm_keys_deinit(&texts);
    return rc;
}

static int list_files(const cm_survey_report *r, uint32_t variable, cm_survey_groups *out,
                      const uint32_t *of_form, cm_error *err)
{
    const cm_survey *s = r->s;
    out->head = cm_calloc(out->n, sizeof *out->head, err);
    out->next = cm_calloc(s->n, sizeof *out->next, err);
    if (!out->head || !out->next)
        return CM_ENOMEM;
    for (size_t i = 0; i < out->n; i++)
        out->head[i] = UINT32_MAX;
    for (size_t k = s->n; k-- > 0;) {
        const cm_survey_entry *e =
            s->files[k].opened ? cm_survey_entry_of(&s->files[k], variable) : NULL;
        uint32_t number = e ? of_form[e->form] : UINT32_MAX;
        if (number == UINT32_MAX)
            continue;
        out->next[k] = out->head[number];
        out->head[number] = (uint32_t)k;
    }
    return 0;
}

int cm_survey_group_by(cm_survey_report *r, uint32_t variable, size_t facet, cm_survey_groups *out,
                       cm_error *err)
{
    *out = (cm_survey_groups){0};
    uint32_t *of_form = cm_calloc(r->s->nforms, sizeof *of_form, err);
    if (!of_form)
        return CM_ENOMEM;
    for (size_t i = 0; i < r->s->nforms; i++)
        of_form[i] = UINT32_MAX;
    int rc = group_forms(r, variable, facet, out, of_form, err);
    if (rc == 0)
        rc = list_files(r, variable, out, of_form, err);
    if (rc == 0 && out->n > 1)
        qsort(out->items, out->n, sizeof *out->items, larger);
    free(of_form);
    return rc;
}

void cm_survey_groups_deinit(cm_survey_groups *g)
{
    free(g->items);
    free(g->head);
    free(g->next);
    *g = (cm_survey_groups){0};
}

/* ---- files ----------------------------------------------------------------------------------- */

static int add_range(cm_json_doc *doc, cm_json *list, size_t first, size_t last)
{
    cm_json *range = cm_json_new_array(doc);
    if (cm_json_add(doc, range, cm_json_new_int64(doc, (int64_t)first)) ||
        cm_json_add(doc, range, cm_json_new_int64(doc, (int64_t)last)))
        return CM_ENOMEM;
    return cm_json_add(doc, list, range);
}

static cm_json *files_json(const cm_survey_report *r, size_t count, size_t example, cm_json *ranges)
{
    cm_json_doc *doc = r->doc;
    cm_json *o = cm_json_new_object(doc);
    if (cm_json_set_int64(doc, o, "count", (int64_t)count) ||
        (count && cm_json_set_string(doc, o, "example", r->s->uris[example])) ||
        cm_json_set(doc, o, "files", ranges))
        return NULL;
    return o;
}

cm_json *cm_survey_some_files(cm_survey_report *r, const bool *in)
{
    cm_json *ranges = cm_json_new_array(r->doc);
    size_t count = 0, example = SIZE_MAX;
    for (size_t k = 0; k < r->s->n; k++) {
        size_t first = k;
        while (k < r->s->n && in[k])
            k++;
        if (k == first)
            continue;
        example = example == SIZE_MAX ? first : example;
        count += k - first;
        if (add_range(r->doc, ranges, first, k - 1))
            return NULL;
    }
    return files_json(r, count, example, ranges);
}

cm_json *cm_survey_group_json(cm_survey_report *r, const cm_survey_groups *groups, size_t i)
{
    const cm_survey_group *g = &groups->items[i];
    cm_json *ranges = cm_json_new_array(r->doc);
    uint32_t k = groups->head[g->number];
    size_t example = k, count = 0;
    while (k != UINT32_MAX) {
        uint32_t first = k, last = k;
        for (count++; (k = groups->next[last]) == last + 1; count++)
            last = k;
        if (add_range(r->doc, ranges, first, last))
            return NULL;
    }
    cm_json *o = files_json(r, count, example, ranges);
    cm_json *value = g->value ? cm_json_copy(r->doc, g->value) : cm_json_new_null(r->doc);
    return o && cm_json_set(r->doc, o, "value", value) == 0 ? o : NULL;
}

/* ---- variables ------------------------------------------------------------------------------- */

/* One value: the value; several: the groups. */
static cm_json *facet_json(cm_survey_report *r, uint32_t variable, size_t facet, bool *some,
                           cm_error *err)
{
    cm_survey_groups groups;
    cm_json *o = NULL;
    int rc = cm_survey_group_by(r, variable, facet, &groups, err);
    *some = rc || groups.n > 1 || groups.items[0].value;
    if (rc == 0 && *some) {
        o = cm_json_new_array(r->doc);
        for (size_t i = 0; o && i < groups.n; i++)
            if (cm_json_add(r->doc, o, cm_survey_group_json(r, &groups, i)))
                o = NULL;
    }
    cm_survey_groups_deinit(&groups);
    return o;
}

static cm_json *variable_json(cm_survey_report *r, uint32_t variable, cm_error *err)
{
    const cm_survey *s = r->s;
    const cm_form *f = &s->forms[r->forms[variable][0]];
    cm_json_doc *doc = r->doc;
    cm_json *o = cm_json_new_object(doc), *facets = cm_json_new_object(doc);
    if (cm_json_set_string(doc, o, "path", cm_survey_path(s, variable)) ||
        cm_json_set_string(doc, o, "role", f->axis >= 0 ? "joined" : "static") ||
        cm_json_set_int64(doc, o, "count", cm_survey_presence(r, variable)))
        return NULL;
    for (size_t i = 0; cm_facets[i].name; i++) {
        bool some;
        cm_json *value = facet_json(r, variable, i, &some, err);
        if (some && cm_json_set(doc, facets, cm_facets[i].name, value))
            return NULL;
    }
    return cm_json_set(doc, o, "facets", facets) ? NULL : o;
}

int cm_survey_put_variables(cm_survey_report *r, cm_error *err)
{
    cm_json *all = cm_json_new_array(r->doc);
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < r->s->paths.n; i++)
        if (r->nforms[i] && cm_json_add(r->doc, all, variable_json(r, i, err)))
            rc = cm_survey_no_memory(err);
    if (rc == 0 && cm_json_set(r->doc, r->root, "variables", all))
        rc = cm_survey_no_memory(err);
    return rc;
}

/* ---- attributes ------------------------------------------------------------------------------ */

/* Values of one attribute of one owner. */
typedef struct spread {
    cm_keys values;
    uint32_t *counts, *examples;
    size_t counts_capacity, examples_capacity;
    uint32_t owners; /* files that have the owner */
} spread;

static int count_value(spread *x, const char *text, uint32_t count, uint32_t example, cm_error *err)
{
    uint32_t i;
    bool added;
    int rc = cm_keys_add(&x->values, text, strlen(text), &i, &added, err);
    if (rc == 0 && added) {
        rc = cm_grow(&x->counts, &x->counts_capacity, x->values.n, sizeof *x->counts, err);
        if (rc == 0)
            rc =
                cm_grow(&x->examples, &x->examples_capacity, x->values.n, sizeof *x->examples, err);
        if (rc == 0) {
            x->counts[i] = 0;
            x->examples[i] = example;
        }
    }
    if (rc)
        return rc;
    x->counts[i] += count;
    x->examples[i] = example < x->examples[i] ? example : x->examples[i];
    return 0;
}

static void spread_deinit(spread *x)
{
    cm_keys_deinit(&x->values);
    free(x->counts);
    free(x->examples);
}

enum { MOST_VALUES = 20 };

static int put_spread(cm_survey_report *r, cm_json *all, const char *owner, const char *name,
                      const spread *x, cm_error *err)
{
    cm_json_doc *doc = r->doc;
    uint32_t with = 0;
    size_t shown = x->values.n < MOST_VALUES ? x->values.n : MOST_VALUES;
    for (size_t i = 0; i < x->values.n; i++)
        with += x->counts[i];
    if (x->values.n == 1 && with == x->owners)
        return 0;
    cm_json *o = cm_json_new_object(doc), *groups = cm_json_new_array(doc);
    for (size_t i = 0; i < shown; i++) {
        cm_json *g = cm_json_new_object(doc);
        if (cm_json_set_string(doc, g, "value", cm_keys_at(&x->values, (uint32_t)i, NULL)) ||
            cm_json_set_int64(doc, g, "count", x->counts[i]) ||
            cm_json_set_string(doc, g, "example", r->s->uris[x->examples[i]]) ||
            cm_json_add(doc, groups, g))
            return cm_survey_no_memory(err);
    }
    bool group = owner[0] && owner[strlen(owner) - 1] == '@';
    cm_json *path = cm_json_new_string_n(doc, owner, strlen(owner) - group);
    if (cm_json_set(doc, o, group ? "group" : "variable", path) ||
        cm_json_set_string(doc, o, "name", name) ||
        cm_json_set_int64(doc, o, "values", (int64_t)x->values.n) ||
        cm_json_set_int64(doc, o, "absent", (int64_t)x->owners - with) ||
        cm_json_set(doc, o, "groups", groups) || cm_json_add(doc, all, o))
        return cm_survey_no_memory(err);
    return 0;
}

/* The key of a set: owner, then name and value, name and value, each with its NUL. */
static int spread_owner(cm_survey_report *r, cm_json *all, const uint32_t *sets, size_t n,
                        cm_error *err)
{
    const cm_survey *s = r->s;
    const char *owner = cm_keys_at(&s->sets, sets[0], NULL);
    cm_keys names = {0};
    spread *spreads = NULL;
    size_t capacity = 0, made = 0;
    uint32_t owners = 0;
    int rc = 0;
    for (size_t i = 0; i < n; i++)
        owners += s->set_counts[sets[i]];
    for (size_t i = 0; rc == 0 && i < n; i++) {
        size_t nbytes;
        const char *at = cm_keys_at(&s->sets, sets[i], &nbytes), *end = at + nbytes;
        for (at += strlen(at) + 1; rc == 0 && at < end;) {
            const char *name = at, *value = name + strlen(name) + 1;
            uint32_t number;
            bool added;
            at = value + strlen(value) + 1;
            rc = cm_keys_add(&names, name, strlen(name), &number, &added, err);
            if (rc == 0 && added) {
                rc = cm_grow(&spreads, &capacity, made + 1, sizeof *spreads, err);
                if (rc == 0)
                    spreads[made++] = (spread){.owners = owners};
            }
            if (rc == 0)
                rc = count_value(&spreads[number], value, s->set_counts[sets[i]],
                                 s->set_examples[sets[i]], err);
        }
    }
    for (size_t i = 0; i < made; i++) {
        if (rc == 0)
            rc = put_spread(r, all, owner, cm_keys_at(&names, (uint32_t)i, NULL), &spreads[i], err);
        spread_deinit(&spreads[i]);
    }
    free(spreads);
    cm_keys_deinit(&names);
    return rc;
}

int cm_survey_put_attributes(cm_survey_report *r, cm_error *err)
{
    const cm_survey *s = r->s;
    cm_json *all = cm_json_new_array(r->doc);
    size_t n = s->sets.n, count = 0;
    uint32_t *owner_of = cm_calloc(n, sizeof *owner_of, err), *sets = NULL;
    cm_keys owners = {0};
    int rc = owner_of ? 0 : CM_ENOMEM;
    for (uint32_t i = 0; rc == 0 && i < n; i++) {
        const char *owner = cm_keys_at(&s->sets, i, NULL);
        rc = cm_keys_add(&owners, owner, strlen(owner), &owner_of[i], NULL, err);
    }
    if (rc == 0 && !(sets = cm_calloc(n, sizeof *sets, err)))
        rc = CM_ENOMEM;
    for (uint32_t o = 0; rc == 0 && o < owners.n; o++, count = 0) {
        for (uint32_t i = 0; i < n; i++)
            if (owner_of[i] == o)
                sets[count++] = i;
        rc = spread_owner(r, all, sets, count, err);
    }
    free(owner_of);
    free(sets);
    cm_keys_deinit(&owners);
    if (rc == 0 && cm_json_set(r->doc, r->root, "attributes", all))
        rc = cm_survey_no_memory(err);
    return rc;
}
