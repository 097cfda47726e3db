/* tests/faults.c: see faults.h. The counters are atomic: any thread may be the one that fails. */
#include "faults.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/uio.h>

static _Atomic int64_t mallocs_left = -1, calls_left = -1, most;
static _Atomic bool fired, no_renameat2;
static _Atomic int call_errno;
static void (*_Atomic before_read)(void *user);
static void *_Atomic before_user;

void fault_malloc_at(int64_t n)
{
    fired = false;
    mallocs_left = n;
}

void fault_call_at(int64_t n, int os_errno)
{
    fired = false;
    call_errno = os_errno;
    calls_left = n;
}

void fault_kill_at(int64_t n)
{
    fault_call_at(n, 0);
}

void fault_short(int64_t nbytes)
{
    most = nbytes;
}

void fault_no_renameat2(bool on)
{
    no_renameat2 = on;
}

void fault_before_read(void (*fn)(void *user), void *user)
{
    before_user = user;
    before_read = fn;
}

bool fault_end(void)
{
    mallocs_left = calls_left = -1;
    most = 0;
    no_renameat2 = false;
    before_read = NULL;
    return atomic_exchange(&fired, false);
}

static bool fails(_Atomic int64_t *left, int os_errno)
{
    if (*left < 0 || atomic_fetch_sub(left, 1) != 0)
        return false;
    if (os_errno == 0)
        raise(SIGKILL);
    fired = true;
    errno = os_errno;
    return true;
}

static size_t at_most(size_t nbytes)
{
    return most && nbytes > (size_t)most ? (size_t)most : nbytes;
}

void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_malloc(size_t n)
{
    return fails(&mallocs_left, ENOMEM) ? NULL : __real_malloc(n);
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
    return fails(&mallocs_left, ENOMEM) ? NULL : __real_calloc(n, size);
}

void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n)
{
    return fails(&mallocs_left, ENOMEM) ? NULL : __real_realloc(p, n);
}

void *__real_mmap64(void *at, size_t n, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t n, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t n, int prot, int flags, int fd, off_t offset)
{
    return fails(&mallocs_left, ENOMEM) ? MAP_FAILED
                                        : __real_mmap64(at, n, prot, flags, fd, offset);
}

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    unsigned mode = flags & O_CREAT ? va_arg(ap, unsigned) : 0;
    va_end(ap);
    if ((flags & O_ACCMODE) != O_RDONLY && fails(&calls_left, call_errno))
        return -1;
    return __real_open64(path, flags, mode);
}

ssize_t __real_writev(int fd, const struct iovec *v, int n);
ssize_t __wrap_writev(int fd, const struct iovec *v, int n);
ssize_t __wrap_writev(int fd, const struct iovec *v, int n)
{
    if (fails(&calls_left, call_errno))
        return -1;
    if (!most)
        return __real_writev(fd, v, n);
    struct iovec first = {v[0].iov_base, at_most(v[0].iov_len)};
    for (int i = 1; i < n && first.iov_len == 0; i++)
        first = (struct iovec){v[i].iov_base, at_most(v[i].iov_len)};
    return __real_writev(fd, &first, 1);
}

ssize_t __real_pwrite64(int fd, const void *p, size_t n, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *p, size_t n, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *p, size_t n, off_t at)
{
    return fails(&calls_left, call_errno) ? -1 : __real_pwrite64(fd, p, at_most(n), at);
}

ssize_t __real_pread64(int fd, void *p, size_t n, off_t at);
ssize_t __wrap_pread64(int fd, void *p, size_t n, off_t at);
ssize_t __wrap_pread64(int fd, void *p, size_t n, off_t at)
{
    void (*fn)(void *) = before_read;
    if (fn)
        fn(before_user);
    return fails(&calls_left, call_errno) ? -1 : __real_pread64(fd, p, at_most(n), at);
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
    return fails(&calls_left, call_errno) ? -1 : __real_fsync(fd);
}

/* The descriptor is closed also when close fails. Only for files that were opened for writing:
 * what closing others says is of no interest to anybody. */
int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
    int flags = fcntl(fd, F_GETFL), r = __real_close(fd);
    if (flags >= 0 && (flags & O_ACCMODE) != O_RDONLY && fails(&calls_left, call_errno))
        return -1;
    return r;
}

int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to)
{
    return fails(&calls_left, call_errno) ? -1 : __real_rename(from, to);
}

int __real_renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags);
int __wrap_renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags);
int __wrap_renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags)
{
    if (no_renameat2) {
        errno = EINVAL;
        return -1;
    }
    return fails(&calls_left, call_errno) ? -1 : __real_renameat2(from_at, from, to_at, to, flags);
}

int __real_link(const char *from, const char *to);
int __wrap_link(const char *from, const char *to);
int __wrap_link(const char *from, const char *to)
{
    return fails(&calls_left, call_errno) ? -1 : __real_link(from, to);
}

int __real_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode)
{
    return fails(&calls_left, call_errno) ? -1 : __real_mkdir(path, mode);
}

struct dirent64 *__real_readdir64(DIR *dir);
struct dirent64 *__wrap_readdir64(DIR *dir);
struct dirent64 *__wrap_readdir64(DIR *dir)
{
    return fails(&calls_left, call_errno) ? NULL : __real_readdir64(dir);
}
