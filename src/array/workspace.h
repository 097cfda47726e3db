/* array/workspace.h: what one worker needs to decode: codec states and scratch buffers, kept for
 * reuse.
 *
 * Workspaces wait in the context between reads, so that a steady state allocates nothing per chunk.
 * The blocks go back to the context's block cache with the workspace; only codec states stay with
 * it.
 */
#ifndef CM_ARRAY_WORKSPACE_H
#define CM_ARRAY_WORKSPACE_H

#include "base/context_private.h"
#include "codec/codec.h"

typedef struct cm_workspace {
    struct cm_workspace *next;
    cm_codec_work *codecs;
    cm_block encoded, decoded, middle, mapped[2];
} cm_workspace;

int cm_workspace_get(cm_context *ctx, cm_workspace **out, cm_error *err);
void cm_workspace_put(cm_context *ctx, cm_workspace *ws); /* NULL is legal */

#endif
