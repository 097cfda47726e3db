/* codec/nbit.c: HDF5's nbit filter (5), decoded only.
 *
 * Of every number only the bits that mean something are stored, highest first, one cell after the
 * other without padding; all other bits come back as zeros. What a cell consists of is in the
 * filter's parameters, a small tree:
 *
 *     number of parameters | 1: nothing was done | cells of a chunk | type
 *     type      1 size order precision offset      a number
 *               2 size type                        an array
 *               3 size n, n times: offset type     a compound
 *               4 size                             bytes as they are
 *
 * The tree is unrolled once, when the codec is made, into a list of fields of one cell (at most
 * MAX_FIELDS), so that decoding is one loop.
 */
#include <string.h>

#include "codec/bit_reader.h"
#include "codec/codec_private.h"

enum { NUMBER = 1, ARRAY, COMPOUND, PLAIN, MAX_FIELDS = 4096, MAX_NESTING = 16 };

/* One number; `size` bytes at `at` of the cell. Plain bytes are numbers of one byte. */
typedef struct field {
    uint32_t at;
    uint8_t size, bits, shift;
    bool big_endian;
} field;

typedef struct {
    cm_codec base;
    bool unchanged;
    uint32_t size, nelem, nfields;
    field fields[]; /* nfields */
} nbit_codec;

static const nbit_codec *of(const cm_codec *codec)
{
    return (const nbit_codec *)codec;
}

/* The parameters that are left, and the fields found so far. */
typedef struct unroll {
    const uint32_t *p, *end;
    field *fields; /* MAX_FIELDS of them */
    uint32_t n;
    bool bad;
} unroll;

static uint32_t take(unroll *u)
{
    if (u->p == u->end) {
        u->bad = true;
        return 0;
    }
    return *u->p++;
}

static void add(unroll *u, field f)
{
    if (u->n == MAX_FIELDS)
        u->bad = true;
    else
        u->fields[u->n++] = f;
}

static void number(unroll *u, uint64_t at, uint32_t size)
{
    uint32_t order = take(u), bits = take(u), shift = take(u);
    if (size > 8 || order > 1 || bits == 0 || bits > 8 * size || shift > 8 * size - bits)
        u->bad = true;
    if (!u->bad)
        add(u, (field){(uint32_t)at, (uint8_t)size, (uint8_t)bits, (uint8_t)shift, order == 1});
}

/* A type whose cell begins at `at` of a cell of `room` bytes from there; its own size, or 0. */
static uint32_t type(unroll *u, uint64_t at, uint32_t room, int depth)
{
    uint32_t cls = take(u), size = take(u);
    if (size == 0 || size > room || depth > MAX_NESTING)
        u->bad = true;
    if (u->bad)
        return 0;
    if (cls == NUMBER) {
        number(u, at, size);
    } else if (cls == PLAIN) {
        for (uint32_t i = 0; i < size && !u->bad; i++)
            add(u, (field){(uint32_t)at + i, 1, 8, 0, false});
    } else if (cls == ARRAY) {
        const uint32_t *again = u->p;
        uint32_t done = 0, step = 1;
        while (!u->bad && done < size && step) {
            u->p = again;
            step = type(u, at + done, size - done, depth + 1);
            done += step;
        }
    } else if (cls == COMPOUND) {
        uint32_t n = take(u);
        for (uint32_t i = 0; i < n && !u->bad; i++) {
            uint32_t offset = take(u);
            if (offset >= size)
                u->bad = true;
            else
                type(u, at + offset, size - offset, depth + 1);
        }
    } else {
        u->bad = true;
    }
    return size;
}

int cm_codec_new_nbit(const uint32_t *values, size_t nvalues, cm_codec **out, cm_error *err)
{
    field fields[MAX_FIELDS];
    unroll u = {.fields = fields};
    bool unchanged = nvalues >= 2 && values[1] != 0;
    uint32_t size = 1;
    if (!unchanged && nvalues >= 5) {
        u.p = values + 3;
        u.end = values + nvalues;
        size = type(&u, 0, UINT32_MAX, 0);
    }
    if (nvalues < 2 || u.bad || (!unchanged && (nvalues < 5 || values[0] != nvalues)))
        return cm_error_set(err, u.n == MAX_FIELDS ? CM_EUNSUP : CM_EDATA,
                            "nbit with parameters that describe no cell (%zu)", nvalues);
    nbit_codec *c;
    int rc = cm_codec_alloc(&cm_class_nbit, sizeof *c + u.n * sizeof *u.fields, &c, err);
    if (rc)
        return rc;
    c->unchanged = unchanged;
    c->size = size;
    c->nelem = unchanged ? 0 : values[2];
    c->nfields = u.n;
    memcpy(c->fields, fields, u.n * sizeof *fields);
    *out = &c->base;
    return 0;
}

static void one_cell(const nbit_codec *c, cm_bits *in, uint8_t *cell)
{
    for (uint32_t k = 0; k < c->nfields; k++) {
        const field *f = &c->fields[k];
        uint64_t bits = cm_bits_take(in, f->bits) << f->shift;
        uint8_t *at = cell + f->at;
        for (unsigned i = 0; i < f->size; i++)
            at[f->big_endian ? f->size - 1u - i : i] |= (uint8_t)(bits >> 8 * i);
    }
}

static int nbit_decode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                       void *dst, size_t capacity, size_t *nout, cm_error *err)
{
    (void)work;
    const nbit_codec *c = of(codec);
    uint64_t n = c->unchanged ? nsrc : (uint64_t)c->nelem * c->size;
    *nout = 0;
    if (n > capacity) {
        *nout = n > SIZE_MAX ? 0 : (size_t)n;
        return cm_error_set(err, CM_ELIMIT, "nbit: decodes to more than %zu bytes", capacity);
    }
    cm_bits in = {.p = src, .end = (const uint8_t *)src + nsrc};
    if (c->unchanged && nsrc)
        memcpy(dst, src, nsrc);
    else if (n)
        memset(dst, 0, (size_t)n);
    for (size_t i = 0; i < c->nelem && !in.bad; i++)
        one_cell(c, &in, (uint8_t *)dst + i * c->size);
    if (in.bad)
        return cm_error_set(err, CM_EDATA, "nbit: %zu bytes are too few for %u cells", nsrc,
                            c->nelem);
    *nout = (size_t)n;
    return 0;
}

static size_t nbit_bound(const cm_codec *codec, size_t n)
{
    (void)codec;
    return n + 1;
}

static size_t nbit_scratch(const cm_codec *codec, size_t n, bool encoding)
{
    (void)codec, (void)n, (void)encoding;
    return 0;
}

static int nbit_text(const cm_codec *codec, cm_buffer *out, cm_error *err)
{
    const nbit_codec *c = of(codec);
    if (c->nfields == 1)
        return cm_buffer_printf(out, err, "nbit:%u", c->fields[0].bits);
    return cm_buffer_append_string(out, "nbit", err);
}

static bool nbit_equal(const cm_codec *a, const cm_codec *b, bool exactly)
{
    const nbit_codec *x = of(a), *y = of(b);
    (void)exactly;
    if (x->unchanged != y->unchanged || x->size != y->size || x->nelem != y->nelem ||
        x->nfields != y->nfields)
        return false;
    for (uint32_t i = 0; i < x->nfields; i++) {
        const field *f = &x->fields[i], *g = &y->fields[i];
        if (f->at != g->at || f->size != g->size || f->bits != g->bits || f->shift != g->shift ||
            f->big_endian != g->big_endian)
            return false;
    }
    return true;
}

const cm_codec_class cm_class_nbit = {
    .name = "nbit",
    .bound = nbit_bound,
    .scratch = nbit_scratch,
    .decode = nbit_decode,
    .text = nbit_text,
    .equal = nbit_equal,
};
