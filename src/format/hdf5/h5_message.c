/* format/hdf5/h5_message.c: dataspace, fill value, layout, filters, links, attributes.
 *
 * One parser per message type, each over a sticky cursor: take everything, then look once whether
 * it was all there. Counts are checked against what the message can hold before anything is
 * allocated.
 */
#include <inttypes.h>
#include <stdio.h>

#include "format/hdf5/h5_message.h"

static int cut_off(cm_error *err, const char *what)
{
    return cm_error_set(err, CM_EDATA, "%s message is malformed", what);
}

static int unknown_version(cm_error *err, const char *what, unsigned version)
{
    return cm_error_set(err, CM_EUNSUP, "%s message version %u is not known", what, version);
}

int cm_h5_space_parse(const cm_h5_file *f, cm_h5_cursor *c, cm_h5_space *out, cm_error *err)
{
    out->ndim = 0; /* lengths beyond ndim stay as they are: there are many spaces */
    out->null = false;
    uint8_t version = cm_h5_u8(c), ndim = cm_h5_u8(c), flags = cm_h5_u8(c);
    if (version == 1)
        cm_h5_take(c, 5);
    else if (version == 2)
        out->null = cm_h5_u8(c) == 2;
    else
        return c->bad ? cut_off(err, "dataspace") : unknown_version(err, "dataspace", version);
    if (ndim > CM_MAX_DIMS)
        return cm_error_set(err, CM_EDATA, "dataspace has %u dimensions", ndim);
    out->ndim = ndim;
    for (int i = 0; i < ndim; i++)
        out->max[i] = out->dims[i] = cm_h5_length(c, f);
    uint64_t unlimited = f->nbytes_len == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * f->nbytes_len) - 1;
    for (int i = 0; flags & 1 && i < ndim; i++) {
        uint64_t max = cm_h5_length(c, f);
        out->max[i] = max == unlimited ? UINT64_MAX : max;
    }
    if (c->bad)
        return cut_off(err, "dataspace");
    for (int i = 0; i < ndim; i++)
        if (out->dims[i] > INT64_MAX)
            return cm_error_set(err, CM_EDATA, "dimension %d is %" PRIu64 " long", i, out->dims[i]);
    return 0;
}

bool cm_h5_space_nelem(const cm_h5_space *s, int64_t *nelem)
{
    *nelem = s->null ? 0 : 1;
    for (int i = 0; i < s->ndim; i++)
        if (s->dims[i] == 0)
            *nelem = 0;
    for (int i = 0; *nelem && i < s->ndim; i++)
        if (!cm_mul_i64(*nelem, (int64_t)s->dims[i], nelem))
            return false;
    return true;
}

int cm_h5_fill_parse(int type, cm_h5_cursor c, cm_h5_fill *out, cm_error *err)
{
    *out = (cm_h5_fill){0};
    bool has_value = true;
    if (type == CM_H5_FILL) {
        uint8_t version = cm_h5_u8(&c);
        if (version == 1 || version == 2) {
            cm_h5_take(&c, 2); /* when to allocate, when to write */
            has_value = cm_h5_u8(&c) != 0;
            out->undefined = !has_value;
        } else if (version == 3) {
            uint8_t flags = cm_h5_u8(&c);
            out->undefined = flags & 0x10;
            has_value = flags & 0x20;
        } else {
            return c.bad ? cut_off(err, "fill value") : unknown_version(err, "fill value", version);
        }
    }
    if (has_value) {
        out->nbytes = cm_h5_u32(&c);
        out->data = cm_h5_take(&c, out->nbytes);
        out->user = out->nbytes > 0;
    }
    return c.bad ? cut_off(err, "fill value") : 0;
}

/* Versions 1 and 2 list dimensions for every class; only a chunk's mean something. */
static void layout_old(const cm_h5_file *f, cm_h5_cursor *c, cm_h5_layout *out)
{
    unsigned ndims = cm_h5_u8(c);
    out->cls = cm_h5_u8(c);
    cm_h5_take(c, 5);
    if (out->cls != CM_H5_COMPACT)
        out->addr = cm_h5_address(c, f);
    if (out->cls == CM_H5_CHUNKED) {
        out->ndim = (int)ndims - 1;
        for (int i = 0; i < out->ndim; i++) {
            uint64_t n = cm_h5_u32(c);
            if (i < CM_MAX_DIMS)
                out->chunk[i] = n;
        }
        out->element = cm_h5_u32(c);
    } else {
        cm_h5_take(c, 4 * (uint64_t)ndims);
    }
    if (out->cls == CM_H5_COMPACT) {
        out->nbytes = cm_h5_u32(c);
        out->data = cm_h5_take(c, out->nbytes);
    }
}

static void layout_chunked_v4(const cm_h5_file *f, cm_h5_cursor *c, cm_h5_layout *out)
{
    uint8_t flags = cm_h5_u8(c);
    out->edges_unfiltered = flags & 1;
    out->single_filtered = flags & 2;
    out->ndim = (int)cm_h5_u8(c) - 1;
    unsigned width = cm_h5_u8(c);
    if (width < 1 || width > 8)
        c->bad = true;
    for (int i = 0; !c->bad && i < out->ndim; i++) {
        uint64_t n = cm_h5_uint(c, width);
        if (i < CM_MAX_DIMS)
            out->chunk[i] = n;
    }
    out->element = c->bad ? 0 : (uint32_t)cm_h5_uint(c, width);
    out->index = cm_h5_u8(c);
    switch (out->index) {
    case CM_H5_INDEX_SINGLE:
        if (out->single_filtered) {
            out->single_nbytes = cm_h5_length(c, f);
            out->single_mask = cm_h5_u32(c);
        }
        break;
    case CM_H5_INDEX_IMPLICIT: break;
    case CM_H5_INDEX_FIXED: out->page_bits = cm_h5_u8(c); break;
    case CM_H5_INDEX_EXTENSIBLE: cm_h5_take(c, 5); break;
    case CM_H5_INDEX_BTREE2: cm_h5_take(c, 6); break;
    default: c->bad = true;
    }
    out->addr = cm_h5_address(c, f);
}

static void layout_new(const cm_h5_file *f, cm_h5_cursor *c, cm_h5_layout *out)
{
    out->cls = cm_h5_u8(c);
    if (out->cls == CM_H5_COMPACT) {
        out->nbytes = cm_h5_u16(c);
        out->data = cm_h5_take(c, out->nbytes);
    } else if (out->cls == CM_H5_CONTIGUOUS) {
        out->addr = cm_h5_address(c, f);
        out->nbytes = cm_h5_length(c, f);
    } else if (out->cls == CM_H5_VIRTUAL) {
        out->addr = cm_h5_address(c, f);
        out->heap_index = cm_h5_u32(c);
    } else if (out->cls == CM_H5_CHUNKED && out->version >= 4) {
        layout_chunked_v4(f, c, out);
    } else if (out->cls == CM_H5_CHUNKED) {
        out->ndim = (int)cm_h5_u8(c) - 1;
        out->addr = cm_h5_address(c, f);
        for (int i = 0; i < out->ndim; i++) {
            uint64_t n = cm_h5_u32(c);
            if (i < CM_MAX_DIMS)
                out->chunk[i] = n;
        }
        out->element = cm_h5_u32(c);
    }
}

int cm_h5_layout_parse(const cm_h5_file *f, const cm_h5_message *m, cm_h5_layout *out,
                       cm_error *err)
{
    *out = (cm_h5_layout){.addr = CM_H5_UNDEF, .nbytes = CM_H5_UNDEF};
    cm_h5_cursor c = cm_h5_cursor_of(m->data, m->nbytes);
    out->version = cm_h5_u8(&c);
    if (out->version < 1 || out->version > 5)
        return c.bad ? cut_off(err, "layout") : unknown_version(err, "layout", out->version);
    if (out->version < 3)
        layout_old(f, &c, out);
    else
        layout_new(f, &c, out);
    if (c.bad)
        return cut_off(err, "layout");
    if (out->cls > CM_H5_VIRTUAL || (out->cls == CM_H5_VIRTUAL && out->version < 4))
        return cm_error_set(err, CM_EUNSUP, "layout class %u is not known", out->cls);
    if (out->cls == CM_H5_CHUNKED && (out->ndim < 1 || out->ndim > CM_MAX_DIMS))
        return cm_error_set(err, CM_EDATA, "chunks have %d dimensions", out->ndim);
    for (int i = 0; out->cls == CM_H5_CHUNKED && i < out->ndim; i++)
        if (out->chunk[i] == 0 || out->chunk[i] > INT64_MAX)
            return cm_error_set(err, CM_EDATA, "chunk is %" PRIu64 " long along axis %d",
                                out->chunk[i], i);
    if (out->data && !(m->flags & CM_H5_SHARED) && m->at)
        out->data_at = f->base + m->at + (uint64_t)(out->data - m->data);
    return 0;
}

static void copy_printable(char *dst, size_t size, const uint8_t *src, size_t n)
{
    size_t k = 0;
    for (size_t i = 0; src && i < n && src[i] && k + 1 < size; i++)
        dst[k++] = src[i] >= 0x20 && src[i] < 0x7f ? (char)src[i] : '?';
    dst[k] = 0;
}

int cm_h5_filters_parse(cm_h5_cursor c, cm_h5_filter *filters, int *n, cm_error *err)
{
    *n = 0;
    uint8_t version = cm_h5_u8(&c), count = cm_h5_u8(&c);
    if (version != 1 && version != 2)
        return c.bad ? cut_off(err, "filter") : unknown_version(err, "filter", version);
    if (version == 1)
        cm_h5_take(&c, 6);
    if (count > CM_H5_MAX_FILTERS)
        return cm_error_set(err, CM_EDATA, "%u filters, at most 32 can be", count);
    for (int i = 0; i < count; i++) {
        cm_h5_filter *t = &filters[i];
        *t = (cm_h5_filter){.id = cm_h5_u16(&c)};
        size_t name = version == 1 || t->id >= 256 ? cm_h5_u16(&c) : 0;
        t->flags = cm_h5_u16(&c);
        t->nvalues = cm_h5_u16(&c);
        const uint8_t *text = cm_h5_take(&c, version == 1 ? (name + 7) & ~(size_t)7 : name);
        copy_printable(t->name, sizeof t->name, text, name);
        t->raw = cm_h5_take(&c, 4 * (uint64_t)t->nvalues);
        for (int k = 0; t->raw && k < t->nvalues && k < 8; k++)
            t->values[k] = cm_load_le32(t->raw + 4 * k);
        if (version == 1 && t->nvalues % 2)
            cm_h5_take(&c, 4);
    }
    *n = count;
    return c.bad ? cut_off(err, "filter") : 0;
}

/* The two strings of an external link: version and flags, file, path. */
static int external_target(const uint8_t *p, size_t n, cm_h5_arena *arena, cm_h5_link *out,
                           cm_error *err)
{
    const uint8_t *end = n > 1 ? memchr(p + 1, 0, n - 1) : NULL;
    const uint8_t *path = end ? end + 1 : NULL;
    const uint8_t *stop = path ? memchr(path, 0, n - (size_t)(path - p)) : NULL;
    if (!stop)
        return cut_off(err, "link");
    out->file = cm_h5_alloc_string(arena, p + 1, (size_t)(end - p - 1), err);
    out->target = cm_h5_alloc_string(arena, path, (size_t)(stop - path), err);
    return out->file && out->target ? 0 : CM_ENOMEM;
}

int cm_h5_link_parse(const cm_h5_file *f, const uint8_t *data, size_t nbytes, cm_h5_arena *arena,
                     cm_h5_link *out, cm_error *err)
{
    *out = (cm_h5_link){.addr = CM_H5_UNDEF};
    cm_h5_cursor c = cm_h5_cursor_of(data, nbytes);
    uint8_t version = cm_h5_u8(&c), flags = cm_h5_u8(&c);
    if (version != 1)
        return c.bad ? cut_off(err, "link") : unknown_version(err, "link", version);
    out->type = flags & 8 ? cm_h5_u8(&c) : 0;
    out->order = flags & 4 ? (int64_t)cm_h5_uint(&c, 8) : 0;
    if (flags & 0x10)
        cm_h5_take(&c, 1); /* character set */
    uint64_t n = cm_h5_uint(&c, (size_t)1 << (flags & 3));
    const uint8_t *name = cm_h5_take(&c, n);
    if (!name || n == 0 || memchr(name, 0, n))
        return cut_off(err, "link");
    out->name = cm_h5_alloc_string(arena, name, n, err);
    if (!out->name)
        return CM_ENOMEM;
    if (out->type == 0) {
        out->kind = CM_H5_LINK_HARD;
        out->addr = cm_h5_address(&c, f);
        return c.bad ? cut_off(err, "link") : 0;
    }
    n = cm_h5_u16(&c);
    const uint8_t *value = cm_h5_take(&c, n);
    if (!value)
        return cut_off(err, "link");
    out->kind = out->type == 1    ? CM_H5_LINK_SOFT
                : out->type == 64 ? CM_H5_LINK_EXTERNAL
                                  : CM_H5_LINK_OTHER;
    if (out->type == 64)
        return external_target(value, n, arena, out, err);
    out->target = cm_h5_alloc_string(arena, value, n, err);
    return out->target ? 0 : CM_ENOMEM;
}

/* An attribute's datatype or dataspace: n bytes of c, maybe the address of a shared one. */
static int part(cm_h5_reader *r, cm_h5_cursor *c, int version, int type, bool shared, size_t n,
                cm_h5_cursor *out, cm_error *err)
{
    const uint8_t *p = cm_h5_take(c, version == 1 ? (n + 7) & ~(size_t)7 : n);
    if (!p)
        return cut_off(err, "attribute");
    return cm_h5_message_bytes(r, type, shared ? CM_H5_SHARED : 0, p, n, out, err);
}

int cm_h5_attribute_parse(cm_h5_reader *r, const uint8_t *data, size_t nbytes, cm_h5_attribute *out,
                          cm_error *err)
{
    memset(out, 0, offsetof(cm_h5_attribute, type));
    cm_h5_cursor c = cm_h5_cursor_of(data, nbytes);
    uint8_t version = cm_h5_u8(&c), flags = cm_h5_u8(&c);
    if (version < 1 || version > 3)
        return c.bad ? cut_off(err, "attribute") : unknown_version(err, "attribute", version);
    if (version == 1)
        flags = 0; /* reserved there */
    size_t n = cm_h5_u16(&c), ntype = cm_h5_u16(&c), nspace = cm_h5_u16(&c);
    if (version == 3)
        cm_h5_take(&c, 1); /* character set of the name */
    const uint8_t *name = cm_h5_take(&c, version == 1 ? (n + 7) & ~(size_t)7 : n);
    if (!name || n == 0)
        return cut_off(err, "attribute");
    const uint8_t *nul = memchr(name, 0, n);
    out->name = (const char *)name;
    out->name_nbytes = nul ? (size_t)(nul - name) : n;
    cm_h5_cursor type, space;
    int rc = part(r, &c, version, CM_H5_DATATYPE, flags & 1, ntype, &type, err);
    if (rc == 0)
        rc = cm_h5_type_parse(&type, &out->type, err);
    if (rc == 0)
        rc = part(r, &c, version, CM_H5_DATASPACE, flags & 2, nspace, &space, err);
    if (rc == 0)
        rc = cm_h5_space_parse(r->file, &space, &out->space, err);
    if (rc)
        return rc;
    int64_t nelem;
    uint64_t want;
    if (!cm_h5_space_nelem(&out->space, &nelem) ||
        !cm_mul_u64((uint64_t)nelem, out->type.size, &want) || want > cm_h5_left(&c))
        return cut_off(err, "attribute");
    out->nbytes = (size_t)want;
    out->data = cm_h5_take(&c, want);
    return 0;
}
