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
 * every `stride`, from `start`. Version 1 hyperslabs list their blocks as corners; one block is
 * taken, more would have to be put in order. What has no such form (points, selections that grow
 * with the file, file names with a counter in them) is refused by name: the variable has a problem,
 * and is not read by halves.
 */
#include <inttypes.h>

#include "format/hdf5/h5_virtual.h"

#define MAX_MAPPINGS 100000

enum { NONE, POINTS, HYPERSLAB, ALL };

static int refuse(cm_error *err, const char *what)
{
    return cm_error_set(err, CM_EUNSUP, "virtual dataset with %s", what);
}

/* start, stride, count, block of one axis, each of `width` bytes. */
static int regular_axis(cm_h5_cursor *c, size_t width, cm_h5_slab *slab, int i, cm_error *err)
{
    uint64_t v[4], all = width == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * width) - 1;
    for (int k = 0; k < 4; k++)
        v[k] = cm_h5_uint(c, width);
    if (!c->bad && (v[2] == all || v[3] == all))
        return refuse(err, "a selection that grows (unlimited)");
    uint64_t end;
    if (c->bad || v[2] == 0 || v[3] == 0 || (v[2] > 1 && v[1] < v[3]) ||
        !cm_mul_u64(v[2] - 1, v[1], &end) || !cm_add_u64(end, v[3], &end) ||
        !cm_add_u64(end, v[0], &end) || end > INT64_MAX)
        return cm_error_set(err, CM_EDATA, "virtual dataset's selection is malformed");
    slab->axis[i].start = (int64_t)v[0];
    slab->axis[i].count = (int64_t)v[2];
    slab->axis[i].block = (int64_t)v[3];
    slab->axis[i].stride = v[2] > 1 ? (int64_t)v[1] : 1;
    if (slab->axis[i].stride == slab->axis[i].block && v[2] > 1) { /* blocks that touch are one */
        slab->axis[i].block *= slab->axis[i].count;
        slab->axis[i].count = slab->axis[i].stride = 1;
    }
    return 0;
}

/* Blocks as corners: the first cell, then the last. */
static int irregular(cm_h5_cursor *c, size_t width, uint64_t nblocks, cm_h5_slab *slab,
                     cm_error *err)
{
    if (nblocks != 1)
        return refuse(err, "a selection of irregular blocks");
    uint64_t first[CM_MAX_DIMS];
    for (int i = 0; i < slab->ndim; i++)
        first[i] = cm_h5_uint(c, width);
    for (int i = 0; i < slab->ndim; i++) {
        uint64_t last = cm_h5_uint(c, width);
        if (c->bad || last < first[i] || last >= INT64_MAX)
            return cm_error_set(err, CM_EDATA, "virtual dataset's selection is malformed");
        slab->axis[i].start = (int64_t)first[i];
        slab->axis[i].block = (int64_t)(last - first[i] + 1);
        slab->axis[i].count = slab->axis[i].stride = 1;
    }
    return 0;
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
    slab->axis = cm_h5_alloc(arena, ndim * sizeof *slab->axis, err);
    if (!slab->axis)
        return CM_ENOMEM;
    if (version == 1 || !(flags & 1))
        return irregular(c, width, cm_h5_uint(c, width), slab, err);
    int rc = 0;
    for (int i = 0; rc == 0 && i < slab->ndim; i++)
        rc = regular_axis(c, width, slab, i, err);
    return rc;
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

/* A NUL-terminated name; "%%" is "%", and a counter is refused. */
static int name(cm_h5_cursor *c, cm_h5_arena *arena, const char **out, cm_error *err)
{
    const uint8_t *end = memchr(c->p, 0, cm_h5_left(c));
    if (!end)
        return cm_error_set(err, CM_EDATA, "virtual dataset's mapping is cut off");
    char *s = cm_h5_alloc_string(arena, c->p, (size_t)(end - c->p), err);
    if (!s)
        return CM_ENOMEM;
    size_t k = 0;
    for (size_t i = 0; s[i]; i++) {
        if (s[i] == '%' && s[i + 1] != '%')
            return refuse(err, "source files that are counted (%b)");
        i += s[i] == '%';
        s[k++] = s[i];
    }
    s[k] = 0;
    *out = s;
    c->p = end + 1;
    return 0;
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
            m->here.axis[i].block = (int64_t)space->dims[i];
            m->here.axis[i].count = m->here.axis[i].stride = 1;
        }
    }
    if (m->here.ndim != space->ndim)
        return cm_error_set(err, CM_EDATA, "virtual dataset's selection has %d dimensions",
                            m->here.ndim);
    m->whole = m->there.ndim == 0;
    return 0;
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
    }
    return 0;
}
