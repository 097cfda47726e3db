/* codec/lz4_hdf5.c: the registered HDF5 filter 32004, "lz4", decoded only.
 *
 *     decoded size 8, big-endian | bytes of a block 4 | for each block: stored size 4 | bytes
 *
 * The last block has what is left. A block whose stored size is its own size is not compressed. The
 * sizes in the header are compared with what there is room for, never trusted.
 */
#include <lz4.h>
#include <string.h>

#include "base/bytes.h"
#include "codec/codec_private.h"

enum { HEADER = 12 };

int cm_codec_new_lz4_hdf5(cm_codec **out, cm_error *err)
{
    return cm_codec_alloc(&cm_class_lz4_hdf5, sizeof **out, out, err);
}

static int one_block(const uint8_t *src, uint32_t nsrc, uint8_t *dst, size_t n, cm_error *err)
{
    if (nsrc == n) {
        memcpy(dst, src, n);
        return 0;
    }
    int got = nsrc > INT32_MAX || n > INT32_MAX
                  ? -1
                  : LZ4_decompress_safe((const char *)src, (char *)dst, (int)nsrc, (int)n);
    return got >= 0 && (size_t)got == n
               ? 0
               : cm_error_set(err, CM_EDATA, "lz4: corrupted block (%u bytes, should be %zu)", nsrc,
                              n);
}

static int lz4_decode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                      void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)codec;
    (void)work;
    const uint8_t *p = src, *end = p + nsrc;
    *nout = 0;
    if (nsrc < HEADER)
        return cm_error_set(err, CM_EDATA, "lz4: a frame cannot be %zu bytes", nsrc);
    uint64_t want = cm_load_be64(p);
    size_t block = cm_load_be32(p + 8), done = 0;
    p += HEADER;
    if (want > capacity) {
        *nout = want > SIZE_MAX ? 0 : (size_t)want;
        return cm_error_set(err, CM_ELIMIT, "lz4: decodes to more than %zu bytes", capacity);
    }
    if (block == 0 && want)
        return cm_error_set(err, CM_EDATA, "lz4: blocks of 0 bytes");
    while (done < want) {
        size_t n = want - done < block ? (size_t)want - done : block;
        if (end - p < 4 || (size_t)(end - p) - 4 < cm_load_be32(p))
            return cm_error_set(err, CM_EDATA, "lz4: a frame of %zu bytes is cut off", nsrc);
        uint32_t stored = cm_load_be32(p);
        int rc = one_block(p + 4, stored, (uint8_t *)dst + done, n, err);
        if (rc)
            return rc;
        p += 4 + (size_t)stored;
        done += n;
    }
    *nout = done;
    return 0;
}

static size_t lz4_bound(const cm_codec *codec, size_t n)
{
    (void)codec;
    return HEADER + 4 + n + n / 64;
}

static size_t lz4_scratch(const cm_codec *codec, size_t n, bool encoding)
{
    (void)codec, (void)n, (void)encoding;
    return 0;
}

static int lz4_text(const cm_codec *codec, cm_buffer *out, cm_error *err)
{
    (void)codec;
    return cm_buffer_append_string(out, "lz4-blocks", err);
}

static bool lz4_equal(const cm_codec *a, const cm_codec *b, bool exactly)
{
    (void)a, (void)b, (void)exactly;
    return true;
}

const cm_codec_class cm_class_lz4_hdf5 = {
    .name = "lz4-blocks",
    .bound = lz4_bound,
    .scratch = lz4_scratch,
    .decode = lz4_decode,
    .text = lz4_text,
    .equal = lz4_equal,
};
