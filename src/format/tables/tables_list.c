/* format/tables/tables_list.c: a list of sources without any of them open.
 *
 * The first bytes of every name say whether it is a file of tables; those stay open, with their
 * index, as long as the list. A file that the cache knows is not looked at.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/context_private.h"
#include "base/memory.h"
#include "format/format.h"
#include "format/tables/tables_list.h"

typedef struct source {
    size_t name;     /* number of what was given */
    cm_tables *from; /* NULL: the name itself */
    size_t entry;    /* of from */
} source;

struct cm_tables_list {
    cm_context *ctx;
    const char *const *uris;
    const char *format;
    cm_tables_cache *cache;
    cm_dataset **carriers; /* by name, NULL but for tables */
    size_t n;
    source *sources;
    const char **names;
    size_t nsources;
};

static bool is_tables(const char *uri)
{
    char head[8], *path = NULL;
    bool found = false;
    if (cm_format_local_path(uri, &path, NULL) == 0) {
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        found = fd >= 0 && read(fd, head, sizeof head) == (ssize_t)sizeof head &&
                memcmp(head, CM_TABLES_MAGIC, sizeof head) == 0;
        if (fd >= 0)
            close(fd);
    }
    free(path);
    return found;
}

/* One that does not open as tables is left to be found out by who opens it. */
static int look_at(void *arg, int64_t i, int worker, cm_error *err)
{
    cm_tables_list *l = arg;
    (void)worker;
    if (l->format || (l->cache && cm_tables_cache_knows(l->cache, l->uris[i])) ||
        !is_tables(l->uris[i]))
        return 0;
    int ret = cm_format_open(l->ctx, l->uris[i], NULL, &l->carriers[i], err);
    return ret == CM_ENOMEM || ret == CM_ECANCEL ? ret : 0;
}

static int number(cm_tables_list *l, cm_error *err)
{
    size_t total = 0, at = 0;
    for (size_t i = 0; i < l->n; i++) {
        cm_tables *t = l->carriers[i] ? cm_tables_carried(l->carriers[i]) : NULL;
        total += t ? cm_tables_count(t) : 1;
    }
    l->sources = cm_calloc(total, sizeof *l->sources, err);
    l->names = l->sources ? cm_calloc(total, sizeof *l->names, err) : NULL;
    if (!l->names)
        return CM_ENOMEM;
    for (size_t i = 0; i < l->n; i++) {
        cm_tables *t = l->carriers[i] ? cm_tables_carried(l->carriers[i]) : NULL;
        for (size_t k = 0; k < (t ? cm_tables_count(t) : 1); k++) {
            l->sources[at] = (source){i, t, k};
            l->names[at++] = t ? cm_tables_entry_at(t, k)->uri : l->uris[i];
        }
    }
    l->nsources = total;
    return 0;
}

int cm_tables_list_new(cm_context *ctx, const char *const *uris, size_t n, const char *format,
                       const char *cache, cm_tables_list **out, cm_error *err)
{
    cm_pool *pool = cm_context_pool(ctx);
    cm_tables_list *l = cm_calloc(1, sizeof *l, err);
    *out = NULL;
    if (!l)
        return CM_ENOMEM;
    l->ctx = ctx;
    l->uris = uris;
    l->n = n;
    l->format = format;
    l->carriers = cm_calloc(n, sizeof *l->carriers, err);
    int ret = l->carriers ? 0 : CM_ENOMEM;
    if (ret == 0 && cache && !format)
        ret = cm_tables_cache_open(ctx, cache, n, &l->cache, err);
    if (ret == 0)
        ret = cm_pool_for(pool, ctx, (int64_t)n, cm_pool_size(pool) + 1, look_at, l, err);
    if (ret == 0)
        ret = number(l, err);
    if (ret)
        cm_tables_list_free(l);
    else
        *out = l;
    return ret;
}

size_t cm_tables_list_count(const cm_tables_list *l)
{
    return l->nsources;
}

const char *const *cm_tables_list_names(const cm_tables_list *l)
{
    return l->names;
}

int cm_tables_list_open(cm_tables_list *l, size_t i, cm_dataset **out, cm_error *err)
{
    const source *s = &l->sources[i];
    bool cached;
    if (s->from)
        return cm_tables_dataset(s->from, s->entry, NULL, false, out, err);
    if (l->cache)
        return cm_tables_cache_dataset(l->cache, s->name, l->uris[s->name], out, &cached, err);
    return cm_dataset_open(l->ctx, l->uris[s->name], l->format, out, err);
}

int cm_tables_list_save(cm_tables_list *l, cm_error *err)
{
    return l->cache ? cm_tables_cache_save(l->cache, err) : 0;
}

void cm_tables_list_free(cm_tables_list *l)
{
    if (!l)
        return;
    cm_sources_free(l->carriers, l->n);
    cm_tables_cache_free(l->cache);
    free(l->sources);
    free(l->names);
    free(l);
}
