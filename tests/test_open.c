/* tests/test_open.c: cm_dataset_open: names to paths, recognition by content, and what is said of
 * everything that is not a dataset. */
#include <sys/stat.h>
#include <unistd.h>

#include "format/format.h"
#include "format/recognise.h"
#include "nc3_writer.h"
#include "scratch.h"
#include "tap.h"

static cm_context *ctx;
static char scratch[256];

static void put(const char *name, const void *data, size_t n)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", scratch, name);
    FILE *f = fopen(path, "wb");
    TAP_OK(f && fwrite(data, 1, n, f) == n);
    if (f)
        fclose(f);
}

static void put_text(const char *name, const char *text)
{
    put(name, text, strlen(text));
}

static void make(const char *name)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", scratch, name);
    TAP_EQ(mkdir(path, 0700), 0);
}

/* Open scratch/name (or name itself when it is absolute or has a scheme): the format, or "CODE:
 * message (hint)". */
static const char *open_uri(const char *name, const char *format)
{
    static char out[1600], line[1500];
    char uri[600];
    cm_dataset *ds = NULL;
    cm_error err = {0};
    snprintf(uri, sizeof uri, "%s%s%s", strchr(name, ':') || *name == '/' ? "" : scratch,
             strchr(name, ':') || *name == '/' ? "" : "/", name);
    int ret = cm_dataset_open(ctx, uri, format, &ds, &err);
    if (ret == 0) {
        snprintf(out, sizeof out, "%s", cm_dataset_format(ds));
        TAP_STR(cm_dataset_uri(ds), uri);
    } else {
        TAP_STR(err.object, uri);
        err.object[0] = 0;
        snprintf(out, sizeof out, "%s: %s", cm_code_name(ret),
                 cm_error_line(&err, line, sizeof line));
    }
    cm_dataset_free(ds);
    return out;
}

static bool has(const char *text, const char *part)
{
    if (strstr(text, part))
        return true;
    printf("# \"%s\" has no \"%s\"\n", text, part);
    return false;
}

static w_bytes small_file(int version)
{
    w_file f = {.version = version};
    int d = w_dim(&f, "x", 3);
    w_add(&f, "v", 4, 1, &d);
    return w_write(&f);
}

static void names(void)
{
    w_bytes b = small_file(1);
    char uri[400], cwd[1000];
    put("plain.dat", b.data, b.n);
    put("with space %.nc", b.data, b.n);
    TAP_STR(open_uri("plain.dat", NULL), "NetCDF-3 classic");
    TAP_STR(open_uri("plain.dat", "netcdf3"), "NetCDF-3 classic");
    TAP_STR(open_uri(".//./plain.dat", NULL), "NetCDF-3 classic");
    TAP_STR(open_uri("with space %.nc", NULL), "NetCDF-3 classic");
    snprintf(uri, sizeof uri, "file://%s/with%%20space%%20%%25.nc", scratch);
    TAP_STR(open_uri(uri, NULL), "NetCDF-3 classic");
    snprintf(uri, sizeof uri, "file://localhost%s/plain.dat", scratch);
    TAP_STR(open_uri(uri, NULL), "NetCDF-3 classic");
    TAP_OK(
        has(open_uri("file://elsewhere/x", NULL), "CM_EINVAL: a file URI names an absolute path"));
    snprintf(uri, sizeof uri, "file://%s/%%0", scratch);
    TAP_OK(has(open_uri(uri, NULL), "CM_EINVAL: bad percent escape"));
    TAP_OK(has(open_uri("s3://bucket/key", NULL), "CM_EUNSUP: s3://"));
    TAP_OK(has(open_uri("https://x.y/z.nc", NULL), "CM_EUNSUP: https://"));
    TAP_OK(has(open_uri("no-such-file", NULL), "CM_ENOTFOUND: cannot open: No such file"));
    TAP_OK(has(open_uri("plain.dat/x", NULL), "CM_ENOTFOUND"));
    TAP_OK(has(open_uri("/dev/null", NULL), "CM_EUNSUP: neither a regular file nor a directory"));
    TAP_OK(has(open_uri("plain.dat", "grib"), "CM_EINVAL: there is no format called grib"));
    /* A name without a directory. */
    if (TAP_OK(getcwd(cwd, sizeof cwd) && chdir(scratch) == 0)) {
        cm_dataset *ds = NULL;
        cm_error err = {0};
        TAP_CALL(cm_dataset_open(ctx, "plain.dat", NULL, &ds, &err), &err);
        cm_dataset_free(ds);
        TAP_EQ(cm_dataset_open(ctx, "", NULL, &ds, &err), CM_EINVAL);
        TAP_EQ(chdir(cwd), 0);
    }
    free(b.data);
}

static void contents(void)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *said;
    } table[] = {
#define CASE(bytes, said) {bytes, sizeof(bytes) - 1, said}
        CASE("", "empty (0 bytes)"),
        CASE("GRIB\0\0\0\2", "a GRIB file"),
        CASE("\r\n001\r\nGFPT01 ECMF 010000\r\r\nGRIB", "a GRIB bulletin"),
        CASE("II*\0\10\0\0\0", "a TIFF file"),
        CASE("MM\0+\0\10", "a BigTIFF file"),
        CASE("SIMPLE  =                    T", "a FITS file"),
        CASE("\x1f\x8b\10\0", "gzip-compressed (decompress it first: gunzip FILE)"),
        CASE("\x28\xb5\x2f\xfd", "zstd-compressed"),
        CASE("%PDF-1.4", "a PDF document"),
        CASE("\x0e\x03\x13\x01", "an HDF4 file"),
        CASE("\xcd\xf3\0\1", "a NASA CDF file"),
        CASE("\n <!DOCTYPE HTML PUBLIC", "an HTML page, not data"),
        CASE("<html>", "an HTML page, not data"),
        CASE("<?xml version='1.0'?><Error>", "an XML document, not data"),
        CASE("Dataset {\n", "an OPeNDAP response"),
        CASE("netcdf x {", "CDL text, as ncdump writes (make a file of it: ncgen"),
        CASE("version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        CASE("{\"zarr_format\": 3}", "the metadata document of a Zarr store (name the directory"),
        CASE("{\"metadata\": {\".zgroup\": {\"zarr_format\": 2}}}",
             "the metadata document of a Zarr"),
        CASE("{}", "a JSON document"),
        CASE("\x89HDF\n\x1a\n\0\0", "damaged by a text-mode transfer"),
        CASE("CDF\4\0\0\0\0", "a CDF file of a version that is none of 1, 2 and 5"),
        CASE("CDF", "a CDF file of a version"),
        CASE("\0\0\0\0\0\0", "nothing but zeros"),
        CASE("hello", "of no known format"),
#undef CASE
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        put("thing", table[i].bytes, table[i].n);
        const char *said = open_uri("thing", NULL);
        TAP_OK(has(said, "CM_EUNSUP: ") && has(said, table[i].said));
    }
    char tar[600] = "x";
    memcpy(tar + 257, "ustar", 5);
    put("thing", tar, sizeof tar);
    TAP_OK(has(open_uri("thing", NULL), "a tar archive"));
    put("thing", "PK\3\4", 4);
    TAP_OK(has(open_uri("thing", NULL), "CM_EDATA: ") &&
           has(open_uri("thing", NULL), "a zip archive without its end"));
    char none[22] = "PK\5\6";
    put("thing", none, sizeof none);
    TAP_OK(has(open_uri("thing", NULL), "CM_EUNSUP: ") &&
           has(open_uri("thing", NULL), "a zip archive without a Zarr store"));
    TAP_OK(has(open_uri("thing", "hdf5"), "a zip archive, not hdf5 as was asked for"));
}

/* The HDF5 signature at all the offsets where it may be. */
static void hdf5_signature(void)
{
    static const uint8_t signature[] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
    static const int offsets[] = {0, 512, 1024, 2048, 4096, 65536, 1 << 20},
                     wrong[] = {1, 256, 1536};
    static char file[(1 << 20) + 8];
    cm_store *store = NULL;
    cm_error err = {0};
    cm_recognised r;
    TAP_CALL(cm_store_new_memory(ctx, &store, &err), &err);
    for (size_t i = 0; i < 10; i++) {
        bool right = i < 7;
        int at = right ? offsets[i] : wrong[i - 7];
        memset(file, 'u', sizeof file); /* a user block */
        memcpy(file + at, signature, 8);
        cm_iov iov = {file, (size_t)at + 8};
        TAP_CALL(store->vt->put(store, "f", &iov, 1, 0, &err), &err);
        TAP_CALL(cm_recognise(store, "f", &r, &err), &err);
        TAP_EQ(r.content, right ? CM_CONTENT_HDF5 : CM_CONTENT_OTHER);
    }
    /* NetCDF-3 wins over a signature in its data. */
    w_bytes b = small_file(2);
    memset(file, 0, sizeof file);
    memcpy(file, b.data, b.n);
    memcpy(file + 512, signature, 8);
    TAP_CALL(store->vt->put(store, "f", &(cm_iov){file, 600}, 1, 0, &err), &err);
    TAP_CALL(cm_recognise(store, "f", &r, &err), &err);
    TAP_EQ(r.content, CM_CONTENT_NETCDF3);
    free(b.data);
    cm_store_unref(store);
}

static void forced_formats(void)
{
    w_bytes b = small_file(5);
    put("f.nc", b.data, b.n);
    put_text("text", "hello");
    put_text("grib", "GRIB\2");
    TAP_OK(has(open_uri("f.nc", "hdf5"),
               "CM_EDATA: a NetCDF-3 file, not hdf5 as was asked for (leave"));
    TAP_OK(has(open_uri("f.nc", "zarr"),
               "CM_EDATA: a NetCDF-3 file, but a Zarr store is a directory"));
    TAP_OK(has(open_uri("grib", "netcdf3"), "CM_EDATA: a GRIB file, not netcdf3"));
    TAP_OK(has(open_uri("text", "netcdf3"), "CM_EDATA: not a NetCDF-3 file"));
    TAP_OK(has(open_uri("text", "zarr"), "CM_EDATA: a Zarr store is a directory"));
    make("dir");
    TAP_OK(has(open_uri("dir", "hdf5"), "CM_EDATA: a directory, not a file of the format hdf5"));
    free(b.data);
}

static void directories(void)
{
    make("d");
    TAP_OK(has(open_uri("d", NULL), "CM_EUNSUP: the directory is empty"));
    put_text("d/readme", "");
    TAP_OK(has(open_uri("d", NULL), "it has no zarr.json, .zgroup or .zarray"));
    put_text("d/1.nc", ""), put_text("d/2.nc", ""), put_text("d/3.tif", "");
    TAP_OK(has(open_uri("d", NULL), "it holds 2 .nc files (name them: "));
    TAP_OK(has(open_uri("d/", NULL), "/d/*.nc)"));
    make("e"), make("e/a.zarr");
    TAP_OK(has(open_uri("e", NULL), "it holds 1 .zarr store (name it: "));
    make("ice"), make("ice/manifests"), make("ice/snapshots");
    TAP_OK(has(open_uri("ice", NULL), "an Icechunk repository"));
}

static void zarr_stores(void)
{
    make("z"), make("z/g"), make("z/g/v"), make("z/g/v/c"), make("old"), make("old/v");
    put_text("z/zarr.json", "{\"zarr_format\": 3, \"node_type\": \"group\"}");
    put_text("z/g/zarr.json", "{\"zarr_format\": 3, \"node_type\": \"group\"}");
    put_text("z/g/v/zarr.json",
             "{\"zarr_format\": 3, \"node_type\": \"array\", \"shape\": [2], \"data_type\": "
             "\"int8\", \"chunk_grid\": {\"name\": \"regular\", \"configuration\": "
             "{\"chunk_shape\": [2]}}, \"chunk_key_encoding\": {\"name\": \"default\"}, "
             "\"fill_value\": 0, \"codecs\": [{\"name\": \"bytes\"}]}");
    put_text("old/.zgroup", "{\"zarr_format\": 2}");
    put_text("old/v/.zarray",
             "{\"zarr_format\": 2, \"shape\": [2], \"chunks\": [2], \"dtype\": \"|i1\", "
             "\"compressor\": null, \"filters\": null, \"fill_value\": 0, \"order\": \"C\"}");
    TAP_STR(open_uri("z", NULL), "Zarr v3");
    TAP_STR(open_uri("z/", "zarr"), "Zarr v3");
    TAP_STR(open_uri("z/g", NULL), "Zarr v3");
    TAP_STR(open_uri("z/g/v", NULL), "Zarr v3");
    TAP_STR(open_uri("old", NULL), "Zarr v2");
    TAP_STR(open_uri("old/v", NULL), "Zarr v2");
    TAP_OK(has(open_uri("z/typo", NULL), "CM_ENOTFOUND"));
    TAP_OK(has(open_uri("z/g/v/c", NULL), "CM_ENOTFOUND"));
    TAP_OK(has(open_uri("z/g/zarr.json", NULL), "the metadata document of a Zarr store"));
}

int main(void)
{
    cm_error err = {0};
    TAP_CALL(cm_context_new(NULL, &ctx, &err), &err);
    if (!ctx || !scratch_make(scratch, sizeof scratch))
        return 1;
    TAP_RUN(names);
    TAP_RUN(contents);
    TAP_RUN(hdf5_signature);
    TAP_RUN(forced_formats);
    TAP_RUN(directories);
    TAP_RUN(zarr_stores);
    TAP_OK(scratch_remove(scratch));
    cm_context_free(ctx);
    return tap_done();
}
