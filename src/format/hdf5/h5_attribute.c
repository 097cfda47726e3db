/* format/hdf5/h5_attribute.c: all attributes of an object.
 *
 * Few attributes are messages of the object header; more than eight (by default) lie in a fractal
 * heap, each as such a message, under a version 2 B-tree by name. netCDF lists them in order of
 * creation when the object tracks it; otherwise they stay as they are stored, as libhdf5 gives
 * them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "format/hdf5/h5_heap.h"

#define MAX_ATTRIBUTES 65536

typedef struct dense {
    cm_h5_reader *r;
    cm_h5_fractal heap;
    cm_h5_attributes *out;
} dense;

static int add(cm_h5_reader *r, cm_h5_attributes *out, unsigned flags, const uint8_t *data,
               size_t nbytes, uint32_t order, cm_error *err)
{
    if (out->n == MAX_ATTRIBUTES)
        return cm_error_set(err, CM_ELIMIT, "object has more than %d attributes", MAX_ATTRIBUTES);
    cm_h5_cursor c;
    int rc = cm_h5_message_bytes(r, CM_H5_ATTRIBUTE, flags, data, nbytes, &c, err);
    if (rc)
        return rc;
    if (cm_grow(&out->items, &out->capacity, out->n + 1, sizeof *out->items, err))
        return CM_ENOMEM;
    cm_h5_attribute *a = &out->items[out->n];
    cm_error why;
    why.code = 0;
    rc = cm_h5_attribute_parse(r, c.p, cm_h5_left(&c), a, &why);
    if (rc == CM_EUNSUP && a->name) { /* stays visible, without a value */
        a->type = (cm_h5_type){.cls = UINT8_MAX};
        snprintf(a->type.why, sizeof a->type.why, "%.95s", why.message);
        a->space = (cm_h5_space){.null = true};
    } else if (rc) {
        if (err)
            *err = why;
        return rc;
    }
    a->order = (uint64_t)order << 32 | out->n;
    out->n++;
    return 0;
}

/* Record of type 8: heap id 8, message flags 1, creation order 4, hash 4. */
static int dense_attribute(void *user, const uint8_t *record, size_t n, cm_error *err)
{
    dense *d = user;
    if (n < 17)
        return cm_error_set(err, CM_EDATA, "attribute record is malformed");
    const uint8_t *data;
    size_t nbytes;
    int rc = record[8] & CM_H5_SHARED
                 ? cm_h5_shared_message(d->r, CM_H5_ATTRIBUTE, record, 8, &data, &nbytes, err)
                 : cm_h5_fractal_get(d->r, &d->heap, record, 8, &data, &nbytes, err);
    return rc ? rc : add(d->r, d->out, 0, data, nbytes, cm_load_le32(record + 9), err);
}

static int dense_attributes(cm_h5_reader *r, const cm_h5_message *m, cm_h5_attributes *out,
                            cm_error *err)
{
    cm_h5_cursor c = cm_h5_cursor_of(m->data, m->nbytes);
    uint8_t version = cm_h5_u8(&c), flags = cm_h5_u8(&c);
    if (flags & 1)
        cm_h5_take(&c, 2);
    uint64_t heap = cm_h5_address(&c, r->file), tree = cm_h5_address(&c, r->file);
    if (c.bad || version != 0)
        return cm_error_set(err, CM_EDATA, "attribute info message is malformed");
    if (heap == CM_H5_UNDEF)
        return 0;
    dense d = {.r = r, .out = out};
    int rc = cm_h5_fractal_open(r, heap, &d.heap, err);
    if (rc == 0)
        rc = cm_h5_btree2_each(r, tree, 8, dense_attribute, &d, err);
    cm_h5_fractal_close(&d.heap);
    return rc;
}

static int by_order(const void *a, const void *b)
{
    const cm_h5_attribute *x = a, *y = b;
    return x->order < y->order ? -1 : x->order > y->order;
}

int cm_h5_attributes_read(cm_h5_reader *r, const cm_h5_header *h, cm_h5_attributes *out,
                          cm_error *err)
{
    out->n = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < h->n; i++) {
        const cm_h5_message *m = &h->messages[i];
        if (m->type == CM_H5_ATTRIBUTE)
            rc = add(r, out, m->flags, m->data, m->nbytes, m->order, err);
        else if (m->type == CM_H5_ATTRIBUTE_INFO)
            rc = dense_attributes(r, m, out, err);
    }
    bool tracked = h->version == 2 && h->flags & 0x04;
    bool sorted = true;
    for (size_t i = 1; sorted && i < out->n; i++)
        sorted = out->items[i - 1].order <= out->items[i].order;
    if (rc == 0 && tracked && !sorted)
        qsort(out->items, out->n, sizeof *out->items, by_order);
    return rc;
}
