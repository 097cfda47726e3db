/* codec/lz4.c: numcodecs' "lz4": the decoded size as 4 bytes little-endian, then one LZ4 block.
 *
 * The size in the header is only compared, never trusted: the block is decoded into the capacity
 * that the caller gave, and must come out at exactly that size. LZ4 takes at most 2113929216 bytes.
 */
#include <lz4.h>

#include "base/bytes.h"
#include "codec/codec_private.h"

typedef struct {
    cm_codec base;
    int acceleration;
} lz4_codec;

enum { HEADER = 4, ACCELERATION_MAX = 65537 /* LZ4's own; more is the same */ };

static int acceleration_of(const cm_codec *codec)
{
    return ((const lz4_codec *)codec)->acceleration;
}

int cm_codec_new_lz4(int acceleration, cm_codec **out, cm_error *err)
{
    if (acceleration < 0 || acceleration > ACCELERATION_MAX)
        return cm_error_set(err, CM_EINVAL, "lz4: acceleration %d is outside 0..%d", acceleration,
                            ACCELERATION_MAX);
    lz4_codec *z;
    int r = cm_codec_alloc(&cm_class_lz4, sizeof *z, &z, err);
    if (r)
        return r;
    z->acceleration = acceleration;
    *out = &z->base;
    return 0;
}

static int lz4_parse(const cm_json *config, cm_dialect dialect, cm_dtype dtype, cm_codec **out,
                     cm_error *err)
{
    (void)dtype;
    int64_t acceleration = 1;
    const cm_config_field field = {
        .key = "acceleration", .min = INT32_MIN, .max = INT32_MAX, .value = &acceleration};
    int r = cm_config_read(config, dialect, "lz4", &field, 1, err);
    if (r)
        return r;
    /* numcodecs takes any number: LZ4 itself clamps. */
    acceleration = cm_max_i64(0, cm_min_i64(acceleration, ACCELERATION_MAX));
    return cm_codec_new_lz4((int)acceleration, out, err);
}

static cm_json *lz4_describe(const cm_codec *codec, cm_json_doc *doc, cm_dialect dialect)
{
    cm_json *config;
    cm_json *o = cm_config_describe(doc, &cm_class_lz4, "numcodecs.lz4", dialect, &config);
    return !o || cm_json_set_int64(doc, config, "acceleration", acceleration_of(codec)) ? NULL : o;
}

static size_t lz4_bound(const cm_codec *codec, size_t n)
{
    (void)codec;
    return HEADER + n + n / 255 + 16;
}

static size_t lz4_scratch(const cm_codec *codec, size_t n, bool encoding)
{
    (void)codec;
    (void)n;
    return encoding ? (size_t)LZ4_sizeofState() : 0;
}

static int lz4_encode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                      void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    if (nsrc > LZ4_MAX_INPUT_SIZE)
        return cm_error_set(err, CM_EUNSUP, "lz4: a chunk of %zu bytes is over its limit of %d",
                            nsrc, LZ4_MAX_INPUT_SIZE);
    void *state = cm_work_lz4_state(work, err);
    if (!state)
        return CM_ENOMEM;
    size_t room = capacity - HEADER;
    int n = LZ4_compress_fast_extState(state, src, (char *)dst + HEADER, (int)nsrc,
                                       room > INT32_MAX ? INT32_MAX : (int)room,
                                       acceleration_of(codec));
    if (n <= 0)
        return cm_error_set(err, CM_EINVAL, "lz4: %zu bytes do not fit %zu when encoded", nsrc,
                            capacity);
    cm_store_le32(dst, (uint32_t)nsrc);
    *nout = (size_t)n + HEADER;
    return 0;
}

static int lz4_decode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                      void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)codec;
    (void)work;
    *nout = 0;
    if (nsrc < HEADER + 1 || nsrc - HEADER > INT32_MAX)
        return cm_error_set(err, CM_EDATA, "lz4: a frame cannot be %zu bytes", nsrc);
    uint32_t want = cm_load_le32(src);
    if (want > LZ4_MAX_INPUT_SIZE)
        return cm_error_set(err, CM_EDATA, "lz4: impossible decoded size %u", want);
    if (want > capacity) {
        *nout = want;
        return cm_error_set(err, CM_ELIMIT, "lz4: decodes to %u bytes, more than %zu", want,
                            capacity);
    }
    int n = LZ4_decompress_safe((const char *)src + HEADER, dst, (int)(nsrc - HEADER), (int)want);
    if (n < 0 || (uint32_t)n != want)
        return cm_error_set(err, CM_EDATA, "lz4: corrupted block (%zu bytes, %u decoded)", nsrc,
                            want);
    *nout = want;
    return 0;
}

static int lz4_text(const cm_codec *codec, cm_buffer *out, cm_error *err)
{
    return cm_buffer_printf(out, err, "lz4:%d", acceleration_of(codec));
}

static bool lz4_equal(const cm_codec *a, const cm_codec *b, bool exactly)
{
    return !exactly || acceleration_of(a) == acceleration_of(b);
}

const cm_codec_class cm_class_lz4 = {
    .name = "numcodecs.lz4",
    .v2_id = "lz4",
    .parse = lz4_parse,
    .describe = lz4_describe,
    .bound = lz4_bound,
    .scratch = lz4_scratch,
    .encode = lz4_encode,
    .decode = lz4_decode,
    .text = lz4_text,
    .equal = lz4_equal,
};
