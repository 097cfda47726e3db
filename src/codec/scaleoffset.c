/* codec/scaleoffset.c: HDF5's scaleoffset filter (6), decoded only.
 *
 *     bits of a cell 4 | 8 | smallest value 8 | 8 bytes of nothing | cells, highest bit first
 *
 * Integers are stored as what they are above the chunk's smallest; all bits set means the fill
 * value, if one is defined. Floats are integers of that kind in units of 10^-D: they lost precision
 * when they were written, and come back with libhdf5's own arithmetic, in the cell's own precision,
 * so that they are bit for bit what libhdf5 gives. Where the range needed every bit, the cells
 * follow the header as they are.
 */
#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "codec/bit_reader.h"
#include "codec/codec_private.h"

enum { HEADER = 21, INTEGER_SCALE = 2, NVALUES = 20 };

typedef struct {
    cm_codec base;
    bool is_float, big_endian, filled, unchanged; /* unchanged: the filter did nothing */
    uint32_t size, nelem;
    int32_t digits; /* D */
    uint64_t fill;  /* its bits */
} scaleoffset_codec;

static const scaleoffset_codec *of(const cm_codec *codec)
{
    return (const scaleoffset_codec *)codec;
}

int cm_codec_new_scaleoffset(const uint32_t *values, size_t nvalues, cm_codec **out, cm_error *err)
{
    if (nvalues != NVALUES)
        return cm_error_set(err, CM_EDATA, "scaleoffset with %zu parameters", nvalues);
    uint32_t scale = values[0], cls = values[3], size = values[4];
    bool power_of_two = size == 1 || size == 2 || size == 4 || size == 8;
    if (cls > 1 || !power_of_two || (cls == 1 && size < 4) || values[6] > 1 ||
        (cls == 0 && scale != INTEGER_SCALE) || (cls == 1 && scale == INTEGER_SCALE))
        return cm_error_set(err, CM_EDATA, "scaleoffset of class %u, %u bytes, scale type %u", cls,
                            size, scale);
    if (cls == 1 && scale != 0)
        return cm_error_set(err, CM_EUNSUP, "scaleoffset with scale type %u", scale);
    scaleoffset_codec *c;
    int rc = cm_codec_alloc(&cm_class_scaleoffset, sizeof *c, &c, err);
    if (rc)
        return rc;
    c->is_float = cls == 1;
    c->size = size;
    c->nelem = values[2];
    c->big_endian = values[6] == 1;
    c->filled = values[7] == 1;
    c->digits = (int32_t)values[1];
    c->unchanged = !c->is_float && c->digits == (int32_t)(8 * size);
    c->fill = (uint64_t)values[9] << 32 | values[8];
    *out = &c->base;
    return 0;
}

/* As libhdf5 computes: float arithmetic for float cells. */
static uint64_t float_cell(const scaleoffset_codec *c, uint64_t above, uint64_t least)
{
    uint64_t bits = 0;
    if (c->size == 4) {
        float min, cell;
        uint32_t low = (uint32_t)least;
        memcpy(&min, &low, sizeof min);
        cell = (float)(int32_t)(uint32_t)above / powf(10.0f, (float)c->digits) + min;
        memcpy(&low, &cell, sizeof low);
        bits = low;
    } else {
        double min, cell;
        memcpy(&min, &least, sizeof min);
        cell = (double)(int64_t)above / pow(10.0, (double)c->digits) + min;
        memcpy(&bits, &cell, sizeof bits);
    }
    return bits;
}

static void put(const scaleoffset_codec *c, uint8_t *dst, uint64_t bits)
{
    for (uint32_t i = 0; i < c->size; i++)
        dst[c->big_endian ? c->size - 1 - i : i] = (uint8_t)(bits >> 8 * i);
}

/* Cells as they are; but libhdf5 keeps them in the order of the machine that wrote them. It is
 * taken to be little-endian, as libhdf5 itself takes it to be like the reader's. */
static void copy_cells(const scaleoffset_codec *c, const uint8_t *src, uint8_t *dst)
{
    for (size_t i = 0; i < c->nelem; i++)
        put(c, dst + i * c->size, cm_load_le(src + i * c->size, c->size));
}

static int scaleoffset_decode(const cm_codec *codec, cm_codec_work *work, const void *src,
                              size_t nsrc, void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)work;
    const scaleoffset_codec *c = of(codec);
    const uint8_t *p = src;
    size_t n = (size_t)c->nelem * c->size;
    *nout = 0;
    if (c->unchanged ? nsrc > capacity : n > capacity) {
        *nout = c->unchanged ? nsrc : n;
        return cm_error_set(err, CM_ELIMIT, "scaleoffset: decodes to more than %zu bytes",
                            capacity);
    }
    if (c->unchanged) {
        memcpy(dst, src, nsrc);
        *nout = nsrc;
        return 0;
    }
    uint32_t bits = nsrc < HEADER ? UINT32_MAX : cm_load_le32(p);
    if (bits > 8 * c->size || p[4] > 16)
        return cm_error_set(err, CM_EDATA, "scaleoffset: malformed frame of %zu bytes", nsrc);
    uint64_t least = cm_load_le(p + 5, p[4] < 8 ? p[4] : 8);
    *nout = n;
    if (bits == 8 * c->size) {
        if (nsrc - HEADER < n)
            return cm_error_set(err, CM_EDATA, "scaleoffset: frame of %zu bytes is cut off", nsrc);
        copy_cells(c, p + HEADER, dst);
        return 0;
    }
    cm_bits in = {.p = p + HEADER, .end = p + nsrc};
    uint64_t missing = (UINT64_C(1) << bits) - 1;
    for (size_t i = 0; i < c->nelem; i++) {
        uint64_t above = cm_bits_take(&in, bits);
        uint64_t cell = c->filled && above == missing ? c->fill
                        : c->is_float                 ? float_cell(c, above, least)
                                                      : above + least;
        put(c, (uint8_t *)dst + i * c->size, cell);
    }
    if (in.bad) {
        *nout = 0;
        return cm_error_set(err, CM_EDATA, "scaleoffset: frame of %zu bytes is cut off", nsrc);
    }
    return 0;
}

static size_t scaleoffset_bound(const cm_codec *codec, size_t n)
{
    (void)codec;
    return HEADER + n + 1;
}

static size_t scaleoffset_scratch(const cm_codec *codec, size_t n, bool encoding)
{
    (void)codec, (void)n, (void)encoding;
    return 0;
}

static int scaleoffset_text(const cm_codec *codec, cm_buffer *out, cm_error *err)
{
    const scaleoffset_codec *c = of(codec);
    if (c->is_float)
        return cm_buffer_printf(out, err, "scaleoffset:1e%d", -c->digits);
    return cm_buffer_append_string(out, "scaleoffset", err);
}

static bool scaleoffset_equal(const cm_codec *a, const cm_codec *b, bool exactly)
{
    const scaleoffset_codec *x = of(a), *y = of(b);
    (void)exactly;
    return x->is_float == y->is_float && x->size == y->size && x->nelem == y->nelem &&
           x->big_endian == y->big_endian && x->filled == y->filled && x->fill == y->fill &&
           x->digits == y->digits;
}

const cm_codec_class cm_class_scaleoffset = {
    .name = "scaleoffset",
    .bound = scaleoffset_bound,
    .scratch = scaleoffset_scratch,
    .decode = scaleoffset_decode,
    .text = scaleoffset_text,
    .equal = scaleoffset_equal,
};
