/* store/local.h: what the files of the local store share. */
#ifndef CM_STORE_LOCAL_H
#define CM_STORE_LOCAL_H

#include <dirent.h>
#include <limits.h>
#include <pthread.h>
#include <sys/stat.h>

#include "store/store.h"

/* Between an object's name and its temporary's host, pid and counter. */
#define CM_TEMPORARY_MARK ".cm-tmp-"

enum { CM_LOCAL_PATH_ROOM = PATH_MAX };

/* Directories that a sync still has to flush: a hash set of paths. */
typedef struct cm_dir_set {
    char **paths; /* capacity slots, NULL: free */
    size_t n, capacity;
} cm_dir_set;

typedef struct cm_local {
    cm_store base;
    cm_context *ctx; /* may be NULL: then nothing is cancelled */
    char *path;      /* of the directory, no '/' at its end unless it is the root */
    cm_durability durability;
    struct timespec opened;  /* not before the time of any file then */
    _Atomic uint64_t host;   /* says which system the pids of temporaries belong to; 0: not asked */
    _Atomic unsigned serial; /* of temporaries */
    pthread_mutex_t dirs_lock;
    cm_dir_set dirs;
} cm_local;

extern const cm_store_vt cm_local_vt;

/* Path of key ("" for the directory itself) into out, CM_LOCAL_PATH_ROOM bytes. CM_EINVAL for a bad
 * key: no key leads out of the directory. */
int cm_local_key_path(const cm_local *s, const char *key, char *out, cm_error *err);

/* local_put.c */
int cm_local_put_from(cm_store *s, const char *key, cm_produce_fn produce, void *user,
                      unsigned flags, cm_error *err);
int cm_local_put(cm_store *s, const char *key, const cm_iov *iov, int n, unsigned flags,
                 cm_error *err);
int cm_local_sync(cm_store *s, cm_error *err);

/* Rename a file unless something has the name already. 0 or an errno. */
int cm_local_name_if_absent(const char *temporary, const char *path);

/* fsync the directory at path, so that the names in it survive a crash. No error where the file
 * system cannot, or the directory is gone. */
int cm_local_flush_directory(const char *path, cm_error *err);
void cm_dir_set_clear(cm_dir_set *set);
uint64_t cm_local_host(void);

/* local_sweep.c */

/* Remove what processes that are gone left of writing directory/name; begins: of all whose names
 * begin so. What cannot be removed stays. */
void cm_local_sweep(const char *directory, const char *name, bool begins);

/* A directory and all in it. Without a context: cleaning up goes on after Ctrl-C. */
int cm_local_remove_tree(const char *path, cm_error *err);

/* local_walk.c */
int cm_local_list(cm_store *s, const char *prefix, cm_list_fn fn, void *user, cm_error *err);
int cm_local_del(cm_store *s, const char *key, cm_error *err);
int cm_local_del_prefix(cm_store *s, const char *prefix, cm_error *err);

#endif
