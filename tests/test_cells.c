/* tests/test_cells.c: cells to JSON and back, half floats, the table of dtypes. */
#include <math.h>

#include "dataset/dataset_private.h"
#include "nd/half.h"
#include "tap.h"

static uint64_t rng;
static cm_json_doc *doc;

/* Value of a half by the definition. */
static double half_value(uint16_t h)
{
    int e = h >> 10 & 31, f = h & 0x3ff;
    double v = e == 0 ? ldexp(f, -24) : ldexp(1024 + f, e - 25);
    return h & 0x8000 ? -v : v;
}

static void halves_to_floats(void)
{
    for (uint32_t h = 0; h < 0x10000; h++) {
        float f = cm_half_to_float((uint16_t)h);
        bool special = (h & 0x7c00) == 0x7c00;
        if (!special)
            TAP_OK((double)f == half_value((uint16_t)h) && !signbit(f) == !(h >> 15));
        else if ((h & 0x3ff) == 0)
            TAP_OK(isinf(f) && !signbit(f) == !(h >> 15));
        else
            TAP_OK(isnan(f) && !signbit(f) == !(h >> 15));
        TAP_EQ(cm_float_to_half(f), h);
        if (!special)
            TAP_EQ(cm_double_to_half((double)f), h);
    }
}

/* The nearest half, found by bisection among all of them; ties go to the even one. */
static uint16_t nearest_half(double v)
{
    uint16_t sign = signbit(v) ? 0x8000 : 0;
    v = fabs(v);
    if (v >= 65520)
        return sign | 0x7c00;
    uint16_t lo = 0, hi = 0x7bff;
    while (lo < hi) { /* largest half <= v */
        uint16_t mid = (uint16_t)((lo + hi + 1) / 2);
        if (half_value(mid) <= v)
            lo = mid;
        else
            hi = (uint16_t)(mid - 1);
    }
    double below = v - half_value(lo), above = (lo == 0x7bff ? 65536 : half_value(lo + 1)) - v;
    if (above < below || (above == below && (lo & 1)))
        lo++;
    return sign | lo;
}

static void floats_to_halves(void)
{
    for (int i = 0; i < 200000 && tap_failed_here < 5; i++) {
        uint64_t bits = tap_random(&rng);
        double v = half_value((uint16_t)(bits & 0xfbff));
        uint16_t h = (uint16_t)bits & 0xfbff;
        if ((h & 0x7c00) == 0x7c00)
            h &= 0x83ff, v = half_value(h);
        double next = half_value((uint16_t)(h + 1));
        switch (i % 4) {
        case 0: v = (v + next) / 2; break; /* a tie */
        case 1: v = nextafter((v + next) / 2, 1e9); break;
        case 2: v = nextafter((v + next) / 2, -1e9); break;
        default: v = v + (next - v) * (double)(bits >> 40) / (1 << 24); break;
        }
        TAP_EQ(cm_double_to_half(v), nearest_half(v));
        float f = (float)v;
        TAP_EQ(cm_float_to_half(f), nearest_half((double)f));
    }
    TAP_EQ(cm_double_to_half(65519.999), 0x7bff);
    TAP_EQ(cm_double_to_half(65520), 0x7c00);
    TAP_EQ(cm_double_to_half(-1e300), 0xfc00);
    TAP_EQ(cm_double_to_half(0x1p-25), 0);
    TAP_EQ(cm_double_to_half(0x1.0000001p-25), 1);
    TAP_EQ(cm_double_to_half(-0.0), 0x8000);
    TAP_EQ(cm_double_to_half(5e-324), 0);
    uint32_t quiet = 0x7f800001; /* a NaN whose payload is all in the bits that are cut */
    float f;
    memcpy(&f, &quiet, 4);
    TAP_EQ(cm_float_to_half(f), 0x7c01);
}

static const cm_kind kinds[] = {CM_BOOL,    CM_INT8,    CM_INT16,     CM_INT32,     CM_INT64,
                                CM_UINT8,   CM_UINT16,  CM_UINT32,    CM_UINT64,    CM_FLOAT16,
                                CM_FLOAT32, CM_FLOAT64, CM_COMPLEX64, CM_COMPLEX128};
enum { NKINDS = sizeof kinds / sizeof kinds[0] };

/* Cells of any bits -> JSON -> text -> JSON -> cells; NaNs keep being NaN, all else its bits. */
static void there_and_back(void)
{
    cm_error err = {0};
    for (int i = 0; i < 4000 && tap_failed_here < 5; i++) {
        cm_dtype dtype = cm_dtype_of(kinds[i % NKINDS], 0);
        uint8_t cells[5 * 16], back[16];
        size_t n = 1 + tap_random(&rng) % 5;
        for (size_t b = 0; b < sizeof cells; b++)
            cells[b] = (uint8_t)(tap_random(&rng) >> (i % 3 ? 20 : 63));
        if (dtype.kind == CM_BOOL)
            for (size_t b = 0; b < n; b++)
                cells[b] &= 1;
        cm_json *v = cm_json_from_cells(doc, dtype, cells, n, true);
        char *text = NULL;
        size_t nbytes;
        TAP_CALL(cm_json_write(v, 0, &text, &nbytes, &err), &err);
        cm_json_doc *other = NULL;
        TAP_CALL(cm_json_parse(text, nbytes, 0, &other, &err), &err);
        v = cm_json_doc_root(other);
        TAP_EQ(cm_json_is(v, CM_JSON_ARRAY), n > 1 || cm_kind_is_complex(dtype.kind));
        for (size_t k = 0; k < n; k++) {
            const cm_json *one = n > 1 ? cm_json_at(v, k) : v;
            const uint8_t *cell = cells + k * dtype.size;
            if (!TAP_OK(cm_cell_from_json(one, dtype, back))) {
                printf("# kind %d %s\n", (int)dtype.kind, text);
                break;
            }
            if (memcmp(back, cell, dtype.size) != 0) {
                cm_json *again = cm_json_from_cells(doc, dtype, back, 1, true);
                TAP_OK(strstr(text, "NaN") && cm_json_equal(again, one));
            }
        }
        free(text);
        cm_json_doc_free(other);
    }
}

static bool fits(const char *text, cm_kind kind, void *cell)
{
    cm_error err = {0};
    cm_json_doc *d = NULL;
    TAP_CALL(cm_json_parse(text, strlen(text), 0, &d, &err), &err);
    bool yes = cm_cell_from_json(cm_json_doc_root(d), cm_dtype_of(kind, 0), cell);
    cm_json_doc_free(d);
    return yes;
}

static void what_fits(void)
{
    int8_t i8;
    uint8_t u8;
    int16_t i16;
    int64_t i64;
    uint64_t u64;
    uint16_t h;
    float f, pair[2];
    double d;
    TAP_OK(fits("-128", CM_INT8, &i8) && i8 == -128);
    TAP_OK(fits("127.0", CM_INT8, &i8) && i8 == 127);
    TAP_OK(!fits("128", CM_INT8, &i8) && !fits("-129", CM_INT8, &i8) && !fits("1.5", CM_INT8, &i8));
    TAP_OK(fits("255", CM_UINT8, &u8) && u8 == 255 && !fits("256", CM_UINT8, &u8));
    TAP_OK(!fits("-1", CM_UINT8, &u8) && !fits("\"1\"", CM_UINT8, &u8) &&
           !fits("true", CM_INT8, &i8));
    TAP_OK(fits("-3e4", CM_INT16, &i16) && i16 == -30000 && !fits("4e4", CM_INT16, &i16));
    TAP_OK(fits("9223372036854775807", CM_INT64, &i64) && i64 == INT64_MAX);
    TAP_OK(fits("-9223372036854775808", CM_INT64, &i64) && i64 == INT64_MIN);
    TAP_OK(!fits("9223372036854775808", CM_INT64, &i64));
    TAP_OK(fits("18446744073709551615", CM_UINT64, &u64) && u64 == UINT64_MAX);
    TAP_OK(!fits("18446744073709551616", CM_UINT64, &u64) && !fits("NaN", CM_UINT64, &u64));
    TAP_OK(fits("true", CM_BOOL, &u8) && u8 == 1 && fits("0", CM_BOOL, &u8) && u8 == 0);
    TAP_OK(!fits("2", CM_BOOL, &u8) && !fits("null", CM_BOOL, &u8));
    TAP_OK(fits("0.1", CM_FLOAT32, &f) && f == 0.1f);
    /* Through a double this would round twice, the wrong way. */
    TAP_OK(fits("1.00000017881393432617187499", CM_FLOAT32, &f) && f == 0x1.000002p0f);
    TAP_OK(fits("1.00000017881393432617187501", CM_FLOAT32, &f) && f == 0x1.000004p0f);
    TAP_OK(fits("-0.0", CM_FLOAT32, &f) && f == 0 && signbit(f));
    TAP_OK(!fits("1e39", CM_FLOAT32, &f) && !fits("1e309", CM_FLOAT64, &d));
    TAP_OK(!fits("65520", CM_FLOAT16, &h) && fits("65504", CM_FLOAT16, &h) && h == 0x7bff);
    TAP_OK(fits("\"NaN\"", CM_FLOAT16, &h) && (h & 0x7fff) > 0x7c00);
    TAP_OK(fits("-Infinity", CM_FLOAT16, &h) && h == 0xfc00);
    TAP_OK(fits("\"-Infinity\"", CM_FLOAT64, &d) && isinf(d) && d < 0);
    TAP_OK(fits("NaN", CM_FLOAT64, &d) && isnan(d) && !fits("\"nan\"", CM_FLOAT64, &d));
    TAP_OK(!fits("\"NaN\\u0000\"", CM_FLOAT64, &d) && !fits("\"1\"", CM_FLOAT64, &d));
    TAP_OK(fits("[1.5, \"Infinity\"]", CM_COMPLEX64, pair) && pair[0] == 1.5f && isinf(pair[1]));
    TAP_OK(!fits("[1.5]", CM_COMPLEX64, pair) && !fits("1.5", CM_COMPLEX64, pair));
    TAP_OK(!fits("\"a\"", CM_STRING, pair) && !fits("[1]", CM_INT8, pair));
    f = 0.1f;
    TAP_STR(cm_json_number_text(cm_json_from_cells(doc, cm_dtype_of(CM_FLOAT32, 0), &f, 1, true)),
            "0.10000000149011612");
    TAP_EQ(cm_json_count(cm_json_from_cells(doc, cm_dtype_of(CM_FLOAT32, 0), &f, 1, false)), 1);
    TAP_EQ(cm_json_count(cm_json_from_cells(doc, cm_dtype_of(CM_FLOAT32, 0), &f, 0, true)), 0);
}

static void dtypes(void)
{
    char buf[24];
    static const struct {
        cm_kind kind;
        const char *name;
        uint32_t size, word;
        bool integer, is_unsigned, real, complex;
    } table[] = {{CM_BOOL, "bool", 1, 1, false, false, false, false},
                 {CM_INT8, "int8", 1, 1, true, false, false, false},
                 {CM_UINT16, "uint16", 2, 2, true, true, false, false},
                 {CM_INT64, "int64", 8, 8, true, false, false, false},
                 {CM_FLOAT16, "float16", 2, 2, false, false, true, false},
                 {CM_FLOAT64, "float64", 8, 8, false, false, true, false},
                 {CM_COMPLEX64, "complex64", 8, 4, false, false, false, true},
                 {CM_COMPLEX128, "complex128", 16, 8, false, false, false, true},
                 {CM_STRING, "string", sizeof(cm_string), 0, false, false, false, false}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        cm_dtype dtype = cm_dtype_of(table[i].kind, 99);
        TAP_STR(cm_dtype_name(dtype, buf, sizeof buf), table[i].name);
        TAP_EQ(cm_kind_named(table[i].name), table[i].kind);
        TAP_EQ(dtype.size, table[i].size);
        TAP_EQ(cm_dtype_word(dtype), table[i].word);
        TAP_EQ(cm_kind_is_integer(table[i].kind), table[i].integer);
        TAP_EQ(cm_kind_is_unsigned(table[i].kind), table[i].is_unsigned);
        TAP_EQ(cm_kind_is_float(table[i].kind), table[i].real);
        TAP_EQ(cm_kind_is_complex(table[i].kind), table[i].complex);
    }
    cm_dtype bytes = cm_dtype_of(CM_BYTES, 12);
    TAP_STR(cm_dtype_name(bytes, buf, sizeof buf), "bytes12");
    TAP_OK(cm_dtype_word(bytes) == 1 && bytes.size == 12);
    TAP_OK(!cm_dtype_equal(bytes, cm_dtype_of(CM_BYTES, 13)));
    TAP_OK(cm_dtype_equal(bytes, cm_dtype_of(CM_BYTES, 12)));
    TAP_EQ(cm_kind_named("bytes"), CM_NONE);
    TAP_EQ(cm_kind_named("none"), CM_NONE);
    TAP_EQ(cm_kind_named("float"), CM_NONE);
}

int main(void)
{
    cm_error err = {0};
    rng = tap_seed();
    if (cm_json_doc_new(0, &doc, &err) != 0)
        return 1;
    TAP_RUN(halves_to_floats);
    TAP_RUN(floats_to_halves);
    TAP_RUN(there_and_back);
    TAP_RUN(what_fits);
    TAP_RUN(dtypes);
    cm_json_doc_free(doc);
    return tap_done();
}
