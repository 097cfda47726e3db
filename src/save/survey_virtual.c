/* save/survey_virtual.c: which of the joined variables references can say.
 *
 * The joined variable is made of stand-ins (array/told.h), one for each form and length, and is
 * handed to the functions that write references: what they refuse here they would refuse of the
 * files. One variable after the other, so that there is never more than one joined array.
 */
#include <stdlib.h>
#include <string.h>

#include "array/compose.h"
#include "base/memory.h"
#include "join/match.h"
#include "save/survey_report.h"
#include "save/virtual.h"
#include "save/virtual_judge.h"

enum { CACHED = 64 };

/* Stand-ins made already: files mostly have one of few lengths. */
typedef struct cached {
    uint32_t form, parent;
    int64_t length;
    cm_array *array;
} cached;

/* The times of this file are re-encoded. */
static bool is_changed(const cm_survey *s, const cm_survey_file *first, const cm_survey_entry *mine,
                       const cm_form *f, const cm_survey_file *file, uint32_t parent)
{
    const cm_survey_entry *up_a = NULL, *up_b = NULL;
    cm_times a, b;
    bool differ = false;
    if (parent != UINT32_MAX) {
        up_a = cm_survey_entry_of(first, parent);
        up_b = cm_survey_entry_of(file, parent);
    }
    const cm_variable *v = s->forms[mine->form].v;
    cm_times_of(v, up_a ? s->forms[up_a->form].v : NULL, &a);
    cm_times_of(f->v, up_b ? s->forms[up_b->form].v : NULL, &b);
    return cm_times_match(v, &a, f->v, &b, &differ, NULL) == 0 && differ;
}

static int make_part(const cm_survey *s, const cm_survey_file *first, const cm_survey_entry *mine,
                     const cm_survey_file *file, const cm_survey_entry *theirs, uint32_t parent,
                     cm_array **out, cm_error *err)
{
    const cm_form *f = &s->forms[theirs->form];
    int rc = cm_survey_stand_in(f, f->v->array, theirs->length, out, err);
    if (rc || !is_changed(s, first, mine, f, file, parent))
        return rc;
    cm_array *plain = *out;
    rc = cm_survey_changed(plain, out, err);
    cm_array_unref(plain);
    return rc;
}

static int join_parts(const cm_survey_report *r, const cm_survey_entry *mine, int axis,
                      cm_array **out, cm_error *err)
{
    const cm_survey *s = r->s;
    const cm_survey_file *first = &s->files[r->order.files[0]];
    size_t n = r->order.n, next = 0;
    cached cache[CACHED] = {{0}};
    uint32_t parent = cm_survey_parent(s, first, mine->variable);
    cm_array **parts = cm_calloc(n, sizeof(cm_array *), err);
    int rc = parts ? 0 : CM_ENOMEM;
    for (size_t k = 0; rc == 0 && k < n; k++) {
        const cm_survey_file *file = &s->files[r->order.files[k]];
        const cm_survey_entry *theirs = cm_survey_entry_of(file, mine->variable);
        const cm_survey_entry *up = parent == UINT32_MAX ? NULL : cm_survey_entry_of(file, parent);
        cached key = {theirs->form, up ? up->form : UINT32_MAX, theirs->length, NULL};
        size_t at = 0;
        while (at < CACHED && !(cache[at].array && cache[at].form == key.form &&
                                cache[at].parent == key.parent && cache[at].length == key.length))
            at++;
        if (at == CACHED) {
            rc = make_part(s, first, mine, file, theirs, parent, &key.array, err);
            if (rc)
                break;
            at = next++ % CACHED;
            cm_array_unref(cache[at].array);
            cache[at] = key;
        }
        parts[k] = cm_array_ref(cache[at].array);
    }
    if (rc == 0)
        rc = cm_array_concat(parts, n, axis, out, err);
    for (size_t k = 0; parts && k < n; k++)
        cm_array_unref(parts[k]);
    for (size_t i = 0; i < CACHED; i++)
        cm_array_unref(cache[i].array);
    free(parts);
    return rc;
}

/* What cm_virtualize would say of the joined variable; why->code 0: nothing. */
static int judge(const cm_survey_report *r, const cm_survey_entry *mine, cm_error *why,
                 cm_error *err)
{
    const cm_survey *s = r->s;
    const cm_form *f = &s->forms[mine->form];
    cm_dataset *ds = NULL;
    cm_variable *v = NULL;
    cm_array *array = NULL;
    int rc = cm_dataset_new(s->ctx, "the files", "joined", &ds, err);
    if (rc == 0)
        rc = cm_group_add_variable(ds->root, f->v->name, &v, err);
    if (rc == 0 && f->axis >= 0 && r->order.n > 1)
        rc = join_parts(r, mine, f->axis, &array, err);
    else if (rc == 0)
        rc = cm_survey_stand_in(f, f->v->array, mine->length, &array, err);
    if (rc)
        goto out;
    cm_variable_set_array(v, array);
    for (int i = 0; rc == 0 && i < f->v->ndim; i++)
        rc = cm_variable_set_dimension(v, i, f->v->dimensions[i], err);
    for (size_t i = 0; rc == 0 && i < cm_variable_nattributes(f->v); i++) {
        const cm_attribute *a = cm_variable_attribute(f->v, i);
        cm_json *value = cm_json_copy(ds->doc, a->value);
        rc = value ? cm_variable_add_attribute(v, a->name, value, a->dtype, err)
                   : cm_survey_no_memory(err);
    }
    if (rc == 0) {
        rc = cm_virtual_judge(s->ctx, ds, v, why);
        if (rc != CM_ENOMEM && rc != CM_ECANCEL)
            rc = 0;
        else if (err)
            *err = *why;
    }
out:
    cm_dataset_free(ds);
    return rc;
}

int cm_survey_judge_references(cm_survey_report *r, cm_error *err)
{
    cm_survey *s = r->s;
    int rc = 0;
    r->refused = cm_calloc(s->paths.n, sizeof *r->refused, err);
    r->refusals = cm_calloc(s->paths.n, sizeof *r->refusals, err);
    if (!r->refused || !r->refusals)
        return CM_ENOMEM;
    if (s->options->join)
        return cm_survey_ask(r, err);
    r->virtualizable = r->agreement.joinable;
    if (!r->virtualizable)
        return 0;
    const cm_survey_file *first = &s->files[r->order.files[0]];
    for (size_t i = 0; rc == 0 && i < first->n; i++) {
        uint32_t variable = first->entries[i].variable;
        cm_error_clear(&r->refusals[variable]);
        rc = judge(r, &first->entries[i], &r->refusals[variable], err);
        if (rc == 0 && r->refusals[variable].code) {
            r->refused[variable] = true;
            r->virtualizable = false;
        }
    }
    return rc;
}
