/* codec/base64.c: numcodecs "base64": bytes as text (RFC 4648, the standard alphabet, with
 * padding).
 *
 * Only what an encoder writes is decoded: no line breaks, no missing padding, no bits behind the
 * end. Both ways go by tables: three bytes are two halves of 12 bits, each of them two characters
 * at once; back, each character is a value whose top bit says that it is none of the alphabet,
 * looked at once at the end.
 */
#include <string.h>

#include "codec/codec_private.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

enum {
    NONE = 0x80,
    PAIRS_FROM = 4096, /* bytes from which on the table of pairs pays */
    PAIRS_NBYTES = 2 * 4096
};

/* The value of each character, NONE for others. */
static void make_values(uint8_t *values)
{
    memset(values, NONE, 256);
    for (uint8_t i = 0; i < 64; i++)
        values[(uint8_t)alphabet[i]] = i;
}

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
    return n > PTRDIFF_MAX / 2 ? SIZE_MAX : (n + 2) / 3 * 4;
}

static size_t scratch(const cm_codec *codec, size_t n, bool encoding)
{
    (void)codec;
    return encoding && n >= PAIRS_FROM ? PAIRS_NBYTES : 0;
}

static void encode_three(const uint8_t *p, size_t n, char *q)
{
    uint32_t v = (uint32_t)p[0] << 16 | (n > 1 ? (uint32_t)p[1] << 8 : 0) | (n > 2 ? p[2] : 0);
    q[0] = alphabet[v >> 18];
    q[1] = alphabet[v >> 12 & 63];
    q[2] = n > 1 ? alphabet[v >> 6 & 63] : '=';
    q[3] = n > 2 ? alphabet[v & 63] : '=';
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
            pairs[k][0] = alphabet[k >> 6];
            pairs[k][1] = alphabet[k & 63];
        }
        for (; i + 3 <= nsrc; i += 3, q += 4) {
            memcpy(q, pairs[p[i] << 4 | p[i + 1] >> 4], 2);
            memcpy(q + 2, pairs[(p[i + 1] & 15) << 8 | p[i + 2]], 2);
        }
    }
    for (; i < nsrc; i += 3, q += 4)
        encode_three(p + i, nsrc - i, q);
    return 0;
}

static int malformed(cm_error *err)
{
    return cm_error_set(err, CM_EDATA, "base64: not what an encoder writes");
}

/* All groups of four but the last, which may be padded: into dst, three bytes each. */
static bool decode_groups(const uint8_t *p, size_t ngroups, uint8_t *dst, const uint8_t *values)
{
    uint8_t seen = 0;
    for (size_t i = 0; i < ngroups; i++, p += 4, dst += 3) {
        uint8_t a = values[p[0]], b = values[p[1]], c = values[p[2]], d = values[p[3]];
        seen |= a | b | c | d;
        uint32_t v = (uint32_t)a << 18 | (uint32_t)b << 12 | (uint32_t)c << 6 | d;
        dst[0] = (uint8_t)(v >> 16);
        dst[1] = (uint8_t)(v >> 8);
        dst[2] = (uint8_t)v;
    }
    return !(seen & NONE);
}

static int decode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                  void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)codec;
    (void)work;
    const uint8_t *p = src;
    uint8_t values[256], last[4], bytes[3];
    *nout = 0;
    if (nsrc == 0)
        return 0;
    if (nsrc % 4)
        return malformed(err);
    size_t pad = p[nsrc - 1] == '=' ? p[nsrc - 2] == '=' ? 2 : 1 : 0;
    *nout = nsrc / 4 * 3 - pad;
    if (*nout > capacity)
        return cm_error_set(err, CM_ELIMIT, "base64: decodes to %zu bytes, more than %zu", *nout,
                            capacity);
    make_values(values);
    memcpy(last, p + nsrc - 4, 4);
    memset(last + 4 - pad, 'A', pad);
    if (!decode_groups(p, nsrc / 4 - 1, dst, values) || !decode_groups(last, 1, bytes, values) ||
        (pad > 0 && bytes[2]) || (pad > 1 && bytes[1]))
        return malformed(err);
    memcpy((uint8_t *)dst + (nsrc / 4 - 1) * 3, bytes, 3 - pad);
    return 0;
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
