/* join/survey_keys.c: see the header. Open addressing with the hash kept beside each key, so that
 * growing never looks at the bytes again. */
#include "join/survey_keys.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash128.h"
#include "base/memory.h"

struct cm_key {
    char *bytes;
    size_t nbytes;
    uint64_t hash;
};

/* The slot that holds the key, or the free one where it would go. nslots is not 0. */
static size_t slot_of(const cm_keys *k, const void *key, size_t nbytes, uint64_t hash)
{
    size_t i = hash & (k->nslots - 1);
    for (; k->slots[i]; i = (i + 1) & (k->nslots - 1)) {
        const struct cm_key *there = &k->items[k->slots[i] - 1];
        if (there->hash == hash && there->nbytes == nbytes &&
            (nbytes == 0 || memcmp(there->bytes, key, nbytes) == 0))
            break;
    }
    return i;
}

static int grow(cm_keys *k, cm_error *err)
{
    size_t nslots = k->nslots ? 2 * k->nslots : 64;
    uint32_t *slots = cm_calloc(nslots, sizeof *slots, err);
    if (!slots)
        return CM_ENOMEM;
    for (size_t i = 0; i < k->n; i++) {
        size_t at = k->items[i].hash & (nslots - 1);
        while (slots[at])
            at = (at + 1) & (nslots - 1);
        slots[at] = (uint32_t)i + 1;
    }
    free(k->slots);
    k->nbytes += (nslots - k->nslots) * sizeof *slots;
    k->slots = slots;
    k->nslots = nslots;
    return 0;
}

int cm_keys_add(cm_keys *k, const void *key, size_t nbytes, uint32_t *number, bool *added,
                cm_error *err)
{
    uint64_t hash = cm_hash64(key, nbytes);
    if (added)
        *added = false;
    if (2 * (k->n + 1) > k->nslots && grow(k, err))
        return CM_ENOMEM;
    size_t at = slot_of(k, key, nbytes, hash);
    if (k->slots[at]) {
        *number = k->slots[at] - 1;
        return 0;
    }
    if (k->n >= INT32_MAX)
        return cm_error_set(err, CM_ELIMIT, "more than 2^31 different things in the files");
    if (cm_grow(&k->items, &k->capacity, k->n + 1, sizeof *k->items, err))
        return CM_ENOMEM;
    char *copy = cm_calloc(nbytes + 1, 1, err);
    if (!copy)
        return CM_ENOMEM;
    if (nbytes)
        memcpy(copy, key, nbytes);
    k->items[k->n] = (struct cm_key){copy, nbytes, hash};
    k->nbytes += nbytes + 1 + sizeof *k->items + 16;
    *number = (uint32_t)k->n++;
    k->slots[at] = *number + 1;
    if (added)
        *added = true;
    return 0;
}

bool cm_keys_find(const cm_keys *k, const void *key, size_t nbytes, uint32_t *number)
{
    if (k->nslots == 0)
        return false;
    size_t at = slot_of(k, key, nbytes, cm_hash64(key, nbytes));
    if (k->slots[at])
        *number = k->slots[at] - 1;
    return k->slots[at] != 0;
}

const char *cm_keys_at(const cm_keys *k, uint32_t number, size_t *nbytes)
{
    if (nbytes)
        *nbytes = k->items[number].nbytes;
    return k->items[number].bytes;
}

void cm_keys_deinit(cm_keys *k)
{
    for (size_t i = 0; i < k->n; i++)
        free(k->items[i].bytes);
    free(k->items);
    free(k->slots);
    *k = (cm_keys){0};
}
