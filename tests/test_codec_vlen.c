/* vlen-utf8: round trips, malformed bytes, and exactness of sizes. */
#include "tap.h"

#include "base/bytes.h"
#include "codec/codec.h"

static uint64_t seed;
static cm_error err;

static int decode(const void *src, size_t nsrc, cm_string *dst, size_t nelem)
{
    return cm_vlen_decode(cm_dtype_of(CM_STRING, 0), src, nsrc, dst, nelem, &err);
}

static void strings_come_back(void)
{
    uint64_t state = seed;
    static const char *const some[] = {"",
                                       "a",
                                       "Z\xc3\xbcrich",
                                       "\xe6\x9d\xb1\xe4\xba\xac",
                                       "\xf0\x9f\x8c\xa1",
                                       "a longer name, of a station"};
    for (size_t n = 0; n < 200; n += 1 + n / 4) {
        cm_string *in = calloc(n + 1, sizeof *in), *out = calloc(n + 1, sizeof *out);
        for (size_t i = 0; i < n; i++) {
            const char *s = some[tap_random(&state) % 6];
            in[i] = (cm_string){s, strlen(s)};
        }
        size_t nbytes = cm_vlen_encoded_nbytes(in, n);
        uint8_t *bytes = malloc(nbytes);
        cm_vlen_encode(in, n, bytes);
        TAP_CALL(decode(bytes, nbytes, out, n), &err);
        for (size_t i = 0; i < n; i++) {
            TAP_EQ(out[i].nbytes, in[i].nbytes);
            TAP_OK(memcmp(out[i].data, in[i].data, in[i].nbytes) == 0);
        }
        for (size_t cut = 0; cut < nbytes; cut++) {
            uint8_t *part = malloc(cut ? cut : 1);
            memcpy(part, bytes, cut);
            TAP_EQ(decode(part, cut, out, n), CM_EDATA);
            free(part);
        }
        TAP_EQ(decode(bytes, nbytes, out, n + 1), CM_EDATA);
        free(bytes);
        free(in);
        free(out);
    }
}

static void malformed_strings_are_errors(void)
{
    cm_string out[2];
    TAP_EQ(decode("\1\0\0\0\1\0\0\0\xff", 9, out, 1), CM_EDATA); /* not UTF-8 */
    TAP_EQ(decode("\1\0\0\0\1\0\0\0ab", 10, out, 1), CM_EDATA);  /* left over */
    TAP_EQ(decode("\1\0\0\0\xff\xff\xff\xff"
                  "a",
                  9, out, 1),
           CM_EDATA);
    TAP_EQ(decode("\2\0\0\0\1\0\0\0a", 9, out, 1), CM_EDATA);
    TAP_CALL(decode("\1\0\0\0\1\0\0\0a", 9, out, 1), &err);
    const cm_string huge = {"", (size_t)1 << 32};
    TAP_OK(cm_vlen_encoded_nbytes(&huge, 1) == SIZE_MAX);
}

int main(void)
{
    seed = tap_seed();
    TAP_RUN(strings_come_back);
    TAP_RUN(malformed_strings_are_errors);
    return tap_done();
}
