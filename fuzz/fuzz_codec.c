/* fuzz/fuzz_codec.c: frames of every codec, alone and in a chain.
 *
 * Byte 0 chooses the codec (from 240 on those that only HDF5 has), byte 1 its configuration, bytes
 * 2-3 the capacity; the rest is the frame. Decoding must stay inside the capacity (the buffer is
 * exactly that large, so the sanitizer sees it), answer with one of the codes of its contract, and
 * be repeatable by the same work. A frame that decodes is encoded again and must come back.
 */
#include <stdint.h>
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

static cm_codec *make(uint8_t kind, uint8_t config)
{
    static const char *const compressors[] = {"blosclz", "lz4", "lz4hc", "snappy", "zlib", "zstd"};
    cm_codec *c = NULL;
    static const char *const others[] = {"bz2", "lzma", "crc32", "adler32", "jenkins_lookup3"};
    if (kind >= 240)
        return make_hdf5(kind, config);
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
    require(c->cls->encode(c, work, data, n, enc, bound, &nenc, NULL) == 0 && nenc <= bound);
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
    one_codec(c, work, data + 4, size - 4, capacity);
    a_chain(c, work, data + 4, size - 4, capacity, data[1]); /* takes c */
    cm_codec_work_free(work);
    return 0;
}
