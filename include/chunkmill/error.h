/* chunkmill/error.h: how every function says what went wrong.
 *
 * A function that can fail returns 0 or a negative code of the table below, and fills the cm_error
 * that the caller passed as its last parameter (NULL is allowed: then only the code comes back).
 * A message is set exactly when the return value is not 0. The deepest function writes the message,
 * since it knows most; callers add only the parts it could not know (file, variable, advice).
 *
 * Threads: a cm_error belongs to one thread at a time; there is no hidden last error.
 */
#ifndef CHUNKMILL_ERROR_H
#define CHUNKMILL_ERROR_H

#include <stdarg.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define CM_API __attribute__((visibility("default")))
#define CM_PRINTF(a, b) __attribute__((format(printf, a, b)))
#define CM_MUST_CHECK __attribute__((warn_unused_result))
#else
#define CM_API
#define CM_PRINTF(a, b)
#define CM_MUST_CHECK
#endif

/* name, value, exit code of the program, Python exception, meaning */
#define CM_ERROR_TABLE(X)                                                                          \
    X(CM_ENOMEM, -1, 6, "MemoryError", "out of memory")                                            \
    X(CM_EINVAL, -2, 2, "ValueError", "invalid argument")                                          \
    X(CM_ENOTFOUND, -3, 5, "FileNotFoundError", "not found")                                       \
    X(CM_EEXIST, -4, 5, "FileExistsError", "exists already")                                       \
    X(CM_EIO, -5, 5, "OSError", "input or output failed")                                          \
    X(CM_ENOSPC, -6, 5, "OSError", "no space left")                                                \
    X(CM_EPERM, -7, 5, "PermissionError", "no permission")                                         \
    X(CM_EDATA, -8, 3, "ValueError", "malformed data")                                             \
    X(CM_EUNSUP, -9, 3, "NotImplementedError", "unsupported feature")                              \
    X(CM_EJOIN, -10, 3, "ValueError", "cannot be joined")                                          \
    X(CM_EDIFF, -11, 4, "AssertionError", "differs")                                               \
    X(CM_ELIMIT, -12, 6, "MemoryError", "over a limit")                                            \
    X(CM_ETIMEOUT, -13, 6, "TimeoutError", "timed out")                                            \
    X(CM_ECANCEL, -14, 130, "KeyboardInterrupt", "interrupted")                                    \
    X(CM_ECHANGED, -15, 5, "OSError", "changed while it was read")

enum cm_code {
#define CM_ERROR_ENUM(name, value, exit_code, py, text) name = value,
    CM_ERROR_TABLE(CM_ERROR_ENUM)
#undef CM_ERROR_ENUM
};

/* All strings are NUL-terminated; a part that does not apply is empty. Longer text is cut. */
typedef struct cm_error {
    int code;           /* 0 or a CM_E* code */
    int os_errno;       /* errno of the failed system call, or 0 */
    int http_status;    /* status of the failed HTTP request, or 0 */
    char object[512];   /* file, URI or key that is at fault */
    char variable[256]; /* path of the variable in it */
    char message[768];  /* what is wrong, one line without a full stop */
    char hint[384];     /* what to do about it, one line */
} cm_error;

/* Make err empty. Needed once before its first use; NULL is allowed. */
CM_API void cm_error_clear(cm_error *err);

/* Set code and message (replacing what was there) and return code, so that failing reads
 * `return cm_error_set(err, CM_EDATA, "chunk %s: ...", key);`. err may be NULL. */
CM_API int cm_error_set(cm_error *err, int code, const char *format, ...) CM_PRINTF(3, 4);

/* The same for a failed system call: picks the code from os_errno (ENOENT: CM_ENOTFOUND, EACCES:
 * CM_EPERM, ENOSPC/EDQUOT: CM_ENOSPC, EEXIST: CM_EEXIST, EINTR: CM_ECANCEL, ENOMEM: CM_ENOMEM, else
 * CM_EIO) and appends the system's text. */
CM_API int cm_error_set_os(cm_error *err, int os_errno, const char *format, ...) CM_PRINTF(3, 4);

/* Add a part that the deeper function could not know. Object and variable are set only when still
 * empty, the hint only when there is none. They return err's code (0 when err is NULL). */
CM_API int cm_error_object(cm_error *err, const char *object);
CM_API int cm_error_variable(cm_error *err, const char *variable);
CM_API int cm_error_hint(cm_error *err, const char *format, ...) CM_PRINTF(2, 3);

/* Put `prefix: ` before the message. Returns err's code. */
CM_API int cm_error_prefix(cm_error *err, const char *format, ...) CM_PRINTF(2, 3);

/* The whole error as one line, `OBJECT: VARIABLE: message (hint)`, cut to size bytes. Returns
 * buf. */
CM_API char *cm_error_line(const cm_error *err, char *buf, size_t size);

/* "CM_EDATA" for CM_EDATA, "CM_OK" for 0, "CM_EUNKNOWN" otherwise; static. */
CM_API const char *cm_code_name(int code);

/* The program's exit status for a code: 0, 2..6, 130; 1 for an unknown code. */
CM_API int cm_code_exit(int code);

#ifdef __cplusplus
}
#endif
#endif
