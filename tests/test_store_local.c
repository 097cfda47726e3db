/* tests/test_store_local.c: directories as stores: faults at every call, temporaries, links, files
 * that change under a reader's hands, killed writers. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/context_private.h"
#include "base/memory.h"
#include "faults.h"
#include "scratch.h"
#include "store/store.h"
#include "tap.h"

static char root[256];

static cm_store *open_at(const char *name, cm_durability durability)
{
    cm_error err = {0};
    cm_store *s = NULL;
    char path[400];
    snprintf(path, sizeof path, "%s/%s", root, name);
    TAP_CALL(cm_store_open_local(NULL, path, durability, &s, &err), &err);
    return s;
}

static int put(cm_store *s, const char *key, const char *text, unsigned flags, cm_error *err)
{
    size_t half = strlen(text) / 2;
    cm_iov iov[2] = {{text, half}, {text + half, strlen(text) - half}};
    return s->vt->put(s, key, iov, 2, flags, err);
}

static bool holds(cm_store *s, const char *key, const char *want)
{
    char *got = NULL;
    int r = cm_store_read_text(s, key, 1 << 20, &got, NULL, NULL);
    bool ok = want ? r == 0 && strcmp(got, want) == 0 : r == CM_ENOTFOUND;
    free(got);
    return ok;
}

static char *path_of(cm_store *s, const char *key, char *path)
{
    snprintf(path, 512, "%s/%s", cm_store_local_path(s), key);
    return path;
}

/* Entries of a directory, temporaries too. */
static int count_entries(cm_store *s, const char *dir)
{
    char path[512];
    int n = 0;
    DIR *d = opendir(path_of(s, dir, path));
    if (!d)
        return -1;
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static int hear_nothing(void *user, const char *name, bool is_prefix, uint64_t size, cm_error *err)
{
    (void)name, (void)is_prefix, (void)size, (void)err;
    ++*(int *)user;
    return 0;
}

static void paths(void)
{
    cm_store *s = NULL;
    cm_error err = {0};
    TAP_EQ(cm_store_open_local(NULL, "", 0, &s, &err), CM_EINVAL);
    TAP_EQ(cm_store_open_local(NULL, "/tmp///", 0, &s, NULL), 0);
    TAP_STR(cm_store_local_path(s), "/tmp");
    TAP_STR(s->uri, "/tmp///");
    cm_store_unref(s);
    TAP_EQ(cm_store_open_local(NULL, "//", 0, &s, NULL), 0);
    TAP_STR(cm_store_local_path(s), "/");
    cm_object_version v;
    TAP_EQ(s->vt->stat(s, "proc/self/cgroup", &v, NULL), 0);
    cm_store_unref(s);
    TAP_EQ(cm_store_new_memory(NULL, &s, NULL), 0);
    TAP_OK(!cm_store_local_path(s));
    cm_store_unref(s);
}

static void umask_is_kept(void)
{
    cm_store *s = open_at("modes", CM_DURABLE_NONE);
    char path[512];
    struct stat st;
    mode_t was = umask(027);
    TAP_EQ(put(s, "d/f", "x", 0, NULL), 0);
    umask(was);
    TAP_EQ(stat(path_of(s, "d/f", path), &st), 0);
    TAP_EQ(st.st_mode & 07777, 0640);
    TAP_EQ(stat(path_of(s, "d", path), &st), 0);
    TAP_EQ(st.st_mode & 07777, 0750);
    cm_store_unref(s);
}

/* Every call of a put fails once, with every durability: the old object stays, no temporary
 * does. */
static void put_faults(void)
{
    static const int errnos[] = {ENOSPC, EACCES, EIO, EDQUOT};
    static const int codes[] = {CM_ENOSPC, CM_EPERM, CM_EIO, CM_ENOSPC};
    char path[512];
    for (int mode = 0; mode < 16; mode++) {
        int which = mode & 3, reached = 0;
        unsigned flags = mode & 8 ? CM_PUT_IF_ABSENT : 0;
        cm_store *s = open_at("faults", which == 0 ? CM_DURABLE_NONE : CM_DURABLE_DIR);
        for (int64_t n = 0; n < 100; n++) {
            cm_error err = {0};
            TAP_EQ(s->vt->del_prefix(s, "", NULL), 0);
            if (!flags)
                TAP_EQ(put(s, "x/old", "before", 0, NULL), 0);
            TAP_EQ(s->vt->sync(s, NULL), 0);
            fault_no_renameat2(mode & 4);
            fault_short(mode & 4 ? 3 : 0);
            fault_call_at(n, errnos[which]);
            int r = put(s, flags ? "x/y/z/old" : "x/old", "afterwards", flags, &err);
            bool fired = fault_end();
            const char *key = flags ? "x/y/z/old" : "x/old";
            if (!fired) {
                TAP_CALL(r, &err);
                TAP_OK(holds(s, key, "afterwards"));
                break;
            }
            reached++;
            if (!TAP_OK(r == codes[which]))
                printf("# call %d, errno %d: %s\n", (int)n, errnos[which], err.message);
            TAP_OK(holds(s, key, flags ? NULL : "before"));
            TAP_OK(strstr(err.object, cm_store_local_path(s)));
            TAP_OK(err.os_errno == errnos[which]);
            int entries = count_entries(s, flags ? "x/y/z" : "x");
            TAP_OK(entries == !flags || (flags && entries < 0));
        }
        TAP_OK(reached >= 4);
        TAP_EQ(s->vt->del_prefix(s, "", NULL), 0);
        TAP_OK(access(path_of(s, "", path), F_OK) != 0);
        cm_store_unref(s);
    }
}

static void no_memory(void)
{
    for (int64_t n = 0;; n++) {
        cm_error err = {0};
        cm_store *s = NULL;
        char *text = NULL;
        fault_malloc_at(n);
        char path[400];
        snprintf(path, sizeof path, "%s/nomem", root);
        int r = cm_store_open_local(NULL, path, CM_DURABLE_DIR, &s, &err);
        if (r == 0)
            r = put(s, "a/b/c", "text", 0, &err);
        if (r == 0)
            r = s->vt->sync(s, &err);
        if (r == 0)
            r = cm_store_read_text(s, "a/b/c", 100, &text, NULL, &err);
        if (r == 0)
            TAP_STR(text, "text");
        free(text);
        cm_store_unref(s);
        /* and in memory */
        s = NULL;
        text = NULL;
        if (r == 0)
            r = cm_store_new_memory(NULL, &s, &err);
        for (int i = 0; i < 5 && r == 0; i++) {
            char key[20];
            snprintf(key, sizeof key, "a/%d", i);
            r = put(s, key, "text", 0, &err);
        }
        if (r == 0)
            r = cm_store_read_text(s, "a/3", 100, &text, NULL, &err);
        free(text);
        cm_store_unref(s);
        bool fired = fault_end();
        TAP_EQ(r, fired ? CM_ENOMEM : 0);
        TAP_EQ(err.code, r);
        if (!fired) {
            TAP_OK(n > 8);
            return;
        }
    }
}

static void reads_in_small_steps(void)
{
    cm_store *s = open_at("short", CM_DURABLE_NONE);
    char text[1001] = {0};
    for (int i = 0; i < 1000; i++)
        text[i] = (char)('!' + i % 90);
    fault_short(7);
    TAP_EQ(put(s, "f", text, 0, NULL), 0);
    TAP_OK(holds(s, "f", text));
    fault_end();
    TAP_OK(holds(s, "f", text));
    for (int64_t n = 0; n < 3; n++) {
        cm_error err = {0};
        char got[100];
        cm_range range = {10, 99, got};
        fault_call_at(0, n == 0 ? EIO : n == 1 ? EINTR : ESTALE);
        int r = s->vt->get(s, "f", &range, 1, &(cm_object_version){.size = 0}, &err);
        TAP_OK(fault_end());
        /* interrupted calls are repeated; so is the whole read when the file was replaced */
        TAP_EQ(r, n == 0 ? CM_EIO : 0);
        TAP_OK(n == 0 ? strstr(err.object, "short/f") != NULL : memcmp(got, text + 10, 99) == 0);
    }
    fault_call_at(0, EIO);
    TAP_EQ(s->vt->list(s, "", NULL, NULL, NULL), CM_EIO);
    TAP_OK(fault_end());
    cm_store_unref(s);
}

/* ---- files that change while they are read --------------------------------------------------- */

typedef struct tamper {
    char path[512];
    int times, how;
} tamper;

static void tamper_now(void *user)
{
    tamper *t = user;
    if (t->times-- <= 0)
        return;
    if (t->how == 0) { /* rewritten in place */
        int fd = open(t->path, O_WRONLY);
        TAP_OK(fd >= 0 && pwrite(fd, "NEW!", 4, 0) == 4);
        struct timespec later[2] = {{.tv_nsec = UTIME_NOW}, {.tv_sec = 2000000000 + t->times}};
        futimens(fd, later); /* as if the clock had ticked */
        close(fd);
    } else if (t->how == 1) {
        TAP_EQ(truncate(t->path, 3), 0);
    } else { /* replaced: what is open stays whole */
        char fresh[600];
        snprintf(fresh, sizeof fresh, "%s.fresh", t->path);
        FILE *f = fopen(fresh, "w");
        fputs("entirely different", f);
        fclose(f);
        TAP_EQ(rename(fresh, t->path), 0);
    }
}

static void changes_are_noticed(void)
{
    cm_store *s = open_at("change", CM_DURABLE_NONE);
    for (int how = 0; how < 3; how++)
        for (int known = 0; known < 2; known++) {
            cm_error err = {0};
            cm_object_version v = {0};
            tamper t = {.how = how, .times = 1};
            char got[12] = {0};
            cm_range range = {0, 11, got};
            TAP_EQ(put(s, "f", "old content", 0, NULL), 0);
            if (known)
                TAP_EQ(s->vt->stat(s, "f", &v, NULL), 0);
            path_of(s, "f", t.path);
            fault_before_read(tamper_now, &t);
            int r = s->vt->get(s, "f", &range, 1, &v, &err);
            fault_end();
            if (how == 2) {
                TAP_CALL(r, &err);
                TAP_STR(got, "old content");
            } else if (known) {
                TAP_EQ(r, CM_ECHANGED);
            } else if (how == 0) { /* read again, from the new one */
                TAP_CALL(r, &err);
                TAP_STR(got, "NEW!content");
            } else {
                TAP_EQ(r, CM_EDATA); /* read again, and now it is too short */
            }
            char *text = NULL;
            TAP_EQ(put(s, "f", "old content", 0, NULL), 0);
            t.times = 1;
            fault_before_read(tamper_now, &t);
            r = cm_store_read_text(s, "f", 100, &text, NULL, &err);
            fault_end();
            TAP_EQ(r, how == 2 ? 0 : CM_ECHANGED);
            free(text);
        }
    /* one that changes all the time is given up */
    tamper t = {.times = 1000};
    char got[4];
    cm_range range = {0, 4, got};
    TAP_EQ(put(s, "f", "old content", 0, NULL), 0);
    path_of(s, "f", t.path);
    fault_before_read(tamper_now, &t);
    TAP_EQ(s->vt->get(s, "f", &range, 1, NULL, NULL), CM_ECHANGED);
    fault_end();
    cm_store_unref(s);
}

static void odd_entries(void)
{
    cm_store *s = open_at("odd", CM_DURABLE_NONE), *inside = NULL;
    cm_error err = {0};
    char path[512], other[512];
    cm_object_version v = {0};
    TAP_EQ(put(s, "file", "x", 0, NULL), 0);
    TAP_EQ(put(s, "outside/kept", "y", 0, NULL), 0);
    TAP_EQ(put(s, "store/a/b", "z", 0, NULL), 0);
    TAP_EQ(mkfifo(path_of(s, "store/fifo", path), 0600), 0);
    TAP_EQ(symlink("../outside", path_of(s, "store/link", path)), 0);
    TAP_EQ(symlink("nowhere", path_of(s, "store/dangling", path)), 0);
    TAP_EQ(symlink("../file", path_of(s, "store/flink", path)), 0);
    inside = open_at("odd/store", CM_DURABLE_NONE);

    TAP_EQ(inside->vt->get(inside, "fifo", NULL, 0, &v, &err), CM_EUNSUP);
    /* what is no object is not absent either */
    const char *const odd[] = {"a", "dangling", "dangling/x/y", "flink/x"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        char *text = NULL;
        TAP_EQ(inside->vt->stat(inside, odd[i], &v, &err), CM_EIO);
        TAP_OK(strstr(err.object, odd[i]));
        v = (cm_object_version){0};
        TAP_EQ(inside->vt->get(inside, odd[i], NULL, 0, &v, &err), CM_EIO);
        TAP_EQ(cm_store_read_text(inside, odd[i], 100, &text, NULL, &err), CM_EIO);
        TAP_OK(strstr(err.object, odd[i]));
        free(text);
    }
    TAP_EQ(s->vt->stat(s, "file/below", &v, &err), CM_EIO);
    TAP_STR(err.message, "file is not a directory");
    int heard = 0;
    TAP_EQ(inside->vt->list(inside, "", hear_nothing, &heard, &err), CM_EIO);
    TAP_STR(err.message, "dangling is a link to nothing");
    TAP_EQ(unlink(path_of(s, "store/dangling", path)), 0);
    heard = 0;
    TAP_CALL(inside->vt->list(inside, "", hear_nothing, &heard, &err), &err);
    TAP_EQ(heard, 3); /* a, link, flink; not the pipe */
    TAP_EQ(inside->vt->stat(inside, "link/none", &v, &err), CM_ENOTFOUND);
    TAP_EQ(inside->vt->stat(inside, "link/none/x", &v, &err), CM_ENOTFOUND);
    TAP_EQ(inside->vt->stat(inside, "none/x/y", &v, &err), CM_ENOTFOUND);
    TAP_EQ(put(s, "file/below", "x", 0, &err),
           CM_ENOTFOUND); /* a file where a directory is wanted */
    TAP_OK(strstr(err.object, "odd/file/below"));
    TAP_OK(put(inside, "a", "x", 0, &err) != 0); /* a directory where a file is wanted */
    TAP_OK(strstr(err.object, "store/a"));
    TAP_OK(holds(inside, "link/kept", "y"));
    TAP_OK(holds(inside, "flink", "x"));
    TAP_EQ(inside->vt->del(inside, "a", NULL), 0); /* no such object */
    TAP_OK(holds(inside, "a/b", "z"));
    TAP_CALL(inside->vt->del_prefix(inside, "", &err), &err);
    TAP_OK(access(path_of(s, "store", path), F_OK) != 0);
    TAP_OK(holds(s, "outside/kept", "y")); /* the link went, not what it led to */
    TAP_OK(holds(s, "file", "x"));

    /* a store that is given as a link to its directory */
    cm_store_unref(inside);
    TAP_EQ(put(s, "real/f", "x", 0, NULL), 0);
    TAP_EQ(symlink("real", path_of(s, "alias", path)), 0);
    inside = open_at("odd/alias", CM_DURABLE_NONE);
    TAP_EQ(inside->vt->del_prefix(inside, "", NULL), 0);
    TAP_OK(holds(s, "real/f", NULL));
    TAP_EQ(access(path_of(s, "alias", other), F_OK), 0);
    TAP_EQ(put(inside, "g", "x", 0, NULL), 0);
    TAP_OK(holds(s, "real/g", "x"));
    cm_store_unref(inside);

    /* names as long as the file system lets them be */
    char name[256];
    memset(name, 'n', 255);
    name[255] = 0;
    TAP_CALL(put(s, name, "long", 0, &err), &err);
    TAP_OK(holds(s, name, "long"));
    char deep[6000];
    memset(deep, 'd', sizeof deep);
    for (size_t i = 100; i < sizeof deep; i += 100)
        deep[i] = '/';
    deep[sizeof deep - 1] = 0;
    TAP_OK(put(s, deep, "x", 0, &err) != 0);
    TAP_OK(s->vt->stat(s, deep, &v, &err) != 0);
    cm_store_unref(s);
}

static void no_permission(void)
{
    cm_store *s = open_at("perm", CM_DURABLE_NONE);
    char path[512];
    TAP_EQ(put(s, "d/f", "x", 0, NULL), 0);
    TAP_EQ(chmod(path_of(s, "d/f", path), 0), 0);
    TAP_EQ(chmod(path_of(s, "d", path), 0555), 0);
    if (geteuid() == 0) {
        printf("# running as root: permissions are not enforced, in a child with another uid\n");
        fflush(stdout);
    }
    chmod(root, 0755);
    pid_t pid = fork();
    if (pid == 0) {
        if (geteuid() == 0 && setuid(65534) != 0)
            _exit(9);
        cm_error err = {0};
        char *text = NULL;
        if (cm_store_read_text(s, "d/f", 10, &text, NULL, &err) != CM_EPERM ||
            !strstr(err.object, "d/f"))
            _exit(1);
        if (put(s, "d/g", "x", 0, &err) != CM_EPERM)
            _exit(2);
        if (s->vt->del(s, "d/f", &err) != CM_EPERM)
            _exit(3);
        if (s->vt->del_prefix(s, "d", &err) != CM_EPERM)
            _exit(4);
        _exit(0);
    }
    int status = -1;
    TAP_EQ(waitpid(pid, &status, 0), pid);
    TAP_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
    chmod(path_of(s, "d", path), 0755);
    cm_store_unref(s);
}

/* A real limit, not a made-up errno. */
static void file_size_limit(void)
{
    cm_store *s = open_at("limit", CM_DURABLE_NONE);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit limit = {1000, 1000};
        cm_error err = {0};
        char *text = cm_calloc(5001, 1, NULL);
        memset(text, 'q', 5000);
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        int r = put(s, "d/f", text, 0, &err);
        free(text);
        _exit(r != CM_EIO                       ? 1
              : err.os_errno != EFBIG           ? 2
              : put(s, "d/g", "small", 0, &err) ? 3
                                                : 0);
    }
    int status = -1;
    TAP_EQ(waitpid(pid, &status, 0), pid);
    TAP_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
    TAP_OK(holds(s, "d/f", NULL));
    TAP_OK(holds(s, "d/g", "small"));
    TAP_EQ(count_entries(s, "d"), 1);
    cm_store_unref(s);
}

/* ---- temporaries ----------------------------------------------------------------------------- */

/* Killed in the middle of a put: the old object is whole, and nobody sees what is left. */
static void killed_writers_leave_nothing_to_see(void)
{
    cm_store *s = open_at("killed", CM_DURABLE_NONE);
    TAP_EQ(put(s, "a/f", "whole", 0, NULL), 0);
    int ready[2];
    TAP_EQ(pipe(ready), 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        static char big[1 << 20];
        cm_iov iov[2] = {{big, sizeof big}, {big, sizeof big}};
        for (;;) {
            if (s->vt->put(s, "a/f2", iov, 2, 0, NULL) != 0 || write(ready[1], "x", 1) != 1)
                _exit(1);
        }
    }
    char c;
    for (int i = 0; i < 5; i++)
        TAP_EQ(read(ready[0], &c, 1), 1);
    kill(pid, SIGKILL);
    TAP_EQ(waitpid(pid, NULL, 0), pid);
    close(ready[0]);
    close(ready[1]);
    TAP_OK(holds(s, "a/f", "whole"));

    /* what a killed writer leaves for sure */
    char path[512];
    FILE *f = fopen(path_of(s, "a/f.cm-tmp-0123456789abcdef-1-7", path), "w");
    TAP_OK(f);
    fclose(f);
    int listed = 0;
    TAP_EQ(s->vt->list(s, "a", hear_nothing, &listed, NULL), 0);
    TAP_OK(listed == 1 || listed == 2); /* f and perhaps f2 */
    TAP_OK(count_entries(s, "a") > listed);
    TAP_EQ(s->vt->del_prefix(s, "", NULL), 0);
    TAP_OK(access(path_of(s, "", path), F_OK) != 0);
    cm_store_unref(s);
}

static void cancelling_removes_the_temporary(void)
{
    cm_context *ctx = NULL;
    cm_store *s = NULL;
    char path[400], *text = NULL;
    TAP_EQ(cm_context_new(NULL, &ctx, NULL), 0);
    snprintf(path, sizeof path, "%s/cancel", root);
    TAP_EQ(cm_store_open_local(ctx, path, CM_DURABLE_NONE, &s, NULL), 0);
    TAP_EQ(put(s, "f", "x", 0, NULL), 0);
    cm_context_cancel(ctx);
    TAP_EQ(put(s, "f", "yy", 0, NULL), CM_ECANCEL);
    TAP_EQ(cm_store_read_text(s, "f", 9, &text, NULL, NULL), CM_ECANCEL);
    TAP_EQ(s->vt->del_prefix(s, "", NULL), CM_ECANCEL);
    TAP_EQ(count_entries(s, ""), 1);
    cm_store_unref(s);
    cm_context_free(ctx);
}

/* Removing a tree while others fill it: deleting never fails, putting only for want of its
 * temporary. */
static int fill_or_empty(void *arg, int64_t i, int worker, cm_error *err)
{
    cm_store *s = arg;
    char key[64];
    (void)worker;
    if (i % 10 == 9)
        return s->vt->del_prefix(s, "t", err);
    snprintf(key, sizeof key, "t/%d/%d/f", (int)(i % 7), (int)(i % 3));
    int r = put(s, key, "x", 0, err);
    return r == CM_ENOTFOUND ? 0 : r; /* its temporary was removed with the tree */
}

static void trees_come_and_go(void)
{
    cm_store *s = open_at("trees", CM_DURABLE_DIR);
    cm_pool *pool = NULL;
    cm_error err = {0};
    TAP_EQ(cm_pool_new(1, &pool, NULL), 0);
    TAP_CALL(cm_pool_for(pool, NULL, 2000, 2, fill_or_empty, s, &err), &err);
    TAP_CALL(s->vt->sync(s, &err), &err);
    for (int i = 0; i < 100; i++) { /* more directories than the set begins with */
        char key[64];
        snprintf(key, sizeof key, "many/%d/f", i);
        TAP_EQ(put(s, key, "x", 0, NULL), 0);
    }
    TAP_CALL(s->vt->sync(s, &err), &err);
    /* a directory that could not be flushed is flushed by the next sync */
    for (int64_t n = 0; n < 5; n++) {
        char key[64];
        snprintf(key, sizeof key, "flush/%d/%d/f", (int)n, (int)n);
        TAP_EQ(put(s, key, "x", 0, NULL), 0);
        fault_call_at(n % 3, EIO);
        TAP_EQ(s->vt->sync(s, &err), CM_EIO);
        TAP_OK(fault_end());
        TAP_OK(strstr(err.object, "/trees"));
        fault_call_at(0, EIO);
        TAP_EQ(s->vt->sync(s, &err), CM_EIO);
        TAP_OK(fault_end());
        TAP_CALL(s->vt->sync(s, &err), &err);
        fault_call_at(0, EIO); /* now there is nothing left to flush */
        TAP_CALL(s->vt->sync(s, &err), &err);
        TAP_OK(!fault_end());
    }
    cm_pool_free(pool);
    cm_store_unref(s);
}

int main(void)
{
    if (!scratch_make(root, sizeof root))
        return 1;
    TAP_RUN(paths);
    TAP_RUN(umask_is_kept);
    TAP_RUN(put_faults);
    TAP_RUN(no_memory);
    TAP_RUN(reads_in_small_steps);
    TAP_RUN(changes_are_noticed);
    TAP_RUN(odd_entries);
    TAP_RUN(no_permission);
    TAP_RUN(file_size_limit);
    TAP_RUN(killed_writers_leave_nothing_to_see);
    TAP_RUN(cancelling_removes_the_temporary);
    TAP_RUN(trees_come_and_go);
    return scratch_remove(root) ? tap_done() : 1;
}
