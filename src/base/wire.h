/* base/wire.h: numbers and texts as bytes of our own formats: written one after the other, read the
 * same way.
 *
 * Whole numbers are varints, seven bits a byte, the lowest first; signed ones zigzag (0, -1, 1,
 * -2...). Texts are their length and their bytes. Writing keeps the first failure, reading the
 * first thing that was not there, so that whole structures are written or read and looked at once.
 */
#ifndef CM_BASE_WIRE_H
#define CM_BASE_WIRE_H

#include <stdbool.h>
#include <string.h>

#include "base/buffer.h"

/* ---- writing --------------------------------------------------------------------------------- */

typedef struct cm_wire_out {
    cm_buffer bytes;
    int status; /* 0, or why nothing more is written */
    cm_error *err;
} cm_wire_out;

/* max: most bytes. err: where a failure is told, may be NULL. */
void cm_wire_init(cm_wire_out *w, size_t max, cm_error *err);
void cm_wire_deinit(cm_wire_out *w);

void cm_wire_put_uint(cm_wire_out *w, uint64_t v);
void cm_wire_put_int(cm_wire_out *w, int64_t v);
void cm_wire_put_raw(cm_wire_out *w, const void *data, size_t nbytes); /* without its length */
void cm_wire_put_bytes(cm_wire_out *w, const void *data, size_t nbytes);
void cm_wire_put_string(cm_wire_out *w, const char *s); /* NULL: an empty one */

/* ---- reading --------------------------------------------------------------------------------- */

typedef struct cm_wire_in {
    const uint8_t *at, *end;
    bool bad; /* something was not there, or is not what it can be */
} cm_wire_in;

static inline cm_wire_in cm_wire_of(const void *data, size_t nbytes)
{
    return (cm_wire_in){data, (const uint8_t *)data + nbytes, false};
}

static inline size_t cm_wire_left(const cm_wire_in *r)
{
    return (size_t)(r->end - r->at);
}

/* Not what it can be: gives 0, and nothing more is read. */
static inline uint64_t cm_wire_fail(cm_wire_in *r)
{
    r->bad = true;
    r->at = r->end;
    return 0;
}

uint64_t cm_wire_long(cm_wire_in *r);

static inline uint64_t cm_wire_uint(cm_wire_in *r)
{
    if (r->at < r->end && *r->at < 0x80)
        return *r->at++;
    return cm_wire_long(r);
}

static inline int64_t cm_wire_int(cm_wire_in *r)
{
    uint64_t v = cm_wire_uint(r);
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

/* A number of at most max. */
static inline uint64_t cm_wire_upto(cm_wire_in *r, uint64_t max)
{
    uint64_t v = cm_wire_uint(r);
    return v <= max ? v : cm_wire_fail(r);
}

/* A count of things each of which takes at least `least` bytes: no more than there can be. */
static inline size_t cm_wire_count(cm_wire_in *r, size_t least)
{
    uint64_t v = cm_wire_uint(r);
    return v <= cm_wire_left(r) / least ? (size_t)v : (size_t)cm_wire_fail(r);
}

/* nbytes in place; NULL (and bad) when they are not there. */
static inline const void *cm_wire_raw(cm_wire_in *r, uint64_t nbytes)
{
    const void *p = r->at;
    if (nbytes > cm_wire_left(r)) {
        cm_wire_fail(r);
        return NULL;
    }
    r->at += nbytes;
    return p;
}

/* What put_bytes wrote, in place; never NULL: "" and 0 when it is not there. */
const void *cm_wire_bytes(cm_wire_in *r, size_t *nbytes);

/* The same as a new string that the caller frees; a NUL in it is bad. NULL: bad, or out of memory,
 * which err says. */
char *cm_wire_string(cm_wire_in *r, cm_error *err);

#endif
