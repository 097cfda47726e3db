/* tests/test_zarr_invalid.c: metadata that must not be read: each document of a table differs from
 * a good one in one member, and the refusal must name that member. A document is refused either by
 * the open or as the variable's problem; either way nothing of it is readable.
 *
 * The good documents themselves are read first, so that a table that refuses everything fails.
 */
#include "chunkmill/dataset.h"
#include "format/format.h"
#include "tap.h"

static cm_context *ctx;

static cm_store *store_of(const char *const (*objects)[2], size_t n)
{
    cm_error err = {0};
    cm_store *store = NULL;
    TAP_CALL(cm_store_new_memory(ctx, &store, &err), &err);
    for (size_t i = 0; i < n; i++)
        TAP_CALL(store->vt->put(store, objects[i][0],
                                &(cm_iov){objects[i][1], strlen(objects[i][1])}, 1, 0, &err),
                 &err);
    return store;
}

/* The text with the first `from` replaced by `to`; free it. */
static char *replaced(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    if (!at) {
        printf("# no %s in the document\n", from);
        abort();
    }
    size_t head = (size_t)(at - text);
    char *out = malloc(strlen(text) + strlen(to) + 1);
    memcpy(out, text, head);
    strcpy(out + head, to);
    strcat(out, at + strlen(from));
    return out;
}

/* The code of the refusal of the store's array "a" (or of the whole), its message in *err. */
static int refusal(cm_store *store, cm_error *err)
{
    cm_dataset *ds = NULL;
    *err = (cm_error){0};
    int r = cm_zarr_open(ctx, store, "", "memory://store", &ds, err);
    if (r)
        return r;
    const cm_variable *v = cm_group_find_variable(cm_dataset_root(ds), "a");
    if (v && cm_variable_problem(v))
        *err = *cm_variable_problem(v);
    if (v && !cm_variable_problem(v) == !cm_variable_array(v))
        err->code = 99;
    cm_dataset_free(ds);
    return err->code;
}

typedef struct bad {
    const char *from, *to;
    int code;
    const char *says; /* must be in the message */
} bad;

static void check(const char *good, const char *key, const bad *table, size_t n,
                  const char *const (*rest)[2], size_t nrest)
{
    for (size_t i = 0; i < n; i++) {
        cm_error err;
        char *text = replaced(good, table[i].from, table[i].to), line[2048];
        cm_store *store = store_of(rest, nrest);
        TAP_CALL(store->vt->put(store, key, &(cm_iov){text, strlen(text)}, 1, 0, &err), &err);
        int code = refusal(store, &err);
        cm_error_line(&err, line, sizeof line);
        if (code != table[i].code || !strstr(line, table[i].says)) {
            printf("# %s -> %s: %s \"%s\", want %s \"%s\"\n", table[i].from, table[i].to,
                   cm_code_name(code), line, cm_code_name(table[i].code), table[i].says);
            tap_failed_here++;
        }
        cm_store_unref(store);
        free(text);
    }
}

/* ---- v3 -------------------------------------------------------------------------------------- */

static const char good_v3[] =
    "{\"zarr_format\": 3, \"node_type\": \"array\", \"shape\": [6, 4], \"data_type\": \"float32\","
    " \"chunk_grid\": {\"name\": \"regular\", \"configuration\": {\"chunk_shape\": [3, 2]}},"
    " \"chunk_key_encoding\": {\"name\": \"default\", \"configuration\": {\"separator\": \"/\"}},"
    " \"fill_value\": 1.5, \"codecs\": [{\"name\": \"bytes\", \"configuration\": {\"endian\":"
    " \"little\"}}], \"attributes\": {\"units\": \"K\"}, \"dimension_names\": [\"y\", \"x\"],"
    " \"storage_transformers\": []}";

static const char *const root_v3[][2] = {
    {"zarr.json", "{\"zarr_format\": 3, \"node_type\": \"group\", \"attributes\": {}}"}};

static const bad bad_v3[] = {
    {"\"zarr_format\": 3", "\"zarr_format\": 2", CM_EDATA, "zarr_format"},
    {"\"zarr_format\": 3", "\"zarr_format\": \"3\"", CM_EDATA, "zarr_format"},
    {"\"node_type\": \"array\"", "\"node_type\": \"table\"", CM_EDATA, "node_type"},
    {"\"node_type\": \"array\", ", "", CM_EDATA, "node_type"},
    {"\"shape\": [6, 4], ", "", CM_EDATA, "shape"},
    {"[6, 4]", "[6, -4]", CM_EDATA, "shape"},
    {"[6, 4]", "[6, 4.5]", CM_EDATA, "shape"},
    {"[6, 4]", "[6, \"4\"]", CM_EDATA, "shape"},
    {"[6, 4]", "[6, null]", CM_EDATA, "shape"},
    {"[6, 4]", "[6, 1e30]", CM_EDATA, "shape"},
    {"[6, 4]", "24", CM_EDATA, "shape"},
    {"[6, 4]", "[4294967296, 4294967296]", CM_EDATA, "shape"},
    {"[6, 4]", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", CM_EUNSUP,
     "shape"},
    {"\"data_type\": \"float32\", ", "", CM_EDATA, "data_type"},
    {"\"float32\"", "\"r16\"", CM_EDATA, "raw2"},
    {"\"float32\"", "\"float128\"", CM_EUNSUP, "float128"},
    {"\"float32\"", "\"bytes\"", CM_EDATA, "variable_length_bytes"},
    {"\"float32\"", "\"none\"", CM_EUNSUP, "none"},
    {"\"float32\"", "4", CM_EDATA, "data_type"},
    {"\"float32\"",
     "{\"name\": \"numpy.datetime64\", \"configuration\": {\"unit\": \"s\", \"scale_factor\": 1}}",
     CM_EDATA, "datetime64[s]"},
    {"\"float32\"", "{\"name\": \"fixed_length_utf32\", \"configuration\": {\"length_bytes\": 7}}",
     CM_EUNSUP, "fixed_length_utf32"},
    {"\"float32\"", "{\"name\": \"fixed_length_utf32\", \"configuration\": {\"length_bytes\": 0}}",
     CM_EUNSUP, "fixed_length_utf32"},
    {"\"float32\"",
     "{\"name\": \"null_terminated_bytes\", \"configuration\": {\"length_bytes\": 1e12}}",
     CM_EUNSUP, "null_terminated_bytes"},
    {"\"float32\"", "\"null_terminated_bytes\"", CM_EDATA, "length_bytes"},
    {"\"float32\"", "{\"name\": \"fixed_length_utf32\", \"configuration\": {\"length_bytes\": 8}}",
     CM_EDATA, "fill_value"},
    {"\"float32\"", "{\"name\": \"float32\", \"configuration\": {\"bias\": 8}}", CM_EUNSUP, "bias"},
    {"\"float32\"", "{\"configuration\": {}}", CM_EDATA, "data_type"},
    {"\"float32\"", "{\"name\": \"float32\", \"extra\": 1}", CM_EUNSUP, "extra"},
    {"\"chunk_grid\": {\"name\": \"regular\", \"configuration\": {\"chunk_shape\": [3, 2]}},", "",
     CM_EDATA, "chunk_grid"},
    {"\"regular\"", "\"hexagonal\"", CM_EUNSUP, "hexagonal"},
    {"[3, 2]", "[3]", CM_EDATA, "chunk_shape"},
    {"[3, 2]", "[3, 0]", CM_EDATA, "chunk_shape"},
    {"[3, 2]", "[3, -2]", CM_EDATA, "chunk_shape"},
    {"[3, 2]", "[4294967296, 4294967296]", CM_ELIMIT, "codecs"},
    {"[3, 2]", "[[3, 3], 2]", CM_EDATA, "chunk_shape"},
    {"{\"chunk_shape\": [3, 2]}", "{\"chunk_shape\": [3, 2], \"origin\": [0, 0]}", CM_EUNSUP,
     "origin"},
    {"{\"chunk_shape\": [3, 2]}", "{}", CM_EDATA, "chunk_shape"},
    {"\"default\"", "\"hashed\"", CM_EUNSUP, "hashed"},
    {"\"separator\": \"/\"", "\"separator\": \"-\"", CM_EDATA, "separator"},
    {"\"separator\": \"/\"", "\"separator\": 1", CM_EDATA, "separator"},
    {"\"separator\": \"/\"", "\"depth\": 1", CM_EUNSUP, "depth"},
    {"\"fill_value\": 1.5, ", "", CM_EDATA, "fill_value"},
    {"1.5", "null", CM_EDATA, "fill_value"},
    {"1.5", "\"1.5\"", CM_EDATA, "fill_value"},
    {"1.5", "true", CM_EDATA, "fill_value"},
    {"1.5", "\"0x7fc0\"", CM_EDATA, "fill_value"},
    {"1.5", "\"0x7fc0000g\"", CM_EDATA, "fill_value"},
    {"1.5", "\"nan\"", CM_EDATA, "fill_value"},
    {"1.5", "[1.5, 0]", CM_EDATA, "fill_value"},
    {"\"codecs\": [{\"name\": \"bytes\", \"configuration\": {\"endian\": \"little\"}}], ", "",
     CM_EDATA, "codecs"},
    {"\"codecs\": [{", "\"codecs\": [{\"name\": \"middle-out\"}, {", CM_EUNSUP, "middle-out"},
    {"\"attributes\": {\"units\": \"K\"}", "\"attributes\": [1]", CM_EDATA, "attributes"},
    {"[\"y\", \"x\"]", "[\"y\"]", CM_EDATA, "dimension_names"},
    {"[\"y\", \"x\"]", "[\"y\", 1]", CM_EDATA, "dimension_names"},
    {"[\"y\", \"x\"]", "\"yx\"", CM_EDATA, "dimension_names"},
    {"\"storage_transformers\": []", "\"storage_transformers\": [{\"name\": \"indirect\"}]",
     CM_EUNSUP, "storage_transformers"},
    {"\"storage_transformers\": []", "\"storage_transformers\": {}", CM_EUNSUP,
     "storage_transformers"},
    {"\"storage_transformers\": []", "\"compression\": {\"must_understand\": true}", CM_EUNSUP,
     "compression"},
    {"\"storage_transformers\": []", "\"offset\": 7", CM_EUNSUP, "offset"},
    {"\"storage_transformers\": []}", "\"storage_transformers\": []", CM_EDATA, "a/zarr.json"},
    {"{\"zarr_format\": 3,", "[{\"zarr_format\": 3,", CM_EDATA, "a/zarr.json"},
};

static void v3_members(void)
{
    cm_error err;
    const char *const good[][2] = {{root_v3[0][0], root_v3[0][1]}, {"a/zarr.json", good_v3}};
    cm_store *store = store_of(good, 2);
    TAP_EQ(refusal(store, &err), 0);
    cm_store_unref(store);
    check(good_v3, "a/zarr.json", bad_v3, sizeof bad_v3 / sizeof bad_v3[0], root_v3, 1);
}

/* The same, for integers, bools, complex numbers and strings. */
static void v3_fill_types(void)
{
    static const char *const table[][3] = {/* type, fill, what becomes of it */
                                           {"uint8", "255", ""},
                                           {"uint8", "256", "fill_value"},
                                           {"uint8", "-1", "fill_value"},
                                           {"int8", "-128", ""},
                                           {"int8", "1.5", "fill_value"},
                                           {"int16", "\"NaN\"", "fill_value"},
                                           {"int64", "-9223372036854775808", ""},
                                           {"uint64", "18446744073709551615", ""},
                                           {"uint64", "18446744073709551616", "fill_value"},
                                           {"int64", "9223372036854775808", "fill_value"},
                                           {"bool", "true", ""},
                                           {"bool", "1", "fill_value"},
                                           {"bool", "\"true\"", "fill_value"},
                                           {"complex64", "[1, \"NaN\"]", ""},
                                           {"complex64", "[\"0x7fc00001\", \"-Infinity\"]", ""},
                                           {"complex64", "1", "fill_value"},
                                           {"complex128", "[1, 2, 3]", "fill_value"},
                                           {"complex128", "[1, \"0x7fc00001\"]", "fill_value"},
                                           {"float16", "\"0x7e01\"", ""},
                                           {"float64", "\"0x7ff8000000000001\"", ""},
                                           {"float64", "\"Infinity\"", ""}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        cm_error err;
        char type[64];
        snprintf(type, sizeof type, "\"%s\"", table[i][0]);
        char *one = replaced(good_v3, "\"float32\"", type),
             *two = replaced(one, "1.5", table[i][1]);
        const char *const objects[][2] = {{root_v3[0][0], root_v3[0][1]}, {"a/zarr.json", two}};
        cm_store *store = store_of(objects, 2);
        int code = refusal(store, &err);
        if (!TAP_OK(table[i][2][0] ? code == CM_EDATA && strstr(err.message, table[i][2])
                                   : code == 0))
            printf("# %s %s: %s %s\n", table[i][0], table[i][1], cm_code_name(code), err.message);
        cm_store_unref(store);
        free(one);
        free(two);
    }
}

/* Shorthands and members that may be ignored. */
static void v3_allowed(void)
{
    static const bad good[] = {
        {"{\"name\": \"default\", \"configuration\": {\"separator\": \"/\"}}", "\"default\"", 0,
         ""},
        {"{\"name\": \"default\", \"configuration\": {\"separator\": \"/\"}}",
         "{\"name\": \"v2\", \"configuration\": {\"separator\": \".\"}}", 0, ""},
        {"\"float32\"", "{\"name\": \"float32\"}", 0, ""},
        {"\"float32\"", "{\"name\": \"float32\", \"configuration\": {}}", 0, ""},
        {"\"storage_transformers\": []", "\"hint\": {\"must_understand\": false, \"x\": 1}", 0, ""},
        {"[\"y\", \"x\"]", "null", 0, ""},
        {"[\"y\", \"x\"]", "[null, \"x\"]", 0, ""},
        {"[\"y\", \"x\"]", "[\"\", \"x\"]", 0, ""},
        {"[\"y\", \"x\"]", "[\"a/b\", \"x\"]", 0, ""},
        {"[\"y\", \"x\"]", "[\"x\", \"x\"]", 0, ""},
        {"[3, 2]", "[100, 3]", 0, ""},
        {"1.5", "NaN", 0, ""},
    };
    check(good_v3, "a/zarr.json", good, sizeof good / sizeof good[0], root_v3, 1);
    char *one = replaced(good_v3, "[6, 4]", "[0, 4]"), *two = replaced(one, "[3, 2]", "[0, 2]");
    const char *const objects[][2] = {{root_v3[0][0], root_v3[0][1]}, {"a/zarr.json", two}};
    cm_store *store = store_of(objects, 2);
    cm_error err;
    TAP_EQ(refusal(store, &err), 0);
    cm_store_unref(store);
    free(one);
    free(two);
}

/* ---- v2 -------------------------------------------------------------------------------------- */

static const char good_v2[] = "{\"zarr_format\": 2, \"shape\": [6, 4], \"chunks\": [3, 2], "
                              "\"dtype\": \"<f4\", \"compressor\": "
                              "null, \"fill_value\": 1.5, \"order\": \"C\", \"filters\": null, "
                              "\"dimension_separator\": \".\"}";

static const char *const root_v2[][2] = {{".zgroup", "{\"zarr_format\": 2}"}};

static const bad bad_v2[] = {
    {"\"zarr_format\": 2, ", "", CM_EDATA, "zarr_format"},
    {"\"zarr_format\": 2", "\"zarr_format\": 3", CM_EDATA, "zarr_format"},
    {"\"shape\": [6, 4], ", "", CM_EDATA, "shape"},
    {"[6, 4]", "[6, -1]", CM_EDATA, "shape"},
    {"\"chunks\": [3, 2], ", "", CM_EDATA, "chunks"},
    {"[3, 2]", "[3, 0]", CM_EDATA, "chunks"},
    {"[3, 2]", "[3, 2, 1]", CM_EDATA, "chunks"},
    {"[3, 2]", "false", CM_EDATA, "chunks"},
    {"\"dtype\": \"<f4\", ", "", CM_EDATA, "dtype"},
    {"\"<f4\"", "\"f4\"", CM_EDATA, "dtype"},
    {"\"<f4\"", "\"|f4\"", CM_EDATA, "dtype"},
    {"\"<f4\"", "\"<f5\"", CM_EUNSUP, "<f5"},
    {"\"<f4\"", "\"<f16\"", CM_EUNSUP, "<f16"},
    {"\"<f4\"", "\"<f4x\"", CM_EUNSUP, "<f4x"},
    {"\"<f4\"", "\"<f\"", CM_EUNSUP, "dtype"},
    {"\"<f4\"", "\"\"", CM_EDATA, "dtype"},
    {"\"<f4\"", "\"<\"", CM_EDATA, "dtype"},
    {"\"<f4\"", "\"<f-4\"", CM_EUNSUP, "dtype"},
    {"\"<f4\"", "\"<q4\"", CM_EDATA, "dtype"},
    {"\"<f4\"", "\"<M8[ns]\"", CM_EDATA, "datetime64[ns]"}, /* the fill value is "NaN" */
    {"\"<f4\"", "\"<m8[7s]\"", CM_EDATA, "timedelta64[7s]"},
    {"\"<f4\"", "\"<M8[parsec]\"", CM_EDATA, "not a time"},
    {"\"<f4\"", "\"<M8[0s]\"", CM_EDATA, "not a time"},
    {"\"<f4\"", "\"<M8[s\"", CM_EDATA, "not a time"},
    {"\"<f4\"", "\"|M8[s]\"", CM_EDATA, "byte order"},
    {"\"<f4\"", "\"|S4\"", CM_EDATA, "fill_value"},
    {"\"<f4\"", "\"|S0\"", CM_EUNSUP, "|S0"},
    {"\"<f4\"", "\"|S99999999999999999999\"", CM_EUNSUP, "|S9999"},
    {"\"<f4\"", "\"<U9999999999999999999\"", CM_EUNSUP, "<U9999"},
    {"\"<f4\"", "\"|U4\"", CM_EUNSUP, "|U4"},
    {"\"<f4\"", "\"|V4\"", CM_EDATA, "raw4"},
    {"\"<f4\"", "\"|V0\"", CM_EUNSUP, "|V0"},
    {"\"<f4\"", "[[\"a\", \"<f4\"]]", CM_EDATA, "record{a: float32}"},
    {"\"<f4\"", "[]", CM_EDATA, "fields"},
    {"\"<f4\"", "[\"a\"]", CM_EDATA, "a field is not"},
    {"\"<f4\"", "[[\"a\", \"<f4\"], [\"a\", \"<f8\"]]", CM_EDATA, "two fields named \"a\""},
    {"\"<f4\"", "[[\"a\", \"<f4\", [2, -1]]]", CM_EDATA, "no list of lengths"},
    {"\"<f4\"", "[[\"a\", \"<f4\", [70000, 70000, 70000, 70000]]]", CM_ELIMIT, "bytes"},
    {"\"<f4\"", "[[\"a\", \"|O\"]]", CM_EUNSUP, "objects within structures"},
    {"\"<f4\"", "\"|O\"", CM_EDATA, "object"},
    {"\"compressor\": null", "\"compressor\": {\"id\": \"middle-out\"}", CM_EUNSUP, "middle-out"},
    {"\"compressor\": null", "\"compressor\": {\"level\": 1}", CM_EDATA, ""},
    {"\"fill_value\": 1.5, ", "", CM_EDATA, "fill_value"},
    {"1.5", "\"AAAAAA==\"", CM_EDATA, "fill_value"},
    {"1.5", "\"0x7fc00000\"", CM_EDATA, "fill_value"},
    {"\"order\": \"C\", ", "", CM_EDATA, "order"},
    {"\"C\"", "\"A\"", CM_EDATA, "order"},
    {"\"C\"", "null", CM_EDATA, "order"},
    {"\"filters\": null", "\"filters\": [{\"id\": \"shuffle\", \"elementsize\": 0}]", CM_EUNSUP,
     "\"elementsize\" 0"},
    {"\"filters\": null", "\"filters\": [{\"id\": \"pickle\"}]", CM_EUNSUP, "pickle"},
    {"\"dimension_separator\": \".\"", "\"dimension_separator\": \"\"", CM_EDATA,
     "dimension_separator"},
    {"\"dimension_separator\": \".\"", "\"dimension_separator\": null", CM_EDATA,
     "dimension_separator"},
    {"\"dimension_separator\": \".\"", "\"shards\": [2, 2]", CM_EUNSUP, "shards"},
};

static void v2_members(void)
{
    cm_error err;
    const char *const good[][2] = {{root_v2[0][0], root_v2[0][1]}, {"a/.zarray", good_v2}};
    cm_store *store = store_of(good, 2);
    TAP_EQ(refusal(store, &err), 0);
    cm_store_unref(store);
    check(good_v2, "a/.zarray", bad_v2, sizeof bad_v2 / sizeof bad_v2[0], root_v2, 1);
    static const bad zattrs[] = {
        {"[\"y\", \"x\"]", "[\"y\"]", CM_EDATA, "_ARRAY_DIMENSIONS"},
        {"[\"y\", \"x\"]", "\"y x\"", CM_EDATA, "_ARRAY_DIMENSIONS"},
        {"[\"y\", \"x\"]", "[\"y\", {}]", CM_EDATA, "_ARRAY_DIMENSIONS"},
        {"[\"y\", \"x\"]}", "[\"y\", ", CM_EDATA, ".zattrs"},
        {"{\"_ARRAY_DIMENSIONS\": [\"y\", \"x\"]}", "[]", CM_EDATA, ".zattrs"},
        {"[\"y\", \"x\"]", "[null, \"x\"]", 0, ""},
    };
    check("{\"_ARRAY_DIMENSIONS\": [\"y\", \"x\"]}", "a/.zattrs", zattrs,
          sizeof zattrs / sizeof zattrs[0], good, 2);
    static const bad allowed[] = {
        {"1.5", "null", 0, ""},
        {"1.5", "NaN", 0, ""},
        {"1.5", "\"-Infinity\"", 0, ""},
        {"\"order\"", "\"_NCZARR_ARRAY\": {\"storage\": \"chunked\"}, \"order\"", 0, ""},
        {", \"dimension_separator\": \".\"", "", 0, ""},
    };
    check(good_v2, "a/.zarray", allowed, sizeof allowed / sizeof allowed[0], root_v2, 1);
}

/* Text that a cell has no room for: zarr-python cuts it, which nothing says. */
static void v2_long_fills(void)
{
    static const bad wide[] = {{"\"\"", "\"\u00e4\u00f6\u00fc\"", 0, ""},
                               {"\"\"", "\"abc\"", 0, ""},
                               {"\"\"", "\"abcd\"", CM_EDATA, "longer than a cell of <U3"},
                               {"\"\"", "\"\u00e4\u00f6\u00fcx\"", CM_EDATA, "longer"}};
    static const bad narrow[] = {{"\"\"", "\"YWJj\"", 0, ""},
                                 {"\"\"", "\"YWJjZA==\"", CM_EDATA, "longer than a cell of |S3"}};
    char *text = replaced(good_v2, "1.5", "\"\""), *u = replaced(text, "<f4", "<U3"),
         *s = replaced(text, "<f4", "|S3");
    check(u, "a/.zarray", wide, sizeof wide / sizeof wide[0], root_v2, 1);
    check(s, "a/.zarray", narrow, sizeof narrow / sizeof narrow[0], root_v2, 1);
    free(text);
    free(u);
    free(s);
}

/* ---- whole stores ---------------------------------------------------------------------------- */

typedef struct bad_store {
    const char *objects[4][2];
    int code;
    const char *says;
} bad_store;

#define GROUP3 "\"zarr_format\": 3, \"node_type\": \"group\""
#define INLINE "\"consolidated_metadata\": {\"kind\": \"inline\", \"metadata\": "
#define ARRAY2                                                                                     \
    "{\"zarr_format\": 2, \"shape\": [], \"chunks\": [], \"dtype\": \"<f4\", \"compressor\": "     \
    "null, "                                                                                       \
    "\"fill_value\": 0, \"order\": \"C\", \"filters\": null}"
#define ZMETA(x) "{\"zarr_consolidated_format\": 1, \"metadata\": {" x "}}"

static void stores(void)
{
    static const bad_store table[] = {
        {{{"other", "x"}}, CM_ENOTFOUND, "zarr.json"},
        {{{"zarr.json", "{"}}, CM_EDATA, "zarr.json"},
        {{{"zarr.json", "{\"zarr_format\": 3}"}}, CM_EDATA, "node_type"},
        {{{"zarr.json", "{\"zarr_format\": 4, \"node_type\": \"group\"}"}},
         CM_EDATA,
         "zarr_format"},
        {{{"zarr.json", "{" GROUP3 ", \"attributes\": 1}"}}, CM_EDATA, "attributes"},
        {{{"zarr.json", "{" GROUP3 ", \"links\": {}}"}}, CM_EUNSUP, "links"},
        {{{"zarr.json", "{" GROUP3 ", " INLINE "{\"../x\": {" GROUP3 "}}}}"}}, CM_EDATA, "../x"},
        {{{"zarr.json", "{" GROUP3 ", " INLINE "{\"/x\": {" GROUP3 "}}}}"}}, CM_EDATA, "/x"},
        {{{"zarr.json", "{" GROUP3 ", " INLINE "{\"a//b\": {" GROUP3 "}}}}"}}, CM_EDATA, "a//b"},
        {{{"zarr.json", "{" GROUP3 ", " INLINE "{\"a/./b\": {" GROUP3 "}}}}"}}, CM_EDATA, "a/./b"},
        {{{"zarr.json", "{" GROUP3 ", " INLINE "{\"a\": 1}}}"}}, CM_EDATA, "\"a\""},
        {{{"zarr.json", "{" GROUP3 ", " INLINE "{\"a\": {\"node_type\": \"x\"}}}}"}},
         CM_EDATA,
         "\"a\""},
        {{{"zarr.json",
           "{" GROUP3 ", " INLINE "{\"q\": {\"node_type\": \"array\"}, \"q/r\": {" GROUP3 "}}}}"}},
         CM_EDATA,
         "below the array"},
        {{{".zgroup", "{\"zarr_format\": 3}"}}, CM_EDATA, "zarr_format"},
        {{{".zgroup", "[]"}}, CM_EDATA, ".zgroup"},
        {{{".zgroup", "{\"zarr_format\": 2}"}, {".zattrs", "{"}}, CM_EDATA, ".zattrs"},
        {{{".zgroup", "{\"zarr_format\": 2}"}, {".zarray", ARRAY2}}, CM_EDATA, "both"},
        {{{".zgroup", "{\"zarr_format\": 2}"}, {"g/.zgroup", "nonsense"}}, CM_EDATA, "g/.zgroup"},
        {{{".zmetadata", "{\"metadata\": {}}"}}, CM_EUNSUP, "zarr_consolidated_format"},
        {{{".zmetadata", "{\"zarr_consolidated_format\": 1}"}}, CM_EDATA, "metadata"},
        {{{".zmetadata", ZMETA("\"../x/.zarray\": " ARRAY2)}}, CM_EDATA, "../x"},
        {{{".zmetadata", ZMETA("\"/etc/.zarray\": " ARRAY2)}}, CM_EDATA, "/etc"},
        {{{".zmetadata", ZMETA("\"a/.zarray\": 1")}}, CM_EDATA, "a/.zarray"},
        {{{".zmetadata", ZMETA("\"a/.zarray\": " ARRAY2 ", \"a/.zgroup\": {\"zarr_format\": 2}")}},
         CM_EDATA,
         "both"},
        {{{".zmetadata", ZMETA("\"a/b/.zarray\": " ARRAY2 ", \"a/.zarray\": " ARRAY2)}},
         CM_EDATA,
         "below the array"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        size_t n = 0;
        cm_error err;
        while (n < 4 && table[i].objects[n][0])
            n++;
        cm_store *store = store_of(table[i].objects, n);
        int code = refusal(store, &err);
        char line[2048];
        if (!TAP_OK(code == table[i].code &&
                    strstr(cm_error_line(&err, line, sizeof line), table[i].says)))
            printf("# store %zu: %s \"%s\", want \"%s\"\n", i, cm_code_name(code), line,
                   table[i].says);
        cm_store_unref(store);
    }
}

/* 200 groups in one another: a limit, not a crash. */
static void too_deep(void)
{
    cm_error err = {0};
    cm_store *store = store_of(root_v2, 1);
    char key[1000] = "";
    for (int i = 0; i < 200; i++) {
        char name[1016];
        strcat(key, "g/");
        snprintf(name, sizeof name, "%s.zgroup", key);
        TAP_CALL(store->vt->put(store, name, &(cm_iov){root_v2[0][1], strlen(root_v2[0][1])}, 1, 0,
                                &err),
                 &err);
    }
    TAP_EQ(refusal(store, &err), CM_ELIMIT);
    cm_store_unref(store);
}

int main(void)
{
    cm_error err = {0};
    TAP_CALL(cm_context_new(NULL, &ctx, &err), &err);
    TAP_RUN(v3_members);
    TAP_RUN(v3_fill_types);
    TAP_RUN(v3_allowed);
    TAP_RUN(v2_members);
    TAP_RUN(v2_long_fills);
    TAP_RUN(stores);
    TAP_RUN(too_deep);
    cm_context_free(ctx);
    return tap_done();
}
