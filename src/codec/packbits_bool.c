/* codec/packbits_bool.c: numcodecs "packbits": how many bits are too many at the end, in one byte,
 * then eight bools in each byte, the first one uppermost.
 *
 * It is not Zarr v3's "packbits" (packbits.c), which has the first one lowest; there its name is
 * "numcodecs.packbits", an array-to-array codec that makes a list of bytes.
 */
#include "codec/bit_kernels.h"
#include "codec/codec_private.h"

static int parse(const cm_json *config, cm_dialect dialect, const cm_array_form *in, cm_codec **out,
                 cm_error *err)
{
    char name[CM_DTYPE_NAME];
    int r = cm_config_read(config, dialect, "packbits", NULL, 0, err);
    if (!r && in->dtype.kind != CM_BOOL && !(dialect == CM_ZARR2 && in->dtype.size == 1))
        r = cm_error_set(err, CM_EUNSUP, "codec packbits: cells of type %s, not bool",
                         cm_dtype_name(in->dtype, name, sizeof name));
    return r ? r : cm_codec_alloc(&cm_class_packbits_bool, sizeof **out, out, err);
}

static cm_json *describe(const cm_codec *codec, cm_json_doc *doc, cm_dialect dialect)
{
    cm_json *config;
    return cm_config_describe(doc, codec->cls, codec->cls->name, dialect, &config);
}

static size_t encoded_size(const cm_codec *codec, size_t n)
{
    (void)codec;
    return 1 + n / 8 + (n % 8 != 0);
}

static int encode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                  void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)work;
    *nout = encoded_size(codec, nsrc);
    if (*nout > capacity)
        return cm_error_set(err, CM_EINVAL, "packbits: %zu bytes do not fit %zu", *nout, capacity);
    *(uint8_t *)dst = (uint8_t)((8 - nsrc % 8) % 8);
    return cm_pack_bools(src, nsrc, true, (uint8_t *)dst + 1)
               ? 0
               : cm_error_set(err, CM_EUNSUP, "packbits: a bool that is neither 0 nor 1");
}

static int decode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                  void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)codec;
    (void)work;
    const uint8_t *p = src;
    *nout = 0;
    if (nsrc < 1 || p[0] > 7 || (nsrc == 1 && p[0]))
        return cm_error_set(err, CM_EDATA, "packbits: %zu bytes that do not say where they end",
                            nsrc);
    if (nsrc - 1 > PTRDIFF_MAX / 8)
        return cm_error_set(err, CM_ELIMIT, "packbits: %zu bytes", nsrc);
    *nout = (nsrc - 1) * 8 - p[0];
    if (*nout > capacity)
        return cm_error_set(err, CM_ELIMIT, "packbits: decodes to %zu bools, more than %zu", *nout,
                            capacity);
    cm_unpack_bools(p + 1, *nout, true, dst);
    return 0;
}

static int filter(const cm_codec *codec, cm_array_form *form)
{
    size_t n = 1;
    for (int i = 0; i < form->ndim; i++)
        n *= (size_t)form->shape[i];
    form->dtype = cm_dtype_of(CM_UINT8, 0);
    if (form->ndim >= 0) {
        form->ndim = 1;
        form->shape[0] = (int64_t)encoded_size(codec, n);
    }
    return 0;
}

static int text(const cm_codec *codec, cm_buffer *out, cm_error *err)
{
    (void)codec;
    return cm_buffer_append_string(out, "packbits(first byte)", err);
}

static bool equal(const cm_codec *a, const cm_codec *b, bool exactly)
{
    (void)a, (void)b, (void)exactly;
    return true;
}

const cm_codec_class cm_class_packbits_bool = {
    .name = "numcodecs.packbits",
    .v2_id = "packbits",
    .parse_array = parse,
    .describe = describe,
    .bound = encoded_size,
    .scratch = cm_no_scratch,
    .encode = encode,
    .decode = decode,
    .encoded_size = encoded_size,
    .filter = filter,
    .text = text,
    .equal = equal,
};
