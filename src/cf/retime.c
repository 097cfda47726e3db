/* cf/retime.c: the map from times in one file's units to another's.
 *
 * Files of one archive often count from their own first day ("days since 2001-01-01", then 2002).
 * To stand side by side their numbers must be recounted from one day, and a recount that changes an
 * instant would be silent wrong data; so integers are recounted in integers and whatever does not
 * come out even stops the read, with the file, the value and both units in the message.
 */
#include "cf/retime.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array/compose.h"
#include "base/memory.h"
#include "nd/cell.h"

typedef struct retime_state {
    cm_packing packing;
    cm_time_units from, to;
    char *label, *path;
} retime_state;

static void free_state(void *state)
{
    retime_state *s = state;
    if (s) {
        free(s->label);
        free(s->path);
    }
    free(s);
}

static const char *unit_name(const cm_time_units *u, char *buf, size_t size)
{
    static const struct {
        int64_t ns;
        const char *name;
    } t[] = {{7 * CM_NS_PER_DAY, "weeks"},
             {CM_NS_PER_DAY, "days"},
             {3600 * CM_NS_PER_SECOND, "hours"},
             {60 * CM_NS_PER_SECOND, "minutes"},
             {CM_NS_PER_SECOND, "seconds"},
             {1000000, "milliseconds"},
             {1000, "microseconds"},
             {1, "nanoseconds"},
             {30 * CM_NS_PER_DAY, "months"},
             {365 * CM_NS_PER_DAY, "years"}};
    char date[40];
    const char *name = "units";
    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        if (t[i].ns == u->unit_ns)
            name = t[i].name;
    if (!cm_instant_text(u->calendar, u->reference, date, sizeof date))
        date[0] = 0;
    snprintf(buf, size, "%s since %s", name, date);
    return buf;
}

static int refuse(const retime_state *s, const char *value, const char *why, cm_error *err)
{
    char from[96], to[96];
    cm_error_set(err, CM_EDATA, "%s %s %s in %s", value, unit_name(&s->from, from, sizeof from),
                 why, unit_name(&s->to, to, sizeof to));
    cm_error_object(err, s->label);
    cm_error_variable(err, s->path);
    return CM_EDATA;
}

static int refuse_int(const retime_state *s, __int128 v, const char *why, cm_error *err)
{
    char text[32];
    if (v < 0)
        snprintf(text, sizeof text, "%" PRId64, (int64_t)v);
    else
        snprintf(text, sizeof text, "%" PRIu64, (uint64_t)v);
    return refuse(s, text, why, err);
}

static int refuse_float(const retime_state *s, double v, const char *why, cm_error *err)
{
    char text[32];
    snprintf(text, sizeof text, "%.17g", v);
    return refuse(s, text, why, err);
}

/* false when v does not fit */
static bool store_int(cm_kind kind, __int128 v, void *p)
{
    int bits = 0;
    bool is_unsigned = cm_kind_is_unsigned(kind);
    switch (kind) {
    case CM_INT8:
    case CM_UINT8: bits = 8; break;
    case CM_INT16:
    case CM_UINT16: bits = 16; break;
    case CM_INT32:
    case CM_UINT32: bits = 32; break;
    default: bits = 64; break;
    }
    __int128 one = 1, limit = one << (is_unsigned ? bits : bits - 1);
    if (v >= limit || v < (is_unsigned ? 0 : -limit))
        return false;
    uint64_t u = (uint64_t)v;
    uint32_t u32 = (uint32_t)u;
    uint16_t u16 = (uint16_t)u;
    uint8_t u8 = (uint8_t)u;
    memcpy(p,
           bits == 64   ? (void *)&u
           : bits == 32 ? (void *)&u32
           : bits == 16 ? (void *)&u16
                        : &u8,
           (size_t)bits / 8);
    return true;
}

static int retime_ints(const cm_map *map, const void *src, void *dst, int64_t n, cm_arena *arena,
                       cm_error *err)
{
    (void)arena;
    const retime_state *s = map->state;
    const cm_kind kind = s->packing.packed.kind;
    const size_t size = map->from.size;
    const uint8_t *from = src;
    uint8_t *to = dst;
    for (int64_t i = 0; i < n; i++, from += size, to += size) {
        if (cm_packing_is_missing(&s->packing, from)) {
            memcpy(to, from, size);
            continue;
        }
        __int128 v = cm_cell_integer(kind, from), w;
        if (!cm_time_recode_int(&s->from, &s->to, v, &w))
            return refuse_int(s, v, "is no whole number", err);
        if (!store_int(kind, w, to))
            return refuse_int(s, v, "does not fit the data type", err);
        if (cm_packing_is_missing(&s->packing, to))
            return refuse_int(s, v, "is the number that means missing", err);
    }
    return 0;
}

static int retime_doubles(const cm_map *map, const void *src, void *dst, int64_t n, cm_arena *arena,
                          cm_error *err)
{
    (void)arena;
    const retime_state *s = map->state;
    const uint8_t *from = src;
    uint8_t *to = dst;
    for (int64_t i = 0; i < n; i++, from += sizeof(double), to += sizeof(double)) {
        double v, w;
        bool exact;
        memcpy(&v, from, sizeof v);
        w = v;
        bool missing = cm_packing_is_missing(&s->packing, from) || !isfinite(v);
        if (!missing && !cm_time_recode_double(&s->from, &s->to, v, &w, &exact))
            return refuse_float(s, v, "cannot be a time", err);
        memcpy(to, &w, sizeof w);
        if (!missing && cm_packing_is_missing(&s->packing, to))
            return refuse_float(s, v, "is the number that means missing", err);
    }
    return 0;
}

static int retime_floats(const cm_map *map, const void *src, void *dst, int64_t n, cm_arena *arena,
                         cm_error *err)
{
    (void)arena;
    const retime_state *s = map->state;
    const uint8_t *from = src;
    uint8_t *to = dst;
    for (int64_t i = 0; i < n; i++, from += sizeof(float), to += sizeof(float)) {
        float v;
        memcpy(&v, from, sizeof v);
        if (cm_packing_is_missing(&s->packing, from) || !isfinite(v)) {
            memcpy(to, from, sizeof v);
            continue;
        }
        double w = 0;
        bool exact = false;
        bool fits = cm_time_recode_double(&s->from, &s->to, (double)v, &w, &exact);
        float narrow = (float)w;
        if (!fits || !exact || (double)narrow != w)
            return refuse_float(s, (double)v, "is not a float32", err);
        memcpy(to, &narrow, sizeof narrow);
        if (cm_packing_is_missing(&s->packing, to))
            return refuse_float(s, (double)v, "is the number that means missing", err);
    }
    return 0;
}

int cm_array_retime(cm_array *src, const cm_packing *packing, const cm_time_units *from,
                    const cm_time_units *to, cm_array **out, cm_error *err)
{
    assert(from->calendar == to->calendar);
    *out = NULL;
    cm_map_fn apply = NULL;
    if (cm_kind_is_integer(src->dtype.kind))
        apply = retime_ints;
    else if (src->dtype.kind == CM_FLOAT64)
        apply = retime_doubles;
    else if (src->dtype.kind == CM_FLOAT32)
        apply = retime_floats;
    if (!apply || packing->scaled) {
        char name[24];
        return cm_error_set(err, CM_EUNSUP, "%s times of type %s cannot be put into other units",
                            packing->scaled ? "packed" : "unpacked",
                            cm_dtype_name(src->dtype, name, sizeof name));
    }
    retime_state *s = cm_calloc(1, sizeof *s, err);
    if (!s)
        return CM_ENOMEM;
    s->packing = *packing;
    s->from = *from;
    s->to = *to;
    cm_error ignored;
    cm_error_clear(&ignored);
    s->label = cm_strdup(src->label, &ignored);
    s->path = cm_strdup(src->path, &ignored);
    if (ignored.code) {
        free_state(s);
        return cm_error_set(err, CM_ENOMEM, "%s", ignored.message);
    }
    /* A fill that is no time in the new units stays: if it is ever read, the read says so. */
    uint64_t fill = 0;
    const cm_map map = {.from = src->dtype, .to = src->dtype, .apply = apply, .state = s};
    if (apply(&map, src->fill, &fill, 1, NULL, &ignored))
        memcpy(&fill, src->fill, src->dtype.size);
    return cm_array_map(src, src->dtype, apply, s, free_state, &fill, out, err);
}
