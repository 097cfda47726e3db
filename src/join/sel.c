/* join/sel.c: which indices of a coordinate lie between two values.
 *
 * The coordinate is read in blocks and every value is compared: no assumption about its order, so
 * ascending and descending ones are one case, memory is bounded, and a coordinate that is not
 * monotonic still works as long as what is selected is one run of indices.
 *
 * Numbers are compared in long double, which holds every 64-bit integer and double; the ends are
 * first rounded to the coordinate's own type when that is float32, so that lat=0.1:0.3 finds the
 * cells that print as 0.1 and 0.3. Packed coordinates are unpacked first. Times are compared as
 * instants: integers exactly, floats as rounded to what they can mean (cf/time_units.h), so that
 * 08:00 stored as a third of a day is 08:00.
 */
#include "join/sel.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "cf/packing.h"
#include "cf/roles.h"
#include "cf/time_units.h"
#include "join/cells.h"

enum { BLOCK = 1 << 16 };

typedef struct query {
    const cm_variable *v;
    bool is_time, has_low, has_high;
    cm_time_units units;
    long double low, high; /* numbers, both included */
    cm_instant begin, end; /* times, end excluded */
} query;

typedef struct found {
    int64_t first, last, count, seen; /* seen: values that are not missing */
    cm_number min, max;
} found;

static int wrong(const query *q, const char *text, size_t nbytes, const char *what, cm_error *err)
{
    cm_error_set(err, CM_EINVAL, "%s=%.*s: %s", q->v->name, (int)(nbytes > 80 ? 80 : nbytes), text,
                 what);
    return CM_EINVAL;
}

static int parse_number(const query *q, const char *text, size_t nbytes, long double *out,
                        cm_error *err)
{
    char copy[64], *end;
    if (nbytes == 0 || nbytes >= sizeof copy)
        return wrong(q, text, nbytes, "not a number", err);
    memcpy(copy, text, nbytes);
    copy[nbytes] = 0;
    *out = strtold(copy, &end);
    if (*end || isnan(*out))
        return wrong(q, text, nbytes, "not a number", err);
    if (q->v->array->dtype.kind == CM_FLOAT32)
        *out = (long double)strtof(copy, NULL);
    else if (q->v->array->dtype.kind == CM_FLOAT64)
        *out = (long double)strtod(copy, NULL);
    return 0;
}

/* One side, or with low and high both true the single value. */
static int parse_end(query *q, const char *text, size_t nbytes, bool low, bool high, cm_error *err)
{
    long double value = 0;
    cm_instant begin = 0, end = 0;
    int rc = q->is_time ? cm_time_period_parse(q->units.calendar, text, nbytes, &begin, &end, err)
                        : parse_number(q, text, nbytes, &value, err);
    if (rc)
        return rc;
    if (low) {
        q->low = value;
        q->begin = begin;
        q->has_low = true;
    }
    if (high) {
        q->high = value;
        q->end = end;
        q->has_high = true;
    }
    return 0;
}

static int parse_query(query *q, const char *text, size_t nbytes, cm_error *err)
{
    const char *cut = memchr(text, '/', nbytes);
    if (!cut && !q->is_time)
        cut = memchr(text, ':', nbytes);
    if (!cut)
        return parse_end(q, text, nbytes, true, true, err);
    size_t left = (size_t)(cut - text), right = nbytes - left - 1;
    if (memchr(cut + 1, '/', right) || (!q->is_time && memchr(cut + 1, ':', right)))
        return wrong(q, text, nbytes, "more than two ends", err);
    int rc = left ? parse_end(q, text, left, true, false, err) : 0;
    if (rc == 0 && right)
        rc = parse_end(q, cut + 1, right, false, true, err);
    if (rc == 0 && q->has_low && q->has_high &&
        (q->is_time ? q->begin >= q->end : q->low > q->high))
        rc = wrong(q, text, nbytes, "the first end is above the second", err);
    return rc;
}

static bool inside(const query *q, const cm_number *x)
{
    if (!q->is_time) {
        long double v = x->is_int ? (long double)x->i : (long double)x->f;
        return (!q->has_low || v >= q->low) && (!q->has_high || v <= q->high);
    }
    cm_instant t;
    if (!cm_number_instant(x, &q->units, &t))
        return false;
    return (!q->has_low || t >= q->begin) && (!q->has_high || t < q->end);
}

static void look(const query *q, const cm_number *x, int64_t index, found *f)
{
    if (x->missing)
        return;
    if (f->seen++ == 0)
        f->min = f->max = *x;
    if (cm_number_compare(x, &f->min) < 0)
        f->min = *x;
    if (cm_number_compare(x, &f->max) > 0)
        f->max = *x;
    if (!inside(q, x))
        return;
    if (f->count++ == 0)
        f->first = index;
    f->last = index;
}

static int scan(cm_context *ctx, const query *q, found *f, cm_error *err)
{
    cm_numbers *numbers = NULL;
    int rc = cm_numbers_open(ctx, q->v, &numbers, err);
    int64_t length = q->v->shape[0];
    cm_number *block = rc ? NULL : cm_calloc(BLOCK, sizeof *block, err);
    if (rc == 0 && !block)
        rc = CM_ENOMEM;
    for (int64_t at = 0; rc == 0 && at < length; at += BLOCK) {
        int64_t n = cm_min_i64(BLOCK, length - at);
        rc = cm_numbers_read(numbers, at, n, block, err);
        for (int64_t i = 0; rc == 0 && i < n; i++)
            look(q, &block[i], at + i, f);
    }
    free(block);
    cm_numbers_close(numbers);
    return rc;
}

static void hint_range(const query *q, const found *f, cm_error *err)
{
    char a[48], b[48];
    if (f->seen == 0) {
        cm_error_hint(err, "the coordinate has no values");
        return;
    }
    const cm_time_units *u = q->is_time ? &q->units : NULL;
    cm_error_hint(err, "%s goes from %s to %s", q->v->name, cm_number_text(&f->min, u, a, sizeof a),
                  cm_number_text(&f->max, u, b, sizeof b));
}

int cm_sel_find(cm_context *ctx, const cm_variable *coordinate, const char *text, size_t nbytes,
                int64_t *lo, int64_t *n, cm_error *err)
{
    query q = {.v = coordinate};
    found f = {0};
    const char *units = cm_cf_text(coordinate, "units");
    q.is_time = cm_units_are_time(units);
    int rc = 0;
    if (q.is_time)
        rc = cm_time_units_parse(units, cm_cf_text(coordinate, "calendar"), &q.units, err);
    if (rc == 0)
        rc = parse_query(&q, text, nbytes, err);
    if (rc == 0)
        rc = scan(ctx, &q, &f, err);
    if (rc == 0 && f.count == 0) {
        rc = wrong(&q, text, nbytes, "selects nothing", err);
        hint_range(&q, &f, err);
    }
    if (rc == 0 && f.count != f.last - f.first + 1) {
        rc = wrong(&q, text, nbytes, "the values selected are not next to each other", err);
        cm_error_hint(err, "the coordinate is not monotonic; select by index with --isel");
    }
    if (rc == CM_EINVAL && q.is_time && memchr(text, ':', nbytes) && !memchr(text, '/', nbytes))
        cm_error_hint(err, "two times are parted by '/', as in %s=2001/2010", coordinate->name);
    if (rc) {
        cm_error_object(err, coordinate->group->dataset->uri);
        cm_error_variable(err, coordinate->path);
    }
    *lo = f.first;
    *n = f.count;
    return rc;
}
