/* tests/test_save_grid.c: saves whose chunks have different lengths, against a callback array whose
 * values depend on position. Beside the plans that a save makes for itself, random ones: any tile,
 * sliding along any axis, blocks of a spill cut anywhere; what they write must be the same.
 */
#include <stdlib.h>
#include <unistd.h>

#include "array/chunked.h"
#include "base/bytes.h"
#include "chunkmill.h"
#include "dataset/dataset_private.h"
#include "save/save_private.h"
#include "scratch.h"
#include "tap.h"

enum { MAX_UNITS = 400 };

static uint64_t seed;
static char root[256];

typedef struct wanted {
    int ndim;
    int64_t shape[4], source[4], chunk[4]; /* chunk: of axes without a list */
    int64_t lengths[4][MAX_UNITS], n[4];   /* n 0: no list */
    int64_t fill_below;
    bool irregular; /* what is written must be a rectilinear grid */
} wanted;

static int64_t between(int64_t lo, int64_t hi)
{
    return lo + (int64_t)(tap_random(&seed) % (uint64_t)(hi - lo + 1));
}

static uint32_t value_at(const wanted *w, const int64_t *x)
{
    uint64_t v = 1;
    if (x[0] < w->fill_below)
        return 0;
    for (int i = 0; i < w->ndim; i++)
        v = v * (uint64_t)w->shape[i] + (uint64_t)x[i];
    return (uint32_t)(v * 2654435761u);
}

static int fill(void *user, const int64_t *start, const int64_t *count, void *dst, cm_error *err)
{
    wanted *w = user;
    uint32_t *p = dst;
    int64_t i[4] = {0}, x[4];
    (void)err;
    do {
        for (int k = 0; k < w->ndim; k++)
            x[k] = start[k] + i[k];
        *p++ = value_at(w, x);
    } while (cm_next(w->ndim, count, i));
    return 0;
}

static void random_list(wanted *w, int axis, int64_t longest)
{
    int64_t some[3] = {between(1, longest), between(1, longest), between(1, longest)}, sum = 0;
    bool same = true;
    w->n[axis] = 0;
    while (sum < w->shape[axis]) {
        int64_t v = cm_min_i64(some[between(0, 2)], w->shape[axis] - sum);
        if (w->n[axis] == MAX_UNITS - 1)
            v = w->shape[axis] - sum;
        w->lengths[axis][w->n[axis]++] = v;
        same = same && v == w->lengths[axis][0];
        sum += v;
    }
    w->irregular = w->irregular || !same;
}

/* Runs as runs, mostly. */
static void spell(const wanted *w, char *out)
{
    out += sprintf(out, "v:");
    for (int a = 0; a < w->ndim; a++) {
        out += sprintf(out, "%sd%d=", a ? "," : "", a);
        if (!w->n[a])
            out += sprintf(out, "%lld", (long long)w->chunk[a]);
        for (int64_t i = 0, run; i < w->n[a]; i += run) {
            run = 1;
            while (i + run < w->n[a] && w->lengths[a][i + run] == w->lengths[a][i] && between(0, 5))
                run++;
            bool list = run > 1 || w->n[a] == 1;
            out += sprintf(out, list ? "%s%lldx%lld" : "%s%lld", i ? "+" : "",
                           (long long)w->lengths[a][i], (long long)run);
        }
    }
}

static int check(cm_context *ctx, const char *path, const wanted *w, cm_error *err)
{
    cm_dataset *ds = NULL;
    int64_t zero[4] = {0}, n = 1, i[4] = {0}, bad = 0;
    int r = cm_dataset_open(ctx, path, NULL, &ds, err);
    if (r)
        return r;
    cm_variable *v = cm_group_find_variable(cm_dataset_root(ds), "v");
    for (int k = 0; k < w->ndim; k++)
        n *= w->shape[k];
    uint32_t *got = calloc((size_t)n, 4), *p = got;
    r = v && v->array ? cm_array_read(ctx, v->array, zero, w->shape, got, NULL, NULL, err)
                      : cm_error_set(err, CM_EDATA, "no array");
    if (!r)
        do
            bad += *p++ != value_at(w, i);
        while (cm_next(w->ndim, w->shape, i));
    if (!r && bad)
        r = cm_error_set(err, CM_EDIFF, "%lld of %lld cells differ", (long long)bad, (long long)n);
    if (!r)
        TAP_OK(cm_chunked_is_irregular(v->array) == w->irregular);
    for (int k = 0; k < w->ndim && !r && w->irregular; k++) {
        cm_axis_grid g = cm_array_grid(v->array, k);
        for (int64_t c = 0; c < g.ncuts && w->n[k]; c++)
            TAP_EQ(g.cuts[c + 1] - g.cuts[c], w->lengths[k][c]);
    }
    free(got);
    cm_dataset_free(ds);
    return r;
}

/* Another plan for the one variable: what a plan says about where to cut is only about speed. */
static int change_plan(cm_save *save, cm_error *err)
{
    cm_part *p = &save->parts[0];
    for (int i = 0; i < p->ndim && p->mode == CM_MODE_SPILL; i++) {
        int64_t n = 0, x = 0, most = between(1, p->shape[i]);
        int64_t *cuts = calloc((size_t)p->shape[i] + 1, sizeof *cuts);
        while (x < p->shape[i]) {
            x = cm_min_i64(x + between(1, most), p->shape[i]);
            cuts[++n] = x;
        }
        free(p->block_cuts[i]);
        p->block_cuts[i] = cuts;
        p->nblocks[i] = n;
    }
    p->slab = 0;
    if (p->mode != CM_MODE_SPILL) {
        p->slide = (int)between(-1, p->ndim - 1);
        for (int i = 0; i < p->ndim; i++)
            p->tile[i] = between(1, p->nunits[i]);
    }
    free(save->batches);
    save->batches = NULL;
    save->nbatches = 0;
    save->ntasks = 0;
    return cm_save_number_tasks(save, err);
}

static int one(const wanted *w, int mode, uint64_t memory, bool change, const char *codec,
               bool skip_empty, char *plan, cm_error *err)
{
    static char chunks[40000];
    char path[300], name[16];
    cm_context_options co;
    cm_context *ctx = NULL;
    cm_dataset *ds = NULL;
    cm_array *a = NULL;
    cm_variable *v;
    cm_save *save = NULL;
    cm_save_options so;
    sprintf(path, "%s/s", root);
    cm_context_options_init(&co);
    co.threads = (int)between(1, 3);
    co.max_memory = memory;
    TAP_CALL(cm_context_new(&co, &ctx, err), err);
    TAP_CALL(cm_dataset_new(ctx, "memory", "callback", &ds, err), err);
    TAP_CALL(cm_group_add_variable(ds->root, "v", &v, err), err);
    TAP_CALL(cm_array_from_callback(cm_dtype_of(CM_UINT32, 0), w->ndim, w->shape, w->source, fill,
                                    (void *)(uintptr_t)w, NULL, &a, err),
             err);
    cm_variable_set_array(v, a);
    for (int i = 0; i < w->ndim; i++) {
        sprintf(name, "d%d", i);
        TAP_CALL(cm_variable_set_dimension(v, i, name, err), err);
    }
    spell(w, chunks);
    cm_save_options_init(&so);
    so.chunks = (const char *const[]){chunks};
    so.nchunks = 1;
    so.codecs = &codec;
    so.ncodecs = 1;
    so.mode = (cm_save_mode)mode;
    so.overwrite = true;
    so.skip_empty = skip_empty;
    int r = cm_save_plan(ctx, ds, NULL, 0, path, &so, &save, err);
    if (!r && change)
        r = change_plan(save, err);
    if (!r)
        sprintf(plan, "%s slide %d reread %.2f",
                save->parts[0].mode == CM_MODE_SPILL   ? "spill"
                : save->parts[0].mode == CM_MODE_SWEEP ? "sweep"
                                                       : "reread",
                save->parts[0].slide, save->parts[0].reread);
    if (!r)
        r = cm_save_run(save, 0, cm_save_ntasks(save), err);
    if (!r)
        r = cm_save_commit(save, err);
    cm_save_free(save);
    cm_dataset_free(ds);
    if (!r)
        r = check(ctx, path, w, err);
    cm_context_free(ctx);
    return r;
}

static void random_saves(void)
{
    static const char *const codecs[] = {"none", "zstd:1", "blosc:lz4:5:shuffle", "gzip:1"};
    static wanted w;
    int irregular = 0;
    for (int round = 0; round < 400; round++) {
        uint64_t started = seed;
        char plan[100] = "";
        cm_error err;
        cm_error_clear(&err);
        w = (wanted){.ndim = (int)between(1, 4)};
        for (int i = 0; i < w.ndim; i++) {
            w.shape[i] = between(1, w.ndim == 1 ? 300 : w.ndim == 2 ? 60 : w.ndim == 3 ? 20 : 9);
            w.source[i] = between(1, w.shape[i] + 3);
            w.chunk[i] = between(1, w.shape[i]);
            if (i == 0 || between(0, 1))
                random_list(&w, i, between(1, w.shape[i]));
        }
        w.fill_below = between(0, 2) ? 0 : between(0, w.shape[0]);
        irregular += w.irregular;
        int r = one(&w, (int)between(0, 3), 100000000, round % 4 != 0, codecs[between(0, 3)],
                    between(0, 1), plan, &err);
        if (!TAP_OK(r == 0)) {
            char line[2048];
            printf("# round %d (seed %llu) %s: %s\n", round, (unsigned long long)started, plan,
                   cm_error_line(&err, line, sizeof line));
        }
    }
    TAP_OK(irregular > 200);
}

/* Arrays that do not fit, with the least memory there is. */
static void larger_than_memory(void)
{
    static const struct {
        int ndim;
        int64_t shape[4], source[4], longest[4], chunk[4];
    } cases[] = {{2, {4001, 1500}, {97, 1500}, {130, 0}, {1, 1500}},
                 {2, {1500, 4001}, {1500, 97}, {0, 130}, {1500, 1}},
                 {2, {3000, 2500}, {211, 190}, {300, 300}, {1, 1}},
                 {3, {700, 90, 120}, {1, 90, 120}, {700, 9, 0}, {1, 1, 9}},
                 {3, {90, 300, 300}, {7, 300, 300}, {0, 20, 40}, {90, 1, 1}}};
    static wanted w;
    int slid = 0, spilled = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        w = (wanted){.ndim = cases[i].ndim};
        memcpy(w.shape, cases[i].shape, sizeof w.shape);
        memcpy(w.source, cases[i].source, sizeof w.source);
        memcpy(w.chunk, cases[i].chunk, sizeof w.chunk);
        for (int k = 0; k < w.ndim; k++)
            if (cases[i].longest[k])
                random_list(&w, k, cases[i].longest[k]);
        for (int mode = 0; mode < 4; mode++) {
            char plan[100] = "refused", line[2048];
            cm_error err;
            cm_error_clear(&err);
            int r = one(&w, mode, 16000000, false, "zstd:1", false, plan, &err);
            bool refused = mode == 1 && r == CM_ELIMIT;
            TAP_OK(r == 0 || refused);
            printf("# case %zu mode %d: %s%s\n", i, mode, plan,
                   r && !refused ? cm_error_line(&err, line, sizeof line) : "");
            slid += strstr(plan, "sweep slide 0") || strstr(plan, "sweep slide 1");
            spilled += strncmp(plan, "spill", 5) == 0;
        }
    }
    TAP_OK(slid > 0 && spilled > 0);
}

static void refused_with(const char *chunks, const char *shards, int format, const char *words)
{
    static wanted w = {.ndim = 2, .shape = {59, 8}, .source = {59, 8}};
    char path[300];
    cm_context *ctx = NULL;
    cm_dataset *ds = NULL;
    cm_array *a = NULL;
    cm_variable *v;
    cm_save *save = NULL;
    cm_save_options so;
    cm_error err;
    cm_error_clear(&err);
    sprintf(path, "%s/refused", root);
    TAP_CALL(cm_context_new(NULL, &ctx, &err), &err);
    TAP_CALL(cm_dataset_new(ctx, "memory", "callback", &ds, &err), &err);
    TAP_CALL(cm_group_add_variable(ds->root, "v", &v, &err), &err);
    TAP_CALL(cm_array_from_callback(cm_dtype_of(CM_UINT32, 0), 2, w.shape, w.source, fill, &w, NULL,
                                    &a, &err),
             &err);
    cm_variable_set_array(v, a);
    TAP_CALL(cm_variable_set_dimension(v, 0, "t", &err), &err);
    TAP_CALL(cm_variable_set_dimension(v, 1, "x", &err), &err);
    cm_save_options_init(&so);
    so.chunks = &chunks;
    so.nchunks = 1;
    so.shards = &shards;
    so.nshards = shards != NULL;
    so.zarr_format = format;
    int r = cm_save_plan(ctx, ds, NULL, 0, path, &so, &save, &err);
    if (!words)
        TAP_CALL(r, &err);
    else if (!TAP_OK(r == CM_EINVAL && strstr(err.message, words)))
        printf("# %s: %d %s\n", chunks, r, err.message);
    cm_save_free(save);
    cm_dataset_free(ds);
    cm_context_free(ctx);
}

static void refused_lists(void)
{
    refused_with("v:t=31+28", NULL, 3, NULL);
    refused_with("v:t=59x1", "v:t=59", 3, NULL); /* regular after all */
    refused_with("v:t=31+27", NULL, 3, "end at 58, the axis at 59");
    refused_with("v:t=31+29", NULL, 3, "beyond the axis's end at 59");
    refused_with("v:t=31x2", NULL, 3, "beyond the axis's end at 59");
    refused_with("v:t=1x4000000000000000000", NULL, 3, "beyond the axis's end at 59");
    refused_with("v:t=99999999999999999999+1", NULL, 3, "no list of lengths");
    refused_with("v:t=31+", NULL, 3, "no list of lengths");
    refused_with("v:t=+31", NULL, 3, "no list of lengths");
    refused_with("v:t=31++28", NULL, 3, "no list of lengths");
    refused_with("v:t=31x", NULL, 3, "no list of lengths");
    refused_with("v:t=31x0+28", NULL, 3, "no list of lengths");
    refused_with("v:t=0+59", NULL, 3, "no list of lengths");
    refused_with("v:t=31x1x1+28", NULL, 3, "no list of lengths");
    refused_with("v:t=31+28 ", NULL, 3, "no list of lengths");
    refused_with("v:t=31+28", NULL, 2, "Zarr v2 has no chunks of different lengths");
    refused_with("v:t=31+28", "v:t=59", 3, "not put into shards");
    refused_with("v:t=31", "v:t=31+28", 3, "no length");
}

int main(void)
{
    seed = tap_seed();
    if (!scratch_make(root, sizeof root))
        return 1;
    TAP_RUN(random_saves);
    TAP_RUN(larger_than_memory);
    TAP_RUN(refused_lists);
    return scratch_remove(root) ? tap_done() : 1;
}
