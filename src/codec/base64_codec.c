/* codec/base64_codec.c: numcodecs "base64": bytes as text (text/base64.h).
 *
 * Chunks are large, so encoding goes by a table made for each: three bytes are two halves of 12
 * bits, each of them two characters at once.
 */
#include <string.h>

#include "codec/codec_private.h"
#include "text/base64.h"

enum {
    PAIRS_FROM = 4096, /* bytes from which on the table of pairs pays */
    PAIRS_NBYTES = 2 * 4096
};

static int parse(const cm_json *config, cm_dialect dialect, cm_dtype dtype, cm_codec **out,
                 cm_error *err)
{
    (void)dtype;
    int r = cm_config_read(config, dialect, "base64", NULL, 0, err);
    return r ? r : cm_codec_alloc(&cm_class_base64, sizeof **out, out, err);
}

static cm_json *describe(const cm_codec *codec, cm_json_doc *doc, cm_dialect dialect)
{
    cm_json *config;
    return cm_config_describe(doc, codec->cls, codec->cls->name, dialect, &config);
}

static size_t encoded_size(const cm_codec *codec, size_t n)
{
    (void)codec;
    return n > PTRDIFF_MAX / 2 ? SIZE_MAX : cm_base64_nbytes(n);
}

static size_t scratch(const cm_codec *codec, size_t n, bool encoding)
{
    (void)codec;
    return encoding && n >= PAIRS_FROM ? PAIRS_NBYTES : 0;
}

static int encode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                  void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    const uint8_t *p = src;
    char *q = dst;
    *nout = encoded_size(codec, nsrc);
    if (*nout > capacity)
        return cm_error_set(err, CM_EINVAL, "base64: %zu bytes do not fit %zu", *nout, capacity);
    size_t i = 0;
    if (nsrc >= PAIRS_FROM) {
        char(*pairs)[2] = cm_work_bytes(work, PAIRS_NBYTES, err);
        if (!pairs)
            return CM_ENOMEM;
        for (unsigned k = 0; k < PAIRS_NBYTES / 2; k++) {
            pairs[k][0] = cm_base64_digits[k >> 6];
            pairs[k][1] = cm_base64_digits[k & 63];
        }
        for (; i + 3 <= nsrc; i += 3, q += 4) {
            memcpy(q, pairs[p[i] << 4 | p[i + 1] >> 4], 2);
            memcpy(q + 2, pairs[(p[i + 1] & 15) << 8 | p[i + 2]], 2);
        }
    }
    cm_base64_encode(p + i, nsrc - i, q);
    return 0;
}

static int malformed(cm_error *err)
{
    return cm_error_set(err, CM_EDATA, "base64: not what an encoder writes");
}

static int decode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                  void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)codec;
    (void)work;
    if (!cm_base64_decode_size(src, nsrc, nout))
        return malformed(err);
    if (*nout > capacity)
        return cm_error_set(err, CM_ELIMIT, "base64: decodes to %zu bytes, more than %zu", *nout,
                            capacity);
    return cm_base64_decode(src, nsrc, dst, nout) ? 0 : malformed(err);
}

static int text(const cm_codec *codec, cm_buffer *out, cm_error *err)
{
    (void)codec;
    return cm_buffer_append_string(out, "base64", err);
}

static bool equal(const cm_codec *a, const cm_codec *b, bool exactly)
{
    (void)a, (void)b, (void)exactly;
    return true;
}

const cm_codec_class cm_class_base64 = {
    .name = "numcodecs.base64",
    .v2_id = "base64",
    .parse = parse,
    .describe = describe,
    .bound = encoded_size,
    .scratch = scratch,
    .encode = encode,
    .decode = decode,
    .encoded_size = encoded_size,
    .text = text,
    .equal = equal,
};
