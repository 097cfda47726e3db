/* join/survey_keys.h: equal byte strings become equal small numbers. */
#ifndef CM_JOIN_SURVEY_KEYS_H
#define CM_JOIN_SURVEY_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chunkmill/error.h"

/* Zeroed: empty. Keys are copied and numbered 0, 1, 2... */
typedef struct cm_keys {
    struct cm_key *items;
    size_t n, capacity;
    uint32_t *slots; /* number + 1, 0: free */
    size_t nslots;   /* 0 or a power of two, at most half of it in use */
    uint64_t nbytes; /* that all of it takes */
} cm_keys;

/* The number of key[0..nbytes), a new one (*added) when it is not there yet. Raises CM_ENOMEM,
 * CM_ELIMIT (more than 2^31 keys). */
int cm_keys_add(cm_keys *k, const void *key, size_t nbytes, uint32_t *number, bool *added,
                cm_error *err);

/* false: not there. */
bool cm_keys_find(const cm_keys *k, const void *key, size_t nbytes, uint32_t *number);

/* The bytes of a number, followed by a NUL byte. */
const char *cm_keys_at(const cm_keys *k, uint32_t number, size_t *nbytes);

void cm_keys_deinit(cm_keys *k);

#endif
