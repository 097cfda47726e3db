/* format/tables/tables_pack.c: an opened dataset as an entry.
 *
 *     length of the tree | tree: format, root group | bytes of small variables
 *
 *     group       attributes, dimensions, variables, groups in it
 *     variable    name, dimension names, attributes, storage, array or problem
 *
 * The bytes of small variables come along as they lie in the file, so that what is made of the
 * entry reads them through the same chunks, and who refers to chunks refers to the same ones.
 * A file whose opening asks other files (external links, data in external files, growing virtual
 * datasets) has a tree of no bytes: it is opened itself, every time.
 *
 * Joining looks at coordinates and their bounds (1 MiB a file at most) and compares what the files
 * share (64 KiB more, of variables of 8 KiB or less).
 */
#include <stdlib.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "cf/roles.h"
#include "format/format.h"
#include "format/hdf5/h5_model.h"
#include "format/tables/tables.h"
#include "text/json_wire.h"

enum { MOST_COORDINATES = 1 << 20, MOST_OTHERS = 64 << 10, SMALL = 8 << 10, GAP = 512 };

typedef struct embedding {
    cm_tables_range *ranges;
    size_t n, capacity;
    uint64_t coordinates, others; /* bytes so far */
    const char **bounds;          /* names in the group at work, borrowed */
    size_t nbounds, bounds_capacity;
} embedding;

static void put_attributes(cm_wire_out *w, const cm_attributes *list)
{
    cm_wire_put_uint(w, list->count);
    for (size_t i = 0; i < list->count; i++) {
        const cm_attribute *a = &list->items[i];
        cm_wire_put_string(w, a->name);
        cm_tables_put_dtype(w, a->dtype);
        if (a->dtype.record && w->status == 0)
            w->status = cm_error_set(w->err, CM_EUNSUP, "an attribute of records (%s)", a->name);
        cm_json_wire_put(w, a->value);
    }
}

static void put_lengths(cm_wire_out *w, int n, const int64_t *lengths)
{
    cm_wire_put_uint(w, lengths != NULL);
    for (int i = 0; i < n && lengths; i++)
        cm_wire_put_uint(w, (uint64_t)lengths[i]);
}

/* object is left out where it is the file: it may have another name then. */
static void put_problem(cm_wire_out *w, const cm_variable *v)
{
    const cm_error *e = v->problem;
    bool own = strcmp(e->object, v->group->dataset->uri) == 0;
    cm_wire_put_int(w, e->code);
    cm_wire_put_int(w, e->os_errno);
    cm_wire_put_string(w, own ? "" : e->object);
    cm_wire_put_string(w, e->variable);
    cm_wire_put_string(w, e->message);
    cm_wire_put_string(w, e->hint);
}

/* The names that variables of g give as the bounds of a coordinate. */
static int find_bounds(const cm_group *g, embedding *e, cm_error *err)
{
    static const char *const names[] = {"bounds", "climatology"};
    e->nbounds = 0;
    for (size_t i = 0; i < g->nvariables; i++)
        for (size_t k = 0; k < 2; k++) {
            const cm_attribute *a = cm_attributes_find(&g->variables[i]->attributes, names[k]);
            const char *text = a ? cm_json_string(a->value) : NULL;
            if (!text)
                continue;
            if (cm_grow(&e->bounds, &e->bounds_capacity, e->nbounds + 1, sizeof *e->bounds, err))
                return CM_ENOMEM;
            e->bounds[e->nbounds++] = text;
        }
    return 0;
}

static bool is_bounds(const embedding *e, const cm_variable *v)
{
    for (size_t i = 0; i < e->nbounds; i++)
        if (strcmp(e->bounds[i], v->name) == 0)
            return true;
    return false;
}

static bool is_axis(const cm_variable *v)
{
    return v->ndim == 0 ||
           (v->ndim == 1 && v->dimensions[0] && strcmp(v->dimensions[0], v->name) == 0);
}

/* Keep the ranges that v's array added to the packer, from `from` on, if v is small. */
static int embed(const cm_tables_packer *p, const cm_variable *v, embedding *e, cm_error *err)
{
    uint64_t total = 0;
    for (size_t i = 0; i < p->nranges; i++)
        if (!cm_add_u64(total, p->ranges[i].nbytes, &total))
            return 0;
    if (total == 0 || total > MOST_COORDINATES)
        return 0;
    bool few = total <= SMALL && e->others + total <= MOST_OTHERS;
    if (!few && (e->coordinates + total > MOST_COORDINATES || !(is_axis(v) || is_bounds(e, v))))
        return 0;
    *(few ? &e->others : &e->coordinates) += total;
    if (cm_grow(&e->ranges, &e->capacity, e->n + p->nranges, sizeof *e->ranges, err))
        return CM_ENOMEM;
    memcpy(e->ranges + e->n, p->ranges, p->nranges * sizeof *e->ranges);
    e->n += p->nranges;
    return 0;
}

static void put_variable(cm_tables_packer *p, const cm_variable *v, embedding *e)
{
    cm_wire_out *w = p->w;
    cm_wire_put_string(w, v->name);
    cm_wire_put_uint(w, (uint64_t)v->ndim);
    for (int i = 0; i < v->ndim; i++) {
        cm_wire_put_uint(w, (uint64_t)v->shape[i]);
        cm_wire_put_uint(w, v->dimensions[i] != NULL);
        if (v->dimensions[i])
            cm_wire_put_string(w, v->dimensions[i]);
    }
    put_attributes(w, &v->attributes);
    put_lengths(w, v->ndim, v->storage.chunks);
    put_lengths(w, v->ndim, v->storage.shards);
    cm_wire_put_string(w, v->storage.codecs);
    cm_wire_put_string(w, v->storage.stored_dtype);
    cm_wire_put_uint(w, (v->storage.raw ? 1u : 0) | (v->storage.codecs ? 2u : 0));
    p->nranges = 0;
    p->counts->variables++;
    if (!v->array) {
        cm_wire_put_uint(w, CM_TABLES_PROBLEM);
        put_problem(w, v);
        return;
    }
    cm_tables_pack_array(p, v->array);
    if (w->status == 0)
        w->status = embed(p, v, e, w->err);
}

static void put_group(cm_tables_packer *p, const cm_group *g, embedding *e)
{
    cm_wire_out *w = p->w;
    put_attributes(w, &g->attributes);
    cm_wire_put_uint(w, g->ndimensions);
    for (size_t i = 0; i < g->ndimensions; i++) {
        cm_wire_put_string(w, g->dimensions[i].name);
        cm_wire_put_uint(w, (uint64_t)g->dimensions[i].length);
        cm_wire_put_uint(w, g->dimensions[i].unlimited);
    }
    cm_wire_put_uint(w, g->nvariables);
    if (w->status == 0)
        w->status = find_bounds(g, e, w->err);
    for (size_t i = 0; i < g->nvariables && w->status == 0; i++)
        put_variable(p, g->variables[i], e);
    cm_wire_put_uint(w, g->ngroups);
    for (size_t i = 0; i < g->ngroups && w->status == 0; i++) {
        cm_wire_put_string(w, g->groups[i]->name);
        put_group(p, g->groups[i], e);
    }
}

/* ---- bytes of small variables ---------------------------------------------------------------- */

static int by_offset(const void *va, const void *vb)
{
    const cm_tables_range *a = va, *b = vb;
    return a->offset < b->offset ? -1 : a->offset > b->offset;
}

/* Sorted, and neighbours as one. */
static void merge(embedding *e)
{
    size_t n = 0;
    if (e->n)
        qsort(e->ranges, e->n, sizeof *e->ranges, by_offset);
    for (size_t i = 0; i < e->n; i++) {
        cm_tables_range *last = n ? &e->ranges[n - 1] : NULL, *r = &e->ranges[i];
        if (!last || r->offset > last->offset + last->nbytes + GAP)
            e->ranges[n++] = *r;
        else if (r->offset + r->nbytes > last->offset + last->nbytes)
            last->nbytes = r->offset + r->nbytes - last->offset;
    }
    e->n = n;
}

static int read_ranges(const cm_tables_file *f, const embedding *e, uint8_t *bytes, cm_error *err)
{
    cm_range *batch = cm_calloc(e->n, sizeof *batch, err);
    if (!batch)
        return CM_ENOMEM;
    cm_object_version version = f->version;
    for (size_t i = 0; i < e->n; bytes += e->ranges[i++].nbytes)
        batch[i] = (cm_range){e->ranges[i].offset, (size_t)e->ranges[i].nbytes, bytes};
    int ret = f->store->vt->get(f->store, f->key, batch, (int)e->n, &version, err);
    free(batch);
    return ret;
}

static void put_bytes(cm_tables_packer *p, embedding *e)
{
    cm_wire_out *w = p->w;
    size_t total = 0;
    uint64_t end = 0;
    merge(e);
    cm_wire_put_uint(w, e->n);
    if (e->n == 0 || w->status)
        return;
    for (size_t i = 0; i < e->n; i++)
        total += (size_t)e->ranges[i].nbytes;
    uint8_t *bytes = cm_calloc(total, 1, w->err), *at = bytes;
    w->status = bytes ? read_ranges(p->file, e, bytes, w->err) : CM_ENOMEM;
    for (size_t i = 0; i < e->n; i++) {
        cm_wire_put_uint(w, e->ranges[i].offset - end);
        cm_wire_put_bytes(w, at, (size_t)e->ranges[i].nbytes);
        at += e->ranges[i].nbytes;
        end = e->ranges[i].offset + e->ranges[i].nbytes;
    }
    p->counts->embedded += total;
    free(bytes);
}

/* Say that all chunk indexes will be read: their roots are then fetched together. */
static void want_indexes(const cm_group *g)
{
    for (size_t i = 0; i < g->nvariables; i++) {
        const cm_array *a = g->variables[i]->array;
        cm_array *inside = a ? cm_h5_extended_inside(a) : NULL;
        a = inside ? inside : a;
        if (a && cm_array_is_chunked(a))
            cm_chunked_want(a);
    }
    for (size_t i = 0; i < g->ngroups; i++)
        want_indexes(g->groups[i]);
}

static uint64_t count_variables(const cm_group *g)
{
    uint64_t n = g->nvariables;
    for (size_t i = 0; i < g->ngroups; i++)
        n += count_variables(g->groups[i]);
    return n;
}

static int check_unchanged(const cm_tables_file *file, cm_error *err)
{
    cm_object_version now;
    int ret = file->store->vt->stat(file->store, file->key, &now, err);
    if (ret == 0 && memcmp(&now, &file->version, sizeof now) != 0)
        ret = cm_error_set(err, CM_ECHANGED, "changed while it was scanned");
    return ret;
}

int cm_tables_pack(cm_context *ctx, cm_dataset *ds, const cm_tables_file *file, cm_wire_out *w,
                   cm_tables_counts *counts)
{
    cm_wire_out tree;
    cm_tables_packer p = {.ctx = ctx, .file = file, .w = &tree, .counts = counts};
    embedding e = {0};
    bool known = strncmp(ds->format, "NetCDF", 6) == 0 || strncmp(ds->format, "HDF5", 4) == 0;
    if (!known || ds->is_array || ds->sources) {
        cm_error_set(w->err, CM_EUNSUP, "%s: scan tables hold NetCDF and HDF5 files", ds->format);
        cm_error_hint(w->err, "name it itself, it needs none");
        return CM_EUNSUP;
    }
    if (ds->elsewhere) { /* nobody looks at the other files' versions: it is opened every time */
        counts->deferred = counts->variables = count_variables(ds->root);
        cm_wire_put_uint(w, 0);
        cm_wire_put_uint(w, 0);
        return w->status ? w->status : check_unchanged(file, w->err);
    }
    int ret = cm_h5_nowhere_new(&p.nowhere, w->err);
    if (ret)
        return ret;
    cm_wire_init(&p.listing, w->bytes.max, w->err);
    cm_wire_init(&tree, w->bytes.max, w->err);
    cm_wire_put_string(&tree, ds->format);
    want_indexes(ds->root);
    put_group(&p, ds->root, &e);
    cm_wire_put_bytes(w, tree.bytes.data, tree.bytes.nbytes);
    if (w->status == 0)
        w->status = tree.status;
    p.w = w;
    put_bytes(&p, &e);
    if (w->status == 0)
        w->status = check_unchanged(file, w->err);
    cm_wire_deinit(&p.listing);
    cm_wire_deinit(&tree);
    p.nowhere->free(p.nowhere);
    free(p.ranges);
    free(e.ranges);
    free(e.bounds);
    return w->status;
}
