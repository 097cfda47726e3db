/* format/hdf5/h5_reader.h: bytes of an HDF5 file, and small tools for looking at them.
 *
 * A cm_h5_file says what every part must know about the file; it is made by the superblock and does
 * not change afterwards. A cm_h5_reader is one thread's view of the metadata: a cache of blocks
 * over the store. Pointers that cm_h5_get hands out stay valid until the reader is reset or freed,
 * so parsers look at file bytes in place and copy nothing.
 *
 * Threads: a cm_h5_file may be shared; a reader belongs to one thread.
 */
#ifndef CM_FORMAT_HDF5_READER_H
#define CM_FORMAT_HDF5_READER_H

#include <pthread.h>

#include "base/bytes.h"
#include "base/context_private.h"
#include "store/store.h"

#define CM_H5_UNDEF UINT64_MAX /* the "undefined address": all bytes 0xff */

#define CM_H5_MAX_SHARED 8 /* libhdf5's H5O_SHMESG_MAX_NINDEXES */

typedef struct cm_h5_heap_cache cm_h5_heap_cache; /* h5_strings.c */

/* h5_roots.c: roots of chunk indexes that will be asked for. */
typedef struct cm_h5_root {
    uint64_t at; /* offset in the file */
    size_t nbytes;
    uint8_t *data; /* NULL before it is fetched and after it is taken */
} cm_h5_root;

typedef struct cm_h5_roots {
    pthread_mutex_t lock; /* guards all below */
    cm_h5_root *items;
    size_t n, capacity, nbytes;
    bool fetched;
} cm_h5_roots;

typedef struct cm_h5_file {
    int refcount; /* atomic */
    cm_context *ctx;
    cm_store *store;
    char *key, *uri;
    cm_object_version version;
    uint64_t size;      /* bytes of the object */
    uint64_t base;      /* where address 0 is: the end of the user block */
    uint8_t nbytes_off; /* "size of offsets", 2, 4 or 8 */
    uint8_t nbytes_len; /* "size of lengths" */
    uint8_t superblock; /* version */
    uint32_t leaf_k;    /* symbol nodes of old groups have room for 2 * leaf_k links */
    uint32_t chunk_k;   /* B-tree v1 nodes of chunks hold at most 2 * chunk_k children */
    int level;          /* of virtual datasets that led to this file */
    bool elsewhere;     /* opening it asked other files too */
    uint64_t root;      /* address of the root group's object header */
    int nshared;        /* heaps of shared messages: of the types whose bits are set */
    struct {
        uint16_t types; /* bit i: message type i */
        uint64_t heap;
    } shared[CM_H5_MAX_SHARED];
    cm_h5_heap_cache *heaps;
    cm_h5_roots roots;
} cm_h5_file;

cm_h5_file *cm_h5_file_ref(cm_h5_file *f);
void cm_h5_file_unref(cm_h5_file *f);

/* The nbytes at offset `at` will be asked for: the first take fetches all that are wanted. */
void cm_h5_root_want(cm_h5_file *f, uint64_t at, size_t nbytes);

/* They, malloc'ed, once; NULL: read them yourself. */
uint8_t *cm_h5_root_take(cm_h5_file *f, uint64_t at, size_t nbytes);
void cm_h5_roots_deinit(cm_h5_roots *r);

/* Find and check the superblock. f has ctx, store, key, uri, version, size set. CM_EDATA. */
struct cm_h5_reader;
int cm_h5_superblock_read(struct cm_h5_reader *r, cm_h5_file *f, cm_error *err);

/* ---- arena: memory that is freed as one ------------------------------------------------------ */

typedef struct cm_h5_arena {
    struct cm_h5_slab *slabs;
    uint8_t *at;
    size_t left, total;
} cm_h5_arena;

/* nbytes aligned to 16, not zeroed; NULL with CM_ENOMEM. A zeroed arena is empty. */
void *cm_h5_alloc(cm_h5_arena *a, size_t nbytes, cm_error *err);
void *cm_h5_alloc_zero(cm_h5_arena *a, size_t n, size_t size, cm_error *err);
char *cm_h5_alloc_string(cm_h5_arena *a, const void *s, size_t nbytes, cm_error *err);
void cm_h5_arena_deinit(cm_h5_arena *a);

/* ---- map from 64-bit keys to 64-bit values --------------------------------------------------- */

/* Open addressing; the key CM_H5_UNDEF is not allowed. A zeroed map is empty. */
typedef struct cm_h5_map {
    uint64_t *keys;
    uint64_t *values;
    size_t n, capacity;
} cm_h5_map;

bool cm_h5_map_get(const cm_h5_map *m, uint64_t key, uint64_t *value);
/* Replaces. CM_ENOMEM. */
int cm_h5_map_put(cm_h5_map *m, uint64_t key, uint64_t value, cm_error *err);
void cm_h5_map_deinit(cm_h5_map *m);

/* ---- reader ---------------------------------------------------------------------------------- */

typedef struct cm_h5_reader {
    cm_h5_file *file;
    cm_h5_map blocks; /* block number -> address of its bytes */
    cm_h5_arena arena;
} cm_h5_reader;

void cm_h5_reader_init(cm_h5_reader *r, cm_h5_file *f);
void cm_h5_reader_deinit(cm_h5_reader *r);

/* nbytes at addr (relative to the base). CM_EDATA when they are not all in the file; `what` names
 * the structure. */
int cm_h5_get(cm_h5_reader *r, uint64_t addr, uint64_t nbytes, const char *what,
              const uint8_t **out, cm_error *err);

/* The same, for structures of unknown length: as many as there are of max. *nbytes is at least
 * min. */
int cm_h5_get_upto(cm_h5_reader *r, uint64_t addr, uint64_t min, uint64_t max, const char *what,
                   const uint8_t **out, size_t *nbytes, cm_error *err);

/* Fetch n ranges, given as pairs of address and length, in few store calls. What lies outside the
 * file is passed over. */
int cm_h5_prefetch(cm_h5_reader *r, const uint64_t *pairs, size_t n, cm_error *err);

/* Fetch what reading the objects with these headers will need: headers, continuations, heaps and
 * trees of attributes and links. */
int cm_h5_warm(cm_h5_reader *r, const uint64_t *headers, size_t n, cm_error *err);

/* Forget cached bytes when there are many. All pointers from cm_h5_get die. */
void cm_h5_reader_trim(cm_h5_reader *r);

/* ---- cursor ---------------------------------------------------------------------------------- */

/* Reads forward inside [p, end). Going over the end sets bad, gives zeros and stays bad: parsers
 * read a whole structure and then look at bad once. */
typedef struct cm_h5_cursor {
    const uint8_t *p, *end;
    bool bad;
} cm_h5_cursor;

static inline cm_h5_cursor cm_h5_cursor_of(const uint8_t *p, size_t nbytes)
{
    static const uint8_t none[1];
    if (!p) /* a message of no bytes: nobody may do arithmetic with its place */
        return (cm_h5_cursor){none, none, false};
    return (cm_h5_cursor){p, p + nbytes, false};
}

static inline size_t cm_h5_left(const cm_h5_cursor *c)
{
    return (size_t)(c->end - c->p);
}

/* n bytes in place, NULL (and bad) when they are not there. */
static inline const uint8_t *cm_h5_take(cm_h5_cursor *c, uint64_t n)
{
    if (c->bad || n > cm_h5_left(c)) {
        c->bad = true;
        c->p = c->end;
        return NULL;
    }
    const uint8_t *p = c->p;
    c->p += n;
    return p;
}

/* A little-endian number of n <= 8 bytes. */
static inline uint64_t cm_h5_uint(cm_h5_cursor *c, size_t n)
{
    const uint8_t *p = cm_h5_take(c, n);
    return p ? cm_load_le(p, n) : 0;
}

static inline uint8_t cm_h5_u8(cm_h5_cursor *c)
{
    return (uint8_t)cm_h5_uint(c, 1);
}

static inline uint16_t cm_h5_u16(cm_h5_cursor *c)
{
    return (uint16_t)cm_h5_uint(c, 2);
}

static inline uint32_t cm_h5_u32(cm_h5_cursor *c)
{
    return (uint32_t)cm_h5_uint(c, 4);
}

static inline uint64_t cm_h5_address(cm_h5_cursor *c, const cm_h5_file *f)
{
    uint64_t v = cm_h5_uint(c, f->nbytes_off);
    uint64_t all = f->nbytes_off == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * f->nbytes_off) - 1;
    return v == all ? CM_H5_UNDEF : v;
}

static inline uint64_t cm_h5_length(cm_h5_cursor *c, const cm_h5_file *f)
{
    return cm_h5_uint(c, f->nbytes_len);
}

/* True when the next four bytes are the signature; takes them. */
static inline bool cm_h5_signature(cm_h5_cursor *c, const char *signature)
{
    const uint8_t *p = cm_h5_take(c, 4);
    return p && memcmp(p, signature, 4) == 0;
}

/* True when the last four of nbytes are the lookup3 checksum of the others. */
bool cm_h5_checksum_ok(const uint8_t *p, size_t nbytes);

#endif
