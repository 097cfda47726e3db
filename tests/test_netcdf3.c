/* tests/test_netcdf3.c: the NetCDF-3 driver against a naive writer: random files read in random
 * regions, sizes beyond 4 GiB in sparse files, streamed record counts, and hostile headers. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "faults.h"
#include "format/format.h"
#include "nc3_writer.h"
#include "scratch.h"
#include "tap.h"

static cm_context *ctx;
static char scratch[256];

static int open_bytes(const void *data, size_t n, cm_dataset **ds, cm_error *err)
{
    cm_store *store = NULL;
    int ret = cm_store_new_memory(ctx, &store, err);
    cm_iov iov = {data, n};
    if (ret == 0)
        ret = store->vt->put(store, "f.nc", &iov, 1, 0, err);
    if (ret == 0)
        ret = cm_netcdf3_open(ctx, store, "f.nc", "memory://f.nc", ds, err);
    cm_store_unref(store);
    return ret;
}

static int open_file(w_file *f, cm_dataset **ds, cm_error *err)
{
    w_bytes b = w_write(f);
    int ret = open_bytes(b.data, b.n, ds, err);
    free(b.data);
    return ret;
}

static cm_array *array_of(cm_dataset *ds, const char *name)
{
    cm_variable *v = cm_group_find_variable(cm_dataset_root(ds), name);
    return v ? cm_variable_array(v) : NULL;
}

static uint64_t native_bits(const void *cell, uint32_t size)
{
    uint64_t v = 0;
    memcpy(&v, cell, size); /* little-endian machines, as cm_dump */
    return v;
}

/* ---- random files ---------------------------------------------------------------------------- */

static void random_file(w_file *f, int round, uint64_t *s)
{
    static const int versions[] = {1, 2, 5};
    *f = (w_file){.version = versions[tap_random(s) % 3]};
    bool record = tap_random(s) % 4 != 0;
    int record_id = (int)(tap_random(s) % 3), n = 3 + (int)(tap_random(s) % 3);
    for (int i = 0; i < n; i++) {
        char name[40];
        snprintf(name, sizeof name, i % 2 ? "d\xc3\xa9%d" : "dim_%d.%0*d", i, i + 1, i);
        w_dim(f, name, record && i == record_id ? 0 : 1 + tap_random(s) % 7);
    }
    f->numrecs = record ? tap_random(s) % 6 : 0;
    f->streaming = record && tap_random(s) % 3 == 0;
    f->gap = tap_random(s) % 3 * 12;
    f->dirty_padding = tap_random(s) % 2;
    int nvars = 1 + (int)(tap_random(s) % 7);
    for (int i = 0; i < nvars; i++) {
        int dimids[8], ndim = 0, want = (int)(tap_random(s) % 5);
        if (record && tap_random(s) % 2)
            dimids[ndim++] = record_id;
        while (ndim < want) {
            int d = (int)(tap_random(s) % (uint64_t)n);
            if (f->dims[d] != 0)
                dimids[ndim++] = d;
        }
        char name[40];
        snprintf(name, sizeof name, "v%d%.*s", i, (int)(tap_random(s) % 4), "xyz");
        uint32_t type = 1 + (uint32_t)(tap_random(s) % (f->version == 5 ? 11 : 6));
        if (round % 4 == 0 && tap_random(s) % 4)
            type = 2; /* files of strings */
        w_var *v = w_add(f, name, type, ndim, dimids);
        v->vsize = tap_random(s); /* not to be looked at */
    }
}

/* Is the last dimension of v, a char variable, one of strings? */
static bool is_string(const w_file *f, const w_var *v)
{
    int d = v->ndim ? v->dimids[v->ndim - 1] : -1;
    bool joins = v->type == 2 && d >= 0 && f->dims[d] != 0;
    for (int i = 0; i < f->nvars && joins; i++) {
        const w_var *o = &f->vars[i];
        joins = strcmp(o->name, f->dim_names[d]) != 0;
        for (int k = 0; k < o->ndim; k++)
            joins &= o->dimids[k] != d || (o->type == 2 && o->dimids[o->ndim - 1] == d);
    }
    return joins;
}

/* What the driver should say about variable i: cells in C order over the shape it presents. */
static int shape_of(const w_file *f, const w_var *v, int64_t *shape, int64_t *string_length)
{
    int n = 0;
    for (int i = 0; i < v->ndim; i++)
        shape[n++] =
            i == 0 && w_is_record(f, v) ? (int64_t)f->numrecs : (int64_t)f->dims[v->dimids[i]];
    *string_length = 1;
    if (is_string(f, v))
        *string_length = shape[--n];
    return n;
}

/* Bits of the k-th stored cell at index (of the presented shape). */
static uint64_t expect(const w_file *f, int var, const int64_t *shape, int ndim,
                       const int64_t *index, int64_t string_length, int64_t k)
{
    const w_var *v = &f->vars[var];
    bool record = w_is_record(f, v);
    uint64_t cell = 0;
    for (int i = record ? 1 : 0; i < ndim; i++)
        cell = cell * (uint64_t)shape[i] + (uint64_t)index[i];
    return w_cell(v->type, var, record ? (uint64_t)index[0] : 0,
                  cell * (uint64_t)string_length + (uint64_t)k);
}

static bool cell_equal(const w_file *f, int var, const int64_t *shape, int ndim,
                       const int64_t *index, int64_t length, const void *cell)
{
    const w_var *v = &f->vars[var];
    if (v->type != 2)
        return native_bits(cell, w_type_size(v->type)) ==
               expect(f, var, shape, ndim, index, length, 0);
    const cm_string *s = cell;
    int64_t want = length;
    while (want > 0 && expect(f, var, shape, ndim, index, length, want - 1) == 0)
        want--;
    if ((int64_t)s->nbytes != want)
        return false;
    for (int64_t k = 0; k < want; k++)
        if ((uint8_t)s->data[k] != expect(f, var, shape, ndim, index, length, k))
            return false;
    return true;
}

static void check_region(const w_file *f, int var, cm_array *a, uint64_t *s)
{
    int64_t shape[8], start[8], count[8], index[8], at[8] = {0}, length, n = 1;
    int ndim = shape_of(f, &f->vars[var], shape, &length);
    TAP_EQ(cm_array_ndim(a), ndim);
    for (int i = 0; i < ndim; i++) {
        TAP_EQ(cm_array_shape(a)[i], shape[i]);
        if (shape[i] == 0)
            return;
        start[i] = (int64_t)(tap_random(s) % (uint64_t)shape[i]);
        count[i] = 1 + (int64_t)(tap_random(s) % (uint64_t)(shape[i] - start[i]));
        n *= count[i];
    }
    size_t size = cm_array_dtype(a).size;
    uint8_t *buf = malloc((size_t)n * size);
    cm_arena *arena = NULL;
    cm_error err = {0};
    TAP_CALL(cm_arena_new(ctx, &arena, &err), &err);
    TAP_CALL(cm_array_read(ctx, a, start, count, buf, NULL, arena, &err), &err);
    int64_t wrong = 0;
    for (int64_t i = 0; i < n && err.code == 0; i++) {
        for (int k = 0; k < ndim; k++)
            index[k] = start[k] + at[k];
        wrong += !cell_equal(f, var, shape, ndim, index, length, buf + (size_t)i * size);
        for (int k = ndim - 1; k >= 0; k--) {
            if (++at[k] < count[k])
                break;
            at[k] = 0;
        }
    }
    TAP_EQ(wrong, 0);
    cm_arena_free(arena);
    free(buf);
}

static void random_files(void)
{
    uint64_t s = tap_seed();
    for (int round = 0; round < 300 && !tap_failed_here; round++) {
        w_file f;
        random_file(&f, round, &s);
        cm_dataset *ds = NULL;
        cm_error err = {0};
        TAP_CALL(open_file(&f, &ds, &err), &err);
        if (!ds)
            break;
        const cm_group *g = cm_dataset_root(ds);
        TAP_EQ(cm_group_ndimensions(g), f.ndims);
        TAP_EQ(cm_group_nvariables(g), f.nvars);
        bool any_record = false;
        for (int i = 0; i < f.nvars; i++)
            any_record |= w_is_record(&f, &f.vars[i]);
        for (int i = 0; i < f.ndims; i++) {
            const cm_dimension *d = cm_group_dimension(g, (size_t)i);
            TAP_STR(d->name, f.dim_names[i]);
            TAP_EQ(d->unlimited, f.dims[i] == 0);
            if (f.dims[i])
                TAP_EQ(d->length, f.dims[i]);
            else if (any_record || !f.streaming)
                TAP_EQ(d->length, f.numrecs);
        }
        for (int i = 0; i < f.nvars; i++) {
            const cm_variable *v = cm_group_variable(g, (size_t)i);
            TAP_STR(cm_variable_name(v), f.vars[i].name);
            cm_array *a = cm_variable_array(v);
            if (TAP_OK(a != NULL))
                for (int k = 0; k < 4; k++)
                    check_region(&f, i, a, &s);
            for (int k = 0; a && k < cm_array_ndim(a); k++)
                TAP_STR(cm_variable_dimension(v, k), f.dim_names[f.vars[i].dimids[k]]);
        }
        cm_dataset_free(ds);
    }
}

/* ---- types, attributes, characters ----------------------------------------------------------- */

static void types(void)
{
    static const char *const names[] = {"",        "int8",  "string", "int16",  "int32", "float32",
                                        "float64", "uint8", "uint16", "uint32", "int64", "uint64"};
    static const char *const stored[] = {"",          "NC_BYTE",  "NC_CHAR",   "NC_SHORT",
                                         "NC_INT",    "NC_FLOAT", "NC_DOUBLE", "NC_UBYTE",
                                         "NC_USHORT", "NC_UINT",  "NC_INT64",  "NC_UINT64"};
    w_file f = {.version = 5};
    int d = w_dim(&f, "x", 5);
    for (uint32_t t = 1; t <= 11; t++) {
        char name[8];
        snprintf(name, sizeof name, "v%u", t);
        w_add(&f, name, t, 1, &d);
    }
    cm_dataset *ds = NULL;
    cm_error err = {0};
    TAP_CALL(open_file(&f, &ds, &err), &err);
    for (uint32_t t = 1; t <= 11 && ds; t++) {
        const cm_variable *v = cm_group_variable(cm_dataset_root(ds), t - 1);
        char buf[24];
        TAP_STR(cm_dtype_name(cm_array_dtype(cm_variable_array(v)), buf, sizeof buf), names[t]);
        TAP_STR(cm_variable_storage(v)->stored_dtype, stored[t]);
        TAP_OK(cm_variable_storage(v)->raw && cm_variable_storage(v)->chunks == NULL);
    }
    TAP_STR(ds ? cm_dataset_format(ds) : "", "NetCDF-3 64-bit data");
    cm_dataset_free(ds);
}

static void check_attribute(cm_dataset *ds, const char *name, cm_kind kind, const char *json)
{
    const cm_attribute *a = cm_group_attribute_named(cm_dataset_root(ds), name);
    if (!TAP_OK(a != NULL))
        return;
    char *text = NULL;
    size_t n;
    cm_error err = {0};
    TAP_EQ(a->dtype.kind, kind);
    TAP_CALL(cm_json_write(a->value, 0, &text, &n, &err), &err);
    TAP_STR(text, json);
    free(text);
}

static void attributes(void)
{
    w_file f = {.version = 5};
    static const uint8_t three[] = {0xff, 0x80, 0x7f}, shorts[] = {0x80, 0, 0x7f, 0xff},
                         tenth[] = {0x3d, 0xcc, 0xcc, 0xcd},
                         max64[] = {255, 255, 255, 255, 255, 255, 255, 255},
                         nan[] = {0x7f, 0xf8, 0, 0, 0, 0, 0, 0};
    w_attribute(f.attrs, &f.nattrs, "bytes", 1, 3, three);
    w_attribute(f.attrs, &f.nattrs, "ubyte", 7, 1, three);
    w_attribute(f.attrs, &f.nattrs, "shorts", 3, 2, shorts);
    w_attribute(f.attrs, &f.nattrs, "tenth", 5, 1, tenth);
    w_attribute(f.attrs, &f.nattrs, "max", 11, 1, max64);
    w_attribute(f.attrs, &f.nattrs, "minus", 10, 1, max64);
    w_attribute(f.attrs, &f.nattrs, "nan", 6, 1, nan);
    w_attribute(f.attrs, &f.nattrs, "none", 4, 0, "");
    w_attribute(f.attrs, &f.nattrs, "text", 2, 9, "a\0\xc3\xa9z\n\0\0\0");
    w_attribute(f.attrs, &f.nattrs, "empty", 2, 0, "");
    w_attribute(f.attrs, &f.nattrs, "degrees", 2, 2,
                "\xb0"
                "C");
    cm_dataset *ds = NULL;
    cm_error err = {0};
    TAP_CALL(open_file(&f, &ds, &err), &err);
    if (!ds)
        return;
    TAP_EQ(cm_group_nattributes(cm_dataset_root(ds)), 11);
    TAP_STR(cm_group_attribute(cm_dataset_root(ds), 0)->name, "bytes");
    check_attribute(ds, "bytes", CM_INT8, "[-1, -128, 127]");
    check_attribute(ds, "ubyte", CM_UINT8, "255");
    check_attribute(ds, "shorts", CM_INT16, "[-32768, 32767]");
    check_attribute(ds, "tenth", CM_FLOAT32, "0.10000000149011612");
    check_attribute(ds, "max", CM_UINT64, "18446744073709551615");
    check_attribute(ds, "minus", CM_INT64, "-1");
    check_attribute(ds, "nan", CM_FLOAT64, "NaN");
    check_attribute(ds, "none", CM_INT32, "[]");
    check_attribute(ds, "text", CM_STRING, "\"a\xc3\xa9z\\n\"");
    check_attribute(ds, "empty", CM_STRING, "\"\"");
    check_attribute(ds, "degrees", CM_STRING,
                    "\"\xc2\xb0"
                    "C\"");
    cm_dataset_free(ds);
}

static void fill_value(void)
{
    w_file f = {.version = 1};
    int d = w_dim(&f, "x", 3);
    w_var *a = w_add(&f, "a", 3, 1, &d), *b = w_add(&f, "b", 3, 1, &d);
    w_attribute(a->attrs, &a->nattrs, "_FillValue", 3, 1, "\x81\x02");
    w_attribute(b->attrs, &b->nattrs, "_FillValue", 5, 1, "\x3f\x80\0\0"); /* another type */
    cm_dataset *ds = NULL;
    cm_error err = {0};
    TAP_CALL(open_file(&f, &ds, &err), &err);
    int16_t fill = 1;
    if (ds)
        memcpy(&fill, cm_array_fill(array_of(ds, "a")), 2);
    TAP_EQ(fill, -32510);
    if (ds)
        memcpy(&fill, cm_array_fill(array_of(ds, "b")), 2);
    TAP_EQ(fill, 0);
    cm_dataset_free(ds);
}

static int read_strings(cm_array *a, cm_string *out, cm_arena *arena, cm_error *err)
{
    int64_t zero[CM_MAX_DIMS] = {0};
    return cm_array_read(ctx, a, zero, cm_array_shape(a), out, NULL, arena, err);
}

static void characters(void)
{
    static const char data[] = "ab\0\0"
                               "\0\0\0\0"
                               "\xc3\xa9 \0"
                               "a\0bc";
    w_file f = {.version = 1, .numrecs = 3};
    int station = w_dim(&f, "station", 4), len = w_dim(&f, "len", 4), time = w_dim(&f, "time", 0);
    int both[] = {station, len};
    w_add(&f, "names", 2, 2, both);
    w_add(&f, "title", 2, 1, &len);
    w_add(&f, "letter", 2, 0, NULL);
    w_add(&f, "flag", 2, 1, &time);
    w_bytes b = w_write(&f);
    memcpy(b.data + f.vars[0].begin, data, 16);
    memcpy(b.data + f.vars[1].begin, "long", 4);
    memcpy(b.data + f.vars[2].begin, "q", 1);
    memcpy(b.data + f.vars[3].begin,
           "0\0"
           "9",
           3);
    cm_dataset *ds = NULL;
    cm_error err = {0};
    cm_arena *arena = NULL;
    cm_string s[4] = {0};
    TAP_CALL(cm_arena_new(ctx, &arena, &err), &err);
    TAP_CALL(open_bytes(b.data, b.n, &ds, &err), &err);
    if (!ds)
        return;
    TAP_CALL(read_strings(array_of(ds, "names"), s, arena, &err), &err);
    TAP_OK(s[0].nbytes == 2 && memcmp(s[0].data, "ab", 2) == 0);
    TAP_OK(s[1].nbytes == 0);
    TAP_OK(s[2].nbytes == 3 && memcmp(s[2].data, "\xc3\xa9 ", 3) == 0);
    TAP_OK(s[3].nbytes == 4 && memcmp(s[3].data, "a\0bc", 4) == 0);
    TAP_EQ(cm_array_ndim(array_of(ds, "title")), 0);
    TAP_CALL(read_strings(array_of(ds, "title"), s, arena, &err), &err);
    TAP_OK(s[0].nbytes == 4 && memcmp(s[0].data, "long", 4) == 0);
    TAP_CALL(read_strings(array_of(ds, "letter"), s, arena, &err), &err);
    TAP_OK(s[0].nbytes == 1 && s[0].data[0] == 'q');
    TAP_EQ(cm_array_ndim(array_of(ds, "flag")), 1);
    TAP_CALL(read_strings(array_of(ds, "flag"), s, arena, &err), &err);
    TAP_OK(s[0].nbytes == 1 && s[0].data[0] == '0' && s[1].nbytes == 0 && s[2].data[0] == '9');
    cm_dataset_free(ds);
    ds = NULL;

    b.data[f.vars[1].begin + 1] = 0xff; /* no longer text */
    TAP_CALL(open_bytes(b.data, b.n, &ds, &err), &err);
    TAP_EQ(ds ? read_strings(array_of(ds, "title"), s, arena, &err) : 0, CM_EDATA);
    TAP_OK(strstr(err.message, "UTF-8") != NULL);
    TAP_STR(err.variable, "/title");
    cm_dataset_free(ds);
    cm_arena_free(arena);
    free(b.data);
}

/* Strings that are longer than the engine's windows and blocks of cells. */
static void long_strings(void)
{
    enum { LONG = 3 << 20, MIDDLE = 5000 };
    w_file f = {.version = 1};
    int dims[] = {w_dim(&f, "n", 40), w_dim(&f, "middle", MIDDLE), w_dim(&f, "long", LONG)};
    w_add(&f, "names", 2, 2, dims);
    w_add(&f, "text", 2, 1, dims + 2);
    w_bytes b = w_write(&f);
    cm_dataset *ds = NULL;
    cm_error err = {0};
    cm_arena *arena = NULL;
    cm_string s[40] = {0};
    TAP_CALL(cm_arena_new(ctx, &arena, &err), &err);
    for (int i = 0; i < 40 * MIDDLE + LONG; i++)
        b.data[f.vars[0].begin + (size_t)i] = (uint8_t)('a' + i % 23);
    TAP_CALL(open_bytes(b.data, b.n, &ds, &err), &err);
    if (ds) {
        int wrong = 0;
        TAP_CALL(read_strings(array_of(ds, "names"), s, arena, &err), &err);
        for (int i = 0; i < 40; i++)
            wrong += s[i].nbytes != MIDDLE ||
                     memcmp(s[i].data, b.data + f.vars[0].begin + i * MIDDLE, MIDDLE) != 0;
        TAP_EQ(wrong, 0);
        TAP_CALL(read_strings(array_of(ds, "text"), s, arena, &err), &err);
        TAP_OK(s[0].nbytes == LONG && memcmp(s[0].data, b.data + f.vars[1].begin, LONG) == 0);
    }
    cm_dataset_free(ds);
    cm_arena_free(arena);
    free(b.data);
}

/* ---- records --------------------------------------------------------------------------------- */

/* Variables of 3 bytes a record: packed when there is one, padded when there are two. */
static void single_record_variable(void)
{
    for (uint32_t type = 1; type <= 8; type += type == 3 ? 4 : 1)
        for (int n = 1; n <= 2; n++) {
            w_file f = {.version = 5, .numrecs = 4};
            int dims[] = {w_dim(&f, "t", 0), w_dim(&f, "x", 3)};
            w_add(&f, "a", type == 2 ? 1 : type, 2, dims);
            if (n == 2)
                w_add(&f, "b", 1, 2, dims);
            cm_dataset *ds = NULL;
            cm_error err = {0};
            TAP_CALL(open_file(&f, &ds, &err), &err);
            TAP_EQ(f.record_nbytes % 4 == 0, n == 2);
            uint64_t s = type;
            for (int k = 0; k < 10 && ds; k++)
                check_region(&f, 0, array_of(ds, "a"), &s);
            cm_dataset_free(ds);
        }
}

static int64_t records_seen(const void *data, size_t n)
{
    cm_dataset *ds = NULL;
    cm_error err = {0};
    TAP_CALL(open_bytes(data, n, &ds, &err), &err);
    int64_t seen = ds ? cm_group_dimension(cm_dataset_root(ds), 0)->length : -1;
    cm_dataset_free(ds);
    return seen;
}

static void streaming(void)
{
    for (int version = 1; version <= 5; version += version == 2 ? 3 : 1) {
        w_file f = {.version = version, .numrecs = 5, .streaming = true};
        int dims[] = {w_dim(&f, "t", 0), w_dim(&f, "x", 3)};
        w_add(&f, "a", 4, 2, dims);
        w_add(&f, "b", 1, 2, dims);
        w_bytes b = w_write(&f);
        TAP_EQ(records_seen(b.data, b.n), 5);
        TAP_EQ(records_seen(b.data, b.n - 1), 5); /* only padding is missing */
        TAP_EQ(records_seen(b.data, b.n - 2), 4); /* a cell is */
        TAP_EQ(records_seen(b.data, b.n - f.record_nbytes), 4);
        TAP_EQ(records_seen(b.data, f.header_nbytes), 0);
        free(b.data);
    }
}

static void truncated(void)
{
    w_file f = {.version = 2, .numrecs = 4};
    int dims[] = {w_dim(&f, "t", 0), w_dim(&f, "x", 8)};
    w_add(&f, "fixed", 4, 1, dims + 1);
    w_add(&f, "a", 4, 2, dims);
    w_bytes b = w_write(&f);
    cm_dataset *ds = NULL;
    cm_error err = {0};
    int32_t cells[32];
    int64_t start[] = {0, 0}, count[] = {2, 8};
    TAP_CALL(open_bytes(b.data, b.n - 2 * f.record_nbytes + 4, &ds, &err), &err);
    if (ds) {
        cm_array *a = array_of(ds, "a");
        TAP_CALL(cm_array_read(ctx, a, start, count, cells, NULL, NULL, &err), &err);
        TAP_EQ((uint32_t)cells[15], w_cell(4, 1, 1, 7));
        count[0] = count[1] = 1;
        start[0] = 2;
        TAP_CALL(cm_array_read(ctx, a, start, count, cells, NULL, NULL, &err), &err);
        start[1] = 1;
        TAP_EQ(cm_array_read(ctx, a, start, count, cells, NULL, NULL, &err), CM_EDATA);
        TAP_STR(err.object, "memory://f.nc");
        TAP_STR(err.variable, "/a");
        start[0] = 0, start[1] = 0, count[0] = 4, count[1] = 8;
        TAP_EQ(cm_array_read(ctx, a, start, count, cells, NULL, NULL, &err), CM_EDATA);
    }
    cm_dataset_free(ds);
    free(b.data);
}

/* ---- beyond 4 GiB ---------------------------------------------------------------------------- */

typedef struct plant {
    int64_t index[3];
    uint64_t value;
} plant;

/* A sparse file of f's header with big-endian values planted into variable var. */
static void check_sparse(const char *name, w_file *f, int var, const plant *plants, int nplants,
                         uint64_t file_nbytes)
{
    f->leave_out_data = true;
    w_bytes b = w_write(f);
    w_var *v = &f->vars[var];
    int size = (int)w_type_size(v->type);
    char path[300];
    snprintf(path, sizeof path, "%s/%s", scratch, name);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    TAP_OK(fd >= 0 && pwrite(fd, b.data, b.n, 0) == (ssize_t)b.n);
    for (int i = 0; i < nplants; i++) {
        uint64_t at = 0;
        w_bytes cell = {0};
        bool record = w_is_record(f, v);
        for (int k = record ? 1 : 0; k < v->ndim; k++)
            at = at * f->dims[v->dimids[k]] + (uint64_t)plants[i].index[k];
        at = v->begin + at * (uint64_t)size +
             (record ? (uint64_t)plants[i].index[0] * f->record_nbytes : 0);
        w_be(&cell, plants[i].value, size);
        TAP_EQ(pwrite(fd, cell.data, (size_t)size, (off_t)at), size);
        free(cell.data);
    }
    TAP_EQ(ftruncate(fd, (off_t)file_nbytes), 0);
    close(fd);

    cm_store *store = NULL;
    cm_dataset *ds = NULL;
    cm_error err = {0};
    TAP_CALL(cm_store_open_local(ctx, scratch, CM_DURABLE_NONE, &store, &err), &err);
    TAP_CALL(cm_netcdf3_open(ctx, store, name, path, &ds, &err), &err);
    for (int i = 0; i < nplants && ds; i++) {
        uint64_t cell = 0;
        int64_t one[] = {1, 1, 1};
        TAP_CALL(cm_array_read(ctx, array_of(ds, v->name), plants[i].index, one, &cell, NULL, NULL,
                               &err),
                 &err);
        TAP_EQ(cell, plants[i].value);
    }
    cm_dataset_free(ds);
    cm_store_unref(store);
    unlink(path);
    free(b.data);
}

static void beyond_4_gib(void)
{
    static const plant fixed[] = {{{0, 0, 0}, 0x0102},
                                  {{7, 4, 9}, 0x0304},
                                  {{69999, 39999, 0}, 0xfffe},
                                  {{34567, 12345, 0}, 0x8001}};
    w_file f = {.version = 2};
    int dims[] = {w_dim(&f, "y", 70000), w_dim(&f, "x", 40000)};
    w_add(&f, "small", 4, 1, dims + 1);
    w_add(&f, "big", 3, 2, dims)->vsize = UINT32_MAX; /* 5.6 GB, the last fixed variable */
    check_sparse("fixed.nc", &f, 1, fixed, 4, 6000000000u);

    static const plant records[] = {{{0, 0, 0}, 11}, {{999999, 2, 0}, 12}, {{1500000, 999, 0}, 13}};
    w_file g = {.version = 2, .numrecs = 1500001};
    int rdims[] = {w_dim(&g, "t", 0), w_dim(&g, "x", 1000)};
    w_add(&g, "t", 6, 1, rdims);
    w_add(&g, "a", 4, 2, rdims);
    w_add(&g, "b", 1, 2, rdims);
    check_sparse("records.nc", &g, 1, records, 3, 1500001ull * 5008 + 4096); /* 7.5 GB */

    static const plant slabs[] = {
        {{0, 0, 0}, 0x5}, {{0, 69999, 70000}, 0x7f}, {{2, 69999, 70000}, 0x41}, {{1, 3, 1}, 0x42}};
    w_file h = {.version = 5, .numrecs = 3};
    int sdims[] = {w_dim(&h, "t", 0), w_dim(&h, "y", 70000), w_dim(&h, "x", 70001)};
    w_add(&h, "first", 3, 1, sdims);
    w_add(&h, "slab", 7, 3, sdims); /* 4.9 GB a record */
    check_sparse("slabs.nc", &h, 1, slabs, 4, 3 * 4900070004ull + 4096);
}

/* ---- hostile files --------------------------------------------------------------------------- */

static void refuse(w_file *f, int code, const char *text)
{
    cm_dataset *ds = NULL;
    cm_error err = {0};
    int ret = open_file(f, &ds, &err);
    if (ret != code || !strstr(err.message, text)) {
        TAP_EQ(ret, code);
        printf("# message: %s, want: %s\n", err.message, text);
        tap_failed_here++;
    }
    cm_dataset_free(ds);
}

/* A sane file to spoil: two dimensions (t, x), a fixed and two record variables. */
static w_file sane(void)
{
    w_file f = {.version = 2, .numrecs = 3};
    int dims[] = {w_dim(&f, "t", 0), w_dim(&f, "x", 6)};
    w_add(&f, "fixed", 4, 1, dims + 1);
    w_add(&f, "a", 3, 2, dims);
    w_add(&f, "b", 1, 2, dims);
    w_attribute(f.attrs, &f.nattrs, "title", 2, 5, "hello");
    return f;
}

static void refused(void)
{
    w_file f = sane();
    f.dims[1] = 0;
    refuse(&f, CM_EDATA, "two unlimited dimensions, t and x");
    f = sane();
    f.vars[1].dimids[0] = 1, f.vars[1].dimids[1] = 0;
    refuse(&f, CM_EDATA, "can only be the first");
    f = sane();
    f.vars[1].dimids[1] = 2;
    refuse(&f, CM_EDATA, "no dimension number 2");
    f = sane();
    strcpy(f.vars[2].name, "a");
    refuse(&f, CM_EDATA, "two variables are called a");
    f = sane();
    strcpy(f.dim_names[1], "t");
    refuse(&f, CM_EDATA, "two dimensions are called t");
    f = sane();
    w_attribute(f.attrs, &f.nattrs, "title", 4, 1, "abcd");
    refuse(&f, CM_EDATA, "called title");
    f = sane();
    f.vars[0].type = 7; /* NC_UBYTE exists in CDF-5 only */
    refuse(&f, CM_EDATA, "7 is not a type of CDF-2");
    f = sane();
    f.vars[0].name[0] = 0;
    refuse(&f, CM_EDATA, "empty name");
    f = sane();
    f.version = 3;
    refuse(&f, CM_EUNSUP, "CDF version 3");
    f = sane();
    f.vars[0].force_begin = 20;
    refuse(&f, CM_EDATA, "variable fixed lies in the header");
    f = sane();
    w_layout(&f);
    f.vars[2].force_begin = (int64_t)f.vars[1].begin + 11;
    refuse(&f, CM_EDATA, "lie over each other");
    f = sane();
    w_layout(&f);
    f.vars[0].force_begin = (int64_t)(f.vars[1].begin + f.record_nbytes);
    refuse(&f, CM_EDATA, "lie over each other");
    f = sane();
    w_layout(&f);
    f.vars[2].force_begin = (int64_t)(f.vars[1].begin + 2 * f.record_nbytes);
    refuse(&f, CM_EDATA, "lie over each other");
    f = sane();
    f.vars[1].force_begin = INT64_MAX - 10;
    refuse(&f, CM_EDATA, "beyond 2^63");
    f = sane();
    f.attrs[0].nelem = 1u << 31;
    refuse(&f, CM_EDATA, "cannot fit into the file");
    f = sane();
    f.version = 5;
    f.attrs[0].nelem = UINT64_MAX / 2;
    refuse(&f, CM_EDATA, "cannot fit into the file");
    f = sane();
    f.version = 5, f.dims[1] = 1ull << 62;
    f.leave_out_data = true;
    refuse(&f, CM_EDATA, "larger than 2^63");
    f = sane();
    f.version = 5, f.numrecs = 1ull << 62;
    f.leave_out_data = true;
    refuse(&f, CM_EDATA, "beyond 2^63");
    f = sane();
    f.version = 5, f.numrecs = UINT64_MAX - 1;
    f.leave_out_data = true;
    refuse(&f, CM_EDATA, "number of records");
}

static void too_many_dimensions(void)
{
    w_file f = {.version = 1};
    int d = w_dim(&f, "x", 1);
    w_add(&f, "good", 4, 1, &d);
    f.leave_out_data = true;
    w_bytes b = w_write(&f);
    /* Splice in a variable of 33 dimensions by hand: the list of variables ends the header. */
    w_bytes c = {0};
    w_put(&c, b.data, b.n);
    c.data[43] = 2; /* the count of variables, checked below */
    TAP_EQ(b.data[43], 1);
    w_name(&c, &f, "many");
    w_be(&c, 33, 4);
    for (int i = 0; i < 33; i++)
        w_be(&c, 0, 4);
    w_be(&c, 0, 4), w_be(&c, 0, 4), w_be(&c, 4, 4), w_be(&c, 4, 4), w_be(&c, 1000, 4);
    uint8_t *good = c.data + f.header_nbytes - 4;
    memcpy(good, "\0\0\4\0", 4); /* offset 1024 */
    cm_dataset *ds = NULL;
    cm_error err = {0};
    TAP_CALL(open_bytes(c.data, c.n, &ds, &err), &err);
    cm_variable *v = ds ? cm_group_find_variable(cm_dataset_root(ds), "many") : NULL;
    if (TAP_OK(v && cm_variable_problem(v))) {
        TAP_EQ(cm_variable_problem(v)->code, CM_EUNSUP);
        TAP_STR(cm_variable_problem(v)->variable, "/many");
        TAP_OK(strstr(cm_variable_problem(v)->message, "33 dimensions") != NULL);
    }
    TAP_OK(ds && array_of(ds, "good"));
    cm_dataset_free(ds);
    free(b.data);
    free(c.data);
}

static void prefixes(void)
{
    for (int version = 1; version <= 5; version += version == 2 ? 3 : 1) {
        w_file f = sane();
        f.version = version;
        w_bytes b = w_write(&f);
        for (size_t n = 0; n < f.header_nbytes; n++) {
            cm_dataset *ds = NULL;
            cm_error err = {0};
            TAP_EQ(open_bytes(b.data, n, &ds, &err), CM_EDATA);
            TAP_OK(err.message[0] && ds == NULL);
        }
        free(b.data);
    }
}

/* Whatever a header says, opening and reading end with a result or an error. */
static void spoiled_bytes(void)
{
    uint64_t s = tap_seed();
    int opened = 0;
    for (int round = 0; round < 3000; round++) {
        w_file f;
        random_file(&f, round, &s);
        w_bytes b = w_write(&f);
        for (uint64_t k = 1 + tap_random(&s) % 3; k > 0; k--)
            b.data[tap_random(&s) % f.header_nbytes] =
                tap_random(&s) % 2 ? (uint8_t)tap_random(&s) : (tap_random(&s) % 2 ? 0xff : 0);
        cm_dataset *ds = NULL;
        cm_error err = {0};
        int ret = open_bytes(b.data, b.n, &ds, &err);
        TAP_OK((ret == 0) == (ds != NULL) && (ret != 0) == (err.message[0] != 0));
        opened += ret == 0;
        for (size_t i = 0; ds && i < cm_group_nvariables(cm_dataset_root(ds)); i++) {
            cm_array *a = cm_variable_array(cm_group_variable(cm_dataset_root(ds), i));
            int64_t n = a ? cm_shape_nelem(cm_array_ndim(a), cm_array_shape(a)) : -1;
            if (n <= 0 || n > 100000)
                continue;
            int64_t zero[CM_MAX_DIMS] = {0};
            cm_arena *arena = NULL;
            void *buf = malloc((size_t)n * cm_array_dtype(a).size);
            TAP_CALL(cm_arena_new(ctx, &arena, &err), &err);
            ret = cm_array_read(ctx, a, zero, cm_array_shape(a), buf, NULL, arena, &err);
            TAP_OK(ret == 0 || err.message[0]);
            cm_arena_free(arena);
            free(buf);
        }
        cm_dataset_free(ds);
        free(b.data);
    }
    printf("# %d of 3000 spoiled files opened\n", opened);
    TAP_OK(opened > 100 && opened < 2900);
}

/* Every allocation on the way fails once. */
static void out_of_memory(void)
{
    w_file f = sane();
    int dims[] = {0, w_dim(&f, "len", 5)};
    w_add(&f, "names", 2, 2, dims);
    w_bytes b = w_write(&f);
    cm_store *store = NULL;
    cm_error err = {0};
    TAP_CALL(cm_store_new_memory(ctx, &store, &err), &err);
    TAP_CALL(store->vt->put(store, "f", &(cm_iov){b.data, b.n}, 1, 0, &err), &err);
    bool fired = true;
    int64_t n = 0;
    for (; fired && !tap_failed_here; n++) {
        cm_dataset *ds = NULL;
        cm_arena *arena = NULL;
        cm_string s[3];
        cm_error_clear(&err);
        fault_malloc_at(n);
        int ret = cm_netcdf3_open(ctx, store, "f", "f", &ds, &err);
        if (ret == 0)
            ret = cm_arena_new(ctx, &arena, &err);
        if (ret == 0)
            ret = read_strings(array_of(ds, "names"), s, arena, &err);
        fired = fault_end();
        TAP_EQ(ret, fired ? CM_ENOMEM : 0);
        TAP_EQ(err.code, ret);
        cm_arena_free(arena);
        cm_dataset_free(ds);
    }
    TAP_OK(n > 50);
    cm_store_unref(store);
    free(b.data);
}

int main(void)
{
    cm_error err = {0};
    cm_context_options options;
    cm_context_options_init(&options);
    options.threads = 2;
    options.max_memory = 256u << 20;
    TAP_CALL(cm_context_new(&options, &ctx, &err), &err);
    if (!ctx || !scratch_make(scratch, sizeof scratch))
        return 1;
    TAP_RUN(random_files);
    TAP_RUN(types);
    TAP_RUN(attributes);
    TAP_RUN(fill_value);
    TAP_RUN(characters);
    TAP_RUN(long_strings);
    TAP_RUN(single_record_variable);
    TAP_RUN(streaming);
    TAP_RUN(truncated);
    TAP_RUN(beyond_4_gib);
    TAP_RUN(refused);
    TAP_RUN(too_many_dimensions);
    TAP_RUN(prefixes);
    TAP_RUN(spoiled_bytes);
    TAP_RUN(out_of_memory);
    rmdir(scratch);
    cm_context_free(ctx);
    return tap_done();
}
