/* codec/scalar.h: single numbers in a codec's configuration, as Zarr v3 writes fill values. */
#ifndef CM_CODEC_SCALAR_H
#define CM_CODEC_SCALAR_H

#include "codec/codec_private.h"

/* A number of a kind: bool, integer, float or small. */
typedef union cm_scalar {
    uint8_t bytes[8]; /* the cell in memory, then zeros */
    uint64_t word;    /* what is compared */
} cm_scalar;

/* Does this file know the kind? Integers, floats and the small kinds. */
bool cm_scalar_kind(cm_kind kind);

/* 1, 1.5, "NaN", "Infinity", "-Infinity", "0x7fc00000" (the bits). codec and what are for messages.
 * CM_EDATA for what the kind cannot be; floats are rounded. */
int cm_scalar_parse(const cm_json *v, cm_kind kind, const char *codec, const char *what,
                    cm_scalar *out, cm_error *err);
cm_json *cm_scalar_describe(cm_json_doc *doc, cm_kind kind, const cm_scalar *s);

/* Its value; not exact for integers of 64 bits. */
double cm_scalar_value(cm_kind kind, const cm_scalar *s);

#endif
