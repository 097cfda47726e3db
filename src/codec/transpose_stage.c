/* codec/transpose_stage.c: Zarr v3's "transpose" behind a filter or a reshape.
 *
 * The engine transposes cells while it scatters them; only a transpose of what another codec made
 * is a stage. Copies do without: it says where cells lie and nothing else.
 */
#include <string.h>

#include "codec/codec_private.h"
#include "nd/box.h"
#include "nd/copy.h"

typedef struct {
    cm_codec base;
    uint32_t size; /* of a cell */
    int ndim;
    int order[CM_MAX_DIMS];
    int64_t shape[CM_MAX_DIMS]; /* before: of the decoded array */
    size_t nbytes;
} transpose;

static const transpose *of(const cm_codec *codec)
{
    return (const transpose *)codec;
}

int cm_codec_new_transpose(const int *order, cm_array_form *form, cm_codec **out, cm_error *err)
{
    transpose t = {.size = form->dtype.size, .ndim = form->ndim, .nbytes = form->dtype.size};
    char name[CM_DTYPE_NAME];
    if (cm_kind_is_vlen(form->dtype.kind))
        return cm_error_set(err, CM_EUNSUP, "codec transpose of %s behind another codec",
                            cm_dtype_name(form->dtype, name, sizeof name));
    memcpy(t.shape, form->shape, sizeof t.shape);
    for (int i = 0; i < form->ndim; i++) {
        t.order[i] = order[i];
        t.nbytes *= (size_t)t.shape[i]; /* the chunk's bytes at most: checked */
        form->shape[i] = t.shape[order[i]];
    }
    return cm_codec_copy(&cm_class_transpose, &t, sizeof t, out, err);
}

static cm_json *transpose_describe(const cm_codec *codec, cm_json_doc *doc, cm_dialect dialect)
{
    (void)dialect;
    cm_json *config, *o = cm_config_describe(doc, codec->cls, "transpose", CM_ZARR3, &config);
    cm_json *order = cm_json_new_array(doc);
    for (int i = 0; i < of(codec)->ndim && order; i++)
        if (cm_json_add(doc, order, cm_json_new_int64(doc, of(codec)->order[i])))
            return NULL;
    return !o || cm_json_set(doc, config, "order", order) ? NULL : o;
}

static size_t same_size(const cm_codec *codec, size_t n)
{
    (void)codec;
    return n;
}

/* Strides of the decoded array in C order, and of the same axes in the encoded one. */
static int move(const cm_codec *codec, bool encoding, const void *src, size_t nsrc, void *dst,
                size_t capacity, size_t *nout, cm_error *err)
{
    const transpose *t = of(codec);
    int64_t plain[CM_MAX_DIMS], moved[CM_MAX_DIMS], step = t->size;
    *nout = 0;
    if (nsrc != t->nbytes)
        return cm_error_set(err, CM_EDATA, "transpose: %zu bytes instead of %zu", nsrc, t->nbytes);
    *nout = nsrc;
    if (nsrc > capacity)
        return cm_error_set(err, CM_ELIMIT, "transpose: %zu bytes are more than %zu", nsrc,
                            capacity);
    cm_strides_c(t->ndim, t->shape, t->size, plain);
    for (int i = t->ndim - 1; i >= 0; i--) {
        moved[t->order[i]] = step;
        step *= t->shape[t->order[i]];
    }
    cm_nd_copy(t->ndim, t->shape, t->size, dst, encoding ? moved : plain, src,
               encoding ? plain : moved, 0);
    return 0;
}

static int transpose_encode(const cm_codec *codec, cm_codec_work *work, const void *src,
                            size_t nsrc, void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)work;
    return move(codec, true, src, nsrc, dst, capacity, nout, err);
}

static int transpose_decode(const cm_codec *codec, cm_codec_work *work, const void *src,
                            size_t nsrc, void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)work;
    return move(codec, false, src, nsrc, dst, capacity, nout, err);
}

static int transpose_filter(const cm_codec *codec, cm_array_form *form)
{
    const transpose *t = of(codec);
    for (int i = 0; i < t->ndim && form->ndim == t->ndim; i++)
        form->shape[i] = t->shape[t->order[i]];
    return CM_FILTER_LAYOUT;
}

static int transpose_text(const cm_codec *codec, cm_buffer *out, cm_error *err)
{
    int r = cm_buffer_append_string(out, "transpose(", err);
    for (int i = 0; i < of(codec)->ndim && !r; i++)
        r = cm_buffer_printf(out, err, i ? ",%d" : "%d", of(codec)->order[i]);
    return r ? r : cm_buffer_append_string(out, ")", err);
}

static bool transpose_equal(const cm_codec *a, const cm_codec *b, bool exactly)
{
    const transpose *x = of(a), *y = of(b);
    bool same = x->ndim == y->ndim && x->size == y->size;
    (void)exactly;
    for (int i = 0; i < x->ndim && same; i++)
        same = x->order[i] == y->order[i] && x->shape[i] == y->shape[i];
    return same;
}

const cm_codec_class cm_class_transpose = {
    .name = "transpose",
    .describe = transpose_describe,
    .bound = same_size,
    .scratch = cm_no_scratch,
    .encode = transpose_encode,
    .decode = transpose_decode,
    .encoded_size = same_size,
    .filter = transpose_filter,
    .text = transpose_text,
    .equal = transpose_equal,
};
