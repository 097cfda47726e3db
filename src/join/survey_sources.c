/* join/survey_sources.c: the names that a survey is given become files.
 *
 * A name is a file or store; or a file of scan tables, which stands for the files that it holds, in
 * their order. Which it is says its first 8 bytes. Tables stay open for the survey's time, as
 * opening one of their entries is cheap then; files never do.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/context_private.h"
#include "base/memory.h"
#include "format/format.h"
#include "format/tables/tables_cache.h"
#include "join/survey.h"

typedef struct probe {
    cm_context *ctx;
    const char *const *names;
    cm_dataset **carriers;
} probe;

static bool begins_as_tables(const char *path)
{
    char head[8];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    bool yes = fd >= 0 && read(fd, head, sizeof head) == (ssize_t)sizeof head &&
               memcmp(head, CM_TABLES_MAGIC, sizeof head) == 0;
    if (fd >= 0)
        close(fd);
    return yes;
}

/* Names that cannot be opened are none: that is found again. */
static int probe_one(void *arg, int64_t i, int worker, cm_error *err)
{
    const probe *p = arg;
    cm_error why;
    char *path = NULL;
    (void)worker;
    cm_error_clear(&why);
    int rc = cm_format_local_path(p->names[i], &path, &why);
    if (rc == 0 && begins_as_tables(path)) {
        rc = cm_format_open(p->ctx, p->names[i], NULL, &p->carriers[i], &why);
        if (rc == 0 && !cm_tables_carried(p->carriers[i])) {
            cm_dataset_free(p->carriers[i]);
            p->carriers[i] = NULL;
        }
    }
    free(path);
    if (rc != CM_ENOMEM && rc != CM_ECANCEL)
        return 0;
    if (err)
        *err = why;
    return rc;
}

int cm_survey_sources(cm_survey *s, const char *const *names, size_t n, cm_error *err)
{
    cm_pool *pool = cm_context_pool(s->ctx);
    size_t total = 0;
    if (!(s->carriers = cm_calloc(n, sizeof *s->carriers, err)))
        return CM_ENOMEM;
    s->ncarriers = n;
    probe p = {s->ctx, names, s->carriers};
    int rc = s->options->format ? 0
                                : cm_pool_for(pool, s->ctx, (int64_t)n, cm_pool_size(pool) + 1,
                                              probe_one, &p, err);
    for (size_t i = 0; rc == 0 && i < n; i++)
        total += s->carriers[i] ? cm_tables_count(cm_tables_carried(s->carriers[i])) : 1;
    if (rc == 0 && (total == 0 || total > UINT32_MAX / 2))
        rc = cm_error_set(err, CM_EINVAL, "a survey of %zu files", total);
    if (rc)
        return rc;
    s->sources = cm_calloc(total, sizeof *s->sources, err);
    s->uris = cm_calloc(total, sizeof *s->uris, err);
    if (!s->sources || !s->uris)
        return CM_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        cm_tables *t = s->carriers[i] ? cm_tables_carried(s->carriers[i]) : NULL;
        for (size_t k = 0; k < (t ? cm_tables_count(t) : 1); k++) {
            s->sources[s->n] = (cm_survey_source){t, k};
            s->uris[s->n++] = t ? cm_tables_entry_at(t, k)->uri : names[i];
        }
    }
    if (s->options->cache)
        rc = cm_tables_cache_open(s->ctx, s->options->cache, s->n, &s->cache, err);
    return rc;
}

void cm_survey_sources_deinit(cm_survey *s)
{
    cm_tables_cache_free(s->cache);
    for (size_t i = 0; i < s->ncarriers; i++)
        cm_dataset_free(s->carriers[i]);
    free(s->carriers);
    free(s->sources);
    free(s->uris);
}

int cm_survey_keep_cache(cm_survey *s, cm_error *err)
{
    return s->cache ? cm_tables_cache_save(s->cache, err) : 0;
}

/* first: it is the pass over all files, which may note what it finds in the cache. */
static int open_source(const cm_survey *s, size_t k, bool first, cm_dataset **out, cm_error *err)
{
    const cm_survey_source *source = &s->sources[k];
    bool unused;
    if (source->tables)
        return cm_tables_dataset(source->tables, source->entry, NULL, false, out, err);
    if (first && s->cache)
        return cm_tables_cache_dataset(s->cache, k, s->uris[k], out, &unused, err);
    return cm_dataset_open(s->ctx, s->uris[k], s->options->format, out, err);
}

int cm_survey_open(const cm_survey *s, size_t k, bool first, cm_dataset **out, cm_error *err)
{
    cm_dataset *ds = NULL, *part = NULL;
    *out = NULL;
    int rc = open_source(s, k, first, &ds, err);
    if (rc == 0 && s->options->select_any) {
        rc = cm_dataset_select(s->ctx, ds, &s->options->select, &part, err);
        cm_dataset_free(ds);
        ds = part;
    }
    if (rc)
        cm_error_object(err, s->uris[k]);
    else
        *out = ds;
    return rc;
}
