/* array/paths.h: names of the objects that references point to, each held once, and what is known
 * of them.
 *
 * References name files of other people. What a reference file recorded of a file (its size, its
 * time of change) is compared when the first chunk of it is wanted, once: offsets into a file that
 * is another one now would read wrong data without a sign.
 *
 * Threads: all functions may be called from any thread.
 */
#ifndef CM_ARRAY_PATHS_H
#define CM_ARRAY_PATHS_H

#include "store/store.h"

typedef struct cm_paths cm_paths;

/* store: where the names are keys; ref'd. */
int cm_paths_new(cm_store *store, cm_paths **out, cm_error *err);
cm_paths *cm_paths_ref(cm_paths *p);
void cm_paths_unref(cm_paths *p); /* NULL is legal */

/* The number of a name, a new one when it is not there yet. Raises CM_ELIMIT (more than 2^32 - 16
 * names), CM_ENOMEM. */
int cm_paths_add(cm_paths *p, const char *name, size_t nbytes, uint32_t *id, cm_error *err);

/* What resolves a name as written in a reference file to a key of the store: returns 0 and the key
 * (malloc'ed), or CM_EUNSUP for places that cannot be read. Set before the first check. */
typedef int (*cm_paths_resolve_fn)(void *user, const char *name, char **key, cm_error *err);
void cm_paths_set_resolve(cm_paths *p, cm_paths_resolve_fn fn, void *user, void (*release)(void *));

/* The file had this size and time of change (ns since 1970; INT64_MIN: not known). */
void cm_paths_expect(cm_paths *p, uint32_t id, uint64_t size, int64_t mtime_ns);

/* Names that begin with the first nold bytes of old mean what begins with new_prefix instead. Their
 * time of change is not compared then, since copying changes it; their size is. Before the first
 * check. */
int cm_paths_rebase(cm_paths *p, const char *old, size_t nold, const char *new_prefix,
                    cm_error *err);

size_t cm_paths_count(cm_paths *p);
const char *cm_paths_name(cm_paths *p, uint32_t id); /* as written */

/* The key of name id, checked against what is expected of it. Raises CM_EUNSUP (resolve),
 * CM_EDATA (it changed), CM_ENOTFOUND and what stat raises. *key: borrowed from p. */
int cm_paths_key(cm_paths *p, uint32_t id, const char **key, cm_error *err);

#endif
