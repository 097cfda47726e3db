/* fuzz/fuzz_zip.c: hostile zip archives.
 *
 * The input is an archive. What opens is listed completely, every member is read whole and in
 * ranges, and both must agree. (A build for fuzzing does not compare CRC-32.)
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "store/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_TEXT = 1 << 20, MAX_NODES = 2000, MAX_DEPTH = 20 };

typedef struct walk {
    cm_store *store;
    char prefix[4096];
    int nodes, depth;
} walk;

static void read_member(cm_store *store, const char *key)
{
    cm_error err = {0};
    cm_object_version version = {0};
    char *text = NULL, part[64];
    size_t n = 0;
    if (cm_store_read_text(store, key, MAX_TEXT, &text, &n, &err)) {
        if (!err.message[0])
            abort();
        return;
    }
    for (size_t at = 0; at < n; at += 1 + n / 5) {
        cm_range range = {at, n - at < sizeof part ? n - at : sizeof part, part};
        if (store->vt->get(store, key, &range, 1, &version, &err) ||
            memcmp(part, text + at, range.nbytes) != 0)
            abort();
    }
    cm_place place;
    (void)store->vt->place(store, key, &place, NULL);
    free(text);
}

static int visit(void *user, const char *name, bool is_prefix, uint64_t size, cm_error *err)
{
    walk *w = user;
    size_t n = strlen(w->prefix), m = strlen(name);
    (void)size;
    if (w->nodes++ > MAX_NODES || n + m + 2 > sizeof w->prefix)
        return 0;
    snprintf(w->prefix + n, sizeof w->prefix - n, "%s%s", n ? "/" : "", name);
    if (!is_prefix) {
        read_member(w->store, w->prefix);
    } else if (w->depth < MAX_DEPTH) {
        w->depth++;
        (void)w->store->vt->list(w->store, w->prefix, visit, w, err);
        w->depth--;
    }
    w->prefix[n] = 0;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cm_store *files = NULL, *zip = NULL;
    cm_error err = {0};
    cm_iov iov = {data, size};
    if (cm_store_new_memory(NULL, &files, &err) == 0 &&
        files->vt->put(files, "a.zip", &iov, 1, 0, &err) == 0 &&
        cm_store_open_zip(NULL, files, "a.zip", &zip, &err) == 0) {
        walk w = {.store = zip};
        (void)zip->vt->list(zip, "", visit, &w, &err);
    } else if (!err.message[0]) {
        abort();
    }
    cm_store_unref(zip);
    cm_store_unref(files);
    return 0;
}
