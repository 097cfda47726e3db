/* format/hdf5/h5_btree2.c: version 2 B-trees, read from the first record to the last.
 *
 * Nodes do not say how wide their child pointers are: the number of records of a child is stored in
 * as many bytes as the most records that a node of its level can hold need, and the same goes for
 * the total below it. So the limits of all levels are computed first, exactly as the library does
 * (HDF5 File Format Specification III.A.2): an estimate is wrong from depth 3 on.
 *
 * Depth decreases by one with every step down, and the nodes visited may not add up to more bytes
 * than the file has; with checksums on every node that bounds the work for any input.
 */
#include <inttypes.h>

#include "format/hdf5/h5_heap.h"

#define MAX_DEPTH 16
#define OVERHEAD 10 /* signature, version, type, checksum */

typedef struct tree {
    cm_h5_reader *r;
    int type;
    uint32_t node_nbytes, record_nbytes;
    unsigned count_width;                /* of a child's own record count */
    unsigned total_width[MAX_DEPTH + 1]; /* of the total below a child at level i; 0 at leaves */
    uint64_t max_records[MAX_DEPTH + 1];
    uint64_t nodes_left;
    cm_h5_record_fn fn;
    void *user;
} tree;

/* Bytes that numbers up to n need. */
static unsigned width_of(uint64_t n)
{
    unsigned w = 1;
    while (w < 8 && n >> 8 * w)
        w++;
    return w;
}

static int limits(tree *t, unsigned depth, cm_error *err)
{
    if (t->record_nbytes == 0 || t->node_nbytes < OVERHEAD + t->record_nbytes)
        return cm_error_set(err, CM_EDATA, "B-tree nodes of %u bytes hold no record of %u bytes",
                            t->node_nbytes, t->record_nbytes);
    t->max_records[0] = (t->node_nbytes - OVERHEAD) / t->record_nbytes;
    t->count_width = width_of(t->max_records[0]);
    uint64_t total = t->max_records[0];
    for (unsigned i = 1; i <= depth; i++) {
        uint64_t pointer = t->r->file->nbytes_off + t->count_width + t->total_width[i - 1];
        if (t->node_nbytes < OVERHEAD + 2 * pointer + t->record_nbytes)
            return cm_error_set(err, CM_EDATA, "B-tree nodes of %u bytes are too small",
                                t->node_nbytes);
        t->max_records[i] = (t->node_nbytes - OVERHEAD - pointer) / (t->record_nbytes + pointer);
        uint64_t below;
        if (!cm_mul_u64(t->max_records[i] + 1, total, &below) ||
            !cm_add_u64(below, t->max_records[i], &total))
            total = UINT64_MAX;
        t->total_width[i] = width_of(total);
    }
    return 0;
}

static int node_bytes(tree *t, uint64_t addr, unsigned level, uint64_t nrecords, cm_h5_cursor *c,
                      cm_error *err)
{
    const uint8_t *p;
    if (nrecords > t->max_records[level])
        return cm_error_set(err, CM_EDATA, "B-tree node at %" PRIu64 " has too many records", addr);
    if (t->nodes_left-- == 0)
        return cm_error_set(err, CM_EDATA, "B-tree has more nodes than fit into the file");
    /* The checksum follows what is used of the node. */
    uint64_t used = OVERHEAD + nrecords * t->record_nbytes;
    if (level > 0)
        used +=
            (nrecords + 1) * (t->r->file->nbytes_off + t->count_width + t->total_width[level - 1]);
    int rc = cm_h5_get(t->r, addr, used, "B-tree node", &p, err);
    if (rc)
        return rc;
    if (memcmp(p, level ? "BTIN" : "BTLF", 4) != 0 || p[4] != 0 || p[5] != t->type)
        return cm_error_set(err, CM_EDATA, "no B-tree node of level %u at %" PRIu64, level, addr);
    if (!cm_h5_checksum_ok(p, used))
        return cm_error_set(err, CM_EDATA, "checksum of the B-tree node at %" PRIu64 " is wrong",
                            addr);
    *c = cm_h5_cursor_of(p + 6, used - OVERHEAD);
    return 0;
}

/* In order: child 0, record 0, child 1, record 1, ..., the last child. */
static int visit(tree *t, uint64_t addr, unsigned level, uint64_t nrecords, cm_error *err)
{
    cm_h5_cursor c = {0};
    int rc = node_bytes(t, addr, level, nrecords, &c, err);
    if (rc)
        return rc;
    cm_h5_cursor children = cm_h5_cursor_of(c.p + nrecords * t->record_nbytes,
                                            cm_h5_left(&c) - nrecords * t->record_nbytes);
    for (uint64_t i = 0; rc == 0 && i <= nrecords; i++) {
        if (level > 0) {
            uint64_t child = cm_h5_address(&children, t->r->file);
            uint64_t n = cm_h5_uint(&children, t->count_width);
            cm_h5_take(&children, t->total_width[level - 1]);
            rc = visit(t, child, level - 1, n, err);
        }
        if (rc == 0 && i < nrecords)
            rc = t->fn(t->user, cm_h5_take(&c, t->record_nbytes), t->record_nbytes, err);
    }
    return rc;
}

int cm_h5_btree2_each(cm_h5_reader *r, uint64_t addr, int type, cm_h5_record_fn fn, void *user,
                      cm_error *err)
{
    const cm_h5_file *f = r->file;
    const uint8_t *p;
    size_t nbytes = 22u + f->nbytes_off + f->nbytes_len;
    int rc = cm_h5_get(r, addr, nbytes, "B-tree header", &p, err);
    if (rc)
        return rc;
    cm_h5_cursor c = cm_h5_cursor_of(p, nbytes);
    if (!cm_h5_signature(&c, "BTHD") || cm_h5_u8(&c) != 0 || cm_h5_u8(&c) != type)
        return cm_error_set(err, CM_EDATA, "no B-tree of record type %d at %" PRIu64, type, addr);
    if (!cm_h5_checksum_ok(p, nbytes))
        return cm_error_set(err, CM_EDATA, "checksum of the B-tree header at %" PRIu64 " is wrong",
                            addr);
    tree t = {.r = r, .type = type, .fn = fn, .user = user};
    t.node_nbytes = cm_h5_u32(&c);
    t.record_nbytes = cm_h5_u16(&c);
    unsigned depth = cm_h5_u16(&c);
    cm_h5_take(&c, 2); /* split and merge percentages */
    uint64_t root = cm_h5_address(&c, f);
    uint64_t nrecords = cm_h5_u16(&c);
    if (root == CM_H5_UNDEF)
        return 0;
    if (depth > MAX_DEPTH)
        return cm_error_set(err, CM_EDATA, "B-tree at %" PRIu64 " is %u levels deep", addr, depth);
    rc = limits(&t, depth, err);
    if (rc)
        return rc;
    t.nodes_left = f->size / t.node_nbytes + 1;
    return visit(&t, root, depth, nrecords, err);
}
