/* store/local.c: a directory as a store: reading.
 *
 * A key is a path below the directory. Every read opens the file, looks at its identity (inode,
 * size, time of change), reads with pread, and looks again: a file that was rewritten in place
 * meanwhile is CM_ECHANGED. A file that was replaced (renamed over) is no trouble: what was opened
 * stays the old object, whole. The status-change time is left out of the identity: replacing,
 * linking or chmod change it while the content stays.
 *
 * Nothing is mapped into memory: a truncated file would be a SIGBUS and resident pages could not be
 * accounted for.
 *
 * When a batch has several ranges, the kernel is told all of them before the first that is not in
 * its cache is read, so that a disk or network file system works on them at once.
 *
 * An object is absent when nothing has its name, or one of the directories above it is missing. An
 * absent chunk reads as fill, so nothing else may look like one: a directory in the object's place,
 * a file in the place of a directory, and a link to nothing are errors. That costs two more calls
 * for an absent object.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/context_private.h"
#include "base/memory.h"
#include "store/local.h"

enum { READ_ONCE = 64 << 20, TRIES = 3, CLOCKS_AGREE_S = 5, NEAR = 64 << 10 };

int cm_local_key_path(const cm_local *s, const char *key, char *out, cm_error *err)
{
    size_t dir = strlen(s->path), n = strlen(key);
    int r = n ? cm_store_check_key(key, err) : 0;
    if (r) {
        cm_error_object(err, s->path);
        return r;
    }
    if (dir + 1 + n + 1 > CM_LOCAL_PATH_ROOM)
        return cm_error_set_os(err, ENAMETOOLONG, "%.100s... in %s", key, s->path);
    memcpy(out, s->path, dir);
    if (n && !(dir == 1 && s->path[0] == '/'))
        out[dir++] = '/';
    memcpy(out + dir, key, n + 1);
    return 0;
}

static int fail_os(cm_error *err, int e, const char *path, const char *what)
{
    int r = e == ESTALE   ? cm_error_set(err, CM_ECHANGED, "was replaced while it was read")
            : e == ENOENT ? cm_error_set(err, CM_ENOTFOUND, "no such file")
                          : cm_error_set_os(err, e, "%s", what);
    if (err)
        err->os_errno = e;
    cm_error_object(err, path);
    return r;
}

/* The lowest of the names of path, itself included and down to the store's own directory, that
 * there is, cut out of path. */
static bool find_existing(const cm_local *s, char *path, struct stat *st)
{
    size_t root = strlen(s->path);
    while (lstat(path, st) != 0) {
        char *cut = strrchr(path, '/');
        if (errno != ENOENT && errno != ENOTDIR)
            return false;
        if (!cut || cut <= path + root)
            return false;
        *cut = 0;
    }
    return true;
}

/* The file at path cannot be opened or looked at, for reason e. Is there really no such object? */
static int fail_open(const cm_local *s, cm_error *err, int e, const char *path, const char *what)
{
    char at[CM_LOCAL_PATH_ROOM];
    struct stat st, to;
    snprintf(at, sizeof at, "%s", path);
    if ((e != ENOENT && e != ENOTDIR) || !find_existing(s, at, &st) || S_ISDIR(st.st_mode) ||
        (stat(s->path, &to) == 0 && !S_ISDIR(to.st_mode))) /* no store at all */
        return fail_os(err, e == ENOTDIR ? ENOENT : e, path, what);
    bool link = S_ISLNK(st.st_mode) && stat(at, &to) != 0;
    if (link && errno != ENOENT && errno != ENOTDIR)
        return fail_os(err, errno, at, what);
    bool whole = strcmp(at, path) == 0;
    if (!link && (whole || (S_ISLNK(st.st_mode) && S_ISDIR(to.st_mode)))) /* whole: made since */
        return fail_os(err, ENOENT, path, what);
    cm_error_set(err, CM_EIO, link ? "%s is a link to nothing" : "%s is not a directory",
                 whole ? "it" : at + strlen(s->path) + 1);
    if (err)
        err->os_errno = link ? ENOENT : ENOTDIR;
    cm_error_object(err, path);
    return CM_EIO;
}

static int version_of(const struct stat *st, const char *path, cm_object_version *out,
                      cm_error *err)
{
    int r = 0;
    if (S_ISDIR(st->st_mode))
        r = cm_error_set(err, CM_EIO, "is a directory");
    else if (!S_ISREG(st->st_mode))
        r = cm_error_set(err, CM_EUNSUP, "is not a regular file");
    if (r) {
        cm_error_object(err, path);
        return r;
    }
    *out = (cm_object_version){
        .size = (uint64_t)st->st_size,
        .id = {st->st_ino,
               (uint64_t)st->st_mtim.tv_sec * 1000000000u + (uint64_t)st->st_mtim.tv_nsec, 0},
    };
    return 0;
}

static bool is_unknown(const cm_object_version *v)
{
    return !v->size && !v->id[0] && !v->id[1] && !v->id[2];
}

static bool same(const cm_object_version *a, const cm_object_version *b)
{
    return a->size == b->size && a->id[0] == b->id[0] && a->id[1] == b->id[1];
}

static int changed(cm_error *err, const char *path)
{
    cm_error_set(err, CM_ECHANGED, "changed while it was read");
    cm_error_object(err, path);
    return CM_ECHANGED;
}

static int local_stat(cm_store *base, const char *key, cm_object_version *out, cm_error *err)
{
    char path[CM_LOCAL_PATH_ROOM];
    struct stat st;
    const cm_local *s = (const cm_local *)base;
    int r = cm_local_key_path(s, key, path, err);
    if (r)
        return r;
    if (stat(path, &st) != 0)
        return fail_open(s, err, errno, path, "cannot look at it");
    return version_of(&st, path, out, err);
}

/* Whether path is on a file system whose times another machine's clock makes. */
static bool is_remote(const char *path)
{
    static const unsigned long remote[] = {
        0x6969,     0x517b,     0xfe534d42, 0xff534d42, 0x65735546, 0x00c36400, 0x0bd00bd0,
        0x47504653, 0x5346414f, 0x01021997, 0x19830326, 0xaad7aaea, 0x7461636f, 0x01161970};
    struct statfs fs;
    if (statfs(path, &fs) != 0)
        return true;
    for (size_t i = 0; i < sizeof remote / sizeof *remote; i++)
        if (((unsigned long)fs.f_type & 0xffffffff) == remote[i])
            return true;
    return false;
}

/* Adding a name to a directory and removing one set its time of change. So an object that is absent
 * was absent all the time when the directory that would hold it, or the lowest above it that there
 * is, is older than our opening of the store. Nothing has to be looked at or kept for objects that
 * are there. File times are of the last tick of the clock, a few ms ago: so what is removed in the
 * first few ms is not noticed, but nothing that happened before the opening looks newer than it. */
static int local_check_absent(cm_store *base, const char *key, cm_error *err)
{
    const cm_local *s = (const cm_local *)base;
    char path[CM_LOCAL_PATH_ROOM];
    size_t root = strlen(s->path);
    struct stat st;
    int r = cm_local_key_path(s, key, path, err);
    if (r)
        return r;
    do {
        char *cut = strrchr(path, '/');
        if (!cut || cut < path + root || cut == path)
            return 0; /* the store itself is gone: its metadata will be missed */
        *cut = 0;
    } while (stat(path, &st) != 0);
    int64_t after = (int64_t)st.st_mtim.tv_sec - s->opened.tv_sec;
    if (after < 0 || (after == 0 && st.st_mtim.tv_nsec <= s->opened.tv_nsec) ||
        (after < CLOCKS_AGREE_S && is_remote(path)))
        return 0;
    cm_error_set(err, CM_ECHANGED,
                 "it is absent, and things were added to or removed from %s since "
                 "reading began",
                 path);
    cm_error_hint(err, "read it again when nothing changes it");
    return CM_ECHANGED;
}

/* Open for reading. O_NONBLOCK: a FIFO in the place of a file must not hang us. */
static int open_object(const cm_local *s, const char *path, int *fd, cm_object_version *version,
                       cm_error *err)
{
    struct stat st;
    do
        *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    while (*fd < 0 && errno == EINTR);
    if (*fd < 0)
        return fail_open(s, err, errno, path, "cannot open");
    int r = fstat(*fd, &st) != 0 ? fail_os(err, errno, path, "cannot look at it")
                                 : version_of(&st, path, version, err);
    if (r) {
        close(*fd);
        *fd = -1;
    }
    return r;
}

/* 0 when fd still has this version. */
static int check_unchanged(int fd, const char *path, const cm_object_version *version,
                           cm_error *err)
{
    struct stat st;
    cm_object_version now;
    if (fstat(fd, &st) != 0)
        return fail_os(err, errno, path, "cannot look at it");
    int r = version_of(&st, path, &now, err);
    return r ? r : same(&now, version) ? 0 : changed(err, path);
}

static int read_range(const cm_local *s, int fd, const char *path, const cm_range *range,
                      cm_error *err)
{
    uint8_t *dst = range->dst;
    uint64_t at = range->offset;
    for (size_t left = range->nbytes; left;) {
        int r = s->ctx ? cm_context_check(s->ctx, err) : 0;
        if (r)
            return r;
        ssize_t n = pread(fd, dst, left < READ_ONCE ? left : READ_ONCE, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_os(err, errno, path, "cannot read");
        if (n == 0) /* it was long enough when it was opened */
            return changed(err, path);
        dst += n;
        at += (uint64_t)n;
        left -= (size_t)n;
    }
    return 0;
}

static int check_ranges(const char *path, uint64_t size, const cm_range *ranges, int n,
                        cm_error *err)
{
    for (int i = 0; i < n; i++)
        if (ranges[i].offset > size || ranges[i].nbytes > size - ranges[i].offset) {
            cm_error_set(err, CM_EDATA,
                         "is truncated or damaged: %zu bytes at offset %" PRIu64
                         " are wanted of %" PRIu64,
                         ranges[i].nbytes, ranges[i].offset, size);
            cm_error_object(err, path);
            return CM_EDATA;
        }
    return 0;
}

/* Say which ranges will be read. Those that are near each other are said as one: the many small
 * ones of a file's metadata cost a call each otherwise. */
static void announce(int fd, const cm_range *ranges, int n)
{
    uint64_t lo = ranges[0].offset, hi = lo + ranges[0].nbytes;
    for (int i = 1; i < n; i++) {
        uint64_t begin = ranges[i].offset, end = begin + ranges[i].nbytes;
        if (begin <= hi + NEAR && end + NEAR >= lo) {
            lo = begin < lo ? begin : lo;
            hi = end > hi ? end : hi;
            continue;
        }
        (void)posix_fadvise(fd, (off_t)lo, (off_t)(hi - lo), POSIX_FADV_WILLNEED);
        lo = begin, hi = end;
    }
    (void)posix_fadvise(fd, (off_t)lo, (off_t)(hi - lo), POSIX_FADV_WILLNEED);
}

/* Read a range if that takes no waiting. */
static bool is_cached(int fd, const cm_range *r)
{
    struct iovec iov = {r->dst, r->nbytes};
    return r->nbytes == 0 || (r->nbytes < READ_ONCE && preadv2(fd, &iov, 1, (off_t)r->offset,
                                                               RWF_NOWAIT) == (ssize_t)r->nbytes);
}

static int get_once(const cm_local *s, const char *path, const cm_range *ranges, int n,
                    const cm_object_version *want, cm_object_version *got, cm_error *err)
{
    int fd;
    int r = open_object(s, path, &fd, got, err);
    if (r)
        return r;
    if (!is_unknown(want) && !same(want, got))
        r = changed(err, path);
    if (r == 0)
        r = check_ranges(path, got->size, ranges, n, err);
    bool cached = n > 1; /* all so far were in the page cache */
    for (int i = 0; i < n && r == 0; i++) {
        if (cached && is_cached(fd, &ranges[i]))
            continue;
        if (cached)
            announce(fd, ranges + i, n - i);
        cached = false;
        r = read_range(s, fd, path, &ranges[i], err);
    }
    if (r == 0)
        r = check_unchanged(fd, path, got, err);
    close(fd);
    return r;
}

static int local_get(cm_store *base, const char *key, const cm_range *ranges, int n,
                     cm_object_version *version, cm_error *err)
{
    cm_local *s = (cm_local *)base;
    char path[CM_LOCAL_PATH_ROOM];
    cm_object_version want = {0}, got = {0};
    if (version)
        want = *version;
    int r = cm_local_key_path(s, key, path, err);
    if (r)
        return r;
    for (int k = 0; k < TRIES; k++) {
        r = get_once(s, path, ranges, n, &want, &got, err);
        if (r != CM_ECHANGED || !is_unknown(&want))
            break;
    }
    if (r == 0 && version)
        *version = got;
    return r;
}

static int local_get_all(cm_store *base, const char *key,
                         void *(*alloc)(void *user, size_t nbytes, cm_error *err), void *user,
                         size_t *nbytes, cm_object_version *version, cm_error *err)
{
    cm_local *s = (cm_local *)base;
    char path[CM_LOCAL_PATH_ROOM];
    cm_object_version got;
    cm_error own;
    int fd;
    int r = cm_local_key_path(s, key, path, err);
    if (r == 0)
        r = open_object(s, path, &fd, &got, err);
    if (r)
        return r;
    if (version && !is_unknown(version) && !same(version, &got)) {
        r = changed(err, path);
        goto out;
    }
    cm_range whole = {.nbytes = (size_t)got.size};
    cm_error *say = err ? err : &own;
    cm_error_clear(say);
    whole.dst = alloc(user, whole.nbytes, say);
    if (!whole.dst) {
        r = say->code ? say->code
                      : cm_error_set(say, CM_ELIMIT, "no room for %zu bytes", whole.nbytes);
        cm_error_object(say, path);
        goto out;
    }
    if (whole.nbytes > READ_ONCE)
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    r = read_range(s, fd, path, &whole, err);
    if (r == 0)
        r = check_unchanged(fd, path, &got, err);
    if (r == 0) {
        *nbytes = whole.nbytes;
        if (version)
            *version = got;
    }
out:
    close(fd);
    return r;
}

static void local_free(cm_store *base)
{
    cm_local *s = (cm_local *)base;
    cm_dir_set_clear(&s->dirs);
    pthread_mutex_destroy(&s->dirs_lock);
    free(s->path);
    free(s->base.uri);
    free(s);
}

const cm_store_vt cm_local_vt = {
    .stat = local_stat,
    .check_absent = local_check_absent,
    .get = local_get,
    .get_all = local_get_all,
    .put = cm_local_put,
    .put_from = cm_local_put_from,
    .del = cm_local_del,
    .del_prefix = cm_local_del_prefix,
    .list = cm_local_list,
    .sync = cm_local_sync,
    .free = local_free,
};

int cm_store_open_local(cm_context *ctx, const char *path, cm_durability durability, cm_store **out,
                        cm_error *err)
{
    *out = NULL;
    size_t n = strlen(path);
    if (n == 0)
        return cm_error_set(err, CM_EINVAL, "the path is empty");
    while (n > 1 && path[n - 1] == '/')
        n--;
    cm_local *s = cm_calloc(1, sizeof *s, err);
    if (!s)
        return CM_ENOMEM;
    s->base = (cm_store){.vt = &cm_local_vt, .refcount = 1};
    pthread_mutex_init(&s->dirs_lock, NULL);
    s->ctx = ctx;
    s->durability = durability;
    clock_gettime(CLOCK_REALTIME, &s->opened);
    s->path = cm_strndup(path, n, err);
    s->base.uri = s->path ? cm_strdup(path, err) : NULL;
    if (!s->base.uri) {
        local_free(&s->base);
        return CM_ENOMEM;
    }
    *out = &s->base;
    return 0;
}
