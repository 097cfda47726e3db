/* verify/diff.c: comparing datasets: pairing variables by path, and the result as JSON.
 *
 * What cannot be compared is an error, what can be and differs is a result. Variables come in the
 * order of a, those that only b has after them. Shapes and dtypes that differ leave nothing to
 * compare; dimension names that differ are said, and the values are compared all the same.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "chunkmill/verify.h"
#include "dataset/dataset_private.h"
#include "text/number_text.h"
#include "verify/diff_array.h"

typedef struct cm_diff_run {
    cm_context *ctx;
    cm_dataset *a, *b;
    const cm_diff_options *options;
    cm_json_doc *doc;
    cm_json *variables, *attributes;
    bool equal;
} diff_run;

void cm_diff_options_init(cm_diff_options *options)
{
    *options = (cm_diff_options){.attributes = false};
}

static int no_memory(cm_error *err)
{
    return cm_error_set(err, CM_ENOMEM, "out of memory");
}

/* ---- attributes ------------------------------------------------------------------------------ */

static const cm_attribute *named(const cm_attributes *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].name, name) == 0)
            return &list->items[i];
    return NULL;
}

static int report_attribute(diff_run *d, const char *path, const char *name, const cm_json *a,
                            const cm_json *b, cm_error *err)
{
    cm_json *o = cm_json_new_object(d->doc);
    d->equal = false;
    if (cm_json_set_string(d->doc, o, "path", path) ||
        cm_json_set_string(d->doc, o, "name", name) ||
        cm_json_set(d->doc, o, "a", a ? cm_json_copy(d->doc, a) : cm_json_new_null(d->doc)) ||
        cm_json_set(d->doc, o, "b", b ? cm_json_copy(d->doc, b) : cm_json_new_null(d->doc)) ||
        cm_json_add(d->doc, d->attributes, o))
        return no_memory(err);
    return 0;
}

static int compare_attributes(diff_run *d, const char *path, const cm_attributes *a,
                              const cm_attributes *b, cm_error *err)
{
    int ret = 0;
    for (size_t i = 0; i < a->count && ret == 0; i++) {
        const cm_attribute *x = &a->items[i], *y = named(b, x->name);
        if (!y || !cm_json_equal(x->value, y->value))
            ret = report_attribute(d, path, x->name, x->value, y ? y->value : NULL, err);
    }
    for (size_t i = 0; i < b->count && ret == 0; i++)
        if (!named(a, b->items[i].name))
            ret = report_attribute(d, path, b->items[i].name, NULL, b->items[i].value, err);
    return ret;
}

/* The attributes of g, a group of a (or of b when a has none like it), and of those below. */
static int compare_groups(diff_run *d, const cm_group *g, bool of_a, cm_error *err)
{
    static const cm_group none;
    const cm_group *in_a = of_a ? g : cm_group_find(cm_dataset_root(d->a), g->path);
    const cm_group *in_b = of_a ? cm_group_find(cm_dataset_root(d->b), g->path) : g;
    int ret = 0;
    if (of_a || !in_a) {
        in_a = in_a ? in_a : &none;
        in_b = in_b ? in_b : &none;
        ret = compare_attributes(d, g->path, &in_a->attributes, &in_b->attributes, err);
    }
    for (size_t i = 0; i < g->ngroups && ret == 0; i++)
        ret = compare_groups(d, g->groups[i], of_a, err);
    return ret;
}

/* ---- one variable ---------------------------------------------------------------------------- */

static int append_shape(cm_buffer *t, const cm_array *a, cm_error *err)
{
    int ret = cm_buffer_append_string(t, "(", err);
    for (int i = 0; i < a->ndim && ret == 0; i++)
        ret = cm_buffer_printf(t, err, "%s%lld", i ? ", " : "", (long long)a->shape[i]);
    return ret ? ret : cm_buffer_append_string(t, ")", err);
}

static int append_dimensions(cm_buffer *t, const cm_variable *v, cm_error *err)
{
    int ret = cm_buffer_append_string(t, "(", err);
    for (int i = 0; i < v->ndim && ret == 0; i++)
        ret = cm_buffer_printf(t, err, "%s%s", i ? ", " : "",
                               v->dimensions[i] ? v->dimensions[i] : "unnamed");
    return ret ? ret : cm_buffer_append_string(t, ")", err);
}

static bool same_name(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* What differs besides values, as text in t; *comparable: values can be compared. */
static int compare_declarations(const cm_variable *a, const cm_variable *b, bool *comparable,
                                cm_buffer *t, cm_error *err)
{
    const cm_array *x = a->array, *y = b->array;
    char name[CM_DTYPE_NAME], other[CM_DTYPE_NAME];
    bool same =
        x->ndim == y->ndim && memcmp(x->shape, y->shape, (size_t)x->ndim * sizeof *x->shape) == 0;
    int ret = 0;
    *comparable = same && cm_dtype_equal(x->dtype, y->dtype);
    if (!cm_dtype_equal(x->dtype, y->dtype))
        ret =
            cm_buffer_printf(t, err, "dtype %s and %s", cm_dtype_name(x->dtype, name, sizeof name),
                             cm_dtype_name(y->dtype, other, sizeof other));
    if (ret == 0 && !same) {
        ret = cm_buffer_printf(t, err, "%sshape ", t->nbytes ? "; " : "");
        if (ret == 0)
            ret = append_shape(t, x, err);
        if (ret == 0)
            ret = cm_buffer_append_string(t, " and ", err);
        if (ret == 0)
            ret = append_shape(t, y, err);
    }
    bool names = true;
    for (int i = 0; i < x->ndim && x->ndim == y->ndim; i++)
        names &= same_name(a->dimensions[i], b->dimensions[i]);
    if (ret == 0 && !names) {
        ret = cm_buffer_printf(t, err, "%sdimensions ", t->nbytes ? "; " : "");
        if (ret == 0)
            ret = append_dimensions(t, a, err);
        if (ret == 0)
            ret = cm_buffer_append_string(t, " and ", err);
        if (ret == 0)
            ret = append_dimensions(t, b, err);
    }
    return ret;
}

static cm_json *value_json(cm_json_doc *doc, cm_dtype dtype, const void *bytes, size_t nbytes)
{
    float f;
    if (dtype.kind == CM_STRING)
        return cm_json_new_string_n(doc, bytes, nbytes);
    if (dtype.kind == CM_FLOAT32) {
        char text[40]; /* 0.1, not 0.10000000149: as the program prints values everywhere */
        memcpy(&f, bytes, sizeof f);
        if (isfinite(f))
            return cm_json_new_double(doc, cm_strtod(cm_float_text(f, text)));
    }
    if (dtype.kind == CM_BOOL || cm_kind_is_integer(dtype.kind) || cm_kind_is_float(dtype.kind) ||
        cm_kind_is_complex(dtype.kind) || cm_kind_is_time(dtype.kind))
        return cm_json_from_cells(doc, dtype, bytes, 1, true);
    char hex[2 * 32 + 6] = "0x";
    for (size_t i = 0; i < nbytes && i < 32; i++)
        snprintf(hex + 2 + 2 * i, 3, "%02x", ((const unsigned char *)bytes)[i]);
    if (nbytes > 32)
        memcpy(hex + 2 + 2 * 32, "...", sizeof "...");
    return cm_json_new_string(doc, hex);
}

static cm_json *first_json(cm_json_doc *doc, const cm_array *a, const cm_array_diff *r)
{
    cm_json *list = cm_json_new_array(doc);
    for (int i = 0; i < r->nfirst; i++) {
        const cm_found_diff *f = &r->first[i];
        int64_t index[CM_MAX_DIMS], cell = f->cell;
        for (int k = a->ndim - 1; k >= 0; k--) {
            index[k] = cell % a->shape[k];
            cell /= a->shape[k];
        }
        cm_json *o = cm_json_new_object(doc), *at = cm_json_new_array(doc);
        for (int k = 0; k < a->ndim; k++)
            if (cm_json_add(doc, at, cm_json_new_int64(doc, index[k])))
                return NULL;
        if (cm_json_set(doc, o, "index", at) ||
            cm_json_set(doc, o, "a", value_json(doc, a->dtype, f->a, f->na)) ||
            cm_json_set(doc, o, "b", value_json(doc, a->dtype, f->b, f->nb)) ||
            cm_json_add(doc, list, o))
            return NULL;
    }
    return list;
}

/* Append the result for one variable; a: whose shape counts. */
static int report_variable(diff_run *d, const char *path, const cm_array *a, const cm_array_diff *r,
                           const char *problem, cm_error *err)
{
    cm_json *o = cm_json_new_object(d->doc);
    bool equal = !problem && r->differing == 0;
    d->equal &= equal;
    if (cm_json_set_string(d->doc, o, "path", path) ||
        cm_json_set_bool(d->doc, o, "equal", equal) ||
        cm_json_set_int64(d->doc, o, "cells", r->cells) ||
        cm_json_set_int64(d->doc, o, "differing", r->differing) ||
        cm_json_set(d->doc, o, "first", first_json(d->doc, a, r)) ||
        cm_json_set(d->doc, o, "max_abs_difference",
                    r->has_max ? cm_json_new_double(d->doc, r->max_abs)
                               : cm_json_new_null(d->doc)) ||
        (problem && cm_json_set_string(d->doc, o, "problem", problem)) ||
        cm_json_add(d->doc, d->variables, o))
        return no_memory(err);
    return 0;
}

/* An unreadable variable cannot be compared. */
static int check_readable(const cm_variable *v, cm_error *err)
{
    if (v->array)
        return 0;
    if (err)
        *err = *v->problem;
    return v->problem->code;
}

static int compare_pair(diff_run *d, const cm_variable *a, const cm_variable *b, cm_error *err)
{
    cm_array_diff r = {.cells = 0};
    cm_buffer text;
    bool comparable = false;
    cm_buffer_init(&text, 64 << 10);
    int ret = compare_declarations(a, b, &comparable, &text, err);
    if (ret == 0 && comparable)
        ret = cm_array_compare(d->ctx, a->array, b->array, d->options->rtol, d->options->atol, &r,
                               err);
    else if (ret == 0)
        r.cells = cm_shape_nelem(a->array->ndim, a->array->shape);
    if (ret == 0)
        ret = cm_buffer_append(&text, "", 1, err);
    if (ret == 0)
        ret = report_variable(d, a->path, a->array, &r,
                              text.nbytes > 1 ? (const char *)text.data : NULL, err);
    if (ret == 0 && d->options->attributes)
        ret = compare_attributes(d, a->path, &a->attributes, &b->attributes, err);
    cm_buffer_deinit(&text);
    cm_array_diff_deinit(&r);
    return ret;
}

static int compare_variables(diff_run *d, const cm_group *g, bool of_a, cm_error *err)
{
    const cm_dataset *other = of_a ? d->b : d->a;
    int ret = 0;
    for (size_t i = 0; i < g->nvariables && ret == 0; i++) {
        const cm_variable *v = g->variables[i], *w = cm_dataset_counterpart(other, v);
        ret = check_readable(v, err);
        if (ret == 0 && w)
            ret = check_readable(w, err);
        if (ret == 0 && w && of_a) {
            ret = compare_pair(d, v, w, err);
        } else if (ret == 0 && !w) {
            cm_array_diff r = {.cells = cm_shape_nelem(v->array->ndim, v->array->shape)};
            ret = report_variable(d, v->path, v->array, &r,
                                  of_a ? "missing in the second" : "missing in the first", err);
        }
    }
    for (size_t i = 0; i < g->ngroups && ret == 0; i++)
        ret = compare_variables(d, g->groups[i], of_a, err);
    return ret;
}

int cm_diff(cm_context *ctx, cm_dataset *a, cm_dataset *b, const cm_diff_options *options,
            cm_json_doc **out, cm_error *err)
{
    cm_diff_options defaults;
    cm_diff_options_init(&defaults);
    diff_run d = {.ctx = ctx, .a = a, .b = b, .options = options ? options : &defaults};
    d.equal = true;
    *out = NULL;
    if (!(d.options->rtol >= 0) || !(d.options->atol >= 0))
        return cm_error_set(err, CM_EINVAL, "a tolerance is negative");
    int ret = cm_json_doc_new(0, &d.doc, err);
    if (ret)
        return ret;
    cm_json *root = cm_json_new_object(d.doc);
    d.variables = cm_json_new_array(d.doc);
    d.attributes = cm_json_new_array(d.doc);
    cm_json_doc_set_root(d.doc, root);
    ret = compare_variables(&d, cm_dataset_root(a), true, err);
    if (ret == 0)
        ret = compare_variables(&d, cm_dataset_root(b), false, err);
    if (ret == 0 && d.options->attributes)
        ret = compare_groups(&d, cm_dataset_root(a), true, err);
    if (ret == 0 && d.options->attributes)
        ret = compare_groups(&d, cm_dataset_root(b), false, err);
    if (ret == 0 && (cm_json_set_bool(d.doc, root, "equal", d.equal) ||
                     cm_json_set(d.doc, root, "variables", d.variables) ||
                     cm_json_set(d.doc, root, "attributes", d.attributes)))
        ret = no_memory(err);
    if (ret == 0) {
        *out = d.doc;
        d.doc = NULL;
    }
    cm_json_doc_free(d.doc);
    return ret;
}
