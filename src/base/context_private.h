/* base/context_private.h: what the engine's own floors see of a context. */
#ifndef CM_BASE_CONTEXT_PRIVATE_H
#define CM_BASE_CONTEXT_PRIVATE_H

#include "base/block.h"
#include "base/budget.h"
#include "base/pool.h"
#include "chunkmill/context.h"

/* Things that higher floors keep in the context and that die with it (before pool and budget). */
enum cm_context_slot {
    CM_SLOT_WORKSPACES,    /* array/: idle decoders and scratch */
    CM_SLOT_SHARD_INDEXES, /* array/: cache of shard indexes */
    CM_SLOT_COUNT
};

cm_pool *cm_context_pool(cm_context *ctx);
cm_budget *cm_context_budget(cm_context *ctx);
cm_block_cache *cm_context_blocks(cm_context *ctx);
bool cm_context_trusts_paths(const cm_context *ctx);

/* The slot's object, made by `make` on first use (one thread makes it, the others wait). NULL with
 * err set when that failed. */
void *cm_context_slot(cm_context *ctx, enum cm_context_slot slot,
                      void *(*make)(cm_context *, cm_error *), void (*destroy)(void *),
                      cm_error *err);

/* 0, or CM_ECANCEL with the message set. Cheap: one atomic load. */
int cm_context_check(const cm_context *ctx, cm_error *err);

void cm_context_log(cm_context *ctx, cm_log_level level, const char *format, ...) CM_PRINTF(3, 4);

/* Start a stage of total bytes of decoded cells, or of so many things of another kind ("files";
 * such a stage says nothing before it has lasted for a report's time); add to what is done. Cheap.
 */
void cm_context_progress_begin(cm_context *ctx, const char *stage, const char *variable,
                               int64_t total);
void cm_context_progress_count(cm_context *ctx, const char *stage, const char *variable,
                               const char *counted, int64_t total);
void cm_context_progress_add(cm_context *ctx, int64_t done);

#endif
