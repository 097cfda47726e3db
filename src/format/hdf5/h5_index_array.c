/* format/hdf5/h5_index_array.c: chunk indexes that are arrays: fixed (no unlimited axis) and
 * extensible (one).
 *
 *     fixed       header -> data block of all elements; a large one is cut into pages, with a
 *                 bitmap of those that were ever written
 *     extensible  header -> index block: the first elements, then addresses of data blocks, then
 *                 addresses of super blocks, each of which has addresses of data blocks. Super
 *                 block u has 2^(u/2) data blocks of min * 2^((u+1)/2) elements; the first
 *                 2*log2(min pointers) super blocks do not exist, their data blocks are listed in
 *                 the index block. Data blocks larger than a page are paged; the bitmaps of all of
 *                 a super block's are in that, one after the other without gaps, though room is
 *                 left for each to begin at a byte.
 *
 * An element is a chunk's address, or its address, stored size and filter mask. Every block and
 * page ends with a checksum, which is verified. Sizes follow from the header; cm_h5_get refuses
 * blocks that are not inside the file, and cm_h5_chunk_add counts entries, so that addresses given
 * twice do not go on for ever.
 */
#include <inttypes.h>

#include "format/hdf5/h5_chunk_index.h"

typedef struct reading {
    cm_h5_chunk_sink *sink;
    cm_h5_reader *r;
    uint64_t header; /* blocks name the header that they belong to */
    size_t element;  /* bytes */
    bool filtered;
    int first;        /* slowest axis */
    uint64_t nwanted; /* elements that were ever set */
} reading;

static int elements(const reading *x, cm_h5_cursor *c, uint64_t start, uint64_t n, cm_error *err)
{
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < n && start + i < x->nwanted; i++)
        rc = cm_h5_chunk_element(x->sink, x->first, start + i, c, x->element, x->filtered, err);
    return rc;
}

static int checked(const reading *x, uint64_t addr, uint64_t nbytes, const char *what,
                   const uint8_t **p, cm_error *err)
{
    int rc = cm_h5_get(x->r, addr, nbytes, what, p, err);
    if (rc == 0 && !cm_h5_checksum_ok(*p, (size_t)nbytes))
        rc = cm_error_set(err, CM_EDATA, "checksum of the %s at %" PRIu64 " is wrong", what, addr);
    return rc;
}

/* Signature, version 0, client, header's address. */
static bool prefix_ok(const reading *x, cm_h5_cursor *c, const char *signature)
{
    return cm_h5_signature(c, signature) && cm_h5_u8(c) == 0 && cm_h5_u8(c) == x->filtered &&
           cm_h5_address(c, x->sink->spec->file) == x->header;
}

static int wrong(const char *what, uint64_t addr, cm_error *err)
{
    return cm_error_set(err, CM_EDATA, "no %s of chunks at %" PRIu64, what, addr);
}

static bool element_ok(const reading *x)
{
    size_t off = x->sink->spec->file->nbytes_off;
    return x->filtered ? x->element > off + 4 && x->element <= off + 12 : x->element == off;
}

/* Which pages were ever written: page i is bit first + i, highest first in each byte. */
typedef struct bitmap {
    const uint8_t *bytes;
    uint64_t first;
} bitmap;

static bool was_written(const bitmap *b, uint64_t page)
{
    uint64_t bit = b->first + page;
    return b->bytes[bit / 8] & 0x80 >> bit % 8;
}

/* Pages of page_nelmts elements (the last may have fewer), each with a checksum. */
static int pages(const reading *x, uint64_t addr, const bitmap *written, uint64_t start,
                 uint64_t nelmts, uint64_t page_nelmts, cm_error *err)
{
    int rc = 0;
    uint64_t step = page_nelmts * x->element + 4;
    for (uint64_t i = 0; rc == 0 && i * page_nelmts < nelmts; i++) {
        uint64_t n =
            nelmts - i * page_nelmts < page_nelmts ? nelmts - i * page_nelmts : page_nelmts;
        if (start + i * page_nelmts >= x->nwanted)
            break;
        if (!was_written(written, i))
            continue;
        const uint8_t *p;
        uint64_t nbytes = n * x->element + 4;
        rc = checked(x, addr + i * step, nbytes, "page", &p, err);
        if (rc)
            break;
        cm_h5_cursor c = cm_h5_cursor_of(p, (size_t)nbytes - 4);
        rc = elements(x, &c, start + i * page_nelmts, n, err);
    }
    return rc;
}

/* ---- fixed array ----------------------------------------------------------------------------- */

static int fixed_block(const reading *x, uint64_t addr, uint64_t nelmts, unsigned page_bits,
                       cm_error *err)
{
    const uint8_t *p;
    uint64_t page = UINT64_C(1) << page_bits, npages = nelmts / page + (nelmts % page != 0);
    bool paged = nelmts > page;
    uint64_t head = 6u + x->sink->spec->file->nbytes_off;
    uint64_t nbitmap = paged ? npages / 8 + (npages % 8 != 0) : 0;
    if (nelmts > INT64_MAX / x->element)
        return wrong("fixed array", addr, err);
    uint64_t nbytes = head + nbitmap + (paged ? 0 : nelmts * x->element) + 4;
    int rc = checked(x, addr, nbytes, "fixed array block", &p, err);
    if (rc)
        return rc;
    cm_h5_cursor c = cm_h5_cursor_of(p, (size_t)nbytes - 4);
    if (!prefix_ok(x, &c, "FADB"))
        return wrong("fixed array block", addr, err);
    bitmap written = {p + head, 0};
    return paged ? pages(x, addr + nbytes, &written, 0, nelmts, page, err)
                 : elements(x, &c, 0, nelmts, err);
}

static int fixed_array(reading *x, cm_error *err)
{
    const cm_h5_file *f = x->sink->spec->file;
    uint64_t nbytes = 12u + f->nbytes_len + f->nbytes_off;
    const uint8_t *p;
    int rc = checked(x, x->header, nbytes, "fixed array", &p, err);
    if (rc)
        return rc;
    cm_h5_cursor c = cm_h5_cursor_of(p, (size_t)nbytes);
    if (!cm_h5_signature(&c, "FAHD") || cm_h5_u8(&c) != 0 || cm_h5_u8(&c) != x->filtered)
        return wrong("fixed array", x->header, err);
    x->element = cm_h5_u8(&c);
    unsigned page_bits = cm_h5_u8(&c);
    x->nwanted = cm_h5_length(&c, f);
    uint64_t block = cm_h5_address(&c, f);
    if (!element_ok(x) || page_bits > 62)
        return wrong("fixed array", x->header, err);
    return block == CM_H5_UNDEF ? 0 : fixed_block(x, block, x->nwanted, page_bits, err);
}

/* ---- extensible array ------------------------------------------------------------------------ */

typedef struct extensible {
    reading x;
    unsigned bits;         /* of the largest number of elements */
    uint64_t in_index;     /* elements in the index block */
    uint64_t min_elements; /* of a data block */
    uint64_t min_pointers; /* of a super block */
    uint64_t page;         /* elements of a page */
    size_t offset_nbytes;  /* of a block's own offset */
} extensible;

/* written: NULL for a block without pages. */
static int data_block(const extensible *e, uint64_t addr, uint64_t start, uint64_t nelmts,
                      const bitmap *written, cm_error *err)
{
    const reading *x = &e->x;
    if (addr == CM_H5_UNDEF || start >= x->nwanted)
        return 0;
    uint64_t head = 6u + x->sink->spec->file->nbytes_off + e->offset_nbytes;
    uint64_t nbytes = head + (written ? 0 : nelmts * x->element) + 4;
    const uint8_t *p;
    int rc = checked(x, addr, nbytes, "extensible array block", &p, err);
    if (rc)
        return rc;
    cm_h5_cursor c = cm_h5_cursor_of(p, (size_t)nbytes - 4);
    if (!prefix_ok(x, &c, "EADB"))
        return wrong("extensible array block", addr, err);
    cm_h5_take(&c, e->offset_nbytes);
    return written ? pages(x, addr + nbytes, written, start, nelmts, e->page, err)
                   : elements(x, &c, start, nelmts, err);
}

static int super_block(const extensible *e, uint64_t addr, uint64_t start, uint64_t nblocks,
                       uint64_t nelmts, cm_error *err)
{
    const reading *x = &e->x;
    const cm_h5_file *f = x->sink->spec->file;
    if (addr == CM_H5_UNDEF || start >= x->nwanted)
        return 0;
    uint64_t npages = nelmts > e->page ? nelmts / e->page : 0, nbitmap = (npages + 7) / 8;
    uint64_t head = 6u + f->nbytes_off + e->offset_nbytes;
    if (nbitmap > f->size || nblocks > f->size / (nbitmap + f->nbytes_off))
        return wrong("super block", addr, err);
    uint64_t nbytes = head + nblocks * (nbitmap + f->nbytes_off) + 4;
    const uint8_t *p;
    int rc = checked(x, addr, nbytes, "super block", &p, err);
    if (rc)
        return rc;
    cm_h5_cursor c = cm_h5_cursor_of(p, (size_t)nbytes - 4);
    if (!prefix_ok(x, &c, "EASB"))
        return wrong("super block", addr, err);
    cm_h5_take(&c, e->offset_nbytes + nblocks * nbitmap);
    for (uint64_t i = 0; rc == 0 && i < nblocks; i++) {
        bitmap written = {p + head, i * npages};
        rc = data_block(e, cm_h5_address(&c, f), start + i * nelmts, nelmts,
                        npages ? &written : NULL, err);
    }
    return rc;
}

static unsigned log2_floor(uint64_t n)
{
    unsigned k = 0;
    while (n >>= 1)
        k++;
    return k;
}

static int index_block(const extensible *e, uint64_t addr, cm_error *err)
{
    const reading *x = &e->x;
    const cm_h5_file *f = x->sink->spec->file;
    unsigned nsuper = 1 + e->bits - log2_floor(e->min_elements);
    unsigned direct = 2 * log2_floor(e->min_pointers); /* super blocks that do not exist */
    if (direct > nsuper)
        direct = nsuper;
    uint64_t npointers = 2 * (e->min_pointers - 1) + (nsuper - direct);
    uint64_t head = 6u + f->nbytes_off;
    uint64_t nbytes = head + e->in_index * x->element + npointers * f->nbytes_off + 4;
    const uint8_t *p;
    int rc = checked(x, addr, nbytes, "index block", &p, err);
    if (rc)
        return rc;
    cm_h5_cursor c = cm_h5_cursor_of(p, (size_t)nbytes - 4);
    if (!prefix_ok(x, &c, "EAIB"))
        return wrong("index block", addr, err);
    cm_h5_cursor own = c;
    rc = elements(x, &own, 0, e->in_index, err);
    cm_h5_take(&c, e->in_index * x->element);
    uint64_t start = e->in_index;
    for (unsigned u = 0; rc == 0 && u < nsuper && start < x->nwanted; u++) {
        uint64_t nblocks = UINT64_C(1) << u / 2, nelmts = e->min_elements << (u + 1) / 2;
        if (nelmts > INT64_MAX / 16)
            return wrong("index block", addr, err);
        if (u >= direct) {
            rc = super_block(e, cm_h5_address(&c, f), start, nblocks, nelmts, err);
            start += nblocks * nelmts;
            continue;
        }
        if (nelmts > e->page)
            return wrong("index block", addr, err);
        for (uint64_t i = 0; rc == 0 && i < nblocks; i++, start += nelmts)
            rc = data_block(e, cm_h5_address(&c, f), start, nelmts, NULL, err);
    }
    return rc;
}

static bool power_of_two(uint64_t n)
{
    return n && !(n & (n - 1));
}

static int extensible_array(reading *x, cm_error *err)
{
    const cm_h5_file *f = x->sink->spec->file;
    uint64_t nbytes = 16u + 6u * f->nbytes_len + f->nbytes_off;
    const uint8_t *p;
    int rc = checked(x, x->header, nbytes, "extensible array", &p, err);
    if (rc)
        return rc;
    cm_h5_cursor c = cm_h5_cursor_of(p, (size_t)nbytes);
    if (!cm_h5_signature(&c, "EAHD") || cm_h5_u8(&c) != 0 || cm_h5_u8(&c) != x->filtered)
        return wrong("extensible array", x->header, err);
    extensible e = {0};
    x->element = cm_h5_u8(&c);
    e.bits = cm_h5_u8(&c);
    e.in_index = cm_h5_u8(&c);
    e.min_elements = cm_h5_u8(&c);
    e.min_pointers = cm_h5_u8(&c);
    unsigned page_bits = cm_h5_u8(&c);
    for (int i = 0; i < 4; i++)
        cm_h5_length(&c, f); /* numbers and sizes of blocks */
    x->nwanted = cm_h5_length(&c, f);
    cm_h5_length(&c, f); /* elements that have room */
    uint64_t block = cm_h5_address(&c, f);
    if (!element_ok(x) || e.bits > 64 || !power_of_two(e.min_elements) ||
        !power_of_two(e.min_pointers) || page_bits > 62 || e.bits < log2_floor(e.min_elements))
        return wrong("extensible array", x->header, err);
    e.page = UINT64_C(1) << page_bits;
    e.offset_nbytes = (e.bits + 7) / 8;
    e.x = *x;
    return block == CM_H5_UNDEF ? 0 : index_block(&e, block, err);
}

/* ---- both ------------------------------------------------------------------------------------ */

static int run(cm_h5_chunk_sink *sink, int first, int (*fn)(reading *, cm_error *), cm_error *err)
{
    const cm_h5_chunks_spec *spec = sink->spec;
    cm_h5_reader r;
    cm_h5_reader_init(&r, spec->file);
    reading x = {.sink = sink,
                 .r = &r,
                 .header = spec->addr,
                 .filtered = spec->nfilters > 0,
                 .first = first};
    int rc = fn(&x, err);
    cm_h5_reader_deinit(&r);
    return rc;
}

int cm_h5_index_fixed(cm_h5_chunk_sink *sink, cm_error *err)
{
    return run(sink, 0, fixed_array, err);
}

int cm_h5_index_extensible(cm_h5_chunk_sink *sink, cm_error *err)
{
    int first = 0;
    while (first < sink->spec->index_ndim && sink->spec->max[first] != UINT64_MAX)
        first++;
    if (first == sink->spec->index_ndim)
        return cm_error_set(err, CM_EDATA, "extensible array, but no axis is unlimited");
    return run(sink, first, extensible_array, err);
}
