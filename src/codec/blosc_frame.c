/* codec/blosc_frame.c: Blosc 1 frames with zstd, lz4 or zlib inside, without c-blosc.
 *
 * c-blosc makes a new zstd context for every block of 64 KiB to 1 MiB, inflates with zlib, and
 * allocates its buffers anew for every chunk. This does the same frames with the thread's own
 * states (and libdeflate), and checks what c-blosc takes on trust. The format, from
 * README_CHUNK_FORMAT.rst and by c-blosc 1.21's behaviour where that is silent:
 *
 *     header   version 2, inner version 1, flags, type size, then u32 decoded size, block size,
 *              frame size
 *     starts   u32 for each block, counted from the beginning of the frame
 *     blocks   each `splits` times: u32 size, then so many bytes; the decoded size itself means
 *              stored bytes
 *
 * A block is split into one part per byte of the type unless flag 0x10 is set, or it is the short
 * last one, or the type is wider than 16 bytes or a part would be under 128 bytes. Every block is
 * shuffled by itself; a rest behind its last whole element is left as it is.
 *
 * A split block that is no multiple of the type size cannot come from an encoder; c-blosc would
 * give back uninitialised memory for it.
 */
#define ZSTD_STATIC_LINKING_ONLY
#include <libdeflate.h>
#include <lz4.h>
#include <string.h>
#include <zstd.h>

#include "base/bytes.h"
#include "codec/blosc_frame.h"

/* ---- header ---------------------------------------------------------------------------------- */

static uint32_t block_nbytes(const cm_blosc_header *h, uint32_t block)
{
    uint32_t rest = h->nbytes - block * h->blocksize;
    return rest < h->blocksize ? rest : h->blocksize;
}

static uint32_t block_splits(const cm_blosc_header *h, uint32_t nbytes)
{
    bool split = !(h->flags & CM_BLOSC_NOT_SPLIT) && h->typesize <= CM_BLOSC_MAX_SPLITS &&
                 nbytes / h->typesize >= CM_BLOSC_MIN_NBYTES && nbytes == h->blocksize;
    return split ? h->typesize : 1;
}

int cm_blosc_header_read(const uint8_t *src, size_t nsrc, cm_blosc_header *out, cm_error *err)
{
    if (nsrc < CM_BLOSC_HEADER)
        return cm_error_set(err, CM_EDATA, "blosc: a frame cannot be %zu bytes", nsrc);
    if (src[0] > 2)
        return cm_error_set(err, CM_EUNSUP, "blosc: format version %d (c-blosc2)", src[0]);
    cm_blosc_header h = {
        .nbytes = cm_load_le32(src + 4),
        .blocksize = cm_load_le32(src + 8),
        .nframe = cm_load_le32(src + 12),
        .typesize = src[3],
        .flags = src[2],
        .format = src[2] >> 5,
    };
    if (h.nframe != nsrc)
        return cm_error_set(err, CM_EDATA, "blosc: the frame says %u bytes, but there are %zu",
                            h.nframe, nsrc);
    if (h.format > CM_BLOSC_ZSTD)
        return cm_error_set(err, CM_EUNSUP, "blosc: unknown inner format %d", h.format);
    if (h.nbytes > INT32_MAX || h.flags & CM_BLOSC_RESERVED || h.typesize == 0 || src[0] < 2)
        return cm_error_set(err, CM_EDATA, "blosc: malformed header");
    if (h.nbytes > 0 && (h.blocksize == 0 || h.blocksize > h.nbytes))
        return cm_error_set(err, CM_EDATA, "blosc: block size %u of %u bytes", h.blocksize,
                            h.nbytes);
    h.nblocks = h.nbytes ? (h.nbytes - 1) / h.blocksize + 1 : 0;
    if (h.flags & CM_BLOSC_COPIED ? nsrc - CM_BLOSC_HEADER != h.nbytes
                                  : (nsrc - CM_BLOSC_HEADER) / 4 < h.nblocks)
        return cm_error_set(err, CM_EDATA, "blosc: %zu bytes cannot hold %u decoded", nsrc,
                            h.nbytes);
    if (h.nbytes && !(h.flags & CM_BLOSC_COPIED) &&
        h.blocksize % block_splits(&h, h.blocksize) != 0)
        return cm_error_set(err, CM_EDATA, "blosc: blocks of %u bytes split by %u", h.blocksize,
                            h.typesize);
    *out = h;
    return 0;
}

bool cm_blosc_frame_is_ours(const cm_blosc_header *h)
{
    return h->flags & CM_BLOSC_COPIED || h->format == CM_BLOSC_LZ4 || h->format == CM_BLOSC_ZLIB ||
           h->format == CM_BLOSC_ZSTD;
}

/* ---- shuffles -------------------------------------------------------------------------------- */

/* The shuffle that blocks of n bytes really have: 0 when they are stored as they are. */
static int block_shuffle(const cm_blosc_header *h, uint32_t n)
{
    if (h->flags & CM_BLOSC_SHUFFLED && h->typesize > 1)
        return CM_BLOSC_SHUFFLED;
    uint32_t nelem = n / h->typesize;
    return h->flags & CM_BLOSC_BITSHUFFLED && nelem > 0 && nelem % 8 == 0 ? CM_BLOSC_BITSHUFFLED
                                                                          : 0;
}

/* Memory that shuffling takes beside source and destination: one block for what comes out of (goes
 * into) the compressor, one more for the bit shuffle. */
static size_t shuffle_room(const cm_blosc_header *h)
{
    if (h->flags & CM_BLOSC_SHUFFLED && h->typesize > 1)
        return h->blocksize;
    return h->flags & CM_BLOSC_BITSHUFFLED ? 2 * (size_t)h->blocksize : 0;
}

static void shuffle_block(const cm_blosc_header *h, int shuffle, const uint8_t *src, uint8_t *dst,
                          uint8_t *tmp, uint32_t n)
{
    uint32_t nelem = n / h->typesize, whole = nelem * h->typesize;
    if (shuffle == CM_BLOSC_SHUFFLED)
        cm_shuffle(src, dst, nelem, h->typesize);
    else
        cm_bitshuffle(src, dst, tmp, nelem, h->typesize);
    memcpy(dst + whole, src + whole, n - whole);
}

static void unshuffle_block(const cm_blosc_header *h, int shuffle, const uint8_t *src, uint8_t *dst,
                            uint8_t *tmp, uint32_t n)
{
    uint32_t nelem = n / h->typesize, whole = nelem * h->typesize;
    if (shuffle == CM_BLOSC_SHUFFLED)
        cm_unshuffle(src, dst, nelem, h->typesize);
    else
        cm_bitunshuffle(src, dst, tmp, nelem, h->typesize);
    memcpy(dst + whole, src + whole, n - whole);
}

/* ---- decoding -------------------------------------------------------------------------------- */

/* One compressed part to exactly n bytes. */
static int decode_part(int format, void *state, const uint8_t *src, uint32_t nsrc, uint8_t *dst,
                       uint32_t n)
{
    switch (format) {
    case CM_BLOSC_ZSTD: {
        bool frame = nsrc >= 4 && cm_load_le32(src) == ZSTD_MAGICNUMBER;
        return frame && ZSTD_decompressDCtx(state, dst, n, src, nsrc) == n ? 0 : CM_EDATA;
    }
    case CM_BLOSC_LZ4:
        return LZ4_decompress_safe((const char *)src, (char *)dst, (int)nsrc, (int)n) == (int)n
                   ? 0
                   : CM_EDATA;
    default:
        return libdeflate_zlib_decompress(state, src, nsrc, dst, n, NULL) == LIBDEFLATE_SUCCESS
                   ? 0
                   : CM_EDATA;
    }
}

/* The parts of one block, from byte `at` of the frame on, to n bytes at dst; or, when the whole
 * block is stored, *stored is where and nothing is copied. */
static int decode_block(const cm_blosc_header *h, void *state, const uint8_t *src, size_t at,
                        uint8_t *dst, uint32_t n, const uint8_t **stored)
{
    uint32_t nsplits = block_splits(h, n), part = n / nsplits;
    *stored = NULL;
    for (uint32_t k = 0; k < nsplits; k++) {
        if (at > h->nframe || h->nframe - at < 4)
            return CM_EDATA;
        uint32_t size = cm_load_le32(src + at);
        at += 4;
        if (size > h->nframe - at)
            return CM_EDATA;
        uint8_t *to = dst + (size_t)k * part;
        if (size == part && nsplits == 1)
            *stored = src + at;
        else if (size == part)
            memcpy(to, src + at, part);
        else if (decode_part(h->format, state, src + at, size, to, part))
            return CM_EDATA;
        at += size;
    }
    return 0;
}

int cm_blosc_frame_decode(const cm_blosc_header *h, cm_codec_work *work, const uint8_t *src,
                          uint8_t *dst, cm_error *err)
{
    if (h->flags & CM_BLOSC_COPIED) {
        memcpy(dst, src + CM_BLOSC_HEADER, h->nbytes);
        return 0;
    }
    size_t room = shuffle_room(h);
    void *state = h->format == CM_BLOSC_ZSTD   ? cm_work_zstd_decoder(work, err)
                  : h->format == CM_BLOSC_ZLIB ? cm_work_inflater(work, err)
                                               : work;
    uint8_t *block = room ? cm_work_bytes(work, room, err) : NULL;
    if (!state || (room && !block))
        return CM_ENOMEM;
    size_t starts_end = CM_BLOSC_HEADER + 4 * (size_t)h->nblocks;
    for (uint32_t b = 0; b < h->nblocks; b++) {
        uint32_t n = block_nbytes(h, b);
        int shuffle = block_shuffle(h, n);
        uint8_t *out = dst + (size_t)b * h->blocksize, *to = shuffle ? block : out;
        size_t start = cm_load_le32(src + CM_BLOSC_HEADER + 4 * (size_t)b);
        const uint8_t *stored;
        if (start < starts_end || decode_block(h, state, src, start, to, n, &stored))
            return cm_error_set(err, CM_EDATA, "blosc: corrupted block %u of %u", b, h->nblocks);
        if (shuffle)
            unshuffle_block(h, shuffle, stored ? stored : block, out, block + h->blocksize, n);
        else if (stored)
            memcpy(out, stored, n);
    }
    return 0;
}

/* ---- encoding -------------------------------------------------------------------------------- */

static bool encoder_splits(int format, uint32_t typesize, uint32_t blocksize)
{
    return format != CM_BLOSC_ZSTD && typesize <= CM_BLOSC_MAX_SPLITS &&
           blocksize / typesize >= CM_BLOSC_MIN_NBYTES;
}

/* The size of blocks that c-blosc would choose; forced: what the user wants, 0 for automatic. */
static uint32_t choose_blocksize(int format, int level, uint32_t typesize, uint32_t nbytes,
                                 uint32_t forced)
{
    static const uint32_t quarters[] = {1, 2, 4, 8, 16, 16, 32, 32, 32, 32}; /* of 32 KiB */
    bool thorough = format == CM_BLOSC_ZSTD || format == CM_BLOSC_ZLIB;
    uint32_t size = nbytes;
    if (nbytes < typesize)
        return 1;
    if (forced)
        size = forced < CM_BLOSC_MIN_NBYTES ? CM_BLOSC_MIN_NBYTES : forced;
    else if (nbytes >= 32u << 10)
        size = (quarters[level] << 13) * (thorough ? 2 : 1) * (thorough && level == 9 ? 2 : 1);
    if (level > 0 && encoder_splits(format, typesize, size)) {
        size = (size > 1u << 18 ? 1u << 18 : size) * typesize;
        size = size < 1u << 16 ? 1u << 16 : size > 1u << 20 ? 1u << 20 : size;
    }
    if (size > nbytes)
        size = nbytes;
    return size > typesize ? size / typesize * typesize : size;
}

/* Bytes that one part takes, 0 when it does not get smaller. */
static size_t encode_part(int format, int level, void *state, const uint8_t *src, uint32_t n,
                          uint8_t *dst, size_t room)
{
    if (room > n)
        room = n;
    switch (format) {
    case CM_BLOSC_ZSTD: {
        size_t size = ZSTD_compress2(state, dst, room, src, n);
        return ZSTD_isError(size) || size >= n ? 0 : size;
    }
    case CM_BLOSC_LZ4: {
        int size = LZ4_compress_fast_extState(state, (const char *)src, (char *)dst, (int)n,
                                              (int)room, 10 - level);
        return size <= 0 || (uint32_t)size >= n ? 0 : (size_t)size;
    }
    default: {
        size_t size = libdeflate_zlib_compress(state, src, n, dst, room);
        return size >= n ? 0 : size;
    }
    }
}

int cm_blosc_zstd_level(int level)
{
    return level < 1 ? 1 : level < 8 ? 2 * level - 1 : level == 8 ? 20 : 22;
}

static void *encoder(int format, int level, cm_codec_work *work, cm_error *err)
{
    switch (format) {
    case CM_BLOSC_ZSTD: return cm_work_zstd_encoder(work, cm_blosc_zstd_level(level), false, err);
    case CM_BLOSC_LZ4: return cm_work_lz4_state(work, err);
    default: return cm_work_deflater(work, level, err);
    }
}

static void write_header(uint8_t *dst, int flags, uint32_t typesize, uint32_t nbytes,
                         uint32_t blocksize, size_t nframe)
{
    dst[0] = 2;
    dst[1] = 1;
    dst[2] = (uint8_t)flags;
    dst[3] = (uint8_t)typesize;
    cm_store_le32(dst + 4, nbytes);
    cm_store_le32(dst + 8, blocksize);
    cm_store_le32(dst + 12, (uint32_t)nframe);
}

/* All blocks; the bytes of the frame, or 0 if they are not fewer than a copy. */
static size_t encode_blocks(const cm_blosc_header *h, int level, void *state, uint8_t *block,
                            const uint8_t *src, uint8_t *dst)
{
    size_t limit = (size_t)h->nbytes + CM_BLOSC_HEADER;
    size_t at = CM_BLOSC_HEADER + 4 * (size_t)h->nblocks;
    for (uint32_t b = 0; b < h->nblocks; b++) {
        uint32_t n = block_nbytes(h, b), nsplits = block_splits(h, n), part = n / nsplits;
        const uint8_t *from = src + (size_t)b * h->blocksize;
        int shuffle = block_shuffle(h, n);
        if (shuffle) {
            shuffle_block(h, shuffle, from, block, block + h->blocksize, n);
            from = block;
        }
        if (at >= limit)
            return 0;
        cm_store_le32(dst + CM_BLOSC_HEADER + 4 * (size_t)b, (uint32_t)at);
        for (uint32_t k = 0; k < nsplits; k++, from += part) {
            if (limit - at <= 4)
                return 0;
            size_t room = limit - at - 4;
            size_t size = encode_part(h->format, level, state, from, part, dst + at + 4, room);
            if (size == 0) {
                if (part > room)
                    return 0;
                memcpy(dst + at + 4, from, part);
                size = part;
            }
            cm_store_le32(dst + at, (uint32_t)size);
            at += 4 + size;
        }
    }
    return at < limit ? at : 0;
}

int cm_blosc_frame_encode(int format, int level, int shuffle, uint32_t typesize, uint32_t blocksize,
                          cm_codec_work *work, const uint8_t *src, size_t nsrc, uint8_t *dst,
                          size_t *nout, cm_error *err)
{
    if (typesize > UINT8_MAX)
        typesize = 1; /* as c-blosc does */
    uint32_t n = (uint32_t)nsrc;
    cm_blosc_header h = {
        .nbytes = n,
        .blocksize = choose_blocksize(format, level, typesize, n, blocksize),
        .typesize = typesize,
        .format = format,
    };
    h.nblocks = n ? (n - 1) / h.blocksize + 1 : 0;
    h.flags = format << 5 | shuffle |
              (encoder_splits(format, typesize, h.blocksize) ? 0 : CM_BLOSC_NOT_SPLIT);
    size_t size = 0;
    if (level > 0 && n >= CM_BLOSC_MIN_NBYTES &&
        (size_t)h.nblocks * 4 < n) { /* else a copy is smaller for sure */
        size_t room = shuffle_room(&h);
        void *state = encoder(format, level, work, err);
        uint8_t *block = room ? cm_work_bytes(work, room, err) : NULL;
        if (!state || (room && !block))
            return CM_ENOMEM;
        size = encode_blocks(&h, level, state, block, src, dst);
    }
    if (size == 0) {
        h.flags |= CM_BLOSC_COPIED;
        size = nsrc + CM_BLOSC_HEADER;
        if (nsrc)
            memcpy(dst + CM_BLOSC_HEADER, src, nsrc);
    }
    write_header(dst, h.flags, typesize, n, h.blocksize, size);
    *nout = size;
    return 0;
}
