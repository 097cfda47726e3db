/* save/survey_findings.c: what is wrong, for what, and with which files.
 *
 * A finding says what it is about, what it blocks ("rechunk", "virtualize", or nothing: then it is
 * only told), and names files: `majority` is how most are, `others` the rest, group by group. What
 * is the same for several variables is one finding with all their names.
 *
 * Whether anything is blocked was decided before, by the join's and the references' own rules; here
 * it is only put into words.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array/told.h"
#include "base/bytes.h"
#include "base/memory.h"
#include "cf/packing.h"
#include "join/match.h"
#include "save/survey_report.h"
#include "save/virtual.h"

enum { BLOCKS_NOTHING, BLOCKS_REFERENCES, BLOCKS_ALL };

typedef struct findings {
    cm_survey_report *r;
    cm_keys seen;    /* findings as text, without their variables */
    cm_json **items; /* by the same number */
    size_t capacity;
    bool *explained; /* of each variable: why references cannot say it is told already */
} findings;

/* ---- making ---------------------------------------------------------------------------------- */

static cm_json *begin(findings *x, const char *about, int blocks, const char *message,
                      const char *hint)
{
    cm_json_doc *doc = x->r->doc;
    cm_json *o = cm_json_new_object(doc), *list = cm_json_new_array(doc);
    const cm_survey_report *r = x->r;
    if (r->asked && r->agreement.joinable) /* with the options nothing is in the way of it */
        blocks = blocks && !r->virtualizable ? BLOCKS_REFERENCES : BLOCKS_NOTHING;
    if (blocks == BLOCKS_ALL && cm_json_add(doc, list, cm_json_new_string(doc, "rechunk")))
        return NULL;
    if (blocks && cm_json_add(doc, list, cm_json_new_string(doc, "virtualize")))
        return NULL;
    if (cm_json_set_string(doc, o, "about", about) || cm_json_set(doc, o, "blocks", list) ||
        cm_json_set(doc, o, "variables", cm_json_new_array(doc)) ||
        cm_json_set_string(doc, o, "message", message))
        return NULL;
    if (hint && hint[0] && cm_json_set_string(doc, o, "hint", hint))
        return NULL;
    return o;
}

static int set(findings *x, cm_json *o, const char *key, cm_json *value, cm_error *err)
{
    return cm_json_set(x->r->doc, o, key, value) ? cm_survey_no_memory(err) : 0;
}

/* path NULL: it is about no variable. */
static int end(findings *x, cm_json *o, const char *path, cm_error *err)
{
    cm_json_doc *doc = x->r->doc;
    char *text = NULL;
    size_t nbytes;
    uint32_t i;
    bool added;
    if (!o)
        return cm_survey_no_memory(err);
    int rc = cm_json_write(o, 0, &text, &nbytes, err);
    if (rc == 0)
        rc = cm_keys_add(&x->seen, text, nbytes, &i, &added, err);
    free(text);
    if (rc == 0 && added) {
        rc = cm_grow(&x->items, &x->capacity, x->seen.n, sizeof *x->items, err);
        if (rc == 0) {
            x->items[i] = o;
            rc = cm_json_add(doc, x->r->findings, o) ? cm_survey_no_memory(err) : 0;
        }
    }
    if (rc == 0 && path &&
        cm_json_add(doc, cm_json_get(x->items[i], "variables"), cm_json_new_string(doc, path)))
        rc = cm_survey_no_memory(err);
    return rc;
}

/* ---- files ----------------------------------------------------------------------------------- */

/* Files of one problem, as one finding. */
static int unreadable_files(findings *x, cm_error *err)
{
    cm_survey_report *r = x->r;
    const cm_survey *s = r->s;
    cm_keys messages = {0};
    uint32_t *number = cm_calloc(s->n, sizeof *number, err), i;
    bool *in = cm_calloc(s->n, sizeof *in, err);
    int rc = number && in ? 0 : CM_ENOMEM;
    for (size_t k = 0; rc == 0 && k < s->n; k++) {
        const cm_error *why = s->files[k].problem;
        number[k] = UINT32_MAX;
        if (!why)
            continue;
        char *text =
            cm_sprintf(err, "%s%s%s", why->variable, why->variable[0] ? ": " : "", why->message);
        rc = text ? cm_keys_add(&messages, text, strlen(text), &number[k], NULL, err) : CM_ENOMEM;
        free(text);
    }
    for (i = 0; rc == 0 && i < messages.n; i++) {
        const cm_error *why = NULL;
        for (size_t k = 0; k < s->n; k++) {
            in[k] = number[k] == i;
            why = in[k] && !why ? s->files[k].problem : why;
        }
        cm_json *others = cm_json_new_array(r->doc);
        cm_json *o = begin(x, "unreadable", BLOCKS_ALL, why->message, why->hint);
        if (cm_json_add(r->doc, others, cm_survey_some_files(r, in)))
            rc = cm_survey_no_memory(err);
        if (rc == 0)
            rc = set(x, o, "others", others, err);
        if (rc == 0)
            rc = end(x, o, why->variable[0] ? why->variable : NULL, err);
    }
    cm_keys_deinit(&messages);
    free(number);
    free(in);
    return rc;
}

static int no_dimension(findings *x, cm_error *err)
{
    const cm_survey *s = x->r->s;
    if (s->dimension || s->n == 1 || x->r->order.n == 0)
        return 0;
    cm_json *o = begin(x, "dimension", BLOCKS_ALL, s->undecided.message, s->undecided.hint);
    return end(x, o, NULL, err);
}

/* ---- presence -------------------------------------------------------------------------------- */

static int absent_variable(findings *x, uint32_t variable, cm_error *err)
{
    cm_survey_report *r = x->r;
    const cm_survey *s = r->s;
    uint32_t with = cm_survey_presence(r, variable);
    bool rare = 2 * (size_t)with < r->order.n;
    const char *path = cm_survey_path(s, variable);
    char hint[300];
    if (with == r->order.n || s->n == 1)
        return 0;
    bool *in = cm_calloc(s->n, sizeof *in, err);
    if (!in)
        return CM_ENOMEM;
    for (size_t k = 0; k < s->n; k++)
        in[k] = s->files[k].opened && (cm_survey_entry_of(&s->files[k], variable) != NULL) == rare;
    cm_json *others = cm_json_new_array(r->doc);
    snprintf(hint, sizeof hint, "files without it can be joined with the others by %s %s",
             "leaving it out of all: --skip", path + (path[0] == '/'));
    cm_json *o = begin(x, rare ? "extra" : "missing", BLOCKS_ALL,
                       rare ? "the variable is only there" : "the variable is missing", NULL);
    int rc =
        cm_json_add(r->doc, others, cm_survey_some_files(r, in)) ? cm_survey_no_memory(err) : 0;
    if (rc == 0)
        rc = set(x, o, "others", others, err);
    if (rc == 0)
        rc = end(x, o, path, err);
    free(in);
    return rc;
}

/* ---- facets ---------------------------------------------------------------------------------- */

/* Would the joined variable be written into references whatever it is stored as? */
static bool is_small(const cm_survey_report *r, uint32_t variable)
{
    const cm_survey *s = r->s;
    const cm_form *f = &s->forms[r->forms[variable][0]];
    int64_t n = f->v->array ? (int64_t)f->v->array->dtype.size : 0, length = 0;
    for (int i = 0; f->v->array && i < f->v->ndim; i++)
        if (i != f->axis && !cm_mul_i64(n, f->v->array->shape[i], &n))
            return false;
    for (size_t k = 0; f->axis >= 0 && k < r->order.n; k++) {
        const cm_survey_entry *e = cm_survey_entry_of(&s->files[r->order.files[k]], variable);
        if (e && !cm_add_i64(length, e->length, &length))
            return false;
    }
    if (f->axis >= 0 && !cm_mul_i64(n, length, &n))
        return false;
    return n <= CM_VIRTUAL_NATIVE;
}

/* Do some of the forms have chains that cannot stand in one array? */
static bool chains_differ(const cm_survey_report *r, uint32_t variable)
{
    const cm_form *first = &r->s->forms[r->forms[variable][0]];
    if (!first->v->array || !cm_survey_is_stored(first->v->array))
        return r->nforms[variable] > 1;
    const cm_chain *a = cm_chunked_chain(first->v->array);
    for (size_t i = 1; i < r->nforms[variable]; i++) {
        const cm_form *f = &r->s->forms[r->forms[variable][i]];
        if (!f->v->array || !cm_survey_is_stored(f->v->array) ||
            !cm_chain_equal(a, cm_chunked_chain(f->v->array)))
            return true;
    }
    return false;
}

static int blocks_of(const cm_survey_report *r, uint32_t variable, size_t facet, unsigned clash,
                     bool one_calendar)
{
    const cm_facet *f = &cm_facets[facet];
    if (strcmp(f->name, "units") == 0 && !one_calendar)
        clash &= ~(unsigned)CM_ASPECT_TIMES; /* the calendars are it */
    if (clash)
        return BLOCKS_ALL;
    if (!f->storage || strcmp(f->name, "fill") == 0)
        return BLOCKS_NOTHING;
    if (r->agreement.joinable)
        return r->refused[variable] ? BLOCKS_REFERENCES : BLOCKS_NOTHING;
    return chains_differ(r, variable) && !is_small(r, variable) ? BLOCKS_REFERENCES
                                                                : BLOCKS_NOTHING;
}

static const char *hint_of(const cm_survey_report *r, uint32_t variable, size_t facet, int blocks)
{
    const cm_facet *f = &cm_facets[facet];
    const cm_form *form = &r->s->forms[r->forms[variable][0]];
    if (blocks == BLOCKS_REFERENCES)
        return "rechunk copies them whatever they are stored as";
    if (blocks == BLOCKS_NOTHING)
        return strcmp(f->name, "units") == 0 && r->agreement.converts[variable]
                   ? "re-encoded to the first file's"
                   : NULL;
    if (form->axis < 0 && !(f->clash & CM_CLASH_UNREADABLE))
        return "--static first takes the first file's";
    if (f->clash & CM_ASPECT_PACKING)
        return "--unpack reads each file by its own packing";
    if (f->clash & CM_ASPECT_DTYPE)
        return "--unpack float64 makes packed numbers one type";
    return NULL;
}

/* More groups than that are not told apart; of so many it is said how far their values are. */
enum { MOST_GROUPS = 1000, MOST_MEASURED = 5 };

/* How far the values of a static variable in file b are from those in file a: members of o. */
static int measure(findings *x, uint32_t variable, size_t a, size_t b, cm_json *o, cm_error *err)
{
    cm_json_doc *doc = x->r->doc;
    cm_survey_distance d;
    int rc = cm_survey_measure(x->r->s, variable, a, b, &d, err);
    if (rc || !d.comparable)
        return rc;
    if (cm_json_set_int64(doc, o, "cells", d.cells) ||
        cm_json_set_int64(doc, o, "differing", d.differing) ||
        cm_json_set(doc, o, "largest_difference",
                    d.largest >= 0 ? cm_json_new_double(doc, d.largest) : cm_json_new_null(doc)))
        return cm_survey_no_memory(err);
    return 0;
}

static int facet_finding(findings *x, uint32_t variable, size_t facet, bool one_calendar,
                         cm_error *err)
{
    cm_survey_report *r = x->r;
    const cm_facet *f = &cm_facets[facet];
    cm_survey_groups g;
    char message[200];
    unsigned clash = 0;
    int rc = cm_survey_group_by(r, variable, facet, &g, err);
    bool flag = f->storage && strchr("fut", f->name[0]) && strcmp(f->name, "fill") != 0;
    for (size_t i = 0; rc == 0 && i < g.n; i++)
        clash |= g.items[i].clash;
    int blocks = rc ? 0 : blocks_of(r, variable, facet, clash, one_calendar);
    bool one = rc == 0 && g.n == 1;
    /* one value in all files is a finding when it is wrong by itself */
    bool wrong = one && g.items[0].value && (clash || (flag && blocks));
    if (rc || (one && !wrong) || (flag && !blocks && strcmp(f->name, "truncated") != 0))
        goto out;
    if (f->storage && blocks == BLOCKS_REFERENCES)
        x->explained[variable] = true;
    bool several = f->name[0] && f->name[strlen(f->name) - 1] == 's';
    bool named = flag || f->clash & CM_CLASH_UNREADABLE;
    snprintf(message, sizeof message, "%s%s", f->name,
             named     ? ""
             : several ? " differ"
                       : " differs");
    cm_json *o = begin(x, f->name, blocks, message, hint_of(r, variable, facet, blocks));
    cm_json *others = cm_json_new_array(r->doc);
    size_t most = g.n < MOST_GROUPS ? g.n : MOST_GROUPS, from = one ? 0 : 1;
    /* of flags, those that have it */
    size_t major = named ? SIZE_MAX : from - 1;
    for (size_t i = 0; rc == 0 && i < most; i++) {
        if (i == major || (major == SIZE_MAX && !g.items[i].value))
            continue;
        cm_json *o_i = cm_survey_group_json(r, &g, i);
        if (f->of_values && i > 0 && i <= MOST_MEASURED)
            rc = measure(x, variable, g.items[0].example, g.items[i].example, o_i, err);
        if (rc == 0 && cm_json_add(r->doc, others, o_i))
            rc = cm_survey_no_memory(err);
    }
    if (rc == 0 && major != SIZE_MAX)
        rc = set(x, o, "majority", cm_survey_group_json(r, &g, major), err);
    if (rc == 0)
        rc = set(x, o, "others", others, err);
    if (rc == 0)
        rc = end(x, o, cm_survey_path(r->s, variable), err);
out:
    cm_survey_groups_deinit(&g);
    return rc;
}

static bool has_one_calendar(const cm_survey_report *r, uint32_t variable)
{
    const cm_form *a = &r->s->forms[r->forms[variable][0]];
    for (size_t i = 1; i < r->nforms[variable]; i++) {
        const cm_form *b = &r->s->forms[r->forms[variable][i]];
        cm_times x, y;
        cm_calendar cx, cy;
        if (!a->v->array || !b->v->array)
            continue;
        cm_times_of(a->v, NULL, &x);
        cm_times_of(b->v, NULL, &y);
        bool kx = cm_calendar_named(x.calendar_text, &cx);
        bool ky = cm_calendar_named(y.calendar_text, &cy);
        if (kx != ky || (kx && cx != cy) || (!kx && strcmp(x.calendar_text, y.calendar_text) != 0))
            return false;
    }
    return true;
}

/* ---- chunks ---------------------------------------------------------------------------------- */

/* Files that end inside a chunk and are not the last. */
static int partial_chunks(findings *x, uint32_t variable, cm_error *err)
{
    cm_survey_report *r = x->r;
    const cm_survey *s = r->s;
    const cm_form *f = &s->forms[r->forms[variable][0]];
    char message[160];
    size_t last = r->order.n, count = 0;
    bool blocked = r->agreement.joinable ? r->refused[variable] : !is_small(r, variable);
    if (!blocked || f->axis < 0 || !f->v->array || !cm_survey_is_stored(f->v->array) ||
        !f->v->storage.chunks)
        return 0;
    int64_t chunk = f->v->storage.chunks[f->axis];
    bool *in = cm_calloc(s->n, sizeof *in, err);
    if (!in)
        return CM_ENOMEM;
    for (size_t k = r->order.n; k-- > 0;) {
        const cm_survey_entry *e = cm_survey_entry_of(&s->files[r->order.files[k]], variable);
        if (!e || e->length == 0)
            continue;
        if (last < r->order.n && chunk > 0 && e->length % chunk) {
            in[r->order.files[k]] = true;
            count++;
        }
        last = k < last ? k : last;
    }
    int rc = 0;
    if (count) {
        snprintf(message, sizeof message,
                 "the length along %s is no multiple of the chunk's, %lld, and the file is not the "
                 "last",
                 s->dimension, (long long)chunk);
        cm_json *others = cm_json_new_array(r->doc);
        cm_json *o = begin(x, "partial_chunk", BLOCKS_REFERENCES, message,
                           "rechunk copies them whatever they are stored as");
        rc =
            cm_json_add(r->doc, others, cm_survey_some_files(r, in)) ? cm_survey_no_memory(err) : 0;
        if (rc == 0)
            rc = set(x, o, "others", others, err);
        if (rc == 0)
            rc = end(x, o, cm_survey_path(s, variable), err);
        x->explained[variable] = true;
    }
    free(in);
    return rc;
}

static int refusal(findings *x, uint32_t variable, cm_error *err)
{
    const cm_survey_report *r = x->r;
    if (r->asked || !r->refused[variable] || x->explained[variable])
        return 0;
    const cm_error *why = &r->refusals[variable];
    cm_json *o = begin(x, "references", BLOCKS_REFERENCES, why->message,
                       "rechunk copies them whatever they are stored as");
    return end(x, o, cm_survey_path(r->s, variable), err);
}

/* What the join said, and what references cannot say of it. */
static int put_asked(findings *x, cm_error *err)
{
    const cm_survey_report *r = x->r;
    const cm_error *why = r->agreement.joinable ? &r->cannot_refer : &r->cannot_join;
    if (!r->asked || !why->code)
        return 0;
    char *text = cm_sprintf(err, "%s%s%s", why->object, why->object[0] ? ": " : "", why->message);
    if (!text)
        return CM_ENOMEM;
    cm_json *o = begin(x, r->agreement.joinable ? "references" : "join",
                       r->agreement.joinable ? BLOCKS_REFERENCES : BLOCKS_ALL, text, why->hint);
    free(text);
    return end(x, o, why->variable[0] ? why->variable : NULL, err);
}

/* ---- order ----------------------------------------------------------------------------------- */

static int put_event(findings *x, cm_json *list, const cm_survey_event *e, cm_error *err)
{
    const cm_survey *s = x->r->s;
    cm_json_doc *doc = x->r->doc;
    cm_json *o = cm_json_new_object(doc);
    if (cm_json_set_string(doc, o, "file", s->uris[e->a]) ||
        (e->b != SIZE_MAX && cm_json_set_string(doc, o, "other", s->uris[e->b])) ||
        (e->from[0] && cm_json_set_string(doc, o, "from", e->from)) ||
        (e->to[0] && cm_json_set_string(doc, o, "to", e->to)) ||
        cm_json_set_int64(doc, o, "n", e->n) || cm_json_add(doc, list, o))
        return cm_survey_no_memory(err);
    return 0;
}

static int put_events(findings *x, cm_error *err)
{
    static const struct {
        const char *about, *message, *hint;
    } words[] = {
        [CM_EVENT_TURN] = {"not_monotonic", "the coordinate is not monotonic", NULL},
        [CM_EVENT_NO_VALUE] = {"no_value", "the coordinate has no valid value", NULL},
        [CM_EVENT_DIRECTION] = {"direction", "the coordinate runs the other way", NULL},
        [CM_EVENT_DUPLICATE] = {"duplicate", "the coordinate begins with a value of another file",
                                NULL},
        [CM_EVENT_OVERLAP] = {"overlap", "the coordinate begins inside of another file's", NULL},
        [CM_EVENT_ORDERLESS] = {"order", "the coordinate cannot be compared with the first file's",
                                NULL},
        [CM_EVENT_GAP] = {"gap", "steps are missing before the file", NULL},
        [CM_EVENT_HOLE] = {"hole", "steps are missing inside the file", NULL}};
    const cm_survey_order *order = &x->r->order;
    int rc = 0;
    for (uint32_t v = 0; rc == 0 && v < x->r->s->paths.n; v++)
        for (int kind = 0; rc == 0 && kind <= CM_EVENT_HOLE; kind++) {
            cm_json *list = NULL;
            for (size_t i = 0; rc == 0 && i < order->nevents; i++) {
                const cm_survey_event *e = &order->events[i];
                if ((int)e->kind != kind || e->variable != v)
                    continue;
                list = list ? list : cm_json_new_array(x->r->doc);
                rc = put_event(x, list, e, err);
            }
            if (rc || !list)
                continue;
            cm_json *o = begin(x, words[kind].about,
                               kind < CM_EVENT_GAP && x->r->s->n > 1 ? BLOCKS_ALL : BLOCKS_NOTHING,
                               words[kind].message, words[kind].hint);
            rc = set(x, o, "events", list, err);
            if (rc == 0)
                rc = end(x, o, cm_survey_path(x->r->s, v), err);
        }
    return rc;
}

static int put_conversions(findings *x, cm_error *err)
{
    const cm_survey_agreement *a = &x->r->agreement;
    cm_json_doc *doc = x->r->doc;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < a->nconversions; i++) {
        const cm_error *why = &a->conversions[i];
        cm_json *o = begin(x, "times", BLOCKS_ALL, why->message, why->hint);
        cm_json *list = cm_json_new_array(doc), *event = cm_json_new_object(doc);
        if (cm_json_set_string(doc, event, "file", x->r->s->uris[a->conversion_files[i]]) ||
            cm_json_add(doc, list, event))
            rc = cm_survey_no_memory(err);
        if (rc == 0)
            rc = set(x, o, "events", list, err);
        if (rc == 0)
            rc = end(x, o, why->variable[0] ? why->variable : NULL, err);
    }
    return rc;
}

/* ---------------------------------------------------------------------------------------------- */

int cm_survey_put_findings(cm_survey_report *r, cm_error *err)
{
    findings x = {.r = r};
    x.explained = cm_calloc(r->s->paths.n, sizeof *x.explained, err);
    int rc = x.explained ? unreadable_files(&x, err) : CM_ENOMEM;
    if (rc == 0)
        rc = no_dimension(&x, err);
    for (uint32_t v = 0; rc == 0 && v < r->s->paths.n; v++)
        if (r->nforms[v])
            rc = absent_variable(&x, v, err);
    for (size_t i = 0; rc == 0 && cm_facets[i].name; i++)
        for (uint32_t v = 0; rc == 0 && v < r->s->paths.n; v++)
            if (r->nforms[v])
                rc = facet_finding(&x, v, i, has_one_calendar(r, v), err);
    for (uint32_t v = 0; rc == 0 && v < r->s->paths.n; v++)
        if (r->nforms[v])
            rc = partial_chunks(&x, v, err);
    for (uint32_t v = 0; rc == 0 && v < r->s->paths.n; v++)
        if (r->nforms[v])
            rc = refusal(&x, v, err);
    if (rc == 0)
        rc = put_asked(&x, err);
    const cm_join_options *join = r->s->options->join;
    if (rc == 0 && !(join && (join->stack || join->coord || join->merge))) /* another axis */
        rc = put_events(&x, err);
    if (rc == 0)
        rc = put_conversions(&x, err);
    cm_keys_deinit(&x.seen);
    free(x.items);
    free(x.explained);
    return rc;
}
