/* save/virtual_plan.c: what references would be, or were, written: one JSON document.
 *
 * A plan looks at every chunk's place, as writing does, but neither at its bytes nor at its cells:
 * small chunks are counted as they are stored, chunks that would be rewritten as their cells before
 * they are encoded. Only variables that are written into the references as a whole are read, since
 * text has no length before.
 */
#include "base/bytes.h"
#include "base/context_private.h"
#include "save/virtual.h"

static int no_memory(cm_error *err)
{
    return cm_error_set(err, CM_ENOMEM, "out of memory (plan)");
}

/* Bytes of the cells of a whole chunk. */
static uint64_t chunk_cells(const cm_virtual_part *p)
{
    uint64_t n = p->variable->array->dtype.size;
    for (int i = 0; i < p->ndim; i++)
        if (!cm_mul_u64(n, (uint64_t)p->chunk[i], &n))
            return UINT64_MAX;
    return n;
}

static int count_chunk(cm_virtual *v, cm_virtual_part *p, int64_t index, cm_buffer *bytes,
                       cm_error *err)
{
    cm_reference ref;
    if (p->native)
        return cm_virtual_reference(v, p, index, bytes, &ref, err);
    int r = cm_virtual_locate(v, p, index, bytes, &ref, err);
    if (r == 0 && ref.kind == CM_REFERENCE_ODD && !v->options->materialize)
        return cm_virtual_reference(v, p, index, bytes, &ref, err); /* it says why not */
    if (r || ref.kind == CM_REFERENCE_NONE)
        return r;
    if (ref.kind == CM_REFERENCE_ODD) {
        p->counts.rewritten++;
        p->counts.rewritten_nbytes += chunk_cells(p);
    }
    bool small = ref.kind != CM_REFERENCE_ODD && ref.nbytes < v->options->inline_nbytes;
    if (ref.kind == CM_REFERENCE_INLINE || small)
        ref.kind = CM_REFERENCE_INLINE;
    cm_virtual_tally(v, p, &ref);
    return 0;
}

void cm_virtual_tally(const cm_virtual *v, cm_virtual_part *p, const cm_reference *ref)
{
    if (ref->kind == CM_REFERENCE_NONE)
        return;
    const char *from = ref->segment ? ref->segment->leaf->label : NULL;
    bool there = v->options->append && (p->native || (from && !strcmp(from, v->target)));
    p->counts.references++;
    p->counts.fresh += !there;
    if (ref->kind == CM_REFERENCE_INLINE) {
        p->counts.inlined++;
        p->counts.inlined_nbytes += ref->nbytes;
    }
}

int cm_virtual_count(cm_virtual *v, cm_virtual_part *p, int64_t first, cm_error *err)
{
    cm_buffer bytes;
    int r = 0;
    cm_buffer_init(&bytes, (size_t)1 << 32);
    cm_context_progress_count(v->ctx, "count", p->variable->path, "references", p->nchunks - first);
    for (int64_t i = first; i < p->nchunks && r == 0; i++) {
        if (i % 1024 == 1023)
            cm_context_progress_add(v->ctx, 1024);
        if (i % 1024 == 0)
            r = cm_context_check(v->ctx, err);
        if (r == 0)
            r = count_chunk(v, p, i, &bytes, err);
    }
    cm_buffer_deinit(&bytes);
    return r;
}

cm_virtual_counts cm_virtual_total(const cm_virtual *v)
{
    cm_virtual_counts sum = {0};
    for (size_t i = 0; i < v->nparts; i++) {
        const cm_virtual_counts *c = &v->parts[i].counts;
        sum.references += c->references;
        sum.fresh += c->fresh;
        sum.inlined += c->inlined;
        sum.rewritten += c->rewritten;
        sum.kept += c->kept;
        sum.inlined_nbytes += c->inlined_nbytes;
        sum.rewritten_nbytes += c->rewritten_nbytes;
    }
    return sum;
}

static int put_counts(cm_json_doc *doc, cm_json *to, const cm_virtual_counts *c, cm_error *err)
{
    return cm_json_set_int64(doc, to, "references", c->references) ||
                   cm_json_set_int64(doc, to, "new", c->fresh) ||
                   cm_json_set_int64(doc, to, "inlined", c->inlined) ||
                   cm_json_set_int64(doc, to, "inlined_bytes", (int64_t)c->inlined_nbytes) ||
                   cm_json_set_int64(doc, to, "rewritten", c->rewritten) ||
                   cm_json_set_int64(doc, to, "rewritten_bytes", (int64_t)c->rewritten_nbytes) ||
                   cm_json_set_int64(doc, to, "kept", c->kept)
               ? no_memory(err)
               : 0;
}

static int put_part(const cm_virtual_part *p, cm_json_doc *doc, cm_json *variables, cm_error *err)
{
    cm_json *item = cm_json_new_object(doc), *chunks = cm_json_new_array(doc);
    const char *how = p->native ? "inline" : p->strided ? "rows" : "chunks";
    bool good = item && chunks && !cm_json_add(doc, variables, item);
    for (int i = 0; good && i < p->ndim; i++)
        good = !cm_json_add(doc, chunks, cm_json_new_int64(doc, p->chunk[i]));
    good = good && !cm_json_set_string(doc, item, "path", p->variable->path) &&
           !cm_json_set_string(doc, item, "how", how) &&
           !cm_json_set(doc, item, "chunks", chunks) &&
           !cm_json_set_int64(doc, item, "count", p->nchunks);
    return good ? put_counts(doc, item, &p->counts, err) : no_memory(err);
}

int cm_virtual_describe(const cm_virtual *v, const char *target, cm_json_doc **out, cm_error *err)
{
    cm_virtual_counts total = cm_virtual_total(v);
    cm_json_doc *doc = NULL;
    int r = cm_json_doc_new(0, &doc, err);
    if (r)
        return r;
    cm_json *root = cm_json_new_object(doc), *variables = cm_json_new_array(doc);
    cm_json_doc_set_root(doc, root);
    if (!root || !variables || cm_json_set_string(doc, root, "target", target) ||
        cm_json_set_string(doc, root, "form", v->options->parquet ? "parquet" : "json") ||
        (v->record_size && cm_json_set_int64(doc, root, "record_size", v->record_size)) ||
        cm_json_set_int64(doc, root, "files", (int64_t)cm_paths_count(v->paths)))
        r = no_memory(err);
    if (r == 0)
        r = put_counts(doc, root, &total, err);
    for (size_t i = 0; i < v->nparts && r == 0; i++)
        r = put_part(&v->parts[i], doc, variables, err);
    if (r == 0 && cm_json_set(doc, root, "variables", variables))
        r = no_memory(err);
    if (r)
        cm_json_doc_free(doc);
    else
        *out = doc;
    return r;
}
