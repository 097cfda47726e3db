/* fuzz/fuzz_codec.c: frames of every codec, alone and in a chain.
 *
 * Byte 0 chooses the codec (from 240 on those that only HDF5 has, from 216 on those of arrays,
 * with byte 1 choosing types, roundings, bits), byte 1 its configuration, bytes
 * 2-3 the capacity; the rest is the frame. Decoding must stay inside the capacity (the buffer is
 * exactly that large, so the sanitizer sees it), answer with one of the codes of its contract, and
 * be repeatable by the same work. A frame that decodes is encoded again and must come back.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "codec/codec.h"

static void require(bool good)
{
    if (!good)
        abort();
}

/* The filters that only HDF5 has: they do not encode. */
static cm_codec *make_hdf5(uint8_t kind, uint8_t config)
{
    static const uint32_t nbits[][8] = {{8, 0, 100, 1, 4, 0, 13, 3},
                                        {8, 0, 900, 1, 8, 1, 61, 0},
                                        {8, 0, 1000, 1, 1, 0, 1, 7},
                                        {8, 0, 77, 2, 6, 1, 2, 1}};
    uint32_t scale[20] = {
        2, 0, 50, 0, 1u << (config & 3), config >> 2 & 1, config >> 3 & 1, config >> 4 & 1, 9};
    cm_codec *c = NULL;
    switch (kind % 6) {
    case 0: require(cm_codec_new_lzf(&c, NULL) == 0); break;
    case 1: require(cm_codec_new_lz4_hdf5(&c, NULL) == 0); break;
    case 2:
        require(cm_codec_new_bitshuffle_hdf5(config % 17 + 1u, config / 17 % 3 * 8u,
                                             (cm_bitshuffle_inner)(config / 51 % 3), &c,
                                             NULL) == 0);
        break;
    case 3:
        require(cm_codec_new_szip(config & 0xfc, (config % 4 + 1) * 8u,
                                  config & 1 ? 32 : 8 + config / 32u, config + 1u, &c, NULL) == 0);
        break;
    case 4:
        if (cm_codec_new_nbit(nbits[config % 4], 8, &c, NULL) != 0)
            require(cm_codec_new_nbit(nbits[0], 8, &c, NULL) == 0);
        break;
    default:
        if (config & 0x40 && scale[4] >= 4) {
            scale[0] = 0;
            scale[3] = 1;
        }
        require(cm_codec_new_scaleoffset(scale, 20, &c, NULL) == 0);
    }
    return c;
}

/* Codecs of arrays of 60 cells; NULL for types that they do not take. */
static cm_codec *make_array(uint8_t kind, uint8_t config)
{
    static const char *const types[] = {"<i2", "|u1", ">i4", "<u8", "<f2", ">f4", "<f8", "|b1"};
    static const char *const roundings[] = {"nearest-even", "towards-zero", "towards-positive",
                                            "towards-negative", "nearest-away"};
    static const char *const names[] = {"int8",    "int16",   "int64",   "uint8", "uint64",
                                        "float16", "float32", "float64", "int4",  "float8_e4m3fn"};
    const char *a = types[config % 8], *b = types[config / 8 % 8];
    char text[512];
    cm_kind cells = (cm_kind)(CM_BOOL + config % (CM_FLOAT64 - CM_BOOL + 1));
    const char *name = NULL;
    switch (kind % 12) {
    case 0: snprintf(text, sizeof text, "{\"dtype\": \"%s\", \"astype\": \"%s\"}", a, b); break;
    case 1:
        name = "fixedscaleoffset";
        snprintf(text, sizeof text,
                 "{\"dtype\": \"%s\", \"astype\": \"%s\", \"scale\": %d, \"offset\": 3}", a, b,
                 config / 64 + 1);
        break;
    case 2:
        name = "quantize";
        snprintf(text, sizeof text, "{\"dtype\": \"%s\", \"astype\": \"%s\", \"digits\": 2}", a, b);
        break;
    case 3:
        name = "astype";
        snprintf(text, sizeof text, "{\"encode_dtype\": \"%s\", \"decode_dtype\": \"%s\"}", a, b);
        break;
    case 4:
        name = "base64";
        snprintf(text, sizeof text, "{}");
        break;
    case 5:
        name = "numcodecs.packbits";
        snprintf(text, sizeof text, "{}");
        cells = CM_BOOL;
        break;
    case 6:
        name = "packbits";
        snprintf(text, sizeof text,
                 "{\"first_bit\": %d, \"last_bit\": %d, \"padding_encoding\": \"%s\"}", config % 4,
                 config / 4 % 16, config & 64 ? "first_byte" : "last_byte");
        break;
    case 7:
        name = "scale_offset";
        snprintf(text, sizeof text, "{\"scale\": %d, \"offset\": %d}", config % 5, config / 16);
        break;
    case 8:
        name = "cast_value";
        snprintf(
            text, sizeof text,
            "{\"data_type\": \"%s\", \"rounding\": \"%s\"%s, \"scalar_map\": {\"decode\": [[1, "
            "2]], \"encode\": [[2, 1]]}}",
            names[config % 10], roundings[config / 16 % 5],
            config & 128 ? ", \"out_of_range\": \"clamp\"" : "");
        cells = (cm_kind)(CM_INT8 + config / 10 % (CM_FLOAT64 - CM_INT8 + 1));
        break;
    case 9:
        name = "json2";
        snprintf(text, sizeof text, "{}");
        cells = config % 2 ? CM_STRING : cells;
        break;
    default:
        name = "categorize";
        snprintf(text, sizeof text,
                 "{\"labels\": [\"a\", \"bc\", \"a\"], \"dtype\": \"|O\", \"astype\": \"%s\"}", a);
        cells = CM_STRING;
    }
    cm_array_form form = {.dtype = cm_dtype_of(cells, 0), .ndim = 2, .shape = {12, 5}};
    const cm_codec_class *cls = cm_codec_class_named(name ? name : "delta", CM_ZARR3);
    cm_json_doc *doc;
    cm_codec *c = NULL;
    require(cls && cm_json_parse(text, strlen(text), 0, &doc, NULL) == 0);
    cm_dialect dialect = cls->v2_id ? CM_ZARR2 : CM_ZARR3;
    if (cm_codec_parse(cls, cm_json_doc_root(doc), dialect, &form, &c, NULL))
        c = NULL;
    cm_json_doc_free(doc);
    return c;
}

static cm_codec *make(uint8_t kind, uint8_t config)
{
    static const char *const compressors[] = {"blosclz", "lz4", "lz4hc", "snappy", "zlib", "zstd"};
    cm_codec *c = NULL;
    static const char *const others[] = {"bz2", "lzma", "crc32", "adler32", "jenkins_lookup3"};
    if (kind >= 240)
        return make_hdf5(kind, config);
    if (kind >= 216)
        return make_array(kind, config);
    if (kind >= 200) {
        const cm_codec_class *cls = cm_codec_class_named(others[config % 5], CM_ZARR2);
        require(cls && cls->parse(NULL, CM_ZARR2, cm_dtype_of(CM_UINT8, 0), &c, NULL) == 0);
        return c;
    }
    switch (kind % 8) {
    case 0: require(cm_codec_new_zstd(config % 4, config & 4, &c, NULL) == 0); break;
    case 1: require(cm_codec_new_gzip(config % 4, &c, NULL) == 0); break;
    case 2: require(cm_codec_new_zlib(config % 4, &c, NULL) == 0); break;
    case 3: require(cm_codec_new_lz4(config, &c, NULL) == 0); break;
    case 4:
        require(cm_codec_new_blosc(compressors[config % 6], config / 6 % 6, config / 36 % 3,
                                   config % 17 + 1u, 0, &c, NULL) == 0);
        break;
    case 5: require(cm_codec_new_shuffle(config, &c, NULL) == 0); break;
    case 6: require(cm_codec_new_crc32c(&c, NULL) == 0); break;
    default: require(cm_codec_new_fletcher32(&c, NULL) == 0); break;
    }
    return c;
}

static void encode_again(const cm_codec *c, cm_codec_work *work, const uint8_t *data, size_t n)
{
    if (!c->cls->encode)
        return;
    size_t bound = c->cls->bound(c, n), nenc, ndec;
    uint8_t *enc = malloc(bound), *dec = malloc(n ? n : 1);
    require(enc && dec);
    int r = c->cls->encode(c, work, data, n, enc, bound, &nenc, NULL);
    bool filter = c->cls->filter != NULL; /* what would not come back is refused */
    require(r == 0 || (filter && (r == CM_EUNSUP || r == CM_EINVAL)));
    require(r != 0 || nenc <= bound);
    if (r) {
        free(enc);
        free(dec);
        return;
    }
    require(c->cls->decode(c, work, enc, nenc, dec, n, &ndec, NULL) == 0 && ndec == n);
    require(n == 0 || memcmp(dec, data, n) == 0);
    free(enc);
    free(dec);
}

static void one_codec(cm_codec *c, cm_codec_work *work, const uint8_t *data, size_t size,
                      size_t capacity)
{
    uint8_t *dst = malloc(capacity ? capacity : 1), *again = malloc(capacity ? capacity : 1);
    size_t n = 0, m = 0;
    require(dst && again);
    cm_error err = {0};
    int r = c->cls->decode(c, work, data, size, dst, capacity, &n, &err);
    require(r == 0 || r == CM_EDATA || r == CM_ELIMIT || r == CM_EUNSUP);
    require((r != 0) == (err.message[0] != 0));
    if (r == 0) {
        require(n <= capacity);
        require(c->cls->decode(c, work, data, size, again, capacity, &m, NULL) == 0 && m == n);
        require(n == 0 || memcmp(dst, again, n) == 0);
        encode_again(c, work, dst, n);
    }
    free(dst);
    free(again);
}

/* The same frame behind a checksum-less chain of two, as HDF5 has them: shuffle first. */
static void a_chain(cm_codec *c, cm_codec_work *work, const uint8_t *data, size_t size, size_t n,
                    uint8_t config)
{
    int64_t shape = n ? (int64_t)n : 1;
    cm_chain *chain;
    cm_codec *first;
    require(cm_chain_new(cm_dtype_of(CM_UINT8, 0), 1, &shape, &chain, NULL) == 0);
    require(cm_codec_new_shuffle(config % 9, &first, NULL) == 0);
    require(cm_chain_append(chain, first, NULL) == 0 && cm_chain_append(chain, c, NULL) == 0);
    size_t nout;
    void *middle = malloc(cm_chain_middle_nbytes(chain, (size_t)shape) + 1);
    uint8_t *dst = malloc((size_t)shape);
    require(middle && dst);
    int r = cm_chain_decode(chain, work, config >> 6, data, size, dst, (size_t)shape, &nout, middle,
                            NULL);
    require(r == 0 || r == CM_EDATA || r == CM_EUNSUP);
    require(r != 0 || nout == (size_t)shape);
    free(middle);
    free(dst);
    cm_chain_unref(chain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4)
        return 0;
    size_t capacity = cm_load_le16(data + 2);
    cm_codec_work *work;
    require(cm_codec_work_new(&work, NULL) == 0);
    cm_codec *c = make(data[0], data[1]);
    if (!c) {
        cm_codec_work_free(work);
        return 0;
    }
    one_codec(c, work, data + 4, size - 4, capacity);
    a_chain(c, work, data + 4, size - 4, capacity, data[1]); /* takes c */
    cm_codec_work_free(work);
    return 0;
}
