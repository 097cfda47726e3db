/* chunkmill/cf.h: the parts of the CF conventions that a caller sees: unpacking and times. */
#ifndef CHUNKMILL_CF_H
#define CHUNKMILL_CF_H

#include <stdbool.h>
#include <stddef.h>

#include "chunkmill/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Whether packed values are decoded, and to what. */
typedef enum cm_unpack {
    CM_UNPACK_NO,
    CM_UNPACK_FLOAT32,
    CM_UNPACK_FLOAT64,
    CM_UNPACK_AUTO
} cm_unpack;

/* Time coordinates for people: the value (in `units` since, with `calendar`; NULL: standard) as ISO
 * 8601 text, e.g. "2060-01-01T00:00:00". false when the units are not a time unit or the value is
 * not finite. buf has 40 bytes or more. */
CM_API bool cm_time_text(double value, const char *units, const char *calendar, char *buf,
                         size_t size);

#ifdef __cplusplus
}
#endif
#endif
