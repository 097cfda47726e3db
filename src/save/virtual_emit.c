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
    cm_error_hint(err,
                  "leave it out with --skip %s, rewrite such chunks with --materialize DIR, or "
                  "copy all with chunkmill rechunk",
                  p->variable->name);
    return CM_EUNSUP;
}

/* ---- names ----------------------------------------------------------------------------------- */

/* What a store's directory really is: asked of the system once for each that has another name. */
static const char *directory_of(cm_virtual *v, cm_store *store, cm_error *err)
{
    uint32_t id;
    const char *local = cm_store_local_path(store);
    if (!local)
        return cm_error_set(err, CM_EUNSUP, "only local files can be referred to"), NULL;
    if (cm_paths_add(v->directories, local, strlen(local), &id, err))
        return NULL;
    if (id < v->nreal)
        return v->real[id];
    char *real = realpath(local, NULL);
    char *copy = cm_strdup(real ? real : local, err);
    free(real);
    if (!copy || cm_grow(&v->real, &v->real_capacity, v->nreal + 1, sizeof *v->real, err)) {
        free(copy);
        return NULL;
    }
    return v->real[v->nreal++] = copy;
}

int cm_virtual_name(cm_virtual *v, cm_store *store, const char *key,
                    const cm_object_version *version, uint32_t *id, cm_error *err)
{
    char name[PATH_MAX];
    const char *directory = directory_of(v, store, err);
    if (!directory)
        return err ? err->code : CM_ENOMEM;
    if (v->last_directory == directory && strcmp(v->last_key, key) == 0) {
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
        v->last_directory = directory;
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
        int r = cm_virtual_name(v, cm_chunked_store(s->leaf), cm_chunked_key(s->leaf), &version,
                                &s->path, err);
        if (r)
            return r;
    }
    *id = s->path;
    return 0;
}

/* Where in the segment's array the chunk begins; false when it does not lie on the segment's own
 * grid, or reaches into the next segment. */
static bool inside(const cm_virtual_part *p, const cm_segment *s, const int64_t *coord,
                   int64_t *first)
{
    if (!s->fits && !s->blank)
        return false;
    for (int i = 0; i < p->ndim; i++) {
        int64_t lo = coord[i] * p->chunk[i], end = cm_min_i64(lo + p->chunk[i], p->shape[i]);
        if (i == p->axis && end > s->end)
            return false;
        first[i] = lo - (i == p->axis ? s->begin : 0) + s->start[i];
        if (!p->strided && !s->blank && first[i] % p->chunk[i])
            return false;
    }
    return true;
}

static int strided(cm_virtual *v, cm_virtual_part *p, cm_segment *s, const int64_t *coord,
                   const int64_t *first, cm_reference *out, cm_error *err)
{
    uint64_t offset, limit, step, end;
    const int64_t *strides = cm_segment_strides(s, &offset, &limit);
    bool good = true;
    for (int i = 0; i <= p->row_axis && i < p->ndim; i++)
        good = good && cm_mul_u64((uint64_t)first[i], (uint64_t)strides[i], &step) &&
               cm_add_u64(offset, step, &offset);
    if (!good || !cm_add_u64(offset, p->chunk_nbytes, &end) || end > limit)
        return trouble(p, s->leaf, coord, "lies beyond the end of the file (it is truncated)", err);
    out->kind = CM_REFERENCE_RANGE;
    out->offset = offset;
    out->nbytes = p->chunk_nbytes;
    return own_path(v, s, &out->path, err);
}

/* Objects of a Zarr store are what the store says of them: its metadata document is recorded, not
 * each chunk. */
static int record_guard(cm_virtual *v, cm_segment *s, cm_error *err)
{
    cm_object_version version;
    const char *key = cm_chunked_guard(s->leaf, &version);
    if (!key || s->path != UINT32_MAX)
        return 0;
    return cm_virtual_name(v, cm_chunked_store(s->leaf), key, &version, &s->path, err);
}

static int whole_object(cm_virtual *v, cm_segment *s, const cm_location *at, cm_reference *out,
                        cm_error *err)
{
    cm_store *store = cm_chunked_store(s->leaf);
    cm_object_version version;
    cm_error why = {0};
    cm_place place;
    int r = store->vt->place ? store->vt->place(store, at->key, &place, &why)
                             : store->vt->stat(store, at->key, &version, &why);
    if (r == CM_ENOTFOUND && at->where == CM_AT_OBJECT)
        return 0; /* never written */
    if (r == CM_EUNSUP && store->vt->place) {
        out->kind = CM_REFERENCE_ODD;
        out->odd = CM_ODD_ARCHIVE;
        return 0;
    }
    if (r) {
        if (err)
            *err = why;
        return r;
    }
    if (store->vt->place) { /* in an archive */
        out->kind = CM_REFERENCE_RANGE;
        out->offset = place.offset;
        out->nbytes = place.nbytes;
        return cm_virtual_name(v, place.store, place.key, &place.version, &out->path, err);
    }
    out->kind = CM_REFERENCE_WHOLE;
    out->nbytes = version.size;
    r = cm_virtual_name(v, store, at->key, NULL, &out->path, err);
    return r ? r : record_guard(v, s, err);
}

static int listed(cm_virtual *v, cm_virtual_part *p, cm_segment *s, const int64_t *first,
                  cm_buffer *bytes, cm_reference *out, cm_error *err)
{
    int64_t inner[CM_MAX_DIMS];
    cm_location at;
    for (int i = 0; i < p->ndim; i++)
        inner[i] = first[i] / p->chunk[i];
    at.where = CM_AT_NOWHERE;
    at.skip_mask = 0;
    int r = cm_chunked_locate(s->leaf, inner, &at, err);
    if (r || at.where == CM_AT_NOWHERE)
        return r;
    if (at.skip_mask && cm_chunked_chain(s->leaf)->nstages) {
        out->kind = CM_REFERENCE_ODD;
        out->odd = CM_ODD_MASK;
        return 0;
    }
    if (at.where == CM_AT_MEMORY && at.offset && at.nbytes >= v->options->inline_nbytes) {
        at.where = CM_AT_RANGE; /* compact data of HDF5: in the header */
    } else if (at.where == CM_AT_MEMORY) {
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
    return cm_virtual_name(v, cm_chunked_store(s->leaf), at.key, &any, &out->path, err);
}

/* A chunk that was never written reads as the file's fill value, a missing reference as the new
 * array's: they must be the same. */
static bool reads_as_fill(const cm_virtual_part *p, const cm_segment *s)
{
    const cm_array *a = s->leaf;
    const void *fill = cm_zarr_array_fill(p->target);
    return !cm_kind_is_vlen(a->dtype.kind) && memcmp(a->fill, fill, a->dtype.size) == 0 &&
           cm_zarr_array_may_skip_fill(p->target);
}

/* The bytes of a small chunk; those of a segment's own file through its store, which may have them
 * at hand, and of the version that was opened. */
static int take_bytes(cm_virtual *v, cm_buffer *bytes, cm_reference *out, cm_error *err)
{
    const cm_segment *s = out->segment;
    bool own = s && s->path == out->path && cm_chunked_key(s->leaf);
    cm_store *store = own ? cm_chunked_store(s->leaf) : v->files;
    const char *key =
        own ? cm_chunked_key(s->leaf) : cm_paths_name(v->paths, out->path) + 1; /* without '/' */
    cm_object_version version = {0};
    if (own)
        version = cm_chunked_version(s->leaf);
    int r = cm_buffer_reserve(bytes, (size_t)out->nbytes + 1, err);
    if (r)
        return r;
    cm_range range = {out->offset, (size_t)out->nbytes, bytes->data};
    if (out->nbytes)
        r = store->vt->get(store, key, &range, 1, &version, err);
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
    bool text = cm_kind_is_vlen(a->dtype.kind);
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

/* ---- references ------------------------------------------------------------------------------ */

static void coordinate(const cm_virtual_part *p, int64_t index, int64_t *coord)
{
    for (int i = p->ndim - 1; i >= 0; i--) {
        coord[i] = index % p->grid[i];
        index /= p->grid[i];
    }
}

int cm_virtual_locate(cm_virtual *v, cm_virtual_part *p, int64_t index, cm_buffer *bytes,
                      cm_reference *out, cm_error *err)
{
    int64_t coord[CM_MAX_DIMS] = {0}, first[CM_MAX_DIMS];
    *out = (cm_reference){.kind = CM_REFERENCE_NONE};
    bytes->nbytes = 0;
    coordinate(p, index, coord);
    cm_segment *s =
        (cm_segment *)(uintptr_t)segment_at(p, p->ndim ? coord[p->axis] * p->chunk[p->axis] : 0);
    out->segment = s;
    if (!inside(p, s, coord, first)) {
        out->kind = CM_REFERENCE_ODD;
        out->odd = CM_ODD_SEGMENT;
        return 0;
    }
    int r = s->blank     ? 0
            : p->strided ? strided(v, p, s, coord, first, out, err)
                         : listed(v, p, s, first, bytes, out, err);
    if (r) {
        cm_error_object(err, s->leaf->label);
        cm_error_variable(err, p->variable->path);
    } else if (out->kind == CM_REFERENCE_NONE && !reads_as_fill(p, s)) {
        out->kind = CM_REFERENCE_ODD;
        out->odd = CM_ODD_FILL;
    }
    return r;
}

static const cm_rewritten *rewritten_at(const cm_virtual_part *p, int64_t index)
{
    size_t lo = 0, hi = p->nrewritten;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (p->rewritten[mid].index < index)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < p->nrewritten && p->rewritten[lo].index == index ? &p->rewritten[lo] : NULL;
}

static int odd(cm_virtual_part *p, int64_t index, cm_reference *out, cm_error *err)
{
    static const char *const texts[] = {
        "does not lie on the grid of its file",
        "was stored without some of the filters (a filter mask)",
        "was never written, and the value that its cells have is not the _FillValue",
        "is compressed in the zip archive"};
    const cm_rewritten *w = rewritten_at(p, index);
    if (!w) {
        int64_t coord[CM_MAX_DIMS] = {0};
        coordinate(p, index, coord);
        return trouble(p, out->segment->leaf, coord, texts[out->odd], err);
    }
    out->kind = w->small ? CM_REFERENCE_INLINE : CM_REFERENCE_RANGE;
    out->path = p->rewritten_path;
    out->offset = w->offset;
    out->nbytes = w->nbytes;
    if (w->small)
        out->data = p->small_chunks.data + w->offset;
    return 0;
}

int cm_virtual_reference(cm_virtual *v, cm_virtual_part *p, int64_t index, cm_buffer *bytes,
                         cm_reference *out, cm_error *err)
{
    if (p->native) {
        *out = (cm_reference){.kind = CM_REFERENCE_NONE};
        bytes->nbytes = 0;
        int made = native(v, p, bytes, out, err);
        if (made == 0)
            cm_virtual_tally(v, p, out);
        return made;
    }
    int r = cm_virtual_locate(v, p, index, bytes, out, err);
    if (r == 0 && out->kind == CM_REFERENCE_ODD)
        r = odd(p, index, out, err);
    if (r == 0 && (out->kind == CM_REFERENCE_RANGE || out->kind == CM_REFERENCE_WHOLE) &&
        out->nbytes < v->options->inline_nbytes)
        r = take_bytes(v, bytes, out, err);
    if (r == 0)
        cm_virtual_tally(v, p, out);
    if (r) {
        cm_error_object(err, out->segment->leaf->label);
        cm_error_variable(err, p->variable->path);
    }
    return r;
}
