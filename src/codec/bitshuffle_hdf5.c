/* codec/bitshuffle_hdf5.c: the registered HDF5 filter 32008, "bitshuffle", decoded only.
 *
 * Cells are shuffled bit by bit (codec/bitshuffle.c) in blocks of some thousand bytes, each of
 * which may be compressed by itself with LZ4 or zstd. Only multiples of 8 cells can be shuffled:
 * the last block is cut to one, and up to 7 cells follow as they are.
 *
 *     plain        block | block | ... | short block | rest
 *     compressed   decoded size 8, big-endian | bytes of a block 4 | stored size 4 | block | ...
 *                  | rest
 *
 * Scratch: a decompressed block, and what the transposition takes of the same size.
 */
#include <lz4.h>
#include <string.h>
#include <zstd.h>

#include "base/bytes.h"
#include "codec/codec_private.h"

enum { HEADER = 12, TARGET_NBYTES = 8192, LEAST_CELLS = 128 };

typedef struct {
    cm_codec base;
    cm_bitshuffle_inner inner;
    uint32_t size;  /* bytes of a cell */
    uint32_t block; /* cells of a block, a multiple of 8; 0: by the rule, or as the header says */
} bitshuffle_codec;

static const bitshuffle_codec *of(const cm_codec *codec)
{
    return (const bitshuffle_codec *)codec;
}

int cm_codec_new_bitshuffle_hdf5(uint32_t cell, uint32_t block, cm_bitshuffle_inner inner,
                                 cm_codec **out, cm_error *err)
{
    if (cell == 0 || block % 8 != 0 || inner > CM_BITSHUFFLE_ZSTD)
        return cm_error_set(err, CM_EDATA, "bitshuffle of cells of %u bytes in blocks of %u", cell,
                            block);
    bitshuffle_codec *c;
    int rc = cm_codec_alloc(&cm_class_bitshuffle_hdf5, sizeof *c, &c, err);
    if (rc)
        return rc;
    c->inner = inner;
    c->size = cell;
    c->block = block;
    *out = &c->base;
    return 0;
}

/* The blocks of bitshuffle when it may choose them. */
static size_t usual_block(uint32_t size)
{
    size_t cells = TARGET_NBYTES / size / 8 * 8;
    return cells < LEAST_CELLS ? LEAST_CELLS : cells;
}

/* What is left of the frame. */
typedef struct input {
    const uint8_t *p, *end;
} input;

/* One block's n bytes, decompressed into tmp unless they lie in the frame as they are. */
static int block_bytes(const cm_codec *codec, cm_codec_work *work, input *in, uint8_t *tmp,
                       size_t n, const uint8_t **out, cm_error *err)
{
    cm_bitshuffle_inner inner = of(codec)->inner;
    size_t left = (size_t)(in->end - in->p), stored = n;
    if (inner != CM_BITSHUFFLE_PLAIN) {
        stored = left < 4 ? SIZE_MAX : cm_load_be32(in->p);
        left = left < 4 ? 0 : left - 4;
    }
    if (stored > left)
        return cm_error_set(err, CM_EDATA, "bitshuffle: a frame is cut off");
    if (inner == CM_BITSHUFFLE_PLAIN) {
        *out = in->p;
        in->p += n;
        return 0;
    }
    size_t got = SIZE_MAX;
    if (inner == CM_BITSHUFFLE_LZ4 && stored <= INT32_MAX && n <= INT32_MAX) {
        int r = LZ4_decompress_safe((const char *)in->p + 4, (char *)tmp, (int)stored, (int)n);
        got = r < 0 ? SIZE_MAX : (size_t)r;
    } else if (inner == CM_BITSHUFFLE_ZSTD) {
        ZSTD_DCtx *decoder = cm_work_zstd_decoder(work, err);
        if (!decoder)
            return CM_ENOMEM;
        got = ZSTD_decompressDCtx(decoder, tmp, n, in->p + 4, stored);
    }
    if (got != n)
        return cm_error_set(err, CM_EDATA, "bitshuffle: corrupted block (%zu bytes, should be %zu)",
                            stored, n);
    *out = tmp;
    in->p += 4 + stored;
    return 0;
}

/* n decoded bytes in blocks of `block` cells. */
static int blocks(const cm_codec *codec, cm_codec_work *work, input *in, uint8_t *dst, size_t n,
                  size_t block, cm_error *err)
{
    size_t size = of(codec)->size, cells = n / size / 8 * 8, rest = n - cells * size;
    if (block > cells)
        block = cells;
    uint8_t *tmp = cells ? cm_work_bytes(work, 2 * block * size, err) : NULL;
    if (cells && !tmp)
        return CM_ENOMEM;
    for (size_t at = 0; at < cells; at += block) {
        size_t now = cells - at < block ? cells - at : block;
        const uint8_t *p = NULL;
        int rc = block_bytes(codec, work, in, tmp, now * size, &p, err);
        if (rc)
            return rc;
        cm_bitunshuffle(p, dst + at * size, tmp + block * size, now, size);
    }
    if ((size_t)(in->end - in->p) < rest)
        return cm_error_set(err, CM_EDATA, "bitshuffle: a frame is cut off");
    if (rest)
        memcpy(dst + cells * size, in->p, rest);
    return 0;
}

static int bitshuffle_decode(const cm_codec *codec, cm_codec_work *work, const void *src,
                             size_t nsrc, void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    const bitshuffle_codec *c = of(codec);
    input in = {src, (const uint8_t *)src + nsrc};
    uint64_t n = nsrc;
    size_t block = c->block ? c->block : usual_block(c->size);
    *nout = 0;
    if (c->inner != CM_BITSHUFFLE_PLAIN) {
        if (nsrc < HEADER)
            return cm_error_set(err, CM_EDATA, "bitshuffle: a frame cannot be %zu bytes", nsrc);
        n = cm_load_be64(in.p);
        block = cm_load_be32(in.p + 8) / c->size;
        in.p += HEADER;
        if (block == 0 || block % 8 != 0)
            return cm_error_set(err, CM_EDATA, "bitshuffle: blocks of %zu cells", block);
    }
    if (n > capacity) {
        *nout = n > SIZE_MAX ? 0 : (size_t)n;
        return cm_error_set(err, CM_ELIMIT, "bitshuffle: decodes to more than %zu bytes", capacity);
    }
    int rc = blocks(codec, work, &in, dst, (size_t)n, block, err);
    *nout = rc ? 0 : (size_t)n;
    return rc;
}

static size_t bitshuffle_bound(const cm_codec *codec, size_t n)
{
    (void)codec;
    return HEADER + n + n / 16 + 64;
}

static size_t bitshuffle_scratch(const cm_codec *codec, size_t n, bool encoding)
{
    (void)encoding;
    size_t zstd = of(codec)->inner == CM_BITSHUFFLE_ZSTD ? cm_zstd_nbytes(1, n, false) : 0;
    return zstd + (n > SIZE_MAX / 4 ? SIZE_MAX / 2 : 2 * n);
}

static int bitshuffle_text(const cm_codec *codec, cm_buffer *out, cm_error *err)
{
    static const char *const names[] = {"", ",lz4", ",zstd"};
    const bitshuffle_codec *c = of(codec);
    return cm_buffer_printf(out, err, "bitshuffle(%u%s)", c->size, names[c->inner]);
}

static bool bitshuffle_equal(const cm_codec *a, const cm_codec *b, bool exactly)
{
    const bitshuffle_codec *x = of(a), *y = of(b);
    return x->inner == y->inner && x->size == y->size &&
           (x->block == y->block || (x->inner != CM_BITSHUFFLE_PLAIN && !exactly));
}

const cm_codec_class cm_class_bitshuffle_hdf5 = {
    .name = "bitshuffle",
    .bound = bitshuffle_bound,
    .scratch = bitshuffle_scratch,
    .decode = bitshuffle_decode,
    .text = bitshuffle_text,
    .equal = bitshuffle_equal,
};
