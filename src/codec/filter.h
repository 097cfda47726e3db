/* codec/filter.h: what the filters that change numbers one by one have in common.
 *
 * A filter maps n numbers of one type, lying as bytes, to n numbers of another. Each file of one
 * gives two functions that do a block of numbers; going through the blocks, checking what was
 * encoded, sizes and text are done here.
 */
#ifndef CM_CODEC_FILTER_H
#define CM_CODEC_FILTER_H

#include "codec/elements.h"

enum { CM_FILTER_BLOCK = 1024 /* numbers */ };

/* What is carried from block to block: delta's sum of all numbers before. */
typedef struct cm_filter_state {
    uint64_t sum;
    float sum32;
    double sum64;
    bool proved; /* encode has seen by itself that the block comes back as it was */
} cm_filter_state;

typedef struct cm_filter cm_filter;

/* n <= CM_FILTER_BLOCK numbers from src to dst, which do not overlap. False: one of them is none
 * that the type can be. */
typedef bool (*cm_filter_fn)(const cm_filter *f, cm_filter_state *s, const uint8_t *src, size_t n,
                             uint8_t *dst);

struct cm_filter {
    cm_codec base;
    cm_elements cells, stored;   /* decoded and encoded */
    cm_filter_fn decode, encode; /* NULL: the numbers stay as they are */
    bool exact; /* encoding loses nothing, or looks for itself: no need to decode again */
    bool whole; /* nothing is ever lost: not CM_FILTER_LOSSY */
};

static inline const cm_filter *cm_filter_of(const cm_codec *codec)
{
    return (const cm_filter *)codec;
}

/* The types that a configuration names, "dtype" and "astype" for example; NULL: that of the cells
 * it is given, and the same as decoded. */
int cm_filter_types(cm_filter *f, const char *id, cm_dialect dialect, const cm_array_form *in,
                    const char *cells, const char *stored, cm_error *err);

/* CM_EUNSUP: "codec ID: from A to B". */
int cm_filter_refuse(const cm_filter *f, const char *id, cm_error *err);

/* Set two members to the types. */
bool cm_filter_describe_types(const cm_filter *f, cm_json_doc *doc, cm_json *config,
                              const char *cells, const char *stored, cm_dialect dialect);

/* A class's functions. */
size_t cm_filter_encoded_size(const cm_codec *codec, size_t n);

int cm_filter_encode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                     void *dst, size_t capacity, size_t *nout, cm_error *err);
int cm_filter_decode(const cm_codec *codec, cm_codec_work *work, const void *src, size_t nsrc,
                     void *dst, size_t capacity, size_t *nout, cm_error *err);
int cm_filter_view(const cm_codec *codec, const void *src, size_t nsrc, size_t *offset,
                   size_t *nbytes, cm_error *err);
bool cm_filter_has_view(const cm_codec *codec);
int cm_filter_text(const cm_codec *codec, cm_buffer *out, cm_error *err);
bool cm_filter_equal_types(const cm_codec *a, const cm_codec *b);
int cm_filter_apply(const cm_codec *codec, cm_array_form *form);

#endif
