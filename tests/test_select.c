/* Selecting: variables with what they need, indices, coordinate values, times, unpacking. */
#include <math.h>

#include "cf/packing.h"
#include "cf/roles.h"
#include "chunkmill/join.h"
#include "faults.h"
#include "memory_dataset.h"
#include "text/nearest.h"

static cm_context *ctx;

enum { NT = 8, NLAT = 5, NLON = 4 };

/* time daily from 2000-02-27 (standard), lat descending float32, lon 0..270, 2-D area; tas packed;
 * group /ocean with its own depth and a dimension from above. */
static cm_dataset *sample(void)
{
    cm_dataset *ds = mem_file(ctx, "s.nc");
    cm_error err;
    cm_group *g = ds->root, *ocean;
    int32_t time[NT], crs = 0;
    float lat[NLAT] = {20.2f, 10.1f, 0.0f, -10.1f, -20.2f};
    int16_t lon[NLON] = {0, 90, 180, 270}, tas[NT * NLAT * NLON];
    double bnds[2 * NT], area[NLAT * NLON], depth[3] = {0, 10, 20}, sst[NT * 3];
    for (int i = 0; i < NT; i++)
        time[i] = 57 + i, bnds[2 * i] = 57 + i, bnds[2 * i + 1] = 58 + i;
    for (int i = 0; i < NT * NLAT * NLON; i++)
        tas[i] = (int16_t)(i * 3 - 100);
    tas[7] = -999;
    for (int i = 0; i < NLAT * NLON; i++)
        area[i] = i * 1.5;
    for (int i = 0; i < NT * 3; i++)
        sst[i] = i;
    mem_dim(g, "time", NT, true);
    mem_dim(g, "lat", NLAT, false);
    mem_dim(g, "lon", NLON, false);
    mem_dim(g, "bnds", 2, false);
    cm_variable *v = mem_var(g, "time", "time", CM_INT32, time, 3);
    mem_text(v, "units", "days since 2000-01-01");
    mem_text(v, "bounds", "time_bnds");
    mem_var(g, "time_bnds", "time bnds", CM_FLOAT64, bnds, 3);
    mem_var(g, "lat", "lat", CM_FLOAT32, lat, 0);
    mem_var(g, "lon", "lon", CM_INT16, lon, 0);
    mem_var(g, "crs", "", CM_INT32, &crs, 0);
    mem_var(g, "areacella", "lat lon", CM_FLOAT64, area, 2);
    v = mem_var(g, "tas", "time lat lon", CM_INT16, tas, 2);
    mem_text(v, "grid_mapping", "crs");
    mem_text(v, "cell_measures", "area: areacella volume: nowhere");
    mem_number(v, "scale_factor", 0.01, CM_FLOAT32);
    mem_number(v, "add_offset", 273.15, CM_FLOAT32);
    mem_number(v, "_FillValue", -999, CM_INT16);
    mem_number(v, "valid_min", -998, CM_INT16);
    mem_text(v, "units", "K");
    v = mem_var(g, "other", "lat", CM_FLOAT32, lat, 0);
    TAP_CALL(cm_group_add_group(g, "ocean", &ocean, &err), &err);
    mem_dim(ocean, "depth", 3, false);
    mem_var(ocean, "depth", "depth", CM_FLOAT64, depth, 0);
    mem_var(ocean, "sst", "time depth", CM_FLOAT64, sst, 0);
    return ds;
}

static cm_dataset *chosen(cm_select_options o)
{
    cm_dataset *ds = sample(), *out = NULL;
    cm_error err;
    TAP_CALL(cm_dataset_select(ctx, ds, &o, &out, &err), &err);
    cm_dataset_free(ds);
    return out;
}

static void refuses(cm_select_options o, int code, const char *want)
{
    cm_dataset *ds = sample(), *out = NULL;
    cm_error err = {0};
    char line[2048];
    TAP_EQ(cm_dataset_select(ctx, ds, &o, &out, &err), code);
    if (!TAP_OK(strstr(cm_error_line(&err, line, sizeof line), want)))
        printf("# %s\n# want %s\n", line, want);
    cm_dataset_free(out);
    cm_dataset_free(ds);
}

/* The names of the variables of the tree, in order. */
static void list(const cm_group *g, char *out, size_t size)
{
    for (size_t i = 0; i < g->nvariables; i++)
        snprintf(out + strlen(out), size - strlen(out), "%s ", g->variables[i]->path + 1);
    for (size_t i = 0; i < g->ngroups; i++)
        list(g->groups[i], out, size);
}

static void has(cm_dataset *ds, const char *want)
{
    char names[512] = "";
    if (ds)
        list(ds->root, names, sizeof names);
    TAP_STR(names, want);
    cm_dataset_free(ds);
}

#define LIST(field, ...)                                                                           \
    .field = (const char *[]){__VA_ARGS__},                                                        \
    .n##field = sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)

static void variables_and_what_they_need(void)
{
    has(chosen((cm_select_options){0}),
        "time time_bnds lat lon crs areacella tas other ocean/depth ocean/sst ");
    has(chosen((cm_select_options){LIST(variables, "tas")}),
        "time time_bnds lat lon crs areacella tas ");
    has(chosen((cm_select_options){LIST(variables, "/ocean/sst")}),
        "time time_bnds ocean/depth ocean/sst ");
    has(chosen((cm_select_options){.group = "/ocean"}), "depth sst time time_bnds ");
    has(chosen((cm_select_options){.group = "ocean", LIST(variables, "sst")}),
        "depth sst time time_bnds ");
    has(chosen((cm_select_options){LIST(variables, "tas", "other"), LIST(skip, "crs", "/lon")}),
        "time time_bnds lat areacella tas other ");
    refuses((cm_select_options){LIST(variables, "tsa")}, CM_EINVAL,
            "s.nc: there is no variable tsa (did you mean tas?)");
    refuses((cm_select_options){LIST(skip, "timebnds")}, CM_EINVAL, "did you mean time_bnds?");
    refuses((cm_select_options){.group = "/ocaen"}, CM_EINVAL, "did you mean /ocean?");

    cm_dataset *ds = sample(), *out = NULL;
    cm_error err, why = {.code = CM_EUNSUP, .message = "filter 307"};
    TAP_CALL(cm_variable_set_problem(cm_group_find_variable(ds->root, "other"), &why, &err), &err);
    TAP_EQ(cm_dataset_select(ctx, ds, NULL, &out, &err), CM_EUNSUP);
    TAP_STR(err.message, "filter 307");
    TAP_STR(err.hint, "leave it out with --skip other");
    cm_select_options o = {LIST(skip, "other")};
    TAP_CALL(cm_dataset_select(ctx, ds, &o, &out, &err), &err);
    has(out, "time time_bnds lat lon crs areacella tas ocean/depth ocean/sst ");
    cm_dataset_free(ds);
}

static void roles(void)
{
    cm_dataset *ds = sample();
    static const struct {
        const char *name;
        cm_cf_role role;
    } t[] = {{"time", CM_ROLE_COORDINATE},        {"time_bnds", CM_ROLE_BOUNDS},
             {"crs", CM_ROLE_GRID_MAPPING},       {"tas", CM_ROLE_DATA},
             {"ocean/depth", CM_ROLE_COORDINATE}, {"areacella", CM_ROLE_DATA}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        TAP_EQ(cm_cf_role_of(cm_group_find_variable(ds->root, t[i].name)), t[i].role);
    cm_variable *tas = cm_group_find_variable(ds->root, "tas");
    mem_text(tas, "grid_mapping", "crs: areacella");
    mem_text(tas, "coordinates", "areacella");
    TAP_EQ(cm_cf_role_of(cm_group_find_variable(ds->root, "areacella")), CM_ROLE_AUXILIARY);
    TAP_EQ(cm_cf_role_of(cm_group_find_variable(ds->root, "crs")), CM_ROLE_GRID_MAPPING);
    cm_dataset_free(ds);
}

/* Does the selection keep indices lo..lo+n of tas's axis? Shapes and values are checked. */
static void keeps(cm_select_options o, int axis, int64_t lo, int64_t n)
{
    cm_dataset *ds = chosen(o);
    int64_t shape[3] = {NT, NLAT, NLON}, i[CM_MAX_DIMS] = {0};
    shape[axis] = n;
    if (!ds)
        return;
    double *v = mem_doubles(ctx, ds, "/tas", (size_t)(shape[0] * shape[1] * shape[2]));
    int64_t k = 0;
    int bad = 0;
    do {
        int64_t x[3] = {i[0], i[1], i[2]};
        x[axis] += lo;
        int64_t at = (x[0] * NLAT + x[1]) * NLON + x[2];
        bad += v[k++] != (double)(at == 7 ? -999 : at * 3 - 100);
    } while (cm_next(3, shape, i));
    TAP_EQ(bad, 0);
    static const char *const dims[] = {"time", "lat", "lon"};
    TAP_EQ(cm_group_scope_dimension(ds->root, dims[axis])->length, n);
    TAP_EQ(cm_group_find_variable(ds->root, dims[axis])->shape[0], n);
    free(v);
    cm_dataset_free(ds);
}

static void by_index(void)
{
    keeps((cm_select_options){LIST(isel, "time=0:3")}, 0, 0, 3);
    keeps((cm_select_options){LIST(isel, "time=2:100")}, 0, 2, NT - 2);
    keeps((cm_select_options){LIST(isel, "time=-3:")}, 0, NT - 3, 3);
    keeps((cm_select_options){LIST(isel, "time=:-3")}, 0, 0, NT - 3);
    keeps((cm_select_options){LIST(isel, "lat=4")}, 1, 4, 1);
    keeps((cm_select_options){LIST(isel, "lat=-1,lon=:")}, 1, 4, 1);
    refuses((cm_select_options){LIST(isel, "lat=5")}, CM_EINVAL, "its length is 5");
    refuses((cm_select_options){LIST(isel, "lat=3:3")}, CM_EINVAL, "selects nothing");
    refuses((cm_select_options){LIST(isel, "lat=0:4:2")}, CM_EINVAL, "step");
    refuses((cm_select_options){LIST(isel, "lat=a:4")}, CM_EINVAL, "not an index");
    refuses((cm_select_options){LIST(isel, "lta=0:4")}, CM_EINVAL, "did you mean lat?");
    refuses((cm_select_options){LIST(isel, "lat")}, CM_EINVAL, "is not of the form");
    refuses((cm_select_options){LIST(isel, "lat=")}, CM_EINVAL, "is not of the form");
    refuses((cm_select_options){LIST(isel, "lat=0:1", "lat=1:2")}, CM_EINVAL, "selected twice");
    cm_dataset *ds =
        chosen((cm_select_options){.group = "/ocean", LIST(isel, "time=3:5", "depth=1")});
    double *sst = mem_doubles(ctx, ds, "/sst", 2);
    TAP_EQ(sst[0], 10);
    TAP_EQ(sst[1], 13);
    free(sst);
    cm_dataset_free(ds);
}

static void by_value(void)
{
    keeps((cm_select_options){LIST(sel, "lat=-10.1:10.1")}, 1, 1, 3); /* float32, descending */
    keeps((cm_select_options){LIST(sel, "lat=:0")}, 1, 2, 3);
    keeps((cm_select_options){LIST(sel, "lat=5:")}, 1, 0, 2);
    keeps((cm_select_options){LIST(sel, "lat=20.2")}, 1, 0, 1);
    keeps((cm_select_options){LIST(sel, "lon=90:200")}, 2, 1, 2);
    keeps((cm_select_options){LIST(sel, "lon=90/180")}, 2, 1, 2);
    refuses((cm_select_options){LIST(sel, "lat=30:40")}, CM_EINVAL,
            "s.nc: /lat: lat=30:40: selects nothing (lat goes from -20.2 to 20.2)");
    refuses((cm_select_options){LIST(sel, "lat=10:-10")}, CM_EINVAL, "first end is above");
    refuses((cm_select_options){LIST(sel, "lat=x:5")}, CM_EINVAL, "not a number");
    refuses((cm_select_options){LIST(sel, "lat=1:2:3")}, CM_EINVAL, "more than two ends");
    refuses((cm_select_options){LIST(sel, "bnds=1")}, CM_EINVAL, "no coordinate variable");
    refuses((cm_select_options){LIST(sel, "lat=0", "lat=1")}, CM_EINVAL, "selected twice");
    refuses((cm_select_options){LIST(sel, "lat=0"), LIST(isel, "lat=1")}, CM_EINVAL,
            "selected twice");
}

static void by_time(void)
{
    /* 2000-02-27 .. 2000-03-05 */
    keeps((cm_select_options){LIST(sel, "time=2000-02")}, 0, 0, 3);
    keeps((cm_select_options){LIST(sel, "time=2000-03")}, 0, 3, 5);
    keeps((cm_select_options){LIST(sel, "time=2000")}, 0, 0, NT);
    keeps((cm_select_options){LIST(sel, "time=1999/2000-02-28")}, 0, 0, 2);
    keeps((cm_select_options){LIST(sel, "time=/2000-02-28")}, 0, 0, 2);
    keeps((cm_select_options){LIST(sel, "time=2000-03-01/")}, 0, 3, 5);
    keeps((cm_select_options){LIST(sel, "time=2000-02-29/2000-03-01")}, 0, 2, 2);
    keeps((cm_select_options){LIST(sel, "time=2000-02-28T12/2000-02-29T00:00")}, 0, 2, 1);
    refuses((cm_select_options){LIST(sel, "time=2001/2010")}, CM_EINVAL,
            "selects nothing (time goes from 2000-02-27T00:00:00 to 2000-03-05T00:00:00)");
    refuses((cm_select_options){LIST(sel, "time=2000-02-30")}, CM_EINVAL,
            "the date 2000-02-30 does not exist in the standard calendar");
    refuses((cm_select_options){LIST(sel, "time=2000:2001")}, CM_EINVAL, "parted by '/'");
    refuses((cm_select_options){LIST(sel, "time=2001/2000")}, CM_EINVAL, "first end is above");
}

static void unpacking(void)
{
    for (int mode = CM_UNPACK_FLOAT32; mode <= CM_UNPACK_AUTO; mode++) {
        cm_dataset *ds = chosen((cm_select_options){.unpack = (cm_unpack)mode});
        cm_variable *v = cm_group_find_variable(ds->root, "tas");
        TAP_EQ(v->array->dtype.kind, mode == CM_UNPACK_FLOAT64 ? CM_FLOAT64 : CM_FLOAT32);
        double *x = mem_doubles(ctx, ds, "/tas", NT * NLAT * NLON);
        int bad = 0;
        for (int i = 0; i < NT * NLAT * NLON; i++) {
            /* attributes are float32 and kept as the double that equals them; numpy rounds each
             * step to float32 */
            double want =
                mode == CM_UNPACK_FLOAT64
                    ? (i * 3 - 100) * 0.01 + 273.15
                    : (double)(float)((float)((float)(i * 3 - 100) * (float)0.01) + (float)273.15);
            bad += i == 7 ? !isnan(x[i]) : fabs(x[i] - want) > 1e-4;
        }
        TAP_EQ(bad, 0);
        TAP_OK(!cm_variable_attribute_named(v, "scale_factor"));
        TAP_OK(!cm_variable_attribute_named(v, "_FillValue"));
        TAP_OK(!cm_variable_attribute_named(v, "valid_min"));
        TAP_OK(cm_variable_attribute_named(v, "units"));
        TAP_EQ(cm_group_find_variable(ds->root, "time")->array->dtype.kind, CM_INT32);
        free(x);
        cm_dataset_free(ds);
    }
}

/* The dtype of every combination, by xarray's rule written down as a table (2026.9.0). */
static void packing_dtypes(void)
{
    static const struct {
        cm_kind stored, scale, offset, fill; /* CM_NONE: no attribute */
        cm_kind want;
    } t[] = {{CM_INT16, CM_FLOAT32, CM_FLOAT32, CM_INT16, CM_FLOAT32},
             {CM_INT32, CM_FLOAT32, CM_FLOAT32, CM_INT32, CM_FLOAT64},
             {CM_INT64, CM_FLOAT32, CM_FLOAT32, CM_NONE, CM_FLOAT32},
             {CM_INT16, CM_FLOAT64, CM_FLOAT64, CM_NONE, CM_FLOAT64},
             {CM_INT16, CM_FLOAT32, CM_FLOAT64, CM_NONE, CM_FLOAT64},
             {CM_INT16, CM_NONE, CM_FLOAT32, CM_NONE, CM_FLOAT64},
             {CM_INT16, CM_FLOAT32, CM_NONE, CM_NONE, CM_FLOAT32},
             {CM_INT32, CM_FLOAT32, CM_NONE, CM_NONE, CM_FLOAT32},
             {CM_INT8, CM_NONE, CM_NONE, CM_INT8, CM_FLOAT32},
             {CM_UINT16, CM_NONE, CM_NONE, CM_UINT16, CM_FLOAT32},
             {CM_INT32, CM_NONE, CM_NONE, CM_INT32, CM_FLOAT64},
             {CM_FLOAT32, CM_NONE, CM_NONE, CM_FLOAT32, CM_FLOAT32},
             {CM_FLOAT64, CM_NONE, CM_NONE, CM_FLOAT64, CM_FLOAT64},
             {CM_FLOAT32, CM_FLOAT64, CM_NONE, CM_FLOAT32, CM_FLOAT64},
             {CM_FLOAT32, CM_NONE, CM_NONE, CM_NONE, CM_FLOAT32},
             {CM_INT16, CM_NONE, CM_NONE, CM_NONE, CM_INT16}};
    cm_dataset *ds = mem_file(ctx, "p.nc");
    cm_error err;
    cm_packing p;
    double zero = 0;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        char name[8];
        snprintf(name, sizeof name, "v%zu", i);
        cm_variable *v = mem_var(ds->root, name, "", t[i].stored, &zero, 0);
        if (t[i].scale)
            mem_number(v, "scale_factor", 0.5, t[i].scale);
        if (t[i].offset)
            mem_number(v, "add_offset", 3, t[i].offset);
        if (t[i].fill)
            mem_number(v, "_FillValue", 9, t[i].fill);
        TAP_CALL(cm_packing_of(v, &p, &err), &err);
        if (p.natural.kind != t[i].want)
            printf("# row %zu\n", i);
        TAP_EQ(p.natural.kind, t[i].want);
    }
    /* a time is never float32, NaN as a fill asks for nothing, _Unsigned alone stays an integer */
    cm_variable *v = mem_var(ds->root, "t", "", CM_INT16, &zero, 0);
    mem_number(v, "_FillValue", 9, CM_INT16);
    mem_text(v, "units", "days since 2000-01-01");
    TAP_CALL(cm_packing_of(v, &p, &err), &err);
    TAP_EQ(p.natural.kind, CM_FLOAT64);
    v = mem_var(ds->root, "n", "", CM_FLOAT32, &zero, 0);
    mem_number(v, "_FillValue", NAN, CM_FLOAT32);
    TAP_CALL(cm_packing_of(v, &p, &err), &err);
    TAP_OK(!cm_packing_does(&p));
    int8_t minus = -1;
    v = mem_var(ds->root, "u", "", CM_INT8, &minus, 0);
    mem_text(v, "_Unsigned", "true");
    TAP_CALL(cm_packing_of(v, &p, &err), &err);
    TAP_EQ(p.natural.kind, CM_UINT8);
    cm_select_options o = {.unpack = CM_UNPACK_AUTO};
    cm_dataset *out = NULL;
    TAP_CALL(cm_dataset_select(ctx, ds, &o, &out, &err), &err);
    double *x = mem_doubles(ctx, out, "/u", 1);
    TAP_EQ(x[0], 255);
    free(x);
    cm_dataset_free(out);
    mem_text(v, "scale_factor", "half");
    TAP_EQ(cm_packing_of(v, &p, &err), CM_EDATA);
    TAP_STR(err.message, "attribute scale_factor is not a number");
    cm_dataset_free(ds);
}

static void suggestions(void)
{
    TAP_EQ(cm_edit_distance("time", "time"), 0);
    TAP_EQ(cm_edit_distance("Time", "time"), 1);
    TAP_EQ(cm_edit_distance("tmie", "time"), 2);
    TAP_EQ(cm_edit_distance("kitten", "sitting"), 6);
    TAP_EQ(cm_edit_distance("", "abc"), 6);
    cm_nearest n;
    cm_nearest_init(&n, "longitude");
    cm_nearest_offer(&n, "lat");
    TAP_OK(!cm_nearest_best(&n));
    cm_nearest_offer(&n, "longitdue");
    TAP_STR(cm_nearest_best(&n), "longitdue");
    cm_nearest_init(&n, "lat");
    cm_nearest_offer(&n, "longitude");
    TAP_OK(!cm_nearest_best(&n));
    cm_nearest_offer(&n, "latitude_longitude");
    cm_nearest_offer(&n, "Latitude");
    TAP_STR(cm_nearest_best(&n), "Latitude");
    cm_nearest_offer(&n, "lta"); /* two letters swapped are nearer */
    TAP_STR(cm_nearest_best(&n), "lta");
}

static void memory_runs_out(void)
{
    cm_dataset *ds = sample();
    cm_select_options o = {LIST(variables, "tas", "sst"), LIST(sel, "lat=-15:15", "time=2000-03"),
                           LIST(isel, "lon=1:3"), .unpack = CM_UNPACK_AUTO};
    int64_t n = 0;
    for (;; n++) {
        cm_dataset *out = NULL;
        cm_error err = {0};
        fault_malloc_at(n);
        int rc = cm_dataset_select(ctx, ds, &o, &out, &err);
        bool fired = fault_end();
        if (rc == 0) {
            free(mem_doubles(ctx, out, "/tas", 5 * 3 * 2));
            cm_dataset_free(out);
        } else {
            TAP_EQ(rc, CM_ENOMEM);
            TAP_OK(!out && err.message[0]);
        }
        if (!fired)
            break;
    }
    TAP_OK(n > 50);
    cm_dataset_free(ds);
}

int main(void)
{
    cm_error err;
    TAP_CALL(cm_context_new(NULL, &ctx, &err), &err);
    TAP_RUN(variables_and_what_they_need);
    TAP_RUN(roles);
    TAP_RUN(by_index);
    TAP_RUN(by_value);
    TAP_RUN(by_time);
    TAP_RUN(unpacking);
    TAP_RUN(packing_dtypes);
    TAP_RUN(suggestions);
    TAP_RUN(memory_runs_out);
    cm_context_free(ctx);
    return tap_done();
}
