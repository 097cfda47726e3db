/* format/hdf5/h5_filter_note.c: a filter pipeline as bytes, and back.
 *
 * A codec does not know its filter's parameters any more, and those filters that only HDF5 has
 * cannot be described in another way. So whoever makes stages of filters leaves the filters beside
 * them, and another process makes the same stages of that by the same function (h5_filter.c).
 *
 *     cell u32 | id u16, flags u16, nvalues u16, values u32 each | ...        all little-endian
 *
 * Filters that are not known are left out, as they are of the chain.
 */
#include "base/buffer.h"
#include "base/memory.h"
#include "codec/codec.h"
#include "format/hdf5/h5_model.h"

enum { HEAD = 6, MOST_NBYTES = 16 << 20 };

static int put(cm_buffer *b, uint64_t v, size_t n, cm_error *err)
{
    uint8_t bytes[8];
    cm_store_le64(bytes, v);
    return cm_buffer_append(b, bytes, n, err);
}

int cm_h5_filters_note(const cm_h5_filter *filters, int n, uint32_t cell, cm_chain *chain,
                       cm_error *err)
{
    cm_buffer b;
    if (chain->nstages == 0)
        return 0;
    cm_buffer_init(&b, MOST_NBYTES);
    int rc = put(&b, cell, 4, err);
    for (int i = 0; i < n && rc == 0; i++) {
        const cm_h5_filter *t = &filters[i];
        if (!cm_h5_filter_known(t))
            continue;
        rc = put(&b, t->id | (uint64_t)t->flags << 16 | (uint64_t)t->nvalues << 32, HEAD, err);
        if (rc == 0)
            rc = cm_buffer_append(&b, t->raw, (size_t)t->nvalues * 4, err);
    }
    if (rc == 0) {
        chain->note = cm_memdup(b.data, b.nbytes, err);
        chain->note_nbytes = b.nbytes;
        rc = chain->note ? 0 : CM_ENOMEM;
    }
    cm_buffer_deinit(&b);
    return rc;
}

static int one(cm_h5_cursor *c, uint32_t cell, cm_chain *chain, cm_error *err)
{
    cm_h5_filter t = {.id = cm_h5_u16(c), .flags = cm_h5_u16(c), .nvalues = cm_h5_u16(c)};
    cm_codec *stage = NULL;
    t.raw = cm_h5_take(c, (uint64_t)t.nvalues * 4);
    if (c->bad || !cm_h5_filter_known(&t))
        return cm_error_set(err, CM_EDATA, "a note of filters that is malformed");
    for (size_t i = 0; i < t.nvalues && i < sizeof t.values / sizeof t.values[0]; i++)
        t.values[i] = cm_load_le32(t.raw + 4 * i);
    int rc = cm_h5_filter_codec(&t, cell, &stage, err);
    return rc ? rc : cm_chain_append(chain, stage, err);
}

int cm_h5_filters_restore(const void *note, size_t nbytes, cm_chain *chain, cm_error *err)
{
    cm_h5_cursor c = cm_h5_cursor_of(note, nbytes);
    uint32_t cell = cm_h5_u32(&c);
    int rc = c.bad ? cm_error_set(err, CM_EDATA, "a note of filters that is malformed") : 0;
    while (rc == 0 && cm_h5_left(&c))
        rc = one(&c, cell, chain, err);
    if (rc)
        return rc;
    chain->note = cm_memdup(note, nbytes, err);
    chain->note_nbytes = nbytes;
    return chain->note ? 0 : CM_ENOMEM;
}
