/* codec/packbits.c: "packbits" of Zarr's registry of extensions: of each number (of each part of a
 * complex one) the bits first_bit to last_bit, one behind the other from the lowest bit of the
 * first byte on; in a byte before or behind them, how many bits at the end are too many.
 *
 *     cells     int4: -1 3 2        1111 0011 0010 as bytes, sign-extended
 *     encoded   0x3f 0x02           first cell lowest
 *
 * How many cells there are is known from the chunk, so everything about the size is checked. The
 * upper bits of int4 and its like mean nothing; all other bits that would be lost are an error.
 *
 * Bools go through kernels; the rest through a shift register of 64 bits and a few more.
 */
#include <string.h>

#include "base/bytes.h"
#include "codec/bit_kernels.h"
#include "codec/codec_private.h"

__extension__ typedef unsigned __int128 u128;

enum { PAD_NONE, PAD_FIRST, PAD_LAST };

typedef struct {
    cm_codec base;
    uint8_t padding;
    uint8_t first, nbits; /* of each part */
    uint8_t width;        /* bytes of a part in memory */
    uint8_t whole;        /* bits that mean something */
    bool is_signed, is_bool;
    bool first_given, last_given;
    size_t nparts;
} packbits;

static const packbits *of(const cm_codec *codec)
{
    return (const packbits *)codec;
}

/* Bits of each part, 0 for types that have none; *parts: of a cell. */
static uint8_t part_bits(cm_dtype dtype, uint8_t *parts)
{
    *parts = cm_kind_is_complex(dtype.kind) ? 2 : 1;
    switch (dtype.kind) {
    case CM_BOOL: return 1;
    case CM_INT2:
    case CM_UINT2: return 2;
    case CM_INT4:
    case CM_UINT4:
    case CM_FLOAT4_E2M1FN: return 4;
    case CM_FLOAT6_E2M3FN:
    case CM_FLOAT6_E3M2FN: return 6;
    default: break;
    }
    bool number = cm_kind_is_integer(dtype.kind) || cm_kind_is_float(dtype.kind) ||
                  cm_kind_is_complex(dtype.kind) || cm_kind_is_time(dtype.kind) ||
                  cm_kind_is_small(dtype.kind);
    return (uint8_t)(number ? 8 * dtype.size / *parts : 0);
}

static int read_padding(const char *text, uint8_t *out, cm_error *err)
{
    static const char *const names[] = {"none", "first_byte", "last_byte"};
    for (uint8_t i = 0; i < 3; i++)
        if (strcmp(names[i], text) == 0) {
            *out = i;
            return 0;
        }
    return cm_error_set(err, CM_EDATA, "codec packbits: padding_encoding \"%.32s\"", text);
}

static int parse(const cm_json *config, cm_dialect dialect, const cm_array_form *in, cm_codec **out,
                 cm_error *err)
{
    const char *padding = "none";
    int64_t first = -1, last = -1;
    uint8_t parts;
    packbits p = {.whole = part_bits(in->dtype, &parts)};
    const cm_config_field fields[] = {
        {.key = "padding_encoding", .string = &padding, .null_allowed = true},
        {.key = "first_bit", .max = 63, .value = &first, .null_allowed = true},
        {.key = "last_bit", .max = 63, .value = &last, .null_allowed = true}};
    char name[CM_DTYPE_NAME];
    int r = cm_config_read(config, dialect, "packbits", fields, 3, err);
    if (!r)
        r = read_padding(padding, &p.padding, err);
    if (r)
        return r;
    if (!p.whole || in->ndim < 0)
        return cm_error_set(err, CM_EUNSUP, "codec packbits: cells of type %s",
                            cm_dtype_name(in->dtype, name, sizeof name));
    p.first_given = first >= 0;
    p.last_given = last >= 0;
    first = first < 0 ? 0 : first;
    last = last < 0 ? p.whole - 1 : last;
    if (last < first || last >= p.whole)
        return cm_error_set(err, CM_EDATA, "codec packbits: bits %d to %d of %d", (int)first,
                            (int)last, p.whole);
    p.first = (uint8_t)first;
    p.nbits = (uint8_t)(last - first + 1);
    p.width = (uint8_t)(in->dtype.size / parts);
    p.is_bool = in->dtype.kind == CM_BOOL;
    p.is_signed = in->dtype.kind == CM_INT2 || in->dtype.kind == CM_INT4 ||
                  (cm_kind_is_integer(in->dtype.kind) && !cm_kind_is_unsigned(in->dtype.kind));
    p.nparts = parts;
    for (int i = 0; i < in->ndim; i++)
        if (!cm_mul_size(p.nparts, (size_t)in->shape[i], &p.nparts) || p.nparts > PTRDIFF_MAX / 64)
            return cm_error_set(err, CM_ELIMIT, "codec packbits: too many cells");
    return cm_codec_copy(&cm_class_packbits, &p, sizeof p, out, err);
}

static cm_json *describe(const cm_codec *codec, cm_json_doc *doc, cm_dialect dialect)
{
    const packbits *p = of(codec);
    cm_json *config, *o = cm_config_describe(doc, codec->cls, "packbits", dialect, &config);
    const char *const names[] = {"none", "first_byte", "last_byte"};
    if (!o || cm_json_set_string(doc, config, "padding_encoding", names[p->padding]) ||
        (p->first_given && cm_json_set_int64(doc, config, "first_bit", p->first)) ||
        (p->last_given && cm_json_set_int64(doc, config, "last_bit", p->first + p->nbits - 1)))
        return NULL;
    return o;
}

/* Bytes of the bits alone. */
static size_t packed(const packbits *p, size_t nparts)
{
    return nparts * p->nbits / 8 + (nparts * p->nbits % 8 != 0);
}

static size_t encoded_size(const cm_codec *codec, size_t n)
{
    const packbits *p = of(codec);
    if (n / p->width > PTRDIFF_MAX / 64)
        return SIZE_MAX;
    return packed(p, n / p->width) + (p->padding != PAD_NONE);
}

static uint64_t load(const uint8_t *p, unsigned width)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < width; i++)
        v |= (uint64_t)p[i] << 8 * i;
    return v;
}

static uint64_t ones(unsigned n)
{
    return n >= 64 ? UINT64_MAX : ((uint64_t)1 << n) - 1;
}

/* The value in memory of nbits bits: shifted to first, and extended. */
static uint64_t extended(const packbits *p, uint64_t bits)
{
    uint64_t v = bits << p->first;
    unsigned top = p->first + p->nbits;
    if (p->is_signed && bits >> (p->nbits - 1) & 1)
        v |= ~ones(top);
    return v & ones(8u * p->width);
}

/* In memory only `whole` bits of a part count. */
static bool same_value(const packbits *p, uint64_t a, uint64_t b)
{
    return !((a ^ b) & ones(p->whole));
}

static bool pack(const packbits *p, const uint8_t *src, uint8_t *dst)
{
    u128 held = 0;
    unsigned nheld = 0;
    bool good = true;
    for (size_t i = 0; i < p->nparts; i++) {
        uint64_t v = load(src + i * p->width, p->width);
        uint64_t bits = v >> p->first & ones(p->nbits);
        good &= same_value(p, extended(p, bits), v);
        held |= (u128)bits << nheld;
        for (nheld += p->nbits; nheld >= 8; nheld -= 8, held >>= 8)
            *dst++ = (uint8_t)held;
    }
    if (nheld)
        *dst = (uint8_t)held;
    return good;
}

static void unpack(const packbits *p, const uint8_t *src, uint8_t *dst)
{
    u128 held = 0;
    unsigned nheld = 0;
    for (size_t i = 0; i < p->nparts; i++) {
        for (; nheld < p->nbits; nheld += 8)
            held |= (u128)*src++ << nheld;
        uint64_t v = extended(p, (uint64_t)held & ones(p->nbits));
        held >>= p->nbits;
        nheld -= p->nbits;
        for (unsigned k = 0; k < p->width; k++)
            dst[i * p->width + k] = (uint8_t)(v >> 8 * k);
    }
}

static uint8_t padding_of(const packbits *p)
{
    return (uint8_t)((8 - p->nparts * p->nbits % 8) % 8);
}

static bool plain(const packbits *p)
{
    return p->nbits == 8 * p->width;
}

static int encode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                  void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)work;
    const packbits *p = of(codec);
    uint8_t *to = (uint8_t *)dst + (p->padding == PAD_FIRST);
    size_t n = packed(p, p->nparts);
    *nout = encoded_size(codec, nsrc);
    if (nsrc != p->nparts * p->width || *nout > capacity)
        return cm_error_set(err, CM_EINVAL, "packbits: %zu bytes do not fit", nsrc);
    if (p->padding == PAD_FIRST)
        *(uint8_t *)dst = padding_of(p);
    if (p->padding == PAD_LAST)
        to[n] = padding_of(p);
    bool good = true;
    if (plain(p))
        memcpy(to, src, nsrc);
    else
        good = p->is_bool ? cm_pack_bools(src, nsrc, false, to) : pack(p, src, to);
    return good ? 0
                : cm_error_set(err, CM_EUNSUP, "packbits: a cell has other bits than %d to %d",
                               p->first, p->first + p->nbits - 1);
}

static int decode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                  void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)work;
    const packbits *p = of(codec);
    const uint8_t *from = (const uint8_t *)src + (p->padding == PAD_FIRST);
    size_t n = packed(p, p->nparts), nbytes = p->nparts * p->width;
    *nout = 0;
    if (nsrc != n + (p->padding != PAD_NONE))
        return cm_error_set(err, CM_EDATA, "packbits: %zu bytes instead of %zu", nsrc,
                            n + (p->padding != PAD_NONE));
    if (p->padding != PAD_NONE && (p->padding == PAD_FIRST ? from[-1] : from[n]) != padding_of(p))
        return cm_error_set(err, CM_EDATA, "packbits: the bits at the end are miscounted");
    *nout = nbytes;
    if (nbytes > capacity)
        return cm_error_set(err, CM_ELIMIT, "packbits: decodes to %zu bytes, more than %zu", nbytes,
                            capacity);
    if (plain(p))
        memcpy(dst, from, nbytes);
    else if (p->is_bool)
        cm_unpack_bools(from, nbytes, false, dst);
    else
        unpack(p, from, dst);
    return 0;
}

static int filter(const cm_codec *codec, cm_array_form *form)
{
    (void)form;
    return CM_FILTER_BYTES | (of(codec)->nbits < of(codec)->whole ? CM_FILTER_LOSSY : 0);
}

static int text(const cm_codec *codec, cm_buffer *out, cm_error *err)
{
    const packbits *p = of(codec);
    return cm_buffer_printf(out, err, "packbits(%d)", p->nbits);
}

static bool equal(const cm_codec *a, const cm_codec *b, bool exactly)
{
    const packbits *x = of(a), *y = of(b);
    (void)exactly;
    return x->padding == y->padding && x->first == y->first && x->nbits == y->nbits &&
           x->width == y->width && x->nparts == y->nparts;
}

const cm_codec_class cm_class_packbits = {
    .name = "packbits",
    .parse_array = parse,
    .describe = describe,
    .bound = encoded_size,
    .scratch = cm_no_scratch,
    .encode = encode,
    .decode = decode,
    .encoded_size = encoded_size,
    .filter = filter,
    .text = text,
    .equal = equal,
};
