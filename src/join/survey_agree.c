/* join/survey_agree.c: which forms stand side by side.
 *
 * The rules are match.c's; they are asked for the stand-ins of two forms, once, and not for every
 * two files. As in the join, the first file in order is the measure of all others. Beside the
 * rules: values of static variables by their hash; and times in other units than the first file's,
 * of which the join tries every one, so here the files are opened once more, but only those and
 * only then.
 *
 * Kinds: the first file is of kind 0, and so are all that agree with it; the first that does not is
 * the model of kind 1, and so on. Where all differ from all there is no use in more than a few.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/context_private.h"
#include "base/memory.h"
#include "join/match.h"
#include "join/same.h"
#include "join/survey.h"

enum { EAGER_CELLS = 1 << 18 }; /* as in the join */

uint32_t cm_survey_parent(const cm_survey *s, const cm_survey_file *f, uint32_t variable)
{
    uint32_t parent = UINT32_MAX;
    for (size_t i = 0; i < f->n; i++)
        if (s->forms[f->entries[i].form].bounds == variable)
            parent = f->entries[i].variable;
    return parent;
}

/* ---- two forms ------------------------------------------------------------------------------- */

typedef struct pair {
    const cm_form *a, *b;
    const cm_variable *parent_a, *parent_b;
} pair;

static bool times_differ(const pair *p)
{
    cm_times a, b;
    bool differ = false;
    if (!p->a->v->array || !p->b->v->array)
        return false;
    cm_times_of(p->a->v, p->parent_a, &a);
    cm_times_of(p->b->v, p->parent_b, &b);
    return cm_times_match(p->a->v, &a, p->b->v, &b, &differ, NULL) == 0 && differ;
}

static unsigned compare(const cm_survey *s, const pair *p)
{
    const cm_form *a = p->a, *b = p->b;
    unsigned clash = 0;
    if (!a->v->array || !b->v->array)
        return CM_CLASH_UNREADABLE;
    if (a->axis == CM_FORM_TWICE || b->axis == CM_FORM_TWICE)
        clash |= CM_CLASH_TWICE;
    if (a->axis < 0 && s->options->static_first)
        return clash;
    for (unsigned aspect = 1; aspect < CM_ASPECT_ALL; aspect *= 2)
        if (cm_match_check(a->v, p->parent_a, b->v, p->parent_b, a->axis, aspect, NULL))
            clash |= aspect;
    if (a->axis >= 0 && b->axis >= 0 && a->declared != b->declared)
        clash |= CM_CLASH_LENGTH;
    if (a->hashed && b->hashed && memcmp(a->values, b->values, sizeof a->values) != 0 &&
        !times_differ(p))
        clash |= CM_CLASH_VALUES;
    return clash;
}

/* ---- two files ------------------------------------------------------------------------------- */

/* A file that others are compared with. */
typedef struct model {
    const cm_survey_file *file;
    uint32_t *parents; /* of each entry's variable */
    uint32_t *last;    /* of each entry: the form that it was compared with last, */
    unsigned *clash;   /* and what came of it; without parents */
} model;

static void model_deinit(model *m)
{
    free(m->parents);
    free(m->last);
    free(m->clash);
    *m = (model){0};
}

static int model_init(const cm_survey *s, size_t k, model *m, cm_error *err)
{
    const cm_survey_file *f = &s->files[k];
    *m = (model){.file = f};
    m->parents = cm_calloc(f->n, sizeof *m->parents, err);
    m->last = cm_calloc(f->n, sizeof *m->last, err);
    m->clash = cm_calloc(f->n, sizeof *m->clash, err);
    if (!m->parents || !m->last || !m->clash)
        return CM_ENOMEM;
    for (size_t i = 0; i < f->n; i++) {
        m->parents[i] = UINT32_MAX;
        m->last[i] = UINT32_MAX;
    }
    for (size_t i = 0; i < f->n; i++) {
        uint32_t bounds = s->forms[f->entries[i].form].bounds;
        for (size_t j = 0; bounds != UINT32_MAX && j < f->n; j++)
            if (f->entries[j].variable == bounds)
                m->parents[j] = f->entries[i].variable;
    }
    return 0;
}

static pair make_pair(const cm_survey *s, const model *m, size_t i, const cm_survey_file *f,
                      const cm_survey_entry *theirs)
{
    pair p = {&s->forms[m->file->entries[i].form], &s->forms[theirs->form], NULL, NULL};
    if (m->parents[i] != UINT32_MAX) {
        const cm_survey_entry *a = cm_survey_entry_of(m->file, m->parents[i]);
        const cm_survey_entry *b = cm_survey_entry_of(f, m->parents[i]);
        p.parent_a = a ? s->forms[a->form].v : NULL;
        p.parent_b = b ? s->forms[b->form].v : NULL;
    }
    return p;
}

static unsigned compare_entry(const cm_survey *s, model *m, size_t i, const cm_survey_file *f,
                              const cm_survey_entry *theirs)
{
    if (m->parents[i] == UINT32_MAX && m->last[i] == theirs->form)
        return m->clash[i];
    pair p = make_pair(s, m, i, f, theirs);
    unsigned clash = compare(s, &p);
    if (m->parents[i] == UINT32_MAX) {
        m->last[i] = theirs->form;
        m->clash[i] = clash;
    }
    return clash;
}

/* What keeps file f from standing beside the model. */
static unsigned compare_files(const cm_survey *s, model *m, const cm_survey_file *f)
{
    unsigned clash = m->file->n == f->n ? 0 : CM_CLASH_ABSENT;
    for (size_t i = 0; i < m->file->n; i++) {
        const cm_survey_entry *theirs = cm_survey_entry_of(f, m->file->entries[i].variable);
        clash |= theirs ? compare_entry(s, m, i, f, theirs) : CM_CLASH_ABSENT;
    }
    return clash;
}

/* ---- kinds ----------------------------------------------------------------------------------- */

static int find_kinds(const cm_survey *s, const cm_survey_order *o, cm_survey_agreement *a,
                      cm_error *err)
{
    model models[CM_MOST_KINDS] = {{0}};
    int rc = 0;
    for (size_t k = 0; rc == 0 && k < o->n; k++) {
        const cm_survey_file *f = &s->files[o->files[k]];
        uint32_t kind = 0;
        while (kind < a->nkinds &&
               compare_files(s, &models[kind], f) & ~(unsigned)CM_CLASH_UNREADABLE)
            kind++;
        if (kind == CM_MOST_KINDS) {
            kind--;
        } else if (kind == a->nkinds) {
            rc = model_init(s, o->files[k], &models[kind], err);
            a->models[a->nkinds++] = o->files[k];
        }
        a->kinds[k] = kind;
    }
    for (size_t i = 0; i < a->nkinds; i++)
        model_deinit(&models[i]);
    return rc;
}

/* ---- with the first file --------------------------------------------------------------------- */

/* Lengths along the dimension that are not the dimension's, in all files together. */
static bool lengths_add_up(const cm_survey *s, const cm_survey_order *o, uint32_t variable)
{
    int64_t sum = 0;
    for (size_t k = 0; k < o->n; k++) {
        const cm_survey_entry *e = cm_survey_entry_of(&s->files[o->files[k]], variable);
        if (e && !cm_add_i64(sum, s->forms[e->form].excess, &sum))
            return false;
    }
    return sum == 0;
}

static int compare_with_first(const cm_survey *s, const cm_survey_order *o, cm_survey_agreement *a,
                              cm_error *err)
{
    model m;
    int rc = model_init(s, o->files[0], &m, err);
    for (size_t k = 0; rc == 0 && k < o->n; k++) {
        const cm_survey_file *f = &s->files[o->files[k]];
        unsigned all = 0;
        for (size_t i = 0; i < m.file->n; i++) {
            const cm_survey_entry *theirs = cm_survey_entry_of(f, m.file->entries[i].variable);
            unsigned clash = CM_CLASH_ABSENT;
            if (theirs) {
                clash = compare_entry(s, &m, i, f, theirs);
                a->clash[theirs->form] |= clash;
                pair p = make_pair(s, &m, i, f, theirs);
                if (!clash && p.a != p.b && times_differ(&p))
                    a->converts[m.file->entries[i].variable] = true;
            }
            all |= clash;
        }
        if (all || f->n != m.file->n)
            a->joinable = false;
        for (size_t i = 0; i < f->n; i++) { /* those that the first does not have too */
            cm_form *form = &s->forms[f->entries[i].form];
            if (!form->v->array) {
                a->clash[f->entries[i].form] |= CM_CLASH_UNREADABLE;
                a->joinable = false;
            }
        }
    }
    for (size_t i = 0; rc == 0 && i < m.file->n; i++)
        if (!lengths_add_up(s, o, m.file->entries[i].variable)) {
            a->joinable = false;
            for (size_t k = 0; k < s->nforms; k++)
                if (s->forms[k].variable == m.file->entries[i].variable && s->forms[k].excess)
                    a->clash[k] |= CM_CLASH_LENGTH;
        }
    model_deinit(&m);
    return rc;
}

/* ---- times in other units -------------------------------------------------------------------- */

typedef struct conversion {
    cm_survey *s;
    const cm_survey_order *order;
    cm_survey_agreement *out;
    cm_dataset *first;
    size_t capacity, files_capacity;
} conversion;

/* One variable of an open file in the first file's units. Static ones must have its values. */
static int convert(const conversion *c, cm_dataset *ds, uint32_t variable, cm_error *err)
{
    const cm_survey *s = c->s;
    const cm_survey_file *f = &s->files[c->order->files[0]];
    const char *path = cm_survey_path(s, variable);
    uint32_t parent = cm_survey_parent(s, f, variable);
    cm_variable *a = cm_group_find_variable(c->first->root, path);
    cm_variable *b = a ? cm_dataset_counterpart(ds, a) : NULL;
    if (!b || !b->array || !a->array)
        return 0;
    const cm_variable *up_a = NULL, *up_b = NULL;
    if (parent != UINT32_MAX) {
        up_a = cm_group_find_variable(c->first->root, cm_survey_path(s, parent));
        up_b = cm_group_find_variable(ds->root, cm_survey_path(s, parent));
    }
    cm_times ta, tb;
    cm_array *array = NULL;
    void *cells = NULL;
    cm_times_of(a, up_a, &ta);
    cm_times_of(b, up_b, &tb);
    int64_t lo[CM_MAX_DIMS] = {0}, n = cm_shape_nelem(b->ndim, b->array->shape);
    int axis, rc = cm_match_axis(a, s->dimension, &axis, err);
    if (rc == 0)
        rc = cm_times_array(a, &ta, b, &tb, &array, err);
    if (rc == 0 && axis < 0) {
        size_t odd = 1;
        rc = cm_same_arrays(s->ctx, a->array, &array, 1, &odd, err);
        if (rc == 0 && odd == 0)
            rc = cm_join_refuse(b, "--static first takes the first file's", err,
                                "the values differ from those in %s", cm_join_file(a));
    } else if (rc == 0 && array != b->array && n > 0 && n <= EAGER_CELLS) {
        cells = cm_calloc((size_t)n, array->dtype.size, err);
        rc = cells ? cm_array_read(s->ctx, array, lo, array->shape, cells, NULL, NULL, err)
                   : CM_ENOMEM;
    }
    if (rc)
        cm_error_variable(err, b->path);
    free(cells);
    cm_array_unref(array);
    return rc;
}

static int keep_conversion(conversion *c, size_t file, const cm_error *why, cm_error *err)
{
    cm_survey_agreement *a = c->out;
    pthread_mutex_lock(&c->s->lock);
    int rc = cm_grow(&a->conversions, &c->capacity, a->nconversions + 1, sizeof *why, err);
    if (rc == 0)
        rc = cm_grow(&a->conversion_files, &c->files_capacity, a->nconversions + 1,
                     sizeof *a->conversion_files, err);
    if (rc == 0) {
        a->conversions[a->nconversions] = *why;
        a->conversion_files[a->nconversions++] = file;
        a->joinable = false;
    }
    pthread_mutex_unlock(&c->s->lock);
    return rc;
}

static int convert_file(void *arg, int64_t index, int worker, cm_error *err)
{
    conversion *c = arg;
    cm_survey *s = c->s;
    (void)worker;
    const cm_survey_file *first = &s->files[c->order->files[0]];
    size_t k = c->order->files[index];
    cm_dataset *ds = NULL;
    cm_error why;
    int rc = 0;
    cm_error_clear(&why);
    for (size_t i = 0; rc == 0 && i < first->n; i++) {
        uint32_t variable = first->entries[i].variable;
        const cm_survey_entry *theirs = cm_survey_entry_of(&s->files[k], variable);
        if (!c->out->converts[variable] || !theirs || c->out->clash[theirs->form])
            continue;
        if (!ds)
            rc = cm_survey_open(s, k, &ds, &why);
        if (rc == 0)
            rc = convert(c, ds, variable, &why);
    }
    cm_error_object(&why, s->uris[k]);
    cm_dataset_free(ds);
    if (rc == CM_ENOMEM || rc == CM_ECANCEL) {
        if (err)
            *err = why;
        return rc;
    }
    return rc ? keep_conversion(c, k, &why, err) : 0;
}

static int try_conversions(cm_survey *s, const cm_survey_order *o, cm_survey_agreement *a,
                           cm_error *err)
{
    bool some = false;
    for (size_t i = 0; i < s->paths.n; i++)
        some = some || a->converts[i];
    if (!some)
        return 0;
    conversion c = {.s = s, .order = o, .out = a};
    cm_pool *pool = cm_context_pool(s->ctx);
    cm_error why;
    cm_error_clear(&why);
    int rc = cm_survey_open(s, o->files[0], &c.first, &why);
    if (rc && rc != CM_ENOMEM && rc != CM_ECANCEL)
        return keep_conversion(&c, o->files[0], &why, err);
    if (rc && err)
        *err = why;
    if (rc == 0)
        rc =
            cm_pool_for(pool, s->ctx, (int64_t)o->n, cm_pool_size(pool) + 1, convert_file, &c, err);
    cm_dataset_free(c.first);
    return rc;
}

/* ---------------------------------------------------------------------------------------------- */

int cm_survey_agree(cm_survey *s, const cm_survey_order *o, cm_survey_agreement *a, cm_error *err)
{
    *a = (cm_survey_agreement){.joinable = o->n == s->n && o->n > 0 && (s->dimension || s->n == 1)};
    a->clash = cm_calloc(s->nforms, sizeof *a->clash, err);
    a->kinds = cm_calloc(o->n, sizeof *a->kinds, err);
    a->models = cm_calloc(CM_MOST_KINDS, sizeof *a->models, err);
    a->converts = cm_calloc(s->paths.n, sizeof *a->converts, err);
    if (!a->clash || !a->kinds || !a->models || !a->converts)
        return CM_ENOMEM;
    for (size_t k = 0; k < s->n; k++)
        a->joinable = a->joinable && !s->files[k].problem;
    for (size_t i = 0; s->n > 1 && i < o->nevents; i++)
        a->joinable = a->joinable && o->events[i].kind >= CM_EVENT_GAP;
    int rc = o->n ? find_kinds(s, o, a, err) : 0;
    if (rc == 0 && o->n && s->n > 1)
        rc = compare_with_first(s, o, a, err);
    else if (rc == 0 && o->n)
        for (size_t i = 0; i < s->nforms; i++)
            if (!s->forms[i].v->array) {
                a->clash[i] |= CM_CLASH_UNREADABLE;
                a->joinable = false;
            }
    if (rc == 0 && o->n > 1 && s->dimension)
        rc = try_conversions(s, o, a, err);
    return rc;
}

void cm_survey_agreement_deinit(cm_survey_agreement *a)
{
    free(a->clash);
    free(a->kinds);
    free(a->models);
    free(a->converts);
    free(a->conversions);
    free(a->conversion_files);
    *a = (cm_survey_agreement){0};
}
