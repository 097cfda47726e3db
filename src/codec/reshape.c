/* codec/reshape.c: "reshape" of Zarr's registry of extensions: the same cells in the same (C) order
 * with other axes. The bytes do not change, so a chain looks through it; what changes is what a
 * transpose behind it means. Copies do without.
 *
 * "shape" has for each new axis a length, a list of given axes whose product it is, or once -1.
 */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "codec/codec_private.h"

typedef struct {
    cm_codec base;
    int ndim;
    int64_t shape[CM_MAX_DIMS];
} reshape;

static const reshape *of(const cm_codec *codec)
{
    return (const reshape *)codec;
}

static int bad(cm_error *err, const char *what)
{
    return cm_error_set(err, CM_EDATA, "codec reshape: %s", what);
}

/* Products of lengths; -1 when size_t cannot count them. */
static int64_t product(const int64_t *shape, int from, int to)
{
    size_t n = 1;
    for (int i = from; i < to; i++)
        if (!cm_mul_size(n, (size_t)shape[i], &n) || n > INT64_MAX)
            return -1;
    return (int64_t)n;
}

/* An axis made of given ones: their product; they must follow one another, from *next on. */
static int64_t merged(const cm_json *dims, const cm_array_form *in, int *next, int *first)
{
    int64_t n = 1;
    size_t count = cm_json_count(dims);
    *first = *next;
    for (size_t k = 0; k < count; k++) {
        int64_t axis;
        if (!cm_json_int64(cm_json_at(dims, k), &axis) || axis < *next || axis >= in->ndim ||
            (k && axis != *next))
            return 0;
        if (k == 0)
            *first = (int)axis;
        n *= in->shape[axis]; /* a part of the chunk: checked */
        *next = (int)axis + 1;
    }
    return n;
}

static int read_shape(const cm_json *list, const cm_array_form *in, reshape *r, cm_error *err)
{
    int next = 0, open = -1, first[CM_MAX_DIMS];
    size_t n = cm_json_count(list);
    int64_t total = product(in->shape, 0, in->ndim);
    if (!cm_json_is(list, CM_JSON_ARRAY))
        return bad(err, "shape is not a list");
    if (n > CM_MAX_DIMS)
        return cm_error_set(err, CM_EUNSUP, "codec reshape: %zu dimensions, more than %d", n,
                            CM_MAX_DIMS);
    r->ndim = (int)n;
    for (int i = 0; i < r->ndim; i++) {
        const cm_json *v = cm_json_at(list, (size_t)i);
        first[i] = -1;
        if (cm_json_is(v, CM_JSON_ARRAY)) {
            r->shape[i] = merged(v, in, &next, &first[i]);
            if (cm_json_count(v) == 0)
                first[i] = -1;
        } else if (!cm_json_int64(v, &r->shape[i])) {
            r->shape[i] = 0;
        }
        if (r->shape[i] == -1 && open < 0)
            open = i;
        else if (r->shape[i] < 1)
            return bad(err, "shape is neither lengths nor lists of axes in their order");
    }
    if (open >= 0) {
        r->shape[open] = 1;
        int64_t known = product(r->shape, 0, r->ndim);
        r->shape[open] = known > 0 && total % known == 0 ? total / known : 1;
    }
    if (total < 0 || product(r->shape, 0, r->ndim) != total)
        return cm_error_set(err, CM_EDATA,
                            "codec reshape: not the %" PRId64 " cells that it is given", total);
    for (int i = 0; i < r->ndim; i++) /* what is before an axis made of axes must be before them */
        if (first[i] >= 0 && product(r->shape, 0, i) != product(in->shape, 0, first[i]))
            return bad(err, "an axis does not lie where the ones that it is made of lie");
    return 0;
}

static int reshape_parse(const cm_json *config, cm_dialect dialect, const cm_array_form *in,
                         cm_codec **out, cm_error *err)
{
    reshape s = {.ndim = 0};
    const cm_config_field field = {.key = "shape", .required = true};
    int r = cm_config_read(config, dialect, "reshape", &field, 1, err);
    if (!r && in->ndim < 0)
        r = cm_error_set(err, CM_EUNSUP, "codec reshape in Zarr v2");
    if (!r)
        r = read_shape(cm_json_get(config, "shape"), in, &s, err);
    return r ? r : cm_codec_copy(&cm_class_reshape, &s, sizeof s, out, err);
}

static cm_json *reshape_describe(const cm_codec *codec, cm_json_doc *doc, cm_dialect dialect)
{
    (void)dialect;
    cm_json *config, *o = cm_config_describe(doc, codec->cls, "reshape", CM_ZARR3, &config);
    cm_json *shape = cm_json_new_array(doc);
    for (int i = 0; i < of(codec)->ndim && shape; i++)
        if (cm_json_add(doc, shape, cm_json_new_int64(doc, of(codec)->shape[i])))
            return NULL;
    return !o || cm_json_set(doc, config, "shape", shape) ? NULL : o;
}

static size_t same_size(const cm_codec *codec, size_t n)
{
    (void)codec;
    return n;
}

static int reshape_view(const cm_codec *codec, const void *src, size_t nsrc, size_t *offset,
                        size_t *nbytes, cm_error *err)
{
    (void)codec;
    (void)src;
    (void)err;
    *offset = 0;
    *nbytes = nsrc;
    return 0;
}

static int copy(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc, void *dst,
                size_t capacity, size_t *nout, cm_error *err)
{
    (void)codec;
    (void)work;
    *nout = nsrc;
    if (nsrc > capacity)
        return cm_error_set(err, CM_ELIMIT, "reshape: %zu bytes are more than %zu", nsrc, capacity);
    if (dst != src && nsrc)
        memcpy(dst, src, nsrc);
    return 0;
}

static int reshape_filter(const cm_codec *codec, cm_array_form *form)
{
    if (form->ndim >= 0) {
        form->ndim = of(codec)->ndim;
        memcpy(form->shape, of(codec)->shape, sizeof form->shape);
    }
    return CM_FILTER_LAYOUT;
}

static int reshape_text(const cm_codec *codec, cm_buffer *out, cm_error *err)
{
    int r = cm_buffer_append_string(out, "reshape(", err);
    for (int i = 0; i < of(codec)->ndim && !r; i++)
        r = cm_buffer_printf(out, err, i ? ",%" PRId64 : "%" PRId64, of(codec)->shape[i]);
    return r ? r : cm_buffer_append_string(out, ")", err);
}

static bool reshape_equal(const cm_codec *a, const cm_codec *b, bool exactly)
{
    const reshape *x = of(a), *y = of(b);
    (void)exactly;
    return x->ndim == y->ndim && !memcmp(x->shape, y->shape, sizeof x->shape);
}

const cm_codec_class cm_class_reshape = {
    .name = "reshape",
    .parse_array = reshape_parse,
    .describe = reshape_describe,
    .bound = same_size,
    .scratch = cm_no_scratch,
    .encode = copy,
    .decode = copy,
    .view = reshape_view,
    .encoded_size = same_size,
    .filter = reshape_filter,
    .text = reshape_text,
    .equal = reshape_equal,
};
