/* store/zip_writer.c: a zip archive in the making, as a store that objects are put into.
 *
 *     | header, bytes | header, bytes | ...            | central directory | end |
 *       put, by any number of threads, each at its       at finish
 *       own place
 *
 * All members are stored, so that each is a range of the archive. The size of an object is known
 * when it is put: its place is reserved under the lock, and its bytes are written there without it.
 * An object that is made piece by piece has no size before it is whole; it goes through a scratch
 * file without a name, and is copied from there.
 *
 * The central directory's headers gather in a scratch file too, so a million members take no
 * memory. Objects may be put more than once (a task that ran out of memory is run again): the
 * directory gets the last one, and what was put before stays as a gap. No two members ever have the
 * same name. To find them, hashes of the names are sorted, as many at once as take 8 MB.
 *
 * zip64 records are written only where a number needs them. Times are all 1980-01-01, the earliest
 * there is: the same cells make the same archive, but for the order in which threads put them.
 *
 * Until finish has written the end, the file is no archive to anybody. Nothing is flushed before:
 * with any durability but none, finish flushes the whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libdeflate.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/memory.h"
#include "store/local.h"
#include "store/zip.h"

enum {
    WRITE_ONCE = 64 << 20, /* between two looks at cancellation */
    WAITING = 1 << 16,     /* bytes of headers that are written together */
    COPY = 1 << 18,
    HASHES = 1 << 19,
    EXTRA_ROOM = 32,
    DATE = 0x21 /* 1980-01-01 */
};

typedef struct zip_writer {
    cm_store base;
    cm_context *ctx; /* may be NULL */
    char *path, *directory;
    cm_durability durability;
    uint64_t narrow; /* numbers below it are written in 32 bits */
    int fd, list;    /* the archive, the scratch file of headers; -1 before begin */
    pthread_mutex_t lock;
    uint64_t end; /* where the next member goes */
    uint64_t count, list_nbytes;
    uint8_t *waiting; /* headers after list_nbytes */
    size_t nwaiting;
} zip_writer;

static int fail(const zip_writer *w, int e, const char *what, cm_error *err)
{
    int r = cm_error_set_os(err, e, "%s", what);
    cm_error_object(err, w->path);
    return r;
}

static int write_at(const zip_writer *w, int fd, uint64_t offset, const void *data, size_t nbytes,
                    cm_error *err)
{
    const uint8_t *p = data;
    while (nbytes) {
        int r = w->ctx ? cm_context_check(w->ctx, err) : 0;
        if (r)
            return r;
        ssize_t n = pwrite(fd, p, nbytes < WRITE_ONCE ? nbytes : WRITE_ONCE, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fail(w, n < 0 ? errno : EIO, "cannot write", err);
        p += n;
        offset += (uint64_t)n;
        nbytes -= (size_t)n;
    }
    return 0;
}

static int read_at(const zip_writer *w, int fd, uint64_t offset, void *data, size_t nbytes,
                   cm_error *err)
{
    uint8_t *p = data;
    while (nbytes) {
        ssize_t n = pread(fd, p, nbytes < WRITE_ONCE ? nbytes : WRITE_ONCE, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fail(w, n < 0 ? errno : EIO, "cannot read the scratch file", err);
        p += n;
        offset += (uint64_t)n;
        nbytes -= (size_t)n;
    }
    return 0;
}

/* A file without a name, beside the archive. -1 with err set. */
static int open_scratch(const zip_writer *w, cm_error *err)
{
    int fd = open(w->directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    char *name = cm_sprintf(err, "%s-XXXXXX", w->path);
    if (!name)
        return -1;
    fd = mkostemp(name, O_CLOEXEC);
    if (fd < 0)
        fail(w, errno, "cannot make a scratch file beside it", err);
    else
        unlink(name);
    free(name);
    return fd;
}

/* ---- records --------------------------------------------------------------------------------- */

static uint8_t *put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
    return p + 2;
}

static uint8_t *put32(uint8_t *p, uint64_t v)
{
    cm_store_le32(p, (uint32_t)v);
    return p + 4;
}

static uint8_t *put64(uint8_t *p, uint64_t v)
{
    cm_store_le64(p, v);
    return p + 8;
}

static uint64_t narrowed(const zip_writer *w, uint64_t v)
{
    return v < w->narrow ? v : 0xffffffff;
}

typedef struct member {
    const char *name;
    size_t name_nbytes;
    uint64_t offset, nbytes;
    uint32_t crc;
    bool ascii;
} member;

/* What the local and the central header have in common. */
static uint8_t *put_common(const zip_writer *w, uint8_t *p, const member *m, bool wide)
{
    p = put16(p, wide ? 45 : 20);
    p = put16(p, (unsigned)(m->ascii ? 0 : CM_ZIP_UTF8));
    p = put16(p, CM_ZIP_STORED);
    p = put16(p, 0);
    p = put16(p, DATE);
    p = put32(p, m->crc);
    p = put32(p, narrowed(w, m->nbytes));
    p = put32(p, narrowed(w, m->nbytes));
    return put16(p, (unsigned)m->name_nbytes);
}

/* With the name; at most CM_ZIP_LOCAL_NBYTES + name + EXTRA_ROOM bytes. */
static size_t make_local(const zip_writer *w, const member *m, uint8_t *out)
{
    bool wide = m->nbytes >= w->narrow;
    uint8_t *p = put32(out, CM_ZIP_LOCAL);
    p = put_common(w, p, m, wide);
    p = put16(p, wide ? 20 : 0);
    memcpy(p, m->name, m->name_nbytes);
    p += m->name_nbytes;
    if (wide) {
        p = put16(p, CM_ZIP_EXTRA64);
        p = put16(p, 16);
        p = put64(p, m->nbytes);
        p = put64(p, m->nbytes);
    }
    return (size_t)(p - out);
}

static size_t make_central(const zip_writer *w, const member *m, uint8_t *out)
{
    bool wide_size = m->nbytes >= w->narrow, wide_offset = m->offset >= w->narrow;
    unsigned extra = (wide_size ? 16u : 0u) + (wide_offset ? 8u : 0u);
    uint8_t *p = put32(out, CM_ZIP_CENTRAL);
    p = put16(p, 3 << 8 | 45); /* made on Unix */
    p = put_common(w, p, m, extra != 0);
    p = put16(p, extra ? 4 + extra : 0);
    p = put16(p, 0); /* comment */
    p = put16(p, 0); /* disk */
    p = put16(p, 0);
    p = put32(p, (uint64_t)0100644 << 16); /* a regular file, rw-r--r-- */
    p = put32(p, narrowed(w, m->offset));
    memcpy(p, m->name, m->name_nbytes);
    p += m->name_nbytes;
    if (extra) {
        p = put16(p, CM_ZIP_EXTRA64);
        p = put16(p, extra);
    }
    if (wide_size) {
        p = put64(p, m->nbytes);
        p = put64(p, m->nbytes);
    }
    if (wide_offset)
        p = put64(p, m->offset);
    return (size_t)(p - out);
}

/* ---- putting --------------------------------------------------------------------------------- */

static int check_name(const zip_writer *w, const char *key, unsigned flags, member *m,
                      cm_error *err)
{
    int r = w->fd < 0 ? cm_error_set(err, CM_EINVAL, "the archive was not begun")
                      : cm_store_check_key(key, err);
    if (r == 0 && flags)
        r = cm_error_set(err, CM_EUNSUP, "an archive in the making does not know what is in it");
    *m = (member){.name = key, .name_nbytes = strlen(key), .ascii = true};
    if (r == 0 && m->name_nbytes > 65535)
        r = cm_error_set(err, CM_ELIMIT, "%.100s...: a name of more than 65535 bytes", key);
    if (r == 0 && strchr(key, '\\'))
        r = cm_error_set(err, CM_EUNSUP,
                         "%.200s: zip archives with a backslash in a name are read as if it were "
                         "a '/' by some",
                         key);
    for (size_t i = 0; i < m->name_nbytes && m->ascii; i++)
        m->ascii = (unsigned char)key[i] < 0x80;
    return r;
}

/* Find a place for the member of m->nbytes, and write its header there. *data: where its bytes go.
 */
static int reserve(zip_writer *w, member *m, uint64_t *data, cm_error *err)
{
    uint8_t *header = cm_calloc(CM_ZIP_LOCAL_NBYTES + m->name_nbytes + EXTRA_ROOM, 1, err);
    if (!header)
        return CM_ENOMEM;
    size_t n = make_local(w, m, header);
    pthread_mutex_lock(&w->lock);
    bool fits = m->nbytes < INT64_MAX / 2 && w->end < INT64_MAX / 2;
    m->offset = w->end;
    w->end += fits ? n + m->nbytes : 0;
    pthread_mutex_unlock(&w->lock);
    *data = m->offset + n;
    int r = fits ? write_at(w, w->fd, m->offset, header, n, err)
                 : cm_error_set(err, CM_ELIMIT, "an archive of more than 2^62 bytes");
    free(header);
    return r;
}

/* Under the lock. */
static int flush_waiting(zip_writer *w, cm_error *err)
{
    int r = write_at(w, w->list, w->list_nbytes, w->waiting, w->nwaiting, err);
    if (r == 0) {
        w->list_nbytes += w->nwaiting;
        w->nwaiting = 0;
    }
    return r;
}

/* The member is whole: it is in the directory from now on. */
static int enlist(zip_writer *w, const member *m, cm_error *err)
{
    size_t room = CM_ZIP_CENTRAL_NBYTES + m->name_nbytes + EXTRA_ROOM;
    uint8_t *header = cm_calloc(room, 1, err);
    if (!header)
        return CM_ENOMEM;
    size_t n = make_central(w, m, header);
    int r = 0;
    pthread_mutex_lock(&w->lock);
    if (w->nwaiting + n > WAITING)
        r = flush_waiting(w, err);
    if (r == 0 && n > WAITING) {
        r = write_at(w, w->list, w->list_nbytes, header, n, err);
        w->list_nbytes += r ? 0 : n;
    } else if (r == 0) {
        memcpy(w->waiting + w->nwaiting, header, n);
        w->nwaiting += n;
    }
    w->count += r == 0;
    pthread_mutex_unlock(&w->lock);
    free(header);
    return r;
}

static int writer_put(cm_store *base, const char *key, const cm_iov *iov, int n, unsigned flags,
                      cm_error *err)
{
    zip_writer *w = (zip_writer *)base;
    member m;
    uint64_t at;
    int r = check_name(w, key, flags, &m, err);
    for (int i = 0; i < n && r == 0; i++) {
        if (!cm_add_u64(m.nbytes, iov[i].nbytes, &m.nbytes))
            r = cm_error_set(err, CM_ELIMIT, "%.200s: more than 2^64 bytes", key);
        m.crc = r || !iov[i].nbytes ? m.crc : libdeflate_crc32(m.crc, iov[i].data, iov[i].nbytes);
    }
    if (r == 0)
        r = reserve(w, &m, &at, err);
    for (int i = 0; i < n && r == 0; at += iov[i++].nbytes)
        r = write_at(w, w->fd, at, iov[i].data, iov[i].nbytes, err);
    return r ? r : enlist(w, &m, err);
}

/* An object while it is made. */
typedef struct making {
    const zip_writer *w;
    int fd;
    uint64_t nbytes;
    uint32_t crc;
} making;

static int write_next(void *to, const void *data, size_t nbytes, cm_error *err)
{
    making *k = to;
    int r = write_at(k->w, k->fd, k->nbytes, data, nbytes, err);
    if (r == 0 && nbytes) {
        k->nbytes += nbytes;
        k->crc = libdeflate_crc32(k->crc, data, nbytes);
    }
    return r;
}

static int copy_range(const zip_writer *w, int from, uint64_t source, uint64_t to, uint64_t nbytes,
                      cm_error *err)
{
    uint8_t *buffer = cm_calloc(COPY, 1, err);
    int r = buffer ? 0 : CM_ENOMEM;
    for (uint64_t done = 0; done < nbytes && r == 0;) {
        size_t n = nbytes - done < COPY ? (size_t)(nbytes - done) : COPY;
        r = read_at(w, from, source + done, buffer, n, err);
        if (r == 0)
            r = write_at(w, w->fd, to + done, buffer, n, err);
        done += n;
    }
    free(buffer);
    return r;
}

static int writer_put_from(cm_store *base, const char *key, cm_produce_fn produce, void *user,
                           unsigned flags, cm_error *err)
{
    zip_writer *w = (zip_writer *)base;
    member m;
    uint64_t at;
    int r = check_name(w, key, flags, &m, err);
    if (r)
        return r;
    cm_error local = {0}, *say = err ? err : &local;
    making k = {.w = w, .fd = open_scratch(w, say)};
    if (k.fd < 0)
        return say->code;
    r = produce(user, write_next, &k, err);
    m.nbytes = k.nbytes;
    m.crc = k.crc;
    if (r == 0)
        r = reserve(w, &m, &at, err);
    if (r == 0)
        r = copy_range(w, k.fd, 0, at, k.nbytes, err);
    close(k.fd);
    return r ? r : enlist(w, &m, err);
}

/* ---- the directory --------------------------------------------------------------------------- */

typedef int (*header_fn)(void *user, const uint8_t *header, size_t nbytes, uint64_t offset,
                         cm_error *err);

static size_t header_nbytes(const uint8_t *p)
{
    return CM_ZIP_CENTRAL_NBYTES + (size_t)cm_load_le16(p + 28) + cm_load_le16(p + 30);
}

/* Every header of the scratch file, in order. */
static int each_header(zip_writer *w, header_fn fn, void *user, cm_error *err)
{
    size_t have = 0, at = 0, room = COPY + 131072;
    uint64_t done = 0;
    uint8_t *buffer = cm_calloc(room, 1, err);
    int r = buffer ? 0 : CM_ENOMEM;
    while (r == 0 && done - have + at < w->list_nbytes) {
        bool whole = have - at >= CM_ZIP_CENTRAL_NBYTES && have - at >= header_nbytes(buffer + at);
        if (whole) {
            size_t n = header_nbytes(buffer + at);
            r = fn(user, buffer + at, n, done - have + at, err);
            at += n;
            continue;
        }
        memmove(buffer, buffer + at, have - at);
        have -= at;
        at = 0;
        size_t n =
            w->list_nbytes - done < room - have ? (size_t)(w->list_nbytes - done) : room - have;
        r = w->ctx ? cm_context_check(w->ctx, err) : 0;
        if (r == 0)
            r = read_at(w, w->list, done, buffer + have, n, err);
        have += n;
        done += n;
    }
    free(buffer);
    return r;
}

typedef struct hashed {
    uint64_t hash, offset;
} hashed;

typedef struct hashing {
    hashed *items;
    size_t n, capacity;
    uint64_t pass, passes;
} hashing;

static int note_hash(void *user, const uint8_t *p, size_t nbytes, uint64_t offset, cm_error *err)
{
    hashing *h = user;
    const uint8_t *name = p + CM_ZIP_CENTRAL_NBYTES;
    size_t n = cm_load_le16(p + 28);
    uint64_t hash = (uint64_t)cm_lookup3(name, n) << 32 | cm_crc32c(0, name, n);
    (void)nbytes;
    if (hash % h->passes != h->pass)
        return 0;
    int r = cm_grow(&h->items, &h->capacity, h->n + 1, sizeof *h->items, err);
    if (r == 0)
        h->items[h->n++] = (hashed){hash, offset};
    return r;
}

static int by_hash(const void *a, const void *b)
{
    const hashed *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static int same_name(zip_writer *w, uint64_t a, uint64_t b, bool *same, cm_error *err)
{
    uint8_t head[2][CM_ZIP_CENTRAL_NBYTES], *names = NULL;
    int r = read_at(w, w->list, a, head[0], sizeof head[0], err);
    if (r == 0)
        r = read_at(w, w->list, b, head[1], sizeof head[1], err);
    size_t n = r ? 0 : cm_load_le16(head[0] + 28);
    *same = r == 0 && n == cm_load_le16(head[1] + 28);
    if (r || !*same)
        return r;
    names = cm_calloc(n, 2, err);
    r = names ? read_at(w, w->list, a + CM_ZIP_CENTRAL_NBYTES, names, n, err) : CM_ENOMEM;
    if (r == 0)
        r = read_at(w, w->list, b + CM_ZIP_CENTRAL_NBYTES, names + n, n, err);
    *same = r == 0 && memcmp(names, names + n, n) == 0;
    free(names);
    return r;
}

typedef struct offsets {
    uint64_t *items;
    size_t n, capacity;
} offsets;

/* The headers that a later one of the same name replaces, sorted. */
static int find_replaced(zip_writer *w, offsets *out, cm_error *err)
{
    hashing h = {.passes = 1 + w->count / HASHES};
    int r = 0;
    for (; h.pass < h.passes && r == 0; h.pass++) {
        h.n = 0;
        r = each_header(w, note_hash, &h, err);
        if (r == 0 && h.n)
            qsort(h.items, h.n, sizeof *h.items, by_hash);
        for (size_t i = 1; i < h.n && r == 0; i++) {
            bool same = false;
            if (h.items[i - 1].hash == h.items[i].hash)
                r = same_name(w, h.items[i - 1].offset, h.items[i].offset, &same, err);
            if (r || !same)
                continue;
            r = cm_grow(&out->items, &out->capacity, out->n + 1, sizeof *out->items, err);
            if (r == 0)
                out->items[out->n++] = h.items[i - 1].offset;
        }
    }
    if (out->n)
        qsort(out->items, out->n, sizeof *out->items, by_number);
    free(h.items);
    return r;
}

typedef struct copying {
    zip_writer *w;
    const offsets *replaced;
    size_t next;     /* of them */
    uint8_t *buffer; /* WAITING bytes */
    size_t have;
    uint64_t count, nbytes; /* of the directory; nbytes: that are written */
} copying;

static int flush_copy(copying *c, cm_error *err)
{
    int r = write_at(c->w, c->w->fd, c->w->end + c->nbytes, c->buffer, c->have, err);
    c->nbytes += c->have;
    c->have = 0;
    return r;
}

static int copy_header(void *user, const uint8_t *p, size_t nbytes, uint64_t offset, cm_error *err)
{
    copying *c = user;
    if (c->next < c->replaced->n && c->replaced->items[c->next] == offset)
        return c->next++, 0;
    int r = c->have + nbytes > WAITING ? flush_copy(c, err) : 0;
    c->count++;
    if (r == 0 && nbytes > WAITING) {
        r = write_at(c->w, c->w->fd, c->w->end + c->nbytes, p, nbytes, err);
        c->nbytes += nbytes;
    } else if (r == 0) {
        memcpy(c->buffer + c->have, p, nbytes);
        c->have += nbytes;
    }
    return r;
}

/* The end records, of a directory of so many members and bytes. */
static int write_end(zip_writer *w, uint64_t count, uint64_t nbytes, cm_error *err)
{
    uint8_t out[CM_ZIP_END64_NBYTES + CM_ZIP_LOCATOR_NBYTES + CM_ZIP_END_NBYTES], *p = out;
    uint64_t at = w->end + nbytes;
    unsigned small = count < 0xffff && count < w->narrow ? (unsigned)count : 0xffff;
    if (small == 0xffff || nbytes >= w->narrow || w->end >= w->narrow) {
        p = put32(p, CM_ZIP_END64);
        p = put64(p, CM_ZIP_END64_NBYTES - 12);
        p = put16(p, 3 << 8 | 45);
        p = put16(p, 45);
        p = put32(p, 0);
        p = put32(p, 0);
        p = put64(p, count);
        p = put64(p, count);
        p = put64(p, nbytes);
        p = put64(p, w->end);
        p = put32(p, CM_ZIP_LOCATOR);
        p = put32(p, 0);
        p = put64(p, at);
        p = put32(p, 1);
    }
    p = put32(p, CM_ZIP_END);
    p = put32(p, 0); /* disks */
    p = put16(p, small);
    p = put16(p, small);
    p = put32(p, narrowed(w, nbytes));
    p = put32(p, narrowed(w, w->end));
    p = put16(p, 0); /* comment */
    return write_at(w, w->fd, at, out, (size_t)(p - out), err);
}

int cm_zip_writer_finish(cm_store *base, cm_error *err)
{
    zip_writer *w = (zip_writer *)base;
    offsets replaced = {0};
    copying c = {.w = w, .replaced = &replaced, .buffer = cm_calloc(WAITING, 1, err)};
    int r = c.buffer ? 0 : CM_ENOMEM;
    if (r == 0)
        r = flush_waiting(w, err);
    if (r == 0)
        r = find_replaced(w, &replaced, err);
    if (r == 0)
        r = each_header(w, copy_header, &c, err);
    if (r == 0)
        r = flush_copy(&c, err);
    if (r == 0)
        r = write_end(w, c.count, c.nbytes, err);
    if (r == 0 && w->durability != CM_DURABLE_NONE && fsync(w->fd) != 0)
        r = fail(w, errno, "cannot flush to disk", err);
    int fd = w->fd;
    w->fd = -1;
    if (close(fd) != 0 && errno != EINTR && r == 0)
        r = fail(w, errno, "cannot write", err);
    free(replaced.items);
    free(c.buffer);
    return r;
}

int cm_zip_writer_begin(cm_store *base, cm_error *err)
{
    zip_writer *w = (zip_writer *)base;
    if (!w->waiting && !(w->waiting = cm_calloc(WAITING, 1, err)))
        return CM_ENOMEM;
    cm_error local = {0}, *say = err ? err : &local;
    if (w->list < 0)
        w->list = open_scratch(w, say);
    if (w->list < 0)
        return say->code;
    w->fd = open(w->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    return w->fd < 0 ? fail(w, errno, "cannot make it", err) : 0;
}

void cm_zip_writer_narrow(cm_store *base, uint64_t narrow)
{
    ((zip_writer *)base)->narrow = narrow;
}

/* ---- the store ------------------------------------------------------------------------------- */

static int write_only(const zip_writer *w, cm_error *err)
{
    cm_error_set(err, CM_EUNSUP, "an archive in the making is not read");
    return cm_error_object(err, w->path), CM_EUNSUP;
}

static int writer_stat(cm_store *s, const char *key, cm_object_version *out, cm_error *err)
{
    (void)key, (void)out;
    return write_only((zip_writer *)s, err);
}

static int writer_get(cm_store *s, const char *key, const cm_range *ranges, int n,
                      cm_object_version *version, cm_error *err)
{
    (void)key, (void)ranges, (void)n, (void)version;
    return write_only((zip_writer *)s, err);
}

static int writer_get_all(cm_store *s, const char *key,
                          void *(*alloc)(void *user, size_t nbytes, cm_error *err), void *user,
                          size_t *nbytes, cm_object_version *version, cm_error *err)
{
    (void)key, (void)alloc, (void)user, (void)nbytes, (void)version;
    return write_only((zip_writer *)s, err);
}

static int writer_del(cm_store *s, const char *key, cm_error *err)
{
    (void)key;
    return write_only((zip_writer *)s, err);
}

static int writer_list(cm_store *s, const char *prefix, cm_list_fn fn, void *user, cm_error *err)
{
    (void)prefix, (void)fn, (void)user;
    return write_only((zip_writer *)s, err);
}

static int writer_sync(cm_store *s, cm_error *err)
{
    (void)s, (void)err; /* finish does */
    return 0;
}

static void writer_free(cm_store *base)
{
    zip_writer *w = (zip_writer *)base;
    if (w->fd >= 0)
        close(w->fd);
    if (w->list >= 0)
        close(w->list);
    pthread_mutex_destroy(&w->lock);
    free(w->waiting);
    free(w->path);
    free(w->directory);
    free(w->base.uri);
    free(w);
}

static const cm_store_vt writer_vt = {
    .stat = writer_stat,
    .get = writer_get,
    .get_all = writer_get_all,
    .put = writer_put,
    .put_from = writer_put_from,
    .del = writer_del,
    .del_prefix = writer_del,
    .list = writer_list,
    .sync = writer_sync,
    .free = writer_free,
};

int cm_zip_writer_new(cm_context *ctx, const char *path, cm_durability durability, cm_store **out,
                      cm_error *err)
{
    *out = NULL;
    const char *slash = strrchr(path, '/');
    zip_writer *w = cm_calloc(1, sizeof *w, err);
    if (!w)
        return CM_ENOMEM;
    w->base = (cm_store){.vt = &writer_vt, .refcount = 1};
    w->ctx = ctx;
    w->fd = w->list = -1;
    w->narrow = 0xffffffff;
    w->durability = durability;
    pthread_mutex_init(&w->lock, NULL);
    w->path = cm_strdup(path, err);
    w->directory = !slash ? cm_strdup(".", err)
                          : cm_strndup(path, slash == path ? 1 : (size_t)(slash - path), err);
    w->base.uri = cm_strdup(path, err);
    if (!w->path || !w->directory || !w->base.uri) {
        writer_free(&w->base);
        return CM_ENOMEM;
    }
    *out = &w->base;
    return 0;
}
