/* tests/scratch.h: a folder of a test's own: in $TMPDIR, else in memory where there is room, for
 * many small files and flushes take minutes on a busy disk, else in /tmp. */
#ifndef CM_TESTS_SCRATCH_H
#define CM_TESTS_SCRATCH_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* path: of size bytes, the folder's name. */
static inline bool scratch_make(char *path, size_t size)
{
    struct statvfs fs;
    const char *parent = getenv("TMPDIR");
    if (!parent) {
        bool memory = access("/dev/shm", W_OK | X_OK) == 0 && statvfs("/dev/shm", &fs) == 0 &&
                      fs.f_bavail * fs.f_frsize >= 1u << 30;
        parent = memory ? "/dev/shm" : "/tmp";
    }
    int n = snprintf(path, size, "%s/chunkmill-test-XXXXXX", parent);
    return n > 0 && (size_t)n < size && mkdtemp(path);
}

static inline bool scratch_remove(const char *path)
{
    char command[1024];
    int n = snprintf(command, sizeof command, "rm -rf '%s'", path);
    return n > 0 && (size_t)n < sizeof command && system(command) == 0;
}

#endif
