/* tests/nc3_writer.h: a naive NetCDF-3 writer for tests, straight from the grammar, that can also
 * write what no sane writer would. It shares nothing with the driver. */
#ifndef CM_TESTS_NC3_WRITER_H
#define CM_TESTS_NC3_WRITER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { W_MAX = 12 };

typedef struct w_bytes {
    uint8_t *data;
    size_t n, room;
} w_bytes;

typedef struct w_attr {
    char name[40];
    uint32_t type;
    uint64_t nelem;
    uint8_t values[256]; /* big-endian */
} w_attr;

typedef struct w_var {
    char name[40];
    uint32_t type;
    int ndim;
    int dimids[8];
    int nattrs;
    w_attr attrs[4];
    uint64_t vsize;      /* written as it is; anything will do */
    int64_t force_begin; /* >= 0: written instead of the true offset */
    uint64_t begin;      /* where w_file put it */
} w_var;

typedef struct w_file {
    int version;
    uint64_t numrecs; /* true number */
    bool streaming;
    int ndims, nattrs, nvars;
    char dim_names[W_MAX][40];
    uint64_t dims[W_MAX]; /* 0: unlimited */
    w_attr attrs[W_MAX];
    w_var vars[W_MAX];
    uint64_t gap; /* bytes between header and data */
    bool leave_out_data, dirty_padding;
    uint64_t header_nbytes, record_nbytes; /* out */
} w_file;

static inline void w_put(w_bytes *b, const void *p, size_t n)
{
    if (b->n + n > b->room) {
        b->room = 2 * (b->n + n) + 64;
        b->data = realloc(b->data, b->room);
    }
    memcpy(b->data + b->n, p, n);
    b->n += n;
}

static inline void w_be(w_bytes *b, uint64_t v, int nbytes)
{
    uint8_t p[8];
    for (int i = 0; i < nbytes; i++)
        p[i] = (uint8_t)(v >> (8 * (nbytes - 1 - i)));
    w_put(b, p, (size_t)nbytes);
}

static inline void w_size(w_bytes *b, const w_file *f, uint64_t v)
{
    w_be(b, v, f->version == 5 ? 8 : 4);
}

static inline void w_pad(w_bytes *b, size_t start, const w_file *f)
{
    while ((b->n - start) % 4)
        w_be(b, f->dirty_padding ? 0xa5 : 0, 1);
}

static inline void w_name(w_bytes *b, const w_file *f, const char *s)
{
    w_size(b, f, strlen(s));
    size_t at = b->n;
    w_put(b, s, strlen(s));
    w_pad(b, at, f);
}

static inline uint32_t w_type_size(uint32_t type)
{
    static const uint32_t sizes[] = {0, 1, 1, 2, 4, 4, 8, 1, 2, 4, 8, 8};
    return type < 12 ? sizes[type] : 1;
}

static inline void w_attrs(w_bytes *b, const w_file *f, const w_attr *a, int n)
{
    w_be(b, n ? 12 : 0, 4);
    w_size(b, f, (uint64_t)n);
    for (int i = 0; i < n; i++) {
        w_name(b, f, a[i].name);
        w_be(b, a[i].type, 4);
        w_size(b, f, a[i].nelem);
        size_t at = b->n, nbytes = (size_t)a[i].nelem * w_type_size(a[i].type);
        w_put(b, a[i].values, nbytes > sizeof a[i].values ? sizeof a[i].values : nbytes);
        w_pad(b, at, f);
    }
}

static inline bool w_is_record(const w_file *f, const w_var *v)
{
    return v->ndim > 0 && f->dims[v->dimids[0]] == 0;
}

/* Cells of a fixed variable, or of one record. */
static inline uint64_t w_slab_cells(const w_file *f, const w_var *v)
{
    uint64_t n = 1;
    for (int i = w_is_record(f, v) ? 1 : 0; i < v->ndim; i++)
        n *= f->dims[v->dimids[i]];
    return n;
}

static inline void w_header(w_bytes *b, const w_file *f)
{
    w_put(b, "CDF", 3);
    w_be(b, (uint64_t)f->version, 1);
    w_size(b, f, f->streaming ? UINT64_MAX : f->numrecs);
    w_be(b, f->ndims ? 10 : 0, 4);
    w_size(b, f, (uint64_t)f->ndims);
    for (int i = 0; i < f->ndims; i++) {
        w_name(b, f, f->dim_names[i]);
        w_size(b, f, f->dims[i]);
    }
    w_attrs(b, f, f->attrs, f->nattrs);
    w_be(b, f->nvars ? 11 : 0, 4);
    w_size(b, f, (uint64_t)f->nvars);
    for (int i = 0; i < f->nvars; i++) {
        const w_var *v = &f->vars[i];
        w_name(b, f, v->name);
        w_size(b, f, (uint64_t)v->ndim);
        for (int k = 0; k < v->ndim; k++)
            w_size(b, f, (uint64_t)v->dimids[k]);
        w_attrs(b, f, v->attrs, v->nattrs);
        w_be(b, v->type, 4);
        w_size(b, f, v->vsize);
        w_be(b, v->force_begin >= 0 ? (uint64_t)v->force_begin : v->begin, f->version == 1 ? 4 : 8);
    }
}

/* The value of a cell: a different one for every variable and position. */
static inline uint64_t w_value(int var, uint64_t record, uint64_t cell)
{
    uint64_t z = ((uint64_t)var + 1) * 0x9e3779b97f4a7c15u + record * 1000003u + cell;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    return z ^ z >> 27;
}

/* The bits of that value for a type, as an unsigned number of its size. Characters are letters, now
 * and then a NUL; floats are whole numbers. */
static inline uint64_t w_cell(uint32_t type, int var, uint64_t record, uint64_t cell)
{
    uint64_t v = w_value(var, record, cell), bits = v;
    if (type == 2)
        return v % 5 == 0 ? 0 : 'a' + v % 26;
    if (type == 5) {
        float x = (float)(int32_t)(v % 1000003) / 4;
        uint32_t u;
        memcpy(&u, &x, 4);
        return u;
    }
    if (type == 6) {
        double x = (double)(int64_t)(v % 1000000007) / 8;
        memcpy(&bits, &x, 8);
        return bits;
    }
    return w_type_size(type) == 8 ? v : v & ((1ull << (8 * w_type_size(type))) - 1);
}

static inline void w_slab(w_bytes *b, const w_file *f, int var, uint64_t record, bool pad)
{
    size_t at = b->n;
    for (uint64_t i = 0; i < w_slab_cells(f, &f->vars[var]); i++)
        w_be(b, w_cell(f->vars[var].type, var, record, i), (int)w_type_size(f->vars[var].type));
    while (pad && (b->n - at) % 4)
        w_be(b, 0xee, 1);
}

/* Fill in the offsets of all variables in definition order. */
static inline void w_layout(w_file *f)
{
    w_bytes b = {0};
    w_header(&b, f);
    uint64_t at = f->header_nbytes = b.n, records = 0, start;
    free(b.data);
    at += f->gap;
    int nrecord = 0;
    for (int i = 0; i < f->nvars; i++) {
        w_var *v = &f->vars[i];
        uint64_t nbytes = (w_slab_cells(f, v) * w_type_size(v->type) + 3) / 4 * 4;
        if (w_is_record(f, v)) {
            nrecord++;
            continue;
        }
        v->begin = at;
        at += nbytes;
    }
    start = at;
    for (int i = 0; i < f->nvars; i++) {
        w_var *v = &f->vars[i];
        uint64_t nbytes = w_slab_cells(f, v) * w_type_size(v->type);
        if (!w_is_record(f, v))
            continue;
        v->begin = start + records;
        records += nrecord == 1 ? nbytes : (nbytes + 3) / 4 * 4;
    }
    f->record_nbytes = records;
}

static inline w_bytes w_write(w_file *f)
{
    w_layout(f);
    w_bytes b = {0};
    w_header(&b, f);
    if (f->leave_out_data)
        return b;
    for (uint64_t i = 0; i < f->gap; i++)
        w_be(&b, 0x77, 1);
    int nrecord = 0;
    for (int i = 0; i < f->nvars; i++) {
        nrecord += w_is_record(f, &f->vars[i]);
        if (!w_is_record(f, &f->vars[i]))
            w_slab(&b, f, i, 0, true);
    }
    for (uint64_t r = 0; r < f->numrecs; r++)
        for (int i = 0; i < f->nvars; i++)
            if (w_is_record(f, &f->vars[i]))
                w_slab(&b, f, i, r, nrecord > 1);
    return b;
}

static inline int w_dim(w_file *f, const char *name, uint64_t length)
{
    snprintf(f->dim_names[f->ndims], sizeof f->dim_names[0], "%s", name);
    f->dims[f->ndims] = length;
    return f->ndims++;
}

static inline w_var *w_add(w_file *f, const char *name, uint32_t type, int ndim, const int *dimids)
{
    w_var *v = &f->vars[f->nvars++];
    snprintf(v->name, sizeof v->name, "%s", name);
    v->type = type;
    v->ndim = ndim;
    v->force_begin = -1;
    for (int i = 0; i < ndim; i++)
        v->dimids[i] = dimids[i];
    return v;
}

static inline w_attr *w_attribute(w_attr *list, int *n, const char *name, uint32_t type,
                                  uint64_t nelem, const void *big_endian)
{
    w_attr *a = &list[(*n)++];
    snprintf(a->name, sizeof a->name, "%s", name);
    a->type = type;
    a->nelem = nelem;
    size_t nbytes = (size_t)nelem * w_type_size(type);
    memcpy(a->values, big_endian, nbytes > sizeof a->values ? sizeof a->values : nbytes);
    return a;
}

#endif
