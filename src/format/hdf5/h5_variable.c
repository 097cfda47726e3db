/* format/hdf5/h5_variable.c: from a dataset's messages to an array that can be read.
 *
 * Three questions: how stored cells become cells (numbers as they are in some byte order; strings
 * and bools through an unpacker), where the bytes are (strided, in the header, an index of chunks,
 * nowhere), and what stands where nothing was written (the fill value). Whatever has no exact
 * answer makes the variable a named problem.
 *
 * Fill: the dataset's own value; zeros where HDF5's default applies or, as libhdf5 leaves undefined
 * what such cells are, where the fill value is declared undefined. Beyond the extent (see
 * h5_extended.c) netCDF's default fill stands in for a missing own value, as in netCDF-C.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "array/compose.h"
#include "base/memory.h"
#include "format/hdf5/h5_virtual.h"
#include "nd/copy.h"
#include "text/utf8.h"

#define NOWHERE_CELLS (1 << 20) /* of a "chunk" of storage that does not exist */

/* One variable while it is made. */
typedef struct maker {
    cm_h5_scan *s;
    const cm_h5_dataset *d;
    cm_variable *v;  /* NULL: the array is a source of a virtual dataset */
    int lifted_ndim; /* then: its axes, axis i being from[i] of ndim, or of length 1 (-1) */
    const int *from;
    int ndim;                    /* as the outside sees it */
    int64_t extent[CM_MAX_DIMS]; /* own */
    int64_t shape[CM_MAX_DIMS];  /* the dimensions' */
    int64_t whole[CM_MAX_DIMS];  /* of the chunked array: extent or shape */
    int64_t chunk[CM_MAX_DIMS];
    cm_dtype dtype, stored; /* stored: CM_BYTES where an unpacker is at work */
    cm_h5_unpacker unpacker;
    bool unpacks, big_endian;
    cm_store *store; /* and key: the file that the bytes are in, its version, where they begin */
    const char *key;
    cm_object_version version;
    uint64_t at, nbytes; /* nbytes: how many are said to be there; CM_H5_UNDEF: not said */
    cm_h5_moves *moves;  /* of records and sequences */
    cm_record *sequence; /* the dtype's, where it is one */
    cm_h5_wording *wording;
    _Alignas(cm_string) uint8_t own[16];
    _Alignas(cm_string) uint8_t other[16];
    const void *fill, *beyond; /* a cell each: where nothing was written, and beyond the extent */
} maker;

/* ---- cells ----------------------------------------------------------------------------------- */

/* Compounds, opaque cells and sequences: *done when the type is one of these. */
static int choose_large_cells(maker *m, bool *done, cm_error *err)
{
    const cm_h5_type *t = &m->d->type;
    cm_h5_type base;
    int rc = 0;
    *done = true;
    if (cm_h5_type_needs_words(t)) {
        m->dtype = cm_dtype_of(CM_STRING, 0);
        m->stored = cm_dtype_of(CM_BYTES, t->size);
        m->unpacks = true;
        m->unpacker.cells = CM_H5_CELLS_WORDED;
        rc = cm_h5_wording_new(m->s->file, m->d->type_bytes, m->d->type_nbytes, m->s->paths,
                               &m->wording, err);
        m->unpacker.wording = m->wording;
        if (rc == 0 && m->v)
            cm_context_log(m->s->file->ctx, CM_LOG_INFO, "%s: %s: cells are read as JSON text",
                           m->s->file->uri, m->v->path);
        return rc;
    }
    if (t->cls == CM_H5_OPAQUE) {
        m->stored = m->dtype = cm_h5_opaque_dtype(t, &m->big_endian);
        return t->size > CM_H5_MAX_CELL ? cm_error_set(err, CM_ELIMIT, "cells of %u bytes", t->size)
                                        : 0;
    }
    if (t->cls == CM_H5_COMPOUND && t->kind == CM_NONE) {
        rc = cm_h5_moves_new(t, &m->moves, err);
        if (rc)
            return rc;
        m->stored = m->dtype = cm_h5_moves_dtype(m->moves);
        m->unpacks = !cm_h5_moves_plain(m->moves);
        m->unpacker.cells = CM_H5_CELLS_RECORD;
    } else if (t->cls == CM_H5_VLEN && !t->vlen_string) {
        if (t->size != 8u + m->s->file->nbytes_off)
            return cm_error_set(err, CM_EDATA, "variable-length sequences of %u bytes", t->size);
        rc = cm_h5_type_parse_base(t, &base, err);
        if (rc == 0 && (rc = cm_h5_moves_new(&base, &m->moves, err)))
            cm_error_prefix(err, "variable-length sequence");
        cm_field element = {.name = "element"};
        if (rc == 0)
            element.dtype = cm_h5_moves_dtype(m->moves);
        if (rc == 0)
            rc = cm_record_new(&element, 1, &m->sequence, err);
        if (rc)
            return rc;
        m->dtype = cm_dtype_record(CM_SEQUENCE, m->sequence);
        m->unpacks = true;
        m->unpacker.cells = CM_H5_CELLS_SEQUENCE;
    } else {
        *done = false;
        return 0;
    }
    m->unpacker.moves = m->moves;
    if (m->unpacks)
        m->stored = cm_dtype_of(CM_BYTES, t->size);
    return 0;
}

static int choose_cells(maker *m, cm_error *err)
{
    const cm_h5_dataset *d = m->d;
    const cm_h5_type *t = &d->type;
    char name[96];
    if (t->why[0] || t->cls == CM_H5_ARRAY)
        return cm_error_set(err, CM_EUNSUP, "cells of HDF5 %s",
                            cm_h5_type_name(t, name, sizeof name));
    m->stored = m->dtype = cm_dtype_of(t->kind, 0);
    m->big_endian = t->big_endian;
    m->unpacker = (cm_h5_unpacker){.file = m->s->file, .size = t->size, .used = t->size};
    bool done;
    int rc = choose_large_cells(m, &done, err);
    if (rc || done)
        return rc;
    if (cm_h5_is_char_array(d)) {
        int last = d->space.ndim - 1;
        if (!cm_h5_has_whole_strings(d))
            return cm_error_set(err, CM_EUNSUP, "char array whose chunks hold parts of strings");
        uint64_t width =
            d->layout.cls == CM_H5_CHUNKED ? d->layout.chunk[last] : d->space.dims[last];
        if (width > UINT32_MAX)
            return cm_error_set(err, CM_EUNSUP, "char array of strings over 4 GiB");
        m->unpacker.size = width ? (uint32_t)width : 1;
        m->unpacker.used = (uint32_t)d->space.dims[last];
        m->unpacker.padding = CM_H5_NUL_PADDED;
        m->unpacker.cells = CM_H5_CELLS_FIXED_STRING;
    } else if (t->cls == CM_H5_STRING) {
        m->unpacker.cells = CM_H5_CELLS_FIXED_STRING;
        m->unpacker.padding = t->size == 1 ? CM_H5_NUL_PADDED : t->padding;
        if (t->padding > CM_H5_SPACE_PADDED)
            return cm_error_set(err, CM_EUNSUP, "strings with padding %u", t->padding);
    } else if (t->vlen_string) {
        m->unpacker.cells = CM_H5_CELLS_VLEN_STRING;
        if (t->size != 8u + m->s->file->nbytes_off)
            return cm_error_set(err, CM_EDATA, "variable-length strings of %u bytes", t->size);
    } else if (t->cls == CM_H5_REFERENCE) {
        m->unpacker.cells = t->reference ? CM_H5_CELLS_REGION : CM_H5_CELLS_REFERENCE;
        m->unpacker.paths = m->s->paths;
        if (t->size != m->s->file->nbytes_off + (t->reference ? 4u : 0u))
            return cm_error_set(err, CM_EDATA, "references of %u bytes", t->size);
    } else if (t->kind == CM_BOOL) {
        m->unpacker.cells = CM_H5_CELLS_BOOL;
    } else if (t->narrow_bits) {
        m->unpacker.cells = CM_H5_CELLS_NARROW;
        m->unpacker.narrow = cm_h5_narrow_of(t);
    } else {
        return 0;
    }
    m->unpacks = true;
    if (t->kind == CM_NONE)
        m->dtype = cm_dtype_of(CM_STRING, 0);
    m->stored = cm_dtype_of(CM_BYTES, m->unpacker.size);
    return 0;
}

/* ---- fill ------------------------------------------------------------------------------------ */

static void netcdf_fill(cm_kind kind, uint8_t *out)
{
    static const float f = 9.9692099683868690e+36f;
    static const double d = 9.9692099683868690e+36;
    const int16_t i16 = -32767;
    const int32_t i32 = -2147483647;
    const int64_t i64 = -9223372036854775806;
    const uint16_t u16 = 65535;
    const uint32_t u32 = 4294967295;
    const uint64_t u64 = 18446744073709551614u;
    switch (kind) {
    case CM_INT8: out[0] = (uint8_t)-127; break;
    case CM_UINT8: out[0] = 255; break;
    case CM_INT16: memcpy(out, &i16, sizeof i16); break;
    case CM_UINT16: memcpy(out, &u16, sizeof u16); break;
    case CM_INT32: memcpy(out, &i32, sizeof i32); break;
    case CM_UINT32: memcpy(out, &u32, sizeof u32); break;
    case CM_INT64: memcpy(out, &i64, sizeof i64); break;
    case CM_UINT64: memcpy(out, &u64, sizeof u64); break;
    case CM_FLOAT32: memcpy(out, &f, sizeof f); break;
    case CM_FLOAT64: memcpy(out, &d, sizeof d); break;
    default: break;
    }
}

static int string_fill(maker *m, cm_error *err)
{
    const cm_h5_dataset *d = m->d;
    const uint8_t *p = d->fill.data;
    size_t n = 0;
    int rc = 0;
    if (d->type.cls == CM_H5_REFERENCE) {
        for (uint32_t i = 0; i < d->type.size; i++)
            if (p[i])
                return cm_error_set(err, CM_EUNSUP, "references with a fill value");
        return 0;
    }
    if (m->unpacker.cells == CM_H5_CELLS_VLEN_STRING) {
        rc = cm_h5_scan_vlen(m->s, p, 1, &p, &n, err);
        const uint8_t *nul = rc == 0 ? memchr(p, 0, n) : NULL;
        n = nul ? (size_t)(nul - p) : n;
    } else if (d->type.size == 1 && d->space.ndim > 0 && p[0]) {
        n = m->unpacker.used; /* every char of a string that was never written */
        uint8_t *chars = cm_h5_alloc(&m->s->arena, n, err);
        if (!chars)
            return CM_ENOMEM;
        memset(chars, p[0], n);
        p = chars;
    } else {
        n = cm_h5_string_length(p, d->type.size, d->type.padding);
    }
    if (rc == 0 && !cm_utf8_valid((const char *)p, n))
        rc = cm_error_set(err, CM_EUNSUP, "fill value is not UTF-8");
    cm_string value = {n ? (const char *)p : NULL, n};
    memcpy(m->own, &value, sizeof value);
    return rc;
}

/* Of records and opaque cells, which are larger than others, and of sequences. */
static int large_fill(maker *m, cm_error *err)
{
    const cm_h5_dataset *d = m->d;
    const uint8_t *p = d->fill.data;
    size_t n = d->type.size, count = 1;
    int rc = 0;
    if (m->dtype.kind == CM_SEQUENCE) {
        rc = cm_h5_scan_vlen(m->s, p, cm_h5_moves_stored(m->moves), &p, &n, err);
        count = rc == 0 ? n / cm_h5_moves_stored(m->moves) : 0;
        n = count * m->sequence->nbytes;
    }
    uint8_t *cells = rc ? NULL : cm_h5_alloc(&m->s->arena, n + 1, err);
    if (!cells)
        return rc ? rc : CM_ENOMEM;
    if (m->moves)
        rc = cm_h5_moves_run(m->moves, p, cells, count, err);
    else
        memcpy(cells, p, n);
    m->fill = cells;
    if (m->dtype.kind == CM_SEQUENCE) {
        cm_string value = {n ? (const char *)cells : NULL, n};
        memcpy(m->own, &value, sizeof value);
        m->fill = m->own;
    }
    return rc;
}

/* Cells that are words have a text where nothing was written, also without a fill value. */
static int worded_fill(maker *m, cm_error *err)
{
    const cm_h5_dataset *d = m->d;
    char *text = NULL;
    size_t n = 0;
    uint8_t *zeros = cm_calloc(1, d->type.size, err);
    int rc = zeros ? cm_h5_wording_text(m->wording, m->s->file, d->fill.user ? d->fill.data : zeros,
                                        &text, &n, err)
                   : CM_ENOMEM;
    const char *kept = rc ? NULL : cm_h5_alloc_string(&m->s->arena, text, n, err);
    cm_string value = {kept, n};
    memcpy(m->own, &value, sizeof value);
    m->beyond = m->fill;
    free(zeros);
    free(text);
    return rc ? rc : kept ? 0 : CM_ENOMEM;
}

static int choose_fill(maker *m, cm_error *err)
{
    const cm_h5_dataset *d = m->d;
    bool large = m->moves || m->dtype.kind == CM_RAW;
    memset(m->own, 0, sizeof m->own);
    memset(m->other, 0, sizeof m->other);
    m->fill = large ? NULL : m->own;
    m->beyond = large ? NULL : m->other;
    if (m->dtype.kind == CM_SEQUENCE)
        m->fill = m->beyond = m->own;
    if (!d->fill.user && m->wording)
        return worded_fill(m, err);
    if (!d->fill.user) {
        if (m->dtype.kind != CM_STRING && !large)
            netcdf_fill(m->dtype.kind, m->other);
        return 0;
    }
    if (d->fill.nbytes != d->stored_size)
        return cm_error_set(err, CM_EDATA, "fill value has %u bytes, cells have %u", d->fill.nbytes,
                            d->stored_size);
    for (uint32_t i = d->type.size; i < d->fill.nbytes; i++)
        if (d->fill.data[i] != d->fill.data[i - d->type.size])
            return cm_error_set(err, CM_EUNSUP, "array type whose fill value has unequal elements");
    int rc = 0;
    if (m->wording)
        rc = worded_fill(m, err);
    else if (large)
        rc = large_fill(m, err);
    else if (m->unpacks && m->unpacker.cells == CM_H5_CELLS_NARROW)
        cm_h5_widen(&m->unpacker.narrow, d->fill.data, m->own);
    else if (m->dtype.kind == CM_STRING) {
        rc = string_fill(m, err);
    } else {
        bool host_big = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
        uint32_t word = cm_dtype_word(m->dtype);
        memcpy(m->own, d->fill.data, m->dtype.size);
        if (word > 1 && m->big_endian != host_big)
            cm_swap_bytes(m->own, m->dtype.size, word);
        if (m->dtype.kind == CM_BOOL && m->own[0] > 1)
            rc = cm_error_set(err, CM_EDATA, "fill value of a bool is %u", m->own[0]);
    }
    m->beyond = m->fill;
    return rc;
}

/* ---- storage --------------------------------------------------------------------------------- */

static int64_t nelem_of(const maker *m)
{
    return cm_shape_nelem(m->ndim, m->extent);
}

static int contiguous_table(maker *m, cm_table **out, cm_error *err)
{
    int64_t strides[CM_MAX_DIMS];
    uint64_t need;
    if (m->at == CM_H5_UNDEF || !cm_strides_c(m->ndim, m->extent, m->unpacker.size, strides) ||
        !cm_mul_u64((uint64_t)nelem_of(m), m->unpacker.size, &need))
        return cm_error_set(err, CM_EDATA, "array is larger than a file can be");
    if (m->nbytes < need)
        return cm_error_set(err, CM_EDATA, "storage has %" PRIu64 " bytes, %" PRIu64 " are needed",
                            m->nbytes, need);
    return cm_table_new_strided(m->ndim, m->at, strides, m->version.size, out, err);
}

static int compact_table(maker *m, cm_table **out, cm_error *err)
{
    const cm_h5_layout *l = &m->d->layout;
    uint64_t need;
    if (!cm_mul_u64((uint64_t)nelem_of(m), m->unpacker.size, &need) || need > l->nbytes)
        return cm_error_set(err, CM_EDATA, "compact storage has %" PRIu64 " bytes", l->nbytes);
    return cm_table_new_memory(l->data, (size_t)need, l->data_at, out, err);
}

/* "Chunks" of what does not exist: as planners like them, not too large. */
static void shrink_chunk(maker *m)
{
    int64_t cells = 1;
    for (int i = m->ndim - 1; i >= 0; i--) {
        int64_t room = NOWHERE_CELLS / cells;
        m->chunk[i] = cm_max_i64(1, cm_min_i64(m->extent[i], room));
        cells *= m->chunk[i];
    }
}

static int check_chunks(const maker *m, cm_error *err)
{
    const cm_h5_layout *l = &m->d->layout;
    if (l->ndim != m->d->space.ndim)
        return cm_error_set(err, CM_EDATA, "chunks have %d dimensions, the array %d", l->ndim,
                            m->d->space.ndim);
    if (l->element != m->d->type.size)
        return cm_error_set(err, CM_EDATA, "chunks have cells of %u bytes, the type %u", l->element,
                            m->d->type.size);
    return 0;
}

static int chunked_table(maker *m, cm_table **out, cm_error *err)
{
    const cm_h5_dataset *d = m->d;
    char name[80] = "";
    cm_h5_chunks_spec spec = {.file = m->s->file,
                              .ndim = m->ndim,
                              .index_ndim = d->space.ndim - d->inner_ndim,
                              .nlengths = d->space.ndim,
                              .shape = (const int64_t *)d->space.dims,
                              .outer = m->whole,
                              .chunk = (const int64_t *)d->layout.chunk,
                              .max = d->space.max,
                              .chunk_nbytes = d->type.size,
                              .addr = d->layout.addr,
                              .single_nbytes = d->layout.single_nbytes,
                              .single_mask = d->layout.single_mask,
                              .index = d->layout.index,
                              .single_filtered = d->layout.single_filtered,
                              .edges_unfiltered = d->layout.edges_unfiltered,
                              .nfilters = d->nfilters,
                              .unknown_name = name};
    bool optional = true;
    for (int i = d->nfilters - 1; i >= 0; i--)
        if (!cm_h5_filter_known(&d->filters[i])) {
            spec.unknown |= UINT32_C(1) << i;
            optional = optional && d->filters[i].flags & 1;
            cm_h5_filter_name(&d->filters[i], name, sizeof name);
        }
    if (spec.unknown && !optional)
        return cm_error_set(err, CM_EUNSUP, "uses %s", name);
    for (int i = 0; i < d->space.ndim; i++)
        if (!cm_mul_u64(spec.chunk_nbytes, d->layout.chunk[i], &spec.chunk_nbytes))
            return cm_error_set(err, CM_EDATA, "a chunk is larger than a file can be");
    int rc = cm_h5_chunks_new(&spec, out, err);
    /* Unknown filters that every chunk has skipped do not matter; to know, the index is read. */
    if (rc == 0 && spec.unknown) {
        rc = cm_h5_chunks_load(*out, err);
        if (rc)
            (*out)->free(*out);
    }
    return rc;
}

/* Filters that are not known are left out: chunked_table has seen to it that every chunk skips
 * them. */
static int append_filters(const maker *m, cm_chain *chain, cm_error *err)
{
    int rc = 0;
    for (int i = 0; rc == 0 && i < m->d->nfilters; i++) {
        cm_codec *stage = NULL;
        if (!cm_h5_filter_known(&m->d->filters[i]))
            continue;
        rc = cm_h5_filter_codec(&m->d->filters[i], m->d->stored_size, &stage, err);
        if (rc == 0)
            rc = cm_chain_append(chain, stage, err);
    }
    return rc ? rc
              : cm_h5_filters_note(m->d->filters, m->d->nfilters, m->d->stored_size, chain, err);
}

static bool same_filters(const cm_h5_dataset *a, const cm_h5_dataset *b)
{
    if (a->nfilters != b->nfilters || a->stored_size != b->stored_size)
        return false;
    for (int i = 0; i < a->nfilters; i++) {
        const cm_h5_filter *x = &a->filters[i], *y = &b->filters[i];
        if (x->id != y->id || x->flags != y->flags || x->nvalues != y->nvalues ||
            (x->nvalues && memcmp(x->raw, y->raw, 4 * (size_t)x->nvalues) != 0))
            return false;
    }
    return true;
}

/* The codecs of its cells. Most variables of a file are stored as the one before: they share a
 * chain. */
static int make_chain(const maker *m, cm_chain **out, cm_error *err)
{
    cm_h5_scan *s = m->s;
    const cm_chain *last = s->chain;
    bool chunked = m->d->layout.cls == CM_H5_CHUNKED && !m->d->space.null;
    const cm_h5_dataset *filtered = chunked && m->d->nfilters ? m->d : NULL;
    cm_array_codec a2b = m->unpacks ? CM_A2B_CUSTOM : CM_A2B_BYTES;
    bool big = m->big_endian && !m->unpacks;
    if (last && last->a2b == a2b && last->big_endian == big && last->ndim == m->ndim &&
        cm_dtype_equal(last->dtype, m->stored) && !filtered == !s->filtered &&
        (!filtered || same_filters(filtered, s->filtered)) &&
        (m->ndim == 0 || memcmp(last->shape, m->chunk, (size_t)m->ndim * sizeof *m->chunk) == 0)) {
        *out = cm_chain_ref(s->chain);
        return 0;
    }
    int rc = cm_chain_new(m->stored, m->ndim, m->chunk, out, err);
    if (rc)
        return rc;
    if (m->unpacks)
        (*out)->a2b = CM_A2B_CUSTOM;
    (*out)->big_endian = big;
    rc = filtered ? append_filters(m, *out, err) : 0;
    if (rc) {
        cm_chain_unref(*out);
        *out = NULL;
        return rc;
    }
    cm_chain_unref(s->chain);
    free(s->chain_text);
    s->chain = cm_chain_ref(*out);
    s->chain_text = NULL;
    s->filtered = filtered;
    return 0;
}

static int choose_table(maker *m, cm_table **out, cm_error *err)
{
    const cm_h5_dataset *d = m->d;
    bool chunked = d->layout.cls == CM_H5_CHUNKED && !d->space.null;
    int rc = chunked ? check_chunks(m, err) : 0;
    if (rc)
        return rc;
    int64_t nelem = nelem_of(m);
    if (nelem < 0)
        return cm_error_set(err, CM_ELIMIT, "array has more than 2^63 cells");
    for (int i = 0; i < m->ndim; i++)
        m->chunk[i] = chunked ? (int64_t)d->layout.chunk[i] : cm_max_i64(1, m->extent[i]);
    bool empty = nelem == 0 || m->unpacker.used == 0 || d->space.null;
    bool nowhere = d->layout.cls != CM_H5_COMPACT && d->layout.addr == CM_H5_UNDEF && !d->external;
    if (empty || nowhere) {
        if (!chunked)
            shrink_chunk(m);
        return cm_h5_nowhere_new(out, err);
    }
    return chunked                          ? chunked_table(m, out, err)
           : d->layout.cls == CM_H5_COMPACT ? compact_table(m, out, err)
                                            : contiguous_table(m, out, err);
}

/* ---- array ----------------------------------------------------------------------------------- */

static int describe_storage(maker *m, cm_error *err)
{
    char name[96];
    cm_h5_scan *s = m->s;
    bool chunked = m->d->layout.cls == CM_H5_CHUNKED && !m->d->space.null;
    if (!s->chain_text && !(s->chain_text = cm_chain_text(s->chain, err)))
        return CM_ENOMEM;
    return cm_variable_set_storage(m->v, m->ndim, chunked ? m->chunk : NULL, NULL, s->chain_text,
                                   cm_h5_type_name(&m->d->type, name, sizeof name),
                                   !chunked && !m->unpacks, err);
}

/* The axes of a source of a virtual dataset become those of that dataset. */
static int lift(maker *m, cm_table **table, cm_error *err)
{
    int64_t whole[CM_MAX_DIMS], chunk[CM_MAX_DIMS], strides[CM_MAX_DIMS];
    const int64_t *own = NULL;
    uint64_t offset, limit;
    bool strided = cm_table_is_strided(*table, &offset, &own, &limit);
    for (int i = 0; i < m->lifted_ndim; i++) {
        int from = m->from[i];
        whole[i] = from < 0 ? 1 : m->whole[from];
        chunk[i] = from < 0 ? 1 : m->chunk[from];
        strides[i] = strided && from >= 0 ? own[from] : 0;
    }
    cm_table *old = *table;
    int rc = strided ? cm_table_new_strided(m->lifted_ndim, offset, strides, limit, table, err)
                     : cm_h5_lifted_table_new(old, m->lifted_ndim, m->from, table, err);
    if (rc) {
        *table = old;
        return rc;
    }
    if (strided)
        old->free(old);
    m->ndim = m->lifted_ndim;
    memcpy(m->whole, whole, sizeof whole);
    memcpy(m->chunk, chunk, sizeof chunk);
    return 0;
}

static int make_chunked(maker *m, cm_array **out, cm_error *err)
{
    const cm_h5_dataset *d = m->d;
    cm_h5_file *f = m->s->file;
    cm_table *table = NULL;
    cm_chain *chain = NULL;
    int rc = choose_table(m, &table, err);
    if (rc)
        return rc;
    if (m->from)
        rc = lift(m, &table, err);
    if (rc == 0)
        rc = make_chain(m, &chain, err);
    cm_h5_unpacker *unpacker = NULL;
    if (rc == 0 && m->unpacks)
        rc = cm_h5_unpacker_new(&m->unpacker, &unpacker, err);
    if (rc == 0 && m->v)
        rc = describe_storage(m, err);
    if (rc) {
        table->free(table);
        cm_chain_unref(chain);
        cm_h5_unpacker_free(unpacker);
        return rc;
    }
    cm_chunked_spec spec = {.dtype = m->dtype,
                            .ndim = m->ndim,
                            .shape = m->whole,
                            .chunk = m->chunk,
                            .fill = m->fill,
                            .chain = chain,
                            .table = table,
                            .store = m->store,
                            .key = m->key,
                            .version = m->version,
                            .label = f->uri,
                            .path = m->v ? m->v->path : d->name,
                            .unpack = m->unpacks ? cm_h5_unpack : NULL,
                            .owner = unpacker,
                            .owner_release = cm_h5_unpacker_free};
    rc = cm_chunked_new(&spec, out, err);
    if (rc)
        cm_h5_unpacker_free(unpacker);
    return rc;
}

/* Where the extent ends at a chunk's end, what lies beyond is simply chunks that were never
 * written; their fill must be the same. */
static bool ends_with_chunks(const maker *m)
{
    const cm_h5_dataset *d = m->d;
    for (int i = 0; i < m->ndim; i++)
        if (m->shape[i] != m->extent[i] &&
            (d->layout.cls != CM_H5_CHUNKED || d->layout.ndim != d->space.ndim ||
             m->extent[i] % (int64_t)d->layout.chunk[i] != 0))
            return false;
    return d->fill.user;
}

/* One slot's rows, [*row, *row + m->extent[0]), as an array. */
static int slot_array(maker *m, const cm_h5_slot *slot, uint64_t row_nbytes, int64_t nrows,
                      int64_t *row, cm_array **out, cm_error *err)
{
    cm_h5_file *f = m->s->file;
    char *key = NULL;
    bool last = slot->nbytes / row_nbytes >= (uint64_t)(nrows - *row);
    if (!last && slot->nbytes % row_nbytes != 0)
        return cm_error_set(err, CM_EUNSUP,
                            "part of the data in the external file %s ends inside a row",
                            slot->name);
    f->elsewhere = true;
    int rc = cm_h5_sibling(f, slot->name, &m->store, &key, err);
    cm_store *store = m->store;
    if (rc == 0)
        rc = store->vt->stat(store, key, &m->version, err);
    if (rc == CM_ENOTFOUND || rc == CM_EIO) {
        cm_error_set(err, CM_EUNSUP, "data are in the external file %s, which is not there",
                     slot->name);
        rc = CM_EUNSUP;
    }
    if (rc == 0) {
        m->key = key;
        m->at = slot->offset;
        m->nbytes = slot->nbytes;
        if (m->ndim)
            m->extent[0] = last ? nrows - *row : (int64_t)(slot->nbytes / row_nbytes);
        memcpy(m->whole, m->extent, sizeof m->whole);
        *row += m->ndim ? m->extent[0] : 1;
        rc = make_chunked(m, out, err);
    }
    m->store = f->store;
    m->key = f->key;
    cm_store_unref(store);
    free(key);
    return rc;
}

/* The slots side by side. */
static int external_array(maker *m, cm_array **out, cm_error *err)
{
    const cm_h5_dataset *d = m->d;
    int64_t nrows = m->ndim ? m->extent[0] : 1, row = 0, nelem = nelem_of(m);
    int64_t extent[CM_MAX_DIMS];
    uint64_t row_nbytes;
    memcpy(extent, m->extent, sizeof extent);
    if (nelem <= 0) {
        memcpy(m->whole, m->extent, sizeof m->whole);
        return make_chunked(m, out, err);
    }
    if (!cm_mul_u64((uint64_t)(nelem / nrows), m->unpacker.size, &row_nbytes))
        return cm_error_set(err, CM_EDATA, "array is larger than a file can be");
    cm_array **parts = cm_calloc(d->nslots + 1u, sizeof *parts, err);
    if (!parts)
        return CM_ENOMEM;
    int rc = 0;
    size_t n = 0;
    for (unsigned i = 0; rc == 0 && i < d->nslots && row < nrows; i++) {
        if (d->slots[i].nbytes == 0)
            continue;
        rc = slot_array(m, &d->slots[i], row_nbytes, nrows, &row, &parts[n], err);
        n += rc == 0;
    }
    if (rc == 0 && row < nrows)
        rc = cm_error_set(err, CM_EDATA, "external files have %" PRId64 " of %" PRId64 " rows", row,
                          nrows);
    if (rc == 0)
        rc = n == 1 ? 0 : cm_array_concat(parts, n, 0, out, err);
    if (rc == 0 && n == 1)
        *out = cm_array_ref(parts[0]);
    for (size_t i = 0; i < n; i++)
        cm_array_unref(parts[i]);
    free(parts);
    memcpy(m->extent, extent, sizeof extent);
    return rc;
}

static int make_any_array(maker *m, cm_array **out, cm_error *err)
{
    const cm_h5_file *f = m->s->file;
    int rc = choose_cells(m, err);
    if (rc == 0)
        rc = choose_fill(m, err);
    if (rc)
        return rc;
    m->store = f->store;
    m->key = f->key;
    m->version = f->version;
    m->nbytes = m->d->layout.nbytes;
    if (m->d->layout.addr == CM_H5_UNDEF || !cm_add_u64(f->base, m->d->layout.addr, &m->at))
        m->at = CM_H5_UNDEF;
    if (m->d->grows)
        return cm_error_set(err, CM_EUNSUP,
                            "virtual dataset that grows, in a file that another one leads to");
    if ((m->d->layout.cls == CM_H5_VIRTUAL || m->from) && m->wording)
        return cm_error_set(err, CM_EUNSUP,
                            "virtual dataset of values that have others of variable size in them");
    if (m->d->layout.cls == CM_H5_VIRTUAL) {
        bool extends = memcmp(m->shape, m->extent, (size_t)m->ndim * sizeof *m->shape) != 0;
        bool same = !m->from || m->lifted_ndim == m->ndim;
        for (int i = 0; m->from && same && i < m->ndim; i++)
            same = m->from[i] == i;
        if (m->ndim != m->d->space.ndim || m->ndim == 0)
            return cm_error_set(err, CM_EUNSUP, "virtual dataset of characters, or without axes");
        if (!same)
            return cm_error_set(err, CM_EUNSUP,
                                "virtual dataset whose source is virtual and has other axes");
        rc = cm_h5_virtual_new(m->s, m->d, m->dtype, m->fill, m->v ? m->v->path : m->d->name, out,
                               err);
        return rc || !extends ? rc : cm_h5_extended_new(*out, m->shape, m->beyond, out, err);
    }
    if (m->from && m->d->external)
        return cm_error_set(err, CM_EUNSUP, "virtual dataset whose source is in external files");
    if (m->d->external && m->d->layout.cls == CM_H5_CONTIGUOUS) {
        rc = external_array(m, out, err);
        return rc || memcmp(m->shape, m->extent, (size_t)m->ndim * sizeof *m->shape) == 0
                   ? rc
                   : cm_h5_extended_new(*out, m->shape, m->beyond, out, err);
    }
    bool shorter = memcmp(m->shape, m->extent, (size_t)m->ndim * sizeof *m->shape) != 0;
    bool extend = shorter && !ends_with_chunks(m);
    memcpy(m->whole, extend ? m->extent : m->shape, sizeof m->whole);
    rc = make_chunked(m, out, err);
    return rc || !extend ? rc : cm_h5_extended_new(*out, m->shape, m->beyond, out, err);
}

static int make_array(maker *m, cm_array **out, cm_error *err)
{
    int rc = make_any_array(m, out, err);
    cm_h5_moves_unref(m->moves); /* the array has its own references */
    cm_record_unref(m->sequence);
    cm_h5_wording_unref(m->wording);
    return rc;
}

int cm_h5_lifted_array(cm_h5_scan *s, const cm_h5_dataset *d, int ndim, const int *from,
                       cm_array **out, cm_error *err)
{
    maker m = {.s = s, .d = d, .lifted_ndim = ndim, .from = from, .ndim = d->space.ndim};
    *out = NULL;
    if (cm_h5_is_char_array(d) || d->space.null)
        return cm_error_set(err, CM_EUNSUP,
                            "virtual dataset whose source is an array of characters");
    for (int i = 0; i < m.ndim; i++)
        m.shape[i] = m.extent[i] = (int64_t)d->space.dims[i];
    return make_array(&m, out, err);
}

/* ---- variable -------------------------------------------------------------------------------- */

/* netCDF prefixes the name of a variable that is called like a dimension but is not its
 * coordinate. */
static const char *outside_name(const cm_h5_dataset *d)
{
    static const char prefix[] = "_nc4_non_coord_";
    const char *name = d->name + sizeof prefix - 1;
    if (strncmp(d->name, prefix, sizeof prefix - 1) != 0 || !*name)
        return d->name;
    for (const cm_h5_dataset *x = d->group->first; x; x = x->next)
        if (strcmp(x->name, name) == 0 && !x->hidden && !(x->is_scale && x->no_variable))
            return d->name; /* taken */
    for (const cm_h5_group *x = d->group->first_child; x; x = x->next)
        if (strcmp(x->name, name) == 0)
            return d->name;
    return name;
}

static int set_axes(maker *m, cm_error *err)
{
    const cm_h5_dataset *d = m->d;
    m->ndim = d->has_space && !d->space.null ? d->space.ndim : 0;
    if (d->has_space && d->space.null) { /* no shape and no cells: an axis of length 0 */
        m->ndim = m->v->ndim = 1;
        m->extent[0] = m->shape[0] = m->v->shape[0] = 0;
        return 0;
    }
    if (m->ndim && cm_h5_is_char_array(d))
        m->ndim--;
    m->v->ndim = m->ndim;
    int rc = 0;
    for (int i = 0; rc == 0 && i < m->ndim; i++) {
        const cm_h5_dimension *x = d->dimensions ? d->dimensions[i] : NULL;
        m->extent[i] = (int64_t)d->space.dims[i];
        m->shape[i] = x ? x->length : m->extent[i];
        m->v->shape[i] = m->shape[i];
        if (x)
            rc = cm_variable_set_dimension(m->v, i, x->name, err);
    }
    return rc;
}

int cm_h5_variable_make(cm_h5_scan *s, const cm_h5_dataset *d, cm_group *g, cm_json_doc *doc,
                        cm_error *err)
{
    maker m = {.s = s, .d = d};
    int rc = cm_group_add_variable(g, outside_name(d), &m.v, err);
    if (rc == 0)
        rc = set_axes(&m, err);
    for (const cm_h5_item *a = d->attributes.first; rc == 0 && a; a = a->next) {
        const cm_json *value = cm_h5_value_in(s, a->value, doc);
        rc = value ? cm_variable_add_attribute(m.v, a->name, value, a->dtype, err)
                   : cm_error_set(err, CM_ENOMEM, "out of memory for attributes");
    }
    if (rc)
        return rc;
    cm_error why;
    why.code = 0;
    cm_array *array = NULL;
    if (d->problem)
        why = *d->problem;
    else if (d->link_file && !d->scan)
        cm_error_set(&why, CM_EUNSUP, "external link to %s in the file %s", d->link_path,
                     d->link_file);
    else if (make_array(&m, &array, &why) == 0) {
        cm_variable_set_array(m.v, array);
        return 0;
    }
    if (!cm_h5_is_local(why.code)) {
        if (err)
            *err = why;
        return why.code;
    }
    cm_error_object(&why, s->file->uri);
    cm_error_variable(&why, m.v->path);
    return cm_variable_set_problem(m.v, &why, err);
}
