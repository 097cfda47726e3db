/* tests/test_zarr_write.c: the metadata writer: documents, fill values, `_FillValue`, order of
 * puts, refusals, and that what is written reads back as the same dataset with the same attribute
 * bytes. That xarray and zarr-python agree is checked in python/test_zarr_write_xarray.py.
 */
#include "chunkmill/dataset.h"
#include "format/format.h"
#include "format/zarr/write.h"
#include "tap.h"

static cm_context *ctx;

/* ---- a store that remembers the order of puts and can fail the n-th -------------------------- */

typedef struct spy {
    cm_store base;
    cm_store *inner;
    char log[4096];
    int puts, fail_at; /* -1: never */
} spy;

static int spy_put(cm_store *s, const char *key, const cm_iov *iov, int n, unsigned flags,
                   cm_error *err)
{
    spy *p = (spy *)s;
    if (p->puts++ == p->fail_at)
        return cm_error_set(err, CM_EIO, "the disk is on fire");
    snprintf(p->log + strlen(p->log), sizeof p->log - strlen(p->log), "%s ", key);
    return p->inner->vt->put(p->inner, key, iov, n, flags, err);
}

static void spy_free(cm_store *s)
{
    cm_store_unref(((spy *)s)->inner);
    free(s);
}

static const cm_store_vt spy_vt = {.put = spy_put, .free = spy_free};

static spy *new_spy(void)
{
    cm_error err = {0};
    spy *p = calloc(1, sizeof *p);
    p->base = (cm_store){.vt = &spy_vt, .refcount = 1, .uri = "spy"};
    p->fail_at = -1;
    TAP_CALL(cm_store_new_memory(ctx, &p->inner, &err), &err);
    return p;
}

/* ---- arrays to write ------------------------------------------------------------------------- */

static cm_json_doc *doc; /* of attribute values */

static cm_attribute attribute(const char *name, const char *json, cm_kind kind)
{
    cm_json_doc *parsed = NULL;
    cm_error err = {0};
    TAP_CALL(cm_json_parse(json, strlen(json), 0, &parsed, &err), &err);
    cm_attribute a = {name, cm_json_copy(doc, cm_json_doc_root(parsed)), cm_dtype_of(kind, 0)};
    cm_json_doc_free(parsed);
    return a;
}

/* Cells as they are, or vlen-utf8. */
static int plain_chain(cm_kind kind, int ndim, const int64_t *shape, cm_chain **out, cm_error *err)
{
    cm_dtype dtype = cm_dtype_of(kind, 0);
    if (kind != CM_STRING)
        return cm_chain_new(dtype, ndim, shape, out, err);
    return cm_chain_parse_v3(attribute("", "[\"vlen-utf8\"]", CM_NONE).value, dtype, ndim, shape,
                             out, err);
}

typedef struct plan {
    const char *path;
    cm_kind kind;
    int ndim;
    int64_t shape[4], chunk[4];
    const char *dims[4];
    const char *mask; /* JSON of `_FillValue` or NULL */
    const void *fill;
} plan;

static int add(cm_zarr_writer *w, const plan *p, cm_zarr_array **out, cm_error *err)
{
    cm_dtype dtype = cm_dtype_of(p->kind, 0);
    cm_chain *chain = NULL;
    cm_attribute attributes[2] = {attribute("units", "\"m\"", CM_STRING)};
    size_t n = 1;
    int r = plain_chain(p->kind, p->ndim, p->chunk, &chain, err);
    if (r)
        return r;
    if (p->mask)
        attributes[n++] = attribute("_FillValue", p->mask, p->kind);
    cm_zarr_array_spec spec = {.path = p->path,
                               .dtype = dtype,
                               .ndim = p->ndim,
                               .shape = p->shape,
                               .chain = chain,
                               .fill = p->fill,
                               .dimensions = p->dims,
                               .attributes = attributes,
                               .nattributes = n};
    r = cm_zarr_writer_add_array(w, &spec, out, err);
    cm_chain_unref(chain);
    return r;
}

static char text_buffer[8192];

static const char *json_text(const cm_json *v)
{
    char *text = NULL;
    size_t n;
    if (cm_json_write(v, 0, &text, &n, NULL))
        return NULL;
    snprintf(text_buffer, sizeof text_buffer, "%s", text);
    free(text);
    return text_buffer;
}

static cm_zarr_writer *new_writer(cm_store *store, const char *prefix, int format)
{
    cm_error err = {0};
    cm_zarr_writer *w = NULL;
    TAP_CALL(cm_zarr_writer_new(store, prefix, format, &w, &err), &err);
    return w;
}

/* ---- documents ------------------------------------------------------------------------------- */

static void documents(void)
{
    cm_error err = {0};
    char key[1024];
    const plan p = {"/g/tas", CM_FLOAT32, 2, {5, 4}, {2, 8}, {"y", "x"}, "1.0000000200408773e+20",
                    0};
    spy *s = new_spy();
    cm_zarr_array *a = NULL;
    cm_zarr_writer *w = new_writer(&s->base, "out", 3);
    TAP_CALL(add(w, &p, &a, &err), &err);
    TAP_STR(
        json_text(cm_zarr_array_document(a)),
        "{\"shape\": [5, 4], \"data_type\": \"float32\", \"chunk_grid\": {\"name\": \"regular\", "
        "\"configuration\": {\"chunk_shape\": [2, 8]}}, \"chunk_key_encoding\": {\"name\": "
        "\"default\", \"configuration\": {\"separator\": \"/\"}}, \"fill_value\": "
        "1.0000000200408773e+20, \"codecs\": [{\"name\": \"bytes\", \"configuration\": "
        "{\"endian\": \"little\"}}], \"attributes\": {\"units\": \"m\", \"_FillValue\": "
        "\"AAAAgB2vFUQ=\"}, \"dimension_names\": [\"y\", \"x\"], \"zarr_format\": 3, "
        "\"node_type\": \"array\", \"storage_transformers\": []}");
    TAP_CALL(cm_zarr_array_key(a, (int64_t[]){2, 0}, key, &err), &err);
    TAP_STR(key, "out/g/tas/c/2/0");
    TAP_OK(cm_zarr_array_zattrs(a) == NULL);
    cm_zarr_writer_free(w);

    w = new_writer(&s->base, "", 2);
    TAP_CALL(add(w, &p, &a, &err), &err);
    TAP_STR(json_text(cm_zarr_array_document(a)),
            "{\"shape\": [5, 4], \"chunks\": [2, 8], \"dtype\": \"<f4\", \"fill_value\": "
            "1.0000000200408773e+20, \"order\": \"C\", \"filters\": null, \"dimension_separator\": "
            "\".\", \"compressor\": null, \"zarr_format\": 2}");
    TAP_STR(json_text(cm_zarr_array_zattrs(a)),
            "{\"units\": \"m\", \"_ARRAY_DIMENSIONS\": [\"y\", \"x\"]}");
    TAP_CALL(cm_zarr_array_key(a, (int64_t[]){2, 0}, key, &err), &err);
    TAP_STR(key, "g/tas/2.0");
    cm_zarr_writer_free(w);
    cm_store_unref(&s->base);
}

/* fill_value and may_skip by rule; the cell agrees with the document. */
static void fills(void)
{
    static const uint32_t payload = 0x7fc00001;
    static const int16_t minus = -3;
    static const struct {
        plan p;
        const char *v3, *v2; /* fill_value; v2 NULL: refused */
    } table[] = {
        {{"a", CM_FLOAT32, 1, {3}, {3}, {"x"}, NULL, NULL}, "\"NaN\"", "null"},
        {{"a", CM_FLOAT64, 1, {3}, {3}, {"x"}, "NaN", NULL}, "\"NaN\"", "\"NaN\""},
        {{"a", CM_FLOAT64, 1, {3}, {3}, {"x"}, "-999.50", NULL}, "-999.5", "-999.50"},
        {{"a", CM_FLOAT16, 1, {3}, {3}, {"x"}, "-Infinity", NULL},
         "\"-Infinity\"",
         "\"-Infinity\""},
        {{"a", CM_FLOAT32, 1, {3}, {3}, {"x"}, "0.0", &payload}, "\"0x7fc00001\"", "0.0"},
        {{"a", CM_INT16, 1, {3}, {3}, {"x"}, NULL, NULL}, "0", "null"},
        {{"a", CM_INT16, 1, {3}, {3}, {"x"}, "[-9]", NULL}, "-9", "-9"},
        {{"a", CM_INT16, 1, {3}, {3}, {"x"}, "9.0", NULL}, "9", "9"},
        {{"a", CM_INT16, 1, {3}, {3}, {"x"}, "9", &minus}, "-3", "9"},
        {{"a", CM_INT16, 1, {3}, {3}, {"x"}, "40000", NULL}, "0", NULL},
        {{"a", CM_INT16, 1, {3}, {3}, {"x"}, "\"x\"", NULL}, "0", NULL},
        {{"a", CM_UINT64, 1, {3}, {3}, {"x"}, "18446744073709551615", NULL},
         "18446744073709551615",
         "18446744073709551615"},
        {{"a", CM_BOOL, 1, {3}, {3}, {"x"}, NULL, NULL}, "false", "null"},
        {{"a", CM_BOOL, 1, {3}, {3}, {"x"}, "true", NULL}, "true", "true"},
        {{"a", CM_COMPLEX64, 1, {3}, {3}, {"x"}, NULL, NULL}, "[0.0, 0.0]", "null"},
        {{"a", CM_COMPLEX64, 1, {3}, {3}, {"x"}, "[1.5, NaN]", NULL},
         "[1.5, \"NaN\"]",
         "[1.5, \"NaN\"]"},
        {{"a", CM_STRING, 1, {3}, {3}, {"x"}, NULL, NULL}, "\"\"", "null"},
        {{"a", CM_STRING, 1, {3}, {3}, {"x"}, "\"none\"", NULL}, "\"none\"", "\"none\""},
        {{"a", CM_INT8, 0, {0}, {0}, {NULL}, NULL, NULL}, "0", "null"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        for (int format = 2; format <= 3; format++) {
            const char *want = format == 3 ? table[i].v3 : table[i].v2;
            cm_error err = {0};
            spy *s = new_spy();
            cm_zarr_array *a = NULL;
            cm_zarr_writer *w = new_writer(&s->base, "", format);
            int r = add(w, &table[i].p, &a, &err);
            TAP_EQ(r, want ? 0 : CM_EUNSUP);
            if (r == 0) {
                cm_dtype dtype = cm_dtype_of(table[i].p.kind, 0);
                const cm_json *fill = cm_json_get(cm_zarr_array_document(a), "fill_value");
                TAP_STR(json_text(fill), want);
                TAP_EQ(cm_zarr_array_may_skip_fill(a), strcmp(want, "null") != 0);
                if (dtype.kind == CM_STRING) {
                    cm_string cell;
                    memcpy(&cell, cm_zarr_array_fill(a), sizeof cell);
                    TAP_EQ(cell.nbytes, strcmp(want, "\"none\"") ? 0 : 4);
                    TAP_OK(cell.nbytes == 0 || !memcmp(cell.data, "none", 4));
                }
            } else if (want == NULL) {
                TAP_OK(strstr(err.message, "_FillValue") && !strcmp(err.variable, "a"));
            }
            cm_zarr_writer_free(w);
            cm_store_unref(&s->base);
        }
    }
}

/* ---- order and failure
 * --------------------------------------------------------------------------- */

static void build(cm_zarr_writer *w)
{
    cm_error err = {0};
    const plan b = {"b", CM_INT32, 1, {3}, {2}, {"x"}, NULL, NULL};
    const plan deep = {"/g/h/v", CM_FLOAT64, 2, {0, 3}, {1, 2}, {"t", NULL}, NULL, NULL};
    const plan a = {"a", CM_STRING, 0, {0}, {0}, {NULL}, NULL, NULL};
    const cm_attribute title = attribute("title", "\"x\"", CM_STRING);
    TAP_CALL(add(w, &b, NULL, &err), &err);
    TAP_CALL(add(w, &deep, NULL, &err), &err);
    TAP_CALL(add(w, &a, NULL, &err), &err);
    TAP_CALL(cm_zarr_writer_add_group(w, "/", &title, 1, &err), &err);
    TAP_CALL(cm_zarr_writer_add_group(w, "/g", &title, 1, &err), &err);
    TAP_CALL(cm_zarr_writer_add_group(w, "/empty", NULL, 0, &err), &err);
}

static void order(void)
{
    cm_error err = {0};
    for (int format = 2; format <= 3; format++) {
        spy *s = new_spy();
        cm_zarr_writer *w = new_writer(&s->base, "p", format);
        build(w);
        TAP_CALL(cm_zarr_writer_finish(w, &err), &err);
        TAP_STR(s->log,
                format == 3
                    ? "p/g/h/v/zarr.json p/g/h/zarr.json p/g/zarr.json p/empty/zarr.json "
                      "p/b/zarr.json p/a/zarr.json p/zarr.json "
                    : "p/g/h/v/.zattrs p/g/h/v/.zarray p/g/h/.zattrs p/g/h/.zgroup p/g/.zattrs "
                      "p/g/.zgroup p/empty/.zattrs p/empty/.zgroup p/b/.zattrs p/b/.zarray "
                      "p/a/.zattrs p/a/.zarray p/.zattrs p/.zmetadata p/.zgroup ");
        cm_zarr_writer_free(w);
        cm_store_unref(&s->base);
    }
}

/* An array may be all there is. */
static void array_at_the_root(void)
{
    const plan root = {"/", CM_INT32, 1, {3}, {2}, {"x"}, NULL, NULL};
    const plan b = {"b", CM_INT32, 1, {3}, {2}, {"x"}, NULL, NULL};
    for (int format = 2; format <= 3; format++) {
        cm_error err = {0};
        cm_dataset *ds = NULL;
        cm_zarr_array *a = NULL;
        char key[1024];
        spy *s = new_spy();
        cm_zarr_writer *w = new_writer(&s->base, "p", format);
        TAP_CALL(add(w, &root, &a, &err), &err);
        TAP_CALL(cm_zarr_array_key(a, &(int64_t){1}, key, &err), &err);
        TAP_STR(key, format == 3 ? "p/c/1" : "p/1");
        TAP_EQ(add(w, &b, NULL, &err), CM_EEXIST);
        TAP_EQ(cm_zarr_writer_add_group(w, "/", NULL, 0, &err), CM_EEXIST);
        TAP_EQ(add(w, &root, NULL, &err), CM_EEXIST);
        TAP_CALL(cm_zarr_writer_finish(w, &err), &err);
        TAP_STR(s->log, format == 3 ? "p/zarr.json " : "p/.zattrs p/.zarray ");
        TAP_CALL(cm_zarr_open(ctx, s->inner, "p", "memory://p", &ds, &err), &err);
        TAP_OK(ds && cm_group_nvariables(cm_dataset_root(ds)) == 1);
        cm_dataset_free(ds);
        cm_zarr_writer_free(w);
        w = new_writer(&s->base, "q", format);
        TAP_CALL(add(w, &b, NULL, &err), &err);
        TAP_EQ(add(w, &root, NULL, &err), CM_EEXIST);
        cm_zarr_writer_free(w);
        cm_store_unref(&s->base);
    }
}

/* Whichever put fails, the target does not open as a store until finish has been repeated. In v2
 * the store is complete once .zmetadata is there, so only the last put is exempt. */
static void failing_puts(void)
{
    for (int format = 2; format <= 3; format++) {
        int total = format == 3 ? 7 : 15;
        for (int n = 0; n < total; n++) {
            cm_error err = {0};
            cm_dataset *ds = NULL;
            spy *s = new_spy();
            cm_zarr_writer *w = new_writer(&s->base, "", format);
            build(w);
            s->fail_at = n;
            TAP_EQ(cm_zarr_writer_finish(w, &err), CM_EIO);
            int want = format == 2 && n == total - 1 ? 0 : CM_ENOTFOUND;
            TAP_EQ(cm_zarr_open(ctx, s->inner, "", "x", &ds, &err), want);
            cm_dataset_free(ds);
            ds = NULL;
            TAP_CALL(cm_zarr_writer_finish(w, &err), &err);
            TAP_CALL(cm_zarr_open(ctx, s->inner, "", "x", &ds, &err), &err);
            TAP_OK(cm_group_find_variable(cm_dataset_root(ds), "g/h/v"));
            TAP_EQ(cm_group_ngroups(cm_dataset_root(ds)), 2);
            cm_dataset_free(ds);
            cm_zarr_writer_free(w);
            cm_store_unref(&s->base);
        }
    }
}

/* ---- refusals
 * ------------------------------------------------------------------------------------ */

static void refusals(void)
{
    static const struct {
        const char *path;
        int code;
    } paths[] = {{"", CM_EEXIST},
                 {"/", CM_EEXIST},
                 {"a//b", CM_EINVAL},
                 {"a/", CM_EINVAL},
                 {"..", CM_EINVAL},
                 {"a/.../b", CM_EINVAL},
                 {".zattrs", CM_EINVAL},
                 {"zarr.json", CM_EINVAL},
                 {"a/.zarray/b", CM_EINVAL},
                 {"there", CM_EEXIST},
                 {"there/x", CM_EEXIST},
                 {"group", CM_EEXIST},
                 {"__dunder", 0},
                 {"..a", 0}};
    cm_error err = {0};
    spy *s = new_spy();
    cm_zarr_writer *w = NULL;
    TAP_EQ(cm_zarr_writer_new(&s->base, "", 4, &w, &err), CM_EINVAL);
    TAP_EQ(cm_zarr_writer_new(&s->base, "/x", 3, &w, &err), CM_EINVAL);
    w = new_writer(&s->base, "", 3);
    plan p = {"there", CM_INT8, 1, {3}, {3}, {"x"}, NULL, NULL};
    TAP_CALL(add(w, &p, NULL, &err), &err);
    TAP_CALL(cm_zarr_writer_add_group(w, "group", NULL, 0, &err), &err);
    TAP_EQ(cm_zarr_writer_add_group(w, "there", NULL, 0, &err), CM_EEXIST);
    TAP_EQ(cm_zarr_writer_add_group(w, "there/g", NULL, 0, &err), CM_EEXIST);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        p.path = paths[i].path;
        if (add(w, &p, NULL, &err) != paths[i].code) {
            printf("# path \"%s\"\n", paths[i].path);
            tap_failed_here++;
        }
    }
    cm_zarr_writer_free(w);
    w = new_writer(&s->base, "", 2);
    cm_chain *chain = NULL;
    TAP_CALL(cm_chain_new(cm_dtype_of(CM_INT16, 0), 3, (int64_t[]){2, 3, 4}, &chain, &err), &err);
    cm_zarr_array_spec spec = {.path = "a",
                               .dtype = cm_dtype_of(CM_INT16, 0),
                               .ndim = 3,
                               .shape = (int64_t[]){2, 3, 4},
                               .chain = chain};
    chain->transposed = true;
    memcpy(chain->order, (int[]){1, 0, 2}, 3 * sizeof(int));
    TAP_EQ(cm_zarr_writer_add_array(w, &spec, NULL, &err), CM_EUNSUP);
    TAP_OK(strstr(err.message, "transpose"));
    memcpy(chain->order, (int[]){2, 1, 0}, 3 * sizeof(int));
    chain->big_endian = true;
    const cm_attribute latin = {.name = "caf\xe9"};
    spec.attributes = &latin;
    spec.nattributes = 1;
    chain->transposed = false;
    TAP_EQ(cm_zarr_writer_add_array(w, &spec, NULL, &err), CM_EUNSUP);
    TAP_OK(strstr(err.message, "attribute \"caf...\" has a name that is not UTF-8"));
    TAP_EQ(cm_zarr_writer_add_group(w, "g", &latin, 1, &err), CM_EUNSUP);
    spec.nattributes = 0;
    chain->transposed = false;
    cm_codec *codec = NULL;
    TAP_CALL(cm_codec_new_fletcher32(&codec, &err), &err);
    TAP_CALL(cm_chain_append(chain, codec, &err), &err);
    TAP_CALL(cm_codec_new_shuffle(8, &codec, &err), &err); /* of 48 + 4 bytes */
    TAP_CALL(cm_chain_append(chain, codec, &err), &err);
    TAP_EQ(cm_zarr_writer_add_array(w, &spec, NULL, &err), CM_EUNSUP);
    TAP_OK(strstr(err.message, "shuffle of 8-byte elements after numcodecs.fletcher32"));
    while (chain->nstages)
        cm_codec_free(chain->stages[--chain->nstages]);
    chain->transposed = true;
    cm_zarr_array *a = NULL;
    TAP_CALL(cm_zarr_writer_add_array(w, &spec, &a, &err), &err);
    TAP_STR(cm_json_string(cm_json_get(cm_zarr_array_document(a), "order")), "F");
    TAP_STR(cm_json_string(cm_json_get(cm_zarr_array_document(a), "dtype")), ">i2");
    TAP_OK(cm_json_get(cm_zarr_array_zattrs(a), "_ARRAY_DIMENSIONS") == NULL);
    spec.path = "b";
    spec.dtype = cm_dtype_of(CM_INT32, 0);
    TAP_EQ(cm_zarr_writer_add_array(w, &spec, NULL, &err), CM_EINVAL);
    cm_chain_unref(chain);
    cm_zarr_writer_free(w);
    cm_store_unref(&s->base);
}

/* Filters and compressor in v2, and a chain with strings. */
static void pipelines(void)
{
    cm_error err = {0};
    spy *s = new_spy();
    cm_zarr_writer *w = new_writer(&s->base, "", 2);
    cm_chain *chain = NULL;
    cm_codec *codec = NULL;
    cm_zarr_array *a = NULL;
    TAP_CALL(cm_chain_new(cm_dtype_of(CM_INT16, 0), 1, (int64_t[]){4}, &chain, &err), &err);
    TAP_CALL(cm_codec_new_shuffle(2, &codec, &err), &err);
    TAP_CALL(cm_chain_append(chain, codec, &err), &err);
    cm_zarr_array_spec spec = {.path = "only_filter",
                               .dtype = cm_dtype_of(CM_INT16, 0),
                               .ndim = 1,
                               .shape = (int64_t[]){9},
                               .chain = chain};
    TAP_CALL(cm_zarr_writer_add_array(w, &spec, &a, &err), &err);
    TAP_STR(json_text(cm_json_get(cm_zarr_array_document(a), "filters")),
            "[{\"id\": \"shuffle\", \"elementsize\": 2}]");
    TAP_STR(json_text(cm_json_get(cm_zarr_array_document(a), "compressor")), "null");
    cm_chain_unref(chain);

    TAP_CALL(plain_chain(CM_STRING, 1, (int64_t[]){4}, &chain, &err), &err);
    TAP_CALL(cm_codec_new_zstd(3, false, &codec, &err), &err);
    TAP_CALL(cm_chain_append(chain, codec, &err), &err);
    spec.path = "strings";
    spec.dtype = cm_dtype_of(CM_STRING, 0);
    spec.chain = chain;
    TAP_CALL(cm_zarr_writer_add_array(w, &spec, &a, &err), &err);
    TAP_STR(json_text(cm_json_get(cm_zarr_array_document(a), "filters")),
            "[{\"id\": \"vlen-utf8\"}]");
    TAP_STR(cm_json_string(cm_json_get(cm_json_get(cm_zarr_array_document(a), "compressor"), "id")),
            "zstd");
    TAP_STR(cm_json_string(cm_json_get(cm_zarr_array_document(a), "dtype")), "|O");
    cm_chain_unref(chain);
    TAP_CALL(cm_zarr_writer_finish(w, &err), &err);
    cm_dataset *ds = NULL;
    TAP_CALL(cm_zarr_open(ctx, s->inner, "", "x", &ds, &err), &err);
    TAP_OK(cm_variable_array(cm_group_find_variable(cm_dataset_root(ds), "strings")));
    TAP_OK(cm_variable_array(cm_group_find_variable(cm_dataset_root(ds), "only_filter")));
    cm_dataset_free(ds);
    cm_zarr_writer_free(w);
    cm_store_unref(&s->base);
}

/* ---- round trip
 * ---------------------------------------------------------------------------------- */

static const char *const odd_json[] = {"1",
                                       "1.0",
                                       "1e5",
                                       "1E+5",
                                       "-0",
                                       "-0.0",
                                       "18446744073709551615",
                                       "-9223372036854775808",
                                       "123456789012345678901234567890",
                                       "0.1000000000000000055511151231257827",
                                       "NaN",
                                       "-Infinity",
                                       "[NaN, 1, 2.50]",
                                       "\"\\u00e9 \\ud83d\\ude00 \\n\"",
                                       "\"\"",
                                       "null",
                                       "true",
                                       "{\"b\": 1, \"a\": [{}]}",
                                       "[]",
                                       "[[1], [2.0]]"};

/* model -> store -> model -> store: the second store's attributes are the first's to the byte, in
 * both formats and from one to the other. */
static void round_trip(void)
{
    uint64_t seed = tap_seed();
    const size_t nodd = sizeof odd_json / sizeof odd_json[0];
    for (int turn = 0; turn < 40; turn++) {
        cm_error err = {0};
        cm_attribute attributes[12];
        char names[12][16], first[8192] = "";
        size_t n = tap_random(&seed) % 12;
        for (size_t i = 0; i < n; i++) {
            snprintf(names[i], sizeof names[i], "%c%zu", (int)('a' + tap_random(&seed) % 26), i);
            attributes[i] = attribute(names[i], odd_json[tap_random(&seed) % nodd], CM_NONE);
        }
        cm_dataset *ds = NULL;
        for (int step = 0; step < 3; step++) {
            int format = 2 + (int)(tap_random(&seed) % 2);
            spy *s = new_spy();
            cm_zarr_writer *w = new_writer(&s->base, "", format);
            cm_chain *chain = NULL;
            TAP_CALL(cm_chain_new(cm_dtype_of(CM_INT16, 0), 1, (int64_t[]){4}, &chain, &err), &err);
            const char *dims[] = {"x"};
            cm_zarr_array_spec spec = {.path = "v",
                                       .dtype = cm_dtype_of(CM_INT16, 0),
                                       .ndim = 1,
                                       .shape = (int64_t[]){9},
                                       .chain = chain,
                                       .dimensions = dims,
                                       .attributes = attributes,
                                       .nattributes = n};
            const cm_variable *v = ds ? cm_group_find_variable(cm_dataset_root(ds), "v") : NULL;
            if (v) {
                spec.attributes = v->attributes.items;
                spec.nattributes = v->attributes.count;
            }
            TAP_CALL(cm_zarr_writer_add_array(w, &spec, NULL, &err), &err);
            TAP_CALL(cm_zarr_writer_add_group(w, "/", spec.attributes, spec.nattributes, &err),
                     &err);
            TAP_CALL(cm_zarr_writer_finish(w, &err), &err);
            cm_dataset_free(ds);
            ds = NULL;
            TAP_CALL(cm_zarr_open(ctx, s->inner, "", "x", &ds, &err), &err);
            char now[8192] = "";
            for (int k = 0; k < 2; k++) {
                const cm_group *root = cm_dataset_root(ds);
                v = cm_group_find_variable(root, "v");
                size_t count = k ? cm_group_nattributes(root) : cm_variable_nattributes(v);
                for (size_t i = 0; i < count; i++) {
                    const cm_attribute *a =
                        k ? cm_group_attribute(root, i) : cm_variable_attribute(v, i);
                    strcat(now, a->name);
                    strcat(now, json_text(a->value));
                }
            }
            if (step == 0)
                strcpy(first, now);
            TAP_STR(now, first);
            cm_chain_unref(chain);
            cm_zarr_writer_free(w);
            cm_store_unref(&s->base);
        }
        cm_dataset_free(ds);
    }
}

/* `_FillValue` survives from either format to the other, with its type. */
static void masks_travel(void)
{
    static const struct {
        cm_kind kind;
        const char *mask;
    } table[] = {{CM_FLOAT32, "1.0000000200408773e+20"},
                 {CM_FLOAT32, "NaN"},
                 {CM_FLOAT64, "0.1"},
                 {CM_FLOAT64, "-Infinity"},
                 {CM_INT16, "-999"},
                 {CM_UINT64, "18446744073709551615"},
                 {CM_BOOL, "true"},
                 {CM_COMPLEX128, "[1.5, -0.1]"},
                 {CM_STRING, "\"none\""}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        for (int format = 2; format <= 3; format++) {
            cm_error err = {0};
            cm_dataset *ds = NULL;
            spy *s = new_spy();
            cm_zarr_writer *w = new_writer(&s->base, "", format);
            const plan p = {"v", table[i].kind, 1, {3}, {2}, {"x"}, table[i].mask, NULL};
            TAP_CALL(add(w, &p, NULL, &err), &err);
            TAP_CALL(cm_zarr_writer_finish(w, &err), &err);
            TAP_CALL(cm_zarr_open(ctx, s->inner, "", "x", &ds, &err), &err);
            const cm_variable *v = cm_group_find_variable(cm_dataset_root(ds), "v");
            const cm_attribute *mask = cm_variable_attribute_named(v, "_FillValue");
            if (TAP_OK(mask)) {
                TAP_EQ(mask->dtype.kind, table[i].kind);
                const cm_attribute want = attribute("w", table[i].mask, table[i].kind);
                if (!TAP_OK(cm_json_equal(mask->value, want.value)))
                    printf("# v%d %s became %s\n", format, table[i].mask, json_text(mask->value));
            }
            cm_dataset_free(ds);
            cm_zarr_writer_free(w);
            cm_store_unref(&s->base);
        }
    }
}

int main(void)
{
    cm_error err = {0};
    TAP_CALL(cm_context_new(NULL, &ctx, &err), &err);
    TAP_CALL(cm_json_doc_new(0, &doc, &err), &err);
    TAP_RUN(documents);
    TAP_RUN(fills);
    TAP_RUN(order);
    TAP_RUN(array_at_the_root);
    TAP_RUN(failing_puts);
    TAP_RUN(refusals);
    TAP_RUN(pipelines);
    TAP_RUN(round_trip);
    TAP_RUN(masks_travel);
    cm_json_doc_free(doc);
    cm_context_free(ctx);
    return tap_done();
}
