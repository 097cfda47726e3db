/* store/overlay.c: some bytes of an object that were read before, over the store that has it all.
 *
 *     object     |----------------------------------------|
 *     pieces        |---|          |------|
 *     a read          ^^             from memory: it lies in one piece
 *     a read          ^^^^^^         from below
 *
 * A batch is answered from memory when every range of it lies in a piece; else all of it goes
 * below, so that a batch is of one version always. Pieces are sorted and found by halving.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "store/overlay.h"

typedef struct piece {
    uint64_t offset, nbytes;
    void *data;
} piece;

typedef struct overlay {
    cm_store base;
    cm_store *below;
    char *key;
    cm_object_version version;
    piece *pieces;
    size_t n, capacity;
} overlay;

static overlay *of(cm_store *s)
{
    return (overlay *)s;
}

static cm_store *under(cm_store *s)
{
    return of(s)->below;
}

static const piece *find(const overlay *o, const cm_range *r)
{
    size_t lo = 0, hi = o->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (o->pieces[mid].offset <= r->offset)
            lo = mid + 1;
        else
            hi = mid;
    }
    const piece *p = lo ? &o->pieces[lo - 1] : NULL;
    return p && r->offset - p->offset <= p->nbytes &&
                   r->nbytes <= p->nbytes - (r->offset - p->offset)
               ? p
               : NULL;
}

static bool at_hand(const overlay *o, const char *key, const cm_range *ranges, int n,
                    const cm_object_version *want)
{
    static const cm_object_version any;
    if (strcmp(key, o->key) != 0 || (want && memcmp(want, &any, sizeof any) != 0 &&
                                     memcmp(want, &o->version, sizeof *want) != 0))
        return false;
    for (int i = 0; i < n; i++)
        if (!find(o, &ranges[i]))
            return false;
    return true;
}

static int overlay_get(cm_store *s, const char *key, const cm_range *ranges, int n,
                       cm_object_version *version, cm_error *err)
{
    const overlay *o = of(s);
    if (!at_hand(o, key, ranges, n, version))
        return o->below->vt->get(o->below, key, ranges, n, version, err);
    for (int i = 0; i < n; i++) {
        const piece *p = find(o, &ranges[i]);
        if (ranges[i].nbytes)
            memcpy(ranges[i].dst, (char *)p->data + (ranges[i].offset - p->offset),
                   ranges[i].nbytes);
    }
    if (version)
        *version = o->version;
    return 0;
}

/* ---- all else is the business of the store below --------------------------------------------- */

static int overlay_stat(cm_store *s, const char *key, cm_object_version *out, cm_error *err)
{
    return under(s)->vt->stat(under(s), key, out, err);
}

static int overlay_check_absent(cm_store *s, const char *key, cm_error *err)
{
    return cm_store_check_absent(under(s), key, err);
}

static int overlay_get_all(cm_store *s, const char *key,
                           void *(*alloc)(void *user, size_t nbytes, cm_error *err), void *user,
                           size_t *nbytes, cm_object_version *version, cm_error *err)
{
    return under(s)->vt->get_all(under(s), key, alloc, user, nbytes, version, err);
}

static int overlay_put(cm_store *s, const char *key, const cm_iov *iov, int n, unsigned flags,
                       cm_error *err)
{
    return under(s)->vt->put(under(s), key, iov, n, flags, err);
}

static int overlay_put_from(cm_store *s, const char *key, cm_produce_fn produce, void *user,
                            unsigned flags, cm_error *err)
{
    return under(s)->vt->put_from(under(s), key, produce, user, flags, err);
}

static int overlay_del(cm_store *s, const char *key, cm_error *err)
{
    return under(s)->vt->del(under(s), key, err);
}

static int overlay_del_prefix(cm_store *s, const char *prefix, cm_error *err)
{
    return under(s)->vt->del_prefix(under(s), prefix, err);
}

static int overlay_list(cm_store *s, const char *prefix, cm_list_fn fn, void *user, cm_error *err)
{
    return under(s)->vt->list(under(s), prefix, fn, user, err);
}

static int overlay_sync(cm_store *s, cm_error *err)
{
    return under(s)->vt->sync(under(s), err);
}

static void overlay_free(cm_store *s)
{
    overlay *o = of(s);
    for (size_t i = 0; i < o->n; i++)
        free(o->pieces[i].data);
    free(o->pieces);
    cm_store_unref(o->below);
    free(o->key);
    free(o->base.uri);
    free(o);
}

static const cm_store_vt overlay_vt = {
    .stat = overlay_stat,
    .check_absent = overlay_check_absent,
    .get = overlay_get,
    .get_all = overlay_get_all,
    .put = overlay_put,
    .put_from = overlay_put_from,
    .del = overlay_del,
    .del_prefix = overlay_del_prefix,
    .list = overlay_list,
    .sync = overlay_sync,
    .free = overlay_free,
};

int cm_overlay_new(cm_store *below, const char *key, const cm_object_version *version,
                   cm_store **out, cm_error *err)
{
    overlay *o = cm_calloc(1, sizeof *o, err);
    if (!o)
        return CM_ENOMEM;
    o->base = (cm_store){.vt = &overlay_vt, .refcount = 1};
    o->below = cm_store_ref(below);
    o->version = *version;
    o->key = cm_strdup(key, err);
    o->base.uri = o->key ? cm_strdup(below->uri, err) : NULL;
    if (!o->base.uri) {
        overlay_free(&o->base);
        return CM_ENOMEM;
    }
    *out = &o->base;
    return 0;
}

int cm_overlay_add(cm_store *s, uint64_t offset, const void *data, size_t nbytes, cm_error *err)
{
    overlay *o = of(s);
    const piece *last = o->n ? &o->pieces[o->n - 1] : NULL;
    if (offset > o->version.size || nbytes > o->version.size - offset ||
        (last && offset < last->offset + last->nbytes))
        return cm_error_set(err, CM_EDATA, "bytes at hand that are not in order");
    if (cm_grow(&o->pieces, &o->capacity, o->n + 1, sizeof *o->pieces, err))
        return CM_ENOMEM;
    void *own = cm_memdup(data, nbytes, err);
    if (!own)
        return CM_ENOMEM;
    o->pieces[o->n++] = (piece){offset, nbytes, own};
    return 0;
}

const cm_store *cm_overlay_below(const cm_store *s)
{
    return s->vt == &overlay_vt ? ((const overlay *)s)->below : s;
}
