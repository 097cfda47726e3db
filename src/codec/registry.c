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
    &cm_class_adler32,  &cm_class_blosc,
    &cm_class_bz2,      &cm_class_crc32,
    &cm_class_crc32c,   &cm_class_fletcher32,
    &cm_class_gzip,     &cm_class_lookup3,
    &cm_class_lz4,      &cm_class_lzma,
    &cm_class_astype,   &cm_class_bitround,
    &cm_class_delta,    &cm_class_fixedscaleoffset,
    &cm_class_quantize, &cm_class_shuffle,
    &cm_class_zlib,     &cm_class_zstd,
};
enum { NCLASSES = sizeof classes / sizeof classes[0] };

const cm_codec_class *cm_codec_class_named(const char *name, cm_dialect dialect)
{
    static const char prefix[] = "numcodecs.";
    if (!name)
        return NULL;
    if (dialect == CM_ZARR3 && strncmp(name, prefix, sizeof prefix - 1) == 0)
        name += sizeof prefix - 1;
    for (int i = 0; i < NCLASSES; i++)
        if (strcmp(classes[i]->v2_id, name) == 0)
            return classes[i];
    return NULL;
}

int cm_codec_names(cm_dialect dialect, cm_buffer *out, cm_error *err)
{
    for (int i = 0; i < NCLASSES; i++) {
        int r = cm_buffer_printf(out, err, "%s%s", i ? ", " : "",
                                 dialect == CM_ZARR3 ? classes[i]->name : classes[i]->v2_id);
        if (r)
            return r;
    }
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

void cm_codec_free(cm_codec *codec)
{
    free(codec);
}
