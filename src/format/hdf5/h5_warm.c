/* format/hdf5/h5_warm.c: fetching the metadata of many objects in few rounds.
 *
 * A dataset's metadata is a chain: its header names a continuation, that names an attribute heap
 * and a B-tree, those name their root blocks. Followed object by object, each link is one more wait
 * for the store: about 60 for an ordinary netCDF-4 file, which is nothing on a local disk and
 * seconds on an object store. Here the chains of all objects of a group are followed together: what
 * is known is fetched in one call, looked at just far enough to know what comes next, and so on;
 * four or five rounds in all, whatever the number of objects.
 *
 * This is only a guess about what will be read. Nothing is checked and nothing fails for what the
 * bytes say: the parsers read the same bytes again, from the reader's cache, and judge them.
 */
#include <stdlib.h>

#include "base/memory.h"
#include "format/hdf5/h5_heap.h"

#define MAX_ITEMS 4096 /* of one round */
#define MAX_ROUNDS 6
#define MAX_SPAN 65536        /* bytes fetched ahead for one item */
#define MAX_ROUND (16u << 20) /* bytes of one round */
#define HEADER_SPAN 1024

enum kind { HEADER, CONTINUATION_V1, CONTINUATION_V2, HEAP, TREE, PLAIN };

typedef struct item {
    enum kind kind;
    bool ordered; /* continuation of a header that tracks the attributes' order */
    uint64_t addr, span;
} item;

typedef struct round {
    item items[MAX_ITEMS];
    size_t n;
    uint64_t nbytes;
} round;

static void want(round *next, enum kind kind, bool ordered, uint64_t addr, uint64_t span)
{
    if (span > MAX_SPAN)
        span = MAX_SPAN;
    if (addr == CM_H5_UNDEF || span == 0 || next->n == MAX_ITEMS || next->nbytes > MAX_ROUND)
        return;
    next->items[next->n++] = (item){kind, ordered, addr, span};
    next->nbytes += span;
}

static void follow_message(const cm_h5_file *f, int version, bool ordered, unsigned type,
                           const uint8_t *p, size_t n, round *next)
{
    cm_h5_cursor c = cm_h5_cursor_of(p, n);
    if (type == CM_H5_CONTINUATION) {
        uint64_t addr = cm_h5_address(&c, f);
        want(next, version == 1 ? CONTINUATION_V1 : CONTINUATION_V2, ordered, addr,
             cm_h5_length(&c, f));
    } else if (type == CM_H5_ATTRIBUTE_INFO || type == CM_H5_LINK_INFO) {
        cm_h5_u8(&c);
        if (cm_h5_u8(&c) & 1)
            cm_h5_take(&c, type == CM_H5_LINK_INFO ? 8 : 2);
        uint64_t heap = cm_h5_address(&c, f), tree = cm_h5_address(&c, f);
        if (!c.bad) {
            want(next, HEAP, false, heap, 26u + 12u * f->nbytes_len + 3u * f->nbytes_off);
            want(next, TREE, false, tree, 22u + f->nbytes_len + f->nbytes_off);
        }
    }
}

static void follow_messages(const cm_h5_file *f, int version, bool ordered, cm_h5_cursor c,
                            round *next)
{
    while (cm_h5_left(&c) >= 8) {
        unsigned type = version == 1 ? cm_h5_u16(&c) : cm_h5_u8(&c);
        size_t n = cm_h5_u16(&c);
        cm_h5_take(&c, version == 1 ? 4 : ordered ? 3 : 1);
        const uint8_t *p = cm_h5_take(&c, n);
        if (!p)
            return;
        follow_message(f, version, ordered, type, p, n, next);
    }
}

static void follow_header(const cm_h5_file *f, const uint8_t *p, size_t n, round *next)
{
    cm_h5_cursor c = cm_h5_cursor_of(p, n);
    if (n >= 16 && p[0] == 1) {
        uint32_t size = cm_load_le32(p + 8);
        cm_h5_take(&c, 16);
        c.end = c.p + (size < cm_h5_left(&c) ? size : cm_h5_left(&c));
        follow_messages(f, 1, false, c, next);
    } else if (cm_h5_signature(&c, "OHDR")) {
        cm_h5_u8(&c);
        uint8_t flags = cm_h5_u8(&c);
        cm_h5_take(&c, (flags & 0x20 ? 16 : 0) + (flags & 0x10 ? 4 : 0));
        uint64_t size = cm_h5_uint(&c, (size_t)1 << (flags & 3));
        c.end = c.p + (size < cm_h5_left(&c) ? size : cm_h5_left(&c));
        follow_messages(f, 2, flags & 4, c, next);
    }
}

static void follow(cm_h5_reader *r, const item *x, const uint8_t *p, size_t n, round *next)
{
    const cm_h5_file *f = r->file;
    cm_h5_cursor c = cm_h5_cursor_of(p, n);
    if (x->kind == HEADER) {
        follow_header(f, p, n, next);
    } else if (x->kind == CONTINUATION_V1) {
        follow_messages(f, 1, false, c, next);
    } else if (x->kind == CONTINUATION_V2) {
        cm_h5_take(&c, 4);
        follow_messages(f, 2, x->ordered, c, next);
    } else if (x->kind == HEAP) {
        cm_h5_take(&c, 14 + 12u * f->nbytes_len - 2u * f->nbytes_len + 2u * f->nbytes_off + 2);
        uint64_t start = cm_h5_length(&c, f);
        cm_h5_take(&c, f->nbytes_len + 4u);
        want(next, PLAIN, false, cm_h5_address(&c, f), start);
    } else if (x->kind == TREE) {
        cm_h5_take(&c, 6);
        uint32_t node = cm_h5_u32(&c);
        cm_h5_take(&c, 6);
        want(next, PLAIN, false, cm_h5_address(&c, f), node);
    }
}

int cm_h5_warm(cm_h5_reader *r, const uint64_t *headers, size_t n, cm_error *err)
{
    round *rounds = n < 2 ? NULL : cm_realloc(NULL, 2, sizeof *rounds, err);
    uint64_t *addrs = rounds ? cm_realloc(NULL, MAX_ITEMS, 2 * sizeof *addrs, err) : NULL;
    int rc = n < 2 || addrs ? 0 : CM_ENOMEM;
    if (n < 2 || rc)
        goto out;
    round *now = &rounds[0], *next = &rounds[1];
    now->n = now->nbytes = 0; /* the items, 200 KB, are not zeroed */
    for (size_t i = 0; i < n; i++)
        want(now, HEADER, false, headers[i], HEADER_SPAN);
    for (int k = 0; rc == 0 && k < MAX_ROUNDS && now->n; k++) {
        for (size_t i = 0; i < now->n; i++) {
            addrs[2 * i] = now->items[i].addr;
            addrs[2 * i + 1] = now->items[i].span;
        }
        rc = cm_h5_prefetch(r, addrs, now->n, err);
        next->n = 0;
        next->nbytes = 0;
        for (size_t i = 0; rc == 0 && i < now->n; i++) {
            const item *x = &now->items[i];
            const uint8_t *p;
            size_t have;
            if (x->kind != PLAIN &&
                cm_h5_get_upto(r, x->addr, 1, x->span, "object", &p, &have, NULL) == 0)
                follow(r, x, p, have, next);
        }
        round *swap = now;
        now = next;
        next = swap;
    }
out:
    free(addrs);
    free(rounds);
    return rc;
}
