/* format/hdf5/h5_vlen.c: variable-length values in attributes, while a file is opened.
 *
 * The global heap collections that they lie in are indexed once and kept until there are many:
 * their bytes are the reader's, the indexes are ours. (Reading variables has a cache of its own,
 * for threads: h5_strings.c.)
 */
#include <stdlib.h>

#include "format/hdf5/h5_model.h"

void cm_h5_scan_drop_collections(cm_h5_scan *s)
{
    for (size_t i = 0; i < s->collections.capacity; i++)
        if (s->collections.keys[i] != CM_H5_UNDEF) {
            cm_h5_collection *c = (cm_h5_collection *)(uintptr_t)s->collections.values[i];
            free(c->at);
            free(c);
        }
    cm_h5_map_deinit(&s->collections);
    s->collections_nbytes = 0;
}

static int collection(cm_h5_scan *s, uint64_t addr, const cm_h5_collection **out, cm_error *err)
{
    uint64_t at;
    if (cm_h5_map_get(&s->collections, addr, &at)) {
        *out = (const cm_h5_collection *)(uintptr_t)at;
        return 0;
    }
    if (s->collections_nbytes > CM_H5_MAX_COLLECTIONS)
        cm_h5_scan_drop_collections(s); /* their bytes stay in the reader */
    const uint8_t *p;
    size_t have;
    uint64_t nbytes;
    int rc = cm_h5_get_upto(&s->reader, addr, 16, 4096, "global heap", &p, &have, err);
    if (rc == 0)
        rc = cm_h5_collection_nbytes(s->file, p, have, &nbytes, err);
    if (rc == 0)
        rc = cm_h5_get(&s->reader, addr, nbytes, "global heap", &p, err);
    if (rc)
        return rc;
    cm_h5_collection *c = malloc(sizeof *c);
    if (!c)
        return cm_error_set(err, CM_ENOMEM, "out of memory");
    rc = cm_h5_collection_index(s->file, p, (size_t)nbytes, c, err);
    if (rc == 0)
        rc = cm_h5_map_put(&s->collections, addr, (uintptr_t)c, err);
    if (rc) {
        free(c->at);
        free(c);
        return rc;
    }
    s->collections_nbytes += c->n * 8u + sizeof *c;
    *out = c;
    return 0;
}

int cm_h5_scan_heap_object(cm_h5_scan *s, uint64_t addr, uint32_t index, const uint8_t **data,
                           size_t *nbytes, cm_error *err)
{
    const cm_h5_collection *col = NULL;
    int rc = collection(s, addr, &col, err);
    return rc ? rc : cm_h5_collection_object(col, index, data, nbytes, err);
}

int cm_h5_scan_vlen(cm_h5_scan *s, const uint8_t *p, size_t size, const uint8_t **data,
                    size_t *nbytes, cm_error *err)
{
    cm_h5_cursor c = cm_h5_cursor_of(p, 8u + s->file->nbytes_off);
    uint64_t n = cm_h5_u32(&c), addr = cm_h5_address(&c, s->file);
    uint32_t index = cm_h5_u32(&c);
    *data = (const uint8_t *)"";
    *nbytes = 0;
    if (n == 0 || addr == 0 || addr == CM_H5_UNDEF)
        return 0;
    const cm_h5_collection *col = NULL;
    size_t have;
    int rc = collection(s, addr, &col, err);
    if (rc == 0)
        rc = cm_h5_collection_object(col, index, data, &have, err);
    if (rc)
        return rc;
    if (n * size > have)
        return cm_error_set(err, CM_EDATA, "variable-length value is longer than its heap object");
    *nbytes = (size_t)(n * size);
    return 0;
}
