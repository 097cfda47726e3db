/* base/memory.c: checked allocation; see memory.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"

static void *no_memory(cm_error *err, size_t n, size_t size)
{
    cm_error_set(err, CM_ENOMEM, "out of memory (%zu x %zu bytes)", n, size);
    return NULL;
}

void *cm_calloc(size_t n, size_t size, cm_error *err)
{
    size_t nbytes;
    if (!cm_mul_size(n, size, &nbytes))
        return no_memory(err, n, size);
    void *p = calloc(nbytes ? nbytes : 1, 1);
    return p ? p : no_memory(err, n, size);
}

void *cm_realloc(void *p, size_t n, size_t size, cm_error *err)
{
    size_t nbytes;
    if (!cm_mul_size(n, size, &nbytes))
        return no_memory(err, n, size);
    void *q = realloc(p, nbytes ? nbytes : 1);
    return q ? q : no_memory(err, n, size);
}

char *cm_strdup(const char *s, cm_error *err)
{
    return s ? cm_strndup(s, strlen(s), err) : NULL;
}

char *cm_strndup(const char *s, size_t nbytes, cm_error *err)
{
    size_t room;
    char *p = cm_add_size(nbytes, 1, &room) ? malloc(room) : NULL;
    if (!p)
        return no_memory(err, nbytes, 1);
    if (nbytes)
        memcpy(p, s, nbytes);
    p[nbytes] = 0;
    return p;
}

void *cm_memdup(const void *p, size_t nbytes, cm_error *err)
{
    void *q = malloc(nbytes ? nbytes : 1);
    if (!q)
        return no_memory(err, nbytes, 1);
    if (nbytes)
        memcpy(q, p, nbytes);
    return q;
}

char *cm_sprintf(cm_error *err, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(NULL, 0, format, ap);
    va_end(ap);
    char *s = n < 0 ? NULL : malloc((size_t)n + 1);
    if (!s)
        return no_memory(err, n < 0 ? 0 : (size_t)n, 1);
    va_start(ap, format);
    vsnprintf(s, (size_t)n + 1, format, ap);
    va_end(ap);
    return s;
}

int cm_grow(void *items_pointer, size_t *capacity, size_t need, size_t size, cm_error *err)
{
    if (need <= *capacity)
        return 0;
    size_t want = *capacity < 8 ? 8 : *capacity;
    while (want < need)
        if (!cm_mul_size(want, 2, &want))
            return cm_error_set(err, CM_ENOMEM, "out of memory (%zu x %zu bytes)", need, size);
    void *old;
    memcpy(&old, items_pointer, sizeof old);
    void *p = cm_realloc(old, want, size, err);
    if (!p)
        return CM_ENOMEM;
    memcpy(items_pointer, &p, sizeof p);
    *capacity = want;
    return 0;
}
