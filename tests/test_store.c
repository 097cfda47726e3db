/* tests/test_store.c: what every store promises, for the local and the memory store; a random walk
 * against a naive table. Faults and what only directories have are in test_store_local.c. */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/context_private.h"
#include "base/memory.h"
#include "scratch.h"
#include "store/store.h"
#include "tap.h"

static uint64_t seed;
static char root[256];
static bool local; /* which one is being tested */

static cm_store *new_store(void)
{
    cm_error err = {0};
    cm_store *s = NULL;
    if (local) {
        char path[300];
        static int serial;
        snprintf(path, sizeof path, "%s/%d/a store", root, serial++);
        TAP_CALL(cm_store_open_local(NULL, path, CM_DURABLE_NONE, &s, &err), &err);
    } else {
        TAP_CALL(cm_store_new_memory(NULL, &s, &err), &err);
    }
    return s;
}

static int put(cm_store *s, const char *key, const char *text, unsigned flags, cm_error *err)
{
    cm_iov iov = {text, strlen(text)};
    return s->vt->put(s, key, &iov, 1, flags, err);
}

/* An object made in pieces of 1, 2, 3... bytes; fails when it should come to `fail_at`. */
typedef struct made {
    const char *text;
    size_t fail_at;
} made;

static int make(void *user, cm_write_fn write, void *to, cm_error *err)
{
    const made *m = user;
    size_t at = 0, n = strlen(m->text);
    for (size_t step = 1; at < n; step++) {
        size_t k = step < n - at ? step : n - at;
        if (at >= m->fail_at)
            return cm_error_set(err, CM_EDATA, "cannot go on");
        int r = write(to, m->text + at, k, err);
        if (r)
            return r;
        at += k;
    }
    return 0;
}

static void expect(cm_store *s, const char *key, const char *want)
{
    cm_error err = {0};
    char *got = NULL;
    size_t n = 0;
    int r = cm_store_read_text(s, key, 100000, &got, &n, &err);
    if (!want) {
        TAP_EQ(r, CM_ENOTFOUND);
        TAP_OK(!got && err.object[0]);
    } else {
        TAP_CALL(r, &err);
        TAP_STR(got, want);
        TAP_EQ(n, strlen(want));
    }
    free(got);
}

static void keys_are_checked(void)
{
    static const char *const bad[] = {
        "",       "/",   "/a",  "a/",   "a//b",         ".",           "..",
        "a/../b", "a/.", "./a", "../a", "x.cm-tmp-1/y", "a/b.cm-tmp-0"};
    static const char *const good[] = {"a",      "a/b", "...",          "a..",
                                       "..a/.b", " ",   "c/0/1.cm-tmp", "\xc3\xa4"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cm_error err = {0};
        TAP_EQ(cm_store_check_key(bad[i], &err), CM_EINVAL);
        TAP_OK(strstr(err.message, bad[i]));
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        TAP_EQ(cm_store_check_key(good[i], NULL), 0);
    for (local = false;; local = true) {
        cm_store *s = new_store();
        cm_object_version v = {0};
        TAP_EQ(put(s, "../a", "x", 0, NULL), CM_EINVAL);
        TAP_EQ(put(s, "", "x", 0, NULL), CM_EINVAL);
        TAP_OK(s->vt->stat(s, "../a", &v, NULL) == CM_EINVAL);
        TAP_OK(s->vt->get(s, "b/../../a", NULL, 0, &v, NULL) == CM_EINVAL);
        TAP_OK(s->vt->del(s, "..", NULL) == CM_EINVAL);
        TAP_OK(s->vt->del_prefix(s, "..", NULL) == CM_EINVAL);
        cm_store_unref(s);
        if (local)
            break;
    }
}

static void puts_and_gets(void)
{
    cm_error err = {0};
    cm_store *s = new_store();
    expect(s, "a/b/c", NULL);
    TAP_CALL(put(s, "a/b/c", "hello", 0, &err), &err);
    expect(s, "a/b/c", "hello");
    TAP_CALL(put(s, "a/b/c", "good bye, all", 0, &err), &err);
    expect(s, "a/b/c", "good bye, all");
    TAP_CALL(put(s, "empty", "", 0, &err), &err);
    expect(s, "empty", "");
    TAP_EQ(put(s, "empty", "x", CM_PUT_IF_ABSENT, &err), CM_EEXIST);
    TAP_OK(strstr(err.object, "empty"));
    expect(s, "empty", "");
    cm_error_clear(&err);
    TAP_CALL(put(s, "new", "x", CM_PUT_IF_ABSENT, &err), &err);
    expect(s, "new", "x");
    int other = cm_store_local_path(s) ? CM_EIO : CM_ENOTFOUND; /* a prefix is no object */
    char *text = NULL;
    TAP_EQ(cm_store_read_text(s, "a/b", 100, &text, NULL, NULL), other);
    TAP_EQ(cm_store_read_text(s, "new/below", 100, &text, NULL, NULL), other);

    made m = {"made of pieces, one after the other", SIZE_MAX};
    TAP_CALL(s->vt->put_from(s, "made", make, &m, 0, &err), &err);
    expect(s, "made", m.text);
    TAP_EQ(s->vt->put_from(s, "made", make, &m, CM_PUT_IF_ABSENT, &err), CM_EEXIST);
    made half = {"another text", 5}, none = {"", SIZE_MAX};
    TAP_EQ(s->vt->put_from(s, "made", make, &half, 0, &err), CM_EDATA);
    expect(s, "made", m.text);
    TAP_EQ(s->vt->put_from(s, "half", make, &half, 0, &err), CM_EDATA);
    expect(s, "half", NULL);
    cm_error_clear(&err);
    TAP_CALL(s->vt->put_from(s, "none", make, &none, 0, &err), &err);
    expect(s, "none", "");

    cm_object_version v = {0}, w = {0};
    TAP_CALL(s->vt->stat(s, "a/b/c", &v, &err), &err);
    TAP_EQ(v.size, 13);
    TAP_EQ(s->vt->stat(s, "a/b", &w, NULL), other);

    char one[5] = {0}, two[4] = {0};
    cm_range ranges[] = {{5, 4, one}, {10, 3, two}, {13, 0, NULL}};
    TAP_CALL(s->vt->get(s, "a/b/c", ranges, 3, &w, &err), &err);
    TAP_STR(one, "bye,");
    TAP_STR(two, "all");
    TAP_OK(memcmp(&v, &w, sizeof v) == 0);
    TAP_CALL(s->vt->get(s, "a/b/c", ranges, 3, &w, &err), &err);
    TAP_CALL(s->vt->get(s, "a/b/c", ranges, 1, NULL, &err), &err);

    const cm_range beyond[] = {
        {13, 1, one}, {UINT64_MAX, 2, one}, {12, SIZE_MAX, one}, {99, 0, one}};
    for (size_t i = 0; i < 4; i++) {
        w = (cm_object_version){0};
        TAP_EQ(s->vt->get(s, "a/b/c", &beyond[i], 1, &w, &err), CM_EDATA);
        TAP_OK(strstr(err.object, "a/b/c"));
    }
    usleep(20000); /* more than the granularity of file times */
    TAP_EQ(put(s, "a/b/c", "GOOD BYE, ALL", 0, NULL), 0);
    TAP_EQ(s->vt->get(s, "a/b/c", ranges, 1, &v, &err), CM_ECHANGED);
    TAP_OK(strstr(err.object, "a/b/c"));
    size_t n;
    text = NULL;
    TAP_EQ(cm_store_read_text(s, "a/b/c", 12, &text, &n, &err), CM_ELIMIT);
    TAP_OK(!text && strstr(err.object, "a/b/c"));

    /* many parts, some of them empty */
    cm_iov parts[300];
    char want[301] = {0}, letters[300];
    size_t k = 0;
    for (size_t i = 0; i < 300; i++) {
        letters[i] = (char)('a' + i % 26);
        parts[i] = (cm_iov){&letters[i], i % 3 != 1};
        if (i % 3 != 1)
            want[k++] = letters[i];
    }
    TAP_EQ(s->vt->put(s, "parts", parts, 300, 0, NULL), 0);
    expect(s, "parts", want);
    TAP_EQ(s->vt->put(s, "none", parts, 0, 0, NULL), 0);
    expect(s, "none", "");
    TAP_EQ(s->vt->sync(s, NULL), 0);
    cm_store_unref(cm_store_ref(s));
    expect(s, "new", "x");
    cm_store_unref(s);
    cm_store_unref(NULL);
}

/* ---- a random walk against a table ----------------------------------------------------------- */

enum { NKEYS = 60, STEPS = 3000 };
static char keys[NKEYS][40];
static int64_t model[NKEYS]; /* the number that is in the object, -1: absent */

typedef struct seen {
    const char *prefix;
    int children, wrong;
} seen;

static bool starts_with_part(const char *key, const char *prefix, const char *name)
{
    char whole[100];
    snprintf(whole, sizeof whole, "%s%s%s/", prefix, *prefix ? "/" : "", name);
    return strncmp(key, whole, strlen(whole)) == 0;
}

static int check_child(void *user, const char *name, bool is_prefix, uint64_t size, cm_error *err)
{
    seen *w = user;
    bool found = false;
    (void)err;
    w->children++;
    for (int i = 0; i < NKEYS && !found; i++) {
        char text[40], whole[100];
        snprintf(text, sizeof text, "%lld", (long long)model[i]);
        snprintf(whole, sizeof whole, "%s%s%s", w->prefix, *w->prefix ? "/" : "", name);
        if (model[i] >= 0)
            found = is_prefix ? starts_with_part(keys[i], w->prefix, name)
                              : strcmp(keys[i], whole) == 0 && size == strlen(text);
    }
    /* a directory may be empty */
    w->wrong += !found && !(is_prefix && local);
    return 0;
}

/* Distinct children that the model has below prefix. */
static int count_children(const char *prefix)
{
    char names[NKEYS][40];
    int n = 0;
    size_t skip = *prefix ? strlen(prefix) + 1 : 0;
    for (int i = 0; i < NKEYS; i++) {
        if (model[i] < 0 ||
            (skip && (strncmp(keys[i], prefix, skip - 1) != 0 || keys[i][skip - 1] != '/')))
            continue;
        char name[40];
        size_t k = strcspn(keys[i] + skip, "/");
        memcpy(name, keys[i] + skip, k);
        name[k] = 0;
        int j = 0;
        while (j < n && strcmp(names[j], name) != 0)
            j++;
        if (j == n)
            memcpy(names[n++], name, k + 1);
    }
    return n;
}

static void check_list(cm_store *s, const char *prefix)
{
    cm_error err = {0};
    seen w = {.prefix = prefix};
    TAP_CALL(s->vt->list(s, prefix, check_child, &w, &err), &err);
    TAP_EQ(w.wrong, 0);
    int want = count_children(prefix);
    TAP_OK(local ? w.children >= want : w.children == want);
}

static void random_walk(void)
{
    uint64_t state = seed;
    cm_error err = {0};
    cm_store *s = new_store();
    static const char *const prefixes[] = {"", "a", "a/b", "a/b0", "a-b", "zz", "a/b/c"};
    for (int i = 0; i < NKEYS; i++) {
        /* no key is a prefix of another one, which a directory cannot have */
        static const char *const dirs[] = {"a/b/c/", "a/b/", "a/b0/", "a/", "a-b/", ""};
        snprintf(keys[i], sizeof keys[i], "%sk%d", dirs[tap_random(&state) % 6], i);
        model[i] = -1;
    }
    for (int k = 0; k < STEPS; k++) {
        int i = (int)(tap_random(&state) % NKEYS);
        char text[40];
        snprintf(text, sizeof text, "%d", k);
        switch (tap_random(&state) % 16) {
        case 0: {
            const char *p = prefixes[tap_random(&state) % 7];
            size_t n = strlen(p);
            if (n == 0 && k % 4)
                break;
            TAP_CALL(s->vt->del_prefix(s, p, &err), &err);
            for (int j = 0; j < NKEYS; j++)
                if (n == 0 || (strncmp(keys[j], p, n) == 0 && (keys[j][n] == '/' || !keys[j][n])))
                    model[j] = -1;
            break;
        }
        case 1: check_list(s, prefixes[tap_random(&state) % 7]); break;
        case 2:
        case 3:
            TAP_CALL(s->vt->del(s, keys[i], &err), &err);
            model[i] = -1;
            break;
        case 4:
            TAP_EQ(put(s, keys[i], text, CM_PUT_IF_ABSENT, NULL), model[i] >= 0 ? CM_EEXIST : 0);
            model[i] = model[i] >= 0 ? model[i] : k;
            break;
        case 5:
        case 6:
        case 7:
        case 8:
            TAP_CALL(put(s, keys[i], text, 0, &err), &err);
            model[i] = k;
            break;
        default:
            snprintf(text, sizeof text, "%lld", (long long)model[i]);
            expect(s, keys[i], model[i] < 0 ? NULL : text);
        }
    }
    cm_store_unref(s);
}

/* ---- many threads ---------------------------------------------------------------------------- */

typedef struct crowd {
    cm_store *s;
    _Atomic int wrong, made;
} crowd;

enum { BIG = 200000 };

/* Everybody puts and gets the same objects: what is read is always one whole put. */
static int crowd_work(void *arg, int64_t i, int worker, cm_error *err)
{
    crowd *c = arg;
    char key[32];
    (void)worker;
    snprintf(key, sizeof key, "deep/er/%d", (int)(i % 3));
    if (i % 2) {
        uint8_t *data = cm_calloc(BIG, 1, err);
        if (!data)
            return CM_ENOMEM;
        memset(data, (int)i, BIG);
        cm_iov iov[2] = {{data, BIG / 3}, {data, BIG - BIG / 3}};
        int r = c->s->vt->put(c->s, key, iov, 2, 0, err);
        free(data);
        return r;
    }
    char *got = NULL;
    size_t n = 0;
    int r = cm_store_read_text(c->s, key, BIG, &got, &n, err);
    if (r == 0)
        c->wrong += n != BIG || got[0] != got[BIG - 1] || memcmp(got, got + 1, BIG - 1) != 0;
    free(got);
    if (r == CM_ENOTFOUND)
        r = 0;
    snprintf(key, sizeof key, "once/%d", (int)(i / 40));
    int p = put(c->s, key, "x", CM_PUT_IF_ABSENT, NULL);
    c->made += p == 0;
    return r ? r : p == CM_EEXIST ? 0 : p;
}

static void many_threads(void)
{
    cm_error err = {0};
    cm_pool *pool = NULL;
    TAP_EQ(cm_pool_new(5, &pool, NULL), 0);
    crowd c = {.s = new_store()};
    TAP_CALL(cm_pool_for(pool, NULL, 400, 6, crowd_work, &c, &err), &err);
    TAP_EQ(c.wrong, 0);
    TAP_EQ(c.made, 10);
    cm_store_unref(c.s);
    cm_pool_free(pool);
}

int main(void)
{
    seed = tap_seed();
    if (!scratch_make(root, sizeof root))
        return 1;
    TAP_RUN(keys_are_checked);
    for (local = false;; local = true) {
        printf("# %s store\n", local ? "local" : "memory");
        TAP_RUN(puts_and_gets);
        TAP_RUN(random_walk);
        TAP_RUN(many_threads);
        if (local)
            break;
    }
    return scratch_remove(root) ? tap_done() : 1;
}
