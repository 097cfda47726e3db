/* tests/zip_writer.h: zip archives for tests, with everything about them that may be odd or wrong.
 */
#ifndef CM_TESTS_ZIP_WRITER_H
#define CM_TESTS_ZIP_WRITER_H

#include <libdeflate.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"

typedef struct zip_entry {
    const char *name;
    const void *data;
    size_t nbytes;
    int method;            /* 0 or 8 are written as such; others only say so */
    bool descriptor, wide; /* sizes behind the data; zip64 fields in both headers */
    unsigned flags;        /* more bits */
    size_t extra;        /* bytes of an unknown extra field in the local header, 0 or at least 4 */
    const char *unicode; /* an Info-ZIP Unicode path field with this name */
    /* what the local header says instead */
    const char *local_name;
    int local_method;                                            /* with local_method_differs */
    int64_t local_size, local_crc, central_offset, central_size; /* 0: the truth */
    bool local_method_differs;
} zip_entry;

typedef struct zip_options {
    const char *comment;
    bool wide;                   /* a zip64 end record */
    int64_t count, offset, disk; /* added to the truth in the end record */
    const char *before, *behind; /* bytes around the archive */
    bool only_wide;              /* the plain end record says 0xffff.. */
} zip_options;

static void zip_le(cm_buffer *b, uint64_t v, size_t n)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(v >> (8 * i));
    cm_buffer_append(b, bytes, n, NULL);
}

static void zip_extras(cm_buffer *b, const zip_entry *e, uint64_t nbytes, uint64_t stored,
                       uint64_t offset, bool local)
{
    if (e->wide) {
        zip_le(b, 1, 2);
        zip_le(b, local ? 16 : 24, 2);
        zip_le(b, nbytes, 8);
        zip_le(b, stored, 8);
        if (!local)
            zip_le(b, offset, 8);
    }
    if (e->unicode && !local) {
        zip_le(b, 0x7075, 2);
        zip_le(b, 5 + strlen(e->unicode), 2);
        zip_le(b, 1, 1);
        zip_le(b, libdeflate_crc32(0, e->name, strlen(e->name)), 4);
        cm_buffer_append(b, e->unicode, strlen(e->unicode), NULL);
    }
    if (e->extra && local) {
        zip_le(b, 0xcafe, 2);
        zip_le(b, e->extra - 4, 2);
        for (size_t i = 4; i < e->extra; i++)
            zip_le(b, i & 255, 1);
    }
}

static void zip_build(cm_buffer *out, const zip_entry *entries, size_t n, const zip_options *o)
{
    cm_buffer central, extra;
    cm_buffer_init(&central, 1 << 30);
    cm_buffer_init(&extra, 1 << 20);
    if (o->before)
        cm_buffer_append_string(out, o->before, NULL);
    for (size_t i = 0; i < n; i++) {
        const zip_entry *e = &entries[i];
        const char *name = e->local_name ? e->local_name : e->name;
        const void *data = e->data;
        size_t stored = e->nbytes, offset = out->nbytes;
        uint8_t *packed = NULL;
        uint32_t crc = libdeflate_crc32(0, e->data, e->nbytes);
        unsigned flags = e->flags | (e->descriptor ? 8u : 0);
        if (e->method == 8) {
            struct libdeflate_compressor *c = libdeflate_alloc_compressor(6);
            packed = malloc(libdeflate_deflate_compress_bound(c, e->nbytes));
            stored = libdeflate_deflate_compress(c, e->data, e->nbytes, packed,
                                                 libdeflate_deflate_compress_bound(c, e->nbytes));
            libdeflate_free_compressor(c);
            data = packed;
        }
        uint64_t local = e->local_size ? (uint64_t)e->local_size : stored;
        uint64_t said = e->central_size ? (uint64_t)e->central_size : stored;
        uint64_t where = e->central_offset ? (uint64_t)e->central_offset : offset;
        uint64_t whole = e->method == 0 ? said : e->nbytes;
        extra.nbytes = 0;
        zip_extras(&extra, e, e->nbytes, local, offset, true);
        zip_le(out, 0x04034b50, 4);
        zip_le(out, 20, 2);
        zip_le(out, flags, 2);
        zip_le(out, (uint64_t)(e->local_method_differs ? e->local_method : e->method), 2);
        zip_le(out, 0, 4);
        zip_le(out, e->descriptor ? 0 : e->local_crc ? (uint64_t)e->local_crc : crc, 4);
        zip_le(out, e->descriptor ? 0 : e->wide ? 0xffffffff : local, 4);
        zip_le(out, e->descriptor ? 0 : e->wide ? 0xffffffff : e->nbytes, 4);
        zip_le(out, strlen(name), 2);
        zip_le(out, extra.nbytes, 2);
        cm_buffer_append_string(out, name, NULL);
        cm_buffer_append(out, extra.data, extra.nbytes, NULL);
        cm_buffer_append(out, data, stored, NULL);
        if (e->descriptor) {
            zip_le(out, 0x08074b50, 4);
            zip_le(out, crc, 4);
            zip_le(out, stored, e->wide ? 8 : 4);
            zip_le(out, e->nbytes, e->wide ? 8 : 4);
        }
        free(packed);

        extra.nbytes = 0;
        zip_extras(&extra, e, whole, said, where, false);
        zip_le(&central, 0x02014b50, 4);
        zip_le(&central, 3 << 8 | 45, 2);
        zip_le(&central, 20, 2);
        zip_le(&central, flags, 2);
        zip_le(&central, (uint64_t)e->method, 2);
        zip_le(&central, 0, 4);
        zip_le(&central, crc, 4);
        zip_le(&central, e->wide ? 0xffffffff : said, 4);
        zip_le(&central, e->wide ? 0xffffffff : whole, 4);
        zip_le(&central, strlen(e->name), 2);
        zip_le(&central, extra.nbytes, 2);
        zip_le(&central, i % 3 ? 0 : 4, 2); /* a comment */
        zip_le(&central, 0, 2);
        zip_le(&central, 0, 2);
        zip_le(&central, 0, 4);
        zip_le(&central, e->wide ? 0xffffffff : where, 4);
        cm_buffer_append_string(&central, e->name, NULL);
        cm_buffer_append(&central, extra.data, extra.nbytes, NULL);
        if (i % 3 == 0)
            cm_buffer_append_string(&central, "note", NULL);
    }
    uint64_t begin = out->nbytes + (uint64_t)o->offset, count = n + (uint64_t)o->count;
    cm_buffer_append(out, central.data, central.nbytes, NULL);
    if (o->wide) {
        uint64_t at = out->nbytes;
        zip_le(out, 0x06064b50, 4);
        zip_le(out, 44, 8);
        zip_le(out, 45, 2);
        zip_le(out, 45, 2);
        zip_le(out, (uint64_t)o->disk, 4);
        zip_le(out, 0, 4);
        zip_le(out, count, 8);
        zip_le(out, count, 8);
        zip_le(out, central.nbytes, 8);
        zip_le(out, begin, 8);
        zip_le(out, 0x07064b50, 4);
        zip_le(out, 0, 4);
        zip_le(out, at, 8);
        zip_le(out, 1, 4);
    }
    zip_le(out, 0x06054b50, 4);
    zip_le(out, (uint64_t)o->disk, 2);
    zip_le(out, 0, 2);
    zip_le(out, o->only_wide ? 0xffff : count, 2);
    zip_le(out, o->only_wide ? 0xffff : count, 2);
    zip_le(out, o->only_wide ? 0xffffffff : central.nbytes, 4);
    zip_le(out, o->only_wide ? 0xffffffff : begin, 4);
    zip_le(out, o->comment ? strlen(o->comment) : 0, 2);
    if (o->comment)
        cm_buffer_append_string(out, o->comment, NULL);
    if (o->behind)
        cm_buffer_append_string(out, o->behind, NULL);
    cm_buffer_deinit(&central);
    cm_buffer_deinit(&extra);
}

#endif
