/* join/survey_read.c: the pass over the files.
 *
 * Each worker opens a file, looks at its variables one by one, enters what it found under the lock
 * and closes it. So open files are as many as workers, and what stays is entries and forms.
 *
 * What is wrong with a file is kept with it and the pass goes on. Only what would be wrong with
 * every file (memory, an interruption) ends it. A file that is out of memory because others are
 * open beside it is looked at again alone (cm_pool_for_fit): it goes on after the variable that it
 * had got to, since what was entered was counted.
 *
 * The joined dimension must be known before, as a variable's form depends on it. Mostly the first
 * file tells, by its unlimited dimension; where it does not, the files are asked before, in a pass
 * of its own.
 */
#include <stdlib.h>
#include <string.h>

#include "base/context_private.h"
#include "base/memory.h"
#include "format/tables/tables_list.h"
#include "join/dimension.h"
#include "join/match.h"
#include "join/rebuild.h"
#include "join/survey.h"

enum { LONGEST_KEY = 1 << 26 };

static bool has_named(const cm_group *g, const char *name)
{
    bool found = false;
    for (size_t i = 0; i < g->nvariables && !found; i++) {
        const cm_variable *v = g->variables[i];
        found = !strcmp(v->name, name) || !strcmp(v->path, name) || !strcmp(v->path + 1, name);
    }
    for (size_t i = 0; i < g->ngroups && !found; i++)
        found = has_named(g->groups[i], name);
    return found;
}

/* Files that are merged need not have what is chosen by name. *kept: borrowed names. */
static int names_for(const cm_dataset *ds, const char *const *names, size_t n, const char ***kept,
                     size_t *nkept, cm_error *err)
{
    *nkept = 0;
    if (!(*kept = cm_calloc(n + 1, sizeof **kept, err)))
        return CM_ENOMEM;
    for (size_t i = 0; i < n; i++)
        if (has_named(ds->root, names[i]))
            (*kept)[(*nkept)++] = names[i];
    return 0;
}

static int select_part(const cm_survey *s, cm_dataset *ds, cm_dataset **out, cm_error *err)
{
    cm_select_options o = s->options->select;
    const char **variables = NULL, **skip = NULL;
    int rc = 0;
    if (s->options->join && s->options->join->merge) {
        rc = names_for(ds, o.variables, o.nvariables, &variables, &o.nvariables, err);
        if (rc == 0)
            rc = names_for(ds, o.skip, o.nskip, &skip, &o.nskip, err);
        if (rc == 0 && s->options->select.nvariables && o.nvariables == 0)
            rc = cm_error_set(err, CM_EINVAL, "it has none of the variables that are chosen");
        o.variables = variables;
        o.skip = skip;
    }
    if (rc == 0)
        rc = cm_dataset_select(s->ctx, ds, &o, out, err);
    free(variables);
    free(skip);
    return rc;
}

int cm_survey_open(const cm_survey *s, size_t k, cm_dataset **out, cm_error *err)
{
    cm_dataset *ds = NULL, *part = NULL;
    *out = NULL;
    int rc = cm_tables_list_open(s->sources, k, &ds, err);
    if (rc == 0 && s->options->select_any) {
        rc = select_part(s, ds, &part, err);
        cm_dataset_free(ds);
        ds = part;
    }
    if (rc)
        cm_error_object(err, s->uris[k]);
    else
        *out = ds;
    return rc;
}

const cm_survey_entry *cm_survey_entry_of(const cm_survey_file *f, uint32_t variable)
{
    if (variable < f->n && f->entries[variable].variable == variable)
        return &f->entries[variable]; /* the usual case: all files have one order */
    for (size_t i = 0; i < f->n; i++)
        if (f->entries[i].variable == variable)
            return &f->entries[i];
    return NULL;
}

const char *cm_survey_path(const cm_survey *s, uint32_t variable)
{
    const char *path = cm_keys_at(&s->paths, variable, NULL);
    for (size_t i = 0; !path[0] && i < s->nforms; i++)
        if (s->forms[i].variable == variable)
            return s->forms[i].v->path;
    return path;
}

/* ---- one file -------------------------------------------------------------------------------- */

static bool ends_all(int rc)
{
    return rc == CM_ENOMEM || rc == CM_ECANCEL;
}

static int keep_problem(cm_survey_file *f, const cm_error *why, cm_error *err)
{
    if (f->problem)
        return 0;
    f->problem = cm_memdup(why, sizeof *why, err);
    return f->problem ? 0 : CM_ENOMEM;
}

static int add_extent(cm_survey *s, cm_survey_file *f, cm_dataset *ds, const cm_variable *v,
                      const cm_survey_entry *entry, cm_error *err)
{
    cm_extent e;
    if (!v->array || !s->dimension || strcmp(v->name, s->dimension) != 0 || !cm_extent_orders(v))
        return 0;
    int rc = cm_extents_read(s->ctx, &ds, 1, v, &e, err);
    cm_extent *grown = rc ? NULL : cm_realloc(f->extents, f->nextents + 1, sizeof e, err);
    if (!grown)
        return rc ? rc : CM_ENOMEM;
    f->extents = grown;
    uint32_t *of = cm_realloc(f->extent_variables, f->nextents + 1, sizeof *of, err);
    if (!of)
        return CM_ENOMEM;
    f->extent_variables = of;
    pthread_mutex_lock(&s->lock); /* the forms may move meanwhile */
    e.v = s->forms[entry->form].v;
    rc = cm_survey_pin(s, sizeof e + sizeof *of, err);
    pthread_mutex_unlock(&s->lock);
    cm_times_of(e.v, NULL, &e.times);
    f->extents[f->nextents] = e;
    f->extent_variables[f->nextents++] = entry->variable;
    return rc;
}

/* *soft: what is wrong concerns this file only. */
static int look_at_variable(cm_survey *s, size_t k, cm_dataset *ds, cm_variable *v,
                            cm_survey_look *look, bool *soft, cm_error *err)
{
    cm_survey_file *f = &s->files[k];
    cm_survey_entry *entry = &f->entries[f->n];
    cm_error why;
    cm_error_clear(&why);
    *soft = true;
    int rc = cm_survey_look_at(s, v, look, &why), entered;
    if (rc && (ends_all(rc) || rc == CM_ELIMIT)) {
        if (err)
            *err = why;
        return rc;
    }
    if (rc) { /* it has a form of its own, with the reason */
        cm_error_object(&why, s->uris[k]);
        cm_error_variable(&why, v->path);
        entered = keep_problem(f, &why, err);
        if (entered == 0)
            entered = cm_buffer_append(&look->key, why.message, strlen(why.message), err);
        if (entered)
            return entered;
    }
    pthread_mutex_lock(&s->lock);
    rc = cm_survey_enter(s, v, look, (uint32_t)k, &entry->form, err);
    if (rc == 0)
        entry->variable = s->forms[entry->form].variable;
    pthread_mutex_unlock(&s->lock);
    entry->length = look->length;
    if (rc) {
        *soft = false;
        return rc;
    }
    f->n++;
    cm_error_clear(&why);
    rc = add_extent(s, f, ds, v, entry, &why);
    if (rc && ends_all(rc)) {
        if (err)
            *err = why;
        return rc;
    }
    return rc ? keep_problem(f, &why, err) : 0;
}

/* Say that all chunk indexes will be read: their roots are then fetched together. */
static void want_indexes(cm_variable *const *list, size_t i, size_t n)
{
    for (; i < n; i++)
        if (list[i]->array && cm_survey_is_stored(list[i]->array))
            cm_chunked_want(list[i]->array);
}

static int look_at_file(cm_survey *s, size_t k, cm_dataset *ds, bool *soft, cm_error *err)
{
    cm_survey_file *f = &s->files[k];
    cm_survey_look look = {0};
    cm_variable **list = NULL;
    size_t n = 0;
    cm_buffer_init(&look.key, LONGEST_KEY);
    cm_buffer_init(&look.set, LONGEST_KEY);
    int rc = cm_rebuild_list(ds->root, &list, &n, err);
    if (rc == 0 && !f->entries && !(f->entries = cm_calloc(n, sizeof *f->entries, err)))
        rc = CM_ENOMEM;
    if (rc == 0)
        want_indexes(list, f->n, n);
    for (size_t i = f->n; rc == 0 && i < n; i++)
        rc = look_at_variable(s, k, ds, list[i], &look, soft, err);
    if (rc == 0) {
        pthread_mutex_lock(&s->lock);
        rc = cm_survey_enter_groups(s, ds->root, (uint32_t)k, &look.key, err);
        if (rc == 0)
            rc = cm_survey_pin(s, sizeof *f + n * sizeof *f->entries, err);
        pthread_mutex_unlock(&s->lock);
        *soft = rc == 0;
    }
    f->opened = rc == 0;
    cm_buffer_deinit(&look.key);
    cm_buffer_deinit(&look.set);
    free(list);
    return rc;
}

static int read_one(void *arg, int64_t index, int worker, cm_error *err)
{
    cm_survey *s = arg;
    size_t k = (size_t)index;
    cm_dataset *ds = NULL;
    bool soft = true;
    cm_error why;
    cm_error_clear(&why);
    int rc = cm_survey_open(s, k, &ds, &why);
    if (rc == 0)
        rc = look_at_file(s, k, ds, &soft, &why);
    cm_dataset_free(ds);
    if (rc && (ends_all(rc) || !soft || (rc == CM_ELIMIT && worker != CM_ALONE))) {
        if (err)
            *err = why;
        return rc;
    }
    cm_context_progress_add(s->ctx, 1);
    if (rc == 0)
        return 0;
    return keep_problem(&s->files[k], &why, err);
}

/* ---- the dimension --------------------------------------------------------------------------- */

/* The first file that opens; *at is n when none does. The others' problems are found again. */
static int open_first(cm_survey *s, size_t *at, cm_dataset **out, cm_error *err)
{
    cm_error why;
    int rc = 0;
    *out = NULL;
    for (*at = 0; *at < s->n; ++*at) {
        cm_error_clear(&why);
        rc = cm_survey_open(s, *at, out, &why);
        if (rc == 0)
            return 0;
        if (ends_all(rc)) {
            if (err)
                *err = why;
            return rc;
        }
        if (*at == 0)
            s->undecided = why;
    }
    if (s->undecided.code != CM_EINVAL)
        return 0;
    if (err) /* a mistake in what was asked for, and not in all of the files */
        *err = s->undecided;
    return CM_EINVAL;
}

/* The files after the first that opens, each open only for its call. */
typedef struct others {
    cm_survey *s;
    size_t first;
    cm_file_fn fn;
    void *arg;
} others;

static int ask_one(void *arg, int64_t index, int worker, cm_error *err)
{
    const others *o = arg;
    cm_dataset *ds = NULL;
    cm_error why;
    cm_error_clear(&why);
    (void)worker;
    cm_context_progress_add(o->s->ctx, 1);
    if ((size_t)index <= o->first)
        return 0;
    int rc = cm_survey_open(o->s, (size_t)index, &ds, &why);
    if (rc && !ends_all(rc))
        return 0; /* that it does not open is found again */
    if (rc && err)
        *err = why;
    if (rc == 0)
        rc = o->fn(o->arg, ds, err);
    cm_dataset_free(ds);
    return rc;
}

static int ask_others(void *user, cm_file_fn fn, void *arg, cm_error *err)
{
    others o = *(others *)user;
    cm_pool *pool = cm_context_pool(o.s->ctx);
    o.fn = fn;
    o.arg = arg;
    cm_context_progress_count(o.s->ctx, "find the dimension", "", "files", (int64_t)o.s->n);
    return cm_pool_for(pool, o.s->ctx, (int64_t)o.s->n, cm_pool_size(pool) + 1, ask_one, &o, err);
}

static int find_dimension(cm_survey *s, cm_error *err)
{
    cm_dataset *first = NULL;
    const char *name = NULL;
    cm_error why;
    size_t at;
    cm_error_clear(&why);
    int rc = open_first(s, &at, &first, err);
    if (rc || at == s->n)
        return rc;
    cm_error_clear(&s->undecided);
    cm_join_options join;
    cm_join_options_init(&join);
    join.concat = s->options->concat;
    others o = {.s = s, .first = at};
    rc = cm_order_dimension_among(s->ctx, first, ask_others, &o, &join, &name, &why);
    if (rc == 0 && name && !(s->dimension = cm_strdup(name, err)))
        rc = CM_ENOMEM;
    else if (rc == CM_EINVAL || ends_all(rc) || rc == CM_ELIMIT) {
        if (err)
            *err = why;
    } else if (rc) {
        s->undecided = why;
        rc = 0;
    }
    cm_dataset_free(first);
    return rc;
}

int cm_survey_read(cm_survey *s, cm_error *err)
{
    cm_pool *pool = cm_context_pool(s->ctx);
    int rc = find_dimension(s, err);
    cm_context_progress_count(s->ctx, "survey", "", "files", (int64_t)s->n);
    if (rc == 0)
        rc = cm_pool_for_fit(pool, s->ctx, (int64_t)s->n, cm_pool_size(pool) + 1, read_one, s, err);
    return rc;
}
