/* join/order.c: file order by coordinate value.
 *
 * File names sort day-10 before day-2, so names do not count. Every file's coordinate is read once,
 * in parallel and in blocks; of each file only its first and last value stay. Within a file values
 * must be strictly monotonic, all files in one direction; the files are then sorted by their first
 * value and each must end before the next begins. Times are compared as instants, each file by its
 * own reference date, so no file needs another's units here.
 */
#include "join/order.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/context_private.h"
#include "base/memory.h"
#include "cf/roles.h"
#include "join/cells.h"
#include "join/rebuild.h"
#include "join/times.h"

enum { BLOCK = 4096 };

/* What is left of one file's coordinate. */
typedef struct extent {
    const cm_variable *v;
    cm_times times;
    bool by_instant;
    int64_t n;
    cm_number first, last;
    int direction; /* 1, -1; 0 for fewer than two values */
    size_t index;  /* of the dataset */
} extent;

typedef struct ordering {
    cm_context *ctx;
    extent *extents;
} ordering;

static const char *text_of(const extent *e, const cm_number *x, char *buf, size_t size)
{
    if (e->by_instant && x->is_int && cm_instant_text(e->times.units.calendar, x->i, buf, size))
        return buf;
    return cm_number_text(x, NULL, buf, size);
}

/* ---- reading --------------------------------------------------------------------------------- */

static int take(extent *e, const cm_number *x, int64_t index, cm_error *err)
{
    char a[48], b[48];
    cm_number v = *x;
    if (!v.missing && e->by_instant) {
        cm_instant t;
        if (cm_number_instant(x, &e->times.units, &t))
            v = (cm_number){.is_int = true, .i = t};
        else
            v.missing = true;
    }
    if (v.missing)
        return cm_join_refuse(e->v, NULL, err, "the coordinate has no valid value at index %lld",
                              (long long)index);
    if (index == 0) {
        e->first = e->last = v;
        return 0;
    }
    int direction = cm_number_compare(&v, &e->last);
    if (direction == 0 || (e->direction && direction != e->direction))
        return cm_join_refuse(e->v, "select a monotonic part with --isel", err,
                              "the coordinate is not monotonic: %s follows %s at index %lld",
                              text_of(e, &v, a, sizeof a), text_of(e, &e->last, b, sizeof b),
                              (long long)index);
    e->direction = direction;
    e->last = v;
    return 0;
}

static int read_extent(void *arg, int64_t index, int worker, cm_error *err)
{
    (void)worker;
    ordering *o = arg;
    extent *e = &o->extents[index];
    cm_numbers *numbers = NULL;
    cm_number *block = NULL;
    int64_t length = e->v->array->shape[0];
    if (length == 0)
        return 0;
    int rc = cm_numbers_open(o->ctx, e->v, &numbers, err);
    if (rc == 0 && !(block = cm_calloc((size_t)cm_min_i64(BLOCK, length), sizeof *block, err)))
        rc = CM_ENOMEM;
    for (int64_t at = 0; rc == 0 && at < length; at += BLOCK) {
        int64_t n = cm_min_i64(BLOCK, length - at);
        rc = cm_numbers_read(numbers, at, n, block, err);
        for (int64_t i = 0; rc == 0 && i < n; i++)
            rc = take(e, &block[i], at + i, err);
    }
    e->n = length;
    if (rc) {
        cm_error_object(err, cm_join_file(e->v));
        cm_error_variable(err, e->v->path);
    }
    free(block);
    cm_numbers_close(numbers);
    return rc;
}

/* ---- sorting --------------------------------------------------------------------------------- */

static int ascending(const void *va, const void *vb)
{
    const extent *a = va, *b = vb;
    if ((a->n == 0) != (b->n == 0))
        return a->n == 0 ? 1 : -1;
    int c = a->n == 0 ? 0 : cm_number_compare(&a->first, &b->first);
    return c ? c : (a->index > b->index) - (a->index < b->index);
}

static int descending(const void *va, const void *vb)
{
    const extent *a = va, *b = vb;
    if (a->n == 0 || b->n == 0)
        return ascending(va, vb);
    int c = cm_number_compare(&b->first, &a->first);
    return c ? c : (a->index > b->index) - (a->index < b->index);
}

static int find_direction(const extent *e, size_t n, int *out, cm_error *err)
{
    const extent *known = NULL;
    for (size_t k = 0; k < n; k++) {
        if (e[k].direction == 0)
            continue;
        if (known && known->direction != e[k].direction)
            return cm_join_refuse(e[k].v, NULL, err, "the coordinate is %s, but %s in %s",
                                  e[k].direction > 0 ? "ascending" : "descending",
                                  known->direction > 0 ? "ascending" : "descending",
                                  cm_join_file(known->v));
        known = known ? known : &e[k];
    }
    *out = known ? known->direction : 1;
    return 0;
}

static int check_neighbours(const extent *e, size_t n, int direction, cm_error *err)
{
    char a[48], b[48];
    for (size_t k = 1; k < n && e[k].n > 0; k++) {
        int c = cm_number_compare(&e[k].first, &e[k - 1].last) * direction;
        if (c > 0)
            continue;
        text_of(&e[k], &e[k].first, a, sizeof a);
        text_of(&e[k - 1], &e[k - 1].last, b, sizeof b);
        if (c == 0 || cm_number_compare(&e[k].first, &e[k - 1].first) == 0)
            return cm_join_refuse(e[k].v,
                                  "select a part of one of them with --isel or --sel, or leave the "
                                  "coordinate out with --skip: then the order given is kept",
                                  err, "the coordinate value %s is also in %s", a,
                                  cm_join_file(e[k - 1].v));
        return cm_join_refuse(e[k].v, "select a part of one of them with --isel or --sel", err,
                              "the coordinate begins at %s, inside of %s, which goes to %s", a,
                              cm_join_file(e[k - 1].v), b);
    }
    return 0;
}

/* ---- coordinates ----------------------------------------------------------------------------- */

static bool has_order(const cm_variable *v)
{
    return cm_cf_is_coordinate(v) &&
           (!v->array || cm_kind_is_integer(v->array->dtype.kind) ||
            v->array->dtype.kind == CM_FLOAT32 || v->array->dtype.kind == CM_FLOAT64);
}

static int gather(cm_dataset *const *datasets, size_t n, const cm_variable *coordinate, extent *e,
                  cm_error *err)
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
        e[k] = (extent){.v = v, .index = k};
        cm_times_of(v, NULL, &e[k].times);
        instants = instants && e[k].times.known;
        bool differ;
        rc = cm_times_match(e[0].v, &e[0].times, v, &e[k].times, &differ, err);
        if (rc == 0 && (!has_order(v) || !cm_dtype_equal(v->array->dtype, e[0].v->array->dtype))) {
            char have[CM_DTYPE_NAME], want[CM_DTYPE_NAME];
            rc = cm_join_refuse(v, NULL, err, "dtype is %s with %d dimensions, but %s in %s",
                                cm_dtype_name(v->array->dtype, have, sizeof have), v->ndim,
                                cm_dtype_name(e[0].v->array->dtype, want, sizeof want),
                                cm_join_file(e[0].v));
        }
    }
    for (size_t k = 0; k < n; k++)
        e[k].by_instant = instants;
    return rc;
}

/* Order by this coordinate, or check it against the order already found. */
static int order_by(cm_context *ctx, cm_dataset *const *datasets, size_t n,
                    const cm_variable *coordinate, bool ordered, size_t *order, cm_error *err)
{
    int direction = 1;
    extent *e = cm_calloc(n, sizeof *e, err), *sorted = cm_calloc(n, sizeof *e, err);
    ordering o = {.ctx = ctx, .extents = e};
    int rc = e && sorted ? gather(datasets, n, coordinate, e, err) : CM_ENOMEM;
    if (rc == 0)
        rc = cm_pool_for(cm_context_pool(ctx), ctx, (int64_t)n,
                         cm_pool_size(cm_context_pool(ctx)) + 1, read_extent, &o, err);
    if (rc == 0)
        rc = find_direction(e, n, &direction, err);
    if (rc)
        goto out;
    for (size_t k = 0; k < n; k++)
        sorted[k] = e[ordered ? order[k] : k];
    if (!ordered)
        qsort(sorted, n, sizeof *sorted, direction > 0 ? ascending : descending);
    rc = check_neighbours(sorted, n, direction, err);
    for (size_t k = 0; k < n && !ordered; k++)
        order[k] = sorted[k].index;
out:
    free(e);
    free(sorted);
    return rc;
}

int cm_order_files(cm_context *ctx, cm_dataset *const *datasets, size_t n, const char *dimension,
                   size_t *order, cm_error *err)
{
    cm_variable **list = NULL;
    size_t nlist = 0;
    bool ordered = false;
    for (size_t k = 0; k < n; k++)
        order[k] = k;
    int rc = cm_rebuild_list(datasets[0]->root, &list, &nlist, err);
    for (size_t i = 0; rc == 0 && n > 1 && i < nlist; i++)
        if (has_order(list[i]) && strcmp(list[i]->name, dimension) == 0) {
            rc = order_by(ctx, datasets, n, list[i], ordered, order, err);
            ordered = true;
        }
    if (rc == 0 && n > 1 && !ordered)
        cm_context_log(ctx, CM_LOG_WARNING,
                       "dimension %s has no numeric coordinate variable: the files are joined in "
                       "the order given",
                       dimension);
    free(list);
    return rc;
}
