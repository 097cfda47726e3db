/* join/cells.c: see the header. Integers stay integers (128 bits hold both signs of 64), floats
 * become doubles: nothing is lost. */
#include "join/cells.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "join/rebuild.h"
#include "nd/cell.h"

struct cm_numbers {
    cm_context *ctx;
    cm_array *array;    /* unpacked */
    cm_packing packing; /* for fill values, when they are still in the cells */
    void *cells;
    size_t capacity;
};

int cm_number_compare(const cm_number *a, const cm_number *b)
{
    if (a->is_int)
        return (a->i > b->i) - (a->i < b->i);
    return (a->f > b->f) - (a->f < b->f);
}

bool cm_number_instant(const cm_number *x, const cm_time_units *units, cm_instant *out)
{
    cm_date unused;
    if (x->missing)
        return false;
    if (!x->is_int)
        return cm_time_of_double(units, x->f, x->is_float32, out);
    *out = cm_time_of_int(units, x->i);
    return cm_date_of_instant(units->calendar, *out, &unused);
}

const char *cm_number_text(const cm_number *x, const cm_time_units *units, char *buf, size_t size)
{
    cm_instant t;
    if (units && cm_number_instant(x, units, &t) && cm_instant_text(units->calendar, t, buf, size))
        return buf;
    char text[32];
    if (x->missing)
        snprintf(buf, size, "missing");
    else if (x->is_int && x->i < 0)
        snprintf(buf, size, "%lld", (long long)x->i);
    else if (x->is_int)
        snprintf(buf, size, "%llu", (unsigned long long)x->i);
    else
        snprintf(buf, size, "%s",
                 x->is_float32 ? cm_float_text((float)x->f, text) : cm_double_text(x->f, text));
    return buf;
}

static int unsupported(const cm_variable *v, cm_error *err)
{
    char name[CM_DTYPE_NAME];
    cm_error_set(err, CM_EUNSUP, "a coordinate of type %s with %d dimensions has no order",
                 cm_dtype_name(v->array->dtype, name, sizeof name), v->ndim);
    cm_error_object(err, v->group->dataset->uri);
    cm_error_variable(err, v->path);
    return CM_EUNSUP;
}

int cm_numbers_open(cm_context *ctx, const cm_variable *v, cm_numbers **out, cm_error *err)
{
    *out = NULL;
    cm_array *array = v->array;
    if (!array)
        return cm_rebuild_unreadable(v, err);
    cm_kind kind = array->dtype.kind;
    if (v->ndim != 1 || !(cm_kind_is_integer(kind) || kind == CM_FLOAT32 || kind == CM_FLOAT64))
        return unsupported(v, err);
    cm_numbers *s = cm_calloc(1, sizeof *s, err);
    if (!s)
        return CM_ENOMEM;
    s->ctx = ctx;
    int rc = cm_packing_of(v, &s->packing, err);
    if (rc == 0 && (s->packing.scaled || s->packing.reinterpreted)) {
        cm_dtype to = cm_packing_dtype(&s->packing, CM_UNPACK_FLOAT64, true);
        rc = cm_array_unpack(array, &s->packing, to, &s->array, err);
        s->packing = (cm_packing){.stored = to, .packed = to, .natural = to};
    } else if (rc == 0) {
        s->array = cm_array_ref(array);
    }
    if (rc) {
        cm_error_object(err, v->group->dataset->uri);
        free(s);
        return rc;
    }
    *out = s;
    return 0;
}

void cm_numbers_close(cm_numbers *s)
{
    if (!s)
        return;
    cm_array_unref(s->array);
    free(s->cells);
    free(s);
}

void cm_number_of_cell(cm_kind kind, const void *cell, cm_number *x)
{
    float f;
    *x = (cm_number){.is_int = cm_kind_is_integer(kind), .is_float32 = kind == CM_FLOAT32};
    if (x->is_int) {
        x->i = cm_cell_integer(kind, cell);
    } else if (x->is_float32) {
        memcpy(&f, cell, sizeof f);
        x->f = (double)f;
    } else {
        memcpy(&x->f, cell, sizeof x->f);
    }
}

int cm_numbers_read(cm_numbers *s, int64_t lo, int64_t n, cm_number *out, cm_error *err)
{
    const size_t size = s->array->dtype.size;
    int rc = cm_grow(&s->cells, &s->capacity, (size_t)n, size, err);
    if (rc == 0)
        rc = cm_array_read(s->ctx, s->array, &lo, &n, s->cells, NULL, NULL, err);
    const uint8_t *cell = s->cells;
    for (int64_t i = 0; rc == 0 && i < n; i++, cell += size) {
        cm_number_of_cell(s->array->dtype.kind, cell, &out[i]);
        out[i].missing = cm_packing_is_missing(&s->packing, cell);
    }
    return rc;
}
