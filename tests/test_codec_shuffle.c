/* The shuffle kernels against the scalar reference, every size of cell and every number of cells
 * around the kernels' steps; and the reference against its definition. */
#include "tap.h"

#include "codec/codec_private.h"

static uint64_t seed;

enum { MAX_ELEM = 300, MAX_SIZE = 40 };

static uint8_t src[MAX_ELEM * MAX_SIZE], want[MAX_ELEM * MAX_SIZE], got[MAX_ELEM * MAX_SIZE + 64];

static void fill(uint64_t *state)
{
    for (size_t i = 0; i < sizeof src; i++)
        src[i] = (uint8_t)tap_random(state);
}

static void the_reference_is_the_definition(void)
{
    uint64_t state = seed;
    fill(&state);
    for (size_t size = 1; size <= MAX_SIZE; size++)
        for (size_t n = 0; n <= MAX_ELEM; n += 1 + n / 3) {
            cm_shuffle_scalar(src, got, n, size);
            size_t bad = 0;
            for (size_t i = 0; i < n; i++)
                for (size_t j = 0; j < size; j++)
                    bad += got[j * n + i] != src[i * size + j];
            TAP_EQ(bad, 0);
            cm_unshuffle_scalar(got, want, n, size);
            TAP_OK(memcmp(want, src, n * size) == 0);
        }
}

static void shuffles_equal_the_reference(void)
{
    uint64_t state = seed + 1;
    fill(&state);
    for (size_t size = 1; size <= MAX_SIZE; size++)
        for (size_t n = 0; n <= MAX_ELEM; n++) {
            size_t nbytes = n * size, shift = tap_random(&state) % 32; /* unaligned as well */
            for (int forward = 0; forward < 2; forward++) {
                memset(got, 0xA5, sizeof got);
                if (forward) {
                    cm_shuffle_scalar(src, want, n, size);
                    cm_shuffle(src, got + shift, n, size);
                } else {
                    cm_unshuffle_scalar(src, want, n, size);
                    cm_unshuffle(src, got + shift, n, size);
                }
                TAP_OK(memcmp(want, got + shift, nbytes) == 0);
                TAP_OK(got[shift + nbytes] == 0xA5);
            }
        }
}

/* cm_shuffle chooses one kernel; this reaches each that the CPU can run. */
static void every_kernel_equals_the_reference(void)
{
    uint64_t state = seed + 2;
    fill(&state);
    int ran = 0;
    for (size_t size = 2; size <= 16; size *= 2)
        for (size_t n = 0; n <= MAX_ELEM; n++)
            for (int forward = 0; forward < 2; forward++)
                for (int level = 0; level < 2; level++) {
                    memset(got, 0xA5, sizeof got);
                    size_t done = cm_shuffle_kernel(src, got, n, size, forward, level);
                    ran += done > 0;
                    TAP_OK(done <= n && n - done < (n >= 16 && done ? 32u : n + 1));
                    (forward ? cm_shuffle_scalar : cm_unshuffle_scalar)(src, want, n, size);
                    for (size_t i = 0; i < done; i++)
                        for (size_t j = 0; j < size; j++) {
                            size_t at = forward ? j * n + i : i * size + j;
                            if (got[at] != want[at]) {
                                TAP_EQ(got[at], want[at]);
                                return;
                            }
                        }
                }
#if defined(__x86_64__)
    TAP_OK(ran > 0);
#endif
}

static bool bit(const uint8_t *p, size_t n)
{
    return p[n / 8] >> n % 8 & 1;
}

static void bitshuffle_is_its_definition(void)
{
    uint64_t state = seed + 3;
    static uint8_t tmp[sizeof src];
    fill(&state);
    for (size_t size = 1; size <= MAX_SIZE; size += 1 + size / 5)
        for (size_t n = 8; n <= MAX_ELEM; n += 8 * (1 + tap_random(&state) % 3)) {
            memset(got, 0xA5, sizeof got);
            cm_bitshuffle(src, got, tmp, n, size);
            size_t bad = 0;
            for (size_t i = 0; i < n; i++)
                for (size_t b = 0; b < 8 * size; b++)
                    bad += bit(got, b * n + i) != bit(src, i * size * 8 + b);
            TAP_EQ(bad, 0);
            TAP_OK(got[n * size] == 0xA5);
            memset(want, 0xA5, sizeof want);
            cm_bitunshuffle(got, want, tmp, n, size);
            TAP_OK(memcmp(want, src, n * size) == 0);
            TAP_OK(n * size == sizeof want || want[n * size] == 0xA5);
        }
}

int main(void)
{
    seed = tap_seed();
    TAP_RUN(the_reference_is_the_definition);
    TAP_RUN(shuffles_equal_the_reference);
    TAP_RUN(every_kernel_equals_the_reference);
    TAP_RUN(bitshuffle_is_its_definition);
    return tap_done();
}
