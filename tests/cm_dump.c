/* tests/cm_dump.c: what the library sees in a dataset, for tests in other languages.
 *
 *     cm_dump [--format F] [--no-values] [--chunk-list] URI    one JSON object a line
 *     cm_dump [--format F] --raw PATH URI                      the cells of one variable as bytes
 *
 * Lines: for each group {"group", "format", "attrs", "dimensions": [[name, length, unlimited]...]},
 * then for each variable of it {"path", "dtype", "shape", "dims", "attrs", "stored", "codecs",
 * "chunks", "shards", "cells", "fnv1a", "first", "last"} or, for one that cannot be read, {"path",
 * "problem": {"code", "message"}}; one whose cells cannot be read has "error" like that. attrs:
 * {name: {"dtype", "value"}}. fnv1a: 64-bit FNV-1a in hex over the native (little-endian) cells in
 * C order; a string is its length as 4 bytes little-endian, then its bytes. The same bytes are what
 * --raw writes. first and last: up to 4 cells, opaque bytes in hex. --chunk-list adds to variables
 * that have chunks "chunk_list": [[coordinate, offset, nbytes, filter mask]...] of those present.
 * An error goes to standard error as "CODE: line" and the status is 3.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chunkmill/dataset.h"
#include "dataset/dataset_private.h"

enum { BLOCK = 32 << 20, EDGE = 4 };

typedef struct dump {
    cm_context *ctx;
    cm_json_doc *doc;
    bool values, chunk_list;
    FILE *raw;  /* cells go here instead */
    int failed; /* of the first variable whose cells cannot be read */
    cm_error why;
} dump;

typedef struct cells {
    uint64_t hash;
    int64_t n;
    cm_json *first, *edge[EDGE]; /* edge: the last ones, a ring */
} cells;

static int no_memory(cm_error *err)
{
    return cm_error_set(err, CM_ENOMEM, "out of memory");
}

static void eat(dump *d, cells *c, const void *data, size_t n)
{
    const unsigned char *p = data;
    if (n == 0) /* an empty string's data is NULL */
        return;
    if (d->raw) {
        fwrite(data, 1, n, d->raw);
        return;
    }
    for (size_t i = 0; i < n; i++)
        c->hash = (c->hash ^ p[i]) * 0x100000001b3u;
}

static cm_json *cell_json(dump *d, cm_dtype dtype, const void *cell)
{
    if (dtype.kind == CM_STRING) {
        const cm_string *s = cell;
        return cm_json_new_string_n(d->doc, s->nbytes ? s->data : "", s->nbytes);
    }
    const unsigned char *bytes = cell;
    size_t n = dtype.size;
    if (dtype.kind < CM_BYTES || cm_kind_is_time(dtype.kind))
        return cm_json_from_cells(d->doc, dtype, cell, 1, true);
    if (cm_kind_is_vlen(dtype.kind)) {
        bytes = (const unsigned char *)((const cm_string *)cell)->data;
        n = ((const cm_string *)cell)->nbytes;
    }
    char hex[2 * 64 + 1] = "";
    for (size_t i = 0; i < n && i < 64; i++)
        snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    return cm_json_new_string(d->doc, hex);
}

static int take(dump *d, cells *c, cm_dtype dtype, const void *data, int64_t n, cm_error *err)
{
    const char *p = data;
    if (!cm_kind_is_vlen(dtype.kind))
        eat(d, c, data, (size_t)n * dtype.size);
    for (int64_t i = 0; i < n && cm_kind_is_vlen(dtype.kind); i++) {
        const cm_string *s = (const cm_string *)data + i;
        unsigned char length[4];
        for (int k = 0; k < 4; k++)
            length[k] = (unsigned char)(s->nbytes >> (8 * k));
        eat(d, c, length, 4);
        eat(d, c, s->data, s->nbytes);
    }
    for (int64_t i = 0; i < n && !d->raw; i++) {
        bool head = c->n + i < EDGE, tail = i >= n - EDGE;
        const void *cell = p + (size_t)i * dtype.size;
        if (head && cm_json_add(d->doc, c->first, cell_json(d, dtype, cell)))
            return no_memory(err);
        if (tail && !(c->edge[(c->n + i) % EDGE] = cell_json(d, dtype, cell)))
            return no_memory(err);
    }
    c->n += n;
    return 0;
}

/* All cells in C order, in boxes of about BLOCK bytes: whole axes above `axis`, runs of it, single
 * indices below. */
static int read_cells(dump *d, cm_array *a, cells *c, cm_error *err)
{
    cm_dtype dtype = cm_array_dtype(a);
    int ndim = cm_array_ndim(a), axis = ndim, ret = 0;
    const int64_t *shape = cm_array_shape(a);
    int64_t start[CM_MAX_DIMS] = {0}, count[CM_MAX_DIMS], inner = 1;
    for (int i = 0; i < ndim; i++) {
        count[i] = 1;
        if (shape[i] == 0)
            return 0;
    }
    while (axis > 0 && inner * shape[axis - 1] <= BLOCK / (int64_t)dtype.size) {
        axis--;
        inner *= count[axis] = shape[axis];
    }
    int64_t run = BLOCK / (int64_t)dtype.size / inner;
    run = run < 1 ? 1 : run;
    void *buf = malloc((size_t)(inner * (axis ? run : 1)) * dtype.size + 1);
    if (!buf)
        return no_memory(err);
    for (bool more = true; more && ret == 0;) {
        if (axis > 0) {
            int64_t left = shape[axis - 1] - start[axis - 1];
            count[axis - 1] = left < run ? left : run;
        }
        cm_arena *arena = NULL;
        ret = cm_arena_new(d->ctx, &arena, err);
        if (ret == 0)
            ret = cm_array_read(d->ctx, a, start, count, buf, NULL, arena, err);
        if (ret == 0)
            ret = take(d, c, dtype, buf, inner * (axis ? count[axis - 1] : 1), err);
        cm_arena_free(arena);
        more = false;
        for (int i = axis - 1; i >= 0 && !more; i--) {
            start[i] += i == axis - 1 ? count[i] : 1;
            more = start[i] < shape[i];
            if (!more)
                start[i] = 0;
        }
    }
    free(buf);
    return ret;
}

static cm_json *lengths(dump *d, const int64_t *v, int n)
{
    if (!v)
        return cm_json_new_null(d->doc);
    cm_json *list = cm_json_new_array(d->doc);
    for (int i = 0; i < n; i++)
        if (cm_json_add(d->doc, list, cm_json_new_int64(d->doc, v[i])))
            return NULL;
    return list;
}

static cm_json *attribute_json(dump *d, const cm_attribute *a)
{
    char name[CM_DTYPE_NAME];
    cm_json *o = cm_json_new_object(d->doc);
    if (cm_json_set_string(d->doc, o, "dtype", cm_dtype_name(a->dtype, name, sizeof name)) ||
        cm_json_set(d->doc, o, "value", cm_json_copy(d->doc, a->value)))
        return NULL;
    return o;
}

static void print_line(const cm_json *o, cm_error *err)
{
    char *text = NULL;
    size_t n;
    if (cm_json_write(o, 0, &text, &n, err) == 0)
        puts(text);
    free(text);
}

static int add_values(dump *d, cm_json *o, cm_array *a, cm_error *err)
{
    cells c = {.hash = 0xcbf29ce484222325u, .first = cm_json_new_array(d->doc)};
    int ret = read_cells(d, a, &c, err);
    if (ret || d->raw)
        return ret;
    char hex[24];
    snprintf(hex, sizeof hex, "%016" PRIx64, c.hash);
    cm_json *last = cm_json_new_array(d->doc);
    for (int64_t i = c.n > EDGE ? c.n - EDGE : 0; i < c.n; i++)
        ret |= cm_json_add(d->doc, last, c.edge[i % EDGE]);
    ret |= cm_json_set_int64(d->doc, o, "cells", c.n);
    ret |= cm_json_set_string(d->doc, o, "fnv1a", hex);
    ret |= cm_json_set(d->doc, o, "first", c.first);
    ret |= cm_json_set(d->doc, o, "last", last);
    return ret ? no_memory(err) : 0;
}

/* Where every chunk is. */
static int add_chunks(dump *d, cm_json *o, const cm_variable *v, cm_error *err)
{
    const cm_array *a = cm_variable_array(v);
    const int64_t *chunks = cm_variable_storage(v)->chunks, *shape = cm_array_shape(a);
    int64_t coord[CM_MAX_DIMS] = {0};
    int ndim = cm_array_ndim(a), bad = 0, axis = 0;
    cm_json *list = cm_json_new_array(d->doc);
    for (int i = 0; i < ndim; i++)
        axis = shape[i] == 0 ? -1 : axis;
    while (axis >= 0 && !bad) {
        cm_chunk_info info;
        int ret = cm_variable_chunk_info(d->ctx, v, coord, &info, err);
        if (ret)
            return ret;
        if (info.present) {
            cm_json *one = cm_json_new_array(d->doc);
            bad |= cm_json_add(d->doc, one, lengths(d, coord, ndim));
            bad |= cm_json_add(d->doc, one, cm_json_new_int64(d->doc, (int64_t)info.offset));
            bad |= cm_json_add(d->doc, one, cm_json_new_int64(d->doc, (int64_t)info.nbytes));
            bad |= cm_json_add(d->doc, one, cm_json_new_int64(d->doc, info.filter_mask));
            bad |= cm_json_add(d->doc, list, one);
        }
        for (axis = ndim - 1; axis >= 0; axis--) {
            if (++coord[axis] * chunks[axis] < shape[axis])
                break;
            coord[axis] = 0;
        }
    }
    bad |= cm_json_set(d->doc, o, "chunk_list", list);
    return bad ? no_memory(err) : 0;
}

static int dump_problem(dump *d, const cm_variable *v, cm_json *o, cm_error *err)
{
    const cm_error *p = cm_variable_problem(v);
    cm_json *why = cm_json_new_object(d->doc);
    int ret = cm_json_set_string(d->doc, why, "code", cm_code_name(p->code));
    ret |= cm_json_set_string(d->doc, why, "message", p->message);
    ret |= cm_json_set(d->doc, o, "problem", why);
    return ret ? no_memory(err) : 0;
}

/* Its cells cannot be read: say so in the line, go on, and remember the first such error. */
static int unreadable(dump *d, cm_json *o, int code, const cm_error *err)
{
    cm_json *why = cm_json_new_object(d->doc);
    int bad = cm_json_set_string(d->doc, why, "code", cm_code_name(code));
    bad |= cm_json_set_string(d->doc, why, "message", err->message);
    bad |= cm_json_set(d->doc, o, "error", why);
    print_line(o, NULL);
    if (d->failed == 0) {
        d->failed = code;
        d->why = *err;
    }
    return bad ? CM_ENOMEM : 0;
}

static int dump_variable(dump *d, const cm_variable *v, cm_error *err)
{
    char name[CM_DTYPE_NAME];
    cm_array *a = cm_variable_array(v);
    const cm_storage *s = cm_variable_storage(v);
    cm_json *o = cm_json_new_object(d->doc), *attrs = cm_json_new_object(d->doc);
    int bad = cm_json_set_string(d->doc, o, "path", cm_variable_path(v));
    for (size_t i = 0; i < cm_variable_nattributes(v); i++) {
        const cm_attribute *at = cm_variable_attribute(v, i);
        bad |= cm_json_set(d->doc, attrs, at->name, attribute_json(d, at));
    }
    if (!a) {
        bad |= cm_json_set(d->doc, o, "attrs", attrs);
        int ret = bad ? no_memory(err) : dump_problem(d, v, o, err);
        print_line(o, err);
        return ret;
    }
    int ndim = cm_array_ndim(a);
    cm_json *dims = cm_json_new_array(d->doc);
    for (int i = 0; i < ndim; i++) {
        const char *dim = cm_variable_dimension(v, i);
        bad |= cm_json_add(d->doc, dims,
                           dim ? cm_json_new_string(d->doc, dim) : cm_json_new_null(d->doc));
    }
    bad |=
        cm_json_set_string(d->doc, o, "dtype", cm_dtype_name(cm_array_dtype(a), name, sizeof name));
    bad |= cm_json_set(d->doc, o, "shape", lengths(d, cm_array_shape(a), ndim));
    bad |= cm_json_set(d->doc, o, "dims", dims);
    bad |= cm_json_set(d->doc, o, "attrs", attrs);
    bad |= cm_json_set_string(d->doc, o, "stored", s->stored_dtype ? s->stored_dtype : "");
    bad |= cm_json_set_string(d->doc, o, "codecs", s->codecs ? s->codecs : "");
    bad |= cm_json_set(d->doc, o, "chunks", lengths(d, s->chunks, ndim));
    bad |= cm_json_set(d->doc, o, "shards", lengths(d, s->shards, ndim));
    int ret = bad ? no_memory(err) : 0;
    if (ret == 0 && d->chunk_list && s->chunks && (ret = add_chunks(d, o, v, err)))
        return unreadable(d, o, ret, err);
    if (ret == 0 && d->values && (ret = add_values(d, o, a, err))) {
        cm_error_variable(err, cm_variable_path(v));
        return unreadable(d, o, ret, err);
    }
    if (ret == 0)
        print_line(o, err);
    return ret;
}

static int dump_group(dump *d, const cm_dataset *ds, const cm_group *g, cm_error *err)
{
    cm_json *o = cm_json_new_object(d->doc), *attrs = cm_json_new_object(d->doc);
    cm_json *dims = cm_json_new_array(d->doc);
    int bad = cm_json_set_string(d->doc, o, "group", cm_group_path(g));
    bad |= cm_json_set_string(d->doc, o, "format", cm_dataset_format(ds));
    for (size_t i = 0; i < cm_group_nattributes(g); i++) {
        const cm_attribute *at = cm_group_attribute(g, i);
        bad |= cm_json_set(d->doc, attrs, at->name, attribute_json(d, at));
    }
    for (size_t i = 0; i < cm_group_ndimensions(g); i++) {
        const cm_dimension *dim = cm_group_dimension(g, i);
        cm_json *one = cm_json_new_array(d->doc);
        bad |= cm_json_add(d->doc, one, cm_json_new_string(d->doc, dim->name));
        bad |= cm_json_add(d->doc, one, cm_json_new_int64(d->doc, dim->length));
        bad |= cm_json_add(d->doc, one, cm_json_new_bool(d->doc, dim->unlimited));
        bad |= cm_json_add(d->doc, dims, one);
    }
    bad |= cm_json_set(d->doc, o, "attrs", attrs);
    bad |= cm_json_set(d->doc, o, "dimensions", dims);
    int ret = bad ? no_memory(err) : 0;
    if (ret == 0)
        print_line(o, err);
    for (size_t i = 0; i < cm_group_nvariables(g) && ret == 0; i++)
        ret = dump_variable(d, cm_group_variable(g, i), err);
    for (size_t i = 0; i < cm_group_ngroups(g) && ret == 0; i++)
        ret = dump_group(d, ds, cm_group_at(g, i), err);
    return ret;
}

static int dump_raw(dump *d, cm_dataset *ds, const char *path, cm_error *err)
{
    cm_variable *v = cm_group_find_variable(cm_dataset_root(ds), path);
    if (!v)
        return cm_error_set(err, CM_ENOTFOUND, "no variable %s", path);
    if (!cm_variable_array(v)) {
        if (err)
            *err = *cm_variable_problem(v);
        return cm_variable_problem(v)->code;
    }
    d->raw = stdout;
    return add_values(d, NULL, cm_variable_array(v), err);
}

static void log_line(void *user, cm_log_level level, const char *line)
{
    (void)user;
    (void)level;
    fprintf(stderr, "# %s\n", line);
}

int main(int argc, char **argv)
{
    const char *format = NULL, *uri = NULL, *raw = NULL;
    dump d = {.values = true};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--format") == 0 && i + 1 < argc)
            format = argv[++i];
        else if (strcmp(argv[i], "--raw") == 0 && i + 1 < argc)
            raw = argv[++i];
        else if (strcmp(argv[i], "--no-values") == 0)
            d.values = false;
        else if (strcmp(argv[i], "--chunk-list") == 0)
            d.chunk_list = true;
        else
            uri = argv[i];
    }
    if (!uri) {
        fputs("usage: cm_dump [--format F] [--no-values] [--chunk-list] [--raw PATH] URI\n",
              stderr);
        return 2;
    }
    cm_error err;
    cm_error_clear(&err);
    cm_context_options options;
    cm_context_options_init(&options);
    options.log = log_line;
    cm_dataset *ds = NULL;
    int ret = cm_context_new(&options, &d.ctx, &err);
    if (ret == 0)
        ret = cm_json_doc_new(0, &d.doc, &err);
    if (ret == 0)
        ret = cm_dataset_open(d.ctx, uri, format, &ds, &err);
    if (ret == 0)
        ret = raw ? dump_raw(&d, ds, raw, &err) : dump_group(&d, ds, cm_dataset_root(ds), &err);
    if (ret == 0 && d.failed) {
        ret = d.failed;
        err = d.why;
    }
    if (ret) {
        char line[2048];
        fflush(stdout);
        fprintf(stderr, "%s: %s\n", cm_code_name(ret), cm_error_line(&err, line, sizeof line));
    }
    cm_dataset_free(ds);
    cm_json_doc_free(d.doc);
    cm_context_free(d.ctx);
    return ret ? 3 : 0;
}
