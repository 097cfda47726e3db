/* cf/roles.c: attributes that name other variables.
 *
 * All of them are lists of words between blanks; in grid_mapping, cell_measures and formula_terms a
 * word that ends in ':' is a key and the others are names:
 *     coordinates  = "lat lon"          grid_mapping = "crs" or "crsA: x y crsB: lat lon"
 *     cell_measures = "area: areacella" formula_terms = "a: a b: b ps: ps"
 * In the extended grid_mapping the keys are the mapping variables and the names are coordinates, so
 * keys are offered too; a key that names no variable (area:) is dropped like any unknown name.
 */
#include "cf/roles.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static const char *const naming[] = {
    "coordinates",   "bounds",        "climatology",         "grid_mapping",
    "cell_measures", "formula_terms", "ancillary_variables", NULL};

const char *cm_cf_text(const cm_variable *v, const char *attribute)
{
    const cm_attribute *a = cm_variable_attribute_named(v, attribute);
    return a ? cm_json_string(a->value) : NULL;
}

cm_variable *cm_cf_find(const cm_group *g, const char *name)
{
    for (; g; g = g->parent) {
        cm_variable *v = cm_group_find_variable(g, name);
        if (v)
            return v;
    }
    return NULL;
}

/* The next word of *text without a final ':', cut to size; false at the end. Longer words are
 * skipped: no variable can be meant that has such a name in a file we opened. */
static bool next_word(const char **text, char *word, size_t size)
{
    const char *p = *text;
    for (;;) {
        while (isspace((unsigned char)*p))
            p++;
        const char *begin = p;
        while (*p && !isspace((unsigned char)*p))
            p++;
        size_t n = (size_t)(p - begin);
        if (n == 0) {
            *text = p;
            return false;
        }
        if (begin[n - 1] == ':')
            n--;
        if (n == 0 || n >= size)
            continue;
        memcpy(word, begin, n);
        word[n] = 0;
        *text = p;
        return true;
    }
}

typedef struct found {
    cm_variable **items;
    size_t n, capacity;
} found;

static int add(found *f, const cm_variable *self, cm_variable *v, cm_error *err)
{
    if (!v || v == self)
        return 0;
    for (size_t i = 0; i < f->n; i++)
        if (f->items[i] == v)
            return 0;
    int rc = cm_grow(&f->items, &f->capacity, f->n + 1, sizeof(cm_variable *), err);
    if (rc == 0)
        f->items[f->n++] = v;
    return rc;
}

int cm_cf_needs(const cm_variable *v, cm_variable ***list, size_t *n, cm_error *err)
{
    found f = {0};
    char word[512];
    int rc = 0;
    for (int i = 0; rc == 0 && i < v->ndim; i++)
        if (v->dimensions[i])
            rc = add(&f, v, cm_cf_find(v->group, v->dimensions[i]), err);
    for (size_t k = 0; rc == 0 && naming[k]; k++) {
        const char *text = cm_cf_text(v, naming[k]);
        while (rc == 0 && text && next_word(&text, word, sizeof word))
            rc = add(&f, v, cm_cf_find(v->group, word), err);
    }
    if (rc) {
        free(f.items);
        f = (found){0};
    }
    *list = f.items;
    *n = f.n;
    return rc;
}

bool cm_cf_is_coordinate(const cm_variable *v)
{
    return v->ndim == 1 && v->dimensions[0] && strcmp(v->dimensions[0], v->name) == 0;
}

static bool names(const cm_variable *by, const char *attribute, const cm_variable *v)
{
    char word[512];
    const char *text = cm_cf_text(by, attribute);
    while (text && next_word(&text, word, sizeof word))
        if (cm_cf_find(by->group, word) == v)
            return true;
    return false;
}

/* The strongest role that any variable of g and below gives v. */
static cm_cf_role role_in(const cm_group *g, const cm_variable *v)
{
    cm_cf_role best = CM_ROLE_DATA;
    for (size_t i = 0; i < g->nvariables; i++) {
        const cm_variable *by = g->variables[i];
        if (names(by, "bounds", v) || names(by, "climatology", v))
            return CM_ROLE_BOUNDS;
        if (best == CM_ROLE_DATA && names(by, "grid_mapping", v))
            best = CM_ROLE_GRID_MAPPING;
        if (names(by, "coordinates", v))
            best = CM_ROLE_AUXILIARY;
    }
    for (size_t i = 0; i < g->ngroups && best == CM_ROLE_DATA; i++)
        best = role_in(g->groups[i], v);
    return best;
}

cm_cf_role cm_cf_role_of(const cm_variable *v)
{
    return cm_cf_is_coordinate(v) ? CM_ROLE_COORDINATE : role_in(v->group, v);
}

cm_variable *cm_cf_bounds_of(const cm_variable *v)
{
    static const char *const both[] = {"bounds", "climatology"};
    for (size_t i = 0; i < 2; i++) {
        const char *text = cm_cf_text(v, both[i]);
        cm_variable *b = text ? cm_cf_find(v->group, text) : NULL;
        if (b && b != v)
            return b;
    }
    return NULL;
}
