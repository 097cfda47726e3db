/* format/hdf5/h5_strings.c: stored cells that are not numbers in memory's form: strings, sequences,
 * bools, and integers that fill their bytes only in part.
 *
 * Fixed strings are cut at their padding. Variable strings are 4 bytes of length, the address of a
 * global heap collection (h5_heap_cache.c) and an index into it. Every string must be UTF-8, else
 * the read is CM_EDATA: a string that is not text could not be written to any Zarr store. Sequences
 * lie in the same heaps, their length a number of elements; what these are is h5_record.c's. Cells
 * that have no form but text are h5_worded.c's. A bool must be 0 or 1.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/memory.h"
#include "format/hdf5/h5_model.h"
#include "text/utf8.h"

#define MAX_TEXT (256u << 20) /* of the references of one block of cells */

/* ---- cells ----------------------------------------------------------------------------------- */

static int check_text(const cm_string *s, cm_error *err)
{
    return cm_utf8_valid(s->data, s->nbytes)
               ? 0
               : cm_error_set(err, CM_EDATA, "a string of %zu bytes is not UTF-8", s->nbytes);
}

/* Views of bytes that go away become the arena's; `moves`: lists of such cells. */
static int to_arena(const cm_h5_moves *moves, cm_string *s, int64_t n, cm_arena *arena,
                    cm_error *err)
{
    size_t total = 0, stored = moves ? cm_h5_moves_stored(moves) : 1;
    size_t native = moves ? cm_h5_moves_dtype(moves).size : 1;
    for (int64_t i = 0; i < n; i++)
        if (!cm_add_size(total, s[i].nbytes / stored * native, &total))
            return cm_error_set(err, CM_ELIMIT, "strings are larger than memory can be");
    if (total == 0)
        return 0;
    char *p = cm_arena_alloc(arena, total, err);
    if (!p)
        return err && err->code ? err->code : CM_ELIMIT;
    int rc = 0;
    for (int64_t i = 0; rc == 0 && i < n; i++) {
        if (s[i].nbytes == 0)
            continue;
        size_t count = s[i].nbytes / stored;
        if (moves)
            rc = cm_h5_moves_run(moves, (const uint8_t *)s[i].data, p, count, err);
        else
            memcpy(p, s[i].data, count);
        s[i] = (cm_string){p, count * native};
        p += count * native;
    }
    return rc;
}

static int unpack_fixed(const cm_h5_unpacker *u, const uint8_t *p, cm_string *dst, int64_t n,
                        cm_arena *arena, cm_error *err)
{
    int rc = 0;
    for (int64_t i = 0; rc == 0 && i < n; i++, p += u->size) {
        size_t length = cm_h5_string_length(p, u->used, u->padding);
        dst[i] = (cm_string){length ? (const char *)p : NULL, length};
        rc = check_text(&dst[i], err);
    }
    return rc ? rc : to_arena(NULL, dst, n, arena, err);
}

/* A string's text ends at a NUL; a sequence has all its bytes. */
static int one_variable(const cm_h5_unpacker *u, const cm_h5_held *e, uint32_t index,
                        uint64_t count, cm_string *out, cm_error *err)
{
    const uint8_t *data;
    size_t have, size = u->moves ? cm_h5_moves_stored(u->moves) : 1;
    int rc = cm_h5_heap_object(e, index, &data, &have, err);
    if (rc)
        return rc;
    if (count > have / size)
        return cm_error_set(err, CM_EDATA, "%s of %" PRIu64 " in a heap object of %zu bytes",
                            u->moves ? "sequence" : "string", count, have);
    const uint8_t *nul = u->moves ? NULL : memchr(data, 0, (size_t)count);
    size_t n = nul ? (size_t)(nul - data) : (size_t)count * size;
    *out = (cm_string){n ? (const char *)data : NULL, n};
    return u->moves ? 0 : check_text(out, err);
}

static int unpack_variable(const cm_h5_unpacker *u, const uint8_t *p, cm_string *dst, int64_t n,
                           cm_arena *arena, cm_error *err)
{
    cm_h5_file *f = u->file;
    cm_h5_held *e = NULL;
    int64_t first = 0; /* of the cells whose bytes are e's */
    int rc = 0;
    for (int64_t i = 0; rc == 0 && i < n; i++, p += u->size) {
        cm_h5_cursor c = cm_h5_cursor_of(p, u->size);
        uint64_t nbytes = cm_h5_u32(&c), addr = cm_h5_address(&c, f);
        uint32_t index = cm_h5_u32(&c);
        dst[i] = (cm_string){0};
        if (nbytes == 0 || addr == 0 || addr == CM_H5_UNDEF)
            continue;
        if (!e || cm_h5_heap_address(e) != addr) {
            rc = e ? to_arena(u->moves, dst + first, i - first, arena, err) : 0;
            cm_h5_heap_release(f, e);
            e = NULL;
            first = i;
            if (rc == 0)
                rc = cm_h5_heap_acquire(f, addr, &e, err);
        }
        if (rc == 0)
            rc = one_variable(u, e, index, nbytes, &dst[i], err);
    }
    if (rc == 0 && e)
        rc = to_arena(u->moves, dst + first, n - first, arena, err);
    cm_h5_heap_release(f, e);
    return rc;
}

/* The text of one reference, behind what is in `text` already. */
static int one_reference(const cm_h5_unpacker *u, const uint8_t *p, cm_buffer *text, cm_error *err)
{
    if (u->cells == CM_H5_CELLS_REFERENCE)
        return cm_h5_reference_text(u->paths, u->file, false, p, u->size, text, err);
    uint64_t addr;
    uint32_t index;
    const uint8_t *data;
    size_t n;
    cm_h5_held *e = NULL;
    int rc = cm_h5_region_place(u->file, p, u->size, &addr, &index, err);
    if (rc || addr == 0)
        return rc;
    rc = cm_h5_heap_acquire(u->file, addr, &e, err);
    if (rc == 0)
        rc = cm_h5_heap_object(e, index, &data, &n, err);
    if (rc == 0)
        rc = cm_h5_reference_text(u->paths, u->file, true, data, n, text, err);
    cm_h5_heap_release(u->file, e);
    return rc;
}

static int unpack_references(const cm_h5_unpacker *u, const uint8_t *p, cm_string *dst, int64_t n,
                             cm_arena *arena, cm_error *err)
{
    cm_buffer text;
    cm_buffer_init(&text, MAX_TEXT);
    int rc = 0;
    for (int64_t i = 0; rc == 0 && i < n; i++, p += u->size) {
        size_t before = text.nbytes;
        rc = one_reference(u, p, &text, err);
        dst[i] = (cm_string){NULL, text.nbytes - before};
    }
    const char *at = (const char *)text.data;
    for (int64_t i = 0; rc == 0 && i < n; i++)
        if (dst[i].nbytes) { /* all may be empty, and then there is no text at all */
            dst[i].data = at;
            at += dst[i].nbytes;
        }
    if (rc == 0)
        rc = to_arena(NULL, dst, n, arena, err);
    cm_buffer_deinit(&text);
    return rc;
}

static int unpack_bool(const uint8_t *p, uint8_t *dst, int64_t n, cm_error *err)
{
    for (int64_t i = 0; i < n; i++)
        if (p[i] > 1)
            return cm_error_set(err, CM_EDATA, "a bool has the value %u", p[i]);
    memcpy(dst, p, (size_t)n);
    return 0;
}

int cm_h5_unpack(cm_array *leaf, const void *stored, void *dst, int64_t n, cm_arena *arena,
                 cm_error *err)
{
    const cm_h5_unpacker *u = cm_chunked_owner(leaf);
    switch (u->cells) {
    case CM_H5_CELLS_FIXED_STRING: return unpack_fixed(u, stored, dst, n, arena, err);
    case CM_H5_CELLS_VLEN_STRING: return unpack_variable(u, stored, dst, n, arena, err);
    case CM_H5_CELLS_NARROW:
        for (int64_t i = 0; i < n; i++)
            cm_h5_widen(&u->narrow, (const uint8_t *)stored + i * u->size,
                        (uint8_t *)dst + i * u->narrow.out);
        return 0;
    case CM_H5_CELLS_RECORD: return cm_h5_moves_run(u->moves, stored, dst, (size_t)n, err);
    case CM_H5_CELLS_SEQUENCE: return unpack_variable(u, stored, dst, n, arena, err);
    case CM_H5_CELLS_REFERENCE:
    case CM_H5_CELLS_REGION: return unpack_references(u, stored, dst, n, arena, err);
    case CM_H5_CELLS_WORDED: return cm_h5_worded_unpack(u, stored, dst, n, arena, err);
    default: return unpack_bool(stored, dst, n, err);
    }
}

int cm_h5_unpacker_new(const cm_h5_unpacker *like, cm_h5_unpacker **out, cm_error *err)
{
    *out = cm_memdup(like, sizeof *like, err);
    if (!*out)
        return CM_ENOMEM;
    cm_h5_file_ref(like->file);
    cm_h5_moves_ref(like->moves);
    cm_h5_paths_ref(like->paths);
    cm_h5_wording_ref(like->wording);
    return 0;
}

void cm_h5_unpacker_free(void *unpacker)
{
    cm_h5_unpacker *u = unpacker;
    if (u) {
        cm_h5_file_unref(u->file);
        cm_h5_moves_unref(u->moves);
        cm_h5_paths_unref(u->paths);
        cm_h5_wording_unref(u->wording);
        free(u);
    }
}
