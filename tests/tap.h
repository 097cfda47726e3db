/* tests/tap.h: the test harness: TAP on standard output, exit status 1 when anything failed.
 *
 * A test program has functions registered in main:
 *     static void sums(void) { TAP_OK(1 + 1 == 2); TAP_EQ(cm_ceil_div(5, 2), 3); }
 *     int main(void) { TAP_RUN(sums); return tap_done(); }
 * A failed check prints the place and the values and the program goes on. TAP_SEED() gives a random
 * seed, prints it, and takes another from CM_SEED; CM_SEED=random is a new one every time.
 */
#ifndef CM_TESTS_TAP_H
#define CM_TESTS_TAP_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int tap_count, tap_failed_here, tap_failed;

#define TAP_OK(cond)                                                                  \
    ((cond) ? 1 : (tap_failed_here++, printf("# %s:%d: %s\n", __FILE__, __LINE__, #cond), 0))

#define TAP_EQ(a, b)                                                                              \
    do {                                                                                          \
        long long tap_a = (long long)(a), tap_b = (long long)(b);                                 \
        if (tap_a != tap_b) {                                                                     \
            tap_failed_here++;                                                                    \
            printf("# %s:%d: %s is %lld, want %s = %lld\n", __FILE__, __LINE__, #a, tap_a, #b, tap_b); \
        }                                                                                         \
    } while (0)

#define TAP_STR(a, b)                                                                             \
    do {                                                                                          \
        const char *tap_a = (a), *tap_b = (b);                                                    \
        if (!tap_a || !tap_b || strcmp(tap_a, tap_b) != 0) {                                      \
            tap_failed_here++;                                                                    \
            printf("# %s:%d: %s is \"%s\", want \"%s\"\n", __FILE__, __LINE__, #a, tap_a ? tap_a : "(null)", \
                   tap_b ? tap_b : "(null)");                                                     \
        }                                                                                         \
    } while (0)

/* For calls that must succeed: prints the error line. */
#define TAP_CALL(call, err)                                                                       \
    do {                                                                                          \
        int tap_r = (call);                                                                       \
        if (tap_r != 0) {                                                                         \
            char tap_line[2048];                                                                  \
            tap_failed_here++;                                                                    \
            printf("# %s:%d: %s: %s\n", __FILE__, __LINE__, #call, cm_error_line((err), tap_line, sizeof tap_line)); \
        }                                                                                         \
    } while (0)

#define TAP_RUN(fn)                                                                               \
    do {                                                                                          \
        tap_failed_here = 0;                                                                      \
        fn();                                                                                     \
        tap_count++;                                                                              \
        tap_failed += tap_failed_here != 0;                                                       \
        printf("%sok %d - %s\n", tap_failed_here ? "not " : "", tap_count, #fn);                  \
        fflush(stdout);                                                                           \
    } while (0)

/* Loudly leave a test out. */
#define TAP_SKIP(fn, why) printf("ok %d - %s # SKIP %s\n", ++tap_count, #fn, why)

static inline int tap_done(void)
{
    printf("1..%d\n", tap_count);
    return tap_failed != 0;
}

/* A small generator, the same everywhere (splitmix64). */
static inline uint64_t tap_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline uint64_t tap_seed(void)
{
    const char *s = getenv("CM_SEED");
    bool fresh = s && strcmp(s, "random") == 0;
    uint64_t seed = fresh ? (uint64_t)time(NULL) * 2654435761u : s ? strtoull(s, NULL, 10) : 1;
    printf("# seed %" PRIu64 " (repeat with CM_SEED=%" PRIu64 ")\n", seed, seed);
    return seed;
}

#endif
