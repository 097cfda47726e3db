/* codec/chain.c: chains as objects: making, counting references, sizes.
 *
 * Every size that the engine needs beforehand comes from here: the decoded chunk, the most and the
 * exact number of encoded bytes, the middle buffers and what the libraries take. They saturate at
 * SIZE_MAX instead of overflowing, so an absurd chunk fails at the budget, by name.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "codec/codec_private.h"

static size_t plus(size_t a, size_t b)
{
    size_t sum;
    return cm_add_size(a, b, &sum) ? sum : SIZE_MAX;
}

/* ---- making ---------------------------------------------------------------------------------- */

int cm_chain_alloc(cm_dtype dtype, int ndim, const int64_t *shape, cm_chain **out, cm_error *err)
{
    if (ndim < 0 || ndim > CM_MAX_DIMS)
        return cm_error_set(err, CM_EUNSUP, "%d dimensions, more than %d", ndim, CM_MAX_DIMS);
    size_t nbytes = dtype.size ? dtype.size : 1;
    for (int i = 0; i < ndim; i++) {
        if (shape[i] < 1)
            return cm_error_set(err, CM_EDATA, "chunk length %" PRId64 " along axis %d", shape[i],
                                i);
        if (!cm_mul_size(nbytes, (size_t)shape[i], &nbytes) || nbytes > PTRDIFF_MAX)
            return cm_error_set(err, CM_ELIMIT, "a chunk is larger than memory can be");
    }
    cm_chain *c = cm_calloc(1, sizeof *c, err);
    if (!c)
        return CM_ENOMEM;
    c->refcount = 1;
    c->dtype = dtype;
    cm_record_ref(dtype.record);
    c->ndim = ndim;
    for (int i = 0; i < ndim; i++) {
        c->shape[i] = shape[i];
        c->order[i] = i;
    }
    c->a2b = CM_A2B_BYTES;
    c->endian_given = cm_dtype_word(dtype) > 1;
    c->stored_size = dtype.size;
    *out = c;
    return 0;
}

int cm_chain_new(cm_dtype dtype, int ndim, const int64_t *shape, cm_chain **out, cm_error *err)
{
    if (dtype.kind == CM_NONE || dtype.size == 0)
        return cm_error_set(err, CM_EINVAL, "bytes cannot hold this type: cells of no fixed size");
    int r = cm_chain_alloc(dtype, ndim, shape, out, err);
    if (r == 0 && cm_kind_is_vlen(dtype.kind)) {
        (*out)->a2b = CM_A2B_VLEN;
        (*out)->stored_size = 0;
        (*out)->endian_given = false;
    }
    return r;
}

int cm_chain_append(cm_chain *chain, cm_codec *stage, cm_error *err)
{
    if (chain->nstages == CM_MAX_STAGES) {
        cm_codec_free(stage);
        return cm_error_set(err, CM_EUNSUP, "more than %d codecs in a chain", CM_MAX_STAGES);
    }
    chain->stages[chain->nstages++] = stage;
    return 0;
}

cm_chain *cm_chain_ref(cm_chain *chain)
{
    if (chain)
        __atomic_add_fetch(&chain->refcount, 1, __ATOMIC_RELAXED);
    return chain;
}

void cm_chain_unref(cm_chain *chain)
{
    if (!chain || __atomic_sub_fetch(&chain->refcount, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (int i = 0; i < chain->nstages && !chain->lender; i++)
        cm_codec_free(chain->stages[i]);
    cm_chain_unref(chain->lender);
    free(chain->note);
    cm_record_unref(chain->dtype.record);
    cm_chain_unref(chain->inner);
    cm_chain_unref(chain->index);
    free(chain);
}

int cm_chain_with_lead(cm_chain *chain, cm_chain **out, cm_error *err)
{
    int64_t shape[CM_MAX_DIMS + 1] = {1};
    if (chain->a2b != CM_A2B_BYTES && chain->a2b != CM_A2B_VLEN)
        return cm_error_set(err, CM_EUNSUP, "shards and cells of a format's own get no more axes");
    memcpy(shape + 1, chain->shape, (size_t)chain->ndim * sizeof *shape);
    int r = cm_chain_alloc(chain->dtype, chain->ndim + 1, shape, out, err);
    if (r)
        return r;
    cm_chain *c = *out;
    c->transposed = chain->transposed;
    for (int i = 0; i < chain->ndim; i++)
        c->order[i + 1] = chain->order[i] + 1;
    c->a2b = chain->a2b;
    c->big_endian = chain->big_endian;
    c->endian_given = chain->endian_given;
    c->stored_size = chain->stored_size;
    c->nstages = chain->nstages;
    memcpy(c->stages, chain->stages, sizeof c->stages);
    c->lender = cm_chain_ref(chain);
    return 0;
}

int cm_chain_filters(const cm_chain *chain, int *flags)
{
    int n = 0;
    cm_array_form form = {.dtype = chain->dtype, .ndim = -1};
    *flags = 0;
    for (int i = 0; i < chain->nstages; i++) {
        const cm_codec *s = chain->stages[i];
        if (!s->cls->filter)
            continue;
        if (i != n)
            return -1;
        *flags |= s->cls->filter(s, &form) & ~(CM_FILTER_LAYOUT | CM_FILTER_BYTES);
        n++;
    }
    return n;
}

/* Where cells lie, and text around bytes that Zarr v3 has no reader for. */
static bool left_out(const cm_codec *s, cm_dialect dialect)
{
    cm_array_form form = {.dtype = cm_dtype_of(CM_UINT8, 0), .ndim = -1};
    return (s->cls->filter && (s->cls->filter(s, &form) & CM_FILTER_LAYOUT)) ||
           (dialect == CM_ZARR3 && s->cls == &cm_class_base64);
}

static int copy_stage(const cm_codec *s, cm_chain *to, cm_dialect dialect, cm_array_form *form,
                      cm_json_doc *doc, cm_error *err)
{
    if (!s->cls->describe) {
        cm_error_set(err, CM_EUNSUP, "the codec %s can be read, but not be written", s->cls->name);
        cm_error_hint(err, "choose another --codec");
        return CM_EUNSUP;
    }
    cm_json *j = s->cls->describe(s, doc, CM_ZARR3);
    cm_codec *copy;
    if (!j)
        return cm_error_set(err, CM_ENOMEM, "out of memory");
    const cm_array_form cells = {.dtype = to->dtype, .ndim = -1};
    int r =
        cm_codec_parse(s->cls, cm_json_get(j, "configuration"), s->cls->filter ? dialect : CM_ZARR3,
                       s->cls->filter ? form : &cells, &copy, err);
    if (r)
        return r;
    if (s->cls->filter)
        s->cls->filter(copy, form);
    return cm_chain_append(to, copy, err);
}

int cm_chain_copy_stages(const cm_chain *from, cm_chain *to, cm_dialect dialect, cm_error *err)
{
    cm_array_form form = {.dtype = to->dtype, .ndim = to->ndim};
    memcpy(form.shape, to->shape, sizeof form.shape);
    cm_json_doc *doc;
    int r = cm_json_doc_new(0, &doc, err);
    for (int i = 0; i < from->nstages && !r; i++)
        if (!left_out(from->stages[i], dialect))
            r = copy_stage(from->stages[i], to, dialect, &form, doc, err);
    cm_json_doc_free(doc);
    return r;
}

/* ---- sizes ----------------------------------------------------------------------------------- */

bool cm_chain_reorders(const cm_chain *chain)
{
    bool native_big = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
    return chain->transposed ||
           (cm_dtype_word(chain->dtype) > 1 && chain->big_endian != native_big);
}

bool cm_chain_size_known(const cm_chain *chain)
{
    return chain->a2b == CM_A2B_BYTES || chain->a2b == CM_A2B_CUSTOM;
}

size_t cm_chain_stored_nbytes(const cm_chain *chain)
{
    size_t n = chain->stored_size;
    for (int i = 0; i < chain->ndim; i++)
        if (!cm_mul_size(n, (size_t)chain->shape[i], &n))
            return SIZE_MAX;
    return n;
}

static size_t stage_bound(const cm_codec *stage, size_t n)
{
    /* No bound function adds more than n + 1 MiB. */
    return n > PTRDIFF_MAX - ((size_t)1 << 20) ? SIZE_MAX : stage->cls->bound(stage, n);
}

size_t cm_chain_bound(const cm_chain *chain, size_t stored_nbytes)
{
    size_t n = stored_nbytes;
    for (int i = 0; i < chain->nstages; i++)
        n = stage_bound(chain->stages[i], n);
    return n;
}

size_t cm_chain_fixed_nbytes(const cm_chain *chain)
{
    if (!cm_chain_size_known(chain))
        return 0;
    size_t n = cm_chain_stored_nbytes(chain);
    for (int i = 0; i < chain->nstages; i++) {
        const cm_codec *s = chain->stages[i];
        if (!s->cls->encoded_size || n > PTRDIFF_MAX)
            return 0;
        n = s->cls->encoded_size(s, n);
    }
    return n;
}

static size_t scratch(const cm_chain *chain, size_t stored_nbytes, bool encoding)
{
    size_t n = stored_nbytes, total = cm_chain_middle_nbytes(chain, stored_nbytes);
    for (int i = 0; i < chain->nstages; i++) {
        const cm_codec *s = chain->stages[i];
        total = plus(total, s->cls->scratch(s, n, encoding));
        n = stage_bound(s, n);
    }
    return total;
}

size_t cm_chain_decode_scratch(const cm_chain *chain, size_t stored_nbytes)
{
    return scratch(chain, stored_nbytes, false);
}

size_t cm_chain_encode_scratch(const cm_chain *chain, size_t stored_nbytes)
{
    return scratch(chain, stored_nbytes, true);
}
