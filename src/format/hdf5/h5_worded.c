/* format/hdf5/h5_worded.c: cells that have no form but words.
 *
 * Compounds with strings, sequences or references in them, and sequences of such: no dtype holds
 * these, and Zarr has none for them either. Each cell becomes text, the JSON that an attribute of
 * the type would be, on one line as Python's json.dumps has it: {"name": "a", "levels":
 * [1.5, 2.0]}. Nothing is lost but the payload of NaNs. Where nothing was written a cell is that of
 * zeros, as libhdf5 has it: {"name": "", "levels": []}.
 *
 * How large a cell is turns out when it is read. Small ones (FREE_ROOM) are nobody's concern; for
 * others memory is taken from the budget in growing steps, without waiting, and what does not fit
 * is CM_ELIMIT: so sequences that lead to one another's heap objects end there.
 */
#include <stdlib.h>

#include "base/memory.h"
#include "format/hdf5/h5_json.h"

#define FREE_ROOM ((size_t)64 << 10)
#define MOST_ROOM ((size_t)256 << 20) /* FREE_ROOM times a power of STEP */
#define STEP 8

struct cm_h5_wording {
    uint32_t refcount;     /* atomic */
    cm_h5_type type;       /* points into bytes */
    cm_h5_paths *paths;    /* ref'd */
    const uint8_t bytes[]; /* the type message */
};

/* Has it values of variable size, or references, in it? */
static bool varies(const cm_h5_type *t)
{
    cm_h5_type base;
    if (t->cls == CM_H5_VLEN || t->cls == CM_H5_REFERENCE)
        return true;
    if (t->cls == CM_H5_ARRAY)
        return cm_h5_type_parse_base(t, &base, NULL) == 0 && varies(&base);
    if (t->cls != CM_H5_COMPOUND)
        return false;
    cm_h5_cursor c = cm_h5_type_members(t);
    cm_h5_member m;
    for (unsigned i = 0; i < t->nmembers; i++)
        if (cm_h5_type_next_member(t, &c, &m, NULL) || varies(&m.type))
            return true;
    return false;
}

bool cm_h5_type_needs_words(const cm_h5_type *t)
{
    cm_h5_type base;
    if (t->why[0] || t->vlen_string)
        return false;
    if (t->cls == CM_H5_VLEN)
        return cm_h5_type_parse_base(t, &base, NULL) == 0 &&
               (base.cls == CM_H5_ARRAY || varies(&base));
    return t->cls == CM_H5_COMPOUND && varies(t);
}

int cm_h5_wording_new(const cm_h5_file *f, const uint8_t *message, size_t nbytes,
                      cm_h5_paths *paths, cm_h5_wording **out, cm_error *err)
{
    cm_h5_wording *w = cm_calloc(1, sizeof *w + nbytes, err);
    if (!w)
        return CM_ENOMEM;
    w->refcount = 1;
    w->paths = cm_h5_paths_ref(paths);
    memcpy((uint8_t *)(uintptr_t)w->bytes, message, nbytes);
    cm_h5_cursor c = cm_h5_cursor_of(w->bytes, nbytes);
    cm_h5_type base;
    int rc = cm_h5_type_parse(&c, &w->type, err);
    while (rc == 0 && w->type.cls == CM_H5_ARRAY) { /* more axes of the dataset: h5_unfold.c */
        rc = cm_h5_type_parse_base(&w->type, &base, err);
        w->type = base;
    }
    if (rc == 0 && w->type.size > CM_H5_MAX_CELL)
        rc = cm_error_set(err, CM_ELIMIT, "cells of %u bytes", w->type.size);
    if (rc == 0)
        rc = cm_h5_json_check(f, &w->type, err);
    if (rc) {
        cm_h5_wording_unref(w);
        return rc;
    }
    *out = w;
    return 0;
}

cm_h5_wording *cm_h5_wording_ref(cm_h5_wording *w)
{
    if (w)
        __atomic_add_fetch(&w->refcount, 1, __ATOMIC_RELAXED);
    return w;
}

void cm_h5_wording_unref(cm_h5_wording *w)
{
    if (!w || __atomic_sub_fetch(&w->refcount, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    cm_h5_paths_unref(w->paths);
    free(w);
}

/* The cell's text in a document of at most `room` bytes; CM_ENOMEM when that is too little. */
static int write_cell(const cm_h5_wording *w, cm_h5_file *f, const uint8_t *cell, size_t room,
                      char **text, size_t *nbytes, cm_error *err)
{
    size_t nvalues = 0;
    cm_json_doc *doc = NULL;
    int rc = cm_json_doc_new(room, &doc, err);
    if (rc)
        return rc;
    cm_h5_json j = {.file = f,
                    .paths = w->paths,
                    .doc = doc,
                    .nvalues = &nvalues,
                    .max_values = SIZE_MAX,
                    .max_escaped = room,
                    .err = err};
    const cm_json *v = cm_h5_json_cell(&j, &w->type, cell);
    rc = v ? cm_json_write(v, 0, text, nbytes, err) : j.rc;
    cm_json_doc_free(doc);
    return rc;
}

int cm_h5_wording_text(const cm_h5_wording *w, cm_h5_file *f, const uint8_t *cell, char **text,
                       size_t *nbytes, cm_error *err)
{
    cm_budget *budget = cm_context_budget(f->ctx);
    cm_error why;
    for (size_t room = FREE_ROOM; room <= MOST_ROOM; room *= STEP) {
        uint64_t taken = room > FREE_ROOM ? 3 * (uint64_t)room : 0;
        if (taken && !cm_budget_try(budget, taken)) {
            cm_error_set(err, CM_ELIMIT, "no memory left for the text of a cell of over %zu bytes",
                         room / STEP);
            cm_error_hint(err, "give more with --max-mem");
            return CM_ELIMIT;
        }
        why.code = 0;
        int rc = write_cell(w, f, cell, room, text, nbytes, &why);
        if (taken)
            cm_budget_give(budget, taken);
        if (rc && rc != CM_ENOMEM && err)
            *err = why;
        if (rc != CM_ENOMEM)
            return rc;
    }
    return cm_error_set(err, CM_ELIMIT, "a cell whose text takes more than %zu MB to make",
                        MOST_ROOM >> 20);
}

int cm_h5_worded_unpack(const cm_h5_unpacker *u, const uint8_t *p, cm_string *dst, int64_t n,
                        cm_arena *arena, cm_error *err)
{
    for (int64_t i = 0; i < n; i++, p += u->size) {
        char *text, *kept;
        size_t nbytes;
        int rc = cm_h5_wording_text(u->wording, u->file, p, &text, &nbytes, err);
        if (rc)
            return rc;
        kept = cm_arena_alloc(arena, nbytes, err);
        if (kept)
            memcpy(kept, text, nbytes);
        free(text);
        if (!kept)
            return err && err->code ? err->code : CM_ELIMIT;
        dst[i] = (cm_string){kept, nbytes};
    }
    return 0;
}
