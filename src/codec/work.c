/* codec/work.c: the libraries' states that one thread reuses from chunk to chunk.
 *
 * zstd's contexts are 0.1 to 80 MB and libdeflate's compressors 0.1 to 9 MB: making them per chunk
 * costs page faults that rival the work itself. So each is made on first use and kept until the
 * work is freed; in a steady state decoding and encoding allocate nothing (but for what is left to
 * c-blosc: blosclz, snappy and lz4hc, which allocates per chunk). The cost is charged through the
 * codecs' scratch(). One thread at a time uses a work.
 */
#define ZSTD_STATIC_LINKING_ONLY
#include <libdeflate.h>
#include <lz4.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/memory.h"
#include "codec/codec_private.h"

enum { NLEVELS = 13 }; /* libdeflate's 0..12 */

struct cm_codec_work {
    struct libdeflate_decompressor *inflater;
    struct libdeflate_compressor *deflaters[NLEVELS];
    ZSTD_DCtx *zstd_decoder;
    ZSTD_CCtx *zstd_encoder;
    int zstd_level; /* what the encoder is set to */
    bool zstd_checksum;
    void *lz4_state;
    void *bytes;
    size_t nbytes;
};

int cm_codec_work_new(cm_codec_work **out, cm_error *err)
{
    *out = cm_calloc(1, sizeof **out, err);
    return *out ? 0 : CM_ENOMEM;
}

void cm_codec_work_free(cm_codec_work *work)
{
    if (!work)
        return;
    free(work->bytes);
    free(work->lz4_state);
    ZSTD_freeCCtx(work->zstd_encoder);
    ZSTD_freeDCtx(work->zstd_decoder);
    for (int i = 0; i < NLEVELS; i++)
        if (work->deflaters[i])
            libdeflate_free_compressor(work->deflaters[i]);
    if (work->inflater)
        libdeflate_free_decompressor(work->inflater);
    free(work);
}

static void *no_state(const char *what, cm_error *err)
{
    cm_error_set(err, CM_ENOMEM, "out of memory for %s", what);
    return NULL;
}

void *cm_work_inflater(cm_codec_work *work, cm_error *err)
{
    if (!work->inflater)
        work->inflater = libdeflate_alloc_decompressor();
    return work->inflater ? work->inflater : no_state("a deflate decoder", err);
}

void *cm_work_deflater(cm_codec_work *work, int level, cm_error *err)
{
    if (!work->deflaters[level])
        work->deflaters[level] = libdeflate_alloc_compressor(level);
    return work->deflaters[level] ? work->deflaters[level] : no_state("a deflate encoder", err);
}

void *cm_work_zstd_decoder(cm_codec_work *work, cm_error *err)
{
    if (!work->zstd_decoder)
        work->zstd_decoder = ZSTD_createDCtx();
    return work->zstd_decoder ? work->zstd_decoder : no_state("a zstd decoder", err);
}

void *cm_work_zstd_encoder(cm_codec_work *work, int level, bool checksum, cm_error *err)
{
    ZSTD_CCtx *c = work->zstd_encoder;
    if (c && work->zstd_level == level && work->zstd_checksum == checksum)
        return c;
    if (!c)
        c = work->zstd_encoder = ZSTD_createCCtx();
    if (!c)
        return no_state("a zstd encoder", err);
    ZSTD_CCtx_reset(c, ZSTD_reset_session_and_parameters);
    work->zstd_level = level;
    work->zstd_checksum = checksum;
    /* Both were checked when the codec was made: nothing but memory can be wrong here. */
    size_t a = ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, level);
    size_t b = ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, checksum);
    if (ZSTD_isError(a) || ZSTD_isError(b)) {
        ZSTD_freeCCtx(c);
        work->zstd_encoder = NULL;
        return no_state("a zstd encoder", err);
    }
    return c;
}

void *cm_work_lz4_state(cm_codec_work *work, cm_error *err)
{
    if (!work->lz4_state)
        work->lz4_state = cm_calloc(1, (size_t)LZ4_sizeofState(), err);
    return work->lz4_state;
}

void *cm_work_bytes(cm_codec_work *work, size_t nbytes, cm_error *err)
{
    if (nbytes > work->nbytes) {
        free(work->bytes);
        work->nbytes = 0;
        work->bytes = cm_realloc(NULL, nbytes, 1, err);
        if (work->bytes)
            work->nbytes = nbytes;
    }
    return work->bytes;
}

/* Measured with libdeflate 1.14 (level 1; 2-9; 10-12) and rounded up. */
size_t cm_deflater_nbytes(int level)
{
    if (level <= 0)
        return (size_t)8 << 10;
    if (level == 1)
        return (size_t)256 << 10;
    return level <= 9 ? (size_t)704 << 10 : (size_t)9 << 20;
}
