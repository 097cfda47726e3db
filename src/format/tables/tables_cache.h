/* format/tables/tables_cache.h: a file of tables that is kept up to date.
 *
 * Threads: lookups from many threads; each source is noted by one thread.
 */
#ifndef CM_FORMAT_TABLES_CACHE_H
#define CM_FORMAT_TABLES_CACHE_H

#include "format/tables/tables_file.h"

typedef struct cm_tables_cache cm_tables_cache;

/* n: sources that will be asked for. A cache that is not there is empty; a damaged one too, with a
 * warning. CM_EINVAL for a file that is none. */
int cm_tables_cache_open(cm_context *ctx, const char *path, size_t n, cm_tables_cache **out,
                         cm_error *err);

/* The dataset of source i, uri: out of the cache, *cached, or opened and, the first time, noted.
 * What opening raises. */
int cm_tables_cache_dataset(cm_tables_cache *c, size_t i, const char *uri, cm_dataset **out,
                            bool *cached, cm_error *err);

/* Would uri be found in the cache? */
bool cm_tables_cache_knows(const cm_tables_cache *c, const char *uri);

/* Write what was noted, beside what is still good. A cache that cannot be written is a warning:
 * everything is open. Only being out of memory and interruption are returned. */
int cm_tables_cache_save(cm_tables_cache *c, cm_error *err);
void cm_tables_cache_free(cm_tables_cache *c); /* NULL is legal */

#endif
