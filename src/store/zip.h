/* store/zip.h: what the files of the zip store share: the members of an archive.
 *
 * Source: PKWARE APPNOTE.TXT 6.3.10, sections 4.3 to 4.5.
 */
#ifndef CM_STORE_ZIP_H
#define CM_STORE_ZIP_H

#include "base/context_private.h"
#include "store/store.h"

enum {
    CM_ZIP_LOCAL = 0x04034b50,
    CM_ZIP_CENTRAL = 0x02014b50,
    CM_ZIP_END = 0x06054b50,
    CM_ZIP_END64 = 0x06064b50,
    CM_ZIP_LOCATOR = 0x07064b50,
    CM_ZIP_LOCAL_NBYTES = 30,
    CM_ZIP_CENTRAL_NBYTES = 46,
    CM_ZIP_END_NBYTES = 22,
    CM_ZIP_END64_NBYTES = 56,
    CM_ZIP_LOCATOR_NBYTES = 20,
    CM_ZIP_ENCRYPTED = 1 << 0, /* bits of the general purpose flags */
    CM_ZIP_DESCRIPTOR = 1 << 3,
    CM_ZIP_PATCHED = 1 << 5,
    CM_ZIP_STRONG = 1 << 6,
    CM_ZIP_UTF8 = 1 << 11,
    CM_ZIP_MASKED = 1 << 13,
    CM_ZIP_STORED = 0, /* methods */
    CM_ZIP_DEFLATED = 8,
    CM_ZIP_EXTRA64 = 0x0001, /* extra fields */
    CM_ZIP_EXTRA_UNICODE = 0x7075
};

typedef struct cm_zip_member {
    const char *name;  /* UTF-8 */
    uint64_t local;    /* offset of its local header */
    uint64_t end;      /* where the next member, or the directory, begins */
    uint64_t nbytes;   /* decoded */
    uint64_t stored;   /* as it is in the archive */
    uint32_t crc;      /* CRC-32 of the decoded bytes */
    uint32_t name_crc; /* of the name as the headers have it */
    uint32_t skip;     /* atomic: bytes from local to the data, 0: the local header was not read */
    uint16_t name_nbytes, flags, method; /* as in the headers */
} cm_zip_member;

/* Sorted by name, each name once. */
typedef struct cm_zip_directory {
    cm_zip_member *members;
    size_t n;
    uint64_t hidden; /* members that a later one of the same name replaces */
    char *names;
    cm_budget *budget; /* where pinned is set aside; may be NULL */
    uint64_t pinned;
} cm_zip_directory;

/* Read the central directory of object key. ctx: whose budget holds the table, may be NULL. Raises
 * CM_EDATA, CM_EUNSUP, CM_ELIMIT, CM_ECHANGED and what reading raises. */
int cm_zip_directory_read(cm_context *ctx, cm_store *files, const char *key,
                          const cm_object_version *version, cm_zip_directory *out, cm_error *err);
void cm_zip_directory_deinit(cm_zip_directory *d);

/* The first member whose name is not before name. */
size_t cm_zip_directory_search(const cm_zip_directory *d, const char *name);

/* The extra field `id` among them; NULL when there is none. CM_EDATA when they are malformed is
 * *bad. */
const uint8_t *cm_zip_extra(const uint8_t *extra, size_t nbytes, unsigned id, size_t *found,
                            bool *bad);

/* An archive in the making at path: a store to put objects into, by any number of threads, which
 * reads nothing. begin makes the file, which must not be there; finish writes the directory and
 * closes it, once, when nobody puts any more. Before that the file is no archive. The file stays
 * when the store is freed. Raise what the system does, CM_ENOMEM. */
int cm_zip_writer_new(cm_context *ctx, const char *path, cm_durability durability, cm_store **out,
                      cm_error *err);
int cm_zip_writer_begin(cm_store *w, cm_error *err);
int cm_zip_writer_finish(cm_store *w, cm_error *err);

/* For tests: numbers from this one on are written as zip64 has them. */
void cm_zip_writer_narrow(cm_store *w, uint64_t narrow);

#endif
