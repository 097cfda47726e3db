/* cli/celltext.c: one cell of any type to text.
 *
 * float16 goes through float32, whose shortest text is exact for it too. Integers never go through
 * a double. memcpy everywhere: cells of a packed buffer need not be aligned for their type.
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "cli/celltext.h"

static float half_to_float(uint16_t h)
{
    int exponent = h >> 10 & 31, mantissa = h & 1023;
    double v;
    if (exponent == 31)
        v = mantissa ? (double)NAN : (double)INFINITY;
    else if (exponent == 0)
        v = ldexp(mantissa, -24);
    else
        v = ldexp(1024 + mantissa, exponent - 25);
    return (float)(h & 0x8000 ? -v : v);
}

static int64_t signed_of(cm_dtype dtype, const void *cell)
{
    int8_t i8;
    int16_t i16;
    int32_t i32;
    int64_t i64;
    switch (dtype.kind) {
    case CM_INT8: return memcpy(&i8, cell, 1), i8;
    case CM_INT16: return memcpy(&i16, cell, 2), i16;
    case CM_INT32: return memcpy(&i32, cell, 4), i32;
    default: return memcpy(&i64, cell, 8), i64;
    }
}

static uint64_t unsigned_of(cm_dtype dtype, const void *cell)
{
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    switch (dtype.kind) {
    case CM_UINT8: return memcpy(&u8, cell, 1), u8;
    case CM_UINT16: return memcpy(&u16, cell, 2), u16;
    case CM_UINT32: return memcpy(&u32, cell, 4), u32;
    default: return memcpy(&u64, cell, 8), u64;
    }
}

static float float_of(const void *cell)
{
    float v;
    memcpy(&v, cell, sizeof v);
    return v;
}

static double double_of(const void *cell)
{
    double v;
    memcpy(&v, cell, sizeof v);
    return v;
}

static void put_complex(cm_cli_out *out, const char *re, const char *im, bool json)
{
    if (json)
        cm_cli_out_format(out, "[%s, %s]", re, im);
    else
        cm_cli_out_format(out, "%s%s%sj", re, im[0] == '-' ? "" : "+", im);
}

static void put_bytes(cm_cli_out *out, const char *bytes, size_t n, bool json)
{
    while (n > 0 && bytes[n - 1] == '\0')
        n--;
    uint32_t character;
    size_t at = 0, step = 1;
    while (at < n && step > 0) {
        step = cm_cli_utf8(bytes + at, n - at, &character);
        at += step;
    }
    if (step > 0) {
        cm_cli_out_quoted(out, bytes, n);
        return;
    }
    cm_cli_cell_hex(out, bytes, n, json);
}

void cm_cli_cell(cm_cli_out *out, cm_dtype dtype, const void *cell, bool json)
{
    char a[40], b[40];
    switch (dtype.kind) {
    case CM_NONE: break;
    case CM_BOOL: cm_cli_out_text(out, *(const uint8_t *)cell ? "true" : "false"); break;
    case CM_INT8:
    case CM_INT16:
    case CM_INT32:
    case CM_INT64: cm_cli_out_format(out, "%" PRId64, signed_of(dtype, cell)); break;
    case CM_UINT8:
    case CM_UINT16:
    case CM_UINT32:
    case CM_UINT64: cm_cli_out_format(out, "%" PRIu64, unsigned_of(dtype, cell)); break;
    case CM_FLOAT16: {
        uint16_t h;
        memcpy(&h, cell, sizeof h);
        cm_cli_out_text(out, cm_float_text(half_to_float(h), a));
        break;
    }
    case CM_FLOAT32: cm_cli_out_text(out, cm_float_text(float_of(cell), a)); break;
    case CM_FLOAT64: cm_cli_out_text(out, cm_double_text(double_of(cell), a)); break;
    case CM_COMPLEX64:
        put_complex(out, cm_float_text(float_of(cell), a),
                    cm_float_text(float_of((const char *)cell + 4), b), json);
        break;
    case CM_COMPLEX128:
        put_complex(out, cm_double_text(double_of(cell), a),
                    cm_double_text(double_of((const char *)cell + 8), b), json);
        break;
    case CM_STRING: {
        cm_string s;
        memcpy(&s, cell, sizeof s);
        cm_cli_out_quoted(out, s.data ? s.data : "", s.nbytes);
        break;
    }
    case CM_BYTES: put_bytes(out, cell, dtype.size, json); break;
    default: cm_cli_cell_other(out, dtype, cell, json); break;
    }
}

bool cm_cli_cell_double(cm_dtype dtype, const void *cell, double *v)
{
    if (cm_kind_is_integer(dtype.kind))
        *v = cm_kind_is_unsigned(dtype.kind) ? (double)unsigned_of(dtype, cell)
                                             : (double)signed_of(dtype, cell);
    else if (dtype.kind == CM_FLOAT32)
        *v = (double)float_of(cell);
    else if (dtype.kind == CM_FLOAT64)
        *v = double_of(cell);
    else if (dtype.kind == CM_FLOAT16) {
        uint16_t h;
        memcpy(&h, cell, sizeof h);
        *v = (double)half_to_float(h);
    } else
        return false;
    return true;
}
