/* codec/szip.c: HDF5's szip filter (4), decoded by libaec.
 *
 *     decoded size 4, little-endian | szip stream
 *
 * The stream says nothing about itself: options, pixels of a block, bits of a pixel and pixels of a
 * scanline are the filter's parameters. They are checked when the codec is made, so that libaec
 * never sees what szip cannot be. Pixels of 32 and 64 bits are coded as planes of bytes, and
 * scanlines are filled up to whole blocks; both are undone here, in a buffer that scratch() charges
 * for, and not by libaec's own szip interface: that one does not look how much came out of a
 * stream that ends early, and gives what its memory held before.
 */
#include <libaec.h>
#include <string.h>

#include "base/bytes.h"
#include "codec/codec_private.h"

enum {
    HEADER = 4,
    MSB = 16, /* bits of the filter's options */
    NN = 32,
    MAX_BLOCK = 32,
    MAX_SCANLINE = 4096
};

/* The filter's parameters. */
typedef struct {
    cm_codec base;
    uint32_t options, block, bits, scanline;
} szip_codec;

static const szip_codec *how_of(const cm_codec *codec)
{
    return (const szip_codec *)codec;
}

/* Coded as planes of bytes: all first bytes, all second bytes... */
static bool is_planes(const szip_codec *c)
{
    return c->bits == 32 || c->bits == 64;
}

static size_t pixel_nbytes(const szip_codec *c)
{
    return is_planes(c) || c->bits <= 8 ? 1 : c->bits <= 16 ? 2 : 4;
}

static size_t blocks_of(const szip_codec *c)
{
    return (c->scanline + c->block - 1) / c->block;
}

int cm_codec_new_szip(uint32_t options, uint32_t block, uint32_t bits, uint32_t scanline,
                      cm_codec **out, cm_error *err)
{
    bool bits_ok = (bits >= 1 && bits <= 24) || bits == 32 || bits == 64;
    if (!bits_ok || block < 2 || block > MAX_BLOCK || block % 2 != 0 || scanline < 1 ||
        scanline > MAX_SCANLINE)
        return cm_error_set(err, CM_EDATA,
                            "szip of pixels of %u bits, %u in a block, %u in a scanline", bits,
                            block, scanline);
    szip_codec *c;
    int rc = cm_codec_alloc(&cm_class_szip, sizeof *c, &c, err);
    if (rc)
        return rc;
    c->options = options & 0xff;
    c->block = block;
    c->bits = bits;
    c->scanline = scanline;
    *out = &c->base;
    return 0;
}

/* Decode at most room bytes, whole scanlines with what fills them up. *got: how many came out. */
static int run(const szip_codec *c, const uint8_t *src, size_t nsrc, uint8_t *dst, size_t room,
               size_t *got, cm_error *err)
{
    struct aec_stream s = {.next_in = src,
                           .avail_in = nsrc,
                           .next_out = dst,
                           .avail_out = room,
                           .bits_per_sample = is_planes(c) ? 8 : c->bits,
                           .block_size = c->block,
                           .rsi = (unsigned)blocks_of(c),
                           .flags = (c->options & MSB ? AEC_DATA_MSB : 0) |
                                    (c->options & NN ? AEC_DATA_PREPROCESS : 0)};
    int r = aec_buffer_decode(&s);
    *got = s.total_out;
    if (r == AEC_MEM_ERROR)
        return cm_error_set(err, CM_ENOMEM, "out of memory for szip");
    return r == AEC_OK ? 0 : cm_error_set(err, CM_EDATA, "szip: corrupted stream");
}

/* The padded scanlines at from, without the padding and their planes put together, to n bytes. */
static void unpack(const szip_codec *c, const uint8_t *from, uint8_t *to, size_t n)
{
    size_t planes = is_planes(c) ? c->bits / 8 : 1, each = n / planes;
    size_t line = c->scanline * pixel_nbytes(c);
    size_t padded = blocks_of(c) * c->block * pixel_nbytes(c);
    for (size_t at = 0; at < n; at += line, from += padded) {
        size_t m = n - at < line ? n - at : line;
        if (planes == 1)
            memcpy(to + at, from, m);
        else
            for (size_t i = 0; i < m; i++)
                to[(at + i) % each * planes + (at + i) / each] = from[i];
    }
}

static int szip_decode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                       void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    const szip_codec *c = how_of(codec);
    *nout = 0;
    if (nsrc < HEADER)
        return cm_error_set(err, CM_EDATA, "szip: a frame cannot be %zu bytes", nsrc);
    size_t want = cm_load_le32(src), got = 0, pixel = pixel_nbytes(c);
    if (want > capacity) {
        *nout = want;
        return cm_error_set(err, CM_ELIMIT, "szip: decodes to %zu bytes, more than %zu", want,
                            capacity);
    }
    if (want == 0)
        return 0;
    if (want % (is_planes(c) ? c->bits / 8 : pixel) != 0)
        return cm_error_set(err, CM_EDATA, "szip: %zu bytes are not whole pixels", want);
    size_t padded = blocks_of(c) * c->block, n = want / pixel;
    size_t room = (n + c->scanline - 1) / c->scanline * padded * pixel;
    size_t need = (n / c->scanline * padded + n % c->scanline) * pixel;
    bool straight = padded == c->scanline && !is_planes(c);
    uint8_t *to = straight ? dst : cm_work_bytes(work, room, err);
    if (!to)
        return CM_ENOMEM;
    int rc =
        run(c, (const uint8_t *)src + HEADER, nsrc - HEADER, to, straight ? want : room, &got, err);
    if (rc == 0 && got < need)
        rc = cm_error_set(err, CM_EDATA, "szip: the stream of %zu bytes ends early (%zu of %zu)",
                          nsrc, got, need);
    if (rc)
        return rc;
    if (!straight)
        unpack(c, to, dst, want);
    *nout = want;
    return 0;
}

static size_t szip_bound(const cm_codec *codec, size_t n)
{
    (void)codec;
    return HEADER + n + n / 4 + 1024;
}

static size_t szip_scratch(const cm_codec *codec, size_t n, bool encoding)
{
    (void)encoding;
    const szip_codec *c = how_of(codec);
    size_t line = c->scanline, padded = blocks_of(c) * c->block;
    size_t each = n / line > SIZE_MAX / 8 / padded ? SIZE_MAX / 8 : (n / line + 1) * padded;
    return (64u << 10) + each + 8 * padded;
}

static int szip_text(const cm_codec *codec, cm_buffer *out, cm_error *err)
{
    const szip_codec *c = how_of(codec);
    return cm_buffer_printf(out, err, "szip:%s,%u", c->options & NN ? "nn" : "ec", c->block);
}

static bool szip_equal(const cm_codec *a, const cm_codec *b, bool exactly)
{
    const szip_codec *x = how_of(a), *y = how_of(b);
    (void)exactly;
    return x->options == y->options && x->bits == y->bits && x->block == y->block &&
           x->scanline == y->scanline;
}

const cm_codec_class cm_class_szip = {
    .name = "szip",
    .bound = szip_bound,
    .scratch = szip_scratch,
    .decode = szip_decode,
    .text = szip_text,
    .equal = szip_equal,
};
