/* store/local_put.c: a directory as a store: putting objects.
 *
 *     NAME.cm-tmp-HOST-PID-SERIAL   written, flushed as durability asks, then
 *     NAME                          renamed over (or, if it must be absent, renamed without
 * replacing)
 *
 * The temporary lies in the object's own directory, so that the rename is atomic, and has a name
 * of its own, made with O_EXCL, so that any number of writers of one object never meet: the last
 * rename wins. Whatever fails, the temporary is removed and the object is as before. What a killed
 * process leaves behind carries the mark ".cm-tmp-": listing hides it, and it goes with the store
 * in the making (save/target.c), or with the next that writes the file (local_sweep.c).
 *
 * Directories are made when opening the temporary fails for want of one: a store of a million
 * chunks in few directories does not ask a million times.
 *
 * CM_DURABLE_FILE flushes the file before the rename: after a crash the name has the old content or
 * the new. CM_DURABLE_DIR also notes the directory (and those that it had to make, and their
 * parents) for sync, which flushes each once however many objects were put.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/context_private.h"
#include "base/hash.h"
#include "base/memory.h"
#include "store/local.h"

enum {
    NAME_ROOM = 255, /* of most file systems */
    IOV_AT_ONCE = 64,
    WRITE_ONCE = 64 << 20, /* between two looks at cancellation */
    MKDIR_TRIES = 10,      /* somebody may delete the directories that we make */
    MAX_DIRS = 8192        /* noted before they are flushed early */
};

/* A number for "this system since it started, in this process namespace": pids mean something only
 * together with it. */
uint64_t cm_local_host(void)
{
    char text[512];
    size_t n = 0;
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t k = read(fd, text, 64);
        n = k > 0 ? (size_t)k : 0;
        close(fd);
    }
    if (n == 0 && gethostname(text, 256) == 0)
        n = strnlen(text, 256);
    ssize_t k = readlink("/proc/self/ns/pid", text + n, 128);
    n += k > 0 ? (size_t)k : 0;
    return (uint64_t)cm_lookup3(text, n) << 32 | cm_crc32c(0, text, n);
}

/* ---- directories to flush -------------------------------------------------------------------- */

void cm_dir_set_clear(cm_dir_set *set)
{
    for (size_t i = 0; i < set->capacity; i++)
        free(set->paths[i]);
    free(set->paths);
    *set = (cm_dir_set){0};
}

/* The slot of path, or the free one where it belongs. */
static char **dir_slot(char **paths, size_t capacity, const char *path)
{
    size_t i = cm_lookup3(path, strlen(path)) & (capacity - 1);
    while (paths[i] && strcmp(paths[i], path) != 0)
        i = (i + 1) & (capacity - 1);
    return &paths[i];
}

static int dir_set_add(cm_dir_set *set, const char *path, cm_error *err)
{
    if (set->n * 2 >= set->capacity) {
        size_t capacity = set->capacity ? set->capacity * 2 : 16;
        char **paths = cm_calloc(capacity, sizeof *paths, err);
        if (!paths)
            return CM_ENOMEM;
        for (size_t i = 0; i < set->capacity; i++)
            if (set->paths[i])
                *dir_slot(paths, capacity, set->paths[i]) = set->paths[i];
        free(set->paths);
        set->paths = paths;
        set->capacity = capacity;
    }
    char **slot = dir_slot(set->paths, set->capacity, path);
    if (*slot)
        return 0;
    *slot = cm_strdup(path, err);
    if (!*slot)
        return CM_ENOMEM;
    set->n++;
    return 0;
}

int cm_local_flush_directory(const char *path, cm_error *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return 0; /* deleted since: nothing to keep */
    int e = fd < 0 || fsync(fd) != 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    if (e == 0 || e == EINVAL || e == ENOTSUP) /* file systems that cannot flush directories */
        return 0;
    int r = cm_error_set_os(err, e, "cannot flush the directory to disk");
    cm_error_object(err, path);
    return r;
}

int cm_local_sync(cm_store *base, cm_error *err)
{
    cm_local *s = (cm_local *)base;
    pthread_mutex_lock(&s->dirs_lock);
    cm_dir_set set = s->dirs;
    s->dirs = (cm_dir_set){0};
    pthread_mutex_unlock(&s->dirs_lock);
    int r = 0;
    size_t i = 0;
    for (; i < set.capacity && r == 0; i++)
        if (set.paths[i])
            r = cm_local_flush_directory(set.paths[i], err);
    if (r) { /* what was not flushed stays noted, as far as memory allows */
        pthread_mutex_lock(&s->dirs_lock);
        for (i--; i < set.capacity; i++)
            if (set.paths[i])
                (void)dir_set_add(&s->dirs, set.paths[i], NULL);
        pthread_mutex_unlock(&s->dirs_lock);
    }
    cm_dir_set_clear(&set);
    return r;
}

/* The directory that path lies in, into out. */
static void parent_of(const char *path, char *out)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    if (!slash)
        out[n++] = '.';
    else if (n == 0)
        out[n++] = '/';
    else
        memcpy(out, path, n);
    out[n] = 0;
}

/* Note the directory of path for sync. */
static int note_parent(cm_local *s, const char *path, cm_error *err)
{
    if (s->durability != CM_DURABLE_DIR)
        return 0;
    char dir[CM_LOCAL_PATH_ROOM];
    parent_of(path, dir);
    pthread_mutex_lock(&s->dirs_lock);
    int r = dir_set_add(&s->dirs, dir, err);
    bool full = s->dirs.n >= MAX_DIRS;
    pthread_mutex_unlock(&s->dirs_lock);
    return r == 0 && full ? cm_local_sync(&s->base, err) : r;
}

/* ---- writing --------------------------------------------------------------------------------- */

static int fail_put(cm_error *err, int e, const char *path, const char *what)
{
    int r = cm_error_set_os(err, e, "%s", what);
    cm_error_object(err, path);
    return r;
}

/* Make the directories that path lies in. */
static int make_parents(cm_local *s, const char *path, cm_error *err)
{
    char dir[CM_LOCAL_PATH_ROOM];
    parent_of(path, dir);
    size_t whole = strlen(dir);
    /* Back to the deepest that can be made, then forth again: the zeros that were set on the way
     * back mark the parts. */
    for (size_t n = whole;;) {
        dir[n] = 0;
        int e = mkdir(dir, 0777) == 0 ? 0 : errno;
        int r = e == 0 ? note_parent(s, dir, err) : 0;
        if (r)
            return r;
        if (e == ENOENT) {
            while (n > 0 && dir[n - 1] != '/')
                n--;
            while (n > 0 && dir[n - 1] == '/')
                n--;
            if (n == 0)
                return fail_put(err, e, path, "cannot make its directory");
            continue;
        }
        if (e != 0 && e != EEXIST)
            return fail_put(err, e, dir, "cannot make the directory");
        if (n == whole)
            return 0;
        dir[n] = '/';
        n++;
        n += strlen(dir + n);
    }
}

/* Make and open a new temporary beside path; its name into out. */
static int open_temporary(cm_local *s, const char *path, char *out, int *fd, cm_error *err)
{
    char suffix[96];
    const char *slash = strrchr(path, '/');
    size_t dir = slash ? (size_t)(slash + 1 - path) : 0, name = strlen(path) - dir;
    int mkdirs = 0;
    if (!s->host) /* stores that are only read never ask; two threads that do get the same */
        s->host = cm_local_host();
    for (;;) {
        unsigned serial = atomic_fetch_add(&s->serial, 1);
        int k = snprintf(suffix, sizeof suffix, CM_TEMPORARY_MARK "%016" PRIx64 "-%ld-%u", s->host,
                         (long)getpid(), serial);
        size_t keep = name + (size_t)k > NAME_ROOM ? NAME_ROOM - (size_t)k : name;
        if (dir + keep + (size_t)k + 1 > CM_LOCAL_PATH_ROOM)
            return fail_put(err, ENAMETOOLONG, path, "cannot write");
        memcpy(out, path, dir + keep);
        memcpy(out + dir + keep, suffix, (size_t)k + 1);
        *fd = open(out, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (*fd >= 0)
            return 0;
        if (errno == EEXIST || errno == EINTR)
            continue;
        if (errno != ENOENT || mkdirs++ == MKDIR_TRIES)
            return fail_put(err, errno, path, "cannot write");
        int r = make_parents(s, path, err);
        if (r)
            return r;
    }
}

static int write_all(const cm_local *s, int fd, const char *path, const cm_iov *iov, int n,
                     cm_error *err)
{
    struct iovec v[IOV_AT_ONCE];
    int first = 0;
    size_t skip = 0; /* bytes of iov[first] that are written */
    while (first < n) {
        int r = s->ctx ? cm_context_check(s->ctx, err) : 0;
        if (r)
            return r;
        int count = 0;
        size_t total = 0;
        for (int i = first; i < n && count < IOV_AT_ONCE && total < WRITE_ONCE; i++) {
            size_t done = i == first ? skip : 0, part = iov[i].nbytes - done;
            part = part < WRITE_ONCE - total ? part : WRITE_ONCE - total;
            v[count++] = (struct iovec){(char *)(uintptr_t)iov[i].data + done, part};
            total += part;
        }
        ssize_t put = total ? writev(fd, v, count) : 0;
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return fail_put(err, errno, path, "cannot write");
        if (put == 0 && total)
            return fail_put(err, EIO, path, "cannot write");
        for (size_t done = (size_t)put; first < n;) {
            size_t left = iov[first].nbytes - skip;
            if (done < left) {
                skip += done;
                break;
            }
            done -= left;
            first++;
            skip = 0;
            if (done == 0 && total)
                break;
        }
    }
    return 0;
}

/* Give the temporary its name unless that is taken. NFS and old kernels have no RENAME_NOREPLACE: a
 * second link does it there. */
int cm_local_name_if_absent(const char *temporary, const char *path)
{
    if (renameat2(AT_FDCWD, temporary, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP)
        return errno;
    if (link(temporary, path) != 0)
        return errno;
    unlink(temporary);
    return 0;
}

/* A temporary while it is written. */
typedef struct writing {
    cm_local *store;
    const char *path;
    int fd;
} writing;

static int write_next(void *to, const void *data, size_t nbytes, cm_error *err)
{
    const writing *w = to;
    return write_all(w->store, w->fd, w->path, &(cm_iov){data, nbytes}, 1, err);
}

int cm_local_put_from(cm_store *base, const char *key, cm_produce_fn produce, void *user,
                      unsigned flags, cm_error *err)
{
    cm_local *s = (cm_local *)base;
    char path[CM_LOCAL_PATH_ROOM], temporary[CM_LOCAL_PATH_ROOM];
    int fd = -1;
    int r = *key ? cm_local_key_path(s, key, path, err) : cm_store_check_key(key, err);
    if (r == 0)
        r = open_temporary(s, path, temporary, &fd, err);
    if (r)
        return r;
    writing w = {s, path, fd};
    r = produce(user, write_next, &w, err);
    if (r == 0 && s->durability != CM_DURABLE_NONE && fsync(fd) != 0)
        r = fail_put(err, errno, path, "cannot flush to disk");
    /* close tells of errors that NFS and quotas hold back; EINTR: the file is closed all the
     * same */
    if (close(fd) != 0 && errno != EINTR && r == 0)
        r = fail_put(err, errno, path, "cannot write");
    if (r == 0) {
        int e = flags & CM_PUT_IF_ABSENT       ? cm_local_name_if_absent(temporary, path)
                : rename(temporary, path) != 0 ? errno
                                               : 0;
        if (e)
            r = fail_put(err, e, path, "cannot put it in place");
    }
    if (r) {
        unlink(temporary);
        return r;
    }
    return note_parent(s, path, err);
}

typedef struct pieces {
    const cm_iov *iov;
    int n;
} pieces;

/* All of them in as few calls as may be: what they are written to is this file's own. */
static int produce_pieces(void *user, cm_write_fn write, void *to, cm_error *err)
{
    const pieces *p = user;
    const writing *w = to;
    (void)write;
    return write_all(w->store, w->fd, w->path, p->iov, p->n, err);
}

int cm_local_put(cm_store *base, const char *key, const cm_iov *iov, int n, unsigned flags,
                 cm_error *err)
{
    pieces p = {iov, n};
    return cm_local_put_from(base, key, produce_pieces, &p, flags, err);
}
