/* format/hdf5/h5_selection.c: the mappings of a virtual dataset.
 *
 *     version | number of mappings | mappings | checksum
 *     mapping   file name NUL | dataset path NUL | selection in the source | selection here
 *
 * Version 1 (HDF5 2.0) begins a mapping with flags, and either name may instead be the number of
 * the mapping that it was written with first (1: the file's, 2: the path), or the file's be left
 * out, since it is this file (4).
 *
 * A selection is everything, or a hyperslab: along every axis `count` blocks of `block` cells, one
 * every `stride`, from `start`. Hyperslabs that are stored as a list of blocks are taken as such a
 * selection when they are one; else the mapping is cut into several (h5_unions.c). One that grows
 * with its source has no end here, and gets one in h5_growing.c, as do names with a counter in
 * them. Points, which libhdf5 does not take in virtual datasets, are refused by name: the variable
 * has a problem, and is not read by halves.
 */
#include <inttypes.h>

#include "format/hdf5/h5_virtual.h"

#define MAX_MAPPINGS 100000

enum { NONE, POINTS, HYPERSLAB, ALL };

static int refuse(cm_error *err, const char *what)
{
    return cm_error_set(err, CM_EUNSUP, "virtual dataset with %s", what);
}

static int malformed(cm_error *err)
{
    return cm_error_set(err, CM_EDATA, "virtual dataset's selection is malformed");
}

static int set_axis(cm_h5_run *axis, uint64_t start, uint64_t stride, uint64_t count,
                    uint64_t block, cm_error *err)
{
    uint64_t end;
    if (count == 0 || block == 0 || (count > 1 && stride < block) ||
        !cm_mul_u64(count - 1, stride, &end) || !cm_add_u64(end, block, &end) ||
        !cm_add_u64(end, start, &end) || end > INT64_MAX)
        return malformed(err);
    *axis = (cm_h5_run){.start = (int64_t)start,
                        .stride = count > 1 ? (int64_t)stride : 1,
                        .count = (int64_t)count,
                        .block = (int64_t)block};
    if (axis->stride == axis->block && count > 1) { /* blocks that touch are one */
        axis->block *= axis->count;
        axis->count = axis->stride = 1;
    }
    return 0;
}

/* start, stride, count, block of one axis, each of `width` bytes. */
static int regular_axis(cm_h5_cursor *c, size_t width, cm_h5_run *axis, cm_error *err)
{
    uint64_t v[4], all = width == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * width) - 1;
    for (int k = 0; k < 4; k++)
        v[k] = cm_h5_uint(c, width);
    if (c->bad)
        return malformed(err);
    if (v[2] == all || v[3] == all) {
        if (v[0] > INT32_MAX || (v[3] != all && (v[3] == 0 || v[1] < v[3] || v[1] > INT32_MAX)))
            return malformed(err);
        bool open = v[3] == all;
        *axis = (cm_h5_run){.start = (int64_t)v[0],
                            .stride = open ? 1 : (int64_t)v[1],
                            .count = open ? 1 : CM_H5_OPEN,
                            .block = open ? CM_H5_OPEN : (int64_t)v[3]};
        return 0;
    }
    return set_axis(axis, v[0], v[1], v[2], v[3], err);
}

/* Blocks as corners, in C order: of each the first cell, then the last. */
typedef struct corners {
    const uint8_t *p;
    size_t width;
    int ndim;
    uint64_t n;
} corners;

static uint64_t corner(const corners *k, uint64_t block, bool last, int axis)
{
    uint64_t number = (2 * block + last) * (uint64_t)k->ndim + (uint64_t)axis;
    return cm_load_le(k->p + number * k->width, k->width);
}

/* Is block b one of an axis' row, which begins with block 0 and goes on along `axis`? */
static bool goes_on(const corners *k, uint64_t b, uint64_t before, int axis)
{
    for (int i = 0; i < axis; i++)
        if (corner(k, b, false, i) != corner(k, 0, false, i))
            return false;
    return corner(k, b, false, axis) > corner(k, before, false, axis);
}

/* The blocks that a regular selection of these counts and strides would have are these. */
static bool is_regular(const corners *k, const uint64_t *count, const uint64_t *stride)
{
    for (uint64_t b = 0; b < k->n; b++) {
        uint64_t rest = b;
        for (int i = k->ndim - 1; i >= 0; rest /= count[i], i--) {
            uint64_t moved = rest % count[i] * stride[i];
            if (corner(k, b, false, i) != corner(k, 0, false, i) + moved ||
                corner(k, b, true, i) != corner(k, 0, true, i) + moved)
                return false;
        }
    }
    return true;
}

/* Blocks as they are. */
static int irregular(const corners *k, cm_h5_arena *arena, cm_h5_slab *slab, cm_error *err)
{
    size_t n = (size_t)k->n * (size_t)k->ndim; /* both are bounded by the bytes that were read */
    cm_h5_run *runs = cm_h5_alloc(arena, n * sizeof *runs, err);
    int rc = runs ? 0 : CM_ENOMEM;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        uint64_t b = i / (size_t)k->ndim;
        int axis = (int)(i % (size_t)k->ndim);
        uint64_t first = corner(k, b, false, axis), last = corner(k, b, true, axis);
        rc = last < first ? malformed(err) : set_axis(&runs[i], first, 1, 1, last - first + 1, err);
    }
    slab->nblocks = (size_t)k->n;
    slab->blocks = runs;
    return rc;
}

/* HDF5 before 1.10 writes every selection as a list of blocks; most are regular all the same. */
static int listed_blocks(cm_h5_cursor *c, size_t width, uint64_t nblocks, cm_h5_arena *arena,
                         cm_h5_slab *slab, cm_error *err)
{
    uint64_t each = 2u * (uint64_t)slab->ndim * width, inner = 1;
    uint64_t count[CM_MAX_DIMS], stride[CM_MAX_DIMS];
    if (c->bad || nblocks == 0 || nblocks > cm_h5_left(c) / each)
        return malformed(err);
    corners k = {cm_h5_take(c, nblocks * each), width, slab->ndim, nblocks};
    for (int i = slab->ndim - 1; i >= 0; i--) {
        count[i] = 1;
        while (inner <= nblocks / (count[i] + 1) && count[i] * inner < nblocks &&
               goes_on(&k, count[i] * inner, (count[i] - 1) * inner, i))
            count[i]++;
        stride[i] = count[i] > 1 ? corner(&k, inner, false, i) - corner(&k, 0, false, i) : 1;
        inner *= count[i];
    }
    if (inner != nblocks || !is_regular(&k, count, stride))
        return irregular(&k, arena, slab, err);
    int rc = 0;
    for (int i = 0; rc == 0 && i < slab->ndim; i++) {
        uint64_t first = corner(&k, 0, false, i), last = corner(&k, 0, true, i);
        rc = last < first
                 ? malformed(err)
                 : set_axis(&slab->axis[i], first, stride[i], count[i], last - first + 1, err);
    }
    return rc;
}

static int hyperslab(cm_h5_cursor *c, cm_h5_arena *arena, cm_h5_slab *slab, cm_error *err)
{
    uint32_t version = cm_h5_u32(c);
    uint8_t flags = 1;
    size_t width = version == 1 ? 4 : 8;
    if (version == 1)
        cm_h5_take(c, 8); /* reserved, length */
    else
        flags = cm_h5_u8(c);
    if (version == 2)
        cm_h5_take(c, 4);
    else if (version == 3)
        width = cm_h5_u8(c);
    uint32_t ndim = cm_h5_u32(c);
    if (!c->bad && (version < 1 || version > 3))
        return cm_error_set(err, CM_EUNSUP, "hyperslab selection version %u is not known", version);
    if (c->bad || ndim < 1 || ndim > CM_MAX_DIMS || (width != 2 && width != 4 && width != 8))
        return cm_error_set(err, CM_EDATA, "virtual dataset's selection is malformed");
    slab->ndim = (int)ndim;
    slab->axis = cm_h5_alloc_zero(arena, ndim, sizeof *slab->axis, err);
    if (!slab->axis)
        return CM_ENOMEM;
    if (version == 1 || !(flags & 1))
        return listed_blocks(c, width, cm_h5_uint(c, width), arena, slab, err);
    int rc = 0, nopen = 0;
    for (int i = 0; rc == 0 && i < slab->ndim; i++) {
        rc = regular_axis(c, width, &slab->axis[i], err);
        nopen += rc == 0 && cm_h5_run_is_open(&slab->axis[i]);
    }
    return nopen > 1 ? malformed(err) : rc; /* one axis without an end is all that HDF5 has */
}

static int selection(cm_h5_cursor *c, cm_h5_arena *arena, cm_h5_slab *slab, bool *none,
                     cm_error *err)
{
    uint32_t type = cm_h5_u32(c);
    *slab = (cm_h5_slab){0};
    *none = *none || type == NONE;
    switch (type) {
    case NONE:
    case ALL:
        cm_h5_take(c, 12); /* version, reserved, length */
        return 0;
    case HYPERSLAB: return hyperslab(c, arena, slab, err);
    case POINTS: return refuse(err, "a selection of points");
    default: return cm_error_set(err, CM_EDATA, "virtual dataset's selection is of type %u", type);
    }
}

/* A NUL-terminated name as it is: "%b" may be a counter. */
static int name(cm_h5_cursor *c, cm_h5_arena *arena, const char **out, cm_error *err)
{
    const uint8_t *end = memchr(c->p, 0, cm_h5_left(c));
    if (!end)
        return cm_error_set(err, CM_EDATA, "virtual dataset's mapping is cut off");
    *out = cm_h5_alloc_string(arena, c->p, (size_t)(end - c->p), err);
    c->p = end + 1;
    return *out ? 0 : CM_ENOMEM;
}

static bool has_counter(const char *s)
{
    for (; *s; s++) {
        if (s[0] == '%' && s[1] == 'b')
            return true;
        s += s[0] == '%' && s[1] == '%';
    }
    return false;
}

/* "%%" is "%". */
static const char *plain_name(cm_h5_arena *arena, const char *s, cm_error *err)
{
    if (!strstr(s, "%%"))
        return s;
    char *out = cm_h5_alloc_string(arena, s, strlen(s), err);
    size_t k = 0;
    for (size_t i = 0; out && s[i]; i++) {
        i += s[i] == '%' && s[i + 1] == '%';
        out[k++] = s[i];
    }
    if (out)
        out[k] = 0;
    return out;
}

/* File and path of a mapping; `before` are those that precede it, n of them. */
static int names(cm_h5_cursor *c, cm_h5_scan *s, int version, const cm_h5_mapping *before,
                 uint64_t n, cm_h5_mapping *m, cm_error *err)
{
    uint8_t flags = version ? cm_h5_u8(c) : 0;
    uint64_t at = 0;
    int rc = 0;
    if (flags & ~7u)
        return cm_error_set(err, CM_EUNSUP, "virtual dataset mapping with flags 0x%x", flags);
    if (flags & 4) {
        m->file = ".";
    } else if (flags & 1) {
        at = cm_h5_length(c, s->file);
        m->file = at < n ? before[at].file : NULL;
    } else {
        rc = name(c, &s->arena, &m->file, err);
    }
    if (rc == 0 && flags & 2) {
        at = cm_h5_length(c, s->file);
        m->path = at < n ? before[at].path : NULL;
    } else if (rc == 0) {
        rc = name(c, &s->arena, &m->path, err);
    }
    if (rc == 0 && (!m->file || !m->path))
        rc = cm_error_set(err, CM_EDATA,
                          "virtual dataset's mapping names one that is not before it");
    m->counted = rc == 0 && (has_counter(m->file) || has_counter(m->path));
    return rc;
}

/* Everything here is the virtual extent; everything there has the shape of what it becomes. */
static int complete(const cm_h5_space *space, cm_h5_arena *arena, cm_h5_mapping *m, cm_error *err)
{
    if (m->here.ndim == 0) {
        m->here.ndim = space->ndim;
        m->here.axis = cm_h5_alloc(arena, (size_t)space->ndim * sizeof *m->here.axis, err);
        if (!m->here.axis)
            return CM_ENOMEM;
        for (int i = 0; i < space->ndim; i++) {
            m->here.axis[i] =
                (cm_h5_run){.stride = 1, .count = 1, .block = (int64_t)space->dims[i]};
        }
    }
    if (m->here.ndim != space->ndim)
        return cm_error_set(err, CM_EDATA, "virtual dataset's selection has %d dimensions",
                            m->here.ndim);
    m->whole = m->there.ndim == 0;
    return 0;
}

static bool grows(const cm_h5_slab *slab)
{
    if (slab->nblocks)
        return false;
    for (int i = 0; i < slab->ndim; i++)
        if (cm_h5_run_is_open(&slab->axis[i]))
            return true;
    return false;
}

int cm_h5_mappings_parse(cm_h5_scan *s, cm_h5_dataset *d, const uint8_t *data, size_t nbytes,
                         cm_error *err)
{
    cm_h5_cursor c = cm_h5_cursor_of(data, nbytes);
    uint8_t version = cm_h5_u8(&c);
    if (version > 1)
        return cm_error_set(err, CM_EUNSUP, "virtual dataset mapping version %u is not known",
                            version);
    uint64_t n = cm_h5_length(&c, s->file);
    if (c.bad || n > nbytes / 8 || n > MAX_MAPPINGS)
        return cm_error_set(err, CM_EDATA, "virtual dataset has %" PRIu64 " mappings", n);
    d->mappings = cm_h5_alloc_zero(&s->arena, (size_t)n + 1, sizeof *d->mappings, err);
    if (!d->mappings)
        return CM_ENOMEM;
    for (uint64_t i = 0; i < n; i++) {
        cm_h5_mapping *m = &d->mappings[i];
        int rc = names(&c, s, version, d->mappings, i, m, err);
        if (rc == 0)
            rc = selection(&c, &s->arena, &m->there, &m->none, err);
        if (rc == 0)
            rc = selection(&c, &s->arena, &m->here, &m->none, err);
        if (rc == 0 && c.bad)
            rc = cm_error_set(err, CM_EDATA, "virtual dataset's mapping is cut off");
        if (rc == 0)
            rc = complete(&d->space, &s->arena, m, err);
        if (rc)
            return rc;
        d->nmappings = (size_t)i + 1;
        d->grows = d->grows || m->counted || grows(&m->here) || grows(&m->there);
    }
    for (uint64_t i = 0; i < n; i++) { /* later ones may name the names of these */
        cm_h5_mapping *m = &d->mappings[i];
        if (!m->counted && (!(m->file = plain_name(&s->arena, m->file, err)) ||
                            !(m->path = plain_name(&s->arena, m->path, err))))
            return CM_ENOMEM;
    }
    return cm_h5_unions_cut(s, d, err);
}
