/* format/refs/refs_url.c: which local file a reference means.
 *
 *     /a/b.nc            itself
 *     a/b.nc             from the directory of the reference file, so that both can move together
 *     file:///a/b.nc     /a/b.nc; file:/a, file://localhost/a, local:/a the same
 *     s3://, https://    refused by name
 *
 * fsspec takes the path of a file URL as it is, others write it with percent escapes. The text as
 * it is comes first; when there is no such file and the unescaped text names one, that is meant.
 * "." and ".." go by their letters, as in fsspec: keys of a store have none.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "format/refs/refs.h"

/* The length of "scheme:" at the start of a name, 0 when it is a path. */
static size_t scheme_length(const char *name)
{
    size_t n = 0;
    while ((name[n] >= 'a' && name[n] <= 'z') || (name[n] >= 'A' && name[n] <= 'Z') ||
           (n && name[n] && strchr("0123456789+-.", name[n])))
        n++;
    return n && (!strncmp(name + n, "://", 3) || !strncmp(name + n, "::", 2) ||
                 (n == 4 && !strncmp(name, "file:", 5)) || (n == 5 && !strncmp(name, "local:", 6)))
               ? n
               : 0;
}

static int path_of(const char *name, const char **path, cm_error *err)
{
    size_t n = scheme_length(name);
    *path = name;
    if (n == 0)
        return 0;
    bool file = (n == 4 && !strncmp(name, "file", 4)) || (n == 5 && !strncmp(name, "local", 5));
    if (!file || !strncmp(name + n, "::", 2)) {
        cm_error_set(err, CM_EUNSUP, "it refers to %.400s, which is not a local file", name);
        cm_error_hint(err, "only references to local files can be read: download the files and "
                           "make references to them");
        return CM_EUNSUP;
    }
    *path = name + n + 1;
    if (!strncmp(*path, "//", 2))
        *path += 2;
    if (!strncmp(*path, "localhost/", 10))
        *path += 9;
    if (**path != '/')
        return cm_error_set(err, CM_EDATA,
                            "it refers to %.400s, a file URL without an absolute path", name);
    return 0;
}

/* directory + "/" + path without "//", "." and ".." parts and without the first slash. */
static char *normal(const char *directory, const char *path, cm_error *err)
{
    char *full = path[0] == '/' ? cm_strdup(path, err) : cm_sprintf(err, "%s/%s", directory, path);
    if (!full)
        return NULL;
    size_t to = 0;
    for (const char *s = full; *s;) {
        size_t n = strcspn(s, "/");
        if (n == 2 && s[0] == '.' && s[1] == '.') {
            while (to && full[to - 1] != '/')
                to--;
            to -= to > 0;
        } else if (n && !(n == 1 && *s == '.')) {
            if (to)
                full[to++] = '/';
            memmove(full + to, s, n);
            to += n;
        }
        s += n;
        s += *s == '/';
    }
    full[to] = 0;
    return full;
}

static int digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static bool unescape(char *s)
{
    char *to = s;
    for (; *s; s++) {
        if (*s == '%') {
            int high = digit(s[1]), low = high < 0 ? -1 : digit(s[2]);
            if (low < 0 || (high == 0 && low == 0))
                return false;
            *to++ = (char)(high << 4 | low);
            s += 2;
        } else {
            *to++ = *s;
        }
    }
    *to = 0;
    return true;
}

static bool is_there(const char *key)
{
    char path[PATH_MAX];
    size_t n = strlen(key);
    if (n + 2 > sizeof path)
        return false;
    path[0] = '/';
    memcpy(path + 1, key, n + 1);
    return access(path, F_OK) == 0;
}

int cm_refs_resolve(void *resolver, const char *name, char **key, cm_error *err)
{
    const char *path;
    int r = path_of(name, &path, err);
    if (r)
        return r;
    char *made = normal(resolver, path, err), *plain = NULL;
    if (!made)
        return CM_ENOMEM;
    if (strchr(made, '%') && !is_there(made)) {
        if (!(plain = cm_strdup(path, err)))
            r = CM_ENOMEM;
        else if (unescape(plain)) {
            char *other = normal(resolver, plain, err);
            if (!other) {
                r = CM_ENOMEM;
            } else if (is_there(other)) {
                free(made);
                made = other;
            } else {
                free(other);
            }
        }
        free(plain);
    }
    if (r)
        free(made);
    else
        *key = made;
    return r;
}

int cm_refs_resolver_new(const char *directory, void **out, cm_error *err)
{
    char *real = realpath(directory, NULL);
    *out = cm_strdup(real ? real : directory, err);
    free(real);
    return *out ? 0 : CM_ENOMEM;
}
