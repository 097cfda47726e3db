/* verify/diff_array.c: comparing the cells of two arrays in bounded memory, on all threads.
 *
 * Each worker reads the same block of both arrays (verify/blocks.c) into two buffers and compares
 * them. Buffers and decoding scratch are one reservation, taken before the first read, so workers
 * never wait while holding. A block whose strings do not fit beside the others' is compared when
 * they are done, in halves if need be. Results are merged under a lock; the cells that are reported
 * are the first in C order whatever order the blocks finish in.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "array/dest.h"
#include "base/bytes.h"
#include "base/context_private.h"
#include "base/memory.h"
#include "verify/blocks.h"
#include "verify/diff_array.h"

typedef struct cm_differ {
    cm_context *ctx;
    cm_array *arrays[2];
    double rtol, atol;
    cm_blocks blocks;
    pthread_mutex_t lock; /* guards out */
    cm_array_diff *out;
} differ;

static int64_t position(const differ *d, const cm_box *box, int64_t i)
{
    int64_t cell = 0, step = 1;
    for (int k = box->ndim - 1; k >= 0; k--) {
        cell += (box->lo[k] + i % box->n[k]) * step;
        i /= box->n[k];
        step *= d->blocks.shape[k];
    }
    return cell;
}

static int copy_cell(cm_dtype dtype, const char *cells, int64_t i, void **out, size_t *nbytes,
                     cm_error *err)
{
    const void *bytes = cells + (size_t)i * dtype.size;
    cm_string s;
    *nbytes = dtype.size;
    if (cm_kind_is_vlen(dtype.kind)) {
        memcpy(&s, bytes, sizeof s);
        bytes = s.data;
        *nbytes = s.nbytes;
    }
    *out = cm_memdup(bytes, *nbytes, err);
    return *out ? 0 : CM_ENOMEM;
}

/* Keep the cell if it is among the first ones. */
static int insert(cm_array_diff *out, cm_dtype dtype, int64_t cell, const char *const *cells,
                  int64_t i, cm_error *err)
{
    int at = out->nfirst;
    while (at > 0 && out->first[at - 1].cell > cell)
        at--;
    if (at == CM_DIFF_FIRST)
        return 0;
    cm_found_diff f = {.cell = cell};
    int ret = copy_cell(dtype, cells[0], i, &f.a, &f.na, err);
    if (ret == 0)
        ret = copy_cell(dtype, cells[1], i, &f.b, &f.nb, err);
    if (ret) {
        free(f.a);
        return ret;
    }
    if (out->nfirst == CM_DIFF_FIRST) {
        out->nfirst--;
        free(out->first[out->nfirst].a);
        free(out->first[out->nfirst].b);
    }
    memmove(&out->first[at + 1], &out->first[at], (size_t)(out->nfirst - at) * sizeof f);
    out->first[at] = f;
    out->nfirst++;
    return 0;
}

static int merge(differ *d, const cm_box *box, const cm_cells_diff *c, const char *const *cells,
                 cm_error *err)
{
    cm_array_diff *out = d->out;
    int ret = 0;
    pthread_mutex_lock(&d->lock);
    out->differing += c->differing;
    if (c->has_max && (!out->has_max || c->max_abs > out->max_abs)) {
        out->has_max = true;
        out->max_abs = c->max_abs;
    }
    for (int i = 0; i < c->nfirst && ret == 0; i++)
        ret = insert(out, d->arrays[0]->dtype, position(d, box, c->first[i]), cells, c->first[i],
                     err);
    pthread_mutex_unlock(&d->lock);
    return ret;
}

static int read_block(const differ *d, int which, const cm_box *box, void *to, cm_arena *arena,
                      cm_error *err)
{
    cm_array *a = d->arrays[which];
    cm_dest dest = {.dtype = a->dtype, .region = *box, .base = to, .arena = arena};
    if (!cm_strides_c(box->ndim, box->n, a->dtype.size, dest.strides))
        return cm_error_set(err, CM_EINVAL, "a block of more than 2^63 bytes");
    return cm_read_into(d->ctx, a, &dest, d->blocks.grant, 1, NULL, err);
}

static int compare_box(differ *d, const cm_box *box, cm_error *err)
{
    int64_t n = cm_box_nelem(box);
    size_t nbytes = (size_t)n * d->arrays[0]->dtype.size;
    uint64_t reserved = cm_blocks_reservation(&d->blocks, 2);
    cm_block_cache *cache = cm_context_blocks(d->ctx);
    cm_block buf[2] = {{.data = NULL}};
    cm_arena *arena = NULL;
    cm_cells_diff c;
    int ret = cm_budget_take(cm_context_budget(d->ctx), d->ctx, reserved, "comparing a block", err);
    if (ret)
        return ret;
    ret = cm_arena_new(d->ctx, &arena, err);
    for (int k = 0; k < 2 && ret == 0; k++) {
        ret = cm_block_get(cache, nbytes, &buf[k], err);
        if (ret == 0)
            ret = read_block(d, k, box, buf[k].data, arena, err);
    }
    if (ret == 0) {
        const char *const cells[2] = {buf[0].data, buf[1].data};
        cm_cells_compare(d->arrays[0]->dtype, cells[0], cells[1], n, d->rtol, d->atol, &c);
        if (c.differing || c.has_max)
            ret = merge(d, box, &c, cells, err);
        cm_context_progress_add(d->ctx, (int64_t)nbytes);
    }
    cm_block_put(cache, &buf[0]);
    cm_block_put(cache, &buf[1]);
    cm_arena_free(arena);
    cm_budget_give(cm_context_budget(d->ctx), reserved);
    return ret;
}

/* When nothing else runs: in halves as long as the strings do not fit. */
static int compare_parts(differ *d, const cm_box *box, cm_error *err)
{
    int ret = compare_box(d, box, err), axis = -1;
    for (int i = 0; i < box->ndim; i++)
        if (box->n[i] > 1 && (axis < 0 || box->n[i] > box->n[axis]))
            axis = i;
    if (ret != CM_ELIMIT || !cm_kind_is_vlen(d->arrays[0]->dtype.kind) || axis < 0)
        return ret;
    cm_error_clear(err);
    cm_box part = *box;
    part.n[axis] = box->n[axis] / 2;
    ret = compare_parts(d, &part, err);
    part.lo[axis] += part.n[axis];
    part.n[axis] = box->n[axis] - part.n[axis];
    return ret ? ret : compare_parts(d, &part, err);
}

static int compare_block(void *arg, int64_t index, int worker, cm_error *err)
{
    differ *d = arg;
    cm_box box = cm_blocks_box(&d->blocks, index);
    return worker == CM_ALONE ? compare_parts(d, &box, err) : compare_box(d, &box, err);
}

int cm_array_compare(cm_context *ctx, cm_array *a, cm_array *b, double rtol, double atol,
                     cm_array_diff *out, cm_error *err)
{
    *out = (cm_array_diff){.cells = cm_shape_nelem(a->ndim, a->shape)};
    int64_t nbytes;
    if (out->cells < 0 || !cm_mul_i64(out->cells, a->dtype.size, &nbytes)) {
        cm_error_set(err, CM_EUNSUP, "an array of more than 2^63 bytes");
        return cm_error_variable(err, a->path), CM_EUNSUP;
    }
    differ d = {.ctx = ctx, .arrays = {a, b}, .rtol = rtol, .atol = atol, .out = out};
    cm_blocks_init(&d.blocks, ctx, d.arrays, 2);
    pthread_mutex_init(&d.lock, NULL);
    cm_context_progress_begin(ctx, "diff", a->path ? a->path : "", nbytes);
    int ret = cm_pool_for_fit(cm_context_pool(ctx), ctx, d.blocks.n, d.blocks.workers,
                              compare_block, &d, err);
    pthread_mutex_destroy(&d.lock);
    return ret;
}

void cm_array_diff_deinit(cm_array_diff *d)
{
    for (int i = 0; i < d->nfirst; i++) {
        free(d->first[i].a);
        free(d->first[i].b);
    }
    d->nfirst = 0;
}
