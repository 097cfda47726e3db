/* Compositions of arrays: random trees of subset, concatenation, map and one more axis over callback
 * arrays and blanks, held to a model that answers one cell at a time. */
#include "array/compose.h"
#include "tap.h"

enum { MAX_ND = 4, MAX_PARTS = 5 };

typedef enum op { LEAF, SUBSET, CONCAT, MAP, BLANK, EXPAND } op;

typedef struct node {
    op op;
    cm_kind kind;
    int nd;
    int64_t shape[MAX_ND];
    int64_t chunk[MAX_ND], salt; /* leaf */
    int64_t start[MAX_ND];       /* subset */
    int axis, nparts;            /* concat */
    int64_t factor, add;         /* map */
    struct node *parts[MAX_PARTS];
    cm_array *array;
} node;

static int64_t leaf_value(const node *n, const int64_t *x)
{
    int64_t v = n->salt;
    for (int i = 0; i < n->nd; i++)
        v = (v * 31 + x[i] + 1) % 999983;
    return v;
}

static int64_t value(const node *n, const int64_t *x)
{
    int64_t y[MAX_ND + 1] = {0};
    memcpy(y, x, (size_t)n->nd * sizeof *y);
    int k = 0;
    switch (n->op) {
    case LEAF: return leaf_value(n, x);
    case SUBSET:
        for (int i = 0; i < n->nd; i++)
            y[i] += n->start[i];
        break;
    case CONCAT:
        while (y[n->axis] >= n->parts[k]->shape[n->axis])
            y[n->axis] -= n->parts[k++]->shape[n->axis];
        break;
    case MAP: return value(n->parts[0], x) * n->factor + n->add;
    case BLANK: return n->salt;
    case EXPAND: return value(n->parts[0], x + 1);
    }
    return value(n->parts[k], y);
}

/* Raw parts take no side in a concatenation that is not raw. */
static bool is_raw(const node *n)
{
    bool raw = n->op != LEAF;
    for (int k = 0; k < n->nparts; k++)
        if (n->op != CONCAT || n->parts[k]->shape[n->axis] > 0)
            raw = raw && is_raw(n->parts[k]);
    return raw;
}

/* Is there a chunk boundary before position x of the axis in all of the array? */
static bool is_cut(const node *n, int axis, int64_t x)
{
    switch (n->op) {
    case LEAF:
    case BLANK: return x % n->chunk[axis] == 0;
    case EXPAND: return is_cut(n->parts[0], axis - 1, x); /* the new axis has one place */
    case SUBSET: return is_cut(n->parts[0], axis, x + n->start[axis]);
    case MAP: return is_cut(n->parts[0], axis, x);
    case CONCAT: break;
    }
    if (axis == n->axis) {
        int k = 0;
        while (x >= n->parts[k]->shape[axis])
            x -= n->parts[k++]->shape[axis];
        return x == 0 || is_cut(n->parts[k], axis, x);
    }
    for (int k = 0; k < n->nparts; k++)
        if (n->parts[k]->shape[n->axis] > 0 && (!is_raw(n->parts[k]) || is_raw(n)) &&
            !is_cut(n->parts[k], axis, x))
            return false;
    return true;
}

static int fill_leaf(void *user, const int64_t *start, const int64_t *count, void *dst,
                     cm_error *err)
{
    (void)err;
    const node *n = user;
    int64_t i[CM_MAX_DIMS] = {0}, x[MAX_ND] = {0};
    uint8_t *out = dst;
    do {
        for (int k = 0; k < n->nd; k++)
            x[k] = start[k] + i[k];
        int64_t v = leaf_value(n, x);
        int32_t v32 = (int32_t)v;
        double d = (double)v;
        size_t size = n->kind == CM_INT32 ? 4 : 8;
        memcpy(out,
               n->kind == CM_INT32   ? (void *)&v32
               : n->kind == CM_INT64 ? (void *)&v
                                     : (void *)&d,
               size);
        out += size;
    } while (cm_next(n->nd, count, i));
    return 0;
}

static int apply_affine(const cm_map *map, const void *src, void *dst, int64_t n, cm_arena *arena,
                        cm_error *err)
{
    (void)arena;
    (void)err;
    const node *m = map->state;
    for (int64_t i = 0; i < n; i++) {
        int32_t v32;
        int64_t v;
        double d;
        const uint8_t *from = (const uint8_t *)src + (size_t)i * map->from.size;
        if (map->from.kind == CM_INT32)
            memcpy(&v32, from, 4), v = v32;
        else if (map->from.kind == CM_INT64)
            memcpy(&v, from, 8);
        else
            memcpy(&d, from, 8), v = (int64_t)d;
        v = v * m->factor + m->add;
        v32 = (int32_t)v;
        d = (double)v;
        memcpy((uint8_t *)dst + (size_t)i * map->to.size,
               map->to.kind == CM_INT32   ? (void *)&v32
               : map->to.kind == CM_INT64 ? (void *)&v
                                          : (void *)&d,
               map->to.size);
    }
    return 0;
}

static int64_t below(uint64_t *seed, int64_t n)
{
    return (int64_t)(tap_random(seed) % (uint64_t)n);
}

static node *make(uint64_t *seed, int nd, const int64_t *shape, cm_kind kind, int depth)
{
    static const cm_kind kinds[] = {CM_INT32, CM_INT64, CM_FLOAT64};
    node *n = calloc(1, sizeof *n);
    cm_error err;
    int64_t bigger[MAX_ND];
    n->kind = kind;
    n->nd = nd;
    memcpy(n->shape, shape, (size_t)nd * sizeof *shape);
    memcpy(bigger, shape, (size_t)nd * sizeof *shape);
    n->op = depth == 0 ? (below(seed, 5) ? LEAF : BLANK) : (op)below(seed, 4);
    if (nd > 0 && shape[0] == 1 && depth > 0 && below(seed, 2))
        n->op = EXPAND;
    if (nd == 0 && n->op == CONCAT)
        n->op = MAP;
    cm_array *parts[MAX_PARTS];
    switch (n->op) {
    case LEAF:
        n->salt = below(seed, 1000);
        for (int i = 0; i < nd; i++)
            n->chunk[i] = 1 + below(seed, 2) * below(seed, 7);
        TAP_CALL(cm_array_from_callback(cm_dtype_of(kind, 0), nd, shape, n->chunk, fill_leaf, n,
                                        NULL, &n->array, &err),
                 &err);
        break;
    case BLANK: {
        n->salt = below(seed, 1000);
        int32_t v32 = (int32_t)n->salt;
        double d = (double)n->salt;
        for (int i = 0; i < nd; i++)
            n->chunk[i] = 1 + below(seed, 7);
        TAP_CALL(cm_array_blank(cm_dtype_of(kind, 0), nd, shape, n->chunk,
                                kind == CM_INT32   ? (void *)&v32
                                : kind == CM_INT64 ? (void *)&n->salt
                                                   : (void *)&d,
                                "blank", "/b", &n->array, &err),
                 &err);
        break;
    }
    case EXPAND:
        n->parts[n->nparts++] = make(seed, nd - 1, shape + 1, kind, depth - 1);
        TAP_CALL(cm_array_expand(n->parts[0]->array, &n->array, &err), &err);
        break;
    case SUBSET:
        for (int i = 0; i < nd; i++) {
            n->start[i] = below(seed, 6);
            bigger[i] += n->start[i] + below(seed, 4);
        }
        n->parts[n->nparts++] = make(seed, nd, bigger, kind, depth - 1);
        TAP_CALL(cm_array_subset(n->parts[0]->array, n->start, shape, &n->array, &err), &err);
        break;
    case CONCAT:
        n->axis = (int)below(seed, nd);
        for (int64_t rest = shape[n->axis]; n->nparts < MAX_PARTS;) {
            bool last = n->nparts == MAX_PARTS - 1 || below(seed, 5) == 0;
            bigger[n->axis] = last ? rest : below(seed, 2) ? below(seed, rest + 1) : rest > 0;
            rest -= bigger[n->axis];
            n->parts[n->nparts] = make(seed, nd, bigger, kind, depth - 1);
            parts[n->nparts] = n->parts[n->nparts]->array;
            n->nparts++;
            if (last)
                break;
        }
        TAP_CALL(cm_array_concat(parts, (size_t)n->nparts, n->axis, &n->array, &err), &err);
        break;
    case MAP:
        n->factor = 1 + below(seed, 3);
        n->add = below(seed, 100);
        n->parts[n->nparts++] = make(seed, nd, shape, kinds[below(seed, 3)], depth - 1);
        TAP_CALL(cm_array_map(n->parts[0]->array, cm_dtype_of(kind, 0), apply_affine, n, NULL, NULL,
                              &n->array, &err),
                 &err);
        break;
    }
    /* composites hold their own references */
    for (int k = 0; k < n->nparts; k++)
        cm_array_unref(n->parts[k]->array);
    return n;
}

static void drop(node *n)
{
    for (int k = 0; k < n->nparts; k++)
        drop(n->parts[k]);
    free(n);
}

static bool check_read(cm_context *ctx, node *n, uint64_t *seed)
{
    int64_t start[MAX_ND], count[MAX_ND], strides[MAX_ND], i[CM_MAX_DIMS] = {0}, x[MAX_ND] = {0};
    size_t size = n->kind == CM_INT32 ? 4 : 8, total = size;
    for (int k = 0; k < n->nd; k++) {
        start[k] = below(seed, n->shape[k] + 1);
        count[k] = below(seed, n->shape[k] - start[k] + 1);
        if (below(seed, 3) == 0)
            start[k] = 0, count[k] = n->shape[k];
    }
    for (int k = 0; k < n->nd; k++) { /* first axis fastest, to be different from C order */
        strides[k] = (int64_t)total;
        total *= (size_t)(count[k] ? count[k] : 1);
    }
    uint8_t *dst = malloc(total);
    cm_error err;
    bool good = cm_array_read(ctx, n->array, start, count, dst, strides, NULL, &err) == 0;
    if (!good) {
        TAP_STR(err.message, "no error");
        free(dst);
        return false;
    }
    for (int k = 0; k < n->nd; k++)
        if (count[k] == 0)
            goto out;
    do {
        size_t at = 0;
        for (int k = 0; k < n->nd; k++) {
            x[k] = start[k] + i[k];
            at += (size_t)(i[k] * strides[k]);
        }
        int64_t want = value(n, x), v = 0;
        int32_t v32 = 0;
        double d = 0;
        memcpy(n->kind == CM_INT32   ? (void *)&v32
               : n->kind == CM_INT64 ? (void *)&v
                                     : (void *)&d,
               dst + at, size);
        if (n->kind == CM_INT32)
            v = v32, want = (int32_t)want;
        else if (n->kind == CM_FLOAT64)
            v = (int64_t)d;
        good = good && v == want;
    } while (good && cm_next(n->nd, count, i));
out:
    free(dst);
    return good;
}

static bool check_grid(const node *n)
{
    if (cm_shape_nelem(n->nd, n->shape) == 0)
        return true; /* no chunks: any grid will do */
    for (int axis = 0; axis < n->nd; axis++) {
        cm_axis_grid g = cm_array_grid(n->array, axis);
        if (g.length != n->shape[axis] || (g.ncuts == 0 && g.size < 1))
            return false;
        if (g.ncuts && (g.cuts[0] != 0 || g.cuts[g.ncuts] != g.length))
            return false;
        int64_t next = 1;
        for (int64_t x = 1; x < g.length; x++) {
            bool have = g.ncuts ? next < g.ncuts && g.cuts[next] == x : x % g.size == 0;
            next += g.ncuts && have;
            if (have != is_cut(n, axis, x))
                return false;
        }
        if (g.ncuts && next != g.ncuts)
            return false;
    }
    return true;
}

static void random_compositions(void)
{
    static const cm_kind kinds[] = {CM_INT32, CM_INT64, CM_FLOAT64};
    cm_context_options options;
    cm_context *ctx;
    cm_error err;
    uint64_t seed = tap_seed();
    cm_context_options_init(&options);
    options.threads = 2;
    TAP_CALL(cm_context_new(&options, &ctx, &err), &err);
    for (int round = 0; round < 1500; round++) {
        uint64_t before = seed;
        int64_t shape[MAX_ND];
        int nd = (int)below(&seed, MAX_ND + 1);
        for (int i = 0; i < nd; i++)
            shape[i] = below(&seed, 12);
        node *n = make(&seed, nd, shape, kinds[below(&seed, 3)], (int)below(&seed, 5));
        bool reads = true;
        for (int k = 0; k < 4; k++)
            reads = reads && check_read(ctx, n, &seed);
        bool grid = check_grid(n);
        if (!TAP_OK(reads) || !TAP_OK(grid)) {
            printf("# round %d, seed %" PRIu64 "\n", round, before);
            round = 1 << 20;
        }
        cm_array_unref(n->array);
        drop(n);
    }
    cm_context_free(ctx);
}

static int fill_zero(void *user, const int64_t *start, const int64_t *count, void *dst,
                     cm_error *err)
{
    (void)user, (void)start, (void)err;
    memset(dst, 0, (size_t)count[0] * 4);
    return 0;
}

static void ten_thousand_parts(void)
{
    enum { N = 10000 };
    static cm_array *parts[N];
    cm_error err;
    cm_array *a, *s;
    int64_t one = 1, chunk = 512, lo = 5000, n = 10;
    for (int i = 0; i < N; i++)
        TAP_CALL(cm_array_from_callback(cm_dtype_of(CM_INT32, 0), 1, &one, &chunk, fill_zero, NULL,
                                        NULL, &parts[i], &err),
                 &err);
    TAP_CALL(cm_array_concat(parts, N, 0, &a, &err), &err);
    for (int i = 0; i < N; i++)
        cm_array_unref(parts[i]);
    TAP_EQ(cm_array_shape(a)[0], N);
    TAP_EQ(cm_array_grid(a, 0).ncuts, 0);
    TAP_EQ(cm_array_grid(a, 0).size, 1);
    TAP_EQ(cm_array_cost(a).max_chunk_nbytes, 4);
    TAP_CALL(cm_array_subset(a, &lo, &n, &s, &err), &err);
    TAP_EQ(cm_array_grid(s, 0).size, 1);
    cm_array_unref(a);
    cm_array_unref(s);
}

static void refusals(void)
{
    cm_error err;
    cm_array *a, *b, *c, *out;
    int64_t shape[2] = {4, 5}, other[2] = {4, 6}, lo[2] = {1, 0}, n[2] = {4, 5};
    TAP_CALL(cm_array_from_callback(cm_dtype_of(CM_INT32, 0), 2, shape, NULL, fill_zero, NULL, NULL,
                                    &a, &err),
             &err);
    TAP_CALL(cm_array_from_callback(cm_dtype_of(CM_INT32, 0), 2, other, NULL, fill_zero, NULL, NULL,
                                    &b, &err),
             &err);
    TAP_CALL(cm_array_from_callback(cm_dtype_of(CM_INT16, 0), 2, shape, NULL, fill_zero, NULL, NULL,
                                    &c, &err),
             &err);
    TAP_EQ(cm_array_subset(a, lo, n, &out, &err), CM_EINVAL);
    cm_array *ab[2] = {a, b}, *ac[2] = {a, c};
    TAP_EQ(cm_array_concat(ab, 2, 0, &out, &err), CM_EJOIN);
    TAP_STR(err.message, "the length of axis 1 is 6, but 5 in callback");
    TAP_EQ(cm_array_concat(ac, 2, 0, &out, &err), CM_EJOIN);
    TAP_STR(err.message, "dtype is int16, but int32 in callback");
    TAP_EQ(cm_array_concat(ab, 2, 2, &out, &err), CM_EINVAL);
    TAP_EQ(cm_array_concat(ab, 0, 0, &out, &err), CM_EINVAL);
    TAP_CALL(cm_array_concat(ab, 2, 1, &out, &err), &err);
    TAP_EQ(cm_array_grid(out, 1).ncuts, 2);
    cm_array_unref(out);
    int64_t zero[2] = {0, 0};
    TAP_CALL(cm_array_subset(a, zero, shape, &out, &err), &err);
    TAP_OK(out == a);
    cm_array_unref(out);
    cm_array_unref(a);
    cm_array_unref(b);
    cm_array_unref(c);
}

int main(void)
{
    TAP_RUN(random_compositions);
    TAP_RUN(ten_thousand_parts);
    TAP_RUN(refusals);
    return tap_done();
}
