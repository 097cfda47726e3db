/* text/json_private.h: how JSON values lie in memory; for text/json_*.c only. */
#ifndef CM_TEXT_JSON_PRIVATE_H
#define CM_TEXT_JSON_PRIVATE_H

#include "chunkmill/json.h"

enum {
    CM_JSON_MAX_DEPTH = 64,
    CM_JSON_INDEX_FROM = 16 /* objects with more members than this have a hash index */
};

typedef struct cm_json_member {
    const char *key; /* followed by a NUL */
    size_t key_nbytes;
    cm_json *value;
    uint32_t hash; /* with the object's seed */
} cm_json_member;

/* 32 bytes. The index of an object is an open-addressing table of 1 << index_log2 entries, each a
 * member's number + 1 or 0, at most half full; it is always up to date, so that lookups change
 * nothing. */
struct cm_json {
    uint8_t type; /* cm_json_type */
    bool truth;
    uint8_t index_log2; /* 0: no index */
    uint32_t seed;      /* objects: of the keys' hashes; differs between documents */
    union {
        struct {
            const char *data; /* followed by a NUL */
            size_t nbytes;
        } text; /* strings and numbers */
        struct {
            cm_json **items;
            size_t count, capacity;
        } array;
        struct {
            cm_json_member *members;
            uint32_t *index;
            uint32_t count, capacity;
        } object;
    } u;
};

typedef struct cm_json_block cm_json_block;

struct cm_json_doc {
    cm_json_block *blocks; /* the newest first; only it has free space that is still used */
    char *free, *end;      /* free space of the newest block */
    size_t nbytes, max_nbytes;
    bool limit_hit; /* the last failed allocation was over max_nbytes */
    uint32_t seed;
    cm_json *root;
};

/* Arena memory, aligned for structs or (text) not at all. NULL when memory or the limit is out. */
void *cm_json_alloc(cm_json_doc *doc, size_t nbytes);
char *cm_json_alloc_text(cm_json_doc *doc, size_t nbytes);
/* Of the newest cm_json_alloc_text, which ends at end, only the part before used_end is needed. */
void cm_json_trim_text(cm_json_doc *doc, const char *used_end, const char *end);

cm_json *cm_json_new_of(cm_json_doc *doc, cm_json_type type);
/* A number with this text, which is valid. */
cm_json *cm_json_new_number(cm_json_doc *doc, const char *text, size_t nbytes);

uint32_t cm_json_hash(uint32_t seed, const char *key, size_t nbytes);

/* Make the index of an object whose members are all there. *duplicate: number of the first member
 * whose key an earlier one has, or -1. Returns 0 or CM_ENOMEM. Objects too small for an index are
 * checked too. */
int cm_json_index(cm_json_doc *doc, cm_json *object, int64_t *duplicate);

/* Exact comparison of two numbers' texts. */
bool cm_json_number_equal(const cm_json *a, const cm_json *b);

#endif
