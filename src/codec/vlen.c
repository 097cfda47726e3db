/* codec/vlen.c: vlen-utf8, the bytes of an array of strings (numcodecs' VLenUTF8, Zarr v3
 * "vlen-utf8"): the number of strings, then for each its length and its bytes; numbers are 32 bits
 * little-endian. VLenBytes ("vlen-bytes") and VLenArray ("vlen-array") are the same with other
 * bytes.
 *
 * Decoding copies nothing: the strings are views into the chunk's bytes.
 */
#include <string.h>

#include "base/bytes.h"
#include "codec/codec.h"

enum { LENGTH = 4 };

static int check_cell(cm_dtype dtype, const char *bytes, size_t n, size_t i, size_t nelem,
                      cm_error *err)
{
    if (dtype.kind == CM_STRING && !cm_utf8_valid(bytes, n))
        return cm_error_set(err, CM_EDATA, "vlen-utf8: string %zu of %zu is not UTF-8", i, nelem);
    uint32_t size = dtype.kind == CM_SEQUENCE ? dtype.record->nbytes : 1;
    if (n % size)
        return cm_error_set(err, CM_EDATA,
                            "vlen-array: list %zu of %zu has %zu bytes, no multiple of %u", i,
                            nelem, n, size);
    return 0;
}

int cm_vlen_decode(cm_dtype dtype, const void *src, size_t nsrc, cm_string *dst, size_t nelem,
                   cm_error *err)
{
    const char *name = dtype.kind == CM_STRING   ? "vlen-utf8"
                       : dtype.kind == CM_VBYTES ? "vlen-bytes"
                                                 : "vlen-array";
    const char *p = src;
    if (nsrc < LENGTH)
        return cm_error_set(err, CM_EDATA, "%s: %zu bytes are too few", name, nsrc);
    if (cm_load_le32(p) != nelem)
        return cm_error_set(err, CM_EDATA, "%s: %u strings instead of %zu", name, cm_load_le32(p),
                            nelem);
    size_t at = LENGTH;
    for (size_t i = 0; i < nelem; i++) {
        size_t left = nsrc - at;
        if (left < LENGTH || cm_load_le32(p + at) > left - LENGTH)
            return cm_error_set(err, CM_EDATA, "%s: string %zu of %zu is cut off", name, i, nelem);
        size_t n = cm_load_le32(p + at);
        at += LENGTH;
        int r = check_cell(dtype, p + at, n, i, nelem, err);
        if (r)
            return r;
        dst[i] = (cm_string){p + at, n};
        at += n;
    }
    if (at != nsrc)
        return cm_error_set(err, CM_EDATA, "%s: %zu bytes left over after %zu strings", name,
                            nsrc - at, nelem);
    return 0;
}

size_t cm_vlen_encoded_nbytes(const cm_string *src, size_t nelem)
{
    size_t total = LENGTH;
    if (nelem > UINT32_MAX)
        return SIZE_MAX;
    for (size_t i = 0; i < nelem; i++)
        if (src[i].nbytes > UINT32_MAX || !cm_add_size(total, src[i].nbytes, &total) ||
            !cm_add_size(total, LENGTH, &total))
            return SIZE_MAX;
    return total;
}

void cm_vlen_encode(const cm_string *src, size_t nelem, void *dst)
{
    uint8_t *p = dst;
    cm_store_le32(p, (uint32_t)nelem);
    p += LENGTH;
    for (size_t i = 0; i < nelem; i++) {
        cm_store_le32(p, (uint32_t)src[i].nbytes);
        p += LENGTH;
        if (src[i].nbytes)
            memcpy(p, src[i].data, src[i].nbytes);
        p += src[i].nbytes;
    }
}
