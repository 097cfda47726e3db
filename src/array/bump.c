/* array/bump.c: the bump allocator; see bump.h. Not locked: one thread plans, or builds a tree. */
#include <stdlib.h>
#include <string.h>

#include "array/bump.h"
#include "base/bytes.h"
#include "base/memory.h"

typedef struct slab {
    struct slab *next;
    size_t nbytes, used;
    max_align_t data[];
} slab;

struct cm_bump {
    slab *first, *now;
    size_t nbytes; /* of a slab */
};

static slab *slab_new(size_t nbytes, cm_error *err)
{
    size_t all;
    if (!cm_add_size(sizeof(slab), nbytes, &all)) {
        cm_error_set(err, CM_ENOMEM, "out of memory (%zu bytes)", nbytes);
        return NULL;
    }
    slab *s = cm_realloc(NULL, 1, all, err);
    if (s)
        *s = (slab){.nbytes = nbytes};
    return s;
}

cm_bump *cm_bump_new(size_t nbytes, cm_error *err)
{
    cm_bump *b = cm_calloc(1, sizeof *b, err);
    if (b && !(b->first = b->now = slab_new(nbytes, err))) {
        free(b);
        b = NULL;
    }
    if (b)
        b->nbytes = nbytes;
    return b;
}

static void free_from(slab *s)
{
    while (s) {
        slab *next = s->next;
        free(s);
        s = next;
    }
}

void cm_bump_free(cm_bump *b)
{
    if (b)
        free_from(b->first);
    free(b);
}

void cm_bump_reset(cm_bump *b)
{
    free_from(b->first->next);
    b->first->next = NULL;
    b->first->used = 0;
    b->now = b->first;
}

void *cm_bump_alloc(cm_bump *b, size_t nbytes, cm_error *err)
{
    size_t room = (nbytes + 7) & ~(size_t)7;
    nbytes = room < nbytes ? nbytes : room; /* too many bytes are refused below */
    if (b->now->nbytes - b->now->used < nbytes) {
        slab *s = slab_new(nbytes > b->nbytes ? nbytes : b->nbytes, err);
        if (!s)
            return NULL;
        b->now->next = s;
        b->now = s;
    }
    void *p = (char *)b->now->data + b->now->used;
    b->now->used += nbytes;
    return p;
}

void *cm_bump_zero(cm_bump *b, size_t nbytes, cm_error *err)
{
    void *p = cm_bump_alloc(b, nbytes, err);
    if (p)
        memset(p, 0, nbytes);
    return p;
}

void *cm_bump_dup(cm_bump *b, const void *p, size_t nbytes, cm_error *err)
{
    void *q = cm_bump_alloc(b, nbytes, err);
    if (q && nbytes)
        memcpy(q, p, nbytes);
    return q;
}
