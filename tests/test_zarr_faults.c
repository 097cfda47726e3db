/* tests/test_zarr_faults.c: the Zarr driver and the metadata writer when memory runs out at any one
 * allocation: the answer is CM_ENOMEM or the right one, never half a dataset, a leak (the sanitizer
 * build) or a store that opens and lacks something.
 */
#include "chunkmill/dataset.h"
#include "faults.h"
#include "format/format.h"
#include "format/zarr/write.h"
#include "tap.h"

static cm_context *ctx;

#define ARRAY3(type, fill, codecs, attributes)                                                     \
    "{\"zarr_format\": 3, \"node_type\": \"array\", \"shape\": [3, 2], \"data_type\": " type       \
    ", \"chunk_grid\": {\"name\": \"regular\", \"configuration\": {\"chunk_shape\": [2, 2]}}, "    \
    "\"chunk_key_encoding\": {\"name\": \"default\"}, \"fill_value\": " fill                       \
    ", \"codecs\": " codecs ", \"dimension_names\": [\"y\", \"x\"], \"attributes\": " attributes   \
    "}"
#define BYTES "[{\"name\": \"bytes\", \"configuration\": {\"endian\": \"little\"}}]"
#define A ARRAY3("\"float32\"", "0", BYTES, "{\"_FillValue\": \"AAAAAAAA+H8=\", \"n\": 1}")
#define B                                                                                          \
    ARRAY3("{\"name\": \"null_terminated_bytes\", \"configuration\": {\"length_bytes\": 4}}",      \
           "\"eA==\"", "[\"bytes\"]", "{\"_FillValue\": \"eA==\"}")
#define C ARRAY3("\"complex64\"", "[0, \"NaN\"]", BYTES, "{\"l\": [1, 2]}")
#define BAD ARRAY3("\"r16\"", "0", BYTES, "{\"l\": [1, 2]}")
#define GROUP "\"zarr_format\": 3, \"node_type\": \"group\", \"attributes\": {\"t\": \"x\"}"
#define ZARRAY                                                                                     \
    "{\"zarr_format\": 2, \"shape\": [3, 2], \"chunks\": [2, 2], \"dtype\": \"|S4\", "             \
    "\"compressor\": {\"id\": \"zlib\", \"level\": 1}, \"fill_value\": \"eA==\", \"order\": "      \
    "\"F\", \"filters\": null}"

static const char *const stores[][6][2] = {
    {{"zarr.json", "{" GROUP "}"},
     {"a/zarr.json", A},
     {"g/zarr.json", "{" GROUP "}"},
     {"g/b/zarr.json", B},
     {"bad/zarr.json", BAD}},
    {{"zarr.json",
      "{" GROUP ", \"consolidated_metadata\": {\"kind\": \"inline\", \"metadata\": {\"a\": " A
      ", \"p/q/b\": " B ", \"c\": " C "}}}"}},
    {{".zgroup", "{\"zarr_format\": 2}"},
     {"a/.zarray", ZARRAY},
     {"a/.zattrs", "{\"_ARRAY_DIMENSIONS\": [\"y\", \"x\"], \"n\": 1}"}},
    {{".zmetadata", "{\"zarr_consolidated_format\": 1, \"metadata\": {\"p/q/a/.zarray\": " ZARRAY
                    ", \"p/q/a/.zattrs\": {\"_ARRAY_DIMENSIONS\": [\"y\", \"x\"]}}}"}}};

static cm_store *new_store(const char *const (*objects)[2])
{
    cm_error err = {0};
    cm_store *store = NULL;
    TAP_CALL(cm_store_new_memory(ctx, &store, &err), &err);
    for (size_t i = 0; i < 6 && objects && objects[i][0]; i++)
        TAP_CALL(store->vt->put(store, objects[i][0],
                                &(cm_iov){objects[i][1], strlen(objects[i][1])}, 1, 0, &err),
                 &err);
    return store;
}

static void say(char *out, size_t n, const char *what)
{
    snprintf(out + strlen(out), n - strlen(out), "%s ", what ? what : "-");
}

static void say_attribute(char *out, size_t n, const cm_attribute *a)
{
    char *text = NULL;
    size_t nbytes;
    if (cm_json_write(a->value, 0, &text, &nbytes, NULL) == 0)
        say(out, n, text);
    say(out, n, a->name);
    free(text);
}

/* Everything that an open found out. */
static void describe(const cm_group *g, char *out, size_t n)
{
    say(out, n, cm_group_path(g));
    for (size_t i = 0; i < cm_group_nattributes(g); i++)
        say_attribute(out, n, cm_group_attribute(g, i));
    for (size_t i = 0; i < cm_group_ndimensions(g); i++)
        say(out, n, cm_group_dimension(g, i)->name);
    for (size_t i = 0; i < cm_group_nvariables(g); i++) {
        const cm_variable *v = cm_group_variable(g, i);
        say(out, n, cm_variable_path(v));
        for (int k = 0; k < v->ndim; k++)
            say(out, n, cm_variable_dimension(v, k));
        for (size_t k = 0; k < cm_variable_nattributes(v); k++)
            say_attribute(out, n, cm_variable_attribute(v, k));
        say(out, n, v->problem ? v->problem->message : cm_variable_storage(v)->codecs);
    }
    for (size_t i = 0; i < cm_group_ngroups(g); i++)
        describe(cm_group_at(g, i), out, n);
}

static void opening(void)
{
    for (size_t s = 0; s < sizeof stores / sizeof stores[0]; s++) {
        cm_error err = {0};
        cm_store *store = new_store(stores[s]);
        char want[4096] = "", got[4096];
        cm_dataset *ds = NULL;
        TAP_CALL(cm_zarr_open(ctx, store, "", "memory://s", &ds, &err), &err);
        describe(cm_dataset_root(ds), want, sizeof want);
        cm_dataset_free(ds);
        int64_t n = 0;
        for (bool fired = true; fired; n++) {
            ds = NULL;
            fault_malloc_at(n);
            int r = cm_zarr_open(ctx, store, "", "memory://s", &ds, &err);
            fired = fault_end();
            got[0] = 0;
            if (r == 0)
                describe(cm_dataset_root(ds), got, sizeof got);
            if (r && !TAP_OK(fired && r == CM_ENOMEM))
                printf("# store %zu, allocation %lld: %s\n", s, (long long)n, cm_code_name(r));
            if (r == 0)
                TAP_STR(got, want);
            cm_dataset_free(ds);
        }
        printf("# store %zu: %lld allocations\n", s, (long long)n);
        TAP_OK(n > 20);
        cm_store_unref(store);
    }
}

/* Copy a dataset's metadata with the writer. */
static int copy_group(cm_zarr_writer *w, const cm_group *g, cm_error *err)
{
    int r = cm_zarr_writer_add_group(w, cm_group_path(g), g->attributes.items, g->attributes.count,
                                     err);
    for (size_t i = 0; i < cm_group_nvariables(g) && r == 0; i++) {
        const cm_variable *v = cm_group_variable(g, i);
        cm_chain *chain = NULL;
        if (!v->array)
            continue;
        r = cm_chain_new(cm_array_dtype(v->array), v->ndim, (int64_t[]){2, 2}, &chain, err);
        cm_zarr_array_spec spec = {.path = v->path,
                                   .dtype = cm_array_dtype(v->array),
                                   .ndim = v->ndim,
                                   .shape = v->shape,
                                   .chain = chain,
                                   .dimensions = (const char *const *)v->dimensions,
                                   .attributes = v->attributes.items,
                                   .nattributes = v->attributes.count};
        if (r == 0)
            r = cm_zarr_writer_add_array(w, &spec, NULL, err);
        cm_chain_unref(chain);
    }
    for (size_t i = 0; i < cm_group_ngroups(g) && r == 0; i++)
        r = copy_group(w, cm_group_at(g, i), err);
    return r;
}

static int copy(const cm_dataset *ds, int format, cm_store *target, cm_error *err)
{
    cm_zarr_writer *w = NULL;
    int r = cm_zarr_writer_new(target, "", format, &w, err);
    if (r == 0)
        r = copy_group(w, cm_dataset_root(ds), err);
    if (r == 0)
        r = cm_zarr_writer_finish(w, err);
    cm_zarr_writer_free(w);
    return r;
}

static void writing(void)
{
    for (int format = 2; format <= 3; format++) {
        cm_error err = {0};
        cm_store *store = new_store(stores[1]);
        cm_dataset *ds = NULL, *back = NULL;
        char early[4096] = "", got[4096];
        TAP_CALL(cm_zarr_open(ctx, store, "", "memory://s", &ds, &err), &err);
        int64_t n = 0;
        for (bool fired = true; fired; n++) {
            cm_store *target = new_store(NULL);
            back = NULL;
            fault_malloc_at(n);
            int r = copy(ds, format, target, &err);
            fired = fault_end();
            if (!TAP_OK(fired ? r == CM_ENOMEM : r == 0))
                printf("# v%d, allocation %lld: %s\n", format, (long long)n, cm_code_name(r));
            int opened = cm_zarr_open(ctx, target, "", "memory://s", &back, &err);
            /* v2: .zmetadata may be there already, and is whole then */
            TAP_OK(r ? opened == CM_ENOTFOUND || (format == 2 && opened == 0) : opened == 0);
            if (opened == 0) {
                got[0] = 0;
                describe(cm_dataset_root(back), got, sizeof got);
                if (early[0]) /* what opened after a failure, and at last without one */
                    TAP_STR(got, early);
                snprintf(early, sizeof early, "%s", got);
            }
            cm_dataset_free(back);
            cm_store_unref(target);
        }
        TAP_OK(strstr(early, "/p/q/b") && strstr(early, "\"x\" _FillValue"));
        printf("# v%d: %lld allocations\n", format, (long long)n);
        cm_dataset_free(ds);
        cm_store_unref(store);
    }
}

int main(void)
{
    cm_error err = {0};
    cm_context_options options;
    cm_context_options_init(&options);
    options.threads = 1;
    TAP_CALL(cm_context_new(&options, &ctx, &err), &err);
    TAP_RUN(opening);
    TAP_RUN(writing);
    cm_context_free(ctx);
    return tap_done();
}
