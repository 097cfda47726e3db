/* format/recognise.c: what a file is, by its content.
 *
 * Names lie: .nc may be NetCDF-3, HDF5, an HTML page with a login form or the pointer of a Git LFS
 * file. So only content counts. Beside the two formats that are read, a table of magic numbers
 * names what people really pass by mistake, and says what to do about it.
 *
 * The order matters once: an HDF5 file may begin with a user block that looks like anything (MATLAB
 * 7.3 files do), so the HDF5 signature is searched at all its offsets before the table is asked;
 * but CDF at offset 0 wins over a signature that NetCDF-3 data could hold by chance.
 */
#include <stdbool.h>
#include <string.h>

#include "format/recognise.h"
#include "format/tables/tables_file.h"

enum { HEAD = 1024 };

static const unsigned char hdf5_signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};

typedef struct cm_magic {
    unsigned short offset, nbytes;
    const char *bytes;
    const char *name, *hint;
} magic;

#define MAGIC(offset, bytes, name, hint)                                                           \
    {                                                                                              \
        offset, sizeof(bytes) - 1, bytes, name, hint                                               \
    }

static const char decompress[] = "decompress it first";
static const char no_image[] = "convert it to NetCDF or Zarr first";
static const char download_again[] = "look at it in an editor, and download the data again";

static const magic table[] = {
    MAGIC(0, "GRIB", "a GRIB file", "convert it first, e.g. cdo -f nc4 copy IN OUT"),
    MAGIC(0, "BUFR", "a BUFR file", "convert it to NetCDF first"),
    MAGIC(0, "II*\0", "a TIFF file", "convert it first, e.g. gdal_translate -of netCDF IN OUT"),
    MAGIC(0, "MM\0*", "a TIFF file", "convert it first, e.g. gdal_translate -of netCDF IN OUT"),
    MAGIC(0, "II+\0", "a BigTIFF file", "convert it first, e.g. gdal_translate -of netCDF IN OUT"),
    MAGIC(0, "MM\0+", "a BigTIFF file", "convert it first, e.g. gdal_translate -of netCDF IN OUT"),
    MAGIC(0, "SIMPLE  =", "a FITS file", no_image),
    MAGIC(0, "\x0e\x03\x13\x01", "an HDF4 file", "convert it first, e.g. h4toh5 IN OUT"),
    MAGIC(0, "\xcd\xf3\x00\x01", "a NASA CDF file", "convert it first with NASA's cdf-to-netCDF"),
    MAGIC(0, "\x1f\x8b", "gzip-compressed", "decompress it first: gunzip FILE"),
    MAGIC(0, "BZh", "bzip2-compressed", "decompress it first: bunzip2 FILE"),
    MAGIC(0,
          "\xfd"
          "7zXZ\0",
          "xz-compressed", "decompress it first: unxz FILE"),
    MAGIC(0, "\x28\xb5\x2f\xfd", "zstd-compressed", "decompress it first: unzstd FILE"),
    MAGIC(0, "\x04\x22\x4d\x18", "LZ4-compressed", "decompress it first: unlz4 FILE"),
    MAGIC(0, "\x1f\x9d", "compressed by compress (.Z)", decompress),
    MAGIC(0, "7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it first"),
    MAGIC(257, "ustar", "a tar archive", "unpack it first"),
    MAGIC(0, "version https://git-lfs.github.com/spec", "a Git LFS pointer, not the data",
          "fetch the data: git lfs pull"),
    MAGIC(0, "\x93NUMPY", "a NumPy array", no_image),
    MAGIC(0, "PAR1", "a Parquet file", "name a NetCDF or Zarr dataset"),
    MAGIC(0, "\x89PNG", "a PNG image", no_image),
    MAGIC(0, "\xff\xd8\xff", "a JPEG image", no_image),
    MAGIC(4, "jP  \r\n\x87\n", "a JPEG 2000 image", no_image),
    MAGIC(0, "%PDF", "a PDF document", "name the data itself"),
    MAGIC(0, "%!PS", "a PostScript document", "name the data itself"),
    MAGIC(0, "MATLAB 5.0 MAT-file", "a MATLAB 5 file", "save it with -v7.3, which is HDF5"),
    MAGIC(0, "\x89HDF\n\x1a\n", "an HDF5 file damaged by a text-mode transfer",
          "transfer it again in binary mode"),
    MAGIC(0, "\x89HDF\r\r\n", "an HDF5 file damaged by a text-mode transfer",
          "transfer it again in binary mode"),
    MAGIC(0, "CDF", "a CDF file of a version that is none of 1, 2 and 5", NULL),
};

/* Text is compared without regard to case, after white space and a byte order mark. */
static const struct {
    const char *start, *name, *hint;
} texts[] = {
    {"<!doctype html", "an HTML page, not data (a login or error page?)", download_again},
    {"<html", "an HTML page, not data (a login or error page?)", download_again},
    {"<?xml", "an XML document, not data (an error message or a catalog?)", download_again},
    {"<error", "an XML error message, not data", download_again},
    {"<catalog", "a THREDDS catalog", "name one of the datasets in it"},
    {"error {", "an OPeNDAP error message", download_again},
    {"dataset {", "an OPeNDAP response", "download the NetCDF file of the dataset instead"},
    {"netcdf ", "CDL text, as ncdump writes", "make a file of it: ncgen -o OUT IN"},
    {"hdf5 \"", "a text dump of an HDF5 file", "name the HDF5 file itself"},
};

static bool same_letters(const unsigned char *p, size_t nbytes, const char *text)
{
    size_t n = strlen(text);
    if (nbytes < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = p[i] >= 'A' && p[i] <= 'Z' ? (unsigned char)(p[i] + 32) : p[i];
        if (c != (unsigned char)text[i])
            return false;
    }
    return true;
}

static bool contains(const unsigned char *p, size_t nbytes, const char *text)
{
    return memmem(p, nbytes, text, strlen(text)) != NULL;
}

static cm_recognised other(const char *name, const char *hint)
{
    return (cm_recognised){.content = CM_CONTENT_OTHER, .name = name, .hint = hint};
}

/* The first member of an object: version 1 begins with "version", "templates", "gen", "refs" (or
 * our "sources"), version 0 with a key that is a metadata document or a chunk with its value. */
static bool is_references(const unsigned char *p, size_t n)
{
    static const char *const first[] = {"version", "templates", "gen", "refs", "sources"};
    size_t i = 1, length;
    while (i < n && (p[i] == ' ' || p[i] == '\t' || p[i] == '\r' || p[i] == '\n'))
        i++;
    if (i == n || p[i++] != '"')
        return false;
    const unsigned char *key = p + i, *end = memchr(key, '"', n - i);
    if (!end)
        return false;
    length = (size_t)(end - key);
    if (memmem(key, length, ".zgroup", 7) || memmem(key, length, ".zarray", 7) ||
        memmem(key, length, ".zattrs", 7) || memmem(key, length, "zarr.json", 9))
        return true;
    bool named = false;
    for (size_t k = 0; k < sizeof first / sizeof first[0] && !named; k++)
        named = length == strlen(first[k]) && memcmp(key, first[k], length) == 0;
    if (named)
        return contains(p, n, "\"refs\"") || contains(p, n, "\"gen\"") ||
               contains(p, n, "\"templates\"") || contains(p, n, "\"sources\"");
    if (length == 8 && memcmp(key, "metadata", 8) == 0)
        return false; /* consolidated metadata of a store */
    /* version 0 that begins with a chunk: "lat/0.0": [" or "lat/0.0": "base64: */
    const unsigned char *slash = memrchr(key, '/', length), *at = end + 1;
    if (slash && slash + 1 < end && (slash[1] == 'c' || (slash[1] >= '0' && slash[1] <= '9'))) {
        while (at < p + n && (*at == ' ' || *at == ':' || *at == '\n' || *at == '['))
            at++;
        if (at < p + n && *at == '"')
            return true;
    }
    return contains(p, n, "/.zarray\"") || contains(p, n, "\".zgroup\"");
}

static cm_recognised recognise_text(const unsigned char *p, size_t n)
{
    if (n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
        p += 3, n -= 3;
    while (n && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n'))
        p++, n--;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (same_letters(p, n, texts[i].start))
            return other(texts[i].name, texts[i].hint);
    if (n && *p == '{') {
        if (is_references(p, n))
            return (cm_recognised){CM_CONTENT_REFERENCES, "kerchunk references", NULL};
        if (contains(p, n, "\"zarr_format\"") || contains(p, n, "\"zarr_consolidated_format\""))
            return other("the metadata document of a Zarr store", "name the directory it lies in");
        return other("a JSON document", "name a NetCDF, HDF5 or Zarr dataset");
    }
    return other(NULL, NULL);
}

/* The first nbytes of an object of file_nbytes, without the search beyond them. */
static cm_recognised recognise_bytes(const unsigned char *p, size_t nbytes, uint64_t file_nbytes)
{
    if (file_nbytes == 0)
        return other("empty (0 bytes)", "it was never written or its download failed");
    if (nbytes >= 4 && memcmp(p, "CDF", 3) == 0 && (p[3] == 1 || p[3] == 2 || p[3] == 5))
        return (cm_recognised){CM_CONTENT_NETCDF3, "a NetCDF-3 file", NULL};
    if (nbytes >= 8 && memcmp(p, CM_TABLES_MAGIC, 8) == 0)
        return (cm_recognised){CM_CONTENT_TABLES, "scan tables", NULL};
    for (size_t at = 0; at + 8 <= nbytes; at = at ? 2 * at : 512)
        if (memcmp(p + at, hdf5_signature, 8) == 0)
            return (cm_recognised){CM_CONTENT_HDF5, "an HDF5 file", NULL};
    if (nbytes >= 4 && (memcmp(p, "PK\x03\x04", 4) == 0 || memcmp(p, "PK\x05\x06", 4) == 0))
        return (cm_recognised){CM_CONTENT_ZIP, "a zip archive", NULL};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const magic *m = &table[i];
        if ((size_t)m->offset + m->nbytes <= nbytes &&
            memcmp(p + m->offset, m->bytes, m->nbytes) == 0)
            return other(m->name, m->hint);
    }
    cm_recognised text = recognise_text(p, nbytes);
    if (text.name)
        return text;
    /* Bulletins of weather services put a line before the message. */
    if (contains(p, nbytes < 128 ? nbytes : 128, "GRIB"))
        return other("a GRIB bulletin", "convert it first, e.g. cdo -f nc4 copy IN OUT");
    bool zeros = nbytes > 0;
    for (size_t i = 0; i < nbytes && zeros; i++)
        zeros = p[i] == 0;
    if (zeros)
        return other("nothing but zeros at its beginning", "a download may have failed");
    return other(NULL, NULL);
}

int cm_recognise(cm_store *store, const char *key, cm_recognised *out, cm_error *err)
{
    unsigned char head[HEAD], at[8];
    cm_object_version version;
    int ret = store->vt->stat(store, key, &version, err);
    if (ret)
        return ret;
    size_t n = version.size < HEAD ? (size_t)version.size : HEAD;
    cm_range range = {.offset = 0, .nbytes = n, .dst = head};
    if (n)
        ret = store->vt->get(store, key, &range, 1, &version, err);
    if (ret)
        return ret;
    *out = recognise_bytes(head, n, version.size);
    if (out->content != CM_CONTENT_OTHER)
        return 0;
    for (uint64_t offset = 512; offset + 8 <= version.size && offset < UINT64_MAX / 2;
         offset *= 2) {
        range = (cm_range){.offset = offset, .nbytes = 8, .dst = at};
        ret = store->vt->get(store, key, &range, 1, &version, err);
        if (ret)
            return ret;
        if (memcmp(at, hdf5_signature, 8) == 0) {
            *out = (cm_recognised){CM_CONTENT_HDF5, "an HDF5 file", NULL};
            return 0;
        }
    }
    return 0;
}
