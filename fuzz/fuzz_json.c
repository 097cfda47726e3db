/* fuzz/fuzz_json.c: whatever parses must be written, parsed again and be equal, and be the same
 * text when written again. */
#include <stdlib.h>
#include <string.h>

#include "chunkmill/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes);

static void check(bool truth)
{
    if (!truth)
        abort();
}

static void look(const cm_json *v)
{
    double d;
    int64_t i;
    uint64_t u;
    char buf[40];
    if (cm_json_double(v, &d))
        cm_double_text(d, buf);
    if (cm_json_int64(v, &i) && i >= 0)
        check(cm_json_uint64(v, &u) && u == (uint64_t)i);
    for (size_t k = 0; k < cm_json_count(v); k++) {
        const char *key = cm_json_key(v, k);
        if (key)
            (void)cm_json_get(v, key);
        look(cm_json_at(v, k));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    cm_error err;
    cm_error_clear(&err);
    cm_json_doc *a = NULL, *b = NULL;
    char *first = NULL, *second = NULL;
    size_t n, m;
    int r = cm_json_parse((const char *)data, nbytes, (size_t)1 << 24, &a, &err);
    check((r != 0) == (err.code != 0) && (r == 0 || err.message[0]));
    if (r != 0)
        return 0;
    look(cm_json_doc_root(a));
    r = cm_json_write(cm_json_doc_root(a), (int)(nbytes % 3), &first, &n, &err);
    check(r == 0);
    r = cm_json_parse(first, n, (size_t)1 << 26, &b, &err);
    check(r == 0);
    check(cm_json_equal(cm_json_doc_root(a), cm_json_doc_root(b)));
    r = cm_json_write(cm_json_doc_root(b), (int)(nbytes % 3), &second, &m, &err);
    check(r == 0 && m == n && memcmp(first, second, n) == 0);
    free(first);
    free(second);
    cm_json_doc_free(a);
    cm_json_doc_free(b);
    return 0;
}
