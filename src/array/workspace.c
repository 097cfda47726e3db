/* array/workspace.c: the free list of workspaces; see workspace.h. `lock` guards the list. */
#include <pthread.h>
#include <stdlib.h>

#include "array/workspace.h"
#include "base/memory.h"

typedef struct workspaces {
    pthread_mutex_t lock;
    cm_workspace *free;
} workspaces;

static void destroy(void *p)
{
    workspaces *w = p;
    while (w->free) {
        cm_workspace *ws = w->free;
        w->free = ws->next;
        cm_codec_work_free(ws->codecs);
        free(ws);
    }
    pthread_mutex_destroy(&w->lock);
    free(w);
}

static void *make(cm_context *ctx, cm_error *err)
{
    (void)ctx;
    workspaces *w = cm_calloc(1, sizeof *w, err);
    if (w)
        pthread_mutex_init(&w->lock, NULL);
    return w;
}

int cm_workspace_get(cm_context *ctx, cm_workspace **out, cm_error *err)
{
    workspaces *w = cm_context_slot(ctx, CM_SLOT_WORKSPACES, make, destroy, err);
    if (!w)
        return CM_ENOMEM;
    pthread_mutex_lock(&w->lock);
    cm_workspace *ws = w->free;
    if (ws)
        w->free = ws->next;
    pthread_mutex_unlock(&w->lock);
    if (!ws) {
        ws = cm_calloc(1, sizeof *ws, err);
        if (!ws)
            return CM_ENOMEM;
        if (cm_codec_work_new(&ws->codecs, err)) {
            free(ws);
            return CM_ENOMEM;
        }
    }
    ws->next = NULL;
    *out = ws;
    return 0;
}

void cm_workspace_put(cm_context *ctx, cm_workspace *ws)
{
    if (!ws)
        return;
    cm_block_cache *blocks = cm_context_blocks(ctx);
    cm_block_put(blocks, &ws->encoded);
    cm_block_put(blocks, &ws->decoded);
    cm_block_put(blocks, &ws->middle);
    cm_block_put(blocks, &ws->mapped[0]);
    cm_block_put(blocks, &ws->mapped[1]);
    workspaces *w = cm_context_slot(ctx, CM_SLOT_WORKSPACES, make, destroy, NULL);
    pthread_mutex_lock(&w->lock);
    ws->next = w->free;
    w->free = ws;
    pthread_mutex_unlock(&w->lock);
}
