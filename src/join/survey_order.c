/* join/survey_order.c: in which order files stand along the coordinate, and what is wrong there.
 *
 * The rule is the join's (order.c): ascending, or descending where all files are; each file ends
 * before the next begins. There the first thing wrong ends the matter, here everything wrong is
 * noted. What a hole is says extent.h.
 *
 * Files whose coordinate cannot be compared with the first file's stay where they are listed, after
 * the others; they do not join anyhow.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "join/match.h"
#include "join/survey.h"

typedef struct place {
    const cm_extent *e; /* NULL: not comparable */
    size_t file;
} place;

static int note(cm_survey_order *o, cm_survey_event event, cm_error *err)
{
    int rc = cm_grow(&o->events, &o->capacity, o->nevents + 1, sizeof *o->events, err);
    if (rc == 0)
        o->events[o->nevents++] = event;
    return rc;
}

static const cm_extent *extent_of(const cm_survey_file *f, uint32_t variable)
{
    for (size_t i = 0; i < f->nextents; i++)
        if (f->extent_variables[i] == variable)
            return &f->extents[i];
    return NULL;
}

/* ---- sorting --------------------------------------------------------------------------------- */

static int ascending(const void *va, const void *vb)
{
    const place *a = va, *b = vb;
    int rank_a = !a->e ? 2 : a->e->n == 0, rank_b = !b->e ? 2 : b->e->n == 0;
    if (rank_a != rank_b)
        return rank_a - rank_b;
    int c = rank_a ? 0 : cm_number_compare(&a->e->first, &b->e->first);
    return c ? c : (a->file > b->file) - (a->file < b->file);
}

static int descending(const void *va, const void *vb)
{
    const place *a = va, *b = vb;
    if (!a->e || !b->e || a->e->n == 0 || b->e->n == 0)
        return ascending(va, vb);
    int c = cm_number_compare(&b->e->first, &a->e->first);
    return c ? c : (a->file > b->file) - (a->file < b->file);
}

/* ---- what is wrong --------------------------------------------------------------------------- */

/* Inside of each file. *direction: of the first that has one. */
static int judge_files(cm_survey_order *o, const place *p, size_t n, uint32_t variable,
                       int *direction, cm_error *err)
{
    const place *known = NULL;
    int rc = 0;
    for (size_t k = 0; rc == 0 && k < n; k++) {
        const cm_extent *e = p[k].e;
        cm_survey_event event = {.variable = variable, .a = p[k].file, .b = SIZE_MAX};
        if (!e) {
            event.kind = CM_EVENT_ORDERLESS;
            rc = note(o, event, err);
            continue;
        }
        if (e->missing >= 0) {
            event.kind = CM_EVENT_NO_VALUE;
            event.n = e->missing;
            rc = note(o, event, err);
        }
        if (rc == 0 && e->odd >= 0) {
            event.kind = CM_EVENT_TURN;
            event.n = e->odd;
            cm_extent_text(e, &e->odd_before, event.from, sizeof event.from);
            cm_extent_text(e, &e->odd_value, event.to, sizeof event.to);
            rc = note(o, event, err);
        }
        if (rc == 0 && known && e->direction && e->direction != known->e->direction) {
            event.kind = CM_EVENT_DIRECTION;
            event.b = known->file;
            rc = note(o, event, err);
        }
        known = known || !e->direction ? known : &p[k];
    }
    *direction = known ? known->e->direction : 1;
    return rc;
}

static int judge_neighbours(cm_survey_order *o, const place *p, size_t n, uint32_t variable,
                            int direction, cm_error *err)
{
    int rc = 0;
    for (size_t k = 1; rc == 0 && k < n && p[k].e && p[k].e->n > 0; k++) {
        const cm_extent *e = p[k].e, *before = p[k - 1].e;
        if (e->missing >= 0 || before->missing >= 0)
            continue;
        int c = cm_number_compare(&e->first, &before->last) * direction;
        if (c > 0)
            continue;
        bool same = c == 0 || cm_number_compare(&e->first, &before->first) == 0;
        cm_survey_event event = {.kind = same ? CM_EVENT_DUPLICATE : CM_EVENT_OVERLAP,
                                 .variable = variable,
                                 .a = p[k].file,
                                 .b = p[k - 1].file};
        cm_extent_text(e, &e->first, event.from, sizeof event.from);
        cm_extent_text(before, &before->last, event.to, sizeof event.to);
        rc = note(o, event, err);
    }
    return rc;
}

/* ---- steps ----------------------------------------------------------------------------------- */

typedef struct gaps {
    cm_scale scale;
    bool monthly;
    cm_pace steps, months;
} gaps;

static __int128 key_of(const gaps *g, const cm_number *x)
{
    return cm_scale_key(g->scale, x);
}

/* Months from a to b; 0: they cannot be told, or are none. */
static int64_t months_between(const cm_extent *e, __int128 a, __int128 b)
{
    int64_t from, to;
    __int128 rest;
    if (!cm_month_of(e, a, &from, &rest) || !cm_month_of(e, b, &to, &rest))
        return 0;
    return to > from ? to - from : from - to;
}

static void find_pace(const place *p, size_t n, gaps *g)
{
    g->monthly = g->scale == CM_SCALE_INSTANT;
    for (size_t k = 0; k < n; k++) {
        const cm_extent *e = p[k].e;
        cm_pace_merge(&g->steps, &e->steps);
        cm_pace_merge(&g->months, &e->months);
        g->monthly = g->monthly && (e->monthly || e->n < 2);
        if (k == 0 || e->n == 0)
            continue;
        __int128 a = key_of(g, &p[k - 1].e->last), b = key_of(g, &e->first);
        cm_pace_add(&g->steps, b - a);
        int64_t months = g->monthly ? months_between(e, a, b) : 0;
        g->monthly = g->monthly && months > 0;
        if (g->monthly)
            cm_pace_add(&g->months, months);
    }
}

static void step_text(const gaps *g, bool by_month, const cm_pace *pace, char *out, size_t size)
{
    static const struct {
        int64_t ns;
        const char *name;
    } units[] = {{CM_NS_PER_DAY, "day"},
                 {3600 * CM_NS_PER_SECOND, "hour"},
                 {60 * CM_NS_PER_SECOND, "minute"},
                 {CM_NS_PER_SECOND, "second"},
                 {1000000, "millisecond"},
                 {1, "nanosecond"}};
    long long n = (long long)pace->least;
    const char *name = by_month ? "month" : "";
    if (!by_month && g->scale == CM_SCALE_INSTANT)
        for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
            if (pace->least % units[i].ns == 0) {
                n = (long long)(pace->least / units[i].ns);
                name = units[i].name;
                break;
            }
    snprintf(out, size, "%lld%s%s%s", n, name[0] ? " " : "", name, name[0] && n != 1 ? "s" : "");
}

/* The files are sorted, and nothing overlaps. */
static int find_gaps(cm_survey_order *o, const place *p, size_t n, uint32_t variable, cm_error *err)
{
    gaps g = {.scale = CM_SCALE_INSTANT};
    bool whole = true, instants = true;
    int rc = 0;
    for (size_t k = 0; k < n; k++) {
        whole = whole && p[k].e->whole;
        instants = instants && p[k].e->by_instant;
    }
    if (!whole && !instants)
        return 0;
    g.scale = instants ? CM_SCALE_INSTANT : CM_SCALE_WHOLE;
    find_pace(p, n, &g);
    bool by_month = !cm_pace_has_holes(&g.steps) && g.monthly && g.steps.nleast < g.steps.n;
    const cm_pace *pace = by_month ? &g.months : &g.steps;
    bool even = pace->n > 0 && pace->nleast == pace->n, holes = cm_pace_has_holes(pace);
    if ((even || holes) && pace->least > 0)
        step_text(&g, by_month, pace, o->step, sizeof o->step);
    for (size_t k = 0; holes && rc == 0 && k < n; k++) {
        const cm_extent *e = p[k].e;
        const cm_pace *own = by_month ? &e->months : &e->steps;
        cm_survey_event event = {.variable = variable, .a = p[k].file, .b = SIZE_MAX};
        if (e->n == 0)
            continue;
        if (own->n && (own->least > pace->least || own->nleast < own->n)) {
            event.kind = CM_EVENT_HOLE;
            rc = note(o, event, err);
        }
        if (k == 0 || rc)
            continue;
        __int128 a = key_of(&g, &p[k - 1].e->last), b = key_of(&g, &e->first);
        __int128 far = by_month ? months_between(e, a, b) : b > a ? b - a : a - b;
        if (far <= pace->least)
            continue;
        event.kind = CM_EVENT_GAP;
        event.b = p[k - 1].file;
        event.n = (int64_t)(far / pace->least) - 1;
        cm_extent_text(p[k - 1].e, &p[k - 1].e->last, event.from, sizeof event.from);
        cm_extent_text(e, &e->first, event.to, sizeof event.to);
        rc = note(o, event, err);
    }
    return rc;
}

/* ---- the order ------------------------------------------------------------------------------- */

/* Can file k's coordinate stand beside the first's? */
static bool comparable(const cm_extent *first, const cm_extent *e)
{
    return e && cm_match_check(first->v, NULL, e->v, NULL, 0, CM_ASPECT_DTYPE | CM_ASPECT_TIMES,
                               NULL) == 0;
}

static void tell_ends(cm_survey_order *o, const place *p, size_t n)
{
    size_t last = n;
    while (last > 0 && (!p[last - 1].e || p[last - 1].e->n == 0 || p[last - 1].e->missing >= 0))
        last--;
    if (last == 0 || !p[0].e || p[0].e->n == 0 || p[0].e->missing >= 0)
        return;
    cm_extent_text(p[0].e, &p[0].e->first, o->first, sizeof o->first);
    cm_extent_text(p[last - 1].e, &p[last - 1].e->last, o->last, sizeof o->last);
}

static int order_by(cm_survey *s, cm_survey_order *o, uint32_t variable, cm_error *err)
{
    int direction;
    place *p = cm_calloc(o->n, sizeof *p, err);
    if (!p)
        return CM_ENOMEM;
    const cm_extent *first = NULL;
    size_t n = o->n, before = o->nevents;
    for (size_t k = 0; k < n; k++) {
        const cm_extent *e = extent_of(&s->files[o->files[k]], variable);
        first = first ? first : e;
        p[k] = (place){first && comparable(first, e) ? e : NULL, o->files[k]};
    }
    int rc = judge_files(o, p, n, variable, &direction, err);
    if (!o->by_coordinate)
        qsort(p, n, sizeof *p, direction > 0 ? ascending : descending);
    if (rc == 0)
        rc = judge_neighbours(o, p, n, variable, direction, err);
    if (rc == 0 && !o->by_coordinate && o->nevents == before)
        rc = find_gaps(o, p, n, variable, err);
    if (!o->by_coordinate) {
        o->by_coordinate = true;
        o->coordinate = variable;
        for (size_t k = 0; k < n; k++) {
            o->as_listed = o->as_listed && o->files[k] == p[k].file;
            o->files[k] = p[k].file;
        }
        for (size_t k = 0; k < n; k++)
            o->steps += p[k].e ? p[k].e->n : 0;
        tell_ends(o, p, n);
    }
    free(p);
    return rc;
}

int cm_survey_find_order(cm_survey *s, cm_survey_order *o, cm_error *err)
{
    int rc = 0;
    *o = (cm_survey_order){.as_listed = true};
    if (!(o->files = cm_calloc(s->n, sizeof *o->files, err)))
        return CM_ENOMEM;
    for (size_t k = 0; k < s->n; k++)
        if (s->files[k].opened)
            o->files[o->n++] = k;
    if (o->n == 0)
        return 0;
    const cm_survey_file *first = &s->files[o->files[0]];
    for (size_t i = 0; rc == 0 && i < first->nextents; i++)
        rc = order_by(s, o, first->extent_variables[i], err);
    return rc;
}

void cm_survey_order_deinit(cm_survey_order *o)
{
    free(o->files);
    free(o->events);
    *o = (cm_survey_order){0};
}
