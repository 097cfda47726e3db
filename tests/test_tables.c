/* Scan tables: numbers, texts, JSON and types as bytes and back; listings of chunks against a plain
 * array; files packed, unpacked and packed again; entries that are damaged in every place; lack of
 * memory at any one time; files of tables; the overlay.
 */
#include <limits.h>

#include "base/memory.h"
#include "faults.h"
#include "format/format.h"
#include "format/tables/tables_file.h"
#include "format/tables/tables_layout.h"
#include "store/overlay.h"
#include "tap.h"
#include "text/json_wire.h"

static cm_context *ctx;
static uint64_t state;

static uint64_t draw(uint64_t n) /* 0..n-1 */
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % n;
}

/* Numbers of all lengths. */
static uint64_t draw_wide(void)
{
    uint64_t v = draw(1u << 31) << 33 ^ draw(1u << 31) << 15 ^ draw(1u << 31);
    return v >> draw(64);
}

/* ---- bytes ----------------------------------------------------------------------------------- */

static void numbers(void)
{
    cm_error err = {0};
    cm_wire_out w;
    uint64_t u[2000];
    int64_t s[2000];
    size_t n;
    cm_wire_init(&w, 1 << 20, &err);
    for (int i = 0; i < 2000; i++) {
        u[i] = i < 3 ? (uint64_t)i - 1 : draw_wide();
        s[i] = i == 0 ? INT64_MIN : i == 1 ? INT64_MAX : (int64_t)(draw_wide() - draw_wide());
        cm_wire_put_uint(&w, u[i]);
        cm_wire_put_int(&w, s[i]);
        cm_wire_put_bytes(&w, &u[i], (size_t)i % 9);
    }
    TAP_EQ(w.status, 0);
    cm_wire_in r = cm_wire_of(w.bytes.data, w.bytes.nbytes);
    bool same = true;
    for (int i = 0; i < 2000; i++) {
        same = same && cm_wire_uint(&r) == u[i] && cm_wire_int(&r) == s[i];
        const void *p = cm_wire_bytes(&r, &n);
        same = same && n == (size_t)i % 9 && memcmp(p, &u[i], n) == 0;
    }
    TAP_OK(same && !r.bad && cm_wire_left(&r) == 0);
    cm_wire_deinit(&w);
    /* over 64 bits, cut short, a number in two forms, a text longer than what is there */
    static const char *const bad[] = {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", "\x80",
                                      "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x81"};
    for (size_t i = 0; i < 4; i++) {
        r = cm_wire_of(bad[i], strlen(bad[i]));
        TAP_EQ(cm_wire_uint(&r), 0);
        TAP_OK(r.bad && cm_wire_left(&r) == 0);
    }
    r = cm_wire_of("\x80\x00", 2);
    cm_wire_uint(&r);
    TAP_OK(r.bad);
    r = cm_wire_of("\x05"
                   "abcd",
                   5);
    cm_wire_bytes(&r, &n);
    TAP_OK(r.bad && n == 0);
    r = cm_wire_of("\x09"
                   "abcd",
                   5);
    TAP_EQ(cm_wire_count(&r, 1), 0);
    TAP_OK(r.bad);
}

static cm_json *random_json(cm_json_doc *doc, int depth)
{
    static const char *const texts[] = {
        "0", "-0", "1e400", "1.50", "NaN", "-Infinity", "18446744073709551615", "1E-7"};
    cm_json_doc *one;
    cm_error err = {0};
    cm_json *v;
    char key[16];
    switch (draw(depth > 4 ? 4 : 6)) {
    case 0: return draw(2) ? cm_json_new_null(doc) : cm_json_new_bool(doc, draw(2));
    case 1:
    case 2:
        snprintf(key, sizeof key, "%s", draw(2) ? "t\xc3\xa9xt \"x\"" : "");
        return cm_json_new_string_n(doc, "a\0b", draw(2) ? 3 : 0);
    case 3: {
        const char *text = texts[draw(8)];
        TAP_CALL(cm_json_parse(text, strlen(text), 0, &one, &err), &err);
        v = cm_json_copy(doc, cm_json_doc_root(one));
        cm_json_doc_free(one);
        return v;
    }
    case 4:
        v = cm_json_new_array(doc);
        for (uint64_t n = draw(5); n > 0; n--)
            TAP_EQ(cm_json_add(doc, v, random_json(doc, depth + 1)), 0);
        return v;
    default:
        v = cm_json_new_object(doc);
        for (uint64_t n = draw(30); n > 0; n--) {
            snprintf(key, sizeof key, "k%d", (int)draw(40));
            TAP_EQ(cm_json_set(doc, v, key, random_json(doc, depth + 4)), 0);
        }
        return v;
    }
}

static void json(void)
{
    cm_error err = {0};
    for (int k = 0; k < 300; k++) {
        cm_json_doc *doc, *back;
        cm_wire_out w;
        char *a = NULL, *b = NULL;
        size_t na, nb;
        TAP_CALL(cm_json_doc_new(0, &doc, &err), &err);
        TAP_CALL(cm_json_doc_new(0, &back, &err), &err);
        cm_json *v = random_json(doc, 0);
        cm_wire_init(&w, 1 << 20, &err);
        cm_json_wire_put(&w, v);
        TAP_EQ(w.status, 0);
        cm_wire_in r = cm_wire_of(w.bytes.data, w.bytes.nbytes);
        cm_json *got = cm_json_wire_take(&r, back);
        TAP_OK(got && !r.bad && cm_wire_left(&r) == 0);
        TAP_CALL(cm_json_write(v, 0, &a, &na, &err), &err);
        TAP_CALL(cm_json_write(got, 0, &b, &nb, &err), &err);
        TAP_STR(b, a);
        /* cut short anywhere it is bad */
        for (size_t n = 0; n < w.bytes.nbytes; n++) {
            r = cm_wire_of(w.bytes.data, n);
            TAP_OK(!cm_json_wire_take(&r, back) && r.bad);
        }
        free(a);
        free(b);
        cm_wire_deinit(&w);
        cm_json_doc_free(doc);
        cm_json_doc_free(back);
    }
}

static void json_refused(void)
{
    static const struct {
        const char *bytes;
        size_t n;
    } bad[] = {
        {"\x03\x02"
         "01",
         4},
        {"\x03\x01"
         "-",
         3},
        {"\x03\x02"
         "1.",
         4},
        {"\x03\x03"
         "1e+",
         5},
        {"\x03\x00", 2},
        {"\x03\x0c"
         "1e1000000000",
         14},
        {"\x04\x01\xff", 3},
        {"\x07", 1},
        {"\x05\x7f\x00", 3},
        {"\x03\x02"
         "1 ",
         4},
        {"\x03\x04"
         "-NaN",
         6},
        {"\x06\x02\x01"
         "k\x00\x01"
         "k\x00",
         8},
        {"\x06\x01\x01\x00\x00", 5},
    };
    cm_error err = {0};
    cm_json_doc *doc;
    TAP_CALL(cm_json_doc_new(0, &doc, &err), &err);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cm_wire_in r = cm_wire_of(bad[i].bytes, bad[i].n);
        if (!TAP_OK(!cm_json_wire_take(&r, doc) && r.bad))
            printf("# number %zu\n", i);
    }
    uint8_t deep[400];
    for (size_t i = 0; i < sizeof deep; i++)
        deep[i] = i % 2 ? 1 : 5; /* an array of one array of ... */
    cm_wire_in r = cm_wire_of(deep, sizeof deep);
    TAP_OK(!cm_json_wire_take(&r, doc) && r.bad);
    cm_json_doc_free(doc);
}

/* ---- types ----------------------------------------------------------------------------------- */

static bool round_trip(cm_dtype dtype)
{
    cm_error err = {0};
    cm_wire_out w;
    const cm_record *record;
    cm_dtype got;
    cm_wire_init(&w, 1 << 20, &err);
    cm_tables_put_dtype(&w, dtype);
    cm_wire_in r = cm_wire_of(w.bytes.data, w.bytes.nbytes);
    bool ok = cm_tables_take_dtype(&r, &got, &record, &err) && cm_wire_left(&r) == 0 &&
              cm_dtype_equal(dtype, got) && got.size == dtype.size;
    if (ok)
        cm_record_unref(record);
    for (size_t n = 0; n < w.bytes.nbytes; n++) {
        r = cm_wire_of(w.bytes.data, n);
        ok = ok && !cm_tables_take_dtype(&r, &got, &record, &err) && r.bad;
    }
    cm_wire_deinit(&w);
    return ok;
}

static void types(void)
{
    for (int k = CM_NONE; k <= (int)CM_UINT4; k++)
        if (k != CM_RECORD && k != CM_SEQUENCE && !cm_kind_is_time((cm_kind)k))
            TAP_OK(round_trip(cm_dtype_of((cm_kind)k, 12)));
    TAP_OK(round_trip(cm_dtype_time(CM_DATETIME64, CM_UNIT_SECOND, 25)));
    cm_error err = {0};
    cm_record *inner, *outer;
    const int64_t shape[] = {2, 3};
    cm_field a[] = {{.name = "x", .dtype = cm_dtype_of(CM_FLOAT32, 0)},
                    {.name = "y", .dtype = cm_dtype_of(CM_INT16, 0), .ndim = 2, .shape = shape}};
    TAP_CALL(cm_record_new(a, 2, &inner, &err), &err);
    cm_field b[] = {{.name = "r", .dtype = cm_dtype_record(CM_RECORD, inner)},
                    {.name = "s", .dtype = cm_dtype_of(CM_BYTES, 7)}};
    TAP_CALL(cm_record_new(b, 2, &outer, &err), &err);
    TAP_OK(round_trip(cm_dtype_record(CM_RECORD, outer)));
    TAP_OK(round_trip(cm_dtype_record(CM_SEQUENCE, inner)));
    cm_record_unref(outer);
    cm_record_unref(inner);
}

/* ---- chunks ---------------------------------------------------------------------------------- */

static void listings(void)
{
    cm_error err = {0};
    for (int k = 0; k < 200; k++) {
        int ndim = (int)draw(4);
        int64_t grid[4], n = 1;
        for (int i = 0; i < ndim; i++)
            n *= grid[i] = 1 + (int64_t)draw(9);
        cm_tables_chunk *want = calloc((size_t)n, sizeof *want), previous = {0};
        uint64_t at = draw(100), listed = 0;
        cm_wire_out w;
        cm_wire_init(&w, 1 << 20, &err);
        for (int64_t i = 0; i < n; i++) {
            if (draw(10) < (uint64_t)k % 10)
                continue; /* never written */
            want[i] = (cm_tables_chunk){(uint64_t)i, draw(4) ? at : draw(1 << 20),
                                        1 + (draw(3) ? draw(300) : draw(1 << 18)),
                                        draw(5) ? 0 : (uint32_t)draw(1u << 31)};
            at = want[i].offset + want[i].nbytes;
            cm_tables_put_chunk(&w, &previous, &want[i], listed++ == 0);
        }
        cm_table *t = NULL;
        TAP_CALL(
            cm_tables_chunks_new(ctx, ndim, grid, w.bytes.data, w.bytes.nbytes, 1 << 22, &t, &err),
            &err);
        int64_t coord[4] = {0};
        uint64_t most = 0;
        for (int64_t i = 0; i < n; i++) {
            cm_location loc = {.where = CM_AT_WHOLE};
            TAP_CALL(t->locate(t, coord, &loc, &err), &err);
            if (want[i].nbytes)
                TAP_OK(loc.where == CM_AT_RANGE && loc.offset == want[i].offset && !loc.key[0] &&
                       loc.nbytes == want[i].nbytes && loc.skip_mask == want[i].mask);
            else
                TAP_EQ(loc.where, CM_AT_NOWHERE);
            most = want[i].nbytes > most ? want[i].nbytes : most;
            cm_next(ndim, grid, coord);
        }
        TAP_EQ(t->max_nbytes(t), most);
        if (listed > 1)
            TAP_OK(w.bytes.nbytes <= 20 * listed);
        t->free(t);
        free(want);
        cm_wire_deinit(&w);
    }
}

static void listings_refused(void)
{
    cm_error err = {0};
    const int64_t grid[] = {3, 3};
    static const struct {
        const char *bytes;
        size_t n;
    } bad[] = {
        {"\x12\x02\x02", 3},                     /* chunk 9 of 9 */
        {"\x00\xfe\xff\xff\xff\x0f\x02", 7},     /* beyond the file */
        {"\x00\x02\x01", 3},                     /* -1 byte */
        {"\x00\x02\x02\x00", 4},                 /* cut short */
        {"\x01\x02\x02\xff\xff\xff\xff\x7f", 8}, /* a mask over 32 bits */
        {"\x00\x02\x02\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00\x00", 15}, /* comes round to 0 */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cm_table *t = NULL;
        cm_location loc;
        int64_t coord[2] = {0};
        TAP_CALL(cm_tables_chunks_new(ctx, 2, grid, bad[i].bytes, bad[i].n, 1000, &t, &err), &err);
        int ret = t->locate(t, coord, &loc, &err);
        if (!TAP_OK(ret == CM_EDATA))
            printf("# number %zu: %d\n", i, ret);
        TAP_EQ(t->max_nbytes(t), 0);
        t->free(t);
    }
}

/* ---- whole files ----------------------------------------------------------------------------- */

/* A file of fuzz/corpus, beside this source. */
static uint8_t *corpus(const char *name, size_t *nbytes)
{
    char path[PATH_MAX], above[PATH_MAX + 4];
    snprintf(path, sizeof path, "%s", __FILE__);
    char *slash = strrchr(path, '/');
    snprintf(slash, sizeof path - (size_t)(slash - path), "/../fuzz/corpus/%s", name);
    FILE *f = fopen(path, "rb");
    snprintf(above, sizeof above, "../%s", path); /* ccache shortens __FILE__ */
    if (!f)
        f = fopen(above, "rb");
    uint8_t *data = malloc(1 << 20);
    *nbytes = f && data ? fread(data, 1, 1 << 20, f) : 0;
    if (!TAP_OK(*nbytes > 0))
        printf("# cannot read %s\n", path);
    if (f)
        fclose(f);
    return data;
}

static cm_tables_file file_of(const uint8_t *data, size_t nbytes)
{
    cm_tables_file file = {.key = "f"};
    cm_iov iov = {data, nbytes};
    cm_error err = {0};
    TAP_CALL(cm_store_new_memory(ctx, &file.store, &err), &err);
    TAP_CALL(file.store->vt->put(file.store, "f", &iov, 1, 0, &err), &err);
    TAP_CALL(file.store->vt->stat(file.store, "f", &file.version, &err), &err);
    return file;
}

static int pack(cm_dataset *ds, const cm_tables_file *file, cm_wire_out *w, cm_error *err)
{
    cm_tables_counts counts = {0};
    cm_wire_init(w, 1 << 28, err);
    return cm_tables_pack(ctx, ds, file, w, &counts);
}

static void *read_all(cm_array *a, cm_arena *arena, size_t *nbytes, int *ret)
{
    static const int64_t zeros[CM_MAX_DIMS];
    int64_t n = cm_shape_nelem(a->ndim, a->shape);
    cm_error err = {0};
    *nbytes = n > 1 << 22 ? 0 : (size_t)n * a->dtype.size;
    void *cells = calloc(*nbytes + 1, 1);
    *ret = *nbytes ? cm_array_read(ctx, a, zeros, a->shape, cells, NULL, arena, &err) : 0;
    return cells;
}

static bool same_cells(cm_array *a, cm_array *b)
{
    cm_arena *arena = NULL;
    size_t na, nb;
    int ra, rb;
    TAP_EQ(cm_arena_new(ctx, &arena, NULL), 0);
    void *x = read_all(a, arena, &na, &ra), *y = read_all(b, arena, &nb, &rb);
    bool same = na == nb && ra == rb;
    if (same && ra == 0 && cm_kind_is_vlen(a->dtype.kind)) {
        const cm_string *s = x, *t = y;
        for (size_t i = 0; i < na / sizeof *s; i++)
            same = same && s[i].nbytes == t[i].nbytes &&
                   (!s[i].nbytes || memcmp(s[i].data, t[i].data, s[i].nbytes) == 0);
    } else if (same && ra == 0) {
        same = memcmp(x, y, na) == 0;
    }
    free(x);
    free(y);
    cm_arena_free(arena);
    return same;
}

static void compare(const cm_group *a, const cm_group *b, const char *name)
{
    TAP_EQ(a->nvariables, b->nvariables);
    TAP_EQ(a->ngroups, b->ngroups);
    for (size_t i = 0; i < a->nvariables && i < b->nvariables; i++) {
        const cm_variable *v = a->variables[i], *w = b->variables[i];
        TAP_STR(w->path, v->path);
        if (!TAP_OK(!v->array == !w->array))
            continue;
        if (v->problem) {
            TAP_STR(w->problem->message, v->problem->message);
            TAP_STR(w->problem->object, v->problem->object);
        } else if (!TAP_OK(same_cells(v->array, w->array))) {
            printf("# %s: %s\n", name, v->path);
        }
    }
    for (size_t i = 0; i < a->ngroups && i < b->ngroups; i++)
        compare(a->groups[i], b->groups[i], name);
}

/* Packed, unpacked: the same tree and cells; packed again: the same bytes. */
static void check_file(const uint8_t *data, size_t nbytes, const char *name)
{
    cm_error err = {0};
    cm_dataset *ds = NULL, *again = NULL;
    cm_wire_out w, second;
    cm_tables_file file = file_of(data, nbytes);
    TAP_CALL(cm_format_open_object(ctx, file.store, "f", "name", &ds, &err), &err);
    TAP_CALL(pack(ds, &file, &w, &err), &err);
    int ret = cm_tables_unpack(ctx, w.bytes.data, w.bytes.nbytes, &file, "name", &again, &err);
    TAP_CALL(ret, &err);
    if (ret == 0) {
        TAP_STR(again->format, ds->format);
        compare(ds->root, again->root, name);
        TAP_CALL(pack(again, &file, &second, &err), &err);
        if (!TAP_OK(second.bytes.nbytes == w.bytes.nbytes &&
                    memcmp(second.bytes.data, w.bytes.data, w.bytes.nbytes) == 0))
            printf("# %s: %zu and %zu bytes\n", name, w.bytes.nbytes, second.bytes.nbytes);
        cm_wire_deinit(&second);
    }
    cm_dataset_free(ds);
    cm_dataset_free(again);
    cm_wire_deinit(&w);
    cm_store_unref(file.store);
}

static const char *const files[] = {
    "hdf5/old_groups",  "hdf5/old_filters",  "hdf5/user_block",      "hdf5/strings",
    "hdf5/dense",       "hdf5/odd_filters",  "hdf5/index_fixed",     "hdf5/index_tree",
    "hdf5/index_paged", "hdf5/index_single", "hdf5/index_implicit",  "hdf5/index_extensible",
    "hdf5/scales",      "hdf5/types",        "hdf5/shared_messages", "hdf5/virtual",
    "netcdf3/cdf1.nc",  "netcdf3/cdf2.nc",   "netcdf3/cdf5.nc"};

static void whole_files(void)
{
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        size_t nbytes;
        uint8_t *data = corpus(files[i], &nbytes);
        if (nbytes)
            check_file(data, nbytes, files[i]);
        free(data);
    }
}

/* ---- damage ---------------------------------------------------------------------------------- */

/* Look at everything that a dataset out of tables has, the file itself but for deferred arrays. */
static void look(const cm_group *g)
{
    static const int64_t zeros[CM_MAX_DIMS];
    for (size_t i = 0; i < g->nvariables; i++) {
        cm_array *a = g->variables[i]->array;
        cm_chunk_info info;
        cm_error err = {0};
        size_t n;
        int ret;
        bool some = a && cm_shape_nelem(a->ndim, a->shape) > 0;
        if (some && cm_variable_chunk_info(ctx, g->variables[i], zeros, &info, &err) != 0)
            TAP_OK(err.message[0]);
        if (some && !cm_kind_is_vlen(a->dtype.kind) && a->dtype.size < 1 << 16 &&
            cm_shape_nelem(a->ndim, a->shape) < 10000)
            free(read_all(a, NULL, &n, &ret));
    }
    for (size_t i = 0; i < g->ngroups; i++)
        look(g->groups[i]);
}

static int try_bytes(const void *bytes, size_t n, const cm_tables_file *file)
{
    cm_error err = {0};
    cm_dataset *ds = NULL;
    void *own = malloc(n + 1); /* of exactly its size for the sanitizer */
    memcpy(own, bytes, n);
    int ret = cm_tables_unpack(ctx, own, n, file, "name", &ds, &err);
    free(own);
    TAP_OK((ret == 0) == (ds != NULL) && (ret == 0 || err.message[0]));
    if (ds)
        look(ds->root);
    cm_dataset_free(ds);
    return ret;
}

static void damage(void)
{
    for (size_t k = 0; k < sizeof files / sizeof files[0]; k++) {
        cm_error err = {0};
        size_t nbytes;
        cm_dataset *ds = NULL;
        cm_wire_out w;
        uint8_t *data = corpus(files[k], &nbytes);
        cm_tables_file file = file_of(data, nbytes);
        if (nbytes && cm_format_open_object(ctx, file.store, "f", "name", &ds, &err) == 0) {
            TAP_CALL(pack(ds, &file, &w, &err), &err);
            size_t n = w.bytes.nbytes;
            for (size_t i = 0; i < n; i += 1 + n / 500)
                TAP_EQ(try_bytes(w.bytes.data, i, &file), CM_EDATA);
            for (size_t i = 0; i < n; i += 1 + n / 800) {
                uint8_t before = w.bytes.data[i];
                for (int bit = 0; bit < 8; bit += 1 + (int)draw(3)) {
                    w.bytes.data[i] = (uint8_t)(before ^ 1 << bit);
                    (void)try_bytes(w.bytes.data, n, &file);
                }
                w.bytes.data[i] = before;
            }
            TAP_EQ(try_bytes(w.bytes.data, n, &file), 0);
            cm_wire_deinit(&w);
        }
        cm_dataset_free(ds);
        cm_store_unref(file.store);
        free(data);
    }
}

static void no_memory(void)
{
    cm_error err = {0};
    size_t nbytes;
    cm_dataset *ds = NULL;
    uint8_t *data = corpus("hdf5/old_groups", &nbytes);
    cm_tables_file file = file_of(data, nbytes);
    TAP_CALL(cm_format_open_object(ctx, file.store, "f", "name", &ds, &err), &err);
    for (int64_t n = 0;; n++) {
        cm_wire_out w;
        cm_error_clear(&err);
        fault_malloc_at(n);
        int ret = pack(ds, &file, &w, &err);
        bool fired = fault_end();
        TAP_OK(fired ? ret == CM_ENOMEM || ret == 0 : ret == 0);
        cm_wire_deinit(&w);
        if (!fired)
            break;
    }
    cm_wire_out w;
    TAP_CALL(pack(ds, &file, &w, &err), &err);
    for (int64_t n = 0;; n++) {
        cm_dataset *again = NULL;
        cm_error_clear(&err);
        fault_malloc_at(n);
        int ret = cm_tables_unpack(ctx, w.bytes.data, w.bytes.nbytes, &file, "name", &again, &err);
        bool fired = fault_end();
        if (!TAP_OK(fired ? ret == CM_ENOMEM && err.message[0] : ret == 0))
            printf("# allocation %d: %d %s\n", (int)n, ret, err.message);
        cm_dataset_free(again);
        if (!fired)
            break;
    }
    cm_wire_deinit(&w);
    cm_dataset_free(ds);
    cm_store_unref(file.store);
    free(data);
}

/* ---- files of tables ------------------------------------------------------------------------- */

static int to_buffer(void *to, const void *data, size_t nbytes, cm_error *err)
{
    return cm_buffer_append(to, data, nbytes, err);
}

static void tables_files(void)
{
    cm_error err = {0};
    cm_buffer b;
    cm_tables_writer w;
    cm_buffer_init(&b, 1 << 20);
    TAP_CALL(cm_tables_begin(&w, to_buffer, &b, &err), &err);
    char path[100], bytes[64];
    for (int i = 0; i < 200; i++) {
        snprintf(path, sizeof path, "/data/%d/day-%d.nc", i / 30, i);
        memset(bytes, i, sizeof bytes);
        cm_tables_entry e = {.path = path, .uri = path + 6, .nbytes = (uint64_t)i % 60};
        e.unpacked = e.nbytes;
        e.version = (cm_object_version){draw_wide(), {draw_wide(), draw_wide(), 0}};
        e.crc = cm_crc32c(0, bytes, (size_t)e.nbytes);
        e.counts.chunks = (uint64_t)i;
        e.ctime_ns = i % 3 ? (uint64_t)i << 55 : 0;
        TAP_CALL(cm_tables_put(&w, &e, bytes, &err), &err);
    }
    TAP_CALL(cm_tables_end(&w, &err), &err);
    TAP_EQ(w.at, b.nbytes);
    cm_tables_writer_deinit(&w);
    cm_tables_file file = file_of(b.data, b.nbytes);
    cm_tables *t = NULL;
    TAP_CALL(cm_tables_open(ctx, file.store, "f", "f", &t, &err), &err);
    TAP_EQ(cm_tables_count(t), 200);
    for (int i = 0; i < 200; i++) {
        const cm_tables_entry *e = cm_tables_entry_at(t, (size_t)i);
        void *got = NULL;
        snprintf(path, sizeof path, "/data/%d/day-%d.nc", i / 30, i);
        memset(bytes, i, sizeof bytes);
        TAP_STR(e->path, path);
        TAP_STR(e->uri, path + 6);
        TAP_EQ(e->counts.chunks, i);
        TAP_OK(e->ctime_ns == (i % 3 ? (uint64_t)i << 55 : 0));
        TAP_CALL(cm_tables_read(t, (size_t)i, &got, &err), &err);
        TAP_OK(got && memcmp(got, bytes, (size_t)e->nbytes) == 0);
        free(got);
    }
    cm_tables_free(t);
    cm_store_unref(file.store);
    /* A changed byte is noticed wherever it is, and so is an end that is missing. */
    for (size_t i = 0; i < b.nbytes; i++) {
        b.data[i] ^= 0x40;
        file = file_of(b.data, b.nbytes);
        int ret = cm_tables_open(ctx, file.store, "f", "f", &t, &err);
        bool noticed = ret != 0;
        for (size_t k = 0; k < 200 && !noticed; k++) {
            void *got = NULL;
            noticed = cm_tables_read(t, k, &got, &err) == CM_EDATA;
            free(got);
        }
        bool unused = (i >= 12 && i < 16) || (i >= b.nbytes - 12 && i < b.nbytes - 8);
        if (!unused && !TAP_OK(noticed))
            printf("# byte %zu of %zu\n", i, b.nbytes);
        if (ret == 0)
            cm_tables_free(t);
        cm_store_unref(file.store);
        b.data[i] ^= 0x40;
    }
    for (size_t n = 0; n < b.nbytes; n += 7) {
        file = file_of(b.data, n);
        TAP_EQ(cm_tables_open(ctx, file.store, "f", "f", &t, &err), CM_EDATA);
        cm_store_unref(file.store);
    }
    cm_buffer_deinit(&b);
}

/* ---- overlay --------------------------------------------------------------------------------- */

static void overlay(void)
{
    cm_error err = {0};
    uint8_t data[1000], changed[1000], got[1000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7 % 251), changed[i] = (uint8_t)~data[i];
    cm_tables_file file = file_of(data, sizeof data);
    cm_store *o = NULL;
    TAP_CALL(cm_overlay_new(file.store, "f", &file.version, &o, &err), &err);
    TAP_CALL(cm_overlay_add(o, 10, data + 10, 90, &err), &err);
    TAP_CALL(cm_overlay_add(o, 200, data + 200, 50, &err), &err);
    TAP_EQ(cm_overlay_add(o, 240, data, 5, &err), CM_EDATA);
    TAP_EQ(cm_overlay_add(o, 990, data, 11, &err), CM_EDATA);
    TAP_OK(cm_overlay_below(o) == file.store);
    /* The object below changes: what is at hand is still what it was, the rest is refused. */
    cm_iov iov = {changed, sizeof changed};
    TAP_CALL(file.store->vt->put(file.store, "f", &iov, 1, 0, &err), &err);
    for (int k = 0; k < 2000; k++) {
        cm_range r[2];
        bool inside = true;
        size_t at = 0;
        for (int i = 0; i < 2; i++) {
            uint64_t lo = draw(300);
            size_t n = (size_t)draw(draw(2) ? 10 : 120);
            bool one = lo >= 10 && lo + n <= 100, two = lo >= 200 && lo + n <= 250;
            r[i] = (cm_range){lo, n, got + at};
            inside = inside && (one || two);
            at += n;
        }
        cm_object_version version = file.version;
        int ret = o->vt->get(o, "f", r, 2, &version, &err);
        TAP_EQ(ret, inside ? 0 : CM_ECHANGED);
        for (int i = 0; i < 2 && inside; i++)
            TAP_OK(memcmp(r[i].dst, data + r[i].offset, r[i].nbytes) == 0);
    }
    cm_object_version now;
    TAP_CALL(o->vt->stat(o, "f", &now, &err), &err);
    TAP_OK(memcmp(&now, &file.version, sizeof now) != 0);
    cm_range r = {10, 5, got};
    TAP_CALL(o->vt->get(o, "f", &r, 1, &now, &err), &err);
    TAP_OK(memcmp(got, changed + 10, 5) == 0);
    cm_store_unref(o);
    cm_store_unref(file.store);
}

int main(void)
{
    cm_context_options options;
    cm_error err = {0};
    state = tap_seed();
    cm_context_options_init(&options);
    options.threads = 1;
    options.max_memory = (uint64_t)256 << 20;
    TAP_CALL(cm_context_new(&options, &ctx, &err), &err);
    TAP_RUN(numbers);
    TAP_RUN(json);
    TAP_RUN(json_refused);
    TAP_RUN(types);
    TAP_RUN(listings);
    TAP_RUN(listings_refused);
    TAP_RUN(whole_files);
    TAP_RUN(damage);
    TAP_RUN(no_memory);
    TAP_RUN(tables_files);
    TAP_RUN(overlay);
    cm_context_free(ctx);
    return tap_done();
}
