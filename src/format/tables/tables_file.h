/* format/tables/tables_file.h: entries of many files in one file.
 *
 * Threads: an opened one may be read from many threads; writing is one thread's.
 */
#ifndef CM_FORMAT_TABLES_FILE_H
#define CM_FORMAT_TABLES_FILE_H

#include "format/tables/tables.h"

#define CM_TABLES_MAGIC                                                                            \
    "\x89"                                                                                         \
    "CMT\r\n\x1a\n" /* 8 bytes */

/* One entry as the index has it. */
typedef struct cm_tables_entry {
    const char *path; /* of the file, absolute */
    const char *uri;  /* as it was named */
    cm_object_version version;
    uint64_t ctime_ns;       /* of a cache: the system's own time of change; 0: not recorded */
    uint64_t offset, nbytes; /* of the entry, in the file of tables */
    uint64_t unpacked;       /* bytes of it; equal to nbytes: it is not compressed */
    uint32_t crc;            /* CRC-32C of those nbytes */
    cm_tables_counts counts;
} cm_tables_entry;

typedef struct cm_tables cm_tables;

/* Read the index of object key of store. uri: for messages. Raises CM_EDATA, CM_ELIMIT, and what
 * the store raises. */
int cm_tables_open(cm_context *ctx, cm_store *store, const char *key, const char *uri,
                   cm_tables **out, cm_error *err);
void cm_tables_free(cm_tables *t); /* NULL is legal */
size_t cm_tables_count(const cm_tables *t);
const cm_tables_entry *cm_tables_entry_at(const cm_tables *t, size_t i);
const char *cm_tables_program(const cm_tables *t); /* version of the one that wrote it */

/* The entry's bytes as they are stored, checked: nbytes at *bytes, which the caller frees. */
int cm_tables_read(cm_tables *t, size_t i, void **bytes, cm_error *err);

/* The dataset of entry i. uri: what it is called; NULL: as it was when it was scanned. checked: the
 * caller has seen that the file is the one that was scanned; else it is looked at: CM_ECHANGED. A
 * file that is not there is no error before cells of it are read. */
int cm_tables_dataset(cm_tables *t, size_t i, const char *uri, bool checked, cm_dataset **out,
                      cm_error *err);

/* ---- writing --------------------------------------------------------------------------------- */

typedef struct cm_tables_writer {
    cm_write_fn write;
    void *to;
    uint64_t at; /* bytes written */
    cm_wire_out index;
    size_t n;
    char *path, *uri; /* of the entry before */
} cm_tables_writer;

/* Begin, put entries, end; free after success and failure. */
int cm_tables_begin(cm_tables_writer *w, cm_write_fn write, void *to, cm_error *err);
/* entry->nbytes of bytes; offset is set. */
int cm_tables_put(cm_tables_writer *w, const cm_tables_entry *entry, const void *bytes,
                  cm_error *err);
int cm_tables_end(cm_tables_writer *w, cm_error *err);
void cm_tables_writer_deinit(cm_tables_writer *w);

/* ---- scanning -------------------------------------------------------------------------------- */

/* An entry that is not in a file yet: its strings and bytes are owned. */
typedef struct cm_tables_item {
    cm_tables_entry entry;
    char *path, *uri;
    void *bytes;
} cm_tables_item;

void cm_tables_item_deinit(cm_tables_item *item);

/* Where a name leads: path of the file with its directory's real path, and the directory and name
 * as given. */
typedef struct cm_tables_place {
    char *path, *directory;
    const char *key; /* in path */
} cm_tables_place;

int cm_tables_place_of(const char *uri, cm_tables_place *out, cm_error *err);
void cm_tables_place_deinit(cm_tables_place *p);

/* The entry of an opened file, compressed. */
int cm_tables_make(cm_context *ctx, cm_dataset *ds, const cm_tables_file *file, const char *path,
                   cm_tables_item *item, cm_error *err);

/* ---- as a source ----------------------------------------------------------------------------- */

/* An empty dataset that carries t (taken, also on failure): what opening a file of tables gives
 * inside. NULL for all others. */
int cm_tables_carrier(cm_context *ctx, cm_tables *t, const char *uri, cm_dataset **out,
                      cm_error *err);
cm_tables *cm_tables_carried(const cm_dataset *ds);

#endif
