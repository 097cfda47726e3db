/* bench/bench_copy.c: speed of cm_nd_copy and its kin, in GB/s of cells copied (read + written is
 * twice that), best of several runs. memcpy of the same number of bytes is the yardstick.
 *
 *     gcc -O2 -DNDEBUG -D_GNU_SOURCE -Iinclude -Isrc bench/bench_copy.c src/nd/[cfst]*.c
 * src/nd/box.c
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "nd/box.h"
#include "nd/copy.h"

static uint8_t *src, *dst;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void report(const char *name, double nbytes, double best)
{
    printf("%-46s %7.1f MB %7.2f GB/s\n", name, nbytes / 1e6, nbytes / 1e9 / best);
}

/* Copies the box n with the given strides often enough for a stable best. */
static void run(const char *name, int ndim, const int64_t *n, size_t size, const int64_t *ds,
                const int64_t *ss, uint32_t word)
{
    double best = 1e9, nbytes = (double)size;
    for (int k = 0; k < ndim; k++)
        nbytes *= (double)n[k];
    int64_t d0 = 0, s0 = 0;
    for (int k = 0; k < ndim; k++) {
        d0 += ds[k] < 0 ? -ds[k] * (n[k] - 1) : 0;
        s0 += ss[k] < 0 ? -ss[k] * (n[k] - 1) : 0;
    }
    double begin = now();
    for (int i = 0; i < 50 && (i < 5 || now() - begin < 0.4); i++) {
        double t = now();
        cm_nd_copy(ndim, n, size, dst + d0, ds, src + s0, ss, word);
        t = now() - t;
        best = t < best ? t : best;
    }
    report(name, nbytes, best);
}

/* A transpose: destination axes in the order given (slowest first), both sides dense. */
static void permuted(const char *name, int ndim, const int64_t *n, size_t size, const int *order,
                     uint32_t word)
{
    int64_t ds[8], ss[8], step = (int64_t)size;
    cm_strides_c(ndim, n, size, ss);
    for (int k = ndim - 1; k >= 0; k--) {
        ds[order[k]] = step;
        step *= n[order[k]];
    }
    run(name, ndim, n, size, ds, ss, word);
}

int main(void)
{
    size_t room = (size_t)300 << 20;
    src = malloc(room);
    dst = malloc(room);
    for (size_t i = 0; i < room; i++)
        src[i] = (uint8_t)(i * 31 >> 3);
    memset(dst, 1, room);
    double best = 1e9;
    for (int i = 0; i < 10; i++) {
        double t = now();
        memcpy(dst, src, 64000000);
        t = now() - t;
        best = t < best ? t : best;
    }
    report("memcpy", 64e6, best);
    int64_t flat[1] = {64000000}, one[1] = {1};
    run("contiguous", 1, flat, 1, one, one, 0);
    for (uint32_t w = 2; w <= 8; w *= 2) {
        char name[64];
        int64_t n[1] = {64000000 / w}, s[1] = {w};
        snprintf(name, sizeof name, "contiguous, swap %u", w);
        run(name, 1, n, w, s, s, w);
        n[0] = 262144 / w;
        snprintf(name, sizeof name, "contiguous 256 KB, swap %u", w);
        run(name, 1, n, w, s, s, w);
    }
    {
        int64_t n[3] = {30, 72, 72}, ss[3] = {72 * 72 * 4, 72 * 4, 4},
                ds[3] = {720 * 1440 * 4, 1440 * 4, 4};
        run("scatter chunk (30,72,72) f4 into (30,720,1440)", 3, n, 4, ds, ss, 0);
        run("  the same, swap 4", 3, n, 4, ds, ss, 4);
        int64_t m[3] = {30, 720, 12}, ms[3] = {720 * 12 * 4, 12 * 4, 4};
        run("rows of 12 f4", 3, m, 4, ds, ms, 0);
        run("rows of 12 f4, swap 4", 3, m, 4, ds, ms, 4);
        int64_t k[3] = {300, 720, 5}, ks[3] = {720 * 5 * 4, 5 * 4, 4}, kd[3] = {720 * 80, 80, 4};
        run("rows of 5 f4", 3, k, 4, kd, ks, 0);
        int64_t h[2] = {4000, 4000}, hs[2] = {32000, 8}, hd[2] = {16000, 4};
        run("every second f4", 2, h, 4, hd, hs, 0);
        run("every second f4, swap 4", 2, h, 4, hd, hs, 4);
        int64_t fs[2] = {16000, -4};
        run("inner axis reversed f4", 2, h, 4, hd, fs, 0);
        int64_t gs[2] = {-16000, 4};
        run("outer axis reversed f4", 2, h, 4, hd, gs, 0);
        int64_t bs[2] = {4, 0};
        run("inner axis repeated f4", 2, h, 4, hd, bs, 0);
    }
    static const int sizes[] = {1, 2, 4, 8, 16, 12};
    for (int i = 0; i < 6; i++) {
        char name[64];
        size_t size = (size_t)sizes[i];
        static const int back[3] = {1, 0, 2}, to_time_last[3] = {1, 2, 0}, reverse[3] = {2, 1, 0};
        int64_t a[2] = {3000, 4000}, b[2] = {2048, 4096}, c[3] = {365, 180, 180},
                d[3] = {4, 500, 700}, e[3] = {700, 500, 4};
        snprintf(name, sizeof name, "size %zu: transpose 3000 x 4000", size);
        permuted(name, 2, a, size, back, 0);
        snprintf(name, sizeof name, "size %zu: transpose 2048 x 4096", size);
        permuted(name, 2, b, size, back, 0);
        snprintf(name, sizeof name, "size %zu: (365,180,180) to (y,x,t)", size);
        permuted(name, 3, c, size, to_time_last, 0);
        snprintf(name, sizeof name, "size %zu: (365,180,180) to (x,y,t)", size);
        permuted(name, 3, c, size, reverse, 0);
        snprintf(name, sizeof name, "size %zu: (4,500,700) to (y,x,t)", size);
        permuted(name, 3, d, size, to_time_last, 0);
        snprintf(name, sizeof name, "size %zu: (4,500,700) to (x,y,t)", size);
        permuted(name, 3, d, size, reverse, 0);
        snprintf(name, sizeof name, "size %zu: (700,500,4) to (x,y,t)", size);
        permuted(name, 3, e, size, reverse, 0);
        if (size == 4) {
            permuted("size 4 swap 4: transpose 3000 x 4000", 2, a, size, back, 4);
            int64_t small[3] = {32, 48, 48};
            permuted("size 4: (32,48,48) to (y,x,t), in cache", 3, small, 4, to_time_last, 0);
        }
    }
    float value = 1.5f;
    int64_t n[1] = {16000000}, s[1] = {4};
    best = 1e9;
    for (int i = 0; i < 5; i++) {
        double t = now();
        cm_nd_fill(1, n, 4, dst, s, &value);
        t = now() - t;
        best = t < best ? t : best;
    }
    report("fill f4", 64e6, best);
    best = 1e9;
    bool same = true;
    for (int i = 0; i < 5; i++) {
        double t = now();
        same = cm_nd_all_equal(dst, 16000000, 4, &value) && same;
        t = now() - t;
        best = t < best ? t : best;
    }
    report(same ? "all equal f4" : "all equal f4: WRONG", 64e6, best);
    free(src);
    free(dst);
    return 0;
}
