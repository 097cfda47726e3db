/* format/zarr/zarr_base64.c: base64 (RFC 4648, section 4), as fill values use it.
 *
 * Decoding takes only the canonical form: padded, and with zeros in the bits that no byte has. So
 * that a text decodes exactly when encoding gives it back, and a `_FillValue` can be told from one
 * that merely looks like base64.
 */
#include <string.h>

#include "format/zarr/zarr_private.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool cm_zarr_base64_decode(const char *s, uint8_t *out, size_t *nbytes)
{
    size_t n = strlen(s), used = 0;
    if (n % 4)
        return false;
    for (size_t i = 0; i < n; i += 4) {
        int pad = i + 4 < n ? 0 : (s[i + 3] == '=') + (s[i + 3] == '=' && s[i + 2] == '=');
        uint32_t group = 0;
        for (int k = 0; k < 4; k++) {
            const char *digit = k >= 4 - pad ? digits : strchr(digits, s[i + (size_t)k]);
            if (!digit)
                return false;
            group = group << 6 | (uint32_t)(digit - digits);
        }
        if (pad && group & ((1u << 8 * pad) - 1))
            return false;
        for (int k = 0; k < 3 - pad; k++)
            out[used++] = (uint8_t)(group >> (16 - 8 * k));
    }
    *nbytes = used;
    return true;
}

void cm_zarr_base64_encode(const uint8_t *data, size_t nbytes, char *out)
{
    for (size_t i = 0; i < nbytes; i += 3) {
        size_t left = nbytes - i;
        uint32_t group = (uint32_t)data[i] << 16;
        if (left > 1)
            group |= (uint32_t)data[i + 1] << 8;
        if (left > 2)
            group |= data[i + 2];
        *out++ = digits[group >> 18];
        *out++ = digits[group >> 12 & 63];
        *out++ = left > 1 ? digits[group >> 6 & 63] : '=';
        *out++ = left > 2 ? digits[group & 63] : '=';
    }
    *out = 0;
}
