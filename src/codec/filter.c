/* codec/filter.c: going through a chunk's numbers, for the filters that change them: astype,
 * bitround, cast_value, delta, fixedscaleoffset, quantize, scale_offset, each in its own file.
 *
 * In Zarr v3 they stand before the codec that makes bytes, in v2 they are filters; either way they
 * map an array of one type, lying as bytes, to one of another type and the same length, so here
 * they are stages like all others whose sizes are known. In v3 they are given numbers, which lie
 * little-endian between the stages; in v2 they are given bytes and say their order.
 *
 * Encoding is what keeps decode(encode(x)) = x, or an error: each block is decoded again, while it
 * is in the cache, and a cell that would come back as another one is refused by name. So copying a
 * store with the codecs it has loses nothing. quantize and bitround therefore do not round again.
 *
 * A filter that has nothing to do when it decodes is looked through like a checksum (view), and not
 * even a NaN's bits change.
 */
#include <string.h>

#include "codec/filter.h"

static const char *id_of(const cm_codec *codec)
{
    return codec->cls->v2_id ? codec->cls->v2_id : codec->cls->name;
}

/* ---- types ----------------------------------------------------------------------------------- */

int cm_filter_types(cm_filter *f, const char *id, cm_dialect dialect, const cm_array_form *in,
                    const char *cells, const char *stored, cm_error *err)
{
    char name[CM_DTYPE_NAME];
    int r = cells ? cm_elements_parse(cells, id, &f->cells, err)
                  : cm_elements_of(in->dtype, id, &f->cells, err);
    f->stored = f->cells;
    if (!r && stored)
        r = cm_elements_parse(stored, id, &f->stored, err);
    if (r || dialect == CM_ZARR2)
        return r;
    /* numcodecs looks at the given cells as if they were of this type. Whether zarr-python gave it
     * big-endian cells nobody can tell from the metadata: it depends on how the array was made. */
    if (f->cells.big_endian) {
        cm_error_set(err, CM_EUNSUP, "codec %s: big-endian cells (%s) in Zarr v3", id,
                     f->cells.name);
        cm_error_hint(err, "releases of zarr-python differ in what such a chunk holds");
        return CM_EUNSUP;
    }
    if (f->cells.size != in->dtype.size)
        return cm_error_set(err, CM_EDATA, "codec %s: numbers of %u bytes, but it is given %u", id,
                            f->cells.size, in->dtype.size);
    /* numcodecs encodes the cells as if they were of this type, but zarr-python makes the array's
     * numbers of its numbers when it decodes. */
    bool alike = f->cells.kind == in->dtype.kind ||
                 (cm_kind_is_integer(f->cells.kind) && cm_kind_is_integer(in->dtype.kind));
    if (!alike)
        return cm_error_set(err, CM_EUNSUP, "codec %s: it says %s, but it is given %s", id,
                            f->cells.name, cm_dtype_name(in->dtype, name, sizeof name));
    cm_elements_make_little(&f->stored);
    return 0;
}

int cm_filter_refuse(const cm_filter *f, const char *id, cm_error *err)
{
    return cm_error_set(err, CM_EUNSUP, "codec %s: from %s to %s", id, f->cells.name,
                        f->stored.name);
}

bool cm_filter_describe_types(const cm_filter *f, cm_json_doc *doc, cm_json *config,
                              const char *cells, const char *stored, cm_dialect dialect)
{
    cm_elements a = f->cells, b = f->stored;
    if (dialect == CM_ZARR3) {
        cm_elements_make_little(&a);
        cm_elements_make_little(&b);
    }
    return !cm_json_set(doc, config, cells, cm_elements_describe(&a, doc)) &&
           (!stored || !cm_json_set(doc, config, stored, cm_elements_describe(&b, doc)));
}

int cm_filter_apply(const cm_codec *codec, cm_array_form *form)
{
    const cm_filter *f = cm_filter_of(codec);
    if (f->stored.kind != f->cells.kind)
        form->dtype = cm_dtype_of(f->stored.kind, 0);
    return (f->whole ? 0 : CM_FILTER_LOSSY) |
           (f->cells.big_endian || f->stored.big_endian ? CM_FILTER_BIG : 0);
}

/* ---- values ---------------------------------------------------------------------------------- */

static size_t block_of(size_t n, size_t at)
{
    return n - at < CM_FILTER_BLOCK ? n - at : CM_FILTER_BLOCK;
}

int cm_filter_decode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                     void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)work;
    const cm_filter *f = cm_filter_of(codec);
    size_t n = nsrc / f->stored.size;
    cm_filter_state s = {0, -0.0f, -0.0}; /* what -0 is added to stays itself, -0 too */
    *nout = 0;
    if (nsrc % f->stored.size)
        return cm_error_set(err, CM_EDATA, "%s: %zu bytes are no multiple of %u", id_of(codec),
                            nsrc, f->stored.size);
    if (n > capacity / f->cells.size) {
        *nout = n * f->cells.size;
        return cm_error_set(err, CM_ELIMIT, "%s: decodes to %zu numbers, more than %zu",
                            id_of(codec), n, capacity / f->cells.size);
    }
    if (!f->decode && n)
        memcpy(dst, src, nsrc);
    for (size_t at = 0; f->decode && at < n; at += block_of(n, at))
        if (!f->decode(f, &s, (const uint8_t *)src + at * f->stored.size, block_of(n, at),
                       (uint8_t *)dst + at * f->cells.size))
            return cm_error_set(err, CM_EDATA,
                                "%s: a stored number is none that %s can be, near number %zu",
                                id_of(codec), f->cells.name, at);
    *nout = n * f->cells.size;
    return 0;
}

int cm_filter_view(const cm_codec *codec, const void *src, size_t nsrc, size_t *offset,
                   size_t *nbytes, cm_error *err)
{
    const cm_filter *f = cm_filter_of(codec);
    (void)src;
    *offset = 0;
    *nbytes = nsrc;
    return nsrc % f->cells.size ? cm_error_set(err, CM_EDATA, "%s: %zu bytes are no multiple of %u",
                                               id_of(codec), nsrc, f->cells.size)
                                : 0;
}

bool cm_filter_has_view(const cm_codec *codec)
{
    return !cm_filter_of(codec)->decode;
}

static bool encode_block(const cm_filter *f, cm_filter_state *there, cm_filter_state *back,
                         const uint8_t *src, size_t n, uint8_t *dst)
{
    uint8_t again[CM_FILTER_BLOCK * 8];
    if (!f->encode(f, there, src, n, dst))
        return false;
    if (there->proved) { /* all numbers up to here are the same on both sides */
        *back = *there;
        return true;
    }
    return f->exact ||
           (f->decode(f, back, dst, n, again) && !memcmp(again, src, n * f->cells.size));
}

int cm_filter_encode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                     void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)work;
    const cm_filter *f = cm_filter_of(codec);
    size_t n = nsrc / f->cells.size;
    cm_filter_state there = {0}, back = {.sum32 = -0.0f, .sum64 = -0.0};
    *nout = 0;
    if (nsrc % f->cells.size || n > capacity / f->stored.size)
        return cm_error_set(err, CM_EINVAL, "%s: %zu bytes do not fit", id_of(codec), nsrc);
    if (!f->decode && n && dst != src)
        memcpy(dst, src, nsrc);
    for (size_t at = 0; f->decode && at < n; at += block_of(n, at))
        if (!encode_block(f, &there, &back, (const uint8_t *)src + at * f->cells.size,
                          block_of(n, at), (uint8_t *)dst + at * f->stored.size)) {
            cm_error_set(err, CM_EUNSUP, "%s would change a cell near number %zu of a chunk",
                         id_of(codec), at);
            cm_error_hint(err, "choose another --codec");
            return CM_EUNSUP;
        }
    *nout = n * f->stored.size;
    return 0;
}

/* ---- sizes and text -------------------------------------------------------------------------- */

size_t cm_filter_encoded_size(const cm_codec *codec, size_t n)
{
    const cm_filter *f = cm_filter_of(codec);
    return n / f->cells.size * f->stored.size;
}

int cm_filter_text(const cm_codec *codec, cm_buffer *out, cm_error *err)
{
    const cm_filter *f = cm_filter_of(codec);
    return cm_buffer_printf(out, err, "%s(%s,%s)", id_of(codec), f->cells.name, f->stored.name);
}

bool cm_filter_equal_types(const cm_codec *a, const cm_codec *b)
{
    const cm_filter *x = cm_filter_of(a), *y = cm_filter_of(b);
    return cm_elements_equal(&x->cells, &y->cells) && cm_elements_equal(&x->stored, &y->stored);
}
