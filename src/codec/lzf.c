/* codec/lzf.c: h5py's LZF filter (HDF5 filter 32000): LibLZF's stream, decoded only.
 *
 *     000lllll                     the next l + 1 bytes are literal
 *     lllooooo oooooooo            copy l + 2 bytes from o + 1 bytes back, l = 1..6
 *     111ooooo llllllll oooooooo   the same, l + 9 bytes
 *
 * There is no header and no end mark: the stream ends with its bytes. A copy may overlap what it
 * writes, which repeats a pattern; it is made byte by byte then.
 */
#include <string.h>

#include "codec/codec_private.h"

int cm_codec_new_lzf(cm_codec **out, cm_error *err)
{
    return cm_codec_alloc(&cm_class_lzf, sizeof **out, out, err);
}

static int too_large(size_t capacity, cm_error *err)
{
    return cm_error_set(err, CM_ELIMIT, "lzf: decodes to more than %zu bytes", capacity);
}

static int lzf_decode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                      void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)codec;
    (void)work;
    const uint8_t *p = src, *end = p + nsrc;
    uint8_t *out = dst;
    size_t n = 0;
    *nout = 0;
    while (p < end) {
        unsigned head = *p++;
        size_t length = head + 1;
        if (head < 32) {
            if (length > (size_t)(end - p))
                return cm_error_set(err, CM_EDATA, "lzf: stream of %zu bytes is cut off", nsrc);
            if (length > capacity - n)
                return too_large(capacity, err);
            memcpy(out + n, p, length);
            p += length;
            n += length;
            continue;
        }
        length = head >> 5;
        size_t back = (head & 31u) << 8;
        if ((size_t)(end - p) < (length == 7 ? 2u : 1u))
            return cm_error_set(err, CM_EDATA, "lzf: stream of %zu bytes is cut off", nsrc);
        if (length == 7)
            length += *p++;
        back += *p++ + 1u;
        length += 2;
        if (back > n)
            return cm_error_set(err, CM_EDATA, "lzf: a copy from before the first byte");
        if (length > capacity - n)
            return too_large(capacity, err);
        if (back >= length)
            memcpy(out + n, out + n - back, length);
        else
            for (size_t i = 0; i < length; i++)
                out[n + i] = out[n + i - back];
        n += length;
    }
    *nout = n;
    return 0;
}

static size_t lzf_bound(const cm_codec *codec, size_t n)
{
    (void)codec;
    return n + n / 16 + 64;
}

static size_t lzf_scratch(const cm_codec *codec, size_t n, bool encoding)
{
    (void)codec, (void)n, (void)encoding;
    return 0;
}

static int lzf_text(const cm_codec *codec, cm_buffer *out, cm_error *err)
{
    (void)codec;
    return cm_buffer_append_string(out, "lzf", err);
}

static bool lzf_equal(const cm_codec *a, const cm_codec *b, bool exactly)
{
    (void)a, (void)b, (void)exactly;
    return true;
}

const cm_codec_class cm_class_lzf = {
    .name = "lzf",
    .bound = lzf_bound,
    .scratch = lzf_scratch,
    .decode = lzf_decode,
    .text = lzf_text,
    .equal = lzf_equal,
};
