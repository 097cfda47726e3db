/* join/memory_cells.c: see the header. Texts are kept as bytes of the longest one's length, which a
 * map makes strings of. */
#include "join/memory_cells.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "format/format.h"

typedef struct held {
    size_t size;
    int ndim;
    int64_t shape[CM_MAX_DIMS];
    uint8_t *cells;
} held;

static int fill(void *user, const int64_t *start, const int64_t *count, void *dst, cm_error *err)
{
    const held *h = user;
    int64_t i[CM_MAX_DIMS] = {0};
    uint8_t *out = dst;
    (void)err;
    do {
        int64_t at = 0;
        for (int k = 0; k < h->ndim; k++)
            at = at * h->shape[k] + start[k] + i[k];
        memcpy(out, h->cells + (size_t)at * h->size, h->size);
        out += h->size;
    } while (cm_next(h->ndim, count, i));
    return 0;
}

static void release(void *user)
{
    held *h = user;
    free(h->cells);
    free(h);
}

int cm_array_of_cells(cm_dtype dtype, int ndim, const int64_t *shape, void *cells,
                      const char *label, const char *path, cm_array **out, cm_error *err)
{
    *out = NULL;
    held *h = cm_calloc(1, sizeof *h, err);
    if (!h) {
        free(cells);
        return CM_ENOMEM;
    }
    *h = (held){.size = dtype.size, .ndim = ndim, .cells = cells};
    memcpy(h->shape, shape, (size_t)ndim * sizeof *shape);
    int rc = cm_array_from_callback(dtype, ndim, shape, NULL, fill, h, release, out, err);
    if (rc) {
        release(h);
        return rc;
    }
    rc = cm_array_set_names(*out, label, path, err);
    if (rc) {
        cm_array_unref(*out);
        *out = NULL;
    }
    return rc;
}

int cm_array_of_texts(const char *const *texts, size_t n, const char *label, const char *path,
                      cm_array **out, cm_error *err)
{
    size_t longest = 1;
    int64_t length = (int64_t)n;
    *out = NULL;
    for (size_t i = 0; i < n; i++)
        longest = strlen(texts[i]) > longest ? strlen(texts[i]) : longest;
    if (longest > UINT32_MAX)
        return cm_error_set(err, CM_ELIMIT, "a text of more than 2^32 bytes");
    char *cells = cm_calloc(n, longest, err);
    if (!cells)
        return CM_ENOMEM;
    for (size_t i = 0; i < n; i++)
        memcpy(cells + i * longest, texts[i], strlen(texts[i]));
    cm_array *bytes = NULL;
    int rc = cm_array_of_cells(cm_dtype_of(CM_BYTES, (uint32_t)longest), 1, &length, cells, label,
                               path, &bytes, err);
    return rc ? rc : cm_array_bytes_to_string(bytes, out, err);
}
