/* format/zarr/zarr_meta.c: what v2 and v3 array documents have in common: shape and chunk lengths.
 *
 * Both come from outside and size everything that follows, so they are checked here once: at most
 * CM_MAX_DIMS axes, lengths from 0, chunk lengths from 1, and a number of cells that fits int64_t.
 * A chunk length of 0 is let pass on an axis of length 0 only (old writers made such), as 1: no
 * cell depends on it.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "format/zarr/zarr_private.h"

int cm_zarr_shape_parse(const cm_json *v, cm_zarr_meta *m, cm_error *err)
{
    if (!cm_json_is(v, CM_JSON_ARRAY))
        return cm_error_set(err, CM_EDATA, "\"shape\" is %s", v ? "not an array" : "missing");
    if (cm_json_count(v) > CM_MAX_DIMS)
        return cm_error_set(err, CM_EUNSUP, "\"shape\" has %zu axes, at most %d are read",
                            cm_json_count(v), CM_MAX_DIMS);
    int ndim = (int)cm_json_count(v);
    for (int i = 0; i < ndim; i++)
        if (!cm_json_int64(cm_json_at(v, (size_t)i), &m->shape[i]) || m->shape[i] < 0)
            return cm_error_set(err, CM_EDATA, "\"shape\": element %d is not a length", i);
    if (cm_shape_nelem(ndim, m->shape) < 0)
        return cm_error_set(err, CM_EDATA, "\"shape\": more than 2^63 cells");
    m->ndim = ndim;
    return 0;
}

int cm_zarr_chunk_parse(const cm_json *v, const char *member, cm_zarr_meta *m, cm_error *err)
{
    if (!cm_json_is(v, CM_JSON_ARRAY))
        return cm_error_set(err, CM_EDATA, "\"%s\" is %s", member, v ? "not an array" : "missing");
    if (cm_json_count(v) != (size_t)m->ndim)
        return cm_error_set(err, CM_EDATA, "\"%s\" has %zu elements, \"shape\" has %d", member,
                            cm_json_count(v), m->ndim);
    for (int i = 0; i < m->ndim; i++) {
        int64_t *n = &m->chunk[i];
        if (!cm_json_int64(cm_json_at(v, (size_t)i), n) || *n < 0 || (*n == 0 && m->shape[i] != 0))
            return cm_error_set(err, CM_EDATA, "\"%s\": element %d is not a length of 1 or more",
                                member, i);
        if (*n == 0)
            *n = 1;
    }
    return 0;
}

/* Text that is longer than a cell: zarr-python cuts it, others may not. */
static int check_text(const cm_zarr_meta *m, cm_error *err)
{
    const cm_string *s = &m->cell.string;
    size_t n = s->nbytes, room = m->type.width;
    if (m->type.cells == CM_ZARR_UTF32) {
        room /= 4;
        for (size_t i = 0; i < s->nbytes; i++)
            n -= ((unsigned char)s->data[i] & 0xc0) == 0x80; /* not a character's first byte */
    } else if (m->type.cells != CM_ZARR_BYTES) {
        return 0;
    }
    return n <= room ? 0
                     : cm_error_set(err, CM_EDATA, "\"fill_value\" is longer than a cell of %s",
                                    m->type.text);
}

int cm_zarr_meta_fill(const cm_json *v, int format, cm_zarr_meta *m, cm_error *err)
{
    m->fill = v;
    if (m->type.cells != CM_ZARR_BYTES && cm_zarr_fill_is_other(m->type.dtype))
        return cm_zarr_fill_parse_other(v, m->type.dtype, format, &m->cell_other, err);
    int r = m->type.cells == CM_ZARR_BYTES
                ? cm_zarr_fill_parse_bytes(v, &m->cell, &m->cell_text, err)
                : cm_zarr_fill_parse(v, m->type.dtype, format, &m->cell, err);
    return r ? r : check_text(m, err);
}

void cm_zarr_meta_deinit(cm_zarr_meta *m)
{
    cm_chain_unref(m->chain);
    cm_grid_free(m->grid);
    m->grid = NULL;
    cm_zarr_type_deinit(&m->type);
    free(m->cell_text);
    free(m->cell_other);
    m->cell_other = NULL;
    m->chain = NULL;
    m->cell_text = NULL;
}

bool cm_zarr_attribute_hidden(const char *name, int format, bool is_array)
{
    if (is_array && format == 3)
        return false;
    if (is_array && !strcmp(name, "_ARRAY_DIMENSIONS"))
        return true;
    return !strncasecmp(name, "_nc", 3);
}
