/* join/survey_form.c: a variable of an open file becomes a key, and the key a stand-in.
 *
 * The key is all that joining or referring to the variable depends on, one thing after the other,
 * each with its length or an end: type, dimensions, packing, units, calendar, bounds; how it is
 * stored; a hash of its values if it is static. It is finer than what must agree (two spellings of
 * one unit are two forms), which costs nothing, since the rules themselves are then asked once for
 * two forms and not for two files.
 *
 * The length along the joined dimension stays out: files of every length there is are alike.
 *
 * Other attributes do not matter to anybody but are told: owner and attributes together are one
 * key in s->sets, which is taken apart at the end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array/compose.h"
#include "array/told.h"
#include "base/bytes.h"
#include "base/context_private.h"
#include "base/hash128.h"
#include "base/memory.h"
#include "cf/packing.h"
#include "cf/roles.h"
#include "join/match.h"
#include "join/survey.h"

enum { LONG_TEXT = 160 };

/* ---- keys ------------------------------------------------------------------------------------ */

static int put(cm_buffer *key, const void *data, size_t nbytes, cm_error *err)
{
    return cm_buffer_append(key, data, nbytes, err);
}

static int put_int(cm_buffer *key, int64_t n, cm_error *err)
{
    return put(key, &n, sizeof n, err);
}

static int put_text(cm_buffer *key, const char *text, cm_error *err)
{
    return text ? put(key, text, strlen(text) + 1, err) : put(key, "\1", 2, err);
}

/* A value as JSON text, cut where it is long: then its hash is put after it. */
static int put_value(cm_buffer *key, const cm_json *v, cm_error *err)
{
    char *text = NULL;
    size_t nbytes = 0;
    const char *number = cm_json_number_text(v);
    if (number)
        return put_text(key, number, err);
    int rc = cm_json_write(v, 0, &text, &nbytes, err);
    if (rc == 0 && nbytes > LONG_TEXT) {
        char cut[64];
        size_t n = LONG_TEXT;
        while (n > 0 && ((uint8_t)text[n] & 0xc0) == 0x80)
            n--;
        snprintf(cut, sizeof cut, "... (%zu bytes, %016llx)", nbytes,
                 (unsigned long long)cm_hash64(text, nbytes));
        rc = put(key, text, n, err);
        if (rc == 0)
            rc = put_text(key, cut, err);
    } else if (rc == 0) {
        rc = put(key, text, nbytes + 1, err);
    }
    free(text);
    return rc;
}

static bool matters(const char *name)
{
    for (const char *const *p = cm_packing_attributes; *p; p++)
        if (strcmp(*p, name) == 0)
            return true;
    return strcmp(name, "units") == 0 || strcmp(name, "calendar") == 0;
}

static int put_attributes(const cm_variable *v, cm_survey_look *look, cm_error *err)
{
    int rc = put_text(&look->set, v->path, err);
    for (size_t i = 0; rc == 0 && i < cm_variable_nattributes(v); i++) {
        const cm_attribute *a = cm_variable_attribute(v, i);
        cm_buffer *to = matters(a->name) ? &look->key : &look->set;
        rc = put_text(to, a->name, err);
        if (rc == 0)
            rc = put_value(to, a->value, err);
    }
    const cm_variable *bounds = cm_cf_bounds_of(v);
    if (rc == 0)
        rc = put_text(&look->key, bounds ? bounds->path : NULL, err);
    return rc;
}

static int put_meaning(const cm_survey *s, const cm_variable *v, cm_survey_look *look,
                       cm_error *err)
{
    char name[CM_DTYPE_NAME];
    cm_form *f = &look->form;
    cm_error twice;
    cm_error_clear(&twice);
    if (cm_match_axis(v, s->dimension, &f->axis, &twice))
        f->axis = CM_FORM_TWICE;
    int rc = put_text(&look->key, cm_dtype_name(v->array->dtype, name, sizeof name), err);
    if (rc == 0)
        rc = put_int(&look->key, v->ndim, err);
    for (int i = 0; rc == 0 && i < v->ndim; i++) {
        rc = put_text(&look->key, v->dimensions[i], err);
        if (rc == 0)
            rc = put_int(&look->key, i == f->axis ? -1 : v->array->shape[i], err);
    }
    if (f->axis >= 0) {
        const cm_dimension *d = cm_group_scope_dimension(v->group, s->dimension);
        look->length = v->array->shape[f->axis];
        f->declared = d != NULL;
        f->excess = d ? look->length - d->length : 0;
    }
    if (rc == 0)
        rc = put_int(&look->key, f->declared ? f->excess : INT64_MIN, err);
    return rc;
}

bool cm_survey_is_stored(const cm_array *a)
{
    return cm_array_is_chunked(a) && !cm_chunked_is_irregular(a);
}

/* ---- storage --------------------------------------------------------------------------------- */

static int look_at_chunks(const cm_array *a, unsigned *odd, cm_error *err)
{
    int64_t grid[CM_MAX_DIMS], at[CM_MAX_DIMS] = {0};
    bool filters = cm_chunked_chain(a)->nstages > 0;
    cm_location loc;
    int rc = 0;
    for (int i = 0; i < a->ndim; i++)
        if ((grid[i] = cm_ceil_div(a->shape[i], cm_chunked_chunk(a)[i])) < 1)
            return 0;
    do {
        loc.where = CM_AT_NOWHERE;
        loc.skip_mask = 0;
        rc = cm_chunked_locate(a, at, &loc, err);
        if (rc == 0 && loc.where == CM_AT_OBJECT) {
            cm_object_version version;
            cm_error why;
            cm_error_clear(&why);
            cm_store *store = cm_chunked_store(a);
            if (store->vt->stat(store, loc.key, &version, &why) == CM_ENOTFOUND)
                loc.where = CM_AT_NOWHERE;
        }
        if (rc == 0 && loc.where == CM_AT_NOWHERE)
            *odd |= CM_TOLD_UNWRITTEN;
        else if (rc == 0 && loc.skip_mask && filters)
            *odd |= CM_TOLD_MASK;
    } while (rc == 0 && cm_next(a->ndim, grid, at));
    return rc;
}

/* Do the cells of contiguous data reach beyond the end of the file? */
static bool is_truncated(const cm_array *a, uint64_t offset, const int64_t *strides, uint64_t limit)
{
    uint64_t end, step;
    if (cm_shape_nelem(a->ndim, a->shape) == 0)
        return false;
    if (!cm_add_u64(offset, cm_chunked_chain(a)->stored_size, &end))
        return true;
    for (int i = 0; i < a->ndim; i++)
        if (!cm_mul_u64((uint64_t)a->shape[i] - 1, (uint64_t)strides[i], &step) ||
            !cm_add_u64(end, step, &end))
            return true;
    return end > limit;
}

static int put_chunked(const cm_array *a, cm_survey_look *look, cm_error *err)
{
    uint64_t offset, limit;
    const int64_t *strides;
    const cm_chain *c = cm_chunked_chain(a);
    cm_form *f = &look->form;
    cm_buffer *key = &look->key;
    size_t nbytes = (size_t)a->ndim * sizeof(int64_t);
    int rc = put_int(key, c->big_endian | (int)c->a2b << 1, err);
    if (rc == 0)
        rc = put_int(key, c->stored_size, err);
    if (rc == 0 && !cm_kind_is_vlen(a->dtype.kind))
        rc = put(key, a->fill, a->dtype.size, err);
    if (rc)
        return rc;
    if (cm_table_is_strided(cm_chunked_table(a), &offset, &strides, &limit)) {
        f->truncated = is_truncated(a, offset, strides, limit);
        rc = put_int(key, 's' + f->truncated, err);
        return rc ? rc : put(key, strides, nbytes, err);
    }
    rc = look_at_chunks(a, &f->odd, err);
    if (rc == 0)
        rc = put_int(key, 'a' + (int)f->odd, err);
    if (rc == 0)
        rc = put(key, cm_chunked_chunk(a), nbytes, err);
    char *text = rc ? NULL : cm_chain_text(c, err);
    if (rc == 0)
        rc = text ? put_text(key, text, err) : CM_ENOMEM;
    free(text);
    return rc;
}

static int put_storage(const cm_variable *v, cm_survey_look *look, cm_error *err)
{
    const cm_array *a = v->array;
    int rc = put_text(&look->key, a->vt->kind, err);
    if (rc == 0)
        rc = put_text(&look->key, v->storage.codecs, err);
    if (rc == 0)
        rc = put_text(&look->key, v->storage.stored_dtype, err);
    if (rc == 0 && cm_survey_is_stored(a))
        rc = put_chunked(a, look, err);
    else if (rc == 0 && cm_array_map_source(a) && cm_survey_is_stored(cm_array_map_source(a)))
        rc = put_text(&look->key, "changed", err);
    else if (rc == 0) /* made of others: like no other file's */
        rc = put(&look->key, &a, sizeof a, err);
    return rc;
}

int cm_survey_look_at(cm_survey *s, const cm_variable *v, cm_survey_look *look, cm_error *err)
{
    cm_form *f = &look->form;
    *f = (cm_form){.axis = CM_FORM_STATIC, .bounds = UINT32_MAX};
    look->key.nbytes = look->set.nbytes = 0;
    look->length = 0;
    int rc = put_text(&look->key, v->group->dataset->is_array ? "" : v->path, err);
    if (rc == 0 && !v->array) {
        rc = put_text(&look->set, v->path, err);
        if (rc == 0)
            rc = put_text(&look->key, v->problem ? v->problem->message : "", err);
        return rc ? rc : put_int(&look->key, -1, err);
    }
    if (rc == 0)
        rc = put_meaning(s, v, look, err);
    if (rc == 0)
        rc = put_attributes(v, look, err);
    if (rc == 0)
        rc = put_storage(v, look, err);
    if (rc == 0 && s->dimension && f->axis == CM_FORM_STATIC && !s->options->static_first) {
        f->hashed = true;
        rc = cm_survey_hash(s, v, &look->key, f->values, err);
        if (rc == 0)
            rc = put(&look->key, f->values, sizeof f->values, err);
    }
    return rc;
}

/* ---- stand-ins ------------------------------------------------------------------------------- */

static int no_cells(const cm_map *map, const void *src, void *dst, int64_t n, cm_arena *arena,
                    cm_error *err)
{
    (void)map, (void)src, (void)dst, (void)n, (void)arena;
    return cm_error_set(err, CM_EUNSUP, "a stand-in has no cells");
}

int cm_survey_changed(cm_array *a, cm_array **out, cm_error *err)
{
    return cm_array_map(a, a->dtype, no_cells, NULL, NULL, a->fill, out, err);
}

const cm_array *cm_survey_changed_source(const cm_array *a)
{
    return cm_array_map_source(a);
}

int cm_survey_stand_in(const cm_form *f, cm_array *a, int64_t length, cm_array **out, cm_error *err)
{
    int64_t shape[CM_MAX_DIMS];
    cm_array *source = cm_array_map_source(a), *stored = source ? source : a;
    if (!cm_survey_is_stored(stored)) {
        *out = cm_array_ref(a);
        return 0;
    }
    memcpy(shape, a->shape, (size_t)a->ndim * sizeof *shape);
    if (f->axis >= 0)
        shape[f->axis] = length;
    int rc = cm_array_tell(stored, shape, f->odd, f->truncated, &stored, err);
    if (rc || !source) {
        *out = rc ? NULL : stored;
        return rc;
    }
    rc = cm_array_map(stored, a->dtype, no_cells, NULL, NULL, a->fill, out, err);
    cm_array_unref(stored);
    return rc;
}

static int stand_in(cm_survey *s, const cm_variable *v, const cm_form *f, cm_variable **out,
                    cm_error *err)
{
    cm_array *array = NULL;
    int rc = cm_variable_new(s->stands->root, v->name, v->path, out, err);
    cm_variable *made = *out;
    if (rc == 0 && !v->array) {
        made->problem = cm_memdup(v->problem, sizeof *v->problem, err);
        return made->problem ? 0 : CM_ENOMEM;
    }
    if (rc == 0)
        rc = cm_survey_stand_in(f, v->array, f->axis < 0 ? 0 : v->array->shape[f->axis], &array,
                                err);
    if (rc)
        return rc;
    cm_variable_set_array(made, array);
    for (int i = 0; rc == 0 && i < v->ndim; i++)
        rc = cm_variable_set_dimension(made, i, v->dimensions[i], err);
    for (size_t i = 0; rc == 0 && i < cm_variable_nattributes(v); i++) {
        const cm_attribute *a = cm_variable_attribute(v, i);
        if (!matters(a->name))
            continue;
        cm_json *value = cm_json_copy(s->stands->doc, a->value);
        rc = value ? cm_variable_add_attribute(made, a->name, value, a->dtype, err)
                   : cm_error_set(err, CM_ENOMEM, "out of memory for attribute %s", a->name);
    }
    const cm_storage *st = &v->storage;
    if (rc == 0)
        rc = cm_variable_set_storage(made, v->ndim, st->chunks, st->shards, st->codecs,
                                     st->stored_dtype, st->raw, err);
    return rc;
}

/* Stored alike, as far as decoding goes? The text of a chain does not show everything. */
static bool same_chain(const cm_variable *a, const cm_variable *b)
{
    uint64_t offset, limit;
    const int64_t *strides;
    if (!a->array || !b->array || !cm_survey_is_stored(a->array) ||
        !cm_survey_is_stored(b->array) ||
        cm_table_is_strided(cm_chunked_table(a->array), &offset, &strides, &limit))
        return true;
    return cm_chain_identical(cm_chunked_chain(a->array), cm_chunked_chain(b->array));
}

/* What is there for good, so that the budget knows. */
int cm_survey_pin(cm_survey *s, uint64_t nbytes, cm_error *err)
{
    s->held += nbytes;
    uint64_t all = s->held + s->paths.nbytes + s->keys.nbytes + s->sets.nbytes + s->encoded.nbytes;
    if (all <= s->pinned)
        return 0;
    uint64_t step = all - s->pinned + (1 << 20);
    if (!cm_budget_pin(cm_context_budget(s->ctx), step)) {
        cm_error_set(err, CM_ELIMIT, "no memory left for what the files hold (%.1f MB)",
                     (double)all / 1e6);
        cm_error_hint(err, "give more with --max-mem");
        return CM_ELIMIT;
    }
    s->pinned += step;
    return 0;
}

/* The set's count goes up. */
static int count_set(cm_survey *s, const cm_buffer *set, uint32_t file, cm_error *err)
{
    uint32_t number;
    bool added;
    int rc = cm_keys_add(&s->sets, set->data, set->nbytes, &number, &added, err);
    if (rc == 0 && added) {
        rc = cm_grow(&s->set_counts, &s->set_capacity, s->sets.n, sizeof *s->set_counts, err);
        if (rc == 0)
            rc = cm_grow(&s->set_examples, &s->example_capacity, s->sets.n, sizeof *s->set_examples,
                         err);
        if (rc == 0) {
            s->set_counts[number] = 0;
            s->set_examples[number] = file;
        }
    }
    if (rc)
        return rc;
    s->set_counts[number]++;
    if (file < s->set_examples[number])
        s->set_examples[number] = file;
    return 0;
}

static int new_form(cm_survey *s, const cm_variable *v, const cm_form *f, uint32_t file,
                    cm_error *err)
{
    const char *path = v->group->dataset->is_array ? "" : v->path;
    if (cm_grow(&s->forms, &s->forms_capacity, s->nforms + 1, sizeof *s->forms, err))
        return CM_ENOMEM;
    cm_form *made = &s->forms[s->nforms++];
    *made = *f;
    made->v = NULL;
    made->count = 0;
    made->example = file;
    int rc = cm_keys_add(&s->paths, path, strlen(path), &made->variable, NULL, err);
    const cm_variable *bounds = rc || !v->array ? NULL : cm_cf_bounds_of(v);
    if (rc == 0 && bounds)
        rc = cm_keys_add(&s->paths, bounds->path, strlen(bounds->path), &made->bounds, NULL, err);
    if (rc == 0)
        rc = stand_in(s, v, f, &made->v, err);
    return rc ? rc : cm_survey_pin(s, sizeof *made + 3072, err);
}

static int enter(cm_survey *s, const cm_variable *v, cm_survey_look *look, uint32_t file,
                 uint32_t *form, cm_error *err)
{
    bool added;
    int rc = cm_keys_add(&s->keys, look->key.data, look->key.nbytes, form, &added, err);
    if (rc == 0 && added)
        rc = new_form(s, v, &look->form, file, err);
    else if (rc == 0 && !same_chain(s->forms[*form].v, v)) {
        rc = put_int(&look->key, (int64_t)*form, err);
        return rc ? rc : enter(s, v, look, file, form, err);
    }
    if (rc)
        return rc;
    cm_form *f = &s->forms[*form];
    f->count++;
    f->example = file < f->example ? file : f->example;
    return count_set(s, &look->set, file, err);
}

/* Another worker must not find half of what was entered. */
static int guard(cm_survey *s, int rc, const cm_error *why, cm_error *err)
{
    if (rc && !s->broken.code)
        s->broken = *why;
    if (rc && err)
        *err = *why;
    return rc;
}

int cm_survey_enter(cm_survey *s, const cm_variable *v, cm_survey_look *look, uint32_t file,
                    uint32_t *form, cm_error *err)
{
    cm_error why = s->broken;
    return guard(s, why.code ? why.code : enter(s, v, look, file, form, &why), &why, err);
}

static int enter_groups(cm_survey *s, const cm_group *g, uint32_t file, cm_buffer *scratch,
                        cm_error *err)
{
    scratch->nbytes = 0;
    int rc = put(scratch, g->path, strlen(g->path), err);
    if (rc == 0)
        rc = put_text(scratch, "@", err);
    for (size_t i = 0; rc == 0 && i < cm_group_nattributes(g); i++) {
        const cm_attribute *a = cm_group_attribute(g, i);
        rc = put_text(scratch, a->name, err);
        if (rc == 0)
            rc = put_value(scratch, a->value, err);
    }
    if (rc == 0)
        rc = count_set(s, scratch, file, err);
    for (size_t i = 0; rc == 0 && i < g->ngroups; i++)
        rc = enter_groups(s, g->groups[i], file, scratch, err);
    return rc;
}

int cm_survey_enter_groups(cm_survey *s, const cm_group *g, uint32_t file, cm_buffer *scratch,
                           cm_error *err)
{
    cm_error why = s->broken;
    return guard(s, why.code ? why.code : enter_groups(s, g, file, scratch, &why), &why, err);
}
