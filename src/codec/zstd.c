/* codec/zstd.c: Zstandard (RFC 8878), Zarr v3 "zstd" and numcodecs "zstd".
 *
 * Decoding is one-shot, never streaming: the destination itself is the window, so a frame's
 * declared window size costs no memory and needs no limit, and frames without a content size
 * (streamed writers) need no second pass. A chunk may hold several frames and skippable ones; each
 * must begin with a current magic number, because a libzstd built with legacy support would
 * otherwise hand hostile bytes to decoders of the 0.x formats that nobody tests any more.
 */
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>
#include <zstd_errors.h>

#include "base/bytes.h"
#include "codec/codec_private.h"

typedef struct {
    cm_codec base;
    int level;
    bool checksum;
} zstd_codec;

static const zstd_codec *self(const cm_codec *codec)
{
    return (const zstd_codec *)codec;
}

/* Anything less (down to -131072) is the same as the least. */
enum { LEVEL_MIN = -131072, LEVEL_MAX = 22 };

int cm_codec_new_zstd(int level, bool checksum, cm_codec **out, cm_error *err)
{
    if (level < LEVEL_MIN || level > LEVEL_MAX)
        return cm_error_set(err, CM_EINVAL, "zstd: level %d is outside %d..%d", level, LEVEL_MIN,
                            LEVEL_MAX);
    zstd_codec *z;
    int r = cm_codec_alloc(&cm_class_zstd, sizeof *z, &z, err);
    if (r)
        return r;
    z->level = level;
    z->checksum = checksum;
    *out = &z->base;
    return 0;
}

static int zstd_parse(const cm_json *config, cm_dialect dialect, cm_dtype dtype, cm_codec **out,
                      cm_error *err)
{
    (void)dtype;
    int64_t level = 0; /* zarr-python's and numcodecs' default */
    bool checksum = false;
    const cm_config_field fields[] = {
        {.key = "level", .min = LEVEL_MIN, .max = LEVEL_MAX, .value = &level},
        {.key = "checksum", .flag = &checksum},
    };
    int r = cm_config_read(config, dialect, "zstd", fields, 2, err);
    return r ? r : cm_codec_new_zstd((int)level, checksum, out, err);
}

static cm_json *zstd_describe(const cm_codec *codec, cm_json_doc *doc, cm_dialect dialect)
{
    cm_json *config, *o = cm_config_describe(doc, &cm_class_zstd, "zstd", dialect, &config);
    if (!o || cm_json_set_int64(doc, config, "level", self(codec)->level))
        return NULL;
    /* In v2, tensorstore and numcodecs before 0.13 do not know the member and refuse the array. */
    if ((self(codec)->checksum || dialect == CM_ZARR3) &&
        cm_json_set_bool(doc, config, "checksum", self(codec)->checksum))
        return NULL;
    return o;
}

static size_t zstd_bound(const cm_codec *codec, size_t n)
{
    (void)codec;
    return ZSTD_COMPRESSBOUND(n);
}

size_t cm_zstd_nbytes(int level, size_t nbytes, bool encoding)
{
    if (!encoding)
        return ZSTD_estimateDCtxSize();
    return ZSTD_estimateCCtxSize_usingCParams(ZSTD_getCParams(level, nbytes, 0));
}

static size_t zstd_scratch(const cm_codec *codec, size_t n, bool encoding)
{
    return cm_zstd_nbytes(self(codec)->level, n, encoding);
}

static int failed(size_t code, size_t nsrc, cm_error *err)
{
    return cm_error_set(
        err, ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation ? CM_ENOMEM : CM_EINVAL,
        "zstd: cannot encode %zu bytes: %s", nsrc, ZSTD_getErrorName(code));
}

static int zstd_encode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                       void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    ZSTD_CCtx *c = cm_work_zstd_encoder(work, self(codec)->level, self(codec)->checksum, err);
    if (!c)
        return CM_ENOMEM;
    size_t n = ZSTD_compress2(c, dst, capacity, src, nsrc);
    if (ZSTD_isError(n))
        return failed(n, nsrc, err);
    *nout = n;
    return 0;
}

/* Streaming: libzstd copies what it still has to look back at, so memory is the window's and does
 * not grow with the chunk. The size is declared at the beginning, for readers that want it in the
 * frame's header. */
static size_t zstd_stream_scratch(const cm_codec *codec, size_t n)
{
    return ZSTD_estimateCStreamSize_usingCParams(ZSTD_getCParams(self(codec)->level, n, 0)) +
           ZSTD_CStreamOutSize();
}

static int zstd_stream_begin(const cm_codec *codec, cm_codec_work *work, size_t n, cm_error *err)
{
    ZSTD_CCtx *c = cm_work_zstd_encoder(work, self(codec)->level, self(codec)->checksum, err);
    if (!c)
        return CM_ENOMEM;
    size_t a = ZSTD_CCtx_reset(c, ZSTD_reset_session_only);
    size_t b = ZSTD_isError(a) ? a : ZSTD_CCtx_setPledgedSrcSize(c, n);
    return ZSTD_isError(b) ? failed(b, n, err) : 0;
}

static int zstd_stream_feed(const cm_codec *codec, cm_codec_work *work, const void *src,
                            size_t nsrc, bool last, cm_write_fn write, void *to, cm_error *err)
{
    ZSTD_CCtx *c = cm_work_zstd_encoder(work, self(codec)->level, self(codec)->checksum, err);
    size_t room = ZSTD_CStreamOutSize();
    void *piece = c ? cm_work_bytes(work, room, err) : NULL;
    if (!piece)
        return CM_ENOMEM;
    ZSTD_inBuffer in = {src, nsrc, 0};
    for (;;) {
        ZSTD_outBuffer out = {piece, room, 0};
        size_t left = ZSTD_compressStream2(c, &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
        if (ZSTD_isError(left))
            return failed(left, nsrc, err);
        int r = out.pos ? write(to, piece, out.pos, err) : 0;
        if (r || (last ? left == 0 : in.pos == in.size))
            return r;
    }
}

/* Length of the frame that begins at src: checked magic number, all of its blocks there. */
static int frame_nbytes(const uint8_t *src, size_t nsrc, size_t at, size_t *nbytes, cm_error *err)
{
    size_t left = nsrc - at;
    uint32_t magic = left >= 4 ? cm_load_le32(src + at) : 0;
    if (magic != ZSTD_MAGICNUMBER &&
        (magic & ZSTD_MAGIC_SKIPPABLE_MASK) != ZSTD_MAGIC_SKIPPABLE_START) {
        if (at == 0)
            return cm_error_set(err, CM_EDATA, "zstd: not a zstd frame (%zu bytes)", nsrc);
        return cm_error_set(err, CM_EDATA, "zstd: %zu bytes left over after a frame of %zu", left,
                            at);
    }
    size_t n = ZSTD_findFrameCompressedSize(src + at, left);
    if (ZSTD_isError(n) || n > left)
        return cm_error_set(err, CM_EDATA, "zstd: malformed frame at byte %zu of %zu: %s", at, nsrc,
                            ZSTD_isError(n) ? ZSTD_getErrorName(n) : "it is cut off");
    *nbytes = n;
    return 0;
}

/* The decoded size of all frames, 0 when one of them does not say. */
static size_t wanted_nbytes(const void *src, size_t nsrc)
{
    unsigned long long n = ZSTD_findDecompressedSize(src, nsrc);
    return n >= ZSTD_CONTENTSIZE_ERROR || n > SIZE_MAX ? 0 : (size_t)n;
}

static int zstd_decode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                       void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)codec;
    *nout = 0;
    ZSTD_DCtx *d = cm_work_zstd_decoder(work, err);
    if (!d)
        return CM_ENOMEM;
    size_t at = 0, done = 0;
    do {
        size_t nframe = 0;
        int r = frame_nbytes(src, nsrc, at, &nframe, err);
        if (r)
            return r;
        size_t n = ZSTD_decompressDCtx(d, (uint8_t *)dst + done, capacity - done,
                                       (const uint8_t *)src + at, nframe);
        if (ZSTD_isError(n)) {
            ZSTD_ErrorCode code = ZSTD_getErrorCode(n);
            if (code == ZSTD_error_dstSize_tooSmall) {
                *nout = wanted_nbytes(src, nsrc);
                return cm_error_set(err, CM_ELIMIT, "zstd: decodes to more than %zu bytes",
                                    capacity);
            }
            return cm_error_set(err, code == ZSTD_error_memory_allocation ? CM_ENOMEM : CM_EDATA,
                                "zstd: corrupted frame (%zu bytes): %s", nsrc,
                                ZSTD_getErrorName(n));
        }
        done += n;
        at += nframe;
    } while (at < nsrc);
    *nout = done;
    return 0;
}

static int zstd_text(const cm_codec *codec, cm_buffer *out, cm_error *err)
{
    return cm_buffer_printf(out, err, self(codec)->checksum ? "zstd(%d,checksum)" : "zstd:%d",
                            self(codec)->level);
}

static bool zstd_equal(const cm_codec *a, const cm_codec *b, bool exactly)
{
    return !exactly || (self(a)->level == self(b)->level && self(a)->checksum == self(b)->checksum);
}

const cm_codec_class cm_class_zstd = {
    .name = "zstd",
    .v2_id = "zstd",
    .parse = zstd_parse,
    .describe = zstd_describe,
    .bound = zstd_bound,
    .scratch = zstd_scratch,
    .encode = zstd_encode,
    .decode = zstd_decode,
    .stream_begin = zstd_stream_begin,
    .stream_feed = zstd_stream_feed,
    .stream_scratch = zstd_stream_scratch,
    .text = zstd_text,
    .equal = zstd_equal,
};
