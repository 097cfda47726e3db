/* codec/scalar.c: single numbers in a codec's configuration.
 *
 * They are written as the type's fill values are (zarr-specs v3 core, "Fill value";
 * zarr-extensions' data types): integers exactly, floats as numbers, names or bits in hexadecimal.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/scalar.h"
#include "nd/half.h"

bool cm_scalar_kind(cm_kind kind)
{
    return cm_kind_is_integer(kind) || cm_kind_is_float(kind) || cm_kind_is_small(kind);
}

static bool is_real(cm_kind kind)
{
    bool small_integer = kind == CM_INT2 || kind == CM_INT4 || kind == CM_UINT2 || kind == CM_UINT4;
    return cm_kind_is_float(kind) || (cm_kind_is_small(kind) && !small_integer);
}

static bool put_real(cm_kind kind, double v, cm_scalar *out)
{
    float f = (float)v;
    uint16_t half = cm_double_to_half(v);
    switch (kind) {
    case CM_FLOAT64: memcpy(out->bytes, &v, 8); return true;
    case CM_FLOAT32: memcpy(out->bytes, &f, 4); return true;
    case CM_FLOAT16: memcpy(out->bytes, &half, 2); return true;
    default: return cm_small_from_double(kind, v, out->bytes);
    }
}

/* "0x..." with two digits a byte, the uppermost first. */
static bool put_bits(const char *s, uint32_t size, cm_scalar *out)
{
    char *end;
    if (s[0] != '0' || s[1] != 'x' || strlen(s) != 2 + 2 * (size_t)size || s[2] == '-' ||
        s[2] == '+')
        return false;
    uint64_t v = strtoull(s + 2, &end, 16);
    for (uint32_t i = 0; i < size; i++) {
        uint32_t at = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? size - 1 - i : i;
        out->bytes[at] = (uint8_t)(v >> 8 * i);
    }
    return *end == 0;
}

static bool parse_real(const cm_json *v, cm_kind kind, cm_scalar *out)
{
    const char *s = cm_json_string(v);
    double d;
    if (!s)
        return cm_json_double(v, &d) && put_real(kind, d, out);
    if (strlen(s) != cm_json_string_nbytes(v))
        return false;
    if (!strcmp(s, "NaN"))
        return put_real(kind, (double)NAN, out);
    if (!strcmp(s, "Infinity") || !strcmp(s, "+Infinity"))
        return put_real(kind, (double)INFINITY, out);
    if (!strcmp(s, "-Infinity"))
        return put_real(kind, -(double)INFINITY, out);
    return put_bits(s, cm_dtype_of(kind, 0).size, out);
}

static bool parse_integer(const cm_json *v, cm_kind kind, cm_scalar *out)
{
    uint32_t size = cm_dtype_of(kind, 0).size;
    int64_t i;
    uint64_t u;
    if (kind == CM_UINT64) {
        if (!cm_json_uint64(v, &u))
            return false;
        memcpy(out->bytes, &u, 8);
        return true;
    }
    if (!cm_json_int64(v, &i))
        return false;
    if (cm_kind_is_small(kind))
        return cm_small_from_double(kind, (double)i, out->bytes);
    bool is_unsigned = cm_kind_is_unsigned(kind);
    int64_t high = size == 8 ? INT64_MAX : ((int64_t)1 << (8 * size - !is_unsigned)) - 1;
    if (i > high || i < (is_unsigned ? 0 : -high - 1))
        return false;
    for (uint32_t k = 0; k < size; k++) {
        uint32_t at = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? size - 1 - k : k;
        out->bytes[at] = (uint8_t)((uint64_t)i >> 8 * k);
    }
    return true;
}

int cm_scalar_parse(const cm_json *v, cm_kind kind, const char *codec, const char *what,
                    cm_scalar *out, cm_error *err)
{
    char name[CM_DTYPE_NAME];
    *out = (cm_scalar){.word = 0};
    if (is_real(kind) ? parse_real(v, kind, out) : parse_integer(v, kind, out))
        return 0;
    return cm_error_set(err, CM_EDATA, "codec %s: %s is no %s", codec, what,
                        cm_dtype_name(cm_dtype_of(kind, 0), name, sizeof name));
}

double cm_scalar_value(cm_kind kind, const cm_scalar *s)
{
    const uint8_t *p = s->bytes;
    float f;
    double d;
    uint16_t half;
    int8_t i1;
    int16_t i2;
    int32_t i4;
    int64_t i8;
    uint16_t u2;
    uint32_t u4;
    uint64_t u8;
#define AS(v) (memcpy(&(v), p, sizeof(v)), (double)(v))
    switch (kind) {
    case CM_FLOAT16: memcpy(&half, p, 2); return (double)cm_half_to_float(half);
    case CM_FLOAT32: return AS(f);
    case CM_FLOAT64: return AS(d);
    case CM_INT8: return AS(i1);
    case CM_INT16: return AS(i2);
    case CM_INT32: return AS(i4);
    case CM_INT64: return AS(i8);
    case CM_UINT8: return p[0];
    case CM_UINT16: return AS(u2);
    case CM_UINT32: return AS(u4);
    case CM_UINT64: return AS(u8);
    default: return cm_small_value(kind, p);
    }
#undef AS
}

cm_json *cm_scalar_describe(cm_json_doc *doc, cm_kind kind, const cm_scalar *s)
{
    double v = cm_scalar_value(kind, s);
    int64_t i;
    uint64_t u;
    if (kind == CM_UINT64)
        return memcpy(&u, s->bytes, 8), cm_json_new_uint64(doc, u);
    if (kind == CM_INT64)
        return memcpy(&i, s->bytes, 8), cm_json_new_int64(doc, i);
    if (!is_real(kind))
        return cm_json_new_int64(doc, (int64_t)v);
    if (!isnan(v))
        return isinf(v) ? cm_json_new_string(doc, v < 0 ? "-Infinity" : "Infinity")
                        : cm_json_new_double(doc, v);
    char hex[24] = "0x";
    uint32_t size = cm_dtype_of(kind, 0).size;
    for (uint32_t k = 0; k < size; k++) {
        uint32_t at = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? k : size - 1 - k;
        snprintf(hex + 2 + 2 * k, 3, "%02x", s->bytes[at]);
    }
    return cm_json_new_string(doc, hex);
}
