/* format/hdf5/h5_roots.c: the roots of many chunk indexes in one store call.
 *
 * Each variable's index is read when it is first asked for, with a call of its own. Who will ask
 * for all of them (references to a whole file, a scan) says so before: the roots that are wanted
 * are noted, and the first index that is read fetches all of them at once. A root's bytes are given
 * away once and are kept no longer; what is fetched in vain goes with the file. They are of the
 * version that the file was opened with, or are not there: then the index reads its root itself and
 * says what is wrong.
 */
#include <stdlib.h>

#include "base/memory.h"
#include "format/hdf5/h5_reader.h"

enum { MAX_ROOTS = 256 };
static const size_t max_nbytes = (size_t)4 << 20; /* of all roots of a file */

/* Forget those at least, so that the list stays short. */
static void drop(cm_h5_roots *r)
{
    for (size_t i = 0; i < r->n; i++)
        free(r->items[i].data);
    r->n = 0;
    r->nbytes = 0;
    r->fetched = false;
}

void cm_h5_roots_deinit(cm_h5_roots *r)
{
    drop(r);
    free(r->items);
    pthread_mutex_destroy(&r->lock);
}

void cm_h5_root_want(cm_h5_file *f, uint64_t at, size_t nbytes)
{
    cm_h5_roots *r = &f->roots;
    pthread_mutex_lock(&r->lock);
    if (r->fetched)
        drop(r);
    if (r->n < MAX_ROOTS && nbytes <= max_nbytes - r->nbytes && at <= f->size &&
        nbytes <= f->size - at &&
        cm_grow(&r->items, &r->capacity, r->n + 1, sizeof *r->items, NULL) == 0) {
        r->items[r->n++] = (cm_h5_root){at, nbytes, NULL};
        r->nbytes += nbytes;
    }
    pthread_mutex_unlock(&r->lock);
}

static void fetch(cm_h5_file *f)
{
    cm_h5_roots *r = &f->roots;
    cm_range *ranges = cm_calloc(r->n, sizeof *ranges, NULL);
    cm_object_version version = f->version;
    bool good = ranges != NULL;
    for (size_t i = 0; i < r->n && good; i++) {
        r->items[i].data = malloc(r->items[i].nbytes);
        ranges[i] = (cm_range){r->items[i].at, r->items[i].nbytes, r->items[i].data};
        good = ranges[i].dst != NULL;
    }
    good = good && f->store->vt->get(f->store, f->key, ranges, (int)r->n, &version, NULL) == 0;
    r->fetched = true;
    if (!good)
        drop(r);
    free(ranges);
}

uint8_t *cm_h5_root_take(cm_h5_file *f, uint64_t at, size_t nbytes)
{
    cm_h5_roots *r = &f->roots;
    uint8_t *data = NULL;
    pthread_mutex_lock(&r->lock);
    size_t i = 0;
    while (i < r->n && (r->items[i].at != at || r->items[i].nbytes != nbytes))
        i++;
    if (i < r->n && !r->fetched)
        fetch(f);
    if (i < r->n) {
        data = r->items[i].data;
        r->items[i].data = NULL;
    }
    pthread_mutex_unlock(&r->lock);
    return data;
}
