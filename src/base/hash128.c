/* base/hash128.c: see the header. Blocks of 16 bytes go into two lanes that stir each other; what
 * is left of a piece waits in `tail`. */
#include "base/hash128.h"

#include <string.h>

#include "base/bytes.h"

#define C1 UINT64_C(0x87c37b91114253d5)
#define C2 UINT64_C(0x4cf5ad432745937f)

static uint64_t rotate(uint64_t x, int n)
{
    return x << n | x >> (64 - n);
}

static void block(cm_hash128 *h, const uint8_t *p)
{
    uint64_t x = cm_load_le64(p), y = cm_load_le64(p + 8);
    h->a ^= rotate(x * C1, 31) * C2;
    h->a = (rotate(h->a, 27) + h->b) * 5 + 0x52dce729;
    h->b ^= rotate(y * C2, 33) * C1;
    h->b = (rotate(h->b, 31) + h->a) * 5 + 0x38495ab5;
}

void cm_hash128_add(cm_hash128 *h, const void *data, size_t nbytes)
{
    const uint8_t *p = data;
    size_t held = h->nbytes % 16;
    if (nbytes == 0)
        return;
    h->nbytes += nbytes;
    if (held) {
        size_t n = nbytes < 16 - held ? nbytes : 16 - held;
        memcpy(h->tail + held, p, n);
        p += n;
        nbytes -= n;
        if (held + n < 16)
            return;
        block(h, h->tail);
    }
    for (; nbytes >= 16; nbytes -= 16, p += 16)
        block(h, p);
    if (nbytes)
        memcpy(h->tail, p, nbytes);
}

static uint64_t finish(uint64_t x)
{
    x = (x ^ x >> 33) * UINT64_C(0xff51afd7ed558ccd);
    x = (x ^ x >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return x ^ x >> 33;
}

void cm_hash128_value(const cm_hash128 *h, uint64_t out[2])
{
    uint8_t last[16] = {0};
    size_t held = h->nbytes % 16;
    memcpy(last, h->tail, held);
    uint64_t a = h->a, b = h->b, x = cm_load_le64(last), y = cm_load_le64(last + 8);
    b ^= held > 8 ? rotate(y * C2, 33) * C1 : 0;
    a ^= held > 0 ? rotate(x * C1, 31) * C2 : 0;
    a ^= h->nbytes;
    b ^= h->nbytes;
    a += b;
    b += a;
    a = finish(a);
    b = finish(b);
    a += b;
    out[0] = a;
    out[1] = b + a;
}

uint64_t cm_hash64(const void *data, size_t nbytes)
{
    cm_hash128 h = {0};
    uint64_t value[2];
    cm_hash128_add(&h, data, nbytes);
    cm_hash128_value(&h, value);
    return value[0];
}
