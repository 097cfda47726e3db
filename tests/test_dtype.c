/* Records: layout, names, equality, byte order, refusals; times and small numbers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nd/copy.h"
#include "tap.h"

static void layout(void)
{
    const int64_t two[] = {2, 3};
    cm_error err = {0};
    cm_record *inner, *outer, *again;
    char buf[CM_DTYPE_NAME], tiny[24];
    const cm_field in[] = {{.name = "q", .dtype = cm_dtype_of(CM_INT16, 0), .big_endian = true},
                           {.name = "r", .dtype = cm_dtype_of(CM_FLOAT64, 0)}};
    TAP_CALL(cm_record_new(in, 2, &inner, &err), &err);
    const cm_field out[] = {
        {.name = "n", .dtype = cm_dtype_of(CM_INT8, 0)},
        {.name = "p", .dtype = cm_dtype_record(CM_RECORD, inner), .ndim = 2, .shape = two},
        {.name = "t", .dtype = cm_dtype_time(CM_DATETIME64, CM_UNIT_NS, 25)}};
    TAP_CALL(cm_record_new(out, 3, &outer, &err), &err);
    TAP_CALL(cm_record_new(out, 3, &again, &err), &err);
    TAP_EQ(inner->nbytes, 10);
    TAP_EQ(outer->nbytes, 1 + 60 + 8);
    TAP_EQ(outer->fields[2].offset, 61);
    TAP_EQ(outer->fields[1].nbytes, 60);
    cm_dtype t = cm_dtype_record(CM_RECORD, outer);
    TAP_EQ(t.size, 69);
    TAP_EQ(cm_dtype_word(t), 1);
    TAP_STR(cm_dtype_name(t, buf, sizeof buf),
            "record{n: int8, p: record{q: int16, r: float64}[2, 3], t: datetime64[25ns]}");
    TAP_STR(cm_dtype_name(t, tiny, sizeof tiny), "record{n: int8, p: r...");
    TAP_OK(cm_dtype_equal(t, cm_dtype_record(CM_RECORD, again)));
    TAP_OK(!cm_dtype_equal(t, cm_dtype_record(CM_RECORD, inner)));

    /* only q is stored big-endian */
    unsigned char cells[2 * 69], want[2 * 69];
    for (int i = 0; i < 2 * 69; i++)
        cells[i] = want[i] = (unsigned char)(i * 37);
    for (int k = 0; k < 12; k++) {
        unsigned char *at = want + k / 6 * 69 + 1 + k % 6 * 10, b = at[0];
        at[0] = at[1];
        at[1] = b;
    }
    TAP_OK(cm_record_swaps(outer, false));
    cm_record_swap(outer, cells, 2, false);
    TAP_OK(memcmp(cells, want, sizeof want) == 0);

    /* fields keep what they refer to */
    cm_record_unref(inner);
    cm_record_unref(again);
    TAP_STR(outer->fields[1].dtype.record->fields[1].name, "r");
    cm_record_unref(outer);
}

static int refused(const cm_field *f, size_t n)
{
    cm_record *r = NULL;
    cm_error err = {0};
    int code = cm_record_new(f, n, &r, &err);
    TAP_OK(code == 0 ? r != NULL : r == NULL && err.message[0]);
    cm_record_unref(r);
    return code;
}

static void refusals(void)
{
    const int64_t none[] = {0}, huge[] = {1 << 20, 1 << 20, 1 << 20};
    const cm_dtype i4 = cm_dtype_of(CM_INT32, 0);
    TAP_EQ(refused(NULL, 0), CM_EDATA);
    TAP_EQ(refused((cm_field[]){{.name = "a", .dtype = i4}, {.name = "a", .dtype = i4}}, 2),
           CM_EDATA);
    TAP_EQ(refused((cm_field[]){{.name = "", .dtype = i4}, {.name = "", .dtype = i4}}, 2), 0);
    TAP_EQ(refused((cm_field[]){{.name = "a", .dtype = i4, .ndim = 1, .shape = none}}, 1),
           CM_EDATA);
    TAP_EQ(refused((cm_field[]){{.name = "a", .dtype = i4, .ndim = 3, .shape = huge}}, 1),
           CM_ELIMIT);
    TAP_EQ(refused((cm_field[]){{.name = "a", .dtype = cm_dtype_of(CM_STRING, 0)}}, 1), CM_EUNSUP);
    TAP_EQ(refused((cm_field[]){{.name = "a"}}, 1), CM_EINVAL);
    cm_record *deep = NULL;
    cm_error err = {0};
    int r = cm_record_new((cm_field[]){{.name = "a", .dtype = i4}}, 1, &deep, &err), n = 1;
    while (r == 0 && n < 100) {
        cm_record *next = NULL;
        cm_field f = {.name = "a", .dtype = cm_dtype_record(CM_RECORD, deep)};
        r = cm_record_new(&f, 1, &next, &err);
        cm_record_unref(deep);
        deep = next;
        n++;
    }
    TAP_EQ(r, CM_EUNSUP);
    TAP_EQ(n, 17);
}

/* Every code's value goes back to it, or to another code of the same value. */
static void small_numbers(void)
{
    uint8_t cell[2], again[2];
    for (int kind = CM_BFLOAT16; kind <= CM_UINT4; kind++) {
        bool wide = cm_dtype_of((cm_kind)kind, 0).size == 2;
        TAP_OK(cm_kind_is_small((cm_kind)kind));
        for (unsigned code = 0; code < (wide ? 65536u : 256u); code += wide ? 251 : 1) {
            cell[0] = (uint8_t)code;
            if (wide)
                memcpy(cell, &(uint16_t){(uint16_t)code}, 2);
            double v = cm_small_value((cm_kind)kind, cell);
            TAP_OK(cm_small_from_double((cm_kind)kind, v, again));
            double w = cm_small_value((cm_kind)kind, again);
            TAP_OK(isnan(v) ? isnan(w) : v == w && !signbit(v) == !signbit(w));
        }
        TAP_OK(!cm_small_from_double((cm_kind)kind, 1e300, again));
    }
    TAP_OK(!cm_small_from_double(CM_INT4, 0.5, again));
    TAP_OK(!cm_small_from_double(CM_FLOAT4_E2M1FN, (double)NAN, again));
    TAP_OK(cm_small_from_double(CM_FLOAT8_E4M3FN, 0.1, again) && again[0] == 0x1d);
    TAP_OK(isnan(cm_small_value(CM_INT32, cell)));
}

static void times(void)
{
    char buf[CM_DTYPE_NAME];
    TAP_STR(cm_dtype_name(cm_dtype_of(CM_TIMEDELTA64, 0), buf, sizeof buf), "timedelta64[generic]");
    TAP_EQ(cm_time_unit_named("ns"), CM_UNIT_NS);
    TAP_EQ(cm_time_unit_named("parsec"), -1);
    TAP_OK(cm_time_unit_name(99) == NULL);
    TAP_OK(!cm_dtype_equal(cm_dtype_time(CM_DATETIME64, CM_UNIT_NS, 1),
                           cm_dtype_time(CM_DATETIME64, CM_UNIT_US, 1)));
    TAP_OK(!cm_dtype_equal(cm_dtype_time(CM_DATETIME64, CM_UNIT_NS, 1),
                           cm_dtype_time(CM_DATETIME64, CM_UNIT_NS, 2)));
    TAP_EQ(cm_kind_named("datetime64"), CM_NONE);
    TAP_EQ(cm_kind_named("bfloat16"), CM_BFLOAT16);
}

int main(void)
{
    TAP_RUN(layout);
    TAP_RUN(refusals);
    TAP_RUN(small_numbers);
    TAP_RUN(times);
    return tap_done();
}
