/* format/hdf5/h5_btree1.c: version 1 B-trees of chunks: all that netCDF-C and h5py's defaults
 * write.
 *
 *   node: "TREE" 1 level used left right | key 0 | child 0 | key 1 | child 1 | ... | key used
 *   key:  stored bytes 4, filter mask 4, first cell of the chunk along every axis 8 each, and 0
 *
 * The tree is read level by level, many nodes per store call, since siblings are known together:
 * three levels of an object store's file cost three round trips, not ten thousand. All nodes have
 * the same size (2K children, K from the superblock). Levels decrease by one, and the nodes may not
 * add up to more bytes than the file has, so no loop goes on.
 *
 * Nodes have no checksum, and a chunk that is not listed reads as fill. So what is redundant is
 * compared: chunks are in order; the right neighbour that a node names is the next one of its
 * level, and none the last one's; and where a node's entries end, so do its bytes: the key after
 * them is the next node's first one, or what follows it is no child. (A key that is another is
 * legal: removing a chunk leaves it. libhdf5 writes zeros behind the last key; before 1.8 what was
 * there remained.)
 *
 * libhdf5 1.10 lists the chunks of such a tree in quadratic time (65,536 chunks: 46 s); this walk
 * is linear.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/memory.h"
#include "format/hdf5/h5_chunk_index.h"

#define BATCH_NODES 128
#define BATCH_NBYTES (4u << 20)

typedef struct level {
    uint64_t *addrs;
    size_t n, capacity;
} level;

typedef struct walk {
    cm_h5_chunk_sink *sink;
    const cm_h5_file *f;
    size_t head, key, node_nbytes;
    uint64_t nodes_left;
    uint8_t *buffer;    /* of `batch` nodes */
    size_t batch, slot; /* nodes per store call; bytes of the buffer for each */
    int depth;          /* level of the nodes at work; -1: not known (the root) */
    level next;
    bool any; /* was there a chunk before? at this cell: */
    uint64_t last[CM_MAX_DIMS];
    /* of the node before on this level, when there is one */
    bool before;
    uint64_t addr, right;
    unsigned used;
    bool cut;     /* behind its last key is another child */
    uint8_t *end; /* cells of its last key, `key` bytes */
} walk;

/* Chunks come in the order of their cells. Version 1 nodes have no checksum: a chunk that seems to
 * be elsewhere would go unnoticed, and its place would read as fill. */
static int check_order(walk *w, const uint64_t *at, cm_error *err)
{
    int ndim = w->sink->spec->index_ndim, i = 0;
    while (w->any && i < ndim && at[i] == w->last[i])
        i++;
    if (w->any && (i == ndim || at[i] < w->last[i]))
        return cm_error_set(err, CM_EDATA, "the chunks of the B-tree are not in order (damaged?)");
    w->any = true;
    memcpy(w->last, at, (size_t)ndim * sizeof *at);
    return 0;
}

/* One leaf entry. */
static int leaf_entry(walk *w, cm_h5_cursor *key, uint64_t child, cm_error *err)
{
    const cm_h5_chunks_spec *spec = w->sink->spec;
    uint64_t nbytes = cm_h5_u32(key);
    uint32_t mask = cm_h5_u32(key);
    int64_t coord[CM_MAX_DIMS];
    uint64_t cell[CM_MAX_DIMS];
    for (int i = 0; i < spec->index_ndim; i++) {
        uint64_t chunk = (uint64_t)spec->chunk[i];
        cell[i] = cm_h5_uint(key, 8);
        if (cell[i] % chunk != 0)
            return cm_error_set(err, CM_EDATA,
                                "chunk at cell %" PRIu64 " of axis %d, where none begins", cell[i],
                                i);
        uint64_t at = cell[i] / chunk;
        coord[i] = at > INT64_MAX ? INT64_MAX : (int64_t)at;
    }
    int rc = check_order(w, cell, err);
    return rc ? rc : cm_h5_chunk_add(w->sink, coord, child, nbytes, mask, err);
}

static int more_entries(const walk *w, cm_error *err)
{
    return cm_error_set(err, CM_EDATA,
                        "B-tree node at %" PRIu64 " says that it has %u entries, but more follow "
                        "(damaged?)",
                        w->addr, w->used);
}

/* Between two nodes of a level. first: of the second one, NULL when it has no entries. */
static int check_neighbours(const walk *w, uint64_t addr, const uint8_t *first, cm_error *err)
{
    if (!w->before)
        return 0;
    if (w->right != addr)
        return cm_error_set(err, CM_EDATA,
                            "B-tree node at %" PRIu64 " is followed by the one at %" PRIu64
                            ", and not by that at %" PRIu64 " (damaged?)",
                            w->addr, addr, w->right);
    return w->cut && first && memcmp(w->end + 8, first + 8, w->key - 8) != 0 ? more_entries(w, err)
                                                                             : 0;
}

/* After the last node of a level. */
static int check_last(const walk *w, cm_error *err)
{
    if (!w->before)
        return 0;
    if (w->right != CM_H5_UNDEF)
        return cm_error_set(err, CM_EDATA,
                            "B-tree node at %" PRIu64 " is the last one of its level, but is "
                            "followed by that at %" PRIu64 " (damaged?)",
                            w->addr, w->right);
    return w->cut && cm_load_le32(w->end) != 0 ? more_entries(w, err) : 0;
}

/* Keep what the next node is compared with. c: behind the last child. */
static void remember(walk *w, uint64_t addr, const uint8_t *p, unsigned used, cm_h5_cursor c)
{
    cm_h5_cursor head = cm_h5_cursor_of(p + 8 + w->f->nbytes_off, w->f->nbytes_off);
    w->before = true;
    w->addr = addr;
    w->right = cm_h5_address(&head, w->f);
    w->used = used;
    const uint8_t *end = cm_h5_take(&c, w->key);
    uint64_t child = cm_h5_address(&c, w->f), at;
    w->cut = !c.bad && child != 0 && child != CM_H5_UNDEF && cm_add_u64(w->f->base, child, &at) &&
             at < w->f->size;
    if (end)
        memcpy(w->end, end, w->key);
    for (int i = 0; i < w->sink->spec->index_ndim; i++) /* is its key that of a chunk? */
        w->cut = w->cut && cm_load_le64(w->end + 8 + 8 * i) < (uint64_t)w->sink->spec->shape[i];
}

static int node(walk *w, uint64_t addr, const uint8_t *p, size_t nbytes, cm_error *err)
{
    if (memcmp(p, "TREE", 4) != 0 || p[4] != 1 || (w->depth >= 0 && p[5] != w->depth) || p[5] > 32)
        return cm_error_set(err, CM_EDATA, "no B-tree node of chunks at %" PRIu64, addr);
    w->depth = p[5];
    unsigned used = cm_load_le16(p + 6);
    cm_h5_cursor c = cm_h5_cursor_of(p + w->head, nbytes - w->head);
    int rc = check_neighbours(w, addr, used && cm_h5_left(&c) >= w->key ? c.p : NULL, err);
    for (unsigned i = 0; rc == 0 && i < used; i++) {
        const uint8_t *k = cm_h5_take(&c, w->key);
        uint64_t child = cm_h5_address(&c, w->f);
        if (c.bad)
            return cm_error_set(err, CM_EDATA,
                                "B-tree node at %" PRIu64 " says that it has %u entries", addr,
                                used);
        cm_h5_cursor key = cm_h5_cursor_of(k, w->key);
        if (w->depth == 0) {
            rc = leaf_entry(w, &key, child, err);
            continue;
        }
        level *l = &w->next;
        rc = cm_grow(&l->addrs, &l->capacity, l->n + 1, sizeof *l->addrs, err);
        if (rc == 0)
            l->addrs[l->n++] = child;
    }
    if (rc == 0)
        remember(w, addr, p, used, c);
    return rc;
}

/* Fetch and read up to w->batch nodes. */
static int batch(walk *w, const uint64_t *addrs, size_t n, cm_error *err)
{
    const cm_h5_file *f = w->f;
    cm_range ranges[BATCH_NODES];
    if (n == 0)
        return 0;
    if (n > w->nodes_left)
        return cm_error_set(err, CM_EDATA, "chunk B-tree has more nodes than fit into the file");
    w->nodes_left -= n;
    for (size_t i = 0; i < n; i++) {
        uint64_t at;
        if (addrs[i] == CM_H5_UNDEF || !cm_add_u64(f->base, addrs[i], &at) || at > f->size ||
            f->size - at < w->head)
            return cm_error_set(
                err, CM_EDATA, "chunk B-tree node at %" PRIu64 " is not inside the file", addrs[i]);
        size_t nbytes = f->size - at < w->node_nbytes ? (size_t)(f->size - at) : w->node_nbytes;
        ranges[i] = (cm_range){at, nbytes, w->buffer + i * w->slot};
    }
    cm_object_version version = f->version;
    int rc = 0;
    uint8_t *ahead = w->depth < 0 ? cm_h5_root_take((cm_h5_file *)(uintptr_t)f, ranges[0].offset,
                                                    ranges[0].nbytes)
                                  : NULL;
    if (ahead)
        memcpy(ranges[0].dst, ahead, ranges[0].nbytes);
    else
        rc = f->store->vt->get(f->store, f->key, ranges, (int)n, &version, err);
    free(ahead);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = node(w, addrs[i], ranges[i].dst, ranges[i].nbytes, err);
    return rc;
}

static int one_level(walk *w, const level *l, cm_error *err)
{
    int rc = 0;
    w->before = false;
    for (size_t at = 0; rc == 0 && at < l->n; at += w->batch) {
        size_t n = l->n - at < w->batch ? l->n - at : w->batch;
        rc = batch(w, l->addrs + at, n, err);
        if (rc == 0)
            rc = cm_context_check(w->f->ctx, err);
    }
    return rc ? rc : check_last(w, err);
}

static void measure(walk *w, const cm_h5_chunks_spec *spec)
{
    const cm_h5_file *f = w->f = spec->file;
    w->head = 8u + 2u * f->nbytes_off;
    w->key = 8u + 8u * ((size_t)spec->index_ndim + 1);
    w->node_nbytes = w->head + (2u * f->chunk_k + 1) * w->key + 2u * f->chunk_k * f->nbytes_off;
}

void cm_h5_index_btree1_want(const cm_h5_chunks_spec *spec)
{
    walk w;
    uint64_t at;
    measure(&w, spec);
    if (spec->addr != CM_H5_UNDEF && cm_add_u64(w.f->base, spec->addr, &at) && at <= w.f->size &&
        w.node_nbytes <= w.f->size - at)
        cm_h5_root_want(spec->file, at, w.node_nbytes);
}

int cm_h5_index_btree1(cm_h5_chunk_sink *sink, cm_error *err)
{
    const cm_h5_chunks_spec *spec = sink->spec;
    const cm_h5_file *f = spec->file;
    walk w = {.sink = sink, .depth = -1};
    measure(&w, spec);
    w.nodes_left = f->size / w.node_nbytes + 1;
    w.slot = w.node_nbytes < f->size ? w.node_nbytes : (size_t)f->size;
    w.batch = 1; /* the root */
    uint64_t root = spec->addr;
    level current = {.addrs = &root, .n = 1};
    w.buffer = cm_calloc(1, w.slot, err);
    w.end = cm_calloc(1, w.key, err);
    if (!w.buffer || !w.end) {
        free(w.buffer);
        free(w.end);
        return CM_ENOMEM;
    }
    int rc = one_level(&w, &current, err);
    current = (level){0};
    if (rc == 0 && w.depth > 0 && w.slot < BATCH_NBYTES / 2) {
        size_t n = BATCH_NBYTES / w.slot;
        w.batch = n < BATCH_NODES ? n : BATCH_NODES;
        uint8_t *bigger = cm_realloc(w.buffer, w.batch, w.slot, err);
        if (bigger)
            w.buffer = bigger;
        else
            rc = CM_ENOMEM;
    }
    while (rc == 0 && w.depth > 0) {
        free(current.addrs);
        current = w.next;
        w.next = (level){0};
        w.depth--;
        if (current.n == 0)
            rc = cm_error_set(err, CM_EDATA, "chunk B-tree node has no children");
        else
            rc = one_level(&w, &current, err);
    }
    free(current.addrs);
    free(w.next.addrs);
    free(w.buffer);
    free(w.end);
    return rc;
}
