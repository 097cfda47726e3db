/* format/hdf5/h5_datatype.c: datatype messages.
 *
 * A datatype is taken apart as far as cells can be read: integers, IEEE floats, strings, enums (as
 * their numbers), bit fields (as unsigned integers), arrays of these (as more axes), complex
 * numbers, and the two conventions of h5py for what HDF5 lacked (bool is an enum FALSE = 0, TRUE =
 * 1 over int8; complex is a compound of two floats r and i). Of compounds, sequences and arrays the
 * place of what they are made of is kept, for those who want it (h5_record.c, h5_value.c).
 * Everything else is parsed to its end, so that what follows it is found, and gets a `why` that
 * names it. Nested types are followed to 16 levels.
 */
#include <stdio.h>

#include "format/hdf5/h5_message.h"

#define MAX_NESTING 16

static int parse(cm_h5_cursor *c, int depth, cm_h5_type *out, cm_error *err);

static int malformed(cm_error *err, const char *what)
{
    return cm_error_set(err, CM_EDATA, "datatype is malformed (%s)", what);
}

static cm_kind integer_kind(uint32_t size, bool is_signed)
{
    switch (size) { /* odd sizes become the next larger one, as libhdf5's native types are */
    case 1: return is_signed ? CM_INT8 : CM_UINT8;
    case 2: return is_signed ? CM_INT16 : CM_UINT16;
    case 3:
    case 4: return is_signed ? CM_INT32 : CM_UINT32;
    case 5:
    case 6:
    case 7:
    case 8: return is_signed ? CM_INT64 : CM_UINT64;
    default: return CM_NONE;
    }
}

static int parse_fixed(cm_h5_cursor *c, uint32_t bits, cm_h5_type *t, cm_error *err)
{
    uint16_t offset = cm_h5_u16(c), precision = cm_h5_u16(c);
    if (c->bad)
        return malformed(err, "integer");
    t->big_endian = bits & 1;
    t->kind = integer_kind(t->size, t->cls == CM_H5_FIXED && bits >> 3 & 1);
    bool fits = precision > 0 && (uint32_t)precision + offset <= 8 * t->size;
    if (t->kind == CM_NONE || !fits) {
        t->kind = CM_NONE;
        snprintf(t->why, sizeof t->why, "%u-bit %s at bit %u of %u bytes", precision,
                 t->cls == CM_H5_FIXED ? "integer" : "bitfield", offset, t->size);
    } else if (precision != 8 * t->size || cm_dtype_of(t->kind, 0).size != t->size) {
        t->narrow_bits = (uint8_t)precision;
        t->narrow_shift = (uint8_t)offset;
    }
    return 0;
}

static int parse_float(cm_h5_cursor *c, uint32_t bits, cm_h5_type *t, cm_error *err)
{
    uint16_t offset = cm_h5_u16(c), precision = cm_h5_u16(c);
    uint8_t eloc = cm_h5_u8(c), esize = cm_h5_u8(c), mloc = cm_h5_u8(c), msize = cm_h5_u8(c);
    uint32_t bias = cm_h5_u32(c);
    if (c->bad)
        return malformed(err, "float");
    static const struct {
        cm_kind kind;
        uint8_t size, eloc, esize, msize;
        uint32_t bias;
    } ieee[] = {{CM_FLOAT16, 2, 10, 5, 10, 15},
                {CM_FLOAT32, 4, 23, 8, 23, 127},
                {CM_FLOAT64, 8, 52, 11, 52, 1023}};
    bool vax = bits >> 6 & 1, implied = (bits >> 4 & 3) == 2;
    uint32_t sign = bits >> 8 & 0xff;
    t->big_endian = bits & 1;
    for (size_t i = 0; i < 3; i++)
        if (t->size == ieee[i].size && offset == 0 && precision == 8 * t->size && !vax && implied &&
            sign == 8 * t->size - 1 && eloc == ieee[i].eloc && esize == ieee[i].esize &&
            mloc == 0 && msize == ieee[i].msize && bias == ieee[i].bias)
            t->kind = ieee[i].kind;
    if (t->kind == CM_NONE)
        snprintf(t->why, sizeof t->why, "%u-byte float that is not IEEE (%u bits, exponent of %u)",
                 t->size, precision, esize);
    return 0;
}

/* A NUL-terminated name; versions 1 and 2 pad it to a multiple of 8 bytes. */
static const char *take_name(cm_h5_cursor *c, int version)
{
    const uint8_t *end = memchr(c->p, 0, cm_h5_left(c));
    const char *name = (const char *)c->p;
    if (!end) {
        c->bad = true;
        return "";
    }
    size_t n = (size_t)(end - c->p) + 1;
    cm_h5_take(c, version < 3 ? (n + 7) & ~(size_t)7 : n);
    return name;
}

/* What c is at, of a compound of `size` bytes. */
static int take_member(cm_h5_cursor *c, int version, uint32_t size, int depth, cm_h5_member *m,
                       cm_error *err)
{
    size_t offset_width = size < 0x100 ? 1 : size < 0x10000 ? 2 : size < 0x1000000 ? 3 : 4;
    uint64_t cells = 1, nbytes, end;
    m->name = take_name(c, version);
    m->offset = (uint32_t)cm_h5_uint(c, version < 3 ? 4 : offset_width);
    m->ndim = 0;
    if (version == 1) {
        m->ndim = cm_h5_u8(c);
        cm_h5_take(c, 3 + 4 + 4);
        for (int i = 0; i < 4; i++)
            m->lengths[i] = cm_h5_u32(c);
    }
    if (c->bad || m->ndim > 4 || !m->name[0])
        return malformed(err, "compound");
    int rc = parse(c, depth + 1, &m->type, err);
    if (rc)
        return rc;
    for (int i = 0; i < m->ndim; i++)
        if (m->lengths[i] == 0 || !cm_mul_u64(cells, m->lengths[i], &cells))
            return malformed(err, "compound");
    if (!cm_mul_u64(cells, m->type.size, &nbytes) || !cm_add_u64(nbytes, m->offset, &end) ||
        end > size)
        return malformed(err, "member beyond the end of its compound");
    m->nbytes = (uint32_t)nbytes;
    return 0;
}

/* Members have room of their own: what they take together is not more than there is. */
static int parse_compound(cm_h5_cursor *c, uint32_t bits, int version, int depth, cm_h5_type *t,
                          cm_error *err)
{
    unsigned n = bits & 0xffff;
    cm_h5_type part[2] = {0};
    bool complex = n == 2;
    uint64_t total = 0;
    t->nmembers = (uint16_t)n;
    t->version = (uint8_t)version;
    t->members = c->p;
    for (unsigned i = 0; i < n; i++) {
        cm_h5_member m;
        int rc = take_member(c, version, t->size, depth, &m, err);
        if (rc)
            return rc;
        complex = complex && m.ndim == 0 && strcmp(m.name, i == 0 ? "r" : "i") == 0 &&
                  m.offset == i * (t->size / 2);
        t->refers = t->refers || m.type.refers;
        total += m.nbytes;
        if (total > t->size)
            return malformed(err, "members overlap");
        if (i < 2)
            part[i] = m.type;
    }
    t->members_end = c->p;
    complex = complex && part[0].cls == CM_H5_FLOAT && part[0].kind == part[1].kind &&
              part[0].size == part[1].size && part[0].big_endian == part[1].big_endian &&
              t->size == 2 * part[0].size;
    if (complex && part[0].kind == CM_FLOAT32)
        t->kind = CM_COMPLEX64;
    if (complex && part[0].kind == CM_FLOAT64)
        t->kind = CM_COMPLEX128;
    t->big_endian = t->kind && part[0].big_endian;
    if (n == 0)
        snprintf(t->why, sizeof t->why, "compound type without members");
    return 0;
}

cm_h5_cursor cm_h5_type_members(const cm_h5_type *t)
{
    return cm_h5_cursor_of(t->members, (size_t)(t->members_end - t->members));
}

int cm_h5_type_next_member(const cm_h5_type *t, cm_h5_cursor *c, cm_h5_member *out, cm_error *err)
{
    return take_member(c, t->version, t->size, 0, out, err);
}

static int parse_enum(cm_h5_cursor *c, uint32_t bits, int version, int depth, cm_h5_type *t,
                      cm_error *err)
{
    unsigned n = bits & 0xffff;
    cm_h5_type base;
    int rc = parse(c, depth + 1, &base, err);
    if (rc)
        return rc;
    const char *first = "", *second = "";
    t->nnames = (uint16_t)n;
    t->names_padded = version < 3;
    t->names = c->p;
    for (unsigned i = 0; i < n; i++) {
        const char *name = take_name(c, version);
        if (i == 0)
            first = name;
        else if (i == 1)
            second = name;
        if (c->bad)
            return malformed(err, "enum");
    }
    const uint8_t *values = cm_h5_take(c, (uint64_t)n * base.size);
    if (!values || base.size != t->size)
        return malformed(err, "enum");
    t->kind = base.kind;
    t->big_endian = base.big_endian;
    t->narrow_bits = base.narrow_bits;
    t->narrow_shift = base.narrow_shift;
    t->values = values;
    t->base_size = base.size;
    if (base.kind == CM_INT8 && n == 2 && strcmp(first, "FALSE") == 0 && values[0] == 0 &&
        strcmp(second, "TRUE") == 0 && values[1] == 1)
        t->kind = CM_BOOL;
    else if (base.kind == CM_NONE)
        snprintf(t->why, sizeof t->why, "enum type of %.80s", base.why);
    return 0;
}

static int parse_vlen(cm_h5_cursor *c, uint32_t bits, int depth, cm_h5_type *t, cm_error *err)
{
    cm_h5_type base;
    t->array_base = c->p;
    t->array_end = c->end;
    int rc = parse(c, depth + 1, &base, err);
    if (rc)
        return rc;
    t->vlen_string = (bits & 15) == 1;
    t->base_cls = base.cls;
    t->base_size = base.size;
    t->refers = base.refers;
    if (!t->vlen_string && base.why[0])
        snprintf(t->why, sizeof t->why, "variable-length sequence of %.64s", base.why);
    return 0;
}

static int parse_array(cm_h5_cursor *c, int version, int depth, cm_h5_type *t, cm_error *err)
{
    unsigned ndim = cm_h5_u8(c);
    if (version < 3)
        cm_h5_take(c, 3);
    t->array_ndim = (uint8_t)ndim;
    t->array_lengths = c->p;
    cm_h5_take(c, (uint64_t)ndim * (version < 3 ? 8 : 4)); /* lengths, and permutations */
    if (c->bad)
        return malformed(err, "array");
    t->array_base = c->p;
    t->array_end = c->end;
    cm_h5_type base;
    int rc = parse(c, depth + 1, &base, err);
    if (rc)
        return rc;
    t->base_cls = base.cls;
    t->base_size = base.size;
    t->refers = base.refers;
    if (base.why[0])
        snprintf(t->why, sizeof t->why, "array type of %.76s", base.why);
    return 0;
}

static int parse(cm_h5_cursor *c, int depth, cm_h5_type *t, cm_error *err)
{
    memset(t, 0, sizeof *t);
    if (depth > MAX_NESTING)
        return cm_error_set(err, CM_ELIMIT, "datatype is nested more than %d levels", MAX_NESTING);
    uint8_t head = cm_h5_u8(c);
    uint32_t bits = (uint32_t)cm_h5_uint(c, 3);
    int version = head >> 4;
    t->cls = head & 15;
    t->size = cm_h5_u32(c);
    if (c->bad || t->size == 0)
        return malformed(err, "size");
    if (version < 1 || version > 5)
        return cm_error_set(err, CM_EUNSUP, "datatype version %d is not known", version);
    switch (t->cls) {
    case CM_H5_FIXED: return parse_fixed(c, bits, t, err);
    case CM_H5_FLOAT: return parse_float(c, bits, t, err);
    case CM_H5_STRING: t->padding = bits & 15; return 0;
    case CM_H5_TIME:
        cm_h5_take(c, 2);
        snprintf(t->why, sizeof t->why, "time type");
        break;
    case CM_H5_BITFIELD: return parse_fixed(c, bits, t, err);
    case CM_H5_OPAQUE:
        t->tag = c->p;
        t->tag_nbytes = (uint8_t)(bits & 0xff);
        cm_h5_take(c, t->tag_nbytes);
        break;
    case CM_H5_REFERENCE:
        t->reference = bits & 15;
        t->refers = t->reference < 2;
        if (t->reference > 1)
            snprintf(t->why, sizeof t->why, "reference type %u (of HDF5 1.12)", t->reference);
        break;
    case CM_H5_COMPOUND: return parse_compound(c, bits, version, depth, t, err);
    case CM_H5_ENUM: return parse_enum(c, bits, version, depth, t, err);
    case CM_H5_VLEN: return parse_vlen(c, bits, depth, t, err);
    case CM_H5_ARRAY: return parse_array(c, version, depth, t, err);
    case CM_H5_COMPLEX: {
        cm_h5_type base;
        int rc = parse(c, depth + 1, &base, err);
        bool whole = rc == 0 && t->size == 2 * base.size;
        t->big_endian = base.big_endian;
        t->kind = whole && base.kind == CM_FLOAT32   ? CM_COMPLEX64
                  : whole && base.kind == CM_FLOAT64 ? CM_COMPLEX128
                                                     : CM_NONE;
        if (t->kind == CM_NONE)
            snprintf(t->why, sizeof t->why, "complex type of %u bytes", t->size);
        return rc;
    }
    default: return cm_error_set(err, CM_EUNSUP, "datatype class %u is not known", t->cls);
    }
    return c->bad ? malformed(err, "properties") : 0;
}

int cm_h5_type_parse_base(const cm_h5_type *t, cm_h5_type *out, cm_error *err)
{
    cm_h5_cursor c = cm_h5_cursor_of(t->array_base, (size_t)(t->array_end - t->array_base));
    return parse(&c, 1, out, err);
}

const char *cm_h5_type_next_name(const cm_h5_type *t, const uint8_t **names)
{
    const char *name = (const char *)*names;
    size_t n = strlen(name) + 1; /* parse_enum has seen that it ends */
    *names += t->names_padded ? (n + 7) & ~(size_t)7 : n;
    return name;
}

int cm_h5_type_parse(cm_h5_cursor *c, cm_h5_type *out, cm_error *err)
{
    return parse(c, 0, out, err);
}

static void name_of_many(const cm_h5_type *t, char *buf, size_t size)
{
    cm_h5_type base;
    char name[64] = "";
    if (cm_h5_type_parse_base(t, &base, NULL) == 0 && base.cls != CM_H5_VLEN &&
        base.cls != CM_H5_ARRAY)
        cm_h5_type_name(&base, name, sizeof name);
    snprintf(buf, size, "%s%s%s", t->cls == CM_H5_VLEN ? "H5T_VLEN" : "H5T_ARRAY",
             name[0] ? " of " : "", name);
}

const char *cm_h5_type_name(const cm_h5_type *t, char *buf, size_t size)
{
    const char *order = t->big_endian ? "BE" : "LE";
    if (t->why[0])
        snprintf(buf, size, "%s", t->why);
    else if (t->narrow_bits && t->cls != CM_H5_ENUM)
        snprintf(buf, size, "H5T %s of %u bits in %u bytes %s",
                 t->cls == CM_H5_FIXED ? "integer" : "bitfield", t->narrow_bits, t->size, order);
    else if (t->cls == CM_H5_FIXED)
        snprintf(buf, size, "H5T_STD_%c%u%s", cm_kind_is_unsigned(t->kind) ? 'U' : 'I', 8 * t->size,
                 order);
    else if (t->cls == CM_H5_FLOAT)
        snprintf(buf, size, "H5T_IEEE_F%u%s", 8 * t->size, order);
    else if (t->cls == CM_H5_STRING)
        snprintf(buf, size, "H5T_STRING (%u byte%s)", t->size, t->size == 1 ? "" : "s");
    else if (t->vlen_string)
        snprintf(buf, size, "H5T_STRING (variable)");
    else if (t->kind == CM_BOOL)
        snprintf(buf, size, "H5T_ENUM (FALSE, TRUE)");
    else if (t->cls == CM_H5_ENUM)
        snprintf(buf, size, "H5T_ENUM (%u names: H5T_STD_%c%u%s)", t->nnames,
                 cm_kind_is_unsigned(t->kind) ? 'U' : 'I', 8 * t->size, order);
    else if (t->cls == CM_H5_BITFIELD)
        snprintf(buf, size, "H5T_STD_B%u%s", 8 * t->size, order);
    else if (t->cls == CM_H5_COMPLEX)
        snprintf(buf, size, "H5T_COMPLEX_IEEE_F%u%s", 4 * t->size, order);
    else if (t->kind)
        snprintf(buf, size, "H5T_COMPOUND (r, i: H5T_IEEE_F%u%s)", 4 * t->size, order);
    else if (t->cls == CM_H5_COMPOUND)
        snprintf(buf, size, "H5T_COMPOUND (%u members, %u bytes)", t->nmembers, t->size);
    else if (t->cls == CM_H5_OPAQUE)
        snprintf(buf, size, "H5T_OPAQUE (%u bytes)", t->size);
    else if (t->cls == CM_H5_VLEN || t->cls == CM_H5_ARRAY)
        name_of_many(t, buf, size);
    else if (t->cls == CM_H5_REFERENCE)
        snprintf(buf, size, "H5T_STD_REF_%s", t->reference ? "DSETREG" : "OBJ");
    else
        snprintf(buf, size, "H5T class %u", t->cls);
    return buf;
}
