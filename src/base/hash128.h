/* base/hash128.h: a 128-bit hash of a stream of bytes, to tell contents apart.
 *
 * MurmurHash3 x64 128 (Austin Appleby, public domain), seed 0, fed in pieces of any length. Not for
 * keeping secrets: whoever chooses the bytes can make two contents collide.
 */
#ifndef CM_BASE_HASH128_H
#define CM_BASE_HASH128_H

#include <stddef.h>
#include <stdint.h>

typedef struct cm_hash128 {
    uint64_t a, b, nbytes;
    uint8_t tail[16]; /* the last nbytes % 16 */
} cm_hash128;

/* A zeroed struct is ready. */
void cm_hash128_add(cm_hash128 *h, const void *data, size_t nbytes);

/* The hash of what was added so far; more may be added after. */
void cm_hash128_value(const cm_hash128 *h, uint64_t out[2]);

/* Of one piece: its first 64 bits. */
uint64_t cm_hash64(const void *data, size_t nbytes);

#endif
