/* codec/checksum32.h: the frame of crc32, adler32 and jenkins_lookup3 (checksum32.c). */
#ifndef CM_CODEC_CHECKSUM32_H
#define CM_CODEC_CHECKSUM32_H

#include "codec/codec_private.h"

typedef struct cm_checksum32 cm_checksum32;
struct cm_checksum32 {
    cm_codec base;
    uint32_t (*compute)(const cm_checksum32 *c, const void *data, size_t n);
    bool at_end, usually_at_end;
    uint32_t initval; /* lookup3's */
};

/* Read "location" into c and make a codec of it. */
int cm_checksum32_parse_location(const cm_codec_class *cls, const cm_json *config,
                                 cm_dialect dialect, cm_checksum32 *c, cm_codec **out,
                                 cm_error *err);
cm_json *cm_checksum32_describe(const cm_codec *codec, cm_json_doc *doc, cm_dialect dialect);

/* A class's functions. */
size_t cm_checksum32_size(const cm_codec *codec, size_t n);
int cm_checksum32_encode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                         void *dst, size_t capacity, size_t *nout, cm_error *err);
int cm_checksum32_decode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                         void *dst, size_t capacity, size_t *nout, cm_error *err);
int cm_checksum32_view(const cm_codec *codec, const void *src, size_t nsrc, size_t *offset,
                       size_t *nbytes, cm_error *err);
int cm_checksum32_text(const cm_codec *codec, cm_buffer *out, cm_error *err);
bool cm_checksum32_equal(const cm_codec *a, const cm_codec *b, bool exactly);

#define CM_CHECKSUM32_CLASS(id, parser, describer)                                                 \
    {                                                                                              \
        .name = "numcodecs." id, .v2_id = id, .parse = parser, .describe = describer,              \
        .bound = cm_checksum32_size, .scratch = cm_no_scratch, .encode = cm_checksum32_encode,     \
        .decode = cm_checksum32_decode, .view = cm_checksum32_view,                                \
        .encoded_size = cm_checksum32_size, .text = cm_checksum32_text,                            \
        .equal = cm_checksum32_equal                                                               \
    }

#endif
