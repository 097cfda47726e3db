/* codec/registry.c: which codecs there are, by name.
 *
 * A class is one file and one line here. In Zarr v3 a codec answers to its class name and to
 * "numcodecs." + its numcodecs id (what zarr-python writes for codecs that the core specification
 * does not define) and to the bare id ("zlib", "shuffle", "lz4": virtual NetCDF stores and zarrs
 * write these). The numcodecs names carry a numcodecs configuration; chain_parse_v3.c sees to that.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "codec/codec_private.h"

static const cm_codec_class *const classes[] = {
    &cm_class_adler32,    &cm_class_astype,  &cm_class_base64,       &cm_class_bitround,
    &cm_class_blosc,      &cm_class_bz2,     &cm_class_cast_value,   &cm_class_categorize,
    &cm_class_crc32,      &cm_class_crc32c,  &cm_class_delta,        &cm_class_fixedscaleoffset,
    &cm_class_fletcher32, &cm_class_gzip,    &cm_class_json2,        &cm_class_lookup3,
    &cm_class_lz4,        &cm_class_lzma,    &cm_class_packbits,     &cm_class_packbits_bool,
    &cm_class_quantize,   &cm_class_reshape, &cm_class_scale_offset, &cm_class_shuffle,
    &cm_class_zlib,       &cm_class_zstd,
};
enum { NCLASSES = sizeof classes / sizeof classes[0] };

/* Known, and not read. The names are those of both dialects, without "numcodecs.". */
static const struct {
    const char *name, *reason;
} refused[] = {
    {"pickle", "reading it would run code that the data bring"},
    {"msgpack2", "its objects have no fixed type; write them with vlen-utf8 or json2"},
    {"msgpack", "its objects have no fixed type; write them with vlen-utf8 or json2"},
    {"json", "numcodecs has replaced it by json2: rewrite the array"},
    {"vlen-array", "version 3 has no data type for lists"},
    {"pcodec", "pcodec is another library's format: rewrite the array with zstd or blosc"},
    {"zfpy", "zfp is lossy and another library's format: rewrite the array with zstd or blosc"},
    {"zfp", "zfp is lossy and another library's format: rewrite the array with zstd or blosc"},
    {"zarrs.zfp", "zfp is lossy and another library's format: rewrite the array"},
    {"sz3", "sz3 is lossy and another library's format: rewrite the array with zstd or blosc"},
    {"zarrs.gdeflate", "gdeflate is made for GPUs: rewrite the array with zstd or blosc"},
    {"gdeflate", "gdeflate is made for GPUs: rewrite the array with zstd or blosc"},
    {"n5_default", "it stores N5's chunks: rewrite the array with the codec bytes"},
    {"conditional", "which codecs a chunk has is not in the metadata: rewrite the array"},
    {"jpeg", "images compressed with loss are no cells: rewrite the array"},
    {"jpeg2k", "images compressed with loss are no cells: rewrite the array"},
    {"jpegxl", "images compressed with loss are no cells: rewrite the array"},
    {"zarrs.optional", "cells that may be absent are zarrs' own type: rewrite the array"},
    {"zarrs.vlen", "only zarrs reads it: rewrite the array with vlen-utf8 or vlen-bytes"},
    {"zarrs.vlen_v2", "only zarrs reads it: rewrite the array with vlen-utf8 or vlen-bytes"},
};

static const char *without_prefix(const char *name, cm_dialect dialect)
{
    static const char prefix[] = "numcodecs.";
    bool has = dialect == CM_ZARR3 && strncmp(name, prefix, sizeof prefix - 1) == 0;
    return has ? name + sizeof prefix - 1 : name;
}

const cm_codec_class *cm_codec_class_named(const char *name, cm_dialect dialect)
{
    if (!name)
        return NULL;
    for (int i = 0; i < NCLASSES && dialect == CM_ZARR3; i++)
        if (strcmp(classes[i]->name, name) == 0)
            return classes[i];
    name = without_prefix(name, dialect);
    for (int i = 0; i < NCLASSES; i++)
        if (classes[i]->v2_id && strcmp(classes[i]->v2_id, name) == 0)
            return classes[i];
    return NULL;
}

/* All names that the registry knows in this dialect, "blosc, crc32c, ...", appended. */
static int list_names(cm_dialect dialect, cm_buffer *out)
{
    static const char prefix[] = "numcodecs.";
    for (int i = 0, n = 0; i < NCLASSES; i++) {
        const char *name = dialect == CM_ZARR3 ? classes[i]->name : classes[i]->v2_id;
        if (name && strncmp(name, prefix, sizeof prefix - 1) == 0)
            name = classes[i] == &cm_class_packbits_bool ? NULL : name + sizeof prefix - 1;
        int r = name ? cm_buffer_printf(out, NULL, "%s%s", n++ ? ", " : "", name) : 0;
        if (r)
            return r;
    }
    return 0;
}

int cm_codec_unknown(const char *name, cm_dialect dialect, const char *what, cm_error *err)
{
    const char *bare = without_prefix(name, dialect);
    int r = cm_error_set(err, CM_EUNSUP, "%s \"%s\" is not supported", what, name);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (strcmp(refused[i].name, bare) == 0) {
            cm_error_hint(err, "%s", refused[i].reason);
            return r;
        }
    if (!strncmp(bare, "imagecodecs_", 12)) {
        cm_error_hint(err, "it needs Python's imagecodecs: rewrite the array with zstd or blosc");
        return r;
    }
    cm_buffer names;
    cm_buffer_init(&names, err ? sizeof err->hint : 1);
    const char *first = dialect == CM_ZARR3 ? "bytes, sharding_indexed, transpose, vlen-bytes, "
                                              "vlen-utf8 and, with or without numcodecs., "
                                            : "";
    if (err && list_names(dialect, &names) == 0)
        cm_error_hint(err, "known: %s%.*s", first, (int)names.nbytes, (const char *)names.data);
    cm_buffer_deinit(&names);
    return r;
}

size_t cm_no_scratch(const cm_codec *codec, size_t n, bool encoding)
{
    (void)codec;
    (void)n;
    (void)encoding;
    return 0;
}

int cm_codec_alloc(const cm_codec_class *cls, size_t nbytes, void *out, cm_error *err)
{
    cm_codec *c = cm_calloc(1, nbytes, err);
    if (!c)
        return CM_ENOMEM;
    c->cls = cls;
    memcpy(out, &c, sizeof c);
    return 0;
}

int cm_codec_copy(const cm_codec_class *cls, const void *src, size_t nbytes, cm_codec **out,
                  cm_error *err)
{
    cm_codec *c;
    int r = cm_codec_alloc(cls, nbytes, &c, err);
    if (r)
        return r;
    memcpy(c, src, nbytes);
    c->cls = cls;
    *out = c;
    return 0;
}

int cm_codec_parse(const cm_codec_class *cls, const cm_json *config, cm_dialect dialect,
                   const cm_array_form *in, cm_codec **out, cm_error *err)
{
    return cls->parse_array ? cls->parse_array(config, dialect, in, out, err)
                            : cls->parse(config, dialect, in->dtype, out, err);
}

bool cm_codec_looks_through(const cm_codec *codec)
{
    return codec->cls->view && (!codec->cls->has_view || codec->cls->has_view(codec));
}

void cm_codec_free(cm_codec *codec)
{
    free(codec);
}
