/* format/refs/refs_scan.c: the simple references of a JSON file, taken out of its text.
 *
 * Nearly all of a large reference file are members of one form,
 *
 *     "tas/0.1.2": ["/data/a.nc", 8192, 100]
 *
 * for which a tree of JSON values takes ten times their text. They are taken out here as they are,
 * 32 bytes each, their texts in place; what is left is JSON again, and goes to the parser that
 * judges everything:
 *
 *     {"version":1,"refs":{".zgroup":"{...}","tas/0":["u",0,9],"x":{..}}}
 *     {"version":1,"refs":{".zgroup":"{...}","x":{..}}}
 *
 * Simple is what could not mean anything else: plain ASCII without escapes, whole numbers below
 * 10^18 and 2^32 - 2, a key that is none of metadata's, at a place where a member belongs and with
 * what must follow it. All else is left in, errors too. What a member's value holds is copied
 * without a look at more than its strings and brackets.
 *
 * Members of the file's own object and of "refs" are kept apart, since the version, which may come
 * last, says which of them are references.
 */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "format/refs/refs.h"

typedef struct scan {
    char *at, *end; /* end[0] is 0 */
    cm_buffer *out;
    cm_refs_ranges *found[2]; /* of the root, of "refs" */
} scan;

/* ---- what is found --------------------------------------------------------------------------- */

void cm_refs_ranges_deinit(cm_refs_ranges *r)
{
    free(r->items);
    free(r->order);
    free(r->buckets);
    free(r->slots);
    *r = (cm_refs_ranges){0};
}

static bool is_number(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (s[i] < '0' || s[i] > '9')
            return false;
    return n > 0;
}

/* The key without its last part, and without parts that may be of a chunk key with '/'. */
static size_t directory(const char *key, size_t n)
{
    bool last = true;
    for (;;) {
        size_t k = n;
        while (k && key[k - 1] != '/')
            k--;
        if (!last && !is_number(key + k, n - k) && !(n - k == 1 && key[k] == 'c'))
            return n;
        last = false;
        if (k == 0)
            return 0;
        n = k - 1;
    }
}

static size_t slot_of(const cm_refs_ranges *r, const char *name, size_t n)
{
    size_t at = cm_lookup3(name, n) & (r->nslots - 1);
    while (r->slots[at]) {
        const cm_refs_bucket *b = &r->buckets[r->slots[at] - 1];
        if (b->nbytes == n && memcmp(b->name, name, n) == 0)
            break;
        at = (at + 1) & (r->nslots - 1);
    }
    return at;
}

static int grow_slots(cm_refs_ranges *r, cm_error *err)
{
    size_t want = r->nslots ? 2 * r->nslots : 64;
    uint32_t *slots = cm_calloc(want, sizeof *slots, err);
    if (!slots)
        return CM_ENOMEM;
    free(r->slots);
    r->slots = slots;
    r->nslots = want;
    for (size_t i = 0; i < r->nbuckets; i++)
        slots[slot_of(r, r->buckets[i].name, r->buckets[i].nbytes)] = (uint32_t)i + 1;
    return 0;
}

static int bucket_of(cm_refs_ranges *r, const char *key, size_t nkey, uint32_t *out, cm_error *err)
{
    size_t n = directory(key, nkey);
    const cm_refs_bucket *last = r->nbuckets ? &r->buckets[r->last] : NULL;
    *out = r->last;
    if (last && last->nbytes == n && memcmp(last->name, key, n) == 0)
        return 0;
    if (2 * (r->nbuckets + 1) > r->nslots && grow_slots(r, err))
        return CM_ENOMEM;
    size_t at = slot_of(r, key, n);
    if (!r->slots[at]) {
        if (cm_grow(&r->buckets, &r->buckets_capacity, r->nbuckets + 1, sizeof *r->buckets, err))
            return CM_ENOMEM;
        r->buckets[r->nbuckets++] = (cm_refs_bucket){.name = key, .nbytes = n};
        r->slots[at] = (uint32_t)r->nbuckets;
    }
    *out = r->last = r->slots[at] - 1;
    return 0;
}

int cm_refs_ranges_group(cm_refs_ranges *r, cm_error *err)
{
    r->order = cm_calloc(r->n, sizeof *r->order, err);
    if (!r->order)
        return CM_ENOMEM;
    for (size_t i = 0; i < r->n; i++)
        r->buckets[r->items[i].bucket].n++;
    size_t first = 0;
    for (size_t i = 0; i < r->nbuckets; i++) {
        r->buckets[i].first = first;
        first += r->buckets[i].n;
        r->buckets[i].n = 0;
    }
    for (size_t i = 0; i < r->n; i++) {
        cm_refs_bucket *b = &r->buckets[r->items[i].bucket];
        r->order[b->first + b->n++] = (uint32_t)i;
    }
    return 0;
}

const cm_refs_bucket *cm_refs_ranges_find(const cm_refs_ranges *r, const char *path)
{
    size_t n = strlen(path);
    /* as if of a key below it */
    while (n) {
        size_t k = n;
        while (k && path[k - 1] != '/')
            k--;
        if (!is_number(path + k, n - k) && !(n - k == 1 && path[k] == 'c'))
            break;
        n = k ? k - 1 : 0;
    }
    if (!r->nslots)
        return NULL;
    size_t at = slot_of(r, path, n);
    return r->slots[at] ? &r->buckets[r->slots[at] - 1] : NULL;
}

/* ---- one simple member ----------------------------------------------------------------------- */

static char *skip_space(char *s)
{
    while (*s == ' ' || *s == '\n' || *s == '\t' || *s == '\r')
        s++;
    return s;
}

/* s is at a quote: the text between it and the next one, or NULL when there is more to it. */
static char *plain_string(char *s, char **begin, size_t *n)
{
    if (*s != '"')
        return NULL;
    *begin = ++s;
    for (; *s != '"'; s++)
        if ((unsigned char)*s < 0x20 || (unsigned char)*s > 0x7e || *s == '\\')
            return NULL;
    *n = (size_t)(s - *begin);
    return *n ? s + 1 : NULL;
}

static char *plain_number(char *s, uint64_t *out)
{
    char *begin = s;
    *out = 0;
    for (; *s >= '0' && *s <= '9'; s++) {
        if (s - begin == 18)
            return NULL;
        *out = 10 * *out + (uint64_t)(*s - '0');
    }
    return s == begin || (*begin == '0' && s - begin > 1) ? NULL : s;
}

static char *expect(char *s, char c)
{
    s = skip_space(s);
    return *s == c ? skip_space(s + 1) : NULL;
}

static bool is_special(const char *key, size_t n)
{
    static const char *const names[] = {"zarr.json", "version", "refs",
                                        "templates", "gen",     "sources"};
    size_t k = n;
    while (k && key[k - 1] != '/')
        k--;
    key += k;
    n -= k;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i]) == n && memcmp(key, names[i], n) == 0)
            return true;
    return n == 0 || key[0] == '.';
}

/* The member that begins at s->at: 0 when it is not simple, 1 when it was taken and s->at is behind
 * it; negative on errors. templates may be in URLs: those with braces are not simple. */
static int take(scan *s, cm_refs_ranges *to, cm_error *err)
{
    char *key, *url, *at;
    size_t nkey, nurl;
    uint64_t offset, nbytes;
    if (!(at = plain_string(s->at, &key, &nkey)) || !(at = expect(at, ':')) ||
        !(at = expect(at, '[')) || !(at = plain_string(at, &url, &nurl)) ||
        !(at = expect(at, ',')) || !(at = plain_number(at, &offset)) || !(at = expect(at, ',')) ||
        !(at = plain_number(at, &nbytes)) || !(at = expect(at, ']')))
        return 0;
    if ((*at != ',' && *at != '}') || nbytes >= UINT32_MAX - 2 || is_special(key, nkey) ||
        memchr(url, '{', nurl))
        return 0;
    if (to->n == UINT32_MAX - 1)
        return cm_error_set(err, CM_ELIMIT, "more than 2^32 references");
    if (cm_grow(&to->items, &to->capacity, to->n + 1, sizeof *to->items, err))
        return CM_ENOMEM;
    cm_refs_range *item = &to->items[to->n];
    *item = (cm_refs_range){.key = key, .url = url, .offset = offset, .nbytes = (uint32_t)nbytes};
    int r = bucket_of(to, key, nkey, &item->bucket, err);
    if (r)
        return r;
    key[nkey] = url[nurl] = 0;
    to->n++;
    s->at = at;
    return 1;
}

/* ---- the rest -------------------------------------------------------------------------------- */

/* Behind the string that begins at s. */
static char *string_end(char *s, const char *end)
{
    for (s++; s < end && *s != '"'; s++)
        if (*s == '\\' && s + 1 < end)
            s++;
    return s < end ? s + 1 : s;
}

/* Behind what the member at s has before the comma or bracket that ends it. */
static char *member_end(char *s, const char *end)
{
    size_t depth = 0;
    while (s < end) {
        if (*s == '"') {
            s = string_end(s, end);
            continue;
        }
        if (*s == '[' || *s == '{') {
            depth++;
        } else if (*s == ']' || *s == '}') {
            if (depth == 0)
                return s;
            depth--;
        } else if (*s == ',' && depth == 0) {
            return s;
        }
        s++;
    }
    return s;
}

/* Is this "refs": {? Where the bracket is. */
static char *refs_object(char *s)
{
    if (strncmp(s, "\"refs\"", 6) != 0)
        return NULL;
    char *at = expect(s + 6, ':');
    return at && *at == '{' ? at : NULL;
}

/* The object whose bracket s->at is at, level 0: the root. */
static int object(scan *s, int level, cm_error *err)
{
    bool first = true; /* nothing of it was copied */
    int r = cm_buffer_append(s->out, "{", 1, err);
    s->at = skip_space(s->at + 1);
    while (r == 0 && s->at < s->end && *s->at != '}') {
        char *begin = s->at, *inner;
        r = take(s, s->found[level], err);
        if (r < 0)
            return r;
        bool taken = r == 1;
        r = taken || first ? 0 : cm_buffer_append(s->out, ",", 1, err);
        if (!taken) {
            first = false;
            inner = level == 0 ? refs_object(begin) : NULL;
            s->at = inner ? inner : member_end(begin, s->end);
            if (r == 0)
                r = cm_buffer_append(s->out, begin, (size_t)(s->at - begin), err);
            if (inner && r == 0) {
                r = object(s, 1, err);
                s->at = skip_space(s->at);
            }
        }
        if (r || *s->at == '}')
            continue;
        if (*s->at != ',')
            return r; /* left to the parser */
        s->at = skip_space(s->at + 1);
        if (*s->at == '}' || *s->at == ',')
            r = cm_buffer_append(s->out, ",,", 2, err); /* a comma too many: so that it is one */
    }
    if (r == 0 && s->at < s->end && *s->at == '}') {
        s->at++;
        r = cm_buffer_append(s->out, "}", 1, err);
    }
    return r;
}

int cm_refs_scan(char *text, size_t nbytes, cm_buffer *rest, cm_refs_ranges *root,
                 cm_refs_ranges *refs, cm_error *err)
{
    scan s = {.at = text, .end = text + nbytes, .out = rest, .found = {root, refs}};
    s.at = skip_space(s.at);
    int r = *s.at == '{' ? object(&s, 0, err) : 0;
    if (r == 0) /* nothing, or what does not belong there */
        r = cm_buffer_append(rest, s.at, (size_t)(s.end - s.at), err);
    return r ? r : cm_buffer_append(rest, "", 0, err);
}
