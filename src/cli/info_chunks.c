/* cli/info_chunks.c: walks over the chunk grid of a variable.
 *
 * One call of cm_variable_chunk_info for each grid coordinate, in C order; nothing is collected, so
 * a list of a hundred million chunks streams. Sharded arrays are walked by shard: that is what lies
 * in the store.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/info.h"

enum { CHEAP = 4096 }; /* chunks that are counted without being asked: milliseconds */

static int64_t grid_length(const cm_variable *v, int axis)
{
    return cm_variable_chunk_count(v, axis);
}

bool cm_cli_chunks_total(const cm_variable *v, int64_t *total)
{
    int64_t product = 1;
    bool fits = true;
    for (int i = 0; i < cm_array_ndim(cm_variable_array(v)); i++) {
        int64_t n = grid_length(v, i);
        if (n == 0) {
            *total = 0;
            return true;
        }
        fits = fits && !__builtin_mul_overflow(product, n, &product);
    }
    *total = product;
    return fits;
}

/* The next coordinate in C order; false after the last. */
static bool advance(const cm_variable *v, int64_t *coord)
{
    for (int i = cm_array_ndim(cm_variable_array(v)) - 1; i >= 0; i--) {
        if (++coord[i] < grid_length(v, i))
            return true;
        coord[i] = 0;
    }
    return false;
}

int cm_cli_chunks_count(cm_cli *cli, const cm_variable *v, cm_cli_chunks *chunks, cm_error *err)
{
    memset(chunks, 0, sizeof *chunks);
    int64_t coord[CM_MAX_DIMS] = {0};
    bool fits = cm_cli_chunks_total(v, &chunks->total);
    if (!fits)
        cm_error_set(&chunks->problem, CM_ELIMIT, "more chunks than 64 bits can count");
    if (!fits || (!cli->args.count_chunks && chunks->total > CHEAP))
        return 0;
    for (int64_t i = 0; i < chunks->total; i++, advance(v, coord)) {
        cm_chunk_info chunk;
        int ret = i % 256 == 0 ? cm_cli_check(cli, err) : 0;
        if (ret < 0)
            return ret;
        if (cm_variable_chunk_info(cli->ctx, v, coord, &chunk, &chunks->problem) < 0)
            return 0;
        chunks->present += chunk.present;
        chunks->stored_bytes += chunk.present ? chunk.nbytes : 0;
    }
    chunks->counted = true;
    return 0;
}

static void put_text(cm_cli_out *out, const int64_t *coord, int ndim, const cm_chunk_info *chunk)
{
    for (int i = 0; i < ndim; i++)
        cm_cli_out_format(out, "%s%" PRId64, i ? "," : "", coord[i]);
    if (ndim == 0)
        cm_cli_out_char(out, '-');
    cm_cli_out_format(out, "\t%" PRIu64 "\t%" PRIu64 "\t0x%" PRIx32 "\t", chunk->offset,
                      chunk->nbytes, chunk->filter_mask);
    cm_cli_out_name(out, chunk->key);
    cm_cli_out_char(out, '\n');
}

static void put_json(cm_cli_out *out, const int64_t *coord, int ndim, const cm_chunk_info *chunk)
{
    cm_cli_json json;
    cm_cli_json_init(&json, out, true);
    cm_cli_json_object(&json);
    cm_cli_json_key(&json, "chunk");
    cm_cli_json_shape(&json, coord, ndim);
    cm_cli_json_key(&json, "key");
    cm_cli_json_string(&json, chunk->key);
    cm_cli_json_key(&json, "offset");
    cm_cli_json_uint(&json, chunk->offset);
    cm_cli_json_key(&json, "nbytes");
    cm_cli_json_uint(&json, chunk->nbytes);
    cm_cli_json_key(&json, "filter_mask");
    cm_cli_json_uint(&json, chunk->filter_mask);
    cm_cli_json_close(&json, '}');
}

int cm_cli_chunks_list(cm_cli *cli, const cm_variable *v, cm_error *err)
{
    int64_t coord[CM_MAX_DIMS] = {0}, total;
    int ndim = cm_array_ndim(cm_variable_array(v));
    if (!cm_cli_chunks_total(v, &total))
        return cm_error_set(err, CM_ELIMIT, "more chunks than 64 bits can count");
    cli->json_lines = true;
    if (!cli->args.json)
        cm_cli_out_text(&cli->out, "# chunk\toffset\tnbytes\tfilter_mask\tkey\n");
    for (int64_t i = 0; i < total; i++, advance(v, coord)) {
        cm_chunk_info chunk;
        int ret = i % 256 == 0 ? cm_cli_check(cli, err) : 0;
        if (ret == 0)
            ret = cm_variable_chunk_info(cli->ctx, v, coord, &chunk, err);
        if (ret == 0 && cli->out.os_errno)
            ret = cm_cli_out_flush(&cli->out, err);
        if (ret < 0)
            return ret;
        if (!chunk.present)
            continue;
        if (cli->args.json)
            put_json(&cli->out, coord, ndim, &chunk);
        else
            put_text(&cli->out, coord, ndim, &chunk);
    }
    return 0;
}
