/* format/hdf5/h5_reference.c: references as text.
 *
 * A reference is the address of an object's header, or the place of a selection in a global heap.
 * Neither means anything outside the file, so what a user gets is the path of the object, and, for
 * a region, the cells behind it as h5dump writes them: "/a/b {(0,2)-(3,5), (7,2)-(9,5)}" are
 * blocks, first and last cell of each, "/a/b {(0,2), (4,4)}" are points. A null reference is "". An
 * object with several paths has the one that the scan met first. A reference to what is not in the
 * file is an error and no empty text.
 *
 * Paths are known only when the whole tree is: so attributes that have references are read at the
 * end of a scan (h5_scan.c), and variables keep the table. It holds names and parents, not paths.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "format/hdf5/h5_model.h"

#define MAX_BLOCKS 65536 /* of one region: nobody reads longer text */
#define MAX_DEPTH 128    /* of a path */

typedef struct node {
    uint32_t parent; /* the root is its own */
    uint32_t name;   /* where it begins in names */
} node;

struct cm_h5_paths {
    uint32_t refcount; /* atomic */
    cm_h5_map at;      /* address -> node */
    node *nodes;
    size_t n, capacity;
    cm_buffer names; /* NUL-terminated */
};

cm_h5_paths *cm_h5_paths_ref(cm_h5_paths *p)
{
    if (p)
        __atomic_add_fetch(&p->refcount, 1, __ATOMIC_RELAXED);
    return p;
}

void cm_h5_paths_unref(cm_h5_paths *p)
{
    if (!p || __atomic_sub_fetch(&p->refcount, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    cm_h5_map_deinit(&p->at);
    cm_buffer_deinit(&p->names);
    free(p->nodes);
    free(p);
}

static int add(cm_h5_paths *p, uint32_t parent, const char *name, uint64_t addr, cm_error *err)
{
    if (addr == CM_H5_UNDEF || cm_h5_map_get(&p->at, addr, NULL))
        return 0;
    int rc = cm_grow(&p->nodes, &p->capacity, p->n + 1, sizeof *p->nodes, err);
    if (rc == 0) {
        p->nodes[p->n] = (node){parent, (uint32_t)p->names.nbytes};
        rc = cm_buffer_append(&p->names, name, strlen(name) + 1, err);
    }
    return rc ? rc : cm_h5_map_put(&p->at, addr, p->n++, err);
}

static int add_group(cm_h5_paths *p, const cm_h5_group *g, cm_error *err)
{
    uint64_t own = 0;
    int rc = 0;
    if (!g->parent)
        rc = add(p, 0, "", g->addr, err);
    if (!cm_h5_map_get(&p->at, g->addr, &own))
        return rc;
    for (const cm_h5_dataset *d = g->first; rc == 0 && d; d = d->next)
        rc = add(p, (uint32_t)own, d->name, d->addr, err);
    for (const cm_h5_group *c = g->first_child; rc == 0 && c; c = c->next) {
        rc = add(p, (uint32_t)own, c->name, c->addr, err);
        if (rc == 0)
            rc = add_group(p, c, err);
    }
    return rc;
}

int cm_h5_paths_new(const cm_h5_scan *s, cm_h5_paths **out, cm_error *err)
{
    cm_h5_paths *p = cm_calloc(1, sizeof *p, err);
    if (!p)
        return CM_ENOMEM;
    p->refcount = 1;
    cm_buffer_init(&p->names, UINT32_MAX);
    int rc = add_group(p, s->root, err);
    for (const cm_h5_named *t = s->types; rc == 0 && t; t = t->next) {
        uint64_t parent;
        if (cm_h5_map_get(&p->at, t->group->addr, &parent))
            rc = add(p, (uint32_t)parent, t->name, t->addr, err);
    }
    if (rc) {
        cm_h5_paths_unref(p);
        return rc;
    }
    *out = p;
    return 0;
}

static int put_path(const cm_h5_paths *p, uint64_t addr, cm_buffer *out, cm_error *err)
{
    uint64_t at;
    uint32_t chain[MAX_DEPTH];
    int n = 0, rc = 0;
    if (!cm_h5_map_get(&p->at, addr, &at))
        return cm_error_set(err, CM_EDATA,
                            "a reference to the object at %" PRIu64 ", which is in no group", addr);
    for (; at != 0 && n < MAX_DEPTH; at = p->nodes[at].parent)
        chain[n++] = (uint32_t)at;
    if (n == 0)
        return cm_buffer_append(out, "/", 1, err);
    while (rc == 0 && n-- > 0) {
        rc = cm_buffer_append(out, "/", 1, err);
        if (rc == 0)
            rc = cm_buffer_append_string(out, (const char *)p->names.data + p->nodes[chain[n]].name,
                                         err);
    }
    return rc;
}

/* ---- regions --------------------------------------------------------------------------------- */

static int malformed(cm_error *err)
{
    return cm_error_set(err, CM_EDATA, "a region reference's selection is malformed");
}

static int put_cell(cm_buffer *out, const uint64_t *at, int ndim, cm_error *err)
{
    int rc = 0;
    for (int i = 0; rc == 0 && i < ndim; i++)
        rc = cm_buffer_printf(out, err, "%s%" PRIu64, i ? "," : "(", at[i]);
    return rc ? rc : cm_buffer_append(out, ")", 1, err);
}

static int put_block(cm_buffer *out, bool first, const uint64_t *lo, const uint64_t *hi, int ndim,
                     cm_error *err)
{
    int rc = cm_buffer_append_string(out, first ? " {" : ", ", err);
    if (rc == 0)
        rc = put_cell(out, lo, ndim, err);
    if (rc == 0 && hi)
        rc = cm_buffer_append(out, "-", 1, err);
    return rc || !hi ? rc : put_cell(out, hi, ndim, err);
}

static int too_many(cm_error *err)
{
    return cm_error_set(err, CM_ELIMIT, "a region reference of more than %d parts", MAX_BLOCKS);
}

/* n cells, or pairs of them. */
static int listed(cm_h5_cursor *c, size_t width, int ndim, uint64_t n, bool pairs, cm_buffer *out,
                  cm_error *err)
{
    uint64_t lo[CM_MAX_DIMS], hi[CM_MAX_DIMS];
    int rc = c->bad || n == 0 ? malformed(err) : n > MAX_BLOCKS ? too_many(err) : 0;
    for (uint64_t b = 0; rc == 0 && b < n; b++) {
        for (int i = 0; i < ndim; i++)
            lo[i] = cm_h5_uint(c, width);
        for (int i = 0; pairs && i < ndim; i++)
            hi[i] = cm_h5_uint(c, width);
        rc = c->bad ? malformed(err) : put_block(out, b == 0, lo, pairs ? hi : NULL, ndim, err);
    }
    return rc;
}

/* start, stride, count, block of each axis. */
static int regular(cm_h5_cursor *c, size_t width, int ndim, cm_buffer *out, cm_error *err)
{
    uint64_t v[CM_MAX_DIMS][4], lo[CM_MAX_DIMS], hi[CM_MAX_DIMS], n = 1, moved, end;
    uint64_t all = width == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * width) - 1;
    for (int i = 0; i < ndim; i++) {
        for (int k = 0; k < 4; k++)
            v[i][k] = cm_h5_uint(c, width);
        if (c->bad || v[i][2] == 0 || v[i][3] == 0)
            return malformed(err);
        if (v[i][2] == all || v[i][3] == all)
            return cm_error_set(err, CM_EUNSUP, "a region reference that grows (unlimited)");
        if (v[i][1] == v[i][3]) { /* blocks that touch are one */
            if (!cm_mul_u64(v[i][2], v[i][3], &v[i][3]))
                return malformed(err);
            v[i][2] = 1;
        }
        if (!cm_mul_u64(v[i][2] - 1, v[i][1], &moved) || !cm_add_u64(moved, v[i][3], &end) ||
            !cm_add_u64(end, v[i][0], &end))
            return malformed(err);
        if (!cm_mul_u64(n, v[i][2], &n) || n > MAX_BLOCKS)
            return too_many(err);
    }
    int rc = 0;
    for (uint64_t b = 0; rc == 0 && b < n; b++) {
        uint64_t rest = b;
        for (int i = ndim - 1; i >= 0; rest /= v[i][2], i--) {
            lo[i] = v[i][0] + rest % v[i][2] * v[i][1];
            hi[i] = lo[i] + v[i][3] - 1;
        }
        rc = put_block(out, b == 0, lo, hi, ndim, err);
    }
    return rc;
}

static int put_selection(cm_h5_cursor *c, cm_buffer *out, cm_error *err)
{
    enum { NONE, POINTS, HYPERSLAB, ALL };
    uint32_t type = cm_h5_u32(c), version = cm_h5_u32(c);
    size_t width = version == 1 ? 4 : 8;
    uint8_t flags = 0;
    if (!c->bad && type == ALL)
        return 0;
    if (!c->bad && type == NONE)
        return cm_buffer_append_string(out, " {}", err);
    if (c->bad || (type != POINTS && type != HYPERSLAB) || version < 1)
        return malformed(err);
    if (version > (type == POINTS ? 2 : 3))
        return cm_error_set(err, CM_EUNSUP, "a region reference's selection of version %u",
                            version);
    if (version == 1)
        cm_h5_take(c, 8); /* reserved, length */
    else if (type == HYPERSLAB)
        flags = cm_h5_u8(c);
    if (type == HYPERSLAB && version == 2)
        cm_h5_take(c, 4);
    else if (version > 1)
        width = cm_h5_u8(c);
    uint32_t ndim = cm_h5_u32(c);
    if (c->bad || ndim < 1 || ndim > CM_MAX_DIMS || (width != 2 && width != 4 && width != 8))
        return malformed(err);
    int rc = type == HYPERSLAB && flags & 1
                 ? regular(c, width, (int)ndim, out, err)
                 : listed(c, width, (int)ndim, cm_h5_uint(c, width), type == HYPERSLAB, out, err);
    return rc ? rc : cm_buffer_append(out, "}", 1, err);
}

int cm_h5_reference_text(const cm_h5_paths *p, const cm_h5_file *f, bool region,
                         const uint8_t *bytes, size_t nbytes, cm_buffer *out, cm_error *err)
{
    cm_h5_cursor c = cm_h5_cursor_of(bytes, nbytes);
    uint64_t addr = cm_h5_address(&c, f);
    if (c.bad)
        return cm_error_set(err, CM_EDATA, "a reference of %zu bytes", nbytes);
    if (!region && (addr == 0 || addr == CM_H5_UNDEF))
        return 0;
    int rc = put_path(p, addr, out, err);
    return rc || !region ? rc : put_selection(&c, out, err);
}

int cm_h5_region_place(const cm_h5_file *f, const uint8_t *cell, size_t nbytes, uint64_t *addr,
                       uint32_t *index, cm_error *err)
{
    cm_h5_cursor c = cm_h5_cursor_of(cell, nbytes);
    *addr = cm_h5_address(&c, f);
    *index = cm_h5_u32(&c);
    if (c.bad)
        return cm_error_set(err, CM_EDATA, "a region reference of %zu bytes", nbytes);
    if (*addr == CM_H5_UNDEF)
        *addr = 0;
    return 0;
}
