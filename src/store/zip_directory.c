/* store/zip_directory.c: the central directory of a zip archive as a table of members.
 *
 *     | members ... | central directory | [zip64 end | locator] | end, with a comment |
 *
 * The end is found from behind, past a comment of at most 64 KiB, and counts only where everything
 * about it fits: the comment ends with the file, and the directory ends where the end records
 * begin. So bytes that only look like an end record inside a comment are passed over, and an
 * archive with something before or behind it is refused rather than guessed at.
 *
 * The directory alone says what the archive holds. It is read in pieces of 1 MiB into a table whose
 * size is known before from the end record and set aside in the budget, so a million members cost
 * what their names and 64 bytes each take. What is checked here, for all members: the count, that
 * none is encrypted or on another disk, that names are UTF-8 and keys that a store can have, that
 * members lie one behind another before the directory without overlapping (archives that unpack to
 * far more than they hold are made of overlapping members). The local header of a member is
 * compared when it is first read (zip_store.c).
 *
 * Names that are there more than once: the last one counts. zarr-python writes such archives
 * whenever a metadata document is put twice, which its own and xarray's writers do for every store,
 * and its zipfile reads the last one.
 */
#include <inttypes.h>
#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "store/zip.h"
#include "text/utf8.h"

enum {
    WINDOW = 1 << 20, /* more than the largest header with its name, extra fields and comment */
    TAIL = CM_ZIP_END_NBYTES + 65535 + CM_ZIP_LOCATOR_NBYTES + CM_ZIP_END64_NBYTES
};

typedef struct ending {
    uint64_t count, offset, nbytes; /* of the central directory */
} ending;

typedef struct reading {
    cm_store *files;
    const char *key;
    cm_object_version version;
    cm_zip_directory *d;
    size_t names_nbytes;
} reading;

static int read_at(reading *r, uint64_t offset, void *dst, size_t nbytes, cm_error *err)
{
    cm_range range = {offset, nbytes, dst};
    return nbytes ? r->files->vt->get(r->files, r->key, &range, 1, &r->version, err) : 0;
}

static int malformed(cm_error *err, const char *what)
{
    return cm_error_set(err, CM_EDATA, "the zip archive is damaged: %s", what);
}

/* ---- the end --------------------------------------------------------------------------------- */

static int several_disks(cm_error *err)
{
    cm_error_set(err, CM_EUNSUP, "a zip archive of several disks (a split archive)");
    cm_error_hint(err, "join it first: zip -s 0 IN --out OUT");
    return CM_EUNSUP;
}

/* The zip64 end record, which the locator at p + at names, into e. *begin: where the record begins.
 */
static int read_end64(reading *r, const uint8_t *locator, uint64_t locator_offset, ending *e,
                      uint64_t *begin, cm_error *err)
{
    uint8_t p[CM_ZIP_END64_NBYTES];
    uint64_t offset = cm_load_le64(locator + 8), nbytes;
    if (cm_load_le32(locator + 4) != 0 || cm_load_le32(locator + 16) > 1)
        return several_disks(err);
    if (offset > locator_offset || locator_offset - offset < sizeof p)
        return malformed(err, "its zip64 end record lies elsewhere");
    int ret = read_at(r, offset, p, sizeof p, err);
    if (ret)
        return ret;
    nbytes = cm_load_le64(p + 4);
    if (cm_load_le32(p) != CM_ZIP_END64 || nbytes != locator_offset - offset - 12)
        return malformed(err, "its zip64 end record is none");
    if (cm_load_le32(p + 16) || cm_load_le32(p + 20) ||
        cm_load_le64(p + 24) != cm_load_le64(p + 32))
        return several_disks(err);
    ending full = {cm_load_le64(p + 32), cm_load_le64(p + 48), cm_load_le64(p + 40)};
    if ((e->count != 0xffff && e->count != full.count) ||
        (e->offset != 0xffffffff && e->offset != full.offset) ||
        (e->nbytes != 0xffffffff && e->nbytes != full.nbytes))
        return malformed(err, "its two end records disagree");
    *e = full;
    *begin = offset;
    return 0;
}

/* The end record at p, which lies at offset in the file. *fits: everything about it does. */
static int try_end(reading *r, const uint8_t *tail, size_t at, uint64_t tail_offset, ending *e,
                   bool *fits, cm_error *err)
{
    const uint8_t *p = tail + at;
    uint64_t begin = tail_offset + at, end;
    *e = (ending){cm_load_le16(p + 10), cm_load_le32(p + 16), cm_load_le32(p + 12)};
    if (at >= CM_ZIP_LOCATOR_NBYTES && cm_load_le32(p - CM_ZIP_LOCATOR_NBYTES) == CM_ZIP_LOCATOR) {
        uint64_t offset = begin - CM_ZIP_LOCATOR_NBYTES;
        int ret = read_end64(r, p - CM_ZIP_LOCATOR_NBYTES, offset, e, &begin, err);
        if (ret)
            return ret;
    } else if (cm_load_le16(p + 4) || cm_load_le16(p + 6) ||
               cm_load_le16(p + 8) != cm_load_le16(p + 10)) {
        return several_disks(err);
    }
    *fits = cm_add_u64(e->offset, e->nbytes, &end) && end == begin &&
            e->count <= e->nbytes / CM_ZIP_CENTRAL_NBYTES;
    return 0;
}

static int find_end(reading *r, ending *e, cm_error *err)
{
    uint64_t size = r->version.size;
    size_t n = size < TAIL ? (size_t)size : TAIL, candidates = 0;
    uint8_t *tail = cm_calloc(n, 1, err);
    int ret = tail ? read_at(r, size - n, tail, n, err) : CM_ENOMEM;
    bool fits = false;
    cm_error why = {0};
    for (size_t at = n; ret == 0 && !fits && at-- > 0;) {
        cm_error local = {0};
        if (n - at < CM_ZIP_END_NBYTES || cm_load_le32(tail + at) != CM_ZIP_END ||
            cm_load_le16(tail + at + 20) != n - at - CM_ZIP_END_NBYTES)
            continue;
        candidates++;
        ret = try_end(r, tail, at, size - n, e, &fits, &local);
        if (ret && !why.code)
            why = local;
        if (ret == CM_EDATA || ret == CM_EUNSUP)
            ret = 0; /* perhaps it was a part of a comment */
        else if (ret)
            why = local;
    }
    free(tail);
    if (fits || (ret && !why.code))
        return ret;
    if (why.code) {
        if (err)
            *err = why;
        return why.code;
    }
    if (!candidates) {
        cm_error_set(err, CM_EDATA,
                     "a zip archive without its end: it is cut off, or has bytes "
                     "behind it");
        cm_error_hint(err, "transfer it again, or mend it with zip -FF");
        return CM_EDATA;
    }
    return malformed(err, "its central directory is not where its end record says");
}

/* ---- one member ------------------------------------------------------------------------------ */

const uint8_t *cm_zip_extra(const uint8_t *extra, size_t nbytes, unsigned id, size_t *found,
                            bool *bad)
{
    const uint8_t *result = NULL;
    *bad = false;
    for (size_t at = 0; nbytes - at >= 4;) {
        size_t n = cm_load_le16(extra + at + 2);
        if (n > nbytes - at - 4) {
            *bad = true;
            return NULL;
        }
        if (!result && cm_load_le16(extra + at) == id) {
            result = extra + at + 4;
            *found = n;
        }
        at += 4 + n;
    }
    return result; /* up to three bytes may be left: padding that some tools add */
}

/* Sizes and offset that do not fit 32 bits, in this order, each there when its field says so. */
static int widen(const uint8_t *p, const uint8_t *extra, size_t nextra, cm_zip_member *m,
                 cm_error *err)
{
    size_t n = 0, at = 0;
    bool bad;
    const uint8_t *wide = cm_zip_extra(extra, nextra, CM_ZIP_EXTRA64, &n, &bad);
    uint64_t *const fields[] = {&m->nbytes, &m->stored, &m->local};
    if (bad)
        return malformed(err, "the extra fields of a member");
    for (size_t i = 0; i < 3; i++) {
        if (*fields[i] != 0xffffffff)
            continue;
        if (!wide || n - at < 8)
            return malformed(err, "a member has no zip64 sizes");
        *fields[i] = cm_load_le64(wide + at);
        at += 8;
    }
    if (cm_load_le16(p + 34) == 0xffff && wide && n - at >= 4 && cm_load_le32(wide + at) == 0)
        return 0;
    return cm_load_le16(p + 34) ? several_disks(err) : 0;
}

/* The name as UTF-8 to the table's block: as it is, or from Info-ZIP's extra field. */
static int take_name(reading *r, const uint8_t *raw, size_t nraw, const uint8_t *extra,
                     size_t nextra, cm_zip_member *m, cm_error *err)
{
    size_t n = 0;
    bool bad;
    const char *name = (const char *)raw;
    const uint8_t *unicode = cm_zip_extra(extra, nextra, CM_ZIP_EXTRA_UNICODE, &n, &bad);
    m->name_crc = libdeflate_crc32(0, raw, nraw);
    if (unicode && n > 5 && unicode[0] == 1 && cm_load_le32(unicode + 1) == m->name_crc &&
        !(m->flags & CM_ZIP_UTF8)) {
        name = (const char *)unicode + 5;
        nraw = n - 5;
    }
    char *to = r->d->names + r->names_nbytes;
    memcpy(to, name, nraw);
    to[nraw] = 0;
    m->name = to;
    r->names_nbytes += nraw + 1;
    if (!cm_utf8_valid(name, nraw) || memchr(name, 0, nraw))
        return cm_error_set(err, CM_EUNSUP, "the name of a member of the zip archive is not UTF-8");
    if (memchr(name, '\\', nraw)) {
        cm_error_set(err, CM_EUNSUP, "the zip archive has a backslash in the name %.200s", to);
        cm_error_hint(err, "it was made by a tool that does not write '/' between folders: unpack "
                           "it");
        return CM_EUNSUP;
    }
    return 0;
}

/* One header of n bytes at p. *nbytes: what it takes, 0 when it is not whole. *directory: the
 * member is a folder. */
static int parse_member(reading *r, const uint8_t *p, size_t n, size_t *nbytes, bool *directory,
                        cm_zip_member *m, cm_error *err)
{
    *nbytes = 0;
    if (n < CM_ZIP_CENTRAL_NBYTES)
        return 0;
    size_t nname = cm_load_le16(p + 28), nextra = cm_load_le16(p + 30);
    size_t whole = CM_ZIP_CENTRAL_NBYTES + nname + nextra + cm_load_le16(p + 32);
    if (cm_load_le32(p) != CM_ZIP_CENTRAL)
        return malformed(err, "a header in its central directory");
    if (n < whole)
        return 0;
    *nbytes = whole;
    *m = (cm_zip_member){.local = cm_load_le32(p + 42),
                         .nbytes = cm_load_le32(p + 24),
                         .stored = cm_load_le32(p + 20),
                         .crc = cm_load_le32(p + 16),
                         .name_nbytes = (uint16_t)nname,
                         .flags = cm_load_le16(p + 8),
                         .method = cm_load_le16(p + 10)};
    const uint8_t *raw = p + CM_ZIP_CENTRAL_NBYTES, *extra = raw + nname;
    int ret = nname ? widen(p, extra, nextra, m, err) : malformed(err, "a member without a name");
    if (ret == 0)
        ret = take_name(r, raw, nname, extra, nextra, m, err);
    if (ret)
        return ret;
    if (m->flags & (CM_ZIP_ENCRYPTED | CM_ZIP_STRONG | CM_ZIP_MASKED))
        return cm_error_set(err, CM_EUNSUP, "the zip archive is encrypted (%.200s)", m->name);
    size_t length = strlen(m->name);
    *directory = m->name[length - 1] == '/';
    if (*directory && (m->nbytes || length == 1))
        return malformed(err, "a folder that has a content");
    if (*directory)
        r->d->names[r->names_nbytes - 2] = 0;
    ret = cm_store_check_key(m->name, NULL);
    if (ret)
        return cm_error_set(err, CM_EUNSUP, "the zip archive has a member with the name \"%.200s\"",
                            m->name);
    if (m->method == CM_ZIP_STORED && m->nbytes != m->stored)
        return cm_error_set(err, CM_EDATA,
                            "the zip archive is damaged: %.200s has two different sizes", m->name);
    return 0;
}

/* ---- the table ------------------------------------------------------------------------------- */

static int by_offset(const void *a, const void *b)
{
    const cm_zip_member *x = a, *y = b;
    return x->local < y->local ? -1 : x->local > y->local;
}

static int by_name(const void *a, const void *b)
{
    const cm_zip_member *x = a, *y = b;
    int c = strcmp(x->name, y->name);
    return c ? c : x->name < y->name ? -1 : x->name > y->name; /* as in the directory */
}

/* Members lie one behind another, before the directory. */
static int check_places(cm_zip_directory *d, uint64_t directory, cm_error *err)
{
    bool sorted = true;
    for (size_t i = 1; i < d->n && sorted; i++)
        sorted = d->members[i - 1].local < d->members[i].local;
    if (!sorted)
        qsort(d->members, d->n, sizeof *d->members, by_offset);
    for (size_t i = 0; i < d->n; i++) {
        cm_zip_member *m = &d->members[i];
        uint64_t least;
        m->end = i + 1 < d->n ? d->members[i + 1].local : directory;
        if (!cm_add_u64(m->stored, CM_ZIP_LOCAL_NBYTES + (uint64_t)m->name_nbytes, &least) ||
            m->local > m->end || least > m->end - m->local)
            return cm_error_set(err, CM_EDATA,
                                "the zip archive is damaged: %.200s overlaps what follows it",
                                m->name);
    }
    return 0;
}

/* Sort by name; of equal names the last one of the directory stays. */
static void index_names(cm_zip_directory *d)
{
    size_t kept = 0;
    if (d->n)
        qsort(d->members, d->n, sizeof *d->members, by_name);
    for (size_t i = 0; i < d->n; i++) {
        if (kept && strcmp(d->members[kept - 1].name, d->members[i].name) == 0)
            kept--;
        d->members[kept++] = d->members[i];
    }
    d->hidden = d->n - kept;
    d->n = kept;
}

static int make_room(cm_context *ctx, cm_zip_directory *d, const ending *e, cm_error *err)
{
    uint64_t names = e->nbytes + 1; /* more than all of them with a NUL each, whatever the count */
    uint64_t need = names + e->count * sizeof *d->members;
    if (e->nbytes > SIZE_MAX / 8)
        return cm_error_set(err, CM_ELIMIT, "a central directory of %" PRIu64 " bytes", e->nbytes);
    if (ctx) {
        if (!cm_budget_pin(cm_context_budget(ctx), need)) {
            cm_error_set(err, CM_ELIMIT,
                         "the table of the zip archive's %" PRIu64
                         " members takes %.1f MB, which the memory has no room for",
                         e->count, (double)need / 1e6);
            cm_error_hint(err, "give more with --max-mem");
            return CM_ELIMIT;
        }
        d->budget = cm_context_budget(ctx);
        d->pinned = need;
    }
    d->members = cm_calloc((size_t)e->count, sizeof *d->members, err);
    d->names = d->members ? cm_calloc((size_t)names, 1, err) : NULL;
    return d->names ? 0 : CM_ENOMEM;
}

static int read_members(cm_context *ctx, reading *r, const ending *e, cm_error *err)
{
    uint8_t *window = cm_calloc(WINDOW, 1, err);
    uint64_t done = 0, taken = 0, folders = 0;
    size_t have = 0, at = 0;
    int ret = window ? 0 : CM_ENOMEM;
    while (ret == 0 && (done < e->nbytes || at < have)) {
        cm_zip_member m;
        size_t nbytes;
        bool directory = false;
        ret = parse_member(r, window + at, have - at, &nbytes, &directory, &m, err);
        if (ret == 0 && nbytes) {
            at += nbytes;
            if (taken++ == e->count)
                ret = malformed(err, "it has more members than its end record says");
            else if (directory)
                folders++;
            else
                r->d->members[r->d->n++] = m;
            continue;
        }
        if (ret == 0 && done == e->nbytes)
            ret = malformed(err, "its central directory is cut off");
        if (ret == 0 && ctx)
            ret = cm_context_check(ctx, err);
        if (ret)
            break;
        memmove(window, window + at, have - at);
        have -= at;
        at = 0;
        size_t more = WINDOW - have;
        more = e->nbytes - done < more ? (size_t)(e->nbytes - done) : more;
        ret = read_at(r, e->offset + done, window + have, more, err);
        have += more;
        done += more;
    }
    if (ret == 0 && taken != e->count)
        ret = malformed(err, "it has fewer members than its end record says");
    free(window);
    return ret;
}

int cm_zip_directory_read(cm_context *ctx, cm_store *files, const char *key,
                          const cm_object_version *version, cm_zip_directory *out, cm_error *err)
{
    ending e = {0};
    reading r = {files, key, *version, out, 0};
    *out = (cm_zip_directory){0};
    int ret = find_end(&r, &e, err);
    if (ret == 0)
        ret = make_room(ctx, out, &e, err);
    if (ret == 0)
        ret = read_members(ctx, &r, &e, err);
    if (ret == 0)
        ret = check_places(out, e.offset, err);
    if (ret) {
        cm_zip_directory_deinit(out);
        return ret;
    }
    index_names(out);
    return 0;
}

void cm_zip_directory_deinit(cm_zip_directory *d)
{
    free(d->members);
    free(d->names);
    if (d->budget)
        cm_budget_unpin(d->budget, d->pinned);
    *d = (cm_zip_directory){0};
}

size_t cm_zip_directory_search(const cm_zip_directory *d, const char *name)
{
    size_t lo = 0, hi = d->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (strcmp(d->members[mid].name, name) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}
