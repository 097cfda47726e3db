/* format/hdf5/h5_filter.c: from the filters of a pipeline to codecs.
 *
 * A filter is a number that The HDF Group gave out and some 32-bit parameters, which its author
 * chose: what they mean is written down here and nowhere else. Parameters that only an encoder
 * needs are kept where they describe the codec to others, and are not checked. Filters that are not
 * known here are named by their number, since their own names are free text.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "codec/codec.h"
#include "format/hdf5/h5_model.h"

enum {
    DEFLATE = 1,
    SHUFFLE = 2,
    FLETCHER32 = 3,
    SZIP = 4,
    NBIT = 5,
    SCALEOFFSET = 6,
    BZIP2 = 307,
    LZF = 32000,
    BLOSC = 32001,
    LZ4 = 32004,
    BITSHUFFLE = 32008,
    ZSTD = 32015
};

bool cm_h5_filter_known(const cm_h5_filter *t)
{
    switch (t->id) {
    case DEFLATE:
    case SHUFFLE:
    case FLETCHER32:
    case SZIP:
    case NBIT:
    case SCALEOFFSET:
    case BZIP2:
    case LZF:
    case BLOSC:
    case LZ4:
    case BITSHUFFLE:
    case ZSTD: return true;
    default: return false;
    }
}

const char *cm_h5_filter_name(const cm_h5_filter *t, char *buf, size_t size)
{
    static const struct {
        uint16_t id;
        const char *name;
    } names[] = {{32013, "zfp"}, {32017, "sz"},     {32019, "fpzip"},
                 {32024, "sz3"}, {32026, "blosc2"}, {32028, "granular bitround"}};
    const char *name = t->name;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].id == t->id)
            name = names[i].name;
    snprintf(buf, size, "filter %u%s%s%s", t->id, name[0] ? " (" : "", name, name[0] ? ")" : "");
    return buf;
}

/* Versions 2, type size, chunk size, level, shuffle, compressor. Decoding needs none of them (a
 * blosc buffer says all itself); they describe the codec to others. */
static int new_blosc(const cm_h5_filter *t, uint32_t cell, cm_codec **out, cm_error *err)
{
    static const char *const compressors[] = {"blosclz", "lz4", "lz4hc", "snappy", "zlib", "zstd"};
    uint32_t typesize = t->nvalues > 2 && t->values[2] ? t->values[2] : cell;
    uint32_t level = t->nvalues > 4 && t->values[4] <= 9 ? t->values[4] : 5;
    uint32_t shuffle = t->nvalues > 5 && t->values[5] <= 2 ? t->values[5] : 1;
    uint32_t code = t->nvalues > 6 && t->values[6] < 6 ? t->values[6] : 0;
    return cm_codec_new_blosc(compressors[code], (int)level, (int)shuffle, typesize, 0, out, err);
}

/* Version 2, type size, cells of a block, compressor (0, 2 LZ4, 3 zstd), level. */
static int new_bitshuffle(const cm_h5_filter *t, uint32_t cell, cm_codec **out, cm_error *err)
{
    uint32_t size = t->nvalues > 2 && t->values[2] ? t->values[2] : cell;
    uint32_t block = t->nvalues > 3 ? t->values[3] : 0, code = t->nvalues > 4 ? t->values[4] : 0;
    if (code == 1 || code > 3)
        return cm_error_set(err, CM_EUNSUP, "bitshuffle with compressor %u", code);
    cm_bitshuffle_inner inner = code == 0   ? CM_BITSHUFFLE_PLAIN
                                : code == 2 ? CM_BITSHUFFLE_LZ4
                                            : CM_BITSHUFFLE_ZSTD;
    return cm_codec_new_bitshuffle_hdf5(size, block, inner, out, err);
}

/* nbit and scaleoffset have parameters beyond those that are kept at hand. */
static int new_packed(const cm_h5_filter *t, cm_codec **out, cm_error *err)
{
    uint32_t *values = cm_calloc(t->nvalues + 1u, sizeof *values, err);
    if (!values)
        return CM_ENOMEM;
    for (size_t i = 0; i < t->nvalues; i++)
        values[i] = cm_load_le32(t->raw + 4 * i);
    int rc = t->id == NBIT ? cm_codec_new_nbit(values, t->nvalues, out, err)
                           : cm_codec_new_scaleoffset(values, t->nvalues, out, err);
    free(values);
    return rc;
}

int cm_h5_filter_codec(const cm_h5_filter *t, uint32_t cell, cm_codec **out, cm_error *err)
{
    bool given = t->nvalues > 0;
    const uint32_t *v = t->values;
    switch (t->id) {
    case DEFLATE: return cm_codec_new_zlib(given && v[0] <= 9 ? (int)v[0] : 6, out, err);
    case SHUFFLE:
        if (given && v[0] == 0)
            return cm_error_set(err, CM_EDATA, "shuffle of cells of 0 bytes");
        return cm_codec_new_shuffle(given ? v[0] : cell, out, err);
    case FLETCHER32: return cm_codec_new_fletcher32(out, err);
    case SZIP:
        if (t->nvalues < 4)
            return cm_error_set(err, CM_EDATA, "szip with %u parameters", t->nvalues);
        return cm_codec_new_szip(v[0], v[1], v[2], v[3], out, err);
    case NBIT:
    case SCALEOFFSET: return new_packed(t, out, err);
    case BZIP2: return cm_codec_new_bz2(given && v[0] >= 1 && v[0] <= 9 ? (int)v[0] : 9, out, err);
    case LZF: return cm_codec_new_lzf(out, err);
    case LZ4: return cm_codec_new_lz4_hdf5(out, err);
    case BITSHUFFLE: return new_bitshuffle(t, cell, out, err);
    case ZSTD: return cm_codec_new_zstd(given && v[0] <= 22 ? (int)v[0] : 3, false, out, err);
    default: return new_blosc(t, cell, out, err);
    }
}
