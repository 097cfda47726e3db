/* format/tables/tables_array.c: what an array is made of, as bytes.
 *
 *     chunked    type, shape, chunk shape, fill, byte order, filters, layout of its chunks
 *     extended   shape, fill, the array inside
 *     text       fill, the array of characters inside
 *     deferred   type, shape, fill, grid
 *
 * Only what is understood completely is described: chunks of numbers, bools and fixed-length text
 * in the file itself, whose stages are HDF5 filters that left a note (codec.h). Everything else is
 * deferred: the file says it. So a new kind of array in a driver is read from the file until it is
 * described here, and never read wrongly.
 */
#include "array/compose.h"
#include "base/bytes.h"
#include "base/memory.h"
#include "format/format.h"
#include "format/hdf5/h5_model.h"
#include "format/tables/tables.h"

enum { MOST_CELLS = 1 << 24, MOST_ROWS = 4096, MOST_CUTS = 1 << 20 };

static void put_shape(cm_wire_out *w, int ndim, const int64_t *shape)
{
    cm_wire_put_uint(w, (uint64_t)ndim);
    for (int i = 0; i < ndim; i++)
        cm_wire_put_uint(w, (uint64_t)shape[i]);
}

static void put_fill(cm_wire_out *w, const cm_array *a)
{
    if (cm_kind_is_vlen(a->dtype.kind)) {
        const cm_string *s = a->fill;
        cm_wire_put_bytes(w, s->data, s->nbytes);
    } else {
        cm_wire_put_bytes(w, a->fill, a->dtype.size);
    }
}

static void want(cm_tables_packer *p, uint64_t offset, uint64_t nbytes)
{
    if (p->w->status || nbytes == 0)
        return;
    if (cm_grow(&p->ranges, &p->capacity, p->nranges + 1, sizeof *p->ranges, p->w->err)) {
        p->w->status = CM_ENOMEM;
        return;
    }
    p->ranges[p->nranges++] = (cm_tables_range){offset, nbytes};
}

/* ---- layouts --------------------------------------------------------------------------------- */

/* The rows of axis 0 are one range each where there are gaps between them. */
static void want_rows(cm_tables_packer *p, const cm_array *a, uint64_t offset,
                      const int64_t *strides, uint64_t limit)
{
    uint64_t row = cm_chunked_chain(a)->stored_size;
    for (int i = 0; i < a->ndim; i++)
        if (a->shape[i] == 0)
            return;
    for (int i = a->ndim - 1; i >= 1; i--) {
        if (a->shape[i] > 1 && (uint64_t)strides[i] != row)
            return;
        if (!cm_mul_u64(row, (uint64_t)a->shape[i], &row))
            return;
    }
    int64_t rows = a->ndim ? a->shape[0] : 1;
    uint64_t step = a->ndim && rows > 1 ? (uint64_t)strides[0] : row, end;
    if (!cm_mul_u64(step, (uint64_t)rows - 1, &end) || !cm_add_u64(end, row, &end) ||
        !cm_add_u64(end, offset, &end) || end > limit)
        return;
    if (step == row)
        want(p, offset, end - offset);
    else if (rows <= MOST_ROWS)
        for (int64_t i = 0; i < rows; i++)
            want(p, offset + (uint64_t)i * step, row);
}

static void put_strided(cm_tables_packer *p, const cm_array *a)
{
    uint64_t offset, limit;
    const int64_t *strides;
    cm_table_is_strided(cm_chunked_table(a), &offset, &strides, &limit);
    cm_wire_put_uint(p->w, CM_TABLES_STRIDED);
    cm_wire_put_uint(p->w, offset);
    for (int i = 0; i < a->ndim; i++)
        cm_wire_put_uint(p->w, (uint64_t)strides[i]);
    want_rows(p, a, offset, strides, limit);
    p->counts->chunks++;
}

/* The chunks into p->listing; false: one of them is not a range of the file. */
static bool list_chunks(cm_tables_packer *p, const cm_array *a, uint64_t *n)
{
    int64_t grid[CM_MAX_DIMS], at[CM_MAX_DIMS] = {0};
    cm_tables_chunk previous = {0}, chunk = {0};
    cm_location loc;
    bool some = true;
    *n = 0;
    for (int i = 0; i < a->ndim; i++) {
        grid[i] = cm_ceil_div(a->shape[i], cm_chunked_chunk(a)[i]);
        some = some && grid[i] > 0;
    }
    for (bool more = some; more; more = cm_next(a->ndim, grid, at), chunk.index++) {
        loc.where = CM_AT_NOWHERE;
        loc.key[0] = 0;
        cm_error why = {0};
        int ret = cm_chunked_locate(a, at, &loc, &why);
        if (ret && cm_h5_is_local(ret))
            return false; /* an index that cannot be read: whoever reads the variable is told */
        if (ret) {
            p->w->status = ret;
            if (p->w->err)
                *p->w->err = why;
            return true;
        }
        if (loc.where == CM_AT_NOWHERE)
            continue;
        if (loc.where != CM_AT_RANGE || loc.key[0])
            return false;
        chunk.offset = loc.offset;
        chunk.nbytes = loc.nbytes;
        chunk.mask = loc.skip_mask;
        cm_tables_put_chunk(&p->listing, &previous, &chunk, *n == 0);
        want(p, chunk.offset, chunk.nbytes);
        ++*n;
    }
    return true;
}

static void put_memory(cm_tables_packer *p, const cm_location *loc)
{
    cm_wire_put_uint(p->w, CM_TABLES_MEMORY);
    cm_wire_put_uint(p->w, loc->offset);
    cm_wire_put_bytes(p->w, loc->inline_data, (size_t)loc->nbytes);
    p->counts->chunks++;
}

/* ---- arrays ---------------------------------------------------------------------------------- */

static bool one_cell(const cm_array *a)
{
    for (int i = 0; i < a->ndim; i++)
        if (cm_ceil_div(a->shape[i], cm_chunked_chunk(a)[i]) != 1)
            return false;
    return true;
}

/* Are all of its parts such as can be said? note: of its unpacker, if it has one. */
static bool can_be_said(const cm_tables_packer *p, const cm_array *a, uint32_t note[4])
{
    if (!cm_array_is_chunked(a) || a->dtype.record || a->dtype.size == 0)
        return false;
    const cm_chain *c = cm_chunked_chain(a);
    bool cells;
    if (cm_chunked_unpacks(a))
        cells = c->a2b == CM_A2B_CUSTOM && cm_h5_unpacker_note(a, note) &&
                c->dtype.kind == CM_BYTES && c->dtype.size == note[1] && c->stored_size == note[1];
    else
        cells = c->a2b == CM_A2B_BYTES && !cm_kind_is_vlen(a->dtype.kind) &&
                cm_dtype_equal(c->dtype, a->dtype) && c->stored_size == a->dtype.size;
    cm_object_version version = cm_chunked_version(a);
    const char *key = cm_chunked_key(a);
    return cells && !c->transposed && (c->nstages == 0 || c->note) && key &&
           strcmp(key, p->file->key) == 0 &&
           memcmp(&version, &p->file->version, sizeof version) == 0 &&
           (a->ndim == 0 ||
            memcmp(c->shape, cm_chunked_chunk(a), (size_t)a->ndim * sizeof *c->shape) == 0);
}

static bool is_plain(const cm_tables_packer *p, const cm_array *a)
{
    uint32_t note[4];
    return can_be_said(p, a, note) && !cm_chunked_unpacks(a);
}

/* false: it is to be deferred, and nothing was written. */
static bool put_chunked(cm_tables_packer *p, const cm_array *a)
{
    uint64_t offset, limit, n = 0;
    const int64_t *strides;
    static const int64_t zero[CM_MAX_DIMS];
    cm_location first = {.where = CM_AT_NOWHERE};
    uint32_t note[4];
    if (!can_be_said(p, a, note))
        return false;
    const cm_table *t = cm_chunked_table(a);
    const cm_chain *c = cm_chunked_chain(a);
    bool strided = cm_table_is_strided(t, &offset, &strides, &limit);
    bool nowhere = t->locate == p->nowhere->locate;
    p->listing.bytes.nbytes = 0;
    p->listing.status = 0;
    if (strided && limit != p->file->version.size)
        return false;
    if (!strided && !nowhere) {
        int64_t cells = 1;
        for (int i = 0; i < a->ndim; i++)
            if (!cm_mul_i64(cells, cm_ceil_div(a->shape[i], c->shape[i]), &cells) ||
                cells > MOST_CELLS)
                return false;
        if (one_cell(a) && cm_chunked_locate(a, zero, &first, NULL))
            first.where = CM_AT_NOWHERE; /* list_chunks meets it again */
        if (first.where != CM_AT_MEMORY && !list_chunks(p, a, &n))
            return false;
        if (p->w->status == 0)
            p->w->status = p->listing.status;
    }
    cm_wire_out *w = p->w;
    cm_wire_put_uint(w, CM_TABLES_CHUNKED);
    cm_tables_put_dtype(w, a->dtype);
    put_shape(w, a->ndim, a->shape);
    for (int i = 0; i < a->ndim; i++)
        cm_wire_put_uint(w, (uint64_t)c->shape[i]);
    put_fill(w, a);
    bool unpacks = cm_chunked_unpacks(a);
    cm_wire_put_uint(w, (c->big_endian ? 1u : 0) | (c->endian_given ? 2u : 0) | (unpacks ? 4u : 0));
    for (int i = 0; i < 4 && unpacks; i++)
        cm_wire_put_uint(w, note[i]);
    cm_wire_put_bytes(w, c->note, c->nstages ? c->note_nbytes : 0);
    if (strided) {
        put_strided(p, a);
    } else if (nowhere) {
        cm_wire_put_uint(w, CM_TABLES_NOWHERE);
    } else if (first.where == CM_AT_MEMORY) {
        put_memory(p, &first);
    } else {
        cm_wire_put_uint(w, CM_TABLES_LISTED);
        cm_wire_put_bytes(w, p->listing.bytes.data, p->listing.bytes.nbytes);
        p->counts->chunks += n;
    }
    return true;
}

static void put_deferred(cm_tables_packer *p, const cm_array *a)
{
    cm_wire_out *w = p->w;
    cm_wire_put_uint(w, CM_TABLES_DEFERRED);
    cm_tables_put_dtype(w, a->dtype);
    put_shape(w, a->ndim, a->shape);
    put_fill(w, a);
    cm_wire_put_uint(w, a->raw);
    for (int i = 0; i < a->ndim; i++) {
        cm_axis_grid g = cm_array_grid(a, i);
        bool cuts = g.ncuts > 0 && g.ncuts <= MOST_CUTS;
        cm_wire_put_uint(w, (uint64_t)(g.ncuts > 0 ? cm_max_i64(a->shape[i], 1) : g.size));
        cm_wire_put_uint(w, cuts ? (uint64_t)g.ncuts : 0);
        for (int64_t k = 1; cuts && k < g.ncuts; k++)
            cm_wire_put_uint(w, (uint64_t)(g.cuts[k] - g.cuts[k - 1]));
    }
    p->counts->deferred++;
}

/* Is it one of the two ways in which the drivers change a chunked array? */
static cm_array *extended_inside(const cm_tables_packer *p, const cm_array *a)
{
    cm_array *inside = cm_h5_extended_inside(a);
    return inside && inside->vt != a->vt && is_plain(p, inside) ? inside : NULL;
}

static cm_array *text_inside(const cm_tables_packer *p, const cm_array *a)
{
    cm_array *inside = cm_array_bytes_of_string(a);
    return inside && inside->dtype.kind == CM_BYTES && is_plain(p, inside) ? inside : NULL;
}

void cm_tables_pack_array(cm_tables_packer *p, cm_array *a)
{
    cm_wire_out *w = p->w;
    size_t before = w->bytes.nbytes;
    cm_array *extended = extended_inside(p, a), *text = text_inside(p, a);
    if (extended) {
        cm_wire_put_uint(w, CM_TABLES_EXTENDED);
        put_shape(w, a->ndim, a->shape);
        put_fill(w, a);
    } else if (text) {
        cm_wire_put_uint(w, CM_TABLES_TEXT);
    }
    if (put_chunked(p, extended ? extended : text ? text : a) || w->status)
        return;
    w->bytes.nbytes = before;
    p->nranges = 0;
    put_deferred(p, a);
}
