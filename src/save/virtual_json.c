/* save/virtual_json.c: kerchunk JSON, version 1, streamed.
 *
 *     {"version":1,"refs":{
 *     ".zgroup":"{...}", ...                         metadata first, as texts
 *     "tas/0.0.0":["file:///data/a.nc",8192,100], ...
 *     },"sources":{"file:///data/a.nc":[size,mtime_ns], ...}}
 *
 * The file is made in pieces of 64 KiB, whatever the number of references, and gets its name when
 * it is whole. "sources" comes last, when all of them are known.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/context_private.h"
#include "base/memory.h"
#include "save/virtual.h"
#include "store/local.h"
#include "text/base64.h"

enum { PIECE = 1 << 16 };

typedef struct writer {
    cm_virtual *v;
    cm_write_fn write;
    void *to;
    cm_buffer out, bytes;
    bool first;
    char **quoted; /* names of paths as JSON strings, made on first use */
    size_t nquoted, quoted_capacity;
} writer;

static int append_base64(cm_buffer *out, const void *data, size_t nbytes, cm_error *err)
{
    size_t ntext = cm_base64_nbytes(nbytes);
    int r = cm_buffer_reserve(out, ntext, err);
    if (r)
        return r;
    cm_base64_encode(data, nbytes, (char *)out->data + out->nbytes);
    out->nbytes += ntext;
    return 0;
}

static int quote(cm_buffer *out, const char *s, cm_error *err)
{
    int r = cm_buffer_append(out, "\"", 1, err);
    for (; *s && r == 0; s++) {
        size_t n = strcspn(s, "\"\\\b\f\n\r\t\x01\x02\x03\x04\x05\x06\x07\x0b\x0e\x0f\x10\x11\x12"
                              "\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f");
        r = cm_buffer_append(out, s, n, err);
        s += n;
        if (!*s)
            break;
        if (r == 0)
            r = *s == '"' || *s == '\\' ? cm_buffer_printf(out, err, "\\%c", *s)
                                        : cm_buffer_printf(out, err, "\\u%04x", (unsigned char)*s);
    }
    return r ? r : cm_buffer_append(out, "\"", 1, err);
}

static int flush(writer *w, size_t least, cm_error *err)
{
    if (w->out.nbytes < least || w->out.nbytes == 0)
        return 0;
    int r = w->write(w->to, w->out.data, w->out.nbytes, err);
    w->out.nbytes = 0;
    return r;
}

static int path_text(writer *w, uint32_t id, const char **out, cm_error *err)
{
    while (w->nquoted <= id) {
        cm_buffer b;
        if (cm_grow(&w->quoted, &w->quoted_capacity, w->nquoted + 1, sizeof *w->quoted, err))
            return CM_ENOMEM;
        char *name = cm_sprintf(err, "file://%s", cm_paths_name(w->v->paths, (uint32_t)w->nquoted));
        cm_buffer_init(&b, 1 << 20);
        int r = name ? quote(&b, name, err) : CM_ENOMEM;
        free(name);
        char *text = r ? NULL : cm_buffer_take_string(&b);
        cm_buffer_deinit(&b);
        if (!text)
            return r ? r : cm_error_set(err, CM_ENOMEM, "out of memory");
        w->quoted[w->nquoted++] = text;
    }
    *out = w->quoted[id];
    return 0;
}

static char *put_uint(char *to, uint64_t v)
{
    char digits[20];
    int n = 0;
    do
        digits[n++] = (char)('0' + v % 10);
    while (v /= 10);
    while (n)
        *to++ = digits[--n];
    return to;
}

/* ,\n"path/0.1.2": */
static int put_key(writer *w, const char *prefix, size_t nprefix, const cm_virtual_part *p,
                   int64_t index, cm_error *err)
{
    int64_t coord[CM_MAX_DIMS];
    int r = cm_buffer_reserve(&w->out, nprefix + 64 + 21 * CM_MAX_DIMS, err);
    if (r)
        return r;
    for (int i = p->ndim - 1; i >= 0; i--) {
        coord[i] = index % p->grid[i];
        index /= p->grid[i];
    }
    char *to = (char *)w->out.data + w->out.nbytes;
    memcpy(to, ",\n", 2);
    to += w->first ? 0 : 2;
    w->first = false;
    memcpy(to, prefix, nprefix);
    to += nprefix;
    for (int i = 0; i < p->ndim; i++) {
        if (i)
            *to++ = '.';
        to = put_uint(to, (uint64_t)coord[i]);
    }
    if (p->ndim == 0)
        *to++ = '0';
    *to++ = '"';
    *to++ = ':';
    w->out.nbytes = (size_t)(to - (char *)w->out.data);
    return 0;
}

static int put_value(writer *w, const cm_reference *ref, cm_error *err)
{
    const char *path;
    if (ref->kind == CM_REFERENCE_INLINE) {
        int r = cm_buffer_append_string(&w->out, "\"base64:", err);
        if (r == 0)
            r = append_base64(&w->out, ref->data, (size_t)ref->nbytes, err);
        return r ? r : cm_buffer_append(&w->out, "\"", 1, err);
    }
    int r = path_text(w, ref->path, &path, err);
    if (r == 0)
        r = cm_buffer_append(&w->out, "[", 1, err);
    if (r == 0)
        r = cm_buffer_append_string(&w->out, path, err);
    if (r == 0)
        r = cm_buffer_reserve(&w->out, 64, err);
    if (r)
        return r;
    char *to = (char *)w->out.data + w->out.nbytes;
    if (ref->kind == CM_REFERENCE_RANGE) {
        *to++ = ',';
        to = put_uint(to, ref->offset);
        *to++ = ',';
        to = put_uint(to, ref->nbytes);
    }
    *to++ = ']';
    w->out.nbytes = (size_t)(to - (char *)w->out.data);
    return 0;
}

static int put_part(writer *w, cm_virtual_part *p, cm_error *err)
{
    cm_buffer prefix;
    cm_buffer_init(&prefix, 1 << 20);
    int r = quote(&prefix, p->variable->path + 1, err);
    if (r == 0) {
        prefix.nbytes--;
        r = cm_buffer_append(&prefix, "/", 1, err);
    }
    cm_context_progress_count(w->v->ctx, "write", p->variable->path, "references", p->nchunks);
    for (int64_t i = 0; i < p->nchunks && r == 0; i++) {
        cm_reference ref;
        if (i % 1024 == 1023) {
            cm_context_progress_add(w->v->ctx, 1024);
            r = cm_context_check(w->v->ctx, err);
        }
        if (r == 0)
            r = cm_virtual_reference(w->v, p, i, &w->bytes, &ref, err);
        if (r || ref.kind == CM_REFERENCE_NONE)
            continue;
        r = put_key(w, (const char *)prefix.data, prefix.nbytes, p, i, err);
        if (r == 0)
            r = put_value(w, &ref, err);
        if (r == 0)
            r = flush(w, PIECE, err);
    }
    cm_buffer_deinit(&prefix);
    return r;
}

static int put_metadata(writer *w, const cm_json *metadata, cm_error *err)
{
    int r = 0;
    for (size_t i = 0; i < cm_json_count(metadata) && r == 0; i++) {
        char *text = NULL;
        size_t nbytes;
        r = cm_json_write(cm_json_at(metadata, i), 0, &text, &nbytes, err);
        if (r == 0 && !w->first)
            r = cm_buffer_append(&w->out, ",\n", 2, err);
        w->first = false;
        if (r == 0)
            r = quote(&w->out, cm_json_key(metadata, i), err);
        if (r == 0)
            r = cm_buffer_append(&w->out, ":", 1, err);
        if (r == 0)
            r = quote(&w->out, text, err);
        if (r == 0)
            r = flush(w, PIECE, err);
        free(text);
    }
    return r;
}

static int put_sources(writer *w, cm_error *err)
{
    cm_json_doc *doc = NULL;
    char *text = NULL;
    size_t nbytes;
    int r = cm_json_doc_new(0, &doc, err);
    cm_json *sources = r ? NULL : cm_virtual_sources(w->v, doc);
    if (r == 0)
        r = sources ? cm_json_write(sources, 0, &text, &nbytes, err)
                    : cm_error_set(err, CM_ENOMEM, "out of memory (sources)");
    if (r == 0)
        r = cm_buffer_append_string(&w->out, "\n},\"sources\":", err);
    if (r == 0)
        r = cm_buffer_append(&w->out, text, nbytes, err);
    if (r == 0)
        r = cm_buffer_append_string(&w->out, "}\n", err);
    free(text);
    cm_json_doc_free(doc);
    return r ? r : flush(w, 0, err);
}

static int produce(void *user, cm_write_fn write, void *to, cm_error *err)
{
    writer *w = user;
    cm_json_doc *doc = NULL;
    w->write = write;
    w->to = to;
    w->first = true;
    int r = cm_virtual_metadata(w->v, &doc, err);
    if (r == 0)
        r = cm_buffer_append_string(&w->out, "{\"version\":1,\"refs\":{\n", err);
    if (r == 0)
        r = put_metadata(w, cm_json_get(cm_json_doc_root(doc), "metadata"), err);
    for (size_t i = 0; i < w->v->nparts && r == 0; i++)
        r = put_part(w, &w->v->parts[i], err);
    if (r == 0)
        r = put_sources(w, err);
    cm_json_doc_free(doc);
    return r;
}

int cm_virtual_write_json(cm_virtual *v, const char *target, cm_error *err)
{
    writer w = {.v = v};
    cm_store *store = NULL;
    int planned = 0;
    for (size_t i = 0; v->options->dry_run && i < v->nparts && planned == 0; i++)
        planned = cm_virtual_count(v, &v->parts[i], 0, err);
    if (v->options->dry_run)
        return planned;
    const char *path = strncmp(target, "file://", 7) == 0 ? target + 7 : target;
    const char *slash = strrchr(path, '/');
    char *directory = slash ? cm_strndup(path, slash == path ? 1 : (size_t)(slash - path), err)
                            : cm_strdup(".", err);
    cm_buffer_init(&w.out, (size_t)1 << 32);
    cm_buffer_init(&w.bytes, (size_t)1 << 32);
    int r = directory ? cm_store_open_local(v->ctx, directory, CM_DURABLE_NONE, &store, err)
                      : CM_ENOMEM;
    if (r == 0)
        cm_local_sweep(directory, slash ? slash + 1 : path, false);
    if (r == 0)
        r = store->vt->put_from(store, slash ? slash + 1 : path, produce, &w,
                                v->options->overwrite ? 0 : CM_PUT_IF_ABSENT, err);
    v->placed = r == 0;
    for (size_t i = 0; i < w.nquoted; i++)
        free(w.quoted[i]);
    free(w.quoted);
    cm_buffer_deinit(&w.out);
    cm_buffer_deinit(&w.bytes);
    cm_store_unref(store);
    free(directory);
    return r;
}
