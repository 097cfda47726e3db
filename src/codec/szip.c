/* codec/szip.c: HDF5's szip filter (4), decoded by libaec's szip interface.
 *
 *     decoded size 4, little-endian | szip stream
 *
 * The stream says nothing about itself: options, pixels of a block, bits of a pixel and pixels of a
 * scanline are the filter's parameters. They are checked when the codec is made, so that libaec
 * never sees what szip cannot be. libaec allocates for each call: pixels of 32 and 64 bits are
 * coded as planes of bytes, and scanlines that are no whole number of blocks are padded; scratch()
 * charges for both.
 */
#include <szlib.h>

#include "base/bytes.h"
#include "codec/codec_private.h"

enum { HEADER = 4 };

typedef struct {
    cm_codec base;
    SZ_com_t how;
} szip_codec;

static const SZ_com_t *how_of(const cm_codec *codec)
{
    return &((const szip_codec *)codec)->how;
}

int cm_codec_new_szip(uint32_t options, uint32_t block, uint32_t bits, uint32_t scanline,
                      cm_codec **out, cm_error *err)
{
    bool bits_ok = (bits >= 1 && bits <= 24) || bits == 32 || bits == 64;
    if (!bits_ok || block < 2 || block > SZ_MAX_PIXELS_PER_BLOCK || block % 2 != 0 ||
        scanline < 1 || scanline > SZ_MAX_PIXELS_PER_SCANLINE)
        return cm_error_set(err, CM_EDATA,
                            "szip of pixels of %u bits, %u in a block, %u in a scanline", bits,
                            block, scanline);
    szip_codec *c;
    int rc = cm_codec_alloc(&cm_class_szip, sizeof *c, &c, err);
    if (rc)
        return rc;
    c->how = (SZ_com_t){.options_mask = (int)(options & 0xff),
                        .bits_per_pixel = (int)bits,
                        .pixels_per_block = (int)block,
                        .pixels_per_scanline = (int)scanline};
    *out = &c->base;
    return 0;
}

static int szip_decode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                       void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)work;
    *nout = 0;
    if (nsrc < HEADER)
        return cm_error_set(err, CM_EDATA, "szip: a frame cannot be %zu bytes", nsrc);
    size_t want = cm_load_le32(src), got = want;
    if (want > capacity) {
        *nout = want;
        return cm_error_set(err, CM_ELIMIT, "szip: decodes to %zu bytes, more than %zu", want,
                            capacity);
    }
    if (want == 0)
        return 0;
    SZ_com_t how = *how_of(codec);
    int r = SZ_BufftoBuffDecompress(dst, &got, (const uint8_t *)src + HEADER, nsrc - HEADER, &how);
    if (r == SZ_MEM_ERROR)
        return cm_error_set(err, CM_ENOMEM, "out of memory for szip");
    if (r != SZ_OK || got != want)
        return cm_error_set(err, CM_EDATA, "szip: corrupted stream (%zu bytes, %zu of %zu decoded)",
                            nsrc, got, want);
    *nout = got;
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
    uint32_t block = (uint32_t)how_of(codec)->pixels_per_block;
    size_t line = (uint32_t)how_of(codec)->pixels_per_scanline;
    size_t padded = (line + block - 1) / block * block;
    size_t each = n / line > SIZE_MAX / 8 / padded ? SIZE_MAX / 8 : (n / line + 1) * padded;
    return (64u << 10) + 2 * (each + 8 * padded);
}

static int szip_text(const cm_codec *codec, cm_buffer *out, cm_error *err)
{
    const SZ_com_t *how = how_of(codec);
    return cm_buffer_printf(out, err, "szip:%s,%d",
                            how->options_mask & SZ_NN_OPTION_MASK ? "nn" : "ec",
                            how->pixels_per_block);
}

static bool szip_equal(const cm_codec *a, const cm_codec *b, bool exactly)
{
    const SZ_com_t *x = how_of(a), *y = how_of(b);
    (void)exactly;
    return x->options_mask == y->options_mask && x->bits_per_pixel == y->bits_per_pixel &&
           x->pixels_per_block == y->pixels_per_block &&
           x->pixels_per_scanline == y->pixels_per_scanline;
}

const cm_codec_class cm_class_szip = {
    .name = "szip",
    .bound = szip_bound,
    .scratch = szip_scratch,
    .decode = szip_decode,
    .text = szip_text,
    .equal = szip_equal,
};
