/* format/open.c: from a URI to a dataset.
 *
 * A URI becomes a local path (a path as it is, or a file:// URI), the path a store and a key, the
 * content says which driver opens it. A directory is a Zarr store or group, or lies inside one:
 * then the nearest directory above it that has Zarr metadata is the store and the rest is the key.
 * A zip archive is a store too, with the hierarchy at its root or in its one folder; a path through
 * the archive is a group or array in it.
 * All else is refused by saying what it is and what to do instead: most failures of an open are one
 * of a dozen mistakes, and each has a sentence here or in recognise.c.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/context_private.h"
#include "base/memory.h"
#include "format/format.h"
#include "format/recognise.h"
#include "format/tables/tables_file.h"

static const char *const format_names[] = {"zarr", "hdf5", "netcdf3", "kerchunk"};
static const char *const zarr_documents[] = {"zarr.json", ".zgroup", ".zarray", ".zmetadata"};
enum { NDOCUMENTS = sizeof zarr_documents / sizeof zarr_documents[0] };
enum wanted { WANT_ZARR, WANT_HDF5, WANT_NETCDF3, WANT_REFERENCES, WANT_ANY };

/* ---- the path of a URI ----------------------------------------------------------------------- */

/* Length of "scheme" when uri begins with "scheme://", else 0. */
static size_t scheme_length(const char *uri)
{
    size_t n = 0;
    while ((uri[n] >= 'a' && uri[n] <= 'z') || (uri[n] >= 'A' && uri[n] <= 'Z') ||
           (n && ((uri[n] >= '0' && uri[n] <= '9') || strchr("+-.", uri[n] ? uri[n] : ' '))))
        n++;
    return n && strncmp(uri + n, "://", 3) == 0 ? n : 0;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* RFC 8089: file:///path or file://localhost/path, with percent escapes. */
static int path_of_file_uri(const char *uri, char **out, cm_error *err)
{
    const char *s = uri + strlen("file://");
    if (strncmp(s, "localhost/", 10) == 0)
        s += 9;
    if (*s != '/')
        return cm_error_set(err, CM_EINVAL,
                            "a file URI names an absolute path after three slashes: "
                            "file:///directory/name");
    char *path = cm_strdup(s, err);
    if (!path)
        return CM_ENOMEM;
    char *to = path;
    for (; *s; s++) {
        if (*s != '%') {
            *to++ = *s;
            continue;
        }
        int high = hex(s[1]), low = high < 0 ? -1 : hex(s[2]);
        if (low < 0 || (high == 0 && low == 0)) {
            free(path);
            return cm_error_set(err, CM_EINVAL, "bad percent escape in a file URI");
        }
        *to++ = (char)(high << 4 | low);
        s += 2;
    }
    *to = 0;
    *out = path;
    return 0;
}

static int path_of_uri(const char *uri, char **out, cm_error *err)
{
    size_t n = scheme_length(uri);
    if (n == 4 && strncmp(uri, "file", 4) == 0)
        return path_of_file_uri(uri, out, err);
    if (n) {
        cm_error_set(err, CM_EUNSUP, "%.*s:// is not a place that can be read: local files are",
                     (int)n, uri);
        cm_error_hint(err, "download it first, or mount it");
        return CM_EUNSUP;
    }
    if (!*uri)
        return cm_error_set(err, CM_EINVAL, "an empty name");
    *out = cm_strdup(uri, err);
    return *out ? 0 : CM_ENOMEM;
}

/* ---- directories ----------------------------------------------------------------------------- */

static bool is_there(const char *directory, const char *name)
{
    char path[PATH_MAX];
    struct stat st;
    int n = snprintf(path, sizeof path, "%s/%s", directory, name);
    return n > 0 && (size_t)n < sizeof path && stat(path, &st) == 0;
}

static bool has_zarr_metadata(const char *directory)
{
    for (size_t i = 0; i < NDOCUMENTS; i++)
        if (is_there(directory, zarr_documents[i]))
            return true;
    return false;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n > m && strcmp(s + n - m, end) == 0;
}

/* Say what a directory without Zarr metadata holds. */
static int not_a_store(const char *path, cm_error *err)
{
    static const char *const endings[] = {".nc",   ".nc4", ".h5",  ".hdf5", ".zarr",
                                          ".grib", ".grb", ".tif", ".nc.gz"};
    enum { N = sizeof endings / sizeof endings[0] };
    size_t counts[N] = {0}, all = 0, most = 0;
    if (is_there(path, "manifests") && is_there(path, "snapshots"))
        return cm_error_set(err, CM_EUNSUP, "the directory is an Icechunk repository");
    if (is_there(path, "attributes.json"))
        return cm_error_set(err, CM_EUNSUP, "the directory is an N5 container");
    DIR *d = opendir(path);
    if (!d)
        return cm_error_set_os(err, errno, "cannot list the directory");
    for (struct dirent *e; (e = readdir(d));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        all++;
        for (size_t i = 0; i < N; i++)
            counts[i] += ends_with(e->d_name, endings[i]);
    }
    closedir(d);
    for (size_t i = 1; i < N; i++)
        if (counts[i] > counts[most])
            most = i;
    if (all == 0)
        return cm_error_set(err, CM_EUNSUP, "the directory is empty");
    if (counts[most] == 0) {
        cm_error_set(err, CM_EUNSUP,
                     "the directory is not a Zarr store: it has no zarr.json, .zgroup or .zarray");
        return CM_EUNSUP;
    }
    bool one = counts[most] == 1;
    cm_error_set(err, CM_EUNSUP, "the directory is not a Zarr store; it holds %zu %s %s",
                 counts[most], endings[most],
                 strcmp(endings[most], ".zarr") == 0 ? (one ? "store" : "stores")
                                                     : (one ? "file" : "files"));
    cm_error_hint(err, one ? "name it: %s/*%s" : "name them: %s/*%s", path, endings[most]);
    return CM_EUNSUP;
}

/* The nearest directory above path (which is cut there) with Zarr metadata; *rest: what was cut
 * off, in the same block. false: there is none. */
static bool store_above(char *path, const char **rest)
{
    for (size_t i = strlen(path); i-- > 1;) {
        if (path[i] != '/')
            continue;
        path[i] = 0;
        if (has_zarr_metadata(path)) {
            *rest = path + i + 1;
            return true;
        }
        path[i] = '/';
    }
    return false;
}

/* Without "//", "/./" and a "/" at the end. */
static void tidy(char *path)
{
    char *to = path;
    for (const char *s = path; *s;) {
        if (s[0] == '/' && s[1] == '/')
            s++;
        else if (s[0] == '/' && s[1] == '.' && (s[2] == '/' || s[2] == 0))
            s += 2;
        else
            *to++ = *s++;
    }
    *to = 0;
    if (to == path)
        memcpy(path, "/", 2); /* it was "/.": there is room */
    else if (to > path + 1 && to[-1] == '/')
        to[-1] = 0;
}

/* ---- opening --------------------------------------------------------------------------------- */

static int open_zarr(cm_context *ctx, const char *path, const char *key, const char *uri,
                     cm_dataset **out, cm_error *err)
{
    cm_store *store = NULL;
    bool parquet = false;
    int ret = cm_store_open_local(ctx, path, CM_DURABLE_NONE, &store, err);
    if (ret == 0 && is_there(path, ".zmetadata") && !*key)
        ret = cm_refs_is_parquet(store, key, &parquet, err);
    if (ret == 0 && parquet)
        ret = cm_refs_open_parquet(ctx, store, key, uri, out, err);
    else if (ret == 0)
        ret = cm_zarr_open(ctx, store, key, uri, out, err);
    cm_store_unref(store);
    return ret;
}

static int open_directory(cm_context *ctx, char *path, const char *uri, enum wanted want,
                          cm_dataset **out, cm_error *err)
{
    const char *rest = "";
    if (want == WANT_HDF5 || want == WANT_NETCDF3)
        return cm_error_set(err, CM_EDATA, "a directory, not a file of the format %s",
                            format_names[want]);
    if (has_zarr_metadata(path) || store_above(path, &rest))
        return open_zarr(ctx, path, rest, uri, out, err);
    return not_a_store(path, err);
}

/* ---- archives -------------------------------------------------------------------------------- */

/* key: the archive in files; rest: the path inside it. */
static int open_archive(cm_context *ctx, cm_store *files, const char *key, const char *rest,
                        const char *uri, cm_dataset **out, cm_error *err)
{
    cm_store *store = NULL;
    char *top = NULL, *inside = NULL;
    bool parquet = false;
    int ret = cm_store_open_zip(ctx, files, key, &store, err);
    if (ret == 0)
        ret = cm_zarr_archive_root(store, &top, err);
    if (ret == 0)
        ret = cm_refs_is_parquet(store, top, &parquet, err);
    if (ret == 0 && parquet)
        ret = cm_error_set(err, CM_EUNSUP, "a zip archive of references: unpack it");
    if (ret == 0) {
        inside = cm_sprintf(err, "%s%s%s", top, *top && *rest ? "/" : "", rest);
        ret = inside ? cm_zarr_open(ctx, store, inside, uri, out, err) : CM_ENOMEM;
    }
    free(inside);
    free(top);
    cm_store_unref(store);
    return ret;
}

/* The nearest part of path (which is cut there) that is a file; *rest: what was cut off. */
static bool file_above(char *path, const char **rest)
{
    struct stat st;
    for (size_t i = strlen(path); i-- > 1;) {
        if (path[i] != '/')
            continue;
        path[i] = 0;
        if (stat(path, &st) == 0) {
            *rest = path + i + 1;
            return S_ISREG(st.st_mode);
        }
        path[i] = '/';
    }
    return false;
}

/* ---- files ----------------------------------------------------------------------------------- */

/* The content against what was asked for. */
static int check_content(const cm_recognised *r, enum wanted want, cm_error *err)
{
    cm_content asked = want == WANT_HDF5         ? CM_CONTENT_HDF5
                       : want == WANT_REFERENCES ? CM_CONTENT_REFERENCES
                                                 : CM_CONTENT_NETCDF3;
    if (want == WANT_ZARR && r->content == CM_CONTENT_ZIP)
        return 0;
    if (want == WANT_ZARR) {
        cm_error_set(err, CM_EDATA, "%s%sa Zarr store is a directory", r->name ? r->name : "",
                     r->name ? ", but " : "");
        return CM_EDATA;
    }
    if (want != WANT_ANY && r->name && r->content != asked) {
        cm_error_set(err, CM_EDATA, "%s, not %s as was asked for", r->name, format_names[want]);
        if (r->content != CM_CONTENT_OTHER)
            cm_error_hint(err, "leave the format out");
        return CM_EDATA;
    }
    if (want != WANT_ANY || r->content != CM_CONTENT_OTHER)
        return 0;
    if (r->name)
        cm_error_set(err, CM_EUNSUP, "%s", r->name);
    else
        cm_error_set(err, CM_EUNSUP, "of no known format: neither NetCDF, HDF5 nor Zarr");
    if (r->hint)
        cm_error_hint(err, "%s", r->hint);
    return CM_EUNSUP;
}

/* A file that lies in a store. rest: the path inside it, "" for itself. */
static int open_object(cm_context *ctx, cm_store *store, const char *key, const char *rest,
                       const char *uri, enum wanted want, cm_dataset **out, cm_error *err)
{
    cm_recognised r = {.content = CM_CONTENT_OTHER};
    int ret = cm_recognise(store, key, &r, err);
    if (ret == 0 && *rest && r.content != CM_CONTENT_ZIP)
        ret = cm_error_set_os(err, ENOTDIR, "cannot open");
    if (ret == 0)
        ret = check_content(&r, want, err);
    if (ret)
        return ret;
    if (r.content == CM_CONTENT_ZIP)
        return open_archive(ctx, store, key, rest, uri, out, err);
    if (want == WANT_HDF5 || (want == WANT_ANY && r.content == CM_CONTENT_HDF5))
        return cm_hdf5_open(ctx, store, key, uri, out, err);
    if (r.content == CM_CONTENT_TABLES) {
        cm_tables *tables;
        ret = cm_tables_open(ctx, store, key, uri, &tables, err);
        return ret ? ret : cm_tables_carrier(ctx, tables, uri, out, err);
    }
    if (want == WANT_REFERENCES || r.content == CM_CONTENT_REFERENCES)
        return cm_refs_open_json(ctx, store, key, uri, out, err);
    return cm_netcdf3_open(ctx, store, key, uri, out, err);
}

static int open_file(cm_context *ctx, char *path, const char *rest, const char *uri,
                     enum wanted want, cm_dataset **out, cm_error *err)
{
    char *slash = strrchr(path, '/');
    const char *key = slash ? slash + 1 : path;
    const char *directory = !slash ? "." : slash == path ? "/" : path;
    if (slash)
        *slash = 0;
    cm_store *store = NULL;
    int ret = cm_store_open_local(ctx, directory, CM_DURABLE_NONE, &store, err);
    if (ret == 0)
        ret = open_object(ctx, store, key, rest, uri, want, out, err);
    cm_store_unref(store);
    return ret;
}

static int open_path(cm_context *ctx, char *path, const char *uri, enum wanted want,
                     cm_dataset **out, cm_error *err)
{
    struct stat st;
    const char *rest = NULL;
    if (stat(path, &st) != 0) {
        int e = errno;
        if ((e == ENOENT || e == ENOTDIR) && (want == WANT_ANY || want == WANT_ZARR) &&
            store_above(path, &rest))
            return open_zarr(ctx, path, rest, uri, out, err);
        if (e == ENOTDIR && (want == WANT_ANY || want == WANT_ZARR) && file_above(path, &rest))
            return open_file(ctx, path, rest, uri, want, out, err);
        return cm_error_set_os(err, e, "cannot open");
    }
    if (S_ISDIR(st.st_mode))
        return open_directory(ctx, path, uri, want, out, err);
    if (!S_ISREG(st.st_mode))
        return cm_error_set(err, CM_EUNSUP, "neither a regular file nor a directory");
    return open_file(ctx, path, "", uri, want, out, err);
}

int cm_format_local_path(const char *uri, char **out, cm_error *err)
{
    int ret = path_of_uri(uri, out, err);
    if (ret == 0)
        tidy(*out);
    else
        cm_error_object(err, uri);
    return ret;
}

int cm_format_open_object(cm_context *ctx, cm_store *store, const char *key, const char *uri,
                          cm_dataset **out, cm_error *err)
{
    return open_object(ctx, store, key, "", uri, WANT_ANY, out, err);
}

int cm_format_open(cm_context *ctx, const char *uri, const char *format, cm_dataset **out,
                   cm_error *err)
{
    *out = NULL;
    enum wanted want = WANT_ANY;
    char *path = NULL;
    int ret = 0;
    if (format) {
        for (want = WANT_ZARR; want < WANT_ANY; want++)
            if (strcmp(format, format_names[want]) == 0)
                break;
        if (want == WANT_ANY) {
            cm_error_set(err, CM_EINVAL, "there is no format called %s", format);
            cm_error_hint(err, "zarr, hdf5, netcdf3 or kerchunk");
            ret = CM_EINVAL;
        }
    }
    if (ret == 0)
        ret = path_of_uri(uri, &path, err);
    if (ret == 0) {
        tidy(path);
        ret = open_path(ctx, path, uri, want, out, err);
    }
    free(path);
    if (ret)
        cm_error_object(err, uri);
    return ret;
}

int cm_dataset_open(cm_context *ctx, const char *uri, const char *format, cm_dataset **out,
                    cm_error *err)
{
    int ret = cm_format_open(ctx, uri, format, out, err);
    cm_tables *tables = ret ? NULL : cm_tables_carried(*out);
    if (!tables)
        return ret;
    cm_dataset *carrier = *out;
    size_t n = cm_tables_count(tables);
    *out = NULL;
    if (n == 1) {
        ret = cm_tables_dataset(tables, 0, NULL, false, out, err);
    } else {
        ret = cm_error_set(err, CM_EUNSUP, "scan tables of %zu files are not one dataset", n);
        cm_error_object(err, uri);
    }
    cm_dataset_free(carrier);
    return ret;
}
