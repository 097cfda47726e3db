/* codec/chain_run.c: encoding and decoding through the bytes-to-bytes stages.
 *
 * Checksums move nothing: decoding looks through them (view), encoding adds them in place; only
 * when a checksum is the first stage does it copy, since the cells are not to be written to. So do
 * filters that have nothing to do. All
 * other stages each write a new buffer. With m such moves, the last writes straight to the caller's
 * dst: one move needs no middle buffer, two need one, three or more need two, taken in turns:
 *
 *     decode  src -> fletcher32 (view) -> zlib -> middle 0 -> unshuffle -> dst
 *     encode  src -> shuffle -> middle 0 -> zlib -> dst -> crc32c (in place in dst)
 *
 * The middle buffers are of one size, the largest that anything between two moves can be. While
 * decoding that is our encoder's bound plus some slack, for other encoders may be wordier.
 *
 * A skip mask (HDF5's filter mask) only takes stages away. That never makes more moves or larger
 * buffers than the whole chain needs.
 */
#include <string.h>

#include "base/bytes.h"
#include "codec/codec_private.h"

/* Middle buffers begin at multiples of this within scratch. */
enum { ALIGN = 64 };

/* The stages that work on one chunk: a list of indices in encode order. */
typedef struct {
    int n, nmoves;
    uint8_t index[CM_MAX_STAGES];
} active_stages;

static active_stages active(const cm_chain *chain, uint32_t skip_mask)
{
    active_stages a = {0};
    for (int i = 0; i < chain->nstages; i++)
        if (!(skip_mask >> i & 1)) {
            a.nmoves += a.n == 0 || !cm_codec_looks_through(chain->stages[i]);
            a.index[a.n++] = (uint8_t)i;
        }
    return a;
}

/* Bytes of one middle buffer; *nbuffers 0, 1 or 2. */
static size_t middle_nbytes_each(const cm_chain *chain, size_t stored_nbytes, int *nbuffers)
{
    int nmoves = active(chain, 0).nmoves;
    *nbuffers = nmoves < 2 ? 0 : nmoves == 2 ? 1 : 2;
    if (*nbuffers == 0)
        return 0;
    int last = chain->nstages - 1;
    while (cm_codec_looks_through(chain->stages[last]))
        last--;
    size_t n = stored_nbytes, most = n;
    for (int i = 0; i < last; i++) {
        const cm_codec *s = chain->stages[i];
        if (n > PTRDIFF_MAX / 2)
            return SIZE_MAX;
        n = s->cls->encoded_size ? s->cls->encoded_size(s, n) : s->cls->bound(s, n) + n / 64 + 4096;
        most = n > most ? n : most;
    }
    return (most + ALIGN - 1) / ALIGN * ALIGN;
}

size_t cm_chain_middle_nbytes(const cm_chain *chain, size_t stored_nbytes)
{
    int nbuffers;
    size_t each = middle_nbytes_each(chain, stored_nbytes, &nbuffers), all;
    return cm_mul_size(each, (size_t)nbuffers, &all) ? all : SIZE_MAX;
}

/* A stage wanted more room than there is. For chunks of known size the data are wrong; else the
 * caller comes again with a larger buffer. */
static int too_large(const cm_chain *chain, size_t nstored, cm_error *err)
{
    if (!cm_chain_size_known(chain))
        return CM_ELIMIT;
    cm_error_prefix(err, "a chunk is %zu bytes", nstored);
    if (err)
        err->code = CM_EDATA;
    return CM_EDATA;
}

int cm_chain_decode(const cm_chain *chain, cm_codec_work *work, uint32_t skip_mask, const void *src,
                    size_t nsrc, void *dst, size_t nstored, size_t *nout, void *scratch,
                    cm_error *err)
{
    int nbuffers;
    size_t each = middle_nbytes_each(chain, nstored, &nbuffers), n = nsrc;
    active_stages a = active(chain, skip_mask);
    const uint8_t *at = src;
    *nout = 0;
    for (int k = a.n - 1, turn = 0; k >= 0; k--) {
        const cm_codec *s = chain->stages[a.index[k]];
        if (k > 0 && cm_codec_looks_through(s)) {
            size_t offset;
            int r = s->cls->view(s, at, n, &offset, &n, err);
            if (r)
                return r;
            at += offset;
            continue;
        }
        uint8_t *to = k == 0 ? (uint8_t *)dst : (uint8_t *)scratch + (turn++ % 2 ? each : 0);
        size_t got = 0;
        int r = s->cls->decode(s, work, at, n, to, k == 0 ? nstored : each, &got, err);
        if (r == CM_ELIMIT) {
            *nout = k == 0 ? got : 0;
            return too_large(chain, nstored, err);
        }
        if (r)
            return r;
        at = to;
        n = got;
    }
    if (a.n == 0 && n <= nstored && n)
        memcpy(dst, src, n);
    *nout = n;
    if (n > nstored && !cm_chain_size_known(chain))
        return cm_error_set(err, CM_ELIMIT, "a chunk of %zu bytes, more than %zu", n, nstored);
    if (n != nstored && cm_chain_size_known(chain))
        return cm_error_set(err, CM_EDATA, "a chunk decodes to %zu bytes instead of %zu", n,
                            nstored);
    return 0;
}

int cm_chain_encode(const cm_chain *chain, cm_codec_work *work, const void *src, size_t nsrc,
                    void *dst, size_t capacity, size_t *nout, void *scratch, cm_error *err)
{
    int nbuffers;
    size_t each = middle_nbytes_each(chain, nsrc, &nbuffers), n = nsrc;
    active_stages a = active(chain, 0);
    const void *at = src;
    *nout = 0;
    for (int k = 0, moved = 0, turn = 0; k < a.n; k++) {
        const cm_codec *s = chain->stages[a.index[k]];
        bool in_place = k > 0 && cm_codec_looks_through(s);
        bool final = (moved += !in_place) == a.nmoves;
        uint8_t *to = final ? (uint8_t *)dst : (uint8_t *)scratch + (turn % 2 ? each : 0);
        if (in_place)
            to = (uint8_t *)(uintptr_t)at;
        else
            turn++;
        int r = s->cls->encode(s, work, at, n, to, final ? capacity : each, &n, err);
        if (r)
            return r;
        at = to;
    }
    if (a.n == 0) {
        if (n > capacity)
            return cm_error_set(err, CM_EINVAL, "%zu bytes do not fit %zu", n, capacity);
        if (n)
            memcpy(dst, src, n);
    }
    *nout = n;
    return 0;
}

bool cm_chain_streams(const cm_chain *chain)
{
    return chain->a2b == CM_A2B_BYTES && !chain->transposed &&
           (chain->nstages == 0 || (chain->nstages == 1 && chain->stages[0]->cls->stream_feed));
}

size_t cm_chain_stream_scratch(const cm_chain *chain, size_t stored_nbytes)
{
    const cm_codec *s = chain->nstages ? chain->stages[0] : NULL;
    return s ? s->cls->stream_scratch(s, stored_nbytes) : 0;
}

int cm_chain_stream_begin(const cm_chain *chain, cm_codec_work *work, size_t nstored, cm_error *err)
{
    const cm_codec *s = chain->nstages ? chain->stages[0] : NULL;
    return s ? s->cls->stream_begin(s, work, nstored, err) : 0;
}

int cm_chain_stream_feed(const cm_chain *chain, cm_codec_work *work, const void *src, size_t nsrc,
                         bool last, cm_write_fn write, void *to, cm_error *err)
{
    const cm_codec *s = chain->nstages ? chain->stages[0] : NULL;
    return s ? s->cls->stream_feed(s, work, src, nsrc, last, write, to, err)
             : write(to, src, nsrc, err);
}
