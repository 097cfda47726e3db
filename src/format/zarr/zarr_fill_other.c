/* format/zarr/zarr_fill_other.c: fill values of cells that are no ordinary numbers or strings.
 *
 *     times                         the count, or "NaT"
 *     small floats and integers     a number, "NaN", "Infinity"; v3 also "0x" and the bits
 *     bytes, raw bits               base64; v3 also a list of numbers 0..255
 *     text of fields, in structs    text
 *     records                       base64 of the little-endian bytes, or an object of the fields'
 *                                   values (the extension "struct")
 *
 * numpy pads short values with NULs, and so does this; longer ones are no values of the type.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "format/zarr/zarr_private.h"
#include "nd/copy.h"
#include "text/base64.h"

bool cm_zarr_fill_is_other(cm_dtype dtype)
{
    return dtype.kind >= CM_BYTES;
}

static bool parse(const cm_json *v, cm_dtype dtype, int format, bool all_big, uint8_t *cell);

static bool parse_time(const cm_json *v, uint8_t *cell)
{
    int64_t count;
    const char *s = cm_json_string(v);
    if (s && !strcmp(s, "NaT"))
        count = INT64_MIN;
    else if (!cm_json_int64(v, &count))
        return false;
    memcpy(cell, &count, sizeof count);
    return true;
}

static bool parse_small(const cm_json *v, cm_dtype dtype, uint8_t *cell)
{
    double value;
    const char *s = cm_json_string(v);
    if (!s)
        s = cm_json_number_text(v);
    if (!s)
        return false;
    if (!strcmp(s, "NaN"))
        return cm_small_from_double(dtype.kind, (double)NAN, cell);
    if (!strcmp(s, "Infinity") || !strcmp(s, "-Infinity"))
        return cm_small_from_double(dtype.kind, s[0] == '-' ? -(double)INFINITY : (double)INFINITY,
                                    cell);
    if (cm_json_is(v, CM_JSON_STRING)) {
        char *end;
        if (s[0] != '0' || s[1] != 'x' || strlen(s) != 2 + 2 * dtype.size)
            return false;
        unsigned long bits = strtoul(s + 2, &end, 16);
        uint16_t wide = (uint16_t)bits;
        uint8_t narrow = (uint8_t)bits;
        memcpy(cell, dtype.size == 2 ? (void *)&wide : (void *)&narrow, dtype.size);
        return !*end;
    }
    return cm_json_double(v, &value) && cm_small_from_double(dtype.kind, value, cell);
}

/* Base64 or a list of bytes, at most size of them (SIZE_MAX: any number); the rest stays 0. */
static bool parse_bytes(const cm_json *v, size_t size, uint8_t **out, size_t *n)
{
    const char *s = cm_json_string(v);
    uint64_t byte;
    size_t room = s ? strlen(s) + 4 : cm_json_count(v) + 1;
    if (!s && !cm_json_is(v, CM_JSON_ARRAY))
        return false;
    *out = cm_calloc(room, 1, NULL);
    if (!*out)
        return false;
    *n = cm_json_count(v);
    bool good = s ? cm_base64_decode(s, strlen(s), *out, n) : true;
    for (size_t i = 0; i < *n && !s && good; i++) {
        good = cm_json_uint64(cm_json_at(v, i), &byte) && byte < 256;
        (*out)[i] = (uint8_t)byte;
    }
    if (good && *n <= size)
        return true;
    free(*out);
    return false;
}

static bool parse_fixed(const cm_json *v, size_t size, uint8_t *cell)
{
    uint8_t *bytes;
    size_t n;
    if (!parse_bytes(v, size, &bytes, &n))
        return false;
    memcpy(cell, bytes, n);
    free(bytes);
    return true;
}

/* Text into code points. */
static bool parse_utf32(const cm_json *v, size_t size, uint8_t *cell)
{
    const char *s = cm_json_string(v);
    size_t n = cm_json_string_nbytes(v), at = 0, k = 0;
    if (!s || !cm_utf8_valid(s, n))
        return false;
    for (; at < n; k += 4) {
        uint8_t lead = (uint8_t)s[at++];
        int more = lead < 0x80 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
        uint32_t c = more ? lead & (0x3fu >> more) : lead;
        for (; more; more--)
            c = c << 6 | ((uint8_t)s[at++] & 0x3fu);
        if (k + 4 > size)
            return false;
        memcpy(cell + k, &c, 4);
    }
    return true;
}

static bool parse_record(const cm_json *v, const cm_record *r, int format, bool all_big,
                         uint8_t *cell)
{
    if (cm_json_is(v, CM_JSON_STRING)) {
        uint8_t *bytes;
        size_t n;
        if (!parse_bytes(v, r->nbytes, &bytes, &n))
            return false;
        memcpy(cell, bytes, n == r->nbytes ? n : 0);
        free(bytes);
        cm_record_swap(r, cell, 1, all_big);
        return n == r->nbytes;
    }
    if (!cm_json_is(v, CM_JSON_OBJECT) || cm_json_count(v) != r->nfields)
        return false;
    for (size_t i = 0; i < r->nfields; i++) {
        const cm_field *f = &r->fields[i];
        const cm_json *item = cm_json_get(v, f->name);
        if (!item || f->ndim || !parse(item, f->dtype, format, all_big, cell + f->offset))
            return false;
    }
    return true;
}

static bool parse(const cm_json *v, cm_dtype dtype, int format, bool all_big, uint8_t *cell)
{
    cm_zarr_cell plain;
    if (cm_kind_is_time(dtype.kind))
        return parse_time(v, cell);
    if (cm_kind_is_small(dtype.kind))
        return parse_small(v, dtype, cell);
    if (dtype.kind == CM_UTF32)
        return parse_utf32(v, dtype.size, cell);
    if (dtype.kind == CM_BYTES || dtype.kind == CM_RAW)
        return parse_fixed(v, dtype.size, cell);
    if (dtype.kind == CM_RECORD)
        return parse_record(v, dtype.record, format, all_big, cell);
    if (cm_zarr_fill_is_other(dtype) || cm_zarr_fill_parse(v, dtype, format, &plain, NULL))
        return false;
    memcpy(cell, plain.bytes, dtype.size);
    return true;
}

int cm_zarr_fill_parse_other(const cm_json *v, cm_dtype dtype, int format, void **cell,
                             cm_error *err)
{
    char name[CM_DTYPE_NAME];
    uint8_t *bytes = NULL;
    int64_t zero;
    size_t n = 0;
    bool old_zero = format == 2 && cm_json_int64(v, &zero) && zero == 0;
    bool good;
    *cell = cm_calloc(1, dtype.size, err);
    if (!*cell)
        return CM_ENOMEM;
    if (cm_kind_is_vlen(dtype.kind)) {
        /* zarr-python 2 wrote 0 for arrays of objects, which means nothing there */
        good = old_zero || (dtype.kind == CM_VBYTES && parse_bytes(v, SIZE_MAX, &bytes, &n));
        if (good && n) {
            char *both = cm_realloc(*cell, 1, sizeof(cm_string) + n, err);
            if (!both) {
                free(bytes);
                return CM_ENOMEM;
            }
            memcpy(both + sizeof(cm_string), bytes, n);
            memcpy(both, &(cm_string){both + sizeof(cm_string), n}, sizeof(cm_string));
            *cell = both;
        }
        free(bytes);
    } else {
        good = (old_zero && !cm_kind_is_small(dtype.kind)) || parse(v, dtype, format, false, *cell);
    }
    return good ? 0
                : cm_error_set(err, CM_EDATA, "\"fill_value\" is not a value of type %s",
                               cm_dtype_name(dtype, name, sizeof name));
}

/* ---- and back -------------------------------------------------------------------------------- */

static cm_json *describe_base64(cm_json_doc *doc, const void *bytes, size_t n)
{
    if (n > (size_t)1 << 26)
        return NULL;
    size_t ntext = cm_base64_nbytes(n);
    char *text = cm_calloc(ntext + 1, 1, NULL);
    if (!text)
        return NULL;
    cm_base64_encode(bytes, n, text);
    cm_json *v = cm_json_new_string_n(doc, text, ntext);
    free(text);
    return v;
}

static cm_json *describe_small(cm_json_doc *doc, cm_dtype dtype, const void *cell)
{
    double v = cm_small_value(dtype.kind, cell);
    uint8_t again[2] = {0};
    bool same = cm_small_from_double(dtype.kind, v, again) && !memcmp(again, cell, dtype.size);
    if (!same || (v == 0 && signbit(v))) {
        uint16_t bits = *(const uint8_t *)cell;
        char hex[8] = "0x";
        if (dtype.size == 2)
            memcpy(&bits, cell, 2);
        for (uint32_t i = 0; i < 2 * dtype.size; i++)
            hex[2 + i] = "0123456789abcdef"[bits >> (4 * (2 * dtype.size - 1 - i)) & 15];
        return cm_json_new_string(doc, hex);
    }
    if (isnan(v))
        return cm_json_new_string(doc, "NaN");
    if (isinf(v))
        return cm_json_new_string(doc, v < 0 ? "-Infinity" : "Infinity");
    return dtype.kind >= CM_INT2 ? cm_json_new_int64(doc, (int64_t)v) : cm_json_new_double(doc, v);
}

cm_json *cm_zarr_fill_describe_other(cm_json_doc *doc, cm_dtype dtype, int format, const void *cell)
{
    (void)format;
    if (cm_kind_is_time(dtype.kind)) {
        int64_t count;
        memcpy(&count, cell, sizeof count);
        return count == INT64_MIN ? cm_json_new_string(doc, "NaT") : cm_json_new_int64(doc, count);
    }
    if (cm_kind_is_small(dtype.kind))
        return describe_small(doc, dtype, cell);
    if (dtype.kind == CM_VBYTES) {
        cm_string s;
        memcpy(&s, cell, sizeof s);
        return describe_base64(doc, s.data ? s.data : "", s.nbytes);
    }
    if (dtype.kind == CM_SEQUENCE)
        return cm_json_new_null(doc);
    if (dtype.kind == CM_BYTES) /* as numpy's tolist(), without the NULs at the end */
        for (size_t n = dtype.size;; n--)
            if (n == 0 || ((const char *)cell)[n - 1])
                return describe_base64(doc, cell, n);
    return describe_base64(doc, cell, dtype.size);
}
