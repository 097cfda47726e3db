/* codec/bz2.c: numcodecs "bz2": bzip2 streams, by libbz2.
 *
 * Python's bz2 reads several streams one after another and ignores what follows them; so does
 * nobody else, and here bytes that begin no stream are an error. libbz2 counts in 32 bits, so large
 * chunks go in and out in pieces.
 */
#include <bzlib.h>

#include "codec/codec_private.h"

enum { PIECE = 1 << 30 };

typedef struct {
    cm_codec base;
    int level;
} bz2_codec;

static int level_of(const cm_codec *codec)
{
    return ((const bz2_codec *)codec)->level;
}

static int bz2_parse(const cm_json *config, cm_dialect dialect, cm_dtype dtype, cm_codec **out,
                     cm_error *err)
{
    (void)dtype;
    int64_t level = 1;
    const cm_config_field field = {.key = "level", .min = 1, .max = 9, .value = &level};
    int r = cm_config_read(config, dialect, "bz2", &field, 1, err);
    bz2_codec *b;
    if (!r)
        r = cm_codec_alloc(&cm_class_bz2, sizeof *b, &b, err);
    if (r)
        return r;
    b->level = (int)level;
    *out = &b->base;
    return 0;
}

int cm_codec_new_bz2(int level, cm_codec **out, cm_error *err)
{
    bz2_codec *b;
    if (level < 1 || level > 9)
        return cm_error_set(err, CM_EINVAL, "bz2: level %d, which is not 1 to 9", level);
    int r = cm_codec_alloc(&cm_class_bz2, sizeof *b, &b, err);
    if (r)
        return r;
    b->level = level;
    *out = &b->base;
    return 0;
}

static cm_json *bz2_describe(const cm_codec *codec, cm_json_doc *doc, cm_dialect dialect)
{
    cm_json *config, *o = cm_config_describe(doc, &cm_class_bz2, "numcodecs.bz2", dialect, &config);
    return !o || cm_json_set_int64(doc, config, "level", level_of(codec)) ? NULL : o;
}

/* The manual: 1 % and 600 bytes more. */
static size_t bz2_bound(const cm_codec *codec, size_t n)
{
    (void)codec;
    return n + n / 64 + 1024;
}

/* The manual: 400k + 8 times the block to compress, 100k + 4 times to decompress. */
static size_t bz2_scratch(const cm_codec *codec, size_t n, bool encoding)
{
    (void)n;
    return encoding ? 400000 + 800000 * (size_t)level_of(codec) : 100000 + 4 * 900000;
}

static unsigned piece(size_t n)
{
    return n > PIECE ? PIECE : (unsigned)n;
}

static int bz2_encode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                      void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)work;
    bz_stream s = {0};
    size_t in = 0, out = 0;
    if (BZ2_bzCompressInit(&s, level_of(codec), 0, 0) != BZ_OK)
        return cm_error_set(err, CM_ENOMEM, "bz2: out of memory");
    int r = BZ_RUN_OK;
    while (r >= 0 && r != BZ_STREAM_END) {
        unsigned room = piece(capacity - out), left = piece(nsrc - in);
        s.next_in = (char *)(uintptr_t)src + in;
        s.avail_in = left;
        s.next_out = (char *)dst + out;
        s.avail_out = room;
        r = BZ2_bzCompress(&s, in + left == nsrc ? BZ_FINISH : BZ_RUN);
        in += left - s.avail_in;
        out += room - s.avail_out;
        if (r != BZ_STREAM_END && out == capacity)
            r = BZ_OUTBUFF_FULL;
    }
    BZ2_bzCompressEnd(&s);
    *nout = out;
    return r == BZ_STREAM_END
               ? 0
               : cm_error_set(err, CM_EINVAL, "bz2: %zu bytes do not fit %zu when encoded", nsrc,
                              capacity);
}

/* One stream; *in and *out go on. */
static int decode_stream(const uint8_t *src, size_t nsrc, size_t *in, uint8_t *dst, size_t capacity,
                         size_t *out, cm_error *err)
{
    bz_stream s = {0};
    char beyond;
    if (BZ2_bzDecompressInit(&s, 0, 0) != BZ_OK)
        return cm_error_set(err, CM_ENOMEM, "bz2: out of memory");
    int r = BZ_OK;
    bool full = false;
    while (r == BZ_OK) {
        unsigned room = piece(capacity - *out), left = piece(nsrc - *in);
        full = room == 0;
        s.next_in = (char *)(uintptr_t)src + *in;
        s.avail_in = left;
        s.next_out = full ? &beyond : (char *)dst + *out; /* the end of the stream may still come */
        s.avail_out = full ? 1 : room;
        r = BZ2_bzDecompress(&s);
        *in += left - s.avail_in;
        if (full && s.avail_out == 0)
            break;
        if (!full)
            *out += room - s.avail_out;
        if (r == BZ_OK && left == s.avail_in && (full || room == s.avail_out))
            r = BZ_UNEXPECTED_EOF;
    }
    bool overflow = full && s.avail_out == 0;
    BZ2_bzDecompressEnd(&s);
    if (overflow)
        return cm_error_set(err, CM_ELIMIT, "bz2: decodes to more than %zu bytes", capacity);
    if (r == BZ_MEM_ERROR)
        return cm_error_set(err, CM_ENOMEM, "bz2: out of memory");
    return r == BZ_STREAM_END
               ? 0
               : cm_error_set(err, CM_EDATA, "bz2: corrupted stream near byte %zu of %zu", *in,
                              nsrc);
}

static int bz2_decode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                      void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)codec;
    (void)work;
    size_t in = 0, out = 0;
    *nout = 0;
    do {
        int r = decode_stream(src, nsrc, &in, dst, capacity, &out, err);
        if (r)
            return r;
    } while (in < nsrc);
    *nout = out;
    return 0;
}

static int bz2_text(const cm_codec *codec, cm_buffer *out, cm_error *err)
{
    return cm_buffer_printf(out, err, "bz2:%d", level_of(codec));
}

static bool bz2_equal(const cm_codec *a, const cm_codec *b, bool exactly)
{
    return !exactly || level_of(a) == level_of(b);
}

const cm_codec_class cm_class_bz2 = {
    .name = "numcodecs.bz2",
    .v2_id = "bz2",
    .parse = bz2_parse,
    .describe = bz2_describe,
    .bound = bz2_bound,
    .scratch = bz2_scratch,
    .encode = bz2_encode,
    .decode = bz2_decode,
    .text = bz2_text,
    .equal = bz2_equal,
};
