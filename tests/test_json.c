/* tests/test_json.c: JSON: random trees there and back, Python's json as the oracle of number
 * texts, exact integers, hostile input, limits. */
#include <locale.h>
#include <math.h>

#include "chunkmill/json.h"
#include "faults.h"
#include "tap.h"
#include "text/utf8.h"

static uint64_t rng;

static uint64_t below(uint64_t n)
{
    return tap_random(&rng) % n;
}

static cm_json_doc *parse(const char *text)
{
    cm_error err = {0};
    cm_json_doc *doc = NULL;
    TAP_CALL(cm_json_parse(text, strlen(text), 0, &doc, &err), &err);
    return doc;
}

/* ---- numbers --------------------------------------------------------------------------------- */

/* What CPython 3.12's json.dumps gives for these bits. */
static const struct {
    uint64_t bits;
    const char *text;
} python_reprs[] = {
    {0x0000000000000000u, "0.0"},
    {0x8000000000000000u, "-0.0"},
    {0x3ff0000000000000u, "1.0"},
    {0xbff0000000000000u, "-1.0"},
    {0x4014000000000000u, "5.0"},
    {0x3fb999999999999au, "0.1"},
    {0x3fc999999999999au, "0.2"},
    {0x3fd3333333333334u, "0.30000000000000004"},
    {0x3fd5555555555555u, "0.3333333333333333"},
    {0x3fe5555555555555u, "0.6666666666666666"},
    {0x430c6bf526340000u, "1000000000000000.0"},
    {0x430c6bf52633fff8u, "999999999999999.0"},
    {0x4341c37937e08000u, "1e+16"},
    {0x4341c37937e07fffu, "9999999999999998.0"},
    {0x4345ee2a2eb5a5c4u, "1.2345678901234568e+16"},
    {0x4376345785d8a000u, "1e+17"},
    {0x4415af1d78b58c40u, "1e+20"},
    {0x444b1ae4d6e2ef50u, "1e+21"},
    {0x4480f0cf064dd592u, "1e+22"},
    {0x44b52d02c7e14af6u, "1e+23"},
    {0x437b69b4ba630f35u, "1.2345678901234568e+17"},
    {0x3f1a36e2eb1c432du, "0.0001"},
    {0x3f202e4b6ce5dc68u, "0.00012345"},
    {0x3ee4f8b588e368f1u, "1e-05"},
    {0x3e7ad7f29abcaf48u, "1e-07"},
    {0x3de49da7e361ce4cu, "1.5e-10"},
    {0x3d30000000000000u, "5.684341886080802e-14"},
    {0x0000000000000001u, "5e-324"},
    {0x0010000000000000u, "2.2250738585072014e-308"},
    {0x000fffffffffffffu, "2.225073858507201e-308"},
    {0x7fefffffffffffffu, "1.7976931348623157e+308"},
    {0xffefffffffffffffu, "-1.7976931348623157e+308"},
    {0x4340000000000000u, "9007199254740992.0"},
    {0x4340000000000001u, "9007199254740994.0"},
    {0x43e0000000000000u, "9.223372036854776e+18"},
    {0x43f0000000000000u, "1.8446744073709552e+19"},
    {0xc3e0000000000000u, "-9.223372036854776e+18"},
    {0x479e000000000001u, "9.96920996838687e+36"},
    {0xc08f3f3333333333u, "-999.9"},
    {0x4071126666666666u, "273.15"},
    {0x54b249ad2594c37du, "1e+100"},
    {0x4011666666666666u, "4.35"},
    {0x3fe0000000000000u, "0.5"},
    {0x4090020000000000u, "1024.5"},
    {0x40effc0000000000u, "65504.0"},
    {0x47efffffe0000000u, "3.4028234663852886e+38"},
    {0x3810000000000000u, "1.1754943508222875e-38"},
    {0x3fefffffe0000000u, "0.9999999403953552"},
    {0x4059000000000000u, "100.0"},
    {0x41678c29dccccccdu, "12345678.9"},
    {0x0000000000000001u, "5e-324"},
    {0x0000000000000002u, "1e-323"},
    {0x00000000000013c4u, "2.5e-320"},
    {0x000730d67819e8d2u, "1e-308"},
};

static void double_texts(void)
{
    char buf[40], json[48];
    for (size_t i = 0; i < sizeof python_reprs / sizeof python_reprs[0]; i++) {
        double v, back;
        memcpy(&v, &python_reprs[i].bits, 8);
        TAP_STR(cm_double_text(v, buf), python_reprs[i].text);
        cm_json_doc *doc = parse(buf);
        TAP_OK(cm_json_double(cm_json_doc_root(doc), &back) && memcmp(&back, &v, 8) == 0);
        cm_json_doc_free(doc);
    }
    TAP_STR(cm_double_text(NAN, buf), "NaN");
    TAP_STR(cm_double_text(INFINITY, buf), "Infinity");
    TAP_STR(cm_double_text(-INFINITY, buf), "-Infinity");
    TAP_STR(cm_float_text(0.1f, buf), "0.1");
    TAP_STR(cm_float_text(1e20f, buf), "1e+20");
    TAP_STR(cm_float_text(9.96921e36f, buf), "9.96921e+36");
    TAP_STR(cm_float_text(-0.0f, buf), "-0.0");
    TAP_STR(cm_float_text(0x1p-149f, buf), "1e-45");
    TAP_STR(cm_float_text(16777216.0f, buf), "16777216.0");
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = tap_random(&rng);
        uint32_t half = (uint32_t)(bits >> 7);
        double v, back;
        float f, fback;
        memcpy(&v, &bits, 8);
        memcpy(&f, &half, 4);
        if (isfinite(v)) {
            snprintf(json, sizeof json, "%s", cm_double_text(v, buf));
            back = strtod(json, NULL);
            TAP_OK(memcmp(&back, &v, 8) == 0 && strlen(buf) <= 24);
        }
        if (isfinite(f)) {
            fback = strtof(cm_float_text(f, buf), NULL);
            TAP_OK(memcmp(&fback, &f, 4) == 0 && strlen(buf) <= 19);
        }
    }
}

/* Text to double by every path must be what the C library says. */
static void double_values(void)
{
    static const char *const shapes[] = {"%" PRIu64 "e%d", "0.%" PRIu64 "e%d", "%" PRIu64 ".0e%d",
                                         "-%" PRIu64 "E%+d"};
    for (int i = 0; i < 20000; i++) {
        char text[64];
        uint64_t m = tap_random(&rng) >> below(64);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(text, sizeof text, shapes[i % 4], m, (int)below(60) - 30);
#pragma GCC diagnostic pop
        cm_json_doc *doc = parse(text);
        double got = 0, want = strtod(text, NULL);
        if (!TAP_OK(cm_json_double(cm_json_doc_root(doc), &got) && memcmp(&got, &want, 8) == 0))
            printf("# %s\n", text);
        cm_json_doc_free(doc);
    }
}

static void integers(void)
{
    static const struct {
        const char *text;
        bool is_int64, is_uint64;
        int64_t i;
        uint64_t u;
    } table[] = {
        {"0", true, true, 0, 0},
        {"-0", true, true, 0, 0},
        {"-0.0", true, true, 0, 0},
        {"0e5", true, true, 0, 0},
        {"1.0", true, true, 1, 1},
        {"1e3", true, true, 1000, 1000},
        {"1E+3", true, true, 1000, 1000},
        {"1200e-2", true, true, 12, 12},
        {"1201e-2", false, false, 0, 0},
        {"0.5", false, false, 0, 0},
        {"0.005e3", true, true, 5, 5},
        {"123.456e3", true, true, 123456, 123456},
        {"100000.000", true, true, 100000, 100000},
        {"9223372036854775807", true, true, INT64_MAX, INT64_MAX},
        {"9223372036854775808", false, true, 0, 9223372036854775808u},
        {"9223372036854775807.0", true, true, INT64_MAX, INT64_MAX},
        {"922337203685477580.8e1", false, true, 0, 9223372036854775808u},
        {"-9223372036854775808", true, false, INT64_MIN, 0},
        {"-9223372036854775809", false, false, 0, 0},
        {"18446744073709551615", false, true, 0, UINT64_MAX},
        {"18446744073709551616", false, false, 0, 0},
        {"184467440737095516150e-1", false, true, 0, UINT64_MAX},
        {"1e19", false, true, 0, 10000000000000000000u},
        {"1e20", false, false, 0, 0},
        {"2e19", false, false, 0, 0},
        {"1e999999999", false, false, 0, 0},
        {"1e-999999999", false, false, 0, 0},
        {"0.0000000000000000000000000000001e31", true, true, 1, 1},
        {"10000000000000000000000000000000e-31", true, true, 1, 1},
        {"-1", true, false, -1, 0},
        {"NaN", false, false, 0, 0},
        {"Infinity", false, false, 0, 0},
        {"-Infinity", false, false, 0, 0},
        {"\"1\"", false, false, 0, 0},
        {"true", false, false, 0, 0},
    };
    for (size_t k = 0; k < sizeof table / sizeof table[0]; k++) {
        cm_json_doc *doc = parse(table[k].text);
        int64_t i = 77;
        uint64_t u = 77;
        bool good = cm_json_int64(cm_json_doc_root(doc), &i) == table[k].is_int64 &&
                    cm_json_uint64(cm_json_doc_root(doc), &u) == table[k].is_uint64 &&
                    i == (table[k].is_int64 ? table[k].i : 77) &&
                    u == (table[k].is_uint64 ? table[k].u : 77);
        if (!TAP_OK(good))
            printf("# %s gave %" PRId64 " %" PRIu64 "\n", table[k].text, i, u);
        cm_json_doc_free(doc);
    }
    for (int k = 0; k < 5000; k++) {
        uint64_t m = tap_random(&rng) >> below(64), u = 0;
        int64_t i = 0;
        char text[48];
        snprintf(text, sizeof text, k % 2 ? "%" PRIu64 : "%" PRIu64 ".000", m);
        cm_json_doc *doc = parse(text);
        TAP_OK(cm_json_uint64(cm_json_doc_root(doc), &u) && u == m);
        TAP_EQ(cm_json_is_integer_text(cm_json_doc_root(doc)), k % 2);
        cm_json_doc_free(doc);
        snprintf(text, sizeof text, "%" PRId64, (int64_t)m);
        doc = parse(text);
        TAP_OK(cm_json_int64(cm_json_doc_root(doc), &i) && i == (int64_t)m);
        cm_json_doc_free(doc);
    }
}

static bool equal_texts(const char *a, const char *b)
{
    cm_json_doc *x = parse(a), *y = parse(b);
    bool yes = cm_json_equal(cm_json_doc_root(x), cm_json_doc_root(y));
    TAP_EQ(cm_json_equal(cm_json_doc_root(y), cm_json_doc_root(x)), yes);
    cm_json_doc_free(x);
    cm_json_doc_free(y);
    return yes;
}

static void equality(void)
{
    TAP_OK(equal_texts("1", "1.0") && equal_texts("10e-1", "0.1e1") && equal_texts("-0", "0.000"));
    TAP_OK(equal_texts("1.50", "15e-1") && equal_texts("120.0e2", "12e3"));
    TAP_OK(!equal_texts("1", "-1") && !equal_texts("1", "10") && !equal_texts("1.5", "1.6"));
    TAP_OK(!equal_texts("9007199254740993", "9007199254740992"));
    TAP_OK(!equal_texts("0.1", "0.1000000000000000055511151231257827"));
    TAP_OK(equal_texts("NaN", "NaN") && !equal_texts("Infinity", "-Infinity"));
    TAP_OK(!equal_texts("NaN", "1") && !equal_texts("1", "\"1\"") && !equal_texts("null", "0"));
    TAP_OK(equal_texts("{\"a\":1,\"b\":[2,{}]}", "{\"b\":[2,{}],\"a\":1e0}"));
    TAP_OK(!equal_texts("{\"a\":1,\"b\":2}", "{\"a\":1,\"c\":2}"));
    TAP_OK(!equal_texts("{\"a\":1}", "{\"a\":1,\"b\":null}") && !equal_texts("[1,2]", "[2,1]"));
    TAP_OK(!equal_texts("\"a\\u0000b\"", "\"a\\u0000c\"") && equal_texts("\"\\u0041\"", "\"A\""));
    TAP_OK(cm_json_equal(NULL, NULL));
}

/* A program may have set a locale with a decimal comma. */
static void comma_locale(void)
{
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "de_DE", "fr_FR.UTF-8"};
    for (size_t i = 0; i < 4; i++)
        if (setlocale(LC_ALL, names[i])) {
            char buf[40];
            double v = 0;
            TAP_STR(cm_double_text(0.1, buf), "0.1");
            TAP_STR(cm_double_text(1.7976931348623157e308, buf), "1.7976931348623157e+308");
            TAP_STR(cm_float_text(0.3f, buf), "0.3");
            cm_json_doc *doc = parse("1.2345678901234567890123e2");
            TAP_OK(cm_json_double(cm_json_doc_root(doc), &v) && v == 123.45678901234568);
            cm_json_doc_free(doc);
            setlocale(LC_ALL, "C");
            return;
        }
    printf("# SKIPPED: no locale with a decimal comma is installed\n");
}

/* ---- trees ----------------------------------------------------------------------------------- */

static cm_json *random_string(cm_json_doc *doc)
{
    char s[64];
    size_t n = 0;
    for (uint64_t k = below(10); k > 0; k--) {
        static const uint32_t tops[] = {0x20, 0x7f, 0x80, 0x800, 0xd800, 0x110000};
        uint32_t c = (uint32_t)below(tops[below(6)]);
        if (c < 0xd800 || c > 0xdfff)
            n += cm_utf8_put(c, s + n);
    }
    return cm_json_new_string_n(doc, s, n);
}

static cm_json *random_tree(cm_json_doc *doc, int depth)
{
    uint64_t bits = tap_random(&rng);
    double v;
    memcpy(&v, &bits, 8);
    switch (below(depth > 5 ? 6 : 9)) {
    case 0: return cm_json_new_null(doc);
    case 1: return cm_json_new_bool(doc, below(2));
    case 2: return cm_json_new_int64(doc, (int64_t)bits >> below(64));
    case 3: return cm_json_new_uint64(doc, bits);
    case 4: return cm_json_new_double(doc, v);
    case 5: return random_string(doc);
    case 6: {
        cm_json *a = cm_json_new_array(doc);
        for (uint64_t n = below(6); n > 0; n--)
            TAP_EQ(cm_json_add(doc, a, random_tree(doc, depth + 1)), 0);
        return a;
    }
    default: {
        cm_json *o = cm_json_new_object(doc);
        for (uint64_t n = below(10) ? below(6) : below(60); n > 0; n--)
            TAP_EQ(cm_json_set(doc, o, cm_json_string(random_string(doc)),
                               random_tree(doc, depth + 1)),
                   0);
        return o;
    }
    }
}

static void round_trips(void)
{
    cm_error err = {0};
    for (int i = 0; i < 1500 && tap_failed_here < 5; i++) {
        cm_json_doc *doc = NULL, *back = NULL, *third = NULL;
        char *text = NULL, *again = NULL;
        size_t n = 0, m = 0;
        TAP_CALL(cm_json_doc_new(0, &doc, &err), &err);
        cm_json *tree = random_tree(doc, 0);
        TAP_CALL(cm_json_write(tree, (int)below(3) * 2, &text, &n, &err), &err);
        TAP_EQ(strlen(text), n);
        TAP_CALL(cm_json_parse(text, n, 0, &back, &err), &err);
        TAP_OK(cm_json_equal(tree, cm_json_doc_root(back)));
        TAP_CALL(cm_json_doc_new(0, &third, &err), &err);
        cm_json *copy = cm_json_copy(third, cm_json_doc_root(back));
        cm_json_doc_free(back);
        TAP_OK(cm_json_equal(copy, tree));
        free(text);
        TAP_CALL(cm_json_write(tree, 0, &text, &n, &err), &err);
        TAP_CALL(cm_json_write(copy, 0, &again, &m, &err), &err);
        TAP_STR(again, text);
        free(text);
        free(again);
        cm_json_doc_free(doc);
        cm_json_doc_free(third);
    }
}

/* What is read and written again is the same to the byte. */
static void bytes_kept(void)
{
    static const char *const texts[] = {
        "{\"z\": 1.50, \"a\": [1E5, -0, 1e-07, 18446744073709551615, NaN, -Infinity], \"\": {}}",
        "[[], {}, \"\\u0000\\u001f\\\"\\\\\\b\\f\\n\\r\\t/\x7f\xc3\xa9\xf0\x9f\x8c\x8d\"]",
        "{\"a\\u0000b\": 1, \"a\": 2, \"a\\u0000c\": 3}",
        "0.1000000000000000055511151231257827021181583404541015625", "null"};
    cm_error err = {0};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char *text = NULL;
        size_t n;
        cm_json_doc *doc = parse(texts[i]);
        TAP_CALL(cm_json_write(cm_json_doc_root(doc), 0, &text, &n, &err), &err);
        TAP_STR(text, texts[i]);
        free(text);
        cm_json_doc_free(doc);
    }
    /* json.dumps(..., indent=2) of Python */
    const char *want = "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}";
    cm_json_doc *doc = parse("\xef\xbb\xbf {\"a\":[1,{}],\t\"b\":[\r\n]} ");
    char *text = NULL;
    size_t n;
    TAP_CALL(cm_json_write(cm_json_doc_root(doc), 2, &text, &n, &err), &err);
    TAP_STR(text, want);
    free(text);
    cm_json_doc_free(doc);
}

/* The same operations on a plain list, keys drawn from a few hundred. */
static void objects_as_a_model(void)
{
    enum { KEYS = 300 };
    int64_t order[KEYS], value[KEYS];
    size_t n = 0;
    cm_json_doc *doc = NULL;
    cm_error err = {0};
    TAP_CALL(cm_json_doc_new(0, &doc, &err), &err);
    cm_json *o = cm_json_new_object(doc);
    for (int step = 0; step < 20000 && tap_failed_here < 5; step++) {
        int64_t k = (int64_t)below(KEYS);
        char key[16];
        snprintf(key, sizeof key, "k%" PRId64, k);
        size_t at = 0;
        while (at < n && order[at] != k)
            at++;
        if (below(5) < 3) {
            TAP_EQ(cm_json_set_int64(doc, o, key, step), 0);
            if (at == n)
                order[n++] = k;
            value[at] = step;
        } else {
            TAP_EQ(cm_json_delete(o, key), at < n);
            if (at < n) {
                memmove(order + at, order + at + 1, (n - at - 1) * sizeof *order);
                memmove(value + at, value + at + 1, (n - at - 1) * sizeof *value);
                n--;
            }
        }
        TAP_EQ(cm_json_count(o), n);
        size_t i = below(KEYS);
        int64_t v = -1;
        if (i < n) {
            snprintf(key, sizeof key, "k%" PRId64, order[i]);
            TAP_STR(cm_json_key(o, i), key);
            TAP_OK(cm_json_get(o, key) == cm_json_at(o, i));
            TAP_OK(cm_json_int64(cm_json_at(o, i), &v) && v == value[i]);
        } else {
            TAP_OK(!cm_json_at(o, i) && !cm_json_key(o, i));
        }
    }
    cm_json_doc_free(doc);
}

static void big_objects(void)
{
    enum { N = 200000 };
    size_t room = (size_t)N * 40, n = 1;
    char *text = malloc(room);
    text[0] = '{';
    for (int i = 0; i < N; i++)
        n += (size_t)snprintf(text + n, room - n, "%s\"group/array_%d\": %d", i ? ", " : "", i, i);
    text[n++] = '}';
    cm_error err = {0};
    cm_json_doc *doc = NULL;
    struct timespec t0, t1;
    clock_gettime(CLOCK_MONOTONIC, &t0);
    TAP_CALL(cm_json_parse(text, n, 0, &doc, &err), &err);
    const cm_json *root = cm_json_doc_root(doc);
    TAP_EQ(cm_json_count(root), N);
    for (int i = 0; i < N; i++) {
        char key[40];
        int64_t v = -1;
        snprintf(key, sizeof key, "group/array_%d", i);
        if (!cm_json_int64(cm_json_get(root, key), &v) || v != i)
            TAP_EQ(v, i);
    }
    clock_gettime(CLOCK_MONOTONIC, &t1);
    double seconds = (double)(t1.tv_sec - t0.tv_sec) + 1e-9 * (double)(t1.tv_nsec - t0.tv_nsec);
    printf("# %d members parsed and found in %.3f s\n", N, seconds);
    TAP_OK(seconds < 5); /* quadratic would be minutes */
    cm_json_doc_free(doc);
    /* A duplicate far away is found. */
    n--;
    n += (size_t)snprintf(text + n, room - n, ", \"group/array_77\": 1}");
    TAP_EQ(cm_json_parse(text, n, 0, &doc, &err), CM_EDATA);
    TAP_OK(strstr(err.message, "group/array_77") != NULL);
    free(text);
}

/* ---- bad input ------------------------------------------------------------------------------- */

static void refuse(const char *text, size_t nbytes, int code, const char *part)
{
    cm_error err = {0};
    cm_json_doc *doc = NULL;
    int r = cm_json_parse(text, nbytes, 0, &doc, &err);
    if (!TAP_OK(r == code && err.code == code && strstr(err.message, part)))
        printf("# %.40s: %d \"%s\", want %d \"%s\"\n", text, r, err.message, code, part);
    if (r == 0)
        cm_json_doc_free(doc);
}

static void bad_input(void)
{
    static const struct {
        const char *text, *part;
    } table[] = {
        {"", "line 1, column 1: the text ends"},
        {"  \n ", "line 2, column 2: the text ends"},
        {"{\"a\": 1,\n \"\xc3\xa9\": tru}", "line 2, column 7: expected a value, found 't'"},
        {"[1, 2", "the text ends, expected ',' or ']'"},
        {"[1,]", "column 4: expected a value"},
        {"[1 2]", "column 4: expected ',' or ']', found '2'"},
        {"{\"a\" 1}", "expected ':'"},
        {"{\"a\":1,}", "expected a key in quotes"},
        {"{a:1}", "expected a key"},
        {"{\"a\":1 \"b\":2}", "expected ',' or '}'"},
        {"{\"a\":1]", "expected ',' or '}'"},
        {"{\"a\":1, \"b\":2, \"a\":3}", "column 16: the key \"a\" is there twice"},
        {"{\"a\":1, \"\\u0061\":3}", "is there twice"},
        {"1 2", "column 3: expected the end"},
        {"{} x", "expected the end"},
        {"01", "leading zero"},
        {"-01", "leading zero"},
        {"-", "expected a digit"},
        {"1.", "expected a digit"},
        {".5", "expected a value"},
        {"+1", "expected a value"},
        {"1.e5", "expected a digit"},
        {"1e", "expected a digit"},
        {"1e+", "expected a digit"},
        {"0x10", "expected the end"},
        {"-NaN", "expected a digit"},
        {"nan", "expected a value"},
        {"Infinit", "expected a digit"},
        {"nul", "expected a value"},
        {"True", "expected a value"},
        {"'a'", "expected a value"},
        {"\"abc", "ends inside this string"},
        {"\"abc\\", "ends inside this string"},
        {"\"abc\\\"", "ends inside this string"},
        {"\"a\nb\"", "column 3: raw control character"},
        {"\"\x01\"", "raw control character"},
        {"\"\\x41\"", "unknown escape"},
        {"\"\\\xc3\xa9\"", "unknown escape"},
        {"\"\\u12\"", "four hexadecimal digits"},
        {"\"\\u12g4\"", "four hexadecimal digits"},
        {"\"\\ud800\"", "lone surrogate"},
        {"\"\\udc00\"", "lone surrogate"},
        {"\"\\ud800\\u0041\"", "lone surrogate"},
        {"\"\\ud800x\"", "lone surrogate"},
        {"\"\\ud800\\ud800\"", "lone surrogate"},
        {"\"\xff\"", "column 2: invalid UTF-8"},
        {"\"\xc0\xaf\"", "invalid UTF-8"},
        {"\"\xe0\x80\xaf\"", "invalid UTF-8"},
        {"\"\xed\xa0\x80\"", "invalid UTF-8"},
        {"\"\xf4\x90\x80\x80\"", "invalid UTF-8"},
        {"\"\xc3\"", "invalid UTF-8"},
        {"\"\xf0\x9f\x8c\"", "invalid UTF-8"},
        {"\"\xe2\x82", "invalid UTF-8"},
        {"[1]\xff", "found byte 0xff"},
        {"// no\n1", "expected a value, found '/'"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        refuse(table[i].text, strlen(table[i].text), CM_EDATA, table[i].part);
    refuse("\"a\0b\"", 5, CM_EDATA, "raw control character");
    refuse("1\0", 2, CM_EDATA, "expected the end");
    refuse("1e1234567890", 12, CM_ELIMIT, "exponent");
}

static void truncation(void)
{
    const char *whole =
        "{\"k\\u00e9\": [1.5e3, true, null, {\"\xe2\x82\xac\": \"\\ud83c\\udf0d\"}], "
        "\"b\": -Infinity}";
    cm_json_doc *doc = parse(whole);
    cm_json_doc_free(doc);
    for (size_t n = 0; n < strlen(whole); n++) {
        char *piece = malloc(n + 1); /* exactly so long that a sanitizer sees any step beyond */
        memcpy(piece, whole, n);
        piece = realloc(piece, n ? n : 1);
        refuse(piece, n, CM_EDATA, "line 1");
        free(piece);
    }
}

static void limits(void)
{
    cm_error err = {0};
    cm_json_doc *doc = NULL;
    char deep[1 << 17];
    memset(deep, '[', sizeof deep);
    TAP_EQ(cm_json_parse(deep, sizeof deep, 0, &doc, &err), CM_ELIMIT);
    memset(deep + 65, ']', 65);
    TAP_EQ(cm_json_parse(deep, 130, 0, &doc, &err), CM_ELIMIT);
    memset(deep + 64, ']', 64);
    TAP_CALL(cm_json_parse(deep, 128, 0, &doc, &err), &err);
    char *text = NULL;
    size_t n = 0;
    TAP_CALL(cm_json_write(cm_json_doc_root(doc), 0, &text, &n, &err), &err);
    TAP_EQ(n, 128);
    free(text);
    cm_json *outer = cm_json_new_array(doc);
    TAP_EQ(cm_json_add(doc, outer, cm_json_doc_root(doc)), 0);
    TAP_EQ(cm_json_write(outer, 0, &text, &n, &err), CM_ELIMIT);
    TAP_OK(cm_json_copy(doc, outer) == NULL);
    cm_json_doc_free(doc);

    memset(deep, ' ', sizeof deep);
    deep[0] = '"', deep[sizeof deep - 1] = '"';
    TAP_EQ(cm_json_parse(deep, sizeof deep, 100000, &doc, &err), CM_ELIMIT);
    TAP_CALL(cm_json_parse(deep, sizeof deep, 200000, &doc, &err), &err);
    TAP_EQ(cm_json_string_nbytes(cm_json_doc_root(doc)), sizeof deep - 2);
    cm_json_doc_free(doc);

    TAP_CALL(cm_json_doc_new(10000, &doc, &err), &err);
    cm_json *a = cm_json_new_array(doc);
    int r = 0, count = 0;
    while (r == 0 && count < 100000)
        r = cm_json_add(doc, a, cm_json_new_int64(doc, count++));
    TAP_EQ(r, CM_ENOMEM);
    TAP_OK(count > 50 && count < 300);
    TAP_EQ(cm_json_set(doc, NULL, "a", NULL), CM_ENOMEM);
    cm_json_doc_free(doc);

    TAP_CALL(cm_json_doc_new(0, &doc, &err), &err);
    TAP_EQ(cm_json_write(cm_json_new_string(doc, "\xb0"
                                                 "C"),
                         0, &text, &n, &err),
           CM_EDATA);
    cm_json_doc_free(doc);
    cm_json_doc_free(NULL);
}

/* Parse, change, copy, write; 0 or CM_ENOMEM wherever an allocation fails. */
static int everything(const char *text, size_t nbytes, cm_error *err)
{
    cm_json_doc *doc = NULL, *other = NULL;
    char *out = NULL, key[16];
    size_t n = 0;
    int r = cm_json_parse(text, nbytes, 0, &doc, err);
    if (r == 0)
        r = cm_json_doc_new(0, &other, err);
    if (r == 0) {
        cm_json *copy = cm_json_copy(other, cm_json_doc_root(doc));
        cm_json *fresh = cm_json_new_object(other);
        for (int i = 0; r == 0 && i < 600; i++) {
            snprintf(key, sizeof key, "key %d", i);
            r = cm_json_set_int64(other, fresh, key, i);
        }
        if (r == 0)
            r = cm_json_set(other, copy, "fresh", fresh);
        if (r)
            cm_error_set(err, CM_ENOMEM, "out of memory");
        if (r == 0)
            r = cm_json_write(copy, 2, &out, &n, err);
        if (r == 0)
            TAP_OK(n == strlen(out) && cm_json_get(cm_json_get(copy, "fresh"), "key 599"));
    }
    free(out);
    cm_json_doc_free(doc);
    cm_json_doc_free(other);
    return r;
}

static void no_memory(void)
{
    char text[8192];
    size_t n = (size_t)snprintf(text, sizeof text, "{\"list\": [");
    for (int i = 0; i < 300; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s[%d, \"x\\u0041\"]", i ? ", " : "", i);
    n += (size_t)snprintf(text + n, sizeof text - n, "]}");
    for (int64_t at = 0;; at++) {
        cm_error err = {0};
        fault_malloc_at(at);
        int r = everything(text, n, &err);
        bool fired = fault_end();
        TAP_EQ(r, fired ? CM_ENOMEM : 0);
        TAP_EQ(err.code, r);
        if (!fired) {
            TAP_OK(at > 10);
            break;
        }
    }
}

static void looking_at_nothing(void)
{
    double d;
    TAP_EQ(cm_json_type_of(NULL), CM_JSON_NULL);
    TAP_OK(!cm_json_is(NULL, CM_JSON_NULL) && cm_json_count(NULL) == 0 && !cm_json_at(NULL, 0));
    TAP_OK(!cm_json_get(NULL, "a") && !cm_json_string(NULL) && !cm_json_number_text(NULL));
    TAP_OK(cm_json_bool(NULL, true) && !cm_json_double(NULL, &d) && !cm_json_delete(NULL, "a"));
    TAP_OK(!cm_json_key(NULL, 0) && cm_json_string_nbytes(NULL) == 0);
}

static void utf8(void)
{
    /* Every sequence of up to 3 bytes, by the definition: decode, encode, compare. */
    size_t bad = 0;
    for (uint32_t c = 0; c < 0x110000; c++) {
        char s[4];
        size_t n = cm_utf8_put(c, s);
        bool want = c < 0xd800 || c > 0xdfff;
        bad += cm_utf8_valid(s, n) != want;
        if (n > 1)
            bad += cm_utf8_valid(s, n - 1);
    }
    TAP_EQ(bad, 0);
    TAP_OK(!cm_utf8_valid("abcdefghij\xff", 11) && cm_utf8_span("abcdefghij\xff", 11) == 10);
    TAP_OK(!cm_utf8_valid("\xc0\x80", 2) && !cm_utf8_valid("\x80", 1));
    TAP_OK(!cm_utf8_valid("\xf5\x80\x80\x80", 4) && cm_utf8_valid("", 0));
}

int main(void)
{
    rng = tap_seed();
    TAP_RUN(double_texts);
    TAP_RUN(double_values);
    TAP_RUN(integers);
    TAP_RUN(equality);
    TAP_RUN(comma_locale);
    TAP_RUN(round_trips);
    TAP_RUN(bytes_kept);
    TAP_RUN(objects_as_a_model);
    TAP_RUN(big_objects);
    TAP_RUN(bad_input);
    TAP_RUN(truncation);
    TAP_RUN(limits);
    TAP_RUN(no_memory);
    TAP_RUN(looking_at_nothing);
    TAP_RUN(utf8);
    return tap_done();
}
