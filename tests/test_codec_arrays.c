/* Codecs of arrays: the kernels against their definitions; golden vectors for the decoders; random
 * parameters and random cells, which come back or are refused; hostile bytes. */
#include "tap.h"

#include <float.h>
#include <math.h>

#include "codec/bit_kernels.h"
#include "codec/cast_number.h"
#include "codec/elements.h"
#include "codec/json2_scan.h"
#include "nd/copy.h"

static uint64_t seed;
static cm_error err;

/* ---- kernels --------------------------------------------------------------------------------- */

enum { MAX_N = 300 };

static void bools_to_bits_and_back(void)
{
    uint64_t state = seed;
    uint8_t cells[MAX_N + 9], bits[MAX_N / 8 + 9], back[MAX_N + 9];
    for (size_t n = 0; n <= MAX_N; n++)
        for (int msb = 0; msb < 2; msb++) {
            size_t shift = tap_random(&state) % 8, nbits = (n + 7) / 8;
            for (size_t i = 0; i < n; i++)
                cells[shift + i] = tap_random(&state) >> 40 & 1;
            memset(bits, 0xA5, sizeof bits);
            memset(back, 0xA5, sizeof back);
            TAP_OK(cm_pack_bools(cells + shift, n, msb, bits));
            for (size_t i = 0; i < 8 * nbits; i++) {
                int bit = bits[i / 8] >> (msb ? 7 - i % 8 : i % 8) & 1;
                TAP_EQ(bit, i < n ? cells[shift + i] : 0);
            }
            TAP_EQ(bits[nbits], 0xA5);
            cm_unpack_bools(bits, n, msb, back);
            TAP_OK(memcmp(back, cells + shift, n) == 0 && back[n] == 0xA5);
            if (n) {
                cells[shift + tap_random(&state) % n] = (uint8_t)(2 + tap_random(&state) % 254);
                TAP_OK(!cm_pack_bools(cells + shift, n, msb, bits));
            }
        }
}

static uint64_t load(const uint8_t *p, uint32_t size)
{
    uint64_t v = 0;
    for (uint32_t i = 0; i < size; i++)
        v |= (uint64_t)p[i] << 8 * i;
    return v;
}

static void sums_and_differences(void)
{
    uint64_t state = seed + 1;
    uint8_t v[8 * MAX_N + 8], d[8 * MAX_N + 8], back[8 * MAX_N + 8];
    for (uint32_t size = 1; size <= 8; size *= 2)
        for (size_t n = 0; n <= MAX_N; n++) {
            uint64_t before = tap_random(&state), mask = UINT64_MAX >> (64 - 8 * size);
            size_t shift = tap_random(&state) % 8;
            for (size_t i = 0; i < n * size; i++)
                v[shift + i] = (uint8_t)tap_random(&state);
            uint64_t last = cm_differences(v + shift, d, n, size, before), a = before;
            for (size_t i = 0; i < n; i++) {
                uint64_t x = load(v + shift + i * size, size);
                TAP_EQ(load(d + i * size, size), (x - a) & mask);
                a = x;
            }
            TAP_EQ(last, a);
            back[n * size] = 0xA5;
            last = cm_prefix_sum(d, back, n, size, before);
            TAP_OK(memcmp(back, v + shift, n * size) == 0 && back[n * size] == 0xA5);
            TAP_EQ(last & mask, a & mask);
            cm_prefix_sum(d, d, n, size, before); /* in place */
            TAP_OK(memcmp(d, v + shift, n * size) == 0);
        }
}

static void numbers_of_every_type(void)
{
    uint64_t state = seed + 2;
    for (int kind = CM_INT8; kind <= CM_FLOAT64; kind++) {
        uint32_t size = cm_dtype_of((cm_kind)kind, 0).size;
        for (size_t n = 0; n < 70; n++) {
            uint8_t cells[70 * 8 + 1], again[70 * 8];
            double d[70];
            int64_t w[70];
            for (size_t i = 0; i < n * size; i++)
                cells[1 + i] = (uint8_t)tap_random(&state);
            if (kind != CM_FLOAT16)
                TAP_OK(cm_load_f64((cm_kind)kind, cells + 1, n, d));
            for (size_t i = 0; i < n && kind != CM_FLOAT16; i++) {
                cm_scalar s = {.word = 0};
                memcpy(s.bytes, cells + 1 + i * size, size);
                double want = cm_scalar_value((cm_kind)kind, &s);
                TAP_OK(d[i] == want || (isnan(d[i]) && isnan(want)));
            }
            if (!cm_kind_is_integer((cm_kind)kind))
                continue;
            cm_load_i64((cm_kind)kind, cells + 1, n, w);
            cm_put_i64((cm_kind)kind, size, w, n, again);
            TAP_OK(memcmp(again, cells + 1, n * size) == 0);
            if (size == 8)
                continue;
            TAP_OK(cm_put_f64((cm_kind)kind, d, n, again) && !memcmp(again, cells + 1, n * size));
            static const double out[] = {4294967296.0, -2147483649.0, INFINITY, -INFINITY, NAN};
            for (int k = 0; k < 5 && n; k++) {
                size_t at = tap_random(&state) % n;
                double kept = d[at];
                d[at] = out[k];
                TAP_OK(!cm_put_f64((cm_kind)kind, d, n, again));
                d[at] = kept;
            }
        }
    }
}

/* Numbers that are hard: what is next to an integer or between two, at the ends of their range,
 * and what is no number. */
static double hard(uint64_t *state, double minus, double factor)
{
    static const double special[] = {NAN,     -NAN,   INFINITY, -INFINITY, -0.0,   0.0,
                                     DBL_MAX, 5e-324, 1e-45,    32767.5,   -128.5, 2147483647.5};
    static const double ends[] = {-2147483648.0, -32768, -128,  0,         127,
                                  255,           32767,  65535, 2147483647};
    uint64_t pick = tap_random(state) % 8;
    if (pick == 0)
        return special[tap_random(state) % 12];
    double whole = pick == 1 ? ends[tap_random(state) % 9] : (double)(tap_random(state) % 256) - 64;
    double v = whole / factor + minus;
    return pick == 2   ? nextafter(v, INFINITY)
           : pick == 3 ? (whole + 0.5) / factor + minus
           : pick == 4 ? (whole + 1) / factor + minus
                       : v;
}

static void floats_to_integers_and_back(void)
{
    uint64_t state = seed + 3;
    static const double factors[] = {8, 1000, 0.1, -3, 0x1p-40, 1e300, -0.25};
    static const double offsets[] = {0, -0.0, 10, -273.15, 1e9};
    int good[2] = {0, 0};
    for (int k = 0; k < 6000; k++) {
        cm_kind from = k % 2 ? CM_FLOAT32 : CM_FLOAT64, to = (cm_kind)(CM_INT8 + k / 2 % 6);
        if (!cm_can_fix(from, to))
            continue;
        uint8_t src[71 * 8], dst[71 * 8], want[71 * 8];
        size_t n = tap_random(&state) % 70, shift = tap_random(&state) % 8;
        double factor = factors[tap_random(&state) % 7], minus = offsets[tap_random(&state) % 5];
        bool easy = tap_random(&state) % 2;
        for (size_t i = 0; i < n; i++) {
            double v = easy ? (double)(tap_random(&state) % 128) / factor + minus
                            : hard(&state, minus, factor);
            float f = (float)v;
            memcpy(src + shift + i * (from == CM_FLOAT32 ? 4 : 8),
                   from == CM_FLOAT32 ? (const void *)&f : (const void *)&v,
                   from == CM_FLOAT32 ? 4 : 8);
        }
        memset(dst, 0xA5, sizeof dst);
        memset(want, 0xA5, sizeof want);
        bool comes_back = cm_fix_scalar(from, to, src + shift, n, minus, factor, want + 1);
        TAP_EQ(cm_fix(from, to, src + shift, n, minus, factor, dst + 1), comes_back);
        TAP_OK(memcmp(dst, want, sizeof dst) == 0);
        good[comes_back]++;
        /* By the definition, where it comes back. */
        for (size_t i = 0; i < n && comes_back; i++) {
            double stored, v = 0;
            cm_load_f64(to, dst + 1 + i * cm_dtype_of(to, 0).size, 1, &stored);
            cm_load_f64(from, src + shift + i * cm_dtype_of(from, 0).size, 1, &v);
            double back = stored / factor + minus;
            TAP_OK((from == CM_FLOAT32 ? (double)(float)back : back) == v);
        }
    }
    TAP_OK(good[0] > 100 && good[1] > 100);
}

/* ---- golden vectors -------------------------------------------------------------------------- */

static cm_json_doc *json(const char *text)
{
    cm_json_doc *doc = NULL;
    char *s = strdup(text);
    for (char *p = s; *p; p++)
        if (*p == '\'')
            *p = '"';
    TAP_CALL(cm_json_parse(s, strlen(s), 0, &doc, &err), &err);
    free(s);
    return doc;
}

/* v3's list, or v2's list of filters when it begins with a '2'. */
static int parse(const char *text, cm_dtype dtype, int ndim, const int64_t *shape, cm_chain **out)
{
    bool v2 = text[0] == '2';
    cm_json_doc *doc = json(text + v2);
    cm_error_clear(&err);
    *out = NULL;
    int r = v2 ? cm_chain_parse_v2(cm_json_doc_root(doc), NULL, 'C', false, dtype, ndim, shape, out,
                                   &err)
               : cm_chain_parse_v3(cm_json_doc_root(doc), dtype, ndim, shape, out, &err);
    TAP_OK((r != 0) == (*out == NULL) && r == err.code);
    cm_json_doc_free(doc);
    return r;
}

static int decode(const cm_chain *c, const void *src, size_t n, void *dst, size_t room,
                  size_t *nout)
{
    cm_codec_work *work;
    TAP_CALL(cm_codec_work_new(&work, &err), &err);
    void *middle = malloc(cm_chain_middle_nbytes(c, room) + 1);
    cm_error_clear(&err);
    int r = cm_chain_decode(c, work, 0, src, n, dst, room, nout, middle, &err);
    free(middle);
    cm_codec_work_free(work);
    return r;
}

static int encode(const cm_chain *c, const void *src, size_t n, uint8_t **dst, size_t *nout)
{
    cm_codec_work *work;
    size_t room = cm_chain_bound(c, n);
    TAP_CALL(cm_codec_work_new(&work, &err), &err);
    void *middle = malloc(cm_chain_middle_nbytes(c, n) + 1);
    *dst = malloc(room + 1);
    cm_error_clear(&err);
    int r = cm_chain_encode(c, work, src, n, *dst, room, nout, middle, &err);
    TAP_OK(r != 0 || *nout <= room);
    free(middle);
    cm_codec_work_free(work);
    return r;
}

static size_t unhex(const char *text, uint8_t *out)
{
    size_t n = 0;
    for (; text[0]; text += text[0] == ' ' ? 1 : 2)
        if (text[0] != ' ') {
            unsigned v;
            TAP_EQ(sscanf(text, "%2x", &v), 1);
            out[n++] = (uint8_t)v;
        }
    return n;
}

/* What others wrote; by hand where a specification says it. */
static void golden_vectors(void)
{
    static const struct {
        const char *codecs;
        cm_kind kind;
        int64_t n;
        const char *stored, *cells;
    } v[] = {
        {"2[{'id': 'packbits'}]", CM_BOOL, 4, "0490", "01000001"},
        {"2[{'id': 'packbits'}]", CM_BOOL, 8, "0001", "0000000000000001"},
        {"['numcodecs.packbits', 'bytes']", CM_BOOL, 5, "03b8", "0100010101"},
        {"['packbits']", CM_BOOL, 13, "4912", "01000001000001000001000001"},
        {"[{'name': 'packbits', 'configuration': {'padding_encoding': 'last_byte'}}]", CM_BOOL, 13,
         "491203", "01000001000001000001000001"},
        {"['packbits']", CM_INT4, 3, "3f02", "ff0302"},
        {"['packbits']", CM_UINT2, 5, "e401", "0001020301"},
        {"['packbits']", CM_FLOAT6_E2M3FN, 4, "8130e8", "0102033a"},
        {"[{'name': 'packbits', 'configuration': {'first_bit': 0, 'last_bit': 4}}]", CM_UINT8, 3,
         "2008", "000102"},
        {"2[{'id': 'base64'}]", CM_UINT8, 4, "41514944 42413d3d", "01020304"},
        {"2[{'id': 'delta', 'dtype': '<i2'}]", CM_INT16, 4, "0100 0200 ffff 0080",
         "0100 0300 0200 0280"},
        {"2[{'id': 'delta', 'dtype': '>i2', 'astype': '|i1'}]", CM_INT16, 3, "01 02 ff",
         "0001 0003 0002"},
        {"[{'name': 'numcodecs.delta', 'configuration': {'dtype': '<i4', 'astype': '>i2'}}, "
         "{'name': 'bytes', 'configuration': {'endian': 'big'}}]",
         CM_INT32, 3, "0001 0002 ffff", "01000000 03000000 02000000"},
        {"[{'name': 'numcodecs.fixedscaleoffset', 'configuration': {'dtype': '<f4', 'astype': "
         "'|u1', 'scale': 2, 'offset': 10}}, 'bytes']",
         CM_FLOAT32, 2, "01 03", "00002841 00003841"},
        {"[{'name': 'scale_offset', 'configuration': {'scale': 3, 'offset': -2}}, 'bytes']",
         CM_INT8, 3, "fd 00 06", "fd fe 00"},
        {"[{'name': 'cast_value', 'configuration': {'data_type': 'uint8', 'scalar_map': {'decode': "
         "[[0, 'NaN'], [0, 1]]}}}, 'bytes']",
         CM_FLOAT32, 2, "00 ff", "0000c07f 00007f43"},
        {"[{'name': 'cast_value', 'configuration': {'data_type': 'float64', 'rounding': "
         "'towards-negative', 'out_of_range': 'clamp'}}, {'name': 'bytes', 'configuration': "
         "{'endian': 'big'}}]",
         CM_INT8, 3, "3ff8000000000000 bfe0000000000000 40f0000000000000", "01 ff 7f"},
        {"[{'name': 'reshape', 'configuration': {'shape': [2, 3]}}, {'name': 'transpose', "
         "'configuration': {'order': [1, 0]}}, 'bytes']",
         CM_UINT8, 6, "00 03 01 04 02 05", "00 01 02 03 04 05"},
        {"2[{'id': 'json2'}]", CM_INT16, 2, "5b312c2d322c223c6932222c5b325d5d", "0100 feff"},
        {"2[{'id': 'json2'}]", CM_STRING, 2, "5b2261222c225c7530306539222c227c4f222c5b325d5d",
         "02000000 01000000 61 02000000 c3a9"},
        {"2[{'id': 'categorize', 'labels': ['b', 'aa'], 'dtype': '|O', 'astype': '|u1'}]",
         CM_STRING, 4, "02 00 01 09", "04000000 02000000 6161 00000000 01000000 62 00000000"},
    };
    for (size_t i = 0; i < sizeof v / sizeof v[0]; i++) {
        uint8_t stored[64], cells[64], got[64];
        size_t nstored = unhex(v[i].stored, stored), ncells = unhex(v[i].cells, cells), n = 0;
        cm_chain *c;
        int before = tap_failed_here;
        TAP_CALL(parse(v[i].codecs, cm_dtype_of(v[i].kind, 0), 1, &v[i].n, &c), &err);
        if (!c)
            continue;
        ncells = cm_chain_size_known(c) ? cm_chain_stored_nbytes(c) : ncells;
        TAP_CALL(decode(c, stored, nstored, got, ncells, &n), &err);
        TAP_OK(n == ncells && memcmp(got, cells, ncells) == 0);
        if (tap_failed_here != before)
            for (size_t k = 0; k < ncells; k++)
                printf("# %zu of %s: %02x, want %02x\n", k, v[i].codecs, got[k], cells[k]);
        cm_chain_unref(c);
    }
}

/* ---- json2 ----------------------------------------------------------------------------------- */

static size_t flatten(const cm_json *list, size_t count, const cm_elements *e, uint8_t *out,
                      size_t done, bool *good)
{
    for (size_t i = 0; i < count && *good; i++) {
        const cm_json *v = cm_json_at(list, i);
        uint8_t *to = out + (done < 80 ? done : 80) * e->size;
        int64_t w = 0;
        uint64_t u = 0;
        double d = 0;
        if (cm_json_is(v, CM_JSON_ARRAY)) {
            done = flatten(v, cm_json_count(v), e, out, done, good);
            continue;
        }
        if (cm_kind_is_float(e->kind)) {
            *good = cm_json_double(v, &d) && cm_elements_store_f64(e, &d, 1, to);
        } else if (e->kind == CM_BOOL) {
            *good = cm_json_is(v, CM_JSON_BOOL);
            w = cm_json_bool(v, false);
            cm_elements_store_i64(e, &w, 1, to);
        } else {
            int64_t again;
            *good = e->kind == CM_UINT64 ? cm_json_uint64(v, &u) : cm_json_int64(v, &w);
            w = e->kind == CM_UINT64 ? (int64_t)u : w;
            cm_elements_store_i64(e, &w, 1, to);
            cm_elements_load_i64(e, to, 1, &again);
            *good = *good && again == w;
        }
        done++;
    }
    return done;
}

/* What the whole parser makes of the text; SIZE_MAX: nothing. */
static size_t by_tree(const char *text, size_t n, uint32_t width, uint8_t *out)
{
    cm_json_doc *doc;
    cm_elements e;
    bool good = false;
    size_t done = 0, cells = 1;
    if (cm_json_parse(text, n, 0, &doc, NULL))
        return SIZE_MAX;
    const cm_json *root = cm_json_doc_root(doc);
    size_t count = cm_json_is(root, CM_JSON_ARRAY) ? cm_json_count(root) : 0;
    const char *name = count > 1 ? cm_json_string(cm_json_at(root, count - 2)) : NULL;
    if (name && cm_elements_parse(name, "json2", &e, NULL) == 0 && e.size == width) {
        const cm_json *shape = cm_json_at(root, count - 1);
        good = cm_json_is(shape, CM_JSON_ARRAY);
        for (size_t i = 0; i < cm_json_count(shape); i++) {
            uint64_t length = 0;
            good = good && cm_json_uint64(cm_json_at(shape, i), &length);
            cells *= (size_t)length;
        }
        done = flatten(root, count - 2, &e, out, 0, &good);
    }
    cm_json_doc_free(doc);
    return good && done == cells ? done : SIZE_MAX;
}

static int a_number(uint64_t *state, const char *type, char *q)
{
    static const char *const odd[] = {"1e5",
                                      "-0.0",
                                      "1E-3",
                                      "NaN",
                                      "Infinity",
                                      "-Infinity",
                                      "0.1",
                                      "1e400",
                                      "5e-324",
                                      "-0",
                                      "1.5e+2",
                                      "0.30000000000000004",
                                      "1e22",
                                      "123456789012345678901234567890",
                                      "9007199254740993"};
    static const char *const ends[] = {"127",
                                       "-128",
                                       "255",
                                       "256",
                                       "-129",
                                       "65535",
                                       "-32768",
                                       "2147483647",
                                       "-2147483648",
                                       "4294967295",
                                       "9223372036854775807",
                                       "-9223372036854775808",
                                       "18446744073709551615",
                                       "-9223372036854775809"};
    uint64_t x = tap_random(state);
    if (type[1] == 'b')
        return sprintf(q, "%s", x % 2 ? "true" : "false");
    if (x % 16 == 0)
        return sprintf(q, "%s", ends[x / 16 % 14]);
    if (type[1] != 'f')
        return sprintf(q, "%d", (int)(x % 100));
    return x % 4 == 0 ? sprintf(q, "%s", odd[x / 4 % 15])
                      : sprintf(q, "%.*g", (int)(x / 4 % 17 + 1),
                                (double)(int64_t)tap_random(state) / 0x1p50);
}

static void numbers_of_json(void)
{
    uint64_t state = seed + 4;
    static const char *const types[] = {"|b1", "|i1", "|u1", "<i2", ">u2", "<i4", ">i4", "<u4",
                                        "<i8", "<u8", "<f2", ">f4", "<f4", "<f8", ">f8"};
    static const char noise[] = "[],.-+eE0123456789 \"tfNI<|\n";
    int seen = 0, left = 0;
    for (int k = 0; k < 30000; k++) {
        const char *type = types[tap_random(&state) % 15];
        size_t rows = tap_random(&state) % 5 + 1, columns = tap_random(&state) % 8 + 1;
        uint32_t width = (uint32_t)(type[2] - '0');
        char text[8192], *q = text;
        const char *gap = tap_random(&state) % 4 ? "" : " ";
        *q++ = '[';
        for (size_t i = 0; i < rows; i++) {
            *q++ = '[';
            for (size_t j = 0; j < columns; j++) {
                q += a_number(&state, type, q);
                q += sprintf(q, "%s%s", j + 1 < columns ? "," : "],", gap);
            }
        }
        q += sprintf(q, "\"%s\",%s[%zu,%s%zu]]", type, gap, rows, gap, columns);
        size_t n = (size_t)(q - text);
        for (size_t m = tap_random(&state) % 3; m > 0 && k % 2; m--) /* half of them spoilt */
            text[tap_random(&state) % n] = noise[tap_random(&state) % (sizeof noise - 1)];
        if (k % 7 == 0)
            n -= tap_random(&state) % n;
        char *exact = malloc(n + 1); /* nothing behind it for the scanner to read */
        memcpy(exact, text, n);
        exact = realloc(exact, n ? n : 1);
        uint8_t got[81 * 8], want[81 * 8];
        memset(got, 0xA5, sizeof got);
        bool scanned = cm_json2_scan(exact, n, rows * columns, width, got);
        size_t cells = by_tree(exact, n, width, want);
        if (scanned) {
            TAP_EQ(cells, rows * columns);
            TAP_OK(memcmp(got, want, rows * columns * width) == 0);
        }
        TAP_EQ(got[rows * columns * width], 0xA5);
        seen += scanned;
        left += !scanned && cells == rows * columns;
        free(exact);
    }
    printf("# %d texts of numbers scanned, %d left to the parser\n", seen, left);
    TAP_OK(seen > 8000 && left < 4000);
}

/* ---- random parameters ----------------------------------------------------------------------- */

static const char *const numbers[] = {"i1", "i2", "i4", "i8", "u1", "u2",
                                      "u4", "u8", "f2", "f4", "f8"};
static const char *const names[] = {"int8",   "int16",  "int32",   "int64",   "uint8",  "uint16",
                                    "uint32", "uint64", "float16", "float32", "float64"};

static const char *any_type(uint64_t *state, char *room, bool big)
{
    const char *t = numbers[tap_random(state) % 11];
    snprintf(room, 8, "%c%s", t[1] == '1' ? '|' : big && tap_random(state) % 2 ? '>' : '<', t);
    return room;
}

static size_t random_codec(uint64_t *state, char *out, size_t size, bool v2)
{
    static const char *const rounding[] = {"nearest-even", "towards-zero", "towards-positive",
                                           "towards-negative", "nearest-away"};
    char a[8], b[8], config[256], astype[32] = "";
    const char *name = "";
    uint64_t pick = tap_random(state) % (v2 ? 6 : 11);
    int scale = (int)(tap_random(state) % 9) + 1, offset = (int)(tap_random(state) % 40) - 10;
    any_type(state, a, v2);
    any_type(state, b, true);
    if (tap_random(state) % 2)
        snprintf(astype, sizeof astype, ", 'astype': '%s'", b);
    switch (pick) {
    case 0:
        name = "delta";
        snprintf(config, sizeof config, "'dtype': '%s'%s", a, astype);
        break;
    case 1:
        name = "fixedscaleoffset";
        snprintf(config, sizeof config, "'dtype': '%s', 'scale': %d, 'offset': %d%s", a, scale,
                 offset, astype);
        break;
    case 2:
        name = "quantize";
        snprintf(config, sizeof config, "'dtype': '%s', 'digits': %d%s", a, scale, astype);
        break;
    case 3:
        name = "bitround";
        snprintf(config, sizeof config, "'keepbits': %d", scale);
        break;
    case 4:
        name = "astype";
        snprintf(config, sizeof config, "'decode_dtype': '%s', 'encode_dtype': '%s'", a, b);
        break;
    case 5:
        name = "packbits";
        config[0] = 0;
        break;
    case 6:
        name = "scale_offset";
        snprintf(config, sizeof config, "'scale': %d, 'offset': %d", scale, offset);
        break;
    case 7:
        name = "cast_value";
        snprintf(config, sizeof config, "'data_type': '%s', 'rounding': '%s'%s",
                 names[tap_random(state) % 11], rounding[tap_random(state) % 5],
                 tap_random(state) % 2 ? ", 'out_of_range': 'clamp'" : "");
        break;
    case 8:
        name = "reshape";
        snprintf(config, sizeof config, "'shape': [%d, -1]", 1 << scale % 4);
        break;
    case 9:
        name = "transpose";
        snprintf(config, sizeof config, "'order': [%d, %d]", scale % 2, 1 - scale % 2);
        break;
    default:
        name = "packbits";
        snprintf(config, sizeof config, "'first_bit': %d, 'last_bit': %d, 'padding_encoding': '%s'",
                 scale % 3, scale + 5, scale % 2 ? "first_byte" : "none");
    }
    int n = v2 ? snprintf(out, size, "{'id': '%s'%s%s}", name, config[0] ? ", " : "", config)
               : snprintf(out, size, "{'name': '%s%s', 'configuration': {%s}}",
                          pick < 6 ? "numcodecs." : "", name, config);
    TAP_OK(n > 0 && (size_t)n < size);
    return (size_t)n;
}

static void random_chain(uint64_t *state, char *out, size_t size, bool v2)
{
    size_t n = (size_t)snprintf(out, size, v2 ? "2[" : "[");
    int count = 1 + (int)(tap_random(state) % 3);
    for (int i = 0; i < count; i++) {
        n += random_codec(state, out + n, size - n, v2);
        n += (size_t)snprintf(out + n, size - n, v2 && i == count - 1 ? "" : ", ");
    }
    if (!v2 && tap_random(state) % 5)
        n += (size_t)snprintf(out + n, size - n,
                              "{'name': 'bytes', 'configuration': {'endian': '%s'}}",
                              tap_random(state) % 2 ? "big" : "little");
    else if (!v2)
        out[n -= 2] = 0;
    snprintf(out + n, size - n, "]");
}

/* Small numbers, so that many of them come back; some noise. */
static void random_cells(uint64_t *state, cm_kind kind, size_t n, uint8_t *out)
{
    uint32_t size = cm_dtype_of(kind, 0).size;
    bool noise = tap_random(state) % 4 == 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t v = tap_random(state);
        double d = (double)(v % 100);
        cm_scalar s = {.word = v};
        if (kind == CM_BOOL)
            s.word = v % 2;
        else if (!noise)
            cm_cast_number(CM_FLOAT64, &d, kind, CM_NEAREST_EVEN, CM_RANGE_CLAMP, &s);
        memcpy(out + i * size, s.bytes, size);
    }
}

static void what_is_encoded_comes_back(void)
{
    uint64_t state = seed + 3;
    int parsed = 0, kept = 0, refused = 0;
    for (int round = 0; round < 40000; round++) {
        char text[1024];
        const int64_t shape[] = {12, 1 + (int64_t)(tap_random(&state) % 200)};
        cm_kind kind = (cm_kind)(CM_BOOL + tap_random(&state) % (CM_FLOAT64 - CM_BOOL + 1));
        cm_chain *c;
        random_chain(&state, text, sizeof text, round % 2);
        int r = parse(text, cm_dtype_of(kind, 0), 2, shape, &c);
        TAP_OK(r == 0 || r == CM_EDATA || r == CM_EUNSUP);
        if (r)
            continue;
        parsed++;
        size_t n = cm_chain_stored_nbytes(c), nenc = 0, nback = 0;
        uint8_t *cells = malloc(n), *back = malloc(n), *enc = NULL;
        random_cells(&state, kind, (size_t)(shape[0] * shape[1]), cells);
        r = encode(c, cells, n, &enc, &nenc);
        if (r && r != CM_EUNSUP && !(r == CM_EINVAL && round % 2)) {
            TAP_EQ(r, CM_EUNSUP);
            printf("# %s of %d: %s\n", text, kind, err.message);
        }
        refused += r != 0;
        if (!r) {
            kept++;
            int d = decode(c, enc, nenc, back, n, &nback);
            if (!TAP_OK(d == 0 && nback == n && memcmp(back, cells, n) == 0))
                printf("# %s of %d: %s\n", text, kind, err.message);
            size_t fixed = cm_chain_fixed_nbytes(c);
            TAP_OK(fixed == 0 || fixed == nenc);
            for (int k = 0; k < 3 && nenc; k++) { /* hostile: an error or other cells */
                size_t cut = tap_random(&state) % (nenc + 1), at = tap_random(&state) % nenc;
                uint8_t *part = malloc(cut + 1);
                memcpy(part, enc, cut);
                if (at < cut)
                    part[at] ^= (uint8_t)(1 + tap_random(&state) % 255);
                d = decode(c, part, cut, back, n, &nback);
                TAP_OK(d == 0 || d == CM_EDATA || d == CM_EUNSUP);
                free(part);
            }
        }
        free(cells);
        free(back);
        free(enc);
        cm_chain_unref(c);
    }
    printf("# %d chains, %d came back, %d were refused\n", parsed, kept, refused);
    TAP_OK(parsed > 2000 && kept > 1000 && refused > 100);
}

/* A copy of a chain for other chunks encodes the same cells. */
static void copies_of_chains(void)
{
    static const char *const some[] = {
        "[{'name': 'reshape', 'configuration': {'shape': [-1]}}, {'name': 'numcodecs.delta', "
        "'configuration': {'dtype': '<i4', 'astype': '>i2'}}, {'name': 'bytes', 'configuration': "
        "{'endian': 'big'}}, {'name': 'zstd', 'configuration': {'level': 1, 'checksum': false}}]",
        "[{'name': 'packbits', 'configuration': {'first_bit': 0, 'last_bit': 20}}]",
        "2[{'id': 'delta', 'dtype': '>i4'}, {'id': 'base64'}]",
    };
    static const char *const texts[][2] = {
        {"delta(<i4,<i2) zstd:1", "delta(<i4,<i2) zstd:1"},
        {"packbits(21)", "packbits(21)"},
        {"delta(<i4,<i4)", "delta(<i4,<i4) base64"},
    };
    const int64_t shape[] = {6, 8}, other[] = {5, 3};
    for (int i = 0; i < 3; i++)
        for (int v2 = 0; v2 < 2; v2++) {
            cm_chain *c, *copy;
            TAP_CALL(parse(some[i], cm_dtype_of(CM_INT32, 0), 2, shape, &c), &err);
            TAP_CALL(cm_chain_new(cm_dtype_of(CM_INT32, 0), 2, other, &copy, &err), &err);
            TAP_CALL(cm_chain_copy_stages(c, copy, v2 ? CM_ZARR2 : CM_ZARR3, &err), &err);
            char *text = cm_chain_text(copy, &err);
            TAP_STR(text, texts[i][v2]);
            free(text);
            cm_chain_unref(c);
            cm_chain_unref(copy);
        }
}

int main(void)
{
    seed = tap_seed();
    TAP_RUN(bools_to_bits_and_back);
    TAP_RUN(sums_and_differences);
    TAP_RUN(numbers_of_every_type);
    TAP_RUN(floats_to_integers_and_back);
    TAP_RUN(golden_vectors);
    TAP_RUN(numbers_of_json);
    TAP_RUN(what_is_encoded_comes_back);
    TAP_RUN(copies_of_chains);
    return tap_done();
}
