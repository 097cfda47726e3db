/* chunkmill/verify.h: are two datasets equal; is a store whole.
 *
 * Threads: as cm_array_read. Both work in parallel within the context's memory budget.
 */
#ifndef CHUNKMILL_VERIFY_H
#define CHUNKMILL_VERIFY_H

#include "chunkmill/dataset.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Compare every variable of a with that of the same path in b: presence, dtype, shape, dimension
 * names, and all values bit for bit (any NaN equals any NaN; -0.0 differs from 0.0). Attributes are
 * compared as JSON when attributes is true; the bookkeeping that a format needs is not an
 * attribute. A variable that cannot be read is an error (CM_EUNSUP...).
 *
 * *out: a new document the caller frees: {"equal": bool, "variables": [{"path", "equal", "cells",
 * "differing", "first": [{"index": [...], "a": value, "b": value}, ... at most 10 in C order],
 * "max_abs_difference", "problem": text when shapes, dtypes or presence differ}], "attributes":
 * [{"path", "name", "a", "b"}]}. Returns 0 when the comparison was done, equal or not: look at
 * "equal". */
typedef struct cm_diff_options {
    bool attributes; /* compare them too */
    double rtol;     /* both 0: bit for bit; else floats with |a-b| <= atol + rtol*|b| are equal */
    double atol;
} cm_diff_options;

CM_API void cm_diff_options_init(cm_diff_options *options);
CM_API int cm_diff(cm_context *ctx, cm_dataset *a, cm_dataset *b, const cm_diff_options *options,
                   cm_json_doc **out, cm_error *err) CM_MUST_CHECK;

typedef enum cm_verify_level { CM_VERIFY_PRESENCE, CM_VERIFY_DECODE } cm_verify_level;

/* Look at every chunk of every array of a store: presence: is the object (and the shard's index
 * entry) there; decode: does it decode to the right size, checksums included. *out: {"ok": bool,
 * "level": text, "arrays": [{"path", "chunks", "present", "missing", "bad", "missing_first":
 * [key...<=10], "bad_first": [{"key", "message"}...<=10]}]}. A missing chunk is counted and does
 * not make ok false (it reads as fill) unless strict; a bad one does. Of references also "sources":
 * {"count", "bad", "bad_first": [{"name", "message"}...<=10]}: files that are gone or that changed.
 * Returns 0 when the check was done. */
CM_API int cm_verify(cm_context *ctx, cm_dataset *ds, cm_verify_level level, bool strict,
                     cm_json_doc **out, cm_error *err) CM_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
