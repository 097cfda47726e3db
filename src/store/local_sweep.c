/* store/local_sweep.c: what killed processes left beside a name.
 *
 *     NAME.cm-tmp-HOST-PID-SERIAL      a file, or the directory of a store in the making
 *
 * HOST says on which system, since when and in which process namespace PID means something. Only
 * where that is this one and no process has the number is a thing of that name nobody's, and
 * removed, by the next that writes NAME. Names that only look alike stay.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/local.h"

static bool is_stale(const char *mark)
{
    uint64_t host;
    long pid;
    unsigned serial;
    if (sscanf(mark, CM_TEMPORARY_MARK "%16" SCNx64 "-%ld-%u", &host, &pid, &serial) != 3)
        return false;
    return host == cm_local_host() && pid > 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

int cm_local_remove_tree(const char *path, cm_error *err)
{
    cm_store *s;
    int r = cm_store_open_local(NULL, path, CM_DURABLE_NONE, &s, err);
    if (r)
        return r;
    r = s->vt->del_prefix(s, "", err);
    cm_store_unref(s);
    if (!r && rmdir(path) != 0 && errno != ENOENT)
        r = cm_error_set_os(err, errno, "removing %s", path);
    return r;
}

void cm_local_sweep(const char *directory, const char *name, bool begins)
{
    DIR *d = opendir(directory);
    struct dirent *e;
    size_t n = strlen(name);
    while (d && (e = readdir(d))) {
        char path[CM_LOCAL_PATH_ROOM];
        if (strncmp(e->d_name, name, n) != 0)
            continue;
        const char *mark = begins ? strstr(e->d_name + n, CM_TEMPORARY_MARK) : e->d_name + n;
        if (!mark || !is_stale(mark))
            continue;
        int k = snprintf(path, sizeof path, "%s/%s", directory, e->d_name);
        if (k > 0 && (size_t)k < sizeof path && unlink(path) != 0)
            cm_local_remove_tree(path, NULL);
    }
    if (d)
        closedir(d);
}
