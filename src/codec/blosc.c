/* codec/blosc.c: the Blosc 1 container, Zarr v3 "blosc" and numcodecs "blosc".
 *
 * Frames with zstd, lz4 or zlib inside are done in blosc_frame.c. What is left to c-blosc is
 * encoding with lz4hc, and blosclz and snappy both ways; by its _ctx calls with one internal
 * thread, which share no state and read no environment, and after blosc_frame.c has checked the
 * header: the frame is as long as it says, what it decodes to fits, and its block size is possible.
 */
#include <blosc.h>
#include <inttypes.h>
#include <string.h>

#include "codec/blosc_frame.h"

typedef struct {
    cm_codec base;
    const char *compressor; /* one of compressors[] */
    int level, shuffle;
    uint32_t typesize;
    int64_t blocksize;
} blosc_codec;

static const char *const compressors[] = {"blosclz", "lz4", "lz4hc", "snappy", "zlib", "zstd"};
static const char *const shuffles[] = {"noshuffle", "shuffle", "bitshuffle"};
enum { NCOMPRESSORS = 6, NSHUFFLES = 3 };

static const blosc_codec *self(const cm_codec *codec)
{
    return (const blosc_codec *)codec;
}

int cm_codec_new_blosc(const char *compressor, int level, int shuffle, uint32_t typesize,
                       int64_t blocksize, cm_codec **out, cm_error *err)
{
    const char *known = NULL;
    for (int i = 0; i < NCOMPRESSORS && compressor; i++)
        if (strcmp(compressor, compressors[i]) == 0)
            known = compressors[i];
    if (!known) {
        int r = cm_error_set(err, CM_EINVAL, "blosc: unknown compressor \"%s\"",
                             compressor ? compressor : "");
        cm_error_hint(err, "blosclz, lz4, lz4hc, snappy, zlib or zstd");
        return r;
    }
    if (level < 0 || level > 9 || shuffle < 0 || shuffle >= NSHUFFLES || typesize == 0 ||
        blocksize < 0 || blocksize > INT32_MAX)
        return cm_error_set(err, CM_EINVAL,
                            "blosc: level %d, shuffle %d, type size %u or block size %" PRId64
                            " is out of bounds",
                            level, shuffle, typesize, blocksize);
    blosc_codec *b;
    int r = cm_codec_alloc(&cm_class_blosc, sizeof *b, &b, err);
    if (r)
        return r;
    b->compressor = known;
    b->level = level;
    b->shuffle = shuffle;
    b->typesize = typesize;
    b->blocksize = blocksize;
    *out = &b->base;
    return 0;
}

/* numcodecs: shuffle is a number, -1 chooses by the type size, which is the array's. */
static int parse_v2(const cm_json *config, cm_dtype dtype, cm_codec **out, cm_error *err)
{
    const char *cname = "lz4";
    int64_t level = 5, shuffle = 1, blocksize = 0;
    int64_t typesize = cm_kind_is_vlen(dtype.kind) ? 1 : dtype.size;
    const cm_config_field fields[] = {
        {.key = "cname", .string = &cname},
        {.key = "clevel", .max = 9, .value = &level},
        {.key = "shuffle", .min = -1, .max = 2, .value = &shuffle},
        {.key = "blocksize", .max = INT32_MAX, .value = &blocksize},
        {.key = "typesize", .min = 1, .max = UINT32_MAX, .value = &typesize, .null_allowed = true},
    };
    int r = cm_config_read(config, CM_ZARR2, "blosc", fields, 5, err);
    if (r)
        return r;
    if (shuffle == -1)
        shuffle = typesize == 1 ? BLOSC_BITSHUFFLE : BLOSC_SHUFFLE;
    return cm_codec_new_blosc(cname, (int)level, (int)shuffle, (uint32_t)typesize, blocksize, out,
                              err);
}

/* typesize is required unless there is no shuffle; what is absent else has zarr-python's
 * default. */
static int parse_v3(const cm_json *config, cm_codec **out, cm_error *err)
{
    const char *cname = "zstd", *shuffle = NULL;
    int64_t level = 5, blocksize = 0, typesize = 0;
    const cm_config_field fields[] = {
        {.key = "typesize", .max = UINT32_MAX, .value = &typesize, .null_allowed = true},
        {.key = "cname", .string = &cname, .required = true},
        {.key = "clevel", .max = 9, .value = &level},
        {.key = "shuffle", .string = &shuffle, .required = true},
        {.key = "blocksize", .max = INT32_MAX, .value = &blocksize},
    };
    int r = cm_config_read(config, CM_ZARR3, "blosc", fields, 5, err);
    if (r)
        return r;
    int mode = -1;
    for (int i = 0; i < NSHUFFLES; i++)
        if (strcmp(shuffle, shuffles[i]) == 0)
            mode = i;
    if (mode < 0)
        return cm_error_set(err, CM_EDATA, "codec blosc: unknown shuffle \"%s\"", shuffle);
    if (typesize == 0 && mode != BLOSC_NOSHUFFLE)
        return cm_error_set(err, CM_EDATA, "codec blosc: typesize is missing or 0");
    return cm_codec_new_blosc(cname, (int)level, mode, typesize ? (uint32_t)typesize : 1, blocksize,
                              out, err);
}

static int blosc_parse(const cm_json *config, cm_dialect dialect, cm_dtype dtype, cm_codec **out,
                       cm_error *err)
{
    int r = dialect == CM_ZARR2 ? parse_v2(config, dtype, out, err) : parse_v3(config, out, err);
    if (r == CM_EINVAL) { /* the caller did nothing wrong: the metadata did */
        r = CM_EDATA;
        if (err)
            err->code = r;
    }
    return r;
}

static cm_json *blosc_describe(const cm_codec *codec, cm_json_doc *doc, cm_dialect dialect)
{
    const blosc_codec *b = self(codec);
    cm_json *c, *o = cm_config_describe(doc, &cm_class_blosc, "blosc", dialect, &c);
    bool v3 = dialect == CM_ZARR3;
    if (!o || (v3 && cm_json_set_int64(doc, c, "typesize", b->typesize)) ||
        cm_json_set_string(doc, c, "cname", b->compressor) ||
        cm_json_set_int64(doc, c, "clevel", b->level) ||
        (v3 ? cm_json_set_string(doc, c, "shuffle", shuffles[b->shuffle])
            : cm_json_set_int64(doc, c, "shuffle", b->shuffle)) ||
        cm_json_set_int64(doc, c, "blocksize", b->blocksize))
        return NULL;
    return o;
}

static size_t blosc_bound(const cm_codec *codec, size_t n)
{
    (void)codec;
    return n + BLOSC_MAX_OVERHEAD;
}

/* The flags' format of a compressor that we do ourselves, else -1. */
static int own_format(const blosc_codec *b)
{
    if (strcmp(b->compressor, "zstd") == 0)
        return CM_BLOSC_ZSTD;
    if (strcmp(b->compressor, "lz4") == 0)
        return CM_BLOSC_LZ4;
    return strcmp(b->compressor, "zlib") == 0 ? CM_BLOSC_ZLIB : -1;
}

/* What the inner compressor's state takes for blocks of n bytes. */
static size_t inner_nbytes(const blosc_codec *b, size_t n, bool encoding)
{
    if (strcmp(b->compressor, "zstd") == 0)
        return cm_zstd_nbytes(cm_blosc_zstd_level(b->level), n, encoding);
    if (strcmp(b->compressor, "zlib") == 0)
        return encoding ? cm_deflater_nbytes(b->level) : CM_INFLATER_NBYTES;
    return (size_t)256 << 10; /* lz4hc, the largest of the others */
}

/* As many blocks as the shuffle takes if the frame is ours to do, else the three of c-blosc. Blocks
 * are at most 1 MiB or what the metadata say. (A frame may be made with larger blocks than its
 * metadata say; they are at most the chunk.) */
static size_t blosc_scratch(const cm_codec *codec, size_t n, bool encoding)
{
    const blosc_codec *b = self(codec);
    size_t block = b->blocksize > 1 << 20 ? (size_t)b->blocksize : (size_t)1 << 20;
    if (block > n)
        block = n;
    int nblocks = own_format(b) < 0 ? 3 : b->shuffle;
    return (size_t)nblocks * block + inner_nbytes(b, block, encoding);
}

/* c-blosc can be built without snappy, and then complains on standard error. */
static int no_compressor(const char *name, cm_error *err)
{
    return cm_error_set(err, CM_EUNSUP, "blosc: this c-blosc has no %s", name);
}

static int blosc_encode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                        void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    const blosc_codec *b = self(codec);
    if (nsrc > BLOSC_MAX_BUFFERSIZE)
        return cm_error_set(err, CM_EUNSUP, "blosc: a chunk of %zu bytes is over its limit of %d",
                            nsrc, BLOSC_MAX_BUFFERSIZE);
    if (capacity < nsrc + CM_BLOSC_HEADER)
        return cm_error_set(err, CM_EINVAL, "blosc: %zu bytes do not fit %zu when encoded", nsrc,
                            capacity);
    static const int flags[] = {0, CM_BLOSC_SHUFFLED, CM_BLOSC_BITSHUFFLED};
    int format = own_format(b);
    if (format >= 0)
        return cm_blosc_frame_encode(format, b->level, flags[b->shuffle], b->typesize,
                                     (uint32_t)b->blocksize, work, src, nsrc, dst, nout, err);
    if (blosc_compname_to_compcode(b->compressor) < 0)
        return no_compressor(b->compressor, err);
    /* Given more room than a plain copy takes, c-blosc may use it; given just that, it copies. */
    int n = blosc_compress_ctx(b->level, b->shuffle, b->typesize, nsrc, src, dst,
                               nsrc + CM_BLOSC_HEADER, b->compressor, (size_t)b->blocksize, 1);
    if (n <= 0)
        return cm_error_set(err, CM_EINVAL, "blosc: cannot encode %zu bytes with %s (%d)", nsrc,
                            b->compressor, n);
    *nout = (size_t)n;
    return 0;
}

static int blosc_decode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                        void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)codec;
    *nout = 0;
    cm_blosc_header h;
    int r = cm_blosc_header_read(src, nsrc, &h, err);
    if (r)
        return r;
    *nout = h.nbytes;
    if (h.nbytes > capacity)
        return cm_error_set(err, CM_ELIMIT, "blosc: decodes to %u bytes, more than %zu", h.nbytes,
                            capacity);
    if (h.nbytes == 0)
        return 0;
    if (cm_blosc_frame_is_ours(&h))
        return cm_blosc_frame_decode(&h, work, src, dst, err);
    const char *inner = h.format == CM_BLOSC_SNAPPY ? "snappy" : "blosclz";
    if (blosc_compname_to_compcode(inner) < 0)
        return no_compressor(inner, err);
    int n = blosc_decompress_ctx(src, dst, h.nbytes, 1);
    if (n < 0 || (uint32_t)n != h.nbytes)
        return cm_error_set(err, CM_EDATA, "blosc: corrupted frame (%zu bytes, %u decoded)", nsrc,
                            h.nbytes);
    return 0;
}

static int blosc_text(const cm_codec *codec, cm_buffer *out, cm_error *err)
{
    const blosc_codec *b = self(codec);
    int r =
        cm_buffer_printf(out, err, "blosc(%s:%d,%s", b->compressor, b->level, shuffles[b->shuffle]);
    if (!r && b->shuffle)
        r = cm_buffer_printf(out, err, ",%u", b->typesize);
    if (!r && b->blocksize)
        r = cm_buffer_printf(out, err, ",block %" PRId64, b->blocksize);
    return r ? r : cm_buffer_append_string(out, ")", err);
}

/* A frame says by itself how it was made, so any decodes any. */
static bool blosc_equal(const cm_codec *a, const cm_codec *b, bool exactly)
{
    const blosc_codec *x = self(a), *y = self(b);
    return !exactly ||
           (x->compressor == y->compressor && x->level == y->level && x->shuffle == y->shuffle &&
            x->blocksize == y->blocksize && x->typesize == y->typesize);
}

const cm_codec_class cm_class_blosc = {
    .name = "blosc",
    .v2_id = "blosc",
    .parse = blosc_parse,
    .describe = blosc_describe,
    .bound = blosc_bound,
    .scratch = blosc_scratch,
    .encode = blosc_encode,
    .decode = blosc_decode,
    .text = blosc_text,
    .equal = blosc_equal,
};
