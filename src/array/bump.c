/* array/bump.c: the bump allocator; see bump.h. Not locked: one thread plans. */
#include <stdlib.h>
#include <string.h>

#include "array/bump.h"
#include "base/memory.h"

enum { SLAB = 64 * 1024 };

typedef struct slab {
    struct slab *next;
    size_t nbytes, used;
    max_align_t data[];
} slab;

struct cm_bump {
    slab *first, *now;
};

static slab *slab_new(size_t nbytes, cm_error *err)
{
    slab *s = cm_realloc(NULL, 1, sizeof *s + nbytes, err);
    if (s)
        *s = (slab){.nbytes = nbytes};
    return s;
}

cm_bump *cm_bump_new(cm_error *err)
{
    cm_bump *b = cm_calloc(1, sizeof *b, err);
    if (b && !(b->first = b->now = slab_new(SLAB, err))) {
        free(b);
        b = NULL;
    }
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

static void *take(cm_bump *b, size_t nbytes, cm_error *err)
{
    nbytes = (nbytes + 7) & ~(size_t)7;
    if (b->now->nbytes - b->now->used < nbytes) {
        slab *s = slab_new(nbytes > SLAB ? nbytes : SLAB, err);
        if (!s)
            return NULL;
        b->now->next = s;
        b->now = s;
    }
    void *p = (char *)b->now->data + b->now->used;
    b->now->used += nbytes;
    return p;
}

void *cm_bump_dup(cm_bump *b, const void *p, size_t nbytes, cm_error *err)
{
    void *q = take(b, nbytes, err);
    if (q && nbytes)
        memcpy(q, p, nbytes);
    return q;
}
