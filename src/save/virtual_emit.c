/* save/virtual_emit.c: chunk number -> reference.
 *
 * A chunk's grid coordinate finds its segment by halving, the segment's own table says where the
 * bytes are. Names of files become absolute and are interned once for each file. Inline bytes are
 * read here: those of small chunks as they are stored, and the cells of native variables.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "save/virtual.h"

static int trouble(const cm_virtual_part *p, const cm_array *leaf, const int64_t *coord,
                   const char *text, cm_error *err)
{
    char where[200] = "";
    for (int i = 0; i < p->ndim && strlen(where) < 170; i++)
        snprintf(where + strlen(where), sizeof where - strlen(where), "%s%lld", i ? ", " : "",
                 (long long)coord[i]);
    cm_error_set(err, CM_EUNSUP, "references cannot say it: chunk (%s) %s", where, text);
    cm_error_object(err, leaf->label);
    cm_error_variable(err, p->variable->path);
    cm_error_hint(err, "leave it out with --skip %s, or copy with chunkmill rechunk",
                  p->variable->name);
    return CM_EUNSUP;
}

/* ---- names ----------------------------------------------------------------------------------- */

static const char *directory_of(cm_virtual *v, cm_store *store, cm_error *err)
{
    if (v->last_store == store)
        return v->last_directory;
    const char *local = cm_store_local_path(store);
    if (!local)
        return cm_error_set(err, CM_EUNSUP, "only local files can be referred to"), NULL;
    char *real = realpath(local, NULL);
    free(v->last_directory);
    v->last_directory = cm_strdup(real ? real : local, err);
    free(real);
    v->last_store = v->last_directory ? store : NULL;
    v->last_key[0] = 0;
    return v->last_directory;
}

static int name_of(cm_virtual *v, cm_store *store, const char *key,
                   const cm_object_version *version, uint32_t *id, cm_error *err)
{
    char name[PATH_MAX];
    const char *directory = directory_of(v, store, err);
    if (!directory)
        return err ? err->code : CM_ENOMEM;
    if (v->last_key[0] && strcmp(v->last_key, key) == 0) {
        *id = v->last_id;
        return 0;
    }
    int n = snprintf(name, sizeof name, "%s/%s", strcmp(directory, "/") ? directory : "", key);
    if (n < 0 || (size_t)n >= sizeof name)
        return cm_error_set(err, CM_ELIMIT, "%s: the name is too long", key);
    int r = cm_paths_add(v->paths, name, (size_t)n, id, err);
    if (r)
        return r;
    if (strlen(key) < sizeof v->last_key) {
        memcpy(v->last_key, key, strlen(key) + 1);
        v->last_id = *id;
    }
    if (*id < v->nversions)
        return 0;
    if (cm_grow(&v->versions, &v->versions_capacity, (size_t)*id + 1, sizeof *v->versions, err))
        return CM_ENOMEM;
    cm_object_version found = {.size = UINT64_MAX};
    if (version && version->size)
        found = *version;
    else if (version && (r = store->vt->stat(store, key, &found, err)))
        return r;
    v->versions[*id] = found;
    v->nversions = (size_t)*id + 1;
    return 0;
}

/* ---- chunks ---------------------------------------------------------------------------------- */

static const cm_segment *segment_at(const cm_virtual_part *p, int64_t x)
{
    size_t lo = 0, hi = p->nsegments;
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (p->segments[mid].begin <= x)
            lo = mid;
        else
            hi = mid;
    }
    return &p->segments[lo];
}

static int own_path(cm_virtual *v, cm_segment *s, uint32_t *id, cm_error *err)
{
    if (s->path == UINT32_MAX) {
        cm_object_version version = cm_chunked_version(s->leaf);
        int r =
            name_of(v, cm_chunked_store(s->leaf), cm_chunked_key(s->leaf), &version, &s->path, err);
        if (r)
            return r;
    }
    *id = s->path;
    return 0;
}

static int strided(cm_virtual *v, cm_virtual_part *p, cm_segment *s, const int64_t *coord,
                   cm_reference *out, cm_error *err)
{
    uint64_t offset, limit, step, end;
    const int64_t *strides;
    cm_table_is_strided(cm_chunked_table(s->leaf), &offset, &strides, &limit);
    int64_t row = 0;
    if (p->ndim)
        row = coord[0] * p->chunk[0] - (p->axis == 0 ? s->begin : 0) + s->start[0];
    if (!cm_mul_u64((uint64_t)row, p->ndim ? (uint64_t)strides[0] : 0, &step) ||
        !cm_add_u64(offset, step, &offset) || !cm_add_u64(offset, p->chunk_nbytes, &end) ||
        end > limit)
        return trouble(p, s->leaf, coord, "lies beyond the end of the file (it is truncated)", err);
    out->kind = CM_REFERENCE_RANGE;
    out->offset = offset;
    out->nbytes = p->chunk_nbytes;
    return own_path(v, s, &out->path, err);
}

static int whole_object(cm_virtual *v, const cm_segment *s, const cm_location *at,
                        cm_reference *out, cm_error *err)
{
    cm_store *store = cm_chunked_store(s->leaf);
    cm_object_version version;
    cm_error why = {0};
    cm_place place;
    int r = store->vt->place ? store->vt->place(store, at->key, &place, &why)
                             : store->vt->stat(store, at->key, &version, &why);
    if (r == CM_ENOTFOUND && at->where == CM_AT_OBJECT)
        return 0; /* never written */
    if (r) {
        if (err)
            *err = why;
        return r;
    }
    if (store->vt->place) { /* in an archive */
        out->kind = CM_REFERENCE_RANGE;
        out->offset = place.offset;
        out->nbytes = place.nbytes;
        return name_of(v, place.store, place.key, &place.version, &out->path, err);
    }
    out->kind = CM_REFERENCE_WHOLE;
    out->nbytes = version.size;
    return name_of(v, store, at->key, NULL, &out->path, err);
}

static int listed(cm_virtual *v, cm_virtual_part *p, cm_segment *s, const int64_t *coord,
                  cm_buffer *bytes, cm_reference *out, cm_error *err)
{
    int64_t inner[CM_MAX_DIMS];
    cm_location at;
    for (int i = 0; i < p->ndim; i++)
        inner[i] = coord[i] + (s->start[i] - (i == p->axis ? s->begin : 0)) / p->chunk[i];
    at.where = CM_AT_NOWHERE;
    at.skip_mask = 0;
    int r = cm_chunked_locate(s->leaf, inner, &at, err);
    if (r || at.where == CM_AT_NOWHERE)
        return r;
    if (at.skip_mask && cm_chunked_chain(s->leaf)->nstages)
        return trouble(p, s->leaf, coord, "was stored without some of the filters (a filter mask)",
                       err);
    if (at.where == CM_AT_MEMORY) {
        out->kind = CM_REFERENCE_INLINE;
        out->nbytes = at.nbytes;
        r = cm_buffer_append(bytes, at.inline_data, (size_t)at.nbytes, err);
        out->data = bytes->data ? (const void *)bytes->data : "";
        return r;
    }
    if (at.where != CM_AT_RANGE)
        return whole_object(v, s, &at, out, err);
    out->kind = CM_REFERENCE_RANGE;
    out->offset = at.offset;
    out->nbytes = at.nbytes;
    if (!at.key[0])
        return own_path(v, s, &out->path, err);
    cm_object_version any = {0};
    return name_of(v, cm_chunked_store(s->leaf), at.key, &any, &out->path, err);
}

/* A chunk that was never written reads as the file's fill value, a missing reference as the new
 * array's: they must be the same. */
static int check_missing(const cm_virtual_part *p, const cm_segment *s, const int64_t *coord,
                         cm_error *err)
{
    const cm_array *a = s->leaf;
    const void *fill = cm_zarr_array_fill(p->target);
    bool same = a->dtype.kind == CM_STRING ? false : memcmp(a->fill, fill, a->dtype.size) == 0;
    if (same && cm_zarr_array_may_skip_fill(p->target))
        return 0;
    return trouble(p, a, coord,
                   "was never written, and the value that its cells have is not the _FillValue",
                   err);
}

/* The bytes of a small chunk. */
static int take_bytes(cm_virtual *v, cm_buffer *bytes, cm_reference *out, cm_error *err)
{
    const char *name = cm_paths_name(v->paths, out->path);
    cm_object_version version = {0};
    int r = cm_buffer_reserve(bytes, (size_t)out->nbytes + 1, err);
    if (r)
        return r;
    cm_range range = {out->offset, (size_t)out->nbytes, bytes->data};
    if (out->nbytes)
        r = v->files->vt->get(v->files, name + 1, &range, 1, &version, err);
    bytes->nbytes = (size_t)out->nbytes;
    out->kind = CM_REFERENCE_INLINE;
    out->data = bytes->data;
    return r;
}

/* ---- native variables ------------------------------------------------------------------------ */

static int native(cm_virtual *v, const cm_virtual_part *p, cm_buffer *bytes, cm_reference *out,
                  cm_error *err)
{
    cm_array *a = p->variable->array;
    int64_t zero[CM_MAX_DIMS] = {0}, n = cm_shape_nelem(p->ndim, p->shape);
    size_t nbytes = (size_t)n * a->dtype.size;
    cm_arena *arena = NULL;
    bool text = a->dtype.kind == CM_STRING;
    void *cells = cm_calloc(nbytes, 1, err);
    int r = cells ? 0 : CM_ENOMEM;
    if (r == 0 && text)
        r = cm_arena_new(v->ctx, &arena, err);
    if (r == 0)
        r = cm_array_read(v->ctx, a, zero, p->shape, cells, NULL, arena, err);
    if (r == 0 && text) {
        nbytes = cm_vlen_encoded_nbytes(cells, (size_t)n);
        r = nbytes > INT32_MAX ? cm_error_set(err, CM_ELIMIT, "more than 2 GiB of text")
                               : cm_buffer_reserve(bytes, nbytes, err);
        if (r == 0)
            cm_vlen_encode(cells, (size_t)n, bytes->data);
        bytes->nbytes = r ? 0 : nbytes;
    } else if (r == 0) {
        r = cm_buffer_append(bytes, cells, nbytes, err);
    }
    cm_arena_free(arena);
    free(cells);
    *out = (cm_reference){.kind = CM_REFERENCE_INLINE,
                          .nbytes = bytes->nbytes,
                          .data = bytes->data ? (const void *)bytes->data : ""};
    return r;
}

int cm_virtual_reference(cm_virtual *v, cm_virtual_part *p, int64_t index, cm_buffer *bytes,
                         cm_reference *out, cm_error *err)
{
    int64_t coord[CM_MAX_DIMS] = {0};
    *out = (cm_reference){.kind = CM_REFERENCE_NONE};
    bytes->nbytes = 0;
    if (p->native)
        return native(v, p, bytes, out, err);
    int64_t rest = index;
    for (int i = p->ndim - 1; i >= 0; i--) {
        coord[i] = rest % p->grid[i];
        rest /= p->grid[i];
    }
    cm_segment *s =
        (cm_segment *)(uintptr_t)segment_at(p, p->ndim ? coord[p->axis] * p->chunk[p->axis] : 0);
    int r =
        p->strided ? strided(v, p, s, coord, out, err) : listed(v, p, s, coord, bytes, out, err);
    if (r == 0 && out->kind == CM_REFERENCE_NONE)
        r = check_missing(p, s, coord, err);
    if (r == 0 && (out->kind == CM_REFERENCE_RANGE || out->kind == CM_REFERENCE_WHOLE) &&
        out->nbytes < v->options->inline_nbytes)
        r = take_bytes(v, bytes, out, err);
    if (r) {
        cm_error_object(err, s->leaf->label);
        cm_error_variable(err, p->variable->path);
    }
    return r;
}
