/* format/hdf5/h5_group.c: the links of a group.
 *
 * Old groups are a version 1 B-tree of symbol nodes over a local heap of names; new ones keep link
 * messages in the object header, or ("dense") in a fractal heap under a version 2 B-tree. All are
 * read completely and then put in netCDF's order: by creation where the group tracks it, else by
 * name.
 *
 * Old nodes have no checksum, and a link that is not counted is a variable that nobody misses. So
 * what is redundant is compared: the right neighbours of B-tree nodes with the order in which they
 * come, and behind the last entry of a node there may be no other one: no symbol node behind the
 * children, and behind the symbols none of the name that the B-tree has for the node's last one.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/memory.h"
#include "format/hdf5/h5_heap.h"

#define MAX_LINKS (1u << 24)

static int add_link(cm_h5_links *out, const cm_h5_link *link, cm_error *err)
{
    if (out->n == MAX_LINKS)
        return cm_error_set(err, CM_ELIMIT, "group has more than %u links", MAX_LINKS);
    if (cm_grow(&out->items, &out->capacity, out->n + 1, sizeof *link, err))
        return CM_ENOMEM;
    out->items[out->n++] = *link;
    return 0;
}

/* ---- old groups ------------------------------------------------------------------------------ */

typedef struct old_group {
    cm_h5_reader *r;
    cm_h5_local names;
    cm_h5_arena *arena;
    cm_h5_links *out;
    uint64_t bytes_left; /* nodes may not add up to more than the file */
    uint64_t right[33];  /* neighbour that the last node of each level named; 0: no node yet */
} old_group;

/* Of a symbol table entry. The specification says that the offset of its name is an offset; libhdf5
 * writes and reads a length, and files whose two widths differ are as libhdf5 makes them. */
static size_t symbol_bytes(const cm_h5_file *f)
{
    return (size_t)f->nbytes_len + f->nbytes_off + 24;
}

static int add_symbol(old_group *g, cm_h5_cursor *c, cm_error *err)
{
    const cm_h5_file *f = g->r->file;
    uint64_t name = cm_h5_uint(c, f->nbytes_len);
    cm_h5_link link = {.kind = CM_H5_LINK_HARD, .addr = cm_h5_address(c, f)};
    uint32_t cache = cm_h5_u32(c);
    cm_h5_take(c, 4);
    uint32_t value = cm_h5_u32(c); /* of the 16 bytes of scratch: a soft link's value */
    cm_h5_take(c, 12);
    if (c->bad)
        return cm_error_set(err, CM_EDATA, "symbol table node is cut off");
    const char *s = cm_h5_local_string(&g->names, name, err);
    if (!s)
        return CM_EDATA;
    if (!*s)
        return cm_error_set(err, CM_EDATA, "link has no name");
    link.name = cm_h5_alloc_string(g->arena, s, strlen(s), err);
    if (!link.name)
        return CM_ENOMEM;
    if (cache == 2) {
        link.kind = CM_H5_LINK_SOFT;
        s = cm_h5_local_string(&g->names, value, err);
        if (!s)
            return CM_EDATA;
        link.target = cm_h5_alloc_string(g->arena, s, strlen(s), err);
        if (!link.target)
            return CM_ENOMEM;
    }
    return add_link(g->out, &link, err);
}

static int spend(old_group *g, uint64_t nbytes, cm_error *err)
{
    if (nbytes > g->bytes_left)
        return cm_error_set(err, CM_EDATA, "group's B-tree has more nodes than fit into the file");
    g->bytes_left -= nbytes;
    return 0;
}

static int cut_off(uint64_t addr, unsigned n, cm_error *err)
{
    return cm_error_set(err, CM_EDATA,
                        "group's node at %" PRIu64 " says that it has %u entries, but more follow "
                        "(damaged?)",
                        addr, n);
}

/* Is the node's last symbol the one that the B-tree says? last: where its name is. */
static int check_symbols(old_group *g, uint64_t addr, unsigned n, uint64_t last, cm_error *err)
{
    const cm_h5_file *f = g->r->file;
    size_t entry = symbol_bytes(f), nbytes;
    const uint8_t *p;
    int rc = cm_h5_get_upto(g->r, addr, 8, 8 + 2u * f->leaf_k * (uint64_t)entry,
                            "symbol table node", &p, &nbytes, err);
    if (rc)
        return rc;
    for (size_t i = n; 8 + (i + 1) * entry <= nbytes; i++) {
        cm_h5_cursor c = cm_h5_cursor_of(p + 8 + i * entry, entry);
        uint64_t name = cm_h5_uint(&c, f->nbytes_len), object = cm_h5_address(&c, f);
        if (name == last && object != 0 && object != CM_H5_UNDEF && object < f->size)
            return cut_off(addr, n, err);
    }
    return 0;
}

/* last: where the name of its last symbol is. */
static int symbol_node(old_group *g, uint64_t addr, uint64_t last, cm_error *err)
{
    const cm_h5_file *f = g->r->file;
    const uint8_t *p;
    int rc = cm_h5_get(g->r, addr, 8, "symbol table node", &p, err);
    if (rc)
        return rc;
    if (memcmp(p, "SNOD", 4) != 0 || p[4] != 1)
        return cm_error_set(err, CM_EDATA, "no symbol table node at %" PRIu64, addr);
    unsigned n = cm_load_le16(p + 6);
    uint64_t nbytes = 8 + (uint64_t)n * symbol_bytes(f);
    rc = spend(g, nbytes, err);
    if (rc == 0)
        rc = cm_h5_get(g->r, addr, nbytes, "symbol table node", &p, err);
    if (rc)
        return rc;
    cm_h5_cursor c = cm_h5_cursor_of(p + 8, nbytes - 8);
    uint64_t name = 0;
    for (unsigned i = 0; rc == 0 && i < n; i++) {
        cm_h5_cursor entry = c;
        name = cm_h5_uint(&entry, f->nbytes_len);
        rc = add_symbol(g, &c, err);
    }
    return rc || (n && name == last) ? rc : check_symbols(g, addr, n, last, err);
}

/* What lies behind the last key of a node: is it a child of this group, with names after the last
 * one? libhdf5 clears these bytes or, before 1.10, leaves what its buffer had: then they are of
 * another group, or of this one before links were removed. */
static bool is_child(const old_group *g, uint64_t last, uint64_t child, uint64_t next)
{
    const cm_h5_file *f = g->r->file;
    const uint8_t *p;
    uint64_t at;
    if (child == 0 || child == CM_H5_UNDEF || !cm_add_u64(f->base, child, &at) || at > f->size ||
        f->size - at < 8 || next == 0 || next % 8 || cm_h5_local_is_free(&g->names, next))
        return false;
    const char *a = cm_h5_local_string(&g->names, last, NULL);
    const char *b = cm_h5_local_string(&g->names, next, NULL);
    return a && b && strcmp(a, b) < 0 &&
           cm_h5_get(g->r, child, 4, "symbol table node", &p, NULL) == 0 &&
           (memcmp(p, "SNOD", 4) == 0 || memcmp(p, "TREE", 4) == 0);
}

/* nbytes: of the node up to its last key, which is `last`. */
static int check_end(old_group *g, uint64_t addr, unsigned n, uint64_t nbytes, uint64_t last,
                     cm_error *err)
{
    const cm_h5_file *f = g->r->file;
    const uint8_t *p;
    size_t got;
    int rc = cm_h5_get_upto(g->r, addr, nbytes, nbytes + f->nbytes_len + f->nbytes_off,
                            "group's B-tree node", &p, &got, err);
    if (rc)
        return rc;
    cm_h5_cursor c = cm_h5_cursor_of(p + nbytes, got - nbytes);
    uint64_t child = cm_h5_address(&c, f), next = cm_h5_length(&c, f);
    return !c.bad && is_child(g, last, child, next) ? cut_off(addr, n, err) : 0;
}

static int check_right(old_group *g, int level, uint64_t addr, cm_error *err)
{
    if (g->right[level] == 0 || g->right[level] == addr)
        return 0;
    return cm_error_set(err, CM_EDATA,
                        "group's B-tree nodes do not follow one another as they say (damaged?)");
}

/* level < 0: any (the root's). Else the node must be of this level. */
static int tree_node(old_group *g, uint64_t addr, int level, cm_error *err)
{
    const cm_h5_file *f = g->r->file;
    size_t head = 8u + 2u * f->nbytes_off, pair = (size_t)f->nbytes_len + f->nbytes_off;
    const uint8_t *p;
    int rc = cm_h5_get(g->r, addr, head, "group's B-tree node", &p, err);
    if (rc)
        return rc;
    if (memcmp(p, "TREE", 4) != 0 || p[4] != 0 || (level >= 0 && p[5] != level) || p[5] > 32)
        return cm_error_set(err, CM_EDATA, "no B-tree node of a group at %" PRIu64, addr);
    level = p[5];
    unsigned n = cm_load_le16(p + 6);
    cm_h5_cursor c = cm_h5_cursor_of(p + 8 + f->nbytes_off, f->nbytes_off);
    rc = check_right(g, level, addr, err);
    g->right[level] = cm_h5_address(&c, f);
    uint64_t nbytes = head + n * (uint64_t)pair + f->nbytes_len;
    if (rc == 0)
        rc = spend(g, nbytes, err);
    if (rc == 0)
        rc = cm_h5_get(g->r, addr, nbytes, "group's B-tree node", &p, err);
    if (rc)
        return rc;
    c = cm_h5_cursor_of(p + head, (size_t)nbytes - head);
    uint64_t last = cm_h5_length(&c, f);
    if (n == 0) /* then it has no keys */
        last = 0;
    for (unsigned i = 0; rc == 0 && i < n; i++) {
        uint64_t child = cm_h5_address(&c, f);
        last = cm_h5_length(&c, f);
        rc = level == 0 ? symbol_node(g, child, last, err) : tree_node(g, child, level - 1, err);
    }
    return rc ? rc : check_end(g, addr, n, nbytes, last, err);
}

static int old_links(cm_h5_reader *r, const cm_h5_message *m, cm_h5_arena *arena, cm_h5_links *out,
                     cm_error *err)
{
    cm_h5_cursor c = cm_h5_cursor_of(m->data, m->nbytes);
    uint64_t tree = cm_h5_address(&c, r->file), heap = cm_h5_address(&c, r->file);
    if (c.bad)
        return cm_error_set(err, CM_EDATA, "symbol table message is malformed");
    old_group g = {.r = r, .arena = arena, .out = out, .bytes_left = r->file->size};
    int rc = cm_h5_local_open(r, heap, &g.names, err);
    if (rc == 0)
        rc = tree_node(&g, tree, -1, err);
    for (int i = 0; rc == 0 && i < 33; i++)
        rc = g.right[i] ? check_right(&g, i, CM_H5_UNDEF, err) : 0;
    return rc;
}

/* ---- new groups ------------------------------------------------------------------------------ */

typedef struct dense {
    cm_h5_reader *r;
    cm_h5_fractal heap;
    cm_h5_arena *arena;
    cm_h5_links *out;
} dense;

/* Record of type 5: hash of the name, heap id. */
static int dense_link(void *user, const uint8_t *record, size_t n, cm_error *err)
{
    dense *d = user;
    const uint8_t *data;
    size_t nbytes;
    if (n < 4)
        return cm_error_set(err, CM_EDATA, "link record is malformed");
    int rc = cm_h5_fractal_get(d->r, &d->heap, record + 4, n - 4, &data, &nbytes, err);
    cm_h5_link link;
    if (rc == 0)
        rc = cm_h5_link_parse(d->r->file, data, nbytes, d->arena, &link, err);
    return rc ? rc : add_link(d->out, &link, err);
}

static int dense_links(cm_h5_reader *r, uint64_t heap, uint64_t tree, cm_h5_arena *arena,
                       cm_h5_links *out, cm_error *err)
{
    dense d = {.r = r, .arena = arena, .out = out};
    int rc = cm_h5_fractal_open(r, heap, &d.heap, err);
    if (rc == 0)
        rc = cm_h5_btree2_each(r, tree, 5, dense_link, &d, err);
    cm_h5_fractal_close(&d.heap);
    return rc;
}

static int new_links(cm_h5_reader *r, const cm_h5_header *h, const cm_h5_message *info,
                     cm_h5_arena *arena, cm_h5_links *out, cm_error *err)
{
    uint64_t heap = CM_H5_UNDEF, tree = CM_H5_UNDEF;
    int rc = 0;
    if (info) {
        cm_h5_cursor c = cm_h5_cursor_of(info->data, info->nbytes);
        uint8_t version = cm_h5_u8(&c), flags = cm_h5_u8(&c);
        out->ordered = flags & 1;
        if (flags & 1)
            cm_h5_take(&c, 8);
        heap = cm_h5_address(&c, r->file);
        tree = cm_h5_address(&c, r->file);
        if (c.bad || version != 0)
            return cm_error_set(err, CM_EDATA, "link info message is malformed");
    }
    for (size_t i = 0; rc == 0 && i < h->n; i++) {
        const cm_h5_message *m = &h->messages[i];
        cm_h5_link link;
        if (m->type != CM_H5_LINK)
            continue;
        rc = cm_h5_link_parse(r->file, m->data, m->nbytes, arena, &link, err);
        if (rc == 0)
            rc = add_link(out, &link, err);
    }
    if (rc == 0 && heap != CM_H5_UNDEF)
        rc = dense_links(r, heap, tree, arena, out, err);
    return rc;
}

static int by_name(const void *a, const void *b)
{
    const cm_h5_link *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static int by_order(const void *a, const void *b)
{
    const cm_h5_link *x = a, *y = b;
    return x->order != y->order ? (x->order < y->order ? -1 : 1) : by_name(a, b);
}

bool cm_h5_header_is_group(const cm_h5_header *h)
{
    return cm_h5_header_find(h, CM_H5_SYMBOL_TABLE) || cm_h5_header_find(h, CM_H5_LINK_INFO) ||
           cm_h5_header_find(h, CM_H5_LINK);
}

int cm_h5_group_links(cm_h5_reader *r, const cm_h5_header *h, cm_h5_arena *arena, cm_h5_links *out,
                      cm_error *err)
{
    out->n = 0;
    out->ordered = false;
    const cm_h5_message *table = cm_h5_header_find(h, CM_H5_SYMBOL_TABLE);
    int rc = table ? old_links(r, table, arena, out, err)
                   : new_links(r, h, cm_h5_header_find(h, CM_H5_LINK_INFO), arena, out, err);
    if (rc)
        return rc;
    if (out->n > 1)
        qsort(out->items, out->n, sizeof *out->items, out->ordered ? by_order : by_name);
    for (size_t i = 1; i < out->n; i++)
        if (!out->ordered && strcmp(out->items[i - 1].name, out->items[i].name) == 0)
            return cm_error_set(err, CM_EDATA, "group has two links of one name");
    return 0;
}
