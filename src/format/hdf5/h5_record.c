/* format/hdf5/h5_record.c: compounds, and everything else of fixed size, as cells of memory.
 *
 *     stored     | a: int16 BE |  gap  | b: char[5] | gap | c: {x, y}[2] |
 *     memory     | a: int16 | b: bytes5 | c: {x, y}[2] |
 *
 * A compound in a file has its members anywhere, each in its own byte order; a record in memory has
 * them one behind the other, native. The type is compiled once into a list of moves (from, to,
 * how), one for each member, nested compounds with lists of their own; reading runs each move over
 * all the cells of a block. Where nothing has to be moved (no gaps, native numbers: what h5py and
 * netCDF write mostly) the list says so, and the cells are read as they are.
 *
 * Members must have a fixed size: compounds with variable-length strings and sequences in them, or
 * references, whose text has none, are h5_worded.c's and do not come here. Fixed strings stay
 * bytes, cut at their padding and filled up with NULs, which is what numpy's S is. Enums are their
 * numbers.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "format/hdf5/h5_record.h"
#include "nd/copy.h"
#include "text/utf8.h"

enum how { COPY, SWAP, BOOL, NARROW, TEXT, INNER };

typedef struct move {
    uint8_t how, padding;
    uint32_t from, to;  /* of the first cell, in the stored cell and in memory */
    uint32_t count;     /* cells, one behind the other on both sides */
    uint32_t size, out; /* bytes of one, stored and in memory */
    uint32_t word;      /* SWAP */
    cm_h5_narrow narrow;
    const cm_h5_moves *inner; /* ref'd */
} move;

struct cm_h5_moves {
    uint32_t refcount; /* atomic */
    uint32_t stored;
    bool plain;
    cm_dtype dtype; /* its record is ref'd */
    size_t n;
    move *items;
};

const cm_h5_moves *cm_h5_moves_ref(const cm_h5_moves *m)
{
    if (m)
        __atomic_add_fetch((uint32_t *)(uintptr_t)&m->refcount, 1, __ATOMIC_RELAXED);
    return m;
}

void cm_h5_moves_unref(const cm_h5_moves *m)
{
    if (!m || __atomic_sub_fetch((uint32_t *)(uintptr_t)&m->refcount, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (size_t i = 0; i < m->n; i++)
        cm_h5_moves_unref(m->items[i].inner);
    cm_record_unref(m->dtype.record);
    free(m->items);
    free((void *)(uintptr_t)m);
}

cm_dtype cm_h5_moves_dtype(const cm_h5_moves *m)
{
    return m->dtype;
}

uint32_t cm_h5_moves_stored(const cm_h5_moves *m)
{
    return m->stored;
}

bool cm_h5_moves_plain(const cm_h5_moves *m)
{
    return m->plain;
}

/* ---- compiling ------------------------------------------------------------------------------- */

cm_h5_narrow cm_h5_narrow_of(const cm_h5_type *t)
{
    return (cm_h5_narrow){.size = t->size,
                          .out = cm_dtype_of(t->kind, 0).size,
                          .bits = t->narrow_bits,
                          .shift = t->narrow_shift,
                          .is_signed = !cm_kind_is_unsigned(t->kind),
                          .big_endian = t->big_endian};
}

/* h5py marks times "NUMPY:<M8[ns]": 8 bytes that count a unit. */
cm_dtype cm_h5_opaque_dtype(const cm_h5_type *t, bool *big_endian)
{
    char tag[32] = "", order = 0, kind = 0, unit[12] = "", end = 0;
    unsigned scale = 1;
    *big_endian = false;
    if (t->size == 8 && t->tag_nbytes < sizeof tag) {
        memcpy(tag, t->tag, t->tag_nbytes);
        bool counted =
            sscanf(tag, "NUMPY:%c%c8[%9u%11[a-zA-Z]%c", &order, &kind, &scale, unit, &end) == 5;
        if (!counted) {
            scale = 1;
            counted = sscanf(tag, "NUMPY:%c%c8[%11[a-zA-Z]%c", &order, &kind, unit, &end) == 4;
        }
        int number = cm_time_unit_named(unit);
        bool time = counted && end == ']' && (order == '<' || order == '>') && number > 0 &&
                    (kind == 'M' || kind == 'm') && scale > 0 && strchr(tag, ']')[1] == 0;
        if (time) {
            *big_endian = order == '>';
            return cm_dtype_time(kind == 'M' ? CM_DATETIME64 : CM_TIMEDELTA64, (cm_time_unit)number,
                                 scale);
        }
    }
    return cm_dtype_of(CM_RAW, t->size);
}

static int compile(const cm_h5_type *t, cm_h5_moves **out, cm_error *err);

/* The cells of a type that is no array: their dtype, and how to move one. */
static int cell_move(const cm_h5_type *t, move *m, cm_dtype *dtype, cm_error *err)
{
    bool host_big = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__, big_endian = t->big_endian;
    m->size = t->size;
    m->how = COPY;
    if (t->why[0])
        return cm_error_set(err, CM_EUNSUP, "HDF5 %s", t->why);
    if (t->cls == CM_H5_COMPOUND && t->kind == CM_NONE) {
        cm_h5_moves *inner = NULL;
        int rc = compile(t, &inner, err);
        if (rc)
            return rc;
        m->inner = inner;
        *dtype = inner->dtype;
        m->how = inner->plain ? COPY : INNER;
    } else if (t->cls == CM_H5_STRING) {
        *dtype = cm_dtype_of(CM_BYTES, t->size);
        m->how = TEXT;
        m->padding = t->padding;
        if (t->padding > CM_H5_SPACE_PADDED)
            return cm_error_set(err, CM_EUNSUP, "strings with padding %u", t->padding);
        if (t->padding == CM_H5_NUL_PADDED || t->size == 1)
            m->how = COPY;
    } else if (t->cls == CM_H5_OPAQUE) {
        *dtype = cm_h5_opaque_dtype(t, &big_endian);
    } else if (t->kind == CM_NONE) {
        char name[96];
        return cm_error_set(err, CM_EUNSUP, "HDF5 type %s, which has no fixed size",
                            t->vlen_string ? "H5T_STRING (variable)"
                                           : cm_h5_type_name(t, name, sizeof name));
    } else {
        *dtype = cm_dtype_of(t->kind, 0);
    }
    m->out = dtype->size;
    m->word = cm_dtype_word(*dtype);
    if (t->kind == CM_BOOL)
        m->how = BOOL;
    else if (t->narrow_bits) {
        m->how = NARROW;
        m->narrow = cm_h5_narrow_of(t);
    } else if (m->how == COPY && !m->inner && m->word > 1 && big_endian != host_big) {
        m->how = SWAP;
    }
    return 0;
}

static int add_axis(cm_field *f, int64_t *shape, uint64_t length, cm_error *err)
{
    if (f->ndim == CM_MAX_DIMS)
        return cm_error_set(err, CM_EUNSUP, "array type of more than %d dimensions", CM_MAX_DIMS);
    shape[f->ndim++] = (int64_t)length;
    return 0;
}

/* One member, or the only cell of a type that is no compound. */
static int member_move(const cm_h5_member *member, move *m, cm_field *f, int64_t *shape,
                       cm_error *err)
{
    cm_h5_type t = member->type, base;
    int rc = 0;
    f->ndim = 0;
    f->shape = shape;
    for (int i = 0; rc == 0 && i < member->ndim; i++)
        rc = add_axis(f, shape, member->lengths[i], err);
    while (rc == 0 && t.cls == CM_H5_ARRAY) {
        for (int i = 0; rc == 0 && i < t.array_ndim; i++)
            rc = add_axis(f, shape, cm_load_le32(t.array_lengths + 4 * i), err);
        if (rc == 0)
            rc = cm_h5_type_parse_base(&t, &base, err);
        t = base;
    }
    if (rc == 0)
        rc = cell_move(&t, m, &f->dtype, err);
    uint64_t count = 1, whole;
    for (int i = 0; rc == 0 && i < f->ndim; i++)
        if (shape[i] == 0 || !cm_mul_u64(count, (uint64_t)shape[i], &count))
            rc = cm_error_set(err, CM_EDATA, "array type of length 0");
    if (rc == 0 && (!cm_mul_u64(count, t.size, &whole) || whole != member->nbytes))
        rc = cm_error_set(err, CM_EDATA, "array type of %u bytes, its elements have %u",
                          member->nbytes, t.size);
    m->count = (uint32_t)count;
    m->from = member->offset;
    return rc;
}

/* Every member's move and field. */
static int members(const cm_h5_type *t, cm_h5_moves *out, cm_field *fields, int64_t *shapes,
                   cm_error *err)
{
    cm_h5_cursor c = cm_h5_type_members(t);
    cm_h5_member member;
    for (unsigned i = 0; i < t->nmembers; i++) {
        int rc = cm_h5_type_next_member(t, &c, &member, err);
        if (rc)
            return rc;
        fields[i].name = member.name;
        out->n = i + 1u;
        rc = cm_utf8_valid(member.name, strlen(member.name))
                 ? 0
                 : cm_error_set(err, CM_EUNSUP, "a name that is not UTF-8");
        if (rc == 0)
            rc = member_move(&member, &out->items[i], &fields[i], shapes, err);
        if (rc) {
            cm_error_prefix(err, "compound's member \"%.64s\"", member.name);
            return rc;
        }
        int64_t *own = cm_memdup(shapes, (size_t)fields[i].ndim * sizeof *shapes + 1, err);
        if (!own)
            return CM_ENOMEM;
        fields[i].shape = own;
    }
    return 0;
}

/* Where the fields are in memory, and whether that is where the members are. */
static void place(cm_h5_moves *m)
{
    const cm_record *r = m->dtype.record;
    m->plain = r->nbytes == m->stored;
    for (size_t i = 0; i < m->n; i++) {
        m->items[i].to = r->fields[i].offset;
        m->plain = m->plain && m->items[i].how == COPY && m->items[i].from == m->items[i].to;
    }
}

static int compile(const cm_h5_type *t, cm_h5_moves **out, cm_error *err)
{
    int64_t shapes[CM_MAX_DIMS];
    cm_record *record = NULL;
    cm_field *fields = cm_calloc(t->nmembers + 1u, sizeof *fields, err);
    cm_h5_moves *m = cm_calloc(1, sizeof *m, err);
    int rc = fields && m ? 0 : CM_ENOMEM;
    if (m)
        m->refcount = 1;
    if (rc == 0) {
        m->stored = t->size;
        m->items = cm_calloc(t->nmembers + 1u, sizeof *m->items, err);
        rc = m->items ? members(t, m, fields, shapes, err) : CM_ENOMEM;
    }
    if (rc == 0)
        rc = cm_record_new(fields, t->nmembers, &record, err);
    if (rc == 0) {
        m->dtype = cm_dtype_record(CM_RECORD, record);
        place(m);
    }
    for (unsigned i = 0; fields && i < t->nmembers; i++)
        if (fields[i].shape != shapes)
            free((void *)(uintptr_t)fields[i].shape);
    free(fields);
    if (rc) {
        cm_h5_moves_unref(m);
        return rc;
    }
    *out = m;
    return 0;
}

int cm_h5_moves_new(const cm_h5_type *t, cm_h5_moves **out, cm_error *err)
{
    *out = NULL;
    if (t->size > CM_H5_MAX_CELL)
        return cm_error_set(err, CM_ELIMIT, "cells of %u bytes", t->size);
    if (t->cls == CM_H5_COMPOUND && t->kind == CM_NONE && !t->why[0])
        return compile(t, out, err);
    cm_h5_moves *m = cm_calloc(1, sizeof *m, err);
    if (!m)
        return CM_ENOMEM;
    m->refcount = 1;
    m->stored = t->size;
    m->items = cm_calloc(1, sizeof *m->items, err);
    m->n = 1;
    int rc = m->items ? cell_move(t, m->items, &m->dtype, err) : CM_ENOMEM;
    if (rc) {
        m->n = m->items ? 1 : 0;
        m->dtype = (cm_dtype){0};
        cm_h5_moves_unref(m);
        return rc;
    }
    m->items->count = 1;
    m->plain = m->items->how == COPY;
    *out = m;
    return 0;
}

/* ---- running --------------------------------------------------------------------------------- */

void cm_h5_widen(const cm_h5_narrow *u, const uint8_t *stored, uint8_t *cell)
{
    uint64_t v = 0;
    for (uint32_t k = 0; k < u->size; k++)
        v |= (uint64_t)stored[u->big_endian ? u->size - 1 - k : k] << 8 * k;
    uint64_t mask = (UINT64_C(1) << u->bits) - 1; /* bits < 64: it would not be narrow */
    v = v >> u->shift & mask;
    if (u->is_signed && v >> (u->bits - 1))
        v |= ~mask;
    const uint8_t v8 = (uint8_t)v;
    const uint16_t v16 = (uint16_t)v;
    const uint32_t v32 = (uint32_t)v;
    const void *native = u->out == 1   ? (const void *)&v8
                         : u->out == 2 ? &v16
                         : u->out == 4 ? (const void *)&v32
                                       : &v;
    memcpy(cell, native, u->out);
}

/* The cells of one member of one record. */
static int run_cells(const move *m, const uint8_t *from, uint8_t *to, cm_error *err)
{
    if (m->how == INNER)
        return cm_h5_moves_run(m->inner, from, to, m->count, err);
    for (uint32_t k = 0; k < m->count; k++, from += m->size, to += m->out) {
        if (m->how == BOOL && *from > 1)
            return cm_error_set(err, CM_EDATA, "a bool has the value %u", *from);
        if (m->how == NARROW) {
            cm_h5_widen(&m->narrow, from, to);
            continue;
        }
        size_t n = m->how == TEXT ? cm_h5_string_length(from, m->size, m->padding) : m->size;
        memcpy(to, from, n);
        memset(to + n, 0, m->size - n);
    }
    return 0;
}

int cm_h5_moves_run(const cm_h5_moves *moves, const uint8_t *stored, void *dst, size_t n,
                    cm_error *err)
{
    size_t step = moves->dtype.size;
    if (moves->plain) {
        memcpy(dst, stored, n * step);
        return 0;
    }
    for (size_t i = 0; i < moves->n; i++) {
        const move *m = &moves->items[i];
        const uint8_t *from = stored + m->from;
        uint8_t *to = (uint8_t *)dst + m->to;
        size_t nbytes = (size_t)m->count * m->size;
        int rc = 0;
        for (size_t k = 0; rc == 0 && k < n; k++, from += moves->stored, to += step) {
            if (m->how == COPY || m->how == SWAP)
                memcpy(to, from, nbytes);
            else
                rc = run_cells(m, from, to, err);
            if (m->how == SWAP)
                cm_swap_bytes(to, nbytes, m->word);
        }
        if (rc)
            return rc;
    }
    return 0;
}
