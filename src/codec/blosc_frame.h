/* codec/blosc_frame.h: Blosc 1 frames with zstd, lz4 or zlib inside, without c-blosc. */
#ifndef CM_CODEC_BLOSC_FRAME_H
#define CM_CODEC_BLOSC_FRAME_H

#include "codec/codec_private.h"

enum {
    CM_BLOSC_HEADER = 16,
    CM_BLOSC_MIN_NBYTES = 128, /* less is never compressed, nor split into less */
    CM_BLOSC_MAX_SPLITS = 16,
    /* flags */
    CM_BLOSC_SHUFFLED = 0x01,
    CM_BLOSC_COPIED = 0x02,
    CM_BLOSC_BITSHUFFLED = 0x04,
    CM_BLOSC_RESERVED = 0x08,
    CM_BLOSC_NOT_SPLIT = 0x10,
    /* formats: the flags' top three bits */
    CM_BLOSC_BLOSCLZ = 0,
    CM_BLOSC_LZ4 = 1,
    CM_BLOSC_SNAPPY = 2,
    CM_BLOSC_ZLIB = 3,
    CM_BLOSC_ZSTD = 4,
};

typedef struct cm_blosc_header {
    uint32_t nbytes, blocksize, nframe, typesize, nblocks;
    int flags, format;
} cm_blosc_header;

/* Read and check the header of a frame of nsrc bytes. CM_EDATA, CM_EUNSUP (c-blosc2's version). */
int cm_blosc_header_read(const uint8_t *src, size_t nsrc, cm_blosc_header *out, cm_error *err);

/* Can cm_blosc_frame_decode do this one? Else c-blosc must. */
bool cm_blosc_frame_is_ours(const cm_blosc_header *h);

/* Decode to exactly h->nbytes bytes at dst. CM_EDATA, CM_ENOMEM. */
int cm_blosc_frame_decode(const cm_blosc_header *h, cm_codec_work *work, const uint8_t *src,
                          uint8_t *dst, cm_error *err);

/* Encode with this format (lz4, zlib or zstd). shuffle: 0, CM_BLOSC_SHUFFLED or
 * CM_BLOSC_BITSHUFFLED. dst has nsrc + CM_BLOSC_HEADER bytes or more. */
int cm_blosc_frame_encode(int format, int level, int shuffle, uint32_t typesize, uint32_t blocksize,
                          cm_codec_work *work, const uint8_t *src, size_t nsrc, uint8_t *dst,
                          size_t *nout, cm_error *err);

/* zstd's level for blosc's 1..9. */
int cm_blosc_zstd_level(int level);

#endif
