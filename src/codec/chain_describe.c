/* codec/chain_describe.c: a chain as v3 metadata, as text for people, and compared with another.
 *
 * The metadata are what zarr-python 3 itself would write, member by member and in its order, so
 * that its strict readers and metadata validators find nothing to say.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "codec/codec_private.h"

/* ---- v3 metadata ----------------------------------------------------------------------------- */

static cm_json *int_list(cm_json_doc *doc, const int64_t *values, const int *small, int n)
{
    cm_json *list = cm_json_new_array(doc);
    for (int i = 0; list && i < n; i++)
        if (cm_json_add(doc, list, cm_json_new_int64(doc, values ? values[i] : small[i])))
            return NULL;
    return list;
}

static cm_json *named(cm_json_doc *doc, const char *name, cm_json **config)
{
    cm_json *o = cm_json_new_object(doc);
    if (!o || cm_json_set_string(doc, o, "name", name))
        return NULL;
    if (config) {
        *config = cm_json_new_object(doc);
        if (cm_json_set(doc, o, "configuration", *config))
            return NULL;
    }
    return o;
}

static cm_json *describe_transpose(const cm_chain *c, cm_json_doc *doc)
{
    cm_json *config, *o = named(doc, "transpose", &config);
    if (!o || cm_json_set(doc, config, "order", int_list(doc, NULL, c->order, c->ndim)))
        return NULL;
    return o;
}

static cm_json *describe_bytes(const cm_chain *c, cm_json_doc *doc)
{
    cm_json *config, *o = named(doc, "bytes", c->endian_given ? &config : NULL);
    if (!o || (c->endian_given &&
               cm_json_set_string(doc, config, "endian", c->big_endian ? "big" : "little")))
        return NULL;
    return o;
}

static cm_json *describe_sharding(const cm_chain *c, cm_json_doc *doc)
{
    cm_json *config, *o = named(doc, "sharding_indexed", &config);
    if (!o || !c->inner || !c->index ||
        cm_json_set(doc, config, "chunk_shape", int_list(doc, c->inner->shape, NULL, c->ndim)) ||
        cm_json_set(doc, config, "codecs", cm_chain_describe_v3(c->inner, doc)) ||
        cm_json_set(doc, config, "index_codecs", cm_chain_describe_v3(c->index, doc)) ||
        cm_json_set_string(doc, config, "index_location", c->index_at_start ? "start" : "end"))
        return NULL;
    return o;
}

/* The codec that makes bytes of form, which the stages before it made; valued: of numbers. */
static cm_json *describe_a2b(const cm_chain *c, cm_json_doc *doc, const cm_array_form *form,
                             bool valued)
{
    cm_json *config, *o;
    if (c->a2b == CM_A2B_SHARDING)
        return describe_sharding(c, doc);
    if (c->a2b == CM_A2B_CUSTOM) /* another format's cells: no Zarr codec says that */
        return NULL;
    if (cm_kind_is_vlen(form->dtype.kind))
        return named(doc, form->dtype.kind == CM_STRING ? "vlen-utf8" : "vlen-bytes", &config);
    if (!valued)
        return describe_bytes(c, doc);
    bool wide = cm_dtype_word(form->dtype) > 1;
    o = named(doc, "bytes", wide ? &config : NULL);
    return !o || (wide && cm_json_set_string(doc, config, "endian", "little")) ? NULL : o;
}

cm_json *cm_chain_describe_v3(const cm_chain *chain, cm_json_doc *doc)
{
    cm_array_form form = {.dtype = chain->dtype, .ndim = chain->ndim};
    cm_json *list = cm_json_new_array(doc);
    if (!list)
        return NULL;
    if (chain->transposed && cm_json_add(doc, list, describe_transpose(chain, doc)))
        return NULL;
    for (int i = 0; i < chain->ndim; i++)
        form.shape[i] = chain->shape[chain->order[i]];
    bool bytes = false, valued = false;
    for (int i = 0; i < chain->nstages; i++) {
        const cm_codec *s = chain->stages[i];
        int flags = bytes || !s->cls->filter ? CM_FILTER_LAYOUT : s->cls->filter(s, &form);
        valued |= !(flags & CM_FILTER_LAYOUT);
        if (!bytes && !s->cls->filter) {
            if (cm_json_add(doc, list, describe_a2b(chain, doc, &form, valued)))
                return NULL;
            bytes = true;
        }
        if (cm_json_add(doc, list, s->cls->describe(s, doc, CM_ZARR3)))
            return NULL;
        bytes |= (flags & CM_FILTER_BYTES) != 0;
    }
    return bytes || !cm_json_add(doc, list, describe_a2b(chain, doc, &form, valued)) ? list : NULL;
}

/* ---- text ------------------------------------------------------------------------------------ */

static int space(cm_buffer *b, size_t start, cm_error *err)
{
    return b->nbytes > start ? cm_buffer_append_string(b, " ", err) : 0;
}

static int text_a2b(const cm_chain *c, cm_buffer *b, cm_error *err);

static int text(const cm_chain *c, cm_buffer *b, cm_error *err)
{
    size_t start = b->nbytes;
    int r = 0;
    if (c->transposed) {
        r = cm_buffer_append_string(b, "transpose(", err);
        for (int i = 0; i < c->ndim && !r; i++)
            r = cm_buffer_printf(b, err, i ? ",%d" : "%d", c->order[i]);
        if (!r)
            r = cm_buffer_append_string(b, ")", err);
    }
    bool plain = c->a2b == CM_A2B_BYTES && !(c->big_endian && cm_dtype_word(c->dtype) > 1);
    if (!r && !plain && c->a2b != CM_A2B_CUSTOM &&
        !(c->a2b == CM_A2B_VLEN && c->nstages && c->stages[0]->cls->filter)) {
        r = space(b, start, err);
        if (!r)
            r = text_a2b(c, b, err);
    }
    for (int i = 0; i < c->nstages && !r; i++) {
        r = space(b, start, err);
        if (!r)
            r = c->stages[i]->cls->text(c->stages[i], b, err);
    }
    if (!r && b->nbytes == start)
        r = cm_buffer_append_string(b, "none", err);
    return r;
}

static int text_a2b(const cm_chain *c, cm_buffer *b, cm_error *err)
{
    if (c->a2b == CM_A2B_BYTES)
        return cm_buffer_append_string(b, "big-endian", err);
    if (c->a2b == CM_A2B_VLEN)
        return cm_buffer_append_string(b,
                                       c->dtype.kind == CM_STRING   ? "vlen-utf8"
                                       : c->dtype.kind == CM_VBYTES ? "vlen-bytes"
                                                                    : "vlen-array",
                                       err);
    int r = cm_buffer_append_string(b, "shard[", err);
    for (int i = 0; i < c->ndim && !r; i++)
        r = cm_buffer_printf(b, err, i ? ",%" PRId64 : "%" PRId64, c->inner->shape[i]);
    if (!r)
        r = cm_buffer_append_string(b, "](", err);
    if (!r)
        r = text(c->inner, b, err);
    return r ? r : cm_buffer_append_string(b, ")", err);
}

char *cm_chain_text(const cm_chain *chain, cm_error *err)
{
    cm_buffer b;
    cm_buffer_init(&b, (size_t)64 << 10);
    char *s = text(chain, &b, err) ? NULL : cm_buffer_take_string(&b);
    if (!s && b.nbytes)
        cm_error_set(err, CM_ENOMEM, "out of memory for a text");
    cm_buffer_deinit(&b);
    return s;
}

/* ---- comparing ------------------------------------------------------------------------------- */

static bool same(const cm_chain *a, const cm_chain *b, bool exactly)
{
    if (a == b)
        return true;
    if (!a || !b || !cm_dtype_equal(a->dtype, b->dtype) || a->ndim != b->ndim || a->a2b != b->a2b ||
        a->stored_size != b->stored_size || a->nstages != b->nstages)
        return false;
    for (int i = 0; i < a->ndim; i++)
        if (a->shape[i] != b->shape[i] || a->order[i] != b->order[i])
            return false;
    /* Byte order of one-byte cells means nothing here; but a format may have made CM_BYTES of wider
     * characters and then goes by the flag. */
    if (a->a2b == CM_A2B_BYTES && (cm_dtype_word(a->dtype) > 1 || a->dtype.kind == CM_BYTES) &&
        a->big_endian != b->big_endian)
        return false;
    for (int i = 0; i < a->nstages; i++) {
        const cm_codec *x = a->stages[i], *y = b->stages[i];
        if (x->cls != y->cls || !x->cls->equal(x, y, exactly))
            return false;
    }
    return a->a2b != CM_A2B_SHARDING ||
           (a->index_at_start == b->index_at_start && same(a->inner, b->inner, exactly) &&
            same(a->index, b->index, exactly));
}

bool cm_chain_equal(const cm_chain *a, const cm_chain *b)
{
    return same(a, b, false);
}

bool cm_chain_identical(const cm_chain *a, const cm_chain *b)
{
    return same(a, b, true);
}
