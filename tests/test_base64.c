/* Base64 against an encoder that moves one bit at a time, and decoding against its own definition:
 * a text decodes exactly when encoding the result gives it back.
 *
 * Bytes of all lengths around the group of three at random places (CM_SEED gives another seed), and
 * every text of one group made of the characters where something changes.
 */
#include <stdlib.h>
#include <string.h>

#include "tap.h"
#include "text/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static size_t one_bit_at_a_time(const uint8_t *data, size_t n, char *out)
{
    size_t ntext = 0;
    for (size_t bit = 0; bit < 8 * n; bit += 6) {
        unsigned digit = 0;
        for (size_t k = bit; k < bit + 6; k++)
            digit = 2 * digit + (k < 8 * n ? data[k / 8] >> (7 - k % 8) & 1 : 0);
        out[ntext++] = alphabet[digit];
    }
    while (ntext % 4)
        out[ntext++] = '=';
    return ntext;
}

static void there_and_back(void)
{
    uint64_t rng = tap_seed();
    uint8_t data[300], back[300];
    char want[400], have[400];
    for (int round = 0; round < 3000; round++) {
        size_t n = tap_random(&rng) % (round < 1000 ? 10 : sizeof data), got = 0;
        for (size_t i = 0; i < n; i++)
            data[i] = (uint8_t)tap_random(&rng);
        size_t ntext = one_bit_at_a_time(data, n, want);
        cm_base64_encode(data, n, have);
        if (!TAP_OK(cm_base64_nbytes(n) == ntext && memcmp(want, have, ntext) == 0))
            break;
        if (!TAP_OK(cm_base64_decode(have, ntext, back, &got) && got == n &&
                    memcmp(data, back, n) == 0))
            break;
    }
}

/* Each character of one group out of: the ends of the alphabet's runs and their neighbours, digits
 * whose low bits are zero and such whose are not, padding, line ends, bytes above ASCII. The group
 * alone, and before and after another one: padding is for the last only. */
static void every_group(void)
{
    static const char some[] = "AQgwBZaz09+/=-_ \n\x80\xff@[`{:."; /* the NUL counts too */
    static const struct {
        size_t ntext, at;
    } places[] = {{4, 0}, {8, 0}, {8, 4}};
    size_t decoded = 0, wrong = 0, total = 1;
    for (int i = 0; i < 4; i++)
        total *= sizeof some;
    for (size_t place = 0; place < 3; place++) {
        for (size_t number = 0; number < total; number++) {
            char text[8] = "QUJDQUJD", again[8];
            uint8_t bytes[6];
            size_t nbytes = 0, k = number, ntext = places[place].ntext;
            for (size_t i = 0; i < 4; i++, k /= sizeof some)
                text[places[place].at + i] = some[k % sizeof some];
            if (!cm_base64_decode(text, ntext, bytes, &nbytes))
                continue;
            decoded++;
            wrong +=
                one_bit_at_a_time(bytes, nbytes, again) != ntext || memcmp(text, again, ntext) != 0;
        }
    }
    TAP_EQ(wrong, 0);
    /* some has 12 digits; 5 of them end in two zero bits, as before one "=", 4 in four */
    TAP_EQ(decoded, 3 * 12 * 12 * 12 * 12 + 2 * (12 * 12 * 5 + 12 * 4));
}

static void not_base64(void)
{
    static const char *const texts[] = {"Q",    "QU",   "QUJ",  "Q===", "====",  "QR==",  "QUL=",
                                        "QQ=Q", "=UJD", "QUJ-", "QUJ_", "QU JD", "QUJD\n"};
    uint8_t bytes[16];
    size_t n;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        TAP_OK(!cm_base64_decode(texts[i], strlen(texts[i]), bytes, &n));
    TAP_OK(!cm_base64_decode("QU\0D", 4, bytes, &n));
    TAP_OK(cm_base64_decode("", 0, bytes, &n) && n == 0);
    char *one = malloc(1); /* of its own size, so that a sanitizer sees what is read before it */
    *one = '=';
    TAP_OK(!cm_base64_decode(one, 1, bytes, &n));
    free(one);
}

int main(void)
{
    TAP_RUN(there_and_back);
    TAP_RUN(every_group);
    TAP_RUN(not_base64);
    return tap_done();
}
