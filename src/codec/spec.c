/* codec/spec.c: codecs as the command line names them: NAME[:ARG]...
 *
 *     none   zstd[:LEVEL]   gzip[:LEVEL]   zlib[:LEVEL]   lz4[:ACCELERATION]
 *     blosc[:COMPRESSOR[:LEVEL[:SHUFFLE]]]
 *
 * Where shuffle is left out, blosc shuffles bytes of types of several bytes, bits of one-byte
 * numbers, and leaves text alone, where neither has ever paid.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codec/codec_private.h"

enum { MAX_PARTS = 4, PART_NBYTES = 32 };

typedef struct {
    int n;
    char part[MAX_PARTS][PART_NBYTES];
} parts;

static int bad_spec(const char *spec, cm_error *err)
{
    int r = cm_error_set(err, CM_EINVAL, "unknown codec \"%s\"", spec);
    cm_error_hint(err, "none, zstd[:LEVEL], blosc[:COMPRESSOR[:LEVEL[:SHUFFLE]]], gzip[:LEVEL], "
                       "zlib[:LEVEL], lz4[:ACCELERATION]; COMPRESSOR is blosclz, lz4, lz4hc, "
                       "snappy, zlib or zstd; SHUFFLE is noshuffle, shuffle or bitshuffle");
    return r;
}

static bool split(const char *spec, parts *out)
{
    *out = (parts){0};
    for (const char *p = spec;; p++) {
        size_t n = strcspn(p, ":");
        if (out->n == MAX_PARTS || n == 0 || n >= PART_NBYTES)
            return false;
        memcpy(out->part[out->n++], p, n);
        p += n;
        if (!*p)
            return true;
    }
}

/* The number in part i, or otherwise if there is no such part. */
static bool number(const parts *p, int i, int otherwise, int *out)
{
    *out = otherwise;
    if (i >= p->n)
        return true;
    char *end;
    errno = 0;
    long v = strtol(p->part[i], &end, 10);
    if (errno || *end || end == p->part[i] || v < INT32_MIN || v > INT32_MAX)
        return false;
    *out = (int)v;
    return true;
}

static int blosc_from(const char *spec, const parts *p, cm_dtype dtype, cm_codec **out,
                      cm_error *err)
{
    static const char *const names[] = {"noshuffle", "shuffle", "bitshuffle"};
    bool text = cm_kind_is_vlen(dtype.kind) || dtype.kind == CM_BYTES;
    uint32_t typesize = cm_kind_is_vlen(dtype.kind) || dtype.size == 0 ? 1 : dtype.size;
    int level, shuffle = text ? 0 : typesize > 1 ? 1 : 2;
    if (!number(p, 2, 5, &level))
        return bad_spec(spec, err);
    if (p->n > 3) {
        shuffle = -1;
        for (int i = 0; i < 3; i++)
            if (strcmp(p->part[3], names[i]) == 0)
                shuffle = i;
        if (shuffle < 0)
            return bad_spec(spec, err);
    }
    return cm_codec_new_blosc(p->n > 1 ? p->part[1] : "zstd", level, shuffle, typesize, 0, out,
                              err);
}

int cm_codec_from_spec(const char *spec, cm_dtype dtype, cm_codec **out, cm_error *err)
{
    parts p;
    *out = NULL;
    if (!split(spec, &p))
        return bad_spec(spec, err);
    const char *name = p.part[0];
    int level;
    if (strcmp(name, "blosc") == 0)
        return blosc_from(spec, &p, dtype, out, err);
    if (p.n > 2)
        return bad_spec(spec, err);
    if (strcmp(name, "none") == 0 && p.n == 1)
        return 0;
    if (strcmp(name, "zstd") == 0 && number(&p, 1, 3, &level))
        return cm_codec_new_zstd(level, false, out, err);
    if (strcmp(name, "gzip") == 0 && number(&p, 1, 6, &level))
        return cm_codec_new_gzip(level, out, err);
    if (strcmp(name, "zlib") == 0 && number(&p, 1, 6, &level))
        return cm_codec_new_zlib(level, out, err);
    if (strcmp(name, "lz4") == 0 && number(&p, 1, 1, &level))
        return cm_codec_new_lz4(level, out, err);
    return bad_spec(spec, err);
}
