/* save/lengths.c: targets whose chunks have different lengths along an axis.
 *
 *     31+28+31     three chunks
 *     31x12+28     twelve of 31, one of 28: Zarr's own runs, [[31, 12], 28]
 *
 * The lengths must end exactly where the axis does: a list that is too short or too long was meant
 * for another axis. A list of which all lengths are equal is a regular grid.
 *
 * The rest of a save asks here where a unit begins. It takes the memory of the longest chunk for
 * every one, so tiles stay at fixed distances; only what a chunk's memory holds, how it is encoded
 * and where it lies follows its own length.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "save/save_private.h"

enum { MAX_CHUNKS = 1 << 22 };

bool cm_lengths_is_list(const char *text, size_t n)
{
    return memchr(text, '+', n) || memchr(text, 'x', n);
}

/* Decimal digits up to end or another character; 0: no number from 1 to 2^62. */
static int64_t number(const char **at, const char *end)
{
    int64_t v = 0;
    for (; *at < end && **at >= '0' && **at <= '9'; ++*at) {
        if (v > (INT64_MAX / 2 - 9) / 10)
            return 0;
        v = v * 10 + (**at - '0');
    }
    return v;
}

static int mismatch(const char *option, int64_t end, int64_t length, cm_error *err)
{
    if (end > length)
        cm_error_set(err, CM_EINVAL, "--%s: the lengths reach beyond the axis's end at %" PRId64,
                     option, length);
    else
        cm_error_set(err, CM_EINVAL, "--%s: the lengths end at %" PRId64 ", the axis at %" PRId64,
                     option, end, length);
    cm_error_hint(err, "lengths in a list must add up to the axis's");
    return CM_EINVAL;
}

int cm_lengths_parse(const char *option, const char *text, size_t n, int64_t length,
                     cm_grid_axis *axis, cm_error *err)
{
    const char *at = text, *end = text + n;
    int64_t *items = NULL, sum = 0;
    size_t count = 0, capacity = 0;
    int r = 0;
    for (bool more = true; more && !r; at++) {
        int64_t v = number(&at, end), times = 1;
        if (v && at < end && *at == 'x') {
            at++;
            times = number(&at, end);
        }
        more = at < end;
        if (!v || !times || (more && *at != '+')) {
            r = cm_error_set(err, CM_EINVAL, "--%s: \"%.*s\" is no list of lengths", option,
                             (int)cm_min_i64((int64_t)n, 200), text);
            cm_error_hint(err, "write dim=31+28+31, or 31x12 for twelve times 31");
            break;
        }
        for (; axis && times > 0 && !r; times--) {
            if (v > length - sum)
                r = mismatch(option, sum + v, length, err);
            else if (count == MAX_CHUNKS)
                r = cm_error_set(err, CM_ELIMIT, "--%s: more than %d chunks along an axis", option,
                                 MAX_CHUNKS);
            else if (cm_grow(&items, &capacity, count + 1, sizeof *items, err))
                r = CM_ENOMEM;
            else
                sum += items[count++] = v;
        }
    }
    if (!r && axis && sum != length)
        r = mismatch(option, sum, length, err);
    if (!r && axis)
        r = cm_grid_axis_list(axis, items, count, length, err);
    free(items);
    return r;
}

const cm_grid_axis *cm_part_list(const cm_part *p, int axis)
{
    const cm_grid *g = p->layout.grid;
    return g && !g->axes[axis].size ? &g->axes[axis] : NULL;
}

int64_t cm_part_unit_begin(const cm_part *p, int axis, int64_t i)
{
    const cm_grid_axis *list = cm_part_list(p, axis);
    return list ? cm_grid_begin(list, i) : i * p->layout.unit[axis];
}

int64_t cm_part_chunk_begin(const cm_part *p, int axis, int64_t i)
{
    const cm_grid_axis *list = cm_part_list(p, axis);
    return list ? cm_grid_begin(list, i) : i * p->layout.chunk[axis];
}

int64_t cm_part_unit_at(const cm_part *p, int axis, int64_t x)
{
    const cm_grid_axis *list = cm_part_list(p, axis);
    return list ? cm_grid_find(list, x) : x / p->layout.unit[axis];
}

int64_t cm_part_chunk_at(const cm_part *p, int axis, int64_t x)
{
    const cm_grid_axis *list = cm_part_list(p, axis);
    return list ? cm_grid_find(list, x) : x / p->layout.chunk[axis];
}

int64_t cm_part_chunk_length(const cm_part *p, int axis, int64_t i)
{
    const cm_grid_axis *list = cm_part_list(p, axis);
    return list ? cm_grid_length(list, i) : p->layout.chunk[axis];
}

int64_t cm_part_shortest(const cm_part *p, int axis)
{
    const cm_grid_axis *list = cm_part_list(p, axis);
    return list ? list->lengths[0] : p->layout.unit[axis];
}

const cm_part *cm_part_of_chunk(const cm_part *p, const int64_t *coord, cm_part *room)
{
    if (!p->layout.grid)
        return p;
    *room = *p;
    for (int i = 0; i < p->ndim; i++)
        room->layout.chunk[i] = cm_part_chunk_length(p, i, coord[i]);
    room->chunk_chain = cm_grid_chain(p->layout.grid, coord);
    return room;
}
