/* Joining datasets: order, times, what must be equal, what may differ; against the naive answer. */
#include <math.h>

#include "chunkmill/join.h"
#include "faults.h"
#include "memory_dataset.h"

static cm_context *ctx;
static char logged[8192];

static void keep_log(void *user, cm_log_level level, const char *line)
{
    (void)user;
    size_t n = strlen(logged);
    if (level <= CM_LOG_WARNING)
        snprintf(logged + n, sizeof logged - n, "%s\n", line);
}

/* A file as models write them: n times from `first`, lat fixed, tas(time, lat), bounds. */
typedef struct daily {
    const char *uri, *units, *calendar;
    cm_kind kind; /* of time */
    int n;
    double first, step;
    int64_t chunk;
    const char *name; /* of the variable; NULL: tas; that of others has other values */
} daily;

enum { NLAT = 3 };

static void put(cm_kind kind, void *cells, size_t i, double v)
{
    if (kind == CM_INT32)
        ((int32_t *)cells)[i] = (int32_t)v;
    else if (kind == CM_INT64)
        ((int64_t *)cells)[i] = (int64_t)v;
    else if (kind == CM_FLOAT32)
        ((float *)cells)[i] = (float)v;
    else
        ((double *)cells)[i] = v;
}

static double tas_at(double time, int lat)
{
    return time * 10 + lat;
}

static cm_dataset *make(daily d)
{
    cm_dataset *ds = mem_file(ctx, d.uri);
    size_t n = (size_t)d.n;
    double *time = calloc(n + 1, 8), *bnds = calloc(2 * n + 1, 8), lat[NLAT] = {-10, 0, 10.5};
    float *tas = calloc(n * NLAT + 1, 4);
    cm_kind kind = d.kind ? d.kind : CM_FLOAT64;
    for (int i = 0; i < d.n; i++) {
        double t = d.first + d.step * i;
        put(kind, time, (size_t)i, t);
        put(kind, bnds, 2 * (size_t)i, t);
        put(kind, bnds, 2 * (size_t)i + 1, t + d.step);
        for (int k = 0; k < NLAT; k++)
            tas[i * NLAT + k] = (float)tas_at(t, k) + (d.name ? 5000 : 0);
    }
    mem_dim(ds->root, "time", d.n, true);
    mem_dim(ds->root, "lat", NLAT, false);
    mem_dim(ds->root, "bnds", 2, false);
    cm_variable *v = mem_var(ds->root, "time", "time", kind, time, d.chunk);
    if (d.units)
        mem_text(v, "units", d.units);
    if (d.calendar)
        mem_text(v, "calendar", d.calendar);
    mem_text(v, "bounds", "time_bnds");
    mem_var(ds->root, "time_bnds", "time bnds", kind, bnds, d.chunk);
    v = mem_var(ds->root, "lat", "lat", CM_FLOAT64, lat, 0);
    mem_text(v, "units", "degrees_north");
    v = mem_var(ds->root, d.name ? d.name : "tas", "time lat", CM_FLOAT32, tas, d.chunk);
    mem_text(v, "units", "K");
    free(time);
    free(bnds);
    free(tas);
    return ds;
}

static void drop(cm_dataset **files, size_t n)
{
    for (size_t i = 0; i < n; i++)
        cm_dataset_free(files[i]);
}

/* Join, expect a refusal, free the files. The message must have `want` in it, and name a file. */
static void refused(cm_dataset **files, size_t n, const char *concat, int code, const char *want)
{
    cm_join_options o;
    cm_dataset *out = NULL;
    cm_error err = {0};
    char line[2048];
    cm_join_options_init(&o);
    o.concat = concat;
    TAP_EQ(cm_dataset_join(ctx, files, n, &o, &out, &err), code);
    cm_error_line(&err, line, sizeof line);
    if (!TAP_OK(strstr(line, want)) || !TAP_OK(strstr(line, ".nc")))
        printf("# %s\n", line);
    cm_dataset_free(out);
    drop(files, n);
}

static cm_dataset *joined(cm_dataset **files, size_t n, const char *concat, bool static_first)
{
    cm_join_options o;
    cm_dataset *out = NULL;
    cm_error err;
    cm_join_options_init(&o);
    o.concat = concat;
    o.static_first = static_first;
    logged[0] = 0;
    TAP_CALL(cm_dataset_join(ctx, files, n, &o, &out, &err), &err);
    drop(files, n); /* the result keeps what it needs */
    return out;
}

static void check_times(cm_dataset *ds, const double *want, size_t n)
{
    double *have = mem_doubles(ctx, ds, "/time", n);
    for (size_t i = 0; i < n; i++)
        if (have[i] != want[i]) {
            printf("# time[%zu] = %.17g, want %.17g\n", i, have[i], want[i]);
            TAP_EQ(have[i] != want[i], 0);
        }
    free(have);
}

static void order_is_by_value(void)
{
    static const int given[] = {1, 10, 11, 12, 2, 3, 4, 5, 6, 7, 8, 9}; /* as `ls` lists them */
    cm_dataset *files[12];
    char uri[12][16];
    for (int i = 0; i < 12; i++) {
        snprintf(uri[i], sizeof uri[i], "day-%d.nc", given[i]);
        files[i] = make((daily){.uri = uri[i],
                                .units = "days since 2000-01-01",
                                .n = 4,
                                .first = given[i],
                                .step = 0.25,
                                .chunk = i % 3 + 1});
    }
    cm_dataset *ds = joined(files, 12, NULL, false);
    double *t = mem_doubles(ctx, ds, "/time", 48), *tas = mem_doubles(ctx, ds, "/tas", 48 * NLAT);
    int bad = 0;
    for (int i = 0; i < 48; i++) {
        bad += t[i] != 1 + 0.25 * i;
        for (int k = 0; k < NLAT; k++)
            bad += tas[i * NLAT + k] != tas_at(1 + 0.25 * i, k);
    }
    TAP_EQ(bad, 0);
    TAP_STR(logged, "");
    TAP_STR(cm_dataset_format(ds), "joined");
    TAP_EQ(cm_group_scope_dimension(ds->root, "time")->length, 48);
    TAP_OK(cm_group_scope_dimension(ds->root, "time")->unlimited);
    free(t);
    free(tas);
    cm_dataset_free(ds);
}

static void reference_dates_differ(void)
{
    cm_dataset *f[3] = {
        make((daily){"c.nc", "hours since 2000-01-03 12:00", "standard", CM_INT64, 2, 12, 24, 0}),
        make((daily){"a.nc", "days since 2000-01-01", "gregorian", CM_INT64, 2, 0, 1, 0}),
        make((daily){"b.nc", "days since 2000-01-03", NULL, CM_INT64, 1, 0, 1, 0})};
    cm_dataset *ds = joined(f, 3, NULL, false);
    check_times(ds, (double[]){0, 1, 2, 3, 4}, 5);
    double *b = mem_doubles(ctx, ds, "/time_bnds", 10);
    for (int i = 0; i < 5; i++) {
        TAP_EQ(b[2 * i], i);
        TAP_EQ(b[2 * i + 1], i + 1);
    }
    free(b);
    cm_variable *v = cm_group_find_variable(ds->root, "time");
    TAP_STR(cm_json_string(cm_variable_attribute_named(v, "units")->value),
            "days since 2000-01-01");
    cm_dataset_free(ds);

    /* floats: one day is exactly representable, a third of one is rounded once */
    cm_dataset *g[2] = {
        make((daily){"a.nc", "days since 2000-01-01", "noleap", CM_FLOAT64, 2, 0, 1, 0}),
        make((daily){"b.nc", "hours since 2000-02-01", "noleap", CM_FLOAT64, 3, 0, 8, 0})};
    ds = joined(g, 2, NULL, false);
    check_times(ds, (double[]){0, 1, 31, (31 * 24 + 8) / 24.0, (31 * 24 + 16) / 24.0}, 5);
    cm_dataset_free(ds);

    cm_dataset *h[2] = {
        make((daily){"a.nc", "days since 2000-01-01", NULL, CM_INT32, 1, 0, 1, 0}),
        make((daily){"b.nc", "hours since 2000-01-02", NULL, CM_INT32, 2, 0, 12, 0})};
    refused(h, 2, NULL, CM_EDATA,
            "12 hours since 2000-01-02T00:00:00 is no whole number in days "
            "since 2000-01-01T00:00:00");
    cm_dataset *i[2] = {
        make((daily){"a.nc", "days since 2000-01-01", NULL, CM_INT32, 1, 0, 1, 0}),
        make((daily){"b.nc", "days since 2000-01-01", "360_day", CM_INT32, 1, 5, 1, 0})};
    refused(i, 2, NULL, CM_EJOIN, "calendar is 360_day, but standard in a.nc");
    cm_dataset *j[2] = {make((daily){"a.nc", "months since 2000-01-01", NULL, 0, 1, 0, 1, 0}),
                        make((daily){"b.nc", "months since 2000-02-01", NULL, 0, 1, 0, 1, 0})};
    refused(j, 2, NULL, CM_EJOIN, "a month has no fixed length in the standard calendar");
    cm_dataset *k[2] = {make((daily){"a.nc", "months since 2000-01-01", NULL, 0, 1, 0, 1, 0}),
                        make((daily){"b.nc", "months since 2000-01-01", NULL, 0, 1, 1, 1, 0})};
    ds = joined(k, 2, NULL, false);
    check_times(ds, (double[]){0, 1}, 2);
    cm_dataset_free(ds);
}

static void overlaps_are_refused(void)
{
    const char *u = "days since 2000-01-01";
    cm_dataset *a[2] = {make((daily){"a.nc", u, NULL, 0, 3, 0, 1, 0}),
                        make((daily){"b.nc", u, NULL, 0, 3, 2, 1, 0})};
    refused(a, 2, NULL, CM_EJOIN, "the coordinate value 2000-01-03T00:00:00 is also in a.nc");
    cm_dataset *b[2] = {make((daily){"a.nc", u, NULL, 0, 3, 0, 1, 0}),
                        make((daily){"b.nc", u, NULL, 0, 3, 0.5, 1, 0})};
    refused(b, 2, NULL, CM_EJOIN, "begins at 2000-01-01T12:00:00, inside of a.nc");
    cm_dataset *same[2] = {make((daily){"a.nc", u, NULL, 0, 3, 0, 1, 0}),
                           make((daily){"b.nc", u, NULL, 0, 2, 0, 1, 0})};
    refused(same, 2, NULL, CM_EJOIN, "the coordinate value 2000-01-01T00:00:00 is also in");
    cm_dataset *c[2] = {make((daily){"a.nc", u, NULL, 0, 3, 0, 1, 0}),
                        make((daily){"b.nc", u, NULL, 0, 3, 9, 0, 0})};
    refused(c, 2, NULL, CM_EJOIN, "not monotonic");
    cm_dataset *d[2] = {make((daily){"a.nc", u, NULL, 0, 3, 0, 1, 0}),
                        make((daily){"b.nc", u, NULL, 0, 3, 9, -1, 0})};
    refused(d, 2, NULL, CM_EJOIN, "descending, but ascending in a.nc");
    cm_dataset *e[2] = {make((daily){"a.nc", u, NULL, 0, 3, NAN, 1, 0}),
                        make((daily){"b.nc", u, NULL, 0, 3, 9, 1, 0})};
    refused(e, 2, NULL, CM_EJOIN, "no valid value at index 0");
    cm_dataset *f[2] = {make((daily){"a.nc", u, NULL, 0, 3, 2, -1, 0}),
                        make((daily){"b.nc", u, NULL, 0, 3, 9, -1, 0})};
    cm_dataset *ds = joined(f, 2, NULL, false);
    check_times(ds, (double[]){9, 8, 7, 2, 1, 0}, 6);
    cm_dataset_free(ds);
    cm_dataset *g[3] = {make((daily){"a.nc", u, NULL, 0, 0, 0, 1, 0}),
                        make((daily){"b.nc", u, NULL, 0, 2, 5, 1, 0}),
                        make((daily){"c.nc", u, NULL, 0, 1, 1, 1, 0})};
    ds = joined(g, 3, NULL, false);
    check_times(ds, (double[]){1, 5, 6}, 3);
    cm_dataset_free(ds);
}

/* Two files, b with something odd done to it. */
static void with_odd(void (*odd)(cm_dataset *), const char *want)
{
    const char *u = "days since 2000-01-01";
    cm_dataset *f[2] = {make((daily){"a.nc", u, NULL, 0, 2, 0, 1, 0}),
                        make((daily){"b.nc", u, NULL, 0, 2, 2, 1, 0})};
    odd(f[1]);
    refused(f, 2, NULL, CM_EJOIN, want);
    cm_dataset *g[2] = {make((daily){"b.nc", u, NULL, 0, 2, 2, 1, 0}),
                        make((daily){"a.nc", u, NULL, 0, 2, 0, 1, 0})};
    odd(g[1]);
    refused(g, 2, NULL, CM_EJOIN, ".nc");
}

static cm_variable *tas_of(cm_dataset *ds)
{
    return cm_group_find_variable(ds->root, "tas");
}

static void odd_scale(cm_dataset *ds)
{
    mem_number(tas_of(ds), "scale_factor", 0.5, CM_FLOAT64);
}
static void odd_fill(cm_dataset *ds)
{
    mem_number(tas_of(ds), "_FillValue", 1e20, CM_FLOAT32);
}
static void odd_units(cm_dataset *ds)
{
    mem_text(tas_of(ds), "units", "degC");
}
static void odd_surplus(cm_dataset *ds)
{
    mem_var(ds->root, "pr", "", CM_INT32, &(int32_t){1}, 0);
}
static void odd_dtype(cm_dataset *ds)
{
    double cells[2 * NLAT] = {0};
    cm_variable *v = tas_of(ds), *w = mem_var(ds->root, "x", "time lat", CM_FLOAT64, cells, 0);
    cm_variable_set_array(v, cm_array_ref(w->array));
}
static void odd_dimension(cm_dataset *ds)
{
    cm_error err;
    TAP_CALL(cm_variable_set_dimension(tas_of(ds), 1, "bnds", &err), &err);
}
static void odd_lat(cm_dataset *ds)
{
    double lat[NLAT] = {-10, 0, 10};
    cm_variable *v = cm_group_find_variable(ds->root, "lat");
    cm_dataset *other = mem_file(ctx, "x.nc");
    mem_dim(other->root, "lat", NLAT, false);
    cm_variable_set_array(
        v, cm_array_ref(mem_var(other->root, "lat", "lat", CM_FLOAT64, lat, 0)->array));
    cm_dataset_free(other);
}
static void odd_problem(cm_dataset *ds)
{
    cm_error err, why = {.code = CM_EUNSUP, .message = "szip"};
    TAP_CALL(cm_variable_set_problem(tas_of(ds), &why, &err), &err);
}

static void differences_are_refused(void)
{
    with_odd(odd_scale, "b.nc: /tas: scale_factor is 0.5, but not there in a.nc (--unpack");
    with_odd(odd_fill, "_FillValue is 1e+20, but not there in a.nc");
    with_odd(odd_units, "units are 'degC', but 'K' in a.nc");
    with_odd(odd_surplus, "a.nc: /pr: the variable is missing, but is in b.nc (leave it out with "
                          "--skip pr");
    with_odd(odd_dtype, "dtype is float64, but float32 in a.nc");
    with_odd(odd_dimension, "dimension 1 is called bnds, but lat in a.nc");
    with_odd(odd_lat, "b.nc: /lat: the values differ from those in a.nc");
    const char *u = "days since 2000-01-01";
    cm_dataset *f[2] = {make((daily){"a.nc", u, NULL, 0, 2, 0, 1, 0}),
                        make((daily){"b.nc", u, NULL, 0, 2, 2, 1, 0})};
    odd_problem(f[1]);
    refused(f, 2, NULL, CM_EUNSUP, "b.nc: /tas: szip (leave it out with --skip tas)");
    cm_dataset *g[2] = {make((daily){"a.nc", u, NULL, 0, 2, 0, 1, 0}),
                        make((daily){"b.nc", u, NULL, 0, 2, 2, 1, 0})};
    refused(g, 2, "tiem", CM_EINVAL, "did you mean time?");
    cm_dataset *h[2] = {make((daily){"a.nc", u, NULL, 0, 2, 0, 1, 0}),
                        make((daily){"b.nc", u, NULL, 0, 2, 2, 1, 0})};
    odd_lat(h[1]);
    cm_dataset *ds = joined(h, 2, NULL, true);
    double *lat = mem_doubles(ctx, ds, "/lat", NLAT);
    TAP_OK(lat[2] == 10.5);
    free(lat);
    cm_dataset_free(ds);
}

static void attributes_may_differ(void)
{
    cm_dataset *f[3];
    static const char *const uris[] = {"a.nc", "b.nc", "c.nc"};
    for (int i = 0; i < 3; i++) {
        f[i] = make((daily){uris[i], "days since 2000-01-01", NULL, 0, 1, i, 1, 0});
        mem_global(f[i], "history", uris[i]);
        mem_text(tas_of(f[i]), "long_name", "air");
    }
    mem_text(tas_of(f[2]), "comment", "odd");
    cm_dataset *ds = joined(f, 3, NULL, false);
    TAP_STR(cm_json_string(cm_group_attribute_named(ds->root, "history")->value), "a.nc");
    TAP_OK(strstr(logged, "/: attribute history differs in 2 of 3 files"));
    TAP_OK(strstr(logged, "/tas: attribute comment differs in 1 of 3 files"));
    TAP_OK(!strstr(logged, "long_name"));
    cm_dataset_free(ds);
}

/* Which dimension, when nobody says: lengths or values that differ. */
static void dimension_is_found(void)
{
    cm_dataset *f[2];
    for (int i = 0; i < 2; i++) { /* equal lengths, equal numbers, other days; no unlimited */
        int32_t hours[2] = {0, 12};
        double lat[2] = {1, 2};
        f[i] = mem_file(ctx, i ? "b.nc" : "a.nc");
        mem_dim(f[i]->root, "lat", 2, false);
        mem_dim(f[i]->root, "time", 2, false);
        mem_var(f[i]->root, "lat", "lat", CM_FLOAT64, lat, 0);
        cm_variable *v = mem_var(f[i]->root, "time", "time", CM_INT32, hours, 0);
        mem_text(v, "units", i ? "hours since 2001-01-02" : "hours since 2001-01-01");
    }
    cm_dataset *ds = joined(f, 2, NULL, false);
    check_times(ds, (double[]){0, 12, 24, 36}, 4);
    cm_dataset_free(ds);

    cm_dataset *g[2];
    for (int i = 0; i < 2; i++) { /* no coordinates at all */
        int32_t cells[6] = {0, 1, 2, 3, 4, 5};
        g[i] = mem_file(ctx, i ? "a.nc" : "b.nc");
        mem_dim(g[i]->root, "x", i + 2, false);
        mem_dim(g[i]->root, "y", 2, false);
        mem_var(g[i]->root, "v", "y x", CM_INT32, cells, 0);
    }
    ds = joined(g, 2, NULL, false);
    TAP_OK(strstr(logged, "x has no numeric coordinate variable"));
    double *v = mem_doubles(ctx, ds, "/v", 10);
    static const double want[10] = {0, 1, 0, 1, 2, 2, 3, 3, 4, 5};
    TAP_OK(memcmp(v, want, sizeof want) == 0);
    free(v);
    cm_dataset_free(ds);

    cm_dataset *h[2] = {make((daily){"a.nc", NULL, NULL, 0, 2, 0, 1, 0}),
                        make((daily){"b.nc", NULL, NULL, 0, 2, 0, 1, 0})};
    for (int i = 0; i < 2; i++)
        h[i]->root->dimensions[0].unlimited = false;
    refused(h, 2, NULL, CM_EJOIN, "no dimension along which the files differ");
}

static void ten_thousand_files(void)
{
    enum { N = 10000 };
    static cm_dataset *files[N];
    for (int i = 0; i < N; i++)
        files[i] = make((daily){"x.nc", "days since 2000-01-01", NULL, 0, 1, (i * 7919) % N, 1, 0});
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    cm_dataset *ds = joined(files, N, NULL, false);
    clock_gettime(CLOCK_MONOTONIC, &b);
    printf("# %d files in %.2f s\n", N,
           (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec));
    double *t = mem_doubles(ctx, ds, "/time", N);
    int bad = 0;
    for (int i = 0; i < N; i++)
        bad += t[i] != i;
    TAP_EQ(bad, 0);
    free(t);
    cm_dataset_free(ds);
}

/* Random cuts of one record into files of random chunking, shuffled, with random references. */
static void random_files(void)
{
    uint64_t seed = tap_seed();
    for (int round = 0; round < 60; round++) {
        enum { MAX = 20 };
        cm_dataset *files[MAX];
        static char uris[MAX][16], units[MAX][40];
        size_t n = 1 + tap_random(&seed) % MAX;
        int64_t at = 0, first = 0;
        for (size_t i = 0; i < n; i++) {
            int length = (int)(tap_random(&seed) % 5);
            int reference = (int)(tap_random(&seed) % 28);
            snprintf(uris[i], sizeof uris[i], "f%zu.nc", i);
            snprintf(units[i], sizeof units[i], "days since 2001-01-%02d", reference + 1);
            if (at == 0)
                first = reference;
            files[i] =
                make((daily){uris[i], units[i], "360_day", CM_INT64, length,
                             (double)(at - reference), 1, 1 + (int64_t)(tap_random(&seed) % 4)});
            at += length;
        }
        for (size_t i = n - 1; i > 0; i--) {
            size_t k = tap_random(&seed) % (i + 1);
            cm_dataset *x = files[i];
            files[i] = files[k];
            files[k] = x;
        }
        cm_dataset *ds = joined(files, n, "time", false);
        double *t = mem_doubles(ctx, ds, "/time", (size_t)at);
        int bad = 0;
        for (int64_t i = 0; i < at; i++)
            bad += t[i] != (double)(i - first);
        TAP_EQ(bad, 0);
        free(t);
        cm_dataset_free(ds);
    }
}

/* Groups that use the root's time, and one that declares its own. */
static void groups_join_too(void)
{
    cm_dataset *f[2];
    for (int i = 0; i < 2; i++) {
        cm_error err;
        cm_group *g, *h;
        int32_t cells[3] = {10 * i, 10 * i + 1, 10 * i + 2};
        f[i] = make(
            (daily){i ? "a.nc" : "b.nc", "days since 2000-01-01", NULL, 0, 2, 5 - 5 * i, 1, 0});
        TAP_CALL(cm_group_add_group(f[i]->root, "g", &g, &err), &err);
        mem_var(g, "w", "time", CM_INT32, cells, 0);
        TAP_CALL(cm_group_add_group(f[i]->root, "h", &h, &err), &err);
        mem_dim(h, "time", 3, false);
        int32_t own[3] = {100 - 50 * i, 101 - 50 * i, 102 - 50 * i};
        mem_var(h, "time", "time", CM_INT32, own, 0);
        mem_var(h, "x", "time", CM_INT32, cells, 0);
    }
    cm_dataset *ds = joined(f, 2, NULL, false);
    double *w = mem_doubles(ctx, ds, "/g/w", 4), *x = mem_doubles(ctx, ds, "/h/x", 6),
           *t = mem_doubles(ctx, ds, "/h/time", 6);
    TAP_OK(w[0] == 10 && w[1] == 11 && w[2] == 0 && w[3] == 1);
    TAP_OK(x[0] == 10 && x[2] == 12 && x[3] == 0 && x[5] == 2);
    TAP_OK(t[0] == 50 && t[2] == 52 && t[3] == 100 && t[5] == 102);
    TAP_EQ(cm_group_find(ds->root, "h")->dimensions[0].length, 6);
    free(w);
    free(x);
    free(t);
    cm_dataset_free(ds);
}

/* Files that interleave, repeat each other and leave a hole. */
static void steps_are_cut(void)
{
    const char *u = "days since 2000-01-01";
    cm_join_options o;
    cm_join_options_init(&o);
    o.unsorted = CM_UNSORTED_SORT;
    o.duplicates = CM_DUPLICATES_LAST;
    o.gaps = CM_GAPS_FILL;
    for (int64_t n = -1;; n++) {
        cm_dataset *out = NULL;
        cm_error err = {0};
        cm_dataset *f[3] = {make((daily){"a.nc", u, NULL, CM_INT64, 3, 0, 2, 1}),
                            make((daily){"b.nc", u, NULL, CM_INT64, 6, 1, 1, 2}),
                            make((daily){"c.nc", u, NULL, CM_INT64, 2, 9, 1, 0})};
        logged[0] = 0;
        if (n >= 0)
            fault_malloc_at(n);
        int rc = cm_dataset_join(ctx, f, 3, &o, &out, &err);
        bool fired = n >= 0 && fault_end();
        drop(f, 3);
        TAP_EQ(rc, fired ? CM_ENOMEM : 0);
        if (rc == 0) {
            check_times(out, (double[]){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 11);
            double *tas = mem_doubles(ctx, out, "/tas", 11 * NLAT);
            for (int i = 0; i < 11; i++)
                for (int k = 0; k < NLAT; k++)
                    TAP_OK(i == 7 || i == 8 ? isnan(tas[i * NLAT + k])
                                            : tas[i * NLAT + k] == tas_at(i, k));
            free(tas);
            TAP_OK(strstr(logged, "2 duplicate steps are left out, the last one is kept: "
                                  "2000-01-03T00:00:00 of a.nc (that of b.nc is kept)"));
            TAP_OK(strstr(logged, "2 steps are missing and filled"));
            int64_t filled = 0;
            TAP_OK(cm_json_int64(cm_json_get(cm_dataset_join_report(out), "filled"), &filled));
            TAP_EQ(filled, 2);
        }
        cm_dataset_free(out);
        if (n >= 0 && !fired)
            break;
    }
}

/* A new dimension; its values from the names, as numbers and as texts. */
static void files_are_stacked(void)
{
    static const char *const coords[] = {"run=name:r([0-9]+)", "run=name:(r.*)-", NULL};
    const char *u = "days since 2000-01-01";
    cm_join_options o;
    cm_join_options_init(&o);
    o.stack = "run";
    for (size_t c = 0; c < 3; c++) {
        o.coord = coords[c];
        for (int64_t n = 0;; n++) {
            cm_dataset *out = NULL;
            cm_error err = {0};
            cm_dataset *f[2] = {make((daily){"r12-.nc", u, NULL, CM_INT64, 4, 0, 2, 1}),
                                make((daily){"r3-.nc", u, NULL, CM_INT64, 4, 0, 2, 2})};
            fault_malloc_at(n);
            int rc = cm_dataset_join(ctx, f, 2, &o, &out, &err);
            bool fired = fault_end();
            drop(f, 2);
            TAP_EQ(rc, fired ? CM_ENOMEM : 0);
            if (rc == 0) {
                double *tas = mem_doubles(ctx, out, "/tas", 2 * 4 * NLAT);
                for (int i = 0; i < 2 * 4 * NLAT; i++)
                    TAP_OK(tas[i] == tas_at(i / NLAT % 4 * 2, i % NLAT));
                free(tas);
                TAP_EQ(tas_of(out)->ndim, 3);
                TAP_EQ(cm_group_find_variable(out->root, "time_bnds")->ndim, 2);
                if (c != 1) {
                    double *run = mem_doubles(ctx, out, "/run", 2);
                    TAP_OK(run[0] == (c ? 0 : 3) && run[1] == (c ? 1 : 12));
                    free(run);
                }
            }
            cm_dataset_free(out);
            if (!fired)
                break;
        }
    }
}

/* Two variables of two files each. */
static void variables_are_merged(void)
{
    const char *u = "days since 2000-01-01";
    cm_join_options o;
    cm_join_options_init(&o);
    o.merge = true;
    for (int64_t n = 0;; n++) {
        cm_dataset *out = NULL, *f[4];
        cm_error err = {0};
        static const char *const uris[] = {"a1.nc", "b2.nc", "a2.nc", "b1.nc"};
        for (int k = 0; k < 4; k++) {
            int second = k == 1 || k == 2;
            f[k] = make(
                (daily){uris[k], u, NULL, CM_INT64, 3, 3 * second, 1, 1 + k, k % 2 ? "pr" : NULL});
        }
        fault_malloc_at(n);
        int rc = cm_dataset_join(ctx, f, 4, &o, &out, &err);
        bool fired = fault_end();
        drop(f, 4);
        TAP_EQ(rc, fired ? CM_ENOMEM : 0);
        if (rc == 0) {
            check_times(out, (double[]){0, 1, 2, 3, 4, 5}, 6);
            double *tas = mem_doubles(ctx, out, "/tas", 6 * NLAT),
                   *pr = mem_doubles(ctx, out, "/pr", 6 * NLAT);
            for (int i = 0; i < 6 * NLAT; i++) {
                TAP_OK(tas[i] == tas_at(i / NLAT, i % NLAT));
                TAP_OK(pr[i] == tas_at(i / NLAT, i % NLAT) + 5000);
            }
            free(tas);
            free(pr);
        }
        cm_dataset_free(out);
        if (!fired)
            break;
    }
}

/* Every allocation fails once: an error comes back, the sources are as they were. */
static void memory_runs_out(void)
{
    cm_dataset *f[3] = {
        make((daily){"b.nc", "hours since 2000-01-03", NULL, CM_INT64, 2, 0, 24, 0}),
        make((daily){"a.nc", "days since 2000-01-01", NULL, CM_INT64, 2, 0, 1, 0}),
        make((daily){"c.nc", "days since 2000-01-05", NULL, CM_INT64, 1, 0, 1, 0})};
    mem_global(f[0], "history", "x");
    int64_t n = 0;
    for (;; n++) {
        cm_dataset *out = NULL;
        cm_error err = {0};
        fault_malloc_at(n);
        int rc = cm_dataset_join(ctx, f, 3, NULL, &out, &err);
        bool fired = fault_end();
        if (rc == 0) {
            check_times(out, (double[]){0, 1, 2, 3, 4}, 5);
            cm_dataset_free(out);
        } else {
            TAP_EQ(rc, CM_ENOMEM);
            TAP_EQ(err.code, CM_ENOMEM);
            TAP_OK(!out);
        }
        if (!fired)
            break;
    }
    TAP_OK(n > 100);
    drop(f, 3);
}

int main(void)
{
    cm_context_options options;
    cm_error err;
    cm_context_options_init(&options);
    options.threads = 3;
    options.log = keep_log;
    TAP_CALL(cm_context_new(&options, &ctx, &err), &err);
    TAP_RUN(order_is_by_value);
    TAP_RUN(reference_dates_differ);
    TAP_RUN(overlaps_are_refused);
    TAP_RUN(differences_are_refused);
    TAP_RUN(attributes_may_differ);
    TAP_RUN(dimension_is_found);
    TAP_RUN(ten_thousand_files);
    TAP_RUN(random_files);
    TAP_RUN(groups_join_too);
    TAP_RUN(steps_are_cut);
    TAP_RUN(files_are_stacked);
    TAP_RUN(variables_are_merged);
    TAP_RUN(memory_runs_out);
    cm_context_free(ctx);
    return tap_done();
}
