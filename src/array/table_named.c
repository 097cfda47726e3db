/* array/table_named.c: Zarr's chunk keys: the key is a function of the coordinate, nothing is
 * stored. Source: zarr-specs v3 "chunk key encodings" (default: "c" and the indices; v2: the
 * indices; a 0-d array has "c" and "0").
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array/chunked.h"
#include "base/memory.h"

typedef struct named {
    cm_table base;
    int ndim;
    char separator;
    bool v3_default;
    char prefix[];
} named;

int cm_named_key(const cm_table *t, const int64_t *coord, char *key, cm_error *err)
{
    const named *m = (const named *)t;
    size_t room = 1024;
    int n = snprintf(key, room, "%s%s%s", m->prefix, m->prefix[0] ? "/" : "",
                     m->v3_default  ? "c"
                     : m->ndim == 0 ? "0"
                                    : "");
    for (int i = 0; i < m->ndim && n >= 0 && (size_t)n < room; i++) {
        char sep[2] = {m->separator, 0};
        n += snprintf(key + n, room - (size_t)n, "%s%" PRId64, i == 0 && !m->v3_default ? "" : sep,
                      coord[i]);
    }
    if (n < 0 || (size_t)n >= room)
        return cm_error_set(err, CM_ELIMIT, "a chunk key of more than 1023 bytes below %s",
                            m->prefix);
    return 0;
}

static int locate(const cm_table *t, const int64_t *coord, cm_location *out, cm_error *err)
{
    out->where = CM_AT_OBJECT;
    out->offset = 0;
    out->nbytes = UINT64_MAX;
    out->skip_mask = 0;
    out->inline_data = NULL;
    return cm_named_key(t, coord, out->key, err);
}

static void free_named(cm_table *t)
{
    free(t);
}

int cm_table_new_named(const char *prefix, int ndim, char separator, bool v3_default,
                       cm_table **out, cm_error *err)
{
    named *m = cm_calloc(1, sizeof *m + strlen(prefix) + 1, err);
    if (!m)
        return CM_ENOMEM;
    m->base = (cm_table){locate, free_named, NULL};
    m->ndim = ndim;
    m->separator = separator;
    m->v3_default = v3_default;
    memcpy(m->prefix, prefix, strlen(prefix) + 1);
    *out = &m->base;
    return 0;
}
