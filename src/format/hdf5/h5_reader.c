/* format/hdf5/h5_reader.c: the block cache under the HDF5 parsers.
 *
 * HDF5 metadata is many small structures: an ordinary netCDF-4 file of 40 variables has about 180
 * of them, most within a few KB of one another, in islands between the data. So bytes are fetched
 * in blocks of 4 KiB, a few neighbours at a time, each block at most once, and every parser reads
 * them in place. Blocks fetched by one call lie side by side in memory; only a structure that
 * crosses from one call's blocks into another's is copied together.
 *
 * The cache grows with what is looked at and never above the file's size plus such copies;
 * cm_h5_reader_trim, called between objects, empties it when it is large.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/memory.h"
#include "format/hdf5/h5_reader.h"

#define BLOCK 4096u
#define WINDOW 2u                /* blocks fetched at least, where the file goes on */
#define FIRST_WINDOW 8u          /* the head of the file is always wanted */
#define TRIM_ABOVE (32u << 20)   /* cached bytes */
#define MAX_RANGES 128           /* of one store call */
#define MAX_STRUCTURE (1u << 30) /* bytes of one structure looked at in place */

/* ---- file ------------------------------------------------------------------------------------ */

cm_h5_file *cm_h5_file_ref(cm_h5_file *f)
{
    __atomic_fetch_add(&f->refcount, 1, __ATOMIC_RELAXED);
    return f;
}

/* ---- arena ----------------------------------------------------------------------------------- */

struct cm_h5_slab {
    struct cm_h5_slab *next;
    size_t pad;
};

void *cm_h5_alloc(cm_h5_arena *a, size_t nbytes, cm_error *err)
{
    if (nbytes > SIZE_MAX / 2) {
        cm_error_set(err, CM_ENOMEM, "out of memory (%zu bytes)", nbytes);
        return NULL;
    }
    nbytes = (nbytes + 15) & ~(size_t)15;
    if (nbytes > a->left) {
        size_t room = nbytes > 16384 ? nbytes : a->total < 65536 ? 32768 : 131072;
        struct cm_h5_slab *slab = malloc(sizeof *slab + room);
        if (!slab) {
            cm_error_set(err, CM_ENOMEM, "out of memory (%zu bytes)", room);
            return NULL;
        }
        slab->next = a->slabs;
        a->slabs = slab;
        a->total += room;
        if (room == nbytes) /* a large one has its own slab; the current one goes on */
            return slab + 1;
        a->at = (uint8_t *)(slab + 1);
        a->left = room;
    }
    void *p = a->at;
    a->at += nbytes;
    a->left -= nbytes;
    return p;
}

void *cm_h5_alloc_zero(cm_h5_arena *a, size_t n, size_t size, cm_error *err)
{
    size_t nbytes;
    if (!cm_mul_size(n, size, &nbytes))
        nbytes = SIZE_MAX;
    void *p = cm_h5_alloc(a, nbytes, err);
    if (p)
        memset(p, 0, nbytes);
    return p;
}

char *cm_h5_alloc_string(cm_h5_arena *a, const void *s, size_t nbytes, cm_error *err)
{
    char *p = cm_h5_alloc(a, nbytes + 1, err);
    if (p) {
        if (nbytes)
            memcpy(p, s, nbytes);
        p[nbytes] = 0;
    }
    return p;
}

void cm_h5_arena_deinit(cm_h5_arena *a)
{
    for (struct cm_h5_slab *s = a->slabs; s;) {
        struct cm_h5_slab *next = s->next;
        free(s);
        s = next;
    }
    *a = (cm_h5_arena){0};
}

/* ---- map ------------------------------------------------------------------------------------- */

static size_t map_slot(const cm_h5_map *m, uint64_t key)
{
    uint64_t h = key * 0x9e3779b97f4a7c15u;
    size_t i = (size_t)(h >> 20) & (m->capacity - 1);
    while (m->keys[i] != CM_H5_UNDEF && m->keys[i] != key)
        i = (i + 1) & (m->capacity - 1);
    return i;
}

bool cm_h5_map_get(const cm_h5_map *m, uint64_t key, uint64_t *value)
{
    if (m->n == 0)
        return false;
    size_t i = map_slot(m, key);
    if (m->keys[i] != key)
        return false;
    if (value)
        *value = m->values[i];
    return true;
}

static int map_grow(cm_h5_map *m, cm_error *err)
{
    cm_h5_map bigger = {.capacity = m->capacity ? m->capacity * 2 : 64};
    bigger.keys = cm_calloc(bigger.capacity, 2 * sizeof *bigger.keys, err);
    if (!bigger.keys)
        return CM_ENOMEM;
    bigger.values = bigger.keys + bigger.capacity;
    memset(bigger.keys, 0xff, bigger.capacity * sizeof *bigger.keys);
    for (size_t i = 0; i < m->capacity; i++) {
        if (m->keys[i] == CM_H5_UNDEF)
            continue;
        size_t slot = map_slot(&bigger, m->keys[i]);
        bigger.keys[slot] = m->keys[i];
        bigger.values[slot] = m->values[i];
    }
    bigger.n = m->n;
    free(m->keys);
    *m = bigger;
    return 0;
}

int cm_h5_map_put(cm_h5_map *m, uint64_t key, uint64_t value, cm_error *err)
{
    if (2 * (m->n + 1) > m->capacity && map_grow(m, err))
        return CM_ENOMEM;
    size_t i = map_slot(m, key);
    if (m->keys[i] != key) {
        m->keys[i] = key;
        m->n++;
    }
    m->values[i] = value;
    return 0;
}

void cm_h5_map_deinit(cm_h5_map *m)
{
    free(m->keys);
    *m = (cm_h5_map){0};
}

/* ---- reader ---------------------------------------------------------------------------------- */

void cm_h5_reader_init(cm_h5_reader *r, cm_h5_file *f)
{
    *r = (cm_h5_reader){.file = f};
}

void cm_h5_reader_deinit(cm_h5_reader *r)
{
    cm_h5_map_deinit(&r->blocks);
    cm_h5_arena_deinit(&r->arena);
}

void cm_h5_reader_trim(cm_h5_reader *r)
{
    if (r->arena.total > TRIM_ABOVE)
        cm_h5_reader_deinit(r);
}

static const uint8_t *block_data(const cm_h5_reader *r, uint64_t block)
{
    uint64_t at;
    return cm_h5_map_get(&r->blocks, block, &at) ? (const uint8_t *)(uintptr_t)at : NULL;
}

/* The bytes [from, to) of blocks as one range of the store, registered block by block. */
static int add_range(cm_h5_reader *r, uint64_t from, uint64_t to, cm_range *range, cm_error *err)
{
    uint64_t end = to * BLOCK < r->file->size ? to * BLOCK : r->file->size;
    size_t nbytes = (size_t)(end - from * BLOCK);
    uint8_t *dst = cm_h5_alloc(&r->arena, nbytes, err);
    if (!dst)
        return CM_ENOMEM;
    *range = (cm_range){.offset = from * BLOCK, .nbytes = nbytes, .dst = dst};
    return 0;
}

static int fetch(cm_h5_reader *r, cm_range *ranges, int n, cm_error *err)
{
    cm_h5_file *f = r->file;
    cm_object_version version = f->version;
    int rc = f->store->vt->get(f->store, f->key, ranges, n, &version, err);
    for (int i = 0; rc == 0 && i < n; i++) {
        uint64_t first = ranges[i].offset / BLOCK;
        for (size_t at = 0; rc == 0 && at < ranges[i].nbytes; at += BLOCK)
            rc = cm_h5_map_put(&r->blocks, first++, (uintptr_t)ranges[i].dst + at, err);
    }
    return rc;
}

/* Load the missing ones of blocks [first, last]. Runs of missing blocks are one range each. */
static int load(cm_h5_reader *r, uint64_t first, uint64_t last, cm_error *err)
{
    uint64_t nblocks = (r->file->size + BLOCK - 1) / BLOCK;
    uint64_t want = first == 0 ? FIRST_WINDOW : WINDOW, end = last + 1;
    while (end - first < want && end < nblocks && !block_data(r, end))
        end++;
    cm_range ranges[MAX_RANGES];
    int n = 0, rc = 0;
    for (uint64_t b = first; rc == 0 && b < end;) {
        if (block_data(r, b)) {
            b++;
            continue;
        }
        uint64_t from = b;
        while (b < end && !block_data(r, b))
            b++;
        rc = add_range(r, from, b, &ranges[n], err);
        if (rc == 0 && ++n == MAX_RANGES) {
            rc = fetch(r, ranges, n, err);
            n = 0;
        }
    }
    return rc || n == 0 ? rc : fetch(r, ranges, n, err);
}

/* Bytes of a range whose blocks are loaded: in place if they lie side by side, else copied. */
static const uint8_t *assemble(cm_h5_reader *r, uint64_t offset, size_t nbytes, cm_error *err)
{
    uint64_t first = offset / BLOCK, last = (offset + nbytes - 1) / BLOCK;
    const uint8_t *start = block_data(r, first);
    bool together = true;
    for (uint64_t b = first + 1; together && b <= last; b++)
        together = block_data(r, b) == start + (b - first) * BLOCK;
    if (together)
        return start + offset % BLOCK;
    uint8_t *copy = cm_h5_alloc(&r->arena, nbytes, err);
    if (!copy)
        return NULL;
    size_t done = 0;
    while (done < nbytes) {
        uint64_t at = offset + done;
        size_t n = BLOCK - at % BLOCK;
        if (n > nbytes - done)
            n = nbytes - done;
        memcpy(copy + done, block_data(r, at / BLOCK) + at % BLOCK, n);
        done += n;
    }
    return copy;
}

int cm_h5_get_upto(cm_h5_reader *r, uint64_t addr, uint64_t min, uint64_t max, const char *what,
                   const uint8_t **out, size_t *nbytes, cm_error *err)
{
    cm_h5_file *f = r->file;
    if (addr == CM_H5_UNDEF)
        return cm_error_set(err, CM_EDATA, "%s has no address", what);
    uint64_t offset;
    if (!cm_add_u64(f->base, addr, &offset) || offset > f->size || min > f->size - offset)
        return cm_error_set(err, CM_EDATA,
                            "%s at %" PRIu64 " (%" PRIu64 " bytes) is not inside the file", what,
                            addr, min);
    uint64_t n = max < f->size - offset ? max : f->size - offset;
    if (n > MAX_STRUCTURE)
        return cm_error_set(err, CM_ELIMIT, "%s at %" PRIu64 " is larger than 1 GiB", what, addr);
    *nbytes = (size_t)n;
    if (n == 0) {
        *out = (const uint8_t *)"";
        return 0;
    }
    uint64_t first = offset / BLOCK, last = (offset + n - 1) / BLOCK;
    const uint8_t *p = block_data(r, first);
    if (p && first == last) {
        *out = p + offset % BLOCK;
        return 0;
    }
    int rc = load(r, first, last, err);
    if (rc)
        return rc;
    *out = assemble(r, offset, (size_t)n, err);
    return *out ? 0 : CM_ENOMEM;
}

int cm_h5_get(cm_h5_reader *r, uint64_t addr, uint64_t nbytes, const char *what,
              const uint8_t **out, cm_error *err)
{
    size_t got;
    return cm_h5_get_upto(r, addr, nbytes, nbytes, what, out, &got, err);
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The missing blocks of the ranges, in any order and maybe twice. */
static int missing_blocks(cm_h5_reader *r, const uint64_t *pairs, size_t n, uint64_t **blocks,
                          size_t *nblocks, cm_error *err)
{
    const cm_h5_file *f = r->file;
    size_t capacity = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t addr = pairs[2 * i], span = pairs[2 * i + 1], at;
        if (span == 0 || addr == CM_H5_UNDEF || !cm_add_u64(f->base, addr, &at) || at >= f->size)
            continue;
        uint64_t last = span - 1 < f->size - 1 - at ? at + span - 1 : f->size - 1;
        for (uint64_t b = at / BLOCK; b <= last / BLOCK; b++) {
            if (block_data(r, b))
                continue;
            if (cm_grow(blocks, &capacity, *nblocks + 1, sizeof **blocks, err))
                return CM_ENOMEM;
            (*blocks)[(*nblocks)++] = b;
        }
    }
    return 0;
}

int cm_h5_prefetch(cm_h5_reader *r, const uint64_t *pairs, size_t n, cm_error *err)
{
    uint64_t *blocks = NULL;
    size_t nblocks = 0;
    int rc = missing_blocks(r, pairs, n, &blocks, &nblocks, err);
    if (rc || nblocks == 0) {
        free(blocks);
        return rc;
    }
    qsort(blocks, nblocks, sizeof *blocks, compare_u64);
    cm_range ranges[MAX_RANGES];
    int nranges = 0;
    for (size_t i = 0; rc == 0 && i < nblocks;) {
        uint64_t from = blocks[i], to = from + 1;
        for (i++; i < nblocks && blocks[i] <= to; i++)
            to = blocks[i] + 1;
        rc = add_range(r, from, to, &ranges[nranges], err);
        if (rc == 0 && (++nranges == MAX_RANGES)) {
            rc = fetch(r, ranges, nranges, err);
            nranges = 0;
        }
    }
    if (rc == 0 && nranges)
        rc = fetch(r, ranges, nranges, err);
    free(blocks);
    return rc;
}

bool cm_h5_checksum_ok(const uint8_t *p, size_t nbytes)
{
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
    (void)p;
    return nbytes >= 4;
#else
    return nbytes >= 4 && cm_lookup3(p, nbytes - 4) == cm_load_le32(p + nbytes - 4);
#endif
}
