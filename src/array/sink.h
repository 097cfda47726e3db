/* array/sink.h: the pieces that a read was found to need, between planning and execution.
 *
 * Here and in all that fills or executes a sink err is never NULL: cm_read_into and cm_pool_for see
 * to it.
 *
 * Threads: one thread fills a sink; its pieces are executed by many.
 */
#ifndef CM_ARRAY_SINK_H
#define CM_ARRAY_SINK_H

#include "array/dest.h"
#include "array/workspace.h"

typedef enum { CM_PIECE_CHUNK, CM_PIECE_RAW, CM_PIECE_FILL, CM_PIECE_CALL } cm_piece_kind;

/* One leaf piece; everything it points to lives in the sink's bump memory or in the leaf. */
typedef struct cm_piece {
    cm_piece_kind kind;
    cm_array *leaf;
    int nmaps;
    const cm_map **maps; /* maps[nmaps - 1] first */
    int64_t *lo, *n;     /* box in root coordinates, leaf's axes; lo - shift are the leaf's */
    int lead;            /* axes of the root before those, and the place along each */
    int64_t *lead_at;
    int64_t *leaf_lo; /* CALL: the same box in the leaf's coordinates */
    int64_t *src;     /* CHUNK: first cell in the chunk; RAW: strides in the object */
    cm_store *store;
    const char *key;
    cm_object_version version;
    uint64_t offset, nbytes; /* nbytes UINT64_MAX: whole object */
    uint64_t object_nbytes;
    uint32_t skip_mask, stored_size;
    bool absent_is_fill, big_endian;
    const cm_chain *chain;
    const void *inline_data;
    int (*unpack)(cm_array *leaf, const void *stored, void *dst, int64_t n, cm_arena *arena,
                  cm_error *err);
    cm_fill_fn fn;
    void *user;
} cm_piece;

struct cm_sink {
    cm_context *ctx;
    const cm_dest *dest;
    uint64_t grant;
    int max_workers;
    cm_read_stats *stats;
    cm_piece *pieces;
    size_t npieces, capacity;
    struct cm_bump *bump; /* memory of the pieces' arrays and keys, emptied by a flush */
};

int cm_sink_init(cm_sink *sink, cm_context *ctx, const cm_dest *dest, cm_error *err);
void cm_sink_deinit(cm_sink *sink);

/* Execute and forget the pieces so far. Called by the sink itself when many have gathered. */
int cm_sink_flush(cm_sink *sink, cm_error *err);

/* exec.c: do one piece whose encoded bytes (CHUNK) are at data. before: the piece that ws did last
 * for these bytes, if it is of the same chunk (cm_piece_same_chunk); its cells are used again. */
int cm_piece_decode(const cm_sink *sink, const cm_piece *p, const cm_piece *before,
                    cm_workspace *ws, const void *data, size_t nbytes, cm_error *err);
/* Are both parts of one encoded chunk, which is decoded to scratch? */
bool cm_piece_same_chunk(const cm_sink *sink, const cm_piece *a, const cm_piece *b);
int cm_piece_raw(const cm_sink *sink, const cm_piece *p, cm_workspace *ws, cm_error *err);
int cm_piece_fill(const cm_sink *sink, const cm_piece *p, cm_workspace *ws, cm_error *err);
int cm_piece_call(const cm_sink *sink, const cm_piece *p, cm_workspace *ws, cm_error *err);

/* Bytes of scratch that executing the piece needs beside its encoded bytes; and the most encoded
 * bytes. */
uint64_t cm_piece_scratch(const cm_sink *sink, const cm_piece *p);
uint64_t cm_piece_encoded(const cm_piece *p);

#endif
