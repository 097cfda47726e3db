/* tests/faults.h: make the n-th allocation or system call of our own code fail.
 *
 * Every test program is linked with the linker's --wrap for the functions below, so that calls from
 * the library and the test (not from libc or codec libraries) come here. Off until asked for; works
 * under the sanitizers. The usual loop tries every point of failure once:
 *
 *     for (int64_t n = 0;; n++) {
 *         fault_malloc_at(n);
 *         int r = work(&err);
 *         bool fired = fault_end();
 *         TAP_OK(fired ? r == CM_ENOMEM : r == 0);     ... and nothing is leaked or broken
 *         if (!fired)
 *             break;
 *     }
 */
#ifndef CM_TESTS_FAULTS_H
#define CM_TESTS_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

/* The n-th (0: the next) malloc, calloc, realloc or mmap from now on fails, once, in whatever
 * thread. */
void fault_malloc_at(int64_t n);

/* The n-th open for writing, writev, pwrite, fsync, close of a written file, rename, renameat2,
 * link, mkdir, pread or readdir from now on fails with this errno, once. */
void fault_call_at(int64_t n, int os_errno);

/* The process is killed (SIGKILL) at the n-th of these calls, which is not made. */
void fault_kill_at(int64_t n);

/* Reads and writes move at most nbytes at a time; 0: as many as asked for. */
void fault_short(int64_t nbytes);

/* Every renameat2 fails with EINVAL, as on file systems that do not know RENAME_NOREPLACE. */
void fault_no_renameat2(bool on);

/* Call fn before every pread: to change a file under a reader's hands. NULL: not any more. */
void fault_before_read(void (*fn)(void *user), void *user);

/* Switch all off. True when the n-th was reached, so something failed. */
bool fault_end(void);

#endif
