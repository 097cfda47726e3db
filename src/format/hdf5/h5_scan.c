/* format/hdf5/h5_scan.c: from the root group to a tree of groups and datasets.
 *
 * Group by group: its links, then (in one batch of reads) the object headers that they lead to,
 * then the datasets in order; child groups after the datasets, depth first, as netCDF-C goes, since
 * that order numbers the dimensions. A group that is reached a second time (hard links may form
 * loops) is not listed again. Soft links are followed at the end (h5_softlink.c), and attributes
 * that have references read there. What cannot be read is listed as a dataset with a problem:
 * nothing vanishes.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "format/hdf5/h5_virtual.h"

#define MAX_OBJECTS 1000000
#define MAX_DEPTH 100

const char *cm_h5_path(const cm_h5_group *g, const char *name, char *buf, size_t size)
{
    const cm_h5_group *chain[MAX_DEPTH + 2];
    int n = 0;
    for (; g && g->parent && n <= MAX_DEPTH; g = g->parent)
        chain[n++] = g;
    size_t at = 0;
    buf[0] = 0;
    while (n-- > 0 && at < size)
        at += (size_t)snprintf(buf + at, size - at, "/%s", chain[n]->name);
    if (at < size && (name || at == 0))
        snprintf(buf + at, size - at, "/%s", name ? name : "");
    return buf;
}

/* ---- attributes ------------------------------------------------------------------------------ */

static bool is(const cm_h5_attribute *a, const char *name)
{
    return a->name_nbytes == strlen(name) && memcmp(a->name, name, a->name_nbytes) == 0;
}

/* The names that netCDF-C keeps to itself. */
static bool reserved(const cm_h5_attribute *a)
{
    static const char *const names[] = {
        "CLASS",
        "DIMENSION_LIST",
        "NAME",
        "REFERENCE_LIST",
        "_Codecs",
        "_Format",
        "_IsNetcdf4",
        "_NCProperties",
        "_Netcdf4Coordinates",
        "_Netcdf4Dimid",
        "_SuperblockVersion",
        "_nc3_strict",
        "_ARRAY_DIMENSIONS",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (is(a, names[i]))
            return true;
    return false;
}

/* Bytes of the scalar string attribute a (fixed or variable) begin with prefix. */
static int begins_with(cm_h5_scan *s, const cm_h5_attribute *a, const char *prefix, bool *yes,
                       cm_error *err)
{
    const uint8_t *p = a->data;
    size_t n = a->nbytes;
    *yes = false;
    int rc = 0;
    if (a->type.vlen_string && n >= a->type.size)
        rc = cm_h5_scan_vlen(s, a->data, 1, &p, &n, err);
    else if (a->type.cls != CM_H5_STRING)
        return 0;
    *yes = rc == 0 && n >= strlen(prefix) && memcmp(p, prefix, strlen(prefix)) == 0;
    return cm_h5_is_local(rc) ? 0 : rc;
}

static int64_t load_int(const cm_h5_type *t, const uint8_t *p)
{
    uint64_t v = 0;
    for (uint32_t i = 0; i < t->size && i < 8; i++)
        v |= (uint64_t)p[t->big_endian ? t->size - 1 - i : i] << 8 * i;
    return t->size == 4 ? (int32_t)(uint32_t)v : (int64_t)v;
}

/* _Netcdf4Dimid and _Netcdf4Coordinates. */
static int read_ids(cm_h5_scan *s, cm_h5_dataset *d, const cm_h5_attribute *a, cm_error *err)
{
    size_t n = cm_kind_is_integer(a->type.kind) ? a->nbytes / a->type.size : 0;
    if (is(a, "_Netcdf4Dimid")) {
        d->assigned_id = n == 1 ? load_int(&a->type, a->data) : -1;
        if (d->assigned_id < 0 || d->assigned_id > INT32_MAX)
            return cm_error_set(err, CM_EDATA, "_Netcdf4Dimid is malformed");
        return 0;
    }
    if (n == 0 || n != (size_t)d->space.ndim)
        return cm_error_set(err, CM_EDATA, "_Netcdf4Coordinates has %zu ids for %d dimensions", n,
                            d->space.ndim);
    d->coordinates = cm_h5_alloc(&s->arena, n * sizeof *d->coordinates, err);
    for (size_t i = 0; d->coordinates && i < n; i++)
        d->coordinates[i] = (int32_t)load_int(&a->type, a->data + i * a->type.size);
    return d->coordinates ? 0 : CM_ENOMEM;
}

/* DIMENSION_LIST: for each axis a sequence of references to scales. libnetcdf lets the last one
 * win. */
static int read_scales(cm_h5_scan *s, cm_h5_dataset *d, const cm_h5_attribute *a, cm_error *err)
{
    size_t width = s->file->nbytes_off;
    if (a->type.cls != CM_H5_VLEN || a->type.base_cls != CM_H5_REFERENCE || d->space.ndim == 0 ||
        a->nbytes != a->type.size * (size_t)(d->space.ndim - d->inner_ndim) ||
        a->type.base_size != width)
        return 0; /* not the dimension scale interface's: the axes have no names */
    d->scales = cm_h5_alloc(&s->arena, (size_t)d->space.ndim * sizeof *d->scales, err);
    if (!d->scales)
        return CM_ENOMEM;
    for (int i = 0; i < d->space.ndim; i++) {
        const uint8_t *p;
        size_t n;
        d->scales[i] = CM_H5_UNDEF;
        if (i >= d->space.ndim - d->inner_ndim)
            continue;
        int rc = cm_h5_scan_vlen(s, a->data + (size_t)i * a->type.size, width, &p, &n, err);
        if (rc)
            return rc;
        for (size_t k = 0; k + width <= n; k += width)
            if (cm_load_le(p + k, width) != 0)
                d->scales[i] = cm_load_le(p + k, width);
    }
    return 0;
}

static int bookkeeping(cm_h5_scan *s, cm_h5_dataset *d, const cm_h5_attribute *a, cm_error *err)
{
    if (is(a, "CLASS"))
        return begins_with(s, a, "DIMENSION_SCALE", &d->is_scale, err);
    if (is(a, "NAME"))
        return begins_with(s, a, "This is a netCDF dimension but not a netCDF variable",
                           &d->no_variable, err);
    if (is(a, "DIMENSION_LIST"))
        return read_scales(s, d, a, err);
    if (is(a, "_Netcdf4Dimid") || is(a, "_Netcdf4Coordinates")) {
        s->netcdf = true;
        return read_ids(s, d, a, err);
    }
    return 0;
}

/* Between objects nothing points into the reader's cache. */
static void trim(cm_h5_scan *s)
{
    if (s->reader.arena.total > 32u << 20 || s->collections_nbytes > CM_H5_MAX_COLLECTIONS) {
        cm_h5_scan_drop_collections(s);
        cm_h5_reader_trim(&s->reader);
    }
}

/* Attribute `number` of the object at work has references: their paths are not known yet. */
static int defer(cm_h5_scan *s, cm_h5_item *item, size_t number, const char *path, cm_error *err)
{
    cm_h5_deferred *x = cm_h5_alloc_zero(&s->arena, 1, sizeof *x, err);
    if (!x || !(x->path = cm_h5_alloc_string(&s->arena, path, strlen(path), err)))
        return CM_ENOMEM;
    x->item = item;
    x->addr = s->header.addr;
    x->number = number;
    if (s->last_deferred)
        s->last_deferred->next = x;
    else
        s->first_deferred = x;
    s->last_deferred = x;
    s->refers = true;
    return 0;
}

/* The tree is complete: read them. */
static int read_deferred(cm_h5_scan *s, cm_error *err)
{
    uint64_t at = CM_H5_UNDEF;
    int rc = s->refers ? cm_h5_paths_new(s, &s->paths, err) : 0;
    for (const cm_h5_deferred *x = s->first_deferred; rc == 0 && x; x = x->next) {
        if (x->addr != at) {
            trim(s);
            at = x->addr;
            rc = cm_h5_header_read(&s->reader, at, &s->header, err);
            if (rc == 0)
                rc = cm_h5_attributes_read(&s->reader, &s->header, &s->found, err);
        }
        if (rc == 0 && x->number < s->found.n)
            rc = cm_h5_attribute_value(s, &s->found.items[x->number], x->path, &x->item->value,
                                       &x->item->dtype, err);
        if (rc == 0 && !x->item->value)
            rc = cm_error_set(err, CM_ECHANGED, "attributes of %s are not what they were", x->path);
    }
    return rc;
}

/* The attributes of the object whose header is at work; d is NULL for a group. */
static int read_attributes(cm_h5_scan *s, cm_h5_group *g, cm_h5_dataset *d, cm_h5_items *items,
                           cm_error *err)
{
    char path[512];
    int rc = cm_h5_attributes_read(&s->reader, &s->header, &s->found, err);
    cm_h5_path(g, d ? d->name : NULL, path, sizeof path);
    for (size_t i = 0; rc == 0 && i < s->found.n; i++) {
        const cm_h5_attribute *a = &s->found.items[i];
        if (reserved(a)) {
            if (d)
                rc = bookkeeping(s, d, a, err);
            else if (is(a, "_NCProperties") || is(a, "_nc3_strict"))
                s->netcdf = true;
            continue;
        }
        cm_h5_item *item = cm_h5_alloc(&s->arena, sizeof *item, err);
        if (!item)
            return CM_ENOMEM;
        size_t n;
        *item = (cm_h5_item){0};
        rc = cm_h5_text(s, a->name, a->name_nbytes, path, "name of an attribute", &item->name, &n,
                        err);
        if (rc == 0 && a->type.refers)
            rc = defer(s, item, i, path, err);
        else if (rc == 0)
            rc = cm_h5_attribute_value(s, a, path, &item->value, &item->dtype, err);
        if (items->last)
            items->last->next = item;
        else
            items->first = item;
        items->last = item;
    }
    return rc;
}

/* ---- datasets -------------------------------------------------------------------------------- */

int cm_h5_keep_problem(cm_h5_scan *s, cm_h5_dataset *d, const cm_error *why, cm_error *err)
{
    if (d->problem)
        return 0;
    d->problem = cm_h5_alloc(&s->arena, sizeof *d->problem, err);
    if (!d->problem)
        return CM_ENOMEM;
    *d->problem = *why;
    return 0;
}

static int add_dataset(cm_h5_scan *s, cm_h5_group *g, const char *name, cm_h5_dataset **out,
                       cm_error *err)
{
    if (++s->nobjects > MAX_OBJECTS)
        return cm_error_set(err, CM_ELIMIT, "file has more than %d objects", MAX_OBJECTS);
    cm_h5_dataset *d = cm_h5_alloc_zero(&s->arena, 1, sizeof *d, err);
    if (!d)
        return CM_ENOMEM;
    d->group = g;
    d->name = name;
    d->addr = CM_H5_UNDEF;
    d->assigned_id = -1;
    if (g->last)
        g->last->next = d;
    else
        g->first = d;
    g->last = d;
    *out = d;
    return 0;
}

/* Bytes of a message that the dataset keeps: they must outlive the reader's cache. */
static int keep(cm_h5_scan *s, const uint8_t **data, size_t nbytes, cm_error *err)
{
    if (!*data || nbytes == 0)
        return 0;
    uint8_t *copy = cm_h5_alloc(&s->arena, nbytes, err);
    if (!copy)
        return CM_ENOMEM;
    memcpy(copy, *data, nbytes);
    *data = copy;
    return 0;
}

static int parse_shape_and_type(cm_h5_scan *s, cm_h5_dataset *d, cm_error *err)
{
    const cm_h5_message *m = cm_h5_header_find(&s->header, CM_H5_DATASPACE);
    cm_h5_cursor c;
    int rc = cm_h5_message_bytes(&s->reader, m->type, m->flags, m->data, m->nbytes, &c, err);
    if (rc == 0)
        rc = cm_h5_space_parse(s->file, &c, &d->space, err);
    if (rc)
        return rc;
    d->has_space = true;
    m = cm_h5_header_find(&s->header, CM_H5_DATATYPE);
    rc = cm_h5_message_bytes(&s->reader, m->type, m->flags, m->data, m->nbytes, &c, err);
    d->type_bytes = c.p;
    d->type_nbytes = rc ? 0 : cm_h5_left(&c);
    if (rc == 0)
        rc = keep(s, &d->type_bytes, d->type_nbytes, err);
    c = cm_h5_cursor_of(d->type_bytes, d->type_nbytes);
    if (rc == 0)
        rc = cm_h5_type_parse(&c, &d->type, err);
    d->stored_size = d->type.size;
    if (rc == 0)
        rc = cm_h5_unfold_array(s, d, err);
    d->has_type = rc == 0;
    s->refers = s->refers || d->type.refers;
    return rc;
}

/* The axes of an array type are whole in every chunk. */
static int unfold_chunk(cm_h5_dataset *d, cm_error *err)
{
    cm_h5_layout *l = &d->layout;
    if (l->ndim != d->space.ndim - d->inner_ndim || l->element != d->stored_size)
        return cm_error_set(err, CM_EDATA, "chunks of %d dimensions and cells of %u bytes", l->ndim,
                            l->element);
    for (int i = 0; i < d->inner_ndim; i++, l->ndim++)
        l->chunk[l->ndim] = d->space.dims[l->ndim];
    l->element = d->type.size;
    return 0;
}

static int read_mappings(cm_h5_scan *s, cm_h5_dataset *d, cm_error *err)
{
    const uint8_t *p;
    size_t n;
    if (d->layout.addr == CM_H5_UNDEF || d->layout.addr == 0) /* none */
        return 0;
    int rc = cm_h5_scan_heap_object(s, d->layout.addr, d->layout.heap_index, &p, &n, err);
    return rc ? rc : cm_h5_mappings_parse(s, d, p, n, err);
}

static int parse_storage(cm_h5_scan *s, cm_h5_dataset *d, cm_error *err)
{
    const cm_h5_header *h = &s->header;
    const cm_h5_message *m = cm_h5_header_find(h, CM_H5_LAYOUT);
    if (!m)
        return cm_error_set(err, CM_EDATA, "dataset has no layout");
    int rc = cm_h5_layout_parse(s->file, m, &d->layout, err);
    if (rc == 0 && d->inner_ndim && d->layout.cls == CM_H5_CHUNKED)
        rc = unfold_chunk(d, err);
    if (rc == 0 && d->layout.cls == CM_H5_VIRTUAL)
        rc = read_mappings(s, d, err);
    if (rc == 0 && d->layout.cls == CM_H5_COMPACT)
        rc = keep(s, &d->layout.data, d->layout.nbytes, err);
    m = cm_h5_header_find(h, CM_H5_FILL);
    if (!m)
        m = cm_h5_header_find(h, CM_H5_FILL_OLD);
    cm_h5_cursor c;
    if (rc == 0 && m)
        rc = cm_h5_message_bytes(&s->reader, m->type, m->flags, m->data, m->nbytes, &c, err);
    if (rc == 0 && m)
        rc = cm_h5_fill_parse(m->type, c, &d->fill, err);
    if (rc == 0)
        rc = keep(s, &d->fill.data, d->fill.nbytes, err);
    m = cm_h5_header_find(h, CM_H5_FILTERS);
    if (rc == 0 && m)
        rc = cm_h5_message_bytes(&s->reader, m->type, m->flags, m->data, m->nbytes, &c, err);
    if (rc == 0 && m) {
        cm_h5_filter filters[CM_H5_MAX_FILTERS];
        rc = cm_h5_filters_parse(c, filters, &d->nfilters, err);
        for (int i = 0; rc == 0 && i < d->nfilters; i++)
            rc = keep(s, &filters[i].raw, 4 * (size_t)filters[i].nvalues, err);
        d->filters = (cm_h5_filter *)filters;
        const uint8_t *p = (const uint8_t *)filters;
        if (rc == 0)
            rc = keep(s, &p, (size_t)d->nfilters * sizeof *filters, err);
        d->filters = rc == 0 && d->nfilters ? (cm_h5_filter *)(uintptr_t)p : NULL;
    }
    m = cm_h5_header_find(h, CM_H5_EXTERNAL);
    if (rc == 0 && m)
        rc = cm_h5_external_parse(s, m, d, err);
    return rc;
}

static int scan_dataset(cm_h5_scan *s, cm_h5_group *g, const char *name, cm_error *err)
{
    cm_h5_dataset *d = NULL;
    int rc = add_dataset(s, g, name, &d, err);
    if (rc)
        return rc;
    d->addr = s->header.addr;
    cm_error why;
    why.code = 0;
    rc = parse_shape_and_type(s, d, &why);
    if (rc == 0)
        rc = parse_storage(s, d, &why);
    if (rc && cm_h5_is_local(rc))
        rc = cm_h5_keep_problem(s, d, &why, err);
    else if (rc && err)
        *err = why;
    if (rc)
        return rc;
    rc = read_attributes(s, g, d, &d->attributes, &why);
    if (rc == 0 && d->has_type && d->type.cls == CM_H5_ENUM)
        rc = cm_h5_enum_flags(s, d, &why);
    if (rc && cm_h5_is_local(rc))
        return cm_h5_keep_problem(s, d, &why, err);
    if (rc && err)
        *err = why;
    return rc;
}

/* Something that is there but cannot be read: listed with its reason. */
static int list_unreadable(cm_h5_scan *s, cm_h5_group *g, const char *name, const cm_error *why,
                           cm_error *err)
{
    cm_h5_dataset *d = NULL;
    int rc = add_dataset(s, g, name, &d, err);
    return rc ? rc : cm_h5_keep_problem(s, d, why, err);
}

/* ---- groups ---------------------------------------------------------------------------------- */

static int add_group(cm_h5_scan *s, cm_h5_group *parent, const char *name, uint64_t addr,
                     cm_error *err)
{
    uint64_t at;
    if (cm_h5_map_get(&s->groups, addr, &at))
        return cm_h5_add_byname(s, parent, name, (cm_h5_group *)(uintptr_t)at, err);
    if (++s->nobjects > MAX_OBJECTS)
        return cm_error_set(err, CM_ELIMIT, "file has more than %d objects", MAX_OBJECTS);
    cm_h5_group *g = cm_h5_alloc_zero(&s->arena, 1, sizeof *g, err);
    if (!g)
        return CM_ENOMEM;
    g->name = name;
    g->addr = addr;
    g->parent = parent;
    g->depth = parent ? parent->depth + 1 : 0;
    if (!parent)
        s->root = g;
    else if (parent->last_child)
        parent->last_child->next = g;
    else
        parent->first_child = g;
    if (parent)
        parent->last_child = g;
    return cm_h5_map_put(&s->groups, addr, (uintptr_t)g, err);
}

static int add_type(cm_h5_scan *s, const cm_h5_group *g, const char *name, uint64_t addr,
                    cm_error *err)
{
    cm_h5_named *t = cm_h5_alloc(&s->arena, sizeof *t, err);
    if (!t)
        return CM_ENOMEM;
    *t = (cm_h5_named){s->types, g, name, addr};
    s->types = t;
    return 0;
}

static int scan_hard_link(cm_h5_scan *s, cm_h5_group *g, const char *name, uint64_t addr,
                          cm_error *err)
{
    cm_error why;
    why.code = 0;
    cm_h5_header *h = &s->header;
    int rc = cm_h5_header_read(&s->reader, addr, h, &why);
    if (rc == 0 && cm_h5_header_find(h, CM_H5_DATATYPE) && cm_h5_header_find(h, CM_H5_DATASPACE))
        return scan_dataset(s, g, name, err);
    if (rc == 0 && cm_h5_header_is_group(h) && g->depth < MAX_DEPTH)
        return add_group(s, g, name, addr, err);
    if (rc == 0 && cm_h5_header_find(h, CM_H5_DATATYPE))
        return add_type(s, g, name, addr, err); /* it has no data */
    if (rc == 0 && cm_h5_header_is_group(h))
        rc = cm_error_set(&why, CM_ELIMIT, "groups are nested more than %d levels", MAX_DEPTH);
    else if (rc == 0)
        rc = cm_error_set(&why, CM_EUNSUP, "object is neither group nor dataset nor datatype");
    if (cm_h5_is_local(rc))
        return list_unreadable(s, g, name, &why, err);
    if (err)
        *err = why;
    return rc;
}

static int scan_soft_link(cm_h5_scan *s, cm_h5_group *g, const char *name, const char *target,
                          cm_error *err)
{
    cm_h5_alias *alias = cm_h5_alloc_zero(&s->arena, 1, sizeof *alias, err);
    if (!alias)
        return CM_ENOMEM;
    alias->target = target;
    alias->next = g->aliases;
    g->aliases = alias;
    return add_dataset(s, g, name, &alias->placeholder, err);
}

static int scan_external_link(cm_h5_scan *s, cm_h5_group *g, const char *name,
                              const cm_h5_link *link, cm_error *err)
{
    cm_h5_dataset *d = NULL;
    int rc = add_dataset(s, g, name, &d, err);
    if (rc)
        return rc;
    d->link_file = link->file;
    d->link_path = link->target;
    s->links_out = true;
    return 0;
}

static int scan_link(cm_h5_scan *s, cm_h5_group *g, const cm_h5_link *link, cm_error *err)
{
    char path[512];
    const char *name;
    size_t n;
    int rc = cm_h5_text(s, link->name, strlen(link->name), cm_h5_path(g, NULL, path, sizeof path),
                        "name of a link", &name, &n, err);
    if (rc)
        return rc;
    if (link->kind == CM_H5_LINK_HARD)
        return scan_hard_link(s, g, name, link->addr, err);
    if (link->kind == CM_H5_LINK_SOFT)
        return scan_soft_link(s, g, name, link->target, err);
    if (link->kind == CM_H5_LINK_EXTERNAL)
        return scan_external_link(s, g, name, link, err);
    cm_error why;
    why.code = 0;
    cm_error_set(&why, CM_EUNSUP, "user-defined link of type %u", link->type);
    return list_unreadable(s, g, name, &why, err);
}

static int warm(cm_h5_scan *s, const cm_h5_links *links, cm_error *err)
{
    uint64_t addrs[1024];
    size_t n = 0;
    for (size_t i = 0; i < links->n && n < 1024; i++)
        if (links->items[i].kind == CM_H5_LINK_HARD)
            addrs[n++] = links->items[i].addr;
    return cm_h5_warm(&s->reader, addrs, n, err);
}

static int scan_group(cm_h5_scan *s, cm_h5_group *g, cm_error *err)
{
    cm_h5_links links = {0};
    int rc = cm_h5_header_read(&s->reader, g->addr, &s->header, err);
    if (rc == 0)
        rc = cm_h5_group_links(&s->reader, &s->header, &s->arena, &links, err);
    if (rc == 0)
        rc = warm(s, &links, err);
    if (rc == 0)
        rc = read_attributes(s, g, NULL, &g->attributes, err);
    for (size_t i = 0; rc == 0 && i < links.n; i++) {
        trim(s);
        rc = scan_link(s, g, &links.items[i], err);
        if (rc == 0)
            rc = cm_context_check(s->file->ctx, err);
    }
    free(links.items);
    cm_error why;
    why.code = 0;
    for (cm_h5_group *child = g->first_child, *before = NULL; rc == 0 && child;
         child = child->next) {
        rc = scan_group(s, child, &why);
        if (cm_h5_is_local(rc)) { /* listed as an object with a problem, not as a group */
            rc = list_unreadable(s, g, child->name, &why, err);
            if (before)
                before->next = child->next;
            else
                g->first_child = child->next;
        } else {
            before = child;
            if (rc && err)
                *err = why;
        }
    }
    return rc;
}

int cm_h5_scan_file(cm_h5_scan *s, cm_error *err)
{
    int rc = add_group(s, NULL, "", s->file->root, err);
    if (rc == 0)
        rc = scan_group(s, s->root, err);
    if (rc == 0)
        rc = read_deferred(s, err);
    if (rc == 0)
        rc = cm_h5_aliases_resolve(s, s->root, err);
    return rc;
}

void cm_h5_scan_deinit(cm_h5_scan *s)
{
    cm_h5_scan_drop_collections(s);
    cm_h5_header_deinit(&s->header);
    free(s->found.items);
    cm_h5_paths_unref(s->paths);
    cm_chain_unref(s->chain);
    free(s->chain_text);
    cm_h5_map_deinit(&s->groups);
    cm_h5_map_deinit(&s->names);
    cm_h5_reader_deinit(&s->reader);
    cm_h5_arena_deinit(&s->arena);
}
