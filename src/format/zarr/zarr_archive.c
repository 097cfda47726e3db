/* format/zarr/zarr_archive.c: where in an archive a Zarr hierarchy is.
 *
 * Some pack the content of the store's directory, others the directory itself. So it is looked for
 * at the root and, when the root holds nothing else, in the one folder there is. What archivers of
 * some systems add does not count.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "format/format.h"

static int has_document(cm_store *store, const char *prefix, bool *found, cm_error *err)
{
    static const char *const names[] = {"zarr.json", ".zgroup", ".zarray", ".zmetadata"};
    *found = false;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !*found; i++) {
        cm_object_version version;
        cm_error why = {0};
        char *key = cm_sprintf(err, "%s%s%s", prefix, *prefix ? "/" : "", names[i]);
        int r = key ? store->vt->stat(store, key, &version, &why) : CM_ENOMEM;
        free(key);
        *found = r == 0;
        if (r && r != CM_ENOTFOUND && r != CM_EIO) { /* EIO: a folder of that name */
            if (err && why.code)
                *err = why;
            return r;
        }
    }
    return 0;
}

typedef struct top {
    char *folder; /* the first */
    size_t folders, files;
} top;

static bool is_junk(const char *name)
{
    return strcmp(name, "__MACOSX") == 0 || strcmp(name, ".DS_Store") == 0;
}

static int count(void *user, const char *name, bool is_prefix, uint64_t size, cm_error *err)
{
    top *t = user;
    (void)size;
    if (is_junk(name))
        return 0;
    t->files += !is_prefix;
    if (is_prefix && t->folders++ == 0 && !(t->folder = cm_strdup(name, err)))
        return CM_ENOMEM;
    return 0;
}

int cm_zarr_archive_root(cm_store *archive, char **out, cm_error *err)
{
    top t = {0};
    bool found;
    int r = has_document(archive, "", &found, err);
    if (r == 0 && found) {
        *out = cm_strdup("", err);
        return *out ? 0 : CM_ENOMEM;
    }
    if (r == 0)
        r = archive->vt->list(archive, "", count, &t, err);
    if (r == 0 && t.folders == 1 && t.files == 0)
        r = has_document(archive, t.folder, &found, err);
    if (r == 0 && !found) {
        r = cm_error_set(err, CM_EUNSUP,
                         "a zip archive without a Zarr store: neither its root nor its one folder "
                         "has a zarr.json, .zgroup or .zarray");
        cm_error_hint(err, "unpack it, and name what is in it");
    }
    if (r) {
        free(t.folder);
        return r;
    }
    *out = t.folder;
    return 0;
}
