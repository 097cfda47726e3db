/* store/zip_store.c: a zip archive as a store: reading its members.
 *
 * A member that is stored is a range of the archive: reads of it become reads of the archive, by as
 * many threads as like, without a lock and in one call each. A deflated member has no ranges: it is
 * decoded from its beginning through two buffers of 64 KiB, straight into the destination where all
 * of it is wanted, and only as far as something is wanted of it. So such an archive is read in the
 * same memory, but its shards cost a decoding for each read.
 *
 * The directory was read when the archive was opened. Every read after that insists on the version
 * that the archive had then, so a directory is never used with the bytes of another archive; the
 * version of a member is that of the archive and the member's place in it.
 *
 * Where a member's data begin is known only from its local header. That is read with the first read
 * of the member, in the same call, with the data where they lie when the local extra fields are as
 * long as those of the member read last, which they nearly always are. It must say what the central
 * directory says, else somebody wrote a different archive for other readers than for us.
 *
 * CRC-32 are compared whenever a whole member is read.
 */
#include <inttypes.h>
#include <libdeflate.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "store/zip.h"

enum { PIECE = 65536, RANGES_AT_ONCE = 64, HEADER_ROOM = 1024 };

typedef struct zip_store {
    cm_store base;
    cm_context *ctx;
    cm_store *files;
    char *key;
    cm_object_version version; /* of the archive */
    cm_zip_directory directory;
    _Atomic uint32_t extra; /* length of the local extra fields last seen */
} zip_store;

/* ---- members --------------------------------------------------------------------------------- */

static cm_object_version version_of(const zip_store *s, const cm_zip_member *m)
{
    return (cm_object_version){.size = m->nbytes,
                               .id = {s->version.id[0], s->version.id[1], m->local + 1}};
}

static cm_zip_member *lookup(const zip_store *s, const char *name)
{
    size_t i = cm_zip_directory_search(&s->directory, name);
    cm_zip_member *m = s->directory.members + i;
    return i < s->directory.n && strcmp(m->name, name) == 0 ? m : NULL;
}

/* Is there something below name? */
static bool is_folder(const zip_store *s, const char *name)
{
    char *below = cm_sprintf(NULL, "%s/", name);
    size_t i = below ? cm_zip_directory_search(&s->directory, below) : 0;
    bool found = below && i < s->directory.n &&
                 strncmp(s->directory.members[i].name, below, strlen(below)) == 0;
    free(below);
    return found;
}

/* A folder in the place of an object, or an object in that of a folder, must not look absent. */
static int absent(const zip_store *s, const char *key, cm_error *err)
{
    int r = cm_error_set(err, CM_ENOTFOUND, "no such member");
    if (is_folder(s, key))
        r = cm_error_set(err, CM_EIO, "is a folder");
    char *part = cm_strdup(key, err), *slash;
    if (!part)
        return CM_ENOMEM;
    while (r == CM_ENOTFOUND && (slash = strrchr(part, '/'))) {
        *slash = 0;
        if (lookup(s, part))
            r = cm_error_set(err, CM_EIO, "%.300s is not a folder", part);
    }
    free(part);
    return r;
}

static int find(const zip_store *s, const char *key, cm_zip_member **out, cm_error *err)
{
    int r = cm_store_check_key(key, err);
    *out = r ? NULL : lookup(s, key);
    if (r == 0 && !*out)
        r = absent(s, key, err);
    return r;
}

/* Errors name the member as a path through the archive. */
static int name_error(const zip_store *s, const char *key, int r, cm_error *err)
{
    char *path = r ? cm_sprintf(NULL, "%s/%s", s->base.uri, key) : NULL;
    cm_error_object(r ? err : NULL, path ? path : key);
    free(path);
    return r;
}

/* Is the archive what was opened? */
static int check_archive(const zip_store *s, cm_error *err)
{
    cm_object_version now;
    int r = s->files->vt->stat(s->files, s->key, &now, err);
    if (r == 0 && memcmp(&now, &s->version, sizeof now) != 0) {
        r = cm_error_set(err, CM_ECHANGED, "changed while it was read");
        cm_error_object(err, s->base.uri);
    }
    return r;
}

/* ---- the local header ------------------------------------------------------------------------ */

static int differs(cm_error *err, const char *what)
{
    return cm_error_set(err, CM_EDATA,
                        "the zip archive is damaged: its local header and the central directory "
                        "disagree on its %s",
                        what);
}

static int archive_get(const zip_store *s, const cm_range *ranges, int n, cm_error *err)
{
    cm_object_version version = s->version;
    return s->files->vt->get(s->files, s->key, ranges, n, &version, err);
}

/* The sizes in the zip64 field of the local header h, whose extra fields have n bytes. */
static int local_sizes(const zip_store *s, const cm_zip_member *m, size_t n, uint64_t *nbytes,
                       uint64_t *stored, cm_error *err)
{
    size_t found = 0, at = 0;
    bool bad;
    uint8_t *extra = cm_calloc(n, 1, err);
    cm_range range = {m->local + CM_ZIP_LOCAL_NBYTES + m->name_nbytes, n, extra};
    int r = extra ? archive_get(s, &range, 1, err) : CM_ENOMEM;
    const uint8_t *wide = r ? NULL : cm_zip_extra(extra, n, CM_ZIP_EXTRA64, &found, &bad);
    uint64_t *const fields[] = {nbytes, stored};
    for (size_t i = 0; i < 2 && r == 0; i++) {
        if (*fields[i] != 0xffffffff)
            continue;
        if (!wide || found - at < 8)
            r = differs(err, "size");
        else
            *fields[i] = cm_load_le64(wide + at);
        at += 8;
    }
    free(extra);
    return r;
}

/* h: the local header and the name. Sets m->skip. */
static int check_local(zip_store *s, cm_zip_member *m, const uint8_t *h, cm_error *err)
{
    size_t nextra = cm_load_le16(h + 28);
    uint64_t stored = cm_load_le32(h + 18), nbytes = cm_load_le32(h + 22);
    uint32_t skip = (uint32_t)(CM_ZIP_LOCAL_NBYTES + m->name_nbytes + nextra);
    uint16_t flags = cm_load_le16(h + 6);
    enum { SAME = CM_ZIP_ENCRYPTED | CM_ZIP_DESCRIPTOR | CM_ZIP_PATCHED | CM_ZIP_MASKED };
    if (cm_load_le32(h) != CM_ZIP_LOCAL)
        return cm_error_set(err, CM_EDATA, "the zip archive is damaged: no local header");
    if (cm_load_le16(h + 26) != m->name_nbytes ||
        libdeflate_crc32(0, h + CM_ZIP_LOCAL_NBYTES, m->name_nbytes) != m->name_crc)
        return differs(err, "name");
    if (cm_load_le16(h + 8) != m->method || (flags & SAME) != (m->flags & SAME))
        return differs(err, "method");
    if (skip > m->end - m->local || m->stored > m->end - m->local - skip)
        return cm_error_set(err, CM_EDATA, "the zip archive is damaged: it overlaps what follows");
    int r = 0;
    if (!(flags & CM_ZIP_DESCRIPTOR)) { /* else they follow the data, and may be 0 here */
        if (stored == 0xffffffff || nbytes == 0xffffffff)
            r = local_sizes(s, m, nextra, &nbytes, &stored, err);
        if (r == 0 && (stored != m->stored || nbytes != m->nbytes))
            r = differs(err, "size");
        if (r == 0 && cm_load_le32(h + 14) != m->crc)
            r = differs(err, "checksum");
    }
    if (r == 0) {
        atomic_store_explicit(&s->extra, (uint32_t)nextra, memory_order_relaxed);
        __atomic_store_n(&m->skip, skip, __ATOMIC_RELAXED);
    }
    return r;
}

/* Read n ranges of the member's stored bytes, at most RANGES_AT_ONCE. */
static int read_stored(zip_store *s, cm_zip_member *m, const cm_range *ranges, int n, cm_error *err)
{
    uint8_t room[HEADER_ROOM], *header = room;
    cm_range moved[RANGES_AT_ONCE + 1];
    uint32_t skip = __atomic_load_n(&m->skip, __ATOMIC_RELAXED);
    size_t head = CM_ZIP_LOCAL_NBYTES + (size_t)m->name_nbytes;
    bool known = skip != 0;
    int r = 0;
    if (!known) {
        skip = (uint32_t)head + atomic_load_explicit(&s->extra, memory_order_relaxed);
        if (head > sizeof room && !(header = cm_calloc(head, 1, err)))
            return CM_ENOMEM;
        if (skip > m->end - m->local || m->stored > m->end - m->local - skip)
            skip = (uint32_t)head; /* would be beyond: what is there is right or tells */
        moved[0] = (cm_range){m->local, head, header};
    }
    for (int i = 0; i < n; i++)
        moved[i + 1] =
            (cm_range){m->local + skip + ranges[i].offset, ranges[i].nbytes, ranges[i].dst};
    r = archive_get(s, known ? moved + 1 : moved, known ? n : n + 1, err);
    if (r == 0 && !known)
        r = check_local(s, m, header, err);
    uint32_t right = r ? 0 : __atomic_load_n(&m->skip, __ATOMIC_RELAXED);
    if (r == 0 && right != skip) {
        for (int i = 0; i < n; i++)
            moved[i + 1].offset += (uint64_t)right - skip;
        r = archive_get(s, moved + 1, n, err);
    }
    if (header != room)
        free(header);
    return r;
}

static int check_crc(const cm_zip_member *m, uint32_t crc, cm_error *err)
{
#ifndef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
    if (crc != m->crc)
        return cm_error_set(err, CM_EDATA, "the zip archive is damaged: CRC-32 is %08x, want %08x",
                            (unsigned)crc, (unsigned)m->crc);
#else
    (void)m, (void)crc, (void)err;
#endif
    return 0;
}

/* ---- deflated members ------------------------------------------------------------------------ */

/* The stream while it is decoded: bytes [done, done + have) of the member are in out. */
typedef struct inflating {
    z_stream z;
    uint8_t in[PIECE], out[PIECE];
    uint64_t taken, done; /* of the stored bytes, of the decoded ones */
    bool ended;
} inflating;

/* Decode up to nbytes more into dst. *got is less only at the end of the stream. */
static int inflate_some(zip_store *s, cm_zip_member *m, inflating *f, uint8_t *dst, size_t nbytes,
                        size_t *got, cm_error *err)
{
    int r = 0;
    *got = 0;
    while (r == 0 && *got < nbytes && !f->ended) {
        if (f->z.avail_in == 0 && f->taken < m->stored) {
            size_t n = m->stored - f->taken < PIECE ? (size_t)(m->stored - f->taken) : PIECE;
            cm_range range = {f->taken, n, f->in};
            r = s->ctx ? cm_context_check(s->ctx, err) : 0;
            if (r == 0)
                r = read_stored(s, m, &range, 1, err);
            f->z.next_in = f->in;
            f->z.avail_in = (unsigned)n;
            f->taken += n;
            if (r)
                return r;
        }
        size_t want = nbytes - *got < PIECE ? nbytes - *got : PIECE;
        f->z.next_out = dst + *got;
        f->z.avail_out = (unsigned)want;
        int z = inflate(&f->z, Z_NO_FLUSH);
        size_t made = want - f->z.avail_out;
        *got += made;
        f->ended = z == Z_STREAM_END;
        if (z == Z_MEM_ERROR)
            return cm_error_set(err, CM_ENOMEM, "out of memory");
        if (!f->ended && (z != Z_OK || (!made && f->taken == m->stored && !f->z.avail_in)))
            return cm_error_set(err, CM_EDATA, "the zip archive is damaged: not deflated data");
    }
    return r;
}

/* Decode the whole member into dst of m->nbytes, or (dst NULL) what the ranges want. */
static int inflate_member(zip_store *s, cm_zip_member *m, uint8_t *dst, const cm_range *ranges,
                          int n, cm_error *err)
{
    uint64_t wanted = 0, done = 0;
    uint32_t crc = 0;
    for (int i = 0; i < n && !dst; i++)
        if (ranges[i].nbytes && ranges[i].offset + ranges[i].nbytes > wanted)
            wanted = ranges[i].offset + ranges[i].nbytes;
    if (dst)
        wanted = m->nbytes;
    if (!m->nbytes && !m->stored)
        return check_crc(m, 0, err); /* some writers make nothing of nothing */
    inflating *f = cm_calloc(1, sizeof *f, err);
    if (!f || inflateInit2(&f->z, -15) != Z_OK) {
        free(f);
        return cm_error_set(err, CM_ENOMEM, "out of memory");
    }
    int r = 0;
    while (r == 0 && done < wanted) {
        size_t want = m->nbytes - done < PIECE ? (size_t)(m->nbytes - done) : PIECE, got;
        uint8_t *to = dst ? dst + done : f->out;
        r = inflate_some(s, m, f, to, want, &got, err);
        if (r == 0 && got < want)
            r = cm_error_set(err, CM_EDATA, "the zip archive is damaged: fewer bytes than it says");
        crc = r ? 0 : libdeflate_crc32(crc, to, got);
        for (int i = 0; i < n && r == 0 && !dst; i++) {
            uint64_t lo = ranges[i].offset > done ? ranges[i].offset : done;
            uint64_t hi = ranges[i].offset + ranges[i].nbytes;
            hi = hi < done + got ? hi : done + got;
            if (lo < hi)
                memcpy((uint8_t *)ranges[i].dst + (lo - ranges[i].offset), f->out + (lo - done),
                       (size_t)(hi - lo));
        }
        done += got;
    }
    if (r == 0 && wanted == m->nbytes) { /* the end of the stream, and nothing behind it */
        uint8_t more;
        size_t got;
        r = inflate_some(s, m, f, &more, 1, &got, err);
        if (r == 0 && (got || !f->ended || f->z.avail_in || f->taken != m->stored))
            r = cm_error_set(err, CM_EDATA, "the zip archive is damaged: more bytes than it says");
        if (r == 0)
            r = check_crc(m, crc, err);
    }
    inflateEnd(&f->z);
    free(f);
    return r;
}

/* ---- reading --------------------------------------------------------------------------------- */

static int check_method(const cm_zip_member *m, cm_error *err)
{
    static const struct {
        int method;
        const char *name;
    } known[] = {{1, "shrunk"}, {6, "imploded"}, {9, "Deflate64"}, {12, "bzip2"}, {14, "LZMA"},
                 {20, "zstd"},  {93, "zstd"},    {95, "xz"},       {96, "JPEG"},  {98, "PPMd"}};
    const char *name = "unknown";
    if (m->flags & CM_ZIP_PATCHED)
        return cm_error_set(err, CM_EUNSUP, "a patch, not the data (zip flag 5)");
    if (m->method == CM_ZIP_STORED || m->method == CM_ZIP_DEFLATED)
        return 0;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].method == m->method)
            name = known[i].name;
    cm_error_set(err, CM_EUNSUP, "is compressed in the zip archive by method %d (%s)", m->method,
                 name);
    cm_error_hint(err, "unpack the archive, or make it again with zip -0");
    return CM_EUNSUP;
}

static int zip_stat(cm_store *base, const char *key, cm_object_version *out, cm_error *err)
{
    zip_store *s = (zip_store *)base;
    cm_zip_member *m;
    int r = check_archive(s, err);
    if (r)
        return r;
    r = find(s, key, &m, err);
    if (r == 0)
        *out = version_of(s, m);
    return name_error(s, key, r, err);
}

static int zip_check_absent(cm_store *base, const char *key, cm_error *err)
{
    (void)key; /* whatever it is, the archive did not have it when it was opened */
    return check_archive((zip_store *)base, err);
}

static int check_version(const zip_store *s, const cm_zip_member *m, cm_object_version *version,
                         cm_error *err)
{
    static const cm_object_version any;
    cm_object_version now = version_of(s, m);
    if (version && memcmp(version, &any, sizeof any) != 0 && memcmp(version, &now, sizeof now) != 0)
        return cm_error_set(err, CM_ECHANGED, "changed while it was read");
    if (version)
        *version = now;
    return 0;
}

static int get_ranges(zip_store *s, cm_zip_member *m, const cm_range *ranges, int n, cm_error *err)
{
    int r = check_method(m, err);
    for (int i = 0; i < n && r == 0; i++)
        if (ranges[i].offset > m->nbytes || ranges[i].nbytes > m->nbytes - ranges[i].offset)
            r = cm_error_set(err, CM_EDATA,
                             "is truncated or damaged: %zu bytes at offset %" PRIu64
                             " are wanted of %" PRIu64,
                             ranges[i].nbytes, ranges[i].offset, m->nbytes);
    if (r)
        return r;
    bool whole = n == 1 && ranges[0].offset == 0 && ranges[0].nbytes == m->nbytes;
    if (m->method == CM_ZIP_DEFLATED)
        return inflate_member(s, m, whole ? ranges[0].dst : NULL, ranges, n, err);
    for (int i = 0; i < n && r == 0; i += RANGES_AT_ONCE)
        r = read_stored(s, m, ranges + i, n - i < RANGES_AT_ONCE ? n - i : RANGES_AT_ONCE, err);
    return r == 0 && whole ? check_crc(m, libdeflate_crc32(0, ranges[0].dst, ranges[0].nbytes), err)
                           : r;
}

static int zip_get(cm_store *base, const char *key, const cm_range *ranges, int n,
                   cm_object_version *version, cm_error *err)
{
    zip_store *s = (zip_store *)base;
    cm_zip_member *m;
    int r = find(s, key, &m, err);
    if (r == 0)
        r = check_version(s, m, version, err);
    if (r == 0)
        r = get_ranges(s, m, ranges, n, err);
    return name_error(s, key, r, err);
}

static int zip_get_all(cm_store *base, const char *key,
                       void *(*alloc)(void *user, size_t nbytes, cm_error *err), void *user,
                       size_t *nbytes, cm_object_version *version, cm_error *err)
{
    zip_store *s = (zip_store *)base;
    cm_zip_member *m;
    cm_error own, *say = err ? err : &own;
    cm_range whole = {0};
    int r = find(s, key, &m, err);
    if (r == 0)
        r = check_version(s, m, version, err);
    if (r == 0 && m->nbytes > SIZE_MAX)
        r = cm_error_set(err, CM_ELIMIT, "has %" PRIu64 " bytes", m->nbytes);
    if (r)
        return name_error(s, key, r, err);
    whole.nbytes = (size_t)m->nbytes;
    cm_error_clear(say);
    whole.dst = alloc(user, whole.nbytes, say);
    if (!whole.dst)
        r = say->code ? say->code
                      : cm_error_set(say, CM_ELIMIT, "no room for %zu bytes", whole.nbytes);
    else
        r = get_ranges(s, m, &whole, 1, err);
    if (r == 0)
        *nbytes = whole.nbytes;
    return name_error(s, key, r, err);
}

static int zip_place(cm_store *base, const char *key, cm_place *out, cm_error *err)
{
    zip_store *s = (zip_store *)base;
    cm_zip_member *m;
    int r = find(s, key, &m, err);
    if (r == 0)
        r = check_method(m, err);
    if (r == 0 && m->method != CM_ZIP_STORED)
        r = cm_error_set(err, CM_EUNSUP, "it is compressed in the zip archive");
    uint32_t skip = r ? 0 : __atomic_load_n(&m->skip, __ATOMIC_RELAXED);
    if (r == 0 && skip == 0) {
        r = read_stored(s, m, NULL, 0, err);
        skip = __atomic_load_n(&m->skip, __ATOMIC_RELAXED);
    }
    if (r == 0)
        *out = (cm_place){s->files, s->key, m->local + skip, m->nbytes, s->version};
    return name_error(s, key, r, err);
}

static int zip_list(cm_store *base, const char *prefix, cm_list_fn fn, void *user, cm_error *err)
{
    zip_store *s = (zip_store *)base;
    const cm_zip_directory *d = &s->directory;
    int r = *prefix ? cm_store_check_key(prefix, err) : 0;
    if (r)
        return r;
    char *below = cm_sprintf(err, "%s%s", prefix, *prefix ? "/" : "");
    if (!below)
        return CM_ENOMEM;
    size_t skip = strlen(below), i = cm_zip_directory_search(d, below);
    while (r == 0 && i < d->n && strncmp(d->members[i].name, below, skip) == 0) {
        const char *name = d->members[i].name + skip, *slash = strchr(name, '/');
        if (!slash) {
            r = fn(user, name, false, d->members[i].nbytes, err);
            i++;
            continue;
        }
        char *child = cm_strndup(name, (size_t)(slash - name), err);
        /* past all that begins with "a/b/name/": '0' is the character after '/' */
        char *after = child ? cm_sprintf(err, "%s%s0", below, child) : NULL;
        r = after ? fn(user, child, true, 0, err) : CM_ENOMEM;
        if (r == 0)
            i = cm_zip_directory_search(d, after);
        free(child);
        free(after);
    }
    free(below);
    return r;
}

/* ---- not writing ----------------------------------------------------------------------------- */

static int read_only(cm_store *base, cm_error *err)
{
    cm_error_set(err, CM_EUNSUP, "a zip archive that exists is not written into");
    return cm_error_object(err, base->uri), CM_EUNSUP;
}

static int zip_put(cm_store *base, const char *key, const cm_iov *iov, int n, unsigned flags,
                   cm_error *err)
{
    (void)key, (void)iov, (void)n, (void)flags;
    return read_only(base, err);
}

static int zip_put_from(cm_store *base, const char *key, cm_produce_fn produce, void *user,
                        unsigned flags, cm_error *err)
{
    (void)key, (void)produce, (void)user, (void)flags;
    return read_only(base, err);
}

static int zip_del(cm_store *base, const char *key, cm_error *err)
{
    (void)key;
    return read_only(base, err);
}

static int zip_sync(cm_store *base, cm_error *err)
{
    (void)base, (void)err;
    return 0;
}

static void zip_free(cm_store *base)
{
    zip_store *s = (zip_store *)base;
    cm_zip_directory_deinit(&s->directory);
    cm_store_unref(s->files);
    free(s->key);
    free(s->base.uri);
    free(s);
}

static const cm_store_vt zip_vt = {
    .stat = zip_stat,
    .check_absent = zip_check_absent,
    .get = zip_get,
    .get_all = zip_get_all,
    .place = zip_place,
    .put = zip_put,
    .put_from = zip_put_from,
    .del = zip_del,
    .del_prefix = zip_del,
    .list = zip_list,
    .sync = zip_sync,
    .free = zip_free,
};

int cm_store_open_zip(cm_context *ctx, cm_store *files, const char *key, cm_store **out,
                      cm_error *err)
{
    *out = NULL;
    zip_store *s = cm_calloc(1, sizeof *s, err);
    if (!s)
        return CM_ENOMEM;
    s->base = (cm_store){.vt = &zip_vt, .refcount = 1};
    s->ctx = ctx;
    s->files = cm_store_ref(files);
    s->key = cm_strdup(key, err);
    s->base.uri = s->key ? cm_sprintf(err, "%s/%s", files->uri, key) : NULL;
    int r = s->base.uri ? files->vt->stat(files, key, &s->version, err) : CM_ENOMEM;
    if (r == 0)
        r = cm_zip_directory_read(ctx, files, key, &s->version, &s->directory, err);
    if (r) {
        zip_free(&s->base);
        return r;
    }
    *out = &s->base;
    return 0;
}
