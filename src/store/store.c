/* store/store.c: what all stores have: counting of references, rules of keys, small texts. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "store/local.h"
#include "store/overlay.h"
#include "store/store.h"

cm_store *cm_store_ref(cm_store *s)
{
    __atomic_add_fetch(&s->refcount, 1, __ATOMIC_RELAXED);
    return s;
}

void cm_store_unref(cm_store *s)
{
    if (s && __atomic_sub_fetch(&s->refcount, 1, __ATOMIC_ACQ_REL) == 0)
        s->vt->free(s);
}

int cm_store_check_absent(cm_store *s, const char *key, cm_error *err)
{
    cm_error_clear(err);
    return s->vt->check_absent ? s->vt->check_absent(s, key, err) : 0;
}

const char *cm_store_local_path(const cm_store *s)
{
    s = cm_overlay_below(s);
    return s->vt == &cm_local_vt ? ((const cm_local *)s)->path : NULL;
}

int cm_store_check_key(const char *key, cm_error *err)
{
    const char *wrong = NULL;
    if (!*key)
        wrong = "is empty";
    for (const char *part = key; !wrong;) {
        size_t n = strcspn(part, "/");
        if (n == 0)
            wrong = "has an empty part";
        else if ((n == 1 && part[0] == '.') || (n == 2 && part[0] == '.' && part[1] == '.'))
            wrong = "has a part \".\" or \"..\"";
        if (!part[n])
            break;
        part += n + 1;
    }
    if (!wrong && strstr(key, CM_TEMPORARY_MARK))
        wrong = "contains \"" CM_TEMPORARY_MARK "\", the mark of temporary files";
    return wrong ? cm_error_set(err, CM_EINVAL, "key \"%s\" %s", key, wrong) : 0;
}

typedef struct text {
    size_t max;
    char *data;
} text;

static void *alloc_text(void *user, size_t nbytes, cm_error *err)
{
    text *t = user;
    if (nbytes > t->max) {
        cm_error_set(err, CM_ELIMIT, "object has %zu bytes, at most %zu are read", nbytes, t->max);
        return NULL;
    }
    free(t->data); /* a repeated read */
    t->data = cm_calloc(nbytes + 1, 1, err);
    return t->data;
}

int cm_store_read_version(cm_store *s, const char *key, size_t max, char **out, size_t *nbytes,
                          cm_object_version *version, cm_error *err)
{
    text t = {.max = max < SIZE_MAX ? max : max - 1};
    size_t n = 0;
    *out = NULL;
    *version = (cm_object_version){0};
    int r = s->vt->get_all(s, key, alloc_text, &t, &n, version, err);
    if (r) {
        free(t.data);
        return r;
    }
    t.data[n] = 0;
    *out = t.data;
    if (nbytes)
        *nbytes = n;
    return 0;
}

int cm_store_read_text(cm_store *s, const char *key, size_t max, char **out, size_t *nbytes,
                       cm_error *err)
{
    cm_object_version version;
    return cm_store_read_version(s, key, max, out, nbytes, &version, err);
}
