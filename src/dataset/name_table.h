/* dataset/name_table.h: from a name to a number, for lists too long to be searched. */
#ifndef CM_DATASET_NAME_TABLE_H
#define CM_DATASET_NAME_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "chunkmill/error.h"

/* Zeroed: empty. Names are borrowed and must outlive the table. */
typedef struct cm_name_table {
    struct cm_name_slot *slots;
    size_t nslots, count; /* nslots: 0 or a power of two */
} cm_name_table;

void cm_name_table_deinit(cm_name_table *t);

/* The number of name[0..nbytes), or -1. */
int64_t cm_name_table_find(const cm_name_table *t, const char *name, size_t nbytes);

/* Enter a name that is not there yet. Returns 0 or CM_ENOMEM. */
int cm_name_table_add(cm_name_table *t, const char *name, int64_t number, cm_error *err);

#endif
