/* base/machine.c: memory and CPUs that the system leaves to this process.
 *
 * A batch job or a container is bounded by control groups, and the bound may sit on any level
 * between the process's own group and the root; so every level is asked and the least counts. Two
 * versions exist: v2 has one tree (memory.max, cpu.max), v1 one tree per controller. Inside a
 * container /proc/self/cgroup may name a path that is not mounted there: then what is mounted at
 * the root is the container's own group, and walking up ends there.
 *
 * Memory used by the page cache is given back under pressure, so a group leaves its limit minus its
 * use plus inactive file pages. What cannot be read or understood sets no bound.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/machine.h"
#include "chunkmill/context.h"

#define NO_BOUND UINT64_MAX

enum { PATH_ROOM = 4096 };

/* A small file as a string; false when it cannot be read. */
static bool read_small(const char *path, char *text, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size_t n = 0;
    for (;;) {
        ssize_t k = read(fd, text + n, room - 1 - n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            break;
        n += (size_t)k;
    }
    close(fd);
    text[n] = 0;
    return n > 0;
}

/* The number at s; NO_BOUND when there is none ("max", "-1"). */
static uint64_t number(const char *s)
{
    while (*s == ' ' || *s == '\t')
        s++;
    if (*s < '0' || *s > '9')
        return NO_BOUND;
    errno = 0;
    unsigned long long v = strtoull(s, NULL, 10);
    return errno ? NO_BOUND : v;
}

/* The number after the line start `name` in text. */
static uint64_t field(const char *text, const char *name)
{
    size_t n = strlen(name);
    for (const char *line = text; line;) {
        if (strncmp(line, name, n) == 0)
            return number(line + n);
        line = strchr(line, '\n');
        if (line)
            line++;
    }
    return NO_BOUND;
}

static uint64_t number_in(const char *dir, const char *name)
{
    char path[PATH_ROOM], text[256];
    int n = snprintf(path, sizeof path, "%s/%s", dir, name);
    if (n < 0 || (size_t)n >= sizeof path || !read_small(path, text, sizeof text))
        return NO_BOUND;
    return number(text);
}

/* The path of this process's group in the tree of `controller` (v1) or in the one tree (NULL). */
static bool group_path(const char *root, const char *controller, char *out, size_t room)
{
    char path[PATH_ROOM], text[8192];
    int n = snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    if (n < 0 || (size_t)n >= sizeof path || !read_small(path, text, sizeof text))
        return false;
    /* Lines are ID:CONTROLLER,CONTROLLER:/path; v2's is 0::/path */
    for (char *line = text; line && *line;) {
        char *end = strchr(line, '\n');
        if (end)
            *end = 0;
        char *names = strchr(line, ':');
        char *where = names ? strchr(names + 1, ':') : NULL;
        if (where) {
            *where++ = 0;
            names++;
            bool mine = !controller && !*names;
            size_t k = controller ? strlen(controller) : 0;
            for (char *s = names; controller && s && !mine;) {
                mine = strncmp(s, controller, k) == 0 && (s[k] == 0 || s[k] == ',');
                s = strchr(s, ',');
                if (s)
                    s++;
            }
            if (mine && !strstr(where, "..") && strlen(where) < room) {
                memcpy(out, where, strlen(where) + 1);
                return true;
            }
        }
        line = end ? end + 1 : NULL;
    }
    return false;
}

/* What one group leaves. */
static uint64_t memory_left(const char *dir, bool v2)
{
    uint64_t limit = number_in(dir, v2 ? "memory.max" : "memory.limit_in_bytes");
    uint64_t used = number_in(dir, v2 ? "memory.current" : "memory.usage_in_bytes");
    if (limit == NO_BOUND)
        return NO_BOUND;
    if (used == NO_BOUND)
        return limit;
    char path[PATH_ROOM], text[8192];
    int n = snprintf(path, sizeof path, "%s/memory.stat", dir);
    uint64_t cache = NO_BOUND;
    if (n > 0 && (size_t)n < sizeof path && read_small(path, text, sizeof text))
        cache = field(text, v2 ? "inactive_file " : "total_inactive_file ");
    if (cache == NO_BOUND)
        cache = 0;
    used = used > cache ? used - cache : 0;
    return limit > used ? limit - used : 0;
}

/* CPUs in thousandths. */
static uint64_t cpu_left(const char *dir, bool v2)
{
    uint64_t quota, period;
    if (v2) {
        char path[PATH_ROOM], text[256];
        int n = snprintf(path, sizeof path, "%s/cpu.max", dir);
        if (n < 0 || (size_t)n >= sizeof path || !read_small(path, text, sizeof text))
            return NO_BOUND;
        quota = number(text);
        const char *space = strchr(text, ' ');
        period = space ? number(space) : 100000;
    } else {
        quota = number_in(dir, "cpu.cfs_quota_us");
        period = number_in(dir, "cpu.cfs_period_us");
    }
    if (quota == NO_BOUND || period == NO_BOUND || period == 0 || quota > UINT64_MAX / 1000)
        return NO_BOUND;
    return quota * 1000 / period;
}

/* The least of what the group and all above it leave. */
static uint64_t least(const char *root, const char *controller,
                      uint64_t (*left)(const char *dir, bool v2))
{
    char group[PATH_ROOM / 2], dir[PATH_ROOM];
    uint64_t min = NO_BOUND;
    for (int v2 = 0; v2 < 2; v2++) {
        if (!group_path(root, v2 ? NULL : controller, group, sizeof group))
            continue;
        for (;;) {
            int n = snprintf(dir, sizeof dir, "%s/sys/fs/cgroup%s%s%s", root, v2 ? "" : "/",
                             v2 ? "" : controller, strcmp(group, "/") == 0 ? "" : group);
            uint64_t v = n > 0 && (size_t)n < sizeof dir ? left(dir, v2) : NO_BOUND;
            min = v < min ? v : min;
            char *slash = strrchr(group, '/');
            if (!slash || strcmp(group, "/") == 0)
                break;
            slash[slash == group] = 0;
        }
    }
    return min;
}

uint64_t cm_machine_memory(const char *root)
{
    char path[PATH_ROOM], text[8192];
    uint64_t available = NO_BOUND;
    int n = snprintf(path, sizeof path, "%s/proc/meminfo", root);
    if (n > 0 && (size_t)n < sizeof path && read_small(path, text, sizeof text)) {
        uint64_t kib = field(text, "MemAvailable:");
        if (kib == NO_BOUND)
            kib = field(text, "MemFree:");
        if (kib < NO_BOUND / 1024)
            available = kib * 1024;
    }
    uint64_t group = least(root, "memory", memory_left);
    uint64_t min = group < available ? group : available;
    return min == NO_BOUND ? 0 : min;
}

int cm_machine_cpu_quota(const char *root)
{
    uint64_t thousandths = least(root, "cpu", cpu_left);
    if (thousandths == NO_BOUND || thousandths > 1000 * 1000)
        return 0;
    uint64_t cpus = (thousandths + 999) / 1000;
    return cpus ? (int)cpus : 1;
}

/* Address space that RLIMIT_AS leaves. */
static uint64_t address_space_left(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return NO_BOUND;
    char text[256];
    uint64_t pages = read_small("/proc/self/statm", text, sizeof text) ? number(text) : 0;
    uint64_t used;
    if (pages == NO_BOUND || !cm_mul_u64(pages, (uint64_t)sysconf(_SC_PAGESIZE), &used))
        used = 0;
    return limit.rlim_cur > used ? limit.rlim_cur - used : 0;
}

uint64_t cm_memory_default(void)
{
    const uint64_t least_bytes = 64000000u, most = 16000000000u;
    uint64_t bytes = cm_machine_memory(""), space = address_space_left();
    if (bytes == 0)
        bytes = 2 * least_bytes;
    bytes = (bytes < space ? bytes : space) / 2;
    return bytes < least_bytes ? least_bytes : bytes > most ? most : bytes;
}

int cm_threads_default(void)
{
    int cpus = 0;
    for (int n = 1024; n <= 1 << 20 && cpus == 0; n *= 4) { /* EINVAL: more CPUs than n */
        cpu_set_t *set = CPU_ALLOC((size_t)n);
        if (!set)
            break;
        if (sched_getaffinity(0, CPU_ALLOC_SIZE((size_t)n), set) == 0)
            cpus = CPU_COUNT_S(CPU_ALLOC_SIZE((size_t)n), set);
        CPU_FREE(set);
    }
    if (cpus < 1)
        cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
    int quota = cm_machine_cpu_quota("");
    if (quota && quota < cpus)
        cpus = quota;
    return cpus < 1 ? 1 : cpus > 1024 ? 1024 : cpus;
}
