/* format/zarr/zarr_text.c: cells that are unpacked on the way: fixed-length text, numpy's S (bytes)
 * and U (UTF-32), and records whose fields are not in the machine's byte order.
 *
 * xarray writes string coordinates as such cells, so they are everywhere. In the model they are
 * strings like all others: S must be UTF-8, U is converted; trailing NULs, which fill the cell up,
 * are dropped and NULs inside stay, as numpy has it. A cell that is not text is an error that names
 * it, never a replacement character.
 *
 * The chain is parsed for cells of so many bytes, then made a CM_A2B_CUSTOM chain of strings: the
 * engine hands stored cells to unpack(). Byte order is dealt with here, since a cell of bytes has
 * none.
 *
 * v3 has one byte order for all fields of a record, v2 one for each (cm_field.big_endian).
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "format/zarr/zarr_private.h"
#include "nd/copy.h"
#include "text/utf8.h"

struct cm_zarr_text {
    cm_zarr_cells cells;
    uint32_t width; /* bytes of a stored cell */
    bool big_endian;
    const cm_record *record; /* referred to */
};

static uint32_t point_at(const struct cm_zarr_text *t, const uint8_t *p)
{
    return t->big_endian ? cm_load_be32(p) : cm_load_le32(p);
}

/* Bytes of UTF-8 that one cell becomes, SIZE_MAX when it is not text. out NULL: only count. */
static size_t convert(const struct cm_zarr_text *t, const uint8_t *cell, char *out)
{
    size_t n = t->width, used = 0;
    char point[4];
    if (t->cells == CM_ZARR_BYTES) {
        while (n && cell[n - 1] == 0)
            n--;
        if (!cm_utf8_valid((const char *)cell, n))
            return SIZE_MAX;
        if (out && n)
            memcpy(out, cell, n);
        return n;
    }
    while (n && point_at(t, cell + n - 4) == 0)
        n -= 4;
    for (size_t i = 0; i < n; i += 4) {
        uint32_t c = point_at(t, cell + i);
        if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
            return SIZE_MAX;
        used += cm_utf8_put(c, out ? out + used : point);
    }
    return used;
}

static int unpack(cm_array *leaf, const void *stored, void *dst, int64_t n, cm_arena *arena,
                  cm_error *err)
{
    const struct cm_zarr_text *t = cm_chunked_owner(leaf);
    const uint8_t *cells = stored;
    cm_string *out = dst;
    size_t total = 0;
    for (int64_t i = 0; i < n; i++) {
        size_t nbytes = convert(t, cells + (size_t)i * t->width, NULL);
        if (nbytes == SIZE_MAX)
            return cm_error_set(err, CM_EDATA, "a cell of fixed-length text is not %s",
                                t->cells == CM_ZARR_BYTES ? "UTF-8" : "UTF-32");
        out[i] = (cm_string){NULL, nbytes};
        total += nbytes; /* at most the bytes of stored */
    }
    char *p = total ? cm_arena_alloc(arena, total, err) : NULL;
    if (total && !p)
        return err ? err->code : CM_ENOMEM;
    for (int64_t i = 0; i < n; i++) {
        if (out[i].nbytes == 0)
            continue;
        out[i].data = p;
        p += convert(t, cells + (size_t)i * t->width, p);
    }
    return 0;
}

static int unpack_records(cm_array *leaf, const void *stored, void *dst, int64_t n, cm_arena *arena,
                          cm_error *err)
{
    const struct cm_zarr_text *t = cm_chunked_owner(leaf);
    (void)arena;
    (void)err;
    memcpy(dst, stored, (size_t)n * t->width);
    cm_record_swap(t->record, dst, (size_t)n, t->big_endian);
    return 0;
}

static void release(void *owner)
{
    struct cm_zarr_text *t = owner;
    if (t)
        cm_record_unref(t->record);
    free(t);
}

int cm_zarr_text_apply(const cm_zarr_meta *m, cm_chunked_spec *spec, cm_error *err)
{
    struct cm_zarr_text *t = cm_calloc(1, sizeof *t, err);
    if (!t)
        return CM_ENOMEM;
    *t = (struct cm_zarr_text){m->type.cells, m->type.width, m->type.big_endian,
                               cm_record_ref(m->type.dtype.record)};
    spec->unpack = t->record ? unpack_records : unpack;
    spec->owner = t;
    spec->owner_release = release;
    return 0;
}

static void set_dtype(cm_chain *c, cm_dtype dtype)
{
    cm_record_ref(dtype.record);
    cm_record_unref(c->dtype.record);
    c->dtype = dtype;
}

int cm_zarr_text_chain(cm_zarr_meta *m, int format, cm_error *err)
{
    cm_chain *c = m->chain;
    for (; c->a2b == CM_A2B_SHARDING; c = c->inner)
        set_dtype(c, m->type.dtype);
    if (c->a2b != CM_A2B_BYTES)
        return cm_error_set(err, CM_EUNSUP, "codecs that do not keep the cells of %s",
                            m->type.text);
    if (format == 3 && m->type.cells == CM_ZARR_UTF32 && !c->endian_given)
        return cm_error_set(err, CM_EDATA, "codec bytes: endian is missing for %s", m->type.text);
    if (format == 3)
        m->type.big_endian = c->big_endian;
    set_dtype(c, m->type.dtype);
    c->big_endian = false;
    c->a2b = CM_A2B_CUSTOM;
    return 0;
}
