/* join/steps.c: overlapping, repeated, turning and missing steps; see steps.h.
 *
 * All files' values become one table of integers that sort as they do (instants, whole numbers, the
 * bits of doubles), 32 bytes a step, which goes again when the runs are known. It is sorted by
 * value, and steps of one value by source; equal ones are struck out as --duplicates says; then, if
 * files are not to be sorted step by step, it is put back into the order of the files.
 *
 * A file that comes back after another's steps interleaves, which --unsorted refuse does not allow;
 * unless those steps stand where its own were struck out as duplicates: that is a file that
 * replaces a part of another, which --duplicates asked for.
 *
 * Holes are looked for last, in what is left, if it is sorted; see cm_pace_has_holes for what a
 * hole is. Nothing is left out, moved or added without a line in the report.
 */
#include "join/steps.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/context_private.h"
#include "base/memory.h"

enum { BLOCK = 4096, MOST_FILLED = 1 << 22, EXAMPLES = 3 };

typedef struct step {
    __int128 key; /* negated where files descend */
    uint32_t file, rank;
    int64_t index;
} step;

typedef struct table {
    cm_context *ctx;
    const cm_extent *e;
    size_t nfiles;
    const cm_join_options *options;
    cm_report *report;
    cm_scale scale;
    int direction;
    int64_t *begin; /* of each file's steps as they are read */
    step *steps;
    int64_t n;
    uint64_t pinned;           /* bytes of the budget, for steps */
    bool sorted;               /* by value, else in the order of files */
    bool from_begin, from_end; /* all are as far from the beginning, the end of their months */
} table;

void cm_runs_deinit(cm_runs *r)
{
    free(r->items);
    free(r->filled);
    *r = (cm_runs){0};
}

static int add_run(cm_runs *r, size_t file, int64_t lo, int64_t n, cm_error *err)
{
    if (!cm_add_i64(r->length, n, &r->length))
        return cm_error_set(err, CM_ELIMIT, "the joined dimension is longer than 2^63");
    cm_run *last = r->n ? &r->items[r->n - 1] : NULL;
    if (last && last->file == file && last->lo + last->n == lo) {
        last->n += n;
        return 0;
    }
    int rc = cm_grow(&r->items, &r->capacity, r->n + 1, sizeof *r->items, err);
    if (rc == 0)
        r->items[r->n++] = (cm_run){file, lo, n};
    return rc;
}

int cm_runs_whole(const int64_t *lengths, size_t n, cm_runs *out, cm_error *err)
{
    int rc = 0;
    *out = (cm_runs){.whole = true};
    for (size_t k = 0; rc == 0 && k < n; k++)
        if (lengths[k] > 0)
            rc = add_run(out, k, 0, lengths[k], err);
    return rc;
}

int cm_runs_copy(const cm_runs *r, cm_runs *out, cm_error *err)
{
    *out = *r;
    out->items = cm_memdup(r->items, r->n * sizeof *r->items, err);
    out->filled = NULL;
    out->capacity = r->n;
    out->filled_capacity = r->nfilled;
    if (r->nfilled)
        out->filled = cm_memdup(r->filled, r->nfilled * sizeof *r->filled, err);
    return !out->items || (r->nfilled && !out->filled) ? CM_ENOMEM : 0;
}

/* ---- words ----------------------------------------------------------------------------------- */

static const char *text(const table *t, __int128 key, char *buf, size_t size)
{
    return cm_scale_text(t->scale, &t->e[0], t->direction < 0 ? -key : key, buf, size);
}

static const char *file_of(const table *t, const step *s)
{
    return cm_join_file(t->e[s->file].v);
}

static const char *name_of(const table *t)
{
    return t->e[0].v->path;
}

/* The first few of many, as one line. */
typedef struct examples {
    char line[720];
    size_t used;
    int64_t n;
} examples;

static void add_example(examples *x, const char *format, ...) CM_PRINTF(2, 3);
static void add_example(examples *x, const char *format, ...)
{
    va_list ap;
    if (x->n++ >= EXAMPLES || x->used >= sizeof x->line - 1)
        return;
    if (x->n > 1)
        x->used += (size_t)snprintf(x->line + x->used, sizeof x->line - x->used, ", ");
    if (x->used >= sizeof x->line - 1)
        return;
    va_start(ap, format);
    int m = vsnprintf(x->line + x->used, sizeof x->line - x->used, format, ap);
    va_end(ap);
    x->used = m < 0 ? x->used : x->used + (size_t)m;
}

static const char *end_examples(examples *x)
{
    if (x->n > EXAMPLES && x->used < sizeof x->line - 1)
        snprintf(x->line + x->used, sizeof x->line - x->used, " and %lld more",
                 (long long)(x->n - EXAMPLES));
    return x->line;
}

/* ---- the table ------------------------------------------------------------------------------- */

static int read_file(void *arg, int64_t k, int worker, cm_error *err)
{
    (void)worker;
    const table *t = arg;
    const cm_extent *e = &t->e[k];
    cm_numbers *numbers = NULL;
    cm_number *block = NULL;
    if (e->n == 0)
        return 0;
    int rc = cm_numbers_open(t->ctx, e->v, &numbers, err);
    if (rc == 0 && !(block = cm_calloc((size_t)cm_min_i64(BLOCK, e->n), sizeof *block, err)))
        rc = CM_ENOMEM;
    for (int64_t at = 0; rc == 0 && at < e->n; at += BLOCK) {
        int64_t n = cm_min_i64(BLOCK, e->n - at);
        rc = cm_numbers_read(numbers, at, n, block, err);
        for (int64_t i = 0; rc == 0 && i < n; i++) {
            cm_number x = cm_extent_number(e, &block[i]);
            __int128 key = x.missing ? 0 : cm_scale_key(t->scale, &x);
            bool by_name = t->options->order == CM_ORDER_NAME;
            t->steps[t->begin[k] + at + i] =
                (step){.key = t->direction < 0 ? -key : key,
                       .file = (uint32_t)k,
                       .rank = (uint32_t)(by_name ? (size_t)k : e->index),
                       .index = at + i};
        }
    }
    free(block);
    cm_numbers_close(numbers);
    return rc;
}

static int by_value(const void *va, const void *vb)
{
    const step *a = va, *b = vb;
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    return (a->index > b->index) - (a->index < b->index);
}

static int by_file(const void *va, const void *vb)
{
    const step *a = va, *b = vb;
    if (a->file != b->file)
        return a->file < b->file ? -1 : 1;
    return (a->index > b->index) - (a->index < b->index);
}

static int read_table(table *t, cm_error *err)
{
    int64_t total = 0;
    t->begin = cm_calloc(t->nfiles + 1, sizeof *t->begin, err);
    if (!t->begin)
        return CM_ENOMEM;
    for (size_t k = 0; k < t->nfiles; k++) {
        t->begin[k] = total;
        if (!cm_add_i64(total, t->e[k].n, &total))
            total = INT64_MAX;
    }
    uint64_t room = cm_budget_limit(cm_context_budget(t->ctx)) / 2 / sizeof(step);
    uint64_t nbytes = (uint64_t)total * sizeof(step);
    if ((uint64_t)total > room || t->nfiles > UINT32_MAX ||
        !cm_budget_pin(cm_context_budget(t->ctx), nbytes)) {
        cm_error_set(err, CM_ELIMIT, "%lld steps are too many to look at one by one",
                     (long long)total);
        cm_error_variable(err, name_of(t));
        cm_error_hint(err, "give more with --max-mem: they take %zu bytes each", 2 * sizeof(step));
        return CM_ELIMIT;
    }
    t->pinned = nbytes;
    t->direction = cm_extents_direction(t->e, t->nfiles);
    t->scale = cm_extents_scale(t->e, t->nfiles);
    t->n = total;
    t->steps = cm_calloc((size_t)total, sizeof *t->steps, err);
    if (!t->steps)
        return CM_ENOMEM;
    return cm_pool_for(cm_context_pool(t->ctx), t->ctx, (int64_t)t->nfiles,
                       cm_pool_size(cm_context_pool(t->ctx)) + 1, read_file, t, err);
}

/* ---- duplicates ------------------------------------------------------------------------------ */

static int refuse_duplicate(const table *t, const step *a, const step *b, cm_error *err)
{
    char value[48];
    return cm_join_refuse(t->e[b->file].v,
                          "--duplicates first or last keeps one of them, --duplicates keep both",
                          err, "the coordinate value %s is also in %s",
                          text(t, b->key, value, sizeof value), file_of(t, a));
}

/* The table is sorted by value. */
static int strike_duplicates(table *t, cm_error *err)
{
    cm_duplicates rule = t->options->duplicates;
    examples x = {0};
    char value[48];
    int64_t n = 0;
    for (int64_t i = 0, end; i < t->n; i = end) {
        for (end = i + 1; end < t->n && t->steps[end].key == t->steps[i].key;)
            end++;
        if (end - i > 1 && rule == CM_DUPLICATES_REFUSE)
            return refuse_duplicate(t, &t->steps[i], &t->steps[i + 1], err);
        if (rule == CM_DUPLICATES_KEEP || rule == CM_DUPLICATES_REFUSE) {
            if (end - i > 1)
                add_example(&x, "%s in %s and %s", text(t, t->steps[i].key, value, sizeof value),
                            file_of(t, &t->steps[i]), file_of(t, &t->steps[i + 1]));
            n = end;
            continue;
        }
        const step kept = t->steps[rule == CM_DUPLICATES_FIRST ? i : end - 1];
        for (int64_t k = i; k < end; k++)
            if (t->steps[k].file != kept.file || t->steps[k].index != kept.index)
                add_example(&x, "%s of %s (that of %s is kept)",
                            text(t, kept.key, value, sizeof value), file_of(t, &t->steps[k]),
                            file_of(t, &kept));
        t->steps[n++] = kept;
    }
    t->n = n;
    int rc = cm_report_count(t->report, "duplicates", x.n, err);
    if (rc || x.n == 0)
        return rc;
    if (rule == CM_DUPLICATES_KEEP)
        return cm_report_note(t->report, err, "%s: %lld value%s more than once: %s", name_of(t),
                              (long long)x.n, x.n == 1 ? " is there" : "s are there",
                              end_examples(&x));
    return cm_report_note(t->report, err,
                          "%s: %lld duplicate step%s left out, the %s one is kept: %s", name_of(t),
                          (long long)x.n, x.n == 1 ? " is" : "s are",
                          rule == CM_DUPLICATES_FIRST ? "first" : "last", end_examples(&x));
}

/* ---- order ----------------------------------------------------------------------------------- */

static const char *const by_sorting =
    "--unsorted sort sorts the steps, --unsorted keep leaves them as they are";

static int refuse_order(const table *t, const step *before, const step *s, cm_error *err)
{
    char a[48], b[48];
    text(t, s->key, a, sizeof a);
    text(t, before->key, b, sizeof b);
    if (before->file == s->file)
        return cm_join_refuse(t->e[s->file].v, by_sorting, err,
                              "the coordinate is not monotonic: %s follows %s at index %lld", a, b,
                              (long long)s->index);
    return cm_join_refuse(t->e[s->file].v, by_sorting, err,
                          "the coordinate value %s comes after %s of %s", a, b, file_of(t, before));
}

/* What is left of every file, as the sorted table is walked through. */
typedef struct seen {
    int64_t last; /* index of its last step so far; -1: none */
    int64_t at;   /* and its place in the table */
} seen;

/* Does the table, sorted by value, keep every file in one run, but for steps that replace struck
 * out ones? */
static int check_whole(const table *t, cm_error *err)
{
    char a[48], b[48];
    int rc = 0;
    seen *files = cm_calloc(t->nfiles, sizeof *files, err);
    if (!files)
        return CM_ENOMEM;
    for (size_t k = 0; k < t->nfiles; k++)
        files[k].last = -1;
    for (int64_t i = 0; rc == 0 && i < t->n; i++) {
        const step *s = &t->steps[i];
        seen *f = &files[s->file];
        if (f->last >= 0 && s->index < f->last) {
            text(t, s->key, a, sizeof a);
            text(t, t->steps[f->at].key, b, sizeof b);
            rc = cm_join_refuse(t->e[s->file].v, by_sorting, err,
                                "the coordinate is not monotonic: %s is at index %lld, %s at %lld",
                                a, (long long)s->index, b, (long long)f->last);
        } else if (f->last >= 0 && i - f->at > 1 && s->index - f->last != i - f->at) {
            const step *other = &t->steps[i - 1];
            text(t, other->key, a, sizeof a);
            rc = cm_join_refuse(t->e[other->file].v, by_sorting, err,
                                "the coordinate value %s lies between values of %s", a,
                                cm_join_file(t->e[s->file].v));
        }
        f->last = s->index;
        f->at = i;
    }
    free(files);
    return rc;
}

static bool is_sorted(const table *t)
{
    for (int64_t i = 1; i < t->n; i++)
        if (t->steps[i].key <= t->steps[i - 1].key)
            return false;
    return true;
}

static cm_unsorted rule_of(const cm_join_options *o)
{
    if (o->unsorted != CM_UNSORTED_DEFAULT)
        return o->unsorted;
    return o->order == CM_ORDER_COORDINATE ? CM_UNSORTED_REFUSE : CM_UNSORTED_KEEP;
}

static int check_given(table *t, cm_error *err)
{
    examples x = {0};
    char a[48], b[48];
    bool keep = rule_of(t->options) == CM_UNSORTED_KEEP;
    for (int64_t i = 1; i < t->n; i++) {
        const step *s = &t->steps[i], *before = s - 1;
        if (s->key > before->key ||
            (s->key == before->key && t->options->duplicates == CM_DUPLICATES_KEEP))
            continue;
        if (!keep)
            return refuse_order(t, before, s, err);
        text(t, s->key, a, sizeof a);
        text(t, before->key, b, sizeof b);
        add_example(&x, "%s of %s follows %s of %s", a, file_of(t, s), b, file_of(t, before));
    }
    if (x.n == 0)
        return 0;
    return cm_report_note(t->report, err, "%s: the values are not sorted: %s", name_of(t),
                          end_examples(&x));
}

/* Bring the table into the order of the result. */
static int arrange(table *t, cm_error *err)
{
    cm_unsorted rule = rule_of(t->options);
    qsort(t->steps, (size_t)t->n, sizeof *t->steps, by_value);
    int rc = strike_duplicates(t, err);
    t->sorted = rule == CM_UNSORTED_SORT || t->options->order == CM_ORDER_COORDINATE;
    if (rule == CM_UNSORTED_KEEP)
        t->sorted = false;
    if (rc == 0 && t->sorted && rule == CM_UNSORTED_REFUSE)
        rc = check_whole(t, err);
    if (rc == 0 && !t->sorted) {
        qsort(t->steps, (size_t)t->n, sizeof *t->steps, by_file);
        rc = check_given(t, err);
    }
    return rc;
}

/* ---- holes ----------------------------------------------------------------------------------- */

static __int128 plain(const table *t, int64_t i)
{
    return t->direction < 0 ? -t->steps[i].key : t->steps[i].key;
}

/* Where an instant lies in its month. */
typedef struct place {
    int64_t month;
    __int128 from_begin, to_end;
} place;

static bool place_of(const table *t, __int128 instant, place *out)
{
    __int128 next;
    if (!cm_month_of(t->e, instant, &out->month, &out->from_begin) ||
        !cm_instant_of_month(t->e, out->month + 1, 0, &next))
        return false;
    out->to_end = next - instant;
    return true;
}

/* The pace of the whole, in steps or in months. false: there are no holes. */
static bool find_pace(table *t, bool *by_month, cm_pace *pace)
{
    cm_pace steps = {0}, months = {0};
    place first, last, here;
    bool monthly = t->scale == CM_SCALE_INSTANT && t->n > 0 && place_of(t, plain(t, 0), &first);
    t->from_begin = t->from_end = true;
    last = first;
    for (int64_t i = 1; i < t->n; i++) {
        cm_pace_add(&steps, plain(t, i) - plain(t, i - 1));
        monthly = monthly && place_of(t, plain(t, i), &here) && here.month != last.month;
        if (!monthly)
            continue;
        cm_pace_add(&months, here.month - last.month);
        t->from_begin = t->from_begin && here.from_begin == first.from_begin;
        t->from_end = t->from_end && here.to_end == first.to_end;
        last = here;
    }
    *by_month = false;
    *pace = steps;
    if (cm_pace_has_holes(&steps))
        return true;
    *by_month = true;
    *pace = months;
    return monthly && steps.nleast < steps.n && cm_pace_has_holes(&months);
}

/* How many steps are missing before step i. */
static __int128 hole_before(const table *t, int64_t i, bool by_month, const cm_pace *pace)
{
    __int128 a = plain(t, i - 1), b = plain(t, i), rest;
    int64_t from, to;
    if (by_month) {
        if (!cm_month_of(t->e, a, &from, &rest) || !cm_month_of(t->e, b, &to, &rest))
            return 0;
        a = from;
        b = to;
    }
    return (b > a ? b - a : a - b) / pace->least - 1;
}

/* The instant so many months after a, at the same place of its month. */
static bool months_after(const table *t, __int128 a, int64_t months, __int128 *out)
{
    place p;
    if (!place_of(t, a, &p) || !(t->from_begin || t->from_end))
        return false;
    if (t->from_begin)
        return cm_instant_of_month(t->e, p.month + months, p.from_begin, out);
    if (!cm_instant_of_month(t->e, p.month + months + 1, 0, out))
        return false;
    *out -= p.to_end;
    return true;
}

static int fill_hole(const table *t, int64_t i, __int128 n, bool by_month, const cm_pace *pace,
                     cm_runs *out, cm_error *err)
{
    __int128 a = plain(t, i - 1), b = plain(t, i), least = b > a ? pace->least : -pace->least;
    char from[48], to[48];
    if (n > MOST_FILLED || (__int128)out->nfilled + n > MOST_FILLED)
        return cm_error_set(err, CM_ELIMIT, "more than %d steps are missing", MOST_FILLED);
    int rc = cm_grow(&out->filled, &out->filled_capacity, out->nfilled + (size_t)n,
                     sizeof *out->filled, err);
    if (rc == 0)
        rc = add_run(out, CM_RUN_FILLED, (int64_t)out->nfilled, (int64_t)n, err);
    for (__int128 k = 1; rc == 0 && k <= n; k++) {
        __int128 key = a + k * least;
        if (by_month && !months_after(t, a, (int64_t)(k * least), &key))
            rc = cm_join_refuse(t->e[t->steps[i].file].v, "--gaps warn or ignore joins across", err,
                                "the times missing between %s in %s and %s cannot be computed: "
                                "times are not at the same place of their months",
                                text(t, t->steps[i - 1].key, from, sizeof from),
                                file_of(t, &t->steps[i - 1]),
                                text(t, t->steps[i].key, to, sizeof to));
        out->filled[out->nfilled++] = key;
    }
    return rc;
}

static int refuse_hole(const table *t, int64_t i, __int128 n, cm_error *err)
{
    char a[48], b[48];
    return cm_join_refuse(t->e[t->steps[i].file].v,
                          "--gaps fill puts fill values there, --gaps warn or ignore joins across",
                          err, "%lld step%s missing between %s in %s and %s", (long long)n,
                          n == 1 ? " is" : "s are", text(t, t->steps[i - 1].key, a, sizeof a),
                          file_of(t, &t->steps[i - 1]), text(t, t->steps[i].key, b, sizeof b));
}

/* Make the runs of the table, looking for holes on the way. */
static int make_runs(table *t, cm_runs *out, cm_error *err)
{
    cm_gaps rule = t->options->gaps;
    cm_pace pace;
    examples x = {0};
    char a[48], b[48];
    __int128 missing = 0;
    bool holes = rule != CM_GAPS_IGNORE && t->scale != CM_SCALE_REAL && is_sorted(t) &&
                 find_pace(t, &out->by_month, &pace);
    int rc = 0;
    out->scale = t->scale;
    for (int64_t i = 0; rc == 0 && i < t->n; i++) {
        __int128 n = holes && i ? hole_before(t, i, out->by_month, &pace) : 0;
        if (n > 0 && rule == CM_GAPS_REFUSE)
            return refuse_hole(t, i, n, err);
        if (n > 0) {
            missing += n;
            text(t, t->steps[i - 1].key, a, sizeof a);
            text(t, t->steps[i].key, b, sizeof b);
            add_example(&x, "%lld between %s (%s) and %s (%s)", (long long)n, a,
                        file_of(t, &t->steps[i - 1]), b, file_of(t, &t->steps[i]));
        }
        if (n > 0 && rule == CM_GAPS_FILL)
            rc = fill_hole(t, i, n, out->by_month, &pace, out, err);
        if (rc == 0)
            rc = add_run(out, t->steps[i].file, t->steps[i].index, 1, err);
    }
    if (rc == 0)
        rc = cm_report_count(t->report, "missing", (int64_t)missing, err);
    if (rc == 0)
        rc = cm_report_count(t->report, "filled", (int64_t)out->nfilled, err);
    if (rc == 0 && missing)
        rc = cm_report_note(t->report, err, "%s: %lld step%s missing%s: %s", name_of(t),
                            (long long)missing, missing == 1 ? " is" : "s are",
                            out->nfilled ? " and filled" : "", end_examples(&x));
    return rc;
}

static bool is_whole(const table *t, const cm_runs *r)
{
    size_t k = 0;
    for (size_t i = 0; i < r->n; i++, k++) {
        while (k < t->nfiles && t->e[k].n == 0)
            k++;
        if (r->items[i].file != k || r->items[i].lo != 0 || r->items[i].n != t->e[k].n)
            return false;
    }
    while (k < t->nfiles && t->e[k].n == 0)
        k++;
    return k == t->nfiles;
}

int cm_runs_make(cm_context *ctx, const cm_extent *e, size_t n, const cm_join_options *options,
                 cm_runs *out, cm_report *report, cm_error *err)
{
    table t = {.ctx = ctx, .e = e, .nfiles = n, .options = options, .report = report};
    *out = (cm_runs){0};
    int rc = 0;
    for (size_t k = 0; rc == 0 && k < n; k++)
        if (e[k].missing >= 0)
            rc =
                cm_join_refuse(e[k].v, NULL, err, "the coordinate has no valid value at index %lld",
                               (long long)e[k].missing);
    if (rc == 0)
        rc = read_table(&t, err);
    if (rc == 0)
        rc = arrange(&t, err);
    if (rc == 0)
        rc = make_runs(&t, out, err);
    if (rc == 0)
        out->whole = is_whole(&t, out);
    if (rc == 0 && t.sorted && !out->whole && rule_of(options) == CM_UNSORTED_SORT)
        rc = cm_report_note(report, err,
                            "%s: the steps are sorted one by one: %zu runs of %zu files",
                            name_of(&t), out->n, n);
    free(t.begin);
    free(t.steps);
    cm_budget_unpin(cm_context_budget(ctx), t.pinned);
    return rc;
}
