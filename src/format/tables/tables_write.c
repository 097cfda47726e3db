/* format/tables/tables_write.c: writing a file of entries, in one go from its beginning to its end.
 * See tables_file.c for what it is. Only the index is held in memory. */
#include <stdlib.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "format/tables/tables_file.h"
#include "format/tables/tables_layout.h"

static int put(cm_tables_writer *w, const void *bytes, size_t nbytes, cm_error *err)
{
    w->at += nbytes;
    return nbytes ? w->write(w->to, bytes, nbytes, err) : 0;
}

int cm_tables_begin(cm_tables_writer *w, cm_write_fn write, void *to, cm_error *err)
{
    uint8_t head[CM_TABLES_HEAD] = {0};
    *w = (cm_tables_writer){.write = write, .to = to};
    cm_wire_init(&w->index, CM_TABLES_LARGEST_INDEX, NULL);
    memcpy(head, CM_TABLES_MAGIC, 8);
    cm_store_le32(head + 8, CM_TABLES_VERSION);
    return put(w, head, sizeof head, err);
}

/* What the name shares with the one before, and the rest; and it becomes the one before. */
static int put_name(cm_wire_out *w, char **before, const char *name, cm_error *err)
{
    size_t shared = 0;
    while (*before && name[shared] && name[shared] == (*before)[shared])
        shared++;
    cm_wire_put_uint(w, shared);
    cm_wire_put_string(w, name + shared);
    free(*before);
    *before = cm_strdup(name, err);
    return *before ? 0 : CM_ENOMEM;
}

int cm_tables_put(cm_tables_writer *w, const cm_tables_entry *e, const void *bytes, cm_error *err)
{
    cm_wire_out *x = &w->index;
    uint8_t crc[4];
    uint64_t offset = w->at;
    if (strlen(e->path) > CM_TABLES_LONGEST_NAME || strlen(e->uri) > CM_TABLES_LONGEST_NAME)
        return cm_error_set(err, CM_ELIMIT, "a name of more than %d bytes", CM_TABLES_LONGEST_NAME);
    int ret = put(w, bytes, (size_t)e->nbytes, err);
    x->err = err;
    if (ret == 0)
        ret = put_name(x, &w->path, e->path, err);
    if (ret == 0)
        ret = put_name(x, &w->uri, e->uri, err);
    cm_wire_put_uint(x, e->version.size);
    cm_wire_put_uint(x, e->version.id[0]);
    cm_wire_put_uint(x, e->version.id[1]);
    cm_wire_put_uint(x, e->ctime_ns);
    cm_wire_put_uint(x, offset);
    cm_wire_put_uint(x, e->nbytes);
    cm_wire_put_uint(x, e->unpacked);
    cm_store_le32(crc, e->crc);
    cm_wire_put_raw(x, crc, sizeof crc);
    cm_wire_put_uint(x, e->counts.variables);
    cm_wire_put_uint(x, e->counts.chunks);
    cm_wire_put_uint(x, e->counts.deferred);
    cm_wire_put_uint(x, e->counts.embedded);
    x->err = NULL;
    w->n++;
    return ret ? ret : x->status;
}

int cm_tables_end(cm_tables_writer *w, cm_error *err)
{
    cm_wire_out head;
    uint8_t foot[CM_TABLES_FOOT] = {0};
    uint64_t offset = w->at;
    cm_wire_init(&head, 1 << 10, err);
    cm_wire_put_string(&head, cm_version());
    cm_wire_put_uint(&head, w->n);
    int ret = head.status ? head.status : put(w, head.bytes.data, head.bytes.nbytes, err);
    if (ret == 0)
        ret = put(w, w->index.bytes.data, w->index.bytes.nbytes, err);
    uint32_t crc = cm_crc32c(0, head.bytes.data, head.bytes.nbytes);
    crc = cm_crc32c(crc, w->index.bytes.data, w->index.bytes.nbytes);
    cm_store_le64(foot, offset);
    cm_store_le64(foot + 8, w->at - offset);
    cm_store_le32(foot + 16, crc);
    memcpy(foot + 24, CM_TABLES_END, 8);
    if (ret == 0)
        ret = put(w, foot, sizeof foot, err);
    cm_wire_deinit(&head);
    return ret;
}

void cm_tables_writer_deinit(cm_tables_writer *w)
{
    cm_wire_deinit(&w->index);
    free(w->path);
    free(w->uri);
    w->path = w->uri = NULL;
}
