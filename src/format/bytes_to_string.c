/* format/bytes_to_string.c: fixed-length byte cells as strings.
 *
 * NetCDF's char variables and HDF5's fixed-length strings are cells of a fixed number of bytes,
 * filled up with NULs. This composite passes every question on to its source and adds one map to
 * the frame: trailing NULs go, what is left must be UTF-8. That is what xarray makes of char arrays
 * (through numpy's S type, which drops trailing NULs and keeps those inside), but for bytes that
 * are not UTF-8: those are an error when they are read, since a string that is not text could not
 * be written to any Zarr store.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "format/format.h"

typedef struct cm_bytes_to_string {
    cm_array base;
    cm_array *src;
    cm_map map;
} b2s;

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

static int b2s_plan(cm_array *a, const cm_box *region, const cm_frame *frame, cm_sink *sink,
                    cm_error *err)
{
    b2s *t = (b2s *)a;
    cm_frame inner = *frame;
    if (inner.nmaps == (int)(sizeof inner.maps / sizeof inner.maps[0]))
        return cm_error_set(err, CM_EUNSUP, "too many changes of values on top of each other");
    inner.maps[inner.nmaps++] = &t->map;
    return cm_array_plan(t->src, region, &inner, sink, err);
}

static cm_axis_grid b2s_grid(const cm_array *a, int axis)
{
    return cm_array_grid(((const b2s *)a)->src, axis);
}

static cm_read_cost b2s_cost(cm_array *a)
{
    return cm_array_cost(((b2s *)a)->src);
}

static void b2s_free(cm_array *a)
{
    cm_array_unref(((b2s *)a)->src);
    cm_array_deinit(a);
    free(a);
}

int cm_array_bytes_to_string(cm_array *src, cm_array **out, cm_error *err)
{
    static const cm_array_vt vt = {
        .kind = "map", .plan = b2s_plan, .grid = b2s_grid, .cost = b2s_cost, .free = b2s_free};
    *out = NULL;
    cm_dtype from = cm_array_dtype(src), to = cm_dtype_of(CM_STRING, 0);
    cm_string fill = {.data = cm_array_fill(src)};
    fill.nbytes = without_nuls(fill.data, from.size);
    if (!cm_utf8_valid(fill.data, fill.nbytes))
        fill.nbytes = 0;
    b2s *t = cm_calloc(1, sizeof *t, err);
    int ret = t ? 0 : CM_ENOMEM;
    if (ret == 0)
        ret = cm_array_init(&t->base, &vt, to, cm_array_ndim(src), cm_array_shape(src), &fill,
                            src->label, src->path, err);
    if (ret) {
        cm_array_unref(src);
        free(t);
        return ret;
    }
    t->src = src;
    t->map = (cm_map){.from = from, .to = to, .apply = b2s_apply};
    t->base.raw = src->raw;
    *out = &t->base;
    return 0;
}
