/* format/hdf5/h5_external.c: other files that a file names.
 *
 * A dataset's bytes may lie in files of their own, one after the other: a list of slots, each a
 * name, an offset and a length. Every slot is an array of its own here, and the dataset is their
 * concatenation; a slot that ends inside a row is refused, since no part of it would be an array.
 *
 * What a file names is looked for below the file's own folder and nowhere else: an absolute path or
 * ".." in an archive that somebody sent would make a reader look at whatever its author likes. A
 * context that trusts paths takes them as libhdf5 does: absolute ones, and where nothing is there
 * the last part of the name beside the file (not for external data), relative ones from the file's
 * folder. libhdf5 also takes relative names from where the process runs.
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

/* name in the folder that f is in. */
static int beside(const cm_h5_file *f, const char *name, cm_store **store, char **key,
                  cm_error *err)
{
    const char *slash = strrchr(f->key, '/');
    size_t folder = slash ? (size_t)(slash - f->key) + 1 : 0, n = strlen(name);
    *key = cm_calloc(1, folder + n + 1, err);
    if (!*key)
        return CM_ENOMEM;
    memcpy(*key, f->key, folder);
    memcpy(*key + folder, name, n);
    *store = cm_store_ref(f->store);
    return 0;
}

/* The file at path, which is made to pieces. */
static int at_path(const cm_h5_file *f, char *path, cm_store **store, char **key, cm_error *err)
{
    char *slash = strrchr(path, '/'), *name = slash + 1;
    if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return cm_error_set(err, CM_EUNSUP, "names %s, which is no file", path);
    *key = cm_strdup(name, err);
    if (!*key)
        return CM_ENOMEM;
    slash[slash == path] = 0;          /* "/" stays */
    char *real = realpath(path, NULL); /* files that lead to one another have one name each */
    int rc = cm_store_open_local(f->ctx, real ? real : path, CM_DURABLE_NONE, store, err);
    free(real);
    if (rc) {
        free(*key);
        *key = NULL;
    }
    return rc;
}

/* name wherever it leads to. */
static int anywhere(const cm_h5_file *f, const char *name, cm_store **store, char **key,
                    cm_error *err)
{
    const char *top = cm_store_local_path(f->store), *slash = strrchr(f->key, '/');
    if (!top)
        return cm_error_set(err, CM_EUNSUP, "names the file %s, and is in no folder", name);
    cm_buffer path;
    cm_buffer_init(&path, 1u << 20);
    int rc = 0;
    if (*name != '/')
        rc = cm_buffer_printf(&path, err, "%s/%.*s", top, slash ? (int)(slash - f->key) + 1 : 0,
                              f->key);
    if (rc == 0)
        rc = cm_buffer_append(&path, name, strlen(name) + 1, err);
    if (rc == 0)
        rc = at_path(f, (char *)path.data, store, key, err);
    cm_buffer_deinit(&path);
    return rc;
}

int cm_h5_sibling(const cm_h5_file *f, const char *name, cm_store **store, char **key,
                  cm_error *err)
{
    *store = NULL;
    *key = NULL;
    while (strncmp(name, "./", 2) == 0)
        name += 2;
    if (stays_below(name))
        return beside(f, name, store, key, err);
    if (*name && cm_context_trusts_paths(f->ctx))
        return anywhere(f, name, store, key, err);
    cm_error_set(err, CM_EUNSUP, "names the file %s, which is not below its own folder", name);
    cm_error_hint(err, "--trust-paths reads it all the same");
    return CM_EUNSUP;
}

int cm_h5_other_file(const cm_h5_file *f, const char *name, cm_store **store, char **key,
                     cm_error *err)
{
    cm_object_version version;
    const char *slash = strrchr(name, '/');
    int rc = cm_h5_sibling(f, name, store, key, err);
    if (rc || *name != '/' || !slash[1])
        return rc;
    rc = (*store)->vt->stat(*store, *key, &version, err);
    if (rc != CM_ENOTFOUND)
        return 0; /* whatever is wrong with it, it is there */
    cm_error_clear(err);
    cm_store_unref(*store);
    free(*key);
    return cm_h5_sibling(f, slash + 1, store, key, err);
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
