/* format/hdf5/h5_fractal.c: fractal heaps, where dense links and attributes lie.
 *
 * A heap is one address space cut into blocks by a "doubling table": rows of `width` blocks; rows 0
 * and 1 have blocks of the starting size, and each row after that blocks of twice the size. Rows up
 * to the largest direct block hold data; below them an entry is an indirect block, a smaller table
 * for the addresses it covers. A managed object's id is its address in this space and its length;
 * finding it means going down one indirect block per level, and each level covers less than its
 * parent, so the walk ends. Block headers and checksums count as part of the address space.
 *
 * Objects too large for a block ("huge") have their own place in the file, in the id itself or
 * under a B-tree; tiny ones are inside the id. Heaps whose blocks pass through filters exist on
 * paper only and are refused by name.
 */
#include <inttypes.h>

#include "base/hash.h"
#include "format/hdf5/h5_heap.h"

static unsigned log2_floor(uint64_t n)
{
    unsigned k = 0;
    while (n >>= 1)
        k++;
    return k;
}

static bool power_of_two(uint64_t n)
{
    return n && !(n & (n - 1));
}

static unsigned bytes_for(uint64_t n)
{
    return log2_floor(n) / 8 + 1;
}

/* Fixed part of the header, and the sanity of the doubling table. */
static int parse_header(const cm_h5_file *f, cm_h5_cursor *c, cm_h5_fractal *h, cm_error *err)
{
    h->id_nbytes = cm_h5_u16(c);
    unsigned filters = cm_h5_u16(c);
    h->checksums = cm_h5_u8(c) & 2;
    h->max_managed = cm_h5_u32(c);
    cm_h5_length(c, f); /* next huge id */
    h->huge_tree = cm_h5_address(c, f);
    cm_h5_length(c, f);  /* free space */
    cm_h5_address(c, f); /* its manager */
    for (int i = 0; i < 8; i++)
        cm_h5_length(c, f); /* managed space, allocated, iterator, objects; huge 2, tiny 2 */
    h->width = cm_h5_u16(c);
    h->start_block = cm_h5_length(c, f);
    h->max_direct = cm_h5_length(c, f);
    h->heap_bits = cm_h5_u16(c);
    cm_h5_u16(c); /* rows that the root indirect block begins with */
    h->root = cm_h5_address(c, f);
    h->root_rows = cm_h5_u16(c);
    if (c->bad)
        return cm_error_set(err, CM_EDATA, "fractal heap is malformed");
    if (filters)
        return cm_error_set(err, CM_EUNSUP, "uses a fractal heap with filters");
    if (!power_of_two(h->width) || !power_of_two(h->start_block) || !power_of_two(h->max_direct) ||
        h->max_direct < h->start_block || h->max_direct > UINT32_MAX || h->heap_bits == 0 ||
        h->heap_bits > 64 || h->id_nbytes < 2 || h->max_managed == 0 ||
        log2_floor(h->start_block) + log2_floor(h->width) > 62)
        return cm_error_set(err, CM_EDATA, "fractal heap's table is malformed");
    h->offset_nbytes = (h->heap_bits + 7) / 8;
    unsigned direct = (log2_floor(h->max_direct) + 7) / 8, managed = bytes_for(h->max_managed);
    h->length_nbytes = direct < managed ? direct : managed;
    return 0;
}

int cm_h5_fractal_open(cm_h5_reader *r, uint64_t addr, cm_h5_fractal *h, cm_error *err)
{
    const cm_h5_file *f = r->file;
    *h = (cm_h5_fractal){.addr = addr};
    size_t nbytes = 26u + 12u * f->nbytes_len + 3u * f->nbytes_off;
    const uint8_t *p;
    int rc = cm_h5_get(r, addr, nbytes, "fractal heap", &p, err);
    if (rc)
        return rc;
    cm_h5_cursor c = cm_h5_cursor_of(p, nbytes);
    if (!cm_h5_signature(&c, "FRHP") || cm_h5_u8(&c) != 0)
        return cm_error_set(err, CM_EDATA, "no fractal heap at %" PRIu64, addr);
    rc = parse_header(f, &c, h, err);
    if (rc == 0 && !cm_h5_checksum_ok(p, nbytes))
        rc = cm_error_set(err, CM_EDATA, "checksum of the fractal heap at %" PRIu64 " is wrong",
                          addr);
    return rc;
}

void cm_h5_fractal_close(cm_h5_fractal *h)
{
    cm_h5_map_deinit(&h->verified);
}

/* Size of the blocks of a row. */
static uint64_t row_block(const cm_h5_fractal *h, unsigned row)
{
    return row < 2 ? h->start_block : h->start_block << (row - 1);
}

/* Row and column of an offset inside a table that begins at 0. */
static void locate(const cm_h5_fractal *h, uint64_t offset, unsigned *row, uint64_t *column,
                   uint64_t *start)
{
    uint64_t first = h->start_block * h->width;
    *row = offset < first ? 0 : log2_floor(offset) - log2_floor(first) + 1;
    uint64_t row_start = *row == 0 ? 0 : first << (*row - 1);
    *column = (offset - row_start) / row_block(h, *row);
    *start = row_start + *column * row_block(h, *row);
}

/* The checksum covers the block with its own field as zeros. */
static int verify_direct(cm_h5_reader *r, cm_h5_fractal *h, uint64_t addr, const uint8_t *p,
                         uint64_t nbytes, size_t field, cm_error *err)
{
    uint8_t *copy = cm_h5_alloc(&r->arena, nbytes, err);
    if (!copy)
        return CM_ENOMEM;
    memcpy(copy, p, nbytes);
    memset(copy + field, 0, 4);
#ifndef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
    if (cm_lookup3(copy, nbytes) != cm_load_le32(p + field))
        return cm_error_set(err, CM_EDATA,
                            "checksum of the fractal heap block at %" PRIu64 " is wrong", addr);
#endif
    return cm_h5_map_put(&h->verified, addr, nbytes, err);
}

static int in_direct(cm_h5_reader *r, cm_h5_fractal *h, uint64_t addr, uint64_t block_nbytes,
                     uint64_t offset, size_t n, const uint8_t **data, cm_error *err)
{
    const uint8_t *p;
    size_t head = 5u + r->file->nbytes_off + h->offset_nbytes;
    size_t whole = head + (h->checksums ? 4 : 0);
    if (offset < whole || offset > block_nbytes || n > block_nbytes - offset)
        return cm_error_set(err, CM_EDATA, "fractal heap object is not inside its block");
    uint64_t seen;
    if (cm_h5_map_get(&h->verified, addr, &seen) && seen == block_nbytes)
        return cm_h5_get(r, addr + offset, n, "fractal heap object", data, err);
    int rc = cm_h5_get(r, addr, block_nbytes, "fractal heap block", &p, err);
    if (rc)
        return rc;
    cm_h5_cursor c = cm_h5_cursor_of(p, block_nbytes);
    if (!cm_h5_signature(&c, "FHDB") || cm_h5_u8(&c) != 0 || cm_h5_address(&c, r->file) != h->addr)
        return cm_error_set(err, CM_EDATA, "no fractal heap block at %" PRIu64, addr);
    rc = h->checksums ? verify_direct(r, h, addr, p, block_nbytes, head, err)
                      : cm_h5_map_put(&h->verified, addr, block_nbytes, err);
    *data = p + offset;
    return rc;
}

/* One step down from the indirect block at addr, of nrows rows: the child that has the offset. */
static int indirect_child(cm_h5_reader *r, cm_h5_fractal *h, uint64_t addr, unsigned nrows,
                          unsigned row, uint64_t column, uint64_t *child, cm_error *err)
{
    const cm_h5_file *f = r->file;
    size_t head = 5u + f->nbytes_off + h->offset_nbytes;
    uint64_t nbytes = head + (uint64_t)nrows * h->width * f->nbytes_off + 4;
    const uint8_t *p;
    int rc = cm_h5_get(r, addr, nbytes, "fractal heap table", &p, err);
    if (rc)
        return rc;
    cm_h5_cursor c = cm_h5_cursor_of(p, nbytes);
    if (!cm_h5_signature(&c, "FHIB") || cm_h5_u8(&c) != 0 || cm_h5_address(&c, f) != h->addr)
        return cm_error_set(err, CM_EDATA, "no fractal heap table at %" PRIu64, addr);
    uint64_t seen;
    if (!cm_h5_map_get(&h->verified, addr, &seen)) {
        if (!cm_h5_checksum_ok(p, nbytes))
            return cm_error_set(err, CM_EDATA,
                                "checksum of the fractal heap table at %" PRIu64 " is wrong", addr);
        rc = cm_h5_map_put(&h->verified, addr, nbytes, err);
    }
    c = cm_h5_cursor_of(p, nbytes);
    cm_h5_take(&c, head + (row * (uint64_t)h->width + column) * f->nbytes_off);
    *child = cm_h5_address(&c, f);
    return rc;
}

static int get_managed(cm_h5_reader *r, cm_h5_fractal *h, uint64_t offset, size_t n,
                       const uint8_t **data, cm_error *err)
{
    if (h->root_rows == 0)
        return in_direct(r, h, h->root, h->start_block, offset, n, data, err);
    uint64_t addr = h->root;
    unsigned nrows = h->root_rows;
    unsigned direct_rows = log2_floor(h->max_direct) - log2_floor(h->start_block) + 2;
    unsigned first_bits = log2_floor(h->start_block) + log2_floor(h->width);
    for (;;) {
        unsigned row;
        uint64_t column, start, child = CM_H5_UNDEF;
        locate(h, offset, &row, &column, &start);
        if (row >= nrows || row > 62 || column >= h->width)
            return cm_error_set(err, CM_EDATA, "fractal heap object is outside the heap");
        int rc = indirect_child(r, h, addr, nrows, row, column, &child, err);
        if (rc)
            return rc;
        uint64_t block = row_block(h, row);
        if (row < direct_rows)
            return in_direct(r, h, child, block, offset - start, n, data, err);
        /* An indirect block that covers `block` bytes; less than its parent, as nrows shrinks. */
        unsigned below = log2_floor(block) - first_bits + 1;
        if (log2_floor(block) < first_bits || below >= nrows)
            return cm_error_set(err, CM_EDATA, "fractal heap table is malformed");
        addr = child;
        nrows = below;
        offset -= start;
    }
}

/* ---- huge objects ---------------------------------------------------------------------------- */

typedef struct huge {
    const cm_h5_file *f;
    uint64_t id, addr, nbytes;
    bool found;
} huge;

/* Records of type 1: address, length, id. */
static int match_huge(void *user, const uint8_t *record, size_t n, cm_error *err)
{
    (void)err;
    huge *x = user;
    cm_h5_cursor c = cm_h5_cursor_of(record, n);
    uint64_t addr = cm_h5_address(&c, x->f), nbytes = cm_h5_length(&c, x->f);
    if (cm_h5_length(&c, x->f) == x->id && !c.bad) {
        x->addr = addr;
        x->nbytes = nbytes;
        x->found = true;
    }
    return 0;
}

static int get_huge(cm_h5_reader *r, cm_h5_fractal *h, cm_h5_cursor *id, const uint8_t **data,
                    size_t *nbytes, cm_error *err)
{
    const cm_h5_file *f = r->file;
    huge x = {.f = f, .addr = CM_H5_UNDEF};
    if (h->id_nbytes >= 1u + f->nbytes_off + f->nbytes_len) {
        x.addr = cm_h5_address(id, f);
        x.nbytes = cm_h5_length(id, f);
    } else {
        size_t n = h->id_nbytes - 1u;
        x.id = cm_h5_uint(id, n < f->nbytes_len ? n : f->nbytes_len);
        int rc = cm_h5_btree2_each(r, h->huge_tree, 1, match_huge, &x, err);
        if (rc)
            return rc;
        if (!x.found)
            return cm_error_set(err, CM_EDATA, "fractal heap has no huge object %" PRIu64, x.id);
    }
    if (id->bad)
        return cm_error_set(err, CM_EDATA, "fractal heap id is malformed");
    *nbytes = (size_t)x.nbytes;
    return cm_h5_get(r, x.addr, x.nbytes, "huge fractal heap object", data, err);
}

int cm_h5_fractal_get(cm_h5_reader *r, cm_h5_fractal *h, const uint8_t *id, size_t nid,
                      const uint8_t **data, size_t *nbytes, cm_error *err)
{
    if (nid < h->id_nbytes)
        return cm_error_set(err, CM_EDATA, "fractal heap id is malformed");
    cm_h5_cursor c = cm_h5_cursor_of(id, h->id_nbytes);
    uint8_t head = cm_h5_u8(&c);
    if (head >> 6 != 0)
        return cm_error_set(err, CM_EUNSUP, "fractal heap id version %d is not known", head >> 6);
    switch (head >> 4 & 3) {
    case 0: {
        uint64_t offset = cm_h5_uint(&c, h->offset_nbytes);
        uint64_t n = cm_h5_uint(&c, h->length_nbytes);
        if (c.bad)
            break;
        *nbytes = (size_t)n;
        return get_managed(r, h, offset, (size_t)n, data, err);
    }
    case 1: return get_huge(r, h, &c, data, nbytes, err);
    case 2: {
        size_t n = head & 15;
        if (h->id_nbytes > 17)
            n = n << 8 | cm_h5_u8(&c);
        *nbytes = n + 1;
        *data = cm_h5_take(&c, n + 1);
        if (*data)
            return 0;
        break;
    }
    default: break;
    }
    return cm_error_set(err, CM_EDATA, "fractal heap id is malformed");
}
