/* format/tables/tables_list.h: many sources, opened one by one when they are wanted.
 *
 * As cm_dataset_open_sources, for whoever looks at each and lets it go: the names are known at
 * once, tables among them count as the files that they hold.
 *
 * Threads: sources may be opened from many threads at once.
 */
#ifndef CM_FORMAT_TABLES_LIST_H
#define CM_FORMAT_TABLES_LIST_H

#include "format/tables/tables_cache.h"

typedef struct cm_tables_list cm_tables_list;

/* format and cache as in cm_sources_options. A name that cannot be opened, be it as tables, is one
 * source, which says so when it is opened. uris are borrowed. */
int cm_tables_list_new(cm_context *ctx, const char *const *uris, size_t n, const char *format,
                       const char *cache, cm_tables_list **out, cm_error *err);
size_t cm_tables_list_count(const cm_tables_list *l);
const char *const *cm_tables_list_names(const cm_tables_list *l);
int cm_tables_list_open(cm_tables_list *l, size_t i, cm_dataset **out, cm_error *err);

/* Write the cache, if there is one. */
int cm_tables_list_save(cm_tables_list *l, cm_error *err);
void cm_tables_list_free(cm_tables_list *l); /* NULL is legal */

#endif
