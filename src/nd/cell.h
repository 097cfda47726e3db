/* nd/cell.h: the value of one native integer cell, whatever its kind. */
#ifndef CM_ND_CELL_H
#define CM_ND_CELL_H

#include <stdint.h>
#include <string.h>

#include "chunkmill/dtype.h"

/* kind: an integer kind. cell: as many bytes as it has, of any alignment. */
static inline __int128 cm_cell_integer(cm_kind kind, const void *cell)
{
    int8_t i8;
    int16_t i16;
    int32_t i32;
    int64_t i64;
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    switch (kind) {
    case CM_INT8: memcpy(&i8, cell, 1); return i8;
    case CM_INT16: memcpy(&i16, cell, 2); return i16;
    case CM_INT32: memcpy(&i32, cell, 4); return i32;
    case CM_INT64: memcpy(&i64, cell, 8); return i64;
    case CM_UINT8: memcpy(&u8, cell, 1); return u8;
    case CM_UINT16: memcpy(&u16, cell, 2); return u16;
    case CM_UINT32: memcpy(&u32, cell, 4); return u32;
    default: memcpy(&u64, cell, 8); return u64;
    }
}

#endif
