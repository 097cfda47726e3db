/* array/table_memory.c: the table of an array whose one chunk's bytes are in memory (compact HDF5
 * datasets). */
#include <stdlib.h>
#include <string.h>

#include "array/chunked.h"
#include "base/memory.h"

typedef struct memory_table {
    cm_table base;
    size_t nbytes;
    uint64_t at;
    char data[];
} memory_table;

static int locate(const cm_table *t, const int64_t *coord, cm_location *out, cm_error *err)
{
    const memory_table *m = (const memory_table *)t;
    (void)coord, (void)err;
    out->where = CM_AT_MEMORY;
    out->key[0] = 0;
    out->offset = m->at;
    out->nbytes = m->nbytes;
    out->skip_mask = 0;
    out->inline_data = m->data;
    return 0;
}

static void free_memory(cm_table *t)
{
    free(t);
}

static uint64_t max_nbytes(const cm_table *t)
{
    return ((const memory_table *)t)->nbytes;
}

int cm_table_new_memory(const void *data, size_t nbytes, uint64_t at, cm_table **out, cm_error *err)
{
    memory_table *m = cm_calloc(1, sizeof *m + nbytes, err);
    if (!m)
        return CM_ENOMEM;
    m->base = (cm_table){locate, free_memory, max_nbytes};
    m->nbytes = nbytes;
    m->at = at;
    if (nbytes)
        memcpy(m->data, data, nbytes);
    *out = &m->base;
    return 0;
}
