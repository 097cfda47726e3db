/* format/hdf5/h5_header.c: object headers.
 *
 * An object header is a list of typed messages in one or more pieces ("chunks") of the file.
 * Version 1 has 16 bytes of prefix and messages aligned to 8 bytes; version 2 ("OHDR", "OCHK")
 * packs them and ends every piece with a checksum, which is verified. A continuation message names
 * the next piece. A piece that begins where an earlier one did is a loop and refused, and so are
 * headers of more than 65536 messages or 1024 pieces (libhdf5 writes a handful).
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/memory.h"
#include "format/hdf5/h5_heap.h"

#define MAX_PIECES 1024
#define MAX_MESSAGES 65536

typedef struct piece {
    uint64_t addr, nbytes;
} piece;

/* What is still to be read of one header. */
typedef struct work {
    piece pieces[MAX_PIECES];
    int n;
    unsigned stated, found; /* messages, version 1 */
} work;

static int add_piece(work *w, uint64_t addr, uint64_t nbytes, cm_error *err)
{
    for (int i = 0; i < w->n; i++)
        if (w->pieces[i].addr == addr)
            return cm_error_set(err, CM_EDATA, "object header continues in a loop");
    if (w->n == MAX_PIECES)
        return cm_error_set(err, CM_ELIMIT, "object header has more than %d pieces", MAX_PIECES);
    w->pieces[w->n++] = (piece){addr, nbytes};
    return 0;
}

static int add_message(cm_h5_reader *r, work *w, cm_h5_header *h, const cm_h5_message *m,
                       cm_error *err)
{
    if (m->type == CM_H5_CONTINUATION) {
        cm_h5_cursor c = cm_h5_cursor_of(m->data, m->nbytes);
        uint64_t addr = cm_h5_address(&c, r->file), nbytes = cm_h5_length(&c, r->file);
        if (c.bad || addr == CM_H5_UNDEF)
            return cm_error_set(err, CM_EDATA, "object header's continuation is malformed");
        return add_piece(w, addr, nbytes, err);
    }
    if (m->type == 0)
        return 0;
    if (m->type >= CM_H5_LAST_KNOWN && m->flags & 0x80)
        return cm_error_set(err, CM_EUNSUP,
                            "object header has message 0x%x, which readers must understand",
                            m->type);
    if (h->n == MAX_MESSAGES)
        return cm_error_set(err, CM_ELIMIT, "object header has more than %d messages",
                            MAX_MESSAGES);
    if (cm_grow(&h->messages, &h->capacity, h->n + 1, sizeof *m, err))
        return CM_ENOMEM;
    h->messages[h->n++] = *m;
    return 0;
}

/* Version 1: type 2, size 2, flags 1, reserved 3, then the bytes. */
static int parse_v1(cm_h5_reader *r, work *w, cm_h5_header *h, cm_h5_cursor c, uint64_t addr,
                    cm_error *err)
{
    const uint8_t *start = c.p;
    int rc = 0;
    while (rc == 0 && cm_h5_left(&c) >= 8) {
        cm_h5_message m = {.type = cm_h5_u16(&c)};
        m.nbytes = cm_h5_u16(&c);
        m.flags = cm_h5_u8(&c);
        cm_h5_take(&c, 3);
        m.data = cm_h5_take(&c, m.nbytes);
        m.at = m.data ? addr + (uint64_t)(m.data - start) : 0;
        w->found++;
        rc = m.data
                 ? add_message(r, w, h, &m, err)
                 : cm_error_set(err, CM_EDATA, "object header's message 0x%x is cut off", m.type);
    }
    return rc;
}

/* Version 2: type 1, size 2, flags 1, creation order 2 if tracked; the rest may be a gap. */
static int parse_v2(cm_h5_reader *r, work *w, cm_h5_header *h, cm_h5_cursor c, uint64_t addr,
                    cm_error *err)
{
    const uint8_t *start = c.p;
    size_t prefix = h->flags & 0x04 ? 6 : 4;
    int rc = 0;
    while (rc == 0 && cm_h5_left(&c) >= prefix) {
        cm_h5_message m = {.type = cm_h5_u8(&c)};
        m.nbytes = cm_h5_u16(&c);
        m.flags = cm_h5_u8(&c);
        if (prefix == 6)
            m.order = cm_h5_u16(&c);
        m.data = cm_h5_take(&c, m.nbytes);
        m.at = m.data ? addr + (uint64_t)(m.data - start) : 0;
        rc = m.data
                 ? add_message(r, w, h, &m, err)
                 : cm_error_set(err, CM_EDATA, "object header's message 0x%x is cut off", m.type);
    }
    return rc;
}

static int first_v1(cm_h5_reader *r, uint64_t addr, work *w, cm_h5_header *h, const uint8_t *p,
                    cm_error *err)
{
    uint32_t nbytes = cm_load_le32(p + 8);
    h->version = 1;
    w->stated = cm_load_le16(p + 2);
    w->pieces[0].addr = addr + 16;
    int rc = cm_h5_get(r, addr + 16, nbytes, "object header", &p, err);
    if (rc == 0)
        rc = parse_v1(r, w, h, cm_h5_cursor_of(p, nbytes), addr + 16, err);
    return rc;
}

static int first_v2(cm_h5_reader *r, uint64_t addr, work *w, cm_h5_header *h, const uint8_t *p,
                    size_t nbytes, cm_error *err)
{
    cm_h5_cursor c = cm_h5_cursor_of(p + 4, nbytes - 4);
    h->version = cm_h5_u8(&c);
    if (h->version != 2)
        return cm_error_set(err, CM_EUNSUP, "object header version %u is not known", h->version);
    h->flags = cm_h5_u8(&c);
    if (h->flags & 0x20)
        cm_h5_take(&c, 16); /* times */
    if (h->flags & 0x10)
        cm_h5_take(&c, 4); /* limits of compact attribute storage */
    uint64_t size = cm_h5_uint(&c, (size_t)1 << (h->flags & 3));
    if (c.bad)
        return cm_error_set(err, CM_EDATA, "object header is cut off");
    size_t prefix = (size_t)(c.p - p);
    if (size > UINT32_MAX)
        return cm_error_set(err, CM_EDATA, "object header says that it has %" PRIu64 " bytes",
                            size);
    int rc = cm_h5_get(r, addr, prefix + size + 4, "object header", &p, err);
    if (rc)
        return rc;
    if (!cm_h5_checksum_ok(p, prefix + size + 4))
        return cm_error_set(err, CM_EDATA, "checksum of the object header at %" PRIu64 " is wrong",
                            addr);
    return parse_v2(r, w, h, cm_h5_cursor_of(p + prefix, size), addr + prefix, err);
}

static int continuation(cm_h5_reader *r, work *w, cm_h5_header *h, piece at, cm_error *err)
{
    const uint8_t *p;
    if (at.nbytes > UINT32_MAX)
        return cm_error_set(err, CM_EDATA, "object header's continuation is too large");
    int rc = cm_h5_get(r, at.addr, at.nbytes, "object header continuation", &p, err);
    if (rc)
        return rc;
    if (h->version == 1)
        return parse_v1(r, w, h, cm_h5_cursor_of(p, at.nbytes), at.addr, err);
    if (at.nbytes < 8 || memcmp(p, "OCHK", 4) != 0)
        return cm_error_set(err, CM_EDATA, "no object header continuation at %" PRIu64, at.addr);
    if (!cm_h5_checksum_ok(p, at.nbytes))
        return cm_error_set(err, CM_EDATA,
                            "checksum of the object header continuation at %" PRIu64 " is wrong",
                            at.addr);
    return parse_v2(r, w, h, cm_h5_cursor_of(p + 4, at.nbytes - 8), at.addr + 4, err);
}

int cm_h5_header_read(cm_h5_reader *r, uint64_t addr, cm_h5_header *h, cm_error *err)
{
    work w;
    w.pieces[0].addr = addr; /* the header itself is no continuation of it */
    w.n = 1;
    w.stated = w.found = 0;
    h->n = 0;
    h->addr = addr;
    h->flags = 0;
    const uint8_t *p;
    size_t nbytes;
    int rc = cm_h5_get_upto(r, addr, 12, 512, "object header", &p, &nbytes, err);
    if (rc)
        return rc;
    if (memcmp(p, "OHDR", 4) == 0)
        rc = first_v2(r, addr, &w, h, p, nbytes, err);
    else if (p[0] == 1)
        rc = first_v1(r, addr, &w, h, p, err);
    else
        rc = cm_error_set(err, CM_EDATA, "no object header at %" PRIu64, addr);
    for (int i = 1; rc == 0 && i < w.n; i++)
        rc = continuation(r, &w, h, w.pieces[i], err);
    if (rc == 0 && w.found < w.stated)
        rc = cm_error_set(err, CM_EDATA,
                          "object header at %" PRIu64 " says that it has %u messages, there are %u "
                          "(damaged?)",
                          addr, w.stated, w.found);
    return rc;
}

void cm_h5_header_deinit(cm_h5_header *h)
{
    free(h->messages);
    *h = (cm_h5_header){0};
}

const cm_h5_message *cm_h5_header_find(const cm_h5_header *h, int type)
{
    for (size_t i = 0; i < h->n; i++)
        if (h->messages[i].type == type)
            return &h->messages[i];
    return NULL;
}

int cm_h5_shared_message(cm_h5_reader *r, int type, const uint8_t *id, size_t nid,
                         const uint8_t **data, size_t *nbytes, cm_error *err)
{
    const cm_h5_file *f = r->file;
    for (int i = 0; i < f->nshared && type < 16; i++) {
        if (!(f->shared[i].types >> type & 1) || nid < 8)
            continue;
        cm_h5_fractal heap = {0};
        int rc = cm_h5_fractal_open(r, f->shared[i].heap, &heap, err);
        if (rc == 0)
            rc = cm_h5_fractal_get(r, &heap, id, 8, data, nbytes, err);
        cm_h5_fractal_close(&heap);
        return rc;
    }
    return cm_error_set(err, CM_EDATA, "shared message 0x%x, but the file has no heap of such",
                        type);
}

/* Where a shared message is: version 1 has a leftover name offset before the address; version 3
 * tells the heap of shared messages from an object header. */
int cm_h5_message_bytes(cm_h5_reader *r, int type, unsigned flags, const uint8_t *data,
                        size_t nbytes, cm_h5_cursor *out, cm_error *err)
{
    *out = cm_h5_cursor_of(data, nbytes);
    if (!(flags & CM_H5_SHARED))
        return 0;
    cm_h5_cursor c = *out;
    uint8_t version = cm_h5_u8(&c), kind = cm_h5_u8(&c);
    if (version == 1) {
        cm_h5_take(&c, 6);
        cm_h5_length(&c, r->file);
    }
    if (version == 3 && kind == 1) {
        const uint8_t *p = NULL;
        size_t n = 0;
        int rc = cm_h5_shared_message(r, type, c.p, cm_h5_left(&c), &p, &n, err);
        *out = cm_h5_cursor_of(p, rc ? 0 : n);
        return rc;
    }
    uint64_t addr = cm_h5_address(&c, r->file);
    if (c.bad || version < 1 || version > 3 || (version == 3 && kind != 2))
        return cm_error_set(err, CM_EDATA, "shared message is malformed");
    cm_h5_header h = {0};
    int rc = cm_h5_header_read(r, addr, &h, err);
    const cm_h5_message *m = rc ? NULL : cm_h5_header_find(&h, type);
    if (rc == 0 && (!m || m->flags & CM_H5_SHARED))
        rc = cm_error_set(err, CM_EDATA, "shared message 0x%x is not at %" PRIu64, type, addr);
    if (rc == 0)
        *out = cm_h5_cursor_of(m->data, m->nbytes);
    cm_h5_header_deinit(&h);
    return rc;
}
