/* format/bytes_to_string.c: fixed-length byte cells as strings.
 *
 * NetCDF's char variables and HDF5's fixed-length strings are cells of a fixed number of bytes,
 * filled up with NULs. A map (array/map.c) makes strings of them: trailing NULs go, what is left
 * must be UTF-8. That is what xarray makes of char arrays (through numpy's S type, which drops
 * trailing NULs and keeps those inside), but for bytes that are not UTF-8: those are an error when
 * they are read, since a string that is not text could not be written to any Zarr store.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array/compose.h"
#include "format/format.h"
#include "text/utf8.h"

static size_t without_nuls(const char *s, size_t n)
{
    while (n && s[n - 1] == 0)
        n--;
    return n;
}

static int not_text(const char *s, size_t n, cm_error *err)
{
    char shown[4 * 24 + 1] = "";
    size_t used = 0;
    for (size_t i = 0; i < n && i < 24; i++) {
        unsigned char c = (unsigned char)s[i];
        used += (size_t)snprintf(shown + used, sizeof shown - used,
                                 c >= 0x20 && c < 0x7f ? "%c" : "\\x%02x", c);
    }
    return cm_error_set(err, CM_EDATA, "a string is not UTF-8: '%s'%s", shown, n > 24 ? "..." : "");
}

static int b2s_apply(const cm_map *map, const void *src, void *dst, int64_t n, cm_arena *arena,
                     cm_error *err)
{
    const char *s = src;
    cm_string *out = dst;
    size_t size = map->from.size, total = 0;
    for (int64_t i = 0; i < n; i++) {
        const char *cell = s + (size_t)i * size;
        out[i] = (cm_string){.nbytes = without_nuls(cell, size)};
        if (!cm_utf8_valid(cell, out[i].nbytes))
            return not_text(cell, out[i].nbytes, err);
        total += out[i].nbytes; /* at most the bytes of src */
    }
    if (total == 0)
        return 0;
    char *p = cm_arena_alloc(arena, total, err);
    if (!p)
        return err ? err->code : CM_ENOMEM;
    for (int64_t i = 0; i < n; i++) {
        if (out[i].nbytes == 0)
            continue;
        memcpy(p, s + (size_t)i * size, out[i].nbytes);
        out[i].data = p;
        p += out[i].nbytes;
    }
    return 0;
}

int cm_array_bytes_to_string(cm_array *src, cm_array **out, cm_error *err)
{
    uint32_t size = cm_array_dtype(src).size;
    cm_string fill = {.data = cm_array_fill(src)};
    fill.nbytes = without_nuls(fill.data, size);
    if (!cm_utf8_valid(fill.data, fill.nbytes))
        fill.nbytes = 0;
    cm_array *mapped = NULL;
    int ret =
        cm_array_map(src, cm_dtype_of(CM_STRING, 0), b2s_apply, NULL, NULL, &fill, &mapped, err);
    cm_array_unref(src);
    *out = mapped;
    return ret;
}

cm_array *cm_array_bytes_of_string(const cm_array *a)
{
    return cm_array_map_applies(a, b2s_apply) ? cm_array_map_source(a) : NULL;
}
