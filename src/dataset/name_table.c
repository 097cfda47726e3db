/* dataset/name_table.c: an open-addressing hash of borrowed names, at most half full. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "dataset/name_table.h"

struct cm_name_slot {
    const char *name; /* NULL: free */
    size_t nbytes;
    int64_t number;
};

/* Seeded with the table's memory, so that no file can be made in which all names collide. */
static uint64_t hash_of(const cm_name_table *t, const char *name, size_t nbytes)
{
    uint64_t h = (uint64_t)(uintptr_t)t->slots * 0x9e3779b97f4a7c15u ^ nbytes;
    for (size_t i = 0; i < nbytes; i++) {
        h = (h ^ (unsigned char)name[i]) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    return h;
}

void cm_name_table_deinit(cm_name_table *t)
{
    free(t->slots);
    *t = (cm_name_table){0};
}

static struct cm_name_slot *slot_of(const cm_name_table *t, const char *name, size_t nbytes)
{
    size_t mask = t->nslots - 1, at = (size_t)hash_of(t, name, nbytes) & mask;
    for (;; at = (at + 1) & mask) {
        struct cm_name_slot *s = &t->slots[at];
        if (!s->name || (s->nbytes == nbytes && memcmp(s->name, name, nbytes) == 0))
            return s;
    }
}

int64_t cm_name_table_find(const cm_name_table *t, const char *name, size_t nbytes)
{
    if (!t->nslots)
        return -1;
    const struct cm_name_slot *s = slot_of(t, name, nbytes);
    return s->name ? s->number : -1;
}

static int grow(cm_name_table *t, cm_error *err)
{
    cm_name_table bigger = {.nslots = t->nslots ? t->nslots * 2 : 16, .count = t->count};
    bigger.slots = cm_calloc(bigger.nslots, sizeof *bigger.slots, err);
    if (!bigger.slots)
        return CM_ENOMEM;
    for (size_t i = 0; i < t->nslots; i++)
        if (t->slots[i].name)
            *slot_of(&bigger, t->slots[i].name, t->slots[i].nbytes) = t->slots[i];
    free(t->slots);
    *t = bigger;
    return 0;
}

int cm_name_table_add(cm_name_table *t, const char *name, int64_t number, cm_error *err)
{
    if ((t->count + 1) * 2 > t->nslots && grow(t, err) != 0)
        return CM_ENOMEM;
    size_t nbytes = strlen(name);
    *slot_of(t, name, nbytes) = (struct cm_name_slot){name, nbytes, number};
    t->count++;
    return 0;
}
