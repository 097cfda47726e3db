/* chunkmill/context.h: threads, memory budget, log, progress and cancellation, all in one object.
 *
 * There is no global state: whatever a program sets is in its context, and two contexts in one
 * process do not see each other. Everything opened through a context must be freed before it.
 *
 * Threads: a context may be used from any number of threads at once. Callbacks may come from any
 * thread, one at a time.
 */
#ifndef CHUNKMILL_CONTEXT_H
#define CHUNKMILL_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "chunkmill/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cm_context cm_context;

typedef enum cm_log_level { CM_LOG_ERROR, CM_LOG_WARNING, CM_LOG_INFO, CM_LOG_DEBUG } cm_log_level;

/* What long work reports, at most about ten times a second. Counts are of the present stage. */
typedef struct cm_progress {
    const char *stage;    /* "open", "write", "diff"..., static */
    const char *variable; /* path of the array at work, or "" */
    int64_t done, total;  /* of what `counted` says */
    const char *counted;  /* NULL: cells' bytes, decoded; else "files", "chunks"..., static */
    double seconds;       /* since the work began */
    uint64_t memory_now;  /* bytes taken from the budget */
    uint64_t memory_limit;
} cm_progress;

typedef void (*cm_log_fn)(void *user, cm_log_level level, const char *line);
typedef void (*cm_progress_fn)(void *user, const cm_progress *progress);

typedef struct cm_context_options {
    int threads;         /* threads that work; 0: what affinity and the cgroup's quota give */
    uint64_t max_memory; /* bytes the whole process should stay below; 0: see cm_memory_default */
    cm_log_fn log;       /* NULL: nothing is logged */
    void *log_user;
    cm_progress_fn progress; /* NULL: nothing is reported */
    void *progress_user;
    bool trust_paths; /* HDF5 files may name files anywhere, and these are read; false: only those
                         below the folder of the file that names them */
} cm_context_options;

/* Set every field to its default. Always start with this: later versions add fields. */
CM_API void cm_context_options_init(cm_context_options *options);

/* Make a context. options NULL means defaults. Raises CM_ENOMEM, CM_EINVAL (threads outside
 * 0..1024, max_memory below 8 MB). The context is freed with cm_context_free, which joins its
 * threads; NULL is allowed there. */
CM_API int cm_context_new(const cm_context_options *options, cm_context **out,
                          cm_error *err) CM_MUST_CHECK;
CM_API void cm_context_free(cm_context *ctx);

/* Ask all work of this context to stop soon with CM_ECANCEL. Safe in a signal handler. */
CM_API void cm_context_cancel(cm_context *ctx);
CM_API bool cm_context_cancelled(const cm_context *ctx);

CM_API int cm_context_threads(const cm_context *ctx);
CM_API uint64_t cm_context_max_memory(const cm_context *ctx);

/* Bytes now taken from the budget, and the most there ever were. */
CM_API uint64_t cm_context_memory_now(const cm_context *ctx);
CM_API uint64_t cm_context_memory_peak(const cm_context *ctx);

/* Half of what is available (MemAvailable, the cgroup's limit, RLIMIT_AS, SLURM_MEM_PER_NODE is the
 * caller's matter: the library reads no environment), at most 16 GB, at least 64 MB. */
CM_API uint64_t cm_memory_default(void);

/* Number of threads that CPU affinity and the cgroup's CPU quota allow, at least 1. */
CM_API int cm_threads_default(void);

/* "0.1.0" */
CM_API const char *cm_version(void);

#ifdef __cplusplus
}
#endif
#endif
