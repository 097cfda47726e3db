/* store/local_walk.c: a directory as a store: listing, deleting.
 *
 * Deleting goes down with openat and never follows a symbolic link, so that it stays below the
 * store whatever somebody puts into it meanwhile; a link itself is removed. Listing and reading do
 * follow links: archives are often farms of links. Depth is limited: one descriptor is open per
 * level.
 *
 * Others may add and remove files at the same time. What is gone already is no error; a directory
 * that got new files while it was emptied is emptied again, a few times.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/context_private.h"
#include "store/local.h"

enum { MAX_DEPTH = 128, PASSES = 100 };

static int fail_os(cm_error *err, int e, const char *path, const char *name, const char *what)
{
    char whole[CM_LOCAL_PATH_ROOM + 256];
    snprintf(whole, sizeof whole, "%s%s%s", path, name ? "/" : "", name ? name : "");
    int r = cm_error_set_os(err, e, "%s", what);
    cm_error_object(err, whole);
    return r;
}

static bool is_absent(int e)
{
    return e == ENOENT || e == ENOTDIR;
}

/* The next entry but "." and ".."; NULL with *e at the end (0) or on failure. */
static struct dirent *next_entry(DIR *dir, int *e)
{
    struct dirent *d;
    do {
        errno = 0;
        d = readdir(dir);
    } while (d && (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0));
    *e = d ? 0 : errno;
    return d;
}

/* The entry cannot be looked at, for reason e. One that is gone since is no error. A link to
 * nothing is one: what lay there (an array on a disk that is not mounted) must not just be missing.
 */
static int fail_entry(int dir, const char *path, const char *name, int e, cm_error *err)
{
    struct stat st;
    if (!is_absent(e))
        return fail_os(err, e, path, name, "cannot look at it");
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0 && is_absent(errno))
        return 0;
    if (!S_ISLNK(st.st_mode))
        return fail_os(err, e, path, name, "cannot look at it");
    cm_error_set(err, CM_EIO, "%s is a link to nothing", name);
    return cm_error_object(err, path), CM_EIO;
}

int cm_local_list(cm_store *base, const char *prefix, cm_list_fn fn, void *user, cm_error *err)
{
    cm_local *s = (cm_local *)base;
    char path[CM_LOCAL_PATH_ROOM];
    int r = cm_local_key_path(s, prefix, path, err);
    if (r)
        return r;
    DIR *dir = opendir(path);
    if (!dir)
        return is_absent(errno) ? 0 : fail_os(err, errno, path, NULL, "cannot list");
    int e = 0;
    for (struct dirent *d; r == 0 && (d = next_entry(dir, &e));) {
        struct stat st;
        if (strstr(d->d_name, CM_TEMPORARY_MARK))
            continue;
        if (fstatat(dirfd(dir), d->d_name, &st, 0) != 0) {
            r = fail_entry(dirfd(dir), path, d->d_name, errno, err);
            continue;
        }
        if (S_ISDIR(st.st_mode))
            r = fn(user, d->d_name, true, 0, err);
        else if (S_ISREG(st.st_mode))
            r = fn(user, d->d_name, false, (uint64_t)st.st_size, err);
    }
    if (r == 0 && e)
        r = fail_os(err, e, path, NULL, "cannot list");
    closedir(dir);
    return r;
}

int cm_local_del(cm_store *base, const char *key, cm_error *err)
{
    char path[CM_LOCAL_PATH_ROOM];
    int r = cm_local_key_path((cm_local *)base, key, path, err);
    if (r)
        return r;
    if (unlink(path) == 0 || is_absent(errno) || errno == EISDIR)
        return 0;
    return fail_os(err, errno, path, NULL, "cannot delete");
}

/* What a walk does in every directory. */
typedef struct walk {
    cm_local *s;
    cm_error *err;
} walk;

static int open_dir(int at, const char *name, DIR **out)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno;
    *out = fdopendir(fd);
    if (!*out) {
        int e = errno;
        close(fd);
        return e;
    }
    return 0;
}

static int walk_dir(walk *w, DIR *dir, const char *path, int depth);

/* One entry of a directory: go into it or remove it. */
static int walk_entry(walk *w, DIR *dir, const char *path, const char *name, int depth)
{
    struct stat st;
    int fd = dirfd(dir);
    if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return is_absent(errno) ? 0 : fail_os(w->err, errno, path, name, "cannot look at it");
    if (!S_ISDIR(st.st_mode))
        return unlinkat(fd, name, 0) == 0 || is_absent(errno)
                   ? 0
                   : fail_os(w->err, errno, path, name, "cannot delete");
    char below[CM_LOCAL_PATH_ROOM];
    int n = snprintf(below, sizeof below, "%s/%s", path, name);
    if (n < 0 || (size_t)n >= sizeof below || depth == MAX_DEPTH)
        return cm_error_set(w->err, CM_ELIMIT, "%.200s...: directories are nested too deeply",
                            path);
    for (int pass = 0;; pass++) {
        DIR *child;
        int e = open_dir(fd, name, &child);
        if (e)
            return is_absent(e) ? 0 : fail_os(w->err, e, below, NULL, "cannot open");
        int r = walk_dir(w, child, below, depth + 1);
        closedir(child);
        if (r || unlinkat(fd, name, AT_REMOVEDIR) == 0 || is_absent(errno))
            return r;
        if ((errno != ENOTEMPTY && errno != EEXIST) || pass == PASSES)
            return fail_os(w->err, errno, below, NULL, "cannot delete");
    }
}

static int walk_dir(walk *w, DIR *dir, const char *path, int depth)
{
    int r = w->s->ctx ? cm_context_check(w->s->ctx, w->err) : 0, e = 0;
    for (struct dirent *d; r == 0 && (d = next_entry(dir, &e));)
        r = walk_entry(w, dir, path, d->d_name, depth);
    return r ? r : e ? fail_os(w->err, e, path, NULL, "cannot list") : 0;
}

int cm_local_del_prefix(cm_store *base, const char *prefix, cm_error *err)
{
    walk w = {.s = (cm_local *)base, .err = err};
    char path[CM_LOCAL_PATH_ROOM];
    int r = cm_local_key_path(w.s, prefix, path, err);
    if (r)
        return r;
    if (*prefix) { /* the store's own directory may be given as a link, which stays */
        if (unlink(path) == 0 || is_absent(errno))
            return 0;
        if (errno != EISDIR)
            return fail_os(err, errno, path, NULL, "cannot delete");
    }
    for (int pass = 0;; pass++) {
        DIR *dir = opendir(path);
        if (!dir)
            return is_absent(errno) ? 0 : fail_os(err, errno, path, NULL, "cannot open");
        r = walk_dir(&w, dir, path, 0);
        closedir(dir);
        if (r || rmdir(path) == 0 || is_absent(errno))
            return r;
        if (!*prefix && errno != ENOTEMPTY && errno != EEXIST)
            return 0; /* it is empty; a mount point, "." or a parent without permission stays */
        if ((errno != ENOTEMPTY && errno != EEXIST) || pass == PASSES)
            return fail_os(err, errno, path, NULL, "cannot delete");
    }
}
