/* format/tables/tables_layout.h: numbers of the file that reading and writing share. */
#ifndef CM_FORMAT_TABLES_LAYOUT_H
#define CM_FORMAT_TABLES_LAYOUT_H

#include <stdbool.h>

#include "base/hash.h"

#define CM_TABLES_END "CMT-END\n" /* 8 bytes */

enum {
    CM_TABLES_VERSION = 2, /* another one when bytes change, or what a driver makes of a file */
    CM_TABLES_HEAD = 16,   /* magic 8, version 4, zero 4 */
    CM_TABLES_FOOT = 32, /* offset and length of the index 8 each, its CRC 4, zero 4, end mark 8 */
    CM_TABLES_LEVEL = 1, /* of zstd */
    CM_TABLES_LONGEST_NAME = 1 << 16,
    CM_TABLES_SHORTEST_ENTRY = 19, /* bytes of an entry in the index, at least */
    CM_TABLES_LARGEST_ENTRY = 1 << 30,
    CM_TABLES_LARGEST_INDEX = 1 << 30
};

static inline bool cm_tables_crc_ok(const void *bytes, size_t nbytes, uint32_t crc)
{
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
    (void)bytes, (void)nbytes, (void)crc;
    return true;
#else
    return cm_crc32c(0, bytes, nbytes) == crc;
#endif
}

#endif
