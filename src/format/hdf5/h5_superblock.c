/* format/hdf5/h5_superblock.c: where the file begins and how wide its numbers are.
 *
 * The superblock is at 0, 512, 1024, 2048, ...: what lies before it is the user block, and every
 * address counts from the superblock's place. The base address that it states is not used: when a
 * user block was put before a finished file it is out of date, and libhdf5 takes the place too.
 *
 * A file that is shorter than the superblock's end-of-file address was cut off. It is refused here,
 * since chunks that the index places inside what is left would read without an error.
 */
#include <inttypes.h>

#include "format/hdf5/h5_message.h"

static const uint8_t signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};

static bool width_ok(unsigned n)
{
    return n == 2 || n == 4 || n == 8;
}

static int find(cm_h5_reader *r, const uint8_t **p, size_t *nbytes, cm_error *err)
{
    cm_h5_file *f = r->file;
    f->base = 0;
    for (uint64_t at = 0; at <= f->size && f->size - at >= 8; at = at ? at * 2 : 512) {
        int rc = cm_h5_get_upto(r, at, 8, 128, "superblock", p, nbytes, err);
        if (rc)
            return rc;
        if (memcmp(*p, signature, 8) == 0) {
            f->base = at;
            return 0;
        }
    }
    return cm_error_set(err, CM_EDATA, "not an HDF5 file (no superblock)");
}

/* The end-of-file address counts from where the base was when it was written. */
static uint64_t end_in_file(const cm_h5_file *f, uint64_t base, uint64_t end)
{
    return base == CM_H5_UNDEF || end == CM_H5_UNDEF || end < base ? end : end - base + f->base;
}

/* Versions 0 and 1: the root group is a symbol table entry. */
static uint64_t parse_old(cm_h5_cursor *c, cm_h5_file *f, uint64_t *end, cm_error *err)
{
    cm_h5_take(c, 4); /* versions of free space, root group; reserved; of shared headers */
    f->nbytes_off = cm_h5_u8(c);
    f->nbytes_len = cm_h5_u8(c);
    cm_h5_take(c, 1); /* reserved */
    f->leaf_k = cm_h5_u16(c);
    cm_h5_take(c, 2 + 4); /* K of groups' B-trees, flags */
    if (f->superblock == 1) {
        f->chunk_k = cm_h5_u16(c);
        cm_h5_take(c, 2);
    }
    if (c->bad || !width_ok(f->nbytes_off) || !width_ok(f->nbytes_len)) {
        cm_error_set(err, CM_EDATA, "superblock has %u-byte offsets and %u-byte lengths",
                     f->nbytes_off, f->nbytes_len);
        return CM_H5_UNDEF;
    }
    uint64_t base = cm_h5_address(c, f);
    cm_h5_address(c, f); /* free space */
    *end = end_in_file(f, base, cm_h5_address(c, f));
    cm_h5_address(c, f); /* driver information */
    cm_h5_length(c, f);  /* link name offset of the root's entry */
    return cm_h5_address(c, f);
}

/* Versions 2 and 3: checksummed, with an extension that is an object header. */
static uint64_t parse_new(cm_h5_cursor *c, const uint8_t *start, cm_h5_file *f, uint64_t *end,
                          uint64_t *extension, cm_error *err)
{
    f->nbytes_off = cm_h5_u8(c);
    f->nbytes_len = cm_h5_u8(c);
    uint8_t flags = cm_h5_u8(c);
    if (c->bad || !width_ok(f->nbytes_off) || !width_ok(f->nbytes_len)) {
        cm_error_set(err, CM_EDATA, "superblock has %u-byte offsets and %u-byte lengths",
                     f->nbytes_off, f->nbytes_len);
        return CM_H5_UNDEF;
    }
    uint64_t base = cm_h5_address(c, f);
    *extension = cm_h5_address(c, f);
    *end = end_in_file(f, base, cm_h5_address(c, f));
    if (f->superblock == 3 && flags & 4) /* a single writer is at work: the end is not final */
        *end = 0;
    uint64_t root = cm_h5_address(c, f);
    if (cm_h5_take(c, 4) && !cm_h5_checksum_ok(start, (size_t)(c->p - start))) {
        cm_error_set(err, CM_EDATA, "superblock's checksum is wrong");
        return CM_H5_UNDEF;
    }
    return root;
}

/* The table of heaps for messages that object headers share. Each: version 1, index type 1, message
 * types 2, least size 4, list and tree cutoffs 2 each, messages 2, index, heap. */
static int read_shared(cm_h5_reader *r, const cm_h5_message *m, cm_error *err)
{
    cm_h5_file *f = r->file;
    cm_h5_cursor c = cm_h5_cursor_of(m->data, m->nbytes);
    uint8_t version = cm_h5_u8(&c);
    uint64_t addr = cm_h5_address(&c, f);
    unsigned n = cm_h5_u8(&c);
    if (c.bad || version != 0 || n > CM_H5_MAX_SHARED)
        return cm_error_set(err, CM_EDATA, "shared message table message is malformed");
    const uint8_t *p;
    size_t nbytes = 4 + n * (14u + 2u * f->nbytes_off) + 4;
    int rc = cm_h5_get(r, addr, nbytes, "shared message table", &p, err);
    if (rc)
        return rc;
    if (!cm_h5_checksum_ok(p, nbytes))
        return cm_error_set(err, CM_EDATA, "checksum of the shared message table is wrong");
    c = cm_h5_cursor_of(p, nbytes);
    bool good = cm_h5_signature(&c, "SMTB");
    for (unsigned i = 0; good && i < n; i++) {
        good = cm_h5_u8(&c) == 0;
        cm_h5_u8(&c);
        f->shared[i].types = cm_h5_u16(&c);
        cm_h5_take(&c, 4 + 2 + 2 + 2);
        cm_h5_address(&c, f);
        f->shared[i].heap = cm_h5_address(&c, f);
    }
    if (!good || c.bad)
        return cm_error_set(err, CM_EDATA, "no shared message table at %" PRIu64, addr);
    f->nshared = (int)n;
    return 0;
}

/* What of the extension matters: the widths of nodes, and where shared messages are. */
static int read_extension(cm_h5_reader *r, uint64_t addr, cm_error *err)
{
    cm_h5_header h = {0};
    int rc = cm_h5_header_read(r, addr, &h, err);
    const cm_h5_message *m = rc ? NULL : cm_h5_header_find(&h, CM_H5_BTREE_K);
    if (m && m->nbytes >= 3)
        r->file->chunk_k = cm_load_le16(m->data + 1);
    if (m && m->nbytes >= 7)
        r->file->leaf_k = cm_load_le16(m->data + 5);
    m = rc ? NULL : cm_h5_header_find(&h, CM_H5_SHARED_TABLE);
    if (m)
        rc = read_shared(r, m, err);
    cm_h5_header_deinit(&h);
    return rc ? cm_error_prefix(err, "superblock extension") : 0;
}

int cm_h5_superblock_read(cm_h5_reader *r, cm_h5_file *f, cm_error *err)
{
    const uint8_t *p;
    size_t nbytes;
    int rc = find(r, &p, &nbytes, err);
    if (rc)
        return rc;
    cm_h5_cursor c = cm_h5_cursor_of(p + 8, nbytes - 8);
    f->superblock = cm_h5_u8(&c);
    f->chunk_k = 32;
    f->leaf_k = 4;
    if (f->superblock > 3)
        return cm_error_set(err, CM_EUNSUP, "HDF5 superblock version %u is not known",
                            f->superblock);
    uint64_t end = 0, extension = CM_H5_UNDEF;
    cm_error local = {0};
    f->root = f->superblock < 2 ? parse_old(&c, f, &end, &local)
                                : parse_new(&c, p, f, &end, &extension, &local);
    if (local.code) {
        if (err)
            *err = local;
        return local.code;
    }
    if (c.bad)
        return cm_error_set(err, CM_EDATA, "superblock is cut off");
    if (end != CM_H5_UNDEF && end > f->size)
        return cm_error_set(err, CM_EDATA,
                            "file is truncated: it has %" PRIu64
                            " bytes, its superblock says %" PRIu64,
                            f->size, end);
    if (f->chunk_k == 0)
        return cm_error_set(err, CM_EDATA, "superblock says that B-tree nodes have no room");
    return extension == CM_H5_UNDEF ? 0 : read_extension(r, extension, err);
}
