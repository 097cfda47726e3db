/* Every codec: encode then decode gives the bytes again, for sizes around all block and vector
 * boundaries, with canaries behind every buffer; and decoding hostile bytes never writes past the
 * capacity. Data: half of it smooth, half noise, all of it by position. */
#include "tap.h"

#include "codec/codec_private.h"

static uint64_t seed;
static cm_error err;

enum { CANARY = 64 };

/* Memory of exactly n bytes with canaries behind it; checked when freed. */
static uint8_t *guarded(size_t n)
{
    uint8_t *p = malloc(n + CANARY);
    memset(p, 0xA5, n);
    for (int i = 0; i < CANARY; i++)
        p[n + (size_t)i] = (uint8_t)(0x5A + i);
    return p;
}

static void unguard(uint8_t *p, size_t n)
{
    for (int i = 0; i < CANARY; i++)
        if (p[n + (size_t)i] != (uint8_t)(0x5A + i)) {
            tap_failed_here++, printf("# canary overwritten behind %zu bytes\n", n);
            break;
        }
    free(p);
}

static uint8_t *make_data(size_t n, uint64_t *state)
{
    uint8_t *p = guarded(n);
    for (size_t i = 0; i < n; i++)
        p[i] = i % 1000 < 600 ? (uint8_t)(1 + i / 7 + i % 4 * 50) : (uint8_t)tap_random(state);
    return p;
}

static const size_t sizes[] = {
    0,  1,   2,   3,   4,    5,    7,    8,    15,   16,    17,    31,    33,     63,     64,
    65, 127, 255, 257, 1000, 4095, 4096, 4097, 9999, 65535, 65536, 65537, 100003, 300000, 1048577};
enum { NSIZES = sizeof sizes / sizeof sizes[0] };

typedef struct {
    const char *label;
    cm_codec *codec;
} one;

enum { MAX_CODECS = 96 };

static int all_codecs(one *out)
{
    static const char *const compressors[] = {"blosclz", "lz4", "lz4hc", "snappy", "zlib", "zstd"};
    static const uint32_t typesizes[] = {1, 2, 4, 8, 16, 3, 12, 300};
    static char labels[MAX_CODECS][64];
    int n = 0;
#define ADD(call, ...)                                                                             \
    do {                                                                                           \
        TAP_CALL(call, &err);                                                                      \
        snprintf(labels[n], sizeof labels[n], __VA_ARGS__);                                        \
        out[n].label = labels[n];                                                                  \
        n++;                                                                                       \
    } while (0)
    static const int zlevels[] = {-5, 0, 1, 3, 9};
    for (int i = 0; i < 5; i++)
        ADD(cm_codec_new_zstd(zlevels[i], i % 2, &out[n].codec, &err), "zstd %d", zlevels[i]);
    for (int level = 0; level <= 9; level += 3) {
        ADD(cm_codec_new_gzip(level, &out[n].codec, &err), "gzip %d", level);
        ADD(cm_codec_new_zlib(level, &out[n].codec, &err), "zlib %d", level);
    }
    ADD(cm_codec_new_lz4(1, &out[n].codec, &err), "lz4 1");
    ADD(cm_codec_new_lz4(50, &out[n].codec, &err), "lz4 50");
    ADD(cm_codec_new_crc32c(&out[n].codec, &err), "crc32c");
    ADD(cm_codec_new_fletcher32(&out[n].codec, &err), "fletcher32");
    for (int t = 0; t < 8; t++)
        ADD(cm_codec_new_shuffle(typesizes[t], &out[n].codec, &err), "shuffle %u", typesizes[t]);
    for (int c = 0; c < 6; c++)
        for (int s = 0; s < 3; s++)
            for (int t = 0; t < 8; t += 1 + c)
                ADD(cm_codec_new_blosc(compressors[c], (c + s + t) % 10, s, typesizes[t],
                                       (c + t) % 5 == 4 ? 5000 : 0, &out[n].codec, &err),
                    "blosc %s %d %d %u", compressors[c], (c + s + t) % 10, s, typesizes[t]);
#undef ADD
    return n;
}

static void free_codecs(one *codecs, int n)
{
    for (int i = 0; i < n; i++)
        cm_codec_free(codecs[i].codec);
}

static void round_trip(const one *o, cm_codec_work *work, size_t n, uint64_t *state)
{
    const cm_codec *c = o->codec;
    uint8_t *data = make_data(n, state);
    size_t bound = c->cls->bound(c, n), nenc = 0, ndec = 0;
    uint8_t *enc = guarded(bound), *dec = guarded(n);
    int before = tap_failed_here;
    TAP_CALL(c->cls->encode(c, work, data, n, enc, bound, &nenc, &err), &err);
    TAP_OK(nenc <= bound);
    if (c->cls->encoded_size)
        TAP_EQ(nenc, c->cls->encoded_size(c, n));
    TAP_CALL(c->cls->decode(c, work, enc, nenc, dec, n, &ndec, &err), &err);
    TAP_EQ(ndec, n);
    TAP_OK(memcmp(data, dec, n) == 0);
    /* Too little room: CM_ELIMIT and nothing written behind it. */
    if (n > 0) {
        size_t room = n - 1 - tap_random(state) % (n < 9 ? 1 : n / 3);
        uint8_t *small = guarded(room);
        TAP_EQ(c->cls->decode(c, work, enc, nenc, small, room, &ndec, &err), CM_ELIMIT);
        TAP_OK(ndec == n || ndec == 0);
        unguard(small, room);
    }
    if (tap_failed_here != before)
        printf("# that was %s, %zu bytes\n", o->label, n);
    unguard(dec, n);
    unguard(enc, bound);
    unguard(data, n);
}

typedef struct {
    uint8_t *bytes;
    size_t nbytes, room, fail_at;
} collected;

static int collect(void *to, const void *data, size_t nbytes, cm_error *e)
{
    collected *c = to;
    if (c->nbytes + nbytes > c->fail_at)
        return cm_error_set(e, CM_ENOSPC, "full");
    TAP_OK(nbytes <= c->room - c->nbytes);
    memcpy(c->bytes + c->nbytes, data, nbytes);
    c->nbytes += nbytes;
    return 0;
}

/* Fed in pieces of any length: what was written decodes to the whole. */
static void stream(const one *o, cm_codec_work *work, size_t n, uint64_t *state)
{
    const cm_codec *c = o->codec;
    uint8_t *data = make_data(n, state), *dec = guarded(n);
    size_t bound = c->cls->bound(c, n) + 1000, ndec = 0;
    for (int full = 0; full < 2; full++) {
        collected out = {guarded(bound), 0, bound, full ? n / 8 : SIZE_MAX};
        int r = c->cls->stream_begin(c, work, n, &err);
        for (size_t at = 0; !r && (at < n || n == 0);) {
            size_t k = 1 + tap_random(state) % (n / 3 + 1);
            uint8_t *piece;
            k = k < n - at ? k : n - at;
            piece = guarded(k);
            memcpy(piece, data + at, k);
            r = c->cls->stream_feed(c, work, piece, k, at + k == n, collect, &out, &err);
            unguard(piece, k); /* what was fed may go at once */
            at += k;
            if (n == 0)
                break;
        }
        if (full) {
            TAP_OK(r == CM_ENOSPC || (r == 0 && out.nbytes <= n / 8));
        } else {
            TAP_CALL(r, &err);
            TAP_CALL(c->cls->decode(c, work, out.bytes, out.nbytes, dec, n, &ndec, &err), &err);
            TAP_OK(ndec == n && memcmp(data, dec, n) == 0);
        }
        unguard(out.bytes, bound);
    }
    cm_error_clear(&err);
    unguard(dec, n);
    unguard(data, n);
}

static void encoded_in_pieces(void)
{
    one codecs[MAX_CODECS];
    int n = all_codecs(codecs), streams = 0;
    cm_codec_work *work;
    TAP_CALL(cm_codec_work_new(&work, &err), &err);
    uint64_t state = seed;
    for (int i = 0; i < n; i++) {
        const cm_codec_class *cls = codecs[i].codec->cls;
        streams += cls->stream_feed != NULL;
        TAP_OK(!cls->stream_feed == !cls->stream_begin &&
               !cls->stream_feed == !cls->stream_scratch);
        for (int k = 0; k < NSIZES && cls->stream_feed; k++)
            stream(&codecs[i], work, sizes[k], &state);
    }
    TAP_OK(streams > 0);
    cm_codec_work_free(work);
    free_codecs(codecs, n);
}

static void every_codec_gives_the_bytes_again(void)
{
    one codecs[MAX_CODECS];
    int n = all_codecs(codecs);
    cm_codec_work *work;
    TAP_CALL(cm_codec_work_new(&work, &err), &err);
    uint64_t state = seed;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < NSIZES; k++)
            round_trip(&codecs[i], work, sizes[k], &state);
    cm_codec_work_free(work);
    free_codecs(codecs, n);
}

/* Cut off, lengthened, or with flipped bits: an error, or for codecs without a checksum perhaps
 * other bytes; never a write past the capacity, never more than it in *nout. */
static void hostile(const one *o, cm_codec_work *work, size_t n, uint64_t *state)
{
    const cm_codec *c = o->codec;
    uint8_t *data = make_data(n, state);
    size_t bound = c->cls->bound(c, n), nenc = 0, ndec = 0;
    uint8_t *enc = guarded(bound + 9), *dec = guarded(n);
    TAP_CALL(c->cls->encode(c, work, data, n, enc, bound, &nenc, &err), &err);
    bool framed = strncmp(o->label, "shuffle", 7) != 0;
    for (int k = 0; k < 40; k++) {
        size_t cut = k < 20 ? (size_t)k : tap_random(state) % nenc;
        if (cut >= nenc)
            continue;
        uint8_t *part = malloc(cut ? cut : 1); /* exactly: asan sees reads past it */
        memcpy(part, enc, cut);
        int r = c->cls->decode(c, work, part, cut, dec, n, &ndec, &err);
        if (!TAP_OK(!framed || r != 0))
            printf("# %zu of %zu bytes: %s, %zu bytes\n", cut, nenc, o->label, n);
        TAP_OK(r != 0 || ndec <= n);
        free(part);
    }
    if (framed) {
        uint8_t *more = malloc(nenc + 9);
        memcpy(more, enc, nenc);
        for (size_t extra = 1; extra <= 9; extra += 4) {
            for (size_t i = 0; i < extra; i++)
                more[nenc + i] = (uint8_t)tap_random(state);
            if (!TAP_OK(c->cls->decode(c, work, more, nenc + extra, dec, n, &ndec, &err) != 0))
                printf("# %zu extra bytes: %s, %zu bytes\n", extra, o->label, n);
        }
        free(more);
    }
    for (int k = 0; k < 60; k++) {
        uint8_t *flipped = malloc(nenc);
        memcpy(flipped, enc, nenc);
        int nflips = 1 + (int)(tap_random(state) % 4);
        for (int f = 0; f < nflips; f++) {
            size_t bit = tap_random(state) % (k % 2 ? 8 * nenc : 8 * (nenc < 24 ? nenc : 24));
            flipped[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        int r = c->cls->decode(c, work, flipped, nenc, dec, n, &ndec, &err);
        TAP_OK(r == 0 ? ndec <= n : r == CM_EDATA || r == CM_ELIMIT || r == CM_EUNSUP);
        if (strncmp(o->label, "gzip", 4) == 0 || strncmp(o->label, "crc", 3) == 0)
            TAP_OK(r != 0 || memcmp(dec, data, n) == 0);
        free(flipped);
    }
    unguard(dec, n);
    unguard(enc, bound + 9);
    unguard(data, n);
}

static void hostile_frames_stay_inside(void)
{
    static const size_t some[] = {1, 40, 1000, 70000, 300001};
    one codecs[MAX_CODECS];
    int n = all_codecs(codecs);
    cm_codec_work *work;
    TAP_CALL(cm_codec_work_new(&work, &err), &err);
    uint64_t state = seed + 1;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < 5; k++)
            hostile(&codecs[i], work, some[k], &state);
    cm_codec_work_free(work);
    free_codecs(codecs, n);
}

int main(void)
{
    seed = tap_seed();
    TAP_RUN(every_codec_gives_the_bytes_again);
    TAP_RUN(encoded_in_pieces);
    TAP_RUN(hostile_frames_stay_inside);
    return tap_done();
}
