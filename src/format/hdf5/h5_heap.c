/* format/hdf5/h5_heap.c: local heaps (names of old groups) and global heaps (variable-length data).
 *
 * A local heap is one segment of NUL-terminated names. A global heap collection is a run of
 * objects, each with an index, a size and its bytes padded to 8; since objects do not lie in the
 * order of their index, a collection is indexed once and then looked at by number. The walk only
 * moves forward, so it ends whatever the sizes say.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/memory.h"
#include "format/hdf5/h5_heap.h"

int cm_h5_local_open(cm_h5_reader *r, uint64_t addr, cm_h5_local *h, cm_error *err)
{
    const cm_h5_file *f = r->file;
    size_t nbytes = 8u + 2u * f->nbytes_len + f->nbytes_off;
    const uint8_t *p;
    int rc = cm_h5_get(r, addr, nbytes, "local heap", &p, err);
    if (rc)
        return rc;
    cm_h5_cursor c = cm_h5_cursor_of(p, nbytes);
    if (!cm_h5_signature(&c, "HEAP") || cm_h5_u8(&c) != 0)
        return cm_error_set(err, CM_EDATA, "no local heap at %" PRIu64, addr);
    cm_h5_take(&c, 3);
    h->nbytes = cm_h5_length(&c, f);
    h->free = cm_h5_length(&c, f);
    h->width = f->nbytes_len;
    uint64_t data = cm_h5_address(&c, f);
    return cm_h5_get(r, data, h->nbytes, "local heap data", &h->data, err);
}

bool cm_h5_local_is_free(const cm_h5_local *h, uint64_t offset)
{
    uint64_t at = h->free;
    for (uint64_t left = h->nbytes / (2u * h->width); left && at < h->nbytes; left--) {
        cm_h5_cursor c = cm_h5_cursor_of(h->data + at, (size_t)(h->nbytes - at));
        uint64_t next = cm_h5_uint(&c, h->width), size = cm_h5_uint(&c, h->width);
        if (c.bad)
            return false;
        if (offset >= at && offset - at < size)
            return true;
        at = next == 1 ? UINT64_MAX : next; /* 1: the end, for no block begins there */
    }
    return false;
}

const char *cm_h5_local_string(const cm_h5_local *h, uint64_t offset, cm_error *err)
{
    if (offset < h->nbytes && memchr(h->data + offset, 0, (size_t)(h->nbytes - offset)))
        return (const char *)h->data + offset;
    cm_error_set(err, CM_EDATA, "name at %" PRIu64 " is not inside its local heap", offset);
    return NULL;
}

int cm_h5_collection_nbytes(const cm_h5_file *f, const uint8_t *p, size_t have, uint64_t *nbytes,
                            cm_error *err)
{
    cm_h5_cursor c = cm_h5_cursor_of(p, have);
    if (!cm_h5_signature(&c, "GCOL") || cm_h5_u8(&c) != 1)
        return cm_error_set(err, CM_EDATA, "no global heap collection");
    cm_h5_take(&c, 3);
    *nbytes = cm_h5_length(&c, f);
    if (c.bad || *nbytes < 8u + f->nbytes_len || *nbytes > UINT32_MAX)
        return cm_error_set(err, CM_EDATA, "global heap collection of %" PRIu64 " bytes", *nbytes);
    return 0;
}

/* Take the next object of the walk; index 0 is free space and ends it. */
static bool next_object(const cm_h5_file *f, cm_h5_cursor *c, uint32_t *index, uint64_t *nbytes,
                        const uint8_t **data)
{
    size_t head = (8u + f->nbytes_len + 7) & ~(size_t)7;
    if (cm_h5_left(c) < head)
        return false;
    *index = cm_h5_u16(c);
    cm_h5_take(c, 6); /* reference count, reserved */
    *nbytes = cm_h5_length(c, f);
    cm_h5_take(c, head - 8 - f->nbytes_len);
    *data = cm_h5_take(c, *nbytes);
    if (*data) {
        size_t pad = (size_t)(-*nbytes & 7);
        cm_h5_take(c, pad < cm_h5_left(c) ? pad : cm_h5_left(c));
    }
    return *index != 0;
}

int cm_h5_collection_index(const cm_h5_file *f, const uint8_t *data, size_t nbytes,
                           cm_h5_collection *out, cm_error *err)
{
    size_t head = (8u + f->nbytes_len + 7) & ~(size_t)7;
    *out = (cm_h5_collection){.data = data, .nbytes = nbytes};
    if (head > nbytes)
        return cm_error_set(err, CM_EDATA, "global heap collection is malformed");
    uint32_t index, max = 0;
    uint64_t n;
    const uint8_t *p;
    cm_h5_cursor c = cm_h5_cursor_of(data + head, nbytes - head);
    while (next_object(f, &c, &index, &n, &p))
        if (p && index > max)
            max = index;
    out->n = max + 1;
    out->at = cm_calloc(out->n, 2 * sizeof *out->at, err);
    if (!out->at)
        return CM_ENOMEM;
    c = cm_h5_cursor_of(data + head, nbytes - head);
    while (next_object(f, &c, &index, &n, &p)) {
        if (!p)
            break;
        out->at[2 * index] = (uint32_t)(p - data);
        out->at[2 * index + 1] = (uint32_t)n;
    }
    return 0;
}

int cm_h5_collection_object(const cm_h5_collection *c, uint32_t index, const uint8_t **data,
                            size_t *nbytes, cm_error *err)
{
    if (index == 0 || index >= c->n || c->at[2 * (size_t)index] == 0)
        return cm_error_set(err, CM_EDATA, "global heap collection has no object %u", index);
    *data = c->data + c->at[2 * (size_t)index];
    *nbytes = c->at[2 * (size_t)index + 1];
    return 0;
}
