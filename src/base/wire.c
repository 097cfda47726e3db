/* base/wire.c: see wire.h. A varint of more than 64 bits is bad, and so is one with zeros at its
 * end: each number has one form. */
#include "base/wire.h"

#include "base/memory.h"

void cm_wire_init(cm_wire_out *w, size_t max, cm_error *err)
{
    cm_buffer_init(&w->bytes, max);
    w->status = 0;
    w->err = err;
}

void cm_wire_deinit(cm_wire_out *w)
{
    cm_buffer_deinit(&w->bytes);
}

void cm_wire_put_raw(cm_wire_out *w, const void *data, size_t nbytes)
{
    if (w->status == 0)
        w->status = cm_buffer_append(&w->bytes, data, nbytes, w->err);
}

void cm_wire_put_uint(cm_wire_out *w, uint64_t v)
{
    uint8_t bytes[10];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        bytes[n++] = (uint8_t)(v | 0x80);
    bytes[n++] = (uint8_t)v;
    cm_buffer *b = &w->bytes;
    if (w->status == 0 && b->capacity - b->nbytes >= n) {
        memcpy(b->data + b->nbytes, bytes, n);
        b->nbytes += n;
        return;
    }
    cm_wire_put_raw(w, bytes, n);
}

void cm_wire_put_int(cm_wire_out *w, int64_t v)
{
    cm_wire_put_uint(w, (uint64_t)v << 1 ^ (uint64_t)(v < 0 ? -1 : 0));
}

void cm_wire_put_bytes(cm_wire_out *w, const void *data, size_t nbytes)
{
    cm_wire_put_uint(w, nbytes);
    cm_wire_put_raw(w, data, nbytes);
}

void cm_wire_put_string(cm_wire_out *w, const char *s)
{
    cm_wire_put_bytes(w, s ? s : "", s ? strlen(s) : 0);
}

uint64_t cm_wire_long(cm_wire_in *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; r->at < r->end && shift < 70; shift += 7) {
        uint8_t byte = *r->at++;
        if (shift == 63 && byte > 1)
            break;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return byte || shift == 0 ? v : cm_wire_fail(r);
    }
    return cm_wire_fail(r);
}

const void *cm_wire_bytes(cm_wire_in *r, size_t *nbytes)
{
    uint64_t n = cm_wire_uint(r);
    const void *p = cm_wire_raw(r, n);
    *nbytes = p ? (size_t)n : 0;
    return p ? p : "";
}

char *cm_wire_string(cm_wire_in *r, cm_error *err)
{
    size_t n;
    const char *s = cm_wire_bytes(r, &n);
    if (!r->bad && n && memchr(s, 0, n))
        cm_wire_fail(r);
    return r->bad ? NULL : cm_strndup(s, n, err);
}
