/* tests/test_store_zip.c: zip archives as stores.
 *
 * Random archives are compared with the members that they were made of: every name, size, range,
 * listing. Then one thing after another is made wrong, and the message must say which.
 */
#include <unistd.h>

#include "base/bytes.h"
#include "base/context_private.h"
#include "scratch.h"
#include "store/zip.h"
#include "tap.h"
#include "zip_writer.h"

static cm_context *ctx;

/* An archive in a store in memory, open; the error line when it does not open. */
static cm_store *open_bytes(const cm_buffer *b, cm_store **files, cm_error *err)
{
    cm_store *out = NULL;
    cm_error_clear(err);
    TAP_CALL(cm_store_new_memory(ctx, files, err), err);
    cm_iov iov = {b->data, b->nbytes};
    TAP_CALL((*files)->vt->put(*files, "a.zip", &iov, 1, 0, err), err);
    (void)cm_store_open_zip(ctx, *files, "a.zip", &out, err);
    return out;
}

static cm_store *open_entries(const zip_entry *entries, size_t n, const zip_options *o,
                              cm_store **files, cm_error *err)
{
    cm_buffer b;
    cm_buffer_init(&b, 1 << 30);
    zip_build(&b, entries, n, o);
    cm_store *s = open_bytes(&b, files, err);
    cm_buffer_deinit(&b);
    return s;
}

static void close_both(cm_store *s, cm_store *files)
{
    cm_store_unref(s);
    cm_store_unref(files);
}

/* ---- what is right --------------------------------------------------------------------------- */

typedef struct names {
    char text[4096];
} names;

static int note(void *user, const char *name, bool is_prefix, uint64_t size, cm_error *err)
{
    names *n = user;
    (void)err;
    size_t at = strlen(n->text);
    snprintf(n->text + at, sizeof n->text - at, "%s%s:%llu ", name, is_prefix ? "/" : "",
             (unsigned long long)size);
    return 0;
}

static void check_member(cm_store *s, const zip_entry *e, uint64_t *seed)
{
    cm_error err = {0};
    cm_object_version v, first = {0};
    char *text = NULL;
    size_t n = 0;
    TAP_CALL(s->vt->stat(s, e->name, &v, &err), &err);
    TAP_EQ(v.size, e->nbytes);
    cm_range ranges[70];
    uint8_t *got = malloc(e->nbytes * 70 + 1);
    for (int round = 0; round < 2; round++) {
        int count = round ? 1 + (int)(tap_random(seed) % 70) : 1;
        size_t at = 0;
        for (int i = 0; i < count; i++) {
            size_t lo = (size_t)(tap_random(seed) % (e->nbytes + 1));
            size_t k = (size_t)(tap_random(seed) % (e->nbytes - lo + 1));
            ranges[i] = (cm_range){lo, k, got + at};
            at += k;
        }
        TAP_CALL(s->vt->get(s, e->name, ranges, count, round ? &v : &first, &err), &err);
        TAP_OK(memcmp(&first, &v, sizeof v) == 0);
        for (int i = 0; i < count; i++)
            TAP_OK(memcmp(ranges[i].dst, (const uint8_t *)e->data + ranges[i].offset,
                          ranges[i].nbytes) == 0);
    }
    TAP_CALL(cm_store_read_text(s, e->name, SIZE_MAX / 2, &text, &n, &err), &err);
    TAP_EQ(n, e->nbytes);
    TAP_OK(text && memcmp(text, e->data, n) == 0);
    ranges[0] = (cm_range){e->nbytes, 1, got};
    TAP_EQ(s->vt->get(s, e->name, ranges, 1, NULL, &err), CM_EDATA);
    free(text);
    free(got);
}

static void random_archives(void)
{
    uint64_t seed = tap_seed();
    for (int round = 0; round < 30; round++) {
        enum { N = 12 };
        zip_entry e[N] = {0};
        char name[N][64];
        cm_store *files, *s;
        cm_error err;
        for (int i = 0; i < N; i++) {
            static const size_t sizes[] = {0, 1, 40, 3000, 65535, 65536, 65537, 200000};
            size_t n = sizes[tap_random(&seed) % 8];
            uint8_t *data = malloc(n + 1);
            for (size_t k = 0; k < n; k++)
                data[k] = tap_random(&seed) % 3 ? (uint8_t)(k >> 4) : (uint8_t)tap_random(&seed);
            snprintf(name[i], sizeof name[i], i % 2 ? "a/%d/c\xc3\xa9.%d" : "b%d-%d", i % 5, i);
            e[i] = (zip_entry){.name = name[i],
                               .data = data,
                               .nbytes = n,
                               .method = tap_random(&seed) % 2 ? 8 : 0,
                               .descriptor = tap_random(&seed) % 3 == 0,
                               .wide = tap_random(&seed) % 3 == 0,
                               .flags = tap_random(&seed) % 2 ? 1u << 11 : 0,
                               .extra = tap_random(&seed) % 3 ? 0 : 4 + tap_random(&seed) % 40};
        }
        zip_options o = {.wide = round % 2,
                         .only_wide = round % 4 == 1,
                         .comment = round % 3 ? NULL : "PK\x05\x06 and more than 22 bytes of text"};
        s = open_entries(e, N, &o, &files, &err);
        TAP_OK(s != NULL);
        for (int i = 0; i < N && s; i++)
            check_member(s, &e[tap_random(&seed) % N], &seed);
        for (int i = 0; i < N; i++)
            free((void *)(uintptr_t)e[i].data);
        close_both(s, files);
    }
}

static void names_and_folders(void)
{
    const zip_entry e[] = {{.name = "top/", .data = ""},
                           {.name = "a/b", .data = "first", .nbytes = 5},
                           {.name = "a-b", .data = "dash", .nbytes = 4},
                           {.name = "a/b", .data = "second", .nbytes = 6},
                           {.name = "caf\x82", .data = "x", .nbytes = 1, .unicode = "caf\xc3\xa9"},
                           {.name = "a/c/d", .data = "deep", .nbytes = 4, .method = 8}};
    cm_store *files;
    cm_error err;
    cm_store *s = open_entries(e, 6, &(zip_options){0}, &files, &err);
    TAP_OK(s != NULL);
    names n = {""};
    TAP_CALL(s->vt->list(s, "", note, &n, &err), &err);
    TAP_STR(n.text, "a-b:4 a/:0 caf\xc3\xa9:1 ");
    n.text[0] = 0;
    TAP_CALL(s->vt->list(s, "a", note, &n, &err), &err);
    TAP_STR(n.text, "b:6 c/:0 "); /* the second of the two */
    n.text[0] = 0;
    TAP_CALL(s->vt->list(s, "top", note, &n, &err), &err);
    TAP_STR(n.text, "");
    char *text = NULL;
    TAP_CALL(cm_store_read_text(s, "a/b", 100, &text, NULL, &err), &err);
    TAP_STR(text, "second");
    free(text);
    cm_object_version v;
    cm_error_clear(&err);
    TAP_EQ(s->vt->stat(s, "nothing", &v, &err), CM_ENOTFOUND);
    TAP_CALL(cm_store_check_absent(s, "nothing", &err), &err);
    TAP_EQ(s->vt->stat(s, "a", &v, &err), CM_EIO);
    TAP_EQ(s->vt->stat(s, "a-b/c", &v, &err), CM_EIO);
    TAP_EQ(s->vt->stat(s, "../a", &v, &err), CM_EINVAL);
    TAP_EQ(s->vt->put(s, "new", &(cm_iov){"x", 1}, 1, 0, &err), CM_EUNSUP);
    cm_place place;
    TAP_CALL(s->vt->place(s, "a-b", &place, &err), &err);
    char four[4];
    TAP_CALL(place.store->vt->get(place.store, place.key, &(cm_range){place.offset, 4, four}, 1,
                                  &place.version, &err),
             &err);
    TAP_OK(memcmp(four, "dash", 4) == 0);
    TAP_EQ(s->vt->place(s, "a/c/d", &place, &err), CM_EUNSUP);

    /* another archive under the same name */
    cm_iov other = {"PK", 2};
    TAP_CALL(files->vt->put(files, "a.zip", &other, 1, 0, &err), &err);
    TAP_EQ(s->vt->stat(s, "a/b", &v, &err), CM_ECHANGED);
    TAP_EQ(s->vt->get(s, "a/b", &(cm_range){0, 4, four}, 1, NULL, &err), CM_ECHANGED);
    TAP_EQ(s->vt->get(s, "a/c/d", &(cm_range){0, 4, four}, 1, NULL, &err), CM_ECHANGED);
    TAP_EQ(cm_store_check_absent(s, "nothing", &err), CM_ECHANGED);
    close_both(s, files);
}

/* ---- what is wrong --------------------------------------------------------------------------- */

static void expect(const zip_entry *e, size_t n, const zip_options *o, int code, const char *words)
{
    cm_store *files;
    cm_error err;
    char line[2048], byte[64];
    cm_store *s = open_entries(e, n, o, &files, &err);
    int r = err.code;
    if (s) { /* then reading the first member fails */
        char *text = NULL;
        cm_error_clear(&err);
        r = cm_store_read_text(s, e[0].name, 1 << 20, &text, NULL, &err);
        free(text);
    }
    snprintf(byte, sizeof byte, "%s", words);
    if (r != code || !strstr(err.message, words))
        printf("# want %s: %s\n", words, cm_error_line(&err, line, sizeof line));
    TAP_EQ(r, code);
    TAP_OK(strstr(err.message, words) != NULL);
    close_both(s, files);
}

static void refused_archives(void)
{
    const zip_options none = {0};
#define NAMED(called, ...)                                                                         \
    (&(zip_entry){.name = called, .data = "0123456789", .nbytes = 10, __VA_ARGS__}), 1
#define ONE(...) NAMED("one", __VA_ARGS__)
    expect(ONE(.method = 12), &none, CM_EUNSUP, "method 12 (bzip2)");
    expect(ONE(.method = 93), &none, CM_EUNSUP, "method 93 (zstd)");
    expect(ONE(.flags = 1), &none, CM_EUNSUP, "encrypted (one)");
    expect(ONE(.flags = 1 << 6), &none, CM_EUNSUP, "encrypted");
    expect(ONE(.flags = 1 << 5), &none, CM_EUNSUP, "a patch");
    expect(NAMED("../one", .method = 0), &none, CM_EUNSUP, "\"../one\"");
    expect(NAMED("/one", .method = 0), &none, CM_EUNSUP, "\"/one\"");
    expect(NAMED("a//one", .method = 0), &none, CM_EUNSUP, "\"a//one\"");
    expect(NAMED("a\\one", .method = 0), &none, CM_EUNSUP, "backslash");
    expect(NAMED("caf\x82", .method = 0), &none, CM_EUNSUP, "not UTF-8");
    expect(NAMED("folder/", .method = 0), &none, CM_EDATA, "folder that has a content");
    expect(ONE(.local_name = "two"), &none, CM_EDATA, "disagree on its name");
    expect(ONE(.local_name = "one1"), &none, CM_EDATA, "disagree on its name");
    expect(ONE(.local_method_differs = true, .local_method = 8), &none, CM_EDATA,
           "disagree on its method");
    expect(ONE(.local_size = 9), &none, CM_EDATA, "disagree on its size");
    expect(ONE(.local_size = 9, .wide = true), &none, CM_EDATA, "disagree on its size");
    expect(ONE(.local_crc = 7), &none, CM_EDATA, "disagree on its checksum");
    expect(ONE(.central_size = 1000), &none, CM_EDATA, "overlaps what follows");
    expect(ONE(.central_size = INT64_MAX, .wide = true), &none, CM_EDATA, "overlaps what follows");
    expect(ONE(.central_offset = 1), &none, CM_EDATA, "overlaps what follows");
    expect(ONE(.central_offset = INT64_MAX, .wide = true), &none, CM_EDATA, "overlaps");
    expect(ONE(.central_size = 11, .descriptor = true), &none, CM_EDATA, "CRC-32");
    expect(ONE(.method = 0), &(zip_options){.before = "junk", .offset = -4}, CM_EDATA,
           "is not where");
#undef ONE
#undef NAMED
    const zip_entry two[] = {{.name = "one", .data = "0123456789", .nbytes = 10},
                             {.name = "two, with a name as long as another header would be",
                              .data = "0123456789",
                              .nbytes = 10}};
    expect(two, 2, &(zip_options){.behind = "junk"}, CM_EDATA, "without its end");
    expect(two, 2, &(zip_options){.count = 1}, CM_EDATA, "fewer members");
    expect(two, 2, &(zip_options){.count = -1}, CM_EDATA, "more members");
    expect(two, 2, &(zip_options){.count = 10000}, CM_EDATA, "is not where");
    expect(two, 2, &(zip_options){.offset = 1}, CM_EDATA, "is not where");
    expect(two, 2, &(zip_options){.offset = -1}, CM_EDATA, "is not where");
    expect(two, 2, &(zip_options){.disk = 1}, CM_EUNSUP, "several disks");
    expect(two, 2, &(zip_options){.disk = 1, .wide = true}, CM_EUNSUP, "several disks");
    expect(two, 2, &(zip_options){.count = INT64_MAX / 2, .wide = true, .only_wide = true},
           CM_EDATA, "is not where");
    zip_entry same[] = {two[0], two[1]};
    same[1].central_offset = 5;
    expect(same, 2, &none, CM_EDATA, "overlaps what follows");
}

/* Every truncation, and every byte of a small archive changed: an error or the right members. */
static void damaged_archives(void)
{
    uint64_t seed = tap_seed();
    const zip_entry e[] = {
        {.name = "a/x", .data = "0123456789", .nbytes = 10},
        {.name = "a/y", .data = "aaaaaaaaaaaaaaaaaaaab", .nbytes = 21, .method = 8},
        {.name = "z", .data = "wide", .nbytes = 4, .wide = true}};
    cm_buffer b, c;
    cm_buffer_init(&b, 1 << 20);
    cm_buffer_init(&c, 1 << 20);
    zip_build(&b, e, 3, &(zip_options){.wide = true, .comment = "text"});
    int opened = 0, read = 0;
    for (size_t at = 0; at < b.nbytes * 4; at++) {
        cm_store *files;
        cm_error err;
        c.nbytes = 0;
        size_t n = at < b.nbytes ? at : b.nbytes;
        cm_buffer_append(&c, b.data, n, NULL);
        if (at >= b.nbytes)
            c.data[at % b.nbytes] ^= (uint8_t)(1 + tap_random(&seed) % 255);
        cm_store *s = open_bytes(&c, &files, &err);
        TAP_OK(s || err.message[0]);
        TAP_OK(!s || at >= b.nbytes);
        opened += s != NULL;
        for (int i = 0; i < 3 && s; i++) {
            char *text = NULL;
            size_t nbytes = 0;
            cm_error_clear(&err);
            int r = cm_store_read_text(s, e[i].name, 1 << 20, &text, &nbytes, &err);
            if (r == 0) /* a changed byte is noticed, or was none of the content */
                TAP_OK(nbytes == e[i].nbytes && memcmp(text, e[i].data, nbytes) == 0);
            read += r == 0;
            free(text);
        }
        close_both(s, files);
    }
    TAP_OK(opened > 100 && read > 100);
    cm_buffer_deinit(&b);
    cm_buffer_deinit(&c);
}

/* The table of many members is set aside in the budget, and given back. */
static void memory_of_the_table(void)
{
    enum { N = 20000 };
    zip_entry *e = calloc(N, sizeof *e);
    char(*name)[32] = calloc(N, sizeof *name);
    for (int i = 0; i < N; i++) {
        snprintf(name[i], sizeof name[i], "a/c/%d/%d", i / 100, i % 100);
        e[i] = (zip_entry){.name = name[i], .data = name[i], .nbytes = strlen(name[i])};
    }
    cm_store *files;
    cm_error err;
    cm_budget *budget = cm_context_budget(ctx);
    uint64_t before = cm_budget_pinned(budget);
    cm_store *s = open_entries(e, N, &(zip_options){0}, &files, &err);
    TAP_OK(s != NULL);
    TAP_OK(cm_budget_pinned(budget) - before > N * 64);
    uint64_t seed = tap_seed();
    for (int i = 0; i < 200 && s; i++)
        check_member(s, &e[tap_random(&seed) % N], &seed);
    close_both(s, files);
    TAP_EQ(cm_budget_pinned(budget), before);
    free(e);
    free(name);
}

/* ---- writing --------------------------------------------------------------------------------- */

enum { NAMES = 60 };

typedef struct writing {
    cm_store *archive;
    uint64_t seed;
    uint32_t put[NAMES]; /* length and content of the last put of each name; atomic */
} writing;

static size_t name_of(int i, char *name)
{
    return (size_t)sprintf(name, i % 3 ? "g/%d/c.%d" : "d\xc3\xa9/%d/%d", i % 7, i);
}

/* Content number v: its length is among 0..5000 and every byte depends on both. */
static size_t content(uint32_t v, uint8_t *out)
{
    size_t n = v % 7 ? v * 2654435761u % 5001 : 0;
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(i * 7 + v);
    return n;
}

static int produce(void *user, cm_write_fn write, void *to, cm_error *err)
{
    uint8_t data[5001];
    size_t n = content(*(uint32_t *)user, data);
    int r = write(to, data, n / 3, err);
    return r ? r : write(to, data + n / 3, n - n / 3, err);
}

static int put_one(void *user, int64_t i, int worker, cm_error *err)
{
    writing *w = user;
    uint64_t seed = w->seed + (uint64_t)i;
    uint8_t data[5001];
    char key[64];
    int which = (int)(i % NAMES); /* each name by one worker at a time */
    (void)worker;
    name_of(which, key);
    int r = 0;
    for (int k = 0; k < 5 && r == 0; k++) {
        uint32_t v = (uint32_t)tap_random(&seed);
        size_t n = content(v, data);
        cm_iov iov[] = {{data, n / 2}, {data + n / 2, n - n / 2}};
        r = v % 2 ? w->archive->vt->put(w->archive, key, iov, 2, 0, err)
                  : w->archive->vt->put_from(w->archive, key, produce, &v, 0, err);
        w->put[which] = v;
        if (tap_random(&seed) % 3)
            break;
    }
    return r;
}

static int count_names(void *user, const char *name, bool is_prefix, uint64_t size, cm_error *err)
{
    (void)name, (void)size, (void)err;
    *(int *)user += !is_prefix;
    return 0;
}

/* What many threads put, several times over, is read back: the last of each name, each once. */
static void written_archives(void)
{
    uint64_t seed = tap_seed();
    char root[256], path[300];
    TAP_OK(scratch_make(root, sizeof root));
    snprintf(path, sizeof path, "%s/a.zip", root);
    static const uint64_t narrow[] = {0xffffffff, 1, 1000, 50000};
    for (int round = 0; round < 4; round++) {
        cm_error err = {0};
        cm_store *w = NULL, *files = NULL, *s = NULL;
        TAP_CALL(cm_zip_writer_new(ctx, path, CM_DURABLE_FILE, &w, &err), &err);
        TAP_EQ(w->vt->put(w, "early", &(cm_iov){"x", 1}, 1, 0, &err), CM_EINVAL);
        cm_zip_writer_narrow(w, narrow[round]);
        TAP_CALL(cm_zip_writer_begin(w, &err), &err);
        writing work = {w, tap_random(&seed), {0}};
        TAP_CALL(cm_pool_for(cm_context_pool(ctx), ctx, NAMES, 2, put_one, &work, &err), &err);
        TAP_CALL(cm_zip_writer_finish(w, &err), &err);
        cm_store_unref(w);
        TAP_EQ(cm_zip_writer_new(ctx, path, CM_DURABLE_NONE, &w, &err), 0);
        TAP_EQ(cm_zip_writer_begin(w, &err), CM_EEXIST);
        cm_store_unref(w);

        cm_error_clear(&err);
        TAP_CALL(cm_store_open_local(ctx, root, CM_DURABLE_NONE, &files, &err), &err);
        TAP_CALL(cm_store_open_zip(ctx, files, "a.zip", &s, &err), &err);
        for (int i = 0; i < NAMES && s; i++) {
            uint8_t data[5001];
            char key[64], *text = NULL;
            size_t n = 0, want = content(work.put[i], data);
            name_of(i, key);
            TAP_CALL(cm_store_read_text(s, key, 1 << 20, &text, &n, &err), &err);
            TAP_OK(n == want && memcmp(text, data, n) == 0);
            free(text);
        }
        int found = 0;
        for (int i = 0; i < 7 && s; i++) {
            char prefix[32];
            snprintf(prefix, sizeof prefix, "g/%d", i);
            TAP_CALL(s->vt->list(s, prefix, count_names, &found, &err), &err);
        }
        TAP_EQ(found, NAMES - NAMES / 3);
        close_both(s, files);
        TAP_EQ(remove(path), 0);
    }
    TAP_EQ(rmdir(root), 0);
}

/* More members than 16 bits count, and names that are put again. */
static void many_members(void)
{
    enum { N = 70000 };
    char root[256], path[300], key[64];
    TAP_OK(scratch_make(root, sizeof root));
    snprintf(path, sizeof path, "%s/a.zip", root);
    cm_error err = {0};
    cm_store *w = NULL, *files = NULL, *s = NULL;
    int r = cm_zip_writer_new(ctx, path, CM_DURABLE_NONE, &w, &err);
    if (r == 0)
        r = cm_zip_writer_begin(w, &err);
    for (int i = 0; i < N + 1000 && r == 0; i++) {
        cm_iov iov = {key, (size_t)sprintf(key, "a/c/%d", i % N)};
        if (i < 1000)
            iov.nbytes = 1;
        r = w->vt->put(w, key, &iov, 1, 0, &err);
    }
    if (r == 0)
        r = cm_zip_writer_finish(w, &err);
    TAP_CALL(r, &err);
    cm_store_unref(w);
    TAP_CALL(cm_store_open_local(ctx, root, CM_DURABLE_NONE, &files, &err), &err);
    TAP_CALL(cm_store_open_zip(ctx, files, "a.zip", &s, &err), &err);
    int found = 0;
    if (s)
        TAP_CALL(s->vt->list(s, "a/c", count_names, &found, &err), &err);
    TAP_EQ(found, N);
    for (int i = 0; i < N && s; i += 97) {
        char *text = NULL;
        snprintf(key, sizeof key, "a/c/%d", i);
        TAP_CALL(cm_store_read_text(s, key, 100, &text, NULL, &err), &err);
        TAP_STR(text, key);
        free(text);
    }
    close_both(s, files);
    TAP_EQ(remove(path), 0);
    TAP_EQ(rmdir(root), 0);
}

int main(void)
{
    cm_context_options options;
    cm_error err = {0};
    cm_context_options_init(&options);
    options.threads = 2;
    if (cm_context_new(&options, &ctx, &err))
        return 1;
    TAP_RUN(random_archives);
    TAP_RUN(names_and_folders);
    TAP_RUN(refused_archives);
    TAP_RUN(damaged_archives);
    TAP_RUN(memory_of_the_table);
    TAP_RUN(written_archives);
    TAP_RUN(many_members);
    cm_context_free(ctx);
    return tap_done();
}
