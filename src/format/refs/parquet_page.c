/* format/refs/parquet_page.c: the inside of Parquet pages: compression, and the hybrid of runs and
 * bit-packed groups that holds definition levels and dictionary codes.
 */
#include <string.h>
#include <zstd.h>

#include "base/bytes.h"
#include "format/refs/parquet.h"

/* ---- snappy ---------------------------------------------------------------------------------- */

static int bad_snappy(cm_error *err)
{
    return cm_error_set(err, CM_EDATA, "malformed snappy data");
}

/* A copy of `length` bytes from `back` before the end of what is there; they may overlap. */
static bool copy_back(uint8_t *dst, size_t *have, size_t nbytes, size_t back, size_t length)
{
    if (back == 0 || back > *have || length > nbytes - *have)
        return false;
    for (size_t i = 0; i < length; i++, ++*have)
        dst[*have] = dst[*have - back];
    return true;
}

static int snappy(const uint8_t *src, size_t nsrc, uint8_t *dst, size_t nbytes, cm_error *err)
{
    cm_thrift head = {.at = src, .end = src + nsrc}; /* the length is the same kind of varint */
    size_t have = 0;
    if (cm_thrift_varint(&head) != nbytes || head.bad)
        return bad_snappy(err);
    for (const uint8_t *s = head.at, *end = src + nsrc; s < end;) {
        uint8_t tag = *s++;
        size_t length = (size_t)(tag >> 2) + 1, extra, back;
        if ((tag & 3) == 0) {
            extra = length > 60 ? length - 60 : 0;
            if ((size_t)(end - s) < extra)
                return bad_snappy(err);
            if (extra)
                length = (size_t)cm_load_le(s, extra) + 1;
            s += extra;
            if (length > (size_t)(end - s) || length > nbytes - have)
                return bad_snappy(err);
            memcpy(dst + have, s, length);
            s += length;
            have += length;
            continue;
        }
        extra = (tag & 3) == 3 ? 4 : tag & 3;
        if ((size_t)(end - s) < extra)
            return bad_snappy(err);
        back = (size_t)cm_load_le(s, extra);
        s += extra;
        if ((tag & 3) == 1) {
            back |= (size_t)(tag >> 5) << 8;
            length = ((size_t)(tag >> 2) & 7) + 4;
        }
        if (!copy_back(dst, &have, nbytes, back, length))
            return bad_snappy(err);
    }
    return have == nbytes ? 0 : bad_snappy(err);
}

int cm_parquet_decompress(int codec, const uint8_t *src, size_t nsrc, uint8_t *dst, size_t nbytes,
                          cm_error *err)
{
    static const char *const names[] = {"none",   "snappy", "gzip", "lzo",
                                        "brotli", "lz4",    "zstd", "lz4 raw"};
    if (codec == CM_PARQUET_PLAIN) {
        if (nsrc != nbytes)
            return cm_error_set(err, CM_EDATA, "a page of %zu bytes that should have %zu", nsrc,
                                nbytes);
        if (nbytes)
            memcpy(dst, src, nbytes);
        return 0;
    }
    if (codec == CM_PARQUET_SNAPPY)
        return snappy(src, nsrc, dst, nbytes, err);
    if (codec != CM_PARQUET_ZSTD)
        return cm_error_set(err, CM_EUNSUP,
                            "pages compressed with %s: none, snappy and zstd are read",
                            codec >= 0 && codec < 8 ? names[codec] : "an unknown codec");
    size_t n = ZSTD_decompress(dst, nbytes, src, nsrc);
    if (ZSTD_isError(n) || n != nbytes)
        return cm_error_set(err, CM_EDATA, "malformed zstd data in a page");
    return 0;
}

/* ---- runs and groups ------------------------------------------------------------------------- */

int cm_parquet_hybrid(const uint8_t *src, size_t nsrc, int width, uint32_t *out, size_t n,
                      cm_error *err)
{
    cm_thrift t = {.at = src, .end = src + nsrc};
    size_t have = 0;
    if (width < 0 || width > 32)
        return cm_error_set(err, CM_EDATA, "values of %d bits", width);
    if (width == 0) {
        memset(out, 0, n * sizeof *out);
        return 0;
    }
    while (have < n) {
        uint64_t head = cm_thrift_varint(&t), count = head >> 1;
        size_t left = (size_t)(t.end - t.at);
        if (t.bad || count == 0)
            return cm_error_set(err, CM_EDATA, "a page's values end early");
        if (head & 1) { /* count groups of eight, bit-packed, lowest bits first */
            if (count > left / (size_t)width)
                count = left / (size_t)width; /* some writers cut the last group off */
            uint64_t bits = 0;
            int nbits = 0;
            for (uint64_t i = 0; i < 8 * count && have < n; i++) {
                while (nbits < width) {
                    bits |= (uint64_t)*t.at++ << nbits;
                    nbits += 8;
                }
                out[have++] = (uint32_t)(bits & (((uint64_t)1 << width) - 1));
                bits >>= width;
                nbits -= width;
            }
            if (count == 0)
                return cm_error_set(err, CM_EDATA, "a page's values end early");
        } else {
            size_t nbytes = (size_t)(width + 7) / 8;
            if (left < nbytes)
                return cm_error_set(err, CM_EDATA, "a page's values end early");
            uint64_t v = cm_load_le(t.at, nbytes);
            t.at += nbytes;
            if (v >> width) /* a level of 2 would count for two values */
                return cm_error_set(err, CM_EDATA, "a value that does not fit its %d bits", width);
            for (; count && have < n; count--)
                out[have++] = (uint32_t)v;
        }
    }
    return 0;
}
