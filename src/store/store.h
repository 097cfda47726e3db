/* store/store.h: a store: a flat map from key to bytes.
 *
 * Keys are '/'-separated paths without leading or trailing '/', without "." or ".." parts and
 * without NUL; the empty key is not an object. Objects are put whole and appear atomically. A store
 * knows nothing of arrays.
 *
 * Every read returns the object's version (identity). A caller that read an index passes that
 * version to the reads that follow, and gets CM_ECHANGED when the object is another one now.
 *
 * Threads: all functions may be called from any thread.
 */
#ifndef CM_STORE_STORE_H
#define CM_STORE_STORE_H

#include "base/buffer.h"
#include "chunkmill/context.h"

typedef struct cm_store cm_store;

/* Identity of an object's content. All zero: unknown, matches anything. */
typedef struct cm_object_version {
    uint64_t size;
    uint64_t id[3]; /* local: inode, mtime ns, 0; memory: a counter, 0, 0 */
} cm_object_version;

/* One byte range to read. */
typedef struct cm_range {
    uint64_t offset;
    size_t nbytes;
    void *dst;
} cm_range;

/* Where the bytes of an object are. */
typedef struct cm_place {
    cm_store *store; /* borrowed, as key is */
    const char *key;
    uint64_t offset, nbytes;
    cm_object_version version; /* of that key */
} cm_place;

typedef struct cm_iov {
    const void *data;
    size_t nbytes;
} cm_iov;

typedef enum cm_durability { CM_DURABLE_NONE, CM_DURABLE_FILE, CM_DURABLE_DIR } cm_durability;

enum { CM_PUT_IF_ABSENT = 1 }; /* CM_EEXIST when the key is there */

/* Called for each child of a listed prefix: name is the last part only. Return nonzero to stop with
 * that code (set err yourself). */
typedef int (*cm_list_fn)(void *user, const char *name, bool is_prefix, uint64_t size,
                          cm_error *err);

/* Makes an object: hands all of its bytes, in order, to write. */
typedef int (*cm_produce_fn)(void *user, cm_write_fn write, void *to, cm_error *err);

typedef struct cm_store_vt {
    /* Size and version. CM_ENOTFOUND when there is no such object, here and in all reads. What has
     * its name and is none (a directory, a link to nothing, a file in the place of a directory of
     * the name) is CM_EIO, for absent chunks read as fill. */
    int (*stat)(cm_store *s, const char *key, cm_object_version *out, cm_error *err);

    /* key was not found by a read. CM_ECHANGED where it may have been there when the store was
     * opened: something was added or removed beside it since. NULL: the store cannot know. */
    int (*check_absent)(cm_store *s, const char *key, cm_error *err);

    /* Read n ranges. dst of nbytes each, in any order. *version: in, the version they must come
     * from (all zero: any); out, the one they came from. A range beyond the object's end is
     * CM_EDATA. Reads of one call are all of one version. */
    int (*get)(cm_store *s, const char *key, const cm_range *ranges, int n,
               cm_object_version *version, cm_error *err);

    /* Read the whole object into memory from alloc(user, nbytes), which returns NULL to refuse
     * (then: CM_ELIMIT, or what alloc put in err). One open for size and content. *nbytes is set.
     */
    int (*get_all)(cm_store *s, const char *key,
                   void *(*alloc)(void *user, size_t nbytes, cm_error *err), void *user,
                   size_t *nbytes, cm_object_version *version, cm_error *err);

    /* Where an object's bytes lie as they are in an object of another store: a member of an archive
     * in the archive's file. CM_EUNSUP when they do not (it is compressed). NULL: never. */
    int (*place)(cm_store *s, const char *key, cm_place *out, cm_error *err);

    /* Put the concatenation of the iovs as the whole object. Readers see the old object or the new
     * one. */
    int (*put)(cm_store *s, const char *key, const cm_iov *iov, int n, unsigned flags,
               cm_error *err);

    /* Put what produce makes as the whole object, without holding it in memory where the store can
     * do that. Nothing is put when produce fails. */
    int (*put_from)(cm_store *s, const char *key, cm_produce_fn produce, void *user, unsigned flags,
                    cm_error *err);

    /* Delete one object; one that is absent is no error. */
    int (*del)(cm_store *s, const char *key, cm_error *err);

    /* Delete everything at and below prefix; "" is everything, a local store's own directory
     * too. */
    int (*del_prefix)(cm_store *s, const char *prefix, cm_error *err);

    /* Direct children of prefix ("" for the top), unordered. An absent prefix has none. A link to
     * nothing among them is CM_EIO. */
    int (*list)(cm_store *s, const char *prefix, cm_list_fn fn, void *user, cm_error *err);

    /* Make what was put under CM_DURABLE_DIR durable: fsync of directories touched since. */
    int (*sync)(cm_store *s, cm_error *err);
    void (*free)(cm_store *s);
} cm_store_vt;

struct cm_store {
    const cm_store_vt *vt;
    int refcount; /* atomic */
    char *uri;    /* as the user named it, for messages */
};

cm_store *cm_store_ref(cm_store *s);
void cm_store_unref(cm_store *s); /* NULL is legal */

/* A directory, made on the first put if absent. A single file's store is the directory it lies
 * in. */
int cm_store_open_local(cm_context *ctx, const char *path, cm_durability durability, cm_store **out,
                        cm_error *err);
/* The members of a zip archive, which is object key of files; read only. Its directory is read now;
 * an archive that is another one later is CM_ECHANGED. ctx (may be NULL): its budget holds the
 * table, so it outlives the store. Raises CM_EDATA, CM_EUNSUP, CM_ELIMIT and what reading raises.
 */
int cm_store_open_zip(cm_context *ctx, cm_store *files, const char *key, cm_store **out,
                      cm_error *err);
int cm_store_new_memory(cm_context *ctx, cm_store **out, cm_error *err);

/* A read did not find key, and what is absent means fill: 0 when it may be taken for that. */
int cm_store_check_absent(cm_store *s, const char *key, cm_error *err);

/* Path of the directory when the store is local, else NULL. */
const char *cm_store_local_path(const cm_store *s);

/* Whole object into a new malloc'ed, NUL-terminated buffer of at most max bytes (CM_ELIMIT above).
 * For metadata. */
int cm_store_read_text(cm_store *s, const char *key, size_t max, char **out, size_t *nbytes,
                       cm_error *err);
/* The same, and the version that the bytes are of. */
int cm_store_read_version(cm_store *s, const char *key, size_t max, char **out, size_t *nbytes,
                          cm_object_version *version, cm_error *err);

/* CM_EINVAL unless key obeys the rules above. A part that contains ".cm-tmp-" is refused too: list
 * would hide it. */
int cm_store_check_key(const char *key, cm_error *err);

#endif
