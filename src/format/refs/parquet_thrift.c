/* format/refs/parquet_thrift.c: Thrift's compact protocol, as far as Parquet uses it.
 *
 * A struct is fields until a stop byte; a field is a byte of (step of the id << 4 | type), the id
 * in full when the step does not fit; whole numbers are zigzag varints. Reading is lenient in one
 * way only: fields that are not known are passed over, as the protocol means it.
 */
#include "format/refs/parquet.h"

enum { MAX_DEPTH = 32 };

static uint8_t byte(cm_thrift *t)
{
    if (t->bad || t->at == t->end) {
        t->bad = true;
        return 0;
    }
    return *t->at++;
}

uint64_t cm_thrift_varint(cm_thrift *t)
{
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        uint8_t b = byte(t);
        v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return t->bad ? 0 : v;
    }
    t->bad = true;
    return 0;
}

int64_t cm_thrift_int(cm_thrift *t)
{
    uint64_t v = cm_thrift_varint(t);
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

cm_string cm_thrift_binary(cm_thrift *t)
{
    uint64_t n = cm_thrift_varint(t);
    if (t->bad || n > (uint64_t)(t->end - t->at)) {
        t->bad = true;
        return (cm_string){"", 0};
    }
    cm_string s = {(const char *)t->at, (size_t)n};
    t->at += n;
    return s;
}

size_t cm_thrift_list(cm_thrift *t, int *type)
{
    uint8_t head = byte(t);
    uint64_t n = head >> 4;
    *type = head & 15;
    if (n == 15)
        n = cm_thrift_varint(t);
    if (n > (uint64_t)(t->end - t->at))
        t->bad = true;
    return t->bad ? 0 : (size_t)n;
}

int cm_thrift_field(cm_thrift *t, int *last, int *id)
{
    uint8_t head = byte(t);
    int type = head & 15;
    if (t->bad || type == CM_THRIFT_STOP)
        return CM_THRIFT_STOP;
    int64_t next = head >> 4 ? *last + (head >> 4) : cm_thrift_int(t);
    if (next < -32768 || next > 32767 || type > CM_THRIFT_STRUCT)
        t->bad = true;
    *last = *id = t->bad ? 0 : (int)next;
    return t->bad ? CM_THRIFT_STOP : type;
}

/* An element of a list or map. A field's bool is in its header, an element's takes a byte: so every
 * element takes bytes, and no count can outlast them. */
static void skip_element(cm_thrift *t, int type)
{
    if (type == CM_THRIFT_TRUE || type == CM_THRIFT_FALSE)
        byte(t);
    else
        cm_thrift_skip(t, type);
}

static void skip_list(cm_thrift *t)
{
    int type;
    size_t n = cm_thrift_list(t, &type);
    for (size_t i = 0; i < n && !t->bad; i++)
        skip_element(t, type);
}

static void skip_map(cm_thrift *t)
{
    uint64_t n = cm_thrift_varint(t);
    if (n == 0)
        return;
    uint8_t types = byte(t);
    for (uint64_t i = 0; i < n && !t->bad; i++) {
        skip_element(t, types >> 4);
        skip_element(t, types & 15);
    }
}

void cm_thrift_skip(cm_thrift *t, int type)
{
    int last = 0, id, inner;
    if (++t->depth > MAX_DEPTH)
        t->bad = true;
    if (t->bad)
        return;
    switch (type) {
    case CM_THRIFT_TRUE:
    case CM_THRIFT_FALSE: break;
    case CM_THRIFT_BYTE: byte(t); break;
    case CM_THRIFT_I16:
    case CM_THRIFT_I32:
    case CM_THRIFT_I64: cm_thrift_varint(t); break;
    case CM_THRIFT_DOUBLE:
        for (int i = 0; i < 8; i++)
            byte(t);
        break;
    case CM_THRIFT_BINARY: cm_thrift_binary(t); break;
    case CM_THRIFT_LIST:
    case CM_THRIFT_SET: skip_list(t); break;
    case CM_THRIFT_MAP: skip_map(t); break;
    case CM_THRIFT_STRUCT:
        while ((inner = cm_thrift_field(t, &last, &id)) != CM_THRIFT_STOP)
            cm_thrift_skip(t, inner);
        break;
    default: t->bad = true;
    }
    t->depth--;
}

/* ---- writing --------------------------------------------------------------------------------- */

int cm_thrift_put_varint(cm_buffer *b, uint64_t v, cm_error *err)
{
    uint8_t bytes[10];
    size_t n = 0;
    do {
        bytes[n++] = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
        v >>= 7;
    } while (v);
    return cm_buffer_append(b, bytes, n, err);
}

int cm_thrift_put_int(cm_buffer *b, int64_t v, cm_error *err)
{
    return cm_thrift_put_varint(b, (uint64_t)v << 1 ^ (uint64_t)(v >> 63), err);
}

int cm_thrift_put_field(cm_buffer *b, int *last, int id, int type, cm_error *err)
{
    uint8_t head = (uint8_t)((id - *last) << 4 | type);
    *last = id;
    return cm_buffer_append(b, &head, 1, err);
}

int cm_thrift_put_binary(cm_buffer *b, const void *data, size_t nbytes, cm_error *err)
{
    int r = cm_thrift_put_varint(b, nbytes, err);
    return r ? r : cm_buffer_append(b, data, nbytes, err);
}

int cm_thrift_put_list(cm_buffer *b, size_t n, int type, cm_error *err)
{
    uint8_t head = (uint8_t)((n < 15 ? n : 15) << 4 | (unsigned)type);
    int r = cm_buffer_append(b, &head, 1, err);
    return r || n < 15 ? r : cm_thrift_put_varint(b, n, err);
}
