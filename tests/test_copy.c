/* tests/test_copy.c: cm_nd_copy, cm_nd_fill and cm_nd_all_equal against naive ones, over random
 * shapes, strides, cell sizes and swaps; every byte that must not be touched is checked as well. */
#include "base/bytes.h"
#include "chunkmill/error.h"
#include "nd/box.h"
#include "nd/copy.h"
#include "tap.h"

static uint64_t rng;

static int64_t pick(int64_t lo, int64_t hi)
{
    return lo + (int64_t)(tap_random(&rng) % (uint64_t)(hi - lo + 1));
}

/* One cell at a time, offsets computed anew for each: what it does can be checked by reading it. */
static void copy_cells(int ndim, const int64_t *n, size_t size, void *dst,
                       const int64_t *dst_strides, const void *src, const int64_t *src_strides,
                       uint32_t swap_word)
{
    for (int k = 0; k < ndim; k++)
        if (n[k] <= 0)
            return;
    size_t word = swap_word ? swap_word : 1;
    int64_t i[CM_MAX_DIMS] = {0};
    do {
        int64_t to = 0, from = 0;
        for (int k = 0; k < ndim; k++) {
            to += i[k] * dst_strides[k];
            from += i[k] * src_strides[k];
        }
        uint8_t *d = (uint8_t *)dst + to;
        const uint8_t *s = (const uint8_t *)src + from;
        for (size_t b = 0; b < size; b++)
            d[b] = s[b / word * word + (word - 1 - b % word)];
    } while (cm_next(ndim, n, i));
}

/* A random layout of the box n: axes in random order, gaps, negative directions; for sources also
 * stride zero. *nbytes: memory needed; *origin: offset of cell 0. */
static void layout(int ndim, const int64_t *n, size_t size, bool source, int64_t *strides,
                   int64_t *nbytes, int64_t *origin)
{
    int order[CM_MAX_DIMS];
    for (int k = 0; k < ndim; k++) {
        int at = (int)pick(0, k);
        order[k] = order[at];
        order[at] = k;
    }
    bool gaps = pick(0, 1), zeros = source && pick(0, 4) == 0, plain = pick(0, 3) == 0;
    int64_t step = (int64_t)size + (gaps && pick(0, 3) == 0 ? pick(1, 9) : 0);
    *origin = pick(0, 15);
    int64_t end = *origin + step;
    for (int j = ndim - 1; j >= 0; j--) {
        int k = plain ? j : order[j];
        int64_t length = n[k] > 0 ? n[k] : 1;
        if (zeros && pick(0, 2) == 0) {
            strides[k] = 0;
            continue;
        }
        strides[k] = step;
        if (pick(0, 5) == 0) {
            strides[k] = -step;
            *origin += step * (length - 1);
        }
        end += step * (length - 1);
        step = step * length + (gaps && pick(0, 2) == 0 ? pick(1, 40) : 0);
    }
    *nbytes = end + pick(0, 15);
}

static void fill_random(uint8_t *p, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        p[i] = (uint8_t)(tap_random(&rng) >> 24);
}

static void random_shape(int *ndim, int64_t *n)
{
    *ndim = (int)pick(0, 6);
    int64_t room = pick(0, 9) == 0 ? 200000 : 3000;
    for (int k = 0; k < *ndim; k++) {
        int64_t top = pick(0, 2) == 0 ? room : 7;
        n[k] = pick(0, 80) == 0 ? 0 : pick(1, cm_max_i64(1, cm_min_i64(top, room)));
        if (n[k])
            room /= n[k];
    }
}

static void one_copy(void)
{
    static const int sizes[] = {1, 2, 4, 8, 16};
    int64_t n[CM_MAX_DIMS], ds[CM_MAX_DIMS], ss[CM_MAX_DIMS], dn, sn, d0, s0;
    int ndim;
    random_shape(&ndim, n);
    size_t size = (size_t)(pick(0, 2) ? sizes[pick(0, 4)] : pick(1, 40));
    uint32_t word = pick(0, 1) ? 0 : 1u << pick(1, 3);
    if (word && size % word)
        word = 0;
    layout(ndim, n, size, false, ds, &dn, &d0);
    layout(ndim, n, size, true, ss, &sn, &s0);
    uint8_t *src = malloc((size_t)sn), *want = malloc((size_t)dn), *got = malloc((size_t)dn);
    fill_random(src, sn);
    fill_random(want, dn);
    memcpy(got, want, (size_t)dn);
    copy_cells(ndim, n, size, want + d0, ds, src + s0, ss, word);
    cm_nd_copy(ndim, n, size, got + d0, ds, src + s0, ss, word);
    if (!TAP_OK(memcmp(want, got, (size_t)dn) == 0)) {
        printf("# size %zu word %u\n", size, word);
        for (int k = 0; k < ndim; k++)
            printf("#  n %" PRId64 " ds %" PRId64 " ss %" PRId64 "\n", n[k], ds[k], ss[k]);
    }
    free(src);
    free(want);
    free(got);
}

static void copies(void)
{
    for (int i = 0; i < 3000 && tap_failed_here < 5; i++)
        one_copy();
}

/* Planes big enough that every vector kernel, its edges and its tails run. */
static void transposes(void)
{
    static const int sizes[] = {1, 2, 4, 8, 16};
    for (int round = 0; round < 400 && tap_failed_here < 5; round++) {
        size_t size = (size_t)sizes[round % 5];
        int64_t n[3] = {pick(1, 90), pick(1, 5), pick(1, 90)}, ds[3], ss[3];
        if (round % 16 == 0) { /* several blocks along both axes */
            n[0] = pick(200, 1100);
            n[1] = 1;
            n[2] = pick(200, 1100);
        }
        int64_t total = n[0] * n[1] * n[2] * (int64_t)size;
        int64_t gap = pick(0, 2) * pick(0, 70);
        ss[2] = (int64_t)size;
        ss[1] = n[2] * ss[2] + gap;
        ss[0] = n[1] * ss[1];
        ds[0] = (int64_t)size;
        ds[1] = n[0] * ds[0];
        ds[2] = n[1] * ds[1] + gap;
        size_t room = (size_t)(total + gap * n[0] * n[1] + gap * n[2] + 64);
        uint8_t *src = malloc(room), *want = calloc(room, 1), *got = calloc(room, 1);
        fill_random(src, (int64_t)room);
        int64_t off = pick(0, 15);
        uint32_t word = 1u << pick(0, 3);
        if (word == 1 || size % word)
            word = 0;
        copy_cells(3, n, size, want + off, ds, src + off, ss, word);
        cm_nd_copy(3, n, size, got + off, ds, src + off, ss, word);
        TAP_OK(memcmp(want, got, room) == 0);
        free(src);
        free(want);
        free(got);
    }
}

static void fills(void)
{
    for (int i = 0; i < 800 && tap_failed_here < 5; i++) {
        int64_t n[CM_MAX_DIMS], ds[CM_MAX_DIMS], dn, d0;
        int64_t zero[CM_MAX_DIMS] = {0};
        int ndim;
        random_shape(&ndim, n);
        size_t size = (size_t)(pick(0, 20) ? pick(1, 20) : pick(4000, 9000));
        if (size > 100)
            ndim = ndim > 1 ? 1 : ndim, n[0] = pick(1, 20);
        uint8_t *value = malloc(size);
        fill_random(value, (int64_t)size);
        if (pick(0, 3) == 0)
            memset(value, (int)pick(0, 255), size);
        layout(ndim, n, size, false, ds, &dn, &d0);
        uint8_t *want = malloc((size_t)dn), *got = malloc((size_t)dn);
        fill_random(want, dn);
        memcpy(got, want, (size_t)dn);
        copy_cells(ndim, n, size, want + d0, ds, value, zero, 0);
        cm_nd_fill(ndim, n, size, got + d0, ds, value);
        TAP_OK(memcmp(want, got, (size_t)dn) == 0);
        free(value);
        free(want);
        free(got);
    }
}

static void all_equal(void)
{
    uint8_t data[4096], value[64];
    for (int i = 0; i < 3000; i++) {
        size_t size = (size_t)pick(1, 40), n = (size_t)pick(0, 100);
        fill_random(value, (int64_t)size);
        for (size_t k = 0; k < n; k++)
            memcpy(data + k * size, value, size);
        TAP_OK(cm_nd_all_equal(data, n, size, value));
        if (n) {
            data[pick(0, (int64_t)(n * size) - 1)] ^= (uint8_t)(1 << pick(0, 7));
            TAP_OK(!cm_nd_all_equal(data, n, size, value));
        }
    }
}

static void swaps(void)
{
    uint8_t data[500], want[500];
    for (int i = 0; i < 500; i++) {
        uint32_t word = 1u << pick(1, 3);
        size_t n = (size_t)pick(0, 60) * word;
        int64_t at = pick(0, 15);
        fill_random(data, sizeof data);
        memcpy(want, data, sizeof data);
        for (size_t b = 0; b < n; b++)
            want[(size_t)at + b] = data[(size_t)at + b / word * word + (word - 1 - b % word)];
        cm_swap_bytes(data + at, n, word);
        TAP_OK(memcmp(want, data, sizeof data) == 0);
    }
}

static void boxes(void)
{
    for (int i = 0; i < 3000; i++) {
        /* Membership, cell by cell, decides. */
        cm_box a = {.ndim = 2}, b = {.ndim = 2}, c;
        for (int k = 0; k < 2; k++) {
            a.lo[k] = pick(-3, 5), a.n[k] = pick(0, 5);
            b.lo[k] = pick(-3, 5), b.n[k] = pick(0, 5);
        }
        int both = 0, in_a = 0, in_c = 0;
        bool any = cm_box_intersect(&a, &b, &c);
        for (int64_t x = -5; x < 15; x++)
            for (int64_t y = -5; y < 15; y++) {
                bool pa =
                    x >= a.lo[0] && x < a.lo[0] + a.n[0] && y >= a.lo[1] && y < a.lo[1] + a.n[1];
                bool pb =
                    x >= b.lo[0] && x < b.lo[0] + b.n[0] && y >= b.lo[1] && y < b.lo[1] + b.n[1];
                bool pc = any && x >= c.lo[0] && x < c.lo[0] + c.n[0] && y >= c.lo[1] &&
                          y < c.lo[1] + c.n[1];
                in_a += pa;
                both += pa && pb;
                in_c += pc;
                TAP_OK(pc == (pa && pb));
            }
        TAP_EQ(any, both > 0);
        TAP_EQ(in_c, both);
        TAP_EQ(cm_box_nelem(&a), in_a);
        TAP_EQ(cm_box_empty(&a), in_a == 0);
    }
    int64_t huge[3] = {INT64_MAX / 2, 3, 0}, strides[3], i[3] = {0}, n[3] = {2, 3, 2};
    TAP_EQ(cm_shape_nelem(3, huge), 0);
    TAP_EQ(cm_shape_nelem(2, huge), -1);
    TAP_EQ(cm_shape_nelem(0, huge), 1);
    TAP_OK(!cm_strides_c(2, huge, 4, strides));
    TAP_OK(cm_strides_c(3, n, 4, strides) && strides[0] == 24 && strides[1] == 8 &&
           strides[2] == 4);
    int cells = 1;
    while (cm_next(3, n, i)) {
        TAP_EQ(i[0] * 6 + i[1] * 2 + i[2], cells);
        cells++;
    }
    TAP_EQ(cells, 12);
    TAP_OK(!cm_next(0, n, i));
}

int main(void)
{
    rng = tap_seed();
    TAP_RUN(boxes);
    TAP_RUN(copies);
    TAP_RUN(transposes);
    TAP_RUN(fills);
    TAP_RUN(all_equal);
    TAP_RUN(swaps);
    return tap_done();
}
