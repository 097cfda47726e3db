/* Our Blosc frames and c-blosc's: each reads what the other writes, for all compressors, shuffles,
 * type sizes, levels and block sizes; blocks are of the same size, so that files are as well. */
#include "tap.h"

#include <blosc.h>

#include "base/bytes.h"
#include "codec/blosc_frame.h"

static uint64_t seed;
static cm_error err;

static const char *const compressors[] = {"blosclz", "lz4", "lz4hc", "snappy", "zlib", "zstd"};
static const uint32_t typesizes[] = {1, 2, 3, 4, 8, 12, 16, 17, 100, 255, 256, 1000};
static const size_t sizes[] = {0,    1,     7,     8,     127,    128,    129,    255,    1000,
                               4096, 32767, 32768, 33000, 131072, 200001, 700000, 2500000};

static uint8_t *data, *enc, *dec;

static void fill(size_t n, uint64_t *state)
{
    uint64_t kind = tap_random(state) % 4;
    for (size_t i = 0; i < n; i++)
        data[i] = kind == 0   ? (uint8_t)tap_random(state)
                  : kind == 1 ? (uint8_t)(i / 100)
                  : i % 4 < 2 ? (uint8_t)tap_random(state)
                              : (uint8_t)(i / 9999 + i % 4);
}

static void both_ways(cm_codec_work *work, uint64_t *state)
{
    const char *cname = compressors[tap_random(state) % 6];
    uint32_t typesize = typesizes[tap_random(state) % 12];
    size_t n = sizes[tap_random(state) % 17], nenc, ndec, bound = n + BLOSC_MAX_OVERHEAD;
    int level = (int)(tap_random(state) % 10), shuffle = (int)(tap_random(state) % 3);
    int64_t blocksize = tap_random(state) % 3 ? 0 : (int64_t)(tap_random(state) % 100000);
    if (level > 7 && n > 200001) /* slow, and nothing new */
        level = 3;
    fill(n, state);
    cm_codec *c;
    int before = tap_failed_here;
    TAP_CALL(cm_codec_new_blosc(cname, level, shuffle, typesize, blocksize, &c, &err), &err);

    TAP_CALL(c->cls->encode(c, work, data, n, enc, bound, &nenc, &err), &err);
    TAP_OK(nenc <= bound);
    memset(dec, 0xA5, n + 1);
    int r = blosc_decompress_ctx(enc, dec, n, 1);
    TAP_EQ(r, n);
    TAP_OK(memcmp(dec, data, n) == 0);
    uint32_t block = cm_load_le32(enc + 8);

    r = blosc_compress_ctx(level, shuffle, typesize, n, data, enc, bound, cname, (size_t)blocksize,
                           1);
    TAP_OK(r > 0);
    TAP_EQ(block, cm_load_le32(enc + 8));
    memset(dec, 0xA5, n + 1);
    TAP_CALL(c->cls->decode(c, work, enc, (size_t)r, dec, n, &ndec, &err), &err);
    TAP_EQ(ndec, n);
    TAP_OK(memcmp(dec, data, n) == 0 && dec[n] == 0xA5);
    if (tap_failed_here != before)
        printf("# that was %s level %d shuffle %d type %u block %d, %zu bytes\n", cname, level,
               shuffle, typesize, (int)blocksize, n);
    cm_codec_free(c);
}

static void each_reads_the_other(void)
{
    uint64_t state = seed;
    cm_codec_work *work;
    TAP_CALL(cm_codec_work_new(&work, &err), &err);
    for (int i = 0; i < 1200; i++)
        both_ways(work, &state);
    cm_codec_work_free(work);
}

static void bad_headers_are_errors(void)
{
    cm_codec_work *work;
    cm_codec *c;
    size_t nenc, ndec, n = 20000;
    TAP_CALL(cm_codec_work_new(&work, &err), &err);
    TAP_CALL(cm_codec_new_blosc("lz4", 5, 1, 4, 8192, &c, &err), &err);
    for (size_t i = 0; i < n; i++)
        data[i] = (uint8_t)(i / 70);
    TAP_CALL(c->cls->encode(c, work, data, n, enc, n + 16, &nenc, &err), &err);
    static const struct {
        int at, value, code;
    } changes[] = {
        {0, 3, CM_EUNSUP},                       /* c-blosc2's version */
        {0, 1, CM_EDATA},                        /* before there were splits */
        {2, 0x08, CM_EDATA},                     /* a reserved flag */
        {2, 0x02, CM_EDATA},                     /* a copy of another size */
        {3, 0, CM_EDATA},                        /* type size */
        {3, 3, CM_EDATA},                        /* 8192 is no multiple */
        {4, 0, CM_EDATA},                        /* decoded size: less */
        {6, 1, CM_ELIMIT},                       /* more */
        {7, 0x80, CM_EDATA},                     /* negative */
        {10, 0xff, CM_EDATA}, {12, 0, CM_EDATA}, /* frame size */
        {16, 8, CM_EDATA},                       /* a block within the table of blocks */
        {19, 0x80, CM_EDATA},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        uint8_t old = enc[changes[i].at];
        enc[changes[i].at] = (uint8_t)changes[i].value;
        int r = c->cls->decode(c, work, enc, nenc, dec, n, &ndec, &err);
        if (r != changes[i].code)
            printf("# byte %d as %d\n", changes[i].at, changes[i].value);
        TAP_EQ(r, changes[i].code);
        enc[changes[i].at] = old;
    }
    TAP_CALL(c->cls->decode(c, work, enc, nenc, dec, n, &ndec, &err), &err);
    cm_codec_free(c);
    cm_codec_work_free(work);
}

int main(void)
{
    seed = tap_seed();
    data = malloc(2500000);
    enc = malloc(2500000 + 16);
    dec = malloc(2500000 + 1);
    TAP_RUN(each_reads_the_other);
    TAP_RUN(bad_headers_are_errors);
    free(data);
    free(enc);
    free(dec);
    return tap_done();
}
