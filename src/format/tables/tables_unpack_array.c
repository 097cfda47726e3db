/* format/tables/tables_unpack_array.c: arrays out of an entry (tables_array.c says what they are).
 *
 * A chunked array is made by the function that makes all of them, and its stages by that of the
 * HDF5 driver, so that what an entry says is checked as what a file says.
 */
#include <stdlib.h>

#include "array/compose.h"
#include "base/bytes.h"
#include "base/memory.h"
#include "format/format.h"
#include "format/hdf5/h5_model.h"
#include "format/tables/tables.h"

enum { MOST_CUTS = 1 << 20, BIG = 1, GIVEN = 2, UNPACKS = 4, ALL_FLAGS = 7 };

static int malformed(cm_error *err)
{
    return cm_error_set(err, CM_EDATA, "a scan table that is malformed");
}

/* Why r gave nothing. */
static int reason(const cm_wire_in *r, cm_error *err)
{
    return r->bad ? malformed(err) : cm_error_set(err, CM_ENOMEM, "out of memory");
}

/* What every description begins with. */
typedef struct description {
    cm_dtype dtype;
    const cm_record *record; /* owned */
    int ndim;
    int64_t shape[CM_MAX_DIMS], chunk[CM_MAX_DIMS];
    const void *fill; /* in the entry, or string */
    cm_string string;
    uint64_t flags;   /* BIG... */
    uint32_t note[4]; /* of the unpacker */
    cm_dtype stored;
} description;

static void take_shape(cm_wire_in *r, int *ndim, int64_t *shape)
{
    *ndim = (int)cm_wire_upto(r, CM_MAX_DIMS);
    for (int i = 0; i < *ndim; i++)
        shape[i] = (int64_t)cm_wire_upto(r, INT64_MAX);
    if (cm_shape_nelem(*ndim, shape) < 0)
        cm_wire_fail(r);
}

static void take_fill(cm_wire_in *r, description *d)
{
    size_t n;
    d->fill = cm_wire_bytes(r, &n);
    if (cm_kind_is_vlen(d->dtype.kind)) {
        d->string = (cm_string){n ? d->fill : NULL, n};
        d->fill = &d->string;
        if (d->dtype.kind == CM_STRING && !cm_utf8_valid(n ? d->string.data : "", n))
            cm_wire_fail(r);
    } else if (n != d->dtype.size) {
        cm_wire_fail(r);
    }
}

static bool take_type(cm_wire_in *r, description *d, cm_error *err)
{
    if (!cm_tables_take_dtype(r, &d->dtype, &d->record, err))
        return false;
    if (d->dtype.size == 0)
        cm_wire_fail(r);
    take_shape(r, &d->ndim, d->shape);
    return !r->bad;
}

/* ---- chunked --------------------------------------------------------------------------------- */

static int take_strided(cm_tables_unpacker *u, const description *d, cm_table **out, cm_error *err)
{
    int64_t strides[CM_MAX_DIMS];
    uint64_t offset = cm_wire_uint(&u->r);
    for (int i = 0; i < d->ndim; i++)
        strides[i] = (int64_t)cm_wire_upto(&u->r, INT64_MAX);
    if (u->r.bad)
        return malformed(err);
    return cm_table_new_strided(d->ndim, offset, strides, u->file->version.size, out, err);
}

static int take_table(cm_tables_unpacker *u, const description *d, cm_table **out, cm_error *err)
{
    size_t n;
    uint64_t at, size = u->file->version.size;
    const void *p;
    int64_t grid[CM_MAX_DIMS];
    int64_t cells = d->stored.size;
    bool whole = true;
    for (int i = 0; i < d->ndim; i++) {
        grid[i] = cm_ceil_div(d->shape[i], d->chunk[i]);
        whole = whole && grid[i] == 1 && cm_mul_i64(cells, d->chunk[i], &cells);
    }
    switch (cm_wire_upto(&u->r, CM_TABLES_LAYOUTS - 1)) {
    case CM_TABLES_STRIDED: return take_strided(u, d, out, err);
    case CM_TABLES_NOWHERE: return cm_h5_nowhere_new(out, err);
    case CM_TABLES_MEMORY:
        at = cm_wire_uint(&u->r);
        p = cm_wire_bytes(&u->r, &n);
        if (u->r.bad || !whole || at > size || n > size - at)
            return malformed(err);
        return cm_table_new_memory(p, n, at, out, err);
    default:
        p = cm_wire_bytes(&u->r, &n);
        if (u->r.bad)
            return malformed(err);
        return cm_tables_chunks_new(u->ctx, d->ndim, grid, p, n, u->file->version.size, out, err);
    }
}

static int take_chain(cm_tables_unpacker *u, const description *d, cm_chain **out, cm_error *err)
{
    size_t n;
    const void *note = cm_wire_bytes(&u->r, &n);
    if (u->r.bad)
        return malformed(err);
    const cm_chain *last = u->chain;
    cm_array_codec a2b = d->flags & UNPACKS ? CM_A2B_CUSTOM : CM_A2B_BYTES;
    if (last && cm_dtype_equal(last->dtype, d->stored) && last->ndim == d->ndim &&
        last->a2b == a2b && last->big_endian == (bool)(d->flags & BIG) &&
        last->endian_given == (bool)(d->flags & GIVEN) && last->note_nbytes == n &&
        (n == 0 || memcmp(last->note, note, n) == 0) &&
        (d->ndim == 0 || memcmp(last->shape, d->chunk, (size_t)d->ndim * sizeof *d->chunk) == 0)) {
        *out = cm_chain_ref(u->chain);
        return 0;
    }
    int ret = cm_chain_new(d->stored, d->ndim, d->chunk, out, err);
    if (ret)
        return ret;
    (*out)->a2b = a2b;
    (*out)->big_endian = d->flags & BIG;
    (*out)->endian_given = d->flags & GIVEN;
    ret = n ? cm_h5_filters_restore(note, n, *out, err) : 0;
    if (ret == 0) {
        cm_chain_unref(u->chain);
        u->chain = cm_chain_ref(*out);
    }
    return ret;
}

static int take_chunked(cm_tables_unpacker *u, const char *path, cm_array **out, cm_error *err)
{
    cm_wire_in *r = &u->r;
    description d = {0};
    cm_chain *chain = NULL;
    cm_table *table = NULL;
    bool ok = take_type(r, &d, err);
    for (int i = 0; i < d.ndim && ok; i++) {
        d.chunk[i] = (int64_t)cm_wire_upto(r, INT64_MAX);
        if (d.chunk[i] < 1)
            cm_wire_fail(r);
    }
    if (ok)
        take_fill(r, &d);
    d.flags = ok ? cm_wire_upto(r, ALL_FLAGS) : 0;
    for (int i = 0; i < 4 && d.flags & UNPACKS; i++)
        d.note[i] = (uint32_t)cm_wire_upto(r, UINT32_MAX);
    d.stored = d.flags & UNPACKS ? cm_dtype_of(CM_BYTES, d.note[1]) : d.dtype;
    if (d.record || (cm_kind_is_vlen(d.dtype.kind) && !(d.flags & UNPACKS)))
        cm_wire_fail(r);
    cm_record_unref(d.record);
    if (!ok || r->bad)
        return reason(r, err);
    cm_h5_unpacker *unpacker = NULL;
    int ret = 0;
    if (d.flags & UNPACKS)
        ret = cm_h5_unpacker_of_note(d.note, d.dtype, &unpacker, err);
    if (ret == 0)
        ret = take_chain(u, &d, &chain, err);
    if (ret == 0)
        ret = take_table(u, &d, &table, err);
    if (ret) {
        cm_chain_unref(chain);
        cm_h5_unpacker_free(unpacker);
        return ret;
    }
    cm_chunked_spec spec = {.dtype = d.dtype,
                            .ndim = d.ndim,
                            .shape = d.shape,
                            .chunk = d.chunk,
                            .fill = d.fill,
                            .chain = chain,
                            .table = table,
                            .store = u->store,
                            .key = u->file->key,
                            .version = u->file->version,
                            .label = u->uri,
                            .path = path,
                            .unpack = unpacker ? cm_h5_unpack : NULL,
                            .owner = unpacker,
                            .owner_release = cm_h5_unpacker_free};
    ret = cm_chunked_new(&spec, out, err);
    if (ret)
        cm_h5_unpacker_free(unpacker);
    return ret;
}

/* ---- the others ------------------------------------------------------------------------------ */

static int take_grids(cm_wire_in *r, int ndim, const int64_t *shape, cm_axis_grid *grids,
                      int64_t **cuts, cm_error *err)
{
    for (int i = 0; i < ndim; i++) {
        int64_t size = (int64_t)cm_wire_upto(r, INT64_MAX), at = 0;
        uint64_t n = cm_wire_upto(r, MOST_CUTS);
        if (r->bad || size < 1 || n > cm_wire_left(r))
            return malformed(err);
        grids[i] = (cm_axis_grid){.length = shape[i], .size = size, .ncuts = (int64_t)n};
        if (n == 0)
            continue;
        cuts[i] = cm_calloc((size_t)n + 1, sizeof *cuts[i], err);
        if (!cuts[i])
            return CM_ENOMEM;
        for (uint64_t k = 1; k < n; k++) {
            int64_t step = (int64_t)cm_wire_upto(r, INT64_MAX);
            if (step < 1 || !cm_add_i64(at, step, &at))
                return malformed(err);
            cuts[i][k] = at;
        }
        if (at >= shape[i])
            return malformed(err);
        cuts[i][n] = shape[i];
        grids[i].cuts = cuts[i];
    }
    return 0;
}

static int take_deferred(cm_tables_unpacker *u, const char *path, cm_array **out, cm_error *err)
{
    cm_wire_in *r = &u->r;
    description d = {0};
    cm_axis_grid grids[CM_MAX_DIMS];
    int64_t *cuts[CM_MAX_DIMS] = {0};
    bool raw = false;
    int ret = 0;
    bool ok = take_type(r, &d, err);
    if (ok) {
        take_fill(r, &d);
        raw = cm_wire_upto(r, 1) != 0;
    }
    if (r->bad || !ok)
        ret = reason(r, err);
    if (ret == 0)
        ret = take_grids(r, d.ndim, d.shape, grids, cuts, err);
    if (ret == 0)
        ret = cm_tables_deferred_new(u->later, d.dtype, d.ndim, d.shape, d.fill, raw, grids, path,
                                     out, err);
    for (int i = 0; i < CM_MAX_DIMS; i++)
        free(cuts[i]);
    cm_record_unref(d.record);
    return ret;
}

static int take_extended(cm_tables_unpacker *u, const char *path, cm_array **out, cm_error *err)
{
    cm_wire_in *r = &u->r;
    description d = {0};
    cm_array *inner = NULL;
    size_t n;
    take_shape(r, &d.ndim, d.shape);
    const void *fill = cm_wire_bytes(r, &n);
    if (cm_wire_upto(r, CM_TABLES_CHUNKED) != CM_TABLES_CHUNKED || r->bad)
        return malformed(err);
    int ret = take_chunked(u, path, &inner, err);
    if (ret)
        return ret;
    bool ok =
        n == inner->dtype.size && d.ndim == inner->ndim && !cm_kind_is_vlen(inner->dtype.kind);
    for (int i = 0; i < d.ndim && ok; i++)
        ok = d.shape[i] >= inner->shape[i];
    if (!ok) {
        cm_array_unref(inner);
        return malformed(err);
    }
    return cm_h5_extended_new(inner, d.shape, fill, out, err);
}

static int take_characters(cm_tables_unpacker *u, const char *path, cm_array **out, cm_error *err)
{
    cm_array *inner = NULL;
    if (cm_wire_upto(&u->r, CM_TABLES_CHUNKED) != CM_TABLES_CHUNKED || u->r.bad)
        return malformed(err);
    int ret = take_chunked(u, path, &inner, err);
    if (ret)
        return ret;
    if (inner->dtype.kind != CM_BYTES) {
        cm_array_unref(inner);
        return malformed(err);
    }
    return cm_array_bytes_to_string(inner, out, err);
}

int cm_tables_unpack_array(cm_tables_unpacker *u, const char *path, cm_array **out, cm_error *err)
{
    *out = NULL;
    switch (cm_wire_upto(&u->r, CM_TABLES_KINDS - 1)) {
    case CM_TABLES_CHUNKED: return take_chunked(u, path, out, err);
    case CM_TABLES_DEFERRED: return take_deferred(u, path, out, err);
    case CM_TABLES_EXTENDED: return take_extended(u, path, out, err);
    case CM_TABLES_TEXT: return take_characters(u, path, out, err);
    default: return malformed(err);
    }
}
