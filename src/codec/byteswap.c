/* codec/byteswap.c: Zarr v3's "bytes" in big-endian order behind a filter.
 *
 * The engine swaps the bytes of cells while it scatters them. What a filter makes are no cells, so
 * where "bytes" comes behind one and is big-endian it is a stage: this one. Copies do without.
 */
#include <string.h>

#include "codec/codec_private.h"
#include "nd/copy_kernels.h"

typedef struct {
    cm_codec base;
    uint32_t word;
} byteswap;

static uint32_t word_of(const cm_codec *codec)
{
    return ((const byteswap *)codec)->word;
}

int cm_codec_new_byteswap(uint32_t word, cm_codec **out, cm_error *err)
{
    const byteswap b = {.word = word};
    return cm_codec_copy(&cm_class_byteswap, &b, sizeof b, out, err);
}

static cm_json *byteswap_describe(const cm_codec *codec, cm_json_doc *doc, cm_dialect dialect)
{
    (void)dialect;
    cm_json *config, *o = cm_config_describe(doc, codec->cls, "bytes", CM_ZARR3, &config);
    return !o || cm_json_set_string(doc, config, "endian", "big") ? NULL : o;
}

static size_t same_size(const cm_codec *codec, size_t n)
{
    (void)codec;
    return n;
}

static int swap(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc, void *dst,
                size_t capacity, size_t *nout, cm_error *err)
{
    (void)work;
    *nout = nsrc;
    if (nsrc > capacity)
        return cm_error_set(err, CM_ELIMIT, "bytes: %zu bytes are more than %zu", nsrc, capacity);
    if (nsrc % word_of(codec))
        return cm_error_set(err, CM_EDATA, "bytes: %zu bytes are no multiple of %u", nsrc,
                            word_of(codec));
    cm_copy_bytes(dst, src, nsrc, word_of(codec));
    return 0;
}

static int byteswap_filter(const cm_codec *codec, cm_array_form *form)
{
    (void)codec;
    (void)form;
    return CM_FILTER_LAYOUT | CM_FILTER_BYTES;
}

static int byteswap_text(const cm_codec *codec, cm_buffer *out, cm_error *err)
{
    (void)codec;
    return cm_buffer_append_string(out, "big-endian", err);
}

static bool byteswap_equal(const cm_codec *a, const cm_codec *b, bool exactly)
{
    (void)exactly;
    return word_of(a) == word_of(b);
}

const cm_codec_class cm_class_byteswap = {
    .name = "bytes",
    .describe = byteswap_describe,
    .bound = same_size,
    .scratch = cm_no_scratch,
    .encode = swap,
    .decode = swap,
    .encoded_size = same_size,
    .filter = byteswap_filter,
    .text = byteswap_text,
    .equal = byteswap_equal,
};
