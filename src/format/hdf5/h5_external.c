/* format/hdf5/h5_external.c: other files that a file names.
 *
 * A dataset's bytes may lie in files of their own, one after the other: a list of slots, each a
 * name, an offset and a length. Every slot is an array of its own here, and the dataset is their
 * concatenation; a slot that ends inside a row is refused, since no part of it would be an array.
 *
 * What a file names is looked for below the file's own folder and nowhere else: an absolute path or
 * ".." in an archive that somebody sent would make a reader look at whatever its author likes. That
 * is narrower than libhdf5, which also takes relative names from where the process runs.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/memory.h"
#include "format/hdf5/h5_model.h"

/* No component that leaves the folder, no empty one. */
static bool stays_below(const char *name)
{
    for (const char *p = name;;) {
        size_t n = strcspn(p, "/");
        if (n == 0 || (n == 2 && p[0] == '.' && p[1] == '.'))
            return false;
        if (!p[n])
            return true;
        p += n + 1;
    }
}

int cm_h5_sibling(const cm_h5_file *f, const char *name, char **key, cm_error *err)
{
    while (strncmp(name, "./", 2) == 0)
        name += 2;
    if (!stays_below(name))
        return cm_error_set(err, CM_EUNSUP, "names the file %s, which is not below its own folder",
                            name);
    const char *slash = strrchr(f->key, '/');
    size_t folder = slash ? (size_t)(slash - f->key) + 1 : 0, n = strlen(name);
    *key = cm_calloc(1, folder + n + 1, err);
    if (!*key)
        return CM_ENOMEM;
    memcpy(*key, f->key, folder);
    memcpy(*key + folder, name, n);
    return 0;
}

int cm_h5_external_parse(cm_h5_scan *s, const cm_h5_message *m, cm_h5_dataset *d, cm_error *err)
{
    const cm_h5_file *f = s->file;
    cm_h5_cursor c = cm_h5_cursor_of(m->data, m->nbytes);
    uint8_t version = cm_h5_u8(&c);
    cm_h5_take(&c, 3 + 2);
    unsigned n = cm_h5_u16(&c);
    uint64_t heap = cm_h5_address(&c, f);
    if (c.bad || version != 1 || n > cm_h5_left(&c) / (3u * f->nbytes_len))
        return cm_error_set(err, CM_EDATA, "external file list is malformed");
    cm_h5_local names;
    int rc = cm_h5_local_open(&s->reader, heap, &names, err);
    d->slots = rc ? NULL : cm_h5_alloc_zero(&s->arena, n + 1u, sizeof *d->slots, err);
    if (!d->slots)
        return rc ? rc : CM_ENOMEM;
    uint64_t all = f->nbytes_len == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * f->nbytes_len) - 1;
    for (unsigned i = 0; i < n; i++) {
        cm_h5_slot *slot = &d->slots[i];
        const char *name = cm_h5_local_string(&names, cm_h5_length(&c, f), err);
        slot->offset = cm_h5_length(&c, f);
        slot->nbytes = cm_h5_length(&c, f);
        if (slot->nbytes == all)
            slot->nbytes = UINT64_MAX;
        if (!name)
            return CM_EDATA;
        slot->name = cm_h5_alloc_string(&s->arena, name, strlen(name), err);
        if (!slot->name)
            return CM_ENOMEM;
    }
    d->external = true;
    d->nslots = n;
    return 0;
}
