/* References: templates, generated entries, versions, malformed ones, and the table against a naive
 * one. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "array/referenced.h"
#include "base/bytes.h"
#include "format/refs/parquet.h"
#include "format/refs/refs.h"
#include "scratch.h"
#include "tap.h"

static cm_context *context(void)
{
    cm_context *ctx = NULL;
    cm_error err = {0};
    TAP_CALL(cm_context_new(NULL, &ctx, &err), &err);
    return ctx;
}

/* ---- templates ------------------------------------------------------------------------------- */

static void templates(void)
{
    static const char json[] =
        "{\"u\": \"s3://b\", \"f\": \"/d/{{c}}-{{ n + 1 }}.nc\", \"e\": \"\"}";
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"plain", "plain"},
        {"{{u}}/x", "s3://b/x"},
        {"{{ u }}/{{i}}{{ i }}", "s3://b/77"},
        {"{{f(c='x', n=3)}}", "/d/x-4.nc"},
        {"{{ f(c='a' ~ i, n=i*2) }}", "/d/a7-15.nc"},
        {"{{ (i + 1) * 4 // 3 }}", "10"},
        {"{{ -i // 2 }} {{ -i % 4 }} {{ 2 - 3 - 4 }}", "-4 1 -5"},
        {"{{ '%03d' % i }}.nc", "007.nc"},
        {"{{ 'a' + 'b' }}{{e}}", "ab"},
        {"{{nope}}", NULL},
        {"{{ i | int }}", NULL},
        {"{{ i / 2 }}", NULL},
        {"{{ i // 0 }}", NULL},
        {"{{ f }}", NULL},
        {"{{ u() }}", NULL},
        {"{{ f(c=1) }}", NULL},
        {"{% if i %}", NULL},
        {"{{ i ", NULL},
        {"{{ 9223372036854775807 + 1 }}", NULL},
        {"{{ ((((((((((((((((((((((((((((((((((((1)))))))))))))))))))))))))))))))))))) }}", NULL},
        {"{{ '%d %d' % i }}", NULL},
        {"{{ 1.5 }}", NULL},
    };
    cm_error err = {0};
    cm_json_doc *doc;
    TAP_CALL(cm_json_parse(json, sizeof json - 1, 0, &doc, &err), &err);
    cm_refs_variable i = {"i", NULL, 7};
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        cm_buffer b;
        cm_buffer_init(&b, 1 << 16);
        int r = cm_refs_render(cases[k].text, cm_json_doc_root(doc), &i, 1, &b, &err);
        if (!TAP_OK((r == 0) == (cases[k].want != NULL)))
            printf("# %s\n", cases[k].text);
        char *text = cm_buffer_take_string(&b);
        if (r == 0)
            TAP_STR(text, cases[k].want);
        free(text);
        cm_buffer_deinit(&b);
    }
    cm_json_doc_free(doc);
}

/* ---- the list of entries --------------------------------------------------------------------- */

static char *copied; /* of the text at hand */

static int parse(const char *text, cm_refs_json *j, cm_error *err)
{
    free(copied);
    copied = strdup(text);
    return cm_refs_json_parse(copied, strlen(copied), j, err);
}

static void generated(void)
{
    cm_refs_json j;
    cm_error err = {0};
    TAP_CALL(parse("{\"version\": 1, \"templates\": {\"d\": \"/data\"}, \"refs\": {\".zgroup\": "
                   "\"{}\"}, \"gen\": [{\"key\": \"v/{{t}}.{{x}}\", \"url\": \"{{d}}/{{t}}.nc\", "
                   "\"offset\": \"{{x * 100 + 8}}\", \"length\": \"100\", \"dimensions\": {\"t\": "
                   "[3, 5], \"x\": {\"start\": 0, \"stop\": 5, \"step\": 2}}}]}",
                   &j, &err),
             &err);
    TAP_EQ(j.n, 7);
    const char *const keys[] = {".zgroup", "v/3.0", "v/3.2", "v/3.4", "v/5.0", "v/5.2", "v/5.4"};
    for (size_t i = 0; i < j.n && i < 7; i++)
        TAP_STR(j.entries[i].key, keys[i]);
    const cm_json *v = j.entries[5].value;
    uint64_t offset = 0, nbytes = 0;
    TAP_STR(cm_json_string(cm_json_at(v, 0)), "/data/5.nc");
    TAP_OK(cm_json_uint64(cm_json_at(v, 1), &offset) && offset == 208);
    TAP_OK(cm_json_uint64(cm_json_at(v, 2), &nbytes) && nbytes == 100);
    cm_refs_json_deinit(&j);

    static const char *const bad[] = {
        "",
        " ",
        "[]",
        "{\"version\": 2, \"refs\": {}}",
        "{\"version\": 1}",
        "{\"version\": 1, \"refs\": []}",
        "{\"version\": 1, \"refs\": {}, \"templates\": {\"u\": 1}}",
        "{\"version\": 1, \"refs\": {}, \"gen\": [{}]}",
        "{\"version\": 1, \"refs\": {\"v/1\": \"x\"}, \"gen\": [{\"key\": \"v/{{i}}\", \"url\": "
        "\"u\", \"dimensions\": {\"i\": [1]}}]}",
        "{\"version\": 1, \"refs\": {}, \"gen\": [{\"key\": \"v/{{i}}\", \"url\": \"u\", "
        "\"offset\": \"1\", \"dimensions\": {\"i\": [1]}}]}",
        "{\"version\": 1, \"refs\": {}, \"gen\": [{\"key\": \"v/{{i}}\", \"url\": \"u\", "
        "\"dimensions\": {\"i\": {\"stop\": 1000000000}}}]}",
        "{\"version\": 1, \"refs\": {}, \"gen\": [{\"key\": \"v/{{i}}\", \"url\": \"u\", "
        "\"dimensions\": {\"i\": {\"stop\": 3, \"step\": 0}}}]}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cm_error_clear(&err);
        if (!TAP_OK(parse(bad[i], &j, &err) != 0 && err.message[0]))
            printf("# %s\n", bad[i]);
        cm_refs_json_deinit(&j);
    }
}

/* ---- what is taken out of the text ------------------------------------------------------------
 */

static void put(cm_buffer *b, const char *s)
{
    if (cm_buffer_append_string(b, s, NULL))
        abort();
}

static const char *space(uint64_t *seed)
{
    static const char *const spaces[] = {"", "", "", " ", "\n", " \t\r\n "};
    return spaces[tap_random(seed) % 6];
}

/* "x/N": value, of every kind that a reader may meet. */
static void random_member(cm_buffer *b, int number, const char *stem, uint64_t *seed)
{
    static const char *const values[] = {"\"text\"",
                                         "\"base64:AAAA\"",
                                         "{\"a\": [1, {\"b\": \"}]\"}]}",
                                         "[\"u\"]",
                                         "[\"u\", 1]",
                                         "[\"u\", 1, 2, 3]",
                                         "[\"u\\/v\", 1, 2]",
                                         "[\"\\u0041\", 1, 2]",
                                         "[\"{{u}}\", 3, 4]",
                                         "[\"u\", -1, 2]",
                                         "[\"u\", 1.5, 2]",
                                         "[\"u\", 01, 2]",
                                         "[\"u\", 1e3, 2]",
                                         "[\"\", 1, 2]",
                                         "[1, 2, 3]",
                                         "null",
                                         "\"a\\\"b,}\"",
                                         "[\"u\", 99999999999999999999, 2]"};
    char text[200];
    uint64_t kind = tap_random(seed) % 30, at = tap_random(seed) % 100000;
    if (kind == 11)
        kind = 0; /* no JSON */
    snprintf(text, sizeof text, "%s\"%s/%d%s\"%s:%s", space(seed), stem, number,
             kind == 5 ? "\\u0042" : "", space(seed), space(seed));
    put(b, text);
    if (kind < 18) {
        put(b, values[kind]);
    } else {
        snprintf(text, sizeof text, "[%s\"/data/%d.nc\"%s,%s%llu%s,%s%d%s]", space(seed),
                 number / 3, space(seed), space(seed), (unsigned long long)at, space(seed),
                 space(seed), number, space(seed));
        put(b, text);
    }
    put(b, space(seed));
}

/* Is every member of refs there, once, as an entry or as a range? */
static bool same_members(const cm_json *refs, const cm_refs_json *j)
{
    size_t n = cm_json_count(refs), found = 0;
    for (size_t i = 0; i < n; i++) {
        const char *key = cm_json_key(refs, i);
        const cm_json *v = cm_json_at(refs, i);
        for (size_t k = 0; k < j->n; k++)
            found += !strcmp(j->entries[k].key, key) && cm_json_equal(j->entries[k].value, v);
        for (size_t k = 0; k < j->ranges.n; k++) {
            const cm_refs_range *e = &j->ranges.items[j->ranges.order[k]];
            uint64_t offset, nbytes;
            if (strcmp(e->key, key) != 0)
                continue;
            found += cm_json_count(v) == 3 && !strcmp(cm_json_string(cm_json_at(v, 0)), e->url) &&
                     cm_json_uint64(cm_json_at(v, 1), &offset) && offset == e->offset &&
                     cm_json_uint64(cm_json_at(v, 2), &nbytes) && nbytes == e->nbytes;
        }
    }
    return found == n && n == j->n + j->ranges.n;
}

static void one_text(char *text, bool sound)
{
    cm_json_doc *doc = NULL;
    cm_refs_json j;
    cm_error err = {0}, why = {0};
    char *whole = strdup(text);
    int r = cm_json_parse(text, strlen(text), (size_t)1 << 24, &doc, &why);
    int s = cm_refs_json_parse(text, strlen(text), &j, &err);
    const cm_json *root = r ? NULL : cm_json_doc_root(doc), *refs = cm_json_get(root, "refs");
    bool twice = strstr(why.message, "twice") != NULL; /* chunks: found by the table */
    if (s == 0 && !TAP_OK(r == 0 || twice))
        printf("# taken: %s\n", whole);
    if (sound && !TAP_OK(r == 0 && s == 0))
        printf("# %s %s\n# refused: %s\n", why.message, err.message, whole);
    if (r == 0 && s == 0 && !cm_json_get(root, "gen") &&
        !TAP_OK(same_members(cm_json_is(refs, CM_JSON_OBJECT) ? refs : root, &j)))
        printf("# other members: %s\n", whole);
    const cm_refs_bucket *b = cm_refs_ranges_find(&j.ranges, "s");
    TAP_OK(!sound || (b ? b->n : 0) == j.ranges.n);
    cm_refs_json_deinit(&j);
    cm_json_doc_free(doc);
    free(whole);
}

/* Random texts of both versions, and the same with a byte changed, added or gone: what the JSON
 * parser alone makes of them is the oracle. */
static void taken_out(void)
{
    static const char bytes[] = "\"\"\\,,::[]{}{}0129 \n.-au\x80";
    uint64_t seed = tap_seed();
    for (int round = 0; round < 3000; round++) {
        cm_buffer b;
        cm_buffer_init(&b, 1 << 20);
        bool one = tap_random(&seed) % 2;
        put(&b, space(&seed));
        put(&b, one ? "{\"version\": 1, \"refs\" :{" : "{");
        int n = (int)(tap_random(&seed) % 12);
        for (int i = 0; i < n; i++) {
            put(&b, i ? "," : "");
            random_member(&b, i, "s", &seed);
        }
        put(&b, one ? "}, \"other\": [\"u\", 1, 2]}" : "}");
        put(&b, space(&seed));
        char *text = cm_buffer_take_string(&b);
        size_t length = strlen(text);
        char *changed = malloc(length + 2);
        memcpy(changed, text, length + 1);
        one_text(text, true);
        size_t at = tap_random(&seed) % length;
        char c = bytes[tap_random(&seed) % (sizeof bytes - 1)];
        switch (tap_random(&seed) % 3) {
        case 0: changed[at] = c; break;
        case 1: memmove(changed + at, changed + at + 1, length - at); break;
        default: memmove(changed + at + 1, changed + at, length - at + 1); changed[at] = c;
        }
        one_text(changed, false);
        free(changed);
        free(text);
    }
}

/* ---- the table ------------------------------------------------------------------------------- */

enum { CELLS = 4 * 5 * 6 };

/* Random entries of every kind in a random order, dense and sparse, against an array of them. */
static void table(void)
{
    cm_context *ctx = context();
    cm_store *store = NULL;
    cm_error err = {0};
    uint64_t seed = tap_seed();
    TAP_CALL(cm_store_new_memory(ctx, &store, &err), &err);
    for (int round = 0; round < 40; round++) {
        static const int64_t grid[3] = {4, 5, 6};
        struct {
            int kind; /* 0 none, 1 range, 2 whole, 3 inline, 4 long */
            uint32_t path;
            uint64_t offset, nbytes;
        } want[CELLS] = {{0}};
        cm_paths *paths = NULL;
        cm_referenced *t = NULL;
        cm_table *frozen = NULL;
        TAP_CALL(cm_paths_new(store, &paths, &err), &err);
        uint64_t percent = tap_random(&seed) % 101;
        TAP_CALL(cm_referenced_new(ctx, 3, grid, paths, percent * CELLS / 100, &t, &err), &err);
        for (size_t k = 0; k < CELLS; k++) {
            size_t i = (k * 77) % CELLS; /* 77 and 120 have no common divisor */
            char name[16];
            cm_iov iov = {"", 0};
            if (tap_random(&seed) % 100 >= percent)
                continue;
            want[i].kind = 1 + (int)(tap_random(&seed) % 4);
            snprintf(name, sizeof name, "f%d", (int)(tap_random(&seed) % 7));
            TAP_CALL(store->vt->put(store, name, &iov, 1, 0, &err), &err);
            TAP_CALL(cm_paths_add(paths, name, 2, &want[i].path, &err), &err);
            want[i].offset = tap_random(&seed) >> 2;
            want[i].nbytes = want[i].kind == 4 ? UINT32_MAX - 1 + tap_random(&seed) % 3 : 3 + i;
            if (want[i].kind == 1 || want[i].kind == 4)
                TAP_CALL(
                    cm_referenced_add(t, i, want[i].path, want[i].offset, want[i].nbytes, &err),
                    &err);
            else if (want[i].kind == 2)
                TAP_CALL(cm_referenced_add_whole(t, i, want[i].path, &err), &err);
            else
                TAP_CALL(cm_referenced_add_inline(t, i, &want[i].offset, 8, &err), &err);
        }
        TAP_OK(cm_referenced_add(t, CELLS, 0, 0, 1, NULL) == CM_EDATA);
        TAP_CALL(cm_referenced_freeze(t, &frozen, &err), &err);
        for (int64_t i = 0; i < CELLS; i++) {
            int64_t coord[3] = {i / 30, i / 6 % 5, i % 6};
            cm_location at;
            TAP_CALL(frozen->locate(frozen, coord, &at, &err), &err);
            static const cm_where where[] = {CM_AT_NOWHERE, CM_AT_RANGE, CM_AT_WHOLE, CM_AT_MEMORY,
                                             CM_AT_RANGE};
            TAP_EQ(at.where, where[want[i].kind]);
            if (want[i].kind == 1 || want[i].kind == 4) {
                TAP_OK(at.offset == want[i].offset && at.nbytes == want[i].nbytes);
                TAP_STR(at.key, cm_paths_name(paths, want[i].path));
            } else if (want[i].kind == 2) {
                TAP_STR(at.key, cm_paths_name(paths, want[i].path));
            } else if (want[i].kind == 3) {
                TAP_OK(at.nbytes == 8 && memcmp(at.inline_data, &want[i].offset, 8) == 0);
            }
        }
        frozen->free(frozen);
        cm_paths_unref(paths);
    }
    cm_paths *paths = NULL;
    cm_referenced *t = NULL;
    cm_table *frozen = NULL;
    static const int64_t grid[1] = {100};
    TAP_CALL(cm_paths_new(store, &paths, &err), &err);
    TAP_CALL(cm_referenced_new(ctx, 1, grid, paths, 2, &t, &err), &err);
    TAP_CALL(cm_referenced_add_whole(t, 7, 0, &err), &err);
    TAP_CALL(cm_referenced_add_whole(t, 7, 0, &err), &err);
    TAP_EQ(cm_referenced_freeze(t, &frozen, &err), CM_EDATA); /* twice, found when sorted */
    cm_paths_unref(paths);
    cm_store_unref(store);
    cm_context_free(ctx);
}

/* ---- a dataset ------------------------------------------------------------------------------- */

#define ZARRAY                                                                                     \
    "{\\\"zarr_format\\\": 2, \\\"shape\\\": [6], \\\"chunks\\\": [2], \\\"dtype\\\": "            \
    "\\\"<i2\\\", "                                                                                \
    "\\\"compressor\\\": null, \\\"fill_value\\\": -1, \\\"order\\\": \\\"C\\\", "                 \
    "\\\"filters\\\": null}"

static char folder[256];

static void put_file(const char *name, const void *data, size_t nbytes)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    TAP_OK(fd >= 0 && write(fd, data, nbytes) == (ssize_t)nbytes);
    close(fd);
}

static int read_v(cm_context *ctx, const char *json, int16_t *cells, cm_error *err)
{
    char path[300];
    cm_dataset *ds = NULL;
    int64_t start[1] = {0}, count[1] = {6};
    put_file("r.json", json, strlen(json));
    snprintf(path, sizeof path, "%s/r.json", folder);
    memset(err, 0, sizeof *err);
    int r = cm_dataset_open(ctx, path, NULL, &ds, err);
    const cm_variable *v = r ? NULL : cm_group_find_variable(cm_dataset_root(ds), "v");
    if (v && !cm_variable_array(v)) {
        *err = *cm_variable_problem(v);
        r = err->code;
    } else if (v) {
        r = cm_array_read(ctx, cm_variable_array(v), start, count, cells, NULL, NULL, err);
    }
    cm_dataset_free(ds);
    return r;
}

static void dataset(void)
{
    cm_context *ctx = context();
    cm_error err = {0};
    int16_t cells[6], data[4] = {100, 101, 102, 103};
    char json[2048];
    TAP_OK(scratch_make(folder, sizeof folder));
    put_file("a.bin", data, sizeof data);
    put_file("b c%.bin", data + 1, 4);

    /* a range by a relative path, inline bytes, a missing chunk */
    TAP_CALL(read_v(ctx,
                    "{\"version\": 1, \"refs\": {\".zgroup\": \"{\\\"zarr_format\\\": 2}\", "
                    "\"v/.zarray\": \"" ZARRAY "\", \"v/0\": [\"a.bin\", 2, 4], \"v/1\": "
                    "\"base64:BQAGAA==\"}}",
                    cells, &err),
             &err);
    static const int16_t one[6] = {101, 102, 5, 6, -1, -1};
    TAP_OK(memcmp(cells, one, sizeof one) == 0);

    /* whole objects, URLs with and without escapes, no .zgroup */
    snprintf(json, sizeof json,
             "{\"v/.zarray\": \"" ZARRAY "\", \"v/0\": [\"file://%s/b c%%.bin\"], \"v/1\": "
             "[\"file://localhost%s/x/../b%%20c%%25.bin\"], \"v/2\": [\"./b c%%.bin\"]}",
             folder, folder);
    TAP_CALL(read_v(ctx, json, cells, &err), &err);
    for (int i = 0; i < 6; i++)
        TAP_EQ(cells[i], 101 + i % 2);

    /* what is refused, and how it is said */
    static const struct {
        const char *refs, *says;
        int code;
    } bad[] = {
        {"\"v/0\": [\"s3://bucket/a.bin\", 0, 4]", "s3://bucket/a.bin, which is not a local",
         CM_EUNSUP},
        {"\"v/0\": [\"zip::a.zip\", 0, 4]", "not a local", CM_EUNSUP},
        {"\"v/0\": [\"gone.bin\", 0, 4]", "gone.bin, which is referred to, is not there",
         CM_ENOTFOUND},
        {"\"v/0\": [\"gone.bin\"]", "gone.bin, which is referred to, is not there", CM_ENOTFOUND},
        {"\"v/0\": [\"a.bin\", 6, 4]", "", CM_EDATA},
        {"\"v/0\": [\"a.bin\", 0, 3]", "", CM_EDATA},
        {"\"v/0\": [\"a.bin\"]", "", CM_EDATA}, /* 8 bytes for a chunk of 4 */
        {"\"v/0\": [\"a.bin\", 0]", "neither a text nor", CM_EDATA},
        {"\"v/0\": [\"a.bin\", -1, 4]", "neither a text nor", CM_EDATA},
        {"\"v/0\": 5", "neither a text nor", CM_EDATA},
        {"\"v/0\": \"base64:!\"", "malformed base64", CM_EDATA},
        {"\"v/0\": [\"\", 0, 4]", "without a URL", CM_EDATA},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(json, sizeof json,
                 "{\"version\": 1, \"refs\": {\"v/.zarray\": \"" ZARRAY "\", %s}}", bad[i].refs);
        TAP_EQ(read_v(ctx, json, cells, &err), bad[i].code);
        if (!TAP_OK(strstr(err.message, bad[i].says)))
            printf("# %s: %s\n", bad[i].refs, err.message);
    }

    /* sources that are not what they were */
    static const char *const sources[] = {"[8, 0]", "[9, 0]", "[8]"};
    static const int codes[] = {CM_EDATA, CM_EDATA, 0};
    for (int i = 0; i < 3; i++) {
        snprintf(json, sizeof json,
                 "{\"version\": 1, \"sources\": {\"a.bin\": %s}, \"refs\": {\"v/.zarray\": "
                 "\"" ZARRAY "\", \"v/0\": [\"a.bin\", 0, 4]}}",
                 sources[i]);
        TAP_EQ(read_v(ctx, json, cells, &err), codes[i]);
        TAP_OK(codes[i] == 0 || strstr(err.message, "when the references were made") ||
               strstr(err.message, "after the references were made"));
    }
    TAP_OK(scratch_remove(folder));
    cm_context_free(ctx);
}

/* ---- Parquet's parts ------------------------------------------------------------------------- */

static void pages(void)
{
    /* google/snappy's format description: literals, copies with 1 and 2 byte offsets, overlapping
     */
    static const uint8_t packed[] = {12, 3 << 2,        'a', 'b', 'c', 'd', 0x01 | 1 << 2 | 0 << 5,
                                     2,  0x02 | 2 << 2, 9,   0};
    uint8_t out[16];
    cm_error err = {0};
    TAP_CALL(cm_parquet_decompress(CM_PARQUET_SNAPPY, packed, sizeof packed, out, 12, &err), &err);
    TAP_OK(memcmp(out, "abcdcdcdcabc", 12) == 0);
    for (size_t n = 0; n < sizeof packed; n++)
        TAP_OK(cm_parquet_decompress(CM_PARQUET_SNAPPY, packed, n, out, 12, NULL) == CM_EDATA);
    TAP_EQ(cm_parquet_decompress(2, packed, 4, out, 4, &err), CM_EUNSUP);
    TAP_OK(strstr(err.message, "gzip") != NULL);

    /* parquet-format Encodings.md: 0 to 7 bit-packed with 3 bits */
    static const uint8_t bits[] = {3, 0x88, 0xc6, 0xfa, 10, 6};
    uint32_t v[13];
    TAP_CALL(cm_parquet_hybrid(bits, sizeof bits, 3, v, 13, &err), &err);
    for (uint32_t i = 0; i < 13; i++)
        TAP_EQ(v[i], i < 8 ? i : 6);
    TAP_EQ(cm_parquet_hybrid(bits, 3, 3, v, 13, &err), CM_EDATA);

    /* a run whose value has more bits than values have: levels are 0 or 1, and counted by adding */
    static const uint8_t run[] = {13 << 1, 2};
    TAP_CALL(cm_parquet_hybrid(run, sizeof run, 2, v, 13, &err), &err);
    TAP_EQ(cm_parquet_hybrid(run, sizeof run, 1, v, 13, &err), CM_EDATA);
    static const uint8_t wide[] = {13 << 1, 0xff, 0xff, 0xff, 0xff};
    TAP_CALL(cm_parquet_hybrid(wide, sizeof wide, 32, v, 13, &err), &err);
    TAP_EQ(v[12], UINT32_MAX);
}

/* Rows of every kind in random mixtures, written and read back. */
static void parquet(void)
{
    static const char *const names[] = {"file:///a", "file:///b/\"c\"", "file:///\xc3\xa4"};
    uint64_t seed = tap_seed();
    cm_error err = {0};
    for (int round = 0; round < 60; round++) {
        size_t n = round < 12 ? (size_t)round : tap_random(&seed) % 700;
        size_t nnames = 1 + tap_random(&seed) % 3;
        uint64_t kinds = 1 + tap_random(&seed) % 7; /* which of the three kinds occur */
        cm_parquet_row *rows = calloc(n + 1, sizeof *rows);
        uint8_t blob[700 + 64];
        for (size_t i = 0; i < sizeof blob; i++)
            blob[i] = (uint8_t)(i * 7 + (size_t)round);
        for (size_t i = 0; i < n; i++) {
            do
                rows[i].kind = (uint8_t)(tap_random(&seed) % 3);
            while (!(kinds >> rows[i].kind & 1));
            rows[i].path = (uint32_t)(rows[i].kind == 2 ? i : tap_random(&seed) % nnames);
            rows[i].offset = tap_random(&seed) >> 1;
            rows[i].nbytes = rows[i].kind == 2 ? tap_random(&seed) % 60 : tap_random(&seed) >> 40;
        }
        cm_buffer out;
        cm_buffer_init(&out, 1 << 24);
        cm_parquet_column c[] = {{.name = "path"},
                                 {.name = "offset", .is_number = true},
                                 {.name = "size", .is_number = true},
                                 {.name = "raw"}};
        size_t got = 0;
        cm_parquet_room room = {0};
        TAP_CALL(cm_parquet_write(rows, n, names, nnames, blob, &out, &err), &err);
        TAP_CALL(cm_parquet_read(out.data, out.nbytes, 1000, &room, c, 4, &got, &err), &err);
        TAP_EQ(got, n);
        for (size_t i = 0; i < n && got == n; i++) {
            bool raw = c[3].present && c[3].defined[i];
            TAP_OK(raw == (rows[i].kind == 2) && c[0].defined[i] == (rows[i].kind == 1));
            if (rows[i].kind == 1) {
                cm_string v = c[0].values[c[0].codes[i]];
                TAP_OK(v.nbytes == strlen(names[rows[i].path]) &&
                       memcmp(v.data, names[rows[i].path], v.nbytes) == 0);
                TAP_OK(c[1].numbers[i] == (int64_t)rows[i].offset);
                TAP_OK(c[2].numbers[i] == (int64_t)rows[i].nbytes);
            } else if (raw) {
                cm_string v = c[3].values[c[3].codes[i]];
                TAP_OK(v.nbytes == rows[i].nbytes && memcmp(v.data, blob + i, v.nbytes) == 0);
            }
        }
        for (int k = 0; k < 4; k++)
            cm_parquet_column_deinit(&c[k]);
        TAP_EQ(room.pinned > 0, n > 0);
        cm_error_clear(&err);
        if (n > 100) { /* not into so little, and nothing is left behind */
            cm_parquet_column d[] = {{.name = "path"}, {.name = "offset", .is_number = true}};
            cm_parquet_room little = {0};
            TAP_CALL(cm_budget_new(room.pinned / 8, &little.budget, NULL), &err);
            TAP_EQ(cm_parquet_read(out.data, out.nbytes, 1000, &little, d, 2, &got, &err),
                   CM_ELIMIT);
            TAP_EQ(cm_budget_pinned(little.budget), little.pinned);
            cm_budget_unpin(little.budget, little.pinned);
            cm_budget_free(little.budget);
            cm_parquet_column_deinit(&d[0]);
            cm_parquet_column_deinit(&d[1]);
            cm_error_clear(&err);
        }
        /* cut anywhere it is refused, never crashes */
        for (int k = 0; k < 20 && out.nbytes; k++) {
            cm_parquet_column d[] = {{.name = "path"}, {.name = "offset", .is_number = true}};
            TAP_OK(cm_parquet_read(out.data, tap_random(&seed) % out.nbytes, 1000, &room, d, 2,
                                   &got, NULL) != 0);
            cm_parquet_column_deinit(&d[0]);
            cm_parquet_column_deinit(&d[1]);
        }
        cm_buffer_deinit(&out);
        free(rows);
    }
}

int main(void)
{
    TAP_RUN(templates);
    TAP_RUN(generated);
    TAP_RUN(taken_out);
    TAP_RUN(table);
    TAP_RUN(dataset);
    TAP_RUN(pages);
    TAP_RUN(parquet);
    return tap_done();
}
