/* format/tables/tables_sources.c: many names at once, with a cache, and tables among them.
 *
 * First every name is opened, or found in the cache; a file of tables comes as a dataset that only
 * carries it. Then the carriers are replaced by the datasets of their entries, in the order of the
 * names. Both steps run on all threads.
 */
#include <stdlib.h>

#include "base/context_private.h"
#include "base/memory.h"
#include "format/format.h"
#include "format/tables/tables_cache.h"

typedef struct sources {
    cm_context *ctx;
    const char *const *uris;
    const char *format;
    cm_tables_cache *cache;
    cm_dataset **opened; /* by name */
    bool *cached;
    cm_dataset **out;
    struct origin {
        cm_dataset *ds; /* of opened */
        size_t i;       /* number in its tables */
    } * origins;
} sources;

void cm_sources_options_init(cm_sources_options *options)
{
    *options = (cm_sources_options){0};
}

void cm_sources_free(cm_dataset **datasets, size_t n)
{
    for (size_t i = 0; datasets && i < n; i++)
        cm_dataset_free(datasets[i]);
    free(datasets);
}

static int open_one(void *arg, int64_t i, int worker, cm_error *err)
{
    sources *s = arg;
    (void)worker;
    int ret = s->cache ? cm_tables_cache_dataset(s->cache, (size_t)i, s->uris[i], &s->opened[i],
                                                 &s->cached[i], err)
                       : cm_format_open(s->ctx, s->uris[i], s->format, &s->opened[i], err);
    cm_context_progress_add(s->ctx, 1);
    return ret;
}

static int expand_one(void *arg, int64_t i, int worker, cm_error *err)
{
    sources *s = arg;
    cm_tables *t = cm_tables_carried(s->origins[i].ds);
    (void)worker;
    return t ? cm_tables_dataset(t, s->origins[i].i, NULL, false, &s->out[i], err) : 0;
}

static int expand(sources *s, size_t n, size_t *nout, cm_error *err)
{
    cm_pool *pool = cm_context_pool(s->ctx);
    size_t total = 0, at = 0;
    for (size_t i = 0; i < n; i++) {
        cm_tables *t = cm_tables_carried(s->opened[i]);
        total += t ? cm_tables_count(t) : 1;
    }
    if (total == 0) {
        cm_error_set(err, CM_EDATA, "scan tables of no file");
        cm_error_object(err, s->uris[0]);
        return CM_EDATA;
    }
    s->origins = cm_calloc(total, sizeof *s->origins, err);
    s->out = s->origins ? cm_calloc(total, sizeof *s->out, err) : NULL;
    if (!s->out)
        return CM_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        cm_tables *t = cm_tables_carried(s->opened[i]);
        for (size_t k = 0; k < (t ? cm_tables_count(t) : 1); k++)
            s->origins[at++] = (struct origin){s->opened[i], k};
    }
    *nout = total;
    int ret = cm_pool_for(pool, s->ctx, (int64_t)total, cm_pool_size(pool) + 1, expand_one, s, err);
    for (size_t i = 0; i < total && ret == 0; i++)
        if (!s->out[i])
            s->out[i] = s->origins[i].ds;
    for (size_t i = 0; i < n && ret == 0; i++)
        if (!cm_tables_carried(s->opened[i]))
            s->opened[i] = NULL; /* out has it */
    return ret;
}

int cm_dataset_open_sources(cm_context *ctx, const char *const *uris, size_t n,
                            const cm_sources_options *options, cm_dataset ***out, size_t *nout,
                            cm_sources_stats *stats, cm_error *err)
{
    cm_pool *pool = cm_context_pool(ctx);
    cm_sources_options defaults;
    cm_sources_options_init(&defaults);
    options = options ? options : &defaults;
    sources s = {.ctx = ctx, .uris = uris, .format = options->format};
    size_t total = 0;
    *out = NULL;
    *nout = 0;
    if (stats)
        *stats = (cm_sources_stats){0};
    s.opened = cm_calloc(n, sizeof *s.opened, err);
    s.cached = s.opened ? cm_calloc(n, sizeof *s.cached, err) : NULL;
    int ret = s.cached ? 0 : CM_ENOMEM;
    if (ret == 0 && options->cache && !options->format)
        ret = cm_tables_cache_open(ctx, options->cache, n, &s.cache, err);
    cm_context_progress_count(ctx, "open", "", "files", (int64_t)n);
    if (ret == 0)
        ret = cm_pool_for(pool, ctx, (int64_t)n, cm_pool_size(pool) + 1, open_one, &s, err);
    if (ret == 0 && s.cache)
        ret = cm_tables_cache_save(s.cache, err);
    for (size_t i = 0; i < n && ret == 0 && stats; i++) {
        stats->cached += s.cached[i];
        stats->opened += !s.cached[i] && !cm_tables_carried(s.opened[i]);
    }
    if (ret == 0)
        ret = expand(&s, n, &total, err);
    if (ret == 0) {
        *out = s.out;
        *nout = total;
    } else {
        cm_sources_free(s.out, total);
    }
    free(s.origins);
    cm_sources_free(s.opened, n);
    cm_tables_cache_free(s.cache);
    free(s.cached);
    return ret;
}
