/* join/extent.c: see the header.
 *
 * Every file's coordinate is read once, in parallel and in blocks; of each file its ends stay, the
 * first place where it turns, and how regular it is. The pace is kept as least difference and
 * divisor of all, which can be merged over files and need no list: if the least divides all, then
 * the axis is a multiple of it everywhere, and larger differences are holes. Months have no fixed
 * length; so where no two values fall in one month the same is done with numbers of months.
 */
#include "join/extent.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/context_private.h"
#include "base/memory.h"
#include "cf/roles.h"
#include "join/rebuild.h"

enum { BLOCK = 4096 };

/* ---- pace ------------------------------------------------------------------------------------ */

static __int128 gcd(__int128 a, __int128 b)
{
    while (b) {
        __int128 r = a % b;
        a = b;
        b = r;
    }
    return a;
}

void cm_pace_merge(cm_pace *p, const cm_pace *other)
{
    if (other->n == 0)
        return;
    if (p->n == 0 || other->least < p->least) {
        p->least = other->least;
        p->nleast = other->nleast;
    } else if (other->least == p->least) {
        p->nleast += other->nleast;
    }
    p->divisor = p->divisor == other->divisor ? p->divisor : gcd(p->divisor, other->divisor);
    p->n += other->n;
}

void cm_pace_add(cm_pace *p, __int128 difference)
{
    if (difference < 0)
        difference = -difference;
    cm_pace_merge(p, &(cm_pace){difference, difference, 1, 1});
}

bool cm_pace_has_holes(const cm_pace *p)
{
    return p->n > 0 && p->least > 0 && p->divisor == p->least && p->nleast < p->n &&
           p->nleast > p->n - p->nleast;
}

/* ---- months ---------------------------------------------------------------------------------- */

static bool month_begins(cm_calendar c, int64_t month, __int128 *instant)
{
    cm_date d = {.year = month / 12, .month = (int)(month % 12) + 1, .day = 1};
    if (d.month < 1) {
        d.year--;
        d.month += 12;
    }
    return cm_instant_of_date(c, &d, instant);
}

bool cm_month_of(const cm_extent *e, __int128 instant, int64_t *month, __int128 *rest)
{
    cm_date d;
    __int128 begin;
    if (!cm_date_of_instant(e->times.units.calendar, instant, &d))
        return false;
    *month = d.year * 12 + d.month - 1;
    if (!month_begins(e->times.units.calendar, *month, &begin))
        return false;
    *rest = instant - begin;
    return true;
}

bool cm_instant_of_month(const cm_extent *e, int64_t month, __int128 rest, __int128 *instant)
{
    int64_t there;
    __int128 begin, left;
    if (!month_begins(e->times.units.calendar, month, &begin))
        return false;
    *instant = begin + rest;
    return cm_month_of(e, *instant, &there, &left) && there == month && left == rest;
}

/* ---- numbers --------------------------------------------------------------------------------- */

const char *cm_extent_text(const cm_extent *e, const cm_number *x, char *buf, size_t size)
{
    if (e->by_instant && x->is_int && cm_instant_text(e->times.units.calendar, x->i, buf, size))
        return buf;
    return cm_number_text(x, NULL, buf, size);
}

cm_number cm_extent_number(const cm_extent *e, const cm_number *x)
{
    cm_number v = *x;
    cm_instant t;
    if (v.missing || !e->by_instant)
        return v;
    if (cm_number_instant(x, &e->times.units, &t))
        return (cm_number){.is_int = true, .i = t};
    v.missing = true;
    return v;
}

static bool is_whole(const cm_number *x)
{
    return x->is_int || (x->f == trunc(x->f) && fabs(x->f) < 0x1p62);
}

/* Doubles in the order of their bits, negative ones turned round; -0 is 0. */
static int64_t sortable(double f)
{
    int64_t bits;
    f += 0.0;
    memcpy(&bits, &f, sizeof bits);
    return bits < 0 ? -(bits & INT64_MAX) : bits;
}

static double unsortable(int64_t key)
{
    int64_t bits = key < 0 ? -key : key;
    double f;
    memcpy(&f, &bits, sizeof f);
    return key < 0 ? -f : f;
}

__int128 cm_scale_key(cm_scale scale, const cm_number *x)
{
    if (x->is_int)
        return x->i;
    return scale == CM_SCALE_REAL ? (__int128)sortable(x->f) : (__int128)x->f;
}

const char *cm_scale_text(cm_scale scale, const cm_extent *e, __int128 key, char *buf, size_t size)
{
    cm_number x = {.is_int = true, .i = key};
    if (scale == CM_SCALE_REAL)
        x = (cm_number){.is_float32 = e->v->array->dtype.kind == CM_FLOAT32,
                        .f = unsortable((int64_t)key)};
    return cm_extent_text(e, &x, buf, size);
}

int cm_extents_direction(const cm_extent *e, size_t n)
{
    bool rises = false, falls = false;
    for (size_t k = 0; k < n; k++) {
        rises = rises || e[k].rises;
        falls = falls || e[k].falls;
    }
    return falls && !rises ? -1 : 1;
}

cm_scale cm_extents_scale(const cm_extent *e, size_t n)
{
    bool whole = true, instants = true;
    for (size_t k = 0; k < n; k++) {
        whole = whole && e[k].whole;
        instants = instants && e[k].by_instant;
    }
    return instants ? CM_SCALE_INSTANT : whole ? CM_SCALE_WHOLE : CM_SCALE_REAL;
}

/* ---- reading --------------------------------------------------------------------------------- */

static void take_month(cm_extent *e, const cm_number *v)
{
    const __int128 most = (__int128)27 * CM_NS_PER_DAY;
    int64_t a, b;
    __int128 rest, step = v->i - e->last.i;
    if (e->monthly && (step < 0 ? -step : step) < most)
        e->monthly = false;
    if (!e->monthly)
        return;
    e->monthly = cm_month_of(e, e->last.i, &a, &rest) && cm_month_of(e, v->i, &b, &rest) && a != b;
    if (e->monthly)
        cm_pace_add(&e->months, b - a);
}

static void take(cm_extent *e, const cm_number *x, int64_t index)
{
    cm_number v = cm_extent_number(e, x);
    if (v.missing) {
        e->missing = e->missing < 0 ? index : e->missing;
        return;
    }
    e->whole = e->whole && is_whole(&v);
    if (index == 0) {
        e->first = e->last = v;
        return;
    }
    int direction = cm_number_compare(&v, &e->last);
    e->rises = e->rises || direction > 0;
    e->falls = e->falls || direction < 0;
    if (e->odd < 0 && (direction == 0 || (e->direction && direction != e->direction))) {
        e->odd = index;
        e->odd_value = v;
        e->odd_before = e->last;
    }
    e->direction = e->direction ? e->direction : direction;
    if (e->whole && e->odd < 0) {
        cm_pace_add(&e->steps, v.is_int ? v.i - e->last.i : (__int128)(v.f - e->last.f));
        if (e->by_instant)
            take_month(e, &v);
    }
    e->last = v;
}

typedef struct reading {
    cm_context *ctx;
    cm_extent *extents;
    bool counts; /* of many files: progress is told */
} reading;

static int read_one(void *arg, int64_t index, int worker, cm_error *err)
{
    (void)worker;
    reading *r = arg;
    cm_extent *e = &r->extents[index];
    cm_numbers *numbers = NULL;
    cm_number *block = NULL;
    int64_t length = e->v->array->shape[0];
    if (length == 0)
        return 0;
    int rc = cm_numbers_open(r->ctx, e->v, &numbers, err);
    if (rc == 0 && !(block = cm_calloc((size_t)cm_min_i64(BLOCK, length), sizeof *block, err)))
        rc = CM_ENOMEM;
    for (int64_t at = 0; rc == 0 && e->missing < 0 && at < length; at += BLOCK) {
        int64_t n = cm_min_i64(BLOCK, length - at);
        rc = cm_numbers_read(numbers, at, n, block, err);
        for (int64_t i = 0; rc == 0 && e->missing < 0 && i < n; i++)
            take(e, &block[i], at + i);
    }
    e->n = length;
    if (rc) {
        cm_error_object(err, cm_join_file(e->v));
        cm_error_variable(err, e->v->path);
    }
    free(block);
    cm_numbers_close(numbers);
    if (r->counts)
        cm_context_progress_add(r->ctx, 1);
    return rc;
}

bool cm_extent_orders(const cm_variable *v)
{
    return cm_cf_is_coordinate(v) &&
           (!v->array || cm_kind_is_integer(v->array->dtype.kind) ||
            v->array->dtype.kind == CM_FLOAT32 || v->array->dtype.kind == CM_FLOAT64);
}

static int gather(cm_dataset *const *datasets, size_t n, const cm_variable *coordinate,
                  cm_extent *e, cm_error *err)
{
    bool instants = true;
    int rc = 0;
    for (size_t k = 0; rc == 0 && k < n; k++) {
        cm_variable *v = cm_dataset_counterpart(datasets[k], coordinate);
        if (!v) {
            cm_error_set(err, CM_EJOIN, "the coordinate variable is missing, but is in %s",
                         cm_join_file(coordinate));
            cm_error_object(err, datasets[k]->uri);
            cm_error_variable(err, coordinate->path);
            return CM_EJOIN;
        }
        if (!v->array)
            return cm_rebuild_unreadable(v, err);
        e[k] = (cm_extent){.v = v, .index = k, .odd = -1, .missing = -1, .whole = true};
        cm_times_of(v, NULL, &e[k].times);
        instants = instants && e[k].times.known;
        bool differ;
        rc = cm_times_match(e[0].v, &e[0].times, v, &e[k].times, &differ, err);
        if (rc == 0 &&
            (!cm_extent_orders(v) || !cm_dtype_equal(v->array->dtype, e[0].v->array->dtype))) {
            char have[CM_DTYPE_NAME], want[CM_DTYPE_NAME];
            rc = cm_join_refuse(v, NULL, err, "dtype is %s with %d dimensions, but %s in %s",
                                cm_dtype_name(v->array->dtype, have, sizeof have), v->ndim,
                                cm_dtype_name(e[0].v->array->dtype, want, sizeof want),
                                cm_join_file(e[0].v));
        }
    }
    for (size_t k = 0; k < n; k++)
        e[k].by_instant = e[k].monthly = instants;
    return rc;
}

int cm_extents_read(cm_context *ctx, cm_dataset *const *datasets, size_t n,
                    const cm_variable *coordinate, cm_extent *out, cm_error *err)
{
    reading r = {.ctx = ctx, .extents = out, .counts = n > 1};
    int rc = gather(datasets, n, coordinate, out, err);
    if (r.counts)
        cm_context_progress_count(ctx, "read", coordinate->path, "files", (int64_t)n);
    if (rc == 0)
        rc = cm_pool_for(cm_context_pool(ctx), ctx, (int64_t)n,
                         cm_pool_size(cm_context_pool(ctx)) + 1, read_one, &r, err);
    return rc;
}
