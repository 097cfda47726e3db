/* format/zarr/zarr_fill.c: fill values in JSON, both ways, and the attribute `_FillValue`.
 *
 * Two different things bear the name. "fill_value" of an array is what unwritten cells read as.
 * `_FillValue` is CF's "this cell is missing". Zarr v2 (as xarray uses it) has one member for both.
 * v3 keeps them apart, and there xarray writes `_FillValue` of floats as base64 of the 8 bytes of a
 * little-endian double, since JSON has no NaN (xarray/backends/zarr.py, FillValueCoder). In the
 * model `_FillValue` is an ordinary number (or [re, im], bool, text), whatever the store.
 *
 * Bits matter in fill values: v3 writes a NaN other than the canonical one as the hexadecimal of
 * its bits (zarr-specs v3, "fill value"), so a payload or a sign survives. Number texts are copied
 * where the type does not change, so that reading and writing again gives the same bytes.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "format/zarr/zarr_private.h"
#include "text/base64.h"
#include "text/utf8.h"

/* ---- bits ------------------------------------------------------------------------------------ */

static cm_dtype part_of_complex(cm_dtype dtype)
{
    return cm_dtype_of(dtype.kind == CM_COMPLEX64 ? CM_FLOAT32 : CM_FLOAT64, 0);
}

static void put_bits(void *cell, size_t size, uint64_t bits)
{
    if (size == 2)
        memcpy(cell, &(uint16_t){(uint16_t)bits}, 2);
    else if (size == 4)
        memcpy(cell, &(uint32_t){(uint32_t)bits}, 4);
    else
        memcpy(cell, &bits, 8);
}

static uint64_t get_bits(const void *cell, size_t size)
{
    uint16_t b2;
    uint32_t b4;
    uint64_t b8;
    if (size == 2)
        return memcpy(&b2, cell, 2), b2;
    if (size == 4)
        return memcpy(&b4, cell, 4), b4;
    return memcpy(&b8, cell, 8), b8;
}

/* Bits of +Infinity and of the canonical NaN. */
static uint64_t infinity_bits(size_t size)
{
    return size == 2 ? 0x7c00u : size == 4 ? 0x7f800000u : UINT64_C(0x7ff0000000000000);
}

static uint64_t nan_bits(size_t size)
{
    return size == 2 ? 0x7e00u : size == 4 ? 0x7fc00000u : UINT64_C(0x7ff8000000000000);
}

/* "NaN", "Infinity", "-Infinity" as a string or a token: true with the bits. */
static bool special_bits(const cm_json *v, size_t size, uint64_t *bits)
{
    const char *s = cm_json_string(v);
    if (!s)
        s = cm_json_number_text(v);
    if (!s)
        return false;
    if (!strcmp(s, "NaN"))
        *bits = nan_bits(size);
    else if (!strcmp(s, "Infinity"))
        *bits = infinity_bits(size);
    else if (!strcmp(s, "-Infinity"))
        *bits = infinity_bits(size) | (uint64_t)1 << (8 * size - 1);
    else
        return false;
    return true;
}

static bool hex_bits(const char *s, size_t size, uint64_t *bits)
{
    if (s[0] != '0' || s[1] != 'x' || strlen(s) != 2 + 2 * size)
        return false;
    uint64_t v = 0;
    for (s += 2; *s; s++) {
        int digit = *s >= '0' && *s <= '9'   ? *s - '0'
                    : *s >= 'a' && *s <= 'f' ? *s - 'a' + 10
                    : *s >= 'A' && *s <= 'F' ? *s - 'A' + 10
                                             : -1;
        if (digit < 0)
            return false;
        v = v << 4 | (uint64_t)digit;
    }
    *bits = v;
    return true;
}

/* ---- fill_value ------------------------------------------------------------------------------ */

static bool parse_float(const cm_json *v, cm_dtype dtype, int format, void *cell)
{
    uint64_t bits;
    const char *s = cm_json_string(v);
    if (special_bits(v, dtype.size, &bits) ||
        (s && format == 3 && hex_bits(s, dtype.size, &bits))) {
        put_bits(cell, dtype.size, bits);
        return true;
    }
    return cm_json_is(v, CM_JSON_NUMBER) && cm_cell_from_json(v, dtype, cell);
}

static bool parse_complex(const cm_json *v, cm_dtype dtype, int format, cm_zarr_cell *cell)
{
    cm_dtype part = part_of_complex(dtype);
    if (format == 2 && cm_json_is(v, CM_JSON_NUMBER))
        return parse_float(v, part, format, cell->bytes);
    return cm_json_is(v, CM_JSON_ARRAY) && cm_json_count(v) == 2 &&
           parse_float(cm_json_at(v, 0), part, format, cell->bytes) &&
           parse_float(cm_json_at(v, 1), part, format, cell->bytes + part.size);
}

static bool parse_bool(const cm_json *v, int format, cm_zarr_cell *cell)
{
    int64_t number;
    if (cm_json_is(v, CM_JSON_BOOL)) {
        cell->bytes[0] = cm_json_bool(v, false);
        return true;
    }
    if (format == 2 && cm_json_int64(v, &number) && (number == 0 || number == 1)) {
        cell->bytes[0] = (unsigned char)number;
        return true;
    }
    return false;
}

static bool parse_string(const cm_json *v, int format, cm_zarr_cell *cell)
{
    if (cm_json_is(v, CM_JSON_STRING)) {
        cell->string = (cm_string){cm_json_string(v), cm_json_string_nbytes(v)};
        return true;
    }
    /* zarr-python 2 wrote 0 for arrays of objects; zarr-python 3 reads that as "0" */
    const char *text = format == 2 ? cm_json_number_text(v) : NULL;
    if (text)
        cell->string = (cm_string){text, strlen(text)};
    return text != NULL;
}

int cm_zarr_fill_parse(const cm_json *v, cm_dtype dtype, int format, cm_zarr_cell *cell,
                       cm_error *err)
{
    bool fits;
    *cell = (cm_zarr_cell){{0}};
    if (dtype.kind == CM_BOOL)
        fits = parse_bool(v, format, cell);
    else if (dtype.kind == CM_STRING)
        fits = parse_string(v, format, cell);
    else if (cm_kind_is_float(dtype.kind))
        fits = parse_float(v, dtype, format, cell->bytes);
    else if (cm_kind_is_complex(dtype.kind))
        fits = parse_complex(v, dtype, format, cell);
    else
        fits = cm_json_is(v, CM_JSON_NUMBER) && cm_cell_from_json(v, dtype, cell->bytes);
    if (fits)
        return 0;
    char name[CM_DTYPE_NAME];
    const char *text = cm_json_number_text(v);
    if (!text)
        text = cm_json_string(v);
    return cm_error_set(err, CM_EDATA, "\"fill_value\": %.64s is not a value of type %s",
                        text ? text : "what is given", cm_dtype_name(dtype, name, sizeof name));
}

static cm_json *describe_float(cm_json_doc *doc, cm_dtype dtype, int format, const void *cell)
{
    uint64_t bits = get_bits(cell, dtype.size), infinity = infinity_bits(dtype.size);
    uint64_t sign = (uint64_t)1 << (8 * dtype.size - 1);
    if ((bits & ~sign) < infinity)
        return cm_json_from_cells(doc, dtype, cell, 1, true);
    if ((bits & ~sign) == infinity)
        return cm_json_new_string(doc, bits & sign ? "-Infinity" : "Infinity");
    if (bits == nan_bits(dtype.size) || format == 2)
        return cm_json_new_string(doc, "NaN");
    char hex[24];
    snprintf(hex, sizeof hex, "0x%0*" PRIx64, (int)(2 * dtype.size), bits);
    return cm_json_new_string(doc, hex);
}

cm_json *cm_zarr_fill_describe(cm_json_doc *doc, cm_dtype dtype, int format, const void *cell)
{
    if (dtype.kind == CM_BOOL)
        return cm_json_new_bool(doc, *(const unsigned char *)cell != 0);
    if (dtype.kind == CM_STRING) {
        cm_string s;
        memcpy(&s, cell, sizeof s);
        return cm_json_new_string_n(doc, s.data ? s.data : "", s.nbytes);
    }
    if (cm_kind_is_float(dtype.kind))
        return describe_float(doc, dtype, format, cell);
    if (!cm_kind_is_complex(dtype.kind))
        return cm_json_from_cells(doc, dtype, cell, 1, true);
    cm_dtype part = part_of_complex(dtype);
    cm_json *pair = cm_json_new_array(doc);
    for (size_t i = 0; i < 2 && pair; i++)
        if (cm_json_add(doc, pair,
                        describe_float(doc, part, format, (const char *)cell + i * part.size)))
            pair = NULL;
    return pair;
}

void cm_zarr_fill_default(cm_dtype dtype, cm_zarr_cell *cell)
{
    *cell = (cm_zarr_cell){{0}};
    if (dtype.kind == CM_STRING) {
        cell->string = (cm_string){NULL, 0};
    } else if (cm_kind_is_float(dtype.kind)) {
        put_bits(cell->bytes, dtype.size, nan_bits(dtype.size));
    }
}

/* ---- `_FillValue` ---------------------------------------------------------------------------- */

/* The base64 of exactly 8 bytes. */
static bool base64_double(const char *s, double *out)
{
    uint8_t bytes[9];
    size_t n;
    if (!s || strlen(s) != 12 || !cm_base64_decode(s, 12, bytes, &n) || n != 8)
        return false;
    uint64_t bits = cm_load_le64(bytes);
    memcpy(out, &bits, 8);
    return true;
}

static cm_json *double_base64(cm_json_doc *doc, const cm_json *number)
{
    double value = 0;
    uint64_t bits;
    uint8_t bytes[8];
    char text[12];
    cm_json_double(number, &value);
    memcpy(&bits, &value, 8);
    if (isnan(value)) /* JSON's token has no sign or payload, the machine's NaN may have */
        bits = nan_bits(8);
    cm_store_le64(bytes, bits);
    cm_base64_encode(bytes, 8, text);
    return cm_json_new_string_n(doc, text, sizeof text);
}

/* Base64 of text that a cell of bytes can hold: its length without trailing NULs, or SIZE_MAX. out
 * has strlen(s) bytes. */
static size_t base64_text(const char *s, char *out)
{
    size_t n;
    if (!cm_base64_decode(s, strlen(s), out, &n))
        return SIZE_MAX;
    while (n && out[n - 1] == 0)
        n--;
    return cm_utf8_valid(out, n) ? n : SIZE_MAX;
}

int cm_zarr_fill_parse_bytes(const cm_json *v, cm_zarr_cell *cell, char **owned, cm_error *err)
{
    const char *s = cm_json_string(v);
    *cell = (cm_zarr_cell){{0}};
    if (!s)
        return cm_error_set(err, CM_EDATA, "\"fill_value\" is not base64");
    *owned = cm_calloc(strlen(s) + 1, 1, err);
    if (!*owned)
        return CM_ENOMEM;
    size_t n = base64_text(s, *owned);
    if (n == SIZE_MAX)
        return cm_error_set(err, CM_EDATA, "\"fill_value\": \"%.64s\" is not the base64 of UTF-8",
                            s);
    cell->string = (cm_string){*owned, n};
    return 0;
}

/* v3's `_FillValue` of a cell of bytes. */
static cm_json *decode_text(cm_json_doc *doc, const cm_json *stored)
{
    const char *s = cm_json_string(stored);
    if (!s)
        return cm_json_copy(doc, stored);
    char *text = cm_calloc(strlen(s) + 1, 1, NULL);
    if (!text)
        return NULL;
    size_t n = base64_text(s, text);
    cm_json *v = n == SIZE_MAX ? cm_json_copy(doc, stored) : cm_json_new_string_n(doc, text, n);
    free(text);
    return v;
}

static bool is_pair_of(const cm_json *v, cm_json_type type)
{
    return cm_json_is(v, CM_JSON_ARRAY) && cm_json_count(v) == 2 &&
           cm_json_is(cm_json_at(v, 0), type) && cm_json_is(cm_json_at(v, 1), type);
}

cm_json *cm_zarr_mask_decode(cm_json_doc *doc, const cm_zarr_type *type, const cm_json *stored)
{
    cm_dtype dtype = type->dtype;
    double value, part[2];
    if (type->cells == CM_ZARR_BYTES)
        return decode_text(doc, stored);
    if (cm_kind_is_float(dtype.kind) && base64_double(cm_json_string(stored), &value))
        return cm_json_new_double(doc, value);
    if (cm_kind_is_complex(dtype.kind) && is_pair_of(stored, CM_JSON_STRING) &&
        base64_double(cm_json_string(cm_json_at(stored, 0)), &part[0]) &&
        base64_double(cm_json_string(cm_json_at(stored, 1)), &part[1])) {
        cm_json *pair = cm_json_new_array(doc);
        for (size_t i = 0; i < 2 && pair; i++)
            if (cm_json_add(doc, pair, cm_json_new_double(doc, part[i])))
                pair = NULL;
        return pair;
    }
    return cm_json_copy(doc, stored);
}

cm_json *cm_zarr_mask_encode(cm_json_doc *doc, cm_dtype dtype, const cm_json *model)
{
    if (cm_kind_is_float(dtype.kind) && cm_json_is(model, CM_JSON_NUMBER))
        return double_base64(doc, model);
    if (cm_kind_is_complex(dtype.kind) && is_pair_of(model, CM_JSON_NUMBER)) {
        cm_json *pair = cm_json_new_array(doc);
        for (size_t i = 0; i < 2 && pair; i++)
            if (cm_json_add(doc, pair, double_base64(doc, cm_json_at(model, i))))
                pair = NULL;
        return pair;
    }
    return cm_json_copy(doc, model);
}

static cm_json *number_from_v2(cm_json_doc *doc, const cm_json *v)
{
    uint64_t bits;
    double value;
    if (!cm_json_is(v, CM_JSON_STRING) || !special_bits(v, 8, &bits))
        return cm_json_copy(doc, v);
    memcpy(&value, &bits, 8);
    return cm_json_new_double(doc, value);
}

cm_json *cm_zarr_mask_from_v2(cm_json_doc *doc, const cm_zarr_type *type, const cm_json *fill,
                              const cm_zarr_cell *cell)
{
    cm_dtype dtype = type->dtype;
    if (type->cells == CM_ZARR_BYTES)
        return cm_json_new_string_n(doc, cell->string.data, cell->string.nbytes);
    if (cm_kind_is_float(dtype.kind))
        return number_from_v2(doc, fill);
    if (!cm_kind_is_complex(dtype.kind) || !cm_json_is(fill, CM_JSON_ARRAY))
        return cm_json_copy(doc, fill);
    cm_json *pair = cm_json_new_array(doc);
    for (size_t i = 0; i < cm_json_count(fill) && pair; i++)
        if (cm_json_add(doc, pair, number_from_v2(doc, cm_json_at(fill, i))))
            pair = NULL;
    return pair;
}

bool cm_zarr_mask_is_typed(cm_dtype dtype, const cm_json *v)
{
    if (dtype.kind == CM_STRING)
        return cm_json_is(v, CM_JSON_STRING);
    if (dtype.kind == CM_BOOL)
        return cm_json_is(v, CM_JSON_BOOL);
    if (cm_kind_is_complex(dtype.kind) && is_pair_of(v, CM_JSON_NUMBER))
        return true;
    return cm_json_is(v, CM_JSON_NUMBER);
}
