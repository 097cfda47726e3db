/* codec/checksum32.c: what numcodecs' checksums crc32, adler32 and jenkins_lookup3 have in common:
 * 4 bytes, little-endian, before or behind the data. Each has a file of its own.
 *
 * They move nothing but by those 4 bytes, so a chain looks through them when it decodes.
 */
#include <string.h>

#include "base/bytes.h"
#include "codec/checksum32.h"

enum { NBYTES = 4 };

static const cm_checksum32 *of(const cm_codec *codec)
{
    return (const cm_checksum32 *)codec;
}

static const char *name_of(const cm_codec *codec)
{
    return codec->cls->v2_id;
}

int cm_checksum32_parse_location(const cm_codec_class *cls, const cm_json *config,
                                 cm_dialect dialect, cm_checksum32 *c, cm_codec **out,
                                 cm_error *err)
{
    const char *location = "start";
    const cm_config_field field = {.key = "location", .string = &location, .null_allowed = true};
    int r = cm_config_read(config, dialect, cls->v2_id, &field, 1, err);
    if (!r && strcmp(location, "start") != 0 && strcmp(location, "end") != 0)
        r = cm_error_set(err, CM_EDATA, "codec %s: location is not start or end", cls->v2_id);
    if (r)
        return r;
    c->at_end = strcmp(location, "end") == 0;
    return cm_codec_copy(cls, c, sizeof *c, out, err);
}

cm_json *cm_checksum32_describe(const cm_codec *codec, cm_json_doc *doc, cm_dialect dialect)
{
    cm_json *config, *o = cm_config_describe(doc, codec->cls, codec->cls->name, dialect, &config);
    const char *location = of(codec)->at_end ? "end" : "start";
    return !o || cm_json_set_string(doc, config, "location", location) ? NULL : o;
}

size_t cm_checksum32_size(const cm_codec *codec, size_t n)
{
    (void)codec;
    return n + NBYTES;
}

int cm_checksum32_encode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                         void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)work;
    if (capacity < NBYTES || capacity - NBYTES < nsrc)
        return cm_error_set(err, CM_EINVAL, "%s: %zu bytes do not fit %zu", name_of(codec), nsrc,
                            capacity);
    bool end = of(codec)->at_end;
    uint32_t sum = of(codec)->compute(of(codec), src, nsrc);
    uint8_t *data = (uint8_t *)dst + (end ? 0 : NBYTES);
    if (data != src && nsrc)
        memmove(data, src, nsrc);
    cm_store_le32((uint8_t *)dst + (end ? nsrc : 0), sum);
    *nout = nsrc + NBYTES;
    return 0;
}

int cm_checksum32_view(const cm_codec *codec, const void *src, size_t nsrc, size_t *offset,
                       size_t *nbytes, cm_error *err)
{
    if (nsrc < NBYTES)
        return cm_error_set(err, CM_EDATA, "%s: %zu bytes are too few for a checksum",
                            name_of(codec), nsrc);
    bool end = of(codec)->at_end;
    *offset = end ? 0 : NBYTES;
    *nbytes = nsrc - NBYTES;
    uint32_t stored = cm_load_le32((const uint8_t *)src + (end ? *nbytes : 0));
    uint32_t computed = of(codec)->compute(of(codec), (const uint8_t *)src + *offset, *nbytes);
    if (stored != computed)
        return cm_error_set(err, CM_EDATA,
                            "%s: checksum is %08x, but that of the %zu bytes is %08x",
                            name_of(codec), stored, *nbytes, computed);
    return 0;
}

int cm_checksum32_decode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                         void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)work;
    *nout = 0;
    size_t offset, n;
    int r = cm_checksum32_view(codec, src, nsrc, &offset, &n, err);
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

int cm_checksum32_text(const cm_codec *codec, cm_buffer *out, cm_error *err)
{
    bool usual = of(codec)->at_end == of(codec)->usually_at_end;
    return cm_buffer_printf(out, err, usual ? "%s" : "%s(end)", name_of(codec));
}

bool cm_checksum32_equal(const cm_codec *a, const cm_codec *b, bool exactly)
{
    (void)exactly;
    return of(a)->at_end == of(b)->at_end && of(a)->initval == of(b)->initval;
}
