/* base/error.c: the error struct.
 *
 * The deepest function sets code and message; the functions above it add the file, the variable and
 * advice, and never overwrite. So an error reads `FILE: VARIABLE: what is wrong (what to do)`
 * whichever floor found it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "chunkmill/error.h"

void cm_error_clear(cm_error *err)
{
    if (err)
        memset(err, 0, sizeof *err);
}

int cm_error_set(cm_error *err, int code, const char *format, ...)
{
    if (err) {
        cm_error_clear(err);
        err->code = code;
        va_list ap;
        va_start(ap, format);
        vsnprintf(err->message, sizeof err->message, format, ap);
        va_end(ap);
    }
    return code;
}

static int code_of_errno(int e)
{
    switch (e) {
    case ENOENT:
    case ENOTDIR: return CM_ENOTFOUND;
    case EACCES:
    case EPERM:
    case EROFS: return CM_EPERM;
    case ENOSPC:
    case EDQUOT: return CM_ENOSPC;
    case EEXIST:
    case ENOTEMPTY: return CM_EEXIST;
    case EINTR: return CM_ECANCEL;
    case ENOMEM: return CM_ENOMEM;
    default: return CM_EIO;
    }
}

int cm_error_set_os(cm_error *err, int os_errno, const char *format, ...)
{
    int code = code_of_errno(os_errno);
    if (err) {
        cm_error_clear(err);
        err->code = code;
        err->os_errno = os_errno;
        va_list ap;
        va_start(ap, format);
        vsnprintf(err->message, sizeof err->message, format, ap);
        va_end(ap);
        char text[128];
        size_t n = strlen(err->message);
#if defined(__GLIBC__)
        const char *what = strerror_r(os_errno, text, sizeof text);
#else
        const char *what = strerror_r(os_errno, text, sizeof text) ? "unknown error" : text;
#endif
        snprintf(err->message + n, sizeof err->message - n, ": %s", what);
    }
    return code;
}

int cm_error_object(cm_error *err, const char *object)
{
    if (!err)
        return 0;
    if (object && !err->object[0])
        snprintf(err->object, sizeof err->object, "%s", object);
    return err->code;
}

int cm_error_variable(cm_error *err, const char *variable)
{
    if (!err)
        return 0;
    if (variable && !err->variable[0])
        snprintf(err->variable, sizeof err->variable, "%s", variable);
    return err->code;
}

int cm_error_hint(cm_error *err, const char *format, ...)
{
    if (!err)
        return 0;
    if (!err->hint[0]) {
        va_list ap;
        va_start(ap, format);
        vsnprintf(err->hint, sizeof err->hint, format, ap);
        va_end(ap);
    }
    return err->code;
}

int cm_error_prefix(cm_error *err, const char *format, ...)
{
    if (!err)
        return 0;
    char prefix[sizeof err->message];
    va_list ap;
    va_start(ap, format);
    vsnprintf(prefix, sizeof prefix, format, ap);
    va_end(ap);
    char whole[2 * sizeof err->message + 4];
    snprintf(whole, sizeof whole, "%s: %s", prefix, err->message);
    memcpy(err->message, whole, sizeof err->message - 1);
    return err->code;
}

char *cm_error_line(const cm_error *err, char *buf, size_t size)
{
    if (size == 0)
        return buf;
    snprintf(buf, size, "%s%s%s%s%s%s%s%s", err->object, err->object[0] ? ": " : "", err->variable,
             err->variable[0] ? ": " : "", err->message, err->hint[0] ? " (" : "", err->hint,
             err->hint[0] ? ")" : "");
    for (char *p = buf; *p; p++)
        if (*p == '\n' || *p == '\r')
            *p = ' ';
    return buf;
}

const char *cm_code_name(int code)
{
    switch (code) {
    case 0: return "CM_OK";
#define NAME(name, value, exit_code, py, text)                                                     \
    case value: return #name;
        CM_ERROR_TABLE(NAME)
#undef NAME
    default: return "CM_EUNKNOWN";
    }
}

int cm_code_exit(int code)
{
    switch (code) {
    case 0: return 0;
#define EXIT(name, value, exit_code, py, text)                                                     \
    case value: return exit_code;
        CM_ERROR_TABLE(EXIT)
#undef EXIT
    default: return 1;
    }
}
