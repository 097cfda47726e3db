/* tests/test_zarr_read.c: what the Zarr driver makes of hand-written stores: tree, names,
 * attributes, fill values to the bit, and the values of small uncompressed arrays. Differential
 * tests against zarr-python, xarray and tensorstore are in python/test_zarr_read_oracle.py.
 */
#include "chunkmill/dataset.h"
#include "format/format.h"
#include "tap.h"

static cm_context *ctx;
static char last_log[1024];

static void keep_log(void *user, cm_log_level level, const char *line)
{
    (void)user;
    if (level <= CM_LOG_WARNING)
        snprintf(last_log, sizeof last_log, "%s", line);
}

static cm_store *new_store(void)
{
    cm_error err = {0};
    cm_store *store = NULL;
    TAP_CALL(cm_store_new_memory(ctx, &store, &err), &err);
    return store;
}

static void put_bytes(cm_store *s, const char *key, const void *data, size_t nbytes)
{
    cm_error err = {0};
    TAP_CALL(s->vt->put(s, key, &(cm_iov){data, nbytes}, 1, 0, &err), &err);
}

static void put(cm_store *s, const char *key, const char *text)
{
    put_bytes(s, key, text, strlen(text));
}

static cm_dataset *open_key(cm_store *s, const char *key, const char *uri)
{
    cm_error err = {0};
    cm_dataset *ds = NULL;
    TAP_CALL(cm_zarr_open(ctx, s, key, uri, &ds, &err), &err);
    return ds;
}

/* Tree as one line: "/:G a:V sub:G sub/b:V ..." with attributes' JSON. */
static void describe_attributes(char *out, size_t n,
                                const cm_attribute *(*at)(const void *, size_t), const void *owner,
                                size_t count)
{
    out[0] = 0;
    for (size_t i = 0; i < count; i++) {
        char *text = NULL;
        size_t nbytes;
        const cm_attribute *a = at(owner, i);
        if (cm_json_write(a->value, 0, &text, &nbytes, NULL) == 0)
            snprintf(out + strlen(out), n - strlen(out), "%s%s=%s", i ? ";" : "", a->name, text);
        free(text);
    }
}

static const cm_attribute *of_variable(const void *v, size_t i)
{
    return cm_variable_attribute(v, i);
}

static const cm_attribute *of_group(const void *g, size_t i)
{
    return cm_group_attribute(g, i);
}

static char text_buffer[4096];

static const char *vattrs(const cm_dataset *ds, const char *path)
{
    const cm_variable *v = cm_group_find_variable(cm_dataset_root(ds), path);
    if (!v)
        return NULL;
    describe_attributes(text_buffer, sizeof text_buffer, of_variable, v,
                        cm_variable_nattributes(v));
    return text_buffer;
}

static const char *gattrs(const cm_dataset *ds, const char *path)
{
    const cm_group *g = cm_group_find(cm_dataset_root(ds), path);
    if (!g)
        return NULL;
    describe_attributes(text_buffer, sizeof text_buffer, of_group, g, cm_group_nattributes(g));
    return text_buffer;
}

static void walk(const cm_group *g, char *out, size_t n)
{
    for (size_t i = 0; i < cm_group_nvariables(g); i++)
        snprintf(out + strlen(out), n - strlen(out), "%s ",
                 cm_variable_path(cm_group_variable(g, i)));
    for (size_t i = 0; i < cm_group_ngroups(g); i++) {
        snprintf(out + strlen(out), n - strlen(out), "%s/ ", cm_group_path(cm_group_at(g, i)));
        walk(cm_group_at(g, i), out, n);
    }
}

static const char *tree(const cm_dataset *ds)
{
    text_buffer[0] = 0;
    walk(cm_dataset_root(ds), text_buffer, sizeof text_buffer);
    return text_buffer;
}

#define ARRAY3(type, fill, more)                                                                   \
    "{\"zarr_format\": 3, \"node_type\": \"array\", \"shape\": [3, 2], \"data_type\": " type       \
    ", \"chunk_grid\": {\"name\": \"regular\", \"configuration\": {\"chunk_shape\": [2, 2]}}, "    \
    "\"chunk_key_encoding\": {\"name\": \"default\"}, \"fill_value\": " fill                       \
    ", \"codecs\": [{\"name\": \"bytes\", \"configuration\": {\"endian\": \"little\"}}]" more "}"
#define ARRAY2(type, fill, order)                                                                  \
    "{\"zarr_format\": 2, \"shape\": [3, 2], \"chunks\": [2, 2], \"dtype\": \"" type               \
    "\", \"compressor\": null, \"fill_value\": " fill ", \"order\": \"" order                      \
    "\", \"filters\": null}"
#define GROUP3(attributes)                                                                         \
    "{\"zarr_format\": 3, \"node_type\": \"group\", \"attributes\": {" attributes "}"

/* ---- trees ----------------------------------------------------------------------------------- */

static void listed_v3(void)
{
    cm_store *s = new_store();
    put(s, "zarr.json",
        GROUP3("\"b\": 1.0, \"a\": [NaN, 1e5, 18446744073709551615], \"_NCx\": 1") "}");
    put(s, "z/zarr.json", ARRAY3("\"int32\"", "0", ", \"dimension_names\": [\"y\", \"x\"]"));
    put(s, "z/.receipt/zarr.json", GROUP3("") "}");
    put(s, "a/zarr.json", ARRAY3("\"uint8\"", "7", ", \"dimension_names\": [\"y\", null]"));
    put(s, "g/zarr.json", GROUP3("\"k\": {\"x\": null}") "}");
    put(s, "g/h/zarr.json", GROUP3("") "}");
    put(s, "g/h/v/zarr.json", ARRAY3("\"float32\"", "0", ", \"dimension_names\": [\"y\", \"q\"]"));
    put(s, "noise/readme.txt", "x");
    cm_dataset *ds = open_key(s, "", "memory://s");
    TAP_STR(tree(ds), "/a /z /g/ /g/h/ /g/h/v ");
    TAP_STR(cm_dataset_format(ds), "Zarr v3");
    TAP_STR(gattrs(ds, "/"), "b=1.0;a=[NaN, 1e5, 18446744073709551615]");
    TAP_STR(gattrs(ds, "/g"), "k={\"x\": null}");
    const cm_group *root = cm_dataset_root(ds);
    TAP_EQ(cm_group_ndimensions(root), 2);
    TAP_STR(cm_group_dimension(root, 0)->name, "y");
    TAP_EQ(cm_group_dimension(root, 0)->length, 3);
    TAP_EQ(cm_group_dimension(root, 1)->length, 2);
    const cm_variable *a = cm_group_find_variable(root, "a");
    TAP_STR(cm_variable_dimension(a, 0), "y");
    TAP_OK(cm_variable_dimension(a, 1) == NULL);
    TAP_STR(cm_variable_storage(a)->stored_dtype, "uint8");
    TAP_EQ(cm_variable_storage(a)->chunks[0], 2);
    TAP_OK(cm_variable_storage(a)->shards == NULL);
    TAP_OK(cm_variable_storage(a)->raw);
    cm_dataset_free(ds);
    ds = open_key(s, "g", "memory://s/g");
    TAP_STR(tree(ds), "/h/ /h/v ");
    cm_dataset_free(ds);
    cm_store_unref(s);
}

/* Consolidated metadata is believed: what it does not list is not there; groups it leaves out are
 * made. */
static void consolidated(void)
{
    cm_store *s = new_store();
    put(s, "zarr.json",
        GROUP3(
            "") ", \"consolidated_metadata\": {\"kind\": \"inline\", \"must_understand\": false, "
                "\"metadata\": {\"p/q/v\": " ARRAY3("\"int8\"", "0", "") ", \"b\": " ARRAY3(
                    "\"int8\"", "0", "") ", \"a\": " ARRAY3("\"int8\"", "0", "") "}}}");
    put(s, "unlisted/zarr.json", ARRAY3("\"int8\"", "0", ""));
    cm_dataset *ds = open_key(s, "", "memory://s");
    TAP_STR(tree(ds), "/a /b /p/ /p/q/ /p/q/v ");
    cm_dataset_free(ds);
    put(s, "zarr.json", GROUP3("") ", \"consolidated_metadata\": null}");
    ds = open_key(s, "", "memory://s");
    TAP_STR(tree(ds), "/unlisted ");
    cm_dataset_free(ds);
    cm_store_unref(s);

    s = new_store();
    put(s, ".zmetadata",
        "{\"zarr_consolidated_format\": 1, \"metadata\": {\"v/.zattrs\": {\"u\": 1}, \".zattrs\": "
        "{\"t\": 2}, \"v/.zarray\": " ARRAY2("<i4", "null", "C") ", \"p/q/v/.zarray\": " ARRAY2(
            "<i4", "null",
            "C") ", \"p.x/.zgroup\": {\"zarr_format\": 2}, \".zgroup\": {\"zarr_format\": "
                 "2}}}");
    put(s, "unlisted/.zarray", ARRAY2("<i4", "null", "C"));
    ds = open_key(s, "", "memory://s");
    TAP_STR(tree(ds), "/v /p/ /p/q/ /p/q/v /p.x/ ");
    TAP_STR(vattrs(ds, "v"), "u=1");
    TAP_STR(gattrs(ds, "/"), "t=2");
    cm_dataset_free(ds);
    cm_store_unref(s);
}

static void both_formats(void)
{
    cm_store *s = new_store();
    put(s, ".zgroup", "{\"zarr_format\": 2}");
    put(s, "old/.zarray", ARRAY2("<i4", "null", "C"));
    put(s, "zarr.json", GROUP3("") "}");
    put(s, "new/zarr.json", ARRAY3("\"int8\"", "0", ""));
    last_log[0] = 0;
    cm_dataset *ds = open_key(s, "", "memory://s");
    TAP_STR(tree(ds), "/new ");
    TAP_OK(strstr(last_log, "v2"));
    cm_dataset_free(ds);
    cm_store_unref(s);
}

static void root_arrays(void)
{
    cm_store *s = new_store();
    put(s, "zarr.json", ARRAY3("\"int8\"", "4", ""));
    cm_dataset *ds = open_key(s, "", "file:///data/tas.zarr/");
    TAP_STR(tree(ds), "/tas.zarr ");
    int8_t cells[6] = {0};
    cm_error err = {0};
    TAP_CALL(cm_array_read(ctx, cm_variable_array(cm_group_variable(cm_dataset_root(ds), 0)),
                           (int64_t[]){0, 0}, (int64_t[]){3, 2}, cells, NULL, NULL, &err),
             &err);
    TAP_EQ(cells[5], 4);
    cm_dataset_free(ds);
    cm_store_unref(s);
}

/* ---- attributes ------------------------------------------------------------------------------ */

static void v2_attributes(void)
{
    cm_store *s = new_store();
    put(s, ".zgroup", "{\"zarr_format\": 2}");
    put(s, ".zattrs", "{\"_nczarr_group\": 1, \"title\": \"x\"}");
    put(s, "a/.zarray", ARRAY2("<f4", "1.0000000200408773e+20", "C"));
    put(s, "a/.zattrs",
        "{\"x\": 1.10, \"_ARRAY_DIMENSIONS\": [\"y\", \"x\"], \"_NCZARR_ATTR\": {}, \"z\": 2}");
    put(s, "b/.zarray", ARRAY2("<f8", "\"NaN\"", "C"));
    put(s, "c/.zarray", ARRAY2("<c8", "[\"-Infinity\", 1.5]", "C"));
    put(s, "d/.zarray", ARRAY2("|b1", "false", "C"));
    put(s, "e/.zarray",
        "{\"_NCZARR_ARRAY\": {\"dimrefs\": [\"/lat\", \"/g/lon\"]}, \"zarr_format\": 2, \"shape\": "
        "[3, "
        "2], \"chunks\": [2, 2], \"dtype\": \">i2\", \"compressor\": null, \"fill_value\": null, "
        "\"order\": \"F\", \"filters\": null}");
    cm_dataset *ds = open_key(s, "", "memory://s");
    TAP_STR(gattrs(ds, "/"), "title=\"x\"");
    TAP_STR(vattrs(ds, "a"), "x=1.10;z=2;_FillValue=1.0000000200408773e+20");
    TAP_STR(vattrs(ds, "b"), "_FillValue=NaN");
    TAP_STR(vattrs(ds, "c"), "_FillValue=[-Infinity, 1.5]");
    TAP_STR(vattrs(ds, "d"), "_FillValue=false");
    TAP_STR(vattrs(ds, "e"), "");
    const cm_variable *a = cm_group_find_variable(cm_dataset_root(ds), "a");
    const cm_variable *e = cm_group_find_variable(cm_dataset_root(ds), "e");
    TAP_EQ(cm_variable_attribute_named(a, "_FillValue")->dtype.kind, CM_FLOAT32);
    TAP_EQ(cm_variable_attribute_named(a, "x")->dtype.kind, CM_NONE);
    TAP_STR(cm_variable_dimension(a, 0), "y");
    TAP_STR(cm_variable_dimension(e, 0), "lat");
    TAP_STR(cm_variable_dimension(e, 1), "lon");
    TAP_STR(cm_variable_storage(e)->stored_dtype, ">i2");
    float fill;
    memcpy(&fill, cm_array_fill(cm_variable_array(a)), 4);
    TAP_OK(fill == 1e20f);
    cm_dataset_free(ds);
    cm_store_unref(s);
}

static void v3_masks(void)
{
    static const struct {
        const char *type, *fill, *stored, *shown;
        cm_kind kind;
    } table[] = {
        {"\"float32\"", "\"NaN\"", "\"AAAAAAAA+H8=\"", "NaN", CM_FLOAT32},
        {"\"float64\"", "0", "\"mpmZmZmZuT8=\"", "0.1", CM_FLOAT64},
        {"\"float64\"", "0", "\"AAAAAAAAAIA=\"", "-0.0", CM_FLOAT64},
        {"\"float64\"", "0", "-999.50", "-999.50", CM_FLOAT64},
        {"\"float64\"", "0", "\"missing\"", "\"missing\"", CM_NONE},
        {"\"float64\"", "0", "\"mpmZmZmZuT9=\"", "\"mpmZmZmZuT9=\"", CM_NONE},
        {"\"int16\"", "0", "-999", "-999", CM_INT16},
        {"\"bool\"", "false", "true", "true", CM_BOOL},
        {"\"complex64\"", "[0, 0]", "[\"AAAAAAAA8D8=\", \"AAAAAAAA8L8=\"]", "[1.0, -1.0]",
         CM_COMPLEX64},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        cm_store *s = new_store();
        char document[1024];
        snprintf(document, sizeof document,
                 ARRAY3("%s", "%s", ", \"attributes\": {\"_FillValue\": %s}"), table[i].type,
                 table[i].fill, table[i].stored);
        put(s, "zarr.json", document);
        cm_dataset *ds = open_key(s, "", "v");
        const cm_variable *v = cm_group_variable(cm_dataset_root(ds), 0);
        char want[64];
        snprintf(want, sizeof want, "_FillValue=%s", table[i].shown);
        TAP_STR(vattrs(ds, "v"), want);
        TAP_EQ(cm_variable_attribute_named(v, "_FillValue")->dtype.kind, table[i].kind);
        cm_dataset_free(ds);
        cm_store_unref(s);
    }
}

/* ---- fill values
 * --------------------------------------------------------------------------------- */

static void fill_bits(void)
{
    static const struct {
        const char *type, *fill;
        uint64_t bits[2];
    } table[] = {
        {"\"float32\"", "\"NaN\"", {0x7fc00000, 0}},
        {"\"float32\"", "\"0xffc00001\"", {0xffc00001, 0}},
        {"\"float32\"", "\"0x3f800000\"", {0x3f800000, 0}},
        {"\"float32\"", "\"-Infinity\"", {0xff800000, 0}},
        {"\"float32\"", "-0.0", {0x80000000, 0}},
        {"\"float32\"", "0.1", {0x3dcccccd, 0}},
        {"\"float16\"", "1.5", {0x3e00, 0}},
        {"\"float16\"", "\"NaN\"", {0x7e00, 0}},
        {"\"float64\"", "\"0x7ff8000000000002\"", {0x7ff8000000000002, 0}},
        {"\"float64\"", "0.1", {0x3fb999999999999a, 0}},
        {"\"uint64\"", "18446744073709551615", {UINT64_MAX, 0}},
        {"\"int64\"", "-9223372036854775808", {0x8000000000000000, 0}},
        {"\"int8\"", "-1", {0xff, 0}},
        {"\"bool\"", "true", {1, 0}},
        {"\"complex64\"", "[1.5, \"0x7fc00007\"]", {0x7fc000073fc00000, 0}},
        {"\"complex128\"", "[\"Infinity\", -2]", {0x7ff0000000000000, 0xc000000000000000}},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        cm_store *s = new_store();
        char document[1024];
        uint64_t cells[12] = {0}, bits[2] = {0};
        cm_error err = {0};
        snprintf(document, sizeof document, ARRAY3("%s", "%s", ""), table[i].type, table[i].fill);
        put(s, "zarr.json", document);
        cm_dataset *ds = open_key(s, "", "v");
        cm_array *a = cm_variable_array(cm_group_variable(cm_dataset_root(ds), 0));
        if (TAP_OK(a)) {
            size_t size = cm_array_dtype(a).size;
            TAP_CALL(cm_array_read(ctx, a, (int64_t[]){0, 0}, (int64_t[]){3, 2}, cells, NULL, NULL,
                                   &err),
                     &err);
            memcpy(bits, (char *)cells + 5 * size, size);
            if (!TAP_OK(bits[0] == table[i].bits[0] && bits[1] == table[i].bits[1]))
                printf("# %s %s: %" PRIx64 " %" PRIx64 "\n", table[i].type, table[i].fill, bits[0],
                       bits[1]);
        }
        cm_dataset_free(ds);
        cm_store_unref(s);
    }
}

/* ---- values ---------------------------------------------------------------------------------- */

/* One array of 3 x 2 in four layouts; the last chunk row is missing in one of them. */
static void values(void)
{
    static const struct {
        const char *key, *document, *chunk0, *chunk1;
        bool big, fortran, missing;
    } table[] = {
        {"zarr.json", ARRAY3("\"int16\"", "-7", ""), "c/0/0", "c/1/0", false, false, false},
        {"zarr.json", ARRAY3("\"int16\"", "-7", ""), "c/0/0", NULL, false, false, true},
        {".zarray", ARRAY2(">i2", "null", "C"), "0.0", "1.0", true, false, false},
        {".zarray", ARRAY2("<i2", "5", "F"), "0.0", "1.0", false, true, false},
    };
    for (size_t t = 0; t < sizeof table / sizeof table[0]; t++) {
        cm_store *s = new_store();
        put(s, table[t].key, table[t].document);
        for (int c = 0; c < 2; c++) {
            unsigned char chunk[8];
            for (int i = 0; i < 4; i++) {
                int row = table[t].fortran ? i % 2 : i / 2,
                    column = table[t].fortran ? i / 2 : i % 2;
                int value = 1000 * (2 * c + row) + column - 500;
                chunk[2 * i + table[t].big] = (unsigned char)(value & 255);
                chunk[2 * i + !table[t].big] = (unsigned char)(value >> 8 & 255);
            }
            if (c == 0 || table[t].chunk1)
                put_bytes(s, c ? table[t].chunk1 : table[t].chunk0, chunk, 8);
        }
        cm_dataset *ds = open_key(s, "", "v");
        int16_t cells[6];
        cm_error err = {0};
        TAP_CALL(cm_array_read(ctx, cm_variable_array(cm_group_variable(cm_dataset_root(ds), 0)),
                               (int64_t[]){0, 0}, (int64_t[]){3, 2}, cells, NULL, NULL, &err),
                 &err);
        for (int i = 0; i < 6; i++)
            TAP_EQ(cells[i], table[t].missing && i >= 4 ? -7 : 1000 * (i / 2) + i % 2 - 500);
        cm_dataset_free(ds);
        cm_store_unref(s);
    }
}

/* Absent chunks are fill; those of a store that is gone, or another by now, are an error. */
static void gone_meanwhile(void)
{
    static const char *const v2 =
        "{\"zarr_format\": 2, \"shape\": [4], \"chunks\": [2], \"dtype\": \"|u1\", "
        "\"compressor\": null, \"fill_value\": 5, \"order\": \"C\", \"filters\": null}";
    cm_error err = {0};
    cm_store *s = new_store();
    put(s, ".zarray", v2);
    put_bytes(s, "0", "ab", 2);
    cm_dataset *ds = open_key(s, "", "old.zarr");
    cm_array *a = cm_variable_array(cm_group_variable(cm_dataset_root(ds), 0));
    uint8_t cells[4] = {0};
    TAP_CALL(cm_array_read(ctx, a, (int64_t[]){0}, (int64_t[]){4}, cells, NULL, NULL, &err), &err);
    TAP_OK(memcmp(cells, "ab\5\5", 4) == 0);
    put(s, ".zarray", v2); /* the same text, but another object */
    TAP_EQ(cm_array_read(ctx, a, (int64_t[]){0}, (int64_t[]){4}, cells, NULL, NULL, &err),
           CM_ECHANGED);
    TAP_OK(strstr(err.message, ".zarray was replaced"));
    TAP_CALL(s->vt->del_prefix(s, "", &err), &err);
    cm_error_clear(&err);
    TAP_EQ(cm_array_read(ctx, a, (int64_t[]){0}, (int64_t[]){4}, cells, NULL, NULL, &err),
           CM_ECHANGED);
    TAP_OK(strstr(err.message, ".zarray was removed"));
    TAP_OK(strcmp(err.object, "old.zarr") == 0);
    cm_dataset_free(ds);
    cm_store_unref(s);
}

int main(void)
{
    cm_error err = {0};
    cm_context_options options;
    cm_context_options_init(&options);
    options.log = keep_log;
    TAP_CALL(cm_context_new(&options, &ctx, &err), &err);
    TAP_RUN(listed_v3);
    TAP_RUN(consolidated);
    TAP_RUN(both_formats);
    TAP_RUN(root_arrays);
    TAP_RUN(v2_attributes);
    TAP_RUN(v3_masks);
    TAP_RUN(fill_bits);
    TAP_RUN(values);
    TAP_RUN(gone_meanwhile);
    cm_context_free(ctx);
    return tap_done();
}
