/* codec/checksum32.c: numcodecs' "crc32", "adler32" and "jenkins_lookup3": 4 bytes, little-endian,
 * before or behind the data.
 *
 * crc32 and adler32 stand before the data unless "location" says "end"; lookup3 (HDF5's variant of
 * Bob Jenkins' hash) is always behind. They move nothing but by those 4 bytes, so a chain looks
 * through them when it decodes.
 */
#include <libdeflate.h>
#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "codec/codec_private.h"

enum { NBYTES = 4 };

typedef struct {
    cm_codec base;
    bool at_end;
    uint32_t initval; /* lookup3's */
} checksum;

static const checksum *of(const cm_codec *codec)
{
    return (const checksum *)codec;
}

static uint32_t compute(const cm_codec *codec, const void *data, size_t n)
{
    if (codec->cls == &cm_class_crc32)
        return libdeflate_crc32(0, data, n);
    if (codec->cls == &cm_class_adler32)
        return libdeflate_adler32(1, data, n);
    return cm_lookup3_from(of(codec)->initval, data, n);
}

static const char *name_of(const cm_codec *codec)
{
    return codec->cls->v2_id;
}

/* crc32, adler32 */
static int parse_zlib(const cm_codec_class *cls, const cm_json *config, cm_dialect dialect,
                      cm_codec **out, cm_error *err)
{
    const char *location = "start";
    const cm_config_field field = {.key = "location", .string = &location, .null_allowed = true};
    int r = cm_config_read(config, dialect, cls->v2_id, &field, 1, err);
    if (!r && strcmp(location, "start") != 0 && strcmp(location, "end") != 0)
        r = cm_error_set(err, CM_EDATA, "codec %s: location is not start or end", cls->v2_id);
    checksum *c;
    if (!r)
        r = cm_codec_alloc(cls, sizeof *c, &c, err);
    if (r)
        return r;
    c->at_end = strcmp(location, "end") == 0;
    *out = &c->base;
    return 0;
}

static int crc32_parse(const cm_json *config, cm_dialect dialect, cm_dtype dtype, cm_codec **out,
                       cm_error *err)
{
    (void)dtype;
    return parse_zlib(&cm_class_crc32, config, dialect, out, err);
}

static int adler32_parse(const cm_json *config, cm_dialect dialect, cm_dtype dtype, cm_codec **out,
                         cm_error *err)
{
    (void)dtype;
    return parse_zlib(&cm_class_adler32, config, dialect, out, err);
}

static int lookup3_parse(const cm_json *config, cm_dialect dialect, cm_dtype dtype, cm_codec **out,
                         cm_error *err)
{
    (void)dtype;
    int64_t initval = 0;
    const cm_config_field field = {.key = "initval", .max = UINT32_MAX, .value = &initval};
    const cm_json *prefix = cm_json_get(config, "prefix");
    const cm_config_field fields[] = {field, {.key = "prefix"}};
    int r = cm_config_read(config, dialect, "jenkins_lookup3", fields, 2, err);
    if (!r && prefix && !cm_json_is(prefix, CM_JSON_NULL))
        r = cm_error_set(err, CM_EUNSUP, "codec jenkins_lookup3: a prefix");
    checksum *c;
    if (!r)
        r = cm_codec_alloc(&cm_class_lookup3, sizeof *c, &c, err);
    if (r)
        return r;
    c->at_end = true;
    c->initval = (uint32_t)initval;
    *out = &c->base;
    return 0;
}

static cm_json *describe(const cm_codec *codec, cm_json_doc *doc, cm_dialect dialect)
{
    cm_json *config, *o = cm_config_describe(doc, codec->cls, codec->cls->name, dialect, &config);
    if (!o)
        return NULL;
    if (codec->cls == &cm_class_lookup3)
        return cm_json_set_int64(doc, config, "initval", of(codec)->initval) ||
                       cm_json_set(doc, config, "prefix", cm_json_new_null(doc))
                   ? NULL
                   : o;
    return cm_json_set_string(doc, config, "location", of(codec)->at_end ? "end" : "start") ? NULL
                                                                                            : o;
}

static size_t encoded_size(const cm_codec *codec, size_t n)
{
    (void)codec;
    return n + NBYTES;
}

static size_t no_scratch(const cm_codec *codec, size_t n, bool encoding)
{
    (void)codec;
    (void)n;
    (void)encoding;
    return 0;
}

static int encode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                  void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)work;
    if (capacity < NBYTES || capacity - NBYTES < nsrc)
        return cm_error_set(err, CM_EINVAL, "%s: %zu bytes do not fit %zu", name_of(codec), nsrc,
                            capacity);
    bool end = of(codec)->at_end;
    uint32_t sum = compute(codec, src, nsrc);
    uint8_t *data = (uint8_t *)dst + (end ? 0 : NBYTES);
    if (data != src && nsrc)
        memmove(data, src, nsrc);
    cm_store_le32((uint8_t *)dst + (end ? nsrc : 0), sum);
    *nout = nsrc + NBYTES;
    return 0;
}

static int view(const cm_codec *codec, const void *src, size_t nsrc, size_t *offset, size_t *nbytes,
                cm_error *err)
{
    if (nsrc < NBYTES)
        return cm_error_set(err, CM_EDATA, "%s: %zu bytes are too few for a checksum",
                            name_of(codec), nsrc);
    bool end = of(codec)->at_end;
    *offset = end ? 0 : NBYTES;
    *nbytes = nsrc - NBYTES;
    uint32_t stored = cm_load_le32((const uint8_t *)src + (end ? *nbytes : 0));
    uint32_t computed = compute(codec, (const uint8_t *)src + *offset, *nbytes);
    if (stored != computed)
        return cm_error_set(err, CM_EDATA,
                            "%s: checksum is %08x, but that of the %zu bytes is %08x",
                            name_of(codec), stored, *nbytes, computed);
    return 0;
}

static int decode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                  void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)work;
    *nout = 0;
    size_t offset, n;
    int r = view(codec, src, nsrc, &offset, &n, err);
    if (r)
        return r;
    *nout = n;
    if (n > capacity)
        return cm_error_set(err, CM_ELIMIT, "%s: decodes to %zu bytes, more than %zu",
                            name_of(codec), n, capacity);
    if (n)
        memcpy(dst, (const uint8_t *)src + offset, n);
    return 0;
}

static int text(const cm_codec *codec, cm_buffer *out, cm_error *err)
{
    bool usual = of(codec)->at_end == (codec->cls == &cm_class_lookup3);
    return cm_buffer_printf(out, err, usual ? "%s" : "%s(end)", name_of(codec));
}

static bool equal(const cm_codec *a, const cm_codec *b, bool exactly)
{
    (void)exactly;
    return of(a)->at_end == of(b)->at_end && of(a)->initval == of(b)->initval;
}

#define CLASS(id, parser)                                                                          \
    {                                                                                              \
        .name = "numcodecs." id, .v2_id = id, .parse = parser, .describe = describe,               \
        .bound = encoded_size, .scratch = no_scratch, .encode = encode, .decode = decode,          \
        .view = view, .encoded_size = encoded_size, .text = text, .equal = equal                   \
    }

const cm_codec_class cm_class_crc32 = CLASS("crc32", crc32_parse);
const cm_codec_class cm_class_adler32 = CLASS("adler32", adler32_parse);
const cm_codec_class cm_class_lookup3 = CLASS("jenkins_lookup3", lookup3_parse);
