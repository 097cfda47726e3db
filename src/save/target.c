/* save/target.c: where a store is built and how it appears.
 *
 * The store is built in a directory beside the target, "NAME.cm-tmp-<boot>-<pid>-<n>", and renamed
 * at commit: under its own name there is either nothing, what was there before, or the whole store.
 * With overwrite the two directories are exchanged in one step and the old one is removed after.
 * File systems that cannot exchange (NFS, some of FUSE) get two renames: the old store steps aside,
 * "NAME.cm-old-<boot>-<pid>-<n>", and the new one takes its place. Between the two there is none
 * under the name; when the second fails the old one goes back. A name like that is never swept
 * away: whatever kills the process there, the old store is whole. Directories of that kind whose
 * process is gone are removed when a save to the same target starts.
 *
 * A target whose name ends with ".zip" is one file, and goes the same way: built under the other
 * name, whole before it is renamed. Only an archive that holds a Zarr store is ever replaced.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/memory.h"
#include "format/format.h"
#include "save/save_private.h"
#include "store/local.h"
#include "store/zip.h"

/* Of an old store that stepped aside; like CM_TEMPORARY_MARK, but nobody removes it. */
#define OLD_MARK ".cm-old-"

struct cm_target {
    cm_context *ctx;
    char *path, *directory, *building; /* the target, what it lies in, where it is built */
    cm_store *store;
    cm_durability durability;
    bool zip, made, committed, replaces;
};

static const char *strip_scheme(const char *uri)
{
    return strncmp(uri, "file://", 7) == 0 ? uri + 7 : uri;
}

static char *normal_path(const char *uri, cm_error *err)
{
    const char *p = strip_scheme(uri);
    if (strstr(p, "://")) {
        cm_error_set(err, CM_EUNSUP, "targets must be local paths");
        cm_error_object(err, uri);
        return NULL;
    }
    size_t n = strlen(p);
    while (n > 1 && p[n - 1] == '/')
        n--;
    if (n == 0) {
        cm_error_set(err, CM_EINVAL, "the target has no name");
        return NULL;
    }
    return cm_strndup(p, n, err);
}

static bool ends_with_zip(const char *path)
{
    size_t n = strlen(path);
    return n > 4 && strcasecmp(path + n - 4, ".zip") == 0 && path[n - 5] != '/';
}

static char *parent_of(const char *path, cm_error *err)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return cm_strdup(".", err);
    return slash == path ? cm_strdup("/", err) : cm_strndup(path, (size_t)(slash - path), err);
}

static bool same_file(const char *a, const char *b)
{
    struct stat sa, sb;
    return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
           sa.st_ino == sb.st_ino;
}

/* Is a inside directory b (or b itself), by what the paths really are? */
static bool lies_in(const char *a, const char *b)
{
    char *ra = realpath(a, NULL), *rb = realpath(b, NULL);
    size_t n = rb ? strlen(rb) : 0;
    bool in =
        ra && rb && strncmp(ra, rb, n) == 0 && (ra[n] == 0 || ra[n] == '/' || strcmp(rb, "/") == 0);
    free(ra);
    free(rb);
    return in;
}

/* The part of path that exists: its last parts may not yet, or lie inside an archive. */
static char *existing_part(const char *path, cm_error *err)
{
    char *part = cm_strdup(path, err);
    struct stat st;
    while (part && lstat(part, &st) != 0) {
        char *up = parent_of(part, err);
        bool top = up && strcmp(up, part) == 0;
        free(part);
        part = up;
        if (top)
            break;
    }
    return part;
}

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static int check_sources(const cm_target *t, const char *const *sources, size_t n, cm_error *err)
{
    for (size_t i = 0; i < n; i++) {
        char *part = existing_part(t->path, err);
        char *file = part ? existing_part(strip_scheme(sources[i]), err) : NULL;
        bool failed = !file;
        /* a path through an archive is the archive */
        const char *s = file && is_file(file) ? file : strip_scheme(sources[i]);
        bool apart = !failed && !same_file(s, t->path) && !lies_in(s, t->path) && !lies_in(part, s);
        free(part);
        free(file);
        if (failed)
            return CM_ENOMEM;
        if (apart)
            continue;
        cm_error_set(err, CM_EINVAL, "the target is a source, or lies in one, or holds one (%s)",
                     sources[i]);
        cm_error_hint(err, "name another target as the last argument");
        return cm_error_object(err, t->path), CM_EINVAL;
    }
    return 0;
}

static bool exists_in(const char *directory, const char *name)
{
    char path[4096];
    struct stat st;
    int n = snprintf(path, sizeof path, "%s/%s", directory, name);
    return n > 0 && (size_t)n < sizeof path && stat(path, &st) == 0;
}

static bool is_zarr(const char *path)
{
    return exists_in(path, "zarr.json") || exists_in(path, ".zgroup") ||
           exists_in(path, ".zarray") || exists_in(path, ".zmetadata");
}

/* An archive that holds a Zarr store? */
static int look_into_zip(const cm_target *t, bool *is, cm_error *err)
{
    const char *slash = strrchr(t->path, '/');
    cm_store *files = NULL, *archive = NULL;
    char *root = NULL;
    int r = cm_store_open_local(NULL, t->directory, CM_DURABLE_NONE, &files, err);
    if (!r)
        r = cm_store_open_zip(NULL, files, slash ? slash + 1 : t->path, &archive, err);
    if (!r)
        r = cm_zarr_archive_root(archive, &root, err);
    *is = r == 0;
    free(root);
    cm_store_unref(archive);
    cm_store_unref(files);
    return r == CM_EDATA || r == CM_EUNSUP ? 0 : r;
}

/* A name that Zarr stores and references have at their top: documents, chunks of a root array. */
static bool is_part_of_store(const char *name)
{
    static const char *const documents[] = {"zarr.json", ".zgroup", ".zattrs", ".zarray",
                                            ".zmetadata"};
    for (size_t i = 0; i < sizeof documents / sizeof *documents; i++)
        if (strcmp(name, documents[i]) == 0)
            return true;
    if (strncmp(name, "refs.", 5) == 0)
        return true;
    name += name[0] == 'c' && (name[1] == '.' || !name[1]);
    return name[strspn(name, "0123456789.")] == 0 || strstr(name, CM_TEMPORARY_MARK) ||
           strncmp(name, ".nfs", 4) == 0;
}

/* A file at the top of a store that is none of it: somebody's, who would lose it. Only the top is
 * looked at: below may be millions. False: there is none. */
static bool find_foreign(const char *directory, char *name, size_t size)
{
    DIR *d = opendir(directory);
    bool found = false;
    for (struct dirent *e; d && !found && (e = readdir(d));) {
        struct stat st;
        found = fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                !S_ISDIR(st.st_mode) && !is_part_of_store(e->d_name);
        if (found)
            snprintf(name, size, "%s", e->d_name);
    }
    if (d)
        closedir(d);
    return found;
}

/* May --overwrite replace what is there? */
static int is_replaceable(const cm_target *t, bool *is, cm_error *err)
{
    struct stat st;
    *is = lstat(t->path, &st) == 0 && (t->zip ? S_ISREG(st.st_mode) : S_ISDIR(st.st_mode));
    if (*is && t->zip)
        return look_into_zip(t, is, err);
    *is = *is && is_zarr(t->path);
    return 0;
}

static bool is_empty_directory(const char *path)
{
    DIR *d = opendir(path);
    int n = 0;
    if (!d)
        return false;
    while (n < 3 && readdir(d))
        n++;
    closedir(d);
    return n <= 2;
}

/* What is there now may be nothing, an empty directory, or with overwrite a Zarr store. */
static int check_existing(cm_target *t, bool overwrite, cm_error *err)
{
    struct stat st;
    if (lstat(t->path, &st) != 0) {
        if (errno == ENOENT)
            return 0;
        return cm_error_set_os(err, errno, "looking at the target"), cm_error_object(err, t->path),
               err ? err->code : CM_EIO;
    }
    if (!t->zip && S_ISDIR(st.st_mode) && is_empty_directory(t->path))
        return 0;
    cm_error e;
    bool replaceable;
    char foreign[256];
    cm_error_clear(&e);
    int r = is_replaceable(t, &replaceable, err);
    if (r)
        return r;
    if (!replaceable) {
        cm_error_set(&e, CM_EEXIST,
                     t->zip ? "exists and is not a zip archive of a Zarr store"
                            : "exists and is not a Zarr store");
        cm_error_hint(&e, "name a target that does not exist; only Zarr stores are ever replaced");
    } else if (!overwrite) {
        cm_error_set(&e, CM_EEXIST, "exists already");
        cm_error_hint(&e, "add --overwrite to replace it, or name another target");
    } else if (!t->zip && find_foreign(t->path, foreign, sizeof foreign)) {
        cm_error_set(&e, CM_EEXIST,
                     "holds %s, which is no part of a Zarr store, and is not replaced", foreign);
        cm_error_hint(&e, "move that away, or name another target");
    } else {
        t->replaces = true;
        return 0;
    }
    cm_error_object(&e, t->path);
    if (err)
        *err = e;
    return CM_EEXIST;
}

/* A name for the directory that nobody has. Nothing is made yet: the store makes its directory. */
static int choose_building(cm_target *t, cm_error *err)
{
    struct stat st;
    for (unsigned serial = 0;; serial++) {
        t->building = cm_sprintf(err, "%s" CM_TEMPORARY_MARK "%016" PRIx64 "-%ld-%u", t->path,
                                 cm_local_host(), (long)getpid(), serial);
        if (!t->building)
            return CM_ENOMEM;
        if (lstat(t->building, &st) != 0)
            return 0;
        free(t->building);
        t->building = NULL;
    }
}

int cm_target_open(cm_save *save, const char *target, const char *const *sources, size_t nsources,
                   cm_target **out, cm_error *err)
{
    cm_target *t = cm_calloc(1, sizeof *t, err);
    int r = t ? 0 : CM_ENOMEM;
    if (r)
        return r;
    t->ctx = save->ctx;
    t->durability = (cm_durability)save->options.durability;
    t->path = normal_path(target, err);
    if (t->path)
        t->directory = parent_of(t->path, err);
    if (!t->directory)
        r = err->code;
    t->zip = t->path && save->may_zip && ends_with_zip(t->path);
    if (!r)
        r = check_sources(t, sources, nsources, err);
    if (!r)
        r = check_existing(t, save->options.overwrite, err);
    if (!r)
        r = choose_building(t, err);
    if (!r && t->zip)
        r = cm_zip_writer_new(save->ctx, t->building, t->durability, &t->store, err);
    else if (!r)
        r = cm_store_open_local(save->ctx, t->building, t->durability, &t->store, err);
    if (r) {
        cm_target_close(t);
        return r;
    }
    *out = t;
    return 0;
}

int cm_target_begin(cm_target *t, cm_error *err)
{
    if (t->made)
        return 0;
    const char *slash = strrchr(t->path, '/');
    cm_local_sweep(t->directory, slash ? slash + 1 : t->path, false);
    if (t->zip) {
        int r = cm_zip_writer_begin(t->store, err);
        t->made = r == 0;
        return r;
    }
    if (mkdir(t->building, 0777) != 0) {
        int e = errno, r = cm_error_set_os(err, e, "making the target's directory");
        if (e == ENOENT)
            cm_error_hint(err, "make %s first", t->directory);
        return cm_error_object(err, t->path), r;
    }
    t->made = true;
    return 0;
}

cm_store *cm_target_store(const cm_target *t)
{
    return t->store;
}

const char *cm_target_directory(const cm_target *t)
{
    return t->directory;
}

const char *cm_target_uri(const cm_target *t)
{
    return t->path;
}

/* What was to be replaced may have gone while the save ran, or be something else now: only Zarr
 * stores are ever removed. */
static int look_again(cm_target *t, cm_error *err)
{
    struct stat st;
    bool replaceable = true;
    char foreign[256];
    int r = t->replaces ? is_replaceable(t, &replaceable, err) : 0;
    if (r == 0 && replaceable && t->replaces && !t->zip &&
        find_foreign(t->path, foreign, sizeof foreign)) {
        cm_error_set(err, CM_EEXIST, "holds %s now, which is no part of a Zarr store", foreign);
        return cm_error_object(err, t->path), CM_EEXIST;
    }
    if (r || replaceable)
        return r;
    if (lstat(t->path, &st) != 0 && errno == ENOENT) {
        t->replaces = false;
        return 0;
    }
    cm_error_set(err, CM_EEXIST, "it is no Zarr store any more, and is not replaced");
    return cm_error_object(err, t->path), CM_EEXIST;
}

/* Are exchanging renames something that the file system, or the kernel, does not have? */
static bool cannot_exchange(int e)
{
    return e == EINVAL || e == ENOSYS || e == ENOTSUP || e == EOPNOTSUPP;
}

/* Put the new store in the place of the old one by two renames. The old one is then where the new
 * one was built. */
static int replace_in_two_steps(cm_target *t, cm_error *err)
{
    const char *mark = t->building + strlen(t->path) + strlen(CM_TEMPORARY_MARK);
    char *aside = cm_sprintf(err, "%s" OLD_MARK "%s", t->path, mark);
    if (!aside)
        return CM_ENOMEM;
    int r = 0;
    if (rename(t->path, aside) != 0) {
        r = cm_error_set_os(err, errno, "moving the old store aside");
    } else if (rename(t->building, t->path) != 0) {
        int e = errno;
        r = cm_error_set_os(err, e, "giving the new store its name");
        if (rename(aside, t->path) != 0)
            cm_error_hint(err, "the old store is %s now: rename it back", aside);
    } else {
        cm_context_log(t->ctx, CM_LOG_WARNING,
                       "%s: this file system cannot exchange two directories: for a moment there "
                       "was none of that name",
                       t->path);
        /* where close and the removal of the old one expect it; if that fails it goes from here */
        if (rename(aside, t->building) != 0) {
            free(t->building);
            t->building = aside;
            aside = NULL;
        }
    }
    free(aside);
    return cm_error_object(r ? err : NULL, t->path), r;
}

int cm_target_commit(cm_target *t, cm_error *err)
{
    int r = t->zip ? cm_zip_writer_finish(t->store, err) : t->store->vt->sync(t->store, err);
    if (!r)
        r = look_again(t, err);
    if (r)
        return r;
    if (t->zip) {
        int e = !t->replaces                        ? cm_local_name_if_absent(t->building, t->path)
                : rename(t->building, t->path) != 0 ? errno
                                                    : 0;
        if (e) {
            r = cm_error_set_os(err, e, "giving the new archive its name");
            return cm_error_object(err, t->path), r;
        }
    } else if (t->replaces) {
        if (renameat2(AT_FDCWD, t->building, AT_FDCWD, t->path, RENAME_EXCHANGE) != 0) {
            int e = errno;
            r = cannot_exchange(e)
                    ? replace_in_two_steps(t, err)
                    : cm_error_set_os(err, e, "exchanging the new store with the old one");
            if (r)
                return cm_error_object(err, t->path), r;
        }
    } else if (rename(t->building, t->path) != 0) {
        r = cm_error_set_os(err, errno, "giving the new store its name");
        return cm_error_object(err, t->path), r;
    }
    t->committed = true;
    if (t->durability == CM_DURABLE_DIR)
        r = cm_local_flush_directory(t->directory, err);
    if (t->replaces && !t->zip) { /* not flushed: after a crash the name may be the old one's */
        r = r ? r : cm_local_remove_tree(t->building, err);
        if (r)
            cm_error_prefix(err, "the new store is in its place, but of the old one something is "
                                 "left beside it");
    }
    return r;
}

bool cm_target_committed(const cm_target *t)
{
    return t && t->committed;
}

void cm_target_close(cm_target *t)
{
    if (!t)
        return;
    if (t->made && !t->committed && (!t->zip || unlink(t->building) != 0))
        cm_local_remove_tree(t->building, NULL);
    cm_store_unref(t->store);
    free(t->path);
    free(t->directory);
    free(t->building);
    free(t);
}

int cm_free_space(const char *directory, uint64_t *nbytes, cm_error *err)
{
    struct statvfs v;
    if (statvfs(directory, &v) != 0) {
        int e = errno, r = cm_error_set_os(err, e, "looking at the free space");
        if (e == ENOENT) {
            r = cm_error_set(err, CM_ENOTFOUND, "there is no such directory");
            cm_error_hint(err, "make it first: mkdir -p");
        }
        return cm_error_object(err, directory), r;
    }
    *nbytes = (uint64_t)v.f_bavail * v.f_frsize;
    return 0;
}
